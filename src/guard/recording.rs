//! Recording: a decision is on record before it is answered (write-ahead).

use crate::audit::LedgerEntry;
#[cfg(feature = "tokio")]
use crate::audit::{LedgerUnavailable, Recorded};
use crate::guard::unrecorded::permit;
use crate::guard::{Denial, Guard, Permit, UnrecordedDecision, UnrecordedRefusal};

impl Guard {
    /// Records what was decided, and answers. What cannot be recorded is undecided.
    pub(crate) fn record(&self, decided: UnrecordedDecision) -> Result<Permit, Denial> {
        match decided {
            UnrecordedDecision::Allowed { decision, once, verified, at } => {
                let entry = LedgerEntry::new(decision, once, Some(verified.clone()));
                let recorded = self.ledger.as_deref().map(|ledger| ledger.record(entry));
                permit(verified, at, recorded.transpose()?)
            }
            UnrecordedDecision::Refused(refusal) => Err(self.record_refusal(refusal)),
        }
    }

    /// Records a refusal, and returns it, or that it cannot be recorded.
    pub(crate) fn record_refusal(&self, refusal: UnrecordedRefusal) -> Denial {
        let UnrecordedRefusal { decision, verified, denial } = refusal;
        let (Some(ledger), Some(decision)) = (&self.ledger, decision) else { return denial };
        match ledger.record(LedgerEntry::new(decision, None, verified)) {
            Ok(_) => denial,
            Err(unavailable) => unavailable.into(),
        }
    }

    /// [`Guard::record`] without waiting: `done` hears the answer, from whatever thread.
    #[cfg(feature = "tokio")]
    pub(crate) fn record_later(
        &self,
        decided: UnrecordedDecision,
        done: impl FnOnce(Result<Permit, Denial>) + Send + 'static,
    ) {
        match decided {
            UnrecordedDecision::Allowed { decision, once, verified, at } => {
                let Some(ledger) = &self.ledger else { return done(permit(verified, at, None)) };
                let entry = LedgerEntry::new(decision, once, Some(verified.clone()));
                let done = move |recorded: Result<Recorded, LedgerUnavailable>| {
                    let recorded = recorded.map_err(Denial::from);
                    done(recorded.and_then(|recorded| permit(verified, at, Some(recorded))));
                };
                ledger.record_later(entry, Box::new(done));
            }
            UnrecordedDecision::Refused(refusal) => {
                self.record_refusal_later(refusal, |denial| done(Err(denial)));
            }
        }
    }

    /// [`Guard::record_refusal`] without waiting.
    #[cfg(feature = "tokio")]
    pub(crate) fn record_refusal_later(
        &self,
        refusal: UnrecordedRefusal,
        done: impl FnOnce(Denial) + Send + 'static,
    ) {
        let UnrecordedRefusal { decision, verified, denial } = refusal;
        let (Some(ledger), Some(decision)) = (&self.ledger, decision) else { return done(denial) };
        let done = move |recorded: Result<Recorded, LedgerUnavailable>| {
            done(recorded.map_or_else(Denial::from, |_| denial));
        };
        ledger.record_later(LedgerEntry::new(decision, None, verified), Box::new(done));
    }
}
