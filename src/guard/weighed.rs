//! Weighed: a decision before it is recorded.

use crate::audit::{Decision, LedgerUnavailable, Once, Settlement};
use crate::chain::PresentationKind;
use crate::guard::{Denial, Permit};
use crate::policy::Location;
use crate::verify::VerifiedCapability;

/// A decision before it is recorded: the answer that will be given if it is.
#[derive(Debug)]
pub(crate) struct Weighed {
    /// What is recorded; nothing, of a forgery too many.
    pub(super) decision: Option<Decision>,
    pub(super) once: Option<Once>,
    pub(super) verified: Option<VerifiedCapability>,
    pub(super) outcome: Result<Location, Denial>,
}

impl Weighed {
    #[cfg(feature = "mcp")]
    pub(super) fn unrecorded(denial: Denial) -> Weighed {
        Weighed { decision: None, once: None, verified: None, outcome: Err(denial) }
    }

    pub(super) fn refused(
        decision: Decision,
        verified: Option<VerifiedCapability>,
        denial: Denial,
    ) -> Weighed {
        let refusal = denial.refusal();
        let decision =
            decision.refused(denial.verdict(), refusal.cause, refusal.hop, &refusal.message);
        Weighed { decision: Some(decision), once: None, verified, outcome: Err(denial) }
    }

    pub(super) fn conclude(
        self,
        settled: Result<Option<Settlement>, LedgerUnavailable>,
    ) -> Result<Permit, Denial> {
        let settled = settled?;
        let allowed = self.outcome?;
        let Some(verified) = self.verified else {
            return Err(Denial::unfinished("nobody was verified"));
        };
        match settled {
            Some(Settlement::Replayed { .. }) => Err(Denial::replayed(&verified)),
            Some(Settlement::Recorded { sequence }) => {
                Ok(Permit { verified, allowed, sequence: Some(sequence) })
            }
            None => Ok(Permit { verified, allowed, sequence: None }),
        }
    }
}

/// What is used up if the call is allowed.
pub(super) fn once(verified: &VerifiedCapability) -> Option<Once> {
    let presentation = verified.presentation();
    let single_use = presentation.kind == PresentationKind::Call;
    single_use.then_some(Once {
        id: presentation.revocation_id,
        expires: presentation.expires,
        block: presentation.index,
    })
}
