//! Archive: a file of records that verifies by itself. What is in it, how is it written, and is it what the log had?
//!
//! A file is LZ4 (its frame format) of lines of JSON. The first line says which records of which log follow, and what is needed of the
//! tree before them. Then come the records, each in the bytes that were hashed and signed. The last line has a checkpoint that signs
//! exactly the records up to the last one. Whoever has the log's key computes the tree, and needs neither the store nor other archives.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use serde::{Deserialize, Serialize};

use crate::audit::{Checkpoint, Frontier, InclusionProof, LeafHash, LogKey};
use crate::log::{self, LogLine};
use crate::store::StoreError;
use crate::store::packed::GROUP;
use crate::timestamp::Timestamp;

/// The form of the files.
const FORM: u32 = 1;

/// The most bytes of a line: a record fits into a frame of the journal, which has 256 KiB.
const MAX_LINE: u64 = 1024 * 1024;

/// The first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Head {
    hardtack_archive: u32,
    /// The log's name.
    log: String,
    pub(super) first: u64,
    pub(super) last: u64,
    /// The earliest and the latest moment among the records.
    pub(super) earliest: Timestamp,
    pub(super) latest: Timestamp,
    /// The hash of the record before the first one; zeros if there is none.
    previous: LeafHash,
    /// The largest complete subtrees of the records before the first one, from left to right.
    tree: Vec<LeafHash>,
}

impl Head {
    /// Of the records from `first` to `last`, where `find` finds the hashes of the tree before them.
    pub(super) fn new(
        log: &LogKey,
        (first, last): (u64, u64),
        (earliest, latest): (Timestamp, Timestamp),
        find: impl Fn(u64, usize) -> Option<[u8; 32]>,
    ) -> Result<Head, StoreError> {
        let before = first.saturating_sub(1);
        let missing = StoreError::Unreadable { what: "record", number: before };
        let tree = log::peaks(before).into_iter().map(|(record, place)| find(record, place));
        let tree = tree.map(|hash| hash.map(LeafHash)).collect::<Option<Vec<_>>>();
        let (tree, previous) = match before {
            0 => (Some(Vec::new()), Some(LeafHash::default())),
            _ => (tree, find(before, 0).map(LeafHash)),
        };
        let (Some(tree), Some(previous)) = (tree, previous) else { return Err(missing) };
        let log = log.name().to_owned();
        Ok(Head { hardtack_archive: FORM, log, first, last, earliest, latest, previous, tree })
    }

    /// The edge of the tree before the first record.
    pub(super) fn frontier(&self) -> Option<Frontier> {
        let before = self.first.checked_sub(1)?;
        Frontier::load(before, self.previous, |record, place| self.hash_before(record, place)).ok()
    }

    /// A hash of the tree before the first record, by where the tree stores it.
    fn hash_before(&self, record: u64, place: usize) -> Option<[u8; 32]> {
        let peaks = log::peaks(self.first.checked_sub(1)?);
        let at = peaks.iter().position(|peak| *peak == (record, place))?;
        self.tree.get(at).map(|hash| hash.0)
    }
}

/// What is wrong with a file that is not what was read of it before.
const CHANGED: &str = "it was changed meanwhile";

/// What is looked at of a record.
#[derive(Deserialize)]
struct Told {
    time: Timestamp,
}

/// The last line.
#[derive(Serialize, Deserialize)]
struct Tail {
    checkpoint: String,
}

/// Writes a file, of which nothing is promised until it was synced and read back.
pub(super) fn write(
    file: File,
    head: &Head,
    checkpoint: &Checkpoint,
    records: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), StoreError>,
    failed: impl Fn(io::Error) -> StoreError,
) -> Result<(), StoreError> {
    let frame = FrameInfo::new()
        .block_size(BlockSize::Max256KB)
        .block_mode(BlockMode::Linked)
        .content_checksum(true);
    let mut lines = FrameEncoder::with_frame_info(frame, BufWriter::new(file));
    let written = write_lines(&mut lines, head, checkpoint, records);
    written?.map_err(&failed)?;
    let ended = lines.finish().map_err(|error| failed(io::Error::other(error.to_string())))?;
    let file = ended.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

fn write_lines(
    lines: &mut impl Write,
    head: &Head,
    checkpoint: &Checkpoint,
    records: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), StoreError>,
) -> Result<io::Result<()>, StoreError> {
    let mut line = |bytes: &[u8]| lines.write_all(bytes).and_then(|()| lines.write_all(b"\n"));
    if let Err(error) = serde_json::to_vec(head).map_err(io::Error::other).and_then(|h| line(&h)) {
        return Ok(Err(error));
    }
    let mut unwritten = None;
    let read = records(&mut |bytes| {
        line(bytes).map_err(|error| {
            let stopped = io::Error::from(error.kind());
            unwritten = Some(error);
            stopped
        })
    });
    if let Some(error) = unwritten {
        return Ok(Err(error));
    }
    read?;
    let tail = Tail { checkpoint: checkpoint.text().to_owned() };
    Ok(serde_json::to_vec(&tail).map_err(io::Error::other).and_then(|tail| line(&tail)))
}

