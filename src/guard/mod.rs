//! Guard: verify, authorize and audit in one call, whole or not at all.

mod denial;

use std::fmt;
use std::sync::Mutex;

use crate::audit::{AuditChain, Decision, Ledger, LedgerUnavailable, Once, Settlement};
use crate::authorize::authorize;
#[cfg(feature = "http")]
use crate::authorize::is_quick;
use crate::call::Call;
use crate::chain::{Chain, PresentationKind};
use crate::policy::{Location, Policy};
use crate::prospect::{self, Prospect};
use crate::revocation::Revoking;
use crate::revoke::{self, RevocationRequest};
use crate::timestamp::Timestamp;
use crate::verify::{Rejection, VerifiedCapability, Verifier};

pub use denial::{Denial, Refusal};

/// How many bearers that do not hold are recorded in a second, of those without a valid signature and of the
/// others each; the rest are counted, and the next record says how many. Whoever sends them by the thousand must
/// not fill the disk.
pub const MAX_REJECTIONS_RECORDED: u32 = 100;

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
    policy: Policy,
    ledger: Option<Box<dyn Ledger>>,
    /// Of bearers without a valid signature, and of the others.
    rejections: [Mutex<Rejections>; 2],
}

/// Bearers that were refused in one second.
#[derive(Debug, Default)]
struct Rejections {
    second: Timestamp,
    recorded: u32,
    unrecorded: u64,
}

impl Rejections {
    /// Whether this one is recorded, and with how many that were not.
    fn count(&mut self, now: Timestamp) -> Option<u64> {
        if self.second != now {
            (self.second, self.recorded) = (now, 0);
        }
        if self.recorded >= MAX_REJECTIONS_RECORDED {
            self.unrecorded += 1;
            return None;
        }
        self.recorded += 1;
        Some(std::mem::take(&mut self.unrecorded))
    }
}

impl Guard {
    /// A guard that records every decision in `ledger` before it answers.
    pub fn new(verifier: Verifier, policy: Policy, ledger: impl Ledger + 'static) -> Guard {
        let rejections = Default::default();
        Guard { verifier, policy, ledger: Some(Box::new(ledger)), rejections }
    }

    /// A guard that records nothing and accepts a call-bound presentation as often as it comes.
    pub fn unrecorded(verifier: Verifier, policy: Policy) -> Guard {
        Guard { verifier, policy, ledger: None, rejections: Default::default() }
    }

    /// What it verifies with.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// What it decides by.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Decides whether the bearer may do `call`, as of `now`.
    ///
    /// # Errors
    ///
    /// [`Denial`], which says by its variant how to answer. When this returns, the decision is on disk;
    /// but of bearers that do not hold only the first [`MAX_REJECTIONS_RECORDED`] of a second are.
    pub fn check(&self, bearer: &str, call: &Call, now: Timestamp) -> Result<Permit, Denial> {
        self.settle(self.weigh(bearer, call, now))
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
        self.settles_later() && is_quick(verified, &self.policy, call)
    }

    /// Whether recording comes back at once.
    #[cfg(feature = "http")]
    pub(crate) fn settles_later(&self) -> bool {
        self.ledger.as_ref().is_none_or(|ledger| ledger.settles_later())
    }

    fn weigh(&self, bearer: &str, call: &Call, now: Timestamp) -> Weighed {
        match self.verifier.examine(bearer, Some(call.operation()), now) {
            Ok(verified) => self.weigh_verified(verified, call, now),
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
            Ok(verified) => self.weigh_verified(verified, call, now),
            Err(rejection) => self.weigh_rejected(*rejection, call, now),
        }
    }

