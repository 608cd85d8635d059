//! Terms: values that stand where none may, that are no values, or that are too large, in a fact and in a check.

use biscuit_auth::format::schema::{Array, Empty, Map, MapEntry, MapKey, Term, TermSet};
use biscuit_auth::format::schema::{map_key, term::Content};

use super::{Kind, accepted, refused};
use crate::case::Case;
use hardtack_testkit::forge::Forge;

fn term(content: Content) -> Term {
    Term { content: Some(content) }
}

fn number(value: i64) -> Term {
    term(Content::Integer(value))
}

fn set(terms: Vec<Term>) -> Term {
    term(Content::Set(TermSet { set: terms }))
}

fn array(terms: Vec<Term>) -> Term {
    term(Content::Array(Array { array: terms }))
}

fn map(entries: Vec<(Option<map_key::Content>, Term)>) -> Term {
    let entry = |(content, value)| MapEntry { key: MapKey { content }, value };
    term(Content::Map(Map { entries: entries.into_iter().map(entry).collect() }))
}

fn key(value: i64) -> Option<map_key::Content> {
    Some(map_key::Content::Integer(value))
}

/// `time`, of Biscuit's own words.
const VARIABLE: Content = Content::Variable(5);

const NOTHING: Term = Term { content: None };

/// A word that no table has.
const UNDEFINED: u64 = 5000;

/// Arrays within arrays.
fn nested(depth: usize) -> Term {
    (0..depth).fold(number(1), |inner, _| array(vec![inner]))
}

fn wrong() -> Vec<(&'static str, Term, &'static str)> {
    let numbers = |count: i64| (0..count).map(number).collect::<Vec<_>>();
    vec![
        ("an empty term", NOTHING, "encoding"),
        ("an empty term in a set", set(vec![NOTHING]), "encoding"),
        ("an empty term in an array", array(vec![NOTHING]), "encoding"),
        ("an empty term in a map", map(vec![(key(1), NOTHING)]), "encoding"),
        ("a map's key without content", map(vec![(None, number(1))]), "encoding"),
        ("a key twice in a map", map(vec![(key(1), number(1)), (key(1), number(2))]), "encoding"),
        ("a value twice in a set", set(vec![number(1), number(1)]), "encoding"),
        (
            "numbers and truths in one set",
            set(vec![number(1), term(Content::Bool(true))]),
            "encoding",
        ),
        ("dates and numbers in one set", set(vec![term(Content::Date(1)), number(1)]), "encoding"),
        ("a set in a set", set(vec![set(vec![number(1)])]), "encoding"),
        ("an empty set in a set", set(vec![set(vec![])]), "encoding"),
        ("a set in a set in an array", array(vec![set(vec![set(vec![])])]), "encoding"),
        ("a variable in a set", set(vec![term(VARIABLE)]), "content"),
        ("a variable in an array", array(vec![term(VARIABLE)]), "content"),
        ("a variable in a map", map(vec![(key(1), term(VARIABLE))]), "content"),
        (
            "a variable in an array in a map",
            map(vec![(key(1), array(vec![term(VARIABLE)]))]),
            "content",
        ),
        ("a date after the year 9999", term(Content::Date(253_402_300_800)), "content"),
        ("such a date in an array", array(vec![term(Content::Date(u64::MAX))]), "content"),
        ("a word that is not defined", term(Content::String(UNDEFINED)), "symbols"),
        ("such a word in a set", set(vec![term(Content::String(UNDEFINED))]), "symbols"),
        ("such a word in an array", array(vec![term(Content::String(UNDEFINED))]), "symbols"),
        ("such a word in a map", map(vec![(key(1), term(Content::String(UNDEFINED)))]), "symbols"),
        (
            "such a word for a map's key",
            map(vec![(Some(map_key::Content::String(UNDEFINED)), number(1))]),
            "symbols",
        ),
        ("the word between Biscuit's and the token's", term(Content::String(28)), "symbols"),
        ("the last word before the token's", term(Content::String(1023)), "symbols"),
        ("the greatest number for a word", term(Content::String(u64::MAX)), "symbols"),
        ("65 values in a set", set(numbers(65)), "over_limit"),
        ("65 values in an array", array(numbers(65)), "over_limit"),
        (
            "65 entries in a map",
            map((0..65).map(|at| (key(at), number(at))).collect()),
            "over_limit",
        ),
        ("65 values deep within", nested_with(array(numbers(65))), "over_limit"),
        ("1025 bytes", term(Content::Bytes(vec![0; 1025])), "over_limit"),
        (
            "1025 bytes in a map",
            map(vec![(key(1), term(Content::Bytes(vec![0; 1025])))]),
            "over_limit",
        ),
        ("arrays nine deep", nested(9), "over_limit"),
        (
            "maps nine deep",
            (0..9).fold(number(1), |inner, _| map(vec![(key(1), inner)])),
            "over_limit",
        ),
        (
            "maps and arrays in turn, too deep",
            (0..5).fold(number(1), |inner, _| map(vec![(key(1), array(vec![inner]))])),
            "over_limit",
        ),
    ]
}

