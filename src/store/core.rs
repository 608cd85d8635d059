//! Core: what each job comes to, decided in memory before anything is written.
//!
//! Holds the edge of the log (the frontier of its Merkle tree), and what is in the journal and not yet in the database.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::audit::{
    AuditEvent, AuditRecord, Claim, Frontier, LeafHash, LedgerEntry, Recorded, SeenBlock, SingleUse,
};
use crate::chain::{Chain, RevocationId};
use crate::keys::PublicKey;
use crate::profile::Lifetimes;
use crate::revocation::{
    Earlier, REQUESTS_KEPT, Receipt, RequestId, Revocation, RevocationEntry, Revocations, Revoking,
};
use crate::store::StoreError;
use crate::store::clock::{Clock, Moments};
use crate::store::engine::Engine;
use crate::store::journal::Journal;
use crate::store::requests::{Requests, digest_of};
use crate::store::schema::{Answered, Effect, Entry, State, decode};
use crate::timestamp::Timestamp;

/// The most blocks of chains that are remembered: whoever holds a token can make as many hops as it
/// likes, and must not fill the disk with them. About 600 bytes each.
pub(super) const MAX_SEEN: u64 = 1_000_000;

/// As many bytes as the text of most records has: what it grows to by doubling is copied four times.
const USUAL_RECORD_BYTES: usize = 2048;

/// The store's memory; whoever writes holds its lock.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) journal: Journal,
    pub(super) frontier: Frontier,
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
    /// Those before them that are being written to the journal, while nobody has the store's memory.
    pub(super) in_flight: Arc<Vec<Entry>>,
    /// About how many bytes those take in a frame.
    pub(super) in_flight_bytes: usize,
    /// The thread that writes was called for those that wait.
    pub(super) called: bool,
    /// A write to the database that failed, and may be there nevertheless. Until that is known, nothing
    /// more is recorded.
    pub(super) doubtful: Option<Vec<Entry>>,
    /// About how many bytes those that are unwritten take in a frame.
    pub(super) unwritten_bytes: usize,
    /// The store was closed: nothing more is recorded.
    pub(super) closed: bool,
    /// In the journal's segment in use.
    pub(super) pending: Vec<Entry>,
    /// In the journal's other segment, on the way into the database.
    pub(super) folding: Arc<Vec<Entry>>,
    /// The presentations among all those.
    pub(super) recent: HashMap<RevocationId, Timestamp, ahash::RandomState>,
    /// The requests to revoke that were answered, among all those.
    pub(super) answered: Requests,
    /// What was before the batch that is being recorded.
    before: Option<Before>,
    /// The last record that is in the journal or the database.
    pub(super) written: LeafHash,
    /// The blocks that are remembered, by a part of their ids.
    pub(super) seen: HashSet<[u8; 16], ahash::RandomState>,
}

/// What must be so again, if a batch cannot be recorded.
#[derive(Debug)]
struct Before {
    frontier: Frontier,
    /// The presentations and blocks that were kept in mind since.
    noted: Vec<Noted>,
}

#[derive(Debug)]
enum Noted {
    Presentation(RevocationId),
    Block([u8; 16]),
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
pub(super) struct RecordJob {
    pub(super) entry: LedgerEntry,
    pub(super) source: TimeSource,
}

/// Revocations that somebody asks for.
#[derive(Debug)]
pub(super) struct Revoke {
    pub(super) revoking: Vec<Revoking>,
    pub(super) request: Option<RequestId>,
    pub(super) now: Timestamp,
}

/// What a commit revokes and is not in force yet.
pub(super) type Fresh = HashMap<Revocation, Earlier>;

impl Core {
    pub(super) fn new(journal: Journal, frontier: Frontier, state: &State) -> Core {
        Core {
            journal,
            written: frontier.last(),
            frontier,
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
            in_flight: Arc::default(),
            in_flight_bytes: 0,
            called: false,
            doubtful: None,
            before: None,
            unwritten_bytes: 0,
            closed: false,
            pending: Vec::new(),
            folding: Arc::default(),
            recent: HashMap::default(),
            answered: Requests::default(),
            seen: HashSet::default(),
        }
    }

