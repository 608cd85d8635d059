//! Delegate: a holder passes on a part of what it holds (attenuation). No issuer, no network, not even the root's
//! public key.

use std::time::Duration;

use biscuit_auth::builder::Term;

use crate::block::{self, Writer};
use crate::capability::{AppendError, Capability, HolderError};
use crate::cause::Cause;
use crate::chain::Chain;
use crate::constraint::{self, ConstraintError};
use crate::keys::{PrivateKey, PublicKey};
use crate::mint::{dedup, parse_scopes};
use crate::names::{self, NameError};
use crate::profile::life::{Life, LifeError};
use crate::profile::{DEFAULT_LIVES, Lifetimes};
use crate::scope::{Scope, ScopeError};
use crate::timestamp::Timestamp;

pub use crate::block::DatalogError;

/// A delegation to be signed: what is passed on, to whom, for how long and why. [`Capability::delegate`] makes a
/// capability of it.
///
/// ```
/// # use hardtack::*;
/// # let now = Timestamp::from_unix_seconds(1_795_428_000);
/// # let issuer = Issuer::new(PrivateKey::generate());
/// # let (grant, orchestrator) = Grant::to("user:alice").scope("tools:call:*").new_holder();
/// # let capability = issuer.mint(grant, now)?;
/// let researcher = PrivateKey::generate();
/// let delegation = Delegation::to("agent.researcher")
///     .scope("tools:call:search")
///     .reason("find the roadmap page")
///     .holder(researcher.public());
/// let delegated = capability.delegate(delegation, &orchestrator, now)?;
/// assert_eq!(delegated.chain().depth(), 1);
///
/// // What would widen is an error that names what is wider than what.
/// let wider = Delegation::to("agent.other").scope("*").reason("more").holder(researcher.public());
/// let error = capability.delegate(wider, &orchestrator, now).unwrap_err();
/// assert_eq!(error.to_string(), "the scope * is not covered by any scope of its parent: tools:call:*");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Delegation {
    delegate: String,
    scopes: Vec<String>,
    audiences: Vec<String>,
    reason: Option<String>,
    checks: Vec<String>,
    allowances: Vec<String>,
    holder: Option<PublicKey>,
    unbound: bool,
    ttl: Option<Duration>,
    longest: Duration,
}

impl Delegation {
    /// Begins a delegation to the agent that the delegator calls `agent`. It needs a scope, a reason and a holder (or
    /// [`Delegation::unbound`]). By default it lives for fifteen minutes, or as long as the parent if that is shorter.
    pub fn to(agent: impl Into<String>) -> Delegation {
        Delegation {
            delegate: agent.into(),
            scopes: Vec::new(),
            audiences: Vec::new(),
            reason: None,
            checks: Vec::new(),
            allowances: Vec::new(),
            holder: None,
            unbound: false,
            ttl: None,
            longest: Lifetimes::default().hop,
        }
    }

    /// Passes on the operations that the [`Scope`] `scope` covers. Call it again for more scopes. Each must lie within
    /// one of the parent's.
    pub fn scope(mut self, scope: impl Into<String>) -> Delegation {
        self.scopes.push(scope.into());
        self
    }

    /// Limits use to the server called `audience`, which must be one of the parent's if the parent names any. Call it
    /// again for more servers. Without an audience, the parent's are kept.
    pub fn audience(mut self, audience: impl Into<String>) -> Delegation {
        self.audiences.push(audience.into());
        self
    }

    /// Sets the reason of the delegation: one printable line of at most 256 bytes. Records and refusals show it.
    pub fn reason(mut self, reason: impl Into<String>) -> Delegation {
        self.reason = Some(reason.into());
        self
    }

    /// Adds a condition on the arguments of every call: a [`Constraint`](crate::Constraint) such as `amount <= 100` or
    /// `path within /srv/data`. `no other arguments` allows only those arguments of which the other constraints of this
    /// delegation speak. Call it again for more; all of them must hold.
    pub fn allow(mut self, constraint: impl ToString) -> Delegation {
        self.allowances.push(constraint.to_string());
        self
    }

    /// Adds a Datalog check of every call, such as `check all arg("amount", $a), $a <= 100`. `check all` also demands
    /// that the argument is there.
    pub fn check(mut self, check: impl Into<String>) -> Delegation {
        self.checks.push(check.into());
        self
    }

