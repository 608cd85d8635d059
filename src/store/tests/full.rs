//! A disk that is full but for the room that the journal has.

use std::sync::Arc;

use crate::audit::{Ledger, Recorded};
use crate::store::tests::disk::{Disk, Fault};
use crate::store::tests::{NOW, decision, entry, id, once, record, revoking};
use crate::store::{Store, StoreError, opening};

fn open(disk: &Disk) -> Store {
    Store::start(opening::open(Arc::new(disk.clone())).unwrap()).unwrap()
}

/// A store on such a disk, in which decisions can no longer be recorded; and how many were.
fn filled() -> (Disk, Store, u64) {
    let disk = Disk::default();
    let store = Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap();
    store.revoke(revoking(1), NOW).unwrap();
    store.checkpoint().unwrap();
    disk.set(Fault::FullButForJournal);
    let recorded = (0..100_000).take_while(|number| record(&store, *number).is_some()).count();
    (disk, store, recorded as u64)
}

/// A decision that allows a revocation, as the gateway records it first.
fn allow_revocation(store: &Store, number: u64) -> Option<u64> {
    let mut decision = decision(NOW, number);
    decision.operation = crate::revoke::REVOKE.to_owned();
    decision.precedes_revocation = true;
    match store.record(entry(decision, Some(once(number, NOW)))) {
        Ok(Recorded::AsDecided { sequence }) => Some(sequence),
        _ => None,
    }
}

#[test]
fn the_reserve_is_for_revocations_and_the_decisions_that_allow_them() {
    let (disk, store, recorded) = filled();
    assert!(recorded > 100, "{recorded}");
    let mut refused = decision(NOW, 1);
    refused.operation = crate::revoke::REVOKE.to_owned();
    let asking = refused.clone();
    assert!(
        store.record(entry(asking, None)).is_err(),
        "what no revocation follows has no room there"
    );
    refused.precedes_revocation = true;
    refused.verdict = crate::audit::Verdict::Deny;
    assert!(store.record(entry(refused, None)).is_err(), "what allows nothing has none either");
    let pairs = (10..100_000)
        .take_while(|number| {
            allow_revocation(&store, *number).is_some()
                && store.revoke(revoking(*number), NOW).is_ok()
        })
        .count() as u64;
    assert!(pairs >= 40, "{pairs}");
    // What was kept for revocations alone is still there.
    store.revoke(revoking(5), NOW).unwrap();
    assert!(record(&store, 0).is_none());
    assert!(matches!(
        store.record(entry(decision(NOW, 1), Some(once(10, NOW)))),
        Err(crate::audit::LedgerUnavailable(_))
    ));
    disk.set(Fault::None);
    wait_until_ready(&store);
    let found = store.reader().verify().unwrap();
    assert_eq!(found.revocations, pairs + 2);
    assert!(found.records >= recorded + 2 * pairs + 2);
    assert!(matches!(
        store.record(entry(decision(NOW, 1), Some(once(10, NOW)))),
        Ok(Recorded::AsReplayed { .. })
    ));
}

/// Frames as large as they become, of two decisions each: were the reserve not counted, the last would leave room for some
/// ten revocations.
#[test]
fn decisions_of_any_size_and_way_leave_the_reserve() {
    let large = |number| {
        let mut decision = decision(NOW, number);
        decision.message = "m".repeat(125_000);
        decision
    };
    let at_once = |store: &Store, number| {
        let (told, answers) = std::sync::mpsc::channel();
        for number in [number, number + 1] {
            let told = told.clone();
            let done = move |recorded: Result<_, _>| told.send(recorded.is_ok()).unwrap();
            store.record_later(entry(large(number), None), Box::new(done));
        }
        let answers: Vec<bool> = answers.iter().take(2).collect();
        answers.iter().all(|is_recorded| *is_recorded)
    };
    let in_turn = |store: &Store, number| {
        [number, number + 1].iter().all(|number| store.record(entry(large(*number), None)).is_ok())
    };
    for buffered in [false, true] {
        for record_two in [&at_once as &dyn Fn(&Store, u64) -> bool, &in_turn] {
            let disk = Disk::default();
            let store = Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap();
            let store = if buffered { store.losing_at_most(10) } else { store };
            disk.set(Fault::FullButForJournal);
            let recorded = (0..60).step_by(2).filter(|number| record_two(&store, *number)).count();
            assert!((2..20).contains(&recorded), "{recorded}, {buffered}");
            let pairs = (1000..2000)
                .take_while(|number| {
                    allow_revocation(&store, *number).is_some()
                        && store.revoke(revoking(*number), NOW).is_ok()
                })
                .count();
            assert!(pairs >= 30, "{pairs} after {recorded}, {buffered}");
        }
    }
}

