//! Files in a folder of archives: what was changed, made anew, left unfinished or put there by somebody else?

use std::path::{Path, PathBuf};

use super::archiving::{Folder, archive, as_one, at, fill, lines};
use super::{Dice, repeated};
use crate::audit::LeafHash;
use crate::store::archives::Archives;
use crate::store::archiving::give_name;
use crate::store::packed::GROUP;
use crate::store::{Sought, Store, StoreError};

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
    // Nobody else can hold it.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(other.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    other.lock().unwrap();
    let error = archive(&store, at(600), &to).unwrap_err();
    assert!(error.to_string().contains("another process archives to it now"), "{error}");
    assert!(left.exists(), "it may be of the other process");
    drop(other);
    assert_eq!(archive(&store, at(600), &to).unwrap().last, 599);
    assert!(!left.exists());
}

#[test]
fn a_finished_file_replaces_nothing() {
    let folder = Folder::new();
    let (new, path) = (folder.at("new"), folder.at("path"));
    std::fs::write(&new, b"new").unwrap();
    std::fs::write(&path, b"the only copy").unwrap();
    let error = give_name(&new, &path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).unwrap(), b"the only copy");
    std::fs::remove_file(&path).unwrap();
    give_name(&new, &path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
}
