//! Points: which point of the curve do the bytes of a key encode, and did its holder sign this? Each key is decoded once.

use std::sync::LazyLock;

use biscuit_auth::builder::Algorithm;
use ed25519_dalek::VerifyingKey;
use quick_cache::sync::Cache;

/// How many keys are remembered as points of the curve, twice, as two libraries have them: those of some hundred chains. One takes some
/// three hundred bytes. Whoever sends many others costs each key 4 microseconds, which is what reading it takes.
const MAX_KEYS_READ: usize = 4096;

/// The point that these bytes encode (RFC 8032, section 5.1.3), if there is one. A key stands in a token several times, and those of
/// roots and agents in many: it is decoded once.
pub(super) fn point_of(bytes: &[u8; 32]) -> Option<VerifyingKey> {
    static READ: LazyLock<Cache<[u8; 32], VerifyingKey>> =
        LazyLock::new(|| Cache::new(MAX_KEYS_READ));
    READ.get_or_insert_with(bytes, || VerifyingKey::from_bytes(bytes)).ok()
}

/// Strict verification: no malleable signature and no key of small order passes.
pub(crate) fn verify_strict(key: &[u8], message: &[u8], signature: &[u8; 64]) -> bool {
    let key = key.try_into().ok().and_then(point_of);
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    key.is_some_and(|key| key.verify_strict(message, &signature).is_ok())
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
    let read = || biscuit_auth::PublicKey::from_bytes(bytes, Algorithm::Ed25519);
    READ.get_or_insert_with(bytes, read).ok()
}
