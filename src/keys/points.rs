//! Points: which point of the curve do the bytes of a key encode, and did its holder sign this? Each key is decoded once.

use std::sync::LazyLock;

use biscuit_auth::builder::Algorithm;
use ed25519_dalek::{Verifier, VerifyingKey};
use quick_cache::sync::Cache;

/// How many keys are remembered as points of the curve, twice, as two libraries have them: those of some hundred chains. One takes some
/// three hundred bytes. Whoever sends many others costs each key 4 microseconds, which is what reading it takes.
const MAX_KEYS_READ: usize = 4096;

/// A key as it is verified with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    key: VerifyingKey,
    /// Of small order: anybody can make signatures for it.
    pub(super) is_weak: bool,
}

/// The encodings of the points of small order (1, 2, 4 and 8), of which there are eight.
const SMALL_ORDER: [[u8; 32]; 8] = {
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
    ];
    const ORDER_1: [u8; 32] = with(0, 1, [0; 32]);
    const ORDER_2: [u8; 32] = with(0, 0xec, with(31, 0x7f, [0xff; 32]));
    const ORDER_4: [u8; 32] = [0; 32];
    let [one, other] = ORDER_8;
    [
        ORDER_1,
        ORDER_2,
        ORDER_4,
        with(31, 0x80, ORDER_4),
        one,
        with(31, one[31] | 0x80, one),
        other,
        with(31, other[31] | 0x80, other),
    ]
};

const fn with(at: usize, byte: u8, mut bytes: [u8; 32]) -> [u8; 32] {
    bytes[at] = byte;
    bytes
}

/// The point that these bytes encode (RFC 8032, section 5.1.3), if there is one. A key stands in a token several times, and those of
/// roots and agents in many: it is decoded once.
pub(super) fn point_of(bytes: &[u8; 32]) -> Option<Point> {
    static READ: LazyLock<Cache<[u8; 32], Point>> = LazyLock::new(|| Cache::new(MAX_KEYS_READ));
    once(&READ, bytes, || {
        let key = VerifyingKey::from_bytes(bytes).ok()?;
        Some(Point { key, is_weak: key.is_weak() })
    })
}

/// Strict verification: no malleable signature and no key of small order passes.
///
/// The verdict is that of `verify_strict` of ed25519-dalek, for a seventh less. That one decodes the signature's `R` to see whether it is of
/// small order; both then reckon what `R` must be, and compare the encodings byte for byte. A signature that passes has thus an `R` in its
/// only canonical encoding, and whether that is of small order is seen by the bytes. Whether the key is, was seen when it was decoded.
pub(crate) fn verify_strict(key: &[u8], message: &[u8], signature: &[u8; 64]) -> bool {
    let key = key.try_into().ok().and_then(point_of).filter(|key| !key.is_weak);
    let (r, _) = signature.split_at(32);
    if SMALL_ORDER.iter().any(|small| small == r) {
        return false;
    }
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    key.is_some_and(|Point { key, .. }| key.verify(message, &signature).is_ok())
}

/// Whether the y coordinate is below 2^255 − 19 (RFC 8032, section 5.1.3). Decoding reduces it, so that
/// a few keys would have two encodings, of which a revocation names one.
pub(super) fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    high & 0x7f < 0x7f || middle.iter().any(|byte| *byte < 0xff) || *low < 0xed
}

/// The same key as Biscuit's library has it.
pub(super) fn biscuit_key_of(bytes: &[u8; 32]) -> Option<biscuit_auth::PublicKey> {
    static READ: LazyLock<Cache<[u8; 32], biscuit_auth::PublicKey>> =
        LazyLock::new(|| Cache::new(MAX_KEYS_READ));
    once(&READ, bytes, || biscuit_auth::PublicKey::from_bytes(bytes, Algorithm::Ed25519).ok())
}

/// What is remembered of a key, or what is read of it now. Nobody waits for somebody else who reads the same key: in a fork of the process,
/// that thread would not be there any more.
fn once<T: Clone>(
    known: &Cache<[u8; 32], T>,
    bytes: &[u8; 32],
    read: impl FnOnce() -> Option<T>,
) -> Option<T> {
    if let Some(known) = known.get(bytes) {
        return Some(known);
    }
    let read = read()?;
    known.insert(*bytes, read.clone());
    Some(read)
}

#[cfg(test)]
mod tests;
