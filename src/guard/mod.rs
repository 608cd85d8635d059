//! Guard: verify, authorize and audit in one call, whole or not at all.

mod denial;
mod permit;
mod rejections;
mod shadow;
mod weighed;

use std::fmt;
use std::sync::{Arc, Mutex, RwLock};

use crate::audit::{AuditChain, Decision, Kept, KeptRequest, Ledger};
#[cfg(feature = "http")]
use crate::audit::{LedgerUnavailable, Settlement};
#[cfg(feature = "http")]
use crate::authorize::is_quick;
use crate::authorize::{AuthorizeError, authorize, rests_on};
use crate::call::Call;
use crate::chain::{IdPrefix, RevocationId};
use crate::explain::{self, Explanation};
use crate::policy::Policy;
use crate::prospect::{self, Prospect};
use crate::revocation::Revoking;
use crate::revoke::{self, RevocationRequest, RevokeError};
use crate::timestamp::Timestamp;
use crate::verify::{Rejection, VerifiedCapability, Verifier};

pub(crate) use weighed::Weighed;
use weighed::once;

pub use denial::{Denial, Helps, Refusal};
pub use permit::Permit;
pub use rejections::MAX_REJECTIONS_RECORDED;
use rejections::Rejections;
use shadow::Shadow;
pub use shadow::ShadowCounts;

/// What records call a bearer's admission ([`Guard::admit`]).
const ADMISSION: &str = "admission";

/// What a tool server asks before each call.
///
/// ```
/// use hardtack::*;
/// # let now = Timestamp::from_unix_seconds(1_795_428_000);
/// # let root = PrivateKey::generate();
/// # let roots = RootKeys::of(root.public());
/// # let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
/// # let capability = Issuer::new(root).mint(grant, now)?;
/// let store = Store::in_memory()?;
/// let verifier = Verifier::new(roots, "notion.mcp", store.revocations())?;
/// let guard = Guard::new(verifier, Policy::builtin(), store);
///
/// let presentation = capability.present(Presenting::to("notion.mcp"), &alice, now)?;
/// let call = Call::tool("search")?.arguments(r#"{"query": "roadmap"}"#)?;
/// let permit = guard.check(presentation.bearer(), &call, now)?;
/// assert_eq!(permit.subject(), "user:alice");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Guard {
    verifier: Verifier,
    sets: RwLock<Sets>,
    shadow: Shadow,
    kept: Option<Kept>,
    ledger: Option<Box<dyn Ledger>>,
    /// Of bearers without a valid signature, and of the others.
    rejections: [Mutex<Rejections>; 2],
}

/// The policies of one moment.
#[derive(Debug, Clone)]
struct Sets {
    /// What decides.
    live: Arc<Policy>,
    /// What is tried beside it.
    candidate: Option<Arc<Policy>>,
}

impl Guard {
    /// A guard that records every decision in `ledger` before it answers.
    pub fn new(
        verifier: Verifier,
        policy: impl Into<Arc<Policy>>,
        ledger: impl Ledger + 'static,
    ) -> Guard {
        Guard { ledger: Some(Box::new(ledger)), ..Guard::unrecorded(verifier, policy) }
    }

    /// A guard that records nothing and accepts a call-bound presentation as often as it comes.
    pub fn unrecorded(verifier: Verifier, policy: impl Into<Arc<Policy>>) -> Guard {
        Guard {
            verifier,
            sets: RwLock::new(Sets { live: policy.into(), candidate: None }),
            shadow: Shadow::default(),
            kept: None,
            ledger: None,
            rejections: Default::default(),
        }
    }

    /// Tries a candidate set of policies: whatever reaches the policies is decided by both, the one in force
    /// answers, and where the candidate would decide otherwise the record says so.
    pub fn shadowed_by(self, candidate: impl Into<Arc<Policy>>) -> Guard {
        self.replace_candidate(Some(candidate.into()));
        self
    }

    /// Has records keep what policies saw of each call that reached them, so that other policies can decide
    /// it again ([`replay`](crate::replay)). Arguments can hold personal data.
    pub fn keep_requests(mut self, kept: Kept) -> Guard {
        self.kept = Some(kept);
        self
    }

    /// What it verifies with.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// What it decides by now.
    pub fn policy(&self) -> Arc<Policy> {
        self.sets().live
    }

    /// Decides by other policies from now on; returns the ones before. A decision that has begun ends by
    /// those with which it began, and every record says which they were.
    pub fn replace_policy(&self, policy: impl Into<Arc<Policy>>) -> Arc<Policy> {
        let policy = policy.into();
        let mut sets = self.sets.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        std::mem::replace(&mut sets.live, policy)
    }

