//! Revocation: what is revoked, and the question that the verifier asks.
//!
//! Any revoked ancestor kills everything below it, since every block of a chain is asked about.
//! Where the answers are kept is [`store`](crate::store)'s business, or yours: the verifier takes any
//! [`RevocationSource`].

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::chain::{Chain, RevocationId};
use crate::keys::PublicKey;
use crate::names::{self, NameError};
use crate::profile::CLOCK_SKEW;
use crate::timestamp::Timestamp;

/// What can be revoked. `docs/profile.md` says for each who can still get around it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

impl Revocation {
    /// Whether it loses its object with time. An id stands for one block, and a subject's revocation
    /// for grants up to its moment: once all those have expired, it may be forgotten. A key or a name
    /// may stand in a token that is made tomorrow, so that their revocations are kept for good.
    pub fn expires(&self) -> bool {
        match self {
            Revocation::Id { .. } | Revocation::Subject { .. } => true,
            Revocation::Holder { .. } | Revocation::Agent { .. } => false,
        }
    }
}

/// What somebody asks to be revoked: what, who and why. The moment and how long it is kept are the
/// store's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoking {
    pub(crate) revocation: Revocation,
    pub(crate) by: String,
    pub(crate) reason: String,
}

impl Revoking {
    /// Asks for a revocation, in the name of `by`, for a reason.
    ///
    /// # Errors
    ///
    /// [`NameError`] for a name that could never match, and for a `by` or reason that is empty, longer
    /// than 256 bytes or does not print.
    pub fn new(
        revocation: Revocation,
        by: impl Into<String>,
        reason: impl Into<String>,
    ) -> Result<Revoking, NameError> {
        let revoking = Revoking { revocation, by: by.into(), reason: reason.into() };
        revoking.revocation.check()?;
        names::check_reason(&revoking.by)?;
        names::check_reason(&revoking.reason)?;
        Ok(revoking)
    }
}

/// A revocation as its record has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RevocationNotice {
    /// What is revoked.
    #[serde(flatten)]
    pub revocation: Revocation,
    /// Since when; a subject's grants that were issued up to a minute later are covered.
    pub revoked: Timestamp,
    /// When no live token can hold it any more; `None` where one always could.
    pub expires: Option<Timestamp>,
    /// Who revoked.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The record of an earlier revocation of the same that this one prolongs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prolongs: Option<u64>,
}

/// A revocation that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RevocationEntry {
    /// The number of its record.
    pub sequence: u64,
    /// What, since when, until when, by whom and why.
    #[serde(flatten)]
    pub notice: RevocationNotice,
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
    /// It may be revoked: the grant is so old that its revocation would have been forgotten. Does not
    /// happen while clocks are right, since such a grant has expired.
    Forgotten,
}

impl fmt::Display for RevokedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RevokedBy::Id => "its id",
            RevokedBy::Subject => "its subject",
            RevokedBy::Holder => "its holder's key",
            RevokedBy::Agent => "its agent's name",
            RevokedBy::Forgotten => "what may have been forgotten since it was issued",
        })
    }
}

/// The source cannot say what is revoked. The verifier then refuses as undecided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the revocation source cannot answer: {0}")]
pub struct RevocationsUnavailable(pub String);

/// How well a source knows what is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// It is where revocations are made.
    Live,
    /// It is a copy, made at this moment.
    AsOf(Timestamp),
}

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

    /// How fresh the answers are. A copy that is older than the verifier's bound leaves every chain in
    /// which nothing is revoked undecided.
    fn knowledge(&self) -> Knowledge;

    /// The verifier accepts grants with lives up to this: what covers them is not to be forgotten
    /// earlier. Forgetting too early is not unsafe ([`RevokedBy::Forgotten`]), but refuses what is not
    /// revoked.
    fn keep_for(&self, longest_life: Duration) {
        let _ = longest_life;
    }
}

impl<S: RevocationSource + ?Sized> RevocationSource for Arc<S> {
    fn revoked(
        &self,
        chain: &Chain,
        root: &PublicKey,
    ) -> Result<Option<Revoked>, RevocationsUnavailable> {
        (**self).revoked(chain, root)
    }

    fn knowledge(&self) -> Knowledge {
        (**self).knowledge()
    }

    fn keep_for(&self, longest_life: Duration) {
        (**self).keep_for(longest_life);
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

    fn knowledge(&self) -> Knowledge {
        Knowledge::Live
    }
}

/// Revocations in memory: a handle to one shared set. A [`Store`](crate::store::Store) keeps one true
/// to what it has written; without a store, fill it from a list and say as of when it is true
/// ([`Revocations::copied`]).
#[derive(Debug, Clone)]
pub struct Revocations(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    set: RwLock<RevocationSet>,
    /// In seconds; 0 until a verifier says.
    longest_life: AtomicU64,
}

/// Where a revocation is kept and how long, for whoever keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) sequence: u64,
    pub(crate) expires: Option<Timestamp>,
}

