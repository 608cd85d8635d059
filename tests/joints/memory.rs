//! An engine of all joints in memory, as somebody writes it who has the documentation of the traits and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use hardtack::audit::{
    AuditEvent, AuditRecord, Claim, Decision, LeafHash, LedgerUnavailable, Lineage,
    LineageUnavailable, LogLine, Recording, Records, Seen, SeenBlock, SingleUse, Uses,
    UsesUnavailable,
};
use hardtack::chain::IdPrefix;
use hardtack::pending::{Pending, promise};
use hardtack::revocation::{
    Change, Earlier, Epoch, Event, Events, Position, Receipt, RequestId, RevocationEntry,
    RevocationLogError, RevocationNotice, Snapshot, covered_until,
};
use hardtack::{Lifetimes, RevocationId, RevocationLog, Revoking, Timestamp};

/// How long a used presentation is remembered after it expired.
const KEPT_AFTER_EXPIRY: Duration = Duration::from_secs(3600);

/// A step of the clock that counts as a jump.
const JUMP: Duration = Duration::from_secs(3600);

/// The most blocks that are remembered.
const MAX_SEEN: usize = 15_000;

/// An engine; clones share what is in it.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<(Mutex<Disk>, Condvar)>);

/// What is durable.
#[derive(Default)]
struct Disk {
    used: HashMap<RevocationId, Timestamp>,
    /// Whatever expires up to this moment counts as used.
    used_until: Timestamp,
    lines: Vec<LogLine>,
    seen: Vec<SeenBlock>,
    lost: u64,
    epoch: Option<Epoch>,
    events: Vec<Event>,
    in_force: BTreeMap<u64, RevocationNotice>,
    answered: HashMap<RequestId, (Vec<Revoking>, Vec<Receipt>)>,
    forgotten_until: Option<Timestamp>,
    sequence: u64,
    latest: Option<Timestamp>,
    jumped: Option<Timestamp>,
}

impl Disk {
    fn observe(&mut self, now: Timestamp) -> Timestamp {
        let latest = self.latest.unwrap_or(now);
        if now > latest && now.since(latest) > JUMP {
            self.jumped = Some(now);
        }
        let latest = latest.max(now);
        self.latest = Some(latest);
        latest
    }

    fn head(&mut self) -> Position {
        let epoch = *self.epoch.get_or_insert_with(Epoch::random);
        Position { epoch, number: self.events.len() as u64 }
    }

    fn change(&mut self, change: Change) {
        self.events.push(Event::new(self.events.len() as u64 + 1, change));
    }

    fn revoke(&mut self, revoking: &Revoking, moment: Timestamp) -> Receipt {
        let same =
            |(_, notice): &(&u64, &RevocationNotice)| notice.revocation == *revoking.revocation();
        let earlier = self.in_force.iter().find(same).map(|(sequence, notice)| Earlier {
            sequence: *sequence,
            revoked: notice.revoked,
            expires: notice.expires,
        });
        let Some(notice) = revoking.against(earlier, moment, Lifetimes::default().grant) else {
            return Receipt::AlreadyRevoked { sequence: earlier.unwrap().sequence };
        };
        earlier.map(|earlier| self.in_force.remove(&earlier.sequence));
        self.sequence += 1;
        let sequence = self.sequence;
        self.in_force.insert(sequence, notice.clone());
        self.change(Change::Revoked(entry(sequence, notice)));
        Receipt::Revoked { sequence }
    }
}

fn entry(sequence: u64, notice: RevocationNotice) -> RevocationEntry {
    RevocationEntry::new(sequence, notice)
}

impl Memory {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.0.lock().unwrap()
    }

    /// What is durable is all there is.
    pub(crate) fn open_again(&mut self) {
        let disk = std::mem::take(&mut *self.disk());
        *self = Memory(Arc::new((Mutex::new(disk), Condvar::new())));
    }

    pub(crate) fn collect(&self, now: Timestamp) {
        let mut disk = self.disk();
        let is_behind = disk.latest.is_some_and(|latest| now < latest);
        disk.observe(now);
        let old = |expires: &Timestamp| *expires + KEPT_AFTER_EXPIRY <= now;
        let forgotten = disk.used.values().copied().filter(old).max();
        disk.used_until = disk.used_until.max(forgotten.unwrap_or_default());
        disk.used.retain(|_, expires| !old(expires));
        let longest = Lifetimes::default().grant + JUMP;
        if is_behind || disk.jumped.is_some_and(|jumped| now < jumped + longest) {
            return;
        }
        let due = |notice: &RevocationNotice| notice.expires.is_some_and(|expires| expires <= now);
        let due: Vec<(u64, Timestamp)> = disk
            .in_force
            .iter()
            .filter(|(_, notice)| due(notice))
            .map(|(sequence, notice)| (*sequence, notice.revoked))
            .collect();
        let Some(until) = due.iter().map(|(_, revoked)| covered_until(*revoked)).max() else {
            return;
        };
        due.iter().for_each(|(sequence, _)| drop(disk.in_force.remove(sequence)));
        disk.forgotten_until = disk.forgotten_until.max(Some(until));
        let sequences = due.iter().map(|(sequence, _)| (*sequence, *sequence)).collect();
        let until = disk.forgotten_until;
        disk.change(Change::Forgotten { sequences, until });
        self.0.1.notify_all();
    }
}

