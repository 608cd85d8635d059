//! Packed: in what few bytes is a record's text kept, and how is it given back to the byte?
//!
//! Records on one chain differ in a few places. The first of them is kept as a template, once for each some ten thousand records, and
//! the others as what differs from it (LZ4 with the template as its dictionary). Number and hash of the record before are left out,
//! since the row's key and the row before say them. Nothing rests on which template is taken: whatever is packed is unpacked and
//! compared before it is written, and stands as it is where that fails; and whoever reads it compares its hash.

use std::borrow::Cow;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::audit::LeafHash;
use crate::timestamp::Timestamp;

/// So many records share their templates. What is told of a chain is kept once for each such group in which the chain is used, so that a
/// group can go without looking for others that need something of it. In tests there are more groups of fewer records.
pub(super) const GROUP: u64 = if cfg!(test) { 1024 } else { 65_536 };

/// As much of a record is a template at most: kept arguments may have 16 KiB, which are seldom the same twice.
const MAX_TEMPLATE: usize = 4096;

/// Longer texts are kept as they are: LZ4 refers 64 KiB back, and a record has its limit far below.
const MAX_PACKED: usize = 256 * 1024;

/// What a packed text begins with. JSON begins otherwise.
const PACKED: u8 = 1;

/// The group of a record, and in it the mark of the template that its text was packed with.
pub(super) type TemplateKey = (u64, u64);

pub(super) fn group_of(sequence: u64) -> u64 {
    sequence.saturating_sub(1) / GROUP
}

/// A record's text without what is known otherwise.
pub(super) struct Outline<'a> {
    sequence: u64,
    time: Timestamp,
    rest: &'a [u8],
    mark: u64,
}

/// The members of a record by which its template is chosen.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    decision: Option<Cow<'a, str>>,
    cause: Option<Cow<'a, str>>,
    policy: Option<Cow<'a, str>>,
    chain: Option<ToldChain<'a>>,
}

#[derive(Deserialize)]
struct ToldChain<'a> {
    #[serde(borrow)]
    grant_id: Cow<'a, str>,
    hops: Vec<ToldHop<'a>>,
    presented: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ToldHop<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl Told<'_> {
    /// Whoever makes two chains share a mark only has them take more room.
    fn mark(&self) -> u64 {
        let mut digest = Sha256::new();
        let mut add = |part: Option<&str>| {
            let part = part.unwrap_or_default();
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        };
        add(Some(&self.event));
        add(self.decision.as_deref());
        add(self.cause.as_deref());
        if let Some(chain) = &self.chain {
            add(self.policy.as_deref());
            add(chain.presented.as_deref());
            add(Some(&chain.grant_id));
            // A hop's id is a signature over all that came before it.
            add(chain.hops.last().map(|hop| &*hop.id));
        }
        let digest = digest.finalize();
        let mut mark = [0; 8];
        mark.copy_from_slice(&digest[..8]);
        u64::from_le_bytes(mark)
    }
}

impl<'a> Outline<'a> {
    /// Of a text that begins as records do, and continues the record with this hash.
    pub(super) fn of(json: &'a [u8], sequence: u64, previous: LeafHash) -> Option<Outline<'a>> {
        let time = json.strip_prefix(begin(sequence).as_bytes())?;
        let time = &time[..time.iter().position(|byte| *byte == b'"')?];
        let time = Timestamp::parse(std::str::from_utf8(time).ok()?).ok()?;
        let rest = json.strip_prefix(head(sequence, time, previous).as_bytes())?;
        if rest.len() > MAX_PACKED {
            return None;
        }
        let mark = serde_json::from_slice::<Told<'_>>(json).ok()?.mark();
        Some(Outline { sequence, time, rest, mark })
    }

    /// The template to look for.
    pub(super) fn template(&self) -> TemplateKey {
        (group_of(self.sequence), self.mark)
    }

    /// What becomes the template, where there is none.
    pub(super) fn as_template(&self) -> &'a [u8] {
        &self.rest[..self.rest.len().min(MAX_TEMPLATE)]
    }

    /// The packed text; `None` if that does not give the text back, or takes as much.
    pub(super) fn pack(&self, template: &[u8]) -> Option<Vec<u8>> {
        let mut packed = Vec::with_capacity(128);
        packed.push(PACKED);
        packed.extend_from_slice(&self.mark.to_le_bytes());
        put_number(&mut packed, self.time.unix_seconds());
        put_number(&mut packed, self.rest.len() as u64);
        packed.extend(lz4_flex::block::compress_with_dict(self.rest, template));
        if packed.len() >= self.rest.len() {
            return None;
        }
        let (_, rest) = Packed::parse(&packed)?.unpack(template)?;
        (rest == self.rest).then_some(packed)
    }
}

/// A packed text, taken apart.
pub(super) struct Packed<'a> {
    mark: u64,
    time: Timestamp,
    len: usize,
    rest: &'a [u8],
}

