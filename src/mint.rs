//! Mint: a root key and a grant become the first block of a token.

use std::time::Duration;

use biscuit_auth::builder::{Fact, Term};
use biscuit_auth::{Biscuit, KeyPair};

use crate::block::{self, DatalogError, Writer};
use crate::capability::Capability;
use crate::cause::Cause;
use crate::constraint::{self, ConstraintError};
use crate::keys::{KeyError, PrivateKey, PublicKey};
use crate::names::{self, NameError};
use crate::profile::life::{Life, LifeError};
use crate::profile::shape::ShapeError;
use crate::profile::{DEFAULT_DEPTH, DEFAULT_LIVES, Lifetimes, MAX_DEPTH, PROFILE_VERSION};
use crate::scope::{Scope, ScopeError};
use crate::timestamp::Timestamp;

/// Whoever has a root key, and grants parts of what subjects may do.
///
/// ```
/// use hardtack::{Grant, Issuer, PrivateKey, Timestamp};
///
/// let issuer = Issuer::new(PrivateKey::generate());
/// let orchestrator = PrivateKey::generate();
/// let grant = Grant::to("user:alice").scope("tools:call:*").holder(orchestrator.public());
/// let capability = issuer.mint(grant, Timestamp::from(std::time::SystemTime::now()))?;
/// assert_eq!(capability.chain().grant.subject, "user:alice");
/// # Ok::<(), hardtack::MintError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Issuer {
    root: PrivateKey,
    key_id: Option<u32>,
    longest: Duration,
}

impl Issuer {
    /// An issuer that signs with `root`.
    pub fn new(root: PrivateKey) -> Issuer {
        Issuer { root, key_id: None, longest: Lifetimes::default().grant }
    }

    /// Writes `id` into each token, as a hint to verifiers that trust several root keys.
    pub fn key_id(mut self, id: u32) -> Issuer {
        self.key_id = Some(id);
        self
    }

    /// The longest life that this issuer gives, 24 hours otherwise. Verifiers have a bound of their
    /// own ([`Lifetimes`]) and must be given the same.
    pub fn longest_life(mut self, longest: Duration) -> Issuer {
        self.longest = longest;
        self
    }

    /// The root's public key, which verifiers trust.
    pub fn public(&self) -> PublicKey {
        self.root.public()
    }

    /// Signs a grant, valid from `now`.
    ///
    /// # Errors
    ///
    /// [`MintError`], naming what is missing or not of its form.
    pub fn mint(&self, grant: Grant, now: Timestamp) -> Result<Capability, MintError> {
        names::check_subject(&grant.subject)?;
        let scopes = parse_scopes(&grant.scopes)?;
        if scopes.is_empty() {
            return Err(MintError::NoScope);
        }
        grant.audiences.iter().try_for_each(|audience| names::check_audience(audience))?;
        if i64::from(grant.max_depth) > MAX_DEPTH {
            return Err(MintError::Depth);
        }
        match (grant.holder, grant.unbound) {
            (None, false) => return Err(MintError::NoHolder),
            (Some(holder), _) if holder == self.public() => return Err(MintError::HolderIsRoot),
            _ => {}
        }
        let facts = grant.facts.iter().map(Said::read).collect::<Result<Vec<_>, _>>()?;
        let checks = constraint::checks(&grant.allowances)?;
        let life = Life { asked: grant.ttl, default: DEFAULT_LIVES.grant, longest: self.longest };
        let expires = life.expiry(now, Timestamp::MAX)?;
        let mut writer = Writer::default()
            .fact("hardtack", Term::Integer(PROFILE_VERSION))
            .text("subject", &grant.subject)
            .texts("scope", &dedup(grant.scopes))
            .texts("audience", &dedup(grant.audiences.clone()))
            .fact("issued", Term::Date(now.unix_seconds()))
            .fact("expires", Term::Date(expires.unix_seconds()))
            .fact("max_depth", Term::Integer(i64::from(grant.max_depth)))
            .custom(&facts)
            .check(block::check_expiry(expires))
            .check(block::check_scopes(&scopes)?)
            .check(block::check_depth(grant.max_depth));
        if !grant.audiences.is_empty() {
            writer = writer.check(block::check_audiences(&grant.audiences));
        }
        self.sign(writer.checks(&checks).holder(0, grant.holder))
    }

