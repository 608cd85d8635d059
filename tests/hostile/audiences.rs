//! Audiences: is this server the one that is meant, and may the chain be used here at all?

use biscuit_auth::builder::{Term, string};

use crate::case::{Case, Server};
use crate::chain::{Block, Chain, date, no_texts, number};
use hardtack_testkit::forge::pair;
use hardtack_testkit::{AUDIENCE, Cast};

pub fn cases() -> Vec<Case> {
    let mut cases = accepted();
    cases.extend(no_audiences());
    cases.extend(of_other_types());
    cases.extend(nearly_this_server());
    cases.extend(wider());
    cases.extend(elsewhere());
    cases.extend(in_the_order());
    cases.extend(by_the_checks());
    cases
}

/// What is no audience, wherever one is named.
fn no_audiences() -> Vec<Case> {
    let long = format!("notion.mcp/{}", "a".repeat(246));
    let bad = [
        ("nothing", ""),
        ("257 bytes", &long),
        ("a space", "notion mcp"),
        ("a space first", " notion.mcp"),
        ("a space last", "notion.mcp "),
        ("a space alone", " "),
        ("a list with spaces", "notion.mcp mail.mcp"),
        ("a tab", "notion.mcp\t"),
        ("a line's end", "notion.mcp\n"),
        ("a carriage return", "notion.mcp\rmail.mcp"),
        ("a NUL at the end", "notion.mcp\0"),
        ("a NUL that hides the rest", "notion.mcp\0.evil.example"),
        ("an escape sequence", "notion.mcp\u{1b}[8m"),
        ("a DEL", "notion.mcp\u{7f}"),
        ("a next line", "notion.mcp\u{85}"),
        ("a letter with its accent", "noti\u{f6}n.mcp"),
        ("a Cyrillic letter", "n\u{43e}tion.mcp"),
        ("a fullwidth letter", "\u{ff4e}otion.mcp"),
        ("a fullwidth dot", "notion\u{ff0e}mcp"),
        ("an ideographic dot", "notion\u{3002}mcp"),
        ("a zero-width space", "notion\u{200b}.mcp"),
        ("a soft hyphen", "no\u{ad}tion.mcp"),
        ("an override of the direction", "\u{202e}pcm.noiton"),
        ("a byte order mark", "\u{feff}notion.mcp"),
        ("a no-break space", "notion.mcp\u{a0}"),
        ("a slash that is none", "notion.mcp\u{2215}x"),
    ];
    let places = [("granted", 0), ("passed on", 1), ("presented", 2)];
    let case = |(what, audience): (&str, &str)| {
        places.map(|(place, block)| {
            let chain = Chain::of(1).block(block, |said| said.audiences(&[audience]));
            refused(&format!("{what}, {place}"), chain, "name", block)
        })
    };
    let mut cases: Vec<Case> = bad.into_iter().flat_map(case).collect();
    let beside = |what: &str, block, audiences: [&str; 2]| {
        let chain = Chain::of(1).block(block, |said| said.audiences(&audiences));
        refused(what, chain, "name", block)
    };
    cases.extend([
        beside("a bad one after a good one, granted", 0, [AUDIENCE, "mail mcp"]),
        beside("a bad one before a good one, granted", 0, ["", AUDIENCE]),
        beside("a bad one after a good one, passed on", 1, [AUDIENCE, "notion.mcp\0"]),
    ]);
    cases
}

fn of_other_types() -> Vec<Case> {
    let mut cases = Vec::new();
    let change = |what: &str, block: usize, cause, change: &dyn Fn(Block) -> Block| {
        refused(what, Chain::of(1).block(block, change), cause, block)
    };
    let set = || Term::Set([string(AUDIENCE), string("mail.mcp")].into());
    for (place, block) in [("granted", 0), ("passed on", 1), ("presented", 2)] {
        for (what, value) in no_texts() {
            cases.push(change(&format!("{what} for one, {place}"), block, "fact", &|said| {
                said.with("audience", value.clone())
            }));
        }
        cases.push(change(&format!("a set of two, {place}"), block, "fact", &|said| {
            said.with("audience", set())
        }));
        cases.push(change(&format!("one twice, {place}"), block, "fact", &|said| {
            said.audiences(&[AUDIENCE, AUDIENCE])
        }));
        cases.push(change(&format!("of two terms, {place}"), block, "fact", &|said| {
            said.without("audience").fact("audience", vec![string(AUDIENCE), string("mail.mcp")])
        }));
        cases.push(change(&format!("of no terms, {place}"), block, "fact", &|said| {
            said.without("audience").fact("audience", vec![])
        }));
    }
    let presented =
        |what: &str, audiences: &[&str]| change(what, 2, "fact", &|said| said.audiences(audiences));
    cases.extend([
        presented("presented to nobody", &[]),
        presented("presented to two", &[AUDIENCE, "mail.mcp"]),
        presented("presented to two, this one last", &["mail.mcp", AUDIENCE]),
        presented("presented to all that are granted", &["a.mcp", "b.mcp", AUDIENCE]),
    ]);
    cases
}

