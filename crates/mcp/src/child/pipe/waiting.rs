//! Waiting: who waits for what a process says, and what becomes of it when nobody does any more?

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use crate::child::mailbox::{Mailbox, Said};
use crate::child::pipe::Pipe;
use crate::watch::Ended;
use hardtack::cause::Cause;
use hardtack::mcp::Era;

/// A request that waits; it does not any more when this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(super) pipe: Arc<Pipe>,
    pub(crate) number: u64,
    pub(crate) id: String,
    pub(crate) mailbox: Mailbox,
    /// Why the token of whoever asked no longer holds.
    pub(crate) ended: Ended,
    /// Ends the process unless the answer opens a session.
    pub(super) opens: Option<DropGuard>,
}

/// The stream for what belongs to no request; closed when this is dropped.
#[derive(Debug)]
pub(crate) struct General {
    pub(super) pipe: Arc<Pipe>,
    pub(crate) mailbox: Mailbox,
    pub(crate) ended: Ended,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut kept = self.pipe.kept();
        let waited = kept.pending.remove(&self.number).is_some();
        kept.used = Instant::now();
        drop(kept);
        // Since 2026-07-28 whoever closes its stream cancels. Before, it may have lost its connection, unless its token is why.
        match (waited, self.ended.get(), self.pipe.era) {
            (true, Some(cause), _) => {
                self.pipe.cancel(self.number, &crate::cut::reason(cause.as_str()));
            }
            (true, None, Era::Modern) => {
                self.pipe.cancel(self.number, "the client no longer waits");
            }
            _ => {}
        }
        end_if_revoked(&self.pipe, &self.ended);
    }
}

/// The process of a grant that is revoked ends with the last that was under way. One that only expired may be presented anew.
fn end_if_revoked(pipe: &Pipe, ended: &Ended) {
    if ended.get() == Some(&Cause::Revoked) && pipe.end_if_unused() {
        tracing::info!(server = %pipe.name, "a server's process is ended, since its grant is revoked");
    }
}

impl Waiting {
    /// Ends the process unless the answer is a result.
    pub(crate) fn opening(mut self, unopened: DropGuard) -> Waiting {
        self.opens = Some(unopened);
        self
    }

    /// Whether its answer may begin as a stream before anything has come: not where a header of it depends on what comes.
    pub(crate) fn may_begin(&self) -> bool {
        self.opens.is_none()
    }

    /// Keeps the process if this is what it was to be kept for.
    pub(crate) fn was_answered(&mut self, said: &Said) {
        if said.is_answer && said.error_code.is_none() {
            self.opens.take().map(DropGuard::disarm);
        }
    }

    /// The client hears that it was not answered in time, and so does the server.
    pub(crate) fn timed_out(self) {
        if self.pipe.kept().pending.remove(&self.number).is_some() {
            self.pipe.cancel(self.number, "it was not answered in time");
        }
    }
}

impl Drop for General {
    fn drop(&mut self) {
        let mut kept = self.pipe.kept();
        // One that was let go may have a successor.
        kept.general.take_if(|general| general.is(&self.mailbox));
        kept.used = Instant::now();
        drop(kept);
        end_if_revoked(&self.pipe, &self.ended);
    }
}
