//! Permit: a handler's argument, which it has only behind the layer.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::IntoResponse;
use http::StatusCode;
use http::request::Parts;

use crate::cause::Cause;
use crate::guard::Permit;

/// The permit of the request, for a handler that takes one: `async fn page(permit: Permit)`.
///
/// Whoever forgets the [`GuardLayer`](crate::http::GuardLayer) hears of it at the first request: it is answered by 500.
impl<S: Sync> FromRequestParts<S> for Permit {
    type Rejection = NoPermit;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Permit, NoPermit> {
        let permit = parts.extensions.get::<Arc<Permit>>();
        permit.map(|permit| permit.of_the_same_decision()).ok_or(NoPermit)
    }
}

/// A handler asked for a [`Permit`], and no guard had decided about the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no guard stands in front of this route; put a hardtack::http::GuardLayer on it")]
pub struct NoPermit;

impl NoPermit {
    /// The stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::NoGuard
    }
}

impl IntoResponse for NoPermit {
    fn into_response(self) -> axum::response::Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}
