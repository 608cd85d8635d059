//! What a policy or a check refuses of an argument is refused however the call spells its name, wherever the policy
//! compares the name.

use hardtack::*;
use hardtack_testkit::*;

/// Ways to refuse the argument `force` if it is true.
const REFUSALS: [&str; 23] = [
    r#"deny if arg("force", true);"#,
    r#"deny if arg("Force", true);"#,
    r#"reject if arg("force", true);"#,
    r#"bad($f) <- arg("force", $f); deny if bad(true);"#,
    r#"bad($f) <- arg("FORCE", $f); worse($f) <- bad($f); deny if worse(true);"#,
    r#"bad($f) <- arg("force", $f); reject if bad(true);"#,
    r#"named($n, $v) <- arg($n, $v); deny if named("force", true);"#,
    r#"named($n, $v) <- arg($n, $v); deny if named($m, true), $m == "force";"#,
    r#"deny if arg($n, $v), $n == "force", $v == true;"#,
    r#"deny if arg($n, $v), $n == "force" && $v == true;"#,
    r#"deny if arg($n, true), ["other", "Force"].contains($n);"#,
    r#"deny if arg($n, true), {"force"}.contains($n);"#,
    r#"deny if arg($n, true), ["force"].any($x -> $x == $n);"#,
    r#"deny if arg($n, true), {"Force": true}.get($n) == true;"#,
    r#"deny if arg($n, true), $n.starts_with("Fo"), $n.ends_with("ce");"#,
    r#"deny if arg($n, true), $n.contains("orc");"#,
    r#"deny if arg($n, true), $n.matches("^For[c]e$");"#,
    r#"deny if arg($n, true), $n.extern::hardtack_glob("f*ce");"#,
    r#"deny if arg($n, true), $n.length() == 5, $n.starts_with("f");"#,
    r#"check all arg($n, $v), $n != "force" || $v == false;"#,
    r#"known($v) <- arg("query", $v); known($v) <- arg("force", $v); check all known($v), $v != true;"#,
    r#"never("Force"); deny if arg($n, true), never($n);"#,
    r#"never("force"); deny if arg($n, true), never($m), $m === $n;"#,
];

const SPELLINGS: [&str; 8] = [
    "force",
    "Force",
    "FORCE",
    "force ",
    "\u{ff46}orce",
    "\u{ff26}ORCE",
    "\u{1d453}orce",
    "for\u{24d2}e",
];

fn decide(policy: &str, arguments: &str) -> Result<policy::Location, &'static str> {
    let cast = Cast::new();
    let verified = cast.verifier().verify(cast.presented().bearer(), NOW).unwrap();
    let call = search().arguments(arguments).unwrap();
    let policy = format!("allow if granted($op); {policy}");
    let policy = Policy::parse("p.datalog", &policy).unwrap();
    authorize(&verified, &policy, &call)
        .map(|allowed| allowed.at)
        .map_err(|error| error.cause().as_str())
}

