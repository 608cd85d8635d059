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
use crate::profile::ShapeError;
use crate::profile::life::{Life, LifeError};
use crate::profile::{DEFAULT_DEPTH, DEFAULT_LIVES, Lifetimes, MAX_DEPTH, PROFILE_VERSION};
use crate::scope::{Scope, ScopeError};
use crate::timestamp::Timestamp;

/// An issuer of capabilities. It has a root key, and grants parts of what subjects may do.
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
    /// Makes an issuer that signs with the private key `root`. Verifiers must trust its public half
    /// ([`Issuer::public`]).
    pub fn new(root: PrivateKey) -> Issuer {
        Issuer { root, key_id: None, longest: Lifetimes::default().grant }
    }

    /// Writes the root key id `id` into each token, as a hint for verifiers that trust several root keys. The id is not
    /// signed. By default a token carries none.
    pub fn key_id(mut self, id: u32) -> Issuer {
        self.key_id = Some(id);
        self
    }

    /// Sets the longest life that this issuer gives to a grant; the default is 24 hours. A grant that asks for more is
    /// refused ([`MintError::Life`]). Verifiers have a bound of their own ([`Lifetimes`]): give them the same.
    pub fn longest_life(mut self, longest: Duration) -> Issuer {
        self.longest = longest;
        self
    }

    /// Returns the root's public key, which verifiers must trust.
    pub fn public(&self) -> PublicKey {
        self.root.public()
    }

    /// Signs `grant` with the root key and returns the capability, which is valid from `now`. It needs no network and
    /// no store.
    ///
    /// # Errors
    ///
    /// [`MintError`] names what is missing, not of its form, or beyond a bound. Nothing is signed then.
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

/// A grant to be signed: what is granted, to whom, and for how long. [`Issuer::mint`] makes a capability of it.
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
    /// Begins a grant of what `subject` may do, a name with a `:` such as `user:alice`. It needs a scope and a holder
    /// (or [`Grant::unbound`]). By default it lives for one hour and allows eight hops.
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

    /// Grants the operations that the [`Scope`] `scope` covers, such as `tools:call:*`. Call it again for more scopes.
    /// The text is checked by [`Issuer::mint`].
    pub fn scope(mut self, scope: impl Into<String>) -> Grant {
        self.scopes.push(scope.into());
        self
    }

    /// Allows use at the server called `audience`. Call it again for more servers. Without an audience the grant is
    /// good for any; a hop or the presentation then names one.
    pub fn audience(mut self, audience: impl Into<String>) -> Grant {
        self.audiences.push(audience.into());
        self
    }

    /// States a fact about the subject that policies may read: the predicate `name` with these terms.
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

    /// States a fact about the subject that policies may read, written in Datalog: `role("editor")`.
    ///
    /// [`Issuer::mint`] refuses what is not one fact without variables, and a name that Hardtack gives a meaning.
    pub fn fact_datalog(mut self, fact: impl Into<String>) -> Grant {
        self.facts.push(Said::Datalog(fact.into()));
        self
    }

    /// Adds a condition on the arguments of every call: a [`Constraint`](crate::Constraint) such as `amount <= 100`, or
    /// `no other arguments`. Call it again for more; all of them must hold.
    pub fn allow(mut self, constraint: impl ToString) -> Grant {
        self.allowances.push(constraint.to_string());
        self
    }

    /// Binds the token to the key `holder`: only whoever has its private half can delegate or present the token. The
    /// root key is refused ([`MintError::HolderIsRoot`]).
    pub fn holder(mut self, holder: PublicKey) -> Grant {
        self.holder = Some(holder);
        self
    }

    /// Makes a new key, binds the token to it, and returns the grant and the private key. Whoever gets the token needs
    /// that key.
    pub fn new_holder(self) -> (Grant, PrivateKey) {
        let key = PrivateKey::generate();
        (self.holder(key.public()), key)
    }

    /// Binds the token to nobody, so that whoever has it may use it. Verifiers refuse such a token unless
    /// [`accept_unbound_hops`](crate::Verifier::accept_unbound_hops) was called.
    pub fn unbound(mut self) -> Grant {
        self.unbound = true;
        self
    }

    /// Sets how long the grant lives, from the moment of minting: whole seconds, at least one, at most
    /// [`Issuer::longest_life`]. The default is one hour.
    pub fn ttl(mut self, ttl: Duration) -> Grant {
        self.ttl = Some(ttl);
        self
    }

    /// Sets how many hops may follow the grant: 0 to 13. The default is eight.
    pub fn max_depth(mut self, hops: u8) -> Grant {
        self.max_depth = hops;
        self
    }
}

/// A term of a fact: a text, an integer, a `bool` or a moment ([`Timestamp`]).
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

/// The error of a grant that cannot be minted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// The subject's or an audience's name is not of its form.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A scope is not of its form.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The grant has no scope.
    #[error("a grant needs at least one scope, such as tools:call:*")]
    NoScope,
    /// The grant names no holder, and [`Grant::unbound`] was not called.
    #[error("a grant is bound to a holder's key; name it, or say by name that it is unbound")]
    NoHolder,
    /// The holder is the root's own key.
    #[error("the holder may not be the root key itself; make the holder a key of its own")]
    HolderIsRoot,
    /// The grant asks for more hops than the profile allows, 13.
    #[error("a grant allows at most {MAX_DEPTH} hops")]
    Depth,
    /// The life is not in whole seconds, or longer than the issuer gives.
    #[error(transparent)]
    Life(#[from] LifeError),
    /// A fact cannot be read, or its name is reserved.
    #[error(transparent)]
    Fact(#[from] DatalogError),
    /// A constraint cannot be read.
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
    /// Every verifier would refuse the token: it is not of the profile's shape, or too costly to evaluate.
    #[error("every verifier would refuse the result")]
    Shape(#[from] ShapeError),
    /// Biscuit does not take the root key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Biscuit could not write or sign the block.
    #[error("the grant cannot be written as a Biscuit block")]
    Biscuit,
}

impl MintError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
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
