//! Permit: what a guard hands out for one call that it allowed and recorded.

use crate::chain::Chain;
use crate::policy::Location;
use crate::ruling::Ruling;
use crate::verify::VerifiedCapability;

/// Leave to do one call. What acts for a caller takes one of these; only a [`Guard`](crate::Guard) makes one, of a
/// decision that it has recorded.
#[derive(Debug)]
pub struct Permit {
    pub(super) verified: VerifiedCapability,
    pub(super) allowed: Location,
    pub(super) sequence: Option<u64>,
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

impl From<&Permit> for Ruling {
    fn from(permit: &Permit) -> Ruling {
        Ruling::allowed_by(&permit.allowed)
    }
}
