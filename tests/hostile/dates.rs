//! Dates: what is no moment, or one that nobody can write, and checks that look at the clock.

use std::collections::BTreeSet;

use biscuit_auth::builder::{MapKey, Term, string};

use crate::case::Case;
use crate::chain::{Block, Chain, date, key, number};
use hardtack_testkit::forge::{Part, payload, throw_away};

pub fn cases() -> Vec<Case> {
    let mut cases = no_dates();
    cases.extend(out_of_range());
    cases.extend(too_many_or_none());
    cases.extend(checks());
    cases.extend(checks_that_cannot_be_evaluated());
    cases.extend(caveats());
    cases
}

/// Where a moment is said, and the block.
const PLACES: [(&str, &str, usize); 4] = [
    ("a grant's expiry", "expires", 0),
    ("a grant's issue", "issued", 0),
    ("a hop's expiry", "expires", 1),
    ("a presentation's expiry", "expires", 2),
];

fn no_dates() -> Vec<Case> {
    let soon = 1_795_428_120;
    let values = [
        ("seconds as a number", Term::Integer(soon)),
        ("milliseconds as a number", Term::Integer(soon * 1000)),
        ("a negative number", Term::Integer(-1)),
        ("the largest number", Term::Integer(i64::MAX)),
        ("a text", string("2026-11-23T10:02:00Z")),
        ("seconds as a text", string("1795428120")),
        ("never, as a text", string("never")),
        ("nothing", Term::Null),
        ("a truth value", Term::Bool(true)),
        ("bytes", Term::Bytes(soon.to_be_bytes().to_vec())),
        ("an array", Term::Array(vec![date(120)])),
        ("a set of two", Term::Set(BTreeSet::from([date(120), date(9000)]))),
        ("a map", Term::Map([(MapKey::Integer(0), date(120))].into())),
    ];
    let case = |(what, value): (&str, Term)| {
        PLACES.map(|(place, predicate, block)| {
            let chain = Chain::of(1).block(block, |said| said.with(predicate, value.clone()));
            refused(&format!("{place} is {what}"), chain, "fact", block)
        })
    };
    values.into_iter().flat_map(case).collect()
}

fn out_of_range() -> Vec<Case> {
    let dates = [
        ("the first second of the year 10000", 253_402_300_800),
        ("seconds with milliseconds", 1_795_428_120_000),
        ("the largest number with a sign", i64::MAX.unsigned_abs()),
        ("the first that would be negative", i64::MAX.unsigned_abs() + 1),
        ("the largest of all", u64::MAX),
    ];
    let case = |(what, seconds): (&str, u64)| {
        PLACES.map(|(place, predicate, block)| {
            let chain = Chain::of(1).block(block, |said| said.with(predicate, Term::Date(seconds)));
            refused(&format!("{place} is {what}"), chain, "content", block)
        })
    };
    let mut cases: Vec<Case> = dates.into_iter().flat_map(case).collect();
    let early = [("1970", 0), ("a second after 1970", 1)];
    cases.extend([0, 1, 2].into_iter().flat_map(|block| {
        early.map(move |(what, seconds)| {
            let chain = Chain::of(1).block(block, |said| said.with("expires", Term::Date(seconds)));
            refused(&format!("block {block} expires in {what}"), chain, "expired", block)
        })
    }));
    let in_a_check = [
        ("a date beyond in a check", "check if time($t), $t < 2026-11-23T11:00:00Z", u64::MAX),
        (
            "the year 10000 in a check",
            "check if time($t), $t < 2026-11-23T11:00:00Z",
            253_402_300_800,
        ),
    ];
    cases.extend(in_a_check.map(|(what, check, seconds)| {
        use biscuit_auth::format::schema::{op, term::Content};
        let forge = Chain::of(1).block(1, |said| said.check(check)).forge().edit(1, |block| {
            for op in &mut block.checks[0].queries[0].expressions[0].ops {
                if let Some(op::Content::Value(term)) = &mut op.content
                    && matches!(term.content, Some(Content::Date(_)))
                {
                    term.content = Some(Content::Date(seconds));
                }
            }
        });
        Case::refused(format!("time/{what}"), forge.bearer(), "content", Some(1))
    }));
    cases
}

