//! JSON: read so strictly that no two readers could read it differently (I-JSON, RFC 7493, and stricter).

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::call::{
    CallError, MAX_ARGUMENT_DEPTH, MAX_ARGUMENT_VALUES, MAX_ARGUMENTS, MAX_NAME_BYTES,
    MAX_SAFE_INTEGER,
};
use crate::spelling::{MAX_FOLDED_BYTES, fold, is_plain};

/// The kinds of things that are wrong with JSON that readers could read differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArgumentProblem {
    /// The text is no JSON, or has something behind it.
    NotJson,
    /// The text is JSON, but no object.
    NotAnObject,
    /// A member stands twice in an object.
    Repeated,
    /// Two members have names that some readers take for one.
    Alike,
    /// A member's name has a character that does not print, which some readers leave out or end the name at.
    Name,
    /// An integer that readers round differently.
    UnsafeInteger,
    /// Where integers of 64 bits are taken: one that has more, or that is not written as its digits.
    InexactInteger,
    /// The text has more bytes, values or levels than the caps allow.
    TooLarge,
}

impl fmt::Display for ArgumentProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArgumentProblem::NotJson => {
                f.write_str("are no JSON; a text needs its quotes, such as \"roadmap\"")
            }
            ArgumentProblem::NotAnObject => f.write_str("are no JSON object"),
            ArgumentProblem::Repeated => {
                f.write_str("have a member twice, which readers read differently")
            }
            ArgumentProblem::Alike => f.write_str(
                "have two members whose names differ in capitals, in a normal form or in spaces around them only, which some readers take for one",
            ),
            ArgumentProblem::Name => f.write_str(
                "have a member whose name has a character that does not print, at which some readers end the name and which others leave out",
            ),
            ArgumentProblem::UnsafeInteger => write!(
                f,
                "have an integer beyond ±{MAX_SAFE_INTEGER}, which readers round differently; send it as a string"
            ),
            ArgumentProblem::InexactInteger => write!(
                f,
                "have an integer beyond ±{MAX_SAFE_INTEGER} that is not from -2^63 to 2^63-1 and written in digits alone; send it as a string"
            ),
            ArgumentProblem::TooLarge => write!(
                f,
                "are larger than this server takes, or than {MAX_ARGUMENTS} arguments with {MAX_NAME_BYTES} bytes in their names, {MAX_ARGUMENT_VALUES} values or {MAX_ARGUMENT_DEPTH} levels, or have more than {MAX_FOLDED_BYTES} bytes in names that are not ASCII"
            ),
        }
    }
}

/// What serde's error text is searched for: its errors carry no kind of their own.
const REPEATED: &str = "hardtack: member twice";
const ALIKE: &str = "hardtack: members alike";
const NAME: &str = "hardtack: member's name";
const UNSAFE_INTEGER: &str = "hardtack: unsafe integer";
const INEXACT_INTEGER: &str = "hardtack: inexact integer";
const TOO_LARGE: &str = "hardtack: too large";

/// Which integers are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Integers {
    /// Those that every reader reads the same way, up to ±(2^53−1).
    #[default]
    Safe,
    /// All of 64 bits with a sign. Beyond ±(2^53−1) they are written as their digits, without fraction and exponent.
    Large,
}

/// Reads an object whose canonical form has at most `most` bytes.
pub(super) fn parse_object(
    json: &str,
    most: usize,
    integers: Integers,
) -> Result<Map<String, Value>, CallError> {
    match parse_value(json, most, integers)? {
        Value::Object(members) => Ok(members),
        _ => Err(CallError::Arguments(ArgumentProblem::NotAnObject)),
    }
}

pub(super) fn parse_value(json: &str, most: usize, integers: Integers) -> Result<Value, CallError> {
    // Spaces and escapes are no part of the canonical form, which whoever takes the value counts.
    if json.len() > most.saturating_mul(2) {
        return Err(CallError::Arguments(ArgumentProblem::TooLarge));
    }
    // The object of arguments is a level that the cap does not count, and a call is one more, with its operation and resource.
    let (levels, values) = (MAX_ARGUMENT_DEPTH + 2, MAX_ARGUMENT_VALUES + VALUES_BESIDE);
    parse_strictly(json.as_bytes(), levels, values, integers).map_err(CallError::Arguments)
}

/// The values of a call that are none of its arguments: itself, its operation, its resource, the arguments, and the other parameters.
const VALUES_BESIDE: usize = 8;

