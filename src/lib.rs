//! Capability tokens for AI agents, built on [Biscuit](https://www.biscuitsec.org).
//!
//! A human grants a part of what they may do. Agents pass on less and less, offline, and each hop is signed by its
//! delegator. A tool server verifies the whole chain offline, decides by Datalog policies what the agent may do, and
//! records the decision before it gives it. Revoking a parent stops every agent below it.
//!
//! ```
//! use hardtack::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Timestamp::from(std::time::SystemTime::now());
//! let (orchestrator, researcher) = (PrivateKey::generate(), PrivateKey::generate());
//!
//! // The issuer grants; the grant is bound to the orchestrator's key.
//! let issuer = Issuer::new(PrivateKey::generate());
//! let grant = Grant::to("user:alice").scope("tools:call:*").holder(orchestrator.public());
//! let capability = issuer.mint(grant, now)?;
//!
//! // The orchestrator passes on less, and the researcher presents it to one server, for minutes.
//! let part = Delegation::to("agent.researcher").scope("tools:call:search");
//! let part = part.reason("find the roadmap page").holder(researcher.public());
//! let delegated = capability.delegate(part, &orchestrator, now)?;
//! let presented = delegated.present(Presenting::to("notion.mcp"), &researcher, now)?;
//!
//! // The server knows the root's public key.
//! let store = Store::in_memory()?;
//! let verifier = Verifier::new(RootKeys::of(issuer.public()), "notion.mcp", store.revocations())?;
//! let guard = Guard::new(verifier, Policy::builtin(), store);
//! assert!(guard.check(presented.bearer(), &Call::tool("search")?, now).is_ok());
//! assert!(guard.check(presented.bearer(), &Call::tool("delete_page")?, now).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Where to begin
//!
//! | you write | begin with | then |
//! |---|---|---|
//! | an issuer | [`Issuer::mint`](mint::Issuer::mint), [`Grant`] | [`Lifetimes`], [`PrivateKey`] |
//! | an agent that starts others | [`Capability::delegate`], [`Delegation`] | [`Constraint`], [`Scope`] |
//! | an agent that calls tools | [`Capability::present`], [`Presenting`] | [`Presenter`](present::Presenter), [`Presenting::call`], [`Preview`] |
//! | a tool server | [`Guard::check`], [`Verifier`], [`Store`] | [`Policy`], [`Call`], [`Denial`]; `hardtack_http::GuardLayer` |
//! | an MCP server, or a binding | [`mcp::Message`], [`Guard::check`] | [`Refused`](guard::Refused) |
//! | what revokes and looks back | [`Store::revoke`], [`Revocation`] | [`Explanation`], [`AuditRecord`], [`StoreReader`] |
//!
//! A bearer token, the time and a call go in; a [`Permit`] or a [`Denial`] comes out. No function reads a clock: time
//! is an argument. A guard waits for the disk of its store, which keeps each decision; verifying and authorizing alone
//! wait for nothing.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `store` (default) | [`Store`]: revocations, records and uses in one file, over redb |
//! | `feed` | [`feed`]: revocations published as a signed feed, and copies that follow one |
//! | `tokio` | `…_async` forms of what waits for a disk: deciding, revoking, opening |
//! | `issuance` | `issuance`: what an issuer gives for which claims, by a set of policies |
//! | `trial` | `trial`: a set of policies put to its cases |
//! | `testing` | `testing::Scene`: a root, a moment, a chain and a permit, for the tests of a guarded service; `testing::conform`: the cases of an engine |
//!
//! No feature changes what is decided. What stands in front of a service has packages of its own: `hardtack-http` (a tower layer; axum's
//! routes), `hardtack-mcp` (the gateway for MCP servers, and the agent's end), `hardtack-lint` (the linter of policies) and `hardtack-cli`
//! (the command `hardtack`).
//!
//! The repository's folder `docs` has one page for each question: what a token contains (`docs/profile.md`), how it is verified
//! (`docs/verification.md`), constraints, policies, the gateway, the store and others. `SECURITY.md` says what is defended.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(feature = "store"),
    allow(dead_code, unused_imports, reason = "what a store is made of is there for one")
)]
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
pub mod mcp;
pub mod constraint;
pub(crate) mod function;
pub mod scope;
pub mod flaw;
pub mod cause;
pub mod names;
pub mod keys;
pub mod profile;
pub mod timestamp;
pub(crate) mod file;
pub mod pending;
#[cfg(feature = "issuance")]
pub mod issuance;
pub mod policy;
pub mod preview;
pub mod explain;
pub mod replay;
pub mod ruling;
pub mod revocation;
pub mod log;
#[cfg(feature = "feed")]
pub mod feed;
#[cfg(feature = "store")]
pub mod store;
mod block;
mod calendar;
mod datalog;
mod memory;
mod process;
mod prompt_name;
mod signing;
mod spelling;

