//! Widening: scopes that are well written and not covered by the parent's, and operations that no scope of the
//! chain covers.

use crate::case::{Case, Sent, Server};
use crate::chain::Chain;
use hardtack_testkit::Cast;
use hardtack_testkit::forge::pair;

pub fn cases() -> Vec<Case> {
    let mut cases = accepted();
    cases.extend(at_the_first_hop());
    cases.extend(further_down());
    cases.extend(before_other_causes());
    cases.extend(not_granted());
    cases.extend(by_the_checks());
    cases
}

/// What the grant has, what the hop takes.
fn at_the_first_hop() -> Vec<Case> {
    let table: &[(&str, &[&str], &[&str])] = &[
        ("a sibling", &["tools:call:search"], &["tools:call:fetch"]),
        ("the parent", &["tools:call:search"], &["tools:call:*"]),
        ("the parent's parent", &["tools:call:search"], &["tools:*"]),
        ("everything", &["tools:call:search"], &["*"]),
        ("everything from nearly everything", &["tools:*", "resources:*", "prompts:*"], &["*"]),
        ("the folder of what lies in it", &["tools:call:*"], &["tools:call"]),
        ("the first segment of what lies in it", &["tools:call:*"], &["tools"]),
        ("another folder", &["tools:call:*"], &["tools:list:*"]),
        ("another first segment", &["tools:*"], &["resources:read"]),
        ("a prefix of the last segment", &["tools:call:search"], &["tools:call:sea"]),
        ("a longer last segment", &["tools:call:sea"], &["tools:call:search"]),
        ("a longer segment before the star", &["tools:call:*"], &["tools:calls:search"]),
        ("a shorter segment before the star", &["tools:call:*"], &["tools:cal:search"]),
        ("a longer first segment", &["tools:*"], &["toolset:call"]),
        ("what would lie below an operation", &["tools:call:search"], &["tools:call:search:deep"]),
        ("all below an operation", &["tools:call:search"], &["tools:call:search:*"]),
        ("what lies above", &["tools:call:search:deep"], &["tools:call:search"]),
        ("the union of two", &["tools:call:search", "tools:call:fetch"], &["tools:call:*"]),
        ("the union of two folders", &["tools:call:*", "tools:list:*"], &["tools:*"]),
        (
            "one that is covered and one that is not",
            &["tools:call:*"],
            &["tools:call:a", "tools:b"],
        ),
        (
            "one that is not and one that is covered",
            &["tools:call:*"],
            &["tools:b", "tools:call:a"],
        ),
        (
            "a part of each of two",
            &["tools:call:search", "mail:*"],
            &["mail:call:search", "tools:x"],
        ),
        ("capitals in the first segment", &["tools:call:search"], &["Tools:call:search"]),
        ("capitals in the last segment", &["tools:call:search"], &["tools:call:Search"]),
        ("capitals before the star", &["tools:call:*"], &["TOOLS:CALL:search"]),
        ("a folder in capitals", &["Tools:call:*"], &["tools:call:*"]),
        ("dots for colons", &["tools:call:search"], &["tools.call.search"]),
        ("dots for colons before the star", &["tools:call:*"], &["tools.call:*"]),
        ("a dot at the end", &["tools:call:search"], &["tools:call:search."]),
        ("a dot before the star", &["tools:call:*"], &["tools:call.:*"]),
        ("dots as a step up", &["tools:call:search"], &["tools:call:..:call:search"]),
        ("an underscore at the end", &["tools:call:search"], &["tools:call:search_"]),
        ("a hyphen that negates", &["tools:call:*"], &["-tools:call:search"]),
        ("a digit for a letter", &["tools:call:*"], &["t00ls:call:search"]),
        ("a digit one for an l", &["tools:call:*"], &["too1s:call:search"]),
        ("two letters for one", &["forms:*"], &["forrns:send"]),
        ("segments in another order", &["tools:call:search"], &["search:call:tools"]),
        ("a segment left out", &["tools:call:search"], &["tools:search"]),
        ("a segment twice", &["tools:call:search"], &["tools:call:call:search"]),
        ("the last of eight is the star's", &["a:b:c:d:e:f:g:*"], &["a:b:c:d:e:f:g"]),
        ("the eighth is another", &["a:b:c:d:e:f:g:h"], &["a:b:c:d:e:f:g:i"]),
        ("all below the seventh", &["a:b:c:d:e:f:g:h"], &["a:b:c:d:e:f:g:*"]),
        ("the reserved segment from everything", &["*"], &["hardtack"]),
        ("all that is reserved from everything", &["*"], &["hardtack:*"]),
        ("revoking from everything", &["*"], &["hardtack:revoke"]),
        ("deep in what is reserved from everything", &["*"], &["hardtack:revoke:all:now"]),
        ("everything from all that is reserved", &["hardtack:*"], &["*"]),
        ("the reserved segment from all below it", &["hardtack:*"], &["hardtack"]),
        ("all below the reserved segment from itself", &["hardtack"], &["hardtack:*"]),
        ("all that is reserved from revoking", &["hardtack:revoke"], &["hardtack:*"]),
        ("another reserved operation", &["hardtack:revoke"], &["hardtack:audit"]),
        ("what is reserved from its capitals", &["*", "Hardtack:*"], &["hardtack:revoke"]),
        ("what is reserved from its neighbour", &["*", "hardtacks:*"], &["hardtack:revoke"]),
        ("everything among what is covered", &["tools:*"], &["tools:call:search", "tools:*", "*"]),
    ];
    let case = |(what, granted, taken): &(&str, &[&str], &[&str])| {
        let chain = Chain::of(1).block(0, |said| said.scopes(granted));
        refused(&format!("taken: {what}"), chain.block(1, |said| said.scopes(taken)), 1)
    };
    table.iter().map(case).collect()
}

