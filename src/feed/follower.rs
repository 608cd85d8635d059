//! Follower: takes from a feed what it signed, in its order, and nothing that is older than what was taken.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::feed::head::FeedHead;
use crate::feed::line::{self, Line};
use crate::feed::snapshot;
use crate::feed::{MOST_LINES, MOST_SNAPSHOT_BYTES};
use crate::log::{CheckpointError, Frontier, LeafHash, LogKey};
use crate::revocation::{Delta, RevocationList, Revocations};
use crate::timestamp::Timestamp;

/// Whoever lacks more events than this takes a snapshot. A publisher has twice as many at hand.
const MOST_FOLLOWED: u64 = 5_000;

/// Keeps a text where it is found after a restart, on disk before it returns.
pub type Keep = Box<dyn FnMut(&str) -> std::io::Result<()> + Send>;

/// A follower of a feed, without network. Hand it checkpoints, and what it wants.
///
/// Nothing is taken before the checkpoint that covers it: the lines are hashed into the tree whose root was signed.
pub struct Follower {
    key: LogKey,
    keep: Keep,
    revocations: Revocations,
    /// The last checkpoint that was taken, by this process or before, and where the tree stood.
    known: Option<FeedHead>,
    known_edge: Option<Frontier>,
    /// What this process has taken.
    taken: Option<Taken>,
    coming: Option<Coming>,
    /// Lines were missing or none: a snapshot is next.
    anew: bool,
    /// Lines led elsewhere than to the root that was signed.
    led_elsewhere: bool,
}

#[derive(Debug, Clone)]
struct Taken {
    epoch: u64,
    edge: Frontier,
}

/// What is on its way to a checkpoint.
#[derive(Debug)]
struct Coming {
    head: FeedHead,
    checkpoint: String,
    /// Where the events stand that came.
    edge: Option<Frontier>,
    /// What is in force, of a snapshot that came.
    list: Option<RevocationList>,
    /// Without a list, nothing is known from which to go on.
    needs_list: bool,
    deltas: Vec<Delta>,
}

/// What a follower wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Wanted {
    /// Nothing: it knows what the checkpoint covers.
    Nothing,
    /// The lines of these events, for [`Follower::lines`].
    Lines {
        /// The number of the feed's epoch.
        epoch: u64,
        /// The number of the first event.
        first: u64,
        /// The number of the last.
        last: u64,
    },
    /// A snapshot, for [`Follower::snapshot`].
    Snapshot {
        /// The number of the feed's epoch.
        epoch: u64,
        /// The number of events that it knows.
        size: u64,
        /// Its length: more than these bytes are not to be read.
        bytes: u64,
    },
}

impl Follower {
    /// Makes a follower of the feed with this key, which knows nothing yet. Its revocations decide nothing until a snapshot came.
    ///
    /// It may be shown anything that the feed ever signed. [`Follower::going_on`] refuses what is older than what was taken before a restart.
    pub fn new(key: LogKey) -> Follower {
        Follower {
            key,
            keep: Box::new(|_| Ok(())),
            revocations: Revocations::awaited(),
            known: None,
            known_edge: None,
            taken: None,
            coming: None,
            anew: false,
            led_elsewhere: false,
        }
    }

    /// Takes nothing older than `kept`, the last text that was handed to `keep`; `None` if there was none. Each checkpoint is handed to `keep`
    /// before anything is decided by it.
    ///
    /// # Errors
    ///
    /// [`FeedError::Kept`] if `kept` is none of this feed.
    pub fn going_on(
        mut self,
        kept: Option<&str>,
        keep: impl FnMut(&str) -> std::io::Result<()> + Send + 'static,
    ) -> Result<Follower, FeedError> {
        if let Some(kept) = kept {
            let kept: Kept = serde_json::from_str(kept).map_err(|_| FeedError::Kept)?;
            let head =
                FeedHead::verify(&kept.checkpoint, &self.key).map_err(|_| FeedError::Kept)?;
            let edge = kept.edge(&head).ok_or(FeedError::Kept)?;
            (self.known, self.known_edge) = (Some(head), Some(edge));
        }
        self.keep = Box::new(keep);
        Ok(self)
    }

