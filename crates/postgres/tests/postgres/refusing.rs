//! Which servers and databases are refused, which warned of, and what the errors say.

use std::time::Duration;

use hardtack::RevocationLog;
use hardtack::audit::{Claim, SingleUse, Uses};
use hardtack::pending::wait;
use hardtack::revocation::{Events, Position};
use hardtack_postgres::{Loss, Postgres, PostgresError, Settings, Warning};

use crate::server::{Server, copy, private, within};
use crate::stage::{NOW, all, id, later, migrated, open, presentation, revoke, settings, try_open};

const POSSIBLE: Loss = Loss::Possible { longest_call: Duration::from_secs(120) };

fn refused<T>(opened: Result<T, PostgresError>) -> String {
    match opened.map(drop) {
        Err(PostgresError::Refused(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_server_that_does_not_keep_what_it_acknowledges_is_refused() {
    for name in ["fsync", "full_page_writes"] {
        let mut server = Server::start(&[]);
        let database = migrated(&server);
        let engine = open(&server, "plane", &database);
        assert!(revoke(&engine, 1).is_ok());
        server.sql("postgres", &format!("ALTER SYSTEM SET {name} = off"));
        server.stop();
        server.run_again();
        let text = refused(try_open(&server, "gateway", &database));
        assert!(text.contains(&format!("{name} = off")) && text.contains("set"), "{text}");
        // The engine that was open looks at each new connection.
        let text = revoke(&engine, 2).unwrap_err().to_string();
        assert!(text.contains(&format!("{name} = off")), "{text}");
        let empty = server.database();
        refused(wait(Postgres::migrate(settings(&server, "plane", &empty))));
    }
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_server_without_a_synchronous_standby_is_warned_of() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let engine = open(&server, "gateway", &database);
    assert_eq!(engine.warnings(), [Warning::NoSynchronousStandby]);
    server.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'elsewhere'");
    server.sql("postgres", "SELECT pg_reload_conf()");
    assert!(within(Duration::from_secs(20), || engine.warnings().is_empty()));
}

/// Whatever the role's own settings are, and when somebody cancels the wait, of which the server says that it committed.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn what_no_standby_has_is_not_acknowledged() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    server.sql("postgres", "ALTER ROLE plane SET synchronous_commit = off");
    server.sql("postgres", "ALTER ROLE gateway SET synchronous_commit = off");
    let silent = format!("ALTER DATABASE {database} SET client_min_messages = error");
    server.sql("postgres", &silent);
    server.sql("postgres", "ALTER ROLE gateway SET client_min_messages = error");
    let (plane, gateway) = (open(&server, "plane", &database), open(&server, "gateway", &database));
    assert_eq!(wait(gateway.claim(&presentation(9), NOW)), Ok(Claim::First));
    server.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'elsewhere'");
    server.sql("postgres", "SELECT pg_reload_conf()");
    // The server's processes read it one by one.
    let is_read = || plane.warnings().is_empty() && gateway.warnings().is_empty();
    assert!(within(Duration::from_secs(20), is_read));
    std::thread::scope(|scope| {
        let revoked = scope.spawn(|| revoke(&plane, 1));
        let claimed = scope.spawn(|| wait(gateway.claim(&presentation(1), NOW)));
        let cancel =
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        let cancelled = std::cell::Cell::new(0);
        let ended = || {
            cancelled.set(cancelled.get() + server.sql("postgres", cancel).len());
            revoked.is_finished() && claimed.is_finished()
        };
        assert!(within(Duration::from_secs(20), ended) && cancelled.get() >= 2);
        let text = revoked.join().unwrap().unwrap_err().to_string();
        assert!(text.starts_with("not revoked: "), "{text}");
        claimed.join().unwrap().unwrap_err();
    });
    // Nobody cancels, and nobody waits for ever.
    wait(gateway.claim(&presentation(2), NOW)).unwrap_err();
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_server_that_is_gone_is_unavailable_within_seconds_and_found_again() {
    let mut server = Server::start(&[]);
    let database = migrated(&server);
    let (plane, gateway) = (open(&server, "plane", &database), open(&server, "gateway", &database));
    revoke(&plane, 1).unwrap();
    server.kill();
    assert!(wait(gateway.claim(&presentation(1), NOW)).is_err());
    assert!(wait(gateway.head()).is_err() && wait(gateway.list(NOW)).is_err());
    assert!(revoke(&plane, 2).is_err());
    server.run_again();
    assert_eq!(wait(gateway.claim(&presentation(1), NOW)), Ok(Claim::First));
    assert_eq!(wait(gateway.list(NOW)).unwrap().revocations.len(), 1);
    revoke(&plane, 2).unwrap();
}

/// A listener whose connection was ended hears of what comes after.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn whoever_waits_is_woken_after_its_connection_was_ended() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let (plane, gateway) = (open(&server, "plane", &database), open(&server, "gateway", &database));
    for number in 0..3 {
        let head = wait(gateway.head()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| wait(gateway.wait(head, Duration::from_secs(60))));
            let others =
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway'";
            server.sql("postgres", others);
            revoke(&plane, number).unwrap();
        });
        assert_eq!(wait(gateway.head()).unwrap().number, number + 1);
    }
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_standby_is_refused_and_one_that_took_over_needs_a_new_epoch() {
    let mut primary = Server::start(&[]);
    let database = migrated(&primary);
    let engine = open(&primary, "plane", &database);
    revoke(&engine, 1).unwrap();
    let claimed = presentation(1);
    assert_eq!(wait(engine.claim(&claimed, NOW)), Ok(Claim::First));
    let standby = primary.standby();
    let either = format!(
        "host={},{} user=plane dbname={database}",
        primary.socket().display(),
        standby.socket().display()
    );
    let either = wait(Postgres::open(Settings::parse(&either).unwrap())).unwrap();
    let text = try_open(&standby, "plane", &database).unwrap_err().to_string();
    assert!(text.contains("does not allow writes"), "{text}");
    primary.kill();
    standby.sql("postgres", "SELECT pg_promote()");
    assert!(!standby.is_standby());
    let text = refused(try_open(&standby, "plane", &database));
    assert!(text.contains("timeline") && text.contains("begin a new epoch"), "{text}");
    let text = revoke(&either, 2).unwrap_err().to_string();
    assert!(text.contains("timeline"), "{text}");
    wait(either.claim(&presentation(2), NOW)).unwrap_err();
    let before = wait(either.head());
    assert!(before.is_err(), "{before:?}");

    // A gateway's role cannot.
    let gateway = settings(&standby, "gateway", &database);
    assert!(wait(Postgres::begin_epoch(gateway, Loss::Nothing, NOW)).is_err());
    let plane = || settings(&standby, "plane", &database);
    let begun = wait(Postgres::begin_epoch(plane(), POSSIBLE, later(60))).unwrap();
    assert_eq!(wait(either.head()).unwrap(), begun);
    let list = wait(either.list(NOW)).unwrap();
    assert_eq!((list.revocations.len(), list.forgotten_until), (1, Some(later(120))));
    // What may have been used counts as used, and what expires later can be used.
    assert_eq!(wait(either.claim(&presentation(3), NOW)), Ok(Claim::Again));
    let mut new = presentation(4);
    new.expires = later(60 + 601);
    assert_eq!(wait(either.claim(&new, NOW)), Ok(Claim::First));
    assert_eq!(wait(either.read(Position { number: 0, ..begun }, 10)), Ok(Events::Gone));
    assert_eq!(wait(either.read(begun, 10)), Ok(Events::Next(Vec::new())));
    revoke(&either, 2).unwrap();
    // A person who knows that nothing is lost refuses nobody.
    let again = wait(Postgres::begin_epoch(plane(), Loss::Nothing, later(6000))).unwrap();
    assert_eq!(wait(either.list(NOW)).unwrap().forgotten_until, Some(later(120)));
    assert!(again.epoch != begun.epoch && wait(either.head()).unwrap() == again);
    // Where verifiers accept presentations that live longer, these count as used as well.
    let longer = Loss::Possible { longest_call: Duration::from_secs(3000) };
    let begun = wait(Postgres::begin_epoch(plane(), longer, later(6000))).unwrap();
    assert_eq!(wait(either.head()).unwrap(), begun);
    for (number, expires, claimed) in [(5, 9000, Claim::Again), (6, 9001, Claim::First)] {
        let once = SingleUse::new("notion.mcp", id(number), later(expires));
        assert_eq!(wait(either.claim(&once, later(6000))), Ok(claimed));
    }
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_copied_or_restored_database_is_refused() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let engine = open(&server, "plane", &database);
    revoke(&engine, 1).unwrap();
    drop(engine);
    let free = format!("SELECT FROM pg_stat_activity WHERE datname = '{database}'");
    assert!(within(Duration::from_secs(10), || server.sql("postgres", &free).is_empty()));
    server.sql("postgres", &format!("CREATE DATABASE copied TEMPLATE {database}"));
    server.sql("copied", "GRANT CONNECT ON DATABASE copied TO plane");
    let text = refused(try_open(&server, "plane", "copied"));
    assert!(text.contains("restored from a dump or copied"), "{text}");
    // As a dump comes back: tables of the same content, made anew.
    server.sql(&database, "CREATE TABLE hardtack.was (LIKE hardtack.head); INSERT INTO hardtack.was TABLE hardtack.head; \
        ALTER TABLE hardtack.head RENAME TO old; ALTER TABLE hardtack.was RENAME TO head; \
        ALTER TABLE hardtack.head OWNER TO hardtack_plane");
    let text = refused(try_open(&server, "plane", &database));
    assert!(text.contains("restored from a dump or copied"), "{text}");
}

/// A snapshot of the disk has the same timeline and the same tables. Whoever has read further notices.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_database_that_went_back_to_a_snapshot_is_refused_by_whoever_has_read_further() {
    let mut server = Server::start(&[]);
    let database = migrated(&server);
    let (plane, gateway) = (open(&server, "plane", &database), open(&server, "gateway", &database));
    revoke(&plane, 1).unwrap();
    server.stop();
    let kept = tempfile::tempdir().unwrap();
    copy(&server.data(), &kept.path().join("data"));
    server.run_again();
    revoke(&plane, 2).unwrap();
    assert_eq!(all(&gateway).len(), 2);
    server.kill();
    std::fs::remove_dir_all(server.data()).unwrap();
    copy(&kept.path().join("data"), &server.data());
    server.run_again();
    for text in [
        wait(gateway.head()).unwrap_err().to_string(),
        wait(gateway.list(NOW)).unwrap_err().to_string(),
        revoke(&plane, 3).unwrap_err().to_string(),
    ] {
        assert!(text.contains("was read from it already"), "{text}");
    }
    let plane_settings = settings(&server, "plane", &database);
    wait(Postgres::begin_epoch(plane_settings, POSSIBLE, later(60))).unwrap();
    assert_eq!(wait(gateway.list(NOW)).unwrap().forgotten_until, Some(later(120)));
    revoke(&plane, 3).unwrap();
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn a_server_elsewhere_is_known_by_its_certificate_and_no_error_holds_the_password() {
    let key = rcgen::KeyPair::generate().unwrap();
    let named = rcgen::CertificateParams::new(vec!["db.example.com".to_owned()]).unwrap();
    let certificate = named.self_signed(&key).unwrap();
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let mut server = Server::start(&["listen_addresses=127.0.0.1", &format!("port={port}")]);
    let database = migrated(&server);
    server.sql("postgres", "ALTER ROLE gateway PASSWORD 'hunter2-of-gateway'");
    server.stop();
    let data = server.data();
    std::fs::write(data.join("server.crt"), certificate.pem()).unwrap();
    std::fs::write(data.join("server.key"), key.serialize_pem()).unwrap();
    std::fs::write(
        data.join("pg_hba.conf"),
        "local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
    )
    .unwrap();
    ["server.crt", "server.key", "pg_hba.conf"].iter().for_each(|file| private(&data.join(file)));
    server.run_again();
    let open = |password: &str, host: &str, authority: &rcgen::Certificate| {
        let address = format!(
            "postgres://gateway:{password}@{host}:{port}/{database}?hostaddr=127.0.0.1&sslmode=verify-full"
        );
        let settings = Settings::parse(&address).unwrap();
        let settings = settings.authorities(authority.pem().as_bytes()).unwrap();
        wait(Postgres::open(settings))
    };
    let good = "hunter2-of-gateway";
    // Without TLS at the server nothing is tried without it.
    let text = open(good, "db.example.com", &certificate).unwrap_err().to_string();
    assert!(text.contains("TLS") && !text.contains("hunter2"), "{text}");
    server.sql("postgres", "ALTER SYSTEM SET ssl = on");
    server.stop();
    server.run_again();
    let engine = open(good, "db.example.com", &certificate).unwrap();
    assert_eq!(wait(engine.claim(&presentation(1), NOW)), Ok(Claim::First));
    let encrypted =
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'gateway'";
    let encrypted = server.sql("postgres", encrypted);
    assert!(!encrypted.is_empty() && encrypted.iter().all(|row| row == &["t"]), "{encrypted:?}");
    let other = rcgen::KeyPair::generate().unwrap();
    let other = named.self_signed(&other).unwrap();
    for (password, host, authority) in [
        ("hunter2-of-another", "db.example.com", &certificate),
        (good, "db.example.net", &certificate),
        (good, "db.example.com", &other),
    ] {
        let error = open(password, host, authority).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2") && text.len() > 30, "{text}");
    }
}
