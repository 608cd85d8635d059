//! Serve: connections, within bounds, until the end (graceful shutdown).
//!
//! Over TLS, `tls` makes the handshakes and `http2` has the streams of those who speak that.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use crate::fair_queue::Peer;
use crate::files;
use crate::http2;
use crate::reserve::{
    MAX_RESERVED, RESERVED_HEAD_TIMEOUT, Reserve, Reserved, ReservedPlace, bounded,
};
use crate::taking::Taking;
use crate::tls::{Tls, speaks_http2};
use hardtack_http::MAX_BEARER_BYTES;

/// The most bytes in a request's head: a bearer of the largest size and as much as common proxies take
/// besides.
const MAX_HEAD_BYTES: usize = MAX_BEARER_BYTES + 16 * 1024;

/// The most bytes that a connection reads ahead, and the most that wait to be written before more is asked for: a head.
const MAX_BUFFER_BYTES: usize = MAX_HEAD_BYTES;

/// The most headers. Browsers send some twenty.
const MAX_HEADERS: usize = 100;

/// How long a request's head may take to arrive, and an idle connection to have one. A connection of HTTP/2 is idle while no request
/// is under way on it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The most connections at once, besides those of the reserve. Each may hold a head and a message.
const MAX_CONNECTIONS: u64 = 4096;

/// Which part of the connections may be in their TLS handshake at once, so that those who send nothing leave most for others: of
/// 4,096 a quarter, which is more than there are new ones while a handshake takes.
const HANDSHAKES_IN: usize = 4;

/// How long to wait after no connection can be accepted, which is when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A handle by which a service hears that it is to end: first that it should, then that it must. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    begun: CancellationToken,
    over: CancellationToken,
}

impl Drain {
    /// Returns whether the service should end.
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Ends whatever waits for what may never come, such as an open stream of events. Whatever else is under way goes on.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// A handle of a part, which ends with the whole, and may end before it.
    pub(crate) fn part(&self) -> Drain {
        Drain { begun: self.begun.child_token(), over: self.over.child_token() }
    }

    /// Ends what is left.
    pub(crate) fn end(&self) {
        self.over.cancel();
    }

    /// Comes back when it must end; for what only waits, when it should.
    pub(crate) async fn ends(&self, only_waits: bool) {
        match only_waits {
            true => self.begun.cancelled().await,
            false => self.over.cancelled().await,
        }
    }
}

/// Serves `router` over HTTP/1.1 until `stop` comes, and then shuts down gracefully. It takes no more connections, and `drain` ends
/// whatever waits for what may never come. Requests under way go on for `grace`; then `drain` says that they must end. After `grace` once
/// more whatever is left is cut.
///
/// At most 4,096 connections are open, or fewer where the process may open fewer files. 64 more may ask for `/hardtack/revocations`,
/// `/healthz`, `/readyz` and `/metrics` alone, and are told 503 otherwise; of these one that is idle is closed after five seconds, and
/// sooner if another one needs its place.
///
/// # Errors
///
/// None for now: a connection that fails ends alone, and a listener that fails is tried again.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    grace: Duration,
    drain: Drain,
) -> io::Result<()> {
    let files = files::limit();
    serve_within(listener, None, router, stop, grace, drain, places(files)).await
}

/// Serves `router` as [`serve`] does, over TLS alone: HTTP/2 for clients that know it (ALPN), and HTTP/1.1 for others. A handshake may take
/// ten seconds. A quarter of the connections may be in theirs; if one more comes, one of whoever has most of these is closed. A connection
/// of HTTP/2 may have 100 requests under way. Each but the first takes the place of a connection, and is told 503 if there is none.
///
/// # Errors
///
/// None for now, as of [`serve`].
pub async fn serve_tls(
    listener: TcpListener,
    tls: Tls,
    router: Router,
    stop: impl Future<Output = ()>,
    grace: Duration,
    drain: Drain,
) -> io::Result<()> {
    let files = files::limit();
    serve_within(listener, Some(tls), router, stop, grace, drain, places(files)).await
}

/// The most connections that ask how a server is: probes and scrapers, some at a time, and few of the files left for others.
const MAX_ADMIN_CONNECTIONS: usize = 16;

/// How long they may go on when the rest has ended.
const ADMIN_GRACE: Duration = Duration::from_secs(1);

/// Serves the router of health and metrics ([`Gateway::routers`](crate::Gateway::routers)) over HTTP/1.1 until `stop` comes; connections
/// then have one second to end. At most 16 connections are open, and 16 more that are closed when they are idle for five seconds, or when
/// another one needs their place.
///
/// # Errors
///
/// None for now: a connection that fails ends alone, and a listener that fails is tried again.
pub async fn serve_admin(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let places = (MAX_ADMIN_CONNECTIONS, MAX_ADMIN_CONNECTIONS);
    serve_within(listener, None, router, stop, ADMIN_GRACE, Drain::default(), places).await
}

/// The most connections of a listener beside the main one, such as a feed's.
const MAX_BESIDE: usize = 256;

