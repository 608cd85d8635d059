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
const TOO_LARGE: &str = "hardtack: too large";

/// Reads an object whose canonical form has at most `most` bytes.
pub(super) fn parse_object(json: &str, most: usize) -> Result<Map<String, Value>, CallError> {
    match parse_value(json, most)? {
        Value::Object(members) => Ok(members),
        _ => Err(CallError::Arguments(ArgumentProblem::NotAnObject)),
    }
}

pub(super) fn parse_value(json: &str, most: usize) -> Result<Value, CallError> {
    // Spaces and escapes are no part of the canonical form, which whoever takes the value counts.
    if json.len() > most.saturating_mul(2) {
        return Err(CallError::Arguments(ArgumentProblem::TooLarge));
    }
    // The object of arguments is a level that the cap does not count, and a call is one more, with its operation and resource.
    parse_strictly(json.as_bytes(), MAX_ARGUMENT_DEPTH + 2, MAX_ARGUMENT_VALUES + VALUES_BESIDE)
        .map_err(CallError::Arguments)
}

/// The values of a call that are none of its arguments: itself, its operation, its resource, the arguments, and the other parameters.
const VALUES_BESIDE: usize = 8;

/// Reads any JSON of at most `levels` levels and `values` values, and refuses what two readers could read differently.
pub(crate) fn parse_strictly(
    json: &[u8],
    levels: usize,
    values: usize,
) -> Result<Value, ArgumentProblem> {
    let (values, foldable) = (Cell::new(values), Cell::new(MAX_FOLDED_BYTES));
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let seed = StrictSeed { levels, values: &values, foldable: &foldable };
    let value = seed.deserialize(&mut deserializer);
    value.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| {
        let text = error.to_string();
        match () {
            () if text.contains(REPEATED) => ArgumentProblem::Repeated,
            () if text.contains(ALIKE) => ArgumentProblem::Alike,
            () if text.contains(NAME) => ArgumentProblem::Name,
            () if text.contains(UNSAFE_INTEGER) => ArgumentProblem::UnsafeInteger,
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
        number(Number::from(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        number(Number::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        // Digits beyond 64 bits arrive here, already rounded.
        if value.fract() == 0.0 && value.abs() > MAX_SAFE_INTEGER as f64 {
            return Err(E::custom(UNSAFE_INTEGER));
        }
        number(Number::from_f64(value).ok_or(E::custom(UNSAFE_INTEGER))?)
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

/// A number is an integer exactly when its RFC 8785 form is one, whatever it was written as. An
/// integer is kept as such, so that `1e3` and `1000` are one value from here on.
fn number<E: de::Error>(number: Number) -> Result<Value, E> {
    let text = written(&number);
    if !is_integer(&text) {
        return Ok(Value::Number(number));
    }
    let value: Option<i64> = text.parse().ok();
    let safe = value.filter(|value| value.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs());
    safe.map(|value| Value::Number(value.into())).ok_or(E::custom(UNSAFE_INTEGER))
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
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
pub(super) fn members_length(members: &Map<String, Value>) -> usize {
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
            let value = parse_value(json, 4096).unwrap();
            assert_eq!(canonical_length(&value), canonical(&value).len(), "{json}");
        }
    }
}
