//! Methods: what does each method of MCP need? One table; what is not in it is unknown, and refused.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::call::{ArgumentProblem, Call, CallError, members_length};
use crate::mcp::{Era, MessageError};

use NameHeader::{Absent, Allowed, Demanded};

/// The most resources to which one request may subscribe: each is a decision.
const MAX_SUBSCRIPTIONS: usize = 32;

/// What one request may say besides what it listens to, 64 KiB: each of its calls is hashed with it.
const MAX_SHARED_BYTES: usize = 64 * 1024;

type Params = Map<String, Value>;

/// What the protocol itself keeps in `_meta`, and its clients' libraries add to a request unasked: how it is carried, not what
/// is to be done.
const OF_THE_PROTOCOL: [&str; 7] = [
    "progressToken",
    "traceparent",
    "tracestate",
    "baggage",
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
];

/// Which calls parameters mean.
type Calls = fn(&Params) -> Result<Vec<Call>, MessageError>;

/// The call that one text of a list of them means.
type CallOf = fn(&str) -> Result<Call, CallError>;

/// The kinds of what a method needs. It is exhaustive on purpose: whoever guards says what each comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// A valid token.
    Token,
    /// A valid token, of which the answer shows what it may use.
    Listing,
    /// That each of its calls is allowed.
    Calls,
    /// That each of its calls is allowed, and that every task which is named is the caller's own.
    OwnTasks,
}

/// What a row says of it.
#[derive(Debug, Clone, Copy)]
enum Row {
    Token,
    Listing,
    Calls(Calls),
    OwnTasks(Calls),
}

/// What the header `Mcp-Name` has to do with a method (2026-07-28).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameHeader {
    /// There is nothing that it could repeat.
    Absent,
    /// It repeats this parameter.
    Demanded(&'static str),
    /// It repeats this parameter where it stands: the protocol demands it of no client.
    Allowed(&'static str),
}

/// A method that clients may send: its row in the one table. What is not in it is unknown, and refused.
#[derive(Debug)]
pub struct Method {
    name: &'static str,
    row: Row,
    name_header: NameHeader,
    /// Whether 2026-07-28 took it away.
    is_gone: bool,
}

impl Method {
    /// Returns the row of the method with this name, in either protocol; `None` if it is not known here.
    pub fn find(name: &str) -> Option<&'static Method> {
        METHODS.iter().find(|method| method.name == name)
    }

    /// Returns the name of the method, such as `tools/call`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns true if the protocol of this era has the method.
    pub fn is_of(&self, era: Era) -> bool {
        era == Era::Legacy || !self.is_gone
    }

    /// Returns what is needed before the message may pass.
    pub fn needs(&self) -> Needs {
        match self.row {
            Row::Token => Needs::Token,
            Row::Listing => Needs::Listing,
            Row::Calls(_) => Needs::Calls,
            Row::OwnTasks(_) => Needs::OwnTasks,
        }
    }

    /// Returns the name of the parameter that the HTTP header `Mcp-Name` repeats, such as `uri`; `None` if there is none.
    pub fn named_by(&self) -> Option<&'static str> {
        match self.name_header {
            Demanded(name) | Allowed(name) => Some(name),
            Absent => None,
        }
    }

    /// Returns true if the protocol demands the header `Mcp-Name` (2026-07-28), and does not only allow it.
    pub fn demands_name_header(&self) -> bool {
        matches!(self.name_header, Demanded(_))
    }

    pub(super) fn is_notification(&self) -> bool {
        self.name.starts_with("notifications/")
    }

    pub(super) fn calls(&self, params: &Params) -> Result<Vec<Call>, MessageError> {
        match self.row {
            Row::Calls(calls) | Row::OwnTasks(calls) => calls(params),
            Row::Token | Row::Listing => Ok(Vec::new()),
        }
    }
}

const fn method(name: &'static str, row: Row, name_header: NameHeader) -> Method {
    Method { name, row, name_header, is_gone: false }
}

/// One that the server would not answer any more, and that must not be answered as if it lacked a scope or a parameter.
/// `initialize` and `ping` need none, so that the server says itself that they are gone.
const fn gone(name: &'static str, row: Row, name_header: NameHeader) -> Method {
    Method { name, row, name_header, is_gone: true }
}

