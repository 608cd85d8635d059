use super::*;
use crate::cause::Cause;
use crate::revocation::RevocationUnchecked;
use crate::{Grant, Issuer, Presenting, PrivateKey};

#[test]
fn a_refusal_is_remembered_until_its_cause_is_another() {
    let now = Timestamp::from_unix_seconds(1_795_428_000);
    let (issuer, other) =
        (Issuer::new(PrivateKey::generate()), Issuer::new(PrivateKey::generate()));
    let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
    let capability = other.mint(grant, now).unwrap();
    let presenting = Presenting::to("notion.mcp").ttl(Duration::from_secs(30));
    let bearer = capability.present(presenting, &alice, now).unwrap();
    let roots = RootKeys::of(issuer.public());
    let verifier = Verifier::new(roots, "notion.mcp", RevocationUnchecked).unwrap();
    let remembered = |verifier: &Verifier, now| {
        let recognized = verifier.recognize(bearer.bearer(), None, now);
        recognized.map(|recognized| recognized.unwrap_err().error.cause())
    };
    let verify = |now| verifier.verify(bearer.bearer(), now).unwrap_err().cause();
    assert_eq!(remembered(&verifier, now), None);
    assert_eq!(verify(now), Cause::Signature);
    assert_eq!(remembered(&verifier, now), Some(Cause::Signature));
    assert_eq!(remembered(&verifier, now + Duration::from_secs(29)), Some(Cause::Signature));
    assert_eq!(remembered(&verifier, now + Duration::from_secs(30)), None);
    assert_eq!(verify(now + Duration::from_secs(30)), Cause::Expired);
    assert_eq!(remembered(&verifier, now + Duration::from_secs(31)), Some(Cause::Expired));
    // The clock was set back.
    assert_eq!(remembered(&verifier, now), None);
    assert_eq!(verify(now), Cause::Signature);
    let forgets = Verifier::new(RootKeys::of(issuer.public()), "notion.mcp", RevocationUnchecked);
    let forgets = forgets.unwrap().remember(0);
    assert!(forgets.verify(bearer.bearer(), now).is_err());
    assert_eq!(remembered(&forgets, now), None);
}

