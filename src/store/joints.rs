//! Joints: a store as an engine of each trait, and as all of them in one.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::{
    Claim, Decision, Done, Ledger, LedgerEntry, LedgerUnavailable, Lineage, LineageUnavailable,
    LogLine, Recorded, Recording, Records, Seen, SeenBlock, SingleUse, Uses, UsesUnavailable,
};
use crate::chain::{IdPrefix, RevocationId};
use crate::pending::{Pending, promise};
use crate::revocation::{
    Events, Position, Receipt, RequestId, RevocationLog, RevocationLogError, Revoking, Snapshot,
};
use crate::store::commit::{Answer, Job};
use crate::store::core::Revoke;
use crate::store::{Store, StoreError};
use crate::timestamp::Timestamp;

/// All in one: a claim, its record and its chain are one frame of the journal, with one wait for the disk.
impl Ledger for Store {
    fn record(&self, entry: LedgerEntry) -> Result<Recorded, LedgerUnavailable> {
        let is_single_use = entry.once().is_some();
        let record = self.record_now(entry);
        let recorded = match self.recording {
            Recording::Buffered { at_most } if !is_single_use => {
                self.inner().buffer_decision(record, at_most)
            }
            _ => self.inner().record(record),
        };
        recorded.map_err(unwritten)
    }

    fn record_later(&self, entry: LedgerEntry, done: Done) {
        self.record_later_as(entry, self.recording, done);
    }
}

impl Store {
    fn record_later_as(&self, entry: LedgerEntry, recording: Recording, done: Done) {
        let is_single_use = entry.once().is_some();
        let mut record = Box::new(self.record_now(entry));
        if let Recording::Buffered { at_most } = recording
            && !is_single_use
        {
            match self.inner().buffer_decision_at_once(record, at_most) {
                Ok(recorded) => return done(recorded.map_err(unwritten)),
                Err(back) => record = back,
            }
        }
        self.inner().submit_later(Job::Decision(record), |answer| {
            done(match answer {
                Ok(Answer::Decided(recorded)) => Ok(recorded),
                Ok(_) => Err(unwritten(StoreError::Stopped)),
                Err(error) => Err(unwritten(error)),
            });
        });
    }

    /// Hands over a job, and answers when it is on disk.
    fn submitted(&self, job: Job) -> impl Future<Output = Result<Answer, StoreError>> + use<> {
        let (giver, promised) = promise();
        self.inner().submit_later(job, |answer| giver.give(answer));
        async { promised.await.unwrap_or(Err(StoreError::Stopped)) }
    }
}

/// A claim without a record is a transaction of the database, which as many as wait share.
impl Uses for Store {
    fn claim<'a>(
        &'a self,
        once: &'a SingleUse,
        now: Timestamp,
    ) -> Pending<'a, Result<Claim, UsesUnavailable>> {
        let claim = Job::Claim { once: once.clone(), now, source: self.times };
        let claimed = self.submitted(claim);
        Box::pin(async {
            match claimed.await {
                Ok(Answer::Claimed(claim)) => Ok(claim),
                Ok(_) => Err(UsesUnavailable(StoreError::Stopped.to_string())),
                Err(error) => Err(UsesUnavailable(error.to_string())),
            }
        })
    }
}

/// One decision is one record of the journal; several together are a transaction of the database, and durable.
impl Records for Store {
    fn append<'a>(
        &'a self,
        decisions: Vec<Decision>,
        recording: Recording,
    ) -> Pending<'a, Result<u64, LedgerUnavailable>> {
        let [decision] = match <[Decision; 1]>::try_from(decisions) {
            Ok(single) => single,
            Err(none) if none.is_empty() => {
                let none = LedgerUnavailable("there is no decision to record".to_owned());
                return Box::pin(async { Err(none) });
            }
            Err(decisions) => {
                let recorded = self.submitted(Job::Record { decisions, source: self.times });
                return Box::pin(async {
                    match recorded.await.map_err(unwritten)? {
                        Answer::Recorded(first) => Ok(first),
                        _ => Err(unwritten(StoreError::Stopped)),
                    }
                });
            }
        };
        let (giver, promised) = promise();
        let entry = LedgerEntry::new(decision, None, None);
        self.record_later_as(entry, recording, Box::new(|done| giver.give(done)));
        Box::pin(async {
            let recorded = promised.await.unwrap_or(Err(unwritten(StoreError::Stopped)));
            recorded.map(|recorded| recorded.sequence())
        })
    }

    fn read(&self, from: u64, at_most: usize) -> Result<Vec<LogLine>, LedgerUnavailable> {
        self.reader().records(from).take(at_most).collect::<Result<_, _>>().map_err(unwritten)
    }
}

/// A block that is told without a record is on disk within a second.
impl Lineage for Store {
    fn saw(&self, blocks: Vec<SeenBlock>) {
        self.inner().saw(blocks);
    }

