//! Backup: a copy of a store in use. It does not know what is revoked after it was made, and says so: a
//! backup is not opened but [restored](super::restore).

use std::path::Path;

use redb::{Builder, Database, ReadTransaction, ReadableTable, TableDefinition};

use crate::audit::Checkpoint;
use crate::store::StoreError;
use crate::store::opening::identity;
use crate::store::reader::StoreReader;
use crate::store::schema::{
    ACCEPTED, ACCEPTED_BY_EXPIRY, BACKUP, LOG, META, REVOCATIONS, SEEN, SEEN_BY_EXPIRY,
    unchanged_json,
};
use crate::store::site::{Files, Site};
use crate::store::staging::Staging;

/// How many rows are copied in one transaction.
const COPY_AT_ONCE: usize = 1_000;

/// The memory for pages of the copy, each of which is written once.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

impl StoreReader {
    /// Copies the store as it is now into a new file at `to`, while it is in use, and returns the checkpoint of the copy. If not every
    /// page was checked since the store was opened, they are checked first; and each record is compared with its hash. The copy can be
    /// [restored](crate::store::restore()) and not opened: it does not know what is revoked after it was made.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] if the file exists already or cannot be written. [`StoreError::Damaged`] or [`StoreError::Unreadable`] if the
    /// store is not what was written: then there is no copy.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<Checkpoint, StoreError> {
        let to = to.as_ref();
        let checkpoint = self.current_checkpoint()?;
        self.check_once()?;
        let failed = |error| StoreError::file(Some(to), error);
        let place = Files::at(to);
        let _alone = place.make_alone()?;
        let id = self.read(|reading| Ok(identity(reading, to)?.id))?;
        let staging = Staging::beside(to, &id);
        if staging.is_half_moved() {
            staging.move_in().map_err(failed)?;
        }
        if let Some(existing) = place.existing().first() {
            let there = std::io::ErrorKind::AlreadyExists.into();
            return Err(StoreError::file(Some(existing), there));
        }
        staging.clear();
        let files = staging.files();
        files.make_database().map_err(failed)?;
        let copied = self.read(|reading| {
            let backend = files.database().map_err(failed)?;
            let copy = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend);
            let copy = copy.map_err(|error| StoreError::opening(Some(to), error))?;
            copy_table(reading, &copy, META)?;
            copy_rows(reading, &copy, LOG, |sequence, row| {
                unchanged_json(row, sequence).map(drop)
            })?;
            copy_table(reading, &copy, REVOCATIONS)?;
            copy_table(reading, &copy, ACCEPTED)?;
            copy_table(reading, &copy, ACCEPTED_BY_EXPIRY)?;
            copy_table(reading, &copy, SEEN)?;
            copy_table(reading, &copy, SEEN_BY_EXPIRY)?;
            let writing = copy.begin_write()?;
            writing.open_table(META)?.insert(BACKUP, b"1".as_slice())?;
            writing.commit()?;
            Ok(())
        });
        let kept = copied.and_then(|()| files.keep_checkpoint(checkpoint.text()).map_err(failed));
        match kept.and_then(|()| staging.move_in().map_err(failed)) {
            Ok(()) => Ok(checkpoint),
            Err(error) => {
                staging.clear();
                Err(error)
            }
        }
    }
}

fn copy_table<K: redb::Key, V: redb::Value>(
    reading: &ReadTransaction,
    copy: &Database,
    definition: TableDefinition<K, V>,
) -> Result<(), StoreError> {
    copy_rows(reading, copy, definition, |_, _| Ok(()))
}

/// Copies the rows of a table, each of which `look` accepts.
fn copy_rows<K: redb::Key, V: redb::Value>(
    reading: &ReadTransaction,
    copy: &Database,
    definition: TableDefinition<K, V>,
    look: impl Fn(K::SelfType<'_>, V::SelfType<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let table = reading.open_table(definition)?;
    let mut rows = table.iter()?.peekable();
    loop {
        let writing = copy.begin_write()?;
        {
            let mut target = writing.open_table(definition)?;
            for row in rows.by_ref().take(COPY_AT_ONCE) {
                let (key, value) = row?;
                look(key.value(), value.value())?;
                target.insert(key.value(), value.value())?;
            }
        }
        writing.commit()?;
        if rows.peek().is_none() {
            return Ok(());
        }
    }
}
