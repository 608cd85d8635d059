//! Assertion: is a token of an identity provider valid here, and what does it say?
//!
//! An id token (OpenID Connect Core, section 3.1.3.7) or an access token that is a JWT (RFC 9068). It must be for this issuer and for
//! nobody else: a token that another service got, too, is one that this service could use here. One that is bound to a key is for whoever
//! proves that key, and for no thief of it.

use std::time::Duration;

use hardtack::{Cause, Timestamp};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::jwk::{KeySet, NoKey};
use crate::jws::{Algorithm, Jws, Unread};

/// The most bytes of an assertion. Those with hundreds of groups have some 10 KiB.
pub const MAX_BYTES: usize = 16 * 1024;

/// By how much the clocks of provider and issuer may differ.
pub const SKEW: Duration = Duration::from_secs(60);

/// The longest time ago at which an assertion was made: a day of work.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// The most characters of a `sub` (OpenID Connect Core, section 2).
const MAX_SUB: usize = 255;

/// The most bytes of a `jti`.
const MAX_JTI: usize = 256;

/// What kind of token is expected. One is never taken for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// An id token: a client of the provider signed somebody in.
    IdToken,
    /// An access token that is a JWT.
    AccessToken,
}

/// A provider, as the issuer is configured.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its `iss`, letter for letter.
    pub issuer: String,
    /// Of id tokens, the client that this issuer is there. Of access tokens, the name of this issuer.
    pub audience: String,
    /// The clients whose access tokens are taken. None: those of all.
    pub clients: Vec<String>,
    /// The algorithms by which it signs.
    pub algorithms: Vec<Algorithm>,
}

/// The request that brings an assertion.
#[derive(Debug, Clone, Copy)]
pub struct Brought<'a> {
    /// The `nonce` of the sign-in for which it was made, if this issuer began one.
    pub nonce: Option<&'a str>,
    /// The thumbprint of the key that is proved ([`Proved::thumbprint`](crate::dpop::Proved::thumbprint)).
    pub thumbprint: &'a str,
}

/// What an assertion says, when it is valid.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Assertion {
    /// Whom it is about, by the provider's own name.
    pub sub: String,
    /// The client that got it, of an access token.
    pub client: Option<String>,
    /// When the person signed in.
    pub signed_in: Option<Timestamp>,
    /// When it is taken no more: at its end, or when it is too old.
    pub expires: Timestamp,
    /// What it is known by, for whoever lets it be used once: the hash of issuer and `jti`, or of all that was signed if it has none.
    pub id: [u8; 32],
    /// All that it says.
    pub claims: Map<String, Value>,
}

