//! What failed was never answered, and what was answered long ago is known no more: what is asked again is done.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use crate::audit::{Ledger, Recorded};
use crate::pending::wait;
use crate::revocation::{REQUESTS_KEPT, Receipt, RequestId, Revocation, RevocationLog, Revoking};
use crate::store::commit::Job;
use crate::store::core::Revoke;
use crate::store::queue::{Heard, Reply, Waiting};
use crate::store::tests::disk::{Disk, Fault};
use crate::store::tests::outage::wait_until_ready;
use crate::store::tests::{NOW, decision, entry, id, once, revoking};
use crate::store::{Store, opening};

fn store(disk: &Disk) -> Store {
    Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap()
}

/// A batch that waits to be revoked under a request, and where its answer will be heard.
fn waiting(batch: Vec<Revoking>, request: RequestId) -> (Waiting, Receiver<Heard>) {
    let (word, heard) = sync_channel(2);
    let job = Job::Revoke(Revoke { revoking: batch, request: Some(request), now: NOW });
    (Waiting { job, reply: Reply::Waits(word) }, heard)
}

fn append(store: &Store, batch: Vec<Revoking>, request: RequestId) -> Vec<Receipt> {
    wait(RevocationLog::append(store, batch, request, NOW)).unwrap()
}

#[test]
fn what_another_request_of_a_failed_frame_would_have_revoked_is_not_revoked_already() {
    let disk = Disk::default();
    let store = store(&disk);
    store.revoke(revoking(1), NOW).unwrap();
    let requests = [RequestId::random(), RequestId::random(), RequestId::random()];
    let batches = [2, 2, 1].map(|number| vec![revoking(number)]);
    disk.set(Fault::Full);
    let (jobs, heard): (Vec<_>, Vec<_>) = batches
        .iter()
        .cloned()
        .zip(requests)
        .map(|(batch, request)| waiting(batch, request))
        .unzip();
    store.inner().commit(&mut VecDeque::from(jobs));
    let answers = heard.iter().map(|heard| match heard.recv().unwrap() {
        Heard::Done(answer) => answer.is_ok(),
        Heard::Lead => panic!("nobody is to lead"),
    });
    // What was in force before still is.
    assert_eq!(answers.collect::<Vec<_>>(), [false, false, true]);

    disk.set(Fault::None);
    wait_until_ready(&store);
    let receipts = append(&store, batches[1].clone(), requests[1]);
    assert!(matches!(receipts[..], [Receipt::Revoked { .. }]), "{receipts:?}");
    assert!(store.revocations().contains(&id(2)));
    let receipts = append(&store, batches[0].clone(), requests[0]);
    assert!(matches!(receipts[..], [Receipt::AlreadyRevoked { .. }]), "{receipts:?}");
    // What was answered stays answered: the request is taken for nothing else.
    let other = RevocationLog::append(&store, vec![revoking(3)], requests[2], NOW);
    assert!(wait(other).is_err());
    assert_eq!(append(&store, batches[2].clone(), requests[2])[0].sequence(), 1);
}

#[test]
fn what_a_panic_took_with_it_is_done_when_it_is_asked_again() {
    for count in [1, 100] {
        let disk = Disk::default();
        let store = store(&disk);
        let batch: Vec<Revoking> = (2..2 + count).map(revoking).collect();
        let request = RequestId::random();
        disk.set(Fault::Panics);
        let (job, heard) = waiting(batch.clone(), request);
        let mut jobs = VecDeque::from([job]);
        let committed = catch_unwind(AssertUnwindSafe(|| match count {
            1 => store.inner().commit(&mut jobs),
            _ => store.inner().commit_bulk(&mut jobs),
        }));
        drop(jobs);
        assert!(!matches!(heard.recv(), Ok(Heard::Done(Ok(_)))), "{committed:?}");
        disk.set(Fault::None);
        wait_until_ready(&store);
        let receipts = append(&store, batch, request);
        assert!(receipts.iter().all(|receipt| matches!(receipt, Receipt::Revoked { .. })));
        assert!(store.revocations().contains(&id(2)));
    }
}

#[test]
fn a_presentation_that_a_panic_took_with_it_was_not_used() {
    let disk = Disk::default();
    let store = store(&disk);
    let record = || store.record(entry(decision(NOW, 1), Some(once(1, NOW))));
    disk.set(Fault::Panics);
    let recorded = catch_unwind(AssertUnwindSafe(record));
    assert!(!matches!(recorded, Ok(Ok(_))), "nothing was recorded");
    disk.set(Fault::None);
    wait_until_ready(&store);
    assert!(matches!(record(), Ok(Recorded::AsDecided { .. })));
}

/// Nothing is forgotten while the clock is in doubt, as it is once it went ahead by days.
#[test]
fn a_request_is_known_for_a_day_whether_or_not_it_was_forgotten() {
    let disk = Disk::default();
    let mut store = store(&disk);
    let alice = Revocation::Subject { subject: "user:alice".to_owned(), root: None };
    let alice = Revoking::new(alice, "tests", "left").unwrap();
    let ask = |store: &Store, request, after: Duration| {
        let asked = RevocationLog::append(store, vec![alice.clone()], request, NOW + after);
        wait(asked).unwrap()
    };
    let days = |days: u32| REQUESTS_KEPT * days;
    let request = RequestId::random();
    for at in [0, 10, 20] {
        let receipts = ask(&store, request, days(at));
        assert!(matches!(receipts[..], [Receipt::Revoked { .. }]), "day {at}: {receipts:?}");
        let almost = days(at + 1) - Duration::from_secs(1);
        assert_eq!(ask(&store, request, almost), receipts, "known until the day is over");
        // The database has it from now on.
        drop(store);
        store = Store::start(opening::open(Arc::new(disk.clone())).unwrap()).unwrap();
        assert_eq!(ask(&store, request, almost), receipts);
    }
    // One that changed nothing is known in memory alone.
    let (request, same_moment) = (RequestId::random(), days(21) - Duration::from_secs(1));
    let unchanged = || ask(&store, request, same_moment);
    ask(&store, RequestId::random(), same_moment);
    assert!(matches!(unchanged()[..], [Receipt::AlreadyRevoked { .. }]));
    assert_eq!(unchanged(), unchanged());
    let anew = ask(&store, request, days(30));
    assert!(matches!(anew[..], [Receipt::Revoked { .. }]), "{anew:?}");
}