/// What some reader might take for this server's name, and is another.
const NEARLY: [(&str, &str); 44] = [
    ("a capital", "Notion.mcp"),
    ("capitals", "NOTION.MCP"),
    ("a dot at the end", "notion.mcp."),
    ("a dot at the start", ".notion.mcp"),
    ("two dots", "notion..mcp"),
    ("a port", "notion.mcp:443"),
    ("a colon", "notion.mcp:"),
    ("a scheme", "https://notion.mcp"),
    ("a scheme and a slash", "https://notion.mcp/"),
    ("slashes before", "//notion.mcp"),
    ("a slash behind", "notion.mcp/"),
    ("a path", "notion.mcp/mcp"),
    ("a step here", "./notion.mcp"),
    ("a user before", "mail.mcp@notion.mcp"),
    ("a host behind", "notion.mcp@mail.mcp"),
    ("a domain behind", "notion.mcp.evil.example"),
    ("a label before", "api.notion.mcp"),
    ("a percent-encoded dot", "notion%2Emcp"),
    ("a percent-encoded letter", "notio%6E.mcp"),
    ("a percent-encoded NUL", "notion.mcp%00"),
    ("a hyphen for the dot", "notion-mcp"),
    ("no dot", "notionmcp"),
    ("a letter less", "notion.mc"),
    ("a letter more", "notion.mcpp"),
    ("a digit for a letter", "n0tion.mcp"),
    ("letters that look like one", "rnotion.mcp"),
    ("a name in Punycode", "xn--ntion-jua.mcp"),
    ("everything", "*"),
    ("everything below", "*.mcp"),
    ("a star behind", "notion.*"),
    ("a question mark", "notion?mcp"),
    ("a regular expression", "^notion[.]mcp$"),
    ("a list with commas", "notion.mcp,mail.mcp"),
    ("a list with semicolons", "notion.mcp;mail.mcp"),
    ("a list in JSON", "[\"notion.mcp\"]"),
    ("quotes", "\"notion.mcp\""),
    ("brackets", "[notion.mcp]"),
    ("a fragment", "notion.mcp#x"),
    ("a query", "notion.mcp?x"),
    ("a backslash", "notion.mcp\\"),
    ("a name of URNs", "urn:notion.mcp"),
    ("labels in another order", "mcp.notion"),
    ("a negation of another", "!mail.mcp"),
    ("Datalog", "x\");audience(\"notion.mcp"),
];

/// It is another where it is presented, and another where it is passed on.
fn nearly_this_server() -> Vec<Case> {
    let presented = NEARLY.map(|(what, audience)| {
        let chain = Chain::of(1).presentation(|said| said.audiences(&[audience]));
        anywhere(&format!("presented with {what}"), chain)
    });
    let passed_on = NEARLY.map(|(what, audience)| {
        let chain = Chain::of(1)
            .block(0, |said| said.audiences(&[AUDIENCE]))
            .block(1, |said| said.audiences(&[audience]));
        refused(&format!("passed on with {what}"), chain, "audience_wider", 1)
    });
    let granted = NEARLY.map(|(what, audience)| {
        let chain = Chain::of(1).block(0, |said| said.audiences(&[audience]));
        refused(&format!("granted with {what}"), chain, "audience_wider", 2)
    });
    presented.into_iter().chain(passed_on).chain(granted).collect()
}

