//! Files that are not what they were: refused, or harmless; never opened as something less.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::store::tests::disk::Disk;
use crate::store::tests::{Dice, NOW, id, record, repeated, revoking};
use crate::store::{Store, StoreError, opening};

const RECORDS: u64 = 60;

/// A store of some records, every third a revocation, closed or with the last ones in the journal.
fn filled(closed: bool) -> Disk {
    let disk = Disk::default();
    let store = Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap();
    for number in 1..=RECORDS {
        match number % 3 {
            0 => drop(store.revoke(revoking(number), NOW).unwrap()),
            _ => drop(record(&store, number).unwrap()),
        }
        if number == RECORDS / 2 {
            store.checkpoint().unwrap();
        }
    }
    if closed {
        drop(store);
        return disk;
    }
    // As a process leaves it that is killed.
    let left = disk.copy();
    drop(store);
    left
}

/// What a damaged store comes to: what is missing, if it opens.
fn outcome(disk: &Disk) -> Result<Vec<String>, StoreError> {
    let store = Store::start(opening::open(Arc::new(disk.clone()))?)?;
    let mut missing = Vec::new();
    let verified = store.reader().verify()?;
    if verified.records < RECORDS {
        missing.push(format!("{} records", RECORDS - verified.records));
    }
    let lost = (1..=RECORDS).filter(|number| number % 3 == 0);
    let lost = lost.filter(|number| !store.revocations().contains(&id(*number)));
    missing.extend(lost.map(|number| format!("revocation {number}")));
    Ok(missing)
}

fn damage(disk: &Disk, dice: &mut Dice) -> String {
    let part = dice.below(2);
    let kind = dice.below(5);
    let mut said = String::new();
    disk.change(part, |bytes| {
        // Most of a journal is empty; what is there begins it.
        let len = if part == 1 { 64 * 1024 } else { bytes.len() as u64 };
        let at = dice.below(len) as usize;
        match kind {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => {
                let page = at / 4096 * 4096;
                let end = (page + 4096).min(bytes.len());
                bytes[page..end].fill(0);
            }
            2 => bytes.truncate(at),
            3 => {
                let end = (at + 64).min(bytes.len());
                bytes[at..end].iter_mut().for_each(|byte| *byte = dice.next() as u8);
            }
            _ => {
                let other = dice.below(len) as usize / 4096 * 4096;
                let page = at / 4096 * 4096;
                if other + 4096 <= bytes.len() && page + 4096 <= bytes.len() {
                    bytes.copy_within(other..other + 4096, page);
                }
            }
        }
        said = format!("kind {kind} at {at} of part {part}");
    });
    said
}

#[test]
fn damage_is_refused_or_harmless() {
    let times = repeated("HARDTACK_CORRUPTIONS", 300);
    let mut dice = Dice(3);
    let (closed, killed) = (filled(true), filled(false));
    let (mut refused, mut harmless) = (0, 0);
    for time in 0..times {
        let crashed = time % 4 == 0;
        let disk = if crashed { killed.copy() } else { closed.copy() };
        let said = damage(&disk, &mut dice);
        let outcome = catch_unwind(AssertUnwindSafe(|| outcome(&disk)));
        match outcome.unwrap_or_else(|_| panic!("{said}: it panics")) {
            Err(_) => refused += 1,
            Ok(missing) if missing.is_empty() => harmless += 1,
            // The last frame of a journal that was not closed may be one that was never finished:
            // nobody can tell. What comes before it, the next frame proves.
            Ok(missing) if crashed && missing.len() == 1 => harmless += 1,
            Ok(missing) => panic!("{said}: opened without {missing:?}"),
        }
    }
    println!("{refused} refused, {harmless} harmless");
    assert!(refused > 0 && harmless > 0);
}

#[test]
fn every_part_is_needed_and_must_be_this_stores() {
    let disk = filled(true);
    let other = filled(true);
    let error = |change: &dyn Fn(&Disk)| {
        let disk = disk.copy();
        change(&disk);
        outcome(&disk).expect_err("opened").to_string()
    };
    assert!(error(&|disk| disk.change(0, Vec::clear)).contains("the file is empty"));
    assert!(error(&|disk| disk.change(1, Vec::clear)).contains("of its journal: it is empty"));
    assert!(error(&|disk| disk.change_checkpoint(|text| *text = None)).contains("is missing"));
    let swapped = error(&|disk| {
        disk.change_checkpoint(|text| *text = opening_checkpoint(&other));
    });
    assert!(swapped.contains("of its checkpoint"), "{swapped}");
    let mut theirs = Vec::new();
    other.change(1, |bytes| theirs = bytes.clone());
    let swapped = error(&|disk| disk.change(1, |bytes| bytes.clone_from(&theirs)));
    assert!(swapped.contains("belongs to another store"), "{swapped}");
}

fn opening_checkpoint(disk: &Disk) -> Option<String> {
    use crate::store::site::Site;
    disk.checkpoint().unwrap()
}

#[test]
fn an_older_copy_is_refused_as_rolled_back() {
    let disk = filled(true);
    let old = disk.copy();
    let store = Store::start(opening::open(Arc::new(disk.clone())).unwrap()).unwrap();
    store.revoke(revoking(1_000), NOW).unwrap();
    drop(store);
    let newest = opening_checkpoint(&disk);
    old.change_checkpoint(|text| *text = newest);
    let error = outcome(&old).unwrap_err();
    assert!(matches!(error, StoreError::RolledBack { .. }), "{error}");
    // The database alone is older than the journal's frames.
    let mut bytes = Vec::new();
    old.change(0, |old| bytes.clone_from(old));
    disk.change(0, |new| *new = bytes);
    assert!(outcome(&disk).is_err() || outcome(&disk).unwrap().is_empty());
}
