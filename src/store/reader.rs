//! Reader: a store to look into. Nothing can be changed through it, on disk or in memory.

mod records;
mod seen;
mod verifying;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use redb::{ReadOnlyDatabase, ReadTransaction, ReadableDatabase};

use crate::audit::{
    AuditEvent, AuditRecord, Checkpoint, CheckpointSigner, InclusionProof, LogKey, MAX_ALIKE,
    SeenChains, Stops,
};
use crate::chain::{IdPrefix, RevocationId};
use crate::log;
use crate::process::Process;
use crate::revocation::{InForce, Receipt, Revocation, RevocationEntry, RevocationList};
use crate::store::StoreError;
use crate::store::engine::builder;
use crate::store::inner::Inner;
use crate::store::opening::{self, Identity, identity, open_journal};
use crate::store::rows::{Log, stored};
use crate::store::schema::{
    Effect, Entry, REVOCATIONS, SEEN, decode, read_revocation_row, read_revocations, read_state,
    revoked_by,
};
use crate::store::site::{Files, Followed, Site, Untouched};
use crate::timestamp::Timestamp;

pub use verifying::Verified;
pub(super) use verifying::{edge, in_force_before};

/// How often a journal is read that somebody writes to meanwhile.
const MAX_TRIES: usize = 10;

/// A store to look into, and not to change: revocations, records, the signed log and what was seen. Made by [`StoreReader::open`] or
/// [`Store::reader`](crate::Store::reader). Its methods may wait for the disk; [`StoreReader::path`] never does.
#[derive(Clone)]
pub struct StoreReader(Source);

#[derive(Clone)]
enum Source {
    /// An open store, or a copy of one in memory.
    Open(Arc<Inner>),
    /// A store that another process has open: what its database has, up to a second old.
    Followed { database: Arc<Following>, files: Arc<Files> },
}

/// A database that another process writes to.
struct Following {
    /// `None` only while it is dropped.
    database: Option<ReadOnlyDatabase>,
    opened_by: Process,
}

impl Following {
    fn read(&self) -> Result<ReadTransaction, StoreError> {
        StoreError::unless_here(self.opened_by)?;
        let database = self.database.as_ref().ok_or(StoreError::Stopped)?;
        Ok(database.begin_read()?)
    }
}

impl Drop for Following {
    /// In a fork, the locks are the other process's.
    fn drop(&mut self) {
        if self.opened_by.is_elsewhere() {
            std::mem::forget(self.database.take());
        }
    }
}

impl std::fmt::Debug for StoreReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreReader").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// How far one looks ahead of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// To what is on disk.
    Written,
    /// To what was answered, too, before it was written.
    Answered,
}

impl StoreReader {
    /// Opens the store at `path` to look into it, whether or not another process writes to it. Nothing on disk is changed: where the
    /// store would have to be repaired or its journal taken over, that is done in memory.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as for [`Store::open`](crate::Store::open). [`StoreError::InUse`] where the file is locked for a moment, by a
    /// process that is just opening it or by another reader.
    pub fn open(path: impl AsRef<Path>) -> Result<StoreReader, StoreError> {
        let path = path.as_ref();
        super::making::open_whole(path, || StoreReader::open_once(path))
    }

    fn open_once(path: &Path) -> Result<StoreReader, StoreError> {
        match opening::open(Arc::new(Untouched(Files::at(path)))) {
            // A writer that is just opening the database again keeps its journal.
            Ok(_) if Files::at(path).has_writer().unwrap_or(false) => {
                Err(StoreError::InUse { path: path.to_owned() })
            }
            Ok(inner) => Ok(StoreReader(Source::Open(Arc::new(inner)))),
            Err(StoreError::InUse { .. }) => StoreReader::follow(path),
            Err(error) => Err(error),
        }
    }

