//! Permit: a handler's argument, which it has only behind the layer.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::IntoResponse;
use http::StatusCode;
use http::request::Parts;

use hardtack::cause::Cause;
use hardtack::guard::Permit;

/// An extractor of axum's for the permit of the request: `async fn page(permit: Permitted)`.
///
/// A handler without the [`GuardLayer`](crate::GuardLayer) in front of it is never run: its request is answered by 500, with the
/// text of [`NoPermit`].
#[derive(Debug, Clone)]
pub struct Permitted(pub Arc<Permit>);

impl Deref for Permitted {
    type Target = Permit;

    fn deref(&self) -> &Permit {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Permitted {
    type Rejection = NoPermit;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Permitted, NoPermit> {
        parts.extensions.get::<Arc<Permit>>().cloned().map(Permitted).ok_or(NoPermit)
    }
}

/// An error of [`Permitted`]: no guard had decided about the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no guard stands in front of this route; put a hardtack_http::GuardLayer on it")]
pub struct NoPermit;

impl NoPermit {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::NoGuard
    }
}

impl IntoResponse for NoPermit {
    fn into_response(self) -> axum::response::Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}
