//! Refused for its keys and signatures.

use crate::*;

#[test]
fn p256_anywhere() {
    let grant = seed().change(|f| f.root = forge::p256());
    assert_eq!(cause(&grant.bearer()).0, "signature_version");
    let next_key = seed().change(|f| f.blocks[1].next = forge::p256());
    assert_eq!(cause(&next_key.bearer()), ("algorithm", Some(1)));
    let signer = seed().change(|f| f.blocks[1].signer = Some(forge::p256()));
    assert_eq!(cause(&signer.bearer()), ("algorithm", Some(1)));
    let table = seed().edit(1, |block| block.public_keys[0] = forge::p256().public().to_proto());
    assert_eq!(cause(&table.bearer()), ("algorithm", Some(1)));
}

#[test]
fn keys_that_are_none_or_for_which_anybody_can_sign() {
    for bytes in [[0_u8; 32], [0xff; 32]] {
        let mut token = seed().sign();
        token.blocks[0].next_key.key = bytes.to_vec();
        assert_eq!(cause(&forge::base64(&token.encode_to_vec())), ("signature", Some(1)));
        let mut token = seed().sign();
        token.blocks[0].external_signature.as_mut().unwrap().public_key.key = bytes.to_vec();
        assert_eq!(cause(&forge::base64(&token.encode_to_vec())), ("algorithm", Some(1)));
    }
    let holder = seed().write(1, &format!(r#"hop(1); delegate("a"); reason("b"); expires(2026-11-23T10:10:00Z); {SCOPE} holder(hex:{});"#, "00".repeat(32)));
    assert_eq!(cause(&holder.bearer()), ("algorithm", Some(1)));
}

#[test]
fn signature_version_0_anywhere() {
    for block in 0..3 {
        for version in [None, Some(0), Some(2)] {
            let forged = seed().change(|f| f.blocks[block].version = version);
            assert_eq!(cause(&forged.bearer()), ("signature_version", Some(block)));
        }
    }
    let mut short = seed().sign();
    short.blocks[0].signature.pop();
    assert_eq!(cause(&forge::base64(&short.encode_to_vec())), ("signature_version", Some(1)));
}

#[test]
fn another_root() {
    let forged = seed().change(|f| f.root = KeyPair::new());
    assert_eq!(cause(&forged.bearer()), ("signature", Some(0)));
}

#[test]
fn a_root_key_id_that_nobody_knows() {
    let cast = Cast::new();
    let roots = RootKeys::default().and_with_id(1, cast.root.public());
    let verifier = Verifier::new(roots, AUDIENCE, RevocationUnchecked).unwrap();
    assert_eq!(cause_by(&verifier, &seed().bearer()), ("unknown_root", None));
    assert_eq!(
        cause_by(&verifier, &seed().change(|f| f.root_key_id = Some(2)).bearer()),
        ("unknown_root", None)
    );
    verifier.verify(&seed().change(|f| f.root_key_id = Some(1)).bearer(), NOW).unwrap();
}

#[test]
fn a_change_of_any_byte_of_a_signed_block() {
    let token = seed().sign();
    let mut refused = 0;
    for block in 0..3 {
        let length = if block == 0 {
            token.authority.block.len()
        } else {
            token.blocks[block - 1].block.len()
        };
        for at in 0..length {
            let mut changed = token.clone();
            let signed =
                if block == 0 { &mut changed.authority } else { &mut changed.blocks[block - 1] };
            signed.block[at] ^= 1;
            Cast::new()
                .verifier()
                .verify(&forge::base64(&changed.encode_to_vec()), NOW)
                .unwrap_err();
            refused += 1;
        }
    }
    assert!(refused > 300);
}

#[test]
fn blocks_spliced_from_another_token() {
    let another =
        seed().change(|f| f.blocks.iter_mut().for_each(|part| part.next = KeyPair::new()));
    let (mut one, two) = (seed().sign(), another.sign());
    one.blocks[1] = two.blocks[1].clone();
    assert_eq!(cause(&forge::base64(&one.encode_to_vec())), ("signature", Some(2)));
    let mut external = seed().sign();
    external.blocks[0].external_signature = two.blocks[0].external_signature.clone();
    assert_eq!(cause(&forge::base64(&external.encode_to_vec())), ("signature", Some(1)));
}

#[test]
fn a_proof_that_is_not_the_last_blocks() {
    let mut token = seed().sign();
    token.proof.content = Some(schema::proof::Content::NextSecret(vec![7; 32]));
    assert_eq!(cause(&forge::base64(&token.encode_to_vec())), ("signature", Some(2)));
    token.proof.content = Some(schema::proof::Content::FinalSignature(vec![7; 64]));
    assert_eq!(cause(&forge::base64(&token.encode_to_vec())), ("signature", Some(2)));
}

#[test]
fn a_signature_on_the_grant_by_somebody_else() {
    let mut token = seed().sign();
    token.authority.external_signature = token.blocks[0].external_signature.clone();
    assert_eq!(cause(&forge::base64(&token.encode_to_vec())), ("content", Some(0)));
}

/// The block signature holds, and only the signature by which the delegator is known does not.
#[test]
fn an_external_signature_by_nobody() {
    let forged = seed();
    let mut token = forged.sign();
    let mut hop = token.blocks[0].clone();
    hop.external_signature.as_mut().unwrap().signature = vec![7; 64];
    token.blocks[0] = forge::wrapped(hop, &token.authority.signature, &forged.blocks[0].next);
    assert_eq!(cause(&forge::base64(&token.encode_to_vec())), ("signature", Some(1)));
}

/// An expired token costs no signature: its bytes are looked at, and nothing else.
#[test]
fn an_expired_token_is_refused_before_its_signatures_are_looked_at() {
    let mut token = seed().sign();
    token.blocks[0].signature = vec![7; 64];
    let bearer = forge::base64(&token.encode_to_vec());
    assert_eq!(cause(&bearer), ("signature", Some(1)));
    let error = Cast::new().verifier().verify(&bearer, NOW + minutes(5)).unwrap_err();
    assert_eq!((error.cause().as_str(), error.block()), ("expired", Some(2)));
}
