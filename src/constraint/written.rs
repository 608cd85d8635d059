//! Tests of what may be written, up to each bound and not beyond.

use super::parse::MAX_CONSTRAINT_BYTES;
use super::{Constraint, ConstraintError};
use crate::profile::{MAX_COLLECTION, MAX_QUERIES_PER_CHECK};

fn check(text: &str) -> Result<String, ConstraintError> {
    text.parse::<Constraint>().map(|constraint| constraint.to_check().to_string())
}

fn numbered(count: usize, begin: &str) -> String {
    (0..count).map(|number| format!("{begin}{number}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn each_bound_is_met_and_not_passed() {
    let bytes = |count: usize| check(&format!("a == x{}", " ".repeat(count - "a == x".len())));
    assert_eq!(bytes(MAX_CONSTRAINT_BYTES), check("a == x"));
    assert!(matches!(bytes(MAX_CONSTRAINT_BYTES + 1), Err(ConstraintError::TooMany { .. })));

    let alternatives = |count: usize| check(&vec!["a == x"; count].join(" or "));
    assert!(alternatives(MAX_QUERIES_PER_CHECK).is_ok());
    let more = alternatives(MAX_QUERIES_PER_CHECK + 1);
    assert!(matches!(more, Err(ConstraintError::TooMany { .. })), "{more:?}");

    for (begin, item) in [("a in ", "v"), ("a in ", ""), ("only ", "a")] {
        let list = |count| check(&format!("{begin}[{}]", numbered(count, item)));
        assert!(list(MAX_COLLECTION).is_ok(), "{begin}{item}");
        let more = list(MAX_COLLECTION + 1);
        assert!(matches!(more, Err(ConstraintError::TooMany { .. })), "{begin}{item}: {more:?}");
        // What is said twice counts once, whatever stands between.
        let twice = numbered(MAX_COLLECTION, item);
        assert_eq!(check(&format!("{begin}[{twice}, {twice}]")), list(MAX_COLLECTION));
    }

    assert!(check("a <= 9007199254740991").is_ok());
    assert!(check("a >= -9007199254740991").is_ok());
    assert!(check("a <= 9007199254740992").is_err());
    assert!(check("a length == 0").is_ok() && check("a items < 1").is_ok());
    assert!(check("a length < 0").is_err() && check("a items < 0").is_err());
}

#[test]
fn a_list_has_something_at_each_of_its_places() {
    for wrong in ["", "[]", "[ ]", "[1, , 2]", "[1,]", ",", "[1", "1]"] {
        for begin in ["a in", "a not in", "only"] {
            let text = format!("{begin} {wrong}");
            assert!(check(&text).is_err(), "{text}");
        }
    }
}

#[test]
fn true_and_false_are_two_values() {
    let (yes, no) = (check("a == true").unwrap(), check("a == false").unwrap());
    assert!(yes.contains("true") && !yes.contains("false"), "{yes}");
    assert!(no.contains("false") && !no.contains("true"), "{no}");
    assert_ne!(yes, check("a == \"true\"").unwrap());
    assert_ne!(no, check("a == \"false\"").unwrap());
}

#[test]
fn of_the_resource_nobody_says_what_it_is_not() {
    for text in ["the resource != \"https://a.example/\"", "the resource not in [\"file:///a\"]"] {
        assert!(matches!(check(text), Err(ConstraintError::Combination(_))), "{text}");
    }
}

#[test]
fn what_is_absent_is_neither_optional_nor_a_list() {
    assert!(check("a absent").is_ok());
    for text in ["a? absent", "each a absent", "a each absent", "the resource? absent"] {
        assert!(check(text).is_err(), "{text}");
    }
}

#[test]
fn a_folder_is_the_same_with_a_slash_at_its_end_and_a_url_is_not() {
    assert_eq!(check("a within /srv/"), check("a within /srv"));
    assert!(check("a within /").unwrap().contains("\"/\""));
    assert_ne!(check("a within /srv//"), check("a within /srv"));
    let url = check("a url https://a.example/v1/").unwrap();
    assert!(url.contains("https://a.example/v1/"), "{url}");
}