    fn seen(&self, at_most: u64) -> Result<Option<Seen>, LineageUnavailable> {
        let reader = self.reader();
        let seen = || match reader.has_seen_more_than(at_most)? {
            true => Ok(None),
            false => reader.seen().map(Some),
        };
        let seen: Result<Option<Seen>, StoreError> = seen();
        let seen = seen.map_err(|error| LineageUnavailable(error.to_string()))?;
        Ok(seen.filter(|seen| seen.blocks.len() as u64 <= at_most))
    }

    fn seen_after(
        &self,
        after: Option<RevocationId>,
        at_most: usize,
    ) -> Result<Seen, LineageUnavailable> {
        let seen = self.reader().seen_after(after, at_most);
        seen.map_err(|error| LineageUnavailable(error.to_string()))
    }

    fn beginning(
        &self,
        beginning: &IdPrefix,
        at_most: usize,
    ) -> Result<Vec<RevocationId>, LineageUnavailable> {
        let ids = self.reader().some_ids_beginning(beginning, at_most);
        ids.map_err(|error| LineageUnavailable(error.to_string()))
    }
}

/// Events and lists are read on a thread of their own, which whoever follows takes once a second at most.
impl RevocationLog for Store {
    fn append<'a>(
        &'a self,
        batch: Vec<Revoking>,
        request: RequestId,
        now: Timestamp,
    ) -> Pending<'a, Result<Vec<Receipt>, RevocationLogError>> {
        let revoke = Revoke { revoking: batch, request: Some(request), now };
        let revoked = self.submitted(Job::Revoke(revoke));
        Box::pin(async move {
            match revoked.await {
                Ok(Answer::Revoked(receipts)) => Ok(receipts),
                Ok(_) => Err(RevocationLogError::NotRevoked(StoreError::Stopped.to_string())),
                Err(StoreError::OtherRequest(request)) => {
                    Err(RevocationLogError::OtherRequest(request))
                }
                Err(error) => Err(RevocationLogError::NotRevoked(match error.not_revoked() {
                    StoreError::NotRevoked(problem) => problem,
                    error => error.to_string(),
                })),
            }
        })
    }

    fn read<'a>(
        &'a self,
        after: Position,
        at_most: usize,
    ) -> Pending<'a, Result<Events, RevocationLogError>> {
        let inner = Arc::clone(self.inner());
        looked_up(move || inner.events_after(after, at_most))
    }

    fn head<'a>(&'a self) -> Pending<'a, Result<Position, RevocationLogError>> {
        let head = match self.inner().engine.here() {
            Ok(()) if self.inner().is_stopped() => Err(StoreError::Stopped),
            here => here.map(|()| self.inner().events.head()),
        };
        Box::pin(async { head.map_err(unreadable) })
    }

    fn list<'a>(&'a self, now: Timestamp) -> Pending<'a, Result<Snapshot, RevocationLogError>> {
        let (inner, reader) = (Arc::clone(self.inner()), self.reader());
        looked_up(move || {
            // The end first: what is revoked meanwhile may be in the list, too.
            let at = inner.events.head();
            // The entries before the mark: what is forgotten meanwhile is in the list, or under the mark.
            let revocations = reader.revocations()?;
            Ok(Snapshot::new(at, now, reader.forgotten_until()?, revocations))
        })
    }

    fn list_after<'a>(
        &'a self,
        now: Timestamp,
        after: u64,
        at_most: usize,
    ) -> Pending<'a, Result<Snapshot, RevocationLogError>> {
        let (inner, reader) = (Arc::clone(self.inner()), self.reader());
        looked_up(move || {
            // In the order of `list`, for the same reasons.
            let at = inner.events.head();
            let revocations = reader.revocations_after(after, at_most)?;
            Ok(Snapshot::new(at, now, reader.forgotten_until()?, revocations))
        })
    }

    fn wait<'a>(&'a self, after: Position, at_most: Duration) -> Pending<'a, ()> {
        // A fork has no thread that would say that it is over.
        if self.inner().engine.here().is_err() {
            return Box::pin(async {});
        }
        let waiting = self.inner().events.wait(after, at_most);
        Box::pin(async {
            // Whether it was given or its store was closed: whoever waited looks.
            let _ = waiting.await;
        })
    }
}

/// Looks something up on a thread that may wait for the disk.
fn looked_up<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Pending<'static, Result<T, RevocationLogError>> {
    let (giver, promised) = promise();
    let thread = std::thread::Builder::new().name("hardtack-look".to_owned());
    let spawned = thread.spawn(move || giver.give(look()));
    Box::pin(async move {
        spawned.map_err(|error| RevocationLogError::Unavailable(error.to_string()))?;
        promised.await.unwrap_or(Err(StoreError::Stopped)).map_err(unreadable)
    })
}

fn unreadable(error: StoreError) -> RevocationLogError {
    RevocationLogError::Unavailable(error.to_string())
}

fn unwritten(error: StoreError) -> LedgerUnavailable {
    LedgerUnavailable(error.to_string())
}
