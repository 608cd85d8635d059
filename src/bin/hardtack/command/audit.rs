//! `hardtack audit`

use std::process::ExitCode;

use hardtack::audit::Verdict;
use hardtack::{AuditRecord, Store};

use crate::args::Audit;
use crate::terminal::{BAD, Done, FAINT, GOOD, NAME, WARN};

pub(crate) fn run(arguments: &Audit) -> Done {
    let store = Store::open(&arguments.store)?;
    let mut failed = None;
    store.each_record(|record| match arguments.json {
        false => print(&record),
        true => match serde_json::to_string(&record) {
            Ok(line) => anstream::println!("{line}"),
            Err(error) => failed = Some(error),
        },
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// One decision on two lines: what was decided, and through whom.
pub(crate) fn print(record: &AuditRecord) {
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
    anstream::println!(
        "{sequence:>4} {FAINT}{time}{FAINT:#} {style}{word:<5}{style:#} {operation}{cause}"
    );
    let Some(chain) = &record.chain else { return };
    let hops =
        chain.hops.iter().map(|hop| format!(" → {NAME}{}{NAME:#} “{}”", hop.delegate, hop.reason));
    let hops: String = hops.collect();
    let audience =
        chain.audience.as_ref().map_or(String::new(), |audience| format!(" → {audience}"));
    let doubt = if chain.verified { "" } else { " (as the token says)" };
    anstream::println!(
        "     {NAME}{}{NAME:#}{hops}{audience}{FAINT}{doubt}{FAINT:#}",
        chain.subject
    );
}
