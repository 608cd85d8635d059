//! To pass policies over must change no decision.

use super::*;
use crate::authorize::{PreparedSets, authorize_with, decide};
use crate::datalog::World;
use crate::keys::{PrivateKey, RootKeys};
use crate::mint::{Grant, Issuer};
use crate::policy::Policy;
use crate::present::Presenting;
use crate::revocation::RevocationUnchecked;
use crate::timestamp::Timestamp;
use crate::verify::{VerifiedCapability, Verifier};

fn verified() -> VerifiedCapability {
    let now = Timestamp::from_unix_seconds(1_795_428_000);
    let issuer = Issuer::new(PrivateKey::generate());
    let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
    let token = issuer.mint(grant, now).unwrap();
    let bearer = token.present(Presenting::to("notion.mcp"), &alice, now).unwrap();
    let roots = RootKeys::of(issuer.public());
    let verifier = Verifier::new(roots, "notion.mcp", RevocationUnchecked).unwrap();
    verifier.verify(bearer.bearer(), now).unwrap()
}

/// Ways to ask for a value of the argument `a`, which stands for `_`.
const ASKS: [&str; 9] = [
    r#"arg("a", _)"#,
    r#"arg("a", $x), $x == _"#,
    r#"arg("a", $x), _ == $x"#,
    r#"tool("pay"), arg("a", $x), $x == _"#,
    r#"arg("a", $x), arg("b", $y), $x == _, $y > 1"#,
    // None of these rests on the value alone.
    r#"arg("a", $x), $x === _"#,
    r#"arg("b", $y), arg("a", $x), $y > 1, $x == _"#,
    r#"arg("a", $x), arg("b", $y), $x == _ || $y == 7"#,
    r#"arg("a", $x), $x != _"#,
];

#[test]
fn what_is_passed_over_allows_nothing() {
    let verified = verified();
    let values = ["1", "2", r#""one""#, r#""1""#, "true", r#"["one"]"#, "null", r#"{"k": 1}"#];
    let (mut allowed, mut refused, mut unanswered) = (0, 0, 0);
    let names = (0..12).map(|at| format!("\"{at}{}\": 1", r#"\""#.repeat(3600)));
    let names = names.collect::<Vec<_>>().join(", ");
    for ask in ASKS {
        // Each with each value, and at the end one with two alternatives.
        let mut text: String =
            values.iter().map(|value| format!("allow if {};\n", ask.replace('_', value))).collect();
        text += &format!("allow if {} or {};", ask.replace('_', "9"), ask.replace('_', "\"x\""));
        let policy = Policy::parse("test.datalog", &text).unwrap_or_else(|error| panic!("{error}"));
        let sets = PreparedSets::default();
        let arguments = values.iter().chain(&["9", r#""x""#, "1.5", "false", "-1"]);
        let calls = arguments.flat_map(|value| {
            ["{}".to_owned(), format!(r#"{{"a": {value}}}"#)]
                .into_iter()
                .chain(["1", "2", "7", r#""z""#].map(|b| format!(r#"{{"a": {value}, "b": {b}}}"#)))
                .chain([format!(r#"{{"A": {value}}}"#)])
                // Nothing of it is seen; nor is it of a long text.
                .chain([format!(r#"{{"a": {value}, "b": 1, {names}}}"#)])
        });
        let calls = calls.chain([format!(r#"{{"a": "{}"}}"#, "x".repeat(5000))]);
        for arguments in calls {
            let call = Call::tool("pay").unwrap().arguments(&arguments).unwrap();
            let prepared = sets.prepare(&verified, &policy).unwrap();
            let world = World::of(&prepared, &verified, &policy, &call).unwrap();
            let all = decide(&world, &policy);
            let decided = authorize_with(&sets, &verified, &policy, &call);
            assert_eq!(decided, all, "{ask} for {arguments}");
            match all.map_err(|error| error.cause().as_str()) {
                Ok(_) => allowed += 1,
                Err("nothing_allows") => refused += 1,
                Err(cause) => {
                    assert_eq!(cause, "not_evaluable");
                    unanswered += 1;
                }
            }
        }
    }
    assert!(allowed > 50 && refused > 50 && unanswered > 50, "{allowed} {refused} {unanswered}");
}

#[test]
fn of_many_policies_those_of_the_value_are_asked() {
    let text: String =
        (0..200).map(|n| format!("allow if arg(\"a\", $x), $x == {};\n", n % 100)).collect();
    let policy = Policy::parse("test.datalog", &text).unwrap();
    let asked = |arguments: &str| {
        let call = Call::tool("pay").unwrap().arguments(arguments).unwrap();
        let can_match = policy.by_argument.matching(Some(&call));
        (0..200).filter(|number| can_match(*number)).collect::<Vec<_>>()
    };
    assert_eq!(asked(r#"{"a": 5}"#), [5, 105]);
    assert!(asked(r#"{"a": "5"}"#).is_empty());
    assert!(asked(r#"{"b": 5}"#).is_empty());
}
