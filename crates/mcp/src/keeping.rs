//! Keeping: what is known of sessions and tasks when the gateway starts again.
//!
//! Nothing of it gives a right: what is not known any more is refused, and clients open another session.

use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use sha2::{Digest, Sha256};

use crate::session::Sessions;
use hardtack::store::Store;

/// How many tasks are kept in a store, of all servers: some 20 MB. As many as are remembered of a single server. None of several drives
/// out another's: the store forgets those of whoever has most.
const MAX_KEPT: u64 = 100_000;

/// How many wait to be written, and how many are written at once. A task is started by a call, whose decision was written before.
const MAX_WAITING: usize = 4096;
const MAX_AT_ONCE: usize = 256;

/// Which server it is: the same audience, and the same one behind. Another one is asked for no session of this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Scope([u8; 32]);

impl Scope {
    pub(crate) fn of(audience: &str, behind: &str) -> Scope {
        let length = (audience.len() as u64).to_le_bytes();
        let digest = Sha256::new().chain_update(length).chain_update(audience).chain_update(behind);
        Scope(digest.finalize().into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A store in which it is kept, and the thread that writes: whoever starts a task waits for no disk.
#[derive(Clone)]
pub(crate) struct Keeper {
    store: Store,
    writes: SyncSender<Pair>,
}

/// What is owned, and its owner.
type Pair = ([u8; 32], [u8; 32]);

impl Keeper {
    pub(crate) fn of(store: Store) -> Keeper {
        let (writes, waiting) = sync_channel(MAX_WAITING);
        let writer = store.clone();
        let thread = std::thread::Builder::new().name("hardtack-tasks".to_owned());
        if let Err(error) = thread.spawn(move || write_all(&writer, &waiting)) {
            // Then nothing is taken, which is said each time.
            tracing::error!(%error, "there is no thread that keeps whose tasks are");
        }
        Keeper { store, writes }
    }

    /// The sessions of a server: the same as before, if the store can be read.
    pub(crate) fn sessions(&self, scope: Scope) -> Sessions {
        match self.store.code_key(scope.as_bytes()) {
            Ok(key) => Sessions::with(key),
            Err(error) => {
                tracing::error!(%error, "sessions of before are not known, since the store cannot be read");
                Sessions::new()
            }
        }
    }

    pub(crate) fn each(&self, see: impl FnMut([u8; 32], [u8; 32])) {
        if let Err(error) = self.store.each_owner(see) {
            tracing::error!(%error, "tasks of before are not known, since the store cannot be read");
        }
    }

    /// Keeps it soon. What cannot be kept is known until the gateway ends.
    pub(crate) fn keep(&self, what: [u8; 32], owner: [u8; 32]) {
        if self.writes.try_send((what, owner)).is_err() {
            tracing::warn!(
                "whose a task is will not be known after a restart, since too many are started at once"
            );
        }
    }
}

/// Ends with the last that keeps something.
fn write_all(store: &Store, waiting: &Receiver<Pair>) {
    while let Ok(first) = waiting.recv() {
        let more = waiting.try_iter().take(MAX_AT_ONCE - 1);
        let batch: Vec<Pair> = std::iter::once(first).chain(more).collect();
        if let Err(error) = store.keep_owners(&batch, MAX_KEPT) {
            let tasks = batch.len();
            tracing::warn!(%error, tasks, "whose tasks are will not be known after a restart");
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}