fn too_many_or_none() -> Vec<Case> {
    let case = |(place, predicate, block): (&str, &'static str, usize)| {
        let change = |what: &str, cause, change: &dyn Fn(Block) -> Block| {
            refused(&format!("{place} is {what}"), Chain::of(1).block(block, change), cause, block)
        };
        let missing = if predicate == "expires" { "no_expiry" } else { "fact" };
        [
            change("said twice, later", "fact", &|said| said.and(predicate, date(599))),
            change("said twice, expired", "fact", &|said| said.and(predicate, date(-1))),
            change("said twice, once as a text", "fact", &|b| b.and(predicate, string("never"))),
            change("of two terms", "fact", &|said| {
                said.without(predicate).fact(predicate, vec![date(0), date(250)])
            }),
            change("of no terms", "fact", &|said| said.without(predicate).fact(predicate, vec![])),
            change("not said", missing, &|said| said.without(predicate)),
        ]
    };
    let mut cases: Vec<Case> = PLACES.into_iter().flat_map(case).collect();
    let says = |what: &str, block, predicate: &str| {
        let chain = Chain::of(1).block(block, |said| said.and(predicate, date(0)));
        refused(what, chain, "content", block)
    };
    cases.extend([
        says("a hop says what time it is", 1, "time"),
        says("a presentation says what time it is", 2, "time"),
        says("a hop says when it was issued", 1, "issued"),
        says("a presentation says when it was issued", 2, "issued"),
    ]);
    for (what, block) in [("the second hop", 2), ("the last of eight", 8)] {
        let chain = Chain::of(8).block(block, |said| said.without("expires"));
        cases.push(refused(&format!("{what} does not expire"), chain, "no_expiry", block));
    }
    cases
}

