//! Methods: what does each method need? One table; what is not in it is unknown, and refused.

use serde_json::{Map, Value};

use crate::headers::Era;
use hardtack::call::{Call, CallError};
use hardtack::guard::Denial;
use hardtack::scope::ScopeError;

use NameHeader::{Absent, Allowed, Demanded};

/// The most resources to which one request may subscribe: each is a decision.
const MAX_SUBSCRIPTIONS: usize = 32;

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

/// Parameters that name no call which could be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unjudged {
    #[error("the parameters have not the form that the method has")]
    Parameters,
    #[error(
        "a name has other characters than letters, digits, `_`, `.` and `-`, and cannot be granted"
    )]
    Name(ScopeError),
    #[error(transparent)]
    Call(CallError),
}

impl From<CallError> for Unjudged {
    fn from(error: CallError) -> Unjudged {
        match error {
            CallError::Operation(error) => Unjudged::Name(error),
            error => Unjudged::Call(error),
        }
    }
}

impl From<&Unjudged> for Denial {
    fn from(error: &Unjudged) -> Denial {
        match error {
            Unjudged::Call(error) => error.clone().into(),
            other => Denial::inexact(other.to_string()),
        }
    }
}

/// Which calls parameters mean.
pub(crate) type Calls = fn(&Params) -> Result<Vec<Call>, Unjudged>;

/// What a method needs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Needs {
    /// A valid token.
    Token,
    /// A valid token, of which the answer shows what it may use.
    Listing,
    /// That each of these calls is allowed.
    Calls(Calls),
    /// That each of these calls is allowed, and that every task which is named is the caller's own.
    OwnTask(Calls),
}

/// A list from which is taken what a token may not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    Tools,
    Prompts,
    Resources,
    ResourceTemplates,
    Skills,
    Tasks,
}

/// What the header `Mcp-Name` has to do with a method (2026-07-28).
#[derive(Debug, Clone, Copy)]
pub(crate) enum NameHeader {
    /// There is nothing that it could repeat.
    Absent,
    /// It repeats this parameter.
    Demanded(&'static str),
    /// It repeats this parameter where it stands: the protocol demands it of no client.
    Allowed(&'static str),
}

/// A method's line in the table.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    pub(crate) name_header: NameHeader,
    /// Whether 2026-07-28 took it away.
    is_gone: bool,
}

impl Method {
    /// Whether this protocol has it.
    pub(crate) fn is_of(&self, era: Era) -> bool {
        era == Era::Legacy || !self.is_gone
    }
}

/// The line of a method.
pub(crate) fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

/// The line of a method that this protocol has.
pub(crate) fn find_of(era: Era, name: &str) -> Option<&'static Method> {
    find(name).filter(|method| method.is_of(era))
}

const fn method(name: &'static str, needs: Needs, name_header: NameHeader) -> Method {
    Method { name, needs, name_header, is_gone: false }
}

/// One that the server would not answer any more, and that must not be answered as if it lacked a scope or a parameter.
/// `initialize` and `ping` need none, so that the server says itself that they are gone.
const fn gone(name: &'static str, needs: Needs, name_header: NameHeader) -> Method {
    Method { name, needs, name_header, is_gone: true }
}

