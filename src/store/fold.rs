//! Fold: how the database takes over what the journal holds, and the head of the log is signed.
//!
//! In a database's words this is the flush (or checkpoint) of a write-ahead journal; afterwards its segment can be used again. The signed
//! head is the log's checkpoint.

use std::collections::HashSet;
use std::sync::{Arc, MutexGuard};

use crate::audit::{Checkpoint, Frontier, LeafHash, TreeHead};
use crate::chain::RevocationId;
use crate::log;
use crate::revocation::GRACE;
use crate::store::StoreError;
use crate::store::applying::{apply, keep_state, see, sweep};
use crate::store::content::Writing;
use crate::store::core::{Core, TimeSource, short};
use crate::store::inner::Inner;
use crate::store::noticed::Fresh;
use crate::store::rows::{LOG, stored};
use crate::store::schema::{
    ACCEPTED_BY_EXPIRY, Effect, Entry, Rows, State, in_force, read_revocations, read_state,
};
use crate::timestamp::Timestamp;

/// How many records are folded, and signed, without waiting for the second to be over.
pub(super) const FOLD_AT: usize = 1000;

/// How many expired presentations are forgotten in one fold at most, so that folds stay short.
const MAX_SWEEP: usize = 4096;

/// A step of the clock that is worth a commit of its own.
const NOTABLE_STEP_SECONDS: u64 = 60;

impl Inner {
    /// Brings the database up to date and signs the head of the log. After a failure the database is
    /// opened anew and everything is tried again.
    pub(super) fn fold(&self) -> Result<Checkpoint, StoreError> {
        self.engine.here()?;
        let alone = self.folding.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let folded = self.fold_holding(&alone);
        drop(alone);
        self.events.wake();
        folded
    }

    /// Folds, for whoever holds `folding`.
    pub(super) fn fold_holding(
        &self,
        _alone: &MutexGuard<'_, ()>,
    ) -> Result<Checkpoint, StoreError> {
        self.resolve_trouble()?;
        self.note_database(self.fold_entries())?;
        let signed = self.sign();
        self.trouble().checkpoint = signed.as_ref().err().map(ToString::to_string);
        signed
    }

    /// Folds until the journal holds nothing that the database does not have; its frames then begin anew.
    pub(super) fn fold_all(&self) -> Result<Checkpoint, StoreError> {
        // What is answered and unwritten, the segment in use and the other one.
        const PARTS: usize = 3;
        let mut checkpoint = self.fold()?;
        for _ in 1..PARTS {
            if self.core().unfolded().next().is_none() {
                break;
            }
            checkpoint = self.fold()?;
        }
        Ok(checkpoint)
    }

    fn note_database(&self, done: Result<(), StoreError>) -> Result<(), StoreError> {
        self.trouble().database = done.as_ref().err().map(ToString::to_string);
        done
    }

    /// After a failure, what became of it must be known first. What the journal has room for does not wait for the database.
    fn resolve_trouble(&self) -> Result<(), StoreError> {
        let doubtful = self.core().doubtful.is_some();
        if doubtful || self.trouble().database.is_some() {
            self.write_what_fits();
            let opened = self.note_database(self.reopen());
            // What was in doubt may be known now.
            self.write_what_fits();
            opened?;
        }
        Ok(())
    }

    /// Opens the database again. Whatever became of the last write, it must be where the journal goes on.
    fn reopen(&self) -> Result<(), StoreError> {
        // If it can only be read, that tells whether the last write is there.
        let writable = self.engine.open_again();
        let state = match self.engine.read(read_state) {
            Ok(state) => state,
            Err(error) => return writable.and(Err(error)),
        };
        let _waits = self.waits_for_disk();
        let mut core = self.core_at_rest();
        let first = core.unfolded().next().map_or(core.next(), |entry| entry.sequence);
        if core.doubtful.is_none() && state.records > core.frontier.size() {
            let problem = "it has records that were not written here";
            return Err(StoreError::damaged(self.engine.site().path(), problem));
        }
        if state.records + 1 < first {
            let problem = "records between the database and the journal are missing";
            return Err(StoreError::damaged(self.engine.site().path(), problem));
        }
        if let Some(doubtful) = core.doubtful.take() {
            let recorded = self.resolve_doubt(&mut core, &doubtful, state);
            if recorded.is_err() {
                core.doubtful = Some(doubtful);
            }
            return writable.and(recorded);
        }
        writable
    }