impl<'a> Packed<'a> {
    /// `None` of a text that is not packed, or badly.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Packed<'a>> {
        let (mark, mut rest) = bytes.strip_prefix(&[PACKED])?.split_first_chunk()?;
        let time = Timestamp::from_unix_seconds(take_number(&mut rest)?);
        let len = usize::try_from(take_number(&mut rest)?).ok().filter(|len| *len <= MAX_PACKED)?;
        Some(Packed { mark: u64::from_le_bytes(*mark), time, len, rest })
    }

    /// The template that it was packed with, of a record with this number.
    pub(super) fn template(&self, sequence: u64) -> TemplateKey {
        (group_of(sequence), self.mark)
    }

    fn unpack(&self, template: &[u8]) -> Option<(Timestamp, Vec<u8>)> {
        let rest = lz4_flex::block::decompress_with_dict(self.rest, self.len, template).ok()?;
        (rest.len() == self.len).then_some((self.time, rest))
    }

    /// The text of the record with this number, which continues the record with this hash.
    pub(super) fn text(
        &self,
        sequence: u64,
        previous: LeafHash,
        template: &[u8],
    ) -> Option<Vec<u8>> {
        let (time, rest) = self.unpack(template)?;
        let mut text = head(sequence, time, previous).into_bytes();
        text.extend_from_slice(&rest);
        Some(text)
    }
}

/// Whether this is a text as it is.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    bytes.first() != Some(&PACKED)
}

fn begin(sequence: u64) -> String {
    format!(r#"{{"sequence":{sequence},"time":""#)
}

/// What every record begins with.
fn head(sequence: u64, time: Timestamp, previous: LeafHash) -> String {
    format!(r#"{}{time}","previous":"{previous}","#, begin(sequence))
}

/// Seven bits a byte, the lowest first.
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOP: &str = "3f0c";

    fn text(sequence: u64, previous: LeafHash, agent: &str, message: &str) -> Vec<u8> {
        let time = Timestamp::from_unix_seconds(1_795_428_000 + sequence);
        let id = HOP.repeat(32);
        format!(
            r#"{{"sequence":{sequence},"time":"{time}","previous":"{previous}","event":"decision","decision":"allow","cause":null,"message":"{message}","chain":{{"subject":"user:a","grant_id":"{id}","hops":[{{"delegate":"{agent}","id":"{id}"}}],"presented":null}},"policy":"none"}}"#
        )
        .into_bytes()
    }

    #[test]
    fn what_is_packed_comes_back_to_the_byte_and_takes_a_fraction() {
        let hash = LeafHash::of(b"before");
        let first = text(1, hash, "agent.a", "allowed");
        let first = Outline::of(&first, 1, hash).unwrap();
        for (sequence, agent, message) in
            [(1, "agent.a", "allowed"), (2, "agent.a", "allowed"), (GROUP, "agent.b", "denied")]
        {
            let json = text(sequence, hash, agent, message);
            let outline = Outline::of(&json, sequence, hash).unwrap();
            assert_eq!(outline.template(), first.template(), "{sequence}");
            let packed = outline.pack(first.as_template()).unwrap();
            assert!(packed.len() < 64, "{} bytes", packed.len());
            let parsed = Packed::parse(&packed).unwrap();
            assert_eq!(parsed.template(sequence), first.template());
            assert_eq!(parsed.text(sequence, hash, first.as_template()).unwrap(), json);
        }
    }

    #[test]
    fn groups_have_templates_of_their_own() {
        let hash = LeafHash::of(b"before");
        let keys = [1, GROUP, GROUP + 1].map(|sequence| {
            let json = text(sequence, hash, "agent.a", "allowed");
            Outline::of(&json, sequence, hash).unwrap().template()
        });
        assert_eq!(keys.map(|(group, _)| group), [0, 0, 1]);
        assert!(keys.iter().all(|(_, mark)| *mark == keys[0].1));
    }

    #[test]
    fn what_does_not_begin_as_a_record_does_is_not_packed() {
        let hash = LeafHash::of(b"before");
        let json = text(7, hash, "agent.a", "allowed");
        assert!(Outline::of(&json, 7, hash).is_some());
        assert!(Outline::of(&json, 8, hash).is_none(), "another number");
        assert!(Outline::of(&json, 7, LeafHash::of(b"other")).is_none(), "another one before");
        let spaced = String::from_utf8(json.clone()).unwrap().replace(r#""time":"#, r#""time": "#);
        assert!(Outline::of(spaced.as_bytes(), 7, hash).is_none(), "spaces");
        let moment = String::from_utf8(json).unwrap().replace("Z\"", "+00:00\"");
        assert!(Outline::of(moment.as_bytes(), 7, hash).is_none(), "a moment in another form");
    }

    #[test]
    fn damaged_bytes_are_refused_or_give_another_text_and_never_a_panic() {
        let hash = LeafHash::of(b"before");
        let json = text(1, hash, "agent.a", "allowed");
        let outline = Outline::of(&json, 1, hash).unwrap();
        let other = text(2, hash, "agent.b", "denied, since it is another one");
        let packed = Outline::of(&other, 2, hash).unwrap().pack(outline.as_template()).unwrap();
        let read = |bytes: &[u8], template: &[u8]| {
            Packed::parse(bytes).and_then(|packed| packed.text(2, hash, template))
        };
        assert_eq!(read(&packed, outline.as_template()).unwrap(), other);
        for bit in 0..packed.len() * 8 {
            let mut changed = packed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            read(&changed, outline.as_template());
            read(&packed[..bit / 8], outline.as_template());
        }
        assert_ne!(read(&packed, &outline.as_template()[..40]), Some(other));
        assert_eq!(read(&[PACKED], b""), None);
    }

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, 127, 128, 1_795_428_000, u64::MAX] {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            assert_eq!(take_number(&mut &bytes[..]), Some(number));
        }
        assert_eq!(take_number(&mut &[0x80][..]), None);
    }
}
