//! Queue: who waits to have something written, and whose turn it is to write.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::store::StoreError;
use crate::store::commit::{Answer, Job};

/// How long a decision that was answered before it was written waits at most.
const WRITE_EVERY: Duration = Duration::from_millis(100);

/// What a waiting caller hears.
pub(super) enum Heard {
    Lead,
    Done(Result<Answer, StoreError>),
}

/// How whoever handed over a job hears of it.
pub(super) enum Reply {
    /// It waits, and writes if it is its turn.
    Waits(SyncSender<Heard>),
    /// It is told. A thread of the store's writes for it.
    Told(Box<dyn FnOnce(Result<Answer, StoreError>) + Send>),
}

impl Reply {
    pub(super) fn answer(self, answer: Result<Answer, StoreError>) {
        match self {
            // Whoever no longer waits for an answer needs none.
            Reply::Waits(word) => drop(word.send(Heard::Done(answer))),
            Reply::Told(done) => done(answer),
        }
    }
}

pub(super) struct Waiting {
    pub(super) job: Job,
    pub(super) reply: Reply,
}

/// Those who wait, and whether one of them writes.
#[derive(Default)]
pub(super) struct Queue {
    waiters: Mutex<Waiters>,
    /// Wakes the thread that writes for those who do not wait.
    bell: Condvar,
}

#[derive(Default)]
pub(super) struct Waiters {
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) led: bool,
    /// Whether it is the thread's turn to lead.
    summoned: bool,
    /// Whether much waits of what was answered before it is written.
    much_buffered: bool,
    /// When whatever waits of that is written.
    write_at: Option<Instant>,
    /// The last turn wrote what had waited its time.
    wrote: bool,
    stopped: bool,
    /// Nothing more is taken.
    pub(super) closed: bool,
}

/// What the thread that writes is to do.
pub(super) enum Turn {
    Lead,
    WriteMuch,
    WriteAll,
    End,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue")
    }
}

impl Queue {
    pub(super) fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Lets the next one lead, if somebody waits.
    fn hand_over(&self) {
        let mut waiters = self.waiters();
        waiters.led = match waiters.waiting.front().map(|next| &next.reply) {
            Some(Reply::Waits(next)) => next.send(Heard::Lead).is_ok(),
            Some(Reply::Told(_)) => {
                self.summon(&mut waiters);
                true
            }
            None => false,
        };
    }

    pub(super) fn summon(&self, waiters: &mut Waiters) {
        waiters.summoned = true;
        self.bell.notify_one();
    }

    /// Has the thread write much of what was answered before.
    pub(super) fn summon_for_buffered(&self) {
        self.waiters().much_buffered = true;
        self.bell.notify_one();
    }

    /// Has the thread write what was answered before, soon.
    #[allow(clippy::disallowed_methods, reason = "how long it waits, not what time it is")]
    pub(super) fn write_soon(&self) {
        self.waiters().write_at.get_or_insert_with(|| Instant::now() + WRITE_EVERY);
        self.bell.notify_one();
    }

    /// Comes back when it is the thread's turn; or when there is nothing left and it is to end.
    #[allow(clippy::disallowed_methods, reason = "how long it waits, not what time it is")]
    pub(super) fn turn(&self) -> Turn {
        let mut waiters = self.waiters();
        loop {
            let now = Instant::now();
            let is_due = waiters.write_at.is_some_and(|at| at <= now);
            // What waited its time goes first. On a disk so slow that more has waited its time by then, one turn of the others does.
            waiters.wrote = is_due && !(waiters.wrote && waiters.summoned);
            if waiters.wrote {
                waiters.write_at = None;
                return Turn::WriteAll;
            }
            if std::mem::take(&mut waiters.summoned) {
                return Turn::Lead;
            }
            if std::mem::take(&mut waiters.much_buffered) {
                return Turn::WriteMuch;
            }
            if waiters.stopped {
                return Turn::End;
            }
            waiters = match waiters.write_at {
                Some(at) => {
                    let waited = self.bell.wait_timeout(waiters, at - now);
                    waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
                }
                None => self.bell.wait(waiters).unwrap_or_else(|poisoned| poisoned.into_inner()),
            };
        }
    }

    /// Refuses what waits and whatever comes, and ends the thread.
    pub(super) fn close(&self) {
        let refused: Vec<Waiting> = {
            let mut waiters = self.waiters();
            (waiters.stopped, waiters.closed) = (true, true);
            waiters.waiting.drain(..).collect()
        };
        self.bell.notify_one();
        for waiting in refused {
            waiting.reply.answer(Err(StoreError::Stopped));
        }
    }

    /// Ends the thread, once it has written what was handed over.
    pub(super) fn stop(&self) {
        self.waiters().stopped = true;
        self.bell.notify_one();
    }
}

/// Hands over when its holder is done, even by a panic: otherwise everybody would wait for ever.
pub(super) struct Leading<'a>(pub(super) &'a Queue);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.0.hand_over();
    }
}
