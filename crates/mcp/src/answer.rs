//! Answer: what a client is told when a message does not go through.
//!
//! In the form that its runtime shows to the model and survives (measured with fifteen clients): a refused
//! tool call is a tool's result that is an error, every other refused request a JSON-RPC error, both under
//! HTTP 200 and with the request's own id.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::body::{OVERLOADED, UNDELIVERED};
use crate::reading::id_of;
use hardtack::cause::Cause;
use hardtack::guard::{Denial, Helps};
use hardtack::mcp::{Era, Id, MessageError};
use hardtack_http::{Realm, Refused};

/// JSON-RPC 2.0, section 5.1.
pub(crate) const INVALID_REQUEST: i64 = -32600;
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
pub(crate) const INVALID_PARAMS: i64 = -32602;
pub(crate) const INTERNAL_ERROR: i64 = -32603;

/// 2026-07-28, transports: headers that do not say what the body says.
pub(crate) const HEADER_MISMATCH: i64 = -32020;

/// 2026-07-28: the client does not say that it can what the request needs.
const MISSING_CAPABILITY: i64 = -32021;

/// The extension by which a client of 2026-07-28 says that it knows tasks.
pub(crate) const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// A refusal. Outside the range that JSON-RPC and MCP reserve, and what HTTP calls it.
const FORBIDDEN: i64 = 403;

/// A refusal where it could not be decided.
pub(crate) const UNDECIDED: i64 = 503;

/// What stands before the members that a program may read of a refusal.
pub(crate) const META: &str = "dev.hardtack/refusal";

/// The choice how a refused request of a valid token is answered ([`Gateway::refusals`](crate::Gateway::refusals)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefusalStyle {
    /// HTTP 200 with an error in the answer: the model sees the reason and the session goes on.
    #[default]
    Message,
    /// HTTP 403 `insufficient_scope` with a challenge (RFC 6750, section 3), and the reason in the body. For clients that then ask for
    /// more scope; agents on the Python SDK 1.x do not survive it.
    Challenge,
}

/// What whoever waits for an answer is told when it ends before the server's does. Nearly always it is not needed, and is not made.
#[derive(Debug, Clone)]
pub(crate) struct ClosingMessage {
    pub(crate) id: Id,
    pub(crate) is_tool_call: bool,
}

impl ClosingMessage {
    pub(crate) fn to_json(&self, ended: CutBy) -> Value {
        let (status, error, text, helps) = match ended {
            CutBy::Cause(Cause::AnswerTooLong) => (
                StatusCode::FORBIDDEN,
                "access_denied",
                "the answer went on for longer than this server lets it, so it was not waited for; what was asked for may have been done",
                Helps::Server,
            ),
            CutBy::Cause(_) => (
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "the token has expired or was revoked, so the answer was not waited for; what was asked for may have been done",
                Helps::NewToken,
            ),
            CutBy::Shutdown => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "this server is being shut down, so the answer was not waited for; what was asked for may have been done",
                Helps::Later,
            ),
        };
        let mut refused = Refused::by_door(status.as_u16(), Some(error), text);
        refused.helps = Some(helps);
        let facts = refused.facts();
        match self.is_tool_call {
            true => tool_error(&self.id, text, &facts),
            false => with_facts(error_body(Some(&self.id), FORBIDDEN, text), &facts),
        }
    }

    /// As an event, after a blank line, since half an event may stand before it.
    pub(crate) fn to_event(&self, ended: CutBy) -> Bytes {
        Bytes::from(format!("\n\ndata: {}\n\n", self.to_json(ended)))
    }
}

/// Whether these data of an error are those of a gateway that is shut down, or whose server is exchanged, while somebody waits.
pub(crate) fn ends_for_now(data: &Value) -> bool {
    data[META]["error"] == "temporarily_unavailable"
}

/// Why an answer ends before the server's does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutBy {
    Cause(Cause),
    Shutdown,
}

