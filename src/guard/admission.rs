//! Admission: what is said and recorded of a bearer, before and besides any decision of a call?

use std::sync::Arc;

use crate::audit::{AuditChain, Decision};
use crate::call::Call;
use crate::guard::{Denial, Guard, UnrecordedRefusal};
use crate::timestamp::Timestamp;
use crate::verify::{Rejection, VerifiedCapability};

/// What records call a bearer's admission ([`Guard::admit`]).
const ADMISSION: &str = "admission";

impl Guard {
    /// Verifies a bearer for what any valid one may do: open a connection, keep it alive, list what it may use. No
    /// policy is asked. Only a refusal is recorded, under the operation `admission`; then this waits for the ledger
    /// (`admit_async`, feature `tokio`).
    ///
    /// # Errors
    ///
    /// [`Denial::Unauthenticated`] or [`Denial::Undecided`].
    pub fn admit(&self, bearer: &str, now: Timestamp) -> Result<VerifiedCapability, Denial> {
        self.verify(bearer, &Call::new(ADMISSION)?, now)
    }

    /// Makes the refusal of a bearer, before it is recorded, where it is not yet known what the bearer asks for. The
    /// caller may still [tell](UnrecordedRefusal::tell) that. It would be recorded under the operation `admission`.
    pub fn weigh_rejection(&self, rejection: Rejection, now: Timestamp) -> UnrecordedRefusal {
        match Call::new(ADMISSION) {
            Ok(admission) => self.weigh_rejected(rejection, &admission, now),
            Err(error) => UnrecordedRefusal::unrecorded(error.into()),
        }
    }

    /// Verifies a bearer as [`Guard::admit`] does, and leaves it to the caller to have a refusal recorded. Waits for no
    /// disk.
    pub fn decide_admission(
        &self,
        bearer: &str,
        now: Timestamp,
    ) -> Result<VerifiedCapability, Box<UnrecordedRefusal>> {
        let admission = match Call::new(ADMISSION) {
            Ok(admission) => admission,
            Err(error) => return Err(Box::new(UnrecordedRefusal::unrecorded(error.into()))),
        };
        let examined = self.verifier.examine(bearer, Some(admission.operation()), now);
        examined.map_err(|rejection| Box::new(self.weigh_rejected(*rejection, &admission, now)))
    }

    /// Verifies a bearer as [`Guard::decide_admission`] does, but only if it is remembered whether its signatures are
    /// valid; `None` if it is not. This costs microseconds.
    pub fn recognize(
        &self,
        bearer: &str,
        now: Timestamp,
    ) -> Option<Result<VerifiedCapability, Box<UnrecordedRefusal>>> {
        let admission = Call::new(ADMISSION).ok()?;
        let recognized = self.verifier.recognize(bearer, Some(admission.operation()), now)?;
        Some(
            recognized
                .map_err(|rejection| Box::new(self.weigh_rejected(*rejection, &admission, now))),
        )
    }

    /// Verifies a capability again that was verified before, and returns it as verified at `now`. A server does so when
    /// much may have happened in between. As with [`Guard::decide_admission`], the caller has a refusal recorded.
    pub fn weigh_admission_again(
        &self,
        verified: &VerifiedCapability,
        now: Timestamp,
    ) -> Result<VerifiedCapability, Box<UnrecordedRefusal>> {
        let admission = match Call::new(ADMISSION) {
            Ok(admission) => admission,
            Err(error) => return Err(Box::new(UnrecordedRefusal::unrecorded(error.into()))),
        };
        let examined = self.verifier.examine_again(verified, admission.operation(), now);
        examined.map_err(|rejection| Box::new(self.weigh_rejected(*rejection, &admission, now)))
    }

    /// Makes the refusal of a request with a valid capability, before it is recorded, where the server itself refuses
    /// it by `denial`. `what` names in the record what could not be judged.
    pub fn weigh_refusal(
        &self,
        verified: &VerifiedCapability,
        what: &str,
        denial: Denial,
        now: Timestamp,
    ) -> UnrecordedRefusal {
        let admission = match Call::new(ADMISSION) {
            Ok(admission) => admission,
            Err(error) => return UnrecordedRefusal::unrecorded(error.into()),
        };
        let chain = Some(verified.recorded());
        let mut decision = Decision::allowed(chain, &admission, &self.policy(), now);
        decision.operation = what.to_owned();
        UnrecordedRefusal::new(decision, Some(verified.clone()), denial)
    }

    /// What is recorded of a bearer that does not hold.
    pub(super) fn weigh_rejected(
        &self,
        rejection: Rejection,
        call: &Call,
        now: Timestamp,
    ) -> UnrecordedRefusal {
        let Rejection { error, authentic } = rejection;
        let authentic = authentic.as_deref();
        let chain = authentic
            .map(|token| AuditChain::authentic(token.capability.chain(), token.issuer()))
            .map(Arc::new);
        let [forged, others] = &self.rejections;
        let rejections = if chain.is_none() { forged } else { others };
        let counted = rejections.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).count(now);
        let Some(unrecorded) = counted else {
            return UnrecordedRefusal::unrecorded(error.into());
        };
        let mut decision = Decision::allowed(chain, call, &self.policy(), now);
        decision.unrecorded = unrecorded;
        if decision.chain.is_none() {
            // A stranger writes no URI of some kilobytes, a hundred times a second.
            decision.resource = None;
        }
        UnrecordedRefusal::new(decision, None, error.into())
    }

    /// Verifies; records only a refusal.
    pub(super) fn verify(
        &self,
        bearer: &str,
        call: &Call,
        now: Timestamp,
    ) -> Result<VerifiedCapability, Denial> {
        self.verifier
            .examine(bearer, Some(call.operation()), now)
            .map_err(|rejection| self.record_refusal(self.weigh_rejected(*rejection, call, now)))
    }
}
