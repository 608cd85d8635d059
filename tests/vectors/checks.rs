//! Checks: what the checks of a token hold its calls to. Each stands in the researcher's hop.

use crate::case::{Case, Validation, search};
use crate::token::*;

/// What a call comes to.
enum Comes {
    /// The check holds.
    Holds,
    /// It does not.
    Fails,
    /// It cannot be evaluated.
    Errs,
}
use Comes::*;

pub fn cases() -> Vec<Case> {
    let all = [comparisons(), collections(), origins(), functions()].concat();
    all.into_iter().chain([costly(), large_text(), large_list()]).collect()
}

/// A check, and what calls with these arguments come to.
fn check(title: &str, check: &str, calls: &[(&str, Comes)]) -> Case {
    let case = Case::of(&format!("a check: {title}"), &hop_that_says(&format!("{check};")));
    calls.iter().fold(case, |case, (json, comes)| {
        let asked = match *json {
            "" => search(),
            json => search().arguments(json),
        };
        case.with(json, judged(asked, comes))
    })
}

fn judged(asked: Validation, comes: &Comes) -> Validation {
    match comes {
        Holds => asked.allowed(Some("agent.researcher"), 1),
        Fails => asked.refused("check_failed", Some(1)),
        Errs => asked.refused("not_evaluable", Some(1)),
    }
}