/// What each block names, from the grant to the presentation; the block that widens.
fn wider() -> Vec<Case> {
    let table: &[(&str, &[&[&str]], usize)] = &[
        ("a new one at the hop", &[&["mail.mcp"], &[AUDIENCE], &[AUDIENCE]], 1),
        ("a new one beside the old", &[&["mail.mcp"], &["mail.mcp", AUDIENCE], &[AUDIENCE]], 1),
        ("a new one before the old", &[&["mail.mcp"], &[AUDIENCE, "mail.mcp"], &[AUDIENCE]], 1),
        ("one of two is new", &[&["a", "b"], &["a", AUDIENCE], &[AUDIENCE]], 1),
        ("a new one in the presentation", &[&["mail.mcp"], &["mail.mcp"], &[AUDIENCE]], 2),
        ("a hop that names none keeps the grant's", &[&["mail.mcp"], &[], &[AUDIENCE]], 2),
        ("hops that name none keep the grant's", &[&["mail.mcp"], &[], &[], &[], &[AUDIENCE]], 4),
        ("a grant that names none, and a hop", &[&[], &["mail.mcp"], &[AUDIENCE]], 2),
        ("a hop that names none keeps the hop's", &[&[], &["mail.mcp"], &[], &[AUDIENCE]], 3),
        ("given up and taken back", &[&["a", AUDIENCE], &["a"], &[AUDIENCE], &[AUDIENCE]], 2),
        ("given up and presented", &[&["a", AUDIENCE], &["a"], &["a"], &[AUDIENCE]], 3),
        (
            "given up, kept, and taken back",
            &[&["a", AUDIENCE], &["a"], &[], &[AUDIENCE], &["a"]],
            3,
        ),
        ("the first of two that widen", &[&["a"], &["b"], &[AUDIENCE], &[AUDIENCE]], 1),
        ("swapped, and swapped back", &[&[AUDIENCE], &["mail.mcp"], &[AUDIENCE], &[AUDIENCE]], 1),
        ("two halves and both", &[&["a", AUDIENCE], &["a"], &["a", AUDIENCE], &[AUDIENCE]], 2),
        (
            "widened far from where it is presented",
            &[&["a", AUDIENCE], &[], &["c", AUDIENCE], &[AUDIENCE]],
            2,
        ),
        ("widened, though presented as granted", &[&[AUDIENCE], &[AUDIENCE, "a"], &[AUDIENCE]], 1),
        ("everything, though presented as granted", &[&[AUDIENCE], &["*"], &[AUDIENCE]], 1),
        ("a grant for everything is for `*`", &[&["*"], &[AUDIENCE], &[AUDIENCE]], 1),
        ("presented by the subject itself", &[&["mail.mcp"], &[AUDIENCE]], 1),
        ("a server and the site that it is on", &[&["mcp"], &[AUDIENCE], &[AUDIENCE]], 1),
    ];
    let mut cases: Vec<Case> = table
        .iter()
        .map(|(what, audiences, block)| {
            refused(&format!("wider: {what}"), each(audiences), "audience_wider", *block)
        })
        .collect();
    cases.extend((2..=8).map(|hop| {
        let chain = Chain::of(8).block(1, |said| said.audiences(&["mail.mcp", AUDIENCE]));
        let chain = chain.block(hop - 1, |said| said.audiences(&["mail.mcp"]));
        let chain = chain.block(hop, |said| said.audiences(&[AUDIENCE]));
        refused(&format!("wider: taken back at hop {hop} of 8"), chain, "audience_wider", hop)
    }));
    cases
}

/// Fine tokens that are for others, or that nobody presented.
fn elsewhere() -> Vec<Case> {
    let longest = "a".repeat(256);
    let table: &[(&str, &[&[&str]])] = &[
        ("to the only one that is granted", &[&["mail.mcp"], &["mail.mcp"], &["mail.mcp"]]),
        ("to another of two", &[&["mail.mcp", AUDIENCE], &[], &["mail.mcp"]]),
        ("to another, though a hop names this one too", &[&[], &[AUDIENCE, "a"], &["a"]]),
        ("to another, by the subject itself", &[&[], &["mail.mcp"]]),
        (
            "to another, by the last of thirteen",
            &[&[], &[], &[], &[], &[], &[], &[], &[], &[], &[], &[], &[], &[], &[], &["a"]],
        ),
        ("to a name of 256 bytes", &[&[], &[], &[&longest]]),
    ];
    let mut cases: Vec<Case> =
        table.iter().map(|(what, audiences)| anywhere(what, each(audiences))).collect();
    let digest = hardtack::Call::tool("search").unwrap().digest();
    let bound = each(&[&[], &[], &["mail.mcp"]]).bound_to(digest);
    cases.push(anywhere("to another, bound to the call", bound).to(Server::Fresh));
    let mut unpresented = Chain::of(1).forge();
    unpresented.blocks.pop();
    let bare = Chain::of(1).block(1, |said| said.audiences(&[AUDIENCE])).forge();
    let bare = bare.change(|forge| drop(forge.blocks.pop()));
    let grant = Chain::of(0).block(0, |said| said.audiences(&[AUDIENCE])).forge();
    let grant = grant.change(|forge| drop(forge.blocks.pop()));
    for (what, forge) in [
        ("a hop that is presented to nobody", unpresented),
        ("a hop that names this server and is not presented", bare),
        ("a grant that names this server and is not presented", grant),
    ] {
        let name = format!("audiences/{what}");
        cases.push(Case::refused(name, forge.bearer(), "not_presented", None));
    }
    cases
}

