//! Restore: from a backup or a damaged file to a store, by replaying the log.
//!
//! A backup does not know what was revoked after it was made. It becomes a store again together with the records since (an export, or
//! what is left of the damaged store), up to what the last checkpoint signs. Or somebody accepts that the rest may be lost, and then
//! every grant issued so far is refused.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redb::{Builder, Database, ReadableDatabase};

use crate::audit::{
    AuditEvent, AuditRecord, Checkpoint, CheckpointSigner, LeafHash, Restoration, SeenBlock,
};
use crate::keys::PrivateKey;
use crate::profile::{CLOCK_SKEW, Lifetimes};
use crate::revocation::{Epoch, RevocationEntry, covered_until};
use crate::store::StoreError;
use crate::store::applying::keep_state;
use crate::store::archiving;
use crate::store::assembled::{Evidence, Log};
use crate::store::clock::Clock;
use crate::store::engine::Engine;
use crate::store::frame::Frame;
use crate::store::journal::Journal;
use crate::store::opening::{Identity, identity, journal_error, open_journal};
use crate::store::rows::{self, Go, LOG};
use crate::store::schema::{
    ACCEPTED, ACCEPTED_BY_EXPIRY, BACKUP, FORMAT, ID, KEY, META, REVOCATIONS, Rows, SEEN,
    SEEN_BY_EXPIRY, STATE, State, decode, encode, read_revocations, read_state, revocation_row,
};
use crate::store::site::{Files, Site};
use crate::store::staging::Staging;
use crate::timestamp::Timestamp;

/// How many rows of the other tables are written in one transaction.
const COPY_AT_ONCE: usize = 2_000;

/// The memory for pages of a damaged database.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// The choice whether a restoration may lose records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordLoss {
    /// No record may be lost: what is there must reach the last checkpoint.
    Refused,
    /// Records may be lost. Then every grant that was issued up to now is refused, since it may have been revoked. Revocations of keys
    /// and agents' names that are lost must be made again.
    Accepted,
}

/// The result of [`restore`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// The number of records that the backup or damaged store had, whole and in order.
    pub records: u64,
    /// The number of records that were replayed after those.
    pub replayed: u64,
    /// The number of revocations in force.
    pub revocations: u64,
    /// The part of the source that could not be read, in words, if there is one.
    pub unreadable: Option<String>,
    /// Whether records may have been lost. Then every grant issued up to the restoration is refused.
    pub accepted_loss: bool,
}

/// Makes a store at `to` from a backup or a damaged store at `from`, as of `now`. Nothing of `from` is changed. Waits for the disk.
///
/// `tail` are exported records (`hardtack audit --json`, one line each) that go on where `from` ends. `checkpoint` is the text of the
/// last checkpoint that the store is known to have signed. The checkpoint beside `to`, where the lost store was, is looked at too.
///
/// # Errors
///
/// [`StoreError::Restoring`] if records would be lost and `loss` is [`RecordLoss::Refused`]; then no store is made. [`StoreError::File`] if
/// there is one at `to` already.
pub fn restore(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    tail: impl IntoIterator<Item = String>,
    checkpoint: Option<&str>,
    loss: RecordLoss,
    now: Timestamp,
) -> Result<Restored, StoreError> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let source = Original::open(from)?;
    let files = Files::at(to);
    let _alone = files.make_alone()?;
    let staging = Staging::beside(to, &source.identity.id);
    if staging.is_made_at(from) {
        return Err(StoreError::Restoring(format!(
            "{} is what an interrupted restoration made for {}; restore from what that was restored from",
            from.display(),
            to.display()
        )));
    }
    if staging.is_half_moved() {
        staging.move_in().map_err(|error| StoreError::file(Some(to), error))?;
        return restored(to);
    }
    // Of the lost store, its checkpoint and its journal may be there, and are evidence.
    if let Some(existing) = files.existing().iter().find(|part| **part == to) {
        let there = std::io::ErrorKind::AlreadyExists.into();
        return Err(StoreError::file(Some(existing), there));
    }
    let signer = CheckpointSigner::new(
        &source.identity.id,
        PrivateKey::from_bytes(source.identity.key.seed()),
    )?;
    let evidence = source.evidence(&signer, &files, from, checkpoint)?;
    let epoch = evidence.epoch().max(source.identity.state.epoch).checked_add(1);
    let epoch = epoch.ok_or_else(|| beyond_reading(from))?;
    staging.clear();
    let failed = |error| StoreError::file(Some(to), error);
    let made = staging.files().make().map_err(failed).and_then(|()| {
        let engine = begin(&source, staging.files(), epoch)?;
        let log = Log::new(&evidence, &engine);
        let restored = assemble(&source, log, &files, tail, loss, epoch, now, &signer)?;
        staging.move_in().map_err(failed)?;
        Ok(restored)
    });
    if made.is_err() {
        staging.clear();
    }
    made
}