/// What was given up is given up for good.
fn further_down() -> Vec<Case> {
    let narrowed = |hops, wide: usize, scope: &str| {
        let chain = Chain::of(hops).block(0, |said| said.scopes(&["*"]));
        chain.block(wide, |said| said.scopes(&[scope]))
    };
    let mut cases: Vec<Case> = (2..=8)
        .map(|hop| {
            let chain = narrowed(8, hop, "tools:call:*");
            refused(&format!("taken back at hop {hop} of 8"), chain, hop)
        })
        .collect();
    cases.extend([
        refused("what the grandparent had", narrowed(2, 2, "tools:call:fetch"), 2),
        refused("all that the grandparent had", narrowed(2, 2, "*"), 2),
        refused("what is reserved, at the second hop", narrowed(2, 2, "hardtack:revoke"), 2),
        refused("what is reserved, at the last of thirteen", narrowed(13, 13, "hardtack:*"), 13),
        refused(
            "one scope at each hop, and both at the last",
            Chain::of(3)
                .block(0, |said| said.scopes(&["tools:call:a", "tools:call:b"]))
                .block(1, |said| said.scopes(&["tools:call:a", "tools:call:b"]))
                .block(2, |said| said.scopes(&["tools:call:a"]))
                .block(3, |said| said.scopes(&["tools:call:a", "tools:call:b"])),
            3,
        ),
        refused(
            "the first that widens of two that do",
            Chain::of(2)
                .block(1, |said| said.scopes(&["resources:read"]))
                .block(2, |said| said.scopes(&["prompts:get:x"])),
            1,
        ),
    ]);
    cases
}

/// A hop that widens in two ways is refused for the first in the order of the profile.
fn before_other_causes() -> Vec<Case> {
    let wide = || Chain::of(1).block(1, |said| said.scopes(&["tools:*"]));
    let other = |what: &str, chain: Chain, cause, block| {
        Case::refused(format!("scopes/order: {what}"), chain.bearer(), cause, Some(block))
    };
    let thief = wide().forge().change(|f| f.blocks[1].signer = Some(pair(&Cast::new().thief)));
    vec![
        refused("order: wider before lasting longer", wide().block(1, |b| b.expires(3601)), 1),
        refused(
            "order: wider before another audience",
            wide()
                .block(0, |said| said.audiences(&["notion.mcp"]))
                .block(1, |said| said.audiences(&["mail.mcp"])),
            1,
        ),
        refused(
            "order: wider before presented to another",
            wide().presentation(|said| said.audiences(&["mail.mcp"])),
            1,
        ),
        other(
            "too deep before wider",
            wide().block(0, |b| b.with("max_depth", crate::chain::number(0))),
            "too_deep",
            1,
        ),
        Case::refused(
            "scopes/order: by a thief before wider".to_owned(),
            thief.bearer(),
            "wrong_signer",
            Some(1),
        ),
        other("expired before wider", wide().block(1, |said| said.expires(0)), "expired", 1),
    ]
}

