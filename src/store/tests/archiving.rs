//! Records that leave a store: nothing is lost, nothing is half, and what is in force stays in force.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::audit::{InclusionProof, LeafHash, Recording, Records};
use crate::revocation::{Events, Position, Revocation, Revoking};
use crate::store::archives::Archives;
use crate::store::archiving::{Archived, STEPS};
use crate::store::packed::GROUP;
use crate::store::tests::disk::{Disk, Fault};
use crate::store::tests::{Dice, NOW, decision, id, record, repeated, revoking};
use crate::store::{RecordLoss, Sought, Store, StoreError, StoreReader, opening, restore};
use crate::timestamp::Timestamp;

/// Every so many records is a revocation.
const REVOCATION_EVERY: u64 = 50;

fn at(second: u64) -> Timestamp {
    NOW + Duration::from_secs(second)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.at("archives")).unwrap();
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn archives(&self, store: &Store) -> Archives {
        Archives::open(self.at("archives"), &store.reader().log_key().unwrap()).unwrap()
    }
}

fn archive(
    store: &Store,
    before: Timestamp,
    folder: impl AsRef<Path>,
) -> Result<Archived, StoreError> {
    store.inner().archive_first(before, folder.as_ref(), STEPS)
}

/// Adds records, one a second; every fiftieth is a revocation.
fn fill(store: &Store, numbers: std::ops::RangeInclusive<u64>) {
    let mut decisions = Vec::new();
    let append = |decisions: &mut Vec<_>| {
        if !decisions.is_empty() {
            let all = std::mem::take(decisions);
            crate::pending::wait(Records::append(store, all, Recording::Durable)).unwrap();
        }
    };
    for number in numbers {
        if number % REVOCATION_EVERY == 0 {
            append(&mut decisions);
            store.revoke(revoking(number), at(number)).unwrap();
        } else {
            decisions.push(decision(at(number), number));
        }
    }
    append(&mut decisions);
}

fn lines(reader: &StoreReader, from: u64) -> Vec<String> {
    reader.records(from).map(|line| line.unwrap().json).collect()
}

/// All records, from the archives and the store.
fn as_one(archives: &Archives, reader: &StoreReader) -> Vec<String> {
    let archived = reader.archived().unwrap().map_or(0, |(last, _)| last);
    let before = archives.records_among(1..archived + 1, &Sought::default());
    let mut all: Vec<String> = before.map(|line| line.unwrap().json).collect();
    all.extend(lines(reader, archived + 1));
    all
}

#[test]
fn what_is_archived_leaves_the_store_and_both_are_read_as_one() {
    let folder = Folder::new();
    let store = Store::create(folder.at("store")).unwrap();
    let records = 2 * GROUP + 300;
    fill(&store, 1..=records);
    let key = store.reader().log_key().unwrap();
    let before = lines(&store.reader(), 1);
    let revocations = store.list_revocations().unwrap();
    let (root, proof) = (*store.checkpoint().unwrap().root(), store.reader().prove(77).unwrap());

    let archived = archive(&store, at(records - 100), folder.at("archives")).unwrap();
    assert_eq!(archived.records, records - 101);
    assert_eq!((archived.last, archived.files.len()), (records - 101, 3));
    let (last, to) = store.reader().archived().unwrap().unwrap();
    assert_eq!((last, to), (records - 101, folder.at("archives")));
    let again = archive(&store, at(records - 100), folder.at("archives")).unwrap();
    assert_eq!((again.records, again.files.len()), (0, 0), "there is nothing more");

    for opened_again in [false, true] {
        let store = if opened_again {
            store.close().unwrap();
            Store::open(folder.at("store")).unwrap()
        } else {
            store.clone()
        };
        let (reader, archives) = (store.reader(), folder.archives(&store));
        assert!(as_one(&archives, &reader) == before, "the records are others");
        assert_eq!(*store.checkpoint().unwrap().root(), root);
        assert_eq!(store.list_revocations().unwrap(), revocations);
        let verified = reader.verify().unwrap();
        assert_eq!((verified.first, verified.records), (records - 100, records));
        let verified = reader.verify_after(Some(&archives)).unwrap();
        assert_eq!((verified.first, verified.records), (1, records));
        for number in [1, 77, GROUP, GROUP + 1, records - 101] {
            let error = reader.prove(number).unwrap_err();
            assert!(matches!(error, StoreError::InArchive { .. }), "{error}");
            let proof = archives.prove(number).unwrap().to_string();
            assert_eq!(InclusionProof::verify(&proof, &key).unwrap().0.sequence, number);
        }
        for number in [records - 100, records] {
            let proof = reader.prove(number).unwrap().to_string();
            assert_eq!(InclusionProof::verify(&proof, &key).unwrap().0.sequence, number);
        }
        assert!(archives.prove(records).is_err());
        let error = reader.records(1).next().unwrap().unwrap_err();
        assert!(matches!(error, StoreError::InArchive { sequence: 1, .. }), "{error}");
        let mut seen = 0;
        store.each_record(|_| seen += 1).unwrap();
        assert_eq!(seen, 101);
    }
    InclusionProof::verify(&proof.to_string(), &key).unwrap();
}

