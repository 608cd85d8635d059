//! Common: what do all servers of a process share, so that they take no more than one would?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::admission::{AdmissionControl, Threads};
use crate::budget::Budget;
use crate::child::Places;
use crate::lanes::Lanes;

/// Whose work it is, of the servers of a process. One that is put in the place of another is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct ServerId(u64);

impl ServerId {
    /// Of the one server that has the process for itself: what is kept for others is its own, too.
    pub(crate) const ONLY: ServerId = ServerId(0);

    #[cfg(test)]
    pub(crate) fn from_number(number: u64) -> ServerId {
        ServerId(number)
    }
}

/// Memory, threads, and those who wait for them.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) budget: Budget,
    pub(crate) admission: AdmissionControl,
    /// For lists, and for answers that may hand out tasks: no call waits for lists.
    pub(crate) lanes: Lanes,
    pub(crate) readers: Lanes,
    /// For processes of servers that are programs.
    pub(crate) places: Places,
    next: Arc<AtomicU64>,
}

impl Common {
    /// Of a process with one server, until others have their parts of it.
    pub(crate) fn new() -> Common {
        Common {
            budget: Budget::default(),
            admission: AdmissionControl::on(Threads::Shared),
            lanes: Lanes::new(),
            readers: Lanes::new(),
            places: Places::default(),
            next: Arc::new(AtomicU64::new(1)),
        }
    }

    /// The part of one more server.
    pub(crate) fn part(&self) -> Common {
        let server = ServerId(self.next.fetch_add(1, Ordering::Relaxed));
        Common {
            budget: self.budget.of(server),
            admission: self.admission.of(server),
            lanes: self.lanes.of(server),
            readers: self.readers.of(server),
            places: self.places.clone(),
            next: Arc::clone(&self.next),
        }
    }
}
