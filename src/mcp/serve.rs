//! Serve: connections, within bounds, until the end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use crate::http::MAX_BEARER_BYTES;
use crate::mcp::desks::Peer;
use crate::mcp::taking::Taking;

/// The most bytes in a request's head: a bearer of the largest size and as much as common proxies take
/// besides.
const MAX_HEAD_BYTES: usize = MAX_BEARER_BYTES + 16 * 1024;

/// The most bytes that a connection reads ahead, and the most that wait to be written before more is asked for: a head.
const MAX_BUFFER_BYTES: usize = MAX_HEAD_BYTES;

/// The most headers. Browsers send some twenty.
const MAX_HEADERS: usize = 100;

/// How long a request's head may take to arrive, and an idle connection to have one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The most connections at once; more wait to be accepted. Each may hold a head and a message.
const MAX_CONNECTIONS: u64 = 4096;

/// How many files are left for others: the store's, and some that are open for a moment.
const FILES_FOR_OTHERS: u64 = 128;

/// How long to wait after no connection can be accepted, which is when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How what is served hears that it is to end: first that it should, then that it must.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    begun: CancellationToken,
    over: CancellationToken,
}

impl Drain {
    /// Whether it should end.
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Ends what waits for what may never come; whatever else is under way goes on.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Comes back when it must end; for what only waits, when it should.
    pub(crate) async fn ends(&self, only_waits: bool) {
        match only_waits {
            true => self.begun.cancelled().await,
            false => self.over.cancelled().await,
        }
    }
}

/// Serves `router` over HTTP/1.1 until `stop` comes; then takes no more requests, lets those under way go
/// on for `grace`, and ends the rest by `drain`.
///
/// # Errors
///
/// None that is of one connection.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    grace: Duration,
    drain: Drain,
) -> io::Result<()> {
    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(max_connections()));
    let mut stop = std::pin::pin!(stop);
    loop {
        let place = tokio::select! {
            () = &mut stop => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let stream = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, address)) = stream else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = connections.watch(connection(stream, address, router.clone()));
        tokio::spawn(async move {
            // A connection that breaks is its client's affair.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    drain.begin();
    let mut ended = std::pin::pin!(connections.shutdown());
    if tokio::time::timeout(grace, &mut ended).await.is_err() {
        drain.over.cancel();
        let _ = tokio::time::timeout(grace, ended).await;
    }
    Ok(())
}

/// Each may need another one to the server behind. A store that can open no file writes nothing.
fn max_connections() -> usize {
    let files = rlimit::Resource::NOFILE.get().map_or(1024, |(files, _)| files);
    let connections = files.saturating_sub(FILES_FOR_OTHERS) / 2;
    usize::try_from(connections.clamp(1, MAX_CONNECTIONS)).unwrap_or(1)
}

fn connection(stream: TcpStream, address: SocketAddr, router: Router) -> Connection {
    // Events are small and must not wait for each other.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES)
        .max_headers(MAX_HEADERS);
    let service = TowerToHyperService::new(FromPeer { peer: Peer::at(address.ip()), router });
    http.serve_connection(TokioIo::new(Taking::new(stream)), service)
}

type Connection = http1::Connection<TokioIo<Taking<TcpStream>>, TowerToHyperService<FromPeer>>;

/// Says of each request from where it comes.
#[derive(Debug, Clone)]
struct FromPeer {
    peer: Peer,
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
        self.router.call(request)
    }
}
