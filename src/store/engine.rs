//! Engine: the database, opened again after a failure.
//!
//! After an error of the disk redb refuses all work until it is opened anew. While that does not
//! succeed, the database is read over an [overlay](super::overlay), which needs nothing of the disk but
//! reading.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageBackend,
};

use crate::chain::RevocationId;
use crate::process::Process;
use crate::store::StoreError;
use crate::store::content::{Content, Writing};
use crate::store::overlay::Overlay;
use crate::store::schema::{ACCEPTED, ACCEPTED_BY_EXPIRY};
use crate::store::site::{Backend, Site};
use crate::timestamp::Timestamp;

#[derive(Debug)]
pub(super) struct Engine {
    site: Arc<dyn Site>,
    slot: RwLock<Slot>,
    /// Whoever writes to the file has it.
    writing: Mutex<()>,
    /// What decisions rest on, as it was read at the opening and written since; `None` if that is not known.
    content: Mutex<Option<Content>>,
    opened_by: Process,
}

#[derive(Debug)]
enum Slot {
    Open(Database),
    ReadOnly(Database),
    /// Between two attempts.
    Closed,
    /// For good: the store was closed, and the file may be somebody else's.
    Shut,
}

impl Engine {
    /// Opens what is there. What cannot be repaired or marked as open because the disk takes nothing is
    /// opened for reading, and tried again with the next write.
    pub(super) fn open(site: Arc<dyn Site>, pages: Pages) -> Result<Engine, StoreError> {
        let backend = site.database().map_err(|error| StoreError::file(site.path(), error))?;
        let slot = match contained(|| Ok(open(&*site, backend, Existing::Required, pages))) {
            Ok(Ok(database)) => Slot::Open(database),
            Ok(Err(error)) => {
                let read_only = match error {
                    DatabaseError::Storage(
                        redb::StorageError::Io(_) | redb::StorageError::PreviousIo,
                    ) => read_only(&*site),
                    _ => None,
                };
                read_only.ok_or_else(|| StoreError::opening(site.path(), error))?
            }
            Err(error) => return Err(StoreError::damaged(site.path(), error)),
        };
        Ok(Engine::of(site, slot))
    }

    /// Makes a new database.
    pub(super) fn make(site: Arc<dyn Site>) -> Result<Engine, StoreError> {
        let backend = site.database().map_err(|error| StoreError::file(site.path(), error))?;
        let database = open(&*site, backend, Existing::None, Pages::Checked)
            .map_err(|error| StoreError::opening(site.path(), error))?;
        Ok(Engine::of(site, Slot::Open(database)))
    }

