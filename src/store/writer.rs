//! Writer: one thread that writes what callers hand over, as many as wait at once in one commit.

use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use redb::{Database, ReadableTable};

use crate::audit::{AuditRecord, Once, Settlement, refused_as_replayed};
use crate::revocation::{RevocationEntry, Revocations};
use crate::store::{
    ACCEPTED, ACCEPTED_BY_EXPIRY, FORGOTTEN_UNTIL, MARKS, RECORDS, REVOCATIONS, StoreError, begin,
};

/// The most jobs in one commit: beyond this a commit gains no throughput and only latency.
const MAX_BATCH: usize = 256;

/// How many expired presentations a commit forgets at most, so that no caller waits for a sweep.
const MAX_SWEEP: usize = 64;

/// A presentation is remembered for this long after it expired: a clock that is set back by less than
/// that refuses no fresh presentation.
const SWEEP_GRACE: Duration = Duration::from_secs(3600);

/// What a caller hands over, and where it waits for the answer.
pub(super) enum Job {
    Settle {
        record: Box<AuditRecord>,
        once: Option<Once>,
        answer: SyncSender<Result<Settlement, StoreError>>,
    },
    Revoke {
        entries: Vec<RevocationEntry>,
        answer: SyncSender<Result<(), StoreError>>,
    },
}

/// The writer thread: takes what waits, writes it in one commit, and answers.
pub(super) fn write_all(database: &Database, revocations: &Revocations, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let mut jobs = vec![first];
        while let (true, Ok(job)) = (jobs.len() < MAX_BATCH, queue.try_recv()) {
            jobs.push(job);
        }
        match write_batch(database, &mut jobs) {
            Ok(settlements) => answer_all(jobs, settlements, revocations),
            Err(error) => jobs.into_iter().for_each(|job| refuse(job, &error)),
        }
    }
}

fn answer_all(jobs: Vec<Job>, settlements: Vec<Option<Settlement>>, revocations: &Revocations) {
    for (job, settlement) in jobs.into_iter().zip(settlements) {
        // Whoever no longer waits for an answer needs none.
        match (job, settlement) {
            (Job::Settle { answer, .. }, Some(settlement)) => drop(answer.send(Ok(settlement))),
            (Job::Settle { answer, .. }, None) => drop(answer.send(Err(StoreError::Stopped))),
            (Job::Revoke { entries, answer }, _) => {
                entries.iter().for_each(|entry| revocations.add(entry));
                drop(answer.send(Ok(())));
            }
        }
    }
}

fn refuse(job: Job, error: &StoreError) {
    let error = StoreError::Engine(error.to_string());
    match job {
        Job::Settle { answer, .. } => drop(answer.send(Err(error))),
        Job::Revoke { answer, .. } => drop(answer.send(Err(error))),
    }
}

/// Writes all of a batch durably, or nothing. Returns what became of each record.
fn write_batch(
    database: &Database,
    jobs: &mut [Job],
) -> Result<Vec<Option<Settlement>>, StoreError> {
    let writing = begin(database)?;
    let settlements = {
        let mut batch = Batch {
            revocations: writing.open_table(REVOCATIONS)?,
            records: writing.open_table(RECORDS)?,
            accepted: writing.open_table(ACCEPTED)?,
            by_expiry: writing.open_table(ACCEPTED_BY_EXPIRY)?,
            marks: writing.open_table(MARKS)?,
        };
        jobs.iter_mut().map(|job| batch.write(job)).collect::<Result<_, _>>()?
    };
    writing.commit()?;
    Ok(settlements)
}

struct Batch<'t> {
    revocations: redb::Table<'t, u64, &'static [u8]>,
    records: redb::Table<'t, u64, &'static [u8]>,
    accepted: redb::Table<'t, [u8; 64], u64>,
    by_expiry: redb::Table<'t, (u64, [u8; 64]), ()>,
    marks: redb::Table<'t, &'static str, u64>,
}

impl Batch<'_> {
    fn write(&mut self, job: &mut Job) -> Result<Option<Settlement>, StoreError> {
        match job {
            Job::Settle { record, once, .. } => self.settle(record, *once).map(Some),
            Job::Revoke { entries, .. } => self.revoke(entries).map(|()| None),
        }
    }

    fn settle(
        &mut self,
        record: &AuditRecord,
        once: Option<Once>,
    ) -> Result<Settlement, StoreError> {
        let mut record = record.clone();
        let mut replayed = false;
        if let Some(once) = once {
            replayed = !self.accept(once, record.time.unix_seconds())?;
            if replayed {
                record = refused_as_replayed(record, once);
            }
        }
        record.sequence = next_number(&self.records)?;
        self.records.insert(record.sequence, encode(&record)?.as_slice())?;
        let sequence = record.sequence;
        Ok(if replayed {
            Settlement::Replayed { sequence }
        } else {
            Settlement::Recorded { sequence }
        })
    }

    /// Whether this is the first time.
    fn accept(&mut self, once: Once, now: u64) -> Result<bool, StoreError> {
        self.forget(now)?;
        let (id, expires) = (*once.id.as_bytes(), once.expires.unix_seconds());
        let forgotten_until = self.marks.get(FORGOTTEN_UNTIL)?.map_or(0, |mark| mark.value());
        if expires <= forgotten_until || self.accepted.get(id)?.is_some() {
            return Ok(false);
        }
        self.accepted.insert(id, expires)?;
        self.by_expiry.insert((expires, id), ())?;
        Ok(true)
    }

    /// Forgets some presentations that expired long enough ago.
    fn forget(&mut self, now: u64) -> Result<(), StoreError> {
        for _ in 0..MAX_SWEEP {
            let oldest = self.by_expiry.first()?.map(|(key, _)| key.value());
            let Some((expires, id)) = oldest else { return Ok(()) };
            if expires.saturating_add(SWEEP_GRACE.as_secs()) >= now {
                return Ok(());
            }
            self.by_expiry.remove((expires, id))?;
            self.accepted.remove(id)?;
            self.marks.insert(FORGOTTEN_UNTIL, expires)?;
        }
        Ok(())
    }

    fn revoke(&mut self, entries: &[RevocationEntry]) -> Result<(), StoreError> {
        for (number, entry) in (next_number(&self.revocations)?..).zip(entries) {
            self.revocations.insert(number, encode(entry)?.as_slice())?;
        }
        Ok(())
    }
}

fn next_number(table: &redb::Table<'_, u64, &'static [u8]>) -> Result<u64, StoreError> {
    Ok(table.last()?.map_or(0, |(number, _)| number.value()) + 1)
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Engine(error.to_string()))
}
