//! The worst: of each kind of work, as much as the bound lets pass. What `benches/worst_token` climbed to, and what a
//! reading of the engine suggested.

use crate::case::{Case, Expected, Scene, Sent};
use crate::cost::{argument, list, members};
use crate::seed::{hop, seed, with_hop};
use hardtack_testkit::Cast;
use hardtack_testkit::forge::Forge;

pub fn cases() -> Vec<Case> {
    [costly_checks(), requests(), parsed()].concat()
}

/// The seed with this many hops; all but the first demand `more`.
pub fn chain(hops: usize, more: &str) -> Forge {
    let cast = Cast::new();
    let key = |key: &hardtack::PrivateKey| hex::encode(key.public().to_bytes());
    let grant = format!(
        r#"hardtack(1); subject("user:alice"); scope("tools:call:*"); issued(2026-11-23T10:00:00Z);
           expires(2026-11-23T11:00:00Z); max_depth(13); holder(hex:{}); reject if depth($d), $d > 13;"#,
        key(&cast.orchestrator)
    );
    let forge = seed().write(0, &grant).change(|forge| drop(forge.blocks.pop()));
    let forge = (2..=hops).fold(forge, |forge, at| {
        let text = format!(
            r#"hop({at}); delegate("agent.{at}"); reason("find"); scope("tools:call:search");
               expires(2026-11-23T10:10:00Z); holder(hex:{}); {more}"#,
            key(&cast.researcher)
        );
        forge.append(&text, Some(&cast.researcher))
    });
    let presentation = format!(
        r#"hop({}); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:05:00Z);"#,
        hops + 1
    );
    forge.append(&presentation, Some(&cast.researcher))
}

/// The largest number of which a call is still decided, and the one above.
pub fn most(what: impl Fn(usize) -> (String, Sent)) -> (usize, usize) {
    let scene = Scene::new();
    let is_decided = |count: usize| {
        let (bearer, call) = what(count);
        let case = Case::accepted(String::new(), bearer).calls(call);
        match scene.decide(&case) {
            Expected::Accepted => true,
            Expected::Refused { cause, .. } => {
                !["too_costly", "over_limit", "too_large"].contains(&cause)
            }
        }
    };
    let (mut decided, mut not) = (0, 64);
    while not - decided > 1 {
        let middle = (decided + not) / 2;
        if is_decided(middle) { decided = middle } else { not = middle }
    }
    (decided, not)
}

