//! Owners: whose is what a server gave out (a session, a task), so that a server that starts again still knows?
//!
//! No record and no right depends on it: what is lost of it is refused. So it has a table of its own, which nothing else counts, and which
//! older versions pass over.

use std::collections::HashMap;

use redb::{ReadableTable, ReadableTableMetadata, Table, TableDefinition, TableError};
use sha2::{Digest, Sha512};

use crate::store::opening::identity;
use crate::store::{Store, StoreError};

/// Owners, by what they own, with the number under which it was kept.
pub(super) const OWNERS: TableDefinition<[u8; 32], ([u8; 32], u64)> =
    TableDefinition::new("owners");

/// What is owned, by these numbers, so that the oldest is found first.
pub(super) const OWNED: TableDefinition<u64, [u8; 32]> = TableDefinition::new("owned");

/// How much of what is owned says who gave it out: one server of several.
const GIVER_BYTES: usize = 8;

/// When there is too much, so much more is forgotten than that, a sixteenth: all are passed over for it, and need not be each time.
const SPARE: u64 = 16;

/// The owner of what was given to two.
const NOBODY: [u8; 32] = [0; 32];

/// What the key for codes is derived for, so that no other use of the store's secret has the same key.
const CODES: &[u8] = b"hardtack: codes of what a server gives out, 1\0";

impl Store {
    /// Returns the key by which a server makes codes over what it gives out for `purpose`. The same store has the same key for it, also
    /// when it is opened again. Keep it secret. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read.
    pub fn code_key(&self, purpose: &[u8]) -> Result<[u8; 64], StoreError> {
        let inner = self.inner();
        let path = inner.engine.site().path().map(std::path::Path::to_owned);
        let path = path.unwrap_or_default();
        let secret = inner.engine.read(|reading| Ok(*identity(reading, &path)?.key.seed()))?;
        // What comes of it is a key itself, and nobody is shown it.
        Ok(Sha512::new()
            .chain_update(CODES)
            .chain_update(secret)
            .chain_update(purpose)
            .finalize()
            .into())
    }

    /// Keeps whose these are, as pairs of what is owned and its owner. What is given to another owner than it has belongs to nobody from
    /// then on: its owner is 32 bytes of zero. The first 8 bytes of what is owned say who gave it out.
    ///
    /// Beyond `most` in all, the oldest are forgotten of whoever has given out more than a share, so that nobody who gives out much drives
    /// out what another one did. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be written; nothing of it is kept then.
    pub fn keep_owners(&self, owned: &[([u8; 32], [u8; 32])], most: u64) -> Result<(), StoreError> {
        self.inner().engine.here()?;
        self.inner().engine.write(|writing| {
            let mut owners = writing.open_table(OWNERS)?;
            let mut numbers = writing.open_table(OWNED)?;
            let mut next = numbers.last()?.map_or(0, |(number, _)| number.value() + 1);
            for (what, owner) in owned {
                let before = owners.get(what)?.map(|kept| kept.value());
                if let Some((first, number)) = before {
                    if first != *owner {
                        owners.insert(what, (NOBODY, number))?;
                    }
                    continue;
                }
                owners.insert(what, (*owner, next))?;
                numbers.insert(next, what)?;
                next += 1;
            }
            match numbers.len()? > most {
                true => forget(&mut owners, &mut numbers, most - most / SPARE),
                false => Ok(()),
            }
        })
    }

    /// Hands each pair of what is owned and its owner to `see`, the oldest first. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read.
    pub fn each_owner(&self, mut see: impl FnMut([u8; 32], [u8; 32])) -> Result<(), StoreError> {
        let all = self.inner().engine.read(|reading| {
            let mut all = Vec::new();
            let (owners, numbers) = match (reading.open_table(OWNERS), reading.open_table(OWNED)) {
                (Ok(owners), Ok(numbers)) => (owners, numbers),
                // Nothing was ever kept.
                (Err(TableError::TableDoesNotExist(_)), _) => return Ok(all),
                (Err(error), _) | (_, Err(error)) => return Err(error.into()),
            };
            for row in numbers.iter()? {
                let (_, what) = row?;
                if let Some(owner) = owners.get(what.value())? {
                    all.push((what.value(), owner.value().0));
                }
            }
            Ok(all)
        })?;
        all.into_iter().for_each(|(what, owner)| see(what, owner));
        Ok(())
    }
}

/// Forgets the oldest until there are `most`, and of nobody more than leaves as much as others have, or have at the most.
fn forget(
    owners: &mut Table<'_, [u8; 32], ([u8; 32], u64)>,
    numbers: &mut Table<'_, u64, [u8; 32]>,
    most: u64,
) -> Result<(), StoreError> {
    let mut of_each: HashMap<[u8; GIVER_BYTES], u64> = HashMap::new();
    for row in numbers.iter()? {
        *of_each.entry(giver(&row?.1.value())).or_default() += 1;
    }
    let share = share(of_each.values().copied().collect(), most);
    let mut left = numbers.len()?;
    let mut forgotten = Vec::new();
    for row in numbers.iter()? {
        let (number, what) = row?;
        let of_giver = of_each.entry(giver(&what.value())).or_default();
        if left > most && *of_giver > share {
            *of_giver -= 1;
            left -= 1;
            forgotten.push((number.value(), what.value()));
        }
    }
    for (number, what) in forgotten {
        numbers.remove(number)?;
        owners.remove(what)?;
    }
    Ok(())
}

