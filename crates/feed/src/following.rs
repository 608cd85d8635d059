//! Following: a task that keeps a verifier's knowledge of revocations by a feed.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hardtack::feed::{FeedError, FeedHead, Follower, Wanted};
use hardtack::log::{CheckpointError, LogKey};
use hardtack::names::{NameError, check_agent};
use hardtack::{Cause, PrivateKey, Revocations};
use reqwest::Client;
use tokio::sync::watch;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::acknowledging::Acknowledging;
use crate::events::Events;
use crate::fetching::{
    self, FetchError, Fetching, MOST_CHECKPOINT_BYTES, MOST_LINES_BYTES, SILENCE, Signer, next,
};
use crate::{file, now};

/// After a failure, the feed is asked again after so long: the first time, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A checkpoint from further ahead makes nothing fresher, as clocks differ by a minute at most.
const MOST_AHEAD: Duration = Duration::from_secs(60);

/// Where no stream passes, a checkpoint is asked for so often.
const POLLS: Duration = Duration::from_secs(1);

/// A feed to follow, before it is followed.
#[derive(Debug)]
pub struct Feed {
    url: Url,
    key: LogKey,
    position: Option<PathBuf>,
    client: Option<Client>,
    name: Option<(String, PrivateKey)>,
    stale_after: Option<Duration>,
}

impl Feed {
    /// Describes the feed whose routes are below `url`, such as `https://plane.example/feed`, and which signs with the private key of `key`,
    /// a verifier key of `c2sp.org/signed-note`. What comes is believed for its signature, whatever the connection.
    ///
    /// # Errors
    ///
    /// [`FollowError::Url`] or [`FollowError::Key`].
    pub fn follow(url: &str, key: &str) -> Result<Feed, FollowError> {
        let url = Url::parse(url).map_err(|_| FollowError::Url)?;
        let is_plain = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !is_plain || !["http", "https"].contains(&url.scheme()) || !url.has_host() {
            return Err(FollowError::Url);
        }
        let (position, client, name, stale_after) = (None, None, None, None);
        Ok(Feed { url, key: key.parse()?, position, client, name, stale_after })
    }

    /// Keeps the last checkpoint in this file, so that after a restart nothing older is believed. Without it, whoever is on the way can show a
    /// verifier that was restarted what the feed said up to thirty seconds before (its bound of staleness).
    pub fn position(mut self, file: impl Into<PathBuf>) -> Feed {
        self.position = Some(file.into());
        self
    }

    /// Fetches with this client, for a feed behind an authority of one's own, say. It must follow no redirection.
    pub fn client(mut self, client: Client) -> Feed {
        self.client = Some(client);
        self
    }

    /// Signs each request in the name of this gateway, which is enrolled with the feed under the public half of `key`, and acknowledges what
    /// was taken: the position, and the longest life of a grant that verifiers accept which ask this source.
    ///
    /// # Errors
    ///
    /// [`FollowError::Name`] if no gateway can have this name.
    pub fn named(mut self, name: &str, key: PrivateKey) -> Result<Feed, FollowError> {
        check_agent(name)?;
        self.name = Some((name.to_owned(), key));
        Ok(self)
    }

    /// Says with each acknowledgement that every call is refused here once what is known is older than this: the longest that a verifier bears
    /// for any operation ([`Verifier::max_staleness`](hardtack::Verifier::max_staleness)). By default nothing is said, and the publisher cannot
    /// say from when on a silent gateway refuses everything.
    pub fn refusing_after(mut self, staleness: Duration) -> Feed {
        self.stale_after = Some(staleness);
        self
    }

    /// Begins to follow, in a task of the runtime that this is called in. Until the first snapshot came, the revocations decide nothing.
    ///
    /// # Errors
    ///
    /// [`FollowError`] if the file of the position cannot be read or is of another feed, or there is no HTTP client.
    ///
    /// # Panics
    ///
    /// Without a tokio runtime.
    pub fn into_source(self) -> Result<FeedSource, FollowError> {
        let kept = match &self.position {
            Some(path) => {
                file::read(path).map_err(|error| FollowError::Position(error.to_string()))?
            }
            None => None,
        };
        let position = self.position;
        let keep = move |text: &str| match &position {
            Some(path) => file::replace(path, text),
            None => Ok(()),
        };
        let follower = Follower::new(self.key).going_on(kept.as_deref(), keep);
        let follower = follower.map_err(|_| FollowError::OtherPosition)?;
        let client = match self.client {
            Some(client) => client,
            None => fetching::client(self.url.scheme()).map_err(FollowError::Client)?,
        };
        let revocations = follower.revocations();
        let (told, followed) = watch::channel(Followed::default());
        let signer =
            self.name.map(|(name, key)| Signer { name, key, feed: follower.key().clone() });
        let signs = signer.is_some();
        let fetching = Fetching::new(client, self.url, signer);
        let mut tasks = Vec::new();
        if signs {
            let acknowledging = Acknowledging {
                fetching: fetching.clone(),
                followed: followed.clone(),
                revocations: revocations.clone(),
                stale_after: self.stale_after,
            };
            tasks.push(tokio::spawn(acknowledging.run()).abort_handle());
        }
        tasks.push(tokio::spawn(run(follower, fetching, told)).abort_handle());
        Ok(FeedSource { revocations, followed, task: Arc::new(Ends(tasks)) })
    }
}

