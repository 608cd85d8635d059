//! Spans: where in a message's text do the ids and tokens stand that the two ends of a pipe count differently?
//!
//! What was judged is what is sent: all other bytes stay as they are, so that a number such as `1.0` is the same number. Only line
//! breaks between the parts of the JSON text become blanks, since a line is a message here.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::one_line::on_one_line;
use crate::reading::id_of;

const META: &str = "_meta";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// What of a message the pipe looks at. All of it are parts of its text.
#[derive(Debug, Default)]
pub(crate) struct Spans<'a> {
    text: &'a str,
    pub(crate) id: Option<&'a str>,
    pub(crate) method: Option<Cow<'a, str>>,
    /// Whether it has a result or an error.
    pub(crate) is_answer: bool,
    /// The code of its error.
    pub(crate) error_code: Option<i64>,
    /// The token under which whoever asks wants to hear of progress.
    pub(crate) asks_progress: Option<&'a str>,
    /// The token of which it tells progress.
    pub(crate) tells_progress: Option<&'a str>,
    /// The request that it cancels.
    pub(crate) cancels: Option<&'a str>,
    /// The subscription that it belongs to, in its parameters or its result.
    pub(crate) subscription: Option<&'a str>,
    /// Whether it asks for a task, of which progress is told after the answer (2025-11-25).
    pub(crate) is_task: bool,
}

impl<'a> Spans<'a> {
    /// Reads one message; `None` if it is none, or has a member twice that is looked at.
    pub(crate) fn read(text: &'a str) -> Option<Spans<'a>> {
        let [version, id, method, params, result, error] =
            members(text, ["jsonrpc", "id", "method", "params", "result", "error"])?;
        if version != Some(r#""2.0""#) {
            return None;
        }
        let method = method.map(serde_json::from_str::<String>).transpose().ok()?;
        let mut spans = Spans { text, id, method: method.map(Cow::Owned), ..Spans::default() };
        spans.is_answer = result.is_some() || error.is_some();
        if spans.is_answer == spans.method.is_some() {
            return None;
        }
        spans.error_code =
            error.and_then(|error| members(error, ["code"])).and_then(|[code]| code?.parse().ok());
        if let Some([meta, token, request, task]) =
            within(params, [META, "progressToken", "requestId", "task"])?
        {
            let [asks, subscription] =
                within(meta, ["progressToken", SUBSCRIPTION])?.unwrap_or_default();
            spans.asks_progress = asks.filter(|token| spans.id.is_some() && *token != "null");
            spans.subscription = subscription;
            let is = |name| spans.method.as_deref() == Some(name);
            spans.tells_progress = token.filter(|_| is("notifications/progress"));
            spans.cancels = request.filter(|_| is("notifications/cancelled"));
            spans.is_task = task.is_some();
        }
        if let Some([meta]) = within(result, [META])? {
            let [subscription] = within(meta, [SUBSCRIPTION])?.unwrap_or_default();
            spans.subscription = subscription;
        }
        Some(spans)
    }

    /// The message in one line, in which each of these parts of its text has another.
    pub(crate) fn with(&self, parts: &[(Option<&str>, &str)]) -> String {
        let mut replaced: Vec<(usize, usize, &str)> = parts
            .iter()
            .filter_map(|(part, by)| {
                let part = (*part)?;
                let start = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
                Some((start, start + part.len(), *by))
            })
            .collect();
        replaced.sort_unstable();
        let more: usize = replaced.iter().map(|(.., by)| by.len()).sum();
        let mut written = String::with_capacity(self.text.len() + more);
        let mut copied = 0;
        for (start, end, by) in replaced {
            on_one_line(self.text.get(copied..start).unwrap_or_default(), &mut written);
            on_one_line(by, &mut written);
            copied = end;
        }
        on_one_line(self.text.get(copied..).unwrap_or_default(), &mut written);
        written
    }
}

/// Whether a part of a message is the id with this [canonical] form: `1` and `1.0`, or `"a"` and `"\u0061"`.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one == other || canonical(one).is_some_and(|one| one == other)
}

/// Integers up to here are the same number as a double, and the ones beyond are not.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// The one form of all texts of an id that say the same; `None` if it is none.
pub(crate) fn canonical(id: &str) -> Option<String> {
    let value = id_of(id)?;
    let whole = value
        .as_f64()
        .filter(|number| value.is_f64() && number.fract() == 0.0 && number.abs() <= MAX_EXACT);
    // Adding zero makes -0 the 0 that it is.
    Some(whole.map_or_else(|| value.to_string(), |whole| format!("{}", whole + 0.0)))
}

/// The number that something is an answer to which is no message otherwise.
pub(crate) fn answered(text: &str) -> Option<u64> {
    let [id, result, error] = members(text, ["id", "result", "error"])?;
    result.or(error)?;
    id?.parse().ok()
}

