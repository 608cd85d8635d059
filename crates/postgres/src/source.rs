//! Source: what the database says is revoked, as a verifier asks it: a copy in memory, which one task keeps by the log.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hardtack::pending::Pending;
use hardtack::revocation::{
    Events, Knowledge, Position, RevocationSource, RevocationsUnavailable, Revoked,
};
use hardtack::{Chain, Lifetimes, PublicKey, Revocations, Timestamp};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::Postgres;
use crate::error::PostgresError;
use crate::link;
use crate::log;
use crate::shared::{Shared, over};

/// How old the copy becomes at most while the database answers: it is read so often, besides whenever there is something new.
const EVERY: Duration = Duration::from_secs(5);

/// How many events are read at once: what makes an answer of a few MB. Fewer than this are all that there are, so an answer must be able to
/// have as many.
const PIECE: usize = 5_000;
const _: () = assert!(PIECE <= log::MAX_EVENTS);

/// The pauses between attempts to read, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What the database says is revoked, for a verifier: on its own, or in a [`Union`](hardtack::revocation::Union). It answers from memory,
/// and what it knows is no older than five seconds as long as the database answers. A verifier refuses as undecided what is older than its
/// bound ([`Verifier::max_staleness`](hardtack::Verifier::max_staleness), 30 seconds by default). Made by [`Postgres::follow`]. Clones
/// share it.
#[derive(Debug, Clone)]
pub struct PostgresSource {
    postgres: Postgres,
    copy: Arc<Copy>,
    /// Ends with the last clone.
    #[allow(dead_code, reason = "it is dropped")]
    task: Arc<Ends>,
}

/// How far the log was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Followed {
    /// The position in the log up to which all is known.
    pub at: Position,
    /// The moment of which what is known is true.
    pub as_of: Timestamp,
    /// Why nothing was read since; `None` while all is well.
    pub failing: Option<String>,
}

#[derive(Debug)]
struct Ends(AbortHandle);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Copy {
    revocations: Revocations,
    followed: watch::Sender<Followed>,
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.followed().fmt(f)
    }
}

/// The clock by which a copy is fresh or not: this process's own.
#[allow(clippy::disallowed_methods, reason = "a verifier asks how old the copy is, by this clock")]
fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

impl Copy {
    fn followed(&self) -> Followed {
        self.followed.borrow().clone()
    }

    fn went_on(&self, at: Position, as_of: Timestamp) {
        let before = self.followed.send_replace(Followed { at, as_of, failing: None });
        if before.failing.is_some() {
            tracing::info!("the database is read again");
        }
    }

    fn failed(&self, error: &PostgresError) {
        let failing = error.to_string();
        if self.followed().failing.as_ref() != Some(&failing) {
            tracing::warn!("revocations are not read: {failing}");
        }
        self.followed.send_modify(|followed| followed.failing = Some(failing));
    }

    /// Reads on, to the end of the log.
    async fn read_on(&self, shared: &Shared) -> Result<(), PostgresError> {
        loop {
            let (asked, at) = (now(), self.followed().at);
            let events = match link::twice(|| log::events(shared, at, PIECE)).await? {
                Events::Next(events) => events,
                Events::Gone => return self.begin_anew(shared).await,
            };
            let is_all = events.len() < PIECE;
            let at = Position { number: at.number + events.len() as u64, ..at };
            // A copy takes both: only a store's own set does not.
            match is_all {
                true => {
                    let _ = self.revocations.follow(&events, asked, now());
                    self.went_on(at, asked);
                    return Ok(());
                }
                false => {
                    let _ = self.revocations.follow(&events, Timestamp::default(), now());
                    self.followed.send_modify(|followed| followed.at = at);
                }
            }
        }
    }

    async fn begin_anew(&self, shared: &Shared) -> Result<(), PostgresError> {
        let asked = now();
        let list = log::bounded(log::list(shared, asked)).await?;
        let _ = self.revocations.renew(&list.list(), now());
        self.went_on(list.at, asked);
        Ok(())
    }
}

async fn run(shared: Arc<Shared>, copy: Arc<Copy>) {
    let (mut heard, mut pause) = (shared.known.heard(), PAUSES.0);
    loop {
        match copy.read_on(&shared).await {
            Ok(()) => {
                pause = PAUSES.0;
                let at = copy.followed().at;
                // Whether there is something or not, it reads.
                let _ = tokio::time::timeout(EVERY, heard.wait_for(|head| *head != at)).await;
            }
            Err(error) => {
                copy.failed(&error);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

impl Postgres {
    /// Takes the whole list of revocations, and follows the log from then on, as long as the source or a clone of it lives.
    ///
    /// # Errors
    ///
    /// [`PostgresError`] if the list cannot be read.
    pub fn follow(&self) -> Pending<'_, Result<PostgresSource, PostgresError>> {
        let begun = self.0.spawn({
            let shared = Arc::clone(&self.0.shared);
            async move {
                let as_of = now();
                let list = log::bounded(log::list(&shared, as_of)).await?;
                let followed = Followed { at: list.at, as_of, failing: None };
                let revocations = Revocations::copied(&list.list());
                let followed = watch::Sender::new(followed);
                let copy = Arc::new(Copy { revocations, followed });
                let task = tokio::spawn(run(shared, Arc::clone(&copy))).abort_handle();
                Ok((copy, Arc::new(Ends(task))))
            }
        });
        let postgres = self.clone();
        Box::pin(async move {
            let (copy, task) = begun.await.unwrap_or_else(|| Err(over()))?;
            Ok(PostgresSource { postgres, copy, task })
        })
    }
}

impl PostgresSource {
    /// Returns how far the log was followed.
    pub fn followed(&self) -> Followed {
        self.copy.followed()
    }

    /// Waits until the copy has all that this engine has written or heard of by now, `at_most` so long; returns whether it has.
    pub fn caught_up(&self, at_most: Duration) -> Pending<'_, bool> {
        let head = *self.postgres.0.shared.known.heard().borrow();
        let mut followed = self.copy.followed.subscribe();
        let waited = self.postgres.0.spawn(async move {
            // Of another epoch, the whole list was taken.
            let is_there = |followed: &Followed| {
                followed.at.epoch != head.epoch || followed.at.number >= head.number
            };
            let waited = tokio::time::timeout(at_most, followed.wait_for(is_there)).await;
            waited.is_ok_and(|found| found.is_ok())
        });
        Box::pin(async { waited.await.unwrap_or(false) })
    }
}

impl RevocationSource for PostgresSource {
    fn revoked(
        &self,
        chain: &Chain,
        root: &PublicKey,
    ) -> Result<Option<Revoked>, RevocationsUnavailable> {
        self.copy.revocations.revoked(chain, root)
    }

    fn knowledge(&self) -> Knowledge {
        self.copy.revocations.knowledge()
    }

    /// The database keeps revocations as long, too.
    fn keep_for(&self, lifetimes: &Lifetimes) {
        self.copy.revocations.keep_for(lifetimes);
        self.postgres.keep_for(lifetimes.grant);
    }
}
