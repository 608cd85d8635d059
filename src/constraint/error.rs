//! Error: why a line is no constraint, and what to write instead.

use crate::call::CallError;
use crate::cause::Cause;

/// The error of a line that is no constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConstraintError {
    /// The line has none of the forms of a constraint.
    #[error("`{text}` is no constraint: {hint}")]
    Form {
        /// The text that was written.
        text: String,
        /// Advice on what to write instead.
        hint: &'static str,
    },
    /// A value in it is none, or of the wrong kind.
    #[error(
        "`{text}` is no {wanted}; write text in double quotes, numbers as whole numbers (1.5 arrives as text: \
         count in cents or grams)"
    )]
    Value {
        /// The text that was written.
        text: String,
        /// The kind of value that belongs there.
        wanted: &'static str,
    },
    /// A folder, site, network or pattern in it is none.
    #[error("nothing can be compared with that: {0}")]
    Operand(String),
    /// It combines what cannot be checked together.
    #[error("{0}")]
    Combination(&'static str),
    /// It names a resource that no call can have.
    #[error("`the resource` never equals `{text}`: {problem}")]
    Resource {
        /// The text that was written.
        text: String,
        /// The problem of the resource, with its normal form if it has one.
        problem: CallError,
    },
    /// It has more than a check has room for.
    #[error("a constraint has at most {limit} {what}")]
    TooMany {
        /// The things of which there are too many.
        what: &'static str,
        /// The most of these that there may be.
        limit: usize,
    },
}

impl ConstraintError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self {
            ConstraintError::Form { .. }
            | ConstraintError::Value { .. }
            | ConstraintError::Combination(_)
            | ConstraintError::Resource { .. }
            | ConstraintError::TooMany { .. } => Cause::MalformedConstraint,
            ConstraintError::Operand(_) => Cause::MalformedOperand,
        }
    }
}