/// What clients may send. Servers' own requests (sampling, elicitation, roots) and notifications are not for
/// clients to send.
const METHODS: [Method; 28] = [
    method("initialize", Needs::Token, Absent),
    method("server/discover", Needs::Token, Absent),
    method("ping", Needs::Token, Absent),
    method("notifications/initialized", Needs::Token, Absent),
    method("notifications/cancelled", Needs::Token, Absent),
    method("notifications/progress", Needs::Token, Absent),
    method("notifications/roots/list_changed", Needs::Token, Absent),
    method("notifications/elicitation/response", Needs::Token, Absent),
    method("tools/list", Needs::Listing, Absent),
    method("tools/call", Needs::Calls(tool), Demanded("name")),
    method("prompts/list", Needs::Listing, Absent),
    method("prompts/get", Needs::Calls(prompt), Demanded("name")),
    method("resources/list", Needs::Listing, Absent),
    method("resources/templates/list", Needs::Listing, Absent),
    method("resources/read", Needs::Calls(read), Demanded("uri")),
    method("resources/directory/read", Needs::Calls(read_directory), Allowed("uri")),
    method("skills/list", Needs::Listing, Absent),
    method("skills/get", Needs::Calls(get_skill), Allowed("uri")),
    gone("resources/subscribe", Needs::Calls(subscribe), Allowed("uri")),
    gone("resources/unsubscribe", Needs::Calls(unsubscribe), Allowed("uri")),
    method("subscriptions/listen", Needs::OwnTask(listen), Absent),
    method("completion/complete", Needs::Calls(complete), Absent),
    gone("logging/setLevel", Needs::Calls(set_level), Absent),
    gone("tasks/list", Needs::Listing, Absent),
    method("tasks/get", Needs::OwnTask(|params| task(params, "tasks:get")), Demanded("taskId")),
    gone("tasks/result", Needs::OwnTask(|params| task(params, "tasks:result")), Allowed("taskId")),
    method(
        "tasks/update",
        Needs::OwnTask(|params| task(params, "tasks:update")),
        Demanded("taskId"),
    ),
    method(
        "tasks/cancel",
        Needs::OwnTask(|params| task(params, "tasks:cancel")),
        Demanded("taskId"),
    ),
];

/// The tool's name is an operation's last part, so that names with other characters cannot be granted.
fn tool(params: &Params) -> Result<Vec<Call>, Unjudged> {
    named("tools:call", params)
}

fn prompt(params: &Params) -> Result<Vec<Call>, Unjudged> {
    named("prompts:get", params)
}

fn named(what: &str, params: &Params) -> Result<Vec<Call>, Unjudged> {
    let name = text(params, "name")?;
    let call = Call::new(&format!("{what}:{name}"))?;
    let call = call.read_params(further(params, &["name", "arguments"]));
    Ok(vec![match params.get("arguments") {
        None | Some(Value::Null) => call,
        Some(Value::Object(arguments)) => call.read_arguments(arguments.clone())?,
        Some(_) => return Err(Unjudged::Parameters),
    }])
}

fn read(params: &Params) -> Result<Vec<Call>, Unjudged> {
    about("resources:read", params)
}

fn read_directory(params: &Params) -> Result<Vec<Call>, Unjudged> {
    about("resources:readDirectory", params)
}

fn get_skill(params: &Params) -> Result<Vec<Call>, Unjudged> {
    about("skills:get", params)
}

fn subscribe(params: &Params) -> Result<Vec<Call>, Unjudged> {
    about("resources:subscribe", params)
}

fn unsubscribe(params: &Params) -> Result<Vec<Call>, Unjudged> {
    about("resources:unsubscribe", params)
}

fn about(operation: &str, params: &Params) -> Result<Vec<Call>, Unjudged> {
    let call = Call::new(operation)?.resource(text(params, "uri")?)?;
    Ok(vec![call.read_params(further(params, &["uri"]))])
}

/// All that parameters say besides what is judged, for a server may act on it: the answers to what it asked for
/// (`requestState`, `inputResponses`), a task, somebody's own member of `_meta`.
fn further(params: &Params, judged: &[&str]) -> Params {
    let mut further = params.clone();
    further.retain(|name, _| !judged.contains(&name.as_str()));
    if let Some(Value::Object(meta)) = further.get_mut("_meta") {
        meta.retain(|name, _| !OF_THE_PROTOCOL.contains(&name.as_str()));
        if meta.is_empty() {
            further.remove("_meta");
        }
    }
    further
}