    fn weigh_verified(&self, verified: VerifiedCapability, call: &Call, now: Timestamp) -> Weighed {
        let decision =
            Decision::allowed(Some(AuditChain::from(&verified)), call, &self.policy, now);
        match authorize(&verified, &self.policy, call) {
            Ok(allowed) => Weighed {
                decision: Some(decision),
                once: once(&verified),
                outcome: Ok(allowed.at),
                verified: Some(verified),
            },
            Err(error) => Weighed::refused(decision, Some(verified), error.into()),
        }
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
        let mut decision = Decision::allowed(chain, call, &self.policy, now);
        decision.unrecorded = unrecorded;
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

    /// The same before it is recorded: what is to be said of a bearer that is refused.
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
        let mut decision = Decision::allowed(chain, &admission, &self.policy, now);
        decision.operation = what.to_owned();
        Weighed::refused(decision, Some(verified.clone()), denial)
    }

    /// What [`Guard::check`] would say of such a call if its arguments were of the right kind. Nothing is
    /// recorded; the call is to be checked all the same.
    pub fn prospect(&self, verified: &VerifiedCapability, call: &Call) -> Prospect {
        prospect::prospect(verified, &self.policy, call)
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
        let call = request.call();
        let verified = self.verify(bearer, call, now)?;
        let decision =
            Decision::allowed(Some(AuditChain::from(&verified)), call, &self.policy, now);
        let weighed = match revoke::allow(&verified, &self.verifier, &self.policy, request) {
            Ok(at) => Weighed {
                decision: Some(decision),
                once: once(&verified),
                outcome: Ok(at),
                verified: Some(verified.clone()),
            },
            Err(error) => Weighed::refused(decision, Some(verified.clone()), error.into()),
        };
        self.settle(weighed).map(|_| request.revoking(&verified))
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
                Ok(_) => LedgerUnavailable("a refusal was lost".to_owned()).into(),
            }
        })
    }
}

/// A decision before it is recorded: the answer that will be given if it is.
#[derive(Debug)]
pub(crate) struct Weighed {
    /// What is recorded; nothing, of a forgery too many.
    decision: Option<Decision>,
    once: Option<Once>,
    verified: Option<VerifiedCapability>,
    outcome: Result<Location, Denial>,
}

impl Weighed {
    #[cfg(feature = "mcp")]
    fn unrecorded(denial: Denial) -> Weighed {
        Weighed { decision: None, once: None, verified: None, outcome: Err(denial) }
    }

    fn refused(
        decision: Decision,
        verified: Option<VerifiedCapability>,
        denial: Denial,
    ) -> Weighed {
        let refusal = denial.refusal();
        let decision =
            decision.refused(denial.verdict(), refusal.cause, refusal.hop, &refusal.message);
        Weighed { decision: Some(decision), once: None, verified, outcome: Err(denial) }
    }

    fn conclude(
        self,
        settled: Result<Option<Settlement>, LedgerUnavailable>,
    ) -> Result<Permit, Denial> {
        let settled = settled?;
        let allowed = self.outcome?;
        let Some(verified) = self.verified else {
            return Err(LedgerUnavailable("nobody was verified".to_owned()).into());
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

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("verifier", &self.verifier)
            .field("policy", &self.policy.digest())
            .field("recorded", &self.ledger.is_some())
            .finish()
    }
}

fn once(verified: &VerifiedCapability) -> Option<Once> {
    let presentation = verified.presentation();
    let single_use = presentation.kind == PresentationKind::Call;
    single_use.then_some(Once {
        id: presentation.revocation_id,
        expires: presentation.expires,
        block: presentation.index,
    })
}

/// Leave to do one call. What acts for a caller takes one of these; only a [`Guard`] makes one, of a
/// decision that it has recorded.
#[derive(Debug)]
pub struct Permit {
    verified: VerifiedCapability,
    allowed: Location,
    sequence: Option<u64>,
}

impl Permit {
    /// Whose rights are used.
    pub fn subject(&self) -> &str {
        self.verified.subject()
    }

    /// What the leaf's delegator calls it; `None` when the subject acts itself.
    pub fn agent(&self) -> Option<&str> {
        self.verified.agent()
    }

    /// The whole chain, verified.
    pub fn chain(&self) -> &Chain {
        self.verified.chain()
    }

    /// The policy that allowed it.
    pub fn allowed_by(&self) -> &Location {
        &self.allowed
    }

    /// The number of its record; `None` from a guard that records nothing.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }
}
