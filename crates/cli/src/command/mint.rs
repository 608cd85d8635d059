//! `hardtack mint`

use std::process::ExitCode;

use hardtack::{Grant, Issuer};

use crate::args::Mint;
use crate::command::{UNBOUND, give_out, save_new_holder};
use crate::reading;
use crate::terminal::{Done, now, warn};

pub(crate) fn run(arguments: Mint) -> Done {
    let mut issuer = Issuer::new(reading::key(&arguments.key)?);
    if let Some(id) = arguments.key_id {
        issuer = issuer.key_id(id);
    }
    let mut grant = Grant::to(arguments.subject).ttl(arguments.ttl).max_depth(arguments.max_depth);
    grant = arguments.scope.into_iter().fold(grant, Grant::scope);
    grant = arguments.audience.into_iter().fold(grant, Grant::audience);
    grant = arguments.allow.into_iter().fold(grant, Grant::allow);
    grant = arguments.fact.into_iter().fold(grant, Grant::fact_datalog);
    let (grant, key) = match (arguments.holder.holder, &arguments.holder.new_holder) {
        (Some(holder), _) => (grant.holder(holder), None),
        (None, Some(_)) => {
            let (grant, key) = grant.new_holder();
            (grant, Some(key))
        }
        (None, None) => {
            warn(UNBOUND);
            (grant.unbound(), None)
        }
    };
    let capability = issuer.mint(grant, now())?;
    save_new_holder(key, arguments.holder.new_holder.as_deref())?;
    give_out(&capability.to_base64(), arguments.holder.new_holder.as_deref())?;
    Ok(ExitCode::SUCCESS)
}
