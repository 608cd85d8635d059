//! Buffered: how do decisions get to disk that are answered before?
//!
//! They wait in memory, and a thread of the store's writes them, a frame at a time. While it waits for the disk nobody waits for it:
//! the next ones are answered meanwhile. What is being written counts as lost until it is on disk, so that a crash loses
//! no more than was said. Whoever would exceed that is written with all others (group commit).

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use crate::audit::Recorded;
use crate::store::StoreError;
use crate::store::commit::{Answer, Job};
use crate::store::core::{Core, RecordJob};
use crate::store::frame::{Frame, frame_bytes};
use crate::store::inner::Inner;
use crate::store::journal::{MAX_FRAME, RESERVE};
use crate::store::schema::Entry;

/// How many bytes may wait before they are written: half a frame, so that one entry more fits into it.
const MAX_WAITING: usize = MAX_FRAME / 2;

/// From how many bytes on they are written without waiting for their time: while half of what may wait is written, the other half can be
/// answered.
const WRITE_AT: usize = MAX_WAITING / 2;

/// From how many decisions on they are, of a handle that may lose at least twice as many. Fewer are not worth a wait for the disk.
const WRITE_AT_DECISIONS: usize = 64;

/// Puts back what was being written and is not known to be on disk, also after a panic.
struct InFlight<'a>(&'a Inner);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut core = self.0.core();
        core.put_back();
        drop(core);
        self.0.landed.notify_all();
    }
}

impl Inner {
    /// Answers a decision before it is on disk, unless as many as may be lost are waiting already: then it is on disk first.
    pub(super) fn buffer_decision(
        &self,
        job: RecordJob,
        at_most: usize,
    ) -> Result<Recorded, StoreError> {
        self.engine.here()?;
        let job = match self.buffer_decision_at_once(Box::new(job), at_most) {
            Ok(recorded) => return recorded,
            Err(job) => job,
        };
        // What is being written makes room when it is on disk.
        let core = self.core_at_rest();
        if may_wait(&core, at_most) {
            return self.buffer(core, *job, at_most);
        }
        drop(core);
        match self.submit(Job::Decision(job))? {
            Answer::Decided(recorded) => Ok(recorded),
            _ => Err(StoreError::Stopped),
        }
    }

    /// Records a decision before it is written, if that can be done without waiting for the disk; else gives the decision back.
    pub(super) fn buffer_decision_at_once(
        &self,
        job: Box<RecordJob>,
        at_most: usize,
    ) -> Result<Result<Recorded, StoreError>, Box<RecordJob>> {
        if let Err(error) = self.engine.here() {
            return Ok(Err(error));
        }
        // Whoever has it meanwhile waits for no disk, unless it says so.
        let core = match self.is_waiting_for_disk() {
            true => self.try_core(),
            false => Some(self.core()),
        };
        match core.filter(|core| may_wait(core, at_most)) {
            Some(core) => Ok(self.buffer(core, *job, at_most)),
            None => Err(job),
        }
    }

    fn buffer(
        &self,
        mut core: MutexGuard<'_, Core>,
        job: RecordJob,
        at_most: usize,
    ) -> Result<Recorded, StoreError> {
        if core.closed {
            return Err(StoreError::Stopped);
        }
        core.begin();
        let recorded = core.record(job, &self.engine);
        match recorded {
            Ok(_) => core.stand(),
            Err(_) => core.take_back(),
        }
        let (entry, recorded) = recorded?;
        core.unwritten_bytes += frame_bytes(&entry);
        core.unwritten.push(entry);
        let much = core.unwritten_bytes >= WRITE_AT
            || core.unwritten.len() >= (at_most / 2).max(WRITE_AT_DECISIONS);
        let calls = much && !std::mem::replace(&mut core.called, true);
        drop(core);
        if calls {
            self.queue.summon_for_buffered();
        }
        if !self.told_to_write.swap(true, Ordering::AcqRel) {
            self.queue.write_soon();
        }
        Ok(recorded)
    }

    /// Writes what was answered before it was written, since it waited long enough.
    pub(super) fn write_all_buffered(&self) {
        // Whoever answers another from here on says so again.
        self.told_to_write.swap(false, Ordering::AcqRel);
        self.write_buffered();
    }

