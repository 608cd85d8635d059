//! Archiving: how do records leave a store, and what stays of them?
//!
//! A range of records becomes a [file](super::archive), which is on disk and was read back before anything is taken out of the store. One
//! transaction then takes the range out. What stays: the hashes of the tree from which the head of the log and later proofs follow, and
//! the records of revocations in force. Whoever is killed in between leaves a file of records that the store has as well; the next one
//! reads that file and goes on.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use redb::{ReadTransaction, ReadableTable};
use serde::Deserialize;

use crate::audit::{Checkpoint, TreeHead};
use crate::log;
use crate::store::applying::{keep_archived, state_before};
use crate::store::archive::{self, Archive, Head};
use crate::store::archives::{Archives, is_unfinished, path_in, unfinished};
use crate::store::content::{Covered, Writing};
use crate::store::index::{INDEX, Row as IndexRow, STRETCH, stretch_of};
use crate::store::inner::Inner;
use crate::store::packed::{GROUP, group_of};
use crate::store::rows::{Go, LOG, Log, Row, TEMPLATES, stored};
use crate::store::schema::{EVENTS, META, REVOCATIONS, decode, if_there, read_state};
use crate::store::site::sync_folder;
use crate::store::{Store, StoreError};
use crate::timestamp::Timestamp;

/// The file by which a folder is locked.
const LOCK: &str = "archiving.lock";

/// The folder to which records were archived last, in [`META`].
pub(super) const FOLDER: &str = "archives";

/// What was archived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Archived {
    /// How many records left the store.
    pub(super) records: u64,
    /// The number of the last record that is in archives; 0 for none.
    pub(super) last: u64,
    /// The files that hold what left the store.
    pub(super) files: Vec<PathBuf>,
}

impl Store {
    /// Archives the records from before a moment: writes them to files in `folder`, reads these back, and then takes the records out of the
    /// store. The first record of that moment or later, and all after it, stay; so does the last one. What is in force stays in force. Returns
    /// how many records have left the store, and the number of the last one that is archived (0 for none). Waits for the disk, longer the
    /// more there is to archive; decisions and revocations are served meanwhile.
    ///
    /// [`StoreReader::archived_among`](crate::StoreReader::archived_among) reads the files. If it is interrupted, nothing is lost: the next
    /// call goes on, with the file that it finds there. Each store needs a folder of its own, which it locks meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError::ArchiveFile`] if the folder cannot be read or written; [`StoreError::Archive`] if another process archives to it, or it has
    /// files that do not continue what was archived, or that have records which this call leaves in the store. What left the store until then
    /// is archived.
    pub fn archive(
        &self,
        before: Timestamp,
        folder: impl AsRef<Path>,
    ) -> Result<(u64, u64), StoreError> {
        let Archived { records, last, .. } =
            self.inner().archive_first(before, folder.as_ref(), STEPS)?;
        Ok((records, last))
    }
}

/// For each file: it is written whole under another name; it has its name; its records are taken out.
pub(super) const STEPS: usize = 3;

/// The last record that was archived, and where to.
pub(super) fn archived(reading: &ReadTransaction) -> Result<Option<(u64, PathBuf)>, StoreError> {
    let last = read_state(reading)?.archived;
    let folder = reading.open_table(META)?.get(FOLDER)?;
    let folder = folder.map(|folder| String::from_utf8_lossy(folder.value()).into_owned());
    Ok((last > 0).then(|| (last, folder.unwrap_or_default().into())))
}

impl Inner {
    /// Archives. Of the steps for the first file it takes the first ones only, as whoever is killed then.
    pub(super) fn archive_first(
        &self,
        before: Timestamp,
        folder: &Path,
        steps: usize,
    ) -> Result<Archived, StoreError> {
        self.engine.here()?;
        let _alone = self.archiving.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let folder =
            std::path::absolute(folder).map_err(|e| StoreError::archive_file(folder, e))?;
        let _ours = alone(&folder)?;
        // What is archived is signed.
        let signed = self.fold()?.size();
        let mut done = Archived::default();
        loop {
            if self.is_stopped() {
                return Err(StoreError::Stopped);
            }
            let (archived, last) = self.engine.read(|reading| {
                let state = read_state(reading)?;
                let limit = signed.min(state.records.saturating_sub(1));
                Ok((state.archived, last_before(reading, state.archived + 1, limit, before)?))
            })?;
            done.last = archived;
            if last <= archived {
                return Ok(done);
            }
            let (path, last) = self.make(&folder, archived + 1..=last, signed, steps)?;
            if steps < STEPS {
                return Ok(done);
            }
            // What is no longer in force since then goes with the first step.
            let sweep = done.files.is_empty();
            self.take_out(archived, last, &folder, sweep)?;
            done.records += last - archived;
            done.files.push(path);
        }
    }