    fn follow(path: &Path) -> Result<StoreReader, StoreError> {
        let files = Files::at(path);
        // Another reader may have it, only for a moment, and then nobody brings the database up to date.
        if !files.has_writer().map_err(|error| StoreError::file(Some(path), error))? {
            return Err(StoreError::InUse { path: path.to_owned() });
        }
        let database = builder(&files).open_read_only(path);
        let database = database.map_err(|error| StoreError::opening(Some(path), error))?;
        let database = Following { database: Some(database), opened_by: Process::here() };
        let reader =
            StoreReader(Source::Followed { database: Arc::new(database), files: Arc::new(files) });
        reader.read(|reading| identity(reading, path).map(drop))?;
        Ok(reader)
    }

    pub(super) fn of(inner: Arc<Inner>) -> StoreReader {
        StoreReader(Source::Open(inner))
    }

    /// Returns every revocation in force, in the order of their records.
    pub fn revocations(&self) -> Result<Vec<RevocationEntry>, StoreError> {
        let newer = self.newer(Reach::Answered)?;
        let mut entries = self.read(|reading| {
            let log = Log::open(reading)?;
            let entries = read_revocations(reading)?.into_iter().map(|row| told(&log, &row));
            entries.collect::<Result<Vec<_>, _>>()
        })?;
        let last = entries.last().map_or(0, |entry| entry.sequence);
        entries.extend(revoked_by(&newer).filter(|entry| entry.sequence > last).cloned());
        let prolonged: HashSet<u64> =
            entries.iter().filter_map(|entry| entry.notice.prolongs).collect();
        entries.retain(|entry| !prolonged.contains(&entry.sequence));
        Ok(entries)
    }

    /// Returns a part of the revocations in force: the first `at_most` of those whose record has a larger number than `after`, in the order
    /// of their records.
    pub fn revocations_after(
        &self,
        after: u64,
        at_most: usize,
    ) -> Result<Vec<RevocationEntry>, StoreError> {
        let newer = self.newer(Reach::Answered)?;
        let prolonged: HashSet<u64> =
            revoked_by(&newer).filter_map(|entry| entry.notice.prolongs).collect();
        let (mut entries, stored) = self.read(|reading| {
            let log = Log::open(reading)?;
            let rows = reading.open_table(REVOCATIONS)?;
            let mut entries = Vec::new();
            for row in rows.range(after.saturating_add(1)..)? {
                if entries.len() == at_most {
                    break;
                }
                let (sequence, row) = row?;
                if !prolonged.contains(&sequence.value()) {
                    entries.push(told(&log, &read_revocation_row(sequence.value(), row.value())?)?);
                }
            }
            Ok((entries, read_state(reading)?.records))
        })?;
        let newer = revoked_by(&newer).filter(|entry| entry.sequence > stored.max(after));
        let newer = newer.filter(|entry| !prolonged.contains(&entry.sequence));
        let room = at_most.saturating_sub(entries.len());
        entries.extend(newer.take(room).cloned());
        Ok(entries)
    }

    /// Returns what is revoked now, as a list for verifiers elsewhere that decide on a copy
    /// ([`Revocations::copied`](crate::Revocations::copied)). `now` is the moment that the list states as its own.
    pub fn revocation_list(&self, now: Timestamp) -> Result<RevocationList, StoreError> {
        // The revocations first: what is forgotten meanwhile is in the list, or under the mark.
        let revocations = self.revocations()?.iter().map(InForce::from).collect();
        let forgotten_until = self.forgotten_until()?;
        Ok(RevocationList { as_of: now, forgotten_until, revocations })
    }

    /// Returns the mark: grants issued up to this moment may be covered by revocations that were forgotten, and are refused. `None` if
    /// nothing was forgotten yet.
    pub fn forgotten_until(&self) -> Result<Option<Timestamp>, StoreError> {
        match &self.0 {
            Source::Open(inner) => Ok(inner.core().forgotten_until),
            Source::Followed { .. } => Ok(self.read(read_state)?.forgotten_until),
        }
    }