/// What the packages of this repository share with the library, such as the linter with the loader. It is no part of the API: it
/// changes without notice.
#[doc(hidden)]
#[allow(missing_docs, reason = "it is no part of the API")]
pub mod internal {
    pub use crate::call::size::JsonSize;
    pub use crate::datalog::following::Unfollowed;
    pub use crate::datalog::{FACT_BUDGET, MAX_DERIVED_FACTS};
    pub use crate::file::{open_or_pipe, read_text, read_text_or_pipe, text as text_of};
    pub use crate::function::Function;
    pub use crate::policy::folder::{files, parts, policy_files, read as read_file, unread};
    pub use crate::policy::problem::Problem;
    pub use crate::profile::vocabulary::{
        By, Column, Often, WORDS, Word, is_predicate_name, is_reserved,
    };
    pub use crate::spelling::{MAX_FOLDED_BYTES, fold, is_plain, is_seen};

    pub const BUILTIN: &str = crate::policy::BUILTIN;
    pub const EXTENSION: &str = crate::policy::EXTENSION;
    pub const MAX_ALIKE: usize = crate::audit::MAX_ALIKE;
    pub const MAX_ARGUMENTS: usize = crate::call::MAX_ARGUMENTS;
    pub const MOST_ARGUMENT_BYTES: usize = crate::call::MOST_ARGUMENT_BYTES;
    pub const MAX_DEPTH: i64 = crate::profile::MAX_DEPTH;
    pub const MAX_FILE_BYTES: u64 = crate::policy::MAX_FILE_BYTES;
    pub const MAX_REJECTIONS_RECORDED: u32 = crate::guard::MAX_REJECTIONS_RECORDED;
    pub const MAX_SAFE_INTEGER: i64 = crate::call::MAX_SAFE_INTEGER;
    pub const MAX_TOKEN_BYTES: usize = crate::profile::MAX_TOKEN_BYTES;
    pub const RESERVED_SEGMENT: &str = crate::scope::RESERVED_SEGMENT;

    /// The text of policies with the place of every word.
    pub mod syntax {
        pub use crate::policy::syntax::{
            Atom, Expr, Kind, Lines, METHODS, Node, Part, Query, Source, Span, Statement, Term,
            Value, read,
        };
    }
}

// For the tests of who uses the library.
#[cfg(feature = "testing")]
pub mod testing;

// What puts policies to the proof, with all of the above.
#[cfg(feature = "trial")]
pub mod trial;

#[doc(inline)]
pub use audit::{AuditRecord, Decision, Ledger};
#[doc(inline)]
pub use authorize::{AuthorizeError, authorize};
#[doc(inline)]
pub use call::{Call, CallError};
#[doc(inline)]
pub use capability::Capability;
#[doc(inline)]
pub use cause::{Cause, Class};
#[doc(inline)]
pub use chain::{Chain, RevocationId};
#[doc(inline)]
pub use constraint::Constraint;
#[doc(inline)]
pub use delegate::{DelegateError, Delegation};
#[doc(inline)]
pub use explain::Explanation;
#[doc(inline)]
pub use guard::{Denial, Guard, Permit};
#[doc(inline)]
pub use keys::{PrivateKey, PublicKey, RootKeys};
#[doc(inline)]
pub use mint::{Grant, Issuer, MintError};
#[doc(inline)]
pub use policy::{Policy, PolicyError};
#[doc(inline)]
pub use present::{PresentError, Presentation, Presenting};
#[doc(inline)]
pub use preview::Preview;
#[doc(inline)]
pub use profile::Lifetimes;
#[doc(inline)]
pub use revocation::{Revocation, RevocationLog, Revocations, Revoking};
#[doc(inline)]
pub use revoke::RevocationRequest;
#[doc(inline)]
pub use scope::{Operation, Scope, ScopeError};
#[cfg(feature = "store")]
#[doc(inline)]
pub use store::{Store, StoreError, StoreReader};
#[doc(inline)]
pub use timestamp::Timestamp;
#[doc(inline)]
pub use verify::{Directory, VerifiedCapability, Verifier, VerifyError};

// Its example is a test as well. It is no page of these docs, since its links lead to files beside it.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
