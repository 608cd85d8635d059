//! Ports: can the gateway listen where it is told to, or does it already?

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::Findings;
use crate::args::gateway::Settings;
use crate::command::gateway::DEFAULT_LISTEN;

/// Takes each address for a moment. `has_writer`: a gateway runs with this store.
pub(super) fn look(findings: &mut Findings, settings: &Settings, has_writer: bool) {
    let listen = settings.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
    look_at(findings, "listen", listen, has_writer);
    if let Some(admin) = &settings.admin_listen {
        look_at(findings, "admin-listen", admin, has_writer);
    }
    if let Some(feed) = &settings.feed_listen {
        look_at(findings, "feed-listen", feed, has_writer);
    }
}

fn look_at(findings: &mut Findings, check: &'static str, text: &str, has_writer: bool) {
    let Ok(address) = text.parse::<SocketAddr>() else {
        let says = format!("{text:?} is no address with a port");
        return findings.found(check, says, "write a numeric one, such as 127.0.0.1:8080");
    };
    let error = match TcpListener::bind(address) {
        Ok(_) => return findings.good(check, format!("{address} is free")),
        Err(error) => error,
    };
    let (says, mend) = match error.kind() {
        ErrorKind::AddrInUse if has_writer => {
            let says = format!(
                "{address} is taken, and so is the store: by the gateway that runs, or by another process"
            );
            return findings.note(check, says, "if no gateway runs, see who has it: ss -ltnp");
        }
        ErrorKind::AddrInUse => (
            format!("{address} is taken by another process, which is no gateway with this store"),
            "find it (ss -ltnp) and stop it, or choose another port",
        ),
        ErrorKind::AddrNotAvailable => (
            format!("this machine has no address {}", address.ip()),
            "choose one of its own (ip address), such as 127.0.0.1",
        ),
        ErrorKind::PermissionDenied => (
            format!("this user may not listen at {address}"),
            "choose a port from 1024 on, or allow it to the service (AmbientCapabilities=CAP_NET_BIND_SERVICE)",
        ),
        _ => (format!("{address}: {error}"), "choose another address"),
    };
    findings.found(check, says, mend);
}
