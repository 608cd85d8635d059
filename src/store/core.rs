//! Core: what each job comes to, decided in memory before anything is written.
//!
//! Holds the edge of the log, and what is in the journal and not yet in the database.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::audit::{
    AuditEvent, AuditRecord, Decision, Edge, LeafHash, Once, Settlement, refused_as_replayed,
};
use crate::chain::{Chain, RevocationId};
use crate::keys::PublicKey;
use crate::profile::Lifetimes;
use crate::revocation::{
    Kept, Revocation, RevocationEntry, RevocationNotice, Revocations, Revoking,
};
use crate::store::StoreError;
use crate::store::clock::{Clock, GRACE, Moments};
use crate::store::engine::Engine;
use crate::store::journal::Journal;
use crate::store::schema::{Effect, Entry, SeenBlock, State, encode};
use crate::timestamp::Timestamp;
use crate::verify::VerifiedCapability;

/// The most blocks of chains that are remembered: whoever holds a token can make as many hops as it
/// likes, and must not fill the disk with them. About 600 bytes each.
pub(super) const MAX_SEEN: u64 = 1_000_000;

/// The store's memory; whoever writes holds its lock.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) journal: Journal,
    pub(super) edge: Edge,
    pub(super) clock: Clock,
    /// The latest time that was told since the store was opened, for forgetting presentations.
    pub(super) latest: Option<Timestamp>,
    pub(super) epoch: u64,
    pub(super) longest_life: Duration,
    pub(super) longest_call: Duration,
    pub(super) forgotten_until: Option<Timestamp>,
    pub(super) forgotten_presentations: Moments,
    pub(super) unseen: u64,
    /// Answered, and not yet written to the journal: decisions of guards that may lose a few.
    pub(super) unwritten: Vec<Entry>,
    /// A write to the database that failed, and may be there nevertheless. Until that is known, nothing
    /// more is recorded.
    pub(super) doubtful: Option<Vec<Entry>>,
    /// About how many bytes those take in a frame.
    pub(super) unwritten_bytes: usize,
    /// The store was closed: nothing more is recorded.
    pub(super) closed: bool,
    /// In the journal's segment in use.
    pub(super) pending: Vec<Entry>,
    /// In the journal's other segment, on the way into the database.
    pub(super) folding: Arc<Vec<Entry>>,
    /// The presentations among all those.
    pub(super) recent: HashMap<RevocationId, Timestamp, ahash::RandomState>,
    /// The edge before a batch that is being recorded.
    interrupted: Option<Edge>,
    /// The last record that is in the journal or the database.
    pub(super) written: LeafHash,
    /// The blocks that are remembered, by a part of their ids.
    pub(super) seen: HashSet<[u8; 16], ahash::RandomState>,
}

/// Whether a time that comes with a job is the clock's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeSource {
    /// It is.
    Clock,
    /// Somebody asks what would be decided then.
    Supposed,
}

/// A decision to be recorded.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) decision: Decision,
    pub(super) once: Option<Once>,
    /// The token, if the whole of it holds.
    pub(super) verified: Option<VerifiedCapability>,
    pub(super) source: TimeSource,
    /// It allows a revocation, and may be written where only revocations may.
    pub(super) allows_revocation: bool,
}

/// Where a revocation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It is in force now, under this record.
    Revoked {
        /// The record's number.
        sequence: u64,
    },
    /// It was in force already; nothing was written.
    AlreadyRevoked {
        /// The number of the record that put it in force.
        sequence: u64,
    },
}

impl Receipt {
    /// The record by which it is in force.
    pub fn sequence(self) -> u64 {
        match self {
            Receipt::Revoked { sequence } | Receipt::AlreadyRevoked { sequence } => sequence,
        }
    }
}

impl Core {
    pub(super) fn new(journal: Journal, edge: Edge, state: &State) -> Core {
        Core {
            journal,
            written: edge.last(),
            edge,
            clock: state.clock,
            latest: None,
            epoch: state.epoch,
            longest_life: Duration::from_secs(state.longest_life_seconds)
                .max(Lifetimes::default().grant),
            longest_call: Duration::from_secs(state.longest_call_seconds)
                .max(Lifetimes::default().call),
            forgotten_until: state.forgotten_until,
            forgotten_presentations: state.forgotten_presentations.clone(),
            unseen: state.unseen,
            unwritten: Vec::new(),
            doubtful: None,
            interrupted: None,
            unwritten_bytes: 0,
            closed: false,
            pending: Vec::new(),
            folding: Arc::default(),
            recent: HashMap::default(),
            seen: HashSet::default(),
        }
    }

