//! Revoking: may the bearer revoke what it asks for?

use crate::audit::Decision;
use crate::chain::{IdPrefix, RevocationId};
use crate::guard::{Denial, Guard, UnrecordedDecision, UnrecordedRefusal};
use crate::revocation::Revoking;
use crate::revoke::{self, RevocationRequest, RevokeError};
use crate::ruling::Ruling;
use crate::timestamp::Timestamp;
use crate::verify::VerifiedCapability;

impl Guard {
    /// Decides whether the bearer may revoke what `request` asks for, as of `now`, and returns what is to be handed to
    /// the store. With the scope `hardtack:revoke` it may revoke anything; without it, hops that its own key delegated
    /// (`docs/verification.md`). The presentation must be bound to the call of this request, and is used up. Waits until the
    /// ledger has recorded the decision, with a store for the disk (`check_revocation_async`, feature `tokio`).
    ///
    /// # Errors
    ///
    /// [`Denial`], as of [`Guard::check`]. A request that gives only the beginning of an id is refused, since no ids
    /// are known here ([`Guard::check_revocation_among`]).
    pub fn check_revocation(
        &self,
        bearer: &str,
        request: &RevocationRequest,
        now: Timestamp,
    ) -> Result<Revoking, Denial> {
        self.check_revocation_among(bearer, request, |_| Vec::new(), now)
    }

    /// Decides whether the bearer may revoke what `request` asks for, as [`Guard::check_revocation`] does, also where
    /// the request gives only the beginning of an id. `seen` finds the ids of grants and hops that begin so
    /// ([`StoreReader::ids_beginning`](crate::StoreReader::ids_beginning)). It is asked only for bearers that may
    /// revoke anything. Waits as [`Guard::check_revocation`] does, and for `seen`.
    ///
    /// # Errors
    ///
    /// [`Denial`], as of [`Guard::check_revocation`].
    pub fn check_revocation_among(
        &self,
        bearer: &str,
        request: &RevocationRequest,
        seen: impl FnOnce(&IdPrefix) -> Vec<RevocationId>,
        now: Timestamp,
    ) -> Result<Revoking, Denial> {
        let call = request.call();
        let verified = self.verify(bearer, call, now)?;
        let sets = self.sets();
        let decision = |verified: &VerifiedCapability| {
            Decision::allowed(Some(verified.recorded()), call, &sets.live, now)
        };
        let verified = match self.ask(verified, call, now) {
            Ok(verified) => verified,
            Err(unstated) => {
                let (verified, denial) = *unstated;
                let decision = decision(&verified);
                let refusal = UnrecordedRefusal::new(decision, Some(verified), denial);
                return Err(self.record_refusal(refusal));
            }
        };
        let mut decision = decision(&verified);
        let prepared = self.prepared(&verified);
        let decided =
            revoke::allow(&prepared, &verified, &self.verifier, &sets.live, request, seen);
        match &decided {
            Ok((at, _)) if !revoke::is_delegators_rule(at) => {
                let ruling = Ruling::allowed_by(at);
                self.note(&mut decision, &sets, &prepared, &verified, call, &ruling);
            }
            Err(RevokeError::Unauthorized(error)) if error.rests_on_policies() => {
                self.note(&mut decision, &sets, &prepared, &verified, call, &error.into());
            }
            _ => {}
        }
        match decided {
            Ok((at, revocation)) => {
                decision.precedes_revocation = !request.is_dry_run();
                let decided = UnrecordedDecision::allowed(decision, verified.clone(), at);
                self.record(decided).map(|_| request.revoking(revocation, &verified))
            }
            Err(error) => {
                let refusal = UnrecordedRefusal::new(decision, Some(verified), error.into());
                Err(self.record_refusal(refusal))
            }
        }
    }
}
