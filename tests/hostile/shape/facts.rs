//! Facts: each of the profile's, missing, said twice, of another number of terms, another type or out of range.

use super::{Kind, accepted, refused};
use crate::case::{Case, Server};

/// Terms of every type, by the names of their types.
const TERMS: [(&str, &str); 9] = [
    ("a number", "1"),
    ("a text", "\"1\""),
    ("a date", "2026-11-23T10:01:00Z"),
    ("bytes", "hex:01"),
    ("a truth", "true"),
    ("null", "null"),
    ("a set", "{1}"),
    ("an array", "[1]"),
    ("a map", "{\"a\": 1}"),
];

/// Facts that a block may have and that the least one has not.
const OPTIONAL: [(Kind, &str, &str); 5] = [
    (Kind::Grant, "audience", "\"notion.mcp\""),
    (Kind::Hop, "audience", "\"notion.mcp\""),
    (Kind::Hop, "parent", "hex:00"),
    (Kind::Session, "parent", "hex:00"),
    (Kind::Call, "parent", "hex:00"),
];

fn type_of(name: &str) -> &'static str {
    match name {
        "hardtack" | "max_depth" | "hop" => "a number",
        "issued" | "expires" => "a date",
        "holder" | "digest" | "nonce" | "parent" => "bytes",
        _ => "a text",
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Kind::ALL
        .map(|kind| {
            accepted(&format!("{} at the least", kind.name()), &kind.and("check if 1 < 2;"))
                .to(Server::Fresh)
        })
        .into();
    for kind in Kind::ALL {
        let optional = OPTIONAL.iter().filter(|(of, _, _)| *of == kind);
        let optional = optional.map(|(_, name, value)| (*name, (*value).to_owned()));
        for (name, value) in kind.facts().into_iter().chain(optional) {
            cases.extend(of_types(kind, name));
            cases.extend(of_numbers(kind, name, &value));
        }
        for (name, _) in kind.facts() {
            let (cause, block) = missing(kind, name);
            let what = format!("{} without {name}", kind.name());
            cases.push(refused(&what, &kind.without(name), cause, block));
        }
    }
    cases.extend(out_of_range());
    cases.extend(names());
    cases
}

fn missing(kind: Kind, name: &str) -> (&'static str, usize) {
    match (kind, name) {
        // What is signed then stands on a block that names no holder.
        (Kind::Grant | Kind::Hop, "holder") => ("foreign_signer", kind.block() + 1),
        // Nothing says what kind of block it is.
        (Kind::Hop, "hop") => ("block_kind", 1),
        (_, "scope") => ("no_scope", kind.block()),
        (_, "expires") => ("no_expiry", kind.block()),
        (_, "subject") => ("no_subject", kind.block()),
        (_, "reason") => ("no_reason", kind.block()),
        // A call presentation without its kind is a hop with facts that no hop has.
        (Kind::Call, "presentation") => ("content", 2),
        _ => ("fact", kind.block()),
    }
}

fn of_types(kind: Kind, name: &'static str) -> Vec<Case> {
    let others = TERMS.iter().filter(|(of, _)| *of != type_of(name));
    let others = others.map(|(of, term)| {
        let what = format!("{} with {of} for {name}", kind.name());
        refused(&what, &kind.with(name, term), "fact", kind.block())
    });
    others.collect()
}

fn of_numbers(kind: Kind, name: &'static str, value: &str) -> Vec<Case> {
    let block = kind.block();
    let terms = |count: usize| vec![value; count].join(", ");
    let twice = match kind.facts().iter().any(|fact| fact.0 == name) {
        true => kind.and(&format!("{name}({value});")),
        false => kind.and(&format!("{name}({value}); {name}({value});")),
    };
    let none = kind.with(name, value).edit(block, |content| {
        let number = super::number_of(content, name);
        let fact = content.facts.iter_mut().find(|fact| fact.predicate.name == number);
        fact.unwrap().predicate.terms.clear();
    });
    vec![
        refused(&format!("{} with {name} said twice", kind.name()), &twice, "fact", block),
        refused(
            &format!("{} with two terms in {name}", kind.name()),
            &kind.with(name, &terms(2)),
            "fact",
            block,
        ),
        refused(&format!("{} with no term in {name}", kind.name()), &none, "fact", block),
    ]
}