    fn sign(&self, writer: Writer) -> Result<Capability, MintError> {
        let mut builder = Biscuit::builder().merge(writer.finish());
        if let Some(id) = self.key_id {
            builder = builder.root_key_id(id);
        }
        let root = KeyPair::from(&self.root.to_biscuit()?);
        let bytes = builder
            .build(&root)
            .and_then(|token| token.to_vec())
            .map_err(|_| MintError::Biscuit)?;
        Ok(Capability::from_bytes(&bytes)?)
    }
}

/// What is granted, to whom.
#[derive(Debug, Clone)]
pub struct Grant {
    subject: String,
    scopes: Vec<String>,
    audiences: Vec<String>,
    facts: Vec<Said>,
    allowances: Vec<String>,
    holder: Option<PublicKey>,
    unbound: bool,
    ttl: Option<Duration>,
    max_depth: u8,
}

impl Grant {
    /// A grant of what `subject` may do, such as `user:alice`. It lives an hour, allows eight hops,
    /// and needs a scope and a holder.
    pub fn to(subject: impl Into<String>) -> Grant {
        Grant {
            subject: subject.into(),
            scopes: Vec::new(),
            audiences: Vec::new(),
            facts: Vec::new(),
            allowances: Vec::new(),
            holder: None,
            unbound: false,
            ttl: None,
            max_depth: DEFAULT_DEPTH,
        }
    }

    /// Grants what [`Scope`] `scope` covers; may be called again for more.
    pub fn scope(mut self, scope: impl Into<String>) -> Grant {
        self.scopes.push(scope.into());
        self
    }

    /// Allows use at `audience`; may be called again for more. Without one, a hop or the presentation
    /// names it.
    pub fn audience(mut self, audience: impl Into<String>) -> Grant {
        self.audiences.push(audience.into());
        self
    }

    /// Says something more about the subject that policies may read: the fact `name` of these terms.
    ///
    /// ```
    /// use hardtack::Grant;
    /// use hardtack::mint::FactTerm;
    ///
    /// // role("editor"), which `allow if role("editor")` of a policy reads
    /// let grant = Grant::to("user:alice").fact("role", ["editor"]);
    /// // limit("eur", 200)
    /// let grant = grant.fact("limit", [FactTerm::from("eur"), FactTerm::from(200)]);
    /// // The same in Datalog.
    /// let grant = grant.fact_datalog(r#"limit("usd", 220)"#);
    /// ```
    ///
    /// [`Issuer::mint`] refuses a name that is none of Datalog's or that Hardtack gives a meaning, such as `scope`, and a fact
    /// without terms.
    pub fn fact<T: Into<FactTerm>>(
        mut self,
        name: impl Into<String>,
        terms: impl IntoIterator<Item = T>,
    ) -> Grant {
        let terms = terms.into_iter().map(|term| term.into().0).collect();
        self.facts.push(Said::Terms { name: name.into(), terms });
        self
    }

    /// Says something more about the subject that policies may read, in Datalog: `role("editor")`.
    ///
    /// [`Issuer::mint`] refuses what is not one fact without variables, and a name that Hardtack gives a meaning.
    pub fn fact_datalog(mut self, fact: impl Into<String>) -> Grant {
        self.facts.push(Said::Datalog(fact.into()));
        self
    }

    /// Demands something of every call's arguments: a [`Constraint`](crate::Constraint) such as
    /// `amount <= 100`, or `no other arguments`. May be called again; all must hold.
    pub fn allow(mut self, constraint: impl ToString) -> Grant {
        self.allowances.push(constraint.to_string());
        self
    }

    /// Binds the token to whoever has the private half of `holder`. Never a root key.
    pub fn holder(mut self, holder: PublicKey) -> Grant {
        self.holder = Some(holder);
        self
    }