#[test]
fn a_store_that_has_archived_goes_on_and_archives_again() {
    let folder = Folder::new();
    let store = Store::create(folder.at("store")).unwrap();
    let mut written = 0;
    for (part, until) in [(1_200, 1_100), (2_500, 2_000), (2_600, 2_590)] {
        fill(&store, written + 1..=part);
        written = part;
        let archived = archive(&store, at(until), folder.at("archives")).unwrap();
        assert_eq!(archived.last, until - 1);
        let archives = folder.archives(&store);
        assert_eq!(archives.last_record(), Some(until - 1));
        let verified = store.reader().verify_after(Some(&archives)).unwrap();
        assert_eq!((verified.first, verified.records), (1, part));
        let (since, until) = (Some(at(900)), Some(at(1_000)));
        let sought = Sought { since, until, ..Sought::default() };
        let some = archives.records_among(1..u64::MAX, &sought).map(|line| line.unwrap().sequence);
        let some: BTreeSet<u64> = some.collect();
        assert!((900..1_000).all(|number| some.contains(&number)));
    }
    // Older files may go to where it is cheap: the rest is read all the same, from there on.
    let first = folder.archives(&store).files()[0].path.clone();
    std::fs::remove_file(first).unwrap();
    let archives = folder.archives(&store);
    let verified = store.reader().verify_after(Some(&archives)).unwrap();
    assert_eq!((Some(verified.first), verified.records), (archives.first_record(), 2_600));
    assert!(verified.first > 1);
}

#[test]
fn an_archiving_that_was_cut_off_anywhere_is_finished_by_the_next() {
    for steps in 0..=3 {
        let folder = Folder::new();
        let store = Store::create(folder.at("store")).unwrap();
        fill(&store, 1..=1_500);
        let before = lines(&store.reader(), 1);
        let to = folder.at("archives");
        let name = "records-000000000001-000000001024.jsonl.new";
        match steps {
            0 => std::fs::write(to.join(name), b"half of it").unwrap(),
            1 => {
                let error = store.inner().archive_first(at(1_400), &to, 1).unwrap_err();
                assert!(matches!(error, StoreError::Stopped), "{error}");
                assert!(to.join(name).exists());
            }
            2 => assert_eq!(store.inner().archive_first(at(1_400), &to, 2).unwrap().records, 0),
            _ => drop(archive(&store, at(1_100), &to).unwrap()),
        }
        store.close().unwrap();
        let store = Store::open(folder.at("store")).unwrap();
        assert!(as_one(&folder.archives(&store), &store.reader()) == before, "{steps} steps");
        // Also up to another moment than the one that was cut off.
        let archived = archive(&store, at(1_450), &to).unwrap();
        assert_eq!(archived.last, 1_449, "{steps} steps");
        assert!(as_one(&folder.archives(&store), &store.reader()) == before, "{steps} steps");
        let verified = store.reader().verify_after(Some(&folder.archives(&store))).unwrap();
        assert_eq!((verified.first, verified.records), (1, 1_500));
    }
}

