//! A log, or the state of its feed, that was put back: published by nobody, or believed by nobody who followed it.

use super::*;

/// What is in one folder, and nothing else, is in the other.
fn put(from: &std::path::Path, to: &std::path::Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn a_publisher_signs_nothing_for_a_log_that_went_back_or_is_another_until_a_person_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (held, yesterday) = (folder.path().join("held"), folder.path().join("yesterday"));
    std::fs::create_dir(&held).unwrap();
    let path = held.join("log");
    let disk = Disk::default();
    let log = Store::create(&path).unwrap();
    revoke(&log, hop(1), NOW);
    drop(log);
    put(&held, &yesterday);
    let log = Store::open(&path).unwrap();
    let mut feed = publisher(&log, &disk, NOW).unwrap();
    revoke(&log, hop(2), NOW);
    let mut follower = Follower::new(feed.key().clone());
    take(&mut follower, &feed.advance(NOW).unwrap(), NOW).unwrap();
    drop((feed, log));
    // Yesterday's copy of its files is put back.
    put(&yesterday, &held);
    let log = Store::open(&path).unwrap();
    let refused = publisher(&log, &disk, NOW).unwrap_err();
    assert_eq!(refused, PublishError::WentBack { published: 2, log: 1 });
    let other = Store::in_memory().unwrap();
    assert_eq!(publisher(&other, &disk, NOW).unwrap_err(), PublishError::OtherLog);
    let begin = |number| {
        let publishing = Publishing::new(key()).state(disk.text(), disk.keeper());
        Publisher::open(Arc::new(log.clone()), publishing.new_epoch(number), later(100))
    };
    assert_eq!(begin(0).unwrap_err(), PublishError::Epoch { known: 1 });
    assert_eq!(begin(1).unwrap_err(), refused);
    let mut feed = begin(2).unwrap();
    // What the follower knew stays, and what was granted before the epoch is refused, at those who begin as well.
    let published = feed.advance(later(100)).unwrap();
    assert_eq!(take(&mut follower, &published, later(100)), Ok((1, 0)));
    assert_eq!(by(&follower, &chain(NOW, 2)), Some(RevokedBy::Id));
    let mut newcomer = Follower::new(feed.key().clone());
    take(&mut newcomer, &published, later(100)).unwrap();
    let forgotten = Some(RevokedBy::Forgotten { until: later(160) });
    assert_eq!(by(&newcomer, &chain(NOW, 2)), forgotten);
    assert_eq!(by(&newcomer, &chain(later(160), 2)), forgotten);
    assert_eq!(by(&newcomer, &chain(later(161), 2)), None);
    assert_eq!(by(&newcomer, &chain(later(161), 1)), Some(RevokedBy::Id));
    // Without its state, a feed begins at the beginning, which nobody takes who knew it.
    let lost = Publishing::new(key());
    let mut lost = Publisher::open(Arc::new(log), lost, later(200)).unwrap();
    let published = lost.advance(later(200)).unwrap();
    assert_eq!(take(&mut follower, &published, later(200)), Err(FeedError::Older));
}

/// A log whose files were put back below its readers: the same epoch, and what another one has.
struct Swapped {
    store: Mutex<Store>,
    epoch: Epoch,
    /// Events up to this one are kept no longer.
    gone: Mutex<u64>,
}

impl Swapped {
    fn of(store: &Store) -> Swapped {
        let epoch = wait(RevocationLog::head(store)).unwrap().epoch;
        Swapped { store: Mutex::new(store.clone()), epoch, gone: Mutex::new(0) }
    }

    fn store(&self) -> Store {
        self.store.lock().unwrap().clone()
    }
}

impl RevocationLog for Swapped {
    fn append<'a>(
        &'a self,
        _: Vec<Revoking>,
        _: RequestId,
        _: Timestamp,
    ) -> Pending<'a, Result<Vec<Receipt>, RevocationLogError>> {
        let refused = RevocationLogError::Unavailable("for readers".to_owned());
        Box::pin(std::future::ready(Err(refused)))
    }

    fn read<'a>(
        &'a self,
        after: Position,
        at_most: usize,
    ) -> Pending<'a, Result<Events, RevocationLogError>> {
        if after.number < *self.gone.lock().unwrap() {
            return Box::pin(std::future::ready(Ok(Events::Gone)));
        }
        let epoch = wait(RevocationLog::head(&self.store())).unwrap().epoch;
        let epoch = if after.epoch == self.epoch { epoch } else { after.epoch };
        let read = wait(RevocationLog::read(&self.store(), Position { epoch, ..after }, at_most));
        Box::pin(std::future::ready(read))
    }

    fn head<'a>(&'a self) -> Pending<'a, Result<Position, RevocationLogError>> {
        let head = wait(RevocationLog::head(&self.store()));
        let head = head.map(|head| Position { epoch: self.epoch, ..head });
        Box::pin(std::future::ready(head))
    }

    fn list<'a>(&'a self, now: Timestamp) -> Pending<'a, Result<Snapshot, RevocationLogError>> {
        let list = wait(RevocationLog::list(&self.store(), now)).map(|mut list| {
            list.at.epoch = self.epoch;
            list
        });
        Box::pin(std::future::ready(list))
    }

    fn wait<'a>(&'a self, _: Position, _: Duration) -> Pending<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn a_log_that_was_put_back_and_has_grown_since_is_not_published() {
    let (one, two) = (Store::in_memory().unwrap(), Store::in_memory().unwrap());
    for store in [&one, &two] {
        revoke(store, hop(1), NOW);
    }
    let (log, disk) = (Arc::new(Swapped::of(&one)), Disk::default());
    let open = |now| {
        let publishing = Publishing::new(key()).state(disk.text(), disk.keeper());
        Publisher::open(log.clone(), publishing, now)
    };
    let mut feed = open(NOW).unwrap();
    revoke(&one, hop(2), NOW);
    feed.advance(NOW).unwrap();
    // Put back, and as many are revoked since, and more.
    for number in [3, 4] {
        revoke(&two, hop(number), later(5));
    }
    *log.store.lock().unwrap() = two;
    assert_eq!(feed.advance(later(6)).unwrap_err(), PublishError::OtherLog);
    assert_eq!(open(later(6)).unwrap_err(), PublishError::OtherLog);
    // What was there before is published as before.
    *log.store.lock().unwrap() = one;
    feed.advance(later(7)).unwrap();
    open(later(7)).unwrap();
}

