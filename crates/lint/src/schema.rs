//! Schema: what does a server's JSON Schema say for certain of a tool's arguments? What it leaves open, or what is not understood, is
//! anything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use crate::words::Types;
use hardtack::internal::syntax::Value;

/// How deep a schema is read; what is below may be anything. No policy looks deeper.
const MAX_DEPTH: usize = 24;

/// The most schemas of one tool that are looked at, references followed: a hundred times what large tools have. A schema that refers to
/// itself twice at each level would otherwise never end.
pub(super) const MAX_NODES: usize = 10_000;

/// How many bytes of names and values count as one schema more. What many references lead to is copied for each, so that without this a
/// file of some megabytes would take gigabytes.
const BYTES_OF_A_NODE: usize = 64;

/// How many names and values count as one schema more, however short they are.
const TEXTS_OF_A_NODE: usize = 16;

/// The most alternatives (`anyOf`) that are put together. Of more, nothing is known.
const MAX_ALTERNATIVES: usize = 64;

/// The most values (`enum`) that are compared with.
const MAX_VALUES: usize = 1000;

/// What an argument or a part of one can be.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) types: Types,
    /// All values, if they are few.
    pub(super) values: Option<Vec<Scalar>>,
    /// What the server takes where it is left out.
    pub(super) default: Option<Scalar>,
    pub(super) members: BTreeMap<String, Shape>,
    pub(super) required: BTreeSet<String>,
    pub(super) others: Others,
    /// What each element of a list is.
    pub(super) items: Option<Box<Shape>>,
}

/// What becomes of members that the schema does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Others {
    /// It names none at all.
    Unspoken,
    /// It names some, and says nothing of others.
    Unsaid,
    /// Others are taken, or nobody knows which there are.
    Taken,
    /// There are no others.
    Refused,
}

/// A value without parts, as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scalar {
    Text(String),
    Integer(i64),
    Bool(bool),
    Null,
}

impl Scalar {
    /// `None` for what has parts, and for numbers that are no integers.
    fn of(json: &Json) -> Option<Scalar> {
        match json {
            Json::String(text) => Some(Scalar::Text(text.clone())),
            Json::Bool(value) => Some(Scalar::Bool(*value)),
            Json::Null => Some(Scalar::Null),
            Json::Number(number) => number.as_i64().map(Scalar::Integer),
            _ => None,
        }
    }

    pub(super) fn of_value(value: &Value) -> Option<Scalar> {
        match value {
            Value::Text(text) => Some(Scalar::Text(text.clone())),
            Value::Integer(number) => Some(Scalar::Integer(*number)),
            Value::Bool(value) => Some(Scalar::Bool(*value)),
            Value::Null => Some(Scalar::Null),
            _ => None,
        }
    }

    /// A text without its letters' case and the space around it.
    pub(super) fn folded(&self) -> Option<String> {
        match self {
            Scalar::Text(text) => Some(text.trim().to_lowercase()),
            _ => None,
        }
    }

    fn types(&self) -> Types {
        match self {
            Scalar::Text(_) => Types::STRING,
            Scalar::Integer(_) => Types::INTEGER,
            Scalar::Bool(_) => Types::BOOL,
            Scalar::Null => Types::NULL,
        }
    }
}

impl Shape {
    /// Of which nothing is known.
    pub(super) fn any() -> Shape {
        Shape {
            types: Types::ANY,
            values: None,
            default: None,
            members: BTreeMap::new(),
            required: BTreeSet::new(),
            others: Others::Taken,
            items: None,
        }
    }

    /// Whether there is for certain no member of this name among those that are named.
    pub(super) fn lacks(&self, name: &str) -> bool {
        !self.members.contains_key(name) && matches!(self.others, Others::Unsaid | Others::Refused)
    }

    /// What may be missing.
    pub(super) fn or_null(mut self) -> Shape {
        self.types = self.types.or(Types::NULL);
        if let Some(values) = &mut self.values {
            values.push(Scalar::Null);
        }
        self
    }

    /// What fulfils both.
    fn and(mut self, other: Shape) -> Shape {
        let types = self.types.and(other.types);
        // What nothing fulfils is not understood.
        self.types = if types.is_none() { Types::ANY } else { types };
        self.values = match (self.values, other.values) {
            (Some(_), Some(_)) => None,
            (one, another) => one.or(another),
        };
        self.default = self.default.or(other.default);
        for (name, shape) in other.members {
            let both = match self.members.remove(&name) {
                Some(own) => own.and(shape),
                None => shape,
            };
            self.members.insert(name, both);
        }
        self.required.extend(other.required);
        self.others = self.others.max(other.others);
        self.items = match (self.items, other.items) {
            (Some(one), Some(another)) => Some(Box::new(one.and(*another))),
            (one, another) => one.or(another),
        };
        self
    }

