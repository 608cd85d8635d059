//! Verify: is this token authentic, well shaped, unrevoked, and does every hop only narrow?
//!
//! Says nothing about what policies think of it; see [`authorize`](crate::authorize).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::capability::Capability;
use crate::chain::{Chain, GrantBlock, Hop, PresentationBlock, PresentationKind};
use crate::delegate::{first_wider_audience, first_wider_scope};
use crate::keys::{PublicKey, RootKeys};
use crate::names::{self, NameError};
use crate::profile::shape::ShapeError;
use crate::profile::{CLOCK_SKEW, Lifetimes};
use crate::revocation::{RevocationSource, RevocationsUnavailable, Revoked, RevokedBy};
use crate::scope::Scope;
use crate::signing::{self, BadSignature};
use crate::timestamp::Timestamp;

/// The schemes of resources that a verifier judges unless told otherwise. A scheme that is not listed
/// is refused, since its URIs may have a normal form that is not known here.
pub const DEFAULT_RESOURCE_SCHEMES: [&str; 3] = ["https", "http", "file"];

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
    roots: RootKeys,
    audience: String,
    revocations: Box<dyn RevocationSource>,
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
        roots: RootKeys,
        audience: impl Into<String>,
        revocations: impl RevocationSource + 'static,
    ) -> Result<Verifier, NameError> {
        let audience = audience.into();
        names::check_audience(&audience)?;
        Ok(Verifier {
            roots,
            audience,
            revocations: Box::new(revocations),
            lifetimes: Lifetimes::default(),
            unbound: UnboundHops::Refused,
            directory: Directory::default(),
            resource_schemes: DEFAULT_RESOURCE_SCHEMES.map(str::to_owned).into(),
        })
    }

    /// Accepts lives up to these.
    pub fn lifetimes(mut self, lifetimes: Lifetimes) -> Verifier {
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
        self.examine(bearer, now).map_err(|rejection| rejection.error)
    }

    /// Like [`Verifier::verify`]; of a token whose signatures hold, the record learns more.
    pub(crate) fn examine(
        &self,
        bearer: &str,
        now: Timestamp,
    ) -> Result<VerifiedCapability, Box<Rejection>> {
        let unauthentic = |error| Box::new(Rejection { error, authentic: None });
        let capability = Capability::parse(bearer).map_err(|error| unauthentic(error.into()))?;
        refuse_expired(capability.chain(), now).map_err(unauthentic)?;
        let (root, issuer) = self.authenticate(&capability).map_err(unauthentic)?;
        match self.walk(capability.chain(), &root, now) {
            Ok(presentation) => Ok(VerifiedCapability {
                presentation: presentation.clone(),
                issuer,
                at: now,
                resource_schemes: self.resource_schemes.clone(),
                capability,
            }),
            Err(error) => {
                let authentic = Some(Authentic { capability, issuer });
                Err(Box::new(Rejection { error, authentic }))
            }
        }
    }

    /// What is asked of a token whose signatures hold.
    fn walk<'a>(
        &'a self,
        chain: &'a Chain,
        root: &PublicKey,
        now: Timestamp,
    ) -> Result<&'a PresentationBlock, VerifyError> {
        if let Some(Revoked { block, by }) = self.revocations.revoked(chain, root)? {
            return Err(VerifyError::Revoked { block, by });
        }
        Walk { verifier: self, chain, now }.walk()
    }

    /// The root key whose signature the token bears, and the name that this verifier has for it.
    fn authenticate(&self, capability: &Capability) -> Result<(PublicKey, String), VerifyError> {
        let mut furthest = None;
        for root in self.roots.candidates(capability.root_key_id()) {
            match signing::verify(capability.shaped(), &root.key) {
                Ok(()) => return Ok((root.key, root.name.clone())),
                Err(BadSignature { block }) => furthest = furthest.max(Some(block)),
            }
        }
        match furthest {
            Some(block) => Err(VerifyError::Signature { block }),
            None => Err(VerifyError::UnknownRoot),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("audience", &self.audience)
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}

/// Which agents' names belong to which keys, as far as this server knows.
///
/// A listed name with another key, or a listed key with another name, is refused. Without a listing
/// an agent's name is only what its delegator calls it.
#[derive(Debug, Clone, Default)]
pub struct Directory(BTreeMap<String, Vec<PublicKey>>);

impl Directory {
    /// Adds a key of the agent called `name`; it may have several.
    pub fn and(mut self, name: impl Into<String>, key: PublicKey) -> Directory {
        self.0.entry(name.into()).or_default().push(key);
        self
    }

    fn agrees(&self, hop: &Hop) -> bool {
        let keys_of_name = self.0.get(&hop.delegate);
        let of_this_key =
            |keys: &&Vec<PublicKey>| hop.holder.is_some_and(|key| keys.contains(&key));
        let key_is_listed = self.0.values().any(|keys| of_this_key(&keys));
        match keys_of_name {
            Some(keys) => of_this_key(&keys),
            None => !key_is_listed,
        }
    }
}

/// A presentation that holds: authentic, unrevoked, for this server, narrowing at every hop.
///
/// Only [`Verifier::verify`] makes one. What it may be used for is for policies to say.
#[derive(Debug, Clone)]
pub struct VerifiedCapability {
    capability: Capability,
    presentation: PresentationBlock,
    issuer: String,
    at: Timestamp,
    resource_schemes: Arc<[String]>,
}

impl VerifiedCapability {
    /// What the token says, all of it verified.
    pub fn chain(&self) -> &Chain {
        self.capability.chain()
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
        &self.issuer
    }

    /// The moment as of which it was verified.
    pub fn verified_at(&self) -> Timestamp {
        self.at
    }

    /// The presentation at the chain's end.
    pub fn presentation(&self) -> &PresentationBlock {
        &self.presentation
    }

    pub(crate) fn capability(&self) -> &Capability {
        &self.capability
    }

    pub(crate) fn judges_scheme(&self, scheme: &str) -> bool {
        self.resource_schemes.iter().any(|listed| listed == scheme)
    }
}

/// Why a token does not hold, and what it says if its signatures do.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) error: VerifyError,
    pub(crate) authentic: Option<Authentic>,
}

