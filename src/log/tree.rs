//! Tree: the Merkle tree over the records (RFC 6962, section 2.1; RFC 9162, section 2.1), which grows by its frontier.
//!
//! The hashes are those of `tlog_tiles`, which stores each complete subtree's hash once. Record `n`
//! (from 1) is leaf `n - 1`, and brings the hashes of the subtrees that it completes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cause::Cause;
use crate::chain::{DigitsError, read_digits};
use tlog_tiles::{
    Hash, HashReader, record_hash, split_stored_hash_index, stored_hashes_for_record_hash,
    sub_tree_index,
};

/// The hash of a record as a leaf of the tree (RFC 6962, section 2.1): SHA-256 over a zero byte and the record's bytes. Written as 64
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct LeafHash(pub(crate) [u8; 32]);

impl LeafHash {
    /// Computes the leaf hash of the record with these bytes.
    pub fn of(record: &[u8]) -> LeafHash {
        LeafHash(record_hash(record).0)
    }

    /// Returns the 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for LeafHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for LeafHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LeafHash {
    type Err = DigitsError;

    fn from_str(text: &str) -> Result<LeafHash, DigitsError> {
        read_digits(text).map(LeafHash)
    }
}

impl Serialize for LeafHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LeafHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LeafHash, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// No tree has more leaves. The places of a tree's hashes are counted in 64 bits, of which there are twice as many.
#[cfg(feature = "feed")]
pub(crate) const MOST_LEAVES: u64 = 1 << 62;

/// The frontier of a Merkle tree that grows: the roots of its complete subtrees from left to right. It is what is needed to add a leaf
/// and to compute the root, some two kilobytes at most.
///
/// Store with each record the hashes that [`Frontier::push`] returns, in their order. Where a function here asks for a stored hash, it says
/// by the number of the record (from 1) and the place among its hashes (from 0).
///
/// ```
/// use hardtack::log::{Frontier, LeafHash, path, root};
///
/// let (mut edge, mut stored) = (Frontier::default(), Vec::new());
/// for record in ["one", "two", "three"] {
///     stored.push(edge.push(LeafHash::of(record.as_bytes()))?);
/// }
/// let find = |record: u64, place: usize| stored.get(record as usize - 1)?.get(place).copied();
/// assert_eq!(root(3, find)?, edge.root()?);
/// // Opened again, it goes on where it was.
/// let again = Frontier::load(3, LeafHash::of(b"three"), find)?;
/// assert_eq!(again.root()?, edge.root()?);
/// assert_eq!(path(3, 1, find)?.len(), 2);
/// # Ok::<(), hardtack::log::TreeError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Frontier {
    size: u64,
    last: LeafHash,
    /// The largest complete subtrees from left to right, by their index in the storage.
    peaks: Vec<(u64, Hash)>,
}

impl Frontier {
    /// Loads the frontier of a tree of `size` leaves, the last of which is `last`, from the stored hashes that `find` finds.
    ///
    /// # Errors
    ///
    /// [`TreeError`] if a hash is not found.
    pub fn load(
        size: u64,
        last: LeafHash,
        find: impl Fn(u64, usize) -> Option<[u8; 32]>,
    ) -> Result<Frontier, TreeError> {
        let indexes = if size == 0 { Vec::new() } else { sub_tree_index(0, size, Vec::new()) };
        let hashes = Stored(find).read_hashes(&indexes).map_err(|_| TreeError)?;
        Ok(Frontier { size, last, peaks: indexes.into_iter().zip(hashes).collect() })
    }

    /// The roots of the complete subtrees, from left to right.
    #[cfg(feature = "feed")]
    pub(crate) fn hashes(&self) -> impl Iterator<Item = [u8; 32]> {
        self.peaks.iter().map(|(_, hash)| hash.0)
    }

