//! Opening: is this a store, whole and the newest there was (recovery from the journal, detection of a rollback)?
//!
//! A store that is opened as something else than it was lets in whom it revoked. So everything that is
//! known twice is compared: the sentinel, the counts, the last record and its hash, the journal's
//! continuation, and the checkpoint beside it, which was signed after all that it signs was on disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use redb::{ReadTransaction, ReadableTable, StorageBackend};

use crate::audit::{Checkpoint, CheckpointSigner, Frontier, LeafHash};
use crate::keys::PrivateKey;
use crate::log;
use crate::revocation::{Epoch, Revocations};
use crate::store::StoreError;
use crate::store::content::Content;
use crate::store::core::{Core, short};
use crate::store::engine::{Engine, Pages};
use crate::store::error::JournalError;
use crate::store::events::EventCount;
use crate::store::inner::Inner;
use crate::store::journal::Journal;
use crate::store::rows::{LOG, Log, TEMPLATES, stored};
use crate::store::schema::{
    ACCEPTED, ACCEPTED_BY_EXPIRY, BACKUP, EVENTS, FORMAT, FORMAT_BEFORE, FORMATS, ID, KEY, META,
    REQUESTS, REVOCATIONS, Rows, SEEN, SEEN_BY_EXPIRY, STATE, State, count_rows, encode, in_force,
    read_revocations, read_state,
};
use crate::store::sealed::Seal;
use crate::store::site::{Memory, Site};
use crate::store::staging::Staging;

/// What a file of redb begins with.
const REDB: &[u8] = b"redb";

/// Makes a new store where nothing is yet but an empty journal. Whatever stops it, the journal tells that the
/// store was not finished (see [`making`](super::making)).
pub(super) fn make(site: Arc<dyn Site>) -> Result<Inner, StoreError> {
    let key = PrivateKey::generate();
    let mut id = [0; 16];
    // A public key is as random as anything.
    id.copy_from_slice(&PrivateKey::generate().public().to_bytes()[..16]);
    let rows = Rows { events: Some(0), requests: Some(0), ..Rows::default() };
    let state = State { epoch: 1, rows, log: Some(Epoch::random()), ..State::default() };
    let failed = |error| StoreError::file(site.path(), error);
    let journal = Journal::make(site.journal().map_err(failed)?, &id);
    let journal = journal.map_err(|error| journal_error(site.path(), error))?;
    site.lay_database(&id, &first_bytes(&id, &key, &state)?).map_err(failed)?;
    let engine = Engine::open(Arc::clone(&site), Pages::Checked)?;
    engine.follow(engine.read(Content::read)?);
    let signer = CheckpointSigner::new(&id, key)?;
    let core = Core::new(journal, Frontier::default(), &state);
    let events = EventCount::new(state.log_epoch(&id), 0);
    let inner = Inner::new(engine, core, Revocations::of_store(), signer, events);
    inner.sign()?;
    let finished = inner.core().journal.finish(&id);
    finished.map_err(failed)?;
    Ok(inner)
}

/// Opens a store that exists.
pub(super) fn open(site: Arc<dyn Site>) -> Result<Inner, StoreError> {
    let path = site.path().map(Path::to_owned);
    let older = "an earlier version made it, and it was not taken over";
    open_unless_older(site)?.ok_or_else(|| StoreError::damaged(path.as_deref(), older))
}

/// Opens a store that exists; `None` if it is to be written and must be [taken over](super::takeover) before.
pub(super) fn open_unless_older(site: Arc<dyn Site>) -> Result<Option<Inner>, StoreError> {
    let path = site.path().map(Path::to_owned);
    let path = path.as_deref();
    let text = site.checkpoint().map_err(|error| StoreError::file(path, error))?;
    let Some(text) = text else { return Err(without_checkpoint(&*site)) };
    let seal = Seal::that_holds(&*site);
    let pages = if seal.is_some() { Pages::Sealed } else { Pages::Checked };
    let engine = Engine::open(Arc::clone(&site), pages)?;
    let Identity { id, key, state, is_older } = engine.read(|reading| identify(reading, path))?;
    if is_older && site.is_written() {
        return Ok(None);
    }
    let content = engine.read(Content::read)?;
    if seal.as_ref().is_some_and(|seal| !seal.is_of(&content)) {
        return Err(StoreError::damaged(path, "it is not what it was when it was closed"));
    }
    engine.follow(content);
    if let Some(path) = path.filter(|path| Staging::beside(path, &id).is_half_moved()) {
        return Err(StoreError::HalfRestored { path: path.to_owned() });
    }
    let signer = CheckpointSigner::new(&id, key)?;
    let checkpoint = Checkpoint::verify(&text, signer.key())
        .map_err(|error| StoreError::damaged(path, format!("of its checkpoint: {error}")))?;
    engine.read(|reading| compare(reading, &state, path))?;

    let journal = open_journal(&*site, &id)?;
    if site.is_written() {
        journal.lock().map_err(|error| journal_error(path, error))?;
    }
    let frames = journal.read(state.records, state.last);
    let frames = frames.map_err(|error| journal_error(path, error))?;
    let frontier = engine.read(|reading| {
        let log = reading.open_table(LOG)?;
        Ok(Frontier::load(state.records, state.last, stored(&log))?)
    })?;
    let mut core = Core::new(journal, frontier, &state);
    core.journal.resume(&frames);
    core.seen = engine.read(read_seen)?;
    let mut heads = Heads::new(&engine, &checkpoint, &state)?;
    for frame in frames {
        core.clock = core.clock.later(frame.clock);
        let in_other = core.journal.is_in_other_segment(&frame);
        for entry in frame.entries {
            core.replay(entry, in_other)?;
            heads.reached(core.frontier.size(), core.frontier.root()?);
        }
    }
    heads.compare(core.frontier.size(), path)?;

    let revocations = Revocations::of_store();
    revocations.add_all(engine.read(read_revocations)?);
    revocations.add_all(in_force(core.unfolded()));
    revocations.forget([], state.forgotten_until);
    let unfolded = core.unfolded().filter(|entry| entry.sequence > state.records);
    let events = state.counted() + unfolded.filter(|entry| entry.is_event()).count() as u64;
    let events = EventCount::new(state.log_epoch(&id), events);
    let inner = Inner::new(engine, core, revocations, signer, events);
    inner.was_sealed.store(seal.is_some(), Ordering::Release);
    let unchecked = seal.map_or(0, |seal| seal.unchecked.saturating_add(1));
    inner.unchecked.store(unchecked, Ordering::Release);
    take_over(&inner)?;
    Ok(Some(inner))
}