    /// Writes what was answered before it was written, as long as that is much.
    pub(super) fn write_much_buffered(&self) {
        // Whoever waits for the disk with the store's memory writes what it finds.
        while !self.is_waiting_for_disk() && self.write_next_buffered(u64::MAX) {
            let core = self.core();
            if core.unwritten_bytes < WRITE_AT && core.unwritten.len() < WRITE_AT_DECISIONS {
                break;
            }
        }
    }

    /// Writes what was answered before it was written, and waits until it is on disk. What goes wrong is in `trouble`, and is tried again.
    pub(super) fn write_buffered(&self) {
        let end = self.core().next();
        while self.write_next_buffered(end) {}
    }

    /// Does so if the journal has room for it as it is; returns whether it has.
    pub(super) fn write_what_fits(&self) -> bool {
        let core = self.core_at_rest();
        let fits = core.fits_unwritten() && core.doubtful.is_none();
        drop(core);
        if fits {
            self.write_buffered();
        }
        fits
    }

    /// Writes a frame of what waits, if that begins below `end`; returns whether there may be more.
    fn write_next_buffered(&self, end: u64) -> bool {
        let mut core = self.core_at_rest();
        core.called = false;
        if core.unwritten.first().is_none_or(|first| first.sequence >= end) {
            return false;
        }
        if core.closed || core.doubtful.is_some() {
            // Says why in `trouble`.
            let _ = self.write_frame(&mut core, Vec::new());
            return false;
        }
        let (entries, previous, clock) = (core.take_off(), core.written, core.clock);
        let place = core.journal.next_place();
        drop(core);
        let in_flight = InFlight(self);
        let written = Frame::encode(previous, clock, &*entries)
            .map_err(|error| error.to_string())
            .and_then(|frame| place.write(&frame).map_err(|error| error.to_string()));
        self.trouble().journal = written.as_ref().err().cloned();
        if let Ok(bytes) = written {
            let mut core = self.core();
            core.journal.advance(bytes);
            core.land(entries);
            self.fold_if_much(&core);
        }
        drop(in_flight);
        written.is_ok()
    }
}

/// Whether one more may wait: no more than may be lost, and as much as the journal has room for, besides its reserve, as soon as it is
/// written.
fn may_wait(core: &Core, at_most: usize) -> bool {
    core.in_flight.len() + core.unwritten.len() < at_most
        && core.unwritten_bytes <= MAX_WAITING
        && core.doubtful.is_none()
        && core.journal.has_room(core.in_flight_bytes + MAX_FRAME, RESERVE)
}

impl Core {
    /// How many of those that wait make a frame: half of one, and at least one.
    pub(super) fn next_part(&self) -> usize {
        let mut bytes = 0;
        let part = self.unwritten.iter().take_while(|entry| {
            let fits = bytes <= MAX_WAITING;
            bytes += frame_bytes(entry);
            fits
        });
        part.count()
    }

    /// Whether all that waits fits into the journal as it is.
    pub(super) fn fits_unwritten(&self) -> bool {
        self.journal.has_room(self.unwritten_bytes, 0)
    }

    /// A part of those that waited, and entries after them, are on disk.
    pub(super) fn written_are(&mut self, part: usize, entries: Vec<Entry>) {
        let written = self.unwritten.drain(..part);
        self.unwritten_bytes -= written.as_slice().iter().map(frame_bytes).sum::<usize>();
        self.pending.extend(written);
        self.pending.extend(entries);
        // Whoever finds much waiting from here on calls the thread again.
        self.called = false;
    }

    /// Takes off what makes the next frame.
    fn take_off(&mut self) -> Arc<Vec<Entry>> {
        let part = self.next_part();
        let rest = self.unwritten.split_off(part);
        self.in_flight = Arc::new(std::mem::replace(&mut self.unwritten, rest));
        self.in_flight_bytes = self.in_flight.iter().map(frame_bytes).sum();
        self.unwritten_bytes -= self.in_flight_bytes;
        Arc::clone(&self.in_flight)
    }

    /// What was taken off is on disk.
    fn land(&mut self, entries: Arc<Vec<Entry>>) {
        self.in_flight = Arc::default();
        self.in_flight_bytes = 0;
        self.written = entries.last().map_or(self.written, Entry::leaf);
        self.pending.extend(Arc::unwrap_or_clone(entries));
    }

    /// What was taken off waits again, before all that came since.
    fn put_back(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let mut entries = Arc::unwrap_or_clone(std::mem::take(&mut self.in_flight));
        entries.append(&mut self.unwritten);
        self.unwritten = entries;
        self.unwritten_bytes += std::mem::take(&mut self.in_flight_bytes);
    }
}
