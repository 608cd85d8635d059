//! `hardtack doctor`: is all that a gateway needs as it must be, and what is to be done if not?

mod clock;
mod database;
mod files;
mod keys;
mod ports;
mod servers;
mod store;
mod token;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use crate::args::EXIT_FAILED;
use crate::args::gateway::Settings;
use crate::args::setup::Doctor;
use crate::command::gateway::file::{self, Described, File};
use crate::command::init::quoted;
use crate::command::{gateway, serving};
use crate::secrets::hidden;
use crate::terminal::{BAD, BOLD, Done, FAINT, GOOD, Paint, TEXT, WARN, say, say_json, warn};

/// Something is wrong.
const EXIT_FOUND: u8 = 1;

/// The file of settings that is looked for where none is named.
const USUAL: &str = "hardtack.toml";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it must be.
    Good,
    /// Nothing is wrong; perhaps something was not meant.
    Note,
    /// Something is wrong.
    Found,
    /// It could not be looked at.
    Unseen,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    says: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

/// What was seen so far, in the order in which it was looked at.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn good(&mut self, check: &'static str, says: impl AsRef<str>) {
        self.push(check, State::Good, says.as_ref(), None);
    }

    fn note(&mut self, check: &'static str, says: impl AsRef<str>, mend: impl AsRef<str>) {
        self.push(check, State::Note, says.as_ref(), Some(mend.as_ref()));
    }

    fn found(&mut self, check: &'static str, says: impl AsRef<str>, mend: impl AsRef<str>) {
        self.push(check, State::Found, says.as_ref(), Some(mend.as_ref()));
    }

    fn unseen(&mut self, check: &'static str, says: impl AsRef<str>, mend: impl AsRef<str>) {
        self.push(check, State::Unseen, says.as_ref(), Some(mend.as_ref()));
    }

    /// No secret comes in: texts of files and of errors are quoted nowhere else.
    fn push(&mut self, check: &'static str, state: State, says: &str, mend: Option<&str>) {
        // Errors of a setting begin with its name, as the finding does.
        let own = says.strip_prefix(check).and_then(|rest| rest.strip_prefix(": "));
        let says = hidden(own.unwrap_or(says)).into_owned();
        let mend = mend.map(|mend| hidden(mend).into_owned());
        self.0.push(Finding { check, state, says, mend });
    }

    /// Whether this was said already, perhaps of another part.
    fn has(&self, says: &str) -> bool {
        let says = hidden(says);
        self.0.iter().any(|finding| finding.says == says)
    }

    fn are(&self, state: State) -> usize {
        self.0.iter().filter(|finding| finding.state == state).count()
    }

    /// Whether the problem of a setting is told already.
    fn tell_of(&self, problem: &str) -> bool {
        let bad = self.0.iter().filter(|finding| finding.state == State::Found);
        bad.map(|finding| finding.check).any(|check| {
            let key = format!("{check}: ");
            problem.starts_with(&key)
                || problem.contains(&format!(" {key}"))
                || problem.contains(&format!("{check} is missing"))
                || (problem.contains(check) && problem.contains(" are missing"))
        })
    }
}

pub(crate) fn run(arguments: Doctor) -> Done {
    let Doctor { config, key, token, json, settings } = arguments;
    let config = config.or_else(|| Path::new(USUAL).exists().then(|| PathBuf::from(USUAL)));
    if config.is_none() && settings == Settings::default() && key.is_empty() && token.is_none() {
        return Err(format!(
            "there is nothing to look at: name the gateway's settings (--config FILE), or go to the folder where {USUAL} is"
        )
        .into());
    }
    if let Some(path) = config.as_deref().filter(|path| !path.exists()) {
        return Err(format!("{}: there is no such file; is the path right?", path.display()).into());
    }
    let mut findings = Findings::default();
    let file = read(&mut findings, config.as_deref());
    let is_told = file.is_some() && (config.is_some() || settings != Settings::default());
    let (settings, servers) = match file {
        Some(File { settings: of_file, servers }) => (settings.or(of_file).trimmed(), servers),
        None => (settings.trimmed(), Vec::new()),
    };
    if let Some(path) = config.as_deref()
        && is_elsewhere(&mut findings, path, &settings)
    {
        tell(&findings, json)?;
        return Ok(ExitCode::from(EXIT_FOUND));
    }
    look(&mut findings, (&settings, &servers), config.as_deref(), &key, is_told)?;
    if let Some(token) = &token {
        clock::compare(&mut findings, token, (&settings, &servers));
    }
    if is_told
        && let Err(problem) = gateway::would_take(settings, servers)
        && !findings.tell_of(&problem)
    {
        findings.found("settings", problem, "a gateway does not start until this is mended");
    }
    tell(&findings, json)?;
    Ok(match (findings.are(State::Unseen), findings.are(State::Found)) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(EXIT_FOUND),
        _ => ExitCode::from(EXIT_FAILED),
    })
}