/// Why an assertion is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[allow(missing_docs, reason = "each says in its words what it is")]
#[non_exhaustive]
pub enum AssertionError {
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error("its header brings a key of its own; only published keys count")]
    OwnKey,
    #[error("it is signed by an algorithm that is not accepted of this provider")]
    Algorithm,
    #[error("it is a token of another type")]
    Type,
    #[error("it is signed by a key that the provider does not publish")]
    KeyUnknown,
    #[error("it does not say which of the provider's keys signed it")]
    KeyUnnamed,
    #[error("the key that it names is for another algorithm")]
    KeyOfOtherAlgorithm,
    #[error("the signature is not valid")]
    Signature,
    #[error("what it says is no JSON object, or says something twice")]
    Claims,
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` is not of its type")]
    ClaimType(&'static str),
    #[error("it is of another provider (iss)")]
    Issuer,
    #[error("it is for somebody else (aud)")]
    Audience,
    #[error("it is for others, too (aud)")]
    OtherAudiences,
    #[error("another client got it (azp)")]
    AuthorizedParty,
    #[error("a client got it whose tokens are not taken (client_id)")]
    Client,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet (nbf)")]
    NotYet,
    #[error("it was made in the future (iat)")]
    MadeLater,
    #[error("it was made more than a day ago (iat)")]
    TooOld,
    #[error("the sign-in was in the future (auth_time)")]
    SignedInLater,
    #[error("its subject is empty or too long (sub)")]
    Subject,
    #[error("its id is empty or too long (jti)")]
    Id,
    #[error("it was made for another sign-in (nonce)")]
    Nonce,
    #[error("it is about a client, and no user (sub is client_id)")]
    NoUser,
    #[error("it is bound to another key than the one that is proved (cnf)")]
    Bound,
}

impl AssertionError {
    /// Returns the [`Cause`] of the refusal. What is wrong is said in words: it is the provider's and the client's to mend.
    pub fn cause(&self) -> Cause {
        Cause::AssertionRefused
    }

    /// Returns true if the provider may have a key that is not known yet, so that fetching its keys may help.
    pub fn may_be_new_key(self) -> bool {
        self == AssertionError::KeyUnknown
    }
}

impl From<NoKey> for AssertionError {
    fn from(why: NoKey) -> AssertionError {
        match why {
            NoKey::Unknown => AssertionError::KeyUnknown,
            NoKey::Unnamed => AssertionError::KeyUnnamed,
            NoKey::OtherAlgorithm => AssertionError::KeyOfOtherAlgorithm,
        }
    }
}

/// Checks an assertion.
///
/// # Errors
///
/// [`AssertionError`] names the first thing that is wrong.
pub fn verify(
    text: &str,
    kind: Kind,
    provider: &Provider,
    keys: &KeySet,
    brought: Brought<'_>,
    now: Timestamp,
) -> Result<Assertion, AssertionError> {
    if text.len() > MAX_BYTES {
        return Err(AssertionError::TooLarge);
    }
    let jws = Jws::read(text)?;
    refuse_signature(&jws, kind, provider, keys)?;
    let claims = jws.claims().ok_or(AssertionError::Claims)?;
    refuse_other_types(&claims, kind)?;
    let said = Said(&claims);
    if said.text("iss")? != provider.issuer {
        return Err(AssertionError::Issuer);
    }
    refuse_audience(&said, kind, provider)?;
    let expires = refuse_times(&said, now)?;
    let sub = said.text("sub")?;
    if sub.is_empty() || sub.chars().count() > MAX_SUB {
        return Err(AssertionError::Subject);
    }
    if brought.nonce.is_some() && said.optional_text("nonce")? != brought.nonce {
        return Err(AssertionError::Nonce);
    }
    refuse_binding(&claims, brought.thumbprint)?;
    let jti = match kind {
        Kind::AccessToken => Some(said.text("jti")?),
        Kind::IdToken => said.optional_text("jti")?,
    };
    if jti.is_some_and(|jti| jti.is_empty() || jti.len() > MAX_JTI) {
        return Err(AssertionError::Id);
    }
    let signed_in = said.optional_moment("auth_time")?;
    if signed_in.is_some_and(|moment| moment > now + SKEW) {
        return Err(AssertionError::SignedInLater);
    }
    let client = match kind {
        Kind::AccessToken => Some(said.text("client_id")?.to_owned()),
        Kind::IdToken => None,
    };
    // Whoever may register clients could call one by the name of a user (RFC 9068, section 5).
    if client.as_deref() == Some(sub) {
        return Err(AssertionError::NoUser);
    }
    // Without its signature: of some kinds a second valid one can be made from the first.
    let message = text.rsplit_once('.').map_or(text, |(message, _)| message);
    let id = id(&provider.issuer, jti.unwrap_or(message), jti.is_some());
    let sub = sub.to_owned();
    // A clock that is ahead makes nobody's sign-in fresher than now.
    let signed_in = signed_in.map(|moment| moment.min(now));
    Ok(Assertion { sub, client, signed_in, expires, id, claims })
}

/// The same of no two assertions of any providers.
fn id(issuer: &str, own: &str, is_jti: bool) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update([u8::from(is_jti)]);
    digest.update((issuer.len() as u64).to_le_bytes());
    digest.update(issuer);
    digest.update(own);
    digest.finalize().into()
}

fn refuse_signature(
    jws: &Jws<'_>,
    kind: Kind,
    provider: &Provider,
    keys: &KeySet,
) -> Result<(), AssertionError> {
    if ["jwk", "jku", "x5u", "x5c"].iter().any(|name| jws.header.contains_key(*name)) {
        return Err(AssertionError::OwnKey);
    }
    let algorithm = jws.algorithm().filter(|named| provider.algorithms.contains(named));
    let algorithm = algorithm.ok_or(AssertionError::Algorithm)?;
    let typ = match jws.header.get("typ") {
        None => None,
        Some(typ) => Some(typ.as_str().ok_or(AssertionError::Type)?.to_ascii_lowercase()),
    };
    let is_type = match kind {
        Kind::IdToken => matches!(typ.as_deref(), None | Some("jwt")),
        Kind::AccessToken => matches!(typ.as_deref(), Some("at+jwt" | "application/at+jwt")),
    };
    if !is_type || jws.header.contains_key("cty") {
        return Err(AssertionError::Type);
    }
    let kid = match jws.header.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().ok_or(AssertionError::KeyUnknown)?),
    };
    match jws.is_signed_by(keys.find(kid, algorithm)?, algorithm) {
        true => Ok(()),
        false => Err(AssertionError::Signature),
    }
}

/// What a token is that has no type in its header, or a common one: members that one kind alone has (RFC 8725, section 3.12).
fn refuse_other_types(claims: &Map<String, Value>, kind: Kind) -> Result<(), AssertionError> {
    // Of events (RFC 8417), such as the end of a session. Then scopes, which access tokens have; and what Keycloak and Cognito call them.
    let is_other = |name: &str, own: &str| claims.get(name).is_some_and(|said| said != own);
    let is_access = ["scope", "scp"].iter().any(|name| claims.contains_key(*name))
        || is_other("typ", "ID")
        || is_other("token_use", "id");
    match claims.contains_key("events") || (kind == Kind::IdToken && is_access) {
        true => Err(AssertionError::Type),
        false => Ok(()),
    }
}

/// A token that is bound to a key (RFC 9449, section 6; RFC 8705, section 3.1) is good for whoever proves that key. Of a certificate nothing
/// is known here.
fn refuse_binding(claims: &Map<String, Value>, thumbprint: &str) -> Result<(), AssertionError> {
    let Some(cnf) = claims.get("cnf") else { return Ok(()) };
    let members = cnf.as_object().ok_or(AssertionError::ClaimType("cnf"))?;
    match members.len() == 1 && members.get("jkt").is_some_and(|jkt| jkt == thumbprint) {
        true => Ok(()),
        false => Err(AssertionError::Bound),
    }
}

fn refuse_audience(said: &Said<'_>, kind: Kind, provider: &Provider) -> Result<(), AssertionError> {
    let audiences = said.audiences()?;
    if !audiences.contains(&provider.audience.as_str()) {
        return Err(AssertionError::Audience);
    }
    if audiences.iter().any(|name| *name != provider.audience) {
        return Err(AssertionError::OtherAudiences);
    }
    match kind {
        Kind::IdToken => match said.optional_text("azp")? {
            Some(client) if client != provider.audience => Err(AssertionError::AuthorizedParty),
            _ => Ok(()),
        },
        Kind::AccessToken => {
            let client = said.text("client_id")?;
            let known =
                provider.clients.is_empty() || provider.clients.iter().any(|one| one == client);
            known.then_some(()).ok_or(AssertionError::Client)
        }
    }
}

fn refuse_times(said: &Said<'_>, now: Timestamp) -> Result<Timestamp, AssertionError> {
    let expires = said.optional_moment("exp")?.ok_or(AssertionError::Missing("exp"))?;
    let made = said.optional_moment("iat")?.ok_or(AssertionError::Missing("iat"))?;
    let begins = said.optional_moment("nbf")?;
    match () {
        () if expires + SKEW <= now => Err(AssertionError::Expired),
        () if begins.is_some_and(|begins| begins > now + SKEW) => Err(AssertionError::NotYet),
        () if made > now + SKEW => Err(AssertionError::MadeLater),
        () if made + MAX_AGE <= now => Err(AssertionError::TooOld),
        () => Ok(expires.min(made + MAX_AGE)),
    }
}

/// Claims, each of its type or refused.
struct Said<'c>(&'c Map<String, Value>);

impl<'c> Said<'c> {
    fn optional_text(&self, name: &'static str) -> Result<Option<&'c str>, AssertionError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(AssertionError::ClaimType(name)),
        }
    }

    fn text(&self, name: &'static str) -> Result<&'c str, AssertionError> {
        self.optional_text(name)?.ok_or(AssertionError::Missing(name))
    }

    /// A moment in seconds, of which fractions are cut off.
    fn optional_moment(&self, name: &'static str) -> Result<Option<Timestamp>, AssertionError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let whole = value.as_u64().or_else(|| {
            let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0)?;
            (seconds < Timestamp::MAX.unix_seconds() as f64).then_some(seconds as u64)
        });
        let whole = whole.filter(|seconds| *seconds <= Timestamp::MAX.unix_seconds());
        whole
            .map(|at| Some(Timestamp::from_unix_seconds(at)))
            .ok_or(AssertionError::ClaimType(name))
    }

    fn audiences(&self) -> Result<Vec<&'c str>, AssertionError> {
        match self.0.get("aud") {
            None => Err(AssertionError::Missing("aud")),
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(many)) => many
                .iter()
                .map(|one| one.as_str().ok_or(AssertionError::ClaimType("aud")))
                .collect(),
            Some(_) => Err(AssertionError::ClaimType("aud")),
        }
    }
}
