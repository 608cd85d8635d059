//! `hardtack revoke`

use std::process::ExitCode;

use hardtack::Revocation;
use hardtack::revocation::RevocationEntry;

use crate::args::{Revoke, Revoked};
use crate::command::open_or_create;
use crate::terminal::{Done, now, say};

pub(crate) fn run(arguments: Revoke) -> Done {
    let revocation = match arguments.what {
        Revoked { id: Some(id), .. } => Revocation::Id { id },
        Revoked { subject: Some(subject), .. } => {
            Revocation::Subject { subject, root: arguments.root }
        }
        Revoked { agent: Some(agent), .. } => Revocation::Agent { agent },
        Revoked { holder: Some(key), .. } => Revocation::Holder { key },
        Revoked { .. } => {
            return Err("say what to revoke: --id, --subject, --agent or --holder".into());
        }
    };
    let said = revocation.to_string();
    // Looked at before a store is made for it.
    let entry = RevocationEntry::new(revocation, now(), arguments.reason)?;
    open_or_create(&arguments.store)?.revoke(entry)?;
    say(format_args!("revoked: {said}"))?;
    Ok(ExitCode::SUCCESS)
}
