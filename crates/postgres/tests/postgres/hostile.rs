//! What a reader who meant harm found: a primary that comes back after it was replaced, and a gateway that was taken over.

use std::time::Duration;

use hardtack::audit::{Claim, SingleUse, Uses};
use hardtack::pending::wait;
use hardtack::revocation::{Events, Position};
use hardtack::{RevocationLog, Timestamp};
use hardtack_postgres::{Loss, Postgres, Settings};

use crate::server::{Server, within};
use crate::stage::{NOW, id, later, migrated, open, presentation, revoke, settings};

/// It is at home in its own epoch, and knows nothing of what was claimed at the standby that took over.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_primary_that_was_replaced_and_comes_back_accepts_no_presentation_a_second_time() {
    let mut primary = Server::start(&[]);
    let database = migrated(&primary);
    let standby = primary.standby();
    let (first, second) = (primary.socket().display(), standby.socket().display());
    let either = format!("host={first},{second} user=gateway dbname={database}");
    let either = wait(Postgres::open(Settings::parse(&either).unwrap())).unwrap();
    let claim = |number: u64, expires: u64, now: u64| {
        let once = SingleUse::new("notion.mcp", id(number), later(expires));
        wait(either.claim(&once, later(now)))
    };
    assert_eq!(claim(1, 120, 0), Ok(Claim::First));
    primary.kill();
    standby.sql("postgres", "SELECT pg_promote()");
    assert!(within(Duration::from_secs(10), || !standby.is_standby()));
    let plane = settings(&standby, "plane", &database);
    let loss = Loss::Possible { longest_call: Duration::from_secs(120) };
    wait(Postgres::begin_epoch(plane, loss, NOW)).unwrap();
    assert!(within(Duration::from_secs(10), || claim(4, 700, 601) == Ok(Claim::First)));
    assert_eq!(claim(4, 700, 601), Ok(Claim::Again));

    primary.run_again();
    let ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hardtack'";
    for number in 0..20 {
        standby.sql("postgres", ours);
        // The first address answers again, and is refused. A connection may be ended a moment later.
        assert_ne!(claim(4, 700, 601), Ok(Claim::First));
        let twice = [(); 2].map(|()| claim(100 + number, 700, 601));
        assert_ne!(twice, [Ok(Claim::First), Ok(Claim::First)]);
    }
    assert!(within(Duration::from_secs(10), || claim(4, 700, 601).is_err()));
    let text = wait(either.head()).unwrap_err().to_string();
    assert!(text.contains("was read from it already"), "{text}");
    // Whoever stops it is served by the other.
    primary.kill();
    assert!(within(Duration::from_secs(10), || claim(4, 700, 601) == Ok(Claim::Again)));
    assert_eq!(claim(5, 700, 601), Ok(Claim::First));
}

