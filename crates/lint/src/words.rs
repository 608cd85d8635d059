//! Words: what may stand in each place of Hardtack's own predicates, and which word was meant.

use crate::near::{distance, nearest};
use hardtack::internal::syntax::{Term, Value};
pub(super) use hardtack::internal::{Column, Word};
use hardtack::internal::{MAX_DEPTH, WORDS};
use hardtack::names;
use hardtack::scope::{Operation, ScopeError};
use hardtack::{Call, PublicKey};

/// The types that a value may have, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Types(u16);

impl Types {
    pub(super) const NONE: Types = Types(0);
    pub(super) const INTEGER: Types = Types(1);
    pub(super) const STRING: Types = Types(1 << 1);
    pub(super) const DATE: Types = Types(1 << 2);
    pub(super) const BYTES: Types = Types(1 << 3);
    pub(super) const BOOL: Types = Types(1 << 4);
    pub(super) const SET: Types = Types(1 << 5);
    pub(super) const ARRAY: Types = Types(1 << 6);
    pub(super) const MAP: Types = Types(1 << 7);
    pub(super) const NULL: Types = Types(1 << 8);
    pub(super) const ANY: Types = Types((1 << 9) - 1);

    pub(super) const fn or(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    pub(super) const fn and(self, other: Types) -> Types {
        Types(self.0 & other.0)
    }

    pub(super) fn is_none(self) -> bool {
        self == Types::NONE
    }

    pub(super) fn meets(self, other: Types) -> bool {
        !self.and(other).is_none()
    }

    pub(super) fn named(name: &str) -> Option<Types> {
        let index = TYPE_NAMES.iter().position(|known| *known == name);
        index.map(|index| Types(1 << index)).or((name == "any").then_some(Types::ANY))
    }

    pub(super) fn of(value: &Value) -> Types {
        match value {
            Value::Variable(_) | Value::Parameter(_) => Types::ANY,
            Value::Integer(_) => Types::INTEGER,
            Value::Text(_) => Types::STRING,
            Value::Date(_) => Types::DATE,
            Value::Bytes(_) => Types::BYTES,
            Value::Bool(_) => Types::BOOL,
            Value::Null => Types::NULL,
            Value::Set(_) => Types::SET,
            Value::Array(_) => Types::ARRAY,
            Value::Map(_) => Types::MAP,
        }
    }
}

impl std::fmt::Display for Types {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Types::ANY {
            return f.write_str("any");
        }
        let names = TYPE_NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0);
        f.write_str(&names.map(|(_, name)| *name).collect::<Vec<_>>().join(" or "))
    }
}

const TYPE_NAMES: [&str; 9] =
    ["integer", "string", "date", "bytes", "bool", "set", "array", "map", "null"];

/// The most seconds that a grant can be old: from 1970 to the end of the year 9999.
const MAX_AGE: i64 = 253_402_300_799;

/// Hardtack's predicates that a policy may read.
pub(super) fn readable() -> impl Iterator<Item = &'static Word> {
    WORDS.iter().filter(|word| word.readable)
}

/// The predicate of this name, if it is one of them.
pub(super) fn find(name: &str) -> Option<&'static Word> {
    readable().find(|word| word.name == name)
}

/// What values stand in one place of a predicate.
pub(super) trait Values: Sized {
    /// Of which types.
    fn types(self) -> Types;

    /// From where to where its integers go.
    fn range(self) -> Option<(i64, i64)>;

    /// What is wrong with a value of the right type that can never stand here, and how to mend it.
    fn refuses(self, term: &Term) -> Option<(String, String)>;

    /// Whether texts of this column are names of few characters, none of them a space, `/` or `*`.
    fn can_hold(self, part: &str) -> bool;

    /// What it is called in messages.
    fn described(self) -> &'static str;
}

impl Values for Column {
    fn types(self) -> Types {
        match self {
            // What a JSON value can become: neither a date nor bytes nor a set.
            Column::Any => Types::INTEGER
                .or(Types::STRING)
                .or(Types::BOOL)
                .or(Types::NULL)
                .or(Types::ARRAY)
                .or(Types::MAP),
            column => Types::named(column.type_name()).unwrap_or(Types::NONE),
        }
    }

