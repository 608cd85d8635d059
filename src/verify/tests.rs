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
    let digest = Sha256::digest(bearer.bearer()).into();
    let remembered = |verifier: &Verifier, now| {
        let recognized = verifier.recognize_by(&digest, None, now);
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
