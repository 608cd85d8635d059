//! Lanes: what takes its time for whoever asked, on few threads, and for each subject one at a time (bulkheads).
//!
//! Lists are filtered here. Whoever holds a token can ask for many at once, under as many keys as it likes: so what
//! is counted is the subject whose rights are used, and the root that says so.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Semaphore;

use crate::budget::Payer;
use crate::common::ServerId;
use crate::fair_queue::FairQueue;

/// How many lists of one subject are under way at once, from the request to the end of the answer. A hundred agents
/// that connect at the same moment ask for one each, and some for three. They are filtered one after the other.
pub(crate) const MAX_LISTS_EACH: usize = 256;

/// How many of all subjects. Each may hold an answer of some megabytes, which its subject pays for.
pub(crate) const MAX_LISTS: usize = 1024;

/// How many of one server, where several share the process: whoever floods one leaves as many for the others.
pub(crate) const MAX_LISTS_OF_SERVER: usize = MAX_LISTS / 2;

/// The threads, and who uses them.
#[derive(Clone)]
pub(crate) struct Lanes {
    /// Each server has its turn.
    threads: FairQueue<ServerId>,
    kept: Arc<Mutex<Kept>>,
    server: ServerId,
}

#[derive(Default)]
struct Kept {
    lists: usize,
    /// Only the servers of which there are any.
    of_servers: HashMap<ServerId, usize>,
    /// Only those who have a place.
    each: HashMap<Payer, Each>,
}

/// Of one subject.
struct Each {
    places: usize,
    lists: usize,
    turn: Arc<Semaphore>,
}

impl Lanes {
    /// On half of the machine, so that the other half is for whoever asks for something else.
    pub(crate) fn new() -> Lanes {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Lanes::with((cores / 2).max(1))
    }

    fn with(threads: usize) -> Lanes {
        // Those who wait have places, or streams.
        let threads = FairQueue::new(threads, usize::MAX);
        Lanes { threads, kept: Arc::default(), server: ServerId::ONLY }
    }

    /// The same threads and places, for another server.
    pub(crate) fn of(&self, server: ServerId) -> Lanes {
        Lanes { server, ..self.clone() }
    }

    /// A place for one list, until its answer ends; `None` if too many are under way.
    pub(crate) fn place_for_list(&self, subject: Payer) -> Option<Place> {
        let mut kept = self.kept();
        let own = kept.each.get(&subject).map_or(0, |each| each.lists);
        let of_server = kept.of_servers.get(&self.server).copied().unwrap_or_default();
        if kept.lists >= MAX_LISTS
            || own >= MAX_LISTS_EACH
            || (self.server != ServerId::ONLY && of_server >= MAX_LISTS_OF_SERVER)
        {
            return None;
        }
        kept.lists += 1;
        kept.of_servers.insert(self.server, of_server + 1);
        Some(self.place(&mut kept, subject, 1))
    }

    /// A place for what is open for long, such as a stream that may repeat lists. It is not counted: its lists wait
    /// for each other.
    pub(crate) fn place_for_stream(&self, subject: Payer) -> Place {
        self.place(&mut self.kept(), subject, 0)
    }

