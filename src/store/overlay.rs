//! Overlay: bytes that can be written without changing what is below (copy-on-write, by pages).
//!
//! A database that needs repair cannot be read without writing to it. Over an overlay it can: to
//! look into a damaged store, to read one on a disk that is full or write-protected.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Mutex;

use redb::{BackendError, StorageBackend};

use crate::store::site::Backend;

/// The unit in which changes are kept: a page of redb.
const PAGE: u64 = 4096;

#[derive(Debug)]
pub(super) struct Overlay {
    below: Backend,
    locks: Locks,
    changes: Mutex<Changes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Locks {
    AsAsked,
    Shared,
}

#[derive(Debug)]
struct Changes {
    len: u64,
    /// Beyond this, what is below does not show through: it was cut off once.
    visible: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(super) fn over(below: Backend) -> io::Result<Overlay> {
        let len = below.len()?;
        let changes = Mutex::new(Changes { len, visible: len, pages: BTreeMap::new() });
        Ok(Overlay { below, locks: Locks::AsAsked, changes })
    }

    /// Takes a shared lock wherever an exclusive one is asked for.
    pub(super) fn sharing_locks(mut self) -> Overlay {
        self.locks = Locks::Shared;
        self
    }

    fn changes(&self) -> std::sync::MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A page as it is now, copied on the first write; zeros where there is nothing.
    fn page<'a>(&self, changes: &'a mut Changes, number: u64) -> io::Result<&'a mut Vec<u8>> {
        let (start, visible) = (number * PAGE, changes.visible);
        match changes.pages.entry(number) {
            std::collections::btree_map::Entry::Occupied(page) => Ok(page.into_mut()),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                let mut page = vec![0; PAGE as usize];
                let there = visible.saturating_sub(start).min(PAGE) as usize;
                if there > 0 {
                    self.below.read(start, &mut page[..there])?;
                }
                Ok(vacant.insert(page))
            }
        }
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = self.changes();
        let end = offset + out.len() as u64;
        if end > changes.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let there = changes.visible.saturating_sub(offset).min(out.len() as u64) as usize;
        out[there..].fill(0);
        if there > 0 {
            self.below.read(offset, &mut out[..there])?;
        }
        for (number, page) in changes.pages.range(offset / PAGE..end.div_ceil(PAGE)) {
            let start = number * PAGE;
            let (from, to) = (start.max(offset), (start + PAGE).min(end));
            out[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&page[(from - start) as usize..(to - start) as usize]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut changes = self.changes();
        changes.len = len;
        changes.visible = changes.visible.min(len);
        changes.pages.retain(|number, _| number * PAGE < len);
        if let Some(page) = changes.pages.get_mut(&(len / PAGE)) {
            page[(len % PAGE) as usize..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changes = self.changes();
        let end = offset + data.len() as u64;
        for number in offset / PAGE..end.div_ceil(PAGE) {
            let start = number * PAGE;
            let (from, to) = (start.max(offset), (start + PAGE).min(end));
            let page = self.page(&mut changes, number)?;
            page[(from - start) as usize..(to - start) as usize]
                .copy_from_slice(&data[(from - offset) as usize..(to - offset) as usize]);
        }
        changes.len = changes.len.max(end);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.below.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        match self.locks {
            Locks::AsAsked => self.below.try_lock_range(start, end),
            Locks::Shared => self.below.try_lock_shared_range(start, end),
        }
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.below.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        match self.locks {
            Locks::AsAsked => self.below.lock_range(start, end),
            Locks::Shared => self.below.lock_shared_range(start, end),
        }
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.below.query_lock_range(start, end)
    }
}
