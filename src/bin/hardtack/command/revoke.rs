//! `hardtack revoke`

use std::error::Error;
use std::fs;
use std::process::ExitCode;

use hardtack::store::Receipt;
use hardtack::{Revocation, RevocationId, Revoking};

use crate::args::{Revoke, Revoked};
use crate::command::{lineage, look_into, open_or_create};
use crate::terminal::{Done, now, say, warn};

pub(crate) fn run(arguments: &Revoke) -> Done {
    let revocations = revocations(arguments)?;
    if arguments.dry_run {
        let lineage = look_into(&arguments.store)?.lineage()?;
        say(lineage::killed(&lineage, &revocations, now()).trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    // Looked at before a store is made for it.
    let revoking = revocations.iter().map(|revocation| {
        Revoking::new(revocation.clone(), arguments.by.clone(), arguments.reason.clone())
    });
    let revoking = revoking.collect::<Result<Vec<_>, _>>()?;
    let receipts = open_or_create(&arguments.store)?.revoke_all(revoking, now())?;
    match (revocations.as_slice(), receipts.as_slice()) {
        ([revocation], [Receipt::AlreadyRevoked { sequence }]) => {
            say(format_args!("revoked already: {revocation}, by record {sequence}"))?;
        }
        ([revocation], _) => say(format_args!("revoked: {revocation}"))?,
        _ => {
            let new = receipts.iter().filter(|receipt| matches!(receipt, Receipt::Revoked { .. }));
            let (new, all) = (new.count(), receipts.len());
            say(format_args!("revoked: {new} ids; {} were revoked already", all - new))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn revocations(arguments: &Revoke) -> Result<Vec<Revocation>, Box<dyn Error>> {
    let Revoked { id, ids, subject, agent, holder } = &arguments.what;
    let one = if let Some(id) = id {
        Revocation::Id { id: *id }
    } else if let Some(subject) = subject {
        Revocation::Subject { subject: subject.clone(), root: arguments.root }
    } else if let Some(agent) = agent {
        Revocation::Agent { agent: agent.clone() }
    } else if let Some(key) = holder {
        Revocation::Holder { key: *key }
    } else if let Some(file) = ids {
        return read_ids(file);
    } else {
        return Err("say what to revoke: --id, --ids, --subject, --agent or --holder".into());
    };
    Ok(vec![one])
}

fn read_ids(file: &std::path::Path) -> Result<Vec<Revocation>, Box<dyn Error>> {
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin())?,
        false => {
            fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?
        }
    };
    let mut ids = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let id: RevocationId =
            line.parse().map_err(|error| format!("line {}: {error}", number + 1))?;
        ids.push(Revocation::Id { id });
    }
    if ids.is_empty() {
        warn("there is no id in it");
    }
    Ok(ids)
}