/// What the file of settings says; `None` if it says nothing that can be read.
fn read(findings: &mut Findings, config: Option<&Path>) -> Option<File> {
    let Some(path) = config else { return Some(File::default()) };
    if let Err(error) = std::fs::File::open(path) {
        let says = format!("{}: {error}", path.display());
        findings.unseen("settings", says, "run this as the user who runs the gateway");
        return None;
    }
    match file::read(path) {
        Ok(file) => {
            findings.good("settings", format!("{} can be read", path.display()));
            Some(file)
        }
        Err(error) => {
            let mend = "a gateway does not start with this file; the rest was not looked at";
            findings.found("settings", error.to_string(), mend);
            None
        }
    }
}

/// Whether what the settings name is in their folder and not in this one, from which a gateway would look for it. All that
/// could be said then would be of the wrong folder.
fn is_elsewhere(findings: &mut Findings, config: &Path, settings: &Settings) -> bool {
    let folder = keys::folder_of(config);
    let own = [&settings.store, &settings.own.policies].into_iter().flatten().cloned();
    let mut named = own.chain(files::of_roots(&settings.root)).filter(|path| path.is_relative());
    let Some(path) = named.find(|path| !path.exists() && folder.join(path).exists()) else {
        return false;
    };
    let says = format!(
        "{} is in the folder of the settings, and not here, where a gateway that is started here looks for it",
        path.display()
    );
    let mend = format!("go to the folder of the settings: cd {}", quoted(&folder));
    findings.found("settings", says, mend);
    true
}

fn look(
    findings: &mut Findings,
    (settings, servers): (&Settings, &[Described]),
    config: Option<&Path>,
    named: &[PathBuf],
    is_told: bool,
) -> Result<(), Box<dyn Error>> {
    clock::look(findings);
    keys::look(findings, (settings, servers), config, named);
    files::look(findings, (settings, servers), config);
    if !is_told {
        return Ok(());
    }
    let has_writer = store::look(findings, settings.store.as_deref());
    database::look(findings, &settings.database);
    servers::look(findings, (settings, servers));
    let runtime = serving::runtime()?;
    runtime.block_on(servers::ask(findings, (settings, servers)));
    ports::look(findings, settings, has_writer);
    Ok(())
}

fn tell(findings: &Findings, as_json: bool) -> Result<(), Box<dyn Error>> {
    let (found, unseen) = (findings.are(State::Found), findings.are(State::Unseen));
    if as_json {
        let all = json!({"found": found, "unseen": unseen, "findings": findings.0});
        return say_json(serde_json::to_string_pretty(&all)?);
    }
    for Finding { check, state, says, mend } in &findings.0 {
        let (style, word): (Paint, &str) = match state {
            State::Good => (GOOD, "good "),
            State::Note => (WARN, "note "),
            State::Found => (BAD, "found"),
            State::Unseen => (BAD, "blind"),
        };
        say(format_args!("{style}{word}{style:#} {BOLD}{check}{BOLD:#} {TEXT}{says}"))?;
        if let Some(mend) = mend {
            say(format_args!("      {FAINT}{TEXT}{mend}{FAINT:#}"))?;
        }
    }
    if unseen > 0 {
        warn("not everything could be looked at; see the lines that begin with blind");
    }
    match found {
        0 if unseen > 0 => {
            say(format_args!("nothing was found to be wrong in what could be looked at"))
        }
        0 => say(format_args!("{GOOD}nothing{GOOD:#} was found to be wrong")),
        1 => say(format_args!("{BAD}1{BAD:#} thing is wrong")),
        found => say(format_args!("{BAD}{found}{BAD:#} things are wrong")),
    }
}
