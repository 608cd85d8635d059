//! Records that leave a store: nothing is lost, nothing is half, and what is in force stays in force.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::audit::{InclusionProof, Recording, Records};
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

pub(super) fn at(second: u64) -> Timestamp {
    NOW + Duration::from_secs(second)
}

pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.at("archives")).unwrap();
        folder
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn archives(&self, store: &Store) -> Archives {
        Archives::open(self.at("archives"), &store.reader().log_key().unwrap()).unwrap()
    }
}

pub(super) fn archive(
    store: &Store,
    before: Timestamp,
    folder: impl AsRef<Path>,
) -> Result<Archived, StoreError> {
    store.inner().archive_first(before, folder.as_ref(), STEPS)
}

/// Adds records, one a second; every fiftieth is a revocation.
pub(super) fn fill(store: &Store, numbers: std::ops::RangeInclusive<u64>) {
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

pub(super) fn lines(reader: &StoreReader, from: u64) -> Vec<String> {
    reader.records(from).map(|line| line.unwrap().json).collect()
}

/// All records, from the archives and the store.
pub(super) fn as_one(archives: &Archives, reader: &StoreReader) -> Vec<String> {
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
