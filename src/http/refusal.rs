//! Refusal: how a refused request is answered (RFC 6750, section 3).
//!
//! Outsiders learn the class and the missing right. What policies are in force is for the records.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::audit::REPLAYED;
use crate::guard::Denial;
use crate::http::{BearerError, Undescribed};

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

/// A refusal, as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// 400, 401, 403, 413 or 503.
    pub status: StatusCode,
    /// The error code of RFC 6750, section 3.1; none where no token was sent at all.
    pub error: Option<&'static str>,
    /// In words, for whoever sent the request.
    pub description: String,
    /// The scope that the request needs.
    pub scope: Option<String>,
}

impl Refused {
    /// A denial of `operation`.
    pub fn of(denial: &Denial, operation: &str) -> Refused {
        let description = outsiders_words(denial, operation);
        match denial {
            Denial::Unauthenticated(_) => Refused {
                status: StatusCode::UNAUTHORIZED,
                error: Some("invalid_token"),
                description,
                scope: None,
            },
            Denial::Forbidden(_) => Refused {
                status: StatusCode::FORBIDDEN,
                error: Some("insufficient_scope"),
                description,
                // What could not be judged names no right that could be granted.
                scope: (denial.refusal().cause != "inexact_call").then(|| operation.to_owned()),
            },
            Denial::Undecided(_) => Refused {
                status: StatusCode::SERVICE_UNAVAILABLE,
                error: Some("temporarily_unavailable"),
                description,
                scope: None,
            },
        }
    }

    fn bad(status: StatusCode, description: String) -> Refused {
        Refused { status, error: Some("invalid_request"), description, scope: None }
    }

    /// The value of `WWW-Authenticate`, where the status asks for one.
    pub fn challenge(&self, realm: &Realm) -> Option<HeaderValue> {
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
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

    /// `{"error": …, "error_description": …, "scope": …}`, the last if there is one.
    pub fn json(&self) -> String {
        let mut body = json!({
            "error": self.error.unwrap_or("invalid_token"),
            "error_description": self.description,
        });
        if let Some(scope) = &self.scope {
            body["scope"] = json!(scope);
        }
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
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
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
                Refused { status: StatusCode::UNAUTHORIZED, error: None, description, scope: None }
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
        let status = match error {
            Undescribed::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Undescribed::Incomplete => StatusCode::REQUEST_TIMEOUT,
            Undescribed::NoRoute => StatusCode::NOT_FOUND,
            Undescribed::NoOperation => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::BAD_REQUEST,
        };
        Refused::bad(status, error.to_string())
    }
}

/// What a refused caller is told: what is missing and whether trying again can help, and nothing of the
/// policies that said so.
pub(crate) fn outsiders_words(denial: &Denial, operation: &str) -> String {
    match (denial, denial.refusal().cause) {
        (Denial::Unauthenticated(_), "expired") => "the token has expired".to_owned(),
        (Denial::Unauthenticated(_), "revoked") => "the token is revoked".to_owned(),
        (Denial::Unauthenticated(_), "revocations_forgotten") => {
            "the grant is too old to be judged here; ask for a new one".to_owned()
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
        (Denial::Forbidden(_), "resource_scheme" | "inexact_call") => {
            denial.refusal().message.clone()
        }
        (Denial::Forbidden(_), cause) if cause.starts_with("revocation_") => {
            denial.refusal().message.clone()
        }
        (Denial::Forbidden(_), _) => format!("this call of {operation} is not allowed here"),
        (Denial::Undecided(_), cause) if cause.starts_with("list_") => {
            denial.refusal().message.clone()
        }
        (Denial::Undecided(_), _) => {
            format!("whether {operation} is allowed cannot be said now; try again later")
        }
    }
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
    use crate::guard::Refusal;

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
        let refusal = Refusal { cause, hop: None, message: "the operator's words".to_owned() };
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
            (Forbidden, "denied_by_policy", "this call of tools:call:pay is not allowed here"),
            (Undecided, "ledger", "cannot be said now"),
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
        let undecided = answer(Denial::Undecided, "ledger");
        assert_eq!(undecided.status(), 503);
        assert_eq!(
            header(&undecided, header::WWW_AUTHENTICATE),
            None,
            "a client would log in again"
        );
        assert_eq!(header(&undecided, header::RETRY_AFTER).as_deref(), Some(RETRY_AFTER));
        assert_eq!(header(&undecided, header::CACHE_CONTROL).as_deref(), Some("no-store"));
    }

    #[test]
    fn what_could_not_be_judged_names_no_right_that_could_be_granted() {
        let scope = |cause| refused(Denial::Forbidden, cause).scope;
        assert_eq!(scope("not_granted").as_deref(), Some("tools:call:pay"));
        assert_eq!(scope("inexact_call"), None);
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
