//! Commit: how callers' jobs come to be on disk. This is group commit with a leader.
//!
//! A caller who finds nobody writing is the leader: it takes all that waits, writes it in one frame and answers. Callers who come
//! meanwhile wait for the next frame. So one caller has the latency of one write, and many have the throughput of many, without a thread
//! between them. For callers that must not wait, as on the threads of an asynchronous runtime, a thread of the store's leads.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::MutexGuard;
use std::sync::mpsc;
use std::time::Duration;

use crate::audit::{Claim, Decision, Recorded, SingleUse};
use crate::revocation::Receipt;
use crate::store::StoreError;
use crate::store::core::{Core, RecordJob, Revoke, TimeSource};
use crate::store::frame::{Frame, frame_bytes};
use crate::store::inner::Inner;
use crate::store::journal::{MAX_FRAME, RESERVE};
use crate::store::queue::{Heard, Leading, Reply, Turn, Waiting};
use crate::store::schema::{Effect, Entry, in_force};
use crate::timestamp::Timestamp;

/// The most jobs in one frame: beyond this a frame gains no throughput and only latency.
const MAX_BATCH: usize = 256;

/// How often room is made for one frame, while others take it.
const MAX_FOLDS: usize = 64;

/// More revocations than this at once go into the database in one transaction instead of a frame, which
/// has no room for thousands.
const BULK: usize = 64;

/// Where only revocations may be written: so much must be left for a decision that allows one, so that its
/// revocation finds room, too. Names and reasons are bounded; a decision takes 1 to 3 KiB, a revocation less.
const DECISION_AND_REVOCATION: usize = 16 * 1024;

/// How long the thread that writes for others gathers more when there was more than one job the last time: a
/// write costs as much for twenty as for one, and takes about as long as this.
const GATHERING: Duration = Duration::from_micros(150);

/// What a caller hands over.
#[derive(Debug)]
pub(super) enum Job {
    Decision(Box<RecordJob>),
    Revoke(Revoke),
    /// Decisions that stand together, and use nothing up.
    Record {
        decisions: Vec<Decision>,
        source: TimeSource,
    },
    /// A presentation that is used up by a decision which is recorded elsewhere.
    Claim {
        once: SingleUse,
        now: Timestamp,
        source: TimeSource,
    },
}

impl Job {
    /// Whether it goes straight into the database, since a frame has no room for it.
    fn is_bulk(&self) -> bool {
        match self {
            Job::Decision(_) => false,
            Job::Revoke(revoke) => revoke.revoking.len() > BULK,
            Job::Record { .. } | Job::Claim { .. } => true,
        }
    }
}

/// What it comes to.
#[derive(Debug)]
pub(super) enum Answer {
    Decided(Recorded),
    Revoked(Vec<Receipt>),
    /// From this number on.
    Recorded(u64),
    Claimed(Claim),
}

/// Whether a frame of decisions can be written.
pub(super) fn has_room(core: &Core) -> bool {
    core.journal.has_room(MAX_FRAME, RESERVE) && core.doubtful.is_none()
}

impl Inner {
    /// Hands over a job and waits until it is on disk.
    pub(super) fn submit(&self, job: Job) -> Result<Answer, StoreError> {
        self.engine.here()?;
        // An answer and a call to lead, at most.
        let (word, heard) = mpsc::sync_channel(2);
        let leads = {
            let mut waiters = self.queue.waiters();
            if waiters.closed {
                return Err(StoreError::Stopped);
            }
            waiters.waiting.push_back(Waiting { job, reply: Reply::Waits(word) });
            !std::mem::replace(&mut waiters.led, true)
        };
        if leads {
            let _ = self.lead();
        }
        loop {
            match heard.recv() {
                Ok(Heard::Lead) => drop(self.lead()),
                Ok(Heard::Done(answer)) => return answer,
                Err(_) => return Err(StoreError::Stopped),
            }
        }
    }

    /// Hands over a job and does not wait: `done` is called when it is on disk, by whoever wrote it.
    pub(super) fn submit_later(
        &self,
        job: Job,
        done: impl FnOnce(Result<Answer, StoreError>) + Send + 'static,
    ) {
        if let Err(error) = self.engine.here() {
            return done(Err(error));
        }
        let mut waiters = self.queue.waiters();
        if waiters.closed {
            drop(waiters);
            return done(Err(StoreError::Stopped));
        }
        waiters.waiting.push_back(Waiting { job, reply: Reply::Told(Box::new(done)) });
        if !std::mem::replace(&mut waiters.led, true) {
            self.queue.summon(&mut waiters);
        }
    }

