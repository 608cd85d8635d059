//! JWK: which public keys does a set of keys have (RFC 7517), and what is each for?

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::json;
use crate::jws::Algorithm;

/// The most keys of a set that are looked at: providers have two to ten. A set with more is refused.
const MAX_KEYS: usize = 100;

/// The coordinates of points begin with this byte where they are not compressed (SEC 1).
const UNCOMPRESSED: u8 = 4;

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    pub(crate) material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Jwk {
    /// Reads a key for signatures. `None` if it is for something else, of another kind, malformed, or a private key: one that is
    /// published is everybody's.
    pub fn read(members: &Map<String, Value>) -> Option<Jwk> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let sized = |name: &str, size: usize| bytes(name).filter(|bytes| bytes.len() == size);
        let point =
            |size: usize| Some([vec![UNCOMPRESSED], sized("x", size)?, sized("y", size)?].concat());
        let is_private = ["d", "p", "q", "k"].iter().any(|name| members.contains_key(*name));
        let is_for_others = members.get("use").is_some_and(|used| used != "sig")
            || members.get("key_ops").is_some_and(|ops| !is_for_verifying(ops));
        if is_private || is_for_others {
            return None;
        }
        let material = match (text("kty")?, text("crv")) {
            ("RSA", None) => Material::Rsa { n: bytes("n")?, e: bytes("e")? },
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(sized("x", 32)?),
            _ => return None,
        };
        let algorithm = match members.get("alg") {
            None => None,
            Some(name) => Some(Algorithm::named(name.as_str()?)?),
        };
        let kid = match members.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str()?.to_owned()),
        };
        Some(Jwk { kid, algorithm, material })
    }

    /// Returns true if signatures by this algorithm can be of this key.
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        let fits = match self.material {
            Material::Rsa { .. } => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::P384(_) => algorithm == Algorithm::Es384,
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
        };
        fits && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

fn is_for_verifying(ops: &Value) -> bool {
    ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"))
}

/// The keys that a provider publishes (`jwks_uri`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(Vec<Jwk>);

impl KeySet {
    /// Reads a document. Keys in it that are of no use here are passed over. `None` if it is no such document, has too many keys, or
    /// two of one id.
    pub fn read(text: &[u8]) -> Option<KeySet> {
        let document = json::object(text)?;
        let keys = document.get("keys")?.as_array().filter(|keys| keys.len() <= MAX_KEYS)?;
        let keys: Vec<Jwk> =
            keys.iter().filter_map(Value::as_object).filter_map(Jwk::read).collect();
        let repeats = |key: &Jwk| {
            let same = |other: &&Jwk| other.kid == key.kid && other.algorithm == key.algorithm;
            key.kid.is_some() && keys.iter().filter(same).count() > 1
        };
        (!keys.iter().any(repeats)).then_some(KeySet(keys))
    }

    /// Returns the key for a signature: that of the id, or the only one for the algorithm if the signature names none.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&Jwk, NoKey> {
        let Some(kid) = kid else {
            let mut fitting = self.0.iter().filter(|key| key.is_for(algorithm));
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Ok(key),
                (None, _) => Err(NoKey::Unknown),
                (Some(_), Some(_)) => Err(NoKey::Unnamed),
            };
        };
        let mut named = self.0.iter().filter(|key| key.kid.as_deref() == Some(kid)).peekable();
        if named.peek().is_none() {
            return Err(NoKey::Unknown);
        }
        named.find(|key| key.is_for(algorithm)).ok_or(NoKey::OtherAlgorithm)
    }
}

/// Why there is no key for a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoKey {
    /// No key has this id. The provider may have new ones.
    Unknown,
    /// The signature names none, and it could be of several.
    Unnamed,
    /// The key of this id is for another algorithm.
    OtherAlgorithm,
}
