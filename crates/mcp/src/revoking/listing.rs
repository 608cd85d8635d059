//! Listing: what is revoked, page by page, so that a long list is never whole in memory.
//!
//! Whoever asks for a page (`after`) gets one, and from where to go on. Whoever asks for all gets it as one answer, which is read as it is
//! sent, for as long as its reader may read. An answer that cannot be finished is cut off, so that nobody takes a part for the whole.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use hardtack::guard::Guard;
use hardtack::revocation::{RevocationLog, RevocationLogError, Snapshot};
use hardtack::verify::VerifiedCapability;
use hardtack_http::now;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::sync::oneshot;

use super::places::Place;
use crate::answer;
use crate::watch::{Begun, Watch};

/// The most revocations of a page: some 300 KiB.
pub(super) const PAGE: usize = 1000;

/// How long a whole list may take, however slowly it is read. Whoever is slower reads page by page.
const LONGEST: Duration = Duration::from_secs(5 * 60);

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

    /// Whether only a page is asked for.
    pub(super) fn is_page(&self) -> bool {
        self.after.is_some() || self.at_most.is_some()
    }

    /// The answer that is this page alone.
    pub(super) fn page(&self, page: &Snapshot) -> Response {
        let next = next(page, self.at_most());
        let page = json!({"as_of": page.as_of, "forgotten_until": page.forgotten_until, "revocations": page.revocations, "next": next});
        answer::respond(StatusCode::OK, &page)
    }
}

