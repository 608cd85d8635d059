//! Serving: what the verbs that stay up have in common.

use std::error::Error;
use std::fmt::Display;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use hardtack_mcp::ENDPOINT;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;
use url::Url;

use crate::args::gateway::LogFormat;
use crate::output::{self, OutputError};
use crate::secrets::{hidden, without_user};
use crate::system::{self, Ends};
use crate::terminal::{Done, Log, lines, warn};

/// What is logged unless `RUST_LOG` says otherwise: what was refused, and what does not work.
const DEFAULT_LOG: &str = "hardtack=info,warn";

/// What shells call a process that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// How long what reads or writes on a thread of its own may take to come back after all else has ended. On a mount
/// that hangs it never does.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Carries out what stays up, and lets nothing that hangs keep the process from its end.
pub(crate) fn carry_out(work: impl Future<Output = Done>) -> Done {
    let runtime = runtime()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WAIT);
    done
}

pub(crate) fn runtime() -> Result<Runtime, Box<dyn Error>> {
    system::open_many_files();
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

/// From now on, whoever does not read what is said holds up nothing: to be called before anything is.
pub(crate) fn hold_up_nothing(format: LogFormat) -> Result<(), Box<dyn Error>> {
    let is_json = matches!(format, LogFormat::Json);
    let unwritten = |error: &OutputError| warn(&error.to_string());
    output::queue(if is_json { lost_as_json } else { lost_as_text }, unwritten)?;
    // A panic is written by whoever panics, and would wait.
    std::panic::set_hook(Box::new(|panic| {
        let panic = panic.to_string();
        tracing::error!(panic = %hidden(&panic), "a part of the work broke off");
    }));
    Ok(())
}

/// The log goes to standard error: standard output says where the server is. What cannot be written is lost, and changes
/// nothing else.
pub(crate) fn log(format: LogFormat) -> Result<(), Box<dyn Error>> {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let filter = match asked.is_empty() {
        true => EnvFilter::new(DEFAULT_LOG),
        false => EnvFilter::try_new(&asked).unwrap_or_else(|error| {
            warn(&format!("RUST_LOG: {error}; what is logged is {DEFAULT_LOG}"));
            EnvFilter::new(DEFAULT_LOG)
        }),
    };
    let has_colours = output::err_is_terminal();
    let is_json = matches!(format, LogFormat::Json);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .with_writer(move || Log { is_json, has_colours });
    match format {
        LogFormat::Text => log.with_ansi(has_colours).init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
    }
    Ok(())
}

fn lost_as_text(number: u64) -> String {
    format!(" WARN lines of the log are lost, since standard error was not read lost={number}\n")
}

fn lost_as_json(number: u64) -> String {
    let message = "lines of the log are lost, since standard error was not read";
    let line = serde_json::json!({"level": "WARN", "message": message, "lost": number});
    format!("{line}\n")
}

/// Says on standard output where the server is. It serves all the same if nobody can read that.
pub(crate) fn announce(text: impl Display) {
    if let Err(error) = output::announce(&lines(&text.to_string())) {
        warn(&error.to_string());
    }
}

pub(crate) async fn listen(key: &str, address: SocketAddr) -> Result<TcpListener, Box<dyn Error>> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| {
        let mend = match error.kind() {
            ErrorKind::AddrInUse => {
                "another process listens there already; stop that one, or choose another port"
            }
            ErrorKind::AddrNotAvailable => {
                "this machine has no such address; choose one of its own, such as 127.0.0.1"
            }
            ErrorKind::PermissionDenied => {
                "this user may not listen there; choose a port from 1024 on"
            }
            _ => "nobody can listen there",
        };
        format!("{key}: {address}: {mend} ({error})").into()
    })
}

/// An MCP server's URL: without any path, its endpoint is at `/mcp`. What is no URL stays as it is, for whoever says so.
pub(crate) fn endpoint(written: &str) -> String {
    let before = written.split(['?', '#']).next().unwrap_or_default();
    match Url::parse(written) {
        Ok(mut url) if url.path() == "/" && !before.ends_with('/') => {
            url.set_path(ENDPOINT);
            url.into()
        }
        _ => written.to_owned(),
    }
}

/// Why a name is none under which a server could be addressed.
pub(crate) fn no_host(host: &str) -> Option<String> {
    if host.contains('*') {
        let host = without_user(host);
        return Some(format!(
            "{host} stands for many names, and each must be named whole: a page in a browser can have a name of its own resolve to this server (DNS rebinding), and a pattern may let it in"
        ));
    }
    let is_host = Url::parse(&format!("http://{host}/")).is_ok_and(|url| {
        let named = url.host_str().unwrap_or_default();
        let has_name =
            host.get(..named.len()).is_some_and(|start| start.eq_ignore_ascii_case(named));
        let rest = host.get(named.len()..).unwrap_or_default();
        let port = rest.strip_prefix(':').map(str::parse::<u16>);
        has_name && (rest.is_empty() || matches!(port, Some(Ok(_))))
    });
    (!is_host).then(|| {
        format!("{} is no host; write the name alone, such as tools.example", without_user(host))
    })
}

/// Why a text is no page's origin, as browsers send it.
pub(crate) fn no_origin(origin: &str) -> Option<String> {
    let is_origin =
        Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == origin);
    (!is_origin).then(|| {
        let origin = without_user(origin);
        format!("{origin} is no origin; write scheme and name alone, such as https://app.example")
    })
}

/// Comes back at SIGTERM or SIGINT, or Ctrl-C. A second one ends the process at once; what was answered is on disk.
pub(crate) fn stop() -> Result<impl Future<Output = ()>, Box<dyn Error>> {
    let mut ends = Ends::new()?;
    Ok(async move {
        ends.next().await;
        tokio::spawn(async move {
            ends.next().await;
            std::process::exit(INTERRUPTED);
        });
    })
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;
    use std::time::Instant;

    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "how long it takes, bounded")]
    fn a_reading_that_hangs_does_not_keep_a_server_from_its_end() {
        let began = Instant::now();
        let done = carry_out(async {
            drop(tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_secs(60))));
            Ok(ExitCode::SUCCESS)
        });
        assert!(done.is_ok() && began.elapsed() < 10 * LAST_WAIT);
    }
}
