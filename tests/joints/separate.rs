//! A ledger of parts: claimed first, then recorded, and what a failure in between comes to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hardtack::audit::{
    Claim, LedgerUnavailable, LogLine, Recording, Records, Separate, SingleUse, Uses,
    UsesUnavailable, Verdict,
};
use hardtack::pending::Pending;
use hardtack::*;

use crate::memory::Memory;
use hardtack_testkit::{AUDIENCE, Cast, NOW, search};

/// An engine that does not work while it is told so.
#[derive(Clone, Default)]
struct Failing {
    whole: Memory,
    fails: Arc<AtomicBool>,
}

impl Failing {
    fn fails(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    fn is_failing(&self) -> bool {
        self.fails.load(Ordering::Relaxed)
    }
}

impl Uses for Failing {
    fn claim<'a>(
        &'a self,
        once: &'a SingleUse,
        now: Timestamp,
    ) -> Pending<'a, Result<Claim, UsesUnavailable>> {
        match self.is_failing() {
            true => Box::pin(async { Err(UsesUnavailable("no route to host".to_owned())) }),
            false => self.whole.claim(once, now),
        }
    }
}

impl Records for Failing {
    fn append<'a>(
        &'a self,
        decisions: Vec<Decision>,
        recording: Recording,
    ) -> Pending<'a, Result<u64, LedgerUnavailable>> {
        match self.is_failing() {
            true => Box::pin(async { Err(LedgerUnavailable("the disk is full".to_owned())) }),
            false => Records::append(&self.whole, decisions, recording),
        }
    }

    fn read(&self, from: u64, at_most: usize) -> Result<Vec<LogLine>, LedgerUnavailable> {
        Records::read(&self.whole, from, at_most)
    }
}

fn guard(cast: &Cast, uses: &Failing, records: &Failing) -> Guard {
    let ledger = Separate::new(
        Arc::new(uses.clone()),
        Arc::new(records.clone()),
        Arc::new(records.whole.clone()),
    );
    Guard::new(cast.verifier(), Policy::builtin(), ledger)
}

fn for_one_search(cast: &Cast) -> Presentation {
    let presenting = Presenting::to(AUDIENCE).call(search());
    cast.researchers().present(presenting, &cast.researcher, NOW).unwrap()
}

fn cause(decided: Result<Permit, Denial>) -> Option<Cause> {
    decided.err().map(|denial| denial.refusal().cause)
}

fn recorded(records: &Failing) -> Vec<Decision> {
    let lines = Records::read(records, 1, 100).unwrap();
    lines.iter().map(|line| line.record().unwrap().decision().unwrap().clone()).collect()
}

#[test]
fn what_one_server_has_accepted_no_other_does() {
    let (cast, uses) = (Cast::new(), Failing::default());
    let own = [(); 2].map(|()| Failing::default());
    let guards = own.each_ref().map(|own| guard(&cast, &uses, own));
    let bearer = for_one_search(&cast);
    assert_eq!(cause(guards[0].check(bearer.bearer(), &search(), NOW)), None);
    for guard in &guards {
        assert_eq!(cause(guard.check(bearer.bearer(), &search(), NOW)), Some(Cause::Replayed));
    }
    let verdicts = own
        .each_ref()
        .map(|own| recorded(own).into_iter().map(|decision| decision.verdict).collect::<Vec<_>>());
    assert_eq!(verdicts, [vec![Verdict::Allow, Verdict::Deny], vec![Verdict::Deny]]);
}

/// What a replay looks like, no engine says: it is the same as a store records.
#[test]
fn a_replay_is_recorded_as_a_store_records_it() {
    let (cast, parts, store) = (Cast::new(), Failing::default(), Store::in_memory().unwrap());
    let guards = [guard(&cast, &parts, &parts), cast.guard(&store)];
    let bearer = for_one_search(&cast);
    for guard in &guards {
        assert_eq!(cause(guard.check(bearer.bearer(), &search(), NOW)), None);
        assert_eq!(cause(guard.check(bearer.bearer(), &search(), NOW)), Some(Cause::Replayed));
    }
    let mut of_store = Vec::new();
    store.each_record(|record| of_store.push(record.decision().unwrap().clone())).unwrap();
    assert_eq!(recorded(&parts), of_store);
    assert_eq!(
        (of_store[1].cause.clone(), of_store[1].hop),
        (Some(Cause::Replayed.into()), Some(2))
    );
}

