//! Places: how many processes of servers run, and how often is one started, in a whole gateway?
//!
//! All servers of a gateway share it, also those that are put in the place of others: what a machine can carry does not grow with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::{Duration, Instant};

use crate::budget::Payer;
use crate::files::{self, FILES_OF_CHILD, MAX_CHILDREN};

/// The most processes of one subject at once: three subjects with all that they may have leave room for others.
pub(crate) const MAX_CHILDREN_EACH: usize = 16;

/// How many processes a subject may start at once: all that it may have, and all of them once more, as clients that start anew do.
const MAX_STARTS: u32 = 32;

/// And then one in this time: a start costs as much as many requests, and whoever ends what it starts is below every other limit.
const START_EVERY: Duration = Duration::from_secs(1);

/// The most subjects whose starts are remembered. Each is forgotten 32 seconds after its last start at the latest.
const MAX_STARTERS: usize = 4096;

/// How many processes there may be where so many files may be open.
fn most(files: u64) -> usize {
    usize::try_from(files::of_children(files) / FILES_OF_CHILD).unwrap_or(MAX_CHILDREN).max(1)
}

/// The places of a gateway. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    all: usize,
    of: HashMap<Payer, usize>,
    /// When each may start as many as ever again.
    rested: HashMap<Payer, Instant>,
}

/// The place of one process, until it is gone.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    payer: Payer,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// As many run as may, of this subject or in all.
    Full,
    /// This subject started too many in a short time.
    Often,
}

impl Places {
    /// A place for a process that is started now.
    pub(crate) fn take(&self, payer: Payer, now: Instant) -> Result<Place, NoPlace> {
        let mut held = self.held();
        let own = held.of.get(&payer).copied().unwrap_or(0);
        if held.all >= most(files::limit()) || own >= MAX_CHILDREN_EACH {
            return Err(NoPlace::Full);
        }
        if held.rested.len() >= MAX_STARTERS {
            held.rested.retain(|_, rested| *rested > now);
        }
        if held.rested.len() >= MAX_STARTERS && !held.rested.contains_key(&payer) {
            return Err(NoPlace::Often);
        }
        let rested = held.rested.get(&payer).map_or(now, |rested| *rested.max(&now)) + START_EVERY;
        if rested - now > START_EVERY * MAX_STARTS {
            return Err(NoPlace::Often);
        }
        held.rested.insert(payer, rested);
        held.all += 1;
        held.of.insert(payer, own + 1);
        Ok(Place { places: self.clone(), payer })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        held.all -= 1;
        match held.of.get_mut(&self.payer) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(held.of.remove(&self.payer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payer(number: usize) -> Payer {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Payer::from_bytes(bytes)
    }

    #[test]
    fn whoever_ends_what_it_starts_starts_one_a_second_in_the_end() {
        let (places, now) = (Places::default(), Instant::now());
        for _ in 0..MAX_STARTS {
            drop(places.take(payer(1), now).unwrap());
        }
        assert_eq!(places.take(payer(1), now).unwrap_err(), NoPlace::Often);
        drop(places.take(payer(2), now).unwrap());
        let now = now + START_EVERY;
        drop(places.take(payer(1), now).unwrap());
        assert_eq!(places.take(payer(1), now).unwrap_err(), NoPlace::Often);
        let now = now + START_EVERY * MAX_STARTS;
        for _ in 0..MAX_STARTS {
            drop(places.take(payer(1), now).unwrap());
        }
        let held = places.held();
        assert!(held.all == 0 && held.of.is_empty());
    }

    #[test]
    fn so_many_run_of_a_subject_and_in_all_whichever_server_they_are_of() {
        let (places, now) = (Places::default(), Instant::now());
        let of_another_server = places.clone();
        let mut taken = Vec::new();
        for number in 0..MAX_CHILDREN_EACH {
            let places = if number % 2 == 0 { &places } else { &of_another_server };
            taken.push(places.take(payer(0), now).unwrap());
        }
        assert_eq!(of_another_server.take(payer(0), now).unwrap_err(), NoPlace::Full);
        for number in MAX_CHILDREN_EACH..MAX_CHILDREN {
            taken.push(of_another_server.take(payer(number), now).unwrap());
        }
        assert_eq!(places.take(payer(999), now).unwrap_err(), NoPlace::Full);
        taken.pop();
        places.take(payer(999), now).unwrap();
    }

    #[test]
    fn processes_take_no_more_files_than_are_kept_for_them() {
        for (open, processes) in [(1_000_000, 64), (1024, 64), (512, 32), (256, 10), (0, 1)] {
            assert_eq!(most(open), processes, "{open} files");
        }
        for open in 140..2000 {
            assert!(most(open) as u64 * FILES_OF_CHILD <= files::of_children(open));
        }
    }

    #[test]
    fn those_who_started_something_are_forgotten() {
        let (places, now) = (Places::default(), Instant::now());
        for number in 0..2 * MAX_STARTERS {
            let taken = places.take(payer(number), now);
            assert_eq!(taken.is_ok(), number < MAX_STARTERS, "{number}");
        }
        places.take(payer(MAX_STARTERS), now + START_EVERY).unwrap();
        assert_eq!(places.held().rested.len(), 1);
    }
}
