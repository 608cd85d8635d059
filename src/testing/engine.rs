//! Engine: how an engine is put to its cases (conformance tests).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::pending::Pending;
use crate::timestamp::Timestamp;

/// The moment at which cases begin: 2026-11-23T10:00:00Z.
pub(super) const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

/// An engine under test, as [`conform`] needs it. It is empty when it is made.
///
/// `T` is the trait that is tested: `dyn Uses`, `dyn RevocationLog`, `dyn Records` or `dyn Lineage`.
pub trait Engine<T: ?Sized> {
    /// Returns the engine as it runs now.
    fn joint(&self) -> Arc<T>;

    /// Ends the engine as a crash does, after everything that was answered, and runs it again on what was durable. By default the cases
    /// that need this are left out.
    ///
    /// # Errors
    ///
    /// [`LeftOut`] for an engine that lives in memory alone.
    fn restart(&mut self) -> Result<(), LeftOut> {
        Err(LeftOut)
    }

    /// Tells the engine the time `now`, and has it forget what it may. Nobody vouches for the clock. By default the cases that need this
    /// are left out.
    ///
    /// # Errors
    ///
    /// [`LeftOut`] for an engine that never forgets.
    fn forget(&mut self, now: Timestamp) -> Result<(), LeftOut> {
        let _ = now;
        Err(LeftOut)
    }
}

/// The answer that a case does not apply to an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut;

/// One case: something that every engine of a trait must do.
pub struct Case<T: ?Sized> {
    pub(super) name: &'static str,
    pub(super) run: fn(&mut dyn Engine<T>) -> Result<(), LeftOut>,
}

impl<T: ?Sized> Case<T> {
    /// Returns the name of the case: what must hold, in words joined by underscores.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Puts an empty engine to the case.
    ///
    /// # Panics
    ///
    /// If the case does not hold.
    ///
    /// # Errors
    ///
    /// [`LeftOut`] if the case does not apply to the engine.
    pub fn run(&self, engine: &mut dyn Engine<T>) -> Result<(), LeftOut> {
        (self.run)(engine)
    }
}

impl<T: ?Sized> std::fmt::Debug for Case<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Puts an engine to all `cases`, each time a new one that `make` makes. Returns the names of the cases that did not apply. Panics with
/// the names of all cases that do not hold.
///
/// ```
/// # #![allow(clippy::unwrap_used)]
/// use std::sync::Arc;
///
/// use hardtack::Store;
/// use hardtack::audit::Uses;
/// use hardtack::testing::{Engine, conform, uses};
///
/// struct InMemory(Store);
///
/// impl Engine<dyn Uses> for InMemory {
///     fn joint(&self) -> Arc<dyn Uses> {
///         Arc::new(self.0.clone())
///     }
/// }
///
/// let left_out = conform(uses::CASES, || Box::new(InMemory(Store::in_memory().unwrap())));
/// // It neither survives a restart nor forgets when it is told.
/// assert!(left_out.len() < uses::CASES.len() / 2, "{left_out:?}");
/// ```
pub fn conform<T: ?Sized + 'static>(
    cases: &[Case<T>],
    make: impl Fn() -> Box<dyn Engine<T>>,
) -> Vec<&'static str> {
    let (mut failed, mut left_out) = (Vec::new(), Vec::new());
    for case in cases {
        // What a panic leaves is never looked at again.
        match catch_unwind(AssertUnwindSafe(|| case.run(&mut *make()))) {
            Ok(Ok(())) => {}
            Ok(Err(LeftOut)) => left_out.push(case.name),
            Err(_) => failed.push(case.name),
        }
    }
    assert!(failed.is_empty(), "of {} cases do not hold: {failed:#?}", cases.len());
    left_out
}

macro_rules! cases {
    ($joint:ty: $($case:ident),* $(,)?) => {
        /// The cases that every engine of this trait must pass, for [`conform`](crate::testing::conform).
        pub const CASES: &[$crate::testing::Case<$joint>] =
            &[$($crate::testing::Case { name: stringify!($case), run: $case }),*];
    };
}
pub(super) use cases;

/// An id that differs from others in all of its parts.
pub(super) fn id(number: u64) -> crate::chain::RevocationId {
    let mut bytes = [0; 64];
    for (word, part) in bytes.chunks_exact_mut(8).enumerate() {
        let spread = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 + 2 * word as u64);
        part.copy_from_slice(&spread.rotate_left(29).to_le_bytes());
    }
    crate::chain::RevocationId::from_bytes(bytes)
}

pub(super) fn later(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

/// Does it on so many threads at once; returns what came of each.
pub(super) fn at_once<T: Send>(threads: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let barrier = std::sync::Barrier::new(threads as usize);
    std::thread::scope(|scope| {
        let (work, barrier) = (&work, &barrier);
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    barrier.wait();
                    work(thread)
                })
            })
            .collect();
        running.into_iter().map(|running| running.join().expect("a thread of a case")).collect()
    })
}

/// Lets a future begin, and drops it.
pub(super) fn begin_and_drop<T>(mut future: Pending<'_, T>) {
    let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

/// Begins a future here and has it brought to its end on another thread, as runtimes do.
pub(super) fn across_threads<T: Send>(future: Pending<'_, T>) -> T {
    let mut future = future;
    if let std::task::Poll::Ready(answer) =
        Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()))
    {
        return answer;
    }
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| crate::pending::wait(future));
        ending.join().expect("a thread of a case")
    })
}
