//! Denial: why a call is refused, and how that is answered.

use std::fmt;
use std::time::Duration;

use crate::audit::{LedgerUnavailable, Verdict};
use crate::authorize::AuthorizeError;
use crate::call::CallError;
use crate::cause::{Cause, Class};
use crate::mcp::MessageError;
use crate::revoke::RevokeError;
use crate::ruling::Ruling;
use crate::verify::{VerifiedCapability, VerifyError};

/// A refused call. The variant says how to answer it over HTTP (RFC 6750, section 3.1). It is exhaustive on purpose:
/// each variant is one HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The token is not valid here: 401 `invalid_token`.
    #[error("{0}")]
    Unauthenticated(Refusal),
    /// The token is valid and the call is not allowed: 403, with `insufficient_scope` where a scope is missing.
    #[error("{0}")]
    Forbidden(Refusal),
    /// The call cannot be decided now: 503. Until it can be, nothing is allowed.
    #[error("{0}")]
    Undecided(Refusal),
}

/// The reason why a call is refused, for the people who run the server. The fields say what of it may be told to the
/// caller.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The stable name of the cause; `docs/verification.md` lists them.
    pub cause: Cause,
    /// The number of the block at which the cause was seen; 0 is the grant. `None` if it belongs to no block.
    pub hop: Option<usize>,
    /// The place where it was decided, if there is one: a policy's file and line, or which check of which block. Boxed,
    /// so that what returns a denial returns little.
    pub place: Option<Box<String>>,
    /// The cause in words, for the people who run the server. It may say what policies are in force.
    pub message: String,
    /// The kind of change that would help. It may be told to the caller.
    pub helps: Helps,
    /// The names of the arguments on which the refusal rests, as far as they are known: of a policy those that the call
    /// has, of a delegator's condition all that it names.
    pub arguments: Vec<String>,
    /// The time, from the moment of the decision, for which a new grant would be refused as well: within the minute
    /// that the revocation of a subject, or of an agent until now, covers beyond its moment. `None` for all other
    /// refusals.
    pub retry_after: Option<Duration>,
}

/// The kinds of changes that help a caller who is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Helps {
    /// Another call, with other arguments or another resource, may pass.
    AnotherCall,
    /// A change by whoever delegated.
    Delegator,
    /// A change by the people who run the server.
    Server,
    /// A new token: this one has expired, or is not good for this call.
    NewToken,
    /// This call, made again later.
    Later,
}

impl Helps {
    /// Returns its stable name, as refusals have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Helps::AnotherCall => "another_call",
            Helps::Delegator => "delegator",
            Helps::Server => "server",
            Helps::NewToken => "new_token",
            Helps::Later => "later",
        }
    }

    /// What helps against a cause, where that does not depend on the call.
    fn against(cause: Cause) -> Helps {
        match cause {
            Cause::NotGranted | Cause::Unbound | Cause::RevocationByStranger => Helps::Delegator,
            Cause::ResourceScheme
            | Cause::NothingAllows
            | Cause::PolicyDenied
            | Cause::PolicyCheckFailed
            | Cause::AnswerTooLong
            | Cause::RevocationElsewhere
            | Cause::ListTooLong => Helps::Server,
            Cause::ListTooCostly => Helps::Delegator,
            Cause::InexactCall
            | Cause::CallTooLarge
            | Cause::StrangeTask
            | Cause::TooCostly
            | Cause::CheckFailed
            | Cause::NotEvaluable
            | Cause::Exhausted => Helps::AnotherCall,
            Cause::LedgerUnavailable
            | Cause::StoreUnavailable
            | Cause::Unfinished
            | Cause::Overloaded
            | Cause::FactsUnavailable
            | Cause::FactsUnusable
            | Cause::ListBusy
            | Cause::RevocationsUnavailable
            | Cause::RevocationsStale => Helps::Later,
            Cause::OtherRequest
            | Cause::RevocationNotAnId
            | Cause::RevocationIdUnknown
            | Cause::RevocationIdAmbiguous
            | Cause::RevocationWithoutProof
            | Cause::RevocationProof
            | Cause::RevocationNotInProof => Helps::AnotherCall,
            _ => Helps::NewToken,
        }
    }
}