    /// The thread that writes for those who do not wait.
    pub(super) fn run_commits(&self) {
        let mut jobs = 0;
        loop {
            // Those whose jobs a panic took with it hear that nothing came of them; the others go on.
            match self.queue.turn() {
                Turn::Lead => {
                    if jobs > 1 {
                        std::thread::sleep(GATHERING);
                    }
                    jobs = catch_unwind(AssertUnwindSafe(|| self.lead())).unwrap_or(0);
                }
                Turn::WriteMuch => {
                    let _ = catch_unwind(AssertUnwindSafe(|| self.write_much_buffered()));
                }
                Turn::WriteAll => {
                    let _ = catch_unwind(AssertUnwindSafe(|| self.write_all_buffered()));
                }
                Turn::End => return,
            }
        }
    }

    /// Leads a group commit: writes what waits; returns how many jobs that were.
    fn lead(&self) -> usize {
        let jobs = self.write_what_waits();
        // Whoever is woken may look into the store, and hand over a job.
        self.events.wake();
        jobs
    }

    fn write_what_waits(&self) -> usize {
        let _leading = Leading(&self.queue);
        let mut batch: VecDeque<Waiting> = {
            let mut waiters = self.queue.waiters();
            let some = waiters.waiting.len().min(MAX_BATCH);
            waiters.waiting.drain(..some).collect()
        };
        let jobs = batch.len();
        while let Some(first) = batch.front() {
            match first.job {
                Job::Claim { .. } => self.claim(&mut batch),
                _ if first.job.is_bulk() => self.commit_bulk(&mut batch),
                _ => self.commit(&mut batch),
            }
        }
        jobs
    }

    /// Commits as many jobs as fit into one frame.
    pub(super) fn commit(&self, batch: &mut VecDeque<Waiting>) {
        let _waits = self.waits_for_disk();
        let (mut core, short_of_room) = self.core_for_frame();
        let known = core.frontier.size();
        core.begin();
        let mut entries = Vec::new();
        let mut answers: Vec<(Reply, Result<Answer, StoreError>)> = Vec::new();
        let mut bytes = core.unwritten_bytes;
        let mut fresh = HashMap::new();
        while let Some(next) = batch.front() {
            // Where room is short, each is written for itself: what no longer fits takes nothing else with it.
            let is_full = bytes > MAX_FRAME / 2 || short_of_room.is_some();
            if next.job.is_bulk() || (!answers.is_empty() && is_full) {
                break;
            }
            let Some(Waiting { job, reply }) = batch.pop_front() else { break };
            let answer = match (job, &short_of_room) {
                (Job::Decision(record), Some(problem))
                    if !record.entry.allows_revocation()
                        || !core.journal.has_room(DECISION_AND_REVOCATION, 0) =>
                {
                    Err(StoreError::Engine(problem.clone()))
                }
                (Job::Decision(mut record), short_of_room) => {
                    if short_of_room.is_some() {
                        // That its chain was seen takes much room, and will be noted the next time.
                        record.entry.leave_out_chain();
                    }
                    core.record(*record, &self.engine).map(|(entry, recorded)| {
                        bytes += frame_bytes(&entry);
                        entries.push(entry);
                        Answer::Decided(recorded)
                    })
                }
                (Job::Revoke(revoke), _) => {
                    let made =
                        core.revoke_all(&revoke, &self.revocations, &mut fresh, &self.engine);
                    made.map(|(made, receipts)| {
                        bytes += made.iter().map(frame_bytes).sum::<usize>();
                        entries.extend(made);
                        Answer::Revoked(receipts)
                    })
                }
                // Not reached: these are written for themselves.
                (Job::Record { .. } | Job::Claim { .. }, _) => Err(StoreError::Stopped),
            };
            answers.push((reply, answer));
        }
        let written = self.write_frame(&mut core, entries);
        drop(core);
        for (reply, answer) in answers {
            let answer = match (&written, answer) {
                (Ok(()), answer) => answer,
                // What was in force before still is.
                (Err(_), Ok(Answer::Revoked(receipts)))
                    if receipts.iter().all(|receipt| receipt.sequence() <= known) =>
                {
                    Ok(Answer::Revoked(receipts))
                }
                (Err(problem), answer) => answer.and(Err(StoreError::Engine(problem.clone()))),
            };
            reply.answer(answer);
        }
    }

