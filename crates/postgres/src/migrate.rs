//! Migrations: how a database comes to the version that this program needs, by number and forward only.

use tokio_postgres::Client;

use crate::error::PostgresError;
use crate::link;
use crate::server;
use crate::settings::{Durable, Settings};
use hardtack::revocation::Epoch;

/// The roles, as SQL that a superuser runs once for each database before it is migrated.
pub const ROLES: &str = include_str!("../sql/roles.sql");

/// What each version is made by, of the one before it. What was published is never changed.
const STEPS: &[&str] = &[include_str!("../sql/0001.sql")];

/// The version that this program needs.
pub(crate) const VERSION: u32 = STEPS.len() as u32;

/// The lock that keeps two from migrating at once: "hardtack" in ASCII.
const LOCK: i64 = 0x6861_7264_7461_636b;

const FOUND: &str = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = 'hardtack' AND c.relname = 'migration')";

async fn found(client: &Client) -> Result<u32, PostgresError> {
    if !client.query_one(FOUND, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let number = "SELECT coalesce(max(number), 0) FROM hardtack.migration";
    let number: i32 = client.query_one(number, &[]).await?.try_get(0)?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Whether the database has the version that is needed.
pub(crate) async fn check(client: &Client) -> Result<(), PostgresError> {
    match found(client).await? {
        VERSION => Ok(()),
        found if found > VERSION => Err(PostgresError::Newer { found, known: VERSION }),
        found => Err(PostgresError::Older { found, known: VERSION }),
    }
}

/// Brings the database to the version of `steps`. Returns the version that it had.
pub(crate) async fn migrate(settings: &Settings, steps: &[&str]) -> Result<u32, PostgresError> {
    let client = link::connect(settings, None).await?;
    let server = server::look(&client).await?;
    let known = steps.len() as u32;
    client.batch_execute(&link::begin(Durable::On)).await?;
    client.query_one("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    if client.batch_execute("SET LOCAL ROLE hardtack_plane").await.is_err() {
        return Err(PostgresError::Refused(
            "the user cannot take the role hardtack_plane: have the roles made (docs/postgres.md), and grant it to this user"
                .to_owned(),
        ));
    }
    // A migration may take longer than an answer.
    client.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let version = found(&client).await?;
    if version > known {
        return Err(PostgresError::Newer { found: version, known });
    }
    for (number, step) in (1i32..).zip(steps).skip(version as usize) {
        client.batch_execute(step).await?;
        client.execute("INSERT INTO hardtack.migration (number) VALUES ($1)", &[&number]).await?;
    }
    if version == 0 {
        begin_first(&client, &server.place).await?;
    }
    client.batch_execute("COMMIT").await?;
    Ok(version)
}

/// The first epoch, at home where it is made.
async fn begin_first(client: &Client, place: &server::Place) -> Result<(), PostgresError> {
    client
        .execute(
            "INSERT INTO hardtack.head (epoch, system, timeline, database, relation) \
                SELECT $1, $2, $3, $4, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE n.nspname = 'hardtack' AND c.relname = 'head'",
            &[&&Epoch::random().as_bytes()[..], &place.system, &place.timeline, &place.database],
        )
        .await?;
    Ok(())
}

/// Brings the database to the version of this program. Returns the version that it had.
pub(crate) async fn to_the_newest(settings: &Settings) -> Result<u32, PostgresError> {
    migrate(settings, STEPS).await
}

#[cfg(test)]
mod tests;
