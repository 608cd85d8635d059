//! How a database comes to its version, and which versions are refused.

use hardtack::pending::wait;
use hardtack_postgres::{Postgres, PostgresError};

use crate::server::Server;
use crate::stage::{migrated, open, revoke, settings, try_open};

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_database_is_migrated_once_by_many_at_once_and_again_without_a_change() {
    let server = Server::start(&[]);
    let database = server.database();
    let missing = try_open(&server, "gateway", &database).map(drop);
    assert_eq!(missing, Err(PostgresError::Older { found: 0, known: 1 }));
    assert!(missing.unwrap_err().to_string().contains("migrate it first"));
    let migrate = || wait(Postgres::migrate(settings(&server, "plane", &database)));
    let mut found = std::thread::scope(|scope| {
        let running: Vec<_> = (0..6).map(|_| scope.spawn(migrate)).collect();
        running.into_iter().map(|running| running.join().unwrap().unwrap()).collect::<Vec<_>>()
    });
    found.sort_unstable();
    assert_eq!(found, [0, 1, 1, 1, 1, 1]);
    let head = server.sql(&database, "SELECT epoch FROM hardtack.head");
    let plane = open(&server, "plane", &database);
    revoke(&plane, 1).unwrap();
    assert_eq!(migrate(), Ok(1));
    assert_eq!(server.sql(&database, "SELECT epoch FROM hardtack.head"), head);
    let owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'hardtack'";
    assert_eq!(server.sql(&database, owners), [["hardtack_plane"]]);
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_database_of_a_newer_version_is_refused_and_left_as_it_is() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let engine = open(&server, "plane", &database);
    server.sql(&database, "INSERT INTO hardtack.migration (number) VALUES (2)");
    let migrate = wait(Postgres::migrate(settings(&server, "plane", &database)));
    assert_eq!(migrate, Err(PostgresError::Newer { found: 2, known: 1 }));
    let text = try_open(&server, "gateway", &database).unwrap_err().to_string();
    assert!(text.contains("version 2") && text.contains("update this program"), "{text}");
    assert_eq!(server.sql(&database, "SELECT max(number) FROM hardtack.migration"), [["2"]]);
    // Connections that were there already go on until they end.
    drop(engine);
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn whoever_has_not_the_role_of_the_plane_migrates_nothing() {
    let server = Server::start(&[]);
    let database = server.database();
    let refused = wait(Postgres::migrate(settings(&server, "gateway", &database)));
    assert!(
        matches!(refused, Err(PostgresError::Refused(text)) if text.contains("hardtack_plane"))
    );
    let none = "SELECT FROM pg_namespace WHERE nspname = 'hardtack'";
    assert!(server.sql(&database, none).is_empty());
}
