//! Beginning: the first blocks of a token that was read, for whoever reads another that begins with the same bytes.

use std::sync::Arc;

use crate::capability::Capability;
use crate::capability::held::Held;
use crate::chain::Chain;
use crate::profile::ShapeError;
use crate::profile::shape::{self, ShapedBlock};
use crate::signing::{self, ReadSoFar};

/// What the first blocks of a token are found to be. It says nothing of signatures.
#[derive(Debug)]
pub(crate) struct Beginning {
    blocks: Vec<Arc<ShapedBlock>>,
    chain: Chain,
    /// What a signer of the next block has read.
    read: ReadSoFar,
}

impl Beginning {
    /// Returns how many blocks these are.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }
}

impl Capability {
    /// Returns the beginnings of this token, of one block, of two, and so on, without the whole.
    pub(crate) fn beginnings(&self) -> impl Iterator<Item = Beginning> {
        let shaped = self.shaped();
        let signed = signing::signed_blocks(&shaped.biscuit).take(shaped.blocks.len() - 1);
        let mut read = ReadSoFar::default();
        signed.enumerate().map(move |(last, signed)| {
            read = std::mem::take(&mut read).and(signed);
            Beginning {
                blocks: shaped.blocks[..=last].to_vec(),
                chain: self.chain().up_to(last),
                read: read.clone(),
            }
        })
    }

    /// Reads the bytes of a token that begins with these blocks, byte for byte. What it is, or for what it is refused, is what
    /// [`Capability::from_bytes`] says; only the blocks are read that follow.
    pub(crate) fn following(beginning: &Beginning, bytes: &[u8]) -> Result<Capability, ShapeError> {
        let shaped = shape::gate_after(bytes, &beginning.blocks)?;
        let (mut chain, mut read) = (beginning.chain.clone(), beginning.read.clone());
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
