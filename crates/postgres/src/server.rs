//! Server: what a server and its database must be before they are asked anything.

use hardtack::revocation::Position;
use tokio_postgres::Client;

use crate::error::PostgresError;
use crate::head::{COLUMNS, Head, Known};
use crate::migrate;

/// The oldest server that is taken: its functions tell the timeline, and it is supported until November 2027.
const OLDEST: i32 = 15;

/// What a connection was found to lead to.
pub(crate) struct Server {
    /// The system, its timeline, the database and the table of the head, by which an epoch is known to go on.
    pub(crate) place: Place,
    /// No synchronous standby is named.
    pub(crate) is_alone: bool,
}

/// Where an epoch is at home. A restored dump has another table, a restored or cloned server another system or timeline, and so has a
/// standby that was promoted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) system: i64,
    pub(crate) timeline: String,
    pub(crate) database: u32,
    pub(crate) relation: u32,
}

const ASK: &str = "SELECT current_setting('server_version_num')::int / 10000, current_setting('fsync') = 'on', \
    current_setting('full_page_writes') = 'on', current_setting('synchronous_standby_names') = '', pg_is_in_recovery()";

const PLACE: &str = "SELECT system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8), \
    (SELECT oid FROM pg_database WHERE datname = current_database()), \
    coalesce((SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = 'hardtack' AND c.relname = 'head'), 0::oid) \
    FROM pg_control_system()";

/// Checks the server: its version and how it writes.
pub(crate) async fn look(client: &Client) -> Result<Server, PostgresError> {
    let asked = client.query_one(ASK, &[]).await?;
    let (version, is_alone): (i32, bool) = (asked.try_get(0)?, asked.try_get(3)?);
    let refused = |text: String| Err(PostgresError::Refused(text));
    if version < OLDEST {
        return refused(format!(
            "the server is PostgreSQL {version}; version {OLDEST} or later is needed"
        ));
    }
    for (place, name) in [(1, "fsync"), (2, "full_page_writes")] {
        if !asked.try_get::<_, bool>(place)? {
            return refused(format!(
                "the server runs with {name} = off, and loses what it acknowledged when the power fails: set {name} = on"
            ));
        }
    }
    if asked.try_get(4)? {
        return refused("the server is a standby: name the primary".to_owned());
    }
    let asked = client.query_one(PLACE, &[]).await?;
    let place = Place {
        system: asked.try_get(0)?,
        timeline: asked.try_get(1)?,
        database: asked.try_get(2)?,
        relation: asked.try_get(3)?,
    };
    Ok(Server { place, is_alone })
}

/// Checks the server, the version of the database, and that its epoch is at home here. Returns where the log stands, too.
pub(crate) async fn check(client: &Client) -> Result<(Server, Position), PostgresError> {
    let server = look(client).await?;
    migrate::check(client).await?;
    let asked =
        format!("SELECT {COLUMNS}, system, timeline, database, relation FROM hardtack.head");
    let row = client.query_one(&asked, &[]).await?;
    let home = Place {
        system: row.try_get("system")?,
        timeline: row.try_get("timeline")?,
        database: row.try_get("database")?,
        relation: row.try_get("relation")?,
    };
    if home != server.place {
        return Err(PostgresError::Refused(format!(
            "{}, so that revocations and uses may be lost: find out what is missing, then begin a new epoch (hardtack database epoch)",
            difference(&home, &server.place)
        )));
    }
    Ok((server, Head::of(&row)?.at))
}

/// The same, and that the log has not gone back before what this process has read of it: a primary that was replaced comes back as it
/// was, at home in its own epoch.
pub(crate) async fn check_known(client: &Client, known: &Known) -> Result<Server, PostgresError> {
    let floor = known.floor();
    let (server, at) = check(client).await?;
    known.accept(&floor, at)?;
    Ok(server)
}

fn difference(home: &Place, here: &Place) -> String {
    if home.system != here.system {
        return format!(
            "its epoch began on the system {}, and this is the system {}: it was restored or moved",
            home.system, here.system
        );
    }
    if home.timeline != here.timeline {
        return format!(
            "its epoch began on timeline {}, and the server is on timeline {}: a standby took over, or it was restored",
            home.timeline, here.timeline
        );
    }
    "its tables are not those in which its epoch began: it was restored from a dump or copied"
        .to_owned()
}
