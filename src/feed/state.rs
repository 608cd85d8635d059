//! State: what a publisher keeps between two runs, so that it never signs two stories.

use serde::{Deserialize, Serialize};

use crate::log::{Frontier, LeafHash};
use crate::revocation::{Epoch, Position};
use crate::timestamp::Timestamp;

const FORMAT: &str = "hardtack-feed-state-1";

/// Where the feed stands, and where in the log of revocations that is.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) epoch: u64,
    /// When this epoch began, if there was one before: what was granted before it is refused.
    pub(super) began: Option<Timestamp>,
    pub(super) at: Position,
    pub(super) edge: Frontier,
    /// Where it stood some thousand events before: the log must still lead from there to `edge`.
    pub(super) base: Mark,
    /// The event that was published last, as a leaf of the tree.
    pub(super) last_event: Option<LeafHash>,
    pub(super) issued: Timestamp,
}

/// Where a feed stood, and by which event of the log.
#[derive(Debug, Clone, Default)]
pub(super) struct Mark {
    pub(super) number: u64,
    pub(super) edge: Frontier,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    /// The feed's key, so that the state of one feed is not taken for another's.
    feed: String,
    epoch: u64,
    began: Option<Timestamp>,
    log_epoch: Epoch,
    log_number: u64,
    size: u64,
    hashes: Vec<LeafHash>,
    base_log_number: u64,
    base_size: u64,
    base_hashes: Vec<LeafHash>,
    last_event: Option<LeafHash>,
    issued: Timestamp,
}

impl State {
    /// The state of a feed that begins an epoch where the log is now.
    pub(super) fn beginning(epoch: u64, began: Option<Timestamp>, at: Position) -> State {
        let base = Mark { number: at.number, edge: Frontier::default() };
        let (edge, issued) = (Frontier::default(), Timestamp::default());
        State { epoch, began, at, edge, base, last_event: None, issued }
    }

    pub(super) fn written(&self, feed: &str) -> String {
        let written = Written {
            format: FORMAT.to_owned(),
            feed: feed.to_owned(),
            epoch: self.epoch,
            began: self.began,
            log_epoch: self.at.epoch,
            log_number: self.at.number,
            size: self.edge.size(),
            hashes: self.edge.hashes().map(LeafHash).collect(),
            base_log_number: self.base.number,
            base_size: self.base.edge.size(),
            base_hashes: self.base.edge.hashes().map(LeafHash).collect(),
            last_event: self.last_event,
            issued: self.issued,
        };
        let mut text = serde_json::to_string_pretty(&written).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads what [`State::written`] wrote for the same feed.
    pub(super) fn read(text: &str, feed: &str) -> Option<State> {
        let written: Written = serde_json::from_str(text).ok()?;
        if written.format != FORMAT || written.feed != feed || written.epoch == 0 {
            return None;
        }
        let edge = |size: u64, hashes: &[LeafHash]| {
            let hashes: Vec<[u8; 32]> = hashes.iter().map(|hash| *hash.as_bytes()).collect();
            Frontier::of_hashes(size, &hashes)
        };
        let (number, size) = (written.base_log_number, written.base_size);
        let base = Mark { number, edge: edge(size, &written.base_hashes)? };
        Some(State {
            epoch: written.epoch,
            began: written.began,
            at: Position { epoch: written.log_epoch, number: written.log_number },
            edge: edge(written.size, &written.hashes)?,
            base,
            last_event: written.last_event,
            issued: written.issued,
        })
    }
}