    /// Binds the hop to the key `holder`: only whoever has its private half can delegate further or present the token.
    pub fn holder(mut self, holder: PublicKey) -> Delegation {
        self.holder = Some(holder);
        self
    }

    /// Makes a new key, binds the hop to it, and returns the delegation and the private key. An orchestrator that
    /// starts a worker hands it the token and this key.
    pub fn new_holder(self) -> (Delegation, PrivateKey) {
        let key = PrivateKey::generate();
        (self.holder(key.public()), key)
    }

    /// Binds the hop to nobody, so that whoever has the token may use it. Verifiers refuse such a token unless
    /// [`accept_unbound_hops`](crate::Verifier::accept_unbound_hops) was called.
    pub fn unbound(mut self) -> Delegation {
        self.unbound = true;
        self
    }

    /// Sets how long the hop lives: whole seconds, at least one, at most [`Delegation::longest_life`]. A life beyond
    /// the parent's is refused. The default is fifteen minutes, cut to the parent's life.
    pub fn ttl(mut self, ttl: Duration) -> Delegation {
        self.ttl = Some(ttl);
        self
    }

    /// Sets the longest life that [`Delegation::ttl`] may ask for; the default is one hour. Verifiers have a bound of
    /// their own ([`Lifetimes`]): give them the same.
    pub fn longest_life(mut self, longest: Duration) -> Delegation {
        self.longest = longest;
        self
    }
}

impl Capability {
    /// Passes on a part of this capability and returns the new one. The hop is signed with `key`, the private key to
    /// which this capability is bound, as of `now`. This capability stays as it is. No network is needed.
    ///
    /// # Errors
    ///
    /// [`DelegateError`] names what is missing, not of its form, or wider than the parent's. Nothing is signed then.
    pub fn delegate(
        &self,
        delegation: Delegation,
        key: &PrivateKey,
        now: Timestamp,
    ) -> Result<Capability, DelegateError> {
        append_hop(self, delegation, Some(key), now)
    }

    /// Passes on a part of a capability that is bound to nobody. The hop carries no holder's signature, so that anybody
    /// with the token could have made it. Verifiers refuse it unless
    /// [`accept_unbound_hops`](crate::Verifier::accept_unbound_hops) was called.
    ///
    /// # Errors
    ///
    /// [`DelegateError`], as of [`Capability::delegate`]; [`DelegateError::Holder`] if the capability is bound to a
    /// key.
    pub fn delegate_unbound(
        &self,
        delegation: Delegation,
        now: Timestamp,
    ) -> Result<Capability, DelegateError> {
        append_hop(self, delegation, None, now)
    }
}

fn append_hop(
    parent: &Capability,
    delegation: Delegation,
    key: Option<&PrivateKey>,
    now: Timestamp,
) -> Result<Capability, DelegateError> {
    parent.check_holder(key)?;
    let chain = parent.chain();
    let scopes = parse_scopes(&delegation.scopes)?;
    let reason = delegation.reason.as_deref().ok_or(DelegateError::NoReason)?;
    names::check_agent(&delegation.delegate)?;
    names::check_reason(reason)?;
    delegation.audiences.iter().try_for_each(|audience| names::check_audience(audience))?;
    if delegation.holder.is_none() && !delegation.unbound {
        return Err(DelegateError::NoHolder);
    }
    refuse_wider(chain, &scopes, &delegation.audiences)?;
    let mut checks = constraint::checks(&delegation.allowances)?;
    for text in &delegation.checks {
        checks.push(block::parse_check(text)?);
    }
    let life =
        Life { asked: delegation.ttl, default: DEFAULT_LIVES.hop, longest: delegation.longest };
    let expires = life.expiry(now, chain.expires())?;

    let index = parent.shaped().blocks.len();
    let mut writer = Writer::default()
        .fact("hop", Term::Integer(index as i64))
        .text("delegate", &delegation.delegate)
        .texts("scope", &dedup(delegation.scopes))
        .texts("audience", &dedup(delegation.audiences.clone()))
        .fact("expires", Term::Date(expires.unix_seconds()))
        .text("reason", reason)
        .fact("parent", Term::Bytes(parent.parent_digest().to_vec()))
        .check(block::check_expiry(expires))
        .check(block::check_scopes(&scopes)?);
    if !delegation.audiences.is_empty() {
        writer = writer.check(block::check_audiences(&delegation.audiences));
    }
    let block = writer.checks(&checks).holder(index, delegation.holder);
    Ok(parent.append(&block, key)?)
}

