//! Store: revocations, records and accepted presentations, in one file that survives.
//!
//! The only folder that names redb. One thread writes; whoever waits for it meanwhile shares the next
//! commit, so that one caller has the latency of one and many have the throughput of many.

mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};

use crate::audit::{AuditRecord, Ledger, LedgerUnavailable, Once, Settlement};
use crate::names::NameError;
use crate::revocation::{RevocationEntry, Revocations};
use crate::store::writer::{Job, write_all};

/// What says that a file is a store, and in which form it is written.
const META: TableDefinition<&str, &str> = TableDefinition::new("meta");
const FORMAT: (&str, &str) = ("format", "hardtack-store-1");

/// Revocations by number, as JSON.
const REVOCATIONS: TableDefinition<u64, &[u8]> = TableDefinition::new("revocations");

/// Records by number, as JSON.
const RECORDS: TableDefinition<u64, &[u8]> = TableDefinition::new("records");

/// Accepted call-bound presentations by id, with their expiry in seconds since 1970.
const ACCEPTED: TableDefinition<[u8; 64], u64> = TableDefinition::new("accepted");

/// The same by expiry, so that the oldest are found first.
const ACCEPTED_BY_EXPIRY: TableDefinition<(u64, [u8; 64]), ()> =
    TableDefinition::new("accepted-by-expiry");

/// The latest expiry of a presentation that was forgotten. What expires no later is refused: it may
/// have been accepted before, whatever the clock has done since.
const MARKS: TableDefinition<&str, u64> = TableDefinition::new("marks");
const FORGOTTEN_UNTIL: &str = "forgotten-until";

/// How many jobs may wait before callers do.
const QUEUE: usize = 1024;

/// An open store. Clones share it; the file is closed when the last is dropped.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    database: Arc<Database>,
    revocations: Revocations,
    writer: Mutex<Option<Writer>>,
    path: Option<PathBuf>,
}

struct Writer {
    jobs: SyncSender<Job>,
    thread: JoinHandle<()>,
}

impl Store {
    /// Opens a store that exists.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; a file that is damaged, or no store, is never opened as an empty one.
    pub fn open(path: impl AsRef<Path>) -> Result<Store, StoreError> {
        let path = path.as_ref();
        // An empty file would be made into a new store.
        let size = std::fs::metadata(path).map_err(|source| StoreError::file(path, source))?.len();
        if size == 0 {
            return Err(StoreError::Foreign { path: path.to_owned() });
        }
        let database = builder().open(path).map_err(|error| StoreError::opening(path, error))?;
        refuse_foreign(&database, path)?;
        Store::start(database, Some(path.to_owned()))
    }

