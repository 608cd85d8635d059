//! Somebody edits the database with redb itself, and keeps its checksums and counts right.

use std::sync::Arc;

use redb::{Builder, Database, ReadableDatabase, ReadableTable};

use crate::store::rows::{LOG, Log};
use crate::store::schema::{EVENTS, META, REVOCATIONS, STATE, State, encode, read_state};
use crate::store::site::Site;
use crate::store::tests::disk::Disk;
use crate::store::tests::{NOW, record, revoking};
use crate::store::{Store, StoreError, opening};

const RECORDS: u64 = 9;

fn filled() -> Disk {
    let disk = Disk::default();
    let store = Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap();
    for number in 1..=RECORDS {
        match number % 3 {
            0 => drop(store.revoke(revoking(number), NOW).unwrap()),
            _ => drop(record(&store, number).unwrap()),
        }
    }
    drop(store);
    disk
}

/// The same store after somebody's edit.
fn edited(edit: impl FnOnce(&Database, &mut State)) -> Result<(), StoreError> {
    let disk = filled();
    let database = Builder::new().create_with_backend(disk.database().unwrap()).unwrap();
    let mut state = read_state(&database.begin_read().unwrap()).unwrap();
    edit(&database, &mut state);
    let writing = database.begin_write().unwrap();
    let encoded = encode(&state).unwrap();
    writing.open_table(META).unwrap().insert(STATE, encoded.as_slice()).unwrap();
    writing.commit().unwrap();
    drop(database);
    // What is still in the journal would mend it.
    disk.change(1, |bytes| bytes[512..].fill(0));
    let store = Store::start(opening::open(Arc::new(disk))?)?;
    store.reader().verify().map(drop)
}

/// Changes the row of a record.
fn rewrite(database: &Database, sequence: u64, change: impl FnOnce(&mut Vec<u8>)) {
    let writing = database.begin_write().unwrap();
    {
        let mut log = writing.open_table(LOG).unwrap();
        let mut row = log.get(sequence).unwrap().unwrap().value().to_vec();
        change(&mut row);
        log.insert(sequence, row.as_slice()).unwrap();
    }
    writing.commit().unwrap();
}

#[test]
fn an_untouched_store_is_as_it_was_signed() {
    edited(|_, _| {}).unwrap();
}

#[test]
fn every_byte_of_every_record_counts() {
    for sequence in 1..=RECORDS {
        let error = edited(|database, _| {
            rewrite(database, sequence, |row| {
                let last = row.len() - 3;
                row[last] ^= 1;
            });
        });
        assert!(error.is_err(), "the text of record {sequence}");
        let error = edited(|database, _| rewrite(database, sequence, |row| row[5] ^= 1));
        assert!(error.is_err(), "the hashes of record {sequence}");
    }
}

#[test]
fn a_revocation_that_was_taken_out_of_the_table_is_missed() {
    let taken_out = edited(|database, state| {
        let writing = database.begin_write().unwrap();
        writing.open_table(REVOCATIONS).unwrap().remove(3).unwrap();
        writing.commit().unwrap();
        state.rows.revocations -= 1;
    });
    let error = taken_out.unwrap_err().to_string();
    assert!(error.contains("the revocations in force are not those of the records"), "{error}");
}

#[test]
fn a_log_that_was_cut_or_counted_anew_is_refused() {
    let cut = edited(|database, state| {
        let writing = database.begin_write().unwrap();
        writing.open_table(LOG).unwrap().remove(RECORDS).unwrap();
        writing.open_table(REVOCATIONS).unwrap().remove(RECORDS).unwrap();
        writing.commit().unwrap();
        let reading = database.begin_read().unwrap();
        let json = Log::open(&reading).unwrap().unchanged(RECORDS - 1).unwrap().unwrap();
        state.records -= 1;
        state.rows.revocations -= 1;
        state.last = crate::audit::LeafHash::of(&json);
    });
    assert!(matches!(cut.unwrap_err(), StoreError::RolledBack { records: 8, signed: 9, .. }));
    assert!(matches!(edited(|_, state| state.records += 1), Err(StoreError::Damaged { .. })));
    assert!(matches!(edited(|_, state| state.rows.seen += 1), Err(StoreError::Damaged { .. })));
    let older = edited(|_, state| state.epoch = 0).unwrap_err().to_string();
    assert!(older.contains("of a later epoch"), "{older}");
}

/// Whoever follows the log of revocations would miss one.
#[test]
fn events_that_are_not_those_of_the_records_are_found() {
    for (number, sequence) in [(1, 4), (2, 5), (3, 10)] {
        let error = edited(|database, _| {
            let writing = database.begin_write().unwrap();
            writing.open_table(EVENTS).unwrap().insert(number, sequence).unwrap();
            writing.commit().unwrap();
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains("the events of the log of revocations"), "{error}");
    }
}