/// The same questions that the verifier's walk asks.
fn refuse_wider(
    parent: &Chain,
    scopes: &[Scope],
    audiences: &[String],
) -> Result<(), DelegateError> {
    if scopes.is_empty() {
        return Err(DelegateError::NoScope);
    }
    if let Some(scope) = first_wider_scope(parent.scopes(), scopes) {
        let parent = parent.scopes().iter().map(Scope::as_str).collect::<Vec<_>>().join(", ");
        return Err(DelegateError::ScopeWider { scope: scope.clone(), parent });
    }
    if let Some(audience) = first_wider_audience(parent.audiences(), audiences) {
        let parent = parent.audiences().join(", ");
        return Err(DelegateError::AudienceWider { audience: audience.to_owned(), parent });
    }
    if parent.depth() >= usize::from(parent.grant.max_depth) {
        return Err(DelegateError::TooDeep { max_depth: parent.grant.max_depth });
    }
    Ok(())
}

/// The first scope that no single scope of the parent covers.
pub(crate) fn first_wider_scope<'a>(parent: &[Scope], child: &'a [Scope]) -> Option<&'a Scope> {
    child.iter().find(|scope| !parent.iter().any(|wider| wider.covers_scope(scope)))
}

/// The first audience that the parent does not have. A parent without audiences has all.
pub(crate) fn first_wider_audience<'a>(parent: &[String], child: &'a [String]) -> Option<&'a str> {
    let outside = |audience: &&String| !parent.is_empty() && !parent.contains(audience);
    child.iter().find(outside).map(String::as_str)
}

/// The error of a delegation that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DelegateError {
    /// The key is not the holder's, or the token cannot be signed further.
    #[error(transparent)]
    Holder(#[from] HolderError),
    /// A name or the reason is not of its form.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A scope is not of its form.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The delegation has no scope.
    #[error("a delegation needs at least one scope, such as tools:call:search")]
    NoScope,
    /// The delegation has no reason.
    #[error("a delegation needs a reason, which records and refusals show")]
    NoReason,
    /// The delegation names no holder, and [`Delegation::unbound`] was not called.
    #[error(
        "a delegation is bound to the delegate's key; name it, or say by name that it is unbound"
    )]
    NoHolder,
    /// A scope lies within none of the parent's scopes.
    #[error("the scope {scope} is not covered by any scope of its parent: {parent}")]
    ScopeWider {
        /// The scope that was asked for.
        scope: Scope,
        /// The parent's scopes.
        parent: String,
    },
    /// An audience is not among the parent's audiences.
    #[error("the audience {audience} is not among its parent's: {parent}")]
    AudienceWider {
        /// The audience that was asked for.
        audience: String,
        /// The parent's audiences.
        parent: String,
    },
    /// The grant allows no further hop.
    #[error("the grant allows {max_depth} hops, and they are used up")]
    TooDeep {
        /// The number of hops that the grant allows.
        max_depth: u8,
    },
    /// The life is not in whole seconds, longer than the bound, or longer than the parent's.
    #[error(transparent)]
    Life(#[from] LifeError),
    /// A constraint cannot be read.
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
    /// A Datalog check cannot be read.
    #[error(transparent)]
    Check(#[from] DatalogError),
    /// The block cannot be appended to the token.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl DelegateError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self {
            DelegateError::Holder(error) => error.cause(),
            DelegateError::Name(error) => error.cause(),
            DelegateError::Scope(error) => error.cause(),
            DelegateError::NoScope | DelegateError::NoReason | DelegateError::NoHolder => {
                Cause::Incomplete
            }
            DelegateError::ScopeWider { .. } => Cause::BeyondScope,
            DelegateError::AudienceWider { .. } => Cause::BeyondAudience,
            DelegateError::TooDeep { .. } => Cause::BeyondDepth,
            DelegateError::Life(error) => error.cause(),
            DelegateError::Constraint(error) => error.cause(),
            DelegateError::Check(error) => error.cause(),
            DelegateError::Append(error) => error.cause(),
        }
    }
}
