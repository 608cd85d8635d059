mod model;
mod put_back;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::cause::Cause;
use crate::chain::Chain;
use crate::keys::PrivateKey;
use crate::log::CheckpointError;
use crate::pending::{Pending, wait};
use crate::revocation::copy::tests::chain;
use crate::revocation::{
    Epoch, Event, Events, Position, Receipt, RequestId, Revocation, RevocationLog,
    RevocationLogError, RevocationSource, RevokedBy, Revoking, Snapshot,
};
use crate::store::Store;
use crate::timestamp::Timestamp;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

fn later(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

fn key() -> PrivateKey {
    PrivateKey::from_bytes(&[9; 32])
}

/// What was kept last.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Option<String>>>);

impl Disk {
    fn text(&self) -> Option<String> {
        self.0.lock().unwrap().clone()
    }

    fn keeper(&self) -> impl FnMut(&str) -> std::io::Result<()> + Send + use<> {
        let disk = self.clone();
        move |text| {
            *disk.0.lock().unwrap() = Some(text.to_owned());
            Ok(())
        }
    }
}

fn publisher(log: &Store, disk: &Disk, now: Timestamp) -> Result<Publisher, PublishError> {
    let publishing = Publishing::new(key()).state(disk.text(), disk.keeper());
    Publisher::open(Arc::new(log.clone()), publishing, now)
}

fn follower(feed: &Publisher, disk: &Disk) -> Follower {
    let follower = Follower::new(feed.key().clone());
    follower.going_on(disk.text().as_deref(), disk.keeper()).unwrap()
}

/// Takes all that was published, as a client does: what does not fit is fetched anew.
fn take_anyhow(
    follower: &mut Follower,
    published: &Published,
    now: Timestamp,
) -> Result<(usize, usize), FeedError> {
    match take(follower, published, now) {
        Err(FeedError::Line | FeedError::Root | FeedError::Missed) => {
            take(follower, published, now)
        }
        taken => taken,
    }
}

/// Takes all that was published; returns how many snapshots and pieces of lines that took.
fn take(
    follower: &mut Follower,
    published: &Published,
    now: Timestamp,
) -> Result<(usize, usize), FeedError> {
    let mut fetched = (0, 0);
    let mut wanted = follower.offer(published.checkpoint(), now)?;
    loop {
        wanted = match wanted {
            Wanted::Nothing => return Ok(fetched),
            Wanted::Lines { epoch, first, last } => {
                fetched.1 += 1;
                let lines = published.lines(epoch, first, last).unwrap_or_default();
                follower.lines(&lines, now)?
            }
            Wanted::Snapshot { epoch, size, bytes } => {
                fetched.0 += 1;
                let snapshot = published.snapshot(epoch, size).expect("it is the last");
                assert_eq!(snapshot.len() as u64, bytes);
                follower.snapshot(&snapshot, now)?
            }
        };
    }
}

/// What stops the hop of the chain with this number.
fn hop(number: u8) -> Revocation {
    Revocation::Id { id: chain(NOW, number).hops[0].revocation_id }
}

fn revoke(log: &Store, revocation: Revocation, now: Timestamp) {
    log.revoke(Revoking::new(revocation, "tests", "stolen").unwrap(), now).unwrap();
}

fn by(follower: &Follower, chain: &Chain) -> Option<RevokedBy> {
    follower.revocations().revoked(chain, &key().public()).unwrap().map(|revoked| revoked.by)
}

#[test]
fn what_is_revoked_of_any_kind_is_revoked_at_the_follower_and_nothing_else() {
    let (log, disk) = (Store::in_memory().unwrap(), Disk::default());
    let mut feed = publisher(&log, &disk, NOW).unwrap();
    let mut follower = follower(&feed, &Disk::default());
    assert!(follower.revocations().revoked(&chain(NOW, 1), &key().public()).is_err());
    take(&mut follower, &feed.advance(NOW).unwrap(), NOW).unwrap();
    let bound = Chain { ..chain(NOW, 5) };
    let root = key().public();
    let until = later(60);
    for (number, revocation, answer) in [
        (1, hop(1), RevokedBy::Id),
        (
            2,
            Revocation::Subject { subject: "user:2".to_owned(), root: Some(root) },
            RevokedBy::Subject { until },
        ),
        (3, Revocation::Agent { agent: "agent.3".to_owned() }, RevokedBy::Agent),
        (
            4,
            Revocation::AgentUntilNow { agent: "agent.4".to_owned() },
            RevokedBy::AgentUntilNow { until },
        ),
    ] {
        assert_eq!(by(&follower, &chain(NOW, number)), None);
        revoke(&log, revocation, NOW);
        let published = feed.advance(NOW).unwrap();
        assert_eq!(take(&mut follower, &published, NOW), Ok((0, 1)));
        assert_eq!(by(&follower, &chain(NOW, number)), Some(answer));
    }
    let holder = PrivateKey::from_bytes(&[5; 32]).public();
    let mut held = bound;
    held.hops[0].holder = Some(holder);
    assert_eq!(by(&follower, &held), None);
    revoke(&log, Revocation::Holder { key: holder }, NOW);
    take(&mut follower, &feed.advance(NOW).unwrap(), NOW).unwrap();
    assert_eq!(by(&follower, &held), Some(RevokedBy::Holder));
    assert_eq!(by(&follower, &chain(NOW, 6)), None);
    // Whoever begins now knows the same from the snapshot and the lines after it.
    let mut newcomer = Follower::new(feed.key().clone());
    take(&mut newcomer, &feed.advance(NOW).unwrap(), NOW).unwrap();
    for number in 1..=6 {
        assert_eq!(by(&newcomer, &chain(NOW, number)), by(&follower, &chain(NOW, number)));
    }
    assert_eq!(by(&newcomer, &held), Some(RevokedBy::Holder));
}

#[test]
fn it_is_as_fresh_as_its_last_checkpoint_and_one_from_the_future_makes_it_no_fresher() {
    let log = Store::in_memory().unwrap();
    let mut feed = publisher(&log, &Disk::default(), NOW).unwrap();
    let mut follower = Follower::new(feed.key().clone());
    let as_of = |follower: &Follower| follower.revocations().knowledge().span().unwrap().0;
    assert_eq!(as_of(&follower), Timestamp::default());
    take(&mut follower, &feed.advance(NOW).unwrap(), NOW).unwrap();
    assert_eq!(as_of(&follower), NOW);
    take(&mut follower, &feed.advance(later(5)).unwrap(), later(5)).unwrap();
    assert_eq!(as_of(&follower), later(5));
    // The publisher's clock is an hour ahead.
    take(&mut follower, &feed.advance(later(3600)).unwrap(), later(6)).unwrap();
    assert_eq!(as_of(&follower), later(5));
    // It is right again, and so is the follower.
    take(&mut follower, &feed.advance(later(10)).unwrap(), later(10)).unwrap();
    assert_eq!(as_of(&follower), later(10));
    // A jump of more than an hour is believed at the second look, and harms nobody after it.
    let year = 365 * 24 * 3600;
    let refused = feed.advance(later(year)).unwrap_err();
    assert_eq!(refused, PublishError::Clock { signed: later(10), now: later(year) });
    assert_eq!(refused.cause(), Cause::ClockDoubted);
    let future = feed.advance(later(year)).unwrap();
    take(&mut follower, &future, later(15)).unwrap();
    assert_eq!(as_of(&follower), later(10));
    revoke(&log, hop(1), later(20));
    take(&mut follower, &feed.advance(later(20)).unwrap(), later(20)).unwrap();
    assert_eq!(as_of(&follower), later(20));
    // What was signed for then cannot be shown then.
    assert_eq!(take(&mut follower, &future, later(year)), Err(FeedError::Older));
    assert_eq!(by(&follower, &chain(NOW, 1)), Some(RevokedBy::Id));
}

#[test]
fn nothing_older_is_taken_before_a_restart_or_after() {
    let (log, disk) = (Store::in_memory().unwrap(), Disk::default());
    let mut feed = publisher(&log, &Disk::default(), NOW).unwrap();
    let mut first = follower(&feed, &disk);
    let earlier = feed.advance(NOW).unwrap();
    take(&mut first, &earlier, NOW).unwrap();
    let same_size = feed.advance(later(5)).unwrap();
    take(&mut first, &same_size, later(5)).unwrap();
    // Of the same events, it is no contradiction, and makes nothing fresher or less fresh.
    assert_eq!(take(&mut first, &earlier, later(6)), Ok((0, 0)));
    assert_eq!(first.revocations().knowledge().span(), Some((later(5), later(5))));
    revoke(&log, hop(1), later(6));
    let latest = feed.advance(later(6)).unwrap();
    take(&mut first, &latest, later(6)).unwrap();
    assert_eq!(take(&mut first, &same_size, later(7)), Err(FeedError::Older));
    let mut again = follower(&feed, &disk);
    assert_eq!(take(&mut again, &same_size, later(7)), Err(FeedError::Older));
    assert!(again.revocations().revoked(&chain(NOW, 1), &key().public()).is_err());
    take(&mut again, &latest, later(7)).unwrap();
    assert_eq!(by(&again, &chain(NOW, 1)), Some(RevokedBy::Id));
}

#[test]
fn what_was_changed_on_the_way_is_refused_and_what_was_known_stays() {
    let (log, disk) = (Store::in_memory().unwrap(), Disk::default());
    let mut feed = publisher(&log, &disk, NOW).unwrap();
    let mut follower = Follower::new(feed.key().clone());
    take(&mut follower, &feed.advance(NOW).unwrap(), NOW).unwrap();
    revoke(&log, hop(1), NOW);
    revoke(&log, hop(2), NOW);
    let published = feed.advance(later(1)).unwrap();
    let checkpoint = published.checkpoint().to_owned();
    for at in 0..checkpoint.len() {
        let mut bytes = checkpoint.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        assert!(follower.offer(&text, later(1)).is_err(), "byte {at} of {text}");
    }
    let lines = published.lines(1, 1, 2).unwrap();
    let (one, other) = lines.split_once('\n').unwrap();
    let wrong: Vec<String> = vec![
        String::new(),
        "\n".to_owned(),
        lines.trim_end().to_owned(),
        format!("{one}\n"),
        format!("{other}{one}\n"),
        format!("{one}\n{one}\n"),
        format!("{lines}{one}\n"),
        lines.replace("\"id\"", "\"idea\""),
        lines.replace("2026", "2027"),
        format!("{lines}\n"),
    ];
    for wrong in wrong {
        let mut follower = Follower::new(feed.key().clone());
        let Wanted::Snapshot { epoch, size, .. } = follower.offer(&checkpoint, NOW).unwrap() else {
            panic!("it knows nothing")
        };
        let snapshot = published.snapshot(epoch, size).unwrap();
        let Wanted::Lines { first: 1, last: 2, .. } = follower.snapshot(&snapshot, NOW).unwrap()
        else {
            panic!("two are missing")
        };
        let refused = follower.lines(&wrong, NOW).unwrap_err();
        assert!(
            matches!(refused, FeedError::Line | FeedError::Root | FeedError::Unasked),
            "{wrong:?}: {refused}"
        );
        assert!(follower.revocations().revoked(&chain(NOW, 1), &key().public()).is_err());
        // Nothing sticks: the right ones are taken.
        take(&mut follower, &published, NOW).unwrap();
        assert_eq!(by(&follower, &chain(NOW, 1)), Some(RevokedBy::Id));
    }
    let snapshot = published.snapshot(1, 0).unwrap();
    for at in 0..snapshot.len() {
        let mut bytes = snapshot.as_bytes().to_vec();
        bytes[at] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let mut follower = Follower::new(feed.key().clone());
        let _ = follower.offer(&checkpoint, NOW).unwrap();
        assert_eq!(follower.snapshot(&text, NOW), Err(FeedError::Snapshot), "byte {at}");
    }
    // Another feed's checkpoint.
    let publishing = Publishing::new(PrivateKey::from_bytes(&[8; 32]));
    let mut other = Publisher::open(Arc::new(log.clone()), publishing, NOW).unwrap();
    let foreign = other.advance(later(2)).unwrap();
    let refused = follower.offer(foreign.checkpoint(), later(2)).unwrap_err();
    assert!(matches!(refused, FeedError::Checkpoint(CheckpointError::Signature { .. })));
    assert_eq!(refused.cause(), Cause::CheckpointSignature);
}

#[test]
fn a_publisher_goes_on_where_it_stopped_and_its_followers_with_it() {
    let (log, disk) = (Store::in_memory().unwrap(), Disk::default());
    let mut feed = publisher(&log, &disk, NOW).unwrap();
    let mut follower = Follower::new(feed.key().clone());
    revoke(&log, hop(1), NOW);
    take(&mut follower, &feed.advance(NOW).unwrap(), NOW).unwrap();
    drop(feed);
    revoke(&log, hop(2), NOW);
    let mut feed = publisher(&log, &disk, NOW).unwrap();
    let published = feed.advance(later(1)).unwrap();
    // The line that it signed before it stopped is at hand, too.
    assert_eq!(published.lines(1, 1, 2).unwrap().lines().count(), 2);
    assert_eq!(take(&mut follower, &published, later(1)), Ok((0, 1)));
    assert_eq!(by(&follower, &chain(NOW, 2)), Some(RevokedBy::Id));
    assert_eq!(published.head().size, 2);
}

#[test]
fn what_cannot_be_kept_revokes_and_makes_nothing_fresher() {
    let log = Store::in_memory().unwrap();
    let mut feed = publisher(&log, &Disk::default(), NOW).unwrap();
    let full = Arc::new(Mutex::new(false));
    let is_full = Arc::clone(&full);
    let keep = move |_: &str| match *is_full.lock().unwrap() {
        true => Err(std::io::Error::other("the disk is full")),
        false => Ok(()),
    };
    let follower = Follower::new(feed.key().clone());
    let mut follower = follower.going_on(None, keep).unwrap();
    take(&mut follower, &feed.advance(NOW).unwrap(), NOW).unwrap();
    *full.lock().unwrap() = true;
    revoke(&log, hop(1), NOW);
    let refused = take(&mut follower, &feed.advance(later(5)).unwrap(), later(5)).unwrap_err();
    assert_eq!(refused, FeedError::Keep("the disk is full".to_owned()));
    assert_eq!(by(&follower, &chain(NOW, 1)), Some(RevokedBy::Id));
    assert_eq!(follower.revocations().knowledge().span(), Some((NOW, NOW)));
    *full.lock().unwrap() = false;
    take(&mut follower, &feed.advance(later(6)).unwrap(), later(6)).unwrap();
    assert_eq!(follower.revocations().knowledge().span(), Some((later(6), later(6))));
    // A publisher that cannot keep its state signs nothing.
    let failing = Publishing::new(key()).state(None, |_| Err(std::io::Error::other("gone")));
    let refused = Publisher::open(Arc::new(log), failing, NOW).unwrap_err();
    assert_eq!(refused, PublishError::Keep("gone".to_owned()));
}

/// A log that keeps its last events only, as one that is archived does.
struct Short(Store, Mutex<u64>);

impl RevocationLog for Short {
    fn append<'a>(
        &'a self,
        batch: Vec<Revoking>,
        request: RequestId,
        now: Timestamp,
    ) -> Pending<'a, Result<Vec<Receipt>, RevocationLogError>> {
        self.0.append(batch, request, now)
    }

    fn read<'a>(
        &'a self,
        after: Position,
        at_most: usize,
    ) -> Pending<'a, Result<Events, RevocationLogError>> {
        if after.number < *self.1.lock().unwrap() {
            return Box::pin(std::future::ready(Ok(Events::Gone)));
        }
        RevocationLog::read(&self.0, after, at_most)
    }

    fn head<'a>(&'a self) -> Pending<'a, Result<Position, RevocationLogError>> {
        RevocationLog::head(&self.0)
    }

    fn list<'a>(&'a self, now: Timestamp) -> Pending<'a, Result<Snapshot, RevocationLogError>> {
        self.0.list(now)
    }

    fn wait<'a>(&'a self, after: Position, at_most: Duration) -> Pending<'a, ()> {
        RevocationLog::wait(&self.0, after, at_most)
    }
}

