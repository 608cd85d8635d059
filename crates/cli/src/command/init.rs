//! `hardtack init`: what is in the folder of a server, and what has to be made?

use std::error::Error;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hardtack::{PrivateKey, PublicKey, Store, StoreError};
use hardtack_mcp::Upstream;

use crate::args::EXIT_FAILED;
use crate::args::setup::{Init, NEW_AUDIENCE, NEW_UPSTREAM};
use crate::command::gateway::{check_audience, file, wrong};
use crate::command::{look_into, serving};
use crate::reading::{self, MAX_PUBLIC_KEY_BYTES};
use crate::secrets::{Secret, hidden};
use crate::system;
use crate::terminal::{BAD, BOLD, Done, FAINT, GOOD, TEXT, WARN, WHOLE, having, say, with_causes};

const IGNORED: &str = include_str!("init/ignored");
const POLICIES: &str = include_str!("init/tools.datalog");
const CASES: &str = include_str!("init/cases.toml");

const ROOT_KEY: &str = "root.key";
const ROOT_PUB: &str = "root.pub";
const STORE: &str = "hardtack.store";
const SETTINGS: &str = "hardtack.toml";
const POLICY_FOLDER: &str = "policies";
const EXAMPLE: &str = "policies/tools.datalog";

/// What a file is called until it is whole.
const UNFINISHED: &str = ".hardtack-new-";

/// Everybody may read it, and its owner write, as far as the process's mask allows.
const OPEN_MODE: u32 = 0o644;

/// What a private key's file may have.
const SECRET_MODE: u32 = 0o600;

/// Everything in the folder, in the order in which it is made. Keys and store are left out of a repository before they are there.
/// The root key comes after all that it needs: where it is, there was once a store, and a new one would have forgotten what was
/// revoked.
const PARTS: [(&str, Part); 7] = [
    (".gitignore", Part::Text(IGNORED)),
    (STORE, Part::Store),
    (EXAMPLE, Part::Text(POLICIES)),
    ("policies/cases/tools.toml", Part::Text(CASES)),
    (SETTINGS, Part::Settings),
    (ROOT_KEY, Part::RootKey),
    (ROOT_PUB, Part::RootPub),
];

#[derive(Clone, Copy)]
enum Part {
    Text(&'static str),
    Store,
    Settings,
    RootKey,
    RootPub,
}

/// What became of a part.
enum State {
    Made,
    There,
    /// Something of this name is there that is not usable, why, and what to do.
    Wrong(String),
    /// It was not made, and what to do.
    Missing(String),
}

pub(crate) fn run(arguments: &Init) -> Done {
    let settings = settings(arguments)?;
    let folder = &arguments.folder;
    let made = |error| format!("{}: {error}", folder.display());
    if folder.metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        let problem = "is a file, and no folder; name another";
        return Err(format!("{} {problem}", folder.display()).into());
    }
    fs::create_dir_all(folder).map_err(made)?;
    // Before anything is made.
    let is_in_use = exists(&folder.join(ROOT_KEY))? || exists(&folder.join(ROOT_PUB))?;
    let has_settings = exists(&folder.join(SETTINGS))?;
    let has_own_policies = has_own_policies(folder);
    let mut is_whole = true;
    for (name, part) in PARTS {
        let path = folder.join(name);
        let is_there = exists(&path)?;
        let is_example = name.starts_with(POLICY_FOLDER);
        if has_own_policies && is_example && !is_there {
            if name == EXAMPLE {
                having(tell(POLICY_FOLDER, &State::There), "run it again: it says what is there")?;
            }
            continue;
        }
        let state = match is_there {
            true => match no_file(&path) {
                Some(problem) => State::Wrong(problem),
                None if matches!(part, Part::Store) && !is_in_use => {
                    found(make_store(&path)?, &path)
                }
                None => unusable(&path, part).map_or(State::There, State::Wrong),
            },
            false if is_in_use && !matches!(part, Part::RootPub) => missing(folder, name, part),
            false => make(folder, name, part, &settings)?,
        };
        is_whole &= matches!(state, State::Made | State::There);
        having(tell(name, &state), "run it again: it says what is there")?;
    }
    if has_settings {
        unheeded(arguments)?;
    }
    if let Some(problem) = strange_root(folder) {
        say(format_args!("{BAD}wrong{BAD:#}    {TEXT}{}", hidden(&problem)))?;
        is_whole = false;
    }
    match is_whole {
        true => next(folder).map(|()| ExitCode::SUCCESS),
        false => Ok(ExitCode::from(EXIT_FAILED)),
    }
}