/// A request that a relay cannot forward, for a reason that the model may be told.
pub(crate) fn unforwarded(id: Option<&Id>, is_tool_call: bool, text: &str) -> Response {
    match id.filter(|_| is_tool_call) {
        Some(id) => respond(StatusCode::OK, &tool_error(id, text, &Value::Null)),
        None => error(StatusCode::SERVICE_UNAVAILABLE, id, UNDECIDED, text),
    }
}

/// A request that would be refused, and is not sent.
pub(crate) fn unsent(id: Option<&Id>, is_tool_call: bool, refused: &Refused) -> Response {
    let text = format!("denied: {}.", refused.description);
    let body = match id.filter(|_| is_tool_call) {
        Some(id) => tool_error(id, &text, &refused.facts()),
        None => with_facts(error_body(id, FORBIDDEN, &text), &refused.facts()),
    };
    respond(StatusCode::OK, &body)
}

pub(crate) fn tool_error(id: &Id, text: &str, facts: &Value) -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": id.to_json(),
        "result": {
            "resultType": "complete",
            "isError": true,
            "content": [{"type": "text", "text": text}],
            "_meta": {META: facts},
        },
    })
}

/// A JSON-RPC error, under an HTTP status.
pub(crate) fn error(status: StatusCode, id: Option<&Id>, code: i64, message: &str) -> Response {
    respond(status, &error_body(id, code, message))
}

pub(crate) fn error_body(id: Option<&Id>, code: i64, message: &str) -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": id.map_or(Value::Null, Id::to_json),
        "error": {"code": code, "message": message},
    })
}

fn with_facts(mut body: Value, facts: &Value) -> Value {
    body["error"]["data"] = json!({META: facts});
    body
}

/// A list of which it could not be said what of it the token may use, in the place of the answer to a request.
pub(crate) fn undecided_list(id: Option<&RawValue>, denial: &Denial) -> Value {
    let refused = Refused::of(denial, "the list");
    let message = format!("undecided: {}.", refused.description);
    let mut body = error_body(None, UNDECIDED, &message);
    // As it came.
    body["id"] = id.and_then(|id| id_of(id.get())).unwrap_or_default();
    with_facts(body, &refused.facts())
}

/// A request of somebody for whom too much is held, or when too much is held for all.
pub(crate) fn overloaded(id: Option<&Id>) -> Response {
    busy(id, OVERLOADED)
}

/// A request for which there is no place now.
pub(crate) fn busy(id: Option<&Id>, problem: &str) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let error = Some("temporarily_unavailable");
    let mut refused = Refused::by_door(status.as_u16(), error, problem);
    (refused.cause, refused.helps) = (Some(Cause::Overloaded), Some(Helps::Later));
    respond(status, &with_facts(error_body(id, UNDECIDED, problem), &refused.facts()))
}

/// An answer that has come and is not handed on, since too much is held.
pub(crate) fn undelivered(id: Option<&Id>) -> Response {
    // To ask again would have it done twice.
    error(StatusCode::SERVICE_UNAVAILABLE, id, UNDECIDED, UNDELIVERED)
}

/// A message that is none, which is known before any id is.
pub(crate) fn bad_request(code: i64, id: Option<&Id>, message: &str) -> Response {
    error(StatusCode::BAD_REQUEST, id, code, message)
}

/// A method that is not in the table. The older protocol reads it from a JSON-RPC error.
pub(crate) fn unknown_method(era: Era, id: Option<&Id>, unknown: &MessageError) -> Response {
    let status = match (era, id) {
        (Era::Legacy, Some(_)) => StatusCode::OK,
        // A session's client would take 404 for the end of its session.
        (Era::Legacy, None) => StatusCode::BAD_REQUEST,
        (Era::Modern, _) => StatusCode::NOT_FOUND,
    };
    error(status, id, METHOD_NOT_FOUND, &unknown.to_string())
}

/// A client that asks for a task, and does not say that it knows tasks (SEP-2663, "Required capabilities").
pub(crate) fn undeclared_tasks(id: Option<&Id>) -> Response {
    let message = "the client does not declare the extension for tasks";
    let mut body = error_body(id, MISSING_CAPABILITY, message);
    body["error"]["data"] = json!({"requiredCapabilities": {"extensions": {TASKS_EXTENSION: {}}}});
    respond(StatusCode::BAD_REQUEST, &body)
}

