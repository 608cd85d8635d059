//! Events: the log of revocations, as whoever follows reads it (a change feed, with long polling).
//!
//! Each revocation and each forgetting is a record, and has a number among its kind. The database has which record that is; those that are
//! in the journal alone follow in their order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redb::{ReadTransaction, ReadableTable};

use crate::audit::{AuditEvent, AuditRecord, Collection};
use crate::pending::{Giver, Promised, promise};
use crate::revocation::{Change, Epoch, Event, Events, Position, RevocationEntry};
use crate::store::StoreError;
use crate::store::inner::Inner;
use crate::store::rows::Log;
use crate::store::schema::{decode, events_of, read_state};

/// How many events are read at a time.
const READ_AT_ONCE: usize = 1000;

/// How many events there are, and who waits for more.
#[derive(Debug)]
pub(super) struct EventCount {
    epoch: Epoch,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    waiters: Vec<Waiter>,
    /// Nothing more will come, and nobody is left to say so.
    is_closed: bool,
}

#[derive(Debug)]
struct Waiter {
    /// It waits for what comes after the event of this number.
    after: u64,
    /// Until when it waits at most.
    ends: Instant,
    giver: Giver<()>,
}

impl EventCount {
    pub(super) fn new(epoch: Epoch, number: u64) -> EventCount {
        EventCount {
            epoch,
            waiting: Mutex::new(Waiting { number, waiters: Vec::new(), is_closed: false }),
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn head(&self) -> Position {
        Position { epoch: self.epoch, number: self.waiting().number }
    }

    /// So many more are on disk. Nobody is woken yet: whoever is may look into the store at once, and the caller holds its locks. The
    /// caller calls [`EventCount::wake`] once it holds none.
    pub(super) fn add(&self, events: u64) {
        self.waiting().number += events;
    }

    /// Wakes whoever waits for what is there by now.
    pub(super) fn wake(&self) {
        self.wake_those(|_| false);
    }

    /// Waits for what comes after a position, until a moment of the machine's.
    #[allow(clippy::disallowed_methods, reason = "how long a wait takes, not what time it is")]
    pub(super) fn wait(&self, after: Position, at_most: Duration) -> Promised<()> {
        let (giver, promised) = promise();
        let mut waiting = self.waiting();
        let ends = Instant::now().checked_add(at_most);
        let is_head = after == Position { epoch: self.epoch, number: waiting.number };
        match ends.filter(|_| is_head && !waiting.is_closed) {
            Some(ends) => {
                let after = after.number;
                waiting.waiters.push(Waiter { after, ends, giver });
            }
            None => {
                drop(waiting);
                giver.give(());
            }
        }
        promised
    }

    /// Wakes whoever has waited long enough, and whoever a panic has kept from being woken.
    pub(super) fn tick(&self, now: Instant) {
        self.wake_those(|ends| ends <= now);
    }

    /// Wakes those for whom there is something, and those whose time is over. They are taken out under the lock and woken without it.
    fn wake_those(&self, is_over: impl Fn(Instant) -> bool) {
        let woken: Vec<Waiter> = {
            let mut waiting = self.waiting();
            let number = waiting.number;
            waiting
                .waiters
                .extract_if(.., |waiter| waiter.after < number || is_over(waiter.ends))
                .collect()
        };
        for waiter in woken {
            // A panic of whoever is woken is not the writer's, nor that of the thread that ends waits.
            let _ = catch_unwind(AssertUnwindSafe(|| waiter.giver.give(())));
        }
    }

    /// Wakes everybody: nothing more will come.
    pub(super) fn close(&self) {
        let waiting = {
            let mut waiting = self.waiting();
            waiting.is_closed = true;
            std::mem::take(&mut waiting.waiters)
        };
        for waiter in waiting {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(waiter)));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The events after a position.
    pub(super) fn events_after(
        self: &Arc<Self>,
        after: Position,
        at_most: usize,
    ) -> Result<Events, StoreError> {
        self.engine.here()?;
        if self.is_stopped() {
            return Err(StoreError::Stopped);
        }
        let head = self.events.head();
        if after.epoch != head.epoch || after.number > head.number {
            return Ok(Events::Gone);
        }
        let at_most = at_most.clamp(1, READ_AT_ONCE);
        // Before the database is looked at: what is taken over meanwhile is in both.
        let newer: Vec<(u64, Vec<u8>)> = {
            let core = self.core();
            let newer = core.folding.iter().chain(&core.pending);
            newer
                .filter(|entry| entry.is_event())
                .map(|entry| (entry.sequence, entry.json.clone()))
                .collect()
        };
        let first = after.number + 1;
        self.engine.read(|reading| {
            let state = read_state(reading)?;
            let table = events_of(reading, &state)?;
            let oldest = match &table {
                Some(table) => table.first()?.map(|(number, _)| number.value()),
                None => None,
            };
            let counted = state.counted();
            if first < oldest.unwrap_or(counted + 1) {
                return Ok(Events::Gone);
            }
            let mut events = Vec::new();
            if let Some(table) = &table
                && first <= counted
            {
                let log = Log::open(reading)?;
                // The run in which the first one stands, and those after it.
                let begins = table.range(..=first)?.next_back().transpose()?;
                let begins = begins.map_or(first, |(number, _)| number.value());
                let mut runs = Vec::new();
                for run in table.range(begins..)?.take(at_most + 1) {
                    let (number, sequence) = run?;
                    runs.push((number.value(), sequence.value()));
                }
                let ends = runs.iter().skip(1).map(|(number, _)| *number);
                let ends = ends.chain([counted + 1]);
                let runs = runs.iter().take(at_most).zip(ends);
                let numbers = runs.flat_map(|((number, sequence), end)| {
                    (*number..end).map(move |each| (each, sequence + (each - number)))
                });
                for (number, sequence) in
                    numbers.skip_while(|(number, _)| *number < first).take(at_most)
                {
                    let missing = StoreError::Unreadable { what: "record", number: sequence };
                    let json = log.unchanged(sequence)?.ok_or(missing)?;
                    events.push(event(number, sequence, &json)?);
                }
            }
            let newer = newer.iter().filter(|(sequence, _)| *sequence > state.records);
            let newer = (counted + 1..).zip(newer).filter(|(number, _)| *number >= first);
            for (number, (sequence, json)) in newer.take(at_most - events.len()) {
                events.push(event(number, *sequence, json)?);
            }
            Ok(Events::Next(events))
        })
    }
}

/// Whether a record is an event of the log of revocations.
pub(super) fn is_event(record: &AuditRecord) -> bool {
    match &record.event {
        AuditEvent::Revocation(_) => true,
        AuditEvent::Collection(collection) => !collection.revocations.is_empty(),
        _ => false,
    }
}

/// Whether the events that can be read are the last of these records, which are all that are events.
pub(super) fn are_events(reading: &ReadTransaction, records: &[u64]) -> Result<bool, StoreError> {
    let state = read_state(reading)?;
    let Some(table) = events_of(reading, &state)? else { return Ok(true) };
    let mut runs = Vec::new();
    for run in table.iter()? {
        let (number, sequence) = run?;
        runs.push((number.value(), sequence.value()));
    }
    let ends = runs.iter().skip(1).map(|(number, _)| *number).chain([state.events + 1]);
    let numbers = runs.iter().zip(ends);
    let listed: Vec<u64> = numbers
        .flat_map(|((number, sequence), end)| {
            (0..end.saturating_sub(*number)).map(move |n| sequence + n)
        })
        .take(records.len() + 1)
        .collect();
    Ok(records.ends_with(&listed))
}

fn event(number: u64, sequence: u64, json: &[u8]) -> Result<Event, StoreError> {
    let record: AuditRecord = decode(json, "record", sequence)?;
    Ok(Event::new(
        number,
        match record.event {
            AuditEvent::Revocation(notice) => Change::Revoked(RevocationEntry { sequence, notice }),
            AuditEvent::Collection(Collection { revocations, forgotten_until, .. }) => {
                Change::Forgotten { sequences: revocations, until: forgotten_until }
            }
            _ => return Err(StoreError::Unreadable { what: "event", number }),
        },
    ))
}
