//! Testing: a root, a moment, a chain and a permit in a line, for the tests of a service that is guarded.
//!
//! Everything in it is real: keys, signatures, the verifier, the policies and the record of each decision, in a store in
//! memory. Keys are made anew for each scene, and nobody else trusts them.
//!
//! ```
//! use hardtack::testing::Scene;
//! use hardtack::{Call, Cause, Permit};
//!
//! fn search(permit: &Permit) -> String {
//!     format!("searched for {}", permit.subject())
//! }
//!
//! let scene = Scene::new();
//! assert_eq!(search(&scene.permit("tools:call:search")), "searched for user:test");
//!
//! // What is refused, and why.
//! let bearer = scene.bearer(&["tools:call:search"]);
//! let pay = Call::tool("pay").unwrap();
//! let denial = scene.guard().check(&bearer, &pay, scene.now()).unwrap_err();
//! assert_eq!(denial.refusal().cause, Cause::NotGranted);
//!
//! // A minute later than the presentation lives.
//! scene.advance(std::time::Duration::from_secs(360));
//! let search = Call::tool("search").unwrap();
//! let denial = scene.guard().check(&bearer, &search, scene.now()).unwrap_err();
//! assert_eq!(denial.refusal().cause, Cause::Expired);
//! ```
//!
//! For whoever writes an engine of [`Uses`](crate::audit::Uses), [`RevocationLog`](crate::RevocationLog),
//! [`Records`](crate::audit::Records) or [`Lineage`](crate::audit::Lineage): [`conform`] puts it to the cases that every engine must pass.
#![allow(
    clippy::expect_used,
    reason = "a scene that cannot be made fails its test, and says by which step"
)]

mod engine;
pub mod lineage;
pub mod records;
pub mod revocations;
pub mod uses;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::call::Call;
use crate::capability::Capability;
use crate::delegate::Delegation;
use crate::guard::{Guard, Permit};
use crate::keys::{PrivateKey, RootKeys};
use crate::mint::{Grant, Issuer};
use crate::policy::Policy;
use crate::present::Presenting;
use crate::store::Store;
use crate::timestamp::Timestamp;
use crate::verify::Verifier;

pub use engine::{Case, Engine, LeftOut, conform};

/// The moment at which a scene begins: 2026-01-01T12:00:00Z.
const BEGINNING: Timestamp = Timestamp::from_unix_seconds(1_767_268_800);

/// A test's whole world: an issuer, the subject `user:test`, its agent `agent.test`, and a server that is called `test.server` and trusts
/// the issuer.
///
/// Its policies are the built-in ones, which allow what a token grants; [`Scene::with`] takes others. Its clock stands still until
/// it is [advanced](Scene::advance). Every method panics where the library would answer an error, since then the test itself is wrong.
#[derive(Debug)]
pub struct Scene {
    issuer: Issuer,
    subject: PrivateKey,
    agent: PrivateKey,
    store: Store,
    guard: Arc<Guard>,
    now: Arc<AtomicU64>,
}

impl Default for Scene {
    fn default() -> Scene {
        Scene::new()
    }
}

impl Scene {
    /// The name of the server, which is the audience of its presentations.
    pub const AUDIENCE: &'static str = "test.server";

    /// Makes a scene with the built-in policies, which allow what a token grants.
    pub fn new() -> Scene {
        Scene::with(Policy::builtin())
    }

    /// Makes a scene with these policies.
    pub fn with(policy: impl Into<Arc<Policy>>) -> Scene {
        let issuer = Issuer::new(PrivateKey::generate());
        let store = Store::in_memory().expect("a store in memory");
        let roots = RootKeys::of(issuer.public());
        let verifier = Verifier::new(roots, Scene::AUDIENCE, store.revocations());
        let guard = Guard::new(verifier.expect("a verifier"), policy, store.clone());
        Scene {
            issuer,
            subject: PrivateKey::generate(),
            agent: PrivateKey::generate(),
            store,
            guard: Arc::new(guard),
            now: Arc::new(AtomicU64::new(BEGINNING.unix_seconds())),
        }
    }

    /// Returns the time that the scene's clock shows.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.now.load(Ordering::Relaxed))
    }

    /// Moves the scene's clock on by `by`, in whole seconds; a fraction is left out.
    pub fn advance(&self, by: Duration) {
        self.now.fetch_add(by.as_secs(), Ordering::Relaxed);
    }

    /// Returns the scene's clock as a function, for what takes one: `GuardLayer::clock(scene.clock())`.
    pub fn clock(&self) -> impl Fn() -> Timestamp + Send + Sync + 'static {
        let now = Arc::clone(&self.now);
        move || Timestamp::from_unix_seconds(now.load(Ordering::Relaxed))
    }

    /// Returns the issuer, which signs grants.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Returns the store with the scene's revocations and records.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the server's guard, for a `GuardLayer` or to be asked.
    pub fn guard(&self) -> Arc<Guard> {
        Arc::clone(&self.guard)
    }

    /// Makes a capability of `agent.test` with these scopes, granted by `user:test`, valid from now.
    pub fn capability(&self, scopes: &[&str]) -> Capability {
        let grant = Grant::to("user:test").holder(self.subject.public());
        let grant = scopes.iter().fold(grant, |grant, scope| grant.scope(*scope));
        let hop = Delegation::to("agent.test").reason("a test").holder(self.agent.public());
        let hop = scopes.iter().fold(hop, |hop, scope| hop.scope(*scope));
        let granted = self.issuer.mint(grant, self.now()).expect("scopes that can be granted");
        granted.delegate(hop, &self.subject, self.now()).expect("scopes that can be passed on")
    }

    /// Makes a bearer with these scopes: a [`Scene::capability`] that is presented to the server for five minutes. It is what stands
    /// behind `Authorization: Bearer`.
    pub fn bearer(&self, scopes: &[&str]) -> String {
        let presenting = Presenting::to(Scene::AUDIENCE);
        let presented = self.capability(scopes).present(presenting, &self.agent, self.now());
        presented.expect("a capability of the agent's").bearer().to_owned()
    }

    /// Makes a permit for one call of `operation` without arguments, granted and recorded.
    pub fn permit(&self, operation: &str) -> Permit {
        self.permit_of(&Call::new(operation).expect("an operation, such as tools:call:search"))
    }

    /// Makes a permit for `call`, granted and recorded.
    pub fn permit_of(&self, call: &Call) -> Permit {
        let bearer = self.bearer(&[call.operation().as_str()]);
        self.guard.check(&bearer, call, self.now()).expect("a call that the policies allow")
    }
}