/// Serves a router beside the gateway, such as a feed of revocations, over HTTP/1.1 until `stop` comes; connections then have one second to
/// end. At most 256 connections are open, of the files that the gateway leaves, and 16 where it leaves none.
///
/// # Errors
///
/// None for now: a connection that fails ends alone, and a listener that fails is tried again.
pub async fn serve_beside(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let places = (beside(files::limit()), MAX_ADMIN_CONNECTIONS);
    serve_within(listener, None, router, stop, ADMIN_GRACE, Drain::default(), places).await
}

/// How many connections there may be beside the gateway's, where so many files may be open.
fn beside(files: u64) -> usize {
    let (usual, reserved) = places(files);
    let taken = 2 * usual as u64 + reserved as u64;
    let left = files.saturating_sub(taken + files::FOR_OTHERS + files::of_children(files));
    usize::try_from(left).map_or(MAX_BESIDE, |left| left.clamp(MAX_ADMIN_CONNECTIONS, MAX_BESIDE))
}

async fn serve_within(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    stop: impl Future<Output = ()>,
    grace: Duration,
    drain: Drain,
    (usual, reserved): (usize, usize),
) -> io::Result<()> {
    let connections = GracefulShutdown::new();
    // What has not ended by itself ends with this.
    let over = CancellationToken::new();
    let _ends_all = over.clone().drop_guard();
    let mut handshakes = tls.is_some().then(|| Reserve::of((usual / HANDSHAKES_IN).max(1)));
    let (usual, mut reserve) = (Arc::new(Semaphore::new(usual)), Reserve::of(reserved));
    let door = Door { tls, places: Arc::clone(&usual), stopping: drain.begun.clone() };
    let urgent = bounded(router.clone());
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, address)) = stream else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let service =
            FromPeer { peer: Peer::at(address.ip()), reserved: None, router: router.clone() };
        let (door, over, watcher) = (door.clone(), over.clone(), connections.watcher());
        if let Ok(place) = Arc::clone(&usual).try_acquire_owned() {
            let handshake = match &mut handshakes {
                Some(handshakes) => Some(handshakes.place(service.peer).await),
                None => None,
            };
            let connection = door.converse(stream, HEAD_TIMEOUT, service, handshake, watcher);
            tokio::spawn(async move {
                tokio::select! {
                    () = connection => {}
                    () = over.cancelled() => {}
                }
                drop(place);
            });
            continue;
        }
        let place = reserve.place(service.peer).await;
        let (peer, reserved) = (service.peer, Some(place.mark()));
        let service = FromPeer { peer, reserved, router: urgent.clone() };
        let connection = door.converse(stream, RESERVED_HEAD_TIMEOUT, service, None, watcher);
        tokio::spawn(async move {
            tokio::select! {
                () = connection => {}
                () = place.gives_way() => {}
                () = over.cancelled() => {}
            }
        });
    }
    drop(listener);
    drain.begin();
    let mut ended = std::pin::pin!(connections.shutdown());
    if tokio::time::timeout(grace, &mut ended).await.is_err() {
        drain.end();
        let _ = tokio::time::timeout(grace, ended).await;
    }
    Ok(())
}

/// How many usual connections there may be, and how many in the reserve, where so many files may be open.
///
/// Processes of servers have theirs, whether there are some or not. A usual one may need another one to the server behind, one in the
/// reserve needs none and takes a quarter of what is left at most. A store that can open no file writes nothing.
fn places(files: u64) -> (usize, usize) {
    let left = files.saturating_sub(files::FOR_OTHERS).saturating_sub(files::of_children(files));
    let reserved = (left / 4).clamp(1, MAX_RESERVED);
    let usual = (left.saturating_sub(reserved) / 2).clamp(1, MAX_CONNECTIONS);
    (usize::try_from(usual).unwrap_or(1), usize::try_from(reserved).unwrap_or(1))
}

/// What all connections of a listener have in common.
#[derive(Clone)]
struct Door {
    tls: Option<Tls>,
    /// Those of usual connections.
    places: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Door {
    /// A connection, from its handshake to its end. One that breaks is its client's affair.
    async fn converse(
        self,
        stream: TcpStream,
        head_timeout: Duration,
        service: FromPeer,
        handshake: Option<ReservedPlace>,
        watcher: Watcher,
    ) {
        // Events are small and must not wait for each other.
        let _ = stream.set_nodelay(true);
        let stream = Taking::new(stream);
        let Some(tls) = &self.tls else {
            let service = TowerToHyperService::new(service);
            let connection = http1(head_timeout).serve_connection(TokioIo::new(stream), service);
            let _ = watcher.watch(connection).await;
            return;
        };
        let accepted = tokio::select! {
            accepted = tls.accept(stream, head_timeout) => accepted,
            () = gives_way(handshake.as_ref()) => {
                tls.failed("displaced");
                None
            }
            () = self.stopping.cancelled() => None,
        };
        drop(handshake);
        let Some(stream) = accepted else { return };
        if speaks_http2(&stream) {
            let (io, places) = (TokioIo::new(stream), self.places);
            // `watcher` is held to its end, for which whoever stops waits.
            http2::converse(io, service, head_timeout, places, self.stopping).await;
            drop(watcher);
            return;
        }
        let service = TowerToHyperService::new(service);
        let connection = http1(head_timeout).serve_connection(TokioIo::new(stream), service);
        let _ = watcher.watch(connection).await;
    }
}

/// Comes back when a handshake must give way to another one, if it ever must.
async fn gives_way(handshake: Option<&ReservedPlace>) {
    match handshake {
        Some(handshake) => handshake.gives_way().await,
        None => std::future::pending().await,
    }
}

fn http1(head_timeout: Duration) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES)
        .max_headers(MAX_HEADERS);
    http
}

