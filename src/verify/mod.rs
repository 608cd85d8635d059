//! Verify: is this token authentic, well shaped, unrevoked, and does every hop only narrow?
//!
//! It says nothing about what policies allow; see [`authorize`](mod@crate::authorize). Signatures that were found valid are kept in a
//! bounded cache, by the bearer.

mod beginnings;
mod directory;
mod error;
mod refused;
mod rejection;
pub(crate) mod schemes;
mod stated;
mod trust;
mod verified;
mod walk;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::capability::Capability;
use crate::chain::Chain;
use crate::keys::{PublicKey, RootKeys};
use crate::names::{self, NameError};
use crate::profile::{CLOCK_SKEW, Lifetimes};
use crate::revocation::{Knowledge, RevocationSource, Revoked, RevokedBy};
use crate::scope::{Operation, Scope};
use crate::timestamp::Timestamp;
use crate::verify::refused::{RefusedBearers, RefusedKey};
use crate::verify::schemes::Schemes;
use crate::verify::trust::{RootSet, Trust};
use crate::verify::walk::{Walk, refuse_expired};

pub use directory::Directory;
pub use error::VerifyError;
pub use rejection::Rejection;
pub(crate) use stated::Stated;
pub(crate) use trust::{Authentic, Identity};
pub use verified::VerifiedCapability;

/// The URI schemes of resources that a verifier judges by default ([`Verifier::resource_schemes`]). Any other scheme is refused, since its
/// URIs may have a normal form that is not known here.
pub(crate) const DEFAULT_RESOURCE_SCHEMES: [&str; 3] = ["https", "http", "file"];

/// The greatest age of a copy of the revocations by default ([`Verifier::max_staleness`]). What is revoked elsewhere takes effect here
/// within half a minute, or nothing is allowed.
pub(crate) const DEFAULT_MAX_STALENESS: Duration = Duration::from_secs(30);

/// The number of authentic tokens that are remembered by default ([`Verifier::remember`]). So many agents at a time cost their signatures
/// once in the life of a presentation.
pub(crate) const DEFAULT_REMEMBERED: usize = 1024;

/// The verifier of a tool server. It knows which roots are trusted, what the server is called, and what is revoked, and says of a bearer
/// token whether it is valid here. It does not decide whether a call is allowed: a [`Guard`](crate::Guard) asks it, and then the policies.
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
    resource_schemes: Arc<Schemes>,
}

/// What to do with a hop that nobody in particular signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnboundHops {
    Refused,
    Accepted,
}

