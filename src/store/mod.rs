//! Store: revocations, records and accepted presentations, in files that survive.
//!
//! The only folder that names redb. Callers wait for a frame of the journal; the database follows
//! within a second, and with it the signed head of the log. `docs/store.md` tells how it holds together.

mod assembled;
mod backup;
mod bulk;
mod claims;
mod clock;
mod collect;
mod commit;
mod core;
mod engine;
mod error;
mod events;
mod fold;
mod inner;
mod joints;
mod journal;
mod making;
mod noticed;
mod opening;
mod overlay;
mod reader;
mod requests;
mod restore;
mod schema;
mod site;
mod staging;
#[cfg(feature = "tokio")]
mod waiting;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::audit::{AuditRecord, Checkpoint, Recording, Settling};
use crate::revocation::{RevocationEntry, Revocations, Revoking};
use crate::store::collect::Trust;
use crate::store::commit::{Answer, Job};
use crate::store::core::{Revoke, Settle, TimeSource};
use crate::store::inner::Inner;
use crate::store::site::{Files, Memory};
use crate::timestamp::Timestamp;

#[doc(no_inline)]
pub use crate::audit::{LogLine, MAX_ALIKE, SeenBlock, SeenChains, Standing, Stops};
#[doc(no_inline)]
pub use crate::revocation::Receipt;
pub use clock::ClockDoubt;
pub use collect::Collected;
pub use error::StoreError;
pub use reader::{StoreReader, Verified};
pub use restore::{Loss, Restored, restore};

/// An open store. Clones share it; the files are closed when the last is dropped, from when on its
/// [`revocations`](Store::revocations) leave every verifier undecided.
///
/// ```
/// use hardtack::{Revocation, Revoking, Store, Timestamp};
///
/// let now = Timestamp::from_unix_seconds(1_795_428_000);
/// let store = Store::in_memory()?;
/// let lost = Revocation::AgentUntilNow { agent: "agent.researcher".to_owned() };
/// let receipt = store.revoke(Revoking::new(lost, "alice", "laptop stolen")?, now)?;
/// assert_eq!(receipt.sequence(), 1);
/// assert_eq!(store.reader().revocations()?[0].notice.by, "alice");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    recording: Recording,
    times: TimeSource,
}

