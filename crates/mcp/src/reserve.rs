//! Reserve: connections beyond the usual ones, for what must never wait: revocations, and what says how the gateway is. A priority class
//! of its own in admission control.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::answer;
use crate::body::with_the_rest_of;
use crate::fair_queue::Peer;
use crate::revoking::REVOCATIONS;

/// The most connections in the reserve: as many as revoke and watch at once, and as many files.
pub(crate) const MAX_RESERVED: u64 = 64;

/// How long a request's head may take to arrive in the reserve, and the next one: who has something urgent to ask asks it.
pub(crate) const RESERVED_HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// What is answered in the reserve.
const URGENT: [&str; 4] = [REVOCATIONS, "/healthz", "/readyz", "/metrics"];

/// The places of the reserve, and who has them.
pub(crate) struct Reserve {
    free: Arc<Semaphore>,
    held: Arc<Mutex<Vec<Held>>>,
    next: u64,
}

/// One that has a place.
#[derive(Debug, Clone)]
struct Held {
    number: u64,
    peer: Peer,
    /// How many of its requests are under way.
    asked: Arc<AtomicUsize>,
    gives_way: CancellationToken,
}

/// A place in the reserve, until it is dropped.
pub(crate) struct ReservedPlace {
    held: Held,
    all: Arc<Mutex<Vec<Held>>>,
    _place: Option<OwnedSemaphorePermit>,
}

/// Says of a request that its connection is in the reserve.
#[derive(Debug, Clone)]
pub(crate) struct Reserved(Arc<AtomicUsize>);

impl Reserve {
    pub(crate) fn of(places: usize) -> Reserve {
        Reserve { free: Arc::new(Semaphore::new(places)), held: Arc::default(), next: 0 }
    }

    /// A place for one more. If there is none, another gives way: of the peer that has most, the oldest that asks nothing,
    /// or else its oldest. It waits until that one is closed, which takes no longer than to wake its task.
    pub(crate) async fn place(&mut self, peer: Peer) -> ReservedPlace {
        let place = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(place) => Some(place),
            Err(_) => {
                if let Some(first) = first_to_go(&lock(&self.held)) {
                    first.gives_way.cancel();
                }
                // It is never closed.
                Arc::clone(&self.free).acquire_owned().await.ok()
            }
        };
        self.next += 1;
        let (asked, gives_way) = (Arc::default(), CancellationToken::new());
        let held = Held { number: self.next, peer, asked, gives_way };
        lock(&self.held).push(held.clone());
        ReservedPlace { held, all: Arc::clone(&self.held), _place: place }
    }
}

impl ReservedPlace {
    /// Comes back when it must give way to another one.
    pub(crate) async fn gives_way(&self) {
        self.held.gives_way.cancelled().await;
    }

    pub(crate) fn mark(&self) -> Reserved {
        Reserved(Arc::clone(&self.held.asked))
    }
}

impl Drop for ReservedPlace {
    fn drop(&mut self) {
        lock(&self.all).retain(|held| held.number != self.held.number);
    }
}

fn lock(held: &Mutex<Vec<Held>>) -> MutexGuard<'_, Vec<Held>> {
    held.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn first_to_go(held: &[Held]) -> Option<&Held> {
    let mut of_peer: HashMap<Peer, usize> = HashMap::new();
    for one in held {
        *of_peer.entry(one.peer).or_default() += 1;
    }
    held.iter().min_by_key(|one| {
        let asks = one.asked.load(Ordering::Relaxed) > 0;
        (Reverse(of_peer.get(&one.peer)), asks, one.number)
    })
}

/// Counts a request while it is under way.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The service of `router`, which answers a connection in the reserve what is urgent, and nothing else.
pub(crate) fn bounded(router: Router) -> Router {
    router.layer(middleware::from_fn(answer_urgent))
}

async fn answer_urgent(request: Request, next: Next) -> Response {
    let Some(Reserved(asked)) = request.extensions().get().cloned() else {
        return next.run(request).await;
    };
    if !URGENT.contains(&request.uri().path()) {
        return with_the_rest_of(request.into_body(), no_free_connection());
    }
    asked.fetch_add(1, Ordering::Relaxed);
    let _under_way = UnderWay(asked);
    next.run(request).await
}

/// The answer to whom there is no place.
pub(crate) fn no_free_connection() -> Response {
    let said = json!({
        "error": "temporarily_unavailable",
        "error_description": "the gateway has no free connection; try again later",
    });
    let mut response = answer::respond(StatusCode::SERVICE_UNAVAILABLE, &said);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: [u8; 4] = [192, 0, 2, 1];
    const OTHER: [u8; 4] = [192, 0, 2, 2];

    async fn of(reserve: &mut Reserve, peer: [u8; 4]) -> ReservedPlace {
        reserve.place(Peer::at(peer.into())).await
    }

    fn next(reserve: &Reserve) -> Option<u64> {
        first_to_go(&lock(&reserve.held)).map(|held| held.number)
    }

    #[tokio::test]
    async fn of_the_peer_with_most_the_oldest_that_asks_nothing_gives_way_first() {
        let mut reserve = Reserve::of(8);
        let _other = of(&mut reserve, OTHER).await;
        let first = of(&mut reserve, ONE).await;
        let second = of(&mut reserve, ONE).await;
        assert_eq!(next(&reserve), Some(2));
        let Reserved(asked) = first.mark();
        asked.fetch_add(1, Ordering::Relaxed);
        assert_eq!(next(&reserve), Some(3));
        let Reserved(asked) = second.mark();
        asked.fetch_add(1, Ordering::Relaxed);
        assert_eq!(next(&reserve), Some(2), "all of them ask");
        drop((first, second));
        assert_eq!(next(&reserve), Some(1));
    }

    #[tokio::test]
    async fn whoever_comes_to_a_full_reserve_waits_only_until_the_oldest_is_gone() {
        let mut reserve = Reserve::of(1);
        let oldest = of(&mut reserve, ONE).await;
        let leaves = tokio::spawn(async move { oldest.gives_way().await });
        let next = tokio::time::timeout(Duration::from_secs(10), of(&mut reserve, ONE)).await;
        assert_eq!(next.map(|place| place.held.number), Ok(2));
        leaves.await.unwrap();
    }
}