    /// The frontier of a tree of `size` leaves with these roots of complete subtrees; `None` if there are not as many. Its last leaf is not
    /// known.
    #[cfg(feature = "feed")]
    pub(crate) fn of_hashes(size: u64, hashes: &[[u8; 32]]) -> Option<Frontier> {
        if size >= MOST_LEAVES || hashes.len() != size.count_ones() as usize {
            return None;
        }
        let indexes = if size == 0 { Vec::new() } else { sub_tree_index(0, size, Vec::new()) };
        let hashes = hashes.iter().copied().map(Hash);
        let peaks = indexes.iter().copied().zip(hashes.clone()).collect();
        (indexes.len() == hashes.len()).then_some(Frontier {
            size,
            last: LeafHash::default(),
            peaks,
        })
    }

    /// Returns the number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the last leaf's hash; zeros if there is no leaf.
    pub fn last(&self) -> LeafHash {
        self.last
    }

    /// Adds a leaf; returns the hashes to store with it: its own, then those of the subtrees that it completes.
    ///
    /// # Errors
    ///
    /// [`TreeError`], never for a frontier that was made or loaded here.
    pub fn push(&mut self, leaf: LeafHash) -> Result<Vec<[u8; 32]>, TreeError> {
        let known = KnownHashes(&self.peaks);
        let hashes = stored_hashes_for_record_hash(self.size, Hash(leaf.0), &known)
            .map_err(|_| TreeError)?;
        let first = tlog_tiles::stored_hash_index(0, self.size);
        let new = (first..).zip(hashes.iter().copied());
        let known: Vec<(u64, Hash)> = self.peaks.iter().copied().chain(new).collect();
        self.size += 1;
        self.last = leaf;
        let indexes = sub_tree_index(0, self.size, Vec::new());
        self.peaks = KnownHashes(&known)
            .read_hashes(&indexes)
            .map_err(|_| TreeError)?
            .into_iter()
            .zip(indexes)
            .map(flip)
            .collect();
        Ok(hashes.into_iter().map(|hash| hash.0).collect())
    }

    /// Computes the root hash of the tree.
    ///
    /// # Errors
    ///
    /// [`TreeError`], never for a frontier that was made or loaded here.
    pub fn root(&self) -> Result<[u8; 32], TreeError> {
        let known = KnownHashes(&self.peaks);
        Ok(tlog_tiles::tree_hash(self.size, &known).map_err(|_| TreeError)?.0)
    }
}

struct KnownHashes<'a>(&'a [(u64, Hash)]);

impl HashReader for KnownHashes<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let find = |index: &u64| self.0.iter().find(|(known, _)| known == index);
        let found = indexes.iter().map(|index| find(index).map(|(_, hash)| *hash));
        found.collect::<Option<_>>().ok_or(tlog_tiles::Error::IndexesNotInTree)
    }
}

fn flip((hash, index): (Hash, u64)) -> (u64, Hash) {
    (index, hash)
}

/// Computes the root hash of a tree of `size` leaves from the stored hashes that `find` finds.
///
/// # Errors
///
/// [`TreeError`] if a hash is not found.
pub fn root(
    size: u64,
    find: impl Fn(u64, usize) -> Option<[u8; 32]>,
) -> Result<[u8; 32], TreeError> {
    Ok(tlog_tiles::tree_hash(size, &Stored(find)).map_err(|_| TreeError)?.0)
}

/// Computes the inclusion proof (RFC 6962, section 2.1.1) of the record with the number `record` in the tree of the first `size` records:
/// the hashes from the leaf up.
///
/// # Errors
///
/// [`TreeError`] if there is no such record or a hash is not found.
pub fn path(
    size: u64,
    record: u64,
    find: impl Fn(u64, usize) -> Option<[u8; 32]>,
) -> Result<Vec<[u8; 32]>, TreeError> {
    let index = record.checked_sub(1).filter(|index| *index < size).ok_or(TreeError)?;
    let path = tlog_tiles::prove_record(size, index, &Stored(find)).map_err(|_| TreeError)?;
    Ok(path.into_iter().map(|hash| hash.0).collect())
}

/// The largest complete subtrees of the first `size` leaves, from left to right, by where their hashes are stored: the record and the place.
#[cfg(feature = "store")]
pub(crate) fn peaks(size: u64) -> Vec<(u64, usize)> {
    let (mut peaks, mut record) = (Vec::new(), 0);
    for level in (0..64).rev().filter(|level| size >> level & 1 == 1) {
        record += 1 << level;
        peaks.push((record, level as usize));
    }
    peaks
}