    /// The candidate that is tried beside them.
    pub fn candidate(&self) -> Option<Arc<Policy>> {
        self.sets().candidate
    }

    /// Tries another candidate from now on, or none; returns the one before.
    pub fn replace_candidate(&self, candidate: Option<Arc<Policy>>) -> Option<Arc<Policy>> {
        let mut sets = self.sets.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        std::mem::replace(&mut sets.candidate, candidate)
    }

    /// What came of the candidates so far.
    pub fn shadow_counts(&self) -> ShadowCounts {
        self.shadow.counts()
    }

    /// The policies for one decision, from its beginning to its end.
    fn sets(&self) -> Sets {
        self.sets.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Decides whether the bearer may do `call`, as of `now`.
    ///
    /// # Errors
    ///
    /// [`Denial`], which says by its variant how to answer. When this returns, the decision is on disk;
    /// but of bearers that do not hold only the first [`MAX_REJECTIONS_RECORDED`] of a second are.
    pub fn check(&self, bearer: &str, call: &Call, now: Timestamp) -> Result<Permit, Denial> {
        self.settle(self.weigh(&self.sets(), bearer, call, now))
    }

    /// Like [`Guard::check`], and explains the decision to the people who run the server. The explanation names
    /// policies and shows arguments: it is not for the caller.
    pub fn check_explained(
        &self,
        bearer: &str,
        call: &Call,
        now: Timestamp,
    ) -> (Result<Permit, Denial>, Explanation) {
        // Decision and explanation take the policies of one moment.
        let sets = self.sets();
        let explanation = explain::explain(&self.verifier, &sets.live, bearer, call, now);
        match self.settle(self.weigh(&sets, bearer, call, now)) {
            Ok(permit) => (Ok(permit), explanation),
            Err(denial) => {
                let explanation = explanation.concluded(&denial);
                (Err(denial), explanation)
            }
        }
    }

    /// Why [`Guard::check`] would decide as it would, as of `now`. Nothing is recorded and no presentation is used up.
    pub fn explain(&self, bearer: &str, call: &Call, now: Timestamp) -> Explanation {
        explain::explain(&self.verifier, &self.policy(), bearer, call, now)
    }

    /// Like [`Guard::check`], of a capability that was verified before: all that can have changed since is
    /// looked at again.
    pub fn check_again(
        &self,
        verified: &VerifiedCapability,
        call: &Call,
        now: Timestamp,
    ) -> Result<Permit, Denial> {
        self.settle(self.weigh_again(verified, call, now))
    }

    /// Whether [`Guard::weigh_again`] and recording what it comes to take so little that they may be done on
    /// a thread which others wait for.
    #[cfg(feature = "http")]
    pub(crate) fn is_quick(&self, verified: &VerifiedCapability, call: &Call) -> bool {
        // Should the policies be exchanged before it is weighed, one decision takes a little longer there.
        let sets = self.sets();
        let quick = |policy: &Arc<Policy>| is_quick(verified, policy, call);
        self.settles_later() && quick(&sets.live) && sets.candidate.as_ref().is_none_or(quick)
    }

    /// Whether recording comes back at once.
    #[cfg(feature = "http")]
    pub(crate) fn settles_later(&self) -> bool {
        self.ledger.as_ref().is_none_or(|ledger| ledger.settles_later())
    }

    fn weigh(&self, sets: &Sets, bearer: &str, call: &Call, now: Timestamp) -> Weighed {
        match self.verifier.examine(bearer, Some(call.operation()), now) {
            Ok(verified) => self.weigh_verified(sets, verified, call, now),
            Err(rejection) => self.weigh_rejected(*rejection, call, now),
        }
    }

    pub(crate) fn weigh_again(
        &self,
        verified: &VerifiedCapability,
        call: &Call,
        now: Timestamp,
    ) -> Weighed {
        match self.verifier.examine_again(verified, call.operation(), now) {
            Ok(verified) => self.weigh_verified(&self.sets(), verified, call, now),
            Err(rejection) => self.weigh_rejected(*rejection, call, now),
        }
    }

    fn weigh_verified(
        &self,
        sets: &Sets,
        verified: VerifiedCapability,
        call: &Call,
        now: Timestamp,
    ) -> Weighed {
        let mut decision =
            Decision::allowed(Some(AuditChain::from(&verified)), call, &sets.live, now);
        let decided = authorize(&verified, &sets.live, call);
        if decided.as_ref().err().is_none_or(AuthorizeError::rests_on_policies) {
            self.note(&mut decision, sets, &verified, call, decided.as_ref().err());
        }
        match decided {
            Ok(allowed) => Weighed {
                decision: Some(decision),
                once: once(&verified),
                outcome: Ok(allowed.at),
                verified: Some(verified),
            },
            Err(error) => {
                let rests = rests_on(&error, &verified, &sets.live, call);
                Weighed::refused(decision, Some(verified), Denial::from(error).resting_on(rests))
            }
        }
    }

    /// Adds to a decision of the policies what a candidate says of it and what is kept of the request.
    fn note(
        &self,
        decision: &mut Decision,
        sets: &Sets,
        verified: &VerifiedCapability,
        call: &Call,
        live: Option<&AuthorizeError>,
    ) {
        decision.candidate = self.shadow.compare(sets, verified, call, live);
        let kept = self.kept.map(|kept| Box::new(KeptRequest::of(verified, call, kept)));
        decision.request = kept;
    }

    /// What is recorded of a bearer that does not hold.
    fn weigh_rejected(&self, rejection: Rejection, call: &Call, now: Timestamp) -> Weighed {
        let Rejection { error, authentic } = rejection;
        let chain =
            authentic.map(|token| AuditChain::authentic(token.capability.chain(), &token.issuer));
        let [forged, others] = &self.rejections;
        let rejections = if chain.is_none() { forged } else { others };
        let counted = rejections.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).count(now);
        let Some(unrecorded) = counted else {
            return Weighed {
                decision: None,
                once: None,
                verified: None,
                outcome: Err(error.into()),
            };
        };
        let mut decision = Decision::allowed(chain, call, &self.policy(), now);
        decision.unrecorded = unrecorded;
        if decision.chain.is_none() {
            // A stranger writes no URI of some kilobytes, a hundred times a second.
            decision.resource = None;
        }
        Weighed::refused(decision, None, error.into())
    }

