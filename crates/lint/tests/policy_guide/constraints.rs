//! Constraints: does each constraint and function of the pages do what its row says?

use hardtack::internal::Function;
use hardtack::*;
use hardtack_testkit::*;

use super::{table, verified};

#[test]
fn each_constraint_allows_and_refuses_what_its_row_says() {
    let rows = table("form");
    for row in &rows {
        let [_, example, _, allows, refuses] = row.as_slice() else { panic!("{row:?}") };
        assert!(!allows.is_empty() && !refuses.is_empty(), "{example:?}");
        for constraint in example.iter().filter(|text| *text != "no other arguments") {
            assert_eq!(constraint.parse::<Constraint>().map(|_| ()), Ok(()), "{constraint}");
        }
        let verified = verified(example);
        let may = |sent: &String| {
            let call = Call::tool("any").unwrap();
            let call = match sent.starts_with('{') {
                true => call.arguments(sent).unwrap(),
                false => call.resource(sent).unwrap(),
            };
            match authorize(&verified, &Policy::builtin(), &call) {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error.block(), Some(1), "{error}");
                    false
                }
            }
        };
        for arguments in allows {
            assert!(may(arguments), "{example:?} refuses {arguments}");
        }
        for arguments in refuses {
            assert!(!may(arguments), "{example:?} allows {arguments}");
        }
    }
    let words: Vec<&String> = rows.iter().flat_map(|row| &row[0]).collect();
    let expected = [
        "==",
        "=",
        "!=",
        "in",
        "one of",
        "not in",
        "none of",
        "<=",
        "<",
        ">=",
        ">",
        "between",
        "starts with",
        "ends with",
        "contains",
        "like",
        "length",
        "items",
        "includes",
        "each",
        "every item of",
        "within",
        "url",
        "network",
        "in network",
        "required",
        "present",
        "name?",
        "absent",
        "only",
        "no arguments",
        "no other arguments",
        "or",
        "the resource",
        "the resource?",
    ];
    assert_eq!(words, expected);
}

#[test]
fn each_function_judges_as_its_row_says() {
    let rows = table("function");
    let mut named = Vec::new();
    for row in &rows {
        let [call, holds, fails, unjudged] = row.as_slice() else { panic!("{row:?}") };
        let (name, operand) = call[0].split_once("(\"").unwrap();
        let operand = operand.strip_suffix("\")").unwrap();
        let function = Function::named(name).unwrap();
        function.check_operand(operand).unwrap();
        named.push(function);
        let expected = [(holds, Some(true)), (fails, Some(false)), (unjudged, None)];
        for (values, expected) in expected {
            assert!(!values.is_empty(), "{name}");
            for value in values {
                assert_eq!(function.judge(value, operand), expected, "{call:?} {value}");
            }
        }
    }
    named.dedup();
    assert_eq!(named, Function::ALL);
}

/// A text that cannot be judged refuses the call wherever it is asked about, if the rest of the body matches.
#[test]
fn what_cannot_be_judged_refuses_the_call() {
    let cast = Cast::new();
    let verified = cast.verifier().verify(cast.presented().bearer(), NOW).unwrap();
    let call = search().arguments(r#"{"path": "data/../x"}"#).unwrap();
    let asked = r#"arg("path", $p), $p.extern::hardtack_path("/srv")"#;
    let denied = r#"arg("path", $p), !$p.extern::hardtack_path("/srv")"#;
    for (policy, expected) in [
        (format!("allow if granted($op); deny if {asked};"), Err("not_evaluable")),
        (format!("allow if granted($op); deny if {denied};"), Err("not_evaluable")),
        (format!("allow if granted($op); allow if {asked};"), Err("not_evaluable")),
        (format!("allow if granted($op); in($p) <- {asked};"), Err("not_evaluable")),
        (format!(r#"allow if granted($op); allow if tool("read"), {asked};"#), Ok(())),
        (format!(r#"allow if granted($op); in($p) <- tool("read"), {asked};"#), Ok(())),
    ] {
        let policy_of = Policy::parse("page", &policy).unwrap();
        let found =
            authorize(&verified, &policy_of, &call).map(|_| ()).map_err(|e| e.cause().as_str());
        assert_eq!(found, expected, "{policy}");
    }
}

#[test]
fn what_stands_beside_other_constraints_are_constraints() {
    let rows = table("Tenuo");
    let names: Vec<&str> = rows.iter().map(|row| row[0][0].as_str()).collect();
    let expected = [
        "Exact",
        "Pattern",
        "Range",
        "OneOf",
        "NotOneOf",
        "Regex",
        "Cidr",
        "UrlPattern",
        "UrlSafe",
        "Subpath",
        "Contains",
        "Subset",
        "All",
        "Any",
        "Not",
        "Cel",
        "Wildcard",
        "Shlex",
    ];
    assert_eq!(names, expected);
    for constraint in rows.iter().flat_map(|row| &row[1]) {
        assert_eq!(constraint.parse::<Constraint>().map(|_| ()), Ok(()), "{constraint}");
    }
}