/// Reads any JSON of at most `levels` levels and `values` values, and refuses what two readers could read differently.
pub(crate) fn parse_strictly(
    json: &[u8],
    levels: usize,
    values: usize,
    integers: Integers,
) -> Result<Value, ArgumentProblem> {
    let (values, foldable) = (Cell::new(values), Cell::new(MAX_FOLDED_BYTES));
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let seed = StrictSeed { levels, values: &values, foldable: &foldable, integers };
    let value = seed.deserialize(&mut deserializer);
    value.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| {
        let text = error.to_string();
        match () {
            () if text.contains(REPEATED) => ArgumentProblem::Repeated,
            () if text.contains(ALIKE) => ArgumentProblem::Alike,
            () if text.contains(NAME) => ArgumentProblem::Name,
            () if text.contains(UNSAFE_INTEGER) => ArgumentProblem::UnsafeInteger,
            () if text.contains(INEXACT_INTEGER) => ArgumentProblem::InexactInteger,
            () if text.contains(TOO_LARGE) => ArgumentProblem::TooLarge,
            () => ArgumentProblem::NotJson,
        }
    })
}

/// How many levels and values may still come, and how many bytes of names that are not ASCII.
#[derive(Clone, Copy)]
struct StrictSeed<'a> {
    levels: usize,
    values: &'a Cell<usize>,
    foldable: &'a Cell<usize>,
    integers: Integers,
}

impl<'a> StrictSeed<'a> {
    fn deeper<E: de::Error>(self) -> Result<StrictSeed<'a>, E> {
        let levels = self.levels.checked_sub(1).ok_or_else(|| E::custom(TOO_LARGE))?;
        Ok(StrictSeed { levels, ..self })
    }

    fn count<E: de::Error>(self) -> Result<(), E> {
        let left = self.values.get().checked_sub(1).ok_or_else(|| E::custom(TOO_LARGE))?;
        self.values.set(left);
        Ok(())
    }

    fn refuse_name<E: de::Error>(self, name: &str) -> Result<(), E> {
        if !is_plain(name) {
            return Err(E::custom(NAME));
        }
        let folded = if name.is_ascii() { 0 } else { name.len() };
        let left = self.foldable.get().checked_sub(folded).ok_or_else(|| E::custom(TOO_LARGE))?;
        self.foldable.set(left);
        Ok(())
    }

    /// An integer of at most 64 bits that was written in digits alone.
    fn integer<E: de::Error>(self, value: Option<i64>) -> Result<Value, E> {
        match (value, self.integers) {
            (Some(value), Integers::Large) => Ok(Value::Number(value.into())),
            (Some(value), Integers::Safe) if is_safe(value) => Ok(Value::Number(value.into())),
            _ => Err(self.beyond()),
        }
    }

    fn beyond<E: de::Error>(self) -> E {
        E::custom(match self.integers {
            Integers::Safe => UNSAFE_INTEGER,
            Integers::Large => INEXACT_INTEGER,
        })
    }
}

impl<'de> DeserializeSeed<'de> for StrictSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        self.integer(Some(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        self.integer(i64::try_from(value).ok())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        // Digits beyond 64 bits arrive here, already rounded.
        if value.fract() == 0.0 && value.abs() > MAX_SAFE_INTEGER as f64 {
            return Err(self.beyond());
        }
        let number = Number::from_f64(value).ok_or_else(|| self.beyond())?;
        // An integer is kept as such, so that `1e3` and `1000` are one value from here on.
        match written(&number).parse::<i64>() {
            Ok(integer) => Ok(Value::Number(integer.into())),
            Err(_) => Ok(Value::Number(number)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(seed)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            self.refuse_name(&name)?;
            let value = entries.next_value_seed(seed)?;
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom(REPEATED));
            }
        }
        match are_told_apart(members.keys()) {
            true => Ok(Value::Object(members)),
            false => Err(de::Error::custom(ALIKE)),
        }
    }
}

/// Whether no reader takes two of these names for one.
fn are_told_apart<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> bool {
    let mut seen = HashSet::with_capacity(names.len());
    names.map(|name| fold(name)).all(|name| seen.insert(name))
}

fn is_safe(integer: i64) -> bool {
    integer.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs()
}