    /// What is recorded from now on stands only with [`Core::stand`].
    pub(super) fn begin(&mut self) {
        self.before = Some(Before { frontier: self.frontier.clone(), noted: Vec::new() });
    }

    /// What was recorded since [`Core::begin`] is on disk, or may be lost.
    pub(super) fn stand(&mut self) {
        self.before = None;
        self.answered.stand();
    }

    /// What was recorded since [`Core::begin`] never was, and nothing of it is kept in mind: whoever asks for it again must not
    /// hear that it is done.
    pub(super) fn take_back(&mut self) {
        let Some(Before { frontier, noted }) = self.before.take() else { return };
        self.frontier = frontier;
        self.answered.take_back(self.frontier.size());
        for noted in noted {
            match noted {
                Noted::Presentation(id) => drop(self.recent.remove(&id)),
                Noted::Block(short) => drop(self.seen.remove(&short)),
            }
        }
    }

    /// A panic in the middle of a batch has answered nobody.
    pub(super) fn recover_from_panic(&mut self) {
        self.take_back();
    }

    /// Takes over an entry that is in the journal already: in the segment in use, or in the other one.
    pub(super) fn replay(&mut self, entry: Entry, in_other: bool) -> Result<(), StoreError> {
        self.frontier.push(LeafHash::of(&entry.json))?;
        self.written = self.frontier.last();
        self.learn_from(&entry)?;
        self.note(&entry.effects);
        match in_other {
            true => Arc::make_mut(&mut self.folding).push(entry),
            false => self.pending.push(entry),
        }
        Ok(())
    }

    /// How long a call-bound presentation lives whose claim the journal holds.
    fn learn_from(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let accepted = entry.effects.iter().find_map(|effect| match effect {
            Effect::Accept { expires, .. } => Some(*expires),
            _ => None,
        });
        let Some(expires) = accepted else { return Ok(()) };
        let record: AuditRecord = decode(&entry.json, "record", entry.sequence)?;
        self.learn_life(expires, record.time);
        Ok(())
    }

    /// A presentation that is used up at `now` lives at least until it expires. Verifiers tell the source of their revocations how
    /// long presentations live, which need not be this store; and after a restoration it must be known.
    pub(super) fn learn_life(&mut self, expires: Timestamp, now: Timestamp) {
        self.longest_call = self.longest_call.max(expires.since(now));
    }

    /// Records an event.
    pub(super) fn append(
        &mut self,
        time: Timestamp,
        event: AuditEvent,
        effects: Vec<Effect>,
    ) -> Result<Entry, StoreError> {
        let sequence = self.next();
        let record = AuditRecord { sequence, time, previous: self.frontier.last(), event };
        let mut json = Vec::with_capacity(USUAL_RECORD_BYTES);
        serde_json::to_writer(&mut json, &record)
            .map_err(|error| StoreError::Engine(error.to_string()))?;
        let hashes = self.frontier.push(LeafHash::of(&json))?;
        Ok(Entry { sequence, hashes, json, effects })
    }

    /// Claims the presentation, records the decision and remembers the chain.
    pub(super) fn record(
        &mut self,
        RecordJob { entry, source }: RecordJob,
        engine: &Engine,
    ) -> Result<(Entry, Recorded), StoreError> {
        let (time, sequence) = (entry.time(), self.next());
        self.observe(time, source);
        let mut effects = Vec::new();
        let mut claim = Claim::First;
        if let Some(once) = entry.once() {
            self.learn_life(once.expires, time);
            if self.was_accepted(once, engine)? {
                claim = Claim::Again;
            } else {
                effects.push(Effect::Accept { id: once.id, expires: once.expires });
            }
        }
        if let Some(verified) = entry.verified() {
            self.see(verified.chain(), verified.root(), &mut effects);
        }
        let decision = entry.decided(claim);
        let entry = self.append(time, AuditEvent::Decision(Box::new(decision)), effects)?;
        self.note(&entry.effects);
        Ok((entry, Recorded::of(claim, sequence)))
    }

