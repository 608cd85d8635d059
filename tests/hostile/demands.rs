//! Demands: what delegators demand of arguments, in the words of [`Delegation::allow`] and in Datalog, and calls
//! that try to get around it.

use hardtack::*;

use crate::case::{Case, Sent};
use crate::chain::Chain;
use hardtack_testkit::forge::Forge;
use hardtack_testkit::{AUDIENCE, Cast, NOW};

pub fn cases() -> Vec<Case> {
    let mut cases = accepted();
    cases.extend(values());
    cases.extend(ranges());
    cases.extend(texts());
    cases.extend(ended_texts());
    cases.extend(arrays());
    cases.extend(presence());
    cases.extend(in_datalog());
    cases.extend(down_the_chain());
    cases
}

fn values() -> Vec<Case> {
    let mut cases = of(
        "a == EUR",
        &[
            ("none", "{}"),
            ("the name in capitals", r#"{"A":"EUR"}"#),
            ("the name with a space", r#"{"a ":"EUR"}"#),
            ("the name in Cyrillic", "{\"\u{430}\":\"EUR\"}"),
            ("one level down", r#"{"b":{"a":"EUR"}}"#),
            ("a dotted name", r#"{"b.a":"EUR"}"#),
            ("in an array", r#"{"a":["EUR"]}"#),
            ("in an object", r#"{"a":{"a":"EUR"}}"#),
            ("as a member's name", r#"{"a":{"EUR":true}}"#),
            ("null", r#"{"a":null}"#),
            ("capitals", r#"{"a":"eur"}"#),
            ("a space", r#"{"a":"EUR "}"#),
            ("a NUL", r#"{"a":"EUR\u0000"}"#),
            ("a Cyrillic letter", "{\"a\":\"\u{415}UR\"}"),
            ("a fullwidth letter", "{\"a\":\"\u{ff25}UR\"}"),
            ("a zero-width space", "{\"a\":\"EU\u{200b}R\"}"),
            ("a text in quotes", r#"{"a":"\"EUR\""}"#),
            ("true", r#"{"a":true}"#),
        ],
    );
    cases.extend(of(
        "a == 5",
        &[
            ("a text", r#"{"a":"5"}"#),
            ("a fraction", r#"{"a":5.5}"#),
            ("a fraction close by", r#"{"a":5.0000000001}"#),
            ("an array", r#"{"a":[5]}"#),
        ],
    ));
    cases.extend(of(
        "a == true",
        &[("a text", r#"{"a":"true"}"#), ("one", r#"{"a":1}"#), ("false", r#"{"a":false}"#)],
    ));
    cases.extend(of(
        "a in [EUR, USD]",
        &[
            ("another", r#"{"a":"GBP"}"#),
            ("both in one text", r#"{"a":"EUR, USD"}"#),
            ("both in an array", r#"{"a":["EUR","USD"]}"#),
            ("nothing", r#"{"a":""}"#),
        ],
    ));
    cases.extend(of(
        "a not in [root, admin]",
        &[
            ("one of them", r#"{"a":"root"}"#),
            ("one of them in an array", r#"{"a":["root"]}"#),
            ("one of them with a space", r#"{"a":"root "}"#),
            ("one of them after a space", r#"{"a":" root"}"#),
            ("one of them with a no-break space", r#"{"a":"root\u00a0"}"#),
            ("a number", r#"{"a":0}"#),
            ("none", "{}"),
        ],
    ));
    for (what, text) in [
        ("with a NUL", r"root\u0000"),
        ("with both line's ends", r"root\r\n"),
        ("after a line's end", r"\u2028root"),
        ("on the second line", r"x\u0085root"),
        ("after a byte order mark", r"\ufeffroot"),
        ("with a tab and more", r"root\tx"),
        ("with a soft hyphen", r"ro\u00adot"),
        ("with a zero-width space", r"ro\u200bot"),
        ("with a joiner", r"root\u200d"),
        ("with a tag", r"root\udb40\udc41"),
    ] {
        let (what, text) = (format!("one of them {what}"), format!("{{\"a\":\"{text}\"}}"));
        cases.push(demanded("a not in [root, admin]", &what, &text, "not_evaluable"));
    }
    cases
}

fn ranges() -> Vec<Case> {
    let mut cases = of(
        "a between 1 and 100",
        &[
            ("below", r#"{"a":0}"#),
            ("above", r#"{"a":101}"#),
            ("far above", r#"{"a":9007199254740991}"#),
            ("negative", r#"{"a":-1}"#),
            ("with an exponent", r#"{"a":1e3}"#),
            ("a fraction within", r#"{"a":99.5}"#),
            ("a fraction at the end", r#"{"a":100.0000001}"#),
            ("a text", r#"{"a":"50"}"#),
            ("an array", r#"{"a":[50]}"#),
            ("an array of all", r#"{"a":[1,100]}"#),
            ("true", r#"{"a":true}"#),
            ("null", r#"{"a":null}"#),
            ("none", "{}"),
        ],
    );
    cases
        .extend(of("a < 100", &[("the bound", r#"{"a":100}"#), ("a text below", r#"{"a":"-1"}"#)]));
    cases.extend(of("a > 5", &[("the bound", r#"{"a":5}"#), ("minus zero", r#"{"a":-0}"#)]));
    cases
}

/// Where some reader ends a text or line, in JSON.
const ENDS: [&str; 14] = [
    "\\u0000", "\\t", "\\u001f", "\\n", "\\u000b", "\\f", "\\r", "\\u001a", "\\u001c", "\\u001d",
    "\\u001e", "\\u0085", "\\u2028", "\\u2029",
];

/// What ends for one reader before it does for another begins, ends and contains nothing, and is not said to be another: for that,
/// all of it must be to be seen.
fn ended_texts() -> Vec<Case> {
    let mut cases = Vec::new();
    for end in ENDS {
        let what = format!("ended by {end}");
        for (constraint, text) in [
            ("a != root", format!("root{end}")),
            ("a starts with report-", format!("report-y{end}.exe")),
            ("a ends with \"@example.com\"", format!("y@evil.net{end}@example.com")),
            ("a contains needle", format!("needle{end}")),
        ] {
            let one = format!("{{\"a\":\"{text}\"}}");
            let cause = if constraint == "a != root" { "not_evaluable" } else { "check_failed" };
            cases.push(demanded(constraint, &what, &one, cause));
            let optional = constraint.replacen('a', "a?", 1);
            cases.push(demanded(&optional, &what, &one, cause));
            let each = format!("each {constraint}");
            let many = format!("{{\"a\":[\"{text}\"]}}");
            cases.push(demanded(&each, &what, &many, "not_evaluable"));
        }
    }
    cases
}

fn texts() -> Vec<Case> {
    let mut cases = of(
        "a starts with report-",
        &[
            ("capitals", r#"{"a":"Report-x"}"#),
            ("a space first", r#"{"a":" report-x"}"#),
            ("a NUL", r#"{"a":"report-x\u0000.exe"}"#),
            ("a line's end", r#"{"a":"report-x\nX: y"}"#),
            ("an array", r#"{"a":["report-x"]}"#),
        ],
    );
    cases.extend(of(
        "a ends with \"@example.com\"",
        &[
            ("something behind", r#"{"a":"x@example.com.evil.net"}"#),
            ("a NUL before", r#"{"a":"x@evil.net\u0000@example.com"}"#),
            ("a line's end before", r#"{"a":"x@evil.net\n@example.com"}"#),
            ("capitals", r#"{"a":"x@EXAMPLE.com"}"#),
        ],
    ));
    cases.extend(of(
        "a contains needle",
        &[
            ("an array with it", r#"{"a":["needle"]}"#),
            ("an object with it", r#"{"a":{"needle":1}}"#),
            ("an accent that combines", "{\"a\":\"ne\u{301}edle\"}"),
        ],
    ));
    cases.extend(of(
        "a length <= 4",
        &[
            ("a byte more", r#"{"a":"abcde"}"#),
            ("a byte more in fewer letters", "{\"a\":\"\u{20ac}\u{20ac}\"}"),
            ("an array of fewer", r#"{"a":["a"]}"#),
            ("a number", r#"{"a":5}"#),
            ("an object", r#"{"a":{}}"#),
        ],
    ));
    cases
}

fn arrays() -> Vec<Case> {
    let mut cases = of(
        "each a in [x, y]",
        &[
            ("one that is not", r#"{"a":["x","z"]}"#),
            ("one last that is not", r#"{"a":["x","y","x","y","Y"]}"#),
            ("an array within", r#"{"a":["x",["y"]]}"#),
            ("null within", r#"{"a":["x",null]}"#),
            ("a number within", r#"{"a":["x",1]}"#),
            ("a text", r#"{"a":"x"}"#),
            ("an object", r#"{"a":{"0":"x"}}"#),
            ("none", "{}"),
        ],
    );
    cases.extend(of(
        "each a <= 5",
        &[
            ("one above", r#"{"a":[1,6]}"#),
            ("a text within", r#"{"a":["1"]}"#),
            ("a fraction within", r#"{"a":[1.5]}"#),
        ],
    ));
    cases.extend(of(
        "a items <= 2",
        &[
            ("one more", r#"{"a":[1,2,3]}"#),
            ("a text", r#"{"a":"x"}"#),
            ("an object", r#"{"a":{"b":1}}"#),
        ],
    ));
    cases.extend(of(
        "a includes x",
        &[
            ("one level down", r#"{"a":[["x"]]}"#),
            ("a text", r#"{"a":"x"}"#),
            ("an object", r#"{"a":{"x":1}}"#),
            ("nothing in it", r#"{"a":[]}"#),
        ],
    ));
    cases.push(demanded(
        "each a within /srv",
        "one outside",
        r#"{"a":["/srv/x","/etc"]}"#,
        "check_failed",
    ));
    cases.push(demanded(
        "each a within /srv",
        "one that steps up",
        r#"{"a":["/srv/x","/srv/../etc"]}"#,
        "not_evaluable",
    ));
    cases
}

fn presence() -> Vec<Case> {
    let mut cases = of(
        "a required",
        &[
            ("none", "{}"),
            ("the name in capitals", r#"{"A":1}"#),
            ("one level down", r#"{"b":{"a":1}}"#),
        ],
    );
    cases.extend(of(
        "a? <= 5",
        &[
            ("above", r#"{"a":6}"#),
            ("a text", r#"{"a":"5"}"#),
            ("null", r#"{"a":null}"#),
            ("an array", r#"{"a":[5]}"#),
        ],
    ));
    cases.extend(of("a absent", &[("null", r#"{"a":null}"#), ("false", r#"{"a":false}"#)]));
    let spelled = [
        ("in capitals", r#"{"FORCE ID":1}"#),
        ("in some capitals", r#"{"Force iD":1}"#),
        ("with spaces around", r#"{" force id ":1}"#),
        ("in fullwidth letters", "{\"\u{ff46}orce \u{ff29}D\":1}"),
        ("with a dotted capital i", "{\"force \u{130}d\":1}"),
        ("with a dotless i", "{\"force \u{131}d\":1}"),
        ("with the name of a letter", "{\"force \u{2148}d\":1}"),
    ];
    cases.extend(of("\"force id\" absent", &spelled));
    cases.extend(of("\"force id\"? <= 0", &spelled));
    cases.extend(of("only \"force id\"", &spelled));
    cases.extend(of("\"force id\" <= 1", &spelled));
    cases.extend(of(
        "only a, b",
        &[
            ("another", r#"{"a":1,"c":2}"#),
            ("the name in capitals", r#"{"A":1}"#),
            ("no name", r#"{"":1}"#),
            ("a name for JavaScript", r#"{"__proto__":{"c":1}}"#),
        ],
    ));
    cases.extend(of(
        "no arguments",
        &[("one", r#"{"a":1}"#), ("null without a name", r#"{"":null}"#)],
    ));
    cases.extend(of(
        "a <= 5 or approved == true",
        &[
            ("neither", r#"{"a":6}"#),
            ("none", "{}"),
            ("approved by a text", r#"{"a":6,"approved":"true"}"#),
            ("approved by an array", r#"{"a":6,"approved":[true]}"#),
            ("approved in capitals", r#"{"a":6,"Approved":true}"#),
        ],
    ));
    cases
}

/// Checks as others write them, who do not look at the type first.
fn in_datalog() -> Vec<Case> {
    let table = [
        ("an amount, none", r#"check all arg("amount", $a), $a <= 100"#, "{}", "check_failed"),
        (
            "an amount, above",
            r#"check all arg("amount", $a), $a <= 100"#,
            r#"{"amount":101}"#,
            "check_failed",
        ),
        (
            "an amount as a text",
            r#"check all arg("amount", $a), $a <= 100"#,
            r#"{"amount":"1"}"#,
            "not_evaluable",
        ),
        (
            "an amount with a fraction",
            r#"check all arg("amount", $a), $a <= 100"#,
            r#"{"amount":0.5}"#,
            "not_evaluable",
        ),
        (
            "an amount, null",
            r#"check all arg("amount", $a), $a <= 100"#,
            r#"{"amount":null}"#,
            "not_evaluable",
        ),
        (
            "an amount in an array",
            r#"check if arg("amount", $a), $a <= 100"#,
            r#"{"amount":[1]}"#,
            "not_evaluable",
        ),
        (
            "any argument below, one above",
            "check all arg($n, $a), $a <= 100",
            r#"{"a":1,"b":101}"#,
            "check_failed",
        ),
        (
            "any argument below, one a text",
            "check if arg($n, $a), $a <= 100",
            r#"{"a":1,"b":"x"}"#,
            "not_evaluable",
        ),
        (
            "rejected above, a text",
            r#"reject if arg("amount", $a), $a > 100"#,
            r#"{"amount":"x"}"#,
            "not_evaluable",
        ),
        (
            "rejected above",
            r#"reject if arg("amount", $a), $a > 100"#,
            r#"{"amount":101}"#,
            "check_failed",
        ),
        (
            "a sum that overflows",
            r#"check all arg("a", $a), $a + 9223372036854775807 > 0"#,
            r#"{"a":1}"#,
            "not_evaluable",
        ),
        (
            "a product that overflows",
            r#"check all arg("a", $a), $a * 9223372036854775807 > 0"#,
            r#"{"a":2}"#,
            "not_evaluable",
        ),
        (
            "a division by nothing",
            r#"check all arg("a", $a), 100 / $a < 5"#,
            r#"{"a":0}"#,
            "not_evaluable",
        ),
        (
            "nothing divided by nothing",
            r#"check all arg("a", $a), $a / $a == 1"#,
            r#"{"a":-0.0}"#,
            "not_evaluable",
        ),
        (
            "a text's start, an array",
            r#"check all arg("a", $a), $a.starts_with("x")"#,
            r#"{"a":["x"]}"#,
            "not_evaluable",
        ),
        (
            "a text's start, a number",
            r#"check all arg("a", $a), $a.starts_with("1")"#,
            r#"{"a":1}"#,
            "not_evaluable",
        ),
        (
            "a length, a number",
            r#"check all arg("a", $a), $a.length() < 5"#,
            r#"{"a":1}"#,
            "not_evaluable",
        ),
        (
            "each of an object",
            r#"check all arg("a", $a), $a.all($x -> $x > 0)"#,
            r#"{"a":{"x":1}}"#,
            "not_evaluable",
        ),
        (
            "each of a text",
            r#"check all arg("a", $a), $a.all($x -> $x > 0)"#,
            r#"{"a":"1"}"#,
            "not_evaluable",
        ),
        (
            "each of an array, one a text",
            r#"check all arg("a", $a), $a.all($x -> $x > 0)"#,
            r#"{"a":[1,"2"]}"#,
            "not_evaluable",
        ),
        (
            "any of none",
            r#"check all arg("a", $a), $a.any($x -> $x > 0)"#,
            r#"{"a":[]}"#,
            "check_failed",
        ),
        (
            "two that are equal, and are not",
            r#"check if arg("a", $x), arg("b", $x)"#,
            r#"{"a":1,"b":"1"}"#,
            "check_failed",
        ),
        (
            "an argument's own word for a scope",
            r#"check if arg("scope", "*")"#,
            r#"{"scope":["*"]}"#,
            "check_failed",
        ),
        (
            "a number as it was written",
            r#"check if arg("a", "100")"#,
            r#"{"a":1e2}"#,
            "check_failed",
        ),
        (
            "a fraction as it was written",
            r#"check if arg("a", "1.50")"#,
            r#"{"a":1.50}"#,
            "check_failed",
        ),
        (
            "an object as it was written",
            r#"check if arg("a", "{}")"#,
            r#"{"a":{}}"#,
            "check_failed",
        ),
    ];
    table
        .map(|(what, check, arguments, cause)| {
            let bearer = Chain::of(1).block(1, |said| said.check(check)).bearer();
            let name = format!("arguments/in Datalog: {what}");
            Case::refused(name, bearer, cause, Some(1)).calls(Sent::search().arguments(arguments))
        })
        .into()
}

/// Each demand of each block stands.
fn down_the_chain() -> Vec<Case> {
    let demand = |bound: i64| format!(r#"check all arg("amount", $a), $a <= {bound}"#);
    let chain = |bounds: &[(usize, i64)]| {
        bounds.iter().fold(Chain::of(3), |chain, (block, bound)| {
            chain.block(*block, |said| said.check(&demand(*bound)))
        })
    };
    let case = |what: &str, bounds: &[(usize, i64)], amount: i64, block| {
        let name = format!("arguments/down the chain: {what}");
        let call = Sent::search().arguments(&format!("{{\"amount\":{amount}}}"));
        Case::refused(name, chain(bounds).bearer(), "check_failed", Some(block)).calls(call)
    };
    let all = [(0, 400), (1, 300), (2, 200), (3, 100), (4, 50)];
    vec![
        case("the grant's", &all[..1], 401, 0),
        case("the first hop's", &all[..2], 301, 1),
        case("the second hop's", &all[..3], 201, 2),
        case("the third hop's", &all[..4], 101, 3),
        case("the presentation's", &all, 51, 4),
        case("all, and the first is named", &all, 401, 0),
        case("a hop's that a later one widens", &[(1, 100), (2, 1000), (3, 1000)], 500, 1),
        case("a grant's that a hop widens", &[(0, 100), (1, 1000)], 500, 0),
        case("two of one block", &[(2, 1000), (2, 100)], 500, 2),
        case("two that leave nothing", &[(1, 100), (2, -1)], 5, 2),
    ]
}

/// The same from inside.
fn accepted() -> Vec<Case> {
    [
        ("a == EUR", r#"{"a":"EUR","b":1}"#),
        ("a in [EUR, USD]", r#"{"a":"USD"}"#),
        ("a not in [root, admin]", r#"{"a":"Root"}"#),
        ("a between 1 and 100", r#"{"a":1e2}"#),
        ("a < 100", r#"{"a":99}"#),
        ("a not in [root, admin]", r#"{"a":"the root // and\\more"}"#),
        ("each a not in [root, admin]", r#"{"a":["alice","the root"]}"#),
        ("a? != root", r#"{"a":"alice"}"#),
        ("a starts with report-", r#"{"a":"report-"}"#),
        ("each a starts with report-", r#"{"a":["report-","report-x y"]}"#),
        ("a ends with \"@example.com\"", r#"{"a":"x@example.com"}"#),
        ("a length <= 4", "{\"a\":\"\u{fc}\u{fc}\"}"),
        ("each a in [x, y]", r#"{"a":["x","y","x"]}"#),
        ("a items <= 2", r#"{"a":[1,2]}"#),
        ("a includes x", r#"{"a":[1,"x"]}"#),
        ("each a within /srv", r#"{"a":["/srv/x","/srv/x/../y"]}"#),
        ("a required", r#"{"a":null}"#),
        ("a? <= 5", r#"{"b":6}"#),
        ("a absent", r#"{"b":1}"#),
        ("\"force id\" absent", r#"{"forced id":1,"force":{"force id":1}}"#),
        ("\"force id\"? <= 0", r#"{"Force ID":0}"#),
        ("only a, b", r#"{"b":1}"#),
        ("no arguments", "{}"),
        ("a <= 5 or approved == true", r#"{"a":6,"approved":true}"#),
    ]
    .map(|(constraint, arguments)| {
        let name = format!("arguments/accepted: {constraint}, {arguments}");
        Case::accepted(name, held_to(constraint)).calls(Sent::search().arguments(arguments))
    })
    .into()
}

fn of(constraint: &str, calls: &[(&str, &str)]) -> Vec<Case> {
    let bearer = held_to(constraint);
    let case = |(what, arguments): &(&str, &str)| {
        let name = format!("arguments/{constraint}: {what}");
        Case::refused(name, bearer.clone(), "check_failed", Some(1))
            .calls(Sent::search().arguments(arguments))
    };
    calls.iter().map(case).collect()
}

fn demanded(constraint: &str, what: &str, arguments: &str, cause: &'static str) -> Case {
    Case::refused(format!("arguments/{constraint}: {what}"), held_to(constraint), cause, Some(1))
        .calls(Sent::search().arguments(arguments))
}

/// The seed, whose hop has this constraint: written by our own API, and signed by the forge's keys, which are the
/// same every time.
fn held_to(constraint: &str) -> String {
    let cast = Cast::new();
    let hop = cast.to_researcher().allow(constraint);
    let capability = cast.grant().delegate(hop, &cast.orchestrator, NOW).unwrap();
    let presented = capability.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
    let bytes = Capability::parse(presented.bearer()).unwrap().to_bytes();
    Forge::of(&bytes, &cast.root, &[&cast.orchestrator, &cast.researcher]).bearer()
}