/// An answer that is there.
fn now<'a, T: Send + 'a>(answer: T) -> Pending<'a, T> {
    Box::pin(async { answer })
}

impl Uses for Memory {
    fn claim<'a>(
        &'a self,
        once: &'a SingleUse,
        _: Timestamp,
    ) -> Pending<'a, Result<Claim, UsesUnavailable>> {
        let mut disk = self.disk();
        let is_used = once.expires <= disk.used_until || disk.used.contains_key(&once.id);
        if is_used {
            return now(Ok(Claim::Again));
        }
        disk.used.insert(once.id, once.expires);
        now(Ok(Claim::First))
    }
}

impl Records for Memory {
    fn append<'a>(
        &'a self,
        decisions: Vec<Decision>,
        _: Recording,
    ) -> Pending<'a, Result<u64, LedgerUnavailable>> {
        if decisions.is_empty() {
            return now(Err(LedgerUnavailable("there is nothing to record".to_owned())));
        }
        let mut disk = self.disk();
        let first = disk.lines.len() as u64 + 1;
        for decision in decisions {
            let last = disk.lines.last();
            let previous =
                last.map_or(LeafHash::default(), |line| LeafHash::of(line.json.as_bytes()));
            let (sequence, time) = (disk.lines.len() as u64 + 1, decision.time);
            let event = AuditEvent::Decision(Box::new(decision));
            let record = AuditRecord::new(sequence, time, previous, event);
            disk.lines.push(LogLine::new(sequence, serde_json::to_string(&record).unwrap()));
        }
        now(Ok(first))
    }

    fn read(&self, from: u64, at_most: usize) -> Result<Vec<LogLine>, LedgerUnavailable> {
        let disk = self.disk();
        let lines = disk.lines.iter().filter(|line| line.sequence >= from);
        Ok(lines.take(at_most).cloned().collect())
    }
}

impl Lineage for Memory {
    fn saw(&self, blocks: Vec<SeenBlock>) {
        let mut disk = self.disk();
        for block in blocks {
            if disk.seen.len() >= MAX_SEEN {
                disk.lost += 1;
            } else if !disk.seen.iter().any(|known| known.id == block.id) {
                disk.seen.push(block);
            }
        }
    }

    fn seen(&self, at_most: u64) -> Result<Option<Seen>, LineageUnavailable> {
        let disk = self.disk();
        let fits = disk.seen.len() as u64 <= at_most;
        Ok(fits.then(|| Seen::new(disk.seen.clone(), disk.lost)))
    }

    fn beginning(
        &self,
        beginning: &IdPrefix,
        at_most: usize,
    ) -> Result<Vec<RevocationId>, LineageUnavailable> {
        let disk = self.disk();
        let ids = disk.seen.iter().map(|block| block.id).filter(|id| beginning.begins(id));
        Ok(ids.take(at_most).collect())
    }
}

impl RevocationLog for Memory {
    fn append<'a>(
        &'a self,
        batch: Vec<Revoking>,
        request: RequestId,
        moment: Timestamp,
    ) -> Pending<'a, Result<Vec<Receipt>, RevocationLogError>> {
        let mut disk = self.disk();
        if let Some((asked, receipts)) = disk.answered.get(&request) {
            return now(match *asked == batch {
                true => Ok(receipts.clone()),
                false => Err(RevocationLogError::OtherRequest(request)),
            });
        }
        let moment = disk.observe(moment);
        let receipts: Vec<Receipt> =
            batch.iter().map(|revoking| disk.revoke(revoking, moment)).collect();
        disk.answered.insert(request, (batch, receipts.clone()));
        self.0.1.notify_all();
        now(Ok(receipts))
    }

    fn read<'a>(
        &'a self,
        after: Position,
        at_most: usize,
    ) -> Pending<'a, Result<Events, RevocationLogError>> {
        let mut disk = self.disk();
        let head = disk.head();
        if after.epoch != head.epoch || after.number > head.number {
            return now(Ok(Events::Gone));
        }
        let events = disk.events.iter().skip(after.number as usize).take(at_most.max(1));
        now(Ok(Events::Next(events.cloned().collect())))
    }

    fn head<'a>(&'a self) -> Pending<'a, Result<Position, RevocationLogError>> {
        now(Ok(self.disk().head()))
    }

    fn list<'a>(&'a self, as_of: Timestamp) -> Pending<'a, Result<Snapshot, RevocationLogError>> {
        let mut disk = self.disk();
        let entries = disk.in_force.iter();
        let revocations =
            entries.map(|(sequence, notice)| entry(*sequence, notice.clone())).collect();
        let forgotten_until = disk.forgotten_until;
        now(Ok(Snapshot::new(disk.head(), as_of, forgotten_until, revocations)))
    }

    fn wait<'a>(&'a self, after: Position, at_most: Duration) -> Pending<'a, ()> {
        let (giver, promised) = promise();
        let shared = Arc::clone(&self.0);
        std::thread::spawn(move || {
            let disk = shared.0.lock().unwrap();
            let waits = |disk: &mut Disk| disk.head() == after;
            drop(shared.1.wait_timeout_while(disk, at_most, waits));
            giver.give(());
        });
        Box::pin(async {
            promised.await;
        })
    }
}
