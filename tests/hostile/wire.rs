//! Wire: a message of Biscuit's Protobuf schema as a tree of named fields, in which anything can be written
//! otherwise than a library would.

use Label::{OneOf, Optional, Repeated, Required};
use Of::{Bytes, Message as Sub, Word32, Word64};

/// A message as it is written, field by field.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) name: &'static str,
    pub(crate) fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) described: Described,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Number(u64),
    Bytes(Vec<u8>),
    Message(Message),
}

/// A field of the schema: its number, its name, how often it may stand and what it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described {
    pub(crate) number: u64,
    pub(crate) name: &'static str,
    pub(crate) label: Label,
    pub(crate) of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    Required,
    Optional,
    Repeated,
    OneOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Word32,
    Word64,
    Bytes,
    Message(&'static str),
}

/// Which fields to follow, from the outermost message inwards.
pub(crate) type Path = Vec<usize>;

impl Message {
    /// Reads what a library wrote.
    pub(crate) fn read(name: &'static str, bytes: &[u8]) -> Message {
        let (mut rest, mut fields) = (bytes, Vec::new());
        while !rest.is_empty() {
            let tag = read_number(&mut rest);
            let described = schema(name).into_iter().find(|field| field.number == tag >> 3);
            let described = described.unwrap_or_else(|| panic!("{name} has no field {tag}"));
            let value = match described.of {
                Word32 | Word64 => Value::Number(read_number(&mut rest)),
                of => {
                    let length = usize::try_from(read_number(&mut rest)).unwrap();
                    let (bytes, after) = rest.split_at(length);
                    rest = after;
                    match of {
                        Sub(name) => Value::Message(Message::read(name, bytes)),
                        _ => Value::Bytes(bytes.to_vec()),
                    }
                }
            };
            fields.push(Field { described, value });
        }
        Message { name, fields }
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        self.fields.iter().flat_map(Field::write).collect()
    }

    /// This message and all in it.
    pub(crate) fn messages(&self) -> Vec<Path> {
        let mut found = vec![Path::new()];
        for (at, field) in self.fields.iter().enumerate() {
            if let Value::Message(message) = &field.value {
                found.extend(message.messages().into_iter().map(|path| [vec![at], path].concat()));
            }
        }
        found
    }

    /// Every field at every depth.
    pub(crate) fn places(&self) -> Vec<Path> {
        let inside = |path: Path| {
            let fields = self.at(&path).fields.len();
            (0..fields).map(move |at| [path.clone(), vec![at]].concat())
        };
        self.messages().into_iter().flat_map(inside).collect()
    }

    pub(crate) fn at(&self, path: &[usize]) -> &Message {
        path.iter().fold(self, |message, at| match &message.fields[*at].value {
            Value::Message(inner) => inner,
            _ => panic!("no message there"),
        })
    }

    pub(crate) fn at_mut(&mut self, path: &[usize]) -> &mut Message {
        path.iter().fold(self, |message, at| match &mut message.fields[*at].value {
            Value::Message(inner) => inner,
            _ => panic!("no message there"),
        })
    }

    /// The bytes of the whole, with other bytes for the message at `path`.
    pub(crate) fn with(&self, path: &[usize], bytes: Vec<u8>) -> Vec<u8> {
        let Some((last, above)) = path.split_last() else { return bytes };
        let mut whole = self.clone();
        whole.at_mut(above).fields[*last].value = Value::Bytes(bytes);
        whole.write()
    }

    /// What a path goes through, such as `checks[1]/queries[0]/head/name`.
    pub(crate) fn name_of(&self, path: &[usize]) -> String {
        let steps = (0..path.len()).map(|depth| {
            let (fields, at) = (&self.at(&path[..depth]).fields, path[depth]);
            let field = fields[at].described;
            let number = |field: &Described| field.number;
            let before = fields[..at].iter().filter(|f| f.described.number == number(&field));
            match field.label {
                Repeated => format!("{}[{}]", field.name, before.count()),
                _ => field.name.to_owned(),
            }
        });
        steps.collect::<Vec<_>>().join("/")
    }
}

impl Field {
    pub(crate) fn write(&self) -> Vec<u8> {
        let tag = |wire_type| number(self.described.number << 3 | wire_type);
        let delimited = |bytes: &[u8]| [&tag(2)[..], &number(bytes.len() as u64), bytes].concat();
        match &self.value {
            Value::Number(value) => [tag(0), number(*value)].concat(),
            Value::Bytes(bytes) => delimited(bytes),
            Value::Message(message) => delimited(&message.write()),
        }
    }
}