/// The text of the settings, of which none is wrong.
fn settings(arguments: &Init) -> Result<String, Box<dyn Error>> {
    let audience = arguments.audience.as_deref().unwrap_or(NEW_AUDIENCE).trim();
    let upstream = arguments.upstream.as_deref().unwrap_or(NEW_UPSTREAM).trim();
    if let Some(secret) = Secret::in_text(upstream) {
        return Err(wrong("upstream", secret.problem()));
    }
    check_audience("audience", audience)?;
    let text = |text: &str| toml::Value::from(text).to_string();
    let endpoint = serving::endpoint(upstream);
    Upstream::at(&endpoint).map_err(|error| wrong("upstream", error))?;
    Ok(format!(
        include_str!("init/settings"),
        audience = text(audience),
        upstream = text(upstream),
        store = text(STORE),
        root = text(&format!("@{ROOT_PUB}")),
    ))
}

/// Whether policies are there that are no example of ours, which would widen what they allow.
fn has_own_policies(folder: &Path) -> bool {
    let example = folder.join(EXAMPLE);
    let entries = fs::read_dir(folder.join(POLICY_FOLDER)).into_iter().flatten();
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.any(|path| path != example && path.extension().is_some_and(|ending| ending == "datalog"))
}

/// Says of what was typed that the settings, which were there, say otherwise.
fn unheeded(arguments: &Init) -> Result<(), Box<dyn Error>> {
    for (key, typed) in [("audience", &arguments.audience), ("upstream", &arguments.upstream)] {
        let Some(typed) = typed.as_deref().map(str::trim) else { continue };
        if said(&arguments.folder, key).as_deref() != Some(typed) {
            say(format_args!(
                "{WARN}note{WARN:#}     {TEXT}--{key} was not heeded: {SETTINGS} was there, and is not changed; write it there"
            ))?;
        }
    }
    Ok(())
}

/// Why what is there is no file.
fn no_file(path: &Path) -> Option<String> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => None,
        Ok(metadata) if metadata.is_dir() => {
            Some("is a folder where a file belongs; move it away, and run this again".to_owned())
        }
        Ok(_) => Some("is no regular file; move it away, and run this again".to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Some("is a link to nothing; remove it, and run this again".to_owned())
        }
        Err(error) => Some(error.to_string()),
    }
}

/// What became of a store that was there before.
fn found(made: State, path: &Path) -> State {
    match (made, unusable(path, Part::Store)) {
        (State::There, Some(problem)) => State::Wrong(problem),
        (state, _) => state,
    }
}

/// Why a file is not what belongs there, and what to do.
fn unusable(path: &Path, part: Part) -> Option<String> {
    match part {
        // Whatever they say is its owner's.
        Part::Text(_) => None,
        Part::Settings => file::read(path).err().map(|error| error.to_string()),
        Part::Store => match look_into(path) {
            Ok(_) | Err(StoreError::InUse { .. }) => None,
            Err(error) => Some(with_causes(&error)),
        },
        Part::RootKey => reading::regular_key(path).err().map(|error| error.to_string()),
        Part::RootPub => {
            let text = match reading::regular(path, MAX_PUBLIC_KEY_BYTES) {
                Ok(text) => text,
                Err(error) => return Some(error.to_string()),
            };
            let problem = text.trim().parse::<PublicKey>().err()?;
            let mend = "move it away, and print it again where the root key is: hardtack pubkey";
            Some(format!("it is no public key: {problem}; {mend}"))
        }
    }
}

/// Whether there is anything of this name, also a link to nothing.
fn exists(path: &Path) -> Result<bool, Box<dyn Error>> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{}: {error}", path.display()).into()),
    }
}

fn make(folder: &Path, name: &str, part: Part, settings: &str) -> Result<State, Box<dyn Error>> {
    let path = folder.join(name);
    match part {
        Part::Text(text) => save(&path, text, OPEN_MODE)?,
        Part::Settings => save(&path, settings, OPEN_MODE)?,
        Part::Store => return make_store(&path),
        Part::RootKey => {
            let text = PrivateKey::generate().to_text();
            save(&path, &format!("{}\n", *text), SECRET_MODE)?;
        }
        Part::RootPub => {
            let key = folder.join(ROOT_KEY);
            if !exists(&key)? {
                return Ok(missing(folder, name, part));
            }
            // That it is none is said of the key itself.
            let Ok(key) = reading::regular_key(&key) else {
                return Ok(missing(folder, name, part));
            };
            save(&path, &format!("{}\n", key.public()), OPEN_MODE)?;
        }
    }
    Ok(State::Made)
}

