//! Beginnings: which tokens begin with blocks whose signatures are known to hold? (A cache of prefixes.)
//!
//! Agents present one chain again and again, and many chains have one grant. What was found of the first blocks of a token
//! holds for each other token that begins with the same bytes, as far as it rests on them alone: their shape, what they say, and
//! their signatures up to the root. The end of a token, expiry, revocation and the walk are looked at every time. Only beginnings of
//! tokens whose signatures all hold are remembered, so that strangers put nothing in.

use std::sync::Arc;

use prost::encoding::decode_varint;

use crate::capability::{Beginning, Capability};
use crate::keys::PublicKey;
use crate::memory::Memory;
use crate::verify::trust::{Authentic, next_number};

/// What the first blocks of a token are, and whose.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) beginning: Beginning,
    pub(super) root: PublicKey,
    pub(super) issuer: Arc<str>,
    /// What tells these blocks from all others that this process knew.
    pub(super) number: u64,
}

impl Known {
    /// Whether these are all blocks of a token but the last one, where it begins with them.
    pub(super) fn is_all_but_last_of(&self, token: &Capability) -> bool {
        self.beginning.blocks() + 1 == token.shaped().blocks.len()
    }
}

/// The room for each token that is to be remembered.
const ROOM_PER_TOKEN: usize = 32 * 1024;

/// By the bytes of a token's block, each behind what tells all before it from others (a trie): the bytes of a beginning are kept once,
/// however many blocks follow. Those of the first one have the root key id, too, by which the root is chosen.
#[derive(Debug)]
pub(super) struct Beginnings(Memory<Arc<[u8]>, Arc<Known>>);

/// What stands before the first block.
const NOTHING: u64 = u64::MAX;

/// Under what a beginning is remembered: the number of the one without its last block, and that block's bytes.
fn key_of(before: u64, block: &[u8]) -> Vec<u8> {
    [&before.to_le_bytes(), block].concat()
}

impl Beginnings {
    pub(super) fn new(tokens: usize) -> Beginnings {
        Beginnings(Memory::new(tokens.saturating_mul(ROOM_PER_TOKEN)))
    }

    /// The longest known beginning of a token's bytes.
    pub(super) fn longest(&self, bytes: &[u8]) -> Option<Arc<Known>> {
        let mut longest: Option<Arc<Known>> = None;
        for block in blocks(bytes) {
            let before = longest.as_ref().map_or(NOTHING, |known| known.number);
            let Some(known) = self.0.get(key_of(before, block).as_slice()) else { break };
            longest = Some(known);
        }
        longest
    }

    /// Remembers the beginnings of a token whose signatures hold, but for those that were known when it came.
    pub(super) fn keep(&self, token: &Authentic, known: Option<&Known>) {
        if known.is_some_and(|known| known.is_all_but_last_of(&token.capability)) {
            return;
        }
        let bytes = token.capability.to_bytes();
        let mut before = known.map_or(NOTHING, |known| known.number);
        let known = known.map_or(0, |known| known.beginning.blocks());
        let said = token.capability.chain().bytes();
        let new = blocks(&bytes).skip(known);
        for (beginning, block) in token.capability.beginnings(known).zip(new) {
            let key = key_of(before, block);
            let size = key.len() + beginning.bytes() + said;
            // Others may have found it meanwhile.
            before = match self.0.get(key.as_slice()) {
                Some(found) => found.number,
                None => {
                    let (root, issuer) = (token.root, Arc::clone(&token.identity.issuer));
                    let known = Arc::new(Known { beginning, root, issuer, number: next_number() });
                    let number = known.number;
                    // What follows one that is too large has it, too.
                    if !self.0.put(key.into(), known, token.owner(), size) {
                        return;
                    }
                    number
                }
            };
        }
    }
}

/// Each block of a token's bytes, the first with what stands before it.
fn blocks(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut begin = 0;
    ends(bytes).into_iter().map_while(move |end| {
        let block = bytes.get(begin..end);
        begin = end;
        block
    })
}

/// Where each block ends in a token's bytes: the fields of the message come in their order (Biscuit's schema: 1 the root key id, 2 the
/// grant, 3 the other blocks, 4 the end). Of what is no token, as far as it looks like one.
fn ends(bytes: &[u8]) -> Vec<usize> {
    const ROOT_KEY_ID: u64 = 1 << 3;
    const GRANT: u64 = 2 << 3 | 2;
    const BLOCK: u64 = 3 << 3 | 2;
    let (mut rest, mut ends) = (bytes, Vec::new());
    while let Ok(tag) = decode_varint(&mut rest) {
        let Ok(value) = decode_varint(&mut rest) else { break };
        match tag {
            ROOT_KEY_ID => {}
            GRANT | BLOCK => {
                let length = usize::try_from(value).unwrap_or(usize::MAX);
                let Some(after) = rest.get(length..) else { break };
                rest = after;
                ends.push(bytes.len() - rest.len());
            }
            _ => break,
        }
    }
    ends
}

#[cfg(test)]
mod tests;
