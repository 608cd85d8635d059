//! Rejection: why does a token not hold, and what does it say if its signatures do?

use std::sync::Arc;

use crate::verify::{Authentic, VerifyError};

/// The error of a token that is not valid here. If the signatures are valid, it carries what the token says, for the
/// record.
#[derive(Debug)]
pub struct Rejection {
    pub(crate) error: VerifyError,
    pub(crate) authentic: Option<Arc<Authentic>>,
}

impl Rejection {
    /// Returns true if the token is refused only because what is known of revocations is too old. Operations can have
    /// bounds of their own ([`Verifier::max_staleness_of`](crate::Verifier::max_staleness_of)).
    pub fn is_stale(&self) -> bool {
        matches!(self.error, VerifyError::RevocationsStale { .. })
    }
}
