//! Signing: a token of whatever header and claims, as a provider or an attacker makes it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hardtack::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Who signs.
pub(crate) enum Signer {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair, SystemRandom),
}

impl Signer {
    pub(crate) fn ed25519(seed: u8) -> Signer {
        Signer::of(&[seed; 32])
    }

    pub(crate) fn of(seed: &[u8; 32]) -> Signer {
        Signer::Ed25519(Ed25519KeyPair::from_seed_unchecked(seed).unwrap())
    }

    pub(crate) fn p256() -> Signer {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Signer::P256(EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap(), random)
    }

    /// The public half, as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        match self {
            Signer::Ed25519(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(key.public_key()) })
            }
            Signer::P256(key, _) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y) })
            }
        }
    }

    pub(crate) fn sign(&self, message: &str) -> Vec<u8> {
        match self {
            Signer::Ed25519(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
            Signer::P256(key, random) => {
                key.sign(random, message.as_bytes()).unwrap().as_ref().to_vec()
            }
        }
    }

    /// The token of these two texts.
    pub(crate) fn token(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        format!("{message}.{}", encoded(self.sign(&message)))
    }
}

/// Something with one member more or another, or without it (`null`).
pub(crate) fn with(mut value: Value, name: &str, member: Value) -> Value {
    match member {
        Value::Null => drop(value.as_object_mut().unwrap().remove(name)),
        member => value[name] = member,
    }
    value
}