    fn of(site: Arc<dyn Site>, slot: Slot) -> Engine {
        let (slot, writing) = (RwLock::new(slot), Mutex::default());
        Engine { site, slot, writing, content: Mutex::default(), opened_by: Process::here() }
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something while nothing is written to the file.
    pub(super) fn while_nothing_is_written<T>(
        &self,
        act: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _alone = self.alone();
        contained(act)
    }

    /// Does something while nothing is written to the file. As long as the transaction is kept that is returned with what came of it, no
    /// page of what was committed by then is written over.
    pub(super) fn pinned<T>(
        &self,
        act: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<(ReadTransaction, T), StoreError> {
        let _alone = self.alone();
        let slot = self.slot.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (Slot::Open(database) | Slot::ReadOnly(database)) = &*slot else {
            return Err(StoreError::Engine("the database is closed".to_owned()));
        };
        contained(|| Ok((database.begin_read()?, act()?)))
    }

    /// Refuses in a fork of the process that opened it.
    pub(super) fn here(&self) -> Result<(), StoreError> {
        StoreError::unless_here(self.opened_by)
    }

    pub(super) fn site(&self) -> &dyn Site {
        &*self.site
    }

    /// Reads what was committed last.
    pub(super) fn read<T>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.here()?;
        let answer = contained(|| self.read_once(&read));
        match &answer {
            Err(StoreError::Engine(_)) => {
                // After a failed write nothing can be read until the database is open again, for which
                // this waits.
                drop(self.slot.write().unwrap_or_else(|poisoned| poisoned.into_inner()));
                contained(|| self.read_once(&read))
            }
            _ => answer,
        }
    }

    fn read_once<T>(
        &self,
        read: &impl Fn(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let slot = self.slot.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*slot {
            Slot::Open(database) | Slot::ReadOnly(database) => read(&database.begin_read()?),
            Slot::Closed | Slot::Shut => {
                Err(StoreError::Engine("the database is closed".to_owned()))
            }
        }
    }

    /// Writes in one transaction, durably, or nothing. After a failure the database is opened again,
    /// for reading at least.
    pub(super) fn write<T>(
        &self,
        write: impl FnOnce(&Writing<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _alone = self.alone();
        let written = contained(|| self.write_once(write));
        let change = written.as_ref().ok().map(|(_, change)| *change);
        let mut content = self.content();
        // Of a write that failed, nobody knows whether it is there.
        *content = content.zip(change).map(|(content, change)| content.after(change));
        drop(content);
        if written.is_err() {
            // Whether it can be written, the next attempt will say.
            let _ = self.reopen();
        }
        written.map(|(written, _)| written)
    }

    fn write_once<T>(
        &self,
        write: impl FnOnce(&Writing<'_>) -> Result<T, StoreError>,
    ) -> Result<(T, Content), StoreError> {
        let slot = self.slot.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Slot::Open(database) = &*slot else {
            return Err(StoreError::Engine("the database cannot be written".to_owned()));
        };
        let mut writing = database.begin_write()?;
        // Agents choose some of the bytes that are stored, and must not be able to make a torn write
        // look whole.
        writing.set_two_phase_commit(true);
        let (written, change) = {
            let following = Writing::of(&writing);
            (write(&following)?, following.change())
        };
        writing.commit()?;
        Ok((written, change))
    }

    fn content(&self) -> MutexGuard<'_, Option<Content>> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database has just been read and compared; from here on its content follows what is written.
    pub(super) fn follow(&self, content: Content) {
        *self.content() = Some(content);
    }

    /// What decisions rest on, as it was written, and not as the disk has it. `None` after a write that failed.
    pub(super) fn written_content(&self) -> Option<Content> {
        *self.content()
    }

    /// Whether the database has this presentation, which expires then, among the accepted ones. Two tables say so, and must agree: a
    /// page that went bad would else make it a new one.
    pub(super) fn has_accepted(
        &self,
        id: &RevocationId,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        let (by_id, by_expiry) = self.read(|reading| {
            let known = reading.open_table(ACCEPTED)?.get(id.as_bytes())?.map(|row| row.value());
            let by_expiry = reading.open_table(ACCEPTED_BY_EXPIRY)?;
            let then = known.unwrap_or(expires.unix_seconds());
            Ok((known.is_some(), by_expiry.get((then, *id.as_bytes()))?.is_some()))
        })?;
        match by_id == by_expiry {
            true => Ok(by_id),
            false => Err(StoreError::Unreadable { what: "accepted presentation", number: 0 }),
        }
    }

    /// Opens the database again, unless that was done when it failed.
    pub(super) fn open_again(&self) -> Result<(), StoreError> {
        let open = {
            let slot = self.slot.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            match &*slot {
                Slot::Open(database) => {
                    let read = || Ok(database.begin_read()?.open_table(ACCEPTED)?.first().is_ok());
                    contained(read).unwrap_or(false)
                }
                Slot::ReadOnly(_) | Slot::Closed | Slot::Shut => false,
            }
        };
        let _alone = self.alone();
        if open { Ok(()) } else { self.reopen() }
    }

    /// Opens the database again after a failure; if it cannot be written, for reading.
    fn reopen(&self) -> Result<(), StoreError> {
        let mut slot = self.slot.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if matches!(*slot, Slot::Shut) {
            return Err(StoreError::Stopped);
        }
        // The files are locked until the old one is gone, which may not be able to close in peace.
        let _ = contained(|| {
            *slot = Slot::Closed;
            Ok(())
        });
        let path = self.site.path();
        let file = |error| StoreError::file(path, error);
        let opened = self.site.database().map_err(file).and_then(|backend| {
            open(&*self.site, backend, Existing::Required, Pages::Checked)
                .map_err(|error| StoreError::opening(path, error))
        });
        match opened {
            Ok(database) => {
                *slot = Slot::Open(database);
                Ok(())
            }
            Err(error) => {
                if let Some(read_only) = read_only(&*self.site) {
                    *slot = read_only;
                }
                Err(error)
            }
        }
    }

    /// Closes the file. What was written is on disk already.
    pub(super) fn close(&self) {
        *self.slot.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Slot::Shut;
    }
}

/// The database over an overlay, which needs nothing of the disk but reading.
fn read_only(site: &dyn Site) -> Option<Slot> {
    let backend = Backend::new(Overlay::over(site.database().ok()?).ok()?);
    open(site, backend, Existing::Required, Pages::Checked).ok().map(Slot::ReadOnly)
}

impl Drop for Engine {
    /// In a fork, nothing is closed: the database would be written, and its locks are the other process's.
    fn drop(&mut self) {
        if self.opened_by.is_elsewhere() {
            let slot = self.slot.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
            std::mem::forget(std::mem::replace(slot, Slot::Shut));
        }
    }
}

/// Does what may panic: the engine does so on pages that went bad since it was opened.
fn contained<T>(act: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
    let panicked = || StoreError::Engine("the database cannot be made sense of".to_owned());
    done.unwrap_or_else(|_| Err(panicked()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Required,
    None,
}

/// Whether every page is read and compared with its checksum when the database is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    Checked,
    /// A [seal](super::sealed) holds, and what decisions rest on is compared with it.
    Sealed,
}

fn open(
    site: &dyn Site,
    backend: Backend,
    existing: Existing,
    pages: Pages,
) -> Result<Database, DatabaseError> {
    let empty = backend.len().map_err(redb::StorageError::Io)? == 0;
    if existing == Existing::Required && empty {
        // It would be made into a new one.
        let emptied = "the file is empty".to_owned();
        return Err(redb::StorageError::Corrupted(emptied).into());
    }
    builder(site).set_check_integrity_on_open(pages == Pages::Checked).create_with_backend(backend)
}

/// Earlier versions of redb could open a damaged file as an empty one; the check on opening finds
/// damage that would otherwise be met in the middle of a decision.
pub(super) fn builder(site: &dyn Site) -> Builder {
    let mut builder = Database::builder();
    builder.set_check_integrity_on_open(true);
    builder.set_cache_size(site.cache_bytes());
    builder.set_concurrency_mode(site.sharing());
    builder
}
