//! Verify: is this token authentic, well shaped, unrevoked, and does every hop only narrow?
//!
//! Says nothing about what policies think of it; see [`authorize`](mod@crate::authorize).

mod directory;
mod error;
mod refused;
mod rejection;
mod stated;
mod trust;
mod walk;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::capability::Capability;
use crate::chain::{Chain, PresentationBlock, PresentationKind};
use crate::keys::{PublicKey, RootKeys};
use crate::names::{self, NameError};
use crate::profile::{CLOCK_SKEW, Lifetimes};
use crate::revocation::{Knowledge, RevocationSource, Revoked, RevokedBy};
use crate::scope::{Operation, Scope};
use crate::timestamp::Timestamp;
use crate::verify::trust::{RootSet, Trust};
use crate::verify::walk::{Walk, refuse_expired};

pub use directory::Directory;
pub use error::VerifyError;
pub use rejection::Rejection;
pub(crate) use stated::Stated;
pub(crate) use trust::Authentic;

/// The schemes of resources that a verifier judges unless told otherwise. A scheme that is not listed
/// is refused, since its URIs may have a normal form that is not known here.
pub const DEFAULT_RESOURCE_SCHEMES: [&str; 3] = ["https", "http", "file"];

/// How old a copy of the revocations may be unless told otherwise: what is revoked elsewhere takes
/// effect here within half a minute, or nothing is allowed.
pub const DEFAULT_MAX_STALENESS: Duration = Duration::from_secs(30);

/// How many authentic tokens are remembered unless told otherwise: so many agents at a time cost their
/// signatures once in the life of a presentation. One takes some tens of kilobytes, with what a guard remembers of it beside.
pub const DEFAULT_REMEMBERED: usize = 1024;

/// A tool server's view: which roots it trusts, what it is called, and what is revoked.
///
/// ```
/// use hardtack::{PrivateKey, RootKeys, Store, Verifier};
///
/// let roots = RootKeys::of(PrivateKey::generate().public());
/// let store = Store::in_memory()?;
/// let verifier = Verifier::new(roots, "notion.mcp", store.revocations())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Verifier {
    trust: Trust,
    audience: String,
    revocations: Box<dyn RevocationSource>,
    max_staleness: Duration,
    staleness_of: Vec<(Scope, Duration)>,
    lifetimes: Lifetimes,
    unbound: UnboundHops,
    directory: Directory,
    resource_schemes: Arc<[String]>,
}

/// What to do with a hop that nobody in particular signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnboundHops {
    Refused,
    Accepted,
}

impl Verifier {
    /// A verifier called `audience` that trusts `roots` and asks `revocations`.
    ///
    /// # Errors
    ///
    /// [`NameError::Audience`] if `audience` is not of its form.
    pub fn new(
        roots: impl Into<Arc<RootKeys>>,
        audience: impl Into<String>,
        revocations: impl RevocationSource + 'static,
    ) -> Result<Verifier, NameError> {
        let audience = audience.into();
        names::check_audience(&audience)?;
        Ok(Verifier {
            trust: Trust::of(roots.into(), DEFAULT_REMEMBERED),
            audience,
            revocations: Box::new(revocations),
            max_staleness: DEFAULT_MAX_STALENESS,
            staleness_of: Vec::new(),
            lifetimes: Lifetimes::default(),
            unbound: UnboundHops::Refused,
            directory: Directory::default(),
            resource_schemes: DEFAULT_RESOURCE_SCHEMES.map(str::to_owned).into(),
        })
    }

    /// Remembers the signatures of this many tokens ([`DEFAULT_REMEMBERED`] otherwise), so that a
    /// bearer that comes again costs none; 0 for none. Expiry, revocation and the walk are looked at every time.
    /// Bearers whose shape or signatures do not hold are remembered for a minute, a thousand of them, unless it is 0.
    pub fn remember(mut self, tokens: usize) -> Verifier {
        self.trust = self.trust.remembering(tokens);
        self
    }

    /// The roots that it trusts by now.
    pub fn roots(&self) -> Arc<RootKeys> {
        Arc::clone(&self.trust.in_force().roots)
    }

