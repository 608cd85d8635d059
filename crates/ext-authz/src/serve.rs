//! Serve: connections of proxies, over TCP or a Unix socket, within bounds, until the end.

use std::fmt;
use std::future::Future;
use std::io;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::decider::Decider;
use crate::first::First;
use crate::target::MAX_TARGET_BYTES;
use hardtack_http::MAX_BEARER_BYTES;

/// The most bytes in a head: a bearer of the largest size, the client's target, and what proxies take besides.
const MAX_HEAD_BYTES: usize = MAX_BEARER_BYTES + 2 * MAX_TARGET_BYTES + 16 * 1024;

/// The same for HTTP/2, where it is a number of 32 bits.
const MAX_HEAD_BYTES_2: u32 = 64 * 1024;

/// The most headers: the client's, and what proxies add.
const MAX_HEADERS: usize = 128;

/// How long a head may take to arrive, and an idle connection to have one: longer than proxies keep connections (nginx and Envoy keep
/// them for 60 and 3,600 seconds, and open another one when one is closed).
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// The most connections. A proxy needs one for each question that it asks at once, or one for all over HTTP/2.
const MAX_CONNECTIONS: usize = 1024;

/// The most questions at once on one connection of HTTP/2.
const MAX_STREAMS: u32 = 256;

/// How much of one question, and of all on a connection of HTTP/2, may be here unread. Only bodies that wait for a place are not read at
/// once; there are eight at the most, of all connections, and they leave half of a connection to others.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// After how long of silence a connection of HTTP/2 is asked whether it is still there, and how long it has to answer.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after no connection can be accepted, which is when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where proxies connect: a TCP port, or a Unix socket, whose file is removed at the end.
pub struct Listener(Kind);

enum Kind {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, #[expect(dead_code, reason = "it is removed when this goes")] SocketFile),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        Listener(Kind::Tcp(listener))
    }
}

/// The file of a Unix socket, removed when this goes.
#[cfg(unix)]
struct SocketFile(PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens on a Unix socket, which users may connect to as `mode` says, such as `0o660`. A socket that a process left behind is
    /// replaced.
    ///
    /// # Errors
    ///
    /// Those of the system; `AddrInUse` if a process listens there, or something else than a socket is there.
    #[cfg(unix)]
    pub fn unix(path: &Path, mode: u32) -> io::Result<Listener> {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt};

        if let Ok(there) = std::fs::symlink_metadata(path) {
            let is_left = there.file_type().is_socket()
                && std::os::unix::net::UnixStream::connect(path)
                    .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if !is_left {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let file = SocketFile(path.to_owned());
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        Ok(Listener(Kind::Unix(listener, file)))
    }

    async fn accept(&self) -> io::Result<Stream> {
        match &self.0 {
            Kind::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are small and must not wait for each other.
                let _ = stream.set_nodelay(true);
                Ok(Stream::Tcp(stream))
            }
            #[cfg(unix)]
            Kind::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Serves `decider` over HTTP/1.1 and HTTP/2 (prior knowledge, as gRPC has it) until `stop` comes. Questions under way go on for
/// `grace`; then whatever is left is cut. At most 1,024 connections are open, and others wait.
pub async fn serve(
    listener: Listener,
    decider: Decider,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let connections = GracefulShutdown::new();
    let over = CancellationToken::new();
    let _ends_all = over.clone().drop_guard();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let builder = builder();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (stream, place) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        let (Ok(stream), Ok(place)) = (stream, place) else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (over, decider) = (over.clone(), decider.clone());
        let watcher = connections.watcher();
        let builder = builder.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = async {
                    match stream {
                        Stream::Tcp(stream) => connection(&builder, stream, decider, watcher).await,
                        #[cfg(unix)]
                        Stream::Unix(stream) => connection(&builder, stream, decider, watcher).await,
                    }
                } => {}
                () = over.cancelled() => {}
            }
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(grace, connections.shutdown()).await;
}

async fn connection(
    builder: &Builder<TokioExecutor>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    decider: Decider,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let service = TowerToHyperService::new(decider);
    let stream = First::within(HEAD_TIMEOUT, stream);
    // A connection that breaks is its client's affair.
    let _ = watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await;
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD_BYTES_2)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
