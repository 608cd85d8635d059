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
    let acts: [(fn(&Store), usize); 3] = [
        (|store| drop(store.revoke(revoking(1), NOW).unwrap()), 1),
        (|store| drop(store.revoke_all((2..102).map(revoking).collect(), NOW).unwrap()), 101),
        (|store| drop(store.collect_trusting_the_clock(NOW + 72 * LONG * 180).unwrap()), 0),
    ];
    for (act, expected) in acts {
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