/// Hours that no presentation lives to see are not made, those that were are dropped, and the lock by which one is made is no bar to a
/// claim in an hour that is there.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_gateway_that_makes_hours_and_holds_locks_keeps_nobody_from_claiming() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let (plane, gateway) = (open(&server, "plane", &database), open(&server, "gateway", &database));
    let clock =
        server.sql("postgres", "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint");
    let now: u64 = clock[0][0].parse().unwrap();
    let claim = |number: u64, expires: u64| {
        let once = SingleUse::new("notion.mcp", id(number), Timestamp::from_unix_seconds(expires));
        wait(gateway.claim(&once, Timestamp::from_unix_seconds(expires)))
    };
    let far =
        "SELECT hardtack.make_hour((70000000 - n) * 3600::bigint) FROM generate_series(0, 599) n";
    let said = server.rows("gateway", &database, far).unwrap();
    assert!(said.len() == 600 && said.iter().all(|said| said == &["full"]));
    // As a server whose clock stood ahead had them made: one of them is used.
    let (empty, used) = (now / 3600 + 1000, now / 3600 + 1001);
    for hour in [empty, used] {
        let (from, to) = (hour * 3600, hour * 3600 + 3600);
        let made = format!(
            "SET ROLE hardtack_plane; INSERT INTO hardtack.used_hour VALUES ({hour}); \
            CREATE TABLE hardtack.used_{hour} PARTITION OF hardtack.used FOR VALUES FROM ({from}) TO ({to})"
        );
        server.sql(&database, &made);
    }
    assert_eq!(claim(1, used * 3600), Ok(Claim::First));
    // The hours behind are as many as there is room for.
    let behind = format!(
        "SELECT hardtack.make_hour(({now} / 3600 - n) * 3600::bigint) FROM generate_series(20, 619) n"
    );
    server.rows("gateway", &database, &behind).unwrap();
    claim(2, now + 60).unwrap_err();
    let collected = wait(plane.collect(Timestamp::from_unix_seconds(now))).unwrap();
    assert_eq!(collected.hours, 510);
    assert_eq!(server.rows("gateway", &database, &behind).unwrap(), vec![["forgotten"]; 600]);
    let kept = "SELECT count(*) FILTER (WHERE hour > $), count(*) FROM hardtack.used_hour";
    let kept = kept.replace('$', &(now / 3600 + 900).to_string());
    assert_eq!(server.sql(&database, &kept), [["1", "5"]]);
    assert_eq!(claim(1, used * 3600), Ok(Claim::Again));
    let hold = "BEGIN; SELECT hardtack.make_hour($); SELECT pg_sleep(3); ROLLBACK";
    let hold = hold.replace('$', &(now + 6 * 86400).to_string());
    std::thread::scope(|scope| {
        let held = scope.spawn(|| server.rows("gateway", &database, &hold));
        let holds = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        assert!(within(Duration::from_secs(10), || !server.sql("postgres", holds).is_empty()));
        for ahead in 0..3 {
            assert_eq!(claim(10 + ahead, now + ahead * 3600), Ok(Claim::First));
        }
        assert!(!held.is_finished());
        held.join().unwrap().unwrap();
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_gateway_that_counts_no_end_of_lost_blocks_keeps_nobody_from_telling() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    for _ in 0..2 {
        let told = "SELECT hardtack.saw('{}', '{}', '{}', 9223372036854775807)";
        server.rows("gateway", &database, told).unwrap();
    }
    let lost = "SELECT lost FROM hardtack.seen_size";
    assert_eq!(server.sql(&database, lost), [["2000000"]]);
    server.sql(&database, "UPDATE hardtack.seen_size SET lost = 4000000000000000 - 1");
    server.rows("gateway", &database, "SELECT hardtack.saw('{}', '{}', '{}', 5)").unwrap();
    assert_eq!(server.sql(&database, lost), [["4000000000000000"]]);
}

/// The error of what it could not do comes after the rest is done.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_lock_on_the_uses_keeps_no_block_from_being_forgotten() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let (plane, gateway) = (open(&server, "plane", &database), open(&server, "gateway", &database));
    assert_eq!(wait(gateway.claim(&presentation(1), NOW)), Ok(Claim::First));
    let told = "SELECT hardtack.saw(ARRAY[decode(repeat('01', 64), 'hex')], '{5}', ARRAY['{}'], 0)";
    server.rows("gateway", &database, told).unwrap();
    std::thread::scope(|scope| {
        let hold = "BEGIN; INSERT INTO hardtack.used SELECT decode(repeat('02', 64), 'hex'), '', $; SELECT pg_sleep(6); ROLLBACK";
        let hold = hold.replace('$', &(NOW.unix_seconds() + 60).to_string());
        let (server, database) = (&server, &database);
        let held = scope.spawn(move || server.rows("gateway", database, &hold));
        let holds = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        assert!(within(Duration::from_secs(10), || !server.sql("postgres", holds).is_empty()));
        let error = wait(plane.collect(later(4 * 3600))).unwrap_err().to_string();
        assert!(error.contains("lock timeout"), "{error}");
        assert_eq!(server.sql(database, "SELECT blocks FROM hardtack.seen_size"), [["0"]]);
        assert!(!held.is_finished());
        held.join().unwrap().unwrap();
    });
    assert_eq!(wait(plane.collect(later(4 * 3600))).unwrap().hours, 1);
}

