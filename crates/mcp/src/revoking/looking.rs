//! Looking: how does a client have a gateway show the chains that it has seen?

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};

use super::asking::beside;
use super::wire::{BODY_TIMEOUT, CHAINS, ChainsPage};
use crate::upstream::{Upstream, UpstreamError, for_errors, plain_http};
use hardtack::audit::{Seen, SeenChains};
use hardtack::cause::Cause;
use hardtack::chain::RevocationId;
use hardtack::names::escaped;

/// The most bytes of a page: a thousand blocks with the longest names and reasons, and as many revocations.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// The most blocks that are taken: nobody reads so many, and what a server sends must fit into memory.
const MAX_SHOWN: usize = 100_000;

/// An error of [`chains_at`]: the gateway did not show its chains.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainsFailed {
    /// The gateway refused, in its own words.
    #[error("the gateway refused ({status}): {description}")]
    Refused {
        /// The HTTP status of its answer.
        status: u16,
        /// The description in its answer.
        description: String,
    },
    /// The gateway did not answer, or not to the end.
    #[error("the gateway does not answer at {0}")]
    NoAnswer(String),
    /// The text is no URL to which anything could be sent. Nothing was sent.
    #[error(
        "{0} is no http:// or https:// URL without user, password and fragment; nothing was sent"
    )]
    Url(String),
    /// The presentation would go over plain HTTP to another machine. Nothing was sent.
    #[error("{}; nothing was sent", plain_http(.host))]
    PlainHttp {
        /// The gateway's host name.
        host: String,
    },
    /// The server has no such path: it is no gateway, or one that is too old to show chains.
    #[error(
        "{0} is not there: the gateway is too old to show its chains, takes no revocations here, or is none; look into its store there (hardtack tree --store FILE)"
    )]
    NotThere(String),
    /// The server at this URL answers something else.
    #[error("what answers at {0} is no Hardtack gateway")]
    Foreign(String),
    /// The gateway has seen too many blocks to show them from afar.
    #[error(
        "the gateway has seen more than {MAX_SHOWN} grants and hops; look into its store there (hardtack tree --store FILE)"
    )]
    TooMany,
}

impl ChainsFailed {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            ChainsFailed::Refused { .. } => Cause::RefusedThere,
            ChainsFailed::NoAnswer(_) => Cause::NoAnswer,
            ChainsFailed::Url(_) => Cause::MalformedUrl,
            ChainsFailed::PlainHttp { .. } => Cause::PlainHttp,
            ChainsFailed::NotThere(_) | ChainsFailed::Foreign(_) => Cause::NotAGateway,
            ChainsFailed::TooMany => Cause::ListTooLong,
        }
    }
}

/// Asks the gateway at `url` (with or without [`CHAINS`] at its end) which chains it has seen, page by page. `bearer` is a presentation
/// for the gateway's audience for revocations, with the scope `hardtack:read`.
///
/// Over plain HTTP it asks loopback alone; [`chains_over_plain_http_at`] asks another machine all the same.
///
/// # Errors
///
/// [`ChainsFailed`] unless the gateway shows all that it has seen.
pub async fn chains_at(url: &str, bearer: &str) -> Result<SeenChains, ChainsFailed> {
    all(url, None, bearer).await
}

/// Asks the gateway at `url`, as [`chains_at`] does, and over plain HTTP also at `host`, if that is the gateway's. Whoever is on the way
/// there can read the bearer, use it while it lives, and forge the answer.
///
/// # Errors
///
/// [`ChainsFailed`] unless the gateway shows all that it has seen.
pub async fn chains_over_plain_http_at(
    url: &str,
    host: &str,
    bearer: &str,
) -> Result<SeenChains, ChainsFailed> {
    all(url, Some(host), bearer).await
}