/// Says of each request from where it comes, and whether its connection is in the reserve, which has a router of its own.
#[derive(Debug, Clone)]
struct FromPeer {
    peer: Peer,
    reserved: Option<Reserved>,
    router: Router,
}

impl Service<Request<Incoming>> for FromPeer {
    type Response = Response;
    type Error = Infallible;
    type Future = <Router as Service<Request<Incoming>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Incoming>>::poll_ready(&mut self.router, context)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        if let Some(reserved) = &self.reserved {
            request.extensions_mut().insert(reserved.clone());
        }
        self.router.call(request)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn there_are_as_many_places_as_files_and_4096_at_the_most() {
        let cases = [
            (1_000_000, (4096, 64)),
            (256 + 128 + 64 + 2 * 4096, (4096, 64)),
            (256 + 128 + 64 + 2 * 4095, (4095, 64)),
            (1024, (288, 64)),
            (256, (32, 21)),
            (0, (1, 1)),
        ];
        for (files, expected) in cases {
            assert_eq!(places(files), expected, "{files} files");
        }
        for (files, expected) in [(1_000_000, 256), (1024, 16), (256, 16), (0, 16)] {
            assert_eq!(beside(files), expected, "{files} files");
        }
        for files in 256..20_000 {
            let (usual, reserved) = places(files);
            let of_children = files::of_children(files);
            let open = 2 * usual as u64 + reserved as u64 + files::FOR_OTHERS + of_children;
            assert!(open <= files, "{files} files, {open} may be open");
        }
    }

    /// A server whose answers begin after this long, told to stop when it has a request; what its client had, and how long it
    /// took to end.
    #[allow(clippy::disallowed_methods, reason = "how long an end takes, not what time it is")]
    async fn stopped_with_a_request(
        answers_after: Duration,
        grace: Duration,
    ) -> (String, Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived, stop) = tokio::sync::oneshot::channel();
        let arrived = Arc::new(std::sync::Mutex::new(Some(arrived)));
        let handler = move || {
            let arrived = Arc::clone(&arrived);
            async move {
                let told = arrived.lock().unwrap().take().map(|arrived| arrived.send(()));
                assert_eq!(told, Some(Ok(())));
                tokio::time::sleep(answers_after).await;
                "answered"
            }
        };
        let router = Router::new().route("/", get(handler));
        let stop = async move { stop.await.unwrap() };
        let serving = tokio::spawn(async move {
            let began = Instant::now();
            serve_within(listener, None, router, stop, grace, Drain::default(), (4, 1))
                .await
                .unwrap();
            began.elapsed()
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let took = serving.await.unwrap();
        let mut had = String::new();
        // A server that ends for good may reset what it did not answer.
        let read = client.read_to_string(&mut had);
        let _ =
            tokio::time::timeout(Duration::from_secs(20), read).await.expect("its connection ends");
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
        (had, took)
    }

    #[tokio::test]
    async fn a_request_whose_answer_has_not_begun_is_answered_before_the_end() {
        let (had, _) =
            stopped_with_a_request(Duration::from_millis(300), Duration::from_secs(20)).await;
        assert!(had.starts_with("HTTP/1.1 200"), "{had}");
        assert!(had.ends_with("answered"), "{had}");
    }

    #[tokio::test]
    async fn a_request_that_is_never_answered_does_not_hold_up_the_end() {
        let grace = Duration::from_millis(200);
        let (had, took) = stopped_with_a_request(Duration::from_secs(600), grace).await;
        assert_eq!(had, "");
        assert!(took >= grace && took < Duration::from_secs(20), "{took:?}");
    }

    #[tokio::test]
    async fn of_handshakes_beyond_a_quarter_of_the_connections_the_oldest_gives_way() {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificates, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
        let pem = crate::tls::TlsPem { certificates, key, client_ca: None };
        let now = hardtack::Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let tls = Tls::of(&pem, now).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, grace, drain) = (std::future::pending(), Duration::ZERO, Drain::default());
        let serving = serve_within(listener, Some(tls), Router::new(), stop, grace, drain, (8, 1));
        tokio::spawn(serving);
        let mut silent = Vec::new();
        for _ in 0..4 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        // Long before a handshake has taken too long.
        let soon = Duration::from_secs(4);
        for (number, stream) in silent.iter_mut().enumerate() {
            let mut rest = Vec::new();
            let ended = tokio::time::timeout(soon, stream.read_to_end(&mut rest)).await;
            assert_eq!(ended.is_ok(), number < 2, "two of eight, and this is number {number}");
        }
    }
}