    fn range(self) -> Option<(i64, i64)> {
        match self {
            Column::Depth => Some((0, MAX_DEPTH)),
            Column::Hop => Some((1, MAX_DEPTH)),
            Column::Block => Some((1, MAX_DEPTH + 2)),
            Column::Weekday => Some((1, 7)),
            Column::Minute => Some((0, 1439)),
            Column::Age => Some((0, MAX_AGE)),
            _ => None,
        }
    }

    fn refuses(self, term: &Term) -> Option<(String, String)> {
        match &term.value {
            Value::Integer(number) => {
                let (least, most) = self.range()?;
                let outside = !(least..=most).contains(number);
                outside.then(|| {
                    (
                        format!("it is always between {least} and {most}, never {number}"),
                        format!("write a number between {least} and {most}"),
                    )
                })
            }
            Value::Bytes(bytes) if self == Column::Digest && bytes.len() != 32 => Some((
                format!("a digest has 32 bytes, and this has {}", bytes.len()),
                "write all 64 hexadecimal digits, as in call(hex:…)".to_owned(),
            )),
            Value::Text(text) => refuses_text(self, text),
            _ => None,
        }
    }

    fn can_hold(self, part: &str) -> bool {
        let marks: &str = match self {
            Column::Operation => "_.:-",
            Column::Tool => "_.:-",
            Column::Agent => "_.@/-",
            Column::Subject | Column::Delegator => "_.:@/-",
            Column::Key => return part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
            Column::Audience => return part.bytes().all(|b| b.is_ascii_graphic()),
            Column::Resource => {
                return !part.contains([' ', '\n', '<', '>', '"', '\\'])
                    || part.starts_with("data:");
            }
            Column::Kind => return ["session", "call"].iter().any(|kind| kind.contains(part)),
            _ => return true,
        };
        part.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
    }

    fn described(self) -> &'static str {
        match self {
            Column::Operation => "an operation",
            Column::Tool => "a tool's name",
            Column::Resource => "a resource",
            Column::ArgumentName => "an argument's name",
            Column::Any => "an argument",
            Column::Moment => "a moment",
            Column::Zone => "a time zone",
            Column::Weekday => "a weekday, from 1 for Monday to 7 for Sunday",
            Column::Minute => "a minute of the day",
            Column::Age => "an age in seconds",
            Column::Digest => "a digest",
            Column::Audience => "a server's name",
            Column::Issuer => "an issuer's name",
            Column::Kind => "the kind of presentation",
            Column::Depth => "the number of hops",
            Column::Hop => "the number of a hop",
            Column::Block => "the number of a block",
            Column::Agent => "an agent's name",
            Column::Delegator => "a delegator's name",
            Column::Key => "a key",
            Column::Subject => "a subject's name",
        }
    }
}

fn refuses_text(column: Column, text: &str) -> Option<(String, String)> {
    let said = |why: &str, mend: String| Some((why.to_owned(), mend));
    match column {
        Column::Operation => refuses_operation(text),
        Column::Tool => refuses_tool(text),
        Column::Resource => refuses_resource(text),
        Column::Audience => match names::check_audience(text) {
            Ok(()) if !text.contains('*') => None,
            Ok(()) => said(
                "a server's name is never a pattern",
                "write its whole name, as in verifier(\"notion.mcp\")".into(),
            ),
            Err(error) => said(&error.to_string(), "write the name that the server has".into()),
        },
        Column::Kind if !matches!(text, "session" | "call") => said(
            "it is only ever \"session\" or \"call\"",
            "write \"call\" for a token that is good for one call, or \"session\"".into(),
        ),
        Column::Agent => match names::check_agent(text) {
            Ok(()) => None,
            Err(error) => said(&error.to_string(), name_mend(text, "agent.researcher")),
        },
        Column::Subject => match names::check_subject(text) {
            Ok(()) => None,
            Err(error) => said(&error.to_string(), name_mend(text, "user:alice")),
        },
        Column::Delegator => {
            let known = names::check_agent(text).is_ok() || names::check_subject(text).is_ok();
            match known {
                true => None,
                false => said(
                    "this is neither a subject's name nor an agent's",
                    name_mend(text, "user:alice"),
                ),
            }
        }
        Column::Issuer | Column::ArgumentName if text.contains('*') => said(
            "a name is compared letter for letter, and `*` stands for itself",
            "write the whole name".into(),
        ),
        Column::Issuer | Column::ArgumentName if text.trim() != text || text.is_empty() => {
            said("a name has no space before or after it", format!("write \"{}\"", text.trim()))
        }
        _ => None,
    }
}

