//! Snapshot: all that is in force after so many events, in one text.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::feed::head::SnapshotName;
use crate::feed::line::{self, Line};
use crate::log::{Frontier, LeafHash};
use crate::revocation::{Delta, InForce, RevocationList};
use crate::timestamp::Timestamp;

const FORMAT: &str = "hardtack-feed-snapshot-1";

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    epoch: u64,
    size: u64,
    /// The roots of the complete subtrees of the first `size` events, from left to right: with them, the root of what follows is computed.
    hashes: Vec<LeafHash>,
    forgotten_until: Option<Timestamp>,
    entries: u64,
}

/// A snapshot that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) epoch: u64,
    pub(super) edge: Frontier,
    /// Without a moment: the checkpoint has it.
    pub(super) list: RevocationList,
}

pub(super) fn write(
    epoch: u64,
    edge: &Frontier,
    forgotten_until: Option<Timestamp>,
    entries: &[InForce],
) -> String {
    let header = Header {
        format: FORMAT.to_owned(),
        epoch,
        size: edge.size(),
        hashes: edge.hashes().map(LeafHash).collect(),
        forgotten_until,
        entries: entries.len() as u64,
    };
    let mut text = serde_json::to_string(&header).unwrap_or_default();
    text.push('\n');
    for entry in entries {
        text.push_str(&line::of_entry(entry));
        text.push('\n');
    }
    text
}

pub(super) fn name_of(size: u64, text: &str) -> SnapshotName {
    let digest = Sha256::digest(text.as_bytes()).into();
    SnapshotName { size, bytes: text.len() as u64, digest }
}

/// Reads a snapshot; `None` if it is none.
pub(super) fn read(text: &str) -> Option<Read> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let header: Header = serde_json::from_str(lines.next()?).ok()?;
    if header.format != FORMAT {
        return None;
    }
    let hashes: Vec<[u8; 32]> = header.hashes.iter().map(|hash| *hash.as_bytes()).collect();
    let edge = Frontier::of_hashes(header.size, &hashes)?;
    let entry = |text: &str| match line::read(text)? {
        Line::Delta(Delta::Revoked(entry)) => Some(entry),
        Line::Delta(Delta::Forgotten { .. }) | Line::Anew => None,
    };
    let revocations: Vec<InForce> = lines.map(entry).collect::<Option<_>>()?;
    let list = RevocationList {
        as_of: Timestamp::default(),
        forgotten_until: header.forgotten_until,
        revocations,
    };
    (list.revocations.len() as u64 == header.entries).then_some(Read {
        epoch: header.epoch,
        edge,
        list,
    })
}