    /// Trusts other roots from now on; returns the ones before. What was remembered of signatures ends with those: bearers of a
    /// root that is withdrawn are refused from now on, remembered ones and values that were verified before
    /// ([`Verifier::verify_again`]), too, and bearers that were refused for want of a root are looked at anew. A verification that
    /// is under way goes by the new ones. The same roots again change nothing. Waits for no disk.
    pub fn replace_roots(&self, roots: impl Into<Arc<RootKeys>>) -> Arc<RootKeys> {
        self.trust.replace(roots.into())
    }

    /// What this server is called.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Decides on a copy of the revocations while it is at most this old
    /// ([`DEFAULT_MAX_STALENESS`] otherwise). A source that is a store itself is never stale.
    pub fn max_staleness(mut self, bound: Duration) -> Verifier {
        self.max_staleness = bound;
        self
    }

    /// The same for operations that `scope` covers. Of several that do, the strictest counts.
    pub fn max_staleness_of(mut self, scope: Scope, bound: Duration) -> Verifier {
        self.staleness_of.push((scope, bound));
        self
    }

    /// Accepts lives up to these, and has the revocation source remember as long.
    pub fn lifetimes(mut self, lifetimes: Lifetimes) -> Verifier {
        self.revocations.keep_for(&lifetimes);
        self.lifetimes = lifetimes;
        self
    }

    /// Accepts hops that nobody in particular signed, which anybody who had the token may have
    /// appended. Never for operations that govern Hardtack itself. Policies see `unbound($k)`.
    pub fn accept_unbound_hops(mut self) -> Verifier {
        self.unbound = UnboundHops::Accepted;
        self
    }

    /// Knows which names belong to which keys.
    pub fn directory(mut self, directory: Directory) -> Verifier {
        self.directory = directory;
        self
    }

    /// Judges resources with these URI schemes only.
    pub fn resource_schemes<T: Into<String>>(
        mut self,
        schemes: impl IntoIterator<Item = T>,
    ) -> Verifier {
        self.resource_schemes = schemes.into_iter().map(Into::into).collect();
        self
    }

    /// Verifies a bearer token as of `now`.
    ///
    /// # Errors
    ///
    /// [`VerifyError`]: the first thing that does not hold, in the order of `docs/profile.md`.
    pub fn verify(&self, bearer: &str, now: Timestamp) -> Result<VerifiedCapability, VerifyError> {
        self.examine(bearer, None, now).map_err(|rejection| rejection.error)
    }

    /// Like [`Verifier::verify`], for an operation; of a token whose signatures hold, the record learns
    /// more.
    pub fn examine(
        &self,
        bearer: &str,
        operation: Option<&Operation>,
        now: Timestamp,
    ) -> Result<VerifiedCapability, Box<Rejection>> {
        let digest = Sha256::digest(bearer).into();
        self.trust.judge(|set| {
            if let Some(recognized) = self.recognize_by(set, &digest, operation, now) {
                return recognized;
            }
            let token = read(set, bearer, digest, now);
            let token = token.map_err(|error| Box::new(Rejection { error, authentic: None }))?;
            self.hold_or_reject(set, &token, operation, now)
        })
    }

    /// The same, if it is remembered whether the signatures hold: costs microseconds. `None` if it is not.
    pub fn recognize(
        &self,
        bearer: &str,
        operation: Option<&Operation>,
        now: Timestamp,
    ) -> Option<Result<VerifiedCapability, Box<Rejection>>> {
        let digest = Sha256::digest(bearer).into();
        self.trust.judge(|set| self.recognize_by(set, &digest, operation, now))
    }

    fn recognize_by(
        &self,
        set: &RootSet,
        digest: &[u8; 32],
        operation: Option<&Operation>,
        now: Timestamp,
    ) -> Option<Result<VerifiedCapability, Box<Rejection>>> {
        if let Some(token) = set.recall(digest) {
            return Some(self.hold_or_reject(set, &token, operation, now));
        }
        let error = set.recall_refused(digest, now)?;
        Some(Err(Box::new(Rejection { error, authentic: None })))
    }

    /// What a token that no trusted root signed (any more) says is told to nobody.
    fn hold_or_reject(
        &self,
        set: &RootSet,
        token: &Arc<Authentic>,
        operation: Option<&Operation>,
        now: Timestamp,
    ) -> Result<VerifiedCapability, Box<Rejection>> {
        let held = self.hold(set, token, operation, now);
        held.map_err(|error| Box::new(Rejection { error, authentic: set.admit(token).ok() }))
    }

