//! Cost of texts: long ones searched, joined and compared, and judged by the external functions.

use crate::case::Sent;
use crate::case::{Case, Expected};
use crate::cost::{argument, cheap, costly, members};
use crate::seed::with_hop;

pub fn cases() -> Vec<Case> {
    [texts(), functions(), unjudgeable()].concat()
}

/// How conditions begin that are decided of a text that is not seen.
const DECIDED: [&str; 7] =
    ["$x.length()", "$x == $x", "$x === $x", "!($x != ", "!($x !== ", "{\"a\"", "[\"a\""];

fn texts() -> Vec<Case> {
    let long = argument(&format!("\"{}\"", "a".repeat(60_000)));
    let short = argument("\"aaaa\"");
    let needle = "a".repeat(900);
    let conditions = [
        "$x.length() >= 0".to_owned(),
        "$x.type() == \"string\"".to_owned(),
        "$x == $x".to_owned(),
        "$x === $x".to_owned(),
        "!($x != $x)".to_owned(),
        "!($x !== $x)".to_owned(),
        "$x.contains($x)".to_owned(),
        "$x.starts_with($x)".to_owned(),
        "$x.ends_with($x)".to_owned(),
        format!("!$x.contains(\"{needle}b\")"),
        format!("!$x.contains(\"b{needle}\")"),
        format!("!$x.contains(\"{}b{}\")", &needle[..450], &needle[..450]),
        "!$x.contains(\"aaaaaaba\")".to_owned(),
        format!("!$x.starts_with(\"{needle}b\")"),
        "$x + $x != \"\"".to_owned(),
        "$x + $x + $x != \"\"".to_owned(),
        "$x + $x + $x + $x + $x != \"\"".to_owned(),
        "(($x + $x) + ($x + $x)).contains(\"a\")".to_owned(),
        "{\"a\", \"b\"}.contains($x) || true".to_owned(),
        "[\"a\", \"b\"].contains($x) || true".to_owned(),
    ];
    let mut cases = Vec::new();
    for condition in conditions {
        let name = condition.replace(&needle, "…").replace(&needle[..450], "…");
        let one = format!(r#"check all arg("x", $x), {condition};"#);
        // A text as long as this is not seen: what can be said of it costs nothing, and what asks for more has no answer.
        let case = costly(&format!("text, {name}"), &one.repeat(40), &long);
        let refused = Expected::Refused { cause: "not_evaluable", block: Some(1) };
        let is_known = DECIDED.iter().any(|known| name.starts_with(known));
        let expected = if is_known { Expected::Accepted } else { refused };
        cases.push(Case { expected, ..case });
        cases.push(cheap(&format!("short text, {name}"), &one, &short));
    }
    // A word that is joined is looked for among all.
    let words = members(300, &|at| format!("\"word{at:04}\""));
    let join = "check all arg($n, $v), $n + $v + $n + $v + $n != \"\";";
    cases.push(costly("texts joined among many words", join, &words));
    let types = format!("check all arg($n, $v), $v{} == \"string\";", ".type()".repeat(28));
    cases.push(costly("types named among many words", &types, &words));
    cases
}

/// The text, the function with its operand, and how often it is called.
fn functions() -> Vec<Case> {
    let fill = |start: &str, piece: &str| {
        let mut text = start.to_owned();
        while text.len() + piece.len() <= 4090 {
            text.push_str(piece);
        }
        text
    };
    let paths = [
        ("steps", "/a"),
        ("up and down", "/a/.."),
        ("dots", "/."),
        ("letters", "a"),
        ("accents", "/\u{e9}"),
        ("another script", "/\u{2c00}"),
    ];
    let urls = [
        ("steps", "https://a.b/", "a/"),
        ("escapes", "https://a.b/", "%20"),
        ("escaped letters", "https://a.b/", "%E2%82%AC"),
        ("a query", "https://a.b/?", "a&"),
        ("a fragment", "https://a.b/#", "a"),
        ("labels", "https://", "a."),
        ("labels in another script", "https://", "xn--bcher-kva."),
        ("one label in another script", "https://xn--", "99zz"),
        ("another script", "https://", "\u{fc}"),
        ("labels that are numbers", "https://", "1."),
        ("users", "https://", "a@"),
    ];
    let globs = [
        ("stars", "*a"),
        ("stars behind", "a*"),
        ("any", "*?"),
        ("double stars", "**a"),
        ("letters", "a"),
    ];
    let mut cases = Vec::new();
    let call = |function: &str, operand: &str, times: usize| {
        format!(r#"check all arg("x", $x), $x.extern::hardtack_{function}("{operand}") || true;"#)
            .repeat(times)
    };
    let text = |text: &str| argument(&serde_json::to_string(text).unwrap());
    for (what, piece) in paths {
        let path = text(&fill("/a", piece));
        cases.push(costly(&format!("path of {what}"), &call("path", "/a", 55), &path));
        let all = call("path", &"/a".repeat(250), 52);
        cases.push(costly(&format!("path of {what}, deep folder"), &all, &path));
    }
    for (what, start, piece) in urls {
        let url = text(&fill(start, piece));
        cases.push(costly(&format!("url of {what}"), &call("url", "https://a.b", 40), &url));
        let site = format!("https://*/{}a", "a/".repeat(240));
        cases.push(costly(&format!("url of {what}, deep site"), &call("url", &site, 40), &url));
    }
    for (what, piece) in globs {
        let pattern = piece.repeat(480 / piece.len());
        let long = text(&"a".repeat(4000));
        cases.push(costly(&format!("glob of {what}"), &call("glob", &pattern, 1), &long));
        let some = text(&"a".repeat(400));
        cases.push(costly(&format!("glob of {what}, often"), &call("glob", &pattern, 8), &some));
        let few = call("glob", &piece.repeat(8), 1);
        cases.push(cheap(&format!("glob of few {what}"), &few, &text("aaaa")));
    }
    let addresses = members(900, &|at| format!("\"2001:db8::{at:x}\""));
    let network = r#"check all arg($n, $x), $x.extern::hardtack_network("2001:db8::/32");"#;
    cases.push(costly("network of many addresses", &network.repeat(3), &addresses));
    cases.push(cheap("network of an address", network, &text("2001:db8::1")));
    cases.push(cheap("path of steps, once", &call("path", "/a", 1), &text("/a/b")));
    cases.push(cheap(
        "url of steps, once",
        &call("url", "https://a.b", 1),
        &text("https://a.b/c/d"),
    ));
    // What is no text is copied all the same.
    let numbers = argument(&format!("[{}]", vec!["1"; 900].join(",")));
    for function in ["path", "url", "glob", "network"] {
        let all = call(function, "/a", 20);
        cases.push(costly(&format!("{function} of numbers"), &all, &numbers));
    }
    cases
}

/// Texts that cannot be judged, and operands that are none.
fn unjudgeable() -> Vec<Case> {
    let tried = [
        ("path", "/srv", "srv/a"),
        ("path", "/srv", "/srv/%2e%2e"),
        ("path", "/srv", "/srv\\a"),
        ("path", "/srv", "//srv/a"),
        ("path", "/srv", "/srv/..;/a"),
        ("path", "srv", "/srv/a"),
        ("path", "/srv/", "/srv/a"),
        ("path", "/srv/*", "/srv/a"),
        ("url", "https://a.b", "https://a.b:443/"),
        ("url", "https://a.b", "https://A.b/"),
        ("url", "https://a.b", "https://u@a.b/"),
        ("url", "https://a.b", "https://\u{430}.b/"),
        ("url", "https://a.b", "https://a.b/a b"),
        ("url", "a.b", "https://a.b/"),
        ("url", "https://a.*", "https://a.b/"),
        ("url", "https://a.b/?q", "https://a.b/"),
        ("network", "10.0.0.0/8", "010.0.0.1"),
        ("network", "10.0.0.0/8", "::ffff:10.0.0.1"),
        ("network", "10.0.0.1/8", "10.0.0.1"),
        ("network", "10.0.0.0/33", "10.0.0.1"),
        ("glob", "a*", "a/../b"),
        ("glob", "a*", "a\\b"),
        ("glob", "***", "a"),
        ("glob", "[a]", "a"),
        ("glob", "", "a"),
    ];
    let mut cases = Vec::new();
    for (function, operand, text) in tried {
        for (how, before) in [("plain", ""), ("denied", "!")] {
            let check = format!(
                r#"check all arg("x", $x), {before}$x.extern::hardtack_{function}("{operand}");"#
            );
            let call = Sent::search().arguments(&argument(&serde_json::to_string(text).unwrap()));
            let name = format!("cost/{how} {function} {operand} of {text}");
            let bearer = with_hop(&check).bearer();
            cases.push(Case::refused(name, bearer, "not_evaluable", Some(1)).calls(call));
        }
    }
    cases
}