/// The facts say that it lives, and a check that it does not.
fn checks() -> Vec<Case> {
    let ended = "check all time($t), $t < 2026-11-23T10:00:00Z";
    let window = "check all time($t), $t < 2026-11-23T10:01:00Z";
    let checked = |what: &str, block: usize, check: &str| {
        let chain = Chain::of(1).block(block, |said| said.check(check));
        refused(&format!("checked: {what}"), chain, "check_failed", block)
    };
    let accepted = |what: &str, check: &str| {
        let chain = Chain::of(1).block(1, |said| said.check(check));
        Case::accepted(format!("time/checked and accepted: {what}"), chain.bearer())
    };
    vec![
        checked("ended this second, granted", 0, ended),
        checked("ended this second, passed on", 1, ended),
        checked("ended this second, presented", 2, ended),
        checked("ended the second before", 1, "check all time($t), $t <= 2026-11-23T09:59:59Z"),
        checked("begins the next second", 1, "check all time($t), $t > 2026-11-23T10:00:00Z"),
        checked("begins tomorrow", 1, "check all time($t), $t >= 2026-11-24T00:00:00Z"),
        checked(
            "ends before it begins",
            1,
            "check all time($t), $t > 2026-11-23T10:00:01Z, $t < 2026-11-23T09:00:00Z",
        ),
        checked(
            "between two windows",
            1,
            "check if time($t), $t < 2026-11-23T09:00:00Z or time($t), $t > 2026-11-23T11:00:00Z",
        ),
        checked("another second", 1, "check if time($t), $t == 2026-11-23T10:00:01Z"),
        checked("not this second", 1, "check if time($t), $t != 2026-11-23T10:00:00Z"),
        checked(
            "none of these seconds",
            1,
            "check if time($t), [2026-11-23T10:00:01Z, 2026-11-23T09:59:59Z].contains($t)",
        ),
        checked("rejected from now on", 1, "reject if time($t), $t >= 2026-11-23T10:00:00Z"),
        checked("rejected at any time", 1, "reject if time($t)"),
        checked("two clocks", 1, "check if time($a), time($b), $a < $b"),
        checked("as a text", 1, r#"check if time($t), $t == "2026-11-23T10:00:00Z""#),
        checked("as a number", 1, "check if time($t), $t == 1795428000"),
        checked("of another type", 1, r#"check if time($t), $t.type() == "integer""#),
        checked("a time with a place", 1, "check if time($t, $zone)"),
        checked(
            "a clock of a key",
            1,
            "check if time($t), $t > 2099-01-01T00:00:00Z trusting authority",
        ),
        checked("when the grant was issued", 1, "check if issued($i), time($t), $t > $i"),
        checked("when the hop above ends", 2, "check if expires($e), time($t), $t > $e"),
        checked("a window that has ended", 1, window).at(60),
        checked("a window that has ended, granted", 0, window).at(60),
        checked("a window that has ended, presented", 2, window).at(60),
        accepted("a window in its last second", window).at(59),
        accepted(
            "a window that begins this second",
            "check all time($t), $t >= 2026-11-23T10:00:00Z",
        ),
        accepted(
            "one of two windows",
            "check if time($t), $t < 2026-11-23T09:00:00Z or time($t), $t > 2026-11-23T09:30:00Z",
        ),
        accepted("the last second that there is", "check all time($t), $t <= 9999-12-31T23:59:59Z"),
    ]
}

fn checks_that_cannot_be_evaluated() -> Vec<Case> {
    [
        ("compared with a number", "check all time($t), $t < 1795428001"),
        ("compared with a text", r#"check all time($t), $t < "2026-11-23T11:00:00Z""#),
        ("strictly equal to a number", "check if time($t), $t === 1795428000"),
        ("a second more", "check if time($t), $t + 1 > 2026-11-23T10:00:00Z"),
        ("two added", "check if time($t), $t + $t > 2026-11-23T10:00:00Z"),
        ("a text in it", r#"check if time($t), $t.starts_with("2026")"#),
        ("its length", "check if time($t), $t.length() > 0"),
        ("true of itself", "check if time($t), $t"),
        ("not of itself", "check if time($t), !$t"),
        ("rejected by a number", "reject if time($t), $t > 1795428001"),
        ("rejected by a text", r#"reject if time($t), $t > "9""#),
        ("read as a path", r#"check if time($t), $t.extern::hardtack_path("/")"#),
    ]
    .map(|(what, check)| {
        let chain = Chain::of(1).block(1, |said| said.check(check));
        refused(&format!("not to be evaluated: {what}"), chain, "not_evaluable", 1)
    })
    .into()
}

/// Anybody who holds an open token may append checks; none may take some away.
fn caveats() -> Vec<Case> {
    let with = |checks: &[&str]| {
        let chain = Chain::of(1).presentation(|b| b.with("hop", number(1 + checks.len() + 1)));
        let mut forge = chain.forge();
        for (at, check) in checks.iter().enumerate() {
            let part = Part {
                bytes: payload(check),
                signer: None,
                next: throw_away(8 + at),
                version: Some(1),
            };
            forge.blocks.insert(2 + at, part);
        }
        forge.bearer()
    };
    let open = "check all time($time), $time < 2026-11-23T10:05:00Z";
    let ended = "check all time($time), $time < 2026-11-23T10:00:00Z";
    let fails = |what: &str, checks: &[&str], block| {
        Case::refused(format!("time/a caveat {what}"), with(checks), "check_failed", Some(block))
    };
    let above = Chain::of(1).block(1, |said| said.check(ended));
    let above = above.presentation(|said| said.with("hop", number(3))).forge().change(|forge| {
        let part =
            Part { bytes: payload(open), signer: None, next: throw_away(8), version: Some(1) };
        forge.blocks.insert(2, part);
    });
    let signed = Chain::of(1).forge().change(|forge| {
        forge.blocks[1] = Part {
            bytes: payload(open),
            signer: Some(hardtack_testkit::forge::pair(&key(0))),
            next: throw_away(1),
            version: Some(1),
        };
    });
    vec![
        fails("that has ended", &[ended], 2),
        fails("that has ended, behind one that has not", &[open, ended], 3),
        fails("that has ended, before one that has not", &[ended, open], 2),
        fails("that rejects", &["reject if time($time), $time >= 2026-11-23T10:00:00Z"], 2),
        fails(
            "that ends before it begins",
            &["check all time($time), $time < 2026-11-23T09:00:00Z, $time > 2026-11-23T11:00:00Z"],
            2,
        ),
        Case::refused(
            "time/a caveat does not mend what is above".to_owned(),
            above.bearer(),
            "check_failed",
            Some(1),
        ),
        Case::refused(
            "time/a caveat that somebody signed".to_owned(),
            signed.bearer(),
            "block_kind",
            Some(1),
        ),
        Case::refused(
            "time/a caveat that compares with a number".to_owned(),
            with(&["check all time($time), $time < 5"]),
            "not_evaluable",
            Some(2),
        ),
        Case::refused(
            "time/a caveat has ended".to_owned(),
            with(&[open, open]),
            "expired",
            Some(4),
        )
        .at(300),
        Case::accepted("time/accepted: a caveat that holds".to_owned(), with(&[open])),
    ]
}

fn refused(what: &str, chain: Chain, cause: &'static str, block: usize) -> Case {
    Case::refused(format!("time/{what}"), chain.bearer(), cause, Some(block))
}
