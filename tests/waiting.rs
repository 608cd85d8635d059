//! What waits for a disk, in asynchronous programs: no thread of the runtime waits, and what is dropped is not half done.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use hardtack::audit::{Claim, Separate, SingleUse, Uses, UsesUnavailable};
use hardtack::pending::{Pending, promise};
use hardtack::*;
use hardtack_testkit::{AUDIENCE, Cast, NOW, search};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets a future begin, and drops it.
fn begin_and_drop<T>(future: impl Future<Output = T>) {
    let begun = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    assert!(begun.is_pending(), "it does not wait");
}

async fn until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it never comes to that");
}

fn records(store: &Store) -> usize {
    let mut records = 0;
    store.each_record(|_| records += 1).unwrap();
    records
}

/// Good for one search, once.
fn for_one_search(cast: &Cast) -> Presentation {
    let presenting = Presenting::to(AUDIENCE).call(search());
    cast.researchers().present(presenting, &cast.researcher, NOW).unwrap()
}

fn cause<T>(decided: Result<T, Denial>) -> &'static str {
    decided.map_or_else(|denial| denial.refusal().cause.as_str(), |_| "")
}

#[tokio::test]
async fn what_is_decided_is_what_is_decided_with_a_thread_that_waits() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = Arc::new(cast.guard(&store));
    let (presented, once) = (cast.presented(), for_one_search(&cast));
    let pay = Call::tool("pay").unwrap();
    // Unknown, and then remembered.
    for _ in 0..2 {
        let permit = guard.check_async(presented.bearer(), &search(), NOW).await.unwrap();
        assert_eq!(permit.sequence(), Some(records(&store) as u64));
        assert_eq!(cause(guard.check_async(presented.bearer(), &pay, NOW).await), "not_granted");
        assert_eq!(cause(guard.check_async("stranger", &search(), NOW).await), "not_a_token");
    }
    assert_eq!(cause(guard.check_async(once.bearer(), &pay, NOW).await), "not_granted");
    assert_eq!(cause(guard.check_async(once.bearer(), &search(), NOW).await), "");
    assert_eq!(cause(guard.check_async(once.bearer(), &search(), NOW).await), "replayed");
    let verified = guard.admit_async(presented.bearer(), NOW).await.unwrap();
    assert_eq!(cause(guard.check_again_async(&verified, &search(), NOW).await), "");
    let lost = Revocation::Agent { agent: "agent.researcher".to_owned() };
    let request = RevocationRequest::new(lost.clone(), "lost", None).unwrap();
    let asked = guard.check_revocation_async(presented.bearer(), &request, NOW).await;
    assert_eq!(cause(asked), "revocation_not_call_bound");
    let revoking = Revoking::new(lost, "tests", "lost").unwrap();
    let receipt = store.revoke_async(revoking.clone(), NOW).await.unwrap();
    assert_eq!(cause(guard.check_async(presented.bearer(), &search(), NOW).await), "revoked");
    assert_eq!(cause(guard.check_again_async(&verified, &search(), NOW).await), "revoked");
    assert_eq!(cause(guard.admit_async(presented.bearer(), NOW).await), "revoked");
    let again = store.revoke_async(revoking, NOW).await.unwrap();
    assert_eq!(again, store::Receipt::AlreadyRevoked { sequence: receipt.sequence() });
}

/// Uses that are claimed once it is let.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) -> bool {
        let closed = self.0.0.lock().unwrap();
        !self.0.1.wait_timeout_while(closed, PATIENCE, |open| !*open).unwrap().1.timed_out()
    }
}

impl Uses for Gate {
    fn claim<'a>(
        &'a self,
        _: &'a SingleUse,
        _: Timestamp,
    ) -> Pending<'a, Result<Claim, UsesUnavailable>> {
        let (giver, promised) = promise();
        let gate = self.clone();
        std::thread::spawn(move || giver.give(gate.pass()));
        Box::pin(async {
            match promised.await {
                Some(true) => Ok(Claim::Again),
                _ => Err(UsesUnavailable("the runtime's thread waited for it".to_owned())),
            }
        })
    }
}

fn separate(gate: &Gate, store: &Store) -> Separate {
    let own = Arc::new(store.clone());
    Separate::new(Arc::new(gate.clone()), own.clone(), own)
}

/// With one thread, whoever waited on it would wait for himself.
#[tokio::test]
async fn the_runtimes_thread_does_not_wait_for_a_claim() {
    let (cast, gate, store) = (Cast::new(), Gate::default(), Store::in_memory().unwrap());
    let guard = Guard::new(cast.verifier(), Policy::builtin(), separate(&gate, &store));
    let (guard, presented) = (Arc::new(guard), for_one_search(&cast));
    let lets = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        gate.open();
    };
    let (call, bearer) = (search(), presented.bearer());
    let (decided, ()) = tokio::join!(guard.check_async(bearer, &call, NOW), lets);
    assert_eq!(cause(decided), "replayed");
}

