//! JWS: the parts of a signed text (RFC 7515, compact), and whether a key signed it.
//!
//! The algorithm is one that the reader allows and that the key is for; a text never chooses it alone. Everything is read once.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Map, Value};

use crate::json;
use crate::jwk::{Jwk, Material};

/// The algorithms by which a signature can be made. Those with a shared secret, and `none`, are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSA, PKCS #1 1.5, with SHA-256. Providers must support it (OpenID Connect).
    Rs256,
    /// RSA, PSS, with SHA-256.
    Ps256,
    /// ECDSA over P-256.
    Es256,
    /// ECDSA over P-384.
    Es384,
    /// Ed25519, called `EdDSA` (RFC 8037) or `Ed25519` (RFC 9864).
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 5] =
        [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];

    /// Reads the name of an algorithm, letter by letter.
    pub fn named(name: &str) -> Option<Algorithm> {
        Some(match name {
            "RS256" => Algorithm::Rs256,
            "PS256" => Algorithm::Ps256,
            "ES256" => Algorithm::Es256,
            "ES384" => Algorithm::Es384,
            "EdDSA" | "Ed25519" => Algorithm::EdDsa,
            _ => return None,
        })
    }
}

/// A signed text whose signature is not checked yet. `Debug` shows nothing of it: it is a secret.
pub struct Jws<'t> {
    /// What was signed.
    message: &'t str,
    signature: Vec<u8>,
    /// The header.
    pub header: Map<String, Value>,
    payload: Vec<u8>,
}

/// Why a text is none that can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[allow(missing_docs, reason = "each says in its words what it is")]
#[non_exhaustive]
pub enum Unread {
    #[error("it is no signed token of three parts")]
    Parts,
    #[error("a part is not base64url without padding")]
    Encoding,
    #[error("its header is no JSON object, or says something twice")]
    Header,
    #[error("its header demands an extension (crit)")]
    Critical,
}

impl<'t> Jws<'t> {
    /// Takes a text apart.
    ///
    /// # Errors
    ///
    /// [`Unread`] says what is wrong with it.
    pub fn read(text: &'t str) -> Result<Jws<'t>, Unread> {
        let (message, signature) = text.rsplit_once('.').ok_or(Unread::Parts)?;
        let (header, payload) = message.split_once('.').ok_or(Unread::Parts)?;
        if payload.contains('.') {
            return Err(Unread::Parts);
        }
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Unread::Encoding);
        let (header, payload, signature) = (bytes(header)?, bytes(payload)?, bytes(signature)?);
        let header = json::object(&header).ok_or(Unread::Header)?;
        match header.contains_key("crit") {
            true => Err(Unread::Critical),
            false => Ok(Jws { message, signature, header, payload }),
        }
    }

    /// Returns a member of the header that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// Returns the algorithm that the header names, if there is one of that name.
    pub fn algorithm(&self) -> Option<Algorithm> {
        Algorithm::named(self.text("alg")?)
    }

    /// Returns true if the key signed it by this algorithm.
    pub fn is_signed_by(&self, key: &Jwk, algorithm: Algorithm) -> bool {
        let (message, sig) = (self.message.as_bytes(), self.signature.as_slice());
        let plain = |algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, sig).is_ok()
        };
        match (algorithm, &key.material) {
            (Algorithm::EdDsa, Material::Ed25519(key)) => plain(&signature::ED25519, key),
            (Algorithm::Es256, Material::P256(key)) => {
                plain(&signature::ECDSA_P256_SHA256_FIXED, key)
            }
            (Algorithm::Es384, Material::P384(key)) => {
                plain(&signature::ECDSA_P384_SHA384_FIXED, key)
            }
            (Algorithm::Rs256, Material::Rsa { n, e }) => RsaPublicKeyComponents { n, e }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, sig)
                .is_ok(),
            (Algorithm::Ps256, Material::Rsa { n, e }) => RsaPublicKeyComponents { n, e }
                .verify(&signature::RSA_PSS_2048_8192_SHA256, message, sig)
                .is_ok(),
            _ => false,
        }
    }

    /// Returns what it says, as an object. `None` if it is none, or says something twice.
    pub fn claims(&self) -> Option<Map<String, Value>> {
        json::object(&self.payload)
    }
}

impl std::fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jws").finish_non_exhaustive()
    }
}
