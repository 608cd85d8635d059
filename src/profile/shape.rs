//! The shape gate: bytes that anybody may have made, to blocks that have exactly one reading (strict decoding,
//! canonical form).
//!
//! Says nothing about signatures, nor about what the facts mean; see [`chain`](crate::chain).

mod extending;
pub(super) mod reading;

use std::cell::Cell;
use std::sync::Arc;

use biscuit_auth::builder::{self, Convert};
use biscuit_auth::datalog::{Check, Fact, SymbolTable};
use biscuit_auth::format::schema;
use prost::Message;

use crate::datalog::weight;
use crate::keys::PublicKey;
use crate::profile::error::{ShapeError, within};
use crate::profile::terms::Terms;
use crate::profile::{
    MAX_BLOCKS, MAX_CHECKS, MAX_FACTS, MAX_KEYS_PER_BLOCK, MAX_STRING_BYTES, MAX_SYMBOLS,
    MAX_TOKEN_BYTES,
};

pub(crate) use extending::Made;

/// The signature version of Biscuit 3.3: each signature covers the one before it.
const SIGNATURE_VERSION: u32 = 1;

/// The Datalog version that brought third-party blocks, Biscuit 3.2.
pub(crate) const THIRD_PARTY_DATALOG: u32 = 5;

/// A token of the accepted shape. Proves nothing yet: no signature has been looked at.
#[derive(Debug, Clone)]
pub(crate) struct Shaped {
    pub(crate) biscuit: schema::Biscuit,
    /// Shared with the tokens that begin with the same blocks.
    pub(crate) blocks: Vec<Arc<ShapedBlock>>,
}

/// A block, with the words and keys that its numbers stand for.
#[derive(Debug, Clone)]
pub(crate) struct ShapedBlock {
    /// How many words it defines.
    pub(crate) words: usize,
    /// Facts and checks as Biscuit's engine has them, by the numbers of `symbols`.
    pub(crate) facts: Vec<Fact>,
    pub(crate) checks: Vec<Check>,
    pub(crate) symbols: SymbolTable,
    /// The keys that the block brings, read.
    pub(crate) keys: Vec<PublicKey>,
    /// The signature made with the throw-away key: Biscuit's revocation id.
    pub(crate) signature: [u8; 64],
    /// The signer of a third-party block and its signature.
    pub(crate) external: Option<(PublicKey, [u8; 64])>,
    /// Bytes of words in this block and those before it, each as often as it is used.
    pub(crate) written: usize,
}

impl ShapedBlock {
    /// The facts of this name.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = &Fact> {
        let is_named = move |fact: &&Fact| self.name_of(fact) == name;
        self.facts.iter().filter(is_named)
    }

    /// The name of one of its facts. Each number in it has a word, or the block would have been refused.
    pub(crate) fn name_of(&self, fact: &Fact) -> &str {
        self.symbols.get_symbol(fact.predicate.name).unwrap_or_default()
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        // First-party blocks have the keys of those before them, too; each block brings one.
        let keys = if self.external.is_some() { self.keys.len() } else { MAX_BLOCKS };
        size_of::<ShapedBlock>()
            + weight::BYTES_PER_ALLOCATION
            + weight::facts(&self.facts)
            + weight::checks(&self.checks)
            + weight::words(&self.symbols, keys)
            + weight::list::<PublicKey>(self.keys.capacity())
    }

    /// One of its facts with its words.
    pub(crate) fn written(&self, fact: &Fact) -> Option<builder::Fact> {
        builder::Fact::convert_from(fact, &self.symbols).ok()
    }
}

/// Reads a token's bytes.
pub(crate) fn gate(bytes: &[u8]) -> Result<Shaped, ShapeError> {
    gate_after(bytes, &[])
}

