//! Error: what is wrong with a call?

use crate::call::{ArgumentProblem, MAX_RESOURCE_BYTES};
use crate::cause::Cause;
use crate::scope::ScopeError;

/// The error of a call that is not exact enough to be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The operation is not of its form.
    #[error(transparent)]
    Operation(#[from] ScopeError),
    /// The resource is no URI, or not in normal form.
    #[error("the resource is not a URI in normal form{}", normal.as_ref().map_or(String::new(), |uri| format!("; write {uri}")))]
    Resource {
        /// The normal form, where there is one.
        normal: Option<String>,
    },
    /// The resource, of another scheme than `https`, `http` and `file`, has a form of which readers know another spelling.
    #[error("the resource has other spellings, and readers differ: {problem}")]
    ResourceForms {
        /// What gives it another spelling, in words.
        problem: &'static str,
    },
    /// The resource has more than 8,000 bytes.
    #[error("the resource has more than {MAX_RESOURCE_BYTES} bytes")]
    LongResource,
    /// The arguments could be read differently by two readers, or are too large.
    #[error("the arguments {0}")]
    Arguments(ArgumentProblem),
    /// An argument is a number that JSON does not have.
    #[error("an argument is a number that is not finite, which JSON does not have")]
    NotFinite,
    /// The JSON object is not of the form of a call.
    #[error(
        "a call is {{\"operation\": \"tools:call:search\", \"resource\": \"https://…\", \"arguments\": {{…}}, \"params\": {{…}}}}, the last three optional"
    )]
    Form,
}

impl CallError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self.is_too_large() {
            true => Cause::CallTooLarge,
            false => Cause::InexactCall,
        }
    }
}

impl CallError {
    /// Whether the call is larger than one that is judged, and no less exact.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, CallError::LongResource | CallError::Arguments(ArgumentProblem::TooLarge))
    }
}
