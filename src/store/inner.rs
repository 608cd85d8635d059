//! Inner: what an open store consists of, and the thread that brings the database up to date.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::audit::{CheckpointSigner, Recorded};
use crate::revocation::Revocations;
use crate::store::StoreError;
use crate::store::commit::Queue;
use crate::store::core::{Core, RecordJob};
use crate::store::engine::Engine;
use crate::store::events::EventCount;
use crate::store::journal::{MAX_FRAME, RESERVE, frame_bytes};
use crate::store::noticed::Noticed;

/// How long records wait for the database and their checkpoint at most.
const FOLD_EVERY: Duration = Duration::from_secs(1);

/// How long a decision that was answered before it was written waits at most.
const WRITE_EVERY: Duration = Duration::from_millis(100);

/// What an open store consists of. Locks are taken in this order: `folding`, `core`, the rest.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) engine: Engine,
    pub(super) queue: Queue,
    pub(super) revocations: Revocations,
    pub(super) signer: CheckpointSigner,
    pub(super) folding: Mutex<()>,
    pub(super) noticed: Noticed,
    pub(super) events: EventCount,
    core: Mutex<Core>,
    trouble: Mutex<Trouble>,
    bell: Mutex<Bell>,
    rings: Condvar,
    stopped: AtomicBool,
}

/// What does not work just now.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble {
    pub(super) journal: Option<String>,
    pub(super) database: Option<String>,
    pub(super) checkpoint: Option<String>,
}

impl Trouble {
    pub(super) fn any(&self) -> Option<&String> {
        self.journal.as_ref().or(self.database.as_ref()).or(self.checkpoint.as_ref())
    }
}

/// What the thread is woken for.
#[derive(Debug, Default)]
struct Bell {
    fold: bool,
    write_soon: bool,
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
            noticed: Noticed::default(),
            events,
            core: Mutex::new(core),
            trouble: Mutex::default(),
            bell: Mutex::default(),
            rings: Condvar::new(),
            stopped: AtomicBool::new(false),
        }
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        let mut core = lock(&self.core);
        core.recover_from_panic();
        core
    }

    pub(super) fn trouble(&self) -> MutexGuard<'_, Trouble> {
        lock(&self.trouble)
    }

    /// Has the database brought up to date without waiting for the next second.
    pub(super) fn wake(&self) {
        lock(&self.bell).fold = true;
        self.rings.notify_one();
    }

    /// Answers a decision before it is on disk, unless as many as may be lost are waiting already.
    pub(super) fn buffer_decision(
        &self,
        entry: RecordJob,
        at_most: usize,
    ) -> Result<Recorded, StoreError> {
        self.engine.here()?;
        loop {
            let (mut core, short_of_room) = self.core_with_room();
            if let Some(problem) = short_of_room {
                return Err(StoreError::Engine(problem));
            }
            // Nothing waits after it was written: then there is only the question whether there still is room.
            if !self.is_full(&core, at_most) {
                return self.buffer(core, entry);
            }
            self.write_frame(&mut core, Vec::new()).map_err(StoreError::Engine)?;
        }
    }

    fn buffer(
        &self,
        mut core: MutexGuard<'_, Core>,
        entry: RecordJob,
    ) -> Result<Recorded, StoreError> {
        if core.closed {
            return Err(StoreError::Stopped);
        }
        core.begin();
        let recorded = core.record(entry, &self.engine);
        match recorded {
            Ok(_) => core.stand(),
            Err(_) => core.take_back(),
        }
        let (entry, recorded) = recorded?;
        core.unwritten_bytes += frame_bytes(&entry);
        core.unwritten.push(entry);
        drop(core);
        let mut bell = lock(&self.bell);
        if !std::mem::replace(&mut bell.write_soon, true) {
            self.rings.notify_one();
        }
        Ok(recorded)
    }

    /// Records a decision before it is written, if that can be done without waiting for anybody or anything; else gives the decision back.
    pub(super) fn buffer_decision_at_once(
        &self,
        entry: Box<RecordJob>,
        at_most: usize,
    ) -> Result<Result<Recorded, StoreError>, Box<RecordJob>> {
        if let Err(error) = self.engine.here() {
            return Ok(Err(error));
        }
        let Ok(mut core) = self.core.try_lock() else { return Err(entry) };
        core.recover_from_panic();
        if core.doubtful.is_some()
            || !core.journal.has_room(MAX_FRAME, RESERVE)
            || self.is_full(&core, at_most)
        {
            return Err(entry);
        }
        Ok(self.buffer(core, *entry))
    }

    /// Whether what waits must be written before more may wait.
    fn is_full(&self, core: &Core, at_most: usize) -> bool {
        core.unwritten.len() >= at_most || core.unwritten_bytes > MAX_FRAME / 2
    }

    /// Writes what was answered before it was written.
    fn write_buffered(&self) {
        let mut core = self.core();
        // What goes wrong is in `trouble`, and is tried again.
        let _ = self.write_frame(&mut core, Vec::new());
    }

    /// Tries again what did not work.
    fn heal(&self) {
        let trouble = self.trouble().clone();
        if trouble.journal.is_some() {
            let probed = self.core().journal.probe();
            self.trouble().journal = probed.err().map(|error| error.to_string());
        }
    }

    /// The thread: folds every second, and sooner when there is much. It measures how long it waits; what
    /// time it is, it does not ask.
    #[allow(clippy::disallowed_methods, reason = "how long a wait took, not what time it is")]
    pub(super) fn run(self: &Arc<Self>) {
        let mut folded = Instant::now();
        let mut write_at: Option<Instant> = None;
        loop {
            let fold_at = folded + FOLD_EVERY;
            let mut bell = lock(&self.bell);
            let now = Instant::now();
            if bell.write_soon && write_at.is_none() {
                write_at = Some(now + WRITE_EVERY);
            }
            let next = write_at.map_or(fold_at, |write| write.min(fold_at));
            if !bell.fold && next > now && !self.is_stopped() {
                let (rings, _) = self
                    .rings
                    .wait_timeout(bell, next - now)
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                bell = rings;
            }
            let now = Instant::now();
            if bell.write_soon && write_at.is_none() {
                write_at = Some(now + WRITE_EVERY);
            }
            let fold = std::mem::take(&mut bell.fold) || now >= fold_at;
            let write = write_at.is_some_and(|write| now >= write);
            if write {
                (bell.write_soon, write_at) = (false, None);
            }
            drop(bell);
            if self.is_stopped() {
                return;
            }
            self.events.tick(now);
            if write {
                self.write_buffered();
            }
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

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        drop(lock(&self.bell));
        self.rings.notify_all();
    }

    /// Writes everything there is to write, and closes the files. What cannot be folded stays in the journal,
    /// for the next opening; the system takes a lock with the process at the latest.
    pub(super) fn shut(&self) -> Result<(), StoreError> {
        let folded = self.fold_all();
        let written = {
            let mut core = self.core();
            // What was answered since, and before it was written.
            let written = self.write_frame(&mut core, Vec::new());
            core.closed = true;
            written
        };
        self.revocations.close();
        self.events.close();
        self.engine.close();
        let closed = self.core().journal.close();
        written.map_err(StoreError::Engine)?;
        folded?;
        closed.map_err(|error| StoreError::file(self.engine.site().path(), error))
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