#[test]
fn events_that_a_log_keeps_no_longer_are_made_good_by_a_snapshot() {
    let log = Arc::new(Short(Store::in_memory().unwrap(), Mutex::new(0)));
    let mut feed = Publisher::open(log.clone(), Publishing::new(key()), NOW).unwrap();
    let mut follower = Follower::new(feed.key().clone());
    take(&mut follower, &feed.advance(NOW).unwrap(), NOW).unwrap();
    for number in 1..=4 {
        revoke(&log.0, hop(number), NOW);
    }
    *log.1.lock().unwrap() = 3;
    let published = feed.advance(later(1)).unwrap();
    assert_eq!(take(&mut follower, &published, later(1)), Err(FeedError::Missed));
    assert_eq!(take(&mut follower, &published, later(1)), Ok((1, 0)));
    for number in 1..=4 {
        assert_eq!(by(&follower, &chain(NOW, number)), Some(RevokedBy::Id));
    }
    revoke(&log.0, hop(5), NOW);
    assert_eq!(take(&mut follower, &feed.advance(later(2)).unwrap(), later(2)), Ok((0, 1)));
    assert_eq!(by(&follower, &chain(NOW, 5)), Some(RevokedBy::Id));
}

#[test]
fn thousands_of_events_come_in_pieces_and_many_thousands_by_a_snapshot() {
    let (log, disk) = (Store::in_memory().unwrap(), Disk::default());
    let mut feed = publisher(&log, &disk, NOW).unwrap();
    let mut follower = Follower::new(feed.key().clone());
    take(&mut follower, &feed.advance(NOW).unwrap(), NOW).unwrap();
    let many = |from: u32, to: u32| {
        let ids = (from..to).map(|number| {
            let mut bytes = [0; 64];
            bytes[32..36].copy_from_slice(&number.to_le_bytes());
            let id = crate::RevocationId::from_bytes(bytes);
            Revoking::new(Revocation::Id { id }, "tests", "stolen").unwrap()
        });
        wait(log.append(ids.collect(), RequestId::random(), NOW)).unwrap();
    };
    many(0, 2500);
    let published = feed.advance(NOW).unwrap();
    assert_eq!(published.lines(1, 1, 1001), None);
    assert_eq!(published.lines(1, 0, 1), None);
    assert_eq!(published.lines(1, 2, 1), None);
    assert_eq!(published.lines(1, 2501, 2501), None);
    assert_eq!(published.lines(2, 1, 1), None);
    assert_eq!(take(&mut follower, &published, NOW), Ok((0, 3)));
    many(2500, 13_000);
    let published = feed.advance(NOW).unwrap();
    assert_eq!(take(&mut follower, &published, NOW), Ok((1, 0)));
    let mut bytes = [0; 64];
    for number in [0_u32, 2499, 2500, 12_999] {
        bytes[32..36].copy_from_slice(&number.to_le_bytes());
        assert!(follower.revocations().contains(&crate::RevocationId::from_bytes(bytes)));
    }
    bytes[32..36].copy_from_slice(&13_000_u32.to_le_bytes());
    assert!(!follower.revocations().contains(&crate::RevocationId::from_bytes(bytes)));
}

