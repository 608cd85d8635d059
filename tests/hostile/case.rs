//! A case: what is sent, to whom, and why it must be refused.

use std::sync::Arc;

use hardtack::*;
use serde_json::json;

use crate::seed::seed;
use hardtack_testkit::{AUDIENCE, Cast, NOW, revoke};

#[derive(Debug, Clone)]
pub struct Case {
    /// `family/what is tried`; unique.
    pub name: String,
    pub input: Input,
    pub expected: Expected,
}

/// What is sent, to whom and when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Input {
    pub bearer: String,
    pub call: Sent,
    /// Seconds after [`NOW`], or before.
    pub seconds: i64,
    pub server: Server,
}

/// The call, as its caller writes it: some are refused before any token is looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    pub operation: String,
    pub resource: Option<String>,
    /// A JSON object, or what passes itself off as one.
    pub arguments: String,
}

/// The servers that decide. All trust the cast's root key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// As it comes.
    Plain,
    /// Accepts hops that nobody in particular signed.
    Unbound,
    /// Knows `agent.researcher` by the researcher's key, and `agent.orchestrator` by the orchestrator's.
    Directory,
    /// Has revoked: the researcher's hop of the seed chain, by its id; the thief's key; `agent.revoked`;
    /// `user:revoked`.
    Revoking,
    /// Judges resources of other schemes than the usual ones: of [`SCHEMES`].
    Schemes,
    /// Has seen nothing yet: for call-bound presentations, which are accepted once.
    Fresh,
}

