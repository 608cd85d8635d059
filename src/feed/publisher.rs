//! Publisher: signs what a log of revocations says, in its order, and nothing that contradicts what it signed before.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::cause::Cause;
use crate::feed::Keep;
use crate::feed::MOST_LINES;
use crate::feed::head::{self, FeedHead};
use crate::feed::line;
use crate::feed::snapshot;
use crate::feed::state::State;
use crate::keys::PrivateKey;
use crate::log::{CheckpointError, LeafHash, LogKey};
use crate::pending::wait;
use crate::revocation::{
    Events, InForce, Position, RevocationLog, RevocationLogError, covered_until,
};
use crate::timestamp::Timestamp;

/// So many lines are at hand. Whoever lacks more takes a snapshot.
const RECENT: usize = 10_000;

/// A snapshot is made after so many events: half of what is at hand, so that whoever takes it finds what follows.
const SNAPSHOT_AFTER: u64 = 5_000;

/// Recent lines hold so many bytes at most. Those which say what was forgotten are longer than others.
const RECENT_BYTES: usize = 16 << 20;

/// Snapshots that are at hand: whoever fetches one is not overtaken by the next.
const SNAPSHOTS: usize = 2;

/// Events that are asked of the log at once.
const READ_AT_ONCE: usize = 1000;

/// What a [`Publisher`] is opened with.
pub struct Publishing {
    key: PrivateKey,
    state: Option<String>,
    keep: Keep,
    new_epoch: Option<u64>,
}

impl Publishing {
    /// Publishes under this private key, which nothing else signs with. Without [`Publishing::state`], the feed is a new one.
    pub fn new(key: PrivateKey) -> Publishing {
        Publishing { key, state: None, keep: Box::new(|_| Ok(())), new_epoch: None }
    }

    /// Goes on from `state`, the last text that was handed to `keep`; `None` for a new feed. Hands each new state to `keep` before anything
    /// that follows from it is signed: keep it where no restoration of the log reaches, and on disk before you return.
    pub fn state(
        mut self,
        state: Option<String>,
        keep: impl FnMut(&str) -> std::io::Result<()> + Send + 'static,
    ) -> Publishing {
        self.state = state;
        self.keep = Box::new(keep);
        self
    }

    /// Begins the epoch `number`, which must be larger than that of every checkpoint that was ever signed. Only a person can say so: that
    /// the log was restored, or is another one, and may lack what was revoked. Every grant that was issued before is refused from now on.
    pub fn new_epoch(mut self, number: u64) -> Publishing {
        self.new_epoch = Some(number);
        self
    }
}

impl fmt::Debug for Publishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishing").field("new_epoch", &self.new_epoch).finish_non_exhaustive()
    }
}

/// A publisher of a [`RevocationLog`]. It waits for the log and for its own state to be kept: call it from a thread that may wait.
pub struct Publisher {
    log: Arc<dyn RevocationLog>,
    key: PrivateKey,
    feed: LogKey,
    keep: Keep,
    state: State,
    recent: Recent,
    snapshots: VecDeque<Kept>,
    /// A snapshot is due, whatever the numbers say.
    anew: bool,
}

/// A snapshot at hand.
#[derive(Debug, Clone)]
struct Kept {
    name: head::SnapshotName,
    text: Arc<str>,
}

/// The last lines, up to the one with the number of the tree's size.
#[derive(Debug, Clone, Default)]
struct Recent {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
}

/// What a feed says at a moment, as it is to be handed out.
#[derive(Debug, Clone)]
pub struct Published {
    checkpoint: String,
    head: FeedHead,
    recent: Arc<Recent>,
    snapshots: Vec<Kept>,
}