    /// Like [`Verifier::verify`], for a bearer whose signatures are remembered: costs microseconds, if the
    /// revocation source answers from memory. `None` if they are not, or if it does not hold (any more).
    pub fn verify_remembered(&self, bearer: &str, now: Timestamp) -> Option<VerifiedCapability> {
        let digest = Sha256::digest(bearer).into();
        self.trust.judge(|set| self.hold(set, &set.recall(&digest)?, None, now).ok())
    }

    /// Whether what was verified still holds: of a root that is trusted by now, unexpired, unrevoked, within every bound.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] as of [`Verifier::verify`], without shape and the holders' signatures.
    pub fn verify_again(
        &self,
        verified: &VerifiedCapability,
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        self.trust.judge(|set| self.hold(set, &verified.token, None, now).map(drop))
    }

    /// The same, and returns what holds now.
    pub fn renewed(
        &self,
        verified: &VerifiedCapability,
        now: Timestamp,
    ) -> Result<VerifiedCapability, VerifyError> {
        self.trust.judge(|set| self.hold(set, &verified.token, None, now))
    }

    /// The same of a capability that was verified before.
    pub(crate) fn examine_again(
        &self,
        verified: &VerifiedCapability,
        operation: &Operation,
        now: Timestamp,
    ) -> Result<VerifiedCapability, Box<Rejection>> {
        self.trust.judge(|set| self.hold_or_reject(set, &verified.token, Some(operation), now))
    }

    /// Whether a token's delegations are genuine: signed by a trusted root, and each hop by the holder before
    /// it. Says nothing of expiry, width or revocation: it is for tokens that prove who delegated to whom.
    pub(crate) fn verify_delegations(&self, token: &Capability) -> Result<(), VerifyError> {
        self.trust.judge(|set| set.authenticate(token).map(drop))?;
        let chain = token.chain();
        chain.hops.iter().try_fold(chain.grant.holder, |holder, hop| {
            match holder.is_some() && hop.signer == holder {
                true => Ok(hop.holder),
                false => Err(VerifyError::WrongSigner { block: hop.index }),
            }
        })?;
        Ok(())
    }

    /// Whether a call that was allowed with a capability may go on: like [`Verifier::verify_again`], but a presentation that
    /// was bound to the call has been used, and its own end is no matter any more.
    pub fn verify_under_way(
        &self,
        verified: &VerifiedCapability,
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        if verified.presentation.kind == PresentationKind::Session {
            return self.verify_again(verified, now);
        }
        let (chain, last) = (verified.chain(), verified.presentation.index);
        self.trust.judge(|set| {
            match chain.expiries().find(|(block, expires)| *block != last && *expires <= now) {
                Some((block, expired)) => Err(VerifyError::Expired { block, expired }),
                None => {
                    set.admit(&verified.token)?;
                    self.refuse_revoked(chain, &verified.root(), None, now)
                }
            }
        })
    }

    /// How many tokens' signatures are remembered.
    pub(crate) fn remembers(&self) -> usize {
        self.trust.in_force().remembered
    }

    /// Whether anybody is asked what is revoked.
    pub(crate) fn looks_at_revocations(&self) -> bool {
        self.revocations.knowledge() != Knowledge::Unchecked
    }

    /// What the roots, the moment and the revocations say of a token whose signatures hold.
    fn hold(
        &self,
        set: &RootSet,
        token: &Arc<Authentic>,
        operation: Option<&Operation>,
        now: Timestamp,
    ) -> Result<VerifiedCapability, VerifyError> {
        refuse_expired(token.capability.chain(), now)?;
        let token = set.admit(token)?;
        let chain = token.capability.chain();
        self.refuse_revoked(chain, &token.root, operation, now)?;
        let presentation = Walk { verifier: self, roots: &set.roots, chain, now }.walk()?.clone();
        let resource_schemes = self.resource_schemes.clone();
        Ok(VerifiedCapability {
            presentation,
            at: now,
            resource_schemes,
            token,
            stated: Stated::default(),
        })
    }

