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

/// What the blocks of a beginning take for each of their bytes, as an estimate. The last of them is not counted with a shorter
/// beginning; the others are shared, and so
/// is what all of them say.
const BYTES_PER_BYTE: usize = 3;
const BYTES_PER_LAST_BYTE: usize = 12;

/// By the bytes of a token up to the end of a block. They have the root key id, too, by which the root is chosen.
#[derive(Debug)]
pub(super) struct Beginnings(Memory<Arc<[u8]>, Arc<Known>>);

impl Beginnings {
    pub(super) fn new(tokens: usize) -> Beginnings {
        Beginnings(Memory::new(tokens.saturating_mul(ROOM_PER_TOKEN)))
    }

    /// The longest known beginning of a token's bytes.
    pub(super) fn longest(&self, bytes: &[u8]) -> Option<Arc<Known>> {
        ends(bytes).iter().rev().find_map(|end| self.0.get(bytes.get(..*end)?))
    }

    /// Remembers the beginnings of a token whose signatures hold, but for those that were known when it came.
    pub(super) fn keep(&self, token: &Authentic, known: Option<&Known>) {
        if known.is_some_and(|known| known.is_all_but_last_of(&token.capability)) {
            return;
        }
        let bytes = token.capability.to_bytes();
        let ends = ends(&bytes);
        let known = known.map_or(0, |known| known.beginning.blocks());
        for beginning in token.capability.beginnings(known) {
            let last = beginning.blocks() - 1;
            let Some(key) = ends.get(last).and_then(|end| bytes.get(..*end)) else { return };
            let before = last.checked_sub(1).and_then(|before| ends.get(before)).unwrap_or(&0);
            let size = key.len() * BYTES_PER_BYTE + (key.len() - before) * BYTES_PER_LAST_BYTE;
            // Others may have found it meanwhile.
            if self.0.get(key).is_none() {
                let (root, issuer) = (token.root, Arc::clone(&token.identity.issuer));
                let known = Known { beginning, root, issuer, number: next_number() };
                self.0.put(key.into(), Arc::new(known), token.owner(), size);
            }
        }
    }
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