    fn place(&self, kept: &mut Kept, subject: Payer, lists: usize) -> Place {
        let new = || Each { places: 0, lists: 0, turn: Arc::new(Semaphore::new(1)) };
        let each = kept.each.entry(subject).or_insert_with(new);
        each.places += 1;
        each.lists += lists;
        Place { lanes: self.clone(), subject, lists, turn: Arc::clone(&each.turn) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").field("lists", &self.kept().lists).finish_non_exhaustive()
    }
}

/// A place among those who may use the threads.
pub(crate) struct Place {
    lanes: Lanes,
    subject: Payer,
    lists: usize,
    turn: Arc<Semaphore>,
}

impl Place {
    /// Does it when its turn has come: first among the subject's own, then among all. Whoever no longer waits
    /// loses its turn; what has begun keeps it until it ends. `None` if nothing came of it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok()?;
        let thread = self.lanes.threads.next(self.lanes.server).await?;
        let working = tokio::task::spawn_blocking(move || {
            let _held = (turn, thread);
            work()
        });
        working.await.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut kept = self.lanes.kept();
        kept.lists -= self.lists;
        let of_server = kept.of_servers.get(&self.lanes.server).copied().unwrap_or_default();
        match of_server.saturating_sub(self.lists) {
            0 => kept.of_servers.remove(&self.lanes.server),
            left => kept.of_servers.insert(self.lanes.server, left),
        };
        let Some(each) = kept.each.get_mut(&self.subject) else { return };
        each.places -= 1;
        each.lists -= self.lists;
        if each.places == 0 {
            kept.each.remove(&self.subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const MINE: Payer = Payer::from_bytes([1; 32]);
    const THEIRS: Payer = Payer::from_bytes([2; 32]);

    #[test]
    fn a_subject_has_so_many_lists_under_way_and_all_together_so_many() {
        let lanes = Lanes::new();
        let mut places: Vec<Place> =
            (0..MAX_LISTS_EACH).map(|_| lanes.place_for_list(MINE).unwrap()).collect();
        assert!(lanes.place_for_list(MINE).is_none());
        let stream = lanes.place_for_stream(MINE);
        places.push(lanes.place_for_list(THEIRS).unwrap());
        places.remove(0);
        places.push(lanes.place_for_list(MINE).unwrap());
        let others = (0..MAX_LISTS).filter_map(|number| {
            let mut subject = [3; 32];
            subject[..8].copy_from_slice(&number.to_le_bytes());
            lanes.place_for_list(Payer::from_bytes(subject))
        });
        let others: Vec<Place> = others.collect();
        assert_eq!(places.len() + others.len(), MAX_LISTS);
        drop((places, others));
        assert_eq!(lanes.kept().each.len(), 1, "the stream's");
        drop(stream);
        let kept = lanes.kept();
        assert_eq!((kept.lists, kept.each.len()), (0, 0));
    }

    #[test]
    fn one_of_several_servers_has_half_of_the_places() {
        let all = Lanes::new();
        let [one, other] = [1, 2].map(|id| all.of(ServerId::from_number(id)));
        let subject = |number: usize| {
            let mut subject = [3; 32];
            subject[..8].copy_from_slice(&number.to_le_bytes());
            Payer::from_bytes(subject)
        };
        let places = (0..MAX_LISTS).filter_map(|number| one.place_for_list(subject(number)));
        let places: Vec<Place> = places.collect();
        assert_eq!(places.len(), MAX_LISTS_OF_SERVER);
        drop(other.place_for_list(MINE).unwrap());
        drop(places);
        let kept = all.kept();
        assert_eq!((kept.lists, kept.of_servers.len(), kept.each.len()), (0, 0, 0));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_subject_has_one_turn_at_a_time_and_few_threads_work() {
        let lanes = Lanes::with(2);
        let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)]);
        let places = (0..12).map(|number| {
            let subject = if number % 2 == 0 { MINE } else { THEIRS };
            (number % 2, lanes.place_for_list(subject).unwrap())
        });
        let working = places.map(|(whose, place)| {
            let counts = Arc::clone(&counts);
            tokio::spawn(async move {
                let work = move || {
                    let own = counts[whose].fetch_add(1, Ordering::SeqCst);
                    let all = counts[2].fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    counts[2].fetch_sub(1, Ordering::SeqCst);
                    counts[whose].fetch_sub(1, Ordering::SeqCst);
                    (own, all)
                };
                place.run(work).await.unwrap()
            })
        });
        for worked in working.collect::<Vec<_>>() {
            let (own, all) = worked.await.unwrap();
            assert_eq!(own, 0, "another of the same subject works");
            assert!(all < 2, "{all} others work");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_given_up_keeps_its_thread_until_it_ends_and_what_waits_loses_its_turn() {
        let lanes = Lanes::with(1);
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let place = lanes.place_for_list(MINE).unwrap();
        let first = tokio::spawn(async move {
            let work = move || {
                begun.send(()).unwrap();
                ends.recv().unwrap();
            };
            place.run(work).await
        });
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        first.abort();
        assert!(first.await.is_err());
        assert_eq!(lanes.threads.free(), 0);
        let place = lanes.place_for_list(THEIRS).unwrap();
        let waits = tokio::spawn(async move { place.run(|| ()).await });
        tokio::task::yield_now().await;
        waits.abort();
        assert!(waits.await.is_err());
        assert_eq!(lanes.kept().lists, 0);
        end.send(()).unwrap();
        let place = lanes.place_for_list(MINE).unwrap();
        assert_eq!(place.run(|| 7).await, Some(7));
    }
}
