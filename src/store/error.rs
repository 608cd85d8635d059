//! Error: a store that cannot be opened, read or written, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use redb::DatabaseError;

use crate::cause::Cause;
use crate::names::NameError;
use crate::process::Process;
use crate::revocation::RequestId;
use crate::store::clock::ClockDoubt;

/// An error of a store: it cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file cannot be opened, made, read or written.
    #[error("store {}{}", path.display(), crate::file::meaning(source))]
    File {
        /// The file's path.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// There is no store at this path.
    #[error("there is no store at {}; is the path right? To make a new one: hardtack store create {}", path.display(), quoted(path))]
    NotThere {
        /// The path that was given.
        path: PathBuf,
    },
    /// There is no folder in which the store could be.
    #[error("store {}: there is no folder {}; is the path right? If so, make the folder first", path.display(), folder.display())]
    NoFolder {
        /// The path that was given for the store.
        path: PathBuf,
        /// The folder that is missing.
        folder: PathBuf,
    },
    /// The making of the store was interrupted. Nothing was ever recorded in it; [`Store::create`](crate::Store::create) replaces it.
    #[error(
        "store {} was not finished: whoever made it was interrupted, and nothing was ever recorded in it; make it again: hardtack store create {}", path.display(), quoted(path)
    )]
    Unfinished {
        /// The store's path.
        path: PathBuf,
    },
    /// A restoration was interrupted while the parts of the store were moved to their place. The same restoration, begun again, finishes
    /// the move.
    #[error(
        "store {} was being restored, and whoever did it was interrupted; give the same command (hardtack store restore) again, which finishes it", path.display()
    )]
    HalfRestored {
        /// The store's path.
        path: PathBuf,
    },
    /// The store's database is missing, and other parts of it are there.
    #[error(
        "{} is there and {} is not: a store has lost its database. Put it back, or bring it back from a backup (hardtack store restore); to begin anew and lose what was revoked and recorded, move the rest away", left.display(), path.display()
    )]
    WithoutDatabase {
        /// The path of the missing database.
        path: PathBuf,
        /// The path of a part that is there.
        left: PathBuf,
    },
    /// Another process has the store open for writing. One at a time can.
    #[error(
        "store {} is in use by another process, and one at a time can write to it. If that is a gateway, ask it (hardtack revoke --at URL revokes there, and it decides the calls that are sent to it), or stop it first; hardtack audit, revocations, store check and store backup look into the store meanwhile", path.display()
    )]
    InUse {
        /// The store's path.
        path: PathBuf,
    },
    /// The file is no store, or none that this version can read. Nothing was changed in it.
    #[error("{} is not a Hardtack store that this version can read; nothing was changed in it", path.display())]
    Foreign {
        /// The file's path.
        path: PathBuf,
    },
    /// A later version of Hardtack made the store or took it over. Nothing was changed in it.
    #[error(
        "store {} has format {format}, and this version of Hardtack reads formats up to {reads}; nothing was changed in it. Use the version that wrote it, or a later one", path.display()
    )]
    Newer {
        /// The store's path.
        path: PathBuf,
        /// The number of the store's format.
        format: u32,
        /// The number of the last format that this version reads.
        reads: u32,
    },
    /// The journal or the checkpoint of the store is missing, so that nobody can say whether anything was lost.
    #[error(
        "store {}: {part} is missing, without which it cannot be known whether anything was lost; bring it back beside the store, or see `hardtack store recover`", path.display()
    )]
    Incomplete {
        /// The store's path.
        path: PathBuf,
        /// The missing part's file name.
        part: String,
    },
    /// The path is a symbolic link to a store, beside which the store's other parts are missing. Name the store itself.
    #[error(
        "store {} is a link to {}, and its journal and checkpoint are looked for beside the link; name the store itself", path.display(), target.display()
    )]
    Link {
        /// The link's path.
        path: PathBuf,
        /// The path to which it leads.
        target: PathBuf,
    },
    /// The store is damaged. Restore it from a backup.
    #[error(
        "store {} is damaged ({problem}); restore it from a backup (`hardtack store restore`) or save what can be read (`hardtack store recover`)", path.display()
    )]
    Damaged {
        /// The store's path.
        path: PathBuf,
        /// The first thing that was found wrong.
        problem: String,
    },
    /// The store was rolled back: it is older than what its checkpoint signed, and may not know what was revoked since.
    #[error(
        "store {} was rolled back: it ends at record {records}, and its checkpoint signs {signed}; an older copy does not know what was revoked since: bring back the newest one, or see `hardtack store restore`", path.display()
    )]
    RolledBack {
        /// The store's path.
        path: PathBuf,
        /// The number of records that the store has.
        records: u64,
        /// The number of records that its checkpoint signs.
        signed: u64,
    },
    /// The file is a backup, which does not know what was revoked after it was made: it is restored and not opened.
    #[error("{} is a backup; bring it into use with `hardtack store restore`", path.display())]
    Backup {
        /// The backup's path.
        path: PathBuf,
    },
    /// An entry of the database is not what was written there.
    #[error("{what} {number} cannot be read")]
    Unreadable {
        /// The kind of entry, such as `record`.
        what: &'static str,
        /// The entry's number; 0 for kinds without numbers.
        number: u64,
    },
    /// The last checkpoint signs no record with this number.
    #[error("there is no record {sequence}; the last is {last}")]
    NoRecord {
        /// The number that was asked for.
        sequence: u64,
        /// The last record's number.
        last: u64,
    },
    /// The record is in an archive, and no longer in the store.
    #[error(
        "record {sequence} is not in the store any more: the records up to {archived} are in archives; give their folder (--archives DIR)"
    )]
    InArchive {
        /// The number that was asked for.
        sequence: u64,
        /// The number of the last record that is in archives.
        archived: u64,
    },
    /// An archive of records, or a folder of them, is not what it should be.
    #[error("archive {}: {problem}", path.display())]
    Archive {
        /// The path of the file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An archive of records, or a folder of them, cannot be read or written.
    #[error("archive {}{}", path.display(), crate::file::meaning(source))]
    ArchiveFile {
        /// The path of the file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A name is not of its form, so that its revocation could never match.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Nothing was forgotten, since the clock is not trusted enough.
    #[error("nothing was forgotten: {0}")]
    Clock(#[from] ClockDoubt),
    /// Nothing was written: the database, the journal or the checkpoint does not work.
    #[error("nothing was written: {0}")]
    Engine(String),
    /// The revocation was not acknowledged. If it is not known what became of the write, it may be found in force later.
    #[error("not revoked: {0}")]
    NotRevoked(String),
    /// The request id was used already, for another revocation. Nothing is revoked; ask under a new id.
    #[error(
        "not revoked: the request {0} was made already, for something else; ask under a new id"
    )]
    OtherRequest(RequestId),
    /// The store is closed. Nothing was written.
    #[error("nothing was written: the store is closed")]
    Stopped,
    /// This process is a fork of the one that opened the store. Nothing was written; open the store after the fork.
    #[error(
        "nothing was written: process {opened_by} has opened the store, and this process is a fork of it; open the store after the fork, in the process that uses it"
    )]
    Forked {
        /// The process id of the one that opened it.
        opened_by: u32,
    },
    /// The restoration would lose records, and with them revocations, which [`RecordLoss::Refused`](crate::store::RecordLoss) does not allow; or its
    /// sources do not belong together. The text says which.
    #[error("{0}")]
    Restoring(String),
}

