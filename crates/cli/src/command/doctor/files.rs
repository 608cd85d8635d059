//! Files: who else can change what a gateway believes: its settings, its root keys and its policies?

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Findings;
use super::keys::{self, OTHERS_WRITE};
use crate::args::gateway::Settings;
use crate::args::split_root;
use crate::command::gateway::file::Described;
use crate::system::{self, ROOT, Rights};

const CHECK: &str = "files";

/// How many files of a folder of policies are looked at: far more than a set has.
const MOST_POLICIES: usize = 4096;

pub(super) fn look(
    findings: &mut Findings,
    (settings, servers): (&Settings, &[Described]),
    config: Option<&Path>,
) {
    let mut paths: BTreeSet<PathBuf> = of_roots(&settings.root).collect();
    paths.extend(config.map(Path::to_owned));
    let folders: BTreeSet<PathBuf> = paths.iter().map(|path| keys::folder_of(path)).collect();
    for server in servers.iter().map(|server| &server.settings).chain([&settings.own]) {
        for folder in [&server.policies, &server.shadow].into_iter().flatten() {
            paths.extend(of_policies(folder));
        }
    }
    let before = findings.0.len();
    let mut seen = 0;
    for path in &paths {
        seen += usize::from(look_at(findings, path));
    }
    for folder in folders {
        keys::look_at_folder(findings, CHECK, folder);
    }
    if seen > 0 && findings.0.len() == before {
        let says = "settings, root keys and policies, which not everybody can change";
        findings.good(CHECK, says);
    }
}

/// The files of root keys.
pub(super) fn of_roots(roots: &[String]) -> impl Iterator<Item = PathBuf> {
    let keys = roots.iter().filter_map(|root| split_root(root).ok());
    keys.filter_map(|(_, key)| key.trim().strip_prefix('@').map(PathBuf::from))
}

/// The folder, its cases, and what is in the two.
fn of_policies(folder: &Path) -> Vec<PathBuf> {
    let cases = folder.join("cases");
    let within = |folder: &Path| fs::read_dir(folder).into_iter().flatten();
    let entries = within(folder).chain(within(&cases)).take(MOST_POLICIES);
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|path| is_policy(path)).chain([folder.to_owned(), cases.clone()]).collect()
}

fn is_policy(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "datalog" || ending == "toml")
}

/// Whether it is there, and the system says who may change it. That it is not there is said where it is read.
fn look_at(findings: &mut Findings, path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    let Some(Rights { mode, owner }) = system::rights(&metadata) else { return false };
    let name = path.display();
    // Also in a folder with the sticky bit: there, others can still add a policy.
    if mode & OTHERS_WRITE != 0 {
        let says = format!("everybody can change {name} (mode {:03o})", mode & 0o777);
        findings.found(CHECK, says, format!("look at what it says, then: chmod o-w {name}"));
    } else if owner != system::own_user() && owner != ROOT {
        let says = format!("{name} belongs to another user (user id {owner}), who can change it");
        findings.note(CHECK, says, keys::AS_THAT_USER);
    }
    true
}
