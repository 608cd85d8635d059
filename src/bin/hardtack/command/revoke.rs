//! `hardtack revoke`

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use hardtack::mcp::{RevocationFailed, revoke_at, revoke_over_plain_http_at};
use hardtack::store::Receipt;
use hardtack::{
    Capability, PrivateKey, Revocation, RevocationId, RevocationRequest, Revoking, StoreError,
};

use crate::args::{EXIT_DENIED, Revoke, Revoked};
use crate::command::{close, lineage, look_into, open_or_create, serving};
use crate::reading::{self, MAX_TOKEN_BYTES};
use crate::terminal::{Done, complain, now, say, say_lines, warn};

/// The most ids that are revoked at once: what is written of them must fit into memory.
const MAX_IDS: usize = 1_000_000;

pub(crate) fn run(arguments: &Revoke) -> Done {
    let revocations = revocations(arguments)?;
    if let (Some(url), [revocation]) = (&arguments.remote.at, revocations.as_slice()) {
        return match ask(url, arguments, revocation) {
            Ok(receipt) => tell(revocation, &receipt),
            Err(error) => match error.downcast_ref() {
                Some(RevocationFailed::Refused { status: 401 | 403, .. }) => {
                    complain(&*error);
                    Ok(ExitCode::from(EXIT_DENIED))
                }
                _ => Err(error),
            },
        };
    }
    let store = arguments.store.as_deref().ok_or("say which store: --store FILE, or --at URL")?;
    if arguments.dry_run {
        let lineage = look_into(store)?.lineage()?;
        say_lines(lineage::killed(&lineage, &revocations, now()).trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    // Looked at before a store is made for it.
    let revoking = revocations.iter().map(|revocation| {
        Revoking::new(revocation.clone(), arguments.by.clone(), arguments.reason.clone())
    });
    let revoking = revoking.collect::<Result<Vec<_>, _>>()?;
    let store = open_or_create(store).map_err(|error| match error {
        StoreError::InUse { .. } => {
            format!("{error}; if a gateway has it, ask that to revoke: --at URL").into()
        }
        error => Box::<dyn Error>::from(error),
    })?;
    let receipts = store.revoke_all(revoking, now());
    close(&store);
    let receipts = receipts?;
    match (revocations.as_slice(), receipts.as_slice()) {
        ([revocation], [receipt]) => return tell(revocation, receipt),
        _ => {
            let new = receipts.iter().filter(|receipt| matches!(receipt, Receipt::Revoked { .. }));
            let (new, all) = (new.count(), receipts.len());
            say(format_args!("revoked: {new} ids; {} were revoked already", all - new))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(revocation: &Revocation, receipt: &Receipt) -> Done {
    match receipt {
        Receipt::AlreadyRevoked { sequence } => {
            say(format_args!("revoked already: {revocation}, by record {sequence}"))?;
        }
        _ => say(format_args!("revoked: {revocation}"))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks a gateway, by a presentation that is bound to the request.
fn ask(url: &str, arguments: &Revoke, revocation: &Revocation) -> Result<Receipt, Box<dyn Error>> {
    let remote = &arguments.remote;
    let (Some(audience), Some(key), Some(capability)) =
        (&remote.audience, &remote.key, &remote.capability)
    else {
        return Err("--at needs --audience, --key and --capability".into());
    };
    let read = |path: &Path| -> Result<Capability, Box<dyn Error>> {
        let text = reading::once(path, MAX_TOKEN_BYTES)?;
        let read = Capability::parse(text.trim());
        Ok(read.map_err(|error| format!("{}: {error}", path.display()))?)
    };
    let key = PrivateKey::load_or_read_pipe(key)?;
    let capability = read(capability)?;
    let proof = remote.proof.as_deref().map(read).transpose()?;
    let request = RevocationRequest::new(revocation.clone(), &arguments.reason, proof.as_ref())?;
    // Whoever has no scope for it presents it all the same: what counts then is who signs.
    let bearer = capability.present_to_revoke(audience, &request, &key, now())?;
    let runtime = serving::runtime()?;
    Ok(match &remote.allow_plain_http {
        Some(host) => {
            runtime.block_on(revoke_over_plain_http_at(url, host, bearer.bearer(), &request))?
        }
        None => runtime.block_on(revoke_at(url, bearer.bearer(), &request))?,
    })
}

fn revocations(arguments: &Revoke) -> Result<Vec<Revocation>, Box<dyn Error>> {
    let Revoked { id, ids, subject, agent, holder } = &arguments.what;
    let one = if let Some(id) = id {
        Revocation::Id { id: *id }
    } else if let Some(subject) = subject {
        Revocation::Subject { subject: subject.clone(), root: arguments.root }
    } else if let Some(agent) = agent {
        let agent = agent.clone();
        match arguments.for_good {
            true => Revocation::Agent { agent },
            false => Revocation::AgentUntilNow { agent },
        }
    } else if let Some(key) = holder {
        Revocation::Holder { key: *key }
    } else if let Some(file) = ids {
        return read_ids(file);
    } else {
        return Err("say what to revoke: --id, --ids, --subject, --agent or --holder".into());
    };
    Ok(vec![one])
}

fn read_ids(file: &Path) -> Result<Vec<Revocation>, Box<dyn Error>> {
    let mut ids = Vec::new();
    for (number, line) in reading::lines(file)?.enumerate() {
        let at = |error: &dyn Error| format!("line {}: {error}", number + 1);
        let line = line.map_err(|error| at(&error))?;
        if line.trim().is_empty() {
            continue;
        }
        let id: RevocationId = line.parse().map_err(|error| at(&error))?;
        ids.push(Revocation::Id { id });
        if ids.len() > MAX_IDS {
            return Err(format!("there are more than {MAX_IDS} ids; split the file").into());
        }
    }
    if ids.is_empty() {
        warn("there is no id in it");
    }
    Ok(ids)
}
