//! Assembled: a log that is put together again, from a database, journals and an export; each record must continue the hash chain.
//!
//! Records go into the new database in pieces as they come, and are never all in memory.

use redb::ReadTransaction;

use crate::audit::{
    AuditEvent, AuditRecord, Checkpoint, Frontier, LeafHash, LogReader, Restoration,
};
use crate::store::StoreError;
use crate::store::applying::apply;
use crate::store::engine::Engine;
use crate::store::frame::Frame;
use crate::store::reader::{edge, in_force_before};
use crate::store::rows::{self, LOG, is_stub};
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

/// How many bytes of records are written in one transaction.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// A log that is put together.
pub(super) struct Log<'a> {
    /// Where the records go, with what says whose database it is.
    into: &'a Engine,
    /// Those that are not there yet.
    piece: Vec<Entry>,
    piece_bytes: usize,
    unwritten: Option<StoreError>,
    pub(super) reader: LogReader,
    pub(super) frontier: Frontier,
    pub(super) forgotten_until: Option<Timestamp>,
    pub(super) latest: Timestamp,
    /// How many records the last checkpoint signs; 0 without one.
    signed: u64,
    known: Option<u64>,
    /// The last record that is in an archive: what is known of the records up to it, the database has.
    archived: u64,
    /// What comes now is from an export.
    pub(super) exported: bool,
}

impl<'a> Log<'a> {
    pub(super) fn new(evidence: &Evidence, into: &'a Engine) -> Log<'a> {
        let reader = evidence.last.as_ref().map_or(LogReader::default(), LogReader::expecting);
        Log {
            into,
            piece: Vec::new(),
            piece_bytes: 0,
            unwritten: None,
            reader,
            frontier: Frontier::default(),
            forgotten_until: None,
            latest: Timestamp::default(),
            signed: evidence.last.as_ref().map_or(0, Checkpoint::size),
            known: evidence.last.as_ref().map(Checkpoint::size),
            archived: 0,
            exported: false,
        }
    }

    /// Begins after what is archived of another database.
    pub(super) fn begin_after_archived(
        &mut self,
        reading: &ReadTransaction,
    ) -> Result<(), StoreError> {
        let log = rows::Log::open(reading)?;
        self.archived = log.archived;
        if log.archived == 0 {
            return Ok(());
        }
        let missing = || StoreError::Unreadable { what: "record", number: log.archived };
        let in_force = in_force_before(reading, &log, log.archived + 1)?;
        self.frontier = edge(&log).ok_or_else(missing)?;
        let reader = std::mem::take(&mut self.reader).after(self.frontier.clone(), in_force);
        self.reader = reader.map_err(|error| StoreError::Restoring(error.to_string()))?;
        let mut kept = Vec::new();
        log.each_kept(|sequence, row| {
            kept.push((sequence, row.to_vec()));
            Ok(())
        })?;
        self.into.write(|writing| {
            let mut table = writing.open_table(LOG)?;
            for (sequence, row) in &kept {
                table.insert(sequence, row.as_slice())?;
            }
            Ok(())
        })
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
        self.piece.push(Entry { sequence, hashes, json: json.to_vec(), effects: Vec::new() });
        self.piece_bytes += json.len();
        if self.piece_bytes < PIECE_BYTES {
            return Ok(());
        }
        // That the new database cannot be written says nothing of what is read.
        self.write().map_err(|error| {
            let stopped = StoreError::Restoring(error.to_string());
            self.unwritten = Some(error);
            stopped
        })
    }

    /// The error with which the new database could not be written, if there was one.
    pub(super) fn written(&mut self) -> Result<(), StoreError> {
        self.unwritten.take().map_or(Ok(()), Err)
    }

    /// Where the records go.
    pub(super) fn into(&self) -> &'a Engine {
        self.into
    }

    /// How many records were signed, if a checkpoint says so.
    pub(super) fn known(&self) -> Option<u64> {
        self.known
    }

    /// Writes the records that are not in the database yet.
    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        self.into.write(|writing| apply(writing, &self.piece))?;
        (self.piece_bytes, self.piece) = (0, Vec::new());
        Ok(())
    }

    /// Whether the record with this number, which was put into the log, is this one.
    fn has(&self, sequence: u64, json: &[u8]) -> Result<bool, StoreError> {
        let first = self.piece.first().map_or(u64::MAX, |entry| entry.sequence);
        if let Some(place) = sequence.checked_sub(first) {
            let entry = usize::try_from(place).ok().and_then(|place| self.piece.get(place));
            return Ok(entry.is_some_and(|entry| entry.json == json));
        }
        self.into.read(|reading| {
            let log = rows::Log::open(reading)?;
            // An export may have what is archived here. What follows it must continue it all the same.
            let unknown = sequence <= self.archived && is_stub(&log, sequence)?;
            Ok(unknown || log.unchanged(sequence)?.is_some_and(|kept| kept == json))
        })
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
                match self.has(sequence, line.as_bytes())? {
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
