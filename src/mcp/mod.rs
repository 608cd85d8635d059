//! MCP: which calls does a message of the Model Context Protocol mean?
//!
//! One JSON-RPC message is read once, without a web framework: for the gateway, and for a tool server or a client's hook that
//! guards by itself. Whatever another reader could take for something else is refused: members that stand twice or are called
//! alike, batches, other encodings. So the bytes that were read may be passed on as they came.

mod methods;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::call::{
    ArgumentProblem, Call, CallError, Integers, MAX_ARGUMENT_DEPTH, MAX_ARGUMENT_VALUES,
    MAX_SAFE_INTEGER, has_large_integer, parse_strictly,
};
use crate::cause::Cause;
use crate::scope::ScopeError;
use crate::spelling::{MAX_FOLDED_BYTES, fold};

pub use methods::{Method, Needs};

/// How deep a message may nest: arguments, the three levels around them, and the metadata beside them.
const MAX_LEVELS: usize = MAX_ARGUMENT_DEPTH + 4;

/// The most values in a message, at all depths. A body of 4 MiB could hold two million.
const MAX_MESSAGE_VALUES: usize = MAX_ARGUMENT_VALUES;

/// As many characters of what a client wrote are repeated to it at most: a refusal stays short, whatever it refuses.
const MAX_SHOWN: usize = 64;

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

/// The first version that has neither sessions nor `initialize`, and repeats the method in a header.
const MODERN: &str = "2026-07-28";

/// Where a request says its version itself, since there is no session that could.
const VERSION_IN_META: &str = "io.modelcontextprotocol/protocolVersion";

/// The two protocols of MCP that are in use at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Versions 2025-03-26 to 2025-11-25: `initialize`, sessions, streams to resume.
    Legacy,
    /// Versions since 2026-07-28: every request for itself.
    Modern,
}

impl Era {
    /// Returns the protocol of a version, such as `2025-11-25`.
    pub fn of_version(version: &str) -> Era {
        // Versions are dates, so that later ones are greater.
        if version >= MODERN { Era::Modern } else { Era::Legacy }
    }
}

/// A message of MCP from a client: a request, a notification, or the answer to a request of the server's.
///
/// ```
/// use hardtack::mcp::{Message, MessageError};
///
/// let body = br#"{"jsonrpc": "2.0", "id": 7, "method": "tools/call",
///     "params": {"name": "search", "arguments": {"query": "roadmap"}}}"#;
/// let message = Message::read(body, None)?;
/// let calls = message.calls()?;
/// assert_eq!(calls[0].operation().as_str(), "tools:call:search");
///
/// // A list or a ping means no call: any valid token may ask for it.
/// let body = br#"{"jsonrpc": "2.0", "id": 8, "method": "tools/list"}"#;
/// assert!(Message::read(body, None)?.calls()?.is_empty());
///
/// // What two readers could read differently is refused, and so is what nobody knows.
/// let twice = br#"{"jsonrpc": "2.0", "id": 9, "method": "ping", "method": "tools/call"}"#;
/// assert!(Message::read(twice, None).is_err());
/// let unknown = Message::read(br#"{"jsonrpc": "2.0", "id": 9, "method": "tools/delete"}"#, None)?;
/// assert!(matches!(unknown.calls(), Err(MessageError::Method(_))));
/// # Ok::<(), MessageError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Message(Content);

/// What it is.
#[derive(Debug, Clone)]
enum Content {
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

/// The id of a request, to be echoed in its answer as it came: a text of at most 256 bytes, or an integer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id(Value);

impl Id {
    /// Returns the id as JSON.
    pub fn to_json(&self) -> Value {
        self.0.clone()
    }
}

/// The error of a text that is no message, or of a message that names no call which could be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Readers could read the JSON differently, or it is none, or more than is read.
    #[error("the message {}", said(*.0))]
    Json(ArgumentProblem),
    /// The message is a batch of several.
    #[error("the message is a batch; send one message at a time")]
    Batch,
    /// A member has a name that some readers take for one of the protocol; the first 64 characters of it.
    #[error(
        "the member {0:?} is another spelling of one that is read, which readers take differently"
    )]
    Spelling(String),
    /// The JSON is no message of JSON-RPC 2.0.
    #[error("this is no JSON-RPC 2.0 message: {0}")]
    Form(&'static str),
    /// The message carries the bearer with which it came.
    #[error(
        "the message carries the bearer token, which belongs into the Authorization header alone"
    )]
    CarriesBearer,
    /// The method is none that a client may send, as far as is known here.
    #[error("the method {} is not known here", shown(.0))]
    Method(String),
    /// A request has no id, or a notification has one.
    #[error("{0} must be sent with an id if and only if it has an answer")]
    Answerless(&'static str),
    /// The parameters are not of the form that the method has.
    #[error("the parameters have not the form that the method has")]
    Parameters,
    /// The name of a tool or prompt can be no part of an operation.
    #[error("the name cannot be granted: {0}")]
    Name(ScopeError),
    /// A call is not exact enough to be judged.
    #[error(transparent)]
    Call(CallError),
}

