//! Answer: what a client is told when a message does not go through.
//!
//! In the form that its runtime shows to the model and survives (measured with fifteen clients): a refused
//! tool call is a tool's result that is an error, every other refused request a JSON-RPC error, both under
//! HTTP 200 and with the request's own id.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::guard::Denial;
use crate::http::{Realm, Refused};
use crate::mcp::headers::Era;
use crate::mcp::message::Id;

/// JSON-RPC 2.0, section 5.1.
pub(crate) const INVALID_REQUEST: i64 = -32600;
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
pub(crate) const INVALID_PARAMS: i64 = -32602;
pub(crate) const INTERNAL_ERROR: i64 = -32603;

/// 2026-07-28, transports: headers that do not say what the body says.
pub(crate) const HEADER_MISMATCH: i64 = -32020;

/// A refusal. Outside the range that JSON-RPC and MCP reserve, and what HTTP calls it.
const FORBIDDEN: i64 = 403;

/// The same, where it could not be decided.
const UNDECIDED: i64 = 503;

/// What stands before the members that a program may read of a refusal.
const META: &str = "dev.hardtack/refusal";

/// How a refused request of a valid token is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefusalStyle {
    /// HTTP 200: the model sees the reason and the session goes on.
    #[default]
    Message,
    /// HTTP 403 `insufficient_scope` with a challenge, and the reason in the body. For clients that ask
    /// for more scope then; agents on the Python SDK 1.x do not survive it.
    Challenge,
}

/// What whoever waits for an answer is told when its token ends meanwhile.
pub(crate) fn farewell(id: &Id, is_tool_call: bool) -> String {
    const TEXT: &str = "the token has expired or was revoked, so the answer was not waited for; what was asked for may have been done";
    match is_tool_call {
        true => tool_error(id, TEXT, &json!({"error": "invalid_token"})).to_string(),
        false => error_body(Some(id), FORBIDDEN, TEXT).to_string(),
    }
}

/// A request that a relay cannot forward, for a reason that the model may be told.
pub(crate) fn unforwarded(id: Option<&Id>, is_tool_call: bool, text: &str) -> Response {
    match id.filter(|_| is_tool_call) {
        Some(id) => respond(StatusCode::OK, &tool_error(id, text, &Value::Null)),
        None => error(StatusCode::SERVICE_UNAVAILABLE, id, UNDECIDED, text),
    }
}

/// A request that would be refused, and is not sent.
pub(crate) fn uncovered(id: Option<&Id>, is_tool_call: bool, text: &str) -> Response {
    match id.filter(|_| is_tool_call) {
        Some(id) => {
            respond(StatusCode::OK, &tool_error(id, text, &json!({"cause": "not_granted"})))
        }
        None => error(StatusCode::OK, id, FORBIDDEN, text),
    }
}

fn tool_error(id: &Id, text: &str, facts: &Value) -> Value {
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

fn error_body(id: Option<&Id>, code: i64, message: &str) -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": id.map_or(Value::Null, Id::to_json),
        "error": {"code": code, "message": message},
    })
}

/// A list of which it could not be said what of it the token may use, in the place of the answer to a request.
pub(crate) fn undecided_list(id: Option<&RawValue>, denial: &Denial) -> Value {
    let message = format!("undecided: {}.", denial.refusal().message);
    let mut body = error_body(None, UNDECIDED, &message);
    // As it came.
    body["id"] = id.and_then(|id| serde_json::from_str(id.get()).ok()).unwrap_or_default();
    let facts = json!({
        "error": "temporarily_unavailable",
        "cause": denial.refusal().cause,
        "scope": null,
        "retry": false,
    });
    body["error"]["data"] = json!({META: facts});
    body
}

/// A message that is none, which is known before any id is.
pub(crate) fn bad_request(code: i64, id: Option<&Id>, message: &str) -> Response {
    error(StatusCode::BAD_REQUEST, id, code, message)
}

/// A method that is not in the table. The older protocol reads it from a JSON-RPC error.
pub(crate) fn unknown_method(era: Era, id: Option<&Id>, method: &str) -> Response {
    let status = match (era, id) {
        (Era::Legacy, Some(_)) => StatusCode::OK,
        // A session's client would take 404 for the end of its session.
        (Era::Legacy, None) => StatusCode::BAD_REQUEST,
        (Era::Modern, _) => StatusCode::NOT_FOUND,
    };
    let method: String = method.chars().take(64).filter(|c| c.is_ascii_graphic()).collect();
    error(status, id, METHOD_NOT_FOUND, &format!("the method {method} is not known here"))
}

/// A bearer that does not hold, or a request that cannot be decided at all.
pub(crate) fn unauthenticated(refused: &Refused, realm: &Realm) -> Response {
    refused.response(realm).map(Body::from)
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
            RefusalStyle::Challenge => refused.status,
        };
        let body = match (self.is_tool_call, self.style) {
            (true, RefusalStyle::Message) => tool_error(id, &text, &self.facts(&refused)),
            _ => {
                let code = match self.denial {
                    Denial::Undecided(_) => UNDECIDED,
                    _ => FORBIDDEN,
                };
                let mut body = error_body(Some(id), code, &text);
                body["error"]["data"] = json!({META: self.facts(&refused)});
                body
            }
        };
        let mut response = respond(status, &body);
        if let Some(challenge) = refused.challenge(self.realm) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn words(&self, refused: &Refused) -> String {
        let advice = match (self.denial, self.denial.refusal().cause) {
            (Denial::Undecided(_), _) => "",
            (_, "inexact_call") => ". Trying again in the same way will not help",
            (_, "other_call") => ". Trying again will not help; present the capability anew",
            (_, "resource_scheme") => {
                ". Trying again will not help; whoever runs this server can allow it"
            }
            _ => ". Trying again will not help; whoever delegated to this agent can change that",
        };
        let verdict = match self.denial {
            Denial::Undecided(_) => "undecided",
            _ => "denied",
        };
        format!("{verdict}: {}{advice}.", refused.description)
    }

    fn facts(&self, refused: &Refused) -> Value {
        json!({
            "error": refused.error,
            "cause": self.denial.refusal().cause,
            "scope": refused.scope,
            "retry": matches!(self.denial, Denial::Undecided(_)),
        })
    }
}

pub(crate) fn respond(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}
