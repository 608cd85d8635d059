//! What of Hardtack is measured: chains, their bearers, and guards that know nothing yet.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use hardtack::revocation::{InForce, RevocationList};
use hardtack::{
    Call, Capability, Delegation, Grant, Guard, Issuer, Policy, Presenting, PrivateKey, Revocation,
    RevocationId, Revocations, RootKeys, Timestamp, Verifier,
};

/// 2026-11-23T10:00:00Z
pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);
pub(crate) const AUDIENCE: &str = "notion.mcp";

/// A grant and its hops, with everybody's key.
pub(crate) struct Line {
    pub(crate) keys: Vec<PrivateKey>,
    /// The grant, and what each hop made of it.
    pub(crate) tokens: Vec<Capability>,
}

/// The hop of this number, as everybody writes it.
pub(crate) fn hop(number: usize) -> Delegation {
    let (agent, scope, reason) = match number {
        1 => ("agent.orchestrator", "tools:call:*", "prepare the release notes"),
        2 => ("agent.researcher", "tools:call:search", "find the roadmap page"),
        _ => ("agent.helper", "tools:call:search", "read the second page"),
    };
    Delegation::to(agent).scope(scope).reason(reason)
}

impl Line {
    pub(crate) fn of(issuer: &Issuer, hops: usize) -> Line {
        let keys: Vec<PrivateKey> = (0..=hops).map(|_| PrivateKey::generate()).collect();
        let grant = Grant::to("user:alice").scope("tools:call:*").fact_datalog("role(\"editor\")");
        let grant = if hops > 8 { grant.max_depth(13) } else { grant };
        let grant = issuer.mint(grant.holder(keys[0].public()), NOW);
        let mut tokens = vec![grant.expect("a grant")];
        for number in 1..=hops {
            let part = hop(number).holder(keys[number].public());
            let next = tokens[number - 1].delegate(part, &keys[number - 1], NOW);
            tokens.push(next.expect("a hop"));
        }
        Line { keys, tokens }
    }

    /// A new presentation of the last hop.
    pub(crate) fn bearer(&self) -> String {
        self.presented(Presenting::to(AUDIENCE))
    }

    /// A new one that is good for one call only.
    pub(crate) fn bearer_for(&self, call: &Call) -> String {
        self.presented(Presenting::to(AUDIENCE).call(call.clone()))
    }

    fn presented(&self, presenting: Presenting) -> String {
        let last = self.tokens.len() - 1;
        let presented = self.tokens[last].present(presenting, &self.keys[last], NOW);
        presented.expect("a presentation").bearer().to_owned()
    }
}

/// The same bearer with another seal, well formed and wrong: its second half is a number that was changed by one.
pub(crate) fn with_bad_seal(bearer: &str) -> String {
    let mut bytes = URL_SAFE.decode(bearer).expect("base64");
    let second_half = bytes.len() - 32;
    bytes[second_half] ^= 1;
    URL_SAFE.encode(bytes)
}

/// A guard that has seen no token, and records nothing.
pub(crate) fn guard(issuer: &Issuer) -> Guard {
    Guard::unrecorded(verifier(issuer, &list(0)), Policy::builtin())
}

pub(crate) fn verifier(issuer: &Issuer, revocations: &Revocations) -> Verifier {
    Verifier::new(RootKeys::of(issuer.public()), AUDIENCE, revocations.clone()).expect("a name")
}

/// So many revocations, of ids that nobody has.
pub(crate) fn list(count: u64) -> Revocations {
    let revocations = (1..=count).map(revocation).collect();
    Revocations::copied(&RevocationList { as_of: NOW, forgotten_until: None, revocations })
}

/// As a server writes it for the copies of others.
fn revocation(sequence: u64) -> InForce {
    let mut written = serde_json::to_value(Revocation::Id { id: id(sequence) }).expect("JSON");
    written["sequence"] = sequence.into();
    written["revoked"] = serde_json::to_value(NOW).expect("JSON");
    written["expires"] = serde_json::Value::Null;
    serde_json::from_value(written).expect("a revocation")
}

fn id(number: u64) -> RevocationId {
    // Spread like signatures are, by a multiplication that loses nothing.
    let mut bytes = [0; 64];
    for (word, part) in bytes.chunks_exact_mut(8).enumerate() {
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15 + 2 * word as u64);
        part.copy_from_slice(&spread.rotate_left(29).to_le_bytes());
    }
    RevocationId::from_bytes(bytes)
}

/// Policies that all but one cannot allow the call. The last one does, so that none is saved by standing early.
pub(crate) fn many(issuer: &Issuer, count: usize, style: fn(usize) -> String) -> Guard {
    let text: Vec<String> = (1..=count).rev().map(|number| style(number - 1)).collect();
    let policy = Policy::parse("many.datalog", &text.join("\n")).expect("policies");
    Guard::unrecorded(verifier(issuer, &list(0)), policy)
}

pub(crate) fn by_tool(number: usize) -> String {
    let tool = if number == 0 { "search".to_owned() } else { format!("t{number}") };
    format!("allow if tool(\"{tool}\"), operation($op), granted($op);")
}

pub(crate) fn by_argument(number: usize) -> String {
    format!(
        "allow if tool(\"search\"), arg(\"page\", \"p{number}\"), operation($op), granted($op);"
    )
}

pub(crate) fn by_compared_argument(number: usize) -> String {
    format!(
        "allow if tool(\"search\"), operation($op), granted($op), arg(\"page\", $p), $p == \"p{number}\";"
    )
}
