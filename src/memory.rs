//! Memory: what is remembered, within a bound of bytes of which nobody can take all? (A cache, CLOCK with a share for each owner.)
//!
//! Whoever may delegate makes as many tokens as it likes. What is remembered is therefore bounded in bytes, and what one
//! subject of one root may fill is a part of it: it drives out its own, and nobody else's.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use crate::keys::PublicKey;

/// The part of the memory that one owner can fill. With the default room, a quarter holds some three hundred tokens of three hops.
const SHARES: usize = 4;

/// The least share, in bytes, where there is so much room: a single large token.
const LEAST_SHARE: usize = 256 * 1024;

/// What an entry takes beside its key and value: in the map, in two queues, and of its owner.
const BYTES_OF_ENTRY: usize = 200;

/// Queues of no more than this are not tidied.
const FEW: usize = 16;

/// The subject that pays for what is remembered, and the root that says so.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) root: PublicKey,
    pub(crate) subject: Arc<str>,
}

/// Values by key, of which those that were not used for long go first.
pub(crate) struct Memory<K, V> {
    /// In bytes, of all and of one owner.
    room: usize,
    share: usize,
    held: RwLock<Held<K, V>>,
}

struct Held<K, V> {
    bytes: usize,
    entries: HashMap<K, Entry<V>, ahash::RandomState>,
    owners: HashMap<Owner, Owned<K>>,
    /// The keys of all, the oldest first; some may be gone.
    queue: VecDeque<(K, u64)>,
    /// How many were put in so far.
    number: u64,
}

impl<K, V> Default for Held<K, V> {
    fn default() -> Held<K, V> {
        let (entries, owners, queue) = Default::default();
        Held { bytes: 0, entries, owners, queue, number: 0 }
    }
}

struct Entry<V> {
    value: V,
    bytes: usize,
    owner: Owner,
    number: u64,
    was_used: AtomicBool,
}

struct Owned<K> {
    bytes: usize,
    entries: usize,
    queue: VecDeque<(K, u64)>,
}

impl<K: Hash + Eq + Clone, V: Clone> Memory<K, V> {
    /// With room for so many bytes; with 0, nothing is remembered.
    pub(crate) fn new(room: usize) -> Memory<K, V> {
        let held = Held::default();
        Memory { room, share: (room / SHARES).max(room.min(LEAST_SHARE)), held: RwLock::new(held) }
    }

    /// Returns what is remembered under this key, which counts as used.
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if self.room == 0 {
            return None;
        }
        let held = self.held.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let entry = held.entries.get(key)?;
        // Written only if it changes, so that readers do not wait for each other's caches.
        if !entry.was_used.load(Ordering::Relaxed) {
            entry.was_used.store(true, Ordering::Relaxed);
        }
        Some(entry.value.clone())
    }

    /// Remembers a value that takes `bytes` with its key, in the place of one under the same key. One that is larger than its owner's
    /// share is not remembered, and is made anew each time: it would be more than what the owner is held to pay for.
    /// Returns whether it is.
    pub(crate) fn put(&self, key: K, value: V, owner: Owner, bytes: usize) -> bool {
        let share = self.share;
        if self.room == 0 {
            return false;
        }
        let bytes = bytes.saturating_add(BYTES_OF_ENTRY);
        // What goes is dropped when nobody waits for it.
        let mut gone = Vec::new();
        let mut held = self.held.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        gone.extend(held.remove(&key));
        if bytes > share {
            drop(held);
            return false;
        }
        while held.owners.get(&owner).is_some_and(|owned| owned.bytes + bytes > share) {
            gone.extend(held.drop_one_of(Some(&owner)));
        }
        while held.bytes + bytes > self.room {
            gone.extend(held.drop_one_of(None));
        }
        held.number += 1;
        let number = held.number;
        held.bytes += bytes;
        held.queue.push_back((key.clone(), number));
        let owned = held.owners.entry(owner.clone()).or_insert_with(|| Owned {
            bytes: 0,
            entries: 0,
            queue: VecDeque::new(),
        });
        owned.bytes += bytes;
        owned.entries += 1;
        owned.queue.push_back((key.clone(), number));
        let entry = Entry { value, bytes, owner, number, was_used: AtomicBool::new(false) };
        held.tidy(&entry.owner);
        held.entries.insert(key, entry);
        drop(held);
        true
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let mut held = self.held.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let gone = std::mem::take(&mut *held);
        held.number = gone.number;
        drop(held);
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.held.read().unwrap().bytes
    }
}

impl<K: Hash + Eq + Clone, V> Held<K, V> {
    /// Drops the first that was not used since it was looked at last: of this owner, or of all.
    fn drop_one_of(&mut self, owner: Option<&Owner>) -> Option<Entry<V>> {
        loop {
            let queue = match owner.map(|owner| self.owners.get_mut(owner)) {
                Some(None) => return None,
                Some(Some(owned)) => &mut owned.queue,
                None => &mut self.queue,
            };
            let (key, number) = queue.pop_front()?;
            match self.entries.get(&key).filter(|entry| entry.number == number) {
                // It went from the other queue.
                None => {}
                Some(entry) if entry.was_used.swap(false, Ordering::Relaxed) => {
                    queue.push_back((key, number));
                }
                Some(_) => return self.remove(&key),
            }
        }
    }

    fn remove(&mut self, key: &K) -> Option<Entry<V>> {
        let entry = self.entries.remove(key)?;
        self.bytes -= entry.bytes;
        if let Some(owned) = self.owners.get_mut(&entry.owner) {
            owned.bytes -= entry.bytes;
            owned.entries -= 1;
            if owned.entries == 0 {
                self.owners.remove(&entry.owner);
            }
        }
        // A key can be a secret: it does not stay in a queue for long.
        self.tidy(&entry.owner);
        Some(entry)
    }

    /// Takes what is gone out of the queue of all and of this owner's, once that is most of it.
    fn tidy(&mut self, owner: &Owner) {
        let Held { entries, queue, owners, number: newest, .. } = self;
        let is_there = |(key, number): &(K, u64)| {
            number == newest || entries.get(key).is_some_and(|entry| entry.number == *number)
        };
        if queue.len() > 2 * entries.len() + FEW {
            queue.retain(is_there);
        }
        if let Some(owned) = owners.get_mut(owner)
            && owned.queue.len() > 2 * owned.entries + FEW
        {
            owned.queue.retain(is_there);
        }
    }
}

impl<K, V> fmt::Debug for Memory<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        f.debug_struct("Memory").field("room", &self.room).field("bytes", &held.bytes).finish()
    }
}

#[cfg(test)]
mod tests;
