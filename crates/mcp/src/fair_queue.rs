//! FairQueue: a few at a time, and of those who wait each peer in its turn: a semaphore with fair queueing (round robin), which sheds load.
//!
//! Whoever sends a thousand requests waits behind its own, and not the others behind it.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use http::Extensions;
use tokio::sync::oneshot;

/// Where a connection comes from: an IPv4 address, or the network of an IPv6 one, of which whoever has one has 2^64.
/// Behind a proxy all are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer(Option<IpAddr>);

impl Peer {
    pub(crate) fn at(address: IpAddr) -> Peer {
        Peer(Some(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        }))
    }

    /// Whose request it is; where that is not known, as under another server than [`serve`](crate::serve),
    /// all are the same.
    pub(crate) fn of(request: &Extensions) -> Peer {
        request.get().copied().unwrap_or(Peer(None))
    }
}

/// What has turns: a peer, or whoever else waits for others.
pub(crate) trait Turn: Copy + Eq + Hash + Send + 'static {}

impl<T: Copy + Eq + Hash + Send + 'static> Turn for T {}

/// The places, and who waits for one.
pub(crate) struct FairQueue<K: Turn = Peer>(Arc<Shared<K>>);

impl<K: Turn> Clone for FairQueue<K> {
    fn clone(&self) -> FairQueue<K> {
        FairQueue(Arc::clone(&self.0))
    }
}

struct Shared<K: Turn> {
    max_waiting: usize,
    state: Mutex<State<K>>,
}

struct State<K: Turn> {
    free: usize,
    waiting: usize,
    /// The peers for whom somebody waits, in the order of their turns.
    turns: VecDeque<K>,
    queues: HashMap<K, VecDeque<oneshot::Sender<Desk<K>>>>,
}

/// A desk, until it is dropped: then the next is called to it.
pub(crate) struct Desk<K: Turn = Peer>(Option<FairQueue<K>>);

impl<K: Turn> FairQueue<K> {
    /// So many, and so many who wait.
    pub(crate) fn new(fair_queue: usize, max_waiting: usize) -> FairQueue<K> {
        let state =
            State { free: fair_queue, waiting: 0, turns: VecDeque::new(), queues: HashMap::new() };
        FairQueue(Arc::new(Shared { max_waiting, state: Mutex::new(state) }))
    }

    /// Waits for its turn. `None` if too many wait: whoever came last of the peer for whom most do is sent away (longest queue drop).
    pub(crate) async fn next(&self, peer: K) -> Option<Desk<K>> {
        let called = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Some(Desk(Some(self.clone())));
            }
            if state.waiting >= self.0.max_waiting && !state.make_room(peer) {
                return None;
            }
            state.wait(peer)
        };
        called.await.ok()
    }

    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.state().free
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.0.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Calls the next who still waits, or leaves the desk free.
    fn call_next(&self) {
        let mut state = self.state();
        let mut desk = Desk(Some(self.clone()));
        while let Some(next) = state.take_next() {
            match next.send(desk) {
                Ok(()) => return,
                Err(back) => desk = back,
            }
        }
        // It is not handed on, so that nobody is called a second time.
        desk.0 = None;
        state.free += 1;
    }
}

impl<K: Turn> State<K> {
    fn wait(&mut self, peer: K) -> oneshot::Receiver<Desk<K>> {
        let (call, called) = oneshot::channel();
        let queue = self.queues.entry(peer).or_default();
        if queue.is_empty() {
            self.turns.push_back(peer);
        }
        queue.push_back(call);
        self.waiting += 1;
        called
    }

    fn take_next(&mut self) -> Option<oneshot::Sender<Desk<K>>> {
        let peer = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&peer)?;
        let next = queue.pop_front()?;
        self.waiting -= 1;
        match queue.is_empty() {
            true => drop(self.queues.remove(&peer)),
            false => self.turns.push_back(peer),
        }
        Some(next)
    }

    /// Room for one more of this peer: in the place of one who went away, or of one of the peer for whom most wait.
    fn make_room(&mut self, peer: K) -> bool {
        for queue in self.queues.values_mut() {
            queue.retain(|waits| !waits.is_closed());
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        self.turns.retain(|peer| self.queues.contains_key(peer));
        let before = self.waiting;
        self.waiting = self.queues.values().map(VecDeque::len).sum();
        if self.waiting < before {
            return true;
        }
        let own = self.queues.get(&peer).map_or(0, VecDeque::len);
        let longest = self.queues.values_mut().max_by_key(|queue| queue.len());
        let Some(longest) = longest.filter(|queue| queue.len() > own + 1) else { return false };
        longest.pop_back();
        self.waiting -= 1;
        true
    }
}

