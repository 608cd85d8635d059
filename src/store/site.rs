//! Site: where a store's three parts are: the database, the journal and the checkpoint.
//!
//! In a folder they are the files `NAME`, `NAME.journal` and `NAME.checkpoint`; in memory they are the
//! same engine over bytes.

use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{BackendError, ConcurrencyMode, StorageBackend};

use crate::process::Process;
use crate::store::StoreError;
use crate::store::journal::{Journal, MakingMark};
use crate::store::overlay::Overlay;
use crate::store::sealed::ALWAYS_CHECKED;

/// The most memory for pages of the database. A million revocations take some 300 MB on disk, and are
/// looked up elsewhere.
pub(super) const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// How often it is tried to be the only one that makes a store in a folder, and how long it is waited in
/// between: some seconds. To make one takes some milliseconds, to restore a large one seconds.
const MAKING_TRIES: usize = 500;
const MAKING_PAUSE: Duration = Duration::from_millis(20);

/// Whoever lays out a store.
pub(super) trait Site: Debug + Send + Sync {
    /// The database's bytes. Asked again after each failure.
    fn database(&self) -> io::Result<Backend>;

    /// The journal's bytes.
    fn journal(&self) -> io::Result<Backend>;

    /// Puts the first bytes of a new store's database in its place, durably.
    fn lay_database(&self, _store: &[u8; 16], bytes: &[u8]) -> io::Result<()> {
        let database = self.database()?;
        database.set_len(bytes.len() as u64)?;
        database.write(0, bytes)?;
        database.sync_data()
    }

    /// The checkpoint's text, if there is one.
    fn checkpoint(&self) -> io::Result<Option<String>>;

    /// Replaces the checkpoint whole, durably.
    fn keep_checkpoint(&self, text: &str) -> io::Result<()>;

    /// The file by which people know it.
    fn path(&self) -> Option<&Path>;

    /// Whether what is written here gets to the store, and other writers are to be kept out.
    fn is_written(&self) -> bool {
        true
    }

    /// The length up to which a database is checked whole whenever it is opened.
    fn always_checked(&self) -> u64 {
        ALWAYS_CHECKED
    }

    /// The most memory for pages of the database.
    fn cache_bytes(&self) -> usize {
        CACHE_BYTES
    }

    /// Whether other processes may read what this one writes, for which files can be locked in part.
    fn sharing(&self) -> ConcurrencyMode {
        ConcurrencyMode::ExclusiveWriter
    }
}

/// Any bytes that redb and the journal write to. In a fork of the process that opened them they are neither
/// read nor written, and their locks, which are the other process's, are left alone.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    bytes: Arc<dyn StorageBackend>,
    opened_by: Process,
}

impl Backend {
    pub(super) fn new(backend: impl StorageBackend) -> Backend {
        Backend::of(Arc::new(backend))
    }

    fn of(bytes: Arc<dyn StorageBackend>) -> Backend {
        Backend { bytes, opened_by: Process::here() }
    }

    fn here(&self) -> io::Result<&dyn StorageBackend> {
        let refused = StoreError::unless_here(self.opened_by);
        refused.map(|()| &*self.bytes).map_err(io::Error::other)
    }

    fn to_lock(&self) -> Result<&dyn StorageBackend, BackendError> {
        self.here().map_err(BackendError::Io)
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.here()?.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.here()?.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.here()?.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.here()?.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.here()?.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.here().map_or(Ok(()), |bytes| bytes.close())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.to_lock()?.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.to_lock()?.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.to_lock()?.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.to_lock()?.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.to_lock()?.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.to_lock()?.query_lock_range(start, end)
    }
}

/// A store in files.
#[derive(Debug)]
pub(super) struct Files {
    database: PathBuf,
    journal: PathBuf,
    checkpoint: PathBuf,
}

