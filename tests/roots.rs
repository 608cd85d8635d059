//! Roots that are exchanged under a guard: one set for each decision, its explanation and its record.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hardtack::audit::Verdict;
use hardtack::*;
use hardtack_testkit::*;

/// Roots that do not have made anything here.
fn strange() -> RootKeys {
    RootKeys::of(Cast::new().thief.public())
}

#[test]
fn a_decision_and_its_explanation_go_by_the_same_roots() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let (guard, bearer) = (cast.guard(&store), cast.presented());
    let verified = guard.admit(bearer.bearer(), NOW).unwrap();
    let done = AtomicBool::new(false);
    let (mut allowed, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                guard.verifier().replace_roots(strange());
                std::thread::sleep(Duration::from_millis(1));
                guard.verifier().replace_roots(cast.roots());
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        while allowed < 50 || refused < 50 {
            let (decided, explanation) = guard.check_explained(bearer.bearer(), &search(), NOW);
            let cause = decided.as_ref().err().map(|denial| denial.refusal().cause);
            assert_eq!(explanation.ruling.cause, cause);
            assert_eq!(explanation.ruling.verdict == Verdict::Allow, decided.is_ok());
            assert!(matches!(cause, None | Some(Cause::Signature)), "{cause:?}");
            let again = guard.check_again(&verified, &search(), NOW);
            let again = again.err().map(|denial| denial.refusal().cause);
            assert!(matches!(again, None | Some(Cause::Signature)), "{again:?}");
            *if decided.is_ok() { &mut allowed } else { &mut refused } += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
    // Of what no trusted root has signed, nothing that it says is written down.
    let look = |record: AuditRecord| {
        let decision = record.decision().unwrap();
        assert_eq!(decision.chain.is_some(), decision.verdict == Verdict::Allow, "{decision:?}");
    };
    store.each_record(look).unwrap();
}

#[test]
fn policies_see_the_name_that_a_root_has_now() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let roots = |name: &str| cast.roots().named(name);
    let verifier = Verifier::new(roots("acme"), AUDIENCE, store.revocations()).unwrap();
    let policy = Policy::parse("p.datalog", r#"allow if issuer("acme"), granted($op);"#).unwrap();
    let guard = Guard::new(verifier, policy, store);
    let bearer = cast.presented();
    let verified = guard.admit(bearer.bearer(), NOW).unwrap();
    let cause = || {
        let [first, again] = [
            guard.check(bearer.bearer(), &search(), NOW),
            guard.check_again(&verified, &search(), NOW),
        ]
        .map(|decided| decided.err().map(|denial| denial.refusal().cause));
        assert_eq!(first, again);
        first
    };
    assert_eq!(cause(), None);
    guard.verifier().replace_roots(roots("acme-until-may"));
    assert_eq!(cause(), Some(Cause::NothingAllows));
    guard.verifier().replace_roots(strange());
    assert_eq!(cause(), Some(Cause::Signature));
    guard.verifier().replace_roots(strange().and(cast.root.public()).named("acme"));
    assert_eq!(cause(), None);
}

/// What a stranger's proof says counts under the roots that are trusted now.
#[test]
fn a_proof_of_a_withdrawn_root_stops_nobody() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    // Whoever delegates holds grants of two roots.
    let other = Issuer::new(PrivateKey::from_bytes(&[9; 32]));
    let both = || cast.roots().and(other.public());
    let proof = other.mint(cast.grant_of(&["tools:call:*"]), NOW).unwrap();
    let proof = proof.delegate(cast.to_researcher(), &cast.orchestrator, NOW).unwrap();
    let revocation = Revocation::Id { id: proof.chain().hops[0].revocation_id };
    let request = RevocationRequest::new(revocation, "lost", Some(&proof)).unwrap();
    let cause = || {
        let grant = cast.grant();
        let bearer = grant.present_to_revoke(AUDIENCE, &request, &cast.orchestrator, NOW).unwrap();
        let asked = guard.check_revocation(bearer.bearer(), &request, NOW);
        asked.err().map(|denial| denial.refusal().cause)
    };
    assert_eq!(cause(), Some(Cause::RevocationProof));
    guard.verifier().replace_roots(both());
    assert_eq!(cause(), None);
    guard.verifier().replace_roots(cast.roots());
    assert_eq!(cause(), Some(Cause::RevocationProof));
    guard.verifier().replace_roots(RootKeys::of(other.public()));
    assert_eq!(cause(), Some(Cause::Signature));
}