/// A feed that is followed, as long as this or a clone of it lives.
#[derive(Debug, Clone)]
pub struct FeedSource {
    revocations: Revocations,
    followed: watch::Receiver<Followed>,
    /// Ends with the last clone.
    #[allow(dead_code, reason = "it is dropped")]
    task: Arc<Ends>,
}

#[derive(Debug)]
struct Ends(Vec<AbortHandle>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// How far a feed was followed.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Followed {
    /// What the last checkpoint that was taken says.
    pub head: Option<FeedHead>,
    /// Why nothing was taken since; `None` while all is well.
    pub failing: Option<String>,
    /// The stable name of that cause.
    pub cause: Option<Cause>,
}

impl FeedSource {
    /// Returns what the feed says is revoked, for a verifier: on its own, or in a [`Union`](hardtack::revocation::Union).
    pub fn revocations(&self) -> Revocations {
        self.revocations.clone()
    }

    /// Returns how far the feed was followed.
    pub fn followed(&self) -> Followed {
        self.followed.borrow().clone()
    }

    /// Waits until the first checkpoint was taken, `at_most` so long; returns whether it was.
    pub async fn wait(&self, at_most: Duration) -> bool {
        let mut followed = self.followed.clone();
        let taken = followed.wait_for(|followed| followed.head.is_some());
        tokio::time::timeout(at_most, taken).await.is_ok_and(|taken| taken.is_ok())
    }
}

