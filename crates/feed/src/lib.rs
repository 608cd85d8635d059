//! Hardtack's feed of revocations over HTTP: [`Serving`] publishes it, and [`Feed`] follows it for a verifier.
//!
//! The format is `docs/feed.md`; what is signed and what is taken, [`hardtack::feed`] decides. What is here fetches, serves, and keeps files.
//!
//! ```no_run
//! use hardtack::revocation::Union;
//! use hardtack::{RootKeys, Store, Verifier};
//! use hardtack_feed::Feed;
//!
//! # async fn begin(roots: RootKeys, store: Store) -> Result<(), Box<dyn std::error::Error>> {
//! let key = "hardtack-feed/…+…"; // what `hardtack gateway --feed-listen` says when it starts
//! let feed = Feed::follow("https://plane.example/feed", key)?.position("/var/lib/tools/feed").into_source()?;
//! let source = Union::of(store.revocations()).and(feed.revocations());
//! let verifier = Verifier::new(roots, "notion.mcp", source)?;
//! // `feed` lives as long as it is to be followed.
//! # let _ = verifier;
//! # Ok(())
//! # }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::unwrap_used, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod acknowledging;
mod door;
mod events;
mod fetching;
mod file;
mod following;
mod gateways;
mod registry;
mod serving;
mod standing;

use std::time::{Duration, SystemTime};

use hardtack::Timestamp;

pub use fetching::FetchError;
pub use following::{Feed, FeedSource, FollowError, Followed};
pub use gateways::{Enrolling, GatewayShown, Gateways, InForce, Readers};
pub use registry::{Enrolled, Registry, RegistryError};
pub use serving::Serving;
pub use standing::{Disbelieved, FeedPlace};

/// A checkpoint is made so often, whether or not something was revoked.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// The clock, which doors read for the library.
#[allow(clippy::disallowed_methods, reason = "a door reads the clock for the library")]
fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}
