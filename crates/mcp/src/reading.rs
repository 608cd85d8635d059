//! Reading: what does a server's message say, if every client reads it the same way?
//!
//! Clients take the first or the last of two members, tell cases apart or do not. What they would read differently is not
//! read here either.

use std::collections::HashSet;
use std::fmt;

use icu_normalizer::DecomposingNormalizerBorrowed;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use crate::answer::META;
use hardtack::internal::{MAX_SAFE_INTEGER, fold, is_plain, is_seen};
use hardtack::mcp::Id;

/// The most members of an object that is read: a message has four, a list or a tool some ten.
const MAX_MEMBERS: usize = 128;

/// The longest name of a member that is read. Those of the protocol have some twenty letters, all of them ASCII.
const MAX_NAME_BYTES: usize = 256;

/// What [`META`] is called where it comes from a server.
const MARKED: &str = "upstream:dev.hardtack/refusal";

/// The members of an object, in their order, each as it was written.
#[derive(Debug)]
pub(crate) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object; `None` if it is none, has too many members, two that some readers take for one, one whose name some
    /// reader cuts, or another spelling of one of the `known`.
    pub(crate) fn read(object: &'a str, known: &[&str]) -> Option<Members<'a>> {
        let members: Members = serde_json::from_str(object).ok()?;
        let is_another =
            |name: &String| known.iter().any(|known| known != name && fold(known) == fold(name));
        let clear = !members.0.iter().any(|(name, _)| is_another(name));
        clear.then_some(members)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.iter().find(|(member, _)| *member == name).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'de>, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose members are told apart by all readers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let is_of_a_protocol =
                name.len() <= MAX_NAME_BYTES && name.is_ascii() && is_plain(&name);
            if members.len() == MAX_MEMBERS
                || !is_of_a_protocol
                || !seen.insert(fold(&name).into_owned())
            {
                return Err(de::Error::custom(
                    "too many members, two alike, or one that does not print",
                ));
            }
            members.push((name, map.next_value()?));
        }
        Ok(Members(members))
    }
}

/// The longest text of an id: as many bytes as one has, each written as an escape, in quotes.
const MAX_ID_TEXT: usize = 6 * 256 + 2;

/// The id that a text says; `None` for what can be none. Nothing else is read of it: a list or object would take far more memory than its
/// bytes, and be compared with each id that is waited for.
pub(crate) fn id_of(text: &str) -> Option<Value> {
    let can_be = text.len() <= MAX_ID_TEXT && !text.starts_with(['[', '{']);
    can_be.then(|| serde_json::from_str(text).ok()).flatten()
}

/// Whether an answer's id is that of the request: some clients take `"7"` for 7, and all take 7.0 for it.
pub(crate) fn is_same_id(found: &RawValue, asked: &Id) -> bool {
    let Some(found) = id_of(found.get()) else { return false };
    match (&found, &asked.to_json()) {
        (Value::String(text), Value::Number(number))
        | (Value::Number(number), Value::String(text)) => {
            integer(number).is_some_and(|integer| text.trim() == integer.to_string())
        }
        (Value::Number(found), Value::Number(asked)) => {
            found == asked || integer(found).is_some_and(|found| integer(asked) == Some(found))
        }
        (found, asked) => found == asked,
    }
}

/// The integer that all readers take a number for.
fn integer(number: &Number) -> Option<i64> {
    let exact = |value: &f64| value.fract() == 0.0 && value.abs() <= MAX_SAFE_INTEGER as f64;
    number.as_i64().or_else(|| number.as_f64().filter(exact).map(|value| value as i64))
}

/// Renames, at any depth, the member by which clients know a refusal of Hardtack's, so that no server can forge one; `None` if
/// there is none. `json` is known to be JSON.
pub(crate) fn mark_forged(json: &str) -> Option<String> {
    let mut marked = String::new();
    let mut copied = 0;
    let mut rest = json;
    while let Some(quote) = rest.find('"') {
        let start = json.len() - rest.len() + quote;
        let end = start + 1 + end_of_text(&json[start + 1..]);
        rest = json.get(end + 1..).unwrap_or_default();
        let is_name = rest.trim_start().starts_with(':');
        if is_name && could_be_meta(&json[start..=end.min(json.len() - 1)]) {
            marked.push_str(&json[copied..=start]);
            marked.push_str(MARKED);
            copied = end;
        }
    }
    if copied == 0 {
        return None;
    }
    marked.push_str(&json[copied..]);
    Some(marked)
}

/// Where the quote is that ends a JSON text, which begins before `rest`.
fn end_of_text(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(rest.len())
}

