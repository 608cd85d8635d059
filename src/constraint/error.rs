//! Error: why a line is no constraint, and what to write instead.

use crate::call::CallError;
use crate::cause::Cause;
use crate::function::OperandError;

/// A line that is no constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConstraintError {
    /// None of the forms.
    #[error("`{text}` is no constraint: {hint}")]
    Form {
        /// What was written.
        text: String,
        /// What to write instead.
        hint: &'static str,
    },
    /// A value that is none.
    #[error(
        "`{text}` is no {wanted}; write text in double quotes, numbers as whole numbers (1.5 arrives as text: \
         count in cents or grams)"
    )]
    Value {
        /// What was written.
        text: String,
        /// What belongs there.
        wanted: &'static str,
    },
    /// A folder, site, network or pattern that is none.
    #[error("nothing can be compared with that: {0}")]
    Operand(OperandError),
    /// A combination that cannot be checked.
    #[error("{0}")]
    Combination(&'static str),
    /// A resource that no call can have.
    #[error("`the resource` never equals `{text}`: {problem}")]
    Resource {
        /// What was written.
        text: String,
        /// What is wrong with it, and its normal form if it has one.
        problem: CallError,
    },
    /// More than a check has room for.
    #[error("a constraint has at most {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: usize,
    },
}

impl ConstraintError {
    /// The stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            ConstraintError::Form { .. }
            | ConstraintError::Value { .. }
            | ConstraintError::Combination(_)
            | ConstraintError::Resource { .. }
            | ConstraintError::TooMany { .. } => Cause::MalformedConstraint,
            ConstraintError::Operand(error) => error.cause(),
        }
    }
}