/// Puts the log together in the new database, and what else belongs to it.
#[allow(clippy::too_many_arguments, reason = "the one place where all of them meet")]
fn assemble(
    source: &Original,
    mut log: Log<'_>,
    files: &Files,
    tail: impl IntoIterator<Item = String>,
    loss: RecordLoss,
    epoch: u64,
    now: Timestamp,
    signer: &CheckpointSigner,
) -> Result<Restored, StoreError> {
    let frames = source.frames(files);
    source.begin_after_archived(&mut log)?;
    let unreadable = source.read_into(&mut log);
    log.follow(frames.as_deref().unwrap_or_default());
    log.written()?;
    let records = log.reader.len();
    log.exported = true;
    for line in tail {
        log.replay(&line).or_else(|error| log.written().and(Err(error)))?;
    }
    log.exported = false;
    log.follow(frames.as_deref().unwrap_or_default());
    log.written()?;
    let replayed = log.reader.len() - records;
    // How much there was: what was signed, and what the journal says was acknowledged after it.
    let in_journal = frames.iter().flatten().map(Frame::last).max().unwrap_or(0);
    let known = log.known().map(|signed| signed.max(in_journal));
    let whole = frames.is_ok() && known.is_some_and(|size| log.reader.len() >= size);
    let unreadable = unreadable.or(frames.err());
    if !whole && loss == RecordLoss::Refused {
        return Err(lossy(records + replayed, known, unreadable.as_deref()));
    }

    let accepted_loss = !whole;
    let event = Restoration { epoch, from: records, replayed: records + replayed, accepted_loss };
    log.append(now, event)?;
    log.write()?;
    build(source, &log, now, epoch, accepted_loss, signer)?;
    let revocations = log.reader.in_force().len() as u64;
    Ok(Restored { records, replayed, revocations, unreadable, accepted_loss })
}

/// What came back when a restoration was finished that had been cut off: its last record says it.
fn restored(to: &Path) -> Result<Restored, StoreError> {
    let inner = super::opening::open(Arc::new(super::site::Untouched(Files::at(to))))?;
    let last = inner.engine.read(|reading| {
        let (_, json) = rows::Log::open(reading)?.last()?.ok_or_else(|| beyond_reading(to))?;
        serde_json::from_slice::<AuditRecord>(&json).map_err(|_| beyond_reading(to))
    })?;
    let AuditEvent::Restoration(Restoration { from, replayed, accepted_loss, .. }) = last.event
    else {
        return Err(beyond_reading(to));
    };
    let revocations = inner.engine.read(read_revocations)?.len() as u64;
    let (records, replayed) = (from, replayed - from.min(replayed));
    Ok(Restored { records, replayed, revocations, unreadable: None, accepted_loss })
}

