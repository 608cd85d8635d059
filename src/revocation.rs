//! Revocation: what is revoked, and the question that the verifier asks.
//!
//! Any revoked ancestor kills everything below it, since every block of a chain is asked about.
//! Where the answers are kept is [`store`](crate::store)'s business, or yours: the verifier takes any
//! [`RevocationSource`].

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, RwLock};

use serde::{Deserialize, Serialize};

use crate::chain::{Chain, RevocationId};
use crate::keys::PublicKey;
use crate::names::{self, NameError};
use crate::profile::CLOCK_SKEW;
use crate::timestamp::Timestamp;

/// What can be revoked. `docs/profile.md` says for each who can still get around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Revocation {
    /// One block, and all that stands on it. Stops an agent if it is the hop made for it.
    Id {
        /// The block's id, or the block signature by which other Biscuit verifiers know it.
        id: RevocationId,
    },
    /// Every grant for a subject that was issued up to the moment of revocation (and a minute more).
    Subject {
        /// The subject's name.
        subject: String,
        /// Of this root key only; of every root where there is none.
        root: Option<PublicKey>,
    },
    /// A holder's key, wherever a grant or hop names it.
    Holder {
        /// The public key.
        key: PublicKey,
    },
    /// An agent's name, wherever a hop names it. For people: its delegator can choose another name.
    Agent {
        /// The name.
        agent: String,
    },
}

impl Revocation {
    /// Whether the name in it is of its form; one that is not could never match.
    pub fn check(&self) -> Result<(), NameError> {
        match self {
            Revocation::Subject { subject, .. } => names::check_subject(subject),
            Revocation::Agent { agent } => names::check_agent(agent),
            Revocation::Id { .. } | Revocation::Holder { .. } => Ok(()),
        }
    }
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Revocation::Id { id } => write!(f, "id {id}"),
            Revocation::Subject { subject, root: None } => write!(f, "subject {subject}"),
            Revocation::Subject { subject, root: Some(root) } => {
                write!(f, "subject {subject} of root {root}")
            }
            Revocation::Holder { key } => write!(f, "holder {key}"),
            Revocation::Agent { agent } => write!(f, "agent {agent}"),
        }
    }
}

/// A revocation as it is kept: what, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationEntry {
    /// What is revoked.
    #[serde(flatten)]
    pub revocation: Revocation,
    /// Since when.
    pub revoked: Timestamp,
    /// Why.
    pub reason: String,
}

impl RevocationEntry {
    /// Revokes as of `revoked`, for a reason.
    ///
    /// # Errors
    ///
    /// [`NameError`] for a name that could never match, or a reason that does not print.
    pub fn new(
        revocation: Revocation,
        revoked: Timestamp,
        reason: impl Into<String>,
    ) -> Result<RevocationEntry, NameError> {
        let entry = RevocationEntry { revocation, revoked, reason: reason.into() };
        entry.check()?;
        Ok(entry)
    }

    pub(crate) fn check(&self) -> Result<(), NameError> {
        self.revocation.check()?;
        names::check_reason(&self.reason)
    }
}

/// What of a chain is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The block to which it applies: 0 is the grant.
    pub block: usize,
    /// By what.
    pub by: RevokedBy,
}

/// By what a block is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedBy {
    /// Its id.
    Id,
    /// The subject.
    Subject,
    /// The holder's key.
    Holder,
    /// The agent's name.
    Agent,
}

impl fmt::Display for RevokedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RevokedBy::Id => "its id",
            RevokedBy::Subject => "its subject",
            RevokedBy::Holder => "its holder's key",
            RevokedBy::Agent => "its agent's name",
        })
    }
}

/// The source cannot say what is revoked. The verifier then refuses as undecided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the revocation source cannot answer: {0}")]
pub struct RevocationsUnavailable(pub String);

