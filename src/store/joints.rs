//! Joints: a store as an engine of each trait, and as all of them in one.

use crate::audit::{
    Claim, Decision, Done, Ledger, LedgerUnavailable, Lineage, LineageUnavailable, LogLine, Once,
    Recording, Records, Seen, SeenBlock, Settlement, Settling, Uses, UsesUnavailable,
};
use crate::chain::{IdPrefix, RevocationId};
use crate::pending::{Pending, promise};
use crate::store::commit::{Answer, Job};
use crate::store::{Store, StoreError};
use crate::timestamp::Timestamp;

/// All in one: a claim, its record and its chain are one frame of the journal, with one wait for the disk.
impl Ledger for Store {
    fn settle(&self, settling: Settling) -> Result<Settlement, LedgerUnavailable> {
        let is_single_use = settling.once().is_some();
        let settle = self.settle_now(settling);
        let settled = match self.recording {
            Recording::Buffered { at_most } if !is_single_use => {
                self.inner().settle_buffered(settle, at_most)
            }
            _ => self.inner().settle(settle),
        };
        settled.map_err(unwritten)
    }

    fn settle_later(&self, settling: Settling, done: Done) {
        self.settle_later_as(settling, self.recording, done);
    }
}

impl Store {
    fn settle_later_as(&self, settling: Settling, recording: Recording, done: Done) {
        let is_single_use = settling.once().is_some();
        let mut settle = Box::new(self.settle_now(settling));
        if let Recording::Buffered { at_most } = recording
            && !is_single_use
        {
            match self.inner().settle_buffered_at_once(settle, at_most) {
                Ok(settled) => return done(settled.map_err(unwritten)),
                Err(back) => settle = back,
            }
        }
        self.inner().submit_later(Job::Settle(settle), |answer| {
            done(match answer {
                Ok(Answer::Settled(settlement)) => Ok(settlement),
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
        once: &'a Once,
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
        let settling = Settling::new(decision, None, None);
        self.settle_later_as(settling, recording, Box::new(|done| giver.give(done)));
        Box::pin(async {
            let settled = promised.await.unwrap_or(Err(unwritten(StoreError::Stopped)));
            settled.map(|settlement| settlement.sequence())
        })
    }

    fn read(&self, from: u64, at_most: usize) -> Result<Vec<LogLine>, LedgerUnavailable> {
        self.reader().records(from).take(at_most).collect::<Result<_, _>>().map_err(unwritten)
    }
}

/// What is told without a record is on disk within a second.
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

    fn beginning(
        &self,
        beginning: &IdPrefix,
        at_most: usize,
    ) -> Result<Vec<RevocationId>, LineageUnavailable> {
        let ids = self.reader().some_ids_beginning(beginning, at_most);
        ids.map_err(|error| LineageUnavailable(error.to_string()))
    }
}

fn unwritten(error: StoreError) -> LedgerUnavailable {
    LedgerUnavailable(error.to_string())
}
