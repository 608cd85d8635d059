//! Archives: a folder of files of records of one log, read as one.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::audit::{InclusionProof, LogKey};
use crate::log::LogLine;
use crate::store::archive::{Archive, Records};
use crate::store::index::Sought;
use crate::store::{StoreError, StoreReader};

/// What the files' names begin and end with; the numbers of the first and the last record stand between.
const BEGIN: &str = "records-";
const END: &str = ".jsonl.lz4";

/// A folder of archives. Each file is compared with the checkpoint in it while it is read, and the log must have signed that.
#[derive(Debug, Clone)]
pub(super) struct Archives {
    folder: PathBuf,
    /// In the order of their records, without gaps.
    files: Vec<Archive>,
}

impl Archives {
    /// Opens the archives in `folder`, which must be of the log with this key. Reads the beginning of each.
    pub(super) fn open(folder: impl AsRef<Path>, key: &LogKey) -> Result<Archives, StoreError> {
        let folder = folder.as_ref();
        let failed = |error: io::Error| StoreError::archive_file(folder, error);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if is_archive(&entry.file_name().to_string_lossy()) {
                files.push(Archive::open(&entry.path(), key)?);
            }
        }
        files.sort_by_key(|file| file.head.first);
        for pair in files.windows(2) {
            let (before, after) = (pair[0].head.last, &pair[1]);
            if before.checked_add(1) != Some(after.head.first) {
                let problem = format!(
                    "it begins with record {}, and the archive before it ends with record {before}",
                    after.head.first
                );
                return Err(StoreError::archive(&after.path, problem));
            }
        }
        Ok(Archives { folder: folder.to_owned(), files })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number of the first record; `None` if there is no archive.
    pub(super) fn first_record(&self) -> Option<u64> {
        self.files.first().map(|file| file.head.first)
    }

    /// The number of the last record; `None` if there is no archive.
    pub(super) fn last_record(&self) -> Option<u64> {
        self.files.last().map(|file| file.head.last)
    }

    /// As [`StoreReader::archived_among`].
    pub(super) fn records_among(
        &self,
        numbers: Range<u64>,
        sought: &Sought,
    ) -> impl Iterator<Item = Result<LogLine, StoreError>> + use<> {
        self.among(numbers, sought, Archive::records)
    }

    /// All records with these numbers, for whoever believes them once the last one was read: that takes half of the time.
    pub(super) fn read_all(
        &self,
        numbers: Range<u64>,
    ) -> impl Iterator<Item = Result<LogLine, StoreError>> + use<> {
        self.among(numbers, &Sought::default(), Archive::read)
    }

    fn among(
        &self,
        numbers: Range<u64>,
        sought: &Sought,
        read: fn(&Archive) -> Result<Records, StoreError>,
    ) -> impl Iterator<Item = Result<LogLine, StoreError>> + use<> {
        let (since, until) = (sought.since, sought.until);
        let (from, end) = (numbers.start, numbers.end);
        let wanted = self.files.iter().filter(move |file| {
            let head = &file.head;
            let among = head.last >= from && head.first < end;
            let then = since.is_none_or(|since| head.latest >= since)
                && until.is_none_or(|until| head.earliest < until);
            among && then
        });
        let mut wanted = wanted.cloned().collect::<Vec<_>>().into_iter();
        let mut records: Option<Records> = None;
        let mut is_over = false;
        std::iter::from_fn(move || {
            loop {
                if is_over {
                    return None;
                }
                let next = match &mut records {
                    Some(records) => records.next(),
                    None => match read(&wanted.next()?) {
                        Ok(opened) => {
                            records = Some(opened);
                            continue;
                        }
                        Err(error) => Err(error),
                    },
                };
                match next {
                    Ok(Some(line)) if numbers.contains(&line.sequence) => return Some(Ok(line)),
                    // Read to its end all the same: that is where it is compared with what was signed.
                    Ok(Some(_)) => {}
                    Ok(None) => records = None,
                    Err(error) => {
                        is_over = true;
                        return Some(Err(error));
                    }
                }
            }
        })
    }

    /// As [`StoreReader::prove_archived`].
    pub(super) fn prove(&self, sequence: u64) -> Result<InclusionProof, StoreError> {
        let has = |file: &&Archive| (file.head.first..=file.head.last).contains(&sequence);
        let last = self.last_record().unwrap_or(0);
        let file = self.files.iter().find(has);
        file.ok_or(StoreError::NoRecord { sequence, last })?.prove(sequence)
    }

    pub(super) fn files(&self) -> &[Archive] {
        &self.files
    }
}

/// Archives are files of records that have left the store ([`Store::archive`](crate::Store::archive)). Each is compared with the checkpoint
/// in it while it is read, and the store's log must have signed that.
impl StoreReader {
    /// Returns which of the store's records was archived last, and to which folder; `None` if none was.
    pub fn archived(&self) -> Result<Option<(u64, PathBuf)>, StoreError> {
        self.read(super::archiving::archived)
    }

    /// Returns the numbers of the first and the last record in the archives in `folder`; `None` if there is no archive. Reads the beginning
    /// of each.
    ///
    /// # Errors
    ///
    /// [`StoreError::ArchiveFile`] if the folder or a file cannot be read. [`StoreError::Archive`] if a file is no archive of this log, or
    /// records between two of them are missing.
    pub fn archived_in(&self, folder: impl AsRef<Path>) -> Result<Option<(u64, u64)>, StoreError> {
        let archives = Archives::open(folder, &self.log_key()?)?;
        Ok(archives.first_record().zip(archives.last_record()))
    }

    /// Reads the records among these numbers in the archives in `folder` that may be those that are sought, in order. Archives that have
    /// none of these numbers or moments are not read; other records come, too, so that whoever asks looks at each. Each archive that is read
    /// is compared with its checkpoint before its first record comes: of one that was changed comes an error, and no record. What an archive
    /// says of its moments is compared with its records then, and not if it is passed over. The iterator does not need the store any more.
    ///
    /// # Errors
    ///
    /// As for [`StoreReader::archived_in`].
    pub fn archived_among(
        &self,
        folder: impl AsRef<Path>,
        numbers: Range<u64>,
        sought: &Sought,
    ) -> Result<Box<dyn Iterator<Item = Result<LogLine, StoreError>> + Send>, StoreError> {
        let archives = Archives::open(folder, &self.log_key()?)?;
        Ok(Box::new(archives.records_among(numbers, sought)))
    }

    /// Proves that the record with the number `sequence`, which is in an archive in `folder`, is in the log: by the checkpoint that signs
    /// the archive.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRecord`] if no archive has it; [`StoreError::Archive`] if the archive is not what was signed.
    pub fn prove_archived(
        &self,
        sequence: u64,
        folder: impl AsRef<Path>,
    ) -> Result<InclusionProof, StoreError> {
        Archives::open(folder, &self.log_key()?)?.prove(sequence)
    }
}

fn is_archive(name: &str) -> bool {
    name.strip_prefix(BEGIN).is_some_and(|name| name.ends_with(END))
}

/// The path of an archive while it is written.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Whether this is one.
pub(super) fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(BEGIN) && path.extension().is_some_and(|end| end == "new")
}

/// The path of the archive of these records.
pub(super) fn path_in(folder: &Path, first: u64, last: u64) -> PathBuf {
    folder.join(format!("{BEGIN}{first:012}-{last:012}{END}"))
}
