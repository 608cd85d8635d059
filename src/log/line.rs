//! Line: one record as it stands in a log, to the byte.

use crate::audit::AuditRecord;
use crate::log::LogError;

/// One record as it stands in the log, in its exact bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// The record's number.
    pub sequence: u64,
    /// The record's exact bytes, the leaf of the tree: JSON without line breaks.
    pub json: String,
}

impl LogLine {
    /// Makes the line with the number `sequence` and the bytes `json`. Whether these are a record, [`LogLine::record`] finds out.
    pub fn new(sequence: u64, json: impl Into<String>) -> LogLine {
        LogLine { sequence, json: json.into() }
    }

    /// Reads the record that the line holds.
    ///
    /// # Errors
    ///
    /// [`LogError::Unreadable`] if it holds none.
    pub fn record(&self) -> Result<AuditRecord, LogError> {
        let read = serde_json::from_str(&self.json);
        read.map_err(|_| LogError::Unreadable { sequence: self.sequence })
    }
}