    /// Returns the key of the feed.
    pub fn key(&self) -> &LogKey {
        &self.key
    }

    /// Returns what is known to be revoked, for a verifier. It changes with what the follower takes.
    pub fn revocations(&self) -> Revocations {
        self.revocations.clone()
    }

    /// Returns what the last checkpoint that was taken says; `None` if there was none.
    pub fn head(&self) -> Option<&FeedHead> {
        self.known.as_ref()
    }

    /// Returns true once what the feed says is known, as of the last checkpoint that was taken.
    pub fn is_following(&self) -> bool {
        self.taken.is_some()
    }

    /// Takes a checkpoint that came at `now`, or says what is wanted before. What was on its way to an earlier one is dropped.
    ///
    /// # Errors
    ///
    /// [`FeedError`]: the checkpoint is not taken, and what was known stays.
    pub fn offer(&mut self, checkpoint: &str, now: Timestamp) -> Result<Wanted, FeedError> {
        let head = FeedHead::verify(checkpoint, &self.key)?;
        self.refuse_earlier(&head)?;
        self.coming = None;
        // From where the tree is known, if the lines from there may be at hand.
        let is_near = |edge: &Frontier| head.size.saturating_sub(edge.size()) <= MOST_FOLLOWED;
        let taken = self.taken.as_ref().filter(|taken| taken.epoch == head.epoch && !self.anew);
        let needs_list = taken.is_none();
        let known = self.known.as_ref().filter(|known| known.epoch == head.epoch && !self.anew);
        let edge = match taken {
            Some(taken) => Some(taken.edge.clone()),
            None => known.and_then(|_| self.known_edge.clone()),
        };
        let edge = edge.filter(is_near);
        let (checkpoint, deltas) = (checkpoint.to_owned(), Vec::new());
        let needs_list = needs_list || edge.is_none();
        self.coming = Some(Coming { head, checkpoint, edge, list: None, needs_list, deltas });
        self.next(now)
    }

    /// Takes the lines that were wanted, which came at `now`.
    ///
    /// # Errors
    ///
    /// [`FeedError`]: nothing of it is taken, and the next checkpoint wants a snapshot.
    pub fn lines(&mut self, text: &str, now: Timestamp) -> Result<Wanted, FeedError> {
        let taken = self.take_lines(text);
        self.or_anew(taken)?;
        self.next(now)
    }

    /// Takes the snapshot that was wanted, which came at `now`.
    ///
    /// # Errors
    ///
    /// [`FeedError`]: nothing of it is taken.
    pub fn snapshot(&mut self, text: &str, now: Timestamp) -> Result<Wanted, FeedError> {
        let taken = self.take_snapshot(text);
        self.or_anew(taken)?;
        self.next(now)
    }

    /// What is older than what was taken is a replay, or the feed went back.
    fn refuse_earlier(&self, head: &FeedHead) -> Result<(), FeedError> {
        let Some(known) = &self.known else { return Ok(()) };
        let order = |head: &FeedHead| (head.epoch, head.size);
        if order(head) < order(known) {
            return Err(FeedError::Older);
        }
        match order(head) == order(known) && head.root != known.root {
            true => Err(FeedError::Fork { epoch: head.epoch, size: head.size }),
            false => Ok(()),
        }
    }

    /// Where the feed was when its last checkpoint was taken, it must have been the same.
    fn refuse_fork(known: Option<&FeedHead>, epoch: u64, edge: &Frontier) -> Result<(), FeedError> {
        let known = known.filter(|known| (known.epoch, known.size) == (epoch, edge.size()));
        match known.is_none_or(|known| edge.root().is_ok_and(|root| root == known.root)) {
            true => Ok(()),
            false => Err(FeedError::Fork { epoch, size: edge.size() }),
        }
    }

