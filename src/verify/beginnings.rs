//! Beginnings: which tokens begin with blocks whose signatures are known to hold? (A cache of prefixes.)
//!
//! Agents present one chain again and again, and many chains have one grant. What was found of the first blocks of a token
//! holds for each other token that begins with the same bytes, as far as it rests on them alone: their shape, what they say, and
//! their signatures up to the root. The end of a token, expiry, revocation and the walk are looked at every time. Only beginnings of
//! tokens whose signatures all hold are remembered, so that strangers put nothing in.

use std::sync::Arc;

use prost::encoding::decode_varint;

use crate::capability::Beginning;
use crate::keys::PublicKey;
use crate::memory::Memory;
use crate::verify::trust::Authentic;

/// What the first blocks of a token are, and whose.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) beginning: Beginning,
    pub(super) root: PublicKey,
    pub(super) issuer: Arc<str>,
}

/// The room for each token that is to be remembered.
const ROOM_PER_TOKEN: usize = 32 * 1024;

/// What the blocks of a beginning take for each of their bytes, as an estimate. The last of them is not counted with a shorter
/// beginning; the others are shared, and what they say is copied.
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

    /// Remembers the beginnings of a token whose signatures hold.
    pub(super) fn keep(&self, token: &Authentic, issuer: &Arc<str>) {
        let bytes = token.capability.to_bytes();
        let mut before = 0;
        for (end, beginning) in ends(&bytes).into_iter().zip(token.capability.beginnings()) {
            let Some(key) = bytes.get(..end) else { return };
            let size = end * BYTES_PER_BYTE + (end - before) * BYTES_PER_LAST_BYTE;
            before = end;
            if self.0.get(key).is_none() {
                let known = Known { beginning, root: token.root, issuer: Arc::clone(issuer) };
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