impl Publisher {
    /// Opens the publisher of `log` at the moment `now`, and reads what came since it stopped.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing is signed. [`PublishError::WentBack`] and [`PublishError::OtherLog`] need a person, who may begin a
    /// [new epoch](Publishing::new_epoch).
    pub fn open(
        log: Arc<dyn RevocationLog>,
        publishing: Publishing,
        now: Timestamp,
    ) -> Result<Publisher, PublishError> {
        let Publishing { key, state, keep, new_epoch } = publishing;
        let feed = head::key_of(&key)?;
        let known = match &state {
            Some(text) => Some(State::read(text, &feed.to_string()).ok_or(PublishError::State)?),
            None => None,
        };
        let at = wait(log.head())?;
        let state = match (known, new_epoch) {
            (Some(known), Some(epoch)) if epoch <= known.epoch => {
                return Err(PublishError::Epoch { known: known.epoch });
            }
            (_, Some(epoch)) => State::beginning(epoch.max(1), Some(now), at),
            (None, None) => State::beginning(1, None, at),
            (Some(known), None) => {
                follows(known.at, at)?;
                known
            }
        };
        let (recent, snapshots) = (Recent::default(), VecDeque::new());
        let mut publisher =
            Publisher { log, key, feed, keep, state, recent, snapshots, anew: true };
        publisher.keep_state()?;
        Ok(publisher)
    }

    /// Returns the feed's public key, by which followers know it.
    pub fn key(&self) -> &LogKey {
        &self.feed
    }

    /// Returns the position in the log of revocations up to which the feed has published, to [wait](RevocationLog::wait) for what is after.
    pub fn position(&self) -> Position {
        self.state.at
    }

    /// Reads what is new in the log, and signs where the feed stands at the moment `now`. Call it when there is something new, and every
    /// five seconds: a follower whose last checkpoint is old decides nothing.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing is signed.
    pub fn advance(&mut self, now: Timestamp) -> Result<Published, PublishError> {
        follows(self.state.at, wait(self.log.head())?)?;
        self.read_to(u64::MAX)?;
        let since = self.snapshots.back().map_or(0, |kept| kept.name.size);
        let is_far = self.state.edge.size() - since > SNAPSHOT_AFTER
            || self.recent.bytes_after(self.state.edge.size(), since) > RECENT_BYTES / 2;
        if self.anew || is_far {
            self.make_snapshot(now)?;
        }
        // A clock that goes back makes no checkpoint older than the last.
        self.state.issued = self.state.issued.max(now);
        self.keep_state()?;
        let Some(last) = self.snapshots.back() else { return Err(PublishError::State) };
        let head = FeedHead {
            epoch: self.state.epoch,
            size: self.state.edge.size(),
            root: self.state.edge.root().map_err(|_| PublishError::State)?,
            issued: self.state.issued,
            snapshot: last.name,
        };
        Ok(Published {
            checkpoint: head.sign(&self.key, &self.feed)?,
            head,
            recent: Arc::new(self.recent.clone()),
            snapshots: self.snapshots.iter().cloned().collect(),
        })
    }

