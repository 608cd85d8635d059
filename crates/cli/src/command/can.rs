//! `hardtack can`

use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;

use hardtack::explain::{Change, Outcome};
use hardtack::{Call, Guard, Preview, Timestamp, VerifiedCapability};

use crate::args::{Can, EXIT_DENIED};
use crate::command::deciding::guard;
use crate::command::server_tools::{self, MAX_TOOLS};
use crate::output::out_columns;
use crate::reading::{self, MAX_OPERATIONS_BYTES};
use crate::secrets::hidden;
use crate::terminal::{
    BAD, BOLD, Done, FAINT, GOOD, TEXT, WARN, now, read_token, say, say_json, warn,
};

/// The most operations that are listed: as many as of tools.
const MAX_OPERATIONS: usize = MAX_TOOLS;

/// The columns that a terminal keeps for what stands beside an operation: the answer, and some words of why. A name that
/// leaves less is as wide as it is.
const BESIDE_NAMES: usize = 36;

/// What `--json` prints of each operation.
#[derive(Serialize)]
struct Row {
    operation: String,
    resource: Option<String>,
    preview: &'static str,
    why: Option<String>,
}

pub(crate) fn run(arguments: &Can) -> Done {
    let calls = match (&arguments.operations, &arguments.tools) {
        (Some(file), _) => {
            let failed = |error| format!("the operations {error}");
            read(&reading::once(file, MAX_OPERATIONS_BYTES).map_err(failed)?)?
        }
        (None, Some(url)) => tools(url, arguments)?,
        (None, None) => return Err("say what to ask about: --operations FILE, which has one operation a line, or --tools URL, of an MCP server that lists its tools".into()),
    };
    // Whoever lists a resource here means its scheme to be judged.
    let resource = calls.iter().find_map(Call::resource_uri);
    let guard = guard(&arguments.deciding, resource)?;
    let bearer = read_token()?;
    let now = arguments.deciding.at.unwrap_or_else(now);
    let verified = match guard.verifier().verify(&bearer, now) {
        Ok(verified) => verified,
        Err(error) => {
            let message = error.to_string();
            say(format_args!("{BAD}denied{BAD:#} {TEXT}{} ({})", hidden(&message), error.cause()))?;
            warn("this token may do nothing here; `hardtack check --explain` says what would help");
            return Ok(ExitCode::from(EXIT_DENIED));
        }
    };
    let rows: Vec<Row> =
        calls.iter().map(|call| row(&guard, &verified, &bearer, call, now)).collect();
    match arguments.json {
        true => say_json(serde_json::to_string_pretty(&rows)?)?,
        false => table(&rows)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn row(
    guard: &Guard,
    verified: &VerifiedCapability,
    bearer: &str,
    call: &Call,
    now: Timestamp,
) -> Row {
    let preview = guard.preview(verified, call);
    let (word, why) = match preview {
        Preview::Allowed => ("allowed", None),
        Preview::Denied => ("denied", Some(why_not(guard, bearer, call, now))),
        Preview::DependsOnArguments => ("depends", on_what(guard, bearer, call, now)),
    };
    let resource = call.resource_uri().map(str::to_owned);
    Row { operation: call.operation().to_string(), resource, preview: word, why }
}

/// What stands in the way whatever the arguments are.
fn why_not(guard: &Guard, bearer: &str, call: &Call, now: Timestamp) -> String {
    let explanation = guard.explain(bearer, call, now);
    let about_arguments = |change: &Change| {
        matches!(
            change,
            Change::Argument { .. } | Change::NoArgument { .. } | Change::Resource { .. }
        )
    };
    let firm = explanation
        .remedies
        .iter()
        .find(|remedy| remedy.changes.first().is_some_and(|change| !about_arguments(change)));
    firm.map_or(explanation.ruling.message, |remedy| remedy.summary.clone())
}

/// The most demands that are named of one operation: as many as anybody reads; `check --explain` names them all.
const MAX_DEMANDS: usize = 16;

/// What is demanded of the arguments, as far as an explanation of the call without any says.
fn on_what(guard: &Guard, bearer: &str, call: &Call, now: Timestamp) -> Option<String> {
    let explanation = guard.explain(bearer, call, now);
    let demanded = |change: &Change| match change {
        Change::Argument { must, .. } | Change::Resource { must, .. } => Some(must.clone()),
        Change::Present { kind: Some("call"), .. } => Some("a token for this call".to_owned()),
        _ => None,
    };
    let mut demands: Vec<String> = explanation
        .remedies
        .iter()
        .map(|remedy| remedy.changes.iter().filter_map(demanded).collect::<Vec<_>>().join(" or "))
        .filter(|demand| !demand.is_empty())
        .collect();
    if demands.is_empty() {
        // Allowed without any, unless one is there that is denied.
        let denials = explanation.steps.iter().filter(|step| {
            step.outcome == Outcome::Silent
                && step.text.starts_with("deny if ")
                && step.text.contains("arg(")
        });
        demands =
            denials.map(|step| format!("unless {}", &step.text["deny if ".len()..])).collect();
    }
    demands.dedup();
    if demands.len() > MAX_DEMANDS {
        demands.truncate(MAX_DEMANDS);
        demands.push("…".to_owned());
    }
    (!demands.is_empty()).then(|| demands.join("; "))
}

fn table(rows: &[Row]) -> Result<(), Box<dyn Error>> {
    let name = |row: &Row| match &row.resource {
        Some(resource) => format!("{} {resource}", row.operation),
        None => row.operation.clone(),
    };
    let room = out_columns().map_or(usize::MAX, |columns| columns.saturating_sub(BESIDE_NAMES));
    let widths = rows.iter().map(|row| name(row).chars().count()).filter(|width| *width <= room);
    let width = widths.max().unwrap_or_default().max("operation".len());
    let heading = format!("{:<width$}  {:<8} ", "operation", "answer");
    say(format_args!("{BOLD}{heading}{TEXT}why, or on what it depends{BOLD:#}"))?;
    for row in rows {
        let style = match row.preview {
            "allowed" => GOOD,
            "denied" => BAD,
            _ => WARN,
        };
        let word = row.preview;
        let padding = if row.why.is_some() { 8 } else { 0 };
        let line = format!("{:<width$}  {style}{word:<padding$}{style:#}", name(row));
        match &row.why {
            Some(why) => say(format_args!("{line} {TEXT}{FAINT}{why}{FAINT:#}"))?,
            None => say(line)?,
        }
    }
    Ok(())
}

/// One operation a line, perhaps with a resource.
fn read(text: &str) -> Result<Vec<Call>, Box<dyn Error>> {
    let mut calls = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (operation, resource) = match line.split_once(char::is_whitespace) {
            Some((operation, resource)) => (operation, Some(resource.trim())),
            None => (line, None),
        };
        let call = Call::new(operation).and_then(|call| match resource {
            Some(resource) => call.resource(resource),
            None => Ok(call),
        });
        calls.push(call.map_err(|error| format!("line {}: {error}", index + 1))?);
    }
    match calls.len() {
        0 => {
            Err("there is no operation in the file; write one a line, such as tools:call:search"
                .into())
        }
        n if n > MAX_OPERATIONS => Err(format!("more than {MAX_OPERATIONS} operations").into()),
        _ => Ok(calls),
    }
}

/// The tools that an MCP server lists. A name that can be no operation is left out, and said so.
fn tools(url: &str, arguments: &Can) -> Result<Vec<Call>, Box<dyn Error>> {
    let authorization = server_tools::authorization(
        url,
        arguments.authorization_file.as_deref(),
        arguments.allow_plain_http.as_deref(),
    )?;
    let mut calls = Vec::new();
    for tool in &server_tools::listed(url, authorization)? {
        match Call::tool(&tool.name) {
            Ok(call) => calls.push(call),
            Err(error) => {
                warn(&format!("the tool {:?} can be called by nobody: {error}", tool.name))
            }
        }
    }
    Ok(calls)
}