/// Reads the bytes of a token that begins with blocks which were read before: those bytes are the same. Only the others are read.
pub(crate) fn gate_after(bytes: &[u8], known: &[Arc<ShapedBlock>]) -> Result<Shaped, ShapeError> {
    if bytes.len() > MAX_TOKEN_BYTES {
        return Err(ShapeError::TooLarge);
    }
    let biscuit = schema::Biscuit::decode(bytes).map_err(|_| ShapeError::NotABiscuit)?;
    // Unknown fields, fields said twice and long varints all vanish in decoding.
    if biscuit.encode_to_vec() != bytes {
        return Err(ShapeError::NotABiscuit);
    }
    check_ends(&biscuit)?;
    let signed = std::iter::once(&biscuit.authority).chain(&biscuit.blocks);
    let mut new = signed.enumerate().skip(known.len());
    let third_party = new.clone().all(|(_, signed)| signed.external_signature.is_some());
    let mut reader = Reader::after(known, third_party, Made::default());
    let mut blocks = known.to_vec();
    new.try_for_each(|(index, signed)| {
        blocks.push(Arc::new(reader.read(index, signed)?));
        Ok(())
    })?;
    Ok(Shaped { biscuit, blocks })
}

fn check_size(biscuit: &schema::Biscuit) -> Result<(), ShapeError> {
    match biscuit.encoded_len() > MAX_TOKEN_BYTES {
        true => Err(ShapeError::TooLarge),
        false => Ok(()),
    }
}

fn check_ends(biscuit: &schema::Biscuit) -> Result<(), ShapeError> {
    if biscuit.blocks.len() >= MAX_BLOCKS {
        return Err(ShapeError::OverLimit { block: 0, what: "blocks", limit: MAX_BLOCKS });
    }
    check_proof(biscuit)
}

fn check_proof(biscuit: &schema::Biscuit) -> Result<(), ShapeError> {
    use schema::proof::Content;
    let block = biscuit.blocks.len();
    match &biscuit.proof.content {
        Some(Content::NextSecret(secret)) if secret.len() == 32 => Ok(()),
        Some(Content::FinalSignature(signature)) if signature.len() == 64 => Ok(()),
        Some(_) => Err(ShapeError::SignatureVersion { block }),
        None => Err(ShapeError::NotABiscuit),
    }
}

/// What the blocks read so far have defined and used up.
#[derive(Default)]
struct Reader {
    /// First-party blocks share one table, in the order of the blocks.
    shared_symbols: Vec<String>,
    shared_keys: Vec<biscuit_auth::PublicKey>,
    symbols: usize,
    facts: usize,
    checks: usize,
    /// Bytes of words, each as often as it is used.
    written: Cell<usize>,
    made: Made,
}

impl Reader {
    fn read(
        &mut self,
        index: usize,
        signed: &schema::SignedBlock,
    ) -> Result<ShapedBlock, ShapeError> {
        let signature = check_signed(index, signed)?;
        let external = self.check_external(index, signed)?;
        let encoding = ShapeError::Encoding { block: index };
        let mut content =
            schema::Block::decode(signed.block.as_slice()).map_err(|_| encoding.clone())?;
        if content.encode_to_vec() != signed.block {
            return Err(encoding);
        }
        refuse_content(index, &content)?;
        let words = content.symbols.len();
        let (symbols, keys, own_keys) = self.define(index, &mut content, external.is_some())?;
        self.count(index, &content)?;
        let terms = Terms { block: index, symbols: &symbols, keys, written: &self.written };
        let mut facts = Vec::with_capacity(content.facts.len());
        for fact in &content.facts {
            facts.push(terms.fact(fact)?);
        }
        content.checks.iter().try_for_each(|check| terms.check(check))?;
        if external.is_some() && content.version.unwrap_or_default() < THIRD_PARTY_DATALOG {
            return Err(encoding);
        }
        let checks = reading::checks(&content, &facts).map_err(|_| encoding)?;
        let written = self.written.get();
        let keys = own_keys;
        Ok(ShapedBlock { words, facts, checks, symbols, keys, signature, external, written })
    }

    fn check_external(
        &self,
        index: usize,
        signed: &schema::SignedBlock,
    ) -> Result<Option<(PublicKey, [u8; 64])>, ShapeError> {
        let Some(external) = &signed.external_signature else { return Ok(None) };
        if index == 0 {
            let what = "an external signature on the grant";
            return Err(ShapeError::Content { block: 0, what });
        }
        let key = match self.made.signer {
            Some(signer) if signer.to_bytes() == *key_bytes(index, &external.public_key)? => signer,
            _ => read_key(index, &external.public_key)?,
        };
        let signature = external.signature.as_slice().try_into();
        Ok(Some((key, signature.map_err(|_| ShapeError::SignatureVersion { block: index })?)))
    }

