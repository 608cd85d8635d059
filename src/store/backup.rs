//! Backup: a copy of a store in use. It does not know what is revoked after it was made, and says so: a
//! backup is not opened but [restored](super::restore).

use std::path::Path;

use crate::audit::Checkpoint;
use crate::store::StoreError;
use crate::store::copying::{copy_records, copy_table, new_database};
use crate::store::opening::identity;
use crate::store::reader::StoreReader;
use crate::store::schema::{
    ACCEPTED, ACCEPTED_BY_EXPIRY, BACKUP, FORMAT, META, REVOCATIONS, SEEN, SEEN_BY_EXPIRY,
};
use crate::store::site::{Files, Site};
use crate::store::staging::Staging;

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
            let copy = new_database(backend);
            let copy = copy.map_err(|error| StoreError::opening(Some(to), error))?;
            copy_table(reading, &copy, META)?;
            copy_records(reading, &copy)?;
            copy_table(reading, &copy, REVOCATIONS)?;
            copy_table(reading, &copy, ACCEPTED)?;
            copy_table(reading, &copy, ACCEPTED_BY_EXPIRY)?;
            copy_table(reading, &copy, SEEN)?;
            copy_table(reading, &copy, SEEN_BY_EXPIRY)?;
            let writing = copy.begin_write()?;
            {
                let mut meta = writing.open_table(META)?;
                meta.insert(BACKUP, b"1".as_slice())?;
                // What this version has read of the journal of an earlier one is packed.
                meta.insert(FORMAT.0, FORMAT.1)?;
            }
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