fn name_mend(text: &str, example: &str) -> String {
    match text.strip_suffix('*') {
        Some(prefix) if !prefix.is_empty() => format!(
            "`*` stands for itself; compare the beginning, as in $name.starts_with(\"{}\")",
            prefix.escape_debug()
        ),
        _ => format!("write the whole name, such as \"{example}\""),
    }
}

fn refuses_operation(text: &str) -> Option<(String, String)> {
    if text.parse::<Operation>().is_ok() {
        return unusual_operation(text);
    }
    let problem = text.parse::<Operation>().err()?;
    let mend = match text.strip_suffix('*') {
        Some(prefix) if problem == ScopeError::Pattern && prefix.ends_with(':') => format!(
            "write $op.starts_with(\"{}\"), for `*` is a pattern in scopes only",
            prefix.escape_debug()
        ),
        _ if text.trim() != text => format!("write \"{}\"", text.trim().escape_debug()),
        _ => "write the whole operation, such as \"tools:call:search\"".to_owned(),
    };
    Some((problem.to_string(), mend))
}

/// The kinds of operation that tool servers have.
const KINDS: [&str; 6] = [
    "tools",
    "resources",
    "prompts",
    "completion",
    "logging",
    hardtack::internal::RESERVED_SEGMENT,
];

/// An operation of the right form that no server asks about.
fn unusual_operation(text: &str) -> Option<(String, String)> {
    let (kind, rest) = match text.split_once(':') {
        Some(parts) => parts,
        None if KINDS.contains(&text) || text == "tools.call" => (text, ""),
        None => {
            let name = text.strip_prefix("tools.call.").unwrap_or(text);
            let mend = format!("write \"tools:call:{name}\", or tool(\"{name}\")");
            return Some(("an operation has its kind before its name, with `:`".to_owned(), mend));
        }
    };
    if kind == "tools" && (rest == "call" || rest.is_empty()) {
        let mend = "write $op.starts_with(\"tools:call:\") for all tools, or the whole operation";
        return Some((
            "a tool call has the tool's name behind tools:call:".to_owned(),
            mend.to_owned(),
        ));
    }
    if kind == "tools"
        && !rest.starts_with("call:")
        && nearest(rest.split(':').next()?, ["call"].into_iter()).is_some()
    {
        let name = rest.split_once(':').map_or("search", |(_, name)| name);
        return Some((
            "a tool call begins with tools:call:".to_owned(),
            format!("write \"tools:call:{name}\""),
        ));
    }
    let meant = nearest(kind, KINDS.into_iter()).filter(|meant| *meant != kind)?;
    (distance(kind, meant, 1) <= 1).then(|| {
        let mend = format!("write \"{meant}:{rest}\"");
        (format!("operations of tool servers begin with {meant}:, and none with {kind}:"), mend)
    })
}

fn refuses_tool(text: &str) -> Option<(String, String)> {
    if let Some(name) = text.strip_prefix("tools:call:") {
        return Some((
            "a tool's name stands without `tools:call:`".to_owned(),
            format!("write \"{}\"", name.escape_debug()),
        ));
    }
    if text.split_once(':').is_some_and(|(kind, _)| KINDS.contains(&kind)) {
        return Some((
            "this is an operation and no tool's name".to_owned(),
            format!("write the name alone, or operation(\"{}\")", text.escape_debug()),
        ));
    }
    if text.contains('*') {
        return Some((
            "a tool's name is never a pattern".to_owned(),
            "list the tools, or compare with .starts_with() or extern::hardtack_glob()".to_owned(),
        ));
    }
    let operation = |name: &str| format!("tools:call:{name}").parse::<Operation>();
    operation(text).err()?;
    let meant = text.trim().replace(' ', "_");
    let mend = match operation(&meant) {
        Ok(_) => format!("write \"{}\"", meant.escape_debug()),
        Err(_) => "write the tool's name as its server lists it, such as \"search\"".to_owned(),
    };
    Some(("a tool's name is letters, digits, `_`, `.` or `-`".to_owned(), mend))
}

