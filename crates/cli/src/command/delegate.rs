//! `hardtack delegate`

use std::process::ExitCode;

use hardtack::Delegation;

use crate::args::Delegate;
use crate::command::{UNBOUND, give_out, read_capability, save_new_holder};
use crate::reading;
use crate::terminal::{Done, now, warn};

pub(crate) fn run(arguments: Delegate) -> Done {
    let key = arguments.key.as_deref().map(reading::key).transpose()?;
    let parent = read_capability()?;
    let mut delegation = Delegation::to(arguments.to).reason(arguments.reason);
    delegation = arguments.scope.into_iter().fold(delegation, Delegation::scope);
    delegation = arguments.audience.into_iter().fold(delegation, Delegation::audience);
    delegation = arguments.allow.into_iter().fold(delegation, Delegation::allow);
    delegation = arguments.check.into_iter().fold(delegation, Delegation::check);
    delegation = arguments.ttl.into_iter().fold(delegation, Delegation::ttl);
    let (delegation, new_key) = match (arguments.holder.holder, &arguments.holder.new_holder) {
        (Some(holder), _) => (delegation.holder(holder), None),
        (None, Some(_)) => {
            let (delegation, key) = delegation.new_holder();
            (delegation, Some(key))
        }
        (None, None) => {
            warn(UNBOUND);
            (delegation.unbound(), None)
        }
    };
    let capability = match &key {
        Some(key) => parent.delegate(delegation, key, now())?,
        None => parent.delegate_unbound(delegation, now())?,
    };
    save_new_holder(new_key, arguments.holder.new_holder.as_deref())?;
    give_out(&capability.to_base64(), arguments.holder.new_holder.as_deref())?;
    Ok(ExitCode::SUCCESS)
}
