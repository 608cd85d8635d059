//! Database: the PostgreSQL database that a gateway shares with others: whom it asks there, what it tells, and how it is.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hardtack::audit::{
    Claim, Ledger, Lineage, Recording, Separate, SingleUse, Uses, UsesUnavailable,
};
use hardtack::pending::{Pending, wait};
use hardtack::revocation::{
    Events, Position, Receipt, RequestId, RevocationLog, RevocationLogError, Snapshot,
};
use hardtack::{Revoking, Store, Timestamp};
use hardtack_mcp::{Needed, Readiness};
use hardtack_postgres::{Postgres, PostgresSource, Role, Settings, Warning};
use tokio::task::JoinHandle;

use super::feeding::STALE;
use super::wrong;
use crate::command::database::unopened;
use crate::command::tending::tend;
use crate::terminal::{now, warn};

/// How often what expired is forgotten in the database, by each gateway that may: together they do it more often, which costs little.
const COLLECT_EVERY: Duration = Duration::from_secs(300);

/// How long whoever revoked waits at most until this gateway has heard of it itself. It is revoked by then.
const HEARING: Duration = Duration::from_secs(2);

/// A database that was opened, and is followed.
#[derive(Clone)]
pub(super) struct Database {
    postgres: Postgres,
    source: PostgresSource,
    claims: Arc<Claims>,
}

/// Where decisions are recorded, and revocations are made and looked up.
pub(super) struct Joints {
    pub(super) recording: Arc<dyn Ledger>,
    /// The same for requests to revoke, which are on disk before they are answered.
    pub(super) revoking: Arc<dyn Ledger>,
    pub(super) log: Arc<dyn RevocationLog>,
    pub(super) seen: Arc<dyn Lineage>,
}

/// All of it is the store's; with a database, records alone are.
pub(super) fn joints(
    store: &Store,
    database: Option<&Database>,
    losing_at_most: Option<usize>,
) -> Joints {
    let (at_most, own) = (losing_at_most.unwrap_or(0), Arc::new(store.clone()));
    let Some(database) = database else {
        return Joints {
            recording: Arc::new(store.clone().losing_at_most(at_most)),
            revoking: own.clone(),
            log: own.clone(),
            seen: own,
        };
    };
    let seen = Arc::new(database.postgres.clone());
    let separate = || Separate::new(database.claims.clone(), own.clone(), seen.clone());
    let recording = match at_most {
        0 => Recording::Durable,
        at_most => Recording::Buffered { at_most },
    };
    Joints {
        recording: Arc::new(separate().recording(recording)),
        revoking: Arc::new(separate()),
        log: Arc::new(Log(database.clone())),
        seen: seen.clone(),
    }
}

impl Database {
    /// Opens it, and takes the list of what is revoked.
    pub(super) fn open(settings: Settings) -> Result<Database, Box<dyn Error>> {
        let postgres = wait(Postgres::open(settings)).map_err(|error| unopened(&error))?;
        if postgres.role() == Role::Publisher {
            return Err(wrong(
                "database",
                "its user has the role hardtack_publisher, which cannot claim presentations: grant it hardtack_gateway, or name another user",
            ));
        }
        let source = wait(postgres.follow()).map_err(|error| unopened(&error))?;
        let claims = Claims { postgres: postgres.clone(), failed: AtomicU64::new(0) };
        postgres.warnings().iter().for_each(|warning| warn(&warning.to_string()));
        Ok(Database { postgres, source, claims: Arc::new(claims) })
    }

    /// What it says is revoked.
    pub(super) fn revocations(&self) -> PostgresSource {
        self.source.clone()
    }

    /// The line that says so when the gateway starts.
    pub(super) fn announced(&self) -> String {
        let role = self.postgres.role();
        let revoking = match role {
            Role::Plane => "revocations are made there",
            _ => "revocations are read there, and made elsewhere",
        };
        format!("  database     as {role}: {revoking}\n")
    }

    /// Forgets there what expired, if that is this gateway's to do.
    pub(super) fn collecting(&self, readiness: &Readiness) -> Option<JoinHandle<()>> {
        let postgres = self.postgres.clone();
        (postgres.role() == Role::Plane).then(|| {
            let work = move || collect(postgres.clone());
            tokio::spawn(tend(readiness.clone(), "forgetting in the database", work))
        })
    }

    fn age(&self) -> Duration {
        now().since(self.source.followed().as_of)
    }

    fn is_up(&self) -> Result<(), String> {
        match self.source.followed().failing {
            Some(failing) => Err(failing),
            None if self.age() > STALE => Err(format!(
                "the database was not read for {} s, or the clock has jumped",
                self.age().as_secs()
            )),
            None => Ok(()),
        }
    }
}

