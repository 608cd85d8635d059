//! Chains: what a revocation stops of the chains that were seen.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::audit::{Seen, SeenBlock};
use crate::chain::RevocationId;
use crate::revocation::{Receipt, Revocation, RevocationEntry, RevocationNotice, covered_until};
use crate::timestamp::Timestamp;

/// The grants and hops that were seen, as a forest, beside the revocations in force. A block that was never seen is not in it: of a chain
/// that was delegated and never presented here, say.
#[derive(Debug, Clone)]
pub struct SeenChains {
    blocks: Vec<SeenBlock>,
    children: HashMap<Option<RevocationId>, Vec<usize>>,
    places: HashMap<RevocationId, usize>,
    revocations: Vec<RevocationEntry>,
    /// The revocations of ids by id; the others are few and looked through.
    by_id: HashMap<RevocationId, usize>,
    others: Vec<usize>,
    lost: u64,
}

/// The number of seen blocks that some revocations stop ([`SeenChains::stops`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stops {
    /// The number of blocks that they name, and of all blocks below those.
    pub blocks: u64,
    /// The number of those blocks that are neither expired nor stopped by another revocation.
    pub live: u64,
}

/// The state of a block at a moment ([`SeenChains::standing`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockState<'a> {
    /// Neither the block nor anything above it is revoked or expired.
    Live,
    /// The block is expired, or something above it is.
    Expired,
    /// This revocation names the block.
    Revoked(&'a RevocationEntry),
    /// This revocation names a block above it.
    RevokedAbove(&'a RevocationEntry),
}

impl SeenChains {
    /// Builds the forest of the blocks in `seen`, beside the revocations in force.
    pub fn new(seen: Seen, revocations: Vec<RevocationEntry>) -> SeenChains {
        let Seen { blocks, lost } = seen;
        let mut lineage = SeenChains {
            blocks: Vec::new(),
            children: HashMap::new(),
            places: HashMap::new(),
            by_id: HashMap::new(),
            others: Vec::new(),
            lost,
            revocations: Vec::new(),
        };
        for (place, entry) in revocations.iter().enumerate() {
            match &entry.notice.revocation {
                Revocation::Id { id } => drop(lineage.by_id.insert(*id, place)),
                _ => lineage.others.push(place),
            }
        }
        lineage.revocations = revocations;
        for block in blocks {
            // One that is told twice is one.
            if let std::collections::hash_map::Entry::Vacant(vacant) =
                lineage.places.entry(block.id)
            {
                let place = lineage.blocks.len();
                vacant.insert(place);
                lineage.children.entry(block.parent).or_default().push(place);
                lineage.blocks.push(block);
            }
        }
        lineage
    }

    /// Builds the forest of the blocks in `seen` as it was before the revocations of `receipts` were made: [`SeenChains::stops`] then
    /// counts what these stop.
    pub fn before(
        seen: Seen,
        mut revocations: Vec<RevocationEntry>,
        receipts: &[Receipt],
    ) -> SeenChains {
        let made: HashSet<u64> = receipts
            .iter()
            .filter(|receipt| matches!(receipt, Receipt::Revoked { .. }))
            .map(|receipt| receipt.sequence())
            .collect();
        revocations
            .retain(|entry| !made.contains(&entry.sequence) || prolongs_the_same(&entry.notice));
        SeenChains::new(seen, revocations)
    }

    /// Iterates over the grants: the roots of the forest.
    pub fn grants(&self) -> impl Iterator<Item = &SeenBlock> {
        self.below(None)
    }

    /// Iterates over the hops that were delegated directly from the block with this id.
    pub fn children(&self, id: &RevocationId) -> impl Iterator<Item = &SeenBlock> {
        self.below(Some(*id))
    }

    /// Returns the block with this id, if it was seen.
    pub fn block(&self, id: &RevocationId) -> Option<&SeenBlock> {
        self.places.get(id).map(|place| &self.blocks[*place])
    }

    /// Returns how many blocks were seen and are not remembered ([`Seen::lost`]).
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns the blocks that a revocation, made at `moment`, would itself name.
    pub fn named_by(&self, revocation: &Revocation, moment: Timestamp) -> Vec<&SeenBlock> {
        self.blocks.iter().filter(|block| names(revocation, moment, block)).collect()
    }

    /// Returns the blocks that a revocation, made at `moment`, kills: the blocks that it names and all below them.
    pub fn killed_by(&self, revocation: &Revocation, moment: Timestamp) -> Vec<&SeenBlock> {
        self.killed_by_any(std::slice::from_ref(revocation), moment)
    }

    /// Returns the blocks that any of these revocations, made at `moment`, kills: the blocks that they name and all below them. Looks at
    /// each block once.
    pub fn killed_by_any(&self, revocations: &[Revocation], moment: Timestamp) -> Vec<&SeenBlock> {
        let ids: HashSet<RevocationId> = revocations.iter().filter_map(id_of).collect();
        let others = || revocations.iter().filter(|revocation| id_of(revocation).is_none());
        let is_named = |block: &&SeenBlock| {
            ids.contains(&block.id)
                || block.wrapped.is_some_and(|id| ids.contains(&id))
                || others().any(|revocation| names(revocation, moment, block))
        };
        let mut killed = Vec::new();
        let mut next: Vec<&SeenBlock> = self.blocks.iter().filter(is_named).collect();
        let mut met = HashSet::new();
        while let Some(block) = next.pop() {
            if met.insert(block.id) {
                killed.push(block);
                next.extend(self.children(&block.id));
            }
        }
        killed.sort_by_key(|block| self.places.get(&block.id));
        killed
    }

    /// Counts the blocks that these revocations, made at `moment`, kill, and how many of them are live.
    pub fn stops(&self, revocations: &[Revocation], moment: Timestamp) -> Stops {
        let killed = self.killed_by_any(revocations, moment);
        let is_live = |block: &&&SeenBlock| self.standing(block, moment) == BlockState::Live;
        let live = killed.iter().filter(is_live).count() as u64;
        Stops { blocks: killed.len() as u64, live }
    }

    /// Returns the state of a block at the moment `now`. A revocation of the block itself comes before one above it, and both before an
    /// expiry.
    pub fn standing(&self, block: &SeenBlock, now: Timestamp) -> BlockState<'_> {
        let line = self.line(block);
        if let Some(entry) = self.revoked(block) {
            return BlockState::Revoked(entry);
        }
        if let Some(entry) = line.iter().skip(1).find_map(|above| self.revoked(above)) {
            return BlockState::RevokedAbove(entry);
        }
        match line.iter().any(|block| block.expires <= now) {
            true => BlockState::Expired,
            false => BlockState::Live,
        }
    }

    /// The revocation that names this block, if one does.
    fn revoked(&self, block: &SeenBlock) -> Option<&RevocationEntry> {
        let ids = [Some(block.id), block.wrapped];
        let by_id = ids.iter().flatten().find_map(|id| self.by_id.get(id));
        let by_other = || {
            self.others.iter().find(|place| {
                let notice = &self.revocations[**place].notice;
                names(&notice.revocation, notice.revoked, block)
            })
        };
        by_id.or_else(by_other).map(|place| &self.revocations[*place])
    }

    /// A block and all above it.
    fn line<'a>(&'a self, block: &'a SeenBlock) -> Vec<&'a SeenBlock> {
        let above = |block: &&'a SeenBlock| block.parent.and_then(|parent| self.block(&parent));
        // A chain has no more blocks than a token.
        std::iter::successors(Some(block), above).take(crate::profile::MAX_BLOCKS).collect()
    }

    fn below(&self, id: Option<RevocationId>) -> impl Iterator<Item = &SeenBlock> {
        let places = self.children.get(&id).map_or(&[][..], Vec::as_slice);
        places.iter().map(|place| &self.blocks[*place])
    }
}

/// Whether it makes an earlier revocation last longer, and covers nothing that was not covered.
fn prolongs_the_same(notice: &RevocationNotice) -> bool {
    notice.prolongs.is_some() && !notice.revocation.ends_at_its_moment()
}

fn id_of(revocation: &Revocation) -> Option<RevocationId> {
    match revocation {
        Revocation::Id { id } => Some(*id),
        _ => None,
    }
}

/// Whether a revocation names this very block.
fn names(revocation: &Revocation, moment: Timestamp, block: &SeenBlock) -> bool {
    match revocation {
        Revocation::Id { id } => block.id == *id || block.wrapped == Some(*id),
        Revocation::Subject { subject, root } => {
            block.parent.is_none()
                && block.name == *subject
                && root.is_none_or(|root| root == block.root)
                && block.issued <= covered_until(moment)
        }
        Revocation::Holder { key } => block.holder == Some(*key),
        Revocation::AgentUntilNow { agent } => {
            block.parent.is_some() && block.name == *agent && block.issued <= covered_until(moment)
        }
        Revocation::Agent { agent } => block.parent.is_some() && block.name == *agent,
    }
}
