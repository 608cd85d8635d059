//! Message: what does a body say, if every reader reads it the same way?
//!
//! One JSON-RPC message, read once. Its bytes are forwarded as they came, so whatever another reader could
//! take for something else is refused here: members that stand twice or are called alike, batches, other
//! encodings.

use bytes::Bytes;
use serde_json::{Map, Value};

use hardtack::call::{ArgumentProblem, MAX_ARGUMENT_DEPTH, MAX_SAFE_INTEGER, parse_strictly};
use hardtack::internal::{MAX_FOLDED_BYTES, fold};

/// How deep a message may nest: arguments, the three levels around them, and the metadata beside them.
const MAX_LEVELS: usize = MAX_ARGUMENT_DEPTH + 4;

/// The most values in a message. A body of 4 MiB could hold two million, which take a hundred megabytes.
pub(crate) const MAX_VALUES: usize = 20_000;

/// The longest id of a request; real ones are counters or UUIDs.
const MAX_ID_BYTES: usize = 256;

/// Where a member of another spelling would be taken for one of these by readers that do not tell them apart.
const MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// Where a member of another spelling would be taken for one of these parameters by such readers.
const PARAMETERS: [&str; 13] = [
    "name",
    "arguments",
    "uri",
    "ref",
    "argument",
    "context",
    "taskId",
    "task",
    "cursor",
    "level",
    "notifications",
    "protocolVersion",
    "_meta",
];

/// One message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) body: Bytes,
    pub(crate) content: Content,
}

/// What it is.
#[derive(Debug)]
pub(crate) enum Content {
    Request {
        id: Id,
        method: String,
        params: Map<String, Value>,
    },
    Notification {
        method: String,
    },
    /// The client's answer to a request of the server's.
    Response,
}

/// A request's id, to be echoed as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Id(Value);

impl Id {
    pub(crate) fn to_json(&self) -> Value {
        self.0.clone()
    }
}

/// A body that is no such message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MessageError {
    #[error("the message {}", said(*.0))]
    Json(ArgumentProblem),
    #[error("the message is a batch; send one message at a time")]
    Batch,
    #[error(
        "the member {0:?} is another spelling of one that is read, which readers take differently"
    )]
    Spelling(String),
    #[error("this is no JSON-RPC 2.0 message: {0}")]
    Form(&'static str),
    #[error(
        "the message carries the bearer token, which belongs into the Authorization header alone"
    )]
    CarriesBearer,
}

/// What is wrong with a message, of which not all is arguments.
fn said(problem: ArgumentProblem) -> String {
    match problem {
        ArgumentProblem::NotJson => {
            "is no JSON in UTF-8, or has something behind it, or half a surrogate pair".to_owned()
        }
        ArgumentProblem::Alike => "has two members in one object whose names some readers take for one".to_owned(),
        ArgumentProblem::Name => {
            "has a member whose name has a character that does not print, at which some readers end it".to_owned()
        }
        ArgumentProblem::Repeated => {
            "has a member twice, which readers read differently".to_owned()
        }
        ArgumentProblem::UnsafeInteger => format!(
            "has an integer beyond ±{MAX_SAFE_INTEGER}, which readers round differently; send it as a text"
        ),
        ArgumentProblem::TooLarge => {
            format!(
                "has more than {MAX_VALUES} values or {MAX_LEVELS} levels, or {MAX_FOLDED_BYTES} bytes in names that are not ASCII"
            )
        }
        ArgumentProblem::NotAnObject => "is no object".to_owned(),
        other => format!("has members that {other}"),
    }
}

/// Id and method of a message that is refused as a whole, so that whoever waits for an answer hears why. Nothing
/// else of it is read.
pub(crate) fn sender_of(body: &[u8]) -> Option<(Id, bool)> {
    #[derive(serde::Deserialize)]
    struct Envelope {
        id: Value,
        method: String,
    }
    let Envelope { id, method } = serde_json::from_slice(body).ok()?;
    let is_id = match &id {
        Value::String(id) => id.len() <= MAX_ID_BYTES,
        Value::Number(id) => id.is_i64(),
        _ => false,
    };
    is_id.then_some((Id(id), method == "tools/call"))
}

