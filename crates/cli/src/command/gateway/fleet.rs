//! Fleet: which servers does the gateway stand in front of, and which others does its file of settings say now?

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hardtack::audit::Ledger;
use hardtack::revocation::RevocationSource;
use hardtack::{Guard, RootKeys};
use hardtack_mcp::{Readiness, Reload, Reloads, Roster, Servers};
use tokio::task::JoinHandle;

use super::credentials::CredentialFiles;
use super::file::{self, Described};
use super::server::ServerPlan;
use super::{Common, policies, refuse_missing};
use crate::args::gateway::Settings;
use crate::command::folder::FolderWatch;
use crate::command::reloading::{Folders, Guards, Look, Part, watch};
use crate::reading::{self, MAX_SETTINGS_BYTES};
use crate::secrets::hidden;
use crate::terminal::{TEXT, without_query};

/// How many tokens all servers together remember, when all begin at once; as many as a single one does.
const REMEMBERED: usize = 1024;

/// And each at the least: fewer are verified again and again.
const LEAST_REMEMBERED: usize = 64;

/// The file of settings, to be read again.
pub(super) struct Again {
    path: PathBuf,
    /// What was typed or is in the environment, which comes before the file.
    typed: Settings,
}

impl Again {
    pub(super) fn of(path: PathBuf, typed: Settings) -> Again {
        Again { path, typed }
    }
}

/// Looks at what each is told; what is wrong is said with its name.
pub(super) fn planned(
    servers: Vec<Described>,
    is_plain: bool,
) -> Result<Vec<(Described, ServerPlan)>, Box<dyn Error>> {
    let planned = servers.into_iter().map(|described| {
        let plan = ServerPlan::from(&described.settings, Some(described.place.name()), is_plain);
        match plan {
            Ok(plan) => Ok((described, plan)),
            Err(error) => Err(format!("server {}: {error}", described.place.name()).into()),
        }
    });
    planned.collect()
}

/// The servers that are there.
pub(super) struct Fleet {
    settings: Settings,
    is_plain: bool,
    grace: Duration,
    revoker: Arc<Guard>,
    source: Arc<dyn RevocationSource>,
    recording: Arc<dyn Ledger>,
    guards: Guards,
    roster: Roster,
    readiness: Readiness,
    reloads: Reloads,
    there: Vec<Described>,
    /// What looks at the policies and credentials of each that has files of them.
    watching: HashMap<String, Vec<JoinHandle<()>>>,
}

impl Fleet {
    pub(super) fn of(common: &Common, servers: &Servers, guards: Guards) -> Fleet {
        Fleet {
            settings: common.settings.clone(),
            is_plain: common.tls.is_none(),
            grace: common.grace,
            revoker: Arc::clone(&common.revoker),
            source: Arc::clone(&common.source),
            recording: Arc::clone(&common.joints.recording),
            guards,
            roster: servers.roster(),
            readiness: servers.readiness(),
            reloads: servers.settings_reloads(),
            there: Vec::new(),
            watching: HashMap::new(),
        }
    }

    /// Puts the first servers there, and says where each is.
    pub(super) fn begin(
        &mut self,
        plans: Vec<(Described, ServerPlan)>,
        base: &str,
    ) -> Result<String, Box<dyn Error>> {
        let mut announced = format!("\n  servers      {}\n", plans.len());
        let all: Vec<(Described, String)> = plans
            .iter()
            .map(|(described, plan)| (described.clone(), plan.upstream.url().to_owned()))
            .collect();
        let guards = self.exchange(plans, &[])?;
        for ((described, behind), guard) in all.into_iter().zip(guards) {
            let (name, path) = (described.place.name(), described.place.path());
            // Writing to a string does not fail.
            let _ = write!(
                announced,
                "  server {name}\n    at           {base}{path}\n    in front of  {TEXT}{}\n    audience     {TEXT}{}\n{}",
                without_query(&behind),
                guard.verifier().audience(),
                policies(&guard, "    ")
            );
            self.there.push(described);
        }
        Ok(announced)
    }

    /// Puts these there, takes those away, and says who decides for the new ones. All or nothing.
    fn exchange(
        &mut self,
        plans: Vec<(Described, ServerPlan)>,
        removed: &[String],
    ) -> Result<Vec<Arc<Guard>>, Box<dyn Error>> {
        let all = self.there.len().max(plans.len()).max(1);
        let remembered = (REMEMBERED / all).max(LEAST_REMEMBERED);
        let (mut put, mut guards, mut looks) = (Vec::new(), Vec::new(), Vec::new());
        for (described, mut plan) in plans {
            let roots = RootKeys::clone(&self.revoker.verifier().roots());
            let stores = (Arc::clone(&self.source), Arc::clone(&self.recording));
            let guard = plan.guard(roots, stores, Some(remembered))?;
            let (name, server) = (described.place.name().to_owned(), plan.server(&guard));
            looks.push((name, Arc::clone(&guard), server.folders, server.files));
            put.push((described.place, server.server));
            guards.push(guard);
        }
        // Before anybody asks them: they take part in each change of roots from now on, and have those in force.
        self.guards.join(guards.iter().cloned());
        self.roster.exchange(put, removed, self.grace)?;
        for name in removed {
            self.unwatch(name);
        }
        for (name, guard, folders, files) in looks {
            self.unwatch(&name);
            self.watch(name, guard, folders, files)?;
        }
        Ok(guards)
    }

