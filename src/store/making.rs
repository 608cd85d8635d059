//! Making: what was begun and not finished is told apart from a store, and what is not there from both.
//!
//! A store is made in this order, each step on disk before the next: the journal under its name, with the mark
//! that its store is being made; the database, whole, under its name; the checkpoint; and then the journal's
//! mark is taken away. Before that nobody was told that there is a store. So what was begun is known by the
//! mark and by parts that agree with it: a database of the same id without a record, a checkpoint that its key
//! signed. Whatever disagrees may be what is left of a store, and is never taken away.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::audit::{Checkpoint, CheckpointSigner};
use crate::store::StoreError;
use crate::store::engine::{Engine, Pages};
use crate::store::journal::MakingMark;
use crate::store::opening::{compare, identity};
use crate::store::site::{Files, Site, Untouched, folder_of};

/// Opens a store, unless it is none. Where it is not whole, it is looked at again once nobody makes a store in
/// the folder: it may be one that another process is just making.
pub(super) fn open_whole<T>(
    path: &Path,
    open: impl Fn() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let opened = find(path).and_then(|()| open());
    match opened {
        Err(
            StoreError::Incomplete { .. }
            | StoreError::Foreign { .. }
            | StoreError::Damaged { .. }
            | StoreError::WithoutDatabase { .. },
        ) => {
            let files = Files::at(path);
            let _alone = files.make_alone()?;
            find(path).and_then(|()| open()).map_err(|error| match unfinished(&files) {
                Ok(Some(_)) => StoreError::Unfinished { path: path.to_owned() },
                Ok(None) | Err(_) => error,
            })
        }
        opened => opened,
    }
}

/// Whether there is a file; if not, what is there instead.
fn find(path: &Path) -> Result<(), StoreError> {
    let error = match std::fs::metadata(path) {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    let files = Files::at(path);
    let left = files.existing();
    let (path, folder) = (path.to_owned(), folder_of(path));
    match left.first() {
        _ if error.kind() != io::ErrorKind::NotFound => Err(StoreError::file(Some(&path), error)),
        Some(left) if *left == path => match std::fs::metadata(&path) {
            // Somebody made it between the two looks.
            Ok(_) => Ok(()),
            // A link that leads nowhere.
            Err(_) => Err(StoreError::file(Some(&path), error)),
        },
        Some(left) => Err(StoreError::WithoutDatabase { left: (*left).to_owned(), path }),
        None if !folder.exists() => Err(StoreError::NoFolder { folder: folder.to_owned(), path }),
        None => Err(StoreError::NotThere { path }),
    }
}

/// Makes the place free: of nothing, or of what was begun and not finished. To be asked by whoever is alone in
/// the folder.
///
/// # Errors
///
/// [`StoreError::File`] with the first part that is there, or the folder that is not;
/// [`StoreError::InUse`] if the parts are those of a store that is open.
pub(super) fn make_room(files: &Files, path: &Path) -> Result<(), StoreError> {
    let folder = folder_of(path);
    if !folder.exists() {
        let (path, folder) = (path.to_owned(), folder.to_owned());
        return Err(StoreError::NoFolder { path, folder });
    }
    let existing = files.existing();
    let Some(first) = existing.first() else { return Ok(()) };
    if files.has_writer().unwrap_or(false) {
        return Err(StoreError::in_use(path));
    }
    if clear(files, path)? {
        return Ok(());
    }
    match *first == path {
        true => Err(StoreError::file(Some(path), io::ErrorKind::AlreadyExists.into())),
        false => {
            Err(StoreError::WithoutDatabase { path: path.to_owned(), left: (*first).to_owned() })
        }
    }
}

/// Takes away what was begun and not finished. Says whether there was that.
pub(super) fn clear(files: &Files, path: &Path) -> Result<bool, StoreError> {
    let Some(mark) = unfinished(files)? else { return Ok(false) };
    files.clear(mark).map_err(|error| StoreError::file(Some(path), error))?;
    Ok(true)
}

/// The journal's mark, if it proves that what is there was never finished.
fn unfinished(files: &Files) -> Result<Option<MakingMark>, StoreError> {
    let failed = |error| StoreError::file(files.path(), error);
    let Some(mark) = files.mark().map_err(failed)? else { return Ok(None) };
    let checkpoint = files.checkpoint().map_err(failed)?;
    let has_database = files.existing().iter().any(|part| Some(*part) == files.path());
    let proven = match mark {
        MakingMark::Other => false,
        // The mark is on disk before there is anything else.
        MakingMark::Blank => !has_database && checkpoint.is_none(),
        MakingMark::Making(_) if !has_database => checkpoint.is_none(),
        MakingMark::Making(id) => is_begun(files, &id, checkpoint.as_deref())?,
    };
    Ok(proven.then_some(mark))
}

/// Whether the database is that of a new store with this id, and signed the checkpoint, if there is one.
fn is_begun(files: &Files, id: &[u8; 16], checkpoint: Option<&str>) -> Result<bool, StoreError> {
    let path = files.path().unwrap_or(Path::new("")).to_owned();
    let engine = match Engine::open(Arc::new(Untouched(Files::at(&path))), Pages::Checked) {
        Ok(engine) => engine,
        Err(error @ StoreError::InUse { .. }) => return Err(error),
        Err(_) => return Ok(false),
    };
    let read = engine.read(|reading| {
        let identity = identity(reading, &path)?;
        compare(reading, &identity.state, Some(&path))?;
        Ok(identity)
    });
    let Ok(identity) = read else { return Ok(false) };
    if identity.id != *id || identity.state.records != 0 {
        return Ok(false);
    }
    let Some(text) = checkpoint else { return Ok(true) };
    let signer = CheckpointSigner::new(&identity.id, identity.key)?;
    Ok(Checkpoint::verify(text, signer.key()).is_ok_and(|checkpoint| checkpoint.size() == 0))
}
