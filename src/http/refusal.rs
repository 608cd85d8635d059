//! Refusal: how a refused request is answered (RFC 6750, section 3).
//!
//! One form for all doors. Outsiders learn the class, the missing right and who can help. What policies are in force is for
//! the records.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::audit::REPLAYED;
use crate::guard::{Denial, Helps, Refusal};
use crate::http::{BearerError, Undescribed};
use crate::names;

/// When to try again what could not be decided, in seconds: a store tries its disk again every second.
const RETRY_AFTER: &str = "1";

/// What a challenge says of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm {
    /// What the server is called: its audience.
    pub name: String,
    /// Where its metadata is (RFC 9728), if an authorization server gives out tokens for it.
    pub resource_metadata: Option<String>,
}

impl Realm {
    /// A server of this name, whose tokens come from no authorization server.
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

/// A refusal, as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// 400, 401, 403, 413 or 503.
    pub status: StatusCode,
    /// `invalid_token`, `insufficient_scope` or `invalid_request` (RFC 6750, section 3.1), `access_denied`, or
    /// `temporarily_unavailable`; none where no token was sent at all.
    pub error: Option<&'static str>,
    /// In words, for whoever sent the request: what it is, and what helps.
    pub description: String,
    /// The scope that the request needs, where one is missing.
    pub scope: Option<String>,
    /// The stable name of the cause (`docs/profile.md`), as far as outsiders may know it.
    pub cause: Option<&'static str>,
    /// What helps.
    pub helps: Option<Helps>,
    /// The arguments that another call could have otherwise, as far as that is told.
    pub arguments: Vec<String>,
    /// How long a new grant would be refused as well, if it would.
    pub retry_after: Option<Duration>,
}

