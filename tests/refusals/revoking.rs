//! Refused to revoke: who has not the scope stops whom it delegated to, and shows that it did.

use crate::*;

/// What the guard says to the orchestrator, which presents its grant to revoke the first hop of `shown`.
fn revoking_by(presented: &PrivateKey, shown: &Capability, proof: &Capability) -> &'static str {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let revocation = Revocation::Id { id: shown.chain().hops[0].revocation_id };
    let request = RevocationRequest::new(revocation, "laptop stolen", Some(proof)).unwrap();
    let grant = cast.issuer().mint(cast.grant_of(&["tools:*"]).holder(presented.public()), NOW);
    let bearer = grant.unwrap().present_to_revoke(AUDIENCE, &request, presented, NOW).unwrap();
    match cast.guard(&store).check_revocation(bearer.bearer(), &request, NOW) {
        Ok(_) => "allowed",
        Err(denial) => denial.refusal().cause,
    }
}

#[test]
fn a_proof_that_no_trusted_root_signed() {
    let (cast, genuine) = (Cast::new(), seed());
    assert_eq!(
        revoking_by(&cast.orchestrator, &genuine.capability(), &genuine.capability()),
        "allowed"
    );
    let forged = seed().change(|f| f.root = forge::pair(&cast.thief)).capability();
    assert_eq!(revoking_by(&cast.orchestrator, &forged, &forged), "revocation_proof");
}

/// Whoever writes itself in as the delegator of a hop that it did not sign.
#[test]
fn a_proof_in_which_a_hop_is_not_signed_by_its_delegator() {
    let cast = Cast::new();
    let by_a_thief = seed().change(|f| f.blocks[1].signer = Some(forge::pair(&cast.thief)));
    let by_a_thief = by_a_thief.capability();
    assert_eq!(revoking_by(&cast.thief, &by_a_thief, &by_a_thief), "revocation_proof");
    let mut pasted = seed().sign();
    let other = seed().change(|f| f.blocks[0].next = KeyPair::new()).sign();
    pasted.blocks[0].external_signature = other.blocks[0].external_signature.clone();
    let pasted = Capability::parse(&forge::base64(&pasted.encode_to_vec())).unwrap();
    assert_eq!(revoking_by(&cast.orchestrator, &pasted, &pasted), "revocation_proof");
}

#[test]
fn a_hop_that_somebody_else_delegated_or_that_is_not_shown() {
    let (cast, genuine) = (Cast::new(), seed().capability());
    assert_eq!(revoking_by(&cast.researcher, &genuine, &genuine), "revocation_by_stranger");
    let other = cast.researchers();
    assert_eq!(revoking_by(&cast.orchestrator, &genuine, &other), "revocation_not_in_proof");
}