/// Checks of one form, as many as the bound lets pass.
fn costly_checks() -> Vec<Case> {
    let text = |start: &str, piece: &str, most: usize| {
        argument(&format!("\"{start}{}\"", piece.repeat((most - start.len()) / piece.len())))
    };
    let number = |at: usize| at.to_string();
    let numbers = |count: usize| argument(&format!("[{}]", list(count, &number)));
    let deep = format!("{}1{}", r#"{"k":"#.repeat(31), "}".repeat(31));
    let lazy = |inner: &str| format!("true && (true && (true && (true && {inner})))");
    let maps = format!("[{}]", list(20, &|_| format!("[{}]", list(4, &|_| "{1:1}".to_owned()))));
    let sets = format!("[{}]", list(20, &|_| format!("[{}]", list(4, &|_| "{1}".to_owned()))));
    let bytes = format!("[{}]", list(60, &|_| "hex:00".to_owned()));
    let needle = "a".repeat(300);
    let forms: Vec<(&str, String, String)> = vec![
        ("a search of a text", format!(r#"check all arg("x", $x), !$x.contains("{needle}b{needle}");"#), text("", "a", 4096)),
        ("a search of a text of two letters", r#"check all arg("x", $x), !$x.contains("abababaa");"#.to_owned(), text("", "ab", 4096)),
        ("texts joined", r#"check all arg("x", $x), $x + $x + $x + $x + $x != "";"#.to_owned(), text("", "a", 4096)),
        ("a path", r#"check all arg("x", $x), $x.extern::hardtack_path("/a");"#.to_owned(), text("/a", "/a", 4096)),
        ("a URL of steps", r#"check all arg("x", $x), $x.extern::hardtack_url("https://a.b/a");"#.to_owned(), text("https://a.b/", "a/", 4096)),
        ("a URL of escapes", r#"check all arg("x", $x), $x.extern::hardtack_url("https://a.b/a%20b") || true;"#.to_owned(), text("https://a.b/", "a%20/", 4096)),
        ("a path in another script", r#"check all arg("x", $x), $x.extern::hardtack_path("/a") || true;"#.to_owned(), text("/a", "/\u{d55c}", 4096)),
        ("a path of mixed names", r#"check all arg("x", $x), $x.extern::hardtack_path("/a") || true;"#.to_owned(), text("/a", "/\u{d55c}a", 4096)),
        ("a path of names that vanish", r#"check all arg("x", $x), $x.extern::hardtack_path("/a") || true;"#.to_owned(), text("/\u{d55c}", "/\u{d55c}", 4096)),
        ("a path that goes up", r#"check all arg("x", $x), $x.extern::hardtack_path("/a") || true;"#.to_owned(), text("/a", "/\u{d55c}a/..", 4096)),
        ("a URL of names in another script", r#"check all arg("x", $x), $x.extern::hardtack_url("https://a.b/") || true;"#.to_owned(), text("https://a.b/", "%ED%95%9Ca/", 4096)),
        ("a pattern in another script", format!(r#"check all arg("x", $x), $x.extern::hardtack_glob("**{}") || true;"#, '\u{d55c}'), text("", "\u{d55c}", 4096)),
        ("a pattern of letters over another script", r#"check all arg("x", $x), $x.extern::hardtack_glob("**a*") || true;"#.to_owned(), text("a", "/a\u{d55c}", 4096)),
        ("a URL in another script", r#"check all arg("x", $x), $x.extern::hardtack_url("https://a.b") || true;"#.to_owned(), text("https://a", ".xn--bcher-kva", 248)),
        ("a pattern of stars", format!(r#"check all arg("x", $x), $x.extern::hardtack_glob("{}");"#, "*a".repeat(32)), text("", "a", 1500)),
        ("addresses", r#"check all arg($n, $x), $x.extern::hardtack_network("2001:db8::/32");"#.to_owned(), members(100, &|at| format!("\"2001:db8::{:x}\"", at + 1))),
        ("lazy bytes", format!("check all arg($n, $x), {};", lazy(&format!("{bytes}.length() > 0"))), members(10, &number)),
        ("lazy maps", format!("check if {};", lazy(&format!("{maps}.length() > 0"))), "{}".to_owned()),
        ("lazy sets", format!("check if {};", lazy(&format!("{sets}.length() > 0"))), "{}".to_owned()),
        ("bytes for each element", format!(r#"check all arg("x", $x), $x.all($p -> {bytes}.length() > 0);"#), numbers(10)),
        ("each element", r#"check all arg("x", $x), $x.all($p -> $p >= 0 && $p < 1000);"#.to_owned(), numbers(100)),
        ("elements among elements", r#"check all arg("x", $x), $x.all($p -> [0,1,2,3,4,5,6,7,8,9].contains($p) || true);"#.to_owned(), numbers(60)),
        ("a join of arguments", "check all arg($a, $b), arg($c, $d), $a == $a trusting previous;".to_owned(), members(16, &number)),
        ("a join over large arguments", "check all arg($a, $b), arg($c, $d), $a == $a;".to_owned(), members(4, &|_| deep.clone())),
        ("maps upon maps", format!(r#"check all arg("a0", $x), {};"#, "$x == ($x == ($x == $x)) || true"), members(4, &|_| deep.clone())),
        ("maps that are compared", r#"check all arg($n, $x), $x == $x;"#.to_owned(), members(8, &|_| deep.clone())),
        ("types", format!(r#"check all arg($n, $x), $x{} == "string";"#, ".type()".repeat(20)), members(40, &number)),
        ("unions", "check all arg($n, $x), {1,2,3,4,5,6,7,8,9}.union({10,11,12,13,14,15,16}).length() > 0;".to_owned(), members(10, &number)),
        ("sums", "check all arg($n, $x), $x - 1 - 1 - 1 - 1 - 1 - 1 - 1 - 1 < 999;".to_owned(), members(50, &number)),
        ("what has no value", "check all arg($n, $x), $x.length() > 0;".to_owned(), members(100, &number)),
    ];
    let mut cases = Vec::new();
    for (what, form, arguments) in forms {
        let request = Sent::search().arguments(&arguments);
        let made = |checks: usize| (with_hop(&form.repeat(checks)).bearer(), request.clone());
        let (decided, not) = most(made);
        let bearer = made(decided).0;
        let name = |count: usize| format!("worst/{count} checks of {what}");
        cases.push(match what {
            "what has no value" => Case::refused(name(decided), bearer, "not_evaluable", Some(1))
                .calls(request.clone()),
            _ => Case::accepted(name(decided), bearer).calls(request.clone()),
        });
        if what.starts_with('a') && not < 50 {
            let refused = Case::refused(name(not), made(not).0, "too_costly", None);
            cases.push(refused.calls(request.clone()));
        }
    }
    cases
}

/// The longest chain with the largest calls, and what may then be asked.
fn requests() -> Vec<Case> {
    let number = |at: usize| at.to_string();
    let entry = |at: usize| format!("\"key{at:04}\":\"val{at:04}\"");
    let requests = [
        ("many numbers", members(1000, &number)),
        ("many texts", members(1000, &|at| format!("\"{}{at:04}\"", "a".repeat(40)))),
        ("an object of many texts", argument(&format!("{{{}}}", list(990, &entry)))),
        ("many addresses", members(1000, &|at| format!("\"2001:db8::{at:x}\""))),
        ("a long text", argument(&format!("\"{}\"", "a".repeat(65_000)))),
        ("deep maps", members(31, &|_| format!("{}1{}", "{\"k\":".repeat(31), "}".repeat(31)))),
        ("deep lists", members(31, &|_| format!("{}1{}", "[".repeat(31), "]".repeat(31)))),
        ("maps", argument(&format!("[{}]", list(490, &|_| "{\"k\":1}".to_owned())))),
        ("escapes", argument(&format!("\"{}\"", "\\u0001".repeat(10_000)))),
    ];
    let mut cases = Vec::new();
    for (what, arguments) in requests {
        let request = Sent::search().arguments(&arguments);
        for hops in [1, 13] {
            let name = format!("worst/{what}, over {hops} hops");
            cases.push(Case::accepted(name, chain(hops, "").bearer()).calls(request.clone()));
        }
        let check = r#"reject if arg($n, $x), $n != $n;"#;
        let made = |checks: usize| (with_hop(&check.repeat(checks)).bearer(), request.clone());
        let (decided, _) = most(made);
        let name = format!("worst/{what}, {decided} times");
        cases.push(Case::accepted(name, made(decided).0).calls(request.clone()));
        let asked = chain(13, check).bearer();
        if cases.iter().all(|case| case.input.bearer != asked) && what.starts_with("many") {
            let name = format!("worst/{what}, asked by 12 hops");
            cases.push(Case::refused(name, asked, "too_costly", None).calls(request.clone()));
        }
    }
    cases
}

/// Tokens that take long to read, whoever made them.
fn parsed() -> Vec<Case> {
    let row = |element: &str, close: &str| {
        format!("[{}]", list(30, &|_| format!("[{}]", list(28, &|_| format!("{element}{close}")))))
    };
    let rows = [
        ("words", row("\"w\"", "")),
        ("lists", row("[1", "]")),
        ("sets", row("{1", "}")),
        ("maps", row("{1:1", "}")),
        ("byte arrays", row("hex:00", "")),
    ];
    let mut cases = Vec::new();
    for (what, rows) in rows {
        let check = with_hop(&format!("check if true or {rows}.length() > 0;")).bearer();
        cases.push(Case::accepted(format!("worst/840 {what}"), check));
        let fact = with_hop(&format!("other({rows});")).bearer();
        cases.push(Case::refused(format!("worst/840 {what} in a fact"), fact, "content", Some(1)));
    }
    // Each element is held against all before it.
    let alike = list(60, &|at| format!("hex:{}{at:02x}", "00".repeat(100)));
    let set = with_hop(&format!("check if true or {{{alike}}}.length() > 0;")).bearer();
    cases.push(Case::accepted("worst/elements that are nearly alike".to_owned(), set));
    let scopes: String =
        (0..100).map(|at| format!(r#"scope("tools:call:a:b:c:d:e:{at}");"#)).collect();
    let scoped = chain(3, &scopes).write(1, &hop(r#"scope("tools:call:*");"#)).bearer();
    cases.push(Case::accepted("worst/a hundred scopes".to_owned(), scoped));
    cases
}