/// Answers whether anything of a chain is revoked.
pub trait RevocationSource: Send + Sync {
    /// The first revocation that applies to this chain, whose grant `root` signed.
    ///
    /// To be asked of every chain: both signatures of every block ([`Chain::signatures`]), the
    /// subject, every holder key ([`Chain::holders`]) and every agent name ([`Chain::agents`]).
    fn revoked(
        &self,
        chain: &Chain,
        root: &PublicKey,
    ) -> Result<Option<Revoked>, RevocationsUnavailable>;
}

impl<S: RevocationSource + ?Sized> RevocationSource for Arc<S> {
    fn revoked(
        &self,
        chain: &Chain,
        root: &PublicKey,
    ) -> Result<Option<Revoked>, RevocationsUnavailable> {
        (**self).revoked(chain, root)
    }
}

/// No revocations are looked at. For trying things out and for tests: with it, nothing that was
/// delegated can be taken back before it expires.
#[derive(Debug, Clone, Copy)]
pub struct RevocationUnchecked;

impl RevocationSource for RevocationUnchecked {
    fn revoked(&self, _: &Chain, _: &PublicKey) -> Result<Option<Revoked>, RevocationsUnavailable> {
        Ok(None)
    }
}

/// Revocations in memory: a handle to one shared set. A [`Store`](crate::store::Store) fills one when
/// it is opened and adds to it what it has written.
#[derive(Debug, Clone, Default)]
pub struct Revocations(Arc<RwLock<RevocationSet>>);

#[derive(Debug, Default)]
struct RevocationSet {
    ids: HashSet<RevocationId>,
    subjects: HashMap<(String, Option<[u8; 32]>), Timestamp>,
    holders: HashSet<PublicKey>,
    agents: HashSet<String>,
}

impl Revocations {
    /// Adds one.
    pub fn add(&self, entry: &RevocationEntry) {
        // A set that a panic interrupted has lost nothing: each addition is one insertion.
        let mut set = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &entry.revocation {
            Revocation::Id { id } => {
                set.ids.insert(*id);
            }
            Revocation::Subject { subject, root } => {
                let root = root.map(|root| root.to_bytes());
                let moment = set.subjects.entry((subject.clone(), root)).or_insert(entry.revoked);
                *moment = entry.revoked.max(*moment);
            }
            Revocation::Holder { key } => {
                set.holders.insert(*key);
            }
            Revocation::Agent { agent } => {
                set.agents.insert(agent.clone());
            }
        }
    }
}

impl RevocationSource for Revocations {
    fn revoked(
        &self,
        chain: &Chain,
        root: &PublicKey,
    ) -> Result<Option<Revoked>, RevocationsUnavailable> {
        let set = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(set.find(chain, root))
    }
}

impl RevocationSet {
    fn find(&self, chain: &Chain, root: &PublicKey) -> Option<Revoked> {
        let id = chain.signatures().find(|(_, id)| self.ids.contains(id));
        if let Some((block, _)) = id {
            return Some(Revoked { block, by: RevokedBy::Id });
        }
        if self.covers_subject(chain, root) {
            return Some(Revoked { block: 0, by: RevokedBy::Subject });
        }
        let holder = chain.holders().find(|(_, key)| self.holders.contains(key));
        if let Some((block, _)) = holder {
            return Some(Revoked { block, by: RevokedBy::Holder });
        }
        let agent = chain.agents().find(|(_, agent)| self.agents.contains(*agent));
        agent.map(|(block, _)| Revoked { block, by: RevokedBy::Agent })
    }

    /// A grant issued up to a minute after the moment is covered: clocks differ, and a grant in the
    /// making when the subject was revoked must not slip through.
    fn covers_subject(&self, chain: &Chain, root: &PublicKey) -> bool {
        let roots = [None, Some(root.to_bytes())];
        let keys = roots.map(|root| (chain.grant.subject.clone(), root));
        let moments = keys.iter().filter_map(|key| self.subjects.get(key));
        moments.max().is_some_and(|moment| chain.grant.issued <= *moment + CLOCK_SKEW)
    }
}
