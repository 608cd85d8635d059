//! What cannot be evaluated, shown and hidden; and what a check may not contain, wherever it stands.

use crate::case::{Case, Sent};
use crate::cost::{argument, cheap};
use crate::seed::{seed, with_hop};

pub fn cases() -> Vec<Case> {
    [errors(), contents()].concat()
}

/// Expressions without a value.
const ERRORS: [&str; 26] = [
    "9223372036854775807 + 1 > 0",
    "9223372036854775807 * 2 > 0",
    "-9223372036854775807 - 2 < 0",
    "1 / 0 > 0",
    "1 / (1 - 1) > 0",
    "\"a\" < \"b\"",
    "\"a\" + 1 != \"\"",
    "1 + \"a\" != \"\"",
    "true < false",
    "!1",
    "1 && true",
    "\"true\" || true",
    "1.length() > 0",
    "[1].get(\"a\") == 1",
    "{\"a\": 1}.get(true) == 1",
    "1.contains(1)",
    "{1}.contains([1])",
    "{1}.union([1]).length() > 0",
    "[1].intersection({1}).length() > 0",
    "\"a\" === 1",
    "1 !== \"a\"",
    "[1] === {1}",
    "2026-11-23T10:00:00Z + 1 > 0",
    "1.starts_with(1)",
    "1",
    "[1].all($p -> $p)",
];

fn errors() -> Vec<Case> {
    let mut cases = Vec::new();
    let refused = |name: &str, datalog: &str| {
        let bearer = with_hop(datalog).bearer();
        Case::refused(format!("cost/{name}"), bearer, "not_evaluable", Some(1))
    };
    for error in ERRORS {
        let hidden = [
            ("shown", format!("check if {error};")),
            ("behind a lazy or", format!("check if false || {error};")),
            ("behind a lazy and", format!("check if true && {error};")),
            ("behind both", format!("check if true && (false || ({error}));")),
            ("for each element", format!("check if [1, 2].any($q -> $q > 9 || ({error}));")),
            ("in the second alternative", format!("check if false or {error};")),
            ("where a match is rejected", format!("reject if {error};")),
            ("for the last of matches", format!("check all arg($n, $v), $v < 3 || ({error});")),
        ];
        // There, an addition or a closure is refused for what it is.
        let not_inside = error.contains(" + ") || error.contains(".all(");
        let hidden =
            hidden.into_iter().filter(|(how, _)| !not_inside || *how != "for each element");
        for (how, datalog) in hidden {
            let call = Sent::search().arguments(r#"{"a":1,"b":2,"c":3}"#);
            cases.push(refused(&format!("no value {how}: {error}"), &datalog).calls(call));
        }
        // What is never reached, the engine does not look at.
        for (how, datalog) in [
            ("not reached by or", format!("check if true || ({error});")),
            ("not reached by and", format!("reject if false && ({error});")),
            ("not needed", format!("check if {error} or true;")),
        ] {
            cases.push(cheap(&format!("no value {how}: {error}"), &datalog, "{}"));
        }
    }
    // The call chooses the value that overflows.
    let largest = argument("9007199254740991");
    let product = r#"check all arg("x", $x), $x * $x > 0;"#;
    let call = Sent::search().arguments(&largest);
    cases.push(refused("an argument that overflows", product).calls(call.clone()));
    cases.push(
        refused("denied overflow", r#"check all arg("x", $x), !($x * $x * $x < 0);"#).calls(call),
    );
    cases.push(cheap("an argument that does not overflow", product, &argument("3037000499")));
    cases
}

/// What no check may contain, in each place and block.
fn contents() -> Vec<Case> {
    let refused = [
        ("a regular expression", "\"a\".matches(\"a\")"),
        ("a costly regular expression", "\"aaaaaaaaaaaaaaaa\".matches(\"(a{1,50}){1,50}$\")"),
        ("try_or", "(1 / 0 > 0).try_or(true)"),
        ("a foreign function", "\"a\".extern::other(\"a\")"),
        ("a foreign function of one", "\"a\".extern::hardtack_path()"),
        ("nested closures", "[1].all($p -> [1].all($q -> $q == $p))"),
        ("an addition for each element", "[1].all($p -> $p + 1 > 0)"),
    ];
    let mut cases = Vec::new();
    for (what, expression) in refused {
        let places = [
            ("plain", format!("check if {expression};")),
            ("lazy", format!("check if true || {expression};")),
            ("deep", format!("check if false || (true && ({expression}));")),
            ("for each element", format!("check if [1].any($z -> $z > 0 || {expression});")),
            ("in the last alternative", format!("check if true or true or {expression};")),
            ("in reject if", format!("reject if {expression}, 1 > 2;")),
            ("in check all", format!("check all time($time), {expression};")),
        ];
        for (place, datalog) in places {
            let name = format!("cost/{what}, {place}");
            cases.push(Case::refused(name, with_hop(&datalog).bearer(), "content", Some(1)));
        }
        let last = seed().write(
            2,
            &format!(
                r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:05:00Z);
                   check if {expression};"#
            ),
        );
        let name = format!("cost/{what}, in the presentation");
        cases.push(Case::refused(name, last.bearer(), "content", Some(2)));
    }
    cases
}