/// The members of an object that is a member itself; nothing where there is no object, and `None` for one that is not read.
#[allow(clippy::option_option, reason = "there may be none, and it may be read or not")]
fn within<'a, const N: usize>(
    object: Option<&'a str>,
    names: [&'static str; N],
) -> Option<Option<[Option<&'a str>; N]>> {
    match object {
        Some(object) if object.starts_with('{') => members(object, names).map(Some),
        _ => Some(None),
    }
}

/// The texts of these members; `None` if it is no object, or has one of them twice.
fn members<'a, const N: usize>(
    object: &'a str,
    names: [&'static str; N],
) -> Option<[Option<&'a str>; N]> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    let members = Names(names).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(members)
}

struct Names<const N: usize>([&'static str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Names<N> {
    type Value = [Option<&'de str>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Names<N> {
    type Value = [Option<&'de str>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(name) = map.next_key::<String>()? {
            let Some(at) = self.0.iter().position(|known| *known == name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: &'de RawValue = map.next_value()?;
            if found[at].replace(value.get()).is_some() {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_and_tokens_change_and_a_message_is_one_line() {
        let text = "{\"jsonrpc\": \"2.0\",\r\n \"id\": 1,\n\"method\": \"tools/call\", \"params\": {\"name\": \"a\",
            \"arguments\": {\"id\": 1, \"n\": 1.0, \"m\": 1e400, \"s\": \"\u{2028}\\n1\u{85}\"},
            \"_meta\": {\"progressToken\": \"t\", \"other\": 1.50}}}";
        let spans = Spans::read(text).unwrap();
        let written = spans.with(&[(spans.id, "77"), (spans.asks_progress, "77")]);
        assert!(!written.contains(['\n', '\r', '\u{85}', '\u{2028}']), "{written}");
        assert!(written.starts_with(r#"{"jsonrpc": "2.0",   "id": 77, "method""#), "{written}");
        assert!(written.contains(r#""progressToken": 77, "other": 1.50}"#), "{written}");
        assert!(written.contains(r#"{"id": 1, "n": 1.0, "m": 1e400, "s": "\u2028\n1\u0085"}"#));
        let broken = spans.with(&[(spans.id, "[1,\n2]")]);
        assert!(
            !broken.contains('\n') && broken.contains("[1, 2]"),
            "also what is written in its place"
        );
        assert_eq!(spans.with(&[]).len(), text.len() + 2 * 6 - 3 - 2, "nothing else changed");
    }

    #[test]
    fn members_are_found_however_they_are_written_and_wherever_they_stand() {
        let text = r#"{"params":{"_m\u0065ta":{"progressToken":5}},"m\u0065thod":"a\u0062","\u0069d":"x","jsonrpc":"2.0"}"#;
        let spans = Spans::read(text).unwrap();
        assert_eq!((spans.id, spans.method.as_deref()), (Some(r#""x""#), Some("ab")));
        assert_eq!(spans.with(&[(spans.asks_progress, "9")]), text.replace(":5", ":9"));
        let cancel =
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#;
        assert_eq!(Spans::read(cancel).unwrap().cancels, Some("3"));
        let end = r#"{"jsonrpc":"2.0","id":4,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":4}}}"#;
        let spans = Spans::read(end).unwrap();
        let written = spans.with(&[(spans.id, "\"a\""), (spans.subscription, "\"a\"")]);
        assert_eq!(written, end.replace(":4", ":\"a\""));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_no_message() {
        for text in [
            "",
            "[]",
            "1",
            "{}",
            r#"{"jsonrpc":"2.0"}"#,
            r#"{"jsonrpc":"1.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}} {}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{},"_meta":{}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
        ] {
            assert!(Spans::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn ids_are_the_same_by_what_they_say() {
        let is_same = |one: &str, other: &str| {
            canonical(other).is_some_and(|other| super::is_same(one, &other))
        };
        assert!(is_same("1", "1") && is_same(r#""a""#, r#""\u0061""#));
        assert!(is_same("1.0", "1") && is_same("1e0", "1") && is_same("-0.0", "0"));
        assert!(is_same(r#""\u00e9""#, r#""é""#) && !is_same("1.5", "1"));
        // What is none is not read: it may have megabytes, and is compared with all that is waited for.
        let long = format!("\"{}\"", "\\u0061".repeat(256));
        assert!(canonical(&long).is_some() && canonical(&long.replacen('"', "\"a", 1)).is_none());
        assert!(["[1]", "{}", "x"].into_iter().all(|text| canonical(text).is_none()));
        assert!(!is_same("1", r#""1""#) && !is_same("1", "2") && !is_same("x", "y"));
    }
}