    /// A key that the block brings, in both forms.
    fn key(
        &self,
        index: usize,
        key: &schema::PublicKey,
    ) -> Result<(PublicKey, biscuit_auth::PublicKey), ShapeError> {
        let bytes = key_bytes(index, key)?;
        if let Some(known) = self.made.keys.iter().find(|(known, _)| known.to_bytes() == *bytes) {
            return Ok(*known);
        }
        let key = read_key(index, key)?;
        Ok((key, key.to_biscuit().map_err(|_| ShapeError::Algorithm { block: index })?))
    }

    /// The table by which this block's numbers are read: its own for a third-party block, otherwise
    /// that of the first-party blocks up to and including it. Words of later blocks are not in it,
    /// or a later block would choose what this one says.
    fn define(
        &mut self,
        index: usize,
        content: &mut schema::Block,
        third_party: bool,
    ) -> Result<(SymbolTable, usize, Vec<PublicKey>), ShapeError> {
        let wrong = ShapeError::Symbols { block: index };
        self.symbols += content.symbols.len();
        within(index, self.symbols, MAX_SYMBOLS, "words")?;
        within(index, content.public_keys.len(), MAX_KEYS_PER_BLOCK, "public keys")?;
        for symbol in &content.symbols {
            within(index, symbol.len(), MAX_STRING_BYTES, "bytes in a string")?;
        }
        let keys = content.public_keys.iter().map(|key| self.key(index, key));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let own_keys = keys.iter().map(|(key, _)| *key).collect();
        let (mut words, mut known) = match third_party {
            true => (Vec::new(), Vec::new()),
            false => {
                (std::mem::take(&mut self.shared_symbols), std::mem::take(&mut self.shared_keys))
            }
        };
        words.reserve_exact(content.symbols.len());
        known.reserve_exact(keys.len());
        for word in std::mem::take(&mut content.symbols) {
            if words.contains(&word) {
                return Err(wrong);
            }
            words.push(word);
        }
        for (_, key) in keys {
            if known.contains(&key) {
                return Err(wrong);
            }
            known.push(key);
        }
        if !third_party {
            self.shared_symbols.clone_from(&words);
            self.shared_keys.clone_from(&known);
        }
        let keys = known.len();
        // A word that is one of Biscuit's own is refused here.
        let table = SymbolTable::from_symbols_and_public_keys(words, known).map_err(|_| wrong)?;
        Ok((table, keys, own_keys))
    }

    fn count(&mut self, index: usize, content: &schema::Block) -> Result<(), ShapeError> {
        self.facts += content.facts.len();
        self.checks += content.checks.len();
        within(index, self.facts, MAX_FACTS, "facts")?;
        within(index, self.checks, MAX_CHECKS, "checks")
    }
}

fn check_signed(index: usize, signed: &schema::SignedBlock) -> Result<[u8; 64], ShapeError> {
    let wrong = ShapeError::SignatureVersion { block: index };
    // Whether it is a usable key shows when it must verify what follows.
    key_bytes(index, &signed.next_key)?;
    if signed.version != Some(SIGNATURE_VERSION) {
        return Err(wrong);
    }
    signed.signature.as_slice().try_into().map_err(|_| wrong)
}

fn read_key(index: usize, key: &schema::PublicKey) -> Result<PublicKey, ShapeError> {
    let bytes = key_bytes(index, key)?;
    PublicKey::from_bytes(bytes).map_err(|_| ShapeError::Algorithm { block: index })
}

fn key_bytes(index: usize, key: &schema::PublicKey) -> Result<&[u8; 32], ShapeError> {
    let wrong = ShapeError::Algorithm { block: index };
    if key.algorithm != schema::public_key::Algorithm::Ed25519 as i32 {
        return Err(wrong);
    }
    key.key.as_slice().try_into().map_err(|_| wrong)
}

fn refuse_content(index: usize, content: &schema::Block) -> Result<(), ShapeError> {
    let refused = [
        (!content.rules.is_empty(), "a rule"),
        (!content.scope.is_empty(), "a block-wide trusting"),
        (content.context.is_some(), "a context"),
    ];
    match refused.into_iter().find(|(there, _)| *there) {
        Some((_, what)) => Err(ShapeError::Content { block: index, what }),
        None => Ok(()),
    }
}