impl MessageError {
    /// Whether a model may have meant well.
    pub(crate) fn is_a_slip(&self) -> bool {
        matches!(
            self,
            MessageError::Json(ArgumentProblem::UnsafeInteger | ArgumentProblem::NotJson)
        )
    }
}

impl Message {
    /// Reads a body. `bearer` is what it must not carry.
    pub(crate) fn read(body: Bytes, bearer: Option<&str>) -> Result<Message, MessageError> {
        let value = parse_strictly(&body, MAX_LEVELS, MAX_VALUES).map_err(MessageError::Json)?;
        let Value::Object(mut members) = value else {
            return Err(match value {
                Value::Array(_) => MessageError::Batch,
                _ => MessageError::Form("it is no object"),
            });
        };
        // Padding may be left out.
        let bearer = bearer.map(|bearer| bearer.trim_end_matches('='));
        if bearer
            .is_some_and(|bearer| members.iter().any(|(name, value)| carries(name, value, bearer)))
        {
            return Err(MessageError::CarriesBearer);
        }
        refuse_spellings(&members, &MEMBERS)?;
        if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(MessageError::Form("\"jsonrpc\" is not \"2.0\""));
        }
        let content = content(&mut members)?;
        Ok(Message { body, content })
    }

    pub(crate) fn id(&self) -> Option<&Id> {
        match &self.content {
            Content::Request { id, .. } => Some(id),
            _ => None,
        }
    }

    pub(crate) fn method(&self) -> Option<&str> {
        match &self.content {
            Content::Request { method, .. } | Content::Notification { method } => Some(method),
            Content::Response => None,
        }
    }

    pub(crate) fn params(&self) -> Option<&Map<String, Value>> {
        match &self.content {
            Content::Request { params, .. } => Some(params),
            _ => None,
        }
    }
}

fn content(members: &mut Map<String, Value>) -> Result<Content, MessageError> {
    let answers = members.contains_key("result") || members.contains_key("error");
    let method = match members.remove("method") {
        Some(Value::String(_)) if answers => {
            return Err(MessageError::Form("it is a request and an answer at once"));
        }
        Some(Value::String(method)) => method,
        Some(_) => return Err(MessageError::Form("\"method\" is no text")),
        None if answers && members.contains_key("id") => return Ok(Content::Response),
        None => return Err(MessageError::Form("it has neither \"method\" nor a result")),
    };
    let params = match members.remove("params") {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(MessageError::Form("\"params\" is no object")),
    };
    refuse_spellings(&params, &PARAMETERS)?;
    match members.remove("id") {
        None => Ok(Content::Notification { method }),
        Some(Value::String(id)) if id.len() > MAX_ID_BYTES => {
            Err(MessageError::Form("\"id\" is too long"))
        }
        Some(id @ Value::String(_)) => Ok(Content::Request { id: Id(id), method, params }),
        Some(Value::Number(id)) if id.is_i64() => {
            Ok(Content::Request { id: Id(Value::Number(id)), method, params })
        }
        Some(_) => Err(MessageError::Form("\"id\" is neither a text nor an integer")),
    }
}

/// Some readers (Go's, among others) take `Name` for `name`, and the last of both.
fn refuse_spellings(members: &Map<String, Value>, known: &[&str]) -> Result<(), MessageError> {
    let other = |name: &&String| {
        let folded = fold(name);
        known.iter().any(|known| known != name && fold(known) == folded)
    };
    match members.keys().find(other) {
        Some(name) => Err(MessageError::Spelling(name.clone())),
        None => Ok(()),
    }
}