impl Refused {
    /// A denial of `operation`.
    pub fn of(denial: &Denial, operation: &str) -> Refused {
        let refusal = denial.refusal();
        let (status, error) = class(denial);
        let scope = (error == "insufficient_scope").then(|| operation.to_owned());
        let told = !matches!(denial, Denial::Unauthenticated(_)) || is_told(refusal.cause);
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

    /// A request that a door refuses by itself, for a cause that is no decision.
    #[cfg(feature = "mcp")]
    pub(crate) fn by_door(
        status: StatusCode,
        error: &'static str,
        cause: Option<&'static str>,
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

    /// Whether the same request may be answered otherwise later.
    pub fn retry(&self) -> bool {
        self.helps == Some(Helps::Later)
    }

    /// What a program may read of it: `error`, `cause`, `scope`, `retry`, `retry_after`, `helps` and `arguments`.
    pub(crate) fn facts(&self) -> Value {
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

    /// The value of `WWW-Authenticate`, where the status asks for one.
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

    /// `{"error": …, "error_description": …, "cause": …, "scope": …, "retry": …, "retry_after": …, "helps": …, "arguments": […]}`.
    pub fn json(&self) -> String {
        let mut body = self.facts();
        body["error"] = json!(self.error.unwrap_or("invalid_token"));
        body["error_description"] = json!(self.description);
        body.to_string()
    }

    /// The whole answer.
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
    /// The whole answer to a gRPC request: a status without a message ("Trailers-Only", gRPC over HTTP/2).
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
                cause: Some("call_too_large"),
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
    match (denial, denial.refusal().cause) {
        (Denial::Unauthenticated(_), _) => (StatusCode::UNAUTHORIZED, "invalid_token"),
        (Denial::Undecided(_), _) => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        (Denial::Forbidden(_), "inexact_call" | "call_too_large") => {
            (StatusCode::BAD_REQUEST, "invalid_request")
        }
        // Who has the scope may revoke anything.
        (
            Denial::Forbidden(_),
            "not_granted"
            | "revocation_not_an_id"
            | "revocation_without_proof"
            | "revocation_proof"
            | "revocation_not_in_proof"
            | "revocation_by_stranger",
        ) => (StatusCode::FORBIDDEN, "insufficient_scope"),
        (Denial::Forbidden(_), _) => (StatusCode::FORBIDDEN, ACCESS_DENIED),
    }
}

/// Whether it is told why a token does not hold: what its holder cannot but know, or can change.
fn is_told(cause: &str) -> bool {
    let told = [
        "expired",
        "revoked",
        "revocations_forgotten",
        "wrong_audience",
        "not_presented",
        REPLAYED,
    ];
    told.contains(&cause)
}

/// What helps, and whether trying again does.
fn advice(denial: &Denial) -> String {
    let refusal = denial.refusal();
    let again = ". Trying again in the same way will not help";
    match (refusal.helps, refusal.cause) {
        (Helps::NewToken, "expired" | "revoked") => "; get a new one".to_owned(),
        (Helps::NewToken, "other_call") => {
            ". Trying again will not help; present the capability anew".to_owned()
        }
        (Helps::NewToken, _) => String::new(),
        (Helps::AnotherCall, "inexact_call" | "call_too_large" | "strange_task") => {
            again.to_owned()
        }
        (Helps::AnotherCall, cause) if cause.starts_with("revocation_") => again.to_owned(),
        (Helps::AnotherCall, "check_failed") => format!(
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
        (Helps::Later, _) => String::new(),
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
        (Denial::Unauthenticated(_), "expired") => "the token has expired".to_owned(),
        (Denial::Unauthenticated(_), "revoked") => {
            format!("the token is revoked{}", and_wait(denial))
        }
        (Denial::Unauthenticated(_), "revocations_forgotten") => {
            format!("the grant is too old to be judged here; ask for a new one{}", and_wait(denial))
        }
        (Denial::Unauthenticated(_), "wrong_audience") => {
            "the token is presented to another server".to_owned()
        }
        (Denial::Unauthenticated(_), "not_presented") => {
            "this is a capability and no presentation; its holder must present it first".to_owned()
        }
        (Denial::Unauthenticated(_), REPLAYED) => {
            "the token was for one call, which was made".to_owned()
        }
        (Denial::Unauthenticated(_), _) => "the token does not hold here".to_owned(),
        (Denial::Forbidden(_), "not_granted") => {
            format!("the token does not grant {operation}")
        }
        (Denial::Forbidden(_), "other_call") => {
            format!("the token is bound to another call than this one of {operation}")
        }
        (Denial::Forbidden(_), "check_failed") => format!(
            "whoever delegated the token made conditions that this call of {operation} does not meet"
        ),
        (Denial::Forbidden(_), "resource_scheme" | "inexact_call" | "call_too_large") => {
            denial.refusal().message.clone()
        }
        (Denial::Forbidden(_), cause) if cause.starts_with("revocation_") => {
            denial.refusal().message.clone()
        }
        (Denial::Forbidden(_), _) => format!("this call of {operation} is not allowed here"),
        (Denial::Undecided(_), cause) if cause.starts_with("list_") => {
            denial.refusal().message.clone()
        }
        (Denial::Undecided(_), "exhausted") => {
            format!("to decide this call of {operation} takes more work than a decision may")
        }
        (Denial::Undecided(_), "overloaded") => {
            "too many new tokens come at once; try again later".to_owned()
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
mod tests {
    use super::*;

    #[test]
    fn a_challenge_cannot_be_broken_out_of() {
        let refused = Refused::bad(StatusCode::BAD_REQUEST, "a\" b=\"\r\nX: y\\".to_owned());
        let challenge = refused.challenge(&Realm::named("no\"tion")).unwrap();
        assert_eq!(
            challenge.to_str().unwrap(),
            r#"Bearer realm="no\"tion", error="invalid_request", error_description="a\" b=\"??X: y\\""#
        );
    }

    #[test]
    fn without_a_token_the_challenge_names_no_error() {
        let challenge =
            Refused::from(BearerError::Missing).challenge(&Realm::named("notion.mcp")).unwrap();
        assert_eq!(challenge, "Bearer realm=\"notion.mcp\"");
    }

    fn refused(denial: fn(Refusal) -> Denial, cause: &'static str) -> Refused {
        let refusal = Refusal::new(cause, None, "the operator's words".to_owned());
        Refused::of(&denial(refusal), "tools:call:pay")
    }

    #[test]
    fn outsiders_hear_of_each_cause_what_helps_them_and_no_more() {
        use Denial::{Forbidden, Unauthenticated, Undecided};
        let operators = "the operator's words";
        for (denial, cause, words) in [
            (Unauthenticated as fn(Refusal) -> Denial, "expired", "has expired"),
            (Unauthenticated, "revoked", "is revoked"),
            (Unauthenticated, "revocations_forgotten", "too old to be judged"),
            (Unauthenticated, "wrong_audience", "presented to another server"),
            (Unauthenticated, "not_presented", "must present it first"),
            (Unauthenticated, REPLAYED, "for one call, which was made"),
            (Unauthenticated, "signature", "does not hold here"),
            (Forbidden, "not_granted", "does not grant tools:call:pay"),
            (Forbidden, "other_call", "bound to another call than this one of tools:call:pay"),
            (Forbidden, "check_failed", "made conditions that this call of tools:call:pay"),
            (Forbidden, "resource_scheme", operators),
            (Forbidden, "inexact_call", operators),
            (Forbidden, "revocation_by_stranger", operators),
            (Forbidden, "policy_denied", "this call of tools:call:pay is not allowed here"),
            (Forbidden, "call_too_large", operators),
            (Undecided, "ledger_unavailable", "cannot be said now"),
            (Undecided, "overloaded", "too many new tokens"),
            (Undecided, "exhausted", "more work than a decision may"),
        ] {
            let said = refused(denial, cause).description;
            assert!(said.contains(words), "{cause}: {said}");
            assert_eq!(said.contains(operators), words == operators, "{cause}: {said}");
        }
    }

    #[test]
    fn each_refusal_has_the_headers_of_its_status() {
        let realm = Realm::named("notion.mcp");
        let answer = |denial, cause| refused(denial, cause).response(&realm);
        let header = |answer: &Response<Bytes>, name: HeaderName| {
            answer.headers().get(name).map(|value| value.to_str().unwrap_or_default().to_owned())
        };
        for (denial, status) in
            [(Denial::Unauthenticated as fn(Refusal) -> Denial, 401), (Denial::Forbidden, 403)]
        {
            let answer = answer(denial, "not_granted");
            assert_eq!(answer.status(), status);
            assert!(header(&answer, header::WWW_AUTHENTICATE).is_some(), "{status}");
            assert_eq!(header(&answer, header::RETRY_AFTER), None, "{status}");
            assert_eq!(header(&answer, header::CACHE_CONTROL).as_deref(), Some("no-store"));
        }
        let undecided = answer(Denial::Undecided, "ledger_unavailable");
        assert_eq!(undecided.status(), 503);
        assert_eq!(
            header(&undecided, header::WWW_AUTHENTICATE),
            None,
            "a client would log in again"
        );
        assert_eq!(header(&undecided, header::RETRY_AFTER).as_deref(), Some(RETRY_AFTER));
        assert_eq!(header(&undecided, header::CACHE_CONTROL).as_deref(), Some("no-store"));
    }

    /// RFC 6750, section 3.1: a client that hears `insufficient_scope` asks for the scope, and would again.
    #[test]
    fn only_where_a_scope_is_missing_a_scope_is_named() {
        for (cause, status, error, helps) in [
            ("not_granted", 403, "insufficient_scope", "delegator"),
            ("revocation_by_stranger", 403, "insufficient_scope", "delegator"),
            ("inexact_call", 400, "invalid_request", "another_call"),
            ("call_too_large", 400, "invalid_request", "another_call"),
            ("too_costly", 403, ACCESS_DENIED, "another_call"),
            ("check_failed", 403, ACCESS_DENIED, "another_call"),
            ("policy_denied", 403, ACCESS_DENIED, "server"),
            ("policy_check_failed", 403, ACCESS_DENIED, "server"),
            ("nothing_allows", 403, ACCESS_DENIED, "server"),
            ("not_evaluable", 403, ACCESS_DENIED, "another_call"),
            ("resource_scheme", 403, ACCESS_DENIED, "server"),
            ("other_call", 403, ACCESS_DENIED, "new_token"),
            ("revocation_not_call_bound", 403, ACCESS_DENIED, "new_token"),
        ] {
            let refused = refused(Denial::Forbidden, cause);
            assert_eq!((refused.status.as_u16(), refused.error), (status, Some(error)), "{cause}");
            let missing = error == "insufficient_scope";
            assert_eq!(refused.scope.as_deref(), missing.then_some("tools:call:pay"), "{cause}");
            let challenge = refused.challenge(&Realm::named("notion.mcp"));
            assert_eq!(challenge.is_some(), error != ACCESS_DENIED, "{cause}");
            let body: Value = serde_json::from_str(&refused.json()).unwrap();
            assert_eq!((&body["cause"], &body["helps"]), (&json!(cause), &json!(helps)));
            assert_eq!(body["retry"], false, "{cause}");
            assert!(
                refused.description.contains("Trying again") || helps == "new_token",
                "{cause}"
            );
        }
    }

    #[test]
    fn trying_again_is_said_to_help_where_it_does() {
        for (cause, retry) in [
            ("ledger_unavailable", true),
            ("overloaded", true),
            ("list_busy", true),
            ("revocations_stale", true),
            ("revocations_unavailable", true),
            ("exhausted", false),
            ("list_too_long", false),
            ("list_too_costly", false),
        ] {
            let refused = refused(Denial::Undecided, cause);
            assert_eq!(refused.retry(), retry, "{cause}");
            let answer = refused.response(&Realm::named("notion.mcp"));
            assert_eq!(answer.headers().contains_key(header::RETRY_AFTER), retry, "{cause}");
            assert_eq!(answer.status(), 503, "{cause}");
        }
    }

    #[test]
    fn why_a_token_does_not_hold_is_told_as_far_as_its_holder_may_know() {
        let refused = |cause| refused(Denial::Unauthenticated, cause);
        assert_eq!(refused("expired").cause, Some("expired"));
        for cause in ["signature", "unknown_root", "name_mismatch", "too_costly"] {
            let refused = refused(cause);
            assert_eq!(refused.cause, None, "{cause}");
            assert!(!refused.json().contains(cause), "{cause}");
        }
    }

    #[test]
    fn a_refusal_names_few_arguments_and_shows_no_more_than_prints() {
        let mut refusal = Refusal::new("policy_denied", None, "why".to_owned());
        refusal.helps = Helps::AnotherCall;
        refusal.arguments = (0..9).map(|n| format!("{n}\u{202e}{}", "x".repeat(99))).collect();
        let refused = Refused::of(&Denial::Forbidden(refusal), "tools:call:pay");
        assert_eq!(refused.arguments.len(), MAX_NAMED);
        assert!(!refused.description.contains('\u{202e}'));
        assert!(refused.description.len() < 800, "{}", refused.description);
    }

    #[test]
    fn whoever_logs_in_again_too_early_hears_how_long_to_wait() {
        let refusal = Refusal::new("revoked", Some(0), "the operator's words".to_owned());
        let refusal = Refusal { retry_after: Some(Duration::from_secs(42)), ..refusal };
        let refused = Refused::of(&Denial::Unauthenticated(refusal), "tools:call:pay");
        assert!(refused.description.contains("within the next 42 seconds"), "{refused:?}");
        assert!(refused.json().contains(r#""retry_after":42"#), "{}", refused.json());
        let answer = refused.response(&Realm::named("notion.mcp"));
        assert_eq!(answer.headers()[header::RETRY_AFTER], "42");
    }

    #[test]
    fn each_status_has_its_grpc_code_and_a_message_that_needs_no_escapes() {
        let realm = Realm::named("notion.mcp");
        for (status, code) in
            [(401, "16"), (403, "7"), (503, "14"), (408, "4"), (400, "3"), (413, "3")]
        {
            let status = StatusCode::from_u16(status).unwrap();
            let answer = Refused::bad(status, "50% ü\n".to_owned()).grpc_response(&realm);
            assert_eq!(answer.headers()["grpc-status"], code, "{status}");
            assert_eq!(answer.headers()["grpc-message"], "50? ??", "{status}");
            assert_eq!(answer.status(), 200);
        }
    }

    #[test]
    fn what_is_wrong_with_a_request_has_its_status() {
        for (refused, status) in [
            (Refused::from(BearerError::Missing), 401),
            (BearerError::TooLong.into(), 431),
            (BearerError::Repeated.into(), 400),
            (BearerError::InQuery.into(), 400),
            (BearerError::Malformed.into(), 400),
            (Undescribed::TooLarge(1).into(), 413),
            (Undescribed::Incomplete.into(), 408),
            (Undescribed::NoRoute.into(), 404),
            (Undescribed::NoOperation.into(), 405),
            (Undescribed::NoText.into(), 400),
            (Undescribed::Other("x".to_owned()).into(), 400),
        ] {
            assert_eq!(refused.status, status, "{refused:?}");
        }
    }
}