struct Shared {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    /// Opens a store that exists. Waits for the disk (`open_async`, feature `tokio`).
    ///
    /// # Errors
    ///
    /// [`StoreError::NotThere`] if there is none: [`Store::create`] makes one. [`StoreError`]: a store that is damaged, cut off, emptied, rolled back or no store is never opened,
    /// and the error says what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Store, StoreError> {
        let path = path.as_ref();
        let opened = making::open_whole(path, || opening::open(Arc::new(Files::at(path))));
        Store::start(opened?)
    }

    /// Makes a new store, readable by its owner only: the file, and beside it `….journal` and
    /// `….checkpoint`, which belong to it. What is left of a making that was interrupted, by a kill or a loss of
    /// power, is replaced; nothing was ever recorded in that. Waits for the disk (`create_async`).
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] if there is a store or another file already; [`StoreError::WithoutDatabase`] if
    /// another part of a store is; [`StoreError::InUse`] if it is a store that is open;
    /// [`StoreError::NoFolder`]. Of several that make the same at the same moment, one does.
    pub fn create(path: impl AsRef<Path>) -> Result<Store, StoreError> {
        let path = path.as_ref();
        let files = Files::at(path);
        let _alone = files.make_alone()?;
        making::make_room(&files, path)?;
        files.make_journal().map_err(|error| StoreError::file(Some(path), error))?;
        let made = opening::make(Arc::new(Files::at(path))).and_then(Store::start);
        if made.is_err() {
            // What cannot be taken away is told for what it is, by its journal.
            let _ = making::clear(&files, path);
        }
        made
    }

    /// Opens the store, or makes a new one if there is none, for programs that mean it: with a mistyped path
    /// they begin with an empty store, in which nothing is revoked. Of several that do this at the same moment,
    /// one makes the store, and the others open it, as soon as the one has closed it. Waits for the disk (`open_or_create_async`).
    ///
    /// # Errors
    ///
    /// [`StoreError`], as for [`Store::open`] and [`Store::create`]: what is there and cannot be opened is
    /// never replaced, but for a making that was interrupted. [`StoreError::InUse`] while another process has
    /// the store.
    ///
    /// ```
    /// use hardtack::{Revocation, Revoking, Store, Timestamp};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("hardtack.store");
    /// let store = Store::open_or_create(&path)?; // made
    /// let lost = Revocation::Agent { agent: "agent.researcher".to_owned() };
    /// let now = Timestamp::from_unix_seconds(1_795_428_000);
    /// store.revoke(Revoking::new(lost, "alice", "laptop stolen")?, now)?;
    /// store.close()?;
    /// let store = Store::open_or_create(&path)?; // opened
    /// assert_eq!(store.list_revocations()?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Store, StoreError> {
        let path = path.as_ref();
        match Store::open(path) {
            Err(StoreError::NotThere { .. } | StoreError::Unfinished { .. }) => {}
            opened => return opened,
        }
        match Store::create(path) {
            // Somebody else was quicker.
            Err(StoreError::File { source, .. })
                if source.kind() == std::io::ErrorKind::AlreadyExists =>
            {
                Store::open(path)
            }
            made => made,
        }
    }

    /// A store in memory: the same engine, for tests and for trying things out. Neither this nor what is done with it waits for a
    /// disk.
    pub fn in_memory() -> Result<Store, StoreError> {
        Store::start(opening::make(Arc::new(Memory::default()))?)
    }

    /// Revokes, as of `now`. When this returns, the revocation is on disk and every verifier that asks
    /// [`Store::revocations`] knows it. To revoke again what is revoked changes nothing. Waits for the disk (`revoke_async`, feature
    /// `tokio`).
    ///
    /// # Errors
    ///
    /// [`StoreError::NotRevoked`]: then nothing is revoked that was not before.
    pub fn revoke(&self, revoking: Revoking, now: Timestamp) -> Result<Receipt, StoreError> {
        let receipts = self.revoke_all(vec![revoking], now)?;
        receipts.into_iter().next().ok_or_else(|| StoreError::Stopped.not_revoked())
    }

    /// Revokes all of these in one step, or none. Returns a receipt for each, in their order. Waits for the disk
    /// (`revoke_all_async`).
    pub fn revoke_all(
        &self,
        revoking: Vec<Revoking>,
        now: Timestamp,
    ) -> Result<Vec<Receipt>, StoreError> {
        match self.inner().submit(Job::Revoke(Revoke { revoking, request: None, now })) {
            Ok(Answer::Revoked(receipts)) => Ok(receipts),
            Ok(_) => Err(StoreError::Stopped.not_revoked()),
            Err(error) => Err(error.not_revoked()),
        }
    }

    /// The set that verifiers ask, which this store keeps up to date. It is in memory: nobody who asks it waits for a disk.
    pub fn revocations(&self) -> Revocations {
        self.inner().revocations.clone()
    }

    /// The store, to look into. Waits for no disk; what it is asked does.
    pub fn reader(&self) -> StoreReader {
        StoreReader::of(Arc::clone(self.inner()))
    }

    /// Every revocation in force, in the order in which they were made. Waits for the disk.
    pub fn list_revocations(&self) -> Result<Vec<RevocationEntry>, StoreError> {
        self.reader().revocations()
    }

    /// Hands every record to `see`, in order. Waits for the disk, longer the more there are.
    pub fn each_record(&self, mut see: impl FnMut(AuditRecord)) -> Result<(), StoreError> {
        self.reader().records(1).try_for_each(|line| Ok(see(line?.record()?)))
    }

    /// A handle to the same store that answers decisions before they are on disk: a crash of the process
    /// or the machine loses the last `at_most` of them, or those of the last tenth of a second,
    /// whichever are fewer. Revocations and call-bound presentations are on disk first all the same. Waits for no disk.
    pub fn losing_at_most(mut self, at_most: usize) -> Store {
        self.recording = match at_most {
            0 => Recording::Durable,
            _ => Recording::Buffered { at_most },
        };
        self
    }

    /// A handle to the same store for decisions as of supposed moments: what would be decided then? They
    /// are recorded like others; what the store thinks of the clock is not touched by them. Waits for no disk.
    pub fn for_supposed_times(mut self) -> Store {
        self.times = TimeSource::Supposed;
        self
    }

    /// Forgets what no live token can hold any more: revocations of ids and subjects, and blocks of
    /// chains that were seen. To be called now and then, say once a minute, by whoever keeps a store open. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Clock`] while the clock has jumped; nothing is forgotten then.
    pub fn collect(&self, now: Timestamp) -> Result<Collected, StoreError> {
        self.inner().collect(now, Trust::UnlessJumped)
    }

    /// The same, on the word of somebody who has looked at the clock. If it is wrong nevertheless, no
    /// revoked token is let in: tokens are refused that are not revoked. Waits for the disk.
    pub fn collect_trusting_the_clock(&self, now: Timestamp) -> Result<Collected, StoreError> {
        self.inner().collect(now, Trust::Vouched)
    }

    /// Signs the head of the log now, and returns it. Otherwise that is done every second or thousand
    /// records, and when the store is closed. Waits for the disk.
    pub fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        self.inner().fold()
    }

    /// Copies the store as it is now into a new file ([`StoreReader::backup`]). Waits for the disk.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<Checkpoint, StoreError> {
        self.reader().backup(to)
    }

    /// Whether everything can be written, as far as that is known. Waits for no disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] with what does not work. It is tried again every second; meanwhile what
    /// can be recorded is, and everything else is refused.
    pub fn ready(&self) -> Result<(), StoreError> {
        self.inner().engine.here()?;
        if self.inner().is_stopped() {
            return Err(StoreError::Stopped);
        }
        let trouble = self.inner().trouble();
        trouble.any().map_or(Ok(()), |problem| Err(StoreError::Engine(problem.clone())))
    }

    /// Closes the store for all its clones: ends its threads, has the database take over what the journal
    /// holds, signs the head of the log and releases the lock, so that another process can open it. It waits
    /// for the disk. What waits for its turn to be written is refused, and whatever is asked of the store
    /// from then on, as unavailable. To close a store that is closed does nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] with what could not be written; the store is closed all the same. What was
    /// acknowledged is on disk, in the journal, and taken over when the store is opened the next time; but
    /// for decisions that were answered before they were written ([`Store::losing_at_most`]), if the
    /// journal could not be written.
    ///
    /// ```
    /// # let store = hardtack::Store::in_memory()?;
    /// let clone = store.clone();
    /// store.close()?;
    /// assert!(clone.checkpoint().is_err());
    /// # Ok::<(), hardtack::StoreError>(())
    /// ```
    pub fn close(&self) -> Result<(), StoreError> {
        self.shared.close()
    }

    /// Where it is kept; `None` in memory. Waits for no disk.
    pub fn path(&self) -> Option<&Path> {
        self.inner().engine.site().path()
    }

    fn settle_now(&self, settling: Settling) -> Settle {
        Settle { settling, source: self.times }
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.shared.inner
    }

    fn start(inner: Inner) -> Result<Store, StoreError> {
        let inner = Arc::new(inner);
        let start = |name: &str, run: fn(&Arc<Inner>)| {
            let theirs = Arc::clone(&inner);
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread
                .spawn(move || run(&theirs))
                .map_err(|error| StoreError::Engine(error.to_string()))
        };
        let folding = start("hardtack-store", Inner::run)?;
        let committing = match start("hardtack-commit", |inner| inner.run_commits()) {
            Ok(thread) => thread,
            Err(error) => {
                inner.stop();
                return Err(error);
            }
        };
        let threads = Mutex::new(vec![committing, folding]);
        let shared = Arc::new(Shared { inner, threads });
        Ok(Store { shared, recording: Recording::Durable, times: TimeSource::Clock })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path()).finish_non_exhaustive()
    }
}

impl Shared {
    fn close(&self) -> Result<(), StoreError> {
        self.inner.engine.here()?;
        // Whoever comes second waits until it is closed.
        let mut threads = self.threads.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if threads.is_empty() {
            return Ok(());
        }
        self.inner.queue.close();
        self.inner.stop();
        join(&mut threads);
        self.inner.shut()
    }
}

impl Drop for Shared {
    /// Waits until what was handed over is written, the head of the log signed and the files closed.
    fn drop(&mut self) {
        let threads = self.threads.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        if self.inner.engine.here().is_err() {
            // In a fork there are no threads to end, and locks may be held by them for ever.
            std::mem::forget(std::mem::take(threads));
            return;
        }
        if threads.is_empty() {
            return;
        }
        self.inner.stop();
        self.inner.queue.stop();
        join(threads);
        // What does not work is tried again by the next opening.
        let _ = self.inner.shut();
    }
}

fn join(threads: &mut Vec<JoinHandle<()>>) {
    for thread in threads.drain(..) {
        // A thread's own failure was answered to whoever waited for it; the last handle may be dropped on
        // one of them, by whoever was told.
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }
}