/// What clients may send. Servers' own requests (sampling, elicitation, roots) and notifications are not for
/// clients to send.
const METHODS: [Method; 28] = [
    method("initialize", Row::Token, Absent),
    method("server/discover", Row::Token, Absent),
    method("ping", Row::Token, Absent),
    method("notifications/initialized", Row::Token, Absent),
    method("notifications/cancelled", Row::Token, Absent),
    method("notifications/progress", Row::Token, Absent),
    method("notifications/roots/list_changed", Row::Token, Absent),
    method("notifications/elicitation/response", Row::Token, Absent),
    method("tools/list", Row::Listing, Absent),
    method("tools/call", Row::Calls(tool), Demanded("name")),
    method("prompts/list", Row::Listing, Absent),
    method("prompts/get", Row::Calls(prompt), Demanded("name")),
    method("resources/list", Row::Listing, Absent),
    method("resources/templates/list", Row::Listing, Absent),
    method("resources/read", Row::Calls(read), Demanded("uri")),
    method("resources/directory/read", Row::Calls(read_directory), Allowed("uri")),
    method("skills/list", Row::Listing, Absent),
    method("skills/get", Row::Calls(get_skill), Allowed("uri")),
    gone("resources/subscribe", Row::Calls(subscribe), Allowed("uri")),
    gone("resources/unsubscribe", Row::Calls(unsubscribe), Allowed("uri")),
    method("subscriptions/listen", Row::OwnTasks(listen), Absent),
    method("completion/complete", Row::Calls(complete), Absent),
    gone("logging/setLevel", Row::Calls(set_level), Absent),
    gone("tasks/list", Row::Listing, Absent),
    method("tasks/get", Row::OwnTasks(|params| task(params, "tasks:get")), Demanded("taskId")),
    gone("tasks/result", Row::OwnTasks(|params| task(params, "tasks:result")), Allowed("taskId")),
    method(
        "tasks/update",
        Row::OwnTasks(|params| task(params, "tasks:update")),
        Demanded("taskId"),
    ),
    method(
        "tasks/cancel",
        Row::OwnTasks(|params| task(params, "tasks:cancel")),
        Demanded("taskId"),
    ),
];

/// The tool's name is an operation's last part, so that names with other characters cannot be granted.
fn tool(params: &Params) -> Result<Vec<Call>, MessageError> {
    named(Call::tool, params)
}

fn prompt(params: &Params) -> Result<Vec<Call>, MessageError> {
    named(Call::prompt, params)
}

fn named(call: CallOf, params: &Params) -> Result<Vec<Call>, MessageError> {
    let call = call(text(params, "name")?)?;
    let call = call.read_params(further(params, &["name", "arguments"]));
    Ok(vec![match params.get("arguments") {
        None | Some(Value::Null) => call,
        Some(Value::Object(arguments)) => call.read_arguments(arguments.clone())?,
        Some(_) => return Err(MessageError::Parameters),
    }])
}

fn read(params: &Params) -> Result<Vec<Call>, MessageError> {
    about("resources:read", params)
}

fn read_directory(params: &Params) -> Result<Vec<Call>, MessageError> {
    about("resources:readDirectory", params)
}

fn get_skill(params: &Params) -> Result<Vec<Call>, MessageError> {
    about("skills:get", params)
}

fn subscribe(params: &Params) -> Result<Vec<Call>, MessageError> {
    about("resources:subscribe", params)
}

fn unsubscribe(params: &Params) -> Result<Vec<Call>, MessageError> {
    about("resources:unsubscribe", params)
}

fn about(operation: &str, params: &Params) -> Result<Vec<Call>, MessageError> {
    let call = Call::new(operation)?.resource(text(params, "uri")?)?;
    Ok(vec![call.read_params(further(params, &["uri"]))])
}

/// All that parameters say besides what is judged, for a server may act on it: the answers to what it asked for
/// (`requestState`, `inputResponses`), a task, somebody's own member of `_meta`.
fn further(params: &Params, judged: &[&str]) -> Arc<Params> {
    // Arguments may be large, and are not copied for this.
    let further = params.iter().filter(|(name, _)| !judged.contains(&name.as_str()));
    let mut further: Params = further.map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(Value::Object(meta)) = further.get_mut("_meta") {
        meta.retain(|name, _| !OF_THE_PROTOCOL.contains(&name.as_str()));
        if meta.is_empty() {
            further.remove("_meta");
        }
    }
    Arc::new(further)
}