/// The answer that is the whole list, which begins with this page.
pub(super) fn whole(page: Snapshot, log: Arc<dyn RevocationLog>, reader: Reader) -> Response {
    let begin = format!("{{\"as_of\":{},\"revocations\":[", json!(page.as_of));
    let all = All { log, reader, next: Next::Page(page), separator: "", begin };
    let chunks = stream::try_unfold(all, All::chunk);
    let mut response = Response::new(Body::from_stream(chunks));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Whoever reads a whole list, for as long as its token holds and the list may take.
pub(super) struct Reader {
    watch: Watch,
    /// Dropped with the list, which gives the place back.
    _reads: oneshot::Sender<()>,
}

impl Reader {
    /// The place is free when the list ends, and when it would not go on any more: whoever takes nothing of it does not keep the place.
    pub(super) fn of(guard: Arc<Guard>, verified: Arc<VerifiedCapability>, place: Place) -> Reader {
        let over = || {
            let (guard, verified) = (Arc::clone(&guard), Arc::clone(&verified));
            Watch::over(guard, verified, Begun::Connection).at_most(LONGEST)
        };
        let (reads, mut done) = oneshot::channel::<()>();
        let mut until = over();
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                _ = until.end() => {}
                _ = &mut done => {}
            }
        });
        Reader { watch: over(), _reads: reads }
    }

    fn look(&self) -> Result<(), io::Error> {
        self.watch.look().map_err(|denial| {
            tracing::info!(hardtack.cause = %denial.cause(), "a list of revocations is cut off");
            io::Error::other("whoever reads the revocations may not any more")
        })
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
    reader: Reader,
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
        if matches!(self.next, Next::Page(_) | Next::After(_)) {
            self.reader.look()?;
        }
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
    use axum::Router;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::super::places::{MAX_LISTS, MAX_LISTS_EACH, Places};
    use super::super::{REVOCATIONS, revocations};
    use super::*;
    use crate::budget::Payer;
    use hardtack::{
        Capability, Grant, Issuer, Policy, Presenting, PrivateKey, Revocation, Revoking, RootKeys,
        Store, Verifier,
    };

    const AUDIENCE: &str = "notion.mcp/hardtack";

    struct Stage {
        store: Store,
        issuer: Issuer,
        guard: Arc<Guard>,
    }

    type Holder = (Capability, PrivateKey);

    impl Stage {
        /// With a list of more than two pages.
        fn set() -> Stage {
            let (store, issuer) =
                (Store::in_memory().unwrap(), Issuer::new(PrivateKey::generate()));
            let verifier =
                Verifier::new(RootKeys::of(issuer.public()), AUDIENCE, store.revocations());
            let guard = Guard::new(verifier.unwrap(), Policy::builtin(), store.clone());
            let revoking = |number: usize| {
                let revocation = Revocation::Agent { agent: format!("agent.{number}") };
                Revoking::new(revocation, "tests", "lost").unwrap()
            };
            store.revoke_all((0..2 * PAGE + 9).map(revoking).collect(), now()).unwrap();
            Stage { store, issuer, guard: Arc::new(guard) }
        }

        fn router(&self) -> Router {
            let (log, seen) = (Arc::new(self.store.clone()), Arc::new(self.store.clone()));
            revocations(Arc::clone(&self.guard), log, seen, [])
        }

        fn holder(&self, subject: &str, scope: &str) -> Holder {
            let (grant, key) = Grant::to(subject).scope(scope).new_holder();
            (self.issuer.mint(grant, now()).unwrap(), key)
        }

        fn reader(&self, (capability, key): &Holder, ttl: u64, places: &Places) -> Reader {
            let presenting = Presenting::to(AUDIENCE).ttl(Duration::from_secs(ttl));
            let bearer = capability.present(presenting, key, now()).unwrap();
            let verified = self.guard.admit(bearer.bearer(), now()).unwrap();
            let place = places.take(Payer::of(&verified)).unwrap();
            Reader::of(Arc::clone(&self.guard), Arc::new(verified), place)
        }

        async fn whole(&self, reader: Reader) -> Body {
            let log = Arc::new(self.store.clone());
            let page = log.list_after(now(), 0, PAGE).await.unwrap();
            whole(page, log, reader).into_body()
        }
    }

    async fn get(router: &Router, (capability, key): &Holder, query: &str) -> Response {
        let bearer = capability.present(Presenting::to(AUDIENCE), key, now()).unwrap();
        let request = Request::get(format!("{REVOCATIONS}{query}"))
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", bearer.bearer()))
            .body(Body::empty());
        router.clone().oneshot(request.unwrap()).await.unwrap()
    }

    async fn until_free(places: &Places) {
        let free = async {
            while places.taken() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(2 * LONGEST, free).await.expect("the place is given back");
    }

    #[tokio::test]
    async fn slow_readers_of_one_subject_leave_places_to_others_and_pages_take_none() {
        let stage = Stage::set();
        let router = stage.router();
        let [slow, other] =
            ["user:slow", "user:other"].map(|who| stage.holder(who, "hardtack:read"));
        let unscoped = stage.holder("user:none", "tools:call:*");
        // Answers that nobody takes.
        let mut kept = Vec::new();
        for _ in 0..MAX_LISTS_EACH {
            kept.push(get(&router, &slow, "").await);
        }
        assert!(kept.iter().all(|answer| answer.status() == StatusCode::OK));
        assert_eq!(get(&router, &slow, "").await.status(), StatusCode::SERVICE_UNAVAILABLE);
        for query in ["?after=0", "?at_most=9"] {
            assert_eq!(get(&router, &slow, query).await.status(), StatusCode::OK, "{query}");
        }
        for number in 0..(MAX_LISTS / MAX_LISTS_EACH - 2) {
            let holder = stage.holder(&format!("user:{number}"), "hardtack:read");
            for _ in 0..MAX_LISTS_EACH {
                kept.push(get(&router, &holder, "").await);
            }
        }
        for _ in 0..MAX_LISTS {
            assert_eq!(get(&router, &unscoped, "").await.status(), StatusCode::FORBIDDEN);
            kept.push(get(&router, &other, "?after=0").await);
        }
        assert!(kept.iter().all(|answer| answer.status() == StatusCode::OK));
        let whole = get(&router, &other, "").await;
        assert_eq!(whole.status(), StatusCode::OK);
        let whole = whole.into_body().collect().await.unwrap().to_bytes();
        let whole: serde_json::Value = serde_json::from_slice(&whole).unwrap();
        assert_eq!(whole["revocations"].as_array().unwrap().len(), 2 * PAGE + 9);
    }

    #[tokio::test]
    async fn a_whole_list_breaks_off_once_its_reader_is_revoked() {
        let (stage, places) = (Stage::set(), Places::default());
        let holder = stage.holder("user:alice", "hardtack:read");
        let mut body = stage.whole(stage.reader(&holder, 60, &places)).await;
        assert!(body.frame().await.unwrap().is_ok());
        let id = holder.0.chain().grant.revocation_id;
        let revoking = Revoking::new(Revocation::Id { id }, "tests", "stolen").unwrap();
        stage.store.revoke(revoking, now()).unwrap();
        assert!(body.frame().await.unwrap().is_err(), "not one page more");
        assert!(body.frame().await.is_none(), "and no end that could be taken for the list's");
    }

    #[tokio::test]
    async fn a_whole_list_breaks_off_once_its_reader_has_expired_and_its_place_is_free_unread() {
        let (stage, places) = (Stage::set(), Places::default());
        let holder = stage.holder("user:alice", "hardtack:read");
        let mut body = stage.whole(stage.reader(&holder, 3, &places)).await;
        assert!(body.frame().await.unwrap().is_ok());
        assert_eq!(places.taken(), 1);
        until_free(&places).await;
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_list_that_is_not_read_on_gives_its_place_back_after_its_longest_time() {
        let (stage, places) = (Stage::set(), Places::default());
        let holder = stage.holder("user:alice", "hardtack:read");
        // The presentation, by the clock of the day, outlives that.
        let reader = stage.reader(&holder, 600, &places);
        let mut body = stage.whole(reader).await;
        assert!(body.frame().await.unwrap().is_ok());
        tokio::time::pause();
        tokio::time::advance(LONGEST - Duration::from_secs(1)).await;
        assert_eq!(places.taken(), 1);
        until_free(&places).await;
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_list_that_was_read_or_given_up_gives_its_place_back_at_once() {
        let (stage, places) = (Stage::set(), Places::default());
        let holder = stage.holder("user:alice", "hardtack:read");
        let body = stage.whole(stage.reader(&holder, 60, &places)).await;
        assert_eq!(places.taken(), 1);
        body.collect().await.unwrap();
        drop(stage.whole(stage.reader(&holder, 60, &places)).await);
        let soon = tokio::time::timeout(Duration::from_secs(10), until_free(&places));
        soon.await.expect("long before its time is over");
    }

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
