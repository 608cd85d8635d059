//! Reloading: the gateway's policies and roots, exchanged while it runs.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hardtack::{Guard, Policy, RootKeys, trial};
use hardtack_mcp::{Readiness, Reload, Reloads};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::command::folder::{self, FolderWatch};
use crate::command::tending::tend;
use crate::command::trusting::Trusting;
use crate::secrets::hidden;
use crate::system::Hangups;
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

/// What is looked at now and then. Each has a task of its own: roots do not wait for a folder that hangs.
pub(crate) trait Look: Send + 'static {
    /// What it looks for, in the log.
    const FOR: &'static str;

    /// Looks once; `asked` by a hangup, it takes what is there for changed.
    fn look(&mut self, asked: bool);
}

/// The folders of a gateway's policies, and where what is in them goes.
pub(crate) struct Folders {
    /// The server's name, where there are several.
    pub(crate) server: Option<String>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) reloads: Reloads,
    pub(crate) folders: Vec<(Part, FolderWatch)>,
}

/// The files of a gateway's roots, and where what is in them goes.
pub(crate) struct RootFiles {
    pub(crate) guards: Guards,
    pub(crate) reloads: Reloads,
    pub(crate) trusting: Trusting,
}

/// Whoever decides, for as long as anything does: on requests to revoke, and on calls.
#[derive(Clone, Default)]
pub(crate) struct Guards(Arc<Mutex<Vec<Weak<Guard>>>>);

impl Guards {
    pub(crate) fn of(guards: &[&Arc<Guard>]) -> Guards {
        Guards(Arc::new(Mutex::new(guards.iter().copied().map(Arc::downgrade).collect())))
    }

    /// Adds those that take part from now on, with the roots that the others have, so that none has missed a change.
    pub(crate) fn join(&self, guards: impl IntoIterator<Item = Arc<Guard>>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|guard| guard.strong_count() > 0);
        let roots = all.iter().find_map(Weak::upgrade).map(|guard| guard.verifier().roots());
        for guard in guards {
            if let Some(roots) = &roots {
                guard.verifier().replace_roots(RootKeys::clone(roots));
            }
            all.push(Arc::downgrade(&guard));
        }
    }

    /// Looks for new roots while nobody joins.
    fn look(&self, trusting: &mut Trusting) -> Option<Reload> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let guards: Vec<Arc<Guard>> = all.iter().filter_map(Weak::upgrade).collect();
        trusting.look(&guards)
    }
}

/// Looks now and then, and when a hangup comes, until it is aborted. Begun anew where it ends ([`tend`]).
pub(crate) fn watch(
    looking: impl Look,
    readiness: Readiness,
    what: impl Into<Cow<'static, str>>,
) -> io::Result<JoinHandle<()>> {
    // Taken here, so that a hangup ends nothing from now on.
    let hangups = Arc::new(tokio::sync::Mutex::new(Hangups::new()?));
    let looking = Arc::new(Mutex::new(looking));
    let work = move || {
        let (looking, hangups) = (Arc::clone(&looking), Arc::clone(&hangups));
        async move { run(looking, &mut *hangups.lock().await).await }
    };
    Ok(tokio::spawn(tend(readiness, what.into(), work)))
}

async fn run<L: Look>(looking: Arc<Mutex<L>>, hangups: &mut Hangups) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            _ = ticks.tick() => false,
            () = hangups.next() => true,
        };
        let looking = Arc::clone(&looking);
        let mut looked = tokio::task::spawn_blocking(move || {
            looking.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).look(asked);
        });
        let in_time = tokio::time::timeout(LOOK_WITHIN, &mut looked).await;
        if in_time.is_err() {
            tracing::error!(
                "looking for new {} takes long; those in force stay until it comes back, if it does",
                L::FOR
            );
        }
        let looked = match in_time {
            Ok(looked) => looked,
            Err(_) => looked.await,
        };
        if looked.is_err() {
            tracing::error!("looking for new {} broke off; those in force stay", L::FOR);
        }
    }
}

impl Look for RootFiles {
    const FOR: &'static str = "roots";

    fn look(&mut self, asked: bool) {
        if asked {
            self.trusting.ask();
        }
        let taken = self.guards.look(&mut self.trusting);
        taken.into_iter().for_each(|taken| self.reloads.count(taken));
    }
}

impl Look for Folders {
    const FOR: &'static str = "policies";

    fn look(&mut self, asked: bool) {
        let server = self.server.as_ref();
        let span = server.map(|name| tracing::info_span!("policies", hardtack.server = name));
        let _of_server = span.map(tracing::Span::entered);
        for (part, watch) in &mut self.folders {
            if asked {
                watch.ask();
            }
            if !watch.has_changed() {
                continue;
            }
            let loaded = load_checked(watch.folder());
            if watch.stayed_unchanged() {
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
    let left_out = folder::left_out(at).len();
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
