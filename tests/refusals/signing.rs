//! Refused to sign or accept: for another token.

use crate::*;

/// Moves the last block of one token, as it was signed, behind the blocks of another.
fn transplanted(from: &Capability, onto: &Capability) -> Result<Capability, String> {
    let decode = |token: &Capability| schema::Biscuit::decode(token.to_bytes().as_slice()).unwrap();
    let (from, mut moved) = (decode(from), decode(onto));
    let Some(schema::proof::Content::NextSecret(secret)) = &moved.proof.content else {
        unreachable!()
    };
    let secret = PrivateKey::from_bytes(secret.as_slice().try_into().unwrap());
    let block = from.blocks.last().unwrap().clone();
    let previous = moved.blocks.last().unwrap_or(&moved.authority).signature.clone();
    let signed = forge::wrapped(block, &previous, &forge::pair(&secret));
    moved.blocks.push(signed);
    moved.proof = from.proof;
    Capability::from_bytes(&moved.encode_to_vec()).map_err(|error| error.cause().to_string())
}

/// A thief shows the orchestrator a grant of the thief's own, with the signature of a stolen one pasted in.
#[test]
fn a_holder_cannot_be_lured_into_signing_for_a_stolen_grant() {
    let cast = Cast::new();
    let stolen = cast.grant();
    let evil = Issuer::new(PrivateKey::from_bytes(&[66; 32]));
    let grant = Grant::to("user:mallory").scope("tools:call:*").holder(cast.orchestrator.public());
    let lure = evil.mint(grant, NOW).unwrap();
    let mut pasted = schema::Biscuit::decode(lure.to_bytes().as_slice()).unwrap();
    let theirs = schema::Biscuit::decode(stolen.to_bytes().as_slice()).unwrap();
    pasted.authority.signature = theirs.authority.signature;
    let lure = Capability::from_bytes(&pasted.encode_to_vec()).unwrap();
    let delegation = cast.to_researcher().holder(cast.thief.public());
    let signed = lure.delegate(delegation, &cast.orchestrator, NOW).unwrap();
    assert_eq!(transplanted(&signed, &stolen).unwrap_err(), "other_parent");
    // What was signed over the stolen grant itself stands there.
    transplanted(&cast.researchers(), &stolen).unwrap();
}

#[test]
fn nobody_signs_or_accepts_over_a_signature_that_does_not_hold() {
    use hardtack::capability::{AcceptError, Expect, HolderError};
    let cast = Cast::new();
    let mut token = schema::Biscuit::decode(cast.researchers().to_bytes().as_slice()).unwrap();
    let other = schema::Biscuit::decode(cast.researchers().to_bytes().as_slice()).unwrap();
    token.blocks[0].signature = other.blocks[0].signature.clone();
    let pasted = Capability::from_bytes(&token.encode_to_vec()).unwrap();
    let signed = pasted.present(Presenting::to(AUDIENCE), &cast.researcher, NOW);
    assert_eq!(signed.unwrap_err(), PresentError::Holder(HolderError::Signature { block: 1 }));
    let expected = Expect::Delegator { key: cast.orchestrator.public() };
    assert_eq!(
        Capability::accept(&pasted.to_base64(), expected).unwrap_err(),
        AcceptError::Delegator
    );
}
