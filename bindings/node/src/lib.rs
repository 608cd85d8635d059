//! Hardtack for Node: the addon of the package `@hardtack/server`. It decides nothing by itself: each class wraps one of the library's.
//!
//! What waits or takes its time is done on other threads, and settles a promise. What JavaScript gives is read and checked in `lib/`,
//! whose classes are the public ones; to these here come texts, bytes and whole numbers alone.

mod call;
mod error;
mod given;
mod guard;
mod keys;
mod later;
#[cfg(feature = "measure")]
mod measure;
mod mint;
mod policy;
mod revocation;
mod shared;
mod store;

use napi_derive::napi;

/// The version of the addon: the package beside it is of the same.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