/// What the roots decide, as they are exchanged.
mod exchanged {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Mutex, OnceLock, Weak};

    use super::*;
    use crate::Presentation;
    use crate::call::Call;
    use crate::revocation::RevocationsUnavailable;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

    /// A root, and what alice holds of it.
    struct Realm {
        issuer: Issuer,
        alice: PrivateKey,
        capability: Capability,
    }

    impl Realm {
        fn new() -> Realm {
            Realm::with_key_id(None)
        }

        fn with_key_id(id: Option<u32>) -> Realm {
            let issuer = Issuer::new(PrivateKey::generate());
            let issuer = id.into_iter().fold(issuer, Issuer::key_id);
            let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
            let capability = issuer.mint(grant, NOW).unwrap();
            Realm { issuer, alice, capability }
        }

        fn roots(&self) -> RootKeys {
            RootKeys::of(self.issuer.public())
        }

        fn presents(&self) -> Presentation {
            self.capability.present(Presenting::to("notion.mcp"), &self.alice, NOW).unwrap()
        }
    }

    fn verifier(roots: RootKeys) -> Verifier {
        Verifier::new(roots, "notion.mcp", RevocationUnchecked).unwrap()
    }

    fn cause<T>(result: Result<T, VerifyError>) -> Option<&'static str> {
        result.err().map(|error| error.cause().as_str())
    }

    #[test]
    fn a_root_that_is_withdrawn_ends_what_was_verified_and_what_is_remembered() {
        let (old, new) = (Realm::new(), Realm::new());
        let verifier = verifier(old.roots());
        let bearer = old.presents();
        let once = Presenting::to("notion.mcp").call(Call::tool("search").unwrap());
        let once = old.capability.present(once, &old.alice, NOW).unwrap();
        let verified = verifier.verify(bearer.bearer(), NOW).unwrap();
        let begun = verifier.verify(once.bearer(), NOW).unwrap();
        assert!(verifier.verify_remembered(bearer.bearer(), NOW).is_some());
        let before = verifier.replace_roots(new.roots());
        assert_eq!((&*before, &*verifier.roots()), (&old.roots(), &new.roots()));
        let operation = "tools:call:search".parse::<Operation>().unwrap();
        let forged = Some("signature");
        assert!(verifier.verify_remembered(bearer.bearer(), NOW).is_none());
        assert_eq!(cause(verifier.verify(bearer.bearer(), NOW)), forged);
        assert_eq!(cause(verifier.verify(bearer.bearer(), NOW)), forged, "from memory");
        assert_eq!(cause(verifier.verify_again(&verified, NOW)), forged);
        assert_eq!(cause(verifier.verify_under_way(&verified, NOW)), forged);
        assert_eq!(cause(verifier.verify_under_way(&begun, NOW)), forged);
        let again = verifier.examine_again(&verified, &operation, NOW).unwrap_err();
        assert_eq!((again.error.cause(), again.authentic.is_some()), (Cause::Signature, false));
        // What it says is told to nobody, whatever else is the matter with it.
        let late = NOW + Duration::from_secs(3600);
        let late = verifier.examine_again(&verified, &operation, late).unwrap_err();
        assert_eq!((late.error.cause(), late.authentic.is_some()), (Cause::Expired, false));
        verifier.replace_roots(RootKeys::default());
        assert_eq!(cause(verifier.verify_again(&verified, NOW)), Some("unknown_root"));
        assert_eq!(cause(verifier.verify(bearer.bearer(), NOW)), Some("unknown_root"));
        // Trusted again, all of it holds again.
        verifier.replace_roots(new.roots().and(old.issuer.public()));
        verifier.verify_again(&verified, NOW).unwrap();
        verifier.verify_under_way(&begun, NOW).unwrap();
        verifier.verify(bearer.bearer(), NOW).unwrap();
    }

    #[test]
    fn a_call_under_way_outlives_its_presentation_and_neither_grant_nor_revocation() {
        use crate::revocation::{Revocation, Revoking};
        let (realm, store) = (Realm::new(), crate::Store::in_memory().unwrap());
        let verifier = Verifier::new(realm.roots(), "notion.mcp", store.revocations()).unwrap();
        let verified = verifier.verify(realm.presents().bearer(), NOW).unwrap();
        let late = verified.presentation().expires;
        assert_eq!(cause(verifier.verify_again(&verified, late)), Some("expired"));
        verifier.verify_under_way(&verified, late).unwrap();
        let over = verified.chain().grant.expires;
        assert_eq!(cause(verifier.verify_under_way(&verified, over)), Some("expired"));
        // A clock that is set back makes nothing of it longer than the grant.
        verifier.verify_under_way(&verified, NOW - Duration::from_secs(60)).unwrap();
        let id = verified.presentation().revocation_id;
        store.revoke(Revoking::new(Revocation::Id { id }, "test", "stolen").unwrap(), NOW).unwrap();
        assert_eq!(cause(verifier.verify_under_way(&verified, late)), Some("revoked"));
    }

    #[test]
    fn a_bearer_that_was_refused_is_good_when_its_root_is_added() {
        let (old, new) = (Realm::new(), Realm::new());
        let verifier = verifier(old.roots());
        let bearer = new.presents();
        for _ in 0..2 {
            assert_eq!(cause(verifier.verify(bearer.bearer(), NOW)), Some("signature"));
        }
        verifier.replace_roots(old.roots().and(new.issuer.public()));
        verifier.verify(bearer.bearer(), NOW).unwrap();
    }

    #[test]
    fn the_same_roots_again_forget_nothing() {
        let realm = Realm::new();
        let verifier = verifier(realm.roots());
        let bearer = realm.presents();
        verifier.verify(bearer.bearer(), NOW).unwrap();
        verifier.replace_roots(realm.roots());
        assert!(verifier.verify_remembered(bearer.bearer(), NOW).is_some());
        verifier.replace_roots(realm.roots().named("acme"));
        assert!(verifier.verify_remembered(bearer.bearer(), NOW).is_none());
        let forgets = Verifier::new(realm.roots(), "notion.mcp", RevocationUnchecked).unwrap();
        let forgets = forgets.remember(0);
        forgets.replace_roots(realm.roots().named("acme"));
        forgets.verify(bearer.bearer(), NOW).unwrap();
        assert!(forgets.verify_remembered(bearer.bearer(), NOW).is_none());
    }

    #[test]
    fn what_was_verified_goes_by_the_name_that_its_root_has_by_now() {
        let realm = Realm::new();
        let verifier = verifier(realm.roots().named("acme"));
        let verified = verifier.verify(realm.presents().bearer(), NOW).unwrap();
        let operation = "tools:call:search".parse::<Operation>().unwrap();
        let issuer = || {
            let again = verifier.examine_again(&verified, &operation, NOW).unwrap();
            again.issuer().to_owned()
        };
        assert_eq!(issuer(), "acme");
        verifier.replace_roots(realm.roots().named("acme-old"));
        assert_eq!(issuer(), "acme-old");
        // Of two names for one key the first counts, as for a bearer that comes.
        let key = realm.issuer.public();
        verifier.replace_roots(realm.roots().named("first").and(key).named("second"));
        assert_eq!(issuer(), "first");
        assert_eq!(verifier.verify(realm.presents().bearer(), NOW).unwrap().issuer(), "first");
    }

    #[test]
    fn a_key_is_trusted_for_its_key_id_alone_before_and_after() {
        let realm = Realm::with_key_id(Some(1));
        let key = realm.issuer.public();
        let verifier = verifier(RootKeys::default().and_with_id(1, key));
        let verified = verifier.verify(realm.presents().bearer(), NOW).unwrap();
        verifier.replace_roots(RootKeys::default().and_with_id(2, key));
        assert_eq!(cause(verifier.verify_again(&verified, NOW)), Some("unknown_root"));
        assert_eq!(cause(verifier.verify(realm.presents().bearer(), NOW)), Some("unknown_root"));
        verifier.replace_roots(RootKeys::of(key));
        verifier.verify_again(&verified, NOW).unwrap();
    }

    #[test]
    fn a_holder_that_becomes_a_root_holds_nothing_any_more() {
        let realm = Realm::new();
        let verifier = verifier(realm.roots());
        let verified = verifier.verify(realm.presents().bearer(), NOW).unwrap();
        verifier.replace_roots(realm.roots().and(realm.alice.public()));
        assert_eq!(cause(verifier.verify_again(&verified, NOW)), Some("root_as_holder"));
    }

    /// What another verifier found is nothing to one that does not trust its root.
    #[test]
    fn a_value_of_another_verifier_is_looked_at_under_the_own_roots() {
        let (one, other) = (Realm::new(), Realm::new());
        let verified = verifier(one.roots()).verify(one.presents().bearer(), NOW).unwrap();
        let strange = verifier(other.roots());
        assert_eq!(cause(strange.verify_again(&verified, NOW)), Some("signature"));
    }

    /// Exchanges the roots of its verifier while that asks what is revoked.
    #[derive(Default)]
    struct Exchanging {
        verifier: OnceLock<Weak<Verifier>>,
        next: Mutex<Option<RootKeys>>,
        asked: AtomicUsize,
    }

    impl RevocationSource for Exchanging {
        fn revoked(
            &self,
            _: &Chain,
            _: &PublicKey,
        ) -> Result<Option<Revoked>, RevocationsUnavailable> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if let Some(roots) = self.next.lock().unwrap().take() {
                self.verifier.get().unwrap().upgrade().unwrap().replace_roots(roots);
            }
            Ok(None)
        }

        fn knowledge(&self) -> Knowledge {
            Knowledge::Live
        }
    }

    #[test]
    fn a_verification_under_way_goes_by_the_roots_that_came_meanwhile() {
        let (old, new) = (Realm::new(), Realm::new());
        let source = Arc::new(Exchanging::default());
        let verifier = Verifier::new(old.roots(), "notion.mcp", Arc::clone(&source)).unwrap();
        let verifier = Arc::new(verifier);
        source.verifier.set(Arc::downgrade(&verifier)).unwrap();
        let exchange = |roots: RootKeys| *source.next.lock().unwrap() = Some(roots);
        let bearer = old.presents();
        exchange(new.roots());
        assert_eq!(cause(verifier.verify(bearer.bearer(), NOW)), Some("signature"));
        verifier.replace_roots(old.roots());
        let verified = verifier.verify(bearer.bearer(), NOW).unwrap();
        exchange(new.roots());
        assert_eq!(cause(verifier.verify_again(&verified, NOW)), Some("signature"));
        verifier.replace_roots(old.roots());
        verifier.verify(bearer.bearer(), NOW).unwrap();
        exchange(new.roots());
        assert!(verifier.verify_remembered(bearer.bearer(), NOW).is_none());
        // Where it goes on to hold, it holds under the new name.
        verifier.replace_roots(old.roots());
        exchange(old.roots().named("acme"));
        let asked = source.asked.load(Ordering::Relaxed);
        assert_eq!(verifier.verify(bearer.bearer(), NOW).unwrap().issuer(), "acme");
        assert_eq!(source.asked.load(Ordering::Relaxed) - asked, 2);
    }

    /// Whoever has a bearer of a root that comes and goes tries it all the time, from many sides.
    #[test]
    fn no_verification_that_begins_after_a_root_was_withdrawn_holds() {
        let (stays, goes) = (Realm::new(), Realm::new());
        let both = || stays.roots().and(goes.issuer.public());
        let verifier = verifier(both());
        let [good, bad] = [stays.presents(), goes.presents()];
        let verified = verifier.verify(bad.bearer(), NOW).unwrap();
        // Odd while the root may be trusted.
        let (turn, done) = (AtomicUsize::new(1), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        verifier.verify(good.bearer(), NOW).unwrap();
                        let before = turn.load(Ordering::SeqCst);
                        let held = [
                            verifier.verify(bad.bearer(), NOW).is_ok(),
                            verifier.verify_again(&verified, NOW).is_ok(),
                            verifier.verify_remembered(bad.bearer(), NOW).is_some(),
                        ];
                        let trusted = before % 2 == 1 || turn.load(Ordering::SeqCst) != before;
                        assert!(trusted || held == [false; 3], "{held:?}");
                    }
                });
            }
            for _ in 0..300 {
                verifier.replace_roots(both());
                std::thread::sleep(Duration::from_micros(200));
                verifier.replace_roots(stays.roots());
                turn.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(1));
                assert!(verifier.verify(bad.bearer(), NOW).is_err());
                turn.fetch_add(1, Ordering::SeqCst);
            }
            done.store(true, Ordering::SeqCst);
        });
    }
}