/// What a server's own lists named.
pub const SCHEMES: [&str; 7] = ["memo", "data", "blob", "jar", "view-source", "filesystem", "wss"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Accepted,
    Refused { cause: &'static str, block: Option<usize> },
}

impl Case {
    /// A bearer that is refused at the plain server, for a call of `tools:call:search` at [`NOW`].
    pub fn refused(
        name: String,
        bearer: String,
        cause: &'static str,
        block: Option<usize>,
    ) -> Case {
        let input = Input { bearer, call: Sent::search(), seconds: 0, server: Server::Plain };
        Case { name, input, expected: Expected::Refused { cause, block } }
    }

    /// What is accepted of the same kind.
    pub fn accepted(name: String, bearer: String) -> Case {
        let case = Case::refused(name, bearer, "", None);
        Case { expected: Expected::Accepted, ..case }
    }

    pub fn at(mut self, seconds: i64) -> Case {
        self.input.seconds = seconds;
        self
    }

    pub fn to(mut self, server: Server) -> Case {
        self.input.server = server;
        self
    }

    pub fn calls(mut self, call: Sent) -> Case {
        self.input.call = call;
        self
    }

    pub fn decided_by(&self, guard: &Guard) -> Expected {
        let Input { bearer, call, seconds, .. } = &self.input;
        let Ok(call) = call.call() else {
            return Expected::Refused { cause: "inexact_call", block: None };
        };
        match guard.check(bearer, &call, at(*seconds)) {
            Ok(_) => Expected::Accepted,
            Err(denial) => {
                let refusal = denial.refusal();
                Expected::Refused { cause: refusal.cause.as_str(), block: refusal.hop }
            }
        }
    }

    pub fn family(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    pub fn to_json(&self) -> serde_json::Value {
        let expected = match self.expected {
            Expected::Accepted => json!("accepted"),
            Expected::Refused { cause, block } => json!({ "cause": cause, "block": block }),
        };
        json!({
            "name": self.name,
            "bearer": self.input.bearer,
            "operation": self.input.call.operation,
            "resource": self.input.call.resource,
            "arguments": self.input.call.arguments,
            "now": at(self.input.seconds).to_string(),
            "audience": AUDIENCE,
            "server": format!("{:?}", self.input.server).to_lowercase(),
            "expected": expected,
        })
    }
}

impl Sent {
    pub fn search() -> Sent {
        Sent::operation("tools:call:search")
    }

    pub fn operation(operation: &str) -> Sent {
        Sent { operation: operation.to_owned(), resource: None, arguments: "{}".to_owned() }
    }

    pub fn resource(mut self, uri: &str) -> Sent {
        self.resource = Some(uri.to_owned());
        self
    }

    pub fn arguments(mut self, json: &str) -> Sent {
        self.arguments = json.to_owned();
        self
    }

    fn call(&self) -> Result<Call, CallError> {
        let call = Call::new(&self.operation)?;
        let call = match &self.resource {
            Some(uri) => call.resource(uri)?,
            None => call,
        };
        call.arguments(&self.arguments)
    }
}

/// Where the cases are decided: a guard for each server, over stores in memory.
pub struct Scene {
    plain: Arc<Guard>,
    unbound: Arc<Guard>,
    directory: Arc<Guard>,
    revoking: Arc<Guard>,
    schemes: Arc<Guard>,
}

impl Scene {
    /// What is remembered would be measured, and not what is sent.
    pub fn new() -> Scene {
        Scene::remembering(0)
    }

    /// Servers that remember so many tokens.
    pub fn remembering(tokens: usize) -> Scene {
        let cast = Cast::new();
        let guard = |store: Store, change: &dyn Fn(Verifier) -> Verifier| {
            let verifier = Verifier::new(cast.roots(), AUDIENCE, store.revocations()).unwrap();
            Arc::new(Guard::new(change(verifier.remember(tokens)), Policy::builtin(), store))
        };
        let store = || Store::in_memory().unwrap();
        let directory = Directory::default()
            .and("agent.orchestrator", cast.orchestrator.public())
            .and("agent.researcher", cast.researcher.public());
        Scene {
            plain: guard(store(), &|verifier| verifier),
            unbound: guard(store(), &|verifier| verifier.accept_unbound_hops()),
            directory: guard(store(), &|verifier| verifier.directory(directory.clone())),
            revoking: guard(revoking(&cast), &|verifier| verifier),
            schemes: guard(store(), &|verifier| {
                let verifier = verifier.open_resource_schemes();
                assert!(SCHEMES.iter().all(|scheme| verifier.name_resource_scheme(scheme)));
                verifier
            }),
        }
    }

    /// What an explanation says, of a case for the plain server.
    pub fn explain(&self, case: &Case) -> Option<Explanation> {
        let call = case.input.call.call().ok()?;
        Some(self.plain.explain(&case.input.bearer, &call, at(case.input.seconds)))
    }

    /// Whether it is worth trying, of a case for the plain server whose token holds.
    pub fn foresee(&self, case: &Case) -> Option<Preview> {
        let verified = self.plain.verifier().verify(&case.input.bearer, at(case.input.seconds));
        Some(self.plain.preview(&verified.ok()?, &case.input.call.call().ok()?))
    }

    pub fn decide(&self, case: &Case) -> Expected {
        case.decided_by(&self.guard(case.input.server))
    }

    pub fn guard(&self, server: Server) -> Arc<Guard> {
        match server {
            Server::Plain => Arc::clone(&self.plain),
            Server::Unbound => Arc::clone(&self.unbound),
            Server::Directory => Arc::clone(&self.directory),
            Server::Revoking => Arc::clone(&self.revoking),
            Server::Schemes => Arc::clone(&self.schemes),
            Server::Fresh => Arc::new(Cast::new().guard(&Store::in_memory().unwrap())),
        }
    }
}

fn revoking(cast: &Cast) -> Store {
    let store = Store::in_memory().unwrap();
    revoke(&store, Revocation::Id { id: seed().capability().chain().hops[0].revocation_id });
    revoke(&store, Revocation::Holder { key: cast.thief.public() });
    revoke(&store, Revocation::Agent { agent: "agent.revoked".to_owned() });
    revoke(
        &store,
        Revocation::Subject { root: Some(cast.root.public()), subject: "user:revoked".to_owned() },
    );
    store
}

fn at(seconds: i64) -> Timestamp {
    let now = i64::try_from(NOW.unix_seconds()).unwrap_or_default();
    Timestamp::from_unix_seconds(u64::try_from(now + seconds).unwrap_or_default())
}