fn refuses_resource(text: &str) -> Option<(String, String)> {
    let example = match text.starts_with('/') {
        true => format!("write a URI, such as \"file://{}\"", text.escape_debug()),
        false => "write a URI with its scheme, such as \"https://notion.so/page\"".to_owned(),
    };
    let read = Call::new("resources:read").ok()?.resource(text);
    match read {
        Ok(_) if text.contains('*') => Some((
            "a resource is compared letter for letter, and `*` stands for itself".to_owned(),
            "use $uri.extern::hardtack_url(\"https://…\") for all below a place".to_owned(),
        )),
        Ok(_) => None,
        Err(hardtack::CallError::Resource { normal: Some(normal) }) => Some((
            "a resource is always in normal form, and this is not".to_owned(),
            format!("write \"{}\"", normal.escape_debug()),
        )),
        Err(error @ hardtack::CallError::ResourceForms { .. }) => Some((
            error.to_string(),
            "write the form that the server's list has; one that is not in docs/profile.md, \"Resources\", is read by nobody"
                .to_owned(),
        )),
        Err(_) => Some(("this is no URI, and a resource always is one".to_owned(), example)),
    }
}

/// Why a text is no key as facts show them, and how to mend it.
pub(super) fn refuses_key(text: &str) -> Option<(String, String)> {
    let digits = text.strip_prefix("ed25519/").unwrap_or(text);
    let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if digits != text && is_hex(digits) {
        let mend = format!("write \"{}\"", digits.to_ascii_lowercase());
        return Some(("a key stands without `ed25519/`".to_owned(), mend));
    }
    if is_hex(text) && text.bytes().any(|b| b.is_ascii_uppercase()) {
        let mend = format!("write \"{}\"", text.to_ascii_lowercase());
        return Some(("the digits of a key are lower-case".to_owned(), mend));
    }
    let example =
        "write the 64 digits that `hardtack keygen` printed, without `ed25519/`".to_owned();
    if !is_hex(text) {
        let why = format!(
            "a key is 64 hexadecimal digits, and this has {} characters",
            text.chars().count()
        );
        return Some((why, example));
    }
    let bytes: Option<[u8; 32]> = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    match bytes.is_some_and(|bytes| PublicKey::from_bytes(&bytes).is_ok()) {
        true => None,
        false => Some(("these digits are no Ed25519 public key".to_owned(), example)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_stand_in_a_place_is_refused() {
        let text = |text: &str| Term { value: Value::Text(text.into()), span: Default::default() };
        for (column, bad, good) in [
            (Column::Operation, "tools:call:*", "tools:call:search"),
            (Column::Tool, "tools:call:search", "search"),
            (Column::Tool, "*", "delete_page"),
            (Column::Resource, "/srv/data", "file:///srv/data"),
            (Column::Resource, "HTTPS://a.example/", "https://a.example/"),
            (Column::Kind, "once", "call"),
            (Column::Agent, "user:alice", "agent.researcher"),
            (Column::Subject, "alice", "user:alice"),
            (Column::Audience, "notion mcp", "notion.mcp"),
        ] {
            assert!(column.refuses(&text(bad)).is_some(), "{bad}");
            assert_eq!(column.refuses(&text(good)), None, "{good}");
        }
    }

    #[test]
    fn a_key_is_sixty_four_lower_case_digits_of_a_point() {
        let key = hardtack::PrivateKey::from_bytes(&[7; 32]).public();
        let digits = hex::encode(key.to_bytes());
        assert_eq!(refuses_key(&digits), None);
        for bad in [
            digits.to_uppercase(),
            format!("ed25519/{digits}"),
            digits[1..].to_owned(),
            "abc".to_owned(),
            "0200000000000000000000000000000000000000000000000000000000000000".to_owned(),
        ] {
            assert!(refuses_key(&bad).is_some(), "{bad}");
        }
    }
}