#[test]
fn what_the_log_forgets_its_followers_forget_in_their_time() {
    let (log, disk) = (Store::in_memory().unwrap(), Disk::default());
    let mut feed = publisher(&log, &disk, NOW).unwrap();
    let mut follower = Follower::new(feed.key().clone());
    revoke(&log, hop(1), NOW);
    revoke(&log, Revocation::Agent { agent: "agent.2".to_owned() }, NOW);
    take(&mut follower, &feed.advance(NOW).unwrap(), NOW).unwrap();
    let mut now = NOW;
    let mut forgotten_at = None;
    for _ in 0..(26 * 60) {
        now = now + Duration::from_secs(60);
        log.collect(now).unwrap();
        take(&mut follower, &feed.advance(now).unwrap(), now).unwrap();
        let id = chain(NOW, 1).hops[0].revocation_id;
        if forgotten_at.is_none() && !follower.revocations().contains(&id) {
            forgotten_at = Some(now);
        }
    }
    let forgotten_at = forgotten_at.expect("it is forgotten one day");
    assert!(forgotten_at.since(NOW) >= Duration::from_secs(25 * 3600), "{forgotten_at}");
    // Its mark refuses what it stopped, and what is revoked for good stays.
    assert_eq!(by(&follower, &chain(NOW, 1)), Some(RevokedBy::Forgotten { until: later(60) }));
    assert_eq!(by(&follower, &chain(now, 2)), Some(RevokedBy::Agent));
}