/// A failure between the claim and the record burns the presentation, and its call was refused.
#[test]
fn what_was_claimed_and_not_recorded_is_refused_and_used_up() {
    let (cast, uses, records) = (Cast::new(), Failing::default(), Failing::default());
    let (guard, bearer) = (guard(&cast, &uses, &records), for_one_search(&cast));
    records.fails(true);
    let denial = guard.check(bearer.bearer(), &search(), NOW).unwrap_err();
    assert!(
        matches!(&denial, Denial::Undecided(refusal) if refusal.cause == Cause::LedgerUnavailable)
    );
    assert!(denial.to_string().contains("the disk is full"), "{denial}");
    assert_eq!(recorded(&records), []);
    records.fails(false);
    assert_eq!(cause(guard.check(bearer.bearer(), &search(), NOW)), Some(Cause::Replayed));
    assert_eq!(cause(guard.check(for_one_search(&cast).bearer(), &search(), NOW)), None);
}

/// While it cannot be said whether a presentation was used, its call is refused, recorded so, and the presentation good for later.
#[test]
fn what_cannot_be_claimed_is_undecided_and_recorded_so() {
    let (cast, uses, records) = (Cast::new(), Failing::default(), Failing::default());
    let (guard, bearer) = (guard(&cast, &uses, &records), for_one_search(&cast));
    uses.fails(true);
    let denial = guard.check(bearer.bearer(), &search(), NOW).unwrap_err();
    assert!(
        matches!(&denial, Denial::Undecided(refusal) if refusal.cause == Cause::LedgerUnavailable)
    );
    assert!(denial.to_string().contains("no route to host"), "{denial}");
    // What uses nothing up needs no uses.
    assert_eq!(cause(guard.check(cast.presented().bearer(), &search(), NOW)), None);
    let decisions = recorded(&records);
    assert_eq!(decisions[0].verdict, Verdict::Undecided);
    assert_eq!(decisions[0].cause, Some(Cause::LedgerUnavailable.into()));
    assert!(decisions[0].message.contains("no route to host"));
    uses.fails(false);
    assert_eq!(cause(guard.check(bearer.bearer(), &search(), NOW)), None);
}

#[test]
fn a_refused_call_claims_nothing() {
    let (cast, parts) = (Cast::new(), Failing::default());
    let (guard, bearer) = (guard(&cast, &parts, &parts), for_one_search(&cast));
    let pay = Call::tool("pay").unwrap();
    assert_eq!(cause(guard.check(bearer.bearer(), &pay, NOW)), Some(Cause::NotGranted));
    assert_eq!(cause(guard.check(bearer.bearer(), &search(), NOW)), None);
}

#[test]
fn the_chain_is_remembered_with_the_number_of_its_record() {
    use hardtack::audit::Lineage;

    let (cast, parts) = (Cast::new(), Failing::default());
    let guard = guard(&cast, &parts, &parts);
    guard.check("garbage!", &search(), NOW).unwrap_err();
    assert_eq!(parts.whole.seen(10).unwrap().unwrap().blocks, []);
    guard.check(cast.presented().bearer(), &search(), NOW).unwrap();
    let blocks = parts.whole.seen(10).unwrap().unwrap().blocks;
    let told: Vec<_> = blocks.iter().map(|block| (block.name.as_str(), block.seen)).collect();
    assert_eq!(told, [("user:alice", 2), ("agent.researcher", 2)]);
    assert_eq!(blocks[1].parent, Some(blocks[0].id));
}

#[test]
fn of_eight_threads_at_two_servers_one_is_allowed() {
    let (cast, uses) = (Cast::new(), Failing::default());
    let guards = [(); 2].map(|()| guard(&cast, &uses, &Failing::default()));
    for _ in 0..5 {
        let bearer = for_one_search(&cast);
        let allowed = std::thread::scope(|scope| {
            let (bearer, guards) = (&bearer, &guards);
            let running: Vec<_> = (0..8)
                .map(|thread| {
                    scope.spawn(move || guards[thread % 2].check(bearer.bearer(), &search(), NOW))
                })
                .collect();
            running.into_iter().map(|thread| thread.join().unwrap()).filter(Result::is_ok).count()
        });
        assert_eq!(allowed, 1);
    }
}
