//! What each role may do, and what it may not: as its user, in SQL of its own.

use hardtack::Timestamp;
use hardtack::audit::{Lineage, Uses};
use hardtack::pending::wait;

use crate::server::Server;
use crate::stage::{NOW, all, migrated, open, presentation, revoke};

/// What nobody but the plane may do.
const ATTACKS: &[&str] = &[
    "DELETE FROM hardtack.revocation",
    "UPDATE hardtack.revocation SET expires = 0",
    "INSERT INTO hardtack.revocation VALUES (9, decode(repeat('00', 32), 'hex'), 0, 0, '')",
    "TRUNCATE hardtack.revocation",
    "DROP TABLE hardtack.revocation",
    "DELETE FROM hardtack.event",
    "UPDATE hardtack.event SET change = ''",
    "INSERT INTO hardtack.event VALUES (9, '')",
    "UPDATE hardtack.head SET number = 0",
    "UPDATE hardtack.head SET number = number + 1",
    "UPDATE hardtack.head SET forgotten_until = NULL",
    "UPDATE hardtack.head SET epoch = decode(repeat('00', 16), 'hex')",
    "DELETE FROM hardtack.head",
    "SELECT number FROM hardtack.head FOR UPDATE",
    "BEGIN; LOCK TABLE hardtack.head IN ACCESS EXCLUSIVE MODE",
    "ALTER TABLE hardtack.head DISABLE TRIGGER ALL",
    "DELETE FROM hardtack.used",
    "UPDATE hardtack.used SET expires = 0",
    "TRUNCATE hardtack.used",
    "SELECT id FROM hardtack.used",
    "DROP TABLE hardtack.used",
    "UPDATE hardtack.used_mark SET until = 0",
    "UPDATE hardtack.used_mark SET until = 253402300799",
    "SELECT until FROM hardtack.used_mark FOR UPDATE",
    "DELETE FROM hardtack.used_hour",
    "INSERT INTO hardtack.used_hour VALUES (1)",
    "SELECT id FROM hardtack.request",
    "DELETE FROM hardtack.request",
    "DELETE FROM hardtack.seen",
    "INSERT INTO hardtack.seen VALUES (decode(repeat('00', 64), 'hex'), 0, '')",
    "UPDATE hardtack.seen_size SET blocks = 0",
    "INSERT INTO hardtack.migration (number) VALUES (99)",
    "DELETE FROM hardtack.migration",
    "DROP SCHEMA hardtack CASCADE",
    "CREATE TABLE hardtack.mine ()",
    "CREATE SCHEMA mine",
    "CREATE TEMPORARY TABLE mine ()",
    "CREATE TABLE public.mine ()",
    "SET ROLE hardtack_plane",
    "CREATE OR REPLACE FUNCTION hardtack.head_goes_on() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
];

/// What a publisher may not do besides.
const OF_A_GATEWAY: &[&str] = &[
    "INSERT INTO hardtack.used VALUES (decode(repeat('00', 64), 'hex'), '', 1795428000)",
    "SELECT hardtack.make_hour(1795428000)",
    "SELECT hardtack.saw('{}', '{}', '{}', 1)",
    "SELECT block FROM hardtack.seen",
    "SELECT until FROM hardtack.used_mark",
];

const READING: &[&str] = &[
    "SELECT * FROM hardtack.head",
    "SELECT * FROM hardtack.event",
    "SELECT * FROM hardtack.revocation",
    "LISTEN hardtack",
];

