//! Rejection: why does a token not hold, and what does it say if its signatures do?

use std::sync::Arc;

use crate::verify::{Authentic, VerifyError};

/// Why a token does not hold, and what it says if its signatures do.
#[derive(Debug)]
pub struct Rejection {
    pub(crate) error: VerifyError,
    pub(crate) authentic: Option<Arc<Authentic>>,
}

impl Rejection {
    /// Whether the token is refused only because what is known of revocations is too old, for which operations have bounds of
    /// their own.
    pub fn is_stale(&self) -> bool {
        matches!(self.error, VerifyError::RevocationsStale { .. })
    }
}