    /// Writes what is answered and unwritten, and these entries, which were recorded since [`Core::begin`]. If that fails, they
    /// never were. Nothing else is being written: `core` is [at rest](Inner::core_at_rest).
    pub(super) fn write_frame(&self, core: &mut Core, entries: Vec<Entry>) -> Result<(), String> {
        let part = core.unwritten.len();
        self.write_part(core, part, entries)
    }

    /// Writes as many of those that are unwritten; and the entries, which come after all of them.
    pub(super) fn write_part(
        &self,
        core: &mut Core,
        part: usize,
        entries: Vec<Entry>,
    ) -> Result<(), String> {
        let all = || core.unwritten[..part].iter().chain(&entries);
        let Some(last) = all().last().map(Entry::leaf) else {
            core.stand();
            return Ok(());
        };
        let frame = Frame::encode(core.written, core.clock, all());
        let newer = all().flat_map(|entry| &entry.effects).any(Effect::is_newer);
        let revoked = in_force(all()).collect::<Vec<_>>();
        let appended = frame.map_err(|error| error.to_string()).and_then(|frame| {
            if core.closed {
                return Err("the store is closed".to_owned());
            }
            if core.doubtful.is_some() {
                return Err("it is not known what the database has".to_owned());
            }
            if !core.journal.fits(frame.len()) {
                return Err("the journal is full".to_owned());
            }
            let journal = &mut core.journal;
            let marked = match newer {
                true => journal.refuse_older_readers(),
                false => Ok(()),
            };
            marked.and_then(|()| journal.append(&frame)).map_err(|error| error.to_string())
        });
        self.trouble().journal = appended.clone().err();
        match appended {
            Ok(()) => {
                core.stand();
                self.revocations.add_all(revoked);
                core.written = last;
                let added = entries.iter().filter(|entry| entry.is_event()).count();
                self.events.add(added as u64);
                core.written_are(part, entries);
                self.fold_if_much(core);
                Ok(())
            }
            Err(problem) => {
                core.take_back();
                Err(problem)
            }
        }
    }

    /// Has the database take over what the journal holds, if that is much.
    pub(super) fn fold_if_much(&self, core: &Core) {
        let much = core.pending.len() >= crate::store::fold::FOLD_AT || core.journal.is_filling();
        // What does not work is tried every second, and not for every frame.
        if much && self.trouble().database.is_none() {
            self.wake();
        }
    }

    /// The store's memory, with room for a frame of what waits unwritten and one more entry; or with the reason why there is only
    /// room for revocations. Where more waits than half a frame, it is written first: a frame above its bound
    /// would take of the reserve.
    fn core_for_frame(&self) -> (MutexGuard<'_, Core>, Option<String>) {
        loop {
            let (mut core, short_of_room) = self.core_with_room();
            if core.unwritten_bytes <= MAX_FRAME / 2 {
                return (core, short_of_room);
            }
            let part = core.next_part();
            if let Err(problem) = self.write_part(&mut core, part, Vec::new()) {
                return (core, Some(problem));
            }
        }
    }

    /// The store's memory at rest, with room for a frame in the journal; or with the reason why there is only
    /// room for revocations.
    pub(super) fn core_with_room(&self) -> (MutexGuard<'_, Core>, Option<String>) {
        let mut folded = Ok(());
        for _ in 0..MAX_FOLDS {
            let core = self.core_at_rest();
            let in_doubt = core.doubtful.is_some();
            if has_room(&core) {
                return (core, None);
            }
            if folded.is_err() {
                break;
            }
            drop(core);
            // What does not work is tried every second, and not for every frame.
            if let Some(problem) = self.trouble().database.clone().filter(|_| !in_doubt) {
                folded = Err(StoreError::Engine(problem));
                break;
            }
            folded = self.make_room();
        }
        let problem = folded.err().map_or("it is too slow".to_owned(), |error| error.to_string());
        let core = self.core_at_rest();
        let why = match core.doubtful {
            Some(_) => "a write failed, and it is not known yet whether it is there nevertheless",
            None => "the journal is full, and the database does not take it over",
        };
        let problem = format!("{why}: {problem}");
        (core, Some(problem))
    }

    /// Folds to make room in the journal, unless somebody else did meanwhile: what is made for one is for all who wait for it.
    fn make_room(&self) -> Result<(), StoreError> {
        self.engine.here()?;
        let alone = self.folding.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if has_room(&self.core()) {
            return Ok(());
        }
        let folded = self.fold_holding(&alone);
        drop(alone);
        self.events.wake();
        folded.map(drop)
    }
}