impl Verifier {
    /// Makes a verifier for the server called `audience`. It trusts the root keys `roots`, and asks `revocations` what is revoked.
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
            resource_schemes: Arc::new(Schemes::of(
                DEFAULT_RESOURCE_SCHEMES.map(str::to_owned).into(),
            )),
        })
    }

    /// Sets how many tokens are remembered whose signatures are valid (1,024 by default), so that a bearer that comes
    /// again costs no signature; 0 turns this off. The memory is bounded in bytes: it has room for so many tokens of 64 KiB, of which the
    /// tokens of one subject of one root may fill a quarter, and what was not used for longest goes first. Expiry, revocation and the walk are checked every time. Bearers that were refused for
    /// their shape, signatures or expiry are remembered for a minute, a thousand of them, unless it is 0.
    pub fn remember(mut self, tokens: usize) -> Verifier {
        self.trust = self.trust.remembering(tokens);
        self
    }

    /// Returns the root keys that are trusted now.
    pub fn roots(&self) -> Arc<RootKeys> {
        Arc::clone(&self.trust.in_force().roots)
    }

    /// Replaces the root keys that are trusted, and returns the former ones. Bearers of a root that is withdrawn are refused from now on.
    /// This holds for remembered ones, too, and for values that were verified before ([`Verifier::verify_again`]). Bearers that were
    /// refused for want of a root are verified anew. A verification that is under way goes by the new roots. The same roots again change
    /// nothing. Waits for no disk.
    pub fn replace_roots(&self, roots: impl Into<Arc<RootKeys>>) -> Arc<RootKeys> {
        self.trust.replace(roots.into())
    }

    /// Returns the name of this server, which presentations must have as their audience.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Sets the greatest age of a copy of the revocations on which tokens are accepted (30 seconds by default). On an older
    /// copy, tokens are refused ([`VerifyError::RevocationsStale`]). A source that is a store itself is never stale.
    pub fn max_staleness(mut self, bound: Duration) -> Verifier {
        self.max_staleness = bound;
        self
    }

    /// Sets the greatest age of a copy of the revocations for operations that `scope` covers, in place of [`Verifier::max_staleness`]. If
    /// several scopes cover an operation, the smallest age counts. Call it again for more scopes.
    pub fn max_staleness_of(mut self, scope: Scope, bound: Duration) -> Verifier {
        self.staleness_of.push((scope, bound));
        self
    }

    /// Sets the longest lives of blocks that are accepted ([`Lifetimes::default`] by default). Longer ones are refused
    /// ([`VerifyError::TooLongLived`]). The revocation source is told to remember revocations as long.
    pub fn lifetimes(mut self, lifetimes: Lifetimes) -> Verifier {
        self.revocations.keep_for(&lifetimes);
        self.lifetimes = lifetimes;
        self
    }

    /// Accepts hops that no holder signed. By default they are refused ([`VerifyError::Unbound`]), since anybody who had the token may
    /// have appended them. They never count for operations that govern Hardtack itself. Policies see `unbound($k)`.
    pub fn accept_unbound_hops(mut self) -> Verifier {
        self.unbound = UnboundHops::Accepted;
        self
    }

    /// Sets which agents' names belong to which keys. By default nothing is listed, and an agent's name is what its delegator calls it.
    pub fn directory(mut self, directory: Directory) -> Verifier {
        self.directory = directory;
        self
    }

    /// Sets the URI schemes of resources that are judged (by default `https`, `http` and `file`). A call for a resource of another
    /// scheme is refused.
    pub fn resource_schemes<T: Into<String>>(
        mut self,
        schemes: impl IntoIterator<Item = T>,
    ) -> Verifier {
        self.resource_schemes =
            Arc::new(Schemes::of(schemes.into_iter().map(Into::into).collect()));
        self
    }

    /// Also judges the schemes of which [`Verifier::name_resource_scheme`] is told later; until then there are none.
    pub fn open_resource_schemes(mut self) -> Verifier {
        self.resource_schemes = Arc::new(self.resource_schemes.open());
        self
    }

    /// Judges resources of one more scheme from now on, since the server's own lists name it, also for values that were verified before.
    /// Returns whether the scheme is judged. It is not without [`Verifier::open_resource_schemes`], if it is no scheme in small letters
    /// or has more than 64 bytes, or if 32 others were named before; these stay. Waits for no disk.
    pub fn name_resource_scheme(&self, scheme: &str) -> bool {
        self.resource_schemes.name(scheme)
    }

    /// Verifies a bearer token as of `now`: its shape, signatures, expiry and revocation, and that every hop only narrows. It must be
    /// presented to this server.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] names the first thing that is wrong, in the order of `docs/verification.md`.
    pub fn verify(&self, bearer: &str, now: Timestamp) -> Result<VerifiedCapability, VerifyError> {
        self.examine(bearer, None, now).map_err(|rejection| rejection.error)
    }

    /// Verifies a bearer token as of `now`, for `operation` if one is given: [`Verifier::max_staleness_of`] counts then. For a token whose
    /// signatures are valid, the error also carries what the token says, for the record. It is a [`Rejection`], of what
    /// [`Verifier::verify`] refuses.
    pub fn examine(
        &self,
        bearer: &str,
        operation: Option<&Operation>,
        now: Timestamp,
    ) -> Result<VerifiedCapability, Box<Rejection>> {
        let refused = RefusedBearers::key_of(bearer);
        self.trust.judge(|set| {
            if let Some(recognized) = self.recognize_by(set, bearer, &refused, operation, now) {
                return recognized;
            }
            let token = read(set, bearer, refused(), now);
            let token = token.map_err(|error| Box::new(Rejection { error, authentic: None }))?;
            self.hold_or_reject(set, &token, operation, now)
        })
    }

    /// Verifies a bearer token as [`Verifier::examine`] does, but only if it is remembered whether its signatures are valid. `None` if it
    /// is not. This costs microseconds. The error is that of [`Verifier::examine`].
    pub fn recognize(
        &self,
        bearer: &str,
        operation: Option<&Operation>,
        now: Timestamp,
    ) -> Option<Result<VerifiedCapability, Box<Rejection>>> {
        let refused = RefusedBearers::key_of(bearer);
        self.trust.judge(|set| self.recognize_by(set, bearer, &refused, operation, now))
    }

    fn recognize_by(
        &self,
        set: &RootSet,
        bearer: &str,
        refused: &impl Fn() -> RefusedKey,
        operation: Option<&Operation>,
        now: Timestamp,
    ) -> Option<Result<VerifiedCapability, Box<Rejection>>> {
        if let Some(token) = set.recall(bearer) {
            return Some(self.hold_or_reject(set, &token, operation, now));
        }
        let error = set.recall_refused(&refused(), now)?;
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

    /// Verifies a bearer token whose signatures are remembered as valid. `None` if they are not remembered, or if the token is not valid
    /// (any more). This costs microseconds, if the revocation source answers from memory.
    pub fn verify_remembered(&self, bearer: &str, now: Timestamp) -> Option<VerifiedCapability> {
        self.trust.judge(|set| self.hold(set, &set.recall(bearer)?, None, now).ok())
    }

    /// Checks that a verified capability is still valid as of `now`: its root is trusted, nothing has expired or was revoked, and every
    /// bound is kept.
    ///
    /// # Errors
    ///
    /// [`VerifyError`], as of [`Verifier::verify`]. Shape and the holders' signatures are not checked again.
    pub fn verify_again(
        &self,
        verified: &VerifiedCapability,
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        self.trust.judge(|set| self.hold(set, &verified.token, None, now).map(drop))
    }

    /// Checks that a verified capability is still valid as of `now`, and returns it as verified at that moment. The errors are those of
    /// [`Verifier::verify_again`].
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
        self.trust.judge(|set| set.authenticate(token, None).map(drop))?;
        let chain = token.chain();
        chain.hops.iter().try_fold(chain.grant.holder, |holder, hop| {
            match holder.is_some() && hop.signer == holder {
                true => Ok(hop.holder),
                false => Err(VerifyError::WrongSigner { block: hop.index }),
            }
        })?;
        Ok(())
    }

    /// Checks that a call that was allowed with `verified` may go on, as of `now`. A presentation says when a call may begin, so its own
    /// expiry does not count any more. The root, the expiries of the grant and the hops, and revocation are checked, that of the
    /// presentation, too. The caller bounds how long a call may go on. The errors are those of [`Verifier::verify_again`].
    pub fn verify_under_way(
        &self,
        verified: &VerifiedCapability,
        now: Timestamp,
    ) -> Result<(), VerifyError> {
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
    key: RefusedKey,
    now: Timestamp,
) -> Result<Arc<Authentic>, VerifyError> {
    let refused = |error: VerifyError, chain: Option<&Chain>| {
        set.keep_refused(key, &error, chain, now);
        error
    };
    let parsed = set.parse(bearer);
    let (capability, known) = parsed.map_err(|error| refused(error.into(), None))?;
    let authentic = refuse_expired(capability.chain(), now)
        .and_then(|()| set.authenticate(&capability, known.as_deref()))
        .map_err(|error| refused(error, Some(capability.chain())));
    let (root, issuer) = authentic?;
    let token = Arc::new(Authentic::of(capability, issuer, root, known.as_deref()));
    set.keep(bearer, &token, known.as_deref());
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

#[cfg(test)]
mod tests;