#[test]
fn what_is_denied_of_an_argument_is_denied_in_every_spelling_of_its_name() {
    for policy in REFUSALS {
        for name in SPELLINGS {
            let refused = decide(policy, &format!(r#"{{"query": "x", "{name}": true}}"#));
            let cause = refused.expect_err(&format!("{policy} does not find {name}"));
            // A pattern that readers who fold letters take otherwise is not answered at all.
            let refusals: &[&str] = match policy.contains("hardtack_glob") {
                true => &["policy_denied", "policy_check_failed", "not_evaluable"],
                false => &["policy_denied", "policy_check_failed"],
            };
            assert!(refusals.contains(&cause), "{policy} {name}: {cause}");
            let other = format!(r#"{{"query": "x", "{name}": false}}"#);
            assert!(decide(policy, &other).is_ok(), "{policy} finds {name} with another value");
        }
        for harmless in [r#"{"query": 1}"#, r#"{"query": 1, "enforced": false, "maxForce": false}"#]
        {
            assert!(decide(policy, harmless).is_ok(), "{policy} {harmless}");
        }
    }
}

/// A list of what is allowed is written in the server's own spelling, which is no reason to refuse it.
#[test]
fn what_is_denied_but_for_some_names_lets_these_pass() {
    for policy in [
        r#"deny if arg($n, $v), !["maxResults", "query"].contains($n);"#,
        r#"deny if arg($n, $v), $n != "maxResults", $n != "query";"#,
        r#"deny if arg($n, $v), !$n.starts_with("maxR"), $n != "query";"#,
        r#"known("maxResults"); known("query"); odd($n) <- arg($n, $v), $n != "query", $n != "maxResults"; deny if odd($n);"#,
        r#"deny if arg($n, $v), $n == "query" && $v.starts_with("/Etc");"#,
        r#"deny if arg($n, $v), $n == "query" && !$v.extern::hardtack_glob("/Srv/**");"#,
    ] {
        assert!(decide(policy, r#"{"maxResults": 5, "query": "/Srv/x"}"#).is_ok(), "{policy}");
    }
    let list = r#"deny if arg($n, $v), !["maxResults"].contains($n);"#;
    for name in ["maxresults", "MaxResults", "other"] {
        assert_eq!(decide(list, &format!(r#"{{"{name}": 5}}"#)), Err("policy_denied"), "{name}");
    }
}

/// What allows, and what demands, names its argument letter by letter.
#[test]
fn what_allows_an_argument_allows_it_in_its_own_spelling() {
    let cast = Cast::new();
    let verified = cast.verifier().verify(cast.presented().bearer(), NOW).unwrap();
    for policy in [
        r#"allow if arg("limit", $l), $l < 10;"#,
        r#"small($l) <- arg("limit", $l), $l < 10; allow if small($l); deny if small(99);"#,
        r#"allow if arg($n, $l), $n == "limit", $l < 10; deny if arg($n, 99), $n == "limit";"#,
        r#"check if arg("limit", $l), $l < 10; allow if true;"#,
    ] {
        let policy = Policy::parse("p.datalog", policy).unwrap();
        let allows = |arguments: &str| {
            authorize(&verified, &policy, &search().arguments(arguments).unwrap()).is_ok()
        };
        assert!(allows(r#"{"limit": 5}"#));
        assert!(!allows(r#"{"Limit": 5}"#));
    }
}

/// A value of the call that names one of its arguments.
#[test]
fn names_that_come_from_other_arguments_are_compared_without_their_spelling() {
    let policy = r#"deny if arg("field", $n), arg($n, true);"#;
    for (field, name) in [("force", "force"), ("force", "Force"), ("FORCE", "force")] {
        let call = format!(r#"{{"field": "{field}", "{name}": true}}"#);
        assert_eq!(decide(policy, &call), Err("policy_denied"), "{call}");
    }
    assert!(decide(policy, r#"{"field": "other", "force": true}"#).is_ok());
}

#[test]
fn what_a_delegator_rejects_by_a_variable_is_rejected_in_every_spelling() {
    let cast = Cast::new();
    for check in [
        r#"reject if arg($n, true), $n == "force""#,
        r#"reject if arg($n, true), ["Force"].contains($n)"#,
        r#"reject if arg($n, true), $n.starts_with("Forc")"#,
    ] {
        let part = cast.to_researcher().check(check);
        let token = cast.grant().delegate(part, &cast.orchestrator, NOW).unwrap();
        let bearer = token.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
        let verified = cast.verifier().verify(bearer.bearer(), NOW).unwrap();
        let decide = |arguments: String| {
            let call = search().arguments(&arguments).unwrap();
            authorize(&verified, &Policy::builtin(), &call).map_err(|error| error.cause().as_str())
        };
        for name in SPELLINGS {
            let cause = decide(format!(r#"{{"{name}": true}}"#)).map(|_| ());
            assert_eq!(cause, Err("check_failed"), "{check} {name}");
            decide(format!(r#"{{"{name}": false}}"#)).unwrap();
        }
    }
}

/// Folding names that are not ASCII takes long, and their number is bounded.
#[test]
fn more_names_than_are_folded_in_one_decision_refuse() {
    let values: Vec<String> =
        (0..300).map(|n| format!("\"{}{n}\"", "\u{fdfa}".repeat(10))).collect();
    let call = format!(r#"{{"fields": [{}], "force": true}}"#, values.join(","));
    let policy = r#"deny if arg("fields", $fields), arg($n, 1), $fields.contains($n);"#;
    assert_eq!(decide(policy, &call), Err("exhausted"));
}