/// The power goes at any write of the store while it archives.
#[test]
fn no_power_loss_loses_a_record_that_leaves() {
    let mut dice = Dice(5);
    for time in 0..repeated("HARDTACK_ARCHIVINGS", 12) {
        let (folder, disk) = (Folder::new(), Disk::default());
        let store = Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap();
        fill(&store, 1..=1_300);
        store.checkpoint().unwrap();
        let before = lines(&store.reader(), 1);
        let in_force = store.list_revocations().unwrap();
        disk.set(Fault::PowerGoesAt(disk.operations() + dice.below(24)));
        let _ = archive(&store, at(1_250), folder.at("archives"));
        let left = disk.after_power_loss(&mut dice);
        drop(store);
        let store = Store::start(opening::open(Arc::new(left)).unwrap()).unwrap();
        let (reader, archives) = (store.reader(), folder.archives(&store));
        assert!(as_one(&archives, &reader) == before, "time {time}");
        assert_eq!(store.list_revocations().unwrap(), in_force);
        reader.verify_after(Some(&archives)).unwrap();
        assert_eq!(archive(&store, at(1_250), folder.at("archives")).unwrap().last, 1_249);
        let verified = reader.verify_after(Some(&folder.archives(&store))).unwrap();
        assert_eq!((verified.first, verified.records), (1, 1_300));
    }
}

#[test]
fn records_of_the_moment_and_later_stay_and_so_does_the_last() {
    let folder = Folder::new();
    let store = Store::create(folder.at("store")).unwrap();
    let to = folder.at("archives");
    assert_eq!(archive(&store, at(1_000_000), &to).unwrap().last, 0, "there is none");
    // The third is from a later moment than those after it.
    for (number, second) in [(1, 10), (2, 20), (3, 50), (4, 30), (5, 60)] {
        let decisions = vec![decision(at(second), number)];
        crate::pending::wait(Records::append(&store, decisions, Recording::Durable)).unwrap();
    }
    assert_eq!(archive(&store, at(10), &to).unwrap().last, 0);
    assert_eq!(archive(&store, at(40), &to).unwrap().last, 2);
    assert_eq!(archive(&store, at(51), &to).unwrap().last, 4);
    assert_eq!(archive(&store, at(1_000_000), &to).unwrap().last, 4, "the last one stays");
    assert_eq!(store.reader().last_record().unwrap(), 5);
    store.reader().verify_after(Some(&folder.archives(&store))).unwrap();
}

#[test]
fn what_is_revoked_stays_revoked_and_can_be_followed_prolonged_and_forgotten() {
    let folder = Folder::new();
    let store = Store::create(folder.at("store")).unwrap();
    let agent = || Revocation::AgentUntilNow { agent: "agent.researcher".to_owned() };
    store.revoke(Revoking::new(agent(), "alice", "laptop stolen").unwrap(), NOW).unwrap();
    store.revoke_all((1..=3).map(revoking).collect(), NOW).unwrap();
    fill(&store, 5..=120);
    let list = store.list_revocations().unwrap();
    let followed = |number: u64| {
        let epoch = store.inner().events.epoch();
        store.inner().events_after(Position { epoch, number }, 100).unwrap()
    };
    let Events::Next(before) = followed(2) else { panic!("it was followed") };
    assert_eq!(archive(&store, at(110), folder.at("archives")).unwrap().last, 109);
    assert_eq!(store.list_revocations().unwrap(), list);
    assert_eq!(store.reader().revocations_after(2, 1).unwrap(), list[2..3]);
    // Events of archived records are gone; whoever has all of them goes on.
    assert_eq!(followed(2), Events::Gone);
    assert_eq!(followed(before.len() as u64 + 2), Events::Next(Vec::new()));
    store.revoke(revoking(9), at(130)).unwrap();
    let Events::Next(new) = followed(before.len() as u64 + 2) else { panic!("they are gone") };
    assert_eq!(new.len(), 1);
    // It lasts longer from now on, as a record says that takes the place of an archived one.
    let later = at(600);
    store.revoke(Revoking::new(agent(), "alice", "again").unwrap(), later).unwrap();
    assert_eq!(store.list_revocations().unwrap().len(), list.len() + 1);
    store.reader().verify().unwrap();
    store.reader().verify_after(Some(&folder.archives(&store))).unwrap();
    let expired = NOW + Duration::from_secs(400 * 24 * 3600);
    let forgotten = store.collect_trusting_the_clock(expired).unwrap().revocations;
    assert_eq!(forgotten, list.len() as u64 + 1);
    record(&store, 1_000).unwrap();
    store.reader().verify().unwrap();
    archive(&store, at(1), folder.at("archives")).unwrap();
    archive(&store, expired + Duration::from_secs(1), folder.at("archives")).unwrap();
    store.close().unwrap();
    let store = Store::open(folder.at("store")).unwrap();
    store.reader().verify().unwrap();
    let verified = store.reader().verify_after(Some(&folder.archives(&store))).unwrap();
    assert_eq!((verified.first, verified.revocations), (1, 0));
    assert!(!store.revocations().contains(&id(1)));
}