/// Whether an integer is in it, at any depth, that not every reader reads the same way.
pub(crate) fn has_large_integer(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_i64().is_some_and(|integer| !is_safe(integer)),
        Value::Array(elements) => elements.iter().any(has_large_integer),
        Value::Object(members) => members.values().any(has_large_integer),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

pub(super) fn written(number: &Number) -> String {
    String::from_utf8_lossy(&canonical(&Value::Number(number.clone()))).into_owned()
}

/// How many bytes the RFC 8785 form has, without writing it.
pub(super) fn canonical_length(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Number(number) => match number.as_i64() {
            Some(integer) => {
                let digits =
                    integer.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
                digits + usize::from(integer < 0)
            }
            None => written(number).len(),
        },
        Value::String(text) => text_length(text),
        Value::Array(elements) => {
            elements.iter().map(|element| canonical_length(element) + 1).sum::<usize>().max(1) + 1
        }
        Value::Object(members) => members_length(members),
    }
}

/// The same of an object.
pub(crate) fn members_length(members: &Map<String, Value>) -> usize {
    let lengths = members.iter().map(|(name, value)| member_length(name, value));
    // A comma behind each but the last, and two braces.
    lengths.sum::<usize>().max(1) + 1
}

/// And of one member, with the colon and a comma behind it.
pub(super) fn member_length(name: &str, value: &Value) -> usize {
    text_length(name) + canonical_length(value) + 2
}

pub(super) fn text_length(text: &str) -> usize {
    let written = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | 8 | 9 | 10 | 12 | 13 => 2,
        0..32 => 6,
        _ => 1,
    });
    written.sum::<usize>() + 2
}

/// The RFC 8785 form. A value that was read strictly has one.
pub(super) fn canonical(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).unwrap_or_default()
}

/// The same, with each integer beyond ±(2^53−1) as its digits: RFC 8785 writes the number of 53 bits that is nearest, and so two of them
/// alike.
pub(super) fn canonical_exactly(members: &Map<String, Value>) -> Vec<u8> {
    let mut text = Vec::new();
    write_members(members, &mut text);
    text
}

fn write_members(members: &Map<String, Value>, text: &mut Vec<u8>) {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    text.push(b'{');
    for (at, (name, value)) in sorted.into_iter().enumerate() {
        text.extend_from_slice(if at == 0 { b"" } else { b"," });
        text.extend_from_slice(&canonical(name));
        text.push(b':');
        write_exactly(value, text);
    }
    text.push(b'}');
}

fn write_exactly(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::Number(number) if number.is_i64() => {
            text.extend_from_slice(number.to_string().as_bytes());
        }
        Value::Array(elements) => {
            text.push(b'[');
            for (at, element) in elements.iter().enumerate() {
                text.extend_from_slice(if at == 0 { b"" } else { b"," });
                write_exactly(element, text);
            }
            text.push(b']');
        }
        Value::Object(members) => write_members(members, text),
        other => text.extend_from_slice(&canonical(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_the_canonical_form_is_known_without_it() {
        for json in [
            "{}",
            "[]",
            r#"{"a":[],"b":{},"c":null,"d":true,"e":false,"":""}"#,
            r#"[0,-0.0,1,-1,9,10,-10,99,100,9007199254740991,-9007199254740991,1e3,1.5,-1e-7,0.1,1e-300]"#,
            r#"["a\"b\\c\/d\u0000\u001f\b\f\n\r\t\u007f\u0080ü\u20ac\ud83d\ude00"]"#,
            r#"{"\\":{"ü\"":[[[1,2],[]],{"x":[null]}]}}"#,
        ] {
            for integers in [Integers::Safe, Integers::Large] {
                let value = parse_value(json, 4096, integers).unwrap();
                assert_eq!(canonical_length(&value), canonical(&value).len(), "{json}");
                // Where no integer is large, both forms are one.
                let members = Map::from_iter([("a".to_owned(), value.clone())]);
                assert_eq!(canonical_exactly(&members), canonical(&members), "{json}");
                assert!(!has_large_integer(&value));
            }
        }
    }

    #[test]
    fn large_integers_are_written_as_their_digits_at_all_depths() {
        let json = r#"{"b":[9007199254740993,{"\ud83d\ude00":-9223372036854775808,"\ufb33":1.5}],"a":9223372036854775807}"#;
        let members = parse_object(json, 4096, Integers::Large).unwrap();
        let written = canonical_exactly(&members);
        let expected = "{\"a\":9223372036854775807,\"b\":[9007199254740993,{\"\u{1f600}\":-9223372036854775808,\"\u{fb33}\":1.5}]}";
        assert_eq!(String::from_utf8(written.clone()).unwrap(), expected);
        assert_eq!(members_length(&members), written.len());
        assert!(has_large_integer(&Value::Object(members)));
    }
}