/// A token whose signatures hold, and the verifier's name for the root that made it.
#[derive(Debug)]
pub(crate) struct Authentic {
    pub(crate) capability: Capability,
    pub(crate) issuer: String,
}

/// A token that does not hold. `block` counts from 0, the grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Not of the profile's shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Expired.
    #[error("block {block} expired at {expired}")]
    Expired {
        /// The block.
        block: usize,
        /// When it expired.
        expired: Timestamp,
    },
    /// No trusted root key fits the token's root key id.
    #[error("the token names a root key that is not trusted here")]
    UnknownRoot,
    /// A signature that does not hold.
    #[error("the signature of block {block} does not hold{}", if *block == 0 { ": no trusted root key made this token" } else { "" })]
    Signature {
        /// The block.
        block: usize,
    },
    /// Revoked.
    #[error("block {block} is revoked by {by}, and with it all that follows")]
    Revoked {
        /// The block.
        block: usize,
        /// By what.
        by: RevokedBy,
    },
    /// The revocation source cannot answer.
    #[error(transparent)]
    RevocationsUnavailable(#[from] RevocationsUnavailable),
    /// Signed by another key than the holder's.
    #[error("block {block} is not signed by the holder that the block before it names")]
    WrongSigner {
        /// The block.
        block: usize,
    },
    /// Signed by nobody in particular.
    #[error(
        "block {block} stands on a block that names no holder, so anybody may have appended it"
    )]
    Unbound {
        /// The block.
        block: usize,
    },
    /// A signature that says nothing, on a block whose parent names no holder.
    #[error("block {block} bears a signature although the block before it names no holder")]
    ForeignSigner {
        /// The block.
        block: usize,
    },
    /// A root key as holder.
    #[error("block {block} names a root key as holder")]
    RootAsHolder {
        /// The block.
        block: usize,
    },
    /// A scope that the parent has not.
    #[error("block {block} widens: the scope {scope} is not covered by any scope of its parent")]
    ScopeWider {
        /// The block.
        block: usize,
        /// The scope.
        scope: Scope,
    },
    /// An audience that the parent has not.
    #[error("block {block} widens: the audience {audience} is not among its parent's")]
    AudienceWider {
        /// The block.
        block: usize,
        /// The audience.
        audience: String,
    },
    /// A life beyond the parent's.
    #[error(
        "block {block} widens: it expires at {expires}, after its parent, which expires at {parent}"
    )]
    ExpiryWider {
        /// The block.
        block: usize,
        /// When it expires.
        expires: Timestamp,
        /// When its parent expires.
        parent: Timestamp,
    },
    /// More hops than the grant allows.
    #[error("block {block} widens: the grant allows {max_depth} hops")]
    TooDeep {
        /// The first hop too many.
        block: usize,
        /// How many the grant allows.
        max_depth: u8,
    },
    /// A life that is longer than this server accepts.
    #[error("block {block} lives until {expires}, longer than is accepted here")]
    TooLongLived {
        /// The block.
        block: usize,
        /// When it expires.
        expires: Timestamp,
    },
    /// A grant from the future.
    #[error("the grant was issued at {issued}, which lies in the future")]
    NotYetIssued {
        /// When it says that it was issued.
        issued: Timestamp,
    },
    /// A listed name with another key, or a listed key with another name.
    #[error("block {block} calls {name} an agent that the directory knows otherwise")]
    NameMismatch {
        /// The block.
        block: usize,
        /// The name.
        name: String,
    },
    /// A capability that was never presented.
    #[error(
        "this is a capability and no presentation: its holder must present it for this audience"
    )]
    NotPresented,
    /// Presented to somebody else.
    #[error("the token is presented to {audience}, which is not this server")]
    WrongAudience {
        /// To whom it is presented.
        audience: String,
    },
}

