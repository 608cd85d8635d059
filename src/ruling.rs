//! Ruling: what is said of a decision, wherever it is said?
//!
//! Answers, records, explanations, candidates, replays and trials say the same of the same decision, since all of them say it
//! by this.

use serde::Serialize;

use crate::audit::{Decision, REPLAYED_MESSAGE, Verdict};
use crate::authorize::{Allowed, AuthorizeError};
use crate::cause::{Cause, RecordedCause};
use crate::policy::Location;
use crate::verify::VerifyError;

/// The result of a decision: the verdict, its cause, and the place where it was decided. It is for the people who run
/// the server, since it names policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Ruling {
    /// The verdict: the call is allowed, denied or undecided.
    #[serde(rename = "decision")]
    pub verdict: Verdict,
    /// The cause of a refusal. `None` for an allowed call, and where a [replay](crate::replay) cannot say it.
    pub cause: Option<Cause>,
    /// The number of the block at which the cause was seen; 0 is the grant. `None` if it belongs to no block.
    pub hop: Option<usize>,
    /// The place where it was decided, if there is one: a policy's file and line, or which check of which block.
    pub place: Option<String>,
    /// The verdict in words.
    pub message: String,
}

impl Ruling {
    /// Returns true if the recorded `decision` has another verdict or another cause than this one.
    pub fn differs_from(&self, decision: &Decision) -> bool {
        self.verdict != decision.verdict || self.cause.map(RecordedCause::from) != decision.cause
    }

    /// Says what checks and policies decided.
    pub(crate) fn of(decided: &Result<Allowed, AuthorizeError>) -> Ruling {
        match decided {
            Ok(allowed) => Ruling::allowed_by(&allowed.at),
            Err(error) => error.into(),
        }
    }

    /// Says that a call is allowed.
    pub(crate) fn allowed_by(at: &Location) -> Ruling {
        Ruling {
            verdict: Verdict::Allow,
            cause: None,
            hop: None,
            place: Some(at.to_string()),
            message: format!("allowed by {at}"),
        }
    }

    /// Says that a presentation, by this block, was accepted before and is good for once.
    pub(crate) fn replayed(block: usize) -> Ruling {
        Ruling::refused(Verdict::Deny, Cause::Replayed, Some(block), REPLAYED_MESSAGE.to_owned())
    }

    /// Says that an evaluation broke off, which is a fault of this library's.
    pub(crate) fn broken_off() -> Ruling {
        Ruling::refused(
            Verdict::Deny,
            Cause::NotEvaluable,
            None,
            "the evaluation broke off".to_owned(),
        )
    }

    pub(crate) fn refused(
        verdict: Verdict,
        cause: Cause,
        hop: Option<usize>,
        message: String,
    ) -> Ruling {
        Ruling { verdict, cause: Some(cause), hop, place: None, message }
    }
}

impl From<&AuthorizeError> for Ruling {
    fn from(error: &AuthorizeError) -> Ruling {
        let verdict = match error {
            AuthorizeError::Exhausted { .. } => Verdict::Undecided,
            _ => Verdict::Deny,
        };
        let refused = Ruling::refused(verdict, error.cause(), error.block(), error.to_string());
        Ruling { place: error.place(), ..refused }
    }
}

impl From<&VerifyError> for Ruling {
    fn from(error: &VerifyError) -> Ruling {
        let verdict = match error {
            VerifyError::RevocationsUnavailable(_) | VerifyError::RevocationsStale { .. } => {
                Verdict::Undecided
            }
            _ => Verdict::Deny,
        };
        Ruling::refused(verdict, error.cause(), error.block(), error.to_string())
    }
}
