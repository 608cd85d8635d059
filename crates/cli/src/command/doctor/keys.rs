//! Keys: who else can read the files with secrets, or put others in their place?

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use hardtack::PublicKey;

use super::Findings;
use crate::args::gateway::Settings;
use crate::args::regular_root;
use crate::args::server::ServerSettings;
use crate::command::gateway::file::Described;
use crate::reading::{self, MAX_PUBLIC_KEY_BYTES};
use crate::system::{self, ROOT, Rights, SAYS_RIGHTS};

const CHECK: &str = "keys";

/// How many private keys are looked at that nobody named. More are no folder of a gateway.
const MOST_BESIDE: usize = 64;

/// The bit of a mode by which everybody can write.
pub(super) const OTHERS_WRITE: u32 = 0o002;

/// What to do about something of another user, of whom nobody says here whether the gateway runs as that.
pub(super) const AS_THAT_USER: &str = "if the gateway runs as that user, run this so too: sudo -u USER hardtack doctor; if not, give it to the gateway's user or to root (chown)";

pub(super) fn look(
    findings: &mut Findings,
    (settings, servers): (&Settings, &[Described]),
    config: Option<&Path>,
    named: &[PathBuf],
) {
    let mut paths: BTreeSet<PathBuf> = named.iter().cloned().collect();
    paths.extend(settings.tls_key.clone());
    paths.extend(settings.feed_signing_key.clone());
    paths.extend(settings.gateway_key.clone());
    let all = servers.iter().map(|server| &server.settings).chain([&settings.own]);
    paths.extend(all.flat_map(of_server));
    let folder = config.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    paths.extend(beside(folder.unwrap_or(Path::new("."))));
    roots(findings, &paths, &settings.root);
    let mut folders = BTreeSet::new();
    let mut good = 0;
    for path in &paths {
        good += usize::from(look_at(findings, path));
        folders.insert(folder_of(path));
    }
    for folder in folders {
        look_at_folder(findings, CHECK, folder);
    }
    if good > 0 && !SAYS_RIGHTS {
        let says = "who else can read the files with secrets is not looked at on this system";
        findings.unseen(
            CHECK,
            says,
            "see that nobody but the gateway's user may read or change them",
        );
    } else if good > 0 {
        let files = if good == 1 { "1 file".to_owned() } else { format!("{good} files") };
        findings.good(CHECK, format!("{files} with secrets, which nobody else can read"));
    }
}

/// A private key by which everything can be granted that this gateway lets through.
fn roots(findings: &mut Findings, paths: &BTreeSet<PathBuf>, roots: &[String]) {
    let trusted = roots.iter().filter_map(|root| regular_root(root).ok());
    let trusted: Vec<PublicKey> = trusted.map(|(_, key)| key).collect();
    for path in paths {
        let key = reading::regular_key(path).map(|key| key.public());
        if key.is_ok_and(|key| trusted.contains(&key)) {
            let says = format!("{} is the private half of a trusted root key", path.display());
            let mend = "keep it where grants are made: a gateway does not need it, and who takes it over could grant everything";
            findings.note(CHECK, says, mend);
        }
    }
}

/// The files with secrets that are named for a server.
fn of_server(settings: &ServerSettings) -> Vec<PathBuf> {
    let oauth = settings.upstream_oauth.iter().map(|oauth| oauth.client_secret.as_str());
    let texts = settings.upstream_header.iter().chain(&settings.upstream_env);
    let texts = texts.filter_map(|text| text.split_once('=').map(|(_, from)| from)).chain(oauth);
    let files = texts.filter_map(|text| text.trim().strip_prefix('@')).map(PathBuf::from);
    let named = [&settings.upstream_authorization_file, &settings.upstream_key];
    files.chain(named.into_iter().flatten().cloned()).collect()
}

/// Private keys that lie where the settings are.
fn beside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let keys = paths.filter(|path| path.extension().is_some_and(|ending| ending == "key"));
    let folder = folder == Path::new(".");
    keys.map(|path| match path.strip_prefix(".") {
        Ok(inner) if folder => inner.to_owned(),
        _ => path,
    })
    .take(MOST_BESIDE)
    .collect()
}

pub(super) fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// Whether nobody else can read the file.
fn look_at(findings: &mut Findings, path: &Path) -> bool {
    let name = path.display();
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            findings.found(CHECK, format!("{name} is not there"), "is the path right?");
            return false;
        }
        Err(error) => {
            let mend = "run this as the user who runs the gateway";
            findings.unseen(CHECK, format!("{name}: {error}"), mend);
            return false;
        }
    };
    if !metadata.is_file() {
        findings.found(CHECK, format!("{name} is no file"), "put the secret into a file");
        return false;
    }
    if is_public(path) {
        let says = format!("{name} is a public key, which everybody may read");
        findings.note(CHECK, says, "for a look at the private key, name its file");
        return false;
    }
    match exposure(&metadata) {
        None => true,
        Some((says, mend)) => {
            let says = format!("{name} {says}");
            let mend = mend.replace("FILE", &name.to_string());
            match reading::takes_exposed_keys() {
                true => findings.note(CHECK, says, mend),
                false => findings.found(CHECK, says, mend),
            }
            false
        }
    }
}

fn is_public(path: &Path) -> bool {
    let text = reading::regular(path, MAX_PUBLIC_KEY_BYTES);
    text.is_ok_and(|text| text.trim().parse::<PublicKey>().is_ok())
}

/// Whether the superuser looks at what belongs to another user, by whom it is used.
pub(super) fn is_of_another_than_root(metadata: &Metadata) -> bool {
    system::own_user() == ROOT
        && system::rights(metadata).is_some_and(|rights| rights.owner != ROOT)
}

/// Who else can read it, and what to do.
pub(super) fn exposure(metadata: &Metadata) -> Option<(String, &'static str)> {
    let Rights { owner, .. } = system::rights(metadata)?;
    if let Some(mode) = reading::exposed_mode(metadata) {
        let says = format!("can be read or changed by others (mode {mode:03o})");
        return Some((says, "chmod 600 FILE; if others could read it, make a new secret"));
    }
    (owner != system::own_user() && owner != ROOT).then(|| {
        let says = format!("belongs to another user (user id {owner}), who can change it");
        (says, "give it to the user who runs the gateway: chown USER FILE")
    })
}

/// Whether others can put another file in the place of one in it.
pub(super) fn look_at_folder(findings: &mut Findings, check: &'static str, folder: PathBuf) {
    let Ok(metadata) = folder.metadata() else { return };
    let Some(Rights { mode, owner }) = system::rights(&metadata) else { return };
    const STICKY: u32 = 0o1000;
    let name = folder.display();
    if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
        let says = format!("everybody can put files in the place of others in the folder {name}");
        if !findings.has(&says) {
            findings.found(check, says, format!("chmod o-w {name}"));
        }
    } else if owner != system::own_user() && owner != ROOT {
        let says = format!("the folder {name} belongs to another user (user id {owner})");
        if !findings.has(&says) {
            findings.note(check, says, "that user can put other files there; run this as the gateway's user to see it as that does");
        }
    }
}
