//! Inner: what an open store consists of, and the thread that brings the database up to date.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use redb::StorageBackend;

use crate::audit::{Checkpoint, CheckpointSigner, Recorded};
use crate::revocation::Revocations;
use crate::store::StoreError;
use crate::store::content::Content;
use crate::store::core::{Core, RecordJob};
use crate::store::engine::Engine;
use crate::store::events::EventCount;
use crate::store::noticed::Noticed;
use crate::store::queue::Queue;
use crate::store::schema::read_state;
use crate::store::sealed::Seal;

/// How long records wait for the database and their checkpoint at most.
const FOLD_EVERY: Duration = Duration::from_secs(1);

/// What an open store consists of. Locks are taken in this order: `folding`, `core`, the rest.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) engine: Engine,
    pub(super) queue: Queue,
    pub(super) revocations: Revocations,
    pub(super) signer: CheckpointSigner,
    pub(super) folding: Mutex<()>,
    /// Whoever archives has it. It is taken before all others.
    pub(super) archiving: Mutex<()>,
    pub(super) noticed: Noticed,
    pub(super) events: EventCount,
    core: Mutex<Core>,
    /// Nothing is being written any more while nobody has `core`.
    pub(super) landed: Condvar,
    /// How many have `core`, or want it, to wait for the disk with it.
    waiting_for_disk: AtomicUsize,
    /// The thread that writes was told that something waits.
    pub(super) told_to_write: AtomicBool,
    trouble: Mutex<Trouble>,
    /// The thread that folds is woken to fold at once.
    bell: Mutex<bool>,
    rings: Condvar,
    /// Whoever waits for the store to be stopped.
    stopping: Mutex<()>,
    stops: Condvar,
    stopped: AtomicBool,
    /// A seal held when it was opened, and not every page was read.
    pub(super) was_sealed: AtomicBool,
    /// How many openings in a row, this one among them, have not checked every page so far; 0 once it is done.
    pub(super) unchecked: AtomicU8,
    /// Pages could not be read when they were to be checked: the next opening is not to believe a seal.
    pub(super) unreadable: AtomicBool,
}

/// What does not work just now.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble {
    pub(super) journal: Option<String>,
    pub(super) database: Option<String>,
    pub(super) checkpoint: Option<String>,
    /// Pages of the database are not what was written. It is not tried again.
    pub(super) damage: Option<String>,
}

impl Trouble {
    pub(super) fn any(&self) -> Option<&String> {
        let database = self.damage.as_ref().or(self.database.as_ref());
        self.journal.as_ref().or(database).or(self.checkpoint.as_ref())
    }
}

/// Whoever holds it has the store's memory while it waits for the disk.
pub(super) struct WaitsForDisk<'a>(&'a AtomicUsize);

impl Drop for WaitsForDisk<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic can leave half done is the edge of the log, of which `core` takes care.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Inner {
    pub(super) fn new(
        engine: Engine,
        core: Core,
        revocations: Revocations,
        signer: CheckpointSigner,
        events: EventCount,
    ) -> Inner {
        Inner {
            engine,
            queue: Queue::default(),
            revocations,
            signer,
            folding: Mutex::default(),
            archiving: Mutex::default(),
            noticed: Noticed::default(),
            events,
            core: Mutex::new(core),
            landed: Condvar::new(),
            waiting_for_disk: AtomicUsize::new(0),
            told_to_write: AtomicBool::new(false),
            trouble: Mutex::default(),
            bell: Mutex::default(),
            rings: Condvar::new(),
            stopping: Mutex::default(),
            stops: Condvar::new(),
            stopped: AtomicBool::new(false),
            was_sealed: AtomicBool::new(false),
            unchecked: AtomicU8::new(0),
            unreadable: AtomicBool::new(false),
        }
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        let mut core = lock(&self.core);
        core.recover_from_panic();
        core
    }

    /// The store's memory if nobody has it.
    pub(super) fn try_core(&self) -> Option<MutexGuard<'_, Core>> {
        let mut core = match self.core.try_lock() {
            Ok(core) => core,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        core.recover_from_panic();
        Some(core)
    }

