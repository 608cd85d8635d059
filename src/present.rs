//! Present: what goes over the wire. One audience, minutes; or one exact call, once. A presentation proves the
//! possession of the holder's key (proof of possession), and one for an exact call is single-use.

mod presenter;

use std::fmt;
use std::time::Duration;

use biscuit_auth::builder::Term;
use rand_core::{OsRng, RngCore};

use crate::block::{self, Writer};
use crate::call::Call;
use crate::capability::{AppendError, Capability, HolderError};
use crate::cause::Cause;
use crate::chain::{PresentationKind, RevocationId};
use crate::delegate::first_wider_audience;
use crate::keys::PrivateKey;
use crate::names::{self, NameError};
use crate::profile::life::{Life, LifeError};
use crate::profile::{DEFAULT_LIVES, Lifetimes, MAX_COLLECTION};
use crate::revoke::RevocationRequest;
use crate::timestamp::Timestamp;

pub use presenter::Presenter;

/// The length, in characters, beyond which proxies may cut a bearer off: common ones take 8 KiB of header.
const LONG_BEARER: usize = 8000;

/// What stands for the digest of a call where there is none: no text is known, or can be found, that has this SHA-256
/// digest.
const NO_CALL: [u8; 32] = [0; 32];

/// A presentation to be signed: to which server, for which calls, and for how long. [`Capability::present`] makes the
/// bearer token of it.
#[derive(Debug, Clone)]
pub struct Presenting {
    audience: String,
    call: Option<Call>,
    /// The only calls for which it is good, if it is not good for all.
    only: Option<Vec<Call>>,
    ttl: Option<Duration>,
    /// Whether the call may be one that the capability does not cover.
    uncovered: bool,
}

impl Presenting {
    /// Begins a presentation to the server called `audience`, for every call that the capability grants, as often as it
    /// is made. By default it lives for five minutes, or as long as the capability if that is shorter.
    pub fn to(audience: impl Into<String>) -> Presenting {
        Presenting {
            audience: audience.into(),
            call: None,
            only: None,
            ttl: None,
            uncovered: false,
        }
    }

    /// Binds the presentation to this one call, with exactly these arguments. A server with a store allows it once. By
    /// default it then lives for one minute.
    pub fn call(mut self, call: Call) -> Presenting {
        self.call = Some(call);
        self
    }

    /// Limits the presentation to these calls, 64 at most, each as often as it is made. The bearer is still good for
    /// what is no call: it opens sessions and asks for lists. With no calls given, it is good for that alone. It lives
    /// as long as any presentation that is not bound to one call.
    pub fn only(mut self, calls: impl IntoIterator<Item = Call>) -> Presenting {
        self.only = Some(calls.into_iter().collect());
        self
    }

    /// Makes a presentation for a call even if the capability does not cover it. By default [`Capability::present`]
    /// refuses ([`PresentError::NotGranted`]). The server then refuses the call, says why in its own words, and records
    /// it. This is for callers where an error would end more than the call.
    pub fn even_uncovered(mut self) -> Presenting {
        self.uncovered = true;
        self
    }

    /// Sets how long the presentation lives, in whole seconds: ten minutes at most, or two if it is bound to one call.
    /// A life beyond the capability's is refused.
    pub fn ttl(mut self, ttl: Duration) -> Presenting {
        self.ttl = Some(ttl);
        self
    }
}

/// A bearer token for one audience. It is a secret, and `Debug` does not show it.
#[derive(Clone)]
pub struct Presentation {
    capability: Capability,
    text: String,
}

impl Presentation {
    /// Returns the bearer token, for the header `Authorization: Bearer …` (RFC 6750). It is a secret while it lives.
    pub fn bearer(&self) -> &str {
        &self.text
    }

    /// Returns true if the bearer has more than 8,000 characters, so that proxies may cut it off.
    pub fn is_long(&self) -> bool {
        self.text.len() > LONG_BEARER
    }

    /// Returns the first moment at which the bearer is no longer valid.
    pub fn expires(&self) -> Timestamp {
        self.capability.chain().expires()
    }

    /// Returns the revocation id of the presentation, by which it is revoked and recorded.
    pub fn revocation_id(&self) -> Option<RevocationId> {
        self.capability.chain().presentation.as_ref().map(|last| last.revocation_id)
    }
}

impl fmt::Debug for Presentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Presentation").field(&self.capability).finish()
    }
}

impl Capability {
    /// Makes the bearer token for one audience and seals it, so that no block can be appended. It is signed with `key`,
    /// the private key to which this capability is bound, as of `now`.
    ///
    /// # Errors
    ///
    /// [`PresentError`] names what is not of its form, or beyond what the capability covers. Nothing is signed then.
    pub fn present(
        &self,
        presenting: Presenting,
        key: &PrivateKey,
        now: Timestamp,
    ) -> Result<Presentation, PresentError> {
        append_presentation(self, presenting, Some(key), now)
    }

    /// Makes the bearer token for one request to revoke, bound to that request. The capability need not cover
    /// `hardtack:revoke`: a holder may revoke hops that it delegated. The server decides which of the two applies.
    ///
    /// # Errors
    ///
    /// [`PresentError`], as of [`Capability::present`].
    pub fn present_to_revoke(
        &self,
        audience: impl Into<String>,
        request: &RevocationRequest,
        key: &PrivateKey,
        now: Timestamp,
    ) -> Result<Presentation, PresentError> {
        let presenting = Presenting::to(audience).call(request.call().clone());
        append_presentation(self, presenting.even_uncovered(), Some(key), now)
    }