    /// Makes a new store, readable by its owner only.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] if the file exists already.
    pub fn create(path: impl AsRef<Path>) -> Result<Store, StoreError> {
        let path = path.as_ref();
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|source| StoreError::file(path, source))?;
        let database = FileBackend::new(file).and_then(|file| builder().create_with_backend(file));
        let database = database.map_err(|error| StoreError::opening(path, error))?;
        initialise(&database)?;
        Store::start(database, Some(path.to_owned()))
    }

    /// A store in memory: the same engine, for tests and for trying things out.
    pub fn in_memory() -> Result<Store, StoreError> {
        let database = builder().create_with_backend(InMemoryBackend::new());
        let database = database.map_err(|error| StoreError::Engine(error.to_string()))?;
        initialise(&database)?;
        Store::start(database, None)
    }

    /// Revokes. When this returns, the revocation is on disk and every verifier that asks
    /// [`Store::revocations`] knows it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then nothing is revoked.
    pub fn revoke(&self, entry: RevocationEntry) -> Result<(), StoreError> {
        self.revoke_all(vec![entry])
    }

    /// Revokes all of these in one commit, or none.
    pub fn revoke_all(&self, entries: Vec<RevocationEntry>) -> Result<(), StoreError> {
        entries.iter().try_for_each(RevocationEntry::check)?;
        self.ask(|answer| Job::Revoke { entries, answer })
    }

    /// The set that verifiers ask, which this store keeps up to date.
    pub fn revocations(&self) -> Revocations {
        self.0.revocations.clone()
    }

    /// Every revocation, in the order in which they were made.
    pub fn list_revocations(&self) -> Result<Vec<RevocationEntry>, StoreError> {
        read_revocations(&self.0.database)
    }

    /// Hands every record to `see`, in order.
    pub fn each_record(&self, mut see: impl FnMut(AuditRecord)) -> Result<(), StoreError> {
        let reading = self.0.database.begin_read()?;
        for entry in reading.open_table(RECORDS)?.iter()? {
            let (number, json) = entry?;
            see(decode(json.value(), "record", number.value())?);
        }
        Ok(())
    }

    /// Where it is kept; `None` in memory.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    fn start(database: Database, path: Option<PathBuf>) -> Result<Store, StoreError> {
        let revocations = Revocations::default();
        read_revocations(&database)?.iter().for_each(|entry| revocations.add(entry));
        let database = Arc::new(database);
        let (jobs, queue) = mpsc::sync_channel(QUEUE);
        let (theirs, known) = (Arc::clone(&database), revocations.clone());
        let thread = std::thread::Builder::new().name("hardtack-store".to_owned());
        let thread = thread.spawn(move || write_all(&theirs, &known, &queue));
        let thread = thread.map_err(|error| StoreError::Engine(error.to_string()))?;
        let writer = Mutex::new(Some(Writer { jobs, thread }));
        Ok(Store(Arc::new(Shared { database, revocations, writer, path })))
    }

    /// Hands a job to the writer and waits until it is on disk.
    fn ask<T>(
        &self,
        job: impl FnOnce(SyncSender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        let (answer, answered) = mpsc::sync_channel(1);
        let jobs = {
            let writer = self.0.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            writer.as_ref().map(|writer| writer.jobs.clone()).ok_or(StoreError::Stopped)?
        };
        jobs.send(job(answer)).map_err(|_| StoreError::Stopped)?;
        answered.recv().map_err(|_| StoreError::Stopped)?
    }
}

impl Ledger for Store {
    fn settle(
        &self,
        record: AuditRecord,
        once: Option<Once>,
    ) -> Result<Settlement, LedgerUnavailable> {
        let settled = self.ask(|answer| Job::Settle { record: Box::new(record), once, answer });
        settled.map_err(|error| LedgerUnavailable(error.to_string()))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.0.path).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    /// Waits until what was handed over is written and the file is closed.
    fn drop(&mut self) {
        let writer = self.writer.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(Writer { jobs, thread }) = writer.take() {
            drop(jobs);
            // The thread's own failure was answered to whoever waited for it.
            let _ = thread.join();
        }
    }
}

/// Earlier versions of redb could open a damaged file as an empty one; the check on opening finds
/// damage that would otherwise be met in the middle of a decision.
fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_check_integrity_on_open(true);
    builder
}

/// Two-phase commit: agents choose some of the bytes that are stored, and must not be able to make a
/// torn write look whole.
fn begin(database: &Database) -> Result<WriteTransaction, StoreError> {
    let mut writing = database.begin_write()?;
    writing.set_two_phase_commit(true);
    Ok(writing)
}

fn initialise(database: &Database) -> Result<(), StoreError> {
    let writing = begin(database)?;
    {
        writing.open_table(META)?.insert(FORMAT.0, FORMAT.1)?;
        writing.open_table(REVOCATIONS)?;
        writing.open_table(RECORDS)?;
        writing.open_table(ACCEPTED)?;
        writing.open_table(ACCEPTED_BY_EXPIRY)?;
        writing.open_table(MARKS)?;
    }
    Ok(writing.commit()?)
}

fn refuse_foreign(database: &Database, path: &Path) -> Result<(), StoreError> {
    let foreign = || StoreError::Foreign { path: path.to_owned() };
    let reading = database.begin_read()?;
    let meta = reading.open_table(META).map_err(|_| foreign())?;
    let format = meta.get(FORMAT.0)?.ok_or_else(foreign)?;
    if format.value() == FORMAT.1 { Ok(()) } else { Err(foreign()) }
}

