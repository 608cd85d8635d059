//! Seen: which grants and hops does a store remember, all of them or page by page?

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use redb::ReadableTable;

use super::{Reach, Source, StoreReader};
use crate::audit::{Seen, SeenBlock};
use crate::chain::RevocationId;
use crate::store::StoreError;
use crate::store::schema::{Effect, SEEN, decode, read_state};

impl StoreReader {
    /// Returns the grants and hops that were seen here, and how many were lost.
    pub fn seen(&self) -> Result<Seen, StoreError> {
        let newer = self.newer(Reach::Answered)?;
        let newer = newer.into_iter().flat_map(|entry| entry.effects);
        let newer = newer.filter_map(|effect| match effect {
            Effect::See(block) => Some(block),
            _ => None,
        });
        let (noticed, lost) = self.noticed();
        let (known, stated) = self.read(|reading| {
            let table = reading.open_table(SEEN)?;
            let blocks = table.iter()?.map(|row| decode(row?.1.value(), "block", 0));
            let blocks = blocks.collect::<Result<Vec<SeenBlock>, StoreError>>()?;
            Ok((blocks, read_state(reading)?.unseen))
        })?;
        // A block that is taken over meanwhile comes from the journal and from the database.
        let mut met = HashSet::new();
        let blocks = known.into_iter().chain(newer).chain(noticed);
        let blocks = blocks.filter(|block| met.insert(block.id)).collect();
        Ok(Seen::new(blocks, lost.unwrap_or(stated)))
    }

    /// The first `at_most` of them whose id comes after this one, in the order of their ids.
    pub(in crate::store) fn seen_after(
        &self,
        after: Option<RevocationId>,
        at_most: usize,
    ) -> Result<Seen, StoreError> {
        let newer = self.newer(Reach::Answered)?;
        let newer = newer.into_iter().flat_map(|entry| entry.effects);
        let newer = newer.filter_map(|effect| match effect {
            Effect::See(block) => Some(block),
            _ => None,
        });
        let (noticed, lost) = self.noticed();
        let is_after = |id: &RevocationId| after.is_none_or(|after| *id > after);
        let (known, stated) = self.read(|reading| {
            let table = reading.open_table(SEEN)?;
            let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded(*id.as_bytes()));
            let rows = table.range::<[u8; 64]>((from, Bound::Unbounded))?.take(at_most);
            let blocks = rows.map(|row| decode(row?.1.value(), "block", 0));
            let blocks = blocks.collect::<Result<Vec<SeenBlock>, StoreError>>()?;
            Ok((blocks, read_state(reading)?.unseen))
        })?;
        // The first that is known of an id stays.
        let mut blocks = BTreeMap::new();
        for block in known.into_iter().chain(newer).chain(noticed) {
            if is_after(&block.id) {
                blocks.entry(block.id).or_insert(block);
            }
        }
        let blocks = blocks.into_values().take(at_most).collect();
        Ok(Seen::new(blocks, lost.unwrap_or(stated)))
    }

    /// What was told of chains and may not be on disk yet, and how many were lost of all, where the store itself knows.
    pub(super) fn noticed(&self) -> (Vec<SeenBlock>, Option<u64>) {
        match &self.0 {
            Source::Open(inner) => {
                // A fold takes over what was lost with the lock of `core`: it is counted once, on whichever side it is.
                let core = inner.core();
                (inner.noticed.blocks(), Some(core.unseen + inner.noticed.lost()))
            }
            Source::Followed { .. } => (Vec::new(), None),
        }
    }

    /// Whether more blocks are remembered than these.
    pub(in crate::store) fn has_seen_more_than(&self, most: u64) -> Result<bool, StoreError> {
        Ok(self.read(read_state)?.rows.seen > most)
    }
}
