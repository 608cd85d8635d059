//! Publisher: signs what a log of revocations says, in its order, and nothing that contradicts what it signed before.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cause::Cause;
use crate::feed::Keep;
use crate::feed::head::{self, FeedHead};
use crate::feed::line;
use crate::feed::published::{Kept, Published, RECENT_BYTES, Recent};
use crate::feed::snapshot;
use crate::feed::state::{Mark, State};
use crate::keys::PrivateKey;
use crate::log::{CheckpointError, Frontier, LeafHash, LogKey};
use crate::pending::wait;
use crate::revocation::{
    Events, InForce, LONGEST_STEP, Position, RevocationLog, RevocationLogError, covered_until,
};
use crate::timestamp::Timestamp;

/// A snapshot is made after so many events: half of what is at hand, so that whoever takes it finds what follows.
const SNAPSHOT_AFTER: u64 = 5_000;

/// The log is read anew from the place where the feed stood so many events before, when a publisher is opened: a log that was put back and
/// went on otherwise does not lead from there to where the feed stands.
const BASE_AFTER: u64 = SNAPSHOT_AFTER;

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
    /// What becomes the base once the feed has gone on far enough.
    next_base: Mark,
    /// The clock jumped ahead at the last try.
    has_jumped: bool,
    has_signed: bool,
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
        let (state, goes_on) = match (known, new_epoch) {
            (Some(known), Some(epoch)) if epoch < known.epoch => {
                return Err(PublishError::Epoch { known: known.epoch });
            }
            // That it is begun may be said at each start.
            (Some(known), new) if new.is_none_or(|epoch| epoch == known.epoch) => {
                follows(known.at, at)?;
                (known, true)
            }
            (known, Some(epoch)) => {
                let began = known.map_or(now, |known| began(known.issued, now));
                (State::beginning(epoch.max(1), Some(began), at), false)
            }
            (_, None) => (State::beginning(1, None, at), false),
        };
        let (recent, snapshots) = (Recent::default(), VecDeque::new());
        let next_base = Mark { number: state.at.number, edge: state.edge.clone() };
        let (anew, has_jumped, has_signed) = (true, false, false);
        let mut publisher = Publisher {
            log,
            key,
            feed,
            keep,
            state,
            recent,
            snapshots,
            anew,
            next_base,
            has_jumped,
            has_signed,
        };
        if goes_on {
            publisher.recollect()?;
        }
        publisher.keep_state()?;
        Ok(publisher)
    }

    /// Returns the moment up to which grants are refused because the epoch began with a log that may lack what was revoked; `None` in the
    /// first epoch. The log itself does not know it: whoever decides by the log has to refuse them, too.
    pub fn refused_until(&self) -> Option<Timestamp> {
        self.state.began.map(covered_until)
    }

    /// Reads again what was published last, which must be the same, and has it at hand.
    fn recollect(&mut self) -> Result<(), PublishError> {
        let mut mark = self.state.base.clone();
        let mut recent = Recent::default();
        while mark.number < self.state.at.number {
            let at = Position { number: mark.number, ..self.state.at };
            let events = match wait(self.log.read(at, READ_AT_ONCE))? {
                Events::Next(events) if events.is_empty() => return Err(PublishError::OtherLog),
                Events::Next(events) => events,
                // Not all are kept any more. The last one may be.
                Events::Gone => return self.refuse_other_end(),
            };
            for event in events.iter().take_while(|event| event.number <= self.state.at.number) {
                let line = line::of_change(&event.change);
                let pushed = mark.edge.push(LeafHash::of(line.as_bytes()));
                pushed.map_err(|_| PublishError::State)?;
                mark.number = event.number;
                recent.push(line);
            }
        }
        let root = |edge: &Frontier| edge.root().map_err(|_| PublishError::State);
        if mark.edge.size() != self.state.edge.size()
            || root(&mark.edge)? != root(&self.state.edge)?
        {
            return Err(PublishError::OtherLog);
        }
        // With its last leaf, which a state does not have.
        self.state.edge = mark.edge;
        self.recent = recent;
        Ok(())
    }

    /// Whether the event that was published last is still the same: the log may be exchanged below a process that goes on.
    fn refuse_other_end(&self) -> Result<(), PublishError> {
        let before = self.state.at.number.checked_sub(1);
        let (Some(last), Some(before)) = (self.state.last_event, before) else {
            return Ok(());
        };
        match wait(self.log.read(Position { number: before, ..self.state.at }, 1))? {
            Events::Next(events) => match events.first() {
                Some(event) if LeafHash::of(line::of_change(&event.change).as_bytes()) == last => {
                    Ok(())
                }
                _ => Err(PublishError::OtherLog),
            },
            Events::Gone => Ok(()),
        }
    }

    /// A clock that jumps ahead is believed at the second look.
    fn refuse_jump(&mut self, now: Timestamp) -> Result<(), PublishError> {
        let jumps = self.has_signed && now.since(self.state.issued) > LONGEST_STEP;
        if jumps && !std::mem::replace(&mut self.has_jumped, true) {
            return Err(PublishError::Clock { signed: self.state.issued, now });
        }
        self.has_jumped = false;
        Ok(())
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
        self.refuse_jump(now)?;
        follows(self.state.at, wait(self.log.head())?)?;
        self.refuse_other_end()?;
        self.read_to(u64::MAX)?;
        if self.state.edge.size() - self.next_base.edge.size() > BASE_AFTER {
            let here = Mark { number: self.state.at.number, edge: self.state.edge.clone() };
            self.state.base = std::mem::replace(&mut self.next_base, here);
        }
        let since = self.snapshots.back().map_or(0, |kept| kept.name.size);
        let is_far = self.state.edge.size() - since > SNAPSHOT_AFTER
            || self.recent.bytes_after(self.state.edge.size(), since) > RECENT_BYTES / 2;
        if self.anew || is_far {
            self.make_snapshot(now)?;
        }
        self.state.issued = now;
        self.keep_state()?;
        self.has_signed = true;
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
                        let line = line::of_change(&event.change);
                        self.state.last_event = Some(LeafHash::of(line.as_bytes()));
                        self.push(line)?;
                        self.state.at.number = event.number;
                    }
                }
                Events::Gone => {
                    // What came in between cannot be read any more. Whoever follows takes what is in force.
                    let head = wait(self.log.head())?;
                    follows(self.state.at, head)?;
                    self.push(line::anew())?;
                    // What was published before the gap cannot be read again.
                    self.state.last_event = None;
                    self.state.at = head;
                    let here = Mark { number: head.number, edge: self.state.edge.clone() };
                    (self.state.base, self.next_base) = (here.clone(), here);
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

/// When an epoch begins: no earlier than the last that was signed, though the clock of a machine that was restored may stand behind.
/// What was signed for a day ahead or more, a clock that had jumped did.
fn began(issued: Timestamp, now: Timestamp) -> Timestamp {
    if issued.since(now) < LONGEST_DIFFERENCE { now.max(issued) } else { now }
}

/// Clocks differ by no more where one of them can be believed.
const LONGEST_DIFFERENCE: Duration = Duration::from_secs(24 * 3600);

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
    /// The clock jumped ahead. At the next try it is believed.
    #[error(
        "the clock says {now}, and the last checkpoint was signed at {signed}; what it says is believed at the next try"
    )]
    Clock {
        /// When the last checkpoint was signed.
        signed: Timestamp,
        /// What the clock says.
        now: Timestamp,
    },
    /// What publishes has stopped.
    #[error("the feed's publisher has stopped, and has to be started again")]
    Stopped,
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
            PublishError::Clock { .. } => Cause::ClockDoubted,
            PublishError::State | PublishError::Keep(_) | PublishError::Stopped => {
                Cause::FileUnavailable
            }
            PublishError::Key(error) => error.cause(),
        }
    }
}
