//! What every engine must hold, of a store that loses power at every restart; and what one from before events were counted answers.

use std::sync::Arc;

use redb::{Database, ReadableDatabase};

use crate::audit::{Lineage, Records, Uses};
use crate::pending::wait;
use crate::revocation::{Events, Position, Receipt, RequestId, RevocationLog};
use crate::store::schema::{EVENTS, META, REQUESTS, STATE};
use crate::store::site::Site;
use crate::store::tests::disk::{Disk, Fault};
use crate::store::tests::{Dice, NOW, id, revoking};
use crate::store::{Store, StoreError, opening};
use crate::testing::{Engine, LeftOut, conform, lineage, records, revocations, uses};
use crate::timestamp::Timestamp;

struct Powered {
    disk: Disk,
    store: Option<Store>,
    dice: Dice,
}

impl Powered {
    fn new() -> Powered {
        let disk = Disk::default();
        let store = Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap();
        Powered { disk, store: Some(store), dice: Dice(7) }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn lose_power(&mut self) {
        self.disk.set(Fault::PowerGoesAt(self.disk.operations()));
        self.store = None;
        self.disk = self.disk.after_power_loss(&mut self.dice);
        let opened = opening::open(Arc::new(self.disk.clone())).unwrap();
        self.store = Some(Store::start(opened).unwrap());
    }
}

macro_rules! engines {
    ($($joint:ty),*) => {$(
        impl Engine<$joint> for Powered {
            fn joint(&self) -> Arc<$joint> {
                Arc::new(self.store().clone())
            }

            fn restart(&mut self) -> Result<(), LeftOut> {
                self.lose_power();
                Ok(())
            }

            fn forget(&mut self, now: Timestamp) -> Result<(), LeftOut> {
                match self.store().collect(now) {
                    Ok(_) | Err(StoreError::Clock(_)) => {}
                    Err(error) => panic!("{error}"),
                }
                self.store().checkpoint().unwrap();
                Ok(())
            }
        }
    )*};
}

engines!(dyn Uses, dyn Records, dyn Lineage, dyn RevocationLog);

#[test]
fn every_joint_conforms_where_the_power_goes() {
    const NONE: [&str; 0] = [];
    assert_eq!(conform(uses::CASES, || Box::new(Powered::new())), NONE);
    assert_eq!(conform(records::CASES, || Box::new(Powered::new())), NONE);
    assert_eq!(conform(lineage::CASES, || Box::new(Powered::new())), NONE);
    assert_eq!(conform(revocations::CASES, || Box::new(Powered::new())), NONE);
}

/// Takes out of the database what stores had not before events were counted.
fn made_before(disk: &Disk) {
    rewritten_before(disk);
    let database = Database::builder().create_with_backend(disk.database().unwrap()).unwrap();
    let writing = database.begin_write().unwrap();
    writing.delete_table(EVENTS).unwrap();
    writing.delete_table(REQUESTS).unwrap();
    writing.commit().unwrap();
}

/// Has the state written by a program that does not know of events and requests, and leaves their tables.
fn rewritten_before(disk: &Disk) {
    let database = Database::builder().create_with_backend(disk.database().unwrap()).unwrap();
    let text = {
        let reading = database.begin_read().unwrap();
        let meta = reading.open_table(META).unwrap();
        meta.get(STATE).unwrap().unwrap().value().to_vec()
    };
    let mut state: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let members = state.as_object_mut().unwrap();
    assert!(members.remove("events").is_some() && members.remove("log").is_some());
    let rows = members["rows"].as_object_mut().unwrap();
    assert!(rows.remove("events").is_some() && rows.remove("requests").is_some());
    let writing = database.begin_write().unwrap();
    let text = serde_json::to_vec(&state).unwrap();
    writing.open_table(META).unwrap().insert(STATE, text.as_slice()).unwrap();
    writing.commit().unwrap();
}

/// What an older program did meanwhile is in no table of events.
#[test]
fn a_store_that_an_older_program_wrote_meanwhile_opens_and_begins_its_events_anew() {
    let disk = Disk::default();
    let store = Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap();
    let open = || Store::start(opening::open(Arc::new(disk.clone())).unwrap()).unwrap();
    let append = |store: &Store, number, request| {
        wait(RevocationLog::append(store, vec![revoking(number)], request, NOW)).unwrap()
    };
    let request = RequestId::random();
    append(&store, 1, request);
    store.revoke_all((2..5).map(revoking).collect(), NOW).unwrap();
    let mut heads = vec![wait(store.head()).unwrap()];
    drop(store);
    for revoked in [5, 6] {
        rewritten_before(&disk);
        let store = open();
        store.reader().verify().unwrap();
        for head in &heads {
            let read = RevocationLog::read(&store, Position { number: 0, ..*head }, 10);
            assert_eq!(wait(read).unwrap(), Events::Gone, "they take the list");
        }
        let head = wait(store.head()).unwrap();
        assert_eq!(wait(store.list(NOW)).unwrap().revocations.len() as u64, revoked - 1);
        let receipts = append(&store, revoked, request);
        assert_eq!(receipts, [Receipt::Revoked { sequence: revoked }], "the request is a new one");
        let Events::Next(events) = wait(RevocationLog::read(&store, head, 10)).unwrap() else {
            panic!("gone");
        };
        assert_eq!(events.iter().map(|event| event.number).collect::<Vec<_>>(), [2]);
        store.reader().verify().unwrap();
        drop(store);
        let store = open();
        assert_eq!(wait(store.head()).unwrap(), Position { number: 2, ..head });
        assert_eq!(append(&store, revoked, request), receipts);
        heads.push(head);
    }
}

#[test]
fn a_store_from_before_opens_and_what_was_revoked_then_is_listed_and_gone_to_readers() {
    let disk = Disk::default();
    let store = Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap();
    store.revoke(revoking(1), NOW).unwrap();
    store.close().unwrap();
    drop(store);
    made_before(&disk);
    let open = || Store::start(opening::open(Arc::new(disk.clone())).unwrap()).unwrap();
    let store = open();
    let head = wait(store.head()).unwrap();
    assert_eq!(head.number, 1);
    let read = |store: &Store, number| {
        wait(RevocationLog::read(store, Position { number, ..head }, 10)).unwrap()
    };
    assert_eq!(read(&store, 0), Events::Gone);
    assert_eq!(read(&store, 1), Events::Next(Vec::new()));
    assert_eq!(wait(store.list(NOW)).unwrap().revocations.len(), 1);
    store.revoke(revoking(2), NOW).unwrap();
    store.close().unwrap();
    drop(store);
    let store = open();
    assert!(store.revocations().contains(&id(1)) && store.revocations().contains(&id(2)));
    assert_eq!(wait(store.head()).unwrap(), Position { number: 2, ..head });
    assert_eq!(read(&store, 0), Events::Gone);
    let Events::Next(events) = read(&store, 1) else { panic!("gone") };
    assert_eq!(events.iter().map(|event| event.number).collect::<Vec<_>>(), [2]);
}

/// Events of many runs, with decisions in between, from any place and in parts of any length.
#[test]
fn events_in_many_runs_are_read_from_any_place() {
    let store = Store::in_memory().unwrap();
    for number in 0..30 {
        store.revoke(revoking(number), NOW).unwrap();
        if number % 3 == 0 {
            super::record(&store, number).unwrap();
        }
        if number % 7 == 0 {
            store.checkpoint().unwrap();
        }
    }
    let head = wait(store.head()).unwrap();
    assert_eq!(head.number, 30);
    for number in 0..=30 {
        for at_most in [1, 2, 5, 100] {
            let read =
                wait(RevocationLog::read(&store, Position { number, ..head }, at_most)).unwrap();
            let Events::Next(events) = read else { panic!("gone") };
            let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
            let expected: Vec<u64> = (number + 1..=30).take(at_most).collect();
            assert_eq!(numbers, expected, "{number} {at_most}");
        }
    }
}

/// Whoever waits for more of a store that is closed meanwhile, or was closed before, does not wait for ever.
#[test]
fn nobody_waits_for_a_closed_store() {
    let store = Store::in_memory().unwrap();
    let (head, hours) = (wait(store.head()).unwrap(), std::time::Duration::from_secs(7200));
    std::thread::scope(|scope| {
        scope.spawn(|| wait(store.wait(head, hours)));
        std::thread::sleep(std::time::Duration::from_millis(20));
        store.close().unwrap();
    });
    wait(store.wait(head, hours));
    assert!(wait(store.head()).is_err() && wait(RevocationLog::read(&store, head, 1)).is_err());
}