/// A claim that was begun is brought to its end and the decision recorded, though nobody waits for it.
#[tokio::test]
async fn a_claim_that_nobody_waits_for_is_recorded_all_the_same() {
    let (cast, gate, store) = (Cast::new(), Gate::default(), Store::in_memory().unwrap());
    let guard = Guard::new(cast.verifier(), Policy::builtin(), separate(&gate, &store));
    let (guard, presented) = (Arc::new(guard), for_one_search(&cast));
    let verified = guard.admit_async(presented.bearer(), NOW).await.unwrap();
    begin_and_drop(guard.check_again_async(&verified, &search(), NOW));
    drop(guard);
    assert_eq!(records(&store), 0);
    gate.open();
    until(|| records(&store) == 1).await;
}

/// Once it was begun, a decision is recorded and a presentation used up; before, nothing has happened.
#[tokio::test]
async fn a_decision_that_nobody_waits_for_is_recorded_all_the_same() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = Arc::new(cast.guard(&store));
    let [unknown, remembered, untouched] = [(); 3].map(|()| for_one_search(&cast));
    let call = search();
    drop(guard.check_async(untouched.bearer(), &call, NOW));
    begin_and_drop(guard.check_async(unknown.bearer(), &call, NOW));
    until(|| records(&store) == 1).await;
    let verified = guard.admit_async(remembered.bearer(), NOW).await.unwrap();
    begin_and_drop(guard.check_again_async(&verified, &call, NOW));
    until(|| records(&store) == 2).await;
    for (presented, expected) in [(unknown, "replayed"), (remembered, "replayed"), (untouched, "")]
    {
        assert_eq!(cause(guard.check_async(presented.bearer(), &call, NOW).await), expected);
    }
    assert_eq!(records(&store), 5);
}

/// More wait for a source of facts than may ask it at once: who is dropped before its turn has decided nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_dropped_before_its_turn_has_decided_nothing() {
    let (cast, store, gate) = (Cast::new(), Store::in_memory().unwrap(), Gate::default());
    let let_in = gate.clone();
    let source = move |_: &VerifiedCapability, _: &Call, _: Timestamp| {
        assert!(let_in.pass());
        Ok(Vec::new())
    };
    let guard = cast.guard(&store).facts_from(["db_role"], source).unwrap();
    let guard = Arc::new(guard);
    let verified = guard.verifier().verify(cast.presented().bearer(), NOW).unwrap();
    let call = search();
    for _ in 0..100 {
        begin_and_drop(guard.check_again_async(&verified, &call, NOW));
    }
    gate.open();
    until(|| records(&store) >= 64).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(records(&store), 64);
    // Their places are free again.
    assert_eq!(cause(guard.check_again_async(&verified, &call, NOW).await), "");
}

#[tokio::test]
async fn a_store_is_opened_written_and_closed_without_a_thread_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hardtack.store");
    let missing = Store::open_async(&path).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotThere { .. }), "{missing}");
    let store = Store::create_async(&path).await.unwrap();
    let revoking = |agent: &str| {
        let agent = Revocation::Agent { agent: agent.to_owned() };
        Revoking::new(agent, "tests", "lost").unwrap()
    };
    store.revoke_async(revoking("agent.a"), NOW).await.unwrap();
    // One that nobody waits for is in force all the same.
    begin_and_drop(store.revoke_all_async(vec![revoking("agent.b"), revoking("agent.c")], NOW));
    until(|| store.list_revocations().unwrap().len() == 3).await;
    let in_use = Store::open_async(&path).await.unwrap_err();
    assert!(matches!(in_use, StoreError::InUse { .. }), "{in_use}");
    store.close_async().await.unwrap();
    let refused = store.revoke_async(revoking("agent.d"), NOW).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotRevoked { .. }), "{refused}");
    // A store that nobody waits for is closed again.
    begin_and_drop(Store::open_async(&path));
    let opened = AtomicBool::new(false);
    let opening = async {
        while !opened.load(Ordering::Relaxed) {
            match Store::open_or_create_async(&path).await {
                Ok(store) => {
                    opened.store(true, Ordering::Relaxed);
                    assert_eq!(store.list_revocations().unwrap().len(), 3);
                    store.close_async().await.unwrap();
                }
                Err(StoreError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, opening).await.expect("it is never closed");
}
