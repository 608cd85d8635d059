//! Cases: what the files below `cases/` say, read strictly. Nothing is built or decided here.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Deserializer, de};
use toml::{Spanned, Table, Value};

use crate::names;
use crate::policy::folder::{CASE_EXTENSION, CASES, files, read as read_file};
use crate::policy::{Location, PolicyError};
use crate::timestamp::Timestamp;
use crate::trial::TrialError;
use crate::trial::verdict::{self, Expected};

/// The most cases of a set: a few seconds of work, for they are decided before a changed set is taken.
pub(crate) const MAX_CASES: usize = 10_000;

/// One file of cases.
#[derive(Debug)]
pub(crate) struct CaseFile {
    /// As messages name it: `cases/payments.toml`.
    pub(crate) name: String,
    /// Which of the set's files decide; all where none is named.
    pub(crate) policies: Option<Vec<String>>,
    /// Beside which of its files they decide a second time.
    pub(crate) also: Vec<String>,
    /// Which public keys of the policies, in hexadecimal digits, belong to which names of the cases.
    pub(crate) keys: BTreeMap<String, String>,
    pub(crate) cases: Vec<(Location, Case)>,
}

impl CaseFile {
    /// The subjects and agents of its cases.
    pub(crate) fn agents(&self) -> impl Iterator<Item = &str> {
        self.cases.iter().flat_map(|(_, case)| {
            let hops = case.hops.iter().map(|hop| hop.to.as_str());
            hops.chain([case.subject.as_str()])
        })
    }
}

/// A grant, hops below it, a call, and what must become of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,

    #[serde(default = "alice")]
    pub(crate) subject: String,
    pub(crate) scopes: Vec<String>,
    #[serde(default)]
    pub(crate) audience: Vec<String>,
    #[serde(default)]
    pub(crate) facts: Vec<String>,
    /// Constraints of arguments, such as `amount <= 100`.
    #[serde(default)]
    pub(crate) allow: Vec<String>,
    pub(crate) max_depth: Option<u8>,
    #[serde(default)]
    pub(crate) unbound: bool,
    #[serde(default, deserialize_with = "hops")]
    pub(crate) hops: Vec<Hop>,

    pub(crate) operation: String,
    pub(crate) resource: Option<String>,
    /// The text of a JSON object.
    pub(crate) arguments: Option<String>,
    #[serde(default)]
    pub(crate) presented: PresentedFor,

    #[serde(default = "server")]
    pub(crate) server: String,
    pub(crate) issuer: Option<String>,
    #[serde(default = "monday", deserialize_with = "moment")]
    pub(crate) at: Timestamp,
    #[serde(default)]
    pub(crate) accept_unbound_hops: bool,
    #[serde(default)]
    pub(crate) resource_schemes: Vec<String>,
    #[serde(default)]
    pub(crate) large_integers: bool,

    pub(crate) expect: Expected,
    pub(crate) expect_at: Option<String>,
    pub(crate) expect_also: Option<Expected>,
}

/// One delegation. What it does not say is as the hop before has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hop {
    pub(crate) to: String,
    pub(crate) scopes: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) audience: Vec<String>,
    /// Constraints of arguments, such as `amount <= 100`.
    #[serde(default)]
    pub(crate) allow: Vec<String>,
    /// Checks in Datalog.
    #[serde(default)]
    pub(crate) checks: Vec<String>,
    #[serde(default = "reason")]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) unbound: bool,
}

/// For what the capability is presented.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PresentedFor {
    /// Any calls, for minutes.
    #[default]
    Session,
    /// The call of the case only.
    Call,
}

/// Reads all files of cases of a set, in the order of their names.
pub(crate) fn read(set: &Path) -> Result<Vec<CaseFile>, TrialError> {
    let folder = set.join(CASES);
    let paths = match files(&folder, CASE_EXTENSION) {
        Ok(paths) => paths,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(PolicyError::Read { path: folder, source }.into()),
    };
    let files = paths.iter().map(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        parse(format!("{CASES}/{name}"), &read_file(set, path)?)
    });
    let files = files.collect::<Result<Vec<_>, _>>()?;
    let count = |file: &CaseFile| file.cases.len();
    match files.iter().map(count).sum::<usize>() > MAX_CASES {
        true => Err(TrialError::TooMany),
        false => Ok(files),
    }
}

