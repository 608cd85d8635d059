//! Methods: what does each method need? One table; what is not in it is unknown, and refused.

use serde_json::{Map, Value};

use crate::call::{Call, CallError};
use crate::guard::Denial;
use crate::scope::ScopeError;

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
    /// The same, and that every task which is named is the caller's own.
    OwnTask(Calls),
}

/// A list from which is taken what a token may not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    Tools,
    Prompts,
    Resources,
    ResourceTemplates,
    Tasks,
}

/// A method's line in the table.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    /// The parameter that the header `Mcp-Name` repeats (2026-07-28).
    pub(crate) name_from: Option<&'static str>,
}

/// The line of a method.
pub(crate) fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

const fn method(name: &'static str, needs: Needs, name_from: Option<&'static str>) -> Method {
    Method { name, needs, name_from }
}

/// What clients may send. Servers' own requests (sampling, elicitation, roots) and notifications are not for
/// clients to send.
const METHODS: [Method; 26] = [
    method("initialize", Needs::Token, None),
    method("server/discover", Needs::Token, None),
    method("ping", Needs::Token, None),
    method("notifications/initialized", Needs::Token, None),
    method("notifications/cancelled", Needs::Token, None),
    method("notifications/progress", Needs::Token, None),
    method("notifications/roots/list_changed", Needs::Token, None),
    method("notifications/elicitation/response", Needs::Token, None),
    method("tools/list", Needs::Listing, None),
    method("tools/call", Needs::Calls(tool), Some("name")),
    method("prompts/list", Needs::Listing, None),
    method("prompts/get", Needs::Calls(prompt), Some("name")),
    method("resources/list", Needs::Listing, None),
    method("resources/templates/list", Needs::Listing, None),
    method("resources/read", Needs::Calls(read), Some("uri")),
    method("resources/directory/read", Needs::Calls(read_directory), Some("uri")),
    method("resources/subscribe", Needs::Calls(subscribe), Some("uri")),
    method("resources/unsubscribe", Needs::Calls(unsubscribe), Some("uri")),
    method("subscriptions/listen", Needs::OwnTask(listen), None),
    method("completion/complete", Needs::Calls(complete), None),
    method("logging/setLevel", Needs::Calls(set_level), None),
    method("tasks/list", Needs::Listing, None),
    method("tasks/get", Needs::OwnTask(|params| task(params, "tasks:get")), Some("taskId")),
    method("tasks/result", Needs::OwnTask(|params| task(params, "tasks:result")), Some("taskId")),
    method("tasks/update", Needs::OwnTask(|params| task(params, "tasks:update")), Some("taskId")),
    method("tasks/cancel", Needs::OwnTask(|params| task(params, "tasks:cancel")), Some("taskId")),
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
            Listing::Tasks => "tasks",
        }
    }

    pub(crate) const ALL: [Listing; 5] = [
        Listing::Tools,
        Listing::Prompts,
        Listing::Resources,
        Listing::ResourceTemplates,
        Listing::Tasks,
    ];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn calls(name: &str, params: Value) -> Result<Vec<String>, Unjudged> {
        let Value::Object(params) = params else { panic!("no object") };
        let calls = match find(name).unwrap().needs {
            Needs::Calls(calls) | Needs::OwnTask(calls) => calls(&params)?,
            Needs::Token | Needs::Listing => Vec::new(),
        };
        Ok(calls
            .iter()
            .map(|call| {
                let arguments = Value::Object(call.arguments_json().clone());
                format!("{} {:?} {arguments}", call.operation(), call.resource_uri())
            })
            .collect())
    }

    #[test]
    fn each_method_needs_what_the_table_says() {
        for (name, params, expected) in [
            (
                "tools/call",
                json!({"name": "search", "arguments": {"query": "a"}}),
                r#"tools:call:search None {"query":"a"}"#,
            ),
            ("prompts/get", json!({"name": "brief"}), "prompts:get:brief None {}"),
            (
                "resources/read",
                json!({"uri": "https://a.b/"}),
                r#"resources:read Some("https://a.b/") {}"#,
            ),
            (
                "subscriptions/listen",
                json!({"notifications": {"resourceSubscriptions": ["https://a.b/"]}}),
                r#"resources:subscribe Some("https://a.b/") {}"#,
            ),
            (
                "completion/complete",
                json!({"ref": {"type": "ref/prompt", "name": "brief"}, "argument": {"name": "a", "value": "b"}}),
                r#"completion:complete None {"argument":{"name":"a","value":"b"},"prompt":"brief"}"#,
            ),
            (
                "logging/setLevel",
                json!({"level": "debug"}),
                r#"logging:setLevel None {"level":"debug"}"#,
            ),
            ("tasks/get", json!({"taskId": "t1"}), r#"tasks:get None {"task":"t1"}"#),
        ] {
            assert_eq!(calls(name, params).unwrap(), [expected], "{name}");
        }
        assert_eq!(
            calls("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})),
            Ok(vec![])
        );
    }

    #[test]
    fn parameters_of_another_form_name_no_call() {
        for (name, params) in [
            ("tools/call", json!({})),
            ("tools/call", json!({"name": ["search"]})),
            ("tools/call", json!({"name": "search", "arguments": [1]})),
            ("tools/call", json!({"name": "sea rch"})),
            ("tools/call", json!({"name": "*"})),
            ("resources/read", json!({"uri": "https://a.b/../c"})),
            ("subscriptions/listen", json!({})),
            ("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": [1]}})),
            ("subscriptions/listen", json!({"notifications": {"toolsListChanged": "yes"}})),
            ("subscriptions/listen", json!({"notifications": {"everything": true}})),
            (
                "completion/complete",
                json!({"ref": {"name": "a", "also": "b"}, "argument": {"name": "c", "value": "d"}}),
            ),
            ("completion/complete", json!({"argument": {}})),
        ] {
            assert!(calls(name, params.clone()).is_err(), "{name} {params}");
        }
    }

    #[test]
    fn what_servers_send_and_what_nobody_knows_is_unknown() {
        for name in
            ["sampling/createMessage", "elicitation/create", "roots/list", "tools/delete", ""]
        {
            assert!(find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn no_method_stands_twice() {
        for (index, method) in METHODS.iter().enumerate() {
            assert!(METHODS[..index].iter().all(|other| other.name != method.name));
        }
    }

    #[test]
    fn a_request_subscribes_to_just_so_many() {
        let listen = |resources: usize, tasks: usize| {
            let uris: Vec<String> = (0..resources).map(|n| format!("https://a.b/{n}")).collect();
            let ids: Vec<String> = (0..tasks).map(|n| format!("t{n}")).collect();
            let filter = json!({"resourceSubscriptions": uris, "taskIds": ids});
            calls("subscriptions/listen", json!({"notifications": filter})).map(|calls| calls.len())
        };
        assert_eq!(listen(MAX_SUBSCRIPTIONS, 0), Ok(MAX_SUBSCRIPTIONS));
        assert_eq!(listen(MAX_SUBSCRIPTIONS - 1, 1), Ok(MAX_SUBSCRIPTIONS));
        assert_eq!(listen(MAX_SUBSCRIPTIONS + 1, 0), Err(Unjudged::Parameters));
        assert_eq!(listen(MAX_SUBSCRIPTIONS, 1), Err(Unjudged::Parameters));
        assert_eq!(listen(0, MAX_SUBSCRIPTIONS + 1), Err(Unjudged::Parameters));
    }

    #[test]
    fn tasks_are_their_owners_in_every_method_that_names_one() {
        for name in ["tasks/get", "tasks/result", "tasks/update", "tasks/cancel"] {
            let method = find(name).unwrap();
            assert!(matches!(method.needs, Needs::OwnTask(_)), "{name} is for anybody");
            let operation = name.replace('/', ":");
            let expected = format!(r#"{operation} None {{"task":"t1"}}"#);
            assert_eq!(calls(name, json!({"taskId": "t1"})), Ok(vec![expected]), "{name}");
            assert!(calls(name, json!({"taskId": 1})).is_err() && calls(name, json!({})).is_err());
        }
        assert!(matches!(find("subscriptions/listen").unwrap().needs, Needs::OwnTask(_)));
        let named = |params: Value| {
            let ids = task_ids(params.as_object().unwrap());
            ids.map(|ids| ids.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let both = json!({"notifications": {"taskIds": ["a", "b"]}, "taskId": "c"});
        assert_eq!(named(both), Ok(["a", "b", "c"].map(str::to_owned).to_vec()));
        for params in [
            json!({"taskId": 1}),
            json!({"notifications": {"taskIds": "a"}}),
            json!({"notifications": {"taskIds": [1]}}),
        ] {
            assert!(named(params.clone()).is_err(), "{params}");
        }
    }

    #[test]
    fn what_completion_is_asked_for_has_no_other_members() {
        let asked = |reference: Value, argument: Value| {
            calls("completion/complete", json!({"ref": reference, "argument": argument}))
        };
        let (reference, argument) = (json!({"name": "a"}), json!({"name": "c", "value": "d"}));
        assert!(asked(reference.clone(), argument.clone()).is_ok());
        let other = json!({"name": "a", "also": "b"});
        assert_eq!(asked(other, argument), Err(Unjudged::Parameters), "a reference");
        let other = json!({"name": "c", "value": "d", "also": "e"});
        assert_eq!(asked(reference, other), Err(Unjudged::Parameters), "an argument");
    }

    #[test]
    fn arguments_that_are_null_are_none() {
        let call = calls("tools/call", json!({"name": "search", "arguments": null}));
        assert_eq!(call, Ok(vec!["tools:call:search None {}".to_owned()]));
    }
}