    /// An archive of the first of these records, on disk and read back: the one that is there, if there is one. Returns its last record, as it was verified, and not as whoever can write to the folder may have it read afterwards.
    fn make(
        &self,
        folder: &Path,
        range: RangeInclusive<u64>,
        signed: u64,
        steps: usize,
    ) -> Result<(PathBuf, u64), StoreError> {
        let (first, key) = (*range.start(), self.signer.key());
        let there = Archives::open(folder, key)?;
        if let Some(file) = there.files().iter().find(|file| file.head.last >= first) {
            let last = self.found(file, first, signed)?;
            // Whoever can write to the folder does not choose what leaves the store.
            if last > *range.end() {
                let problem = format!(
                    "it has the records up to {last}, and those after {} are not from before the moment that was asked for; name a later moment, or take the file away",
                    range.end()
                );
                return Err(StoreError::archive(&file.path, problem));
            }
            return Ok((file.path.clone(), last));
        }
        let last = there.last_record().unwrap_or(first - 1);
        if last != first - 1 {
            return Err(StoreError::archive(
                folder,
                format!(
                    "its last record is {last}, and the next one to archive is {first}; give the folder to which the records before that were archived, or an empty one"
                ),
            ));
        }
        // A file ends where a group of templates does, so that they go with it.
        let last = (*range.end()).min((group_of(first) + 1) * GROUP);
        let path = path_in(folder, first, last);
        let written = self.write(&path, first..=last, steps);
        if written.is_err() {
            // What it has is in the store as well, and takes the room of a disk that may be full.
            let _ = std::fs::remove_file(unfinished(&path));
        }
        written?;
        if steps < 2 {
            return Err(StoreError::Stopped);
        }
        Ok((path, last))
    }

    /// The last record of an archive that is there already, if it goes on where the store has not been archived yet, and has nothing else
    /// than the store.
    fn found(&self, file: &Archive, first: u64, signed: u64) -> Result<u64, StoreError> {
        let checkpoint = file.verify()?;
        let (size, root) = (checkpoint.size(), *checkpoint.root());
        let is_same = self.engine.read(|reading| {
            let is_known = size <= signed && size < read_state(reading)?.records;
            Ok(is_known && log::root(size, stored(&reading.open_table(LOG)?))? == root)
        })?;
        match is_same && file.head.first == first {
            true => Ok(size),
            false => {
                let problem = format!(
                    "it does not continue at record {first} what was archived of this store; give another folder"
                );
                Err(StoreError::archive(&file.path, problem))
            }
        }
    }

