//! Extending: the shape of a token that goes on from one whose shape is known.
//!
//! What is refused, and why, is what reading the whole token would find: the blocks before are bytes that passed the gate,
//! and what they have used up of the caps counts.

use std::cell::Cell;
use std::sync::Arc;

use biscuit_auth::format::schema;

use crate::block::Defined;
use crate::keys::PublicKey;
use crate::profile::shape::{
    Reader, ShapeError, Shaped, ShapedBlock, check_ends, check_proof, check_size,
};

/// Keys that whoever made the next block has read already: a key that is read once is the same each time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Made {
    /// The signer of the block.
    pub(crate) signer: Option<PublicKey>,
    /// Keys that the block brings, in both forms.
    pub(crate) keys: Vec<(PublicKey, biscuit_auth::PublicKey)>,
}

impl Shaped {
    /// The token that goes on with this block and ends with this proof: what the gate would make of its bytes, where only
    /// the block is read that is new.
    pub(crate) fn followed_by(
        &self,
        signed: schema::SignedBlock,
        proof: schema::Proof,
        made: Made,
    ) -> Result<Shaped, ShapeError> {
        let mut biscuit = schema::Biscuit { proof, ..self.biscuit.clone() };
        biscuit.blocks.push(signed);
        check_size(&biscuit)?;
        check_ends(&biscuit)?;
        let mut blocks = self.blocks.clone();
        let signed = biscuit.blocks.last().unwrap_or(&biscuit.authority);
        let mut reader = Reader::after(&blocks, signed.external_signature.is_some(), made);
        blocks.push(Arc::new(reader.read(blocks.len(), signed)?));
        Ok(Shaped { biscuit, blocks })
    }

    /// The same blocks with another end.
    pub(crate) fn ending_with(self, proof: schema::Proof) -> Result<Shaped, ShapeError> {
        let biscuit = schema::Biscuit { proof, ..self.biscuit };
        check_size(&biscuit)?;
        check_proof(&biscuit)?;
        Ok(Shaped { biscuit, ..self })
    }

    /// What a first-party block that follows may use without defining it.
    pub(crate) fn defined(&self) -> Defined {
        defined(&self.blocks)
    }
}

fn defined(blocks: &[Arc<ShapedBlock>]) -> Defined {
    let mut first_party = blocks.iter().filter(|block| block.external.is_none());
    let keys = first_party.clone().flat_map(|block| &block.keys);
    // Each was a point when its block was read.
    let keys = keys.filter_map(|key| key.to_biscuit().ok()).collect();
    let symbols = first_party.next_back().map(|block| block.symbols.clone());
    Defined { symbols: symbols.unwrap_or_default(), keys }
}

impl Reader {
    /// What it would be, had it read these blocks. Third-party blocks need no table of those before them.
    pub(super) fn after(known: &[Arc<ShapedBlock>], third_party: bool, made: Made) -> Reader {
        let defined = (!third_party).then(|| defined(known));
        let (shared_symbols, shared_keys) =
            defined.map(|it| (it.symbols.strings(), it.keys)).unwrap_or_default();
        Reader {
            shared_symbols,
            shared_keys,
            symbols: known.iter().map(|block| block.words).sum(),
            facts: known.iter().map(|block| block.facts.len()).sum(),
            checks: known.iter().map(|block| block.checks.len()).sum(),
            written: Cell::new(known.last().map_or(0, |block| block.written)),
            made,
        }
    }
}