impl VerifyError {
    /// The stable name of the cause, as records and `--json` have it.
    pub fn cause(&self) -> &'static str {
        match self {
            VerifyError::Shape(error) => error.cause(),
            VerifyError::Expired { .. } => "expired",
            VerifyError::UnknownRoot => "unknown_root",
            VerifyError::Signature { .. } => "signature",
            VerifyError::Revoked { .. } => "revoked",
            VerifyError::RevocationsUnavailable(_) => "revocations_unavailable",
            VerifyError::WrongSigner { .. } => "wrong_signer",
            VerifyError::Unbound { .. } => "unbound",
            VerifyError::ForeignSigner { .. } => "foreign_signer",
            VerifyError::RootAsHolder { .. } => "root_as_holder",
            VerifyError::ScopeWider { .. } => "scope_wider",
            VerifyError::AudienceWider { .. } => "audience_wider",
            VerifyError::ExpiryWider { .. } => "expiry_wider",
            VerifyError::TooDeep { .. } => "too_deep",
            VerifyError::TooLongLived { .. } => "too_long_lived",
            VerifyError::NotYetIssued { .. } => "not_yet_issued",
            VerifyError::NameMismatch { .. } => "name_mismatch",
            VerifyError::NotPresented => "not_presented",
            VerifyError::WrongAudience { .. } => "wrong_audience",
        }
    }

    /// The block at which it was seen.
    pub fn block(&self) -> Option<usize> {
        match self {
            VerifyError::Shape(error) => error.block(),
            VerifyError::Expired { block, .. }
            | VerifyError::Signature { block }
            | VerifyError::Revoked { block, .. }
            | VerifyError::WrongSigner { block }
            | VerifyError::Unbound { block }
            | VerifyError::ForeignSigner { block }
            | VerifyError::RootAsHolder { block }
            | VerifyError::ScopeWider { block, .. }
            | VerifyError::AudienceWider { block, .. }
            | VerifyError::ExpiryWider { block, .. }
            | VerifyError::TooDeep { block, .. }
            | VerifyError::TooLongLived { block, .. }
            | VerifyError::NameMismatch { block, .. } => Some(*block),
            VerifyError::NotYetIssued { .. } => Some(0),
            VerifyError::UnknownRoot
            | VerifyError::RevocationsUnavailable(_)
            | VerifyError::NotPresented
            | VerifyError::WrongAudience { .. } => None,
        }
    }
}

/// An expired token costs no signature check.
fn refuse_expired(chain: &Chain, now: Timestamp) -> Result<(), VerifyError> {
    match chain.expiries().find(|(_, expires)| *expires <= now) {
        Some((block, expired)) => Err(VerifyError::Expired { block, expired }),
        None => Ok(()),
    }
}

/// The walk from the grant to the presentation: each link signed by the holder before it, none wider
/// than its parent.
struct Walk<'a> {
    verifier: &'a Verifier,
    chain: &'a Chain,
    now: Timestamp,
}

/// What the blocks walked so far allow.
struct Parent<'a> {
    scopes: &'a [Scope],
    audiences: &'a [String],
    expires: Timestamp,
    holder: Option<PublicKey>,
}

