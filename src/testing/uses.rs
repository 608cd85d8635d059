//! Uses: what an engine of [`Uses`] must hold.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::engine::{LeftOut, NOW, across_threads, at_once, begin_and_drop, cases, id, later};
use crate::audit::{Claim, KEPT_AFTER_EXPIRY, SingleUse, Uses};
use crate::pending::wait;
use crate::timestamp::Timestamp;

cases! { dyn Uses:
    the_first_claim_wins,
    the_second_claim_does_not,
    another_id_is_another_claim,
    ids_that_begin_alike_are_told_apart,
    ids_that_end_alike_are_told_apart,
    of_eight_threads_one_wins,
    of_eight_threads_with_the_same_ids_in_other_orders_each_id_is_won_once,
    a_claim_holds_until_its_presentation_expires,
    a_claim_holds_for_an_hour_after_its_presentation_expired,
    a_clock_that_goes_back_brings_none_back,
    a_clock_that_goes_far_ahead_and_back_brings_none_back,
    a_presentation_that_has_expired_is_not_won_twice,
    what_was_forgotten_is_not_won_again,
    what_has_not_expired_is_not_forgotten,
    after_forgetting_new_presentations_are_won,
    a_claim_outlives_a_restart,
    all_of_many_claims_outlive_a_restart,
    what_was_forgotten_is_not_won_again_after_a_restart,
    a_claim_that_nobody_waits_for_is_won_by_one_at_most,
    a_claim_is_polled_on_any_thread,
}

type Case<'a> = &'a mut dyn Engine<dyn Uses>;

fn once(number: u64) -> SingleUse {
    SingleUse::new("notion.mcp", id(number), later(120))
}

fn claim(engine: &dyn Engine<dyn Uses>, number: u64, now: Timestamp) -> Claim {
    of(&engine.joint(), &once(number), now)
}

fn of(uses: &Arc<dyn Uses>, once: &SingleUse, now: Timestamp) -> Claim {
    wait(uses.claim(once, now)).expect("an engine that can be asked")
}

fn the_first_claim_wins(engine: Case) -> Result<(), LeftOut> {
    assert_eq!(claim(engine, 1, NOW), Claim::First);
    Ok(())
}

fn the_second_claim_does_not(engine: Case) -> Result<(), LeftOut> {
    assert_eq!(claim(engine, 1, NOW), Claim::First);
    for _ in 0..3 {
        assert_eq!(claim(engine, 1, NOW), Claim::Again);
    }
    Ok(())
}

fn another_id_is_another_claim(engine: Case) -> Result<(), LeftOut> {
    for number in 0..50 {
        assert_eq!(claim(engine, number, NOW), Claim::First, "{number}");
    }
    Ok(())
}

fn alike(place: usize) -> [SingleUse; 2] {
    [1, 2].map(|byte| {
        let mut bytes = [7; 64];
        bytes[place] = byte;
        SingleUse::new("notion.mcp", crate::chain::RevocationId::from_bytes(bytes), later(120))
    })
}

fn ids_that_begin_alike_are_told_apart(engine: Case) -> Result<(), LeftOut> {
    for once in alike(63) {
        assert_eq!(of(&engine.joint(), &once, NOW), Claim::First);
    }
    Ok(())
}

fn ids_that_end_alike_are_told_apart(engine: Case) -> Result<(), LeftOut> {
    for once in alike(0) {
        assert_eq!(of(&engine.joint(), &once, NOW), Claim::First);
    }
    Ok(())
}

fn firsts(claims: impl IntoIterator<Item = Claim>) -> usize {
    claims.into_iter().filter(|claim| *claim == Claim::First).count()
}

fn of_eight_threads_one_wins(engine: Case) -> Result<(), LeftOut> {
    let uses = engine.joint();
    for number in 0..10 {
        let claims = at_once(8, |_| of(&uses, &once(number), NOW));
        assert_eq!(firsts(claims), 1, "{number}");
    }
    Ok(())
}

fn of_eight_threads_with_the_same_ids_in_other_orders_each_id_is_won_once(
    engine: Case,
) -> Result<(), LeftOut> {
    const IDS: u64 = 40;
    let uses = engine.joint();
    let claims = at_once(8, |thread| {
        let numbers = (0..IDS).map(|step| (thread * 7 + step * (2 * thread + 1)) % IDS);
        numbers.map(|number| (number, of(&uses, &once(number), NOW))).collect::<Vec<_>>()
    });
    let mut won: Vec<u64> = claims
        .into_iter()
        .flatten()
        .filter(|(_, claim)| *claim == Claim::First)
        .map(|(number, _)| number)
        .collect();
    won.sort_unstable();
    // The first thread goes from one to the next, and visits all.
    assert_eq!(won, (0..IDS).collect::<Vec<_>>());
    Ok(())
}

fn a_claim_holds_until_its_presentation_expires(engine: Case) -> Result<(), LeftOut> {
    assert_eq!(claim(engine, 1, NOW), Claim::First);
    for seconds in [1, 60, 119, 120, 121] {
        assert_eq!(claim(engine, 1, later(seconds)), Claim::Again, "{seconds}");
    }
    Ok(())
}