    /// What fulfils one of both.
    pub(super) fn or(self, other: Shape) -> Shape {
        let (maps, lists) = (Types::MAP, Types::ARRAY);
        let is = (self.types.meets(maps), other.types.meets(maps));
        let has_lists = (self.types.meets(lists), other.types.meets(lists));
        let values = match (few(&self), few(&other)) {
            (Some(mut one), Some(another)) if one.len() + another.len() <= MAX_VALUES => {
                one.extend(another);
                Some(one)
            }
            _ => None,
        };
        let (required, others) = match is {
            (true, false) => (self.required, self.others),
            (false, true) => (other.required, other.others),
            _ => (
                self.required.intersection(&other.required).cloned().collect(),
                looser(self.others, other.others),
            ),
        };
        let items = match (has_lists, self.items, other.items) {
            ((true, false), items, _) | ((false, true), _, items) => items,
            (_, Some(one), Some(another)) => Some(Box::new(one.or(*another))),
            _ => None,
        };
        let certain = |is_map: bool, others: Others| !is_map || others == Others::Refused;
        let certain = (certain(is.0, self.others), certain(is.1, other.others));
        let mut members = BTreeMap::new();
        let mut rest = other.members;
        for (name, shape) in self.members {
            let shape = match rest.remove(&name) {
                Some(another) => shape.or(another),
                None if certain.1 => shape,
                None => Shape::any(),
            };
            members.insert(name, shape);
        }
        for (name, shape) in rest {
            members.insert(name, if certain.0 { shape } else { Shape::any() });
        }
        let types = self.types.or(other.types);
        Shape { types, values, default: None, members, required, others, items }
    }
}

/// All values of it, if they are known.
fn few(shape: &Shape) -> Option<Vec<Scalar>> {
    match &shape.values {
        None if shape.types == Types::NULL => Some(vec![Scalar::Null]),
        values => values.clone(),
    }
}

/// What is known of members that one of two does not name.
fn looser(one: Others, other: Others) -> Others {
    match (one, other) {
        (Others::Refused, Others::Refused) => Others::Refused,
        (Others::Refused | Others::Unsaid, Others::Refused | Others::Unsaid) => Others::Unsaid,
        _ => Others::Taken,
    }
}

/// What a tool takes, and how many schemas were looked at; `None` if they are too many.
pub(super) fn read(schema: &Json) -> (Option<Shape>, usize) {
    let mut reader = Reader { root: schema, seen: 0 };
    let shape = reader.shape(schema, 0);
    ((!reader.is_spent()).then_some(shape), reader.seen)
}

struct Reader<'s> {
    root: &'s Json,
    seen: usize,
}

/// What says nothing of values, beside a reference.
const NOTES: [&str; 9] = [
    "$comment",
    "default",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
    "$defs",
];

/// By which members may be said elsewhere.
const ELSEWHERE: [&str; 9] = [
    "patternProperties",
    "propertyNames",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
    "$anchor",
];

/// By which a schema stands for another one that is not known here.
const UNKNOWN: [&str; 3] = ["$dynamicRef", "$recursiveRef", "$vocabulary"];

impl<'s> Reader<'s> {
    fn is_spent(&self) -> bool {
        self.seen > MAX_NODES
    }

    fn shape(&mut self, schema: &'s Json, depth: usize) -> Shape {
        self.seen += 1;
        let Json::Object(schema) = schema else { return Shape::any() };
        let is_other = depth > 0 && schema.contains_key("$id");
        if !self.is_spent() {
            self.seen = self.seen.saturating_add(weight(schema));
        }
        if depth > MAX_DEPTH
            || self.is_spent()
            || is_other
            || UNKNOWN.iter().any(|word| schema.contains_key(*word))
        {
            return Shape::any();
        }
        if let Some(reference) = schema.get("$ref") {
            return self.referred(schema, reference, depth);
        }
        let mut found = self.own(schema, depth);
        for one in list(schema, "allOf").into_iter().flatten() {
            if self.is_spent() {
                return found;
            }
            found = found.and(self.shape(one, depth + 1));
        }
        for word in ["anyOf", "oneOf"] {
            let Some(all) = list(schema, word).filter(|all| !all.is_empty()) else { continue };
            if all.len() > MAX_ALTERNATIVES {
                return Shape::any();
            }
            let all = all.iter().map(|one| self.shape(one, depth + 1));
            if let Some(one) = all.reduce(Shape::or) {
                found = found.and(one);
            }
        }
        found
    }

