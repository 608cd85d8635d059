//! Journal: where records are durable before the database has them, a write-ahead journal.
//!
//! A commit of the database takes two waits for the disk and writes a page for each table that it
//! touches; a frame of the journal takes one wait and one write, into space that was reserved when
//! the store was made. So callers wait for a frame, and the database is brought up to date behind
//! them (see [`fold`](super::fold)).
//!
//! There are two segments. While the records of one are folded into the database, frames go to the
//! other; a segment is used again when all its records are in the database. A frame says which record it
//! begins with and what the hash of the record before that is, and bears a SHA-256 over the whole: on
//! opening, frames that continue the database's log are records that were acknowledged, an incomplete
//! frame at the end is one that was not, and anything else is damage.

use std::io;
use std::ops::Bound;

use redb::{BackendError, StorageBackend};

use crate::audit::LeafHash;
use crate::store::error::JournalError;
use crate::store::frame::{Frame, SECTOR, padded};
use crate::store::schema::Entry;
use crate::store::sealed::{self, Seal};
use crate::store::site::Backend;

/// The bytes of a segment: some thousand records. While the database takes them over, the other segment
/// takes as many.
pub(super) const SEGMENT: u64 = 1024 * 1024;

/// The most bytes in one frame. What is larger goes into the database in one transaction.
pub(super) const MAX_FRAME: usize = 256 * 1024;

/// At the end of a segment, room that only revocations may use, and the decisions that allowed them: while
/// the database cannot take anything over, other decisions must not use up what stops an agent. A revocation
/// takes 1 to 1.5 KiB, its decision as much or twice that: good for at least thirty of both.
pub(super) const RESERVE: u64 = 128 * 1024;

/// What a journal begins with, and the store's id after it. Takes a sector.
const FORMAT: &[u8; 18] = b"hardtack-journal-1";

/// What it begins with once a frame may hold [`Revocation::AgentUntilNow`](crate::Revocation::AgentUntilNow). Programs
/// that do not know that kind would take the frame for one that was never acknowledged, and write over it; a
/// journal that begins so they do not open.
const NEWER_FORMAT: &[u8; 18] = b"hardtack-journal-2";

/// What it begins with while its store is being made, and the store's id after it: with this mark, nothing was
/// ever recorded in the store. The last thing that a maker does is to put [`FORMAT`] in its place.
const MAKING: &[u8; 18] = b"hardtack-journal-0";

/// An open journal and the place where the next frame goes.
#[derive(Debug)]
pub(super) struct Journal {
    backend: Backend,
    segment: u64,
    at: u64,
    /// The other segment holds records that the database does not have yet.
    other_in_use: bool,
    /// A frame was written here and not acknowledged: it must not be found later beside another that
    /// begins with the same record.
    stray: bool,
    /// It begins with [`NEWER_FORMAT`].
    is_newer: bool,
}

/// What a journal says of the making of its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MakingMark {
    /// It was begun, and nothing is in it but perhaps a part of the mark.
    Blank,
    /// The store with this id was not finished.
    Making([u8; 16]),
    /// It is the journal of a store that was finished, or no journal.
    Other,
}

impl Journal {
    /// Begins a new journal, keeps others out, and reserves its space. Its store is one in the making until
    /// [`Journal::finish`].
    pub(super) fn make(backend: Backend, store: &[u8; 16]) -> Result<Journal, JournalError> {
        let journal = Journal {
            backend,
            segment: 0,
            at: 0,
            other_in_use: false,
            stray: false,
            is_newer: false,
        };
        journal.lock()?;
        let backend = &journal.backend;
        // The mark first: whatever is found beside it from here on was not finished.
        backend.set_len(SECTOR)?;
        backend.write(0, &start(MAKING, store))?;
        backend.sync_data()?;
        backend.set_len(SECTOR + 2 * SEGMENT)?;
        // Space that was not written is not reserved.
        let zeros = vec![0; SEGMENT as usize];
        backend.write(SECTOR, &zeros)?;
        backend.write(SECTOR + SEGMENT, &zeros)?;
        backend.sync_data()?;
        Ok(journal)
    }

    /// The store is made: its other parts are on disk.
    pub(super) fn finish(&self, store: &[u8; 16]) -> io::Result<()> {
        self.backend.write(0, &start(FORMAT, store))?;
        self.backend.sync_data()
    }

