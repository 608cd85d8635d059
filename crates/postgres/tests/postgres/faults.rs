//! Faults, with counts: writers that sleep, a server that is killed under load, copies of presentations at many gateways.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hardtack::RevocationLog;
use hardtack::audit::{Claim, Uses};
use hardtack::pending::wait;
use hardtack::revocation::{Change, Events, Position, Receipt, RequestId};
use hardtack_postgres::{Postgres, Settings};

use crate::server::{Server, count};
use crate::stage::{NOW, all, block, id, migrated, open, presentation, revoke};

fn few_connections(server: &Server, role: &str, database: &str, connections: usize) -> Postgres {
    let settings = Settings::parse(&server.address(role, database)).unwrap();
    wait(Postgres::open(settings.connections(connections))).unwrap()
}

/// 32 processes' writers, whose transactions sleep after they have their numbers, and four who follow.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn of_32_writers_that_sleep_within_transactions_nobody_misses_an_event_or_sees_it_out_of_order() {
    const WRITERS: u64 = 32;
    const POLLERS: usize = 4;
    let events = count("HARDTACK_POSTGRES_EVENTS", 320).div_ceil(WRITERS) * WRITERS;
    let server = Server::start(&[]);
    let database = migrated(&server);
    server.sql(&database, "CREATE FUNCTION hardtack.sleep() RETURNS trigger LANGUAGE plpgsql AS \
        'BEGIN PERFORM pg_sleep(random() * 0.01); RETURN NULL; END'; \
        CREATE TRIGGER sleep AFTER INSERT ON hardtack.event FOR EACH STATEMENT EXECUTE FUNCTION hardtack.sleep()");
    let pollers: Vec<Postgres> =
        (0..POLLERS).map(|_| open(&server, "publisher", &database)).collect();
    let begin = wait(pollers[0].head()).unwrap();
    let seen = std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let engine = few_connections(&server, "plane", &database, 1);
            scope.spawn(move || {
                for each in 0..events / WRITERS {
                    let number = writer * events + each;
                    // A writer may stand in line for longer than an answer may take; it asks again with the same id.
                    let request = RequestId::random();
                    let revoked = (0..10)
                        .find_map(|_| wait(engine.append(vec![block(number)], request, NOW)).ok());
                    assert!(revoked.is_some());
                }
            });
        }
        let following: Vec<_> = pollers
            .iter()
            .map(|poller| {
                scope.spawn(move || {
                    let (mut at, mut seen) = (begin, Vec::new());
                    while (seen.len() as u64) < events {
                        wait(poller.wait(at, Duration::from_secs(5)));
                        let Events::Next(next) = wait(poller.read(at, 37)).unwrap() else {
                            panic!("gone")
                        };
                        for event in next {
                            assert_eq!(event.number, at.number + 1);
                            at.number = event.number;
                            seen.push(event);
                        }
                    }
                    seen
                })
            })
            .collect();
        following.into_iter().map(|following| following.join().unwrap()).collect::<Vec<_>>()
    });
    let log = all(&pollers[0]);
    assert_eq!(log.len() as u64, events);
    assert!(seen.iter().all(|seen| *seen == log));
    let ids: BTreeSet<String> = log
        .iter()
        .map(|event| match &event.change {
            Change::Revoked(entry) => entry.notice.revocation.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids.len() as u64, events);
    println!(
        "{events} events of {WRITERS} writers, followed by {POLLERS}: none missed, none out of order"
    );
}

/// What was acknowledged before all processes of the server were killed.
#[derive(Default)]
struct Acknowledged {
    revoked: Mutex<BTreeMap<u64, (RequestId, Vec<Receipt>)>>,
    claimed: Mutex<BTreeSet<u64>>,
    next: AtomicU64,
    is_over: AtomicBool,
}