#[test]
fn a_backup_of_a_store_that_has_archived_is_restored_with_what_followed() {
    let folder = Folder::new();
    let store = Store::create(folder.at("store")).unwrap();
    fill(&store, 1..=1_200);
    archive(&store, at(1_100), folder.at("archives")).unwrap();
    store.backup(folder.at("backup")).unwrap();
    fill(&store, 1_201..=1_260);
    let revocations = store.list_revocations().unwrap();
    let checkpoint = store.checkpoint().unwrap();
    // The export begins somewhere in what the backup has.
    let tail = lines(&store.reader(), 1_150);
    let whole = as_one(&folder.archives(&store), &store.reader());
    for (name, tail) in [("new", tail), ("other", whole)] {
        let (backup, to, text) = (folder.at("backup"), folder.at(name), checkpoint.text());
        let restored = restore(backup, &to, tail, Some(text), RecordLoss::Refused, at(2_000));
        let restored = restored.unwrap();
        assert_eq!((restored.records, restored.replayed), (1_200, 60));
        let new = Store::open(&to).unwrap();
        assert_eq!(new.list_revocations().unwrap(), revocations);
        let verified = new.reader().verify_after(Some(&folder.archives(&store))).unwrap();
        assert_eq!((verified.first, verified.records), (1, 1_261));
        assert_eq!(new.reader().archived().unwrap().unwrap().1, folder.at("archives"));
        assert_eq!(archive(&new, at(1_210), folder.at("archives")).unwrap().last, 1_209);
        new.reader().verify_after(Some(&folder.archives(&new))).unwrap();
        std::fs::remove_file(folder.archives(&new).files().last().unwrap().path.clone()).unwrap();
    }
    // A store that is damaged is saved in the same way.
    drop(store);
    let (damaged, to) = (folder.at("store"), folder.at("saved"));
    let text = checkpoint.text();
    restore(damaged, &to, Vec::new(), Some(text), RecordLoss::Refused, at(2_000)).unwrap();
    assert_eq!(Store::open(&to).unwrap().list_revocations().unwrap(), revocations);
}

/// A store of 600 records, 500 of which are in an archive.
fn archived() -> (Folder, Store, PathBuf) {
    let folder = Folder::new();
    let store = Store::create(folder.at("store")).unwrap();
    fill(&store, 1..=600);
    let archived = archive(&store, at(501), folder.at("archives")).unwrap();
    let file = archived.files[0].clone();
    (folder, store, file)
}