impl From<CallError> for MessageError {
    fn from(error: CallError) -> MessageError {
        match error {
            CallError::Operation(error) => MessageError::Name(error),
            error => MessageError::Call(error),
        }
    }
}

impl MessageError {
    /// Returns the [`Cause`] of this error: `inexact_call` or `call_too_large`.
    pub fn cause(&self) -> Cause {
        match self {
            MessageError::Call(error) => error.cause(),
            MessageError::Json(ArgumentProblem::TooLarge) => Cause::CallTooLarge,
            MessageError::Json(_)
            | MessageError::Batch
            | MessageError::Spelling(_)
            | MessageError::Form(_)
            | MessageError::CarriesBearer
            | MessageError::Method(_)
            | MessageError::Answerless(_)
            | MessageError::Parameters
            | MessageError::Name(_) => Cause::InexactCall,
        }
    }
}

/// A method's name as far as it is repeated to whoever chose it.
fn shown(method: &str) -> String {
    method.chars().take(MAX_SHOWN).filter(|c| c.is_ascii_graphic()).collect()
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
        ArgumentProblem::InexactInteger => format!(
            "has an integer beyond ±{MAX_SAFE_INTEGER} that is not from -2^63 to 2^63-1 and written in digits alone; send it as a text"
        ),
        ArgumentProblem::TooLarge => {
            format!(
                "has more than {MAX_MESSAGE_VALUES} values or {MAX_LEVELS} levels, or {MAX_FOLDED_BYTES} bytes in names that are not ASCII"
            )
        }
        ArgumentProblem::NotAnObject => "is no object".to_owned(),
    }
}

impl Message {
    /// Reads one message from its JSON text. `bearer` is the token with which it came, if any: a message that carries it is refused,
    /// since whatever it is forwarded to would learn the token.
    ///
    /// # Errors
    ///
    /// [`MessageError`] for all that two readers could read differently, for what is no message, and for one that carries `bearer`.
    pub fn read(json: &[u8], bearer: Option<&str>) -> Result<Message, MessageError> {
        Message::read_strictly(json, bearer, Integers::Safe)
    }

    /// Reads one message as [`Message::read`] does, in which the arguments of a tool or prompt may have
    /// [large integers](Call::large_integers).
    ///
    /// # Errors
    ///
    /// [`MessageError`] as of [`Message::read`].
    pub fn read_with_large_integers(
        json: &[u8],
        bearer: Option<&str>,
    ) -> Result<Message, MessageError> {
        Message::read_strictly(json, bearer, Integers::Large)
    }

