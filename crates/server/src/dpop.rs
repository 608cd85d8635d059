//! DPoP: does whoever sends a request have the private half of a key (RFC 9449)?
//!
//! Only Ed25519 keys are proved: they become holders of grants, and a holder's key is of no other kind.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hardtack::{Cause, PublicKey, Timestamp};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use url::Url;

use crate::jwk::Jwk;
use crate::jws::{Algorithm, Jws, Unread};

/// The most bytes of a proof: a key, a URL and an id.
pub const MAX_BYTES: usize = 4 * 1024;

/// How far from now a proof may have been made, in both directions.
pub const WINDOW: Duration = Duration::from_secs(60);

/// The bytes of a `jti`: enough to be unique, few enough to keep.
const JTI_BYTES: std::ops::RangeInclusive<usize> = 8..=128;

/// What a valid proof proves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Proved {
    /// The key.
    pub key: PublicKey,
    /// What the proof is known by. It is good for once: whoever accepts it claims this first.
    pub id: [u8; 32],
    /// Until when its id must be remembered.
    pub remember_until: Timestamp,
}

impl Proved {
    /// Returns the thumbprint of the key as a JWK (RFC 7638), by which tokens name a key that they are bound to.
    pub fn thumbprint(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.key.to_bytes());
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        URL_SAFE_NO_PAD.encode(Sha256::digest(members))
    }
}

/// Why a proof is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[allow(missing_docs, reason = "each says in its words what it is")]
#[non_exhaustive]
pub enum ProofError {
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error("it is no proof: `typ` is not dpop+jwt")]
    Type,
    #[error("it is not signed by Ed25519 (alg is EdDSA)")]
    Algorithm,
    #[error("its key is missing, or no Ed25519 key (jwk)")]
    Key,
    #[error("it shows its private key; make a new one")]
    PrivateKey,
    #[error("the signature is not valid")]
    Signature,
    #[error("what it says is no JSON object, or says something twice")]
    Claims,
    #[error("its id has not 8 to 128 bytes (jti)")]
    Id,
    #[error("it is for another method (htm)")]
    Method,
    #[error("it is for another place (htu)")]
    Place,
    #[error("it does not say when it was made (iat)")]
    Undated,
    #[error("it was made more than {} s ago (iat)", WINDOW.as_secs())]
    Old,
    #[error("it was made in the future (iat)")]
    Future,
    #[error("it does not have the number that the server gave (nonce)")]
    Nonce,
}

impl ProofError {
    /// Returns the [`Cause`] of the refusal.
    pub fn cause(&self) -> Cause {
        Cause::ProofRefused
    }
}

/// Checks the proof of a request with this method to this place. With `nonce`, it must have that one.
///
/// # Errors
///
/// [`ProofError`] names the first thing that is wrong.
pub fn verify(
    text: &str,
    method: &str,
    place: &Url,
    nonce: Option<&str>,
    now: Timestamp,
) -> Result<Proved, ProofError> {
    if text.len() > MAX_BYTES {
        return Err(ProofError::TooLarge);
    }
    let jws = Jws::read(text)?;
    if jws.text("typ") != Some("dpop+jwt") {
        return Err(ProofError::Type);
    }
    if jws.algorithm() != Some(Algorithm::EdDsa) {
        return Err(ProofError::Algorithm);
    }
    let (key, jwk) = key(jws.header.get("jwk"))?;
    if !jws.is_signed_by(&jwk, Algorithm::EdDsa) {
        return Err(ProofError::Signature);
    }
    let claims = jws.claims().ok_or(ProofError::Claims)?;
    let jti = text_of(&claims, "jti").filter(|jti| JTI_BYTES.contains(&jti.len()));
    let jti = jti.ok_or(ProofError::Id)?;
    if text_of(&claims, "htm") != Some(method) {
        return Err(ProofError::Method);
    }
    let said = text_of(&claims, "htu").and_then(|text| Url::parse(text).ok());
    if said.map(bare) != Some(bare(place.clone())) {
        return Err(ProofError::Place);
    }
    let made = claims.get("iat").and_then(Value::as_u64).ok_or(ProofError::Undated)?;
    let made = Timestamp::from_unix_seconds(made);
    if made + WINDOW < now {
        return Err(ProofError::Old);
    }
    if made > now + WINDOW {
        return Err(ProofError::Future);
    }
    if nonce.is_some() && text_of(&claims, "nonce") != nonce {
        return Err(ProofError::Nonce);
    }
    Ok(Proved { key, id: id(&key, jti), remember_until: made + 2 * WINDOW })
}

/// The key that a proof brings.
fn key(jwk: Option<&Value>) -> Result<(PublicKey, Jwk), ProofError> {
    let members = jwk.and_then(Value::as_object).ok_or(ProofError::Key)?;
    if members.contains_key("d") {
        return Err(ProofError::PrivateKey);
    }
    let is_ed25519 =
        text_of(members, "kty") == Some("OKP") && text_of(members, "crv") == Some("Ed25519");
    let bytes = text_of(members, "x").and_then(|x| URL_SAFE_NO_PAD.decode(x).ok());
    let bytes = bytes.filter(|_| is_ed25519).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    // As for every holder: no point of small order, and none in two spellings.
    let key = bytes.and_then(|bytes| PublicKey::from_bytes(&bytes).ok());
    key.zip(Jwk::read(members)).ok_or(ProofError::Key)
}

/// Whoever has another key cannot use up an id of this one.
fn id(key: &PublicKey, jti: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(key.to_bytes());
    digest.update(jti);
    digest.finalize().into()
}

/// A place without query and fragment, which a proof does not cover (RFC 9449, section 4.2).
fn bare(mut url: Url) -> Url {
    url.set_query(None);
    url.set_fragment(None);
    url
}

fn text_of<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    members.get(name)?.as_str()
}
