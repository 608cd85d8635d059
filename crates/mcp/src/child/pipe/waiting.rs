//! Waiting: who waits for what a process says, and what becomes of it when nobody does any more?

use std::sync::Arc;

use tokio::time::Instant;

use crate::child::mailbox::Mailbox;
use crate::child::pipe::Pipe;
use hardtack::mcp::Era;

/// A request that waits; it does not any more when this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(super) pipe: Arc<Pipe>,
    pub(crate) number: u64,
    pub(crate) id: String,
    pub(crate) mailbox: Mailbox,
}

/// The stream for what belongs to no request; closed when this is dropped.
#[derive(Debug)]
pub(crate) struct General {
    pub(super) pipe: Arc<Pipe>,
    pub(crate) mailbox: Mailbox,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut kept = self.pipe.kept();
        let waited = kept.pending.remove(&self.number).is_some();
        kept.used = Instant::now();
        drop(kept);
        // Since 2026-07-28 whoever closes its stream cancels. Before, it may have lost its connection.
        if waited && self.pipe.era == Era::Modern {
            self.pipe.cancel(self.number, "the client no longer waits");
        }
    }
}

impl Waiting {
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
    }
}
