//! Takeover: how does a store of an earlier version become one of this version?
//!
//! Its database is written anew beside it, whole, and then takes its place in one step; the journal and the checkpoint stay. Before that
//! step, the old database gets a second name, `….format-2`, under which it is kept until every record of the new one was verified. Whoever
//! is killed before the step leaves the old store as it was, and the next one begins anew. Whoever is killed after it leaves the
//! new store and the old database; the next one verifies.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::Database;

use crate::store::copying::{copy_table, new_database, pack_records};
use crate::store::index::INDEX;
use crate::store::inner::Inner;
use crate::store::opening::{self, compare, identity, journal_error, open_journal};
use crate::store::owners::{OWNED, OWNERS};
use crate::store::schema::{
    ACCEPTED, ACCEPTED_BY_EXPIRY, EVENTS, FORMAT, META, REQUESTS, REVOCATIONS, SEEN, SEEN_BY_EXPIRY,
};
use crate::store::site::{Files, Site, Untouched, sync_folder};
use crate::store::{Store, StoreError};

/// What the name of the old database ends with.
const KEPT: &str = ".format-2";

/// What the name of the new one ends with while it is written.
const NEW: &str = ".taking-over";

/// Takes the store at `path` over, unless somebody else did meanwhile.
pub(super) fn take_over(path: &Path) -> Result<(), StoreError> {
    take_over_first(path, 3)
}

/// Takes the first of three steps only, as whoever is killed then: the new database is whole, under another name; the old one has a second
/// name; the new one has taken its place. Each is on disk before the next begins.
pub(super) fn take_over_first(path: &Path, steps: usize) -> Result<(), StoreError> {
    let files = Files::at(path);
    let _alone = files.make_alone()?;
    let failed = |error| StoreError::file(Some(path), error);
    let site: Arc<dyn Site> = Arc::new(Untouched(Files::at(path)));
    // As a reader sees it, with all that is compared at an opening, and with what the journal has.
    let old = opening::open(Arc::clone(&site))?;
    let identity = old.engine.read(|reading| identity(reading, path))?;
    if !identity.is_older {
        return Ok(());
    }
    let journal = open_journal(&*site, &identity.id)?;
    journal.lock().map_err(|error| journal_error(Some(path), error))?;
    let new = Files::at(&beside(path, NEW));
    remove(&beside(path, NEW)).map_err(failed)?;
    new.make_database().map_err(failed)?;
    if let Err(error) = write(&old, &new, path) {
        let _ = remove(&beside(path, NEW));
        return Err(error);
    }
    sync_folder(path).map_err(failed)?;
    if steps >= 2 {
        keep(path, &beside(path, KEPT)).map_err(failed)?;
    }
    if steps >= 3 {
        std::fs::rename(beside(path, NEW), path).map_err(failed)?;
        sync_folder(path).map_err(failed)?;
    }
    // Until here, nobody else could write to what is there.
    journal.close().map_err(failed)?;
    old.engine.close();
    Ok(())
}

/// Writes the new database.
fn write(old: &Inner, new: &Files, path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::file(Some(path), error);
    let copy = new_database(new.database().map_err(failed)?);
    let copy = copy.map_err(|error| StoreError::opening(Some(path), error))?;
    old.engine.read(|reading| {
        pack_records(reading, &copy)?;
        copy_table(reading, &copy, META)?;
        copy_table(reading, &copy, REVOCATIONS)?;
        copy_table(reading, &copy, ACCEPTED)?;
        copy_table(reading, &copy, ACCEPTED_BY_EXPIRY)?;
        copy_table(reading, &copy, SEEN)?;
        copy_table(reading, &copy, SEEN_BY_EXPIRY)?;
        copy_table(reading, &copy, EVENTS)?;
        copy_table(reading, &copy, REQUESTS)?;
        copy_table(reading, &copy, OWNERS)?;
        copy_table(reading, &copy, OWNED)
    })?;
    let writing = copy.begin_write()?;
    writing.open_table(INDEX)?;
    writing.open_table(META)?.insert(FORMAT.0, FORMAT.1)?;
    writing.commit()?;
    is_same(old, &copy, path)?;
    drop(copy);
    Ok(())
}

/// Whether the new database ends and counts as the old one does.
fn is_same(old: &Inner, copy: &Database, path: &Path) -> Result<(), StoreError> {
    use redb::ReadableDatabase;
    let state = old.engine.read(|reading| Ok(identity(reading, path)?.state))?;
    compare(&copy.begin_read()?, &state, Some(path))
}

/// Verifies a store that was taken over, and then takes the old database away. What keeps it from being verified is an error: the store
/// is closed, and the old database is kept.
pub(super) fn finish(store: &Store, path: &Path) -> Result<(), StoreError> {
    let kept = beside(path, KEPT);
    if kept.symlink_metadata().is_err() {
        return Ok(());
    }
    let verified = store.reader().verify();
    verified.map_err(|error| {
        // While that is not known, nothing is written.
        let _ = store.close();
        match error {
            StoreError::Damaged { problem, .. } => {
                let kept = kept.display();
                let problem = format!(
                    "taken over from an earlier version, it does not verify: {problem}; its database from before is {kept}"
                );
                StoreError::damaged(Some(path), problem)
            }
            error => error,
        }
    })?;
    remove(&kept).map_err(|error| StoreError::file(Some(path), error))
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(what);
    PathBuf::from(name)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder(path)),
    }
}

/// Gives a database a second name. It has its first one all the time.
fn keep(database: &Path, kept: &Path) -> io::Result<()> {
    remove(kept)?;
    // Not every file system has two names for a file.
    std::fs::hard_link(database, kept).or_else(|_| std::fs::copy(database, kept).map(drop))?;
    std::fs::File::open(kept)?.sync_all()?;
    sync_folder(kept)
}