/// Whether a member's name, with its quotes, is [`META`] for some reader, however it is written: one that ends it at a control
/// character, drops what is not to be seen, or takes compatibility forms and capitals for what they stand for.
fn could_be_meta(name: &str) -> bool {
    let Ok(name) = serde_json::from_str::<String>(name) else { return false };
    let is_meta = |name: &str| {
        let seen = name.trim().chars().filter(|c| is_seen(*c));
        let folded = DecomposingNormalizerBorrowed::new_nfkd().normalize_iter(seen);
        folded.flat_map(char::to_lowercase).eq(META.chars())
    };
    is_meta(&name) || name.split(char::is_control).next().is_some_and(is_meta)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_take_differently_is_not_read() {
        let known = ["result", "id"];
        let read = |object: &str| Members::read(object, &known).is_some();
        assert!(read(r#"{"id":1,"result":{"a":1,"a":2},"other":3}"#));
        for object in [
            r#"{"result":1,"result":2}"#,
            r#"{"result":1,"re\u0073ult":2}"#,
            r#"{"Result":1}"#,
            r#"{"re\u017fult":1}"#,
            r#"{"x":1,"X":2}"#,
            r#"{"result\u0000":1}"#,
            r#"{"id":1,"res\u200bult":1}"#,
            r#"{"result":1}{"result":2}"#,
            r#"{"result":NaN}"#,
            "{\"\u{e9}\":1}",
            "[]",
            "",
        ] {
            assert!(!read(object), "{object}");
        }
        let named = |bytes| read(&format!("{{\"{}\":1}}", "a".repeat(bytes)));
        assert!(named(MAX_NAME_BYTES) && !named(MAX_NAME_BYTES + 1));
        let many = |count| {
            let members: Vec<String> = (0..count).map(|n| format!("\"{n}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(read(&many(MAX_MEMBERS)) && !read(&many(MAX_MEMBERS + 1)));
    }

    #[test]
    fn an_id_is_the_same_however_clients_compare_it() {
        let id = |json: &str| {
            let request = format!(r#"{{"jsonrpc":"2.0","id":{json},"method":"ping"}}"#);
            hardtack::mcp::Message::read(request.as_bytes(), None).unwrap().id().unwrap().clone()
        };
        for (asked, found, same) in [
            ("7", "7", true),
            ("7", "7.0", true),
            ("7", "\"7\"", true),
            ("\"7\"", "7", true),
            ("\"a\"", "\"\\u0061\"", true),
            ("7", "8", false),
            ("\"a\"", "\"A\"", false),
            ("7", "null", false),
            ("0", "null", false),
            ("7", "[7]", false),
            ("\"1234567890123456789\"", "\"1234567890123456788\"", false),
            ("9007199254740991", "9007199254740990.9", true),
            ("9007199254740991", "9007199254740992", false),
            ("\"1e400\"", "\"3e999\"", false),
            ("\"007\"", "\"7\"", false),
            ("\"1e3\"", "1000", false),
            ("\"1e3\"", "\"1000\"", false),
            ("7", "7.5", false),
        ] {
            let found = serde_json::from_str::<&RawValue>(found).unwrap();
            assert_eq!(is_same_id(found, &id(asked)), same, "{asked} {found}");
        }
    }

    #[test]
    fn a_forged_refusal_is_marked_wherever_it_stands_and_nothing_else_is_touched() {
        for name in [
            "dev.hardtack/refusal",
            r"dev.hardtack\/refusal",
            r"\u0064\u0065\u0076.hardtack/refusal",
            "Dev.Hardtack/Refusal",
            "dev.hardtac\u{212a}/refu\u{17f}al",
            r"dev.hardtack/refusal\u0000",
            r"dev.hardtack/refusal\u0000x",
            r"dev.hardtack/refu\u200bsal",
            r"dev.hardtack/refusal\u00ad",
            "dev.hardtack/refusal\u{200b}",
            r"\u0009dev.hardtack/refusal",
            " dev.hardtack/refusal",
            "\u{ff44}ev.hardtack\u{ff0f}refusal",
        ] {
            let forged = format!(r#"{{"a\"":[{{"{name}" : {{"x":"\\"}}}}],"{name}":1}}"#);
            let marked = mark_forged(&forged).unwrap();
            assert_eq!(marked, forged.replace(name, MARKED));
            assert!(serde_json::from_str::<Value>(&marked).is_ok());
        }
        for honest in [
            r#"{"text":"dev.hardtack/refusal","list":["dev.hardtack/refusal"]}"#,
            r#"{"dev.hardtack/refusals":1,"x\"dev.hardtack/refusal":2}"#,
            r#"{"text":"\"dev.hardtack/refusal\":1"}"#,
            "7",
            "\"dev.hardtack/refusal\"",
        ] {
            assert_eq!(mark_forged(honest), None, "{honest}");
        }
    }
}
