//! Paging: records are read and shown in pages, so that no list is held in memory, and no slow reader holds the store.
//!
//! A thread reads pages ahead of the output. If nobody takes its pages for a while, as in a pager, it closes the store, so that others
//! can open it, and opens it again when there is room.

use std::collections::VecDeque;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use hardtack::AuditRecord;
use hardtack::store::{LogLine, StoreReader};

use crate::command::audit::filter::Filter;
use crate::command::look_into;

/// How many bytes of records are handed over at once.
const PAGE_BYTES: usize = 256 * 1024;

/// How many pages are read ahead: as records they take some three times their bytes, together a few MiB.
const PAGES_AHEAD: usize = 4;

/// How often it is looked whether there is room for a page, and how often before the store is closed meanwhile: a second.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(10);
const LOOKS: usize = 100;

/// How many records are looked at at once on the way back from the end.
const BACK_AT_ONCE: u64 = 1000;

/// What the thread hands over.
enum Page {
    Records(Vec<(LogLine, AuditRecord)>),
    /// All was read: the number of the record that will be the next.
    End(u64),
    Failed(Box<dyn Error + Send + Sync>),
}

/// Shows the records from the one with the number `first` on that pass the filter, in order. Returns the number of the record that comes
/// next.
pub(super) fn from(
    path: &Path,
    filter: &Filter,
    first: u64,
    show: impl Fn(&LogLine, &AuditRecord) -> Result<(), Box<dyn Error>>,
) -> Result<u64, Box<dyn Error>> {
    let (pages, taken) = sync_channel(PAGES_AHEAD);
    let reading = Reading { path: path.to_owned(), filter: filter.clone(), next: first, pages };
    std::thread::Builder::new().name("records".to_owned()).spawn(move || reading.run())?;
    for page in taken {
        match page {
            Page::Records(records) => {
                records.iter().try_for_each(|(line, record)| show(line, record))?;
            }
            Page::End(next) => return Ok(next),
            Page::Failed(error) => return Err(error),
        }
    }
    Err("the records could not be read to their end".into())
}

/// Shows the last records that pass the filter, `count` at most, in order. Returns the number of the record that comes next. Reads no
/// further back than it must.
pub(super) fn last(
    path: &Path,
    filter: &Filter,
    count: u64,
    show: impl Fn(&LogLine, &AuditRecord) -> Result<(), Box<dyn Error>>,
) -> Result<u64, Box<dyn Error>> {
    let store = look_into(path)?;
    let end = store.last_record()?;
    let sought = filter.sought();
    let (mut found, mut before) = (VecDeque::new(), end + 1);
    while before > 1 && (found.len() as u64) < count {
        let first = before.saturating_sub(BACK_AT_ONCE).max(1);
        let mut some = Vec::new();
        for line in store.records_among(first..before, &sought) {
            let line = line?;
            let record = line.record()?;
            if filter.passes(&record) {
                some.push((line, record));
            }
        }
        let room = usize::try_from(count)? - found.len();
        some.into_iter().rev().take(room).for_each(|one| found.push_front(one));
        before = first;
    }
    // Whoever reads slowly keeps nobody out.
    drop(store);
    found.iter().try_for_each(|(line, record)| show(line, record))?;
    Ok(end + 1)
}

/// Somebody who reads, and hands over pages.
struct Reading {
    path: PathBuf,
    filter: Filter,
    next: u64,
    pages: SyncSender<Page>,
}

/// Whether the store is to be opened again.
enum Reached {
    End,
    Pause,
    /// Nobody wants more.
    Unwanted,
}

impl Reading {
    fn run(mut self) {
        loop {
            // The error of the command is not one that threads can hand over.
            let opened = look_into(&self.path);
            let reached = match opened.map_err(Into::into).and_then(|store| self.read(store)) {
                Ok(reached) => reached,
                Err(error) => {
                    // Whoever would hear it has gone.
                    let _ = self.pages.send(Page::Failed(error));
                    return;
                }
            };
            match reached {
                Reached::Pause => {}
                Reached::End => return drop(self.pages.send(Page::End(self.next))),
                Reached::Unwanted => return,
            }
        }
    }

    /// Reads on while pages are taken.
    fn read(&mut self, store: StoreReader) -> Result<Reached, Box<dyn Error + Send + Sync>> {
        let (mut page, mut bytes, mut next) = (Vec::new(), 0, self.next);
        let sought = self.filter.sought();
        let mut lines = store.records_among(next..u64::MAX, &sought);
        while let Some(line) = lines.next() {
            let line = line?;
            let record = line.record()?;
            next = line.sequence + 1;
            if self.filter.passes(&record) {
                bytes += line.json.len();
                page.push((line, record));
            }
            if bytes >= PAGE_BYTES {
                self.next = next;
                bytes = 0;
                if let Err(page) = self.hand_over(Page::Records(std::mem::take(&mut page))) {
                    drop(lines);
                    drop(store);
                    return Ok(match self.pages.send(page) {
                        Ok(()) => Reached::Pause,
                        Err(_) => Reached::Unwanted,
                    });
                }
            }
        }
        drop(lines);
        // What was passed over at the end is passed over again, which costs as much as it has stretches.
        drop(store);
        self.next = next;
        Ok(match self.pages.send(Page::Records(page)) {
            Ok(()) => Reached::End,
            Err(_) => Reached::Unwanted,
        })
    }

    /// Hands over a page; gives it back if nobody takes it for a while, or ever.
    fn hand_over(&self, page: Page) -> Result<(), Page> {
        let mut page = page;
        for _ in 0..LOOKS {
            match self.pages.try_send(page) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(back)) => return Err(back),
                Err(TrySendError::Full(back)) => page = back,
            }
            std::thread::sleep(LOOK_FOR_ROOM);
        }
        Err(page)
    }
}
