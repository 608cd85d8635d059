//! Status: whose role a connection has, how the database stands, and how large it is.

use std::fmt;
use std::time::Duration;

use hardtack::pending::Pending;
use hardtack::revocation::Position;
use tokio_postgres::Client;

use crate::error::PostgresError;
use crate::head::{COLUMNS, Head, number, one};
use crate::link;
use crate::migrate::VERSION;
use crate::shared::Shared;
use crate::{Postgres, Warning};

/// What the user of a connection may do: the role that it was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `hardtack_plane`: all, and so may revoke and collect.
    Plane,
    /// `hardtack_gateway`: reads revocations, and claims presentations.
    Gateway,
    /// `hardtack_publisher`: reads revocations.
    Publisher,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Plane => "hardtack_plane",
            Role::Gateway => "hardtack_gateway",
            Role::Publisher => "hardtack_publisher",
        })
    }
}

/// How a database stands ([`Postgres::status`]).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The version of the server, as it says it.
    pub server: String,
    /// The user of the connection.
    pub user: String,
    /// The version of the database's tables: what this program needs.
    pub version: u32,
    /// The end of the log.
    pub at: Position,
    /// The number of revocations in force.
    pub revocations: u64,
    /// The number of events that are kept.
    pub events: u64,
    /// The bytes that each table takes on the disk with its indices, in the order of names. All hours of used presentations are one.
    pub bytes: Vec<(String, u64)>,
}

const ROLE: &str = "SELECT has_table_privilege('hardtack.head', 'UPDATE'), \
    has_table_privilege('hardtack.used', 'INSERT')";

/// To be asked of a database that was migrated.
pub(crate) async fn role(client: &Client) -> Result<Role, PostgresError> {
    let row = client.query_one(ROLE, &[]).await?;
    Ok(match (row.try_get(0)?, row.try_get(1)?) {
        (true, _) => Role::Plane,
        (_, true) => Role::Gateway,
        _ => Role::Publisher,
    })
}

/// For how long nothing was forgotten, in seconds: whoever collects raises the mark to an hour ago, and a database that was just made has
/// nothing to forget.
pub(crate) const UNCOLLECTED: &str = "SELECT extract(epoch FROM clock_timestamp())::bigint - \
    greatest(until + 3600, (SELECT extract(epoch FROM min(made))::bigint FROM hardtack.migration)) \
    FROM hardtack.used_mark";

pub(crate) async fn uncollected(client: &Client) -> Result<u64, PostgresError> {
    let seconds: i64 = client.query_one(UNCOLLECTED, &[]).await?.try_get(0)?;
    Ok(u64::try_from(seconds).unwrap_or(0))
}

/// After how long it is warned that nobody collects: twelve times as long as is said.
const LONG: Duration = Duration::from_secs(3600);

pub(crate) fn warning(uncollected: u64) -> Option<Warning> {
    (uncollected > LONG.as_secs()).then_some(Warning::NotCollected { hours: uncollected / 3600 })
}

const SERVER: &str = "SELECT current_setting('server_version'), current_user::text, \
    (SELECT count(*) FROM hardtack.revocation)";

const BYTES: &str = "SELECT coalesce(parent.relname, c.relname)::text, sum(pg_total_relation_size(c.oid))::bigint \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class parent ON parent.oid = i.inhparent \
    WHERE n.nspname = 'hardtack' AND c.relkind IN ('r', 'p') GROUP BY 1 ORDER BY 1";

async fn status(shared: &Shared) -> Result<Status, PostgresError> {
    let head = format!("SELECT {COLUMNS} FROM hardtack.head");
    let head = Head::of(one(&shared.link.ask(&head, &[]).await?)?)?;
    let rows = shared.link.ask(SERVER, &[]).await?;
    let row = one(&rows)?;
    let (server, user, revocations) = (row.try_get(0)?, row.try_get(1)?, number(row.try_get(2)?)?);
    let bytes = shared.link.ask(BYTES, &[]).await?;
    let bytes = bytes.iter().map(|row| Ok((row.try_get(0)?, number(row.try_get(1)?)?)));
    Ok(Status {
        server,
        user,
        version: VERSION,
        at: head.at,
        revocations,
        events: head.at.number - head.gone.min(head.at.number),
        bytes: bytes.collect::<Result<_, PostgresError>>()?,
    })
}

impl Postgres {
    /// Returns what the user of the connections may do, as it was when the database was opened.
    pub fn role(&self) -> Role {
        self.0.shared.role
    }

    /// Returns how the database stands, and how large it is.
    ///
    /// # Errors
    ///
    /// [`PostgresError`].
    pub fn status(&self) -> Pending<'_, Result<Status, PostgresError>> {
        self.0.question(|shared| async move { link::twice(|| status(&shared)).await })
    }
}
