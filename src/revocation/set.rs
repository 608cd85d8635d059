//! Set: the revocations in memory, where every decision looks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use crate::chain::{Chain, RevocationId};
use crate::keys::PublicKey;
use crate::process::Process;
use crate::profile::{CLOCK_SKEW, Lifetimes};
use crate::revocation::{
    Knowledge, Revocation, RevocationEntry, RevocationList, RevocationSource,
    RevocationsUnavailable, Revoked, RevokedBy,
};
use crate::timestamp::Timestamp;

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
    longest_call: AtomicU64,
    /// The process whose store keeps it: a fork of that does not hear what is revoked. `None` for a copy.
    kept_by: Option<Process>,
}

/// A revocation in force, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InForce {
    /// The number of its record.
    pub(crate) sequence: u64,
    pub(crate) revocation: Revocation,
    pub(crate) revoked: Timestamp,
    pub(crate) expires: Option<Timestamp>,
}

impl From<&RevocationEntry> for InForce {
    fn from(entry: &RevocationEntry) -> InForce {
        InForce {
            sequence: entry.sequence,
            revocation: entry.notice.revocation.clone(),
            revoked: entry.notice.revoked,
            expires: entry.notice.expires,
        }
    }
}

/// Where a revocation is kept and how long, for whoever keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) sequence: u64,
    pub(crate) expires: Option<Timestamp>,
}

/// An id as the set holds it: 128 bits of a signature's scalar (RFC 8032, section 5.1.6). A signer chooses
/// the point, and can give many signatures the same; the scalar depends on what is signed, so that two that
/// are alike here must be searched for by the 2^64.
type ShortId = [u8; 16];

/// A subject, of one root or of all.
type SubjectKey = (String, Option<[u8; 32]>);

type Set<K, V> = HashMap<K, V, ahash::RandomState>;

#[derive(Debug, Default)]
struct RevocationSet {
    /// The hash is keyed anew in each process: ids are chosen by agents.
    ids: Set<ShortId, (u64, u64)>,
    subjects: Set<SubjectKey, (Timestamp, Kept)>,
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
        Revocations::kept_by(Some(Process::here()))
    }

    fn kept_by(kept_by: Option<Process>) -> Revocations {
        let set = RwLock::new(RevocationSet::default());
        let (longest_life, longest_call) = (AtomicU64::new(0), AtomicU64::new(0));
        Revocations(Arc::new(Shared { set, longest_life, longest_call, kept_by }))
    }

    /// A set that knows what a list knows: a copy of another server's, say.
    pub fn copied(list: &RevocationList) -> Revocations {
        let revocations = Revocations::kept_by(None);
        let mut set = revocations.write();
        set.knowledge = Source::CopiedAt(list.as_of);
        set.learn(list);
        drop(set);
        revocations
    }

    /// Adds what another copy of the list knows. What is known already stays known.
    ///
    /// # Errors
    ///
    /// [`NotACopy`] for a set that a store keeps: it has what the store has on disk, and nothing else.
    pub fn renew(&self, list: &RevocationList) -> Result<(), NotACopy> {
        let mut set = self.write();
        let Source::CopiedAt(before) = set.knowledge else { return Err(NotACopy) };
        set.knowledge = Source::CopiedAt(before.max(list.as_of));
        set.learn(list);
        Ok(())
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

    /// The longest life of a call-bound presentation that a verifier says it accepts.
    pub(crate) fn longest_call(&self) -> Duration {
        Duration::from_secs(self.0.longest_call.load(Ordering::Relaxed))
    }

    /// Whether one of these ids is revoked. For lookups outside a verifier; it says nothing of subjects,
    /// holders and agents.
    pub fn contains_any<'a>(&self, ids: impl IntoIterator<Item = &'a RevocationId>) -> bool {
        let set = self.read();
        ids.into_iter().any(|id| set.ids.contains_key(&short(id)))
    }

    /// Whether this id is revoked.
    pub fn contains(&self, id: &RevocationId) -> bool {
        self.contains_any([id])
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
            Source::Closed => Err(RevocationsUnavailable("its store was closed".to_owned())),
            Source::Store | Source::CopiedAt(_) => Ok(set.revoked(chain, root)),
        }
    }

    fn knowledge(&self) -> Knowledge {
        // In a fork, a thread that is not there may hold the lock; nothing is answered there anyway.
        if self.0.kept_by.is_some() {
            return Knowledge::Live;
        }
        match self.read().knowledge {
            Source::Store | Source::Closed => Knowledge::Live,
            Source::CopiedAt(moment) => Knowledge::AsOf(moment),
        }
    }

    fn keep_for(&self, lifetimes: &Lifetimes) {
        self.0.longest_life.fetch_max(lifetimes.grant.as_secs(), Ordering::Relaxed);
        self.0.longest_call.fetch_max(lifetimes.call.as_secs(), Ordering::Relaxed);
    }
}

fn short(id: &RevocationId) -> ShortId {
    let mut short = ShortId::default();
    short.copy_from_slice(&id.as_bytes()[32..48]);
    short
}

fn subject_key(subject: &str, root: Option<PublicKey>) -> SubjectKey {
    (subject.to_owned(), root.map(|root| root.to_bytes()))
}

/// A set that a store keeps was to learn from a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these revocations are a store's, and no copy; revoke at the store instead")]
pub struct NotACopy;

impl RevocationSet {
    fn learn(&mut self, list: &RevocationList) {
        list.revocations.iter().for_each(|entry| self.add(InForce::from(entry)));
        self.forgotten_until = self.forgotten_until.max(list.forgotten_until);
    }

    fn add(&mut self, entry: InForce) {
        let InForce { sequence, revocation, revoked, expires } = entry;
        let kept = Kept { sequence, expires };
        match revocation {
            Revocation::Id { id } => {
                let expires = expires.unwrap_or(Timestamp::MAX).unix_seconds();
                self.ids.insert(short(&id), (sequence, expires));
            }
            Revocation::Subject { subject, root } => {
                let root = root.map(|root| root.to_bytes());
                let (moment, last) =
                    self.subjects.entry((subject, root)).or_insert((revoked, kept));
                *moment = revoked.max(*moment);
                *last = kept;
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
        let ids = chain.signatures().filter(|(_, id)| self.ids.contains_key(&short(id)));
        // Of several blocks the first is named; they come by kind, and not in their order.
        if let Some(block) = ids.map(|(block, _)| block).min() {
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

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

    #[test]
    fn what_is_forgotten_is_the_one_with_its_number_and_no_later_one() {
        let key = crate::PrivateKey::from_bytes(&[7; 32]).public();
        let revocations = Revocations::of_store();
        for revocation in [
            Revocation::Id { id: RevocationId::from_bytes([7; 64]) },
            Revocation::Subject { subject: "user:alice".to_owned(), root: Some(key) },
            Revocation::Holder { key },
            Revocation::Agent { agent: "agent.a".to_owned() },
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