impl Acknowledged {
    fn load(&self, plane: &Postgres, gateway: &Postgres) {
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let request = RequestId::random();
            if let Ok(receipts) = wait(plane.append(vec![block(number)], request, NOW)) {
                self.revoked.lock().unwrap().insert(number, (request, receipts));
            }
            match wait(gateway.claim(&presentation(number), NOW)) {
                Ok(Claim::First) => drop(self.claimed.lock().unwrap().insert(number)),
                Ok(Claim::Again) => panic!("{number} was claimed by nobody"),
                Err(_) => {}
            }
        }
    }

    fn count(&self) -> usize {
        self.revoked.lock().unwrap().len().min(self.claimed.lock().unwrap().len())
    }
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn nothing_acknowledged_is_lost_when_all_processes_of_the_server_are_killed_under_load() {
    let kills = count("HARDTACK_POSTGRES_KILLS", 2);
    let mut server = Server::start(&[]);
    let database = migrated(&server);
    let (plane, gateway) = (open(&server, "plane", &database), open(&server, "gateway", &database));
    let epoch = wait(plane.head()).unwrap().epoch;
    let acknowledged = Acknowledged::default();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| acknowledged.load(&plane, &gateway));
        }
        for kill in 0..kills {
            let before = acknowledged.count();
            let goes_on = || acknowledged.count() >= before + 10;
            assert!(
                crate::server::within(Duration::from_secs(60), goes_on),
                "kill {kill}: nothing goes on"
            );
            std::thread::sleep(Duration::from_millis(kill * 37 % 200));
            server.kill();
            server.run_again();
        }
        acknowledged.is_over.store(true, Ordering::Relaxed);
    });
    let log = all(&plane);
    let entries: BTreeMap<u64, String> = log
        .iter()
        .map(|event| match &event.change {
            Change::Revoked(entry) => (entry.sequence, entry.notice.revocation.to_string()),
            other => panic!("{other:?}"),
        })
        .collect();
    let head = wait(gateway.head()).unwrap();
    assert_eq!(head, Position { epoch, number: log.len() as u64 });
    let revoked = acknowledged.revoked.into_inner().unwrap();
    for (number, (request, receipts)) in &revoked {
        let [Receipt::Revoked { sequence }] = receipts[..] else { panic!("{receipts:?}") };
        assert_eq!(entries.get(&sequence), Some(&format!("id {}", id(*number))));
        let again = wait(plane.append(vec![block(*number)], *request, NOW));
        assert_eq!(again.as_ref(), Ok(receipts));
    }
    assert_eq!(wait(plane.head()).unwrap(), head, "asked again, nothing is made");
    let claimed = acknowledged.claimed.into_inner().unwrap();
    for number in &claimed {
        assert_eq!(wait(gateway.claim(&presentation(*number), NOW)), Ok(Claim::Again));
    }
    println!(
        "{kills} kills: {} revocations and {} claims acknowledged, none lost; {} events",
        revoked.len(),
        claimed.len(),
        log.len()
    );
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn of_50_copies_of_each_presentation_at_8_gateways_one_passes() {
    const GATEWAYS: u64 = 8;
    const COPIES: u64 = 50;
    let presentations = count("HARDTACK_POSTGRES_PRESENTATIONS", 50);
    let server = Server::start(&[]);
    let database = migrated(&server);
    let won = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for gateway in 0..GATEWAYS {
            let engine = open(&server, "gateway", &database);
            // Copies go round the gateways; each has a number of them in flight, in an order of its own.
            let copies: Vec<u64> = (0..COPIES * presentations)
                .filter(|copy| (copy / presentations) % GATEWAYS == gateway)
                .map(|copy| (copy * (2 * gateway + 1) + gateway * 7) % presentations)
                .collect();
            for part in 0..4 {
                let (engine, won) = (engine.clone(), &won);
                let copies: Vec<u64> = copies.iter().skip(part).step_by(4).copied().collect();
                scope.spawn(move || {
                    for number in copies {
                        if wait(engine.claim(&presentation(number), NOW)).unwrap() == Claim::First {
                            *won.lock().unwrap().entry(number).or_insert(0) += 1;
                        }
                    }
                });
            }
        }
    });
    let won: BTreeMap<u64, u64> = won.into_inner().unwrap();
    assert!(won.values().all(|times| *times == 1), "{won:?}");
    // What a gateway's own order left out is claimed by nobody yet.
    let last = open(&server, "gateway", &database);
    for number in 0..presentations {
        let claim = wait(last.claim(&presentation(number), NOW)).unwrap();
        assert_eq!(claim == Claim::Again, won.contains_key(&number), "{number}");
    }
    assert_eq!(won.len() as u64, presentations);
    println!(
        "{} copies of {presentations} presentations at {GATEWAYS} gateways: each passed once",
        COPIES * presentations
    );
}

