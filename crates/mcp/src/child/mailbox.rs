//! Mailbox: what a server said to one stream, until its client takes it.
//!
//! Each message holds its part of what may wait of one server's messages in all (a semaphore of bytes), so a mailbox is bounded
//! although nobody who posts waits for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, OwnedSemaphorePermit};

/// One message of a server's, in one line.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) text: String,
    /// Whether it is the answer, after which nothing comes.
    pub(crate) is_answer: bool,
    /// The code of its error, if it is one.
    pub(crate) error_code: Option<i64>,
    pub(crate) _held: OwnedSemaphorePermit,
}

/// Why nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The server's process has ended.
    Ended,
    /// The client did not take what was said, or the answer was too large.
    Undelivered,
    /// The answer is no message that everybody reads in the same way.
    Unreadable,
    /// The client cancelled the request, and the server did not answer any more.
    Cancelled,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Mailbox(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    kept: Mutex<Kept>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    waiting: VecDeque<Said>,
    closed: Option<Closed>,
}

impl Mailbox {
    pub(crate) fn post(&self, said: Said) {
        let mut kept = self.kept();
        if kept.closed.is_none() {
            kept.waiting.push_back(said);
        }
        drop(kept);
        self.0.changed.notify_one();
    }

    /// Nothing comes any more. What waits can still be taken, unless that is why.
    pub(crate) fn close(&self, why: Closed) {
        let mut kept = self.kept();
        kept.closed.get_or_insert(why);
        if why == Closed::Undelivered {
            kept.waiting.clear();
        }
        drop(kept);
        self.0.changed.notify_one();
    }

    pub(crate) fn is(&self, other: &Mailbox) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.kept().waiting.is_empty()
    }

    /// The next message; one reader alone may wait for it. Whoever no longer waits loses none.
    pub(crate) async fn next(&self) -> Result<Said, Closed> {
        loop {
            {
                let mut kept = self.kept();
                if let Some(said) = kept.waiting.pop_front() {
                    return Ok(said);
                }
                if let Some(closed) = kept.closed {
                    return Err(closed);
                }
            }
            self.0.changed.notified().await;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