    /// Records a revocation, if it is not in force already for as long, or among the `fresh` ones of the
    /// same commit.
    fn revoke(
        &mut self,
        revoking: &Revoking,
        now: Timestamp,
        known: &Revocations,
        fresh: &mut Fresh,
    ) -> Result<(Option<Entry>, Receipt), StoreError> {
        let moment = self.clock.base(now);
        let life = self.longest_life.max(known.longest_life());
        let before = fresh.get(&revoking.revocation).copied();
        let before = before.or_else(|| {
            let (kept, since) = known.find(&revoking.revocation)?;
            Some(Earlier { sequence: kept.sequence, revoked: since, expires: kept.expires })
        });
        let Some(notice) = revoking.against(before, moment, life) else {
            let sequence = before.map_or(0, |before| before.sequence);
            return Ok((None, Receipt::AlreadyRevoked { sequence }));
        };
        let sequence = self.next();
        let made = Earlier { sequence, revoked: moment, expires: notice.expires };
        fresh.insert(revoking.revocation.clone(), made);
        let effect = Effect::Revoke(RevocationEntry { sequence, notice: notice.clone() });
        let entry = self.append(now, AuditEvent::Revocation(notice), vec![effect])?;
        Ok((Some(entry), Receipt::Revoked { sequence }))
    }

    /// Records these revocations; under a request that was answered before, answers it again.
    pub(super) fn revoke_all(
        &mut self,
        Revoke { revoking, request, now }: &Revoke,
        known: &Revocations,
        fresh: &mut Fresh,
        engine: &Engine,
    ) -> Result<(Vec<Entry>, Vec<Receipt>), StoreError> {
        self.observe(*now, TimeSource::Clock);
        let moment = self.clock.base(*now);
        let asked = request.map(|request| (request, digest_of(revoking)));
        if let Some((request, asked)) = &asked
            && let Some(answered) = self.answered.find(request, moment, engine)?
        {
            return answered.again(request, asked).map(|receipts| (Vec::new(), receipts));
        }
        let (mut entries, mut receipts) = (Vec::new(), Vec::with_capacity(revoking.len()));
        for revoking in revoking {
            let (entry, receipt) = self.revoke(revoking, *now, known, fresh)?;
            entries.extend(entry);
            receipts.push(receipt);
        }
        if let Some((request, asked)) = asked {
            let answered = Answered::of(asked, &receipts, moment + REQUESTS_KEPT);
            match entries.last_mut() {
                Some(last) => {
                    self.answered.begin(request, answered.clone(), true);
                    last.effects.push(Effect::Answer { request, answered });
                }
                None => self.answered.begin(request, answered, false),
            }
        }
        Ok((entries, receipts))
    }

    /// The database has everything.
    pub(super) fn all_is_folded(&mut self) {
        self.written = self.frontier.last();
        self.unwritten.clear();
        self.unwritten_bytes = 0;
        self.pending.clear();
        self.folding = Arc::default();
        self.recent.clear();
        self.answered.all_is_taken_over();
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
        self.frontier.size() + 1
    }

    /// Everything that is answered and not in the database, in order.
    pub(super) fn unfolded(&self) -> impl Iterator<Item = &Entry> {
        self.folding.iter().chain(&self.pending).chain(&*self.in_flight).chain(&self.unwritten)
    }

    pub(super) fn was_accepted(
        &self,
        once: &SingleUse,
        engine: &Engine,
    ) -> Result<bool, StoreError> {
        Ok(self.recent.contains_key(&once.id)
            || self.forgotten_presentations.contains(once.expires)
            || engine.has_accepted(&once.id, once.expires)?)
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
        let blocks = SeenBlock::all_of(chain, root, self.next());
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
            let mut noted = None;
            match effect {
                Effect::Accept { id, expires } => {
                    self.recent.insert(*id, *expires);
                    noted = Some(Noted::Presentation(*id));
                }
                Effect::See(block) => {
                    let short = short(&block.id);
                    noted = self.seen.insert(short).then_some(Noted::Block(short));
                }
                Effect::Answer { .. } => self.answered.note(std::slice::from_ref(effect)),
                // Comes into force only once it is on disk.
                Effect::Revoke(_) | Effect::Forget => {}
            }
            if let Some(before) = &mut self.before {
                before.noted.extend(noted);
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
