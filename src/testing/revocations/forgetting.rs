//! Forgetting: what may be forgotten, when, and what it leaves.

use super::{Case, Log, alice, block, blocks, kinds, numbered_from, of, sorted};
use crate::revocation::{Change, Event, Receipt, RequestId, Revocation, covered_until};
use crate::testing::LeftOut;
use crate::testing::engine::{NOW, later};

/// A day and some hours: after this no token lives that lived at [`NOW`].
const LONG: u64 = 27 * 3600;

/// Tells the time in steps that are no jump, until then.
pub(super) fn until(engine: Case, from: u64, to: u64) -> Result<(), LeftOut> {
    const STEP: usize = 3000;
    for seconds in (from..to).step_by(STEP) {
        engine.forget(later(seconds))?;
    }
    engine.forget(later(to))
}

pub(super) fn what_no_token_can_hold_is_forgotten(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    let gone: Vec<u64> =
        log.revoke(vec![block(1), alice()], NOW).iter().map(|receipt| receipt.sequence()).collect();
    let before = log.head();
    drop(log);
    until(engine, 0, LONG)?;
    let log = Log::of(engine);
    assert_eq!(log.in_force(), []);
    let events = log.all_after(before);
    numbered_from(before.number + 1, &events);
    let forgotten = |number: &u64| {
        events.iter().any(|event| match &event.change {
            Change::Forgotten { sequences, .. } => {
                sequences.iter().any(|(first, last)| (*first..=*last).contains(number))
            }
            Change::Revoked(_) => false,
        })
    };
    assert!(gone.iter().all(forgotten), "{gone:?} {events:?}");
    Ok(())
}

pub(super) fn what_is_forgotten_leaves_its_mark(engine: Case) -> Result<(), LeftOut> {
    Log::of(engine).revoke(blocks([1]), NOW);
    until(engine, 0, LONG)?;
    let log = Log::of(engine);
    let mark = log.list(later(LONG)).forgotten_until;
    assert!(mark.is_some_and(|mark| mark >= covered_until(NOW)), "{mark:?}");
    // No live grant is refused by it.
    assert!(mark.is_some_and(|mark| mark < later(LONG - 24 * 3600)), "{mark:?}");
    let last = log.all().into_iter().next_back();
    assert!(
        matches!(last, Some(Event { change: Change::Forgotten { until, .. }, .. }) if until == mark)
    );
    Ok(())
}

pub(super) fn the_mark_never_falls(engine: Case) -> Result<(), LeftOut> {
    Log::of(engine).revoke(blocks([1]), NOW);
    until(engine, 0, LONG)?;
    let first = Log::of(engine).list(later(LONG)).forgotten_until;
    Log::of(engine).revoke(blocks([2]), later(LONG));
    until(engine, LONG, 2 * LONG)?;
    let second = Log::of(engine).list(later(2 * LONG)).forgotten_until;
    assert!(second > first && first.is_some());
    Ok(())
}

pub(super) fn what_has_not_expired_is_not_forgotten(engine: Case) -> Result<(), LeftOut> {
    Log::of(engine).revoke(vec![block(1), alice()], NOW);
    until(engine, 0, 24 * 3600)?;
    let log = Log::of(engine);
    assert_eq!((log.in_force().len(), log.list(NOW).forgotten_until), (2, None));
    Ok(())
}

pub(super) fn what_holds_for_good_is_not_forgotten(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(kinds().into_iter().map(of).collect(), NOW);
    drop(log);
    until(engine, 0, LONG)?;
    let in_force = Log::of(engine).in_force();
    let left: Vec<Revocation> = in_force.into_iter().map(|entry| entry.notice.revocation).collect();
    let mut for_good = kinds();
    for_good.retain(|revocation| !revocation.expires());
    assert_eq!(left, for_good);
    Ok(())
}

pub(super) fn what_was_forgotten_can_be_revoked_anew(engine: Case) -> Result<(), LeftOut> {
    Log::of(engine).revoke(blocks([1]), NOW);
    until(engine, 0, LONG)?;
    let log = Log::of(engine);
    let receipts = log.revoke(blocks([1]), later(LONG));
    assert!(matches!(receipts[..], [Receipt::Revoked { .. }]));
    let in_force = log.in_force();
    assert_eq!((in_force.len(), in_force[0].notice.prolongs), (1, None));
    Ok(())
}

pub(super) fn a_clock_that_jumped_forgets_nothing(engine: Case) -> Result<(), LeftOut> {
    Log::of(engine).revoke(blocks([1]), NOW);
    engine.forget(later(60))?;
    let days = 10 * 24 * 3600;
    for seconds in [days, days + 60, days + 3000] {
        engine.forget(later(seconds))?;
    }
    let log = Log::of(engine);
    assert_eq!((log.in_force().len(), log.list(NOW).forgotten_until), (1, None));
    drop(log);
    // Not before every token has expired that may have been made by the clock that is right.
    until(engine, days + 3000, days + 20 * 3600)?;
    let log = Log::of(engine);
    assert_eq!((log.in_force().len(), log.list(NOW).forgotten_until), (1, None));
    Ok(())
}

pub(super) fn a_clock_that_went_back_forgets_nothing(engine: Case) -> Result<(), LeftOut> {
    // Told a time far ahead once, a revocation counts to that time.
    Log::of(engine).revoke(blocks([1]), later(10 * 24 * 3600));
    Log::of(engine).revoke(blocks([2]), NOW);
    until(engine, 0, LONG)?;
    assert_eq!(Log::of(engine).in_force().len(), 2);
    Ok(())
}

/// By the clock as it is now, the first has expired; by what was told before, nobody knows what time it is.
pub(super) fn a_clock_that_stands_before_what_was_told_forgets_nothing(
    engine: Case,
) -> Result<(), LeftOut> {
    Log::of(engine).revoke(blocks([1]), NOW);
    Log::of(engine).revoke(blocks([2]), later(10 * 24 * 3600));
    until(engine, 0, LONG)?;
    assert_eq!(Log::of(engine).in_force().len(), 2);
    Ok(())
}

pub(super) fn a_request_outlives_forgetting_for_a_day(engine: Case) -> Result<(), LeftOut> {
    let request = RequestId::random();
    let receipts = Log::of(engine).ask(vec![alice()], request, NOW).expect("revoked");
    until(engine, 0, 23 * 3600)?;
    let log = Log::of(engine);
    assert_eq!(log.ask(vec![alice()], request, later(23 * 3600)), Ok(receipts));
    assert_eq!(log.in_force()[0].notice.revoked, NOW);
    Ok(())
}

pub(super) fn a_list_follows_through_forgetting(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(vec![block(1), alice(), of(Revocation::Agent { agent: "agent.a".into() })], NOW);
    let mut followed = log.list(NOW);
    drop(log);
    until(engine, 0, LONG)?;
    let log = Log::of(engine);
    log.revoke(blocks([2]), later(LONG));
    assert!(followed.advance(&log.all_after(followed.at)));
    assert_eq!(sorted(followed), sorted(log.list(NOW)));
    Ok(())
}

pub(super) fn the_mark_outlives_a_restart(engine: Case) -> Result<(), LeftOut> {
    Log::of(engine).revoke(blocks([1]), NOW);
    until(engine, 0, LONG)?;
    let before = sorted(Log::of(engine).list(NOW));
    engine.restart()?;
    assert_eq!(sorted(Log::of(engine).list(NOW)), before);
    Ok(())
}
