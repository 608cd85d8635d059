//! Set: the revocations in memory (hash sets by kind), where every decision looks.

mod copying;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use crate::cause::Cause;
use crate::chain::{Chain, RevocationId};
use crate::keys::PublicKey;
use crate::process::Process;
use crate::profile::{CLOCK_SKEW, Lifetimes};
use crate::revocation::copy::{Copied, Key};
use crate::revocation::{
    InForce, Knowledge, Revocation, RevocationSource, RevocationsUnavailable, Revoked, RevokedBy,
};
use crate::timestamp::Timestamp;

/// The revocations in memory, as a handle to one shared set. A [`Store`](crate::store::Store) keeps its set true to what it has written;
/// without a store, make one from a list, which is true as of a moment ([`Revocations::copied`]).
#[derive(Debug, Clone)]
pub struct Revocations(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    set: RwLock<RevocationSet>,
    /// What a copy knows besides. Renewals take their turn here, and hold up no decision while they look.
    copy: Mutex<Copied>,
    /// In seconds; 0 until a verifier says.
    longest_life: AtomicU64,
    longest_call: AtomicU64,
    /// The process whose store keeps it: a fork of that does not hear what is revoked. `None` for a copy.
    kept_by: Option<Process>,
}

/// Where a revocation is kept and how long, for whoever keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredUntil {
    pub(crate) sequence: u64,
    pub(crate) expires: Option<Timestamp>,
}

/// An id as the set holds it: 128 bits of a signature's scalar (RFC 8032, section 5.1.6). A signer chooses
/// the point, and can give many signatures the same; the scalar depends on what is signed, so that two that
/// are alike here must be searched for by the 2^64.
pub(super) type ShortId = [u8; 16];

/// A subject, of one root or of all.
pub(super) type SubjectKey = (String, Option<[u8; 32]>);

type Set<K, V> = HashMap<K, V, ahash::RandomState>;

#[derive(Debug, Default)]
struct RevocationSet {
    /// The hash is keyed anew in each process: ids are chosen by agents.
    ids: Set<ShortId, (u64, u64)>,
    subjects: Set<SubjectKey, (Timestamp, StoredUntil)>,
    holders: Set<PublicKey, StoredUntil>,
    agents: Set<String, StoredUntil>,
    agents_until_now: Set<String, (Timestamp, StoredUntil)>,
    forgotten_until: Option<Timestamp>,
    knowledge: KnownFrom,
}

/// Where the set's knowledge comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum KnownFrom {
    /// A store that is open.
    #[default]
    Store,
    /// A store that was closed: what is revoked since is not known.
    Closed,
    /// A list.
    CopiedAt(Timestamp),
    /// A list that has not come yet: nothing is known.
    #[cfg(feature = "feed")]
    Awaited,
}

impl Revocations {
    /// A set that a store keeps.
    pub(crate) fn of_store() -> Revocations {
        Revocations::kept_by(Some(Process::here()))
    }

    fn kept_by(kept_by: Option<Process>) -> Revocations {
        let set = RwLock::new(RevocationSet::default());
        let (longest_life, longest_call) = (AtomicU64::new(0), AtomicU64::new(0));
        let copy = Mutex::default();
        Revocations(Arc::new(Shared { set, copy, longest_life, longest_call, kept_by }))
    }

    /// The store that keeps it adds what it has written.
    pub(crate) fn add_all(&self, entries: impl IntoIterator<Item = InForce>) {
        let mut entries = entries.into_iter().peekable();
        // Most commits revoke nothing, and should not keep decisions waiting.
        if entries.peek().is_none() {
            return;
        }
        let mut set = self.write();
        set.ids.reserve(entries.size_hint().0);
        entries.for_each(|entry| set.add(entry));
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
        self.write().knowledge = KnownFrom::Closed;
    }

    /// Whether the same is revoked already, and until when that is kept.
    pub(crate) fn find(&self, revocation: &Revocation) -> Option<(StoredUntil, Timestamp)> {
        self.read().kept(revocation)
    }

    /// Returns the longest life of a grant that a verifier which asks this accepts; zero if none said.
    pub fn longest_life(&self) -> Duration {
        Duration::from_secs(self.0.longest_life.load(Ordering::Relaxed))
    }

    /// The longest life of a call-bound presentation that a verifier says it accepts.
    pub(crate) fn longest_call(&self) -> Duration {
        Duration::from_secs(self.0.longest_call.load(Ordering::Relaxed))
    }

