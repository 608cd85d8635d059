//! HTTP/2: the streams of a connection, within bounds, until its end.
//!
//! A stream takes a place like a connection of HTTP/1.1, except the first of a connection, which is in that one's own. So there are no more
//! requests at once than there could be without streams.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::{Executor, Read, Write};
use hyper::server::conn::http2;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use crate::reserve::no_free_connection;
use hardtack_http::MAX_BEARER_BYTES;

/// The most requests at once on one connection: what RFC 9113 asks for at the least (section 6.5.2).
const MAX_STREAMS: u32 = 100;

/// The most bytes in a head, as HTTP/2 counts them: as much as in HTTP/1.1, and 32 more for each of a hundred headers (RFC 9113,
/// section 6.5.2).
const MAX_HEAD_LIST_BYTES: u32 = (MAX_BEARER_BYTES + 16 * 1024 + 100 * 32) as u32;

/// The most bytes that a client may send on a stream before somebody reads them: what the standard begins with.
const STREAM_WINDOW: u32 = 64 * 1024 - 1;

/// The most bytes that a client may send on all streams of a connection before somebody reads them: so much is held for a connection
/// that nobody reads, and one stream that waits does not stop the others.
const CONNECTION_WINDOW: u32 = 2 * STREAM_WINDOW;

/// The most bytes that wait to be sent on one stream: less would wait for each round trip.
const MAX_SEND_BYTES: usize = 64 * 1024;

/// The most bytes in a frame: what the standard begins with, and what shares a connection among its streams.
const MAX_FRAME_BYTES: u32 = 16 * 1024;

/// The most streams that a client has reset before they were taken up: then it is cut (rapid reset, CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;

/// The most streams that are reset for a client's own errors, such as streams beyond [`MAX_STREAMS`]: then it is cut.
const MAX_ERROR_RESETS: usize = 256;

/// After how long of silence a client is asked whether it is still there (PING).
const PING_EVERY: Duration = Duration::from_secs(20);

/// How long its answer may take. A client in the midst of a head cannot answer, so no head takes longer than both.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client that was told to go (GOAWAY) may take to do so when it asks nothing more.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take for [`MAX_PIECE_BYTES`] of a stream, at the least; twice that at the most.
const TAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// A piece of an answer. A hundred streams at once of which each is taken just in time make 50 kilobytes a second, which most lines can.
const MAX_PIECE_BYTES: usize = 16 * 1024;

/// Serves a connection until it ends, has asked nothing for `idle`, or is to end by `stopping`.
pub(crate) async fn converse<I, S>(
    io: I,
    service: S,
    idle: Duration,
    places: Arc<Semaphore>,
    stopping: CancellationToken,
) where
    I: Read + Write + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let streams = Streams::default();
    let mut activity = streams.under_way.subscribe();
    // They end with their connection.
    let _end = streams.over.clone().drop_guard();
    let places = Places { own: Arc::new(Semaphore::new(1)), more: places };
    let service = TowerToHyperService::new(service);
    let answering = service_fn(move |mut request: Request<Incoming>| {
        with_host(&mut request);
        let (place, service) = (places.take(), service.clone());
        async move {
            let Some(place) = place else { return Ok::<_, Infallible>(refused()) };
            let response = service.call(request).await?;
            Ok(response.map(|body| Pieces { body, rest: Bytes::new(), _place: Some(place) }))
        }
    });
    let mut connection = pin!(builder(streams).serve_connection(io, answering));
    let mut is_leaving = false;
    loop {
        let patience = if is_leaving { LEAVE_TIMEOUT } else { idle };
        tokio::select! {
            // A connection that breaks is its client's affair.
            _ = connection.as_mut() => return,
            () = stopping.cancelled(), if !is_leaving => {}
            () = asks_nothing(&mut activity, patience) => if is_leaving { return },
        }
        is_leaving = true;
        connection.as_mut().graceful_shutdown();
    }
}