    /// Takes in the events of the log up to this number.
    fn read_to(&mut self, number: u64) -> Result<(), PublishError> {
        while self.state.at.number < number {
            match wait(self.log.read(self.state.at, READ_AT_ONCE))? {
                Events::Next(events) if events.is_empty() => return Ok(()),
                Events::Next(events) => {
                    for event in events.iter().take_while(|event| event.number <= number) {
                        if event.number != self.state.at.number + 1 {
                            return Err(PublishError::Gap { after: self.state.at.number });
                        }
                        self.push(line::of_change(&event.change))?;
                        self.state.at.number = event.number;
                    }
                }
                Events::Gone => {
                    // What came in between cannot be read any more. Whoever follows takes what is in force.
                    self.push(line::anew())?;
                    self.state.at = wait(self.log.head())?;
                    self.anew = true;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, line: String) -> Result<(), PublishError> {
        let leaf = LeafHash::of(line.as_bytes());
        self.state.edge.push(leaf).map_err(|_| PublishError::State)?;
        self.recent.push(line);
        Ok(())
    }

    fn make_snapshot(&mut self, now: Timestamp) -> Result<(), PublishError> {
        let list = wait(self.log.list(now))?;
        follows(self.state.at, list.at)?;
        self.read_to(list.at.number)?;
        if self.state.at != list.at {
            return Err(PublishError::Gap { after: self.state.at.number });
        }
        let mark = list.forgotten_until.max(self.state.began.map(covered_until));
        let entries: Vec<InForce> = list.revocations.iter().map(InForce::from).collect();
        let text = snapshot::write(self.state.epoch, &self.state.edge, mark, &entries);
        let name = snapshot::name_of(self.state.edge.size(), &text);
        self.snapshots.push_back(Kept { name, text: text.into() });
        if self.snapshots.len() > SNAPSHOTS {
            self.snapshots.pop_front();
        }
        self.anew = false;
        Ok(())
    }

    fn keep_state(&mut self) -> Result<(), PublishError> {
        let text = self.state.written(&self.feed.to_string());
        (self.keep)(&text).map_err(|error| PublishError::Keep(error.to_string()))
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("feed", &self.feed)
            .field("at", &self.state.at)
            .finish_non_exhaustive()
    }
}

/// Whether the log at `head` can be the one that was read up to `at`.
fn follows(at: Position, head: Position) -> Result<(), PublishError> {
    if head.epoch != at.epoch {
        return Err(PublishError::OtherLog);
    }
    if head.number < at.number {
        return Err(PublishError::WentBack { published: at.number, log: head.number });
    }
    Ok(())
}

impl Recent {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line.into());
        while self.lines.len() > RECENT || self.bytes > RECENT_BYTES {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }

    /// The bytes of the lines after the one with the number `after`, of `size`.
    fn bytes_after(&self, size: u64, after: u64) -> usize {
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
    pub fn snapshot(&self, epoch: u64, size: u64) -> Option<&str> {
        let mut snapshots = self.snapshots.iter().filter(|_| epoch == self.head.epoch);
        snapshots.rfind(|kept| kept.name.size == size).map(|kept| &*kept.text)
    }
}

/// An error of a [`Publisher`]. Nothing is signed, and followers soon decide nothing, until it is mended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The log does not answer.
    #[error(transparent)]
    Log(#[from] RevocationLogError),
    /// The log is of another epoch than the one that was published: it was restored, or is another one.
    #[error(
        "the log of revocations is of another epoch than the one that was published: it was restored, or is another one; if that is meant, begin a new epoch of the feed, which refuses every grant issued before"
    )]
    OtherLog,
    /// The log has fewer events than were published.
    #[error(
        "the log of revocations has {log} events, and {published} were published: it lost its end; if it cannot be had back, begin a new epoch of the feed, which refuses every grant issued before"
    )]
    WentBack {
        /// The number of the last event that was published.
        published: u64,
        /// The number of the log's last event.
        log: u64,
    },
    /// The log left out an event.
    #[error("the log of revocations does not say what came after event {after}")]
    Gap {
        /// The number of the last event that was read.
        after: u64,
    },
    /// The new epoch is not larger than the last.
    #[error("the feed is in epoch {known}; a new one has a larger number")]
    Epoch {
        /// The number of the epoch that was published.
        known: u64,
    },
    /// The state is no state of this feed.
    #[error(
        "this is no state of a feed with this key; without its state, a feed goes on in a new epoch only"
    )]
    State,
    /// The state could not be kept.
    #[error("the state of the feed cannot be kept: {0}")]
    Keep(String),
    /// The key signs nothing.
    #[error(transparent)]
    Key(#[from] CheckpointError),
}

impl PublishError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            PublishError::Log(error) => error.cause(),
            PublishError::OtherLog
            | PublishError::WentBack { .. }
            | PublishError::Gap { .. }
            | PublishError::Epoch { .. } => Cause::FeedContradicted,
            PublishError::State | PublishError::Keep(_) => Cause::FileUnavailable,
            PublishError::Key(error) => error.cause(),
        }
    }
}