impl StoreError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            StoreError::File { .. } | StoreError::ArchiveFile { .. } | StoreError::Engine(_) => {
                Cause::StoreUnavailable
            }
            StoreError::NotThere { .. } | StoreError::NoFolder { .. } | StoreError::Link { .. } => {
                Cause::StoreNotThere
            }
            StoreError::Unfinished { .. } | StoreError::HalfRestored { .. } => {
                Cause::StoreUnfinished
            }
            StoreError::InUse { .. } => Cause::StoreInUse,
            StoreError::Foreign { .. } | StoreError::Newer { .. } => Cause::StoreForeign,
            StoreError::Backup { .. } => Cause::StoreIsBackup,
            StoreError::WithoutDatabase { .. }
            | StoreError::Incomplete { .. }
            | StoreError::Damaged { .. }
            | StoreError::Unreadable { .. } => Cause::StoreDamaged,
            StoreError::RolledBack { .. } => Cause::StoreRolledBack,
            StoreError::NoRecord { .. } | StoreError::InArchive { .. } => Cause::NoSuchRecord,
            StoreError::Archive { .. } => Cause::LogDamaged,
            StoreError::Name(error) => error.cause(),
            StoreError::Clock(error) => error.cause(),
            StoreError::NotRevoked(_) => Cause::NotRevoked,
            StoreError::OtherRequest(_) => Cause::OtherRequest,
            StoreError::Stopped => Cause::StoreClosed,
            StoreError::Forked { .. } => Cause::StoreForked,
            StoreError::Restoring(_) => Cause::RestoringLoses,
        }
    }
}

