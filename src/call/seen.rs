//! Seen: what do policies and checks see of an argument?
//!
//! Small values are seen as they are. A large one is represented by its kind, its size and its digest (a commitment), so that what
//! Datalog works on stays small however large the call is. The term for it is a byte array, which no JSON value is: no operation
//! takes it for a text, list or map ([`evaluating`](crate::datalog) refuses all but comparisons). What is large is a function of
//! the value alone, so that two equal values are always represented alike.

use std::collections::BTreeMap;

use biscuit_auth::builder::{MapKey, Term};
use biscuit_auth::datalog;
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

use crate::call::json::{canonical_length, text_length, written};

/// The most bytes of a text that is seen as it is. More than any path, URL, address or name has; the external functions judge no
/// longer text.
pub(crate) const MAX_SEEN_TEXT_BYTES: usize = 4096;

/// The most values in a list or map that is seen as it is, at all depths and with itself. 20,000 distinct texts would cost 273 ms.
pub(crate) const MAX_SEEN_VALUES: usize = 1000;

/// The most bytes that such a list or map has in its canonical form. Biscuit's symbol table is searched one by one.
pub(crate) const MAX_SEEN_BYTES: usize = 64 * 1024;

/// The most levels to which it nests.
pub(crate) const MAX_SEEN_LEVELS: usize = 32;

/// How many bytes weigh as much as a value when the largest arguments are looked for: both bounds, divided.
const BYTES_PER_VALUE: usize = MAX_SEEN_BYTES / MAX_SEEN_VALUES;

/// How each byte array begins that represents a value.
const TAG: &[u8; 15] = b"hardtack large\0";

/// Such an array has the tag, a byte for the kind, eight for the size, and a digest.
pub(crate) const STAND_IN_BYTES: usize = TAG.len() + 1 + 8 + 32;

/// What kind of value is represented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    List,
    Map,
    /// Nothing is known of it, not even whether it equals another.
    Unseen,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Text, Kind::List, Kind::Map, Kind::Unseen];

    fn byte(self) -> u8 {
        match self {
            Kind::Text => b't',
            Kind::List => b'l',
            Kind::Map => b'm',
            Kind::Unseen => b'u',
        }
    }

    /// What its size counts, in words.
    fn unit(self) -> &'static str {
        match self {
            Kind::Text => "text of {} bytes",
            Kind::List => "list of {} elements",
            Kind::Map => "object of {} members",
            Kind::Unseen => "value that is not looked at",
        }
    }
}

/// What a byte array represents, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StandIn {
    pub(crate) kind: Kind,
    /// The bytes of a text, the elements of a list, the members of a map.
    pub(crate) size: u64,
}

impl StandIn {
    pub(crate) fn of(bytes: &[u8]) -> Option<StandIn> {
        let rest = bytes.strip_prefix(TAG)?;
        let (kind, rest) = rest.split_first()?;
        let (size, digest) = rest.split_first_chunk::<8>()?;
        let kind = Kind::ALL.into_iter().find(|known| known.byte() == *kind)?;
        (digest.len() == 32).then_some(StandIn { kind, size: u64::from_be_bytes(*size) })
    }

    /// In words, for people.
    pub(crate) fn in_words(self) -> String {
        format!("a {}", self.kind.unit().replace("{}", &self.size.to_string()))
    }
}

/// Whether the term, or one in it, represents a value.
pub(crate) fn has_stand_in(term: &datalog::Term) -> bool {
    use datalog::Term;
    match term {
        Term::Bytes(bytes) => StandIn::of(bytes).is_some(),
        Term::Array(terms) => terms.iter().any(has_stand_in),
        Term::Set(terms) => terms.iter().any(has_stand_in),
        Term::Map(entries) => entries.values().any(has_stand_in),
        _ => false,
    }
}

fn stand_in_bytes(kind: Kind, size: usize, digest: Sha256) -> Vec<u8> {
    let (size, digest) = ((size as u64).to_be_bytes(), <[u8; 32]>::from(digest.finalize()));
    [TAG.as_slice(), &[kind.byte()], &size, &digest].concat()
}

/// The byte array for a text.
pub(crate) fn text_stand_in(text: &str) -> Vec<u8> {
    stand_in_bytes(Kind::Text, text.len(), Sha256::new_with_prefix(text))
}

