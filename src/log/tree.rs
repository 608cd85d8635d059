//! Tree: the Merkle tree over the records (RFC 6962, section 2.1).
//!
//! The hashes are those of `tlog_tiles`, which stores each complete subtree's hash once. Record `n`
//! (from 1) is leaf `n - 1`, and brings the hashes of the subtrees that it completes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tlog_tiles::{Hash, HashReader, record_hash, stored_hashes_for_record_hash, sub_tree_index};

/// The hash of a record as a leaf: SHA-256 over a zero byte and the record's bytes. Written as 64
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct LeafHash(pub(crate) [u8; 32]);

impl LeafHash {
    /// The hash of the record with these bytes.
    pub fn of(record: &[u8]) -> LeafHash {
        LeafHash(record_hash(record).0)
    }

    /// The 32 bytes.
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
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<LeafHash, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(LeafHash(bytes))
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

/// The right edge of a tree that grows: what is needed to add a leaf and to tell the root.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edge {
    size: u64,
    last: LeafHash,
    /// The largest complete subtrees from left to right, by their index in the storage.
    peaks: Vec<(u64, Hash)>,
}

impl Edge {
    /// The edge of a tree of `size` leaves, the last of which is `last`, whose stored hashes `read`
    /// finds.
    pub(crate) fn load(
        size: u64,
        last: LeafHash,
        read: &impl HashReader,
    ) -> Result<Edge, tlog_tiles::Error> {
        let indexes = if size == 0 { Vec::new() } else { sub_tree_index(0, size, Vec::new()) };
        let hashes = read.read_hashes(&indexes)?;
        Ok(Edge { size, last, peaks: indexes.into_iter().zip(hashes).collect() })
    }

    /// How many leaves there are.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The last leaf's hash; zeros where there is none.
    pub(crate) fn last(&self) -> LeafHash {
        self.last
    }

    /// Adds a leaf; returns the hashes to store with it: its own, then those of the subtrees that it
    /// completes.
    pub(crate) fn push(&mut self, leaf: LeafHash) -> Result<Vec<[u8; 32]>, tlog_tiles::Error> {
        let hashes = stored_hashes_for_record_hash(self.size, Hash(leaf.0), self)?;
        let first = tlog_tiles::stored_hash_index(0, self.size);
        let new = (first..).zip(hashes.iter().copied());
        let known: Vec<(u64, Hash)> = self.peaks.iter().copied().chain(new).collect();
        self.size += 1;
        self.last = leaf;
        let indexes = sub_tree_index(0, self.size, Vec::new());
        self.peaks = Known(&known).find(&indexes)?.into_iter().zip(indexes).map(flip).collect();
        Ok(hashes.into_iter().map(|hash| hash.0).collect())
    }

    /// The root's hash.
    pub(crate) fn root(&self) -> Result<[u8; 32], tlog_tiles::Error> {
        tree_hash(self.size, self)
    }
}

impl HashReader for Edge {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Known(&self.peaks).find(indexes)
    }
}

struct Known<'a>(&'a [(u64, Hash)]);

impl Known<'_> {
    fn find(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let find = |index: &u64| self.0.iter().find(|(known, _)| known == index);
        let found = indexes.iter().map(|index| find(index).map(|(_, hash)| *hash));
        found.collect::<Option<_>>().ok_or(tlog_tiles::Error::IndexesNotInTree)
    }
}

fn flip((hash, index): (Hash, u64)) -> (u64, Hash) {
    (index, hash)
}

/// The root hash of a tree of `size` leaves whose stored hashes `read` finds.
pub(crate) fn tree_hash(size: u64, read: &impl HashReader) -> Result<[u8; 32], tlog_tiles::Error> {
    tlog_tiles::tree_hash(size, read).map(|hash| hash.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_has_the_root_of_the_tree_at_every_size() {
        let (mut edge, mut independent) = (
            Edge::default(),
            ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2_11::Sha256, Vec<u8>>::new(),
        );
        for number in 0..300_u32 {
            let leaf = number.to_le_bytes().to_vec();
            edge.push(LeafHash::of(&leaf)).unwrap();
            independent.push(leaf);
            assert_eq!(edge.root().unwrap(), independent.root().as_bytes().as_slice(), "{number}");
        }
    }
}