/// Has the database take over what the journal holds. Where it cannot be written, as on a full disk, the
/// store is opened all the same: everything is known, and what stops an agent has its room in the journal.
fn take_over(inner: &Inner) -> Result<(), StoreError> {
    match inner.fold_all() {
        Err(StoreError::Engine(_) | StoreError::File { .. })
            if inner.engine.site().is_written() =>
        {
            Ok(())
        }
        folded => folded.map(drop),
    }
}

/// The head that was signed, and whether it was met on the way.
struct Heads<'a> {
    checkpoint: &'a Checkpoint,
    epoch: u64,
    met: Option<[u8; 32]>,
}

impl<'a> Heads<'a> {
    fn new(
        engine: &Engine,
        checkpoint: &'a Checkpoint,
        state: &State,
    ) -> Result<Heads<'a>, StoreError> {
        if checkpoint.size() < state.archived {
            let path = engine.site().path();
            let problem = "its checkpoint is from before records were archived";
            return Err(StoreError::damaged(path, problem));
        }
        let met = match checkpoint.size() <= state.records {
            true => Some(engine.read(|reading| {
                let log = reading.open_table(LOG)?;
                Ok(log::root(checkpoint.size(), stored(&log))?)
            })?),
            false => None,
        };
        Ok(Heads { checkpoint, epoch: state.epoch, met })
    }

    fn reached(&mut self, size: u64, root: [u8; 32]) {
        if size == self.checkpoint.size() {
            self.met = Some(root);
        }
    }

    fn compare(&self, records: u64, path: Option<&Path>) -> Result<(), StoreError> {
        let signed = self.checkpoint.size();
        match self.met {
            _ if self.checkpoint.epoch() > self.epoch => Err(StoreError::damaged(
                path,
                "its checkpoint is of a later epoch: it was restored since this copy was made",
            )),
            Some(root) if root == *self.checkpoint.root() => Ok(()),
            Some(_) => Err(StoreError::damaged(
                path,
                format!("its first {signed} records are not those that its checkpoint signs"),
            )),
            None => {
                let path = path.unwrap_or(Path::new("in memory")).to_owned();
                Err(StoreError::RolledBack { path, records, signed })
            }
        }
    }
}

/// What makes a store this one.
pub(super) struct Identity {
    pub(super) id: [u8; 16],
    pub(super) key: PrivateKey,
    pub(super) state: State,
    /// Whether the database is of the format before this one.
    pub(super) is_older: bool,
}

fn identify(reading: &ReadTransaction, path: Option<&Path>) -> Result<Identity, StoreError> {
    let shown = path.unwrap_or(Path::new("in memory")).to_owned();
    let identity = identity(reading, &shown)?;
    if reading.open_table(META)?.get(BACKUP)?.is_some() {
        return Err(StoreError::Backup { path: shown });
    }
    Ok(identity)
}

/// Whose database this is, a backup or not.
pub(super) fn identity(reading: &ReadTransaction, path: &Path) -> Result<Identity, StoreError> {
    let foreign = || StoreError::Foreign { path: path.to_owned() };
    let meta = reading.open_table(META).map_err(|error| match error {
        redb::TableError::TableDoesNotExist(_) => foreign(),
        error => StoreError::damaged(Some(path), error),
    })?;
    let format = meta.get(FORMAT.0)?.ok_or_else(foreign)?;
    let is_older = format.value() == FORMAT_BEFORE;
    if !is_older && format.value() != FORMAT.1 {
        return Err(newer(format.value(), path).unwrap_or_else(foreign));
    }
    let damaged = || StoreError::damaged(Some(path), "it does not say which store it is");
    let id = meta.get(ID)?.and_then(|id| id.value().try_into().ok()).ok_or_else(damaged)?;
    let seed = meta.get(KEY)?.and_then(|seed| seed.value().try_into().ok());
    let key = PrivateKey::from_bytes(&seed.ok_or_else(damaged)?);
    Ok(Identity { id, key, state: read_state(reading)?, is_older })
}