/// Makes a store, also in the place of one whose making was interrupted: nothing was ever recorded in that.
fn make_store(path: &Path) -> Result<State, Box<dyn Error>> {
    match Store::create(path) {
        Ok(store) => store.close()?,
        Err(StoreError::InUse { .. }) => return Ok(State::There),
        Err(StoreError::File { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
            return Ok(State::There);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(State::Made)
}

/// Puts a whole file there, on disk, or none; never in the place of another.
fn save(path: &Path, text: &str, mode: u32) -> Result<(), Box<dyn Error>> {
    let failed = |error| format!("{}: {error}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut making = tempfile::Builder::new();
    let making = system::with_mode(making.prefix(UNFINISHED), mode);
    let mut file = making.tempfile_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist_noclobber(path).map_err(|error| failed(error.error))?;
    Ok(system::sync_folder(folder).map_err(failed)?)
}

/// What to do about what is missing of a folder that is in use.
fn missing(folder: &Path, name: &str, part: Part) -> State {
    let path = quoted(&folder.join(name));
    State::Missing(match part {
        Part::Store => format!(
            "a new store would have forgotten what was revoked: bring it back from a backup (hardtack store restore). If nothing was revoked yet: hardtack store create {path}"
        ),
        Part::RootKey => {
            "only its public half is here: keep it where grants are made, or bring it back. For another root, name a new folder".to_owned()
        }
        Part::RootPub => format!(
            "print it where the root key is: hardtack pubkey {} > {path}",
            quoted(&folder.join(ROOT_KEY))
        ),
        Part::Settings => "put yours back; an example is made in a new folder: hardtack init NEW".to_owned(),
        Part::Text(_) => "put yours back, or do without it".to_owned(),
    })
}

/// Why the public key is not that of the private one, if both are there.
fn strange_root(folder: &Path) -> Option<String> {
    let [key, public] = [ROOT_KEY, ROOT_PUB].map(|name| folder.join(name));
    if !key.exists() || !public.exists() {
        return None;
    }
    // Of what is no key, it is said where it is looked at.
    let private = reading::regular_key(&key).ok()?;
    let text = reading::regular(&public, MAX_PUBLIC_KEY_BYTES).ok()?;
    let public: PublicKey = text.trim().parse().ok()?;
    (public != private.public()).then(|| {
        format!(
            "{ROOT_PUB} is not the public half of {ROOT_KEY}, and a gateway refuses all that this key signs; print it again under another name: hardtack pubkey {}",
            quoted(&key)
        )
    })
}

fn tell(name: &str, state: &State) -> Result<(), Box<dyn Error>> {
    match state {
        State::Made => say(format_args!("{GOOD}made{GOOD:#}     {TEXT}{name}")),
        State::There => say(format_args!("{FAINT}is there{FAINT:#} {TEXT}{name}")),
        State::Wrong(problem) => {
            say(format_args!("{BAD}wrong{BAD:#}    {TEXT}{name}: {}", hidden(problem)))
        }
        State::Missing(mend) => {
            say(format_args!("{WARN}missing{WARN:#}  {TEXT}{name}: {}", hidden(mend)))
        }
    }
}

/// What can be done now, each line to be pasted as it stands.
fn next(folder: &Path) -> Result<(), Box<dyn Error>> {
    let audience = audience(folder);
    let audience = shlex::try_quote(&audience).unwrap_or_default();
    let steps = [
        (
            "Make a grant, and see what is decided:",
            vec![
                format!("cd {}", quoted(folder)),
                "hardtack mint --key root.key --subject user:alice --scope 'tools:call:*' \\"
                    .to_owned(),
                "    --new-holder alice.key > alice.token".to_owned(),
                format!("hardtack present --key alice.key --audience {audience} \\"),
                "    < alice.token > bearer.token".to_owned(),
                format!(
                    "hardtack check --root @root.pub --audience {audience} --policies policies \\"
                ),
                "    --store hardtack.store --operation tools:call:search < bearer.token"
                    .to_owned(),
            ],
        ),
        (
            "Change hardtack.toml and policies/, and look at all of it:",
            vec![
                "hardtack policy test policies".to_owned(),
                "hardtack doctor --config hardtack.toml".to_owned(),
            ],
        ),
        ("Start the gateway:", vec!["hardtack gateway --config hardtack.toml".to_owned()]),
    ];
    for (what, lines) in steps {
        say("")?;
        say(format_args!("{BOLD}{what}{BOLD:#}"))?;
        for line in lines {
            say(format_args!("{WHOLE}  {line}"))?;
        }
    }
    say("")?;
    say(format_args!(
        "{FAINT}Keep {ROOT_KEY} where grants are made; the gateway needs {ROOT_PUB} alone.{FAINT:#}"
    ))
}

/// The name that the settings say, which may be older than what was typed.
fn audience(folder: &Path) -> String {
    let said = said(folder, "audience");
    said.filter(|said| Secret::in_text(said).is_none()).unwrap_or_else(|| "AUDIENCE".to_owned())
}

/// What the settings say of one key.
fn said(folder: &Path, key: &str) -> Option<String> {
    let text = reading::regular(&folder.join(SETTINGS), reading::MAX_SETTINGS_BYTES);
    let table = text.ok().and_then(|text| text.parse::<toml::Table>().ok());
    Some(table?.get(key)?.as_str()?.to_owned())
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let path: PathBuf = match path.to_string_lossy().starts_with('-') {
        true => Path::new(".").join(path),
        false => path.to_owned(),
    };
    let text = path.to_string_lossy();
    shlex::try_quote(&text).map_or_else(|_| text.to_string(), |quoted| quoted.into_owned())
}