async fn collect(postgres: Postgres) {
    let mut ticks = tokio::time::interval(COLLECT_EVERY);
    loop {
        ticks.tick().await;
        match postgres.collect(now()).await {
            Ok(collected) => tracing::debug!(?collected, "forgotten in the database"),
            Err(error) => tracing::warn!("not all that expired was forgotten: {error}"),
        }
    }
}

impl Needed for Database {
    fn ready(&self) -> Result<(), String> {
        self.is_up()
    }

    fn warnings(&self) -> Vec<String> {
        self.postgres.warnings().iter().map(ToString::to_string).collect()
    }

    fn render(&self, rendered: &mut String) {
        let warned = self.postgres.warnings();
        let is_warned = |is: fn(&Warning) -> bool| u8::from(warned.iter().any(is));
        let alone = is_warned(|warning| matches!(warning, Warning::NoSynchronousStandby));
        let uncollected = is_warned(|warning| matches!(warning, Warning::NotCollected { .. }));
        let (position, age) = (self.source.followed().at.number, self.age().as_secs());
        let (up, failed) =
            (u8::from(self.is_up().is_ok()), self.claims.failed.load(Ordering::Relaxed));
        // Writing to a string does not fail.
        let _ = write!(
            rendered,
            "# HELP hardtack_database_up Whether the database answers and is not refused.
# TYPE hardtack_database_up gauge
hardtack_database_up {up}
# HELP hardtack_database_position The number of the last revocation event that is known.
# TYPE hardtack_database_position gauge
hardtack_database_position {position}
# HELP hardtack_database_age_seconds How old the known revocations are.
# TYPE hardtack_database_age_seconds gauge
hardtack_database_age_seconds {age}
# HELP hardtack_database_claims_failed Call-bound presentations that the database did not answer for.
# TYPE hardtack_database_claims_failed counter
hardtack_database_claims_failed_total {failed}
# HELP hardtack_database_warning What somebody should look at, although the database works.
# TYPE hardtack_database_warning gauge
hardtack_database_warning{{warning=\"no_synchronous_standby\"}} {alone}
hardtack_database_warning{{warning=\"not_collected\"}} {uncollected}
"
        );
    }
}

/// Claims in the database, and counts what it does not answer.
struct Claims {
    postgres: Postgres,
    failed: AtomicU64,
}

impl Uses for Claims {
    fn claim<'a>(
        &'a self,
        once: &'a SingleUse,
        now: Timestamp,
    ) -> Pending<'a, Result<Claim, UsesUnavailable>> {
        Box::pin(async move {
            let claimed = self.postgres.claim(once, now).await;
            if claimed.is_err() {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            claimed
        })
    }
}

/// The log of the database: whoever has revoked in it is heard by this gateway, too, before it is answered.
struct Log(Database);

/// Whoever revokes here expects that it holds everywhere: what held at one gateway alone would not be said to be revoked.
const ELSEWHERE: &str = "this gateway has the role hardtack_gateway in its database, which may not revoke: ask a gateway with the role hardtack_plane, or revoke in the database, by hardtack revoke --database";

impl RevocationLog for Log {
    fn append<'a>(
        &'a self,
        batch: Vec<Revoking>,
        request: RequestId,
        now: Timestamp,
    ) -> Pending<'a, Result<Vec<Receipt>, RevocationLogError>> {
        let Database { postgres, source, .. } = &self.0;
        if postgres.role() != Role::Plane {
            // Whoever asks is told that it is not revoked; whoever operates it, what to do.
            tracing::warn!("not revoked: {ELSEWHERE}");
            return Box::pin(async { Err(RevocationLogError::Elsewhere(ELSEWHERE.to_owned())) });
        }
        Box::pin(async move {
            let receipts = postgres.append(batch, request, now).await?;
            source.caught_up(HEARING).await;
            Ok(receipts)
        })
    }

    fn read<'a>(
        &'a self,
        after: Position,
        at_most: usize,
    ) -> Pending<'a, Result<Events, RevocationLogError>> {
        self.0.postgres.read(after, at_most)
    }

    fn head<'a>(&'a self) -> Pending<'a, Result<Position, RevocationLogError>> {
        self.0.postgres.head()
    }

    fn list<'a>(&'a self, now: Timestamp) -> Pending<'a, Result<Snapshot, RevocationLogError>> {
        self.0.postgres.list(now)
    }

    fn list_after<'a>(
        &'a self,
        now: Timestamp,
        after: u64,
        at_most: usize,
    ) -> Pending<'a, Result<Snapshot, RevocationLogError>> {
        self.0.postgres.list_after(now, after, at_most)
    }

    fn wait<'a>(&'a self, after: Position, at_most: Duration) -> Pending<'a, ()> {
        self.0.postgres.wait(after, at_most)
    }
}
