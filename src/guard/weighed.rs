//! Weighed: a decision before it is recorded.

use crate::audit::{Decision, LedgerUnavailable, Once, Settlement};
use crate::call::Call;
use crate::chain::PresentationKind;
use crate::guard::{Denial, Permit};
use crate::policy::Location;
use crate::ruling::Ruling;
use crate::verify::VerifiedCapability;

/// A decision before it is recorded: the answer that will be given if it is.
#[derive(Debug)]
pub struct Weighed {
    /// What is recorded; nothing, of a forgery too many.
    pub(super) decision: Option<Decision>,
    pub(super) once: Option<Once>,
    pub(super) verified: Option<VerifiedCapability>,
    pub(super) outcome: Result<Location, Denial>,
}

impl Weighed {
    /// Wraps a denial that is not to be recorded.
    pub fn unrecorded(denial: Denial) -> Weighed {
        Weighed { decision: None, once: None, verified: None, outcome: Err(denial) }
    }

    pub(super) fn refused(
        decision: Decision,
        verified: Option<VerifiedCapability>,
        denial: Denial,
    ) -> Weighed {
        let decision = decision.ruled(&Ruling::from(&denial));
        Weighed { decision: Some(decision), once: None, verified, outcome: Err(denial) }
    }

    /// Whether the record of a refused bearer may say what was asked for: it is written at all, and the signatures hold. What a
    /// stranger asks for is not written down, so that nobody can fill records with what he likes.
    pub fn may_tell(&self) -> bool {
        self.decision.as_ref().is_some_and(|decision| decision.chain.is_some())
    }

    /// Says in the record what was asked for.
    pub fn tell(&mut self, call: &Call) {
        if let Some(decision) = self.decision.as_mut().filter(|decision| decision.chain.is_some()) {
            decision.operation = call.operation().to_string();
            decision.resource = call.resource_uri().map(str::to_owned);
        }
    }

    /// The same of a request that means no call which could be judged: its method.
    pub fn tell_method(&mut self, method: &'static str) {
        if let Some(decision) = self.decision.as_mut().filter(|decision| decision.chain.is_some()) {
            decision.operation = method.to_owned();
        }
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
