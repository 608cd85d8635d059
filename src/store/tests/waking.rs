//! Whoever is woken by a store may look into it at once.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, channel, sync_channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::pending::wait;
use crate::revocation::RevocationLog;
use crate::store::Store;
use crate::store::tests::{NOW, revoking};

/// As long as a busy machine may need; what hangs does so for ever.
const LONG: Duration = Duration::from_secs(20);

type Act = fn(&Store);

/// Looks at everything on the thread that wakes.
struct Looks {
    store: Store,
    found: SyncSender<usize>,
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        self.store.checkpoint().unwrap();
        let list = wait(RevocationLog::list(&self.store, NOW)).unwrap();
        let _ = self.found.send(list.revocations.len());
    }
}

#[test]
fn whoever_is_woken_by_a_revocation_or_by_forgetting_may_look_into_the_store() {
    let store = Store::in_memory().unwrap();
    // A frame, what goes straight into the database, and what is forgotten.
    let revoke = |store: &Store| assert!(store.revoke(revoking(1), NOW).is_ok());
    let revoke_many =
        |store: &Store| assert!(store.revoke_all((2..102).map(revoking).collect(), NOW).is_ok());
    let forget = |store: &Store| {
        let later = NOW + Duration::from_secs(3 * 24 * 3600);
        assert_eq!(store.collect_trusting_the_clock(later).unwrap().revocations, 101);
    };
    for (act, expected) in [(revoke as Act, 1), (revoke_many, 101), (forget, 0)] {
        let head = wait(store.head()).unwrap();
        let (found, heard) = sync_channel(2);
        let waker = Waker::from(Arc::new(Looks { store: store.clone(), found }));
        let mut waiting = RevocationLog::wait(&store, head, Duration::from_secs(3600));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let (done, ended) = channel();
        let acting = store.clone();
        std::thread::spawn(move || {
            act(&acting);
            let _ = done.send(());
        });
        assert_eq!(heard.recv_timeout(LONG), Ok(expected), "it looks in vain");
        ended.recv_timeout(LONG).expect("it hangs");
    }
}

/// Those whose time is not over are looked at again and again while events come.
#[test]
#[allow(clippy::disallowed_methods, reason = "how long a wait takes, not what time it is")]
fn an_event_wakes_everybody_though_somebody_looks_whose_time_is_over() {
    let store = Store::in_memory().unwrap();
    let (stop, stopped) = channel::<()>();
    let ticking = store.clone();
    let ticks = std::thread::spawn(move || {
        while stopped.try_recv().is_err() {
            ticking.inner().events.tick(Instant::now());
        }
    });
    for round in 0..20_000 {
        let events = &store.inner().events;
        let mut waiting = std::pin::pin!(events.wait(events.head(), Duration::from_secs(3600)));
        events.add(1);
        events.wake();
        let begun = Instant::now();
        while waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending {
            assert!(begun.elapsed() < LONG, "nobody was woken in round {round}");
            std::thread::yield_now();
        }
    }
    stop.send(()).unwrap();
    ticks.join().unwrap();
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("whoever is woken cannot cope");
    }
}

#[test]
fn a_panic_of_whoever_is_woken_is_nobody_elses() {
    let store = Store::in_memory().unwrap();
    let head = wait(store.head()).unwrap();
    let panics = Waker::from(Arc::new(Panics));
    let waits = |at_most| RevocationLog::wait(&store, head, at_most);
    // Of these one is woken by the thread of the store, when its time is over, and two by whoever revokes.
    let mut over = waits(Duration::ZERO);
    let (mut first, mut second) = (waits(3 * LONG), waits(3 * LONG));
    for waiting in [&mut over, &mut first] {
        let _ = waiting.as_mut().poll(&mut Context::from_waker(&panics));
    }
    assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    std::thread::sleep(Duration::from_millis(1500));
    store.revoke(revoking(1), NOW).unwrap();
    assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    // The thread that ends waits lives, and so does whoever closes.
    let mut third = RevocationLog::wait(&store, wait(store.head()).unwrap(), 3 * LONG);
    assert!(third.as_mut().poll(&mut Context::from_waker(&panics)).is_pending());
    wait(RevocationLog::wait(&store, wait(store.head()).unwrap(), Duration::ZERO));
    store.close().unwrap();
}