fn giver(what: &[u8; 32]) -> [u8; GIVER_BYTES] {
    let mut giver = [0; GIVER_BYTES];
    giver.copy_from_slice(&what[..GIVER_BYTES]);
    giver
}

/// How much each may have so that all have `most` at the most: what somebody does not need is for the others.
fn share(mut counts: Vec<u64>, most: u64) -> u64 {
    counts.sort_unstable();
    let (mut left, mut who) = (most, counts.len() as u64);
    for count in counts {
        if count > left / who {
            return left / who;
        }
        left -= count;
        who -= 1;
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(store: &Store) -> Vec<(u8, u8)> {
        let mut all = Vec::new();
        store.each_owner(|what, owner| all.push((what[0], owner[0]))).unwrap();
        all
    }

    #[test]
    fn whose_something_is_survives_and_the_oldest_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hardtack.store");
        let store = Store::create(&path).unwrap();
        assert_eq!(all(&store), []);
        let pair = |what, owner| ([what; 32], [owner; 32]);
        store.keep_owners(&[pair(1, 10), pair(2, 20), pair(1, 10)], 3).unwrap();
        store.keep_owners(&[pair(2, 20), pair(3, 30)], 3).unwrap();
        store.close().unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(all(&store), [(1, 10), (2, 20), (3, 30)]);
        store.keep_owners(&[pair(4, 40)], 3).unwrap();
        assert_eq!(all(&store), [(2, 20), (3, 30), (4, 40)]);
        store.close().unwrap();
        assert!(store.keep_owners(&[pair(5, 50)], 3).is_err(), "a store that is closed keeps it");
    }

    #[test]
    fn what_is_given_to_a_second_owner_is_nobodys_from_then_on() {
        let store = Store::in_memory().unwrap();
        let pair = |what, owner| ([what; 32], [owner; 32]);
        store.keep_owners(&[pair(1, 10), pair(2, 20), pair(2, 30)], 9).unwrap();
        assert_eq!(all(&store), [(1, 10), (2, 0)]);
        for owner in [20, 10, 0] {
            store.keep_owners(&[pair(1, owner), pair(2, owner)], 9).unwrap();
            assert_eq!(all(&store), [(1, 0), (2, 0)], "after {owner}");
        }
    }

    #[test]
    fn whoever_gives_out_much_drives_out_nothing_of_another() {
        let store = Store::in_memory().unwrap();
        let pair = |giver: u8, number: u16| {
            let mut what = [giver; 32];
            what[30..].copy_from_slice(&number.to_be_bytes());
            (what, [1; 32])
        };
        let of = |giver: u8| {
            let mut numbers = Vec::new();
            let see = |what: [u8; 32], _| {
                if what[0] == giver {
                    numbers.push(u16::from_be_bytes([what[30], what[31]]));
                }
            };
            store.each_owner(see).unwrap();
            numbers
        };
        // The first has given out its own before the others began.
        let quiet: Vec<_> = (0..20).map(|number| pair(1, number)).collect();
        store.keep_owners(&quiet, 100).unwrap();
        for number in 0..500 {
            let busy: Vec<_> = (2..=3).map(|giver| pair(giver, number)).collect();
            store.keep_owners(&busy, 100).unwrap();
            assert!(of(1).len() + of(2).len() + of(3).len() <= 100);
            assert_eq!(of(1), (0..20).collect::<Vec<_>>(), "after {number}");
        }
        for giver in [2, 3] {
            let kept = of(giver);
            assert!((35..=45).contains(&kept.len()), "{}", kept.len());
            assert_eq!(kept.last(), Some(&499), "the newest are kept");
            assert!(kept.is_sorted());
        }
        // Where one has all, it has as much as there is.
        let alone = Store::in_memory().unwrap();
        let many: Vec<_> = (0..200).map(|number| pair(1, number)).collect();
        alone.keep_owners(&many, 100).unwrap();
        assert_eq!(all(&alone).len(), 94);
    }

    #[test]
    fn a_share_is_what_is_left_by_those_who_have_less() {
        assert_eq!(share(vec![5, 5], 10), u64::MAX);
        assert_eq!(share(vec![10, 10, 10], 20), 6);
        assert_eq!(share(vec![1, 100, 100], 101), 50);
        assert_eq!(share(vec![1, 1, 1, 1], 3), 0);
        assert_eq!(share(vec![100], 10), 10);
    }

    #[test]
    fn a_store_has_one_key_for_one_purpose() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hardtack.store");
        let store = Store::create(&path).unwrap();
        let key = store.code_key(b"a").unwrap();
        assert_ne!(key, store.code_key(b"b").unwrap());
        assert_ne!(key, Store::in_memory().unwrap().code_key(b"a").unwrap(), "of another store");
        store.close().unwrap();
        drop(store);
        assert_eq!(Store::open(&path).unwrap().code_key(b"a").unwrap(), key);
    }
}