#[test]
fn a_log_that_was_put_back_is_found_by_its_last_event_where_it_keeps_no_earlier_ones() {
    let (one, two) = (Store::in_memory().unwrap(), Store::in_memory().unwrap());
    for number in [1, 2, 3] {
        revoke(&one, hop(number), NOW);
        revoke(&two, hop(10 + number), NOW);
    }
    let (log, disk) = (Arc::new(Swapped::of(&one)), Disk::default());
    let open = || {
        let publishing = Publishing::new(key()).state(disk.text(), disk.keeper());
        Publisher::open(log.clone(), publishing, later(1))
    };
    let mut feed = open().unwrap();
    revoke(&one, hop(4), NOW);
    feed.advance(NOW).unwrap();
    revoke(&two, hop(5), NOW);
    *log.gone.lock().unwrap() = 3;
    open().unwrap();
    *log.store.lock().unwrap() = two;
    assert_eq!(open().unwrap_err(), PublishError::OtherLog);
}

#[test]
fn a_feed_whose_log_and_state_were_put_back_is_refused_by_whoever_followed_it() {
    let (one, two) = (Store::in_memory().unwrap(), Store::in_memory().unwrap());
    let log = Arc::new(Swapped::of(&one));
    let (disk, kept) = (Disk::default(), Disk::default());
    let open = |now| {
        let publishing = Publishing::new(key()).state(disk.text(), disk.keeper());
        Publisher::open(log.clone(), publishing, now).unwrap()
    };
    let mut feed = open(NOW);
    feed.advance(NOW).unwrap();
    let backup = disk.text();
    revoke(&one, Revocation::Agent { agent: "agent.2".to_owned() }, later(1));
    let mut running = follower(&feed, &kept);
    take(&mut running, &feed.advance(later(2)).unwrap(), later(2)).unwrap();
    *disk.0.lock().unwrap() = backup;
    for number in [3, 4] {
        revoke(&two, hop(number), later(3));
    }
    *log.store.lock().unwrap() = two;
    let mut feed = open(later(4));
    let lie = feed.advance(later(5)).unwrap();
    for mut follower in [running, follower(&feed, &kept)] {
        for _ in 0..3 {
            let refused = take_anyhow(&mut follower, &lie, later(5)).unwrap_err();
            assert!(matches!(refused, FeedError::Root | FeedError::Fork { .. }), "{refused}");
        }
        let fresh = follower.revocations().knowledge().span().unwrap().1;
        assert!(fresh <= later(2), "{fresh}");
    }
    // In a new epoch it is taken, and the ban is not known to whoever begins; what was granted before is refused.
    let publishing = Publishing::new(key()).state(disk.text(), disk.keeper()).new_epoch(2);
    let mut feed = Publisher::open(log.clone(), publishing, later(6)).unwrap();
    assert_eq!(feed.refused_until(), Some(later(66)));
    let mut follower = follower(&feed, &kept);
    take(&mut follower, &feed.advance(later(6)).unwrap(), later(6)).unwrap();
    let until = later(66);
    assert_eq!(by(&follower, &chain(NOW, 2)), Some(RevokedBy::Forgotten { until }));
    // It may be said at each start.
    drop(feed);
    let publishing = Publishing::new(key()).state(disk.text(), disk.keeper()).new_epoch(2);
    let feed = Publisher::open(log, publishing, later(60)).unwrap();
    assert_eq!(feed.refused_until(), Some(later(66)));
}

#[test]
fn a_feed_that_tells_two_stories_is_refused() {
    let (one, other) = (Store::in_memory().unwrap(), Store::in_memory().unwrap());
    let mut feed = publisher(&one, &Disk::default(), NOW).unwrap();
    let mut second = publisher(&other, &Disk::default(), NOW).unwrap();
    revoke(&one, hop(1), NOW);
    revoke(&other, hop(2), NOW);
    let mut follower = Follower::new(feed.key().clone());
    take(&mut follower, &feed.advance(NOW).unwrap(), NOW).unwrap();
    let lie = second.advance(later(1)).unwrap();
    let fork = FeedError::Fork { epoch: 1, size: 1 };
    assert_eq!(take(&mut follower, &lie, later(1)), Err(fork));
    // Grown since, it is found by its events, and by the snapshot.
    revoke(&other, hop(3), later(1));
    let lie = second.advance(later(2)).unwrap();
    assert_eq!(take(&mut follower, &lie, later(2)), Err(FeedError::Root));
    let fork = FeedError::Fork { epoch: 1, size: 2 };
    assert_eq!(take(&mut follower, &lie, later(2)), Err(fork.clone()));
    assert_eq!(take(&mut follower, &lie, later(3)), Err(fork));
    // The true one is taken.
    revoke(&one, hop(4), later(3));
    take(&mut follower, &feed.advance(later(3)).unwrap(), later(3)).unwrap();
    assert_eq!(by(&follower, &chain(NOW, 4)), Some(RevokedBy::Id));
}