/// A number in as few bytes as it needs.
pub(crate) fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// The same in a byte more.
pub(crate) fn longer(value: u64) -> Vec<u8> {
    let mut bytes = number(value);
    *bytes.last_mut().unwrap() |= 0x80;
    bytes.push(0);
    bytes
}

/// Takes a number off the front.
pub(crate) fn read_number(rest: &mut &[u8]) -> u64 {
    let length = rest.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let (bytes, after) = rest.split_at(length);
    *rest = after;
    bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

/// Biscuit's `schema.proto`.
fn schema(message: &str) -> Vec<Described> {
    let fields: &[(u64, &'static str, Label, Of)] = match message {
        "Biscuit" => &[
            (1, "rootKeyId", Optional, Word32),
            (2, "authority", Required, Sub("SignedBlock")),
            (3, "blocks", Repeated, Sub("SignedBlock")),
            (4, "proof", Required, Sub("Proof")),
        ],
        "SignedBlock" => &[
            (1, "block", Required, Bytes),
            (2, "nextKey", Required, Sub("PublicKey")),
            (3, "signature", Required, Bytes),
            (4, "externalSignature", Optional, Sub("ExternalSignature")),
            (5, "version", Optional, Word32),
        ],
        "ExternalSignature" => {
            &[(1, "signature", Required, Bytes), (2, "publicKey", Required, Sub("PublicKey"))]
        }
        "PublicKey" => &[(1, "algorithm", Required, Word32), (2, "key", Required, Bytes)],
        "Proof" => &[(1, "nextSecret", OneOf, Bytes), (2, "finalSignature", OneOf, Bytes)],
        "Block" => &[
            (1, "symbols", Repeated, Bytes),
            (2, "context", Optional, Bytes),
            (3, "version", Optional, Word32),
            (4, "facts", Repeated, Sub("Fact")),
            (5, "rules", Repeated, Sub("Rule")),
            (6, "checks", Repeated, Sub("Check")),
            (7, "scope", Repeated, Sub("Scope")),
            (8, "publicKeys", Repeated, Sub("PublicKey")),
        ],
        "Scope" => &[(1, "scopeType", OneOf, Word32), (2, "publicKey", OneOf, Word64)],
        "Fact" => &[(1, "predicate", Required, Sub("Predicate"))],
        "Rule" => &[
            (1, "head", Required, Sub("Predicate")),
            (2, "body", Repeated, Sub("Predicate")),
            (3, "expressions", Repeated, Sub("Expression")),
            (4, "scope", Repeated, Sub("Scope")),
        ],
        "Check" => &[(1, "queries", Repeated, Sub("Rule")), (2, "kind", Optional, Word32)],
        "Predicate" => &[(1, "name", Required, Word64), (2, "terms", Repeated, Sub("Term"))],
        "Term" => &[
            (1, "variable", OneOf, Word32),
            (2, "integer", OneOf, Word64),
            (3, "string", OneOf, Word64),
            (4, "date", OneOf, Word64),
            (5, "bytes", OneOf, Bytes),
            (6, "bool", OneOf, Word64),
            (7, "set", OneOf, Sub("TermSet")),
            (8, "null", OneOf, Sub("Empty")),
            (9, "array", OneOf, Sub("Array")),
            (10, "map", OneOf, Sub("Map")),
        ],
        "TermSet" => &[(1, "set", Repeated, Sub("Term"))],
        "Array" => &[(1, "array", Repeated, Sub("Term"))],
        "Map" => &[(1, "entries", Repeated, Sub("MapEntry"))],
        "MapEntry" => &[(1, "key", Required, Sub("MapKey")), (2, "value", Required, Sub("Term"))],
        "MapKey" => &[(1, "integer", OneOf, Word64), (2, "string", OneOf, Word64)],
        "Expression" => &[(1, "ops", Repeated, Sub("Op"))],
        "Op" => &[
            (1, "value", OneOf, Sub("Term")),
            (2, "unary", OneOf, Sub("OpUnary")),
            (3, "binary", OneOf, Sub("OpBinary")),
            (4, "closure", OneOf, Sub("OpClosure")),
        ],
        "OpUnary" | "OpBinary" => {
            &[(1, "kind", Required, Word32), (2, "ffiName", Optional, Word64)]
        }
        "OpClosure" => &[(1, "params", Repeated, Word32), (2, "ops", Repeated, Sub("Op"))],
        _ => &[],
    };
    let described = |&(number, name, label, of): &_| Described { number, name, label, of };
    fields.iter().map(described).collect()
}
