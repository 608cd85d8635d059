//! Sealed: was this store closed in peace, and is it what it was then? If so, little of it is read when it is opened.
//!
//! To check each page of a large database takes seconds. Whoever closes a store in peace leaves a seal in the first sector of the journal: the
//! digest of the database's first page and length, and a digest of all that decisions rest on. A database that was written since has
//! another first page, for redb marks it when it opens it and numbers its commits there: the seal need not be taken away. Without a seal
//! that holds, every page is checked. With one, what the digest covers is read and compared, and the rest is checked behind the
//! running store (see [`checking`](super::checking)) or when it is read.

use redb::StorageBackend;
use sha2::{Digest, Sha256};

use crate::store::content::Content;
use crate::store::site::{Backend, Site};

/// A database up to this length is checked whole at every opening, which takes some fifty milliseconds.
pub(super) const ALWAYS_CHECKED: u64 = 32 * 1024 * 1024;

/// The first page: the roots of all tables with their checksums, and which commit it is.
const FIRST_PAGE: usize = 4096;

/// Where the seal stands in the journal's first sector, which is written whole.
pub(super) const PLACE: u64 = 256;

const MAGIC: &[u8; 16] = b"hardtack-sealed2";

/// The bytes of a seal.
pub(super) const LEN: usize = MAGIC.len() + 32 + 32 + 1 + 32;

/// What the digest at the end of a seal is of.
const SIGNED: usize = LEN - 32;

/// So many openings in a row may end before every page was checked; the next one reads all of them. A seal does not cover where the
/// engine finds free space, and programs that are over within seconds would else never have it checked. A check of some gigabytes takes
/// seconds: spread over so many openings, that is little.
pub(super) const UNCHECKED_AT_MOST: u8 = 8;

/// What a store was when it was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seal {
    /// Of the database's first page and its length.
    database: [u8; 32],
    /// Of what decisions rest on.
    content: Content,
    /// How many openings in a row have ended before every page was checked.
    pub(super) unchecked: u8,
}

impl Seal {
    /// Of a database that nobody has open.
    pub(super) fn of(database: &Backend, content: Content, unchecked: u8) -> std::io::Result<Seal> {
        Ok(Seal { database: first_page(database)?, content, unchecked })
    }

    pub(super) fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..48].copy_from_slice(&self.database);
        bytes[48..80].copy_from_slice(self.content.as_bytes());
        bytes[80] = self.unchecked;
        let digest = Sha256::digest(&bytes[..SIGNED]);
        bytes[SIGNED..].copy_from_slice(&digest);
        bytes
    }

    fn parse(bytes: &[u8; LEN]) -> Option<Seal> {
        let digest = Sha256::digest(&bytes[..SIGNED]);
        let holds = bytes.starts_with(MAGIC) && bytes[SIGNED..] == digest[..];
        let part = |at: usize| bytes.get(at..at + 32)?.try_into().ok();
        let content = Content::of_bytes(part(48)?);
        holds.then_some(Seal { database: part(16)?, content, unchecked: bytes[80] })
    }

    /// The seal of a store, if it holds for the database that is there, saves anything, and every page was checked lately. Whatever cannot be read is looked at by
    /// whoever opens the store next, without a seal.
    pub(super) fn that_holds(site: &dyn Site) -> Option<Seal> {
        let database = site.database().ok()?;
        if database.len().ok()? <= site.always_checked() {
            return None;
        }
        let mut bytes = [0; LEN];
        let journal = site.journal().ok()?;
        journal.read(PLACE, &mut bytes).ok()?;
        Seal::parse(&bytes)
            .filter(|seal| seal.unchecked < UNCHECKED_AT_MOST)
            .filter(|seal| first_page(&database).is_ok_and(|now| now == seal.database))
    }

    /// Whether what decisions rest on is what it was.
    pub(super) fn is_of(&self, content: &Content) -> bool {
        self.content == *content
    }
}

fn first_page(database: &Backend) -> std::io::Result<[u8; 32]> {
    let mut page = vec![0; FIRST_PAGE];
    database.read(0, &mut page)?;
    let len = database.len()?;
    Ok(Sha256::new().chain_update(len.to_le_bytes()).chain_update(page).finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_read_as_it_was_written_and_not_with_one_bit_changed() {
        let seal = Seal { database: [1; 32], content: Content::of_bytes([2; 32]), unchecked: 3 };
        let bytes = seal.encode();
        assert_eq!(Seal::parse(&bytes), Some(seal));
        for bit in 0..LEN * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Seal::parse(&changed), None, "bit {bit}");
        }
        assert_eq!(Seal::parse(&[0; LEN]), None);
    }
}