impl StoreError {
    /// Refuses in a process that is a fork of the one that opened the store.
    pub(super) fn unless_here(opened_by: Process) -> Result<(), StoreError> {
        match opened_by.is_elsewhere() {
            true => Err(StoreError::Forked { opened_by: opened_by.number() }),
            false => Ok(()),
        }
    }

    pub(super) fn in_use(path: &Path) -> StoreError {
        StoreError::InUse { path: path.to_owned() }
    }

    pub(super) fn file(path: Option<&Path>, source: io::Error) -> StoreError {
        StoreError::File { path: shown(path), source }
    }

    pub(super) fn archive(path: &Path, problem: impl ToString) -> StoreError {
        StoreError::Archive { path: path.to_owned(), problem: problem.to_string() }
    }

    pub(super) fn archive_file(path: &Path, source: io::Error) -> StoreError {
        StoreError::ArchiveFile { path: path.to_owned(), source }
    }

    pub(super) fn damaged(path: Option<&Path>, problem: impl ToString) -> StoreError {
        StoreError::Damaged { path: shown(path), problem: problem.to_string() }
    }

    pub(super) fn opening(path: Option<&Path>, error: DatabaseError) -> StoreError {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                StoreError::InUse { path: shown(path) }
            }
            DatabaseError::Storage(redb::StorageError::Io(source))
                if !matches!(
                    source.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                StoreError::file(path, source)
            }
            DatabaseError::Storage(redb::StorageError::Io(source))
                if source.kind() == io::ErrorKind::InvalidData =>
            {
                StoreError::Foreign { path: shown(path) }
            }
            error => StoreError::damaged(path, error),
        }
    }

    /// What an outage is called to whoever asked for a revocation.
    pub(super) fn not_revoked(self) -> StoreError {
        match self {
            StoreError::Engine(problem) => StoreError::NotRevoked(problem),
            StoreError::Stopped => StoreError::NotRevoked("the store is closed".to_owned()),
            error @ StoreError::Forked { .. } => StoreError::NotRevoked(error.to_string()),
            error => error,
        }
    }
}

/// A path as a shell takes it for one word.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/-+,:@%=".contains(c);
    match !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

fn shown(path: Option<&Path>) -> PathBuf {
    path.map_or_else(|| PathBuf::from("in memory"), Path::to_owned)
}

impl From<crate::audit::LogError> for StoreError {
    fn from(error: crate::audit::LogError) -> StoreError {
        match error {
            crate::audit::LogError::Unreadable { sequence } => {
                StoreError::Unreadable { what: "record", number: sequence }
            }
            error => StoreError::Engine(error.to_string()),
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

engine_errors!(
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    io::Error,
    crate::log::TreeError,
    crate::audit::CheckpointError
);

/// A journal that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Damaged(&'static str),
    #[error("it is in use by another process")]
    InUse,
}
