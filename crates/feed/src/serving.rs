//! Serving: a thread that publishes, and the routes by which what it published is read.

use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use hardtack::feed::{FeedHead, PublishError, Published, Publisher, Publishing};
use hardtack::log::LogKey;
use hardtack::pending::wait;
use hardtack::revocation::{Position, RevocationLogError};
use hardtack::{PrivateKey, RevocationLog, Timestamp};
use http::{HeaderValue, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::gateways::{Gateways, InForce, Reader};
use crate::standing::FeedPlace;
use crate::{HEARTBEAT, door, events, file, now};

/// The thread looks so often whether it is to end.
const LOOKS: Duration = Duration::from_secs(1);

/// What is new is published within so long, or something is wrong.
const PUBLISHES: Duration = Duration::from_secs(2);

/// Streams that are open at once. Each holds a connection, and what it sends is small.
const MOST_STREAMS: usize = 200;

/// Snapshots that are sent at once. Each may be some hundred megabytes, and stays in memory until it is read.
const MOST_SNAPSHOTS: usize = 16;

/// For as long as the same answer is good: a second for what changes, for ever for lines, which are the same whoever asks.
const BRIEF: HeaderValue = HeaderValue::from_static("max-age=1");
const FOR_GOOD: HeaderValue = HeaderValue::from_static("max-age=31536000, immutable");
pub(crate) const NEVER: HeaderValue = HeaderValue::from_static("no-store");

/// A feed that is published: a thread of its own reads the log and signs, and [`Serving::router`] hands out what it signed. The thread ends
/// when this is dropped, within a second.
pub struct Serving {
    key: LogKey,
    shared: Arc<Shared>,
}

struct Shared {
    log: Arc<dyn RevocationLog>,
    gateways: Option<Gateways>,
    /// Where in the log all is published, and where the feed stands by it.
    reached: watch::Sender<(Position, FeedPlace)>,
    published: watch::Sender<Arc<Published>>,
    failing: Mutex<Option<PublishError>>,
    /// Held while something is signed, so that nothing is once it is over.
    is_over: Mutex<bool>,
    streams: Arc<Semaphore>,
    snapshots: Arc<Semaphore>,
    /// What grants are refused by, because the log may lack their revocations.
    refused_until: Option<Timestamp>,
}

impl Serving {
    /// Publishes `log` under `key`, which signs nothing else, from the state in the file `state`, which is made if it is not there. Blocks
    /// until the first checkpoint is signed.
    ///
    /// `new_epoch` is the number of an epoch to begin, after a restoration of the log
    /// ([`Publishing::new_epoch`](hardtack::feed::Publishing::new_epoch)).
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing is signed.
    pub fn start(
        log: Arc<dyn RevocationLog>,
        key: PrivateKey,
        state: impl Into<PathBuf>,
        new_epoch: Option<u64>,
    ) -> Result<Serving, PublishError> {
        Serving::begin(log, key, state.into(), new_epoch, None)
    }

    /// Publishes as [`Serving::start`] does, for gateways that are enrolled, which may read the feed and acknowledge what they took from it at
    /// `/feed/acknowledgement`.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing is signed.
    pub fn start_for(
        gateways: Gateways,
        log: Arc<dyn RevocationLog>,
        key: PrivateKey,
        state: impl Into<PathBuf>,
        new_epoch: Option<u64>,
    ) -> Result<Serving, PublishError> {
        Serving::begin(log, key, state.into(), new_epoch, Some(gateways))
    }

    fn begin(
        log: Arc<dyn RevocationLog>,
        key: PrivateKey,
        path: PathBuf,
        new_epoch: Option<u64>,
        gateways: Option<Gateways>,
    ) -> Result<Serving, PublishError> {
        let kept = file::read(&path).map_err(|error| PublishError::Keep(error.to_string()))?;
        let publishing = Publishing::new(key).state(kept, move |text| file::replace(&path, text));
        let publishing = match new_epoch {
            Some(number) => publishing.new_epoch(number),
            None => publishing,
        };
        let mut publisher = Publisher::open(Arc::clone(&log), publishing, now())?;
        let first = publisher.advance(now())?;
        let key = publisher.key().clone();
        let reached = (publisher.position(), place_of(&first));
        gateways.iter().for_each(|gateways| gateways.published(first.head()));
        let shared = Arc::new(Shared {
            log: Arc::clone(&log),
            gateways,
            reached: watch::Sender::new(reached),
            published: watch::Sender::new(Arc::new(first)),
            failing: Mutex::default(),
            is_over: Mutex::default(),
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
            snapshots: Arc::new(Semaphore::new(MOST_SNAPSHOTS)),
            refused_until: publisher.refused_until(),
        });
        let told = Arc::clone(&shared);
        thread::spawn(move || {
            let publishing = AssertUnwindSafe(|| publish(&*log, publisher, &told));
            if catch_unwind(publishing).is_err() {
                tracing::error!("the feed's publisher has stopped");
                told.failing(Some(PublishError::Stopped));
            }
        });
        Ok(Serving { key, shared })
    }

    /// Returns the feed's public key, by which followers know it.
    pub fn key(&self) -> &LogKey {
        &self.key
    }

    /// Returns the gateways that are enrolled with the feed, if it has any.
    pub fn gateways(&self) -> Option<&Gateways> {
        self.shared.gateways.as_ref()
    }

    /// Returns what was signed last.
    pub fn head(&self) -> FeedHead {
        self.shared.published.borrow().head().clone()
    }

    /// Returns why nothing is signed just now; `None` while all is well. Followers soon decide nothing.
    pub fn failing(&self) -> Option<PublishError> {
        self.shared.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the moment up to which grants are refused, because the feed's epoch began with a log that may lack what was revoked
    /// ([`Publisher::refused_until`]). Whoever decides by the log itself has to refuse them, too.
    pub fn refused_until(&self) -> Option<Timestamp> {
        self.shared.refused_until
    }

    /// Ends publishing: nothing is signed and no state is kept after this returns, and another publisher may go on from it. The thread ends
    /// within a second. Waits for what is being signed just now.
    pub fn end(&self) {
        *self.shared.is_over() = true;
    }

    /// Returns the routes of the feed: `/feed/checkpoint`, `/feed/delta/…`, `/feed/snapshot/…` and `/feed/stream`, which whoever reaches them
    /// reads, unless the feed has [gateways](Serving::start_for).
    pub fn router(&self) -> Router {
        let routes = Router::new()
            .route("/feed/checkpoint", get(checkpoint))
            .route("/feed/delta/{epoch}/{range}", get(delta))
            .route("/feed/snapshot/{epoch}/{size}", get(snapshot))
            .route("/feed/stream", get(stream))
            .with_state(Arc::clone(&self.shared));
        match &self.shared.gateways {
            Some(gateways) => door::before(routes, gateways, &self.key),
            None => routes,
        }
    }

    /// Returns where all that the log says now is in force, as soon as it stops everywhere, or after `at_most`: `None` for `place` asks for the
    /// place of the feed at which all of that is published. `None` if the feed has no gateways.
    ///
    /// # Errors
    ///
    /// [`RevocationLogError`] if the log does not say where it stands.
    pub async fn in_force(
        &self,
        place: Option<FeedPlace>,
        at_most: Duration,
    ) -> Result<Option<InForce>, RevocationLogError> {
        let Some(gateways) = self.shared.gateways.clone() else { return Ok(None) };
        let began = Instant::now();
        let place = match place {
            Some(place) => Some(place),
            None => self.published(at_most.max(PUBLISHES)).await?,
        };
        let Some(place) = place else {
            // Not published is in force nowhere.
            return Ok(Some(
                gateways.in_force(Some(FeedPlace { epoch: u64::MAX, size: u64::MAX })),
            ));
        };
        Ok(Some(gateways.wait(place, at_most.saturating_sub(began.elapsed())).await))
    }

    /// The place at which the feed has published all that the log says now.
    async fn published(&self, at_most: Duration) -> Result<Option<FeedPlace>, RevocationLogError> {
        let head = self.shared.log.head().await?;
        let mut reached = self.shared.reached.subscribe();
        let there = reached.wait_for(|(at, _)| at.epoch == head.epoch && at.number >= head.number);
        let there = tokio::time::timeout(at_most, there).await;
        Ok(there.ok().and_then(Result::ok).map(|reached| reached.1))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn is_over(&self) -> MutexGuard<'_, bool> {
        self.is_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failing(&self, failing: Option<PublishError>) -> Option<PublishError> {
        let mut known = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut known, failing)
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("key", &self.key).finish_non_exhaustive()
    }
}

fn place_of(published: &Published) -> FeedPlace {
    let head = published.head();
    FeedPlace { epoch: head.epoch, size: head.size }
}

/// Publishes what is new at once, and where the feed stands every five seconds.
fn publish(log: &dyn RevocationLog, mut publisher: Publisher, shared: &Shared) {
    let mut last = publisher.position();
    let mut quiet = Duration::ZERO;
    loop {
        wait(log.wait(last, LOOKS));
        shared.gateways.iter().for_each(Gateways::look);
        let over = shared.is_over();
        if *over {
            return;
        }
        quiet += LOOKS;
        let is_new = wait(log.head()).is_ok_and(|head| head != last);
        let failed = shared.failing.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if !is_new && !failed && quiet < HEARTBEAT {
            continue;
        }
        quiet = Duration::ZERO;
        let failing = match publisher.advance(now()) {
            Ok(published) => {
                last = publisher.position();
                shared.gateways.iter().for_each(|gateways| gateways.published(published.head()));
                shared.reached.send_replace((last, place_of(&published)));
                shared.published.send_replace(Arc::new(published));
                None
            }
            Err(error) => Some(error),
        };
        drop(over);
        if failing.is_some() {
            // A log that fails at once would be asked without a pause.
            thread::sleep(LOOKS);
        }
        match (shared.failing(failing.clone()), failing) {
            (None, Some(error)) => tracing::error!(%error, "the feed signs nothing"),
            (Some(_), None) => tracing::info!("the feed signs again"),
            _ => {}
        }
    }
}

async fn checkpoint(State(shared): State<Arc<Shared>>) -> Response {
    let text = shared.published.borrow().checkpoint().to_owned();
    answer(StatusCode::OK, "text/plain; charset=utf-8", BRIEF, Body::from(text))
}

async fn delta(
    State(shared): State<Arc<Shared>>,
    Path((epoch, range)): Path<(u64, String)>,
) -> Response {
    let published = Arc::clone(&shared.published.borrow());
    let range = range.split_once('-');
    let range = range.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    let lines = range.and_then(|(first, last)| published.lines(epoch, first, last));
    lines.map_or_else(not_at_hand, |lines| {
        answer(StatusCode::OK, LINES, FOR_GOOD, Body::from(lines))
    })
}

async fn snapshot(
    State(shared): State<Arc<Shared>>,
    Path((epoch, size)): Path<(u64, u64)>,
) -> Response {
    let snapshot = shared.published.borrow().snapshot(epoch, size);
    let Some(text) = snapshot else { return not_at_hand() };
    let Ok(place) = Arc::clone(&shared.snapshots).try_acquire_owned() else {
        let busy = "as many snapshots as may be are being sent; ask again in a while\n";
        return answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, NEVER, Body::from(busy));
    };
    let bytes = Bytes::from_owner(Held { text, _place: place });
    answer(StatusCode::OK, LINES, BRIEF, Body::from(bytes))
}

const LINES: &str = "application/jsonl; charset=utf-8";

/// A snapshot that is sent from where it is, and not copied for everybody who fetches it.
struct Held {
    text: Arc<str>,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

async fn stream(State(shared): State<Arc<Shared>>, reader: Option<Extension<Reader>>) -> Response {
    let Ok(place) = Arc::clone(&shared.streams).try_acquire_owned() else {
        let busy = "as many streams as there may be are open; read /feed/checkpoint meanwhile\n";
        return answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, NEVER, Body::from(busy));
    };
    let mut published = shared.published.subscribe();
    published.mark_changed();
    // Whoever is retired meanwhile reads no further.
    let may_read = move || reader.as_ref().is_none_or(|reader| reader.may_read());
    let begin = (published, place, may_read);
    let events = stream::unfold(begin, |(mut published, place, may_read)| async move {
        published.changed().await.ok()?;
        if !may_read() {
            return None;
        }
        let event = events::written(published.borrow_and_update().checkpoint());
        Some((Ok::<_, Infallible>(event), (published, place, may_read)))
    });
    answer(StatusCode::OK, "text/event-stream", NEVER, Body::from_stream(events))
}

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

fn not_at_hand() -> Response {
    let said = "this is not at hand: read /feed/checkpoint, and take the snapshot that it names\n";
    answer(StatusCode::NOT_FOUND, TEXT, NEVER, Body::from(said))
}

pub(crate) fn answer(
    status: StatusCode,
    media: &'static str,
    cache: HeaderValue,
    body: Body,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media)),
        (header::CACHE_CONTROL, cache),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, body).into_response()
}
