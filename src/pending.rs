//! Pending: an answer that comes later (a future), for programs with an asynchronous runtime and without one.
//!
//! What may go over a network ([`Uses`](crate::audit::Uses), [`RevocationLog`](crate::revocation::RevocationLog)) answers with a
//! future. It is polled on any thread, with or without a runtime around it, and never blocks the one that polls.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// An answer that comes later: a boxed future that can be sent to another thread.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Blocks this thread until the future `answer` is ready, and returns its result. Threads of an asynchronous runtime
/// may not wait so.
///
/// ```
/// assert_eq!(hardtack::pending::wait(async { 7 }), 7);
/// ```
pub fn wait<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match answer.as_mut().poll(&mut context) {
            Poll::Ready(answer) => return answer,
            // A wake that came before is not lost: then this comes back at once.
            Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Makes a one-shot channel for an answer that another thread will give: the giver, and the future that waits for it.
/// This is for engines that call back.
///
/// ```
/// use hardtack::pending::{promise, wait};
///
/// let (giver, promised) = promise();
/// std::thread::spawn(move || giver.give(7));
/// assert_eq!(wait(promised), Some(7));
///
/// let (giver, promised) = promise::<u8>();
/// drop(giver);
/// assert_eq!(wait(promised), None);
/// ```
pub fn promise<T>() -> (Giver<T>, Promised<T>) {
    let shared = Arc::new(Mutex::new(Shared { answer: None, is_over: false, waker: None }));
    (Giver(Arc::clone(&shared)), Promised(shared))
}

#[derive(Debug)]
struct Shared<T> {
    answer: Option<T>,
    /// It was given, or will never be.
    is_over: bool,
    waker: Option<Waker>,
}

/// The sending half of [`promise`]. If it is dropped without an answer, the other half learns that none will come.
pub struct Giver<T>(Arc<Mutex<Shared<T>>>);

impl<T> Giver<T> {
    /// Gives the answer and wakes whoever waits for it.
    pub fn give(self, answer: T) {
        lock(&self.0).answer = Some(answer);
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        let waker = {
            let mut shared = lock(&self.0);
            shared.is_over = true;
            shared.waker.take()
        };
        // Not under the lock: whoever is woken may poll at once.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> fmt::Debug for Giver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Giver")
    }
}

/// The receiving half of [`promise`]: a future of the answer, or of `None` if the answer will never be given.
pub struct Promised<T>(Arc<Mutex<Shared<T>>>);

impl<T> Future for Promised<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut shared = lock(&self.0);
        if shared.is_over {
            return Poll::Ready(shared.answer.take());
        }
        match &mut shared.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl<T> fmt::Debug for Promised<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promised")
    }
}

fn lock<T>(shared: &Mutex<Shared<T>>) -> MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
