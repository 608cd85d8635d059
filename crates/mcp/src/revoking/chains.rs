//! Chains: which grants and hops were seen here, and which revocation names each, page by page?
//!
//! A page is read by the ids of blocks, so that what was seen is never whole in memory. What stands below a revoked block is stopped, too;
//! whoever has all pages sees that. A reader sees the chains of its own root key: a root may say who reads what it granted, and not who
//! reads what another one granted.

use std::collections::HashSet;

use axum::response::Response;
use hardtack::audit::{BlockState, Lineage, LineageUnavailable, Seen, SeenChains};
use hardtack::chain::RevocationId;
use hardtack::guard::Denial;
use hardtack::keys::PublicKey;
use hardtack::pending::wait;
use hardtack::revocation::{Revocation, RevocationEntry, RevocationLog};
use hardtack::timestamp::Timestamp;
use http::StatusCode;

use super::listing::PAGE as LIST_PAGE;
use super::wire::{ChainsPage, ShownBlock};
use crate::answer;

/// The most blocks of a page: some 400 KB, and 1 MB with the longest names and reasons. An answer that nobody takes stays in memory for as
/// long as its connection.
pub(super) const PAGE: usize = 500;

/// How many pages are made at once. Each looks through the whole list of revocations, and so must never have all places of those who
/// revoke.
pub(super) const MAX_PAGES: usize = 2;

