//! Store: revocations, records and accepted presentations, in files that survive.
//!
//! Callers wait for one frame of a write-ahead journal. The database (redb, which no other folder names) follows within a second, and
//! with it the signed head of the log, the checkpoint. `docs/store.md` tells how it holds together.

mod applying;
mod archive;
mod archives;
mod archiving;
mod assembled;
mod backup;
mod buffered;
mod bulk;
mod checking;
mod claims;
mod clock;
mod collect;
mod commit;
mod content;
mod copying;
mod core;
mod engine;
mod error;
mod events;
mod fold;
mod frame;
mod index;
mod inner;
mod joints;
mod journal;
mod making;
mod noticed;
mod opening;
mod overlay;
mod owners;
mod packed;
mod queue;
mod reader;
mod requests;
mod restore;
mod rows;
mod schema;
mod sealed;
mod site;
mod staging;
mod takeover;
#[cfg(feature = "tokio")]
mod waiting;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::audit::{AuditRecord, Checkpoint, LedgerEntry, Recording};
use crate::revocation::{RevocationEntry, Revocations, Revoking};
use crate::store::collect::ClockTrust;
use crate::store::commit::{Answer, Job};
use crate::store::core::{RecordJob, Revoke, TimeSource};
use crate::store::inner::Inner;
use crate::store::site::{Files, Memory};
use crate::timestamp::Timestamp;

#[doc(no_inline)]
pub use crate::audit::{BlockState, LogLine, SeenBlock, SeenChains, Stops};
#[doc(no_inline)]
pub use crate::revocation::Receipt;
pub use clock::ClockDoubt;
pub use collect::Collected;
pub use error::StoreError;
pub use index::Sought;
pub use reader::{StoreReader, Verified};
pub use restore::{RecordLoss, Restored, restore};