    /// Records what was weighed, and answers. What cannot be recorded is undecided.
    pub(crate) fn settle(&self, mut weighed: Weighed) -> Result<Permit, Denial> {
        let settled = match (&self.ledger, weighed.decision.take()) {
            (Some(ledger), Some(decision)) => {
                let settled = ledger.settle(decision, weighed.once, weighed.verified.as_ref());
                Some(settled).transpose()
            }
            _ => Ok(None),
        };
        weighed.conclude(settled)
    }

    /// The same without waiting: `done` hears the answer, from whatever thread.
    #[cfg(feature = "http")]
    pub(crate) fn settle_later(
        &self,
        mut weighed: Weighed,
        done: impl FnOnce(Result<Permit, Denial>) + Send + 'static,
    ) {
        match (&self.ledger, weighed.decision.take()) {
            (Some(ledger), Some(decision)) => {
                let (once, verified) = (weighed.once, weighed.verified.clone());
                let done = move |settled: Result<Settlement, LedgerUnavailable>| {
                    done(weighed.conclude(settled.map(Some)));
                };
                ledger.settle_later(decision, once, verified.as_ref(), Box::new(done));
            }
            _ => done(weighed.conclude(Ok(None))),
        }
    }

    /// Verifies a bearer for what any valid one may do: open a connection, keep it alive, list what it may
    /// use. Only a refusal is recorded, under the operation `admission`.
    ///
    /// # Errors
    ///
    /// [`Denial::Unauthenticated`] or [`Denial::Undecided`].
    pub fn admit(&self, bearer: &str, now: Timestamp) -> Result<VerifiedCapability, Denial> {
        self.verify(bearer, &Call::new(ADMISSION)?, now)
    }

    /// What is to be said of a bearer that is refused before it is known what it asks for, and who may still
    /// [tell](Weighed::tell).
    #[cfg(feature = "http")]
    pub(crate) fn weigh_rejection(&self, rejection: Rejection, now: Timestamp) -> Weighed {
        match Call::new(ADMISSION) {
            Ok(admission) => self.weigh_rejected(rejection, &admission, now),
            Err(error) => Weighed::unrecorded(error.into()),
        }
    }

    /// [`Guard::admit`] before it is recorded.
    #[cfg(feature = "mcp")]
    pub(crate) fn weigh_admission(
        &self,
        bearer: &str,
        now: Timestamp,
    ) -> Result<VerifiedCapability, Box<Weighed>> {
        let admission = match Call::new(ADMISSION) {
            Ok(admission) => admission,
            Err(error) => return Err(Box::new(Weighed::unrecorded(error.into()))),
        };
        let examined = self.verifier.examine(bearer, Some(admission.operation()), now);
        examined.map_err(|rejection| Box::new(self.weigh_rejected(*rejection, &admission, now)))
    }