    /// Makes the bearer token of a capability that is bound to nobody. Verifiers refuse it unless
    /// [`accept_unbound_hops`](crate::Verifier::accept_unbound_hops) was called.
    ///
    /// # Errors
    ///
    /// [`PresentError`], as of [`Capability::present`]; [`PresentError::Holder`] if the capability is bound to a key.
    pub fn present_unbound(
        &self,
        presenting: Presenting,
        now: Timestamp,
    ) -> Result<Presentation, PresentError> {
        append_presentation(self, presenting, None, now)
    }
}

fn append_presentation(
    parent: &Capability,
    presenting: Presenting,
    key: Option<&PrivateKey>,
    now: Timestamp,
) -> Result<Presentation, PresentError> {
    parent.check_holder(key)?;
    let chain = parent.chain();
    names::check_audience(&presenting.audience)?;
    let audiences = [presenting.audience];
    if let Some(audience) = first_wider_audience(chain.audiences(), &audiences) {
        let parent = chain.audiences().join(", ");
        return Err(PresentError::AudienceWider { audience: audience.to_owned(), parent });
    }
    let only = presenting.only.as_deref().unwrap_or_default();
    if only.len() > MAX_COLLECTION {
        return Err(PresentError::TooManyCalls);
    }
    let uncovered = |call: &&Call| {
        !presenting.uncovered && !chain.scopes().iter().any(|scope| scope.covers(call.operation()))
    };
    if let Some(call) = presenting.call.iter().chain(only).find(uncovered) {
        let scopes = chain.scopes().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(PresentError::NotGranted { operation: call.operation().to_string(), scopes });
    }
    let kind =
        if presenting.call.is_some() { PresentationKind::Call } else { PresentationKind::Session };
    let expires = life(kind, presenting.ttl).expiry(now, chain.expires())?;

    let index = parent.shaped().blocks.len();
    let mut writer = Writer::default()
        .fact("hop", Term::Integer(index as i64))
        .text("presentation", kind.as_str())
        .texts("audience", &audiences)
        .fact("expires", Term::Date(expires.unix_seconds()))
        .fact("parent", Term::Bytes(parent.parent_digest().to_vec()))
        .check(block::check_expiry(expires))
        .check(block::check_audiences(&audiences));
    if let Some(call) = &presenting.call {
        let digest = call.digest();
        writer = writer
            .fact("digest", Term::Bytes(digest.to_vec()))
            .fact("nonce", Term::Bytes(nonce().to_vec()))
            .check(block::check_call(&digest));
    }
    if presenting.only.is_some() {
        let digests = only.iter().map(Call::digest).collect::<Vec<_>>();
        let digests = if digests.is_empty() { vec![NO_CALL] } else { digests };
        writer = writer.check(block::check_calls(&digests));
    }
    let capability = parent.append_last(&writer, key)?;
    let text = capability.to_base64();
    Ok(Presentation { capability, text })
}

fn life(kind: PresentationKind, asked: Option<Duration>) -> Life {
    let longest = Lifetimes::default();
    match kind {
        PresentationKind::Session => {
            Life { asked, default: DEFAULT_LIVES.session, longest: longest.session }
        }
        PresentationKind::Call => {
            Life { asked, default: DEFAULT_LIVES.call, longest: longest.call }
        }
    }
}

fn nonce() -> [u8; 16] {
    let mut nonce = [0; 16];
    OsRng.fill_bytes(&mut nonce);
    nonce
}

/// The error of a presentation that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresentError {
    /// The key is not the holder's, or the token cannot be signed further.
    #[error(transparent)]
    Holder(#[from] HolderError),
    /// The audience is not of its form.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The audience is not among the capability's audiences.
    #[error("the audience {audience} is not among the capability's: {parent}")]
    AudienceWider {
        /// The audience that was asked for.
        audience: String,
        /// The capability's audiences.
        parent: String,
    },
    /// The capability does not cover a call's operation. [`Presenting::even_uncovered`] presents it all the same.
    #[error("the capability does not cover {operation}; it covers {scopes}")]
    NotGranted {
        /// The operation that was asked for.
        operation: String,
        /// The capability's scopes.
        scopes: String,
    },
    /// [`Presenting::only`] was given more calls than one check can name, 64.
    #[error("a presentation is for {MAX_COLLECTION} named calls at most")]
    TooManyCalls,
    /// The life is not in whole seconds, longer than the bound, or longer than the capability's.
    #[error(transparent)]
    Life(#[from] LifeError),
    /// The block cannot be appended to the token.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl PresentError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self {
            PresentError::Holder(error) => error.cause(),
            PresentError::Name(error) => error.cause(),
            PresentError::AudienceWider { .. } => Cause::BeyondAudience,
            PresentError::NotGranted { .. } => Cause::NotGranted,
            PresentError::TooManyCalls => Cause::TooMany,
            PresentError::Life(error) => error.cause(),
            PresentError::Append(error) => error.cause(),
        }
    }
}
