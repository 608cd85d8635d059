//! Rows: the records of the log as the database has them, written and read.
//!
//! A row is how many hashes of the tree come with its record, these hashes, and the text: as it is, or [packed](super::packed). Whoever
//! reads a text gets the bytes that were recorded.

use std::cell::RefCell;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition};

use crate::audit::LeafHash;
use crate::store::StoreError;
use crate::store::content::Writing;
use crate::store::packed::{Outline, Packed, TemplateKey, is_plain};
use crate::store::schema::{Entry, if_there, read_state};

/// Records by sequence number.
pub(super) const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");

/// What records are packed with, by their group and a mark.
pub(super) const TEMPLATES: TableDefinition<TemplateKey, &[u8]> =
    TableDefinition::new("log-templates");

/// The bytes of a hash.
const HASH: usize = 32;

/// Writes records, in order.
pub(super) fn write(writing: &Writing<'_>, entries: &[Entry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut log = writing.open_table(LOG)?;
    let mut templates = Templates::new(writing);
    let mut before: Option<(u64, LeafHash)> = None;
    for entry in entries {
        let (sequence, leaf) = (entry.sequence, entry.leaf());
        let previous = match before {
            Some((number, leaf)) if number + 1 == sequence => Some(leaf),
            _ => leaf_before(&log, sequence)?,
        };
        let mut row = Vec::with_capacity(256);
        row.push(entry.hashes.len() as u8);
        entry.hashes.iter().for_each(|hash| row.extend_from_slice(hash));
        let outline = previous.and_then(|hash| Outline::of(&entry.json, sequence, hash));
        let packed = match outline {
            Some(outline) => outline.pack(templates.of(&outline)?),
            None => None,
        };
        row.extend_from_slice(packed.as_deref().unwrap_or(&entry.json));
        log.insert(sequence, row.as_slice())?;
        before = Some((sequence, leaf));
    }
    Ok(())
}

/// The hash of the record before one, where the log has it; zeros before the first.
fn leaf_before(
    log: &impl ReadableTable<u64, &'static [u8]>,
    sequence: u64,
) -> Result<Option<LeafHash>, StoreError> {
    match sequence.checked_sub(1) {
        Some(0) | None => Ok(Some(LeafHash::default())),
        Some(before) => Ok(log.get(before)?.and_then(|row| Row::parse(row.value())?.leaf())),
    }
}

/// The templates, as one transaction needs them: most records have that of the one before.
struct Templates<'a> {
    writing: &'a Writing<'a>,
    /// Of the group in which records are written, by mark.
    known: std::collections::HashMap<TemplateKey, Vec<u8>, ahash::RandomState>,
}

/// So many templates are in memory at most, of some kilobyte each.
const KNOWN_AT_MOST: usize = 1024;

impl<'a> Templates<'a> {
    fn new(writing: &'a Writing<'a>) -> Templates<'a> {
        Templates { writing, known: std::collections::HashMap::default() }
    }

    /// The template for a record, which it becomes itself where there is none.
    fn of(&mut self, outline: &Outline<'_>) -> Result<&[u8], StoreError> {
        let key = outline.template();
        if !self.known.contains_key(&key) {
            let mut table = self.writing.open_table(TEMPLATES)?;
            let kept = table.get(key)?.map(|template| template.value().to_vec());
            let template = match kept {
                Some(kept) => kept,
                None => {
                    table.insert(key, outline.as_template())?;
                    outline.as_template().to_vec()
                }
            };
            if self.known.len() >= KNOWN_AT_MOST {
                self.known.clear();
            }
            self.known.insert(key, template);
        }
        Ok(self.known.get(&key).map_or(&[], Vec::as_slice))
    }
}

/// A row, taken apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    hashes: &'a [u8],
    text: &'a [u8],
}

impl<'a> Row<'a> {
    pub(super) fn parse(row: &'a [u8]) -> Option<Row<'a>> {
        let (count, rest) = row.split_first()?;
        let (hashes, text) = rest.split_at_checked(usize::from(*count) * HASH)?;
        Some(Row { hashes, text })
    }

    /// The record's own hash, which is that of the leaf.
    pub(super) fn leaf(&self) -> Option<LeafHash> {
        self.hash(0).map(LeafHash)
    }

    fn hash(&self, place: usize) -> Option<[u8; HASH]> {
        let at = place.checked_mul(HASH)?;
        self.hashes.get(at..at.checked_add(HASH)?)?.try_into().ok()
    }

    pub(super) fn hashes(&self) -> Vec<[u8; HASH]> {
        (0..self.hashes.len() / HASH).filter_map(|place| self.hash(place)).collect()
    }

    /// The row with these hashes and a text as it is.
    pub(super) fn with_plain(&self, text: &[u8]) -> Vec<u8> {
        [&[(self.hashes.len() / HASH) as u8], self.hashes, text].concat()
    }

    /// Whether these are its hashes.
    pub(super) fn has_hashes(&self, hashes: &[[u8; HASH]]) -> bool {
        self.hashes.chunks_exact(HASH).eq(hashes.iter().map(|hash| &hash[..]))
            && self.hashes.len() == hashes.len() * HASH
    }
}

/// Finds the hashes of the tree in the rows.
pub(super) fn stored(
    log: &impl ReadableTable<u64, &'static [u8]>,
) -> impl Fn(u64, usize) -> Option<[u8; HASH]> {
    |sequence, place| Row::parse(log.get(sequence).ok().flatten()?.value())?.hash(place)
}

/// The log as of one moment, to be read.
pub(super) struct Log {
    pub(super) table: ReadOnlyTable<u64, &'static [u8]>,
    /// The last record that is in an archive.
    pub(super) archived: u64,
    /// A store from before has none.
    templates: Option<ReadOnlyTable<TemplateKey, &'static [u8]>>,
    /// The one that was used last: records follow each other.
    template: RefCell<Option<(TemplateKey, Vec<u8>)>>,
}

impl Log {
    pub(super) fn open(reading: &ReadTransaction) -> Result<Log, StoreError> {
        let archived = read_state(reading)?.archived;
        let templates = if_there(reading.open_table(TEMPLATES))?;
        let table = reading.open_table(LOG)?;
        Ok(Log { table, archived, templates, template: RefCell::default() })
    }

