//! `hardtack audit`

use std::error::Error;
use std::process::ExitCode;

use hardtack::audit::Verdict;
use hardtack::{AuditRecord, Store};

use crate::args::Audit;
use crate::terminal::{BAD, Done, FAINT, GOOD, NAME, WARN, say};

pub(crate) fn run(arguments: &Audit) -> Done {
    let store = Store::open(&arguments.store)?;
    let mut said = Ok(());
    store.each_record(|record| {
        if said.is_ok() {
            said = if arguments.json { print_json(&record) } else { print(&record) };
        }
    })?;
    said.map(|()| ExitCode::SUCCESS)
}

fn print_json(record: &AuditRecord) -> Result<(), Box<dyn Error>> {
    say(serde_json::to_string(record)?)
}

/// One decision on two lines: what was decided, and through whom.
pub(crate) fn print(record: &AuditRecord) -> Result<(), Box<dyn Error>> {
    let (style, word) = match record.decision {
        Verdict::Allow => (GOOD, "allow"),
        Verdict::Deny => (BAD, "deny"),
        Verdict::Undecided => (WARN, "undecided"),
    };
    let AuditRecord { sequence, time, operation, .. } = record;
    let cause = record
        .cause
        .as_ref()
        .map_or(String::new(), |cause| format!(" {style}{cause}{style:#}: {}", record.message));
    say(format_args!(
        "{sequence:>4} {FAINT}{time}{FAINT:#} {style}{word:<5}{style:#} {operation}{cause}"
    ))?;
    let Some(chain) = &record.chain else { return Ok(()) };
    let hops =
        chain.hops.iter().map(|hop| format!(" → {NAME}{}{NAME:#} “{}”", hop.delegate, hop.reason));
    let hops: String = hops.collect();
    let audience =
        chain.audience.as_ref().map_or(String::new(), |audience| format!(" → {audience}"));
    let doubt = if chain.verified { "" } else { " (as the token says)" };
    say(format_args!("     {NAME}{}{NAME:#}{hops}{audience}{FAINT}{doubt}{FAINT:#}", chain.subject))
}
