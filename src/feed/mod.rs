//! Feed: how do verifiers on other machines hear what is revoked?
//!
//! A [`Publisher`] reads a [`RevocationLog`](crate::RevocationLog) and signs its events as a transparency log (C2SP's tlog) with a key of its
//! own. A [`Follower`] verifies what comes and keeps [`Revocations`](crate::Revocations) by it, on which a verifier decides. `docs/feed.md` has
//! the format. Nothing here uses a network; the package `hardtack-feed` serves and fetches over HTTP.
//!
//! ```
//! use std::sync::Arc;
//!
//! use hardtack::feed::{Follower, Publisher, Publishing, Wanted};
//! use hardtack::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Timestamp::from_unix_seconds(1_795_428_000);
//! let store = Store::in_memory()?;
//! let publishing = Publishing::new(PrivateKey::generate());
//! let mut publisher = Publisher::open(Arc::new(store.clone()), publishing, now)?;
//! let mut follower = Follower::new(publisher.key().clone());
//!
//! let agent = Revocation::Agent { agent: "agent.a".to_owned() };
//! store.revoke(Revoking::new(agent, "ops", "stolen")?, now)?;
//! let published = publisher.advance(now)?;
//! // Each answer says what to fetch next.
//! let mut wanted = follower.offer(published.checkpoint(), now)?;
//! loop {
//!     wanted = match wanted {
//!         Wanted::Nothing => break,
//!         Wanted::Lines { epoch, first, last } => {
//!             let lines = published.lines(epoch, first, last).expect("it is recent");
//!             follower.lines(&lines, now)?
//!         }
//!         Wanted::Snapshot { epoch, size, .. } => {
//!             let snapshot = published.snapshot(epoch, size).expect("it is the last");
//!             follower.snapshot(&snapshot, now)?
//!         }
//!     };
//! }
//! let revocations = follower.revocations(); // for Verifier::new
//! # let _ = revocations;
//! # Ok(())
//! # }
//! ```

mod follower;
mod head;
mod line;
mod published;
mod publisher;
mod request;
mod snapshot;
mod state;

pub use follower::{FeedError, Follower, Keep, Wanted};
pub use head::FeedHead;
pub use published::Published;
pub use publisher::{PublishError, Publisher, Publishing};
pub use request::{ClaimedRequest, FeedRequest, REQUEST_SECONDS, RequestUnsigned, SignedHeaders};

/// The most lines that are asked for at once: some 150 KB.
pub const MOST_LINES: u64 = 1000;

/// The most bytes of one line. The longest says what a collection forgot, which is ten thousand revocations at most.
pub(crate) const MOST_LINE_BYTES: usize = 512 << 10;

/// The most bytes of a snapshot that is taken: three million revocations.
pub(crate) const MOST_SNAPSHOT_BYTES: u64 = 512 << 20;

#[cfg(all(test, feature = "store"))]
mod tests;
