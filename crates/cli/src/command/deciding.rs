//! Deciding: the guard that `check` and `can` ask.

use std::error::Error;

use hardtack::revocation::RevocationUnchecked;
use hardtack::{Guard, Policy, RootKeys, Verifier};

use crate::args::Deciding;
use crate::command::{load_policy, open};
use crate::terminal::warn;

/// The guard that a verb's arguments speak of, for calls about `resource`.
pub(crate) fn guard(arguments: &Deciding, resource: Option<&str>) -> Result<Guard, Box<dyn Error>> {
    let roots = arguments.root.iter().fold(RootKeys::default(), |roots, (id, key)| match id {
        Some(id) => roots.and_with_id(*id, *key),
        None => roots.and(*key),
    });
    let policy = match &arguments.policies {
        Some(folder) => load_policy(folder)?,
        None => Policy::builtin(),
    };
    let audience = &arguments.audience;
    let Some(path) = &arguments.store else {
        warn("without --store, neither revocation nor replay is checked and no record is kept");
        let verifier = Verifier::new(roots, audience, RevocationUnchecked)?;
        return Ok(Guard::unrecorded(set_up(verifier, arguments, resource), policy));
    };
    let mut store = open(path)?;
    if arguments.at.is_some() {
        store = store.for_supposed_times();
    }
    let verifier = Verifier::new(roots, audience, store.revocations())?;
    Ok(Guard::new(set_up(verifier, arguments, resource), policy, store))
}

fn set_up(mut verifier: Verifier, arguments: &Deciding, resource: Option<&str>) -> Verifier {
    // Whoever types a resource here means its scheme to be judged.
    if let Some((scheme, _)) = resource.and_then(|uri| uri.split_once(':')) {
        verifier = verifier.resource_schemes([scheme]);
    }
    match arguments.accept_unbound_hops {
        true => verifier.accept_unbound_hops(),
        false => verifier,
    }
}