/// Refused for the first in the order of the profile.
fn in_the_order() -> Vec<Case> {
    let wider = || each(&[&["mail.mcp"], &[AUDIENCE], &[AUDIENCE]]);
    let elsewhere = || each(&[&[], &[], &["mail.mcp"]]);
    let by_thief = |chain: Chain, block: usize| {
        let thief = Some(pair(&Cast::new().thief));
        chain.forge().change(|forge| forge.blocks[block].signer = thief).bearer()
    };
    let case = |what: &str, chain: Chain, cause, block| refused(what, chain, cause, block);
    let thief = |what: &str, bearer: String, block| {
        Case::refused(format!("audiences/{what}"), bearer, "wrong_signer", Some(block))
    };
    vec![
        case(
            "order: wider before longer",
            wider().block(1, |b| b.expires(3601)),
            "audience_wider",
            1,
        ),
        case(
            "order: wider before elsewhere",
            each(&[&["a"], &[], &["mail.mcp"]]),
            "audience_wider",
            2,
        ),
        case(
            "order: a scope before an audience",
            wider().block(1, |b| b.scopes(&["*"])),
            "scope_wider",
            1,
        ),
        case(
            "order: too deep before wider",
            wider().block(0, |b| b.with("max_depth", number(0))),
            "too_deep",
            1,
        ),
        case(
            "order: expired before elsewhere",
            elsewhere().presentation(|b| b.expires(0)),
            "expired",
            2,
        ),
        case(
            "order: longer before elsewhere",
            elsewhere().presentation(|b| b.expires(601)),
            "expiry_wider",
            2,
        ),
        case(
            "order: too long before elsewhere",
            elsewhere().block(1, |b| b.expires(900)).presentation(|b| b.expires(601)),
            "too_long_lived",
            2,
        ),
        case(
            "order: issued in the future before elsewhere",
            elsewhere().block(0, |b| b.with("issued", date(61))),
            "not_yet_issued",
            0,
        ),
        thief("order: a thief's hop before wider", by_thief(wider(), 1), 1),
        thief("order: a thief's presentation before elsewhere", by_thief(elsewhere(), 2), 2),
    ]
}

/// The facts name this server and the checks do not.
fn by_the_checks() -> Vec<Case> {
    let other = r#"check all verifier($v), {"mail.mcp"}.contains($v)"#;
    let case = |what: &str, block, check: &str| {
        let chain = Chain::of(1).block(block, |said| said.check(check));
        refused(&format!("checked: {what}"), chain, "check_failed", block)
    };
    vec![
        case("another, granted", 0, other),
        case("another, passed on", 1, other),
        case("another, presented", 2, other),
        case("capitals", 1, r#"check if verifier("Notion.mcp")"#),
        case("none", 1, r#"reject if verifier($v)"#),
        case("a site below", 1, r#"check all verifier($v), $v.ends_with(".notion.mcp")"#),
        case("what the presentation says", 1, r#"check if audience("notion.mcp")"#),
        case("two at once", 1, r#"check if verifier("notion.mcp"), verifier("mail.mcp")"#),
    ]
}

/// The same from inside.
fn accepted() -> Vec<Case> {
    let longest = "a".repeat(256);
    let table: &[(&str, &[&[&str]])] = &[
        ("named by each", &[&[AUDIENCE], &[AUDIENCE], &[AUDIENCE]]),
        ("named by the grant alone", &[&[AUDIENCE], &[], &[AUDIENCE]]),
        ("named by the hop alone", &[&[], &[AUDIENCE], &[AUDIENCE]]),
        ("one of many", &[&["a", "b", AUDIENCE, "c"], &["c", AUDIENCE], &[AUDIENCE]]),
        ("beside one of 256 bytes", &[&[&longest, AUDIENCE], &[&longest, AUDIENCE], &[AUDIENCE]]),
        (
            "beside one of all marks",
            &[&["!#$%&'()*+,-./:;<=>?@[]^_`{|}~", AUDIENCE], &[], &[AUDIENCE]],
        ),
        ("kept by eight hops", &[&[AUDIENCE], &[], &[], &[], &[], &[], &[], &[], &[], &[AUDIENCE]]),
        (
            "narrower at each hop",
            &[&["a", "b", AUDIENCE], &["b", AUDIENCE], &[AUDIENCE], &[AUDIENCE]],
        ),
    ];
    table
        .iter()
        .map(|(what, audiences)| {
            Case::accepted(format!("audiences/{what}"), each(audiences).bearer())
        })
        .collect()
}

/// A chain whose blocks name these.
fn each(audiences: &[&[&str]]) -> Chain {
    let chain = Chain::of(audiences.len() - 2);
    audiences.iter().enumerate().fold(chain, |chain, (block, audiences)| {
        chain.block(block, |said| said.audiences(audiences))
    })
}

fn anywhere(what: &str, chain: Chain) -> Case {
    Case::refused(format!("audiences/{what}"), chain.bearer(), "wrong_audience", None)
}

fn refused(what: &str, chain: Chain, cause: &'static str, block: usize) -> Case {
    Case::refused(format!("audiences/{what}"), chain.bearer(), cause, Some(block))
}
