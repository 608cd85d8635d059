//! Refusal: how a refused request is answered (RFC 6750, section 3).
//!
//! One form for all doors. Outsiders learn the class, the missing right and who can help. What policies are in force is for
//! the records.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::{BearerError, Undescribed};
use hardtack::cause::Cause;
use hardtack::guard::{Denial, Helps, Refusal};
use hardtack::names;

/// When to try again what could not be decided, in seconds: a store tries its disk again every second.
const RETRY_AFTER: &str = "1";

/// A server as a challenge names it (RFC 6750, section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm {
    /// The server's name, which is its audience.
    pub name: String,
    /// The URL of the server's metadata (RFC 9728); `None` if no authorization server gives out tokens for it.
    pub resource_metadata: Option<String>,
}

impl Realm {
    /// Makes the realm of a server with this name, whose tokens come from no authorization server.
    pub fn named(name: impl Into<String>) -> Realm {
        Realm { name: name.into(), resource_metadata: None }
    }
}

/// How many arguments a refusal names, and how many characters of each: a call can have a thousand.
const MAX_NAMED: usize = 5;
const MAX_NAMED_CHARACTERS: usize = 64;

/// The token holds, no scope is missing, and the call is not allowed all the same. RFC 6750 has no code for it; this is OAuth's
/// (RFC 6749, section 4.1.2.1).
const ACCESS_DENIED: &str = "access_denied";

/// A scope is missing (RFC 6750, section 3.1).
const INSUFFICIENT_SCOPE: &str = "insufficient_scope";

/// A refusal, as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The HTTP status: 400, 401, 403 or 503; for a request that means no call or cannot be read, 404, 405, 408, 413 or 431, too.
    pub status: StatusCode,
    /// The error's name: `invalid_token`, `insufficient_scope` or `invalid_request` (RFC 6750, section 3.1), `access_denied`, or
    /// `temporarily_unavailable`; `None` if no token was sent at all.
    pub error: Option<&'static str>,
    /// The refusal in words, for whoever sent the request: what it is, and what helps.
    pub description: String,
    /// The scope that the request needs, if one is missing.
    pub scope: Option<String>,
    /// The stable name of the cause (`docs/profile.md`), if outsiders may know it.
    pub cause: Option<Cause>,
    /// The remedy, as one of a few kinds; `None` where none is known.
    pub helps: Option<Helps>,
    /// The names of arguments with which another call could pass, as far as that is told.
    pub arguments: Vec<String>,
    /// The time for which a new grant would be refused as well; `None` if it would not.
    pub retry_after: Option<Duration>,
}

impl Refused {
    /// Makes the refusal that a client sees of a denial of `operation`.
    pub fn of(denial: &Denial, operation: &str) -> Refused {
        let refusal = denial.refusal();
        let (status, error) = class(denial);
        let scope = (error == INSUFFICIENT_SCOPE).then(|| operation.to_owned());
        // That a server knows something besides what it is shown is its own affair.
        let told = match denial {
            Denial::Unauthenticated(_) => is_told(refusal.cause),
            Denial::Forbidden(_) | Denial::Undecided(_) => {
                !matches!(refusal.cause, Cause::FactsUnavailable | Cause::FactsUnusable)
            }
        };
        let advice = advice(denial);
        Refused {
            status,
            error: Some(error),
            description: format!("{}{advice}", outsiders_words(denial, operation)),
            scope,
            cause: told.then_some(refusal.cause),
            helps: Some(refusal.helps),
            arguments: refusal.arguments.iter().take(MAX_NAMED).cloned().collect(),
            retry_after: refusal.retry_after,
        }
    }

    /// Makes the refusal of a request that a door refuses by itself, for a cause that is no decision.
    pub fn by_door(
        status: StatusCode,
        error: &'static str,
        cause: Option<Cause>,
        helps: Helps,
        description: &str,
    ) -> Refused {
        let (error, helps) = (Some(error), Some(helps));
        Refused { error, cause, helps, ..Refused::bad(status, description.to_owned()) }
    }

    fn bad(status: StatusCode, description: String) -> Refused {
        Refused {
            status,
            error: Some("invalid_request"),
            description,
            scope: None,
            cause: None,
            helps: None,
            arguments: Vec::new(),
            retry_after: None,
        }
    }

    /// Returns whether the same request may be answered otherwise later.
    pub fn retry(&self) -> bool {
        self.helps == Some(Helps::Later)
    }

    /// Returns what a program may read of the refusal, as a JSON object: `error`, `cause`, `scope`, `retry`, `retry_after` (seconds),
    /// `helps` and `arguments`.
    pub fn facts(&self) -> Value {
        json!({
            "error": self.error,
            "cause": self.cause,
            "scope": self.scope,
            "retry": self.retry(),
            "retry_after": self.retry_after.map(|wait| wait.as_secs()),
            "helps": self.helps.map(Helps::as_str),
            "arguments": self.arguments,
        })
    }

