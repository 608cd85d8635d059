//! Copying: the tables of a store, row by row in pieces, into a new database.

use redb::{Builder, Database, ReadTransaction, ReadableTable, TableDefinition};

use crate::store::StoreError;
use crate::store::content::Writing;
use crate::store::index;
use crate::store::rows::{self, Go, LOG, Log, Row, TEMPLATES};
use crate::store::schema::{Entry, if_there};
use crate::store::site::Backend;

/// How many rows are copied in one transaction.
const COPY_AT_ONCE: usize = 1_000;

/// The memory for pages of the copy, each of which is written once.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Makes a database for a copy.
pub(super) fn new_database(backend: Backend) -> Result<Database, redb::DatabaseError> {
    Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend)
}

/// Copies a table, if there is one.
pub(super) fn copy_table<K: redb::Key, V: redb::Value>(
    reading: &ReadTransaction,
    copy: &Database,
    definition: TableDefinition<K, V>,
) -> Result<(), StoreError> {
    let Some(table) = if_there(reading.open_table(definition))? else { return Ok(()) };
    let mut rows = table.iter()?.peekable();
    loop {
        let writing = copy.begin_write()?;
        {
            let mut target = writing.open_table(definition)?;
            for row in rows.by_ref().take(COPY_AT_ONCE) {
                let (key, value) = row?;
                target.insert(key.value(), value.value())?;
            }
        }
        writing.commit()?;
        if rows.peek().is_none() {
            return Ok(());
        }
    }
}

/// Copies the records as they are, each of which is compared with its hash, and what they are packed with.
pub(super) fn copy_records(reading: &ReadTransaction, copy: &Database) -> Result<(), StoreError> {
    copy_table(reading, copy, TEMPLATES)?;
    let write = |piece: &mut Vec<(u64, Vec<u8>)>| -> Result<(), StoreError> {
        let writing = copy.begin_write()?;
        {
            let mut target = writing.open_table(LOG)?;
            for (sequence, row) in piece.drain(..) {
                target.insert(sequence, row.as_slice())?;
            }
        }
        Ok(writing.commit()?)
    };
    let (mut piece, log) = (Vec::new(), Log::open(reading)?);
    log.each_kept(|sequence, row| {
        piece.push((sequence, row.to_vec()));
        match piece.len() == COPY_AT_ONCE {
            true => write(&mut piece),
            false => Ok(()),
        }
    })?;
    log.each(1, |sequence, row, _| {
        piece.push((sequence, row.to_vec()));
        if piece.len() == COPY_AT_ONCE {
            write(&mut piece)?;
        }
        Ok(Go::On)
    })?;
    write(&mut piece)
}

/// Writes the records anew, each of which is compared with its hash: packed, with their index.
pub(super) fn pack_records(reading: &ReadTransaction, copy: &Database) -> Result<(), StoreError> {
    let write = |piece: &mut Vec<Entry>| -> Result<(), StoreError> {
        let writing = copy.begin_write()?;
        // If there is no record at all, there are the tables.
        writing.open_table(LOG)?;
        writing.open_table(TEMPLATES)?;
        rows::write(&Writing::of(&writing), piece)?;
        index::add(&writing, piece)?;
        piece.clear();
        Ok(writing.commit()?)
    };
    let mut piece = Vec::new();
    Log::open(reading)?.each(1, |sequence, row, json| {
        let hashes = Row::parse(row).map(|row| row.hashes()).unwrap_or_default();
        piece.push(Entry { sequence, hashes, json, effects: Vec::new() });
        if piece.len() == COPY_AT_ONCE {
            write(&mut piece)?;
        }
        Ok(Go::On)
    })?;
    write(&mut piece)
}