    fn take_lines(&mut self, text: &str) -> Result<(), FeedError> {
        let known = self.known.as_ref();
        let coming = self.coming.as_mut().ok_or(FeedError::Unasked)?;
        let edge = coming.edge.as_mut().ok_or(FeedError::Unasked)?;
        let wanted = (coming.head.size - edge.size()).min(MOST_LINES);
        let lines = text.strip_suffix('\n').ok_or(FeedError::Line)?.split('\n');
        let mut count = 0;
        for text in lines {
            count += 1;
            if count > wanted {
                return Err(FeedError::Unasked);
            }
            edge.push(LeafHash::of(text.as_bytes())).map_err(|_| FeedError::Line)?;
            Self::refuse_fork(known, coming.head.epoch, edge)?;
            match line::read(text).ok_or(FeedError::Line)? {
                Line::Delta(delta) => coming.deltas.push(delta),
                // What a snapshot of later knows is not changed by what was missed before it.
                Line::Anew => return Err(FeedError::Missed),
            }
        }
        if count == wanted { Ok(()) } else { Err(FeedError::Line) }
    }

    fn take_snapshot(&mut self, text: &str) -> Result<(), FeedError> {
        let coming = self.coming.as_mut();
        let coming = coming.filter(|coming| coming.needs_list && coming.list.is_none());
        let coming = coming.ok_or(FeedError::Unasked)?;
        let wanted = coming.head.snapshot;
        if snapshot::name_of(wanted.size, text) != wanted {
            return Err(FeedError::Snapshot);
        }
        let read = snapshot::read(text).ok_or(FeedError::Snapshot)?;
        if (read.epoch, read.edge.size()) != (coming.head.epoch, wanted.size) {
            return Err(FeedError::Snapshot);
        }
        Self::refuse_fork(self.known.as_ref(), read.epoch, &read.edge)?;
        // Lines from where the tree was known may have come before, and led to the root. What follows the snapshot, they need not have.
        (coming.edge, coming.list) = (Some(read.edge), Some(read.list));
        coming.deltas.clear();
        Ok(())
    }

    /// After what does not fit, everything is fetched anew. Lines that lead elsewhere are asked for once more, and no snapshot in their place:
    /// either they were changed on the way, or the feed tells another story than before.
    fn or_anew(&mut self, taken: Result<(), FeedError>) -> Result<(), FeedError> {
        let Err(error) = taken else { return Ok(()) };
        let coming = self.coming.take();
        if error != FeedError::Root {
            self.anew = true;
            return Err(error);
        }
        match (std::mem::replace(&mut self.led_elsewhere, true), coming) {
            (true, Some(Coming { head, .. })) => {
                Err(FeedError::Fork { epoch: head.epoch, size: head.size })
            }
            _ => Err(error),
        }
    }

    /// What is wanted next, or takes the checkpoint to which all came.
    fn next(&mut self, now: Timestamp) -> Result<Wanted, FeedError> {
        let Some(coming) = &self.coming else { return Ok(Wanted::Nothing) };
        let head = &coming.head;
        let epoch = head.epoch;
        if let Some(edge) = &coming.edge {
            let at = edge.size();
            if at < head.size {
                let last = head.size.min(at.saturating_add(MOST_LINES));
                return Ok(Wanted::Lines { epoch, first: at + 1, last });
            }
            let leads_there = at == head.size && edge.root().is_ok_and(|root| root == head.root);
            self.or_anew(if leads_there { Ok(()) } else { Err(FeedError::Root) })?;
        }
        let Some(Coming { head, list, needs_list, .. }) = &self.coming else {
            return Ok(Wanted::Nothing);
        };
        if *needs_list && list.is_none() {
            let (size, bytes) = (head.snapshot.size, head.snapshot.bytes);
            if bytes > MOST_SNAPSHOT_BYTES {
                return Err(FeedError::TooLarge { bytes });
            }
            return Ok(Wanted::Snapshot { epoch, size, bytes });
        }
        self.take(now)?;
        Ok(Wanted::Nothing)
    }

