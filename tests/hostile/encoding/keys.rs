//! Keys: of another algorithm or length, no points, unreduced ones and those for which anybody can sign.

use biscuit_auth::format::schema::{self, PublicKey, term::Content};
use biscuit_auth::{KeyPair, PrivateKey};
use prost::Message;

use super::{accepted, refused};
use crate::case::Case;
use crate::craft::seed;
use hardtack_testkit::Cast;
use hardtack_testkit::forge::{Forge, base64};

/// Where a token has a key, and in which block. The grant's own key is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Next(usize),
    Signer(usize),
    Table(usize),
}

const PLACES: [(&str, Place, usize); 8] = [
    ("the grant's next key", Place::Next(0), 0),
    ("the hop's next key", Place::Next(1), 1),
    ("the presentation's next key", Place::Next(2), 2),
    ("the delegator's key", Place::Signer(1), 1),
    ("the presenter's key", Place::Signer(2), 2),
    ("the key that the grant's check trusts", Place::Table(0), 0),
    ("the key that the hop's check trusts", Place::Table(1), 1),
    ("a key that the presentation's check trusts", Place::Table(2), 2),
];

/// Keys of the wrong form: anywhere, whatever it is for.
fn malformed() -> Vec<(&'static str, PublicKey)> {
    let good = Cast::new().thief.public().to_bytes().to_vec();
    let key = |algorithm, key| PublicKey { algorithm, key };
    vec![
        ("of no bytes", key(0, Vec::new())),
        ("of 31 bytes", key(0, good[..31].to_vec())),
        ("of 33 bytes", key(0, [&good[..], &[0]].concat())),
        ("of 33 bytes, a prefix first", key(0, [&[0xed], &good[..]].concat())),
        ("of 64 bytes, secret and public", key(0, [[4; 32], [4; 32]].concat())),
        ("in hexadecimal digits", key(0, hex::encode(&good).into_bytes())),
        ("of P-256", p256().public().to_proto()),
        ("of P-256 by its number alone", key(1, good.clone())),
        ("of P-256 by its bytes alone", key(0, p256().public().to_bytes())),
        ("of an algorithm that is not known", key(2, good.clone())),
        ("of an algorithm below zero", key(-1, good.clone())),
        ("of the greatest number of an algorithm", key(i32::MAX, good)),
    ]
}

