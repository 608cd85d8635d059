//! `hardtack revocations`

use std::process::ExitCode;

use hardtack::Store;

use crate::args::Revocations;
use crate::terminal::{Done, FAINT, say};

pub(crate) fn run(arguments: &Revocations) -> Done {
    let entries = Store::open(&arguments.store)?.list_revocations()?;
    if arguments.json {
        say(format_args!("{}", serde_json::to_string_pretty(&entries)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    if entries.is_empty() {
        say(format_args!("nothing is revoked"))?;
    }
    for entry in entries {
        say(format_args!(
            "{FAINT}{}{FAINT:#} {}: {}",
            entry.revoked, entry.revocation, entry.reason
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
