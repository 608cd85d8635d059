//! The journal by itself: what it takes for its own, for a frame, and for room.

use std::sync::Arc;

use crate::audit::LeafHash;
use crate::store::clock::Clock;
use crate::store::error::JournalError;
use crate::store::frame::Frame;
use crate::store::journal::{Journal, SEGMENT};
use crate::store::schema::Entry;
use crate::store::site::Site;
use crate::store::tests::disk::{Disk, Fault};
use crate::store::{Store, opening};

const ID: [u8; 16] = [7; 16];
const SECTOR: u64 = 512;

fn made() -> (Disk, Journal) {
    let disk = Disk::default();
    let journal = Journal::make(disk.journal().unwrap(), &ID).unwrap();
    journal.finish(&ID).unwrap();
    (disk, journal)
}

fn opened(disk: &Disk) -> Result<Journal, JournalError> {
    Journal::open(disk.journal().unwrap(), &ID)
}

fn entry(sequence: u64) -> Entry {
    let json = format!(r#"{{"sequence":{sequence}}}"#).into_bytes();
    let hashes = vec![*LeafHash::of(&json).as_bytes()];
    Entry { sequence, hashes, json, effects: Vec::new() }
}

fn leaf(sequence: u64) -> LeafHash {
    entry(sequence).leaf()
}

fn frame(previous: LeafHash, sequences: std::ops::RangeInclusive<u64>) -> Vec<u8> {
    let entries: Vec<Entry> = sequences.map(entry).collect();
    Frame::encode(previous, Clock::default(), &entries).unwrap()
}

/// The first and the last record of each frame that is found.
fn found(journal: &Journal) -> Vec<(u64, u64)> {
    journal.frames().unwrap().iter().map(|frame| (frame.first, frame.last())).collect()
}

#[test]
fn a_journal_of_another_length_form_or_store_is_refused() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(Change, &str); 6] = [
        (|bytes| bytes.clear(), "it is empty"),
        (|bytes| bytes.push(0), "not of its length"),
        (|bytes| bytes.truncate(bytes.len() - 1), "not of its length"),
        (|bytes| bytes[0] ^= 1, "does not begin as a journal does"),
        (|bytes| bytes[17] ^= 1, "that of a store that was not finished"),
        (|bytes| bytes[18] ^= 1, "belongs to another store"),
    ];
    for (change, problem) in changes {
        let (disk, _) = made();
        assert!(opened(&disk).is_ok());
        disk.change(1, change);
        let error = opened(&disk).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn a_frame_of_which_any_byte_was_changed_is_none() {
    let (disk, mut journal) = made();
    let whole = frame(LeafHash::default(), 1..=2);
    journal.append(&whole).unwrap();
    assert_eq!(found(&journal), [(1, 2)]);
    let payload = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for place in [0, 8, 16, 24, 56, 88, 92, payload] {
        disk.change(1, |bytes| bytes[SECTOR as usize + place] ^= 1);
        assert_eq!(found(&journal), [], "the byte at {place}");
        disk.change(1, |bytes| bytes[SECTOR as usize + place] ^= 1);
    }
    assert_eq!(found(&journal), [(1, 2)]);
}

#[test]
fn frames_that_do_not_continue_the_log_are_damage() {
    for (previous, first) in [(LeafHash::default(), 3), (leaf(9), 1)] {
        let (_, mut journal) = made();
        journal.append(&frame(previous, first..=first)).unwrap();
        let read = journal.read(0, LeafHash::default());
        assert!(matches!(read, Err(JournalError::Damaged(_))), "{read:?}");
    }
}

#[test]
fn of_a_frame_that_the_database_has_in_part_the_rest_is_read() {
    let (_, mut journal) = made();
    journal.append(&frame(LeafHash::default(), 1..=3)).unwrap();
    let rest = journal.read(1, leaf(1)).unwrap();
    let sequences: Vec<u64> = rest[0].entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!((rest.len(), rest[0].first, rest[0].previous), (1, 2, leaf(1)));
    assert_eq!(sequences, [2, 3]);
    assert!(journal.read(3, leaf(3)).unwrap().is_empty(), "the database has all of it");
    assert!(journal.read(1, leaf(9)).unwrap().is_empty(), "it was never acknowledged");
}

#[test]
fn a_frame_beyond_the_last_number_is_none() {
    let (_, mut journal) = made();
    journal.append(&frame(LeafHash::default(), u64::MAX..=u64::MAX)).unwrap();
    assert_eq!(found(&journal), []);
}

#[test]
fn a_segment_takes_what_fits_to_the_byte() {
    let (_, mut journal) = made();
    assert!(journal.fits(SEGMENT as usize) && !journal.fits(SEGMENT as usize + 1));
    // A frame's header takes 88 bytes.
    let most = SEGMENT as usize - 88;
    assert!(journal.has_room(most, 0) && !journal.has_room(most + 1, 0));
    assert!(journal.has_room(most - 1024, 1024) && !journal.has_room(most - 1024 + 1, 1024));
    journal.append(&vec![0; SEGMENT as usize / 2]).unwrap();
    assert!(!journal.is_filling());
    journal.append(&vec![0; SECTOR as usize]).unwrap();
    assert!(journal.is_filling());
}

/// What was written and not acknowledged must not be found beside what is recorded instead of it.
#[test]
fn a_frame_whose_sync_failed_is_overwritten_before_the_journal_goes_on_elsewhere() {
    type Leave = fn(&mut Journal);
    let ways: [(Leave, u64); 2] = [
        (|journal| assert!(journal.switch().unwrap()), 2),
        (|journal| journal.restart().unwrap(), 2),
    ];
    for (leave, waits) in ways {
        let (disk, mut journal) = made();
        disk.set(Fault::PowerGoesAt(disk.operations() + 2));
        assert!(journal.append(&frame(LeafHash::default(), 1..=1)).is_err());
        disk.set(Fault::None);
        assert_eq!(found(&journal), [(1, 1)], "it is there nevertheless");
        let before = disk.operations();
        leave(&mut journal);
        assert_eq!(found(&journal), []);
        assert_eq!(disk.operations() - before, waits, "it is overwritten, and waited for");
        leave(&mut journal);
        assert_eq!(disk.operations() - before, waits, "once is enough");
    }
}

#[test]
fn a_probe_stays_in_its_segment() {
    for (at, overwritten) in [(SEGMENT, false), (SEGMENT - SECTOR, true)] {
        let (disk, mut journal) = made();
        journal.append(&vec![0; at as usize]).unwrap();
        disk.change(1, |bytes| bytes[SECTOR as usize..].fill(9));
        journal.probe().unwrap();
        let mut last = [0; 2];
        journal_bytes(&disk, SEGMENT, &mut last[..1]);
        journal_bytes(&disk, SECTOR + SEGMENT, &mut last[1..]);
        assert_eq!(last, [if overwritten { 0 } else { 9 }, 9], "at {at}");
    }
}

fn journal_bytes(disk: &Disk, at: u64, out: &mut [u8]) {
    use redb::StorageBackend;
    disk.journal().unwrap().read(at, out).unwrap();
}

#[test]
fn a_segment_is_left_only_for_one_that_is_free() {
    let (disk, mut journal) = made();
    assert!(journal.switch().unwrap());
    journal.append(&frame(LeafHash::default(), 1..=1)).unwrap();
    let first = journal.frames().unwrap().remove(0);
    assert_eq!(first.segment, 0, "an empty segment is not left");
    assert!(journal.switch().unwrap());
    assert!(journal.is_in_other_segment(&first));
    journal.append(&frame(leaf(1), 2..=2)).unwrap();
    assert!(!journal.switch().unwrap(), "the other one is not taken over yet");
    assert_eq!(found(&journal), [(1, 1), (2, 2)]);

    // The same after it was opened again.
    let mut again = opened(&disk).unwrap();
    let frames = again.read(0, LeafHash::default()).unwrap();
    again.resume(&frames);
    assert!(!again.switch().unwrap());
    again.append(&frame(leaf(2), 3..=3)).unwrap();
    assert_eq!(found(&again), [(1, 1), (2, 2), (3, 3)], "it goes on behind the last frame");
    again.release();
    assert!(again.switch().unwrap());
    again.restart().unwrap();
    assert!(again.fits(SEGMENT as usize), "all is taken over: it begins anew");
}

/// So that a full disk still takes what stops an agent.
#[cfg(unix)]
#[test]
fn the_journals_space_is_reserved_when_the_store_is_made() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    drop(Store::create(folder.path().join("store")).unwrap());
    let journal = std::fs::metadata(folder.path().join("store.journal")).unwrap();
    assert_eq!(journal.len(), SECTOR + 2 * SEGMENT);
    assert!(journal.blocks() * 512 >= 2 * SEGMENT, "{} blocks", journal.blocks());
}

#[test]
fn a_store_is_made_with_a_journal_that_is_on_disk() {
    let disk = Disk::default();
    drop(opening::make(Arc::new(disk.clone())).unwrap());
    let found = disk.after_power_loss(&mut crate::store::tests::Dice(3));
    assert!(opening::open(Arc::new(found)).is_ok());
}
