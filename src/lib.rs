#![doc = include_str!("../README.md")]
#![warn(clippy::unwrap_used, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

// The life of a capability.
pub mod mint;
pub mod delegate;
pub mod present;
pub mod verify;
pub mod authorize;
pub mod audit;
pub mod guard;
pub mod revoke;

// What the stages consult.
pub mod capability;
pub mod chain;
pub mod call;
pub mod constraint;
pub mod function;
pub mod scope;
pub mod names;
pub mod keys;
pub mod profile;
pub mod timestamp;
pub mod file;
pub mod policy;
pub mod prospect;
pub mod explain;
pub mod replay;
pub mod revocation;
pub mod store;
mod block;
mod datalog;
mod process;
mod signing;
mod spelling;

// For the tests of who uses the library.
#[cfg(feature = "testing")]
pub mod testing;

// What puts policies to the proof, with all of the above.
#[cfg(feature = "trial")]
pub mod trial;

// The doors.
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "mcp")]
pub mod mcp;

pub use audit::{AuditRecord, Decision, Ledger};
pub use authorize::{AuthorizeError, authorize};
pub use call::{Call, CallError};
pub use capability::Capability;
pub use chain::{Chain, RevocationId};
pub use constraint::Constraint;
pub use delegate::{DelegateError, Delegation};
pub use explain::Explanation;
pub use guard::{Denial, Guard, Permit};
pub use keys::{PrivateKey, PublicKey, RootKeys};
pub use mint::{Grant, Issuer, MintError};
pub use policy::{Policy, PolicyError};
pub use present::{PresentError, Presentation, Presenting};
pub use profile::Lifetimes;
pub use prospect::Prospect;
pub use revocation::{Revocation, Revocations, Revoking};
pub use revoke::RevocationRequest;
pub use scope::{Operation, Scope, ScopeError};
pub use store::{Store, StoreError, StoreReader};
pub use timestamp::Timestamp;
pub use verify::{Directory, VerifiedCapability, Verifier, VerifyError};