    /// What stands within the same schema, at `#` or `#/…`. Readers differ on what stands beside a reference.
    fn referred(&mut self, schema: &'s Map<String, Json>, reference: &Json, depth: usize) -> Shape {
        let alone = schema.keys().all(|key| key == "$ref" || NOTES.contains(&key.as_str()));
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
        // Escapes of URIs are not read, so that what has them is not found.
        let target = pointer.filter(|_| alone).and_then(|pointer| self.root.pointer(pointer));
        let Some(target) = target else { return Shape::any() };
        let mut found = self.shape(target, depth + 1);
        found.default = schema.get("default").and_then(Scalar::of).or(found.default);
        found
    }

    /// What it says itself.
    fn own(&mut self, schema: &'s Map<String, Json>, depth: usize) -> Shape {
        let mut found = Shape { types: types(schema), ..Shape::any() };
        found.others = others(schema);
        found.default = schema.get("default").and_then(Scalar::of);
        found.values = values(schema);
        if let Some(values) = &found.values {
            let of_values = values.iter().fold(Types::NONE, |types, value| types.or(value.types()));
            let both = found.types.and(of_values);
            found.types = if both.is_none() { Types::ANY } else { both };
        }
        if let Some(Json::Object(members)) = schema.get("properties") {
            for (name, member) in members {
                if self.is_spent() {
                    return found;
                }
                found.members.insert(name.clone(), self.shape(member, depth + 1));
            }
        }
        let required = list(schema, "required").into_iter().flatten();
        found.required = required.filter_map(|name| Some(name.as_str()?.to_owned())).collect();
        // Where the first elements have schemas of their own, it is not for all of them.
        if let (Some(items @ Json::Object(_)), None) =
            (schema.get("items"), schema.get("prefixItems"))
        {
            found.items = Some(Box::new(self.shape(items, depth + 1)));
        }
        found
    }
}

/// What is copied of a schema itself, as a number of schemas.
fn weight(schema: &Map<String, Json>) -> usize {
    let values = list(schema, "enum").filter(|all| all.len() <= MAX_VALUES);
    let listed = values.into_iter().chain(list(schema, "required")).flatten();
    let single = ["const", "default"].into_iter().filter_map(|word| schema.get(word));
    let names = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
    let texts = listed.chain(single).map(|value| value.as_str().map_or(0, str::len));
    let (count, bytes) = texts
        .chain(names.map(|(name, _)| name.len()))
        .fold((0, 0_usize), |(count, bytes), text| (count + 1, bytes.saturating_add(text)));
    bytes / BYTES_OF_A_NODE + count / TEXTS_OF_A_NODE
}

fn list<'s>(schema: &'s Map<String, Json>, word: &str) -> Option<&'s Vec<Json>> {
    schema.get(word).and_then(Json::as_array)
}

fn types(schema: &Map<String, Json>) -> Types {
    let named = |name: &Json| match name.as_str() {
        Some("string") => Types::STRING,
        Some("integer") => Types::INTEGER,
        // What is no integer is a text for policies.
        Some("number") => Types::INTEGER.or(Types::STRING),
        Some("boolean") => Types::BOOL,
        Some("null") => Types::NULL,
        Some("array") => Types::ARRAY,
        Some("object") => Types::MAP,
        _ => Types::ANY,
    };
    let found = match schema.get("type") {
        Some(Json::Array(all)) => all.iter().map(named).fold(Types::NONE, Types::or),
        Some(name) => named(name),
        None => Types::ANY,
    };
    match schema.get("nullable") {
        Some(Json::Bool(true)) => found.or(Types::NULL),
        _ if found.is_none() => Types::ANY,
        _ => found,
    }
}

fn others(schema: &Map<String, Json>) -> Others {
    let elsewhere = ELSEWHERE.iter().any(|word| schema.contains_key(*word));
    let names = schema.get("properties").is_some_and(Json::is_object);
    match (schema.get("additionalProperties"), names) {
        (Some(Json::Bool(false)), _) if !schema.contains_key("patternProperties") => {
            Others::Refused
        }
        (Some(_), _) => Others::Taken,
        _ if elsewhere => Others::Taken,
        (None, true) => Others::Unsaid,
        (None, false) => Others::Unspoken,
    }
}