/// An id as the set holds it: the first half of a signature's point. Who would make another signature
/// that begins alike must find a 128-bit collision, and would revoke one more token with it, not one less.
type ShortId = [u8; 16];

type Set<K, V> = HashMap<K, V, ahash::RandomState>;

#[derive(Debug, Default)]
struct RevocationSet {
    /// The hash is keyed anew in each process: ids are chosen by agents.
    ids: Set<ShortId, (u64, u64)>,
    subjects: Set<(String, Option<[u8; 32]>), (Timestamp, Kept)>,
    holders: Set<PublicKey, Kept>,
    agents: Set<String, Kept>,
    forgotten_until: Option<Timestamp>,
    knowledge: Source,
}

/// Where the set's knowledge comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Source {
    /// A store that is open.
    #[default]
    Store,
    /// A store that was closed: what is revoked since is not known.
    Closed,
    /// A list.
    CopiedAt(Timestamp),
}

impl Revocations {
    /// A set that a store keeps.
    pub(crate) fn of_store() -> Revocations {
        let set = RwLock::new(RevocationSet::default());
        Revocations(Arc::new(Shared { set, longest_life: AtomicU64::new(0) }))
    }

    /// A set with these revocations, as of a moment: a copy of another server's list, say.
    pub fn copied<'a>(
        entries: impl IntoIterator<Item = &'a RevocationEntry>,
        as_of: Timestamp,
    ) -> Revocations {
        let revocations = Revocations::of_store();
        revocations.renew(entries, as_of);
        revocations
    }

    /// Adds what a newer copy of the list has. A list that is older than the last is refused: it
    /// knows less.
    pub fn renew<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a RevocationEntry>,
        as_of: Timestamp,
    ) {
        let mut set = self.write();
        entries.into_iter().for_each(|entry| set.add(entry));
        set.knowledge = match set.knowledge {
            Source::CopiedAt(before) => Source::CopiedAt(before.max(as_of)),
            _ => Source::CopiedAt(as_of),
        };
    }

    /// The store that keeps it adds what it has written.
    pub(crate) fn add_all<'a>(&self, entries: impl IntoIterator<Item = &'a RevocationEntry>) {
        let mut set = self.write();
        entries.into_iter().for_each(|entry| set.add(entry));
    }

    /// The store that keeps it forgets: from now on, chains whose grant was issued up to `until` are
    /// refused.
    pub(crate) fn forget<'a>(
        &self,
        entries: impl IntoIterator<Item = (&'a Revocation, u64)>,
        until: Option<Timestamp>,
    ) {
        let mut set = self.write();
        set.forgotten_until = set.forgotten_until.max(until);
        entries.into_iter().for_each(|(revocation, sequence)| set.remove(revocation, sequence));
    }

    /// The store that keeps it was closed.
    pub(crate) fn close(&self) {
        self.write().knowledge = Source::Closed;
    }

    /// Whether the same is revoked already, and until when that is kept.
    pub(crate) fn find(&self, revocation: &Revocation) -> Option<(Kept, Timestamp)> {
        self.read().kept(revocation)
    }

    /// The longest life of a grant that a verifier says it accepts.
    pub(crate) fn longest_life(&self) -> Duration {
        Duration::from_secs(self.0.longest_life.load(Ordering::Relaxed))
    }

    /// Whether the block with this id is revoked by it. For lookups outside a verifier; it says nothing
    /// of what the block's subject, holder or ancestors are.
    pub fn contains(&self, id: &RevocationId) -> bool {
        self.read().ids.contains_key(&short(id))
    }

    // A set that a panic interrupted has lost nothing: each addition is one insertion.
    fn read(&self) -> std::sync::RwLockReadGuard<'_, RevocationSet> {
        self.0.set.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, RevocationSet> {
        self.0.set.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl RevocationSource for Revocations {
    fn revoked(
        &self,
        chain: &Chain,
        root: &PublicKey,
    ) -> Result<Option<Revoked>, RevocationsUnavailable> {
        let set = self.read();
        match set.knowledge {
            Source::Closed => Err(RevocationsUnavailable("its store was closed".to_owned())),
            Source::Store | Source::CopiedAt(_) => Ok(set.revoked(chain, root)),
        }
    }

    fn knowledge(&self) -> Knowledge {
        match self.read().knowledge {
            Source::Store | Source::Closed => Knowledge::Live,
            Source::CopiedAt(moment) => Knowledge::AsOf(moment),
        }
    }

    fn keep_for(&self, longest_life: Duration) {
        self.0.longest_life.fetch_max(longest_life.as_secs(), Ordering::Relaxed);
    }
}

fn short(id: &RevocationId) -> ShortId {
    let mut short = ShortId::default();
    short.copy_from_slice(&id.as_bytes()[..16]);
    short
}

fn subject_key(subject: &str, root: Option<PublicKey>) -> (String, Option<[u8; 32]>) {
    (subject.to_owned(), root.map(|root| root.to_bytes()))
}

impl RevocationSet {
    fn add(&mut self, entry: &RevocationEntry) {
        let RevocationEntry { sequence, notice } = entry;
        let kept = Kept { sequence: *sequence, expires: notice.expires };
        match &notice.revocation {
            Revocation::Id { id } => {
                let expires = notice.expires.unwrap_or(Timestamp::MAX).unix_seconds();
                self.ids.insert(short(id), (kept.sequence, expires));
            }
            Revocation::Subject { subject, root } => {
                let entry = self.subjects.entry(subject_key(subject, *root));
                let (moment, last) = entry.or_insert((notice.revoked, kept));
                *moment = notice.revoked.max(*moment);
                *last = kept;
            }
            Revocation::Holder { key } => {
                self.holders.insert(*key, kept);
            }
            Revocation::Agent { agent } => {
                self.agents.insert(agent.clone(), kept);
            }
        }
    }

    /// Removes it if it is the one with this number, and no later one of the same.
    fn remove(&mut self, revocation: &Revocation, sequence: u64) {
        if self.kept(revocation).is_none_or(|(kept, _)| kept.sequence != sequence) {
            return;
        }
        match revocation {
            Revocation::Id { id } => drop(self.ids.remove(&short(id))),
            Revocation::Subject { subject, root } => {
                self.subjects.remove(&subject_key(subject, *root));
            }
            Revocation::Holder { key } => drop(self.holders.remove(key)),
            Revocation::Agent { agent } => drop(self.agents.remove(agent)),
        }
    }

    /// Where it is kept, and since when it is revoked (for subjects).
    fn kept(&self, revocation: &Revocation) -> Option<(Kept, Timestamp)> {
        let always = |kept: &Kept| (*kept, Timestamp::default());
        match revocation {
            Revocation::Id { id } => self.ids.get(&short(id)).map(|(sequence, expires)| {
                let expires = Some(Timestamp::from_unix_seconds(*expires));
                always(&Kept { sequence: *sequence, expires })
            }),
            Revocation::Subject { subject, root } => self
                .subjects
                .get(&subject_key(subject, *root))
                .map(|(moment, kept)| (*kept, *moment)),
            Revocation::Holder { key } => self.holders.get(key).map(always),
            Revocation::Agent { agent } => self.agents.get(agent).map(always),
        }
    }

    fn revoked(&self, chain: &Chain, root: &PublicKey) -> Option<Revoked> {
        let id = chain.signatures().find(|(_, id)| self.ids.contains_key(&short(id)));
        if let Some((block, _)) = id {
            return Some(Revoked { block, by: RevokedBy::Id });
        }
        if self.covers_subject(chain, root) {
            return Some(Revoked { block: 0, by: RevokedBy::Subject });
        }
        let holder = chain.holders().find(|(_, key)| self.holders.contains_key(key));
        if let Some((block, _)) = holder {
            return Some(Revoked { block, by: RevokedBy::Holder });
        }
        let agent = chain.agents().find(|(_, agent)| self.agents.contains_key(*agent));
        if let Some((block, _)) = agent {
            return Some(Revoked { block, by: RevokedBy::Agent });
        }
        let forgotten = self.forgotten_until.is_some_and(|until| chain.grant.issued <= until);
        forgotten.then_some(Revoked { block: 0, by: RevokedBy::Forgotten })
    }

    /// A grant issued up to a minute after the moment is covered: clocks differ, and a grant in the
    /// making when the subject was revoked must not slip through.
    fn covers_subject(&self, chain: &Chain, root: &PublicKey) -> bool {
        if self.subjects.is_empty() {
            return false;
        }
        let roots = [None, Some(*root)];
        let keys = roots.map(|root| subject_key(&chain.grant.subject, root));
        let moments = keys.iter().filter_map(|key| self.subjects.get(key));
        let last = moments.map(|(moment, _)| *moment).max();
        last.is_some_and(|moment| chain.grant.issued <= moment + CLOCK_SKEW)
    }
}