    /// Returns whether one of these ids is revoked. For lookups outside a verifier: subjects, holders and agents are not looked at. Waits
    /// for no disk.
    pub fn contains_any<'a>(&self, ids: impl IntoIterator<Item = &'a RevocationId>) -> bool {
        let set = self.read();
        ids.into_iter().any(|id| set.ids.contains_key(&short(id)))
    }

    /// Returns whether this id is revoked. Waits for no disk.
    pub fn contains(&self, id: &RevocationId) -> bool {
        self.contains_any([id])
    }

    pub(super) fn copy(&self) -> std::sync::MutexGuard<'_, Copied> {
        self.0.copy.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
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
        if let Some(process) = self.0.kept_by.filter(|process| process.is_elsewhere()) {
            return Err(RevocationsUnavailable(format!(
                "process {} has opened its store, and this process is a fork of it, which does not hear what is revoked; open the store after the fork",
                process.number()
            )));
        }
        let set = self.read();
        match set.knowledge {
            KnownFrom::Closed => Err(RevocationsUnavailable("its store was closed".to_owned())),
            #[cfg(feature = "feed")]
            KnownFrom::Awaited => {
                Err(RevocationsUnavailable("nothing came from the feed yet".to_owned()))
            }
            KnownFrom::Store | KnownFrom::CopiedAt(_) => Ok(set.revoked(chain, root)),
        }
    }

    fn knowledge(&self) -> Knowledge {
        // In a fork, a thread that is not there may hold the lock; nothing is answered there anyway.
        if self.0.kept_by.is_some() {
            return Knowledge::Live;
        }
        match self.read().knowledge {
            KnownFrom::Store | KnownFrom::Closed => Knowledge::Live,
            KnownFrom::CopiedAt(moment) => Knowledge::AsOf(moment),
            #[cfg(feature = "feed")]
            KnownFrom::Awaited => Knowledge::AsOf(Timestamp::default()),
        }
    }

    fn keep_for(&self, lifetimes: &Lifetimes) {
        self.0.longest_life.fetch_max(lifetimes.grant.as_secs(), Ordering::Relaxed);
        self.0.longest_call.fetch_max(lifetimes.call.as_secs(), Ordering::Relaxed);
    }
}

pub(super) fn short(id: &RevocationId) -> ShortId {
    let mut short = ShortId::default();
    short.copy_from_slice(&id.as_bytes()[32..48]);
    short
}

pub(super) fn subject_key(subject: &str, root: Option<PublicKey>) -> SubjectKey {
    (subject.to_owned(), root.map(|root| root.to_bytes()))
}

/// An error of [`Revocations::renew`]: a set that a store keeps takes no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these revocations are a store's, and no copy; revoke at the store instead")]
pub struct NotACopy;

impl NotACopy {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::NotACopy
    }
}