fn read_revocations(database: &Database) -> Result<Vec<RevocationEntry>, StoreError> {
    let reading = database.begin_read()?;
    let table = reading.open_table(REVOCATIONS)?;
    let entries = table.iter()?.map(|entry| {
        let (number, json) = entry?;
        decode(json.value(), "revocation", number.value())
    });
    entries.collect()
}

fn decode<T: serde::de::DeserializeOwned>(
    json: &[u8],
    what: &'static str,
    number: u64,
) -> Result<T, StoreError> {
    serde_json::from_slice(json).map_err(|_| StoreError::Unreadable { what, number })
}

/// A store that cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be opened or made.
    #[error("store {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("store {} is in use by another process; one process at a time can open it", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Not a store, or not one of this version.
    #[error("{} is not a Hardtack store that this version can read; nothing was changed in it", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Damaged.
    #[error("store {} is damaged ({problem}); nothing was changed in it; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the engine found.
        problem: String,
    },
    /// An entry that is not what was written.
    #[error("{what} {number} cannot be read")]
    Unreadable {
        /// What kind of entry.
        what: &'static str,
        /// Its number.
        number: u64,
    },
    /// A revocation whose name could never match.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The engine refused. Nothing was written.
    #[error("nothing was written: {0}")]
    Engine(String),
    /// The writer has stopped. Nothing was written.
    #[error("nothing was written: the store has stopped")]
    Stopped,
}

impl StoreError {
    fn file(path: &Path, source: io::Error) -> StoreError {
        StoreError::File { path: path.to_owned(), source }
    }

    fn opening(path: &Path, error: DatabaseError) -> StoreError {
        match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path.to_owned() },
            DatabaseError::Storage(redb::StorageError::Io(source))
                if source.kind() != io::ErrorKind::InvalidData =>
            {
                StoreError::file(path, source)
            }
            DatabaseError::Storage(redb::StorageError::Io(_)) => {
                StoreError::Foreign { path: path.to_owned() }
            }
            error => StoreError::Damaged { path: path.to_owned(), problem: error.to_string() },
        }
    }
}

macro_rules! engine_errors {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> StoreError {
                StoreError::Engine(error.to_string())
            }
        }
    )*};
}

engine_errors!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::Revocation;
    use crate::timestamp::Timestamp;

    fn agent(name: &str) -> RevocationEntry {
        RevocationEntry {
            revocation: Revocation::Agent { agent: name.to_owned() },
            revoked: Timestamp::from_unix_seconds(1_795_428_000),
            reason: "lost".to_owned(),
        }
    }

    #[test]
    fn what_is_revoked_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let store = Store::create(&path).unwrap();
        store.revoke(agent("agent.a")).unwrap();
        store.revoke_all(vec![agent("agent.b"), agent("agent.c")]).unwrap();
        drop(store);
        let entries = Store::open(&path).unwrap().list_revocations().unwrap();
        assert_eq!(entries, [agent("agent.a"), agent("agent.b"), agent("agent.c")]);
    }

    #[test]
    fn what_is_no_store_is_never_opened_as_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        assert!(matches!(Store::open(&path), Err(StoreError::File { .. })));
        std::fs::write(&path, "").unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Foreign { .. })));
        std::fs::write(&path, "not a store").unwrap();
        assert!(matches!(
            Store::open(&path),
            Err(StoreError::Foreign { .. } | StoreError::Damaged { .. })
        ));
        assert_eq!(std::fs::read(&path).unwrap(), b"not a store");
        std::fs::remove_file(&path).unwrap();
        drop(Database::create(&path).unwrap());
        assert!(matches!(Store::open(&path), Err(StoreError::Foreign { .. })));
    }

    #[test]
    fn an_existing_file_is_never_made_into_a_new_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(Store::create(&path), Err(StoreError::File { .. })));
    }

    #[test]
    fn a_store_in_use_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let _open = Store::create(&path).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })));
    }

    #[test]
    fn a_name_that_could_never_match_is_not_revoked() {
        let store = Store::in_memory().unwrap();
        assert!(matches!(store.revoke(agent("agent:a")), Err(StoreError::Name(_))));
        assert_eq!(store.list_revocations().unwrap(), []);
    }
}