    /// Returns the chains that were verified here as a forest, beside the revocations in force.
    pub fn lineage(&self) -> Result<SeenChains, StoreError> {
        Ok(SeenChains::new(self.seen()?, self.revocations()?))
    }

    /// Counts how much these revocations stop, as of `now`, of the chains that were seen here. They may be made already, with their
    /// `receipts`, or not yet, without any: the count is the one before they were made. `None` if the store remembers more than `most`
    /// blocks, since each of them is looked at.
    pub fn stops(
        &self,
        revocations: &[Revocation],
        receipts: &[Receipt],
        now: Timestamp,
        most: u64,
    ) -> Result<Option<Stops>, StoreError> {
        if self.has_seen_more_than(most)? {
            return Ok(None);
        }
        let chains = SeenChains::before(self.seen()?, self.revocations()?, receipts);
        Ok(Some(chains.stops(revocations, now)))
    }

    /// Returns the ids of grants and hops seen here that begin with `beginning`, in order: 8 at most.
    pub fn ids_beginning(&self, beginning: &IdPrefix) -> Result<Vec<RevocationId>, StoreError> {
        self.some_ids_beginning(beginning, MAX_ALIKE)
    }

    pub(super) fn some_ids_beginning(
        &self,
        beginning: &IdPrefix,
        at_most: usize,
    ) -> Result<Vec<RevocationId>, StoreError> {
        let (noticed, _) = self.noticed();
        let noticed = noticed.iter().map(|block| block.id).filter(|id| beginning.begins(id));
        let newer = self.newer(Reach::Answered)?;
        let newer =
            newer.iter().flat_map(|entry| &entry.effects).filter_map(|effect| match effect {
                Effect::See(block) if beginning.begins(&block.id) => Some(block.id),
                _ => None,
            });
        let (first, last) = beginning.range();
        let mut ids = self.read(|reading| {
            let table = reading.open_table(SEEN)?;
            let rows = table.range(first..=last)?.take(at_most);
            let ids = rows.map(|row| Ok(RevocationId::from_bytes(row?.0.value())));
            ids.collect::<Result<BTreeSet<_>, StoreError>>()
        })?;
        ids.extend(newer.chain(noticed));
        Ok(ids.into_iter().take(at_most).collect())
    }

    /// What the journal has and the database may not have yet, in order.
    fn newer(&self, reach: Reach) -> Result<Vec<Entry>, StoreError> {
        if let Source::Open(inner) = &self.0 {
            inner.engine.here()?;
        }
        match (&self.0, reach) {
            (Source::Open(inner), Reach::Answered) => {
                Ok(inner.core().unfolded().cloned().collect())
            }
            (Source::Open(inner), Reach::Written) => {
                let core = inner.core();
                Ok(core.folding.iter().chain(&core.pending).cloned().collect())
            }
            (Source::Followed { files, .. }, _) => self.followed(files),
        }
    }

    /// What the journal has beyond the database, of a store to which another process writes. While it is read, segments may be used again:
    /// then what was there is in the database, and it is read once more.
    fn followed(&self, files: &Arc<Files>) -> Result<Vec<Entry>, StoreError> {
        let path = files.path().unwrap_or(Path::new("")).to_owned();
        let mut tries = 0;
        loop {
            let Identity { id, state, .. } = self.read(|reading| identity(reading, &path))?;
            let journal = open_journal(&Followed(Arc::clone(files)), &id)?;
            match journal.read(state.records, state.last) {
                Ok(frames) => return Ok(frames.into_iter().flat_map(|f| f.entries).collect()),
                Err(error) if tries == MAX_TRIES => {
                    return Err(StoreError::damaged(Some(&path), error));
                }
                Err(_) => tries += 1,
            }
        }
    }

