//! Asking: how does a client have a gateway revoke?

use bytes::Bytes;
use http::{Method, header};

use super::exchange::{Asking, Unanswered};
use super::wire::{ALREADY_REVOKED, Answer, NOT_REVOKED, REVOCATIONS, REVOKED};
use crate::gateway::ENDPOINT;
use crate::upstream::{for_errors, plain_http};
use hardtack::audit::Stops;
use hardtack::cause::Cause;
use hardtack::revocation::{Receipt, Revocation};
use hardtack::revoke::RevocationRequest;

/// An error of [`revoke_at`]: the gateway did not say that it has revoked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationFailed {
    /// The gateway refused, in its own words.
    #[error("the gateway refused ({status}): {description}")]
    Refused {
        /// The HTTP status of its answer.
        status: u16,
        /// The description in its answer.
        description: String,
    },
    /// The gateway did not answer. It is not known whether anything is revoked; to ask again does no harm, and under the same id
    /// ([`RevocationRequest::with_id`]) it is one request.
    #[error(
        "the gateway does not answer at {0}; whether it has revoked is not known, so ask again"
    )]
    NoAnswer(String),
    /// The text is no URL to which anything could be sent. Nothing was sent.
    #[error(
        "{0} is no http:// or https:// URL without user, password and fragment; nothing was sent"
    )]
    Url(String),
    /// The presentation would go over plain HTTP to another machine, where an answer can be forged, too. Nothing was sent.
    #[error("{}; nothing was sent", plain_http(.host))]
    PlainHttp {
        /// The gateway's host name.
        host: String,
    },
    /// The server at this URL is no Hardtack gateway: it answers something else.
    #[error("what answers at {0} is no Hardtack gateway")]
    Foreign(String),
}

impl RevocationFailed {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            RevocationFailed::Refused { .. } => Cause::RefusedThere,
            RevocationFailed::NoAnswer(_) => Cause::NoAnswer,
            RevocationFailed::Url(_) => Cause::MalformedUrl,
            RevocationFailed::PlainHttp { .. } => Cause::PlainHttp,
            RevocationFailed::Foreign(_) => Cause::NotAGateway,
        }
    }
}

/// A gateway's answer to a request to revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevocationAnswer {
    /// The receipt, which says under which record the revocation is in force; `None` for a dry run.
    pub receipt: Option<Receipt>,
    /// The revocation, with its whole id; `None` from a gateway that does not say.
    pub revocation: Option<Revocation>,
    /// How much the revocation stops of the chains that the gateway has seen; `None` if it was not counted.
    pub stops: Option<Stops>,
}

/// The most bytes read of an answer that is a few words.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Asks the gateway at `url` (with or without [`REVOCATIONS`] at its end) to revoke. `bearer` is a presentation for the gateway's
/// audience for revocations that is bound to [`RevocationRequest::call`].
///
/// Over plain HTTP it asks loopback alone: whoever is on the way to another machine could keep the request from it, and answer that it is
/// done. [`revoke_over_plain_http_at`] asks another machine all the same.
///
/// # Errors
///
/// [`RevocationFailed`] unless the gateway says that it is revoked.
pub async fn revoke_at(
    url: &str,
    bearer: &str,
    request: &RevocationRequest,
) -> Result<RevocationAnswer, RevocationFailed> {
    ask(url, None, bearer, request).await
}

/// Asks the gateway at `url` to revoke, as [`revoke_at`] does, and over plain HTTP also at `host`, if that is the gateway's. Whoever is
/// on the way there can read, keep and forge what is sent: name only a host that is reached over a private line.
///
/// # Errors
///
/// [`RevocationFailed`] unless the gateway says that it is revoked.
pub async fn revoke_over_plain_http_at(
    url: &str,
    host: &str,
    bearer: &str,
    request: &RevocationRequest,
) -> Result<RevocationAnswer, RevocationFailed> {
    ask(url, Some(host), bearer, request).await
}

async fn ask(
    url: &str,
    plain_http_to: Option<&str>,
    bearer: &str,
    request: &RevocationRequest,
) -> Result<RevocationAnswer, RevocationFailed> {
    let url = place_of_revocations(url).ok_or_else(|| RevocationFailed::Url(for_errors(url)))?;
    let asking = Asking {
        method: Method::POST,
        url: &url,
        plain_http_to,
        bearer,
        json: header::CONTENT_TYPE,
        body: Bytes::from(request.to_json()),
        at_most: MAX_ANSWER_BYTES,
    };
    let foreign = || RevocationFailed::Foreign(for_errors(&url));
    let body = asking.ask().await.map_err(|unanswered| match unanswered {
        Unanswered::Url => RevocationFailed::Url(for_errors(&url)),
        Unanswered::PlainHttp(host) => RevocationFailed::PlainHttp { host },
        Unanswered::NoAnswer => RevocationFailed::NoAnswer(for_errors(&url)),
        Unanswered::Refused(status, description) => {
            RevocationFailed::Refused { status, description }
        }
        Unanswered::NotThere | Unanswered::Foreign => foreign(),
    })?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| foreign())?;
    let Answer { status, sequence, revocation, stops } = answer;
    let receipt = match (status.as_str(), sequence, request.is_dry_run()) {
        (REVOKED, Some(sequence), false) => Some(Receipt::Revoked { sequence }),
        (ALREADY_REVOKED, Some(sequence), false) => Some(Receipt::AlreadyRevoked { sequence }),
        (NOT_REVOKED, None, true) => None,
        _ => return Err(foreign()),
    };
    Ok(RevocationAnswer { receipt, revocation, stops })
}

/// Where a gateway revokes: beside its endpoint, with the same query.
fn place_of_revocations(gateway: &str) -> Option<String> {
    beside(gateway, REVOCATIONS)
}

/// A path beside a gateway's endpoint, with the same query. `gateway` may end with the endpoint, or with that path already.
pub(super) fn beside(gateway: &str, place: &str) -> Option<String> {
    let mut url = url::Url::parse(gateway).ok()?;
    let path = url.path().trim_end_matches('/');
    let base = path.strip_suffix(ENDPOINT).unwrap_or(path);
    let base = base.strip_suffix(place).unwrap_or(base);
    let path = format!("{base}{place}");
    url.set_path(&path);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_revokes_beside_its_endpoint_and_with_the_same_query() {
        for (gateway, place) in [
            ("http://a", "http://a/hardtack/revocations"),
            ("http://a/", "http://a/hardtack/revocations"),
            ("http://a/mcp", "http://a/hardtack/revocations"),
            ("http://a/x/mcp/", "http://a/x/hardtack/revocations"),
            ("http://a?tenant=acme", "http://a/hardtack/revocations?tenant=acme"),
            ("http://a/mcp?tenant=a/mcp", "http://a/hardtack/revocations?tenant=a/mcp"),
            ("http://a/hardtack/revocations", "http://a/hardtack/revocations"),
        ] {
            assert_eq!(place_of_revocations(gateway).as_deref(), Some(place));
        }
        assert_eq!(place_of_revocations("a.example"), None);
    }
}