impl Refusal {
    /// Makes a refusal for `cause`, seen at block number `hop` or at none, with a message for the people who run the
    /// server. What helps follows from the cause.
    pub fn new(cause: Cause, hop: Option<usize>, message: String) -> Refusal {
        Refusal {
            cause,
            hop,
            place: None,
            message,
            helps: Helps::against(cause),
            arguments: Vec::new(),
            retry_after: None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.cause)
    }
}

impl Denial {
    /// Returns the reason of the refusal.
    pub fn refusal(&self) -> &Refusal {
        match self {
            Denial::Unauthenticated(refusal)
            | Denial::Forbidden(refusal)
            | Denial::Undecided(refusal) => refusal,
        }
    }

    /// Says what a decision of checks or policies rests on, if on what another call could have otherwise.
    pub(crate) fn resting_on(mut self, rests: Option<Vec<String>>) -> Denial {
        if let Denial::Forbidden(refusal) = &mut self {
            match rests {
                Some(arguments) => {
                    (refusal.helps, refusal.arguments) = (Helps::AnotherCall, arguments);
                }
                None if refusal.cause == Cause::CheckFailed => refusal.helps = Helps::Delegator,
                None => {}
            }
        }
        self
    }

    /// Returns the [`Cause`] of the refusal: its stable name, by which programs and records tell causes apart.
    pub fn cause(&self) -> Cause {
        self.refusal().cause
    }

    /// Returns the class of the refusal, by what a caller does about it. Of a call that is not exact enough it is
    /// [`Class::Malformed`].
    pub fn class(&self) -> Class {
        match self {
            Denial::Unauthenticated(_) => Class::Unauthenticated,
            // A call that cannot be read is forbidden, too.
            Denial::Forbidden(refusal) if refusal.cause.class() == Class::Malformed => {
                Class::Malformed
            }
            Denial::Forbidden(_) => Class::Forbidden,
            Denial::Undecided(_) => Class::Undecided,
        }
    }

    /// Returns the verdict that the record says: a denial, or undecided.
    pub fn verdict(&self) -> Verdict {
        match self {
            Denial::Unauthenticated(_) | Denial::Forbidden(_) => Verdict::Deny,
            Denial::Undecided(_) => Verdict::Undecided,
        }
    }

    /// Makes the denial of a call that is not exact enough to be judged (`inexact_call`).
    pub fn inexact(message: String) -> Denial {
        Denial::Forbidden(Refusal::new(Cause::InexactCall, None, message))
    }

    /// Makes the denial of an operation that a capability does not cover, known before it is presented (`not_granted`).
    pub fn not_granted(operation: &str) -> Denial {
        let message = format!("the capability does not grant {operation}");
        Denial::Forbidden(Refusal::new(Cause::NotGranted, None, message))
    }

    /// Makes the denial of a request about a task that is somebody else's, or that does not exist (`strange_task`).
    pub fn strange_task() -> Denial {
        let message = "there is no such task of this token's".to_owned();
        Denial::Forbidden(Refusal::new(Cause::StrangeTask, None, message))
    }

    /// Makes the denial of an answer to an allowed call that goes on for longer than the server lets it (`answer_too_long`).
    pub fn answer_too_long() -> Denial {
        let message = "the answer went on for longer than this server lets it".to_owned();
        Denial::Forbidden(Refusal::new(Cause::AnswerTooLong, None, message))
    }

    /// Makes the denial of a list, where it cannot be said which of its entries a token may use. `cause` is one of
    /// those for lists. The message is shown to the caller.
    pub fn undecided_list(cause: Cause, message: String) -> Denial {
        Denial::Undecided(Refusal::new(cause, None, message))
    }

    /// Makes the denial of a request to revoke under an id that was used already, for something else (`other_request`). The message is
    /// also shown to the caller.
    pub fn other_request(message: String) -> Denial {
        Denial::Forbidden(Refusal::new(Cause::OtherRequest, None, message))
    }

    /// Makes the denial of a request to revoke where no revocations are made (`revocation_elsewhere`). The message is also shown to the
    /// caller.
    pub fn revocation_elsewhere(message: &str) -> Denial {
        Denial::Forbidden(Refusal::new(Cause::RevocationElsewhere, None, message.to_owned()))
    }

    /// Makes the denial of a call whose decision was not brought to an end (`unfinished`).
    pub fn unfinished(message: &str) -> Denial {
        Denial::Undecided(Refusal::new(Cause::Unfinished, None, message.to_owned()))
    }