async fn all(
    url: &str,
    plain_http_to: Option<&str>,
    bearer: &str,
) -> Result<SeenChains, ChainsFailed> {
    let (mut blocks, mut revocations) = (Vec::new(), BTreeMap::new());
    let mut after = None;
    loop {
        let page = page(url, plain_http_to, bearer, after).await?;
        let Some(next) = page.next else {
            let revocations = revocations.into_values().collect();
            return Ok(SeenChains::new(Seen::new(blocks, page.lost), revocations));
        };
        // A server that does not go on would be asked for ever.
        if page.blocks.is_empty() || after.is_some_and(|after| next <= after) {
            return Err(ChainsFailed::Foreign(for_errors(url)));
        }
        after = Some(next);
        for shown in page.blocks {
            blocks.push(shown.block);
            revocations.extend(shown.revoked.map(|entry| (entry.sequence, entry)));
        }
        if blocks.len() > MAX_SHOWN {
            return Err(ChainsFailed::TooMany);
        }
    }
}

async fn page(
    url: &str,
    plain_http_to: Option<&str>,
    bearer: &str,
    after: Option<RevocationId>,
) -> Result<ChainsPage, ChainsFailed> {
    let place = place_of_page(url, after).ok_or_else(|| ChainsFailed::Url(for_errors(url)))?;
    let unreachable = || ChainsFailed::NoAnswer(for_errors(&place));
    let foreign = || ChainsFailed::Foreign(for_errors(&place));
    let upstream = Upstream::at(&place).map_err(|_| ChainsFailed::Url(for_errors(&place)))?;
    let upstream = match plain_http_to {
        Some(host) => upstream.accept_plain_http_to(host),
        None => upstream,
    };
    if let Err(UpstreamError::PlainHttp { host }) = upstream.check_privacy() {
        return Err(ChainsFailed::PlainHttp { host });
    }
    let authorization =
        HeaderValue::try_from(format!("Bearer {bearer}")).map_err(|_| unreachable())?;
    let json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(header::ACCEPT, json)]);
    let response = upstream.send(Method::GET, headers, Some(authorization), Bytes::new()).await;
    let response = response.map_err(|_| unreachable())?;
    let status = response.status();
    let body = Limited::new(reqwest::Body::from(response), MAX_PAGE_BYTES).collect();
    let body = tokio::time::timeout(BODY_TIMEOUT, body).await.map_err(|_| unreachable())?;
    let body = body.map_err(|_| unreachable())?.to_bytes();
    if status == StatusCode::NOT_FOUND {
        return Err(ChainsFailed::NotThere(for_errors(&place)));
    }
    if status != StatusCode::OK {
        let said: serde_json::Value = serde_json::from_slice(&body).map_err(|_| foreign())?;
        let description = said.get("error_description").and_then(serde_json::Value::as_str);
        let description = escaped(&description.unwrap_or("no reason given"));
        return Err(ChainsFailed::Refused { status: status.as_u16(), description });
    }
    serde_json::from_slice(&body).map_err(|_| foreign())
}

/// Where a gateway shows the page behind this id: beside its endpoint, with the same query.
fn place_of_page(gateway: &str, after: Option<RevocationId>) -> Option<String> {
    let mut url = url::Url::parse(&beside(gateway, CHAINS)?).ok()?;
    if let Some(after) = after {
        url.query_pairs_mut().append_pair("after", &after.to_string());
    }
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_beside_the_endpoint_and_keep_the_query() {
        let id = RevocationId::from_bytes([7; 64]);
        let place = |url, after| place_of_page(url, after).unwrap();
        assert_eq!(place("http://a/x/mcp/", None), "http://a/x/hardtack/chains");
        assert_eq!(place("http://a/hardtack/chains", None), "http://a/hardtack/chains");
        let next = format!("http://a/hardtack/chains?tenant=acme&after={id}");
        assert_eq!(place("http://a/mcp?tenant=acme", Some(id)), next);
        assert_eq!(place_of_page("a.example", None), None);
    }
}