fn a_claim_holds_for_an_hour_after_its_presentation_expired(engine: Case) -> Result<(), LeftOut> {
    assert_eq!(claim(engine, 1, NOW), Claim::First);
    let hour = 120 + KEPT_AFTER_EXPIRY.as_secs();
    for seconds in [hour / 2, hour - 1] {
        // Left out by those that never forget, for which it holds all the same.
        let _ = engine.forget(later(seconds));
        assert_eq!(claim(engine, 1, later(seconds)), Claim::Again, "{seconds}");
    }
    Ok(())
}

fn a_clock_that_goes_back_brings_none_back(engine: Case) -> Result<(), LeftOut> {
    assert_eq!(claim(engine, 1, later(100)), Claim::First);
    for seconds in [0, 50, 99] {
        assert_eq!(claim(engine, 1, later(seconds)), Claim::Again, "{seconds}");
    }
    assert_eq!(claim(engine, 1, Timestamp::from_unix_seconds(0)), Claim::Again);
    Ok(())
}

const DAYS: u64 = 10 * 24 * 3600;

fn a_clock_that_goes_far_ahead_and_back_brings_none_back(engine: Case) -> Result<(), LeftOut> {
    assert_eq!(claim(engine, 1, NOW), Claim::First);
    let ahead = SingleUse::new("notion.mcp", id(2), later(DAYS + 60));
    assert_eq!(of(&engine.joint(), &ahead, later(DAYS)), Claim::First);
    let _ = engine.forget(later(DAYS));
    assert_eq!(claim(engine, 1, NOW), Claim::Again);
    assert_eq!(of(&engine.joint(), &ahead, NOW), Claim::Again);
    Ok(())
}

fn a_presentation_that_has_expired_is_not_won_twice(engine: Case) -> Result<(), LeftOut> {
    // Whether it is won once is for the engine to say: no verifier lets one come so far.
    claim(engine, 1, later(DAYS));
    assert_eq!(claim(engine, 1, later(DAYS)), Claim::Again);
    Ok(())
}

/// Forgets what is a day old: whatever expires at about [`NOW`].
fn forgotten(engine: Case) -> Result<(), LeftOut> {
    for number in 0..20 {
        assert_eq!(claim(engine, number, NOW), Claim::First);
    }
    engine.forget(later(24 * 3600))
}

fn what_was_forgotten_is_not_won_again(engine: Case) -> Result<(), LeftOut> {
    forgotten(engine)?;
    for number in 0..20 {
        assert_eq!(claim(engine, number, NOW), Claim::Again, "{number}");
    }
    Ok(())
}

fn what_has_not_expired_is_not_forgotten(engine: Case) -> Result<(), LeftOut> {
    let lives = SingleUse::new("notion.mcp", id(100), later(24 * 3600 + 60));
    assert_eq!(of(&engine.joint(), &lives, NOW), Claim::First);
    forgotten(engine)?;
    assert_eq!(of(&engine.joint(), &lives, later(24 * 3600)), Claim::Again);
    Ok(())
}

fn after_forgetting_new_presentations_are_won(engine: Case) -> Result<(), LeftOut> {
    forgotten(engine)?;
    let tomorrow = later(24 * 3600);
    let new = SingleUse::new("notion.mcp", id(200), tomorrow + Duration::from_secs(120));
    assert_eq!(of(&engine.joint(), &new, tomorrow), Claim::First);
    assert_eq!(of(&engine.joint(), &new, tomorrow), Claim::Again);
    Ok(())
}

fn a_claim_outlives_a_restart(engine: Case) -> Result<(), LeftOut> {
    assert_eq!(claim(engine, 1, NOW), Claim::First);
    engine.restart()?;
    assert_eq!(claim(engine, 1, NOW), Claim::Again);
    assert_eq!(claim(engine, 2, NOW), Claim::First);
    Ok(())
}

fn all_of_many_claims_outlive_a_restart(engine: Case) -> Result<(), LeftOut> {
    let uses = engine.joint();
    at_once(4, |thread| {
        (0..25)
            .map(|each| of(&uses, &once(thread * 25 + each), NOW))
            .for_each(|claim| assert_eq!(claim, Claim::First));
    });
    drop(uses);
    engine.restart()?;
    let again = (0..100).map(|number| claim(engine, number, NOW));
    assert_eq!(firsts(again), 0);
    Ok(())
}

fn what_was_forgotten_is_not_won_again_after_a_restart(engine: Case) -> Result<(), LeftOut> {
    forgotten(engine)?;
    engine.restart()?;
    assert_eq!(claim(engine, 3, NOW), Claim::Again);
    Ok(())
}

fn a_claim_that_nobody_waits_for_is_won_by_one_at_most(engine: Case) -> Result<(), LeftOut> {
    let uses = engine.joint();
    for number in 0..10 {
        let asked = once(number);
        begin_and_drop(uses.claim(&asked, NOW));
        let claims = [(); 3].map(|()| of(&uses, &asked, NOW));
        assert!(firsts(claims) <= 1, "{number}");
        assert_eq!(of(&uses, &asked, NOW), Claim::Again, "{number}");
    }
    Ok(())
}

fn a_claim_is_polled_on_any_thread(engine: Case) -> Result<(), LeftOut> {
    let (uses, asked) = (engine.joint(), once(1));
    let claimed = across_threads(uses.claim(&asked, NOW));
    assert_eq!(claimed, Ok(Claim::First));
    Ok(())
}
