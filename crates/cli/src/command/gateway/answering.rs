//! Answering: on which listeners does a gateway answer, over what, and who can reach them?

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hardtack_mcp::{Drain, Tls, serve, serve_admin, serve_tls};
use tokio::net::TcpListener;

use crate::args::gateway::Settings;
use crate::terminal::warn;

/// The services on one listener or on two.
pub(super) struct Routers {
    pub(super) main: Router,
    pub(super) admin: Option<Router>,
}

/// Answers until it is to end.
pub(super) async fn answer(
    (listener, tls): (TcpListener, Option<Tls>),
    admin_listener: Option<TcpListener>,
    routers: Routers,
    (stop, grace, drain): (impl Future<Output = ()>, Duration, Drain),
) -> Result<(), Box<dyn Error>> {
    let Routers { main, admin } = routers;
    let Some((beside, admin)) = admin_listener.zip(admin) else {
        return Ok(serve_main(listener, tls, main, stop, grace, drain).await?);
    };
    // To the end, so that whoever asks hears that it shuts down.
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let end = async move { drop(end.await) };
    let admin = tokio::spawn(serve_admin(beside, admin, end));
    let served = serve_main(listener, tls, main, stop, grace, drain).await;
    drop(ended);
    let _ = admin.await;
    Ok(served?)
}

/// Over TLS, or over plain HTTP.
async fn serve_main(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    stop: impl Future<Output = ()>,
    grace: Duration,
    drain: Drain,
) -> io::Result<()> {
    match tls {
        Some(tls) => serve_tls(listener, tls, router, stop, grace, drain).await,
        None => serve(listener, router, stop, grace, drain).await,
    }
}

pub(super) fn warn_of_strangers(bound: SocketAddr, settings: &Settings, is_plain: bool) {
    if !bound.ip().is_loopback() && is_plain {
        warn(
            "this is plain HTTP, in which bearers can be read on their way: give --tls-cert and --tls-key, or put what terminates TLS in front",
        );
    }
    if !bound.ip().is_loopback() && settings.allow_host.is_empty() {
        warn(
            "others can reach this address, but are answered only if they call it localhost; say by which name they do: --allow-host NAME",
        );
    }
}
