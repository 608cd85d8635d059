//! Permit: what a guard hands out for one call that it allowed and recorded (a proof type).

use crate::chain::Chain;
use crate::policy::Location;
use crate::ruling::Ruling;
use crate::verify::VerifiedCapability;

/// The permission for one call. Code that acts for a caller takes one of these, so that it cannot be reached without a
/// decision. Only a [`Guard`](crate::Guard) makes one, of a decision that it has recorded (an
/// [`unrecorded`](crate::Guard::unrecorded) one records nothing).
#[derive(Debug)]
pub struct Permit {
    pub(super) verified: VerifiedCapability,
    pub(super) allowed: Location,
    pub(super) sequence: Option<u64>,
}

impl Permit {
    /// Returns the name of the subject, whose rights are used.
    pub fn subject(&self) -> &str {
        self.verified.subject()
    }

    /// Returns the name of the agent that acts, as its delegator calls it; `None` if the subject acts itself.
    pub fn agent(&self) -> Option<&str> {
        self.verified.agent()
    }

    /// Returns the whole chain of the token, verified.
    pub fn chain(&self) -> &Chain {
        self.verified.chain()
    }

    /// Returns the place of the policy that allowed the call, as file and line.
    pub fn allowed_by(&self) -> &Location {
        &self.allowed
    }

    /// Returns the number of the decision's record; `None` from a guard that records nothing.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }
}

impl From<&Permit> for Ruling {
    fn from(permit: &Permit) -> Ruling {
        Ruling::allowed_by(&permit.allowed)
    }
}