/// A bearer that does not hold, or a request that cannot be decided at all.
pub(crate) fn unauthenticated(refused: &Refused, realm: &Realm) -> Response {
    realm.response(refused).map(Body::from)
}

/// A request of a valid token that is not allowed.
pub(crate) struct Refusal<'a> {
    pub(crate) denial: &'a Denial,
    pub(crate) operation: &'a str,
    pub(crate) realm: &'a Realm,
    pub(crate) style: RefusalStyle,
    pub(crate) id: Option<&'a Id>,
    pub(crate) is_tool_call: bool,
}

impl Refusal<'_> {
    pub(crate) fn response(&self) -> Response {
        let refused = Refused::of(self.denial, self.operation);
        if let Denial::Unauthenticated(_) = self.denial {
            return unauthenticated(&refused, self.realm);
        }
        let Some(id) = self.id else {
            // Nobody waits for an answer to a notification.
            return unauthenticated(&refused, self.realm);
        };
        let text = self.words(&refused);
        let status = match self.style {
            RefusalStyle::Message => StatusCode::OK,
            // What is refused has a status of the table of causes.
            RefusalStyle::Challenge => {
                StatusCode::from_u16(refused.status).unwrap_or(StatusCode::FORBIDDEN)
            }
        };
        let body = match (self.is_tool_call, self.style) {
            (true, RefusalStyle::Message) => tool_error(id, &text, &refused.facts()),
            _ => {
                let code = match self.denial {
                    Denial::Undecided(_) => UNDECIDED,
                    _ => FORBIDDEN,
                };
                with_facts(error_body(Some(id), code, &text), &refused.facts())
            }
        };
        let mut response = respond(status, &body);
        if let Some(challenge) = self.realm.challenge(&refused) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn words(&self, refused: &Refused) -> String {
        let verdict = match self.denial {
            Denial::Undecided(_) => "undecided",
            _ => "denied",
        };
        format!("{verdict}: {}.", refused.description)
    }
}

/// What a notification is answered.
pub(crate) fn accepted() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