    /// Makes the denial of a request for which a store cannot be read (`store_unavailable`).
    pub fn unreadable_store(message: &str) -> Denial {
        Denial::Undecided(Refusal::new(Cause::StoreUnavailable, None, message.to_owned()))
    }

    /// Makes the denial of a request that came while too many others were under way (`overloaded`; admission control).
    /// The message is also shown to the caller.
    pub fn overloaded(message: &str) -> Denial {
        Denial::Undecided(Refusal::new(Cause::Overloaded, None, message.to_owned()))
    }

    pub(crate) fn replayed(verified: &VerifiedCapability) -> Denial {
        let ruling = Ruling::replayed(verified.presentation().index);
        Denial::Unauthenticated(Refusal::new(Cause::Replayed, ruling.hop, ruling.message))
    }
}

impl From<VerifyError> for Denial {
    fn from(error: VerifyError) -> Denial {
        let ruling = Ruling::from(&error);
        let refusal = Refusal::new(error.cause(), ruling.hop, ruling.message);
        let refusal = Refusal { retry_after: error.retry_after(), ..refusal };
        match ruling.verdict {
            Verdict::Undecided => Denial::Undecided(refusal),
            // Some causes are those of calls, too.
            _ => Denial::Unauthenticated(Refusal { helps: Helps::NewToken, ..refusal }),
        }
    }
}

impl From<AuthorizeError> for Denial {
    fn from(error: AuthorizeError) -> Denial {
        let ruling = Ruling::from(&error);
        let refusal = Refusal::new(error.cause(), ruling.hop, ruling.message);
        let refusal = Refusal { place: ruling.place.map(Box::new), ..refusal };
        match ruling.verdict {
            Verdict::Undecided => Denial::Undecided(refusal),
            _ => Denial::Forbidden(refusal),
        }
    }
}

impl From<&Denial> for Ruling {
    fn from(denial: &Denial) -> Ruling {
        let Refusal { cause, hop, place, message, .. } = denial.refusal().clone();
        Ruling {
            place: place.map(|place| *place),
            ..Ruling::refused(denial.verdict(), cause, hop, message)
        }
    }
}

impl From<RevokeError> for Denial {
    fn from(error: RevokeError) -> Denial {
        match error {
            RevokeError::Unauthorized(error) => error.into(),
            error => Denial::Forbidden(Refusal::new(error.cause(), None, error.to_string())),
        }
    }
}

impl From<CallError> for Denial {
    fn from(error: CallError) -> Denial {
        Denial::Forbidden(Refusal::new(error.cause(), None, error.to_string()))
    }
}

impl From<MessageError> for Denial {
    fn from(error: MessageError) -> Denial {
        Denial::Forbidden(Refusal::new(error.cause(), None, error.to_string()))
    }
}

impl From<LedgerUnavailable> for Denial {
    fn from(error: LedgerUnavailable) -> Denial {
        Denial::Undecided(Refusal::new(Cause::LedgerUnavailable, None, error.to_string()))
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
            let unauthenticated = denial.refusal().cause == Cause::NotPresented;
            assert_eq!(forbidden, verdict == Verdict::Deny && !unauthenticated, "{denial}");
        }
    }

    #[test]
    fn the_page_of_refusals_says_what_helps_against_each_cause() {
        let page = std::fs::read_to_string("docs/refusals.md").unwrap();
        let (_, table) = page.split_once("| `helps` | what that means | causes |").unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let row = |helps: Helps| {
            let start = format!("| `{}` |", helps.as_str());
            table.lines().find(|line| line.starts_with(&start)).unwrap()
        };
        // What a door answers by itself has no denial.
        let doors = std::fs::read_to_string("docs/errors.md").unwrap();
        let mut told = 0;
        for cause in Cause::ALL.iter().filter(|cause| !doors.contains(&format!("| `{cause}` |"))) {
            let is_secret = matches!(cause, Cause::FactsUnavailable | Cause::FactsUnusable);
            // The page says of all that is answered with 401 at once that a new token helps.
            if !table.contains(&format!("`{cause}`")) && (cause.status() == Some(401) || is_secret)
            {
                continue;
            }
            told += 1;
            assert!(row(Helps::against(*cause)).contains(&format!("`{cause}`")), "{cause}");
        }
        assert!(told > 30, "{told}");
    }
}