fn lossy(found: u64, signed: Option<u64>, unreadable: Option<&str>) -> StoreError {
    let why = match signed {
        Some(signed) => format!("what is there ends at record {found}, and {signed} were signed"),
        None => format!(
            "what is there ends at record {found}, and without the lost store's last checkpoint it is not known whether that was all"
        ),
    };
    let unreadable = unreadable.map_or(String::new(), |problem| format!(" ({problem})"));
    StoreError::Restoring(format!(
        "{why}{unreadable}; a store without the rest would let in whom it revoked: give the records that follow (--tail) and the last checkpoint (--checkpoint), or say --accept-loss, which refuses every grant issued so far"
    ))
}

/// A database that is read and not changed.
struct Original {
    database: Database,
    identity: Identity,
    is_backup: bool,
    path: PathBuf,
}

impl Original {
    fn open(path: &Path) -> Result<Original, StoreError> {
        let files = Files::at(path);
        let site = super::site::Untouched(files);
        let failed = |error| StoreError::file(Some(path), error);
        let backend = site.database().map_err(failed)?;
        let opened = super::engine::builder(&site).create_with_backend(backend);
        let database = match opened {
            Ok(database) => database,
            Err(error @ redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(StoreError::opening(Some(path), error));
            }
            // A damaged file may still be read in part, if one does not look at all of it first.
            Err(_) => contained(|| {
                let backend = site.database().map_err(failed)?;
                let opened =
                    Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend);
                opened.map_err(|error| StoreError::opening(Some(path), error))
            })
            .unwrap_or_else(|| Err(beyond_reading(path)))?,
        };
        let identity = contained(|| identity(&database.begin_read()?, path));
        let identity = identity.unwrap_or_else(|| Err(beyond_reading(path)))?;
        let is_backup = database.begin_read()?.open_table(META)?.get(BACKUP)?.is_some();
        Ok(Original { database, identity, is_backup, path: path.to_owned() })
    }

    /// What the journals have, whether or not it continues what the database has: the source's own (a
    /// backup has none), and one that a lost store left where the new one is to be.
    fn frames(&self, target: &Files) -> Result<Vec<Frame>, String> {
        let mut sites = Vec::new();
        if !self.is_backup {
            sites.push(Files::at(&self.path));
        }
        if target.has_journal() {
            sites.push(Files::at(target.path().unwrap_or(Path::new(""))));
        }
        let mut frames = Vec::new();
        for files in sites {
            let journal = open_journal(&super::site::Untouched(files), &self.identity.id);
            let found = journal.map_err(|error| error.to_string());
            let found =
                found.and_then(|journal| journal.frames().map_err(|error| error.to_string()))?;
            frames.extend(found);
        }
        frames.sort_by_key(|frame| frame.first);
        Ok(frames)
    }

    /// The checkpoints that say how much there was.
    fn evidence(
        &self,
        signer: &CheckpointSigner,
        target: &Files,
        from: &Path,
        given: Option<&str>,
    ) -> Result<Evidence, StoreError> {
        let verify = |text: &str| Checkpoint::verify(text, signer.key());
        let mut last = given.map(verify).transpose()?;
        let mut sites = vec![target];
        // A backup's own checkpoint says nothing of what came after it.
        let own = Files::at(from);
        if !self.is_backup {
            sites.push(&own);
        }
        for site in sites {
            let text = site.checkpoint().map_err(|error| StoreError::file(site.path(), error))?;
            let Some(text) = text else { continue };
            let checkpoint = verify(&text).map_err(|error| {
                StoreError::Restoring(format!(
                    "the checkpoint beside {}: {error}; if it belongs to another store, take it away",
                    site.path().unwrap_or(from).display()
                ))
            })?;
            // What was signed in a later epoch is later, however much it is.
            let later = |last: &Checkpoint| {
                (checkpoint.epoch(), checkpoint.size()) > (last.epoch(), last.size())
            };
            if last.as_ref().is_none_or(later) {
                last = Some(checkpoint);
            }
        }
        Ok(Evidence { last })
    }

    /// Begins the log after what is archived, without which nothing can be said of the rest.
    fn begin_after_archived(&self, log: &mut Log) -> Result<(), StoreError> {
        let begun = contained(|| log.begin_after_archived(&self.database.begin_read()?));
        begun.unwrap_or_else(|| Err(beyond_reading(&self.path)))
    }

    /// Reads records while they continue the log; says why not all, if so.
    fn read_into(&self, log: &mut Log) -> Option<String> {
        let mut read = || -> Result<(), StoreError> {
            let reading = self.database.begin_read()?;
            // A record that was changed may read well. Taken over, it would make all that was signed wrong.
            rows::Log::open(&reading)?.each(1, |_, _, json| {
                log.push(&json)?;
                Ok(Go::On)
            })
        };
        match contained(&mut read) {
            Some(read) => read.err().map(|error| error.to_string()),
            None => Some(BEYOND_READING.to_owned()),
        }
    }
}