    /// A write failed, and nobody was told that anything was done. If it is there nevertheless, it stays:
    /// but what was not synced then must be written again before anybody is told so.
    fn resolve_doubt(
        &self,
        core: &mut Core,
        doubtful: &[Entry],
        mut state: State,
    ) -> Result<(), StoreError> {
        let known = core.frontier.size();
        let landed = doubtful.last().is_some_and(|last| last.sequence <= state.records);
        if !landed {
            return Ok(());
        }
        self.engine.write(|writing| {
            apply(writing, doubtful)?;
            keep_state(writing, doubtful, &mut state)
        })?;
        core.frontier = self.engine.read(|reading| {
            let log = reading.open_table(LOG)?;
            Ok(Frontier::load(state.records, state.last, stored(&log))?)
        })?;
        self.revocations.add_all(self.engine.read(read_revocations)?);
        let added = doubtful.iter().filter(|entry| entry.sequence > known && entry.is_event());
        self.events.add(added.count() as u64);
        core.all_is_folded();
        Ok(())
    }

    fn fold_entries(&self) -> Result<(), StoreError> {
        let known = self.engine.read(read_state)?;
        let swept = self.find_expired()?;
        let Fresh { blocks: noticed, waiting, without_room } = self.noticed_anew();
        // What cannot be written or left now is in `trouble`; what is in the other segment is folded.
        let fits = self.write_what_fits();
        let stray = self.core_at_rest().journal.is_stray();
        let (entries, mut state) = {
            let _waits = (stray || !fits).then(|| self.waits_for_disk());
            let mut core = self.core_at_rest();
            if core.folding.is_empty() && !core.pending.is_empty() && self.switch(&mut core) {
                core.folding = Arc::new(std::mem::take(&mut core.pending));
            }
            if !fits {
                let _ = self.write_frame(&mut core, Vec::new());
            }
            // Forgotten before it is: in between, what expired long ago counts as used.
            swept.iter().for_each(|(expires, _)| core.forgotten_presentations.add(*expires));
            (Arc::clone(&core.folding), self.state(&core))
        };
        state.unseen += without_room;
        if entries.is_empty()
            && swept.is_empty()
            && noticed.is_empty()
            && !worth_writing(&known, &state)
        {
            self.noticed.forget(waiting);
            return Ok(());
        }
        let last = entries.last();
        state.records = last.map_or(known.records, |last| last.sequence);
        state.last = last.map_or(known.last, Entry::leaf);
        self.engine.write(|writing| {
            apply(writing, &entries)?;
            sweep(writing, &swept)?;
            see(writing, &noticed)?;
            keep_state(writing, &entries, &mut state)
        })?;
        let mut core = self.core();
        core.folding = Arc::default();
        core.journal.release();
        core.answered.taken_over(&entries);
        let taken: HashSet<RevocationId> = accepted(&entries).collect();
        core.recent.retain(|id, _| !taken.contains(id));
        core.seen.extend(noticed.iter().map(|block| short(&block.id)));
        // Only now: what is tried again is not counted again.
        core.unseen += without_room;
        self.noticed.forget(waiting);
        Ok(())
    }

    fn switch(&self, core: &mut Core) -> bool {
        let switched = core.journal.switch();
        if let Err(error) = &switched {
            self.trouble().journal = Some(error.to_string());
        }
        switched.unwrap_or(false)
    }

    /// Writes entries straight into the database, with all that waits before them.
    pub(super) fn directly<T>(
        &self,
        now: Timestamp,
        make: impl FnOnce(&mut Core) -> Result<(Vec<Entry>, T), StoreError>,
    ) -> Result<T, StoreError> {
        self.directly_with(Some(now), make, |_| Ok(()), |_| {})
    }

