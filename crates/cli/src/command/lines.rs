//! Lines: standard input and output, for a verb that speaks with a client by them.
//!
//! Each has a thread of its own, which the end of the process does not wait for: a read that waits for a client that says nothing
//! cannot be given up.

use std::error::Error;
use std::io::{ErrorKind, IsTerminal, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use hardtack_mcp::{HoldError, StdioClient};
use tokio::sync::mpsc;

use crate::output;
use crate::terminal::warn;

/// How much is read at once: what a pipe holds.
const CHUNK_BYTES: usize = 64 * 1024;

/// How many chunks, and how many lines, wait between a thread and the work.
const WAITING: usize = 4;

/// How long the last lines may take, if the client reads slowly.
const LAST_LINES_WAIT: Duration = Duration::from_secs(2);

/// Says when everything that was handed over has been written.
pub(super) struct Written(Receiver<()>);

impl Written {
    pub(super) fn wait(self) {
        // A client that has gone reads nothing.
        let _ = self.0.recv_timeout(LAST_LINES_WAIT);
    }
}

/// Says that a capability has expired, if it has. This is no reason to end: a client would not start the command again.
pub(super) fn warn_of(expired: Option<&HoldError>, capability: &Path) {
    if let Some(expired) = expired {
        warn(&format!(
            "{expired}; every request is answered with an error until a newer capability is in {}",
            capability.display()
        ));
    }
}

/// The client that has started this process.
pub(super) fn client() -> Result<(StdioClient, Written), Box<dyn Error>> {
    if std::io::stdin().is_terminal() {
        warn(
            "messages of MCP are awaited on standard input, one a line: this is for a client that starts this command; `hardtack connect` prints what to paste into its settings",
        );
    }
    let (sender, input) = mpsc::channel(WAITING);
    std::thread::Builder::new().name("input".to_owned()).spawn(move || {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = match std::io::stdin().read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => Ok(chunk[..length].to_vec().into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_last = read.is_err();
            if sender.blocking_send(read).is_err() || is_last {
                return;
            }
        }
    })?;
    let (output, mut lines) = mpsc::channel::<axum::body::Bytes>(WAITING);
    let (written, told) = sync_channel(1);
    std::thread::Builder::new().name("output".to_owned()).spawn(move || {
        // When it cannot be written, the receiver is dropped, which says so.
        while let Some(line) = lines.blocking_recv() {
            if let Err(error) = output::out_exactly(&line) {
                tracing::warn!(%error, "the client does not read any more");
                break;
            }
        }
        let _ = written.try_send(());
    })?;
    Ok((StdioClient { input, output }, Written(told)))
}