    fn read_strictly(
        json: &[u8],
        bearer: Option<&str>,
        integers: Integers,
    ) -> Result<Message, MessageError> {
        let value = parse_strictly(json, MAX_LEVELS, MAX_MESSAGE_VALUES, integers)
            .map_err(MessageError::Json)?;
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
        if integers == Integers::Large {
            refuse_large_integers(&members)?;
        }
        refuse_spellings(&members, &MEMBERS)?;
        if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(MessageError::Form("\"jsonrpc\" is not \"2.0\""));
        }
        content(&mut members).map(Message)
    }

    /// Returns the id and the method of a request that [`Message::read`] refuses, so that whoever waits for an answer hears why.
    /// Nothing else of it is read; do not act on it. `None` if it has no id that could be echoed.
    pub fn sender_of(json: &[u8]) -> Option<(Id, String)> {
        #[derive(serde::Deserialize)]
        struct Envelope<'a> {
            #[serde(borrow)]
            id: &'a RawValue,
            method: String,
        }
        let Envelope { id, method } = serde_json::from_slice(json).ok()?;
        // A list or an object would take far more memory than its bytes.
        if id.get().starts_with(['[', '{']) {
            return None;
        }
        let id = serde_json::from_str::<Value>(id.get()).ok()?;
        let is_id = match &id {
            Value::String(id) => id.len() <= MAX_ID_BYTES,
            Value::Number(id) => id.is_i64(),
            _ => false,
        };
        is_id.then_some((Id(id), method))
    }

    /// Returns the id of the request; `None` for a notification and for an answer.
    pub fn id(&self) -> Option<&Id> {
        match &self.0 {
            Content::Request { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Returns the name of the method, known or not; `None` for the answer to a request of the server's.
    pub fn method(&self) -> Option<&str> {
        match &self.0 {
            Content::Request { method, .. } | Content::Notification { method } => Some(method),
            Content::Response => None,
        }
    }

    /// Returns the parameters of the request, empty if it has none; `None` for a notification and for an answer.
    pub fn params(&self) -> Option<&Map<String, Value>> {
        match &self.0 {
            Content::Request { params, .. } => Some(params),
            _ => None,
        }
    }

    /// Returns the version of the protocol that the request itself names, as requests do since 2026-07-28; `None` if it names none.
    pub fn protocol_version(&self) -> Option<&str> {
        self.params()?.get("_meta")?.get(VERSION_IN_META)?.as_str()
    }

    /// Returns the row of the message's method in the table of those that clients may send, if the protocol of this era has it.
    ///
    /// # Errors
    ///
    /// [`MessageError::Method`] if there is none, and also for an answer, which has no method. [`MessageError::Answerless`] for a
    /// request without an id, and for a notification with one.
    pub fn asks(&self, era: Era) -> Result<&'static Method, MessageError> {
        let name = self.method().unwrap_or_default();
        let method = Method::find(name).filter(|method| method.is_of(era));
        let method = method.ok_or_else(|| MessageError::Method(name.to_owned()))?;
        match self.id().is_none() == method.is_notification() {
            true => Ok(method),
            false => Err(MessageError::Answerless(method.name())),
        }
    }

    /// Returns the calls that the message means, each of which must be allowed before anything is done for it. There are none for what
    /// any valid token may ask for, such as a list or an answer to the server ([`Method::needs`]).
    ///
    /// Methods are known here that one of the two protocols alone has. A server of one protocol asks [`Message::asks`] first.
    ///
    /// # Errors
    ///
    /// [`MessageError`] for a method that is not known, and for parameters that name no call which could be judged. Refuse the message
    /// then.
    pub fn calls(&self) -> Result<Vec<Call>, MessageError> {
        if let Content::Response = self.0 {
            return Ok(Vec::new());
        }
        // It has all of them.
        let method = self.asks(Era::Legacy)?;
        match self.params() {
            Some(params) => method.calls(params),
            None => Ok(Vec::new()),
        }
    }

    /// Returns the ids of the tasks that the message names, by whatever member. A server whose callers may not see each other's tasks
    /// looks whether these are the caller's own ([`Needs::OwnTasks`]).
    ///
    /// # Errors
    ///
    /// [`MessageError::Parameters`] if one is no text.
    pub fn task_ids(&self) -> Result<Vec<&str>, MessageError> {
        self.params().map_or(Ok(Vec::new()), methods::task_ids)
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

/// Those beyond ±(2^53−1) are for tools and prompts. Ids, and what else gateways and clients read, have none.
fn refuse_large_integers(members: &Map<String, Value>) -> Result<(), MessageError> {
    let has_arguments = members
        .get("method")
        .and_then(Value::as_str)
        .is_some_and(|method| matches!(method, "tools/call" | "prompts/get"));
    let is_large = |(name, value): (&String, &Value)| match value {
        Value::Object(params) if has_arguments && name == "params" => {
            params.iter().any(|(name, value)| name != "arguments" && has_large_integer(value))
        }
        value => has_large_integer(value),
    };
    match members.iter().any(is_large) {
        true => Err(MessageError::Json(ArgumentProblem::UnsafeInteger)),
        false => Ok(()),
    }
}

/// Some readers (Go's, among others) take `Name` for `name`, and the last of both.
fn refuse_spellings(members: &Map<String, Value>, known: &[&str]) -> Result<(), MessageError> {
    let other = |name: &&String| {
        let folded = fold(name);
        known.iter().any(|known| known != name && fold(known) == folded)
    };
    match members.keys().find(other) {
        Some(name) => Err(MessageError::Spelling(name.chars().take(MAX_SHOWN).collect())),
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
mod tests;
