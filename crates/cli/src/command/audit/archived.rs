//! Archived: where are the records that a store has no longer, and how are both read as one?

use std::error::Error;
use std::path::{Path, PathBuf};

use hardtack::StoreError;
use hardtack::audit::Checkpoint;
use hardtack::store::{Sought, StoreReader};

use crate::command::audit::read_log;

/// A store, and the folder of its archives, if somebody says it.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) store: PathBuf,
    archives: Option<PathBuf>,
}

impl Source {
    pub(super) fn of(store: &Path, archives: Option<&Path>) -> Source {
        Source { store: store.to_owned(), archives: archives.map(Path::to_owned) }
    }

    /// The folder of the archives of a store that has archived: the one that was given, or that the store remembers. With the number of the
    /// first record in it.
    pub(super) fn archives(&self, store: &StoreReader) -> Result<(PathBuf, Option<u64>), String> {
        let said = |error: StoreError| error.to_string();
        let folder = match &self.archives {
            Some(given) => given.clone(),
            None => store.archived().map_err(said)?.map(|(_, folder)| folder).unwrap_or_default(),
        };
        let there = store.archived_in(&folder).map_err(|error| match self.archives {
            Some(_) => error.to_string(),
            None => format!(
                "{error}; the store has archived records there. Give the folder (--archives DIR), or ask for later records (--since-record N)"
            ),
        })?;
        let archived = store.archived().map_err(said)?.map_or(0, |(last, _)| last);
        match there {
            // The records behind the last archive would be passed over, which nobody would see.
            Some((_, last)) if last < archived => Err(format!(
                "the records from {} to {archived} are archived, and are not in {}; give the folder that has all of them (--archives DIR), or ask for later records (--since-record {})",
                last + 1,
                folder.display(),
                archived + 1
            )),
            there => Ok((folder, there.map(|(first, _)| first))),
        }
    }

    /// Whether somebody says where the archives are, or they are where the store remembers them.
    fn has_archives(&self, store: &StoreReader) -> Result<bool, Box<dyn Error>> {
        let archived = store.archived()?;
        Ok(archived.is_some_and(|(_, folder)| self.archives.is_some() || folder.is_dir()))
    }
}

/// Verifies a store with its archives, as far as they are there, and compares all of it with a checkpoint that was kept elsewhere.
/// Returns the numbers of the first record and of all that there are, with the checkpoint.
pub(super) fn verify(
    source: &Source,
    store: &StoreReader,
    kept: Option<&str>,
) -> Result<(u64, u64, Checkpoint), Box<dyn Error>> {
    let archives = match source.has_archives(store)? {
        true => Some(source.archives(store)?.0),
        false => None,
    };
    let verified = match &archives {
        Some(folder) => store.verify_with(folder)?,
        None => store.verify()?,
    };
    let Some(text) = kept else {
        return Ok((verified.first, verified.records, verified.checkpoint));
    };
    let checkpoint = Checkpoint::verify(text, &store.log_key()?)?;
    if verified.first > 1 {
        return Err(format!(
            "a checkpoint from elsewhere is compared with all records from the first on, and those up to {} are archived; give their folder: --archives DIR",
            verified.first - 1
        )
        .into());
    }
    let archived = store.archived()?.map_or(0, |(last, _)| last);
    let everything = Sought::default();
    let before = archives.map(|folder| store.archived_among(folder, 1..archived + 1, &everything));
    let before = before.transpose()?.into_iter().flatten();
    let lines = before.chain(store.records(archived + 1)).map(|line| Ok(line?.json));
    Ok((1, read_log(lines, &checkpoint)?, checkpoint))
}