    /// What is revoked is refused however old the knowledge is; what is not, only on fresh knowledge.
    fn refuse_revoked(
        &self,
        chain: &Chain,
        root: &PublicKey,
        operation: Option<&Operation>,
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        match self.revocations.revoked(chain, root)? {
            Some(Revoked { by: by @ RevokedBy::Forgotten { until }, .. }) => {
                let (issued, retry_after) = (chain.grant.issued, by.retry_after(now));
                Err(VerifyError::RevocationsForgotten { issued, until, retry_after })
            }
            Some(Revoked { block, by }) => {
                Err(VerifyError::Revoked { block, by, retry_after: by.retry_after(now) })
            }
            None => self.refuse_stale(operation, now),
        }
    }

    fn refuse_stale(
        &self,
        operation: Option<&Operation>,
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        let Some((oldest, newest)) = self.revocations.knowledge().span() else { return Ok(()) };
        let covering = self
            .staleness_of
            .iter()
            .filter(|(scope, _)| operation.is_some_and(|operation| scope.covers(operation)));
        let bound = covering.map(|(_, bound)| *bound).min().unwrap_or(self.max_staleness);
        // A copy from the future would count as fresh until its moment has come.
        let stale = |as_of| Err(VerifyError::RevocationsStale { as_of, now, bound });
        match now.since(oldest) > bound {
            true => stale(oldest),
            false if newest > now + CLOCK_SKEW => stale(newest),
            false => Ok(()),
        }
    }
}

/// Shape, expiry and signatures, and remembers what comes of it.
fn read(
    set: &RootSet,
    bearer: &str,
    digest: [u8; 32],
    now: Timestamp,
) -> Result<Arc<Authentic>, VerifyError> {
    let refused = |error: VerifyError, chain: Option<&Chain>| {
        set.keep_refused(digest, &error, chain, now);
        error
    };
    let parsed = Capability::parse(bearer);
    let capability = parsed.map_err(|error| refused(error.into(), None))?;
    let authentic = refuse_expired(capability.chain(), now)
        .and_then(|()| set.authenticate(&capability))
        .map_err(|error| refused(error, Some(capability.chain())));
    let (root, issuer) = authentic?;
    let token = Arc::new(Authentic::of(digest, capability, issuer, root));
    set.keep(digest, &token);
    Ok(token)
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("audience", &self.audience)
            .field("roots", &self.trust)
            .finish_non_exhaustive()
    }
}

/// A presentation that holds: authentic, unrevoked, for this server, narrowing at every hop.
///
/// Only [`Verifier::verify`] makes one. What it may be used for is for policies to say.
#[derive(Debug, Clone)]
pub struct VerifiedCapability {
    token: Arc<Authentic>,
    presentation: PresentationBlock,
    at: Timestamp,
    resource_schemes: Arc<[String]>,
    /// What the server says beside it, for the decision at hand. Nothing of it is the token's.
    stated: Stated,
}

impl VerifiedCapability {
    /// What the token says, all of it verified.
    pub fn chain(&self) -> &Chain {
        self.token.capability.chain()
    }

    /// Whose rights are used.
    pub fn subject(&self) -> &str {
        &self.chain().grant.subject
    }

    /// What the leaf's delegator calls it; `None` when the subject presents its grant itself.
    pub fn agent(&self) -> Option<&str> {
        self.chain().hops.last().map(|hop| hop.delegate.as_str())
    }

    /// The verifier's own name for the root key.
    pub fn issuer(&self) -> &str {
        &self.token.issuer
    }

    /// The root key that signed the grant.
    pub fn root(&self) -> PublicKey {
        self.token.root
    }

    /// The moment as of which it was verified.
    pub fn verified_at(&self) -> Timestamp {
        self.at
    }

    /// The presentation at the chain's end.
    pub fn presentation(&self) -> &PresentationBlock {
        &self.presentation
    }

    /// The same for one decision, beside which the server states this.
    pub(crate) fn beside(self, stated: Stated) -> VerifiedCapability {
        VerifiedCapability { stated, ..self }
    }

    pub(crate) fn stated(&self) -> &Stated {
        &self.stated
    }

    pub(crate) fn capability(&self) -> &Capability {
        &self.token.capability
    }

    /// What tells it from all others of which something else would be asserted, but for the moment and the call.
    pub(crate) fn identity(&self) -> &[u8; 32] {
        &self.token.identity
    }

    pub(crate) fn judges_scheme(&self, scheme: &str) -> bool {
        self.resource_schemes.iter().any(|listed| listed == scheme)
    }
}

#[cfg(test)]
mod tests;