/// The state of all that the attacks are after.
fn state(server: &Server, database: &str) -> Vec<Vec<String>> {
    let tables = [
        "head",
        "event",
        "revocation",
        "request",
        "used_mark",
        "used_hour",
        "seen",
        "seen_size",
        "migration",
    ];
    let texts = tables.map(|table| format!("SELECT t::text FROM hardtack.{table} t"));
    server.sql(database, &texts.join(" UNION ALL "))
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_gateway_and_a_publisher_can_do_what_they_need_and_nothing_else() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let plane = open(&server, "plane", &database);
    revoke(&plane, 1).unwrap();
    wait(plane.claim(&presentation(1), NOW)).unwrap();
    let before = state(&server, &database);
    for role in ["gateway", "publisher"] {
        let others: &[&str] = if role == "publisher" { OF_A_GATEWAY } else { &[] };
        for attack in ATTACKS.iter().chain(others) {
            let refused = server.rows(role, &database, attack).expect_err(attack);
            let code = refused.code().map(|code| code.code());
            assert_eq!(code, Some("42501"), "{role}: {attack}: {refused:?}");
        }
        for read in READING {
            server.rows(role, &database, read).unwrap_or_else(|error| panic!("{read}: {error:?}"));
        }
        let engine = open(&server, role, &database);
        assert_eq!(all(&engine).len(), 1);
        let text = revoke(&engine, 2).unwrap_err().to_string();
        assert!(text.contains("permission denied"), "{text}");
        assert!(wait(engine.collect(NOW)).is_err());
        assert_eq!(wait(engine.claim(&presentation(2), NOW)).is_ok(), role == "gateway");
    }
    assert_eq!(state(&server, &database), before);
    // The presentation that the gateway has claimed.
    assert_eq!(server.sql(&database, "SELECT count(*) FROM hardtack.used"), [["2"]]);
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_user_without_a_role_does_not_come_in() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    server.sql("postgres", "CREATE ROLE stranger LOGIN");
    let refused = server.rows("stranger", &database, "SELECT 1").unwrap_err();
    assert_eq!(refused.code().map(|code| code.code()), Some("42501"));
}

/// Not even the plane takes the counter or the marks back by a slip.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn the_head_never_goes_back_whoever_asks() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let plane = open(&server, "plane", &database);
    revoke(&plane, 1).unwrap();
    server.sql(&database, "UPDATE hardtack.head SET forgotten_until = 5, gone = 1");
    for back in [
        "UPDATE hardtack.head SET number = 0",
        "UPDATE hardtack.head SET forgotten_until = 4",
        "UPDATE hardtack.head SET forgotten_until = NULL",
        "UPDATE hardtack.head SET latest = NULL",
        "UPDATE hardtack.head SET gone = 0",
        "DELETE FROM hardtack.head",
        "TRUNCATE hardtack.head",
        "INSERT INTO hardtack.head SELECT * FROM hardtack.head",
    ] {
        for user in ["plane", "postgres"] {
            assert!(server.rows(user, &database, back).is_err(), "{back}");
        }
    }
    revoke(&plane, 2).unwrap();
}

/// What a gateway that is taken over tells of blocks hides no other's.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn blocks_that_are_none_are_counted_as_lost() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let told = "SELECT hardtack.saw(ARRAY[decode(repeat('01', 64), 'hex')], '{5}', ARRAY['{}'], 2)";
    server.rows("gateway", &database, told).unwrap();
    let seen = open(&server, "gateway", &database).seen(10).unwrap().unwrap();
    assert_eq!((seen.blocks.len(), seen.lost), (0, 3));
    for wrong in ["'{5}', ARRAY[repeat('a', 20000)]", "'{}', '{}'", "NULL, NULL"] {
        let told =
            format!("SELECT hardtack.saw(ARRAY[decode(repeat('02', 64), 'hex')], {wrong}, 0)");
        server.rows("gateway", &database, &told).unwrap_err();
    }
}

/// A gateway that is taken over makes no end of tables, and none for what was forgotten.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_gateway_makes_a_bounded_number_of_hours_and_none_that_was_forgotten() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let make = |hour: u64| {
        let sql = format!("SELECT hardtack.make_hour({})", hour * 3600 + 5);
        server.rows("gateway", &database, &sql).map(|rows| rows[0][0].clone())
    };
    // Most of them are over by the server's clock.
    let clock =
        server.sql("postgres", "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint");
    let clock: u64 = clock[0][0].parse().unwrap();
    let begin = clock / 3600 - 400;
    let now = Timestamp::from_unix_seconds(begin * 3600);
    let mut said: Vec<String> = (0..515).map(|hour| make(begin + hour).unwrap()).collect();
    assert_eq!(make(begin).unwrap(), "made");
    assert_eq!(said.split_off(512), ["full"; 3]);
    assert!(said.iter().all(|said| said == "made"));
    let plane = open(&server, "plane", &database);
    let day = std::time::Duration::from_secs(24 * 3600);
    assert_eq!(wait(plane.collect(now + day)).unwrap().hours, 23);
    assert_eq!(make(begin).unwrap(), "forgotten");
    assert_eq!(make(begin + 22).unwrap(), "forgotten");
    assert_eq!(make(begin + 23).unwrap(), "made");
    for wrong in ["-1", "NULL", "9223372036854775807"] {
        let sql = format!("SELECT hardtack.make_hour({wrong})");
        server.rows("gateway", &database, &sql).unwrap_err();
    }
}
