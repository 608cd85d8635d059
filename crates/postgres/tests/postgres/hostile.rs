//! What a reader who meant harm found: a primary that comes back after it was replaced.

use std::time::Duration;

use hardtack::RevocationLog;
use hardtack::audit::{Claim, SingleUse, Uses};
use hardtack::pending::wait;
use hardtack_postgres::{Loss, Postgres, Settings};

use crate::server::{Server, within};
use crate::stage::{NOW, id, later, migrated, settings};

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
    wait(Postgres::begin_epoch(plane, Loss::Possible, NOW)).unwrap();
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
