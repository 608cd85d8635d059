//! Integers: calls with integers of 64 bits, where a verifier takes them.

use crate::case::{Case, search};
use crate::token::*;

/// Where a verifier is told that the server takes them, integers have 64 bits, and two of them never have one digest.
pub fn cases() -> Vec<Case> {
    let asked = |json: &str| search().told(|options| options.large_integers = true).arguments(json);
    let one = r#"{"id": 9007199254740993, "of": [-9223372036854775808, {"\u20ac": 9223372036854775807}], "b": 1.5}"#;
    let bound = with_last(for_call(2, &asked(one).call().unwrap()));
    let bound = Case::of("a presentation for one call: integers of 64 bits", &bound)
        .ok("", asked(one))
        .ok("other spaces", asked(&one.replace(' ', "")))
        .with("its neighbour", asked(&one.replace("993", "992")).refused("other_call", None))
        .with(
            "a text",
            asked(&one.replace("9007199254740993", "\"9007199254740993\""))
                .refused("other_call", None),
        )
        .with("without the option", search().arguments(one).refused("inexact_call", None));
    let check = r#"check if arg("id", $id), $id > 9007199254740992;"#;
    let checked = hop_that_says(check);
    let refused = [
        ("beyond 64 bits", r#"{"id": 9223372036854775808}"#),
        ("beyond 64 bits, below", r#"{"id": -9223372036854775809}"#),
        ("with a fraction", r#"{"id": 9007199254740993.0}"#),
        ("with an exponent", r#"{"id": 9007199254740993e0}"#),
        ("with an exponent, and no digits more", r#"{"id": 1e16}"#),
    ];
    let case = Case::of("integers of 64 bits in a check", &checked)
        .ok("above", asked(r#"{"id": 9007199254740993}"#))
        .with("not above", asked(r#"{"id": 9007199254740992}"#).refused("check_failed", Some(1)))
        .ok("an exponent of a small one", asked(r#"{"id": 9007199254740993, "n": 1e3}"#))
        .with(
            "in params",
            asked(r#"{}"#).params(r#"{"n": 9007199254740993}"#).refused("inexact_call", None),
        );
    let case = refused.into_iter().fold(case, |case, (title, json)| {
        case.with(title, asked(json).refused("inexact_call", None))
    });
    vec![bound, case]
}