impl<'a> Walk<'a> {
    fn walk(&self) -> Result<&'a PresentationBlock, VerifyError> {
        let mut parent = self.grant(&self.chain.grant)?;
        for (depth, hop) in self.chain.hops.iter().enumerate() {
            parent = self.hop(depth, hop, &parent)?;
        }
        self.presentation(&parent)
    }

    fn grant(&self, grant: &'a GrantBlock) -> Result<Parent<'a>, VerifyError> {
        if grant.issued > self.now + CLOCK_SKEW {
            return Err(VerifyError::NotYetIssued { issued: grant.issued });
        }
        self.life(0, grant.expires, self.verifier.lifetimes.grant)?;
        self.holder(0, grant.holder)?;
        Ok(Parent {
            scopes: &grant.scopes,
            audiences: &grant.audiences,
            expires: grant.expires,
            holder: grant.holder,
        })
    }

    fn hop(
        &self,
        depth: usize,
        hop: &'a Hop,
        parent: &Parent<'a>,
    ) -> Result<Parent<'a>, VerifyError> {
        let block = hop.index;
        self.signer(block, hop.signer, parent)?;
        let max_depth = self.chain.grant.max_depth;
        if depth >= usize::from(max_depth) {
            return Err(VerifyError::TooDeep { block, max_depth });
        }
        if let Some(scope) = first_wider_scope(parent.scopes, &hop.scopes) {
            return Err(VerifyError::ScopeWider { block, scope: scope.clone() });
        }
        self.audiences(block, &hop.audiences, parent)?;
        self.expiry(block, hop.expires, parent)?;
        self.life(block, hop.expires, self.verifier.lifetimes.hop)?;
        self.holder(block, hop.holder)?;
        if !self.verifier.directory.agrees(hop) {
            return Err(VerifyError::NameMismatch { block, name: hop.delegate.clone() });
        }
        Ok(Parent {
            scopes: &hop.scopes,
            audiences: &hop.audiences,
            expires: hop.expires,
            holder: hop.holder,
        })
    }

    fn presentation(&self, parent: &Parent<'_>) -> Result<&'a PresentationBlock, VerifyError> {
        let last = self.chain.presentation.as_ref().ok_or(VerifyError::NotPresented)?;
        let block = last.index;
        self.signer(block, last.signer, parent)?;
        self.audiences(block, std::slice::from_ref(&last.audience), parent)?;
        self.expiry(block, last.expires, parent)?;
        let longest = match last.kind {
            PresentationKind::Session => self.verifier.lifetimes.session,
            PresentationKind::Call => self.verifier.lifetimes.call,
        };
        self.life(block, last.expires, longest)?;
        if last.audience != self.verifier.audience {
            return Err(VerifyError::WrongAudience { audience: last.audience.clone() });
        }
        Ok(last)
    }

    fn signer(
        &self,
        block: usize,
        signer: Option<PublicKey>,
        parent: &Parent<'_>,
    ) -> Result<(), VerifyError> {
        match (parent.holder, signer) {
            (Some(holder), Some(signer)) if holder == signer => Ok(()),
            (Some(_), _) => Err(VerifyError::WrongSigner { block }),
            (None, Some(_)) => Err(VerifyError::ForeignSigner { block }),
            (None, None) if self.verifier.unbound == UnboundHops::Accepted => Ok(()),
            (None, None) => Err(VerifyError::Unbound { block }),
        }
    }

    fn audiences(
        &self,
        block: usize,
        audiences: &[String],
        parent: &Parent<'_>,
    ) -> Result<(), VerifyError> {
        match first_wider_audience(parent.audiences, audiences) {
            Some(audience) => {
                Err(VerifyError::AudienceWider { block, audience: audience.to_owned() })
            }
            None => Ok(()),
        }
    }

    fn expiry(
        &self,
        block: usize,
        expires: Timestamp,
        parent: &Parent<'_>,
    ) -> Result<(), VerifyError> {
        match expires > parent.expires {
            true => Err(VerifyError::ExpiryWider { block, expires, parent: parent.expires }),
            false => Ok(()),
        }
    }

    fn life(&self, block: usize, expires: Timestamp, longest: Duration) -> Result<(), VerifyError> {
        match expires.since(self.now) > longest {
            true => Err(VerifyError::TooLongLived { block, expires }),
            false => Ok(()),
        }
    }

    fn holder(&self, block: usize, holder: Option<PublicKey>) -> Result<(), VerifyError> {
        match holder.is_some_and(|key| self.verifier.roots.contains(&key)) {
            true => Err(VerifyError::RootAsHolder { block }),
            false => Ok(()),
        }
    }
}