impl Files {
    pub(super) fn at(path: &Path) -> Files {
        let beside = |what: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(what);
            PathBuf::from(name)
        };
        Files {
            database: path.to_owned(),
            journal: beside(".journal"),
            checkpoint: beside(".checkpoint"),
        }
    }

    /// Database, journal and checkpoint.
    pub(super) fn parts(&self) -> [&Path; 3] {
        [&self.database, &self.journal, &self.checkpoint]
    }

    /// The parts that are there, by name.
    pub(super) fn existing(&self) -> Vec<&Path> {
        // A link that leads nowhere is there, too.
        let is_there = |part: &&Path| part.symlink_metadata().is_ok();
        self.parts().into_iter().filter(is_there).collect()
    }

    /// Whether there is a journal.
    pub(super) fn has_journal(&self) -> bool {
        self.journal.exists()
    }

    /// Whether a process has the store open for writing.
    pub(super) fn has_writer(&self) -> io::Result<bool> {
        let journal = open(&self.journal, Access::Read)?;
        match journal.try_lock_shared_range(Bound::Unbounded, Bound::Unbounded) {
            Ok(free) => {
                journal.close()?;
                Ok(!free)
            }
            // Where files cannot be locked, nobody can tell.
            Err(BackendError::Unsupported) => Ok(false),
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    }

    /// Waits until nobody else makes a store in the folder, and keeps others from it until what is returned
    /// is dropped. Where folders cannot be locked, `None`: then no file is made twice, but whoever comes
    /// second may find half a store.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] if another takes too long.
    pub(super) fn make_alone(&self) -> Result<Option<File>, StoreError> {
        let Ok(folder) = File::open(folder_of(&self.database)) else { return Ok(None) };
        for _ in 0..MAKING_TRIES {
            match folder.try_lock() {
                Ok(()) => return Ok(Some(folder)),
                Err(TryLockError::WouldBlock) => std::thread::sleep(MAKING_PAUSE),
                Err(TryLockError::Error(_)) => return Ok(None),
            }
        }
        Err(StoreError::in_use(&self.database))
    }

    /// Makes the journal, empty and readable by its owner only. Of several that make a store, one gets here, also
    /// where folders cannot be locked.
    pub(super) fn make_journal(&self) -> io::Result<()> {
        make(&self.journal)
    }

    /// What [`Journal::mark`] says, if the journal is a file; `None` if it is not there or anything else.
    pub(super) fn mark(&self) -> io::Result<Option<MakingMark>> {
        match regular(&self.journal) {
            Ok(()) => Journal::mark(&open(&self.journal, Access::Read)?).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Takes away the parts of a store that was not finished, whose journal bears this mark. The journal goes
    /// last and durably after the others: as long as anything is left, it tells what it is.
    pub(super) fn clear(&self, mark: MakingMark) -> io::Result<()> {
        let laid = match mark {
            MakingMark::Making(id) => Some(self.database_in_the_making(&id)),
            MakingMark::Blank | MakingMark::Other => None,
        };
        let parts =
            [Some(&self.checkpoint), Some(&self.database), laid.as_ref(), Some(&self.journal)];
        for part in parts.into_iter().flatten() {
            match std::fs::remove_file(part) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => {
                    removed?;
                    sync_folder(part)?;
                }
            }
        }
        Ok(())
    }

    /// Where the first bytes of a database are written before they get its name. Nobody else names a file so.
    fn database_in_the_making(&self, store: &[u8; 16]) -> PathBuf {
        let mut name = self.database.as_os_str().to_owned();
        name.push(format!(".making-{}", hex::encode(store)));
        PathBuf::from(name)
    }

    /// Makes the database and the journal, both empty and readable by their owner only; or neither.
    pub(super) fn make(&self) -> io::Result<()> {
        make(&self.database)?;
        make(&self.journal).inspect_err(|_| {
            // What cannot be removed is named by the next attempt.
            let _ = std::fs::remove_file(&self.database);
        })
    }

    /// Makes the database alone, for a backup.
    pub(super) fn make_database(&self) -> io::Result<()> {
        make(&self.database)
    }
}

impl Site for Files {
    fn database(&self) -> io::Result<Backend> {
        open(&self.database, Access::Write)
    }

    fn journal(&self) -> io::Result<Backend> {
        open(&self.journal, Access::Write)
    }

    /// Whole or not at all: under its name there is never a part of a database.
    fn lay_database(&self, store: &[u8; 16], bytes: &[u8]) -> io::Result<()> {
        let new = self.database_in_the_making(store);
        let mut file = new_file(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        if self.database.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        std::fs::rename(&new, &self.database)?;
        sync_folder(&self.database)
    }

    fn checkpoint(&self) -> io::Result<Option<String>> {
        let read = regular(&self.checkpoint).and_then(|()| std::fs::read(&self.checkpoint));
        match read {
            // What is no text is no checkpoint, which whoever reads it will say.
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn keep_checkpoint(&self, text: &str) -> io::Result<()> {
        let mut new = self.checkpoint.as_os_str().to_owned();
        new.push(".new");
        // What a killed process left; or a link, which is not to be written through.
        let _ = std::fs::remove_file(&new);
        let mut file = new_file(new.as_ref())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &self.checkpoint)?;
        sync_folder(&self.checkpoint)
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.database)
    }

    fn sharing(&self) -> ConcurrencyMode {
        ConcurrencyMode::SingleWriter
    }
}

fn make(path: &Path) -> io::Result<()> {
    new_file(path)?;
    sync_folder(path)
}

fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// A new name is on disk when its folder is.
#[cfg(unix)]
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

#[cfg(not(unix))]
pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Refuses pipes and devices: to open a pipe waits for whoever is at its other end.
fn regular(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path)?.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is no regular file")),
    }
}