pub(crate) fn parse(name: String, text: &str) -> Result<CaseFile, TrialError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        policies: Option<Vec<String>>,
        #[serde(default)]
        also: Vec<String>,
        #[serde(default)]
        keys: BTreeMap<String, String>,
        #[serde(default)]
        case: Vec<Spanned<Table>>,
    }
    let place = |offset: usize| {
        let before = text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Location { file: name.clone(), line }
    };
    let file: File = toml::from_str(text).map_err(|error| TrialError::File {
        at: place(error.span().map_or(0, |span| span.start)),
        problem: names::escaped(&error.message()),
    })?;
    if let Some((agent, _)) = file.keys.iter().find(|(_, key)| !is_key(key)) {
        let problem = format!(
            "the key of {agent} is not written as policies see it, in 64 hexadecimal digits"
        );
        return Err(TrialError::File { at: place(0), problem: names::escaped(&problem) });
    }
    let cases = file.case.into_iter().enumerate().map(|(index, table)| {
        let at = place(table.span().start);
        Ok((at.clone(), case(index, at, table.into_inner())?))
    });
    let cases = cases.collect::<Result<_, TrialError>>()?;
    Ok(CaseFile { name, policies: file.policies, also: file.also, keys: file.keys, cases })
}

fn case(index: usize, at: Location, mut table: Table) -> Result<Case, TrialError> {
    let name = match table.get("name") {
        Some(Value::String(name)) => names::escaped(name),
        _ => format!("number {}", index + 1),
    };
    let wrong =
        |problem: &str| TrialError::Case { at, case: name, problem: names::escaped(&problem) };
    // Before the rest is read, for to serde a date is a text.
    if let Some(arguments) = table.get_mut("arguments") {
        match json_text(arguments.clone()) {
            Ok(json) => *arguments = Value::String(json),
            Err(problem) => return Err(wrong(problem)),
        }
    }
    for key in ["expect", "expect_also"] {
        let word = table.get(key).and_then(Value::as_str);
        if let Some(word) = word.filter(|word| word.parse::<Expected>().is_err()) {
            return Err(wrong(&verdict::unknown(key, word)));
        }
    }
    Case::deserialize(table).map_err(|error| wrong(error.message()))
}

/// As policies see keys: lower case, without the name of the algorithm.
fn is_key(digits: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    digits.len() == 64 && digits.bytes().all(digit)
}

/// A hop is a name, or a table that says more.
fn hops<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Hop>, D::Error> {
    let values = Vec::<Value>::deserialize(deserializer)?;
    let hops = values.into_iter().enumerate().map(|(index, value)| {
        let table = match value {
            Value::String(to) => Table::from_iter([("to".to_owned(), Value::String(to))]),
            Value::Table(table) => table,
            _ => return Err(de::Error::custom(format!("hop {}: {HOP_FORM}", index + 1))),
        };
        Hop::deserialize(table)
            .map_err(|error| de::Error::custom(format!("hop {}: {}", index + 1, error.message())))
    });
    hops.collect()
}

const HOP_FORM: &str = "a hop is an agent's name, or a table such as { to = \"agent.x\", scopes = [\"tools:call:pay\"] }";

/// Arguments are the text of a JSON object, for whatever TOML cannot say, or a table.
fn json_text(arguments: Value) -> Result<String, &'static str> {
    match arguments {
        Value::String(json) => Ok(json),
        table @ Value::Table(_) => Ok(json(table)?.to_string()),
        _ => Err("arguments are the text of a JSON object, or a table"),
    }
}

pub(super) fn json(value: Value) -> Result<serde_json::Value, &'static str> {
    Ok(match value {
        Value::String(text) => text.into(),
        Value::Integer(number) => number.into(),
        Value::Float(number) => serde_json::Number::from_f64(number)
            .ok_or("a number in arguments is finite, as in JSON")?
            .into(),
        Value::Boolean(value) => value.into(),
        Value::Datetime(_) => {
            return Err("JSON has no dates: write the argument as text, in quotation marks");
        }
        Value::Array(values) => values.into_iter().map(json).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Table(members) => serde_json::Value::Object(
            members
                .into_iter()
                .map(|(name, value)| Ok((name, json(value)?)))
                .collect::<Result<_, &'static str>>()?,
        ),
    })
}

/// A moment is RFC 3339, with or without quotation marks.
pub(super) fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Datetime(moment) => moment.to_string(),
        _ => String::new(),
    };
    Timestamp::parse(&text).map_err(de::Error::custom)
}

fn alice() -> String {
    "user:alice".to_owned()
}

fn server() -> String {
    "server.example".to_owned()
}

fn reason() -> String {
    "a case".to_owned()
}

/// 2026-11-23T10:00:00Z: the same for every case that does not say when, so that none depends on the day it runs.
pub(super) fn monday() -> Timestamp {
    Timestamp::from_unix_seconds(1_795_428_000)
}
