//! Listing: what is revoked, page by page, so that a long list is never whole in memory.
//!
//! Whoever asks for a page (`after`) gets one, and from where to go on. Whoever asks for all gets it as one answer, which is read as it is
//! sent. An answer that cannot be finished is cut off, so that nobody takes a part for the whole.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use hardtack::revocation::{RevocationLog, RevocationLogError, Snapshot};
use hardtack_http::now;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use crate::answer;

/// The most revocations of a page: some 300 KiB.
pub(super) const PAGE: usize = 1000;

/// How many lists are read at once. Each holds one page, however slowly it is taken.
pub(super) const MAX_LISTS: usize = 16;

/// What part of the list is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Of the revocations whose number is larger than this, a page; all without it.
    after: Option<u64>,
    /// How many a page has.
    at_most: Option<usize>,
}

impl Asked {
    /// Reads `after=N` and `at_most=N`; says what is wrong.
    pub(super) fn parse(query: Option<&str>) -> Result<Asked, String> {
        let mut asked = Asked::default();
        for part in query.unwrap_or_default().split('&') {
            match part.split_once('=') {
                Some(("after", number)) => {
                    let number = number.parse();
                    asked.after = Some(number.map_err(|_| "`after` is the number of a record")?);
                }
                Some(("at_most", number)) => {
                    let number = number.parse().ok().filter(|number| (1..=PAGE).contains(number));
                    let number = number.ok_or_else(|| format!("`at_most` is from 1 to {PAGE}"))?;
                    asked.at_most = Some(number);
                }
                _ => {}
            }
        }
        Ok(asked)
    }

    pub(super) fn first(&self) -> u64 {
        self.after.unwrap_or(0)
    }

    pub(super) fn at_most(&self) -> usize {
        self.at_most.unwrap_or(PAGE)
    }

    /// The answer, which begins with this page.
    pub(super) fn answer(
        &self,
        page: Snapshot,
        log: Arc<dyn RevocationLog>,
        place: OwnedSemaphorePermit,
    ) -> Response {
        if self.after.is_some() || self.at_most.is_some() {
            let next = next(&page, self.at_most());
            let page = json!({"as_of": page.as_of, "forgotten_until": page.forgotten_until, "revocations": page.revocations, "next": next});
            return answer::respond(StatusCode::OK, &page);
        }
        let begin = format!("{{\"as_of\":{},\"revocations\":[", json!(page.as_of));
        let all = All { log, _place: place, next: Next::Page(page), separator: "", begin };
        let chunks = stream::try_unfold(all, All::chunk);
        let mut response = Response::new(Body::from_stream(chunks));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

/// From where to go on after a page; `None` after the last.
fn next(page: &Snapshot, at_most: usize) -> Option<u64> {
    let last = page.revocations.last().map(|last| last.sequence);
    last.filter(|_| page.revocations.len() >= at_most)
}

/// A list that is being sent.
struct All {
    log: Arc<dyn RevocationLog>,
    _place: OwnedSemaphorePermit,
    next: Next,
    separator: &'static str,
    begin: String,
}

enum Next {
    Page(Snapshot),
    After(u64),
    Ended,
}

impl All {
    async fn chunk(mut self) -> Result<Option<(Bytes, All)>, io::Error> {
        let page = match std::mem::replace(&mut self.next, Next::Ended) {
            Next::Page(page) => page,
            Next::After(after) => {
                let page = self.log.list_after(now(), after, PAGE).await;
                page.map_err(|error: RevocationLogError| {
                    tracing::warn!(%error, "a list of revocations is cut off");
                    io::Error::other("the revocations cannot be read")
                })?
            }
            Next::Ended => return Ok(None),
        };
        let mut text = std::mem::take(&mut self.begin);
        for entry in &page.revocations {
            text.push_str(std::mem::replace(&mut self.separator, ","));
            text.push_str(&serde_json::to_string(entry).map_err(io::Error::other)?);
        }
        match next(&page, PAGE) {
            Some(after) => self.next = Next::After(after),
            // The mark last: what was forgotten since the first page is under it.
            None => {
                text.push_str(&format!("],\"forgotten_until\":{}}}", json!(page.forgotten_until)))
            }
        }
        Ok(Some((Bytes::from(text), self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_list_is_asked_for_by_number() {
        let asked = |query| Asked::parse(Some(query));
        assert_eq!(Asked::parse(None), Ok(Asked::default()));
        assert_eq!(asked("after=7"), Ok(Asked { after: Some(7), at_most: None }));
        assert_eq!(asked("x=1&after=0&at_most=9"), Ok(Asked { after: Some(0), at_most: Some(9) }));
        for wrong in ["after=", "after=-1", "after=x", "at_most=0", "at_most=1001"] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }
}