    /// What is recorded from now on stands only with [`Core::end`].
    pub(super) fn begin(&mut self) {
        self.interrupted = Some(self.edge.clone());
    }

    /// What was recorded stands, or was taken back.
    pub(super) fn end(&mut self) {
        self.interrupted = None;
    }

    /// A panic in the middle of a batch has answered nobody: what it had recorded never was. What it
    /// noted stays noted, which can only refuse.
    pub(super) fn recover_from_panic(&mut self) {
        if let Some(before) = self.interrupted.take() {
            self.edge = before;
        }
    }

    /// Takes over an entry that is in the journal already: in the segment in use, or in the other one.
    pub(super) fn replay(&mut self, entry: Entry, in_other: bool) -> Result<(), StoreError> {
        self.edge.push(LeafHash::of(&entry.json))?;
        self.written = self.edge.last();
        self.note(&entry.effects);
        match in_other {
            true => Arc::make_mut(&mut self.folding).push(entry),
            false => self.pending.push(entry),
        }
        Ok(())
    }

    /// Records an event.
    pub(super) fn record(
        &mut self,
        time: Timestamp,
        event: AuditEvent,
        effects: Vec<Effect>,
    ) -> Result<Entry, StoreError> {
        let sequence = self.next();
        let record = AuditRecord { sequence, time, previous: self.edge.last(), event };
        let json = encode(&record)?;
        let hashes = self.edge.push(LeafHash::of(&json))?;
        Ok(Entry { sequence, hashes, json, effects })
    }

    /// Records a decision; one on a presentation that was accepted before as refused.
    pub(super) fn settle(
        &mut self,
        settling: Settling,
        engine: &Engine,
    ) -> Result<(Entry, Settlement), StoreError> {
        let Settling { mut decision, once, verified, source, .. } = settling;
        let (time, sequence) = (decision.time, self.next());
        self.observe(time, source);
        let mut effects = Vec::new();
        let mut settlement = Settlement::Recorded { sequence };
        if let Some(once) = once {
            if self.was_accepted(once, engine)? {
                decision = refused_as_replayed(decision, once);
                settlement = Settlement::Replayed { sequence };
            } else {
                effects.push(Effect::Accept { id: once.id, expires: once.expires });
            }
        }
        if let Some(verified) = verified {
            self.see(verified.chain(), verified.root(), &mut effects);
        }
        self.note(&effects);
        let entry = self.record(time, AuditEvent::Decision(Box::new(decision)), effects)?;
        Ok((entry, settlement))
    }

    /// Records a revocation, if it is not in force already for as long, or among the `fresh` ones of the
    /// same commit.
    pub(super) fn revoke(
        &mut self,
        revoking: &Revoking,
        now: Timestamp,
        known: &Revocations,
        fresh: &mut HashMap<Revocation, (Kept, Timestamp)>,
    ) -> Result<(Option<Entry>, Receipt), StoreError> {
        let moment = self.clock.base(now);
        let life = self.longest_life.max(known.longest_life());
        let expires = revoking.revocation.expires().then(|| moment + life + GRACE);
        let before = fresh.get(&revoking.revocation).copied();
        let before = before.or_else(|| known.find(&revoking.revocation));
        if let Some((kept, since)) = before {
            // To revoke a block, a key or a name again changes nothing, unless it makes it last
            // notably longer; what ends at its moment covers grants up to this one.
            let lasts = match (kept.expires, expires) {
                (Some(kept), Some(expires)) => kept + GRACE >= expires,
                _ => true,
            };
            let covers = !revoking.revocation.ends_at_its_moment() || since >= moment;
            if lasts && covers {
                return Ok((None, Receipt::AlreadyRevoked { sequence: kept.sequence }));
            }
        }
        let sequence = self.next();
        let notice = RevocationNotice {
            revocation: revoking.revocation.clone(),
            revoked: before.map_or(moment, |(_, since)| moment.max(since)),
            expires,
            by: revoking.by.clone(),
            reason: revoking.reason.clone(),
            prolongs: before.map(|(kept, _)| kept.sequence),
        };
        let effect = Effect::Revoke(RevocationEntry { sequence, notice: notice.clone() });
        let entry = self.record(now, AuditEvent::Revocation(notice), vec![effect])?;
        fresh.insert(revoking.revocation.clone(), (Kept { sequence, expires }, moment));
        Ok((Some(entry), Receipt::Revoked { sequence }))
    }

