//! What the tests have in common: a database that is migrated, and engines over it with each role.

use std::time::Duration;

use hardtack::audit::SingleUse;
use hardtack::pending::wait;
use hardtack::revocation::{Event, Events, Position, Receipt, RequestId, Revocation};
use hardtack::{RevocationId, RevocationLog, Revoking, Timestamp};
use hardtack_postgres::{Postgres, PostgresError, Settings};

use crate::server::Server;

pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

pub(crate) fn later(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

pub(crate) fn settings(server: &Server, user: &str, database: &str) -> Settings {
    Settings::parse(&server.address(user, database)).unwrap()
}

pub(crate) fn try_open(
    server: &Server,
    user: &str,
    database: &str,
) -> Result<Postgres, PostgresError> {
    wait(Postgres::open(settings(server, user, database)))
}

pub(crate) fn open(server: &Server, user: &str, database: &str) -> Postgres {
    try_open(server, user, database).unwrap()
}

/// A new database of the newest version.
pub(crate) fn migrated(server: &Server) -> String {
    let database = server.database();
    wait(Postgres::migrate(settings(server, "plane", &database))).unwrap();
    database
}

pub(crate) fn id(number: u64) -> RevocationId {
    let mut bytes = [0x5a; 64];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    RevocationId::from_bytes(bytes)
}

pub(crate) fn block(number: u64) -> Revoking {
    Revoking::new(Revocation::Id { id: id(number) }, "tests", "laptop stolen").unwrap()
}

pub(crate) fn presentation(number: u64) -> SingleUse {
    SingleUse::new("notion.mcp", id(number), later(120))
}

pub(crate) fn revoke(
    log: &Postgres,
    number: u64,
) -> Result<Vec<Receipt>, hardtack::revocation::RevocationLogError> {
    wait(log.append(vec![block(number)], RequestId::random(), NOW))
}

/// All events, read in parts.
pub(crate) fn all(log: &Postgres) -> Vec<Event> {
    let mut at = Position { number: 0, ..wait(log.head()).unwrap() };
    let mut all = Vec::new();
    loop {
        let Events::Next(events) = wait(log.read(at, 1000)).unwrap() else { panic!("gone") };
        let Some(last) = events.last() else { return all };
        at.number = last.number;
        all.extend(events);
    }
}
