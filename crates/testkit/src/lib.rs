//! What the tests of all packages share: the seed chain of the README at a fixed moment, tokens that are forged by hand, a clock that
//! counts a thread's own time, a connection that breaks, a small disk, a server behind, an authority. It is not published.

#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::new_without_default,
    clippy::unwrap_used,
    reason = "each test says what it does with it"
)]

#[cfg(feature = "authority")]
pub mod authority;
pub mod clock;
pub mod command;
pub mod forge;
pub mod losing;
pub mod small_disk;
pub mod upstream;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hardtack::*;

pub use losing::losing_answers;

/// 2026-11-23T10:00:00Z
pub const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);
pub const AUDIENCE: &str = "notion.mcp";

/// A path within the repository, whatever the package of the test.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

pub fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// The keys of the seed chain: alice's grant is held by the orchestrator.
pub struct Cast {
    pub root: PrivateKey,
    pub orchestrator: PrivateKey,
    pub researcher: PrivateKey,
    pub thief: PrivateKey,
}

impl Cast {
    pub fn new() -> Cast {
        let key = |seed| PrivateKey::from_bytes(&[seed; 32]);
        Cast { root: key(1), orchestrator: key(2), researcher: key(3), thief: key(4) }
    }

    pub fn issuer(&self) -> Issuer {
        Issuer::new(PrivateKey::from_bytes(&[1; 32]))
    }

    /// human (root) → the orchestrator holds the grant
    pub fn grant(&self) -> Capability {
        self.issuer().mint(self.grant_of(&["tools:call:*"]), NOW).unwrap()
    }

    pub fn grant_of(&self, scopes: &[&str]) -> Grant {
        let grant = Grant::to("user:alice")
            .fact_datalog(r#"role("editor")"#)
            .holder(self.orchestrator.public());
        scopes.iter().fold(grant, |grant, scope| grant.scope(*scope))
    }

    pub fn to_researcher(&self) -> Delegation {
        Delegation::to("agent.researcher")
            .scope("tools:call:search")
            .reason("find the roadmap page")
            .holder(self.researcher.public())
    }

    /// … → researcher
    pub fn researchers(&self) -> Capability {
        self.grant().delegate(self.to_researcher(), &self.orchestrator, NOW).unwrap()
    }

    pub fn presented(&self) -> Presentation {
        self.researchers().present(Presenting::to(AUDIENCE), &self.researcher, NOW).unwrap()
    }

    pub fn roots(&self) -> RootKeys {
        RootKeys::of(self.root.public())
    }

    pub fn verifier(&self) -> Verifier {
        Verifier::new(self.roots(), AUDIENCE, revocation::RevocationUnchecked).unwrap()
    }

    pub fn guard(&self, store: &Store) -> Guard {
        let verifier = Verifier::new(self.roots(), AUDIENCE, store.revocations()).unwrap();
        Guard::new(verifier, Policy::builtin(), store.clone())
    }
}

/// Revokes, and says by whom and why.
pub fn revoke(store: &Store, revocation: Revocation) {
    store.revoke(Revoking::new(revocation, "tests", "lost").unwrap(), NOW).unwrap();
}

pub fn search() -> Call {
    Call::tool("search").unwrap()
}

/// The cause for which a bearer is refused, and the block.
pub fn refusal(guard: &Guard, bearer: &str, call: &Call) -> (&'static str, Option<usize>) {
    let denial = guard.check(bearer, call, NOW).expect_err("allowed");
    (denial.refusal().cause.as_str(), denial.refusal().hop)
}
