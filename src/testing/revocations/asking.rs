//! Asking: what is made once, however often it is asked for.

use super::{Case, Log, alice, blocks, of};
use crate::keys::PrivateKey;
use crate::revocation::{
    Receipt, RequestId, Revocation, RevocationEntry, RevocationLogError, Revoking,
};
use crate::testing::LeftOut;
use crate::testing::engine::{NOW, at_once, begin_and_drop, id, later};

pub(super) fn asked_again_it_is_answered_the_same(engine: Case) -> Result<(), LeftOut> {
    let (log, request) = (Log::of(engine), RequestId::random());
    log.revoke(blocks([2]), NOW);
    let batch = blocks([1, 2, 3, 1]);
    let receipts = log.ask(batch.clone(), request, NOW).expect("revoked");
    assert!(matches!(
        receipts[..],
        [
            Receipt::Revoked { .. },
            Receipt::AlreadyRevoked { .. },
            Receipt::Revoked { .. },
            Receipt::AlreadyRevoked { .. }
        ]
    ));
    for seconds in [0, 1, 600] {
        assert_eq!(log.ask(batch.clone(), request, later(seconds)), Ok(receipts.clone()));
    }
    Ok(())
}

pub(super) fn asked_again_it_changes_nothing(engine: Case) -> Result<(), LeftOut> {
    let (log, request) = (Log::of(engine), RequestId::random());
    log.ask(blocks(0..3), request, NOW).expect("revoked");
    let before = (log.head(), log.in_force());
    log.ask(blocks(0..3), request, later(60)).expect("answered");
    assert_eq!((log.head(), log.in_force()), before);
    Ok(())
}

/// What is asked for again after the answer was lost must not stop what was granted since.
pub(super) fn asked_again_later_it_covers_no_more(engine: Case) -> Result<(), LeftOut> {
    let (log, request) = (Log::of(engine), RequestId::random());
    let receipts = log.ask(vec![alice()], request, NOW).expect("revoked");
    for seconds in [61, 600, 3600] {
        assert_eq!(log.ask(vec![alice()], request, later(seconds)), Ok(receipts.clone()));
        assert_eq!(log.in_force()[0].notice.revoked, NOW);
    }
    Ok(())
}

pub(super) fn asked_again_at_once_by_eight_it_is_made_once(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    for number in 0..5 {
        let request = RequestId::random();
        let batch = blocks([number * 2, number * 2 + 1]);
        let answers = at_once(8, |_| log.ask(batch.clone(), request, NOW).expect("revoked"));
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
        assert_eq!(log.head().number, number * 2 + 2);
    }
    Ok(())
}

pub(super) fn something_else_under_the_same_request_is_refused(
    engine: Case,
) -> Result<(), LeftOut> {
    let (log, request) = (Log::of(engine), RequestId::random());
    log.ask(blocks([1, 2]), request, NOW).expect("revoked");
    let said = |by: &str, reason: &str| {
        let said = |revoking: Revoking| {
            Revoking::new(revoking.revocation().clone(), by, reason).expect("of its form")
        };
        blocks([1, 2]).into_iter().map(said).collect()
    };
    let others = [said("somebody else", "laptop stolen"), said("cases", "another reason")];
    let fewer = [blocks([1]), blocks([2, 1]), blocks([1, 2, 3]), vec![alice()]];
    for other in fewer.into_iter().chain(others) {
        let refused = log.ask(other, request, NOW);
        assert_eq!(refused, Err(RevocationLogError::OtherRequest(request)));
    }
    Ok(())
}

pub(super) fn what_is_refused_revokes_nothing(engine: Case) -> Result<(), LeftOut> {
    let (log, request) = (Log::of(engine), RequestId::random());
    log.ask(blocks([1]), request, NOW).expect("revoked");
    let before = (log.head(), log.in_force());
    log.ask(blocks([2]), request, NOW).expect_err("another request");
    assert_eq!((log.head(), log.in_force()), before);
    Ok(())
}

pub(super) fn two_requests_for_the_same_are_two(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    let first = log.revoke(vec![alice()], NOW);
    let second = log.revoke(vec![alice()], later(600));
    assert!(matches!(second[..], [Receipt::Revoked { .. }]));
    assert_ne!(first, second);
    assert_eq!(log.in_force()[0].notice.revoked, later(600));
    Ok(())
}