    /// The store's memory while nothing is being written to the journal, for whoever writes to it himself.
    pub(super) fn core_at_rest(&self) -> MutexGuard<'_, Core> {
        let mut core = self.core();
        while !core.in_flight.is_empty() {
            core = self.landed.wait(core).unwrap_or_else(|poisoned| poisoned.into_inner());
            core.recover_from_panic();
        }
        core
    }

    /// Said before `core` is taken for longer than it takes to compute something.
    pub(super) fn waits_for_disk(&self) -> WaitsForDisk<'_> {
        self.waiting_for_disk.fetch_add(1, Ordering::AcqRel);
        WaitsForDisk(&self.waiting_for_disk)
    }

    /// Whether somebody has `core`, or wants it, to wait for the disk with it.
    pub(super) fn is_waiting_for_disk(&self) -> bool {
        self.waiting_for_disk.load(Ordering::Acquire) > 0
    }

    pub(super) fn trouble(&self) -> MutexGuard<'_, Trouble> {
        lock(&self.trouble)
    }

    /// Has the database brought up to date without waiting for the next second.
    pub(super) fn wake(&self) {
        *lock(&self.bell) = true;
        self.rings.notify_one();
    }

    /// Tries again what did not work.
    fn heal(&self) {
        let trouble = self.trouble().clone();
        if trouble.journal.is_some() {
            let _waits = self.waits_for_disk();
            let probed = self.core_at_rest().journal.probe();
            self.trouble().journal = probed.err().map(|error| error.to_string());
        }
    }

    /// The thread: folds every second, and sooner when there is much. It measures how long it waits; what
    /// time it is, it does not ask.
    #[allow(clippy::disallowed_methods, reason = "how long a wait took, not what time it is")]
    pub(super) fn run(self: &Arc<Self>) {
        let mut folded = Instant::now();
        loop {
            let fold_at = folded + FOLD_EVERY;
            let mut bell = lock(&self.bell);
            let now = Instant::now();
            if !*bell && fold_at > now && !self.is_stopped() {
                let (rung, _) = self
                    .rings
                    .wait_timeout(bell, fold_at - now)
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                bell = rung;
            }
            let now = Instant::now();
            let fold = std::mem::take(&mut *bell) || now >= fold_at;
            drop(bell);
            if self.is_stopped() {
                return;
            }
            self.events.tick(now);
            if fold {
                folded = now;
                let healed = AssertUnwindSafe(|| {
                    self.heal();
                    // What goes wrong is in `trouble`, and is tried again.
                    let _ = self.fold();
                });
                // Without this thread nothing would be tried again.
                if catch_unwind(healed).is_err() {
                    self.trouble().database = Some("the last attempt ended in a panic".to_owned());
                }
            }
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Waits until the store is stopped, for so long at most. Says whether it is.
    pub(super) fn stops_within(&self, wait: Duration) -> bool {
        let stopping = lock(&self.stopping);
        let waited = self.stops.wait_timeout_while(stopping, wait, |_| !self.is_stopped());
        drop(waited);
        self.is_stopped()
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        drop(lock(&self.bell));
        self.rings.notify_all();
        drop(lock(&self.stopping));
        self.stops.notify_all();
    }

    /// Writes everything there is to write, and closes the files. What cannot be folded stays in the journal,
    /// for the next opening; the system takes a lock with the process at the latest.
    pub(super) fn shut(&self) -> Result<(), StoreError> {
        let folded = self.fold_all();
        let written = {
            let mut core = self.core_at_rest();
            // What was answered since, and before it was written.
            let written = self.write_frame(&mut core, Vec::new());
            core.closed = true;
            written
        };
        self.revocations.close();
        self.events.close();
        let content = self.content_to_seal(folded.is_ok() && written.is_ok());
        self.engine.close();
        // Without a seal, the next opening reads everything.
        let _ = content.map(|content| self.seal(content));
        let closed = self.core().journal.close();
        written.map_err(StoreError::Engine)?;
        folded?;
        closed.map_err(|error| StoreError::file(self.engine.site().path(), error))
    }

    /// What is to be sealed, if the database has all there is and the checkpoint signs it.
    fn content_to_seal(&self, is_in_peace: bool) -> Option<Content> {
        let site = self.engine.site();
        let is_worth_it = is_in_peace
            && site.is_written()
            && self.trouble().any().is_none()
            && !self.unreadable.load(Ordering::Acquire)
            && self.core().unfolded().next().is_none()
            && site.database().and_then(|database| database.len()).ok()? > site.always_checked();
        if !is_worth_it {
            return None;
        }
        let records = self.engine.read(read_state).ok()?.records;
        let signed = Checkpoint::verify(&site.checkpoint().ok()??, self.signer.key()).ok()?;
        // The head was signed over hashes that were read back, and memory has it as well.
        let (size, root) = {
            let core = self.core();
            (core.frontier.size(), core.frontier.root().ok()?)
        };
        let is_head = |size: u64, root: &[u8; 32]| (signed.size(), signed.root()) == (size, root);
        if signed.size() != records || !is_head(size, &root) {
            return None;
        }
        self.engine.written_content()
    }

    fn seal(&self, content: Content) -> std::io::Result<()> {
        let unchecked = self.unchecked.load(Ordering::Acquire);
        let seal = Seal::of(&self.engine.site().database()?, content, unchecked)?;
        self.core().journal.seal(&seal)
    }

    /// Records a decision durably.
    pub(super) fn record(&self, record: RecordJob) -> Result<Recorded, StoreError> {
        use crate::store::commit::{Answer, Job};
        match self.submit(Job::Decision(Box::new(record)))? {
            Answer::Decided(recorded) => Ok(recorded),
            _ => Err(StoreError::Stopped),
        }
    }
}
