//! Assembled: a log that is put together again, from a database, journals and an export; each record must continue the hash chain.

use crate::audit::{
    AuditEvent, AuditRecord, Checkpoint, Frontier, LeafHash, LogReader, Restoration,
};
use crate::store::StoreError;
use crate::store::journal::Frame;
use crate::store::schema::{Entry, encode};
use crate::timestamp::Timestamp;

/// What is known of how much there was.
pub(super) struct Evidence {
    pub(super) last: Option<Checkpoint>,
}

impl Evidence {
    pub(super) fn epoch(&self) -> u64 {
        self.last.as_ref().map_or(0, Checkpoint::epoch)
    }
}

/// A log that is put together.
pub(super) struct Log {
    pub(super) reader: LogReader,
    pub(super) frontier: Frontier,
    pub(super) entries: Vec<Entry>,
    pub(super) forgotten_until: Option<Timestamp>,
    pub(super) latest: Timestamp,
    /// How many records the last checkpoint signs.
    signed: u64,
    /// What comes now is from an export.
    pub(super) exported: bool,
}

impl Log {
    pub(super) fn new(evidence: &Evidence) -> Log {
        let reader = evidence.last.as_ref().map_or(LogReader::default(), LogReader::expecting);
        Log {
            reader,
            frontier: Frontier::default(),
            entries: Vec::new(),
            forgotten_until: None,
            latest: Timestamp::default(),
            signed: evidence.last.as_ref().map_or(0, Checkpoint::size),
            exported: false,
        }
    }

    pub(super) fn push(&mut self, json: &[u8]) -> Result<(), StoreError> {
        let sequence = self.reader.len() + 1;
        // What lies beyond the last checkpoint nobody has signed: it may add, not take away.
        if self.exported && sequence > self.signed && forgets(json) {
            return Err(StoreError::Restoring(format!(
                "record {sequence} of the export forgets revocations, and no checkpoint signs it; leave out the export's end from there, or give a later checkpoint (--checkpoint)"
            )));
        }
        let record = self.reader.next(json);
        let record = record.map_err(|error| StoreError::Restoring(error.to_string()))?;
        let hashes = self.frontier.push(LeafHash::of(json))?;
        // A time in an export that nobody signed moves no clock.
        let told = !(self.exported && sequence > self.signed);
        match record.event {
            // What is supposed to be decided at other times says nothing of the clock.
            AuditEvent::Decision(_) => {}
            AuditEvent::Collection(collection) => {
                self.latest = self.latest.max(record.time);
                self.forgotten_until = self.forgotten_until.max(collection.forgotten_until);
            }
            AuditEvent::Revocation(_) | AuditEvent::Restoration(_) if told => {
                self.latest = self.latest.max(record.time);
            }
            AuditEvent::Revocation(_) | AuditEvent::Restoration(_) => {}
        }
        self.entries.push(Entry { sequence, hashes, json: json.to_vec(), effects: Vec::new() });
        Ok(())
    }

    /// What the journal has, as far as it continues the log.
    pub(super) fn follow(&mut self, frames: &[Frame]) {
        for entry in frames.iter().flat_map(|frame| &frame.entries) {
            // What does not continue it may do so later, after an export.
            // The store's own writer never puts what forgets into the journal.
            if entry.sequence == self.reader.len() + 1 && !forgets(&entry.json) {
                let _ = self.push(&entry.json);
            }
        }
    }

    /// A line of an export: what is known already must be the same, what follows is added.
    pub(super) fn replay(&mut self, line: &str) -> Result<(), StoreError> {
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(());
        }
        let sequence: Option<u64> = serde_json::from_str::<serde_json::Value>(line)
            .ok()
            .and_then(|record| record.get("sequence")?.as_u64());
        match sequence {
            Some(sequence) if sequence <= self.reader.len() => {
                let place = sequence.checked_sub(1).and_then(|place| usize::try_from(place).ok());
                let known = place.and_then(|place| self.entries.get(place));
                match known.is_some_and(|entry| entry.json == line.as_bytes()) {
                    true => Ok(()),
                    false => Err(StoreError::Restoring(format!(
                        "record {sequence} of the export is not that of the backup: they are of two stores, or one was changed"
                    ))),
                }
            }
            _ => self.push(line.as_bytes()),
        }
    }

    pub(super) fn append(&mut self, now: Timestamp, event: Restoration) -> Result<(), StoreError> {
        let record = AuditRecord {
            sequence: self.reader.len() + 1,
            time: now,
            previous: self.frontier.last(),
            event: AuditEvent::Restoration(event),
        };
        self.push(&encode(&record)?)
    }
}

/// Whether a record is one that forgets.
fn forgets(json: &[u8]) -> bool {
    let record = serde_json::from_slice::<AuditRecord>(json);
    record.is_ok_and(|record| matches!(record.event, AuditEvent::Collection(_)))
}
