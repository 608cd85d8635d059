//! Who waits for the disk, and for whom: decisions that are answered before they are written, and others.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::{Ledger, Uses};
use crate::pending::wait;
use crate::store::queue::{Queue, Turn};
use crate::store::tests::disk::{Disk, Fault};
use crate::store::tests::{Dice, NOW, decision, entry, once, record, revoking};
use crate::store::{Store, commit, opening};

/// Long enough for a thread to do what it is not to do.
const A_WHILE: Duration = Duration::from_millis(100);

/// Whether something comes to be so, before a machine that is busy needs longer.
fn soon(is_so: impl Fn() -> bool) -> bool {
    (0..2000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        is_so()
    })
}

/// Whether all that was answered is on disk.
fn is_written(store: &Store) -> bool {
    let core = store.inner().core();
    core.unwritten.is_empty() && core.in_flight.is_empty()
}

fn store(disk: &Disk) -> Store {
    Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap()
}

#[test]
fn nobody_waits_for_the_disk_until_as_many_wait_as_may_be_lost() {
    const AT_MOST: u64 = 150;
    let disk = Disk::default();
    let store = store(&disk);
    let buffered = store.clone().losing_at_most(AT_MOST as usize);
    disk.set(Fault::JournalTakesLong);
    // Half of them, and the thread is at work; none is on disk.
    let sequences: Vec<u64> =
        (0..AT_MOST).map(|number| record(&buffered, number).unwrap()).collect();
    assert_eq!(sequences, (1..=AT_MOST).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        let one_more = scope.spawn(|| record(&buffered, AT_MOST));
        let revoked = scope.spawn(|| store.revoke(revoking(1), NOW));
        std::thread::sleep(A_WHILE);
        assert!(!one_more.is_finished(), "more would be lost than was said");
        assert!(!revoked.is_finished(), "a revocation is answered when it is on disk");
        disk.set(Fault::None);
        one_more.join().unwrap().unwrap();
        revoked.join().unwrap().unwrap();
    });
    // What was answered first is on disk with the revocation.
    let left = disk.after_power_loss(&mut Dice(7));
    let found = Store::start(opening::open(Arc::new(left)).unwrap()).unwrap();
    let verified = found.reader().verify().unwrap();
    assert!(verified.records > AT_MOST, "{}", verified.records);
    assert_eq!(verified.revocations, 1);
}

#[test]
fn what_could_not_be_written_is_written_later_in_its_order() {
    let disk = Disk::default();
    let store = store(&disk).losing_at_most(1000);
    for (round, fault) in [Fault::Full, Fault::Panics].into_iter().enumerate() {
        disk.set(fault);
        (0..80).for_each(|number| assert!(record(&store, number).is_some()));
        // Twice as long as any may wait.
        std::thread::sleep(2 * A_WHILE);
        disk.set(Fault::None);
        store.revoke(revoking(round as u64), NOW).unwrap();
        let verified = store.reader().verify().unwrap();
        assert_eq!(verified.records, 81 * (round as u64 + 1));
    }
    drop(store);
    let found = Store::start(opening::open(Arc::new(disk)).unwrap()).unwrap();
    assert_eq!(found.reader().verify().unwrap().records, 162);
}

#[test]
fn of_many_that_wait_for_room_one_makes_it() {
    const CALLERS: u64 = 16;
    let disk = Disk::default();
    let store = store(&disk);
    let inner = store.inner();
    let before = {
        let alone = inner.folding.lock().unwrap();
        let full = || !commit::has_room(&inner.core());
        (0..10_000)
            .take_while(|_| !full())
            .for_each(|number| assert!(record(&store, number).is_some()));
        assert!(full());
        std::thread::scope(|scope| {
            for number in 0..CALLERS {
                let buffered = store.clone().losing_at_most(1 + 1000 * (number as usize % 2));
                scope.spawn(move || record(&buffered, number).unwrap());
            }
            std::thread::sleep(A_WHILE);
            let before = disk.checkpoints();
            drop(alone);
            before
        })
    };
    // That of the thread, which was woken for it, and that of one of them.
    let made = disk.checkpoints() - before;
    assert!((1..=4).contains(&made), "{made} for {CALLERS}");
}

