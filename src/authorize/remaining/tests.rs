//! To answer checks beforehand must change no decision: each is held against the decision that asks them all.

use super::*;
use crate::authorize::facts::Asked;
use crate::authorize::{
    Allowed, AuthorizeError, PreparedSets, authorize_with, decide, place_of, refuse_other_call,
    refuse_uncovered, unanswered,
};
use crate::call::Call;
use crate::delegate::Delegation;
use crate::keys::{PrivateKey, RootKeys};
use crate::mint::{Grant, Issuer};
use crate::policy::Policy;
use crate::present::Presenting;
use crate::revocation::RevocationUnchecked;
use crate::verify::{VerifiedCapability, Verifier};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

/// Makes tokens with one check of their own.
struct Maker {
    grant: crate::capability::Capability,
    alice: PrivateKey,
    verifier: Verifier,
}

impl Maker {
    fn new() -> Maker {
        let issuer = Issuer::new(PrivateKey::generate());
        let grant = Grant::to("user:alice").scope("tools:call:*").scope("resources:*");
        let (grant, alice) = grant.fact_datalog(r#"role("editor")"#).new_holder();
        let grant = issuer.mint(grant, NOW).unwrap();
        let roots = RootKeys::of(issuer.public());
        let verifier = Verifier::new(roots, "notion.mcp", RevocationUnchecked).unwrap();
        Maker { grant, alice, verifier }
    }

    /// Verified as of two moments, of which the later is past the expiry that some checks state. `None` for a check that no token may
    /// have.
    fn verified(&self, check: &str) -> Option<[VerifiedCapability; 2]> {
        let hop = Delegation::to("agent.a").scope("tools:call:*").scope("resources:*");
        let (hop, agent) = hop.reason("try").check(check).new_holder();
        let token = self.grant.delegate(hop, &self.alice, NOW).ok()?;
        let bearer = token.present(Presenting::to("notion.mcp"), &agent, NOW).ok()?;
        let verify = |now| self.verifier.verify(bearer.bearer(), now).unwrap();
        Some([NOW, NOW + std::time::Duration::from_secs(60)].map(verify))
    }
}

fn asking_all(
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Result<Allowed, AuthorizeError> {
    refuse_uncovered(verified, call)?;
    refuse_other_call(verified, call)?;
    let prepared = PreparedSets::default().prepare(verified, policy)?;
    let world = World::of(&prepared, verified, policy, call)?;
    prepared.refuse_costly(verified, &world)?;
    for known in &prepared.checks {
        let (block, number, check) = &**known;
        let held = world.holds(check, *block);
        let failed = |error| unanswered(error, &place_of(*number, *block), Some(*block));
        if !held.map_err(failed)? {
            return Err(AuthorizeError::CheckFailed { block: *block, check: *number });
        }
    }
    decide(&world, policy)
}

/// What a check may ask for.
const PREDICATES: [&str; 13] = [
    "time($time)",
    "operation($op)",
    "granted($op)",
    r#"tool("search")"#,
    "tool($op)",
    "resource($uri)",
    r#"arg("n", $n)"#,
    "arg($name, $n)",
    "depth($n)",
    r#"verifier("notion.mcp")"#,
    r#"verifier("other.mcp")"#,
    r#"presented("session")"#,
    r#"hop($n)"#,
];

/// What it may say of it.
const EXPRESSIONS: [&str; 9] = [
    "true",
    "false",
    "$time < 2026-11-23T10:00:30Z",
    "$time <= 2026-11-23T10:00:30Z",
    "2026-11-23T10:00:30Z > $time",
    r#"$op == "tools:call:search""#,
    r#"$op.starts_with("tools:")"#,
    "$n > 1",
    "9223372036854775807 + $n > 0",
];

fn calls() -> [Call; 4] {
    let search = || Call::tool("search").unwrap();
    [
        search(),
        search().arguments(r#"{"n": 1, "text": "a"}"#).unwrap(),
        search().resource("https://notion.so/page").unwrap().arguments(r#"{"n": 2}"#).unwrap(),
        Call::tool("fetch").unwrap().arguments(r#"{"N": "1"}"#).unwrap(),
    ]
}

#[test]
fn what_is_answered_beforehand_decides_nothing() {
    assert_eq!(NOW.to_string(), "2026-11-23T10:00:00Z", "the expiries of the checks lie between");
    let maker = Maker::new();
    let policies = [
        "allow if operation($op), granted($op);",
        r#"allow if true; deny if arg("n", $n), $n > 1;"#,
        r#"may($op) <- tool($op); odd($n) <- arg("n", $n); allow if may("search"); deny if odd(7);"#,
        r#"listed("search"); may($op) <- tool($op), listed($op); allow if may($op);"#,
    ]
    .map(|text| Policy::parse("test.datalog", text).unwrap());
    let (mut causes, mut without) = (Vec::new(), 0);
    for kind in ["check if", "check all", "reject if"] {
        for (at, predicate) in PREDICATES.iter().enumerate() {
            let other = PREDICATES[(at * 5 + 2) % PREDICATES.len()];
            let bodies = EXPRESSIONS.iter().enumerate().map(|(number, expression)| {
                match (at + number) % 3 {
                    0 => format!("{predicate}, {other}, {expression}"),
                    1 => format!("{predicate}, {expression} or {other}"),
                    _ => format!("{predicate}, {expression}"),
                }
            });
            let alone = std::iter::once((*predicate).to_owned());
            for (number, body) in bodies.chain(alone).enumerate() {
                let Some(verified) = maker.verified(&format!("{kind} {body}")) else { continue };
                for (verified, policy) in verified.iter().flat_map(|one| {
                    policies.iter().skip(number % 2).step_by(2).map(move |policy| (one, policy))
                }) {
                    let sets = PreparedSets::default();
                    for call in &calls() {
                        let all = asking_all(verified, policy, call);
                        for _ in 0..2 {
                            let decided = authorize_with(&sets, verified, policy, call);
                            assert_eq!(decided, all, "{kind} {body} for {call:?}");
                        }
                        causes.push(all.map_or_else(|error| error.cause().as_str(), |_| "allow"));
                        let prepared = sets.prepare(verified, policy).unwrap();
                        let relevant = prepared.relevant(policy, &Asked::of(verified, call));
                        let none = relevant.remaining.as_ref().is_some_and(|remaining| {
                            remaining.asked(verified.verified_at()) == Some(&[])
                        });
                        without += usize::from(none && relevant.concluded.is_some());
                    }
                }
            }
        }
    }
    // Every answer was given often, and many calls were decided without a world.
    for cause in ["allow", "check_failed", "not_evaluable", "policy_denied"] {
        let often = causes.iter().filter(|one| **one == cause).count();
        assert!(often > 50, "{cause}: {often} of {}", causes.len());
    }
    assert!(without * 20 > causes.len(), "{without} of {}", causes.len());
}

/// The common token asks nothing of a call, whatever its depth.
#[test]
fn what_blocks_say_for_other_verifiers_is_answered_once() {
    let maker = Maker::new();
    let [verified, _] = maker.verified("check if true").unwrap();
    let policy = Policy::builtin();
    let prepared = PreparedSets::default().prepare(&verified, &policy).unwrap();
    let call = Call::tool("search").unwrap();
    let relevant = prepared.relevant(&policy, &Asked::of(&verified, &call));
    let remaining = relevant.remaining.as_ref().unwrap();
    assert!(prepared.checks.len() >= 7, "{}", prepared.checks.len());
    assert_eq!(remaining.asked(NOW), Some(&[][..]));
    let last = remaining.before.unwrap();
    assert_eq!(last, verified.chain().expires().unix_seconds());
    // From then on all are asked, so that the refusal names the check.
    assert_eq!(remaining.asked(Timestamp::from_unix_seconds(last)), None);
    assert_eq!(remaining.asked(Timestamp::from_unix_seconds(last - 1)), Some(&[][..]));
}

/// A policy that states so many teams and tools, and derives each pair.
fn deriving(count: usize) -> Policy {
    let facts = (0..count).map(|n| format!("team(\"u{n}\"); tool_of(\"t{n}\");\n"));
    let rule = "may($u, $t) <- team($u), tool_of($t);\nallow if operation($op);";
    Policy::parse("p.datalog", &(facts.collect::<String>() + rule)).unwrap()
}

/// A predicate that only a rule derives has no fact when a token is read, so that whatever is asked of it seems to cost nothing.
#[test]
fn what_rules_derive_counts_before_any_check_is_asked() {
    let maker = Maker::new();
    let (text, pattern) = ("a".repeat(1000), "*a".repeat(200) + "b");
    let glob = format!("\"{text}\".extern::hardtack_glob(\"{pattern}\")");
    let call = Call::tool("search").unwrap();
    for (condition, count, asks_none) in
        [(&*glob, 12, false), ("true", 10, false), ("true", 1, true)]
    {
        let check = format!("check if may($a, $b), may($c, $d), {condition}");
        let [verified, _] = maker.verified(&check).unwrap();
        let policy = deriving(count);
        let all = asking_all(&verified, &policy, &call);
        assert_eq!(matches!(all, Err(AuthorizeError::TooCostly { .. })), !asks_none, "{all:?}");
        let sets = PreparedSets::default();
        assert_eq!(authorize_with(&sets, &verified, &policy, &call), all);
        let prepared = sets.prepare(&verified, &policy).unwrap();
        let relevant = prepared.relevant(&policy, &Asked::of(&verified, &call));
        assert_eq!(relevant.remaining.is_some(), asks_none, "{check}");
        assert_eq!(relevant.concluded.is_some(), asks_none, "{check}");
    }
}