    /// The database has everything.
    pub(super) fn all_is_folded(&mut self) {
        self.written = self.edge.last();
        self.unwritten.clear();
        self.unwritten_bytes = 0;
        self.pending.clear();
        self.folding = Arc::default();
        self.recent.clear();
        // If it cannot be begun anew, it goes on where it was.
        let _ = self.journal.restart();
    }

    pub(super) fn observe(&mut self, now: Timestamp, source: TimeSource) {
        if source == TimeSource::Clock {
            self.clock.observe(now);
            self.latest = Some(now);
        }
    }

    /// The number of the next record.
    pub(super) fn next(&self) -> u64 {
        self.edge.size() + 1
    }

    /// Everything that is answered and not in the database, in order.
    pub(super) fn unfolded(&self) -> impl Iterator<Item = &Entry> {
        self.folding.iter().chain(&self.pending).chain(&self.unwritten)
    }

    fn was_accepted(&self, once: Once, engine: &Engine) -> Result<bool, StoreError> {
        Ok(self.recent.contains_key(&once.id)
            || self.forgotten_presentations.contains(once.expires)
            || engine.has_accepted(&once.id)?)
    }

    /// The blocks of a verified chain that were not seen before. A presentation is one of many and lives
    /// for minutes; the records have it.
    fn see(&mut self, chain: &Chain, root: PublicKey, effects: &mut Vec<Effect>) {
        let ids = chain.hops.iter().map(|hop| &hop.revocation_id);
        let mut ids = std::iter::once(&chain.grant.revocation_id).chain(ids);
        // Nearly always: a chain is used more than once.
        if ids.all(|id| self.seen.contains(&short(id))) {
            return;
        }
        let (grant, seen) = (&chain.grant, self.next());
        let block = SeenBlock {
            id: grant.revocation_id,
            wrapped: None,
            parent: None,
            name: grant.subject.clone(),
            reason: None,
            holder: grant.holder,
            root,
            issued: grant.issued,
            expires: grant.expires,
            seen,
        };
        let mut parent = block.id;
        let mut blocks = vec![block];
        for hop in &chain.hops {
            blocks.push(SeenBlock {
                id: hop.revocation_id,
                wrapped: Some(hop.block_signature)
                    .filter(|signature| *signature != hop.revocation_id),
                parent: Some(parent),
                name: hop.delegate.clone(),
                reason: Some(hop.reason.clone()),
                holder: hop.holder,
                root,
                issued: grant.issued,
                expires: hop.expires,
                seen,
            });
            parent = hop.revocation_id;
        }
        for block in blocks {
            match self.seen.contains(&short(&block.id)) {
                true => {}
                false if self.seen.len() as u64 >= MAX_SEEN => self.unseen += 1,
                false => effects.push(Effect::See(block)),
            }
        }
    }

    /// Keeps in mind what entries bring that the database does not have yet.
    fn note(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Accept { id, expires } => drop(self.recent.insert(*id, *expires)),
                Effect::See(block) => drop(self.seen.insert(short(&block.id))),
                // Comes into force only once it is on disk.
                Effect::Revoke(_) => {}
            }
        }
    }

    /// Puts out of mind what could not be written.
    pub(super) fn unnote(&mut self, entries: &[Entry]) {
        for effect in entries.iter().flat_map(|entry| &entry.effects) {
            match effect {
                Effect::Accept { id, .. } => drop(self.recent.remove(id)),
                Effect::See(block) => drop(self.seen.remove(&short(&block.id))),
                Effect::Revoke(_) => {}
            }
        }
    }
}

/// A part of a signature's scalar, which its signer cannot choose.
pub(super) fn short(id: &RevocationId) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&id.as_bytes()[32..48]);
    short
}
