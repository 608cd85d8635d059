//! Begun: what do the first blocks of a token say to policies, whatever follows them? (A cache of what is translated once.)
//!
//! An agent presents one chain again and again, and each presentation is a token of its own. All that its blocks but the last say is
//! translated once for a set of policies. It is kept of tokens that were verified as a whole, by the number that the verifier has given to
//! these blocks.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use biscuit_auth::builder::{self, Convert};
use biscuit_auth::datalog::{Check, SymbolTable};

use crate::authorize::AuthorizeError;
use crate::authorize::facts::Presented;
use crate::authorize::words::{self, Translation};
use crate::datalog::{Base, Filed, VERIFIER, weight};
use crate::keys::PublicKey;
use crate::memory::Memory;
use crate::policy::Policy;
use crate::profile::MAX_BLOCKS;
use crate::profile::shape::ShapedBlock;
use crate::verify::VerifiedCapability;

/// A check of a token, with the number of its block and of itself.
pub(crate) type TokenCheck = (usize, usize, Check);

/// The first blocks of a token, brought together with a set of policies.
#[derive(Debug)]
struct Begun {
    symbols: SymbolTable,
    facts: Arc<Filed>,
    signed_by: HashMap<usize, Vec<usize>>,
    checks: Vec<Arc<TokenCheck>>,
    keys: Vec<PublicKey>,
    shared: HashMap<u64, u64>,
    bytes: usize,
}

/// A token brought together with a set of policies.
pub(super) struct Loaded {
    pub(super) base: Base,
    pub(super) checks: Vec<Arc<TokenCheck>>,
}

/// What is kept of first blocks: by their number and the digest of the policies.
pub(super) struct BegunTokens(Memory<(u64, String), Arc<Begun>>);

/// The room for each token that is to be remembered.
const ROOM_PER_TOKEN: usize = 16 * 1024;

/// What the other lists and tables of it take for each block.
const BYTES_PER_BLOCK: usize = 200;

/// What it takes to know the number of a word of the blocks' own table: an entry, in a table that may be half full.
const BYTES_PER_WORD: usize = 40;

impl BegunTokens {
    pub(super) fn new(tokens: usize) -> BegunTokens {
        BegunTokens(Memory::new(tokens.saturating_mul(ROOM_PER_TOKEN)))
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }

    /// Brings a token and policies together. Where the verifier knew all blocks but the last, these are not translated again.
    pub(super) fn load(
        &self,
        verified: &VerifiedCapability,
        policy: &Policy,
    ) -> Result<Loaded, AuthorizeError> {
        let Some(number) = verified.beginning() else { return load(verified, policy) };
        let blocks = &verified.capability().shaped().blocks;
        let presented = Presented::of(verified);
        let key = (number, policy.digest().to_owned());
        let begun = match self.0.get(&key) {
            Some(begun) => begun,
            None => {
                let mut loading = Loading::over(Base::over(&policy.stated, policy.symbols.clone()));
                loading.add(
                    0,
                    blocks.get(..blocks.len() - 1).unwrap_or_default(),
                    &presented.hop_facts(),
                )?;
                let begun = Arc::new(loading.begun());
                self.0.put(key, Arc::clone(&begun), verified.owner(), begun.bytes);
                begun
            }
        };
        let mut loading = Loading::after(&begun, policy);
        loading.add(blocks.len() - 1, blocks, &presented.own_facts())?;
        Ok(loading.loaded())
    }
}

impl fmt::Debug for BegunTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The same of a token of which nothing is known.
pub(super) fn load(
    verified: &VerifiedCapability,
    policy: &Policy,
) -> Result<Loaded, AuthorizeError> {
    let presented = Presented::of(verified);
    let mut loading = Loading::over(Base::over(&policy.stated, policy.symbols.clone()));
    let facts = [presented.own_facts(), presented.hop_facts()].concat();
    loading.add(0, &verified.capability().shaped().blocks, &facts)?;
    Ok(loading.loaded())
}

