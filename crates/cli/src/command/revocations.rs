//! `hardtack revocations`

use std::process::ExitCode;

use hardtack::RevocationLog;
use hardtack::pending::wait;
use hardtack::revocation::RevocationEntry;

use crate::args::Revocations;
use crate::args::tree::Format;
use crate::command::{database, look_into, tree};
use crate::terminal::{Done, FAINT, TEXT, now, say, say_json};

pub(crate) fn run(arguments: &Revocations) -> Done {
    if arguments.tree {
        let lineage = match &arguments.store {
            Some(store) => look_into(store)?.lineage()?,
            None => database::lineage(&database::open(&arguments.database)?)?,
        };
        tree::draw(&lineage, if arguments.json { Format::Json } else { Format::Text })?;
        return Ok(ExitCode::SUCCESS);
    }
    let entries = match &arguments.store {
        Some(store) => look_into(store)?.revocations()?,
        None => wait(database::open(&arguments.database)?.list(now()))?.revocations,
    };
    if arguments.json {
        say_json(serde_json::to_string_pretty(&entries)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if entries.is_empty() {
        say(format_args!("nothing is revoked"))?;
    }
    entries.iter().try_for_each(print)?;
    Ok(ExitCode::SUCCESS)
}

fn print(entry: &RevocationEntry) -> Result<(), Box<dyn std::error::Error>> {
    let RevocationEntry { sequence, notice, .. } = entry;
    let kept = match notice.expires {
        Some(expires) => format!("kept until {expires}"),
        None => "kept for good".to_owned(),
    };
    say(format_args!(
        "{sequence:>4} {TEXT}{FAINT}{}{FAINT:#} {}",
        notice.revoked, notice.revocation
    ))?;
    say(format_args!("     by {}: {} {FAINT}({kept}){FAINT:#}", notice.by, notice.reason))
}
