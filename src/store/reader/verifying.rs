//! Verifying: is the whole log what was signed, and what is in force what its records put there?

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;

use redb::ReadTransaction;

use crate::audit::{AuditRecord, Checkpoint, Frontier, LogReader};
use crate::revocation::{InForce, RevocationNotice};
use crate::store::StoreError;
use crate::store::archives::Archives;
use crate::store::events::{are_events, is_event};
use crate::store::reader::{Source, StoreReader, told};
use crate::store::rows::{Go, Log, Row, stored};
use crate::store::schema::{REVOCATIONS, read_revocation_row, read_revocations};

/// The result of [`StoreReader::verify`] for a log that is whole.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Verified {
    /// The number of records, each of which continues the one before, those that are archived among them.
    pub records: u64,
    /// The number of the first record that was read: those before it are archived, and were not verified.
    pub first: u64,
    /// The checkpoint, whose root is that of the tree over its first records.
    pub checkpoint: Checkpoint,
    /// The number of revocations in force, each of which a record put there.
    pub revocations: u64,
}

impl StoreReader {
    /// Verifies the whole log: reads every record of the store, and compares the log with the last checkpoint, with the hashes that the
    /// tree stores and with the revocations in force, all as of one moment. Takes longer the more records there are. What is archived is not
    /// read: [`StoreReader::verify_with`] reads it as well.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] with the first thing that differs.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        self.verify_after(None)
    }

    /// Verifies the log of the store and its archives in `folder` as one, as [`StoreReader::verify`] does.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] with the first thing that differs in the store, and [`StoreError::Archive`] with that in an archive.
    /// [`StoreError::InArchive`] if the archives do not reach to where the store begins.
    pub fn verify_with(&self, folder: impl AsRef<Path>) -> Result<Verified, StoreError> {
        self.verify_after(Some(&Archives::open(folder, &self.log_key()?)?))
    }

    pub(in crate::store) fn verify_after(
        &self,
        archives: Option<&Archives>,
    ) -> Result<Verified, StoreError> {
        if let Source::Open(inner) = &self.0 {
            inner.fold()?;
            if inner.was_sealed.load(Ordering::Acquire) {
                inner.check_again()?;
            }
        }
        let checkpoint = self.checkpoint()?;
        self.read(|reading| self.verify_all(reading, &checkpoint, archives))
    }

    fn verify_all(
        &self,
        reading: &ReadTransaction,
        checkpoint: &Checkpoint,
        archives: Option<&Archives>,
    ) -> Result<Verified, StoreError> {
        let damaged = |problem: String| StoreError::damaged(self.path(), problem);
        let told = |error: StoreError| match error {
            StoreError::Unreadable { .. } => damaged(error.to_string()),
            error => error,
        };
        let store = Log::open(reading)?;
        let oldest = archives.and_then(|archives| archives.files().first());
        let oldest = oldest.filter(|oldest| oldest.head.first <= store.archived);
        let (first, frontier) = match oldest {
            Some(oldest) => (oldest.head.first, oldest.head.frontier()),
            None => (store.archived + 1, edge(&store)),
        };
        let frontier = frontier.ok_or_else(|| damaged("the tree is not whole".to_owned()))?;
        let in_force = in_force_before(reading, &store, first).map_err(told)?;
        let log = LogReader::expecting(checkpoint).after(frontier, in_force);
        let mut log = log.map_err(|error| damaged(error.to_string()))?;
        let mut events = Vec::new();
        let mut read = |log: &mut LogReader, json: &[u8]| -> Result<AuditRecord, StoreError> {
            let record = log.next(json).map_err(|error| damaged(error.to_string()))?;
            events.extend(is_event(&record).then_some(record.sequence));
            Ok(record)
        };
        if let Some(archives) = archives.filter(|_| first <= store.archived) {
            let changed = |error: StoreError| match error {
                StoreError::Damaged { problem, .. } => {
                    StoreError::archive(archives.folder(), problem)
                }
                error => error,
            };
            for line in archives.read_all(first..store.archived + 1) {
                read(&mut log, line?.json.as_bytes()).map_err(changed)?;
            }
            let (sequence, archived) = (log.len() + 1, store.archived);
            if log.len() < archived {
                return Err(StoreError::InArchive { sequence, archived });
            }
            if Some(log.frontier().last()) != edge(&store).map(|edge| edge.last()) {
                let problem = "the archives are not those of the records that were taken out";
                return Err(damaged(problem.to_owned()));
            }
        }
        let each = store.each(1, |sequence, row, json| {
            read(&mut log, &json)?;
            match Row::parse(row).is_some_and(|row| row.has_hashes(log.hashes())) {
                true => Ok(Go::On),
                false => Err(damaged(format!("the tree's hashes of record {sequence} are others"))),
            }
        });
        each.map_err(told)?;
        log.finish().map_err(|error| damaged(error.to_string()))?;
        if !are_events(reading, &events)? {
            let problem = "the events of the log of revocations are not those of the records";
            return Err(damaged(problem.to_owned()));
        }
        let known = read_revocations(reading)?;
        let told = log.in_force().iter().map(|(sequence, notice)| InForce {
            sequence: *sequence,
            revocation: notice.revocation.clone(),
            revoked: notice.revoked,
            expires: notice.expires,
        });
        if !told.eq(known.iter().cloned()) {
            let problem = "the revocations in force are not those of the records";
            return Err(damaged(problem.to_owned()));
        }
        let (records, revocations) = (log.len(), known.len() as u64);
        Ok(Verified { records, first, checkpoint: checkpoint.clone(), revocations })
    }
}

/// The edge of the tree of what is archived.
pub(in crate::store) fn edge(log: &Log) -> Option<Frontier> {
    let find = stored(&log.table);
    let last = match log.archived {
        0 => crate::audit::LeafHash::default(),
        archived => crate::audit::LeafHash(find(archived, 0)?),
    };
    Frontier::load(log.archived, last, find).ok()
}

/// What is in force by records before this one, as these say it.
pub(in crate::store) fn in_force_before(
    reading: &ReadTransaction,
    log: &Log,
    first: u64,
) -> Result<BTreeMap<u64, RevocationNotice>, StoreError> {
    let table = reading.open_table(REVOCATIONS)?;
    let rows = table.range(..first)?.map(|row| {
        let (sequence, row) = row?;
        let entry = told(log, &read_revocation_row(sequence.value(), row.value())?)?;
        Ok((entry.sequence, entry.notice))
    });
    rows.collect()
}