/// Values of the right type that nothing has.
fn out_of_range() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, name, values) in [
        (Kind::Grant, "hardtack", vec!["0", "2", "-1", "4294967297", "9223372036854775807"]),
        (Kind::Grant, "max_depth", vec!["-1", "14", "256", "4294967304", "-9223372036854775808"]),
        (Kind::Hop, "hop", vec!["0", "2", "3", "-1", "4294967297", "9223372036854775807"]),
        (Kind::Session, "hop", vec!["0", "1", "3", "-2", "4294967298", "-9223372036854775808"]),
        (Kind::Session, "presentation", vec!["\"\"", "\"Session\"", "\"session \"", "\"both\""]),
        (Kind::Call, "presentation", vec!["\"session\"", "\"CALL\"", "\"calls\""]),
    ] {
        for value in values {
            let what = format!("{} with {name}({value})", kind.name());
            cases.push(refused(&what, &kind.with(name, value), "fact", kind.block()));
        }
    }
    for (kind, name, right) in [
        (Kind::Call, "digest", 32),
        (Kind::Call, "nonce", 16),
        (Kind::Call, "parent", 16),
        (Kind::Session, "parent", 16),
        (Kind::Hop, "parent", 16),
    ] {
        for length in [0, right - 1, right + 1, 2 * right] {
            let what = format!("{} with {name} of {length} bytes", kind.name());
            let forge = kind.with(name, &format!("hex:{}", "07".repeat(right)));
            let forge = forge.edit(kind.block(), |content| {
                super::set_bytes(content, name, vec![7; length]);
            });
            cases.push(refused(&what, &forge, "fact", kind.block()));
        }
        if name == "parent" {
            let what = format!("{} with the parent of another", kind.name());
            let forge = kind.with(name, &format!("hex:{}", "07".repeat(16)));
            cases.push(refused(&what, &forge, "other_parent", kind.block()));
        }
    }
    for kind in Kind::ALL {
        for name in ["issued", "expires"] {
            if !kind.facts().iter().any(|fact| fact.0 == name) {
                continue;
            }
            for (when, date) in
                [("the year 10000", 253_402_300_800), ("the end of numbers", u64::MAX)]
            {
                let what = format!("{} with {name} in {when}", kind.name());
                let forge = kind.and("").edit(kind.block(), |content| {
                    super::set_date(content, name, date);
                });
                cases.push(refused(&what, &forge, "content", kind.block()));
            }
        }
    }
    cases
}

/// Texts that are no names.
fn names() -> Vec<Case> {
    let long = "a".repeat(128);
    let mut cases = vec![
        accepted(
            "a subject of 128 letters",
            &Kind::Grant.with("subject", &format!("\"a:{}\"", &long[2..])),
        ),
        accepted("an agent of 128 letters", &Kind::Hop.with("delegate", &format!("\"{long}\""))),
        accepted("a reason in many scripts", &Kind::Hop.with("reason", "\"für Zoë, 東京\"")),
    ];
    for (kind, name, values) in [
        (
            Kind::Grant,
            "subject",
            vec![
                ("empty", String::new()),
                ("without a colon", "alice".to_owned()),
                ("with a space", "user: alice".to_owned()),
                ("with a Cyrillic letter", "user:\u{430}lice".to_owned()),
                ("with a zero", "user:alice\0".to_owned()),
                ("with a line end", "user:alice\n".to_owned()),
                ("with a mark that turns the direction", "user:\u{202e}ecila".to_owned()),
                ("a byte too long", format!("a:{}", &long[1..])),
                ("with a quotation mark", "user:\\\"alice".to_owned()),
                ("with an asterisk", "user:*".to_owned()),
            ],
        ),
        (
            Kind::Hop,
            "delegate",
            vec![
                ("empty", String::new()),
                ("like a subject", "user:alice".to_owned()),
                ("with a space", "agent researcher".to_owned()),
                ("with a Greek letter", "\u{3b1}gent".to_owned()),
                ("with a combining mark", "agent.re\u{301}".to_owned()),
                ("with a character of no width", "agent.\u{200b}researcher".to_owned()),
                ("with an escape of a terminal", "agent\u{1b}[31m".to_owned()),
                ("a byte too long", format!("a{long}")),
            ],
        ),
        (
            Kind::Hop,
            "reason",
            vec![
                ("empty", String::new()),
                ("blank", "   ".to_owned()),
                ("of two lines", "find\\nand delete".to_owned()),
                ("with an escape of a terminal", "find\u{1b}[2K".to_owned()),
                ("with a mark that turns the direction", "find \u{202e}page".to_owned()),
                ("of invisible letters", "\u{3164}\u{3164}".to_owned()),
                ("with a tag character", "find\u{e0041}".to_owned()),
                ("with a selector of variants", "find\u{fe0f}".to_owned()),
                ("with a zero", "find\0".to_owned()),
                ("of 257 bytes", "a".repeat(257)),
                ("of 86 letters of three bytes", "東".repeat(86)),
            ],
        ),
    ] {
        for (what, value) in values {
            let forge = kind.with(name, &format!("\"{value}\""));
            cases.push(refused(&format!("{name} {what}"), &forge, "name", kind.block()));
        }
    }
    cases
}