/// The byte array for something of which nothing is known. What is told apart by `name` is told apart as such arrays.
pub(crate) fn unseen(name: &[u8]) -> Vec<u8> {
    stand_in_bytes(Kind::Unseen, 0, Sha256::new_with_prefix(name))
}

/// How large a value is, with a large one in it as it is represented.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) values: usize,
    pub(super) bytes: usize,
    levels: usize,
}

impl Extent {
    const STAND_IN: Extent = Extent { values: 1, bytes: STAND_IN_BYTES, levels: 1 };

    fn one(bytes: usize) -> Extent {
        Extent { values: 1, bytes, levels: 1 }
    }

    /// Of a list or map before what is in it, each with a comma: the last has none.
    fn around(is_empty: bool) -> Extent {
        Extent::one(if is_empty { 2 } else { 1 })
    }

    /// Of a list or map with one more in it; `beside` are the bytes of a comma, and of a name.
    fn with(self, inner: Extent, beside: usize) -> Extent {
        Extent {
            values: self.values.saturating_add(inner.values),
            bytes: self.bytes.saturating_add(inner.bytes).saturating_add(beside),
            levels: self.levels.max(inner.levels + 1),
        }
    }

    fn is_large(self) -> bool {
        self.values > MAX_SEEN_VALUES
            || self.bytes > MAX_SEEN_BYTES
            || self.levels > MAX_SEEN_LEVELS
    }

    /// How much of what Datalog can take it has.
    fn weight(self) -> usize {
        self.values.saturating_mul(BYTES_PER_VALUE).saturating_add(self.bytes)
    }
}

/// The term that is seen of a value, and how large that is. Each byte is hashed once at the most.
pub(super) fn see(value: &Value) -> (Term, Extent) {
    let one = |term| (term, Extent::one(canonical_length(value)));
    match value {
        Value::Null => one(Term::Null),
        Value::Bool(value) => one(Term::Bool(*value)),
        Value::Number(number) => one(number_term(number)),
        Value::String(text) if text.len() > MAX_SEEN_TEXT_BYTES => {
            (Term::Bytes(text_stand_in(text)), Extent::STAND_IN)
        }
        Value::String(text) => one(Term::Str(text.clone())),
        Value::Array(elements) => list(elements),
        Value::Object(members) => map(members),
    }
}

fn number_term(number: &Number) -> Term {
    match number.as_i64() {
        Some(integer) => Term::Integer(integer),
        None => Term::Str(written(number)),
    }
}

fn list(elements: &[Value]) -> (Term, Extent) {
    let (mut extent, mut seen) = (Extent::around(elements.is_empty()), Vec::new());
    let mut large = None;
    for element in elements {
        let (term, inner) = see(element);
        match &mut large {
            Some(digest) => feed(digest, &term),
            None => {
                extent = extent.with(inner, 1);
                seen.push(term);
                if extent.is_large() {
                    let digest = large.insert(begun(Kind::List, elements.len()));
                    seen.drain(..).for_each(|term| feed(digest, &term));
                }
            }
        }
    }
    match large {
        Some(digest) => represented(Kind::List, elements.len(), digest),
        None => (Term::Array(seen), extent),
    }
}

fn map(members: &Map<String, Value>) -> (Term, Extent) {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    let (mut extent, mut seen) = (Extent::around(members.is_empty()), Vec::new());
    let mut large = None;
    for (name, value) in sorted {
        let (term, inner) = see(value);
        match &mut large {
            Some(digest) => feed_member(digest, name, &term),
            None => {
                extent = extent.with(inner, text_length(name) + 2);
                seen.push((name, term));
                if extent.is_large() || name.len() > MAX_SEEN_TEXT_BYTES {
                    let digest = large.insert(begun(Kind::Map, members.len()));
                    seen.drain(..).for_each(|(name, term)| feed_member(digest, name, &term));
                }
            }
        }
    }
    match large {
        Some(digest) => represented(Kind::Map, members.len(), digest),
        None => {
            let entries = seen.into_iter().map(|(name, term)| (MapKey::Str(name.clone()), term));
            (Term::Map(entries.collect::<BTreeMap<_, _>>()), extent)
        }
    }
}

fn represented(kind: Kind, size: usize, digest: Sha256) -> (Term, Extent) {
    (Term::Bytes(stand_in_bytes(kind, size, digest)), Extent::STAND_IN)
}