    /// Binds the token to a key made on the way, and returns that key.
    pub fn new_holder(self) -> (Grant, PrivateKey) {
        let key = PrivateKey::generate();
        (self.holder(key.public()), key)
    }

    /// Binds the token to nobody: whoever has it may use it. Verifiers refuse it unless told
    /// otherwise by name.
    pub fn unbound(mut self) -> Grant {
        self.unbound = true;
        self
    }

    /// Lives for `ttl`, in whole seconds.
    pub fn ttl(mut self, ttl: Duration) -> Grant {
        self.ttl = Some(ttl);
        self
    }

    /// Allows this many hops, 13 at most.
    pub fn max_depth(mut self, hops: u8) -> Grant {
        self.max_depth = hops;
        self
    }
}

/// A term of a fact: a text, an integer, a `bool` or a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct FactTerm(Term);

impl FactTerm {
    pub(crate) fn as_term(&self) -> &Term {
        &self.0
    }
}

impl From<&str> for FactTerm {
    fn from(text: &str) -> FactTerm {
        FactTerm(Term::Str(text.to_owned()))
    }
}

impl From<String> for FactTerm {
    fn from(text: String) -> FactTerm {
        FactTerm(Term::Str(text))
    }
}

impl From<i64> for FactTerm {
    fn from(number: i64) -> FactTerm {
        FactTerm(Term::Integer(number))
    }
}

impl From<bool> for FactTerm {
    fn from(value: bool) -> FactTerm {
        FactTerm(Term::Bool(value))
    }
}

impl From<Timestamp> for FactTerm {
    fn from(moment: Timestamp) -> FactTerm {
        FactTerm(Term::Date(moment.unix_seconds()))
    }
}

/// A fact about the subject, as the issuer said it.
#[derive(Debug, Clone)]
enum Said {
    Datalog(String),
    Terms { name: String, terms: Vec<Term> },
}

impl Said {
    fn read(&self) -> Result<Fact, DatalogError> {
        match self {
            Said::Datalog(text) => block::parse_fact(text),
            Said::Terms { name, terms } => block::custom_fact(name, terms),
        }
    }
}

pub(crate) fn parse_scopes(texts: &[String]) -> Result<Vec<Scope>, ScopeError> {
    texts.iter().map(|text| text.parse()).collect()
}

/// What is said twice counts once.
pub(crate) fn dedup(mut texts: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    texts
}

/// A grant that cannot be minted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// A name that is not of its form.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A scope that is not of its form.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// No scope.
    #[error("a grant needs at least one scope, such as tools:call:*")]
    NoScope,
    /// Neither a holder nor the word that there is none.
    #[error("a grant is bound to a holder's key; name it, or say by name that it is unbound")]
    NoHolder,
    /// The root's own key as holder.
    #[error("the holder may not be the root key itself; make the holder a key of its own")]
    HolderIsRoot,
    /// More hops than the profile allows.
    #[error("a grant allows at most {MAX_DEPTH} hops")]
    Depth,
    /// A life that cannot be given.
    #[error(transparent)]
    Life(#[from] LifeError),
    /// A fact that is none, or that is reserved.
    #[error(transparent)]
    Fact(#[from] DatalogError),
    /// A constraint that cannot be read.
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
    /// The token would be refused by every verifier.
    #[error("every verifier would refuse the result")]
    Shape(#[from] ShapeError),
    /// A key that Biscuit does not take.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Biscuit could not write the block.
    #[error("the grant cannot be written as a Biscuit block")]
    Biscuit,
}

impl MintError {
    /// The stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            MintError::Name(error) => error.cause(),
            MintError::Scope(error) => error.cause(),
            MintError::NoScope | MintError::NoHolder => Cause::Incomplete,
            MintError::HolderIsRoot => Cause::HolderIsRoot,
            MintError::Depth => Cause::TooMany,
            MintError::Life(error) => error.cause(),
            MintError::Fact(error) => error.cause(),
            MintError::Constraint(error) => error.cause(),
            MintError::Shape(_) | MintError::Biscuit => Cause::ResultRefused,
            MintError::Key(error) => error.cause(),
        }
    }
}
