//! `hardtack store`

use std::cell::Cell;
use std::error::Error;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hardtack::log::LogLine;
use hardtack::store::{RecordLoss, Restored, restore};
use hardtack::{Store, StoreError, Timestamp};

use crate::args::{Restore, Store as Arguments, StoreTask};
use crate::command::{close, look_into, open};
use crate::reading::{self, MAX_CHECKPOINT_BYTES};
use crate::terminal::{Done, FAINT, GOOD, TEXT, even_unread, having, now, say, warn};

pub(crate) fn run(arguments: Arguments) -> Done {
    match arguments.task {
        StoreTask::Create { store } => create(&store)?,
        StoreTask::Check { store } => check(&store)?,
        StoreTask::Backup { store, to } => {
            let checkpoint = look_into(&store)?.backup(&to)?;
            let said = say(format_args!(
                "copied {} records to {}; to bring it back: hardtack store restore",
                checkpoint.size(),
                to.display()
            ));
            having(even_unread(said), format_args!("the copy is whole, in {}", to.display()))?;
        }
        StoreTask::Restore(arguments) | StoreTask::Recover(arguments) => bring_back(&arguments)?,
        StoreTask::Archive { store, before, to } => archive(&store, before, &to)?,
        StoreTask::Collect { store, trust_the_clock } => {
            let store = open(&store)?;
            let collected = match trust_the_clock {
                true => store.collect_trusting_the_clock(now()),
                false => store.collect(now()),
            };
            let collected = collected.map_err(|error| {
                format!("{error}; if the clock is right now, say --trust-the-clock")
            })?;
            let said = say(format_args!(
                "forgot {} revocations and {} blocks of chains, all expired",
                collected.revocations, collected.blocks
            ));
            having(even_unread(said), "what expired is forgotten")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn create(path: &Path) -> Result<(), Box<dyn Error>> {
    let store = Store::create(path).map_err(|error| match error {
        StoreError::File { path, source } if source.kind() == ErrorKind::AlreadyExists => format!(
            "{} is there already and was not changed; a new store needs a name that is free",
            path.display()
        )
        .into(),
        error => Box::<dyn Error>::from(error),
    })?;
    let key = store.reader().log_key()?;
    store.close()?;
    having(even_unread(tell_made(path, key)), format_args!("{} is made", path.display()))
}

fn tell_made(path: &Path, log_key: impl std::fmt::Display) -> Result<(), Box<dyn Error>> {
    let name = path.display();
    say(format_args!("{GOOD}made{GOOD:#} {TEXT}a new store; nothing is revoked in it yet"))?;
    say(format_args!("  {name}"))?;
    say(format_args!("  {name}.journal"))?;
    say(format_args!("  {name}.checkpoint"))?;
    say(format_args!("  log key  {TEXT}{log_key}"))?;
    say(format_args!("{FAINT}the three files belong together; keep the log key elsewhere{FAINT:#}"))
}

fn archive(path: &Path, before: Timestamp, folder: &Path) -> Result<(), Box<dyn Error>> {
    let store = open(path)?;
    let (archived, last) = store.archive(before, folder)?;
    let first = store.reader().records(last + 1).next();
    close(&store);
    let folder = folder.display();
    let said = match archived {
        0 => say(format_args!("{}", nothing_archived(first.transpose()?, before)?)),
        records => say(format_args!(
            "archived {records} records, up to record {last}, to {folder}; each file was read back"
        )),
    };
    having(even_unread(said), format_args!("what was archived is in {folder}"))
}

/// Why nothing was archived: records leave a store in their order, and the last one stays.
fn nothing_archived(first: Option<LogLine>, before: Timestamp) -> Result<String, Box<dyn Error>> {
    let Some(line) = first else {
        return Ok("nothing was archived: the store has no record".to_owned());
    };
    let (number, time) = (line.sequence, line.record()?.time);
    Ok(match time < before {
        true => format!("nothing was archived: record {number} is the last one, which stays"),
        false => format!(
            "nothing was archived: record {number}, the first that is not archived, is of {time}, so it and all after it stay; if the clock was ahead then, name a later moment"
        ),
    })
}

fn check(path: &Path) -> Result<(), Box<dyn Error>> {
    let store = look_into(path)?;
    let verified = store.verify()?;
    let (records, checkpoint) = (verified.records, &verified.checkpoint);
    say(format_args!("{GOOD}whole{GOOD:#} {TEXT}{}", path.display()))?;
    say(format_args!("  records      {TEXT}{records}, each continues the one before"))?;
    if let Some((last, folder)) = store.archived()? {
        say(format_args!(
            "  archived     up to record {last}, which was not read here, to {}",
            folder.display()
        ))?;
    }
    say(format_args!("  revocations  {} in force", verified.revocations))?;
    say(format_args!(
        "  checkpoint   signs {} records, epoch {}",
        checkpoint.size(),
        checkpoint.epoch()
    ))?;
    say(format_args!("  root         {TEXT}{}", hex::encode(checkpoint.root())))?;
    say(format_args!("  log key      {TEXT}{}", store.log_key()?))?;
    say(format_args!(
        "{FAINT}keep the log key elsewhere: who can change all files here can sign anew, but not with another key{FAINT:#}"
    ))
}

fn bring_back(arguments: &Restore) -> Result<(), Box<dyn Error>> {
    let read = |path: &Option<PathBuf>, at_most| {
        path.as_deref().map(|path| reading::once(path, at_most)).transpose()
    };
    let tail = arguments.tail.as_deref().map(reading::lines).transpose()?;
    // A line that cannot be read is none of the log, so that nothing is made of what came before it.
    let unread = Cell::new(None);
    let lines = tail.into_iter().flatten().map(|line| {
        line.unwrap_or_else(|error| {
            unread.set(Some(error));
            "what cannot be read".to_owned()
        })
    });
    let checkpoint = read(&arguments.checkpoint, MAX_CHECKPOINT_BYTES)?;
    // What the engine says of a damaged file is contained, and said in our words.
    std::panic::set_hook(Box::new(|_| {}));
    let loss = if arguments.accept_loss { RecordLoss::Accepted } else { RecordLoss::Refused };
    let restored =
        restore(&arguments.from, &arguments.to, lines, checkpoint.as_deref(), loss, now());
    if let (Some(error), Some(path)) = (unread.take(), &arguments.tail) {
        return Err(format!("{}: {error}", path.display()).into());
    }
    let restored = restored?;
    let Restored { records, replayed, revocations, unreadable, accepted_loss, .. } = restored;
    if let Some(problem) = unreadable {
        warn(&format!("not everything could be read: {problem}"));
    }
    let said = say(format_args!(
        "made {}: {records} records, and {replayed} replayed after them; {revocations} revocations in force",
        arguments.to.display()
    ));
    if accepted_loss {
        warn(
            "grants issued up to now are refused from now on; revoke keys and agents again that were revoked since",
        );
    }
    having(even_unread(said), format_args!("{} is made, and whole", arguments.to.display()))
}
