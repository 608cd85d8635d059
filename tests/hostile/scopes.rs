//! Scopes: is what calls itself a scope, or an operation, one? How wide it is, is asked in `widening`.

use biscuit_auth::builder::{Term, string};

use crate::case::{Case, Sent};
use crate::chain::{Block, Chain, no_texts};

pub fn cases() -> Vec<Case> {
    let mut cases = accepted();
    for (what, scope) in no_scopes() {
        cases.push(named(&format!("{what}, granted"), 0, &[&scope]));
        cases.push(named(&format!("{what}, passed on"), 1, &[&scope]));
    }
    cases.extend(beside_good_ones());
    cases.extend(of_other_types());
    cases.extend(too_many_or_none());
    cases.extend(no_operations());
    cases
}

/// Scopes that are none.
fn no_scopes() -> Vec<(&'static str, String)> {
    let mut scopes = vec![
        ("nine segments", "a:b:c:d:e:f:g:h:i".to_owned()),
        ("nine segments with the star", "a:b:c:d:e:f:g:h:*".to_owned()),
        ("a segment of 129 bytes", format!("tools:call:{}", "s".repeat(129))),
        ("a first segment of 129 bytes", format!("{}:*", "s".repeat(129))),
        ("only colons, nine of them", ":".repeat(9)),
    ];
    let short = [
        ("nothing", ""),
        ("a colon", ":"),
        ("a colon at the end", "tools:call:"),
        ("a colon at the start", ":tools:call:search"),
        ("an empty segment", "tools::search"),
        ("an empty segment before the star", "tools:call::*"),
        ("a colon before the star", ":*"),
        ("a star first", "*:call:search"),
        ("a star between", "tools:*:search"),
        ("a star after letters", "tools:call:se*"),
        ("a star before letters", "tools:call:*search"),
        ("a star among letters", "tools:call:s*h"),
        ("two stars in a segment", "tools:call:**"),
        ("two stars alone", "**"),
        ("two segments of stars", "tools:*:*"),
        ("stars and nothing else", "*:*"),
        ("a colon after the star", "tools:call:*:"),
        ("a question mark for a letter", "tools:call:searc?"),
        ("a question mark for a segment", "tools:call:?"),
        ("a class of letters", "tools:call:[a-z]"),
        ("braces", "tools:call:{search,fetch}"),
        ("a negation of all", "!tools:call:fetch"),
        ("a negation of a segment", "tools:call:!fetch"),
        ("a regular expression", "^tools:call:.*$"),
        ("an escaped star", "tools:call:\\*"),
        ("an alternative", "tools:call:(search|fetch)"),
        ("a SQL wildcard", "tools:call:%"),
        ("a shell variable", "tools:call:$TOOL"),
        ("a template", "tools:call:{{tool}}"),
        ("a command", "tools:call:`id`"),
        ("markup", "tools:call:<b>search</b>"),
        ("a percent-encoded colon", "tools%3Acall%3Asearch"),
        ("a percent-encoded star", "tools:call:%2A"),
        ("a percent-encoded letter", "tools:call:s%65arch"),
        ("a fullwidth colon", "tools\u{ff1a}call\u{ff1a}search"),
        ("a ratio for a colon", "tools\u{2236}call\u{2236}search"),
        ("a fullwidth star", "tools:call:\u{ff0a}"),
        ("an asterisk operator", "tools:call:\u{2217}"),
        ("a Cyrillic letter", "tools:call:s\u{435}arch"),
        ("a fullwidth letter", "tools:call:\u{ff53}earch"),
        ("a Kelvin sign", "tools:call:loo\u{212a}up"),
        ("a long s", "tools:call:\u{17f}earch"),
        ("a dotless i", "tools:call:f\u{131}nd"),
        ("an accent that combines", "tools:call:se\u{301}arch"),
        ("a letter with its accent", "tools:call:s\u{e9}arch"),
        ("a zero-width space", "tools:call:sea\u{200b}rch"),
        ("a soft hyphen", "tools:call:sea\u{ad}rch"),
        ("a byte order mark", "\u{feff}tools:call:search"),
        ("an override of the direction", "tools:call:\u{202e}hcraes"),
        ("a space first", " tools:call:search"),
        ("a space last", "tools:call:search "),
        ("a space before the star", "tools:call: *"),
        ("a tab", "tools:call:\tsearch"),
        ("a line's end", "tools:call:search\n"),
        ("a carriage return", "tools:call:search\r"),
        ("two lines", "tools:call:search\ntools:call:fetch"),
        ("a no-break space", "tools:call:search\u{a0}"),
        ("a NUL at the end", "tools:call:search\0"),
        ("a NUL before the star", "tools:call:\0*"),
        ("a NUL that hides the rest", "tools:call:search\0:fetch"),
        ("a DEL", "tools:call:search\u{7f}"),
        ("an escape sequence", "tools:call:\u{1b}[8msearch"),
        ("slashes for colons", "tools/call/search"),
        ("a step up", "tools:call:search/../fetch"),
        ("backslashes", "tools:call:search\\fetch"),
        ("a list with commas", "tools:call:search,tools:call:fetch"),
        ("a list with spaces", "tools:call:search tools:call:fetch"),
        ("a list with semicolons", "tools:call:search;tools:call:fetch"),
        ("a list with plus signs", "tools:call:search+fetch"),
        ("quotes", "\"tools:call:search\""),
        ("a JSON array", "[\"tools:call:search\"]"),
        ("a query", "tools:call:search?all=1"),
        ("a fragment", "tools:call:search#all"),
        ("an at sign", "tools:call:search@host"),
        ("an equals sign", "scope=tools:call:search"),
        ("a tilde", "tools:call:~"),
        ("Datalog", "tools:call:search\"); scope(\"*"),
    ];
    scopes.extend(short.map(|(what, scope)| (what, scope.to_owned())));
    scopes
}

