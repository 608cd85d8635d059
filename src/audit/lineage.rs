//! Lineage: which grants and hops were seen, for people who look.

use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::chain::{Chain, IdPrefix, RevocationId};
use crate::keys::PublicKey;
use crate::timestamp::Timestamp;

/// A block of a chain that was verified here: who gave what to whom, until when. It holds no token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SeenBlock {
    /// The block's revocation id.
    pub id: RevocationId,
    /// The block's own signature, where it differs from `id`: by it other Biscuit verifiers know a hop.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wrapped: Option<RevocationId>,
    /// The id of the hop or grant on which it stands; `None` for a grant.
    pub parent: Option<RevocationId>,
    /// The agent's name, or the subject's for a grant.
    pub name: String,
    /// The reason that the delegator gave; `None` for a grant.
    pub reason: Option<String>,
    /// The key to which the block is bound; `None` if it is bound to none.
    pub holder: Option<PublicKey>,
    /// The root key that signed the grant.
    pub root: PublicKey,
    /// The moment when the grant was issued.
    pub issued: Timestamp,
    /// The moment when the block expires.
    pub expires: Timestamp,
    /// The number of the record in which the block was seen first.
    pub seen: u64,
}

impl SeenBlock {
    /// The grant and the hops of a chain, from above. A presentation is one of many and lives for minutes; the records have it.
    pub(crate) fn all_of(chain: &Chain, root: PublicKey, seen: u64) -> Vec<SeenBlock> {
        let grant = &chain.grant;
        let block = SeenBlock {
            id: grant.revocation_id,
            wrapped: None,
            parent: None,
            name: grant.subject.clone(),
            reason: None,
            holder: grant.holder,
            root,
            issued: grant.issued,
            expires: grant.expires,
            seen,
        };
        let mut parent = block.id;
        let mut blocks = vec![block];
        for hop in &chain.hops {
            blocks.push(SeenBlock {
                id: hop.revocation_id,
                wrapped: Some(hop.block_signature)
                    .filter(|signature| *signature != hop.revocation_id),
                parent: Some(parent),
                name: hop.delegate.clone(),
                reason: Some(hop.reason.clone()),
                holder: hop.holder,
                root,
                issued: grant.issued,
                expires: hop.expires,
                seen,
            });
            parent = hop.revocation_id;
        }
        blocks
    }
}

/// The most ids that are found for one beginning. More than one are ambiguous already; some are listed, since whoever
/// signs can make the ids of its own blocks begin alike.
pub(crate) const MAX_ALIKE: usize = 8;

/// The blocks that a [`Lineage`] remembers of the chains that it was told of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// The blocks, each once, in no order.
    pub blocks: Vec<SeenBlock>,
    /// The number of blocks that were seen and are not remembered, for want of room or because of a crash, as far as it is known.
    pub lost: u64,
}

impl Seen {
    /// Makes the answer of a [`Lineage`] that remembers `blocks` and has lost `lost` others.
    pub fn new(blocks: Vec<SeenBlock>, lost: u64) -> Seen {
        Seen { blocks, lost }
    }
}

/// Remembers the grants and hops of chains that verified, so that people see who acts for whom and what a revocation stops.
///
/// No decision rests on it. So it may lose what it was told, and says how much where it knows ([`Seen::lost`]).
///
/// # What an engine must hold
///
/// 1. **Comes back at once.** [`Lineage::saw`] waits for no disk and no network; what cannot be remembered now is lost, and counted.
/// 2. **Each block once**, as it was told first. The id is the key: two blocks with one id are one.
/// 3. **No blocks that nobody told**, and none changed.
/// 4. **Bounded.** Whoever holds a token can make as many hops as it likes, and must not fill the disk with them.
///
/// Blocks may be forgotten an hour after they expired.
///
/// `testing::lineage` has the cases that an engine must pass (feature `testing`); a [`Store`](crate::Store) is the first engine.
pub trait Lineage: Send + Sync {
    /// Takes note of the blocks of one chain, the grant first. Comes back at once.
    fn saw(&self, blocks: Vec<SeenBlock>);

    /// Returns what is remembered; `None` if that is more than `at_most` blocks. May wait; a store waits for the disk.
    ///
    /// # Errors
    ///
    /// [`LineageUnavailable`] if it cannot be read.
    fn seen(&self, at_most: u64) -> Result<Option<Seen>, LineageUnavailable>;

    /// Returns the first `at_most` of the remembered blocks whose id comes after `after`, or of all, in the order of their ids. So many are
    /// read page by page. May wait; a store waits for the disk. Unless an engine knows better, it reads all of them for each page.
    ///
    /// # Errors
    ///
    /// [`LineageUnavailable`] if they cannot be read.
    fn seen_after(
        &self,
        after: Option<RevocationId>,
        at_most: usize,
    ) -> Result<Seen, LineageUnavailable> {
        let mut seen = self.seen(u64::MAX)?.unwrap_or_default();
        seen.blocks.retain(|block| after.is_none_or(|after| block.id > after));
        seen.blocks.sort_by_key(|block| block.id);
        seen.blocks.truncate(at_most);
        Ok(seen)
    }

    /// Returns the ids of remembered blocks that begin with `beginning`, `at_most` of them. May wait; a store waits for the disk.
    ///
    /// # Errors
    ///
    /// [`LineageUnavailable`] if they cannot be read.
    fn beginning(
        &self,
        beginning: &IdPrefix,
        at_most: usize,
    ) -> Result<Vec<RevocationId>, LineageUnavailable>;
}

impl<L: Lineage + ?Sized> Lineage for std::sync::Arc<L> {
    fn saw(&self, blocks: Vec<SeenBlock>) {
        (**self).saw(blocks);
    }

    fn seen(&self, at_most: u64) -> Result<Option<Seen>, LineageUnavailable> {
        (**self).seen(at_most)
    }

    fn seen_after(
        &self,
        after: Option<RevocationId>,
        at_most: usize,
    ) -> Result<Seen, LineageUnavailable> {
        (**self).seen_after(after, at_most)
    }

    fn beginning(
        &self,
        beginning: &IdPrefix,
        at_most: usize,
    ) -> Result<Vec<RevocationId>, LineageUnavailable> {
        (**self).beginning(beginning, at_most)
    }
}

/// An error of a [`Lineage`]: what was seen cannot be read now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the chains that were seen cannot be read: {0}")]
pub struct LineageUnavailable(pub String);

impl LineageUnavailable {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::StoreUnavailable
    }
}