fn values(schema: &Map<String, Json>) -> Option<Vec<Scalar>> {
    if let Some(value) = schema.get("const") {
        return Some(vec![Scalar::of(value)?]);
    }
    let all = list(schema, "enum").filter(|all| all.len() <= MAX_VALUES)?;
    let mut found = all.iter().map(Scalar::of).collect::<Option<Vec<_>>>()?;
    if schema.get("nullable") == Some(&Json::Bool(true)) {
        found.push(Scalar::Null);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        read(&serde_json::from_str(text).unwrap()).0.unwrap()
    }

    fn member(text: &str) -> Shape {
        let schema = format!(
            r##"{{"properties": {{"a": {text}}}, "$defs": {{"n": {{"type": "integer"}}, "c": {{"$ref": "#/$defs/c"}}}}}}"##
        );
        shape(&schema).members["a"].clone()
    }

    #[test]
    fn types_are_those_that_policies_see() {
        let number = Types::INTEGER.or(Types::STRING);
        for (text, types) in [
            (r#"{"type": "string"}"#, Types::STRING),
            (r#"{"type": "number"}"#, number),
            (r#"{"type": ["integer", "null"]}"#, Types::INTEGER.or(Types::NULL)),
            (r#"{"type": "integer", "nullable": true}"#, Types::INTEGER.or(Types::NULL)),
            (r#"{"enum": ["a", 1]}"#, number),
            (r##"{"$ref": "#/$defs/n", "description": "x"}"##, Types::INTEGER),
            (r#"{"anyOf": [{"type": "string"}, {"type": "null"}]}"#, Types::STRING.or(Types::NULL)),
            (r#"{"oneOf": [{"type": "string"}, {}]}"#, Types::ANY),
            (r#"{"allOf": [{"type": ["string", "null"]}, {"type": "string"}]}"#, Types::STRING),
            // What is not understood may be anything.
            (r#"{"type": "text"}"#, Types::ANY),
            (r#"{"type": []}"#, Types::ANY),
            (r#"true"#, Types::ANY),
            (r##"{"$ref": "#/$defs/n", "minimum": 1}"##, Types::ANY),
            (r##"{"$ref": "#/$defs/none"}"##, Types::ANY),
            (r##"{"$ref": "#/$defs/c"}"##, Types::ANY),
            (r#"{"$ref": "https://x.example/n"}"#, Types::ANY),
            (r#"{"$ref": 5}"#, Types::ANY),
            (r##"{"$id": "n", "type": "string"}"##, Types::ANY),
            (r#"{"allOf": [{"type": "integer"}, {"type": "string"}]}"#, Types::ANY),
        ] {
            assert_eq!(member(text).types, types, "{text}");
        }
    }

    #[test]
    fn a_name_is_lacking_only_where_all_names_are_known() {
        for (text, lacks) in [
            (r#"{"properties": {"a": {}}}"#, true),
            (r#"{"properties": {}, "additionalProperties": false}"#, true),
            (r#"{"additionalProperties": false}"#, true),
            (r#"{"properties": {"a": {}}, "anyOf": [{"required": ["a"]}]}"#, true),
            (r#"{"properties": {"a": {}}, "allOf": [{"properties": {"b": {}}}]}"#, true),
            (r#"{"type": "object"}"#, false),
            (r#"{"properties": {"x": {}}}"#, false),
            (r#"{"properties": {"a": {}}, "additionalProperties": {"type": "string"}}"#, false),
            (r#"{"properties": {"a": {}}, "patternProperties": {"^x": {}}}"#, false),
            (r#"{"properties": {"a": {}}, "then": {"properties": {"x": {}}}}"#, false),
            (r#"{"properties": {"a": {}}, "allOf": [{"properties": {"x": {}}}]}"#, false),
            (r#"{"properties": {"a": {}}, "anyOf": [{"$ref": "https://x.example"}]}"#, false),
            (r#"{"oneOf": [{"properties": {"a": {}}}, {"properties": {"x": {}}}]}"#, false),
        ] {
            assert_eq!(shape(text).lacks("x"), lacks, "{text}");
        }
    }

    #[test]
    fn what_refers_to_itself_ends() {
        let twice = r##"{"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}}"##;
        let (shape, seen) = read(&serde_json::from_str(twice).unwrap());
        assert!(shape.is_none() && seen > MAX_NODES, "{seen}");
        let once = read(&serde_json::from_str(r##"{"$ref": "#"}"##).unwrap());
        assert!(once.1 < 100 && once.0.unwrap().types == Types::ANY);
    }
}