    /// The text of a record, if it is the one whose hash the row has: of a store that was closed in peace, not every page was checked
    /// when it was opened. `None` if there is no such record.
    pub(super) fn unchanged(&self, sequence: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(row) = self.table.get(sequence)? else { return Ok(None) };
        let row = Row::parse(row.value()).ok_or_else(|| unreadable(sequence))?;
        self.unchanged_text(sequence, row, || leaf_before(&self.table, sequence)).map(Some)
    }

    /// The text of the record with the largest number, with that number. It may be another one than was recorded.
    pub(super) fn last(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let Some((sequence, row)) = self.table.last()? else { return Ok(None) };
        let sequence = sequence.value();
        let row = Row::parse(row.value()).ok_or_else(|| unreadable(sequence))?;
        let text = self.text(sequence, row, || leaf_before(&self.table, sequence))?;
        Ok(Some((sequence, text)))
    }

    /// Hands over the records from one on that are not archived, in order: number, row and text, which is compared with its hash. Goes on
    /// as long as it is told to.
    pub(super) fn each(
        &self,
        from: u64,
        mut see: impl FnMut(u64, &[u8], Vec<u8>) -> Result<Go, StoreError>,
    ) -> Result<(), StoreError> {
        let mut before: Option<(u64, Option<LeafHash>)> = None;
        for row in self.table.range(from.max(self.archived + 1)..)? {
            let (sequence, bytes) = row?;
            let (sequence, bytes) = (sequence.value(), bytes.value());
            let row = Row::parse(bytes).ok_or_else(|| unreadable(sequence))?;
            let text = self.unchanged_text(sequence, row, || match before {
                Some((number, leaf)) if number + 1 == sequence => Ok(leaf),
                _ => leaf_before(&self.table, sequence),
            })?;
            before = Some((sequence, row.leaf()));
            if see(sequence, bytes, text)? == Go::Stop {
                break;
            }
        }
        Ok(())
    }

    /// Hands over what stays of the records that are archived: number and row, whose text, if it has one, is compared with its hash.
    pub(super) fn each_kept(
        &self,
        mut see: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for row in self.table.range(..=self.archived)? {
            let (sequence, bytes) = row?;
            let sequence = sequence.value();
            let row = Row::parse(bytes.value()).ok_or_else(|| unreadable(sequence))?;
            if !row.text.is_empty() {
                self.unchanged_text(sequence, row, || Ok(None))?;
            }
            see(sequence, bytes.value())?;
        }
        Ok(())
    }

    fn unchanged_text(
        &self,
        sequence: u64,
        row: Row<'_>,
        previous: impl FnOnce() -> Result<Option<LeafHash>, StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        let text = self.text(sequence, row, previous)?;
        match row.leaf() == Some(LeafHash::of(&text)) {
            true => Ok(text),
            false => Err(unreadable(sequence)),
        }
    }

    fn text(
        &self,
        sequence: u64,
        row: Row<'_>,
        previous: impl FnOnce() -> Result<Option<LeafHash>, StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        if is_plain(row.text) {
            return Ok(row.text.to_vec());
        }
        let unreadable = || unreadable(sequence);
        let packed = Packed::parse(row.text).ok_or_else(unreadable)?;
        let previous = previous()?.ok_or_else(unreadable)?;
        let key = packed.template(sequence);
        let mut template = self.template.borrow_mut();
        if template.as_ref().is_none_or(|(last, _)| *last != key) {
            let table = self.templates.as_ref().ok_or_else(unreadable)?;
            let found = table.get(key)?.ok_or_else(unreadable)?;
            *template = Some((key, found.value().to_vec()));
        }
        let template = template.as_ref().ok_or_else(unreadable)?;
        packed.text(sequence, previous, &template.1).ok_or_else(unreadable)
    }
}

/// Whether the text of a record is not there.
pub(super) fn is_stub(log: &Log, sequence: u64) -> Result<bool, StoreError> {
    let row = log.table.get(sequence)?;
    Ok(row.is_none_or(|row| Row::parse(row.value()).is_some_and(|row| row.text.is_empty())))
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    On,
    Stop,
}

fn unreadable(sequence: u64) -> StoreError {
    StoreError::Unreadable { what: "record", number: sequence }
}
