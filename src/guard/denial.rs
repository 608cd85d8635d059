//! Denial: why a call is refused, and how that is answered.

use std::fmt;

use crate::audit::{LedgerUnavailable, REPLAYED, REPLAYED_MESSAGE, Verdict};
use crate::authorize::AuthorizeError;
use crate::call::CallError;
use crate::revoke::RevokeError;
use crate::verify::{VerifiedCapability, VerifyError};

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

    /// A call that is not exact enough to be judged, which is not allowed.
    pub(crate) fn inexact(message: String) -> Denial {
        Denial::Forbidden(Refusal { cause: "inexact_call", hop: None, message })
    }

    /// A task of somebody else's, or none.
    #[cfg(feature = "mcp")]
    pub(crate) fn strange_task() -> Denial {
        let message = "there is no such task of this token's".to_owned();
        Denial::Forbidden(Refusal { cause: "strange_task", hop: None, message })
    }

    /// A list of which it cannot be said what of it a token may use. `cause` begins with `list_`, and the message is
    /// for whoever asked.
    #[cfg(feature = "mcp")]
    pub(crate) fn undecided_list(cause: &'static str, message: String) -> Denial {
        Denial::Undecided(Refusal { cause, hop: None, message })
    }

    pub(crate) fn replayed(verified: &VerifiedCapability) -> Denial {
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

impl From<RevokeError> for Denial {
    fn from(error: RevokeError) -> Denial {
        match error {
            RevokeError::Unauthorized(error) => error.into(),
            error => Denial::Forbidden(Refusal {
                cause: error.cause(),
                hop: None,
                message: error.to_string(),
            }),
        }
    }
}

impl From<CallError> for Denial {
    fn from(error: CallError) -> Denial {
        Denial::inexact(error.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_decided_now_is_told_from_what_is_not_allowed() {
        let exhausted =
            || AuthorizeError::Exhausted { place: "check 1".to_owned(), block: Some(1) };
        for (denial, verdict, words) in [
            (
                exhausted().into(),
                Verdict::Undecided,
                "check 1 took more work than a decision may (exhausted)",
            ),
            (
                AuthorizeError::NothingAllows.into(),
                Verdict::Deny,
                "no policy allows this call (nothing_allows)",
            ),
            (RevokeError::Unauthorized(exhausted()).into(), Verdict::Undecided, "(exhausted)"),
            (RevokeError::NotDelegator.into(), Verdict::Deny, "(revocation_by_stranger)"),
            (
                LedgerUnavailable("full".to_owned()).into(),
                Verdict::Undecided,
                "(ledger_unavailable)",
            ),
            (VerifyError::NotPresented.into(), Verdict::Deny, "(not_presented)"),
        ] {
            let denial: Denial = denial;
            assert_eq!(denial.verdict(), verdict, "{denial}");
            assert!(denial.refusal().to_string().ends_with(words), "{denial}");
            let forbidden = matches!(denial, Denial::Forbidden(_));
            let unauthenticated = denial.refusal().cause == "not_presented";
            assert_eq!(forbidden, verdict == Verdict::Deny && !unauthenticated, "{denial}");
        }
    }
}
