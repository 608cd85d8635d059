//! Reading: is this the log that was signed, whole and in order?

use std::collections::BTreeMap;

use crate::audit::{AuditEvent, AuditRecord};
use crate::cause::Cause;
use crate::log::{Checkpoint, Edge, LeafHash};
use crate::revocation::RevocationNotice;

/// Reads a log from its first record on, and knows its tree.
///
/// ```
/// # use hardtack::log::LogReader;
/// let mut reader = LogReader::default();
/// assert!(reader.next(br#"{"sequence":2}"#).is_err());
/// assert_eq!(reader.len(), 0);
/// ```
#[derive(Debug, Default)]
pub struct LogReader {
    edge: Edge,
    /// The root to compare at the size of a checkpoint.
    expected: Option<(u64, [u8; 32])>,
    in_force: BTreeMap<u64, RevocationNotice>,
    hashes: Vec<[u8; 32]>,
}

/// A log that is not as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Not a record.
    #[error("what should be record {sequence} is no record")]
    Unreadable {
        /// Its place.
        sequence: u64,
    },
    /// Out of its place: one was taken out, put in or moved.
    #[error("where record {expected} should be stands record {found}")]
    OutOfOrder {
        /// The place.
        expected: u64,
        /// The record there.
        found: u64,
    },
    /// It names another record before it.
    #[error("record {sequence} does not continue the one before it: one of the two was changed")]
    Broken {
        /// The record.
        sequence: u64,
    },
    /// It takes the place of an earlier revocation that it does not prolong.
    #[error("record {sequence} takes the place of a revocation that it does not prolong")]
    Prolongs {
        /// The record.
        sequence: u64,
    },
    /// The whole differs from what was signed.
    #[error("the first {size} records are not those that the checkpoint signs")]
    Root {
        /// The checkpoint's size.
        size: u64,
    },
    /// Records that were signed are missing at the end.
    #[error("the log ends at record {len}, and the checkpoint signs {size}: the end was cut off")]
    CutOff {
        /// How many there are.
        len: u64,
        /// The checkpoint's size.
        size: u64,
    },
    /// The tree cannot be computed.
    #[error("the tree of record {sequence} cannot be computed")]
    Tree {
        /// The record.
        sequence: u64,
    },
}

impl LogError {
    /// The stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            LogError::Unreadable { .. }
            | LogError::OutOfOrder { .. }
            | LogError::Broken { .. }
            | LogError::Prolongs { .. }
            | LogError::Root { .. }
            | LogError::Tree { .. } => Cause::LogDamaged,
            LogError::CutOff { .. } => Cause::LogCutOff,
        }
    }
}

impl LogReader {
    /// A reader that compares what it reads with this checkpoint. What comes after the records that the
    /// checkpoint signs continues them, and is signed by nobody yet.
    pub fn expecting(checkpoint: &Checkpoint) -> LogReader {
        let expected = Some((checkpoint.size(), *checkpoint.root()));
        LogReader { expected, ..LogReader::default() }
    }

    /// Reads the next record, from its exact bytes.
    ///
    /// # Errors
    ///
    /// [`LogError`] if it does not continue what was read, or what was read by then is not what an
    /// expected checkpoint signs. Nothing is read then.
    pub fn next(&mut self, bytes: &[u8]) -> Result<AuditRecord, LogError> {
        let sequence = self.len() + 1;
        let record: AuditRecord =
            serde_json::from_slice(bytes).map_err(|_| LogError::Unreadable { sequence })?;
        if record.sequence != sequence {
            return Err(LogError::OutOfOrder { expected: sequence, found: record.sequence });
        }
        if record.previous != self.edge.last() {
            return Err(LogError::Broken { sequence });
        }
        let mut edge = self.edge.clone();
        let hashes = edge.push(LeafHash::of(bytes)).map_err(|_| LogError::Tree { sequence })?;
        let root = edge.root().map_err(|_| LogError::Tree { sequence })?;
        if self.expected.is_some_and(|(size, expected)| size == sequence && expected != root) {
            return Err(LogError::Root { size: sequence });
        }
        self.take(&record)?;
        (self.edge, self.hashes) = (edge, hashes);
        Ok(record)
    }

    /// What a record does to the revocations in force.
    fn take(&mut self, record: &AuditRecord) -> Result<(), LogError> {
        match &record.event {
            AuditEvent::Revocation(notice) => {
                if let Some(earlier) = notice.prolongs {
                    let earlier = self.in_force.get(&earlier);
                    // One that takes the place of another would be a way to revoke nothing any more. One
                    // that was forgotten meanwhile leaves no place.
                    if earlier.is_some_and(|earlier| !notice.may_replace(earlier)) {
                        return Err(LogError::Prolongs { sequence: record.sequence });
                    }
                }
                notice.prolongs.map(|earlier| self.in_force.remove(&earlier));
                self.in_force.insert(record.sequence, notice.clone());
            }
            AuditEvent::Collection(collection) => collection.forget(&mut self.in_force),
            AuditEvent::Decision(_) | AuditEvent::Restoration(_) => {}
        }
        Ok(())
    }

    /// The revocations that the records leave in force, by the numbers of their records.
    pub(crate) fn in_force(&self) -> &BTreeMap<u64, RevocationNotice> {
        &self.in_force
    }

    /// The hashes that the tree stores with the record that was read last.
    pub(crate) fn hashes(&self) -> &[[u8; 32]] {
        &self.hashes
    }

    /// How many records were read.
    pub fn len(&self) -> u64 {
        self.edge.size()
    }

    /// Whether none was read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// That was all.
    ///
    /// # Errors
    ///
    /// [`LogError::CutOff`] if an expected checkpoint signs more records.
    pub fn finish(&self) -> Result<(), LogError> {
        match self.expected.map(|(size, _)| size).filter(|size| *size > self.len()) {
            Some(size) => Err(LogError::CutOff { len: self.len(), size }),
            None => Ok(()),
        }
    }
}