/// Follows until it is aborted.
async fn run(mut follower: Follower, fetching: Fetching, told: watch::Sender<Followed>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut went_on = false;
        let ended = match stream(&mut follower, &fetching, &told, &mut went_on).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        // Where no stream passes, a checkpoint does.
        let polled = match &ended {
            Ended::Fetch(_) => poll(&mut follower, &fetching, &told).await,
            Ended::Lost => return lost(&told),
        };
        match polled {
            Ok(()) => went_on = true,
            Err(Ended::Lost) => return lost(&told),
            Err(Ended::Fetch(error)) => failed(&told, error.to_string(), error.cause()),
        }
        if went_on {
            pause = FIRST_PAUSE;
            tokio::time::sleep(POLLS).await;
        } else {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Nothing is taken any more, and soon nothing is decided.
fn lost(told: &watch::Sender<Followed>) {
    let stopped = "what follows the feed has stopped; the process has to be started again";
    tracing::error!(stopped);
    failed(told, stopped.to_owned(), Cause::RevocationsUnavailable);
}

/// Why a stream ended.
enum Ended {
    Fetch(FetchError),
    /// The follower is lost with a thread that panicked.
    Lost,
}

impl From<FetchError> for Ended {
    fn from(error: FetchError) -> Ended {
        Ended::Fetch(error)
    }
}

async fn stream(
    follower: &mut Follower,
    fetching: &Fetching,
    told: &watch::Sender<Followed>,
    went_on: &mut bool,
) -> Result<std::convert::Infallible, Ended> {
    let mut answer = fetching.stream().await?;
    let mut events = Events::default();
    let ended = |why: &str| FetchError::NoAnswer(why.to_owned());
    // A stream that says something, and no checkpoint, is as good as silent.
    let mut until = Instant::now() + SILENCE;
    loop {
        let piece = timeout_at(until, next(&mut answer)).await;
        let piece = piece.map_err(|_| ended("no checkpoint came in the stream"))??;
        let piece = piece.ok_or_else(|| ended("the stream ended"))?;
        let checkpoints = events.take(&piece);
        let checkpoints = checkpoints.map_err(|_| ended("the stream has an event too long"))?;
        // Of several that came at once, the last says all.
        if let Some(checkpoint) = checkpoints.last() {
            *went_on |= take(follower, fetching, checkpoint, told).await?;
            until = Instant::now() + SILENCE;
        }
    }
}

async fn poll(
    follower: &mut Follower,
    fetching: &Fetching,
    told: &watch::Sender<Followed>,
) -> Result<(), Ended> {
    let checkpoint = fetching.text("checkpoint", MOST_CHECKPOINT_BYTES).await?;
    take(follower, fetching, &checkpoint, told).await.map(drop)
}

/// Takes a checkpoint and what it wants; returns whether it was taken.
async fn take(
    follower: &mut Follower,
    fetching: &Fetching,
    checkpoint: &str,
    told: &watch::Sender<Followed>,
) -> Result<bool, Ended> {
    let taken = match whole(follower, fetching, checkpoint).await? {
        // What was changed on the way, or is older at this place, may be whole at the next try: by a snapshot.
        Err(FeedError::Root | FeedError::Line | FeedError::Missed) => {
            whole(follower, fetching, checkpoint).await?
        }
        taken => taken,
    };
    match taken {
        Ok(()) => {
            let head = follower.head().cloned();
            let ahead = head.as_ref().map(|head| head.issued.since(now()));
            if ahead.is_some_and(|ahead| ahead > MOST_AHEAD) {
                told.send_modify(|followed| followed.head = head);
                let said =
                    "the feed's checkpoints are from the future: its clock or this one is wrong";
                failed(told, said.to_owned(), Cause::RevocationsStale);
                return Ok(true);
            }
            if told.borrow().failing.is_some() {
                tracing::info!("the feed is followed again");
            }
            told.send_replace(Followed { head, failing: None, cause: None });
            Ok(true)
        }
        Err(error) => {
            failed(told, error.to_string(), error.cause());
            Ok(false)
        }
    }
}

async fn whole(
    follower: &mut Follower,
    fetching: &Fetching,
    checkpoint: &str,
) -> Result<Result<(), FeedError>, Ended> {
    let text = checkpoint.to_owned();
    let mut wanted = aside(follower, move |follower| follower.offer(&text, now())).await?;
    loop {
        wanted = match wanted {
            Ok(Wanted::Nothing) => return Ok(Ok(())),
            Ok(Wanted::Lines { epoch, first, last }) => {
                let path = format!("delta/{epoch}/{first}-{last}");
                let lines = fetching.text(&path, MOST_LINES_BYTES).await;
                let lines = match lines {
                    // They are at hand no longer: a snapshot is. What is handed over is none, so that one is wanted next.
                    Err(FetchError::Status { status: 404, .. }) => String::new(),
                    lines => lines?,
                };
                aside(follower, move |follower| follower.lines(&lines, now())).await?
            }
            Ok(Wanted::Snapshot { epoch, size, bytes }) => {
                let path = format!("snapshot/{epoch}/{size}");
                let snapshot = fetching.text(&path, bytes).await?;
                aside(follower, move |follower| follower.snapshot(&snapshot, now())).await?
            }
            Err(error) => return Ok(Err(error)),
        };
    }
}

/// Does what takes long or waits for a disk on a thread that may.
async fn aside<T: Send + 'static>(
    follower: &mut Follower,
    work: impl FnOnce(&mut Follower) -> T + Send + 'static,
) -> Result<T, Ended> {
    let key = follower.key().clone();
    let mut taken = std::mem::replace(follower, Follower::new(key));
    let done = spawn_blocking(move || {
        let done = work(&mut taken);
        (taken, done)
    });
    let (back, done) = done.await.map_err(|_| Ended::Lost)?;
    *follower = back;
    Ok(done)
}

fn failed(told: &watch::Sender<Followed>, failing: String, cause: Cause) {
    told.send_modify(|followed| {
        if followed.failing.as_ref() != Some(&failing) {
            tracing::warn!(cause = cause.as_str(), "the feed is not followed: {failing}");
        }
        (followed.failing, followed.cause) = (Some(failing), Some(cause));
    });
}

/// An error of a feed that cannot be followed as it is described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The URL is none of a feed.
    #[error(
        "a feed has a URL with http or https, such as https://plane.example/feed, without user, query and fragment"
    )]
    Url,
    /// The key is malformed.
    #[error(transparent)]
    Key(#[from] CheckpointError),
    /// The name of the gateway is none.
    #[error("a gateway has a name of the same form as an agent: {0}")]
    Name(#[from] NameError),
    /// The file of the position cannot be read.
    #[error("the file of the feed's position cannot be read: {0}")]
    Position(String),
    /// The file of the position is of another feed, or is none.
    #[error(
        "the file of the feed's position is no checkpoint of the feed with this key; if another feed is to be followed, name another file"
    )]
    OtherPosition,
    /// There is no HTTP client.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
}

impl FollowError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            FollowError::Url => Cause::MalformedUrl,
            FollowError::Key(error) => error.cause(),
            FollowError::Name(error) => error.cause(),
            FollowError::Position(_) => Cause::FileUnavailable,
            FollowError::OtherPosition => Cause::CheckpointSignature,
            FollowError::Client(_) => Cause::ClientUnavailable,
        }
    }
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.head {
            Some(head) => {
                write!(f, "epoch {}, {} events, as of {}", head.epoch, head.size, head.issued)
            }
            None => f.write_str("nothing yet"),
        }
    }
}
