//! Reading: is this the log that was signed, whole and in order? The hash chain and the root of the Merkle tree say so.

use std::collections::BTreeMap;

use crate::audit::{AuditEvent, AuditRecord};
use crate::cause::Cause;
use crate::log::{Checkpoint, Frontier, LeafHash};
use crate::revocation::RevocationNotice;

/// A verifier of a whole log: it is given each record from the first on, and computes their tree.
///
/// ```
/// # use hardtack::log::LogReader;
/// let mut reader = LogReader::default();
/// assert!(reader.next(br#"{"sequence":2}"#).is_err());
/// assert_eq!(reader.len(), 0);
/// ```
#[derive(Debug, Default)]
pub struct LogReader {
    frontier: Frontier,
    /// The root to compare at the size of a checkpoint.
    expected: Option<(u64, [u8; 32])>,
    in_force: BTreeMap<u64, RevocationNotice>,
    hashes: Vec<[u8; 32]>,
}

/// An error of a log that is not as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The bytes are no record.
    #[error("what should be record {sequence} is no record")]
    Unreadable {
        /// The number that the record should have.
        sequence: u64,
    },
    /// The record is out of its place: one was taken out, put in or moved.
    #[error("where record {expected} should be stands record {found}")]
    OutOfOrder {
        /// The number that the record should have.
        expected: u64,
        /// The number that the record has.
        found: u64,
    },
    /// The record does not continue the one before it: it names another hash.
    #[error("record {sequence} does not continue the one before it: one of the two was changed")]
    Broken {
        /// The record's number.
        sequence: u64,
    },
    /// The record takes the place of an earlier revocation that it does not prolong.
    #[error("record {sequence} takes the place of a revocation that it does not prolong")]
    Prolongs {
        /// The record's number.
        sequence: u64,
    },
    /// The records differ from those that the checkpoint signs.
    #[error("the first {size} records are not those that the checkpoint signs")]
    Root {
        /// The number of records that the checkpoint signs.
        size: u64,
    },
    /// Records that were signed are missing at the end.
    #[error("the log ends at record {len}, and the checkpoint signs {size}: the end was cut off")]
    CutOff {
        /// The number of records that there are.
        len: u64,
        /// The number of records that the checkpoint signs.
        size: u64,
    },
    /// The tree cannot be computed.
    #[error("the tree of record {sequence} cannot be computed")]
    Tree {
        /// The record's number.
        sequence: u64,
    },
}

impl LogError {
    /// Returns the stable name of the cause.
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
    /// Makes a reader that compares what it reads with this checkpoint. Records after those that the checkpoint signs must continue them,
    /// and are signed by nobody yet.
    pub fn expecting(checkpoint: &Checkpoint) -> LogReader {
        let expected = Some((checkpoint.size(), *checkpoint.root()));
        LogReader { expected, ..LogReader::default() }
    }

    /// Goes on after records that are read elsewhere: with the edge of their tree, and the revocations that they leave in force.
    #[cfg(feature = "store")]
    pub(crate) fn after(
        mut self,
        frontier: Frontier,
        in_force: BTreeMap<u64, RevocationNotice>,
    ) -> Result<LogReader, LogError> {
        let size = frontier.size();
        let root = frontier.root().map_err(|_| LogError::Tree { sequence: size })?;
        if self.expected.is_some_and(|(signed, expected)| signed == size && expected != root) {
            return Err(LogError::Root { size });
        }
        (self.frontier, self.in_force) = (frontier, in_force);
        Ok(self)
    }

    /// The edge of the tree of what was read.
    #[cfg(feature = "store")]
    pub(crate) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Reads the next record from its exact bytes, and returns it.
    ///
    /// # Errors
    ///
    /// [`LogError`] if the record does not continue those before, or if the records up to it are not those that the expected checkpoint
    /// signs. The reader then stays where it was.
    pub fn next(&mut self, bytes: &[u8]) -> Result<AuditRecord, LogError> {
        let sequence = self.len() + 1;
        let record: AuditRecord =
            serde_json::from_slice(bytes).map_err(|_| LogError::Unreadable { sequence })?;
        if record.sequence != sequence {
            return Err(LogError::OutOfOrder { expected: sequence, found: record.sequence });
        }
        if record.previous != self.frontier.last() {
            return Err(LogError::Broken { sequence });
        }
        let mut frontier = self.frontier.clone();
        let hashes = frontier.push(LeafHash::of(bytes)).map_err(|_| LogError::Tree { sequence })?;
        let root = frontier.root().map_err(|_| LogError::Tree { sequence })?;
        if self.expected.is_some_and(|(size, expected)| size == sequence && expected != root) {
            return Err(LogError::Root { size: sequence });
        }
        self.take(&record)?;
        (self.frontier, self.hashes) = (frontier, hashes);
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

    /// Returns the number of records that were read.
    pub fn len(&self) -> u64 {
        self.frontier.size()
    }

    /// Returns whether no record was read yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the log: checks that no record is missing after the last one that was read.
    ///
    /// # Errors
    ///
    /// [`LogError::CutOff`] if the expected checkpoint signs more records.
    pub fn finish(&self) -> Result<(), LogError> {
        match self.expected.map(|(size, _)| size).filter(|size| *size > self.len()) {
            Some(size) => Err(LogError::CutOff { len: self.len(), size }),
            None => Ok(()),
        }
    }
}