fn comparisons() -> Vec<Case> {
    vec![
        check(
            "a number with a bound",
            r#"check all arg("amount", $a), $a <= 100"#,
            &[
                (r#"{"amount": 100}"#, Holds),
                (r#"{"amount": 101}"#, Fails),
                (r#"{"amount": "100"}"#, Errs),
                (r#"{"amount": 99.5}"#, Errs),
                (r#"{"amount": null}"#, Errs),
                ("", Fails),
            ],
        ),
        check(
            "a number that need not be there",
            r#"reject if arg("amount", $a), $a > 100"#,
            &[(r#"{"amount": 100}"#, Holds), (r#"{"amount": 101}"#, Fails), ("", Holds)],
        ),
        check(
            "if, for some match",
            "check if arg($name, $value), $value == 1",
            &[
                (r#"{"a": 1, "b": 2}"#, Holds),
                (r#"{"a": 2, "b": 2}"#, Fails),
                (r#"{"a": "1"}"#, Fails),
            ],
        ),
        check(
            "all, for every match",
            "check all arg($name, $value), $value > 0",
            &[
                (r#"{"a": 1, "b": 2}"#, Holds),
                (r#"{"a": 1, "b": 0}"#, Fails),
                (r#"{"a": 1, "b": "x"}"#, Errs),
                ("", Fails),
            ],
        ),
        check(
            "every match is looked at",
            "check if arg($name, $value), $value > 0",
            &[(r#"{"a": 1, "b": "text", "c": 2}"#, Errs), (r#"{"a": 1}"#, Holds)],
        ),
        check(
            "alternatives",
            r#"check if arg("a", $a), $a > 1 or arg("b", $b), $b > 1"#,
            &[
                (r#"{"a": 2}"#, Holds),
                (r#"{"b": 2}"#, Holds),
                (r#"{"a": 1, "b": 1}"#, Fails),
                (r#"{"a": "x", "b": 2}"#, Holds),
                (r#"{"a": "x", "b": 1}"#, Errs),
            ],
        ),
        check(
            "reject with alternatives",
            r#"reject if arg("a", 1) or arg("b", 1)"#,
            &[(r#"{"a": 1}"#, Fails), (r#"{"b": 1}"#, Fails), (r#"{"a": 2, "b": 2}"#, Holds)],
        ),
        check(
            "texts",
            r#"check all arg("to", $to), $to.ends_with("@example.com") && !$to.contains(" ")"#,
            &[
                (r#"{"to": "bob@example.com"}"#, Holds),
                (r#"{"to": "bob@example.com.org"}"#, Fails),
                (r#"{"to": "a b@example.com"}"#, Fails),
                (r#"{"to": 1}"#, Errs),
            ],
        ),
        check(
            "one of several",
            r#"check all arg("currency", $c), {"EUR", "CHF"}.contains($c)"#,
            &[
                (r#"{"currency": "CHF"}"#, Holds),
                (r#"{"currency": "USD"}"#, Fails),
                (r#"{"currency": "chf"}"#, Fails),
            ],
        ),
        check(
            "overflow",
            r#"check all arg("n", $n), $n * 9007199254740991 > 0"#,
            &[(r#"{"n": 1}"#, Holds), (r#"{"n": 9007199254740991}"#, Errs)],
        ),
        check(
            "a fraction is its text",
            r#"check all arg("n", $n), $n == "1.5""#,
            &[
                (r#"{"n": 1.5}"#, Holds),
                (r#"{"n": 1.50}"#, Holds),
                (r#"{"n": 15e-1}"#, Holds),
                (r#"{"n": 1.25}"#, Fails),
            ],
        ),
        check(
            "an integer however written",
            r#"check all arg("n", $n), $n === 10"#,
            &[
                (r#"{"n": 10}"#, Holds),
                (r#"{"n": 1e1}"#, Holds),
                (r#"{"n": 10.0}"#, Holds),
                (r#"{"n": "10"}"#, Errs),
            ],
        ),
        check(
            "truth and nothing",
            r#"check all arg("a", $a), arg("b", $b), $a && $b == null"#,
            &[
                (r#"{"a": true, "b": null}"#, Holds),
                (r#"{"a": false, "b": null}"#, Fails),
                (r#"{"a": true, "b": 0}"#, Fails),
                (r#"{"a": 1, "b": null}"#, Errs),
            ],
        ),
        check(
            "what is lazy",
            r#"check all arg("n", $n), $n.type() == "integer" && $n > 3"#,
            &[(r#"{"n": 4}"#, Holds), (r#"{"n": 3}"#, Fails), (r#"{"n": "x"}"#, Fails)],
        ),
        check("the moment", "check all time($t), $t < 2026-11-23T10:02:00Z", &[("", Holds)])
            .with("too late", search().at(120).refused("check_failed", Some(1))),
        check(
            "the resource",
            r#"check all resource($r), $r.starts_with("https://notion.so/")"#,
            &[("", Fails)],
        )
        .ok("of the site", search().resource("https://notion.so/page"))
        .with(
            "of another",
            search().resource("https://notion.so.evil.org/").refused("check_failed", Some(1)),
        ),
        check(
            "the operation and tool",
            r#"check if operation("tools:call:search"), tool("search")"#,
            &[("", Holds)],
        ),
        check(
            "what only Hardtack asserts",
            r#"check if presented("session"), depth(1)"#,
            &[("", Holds)],
        ),
        check("another audience", r#"check if verifier("mail.mcp")"#, &[("", Fails)]),
        check("one that never holds", "check if false", &[("", Fails)]),
    ]
}

fn collections() -> Vec<Case> {
    vec![
        check(
            "each of an array",
            r#"check all arg("ids", $ids), $ids.all($id -> $id > 0 && $id < 10)"#,
            &[
                (r#"{"ids": [1, 9]}"#, Holds),
                (r#"{"ids": []}"#, Holds),
                (r#"{"ids": [1, 10]}"#, Fails),
                (r#"{"ids": [1, "x"]}"#, Errs),
                (r#"{"ids": 1}"#, Errs),
            ],
        ),
        check(
            "some of an array",
            r#"check all arg("ids", $ids), $ids.any($id -> $id == 7)"#,
            &[(r#"{"ids": [1, 7]}"#, Holds), (r#"{"ids": [1]}"#, Fails)],
        ),
        check(
            "a member of an object",
            r#"check all arg("to", $to), $to.get("host") == "a.example""#,
            &[
                (r#"{"to": {"host": "a.example", "port": 1}}"#, Holds),
                (r#"{"to": {"host": "b.example"}}"#, Fails),
                (r#"{"to": {}}"#, Fails),
                (r#"{"to": "a.example"}"#, Errs),
            ],
        ),
        check(
            "how many",
            r#"check all arg("list", $l), $l.length() <= 2"#,
            &[
                (r#"{"list": [1, 2]}"#, Holds),
                (r#"{"list": [1, 2, 3]}"#, Fails),
                (r#"{"list": "ab"}"#, Holds),
            ],
        ),
        check(
            "an array as a whole",
            r#"check all arg("list", $l), $l == [1, "a", null]"#,
            &[(r#"{"list": [1, "a", null]}"#, Holds), (r#"{"list": [1, "a"]}"#, Fails)],
        ),
    ]
}

fn origins() -> Vec<Case> {
    // A block may bring one key only, so that this takes the place of the check that binds the holder.
    let binding = format!("trusting ed25519/{}", digits(RESEARCHER));
    let later = hop().swap(&binding, &format!("trusting ed25519/{}", digits(ORCHESTRATOR)));
    vec![
        check("facts of the grant are seen", r#"check if role("editor")"#, &[("", Holds)]),
        check(
            "facts of a hop are its own",
            r#"check if delegate("agent.researcher")"#,
            &[("", Holds)],
        ),
        check(
            "trusting the authority",
            r#"check if role("editor") trusting authority"#,
            &[("", Holds)],
        ),
        check(
            "trusting what came before",
            r#"check if role("editor") trusting previous"#,
            &[("", Holds)],
        ),
        Case::of("a check: trusting a key that signed nothing later", &with_hop(later))
            .refused("check_failed", Some(1)),
    ]
}

fn functions() -> Vec<Case> {
    vec![
        check(
            "a path",
            r#"check all arg("path", $p), $p.extern::hardtack_path("/srv/data")"#,
            &[
                (r#"{"path": "/srv/data"}"#, Holds),
                (r#"{"path": "/srv/data/a/../b"}"#, Holds),
                (r#"{"path": "/srv/data/../etc/passwd"}"#, Errs),
                (r#"{"path": "/srv/database"}"#, Fails),
                (r#"{"path": "srv/data"}"#, Errs),
                (r#"{"path": 1}"#, Errs),
            ],
        ),
        check(
            "no path below a folder",
            r#"check all arg("path", $p), !$p.extern::hardtack_path("/srv/secret")"#,
            &[
                (r#"{"path": "/srv/data"}"#, Holds),
                (r#"{"path": "/srv/secret/a"}"#, Fails),
                (r#"{"path": "secret"}"#, Errs),
            ],
        ),
        check(
            "a URL",
            r#"check all arg("url", $u), $u.extern::hardtack_url("https://*.example.com/api")"#,
            &[
                (r#"{"url": "https://a.example.com/api/x"}"#, Holds),
                (r#"{"url": "https://a.example.com/apix"}"#, Fails),
                (r#"{"url": "http://a.example.com/api"}"#, Fails),
                (r#"{"url": "https://a.example.com.evil.org/api"}"#, Fails),
                (r#"{"url": "a.example.com"}"#, Errs),
            ],
        ),
        check(
            "an address of a network",
            r#"check all arg("ip", $a), $a.extern::hardtack_network("10.0.0.0/8")"#,
            &[
                (r#"{"ip": "10.1.2.3"}"#, Holds),
                (r#"{"ip": "11.1.2.3"}"#, Fails),
                (r#"{"ip": "10.1.2.03"}"#, Errs),
            ],
        ),
        check(
            "a pattern",
            r#"check all arg("file", $f), $f.extern::hardtack_glob("reports/*.csv")"#,
            &[
                (r#"{"file": "reports/a.csv"}"#, Holds),
                (r#"{"file": "reports/a/b.csv"}"#, Fails),
                (r#"{"file": 1}"#, Errs),
            ],
        ),
        check(
            "an operand that is none",
            r#"check all arg("path", $p), $p.extern::hardtack_path("data")"#,
            &[(r#"{"path": "/data"}"#, Errs)],
        ),
    ]
}

fn costly() -> Case {
    let check = r#"check all arg("ids", $ids), $ids.all($x -> $x > 0 && $x < 1000);"#.repeat(2);
    let call = |ids: usize| {
        let ids = (1..=ids).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
        search().arguments(&format!("{{\"ids\": [{ids}]}}"))
    };
    Case::of("a check that many arguments make too costly", &hop_that_says(&check))
        .ok("twenty", call(20))
        .with("nine hundred", call(900).forbidden("too_costly", None))
}

fn large_text() -> Case {
    let check = r#"check all arg("text", $t), $t.starts_with("x"); reject if arg("text", $t), $t.length() > 4097;"#;
    let call =
        |bytes: usize| search().arguments(&format!("{{\"text\": \"{}\"}}", "x".repeat(bytes)));
    Case::of("a check that asks what is not seen of a large text", &hop_that_says(check))
        .with("4,096 bytes", judged(call(4096), &Holds))
        .with("4,097 bytes", judged(call(4097), &Errs))
}

fn large_list() -> Case {
    let check =
        r#"check all arg("one", $x), arg("other", $x); check all arg("path", $p), $p == "/srv";"#;
    let call = |other: usize, path: &str| {
        let list = |count: usize| vec!["1"; count].join(",");
        let (one, other) = (list(1_200), list(other));
        let text = format!(r#"{{"one": [{one}], "other": [{other}], "path": "{path}"}}"#);
        search().arguments(&text)
    };
    Case::of("a check that compares large lists", &hop_that_says(check))
        .with("equal ones", judged(call(1_200, "/srv"), &Holds))
        .with("others", judged(call(1_201, "/srv"), &Fails))
        .with("beside another argument", judged(call(1_200, "/etc"), &Fails))
}