/// How many of them one subject has, so that whoever asks without end leaves a place to others.
pub(super) const MAX_PAGES_EACH: usize = 1;

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

    /// The page, for a reader whose grant this root key signed. May wait.
    pub(super) fn page(
        &self,
        seen: &dyn Lineage,
        log: &dyn RevocationLog,
        root: PublicKey,
        now: Timestamp,
    ) -> Result<ChainsPage, Denial> {
        let page = seen.seen_after(self.after, self.at_most);
        let mut page =
            page.map_err(|error: LineageUnavailable| Denial::unreadable_store(&error.to_string()))?;
        // A page may be short, and not the last; only an empty one is.
        let next = page.blocks.last().map(|last| last.id);
        let read = page.blocks.len();
        page.blocks.retain(|block| block.root == root);
        let others = (read - page.blocks.len()) as u64;
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
        Ok(ChainsPage { as_of: now, blocks: blocks.collect(), others, lost, next })
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
    use std::sync::{Arc, Condvar, Mutex};
    use std::time::Duration;

    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    use super::super::wire::CHAINS;
    use super::super::{SEE_CHAINS, revocations};
    use super::*;
    use hardtack::audit::SeenBlock;
    use hardtack::chain::IdPrefix;
    use hardtack::{
        Capability, Grant, Guard, Issuer, Policy, Presenting, PrivateKey, Revoking, RootKeys,
        Store, Verifier,
    };

    #[test]
    fn a_page_is_asked_for_by_an_id_and_a_number() {
        let id = RevocationId::from_bytes([7; 64]);
        assert_eq!(Asked::parse(None), Ok(Asked { after: None, at_most: PAGE }));
        let asked = Asked::parse(Some(&format!("x=1&after={id}&at_most=9")));
        assert_eq!(asked, Ok(Asked { after: Some(id), at_most: 9 }));
        for wrong in ["after=", "after=7", "at_most=0", "at_most=501", "at_most=-1"] {
            assert!(Asked::parse(Some(wrong)).is_err(), "{wrong}");
        }
    }

    fn block(number: u8, root: PublicKey) -> SeenBlock {
        let id = RevocationId::from_bytes([number; 64]);
        let block = serde_json::json!({
            "id": id, "parent": null, "name": format!("user:{number}"), "reason": null, "holder": null, "root": root,
            "issued": "2020-01-01T00:00:00Z", "expires": "2120-01-01T00:00:00Z", "seen": 0,
        });
        serde_json::from_value(block).unwrap()
    }

    #[test]
    fn pages_show_each_chain_of_the_readers_root_key_once_and_no_other() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let [root, other] = [(); 2].map(|()| PrivateKey::generate().public());
        let store = Store::in_memory().unwrap();
        // Two pages of nothing but another's are between.
        let of = |number: u8| if (3..=6).contains(&number) { other } else { root };
        store.saw((1..=9).map(|number| block(number, of(number))).collect());
        let revoked = Revocation::Id { id: RevocationId::from_bytes([8; 64]) };
        store.revoke(Revoking::new(revoked, "tests", "stolen").unwrap(), now).unwrap();
        for (reader, own) in [(root, 5), (other, 4)] {
            let mut asked = Asked { after: None, at_most: 2 };
            let (mut shown, mut others) = (Vec::new(), 0);
            while let page = asked.page(&store, &store, reader, now).unwrap()
                && let Some(next) = page.next
            {
                assert!(asked.after < Some(next) && page.blocks.len() <= 2);
                asked.after = Some(next);
                others += page.others;
                shown.extend(page.blocks);
            }
            assert_eq!((shown.len(), others), (own, 9 - own as u64));
            assert!(shown.iter().all(|shown| shown.block.root == reader));
            let revoked = shown.iter().filter(|shown| shown.revoked.is_some());
            let revoked: Vec<_> = revoked.map(|shown| shown.block.name.as_str()).collect();
            assert_eq!(revoked, if reader == root { vec!["user:8"] } else { vec![] });
        }
    }

    /// Chains that nobody is shown before it is let go on, and how many wait for that.
    #[derive(Default)]
    struct Halted(Mutex<(bool, usize)>, Condvar);

    impl Halted {
        async fn until(&self, waiting: usize) {
            let reached = async {
                while self.0.lock().unwrap().1 < waiting {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), reached).await.expect("they wait");
        }
    }

    impl Lineage for Halted {
        fn saw(&self, _: Vec<SeenBlock>) {}

        fn seen(&self, _: u64) -> Result<Option<Seen>, LineageUnavailable> {
            let mut state = self.0.lock().unwrap();
            state.1 += 1;
            drop(self.1.wait_while(state, |(goes_on, _)| !*goes_on).unwrap());
            Ok(Some(Seen::default()))
        }

        fn beginning(
            &self,
            _: &IdPrefix,
            _: usize,
        ) -> Result<Vec<RevocationId>, LineageUnavailable> {
            Ok(Vec::new())
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_subject_asks_for_one_page_at_a_time_and_leaves_the_other_place_to_others() {
        let (store, issuer) = (Store::in_memory().unwrap(), Issuer::new(PrivateKey::generate()));
        let audience = "notion.mcp/hardtack";
        let verifier =
            Verifier::new(RootKeys::of(issuer.public()), audience, store.revocations()).unwrap();
        let guard = Guard::new(verifier, Policy::builtin(), store.clone());
        let halted = Arc::new(Halted::default());
        let router = revocations(guard, Arc::new(store), Arc::clone(&halted) as _, []);
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| {
            let (grant, key) = Grant::to(format!("user:{name}")).scope(SEE_CHAINS).new_holder();
            (issuer.mint(grant, hardtack_http::now()).unwrap(), key)
        });
        let ask = |(capability, key): &(Capability, PrivateKey)| {
            let bearer =
                capability.present(Presenting::to(audience), key, hardtack_http::now()).unwrap();
            let request = Request::get(CHAINS)
                .header("host", "localhost")
                .header("authorization", format!("Bearer {}", bearer.bearer()))
                .body(Body::empty())
                .unwrap();
            let router = router.clone();
            async move { router.oneshot(request).await.unwrap().status() }
        };
        let first = tokio::spawn(ask(&alice));
        halted.until(1).await;
        assert_eq!(ask(&alice).await, StatusCode::SERVICE_UNAVAILABLE, "a second page of alice's");
        let other = tokio::spawn(ask(&bob));
        halted.until(2).await;
        assert_eq!(ask(&carol).await, StatusCode::SERVICE_UNAVAILABLE, "a third page");
        halted.0.lock().unwrap().0 = true;
        halted.1.notify_all();
        for shown in [first, other] {
            assert_eq!(shown.await.unwrap(), StatusCode::OK);
        }
        assert_eq!(ask(&alice).await, StatusCode::OK);
        assert_eq!(ask(&carol).await, StatusCode::OK);
    }
}