    fn take(&mut self, now: Timestamp) -> Result<(), FeedError> {
        let Some(Coming { head, checkpoint, edge: Some(edge), list, deltas, .. }) =
            self.coming.take()
        else {
            return Ok(());
        };
        (self.anew, self.led_elsewhere) = (false, false);
        if self.taken.is_some() && self.known.as_ref() == Some(&head) {
            return Ok(());
        }
        // Kept first, so that after a restart nothing older is taken. What was revoked counts in any case; how fresh that is, does not.
        let hashes = edge.hashes().map(LeafHash).collect();
        let kept = serde_json::to_string(&Kept { checkpoint, hashes }).unwrap_or_default();
        let kept = (self.keep)(&kept).map_err(|error| FeedError::Keep(error.to_string()));
        let as_of = if kept.is_ok() { head.issued } else { Timestamp::default() };
        // A follower's set is a copy, and takes both.
        if let Some(list) = list {
            let _ = self.revocations.renew(&list, now);
        }
        let _ = self.revocations.advance(&deltas, as_of, now);
        self.taken = Some(Taken { epoch: head.epoch, edge: edge.clone() });
        if kept.is_ok() {
            (self.known, self.known_edge) = (Some(head), Some(edge));
        }
        kept
    }
}

/// What is kept between two runs: the last checkpoint that was taken, and where the tree stood.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    checkpoint: String,
    hashes: Vec<LeafHash>,
}

impl Kept {
    fn edge(&self, head: &FeedHead) -> Option<Frontier> {
        let hashes: Vec<[u8; 32]> = self.hashes.iter().map(|hash| *hash.as_bytes()).collect();
        let edge = Frontier::of_hashes(head.size, &hashes)?;
        edge.root().is_ok_and(|root| root == head.root).then_some(edge)
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("feed", &self.key)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

/// An error of what a feed says. It is not taken; what was known stays, and soon is too old to decide by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The checkpoint has not its form, or is not signed by this feed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is older than one that was taken: it is replayed, or the feed went back.
    #[error("the feed's checkpoint is older than one that was taken before")]
    Older,
    /// The feed signed two roots for one size.
    #[error(
        "the feed signed another root before for {size} events of epoch {epoch}: it tells two stories, and its key or its state is not to be trusted"
    )]
    Fork {
        /// The number of the epoch.
        epoch: u64,
        /// The number of events.
        size: u64,
    },
    /// The lines do not lead to the root that was signed.
    #[error("the events do not lead to the root that the feed signed")]
    Root,
    /// A line is no event that is known here, or lines are missing.
    #[error("a line is no event of a feed that this version knows, or lines are missing")]
    Line,
    /// The publisher missed events.
    #[error("the publisher missed events; only a snapshot says what is in force")]
    Missed,
    /// The snapshot is not the one that was signed.
    #[error("this is not the snapshot that the feed signed")]
    Snapshot,
    /// The snapshot is too large.
    #[error("the feed's snapshot has {bytes} bytes, and {MOST_SNAPSHOT_BYTES} are taken at most")]
    TooLarge {
        /// Its length.
        bytes: u64,
    },
    /// What came was not asked for.
    #[error("this was not asked of the feed")]
    Unasked,
    /// What was kept is none of this feed.
    #[error("what was kept of the feed is none of a feed with this key")]
    Kept,
    /// The checkpoint could not be kept.
    #[error("the feed's checkpoint cannot be kept: {0}")]
    Keep(String),
}

impl FeedError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            FeedError::Checkpoint(error) => error.cause(),
            FeedError::Keep(_) => Cause::FileUnavailable,
            FeedError::Kept => Cause::CheckpointSignature,
            FeedError::Line | FeedError::Snapshot | FeedError::TooLarge { .. } => {
                Cause::MalformedCheckpoint
            }
            FeedError::Older
            | FeedError::Fork { .. }
            | FeedError::Root
            | FeedError::Missed
            | FeedError::Unasked => Cause::FeedContradicted,
        }
    }
}