/// All that is over goes in one call, however many pieces it takes.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn requests_and_events_that_are_over_are_all_forgotten_at_once() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let plane = open(&server, "plane", &database);
    revoke(&plane, 1).unwrap();
    let many = "INSERT INTO hardtack.request SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), \
            decode(repeat('00', 32), 'hex'), '[]', 5 FROM generate_series(1, 12000) n; \
        INSERT INTO hardtack.event SELECT n, '' FROM generate_series(2, 12001) n; \
        UPDATE hardtack.head SET number = 1012001";
    server.sql(&database, many);
    wait(plane.collect(later(60))).unwrap();
    let left = "SELECT (SELECT count(*) FROM hardtack.request), (SELECT count(*) FROM hardtack.event), gone FROM hardtack.head";
    assert_eq!(server.sql(&database, left), [["1", "0", "12001"]]);
}

/// Whoever follows the log takes fewer than it asked for as all there are.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_log_whose_end_or_middle_is_missing_is_no_log() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let plane = open(&server, "plane", &database);
    (1..=10).for_each(|number| drop(revoke(&plane, number).unwrap()));
    let at = |number| Position { number, ..wait(plane.head()).unwrap() };
    let read = |after, at_most| match wait(plane.read(at(after), at_most)) {
        Ok(Events::Next(events)) => Ok(events.len()),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    };
    assert_eq!([read(5, 100), read(5, 2), read(10, 100)], [Ok(5), Ok(2), Ok(0)]);
    server.sql(&database, "DELETE FROM hardtack.event WHERE number > 8");
    for (after, at_most) in [(5, 100), (8, 100), (5, 4)] {
        let problem = read(after, at_most).unwrap_err();
        assert!(problem.contains("a log with a gap"), "{after}: {problem}");
    }
    // What is there before the end is what was asked for.
    assert_eq!(read(5, 3), Ok(3));
    server.sql(&database, "DELETE FROM hardtack.event WHERE number = 7");
    assert!(read(5, 3).unwrap_err().contains("a log with a gap"));
}

/// Whole lists, which may take a minute each, leave connections for claims.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn lists_that_take_long_keep_nobody_from_claiming() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let gateway = open(&server, "gateway", &database);
    assert_eq!(wait(gateway.claim(&presentation(1), NOW)), Ok(Claim::First));
    std::thread::scope(|scope| {
        let hold = "BEGIN; LOCK TABLE hardtack.revocation; SELECT pg_sleep(3); ROLLBACK";
        let held = scope.spawn(|| server.rows("postgres", &database, hold));
        let holds = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        assert!(within(Duration::from_secs(10), || !server.sql("postgres", holds).is_empty()));
        let lists: Vec<_> = (0..12).map(|_| scope.spawn(|| wait(gateway.list(NOW)))).collect();
        let waits =
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'gateway'";
        assert!(within(Duration::from_secs(2), || server.sql("postgres", waits).len() >= 2));
        assert_eq!(wait(gateway.claim(&presentation(2), NOW)), Ok(Claim::First));
        assert!(!held.is_finished() && server.sql("postgres", waits).len() == 2);
        for list in lists {
            list.join().unwrap().unwrap();
        }
    });
}

/// Whoever may listen may keep the queue of notifications from being emptied: the commit does not depend on it.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_revocation_is_made_when_nobody_can_be_woken() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let plane = open(&server, "plane", &database);
    revoke(&plane, 1).unwrap();
    // No function of that name is found any more by whoever may not call it.
    let closed = "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text) FROM PUBLIC";
    server.sql(&database, closed);
    revoke(&plane, 2).unwrap();
    let numbers = "SELECT count(*) FROM hardtack.event";
    assert_eq!(server.sql(&database, numbers), [["2"]]);
    assert_eq!(wait(plane.claim(&presentation(1), NOW)), Ok(Claim::First));
}