/// No keys, and the encodings of points of small order: eight of them reduced, and those that are not.
fn useless() -> Vec<(String, [u8; 32])> {
    let hex = |digits: &str| <[u8; 32]>::try_from(hex::decode(digits).unwrap()).unwrap();
    let points = [
        ("order 1", "0100000000000000000000000000000000000000000000000000000000000000"),
        ("order 2", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("order 4", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("order 4, the other", "0000000000000000000000000000000000000000000000000000000000000080"),
        ("order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        ("order 8, negated", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
        (
            "order 8, the inverse",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        ),
        ("order 8, both", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
        ("order 1 with a sign", "0100000000000000000000000000000000000000000000000000000000000080"),
        ("order 2 with a sign", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
        ("order 4, unreduced", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("order 1, unreduced", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ];
    let unreduced = (3..19_u8).map(|y| {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (0xed + y, 0x7f);
        bytes
    });
    let no_point = (2..).map(|y: u8| {
        let mut bytes = [0; 32];
        bytes[0] = y;
        bytes
    });
    let is_point = |bytes: &[u8; 32]| ed25519_dalek::VerifyingKey::from_bytes(bytes).is_ok();
    let mut keys: Vec<_> = points.map(|(what, digits)| (format!("of {what}"), hex(digits))).into();
    keys.push((
        "that is no point".to_owned(),
        no_point.into_iter().find(|y| !is_point(y)).unwrap(),
    ));
    keys.push(("of ones".to_owned(), [0xff; 32]));
    keys.push((
        "of full order, unreduced".to_owned(),
        unreduced.into_iter().find(is_point).unwrap(),
    ));
    keys
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases =
        vec![accepted("a key that the presentation's check trusts", trusting().bearer())];
    for (place, at, block) in PLACES {
        for (what, key) in malformed() {
            let bearer = with_key(at, key);
            cases.push(refused(&format!("{place} {what}"), bearer, "algorithm", Some(block)));
        }
    }
    for (what, bytes) in useless() {
        let key = PublicKey { algorithm: 0, key: bytes.to_vec() };
        for (place, at, block) in PLACES {
            let name = format!("{place} {what}");
            // A next key is looked at when it must verify what follows.
            let (cause, block) = match at {
                Place::Next(_) => ("signature", (block + 1).min(2)),
                _ => ("algorithm", block),
            };
            cases.push(refused(&name, with_key(at, key.clone()), cause, Some(block)));
        }
        for block in 0..2 {
            let name = format!("the holder's key of block {block} {what}");
            cases.push(refused(&name, with_holder(block, &bytes), "algorithm", Some(block)));
        }
    }
    for (what, bytes) in [
        ("of no bytes", Vec::new()),
        ("of 31 bytes", vec![7; 31]),
        ("of 33 bytes", vec![7; 33]),
        ("of P-256", p256().public().to_bytes()),
        ("in hexadecimal digits", hex::encode([7; 32]).into_bytes()),
    ] {
        for block in 0..2 {
            let name = format!("the holder's key of block {block} {what}");
            cases.push(refused(&name, with_holder(block, &bytes), "fact", Some(block)));
        }
    }
    cases.extend(p256_signs());
    cases.extend(proofs());
    cases
}

/// Signatures of P-256 are longer than 64 bytes: where one stands, no key is needed to refuse it.
fn p256_signs() -> Vec<Case> {
    let mut cases = vec![refused(
        "a grant signed with P-256",
        seed().change(|forge| forge.root = p256()).bearer(),
        "signature_version",
        Some(0),
    )];
    for block in 0..3 {
        let forged = seed().change(|forge| forge.blocks[block].next = p256());
        let name = format!("block {block} hands over to P-256, which signs");
        cases.push(refused(
            &name,
            forged.bearer(),
            if block == 2 { "signature_version" } else { "algorithm" },
            Some(block),
        ));
    }
    for block in 1..3 {
        let forged = seed().change(|forge| forge.blocks[block].signer = Some(p256()));
        let name = format!("block {block} signed by a holder with P-256");
        cases.push(refused(&name, forged.bearer(), "algorithm", Some(block)));
    }
    cases
}

fn proofs() -> Vec<Case> {
    use schema::proof::Content;
    let forge = seed().change(|forge| forge.proof = hardtack_testkit::forge::Proof::Secret);
    let secret = forge.blocks[2].next.private().to_bytes().to_vec();
    let with = |content: Option<Content>| {
        let mut token = forge.sign();
        token.proof.content = content;
        base64(&token.encode_to_vec())
    };
    let mut cases = vec![accepted("with the secret at its end", forge.bearer())];
    for (what, content, cause, block) in [
        ("no proof", None, "not_a_token", None),
        ("a secret of no bytes", Some(Content::NextSecret(vec![])), "signature_version", Some(2)),
        (
            "a secret of 31 bytes",
            Some(Content::NextSecret(secret[..31].to_vec())),
            "signature_version",
            Some(2),
        ),
        (
            "a secret of 33 bytes",
            Some(Content::NextSecret([&secret[..], &[0]].concat())),
            "signature_version",
            Some(2),
        ),
        (
            "a secret with its public half",
            Some(Content::NextSecret(
                [&secret[..], &forge.blocks[2].next.public().to_bytes()].concat(),
            )),
            "signature_version",
            Some(2),
        ),
        (
            "a secret for a seal",
            Some(Content::FinalSignature(secret.clone())),
            "signature_version",
            Some(2),
        ),
        (
            "the secret of P-256",
            Some(Content::NextSecret(p256().private().to_bytes().to_vec())),
            "signature",
            Some(2),
        ),
        ("another secret", Some(Content::NextSecret(vec![7; 32])), "signature", Some(2)),
        ("a secret of zeros", Some(Content::NextSecret(vec![0; 32])), "signature", Some(2)),
        (
            "the public half for a secret",
            Some(Content::NextSecret(forge.blocks[2].next.public().to_bytes())),
            "signature",
            Some(2),
        ),
        (
            "the secret of the block before",
            Some(Content::NextSecret(forge.blocks[1].next.private().to_bytes().to_vec())),
            "signature",
            Some(2),
        ),
        (
            "the secret with its lowest bit turned",
            Some(Content::NextSecret([&[secret[0] ^ 1], &secret[1..]].concat())),
            "signature",
            Some(2),
        ),
        (
            "the last signature for a seal",
            Some(Content::FinalSignature(forge.sign().blocks[1].signature.clone())),
            "signature",
            Some(2),
        ),
    ] {
        cases.push(refused(&format!("at the end, {what}"), with(content), cause, block));
    }
    cases
}

/// The seed, with a key in the presentation's table too.
fn trusting() -> Forge {
    let orchestrator = Cast::new().orchestrator.public();
    let text = format!(
        r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:02:00Z);
           check if hop($hop), $hop == 1 trusting {orchestrator};"#
    );
    seed().write(2, &text)
}

/// The token with another key at a place, all signatures made anew over it.
fn with_key(place: Place, key: PublicKey) -> String {
    match place {
        Place::Table(block) => {
            trusting().edit(block, |content| content.public_keys[0] = key).bearer()
        }
        Place::Signer(block) => {
            let mut token = seed().sign();
            token.blocks[block - 1].external_signature.as_mut().unwrap().public_key = key;
            base64(&token.encode_to_vec())
        }
        Place::Next(block) => {
            let mut token = seed().sign();
            match block {
                0 => token.authority.next_key = key,
                _ => token.blocks[block - 1].next_key = key,
            }
            resigned(token, block)
        }
    }
}

/// Signs the block that names another next key: what the holder of the throw-away key before it can do.
fn resigned(mut token: schema::Biscuit, block: usize) -> String {
    let forge = seed();
    if block == 0 {
        token.authority.signature =
            crate::craft::sign(&forge.root, &crate::craft::block_payload(&token.authority, None));
    } else {
        let previous = match block {
            1 => token.authority.signature.clone(),
            _ => token.blocks[block - 2].signature.clone(),
        };
        let signed = token.blocks[block - 1].clone();
        let secret = &forge.blocks[block - 1].next;
        token.blocks[block - 1] = hardtack_testkit::forge::wrapped(signed, &previous, secret);
    }
    base64(&token.encode_to_vec())
}

/// The token with another holder's key in a block, all signatures made anew.
fn with_holder(block: usize, key: &[u8]) -> String {
    let change = |content: &mut schema::Block| {
        let terms = content.facts.iter_mut().flat_map(|fact| &mut fact.predicate.terms);
        let keys = terms.filter_map(|term| match &mut term.content {
            Some(Content::Bytes(bytes)) => Some(bytes),
            _ => None,
        });
        keys.for_each(|bytes| *bytes = key.to_vec());
    };
    seed().edit(block, change).bearer()
}

/// The same in every run.
fn p256() -> KeyPair {
    let text = format!("secp256r1-private/{}", "11".repeat(32));
    let secret: PrivateKey = text.parse().unwrap();
    KeyPair::from(&secret)
}
