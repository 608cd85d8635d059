//! Looking: how does a client have a gateway show the chains that it has seen?

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, header};

use super::asking::beside;
use super::exchange::{Asking, Unanswered};
use super::wire::{CHAINS, ChainsPage, ShownBlock};
use crate::upstream::{for_errors, plain_http};
use hardtack::audit::{Seen, SeenChains};
use hardtack::cause::Cause;
use hardtack::chain::RevocationId;

/// The most bytes of a page: some hundred blocks, each as large as a database keeps one (16 KiB), and as many revocations.
const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;

/// The most blocks that are taken: nobody reads so many, and what a server sends must fit into memory.
const MAX_SHOWN: usize = 100_000;

/// The most pages that are asked for: a million blocks, which is all that is remembered, and as many pages again that are short.
const MAX_PAGES: usize = 4000;

/// The most bytes of a name or a reason that is taken: four times what a token may have. What is longer, somebody forged who was taken
/// over; it is counted, and does not hide the rest.
const MAX_TEXT_BYTES: usize = 1024;

/// The chains that a gateway shows ([`chains_at`]).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ShownChains {
    /// The chains under the root key that signed the reader's grant.
    pub chains: SeenChains,
    /// The number of grants and hops under other root keys, which are not shown to this reader.
    pub others: u64,
}

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
/// for the gateway's audience for revocations, with the scope [`SEE_CHAINS`](crate::SEE_CHAINS).
///
/// Over plain HTTP it asks loopback alone; [`chains_over_plain_http_at`] asks another machine all the same.
///
/// # Errors
///
/// [`ChainsFailed`] unless the gateway shows all that it has seen.
pub async fn chains_at(url: &str, bearer: &str) -> Result<ShownChains, ChainsFailed> {
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
) -> Result<ShownChains, ChainsFailed> {
    all(url, Some(host), bearer).await
}

async fn all(
    url: &str,
    plain_http_to: Option<&str>,
    bearer: &str,
) -> Result<ShownChains, ChainsFailed> {
    let (mut blocks, mut revocations) = (Vec::new(), BTreeMap::new());
    let (mut after, mut others, mut forged) = (None, 0u64, 0u64);
    for _ in 0..MAX_PAGES {
        let page = page(url, plain_http_to, bearer, after).await?;
        let Some(next) = page.next else {
            let revocations = revocations.into_values().collect();
            let seen = Seen::new(blocks, page.lost.saturating_add(forged));
            return Ok(ShownChains { chains: SeenChains::new(seen, revocations), others });
        };
        if !is_page_between(&page, after, next) {
            return Err(ChainsFailed::Foreign(for_errors(url)));
        }
        after = Some(next);
        others = others.saturating_add(page.others);
        for shown in page.blocks {
            match is_of_a_token(&shown) {
                true => {
                    blocks.push(shown.block);
                    revocations.extend(shown.revoked.map(|entry| (entry.sequence, entry)));
                }
                false => forged += 1,
            }
        }
        if blocks.len() > MAX_SHOWN {
            return Err(ChainsFailed::TooMany);
        }
    }
    Err(ChainsFailed::TooMany)
}

/// Whether the page goes on behind `after`, up to `next`, in the order of ids. A server that does not go on would be asked for ever.
fn is_page_between(page: &ChainsPage, after: Option<RevocationId>, next: RevocationId) -> bool {
    let mut before = after;
    let are_in_order = page.blocks.iter().all(|shown| {
        let id = shown.block.id;
        before.replace(id).is_none_or(|before| before < id)
    });
    are_in_order && before.is_none_or(|last| last <= next) && after.is_none_or(|after| after < next)
}

/// Whether its texts are no longer than those of tokens and revocations.
fn is_of_a_token(shown: &ShownBlock) -> bool {
    let (block, notice) = (&shown.block, shown.revoked.as_ref().map(|entry| &entry.notice));
    let texts = [Some(&block.name), block.reason.as_ref()];
    let of_notice = notice.into_iter().flat_map(|notice| [&notice.by, &notice.reason]);
    texts.into_iter().flatten().chain(of_notice).all(|text| text.len() <= MAX_TEXT_BYTES)
}

async fn page(
    url: &str,
    plain_http_to: Option<&str>,
    bearer: &str,
    after: Option<RevocationId>,
) -> Result<ChainsPage, ChainsFailed> {
    let place = place_of_page(url, after).ok_or_else(|| ChainsFailed::Url(for_errors(url)))?;
    let asking = Asking {
        method: Method::GET,
        url: &place,
        plain_http_to,
        bearer,
        json: header::ACCEPT,
        body: Bytes::new(),
        at_most: MAX_PAGE_BYTES,
    };
    let there = for_errors(&place);
    let body = asking.ask().await.map_err(|unanswered| match unanswered {
        Unanswered::Url => ChainsFailed::Url(there.clone()),
        Unanswered::PlainHttp(host) => ChainsFailed::PlainHttp { host },
        Unanswered::NoAnswer => ChainsFailed::NoAnswer(there.clone()),
        Unanswered::NotThere => ChainsFailed::NotThere(there.clone()),
        Unanswered::Refused(status, description) => ChainsFailed::Refused { status, description },
        Unanswered::Foreign => ChainsFailed::Foreign(there.clone()),
    })?;
    serde_json::from_slice(&body).map_err(|_| ChainsFailed::Foreign(there))
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
