//! To leave policies out must change no decision: each is held against the decision that asks them all.

use super::*;
use crate::authorize::PreparedSets;
use crate::authorize::{Allowed, AuthorizeError, authorize_with, decide};
use crate::call::Call;
use crate::keys::{PrivateKey, RootKeys};
use crate::mint::{Grant, Issuer};
use crate::present::Presenting;
use crate::revocation::RevocationUnchecked;
use crate::timestamp::Timestamp;
use crate::verify::VerifiedCapability;
use crate::verify::Verifier;

fn verified() -> VerifiedCapability {
    let now = Timestamp::from_unix_seconds(1_795_428_000);
    let issuer = Issuer::new(PrivateKey::generate());
    let grant = Grant::to("user:alice").scope("tools:call:*").scope("resources:*");
    let (grant, alice) = grant.fact_datalog(r#"role("editor")"#).new_holder();
    let token = issuer.mint(grant, now).unwrap();
    let bearer = token.present(Presenting::to("notion.mcp"), &alice, now).unwrap();
    let roots = RootKeys::of(issuer.public());
    let verifier = Verifier::new(roots, "notion.mcp", RevocationUnchecked).unwrap();
    verifier.verify(bearer.bearer(), now).unwrap()
}

fn calls() -> [Call; 4] {
    let search = || Call::tool("search").unwrap();
    [
        search(),
        search().arguments(r#"{"n": 1, "text": "a"}"#).unwrap(),
        search().resource("https://notion.so/page").unwrap().arguments(r#"{"n": 2}"#).unwrap(),
        Call::tool("fetch").unwrap().arguments(r#"{"n": 1}"#).unwrap(),
    ]
}

fn asking_all(
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Result<Allowed, AuthorizeError> {
    decide(
        &World::of(&*PreparedSets::default().prepare(verified, policy)?, verified, policy, call)?,
        policy,
    )
}

/// What a policy may be about: known of the token, of the call, derived from either, and what is nowhere.
const PREDICATES: [&str; 9] = [
    r#"tool("search")"#,
    "tool($tool)",
    r#"role("editor")"#,
    "depth(1)",
    r#"may("search")"#,
    "arg($name, $n)",
    r#"arg("n", $n)"#,
    "resource($r)",
    "small($n)",
];

/// What may be asked of it: known to hold or not, open, and without an answer for some arguments or for all.
const EXPRESSIONS: [&str; 10] = [
    "true",
    "false",
    r#"$tool == "search""#,
    r#"$tool.starts_with("f")"#,
    "$n > 1",
    "$n < 1",
    r#"$tool == "fetch", $n > 1"#,
    "[1, 2].any($x -> $x == $n)",
    r#"["fetch"].any($x -> $x == $tool)"#,
    "9223372036854775807 + 1 > 0",
];

const RULES: &str = r#"
    listed("search"); listed("write");
    may($tool) <- tool($tool), listed($tool);
    small($n) <- arg("n", $n), $n < 2;
    smaller($n) <- small($n), tool("search");
"#;

/// Sets of one statement each, of every kind, with one alternative or two.
fn statements() -> Vec<String> {
    let mut bodies = Vec::new();
    for (index, first) in PREDICATES.iter().enumerate() {
        bodies.push((*first).to_owned());
        bodies.extend(PREDICATES[index + 1..].iter().map(|second| format!("{first}, {second}")));
        for expression in EXPRESSIONS {
            bodies.push(format!("{first}, {expression}"));
            bodies.push(format!("tool($tool), {first}, {expression}"));
            bodies.push(format!("arg($name, $n), {first}, {expression}"));
        }
    }
    let kinds = ["allow if", "deny if", "check if", "check all", "reject if"];
    let mut statements = Vec::new();
    for (number, body) in bodies.iter().enumerate() {
        for (which, kind) in kinds.iter().enumerate() {
            // Each body is met in each kind, and beside another body in one of the kinds.
            statements.push(format!("{kind} {body};"));
            if number % kinds.len() == which {
                let other = &bodies[(number * 7 + 3) % bodies.len()];
                statements.push(format!("{kind} {body} or {other};"));
            }
        }
    }
    statements
}

#[test]
fn what_is_left_out_decides_nothing() {
    let verified = verified();
    let calls = calls();
    let (mut decided, mut left_out) = (Vec::new(), 0);
    for statement in statements() {
        let text = format!("{RULES} allow if depth(0), tool(\"search\"); {statement}");
        // A body in which a variable of an expression is bound by nothing is no policy.
        let Ok(policy) = Policy::parse("test.datalog", &text) else { continue };
        let sets = PreparedSets::default();
        for call in &calls {
            let all = asking_all(&verified, &policy, call);
            // Twice: found out, and remembered.
            for _ in 0..2 {
                let decided = authorize_with(&sets, &verified, &policy, call);
                assert_eq!(decided, all, "{statement} for {call:?}");
            }
            decided.push(all.map_or_else(|error| error.cause().as_str(), |_| "allow"));
            let prepared = sets.prepare(&verified, &policy).unwrap();
            let relevant = prepared.relevant(&policy, &Asked::of(&verified, call));
            let asked = [&relevant.checks, &relevant.denies, &relevant.allows];
            let asked = asked.into_iter().flatten().filter(|(_, answer)| *answer == Answer::Ask);
            left_out += usize::from(asked.count() == 0);
        }
    }
    // Every answer was given often, and many were known before.
    for cause in
        ["allow", "policy_denied", "policy_check_failed", "nothing_allows", "not_evaluable"]
    {
        let often = decided.iter().filter(|one| **one == cause).count();
        assert!(often > 100, "{cause}: {often} of {}", decided.len());
    }
    assert!(left_out * 4 > decided.len(), "{left_out} of {}", decided.len());
}

#[test]
fn what_is_known_is_not_asked_again() {
    use Answer::{Ask, Certain};
    let verified = verified();
    let call = Call::tool("search").unwrap().arguments(r#"{"n": 1}"#).unwrap();
    for (statement, expected) in [
        // Of another tool, or known to be false before an argument is looked at.
        (r#"allow if tool("fetch"), arg("n", $n);"#, None),
        ("allow if tool($tool), arg(\"n\", $n), $tool == \"fetch\", $n > 1;", None),
        ("allow if depth(1);", None),
        ("allow if small($n), depth(1);", None),
        // The argument is asked first, and may have no answer.
        ("allow if tool($tool), arg(\"n\", $n), $n > 1, $tool == \"fetch\";", Some(Ask)),
        (r#"allow if tool("search"), arg("n", $n);"#, Some(Ask)),
        ("allow if arg(\"n\", $n);", Some(Ask)),
        ("allow if smaller($n);", Some(Ask)),
        ("allow if resource($r);", Some(Ask)),
        ("allow if time($t);", Some(Ask)),
        ("allow if 9223372036854775807 + 1 > 0;", Some(Ask)),
        ("allow if depth(1) or small($n);", Some(Ask)),
        ("allow if depth(0);", Some(Certain)),
        ("allow if small($n) or depth(0);", Some(Certain)),
        (r#"allow if may("search");"#, Some(Certain)),
        ("deny if depth(0);", Some(Certain)),
        ("deny if depth(1);", None),
        ("deny if small(1);", Some(Ask)),
        // A check that holds whatever the call is left out; one that fails is certain.
        ("check if depth(0);", None),
        ("check if depth(1);", Some(Certain)),
        ("check if small($n);", Some(Ask)),
        ("check if depth(0) or small($n);", None),
        (r#"check all tool($tool), $tool == "search";"#, None),
        (r#"check all tool($tool), $tool == "fetch";"#, Some(Certain)),
        (r#"check all listed($tool), $tool == "search";"#, Some(Certain)),
        ("reject if depth(0);", Some(Certain)),
        ("reject if depth(1);", None),
        ("reject if small($n);", Some(Ask)),
        (r#"reject if small($n), tool("fetch");"#, None),
    ] {
        // A set must allow something; what does is not looked at where another statement is.
        let (allows, set) = match statement.starts_with("allow") {
            true => (true, format!("{RULES} {statement}")),
            false => (false, format!("{RULES} {statement} allow if true;")),
        };
        let policy = Policy::parse("p", &set).unwrap();
        let prepared = PreparedSets::default().prepare(&verified, &policy).unwrap();
        let relevant = prepared.relevant(&policy, &Asked::of(&verified, &call));
        let found = match allows {
            true => vec![&relevant.allows],
            false => vec![&relevant.checks, &relevant.denies],
        };
        let found: Vec<_> = found.into_iter().flatten().map(|(_, answer)| *answer).collect();
        assert_eq!(found, Vec::from_iter(expected), "{statement}");
    }
}

#[test]
fn as_many_operations_are_remembered_as_are_stated() {
    let verified = verified();
    let policy = Policy::parse("p", r#"allow if tool("t1");"#).unwrap();
    let prepared = PreparedSets::default().prepare(&verified, &policy).unwrap();
    let ask = |number: usize| {
        let call = Call::tool(&format!("t{number}")).unwrap();
        prepared.relevant(&policy, &Asked::of(&verified, &call))
    };
    let first = ask(0);
    (1..MAX_OPERATIONS).for_each(|number| {
        assert_eq!(ask(number).allows.len(), usize::from(number == 1));
    });
    assert!(Arc::ptr_eq(&first, &ask(0)), "found out again though there was room");
    ask(MAX_OPERATIONS);
    assert!(!Arc::ptr_eq(&first, &ask(0)), "kept beyond the bound");
}
