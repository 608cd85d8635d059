//! Refusal: how a refused request is answered (RFC 6750, section 3).
//!
//! What is said is a [`Refused`] of the library. Here it becomes a response.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{BearerError, Undescribed};
use hardtack::guard::{Helps, Refused};

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

    /// Returns the value of `WWW-Authenticate` for a refusal ([`Refused::challenge`]); `None` if no other token would help.
    pub fn challenge(&self, refused: &Refused) -> Option<HeaderValue> {
        let challenge = refused.challenge(&self.name, self.resource_metadata.as_deref())?;
        HeaderValue::try_from(challenge).ok()
    }

    /// Returns the whole answer to a refused request: status, headers and a JSON body, never to be stored by caches.
    pub fn response(&self, refused: &Refused) -> Response<Bytes> {
        // What has text keys only can be written.
        let body = serde_json::to_vec(refused).unwrap_or_default();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status(refused);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge(refused) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if refused.retry() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        if let Some(wait) = refused.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response
    }

    /// Returns the whole answer to a refused gRPC request: a status without a message ("Trailers-Only", gRPC over HTTP/2).
    pub fn grpc_response(&self, refused: &Refused) -> Response<Bytes> {
        let status = match refused.status {
            401 => "16",
            403 => "7",
            503 => "14",
            408 => "4",
            _ => "3",
        };
        let mut response = self.response(refused).map(|_| Bytes::new());
        *response.status_mut() = StatusCode::OK;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static(status));
        // What the percent-encoding of messages would change is not in what outsiders are told.
        let plain = |c: char| if (' '..='~').contains(&c) && c != '%' { c } else { '?' };
        let message: String = refused.description.chars().map(plain).collect();
        headers.extend(HeaderValue::try_from(message).ok().map(|message| (GRPC_MESSAGE, message)));
        response
    }
}

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The status of a refusal; 500 for a number that is no status, which none has that is made here.
fn status(refused: &Refused) -> StatusCode {
    StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn bad(status: StatusCode, description: String) -> Refused {
    Refused::by_door(status.as_u16(), Some("invalid_request"), description)
}

impl From<BearerError> for Refused {
    fn from(error: BearerError) -> Refused {
        let description = error.to_string();
        match error {
            BearerError::Missing => {
                Refused::by_door(StatusCode::UNAUTHORIZED.as_u16(), None, description)
            }
            BearerError::TooLong => bad(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, description),
            _ => bad(StatusCode::BAD_REQUEST, description),
        }
    }
}

impl From<Undescribed> for Refused {
    fn from(error: Undescribed) -> Refused {
        let (cause, description) = (error.cause(), error.to_string());
        let (status, helps) = match error {
            Undescribed::Call(error) => return Refused::of(&error.into(), "the request"),
            // A body that was not read to its end; a call that is too large once it is read has another status.
            Undescribed::TooLarge(_) | Undescribed::TooManyValues(_) => {
                (Some(StatusCode::PAYLOAD_TOO_LARGE.as_u16()), Some(Helps::AnotherCall))
            }
            _ => (cause.status(), None),
        };
        let status = status.unwrap_or(StatusCode::BAD_REQUEST.as_u16());
        let mut refused = Refused::by_door(status, cause.error(), description);
        (refused.cause, refused.helps) = (Some(cause), helps);
        refused
    }
}

#[cfg(test)]
mod tests;
