//! What a hop cannot do without: a new key, two signatures, and the four with which its parent's two hops came.

use std::hint::black_box;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_core::OsRng;

/// About what a hop signs: its block, with keys and the signature before it.
const SIGNED_BYTES: usize = 700;

pub(crate) struct Hop {
    key: SigningKey,
    message: Vec<u8>,
    parent: Vec<([u8; 32], Signature)>,
}

impl Hop {
    pub(crate) fn new() -> Hop {
        let message = vec![0x5a; SIGNED_BYTES];
        let key = SigningKey::generate(&mut OsRng);
        let parent = (0..4).map(|_| SigningKey::generate(&mut OsRng));
        let parent = parent.map(|key| (key.verifying_key().to_bytes(), key.sign(&message)));
        Hop { key, parent: parent.collect(), message }
    }

    pub(crate) fn sign(&self) {
        let next = SigningKey::generate(&mut OsRng);
        black_box(self.key.sign(&self.message));
        black_box(next.sign(&self.message));
    }

    pub(crate) fn verify_parent(&self) {
        for (key, signature) in &self.parent {
            let key = VerifyingKey::from_bytes(key).expect("a key");
            black_box(key.verify_strict(&self.message, signature)).expect("a signature");
        }
    }
}