/// Those who hand over jobs may do so all the time.
#[test]
fn what_waited_its_time_is_written_before_a_lead_and_keeps_none_from_its_turn() {
    let queue = Queue::default();
    let is_due_again = || {
        queue.write_soon();
        // Twice as long as any may wait.
        std::thread::sleep(2 * A_WHILE);
    };
    is_due_again();
    queue.summon(&mut queue.waiters());
    assert!(matches!(queue.turn(), Turn::WriteAll), "it waited its time");
    is_due_again();
    assert!(matches!(queue.turn(), Turn::Lead), "a slow disk is not for one alone");
    queue.summon(&mut queue.waiters());
    assert!(matches!(queue.turn(), Turn::WriteAll), "nor for the other");
    assert!(matches!(queue.turn(), Turn::Lead));
}

/// Nobody calls the thread again for what it could not write, since no more is recorded.
#[test]
fn what_could_not_be_written_is_as_soon_as_the_journal_can_be_though_the_database_cannot() {
    let disk = Disk::default();
    let store = store(&disk).losing_at_most(10);
    disk.set(Fault::FullButForJournal);
    store.revoke(revoking(1), NOW).unwrap();
    store.checkpoint().unwrap_err();
    disk.set(Fault::Full);
    (0..3).for_each(|number| assert!(record(&store, number).is_some()));
    assert!(soon(|| store.inner().trouble().journal.is_some()), "nobody tried");
    assert!(!is_written(&store));
    disk.set(Fault::FullButForJournal);
    assert!(soon(|| is_written(&store)), "it waits for the database");
    let left = disk.after_power_loss(&mut Dice(8));
    let found = Store::start(opening::open(Arc::new(left)).unwrap()).unwrap();
    assert_eq!(found.reader().verify().unwrap().records, 4);
}

#[test]
fn what_was_answered_waits_neither_for_a_fold_nor_for_a_transaction() {
    let disk = Disk::default();
    let store = store(&disk).losing_at_most(10);
    let presentation = once(1, NOW);
    let folding = store.inner().folding.lock().unwrap();
    (0..3).for_each(|number| assert!(record(&store, number).is_some()));
    // From here on the thread that writes waits for the database.
    let claimed = store.claim(&presentation, NOW);
    assert!(soon(|| is_written(&store)), "it waits for a fold");
    (3..6).for_each(|number| assert!(record(&store, number).is_some()));
    disk.set(Fault::FullButForJournal);
    drop(folding);
    wait(claimed).unwrap_err();
    let left = disk.after_power_loss(&mut Dice(9));
    let found = Store::start(opening::open(Arc::new(left)).unwrap()).unwrap();
    assert_eq!(found.reader().verify().unwrap().records, 6, "it waits for a transaction");
}

/// By the thread that folds, and by whoever asks for a checkpoint.
#[test]
fn while_it_is_tried_whether_the_journal_can_be_written_again_nobody_waits_for_the_disk() {
    for by_checkpoint in [false, true] {
        let disk = Disk::default();
        let store = store(&disk).losing_at_most(10);
        store.revoke(revoking(1), NOW).unwrap();
        disk.set(Fault::Full);
        store.revoke(revoking(2), NOW).unwrap_err();
        disk.set(Fault::JournalTakesLong);
        std::thread::scope(|scope| {
            if by_checkpoint {
                scope.spawn(|| store.checkpoint());
            }
            let is_taken = || store.inner().try_core().is_none();
            let is_held = || {
                (0..50).all(|_| {
                    std::thread::sleep(Duration::from_millis(1));
                    is_taken()
                })
            };
            let held = soon(is_held);
            let hand_over = || store.record_later(entry(decision(NOW, 1), None), Box::new(|_| {}));
            let handing_over = scope.spawn(hand_over);
            let handed_over = soon(|| handing_over.is_finished());
            disk.set(Fault::None);
            assert!(held, "it is not tried");
            assert!(handed_over, "by a checkpoint: {by_checkpoint}");
        });
    }
}