    /// What a journal says of the making of its store.
    pub(super) fn mark(backend: &Backend) -> io::Result<MakingMark> {
        let len = backend.len()?;
        let mut start = vec![0; SECTOR.min(len) as usize];
        backend.read(0, &mut start)?;
        if let Some(rest) = start.strip_prefix(MAKING)
            && let Some(id) = rest.first_chunk()
        {
            return Ok(MakingMark::Making(*id));
        }
        // A power loss can leave any part of the first sector, and zeros.
        let (words, rest) = start.split_at(start.len().min(MAKING.len()));
        let of_mark = words.iter().zip(MAKING).all(|(found, made)| *found == 0 || found == made);
        let is_empty = rest.iter().skip(16).all(|byte| *byte == 0);
        match len <= SECTOR && of_mark && is_empty {
            true => Ok(MakingMark::Blank),
            false => Ok(MakingMark::Other),
        }
    }

    /// Keeps other writers out for as long as the journal is open: the database is not locked while it is
    /// opened again after a failure.
    pub(super) fn lock(&self) -> Result<(), JournalError> {
        match self.backend.try_lock_range(Bound::Unbounded, Bound::Unbounded) {
            Ok(true) | Err(BackendError::Unsupported) => Ok(()),
            Ok(false) => Err(JournalError::InUse),
            Err(error) => Err(JournalError::Io(io::Error::other(error.to_string()))),
        }
    }

    /// Leaves the seal of a store that was closed in peace.
    pub(super) fn seal(&self, seal: &Seal) -> io::Result<()> {
        self.backend.write(sealed::PLACE, &seal.encode())?;
        self.backend.sync_data()
    }

    /// Lets other writers in.
    pub(super) fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    /// Opens a journal. Unless the database has all its records, [`Journal::resume`] says where it goes on.
    pub(super) fn open(backend: Backend, store: &[u8; 16]) -> Result<Journal, JournalError> {
        let len = backend.len()?;
        if len == 0 {
            return Err(JournalError::Damaged("it is empty"));
        }
        let mut start = vec![0; SECTOR as usize];
        if len != SECTOR + 2 * SEGMENT {
            return Err(JournalError::Damaged("it is not of its length"));
        }
        backend.read(0, &mut start)?;
        if start.starts_with(MAKING) {
            return Err(JournalError::Damaged("it is that of a store that was not finished"));
        }
        let is_newer = start.starts_with(NEWER_FORMAT);
        if !is_newer && !start.starts_with(FORMAT) {
            return Err(JournalError::Damaged("it does not begin as a journal does"));
        }
        if &start[FORMAT.len()..FORMAT.len() + 16] != store {
            return Err(JournalError::Damaged("it belongs to another store"));
        }
        Ok(Journal { backend, segment: 0, at: 0, other_in_use: false, stray: false, is_newer })
    }

    /// Goes on after these frames, in order, all of which the database does not have yet.
    pub(super) fn resume(&mut self, frames: &[Frame]) {
        if let Some(last) = frames.last() {
            (self.segment, self.at) = (last.segment, last.end);
            self.other_in_use = frames.iter().any(|frame| frame.segment != last.segment);
        }
    }

    /// Whether a frame is in the segment that is not written to.
    pub(super) fn is_in_other_segment(&self, frame: &Frame) -> bool {
        frame.segment != self.segment
    }

    /// Every whole frame, in the order of their records.
    pub(super) fn frames(&self) -> Result<Vec<Frame>, JournalError> {
        let mut found = Vec::new();
        for segment in 0..2 {
            found.extend(self.scan(segment)?);
        }
        found.sort_by_key(|frame| frame.first);
        Ok(found)
    }

    /// The frames to replay: those that continue a log of `records` records, the last of which has the hash `last`.
    pub(super) fn read(
        &self,
        mut records: u64,
        mut last: LeafHash,
    ) -> Result<Vec<Frame>, JournalError> {
        let mut frames = Vec::new();
        for frame in self.frames()? {
            if frame.last() <= records {
                continue;
            }
            let frame = match frame.first <= records {
                // The database has a part of it, or other records stand in the place of one that was
                // never acknowledged: its own hashes tell.
                true => match frame.after(records, last) {
                    Some(rest) => rest,
                    None => continue,
                },
                false => frame,
            };
            if frame.first != records + 1 || frame.previous != last {
                return Err(JournalError::Damaged(
                    "records between the database and the journal are missing",
                ));
            }
            records = frame.last();
            last = frame.entries.last().map_or(last, Entry::leaf);
            frames.push(frame);
        }
        Ok(frames)
    }