/// That some list changed may be heard by anybody with a token for this server; that a resource or a task did, by
/// whoever may subscribe to it or get it. Whatever else could be listened to is not known here.
fn listen(params: &Params) -> Result<Vec<Call>, MessageError> {
    let filter = object(params, "notifications")?;
    let mut listened: Vec<(CallOf, &str)> = Vec::new();
    for (member, value) in filter {
        let call: CallOf = match (member.as_str(), value) {
            (
                "toolsListChanged" | "promptsListChanged" | "resourcesListChanged",
                Value::Bool(_),
            ) => {
                continue;
            }
            ("resourceSubscriptions", _) => |uri| Call::new("resources:subscribe")?.resource(uri),
            ("taskIds", _) => |id| Call::new("tasks:get")?.argument("task", id.to_owned()),
            _ => return Err(MessageError::Parameters),
        };
        listened.extend(texts(value)?.into_iter().map(|text| (call, text)));
    }
    // Before any call is made of them: a message has room for thousands.
    if listened.len() > MAX_SUBSCRIPTIONS {
        return Err(MessageError::Parameters);
    }
    let further = further(params, &["notifications"]);
    if members_length(&further) > MAX_SHARED_BYTES {
        return Err(MessageError::Json(ArgumentProblem::TooLarge));
    }
    listened
        .into_iter()
        .map(|(call, text)| Ok(call(text)?.read_params(Arc::clone(&further))))
        .collect()
}

/// The tasks that parameters name, by whatever member.
pub(super) fn task_ids(params: &Params) -> Result<Vec<&str>, MessageError> {
    let listened = params.get("notifications").and_then(|filter| filter.get("taskIds"));
    let mut ids = listened.map_or(Ok(Vec::new()), texts)?;
    if let Some(id) = params.get("taskId") {
        ids.push(id.as_str().ok_or(MessageError::Parameters)?);
    }
    Ok(ids)
}

fn texts(value: &Value) -> Result<Vec<&str>, MessageError> {
    let elements = value.as_array().ok_or(MessageError::Parameters)?;
    elements.iter().map(|element| element.as_str().ok_or(MessageError::Parameters)).collect()
}

fn object<'a>(params: &'a Params, name: &str) -> Result<&'a Params, MessageError> {
    params.get(name).and_then(Value::as_object).ok_or(MessageError::Parameters)
}

/// An object with no other members than these.
fn object_of<'a>(
    params: &'a Params,
    name: &str,
    known: &[&str],
) -> Result<&'a Params, MessageError> {
    let object = object(params, name)?;
    match object.keys().all(|member| known.contains(&member.as_str())) {
        true => Ok(object),
        false => Err(MessageError::Parameters),
    }
}

/// Completions show what values a prompt's or a template's argument can have.
fn complete(params: &Params) -> Result<Vec<Call>, MessageError> {
    let reference = object_of(params, "ref", &["type", "name", "uri", "title"])?;
    let mut call = Call::new("completion:complete")?;
    for (member, argument) in [("name", "prompt"), ("uri", "template")] {
        if let Some(value) = reference.get(member) {
            call = call.argument(argument, value.clone())?;
        }
    }
    let argument = object_of(params, "argument", &["name", "value"])?;
    let call = call.argument("argument", argument.clone())?;
    Ok(vec![call.read_params(further(params, &["ref", "argument"]))])
}

fn set_level(params: &Params) -> Result<Vec<Call>, MessageError> {
    let level = params.get("level").cloned();
    let call = Call::new("logging:setLevel")?.argument("level", level)?;
    Ok(vec![call.read_params(further(params, &["level"]))])
}

fn task(params: &Params, operation: &str) -> Result<Vec<Call>, MessageError> {
    let id = text(params, "taskId")?;
    let call = Call::new(operation)?.argument("task", id.to_owned())?;
    Ok(vec![call.read_params(further(params, &["taskId"]))])
}

fn text<'a>(params: &'a Params, name: &str) -> Result<&'a str, MessageError> {
    params.get(name).and_then(Value::as_str).ok_or(MessageError::Parameters)
}

#[cfg(test)]
mod tests;