struct Loading {
    base: Base,
    checks: Vec<Arc<TokenCheck>>,
    /// The keys of signers and holders, at the places that they have in the base's table.
    keys: Vec<PublicKey>,
    /// First-party blocks share one table, of which each knows a beginning.
    shared: HashMap<u64, u64>,
}

impl Loading {
    fn over(base: Base) -> Loading {
        Loading { base, checks: Vec::new(), keys: Vec::new(), shared: HashMap::new() }
    }

    fn after(begun: &Begun, policy: &Policy) -> Loading {
        let Begun { symbols, facts, signed_by, checks, keys, shared, .. } = begun;
        let base = Base::after(&policy.stated, facts, signed_by.clone(), symbols.clone());
        Loading { base, checks: checks.clone(), keys: keys.clone(), shared: shared.clone() }
    }

    /// Adds what the verifier asserts, and what the blocks from this number on say.
    fn add(
        &mut self,
        from: usize,
        blocks: &[Arc<ShapedBlock>],
        ambient: &[builder::Fact],
    ) -> Result<(), AuthorizeError> {
        let new = blocks.iter().enumerate().skip(from);
        for (index, block) in new.clone() {
            if let Some((key, _)) = block.external {
                let number = self.key(key);
                self.base.signed(number, index);
            }
        }
        // Those that checks trust, so that each has its place before a check is translated.
        for (_, block) in new.clone() {
            for key in &block.keys {
                self.key(*key);
            }
        }
        // What is kept has no room to spare.
        let said = new.clone().map(|(_, block)| (block.facts.len(), block.checks.len()));
        let (facts, checks) =
            said.fold((ambient.len(), 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        self.base.reserve(facts);
        self.checks.reserve_exact(checks);
        let facts = words::convert(ambient, self.base.symbols());
        self.base.add(VERIFIER, facts);
        new.into_iter().try_for_each(|(index, block)| self.block(index, block))
    }

    /// The number of a key.
    fn key(&mut self, key: PublicKey) -> usize {
        let known = self.keys.iter().position(|known| *known == key);
        known.unwrap_or_else(|| {
            self.keys.push(key);
            // It was a point when its block was read.
            if let Ok(key) = key.to_biscuit() {
                builder::Scope::PublicKey(key).convert(self.base.symbols());
            }
            self.keys.len() - 1
        })
    }

    fn block(&mut self, index: usize, block: &ShapedBlock) -> Result<(), AuthorizeError> {
        let unreadable =
            |_| AuthorizeError::NotEvaluable { place: "the token".to_owned(), block: Some(0) };
        let mut own = HashMap::new();
        let known = if block.external.is_some() { &mut own } else { &mut self.shared };
        let mut translation = Translation { from: &block.symbols, to: self.base.symbols(), known };
        let mut facts = Vec::with_capacity(block.facts.len());
        for fact in &block.facts {
            facts.push(translation.fact(fact).map_err(unreadable)?);
        }
        for (number, check) in block.checks.iter().enumerate() {
            let check = translation.check(check).map_err(unreadable)?;
            self.checks.push(Arc::new((index, number + 1, check)));
        }
        self.base.add(index, facts);
        Ok(())
    }

    fn loaded(self) -> Loaded {
        Loaded { base: self.base, checks: self.checks }
    }

    fn begun(self) -> Begun {
        let Loading { base, checks, keys, shared } = self;
        let (facts, signed_by, symbols) = base.into_beginning();
        let bytes = size_of::<Begun>()
            + facts.bytes()
            + bytes_of(&checks)
            + weight::words(&symbols, keys.len())
            + BYTES_PER_WORD * shared.len()
            + BYTES_PER_BLOCK * MAX_BLOCKS;
        Begun { symbols, facts: Arc::new(facts), signed_by, checks, keys, shared, bytes }
    }
}

/// What checks of a token take in memory, with their list.
pub(super) fn bytes_of(checks: &[Arc<TokenCheck>]) -> usize {
    let each = checks.iter().map(|known| {
        2 * weight::BYTES_PER_ALLOCATION + size_of::<TokenCheck>() + weight::check(&known.2)
    });
    weight::list::<Arc<TokenCheck>>(checks.len()) + each.sum::<usize>()
}

#[cfg(test)]
mod tests;
