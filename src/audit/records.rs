//! Records: where decisions are kept, in order: an append-only log.

use crate::audit::{Decision, LedgerUnavailable, LogLine};
use crate::pending::Pending;

/// The choice when a decision is answered: before or after it is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// A decision is answered once it is on disk.
    Durable,
    /// A decision is answered at once: a crash loses the last `at_most`, or those of the last tenth of a second (or of what one write to
    /// the disk takes, if that is longer), whichever are fewer. While nothing can be written, only `at_most` bounds what a crash loses.
    /// Zero is durable.
    Buffered {
        /// The most decisions that a crash may lose.
        at_most: usize,
    },
}

/// Keeps decisions as records: numbered from 1, without gaps, each continuing the one before.
///
/// Each server has a log of its own, which it signs: a global order of decisions would put every call through one counter. What is
/// recorded cannot be taken back.
///
/// # What an engine must hold
///
/// 1. **All or none.** The decisions of one call stand one after another, in their order, and either all of them are recorded or none.
/// 2. **Durable before it answers**, unless it was told that it need not be ([`Recording::Buffered`]). What was read by anybody is
///    never lost: [`Records::read`] shows what is durable.
/// 3. **One log.** A record is an [`AuditRecord`](crate::AuditRecord): its bytes are the leaf of a Merkle tree, `previous` is the leaf
///    hash of the record before. [`Frontier`](crate::log::Frontier) makes both, and [`LogReader`](crate::log::LogReader) verifies them.
/// 4. **Never blocks.** As for [`Uses`](crate::audit::Uses): the future is polled on any thread, and needs no runtime around it. One that
///    is dropped may or may not have recorded.
///
/// `testing::records` has the cases that an engine must pass (feature `testing`); a [`Store`](crate::Store) is the first engine.
pub trait Records: Send + Sync {
    /// Records these decisions in their order; returns the number of the first, which those of the others follow.
    ///
    /// # Errors
    ///
    /// [`LedgerUnavailable`] unless all are recorded.
    fn append<'a>(
        &'a self,
        decisions: Vec<Decision>,
        recording: Recording,
    ) -> Pending<'a, Result<u64, LedgerUnavailable>>;

    /// Returns the records from the one with the number `from` on, in order, `at_most` of them; none if the log ends before. The log may
    /// hold other records than decisions, and they count. May wait; a store waits for the disk.
    ///
    /// # Errors
    ///
    /// [`LedgerUnavailable`] if they cannot be read.
    fn read(&self, from: u64, at_most: usize) -> Result<Vec<LogLine>, LedgerUnavailable>;
}

impl<R: Records + ?Sized> Records for std::sync::Arc<R> {
    fn append<'a>(
        &'a self,
        decisions: Vec<Decision>,
        recording: Recording,
    ) -> Pending<'a, Result<u64, LedgerUnavailable>> {
        (**self).append(decisions, recording)
    }

    fn read(&self, from: u64, at_most: usize) -> Result<Vec<LogLine>, LedgerUnavailable> {
        (**self).read(from, at_most)
    }
}