/// A file of records, of which the first line was read.
#[derive(Debug, Clone)]
pub(super) struct Archive {
    pub(super) path: PathBuf,
    pub(super) head: Head,
    key: LogKey,
}

impl Archive {
    /// Opens a file that says that it has records of the log with this key.
    pub(super) fn open(path: &Path, key: &LogKey) -> Result<Archive, StoreError> {
        let mut lines = Lines::open(path)?;
        let line = lines.next()?;
        let head: Head = serde_json::from_slice(&line).map_err(|_| {
            StoreError::archive(path, "it does not begin as an archive of records does")
        })?;
        if head.hardtack_archive != FORM {
            let problem = "it is an archive in a form that this version does not read";
            return Err(StoreError::archive(path, problem));
        }
        if head.log != key.name() {
            let problem = format!(
                "it has records of another log, {}; give each store a folder of its own",
                head.log
            );
            return Err(StoreError::archive(path, problem));
        }
        // A file ends where a group does, and what is read of it for a proof is kept in memory.
        let is_short = head.last.checked_sub(head.first).is_some_and(|more| more < GROUP);
        if head.first == 0 || !is_short || head.frontier().is_none() {
            return Err(StoreError::archive(path, "its first line makes no sense"));
        }
        Ok(Archive { path: path.to_owned(), head, key: key.clone() })
    }

    /// Reads its records in order, once all of it was read and is what the log signed: so that nothing is handed on before that is known,
    /// each is compared with what was read then.
    pub(super) fn records(&self) -> Result<Records, StoreError> {
        self.read_as(self.leaves()?)
    }

    /// The hashes of its records, which the log signed.
    pub(super) fn leaves(&self) -> Result<Vec<LeafHash>, StoreError> {
        let (mut records, mut leaves) = (self.read()?, Vec::new());
        while let Some(line) = records.next()? {
            leaves.push(LeafHash::of(line.json.as_bytes()));
        }
        Ok(leaves)
    }

    /// Reads its records in order, which have to be those with these hashes.
    pub(super) fn read_as(&self, leaves: Vec<LeafHash>) -> Result<Records, StoreError> {
        Ok(Records { signed: Some(leaves.into_iter()), ..self.read()? })
    }

    /// Reads its records in order. That they are those that the log signed is known once the last one was read: what was changed
    /// ends with an error.
    pub(super) fn read(&self) -> Result<Records, StoreError> {
        let mut lines = Lines::open(&self.path)?;
        // The first line, which may be another one by now.
        let changed = || self.damaged(CHANGED);
        let head: Head = serde_json::from_slice(&lines.next()?).map_err(|_| changed())?;
        let is_same = (head.first, head.last) == (self.head.first, self.head.last);
        let frontier = head.frontier().filter(|_| is_same).ok_or_else(changed)?;
        let archive = Archive { head, ..self.clone() };
        let (hashes, signed, checkpoint) = (Vec::new(), None, None);
        Ok(Records { archive, lines, frontier, hashes, signed, checkpoint })
    }

    /// Reads all of it; returns the checkpoint that signs it.
    pub(super) fn verify(&self) -> Result<Checkpoint, StoreError> {
        let mut records = self.read()?;
        while records.next()?.is_some() {}
        records.checkpoint().cloned().ok_or_else(|| self.damaged("it does not end"))
    }

    /// Proves that a record of it is in the log, by the checkpoint that signs the archive.
    pub(super) fn prove(&self, sequence: u64) -> Result<InclusionProof, StoreError> {
        let mut records = self.read()?;
        let (mut stored, mut record) = (Vec::new(), None);
        while let Some(line) = records.next()? {
            stored.push(records.hashes.clone());
            if line.sequence == sequence {
                record = Some(line.json);
            }
        }
        let first = records.archive.head.first;
        let find = |number: u64, place: usize| match number.checked_sub(first) {
            Some(at) => stored.get(usize::try_from(at).ok()?)?.get(place).copied(),
            None => records.archive.head.hash_before(number, place),
        };
        let checkpoint = records.checkpoint().ok_or_else(|| self.damaged("it does not end"))?;
        let path = log::path(checkpoint.size(), sequence, find)?;
        let record = record.ok_or(StoreError::Unreadable { what: "record", number: sequence })?;
        Ok(InclusionProof::of(sequence, record, path, checkpoint))
    }

