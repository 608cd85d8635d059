//! Term: a value of a fact, as records write it in JSON and read it back.

use std::collections::{BTreeMap, BTreeSet};

use biscuit_auth::builder::{MapKey, Term};
use serde_json::{Map, Value, json};

use crate::timestamp::Timestamp;

/// The members that stand for what JSON has no value of its own for. An object with one of them is such a
/// value; facts have no other objects.
const DATE: &str = "date";
const BYTES: &str = "bytes";
const SET: &str = "set";
const MAP: &str = "map";

/// A fact's value in JSON: text, integers, booleans, null and arrays as such, `{"date": RFC 3339}`,
/// `{"bytes": hex}`, `{"set": […]}` and `{"map": [[key, value], …]}`, whose keys are texts or integers.
/// Nothing of a variable or parameter, which no fact has.
pub(super) fn to_json(term: &Term) -> Option<Value> {
    let all =
        |terms: &mut dyn Iterator<Item = &Term>| terms.map(to_json).collect::<Option<Vec<_>>>();
    Some(match term {
        Term::Str(text) => json!(text),
        Term::Integer(value) => json!(value),
        Term::Bool(value) => json!(value),
        Term::Null => Value::Null,
        Term::Date(seconds) => json!({DATE: Timestamp::from_unix_seconds(*seconds)}),
        Term::Bytes(bytes) => json!({BYTES: hex::encode(bytes)}),
        Term::Array(terms) => Value::Array(all(&mut terms.iter())?),
        Term::Set(terms) => json!({SET: all(&mut terms.iter())?}),
        Term::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| {
                let key = match key {
                    MapKey::Str(text) => json!(text),
                    MapKey::Integer(value) => json!(value),
                    MapKey::Parameter(_) => return None,
                };
                Some(json!([key, to_json(value)?]))
            });
            json!({MAP: entries.collect::<Option<Vec<_>>>()?})
        }
        Term::Variable(_) | Term::Parameter(_) => return None,
    })
}

/// What [`to_json`] wrote; nothing, of anything else.
pub(super) fn from_json(value: &Value) -> Option<Term> {
    let all = |values: &[Value]| values.iter().map(from_json).collect::<Option<Vec<_>>>();
    Some(match value {
        Value::String(text) => Term::Str(text.clone()),
        Value::Number(number) => Term::Integer(number.as_i64()?),
        Value::Bool(value) => Term::Bool(*value),
        Value::Null => Term::Null,
        Value::Array(values) => Term::Array(all(values)?),
        Value::Object(members) => match only(members)? {
            (DATE, Value::String(text)) => Term::Date(Timestamp::parse(text).ok()?.unix_seconds()),
            (BYTES, Value::String(digits)) => Term::Bytes(hex::decode(digits).ok()?),
            (SET, Value::Array(values)) => {
                Term::Set(all(values)?.into_iter().collect::<BTreeSet<_>>())
            }
            (MAP, Value::Array(entries)) => {
                let entries = entries.iter().map(|entry| {
                    let [key, value] = entry.as_array()?.as_slice() else { return None };
                    let key = match key {
                        Value::String(text) => MapKey::Str(text.clone()),
                        key => MapKey::Integer(key.as_i64()?),
                    };
                    Some((key, from_json(value)?))
                });
                Term::Map(entries.collect::<Option<BTreeMap<_, _>>>()?)
            }
            _ => return None,
        },
    })
}

fn only(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut members = members.iter();
    let (name, value) = members.next()?;
    members.next().is_none().then_some((name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_term_comes_back_as_it_was() {
        let inner = || Term::Array(vec![Term::Str("a\u{1}\"".into()), Term::Null]);
        let entries =
            [(MapKey::Str("date".into()), Term::Integer(i64::MIN)), (MapKey::Integer(-7), inner())];
        for term in [
            Term::Str(String::new()),
            Term::Integer(i64::MAX),
            Term::Bool(false),
            Term::Null,
            Term::Date(253_402_300_799),
            Term::Bytes(vec![0, 255]),
            inner(),
            Term::Set(BTreeSet::from([Term::Integer(1), Term::Bytes(vec![1])])),
            Term::Map(BTreeMap::from(entries)),
        ] {
            let text = to_json(&term).unwrap().to_string();
            assert_eq!(from_json(&serde_json::from_str(&text).unwrap()), Some(term), "{text}");
        }
    }

    #[test]
    fn what_no_term_is_written_as_is_none() {
        for text in [
            "1.5",
            "9223372036854775808",
            "{}",
            r#"{"date":"now"}"#,
            r#"{"date":"2026-11-23T10:00:00Z","set":[]}"#,
            r#"{"bytes":"0"}"#,
            r#"{"map":{"a":1}}"#,
            r#"{"map":[[true,1]]}"#,
            r#"{"other":1}"#,
        ] {
            assert_eq!(from_json(&serde_json::from_str(text).unwrap()), None, "{text}");
        }
        assert_eq!(to_json(&Term::Variable("x".into())), None);
    }
}