/// One that is none among good ones: no good one makes up for it.
fn beside_good_ones() -> Vec<Case> {
    let good = "tools:call:search";
    [
        ("a bad scope after a good one, granted", 0, [good, "tools:call:se*"]),
        ("a bad scope before a good one, granted", 0, ["tools:call:se*", good]),
        ("a bad scope after a good one, passed on", 1, [good, "tools:call:se*"]),
        ("a bad scope before a good one, passed on", 1, ["", good]),
        ("a good scope and the same with a space", 1, [good, "tools:call:search "]),
        ("a good scope and the same with a NUL", 1, [good, "tools:call:search\0"]),
    ]
    .map(|(what, block, scopes)| named(what, block, &scopes))
    .into()
}

fn of_other_types() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, value) in no_texts() {
        for (place, block) in [("granted", 0), ("passed on", 1)] {
            let name = format!("{what} for a scope, {place}");
            cases.push(fact(&name, block, |said| said.with("scope", value.clone())));
        }
    }
    let all = || string("*");
    cases.push(fact("a number beside a good scope", 1, |said| said.and("scope", Term::Integer(1))));
    cases.push(fact("two terms, granted", 0, |said| {
        said.without("scope").fact("scope", vec![string("tools:call:*"), all()])
    }));
    cases.push(fact("two terms, passed on", 1, |said| {
        said.without("scope").fact("scope", vec![string("tools:call:search"), all()])
    }));
    cases.push(fact("two terms beside a good scope", 1, |said| {
        said.fact("scope", vec![string("tools:call:search"), all()])
    }));
    cases.push(fact("no terms, granted", 0, |said| said.without("scope").fact("scope", vec![])));
    cases.push(fact("no terms, passed on", 1, |said| said.fact("scope", vec![])));
    cases
}