    fn damaged(&self, problem: impl ToString) -> StoreError {
        StoreError::archive(&self.path, problem)
    }
}

/// The records of an archive, as they are read.
pub(super) struct Records {
    archive: Archive,
    lines: Lines,
    frontier: Frontier,
    /// The hashes that the tree stores with the last record.
    hashes: Vec<[u8; 32]>,
    /// The hashes of the records that the log signed, from the next one on, if they are known.
    signed: Option<std::vec::IntoIter<LeafHash>>,
    checkpoint: Option<Checkpoint>,
}

impl Records {
    /// The next record; `None` after the last one, if all are what the log signed.
    pub(super) fn next(&mut self) -> Result<Option<LogLine>, StoreError> {
        let sequence = self.frontier.size() + 1;
        if sequence > self.archive.head.last {
            return self.end().map(|()| None);
        }
        let line = self.lines.next()?;
        let head = &self.archive.head;
        // Searches pass over an archive by what its first line says of moments.
        let told: Told = serde_json::from_slice(&line)
            .map_err(|_| self.archive.damaged(format!("record {sequence} is no record")))?;
        if !(head.earliest..=head.latest).contains(&told.time) {
            let problem = format!("record {sequence} is not of the time that it says");
            return Err(self.archive.damaged(problem));
        }
        let leaf = LeafHash::of(&line);
        if self.signed.as_mut().is_some_and(|signed| signed.next() != Some(leaf)) {
            return Err(self.archive.damaged(CHANGED));
        }
        self.hashes = self.frontier.push(leaf)?;
        let json = String::from_utf8(line)
            .map_err(|_| self.archive.damaged(format!("record {sequence} is no text")))?;
        Ok(Some(LogLine::new(sequence, json)))
    }

    /// Compares the tree with what was signed.
    fn end(&mut self) -> Result<(), StoreError> {
        if self.checkpoint.is_some() {
            return Ok(());
        }
        let archive = &self.archive;
        let tail: Tail = serde_json::from_slice(&self.lines.next()?)
            .map_err(|_| archive.damaged("it does not end with its checkpoint"))?;
        let checkpoint = Checkpoint::verify(&tail.checkpoint, &archive.key)
            .map_err(|error| archive.damaged(format!("of its checkpoint: {error}")))?;
        self.lines.end()?;
        let root = self.frontier.root()?;
        if checkpoint.size() != self.frontier.size() || *checkpoint.root() != root {
            return Err(archive.damaged("its records are not those that its checkpoint signs"));
        }
        self.checkpoint = Some(checkpoint);
        Ok(())
    }

    /// What signs them, once all were read.
    pub(super) fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }
}

/// The lines of a file.
struct Lines {
    path: PathBuf,
    text: BufReader<FrameDecoder<BufReader<File>>>,
}

impl Lines {
    fn open(path: &Path) -> Result<Lines, StoreError> {
        let file =
            crate::file::open(path).map_err(|error| StoreError::archive_file(path, error))?;
        let text = BufReader::new(FrameDecoder::new(BufReader::new(file)));
        Ok(Lines { path: path.to_owned(), text })
    }

    fn next(&mut self) -> Result<Vec<u8>, StoreError> {
        let mut line = Vec::new();
        let read = self.text.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        read.map_err(|error| self.unreadable(&error))?;
        match line.pop() {
            Some(b'\n') => Ok(line),
            _ => Err(StoreError::archive(&self.path, "it was cut off")),
        }
    }

    fn end(&mut self) -> Result<(), StoreError> {
        let is_over = self.text.fill_buf().map(<[u8]>::is_empty);
        // Behind the frame of LZ4 as well: tools read several frames as one.
        let is_last = match is_over {
            Ok(true) => self.text.get_mut().get_mut().fill_buf().map(<[u8]>::is_empty),
            over => over,
        };
        match is_last.map_err(|error| self.unreadable(&error))? {
            true => Ok(()),
            false => Err(StoreError::archive(&self.path, "something follows its end")),
        }
    }

    fn unreadable(&self, error: &io::Error) -> StoreError {
        match error.raw_os_error() {
            Some(number) => {
                StoreError::archive_file(&self.path, io::Error::from_raw_os_error(number))
            }
            None => StoreError::archive(&self.path, format!("it cannot be read: {error}")),
        }
    }
}