enum Access {
    Read,
    Write,
}

fn open(path: &Path, access: Access) -> io::Result<Backend> {
    regular(path)?;
    let mut options = OpenOptions::new();
    options.read(true).write(matches!(access, Access::Write));
    let backend = FileBackend::new(options.open(path)?);
    backend.map(Backend::new).map_err(io::Error::other)
}

/// A store's files of which nothing is changed: what is written is kept in memory.
#[derive(Debug)]
pub(super) struct Untouched(pub(super) Files);

impl Site for Untouched {
    fn database(&self) -> io::Result<Backend> {
        over(&self.0.database)
    }

    fn journal(&self) -> io::Result<Backend> {
        over(&self.0.journal)
    }

    fn checkpoint(&self) -> io::Result<Option<String>> {
        self.0.checkpoint()
    }

    fn keep_checkpoint(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn path(&self) -> Option<&Path> {
        self.0.path()
    }

    fn sharing(&self) -> ConcurrencyMode {
        self.0.sharing()
    }

    fn is_written(&self) -> bool {
        false
    }
}

/// Files to which another process writes: they are read, and not locked.
#[derive(Debug)]
pub(super) struct Followed(pub(super) Arc<Files>);

impl Site for Followed {
    fn database(&self) -> io::Result<Backend> {
        open(&self.0.database, Access::Read)
    }

    fn journal(&self) -> io::Result<Backend> {
        open(&self.0.journal, Access::Read)
    }

    fn checkpoint(&self) -> io::Result<Option<String>> {
        self.0.checkpoint()
    }

    fn keep_checkpoint(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn path(&self) -> Option<&Path> {
        self.0.path()
    }
}

/// The lock that keeps a writer out is exclusive, for which the file must be open for writing. On a file
/// that cannot be written a shared lock does as well: there is no writer, or it holds the file.
fn over(path: &Path) -> io::Result<Backend> {
    let overlay = match open(path, Access::Write) {
        Ok(backend) => Overlay::over(backend)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
        Err(_) => Overlay::over(open(path, Access::Read)?)?.sharing_locks(),
    };
    Ok(Backend::new(overlay))
}

/// A store in memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    database: Arc<InMemoryBackend>,
    journal: Arc<InMemoryBackend>,
    checkpoint: Mutex<Option<String>>,
}

impl Site for Memory {
    fn database(&self) -> io::Result<Backend> {
        Ok(Backend::of(self.database.clone()))
    }

    fn journal(&self) -> io::Result<Backend> {
        Ok(Backend::of(self.journal.clone()))
    }

    fn checkpoint(&self) -> io::Result<Option<String>> {
        Ok(self.checkpoint.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone())
    }

    fn keep_checkpoint(&self, text: &str) -> io::Result<()> {
        let mut kept = self.checkpoint.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *kept = Some(text.to_owned());
        Ok(())
    }

    fn path(&self) -> Option<&Path> {
        None
    }
}
