//! A disk whose power goes at a chosen operation, and which then has lost, reordered and torn what was not
//! synced.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use crate::store::site::{Backend, Site};
use crate::store::tests::Dice;

/// What stands in a file, and what would if the power went now.
#[derive(Debug, Default, Clone)]
struct File {
    now: Vec<u8>,
    synced: Vec<u8>,
    since: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Resize(u64),
}

/// What happens to operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The power goes at this operation.
    PowerGoesAt(u64),
    /// Nothing can be written.
    Full,
    /// Nothing can be written but what has its room: the journal.
    FullButForJournal,
    /// The journal's writes take until there is another fault.
    JournalTakesLong,
    /// Whoever writes panics, as the engine does on pages that it cannot make sense of.
    Panics,
}

#[derive(Debug, Default)]
struct Content {
    database: File,
    journal: File,
    checkpoint: Option<String>,
    fault: Fault,
    done: u64,
    checkpoints: u64,
}

/// A store's place on such a disk.
#[derive(Debug, Default, Clone)]
pub(super) struct Disk(Arc<Mutex<Content>>);

impl Disk {
    pub(super) fn set(&self, fault: Fault) {
        self.lock().fault = fault;
    }

    /// How many writes, resizes and syncs there were.
    pub(super) fn operations(&self) -> u64 {
        self.lock().done
    }

    /// How many checkpoints were kept.
    pub(super) fn checkpoints(&self) -> u64 {
        self.lock().checkpoints
    }

    /// The disk as it may be found when the power is back.
    pub(super) fn after_power_loss(&self, dice: &mut Dice) -> Disk {
        let content = self.lock();
        let survivor = |file: &File, dice: &mut Dice| {
            let bytes = file.survive(dice);
            File { now: bytes.clone(), synced: bytes, since: Vec::new() }
        };
        Disk(Arc::new(Mutex::new(Content {
            database: survivor(&content.database, dice),
            journal: survivor(&content.journal, dice),
            checkpoint: content.checkpoint.clone(),
            fault: Fault::None,
            done: 0,
            checkpoints: 0,
        })))
    }

    /// Another disk with the same content.
    pub(super) fn copy(&self) -> Disk {
        let content = self.lock();
        Disk(Arc::new(Mutex::new(Content {
            database: content.database.clone(),
            journal: content.journal.clone(),
            checkpoint: content.checkpoint.clone(),
            fault: Fault::None,
            done: 0,
            checkpoints: 0,
        })))
    }

    /// Changes the bytes of the database (0) or the journal (1), as a bad disk does.
    pub(super) fn change(&self, part: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = self.lock();
        let file = if part == 0 { &mut content.database } else { &mut content.journal };
        change(&mut file.now);
        (file.synced, file.since) = (file.now.clone(), Vec::new());
    }

    pub(super) fn change_checkpoint(&self, change: impl FnOnce(&mut Option<String>)) {
        change(&mut self.lock().checkpoint);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl File {
    fn apply(bytes: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Resize(len) => bytes.resize(*len as usize, 0),
            Change::Write(offset, data) => {
                // A length that was never reached hides what was written beyond it.
                let start = (*offset as usize).min(bytes.len());
                let end = (start + data.len()).min(bytes.len());
                bytes[start..end].copy_from_slice(&data[..end - start]);
            }
        }
    }

    /// Of what was not synced each change is lost, kept, or torn, in any order.
    fn survive(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        let mut changes = self.since.clone();
        // Lengths are kept in order by file systems; data are not.
        let resizes = changes.iter().filter(|change| matches!(change, Change::Resize(_))).count();
        let kept = dice.below(resizes as u64 + 1) as usize;
        let resized =
            changes.iter().filter(|change| matches!(change, Change::Resize(_))).take(kept);
        resized.for_each(|change| File::apply(&mut bytes, change));
        changes.retain(|change| matches!(change, Change::Write(..)));
        for index in (1..changes.len()).rev() {
            changes.swap(index, dice.below(index as u64 + 1) as usize);
        }
        for change in &changes {
            let Change::Write(offset, data) = change else { continue };
            match dice.below(4) {
                0 => {}
                1 => {
                    let end = dice.below(data.len() as u64) as usize;
                    File::apply(&mut bytes, &Change::Write(*offset, data[..end].to_vec()));
                }
                2 => {
                    let start = dice.below(data.len() as u64) as usize;
                    let at = offset + start as u64;
                    File::apply(&mut bytes, &Change::Write(at, data[start..].to_vec()));
                }
                _ => File::apply(&mut bytes, change),
            }
        }
        bytes
    }
}

#[derive(Debug)]
struct Part {
    disk: Disk,
    journal: bool,
}

impl Part {
    fn with<T>(&self, act: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
        let mut content = self.disk.lock();
        act(if self.journal { &mut content.journal } else { &mut content.database })
    }

    /// Counts an operation, and does it unless the disk fails.
    fn change(&self, act: impl FnOnce(&mut File)) -> io::Result<()> {
        let mut content = self.disk.lock();
        while self.journal && content.fault == Fault::JournalTakesLong {
            drop(content);
            std::thread::sleep(std::time::Duration::from_millis(1));
            content = self.disk.lock();
        }
        content.done += 1;
        match content.fault {
            Fault::PowerGoesAt(operation) if content.done >= operation => {
                return Err(io::Error::other("the power is gone"));
            }
            Fault::Full => return Err(io::ErrorKind::StorageFull.into()),
            Fault::FullButForJournal if !self.journal => {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Fault::Panics => {
                drop(content);
                panic!("the engine cannot make sense of a page");
            }
            Fault::None
            | Fault::PowerGoesAt(_)
            | Fault::FullButForJournal
            | Fault::JournalTakesLong => {}
        }
        act(if self.journal { &mut content.journal } else { &mut content.database });
        Ok(())
    }
}

impl StorageBackend for Part {
    fn len(&self) -> io::Result<u64> {
        self.with(|file| Ok(file.now.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|file| {
            let start = offset as usize;
            let bytes = file.now.get(start..start + out.len());
            out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|file| {
            file.now.resize(len as usize, 0);
            file.since.push(Change::Resize(len));
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(|file| {
            for change in std::mem::take(&mut file.since) {
                File::apply(&mut file.synced, &change);
            }
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|file| {
            let change = Change::Write(offset, data.to_vec());
            File::apply(&mut file.now, &change);
            file.since.push(change);
        })
    }
}

impl Site for Disk {
    fn database(&self) -> io::Result<Backend> {
        Ok(Backend::new(Part { disk: self.clone(), journal: false }))
    }

    fn journal(&self) -> io::Result<Backend> {
        Ok(Backend::new(Part { disk: self.clone(), journal: true }))
    }

    fn checkpoint(&self) -> io::Result<Option<String>> {
        Ok(self.lock().checkpoint.clone())
    }

    /// Replaced whole and synced, as the store does it with files.
    fn keep_checkpoint(&self, text: &str) -> io::Result<()> {
        let mut content = self.lock();
        content.done += 1;
        match content.fault {
            Fault::PowerGoesAt(operation) if content.done >= operation => {
                return Err(io::Error::other("the power is gone"));
            }
            Fault::Full | Fault::FullButForJournal => {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Fault::Panics => {
                drop(content);
                panic!("the engine cannot make sense of a page");
            }
            Fault::None | Fault::PowerGoesAt(_) | Fault::JournalTakesLong => {}
        }
        content.checkpoint = Some(text.to_owned());
        content.checkpoints += 1;
        Ok(())
    }

    fn path(&self) -> Option<&Path> {
        None
    }
}
