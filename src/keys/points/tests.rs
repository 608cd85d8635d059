use std::collections::BTreeSet;

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::{Signature, SigningKey};
use sha2::{Digest, Sha512};

use super::*;

/// How many signatures are changed somewhere.
const CHANGED: usize = 4_000;

/// What three ways say of a signature: ours, dalek's strict one and its lenient one.
fn verdicts(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> [bool; 3] {
    let theirs = Signature::from_bytes(signature);
    let read = VerifyingKey::from_bytes(key).ok();
    let strict = read.is_some_and(|read| read.verify_strict(message, &theirs).is_ok());
    let lenient = read.is_some_and(|read| read.verify(message, &theirs).is_ok());
    [verify_strict(key, message, signature), strict, lenient]
}

fn scalar(number: u64) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&Sha512::digest(number.to_le_bytes()).into())
}

#[test]
fn the_points_of_small_order_are_those_of_the_table() {
    let known: BTreeSet<[u8; 32]> = EIGHT_TORSION.map(|point| point.compress().0).into();
    assert_eq!((known.len(), BTreeSet::from(SMALL_ORDER)), (8, known));
}

/// `R` and the key are a multiple of the base point and a point of small order each, in all pairs; both can have nothing of the base
/// point. Of these a lenient verifier accepts some.
#[test]
fn signatures_with_parts_of_small_order_are_accepted_where_the_strict_verifier_does() {
    let mut counts = [0; 4];
    for (number, (key_part, r_part)) in EIGHT_TORSION
        .iter()
        .flat_map(|one| EIGHT_TORSION.iter().map(move |two| (one, two)))
        .enumerate()
    {
        for (secret, nonce) in [(1, 2), (1, 0), (0, 2), (0, 0)] {
            let number = number as u64 * 4;
            let of = |which: u64| if which == 0 { Scalar::ZERO } else { scalar(number + which) };
            let (secret, nonce) = (of(secret), of(nonce));
            let key: EdwardsPoint = ED25519_BASEPOINT_POINT * secret + key_part;
            let r: EdwardsPoint = ED25519_BASEPOINT_POINT * nonce + r_part;
            let (key, r) = (key.compress().0, r.compress().0);
            for message in [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"] {
                let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message);
                let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
                let s = (nonce + k * secret).to_bytes();
                let signature: [u8; 64] = [r, s].concat().try_into().unwrap();
                let [ours, strict, lenient] = verdicts(&key, message, &signature);
                assert_eq!(ours, strict, "{key_part:?} {r_part:?}");
                assert!(lenient || !strict);
                counts[usize::from(ours) + 2 * usize::from(lenient)] += 1;
            }
        }
    }
    let [neither, none, lenient_alone, both] = counts;
    assert!(neither > 100 && none == 0 && lenient_alone > 100 && both > 50, "{counts:?}");
}

/// Bytes that encode the same as others do: a y beyond the prime, and an x of zero with a sign.
#[test]
fn second_encodings_are_refused_where_the_strict_verifier_refuses_them() {
    let mut r = Vec::from(SMALL_ORDER);
    for low in 0xed..=0xff {
        r.extend([0x7f, 0xff].map(|high| with(0, low, with(31, high, [0xff; 32]))));
    }
    r.extend(SMALL_ORDER.map(|point| with(31, point[31] ^ 0x80, point)));
    r.push(with(0, 2, [0; 32]));
    let secret = SigningKey::from_bytes(&[7; 32]);
    let keys = r.iter().copied().chain([secret.verifying_key().to_bytes()]);
    for key in keys.collect::<Vec<_>>() {
        for r in &r {
            for s in [[0; 32], with(0, 1, [0; 32]), scalar(3).to_bytes(), [0xff; 32]] {
                let signature: [u8; 64] = [*r, s].concat().try_into().unwrap();
                let [ours, strict, _] = verdicts(&key, b"message", &signature);
                assert_eq!((ours, strict), (false, false), "{key:?} {r:?} {s:?}");
            }
        }
    }
}

#[test]
fn a_signature_that_is_changed_anywhere_is_judged_as_the_strict_verifier_judges_it() {
    /// The order of the base point.
    const ORDER: [u64; 4] =
        [0x5812_631a_5cf5_d3ed, 0x14de_f9de_a2f7_9cd6, 0, 0x1000_0000_0000_0000];
    let mut held = 0;
    for number in 0..CHANGED {
        let seed: [u8; 64] = Sha512::digest(number.to_le_bytes()).into();
        let secret = SigningKey::from_bytes(&seed[..32].try_into().unwrap());
        let (mut key, mut message) = (secret.verifying_key().to_bytes(), seed.to_vec());
        let mut signature = ed25519_dalek::Signer::sign(&secret, &message).to_bytes();
        let (bit, at) = (1 << (seed[40] & 7), usize::from(seed[41]));
        match number % 8 {
            0 => {}
            1 => key[at % 32] ^= bit,
            2 => message[at % 64] ^= bit,
            3 => signature[at % 32] ^= bit,
            4 => signature[32 + at % 32] ^= bit,
            5 => signature[..32].copy_from_slice(&SMALL_ORDER[at % 8]),
            6 => key = SMALL_ORDER[at % 8],
            // The same number once more around the order: what makes a signature malleable.
            _ => {
                let mut carry = 0;
                for (word, add) in signature[32..].chunks_exact_mut(8).zip(ORDER) {
                    let sum = u128::from(u64::from_le_bytes(word.try_into().unwrap()));
                    let sum = sum + u128::from(add) + carry;
                    word.copy_from_slice(&(sum as u64).to_le_bytes());
                    carry = sum >> 64;
                }
            }
        }
        let [ours, strict, _] = verdicts(&key, &message, &signature);
        assert_eq!((ours, ours), (strict, number % 8 == 0), "{number}");
        held += usize::from(ours);
    }
    assert_eq!(held, CHANGED / 8);
}
