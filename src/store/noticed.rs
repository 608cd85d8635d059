//! Noticed: blocks of chains that somebody told the store of, in a bounded queue in memory until the next fold.
//!
//! What a decision of the store's own brings goes with its record. What is told without a record is not worth a wait for the disk:
//! a crash loses what was told in the last second.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::audit::SeenBlock;
use crate::store::core::{MAX_SEEN, short};
use crate::store::inner::Inner;

/// The most blocks that wait: some 6 MB. Beyond this they are counted as lost.
const MAX_WAITING: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Noticed(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    blocks: Vec<SeenBlock>,
    lost: u64,
}

impl Noticed {
    pub(super) fn add(&self, blocks: impl IntoIterator<Item = SeenBlock>) {
        let mut waiting = self.waiting();
        for block in blocks {
            match waiting.blocks.len() < MAX_WAITING {
                true => waiting.blocks.push(block),
                false => waiting.lost += 1,
            }
        }
    }

    /// Those that wait, in their order.
    pub(super) fn blocks(&self) -> Vec<SeenBlock> {
        self.waiting().blocks.clone()
    }

    /// How many were lost and are not counted elsewhere yet.
    pub(super) fn lost(&self) -> u64 {
        self.waiting().lost
    }

    pub(super) fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.waiting().lost)
    }

    /// The first of them are on disk.
    pub(super) fn forget(&self, first: usize) {
        self.waiting().blocks.drain(..first);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a fold finds among those that wait.
pub(super) struct Fresh {
    /// Those that are not remembered yet, each once, as many as there is room for.
    pub(super) blocks: Vec<SeenBlock>,
    /// How many wait.
    pub(super) waiting: usize,
    /// How many of those that are not remembered there is no room for: they are lost.
    pub(super) without_room: u64,
}

impl Inner {
    /// Takes note of blocks. It waits for nobody: what is on disk already is found out with the next fold.
    pub(super) fn saw(&self, blocks: Vec<SeenBlock>) {
        if self.engine.here().is_ok() && !self.is_stopped() {
            self.noticed.add(blocks);
        }
    }

    /// The blocks that wait and are not remembered yet. Whoever calls this holds `folding`.
    pub(super) fn noticed_anew(&self) -> Fresh {
        let blocks = self.noticed.blocks();
        let (waiting, mut core) = (blocks.len(), self.core());
        core.unseen += self.noticed.take_lost();
        let mut met = std::collections::HashSet::new();
        let mut fresh: Vec<SeenBlock> = blocks
            .into_iter()
            .filter(|block| !core.seen.contains(&short(&block.id)) && met.insert(block.id))
            .collect();
        let room = MAX_SEEN.saturating_sub(core.seen.len() as u64) as usize;
        let without_room = fresh.len().saturating_sub(room) as u64;
        fresh.truncate(room);
        Fresh { blocks: fresh, waiting, without_room }
    }
}
