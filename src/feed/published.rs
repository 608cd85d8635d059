//! Published: what of a feed is at hand, for whoever follows it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::feed::MOST_LINES;
use crate::feed::head::{FeedHead, SnapshotName};

/// So many lines are at hand. Whoever lacks more takes a snapshot.
const RECENT: usize = 10_000;

/// Recent lines hold so many bytes at most. Those which say what was forgotten are longer than others.
pub(super) const RECENT_BYTES: usize = 16 << 20;

/// A snapshot at hand.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) name: SnapshotName,
    pub(super) text: Arc<str>,
}

/// The last lines, up to the one with the number of the tree's size.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
}

/// What a feed says at a moment, as it is to be handed out.
#[derive(Debug, Clone)]
pub struct Published {
    pub(super) checkpoint: String,
    pub(super) head: FeedHead,
    pub(super) recent: Arc<Recent>,
    pub(super) snapshots: Vec<Kept>,
}

impl Recent {
    pub(super) fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line.into());
        while self.lines.len() > RECENT || self.bytes > RECENT_BYTES {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }

    /// The bytes of the lines after the one with the number `after`, of `size`.
    pub(super) fn bytes_after(&self, size: u64, after: u64) -> usize {
        let count = usize::try_from(size.saturating_sub(after)).unwrap_or(usize::MAX);
        self.lines.iter().rev().take(count).map(|line| line.len()).sum()
    }
}

impl Published {
    /// Returns the signed checkpoint.
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// Returns what the checkpoint signs.
    pub fn head(&self) -> &FeedHead {
        &self.head
    }

    /// Returns the lines of the events from the number `first` to the number `last`, each with a line break. `None` if they are not all at
    /// hand, are more than [`MOST_LINES`](crate::feed::MOST_LINES), or are of another epoch.
    pub fn lines(&self, epoch: u64, first: u64, last: u64) -> Option<String> {
        let oldest = self.head.size + 1 - self.recent.lines.len() as u64;
        let is_there = epoch == self.head.epoch
            && (oldest..=last).contains(&first)
            && last <= self.head.size
            && last - first < MOST_LINES;
        let begins = usize::try_from(first.checked_sub(oldest)?).ok().filter(|_| is_there)?;
        let count = usize::try_from(last - first + 1).ok()?;
        let lines = self.recent.lines.range(begins..begins + count);
        Some(lines.flat_map(|line| [line, "\n"]).collect())
    }

    /// Returns the snapshot that knows `size` events; `None` if it is not at hand. The last two are.
    pub fn snapshot(&self, epoch: u64, size: u64) -> Option<Arc<str>> {
        let mut snapshots = self.snapshots.iter().filter(|_| epoch == self.head.epoch);
        snapshots.rfind(|kept| kept.name.size == size).map(|kept| Arc::clone(&kept.text))
    }
}
