//! Frame: what are the bytes of the records that were written at once?

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::audit::LeafHash;
use crate::store::StoreError;
use crate::store::clock::Clock;
use crate::store::schema::{Entry, encode};

/// Frames begin at multiples of this, the unit that disks write whole.
pub(super) const SECTOR: u64 = 512;

/// What a frame begins with. JSON has no zero bytes, so that no frame can hide in a record's text.
pub(super) const MAGIC: [u8; 8] = *b"\0\0frame\0";

/// Magic, length, first record, the hash before it, SHA-256 over all of it and the payload.
pub(super) const HEADER: usize = 8 + 8 + 8 + 32 + 32;

/// What a frame holds.
#[derive(Debug)]
pub(super) struct Frame {
    /// The segment that it is in.
    pub(super) segment: u64,
    /// Where the next frame of the segment goes.
    pub(super) end: u64,
    pub(super) first: u64,
    pub(super) previous: LeafHash,
    pub(super) clock: Clock,
    pub(super) entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    clock: Clock,
    /// Of each record: the bytes of its JSON, of its effects, and how many hashes it has.
    sizes: Vec<(usize, usize, usize)>,
}

impl Frame {
    /// The bytes of a frame, padded to whole sectors.
    pub(super) fn encode<'a>(
        previous: LeafHash,
        clock: Clock,
        entries: impl IntoIterator<Item = &'a Entry, IntoIter: Clone>,
    ) -> Result<Vec<u8>, StoreError> {
        let entries = entries.into_iter();
        let first = entries.clone().next().map_or(0, |entry| entry.sequence);
        let effects = entries.clone().map(|entry| match entry.effects.is_empty() {
            true => Ok(Vec::new()),
            false => encode(&entry.effects),
        });
        let effects = effects.collect::<Result<Vec<_>, _>>()?;
        let parts = || entries.clone().zip(&effects);
        let sizes: Vec<_> = parts()
            .map(|(entry, effects)| (entry.json.len(), effects.len(), entry.hashes.len()))
            .collect();
        let body: usize =
            sizes.iter().map(|(json, effects, hashes)| json + effects + 32 * hashes).sum();
        let head = encode(&Head { clock, sizes })?;
        let payload = 4 + head.len() + body;
        // Made once, of its length: what grows is copied, and large pieces of memory are not kept.
        let mut frame = Vec::with_capacity(padded(payload) as usize);
        frame.extend_from_slice(&MAGIC);
        frame.extend_from_slice(&(payload as u64).to_le_bytes());
        frame.extend_from_slice(&first.to_le_bytes());
        frame.extend_from_slice(previous.as_bytes());
        frame.extend_from_slice(&[0; 32]);
        frame.extend_from_slice(&(head.len() as u32).to_le_bytes());
        frame.extend_from_slice(&head);
        for (entry, effects) in parts() {
            frame.extend_from_slice(&entry.json);
            frame.extend_from_slice(effects);
            entry.hashes.iter().for_each(|hash| frame.extend_from_slice(hash));
        }
        let digest = digest(&frame);
        frame[HEADER - 32..HEADER].copy_from_slice(&digest);
        frame.resize(padded(payload) as usize, 0);
        Ok(frame)
    }

    /// The frame that begins here, if a whole one does: in this segment, at this place of it.
    pub(super) fn parse(bytes: &[u8], segment: u64, start: u64) -> Option<Frame> {
        if !bytes.starts_with(&MAGIC) {
            return None;
        }
        let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let payload = usize::try_from(number(8)?).ok()?;
        let frame = bytes.get(..HEADER.checked_add(payload)?)?;
        let end = start + padded(payload);
        if digest(frame) != frame[HEADER - 32..HEADER] {
            return None;
        }
        let first = number(16)?;
        let previous = LeafHash(frame[24..56].try_into().ok()?);
        let payload = &frame[HEADER..];
        let head_len = u32::from_le_bytes(payload.get(..4)?.try_into().ok()?) as usize;
        let head: Head = serde_json::from_slice(payload.get(4..4 + head_len)?).ok()?;
        let mut rest = payload.get(4 + head_len..)?;
        let mut entries = Vec::with_capacity(head.sizes.len());
        first.checked_add(head.sizes.len() as u64)?;
        for (sequence, (json, effects, hashes)) in (first..).zip(head.sizes) {
            let json = take(&mut rest, json)?.to_vec();
            let effects = match take(&mut rest, effects)? {
                [] => Vec::new(),
                effects => serde_json::from_slice(effects).ok()?,
            };
            let hashes = take(&mut rest, hashes.checked_mul(32)?)?;
            let hashes = hashes.chunks_exact(32).map(|hash| hash.try_into().ok());
            entries.push(Entry { sequence, hashes: hashes.collect::<Option<_>>()?, json, effects });
        }
        Some(Frame { segment, end, first, previous, clock: head.clock, entries })
    }

    /// What comes after this record, if the record is in it and has this hash.
    pub(super) fn after(mut self, sequence: u64, hash: LeafHash) -> Option<Frame> {
        let part = usize::try_from(sequence.checked_sub(self.first)?.checked_add(1)?).ok()?;
        let known = self.entries.get(part - 1).filter(|entry| entry.leaf() == hash)?;
        (self.first, self.previous) = (sequence + 1, known.leaf());
        self.entries.drain(..part);
        Some(self)
    }

    pub(super) fn last(&self) -> u64 {
        (self.first + self.entries.len() as u64).saturating_sub(1)
    }
}

/// About how many bytes an entry takes in a frame.
pub(super) fn frame_bytes(entry: &Entry) -> usize {
    // Effects are a line of JSON each; the longest, a block that was seen, has three ids and two keys.
    const EFFECT: usize = 1536;
    entry.json.len() + EFFECT * entry.effects.len() + 32 * entry.hashes.len() + 64
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

pub(super) fn padded(payload: usize) -> u64 {
    ((HEADER + payload) as u64).next_multiple_of(SECTOR)
}

/// SHA-256 over a frame, but for the place where it stands itself.
fn digest(frame: &[u8]) -> [u8; 32] {
    let hasher = Sha256::new_with_prefix(&frame[..HEADER - 32]);
    hasher.chain_update(&frame[HEADER..]).finalize().into()
}