pub(crate) fn respond(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use hardtack::guard;

    fn id() -> Id {
        let message = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
        let message = hardtack::mcp::Message::read(message.as_bytes(), None).unwrap();
        message.id().unwrap().clone()
    }

    async fn json(response: Response) -> (u16, Value) {
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn an_answer_in_a_lists_place_repeats_what_is_an_id_alone() {
        let denial = Denial::undecided_list(Cause::ListBusy, "busy".to_owned());
        let said = |id: &str| {
            let id = serde_json::from_str::<&RawValue>(id).unwrap();
            undecided_list(Some(id), &denial)["id"].clone()
        };
        assert_eq!((said("7"), said("\"a\"")), (7.into(), "a".into()));
        let long = format!("\"{}\"", "a".repeat(2000));
        for tree in [r#"[{"":1}]"#, "{}", &long] {
            assert_eq!(said(tree), Value::Null, "{tree}");
        }
    }

    type Kind = fn(guard::Refusal) -> Denial;

    fn refused(kind: Kind, cause: Cause, style: RefusalStyle, is_tool_call: bool) -> Response {
        let refusal = guard::Refusal::new(cause, None, "why".to_owned());
        let (denial, id, realm) = (kind(refusal), id(), Realm::named("notion.mcp"));
        let (denial, id, realm) = (&denial, Some(&id), &realm);
        let operation = "tools:call:pay";
        Refusal { denial, operation, realm, style, id, is_tool_call }.response()
    }

    #[tokio::test]
    async fn a_refused_tool_call_is_a_result_and_any_other_request_an_error() {
        let message = RefusalStyle::Message;
        let (status, body) =
            json(refused(Denial::Forbidden, Cause::NotGranted, message, true)).await;
        assert_eq!((status, &body["result"]["isError"]), (200, &json!(true)));
        let (status, body) =
            json(refused(Denial::Forbidden, Cause::NotGranted, message, false)).await;
        assert_eq!((status, &body["error"]["code"]), (200, &json!(FORBIDDEN)));
        let (status, body) =
            json(refused(Denial::Undecided, Cause::LedgerUnavailable, message, false)).await;
        assert_eq!((status, &body["error"]["code"]), (200, &json!(UNDECIDED)));
        for style in [message, RefusalStyle::Challenge] {
            let (status, body) =
                json(refused(Denial::Unauthenticated, Cause::Revoked, style, true)).await;
            assert_eq!((status, &body["error"]), (401, &json!("invalid_token")));
        }
    }

    #[tokio::test]
    async fn a_challenge_has_the_status_and_says_which_scope_is_missing() {
        let style = RefusalStyle::Challenge;
        let answer = refused(Denial::Forbidden, Cause::NotGranted, style, true);
        let challenge = answer.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().to_owned();
        assert!(challenge.contains("scope=\"tools:call:pay\""), "{challenge}");
        let (status, body) = json(answer).await;
        assert_eq!((status, &body["error"]["code"]), (403, &json!(FORBIDDEN)));
        assert_eq!(refused(Denial::Undecided, Cause::LedgerUnavailable, style, true).status(), 503);
    }

    #[tokio::test]
    async fn each_cause_says_whether_and_what_can_help() {
        for (kind, cause, verdict, advice, retry) in [
            (
                Denial::Undecided as Kind,
                Cause::LedgerUnavailable,
                "undecided: ",
                "try again later.",
                true,
            ),
            (
                Denial::Forbidden,
                Cause::InexactCall,
                "denied: ",
                "in the same way will not help.",
                false,
            ),
            (
                Denial::Forbidden,
                Cause::OtherCall,
                "denied: ",
                "present the capability anew.",
                false,
            ),
            (
                Denial::Forbidden,
                Cause::ResourceScheme,
                "denied: ",
                "whoever runs this server",
                false,
            ),
            (
                Denial::Forbidden,
                Cause::NotGranted,
                "denied: ",
                "whoever delegated to this agent",
                false,
            ),
        ] {
            let (_, body) = json(refused(kind, cause, RefusalStyle::Message, true)).await;
            let text = body["result"]["content"][0]["text"].as_str().unwrap();
            assert!(text.starts_with(verdict) && text.contains(advice), "{cause}: {text}");
            let facts = &body["result"]["_meta"][META];
            assert_eq!((&facts["cause"], &facts["retry"]), (&json!(cause), &json!(retry)));
            assert_eq!(text.contains("Trying again"), !retry, "{cause}: {text}");
        }
    }

    #[tokio::test]
    async fn an_unknown_method_is_said_as_its_protocol_has_it() {
        let (id, unknown) = (id(), |name: &str| MessageError::Method(name.to_owned()));
        for (era, id, status) in
            [(Era::Legacy, Some(&id), 200), (Era::Legacy, None, 400), (Era::Modern, Some(&id), 404)]
        {
            let (found, body) = json(unknown_method(era, id, &unknown("no/such"))).await;
            assert_eq!((found, &body["error"]["code"]), (status, &json!(METHOD_NOT_FOUND)));
        }
        let name = format!("a\u{1b}\u{202e}{}", "b".repeat(100));
        let (_, body) = json(unknown_method(Era::Legacy, Some(&id), &unknown(&name))).await;
        let said = format!("the method a{} is not known here", "b".repeat(61));
        assert_eq!(body["error"]["message"], said, "what a client chose is shown whole");
    }

    #[test]
    fn a_farewell_is_a_result_for_a_tool_call_and_an_error_for_others() {
        let read = |is_tool_call| -> Value {
            let event =
                ClosingMessage { id: id(), is_tool_call }.to_event(CutBy::Cause(Cause::Expired));
            let data = std::str::from_utf8(&event).unwrap().strip_prefix("\n\ndata: ").unwrap();
            serde_json::from_str(data.strip_suffix("\n\n").unwrap()).unwrap()
        };
        assert_eq!(read(true)["result"]["isError"], true);
        assert_eq!(read(false)["error"]["code"], FORBIDDEN);
    }
}