/// The error of a store that a later version made.
fn newer(format: &[u8], path: &Path) -> Option<StoreError> {
    let number = |format: &[u8]| -> Option<u32> {
        std::str::from_utf8(format.strip_prefix(FORMATS)?).ok()?.parse().ok()
    };
    let (format, reads) = (number(format)?, number(FORMAT.1)?);
    (format > reads).then(|| StoreError::Newer { path: path.to_owned(), format, reads })
}

/// Compares what the state says with what is there.
pub(super) fn compare(
    reading: &ReadTransaction,
    state: &State,
    path: Option<&Path>,
) -> Result<(), StoreError> {
    let damaged = |problem: String| Err(StoreError::damaged(path, problem));
    let rows = count_rows(reading)?;
    if !state.rows.agree_with(&rows) {
        return damaged(format!("it should have {:?} and has {rows:?}", state.rows));
    }
    let last = Log::open(reading)?.last()?;
    let (sequence, hash) =
        last.map_or((0, LeafHash::default()), |(sequence, text)| (sequence, LeafHash::of(&text)));
    if (sequence, hash) != (state.records, state.last) {
        let records = state.records;
        return damaged(format!("it should end with record {records} and ends with {sequence}"));
    }
    Ok(())
}

fn read_seen(
    reading: &ReadTransaction,
) -> Result<std::collections::HashSet<[u8; 16], ahash::RandomState>, StoreError> {
    // Of the two tables the one whose rows are ids alone.
    let table = reading.open_table(SEEN_BY_EXPIRY)?;
    let ids = table.iter()?.map(|row| {
        let (_, id) = row?.0.value();
        Ok(short(&crate::chain::RevocationId::from_bytes(id)))
    });
    ids.collect()
}

/// The bytes of a new store's database.
fn first_bytes(id: &[u8; 16], key: &PrivateKey, state: &State) -> Result<Vec<u8>, StoreError> {
    let memory = Arc::new(Memory::default());
    let engine = Engine::make(memory.clone())?;
    let state = encode(state)?;
    engine.write(|writing| {
        let mut meta = writing.open_table(META)?;
        meta.insert(FORMAT.0, FORMAT.1)?;
        meta.insert(ID, id.as_slice())?;
        meta.insert(KEY, key.seed().as_slice())?;
        meta.insert(STATE, state.as_slice())?;
        writing.open_table(LOG)?;
        writing.open_table(TEMPLATES)?;
        writing.open_table(REVOCATIONS)?;
        writing.open_table(ACCEPTED)?;
        writing.open_table(ACCEPTED_BY_EXPIRY)?;
        writing.open_table(SEEN)?;
        writing.open_table(SEEN_BY_EXPIRY)?;
        writing.open_table(EVENTS)?;
        writing.open_table(REQUESTS)?;
        Ok(())
    })?;
    engine.close();
    let database = memory.database()?;
    let mut bytes = vec![0; database.len()? as usize];
    database.read(0, &mut bytes)?;
    Ok(bytes)
}

pub(super) fn open_journal(site: &dyn Site, id: &[u8; 16]) -> Result<Journal, StoreError> {
    let path = site.path();
    let backend = site.journal().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => missing(path, ".journal"),
        _ => StoreError::file(path, error),
    })?;
    Journal::open(backend, id).map_err(|error| journal_error(path, error))
}

pub(super) fn journal_error(path: Option<&Path>, error: JournalError) -> StoreError {
    match error {
        JournalError::Io(error) => StoreError::file(path, error),
        JournalError::Damaged(problem) => {
            StoreError::damaged(path, format!("of its journal: {problem}"))
        }
        JournalError::InUse => {
            StoreError::InUse { path: path.unwrap_or(Path::new("in memory")).to_owned() }
        }
    }
}

fn missing(path: Option<&Path>, suffix: &str) -> StoreError {
    let path = path.unwrap_or(Path::new("in memory")).to_owned();
    if let Ok(target) = std::fs::read_link(&path) {
        return StoreError::Link { path, target };
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    StoreError::Incomplete { part: format!("{name}{suffix}"), path }
}

/// A file without a checkpoint beside it is a store that lost it, or no store.
fn without_checkpoint(site: &dyn Site) -> StoreError {
    let path = site.path();
    let mut start = [0; REDB.len()];
    let backend = match site.database() {
        Ok(backend) => backend,
        Err(error) => return StoreError::file(path, error),
    };
    match backend.read(0, &mut start) {
        Ok(()) if start == REDB => missing(path, ".checkpoint"),
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            StoreError::file(path, error)
        }
        _ => StoreError::Foreign { path: path.unwrap_or(Path::new("in memory")).to_owned() },
    }
}