impl RevocationSet {
    fn add(&mut self, entry: InForce) {
        let InForce { sequence, revocation, revoked, expires } = entry;
        let kept = StoredUntil { sequence, expires };
        match revocation {
            Revocation::Id { id } => {
                let expires = expires.unwrap_or(Timestamp::MAX).unix_seconds();
                self.ids.insert(short(&id), (sequence, expires));
            }
            Revocation::Subject { subject, root } => {
                let root = root.map(|root| root.to_bytes());
                cover(
                    self.subjects.entry((subject, root)).or_insert((revoked, kept)),
                    revoked,
                    kept,
                );
            }
            Revocation::AgentUntilNow { agent } => {
                cover(self.agents_until_now.entry(agent).or_insert((revoked, kept)), revoked, kept);
            }
            Revocation::Holder { key } => {
                self.holders.insert(key, kept);
            }
            Revocation::Agent { agent } => {
                self.agents.insert(agent, kept);
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
            Revocation::AgentUntilNow { agent } => drop(self.agents_until_now.remove(agent)),
            Revocation::Holder { key } => drop(self.holders.remove(key)),
            Revocation::Agent { agent } => drop(self.agents.remove(agent)),
        }
    }

    /// Removes what a copy forgets.
    fn remove_copied(&mut self, key: &Key) {
        match key {
            Key::Id(id) => drop(self.ids.remove(id)),
            Key::Subject(subject) => drop(self.subjects.remove(subject)),
            Key::AgentUntilNow(agent) => drop(self.agents_until_now.remove(agent)),
        }
    }

    /// Where it is kept, and up to which moment it covers grants, where it ends there.
    fn kept(&self, revocation: &Revocation) -> Option<(StoredUntil, Timestamp)> {
        let always = |kept: &StoredUntil| (*kept, Timestamp::default());
        match revocation {
            Revocation::Id { id } => self.ids.get(&short(id)).map(|(sequence, expires)| {
                let expires = Some(Timestamp::from_unix_seconds(*expires));
                always(&StoredUntil { sequence: *sequence, expires })
            }),
            Revocation::Subject { subject, root } => self
                .subjects
                .get(&subject_key(subject, *root))
                .map(|(moment, kept)| (*kept, *moment)),
            Revocation::AgentUntilNow { agent } => {
                self.agents_until_now.get(agent).map(|(moment, kept)| (*kept, *moment))
            }
            Revocation::Holder { key } => self.holders.get(key).map(always),
            Revocation::Agent { agent } => self.agents.get(agent).map(always),
        }
    }

    fn revoked(&self, chain: &Chain, root: &PublicKey) -> Option<Revoked> {
        let ids = chain.signatures().filter(|(_, id)| self.ids.contains_key(&short(id)));
        // Of several blocks the first is named; they come by kind, and not in their order.
        if let Some(block) = ids.map(|(block, _)| block).min() {
            return Some(Revoked { block, by: RevokedBy::Id });
        }
        if let Some(until) = self.covers_subject(chain, root) {
            return Some(Revoked { block: 0, by: RevokedBy::Subject { until } });
        }
        let holder = chain.holders().find(|(_, key)| self.holders.contains_key(key));
        if let Some((block, _)) = holder {
            return Some(Revoked { block, by: RevokedBy::Holder });
        }
        let mut agents = chain.agents();
        let issued = chain.grant.issued;
        let agent =
            agents.find_map(|(block, agent)| Some((block, self.covers_agent(agent, issued)?)));
        if let Some((block, by)) = agent {
            return Some(Revoked { block, by });
        }
        let until = self.forgotten_until.filter(|until| chain.grant.issued <= *until)?;
        Some(Revoked { block: 0, by: RevokedBy::Forgotten { until } })
    }

    /// The last moment of issue that is covered, if this chain's grant is.
    fn covers_subject(&self, chain: &Chain, root: &PublicKey) -> Option<Timestamp> {
        if self.subjects.is_empty() {
            return None;
        }
        let roots = [None, Some(*root)];
        let keys = roots.map(|root| subject_key(&chain.grant.subject, root));
        let moments = keys.iter().filter_map(|key| self.subjects.get(key));
        let last = covered_until(moments.map(|(moment, _)| *moment).max()?);
        (chain.grant.issued <= last).then_some(last)
    }

    /// How an agent's name is revoked in a chain whose grant was issued at this moment, if it is.
    fn covers_agent(&self, agent: &str, issued: Timestamp) -> Option<RevokedBy> {
        if self.agents.contains_key(agent) {
            return Some(RevokedBy::Agent);
        }
        let until = covered_until(self.agents_until_now.get(agent)?.0);
        (issued <= until).then_some(RevokedBy::AgentUntilNow { until })
    }
}

/// Returns the last moment of issue that is covered by a revocation which ends at the moment `revoked`: a minute later. It is also the
/// mark that forgetting this revocation leaves. Clocks differ, and a grant in the making when it was revoked must not slip through.
pub fn covered_until(revoked: Timestamp) -> Timestamp {
    revoked + CLOCK_SKEW
}

/// What is revoked again covers no less than before.
fn cover(covered: &mut (Timestamp, StoredUntil), revoked: Timestamp, kept: StoredUntil) {
    *covered = (revoked.max(covered.0), kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

    #[test]
    fn what_is_forgotten_is_the_one_with_its_number_and_no_later_one() {
        let key = crate::keys::PrivateKey::from_bytes(&[7; 32]).public();
        let revocations = Revocations::of_store();
        for revocation in [
            Revocation::Id { id: RevocationId::from_bytes([7; 64]) },
            Revocation::Subject { subject: "user:alice".to_owned(), root: Some(key) },
            Revocation::Holder { key },
            Revocation::Agent { agent: "agent.a".to_owned() },
            Revocation::AgentUntilNow { agent: "agent.a".to_owned() },
        ] {
            let kept = || revocations.find(&revocation).map(|(kept, _)| kept.sequence);
            let add = |sequence| {
                let revocation = revocation.clone();
                revocations.add_all([InForce { sequence, revocation, revoked: AT, expires: None }]);
            };
            assert_eq!(kept(), None);
            add(1);
            add(2);
            revocations.forget([(&revocation, 1)], None);
            assert_eq!(kept(), Some(2), "{revocation}");
            revocations.forget([(&revocation, 2)], None);
            assert_eq!(kept(), None, "{revocation}");
        }
    }

    /// A chain to these agents, whose grant was issued then.
    fn chain(issued: Timestamp, agents: &[&str]) -> Chain {
        use crate::chain::{GrantBlock, Hop};
        let hop = |(index, agent): (usize, &&str)| Hop {
            index: index + 1,
            delegator: "user:alice".to_owned(),
            delegate: (*agent).to_owned(),
            scopes: Vec::new(),
            audiences: Vec::new(),
            expires: Timestamp::MAX,
            reason: "tests".to_owned(),
            holder: None,
            signer: None,
            checks: 0,
            revocation_id: RevocationId::from_bytes([index as u8; 64]),
            block_signature: RevocationId::from_bytes([index as u8; 64]),
        };
        let grant = GrantBlock {
            subject: "user:alice".to_owned(),
            scopes: Vec::new(),
            audiences: Vec::new(),
            issued,
            expires: Timestamp::MAX,
            max_depth: 8,
            holder: None,
            facts: Vec::new(),
            revocation_id: RevocationId::from_bytes([99; 64]),
        };
        let hops = agents.iter().enumerate().map(hop).collect();
        Chain { grant, hops, presentation: None, caveats: Vec::new() }
    }

    #[test]
    fn an_agent_is_stopped_until_now_and_may_be_granted_to_anew() {
        let root = crate::keys::PrivateKey::from_bytes(&[7; 32]).public();
        let revocations = Revocations::of_store();
        let add = |sequence, revocation: Revocation, revoked| {
            revocations.add_all([InForce { sequence, revocation, revoked, expires: None }]);
        };
        let until_now = || Revocation::AgentUntilNow { agent: "agent.a".to_owned() };
        let by = |seconds, agents: &[&str]| {
            let issued = Timestamp::from_unix_seconds(AT.unix_seconds() + seconds);
            let revoked = revocations.revoked(&chain(issued, agents), &root).unwrap();
            revoked.map(|revoked| (revoked.block, revoked.by))
        };
        let until = AT + CLOCK_SKEW;
        let covered = RevokedBy::AgentUntilNow { until };
        add(1, until_now(), AT);
        assert_eq!(by(0, &["agent.a"]), Some((1, covered)));
        assert_eq!(by(60, &["agent.b", "agent.a", "agent.c"]), Some((2, covered)));
        assert_eq!(by(61, &["agent.a"]), None, "a grant that was issued later");
        assert_eq!(by(0, &["agent.b", "agent.aa"]), None);
        // An earlier moment takes nothing back.
        add(2, until_now(), Timestamp::from_unix_seconds(AT.unix_seconds() - 600));
        assert_eq!(by(60, &["agent.a"]), Some((1, covered)));
        // A ban says so, and of several hops the first is named.
        add(3, Revocation::Agent { agent: "agent.b".to_owned() }, AT);
        assert_eq!(by(60, &["agent.a", "agent.b"]), Some((1, covered)));
        assert_eq!(by(600, &["agent.a", "agent.b"]), Some((2, RevokedBy::Agent)));
        // What is forgotten leaves its mark for as long as it covered.
        revocations.forget([(&until_now(), 2)], Some(until));
        assert_eq!(by(60, &["agent.a"]), Some((0, RevokedBy::Forgotten { until })));
        assert_eq!(by(61, &["agent.a"]), None);
    }

    #[test]
    fn the_longest_lives_that_verifiers_accept_are_kept() {
        let revocations = Revocations::of_store();
        let seconds = Duration::from_secs;
        for (grant, call) in [(10, 3), (5, 7), (20, 1)] {
            let lives =
                Lifetimes { grant: seconds(grant), call: seconds(call), ..Lifetimes::default() };
            revocations.keep_for(&lives);
        }
        assert_eq!(
            (revocations.longest_life(), revocations.longest_call()),
            (seconds(20), seconds(7))
        );
    }
}
