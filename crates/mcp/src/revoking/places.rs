//! Places: how many whole lists are sent, or pages of chains made, at once, for all and for one subject?

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::budget::Payer;

/// How many whole lists are sent at once. Each holds one page, however slowly it is taken.
pub(super) const MAX_LISTS: usize = 16;

/// How many of them one subject has, under whichever of its keys: one that is read, and one for a reader that begins anew before the
/// end of its old connection was seen.
pub(super) const MAX_LISTS_EACH: usize = 2;

/// Who has a place, and how many places there are.
#[derive(Clone)]
pub(super) struct Places {
    taken: Arc<Mutex<HashMap<Payer, usize>>>,
    each: usize,
    all: usize,
}

/// Those of whole lists.
impl Default for Places {
    fn default() -> Places {
        Places::of(MAX_LISTS_EACH, MAX_LISTS)
    }
}

/// One, until it is dropped.
pub(super) struct Place {
    places: Places,
    payer: Payer,
}

impl Places {
    /// So many for each subject, and for all.
    pub(super) fn of(each: usize, all: usize) -> Places {
        Places { taken: Arc::default(), each, all }
    }

    /// A place, if this subject has not its share, and not all are taken.
    pub(super) fn take(&self, payer: Payer) -> Option<Place> {
        let mut each = self.each();
        let own = each.get(&payer).copied().unwrap_or_default();
        if own >= self.each || each.values().sum::<usize>() >= self.all {
            return None;
        }
        each.insert(payer, own + 1);
        Some(Place { places: self.clone(), payer })
    }

    /// Only those who have one.
    fn each(&self) -> MutexGuard<'_, HashMap<Payer, usize>> {
        self.taken.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.each().values().sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut each = self.places.each();
        match each.get_mut(&self.payer) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(each.remove(&self.payer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_pages_one_subject_leaves_a_place_to_others() {
        let places = Places::of(1, 2);
        let payer = |number: u8| Payer::from_bytes([number; 32]);
        let _own = places.take(payer(0)).unwrap();
        assert!(places.take(payer(0)).is_none());
        let _other = places.take(payer(1)).unwrap();
        assert!(places.take(payer(2)).is_none(), "all are taken");
    }

    #[test]
    fn one_subject_has_two_places_and_leaves_the_others_to_others() {
        let places = Places::default();
        let payer = |number: usize| Payer::from_bytes([number as u8; 32]);
        let own: Vec<_> = (0..MAX_LISTS).filter_map(|_| places.take(payer(0))).collect();
        assert_eq!(own.len(), MAX_LISTS_EACH);
        let mut others: Vec<_> =
            (1..=MAX_LISTS).filter_map(|number| places.take(payer(number))).collect();
        assert_eq!(own.len() + others.len(), MAX_LISTS);
        assert!(places.take(payer(99)).is_none(), "all are taken");
        others.pop();
        assert!(places.take(payer(0)).is_none(), "one is free, and is for another");
        assert!(places.take(payer(99)).is_some());
        drop((own, others));
        assert_eq!(places.taken(), 0);
        assert!(places.each().is_empty(), "nobody is remembered who has none");
    }
}
