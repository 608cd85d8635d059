//! Migrations of versions that are not there yet: from each earlier one, whole or not at all.

#[path = "../../tests/postgres/server.rs"]
mod testing;

use testing::Server;

use super::*;

/// Versions as a later program will have them.
const LATER: &[&str] = &[
    STEPS[0],
    "CREATE TABLE hardtack.second (number bigint); INSERT INTO hardtack.second VALUES (2)",
    "ALTER TABLE hardtack.second ADD COLUMN more text",
];

fn to(server: &Server, database: &str, steps: &[&str]) -> Result<u32, PostgresError> {
    let settings = Settings::parse(&server.address("plane", database)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(migrate(&settings, steps))
}

fn shape(server: &Server, database: &str) -> Vec<Vec<String>> {
    let columns = "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns \
        WHERE table_schema = 'hardtack' ORDER BY table_name, ordinal_position";
    server.sql(database, columns)
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn from_each_earlier_version_the_newest_is_reached_and_none_is_taken_back() {
    let server = Server::start(&[]);
    let newest = server.database();
    assert_eq!(to(&server, &newest, LATER), Ok(0));
    for version in 0..=LATER.len() {
        let database = server.database();
        if version > 0 {
            assert_eq!(to(&server, &database, &LATER[..version]), Ok(0));
        }
        let epoch = "SELECT epoch FROM hardtack.head";
        let before = (version > 0).then(|| server.sql(&database, epoch));
        assert_eq!(to(&server, &database, LATER), Ok(version as u32));
        assert_eq!(shape(&server, &database), shape(&server, &newest));
        assert!(before.is_none_or(|before| before == server.sql(&database, epoch)));
        let numbers = "SELECT number FROM hardtack.migration ORDER BY number";
        assert_eq!(server.sql(&database, numbers), [["1"], ["2"], ["3"]]);
        let back = to(&server, &database, &LATER[..2]);
        assert_eq!(back, Err(PostgresError::Newer { found: 3, known: 2 }));
    }
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_migration_that_fails_leaves_the_version_that_was_there() {
    let server = Server::start(&[]);
    let database = server.database();
    to(&server, &database, &LATER[..1]).unwrap();
    let before = shape(&server, &database);
    let failing = [LATER[0], LATER[1], "CREATE TABLE hardtack.third (); SELECT 1 / 0"];
    to(&server, &database, &failing).unwrap_err();
    assert_eq!(shape(&server, &database), before);
    assert_eq!(to(&server, &database, LATER), Ok(1));
}
