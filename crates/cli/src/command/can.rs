//! `hardtack can`

use std::collections::BTreeSet;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceExt;
use rmcp::model::{PaginatedRequestParams, Tool};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::NeverRetry;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde::Serialize;

use hardtack::explain::{Change, Outcome};
use hardtack::{Call, Guard, Preview, Timestamp, VerifiedCapability};
use hardtack_mcp::Upstream;

use crate::args::{Can, EXIT_DENIED};
use crate::command::deciding::guard;
use crate::output::out_columns;
use crate::reading::{self, MAX_CREDENTIAL_BYTES, MAX_OPERATIONS_BYTES};
use crate::secrets::hidden;
use crate::terminal::{
    BAD, BOLD, Done, FAINT, GOOD, TEXT, WARN, now, read_token, say, say_json, warn, without_query,
};

/// How long a server may take to list its tools.
const LISTING: Duration = Duration::from_secs(30);

/// The most operations that are listed: more than any server has tools.
const MAX_OPERATIONS: usize = 10_000;

/// The most pages of a server's list of tools: as many as that takes with ten of them on each.
const MAX_PAGES: usize = MAX_OPERATIONS / 10;

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
        (None, Some(url)) => tools(url, authorization(arguments, url)?)?,
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
    firm.map_or(explanation.ruling.message, |remedy| remedy.obstacle.clone())
}

/// The most demands that are named of one operation; `check --explain` names them all.
const MAX_DEMANDS: usize = 4;

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

fn authorization(arguments: &Can, url: &str) -> Result<Option<String>, Box<dyn Error>> {
    let server = Upstream::at(url)?;
    let Some(file) = &arguments.authorization_file else { return Ok(None) };
    match &arguments.allow_plain_http {
        Some(host) => server.accept_plain_http_to(host).check_privacy()?,
        None => server.check_privacy()?,
    }
    let failed = |error| format!("the authorization {error}");
    let value = reading::once(file, MAX_CREDENTIAL_BYTES).map_err(failed)?;
    let value = value.trim();
    let token = value.strip_prefix("Bearer ").unwrap_or(value);
    Ok(Some(token.to_owned()))
}

/// The tools that an MCP server lists. A name that can be no operation is left out, and said so.
fn tools(url: &str, authorization: Option<String>) -> Result<Vec<Call>, Box<dyn Error>> {
    // The client needs one, whether or not the server is spoken to over TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listed = runtime.block_on(async {
        match tokio::time::timeout(LISTING, list(url, authorization)).await {
            Ok(listed) => listed,
            Err(_) => Err(format!("no answer within {} s", LISTING.as_secs())),
        }
    });
    // What looks up a name on a thread of its own may hang.
    runtime.shutdown_background();
    let listed = listed.map_err(|error| {
        format!("the tools of {} cannot be listed: {error}", without_query(url))
    })?;
    let mut calls = Vec::new();
    for tool in &listed {
        match Call::tool(&tool.name) {
            Ok(call) => calls.push(call),
            Err(error) => {
                warn(&format!("the tool {:?} can be called by nobody: {error}", tool.name))
            }
        }
    }
    Ok(calls)
}

/// All pages of the list. Where a server says that more follow, it must have said something new.
async fn list(url: &str, authorization: Option<String>) -> Result<Vec<Tool>, String> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    config.retry_config = Arc::new(NeverRetry::default());
    if let Some(authorization) = authorization {
        config = config.auth_header(authorization);
    }
    // It follows ten redirects at most, all at the same origin, and reads answers of bounded size.
    let transport = StreamableHttpClientTransport::from_config(config);
    let client = ().serve(transport).await.map_err(|error| unlisted(&error))?;
    let (mut tools, mut cursors) = (Vec::new(), BTreeSet::new());
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let asked = PaginatedRequestParams::default().with_cursor(cursor.take());
        let page = client.list_tools(Some(asked)).await.map_err(|error| unlisted(&error))?;
        tools.extend(page.tools);
        if tools.len() > MAX_OPERATIONS {
            return Err(format!("it lists more than {MAX_OPERATIONS}"));
        }
        // Many servers say so that nothing follows.
        let Some(next) = page.next_cursor.filter(|next| !next.is_empty()) else {
            // The list is there; whether the goodbye arrives is no matter.
            let _ = client.cancel().await;
            return Ok(tools);
        };
        if !cursors.insert(next.clone()) {
            return Err("it says again and again that the same page follows".to_owned());
        }
        cursor = Some(next);
    }
    Err(format!("its list has more than {MAX_PAGES} pages"))
}

/// Why nothing is listed, in our words: the client's are for whoever writes clients.
fn unlisted(error: &dyn Error) -> String {
    let text = crate::terminal::with_causes(error);
    let status = text.split("HTTP ").nth(1).and_then(|rest| rest.get(..3));
    let status = status.filter(|status| status.bytes().all(|byte| byte.is_ascii_digit()));
    match status {
        Some("401" | "403") => {
            "it wants an Authorization, or another one: --authorization-file FILE".to_owned()
        }
        Some(status) => format!(
            "it answers HTTP {status}, as no MCP endpoint does; is the path right, which often is /mcp?"
        ),
        None if text.contains("Auth required") || text.contains("Auth error") => {
            "it wants an Authorization, or another one: --authorization-file FILE".to_owned()
        }
        None if text.contains("error sending request") => {
            "it does not answer; is the URL right, and does the server run?".to_owned()
        }
        None => "what answers there does not speak MCP as this client does; is the URL right?"
            .to_owned(),
    }
}