fn builder(streams: Streams) -> http2::Builder<Streams> {
    let mut http = http2::Builder::new(streams);
    http.timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD_LIST_BYTES)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_send_buf_size(MAX_SEND_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    http
}

/// Comes back when no request has been under way for so long.
async fn asks_nothing(activity: &mut watch::Receiver<usize>, patience: Duration) {
    loop {
        let is_quiet = *activity.borrow_and_update() == 0;
        match tokio::time::timeout(patience, activity.changed()).await {
            // Whoever counts has gone, and the connection with it.
            Ok(Err(_)) => return,
            Err(_) if is_quiet => return,
            _ => {}
        }
    }
}

/// HTTP/2 names the host in the request line alone (`:authority`); whoever asks which host is meant reads `Host`. One that differs
/// stays, and is refused.
fn with_host(request: &mut Request<Incoming>) {
    if request.headers().contains_key(header::HOST) {
        return;
    }
    let host = request.uri().authority().map(|authority| authority.as_str());
    if let Some(Ok(host)) = host.map(HeaderValue::from_str) {
        request.headers_mut().insert(header::HOST, host);
    }
}

fn refused() -> http::Response<Pieces> {
    no_free_connection().map(|body| Pieces { body, rest: Bytes::new(), _place: None })
}

/// The places of a connection's streams.
struct Places {
    own: Arc<Semaphore>,
    more: Arc<Semaphore>,
}

impl Places {
    fn take(&self) -> Option<OwnedSemaphorePermit> {
        let own = Arc::clone(&self.own).try_acquire_owned();
        own.or_else(|_| Arc::clone(&self.more).try_acquire_owned()).ok()
    }
}

/// The streams of a connection: counts those that are under way, and ends those whose answers are not taken.
#[derive(Clone, Default)]
struct Streams {
    under_way: watch::Sender<usize>,
    over: CancellationToken,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.under_way.send_modify(|number| *number += 1);
        let counted = UnderWay(self.under_way.clone());
        let (over, pace) = (self.over.clone(), Arc::new(Pace::default()));
        tokio::spawn(async move {
            let _counted = counted;
            tokio::select! {
                () = PACE.scope(Arc::clone(&pace), stream) => {}
                // The stream is reset, and what waits on it is forgotten.
                () = pace.is_not_taken(TAKE_TIMEOUT) => {}
                () = over.cancelled() => {}
            }
        });
    }
}

/// Counts a stream while it is under way.
struct UnderWay(watch::Sender<usize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|number| *number -= 1);
    }
}

tokio::task_local! {
    static PACE: Arc<Pace>;
}

/// How far a stream's answer is: odd while a piece waits for its client to take it.
#[derive(Default)]
struct Pace(AtomicU64);

impl Pace {
    /// A piece is asked for, so the one before is taken.
    fn asked(&self) {
        if Pace::waits(self.0.load(Ordering::Relaxed)) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn handed_out(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn waits(step: u64) -> bool {
        step % 2 == 1
    }

    /// Comes back when a piece has not been taken for so long, or twice as long at the most.
    async fn is_not_taken(&self, timeout: Duration) {
        let mut before = self.0.load(Ordering::Relaxed);
        loop {
            tokio::time::sleep(timeout).await;
            let now = self.0.load(Ordering::Relaxed);
            if now == before && Pace::waits(now) {
                return;
            }
            before = now;
        }
    }
}

/// A body in pieces, which says when it is asked for the next one, and holds the place of its stream.
struct Pieces {
    body: Body,
    rest: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let _ = PACE.try_with(|pace| pace.asked());
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return other,
            }
        }
        let length = self.rest.len().min(MAX_PIECE_BYTES);
        let piece = self.rest.split_to(length);
        let _ = PACE.try_with(|pace| pace.handed_out());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole
    }
}

#[cfg(test)]
mod tests;
