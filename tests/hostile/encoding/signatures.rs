//! Signatures: bytes that some verifier of Ed25519 takes for a signature, and others that none should.

use ed25519_dalek::{Verifier, VerifyingKey};
use sha2::{Digest, Sha512};

use super::{accepted, refused};
use crate::case::Case;
use crate::craft::seed;
use crate::craft::{Signature, sign_with};
use hardtack_testkit::forge::{Forge, Proof, base64};
use prost::Message;

/// The order of the group, little endian (RFC 8032, section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// A point of order 2, and the one of order 1.
const MINUS_ONE: [u8; 32] = little_endian([0xec, 0xff], 0x7f);
const IDENTITY: [u8; 32] = [
    1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// 2^255 − 18, which some decoders reduce to 1.
const IDENTITY_UNREDUCED: [u8; 32] = little_endian([0xee, 0xff], 0x7f);

/// The base point, whose logarithm everybody knows.
const BASE: [u8; 32] = {
    let mut bytes = [0x66; 32];
    bytes[0] = 0x58;
    bytes
};

const PLACES: [(&str, Signature, usize); 6] = [
    ("the grant's signature", Signature::Block(0), 0),
    ("the hop's signature", Signature::Block(1), 1),
    ("the delegator's signature", Signature::External(1), 1),
    ("the presentation's signature", Signature::Block(2), 2),
    ("the presenter's signature", Signature::External(2), 2),
    ("the seal", Signature::Seal, 2),
];

type Change = fn(&mut Vec<u8>);

/// What is a signature of 64 bytes and does not hold.
const CHANGES: [(&str, Change); 13] = [
    ("with the order added to S", |bytes| add_order(&mut bytes[32..])),
    ("with the highest bit of S set", |bytes| bytes[63] |= 0x80),
    ("with three high bits of S set", |bytes| bytes[63] |= 0xe0),
    ("with S negated", |bytes| negate(&mut bytes[32..])),
    ("with S of zero", |bytes| bytes[32..].fill(0)),
    ("with S of the order", |bytes| bytes[32..].copy_from_slice(&ORDER)),
    ("with the sign of R turned", |bytes| bytes[31] ^= 0x80),
    ("with the identity for R", |bytes| bytes[..32].copy_from_slice(&IDENTITY)),
    ("with an unreduced R", |bytes| bytes[..32].copy_from_slice(&IDENTITY_UNREDUCED)),
    ("with R and S exchanged", |bytes| bytes.rotate_left(32)),
    ("of zeros", |bytes| bytes.fill(0)),
    ("of ones", |bytes| bytes.fill(0xff)),
    ("with the identity for R and S of zero", |bytes| {
        bytes.fill(0);
        bytes[0] = 1;
    }),
];

const LENGTHS: [(&str, Change); 6] = [
    ("of no bytes", Vec::clear),
    ("of 63 bytes", |bytes| bytes.truncate(63)),
    ("of 63 bytes, the first left out", |bytes| {
        bytes.remove(0);
    }),
    ("of 65 bytes", |bytes| bytes.push(0)),
    ("given twice in one", |bytes| bytes.extend_from_within(..)),
    ("of 64 bytes as P-256 would have it in DER", |bytes| {
        let (r, s) = bytes.split_at(32);
        *bytes = [&[0x30, 0x44, 2, 0x20], r, &[2, 0x20], s].concat();
    }),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![accepted("signatures under a root key id", as_they_are())];
    for (place, target, block) in PLACES {
        let changed = |change: Change| {
            tampered(|signature, _, bytes| {
                if signature == target {
                    change(bytes);
                }
            })
        };
        for (what, change) in CHANGES {
            let name = format!("{place} {what}");
            cases.push(refused(&name, changed(change), "signature", Some(block)));
        }
        for (what, change) in LENGTHS {
            let name = format!("{place} {what}");
            cases.push(refused(&name, changed(change), "signature_version", Some(block)));
        }
    }
    cases.extend(accepted_by_others());
    cases
}

/// What RFC 8032 lets a verifier accept, and ours must not: the equation holds, over points of small order.
fn accepted_by_others() -> Vec<Case> {
    let mut cases = Vec::new();
    for (place, target, block) in PLACES {
        let forged = tampered(|signature, payload, bytes| {
            if signature == target {
                *bytes = with_small_r(&secret_of(target), payload);
            }
        });
        let name = format!("{place} with R of small order, which the lax equation accepts");
        cases.push(refused(&name, forged, "signature", Some(block)));
    }
    for (what, key) in [("the identity", IDENTITY), ("the identity, unreduced", IDENTITY_UNREDUCED)]
    {
        for (hop, target) in [(1, Signature::Block(2)), (2, Signature::Seal)] {
            let name = format!("{what} for the next key of block {hop}, under which anybody signs");
            let bearer = by_everybody(hop, target, key);
            cases.push(refused(&name, bearer, "signature", Some(2)));
        }
    }
    // With −1 for a key, every second message can be signed by anybody: here the seal of a token is.
    let name = "a key of order two, under which anybody signs every second message";
    cases.push(refused(name, by_everybody(2, Signature::Seal, MINUS_ONE), "signature", Some(2)));
    cases
}

/// A token whose `block` names a key of small order, for which the signature after it is made without a secret.
fn by_everybody(block: usize, target: Signature, key: [u8; 32]) -> String {
    let mut forge = seed();
    // The forge signs with key pairs, and there is none for such a key: it signs, and the key is put in its place.
    forge.proof = Proof::Sealed;
    let sealed = sign_naming(&forge, block, key, |signature, bytes| {
        if signature == target {
            let mut one = [0; 32];
            one[0] = 1;
            *bytes = [BASE, one].concat();
        }
    });
    base64(&sealed.encode_to_vec())
}

/// Signs the token with another next key in one block.
fn sign_naming(
    forge: &Forge,
    block: usize,
    key: [u8; 32],
    mut tamper: impl FnMut(Signature, &mut Vec<u8>),
) -> biscuit_auth::format::schema::Biscuit {
    let naming = |payload: &[u8]| {
        let honest = forge.blocks[block].next.public().to_bytes();
        let at = payload.windows(32).position(|window| window == honest.as_slice());
        let mut payload = payload.to_vec();
        if let Some(at) = at {
            payload[at..at + 32].copy_from_slice(&key);
        }
        payload
    };
    let mut token = sign_with(forge, |signature, payload, bytes| {
        // Only what covers the next key is signed anew.
        if let Signature::Block(at) = signature
            && at == block
        {
            let signer = &forge.blocks[at - 1].next;
            *bytes = crate::craft::sign(signer, &naming(payload));
        }
        tamper(signature, bytes);
    });
    token.blocks[block - 1].next_key.key = key.to_vec();
    token
}

/// What the changes below change, but for the hint at the root key, which nothing covers.
fn as_they_are() -> String {
    let forge = seed().change(|forge| forge.root_key_id = Some(9));
    base64(&sign_with(&forge, |_, _, _| {}).encode_to_vec())
}

fn tampered(tamper: impl FnMut(Signature, &[u8], &mut Vec<u8>)) -> String {
    base64(&sign_with(&seed(), tamper).encode_to_vec())
}

/// The seed of the key that makes a signature of the seed chain.
fn secret_of(signature: Signature) -> [u8; 32] {
    let forge = seed();
    let signer = match signature {
        Signature::Block(0) => &forge.root,
        Signature::Block(block) => &forge.blocks[block - 1].next,
        Signature::External(block) => forge.blocks[block].signer.as_ref().unwrap(),
        Signature::Seal => &forge.blocks.last().unwrap().next,
    };
    signer.private().to_bytes().as_slice().try_into().unwrap()
}

/// A signature with the identity for R: S is the hash times the secret scalar. The equation holds.
fn with_small_r(secret: &[u8; 32], message: &[u8]) -> Vec<u8> {
    let hashed = Sha512::digest(secret);
    let mut scalar: [u8; 32] = hashed[..32].try_into().unwrap();
    scalar[0] &= 0xf8;
    scalar[31] = scalar[31] & 0x7f | 0x40;
    let public = ed25519_dalek::SigningKey::from_bytes(secret).verifying_key().to_bytes();
    let hash = Sha512::new().chain_update(IDENTITY).chain_update(public).chain_update(message);
    let s = times(&hash.finalize(), &reduced(&scalar));
    [IDENTITY, s].concat()
}

/// The product modulo the order: doubling and adding, from the highest bit down.
fn times(factor: &[u8], by: &[u8; 32]) -> [u8; 32] {
    let bits = factor.iter().rev().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    bits.fold([0; 32], |sum, bit| {
        let doubled = sum_of(&sum, &sum);
        if bit == 1 { sum_of(&doubled, by) } else { doubled }
    })
}

fn reduced(scalar: &[u8; 32]) -> [u8; 32] {
    let mut one = [0; 32];
    one[0] = 1;
    times(scalar, &one)
}

/// The sum of two numbers below the order, modulo the order.
fn sum_of(one: &[u8; 32], other: &[u8; 32]) -> [u8; 32] {
    let mut carry = 0_u16;
    let mut sum = [0; 32];
    for at in 0..32 {
        carry += u16::from(one[at]) + u16::from(other[at]);
        sum[at] = carry as u8;
        carry >>= 8;
    }
    match sum.iter().rev().ge(ORDER.iter().rev()) {
        true => difference(&sum, &ORDER),
        false => sum,
    }
}

fn difference(from: &[u8], less: &[u8; 32]) -> [u8; 32] {
    let mut borrow = 0_i16;
    let mut left = [0; 32];
    for at in 0..32 {
        let byte = i16::from(from[at]) - i16::from(less[at]) - borrow;
        left[at] = byte as u8;
        borrow = i16::from(byte < 0);
    }
    left
}

fn add_order(s: &mut [u8]) {
    let mut carry = 0_u16;
    for (byte, order) in s.iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(order);
        *byte = carry as u8;
        carry >>= 8;
    }
}