/// Hours are dropped while presentations that expire in them are claimed: none is won twice.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn what_is_claimed_while_its_hour_is_dropped_is_won_once_at_most() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let (plane, gateway) = (open(&server, "plane", &database), open(&server, "gateway", &database));
    let won = Mutex::new(BTreeMap::<u64, u64>::new());
    let hours = count("HARDTACK_POSTGRES_HOURS", 6);
    std::thread::scope(|scope| {
        for hour in 0..hours {
            for _ in 0..4 {
                let (gateway, won) = (&gateway, &won);
                scope.spawn(move || {
                    for each in 0..40 {
                        let mut once = presentation(hour * 1000 + each % 20);
                        once.expires = NOW + Duration::from_secs(hour * 3600);
                        if wait(gateway.claim(&once, NOW)) == Ok(Claim::First) {
                            *won.lock().unwrap().entry(hour * 1000 + each % 20).or_insert(0) += 1;
                        }
                    }
                });
            }
        }
        for hour in 0..hours + 3 {
            // Under the load a lock may not come in time, and later is soon enough.
            let _ = wait(plane.collect(NOW + Duration::from_secs(hour * 3600)));
        }
    });
    let won = won.into_inner().unwrap();
    assert!(!won.is_empty() && won.values().all(|times| *times == 1), "{won:?}");
    wait(plane.collect(NOW + Duration::from_secs((hours + 3) * 3600))).unwrap();
    assert_eq!(server.sql(&database, "SELECT count(*) FROM hardtack.used"), [["0"]]);
    for number in won.keys() {
        let mut once = presentation(*number);
        once.expires = NOW + Duration::from_secs(number / 1000 * 3600);
        assert_eq!(wait(gateway.claim(&once, NOW)), Ok(Claim::Again));
    }
}

/// More than wait at once are refused, not kept: and those that are answered are in force.
#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn more_requests_than_may_wait_are_refused_at_once() {
    let server = Server::start(&[]);
    let database = migrated(&server);
    let plane = open(&server, "plane", &database);
    revoke(&plane, 1_000_000).unwrap();
    let answers: Vec<_> = std::thread::scope(|scope| {
        // Somebody keeps the head locked meanwhile.
        let lock = "BEGIN; SELECT FROM hardtack.head FOR UPDATE; SELECT pg_sleep(2); COMMIT";
        scope.spawn(|| server.sql(&database, lock));
        let sleeps = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        let is_locked = || !server.sql("postgres", sleeps).is_empty();
        assert!(crate::server::within(Duration::from_secs(10), is_locked));
        let asked: Vec<_> = (0..3000)
            .map(|number| plane.append(vec![block(number)], RequestId::random(), NOW))
            .collect();
        asked.into_iter().map(wait).collect()
    });
    let refused = answers.iter().filter(|answer| answer.is_err()).count();
    assert!((1500..3000).contains(&refused), "the queue takes no more than it says: {refused}");
    assert_eq!(all(&plane).len(), 1 + answers.len() - refused);
    let large = (0..20_001).map(block).collect();
    let text = wait(plane.append(large, RequestId::random(), NOW)).unwrap_err().to_string();
    assert!(text.contains("at most 20000"), "{text}");
}
