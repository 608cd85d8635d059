//! `hardtack audit`

mod archived;
mod filter;
mod ocsf;
mod paging;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use hardtack::audit::{AuditEvent, Checkpoint, InclusionProof, LogKey, LogReader, Verdict};
use hardtack::store::LogLine;
use hardtack::{AuditRecord, Decision, Revocation, StoreError};

use crate::args::{Audit, AuditListing, AuditTask, AuditVerify};
use crate::command::audit::archived::Source;
use crate::command::audit::filter::Filter;
use crate::command::audit::ocsf::ocsf;
use crate::command::look_into;
use crate::output::{self, OutputError};
use crate::reading::{self, MAX_CHECKPOINT_BYTES};
use crate::terminal::{
    BAD, Done, FAINT, GOOD, NAME, TEXT, WARN, say, say_exactly, say_json, short,
};

/// How often `--follow` looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The most bytes read as a proof: a record of some kilobytes and a path of 64 hashes.
const MAX_PROOF_BYTES: u64 = 1024 * 1024;

pub(crate) fn run(arguments: Audit) -> Done {
    match arguments.task {
        None => list(&arguments.listing)?,
        Some(AuditTask::Verify(arguments)) => verify(&arguments)?,
        Some(AuditTask::Prove { sequence, store, archives }) => {
            let source = Source::of(&store, archives.as_deref());
            say_exactly(prove(&source, sequence)?.to_string().trim_end())?;
        }
        Some(AuditTask::CheckProof { key }) => check_proof(&key)?,
        Some(AuditTask::Key { store }) => say(look_into(store)?.log_key()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(arguments: &AuditListing) -> Result<(), Box<dyn Error>> {
    let path = arguments.store.as_deref().ok_or("say which store: --store FILE")?;
    let filter = Filter {
        subject: arguments.subject.clone(),
        agent: arguments.agent.clone(),
        operation: arguments.operation.clone(),
        verdict: arguments.verdict,
        since: arguments.since,
        until: arguments.until,
    };
    let show = |line: &LogLine, record: &AuditRecord| show(arguments, line, record);
    let source = Source::of(path, arguments.archives.as_deref());
    let seen = written(path);
    let mut next = match (arguments.last, arguments.since_record, arguments.follow) {
        (Some(last), _, _) => paging::last(&source, &filter, last, show)?,
        // Only whoever asks for the past gets it.
        (None, None, true) if arguments.since.is_none() => look_into(path)?.last_record()? + 1,
        (None, first, _) => paging::from(&source, &filter, first.unwrap_or(1), show)?,
    };
    if arguments.follow {
        follow(&source, &filter, &mut next, seen, show)?;
    }
    Ok(())
}

fn prove(source: &Source, sequence: u64) -> Result<InclusionProof, Box<dyn Error>> {
    let store = look_into(&source.store)?;
    match store.prove(sequence) {
        Err(StoreError::InArchive { .. }) => {
            let (folder, first) = source.archives(&store)?;
            if first.is_none_or(|first| sequence < first) {
                return Err(format!(
                    "record {sequence} is archived, and its file is not in {}; give the folder that has it (--archives DIR)",
                    folder.display()
                )
                .into());
            }
            Ok(store.prove_archived(sequence, folder)?)
        }
        proof => Ok(proof?),
    }
}

/// Goes on with what is recorded from the record `next` on, until whoever reads it has gone.
fn follow(
    source: &Source,
    filter: &Filter,
    next: &mut u64,
    mut seen: Option<SystemTime>,
    show: impl Fn(&LogLine, &AuditRecord) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let path = &source.store;
    loop {
        while written(path) == seen {
            if output::reader_leaves_within(LOOK_EVERY) {
                return Err(OutputError::ReaderGone.into());
            }
        }
        // Opened anew when something was written, and closed in between: whoever writes to the store
        // must be able to open it.
        seen = written(path);
        *next = paging::from(source, filter, *next, &show)?;
    }
}

/// When the checkpoint was written last, which follows every record within a second.
fn written(path: &Path) -> Option<SystemTime> {
    let mut checkpoint = path.as_os_str().to_owned();
    checkpoint.push(".checkpoint");
    fs::metadata(checkpoint).and_then(|checkpoint| checkpoint.modified()).ok()
}

fn show(
    arguments: &AuditListing,
    line: &LogLine,
    record: &AuditRecord,
) -> Result<(), Box<dyn Error>> {
    match (arguments.json, arguments.ocsf) {
        (true, _) => say_exactly(&line.json),
        (false, true) => say_json(ocsf(record)),
        (false, false) => print(record),
    }
}

fn verify(arguments: &AuditVerify) -> Result<(), Box<dyn Error>> {
    let key = arguments.key.as_deref().map(str::parse::<LogKey>).transpose()?;
    let kept = arguments.checkpoint.as_deref().map(read).transpose()?;
    let (first, records, checkpoint) = match (&arguments.store, &arguments.records, key, kept) {
        (Some(store), _, key, kept) => {
            let source = Source::of(store, arguments.archives.as_deref());
            let store = look_into(store)?;
            let own = store.log_key()?;
            if key.is_some_and(|key| key != own) {
                return Err(format!("the store's log key is {own}, not the one given").into());
            }
            archived::verify(&source, &store, kept.as_deref())?
        }
        (None, Some(records), Some(key), Some(text)) => {
            let checkpoint = Checkpoint::verify(&text, &key)?;
            let lines = reading::lines(records)?;
            (1, read_log(lines.map(|line| Ok(line?)), &checkpoint)?, checkpoint)
        }
        _ => return Err("give --store, or --records with --checkpoint and --key".into()),
    };
    let signed = checkpoint.size();
    if first > 1 {
        say(format_args!(
            "{WARN}not read {WARN:#} {TEXT}records 1 to {}: they are archived, and their files are not here; give the folder that has them (--archives DIR)",
            first - 1
        ))?;
        say(format_args!(
            "{GOOD}unchanged{GOOD:#} {TEXT}records {first} to {signed}: each continues the one before, and the tree of all is what was signed"
        ))?;
    } else {
        say(format_args!(
            "{GOOD}unchanged{GOOD:#} {TEXT}{signed} records, each continues the one before, and their tree is what was signed"
        ))?;
    }
    if records > signed {
        say(format_args!(
            "{WARN}unsigned{WARN:#} {TEXT}{} more records continue them, and no checkpoint signs those yet",
            records - signed
        ))?;
    }
    say(format_args!("{FAINT}root {TEXT}{}{FAINT:#}", hex::encode(checkpoint.root())))
}

fn read_log(
    lines: impl Iterator<Item = Result<String, Box<dyn Error>>>,
    checkpoint: &Checkpoint,
) -> Result<u64, Box<dyn Error>> {
    let mut reader = LogReader::expecting(checkpoint);
    for line in lines {
        reader.next(line?.as_bytes())?;
    }
    reader.finish()?;
    Ok(reader.len())
}

fn read(path: &Path) -> Result<String, Box<dyn Error>> {
    reading::once(path, MAX_CHECKPOINT_BYTES)
}

fn check_proof(key: &str) -> Result<(), Box<dyn Error>> {
    use std::io::Read;
    let mut text = String::new();
    std::io::stdin().take(MAX_PROOF_BYTES).read_to_string(&mut text)?;
    // The empty line at its end belongs to the note.
    let text = format!("{}\n", text.trim_end());
    let (record, checkpoint) = InclusionProof::verify(&text, &key.parse()?)?;
    say(format_args!(
        "{GOOD}proven{GOOD:#} {TEXT}record {} is in the log {FAINT}({} records, epoch {}){FAINT:#}",
        record.sequence,
        checkpoint.size(),
        checkpoint.epoch()
    ))?;
    print(&record)
}

/// One record on two lines: what happened, and through or by whom.
pub(crate) fn print(record: &AuditRecord) -> Result<(), Box<dyn Error>> {
    let AuditRecord { sequence, time, .. } = record;
    let start = format!("{sequence:>4} {TEXT}{FAINT}{time}{FAINT:#}");
    match &record.event {
        AuditEvent::Decision(decision) => print_decision(&start, decision),
        AuditEvent::Revocation(notice) => {
            let what = match &notice.revocation {
                Revocation::Id { id } => format!("id {}", short(&id.to_string())),
                other => other.to_string(),
            };
            say(format_args!("{start} {WARN}revoke{WARN:#} {what}"))?;
            say(format_args!("     by {}: {}", notice.by, notice.reason))
        }
        AuditEvent::Collection(collection) => say(format_args!(
            "{start} {FAINT}forgot what expired: {} revocations, {} blocks of chains{FAINT:#}",
            collection.revocations.iter().map(|(a, z)| z.saturating_sub(*a) + 1).sum::<u64>(),
            collection.blocks
        )),
        AuditEvent::Restoration(restoration) => {
            let loss = if restoration.accepted_loss { ", with loss" } else { "" };
            say(format_args!("{start} {WARN}restored{WARN:#} to epoch {}{loss}", restoration.epoch))
        }
        _ => say(format_args!("{start} something that this version does not know")),
    }
}

/// What was decided, and through whom.
fn print_decision(start: &str, decision: &Decision) -> Result<(), Box<dyn Error>> {
    let (style, word) = match decision.verdict {
        Verdict::Allow => (GOOD, "allow"),
        Verdict::Deny => (BAD, "deny"),
        Verdict::Undecided => (WARN, "undecided"),
    };
    let cause = decision
        .cause
        .as_ref()
        .map_or(String::new(), |cause| format!(" {style}{cause}{style:#}: {}", decision.message));
    say(format_args!("{start} {style}{word:<5}{style:#} {}{cause}", decision.operation))?;
    if let Some(candidate) = &decision.candidate {
        let cause = candidate.cause.as_ref().map_or(String::new(), |cause| format!(" {cause}"));
        say(format_args!(
            "     {WARN}the candidate: {}{cause}{WARN:#}: {}",
            candidate.verdict, candidate.message
        ))?;
    }
    let Some(chain) = &decision.chain else { return Ok(()) };
    let hops =
        chain.hops.iter().map(|hop| format!(" → {NAME}{}{NAME:#} “{}”", hop.delegate, hop.reason));
    let hops: String = hops.collect();
    let audience =
        chain.audience.as_ref().map_or(String::new(), |audience| format!(" → {audience}"));
    let doubt = if chain.verified { "" } else { " (as the token says)" };
    say(format_args!("     {NAME}{}{NAME:#}{hops}{audience}{FAINT}{doubt}{FAINT:#}", chain.subject))
}

#[cfg(test)]
mod tests {
    use hardtack::{AuditRecord, Call, Revocation, Store};
    use hardtack_testkit::{Cast, NOW, revoke, search};

    /// What a guard and whoever revokes record: of five, one denial, one refused bearer, one revocation and two permits.
    pub(super) fn records(count: u64) -> Vec<AuditRecord> {
        let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
        let guard = cast.guard(&store);
        let bearer = cast.presented();
        for number in 0..count {
            match number % 5 {
                0 => drop(guard.check(bearer.bearer(), &Call::tool("delete").unwrap(), NOW)),
                1 => drop(guard.check("garbage", &search(), NOW)),
                2 => revoke(&store, Revocation::Agent { agent: format!("agent.{number}") }),
                _ => drop(guard.check(bearer.bearer(), &search(), NOW).unwrap()),
            }
        }
        store.reader().records(1).map(|line| line.unwrap().record().unwrap()).collect()
    }
}
