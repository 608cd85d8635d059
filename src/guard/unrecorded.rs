//! UnrecordedDecision: what was decided, before it is recorded? (The record is written ahead of the answer.)

use crate::audit::{Decision, Recorded, SingleUse};
use crate::call::Call;
use crate::chain::PresentationKind;
use crate::guard::{Denial, Permit};
use crate::policy::Location;
use crate::ruling::Ruling;
use crate::verify::VerifiedCapability;

/// A decision before it is recorded. The answer that it holds is given once it is recorded
/// (`Guard::record_async`, feature `tokio`).
#[derive(Debug)]
pub(crate) enum UnrecordedDecision {
    /// The call is allowed.
    Allowed {
        /// The decision that is recorded.
        decision: Decision,
        /// The use of a presentation for one call, which is claimed before the call is allowed, and the number of its
        /// block. `None` for a presentation for many calls.
        once: Option<(SingleUse, usize)>,
        /// The verified token.
        verified: VerifiedCapability,
        /// The place of the policy that allows the call.
        at: Location,
    },
    /// The call is refused.
    Refused(UnrecordedRefusal),
}

/// A refusal before it is recorded. The answer that it holds is given once it is recorded.
#[derive(Debug)]
pub struct UnrecordedRefusal {
    /// What is recorded; nothing, of a forgery too many.
    pub(super) decision: Option<Decision>,
    /// The token, if the whole of it holds.
    pub(super) verified: Option<VerifiedCapability>,
    pub(super) denial: Denial,
}

impl UnrecordedDecision {
    pub(super) fn allowed(
        decision: Decision,
        verified: VerifiedCapability,
        at: Location,
    ) -> UnrecordedDecision {
        let decision = decision.ruled(&Ruling::allowed_by(&at));
        UnrecordedDecision::Allowed { decision, once: once(&verified), verified, at }
    }
}

impl UnrecordedRefusal {
    /// Makes a refusal by `denial` of which there will be no record.
    pub fn unrecorded(denial: Denial) -> UnrecordedRefusal {
        UnrecordedRefusal { decision: None, verified: None, denial }
    }

    pub(super) fn new(
        decision: Decision,
        verified: Option<VerifiedCapability>,
        denial: Denial,
    ) -> UnrecordedRefusal {
        let decision = decision.ruled(&Ruling::from(&denial));
        UnrecordedRefusal { decision: Some(decision), verified, denial }
    }

    /// Returns true if the record of a refused bearer may say what was asked for: there will be a record, and the
    /// signatures of the bearer are valid. What a stranger asks for is not written down, so that nobody can fill
    /// records with what he likes.
    pub fn may_tell(&self) -> bool {
        self.decision.as_ref().is_some_and(|decision| decision.chain.is_some())
    }

    /// Writes into the record which operation and resource were asked for, if [`UnrecordedRefusal::may_tell`] allows it.
    pub fn tell(&mut self, call: &Call) {
        if let Some(decision) = self.decision.as_mut().filter(|decision| decision.chain.is_some()) {
            decision.operation = call.operation().to_string();
            decision.resource = call.resource_uri().map(str::to_owned);
        }
    }

    /// Writes the method of a request into the record, where the request means no call that could be judged, if
    /// [`UnrecordedRefusal::may_tell`] allows it.
    pub fn tell_method(&mut self, method: &'static str) {
        if let Some(decision) = self.decision.as_mut().filter(|decision| decision.chain.is_some()) {
            decision.operation = method.to_owned();
        }
    }
}

/// What is answered to a call that is allowed, once that is recorded; nothing is recorded without a ledger.
pub(super) fn permit(
    verified: VerifiedCapability,
    allowed: Location,
    recorded: Option<Recorded>,
) -> Result<Permit, Denial> {
    match recorded {
        Some(Recorded::AsReplayed { .. }) => Err(Denial::replayed(&verified)),
        Some(Recorded::AsDecided { sequence }) => {
            Ok(Permit { verified, allowed, sequence: Some(sequence) })
        }
        None => Ok(Permit { verified, allowed, sequence: None }),
    }
}

/// What is used up if the call is allowed.
fn once(verified: &VerifiedCapability) -> Option<(SingleUse, usize)> {
    let presentation = verified.presentation();
    let single_use = presentation.kind == PresentationKind::Call;
    let (id, expires) = (presentation.revocation_id, presentation.expires);
    single_use.then(|| (SingleUse::new(&presentation.audience, id, expires), presentation.index))
}