fn begun(kind: Kind, size: usize) -> Sha256 {
    let mut digest = Sha256::new();
    digest.update([kind.byte()]);
    digest.update((size as u64).to_be_bytes());
    digest
}

/// A value as it is hashed: its kind, its length where it can have several, and what it holds. No two values are written alike.
fn feed(digest: &mut Sha256, term: &Term) {
    match term {
        Term::Bool(value) => digest.update([b'b', u8::from(*value)]),
        Term::Integer(value) => {
            digest.update(b"i");
            digest.update(value.to_be_bytes());
        }
        Term::Str(text) => feed_text(digest, text),
        Term::Bytes(bytes) => {
            digest.update(b"r");
            digest.update(bytes);
        }
        Term::Array(terms) => {
            digest.update(begun_inside(Kind::List, terms.len()));
            terms.iter().for_each(|term| feed(digest, term));
        }
        Term::Map(entries) => {
            digest.update(begun_inside(Kind::Map, entries.len()));
            for (key, term) in entries {
                if let MapKey::Str(name) = key {
                    feed_member(digest, name, term);
                }
            }
        }
        // Null; a value of JSON is seen as nothing else.
        _ => digest.update(b"n"),
    }
}

fn begun_inside(kind: Kind, size: usize) -> [u8; 9] {
    let mut begun = [kind.byte(); 9];
    begun[1..].copy_from_slice(&(size as u64).to_be_bytes());
    begun
}

fn feed_member(digest: &mut Sha256, name: &str, term: &Term) {
    feed_text(digest, name);
    feed(digest, term);
}

fn feed_text(digest: &mut Sha256, text: &str) {
    digest.update(b"s");
    digest.update((text.len() as u64).to_be_bytes());
    digest.update(text);
}

/// What is seen of all arguments, in their order. Where that is too much together, the largest are not seen at all: nothing is known of
/// them but that they are there.
pub(super) fn see_all(arguments: &Map<String, Value>) -> Vec<Term> {
    let mut seen: Vec<_> = arguments.iter().map(|(name, value)| (name, see(value))).collect();
    let mut values = seen.iter().map(|(_, (_, extent))| extent.values).sum::<usize>();
    let mut bytes =
        seen.iter().map(|(name, (_, extent))| text_length(name) + 2 + extent.bytes).sum::<usize>();
    let is_too_much =
        |values: usize, bytes: usize| values > MAX_SEEN_VALUES || bytes >= MAX_SEEN_BYTES;
    if is_too_much(values, bytes) {
        let mut largest: Vec<usize> = (0..seen.len()).collect();
        largest.sort_by_key(|at| std::cmp::Reverse(seen[*at].1.1.weight()));
        for at in largest {
            if !is_too_much(values, bytes) {
                break;
            }
            let (name, (term, extent)) = &mut seen[at];
            values = values + Extent::STAND_IN.values - extent.values;
            bytes = bytes.saturating_add(STAND_IN_BYTES).saturating_sub(extent.bytes);
            (*term, *extent) = (Term::Bytes(unseen(name.as_bytes())), Extent::STAND_IN);
        }
    }
    seen.into_iter().map(|(_, (term, _))| term).collect()
}

/// What is seen of a value of Datalog that a call could have, too; `None` if none could.
pub(crate) fn as_seen(term: &datalog::Term, text: &dyn Fn(u64) -> Option<String>) -> Option<Term> {
    as_json(term, text).map(|value| see(&value).0)
}