    /// Returns the log's public key, with which its checkpoints and proofs are verified elsewhere.
    pub fn log_key(&self) -> Result<LogKey, StoreError> {
        match &self.0 {
            Source::Open(inner) => Ok(inner.signer.key().clone()),
            Source::Followed { files, .. } => {
                let path = files.path().unwrap_or(Path::new("")).to_owned();
                let identity = self.read(|reading| identity(reading, &path))?;
                Ok(CheckpointSigner::new(&identity.id, identity.key)?.key().clone())
            }
        }
    }

    /// Returns whether another process had the store open for writing when this reader opened it.
    pub fn follows(&self) -> bool {
        matches!(self.0, Source::Followed { .. })
    }

    /// Returns the last checkpoint: the signed head of the log, up to a second old.
    pub fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        let site: &dyn Site = match &self.0 {
            Source::Open(inner) => inner.engine.site(),
            Source::Followed { files, .. } => &**files,
        };
        let text = site.checkpoint().map_err(|error| StoreError::file(site.path(), error))?;
        let text = text.ok_or(StoreError::Unreadable { what: "checkpoint", number: 0 })?;
        Ok(Checkpoint::verify(&text, &self.log_key()?)?)
    }

    /// Checks the pages that nobody has read yet, of a store that was opened without it. Of a store that another process has open, that
    /// process does.
    pub(super) fn check_once(&self) -> Result<(), StoreError> {
        match &self.0 {
            Source::Open(inner) => inner.check_once(),
            Source::Followed { .. } => Ok(()),
        }
    }

    /// The head of what this reader sees, signed now if it was not yet.
    pub(super) fn current_checkpoint(&self) -> Result<Checkpoint, StoreError> {
        match &self.0 {
            Source::Open(inner) => inner.fold(),
            Source::Followed { .. } => self.checkpoint(),
        }
    }

    /// Proves that the record with the number `sequence` is in the log, to whoever has the log's key: an inclusion proof (RFC 6962,
    /// section 2.1.1) with the signed head. An open store signs its head first.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRecord`] if the last checkpoint signs no such record; [`StoreError::InArchive`] if it is archived:
    /// [`StoreReader::prove_archived`] proves it then.
    pub fn prove(&self, sequence: u64) -> Result<InclusionProof, StoreError> {
        if let Source::Open(inner) = &self.0 {
            inner.fold()?;
        }
        let checkpoint = self.checkpoint()?;
        let last = checkpoint.size();
        if !(1..=last).contains(&sequence) {
            return Err(StoreError::NoRecord { sequence, last });
        }
        self.read(|reading| {
            let records = Log::open(reading)?;
            if sequence <= records.archived {
                return Err(StoreError::InArchive { sequence, archived: records.archived });
            }
            let path = log::path(checkpoint.size(), sequence, stored(&records.table))?;
            let missing = StoreError::Unreadable { what: "record", number: sequence };
            let record = records.unchanged(sequence)?.ok_or(missing)?;
            Ok(InclusionProof::of(sequence, record, path, &checkpoint))
        })
    }

    /// Returns the path of the store's database; `None` for a store in memory.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Source::Open(inner) => inner.engine.site().path(),
            Source::Followed { files, .. } => files.path(),
        }
    }

    pub(super) fn read<T>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &self.0 {
            Source::Open(inner) => inner.engine.read(read),
            Source::Followed { database, .. } => read(&database.read()?),
        }
    }
}

/// A revocation as its record tells it, which must be what the table has.
pub(super) fn told(log: &Log, row: &InForce) -> Result<RevocationEntry, StoreError> {
    let sequence = row.sequence;
    let unreadable = || StoreError::Unreadable { what: "revocation", number: sequence };
    let record = log.unchanged(sequence)?.ok_or_else(unreadable)?;
    let record: AuditRecord = decode(&record, "record", sequence)?;
    let AuditEvent::Revocation(notice) = record.event else { return Err(unreadable()) };
    let entry = RevocationEntry { sequence, notice };
    if InForce::from(&entry) == *row { Ok(entry) } else { Err(unreadable()) }
}
