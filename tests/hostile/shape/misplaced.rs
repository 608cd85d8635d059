//! Misplaced: facts that are not a block's to assert, and names that no fact has.

use biscuit_auth::format::schema;

use super::{Kind, accepted, refused, with_caveat};
use crate::case::Case;

/// What only blocks say, with a term as it should be.
const OF_BLOCKS: [(&str, &str); 15] = [
    ("hardtack", "1"),
    ("subject", "\"user:bob\""),
    ("scope", "\"tools:call:search\""),
    ("audience", "\"notion.mcp\""),
    ("issued", "2026-11-23T10:00:00Z"),
    ("expires", "2026-11-23T10:01:00Z"),
    ("max_depth", "8"),
    ("holder", "hex:00"),
    ("delegate", "\"agent.a\""),
    ("reason", "\"a\""),
    ("parent", "hex:00112233445566778899aabbccddeeff"),
    ("hop", "2"),
    ("presentation", "\"session\""),
    ("digest", "hex:00"),
    ("nonce", "hex:00"),
];

/// What only the verifier says.
const OF_THE_VERIFIER: [(&str, &str); 19] = [
    ("time", "2020-01-01T00:00:00Z"),
    ("operation", "\"tools:call:search\""),
    ("resource", "\"https://example.com/\""),
    ("tool", "\"search\""),
    ("arg", "\"amount\", 1"),
    ("verifier", "\"notion.mcp\""),
    ("depth", "0"),
    ("call", "hex:00"),
    ("agent", "\"agent.orchestrator\""),
    ("agent_key", "\"00\""),
    ("delegated", "1, \"user:alice\", \"agent.a\""),
    ("delegated_key", "1, \"00\", \"01\""),
    ("granted", "\"tools:call:delete\""),
    ("unbound", "1"),
    ("presented", "\"call\""),
    ("issuer", "\"hr\""),
    ("weekday", "\"UTC\", 1"),
    ("minute_of_day", "\"UTC\", 600"),
    ("grant_age", "0"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        accepted(
            "a fact about the subject",
            &Kind::Grant.and("role(\"admin\"); owner(\"a\", [1], null);"),
        ),
        accepted("a caveat", &with_caveat("check if operation($operation)")),
    ];
    let fact = |(name, term): (&str, &str)| format!("{name}({term});");
    for predicate in OF_BLOCKS {
        for kind in Kind::ALL {
            if let Some(cause) = of_block(kind, predicate.0) {
                let what = format!("{} says {}", kind.name(), predicate.0);
                cases.push(refused(&what, &kind.and(&fact(predicate)), cause, kind.block()));
            }
        }
        let cause = match predicate.0 {
            // It is a hop or a presentation then, and one without the rest.
            "hop" | "presentation" => "fact",
            // It is looked at before the kind of the block.
            "parent" => "other_parent",
            _ => "block_kind",
        };
        let what = format!("a caveat says {}", predicate.0);
        cases.push(refused(&what, &with_caveat(&fact(predicate)), cause, 2));
    }
    for predicate in OF_THE_VERIFIER {
        for kind in Kind::ALL {
            let what = format!("{} says {}, which is the verifier's", kind.name(), predicate.0);
            cases.push(refused(&what, &kind.and(&fact(predicate)), "content", kind.block()));
        }
        let what = format!("a caveat says {}, which is the verifier's", predicate.0);
        cases.push(refused(&what, &with_caveat(&fact(predicate)), "block_kind", 2));
    }
    for kind in [Kind::Hop, Kind::Session, Kind::Call] {
        let what = format!("{} says something about the subject", kind.name());
        cases.push(refused(&what, &kind.and("role(\"admin\");"), "content", kind.block()));
    }
    let what = "a caveat says something about the subject";
    cases.push(refused(what, &with_caveat("role(\"admin\");"), "block_kind", 2));
    cases.extend(odd_names());
    cases
}

/// Why a block of the kind is refused that says this too; nothing where it may.
fn of_block(kind: Kind, name: &str) -> Option<&'static str> {
    let own: &[&str] = match kind {
        Kind::Grant => &["hardtack", "subject", "issued", "expires", "max_depth", "holder"],
        Kind::Hop => &["hop", "delegate", "expires", "reason", "holder"],
        Kind::Session => &["hop", "presentation", "audience", "expires"],
        Kind::Call => &["hop", "presentation", "audience", "expires", "digest", "nonce"],
    };
    match (kind, name) {
        // May stand there, and is tried elsewhere with what it may say.
        (Kind::Grant | Kind::Hop, "scope" | "audience") => None,
        (Kind::Hop | Kind::Session | Kind::Call, "parent") => Some("other_parent"),
        // Said twice, which is tried with the facts themselves.
        (_, name) if own.contains(&name) => None,
        (Kind::Session, "digest" | "nonce") => Some("fact"),
        _ => Some("content"),
    }
}

/// Names that Datalog could not write, asserted by the root.
fn odd_names() -> Vec<Case> {
    let named = |name: &str| {
        Kind::Grant.and("").edit(0, |block| {
            let number = super::word(block, name);
            let predicate = schema::Predicate { name: number, ..block.facts[0].predicate.clone() };
            block.facts.push(schema::Fact { predicate });
        })
    };
    let long = "a".repeat(128);
    let mut cases = vec![
        accepted("a fact of a name with a colon", &named("team:role_2")),
        accepted("a fact of a name of 128 letters", &named(&long)),
    ];
    for (what, name) in [
        ("of no letters", ""),
        ("that begins with a digit", "9lives"),
        ("that begins with an underscore", "_role"),
        ("that begins with a colon", ":role"),
        ("with a space", "a role"),
        ("with a space after a reserved one", "holder "),
        ("with a hyphen", "a-role"),
        ("with a dot", "a.role"),
        ("with a bracket", "role(\"admin\"); hop"),
        ("with a dollar sign", "$role"),
        ("with an accent", "r\u{f4}le"),
        ("with a Cyrillic letter in a reserved one", "sc\u{43e}pe"),
        ("with a character of no width", "holder\u{200b}"),
        ("with a zero", "holder\0"),
        ("with a line end", "role\n"),
        ("with an escape of a terminal", "role\u{1b}[0m"),
        ("with a letter too many", &format!("a{long}")),
    ] {
        cases.push(refused(&format!("a fact of a name {what}"), &named(name), "content", 0));
    }
    cases
}
