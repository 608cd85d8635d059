//! Paging: records are read and shown in pages, so that no list is held in memory, and no slow reader holds the store.
//!
//! A thread reads pages ahead of the output. If nobody takes its pages for a while, as in a pager, it closes the store, so that others
//! can open it, and opens it again when there is room.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use hardtack::store::{LogLine, StoreReader};
use hardtack::{AuditRecord, StoreError};

use crate::command::audit::archived::Source;
use crate::command::audit::filter::Filter;
use crate::command::look_into;
use crate::terminal::warn;

/// How many bytes of records are handed over at once.
const PAGE_BYTES: usize = 256 * 1024;

/// How many pages are read ahead: as records they take some three times their bytes, together a few MiB.
const PAGES_AHEAD: usize = 4;

/// How often it is looked whether there is room for a page, and how often before the store is closed meanwhile: a second.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(10);
const LOOKS: usize = 100;

/// How many records are looked at at once on the way back from the end.
const BACK_AT_ONCE: u64 = 1000;

/// As many of what is archived: an archive ends at multiples of this number, and is read whole.
const ARCHIVED_AT_ONCE: u64 = 65_536;

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
    source: &Source,
    filter: &Filter,
    first: u64,
    show: impl Fn(&LogLine, &AuditRecord) -> Result<(), Box<dyn Error>>,
) -> Result<u64, Box<dyn Error>> {
    let (pages, taken) = sync_channel(PAGES_AHEAD);
    let reading = Reading { source: source.clone(), filter: filter.clone(), next: first, pages };
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
    source: &Source,
    filter: &Filter,
    count: u64,
    show: impl Fn(&LogLine, &AuditRecord) -> Result<(), Box<dyn Error>>,
) -> Result<u64, Box<dyn Error>> {
    let store = look_into(&source.store)?;
    let end = store.last_record()?;
    let archived = store.archived()?.map_or(0, |(last, _)| last);
    let sought = filter.sought();
    let (mut found, mut before) = (VecDeque::new(), end + 1);
    while before > archived + 1 && (found.len() as u64) < count {
        let first = before.saturating_sub(BACK_AT_ONCE).max(archived + 1);
        take_last(&mut found, count, filter, store.records_among(first..before, &sought))?;
        before = first;
    }
    if before > 1 && (found.len() as u64) < count {
        let (folder, oldest) = source.archives(&store)?;
        let oldest = oldest.unwrap_or(before);
        while before > oldest && (found.len() as u64) < count {
            let first = (before - 2) / ARCHIVED_AT_ONCE * ARCHIVED_AT_ONCE + 1;
            let lines = store.archived_among(&folder, first..before, &sought)?;
            take_last(&mut found, count, filter, lines)?;
            before = first;
        }
    }
    // Whoever reads slowly keeps nobody out.
    drop(store);
    found.iter().try_for_each(|(line, record)| show(line, record))?;
    Ok(end + 1)
}

/// Puts the last of these records that pass before those that were found, so that there are `count` at most.
fn take_last(
    found: &mut VecDeque<(LogLine, AuditRecord)>,
    count: u64,
    filter: &Filter,
    lines: impl Iterator<Item = Result<LogLine, StoreError>>,
) -> Result<(), Box<dyn Error>> {
    let room = usize::try_from(count)?.saturating_sub(found.len());
    let mut some = VecDeque::new();
    for line in lines {
        let line = line?;
        let record = line.record()?;
        if filter.passes(&record) {
            some.push_back((line, record));
            if some.len() > room {
                some.pop_front();
            }
        }
    }
    some.into_iter().rev().for_each(|one| found.push_front(one));
    Ok(())
}

/// Somebody who reads, and hands over pages.
struct Reading {
    source: Source,
    filter: Filter,
    next: u64,
    pages: SyncSender<Page>,
}

fn is_archived(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::InArchive { .. }))
}

/// A page that was not handed over.
struct LastPage {
    page: Page,
    /// Nobody took it, and there are more lines.
    is_full: bool,
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
            let opened = look_into(&self.source.store);
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

    /// Reads on while pages are taken: first what is archived, for which the store is not kept open.
    fn read(&mut self, store: StoreReader) -> Result<Reached, Box<dyn Error + Send + Sync>> {
        let sought = self.filter.sought();
        let archived = store.archived()?.map_or(0, |(last, _)| last);
        if self.next > archived {
            let lines = store.records_among(self.next..u64::MAX, &sought);
            let last = match self.read_lines(lines, |reading, page| reading.hand_over(page)) {
                Ok(last) => last,
                // What was to come next was archived meanwhile.
                Err(error) if is_archived(&*error) => return Ok(Reached::Pause),
                Err(error) => return Err(error),
            };
            // What was passed over at the end is passed over again, which costs as much as it has stretches.
            drop(store);
            let reached = if last.is_full { Reached::Pause } else { Reached::End };
            return Ok(self.pages.send(last.page).map_or(Reached::Unwanted, |()| reached));
        }
        let (folder, oldest) = self.source.archives(&store)?;
        let lines = store.archived_among(&folder, self.next..archived + 1, &sought)?;
        drop(store);
        let oldest = oldest.unwrap_or(archived + 1);
        if oldest > self.next {
            warn(&format!(
                "the records from {} to {} are neither in the store nor in {}",
                self.next,
                oldest - 1,
                folder.display()
            ));
        }
        // Nobody is kept out meanwhile, so that whoever reads slowly is waited for.
        let send = |reading: &Reading, page| reading.pages.send(page).map_err(|back| back.0);
        let last = self.read_lines(lines, send)?;
        if last.is_full {
            return Ok(Reached::Unwanted);
        }
        self.next = archived + 1;
        Ok(self.pages.send(last.page).map_or(Reached::Unwanted, |()| Reached::Pause))
    }

    /// Hands over pages of these lines as long as they are taken. Returns the last one, which was not.
    fn read_lines(
        &mut self,
        lines: impl Iterator<Item = Result<LogLine, StoreError>>,
        hand_over: impl Fn(&Reading, Page) -> Result<(), Page>,
    ) -> Result<LastPage, Box<dyn Error + Send + Sync>> {
        let (mut page, mut bytes, mut next) = (Vec::new(), 0, self.next);
        for line in lines {
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
                if let Err(page) = hand_over(self, Page::Records(std::mem::take(&mut page))) {
                    return Ok(LastPage { page, is_full: true });
                }
            }
        }
        self.next = next;
        Ok(LastPage { page: Page::Records(page), is_full: false })
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