fn negate(s: &mut [u8]) {
    let negated = difference(&ORDER, s[..].try_into().unwrap());
    s.copy_from_slice(&negated);
}

/// Two bytes at the low end, ones between, and one byte at the high end.
const fn little_endian(low: [u8; 2], high: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[1], bytes[31]) = (low[0], low[1], high);
    bytes
}

#[test]
fn what_only_the_strict_equation_refuses_is_accepted_by_the_lax_one() {
    let secret = [7; 32];
    let lax = |key: &[u8; 32], message: &[u8], signature: &[u8]| {
        let signature = ed25519_dalek::Signature::from_slice(signature).unwrap();
        let key = VerifyingKey::from_bytes(key).unwrap();
        assert!(key.verify_strict(message, &signature).is_err());
        key.verify(message, &signature).is_ok()
    };
    let key = ed25519_dalek::SigningKey::from_bytes(&secret).verifying_key().to_bytes();
    assert!(lax(&key, b"message", &with_small_r(&secret, b"message")));
    let mut one = [0; 32];
    one[0] = 1;
    let by_anybody = [BASE, one].concat();
    for key in [IDENTITY, IDENTITY_UNREDUCED] {
        assert!(lax(&key, b"message", &by_anybody));
    }
    let signed = (0..9_u8).filter(|byte| lax(&MINUS_ONE, &[*byte], &by_anybody)).count();
    assert!((1..9).contains(&signed), "{signed} of 9");
}