#[test]
fn a_tree_larger_than_any_is_refused() {
    let feed = head::key_of(&key()).unwrap();
    for size in [1 << 62, u64::MAX - 10, u64::MAX] {
        let snapshot = head::SnapshotName { size, bytes: 9, digest: [0; 32] };
        let head = FeedHead { epoch: 1, size, root: [0; 32], issued: NOW, snapshot };
        let signed = head.sign(&key(), &feed).unwrap();
        let refused = Follower::new(feed.clone()).offer(&signed, NOW).unwrap_err();
        assert_eq!(refused, FeedError::Checkpoint(CheckpointError::Form), "{size}");
        let hashes = vec![[1; 32]; size.count_ones() as usize];
        assert!(crate::log::Frontier::of_hashes(size, &hashes).is_none(), "{size}");
    }
}

#[test]
fn a_line_of_an_event_is_read_as_what_it_was_made_of() {
    let log = Store::in_memory().unwrap();
    revoke(&log, hop(1), NOW);
    revoke(&log, Revocation::Subject { subject: "user:a".to_owned(), root: None }, NOW);
    let at = Position { epoch: wait(RevocationLog::head(&log)).unwrap().epoch, number: 0 };
    let Events::Next(events) = wait(RevocationLog::read(&log, at, 9)).unwrap() else {
        panic!("two events")
    };
    let lines: Vec<String> =
        events.iter().map(|event: &Event| super::line::of_change(&event.change)).collect();
    assert_eq!(
        lines,
        [
            r#"{"kind":"id","sequence":1,"id":"65656565656565656565656565656565","revoked":"2026-11-23T10:00:00Z","expires":"2026-11-24T11:00:00Z"}"#,
            r#"{"kind":"subject","sequence":2,"subject":"user:a","revoked":"2026-11-23T10:00:00Z","expires":"2026-11-24T11:00:00Z"}"#,
        ]
    );
    for wrong in [
        "",
        "{}",
        r#"{"kind":"id","sequence":1,"id":"6565","revoked":"2026-11-23T10:00:00Z","expires":null}"#,
        r#"{"kind":"agent","sequence":1,"agent":"an agent","revoked":"2026-11-23T10:00:00Z","expires":null}"#,
        r#"{"kind":"agent","sequence":1,"agent":"agent.a","revoked":"2026-11-23T10:00:00Z","expires":null,"but":1}"#,
        r#"{"kind":"other","sequence":1}"#,
    ] {
        assert_eq!(super::line::read(wrong), None, "{wrong}");
    }
}