    /// Every whole frame of a segment, wherever it stands.
    fn scan(&self, segment: u64) -> Result<Vec<Frame>, JournalError> {
        let mut bytes = vec![0; SEGMENT as usize];
        self.backend.read(SECTOR + segment * SEGMENT, &mut bytes)?;
        let starts = (0..SEGMENT as usize).step_by(SECTOR as usize);
        Ok(starts
            .filter_map(|start| Frame::parse(&bytes[start..], segment, start as u64))
            .collect())
    }

    /// Whether this many bytes fit into the segment.
    pub(super) fn has_room(&self, payload: usize, reserve: u64) -> bool {
        self.at + padded(payload) + reserve <= SEGMENT
    }

    /// Whether a frame of this length does.
    pub(super) fn fits(&self, frame: usize) -> bool {
        self.at + frame as u64 <= SEGMENT
    }

    /// Whether the segment is half full.
    pub(super) fn is_filling(&self) -> bool {
        self.at > SEGMENT / 2
    }

    /// Keeps out programs that would not read all that is written from now on.
    pub(super) fn refuse_older_readers(&mut self) -> io::Result<()> {
        if !self.is_newer {
            self.backend.write(0, NEWER_FORMAT)?;
            self.backend.sync_data()?;
            self.is_newer = true;
        }
        Ok(())
    }

    /// Writes a frame and waits until it is on disk. If that fails, the next frame goes to the same place.
    pub(super) fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        let bytes = self.next_place().write(frame)?;
        self.advance(bytes);
        Ok(())
    }

    /// The place of the next frame, to be written while others look at the journal; nobody else writes to it meanwhile.
    /// Once that is on disk, [`Journal::advance`] says so.
    pub(super) fn next_place(&mut self) -> Place {
        self.stray = true;
        Place { backend: self.backend.clone(), at: self.place(), room: SEGMENT - self.at }
    }

    /// Goes on after a frame of so many bytes that was written to the next place.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.stray = false;
        self.at += bytes;
    }

    /// Whether it can be written at all: overwrites what may have been left at the next frame's place.
    pub(super) fn probe(&mut self) -> io::Result<()> {
        if self.at + SECTOR <= SEGMENT {
            self.backend.write(self.place(), &[0; SECTOR as usize])?;
        }
        self.backend.sync_data()?;
        self.stray = false;
        Ok(())
    }

    /// Whether it writes before it goes on in the other segment.
    pub(super) fn is_stray(&self) -> bool {
        self.stray
    }

    /// Goes on in the other segment, if that is free. Until [`Journal::release`] the segment that was
    /// left keeps what it has. Says whether what comes next goes elsewhere than what was.
    pub(super) fn switch(&mut self) -> io::Result<bool> {
        if self.other_in_use {
            return Ok(false);
        }
        if self.stray {
            self.probe()?;
        }
        if self.at > 0 {
            (self.segment, self.at, self.other_in_use) = (1 - self.segment, 0, true);
        }
        Ok(true)
    }

    /// The database has all that the other segment holds.
    pub(super) fn release(&mut self) {
        self.other_in_use = false;
    }

    /// The database has all that either segment holds: begins anew.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        if self.stray {
            self.probe()?;
        }
        (self.at, self.other_in_use) = (0, false);
        Ok(())
    }

    fn place(&self) -> u64 {
        SECTOR + self.segment * SEGMENT + self.at
    }
}

/// Where a frame goes.
#[derive(Debug)]
pub(super) struct Place {
    backend: Backend,
    at: u64,
    room: u64,
}

impl Place {
    /// Writes a frame and waits until it is on disk; returns its bytes.
    pub(super) fn write(&self, frame: &[u8]) -> io::Result<u64> {
        let bytes = frame.len() as u64;
        if bytes > self.room {
            return Err(io::Error::other("the journal is full"));
        }
        self.backend.write(self.at, frame)?;
        self.backend.sync_data()?;
        Ok(bytes)
    }
}

/// The first sector.
fn start(format: &[u8; 18], store: &[u8; 16]) -> Vec<u8> {
    let mut start = vec![0; SECTOR as usize];
    start[..format.len()].copy_from_slice(format);
    start[format.len()..format.len() + store.len()].copy_from_slice(store);
    start
}