pub(super) fn one_that_changed_nothing_is_answered_the_same(engine: Case) -> Result<(), LeftOut> {
    let (log, request) = (Log::of(engine), RequestId::random());
    log.revoke(vec![alice()], NOW);
    let receipts = log.ask(vec![alice()], request, NOW).expect("answered");
    assert!(matches!(receipts[..], [Receipt::AlreadyRevoked { .. }]));
    assert_eq!(log.ask(vec![alice()], request, later(600)), Ok(receipts));
    assert_eq!(log.in_force()[0].notice.revoked, NOW);
    Ok(())
}

pub(super) fn one_that_nobody_waits_for_is_made_once(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    for number in 0..5 {
        let request = RequestId::random();
        begin_and_drop(log.0.append(blocks([number]), request, NOW));
        log.ask(blocks([number]), request, NOW).expect("revoked");
        assert_eq!(log.head().number, number + 1);
    }
    Ok(())
}

pub(super) fn a_block_is_revoked_once(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    let lasting = [
        Revocation::Id { id: id(1) },
        Revocation::Holder { key: PrivateKey::from_bytes(&[7; 32]).public() },
        Revocation::Agent { agent: "agent.a".to_owned() },
    ];
    for revocation in lasting {
        let first = log.revoke(vec![of(revocation.clone())], NOW)[0];
        let (head, again) = (log.head(), log.revoke(vec![of(revocation)], later(600))[0]);
        assert_eq!(again, Receipt::AlreadyRevoked { sequence: first.sequence() });
        assert_eq!(log.head(), head);
    }
    Ok(())
}

pub(super) fn twice_in_a_batch_is_once(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    let receipts = log.revoke(blocks([1, 1]), NOW);
    let sequence = receipts[0].sequence();
    assert_eq!(receipts, [Receipt::Revoked { sequence }, Receipt::AlreadyRevoked { sequence }]);
    assert_eq!((log.all().len(), log.in_force().len()), (1, 1));
    Ok(())
}

pub(super) fn what_ends_at_its_moment_is_revoked_anew_and_takes_its_place(
    engine: Case,
) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    let agent = || of(Revocation::AgentUntilNow { agent: "agent.a".to_owned() });
    for (revoking, at) in [(alice(), 0), (agent(), 120)] {
        let first = log.revoke(vec![revoking.clone()], later(at))[0].sequence();
        let second = log.revoke(vec![revoking.clone()], later(at + 60))[0].sequence();
        let mut in_force = log.in_force();
        in_force.retain(|entry| entry.notice.revocation == *revoking.revocation());
        assert_eq!(in_force.len(), 1);
        let RevocationEntry { sequence, notice } = &in_force[0];
        assert_eq!((*sequence, notice.prolongs), (second, Some(first)));
    }
    Ok(())
}

pub(super) fn what_is_revoked_long_after_is_kept_longer(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    let first = log.revoke(blocks([1]), NOW)[0].sequence();
    let before = log.in_force()[0].notice.expires;
    let receipts = log.revoke(blocks([1]), later(3000 + 3601));
    assert!(matches!(receipts[..], [Receipt::Revoked { .. }]));
    let in_force = log.in_force();
    assert_eq!((in_force.len(), in_force[0].notice.prolongs), (1, Some(first)));
    assert!(in_force[0].notice.expires > before);
    Ok(())
}

pub(super) fn an_earlier_moment_takes_nothing_back(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(vec![alice()], later(600));
    log.revoke(vec![alice()], NOW);
    let in_force = log.in_force();
    assert_eq!((in_force.len(), in_force[0].notice.revoked), (1, later(600)));
    Ok(())
}

pub(super) fn a_revocation_counts_to_the_latest_moment_that_was_told(
    engine: Case,
) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(blocks([1]), later(600));
    log.revoke(blocks([2]), NOW);
    let in_force = log.in_force();
    assert!(in_force.iter().all(|entry| entry.notice.revoked == later(600)), "{in_force:?}");
    Ok(())
}