#[test]
fn no_byte_of_an_archive_can_be_changed_or_cut_off_unseen() {
    let (folder, store, file) = archived();
    let whole = std::fs::read(&file).unwrap();
    let read = || -> Result<u64, StoreError> {
        let archives = Archives::open(folder.at("archives"), &store.reader().log_key()?)?;
        store.reader().verify_after(Some(&archives))?;
        let all = archives.records_among(1..u64::MAX, &Sought::default());
        Ok(all.collect::<Result<Vec<_>, _>>()?.len() as u64)
    };
    assert_eq!(read().unwrap(), 500);
    let mut dice = Dice(11);
    for _ in 0..repeated("HARDTACK_ARCHIVE_CHANGES", 150) {
        let mut changed = whole.clone();
        let place = dice.below(whole.len() as u64) as usize;
        match dice.below(3) {
            0 => changed[place] ^= 1 << dice.below(8),
            1 => changed.truncate(place),
            _ => changed.extend_from_slice(&whole[place..]),
        }
        std::fs::write(&file, &changed).unwrap();
        // A bit of the frame that means nothing is no record.
        assert!(read().is_err() || read().unwrap() == 500, "byte {place}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(read(), Ok(0)), "without archives, the store alone is verified");
}

/// Whoever can write the folder makes a file that is whole in itself.
#[test]
fn an_archive_that_was_made_anew_is_not_what_the_log_signed() {
    let (folder, store, file) = archived();
    let text = decoded(&file);
    let changes: [(&str, &str); 4] = [
        ("number-77\"", "number-78\""),
        ("\"earliest\":\"2026", "\"earliest\":\"2027"),
        ("\"latest\":\"2026", "\"latest\":\"2025"),
        ("\"first\":1,", "\"first\":2,"),
    ];
    for (from, to) in changes {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        encode(&file, &changed);
        let archives = Archives::open(folder.at("archives"), &store.reader().log_key().unwrap());
        let verified = archives.and_then(|archives| store.reader().verify_after(Some(&archives)));
        let error = verified.expect_err(from);
        assert!(matches!(error, StoreError::Archive { .. }), "{error}");
    }
    // Of another log, also one that has signed it.
    let other = Store::in_memory().unwrap();
    encode(&file, &text);
    let error = Archives::open(folder.at("archives"), &other.reader().log_key().unwrap());
    assert!(error.unwrap_err().to_string().contains("of another log"));
}

#[test]
fn of_an_archive_that_was_changed_no_record_is_handed_on() {
    let (folder, store, file) = archived();
    let text = decoded(&file);
    let first = |numbers: std::ops::Range<u64>| {
        let archives = folder.archives(&store);
        archives.records_among(numbers, &Sought::default()).next().unwrap()
    };
    assert_eq!(first(400..u64::MAX).unwrap().sequence, 400);
    encode(&file, &text.replacen("number-477\"", "number-478\"", 1));
    let error = first(1..u64::MAX).unwrap_err();
    assert!(matches!(error, StoreError::Archive { .. }), "{error}");
}

/// Whoever can write to the folder waits until it was verified.
#[test]
fn an_archive_that_is_changed_after_it_was_verified_ends_before_the_change() {
    let (folder, store, file) = archived();
    let text = decoded(&file);
    let archive = folder.archives(&store).files()[0].clone();
    let leaves = archive.leaves().unwrap();
    encode(&file, &text.replacen("number-477\"", "number-478\"", 1));
    let mut records = archive.read_as(leaves).unwrap();
    let mut last = 0;
    let error = loop {
        match records.next() {
            Ok(line) => last = line.unwrap().sequence,
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("changed meanwhile"), "{error}");
    assert!(text.lines().nth(last as usize + 1).unwrap().contains("number-477"), "{last}");
    for (is, other) in [("\"last\":500", "\"last\":499"), ("\"first\":1,", "\"first\":2,")] {
        encode(&file, &text.replacen(is, other, 1));
        let error = archive.read().err().unwrap().to_string();
        assert!(error.contains("changed meanwhile"), "{error}");
    }
}

#[test]
fn nothing_follows_the_end_of_an_archive_also_behind_its_frame() {
    let (folder, store, file) = archived();
    let whole = std::fs::read(&file).unwrap();
    let other = folder.at("other");
    encode(&other, "{\"forged\":1}\n");
    for behind in [std::fs::read(&other).unwrap(), vec![0], whole.clone()] {
        std::fs::write(&file, [&whole[..], &behind].concat()).unwrap();
        let error = folder.archives(&store).files()[0].verify().unwrap_err();
        assert!(error.to_string().contains("something follows its end"), "{error}");
    }
}

#[test]
fn an_archive_that_says_that_it_has_more_records_than_one_may_is_refused_unread() {
    let (folder, store, file) = archived();
    let text = decoded(&file);
    for last in [u64::MAX, GROUP + 1, 0] {
        encode(&file, &text.replacen("\"last\":500", &format!("\"last\":{last}"), 1));
        let opened = Archives::open(folder.at("archives"), &store.reader().log_key().unwrap());
        let error = opened.unwrap_err().to_string();
        assert!(error.contains("its first line makes no sense"), "{error}");
    }
}

fn decoded(file: &Path) -> String {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(file).unwrap();
    lz4_flex::frame::FrameDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

fn encode(file: &Path, text: &str) {
    use std::io::Write;
    let mut lines = lz4_flex::frame::FrameEncoder::new(std::fs::File::create(file).unwrap());
    lines.write_all(text.as_bytes()).unwrap();
    lines.finish().unwrap();
}

#[test]
fn the_records_of_an_archive_are_the_leaves_of_the_tree_to_the_byte() {
    let (_folder, store, file) = archived();
    let text = decoded(&file);
    let leaves: Vec<LeafHash> =
        text.lines().skip(1).take(500).map(|line| LeafHash::of(line.as_bytes())).collect();
    let mut edge = crate::audit::Frontier::default();
    leaves.iter().for_each(|leaf| drop(edge.push(*leaf).unwrap()));
    lines(&store.reader(), 501)
        .iter()
        .for_each(|line| drop(edge.push(LeafHash::of(line.as_bytes())).unwrap()));
    assert_eq!(edge.root().unwrap(), *store.checkpoint().unwrap().root());
}

#[test]
fn a_folder_that_does_not_continue_what_was_archived_is_refused() {
    let (folder, store, file) = archived();
    fill(&store, 601..=700);
    let kept = folder.at("kept");
    std::fs::rename(&file, &kept).unwrap();
    let error = archive(&store, at(600), folder.at("none")).unwrap_err();
    assert!(matches!(error, StoreError::ArchiveFile { .. }), "{error}");
    // An empty one will do: what was archived elsewhere is not needed.
    assert_eq!(archive(&store, at(600), folder.at("archives")).unwrap().last, 599);
    std::fs::rename(&kept, &file).unwrap();
    let archives = folder.archives(&store);
    assert_eq!((archives.first_record(), archives.last_record()), (Some(1), Some(599)));
    std::fs::remove_file(archives.files().last().unwrap().path.clone()).unwrap();
    let error = archive(&store, at(650), folder.at("archives")).unwrap_err();
    assert!(error.to_string().contains("its last record is 500"), "{error}");
    let error = store.reader().verify_after(Some(&folder.archives(&store))).unwrap_err();
    assert!(matches!(error, StoreError::InArchive { sequence: 501, .. }), "{error}");
}

/// Whoever can write to the folder and has an export of the records and a checkpoint can make an archive that verifies.
#[test]
fn a_file_in_the_folder_takes_no_later_records_out_than_were_asked_for() {
    let folder = Folder::new();
    let store = Store::create(folder.at("store")).unwrap();
    fill(&store, 1..=600);
    store.close().unwrap();
    for name in ["", ".journal", ".checkpoint"] {
        let of = |store: &str| folder.at(&format!("{store}{name}"));
        std::fs::copy(of("store"), of("copy")).unwrap();
    }
    let (store, copy) =
        (Store::open(folder.at("store")).unwrap(), Store::open(folder.at("copy")).unwrap());
    let before = lines(&store.reader(), 1);
    let to = folder.at("archives");
    archive(&copy, at(500), &to).unwrap();
    let error = archive(&store, at(100), &to).unwrap_err();
    assert!(error.to_string().contains("has the records up to 499, and those after 99"), "{error}");
    assert!(lines(&store.reader(), 1) == before, "records have left");
    assert_eq!(store.reader().archived().unwrap(), None);
    assert_eq!(archive(&store, at(550), &to).unwrap().last, 549);
    assert!(as_one(&folder.archives(&store), &store.reader()) == before);
}

#[test]
fn one_process_archives_to_a_folder_at_a_time_and_nothing_unfinished_stays_there() {
    let (folder, store, _) = archived();
    fill(&store, 601..=700);
    let to = folder.at("archives");
    let left = to.join("records-000000000501-000000000577.jsonl.new");
    std::fs::write(&left, b"half of it").unwrap();
    let other = std::fs::File::open(to.join("archiving.lock")).unwrap();
    other.lock().unwrap();
    let error = archive(&store, at(600), &to).unwrap_err();
    assert!(error.to_string().contains("another process archives to it now"), "{error}");
    assert!(left.exists(), "it may be of the other process");
    drop(other);
    assert_eq!(archive(&store, at(600), &to).unwrap().last, 599);
    assert!(!left.exists());
}
