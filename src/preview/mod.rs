//! Preview: could this capability do this operation, whatever the arguments will be?
//!
//! This is for lists of what an agent may use. It evaluates what [`authorize`](mod@crate::authorize) does, by partial evaluation, with
//! a third answer for whatever rests on arguments, and never says no to what could be allowed with some.

mod foresee;
mod outlook;

use serde::Serialize;

use crate::authorize::PreparedSets;
use crate::call::Call;
use crate::datalog::partial::Truth;
use crate::policy::Policy;
use crate::verify::VerifiedCapability;

pub(crate) use foresee::{Foreseen, foresee};
pub use outlook::Outlook;
pub use outlook::TooMuch;

/// The possible results of a call whose arguments are not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Preview {
    /// The call is allowed, whatever the arguments.
    Allowed,
    /// The call may be allowed with some arguments and refused with others: it is not known without them.
    DependsOnArguments,
    /// The call is refused, whatever the arguments.
    Denied,
}

impl Preview {
    /// Returns true if the call could be allowed with some arguments, so that it is worth trying.
    pub fn is_open(self) -> bool {
        self != Preview::Denied
    }
}

impl From<Truth> for Preview {
    fn from(allowed: Truth) -> Preview {
        match allowed {
            Truth::Yes => Preview::Allowed,
            Truth::Unknown => Preview::DependsOnArguments,
            Truth::No => Preview::Denied,
        }
    }
}

/// The call's operation and resource count, its arguments do not.
pub(crate) fn preview(
    prepared: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Preview {
    // What cannot be decided is not allowed when it is called, either.
    Outlook::over(prepared, verified, policy, u64::MAX).of(call).unwrap_or(Preview::Denied)
}
