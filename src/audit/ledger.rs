//! Ledger: a decision is claimed, recorded and its chain remembered, before it is answered.

use crate::audit::{Claim, Decision, SeenBlock, SingleUse, UsesUnavailable, Verdict};
use crate::cause::Cause;
use crate::ruling::Ruling;
use crate::timestamp::Timestamp;
use crate::verify::VerifiedCapability;

/// A decision that is to be recorded by a [`Ledger`]. Only [`LedgerEntry::decided`] says what is to be recorded of it: a decision to allow a
/// presentation that was used before is recorded as refused.
#[derive(Debug)]
pub struct LedgerEntry {
    decision: Decision,
    once: Option<SingleUse>,
    /// The number of the presentation's block.
    block: usize,
    /// The token, if the whole of it holds.
    verified: Option<VerifiedCapability>,
}

impl LedgerEntry {
    pub(crate) fn new(
        decision: Decision,
        once: Option<(SingleUse, usize)>,
        verified: Option<VerifiedCapability>,
    ) -> LedgerEntry {
        let (once, block) = once.map_or((None, 0), |(once, block)| (Some(once), block));
        LedgerEntry { decision, once, block, verified }
    }

    /// Returns the presentation that is to be claimed first; `None` if the decision uses none up.
    pub fn once(&self) -> Option<&SingleUse> {
        self.once.as_ref()
    }

    /// Returns the moment of the decision.
    pub fn time(&self) -> Timestamp {
        self.decision.time
    }

    /// Returns the blocks of the chain, for [`Lineage::saw`](crate::audit::Lineage::saw), as seen in the record with the number `record`.
    /// Empty if the chain as a whole did not verify.
    pub fn seen(&self, record: u64) -> Vec<SeenBlock> {
        let verified = self.verified.as_ref();
        verified.map_or_else(Vec::new, |verified| {
            SeenBlock::all_of(verified.chain(), verified.root(), record)
        })
    }

    /// Returns the decision to record, given what came of the claim. Pass [`Claim::First`] where there was nothing to claim.
    pub fn decided(self, claim: Claim) -> Decision {
        let LedgerEntry { mut decision, once, block, .. } = self;
        if once.is_none() || claim == Claim::First {
            return decision;
        }
        // It is refused whatever policies say of it.
        (decision.candidate, decision.request) = (None, None);
        decision.ruled(&Ruling::replayed(block))
    }

    /// Returns the decision to record where it cannot be said whether the presentation was used: undecided.
    pub fn undecided(self, error: &UsesUnavailable) -> Decision {
        let LedgerEntry { mut decision, block, .. } = self;
        (decision.candidate, decision.request) = (None, None);
        let (undecided, message) = (Verdict::Undecided, error.to_string());
        decision.ruled(&Ruling::refused(undecided, Cause::LedgerUnavailable, Some(block), message))
    }

    /// Whether a revocation follows it, for which room is kept.
    pub(crate) fn allows_revocation(&self) -> bool {
        self.decision.verdict == Verdict::Allow && self.decision.precedes_revocation
    }

    pub(crate) fn verified(&self) -> Option<&VerifiedCapability> {
        self.verified.as_ref()
    }

    /// Leaves out the chain, which is then not remembered.
    pub(crate) fn leave_out_chain(&mut self) {
        self.verified = None;
    }
}

/// The result of recording a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recorded {
    /// The decision is recorded under this number.
    AsDecided {
        /// The record's number.
        sequence: u64,
    },
    /// The presentation was accepted before: the decision is recorded as refused, under this number.
    AsReplayed {
        /// The record's number.
        sequence: u64,
    },
}

impl Recorded {
    /// Returns the result of a decision whose claim came out as `claim` and which is recorded under the number `sequence`.
    pub fn of(claim: Claim, sequence: u64) -> Recorded {
        match claim {
            Claim::First => Recorded::AsDecided { sequence },
            Claim::Again => Recorded::AsReplayed { sequence },
        }
    }

    /// Returns the number of the record.
    pub fn sequence(&self) -> u64 {
        match self {
            Recorded::AsDecided { sequence } | Recorded::AsReplayed { sequence } => *sequence,
        }
    }
}

/// An error of a [`Ledger`] or of [`Records`](crate::audit::Records): the record cannot be written or read, or the presentation's use
/// cannot be looked up. The guard then refuses as undecided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record cannot be written: {0}")]
pub struct LedgerUnavailable(pub String);

impl LedgerUnavailable {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::LedgerUnavailable
    }
}

/// Records decisions: claims the presentation, records the decision, remembers the chain.
///
/// There are two. A [`Store`](crate::Store) does all three in one step, with one wait for the disk. [`Separate`](crate::audit::Separate)
/// puts together a [`Uses`](crate::audit::Uses), a [`Records`](crate::audit::Records) and a [`Lineage`](crate::audit::Lineage) of different
/// engines. Whoever has all three in one transaction may write a third:
///
/// 1. claim [`LedgerEntry::once`], if there is one;
/// 2. record [`LedgerEntry::decided`], whatever came of the claim;
/// 3. remember [`LedgerEntry::seen`];
/// 4. when the first two are durable, answer [`Recorded::of`] the claim.
///
/// If one of the first two fails, answer an error: the call is refused.
pub trait Ledger: Send + Sync {
    /// Records one decision before it returns: claims, records, remembers. May wait; a store waits for the disk.
    ///
    /// # Errors
    ///
    /// [`LedgerUnavailable`] unless it is claimed and recorded.
    fn record(&self, entry: LedgerEntry) -> Result<Recorded, LedgerUnavailable>;

    /// Records one decision without waiting: returns at once, and calls `done` from any thread when the decision is recorded. What was
    /// begun is brought to an end, even if nobody hears of it any more.
    fn record_later(&self, entry: LedgerEntry, done: Done);
}

/// The callback of [`Ledger::record_later`], which is given the result.
pub type Done = Box<dyn FnOnce(Result<Recorded, LedgerUnavailable>) + Send>;

impl<L: Ledger + ?Sized> Ledger for std::sync::Arc<L> {
    fn record(&self, entry: LedgerEntry) -> Result<Recorded, LedgerUnavailable> {
        (**self).record(entry)
    }

    fn record_later(&self, entry: LedgerEntry, done: Done) {
        (**self).record_later(entry, done);
    }
}

pub(crate) const REPLAYED_MESSAGE: &str =
    "this call-bound presentation was accepted before and is good for once";
