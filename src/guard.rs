//! Guard: verify, authorize and audit in one call, whole or not at all.

use std::fmt;

use crate::audit::{
    AuditChain, Decision, Ledger, LedgerUnavailable, Once, REPLAYED, REPLAYED_MESSAGE, Settlement,
    Verdict,
};
use crate::authorize::{AuthorizeError, authorize};
use crate::call::Call;
use crate::chain::{Chain, PresentationKind};
use crate::policy::{Location, Policy};
use crate::timestamp::Timestamp;
use crate::verify::{Rejection, VerifiedCapability, Verifier, VerifyError};

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
}

impl Guard {
    /// A guard that records every decision in `ledger` before it answers.
    pub fn new(verifier: Verifier, policy: Policy, ledger: impl Ledger + 'static) -> Guard {
        Guard { verifier, policy, ledger: Some(Box::new(ledger)) }
    }

    /// A guard that records nothing and accepts a call-bound presentation as often as it comes.
    pub fn unrecorded(verifier: Verifier, policy: Policy) -> Guard {
        Guard { verifier, policy, ledger: None }
    }

    /// Decides whether the bearer may do `call`, as of `now`.
    ///
    /// # Errors
    ///
    /// [`Denial`], which says by its variant how to answer. When this returns, the decision is on disk.
    pub fn check(&self, bearer: &str, call: &Call, now: Timestamp) -> Result<Permit, Denial> {
        let verified = match self.verifier.examine(bearer, Some(call.operation()), now) {
            Ok(verified) => verified,
            Err(rejection) => {
                let Rejection { error, authentic } = *rejection;
                let chain = authentic
                    .map(|token| AuditChain::authentic(token.capability.chain(), &token.issuer));
                return Err(self.refuse(chain, None, call, now, error.into()));
            }
        };
        let chain = AuditChain::from(&verified);
        let allowed = match authorize(&verified, &self.policy, call) {
            Ok(allowed) => allowed,
            Err(error) => {
                return Err(self.refuse(Some(chain), Some(&verified), call, now, error.into()));
            }
        };
        let decision = Decision::allowed(Some(chain), call, &self.policy, now);
        match self.settle(decision, once(&verified), Some(&verified))? {
            Some(Settlement::Replayed { .. }) => Err(Denial::replayed(&verified)),
            Some(Settlement::Recorded { sequence }) => {
                Ok(Permit { verified, allowed: allowed.at, sequence: Some(sequence) })
            }
            None => Ok(Permit { verified, allowed: allowed.at, sequence: None }),
        }
    }

    /// Records a refusal; one that cannot be recorded becomes undecided.
    fn refuse(
        &self,
        chain: Option<AuditChain>,
        verified: Option<&VerifiedCapability>,
        call: &Call,
        now: Timestamp,
        denial: Denial,
    ) -> Denial {
        let refusal = denial.refusal();
        let decision = Decision::allowed(chain, call, &self.policy, now);
        let decision =
            decision.refused(denial.verdict(), refusal.cause, refusal.hop, &refusal.message);
        match self.settle(decision, None, verified) {
            Ok(_) => denial,
            Err(unrecorded) => unrecorded.into(),
        }
    }

    fn settle(
        &self,
        decision: Decision,
        once: Option<Once>,
        verified: Option<&VerifiedCapability>,
    ) -> Result<Option<Settlement>, LedgerUnavailable> {
        self.ledger.as_ref().map(|ledger| ledger.settle(decision, once, verified)).transpose()
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

/// Leave to do one call. What acts for a caller takes one of these; only [`Guard::check`] makes one.
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

/// A refused call. The variant says how to answer it over HTTP (RFC 6750, section 3.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The token does not hold: 401 `invalid_token`.
    #[error("{0}")]
    Unauthenticated(Refusal),
    /// The token holds and the call is not allowed: 403 `insufficient_scope`.
    #[error("{0}")]
    Forbidden(Refusal),
    /// That cannot be said now: 503.
    #[error("{0}")]
    Undecided(Refusal),
}

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The stable name of the cause; `docs/profile.md` lists them.
    pub cause: &'static str,
    /// The block at which it was seen; 0 is the grant.
    pub hop: Option<usize>,
    /// The cause in words, for the people who run the server. It may say what policies are in force.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.cause)
    }
}

impl Denial {
    /// Why.
    pub fn refusal(&self) -> &Refusal {
        match self {
            Denial::Unauthenticated(refusal)
            | Denial::Forbidden(refusal)
            | Denial::Undecided(refusal) => refusal,
        }
    }

    /// What the record says.
    pub fn verdict(&self) -> Verdict {
        match self {
            Denial::Unauthenticated(_) | Denial::Forbidden(_) => Verdict::Deny,
            Denial::Undecided(_) => Verdict::Undecided,
        }
    }

    fn replayed(verified: &VerifiedCapability) -> Denial {
        let hop = Some(verified.presentation().index);
        Denial::Unauthenticated(Refusal {
            cause: REPLAYED,
            hop,
            message: REPLAYED_MESSAGE.to_owned(),
        })
    }
}

impl From<VerifyError> for Denial {
    fn from(error: VerifyError) -> Denial {
        let refusal =
            Refusal { cause: error.cause(), hop: error.block(), message: error.to_string() };
        match error {
            VerifyError::RevocationsUnavailable(_) | VerifyError::RevocationsStale { .. } => {
                Denial::Undecided(refusal)
            }
            _ => Denial::Unauthenticated(refusal),
        }
    }
}

impl From<AuthorizeError> for Denial {
    fn from(error: AuthorizeError) -> Denial {
        let refusal =
            Refusal { cause: error.cause(), hop: error.block(), message: error.to_string() };
        match error {
            AuthorizeError::Exhausted { .. } => Denial::Undecided(refusal),
            _ => Denial::Forbidden(refusal),
        }
    }
}

impl From<LedgerUnavailable> for Denial {
    fn from(error: LedgerUnavailable) -> Denial {
        Denial::Undecided(Refusal {
            cause: "ledger_unavailable",
            hop: None,
            message: error.to_string(),
        })
    }
}
