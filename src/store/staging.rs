//! Staging: what is restored or backed up is made whole beside its place, and moved there part by part (write aside, then rename).
//!
//! Whoever is killed while it is made leaves the place as it was, with the journal and the checkpoint of a lost store,
//! which say how much there was. Whoever is killed while it is moved leaves a database that is not opened until
//! the same restoration is begun again, which finishes the move. The database is moved first and the checkpoint
//! last: a checkpoint that waits without its database says that a move was begun.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::site::{Files, sync_folder};

/// A place, and the one beside it where the parts of its store are made.
#[derive(Debug)]
pub(super) struct Staging {
    place: Files,
    staged: Files,
}

impl Staging {
    /// For the store with this id at this path.
    pub(super) fn beside(path: &Path, store: &[u8; 16]) -> Staging {
        let mut name = path.as_os_str().to_owned();
        // Nobody else names a file so.
        name.push(format!(".staged-{}", hex::encode(store)));
        Staging { place: Files::at(path), staged: Files::at(&PathBuf::from(name)) }
    }

    /// The parts that are made.
    pub(super) fn files(&self) -> &Files {
        &self.staged
    }

    /// Whether this file is one of the parts that are made.
    pub(super) fn is_made_at(&self, path: &Path) -> bool {
        let found = path.canonicalize().ok();
        let made = self.staged.parts().map(|part| part.canonicalize().ok());
        found.is_some_and(|found| made.contains(&Some(found)))
    }

    /// Whether the database was moved and not the checkpoint: whoever did it was killed.
    pub(super) fn is_half_moved(&self) -> bool {
        let [database, _, checkpoint] = self.staged.parts();
        is_there(self.place.parts()[0]) && is_there(checkpoint) && !is_there(database)
    }

    /// Takes away what a killed process made and did not begin to move. The checkpoint goes first: whoever is killed then leaves
    /// nothing that looks like a move.
    pub(super) fn clear(&self) {
        if self.is_half_moved() {
            return;
        }
        for part in self.staged.parts().into_iter().rev() {
            // What cannot be removed is named by the next attempt.
            if std::fs::remove_file(part).is_ok() {
                let _ = sync_folder(part);
            }
        }
    }

    /// Moves all parts to their place; what was moved before stays. A journal that lies there is kept beside it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] if there is a database already.
    pub(super) fn move_in(&self) -> io::Result<()> {
        self.move_first(self.staged.parts().len())
    }

    /// Moves the first of the parts only, as whoever is killed then.
    pub(super) fn move_first(&self, parts: usize) -> io::Result<()> {
        let [database, journal, _] = self.place.parts();
        let [staged_database, staged_journal, _] = self.staged.parts();
        if is_there(staged_database) && is_there(database) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // Under its name it stays until the new one comes: it says how much the lost store had.
        if is_there(staged_journal) {
            keep(journal)?;
        }
        for (from, to) in self.staged.parts().into_iter().zip(self.place.parts()).take(parts) {
            match std::fs::rename(from, to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                moved => moved.and_then(|()| sync_folder(to))?,
            }
        }
        Ok(())
    }
}

/// Gives a journal a second name, `….old`.
fn keep(journal: &Path) -> io::Result<()> {
    if !is_there(journal) {
        return Ok(());
    }
    let mut old = journal.as_os_str().to_owned();
    old.push(".old");
    match std::fs::remove_file(&old) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Not every file system has two names for a file.
    std::fs::hard_link(journal, &old).or_else(|_| std::fs::copy(journal, &old).map(drop))?;
    std::fs::File::open(&old)?.sync_all()?;
    sync_folder(journal)
}

/// Also a link that leads nowhere.
fn is_there(part: &Path) -> bool {
    part.symlink_metadata().is_ok()
}
