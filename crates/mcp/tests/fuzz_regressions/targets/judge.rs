//! Judge: what a server makes of a bearer, and whether it kept its promises in doing so.

use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use biscuit_auth::builder::{Fact, Term, fact, string};
use biscuit_auth::builder_ext::AuthorizerExt;
use biscuit_auth::datalog::RunLimits;
use biscuit_auth::{AuthorizerBuilder, Biscuit, error};
use hardtack::audit::Verdict;
use hardtack::revocation::RevocationUnchecked;
use hardtack::{Call, Capability, Guard, Policy, Timestamp, VerifiedCapability, Verifier};

use super::invariants;
use hardtack_testkit::{AUDIENCE, Cast, NOW};

/// The longest text of a refusal. What an attacker wrote must not fill a log.
const MAX_REFUSAL_BYTES: usize = 2048;

/// A server that remembers a few tokens: signatures are most of the work, and each token is asked about often.
pub fn guard() -> &'static Guard {
    static GUARD: OnceLock<Guard> = OnceLock::new();
    GUARD.get_or_init(|| {
        let verifier = Verifier::new(Cast::new().roots(), AUDIENCE, RevocationUnchecked).unwrap();
        Guard::unrecorded(verifier.remember(16), Policy::builtin())
    })
}

/// Calls of what the seeds grant, of what is beside it, and of what nothing but a scope of its own covers.
pub fn calls() -> &'static [Call] {
    static CALLS: OnceLock<Vec<Call>> = OnceLock::new();
    CALLS.get_or_init(|| {
        let pay = Call::tool("pay").unwrap().arguments(r#"{"amount": 7, "to": ["a", null]}"#);
        let read = Call::new("resources:read").unwrap().resource("https://a.b/c").unwrap();
        vec![
            Call::tool("search").unwrap(),
            pay.unwrap(),
            read,
            Call::new("hardtack:revoke").unwrap(),
        ]
    })
}

/// Puts a token to the server, and says whether it holds.
pub fn accepts(bytes: &[u8]) -> bool {
    let bearer = URL_SAFE.encode(bytes);
    let verified = match guard().verifier().verify(&bearer, NOW) {
        Ok(verified) => verified,
        Err(error) => {
            is_said_safely(&error.to_string());
            for call in calls() {
                assert!(guard().check(&bearer, call, NOW).is_err(), "allowed and not verified");
            }
            return false;
        }
    };
    invariants::hold(&verified, NOW);
    let again = Capability::parse(&bearer).unwrap();
    assert_eq!(again.to_bytes(), bytes, "a second encoding was accepted");
    let biscuit = invariants::genuine(bytes);
    for call in calls() {
        decide(&bearer, &verified, &biscuit, call);
    }
    true
}

fn decide(bearer: &str, verified: &VerifiedCapability, biscuit: &Biscuit, call: &Call) {
    let decision = guard().check(bearer, call, NOW);
    let explained = guard().explain(bearer, call, NOW);
    assert_eq!(
        explained.ruling.verdict == Verdict::Allow,
        decision.is_ok(),
        "the explanation says otherwise: {explained:?}"
    );
    let operation = call.operation().as_str();
    let granted = verified.chain().scopes();
    match decision {
        Err(denial) => is_said_safely(&denial.to_string()),
        Ok(permit) => {
            assert_eq!(permit.subject(), verified.subject());
            let covered = granted.iter().any(|scope| invariants::covers(scope.as_str(), operation));
            assert!(covered, "{operation} was allowed under {granted:?}");
            refused_by_no_check(biscuit, verified, call);
        }
    }
}

/// No check of the token fails in Biscuit's own engine, under the same facts. What it cannot evaluate is for
/// Hardtack to judge: where one alternative holds, the others may be what they like.
#[allow(clippy::disallowed_methods, reason = "what Biscuit's own engine says is what is compared")]
fn refused_by_no_check(biscuit: &Biscuit, verified: &VerifiedCapability, call: &Call) {
    let limits = RunLimits { max_time: Duration::from_secs(1), ..RunLimits::default() };
    let facts = ambient(verified, call);
    let authorizer = facts
        .into_iter()
        .fold(AuthorizerBuilder::new(), |authorizer, fact| authorizer.fact(fact).unwrap());
    let authorizer = authorizer.set_limits(limits).allow_all().build(biscuit);
    let answer = authorizer.and_then(|mut authorizer| authorizer.authorize());
    if let Err(error::Token::FailedLogic(logic)) = answer {
        panic!("Biscuit refuses what was allowed: {logic}");
    }
}

/// What `policies/README.md` says that the verifier asserts.
fn ambient(verified: &VerifiedCapability, call: &Call) -> Vec<Fact> {
    let chain = verified.chain();
    let number = |value: usize| Term::Integer(value as i64);
    let digits = |key: hardtack::PublicKey| string(&hex::encode(key.to_bytes()));
    let operation = call.operation().as_str();
    let mut facts = vec![
        fact("time", &[Term::Date(NOW.unix_seconds())]),
        fact("operation", &[string(operation)]),
        fact("granted", &[string(operation)]),
        fact("verifier", &[string(AUDIENCE)]),
        fact("presented", &[string(verified.presentation().kind.as_str())]),
        fact("issuer", &[string(verified.issuer())]),
        fact("depth", &[number(chain.depth())]),
        fact("call", &[Term::Bytes(call.digest().to_vec())]),
    ];
    facts.extend(call.operation().tool().map(|name| fact("tool", &[string(name)])));
    facts.extend(call.resource_uri().map(|uri| fact("resource", &[string(uri)])));
    if let Some(leaf) = chain.hops.last() {
        facts.push(fact("agent", &[string(&leaf.delegate)]));
        facts.extend(leaf.holder.map(|key| fact("agent_key", &[digits(key)])));
    }
    for hop in &chain.hops {
        let names = [number(hop.index), string(&hop.delegator), string(&hop.delegate)];
        facts.push(fact("delegated", &names));
        if let (Some(signer), Some(holder)) = (hop.signer, hop.holder) {
            let keys = [number(hop.index), digits(signer), digits(holder)];
            facts.push(fact("delegated_key", &keys));
        }
    }
    if call.operation().tool() == Some("pay") {
        let to = Term::Array(vec![string("a"), Term::Null]);
        facts.push(fact("arg", &[string("amount"), Term::Integer(7)]));
        facts.push(fact("arg", &[string("to"), to]));
    }
    facts
}

/// A refusal can be written to a log or a terminal as it is.
pub fn is_said_safely(text: &str) {
    assert!(!text.is_empty() && text.len() <= MAX_REFUSAL_BYTES, "{} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "a control character in {text:?}");
}

/// What holds of a chain at one moment and is refused at another.
pub fn is_refused_at(bytes: &[u8], now: Timestamp) -> bool {
    guard().verifier().verify(&URL_SAFE.encode(bytes), now).is_err()
}
