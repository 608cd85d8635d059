//! Prompt name: which operation gets the prompt of this name, where the Model Context Protocol allows any text?
//!
//! What a segment has no room for is escaped as URIs do it (RFC 3986, section 2.1). Each name has one operation, and each operation
//! is one name's: what may stand as it is is never escaped.

use std::fmt::Write;

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::scope::ScopeError;
use crate::spelling::is_plain;

/// What all operations begin with that get a prompt.
pub(crate) const PROMPTS: &str = "prompts:get:";

/// The operation that gets the prompt `name`, as text: a colon between two other characters separates segments, as ever.
///
/// A name that readers take for another one has none: one that does not print, is not in normal form, or has spaces around it.
pub(crate) fn operation_of(name: &str) -> Result<String, ScopeError> {
    let is_one_for_all = is_plain(name)
        && name.trim_matches(' ') == name
        && ComposingNormalizerBorrowed::new_nfc().is_normalized(name);
    if !is_one_for_all {
        return Err(ScopeError::PromptName);
    }
    let bytes = name.as_bytes();
    let mut operation = PROMPTS.to_owned();
    for (at, byte) in bytes.iter().enumerate() {
        let is_other = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b':');
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let separates = *byte == b':' && is_other(before) && is_other(bytes.get(at + 1));
        match stands_as_it_is(*byte) || separates {
            true => operation.push(char::from(*byte)),
            // Writing to a string does not fail.
            false => drop(write!(operation, "%{byte:02X}")),
        }
    }
    Ok(operation)
}

/// How many bytes of a name a segment behind [`PROMPTS`] stands for, an escape being one; the place of the first character that
/// cannot stand there otherwise.
pub(crate) fn read_segment(segment: &str) -> Result<usize, usize> {
    let (bytes, mut at, mut length) = (segment.as_bytes(), 0, 0);
    while at < bytes.len() {
        at += match bytes[at] {
            b'%' => match escaped(bytes.get(at + 1), bytes.get(at + 2)) {
                Some(byte) if !stands_as_it_is(byte) => 3,
                _ => return Err(at),
            },
            byte if stands_as_it_is(byte) => 1,
            _ => return Err(at),
        };
        length += 1;
    }
    Ok(length)
}

/// Whether what stands behind [`PROMPTS`], of segments that can be read, is what is written for the name that it stands for. A scope's
/// final `*` is not among it.
pub(crate) fn is_own(written: &str) -> bool {
    let (bytes, mut at, mut name) = (written.as_bytes(), 0, Vec::with_capacity(written.len()));
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| escaped(bytes.get(at + 1), bytes.get(at + 2)));
        let (byte, length) = match escape {
            None => (bytes[at], 1),
            Some(Some(byte)) => (byte, 3),
            Some(None) => return false,
        };
        name.push(byte);
        at += length;
    }
    let operation = std::str::from_utf8(&name).ok().and_then(|name| operation_of(name).ok());
    operation.is_some_and(|operation| operation.strip_prefix(PROMPTS) == Some(written))
}

pub(crate) fn stands_as_it_is(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// The byte of two hexadecimal digits, which have no small letters.
fn escaped(high: Option<&u8>, low: Option<&u8>) -> Option<u8> {
    let digit = |byte: Option<&u8>| match byte? {
        byte @ b'0'..=b'9' => Some(byte - b'0'),
        byte @ b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    Some(digit(high)? * 16 + digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::{Operation, Scope};

    #[test]
    fn each_name_has_an_operation_of_its_own() {
        let mut all = std::collections::BTreeSet::new();
        for (name, operation) in [
            ("brief", "prompts:get:brief"),
            ("git:commit", "prompts:get:git:commit"),
            ("code review", "prompts:get:code%20review"),
            ("code%20review", "prompts:get:code%2520review"),
            ("plan/week", "prompts:get:plan%2Fweek"),
            ("all*", "prompts:get:all%2A"),
            ("*", "prompts:get:%2A"),
            ("a::b", "prompts:get:a%3A%3Ab"),
            (":a", "prompts:get:%3Aa"),
            ("a:", "prompts:get:a%3A"),
            (":", "prompts:get:%3A"),
            ("a: b", "prompts:get:a:%20b"),
            ("caf\u{e9}", "prompts:get:caf%C3%A9"),
            (
                "\u{8981}\u{7d04}\u{ff08}\u{77ed}\u{ff09}",
                "prompts:get:%E8%A6%81%E7%B4%84%EF%BC%88%E7%9F%AD%EF%BC%89",
            ),
            ("..", "prompts:get:.."),
        ] {
            assert_eq!(operation_of(name).unwrap(), operation);
            assert_eq!(operation.parse::<Operation>().unwrap().as_str(), operation);
            assert!(all.insert(operation));
            let narrow: Scope = operation.parse().unwrap();
            let wide: Scope = "prompts:get:*".parse().unwrap();
            let read = operation.parse().unwrap();
            assert!(narrow.covers(&read) && wide.covers(&read) && wide.covers_scope(&narrow));
        }
    }

    #[test]
    fn a_name_that_readers_take_for_another_has_none() {
        for name in
            [" a", "a ", "a\tb", "a\0", "a\u{200b}b", "cafe\u{301}", "a\u{a0}b", "a\u{202e}b"]
        {
            assert_eq!(operation_of(name), Err(ScopeError::PromptName), "{name:?}");
        }
        for name in
            ["".to_owned(), "a".repeat(129), "\u{e9}".repeat(65), "a:b:c:d:e:f:g".to_owned()]
        {
            let operation = operation_of(&name).unwrap();
            assert!(operation.parse::<Operation>().is_err(), "{name}");
        }
        assert!(operation_of(&"\u{e9}".repeat(64)).unwrap().parse::<Operation>().is_ok());
    }

    #[test]
    fn an_operation_has_one_spelling() {
        for operation in [
            "prompts:get:%61",
            "prompts:get:%5F",
            "prompts:get:a%2fb",
            "prompts:get:a%2",
            "prompts:get:a%",
            "prompts:get:%zz",
            "prompts:get:a b",
            "prompts%3Aget:a",
            "prompts:list:a%20b",
            "tools:call:a%20b",
            // A name of its own has it as it is, or is none.
            "prompts:get:a%3Ab",
            "prompts:get:%20a",
            "prompts:get:a%20",
            "prompts:get:%00",
            "prompts:get:%FF",
            "prompts:get:%E2%80%8B",
            "prompts:get:cafe%CC%81",
            "prompts:get:%2E",
        ] {
            assert!(operation.parse::<Operation>().is_err(), "{operation}");
            assert!(operation.parse::<Scope>().is_err(), "{operation}");
        }
        assert!("prompts:get:a%20b:*".parse::<Scope>().is_ok());
        assert!("prompts:get:a%20*".parse::<Scope>().is_err());
    }
}