fn beyond_reading(path: &Path) -> StoreError {
    StoreError::Restoring(format!(
        "of {} nothing can be read any more; restore a backup (`hardtack store restore`)",
        path.display()
    ))
}

/// What is said of a file that the engine cannot make sense of.
const BEYOND_READING: &str = "the file is damaged beyond what can be read further";

/// Does what may panic on a damaged file; `None` if it did. redb reports damage as an error only where
/// it has verified the whole file, which cannot be had of a file that is known to be damaged.
fn contained<T>(act: impl FnOnce() -> Result<T, StoreError>) -> Option<Result<T, StoreError>> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)).ok()
}

/// The new database, in which nothing is but whose it is.
fn begin(source: &Original, files: &Files, epoch: u64) -> Result<Engine, StoreError> {
    let Identity { id, key, state, .. } = &source.identity;
    let mut state = State { epoch, records: 0, last: LeafHash::default(), ..state.clone() };
    // Whoever has read the old log begins anew, with one event that nobody can read.
    (state.log, state.events) = (Some(Epoch::random()), 1);
    state.rows = Rows { events: Some(0), requests: Some(0), ..Rows::default() };
    let archived = contained(|| archiving::archived(&source.database.begin_read()?));
    let archived = archived.unwrap_or(Ok(None)).unwrap_or(None);
    let engine = Engine::make(Arc::new(Files::at(files.path().unwrap_or(Path::new("")))))?;
    engine.write(|writing| {
        let mut meta = writing.open_table(META)?;
        meta.insert(FORMAT.0, FORMAT.1)?;
        meta.insert(ID, id.as_slice())?;
        meta.insert(KEY, key.seed().as_slice())?;
        meta.insert(STATE, encode(&state)?.as_slice())?;
        if let Some((_, folder)) = &archived {
            let folder = folder.to_string_lossy();
            meta.insert(archiving::FOLDER, folder.as_bytes())?;
        }
        writing.open_table(LOG)?;
        Ok(())
    })?;
    Ok(engine)
}

