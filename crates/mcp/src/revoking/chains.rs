//! Chains: which grants and hops were seen here, and which revocation names each, page by page?
//!
//! A page is read by the ids of blocks, so that what was seen is never whole in memory. What stands below a revoked block is stopped, too;
//! whoever has all pages sees that.

use std::collections::HashSet;

use axum::response::Response;
use hardtack::audit::{BlockState, Lineage, LineageUnavailable, Seen, SeenChains};
use hardtack::chain::RevocationId;
use hardtack::guard::Denial;
use hardtack::pending::wait;
use hardtack::revocation::{Revocation, RevocationEntry, RevocationLog};
use hardtack::timestamp::Timestamp;
use http::StatusCode;

use super::listing::PAGE as LIST_PAGE;
use super::wire::{ChainsPage, ShownBlock};
use crate::answer;

/// The most blocks of a page: some 1 MB.
pub(super) const PAGE: usize = 1000;

/// How many pages are made at once. Each looks through the whole list of revocations, and so must never have all places of those who
/// revoke.
pub(super) const MAX_PAGES: usize = 2;

/// What part of the chains is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The id behind which the page begins.
    after: Option<RevocationId>,
    at_most: usize,
}

impl Asked {
    /// Reads `after=ID` and `at_most=N`; says what is wrong.
    pub(super) fn parse(query: Option<&str>) -> Result<Asked, String> {
        let mut asked = Asked { after: None, at_most: PAGE };
        for part in query.unwrap_or_default().split('&') {
            match part.split_once('=') {
                Some(("after", id)) => {
                    let id = id.parse();
                    let wrong = "`after` is the id of a block, of 128 hexadecimal digits";
                    asked.after = Some(id.map_err(|_| wrong)?);
                }
                Some(("at_most", number)) => {
                    let number = number.parse().ok().filter(|number| (1..=PAGE).contains(number));
                    asked.at_most = number.ok_or(format!("`at_most` is from 1 to {PAGE}"))?;
                }
                _ => {}
            }
        }
        Ok(asked)
    }

    /// The page. May wait.
    pub(super) fn page(
        &self,
        seen: &dyn Lineage,
        log: &dyn RevocationLog,
        now: Timestamp,
    ) -> Result<ChainsPage, Denial> {
        let page = seen.seen_after(self.after, self.at_most);
        let page =
            page.map_err(|error: LineageUnavailable| Denial::unreadable_store(&error.to_string()))?;
        // A page may be short, and not the last; only an empty one is.
        let next = page.blocks.last().map(|last| last.id);
        let (blocks, lost) = (page.blocks.clone(), page.lost);
        let entries = naming(&page, log, now)?;
        let chains = SeenChains::new(page, entries);
        let blocks = blocks.into_iter().map(|block| {
            let revoked = match chains.standing(&block, now) {
                BlockState::Revoked(entry) => Some(entry.clone()),
                _ => None,
            };
            ShownBlock { block, revoked }
        });
        Ok(ChainsPage { as_of: now, blocks: blocks.collect(), lost, next })
    }
}

pub(super) fn answer(page: &ChainsPage) -> Response {
    answer::respond(StatusCode::OK, &serde_json::json!(page))
}

/// The revocations that name a block of this page, in the order of their records. The list is read page by page.
fn naming(
    page: &Seen,
    log: &dyn RevocationLog,
    now: Timestamp,
) -> Result<Vec<RevocationEntry>, Denial> {
    let wrapped = page.blocks.iter().filter_map(|block| block.wrapped);
    let ids: HashSet<RevocationId> =
        page.blocks.iter().map(|block| block.id).chain(wrapped).collect();
    let bare = SeenChains::new(page.clone(), Vec::new());
    let is_of_page = |entry: &RevocationEntry| match &entry.notice.revocation {
        Revocation::Id { id } => ids.contains(id),
        // Those that are of no one block are few.
        other => !bare.named_by(other, entry.notice.revoked).is_empty(),
    };
    let (mut naming, mut after) = (Vec::new(), 0);
    while !ids.is_empty() {
        let listed = wait(log.list_after(now, after, LIST_PAGE));
        let listed = listed.map_err(|error| Denial::unreadable_store(&error.to_string()))?;
        let is_last = listed.revocations.len() < LIST_PAGE;
        after = listed.revocations.last().map_or(after, |last| last.sequence);
        naming.extend(listed.revocations.into_iter().filter(is_of_page));
        if is_last {
            break;
        }
    }
    Ok(naming)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_asked_for_by_an_id_and_a_number() {
        let id = RevocationId::from_bytes([7; 64]);
        assert_eq!(Asked::parse(None), Ok(Asked { after: None, at_most: PAGE }));
        let asked = Asked::parse(Some(&format!("x=1&after={id}&at_most=9")));
        assert_eq!(asked, Ok(Asked { after: Some(id), at_most: 9 }));
        for wrong in ["after=", "after=7", "at_most=0", "at_most=1001", "at_most=-1"] {
            assert!(Asked::parse(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
