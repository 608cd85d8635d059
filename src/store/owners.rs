//! Owners: whose is what a server gave out (a session, a task), so that a server that starts again still knows?
//!
//! No record and no right depends on it: what is lost of it is refused. So it has a table of its own, which nothing else counts, and which
//! older versions pass over.

use redb::{ReadableTable, ReadableTableMetadata, TableDefinition, TableError};
use sha2::{Digest, Sha512};

use crate::store::opening::identity;
use crate::store::{Store, StoreError};

/// Owners, by what they own, with the number under which it was kept.
const OWNERS: TableDefinition<[u8; 32], ([u8; 32], u64)> = TableDefinition::new("owners");

/// What is owned, by these numbers, so that the oldest is found first.
const OWNED: TableDefinition<u64, [u8; 32]> = TableDefinition::new("owned");

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
    /// then on: its owner is 32 bytes of zero. Beyond `most` in all, the oldest are forgotten. Waits for the disk.
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
            while numbers.len()? > most {
                let Some((_, oldest)) = numbers.pop_first()? else { break };
                owners.remove(oldest.value())?;
            }
            Ok(())
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
