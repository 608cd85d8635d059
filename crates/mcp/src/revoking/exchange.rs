//! Exchange: one request of a holder's to what a gateway offers beside its endpoint, and its answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::wire::BODY_TIMEOUT;
use crate::upstream::{Upstream, UpstreamError};
use hardtack::names::escaped;

/// A request.
pub(super) struct Asking<'a> {
    pub(super) method: Method,
    /// The whole URL.
    pub(super) url: &'a str,
    /// The host that is asked over plain HTTP, too.
    pub(super) plain_http_to: Option<&'a str>,
    pub(super) bearer: &'a str,
    /// The header that says which form the body or the answer has: JSON.
    pub(super) json: HeaderName,
    pub(super) body: Bytes,
    /// The most bytes that are read of the answer.
    pub(super) at_most: usize,
}

/// Why there is no answer of the form that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// Nothing was sent: it is no URL of a server.
    Url,
    /// Nothing was sent: it would go over plain HTTP to this host.
    PlainHttp(String),
    /// None came, or not to its end.
    NoAnswer,
    /// There is nothing at this path.
    NotThere,
    /// A refusal with its status and description, as it may be shown.
    Refused(u16, String),
    /// Something else.
    Foreign,
}

impl Asking<'_> {
    /// Asks, and returns the body of the answer if its status is 200.
    pub(super) async fn ask(self) -> Result<Bytes, Unanswered> {
        let upstream = Upstream::at(self.url).map_err(|_| Unanswered::Url)?;
        let upstream = match self.plain_http_to {
            Some(host) => upstream.accept_plain_http_to(host),
            None => upstream,
        };
        if let Err(UpstreamError::PlainHttp { host }) = upstream.check_privacy() {
            return Err(Unanswered::PlainHttp(host));
        }
        let unanswered = || Unanswered::NoAnswer;
        let authorization = HeaderValue::try_from(format!("Bearer {}", self.bearer));
        let authorization = authorization.map_err(|_| unanswered())?;
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(self.json, json)]);
        let response = upstream.send(self.method, headers, Some(authorization), self.body).await;
        let response = response.map_err(|_| unanswered())?;
        let status = response.status();
        let body = Limited::new(reqwest::Body::from(response), self.at_most).collect();
        let body = tokio::time::timeout(BODY_TIMEOUT, body).await.map_err(|_| unanswered())?;
        let body = body.map_err(|_| unanswered())?.to_bytes();
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::NOT_FOUND => Err(Unanswered::NotThere),
            status => Err(refused(status, &body)),
        }
    }
}

fn refused(status: StatusCode, body: &[u8]) -> Unanswered {
    let Ok(said) = serde_json::from_slice::<serde_json::Value>(body) else {
        return Unanswered::Foreign;
    };
    let description = said.get("error_description").and_then(serde_json::Value::as_str);
    Unanswered::Refused(status.as_u16(), escaped(&description.unwrap_or("no reason given")))
}