    /// Writes entries straight into the database, with all that waits before them. `more` writes in the same transaction; `then` runs
    /// once that is on disk and before anything else is recorded.
    pub(super) fn directly_with<T>(
        &self,
        now: Option<Timestamp>,
        make: impl FnOnce(&mut Core) -> Result<(Vec<Entry>, T), StoreError>,
        more: impl FnOnce(&Writing<'_>) -> Result<(), StoreError>,
        then: impl FnOnce(&mut Core),
    ) -> Result<T, StoreError> {
        let done = self.directly_alone(now, make, more, then);
        self.events.wake();
        done
    }

    fn directly_alone<T>(
        &self,
        now: Option<Timestamp>,
        make: impl FnOnce(&mut Core) -> Result<(Vec<Entry>, T), StoreError>,
        more: impl FnOnce(&Writing<'_>) -> Result<(), StoreError>,
        then: impl FnOnce(&mut Core),
    ) -> Result<T, StoreError> {
        // What is answered already waits neither for a fold nor for this transaction.
        self.write_what_fits();
        let _alone = self.folding.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.resolve_trouble()?;
        self.write_what_fits();
        let _waits = self.waits_for_disk();
        let mut core = self.core_at_rest();
        let known = core.frontier.size();
        if let Some(now) = now {
            core.observe(now, TimeSource::Clock);
        }
        core.begin();
        let (entries, made) = match make(&mut core) {
            Ok(made) => made,
            Err(error) => {
                core.take_back();
                return Err(error);
            }
        };
        let all: Vec<Entry> = core.unfolded().chain(&entries).cloned().collect();
        let mut state = self.state(&core);
        (state.records, state.last) = (core.frontier.size(), core.frontier.last());
        // Whatever happens in between, a panic included, leaves this in doubt.
        core.doubtful = Some(all.clone());
        let written = self.engine.write(|writing| {
            apply(writing, &all)?;
            more(writing)?;
            keep_state(writing, &all, &mut state)
        });
        if let Err(error) = written {
            core.take_back();
            return self.note_database(Err(error)).map(|()| made);
        }
        core.doubtful = None;
        core.stand();
        self.revocations.add_all(in_force(&all));
        let added = all.iter().filter(|entry| entry.sequence > known && entry.is_event());
        self.events.add(added.count() as u64);
        core.all_is_folded();
        then(&mut core);
        drop(core);
        let signed = self.sign();
        self.trouble().checkpoint = signed.err().map(|error| error.to_string());
        Ok(made)
    }

    /// What the store knows beyond its tables.
    fn state(&self, core: &Core) -> State {
        State {
            epoch: core.epoch,
            records: 0,
            last: LeafHash::default(),
            rows: Rows::default(),
            clock: core.clock,
            forgotten_until: core.forgotten_until,
            forgotten_presentations: core.forgotten_presentations.clone(),
            longest_life_seconds: core.longest_life.max(self.revocations.longest_life()).as_secs(),
            longest_call_seconds: core.longest_call.max(self.revocations.longest_call()).as_secs(),
            unseen: core.unseen,
            events: 0,
            archived: 0,
            log: Some(self.events.epoch()),
        }
    }

    /// Presentations that expired long enough ago, by the latest time that was told.
    fn find_expired(&self) -> Result<Vec<(Timestamp, [u8; 64])>, StoreError> {
        let Some(latest) = self.core().latest else { return Ok(Vec::new()) };
        let before = (latest - GRACE).unix_seconds();
        self.engine.read(|reading| {
            let table = reading.open_table(ACCEPTED_BY_EXPIRY)?;
            let expired = table.range(..(before, [0; 64]))?.take(MAX_SWEEP);
            let expired = expired.map(|row| {
                let (expires, id) = row?.0.value();
                Ok((Timestamp::from_unix_seconds(expires), id))
            });
            expired.collect()
        })
    }

    /// Signs the head of what the database has, unless that is signed already.
    ///
    /// Whoever calls this holds `folding`, or is alone: two at once would be in each other's way.
    pub(super) fn sign(&self) -> Result<Checkpoint, StoreError> {
        let head = self.engine.read(|reading| {
            let state = read_state(reading)?;
            let log = reading.open_table(LOG)?;
            let root = log::root(state.records, stored(&log))?;
            Ok(TreeHead { size: state.records, root, epoch: state.epoch })
        })?;
        let site = self.engine.site();
        let file = |error| StoreError::file(site.path(), error);
        if let Some(text) = site.checkpoint().map_err(file)?
            && let Ok(kept) = Checkpoint::verify(&text, self.signer.key())
            && (kept.size(), kept.root(), kept.epoch()) == (head.size, &head.root, head.epoch)
        {
            return Ok(kept);
        }
        let checkpoint = self.signer.sign(head)?;
        site.keep_checkpoint(checkpoint.text()).map_err(file)?;
        Ok(checkpoint)
    }
}

fn worth_writing(known: &State, state: &State) -> bool {
    let high = |state: &State| state.clock.high_water.map_or(0, Timestamp::unix_seconds);
    known.rows.are_of_older()
        || known.clock.jumped != state.clock.jumped
        || high(known).abs_diff(high(state)) >= NOTABLE_STEP_SECONDS
        || known.longest_life_seconds < state.longest_life_seconds
        || known.longest_call_seconds < state.longest_call_seconds
        || known.unseen < state.unseen
}

fn accepted(entries: &[Entry]) -> impl Iterator<Item = RevocationId> {
    entries.iter().flat_map(|entry| &entry.effects).filter_map(|effect| match effect {
        Effect::Accept { id, .. } => Some(*id),
        _ => None,
    })
}