/// The hashes that are stored with records.
struct Stored<F>(F);

impl<F: Fn(u64, usize) -> Option<[u8; 32]>> HashReader for Stored<F> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let find = |index: &u64| {
            let (level, number) = split_stored_hash_index(*index);
            // A subtree is complete with its last leaf, and is stored with that record.
            let found = (self.0)((number + 1) << level, usize::from(level));
            found.map(Hash).ok_or(tlog_tiles::Error::IndexesNotInTree)
        };
        indexes.iter().map(find).collect()
    }
}

/// An error of a tree that does not have what is asked for, or of which a hash that was stored with its records is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tree of the records cannot be computed, of which a hash is missing")]
pub struct TreeError;

impl TreeError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::LogDamaged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes after a size needs of what came before it the peaks alone: for the frontier, every root and every path.
    #[cfg(feature = "store")]
    #[test]
    fn of_what_comes_before_a_size_its_peaks_are_enough() {
        let (mut edge, mut stored) = (Frontier::default(), Vec::new());
        for record in 0_u64..70 {
            stored.push(edge.push(LeafHash::of(&record.to_le_bytes())).unwrap());
        }
        let all = |record: u64, place: usize| stored.get(record as usize - 1)?.get(place).copied();
        for before in 0..70 {
            let peaks = peaks(before);
            let find = |record: u64, place: usize| {
                (record > before || peaks.contains(&(record, place))).then(|| all(record, place))?
            };
            for size in before.max(1)..=70 {
                assert_eq!(root(size, find), root(size, all), "{before} {size}");
                for record in before + 1..=size {
                    assert_eq!(path(size, record, find), path(size, record, all));
                }
            }
            let last = all(before.max(1), 0).map(LeafHash).unwrap();
            assert!(Frontier::load(before, last, find).is_ok());
        }
    }

    #[test]
    fn a_hash_is_64_hexadecimal_digits_and_an_error_says_so() {
        let hash = LeafHash::of(b"one");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for text in ["", "a7", "zz", &"a7".repeat(31), &"a7".repeat(33), &" a7".repeat(32)] {
            let refused = text.parse::<LeafHash>().unwrap_err();
            assert_eq!((refused.digits, refused.cause()), (64, Cause::MalformedId), "{text}");
            assert!(refused.to_string().contains("64 hexadecimal digits"), "{refused}");
        }
    }

    #[test]
    fn the_edge_has_the_root_of_the_tree_at_every_size() {
        let (mut frontier, mut stored, mut independent) = (
            Frontier::default(),
            Vec::new(),
            ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2_11::Sha256, Vec<u8>>::new(),
        );
        for number in 0..300_u32 {
            let leaf = number.to_le_bytes().to_vec();
            stored.push(frontier.push(LeafHash::of(&leaf)).unwrap());
            independent.push(leaf);
            assert_eq!(
                frontier.root().unwrap(),
                independent.root().as_bytes().as_slice(),
                "{number}"
            );
        }
        // The stored hashes have the roots of all sizes, an edge that goes on, and the paths.
        let find = |record: u64, place: usize| stored.get(record as usize - 1)?.get(place).copied();
        let mut again = Frontier::default();
        for size in 1..=300_u64 {
            let leaf = LeafHash::of(&(size as u32 - 1).to_le_bytes());
            again.push(leaf).unwrap();
            assert_eq!(root(size, find), again.root(), "{size}");
            let loaded = Frontier::load(size, leaf, find).unwrap();
            assert_eq!((loaded.root(), loaded.last()), (again.root(), leaf), "{size}");
        }
        for record in [1, 2, 128, 299, 300] {
            let leaf = LeafHash::of(&(record as u32 - 1).to_le_bytes());
            let hashes = path(300, record, find).unwrap().into_iter().map(Hash).collect();
            let root = Hash(frontier.root().unwrap());
            tlog_tiles::check_record(&hashes, 300, root, record - 1, Hash(leaf.0)).unwrap();
        }
        assert_eq!(path(300, 0, find), Err(TreeError));
        assert_eq!(path(300, 301, find), Err(TreeError));
        assert_eq!(root(301, find), Err(TreeError));
    }
}