fn nested_with(inner: Term) -> Term {
    array(vec![map(vec![(key(1), inner)])])
}

pub(super) fn cases() -> Vec<Case> {
    let numbers = |count: i64| (0..count).map(number).collect::<Vec<_>>();
    let mut cases = Vec::new();
    for (what, value) in [
        ("null", term(Content::Null(Empty {}))),
        ("an empty set", set(vec![])),
        ("arrays eight deep", nested(8)),
        ("64 values of a map", map((0..64).map(|at| (key(at), number(at))).collect())),
        ("a set of arrays", set(vec![array(numbers(2)), array(vec![])])),
    ] {
        cases.push(accepted(&format!("{what} in a fact about the subject"), &fact(value.clone())));
        cases.push(accepted(&format!("{what} in a check"), &check(value)));
    }
    for (what, value, cause) in wrong() {
        let in_fact = refused(&format!("{what} in a fact"), &fact(value.clone()), cause, 0);
        cases.push(in_fact);
        cases.push(refused(&format!("{what} in a check"), &check(value.clone()), cause, 1));
        cases.push(refused(&format!("{what} asked for by a check"), &asked(value), cause, 1));
    }
    cases.push(refused("a variable in a fact", &fact(term(VARIABLE)), "content", 0));
    let undefined = term(Content::Variable(5000));
    cases.push(refused(
        "a variable without a name in a check",
        &check(undefined.clone()),
        "symbols",
        1,
    ));
    cases.push(refused("a variable without a name asked for", &asked(undefined), "symbols", 1));
    let many = Kind::Grant.and("role(1);").edit(0, |block| {
        block.facts.last_mut().unwrap().predicate.terms = numbers(65);
    });
    cases.push(refused("65 terms in a fact", &many, "over_limit", 0));
    cases
}

/// A fact about the subject with this term.
fn fact(value: Term) -> Forge {
    Kind::Grant.and("role(1);").edit(0, |block| {
        block.version = Some(6);
        block.facts.last_mut().unwrap().predicate.terms[0] = value;
    })
}

/// `check if value === value`: it holds for every value.
fn check(value: Term) -> Forge {
    Kind::Hop.and("check if 1 === 1;").edit(1, |block| {
        block.version = Some(6);
        for op in &mut block.checks[0].queries[0].expressions[0].ops[..2] {
            op.content = Some(biscuit_auth::format::schema::op::Content::Value(value.clone()));
        }
    })
}

/// `reject if time(value)`.
fn asked(value: Term) -> Forge {
    Kind::Hop.and("reject if time(1);").edit(1, |block| {
        block.version = Some(6);
        block.checks[0].queries[0].body[0].terms[0] = value;
    })
}