    /// Writes an archive whole and reads it back before it gets its name.
    fn write(
        &self,
        path: &Path,
        range: RangeInclusive<u64>,
        steps: usize,
    ) -> Result<(), StoreError> {
        let failed = |error: std::io::Error| StoreError::archive_file(path, error);
        let new = unfinished(path);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&new).map_err(failed)?;
        let (first, last) = (*range.start(), *range.end());
        let checkpoint = self.sign_first(last)?;
        self.engine.read(|reading| {
            let log = Log::open(reading)?;
            let moments = moments(&log, range.clone())?;
            let key = self.signer.key();
            let head = Head::new(key, (first, last), moments, stored(&log.table))?;
            let file = file.try_clone().map_err(failed)?;
            let records = |line: &mut dyn FnMut(&[u8]) -> std::io::Result<()>| {
                log.each(first, |sequence, _, json| {
                    line(&json).map_err(failed)?;
                    Ok(if sequence < last { Go::On } else { Go::Stop })
                })
            };
            archive::write(file, &head, &checkpoint, records, failed)
        })?;
        Archive::open(&new, self.signer.key())?.verify()?;
        if steps < 2 {
            return Ok(());
        }
        give_name(&new, path).map_err(failed)
    }

    /// Signs the head that the log had after so many records.
    fn sign_first(&self, size: u64) -> Result<Checkpoint, StoreError> {
        let head = self.engine.read(|reading| {
            let epoch = read_state(reading)?.epoch;
            let root = log::root(size, stored(&reading.open_table(LOG)?))?;
            Ok(TreeHead { size, root, epoch })
        })?;
        Ok(self.signer.sign(head)?)
    }

    /// Takes the records after `archived`, up to `last`, out of the database, all at once.
    fn take_out(
        &self,
        archived: u64,
        last: u64,
        folder: &Path,
        sweep: bool,
    ) -> Result<(), StoreError> {
        // Nothing is folded, revoked in bulk or forgotten meanwhile.
        let _alone = self.folding.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let kept = self.engine.read(|reading| kept(reading, archived + 1..=last))?;
        let peaks: HashSet<u64> = log::peaks(last).into_iter().map(|(record, _)| record).collect();
        let folder = folder.to_string_lossy();
        self.engine.write(|writing| {
            if sweep {
                let revocations = writing.open_table(REVOCATIONS)?;
                // What cannot be looked up stays.
                let is_over = |sequence| revocations.get(sequence).is_ok_and(|row| row.is_none());
                let stays = |sequence, _: &[u8]| peaks.contains(&sequence) || !is_over(sequence);
                writing.open_table(LOG)?.retain_in(..=archived, stays)?;
            }
            let mut table = writing.open_table(LOG)?;
            table.retain_in(archived + 1..=last, |_, _| false)?;
            for (sequence, row) in &kept {
                table.insert(sequence, row.as_slice())?;
            }
            drop(table);
            let groups = ..(group_of(last + 1), 0);
            writing.open_table(TEMPLATES)?.retain_in(groups, |_, _| false)?;
            writing.open_table(INDEX)?.retain_in(..stretch_of(last + 1), |_, _| false)?;
            remember(writing, &folder)?;
            forget_events_until(writing, last)?;
            keep_archived(writing, last)
        })
    }
}

/// Locks a folder of archives, so that no other process archives to it. What a killed one left unfinished is removed: the next one would
/// give it another name, and never look at it.
fn alone(folder: &Path) -> Result<File, StoreError> {
    let failed = |error: std::io::Error| StoreError::archive_file(folder, error);
    let lock = folder.join(LOCK);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    // Whoever can open it can hold the lock.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(lock).map_err(failed)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let problem = "another process archives to it now; give each store a folder of its own";
            return Err(StoreError::archive(folder, problem));
        }
        // Not every file system has locks.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if is_unfinished(&path) {
            std::fs::remove_file(path).map_err(failed)?;
        }
    }
    Ok(file)
}

/// Gives a finished file its name. It replaces nothing: what has this name could be the only copy of records.
pub(super) fn give_name(new: &Path, path: &Path) -> std::io::Result<()> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(_) => return Err(std::io::ErrorKind::AlreadyExists.into()),
    }
    std::fs::rename(new, path)?;
    sync_folder(path)
}

/// Remembers the folder to which records were archived.
fn remember(writing: &Writing<'_>, folder: &str) -> Result<(), StoreError> {
    let mut meta = writing.open_table(META)?;
    let before = meta.insert(FOLDER, folder.as_bytes())?;
    let before = before.as_ref().map(|before| before.value());
    writing.changed(Covered::Meta, FOLDER.as_bytes(), before, Some(folder.as_bytes()));
    Ok(())
}

/// The rows that stay of these records, by number: of a revocation in force its text, of one whose hashes the tree needs these alone.
fn kept(
    reading: &ReadTransaction,
    range: RangeInclusive<u64>,
) -> Result<BTreeMap<u64, Vec<u8>>, StoreError> {
    let log = Log::open(reading)?;
    let mut kept = BTreeMap::new();
    let row_of = |sequence: u64, text: &[u8]| -> Result<Vec<u8>, StoreError> {
        let missing = || StoreError::Unreadable { what: "record", number: sequence };
        let row = log.table.get(sequence)?.ok_or_else(missing)?;
        Ok(Row::parse(row.value()).ok_or_else(missing)?.with_plain(text))
    };
    for row in reading.open_table(REVOCATIONS)?.range(range.clone())? {
        let sequence = row?.0.value();
        let missing = StoreError::Unreadable { what: "record", number: sequence };
        let text = log.unchanged(sequence)?.ok_or(missing)?;
        kept.insert(sequence, row_of(sequence, &text)?);
    }
    for (sequence, _) in log::peaks(*range.end()) {
        if range.contains(&sequence) && !kept.contains_key(&sequence) {
            kept.insert(sequence, row_of(sequence, &[])?);
        }
    }
    Ok(kept)
}