impl<K: Turn> Drop for Desk<K> {
    fn drop(&mut self) {
        if let Some(fair_queue) = self.0.take() {
            fair_queue.call_next();
        }
    }
}

impl<K: Turn> std::fmt::Debug for FairQueue<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        f.debug_struct("FairQueue")
            .field("free", &state.free)
            .field("waiting", &state.waiting)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::at([10, 0, 0, last].into())
    }

    /// Whether it has a desk by now, is sent away, or waits.
    fn look(waits: std::pin::Pin<&mut impl Future<Output = Option<Desk>>>) -> Poll<Option<Desk>> {
        waits.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_peer_with_one_request_waits_for_one_of_a_peer_with_many() {
        let fair_queue = FairQueue::new(1, 100);
        let held = fair_queue.next(peer(1));
        let Poll::Ready(Some(held)) = look(pin!(held)) else { panic!("no desk") };
        let mut many: Vec<_> = (0..10).map(|_| Box::pin(fair_queue.next(peer(1)))).collect();
        assert!(many.iter_mut().all(|waits| look(waits.as_mut()).is_pending()));
        let mut one = pin!(fair_queue.next(peer(2)));
        assert!(look(one.as_mut()).is_pending());
        drop(held);
        let Poll::Ready(Some(first)) = look(many[0].as_mut()) else { panic!("not the first") };
        assert!(look(one.as_mut()).is_pending());
        drop(first);
        assert!(look(many[1].as_mut()).is_pending());
        let Poll::Ready(Some(second)) = look(one.as_mut()) else { panic!("not its turn") };
        drop(second);
        let Poll::Ready(Some(_)) = look(many[1].as_mut()) else { panic!("not theirs") };
    }

    #[test]
    fn where_too_many_wait_the_last_of_the_peer_with_most_is_sent_away() {
        let fair_queue = FairQueue::new(1, 4);
        let Poll::Ready(Some(held)) = look(pin!(fair_queue.next(peer(1)))) else {
            panic!("no desk")
        };
        let mut many: Vec<_> = (0..4).map(|_| Box::pin(fair_queue.next(peer(1)))).collect();
        assert!(many.iter_mut().all(|waits| look(waits.as_mut()).is_pending()));
        assert!(
            matches!(look(pin!(fair_queue.next(peer(1)))), Poll::Ready(None)),
            "one more of it"
        );
        let mut one = Box::pin(fair_queue.next(peer(2)));
        assert!(look(one.as_mut()).is_pending());
        assert!(matches!(look(many[3].as_mut()), Poll::Ready(None)));
        assert!(look(many[2].as_mut()).is_pending());
        // Who goes away leaves room, even for that peer.
        drop((one, many.remove(0)));
        many.push(Box::pin(fair_queue.next(peer(1))));
        assert!(look(many[3].as_mut()).is_pending());
        drop((held, many));
        assert_eq!(fair_queue.state().free, 1);
        assert!(matches!(look(pin!(fair_queue.next(peer(1)))), Poll::Ready(Some(_))));
    }

    #[test]
    fn whoever_went_away_before_or_after_it_was_called_keeps_no_desk() {
        let fair_queue = FairQueue::new(1, 4);
        let Poll::Ready(Some(held)) = look(pin!(fair_queue.next(peer(1)))) else {
            panic!("no desk")
        };
        let [mut gone, mut called, mut last] =
            [peer(1), peer(2), peer(3)].map(|peer| Box::pin(fair_queue.next(peer)));
        assert!(look(gone.as_mut()).is_pending() && look(called.as_mut()).is_pending());
        assert!(look(last.as_mut()).is_pending());
        drop(gone);
        drop(held);
        drop(called);
        assert!(matches!(look(last.as_mut()), Poll::Ready(Some(_))));
        let state = fair_queue.state();
        assert_eq!((state.free, state.waiting), (1, 0));
    }

    #[test]
    fn addresses_of_one_network_are_one_peer() {
        let at = |text: &str| Peer::at(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
    }
}