/// Each copy of the disk is what a killed process leaves.
#[test]
fn a_store_opens_on_a_full_disk_after_every_kill_and_revokes() {
    let (mut disk, mut store, recorded) = filled();
    for number in 10..22 {
        allow_revocation(&store, number).unwrap();
        let between = disk.copy();
        store.revoke(revoking(number), NOW).unwrap();
        let after = disk.copy();
        between.set(Fault::FullButForJournal);
        let opened = open(&between);
        assert!(!opened.revocations().contains(&id(number)));
        opened.revoke(revoking(number), NOW).unwrap();
        assert!(record(&opened, 0).is_none());
        after.set(Fault::FullButForJournal);
        // Half of the time the process ends in peace, half of the time it is killed.
        if number % 2 == 0 {
            drop(store);
        } else {
            std::mem::forget(store);
        }
        store = open(&after);
        disk = after;
        assert!((10..=number).all(|number| store.revocations().contains(&id(number))));
        assert!(store.ready().is_err());
        assert!(record(&store, 0).is_none(), "what must be recorded is refused");
    }
    disk.set(Fault::None);
    wait_until_ready(&store);
    assert!(record(&store, 0).is_some());
    drop(store);
    let found = open(&disk).reader().verify().unwrap();
    assert_eq!((found.revocations, found.records), (13, recorded + 1 + 24 + 1));
}

#[test]
fn many_revocations_at_once_fit_into_the_reserve_or_are_refused_whole() {
    let (disk, store, _) = filled();
    let all =
        |numbers: std::ops::Range<u64>| store.revoke_all(numbers.map(revoking).collect(), NOW);
    assert_eq!(all(100..180).unwrap().len(), 80);
    let error = all(1000..5000).unwrap_err();
    assert!(matches!(error, StoreError::NotRevoked(_)), "{error}");
    assert!(error.to_string().contains("revoke fewer at once"), "{error}");
    assert!(!store.revocations().contains(&id(1000)));
    let killed = disk.copy();
    killed.set(Fault::FullButForJournal);
    let store = open(&killed);
    assert!((100..180).all(|number| store.revocations().contains(&id(number))));
    killed.set(Fault::None);
    wait_until_ready(&store);
    assert_eq!(store.reader().verify().unwrap().revocations, 81);
}

/// The first that finds the disk full goes to the database, which leaves in doubt what became of it.
#[test]
fn many_revocations_at_once_are_made_when_the_disk_is_just_full() {
    let disk = Disk::default();
    let store = Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap();
    disk.set(Fault::FullButForJournal);
    store.revoke_all((100..180).map(revoking).collect(), NOW).unwrap();
    store.revoke(revoking(1), NOW).unwrap();
    disk.set(Fault::None);
    wait_until_ready(&store);
    assert_eq!(store.reader().verify().unwrap().revocations, 81);
}

/// It recovers within a second or two; a minute is for a machine that is busy.
fn wait_until_ready(store: &Store) {
    for _ in 0..600 {
        if store.ready().is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("it does not recover: {:?}", store.ready());
}
