//! File: what does the file of settings say, of the gateway and of each of its servers?

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use clap::{Args, Command};
use hardtack_mcp::Place;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::wrong;
use crate::args::database::DatabaseSettings;
use crate::args::gateway::Settings;
use crate::args::server::ServerSettings;
use crate::reading::{self, MAX_SETTINGS_BYTES};
use crate::secrets::hidden;

/// The key of a table for each of several servers.
const SERVER: &str = "server";

/// What no option says: it is a table.
const IN_FILE_ALONE: &str = "upstream-oauth";

/// Where its settings are listed.
const LISTING: &str = "hardtack gateway --help lists them, without the dashes in front";

/// What a file says.
#[derive(Debug, Default)]
pub(in crate::command) struct File {
    pub(in crate::command) settings: Settings,
    pub(in crate::command) servers: Vec<Described>,
}

/// One of several servers, as it is described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::command) struct Described {
    pub(in crate::command) place: Place,
    pub(in crate::command) settings: ServerSettings,
}

/// What a `[[server]]` says besides what a single server is told.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Placed {
    name: String,
    path: String,
}

pub(in crate::command) fn read(path: &Path) -> Result<File, Box<dyn Error>> {
    let text = reading::regular(path, MAX_SETTINGS_BYTES)?;
    parse(path, &text)
}

/// Reads the file of settings of another verb. `listing` says where those are listed that there are.
pub(in crate::command) fn read_settings<T: DeserializeOwned>(
    path: &Path,
    listing: &str,
) -> Result<T, Box<dyn Error>> {
    let text = reading::regular(path, MAX_SETTINGS_BYTES)?;
    toml::from_str(&text).map_err(|error| said(path, &text, &error, listing))
}

pub(super) fn parse(path: &Path, text: &str) -> Result<File, Box<dyn Error>> {
    let said = |error: toml::de::Error| said(path, text, &error, LISTING);
    let document = DeTable::parse(text).map_err(said)?;
    let span = document.span();
    let (of_server, of_database) = (server_keys(), keys::<DatabaseSettings>());
    let mut parts = <[DeTable<'_>; 3]>::default();
    let mut servers = Vec::new();
    for (key, value) in document.into_inner() {
        if key.get_ref() == SERVER {
            let at = value.span();
            let DeValue::Array(tables) = value.into_inner() else {
                return Err(at_line(
                    path,
                    text,
                    &at,
                    "write [[server]], with two brackets, for each server",
                ));
            };
            servers.extend(tables);
            continue;
        }
        let among = |keys: &[String]| keys.iter().any(|known| known == key.get_ref());
        let part = match among(&of_server) {
            true => 1,
            false => 2 * usize::from(among(&of_database)),
        };
        parts[part].insert(key, value);
    }
    let [process, own, database] = parts;
    let own: ServerSettings = taken(own, span.clone()).map_err(said)?;
    let database: DatabaseSettings = taken(database, span.clone()).map_err(said)?;
    let settings = Settings { own, database, ..taken(process, span).map_err(said)? };
    let servers = servers.into_iter().map(|server| described(path, text, server, &of_server));
    Ok(File { settings, servers: servers.collect::<Result<_, _>>()? })
}

fn described(
    path: &Path,
    text: &str,
    server: Spanned<DeValue<'_>>,
    of_server: &[String],
) -> Result<Described, Box<dyn Error>> {
    let said = |error: toml::de::Error| said(path, text, &error, LISTING);
    let span = server.span();
    let DeValue::Table(table) = server.into_inner() else {
        return Err(at_line(path, text, &span, "write [[server]], and its settings below it"));
    };
    let mut parts = <[DeTable<'_>; 2]>::default();
    for (key, value) in table {
        let is_of_server = of_server.iter().any(|known| known == key.get_ref());
        parts[usize::from(is_of_server)].insert(key, value);
    }
    let [placed, settings] = parts;
    let Placed { name, path: own } = taken(placed, span.clone()).map_err(said)?;
    let place = Place::new(&name, &own).map_err(|error| wrong("server", error));
    let place = place.map_err(|error| at_line(path, text, &span, &error.to_string()))?;
    let settings: ServerSettings = taken(settings, span).map_err(said)?;
    Ok(Described { place, settings: settings.trimmed() })
}

/// What a single server can be told: keys are called as the options are.
fn server_keys() -> Vec<String> {
    let mut all = keys::<ServerSettings>();
    all.push(IN_FILE_ALONE.to_owned());
    all
}

/// The names of some options.
fn keys<O: Args>() -> Vec<String> {
    let options = O::augment_args(Command::new(SERVER));
    let options = options.get_arguments().filter_map(|option| option.get_long());
    options.map(str::to_owned).collect()
}

fn taken<T: DeserializeOwned>(
    table: DeTable<'_>,
    span: Range<usize>,
) -> Result<T, toml::de::Error> {
    T::deserialize(Deserializer::from(Spanned::new(span, table)))
}

fn at_line(path: &Path, text: &str, span: &Range<usize>, problem: &str) -> Box<dyn Error> {
    let before = text.get(..span.start).unwrap_or_default();
    format!("{}, line {}: {problem}", path.display(), 1 + before.matches('\n').count()).into()
}

fn said(path: &Path, text: &str, error: &toml::de::Error, listing: &str) -> Box<dyn Error> {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or_default();
    let number = 1 + before.matches('\n').count();
    // The key alone: where the file is another one than was meant, its lines are not for a screen.
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let key = line.split_once('=').map_or(String::new(), |(key, _)| format!(" in {}", key.trim()));
    // What breaks a line in a secret is a part of it.
    let problem = hidden(error.message()).replace('\n', ", ");
    let problem = match problem.split('`').nth(1) {
        Some(unknown) if problem.starts_with("unknown field") => {
            format!("there is no setting {unknown}; {listing}")
        }
        _ if problem.ends_with("expected usize") => {
            "a whole number belongs here, without quotation marks".to_owned()
        }
        _ if problem.starts_with("string values must be quoted") => {
            "a text belongs in quotation marks, such as \"127.0.0.1:8080\"".to_owned()
        }
        _ if problem.starts_with("key with no value") => {
            "a setting is written as in listen = \"127.0.0.1:8080\"".to_owned()
        }
        _ => problem,
    };
    format!("{}, line {number}{key}: {problem}", path.display()).into()
}
