//! Held: a token that was read once, and what is known of its signatures since.
//!
//! What is known is known of these very bytes: they never change, and only this file writes it down, when it has verified
//! them, or made a block over a token whose signatures it knows to hold. Nothing of it depends on the moment.

use std::sync::{Arc, OnceLock};

use crate::block::Writer;
use crate::capability::AppendError;
use crate::chain::Chain;
use crate::keys::{PrivateKey, PublicKey};
use crate::profile::MAX_COST;
use crate::profile::ShapeError;
use crate::profile::cost::{self, Sizes};
use crate::profile::shape::{self, Made, Shaped};
use crate::profile::vocabulary::{By, Often, WORDS, Word};
use crate::signing::{self, BadSignature, ReadSoFar, SigningError};

pub(super) struct Held {
    shaped: Shaped,
    /// Shared with what is remembered of the first blocks.
    chain: Arc<Chain>,
    /// Whether the signatures after the grant's hold, and the end.
    signatures: OnceLock<Result<(), BadSignature>>,
    /// The secret at the end. It is the one that belongs there.
    next: OnceLock<Result<PrivateKey, SigningError>>,
    read: OnceLock<ReadSoFar>,
}

impl Held {
    /// Reads a token's bytes. Nothing is known of its signatures.
    pub(super) fn read(bytes: &[u8]) -> Result<Held, ShapeError> {
        let shaped = shape::gate(bytes)?;
        let chain = Chain::read(&shaped)?;
        Held::of(shaped, chain)
    }

    pub(super) fn of(shaped: Shaped, chain: Chain) -> Result<Held, ShapeError> {
        let cost = cost::bound(&shaped.blocks, &least_sizes(&shaped, &chain));
        if cost > MAX_COST {
            return Err(ShapeError::TooCostly { cost });
        }
        let (signatures, next, read) = Default::default();
        Ok(Held { shaped, chain: Arc::new(chain), signatures, next, read })
    }

    pub(super) fn shaped(&self) -> &Shaped {
        &self.shaped
    }

    pub(super) fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// Verifies every signature but the grant's own, once.
    pub(super) fn verify_after_grant(&self) -> Result<(), BadSignature> {
        *self.signatures.get_or_init(|| signing::verify_after_grant(&self.shaped))
    }

    /// Verifies every signature from the root key on.
    pub(super) fn verify(&self, root: &PublicKey) -> Result<(), BadSignature> {
        signing::verify(&self.shaped, root)?;
        // All those after the grant's are among them.
        let _ = self.signatures.set(Ok(()));
        Ok(())
    }

    /// What a signer of the next block has read.
    pub(super) fn read_so_far(&self) -> &ReadSoFar {
        self.read.get_or_init(|| ReadSoFar::of(&self.shaped.biscuit))
    }

    fn next(&self) -> Result<&PrivateKey, SigningError> {
        let next = self.next.get_or_init(|| signing::next_secret(&self.shaped.biscuit));
        next.as_ref().map_err(|error| *error)
    }

    /// Appends a block, third-party if there is a signer. It passes the gate as it would at a verifier; those before it have,
    /// and are not read again.
    pub(super) fn append(
        &self,
        block: &Writer,
        signer: Option<&PrivateKey>,
    ) -> Result<Held, AppendError> {
        self.append_before(PrivateKey::generate(), block, signer)
    }

    /// The same, where the token ends with this secret.
    fn append_before(
        &self,
        next: PrivateKey,
        block: &Writer,
        signer: Option<&PrivateKey>,
    ) -> Result<Held, AppendError> {
        let secret = self.next()?;
        let content = match signer {
            Some(_) => block.third_party(),
            None => block.first_party(self.shaped.defined()),
        };
        let signed = signing::sign_block(content, self.last_signature(), signer, secret, &next);
        let (parent, read) = (self.read_so_far().digest(), self.read_so_far().clone().and(&signed));
        let made = Made { signer: signer.map(PrivateKey::public), keys: block.keys().to_vec() };
        let shaped = self.shaped.followed_by(signed, signing::proof_of(&next), made)?;
        let mut chain = Chain::clone(&self.chain);
        if let Some((index, block)) = shaped.blocks.iter().enumerate().next_back() {
            chain.add(index, block, &parent)?;
        }
        let held = Held::of(shaped, chain)?;
        Ok(Held { signatures: self.inherited(), next: Ok(next).into(), read: read.into(), ..held })
    }

    /// Ends the token, so that nothing can follow.
    pub(super) fn seal(self) -> Result<Held, AppendError> {
        let end = signing::sign_end(&self.shaped.biscuit, self.next()?);
        let signatures = self.inherited();
        let shaped = self.shaped.ending_with(end)?;
        let next = Err(SigningError::Sealed).into();
        Ok(Held { shaped, signatures, next, ..self })
    }

    /// The same of a copy.
    pub(super) fn sealed(&self) -> Result<Held, AppendError> {
        let (shaped, chain) = (self.shaped.clone(), Arc::clone(&self.chain));
        let (signatures, next, read) =
            (self.signatures.clone(), self.next.clone(), self.read.clone());
        Held { shaped, chain, signatures, next, read }.seal()
    }

    /// What is known of the signatures of a token that was made from this one with its own secret: that they hold if they do
    /// here. Whatever else is known here is of this token's end.
    fn inherited(&self) -> OnceLock<Result<(), BadSignature>> {
        match self.signatures.get() {
            Some(Ok(())) => Ok(()).into(),
            _ => OnceLock::new(),
        }
    }

    fn last_signature(&self) -> &[u8; 64] {
        // A token has a block; were there none, no signature would hold.
        self.shaped.blocks.last().map_or(&[0; 64], |block| &block.signature)
    }
}

/// The sizes of the facts that a query meets at the least: the token's own, and what a verifier
/// asserts for every request. The request's own arguments are counted in before evaluation.
fn least_sizes(shaped: &Shaped, chain: &Chain) -> Sizes {
    let mut sizes = Sizes::default();
    shaped.blocks.iter().for_each(|block| sizes.add_block(block));
    let is_met = |word: &&Word| !matches!(word.by, By::Blocks | By::Calendar);
    for word in WORDS.iter().filter(is_met) {
        let count = match word.often {
            Often::Hop(_) => chain.hops.len() as u64,
            Often::Argument | Often::Said | Often::Zone => 0,
            Often::Once | Often::If(_) => 1,
        };
        sizes.add_small(word.name, count);
    }
    sizes
}

#[cfg(test)]
mod tests;