/// That some list changed may be heard by anybody with a token for this server; that a resource or a task did, by
/// whoever may subscribe to it or get it. Whatever else could be listened to is not known here.
fn listen(params: &Params) -> Result<Vec<Call>, Unjudged> {
    let filter = object(params, "notifications")?;
    let mut calls = Vec::new();
    let further = further(params, &["notifications"]);
    for (member, value) in filter {
        let call: fn(&str) -> Result<Call, Unjudged> = match (member.as_str(), value) {
            (
                "toolsListChanged" | "promptsListChanged" | "resourcesListChanged",
                Value::Bool(_),
            ) => {
                continue;
            }
            ("resourceSubscriptions", _) => {
                |uri| Ok(Call::new("resources:subscribe")?.resource(uri)?)
            }
            ("taskIds", _) => |id| Ok(Call::new("tasks:get")?.argument("task", id.to_owned())?),
            _ => return Err(Unjudged::Parameters),
        };
        for text in texts(value)? {
            calls.push(call(text)?.read_params(further.clone()));
        }
    }
    match calls.len() > MAX_SUBSCRIPTIONS {
        true => Err(Unjudged::Parameters),
        false => Ok(calls),
    }
}

/// The tasks that parameters name, by whatever member.
pub(crate) fn task_ids(params: &Params) -> Result<Vec<&str>, Unjudged> {
    let listened = params.get("notifications").and_then(|filter| filter.get("taskIds"));
    let mut ids = listened.map_or(Ok(Vec::new()), texts)?;
    if let Some(id) = params.get("taskId") {
        ids.push(id.as_str().ok_or(Unjudged::Parameters)?);
    }
    Ok(ids)
}

fn texts(value: &Value) -> Result<Vec<&str>, Unjudged> {
    let elements = value.as_array().ok_or(Unjudged::Parameters)?;
    elements.iter().map(|element| element.as_str().ok_or(Unjudged::Parameters)).collect()
}

fn object<'a>(params: &'a Params, name: &str) -> Result<&'a Params, Unjudged> {
    params.get(name).and_then(Value::as_object).ok_or(Unjudged::Parameters)
}

/// An object with no other members than these.
fn object_of<'a>(params: &'a Params, name: &str, known: &[&str]) -> Result<&'a Params, Unjudged> {
    let object = object(params, name)?;
    match object.keys().all(|member| known.contains(&member.as_str())) {
        true => Ok(object),
        false => Err(Unjudged::Parameters),
    }
}

/// Completions show what values a prompt's or a template's argument can have.
fn complete(params: &Params) -> Result<Vec<Call>, Unjudged> {
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

fn set_level(params: &Params) -> Result<Vec<Call>, Unjudged> {
    let level = params.get("level").cloned();
    let call = Call::new("logging:setLevel")?.argument("level", level)?;
    Ok(vec![call.read_params(further(params, &["level"]))])
}

fn task(params: &Params, operation: &str) -> Result<Vec<Call>, Unjudged> {
    let id = text(params, "taskId")?;
    let call = Call::new(operation)?.argument("task", id.to_owned())?;
    Ok(vec![call.read_params(further(params, &["taskId"]))])
}

fn text<'a>(params: &'a Params, name: &str) -> Result<&'a str, Unjudged> {
    params.get(name).and_then(Value::as_str).ok_or(Unjudged::Parameters)
}

impl Listing {
    /// The member of the result that holds the list.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Listing::Tools => "tools",
            Listing::Prompts => "prompts",
            Listing::Resources => "resources",
            Listing::ResourceTemplates => "resourceTemplates",
            Listing::Skills => "skills",
            Listing::Tasks => "tasks",
        }
    }

    pub(crate) const ALL: [Listing; 6] = [
        Listing::Tools,
        Listing::Prompts,
        Listing::Resources,
        Listing::ResourceTemplates,
        Listing::Skills,
        Listing::Tasks,
    ];
}

#[cfg(test)]
mod tests;