fn too_many_or_none() -> Vec<Case> {
    let many = |count: usize| (0..count).map(|n| format!("tools:call:t{n}")).collect::<Vec<_>>();
    let beyond = |block, count| {
        let scopes = many(count);
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        Chain::of(1).block(block, |said| said.scopes(&scopes))
    };
    let in_two_blocks = beyond(0, 130).block(1, |said| {
        let scopes = (0..130).map(|n| format!("tools:call:u{n}")).collect::<Vec<_>>();
        said.scopes(&scopes.iter().map(String::as_str).collect::<Vec<_>>())
    });
    vec![
        refused("none granted", Chain::of(1).block(0, |said| said.scopes(&[])), "no_scope", 0),
        refused("none passed on", Chain::of(1).block(1, |said| said.scopes(&[])), "no_scope", 1),
        refused("none at the second hop", Chain::of(2).block(2, |b| b.scopes(&[])), "no_scope", 2),
        refused("more than are read, granted", beyond(0, 257), "over_limit", 0),
        refused("more than are read, passed on", beyond(1, 257), "over_limit", 1),
        refused("more than are read, in two blocks", in_two_blocks, "over_limit", 1),
        fact("twice the same, granted", 0, |said| said.scopes(&["tools:call:*", "tools:call:*"])),
        fact("twice the same, passed on", 1, |said| said.and("scope", string("tools:call:search"))),
        fact("twice the same with another between", 1, |said| {
            said.scopes(&["tools:call:search", "tools:call:fetch", "tools:call:search"])
        }),
        refused(
            "a scope of more bytes than a text has",
            Chain::of(1).block(1, |said| said.scopes(&[&"s:".repeat(600)])),
            "over_limit",
            1,
        ),
        refused(
            "a scope in the presentation",
            Chain::of(1).presentation(|said| said.scopes(&["tools:call:search"])),
            "content",
            2,
        ),
    ]
}

/// Operations that are none, of an agent that holds a good token.
fn no_operations() -> Vec<Case> {
    let long = format!("tools:call:{}", "s".repeat(129));
    [
        ("all that is granted", "tools:call:*"),
        ("everything", "*"),
        ("a prefix with a star", "tools:call:sea*"),
        ("a star between", "tools:*:search"),
        ("nothing", ""),
        ("a colon at the end", "tools:call:search:"),
        ("an empty segment", "tools::call:search"),
        ("nine segments", "tools:call:c:d:e:f:g:h:i"),
        ("a segment of 129 bytes", &long),
        ("a space", "tools:call:search "),
        ("a line's end", "tools:call:search\n"),
        ("a NUL", "tools:call:search\0"),
        ("a fullwidth letter", "tools:call:\u{ff53}earch"),
        ("a percent-encoded letter", "tools:call:s%65arch"),
        ("a step up", "tools:call:search/../fetch"),
        ("two at once", "tools:call:search,tools:call:fetch"),
        ("a zero-width space", "tools:call:\u{200b}search"),
        ("a question mark", "tools:call:searc?"),
    ]
    .map(|(what, operation)| {
        let name = format!("scopes/called: {what}");
        let bearer = Chain::of(1).scopes(&["*"]).bearer();
        Case::refused(name, bearer, "inexact_call", None).calls(Sent::operation(operation))
    })
    .into()
}

/// The same from inside.
fn accepted() -> Vec<Case> {
    let longest = format!("tools:call:{}", "s".repeat(128));
    let accepted = |name: &str, scopes: &[&str], operation: &str| {
        let bearer = Chain::of(1).scopes(scopes).bearer();
        Case::accepted(format!("scopes/{name}"), bearer).calls(Sent::operation(operation))
    };
    let many: Vec<String> = (0..60).map(|n| format!("tools:call:t{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    vec![
        accepted("eight segments", &["a:b:c:d:e:f:g:h"], "a:b:c:d:e:f:g:h"),
        accepted("eight segments with the star", &["a:b:c:d:e:f:g:*"], "a:b:c:d:e:f:g:h"),
        accepted("a segment of 128 bytes", &[&longest], &longest),
        accepted("one segment", &["search"], "search"),
        accepted("all marks that there are", &["a-b_c.d:-.-"], "a-b_c.d:-.-"),
        accepted("sixty of them", &many, "tools:call:t59"),
        accepted("a star beside one that it covers", &["tools:*", "tools:call:search"], "tools:x"),
    ]
}

fn named(what: &str, block: usize, scopes: &[&str]) -> Case {
    refused(what, Chain::of(1).block(block, |said| said.scopes(scopes)), "name", block)
}

fn fact(what: &str, block: usize, change: impl FnOnce(Block) -> Block) -> Case {
    refused(what, Chain::of(1).block(block, change), "fact", block)
}

fn refused(what: &str, chain: Chain, cause: &'static str, block: usize) -> Case {
    Case::refused(format!("scopes/{what}"), chain.bearer(), cause, Some(block))
}
