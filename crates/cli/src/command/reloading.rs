//! Reloading: the gateway's policies and roots, exchanged while it runs.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hardtack::policy::{self, FolderWatch};
use hardtack::{Guard, Policy, trial};
use hardtack_mcp::{Reload, Reloads};
use tokio::signal::unix::Signal;
use tokio::time::MissedTickBehavior;

use crate::command::trusting::Trusting;
use crate::secrets::hidden;
use crate::terminal::with_causes;

/// How often folders are looked at. A change is taken at the second look that finds it, so that a file which
/// takes less than this to write is never taken half written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a look may take before somebody should know: the largest set with its cases takes some seconds, a mount
/// that hangs for ever.
const LOOK_WITHIN: Duration = Duration::from_secs(60);

/// A set of policies that may decide, or why not: each of its cases gets its verdict. Everything that a gateway
/// takes from a folder comes from here.
pub(crate) fn load_checked(folder: &Path) -> Result<Policy, String> {
    trial::load(folder).map_err(|error| hidden(&with_causes(&error)).into_owned())
}

/// What a folder's policies are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Live,
    Candidate,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Live => "live",
            Part::Candidate => "candidate",
        }
    }
}

/// The folders of a gateway and the files of its roots, and where what is in them goes.
pub(crate) struct Reloading {
    pub(crate) guard: Arc<Guard>,
    /// Who decides on requests to revoke: it trusts the same roots, and has policies of its own.
    pub(crate) revoker: Arc<Guard>,
    pub(crate) reloads: Reloads,
    pub(crate) root_reloads: Reloads,
    pub(crate) folders: Vec<(Part, FolderWatch)>,
    pub(crate) trusting: Option<Trusting>,
}

/// Looks at the folders and files now and then, and when a hangup comes, until it is aborted.
pub(crate) async fn run(reloading: Arc<Mutex<Reloading>>, hangups: &mut Signal) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            _ = ticks.tick() => false,
            _ = hangups.recv() => true,
        };
        let reloading = Arc::clone(&reloading);
        let mut looked = tokio::task::spawn_blocking(move || {
            reloading.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).look(asked);
        });
        let in_time = tokio::time::timeout(LOOK_WITHIN, &mut looked).await;
        if in_time.is_err() {
            tracing::error!(
                "looking for new policies and roots takes long; those in force stay until it comes back, if it does"
            );
        }
        let looked = match in_time {
            Ok(looked) => looked,
            Err(_) => looked.await,
        };
        if looked.is_err() {
            tracing::error!("looking for new policies and roots broke off; those in force stay");
        }
    }
}

impl Reloading {
    /// Roots come first: who is trusted no longer does not wait for policies that take long.
    fn look(&mut self, asked: bool) {
        if let Some(trusting) = &mut self.trusting {
            if asked {
                trusting.ask();
            }
            let taken = trusting.look(&[&self.guard, &self.revoker]);
            taken.into_iter().for_each(|taken| self.root_reloads.count(taken));
        }
        for (part, watch) in &mut self.folders {
            if asked {
                watch.ask();
            }
            if !watch.has_changed() {
                continue;
            }
            let loaded = load_checked(watch.folder());
            if watch.lay_still() {
                self.reloads.count(take(&self.guard, *part, watch.folder(), loaded));
            }
        }
    }
}

/// Puts policies in the place of others, if there are any.
fn take(guard: &Guard, part: Part, folder: &Path, loaded: Result<Policy, String>) -> Reload {
    let (part_name, at, folder) = (part.name(), folder, folder.display());
    let loaded = match loaded {
        Ok(loaded) => Arc::new(loaded),
        Err(error) => {
            tracing::error!(
                policies = part_name, %folder, error,
                "policies are not taken, those in force stay"
            );
            return Reload::Refused;
        }
    };
    let in_force = match part {
        Part::Live => Some(guard.policy()),
        Part::Candidate => guard.candidate(),
    };
    let left_out = policy::left_out(at).len();
    let old = in_force.as_ref().map_or("", |policy| policy.digest());
    let new = loaded.digest().to_owned();
    if old == new {
        tracing::info!(policies = part_name, %folder, digest = new, "policies are as before");
        return Reload::Unchanged;
    }
    match part {
        Part::Live => drop(guard.replace_policy(loaded)),
        Part::Candidate => drop(guard.replace_candidate(Some(loaded))),
    }
    tracing::info!(policies = part_name, %folder, old, new, left_out, "policies are exchanged");
    Reload::Loaded
}
