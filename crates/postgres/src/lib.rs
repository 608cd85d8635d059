//! Hardtack for many machines: revocations, single use and lineage in one PostgreSQL database, version 15 or later.
//!
//! A [`Postgres`] is an engine of the library's [`RevocationLog`](hardtack::RevocationLog), [`Uses`](hardtack::audit::Uses) and
//! [`Lineage`](hardtack::audit::Lineage). Decisions are not in it: each gateway signs a log of its own.
//!
//! A superuser makes the roles once ([`ROLES`]), a user with the role `hardtack_plane` migrates ([`Postgres::migrate`]), and then each
//! process opens it with the role that it needs. What is refused, what is warned of and how large it becomes is in `docs/postgres.md`.
//!
//! ```no_run
//! use hardtack::pending::wait;
//! use hardtack::revocation::{RequestId, Revocation};
//! use hardtack::{RevocationLog, Revoking, Timestamp};
//! use hardtack_postgres::{Postgres, Settings};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::parse("postgres://plane@db.example.com/hardtack?sslmode=require")?
//!     .password(&std::fs::read_to_string("/run/secrets/plane")?);
//! wait(Postgres::migrate(settings.clone()))?;
//! let log = wait(Postgres::open(settings))?;
//!
//! let lost = Revocation::Agent { agent: "agent.lost".to_owned() };
//! let now = Timestamp::from_unix_seconds(1_795_428_000);
//! let revoking = Revoking::new(lost, "ops", "laptop stolen")?;
//! wait(log.append(vec![revoking], RequestId::random(), now))?;
//! # Ok(())
//! # }
//! ```

mod clock;
mod collect;
mod epoch;
mod error;
mod follow;
mod head;
mod lineage;
mod link;
mod log;
mod migrate;
mod revoke;
mod server;
mod settings;
mod shared;
mod source;
mod status;
mod uses;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hardtack::Timestamp;
use hardtack::pending::Pending;
use hardtack::revocation::Position;

pub use collect::Collected;
pub use epoch::Loss;
pub use error::PostgresError;
pub use migrate::ROLES;
pub use settings::Settings;
pub use source::{Followed, PostgresSource};
pub use status::{Role, Status};
pub use writer::MAX_BATCH;

use shared::{Running, alone, over};

/// An engine over a PostgreSQL database. Clones share its connections and threads, which end with the last of them.
///
/// Its futures are polled anywhere: it runs on two threads of its own. Every answer comes within seconds, or is an error that refuses;
/// only [`RevocationLog::list`](hardtack::RevocationLog::list) may take a minute.
#[derive(Clone)]
pub struct Postgres(Arc<Running>);

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Postgres").field(&self.0.shared.settings).finish()
    }
}

/// Something about a server that works, and may lose what it acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// `synchronous_standby_names` is empty.
    NoSynchronousStandby,
    /// Nobody collected what has expired ([`Postgres::collect`]) for so many hours, as far as the user of the connection may see.
    NotCollected {
        /// The number of hours, rounded down.
        hours: u64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::NoSynchronousStandby => f.write_str(
                "the database has no synchronous standby: if its machine is lost, so are the revocations that were acknowledged last",
            ),
            Warning::NotCollected { hours } => write!(
                f,
                "nobody collected what has expired for {hours} h, so that the database grows: let a gateway have the role hardtack_plane, or run `hardtack database collect` every few minutes"
            ),
        }
    }
}

impl Postgres {
    /// Opens the database. Its server and its version are checked, on this connection and on each later one.
    ///
    /// # Errors
    ///
    /// [`PostgresError`]: the database does not answer, must be migrated, is of a newer version, or is refused, since its server does not
    /// keep what it acknowledges (`fsync` or `full_page_writes` is off), is older than 15, is a standby, or is not the one in which the
    /// epoch began.
    pub fn open(settings: Settings) -> Pending<'static, Result<Postgres, PostgresError>> {
        let (giver, opened) = hardtack::pending::promise();
        let thread = std::thread::Builder::new().name("hardtack-postgres".to_owned());
        // Without a thread there is no answer, which whoever waits learns.
        let _ = thread.spawn(move || giver.give(shared::open(settings)));
        Box::pin(async {
            let running = opened.await.unwrap_or_else(|| Err(over()))?;
            Ok(Postgres(Arc::new(running)))
        })
    }

    /// Brings the database to the version of this program, as a user with the role `hardtack_plane`: step by step, each as a whole or not
    /// at all, forward only. Returns the version that it had; 0 if it was empty.
    ///
    /// # Errors
    ///
    /// [`PostgresError`], also for a database of a newer version, which is left as it is.
    pub fn migrate(settings: Settings) -> Pending<'static, Result<u32, PostgresError>> {
        alone(move || async move { migrate::to_the_newest(&settings).await })
    }

    /// Lets a database go on that was restored, moved or replaced, and is refused for it: begins a new epoch at home where it is now, as a
    /// user with the role `hardtack_plane`. Returns where it begins. Followers take the list anew.
    ///
    /// # Errors
    ///
    /// [`PostgresError`].
    pub fn begin_epoch(
        settings: Settings,
        loss: Loss,
        now: Timestamp,
    ) -> Pending<'static, Result<Position, PostgresError>> {
        alone(move || async move { epoch::begin(&settings, loss, now).await })
    }

    /// Forgets what has expired, as of `now`: revocations that no live token can hold any more, requests that were answered a day ago,
    /// used presentations and blocks an hour after they expired, and events beyond the last million. To be called every few minutes by
    /// one process at least, with the role `hardtack_plane`. No revocation is forgotten while the clock is in doubt.
    ///
    /// # Errors
    ///
    /// [`PostgresError`]. What was not forgotten is forgotten the next time.
    pub fn collect(&self, now: Timestamp) -> Pending<'_, Result<Collected, PostgresError>> {
        self.0.question(move |shared| async move { collect::collect(&shared, now).await })
    }

    /// Says that a verifier accepts grants that live so long, as [`Settings::keep_for`].
    pub fn keep_for(&self, longest: Duration) {
        self.0.shared.keep_for(longest);
    }

    /// Returns what is to be said to whoever operates the server, as it was at most some seconds ago.
    pub fn warnings(&self) -> Vec<Warning> {
        let uncollected = self.0.shared.uncollected.load(Ordering::Relaxed);
        let alone = self.0.is_alone().then_some(Warning::NoSynchronousStandby);
        alone.into_iter().chain(status::warning(uncollected)).collect()
    }
}