    /// Returns the value of `WWW-Authenticate` (RFC 6750, section 3); `None` if no other token would help: for 503 and `access_denied`.
    pub fn challenge(&self, realm: &Realm) -> Option<HeaderValue> {
        // With a challenge, clients ask for another token, which would be refused, too.
        if self.status == StatusCode::SERVICE_UNAVAILABLE || self.error == Some(ACCESS_DENIED) {
            return None;
        }
        let mut challenge = format!("Bearer realm={}", quoted(&realm.name));
        for (name, value) in [
            ("error", self.error),
            ("error_description", self.error.map(|_| self.description.as_str())),
            ("scope", self.scope.as_deref()),
            ("resource_metadata", realm.resource_metadata.as_deref()),
        ] {
            if let Some(value) = value {
                // Writing to a string does not fail.
                let _ = write!(challenge, ", {name}={}", quoted(value));
            }
        }
        HeaderValue::try_from(challenge).ok()
    }

    /// Returns the body of the answer, as JSON: `{"error": …, "error_description": …, "cause": …, "scope": …, "retry": …, "retry_after":
    /// …, "helps": …, "arguments": […]}`.
    pub fn json(&self) -> String {
        let mut body = self.facts();
        body["error"] = json!(self.error.unwrap_or("invalid_token"));
        body["error_description"] = json!(self.description);
        body.to_string()
    }

    /// Returns the whole answer: status, headers and a JSON body, never to be stored by caches.
    pub fn response(&self, realm: &Realm) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge(realm) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if self.retry() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response
    }
}

impl Refused {
    /// Returns the whole answer to a gRPC request: a status without a message ("Trailers-Only", gRPC over HTTP/2).
    pub fn grpc_response(&self, realm: &Realm) -> Response<Bytes> {
        let status = match self.status {
            StatusCode::UNAUTHORIZED => "16",
            StatusCode::FORBIDDEN => "7",
            StatusCode::SERVICE_UNAVAILABLE => "14",
            StatusCode::REQUEST_TIMEOUT => "4",
            _ => "3",
        };
        let mut response = self.response(realm).map(|_| Bytes::new());
        *response.status_mut() = StatusCode::OK;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static(status));
        // What the percent-encoding of messages would change is not in what outsiders are told.
        let plain = |c: char| if (' '..='~').contains(&c) && c != '%' { c } else { '?' };
        let message: String = self.description.chars().map(plain).collect();
        headers.extend(HeaderValue::try_from(message).ok().map(|message| (GRPC_MESSAGE, message)));
        response
    }
}

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

impl From<BearerError> for Refused {
    fn from(error: BearerError) -> Refused {
        let description = error.to_string();
        match error {
            BearerError::Missing => {
                Refused { error: None, ..Refused::bad(StatusCode::UNAUTHORIZED, description) }
            }
            BearerError::TooLong => {
                Refused::bad(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, description)
            }
            _ => Refused::bad(StatusCode::BAD_REQUEST, description),
        }
    }
}

impl From<Undescribed> for Refused {
    fn from(error: Undescribed) -> Refused {
        let description = error.to_string();
        match error {
            Undescribed::Call(error) => Refused::of(&error.into(), "the request"),
            Undescribed::TooLarge(_) => Refused {
                cause: Some(Cause::CallTooLarge),
                helps: Some(Helps::AnotherCall),
                ..Refused::bad(StatusCode::PAYLOAD_TOO_LARGE, description)
            },
            Undescribed::Incomplete => Refused::bad(StatusCode::REQUEST_TIMEOUT, description),
            Undescribed::NoRoute => Refused::bad(StatusCode::NOT_FOUND, description),
            Undescribed::NoOperation => Refused::bad(StatusCode::METHOD_NOT_ALLOWED, description),
            Undescribed::NoText | Undescribed::Other(_) => {
                Refused::bad(StatusCode::BAD_REQUEST, description)
            }
        }
    }
}

/// The status of a denial, and its code.
fn class(denial: &Denial) -> (StatusCode, &'static str) {
    let cause = denial.cause();
    match denial {
        Denial::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "invalid_token"),
        Denial::Undecided(_) => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        Denial::Forbidden(_) if cause.status() == Some(400) => {
            (StatusCode::BAD_REQUEST, "invalid_request")
        }
        // Who has the scope may revoke anything.
        Denial::Forbidden(_) if cause.error() == Some(INSUFFICIENT_SCOPE) => {
            (StatusCode::FORBIDDEN, INSUFFICIENT_SCOPE)
        }
        Denial::Forbidden(_) => (StatusCode::FORBIDDEN, ACCESS_DENIED),
    }
}

/// Whether it is a request to revoke that is refused.
fn is_of_revoking(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::RevocationNotCallBound
            | Cause::RevocationNotAnId
            | Cause::RevocationIdUnknown
            | Cause::RevocationIdAmbiguous
            | Cause::RevocationWithoutProof
            | Cause::RevocationProof
            | Cause::RevocationNotInProof
            | Cause::RevocationByStranger
    )
}