/// An open store: the engine of revocations, records, uses and lineage that comes with the library.
///
/// Clones share one store. The files are closed by [`Store::close`] or when the last clone is dropped. From then on its
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
    /// Opens the store whose database is the file at `path`. Waits for the disk (`open_async`, feature `tokio`, does not).
    ///
    /// A store of an earlier version is taken over: its database is written anew, which takes at most as much room again, and some 40
    /// seconds for a million records. It is as it was if that is interrupted. Earlier versions cannot open it from then on.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotThere`] if there is none: [`Store::create`] makes one. [`StoreError::InUse`] while another process has it open.
    /// [`StoreError`] for a store that is damaged, cut off, emptied or rolled back, and for what is no store: it is not opened, and the
    /// error says what to do. [`StoreError::Newer`] for a store that a later version wrote.
    pub fn open(path: impl AsRef<Path>) -> Result<Store, StoreError> {
        let path = path.as_ref();
        let site = || Arc::new(Files::at(path));
        let inner = match making::open_whole(path, || opening::open_unless_older(site()))? {
            Some(inner) => inner,
            None => {
                takeover::take_over(path)?;
                opening::open(site())?
            }
        };
        let store = Store::start(inner)?;
        takeover::finish(&store, path)?;
        Ok(store)
    }

    /// Makes a new store that only its owner can read: the file at `path`, and beside it `….journal` and `….checkpoint`, which belong to
    /// it. Waits for the disk (`create_async`, feature `tokio`, does not).
    ///
    /// A store that was begun here and never finished, because of a kill or a loss of power, is replaced: nothing was ever recorded in
    /// it. If several processes make the same store at the same moment, one of them does.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] if there is a store or another file already; [`StoreError::WithoutDatabase`] if another part of a store is
    /// there; [`StoreError::InUse`] if it is a store that is open; [`StoreError::NoFolder`] if there is no folder for it.
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

    /// Opens the store at `path`, or makes a new one if there is none. Waits for the disk (`open_or_create_async`, feature `tokio`, does
    /// not).
    ///
    /// A program that calls this with a mistyped path begins with an empty store, in which nothing is revoked. If several callers do this
    /// at the same moment, one makes the store, and the others open it as soon as the first has closed it.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as for [`Store::open`] and [`Store::create`]: what is there and cannot be opened is never replaced, except a store
    /// that was begun and never finished. [`StoreError::InUse`] while another process has the store.
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

    /// Makes a store in memory, for tests and for trying things out. The engine is the one that writes files. Neither this call nor any
    /// other on the store waits for a disk.
    pub fn in_memory() -> Result<Store, StoreError> {
        Store::start(opening::make(Arc::new(Memory::default()))?)
    }

    /// Revokes what `revoking` asks for, as of `now`, and returns a receipt. When this returns, the revocation is on disk, and every
    /// verifier that asks [`Store::revocations`] knows it. Waits for the disk (`revoke_async`, feature `tokio`, does not).
    ///
    /// To revoke again what is revoked already changes nothing, unless it then lasts or covers more.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotRevoked`]: nothing was acknowledged. If it is not known what became of the write, the revocation may be found in
    /// force later.
    pub fn revoke(&self, revoking: Revoking, now: Timestamp) -> Result<Receipt, StoreError> {
        let receipts = self.revoke_all(vec![revoking], now)?;
        receipts.into_iter().next().ok_or_else(|| StoreError::Stopped.not_revoked())
    }

    /// Revokes all of `revoking` as of `now` in one step, or none. Returns a receipt for each, in their order. Waits for the disk
    /// (`revoke_all_async`, feature `tokio`, does not).
    ///
    /// # Errors
    ///
    /// [`StoreError::NotRevoked`], as for [`Store::revoke`].
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

    /// Returns the set of revocations that verifiers ask; this store keeps it up to date. It is in memory: nobody who asks it waits for a
    /// disk.
    pub fn revocations(&self) -> Revocations {
        self.inner().revocations.clone()
    }

    /// Returns a reader, which looks into this store and changes nothing. Waits for no disk; what the reader is asked does.
    pub fn reader(&self) -> StoreReader {
        StoreReader::of(Arc::clone(self.inner()))
    }

    /// Returns every revocation in force, in the order in which they were made. Waits for the disk.
    pub fn list_revocations(&self) -> Result<Vec<RevocationEntry>, StoreError> {
        self.reader().revocations()
    }

    /// Hands every record that is not archived to `see`, in order. Waits for the disk, longer the more records there are. Ends at the first record that cannot
    /// be read, with its error.
    pub fn each_record(&self, mut see: impl FnMut(AuditRecord)) -> Result<(), StoreError> {
        let archived = self.reader().archived()?.map_or(0, |(last, _)| last);
        self.reader().records(archived + 1).try_for_each(|line| {
            see(line?.record()?);
            Ok(())
        })
    }

    /// Returns a handle to this store that answers decisions before they are on disk. By default, and with zero, each decision is on disk
    /// before it is answered.
    ///
    /// A crash of the process or the machine loses the last `at_most` decisions, or those of the last tenth of a second (or of what one
    /// write to the disk takes, if that is longer), whichever are fewer. While the journal cannot be written, only `at_most` bounds what a
    /// crash loses. Revocations and call-bound presentations are on disk first all the same. Waits for no disk.
    pub fn losing_at_most(mut self, at_most: usize) -> Store {
        self.recording = match at_most {
            0 => Recording::Durable,
            _ => Recording::Buffered { at_most },
        };
        self
    }

    /// Returns a handle to this store for decisions as of supposed moments: what would be decided then? These decisions are recorded like
    /// others, and their moments do not change what the store thinks of the clock. Waits for no disk.
    pub fn for_supposed_times(mut self) -> Store {
        self.times = TimeSource::Supposed;
        self
    }

    /// Forgets, as of `now`, what no live token can hold any more: revocations of ids, of subjects and of agents until now, and blocks of
    /// chains that were seen. Call it now and then, say once a minute, while a store is open. Waits for the disk.
    ///
    /// Tokens whose grant was issued up to the moment of a forgotten revocation (and a minute more) are refused from then on. While
    /// clocks are right, all of them have expired.
    ///
    /// # Errors
    ///
    /// [`StoreError::Clock`] while the clock has jumped; nothing is forgotten then.
    pub fn collect(&self, now: Timestamp) -> Result<Collected, StoreError> {
        self.inner().collect(now, ClockTrust::UnlessJumped)
    }

    /// Forgets what [`Store::collect`] forgets, also while the clock has jumped: the caller has looked at the clock and vouches for it.
    /// If the clock is wrong nevertheless, no revoked token is let in: tokens are refused that are not revoked. Waits for the disk.
    pub fn collect_trusting_the_clock(&self, now: Timestamp) -> Result<Collected, StoreError> {
        self.inner().collect(now, ClockTrust::Vouched)
    }

    /// Signs the head of the log now, and returns it. Otherwise the head is signed every second, every thousand records, and when the
    /// store is closed. Waits for the disk.
    pub fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        self.inner().fold()
    }

    /// Copies the store as it is now into a new file at `to`, as [`StoreReader::backup`] does, and returns the copy's checkpoint. Waits
    /// for the disk.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<Checkpoint, StoreError> {
        self.reader().backup(to)
    }

    /// Checks that everything can be written, as far as that is known. Waits for no disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] with what does not work; [`StoreError::Stopped`] once the store is closed; [`StoreError::Forked`] in a fork
    /// of the process that opened it. What does not work is tried again every second; meanwhile what can be recorded is recorded, and
    /// everything else is refused.
    pub fn ready(&self) -> Result<(), StoreError> {
        self.inner().engine.here()?;
        if self.inner().is_stopped() {
            return Err(StoreError::Stopped);
        }
        let trouble = self.inner().trouble();
        trouble.any().map_or(Ok(()), |problem| Err(StoreError::Engine(problem.clone())))
    }

    /// Closes the store for all its clones: ends its threads, has the database take over what the journal holds, signs the head of the
    /// log and releases the lock, so that another process can open it. Waits for the disk (`close_async`, feature `tokio`, does not).
    ///
    /// Jobs that still wait to be written are refused, and so is whatever is asked of the store from then on. To close a store that is
    /// closed does nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] with what could not be written; the store is closed all the same. What was acknowledged is on disk, in the journal,
    /// and is taken over when the store is opened the next time. Only decisions that were answered before they were written
    /// ([`Store::losing_at_most`]) are lost if the journal could not be written.
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

    /// Returns the path of the store's database; `None` for a store in memory. Waits for no disk.
    pub fn path(&self) -> Option<&Path> {
        self.inner().engine.site().path()
    }

    fn record_now(&self, entry: LedgerEntry) -> RecordJob {
        RecordJob { entry, source: self.times }
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
        let mut threads = vec![committing, folding];
        if inner.was_sealed.load(Ordering::Acquire) {
            match start("hardtack-check", Inner::run_check) {
                Ok(thread) => threads.push(thread),
                // What was not read must be.
                Err(error) => {
                    inner.stop();
                    inner.queue.stop();
                    join(&mut threads);
                    return Err(error);
                }
            }
        }
        let threads = Mutex::new(threads);
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