/// Writes all of the new store but its records.
fn build(
    source: &Original,
    log: &Log<'_>,
    now: Timestamp,
    epoch: u64,
    accepted_loss: bool,
    signer: &CheckpointSigner,
) -> Result<(), StoreError> {
    let (id, engine) = (&source.identity.id, log.into());
    let mut state = State { log: engine.read(read_state)?.log, ..source.identity.state.clone() };
    let backed_up = state.clock.high_water.unwrap_or(now);
    state.epoch = epoch;
    if accepted_loss {
        // A store that was once told a wrong time can begin anew: every grant so far is refused anyhow.
        state.clock = Clock::default();
    } else {
        state.clock.observe(log.latest);
    }
    state.clock.observe(now);
    state.forgotten_until = state.forgotten_until.max(log.forgotten_until);
    let base = state.clock.base(now);
    if accepted_loss {
        state.forgotten_until = state.forgotten_until.max(Some(covered_until(base)));
    }
    // Call-bound presentations that were accepted after the backup are not known one by one; nor those
    // before, where they cannot be read.
    let accepted = copy_accepted(source, engine)?;
    let since = if accepted { backed_up.min(now) } else { Timestamp::default() };
    let longest_call = Duration::from_secs(state.longest_call_seconds);
    let latest = base + longest_call.max(Lifetimes::default().call) + CLOCK_SKEW;
    state.forgotten_presentations.add_stretch(since, latest);
    copy_seen(source, engine)?;
    (state.records, state.last) = (log.frontier.size(), log.frontier.last());

    let site = engine.site();
    engine.write(|writing| {
        let mut in_force = writing.open_table(REVOCATIONS)?;
        for (sequence, notice) in log.reader.in_force() {
            let entry = RevocationEntry { sequence: *sequence, notice: notice.clone() };
            in_force.insert(sequence, revocation_row(&(&entry).into()).as_slice())?;
        }
        drop(in_force);
        keep_state(writing, &[], &mut state)
    })?;
    let journal = site.journal().map_err(|error| StoreError::file(site.path(), error))?;
    let journal = Journal::make(journal, id);
    let journal = journal.map_err(|error| journal_error(site.path(), error))?;
    journal.finish(id).map_err(|error| StoreError::file(site.path(), error))?;
    let head =
        crate::audit::TreeHead { size: log.frontier.size(), root: log.frontier.root()?, epoch };
    let checkpoint = signer.sign(head)?;
    let kept = site.keep_checkpoint(checkpoint.text());
    // Until everything is there, nobody else may open it.
    engine.close();
    kept.map_err(|error| StoreError::file(site.path(), error))
}

/// Copies the accepted presentations with their expiries; says whether all of them could be read.
fn copy_accepted(source: &Original, engine: &Engine) -> Result<bool, StoreError> {
    let mut after = None;
    loop {
        let read = || {
            let reading = source.database.begin_read()?;
            let table = reading.open_table(ACCEPTED)?;
            let rows = table.range::<[u8; 64]>((beyond(after), Bound::Unbounded))?;
            let rows = rows.take(COPY_AT_ONCE);
            let rows = rows.map(|row| row.map(|(id, expires)| (id.value(), expires.value())));
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        };
        let Some(Ok(some)) = contained(read) else { return Ok(false) };
        after = some.last().map(|(id, _)| *id);
        engine.write(|writing| {
            let mut by_id = writing.open_table(ACCEPTED)?;
            let mut by_expiry = writing.open_table(ACCEPTED_BY_EXPIRY)?;
            for (id, expires) in &some {
                by_id.insert(id, expires)?;
                by_expiry.insert((*expires, *id), ())?;
            }
            Ok(())
        })?;
        if some.is_empty() {
            return Ok(true);
        }
    }
}

/// Copies the blocks of chains that were seen, as many as can be read: they are for looking only.
fn copy_seen(source: &Original, engine: &Engine) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let mut some: Vec<SeenBlock> = Vec::new();
        let read = contained(|| {
            let table = source.database.begin_read()?.open_table(SEEN)?;
            let rows = table.range::<[u8; 64]>((beyond(after), Bound::Unbounded))?;
            for row in rows.take(COPY_AT_ONCE) {
                some.push(decode(row?.1.value(), "block", 0)?);
            }
            Ok(())
        });
        after = some.last().map(|block| *block.id.as_bytes());
        engine.write(|writing| {
            let mut by_id = writing.open_table(SEEN)?;
            let mut by_expiry = writing.open_table(SEEN_BY_EXPIRY)?;
            for block in &some {
                by_id.insert(block.id.as_bytes(), encode(block)?.as_slice())?;
                by_expiry.insert((block.expires.unix_seconds(), *block.id.as_bytes()), ())?;
            }
            Ok(())
        })?;
        if some.is_empty() || !matches!(read, Some(Ok(()))) {
            return Ok(());
        }
    }
}

/// From where a table is read on.
fn beyond(after: Option<[u8; 64]>) -> Bound<[u8; 64]> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}