/// Whether it is told why a token does not hold: what its holder cannot but know, or can change.
fn is_told(cause: Cause) -> bool {
    let told = [
        Cause::Expired,
        Cause::Revoked,
        Cause::RevocationsForgotten,
        Cause::WrongAudience,
        Cause::NotPresented,
        Cause::Replayed,
    ];
    told.contains(&cause)
}

/// What helps, and whether trying again does.
fn advice(denial: &Denial) -> String {
    let refusal = denial.refusal();
    let again = ". Trying again in the same way will not help";
    match (refusal.helps, refusal.cause) {
        (Helps::NewToken, Cause::Expired | Cause::Revoked) => "; get a new one".to_owned(),
        (Helps::NewToken, Cause::OtherCall) => {
            ". Trying again will not help; present the capability anew".to_owned()
        }
        (Helps::NewToken, _) => String::new(),
        (Helps::AnotherCall, Cause::InexactCall | Cause::CallTooLarge | Cause::StrangeTask) => {
            again.to_owned()
        }
        (Helps::AnotherCall, cause) if is_of_revoking(cause) => again.to_owned(),
        (Helps::AnotherCall, Cause::CheckFailed) => format!(
            "{again}; another call may pass{}, and whoever delegated to this agent can change the condition",
            named(refusal)
        ),
        (Helps::AnotherCall, _) => format!("{again}; another call may pass{}", named(refusal)),
        (Helps::Delegator, _) => {
            ". Trying again will not help; whoever delegated to this agent can change that"
                .to_owned()
        }
        (Helps::Server, _) => {
            ". Trying again will not help; whoever runs this server can allow it".to_owned()
        }
        (_, _) => String::new(),
    }
}

/// The arguments on which a refusal rests, as far as they are shown.
fn named(refusal: &Refusal) -> String {
    let shown = |name: &String| {
        let name: String = name.chars().take(MAX_NAMED_CHARACTERS).collect();
        format!("\"{}\"", names::escaped(&name))
    };
    let names: Vec<String> = refusal.arguments.iter().take(MAX_NAMED).map(shown).collect();
    match names.as_slice() {
        [] => String::new(),
        [name] => format!(" (see the argument {name})"),
        names => format!(" (see the arguments {})", names.join(", ")),
    }
}

/// What a refused caller is told it is, and nothing of the policies that said so.
fn outsiders_words(denial: &Denial, operation: &str) -> String {
    match (denial, denial.refusal().cause) {
        (Denial::Unauthenticated(_), Cause::Expired) => "the token has expired".to_owned(),
        (Denial::Unauthenticated(_), Cause::Revoked) => {
            format!("the token is revoked{}", and_wait(denial))
        }
        (Denial::Unauthenticated(_), Cause::RevocationsForgotten) => {
            format!("the grant is too old to be judged here; ask for a new one{}", and_wait(denial))
        }
        (Denial::Unauthenticated(_), Cause::WrongAudience) => {
            "the token is presented to another server".to_owned()
        }
        (Denial::Unauthenticated(_), Cause::NotPresented) => {
            "this is a capability and no presentation; its holder must present it first".to_owned()
        }
        (Denial::Unauthenticated(_), Cause::Replayed) => {
            "the token was for one call, which was made".to_owned()
        }
        (Denial::Unauthenticated(_), _) => "the token does not hold here".to_owned(),
        (Denial::Forbidden(_), Cause::NotGranted) => {
            format!("the token does not grant {operation}")
        }
        (Denial::Forbidden(_), Cause::OtherCall) => {
            format!("the token is bound to another call than this one of {operation}")
        }
        (Denial::Forbidden(_), Cause::CheckFailed) => format!(
            "whoever delegated the token made conditions that this call of {operation} does not meet"
        ),
        (
            Denial::Forbidden(_),
            Cause::ResourceScheme | Cause::InexactCall | Cause::CallTooLarge,
        ) => denial.refusal().message.clone(),
        (Denial::Forbidden(_), cause) if is_of_revoking(cause) => denial.refusal().message.clone(),
        (Denial::Forbidden(_), _) => format!("this call of {operation} is not allowed here"),
        (Denial::Undecided(_), Cause::ListBusy | Cause::ListTooLong | Cause::ListTooCostly) => {
            denial.refusal().message.clone()
        }
        (Denial::Undecided(_), Cause::Exhausted) => {
            format!("to decide this call of {operation} takes more work than a decision may")
        }
        (Denial::Undecided(_), Cause::Overloaded) => {
            format!("{}; try again later", denial.refusal().message)
        }
        (Denial::Undecided(_), _) => {
            format!("whether {operation} is allowed cannot be said now; try again later")
        }
    }
}

/// That a grant is refused, too, which is issued at once.
fn and_wait(denial: &Denial) -> String {
    let wait = denial.refusal().retry_after.map(|wait| {
        format!(
            ", and so is a grant that is issued within the next {} seconds; ask for a new one after that",
            wait.as_secs()
        )
    });
    wait.unwrap_or_default()
}

/// A quoted-string (RFC 9110, section 5.6.4), of what it can hold.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