fn carries(name: &str, value: &Value, bearer: &str) -> bool {
    name.contains(bearer)
        || match value {
            Value::String(text) => text.contains(bearer),
            Value::Array(elements) => elements.iter().any(|value| carries("", value, bearer)),
            Value::Object(members) => {
                members.iter().any(|(name, value)| carries(name, value, bearer))
            }
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Message, MessageError> {
        Message::read(Bytes::copy_from_slice(body.as_bytes()), Some("secret-bearer"))
    }

    #[test]
    fn what_two_readers_read_differently_is_refused() {
        use MessageError::*;
        for (body, expected) in [
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, Batch),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#,
                Json(ArgumentProblem::Repeated),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","na\u006de":"b"}}"#,
                Json(ArgumentProblem::Repeated),
            ),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}"#, Json(ArgumentProblem::Alike)),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"NAME":"b"}}"#,
                Spelling("NAME".into()),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"a":1,"A":2}}}"#,
                Json(ArgumentProblem::Alike),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"p":[{"a":1,"A":2}]}}}"#,
                Json(ArgumentProblem::Alike),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"argument\u017f":{}}}"#,
                Spelling("argument\u{17f}".into()),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"o":{"stra\u00dfe":1,"stra\u1e9ee":2}}}"#,
                Json(ArgumentProblem::Alike),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name\u0000":"b"}}"#,
                Json(ArgumentProblem::Name),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","method\u0000x":"b"}"#,
                Json(ArgumentProblem::Name),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"x":[{"y\u200b":1}]}}}"#,
                Json(ArgumentProblem::Name),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"\uff4eame":"b"}}"#,
                Spelling("\u{ff4e}ame".into()),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name ":"b"}}"#,
                Spelling("name ".into()),
            ),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}{}", Json(ArgumentProblem::NotJson)),
            (
                "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}",
                Json(ArgumentProblem::NotJson),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"x":["secret-b\u0065arer"]}}}"#,
                CarriesBearer,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}"#,
                Form("\"params\" is no object"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#,
                Form("\"id\" is neither a text nor an integer"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1.5,"method":"a"}"#,
                Form("\"id\" is neither a text nor an integer"),
            ),
            (r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#, Form("\"jsonrpc\" is not \"2.0\"")),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
                Form("it is a request and an answer at once"),
            ),
            ("3", Form("it is no object")),
        ] {
            assert_eq!(read(body).unwrap_err(), expected, "{body}");
        }
        let deep = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"_meta":{}{}}}}}"#,
            "[".repeat(MAX_LEVELS),
            "]".repeat(MAX_LEVELS)
        );
        assert_eq!(read(&deep).unwrap_err(), Json(ArgumentProblem::TooLarge));
        let wide =
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":[{}]}}"#, vec!["1"; MAX_VALUES].join(","));
        assert_eq!(read(&wide).unwrap_err(), Json(ArgumentProblem::TooLarge));
    }

    #[test]
    fn requests_notifications_and_answers_are_told_apart() {
        let request = read(r#"{"jsonrpc":"2.0","id":"7","method":"ping"}"#).unwrap();
        assert_eq!(request.id().map(Id::to_json), Some("7".into()));
        let note = read(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap();
        assert!(matches!(note.content, Content::Notification { .. }));
        let answer = read(r#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}"#).unwrap();
        assert!(matches!(answer.content, Content::Response));
    }

    #[test]
    fn a_member_in_another_spelling_is_refused_whichever_it_is() {
        let spelling = |body: String, name: &str| {
            let refused = read(&body).err();
            assert_eq!(refused, Some(MessageError::Spelling(name.to_owned())), "{name} passes");
        };
        for name in ["jsonrpc", "id", "method", "params", "result", "error"] {
            let name = name.to_uppercase();
            spelling(format!(r#"{{"{name}":1}}"#), &name);
        }
        for name in [
            "name",
            "arguments",
            "uri",
            "ref",
            "argument",
            "context",
            "taskId",
            "task",
            "cursor",
            "level",
            "notifications",
            "protocolVersion",
            "_meta",
        ] {
            let name = name.to_uppercase();
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"{name}":1}}}}"#);
            spelling(body, &name);
        }
    }

    #[test]
    fn the_bearer_is_found_wherever_it_stands_and_without_its_padding() {
        let carries = |params: &str, bearer: &str| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{params}}}"#);
            Message::read(Bytes::from(body), Some(bearer)).err()
                == Some(MessageError::CarriesBearer)
        };
        for (params, where_it_is) in [
            (r#"{"a":"x c2VjcmV0 y"}"#, "in a text"),
            (r#"{"c2VjcmV0":1}"#, "in a name"),
            (r#"{"a":["c2VjcmV0"]}"#, "in a list"),
            (r#"{"a":{"b":"c2VjcmV0"}}"#, "in an object"),
            (r#"{"a":[{"b":[{"c2VjcmV0":1}]}]}"#, "in a name far below"),
        ] {
            assert!(carries(params, "c2VjcmV0"), "{where_it_is}");
            assert!(carries(params, "c2VjcmV0=="), "{where_it_is}, without its padding");
        }
        assert!(!carries(r#"{"a":"c2VjcmV"}"#, "c2VjcmV0"));
    }

    #[test]
    fn ids_are_texts_of_bounded_length_or_integers() {
        let with_id =
            |id: &str| read(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#)).map(|_| ());
        let text = |bytes: usize| format!("\"{}\"", "a".repeat(bytes));
        assert_eq!(with_id(&text(MAX_ID_BYTES)), Ok(()));
        assert_eq!(with_id(&text(MAX_ID_BYTES + 1)), Err(MessageError::Form("\"id\" is too long")));
        assert_eq!(with_id("-9007199254740991"), Ok(()));
        for id in ["1.5", "null", "true", "[1]", "{}"] {
            let refused = Err(MessageError::Form("\"id\" is neither a text nor an integer"));
            assert_eq!(with_id(id), refused, "{id}");
        }
    }

    #[test]
    fn a_message_has_just_so_many_values_and_levels() {
        let with = |meta: String| {
            let params = format!(r#"{{"_meta":{meta}}}"#);
            read(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{params}}}"#)).err()
        };
        let too_large = Some(MessageError::Json(ArgumentProblem::TooLarge));
        // Message and parameters are two levels.
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let most = (1..2 * MAX_LEVELS).take_while(|levels| with(deep(*levels)).is_none()).count();
        assert_eq!(most, MAX_LEVELS - 2, "levels");
        assert_eq!(with(deep(most + 1)), too_large);
        // So are the message, its members, and the list.
        let wide = |values: usize| format!("[{}]", vec!["1"; values].join(","));
        assert_eq!(with(wide(MAX_VALUES - 6)), None, "values");
        assert_eq!(with(wide(MAX_VALUES + 1)), too_large);
    }

    #[test]
    fn an_answer_names_what_it_answers_and_a_method_is_a_text() {
        for (body, problem) in [
            (r#"{"jsonrpc":"2.0","result":{}}"#, "it has neither \"method\" nor a result"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "it has neither \"method\" nor a result"),
            (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, "\"method\" is no text"),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","error":{}}"#,
                "it is a request and an answer at once",
            ),
            (r#"{"id":1,"method":"a"}"#, "\"jsonrpc\" is not \"2.0\""),
        ] {
            assert_eq!(read(body).err(), Some(MessageError::Form(problem)), "{body}");
        }
    }

    #[test]
    fn whoever_sent_what_cannot_be_read_is_known_by_an_id_that_one_can_have() {
        let sender = |id: &str, method: &str| {
            let body = format!(r#"{{"id":{id},"method":"{method}","params":{{"a":1,"a":2}}}}"#);
            sender_of(body.as_bytes()).map(|(id, is_tool_call)| (id.to_json(), is_tool_call))
        };
        assert_eq!(sender("7", "tools/call"), Some((7.into(), true)));
        assert_eq!(sender("\"x\"", "ping"), Some(("x".into(), false)));
        let longest = "a".repeat(MAX_ID_BYTES);
        assert!(sender(&format!("\"{longest}\""), "ping").is_some());
        assert_eq!(sender(&format!("\"{longest}a\""), "ping"), None, "an id that is too long");
        assert_eq!(sender("1.5", "ping"), None, "an id that is no integer");
        assert_eq!(sender("null", "ping"), None);
    }

    #[test]
    fn only_what_a_model_may_have_meant_well_is_a_slip() {
        assert!(MessageError::Json(ArgumentProblem::UnsafeInteger).is_a_slip());
        assert!(MessageError::Json(ArgumentProblem::NotJson).is_a_slip());
        for error in [
            MessageError::Json(ArgumentProblem::Repeated),
            MessageError::Json(ArgumentProblem::TooLarge),
            MessageError::Batch,
            MessageError::CarriesBearer,
        ] {
            assert!(!error.is_a_slip(), "{error}");
        }
    }
}