fn as_json(term: &datalog::Term, text: &dyn Fn(u64) -> Option<String>) -> Option<Value> {
    use datalog::Term;
    match term {
        Term::Null => Some(Value::Null),
        Term::Bool(value) => Some(Value::Bool(*value)),
        Term::Integer(value) => Some(Value::Number((*value).into())),
        Term::Str(word) => text(*word).map(Value::String),
        Term::Array(terms) => {
            terms.iter().map(|term| as_json(term, text)).collect::<Option<_>>().map(Value::Array)
        }
        Term::Map(entries) => {
            let entries = entries.iter().map(|(key, term)| match key {
                datalog::MapKey::Str(word) => Some((text(*word)?, as_json(term, text)?)),
                datalog::MapKey::Integer(_) => None,
            });
            entries.collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        Term::Variable(_) | Term::Date(_) | Term::Bytes(_) | Term::Set(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    fn stand_in(value: &Value) -> Option<StandIn> {
        match see(value).0 {
            Term::Bytes(bytes) => StandIn::of(&bytes),
            _ => None,
        }
    }

    fn nested(levels: usize) -> Value {
        (1..levels).fold(json!(1), |value, _| json!([value]))
    }

    #[test]
    fn a_value_is_seen_as_it_is_up_to_its_bounds() {
        let text = |bytes: usize| json!("x".repeat(bytes));
        let items = |count: usize| json!(vec![1; count]);
        let texts = |bytes: usize| json!(vec!["x".repeat(4000); 1 + bytes / 4003]);
        let name = |bytes: usize| json!({ "x".repeat(bytes): 1 });
        for (seen, large, kind, size) in [
            (text(4096), text(4097), Kind::Text, 4097),
            (items(999), items(1000), Kind::List, 1000),
            (texts(60_000), texts(66_000), Kind::List, 17),
            (name(4096), name(4097), Kind::Map, 1),
        ] {
            assert_eq!(stand_in(&seen), None);
            assert_eq!(stand_in(&large), Some(StandIn { kind, size }));
            // What is large is so wherever it stands, and what is around it is seen.
            let (Term::Array(around), _) = see(&json!([large, "a"])) else { panic!("{kind:?}") };
            assert!(matches!(&around[0], Term::Bytes(bytes) if StandIn::of(bytes).is_some()));
            assert_eq!(around[1], Term::Str("a".to_owned()));
        }
        assert_eq!(stand_in(&nested(32)), None);
        assert_eq!(stand_in(&nested(33)).map(|found| found.kind), Some(Kind::List));
    }

    #[test]
    fn equal_values_are_represented_alike_and_others_are_not() {
        let filler = || vec![json!(1); 1000];
        let with = |value: Value| {
            let mut items = filler();
            items.push(value);
            json!(items)
        };
        let long = "x".repeat(5000);
        let stand_in = see(&json!(long)).0;
        let Term::Bytes(bytes) = stand_in else { panic!("it is seen") };
        let values = [
            json!(null),
            json!(true),
            json!(false),
            json!(0),
            json!(1),
            json!("1"),
            json!(""),
            json!("n"),
            json!([]),
            json!({}),
            json!([[]]),
            json!([1]),
            json!(["a", "b"]),
            json!(["ab"]),
            json!({"a": "b"}),
            json!({"a": 1, "b": 2}),
            json!({"a": 1, "b": [2]}),
            json!(long),
            json!(format!("{}y", &long[1..])),
            json!(String::from_utf8_lossy(&bytes)),
            json!(vec!["x"; 2000]),
        ];
        let seen: Vec<Term> = values.iter().map(|value| see(&with(value.clone())).0).collect();
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), values.len());
        let again: Vec<Term> = values.iter().map(|value| see(&with(value.clone())).0).collect();
        assert_eq!(seen, again);
        // A number with a fraction is a text to Datalog, large or not.
        assert_eq!(see(&with(json!(1.5))).0, see(&with(json!("1.5"))).0);
        let map = |value: Value| {
            let many = (0..1000).map(|n| (format!("k{n}"), json!(1)));
            see(&Value::Object(many.chain([("z".to_owned(), value)]).collect())).0
        };
        assert_ne!(map(json!(1)), map(json!(2)));
        assert_ne!(map(json!(1)), see(&with(json!(1))).0);
    }

    #[test]
    fn what_is_too_much_together_leaves_the_smaller_arguments_as_they_are() {
        let mut arguments = Map::new();
        for number in 0..20 {
            arguments.insert(format!("long{number}"), json!("x".repeat(4000 + number)));
        }
        arguments.insert("path".to_owned(), json!("/srv"));
        let seen = see_all(&arguments);
        let names: Vec<_> = arguments.keys().zip(&seen).collect();
        for (name, term) in names {
            let is_seen = matches!(term, Term::Str(_));
            let number: Option<usize> = name.strip_prefix("long").map(|n| n.parse().unwrap());
            assert_eq!(is_seen, number.is_none_or(|number| number < 16), "{name}");
        }
        let bytes = seen.iter().map(|term| match term {
            Term::Str(text) => text.len(),
            _ => STAND_IN_BYTES,
        });
        let bytes: usize = bytes.sum();
        assert!(bytes < MAX_SEEN_BYTES, "{bytes}");
    }
}
