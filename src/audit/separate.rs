//! Separate: uses, records and lineage of different engines, as one ledger.
//!
//! Claims first, then records: a failure between the two burns a presentation whose call was refused.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::audit::{
    Claim, Done, Ledger, LedgerEntry, LedgerUnavailable, Lineage, Recorded, Recording, Records,
    Uses,
};
use crate::pending::{Pending, wait};
use crate::process::Process;

/// A ledger of separate parts: [`Uses`] that servers share, say, and [`Records`] of the server's own.
///
/// It claims a call-bound presentation first and then records the decision, durably. What cannot be claimed is refused, and recorded as
/// undecided. If the claim was won and the record fails, the call is refused and its presentation used up: whoever holds it presents anew.
///
/// One thread stands behind it, for all decisions that are recorded [later](Ledger::record_later).
///
/// ```
/// use std::sync::Arc;
///
/// use hardtack::audit::Separate;
/// use hardtack::{Guard, Policy, PrivateKey, RootKeys, Store, Verifier};
///
/// // The uses of all servers of this audience, and this server's own records. An engine of one's own stands where it is wanted.
/// let (shared, own) = (Arc::new(Store::in_memory()?), Arc::new(Store::in_memory()?));
/// let ledger = Separate::new(shared, own.clone(), own.clone());
/// let roots = RootKeys::of(PrivateKey::generate().public());
/// let verifier = Verifier::new(roots, "notion.mcp", own.revocations())?;
/// let guard = Guard::new(verifier, Policy::builtin(), ledger);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Separate {
    parts: Parts,
    driver: Mutex<Option<Sender<Arc<Task>>>>,
    opened_by: Process,
}

#[derive(Clone)]
struct Parts {
    uses: Arc<dyn Uses>,
    records: Arc<dyn Records>,
    lineage: Arc<dyn Lineage>,
    recording: Recording,
}

impl Separate {
    /// Makes a ledger that claims with `uses`, records with `records` and remembers chains with `lineage`. Decisions are recorded
    /// durably, unless [`Separate::recording`] says otherwise.
    pub fn new(
        uses: Arc<dyn Uses>,
        records: Arc<dyn Records>,
        lineage: Arc<dyn Lineage>,
    ) -> Separate {
        let parts = Parts { uses, records, lineage, recording: Recording::Durable };
        Separate { parts, driver: Mutex::default(), opened_by: Process::here() }
    }

    /// Sets when a decision that uses nothing up is answered; by default once it is on disk. A decision that uses a presentation up is on
    /// disk first all the same.
    pub fn recording(mut self, recording: Recording) -> Separate {
        self.parts.recording = recording;
        self
    }

    /// Hands a task to the thread that polls it whenever it is woken.
    fn driver(&self) -> Result<Sender<Arc<Task>>, LedgerUnavailable> {
        let mut driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = &*driver {
            return Ok(driver.clone());
        }
        let (woken, tasks) = mpsc::channel::<Arc<Task>>();
        let thread = std::thread::Builder::new().name("hardtack-ledger".to_owned());
        // Ends with the ledger and the last task.
        let spawned = thread.spawn(move || tasks.iter().for_each(|task| task.poll()));
        spawned.map_err(|error| LedgerUnavailable(error.to_string()))?;
        Ok(driver.insert(woken).clone())
    }

    /// A fork has no thread that would poll.
    fn here(&self) -> Result<(), LedgerUnavailable> {
        match self.opened_by.is_elsewhere() {
            true => Err(LedgerUnavailable(format!(
                "process {} has made this ledger, and this process is a fork of it; make it after the fork",
                self.opened_by.number()
            ))),
            false => Ok(()),
        }
    }
}

impl Parts {
    async fn record(self, entry: LedgerEntry) -> Result<Recorded, LedgerUnavailable> {
        let (claim, recording) = match entry.once() {
            None => (Claim::First, self.recording),
            Some(once) => match self.uses.claim(once, entry.time()).await {
                Ok(claim) => (claim, Recording::Durable),
                Err(error) => {
                    // It is refused whether or not that can be recorded.
                    let told = LedgerUnavailable(error.to_string());
                    let decision = entry.undecided(&error);
                    let _ = self.records.append(vec![decision], Recording::Durable).await;
                    return Err(told);
                }
            },
        };
        // The number of the record is not known yet, and the decision takes the rest with it.
        let mut seen = entry.seen(0);
        let sequence = self.records.append(vec![entry.decided(claim)], recording).await?;
        if !seen.is_empty() {
            seen.iter_mut().for_each(|block| block.seen = sequence);
            self.lineage.saw(seen);
        }
        Ok(Recorded::of(claim, sequence))
    }
}

impl Ledger for Separate {
    fn record(&self, entry: LedgerEntry) -> Result<Recorded, LedgerUnavailable> {
        self.here()?;
        wait(self.parts.clone().record(entry))
    }

    fn record_later(&self, entry: LedgerEntry, done: Done) {
        let driver = match self.here().and_then(|()| self.driver()) {
            Ok(driver) => driver,
            Err(error) => return done(Err(error)),
        };
        let parts = self.parts.clone();
        let work: Pending<'static, ()> = Box::pin(async move { done(parts.record(entry).await) });
        // What needs nobody else is done at once, on this thread.
        Arc::new(Task { work: Mutex::new(Some(work)), driver }).poll();
    }
}

impl fmt::Debug for Separate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Separate").field("recording", &self.parts.recording).finish_non_exhaustive()
    }
}

/// A decision under way.
struct Task {
    work: Mutex<Option<Pending<'static, ()>>>,
    driver: Sender<Arc<Task>>,
}

impl Task {
    fn poll(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut context = Context::from_waker(&waker);
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(polled) = work.as_mut() else { return };
        let polled = catch_unwind(AssertUnwindSafe(|| polled.as_mut().poll(&mut context)));
        // Of an engine that panics nothing comes, which whoever waits hears by the end of its callback.
        if !matches!(polled, Ok(Poll::Pending)) {
            *work = None;
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        // Never polled here: whoever wakes may hold locks of an engine.
        let _ = self.driver.send(Arc::clone(&self));
    }
}