/// Takes the events of records up to `last` out of those that can be followed.
fn forget_events_until(writing: &Writing<'_>, last: u64) -> Result<(), StoreError> {
    let mut table = writing.open_table(EVENTS)?;
    let (mut over, mut next) = (Vec::new(), None);
    for row in table.iter()? {
        let (number, sequence) = row?;
        let row = (number.value(), sequence.value());
        if row.1 > last {
            next = Some(row.0);
            break;
        }
        over.push(row);
    }
    let mut put = |number: u64, sequence: Option<u64>| -> Result<(), StoreError> {
        let before = match sequence {
            Some(sequence) => table.insert(number, sequence)?,
            None => table.remove(number)?,
        };
        let before = before.map(|before| before.value().to_le_bytes());
        let now = sequence.map(u64::to_le_bytes);
        let bytes = |value: &Option<[u8; 8]>| value.as_ref().map(|bytes| bytes.to_vec());
        let (before, now) = (bytes(&before), bytes(&now));
        writing.changed(Covered::Events, &number.to_le_bytes(), before.as_deref(), now.as_deref());
        Ok(())
    };
    for (number, _) in &over {
        put(*number, None)?;
    }
    // A run can begin among them and end after them.
    let Some((number, sequence)) = over.last() else { return Ok(()) };
    let goes_on = number + (last + 1 - sequence);
    let ends = match next {
        Some(next) => next,
        None => state_before(writing)?.events + 1,
    };
    match goes_on < ends {
        true => put(goes_on, Some(last + 1)),
        false => Ok(()),
    }
}

/// The last record before the first one of that moment or later, from `first` to `limit`; `first - 1` if there is none.
fn last_before(
    reading: &ReadTransaction,
    first: u64,
    limit: u64,
    before: Timestamp,
) -> Result<u64, StoreError> {
    let (log, index) = (Log::open(reading)?, if_there(reading.open_table(INDEX))?);
    let mut next = first;
    while next <= limit {
        let row = match &index {
            Some(index) => {
                index.get(stretch_of(next))?.and_then(|row| IndexRow::parse(row.value()))
            }
            None => None,
        };
        if let Some(row) = row.filter(|row| row.last >= next && row.is_before(before)) {
            next = row.last + 1;
            continue;
        }
        let stretch = ((stretch_of(next) + 1) * STRETCH).min(limit);
        let mut found = false;
        log.each(next, |sequence, _, json| {
            if sequence > stretch {
                return Ok(Go::Stop);
            }
            found = time_of(sequence, &json)? >= before;
            next = if found { sequence } else { sequence + 1 };
            Ok(if found { Go::Stop } else { Go::On })
        })?;
        if found || next <= stretch {
            break;
        }
    }
    Ok((next - 1).min(limit))
}

/// The earliest and the latest moment of records.
fn moments(log: &Log, range: RangeInclusive<u64>) -> Result<(Timestamp, Timestamp), StoreError> {
    let mut moments: Option<(Timestamp, Timestamp)> = None;
    log.each(*range.start(), |sequence, _, json| {
        let time = time_of(sequence, &json)?;
        let (earliest, latest) = moments.unwrap_or((time, time));
        moments = Some((earliest.min(time), latest.max(time)));
        Ok(if sequence < *range.end() { Go::On } else { Go::Stop })
    })?;
    moments.ok_or(StoreError::Unreadable { what: "record", number: *range.start() })
}

fn time_of(sequence: u64, json: &[u8]) -> Result<Timestamp, StoreError> {
    #[derive(Deserialize)]
    struct Told {
        time: Timestamp,
    }
    Ok(decode::<Told>(json, "record", sequence)?.time)
}