/// Well written operations that no scope of the chain's end covers.
fn not_granted() -> Vec<Case> {
    let table: &[(&str, &[&str], &str)] = &[
        ("a sibling", &["tools:call:search"], "tools:call:fetch"),
        ("what lies below", &["tools:call:search"], "tools:call:search:deep"),
        ("what lies above", &["tools:call:search"], "tools:call"),
        ("the folder of the star", &["tools:call:*"], "tools:call"),
        ("capitals", &["tools:call:search"], "tools:call:SEARCH"),
        ("a prefix", &["tools:call:search"], "tools:call:searc"),
        ("a prefix and more", &["tools:call:search"], "tools:call:search2"),
        ("dots for colons", &["tools:call:search"], "tools.call.search"),
        ("another first segment", &["tools:*"], "resources:read"),
        ("a longer first segment", &["tools:*"], "tools2:call"),
        ("a look-alike", &["tools:call:*"], "t0ols:call:search"),
        ("a bare name", &["tools:call:search"], "search"),
        ("what is reserved, by everything", &["*"], "hardtack:revoke"),
        ("the reserved segment, by everything", &["*"], "hardtack"),
        ("deep in what is reserved, by everything", &["*"], "hardtack:a:b:c:d:e:f:g"),
        ("another that is reserved", &["hardtack:revoke"], "hardtack:audit"),
        ("the reserved segment, by all below it", &["hardtack:*"], "hardtack"),
        ("revoking, by a tool of that name", &["tools:call:hardtack"], "hardtack:revoke"),
        ("none of several", &["tools:call:a", "tools:call:b", "mail:*"], "tools:call:c"),
    ];
    let case = |(what, scopes, operation): &(&str, &[&str], &str)| {
        let name = format!("scopes/not granted: {what}");
        let bearer = Chain::of(1).scopes(scopes).bearer();
        Case::refused(name, bearer, "not_granted", Some(0)).calls(Sent::operation(operation))
    };
    let given_up = Chain::of(2)
        .block(1, |said| said.scopes(&["tools:call:search", "tools:call:fetch"]))
        .bearer();
    let fetch = || Sent::operation("tools:call:fetch");
    let mut cases: Vec<Case> = table.iter().map(case).collect();
    cases.push(refused_call("what the hop before had", given_up, 2).calls(fetch()));
    cases.push(refused_call("what the grant has", Chain::of(8).bearer(), 1).calls(fetch()));
    let digest = fetch_digest();
    let bound = Chain::of(1).bound_to(digest).bearer();
    cases.push(refused_call("what it is bound to", bound, 1).calls(fetch()).to(Server::Fresh));
    cases
}

/// The facts say one thing and the checks less.
fn by_the_checks() -> Vec<Case> {
    let check = |what: &str, block: usize, check: &str| {
        let chain = Chain::of(1).block(block, |said| said.check(check));
        let name = format!("scopes/checked: {what}");
        Case::refused(name, chain.bearer(), "check_failed", Some(block))
    };
    vec![
        check("another operation, granted", 0, r#"check if operation("tools:call:fetch")"#),
        check("another operation, passed on", 1, r#"check if operation("tools:call:fetch")"#),
        check("another operation, presented", 2, r#"check if operation("tools:call:fetch")"#),
        check(
            "a set without it",
            1,
            r#"check all operation($o), {"tools:call:fetch", "tools:call:sea"}.contains($o)"#,
        ),
        check("another folder", 1, r#"check all operation($o), $o.starts_with("resources:")"#),
        check("it is rejected", 1, r#"reject if operation("tools:call:search")"#),
        check("one of two is rejected", 1, r#"reject if tool("x") or tool("search")"#),
        check("capitals", 1, r#"check if tool("Search")"#),
        check("a scope that the block itself says", 1, r#"check if granted("tools:call:*")"#),
        check("what the grant says of scopes", 1, r#"check if scope("*")"#),
    ]
}

/// The same from inside.
fn accepted() -> Vec<Case> {
    let table: &[(&str, &[&str], &[&str], &str)] = &[
        ("the same", &["tools:call:search"], &["tools:call:search"], "tools:call:search"),
        ("one of a folder", &["tools:*"], &["tools:call:search"], "tools:call:search"),
        ("a folder of everything", &["*"], &["tools:call:*"], "tools:call:search"),
        ("everything of everything", &["*"], &["*"], "tools:call:search"),
        ("two of two", &["a:*", "b:*"], &["b:x", "a:y"], "a:y"),
        ("the reserved segment's capitals", &["*"], &["Hardtack:*"], "Hardtack:revoke"),
        ("the reserved segment's neighbour", &["*"], &["hardtack.x:*"], "hardtack.x:revoke"),
        ("what is reserved by its name", &["hardtack:*"], &["hardtack:revoke"], "hardtack:revoke"),
        ("a star after a star", &["tools:*"], &["tools:call:*"], "tools:call:search:deep"),
    ];
    let case = |(what, granted, taken, operation): &(&str, &[&str], &[&str], &str)| {
        let chain = Chain::of(1).block(0, |said| said.scopes(granted));
        let bearer = chain.block(1, |said| said.scopes(taken)).bearer();
        let name = format!("scopes/taken and accepted: {what}");
        Case::accepted(name, bearer).calls(Sent::operation(operation))
    };
    table.iter().map(case).collect()
}

fn fetch_digest() -> [u8; 32] {
    hardtack::Call::tool("fetch").unwrap().digest()
}

fn refused_call(what: &str, bearer: String, block: usize) -> Case {
    Case::refused(format!("scopes/not granted: {what}"), bearer, "not_granted", Some(block))
}

fn refused(what: &str, chain: Chain, block: usize) -> Case {
    Case::refused(format!("scopes/{what}"), chain.bearer(), "scope_wider", Some(block))
}
