//! HTTP: a tower layer (middleware) that lets a request through only if its bearer may do what it asks for.
//!
//! For services of axum, hyper and tonic alike. The service inside finds the [`Permit`] and the [`Chain`] in
//! the request's extensions, and never sees the bearer. Refusals are those of RFC 6750.
//!
//! [`Permit`]: hardtack::Permit
//! [`Chain`]: hardtack::Chain

mod bearer;
mod describe;
mod layer;
#[cfg(feature = "axum")]
mod permit;
mod refusal;
#[cfg(feature = "axum")]
mod routes;

use std::time::SystemTime;

#[doc(inline)]
pub use hardtack::guard::Refused;
use hardtack::timestamp::Timestamp;

pub use bearer::{BearerError, MAX_BEARER_BYTES, bearer};
pub use describe::{Describe, Reading, Undescribed};
#[doc(hidden)]
pub use describe::{MAX_REFUSED_BODY_BYTES, REFUSED_BODY_TIMEOUT, read_body, with_members};
pub use layer::{Answered, GuardLayer, Guarded};
#[cfg(feature = "axum")]
pub use permit::{NoPermit, Permitted};
pub use refusal::Realm;
#[cfg(feature = "axum")]
pub use routes::{JsonRoutes, RouteError, Routes};

/// The clock, which doors read for the library.
#[doc(hidden)]
#[allow(clippy::disallowed_methods, reason = "a door reads the clock for the library")]
pub fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}
