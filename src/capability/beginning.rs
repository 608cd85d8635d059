//! Beginning: the first blocks of a token that was read, for whoever reads another that begins with the same bytes.

use std::sync::Arc;

use crate::capability::Capability;
use crate::capability::held::Held;
use crate::chain::Chain;
use crate::datalog::weight;
use crate::profile::ShapeError;
use crate::profile::shape::{self, ShapedBlock};
use crate::signing::{self, ReadSoFar};

/// What the first blocks of a token are found to be. It says nothing of signatures.
#[derive(Debug)]
pub(crate) struct Beginning {
    blocks: Vec<Arc<ShapedBlock>>,
    /// What these blocks say and those that follow them in one token, which all its beginnings share.
    chain: Arc<Chain>,
    /// What a signer of the next block has read.
    read: ReadSoFar,
}

impl Beginning {
    /// Returns how many blocks these are.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// What it takes in memory beside its chain, and beside blocks that a shorter beginning has.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Beginning>()
            + weight::list::<Arc<ShapedBlock>>(self.blocks.len())
            + self.blocks.last().map_or(0, |block| block.bytes())
    }
}

impl Capability {
    /// Returns the beginnings of this token with more blocks than `known`, the shortest first, without the whole.
    pub(crate) fn beginnings(&self, known: usize) -> impl Iterator<Item = Beginning> {
        let shaped = self.shaped();
        let most = shaped.blocks.len() - 1;
        let chain = self.0.chain();
        let mut read = ReadSoFar::default();
        signing::signed_blocks(&shaped.biscuit).zip(1..=most).filter_map(move |(signed, blocks)| {
            read = std::mem::take(&mut read).and(signed);
            (blocks > known).then(|| Beginning {
                blocks: shaped.blocks[..blocks].to_vec(),
                chain: Arc::clone(chain),
                read: read.clone(),
            })
        })
    }

    /// Reads the bytes of a token that begins with these blocks, byte for byte. What it is, or for what it is refused, is what
    /// [`Capability::from_bytes`] says; only the blocks are read that follow.
    pub(crate) fn following(beginning: &Beginning, bytes: &[u8]) -> Result<Capability, ShapeError> {
        let shaped = shape::gate_after(bytes, &beginning.blocks)?;
        let last = beginning.blocks() - 1;
        let (mut chain, mut read) = (beginning.chain.up_to(last), beginning.read.clone());
        let new = signing::signed_blocks(&shaped.biscuit).zip(&shaped.blocks).enumerate();
        for (index, (signed, block)) in new.skip(beginning.blocks()) {
            chain.add(index, block, &read.digest())?;
            read = read.and(signed);
        }
        Ok(Capability(Arc::new(Held::of(shaped, chain)?)))
    }
}

#[cfg(test)]
mod tests;