    /// The same of a bearer of which it is remembered whether its signatures hold: costs microseconds. `None` of others.
    #[cfg(feature = "mcp")]
    pub(crate) fn recognize(
        &self,
        bearer: &str,
        now: Timestamp,
    ) -> Option<Result<VerifiedCapability, Box<Weighed>>> {
        let admission = Call::new(ADMISSION).ok()?;
        let recognized = self.verifier.recognize(bearer, Some(admission.operation()), now)?;
        Some(
            recognized
                .map_err(|rejection| Box::new(self.weigh_rejected(*rejection, &admission, now))),
        )
    }

    /// What a door refuses by itself, of a capability that holds: `what` it was that could not be judged.
    #[cfg(feature = "mcp")]
    pub(crate) fn weigh_refusal(
        &self,
        verified: &VerifiedCapability,
        what: &str,
        denial: Denial,
        now: Timestamp,
    ) -> Weighed {
        let admission = match Call::new(ADMISSION) {
            Ok(admission) => admission,
            Err(error) => return Weighed::unrecorded(error.into()),
        };
        let chain = Some(AuditChain::from(verified));
        let mut decision = Decision::allowed(chain, &admission, &self.policy(), now);
        decision.operation = what.to_owned();
        Weighed::refused(decision, Some(verified.clone()), denial)
    }

    /// What [`Guard::check`] would say of such a call if its arguments were of the right kind. Nothing is
    /// recorded; the call is to be checked all the same.
    pub fn prospect(&self, verified: &VerifiedCapability, call: &Call) -> Prospect {
        prospect::prospect(verified, &self.policy(), call)
    }

    /// Decides whether the bearer may revoke what it asks for, as of `now`: anything with the scope
    /// `hardtack:revoke`; without it, hops that its own key delegated (`docs/profile.md`). The presentation
    /// must be bound to this call, and is used up.
    ///
    /// # Errors
    ///
    /// [`Denial`], as of [`Guard::check`]. What is returned is to be handed to the store.
    pub fn check_revocation(
        &self,
        bearer: &str,
        request: &RevocationRequest,
        now: Timestamp,
    ) -> Result<Revoking, Denial> {
        self.check_revocation_among(bearer, request, |_| Vec::new(), now)
    }

    /// The same; `seen` finds the ids of grants and hops that begin in some way
    /// ([`StoreReader::ids_beginning`](crate::StoreReader::ids_beginning)), where the request gives the beginning of
    /// one. It is asked only for whoever may revoke anything.
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
        let mut decision =
            Decision::allowed(Some(AuditChain::from(&verified)), call, &sets.live, now);
        let decided = revoke::allow(&verified, &self.verifier, &sets.live, request, seen);
        match &decided {
            Ok((at, _)) if !revoke::is_delegators_rule(at) => {
                self.note(&mut decision, &sets, &verified, call, None);
            }
            Err(RevokeError::Unauthorized(error)) if error.rests_on_policies() => {
                self.note(&mut decision, &sets, &verified, call, Some(error));
            }
            _ => {}
        }
        match decided {
            Ok((at, revocation)) => {
                decision.precedes_revocation = !request.is_dry_run();
                let weighed = Weighed {
                    decision: Some(decision),
                    once: once(&verified),
                    outcome: Ok(at),
                    verified: Some(verified.clone()),
                };
                self.settle(weighed).map(|_| request.revoking(revocation, &verified))
            }
            Err(error) => {
                let denial: Denial = error.into();
                let weighed = Weighed::refused(decision, Some(verified), denial.clone());
                match self.settle(weighed) {
                    Err(denial) => Err(denial),
                    // Not reached: what was refused is.
                    Ok(_) => Err(denial),
                }
            }
        }
    }

    /// Verifies; records only a refusal.
    fn verify(
        &self,
        bearer: &str,
        call: &Call,
        now: Timestamp,
    ) -> Result<VerifiedCapability, Denial> {
        self.verifier.examine(bearer, Some(call.operation()), now).map_err(|rejection| {
            let weighed = self.weigh_rejected(*rejection, call, now);
            match self.settle(weighed) {
                Err(denial) => denial,
                // Not reached: what was rejected is refused.
                Ok(_) => Denial::unfinished("a refusal was lost"),
            }
        })
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("verifier", &self.verifier)
            .field("policy", &self.policy().digest())
            .field("candidate", &self.candidate().map(|policy| policy.digest().to_owned()))
            .field("recorded", &self.ledger.is_some())
            .finish()
    }
}
