//! Line: one record as it stands in a log, to the byte.

use crate::audit::AuditRecord;
use crate::log::LogError;

/// One record as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// Its number.
    pub sequence: u64,
    /// Its exact bytes, the leaf of the tree: JSON without line breaks.
    pub json: String,
}

impl LogLine {
    /// The record with this number, in its exact bytes.
    pub fn new(sequence: u64, json: impl Into<String>) -> LogLine {
        LogLine { sequence, json: json.into() }
    }

    /// What it says.
    ///
    /// # Errors
    ///
    /// [`LogError::Unreadable`] if it is no record.
    pub fn record(&self) -> Result<AuditRecord, LogError> {
        let read = serde_json::from_str(&self.json);
        read.map_err(|_| LogError::Unreadable { sequence: self.sequence })
    }
}