    fn unwatch(&mut self, name: &str) {
        self.watching.remove(name).iter().flatten().for_each(JoinHandle::abort);
        WATCHED.iter().for_each(|what| self.readiness.restored(&of(what, name)));
    }

    fn watch(
        &mut self,
        name: String,
        guard: Arc<Guard>,
        folders: Vec<(Part, FolderWatch)>,
        mut files: CredentialFiles,
    ) -> Result<(), Box<dyn Error>> {
        let mut watching = Vec::new();
        let [policies, credentials] = WATCHED.map(|what| of(what, &name));
        if let Some(reloads) = self.roster.policy_reloads(&name).filter(|_| !folders.is_empty()) {
            let looking = Folders { server: Some(name.clone()), guard, reloads, folders };
            watching.push(watch(looking, self.readiness.clone(), policies)?);
        }
        if !files.is_empty() {
            files.server = Some(name.clone());
            watching.push(watch(files, self.readiness.clone(), credentials)?);
        }
        self.watching.insert(name, watching);
        Ok(())
    }

    /// Reads the file again from now on.
    pub(super) fn reading(self, again: Again) -> Rereading {
        let seen = Some(again.read());
        Rereading { fleet: self, again, tried: seen.clone(), seen }
    }

    /// Takes the servers that a file says.
    fn take(&mut self, again: &Again, text: &str) -> Result<Reload, Box<dyn Error>> {
        let file = file::parse(&again.path, text)?;
        let settings = again.typed.clone().or(file.settings).trimmed();
        let differing = self.settings.differing(&settings);
        if !differing.is_empty() {
            return Err(format!(
                "{} cannot change while the gateway runs; start it again for that, or put back what was there",
                differing.join(", ")
            )
            .into());
        }
        if file.servers.is_empty() {
            return Err(
                "there is no [[server]] in it; a gateway with several servers keeps one at least"
                    .into(),
            );
        }
        refuse_missing(&settings, true)?;
        let is_there = |described: &Described| self.there.contains(described);
        let new: Vec<Described> =
            file.servers.iter().filter(|described| !is_there(described)).cloned().collect();
        let names = |all: &[Described]| -> Vec<String> {
            all.iter().map(|described| described.place.name().to_owned()).collect()
        };
        let (before, after) = (names(&self.there), names(&file.servers));
        if let Some(twice) = (1..after.len()).find(|index| after[..*index].contains(&after[*index]))
        {
            return Err(format!("two servers have the name {}", after[twice]).into());
        }
        let removed: Vec<String> =
            before.iter().filter(|name| !after.contains(name)).cloned().collect();
        if new.is_empty() && removed.is_empty() {
            return Ok(Reload::Unchanged);
        }
        let changed = names(&new);
        self.exchange(planned(new, self.is_plain)?, &removed)?;
        self.there = file.servers;
        let (changed, added): (Vec<String>, Vec<String>) =
            changed.into_iter().partition(|name| before.contains(name));
        let [added, changed, removed] = [added, changed, removed].map(|names| names.join(", "));
        tracing::info!(added, changed, removed, "servers are exchanged");
        Ok(Reload::Loaded)
    }
}

/// The work in the background that is done for each server.
const WATCHED: [&str; 2] = ["exchanging policies", "exchanging credentials"];

fn of(what: &str, name: &str) -> String {
    format!("{what} of {name}")
}

impl Again {
    fn read(&self) -> Result<String, String> {
        reading::regular(&self.path, MAX_SETTINGS_BYTES).map_err(|error| error.to_string())
    }
}

/// The file of settings, as it was found.
pub(super) struct Rereading {
    fleet: Fleet,
    again: Again,
    /// What was read when it was taken last, or tried to.
    tried: Option<Result<String, String>>,
    /// What was read at the last look.
    seen: Option<Result<String, String>>,
}

impl Look for Rereading {
    const FOR: &'static str = "servers";

    /// What the file says is taken at the second look in a row that finds it, so that no half-written file is.
    fn look(&mut self, asked: bool) {
        if asked {
            self.tried = None;
        }
        let now = Some(self.again.read());
        let agrees = self.seen == now;
        self.seen.clone_from(&now);
        if !agrees || self.tried == now {
            return;
        }
        self.tried.clone_from(&now);
        let Some(read) = now else { return };
        let taken = match &read {
            Ok(text) => self.fleet.take(&self.again, text).map_err(|error| error.to_string()),
            Err(problem) => Err(problem.clone()),
        };
        let file = self.again.path.display();
        self.fleet.reloads.count(match taken {
            Ok(Reload::Loaded) => Reload::Loaded,
            Ok(_) => {
                tracing::info!(%file, "servers are as before");
                Reload::Unchanged
            }
            Err(error) => {
                let error = hidden(&error);
                tracing::error!(%file, %error, "servers are not taken, those that are there stay");
                Reload::Refused
            }
        });
    }
}
