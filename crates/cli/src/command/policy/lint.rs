//! `hardtack policy lint`

use super::tools;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use anstream::adapter::strip_str;
use hardtack::internal::{parts, read_file};
use hardtack::names::escaped;
use hardtack::policy::sets;
use hardtack_lint::{Finding, Options, Report, ServerTools, Severity, lint_folder};

use crate::args::policy::Lint;
use crate::command::warn_of_left_out;
use crate::output::out_columns;
use crate::secrets::{hidden, masked};
use crate::terminal::{BAD, Done, GOOD, TEXT, WHOLE, now, own, say, say_json, say_lines, warn};

/// Something was found.
const EXIT_FOUND: u8 = 1;

pub(crate) fn run(arguments: &Lint) -> Done {
    let told = Options {
        directory: arguments.directory,
        tools: tools::of_servers(arguments)?,
        open_arguments: arguments.open_arguments,
        ..Options::default()
    };
    warn_of_unread(&told.tools);
    let mut reports = Vec::new();
    for set in sets(&arguments.policies)? {
        warn_of_left_out(&set);
        reports.push(report(&set, told.clone())?);
    }
    let findings: Vec<&Finding> = reports.iter().flat_map(|report| &report.findings).collect();
    match arguments.json {
        true => {
            let findings: Vec<Finding> =
                findings.iter().map(|finding| without_secrets(finding)).collect();
            say_json(serde_json::to_string_pretty(&findings)?)?;
        }
        false => print(&reports, findings.len())?,
    }
    match findings.iter().all(|finding| finding.severity == Severity::Note) {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::from(EXIT_FOUND)),
    }
}

/// What is found in a set, with what its cases say, and what is told of the servers.
pub(in crate::command) fn report(set: &Path, told: Options) -> Result<Report, Box<dyn Error>> {
    let options = Options { grant_facts: grant_facts(set)?, now: Some(now()), ..told };
    Ok(lint_folder(set, &options)?)
}

/// How many tools are named whose arguments are not looked at.
const MOST_NAMED: usize = 5;

/// Of these, nothing can be found, and nobody is to take that for good.
fn warn_of_unread(servers: &[ServerTools]) {
    let unread: Vec<&str> = servers.iter().flat_map(ServerTools::unread).collect();
    if unread.is_empty() {
        return;
    }
    // A server may give its tools names of any length.
    let shown = |name: &&str| format!("{:?}", name.chars().take(128).collect::<String>());
    let named = unread.iter().take(MOST_NAMED).map(shown).collect::<Vec<_>>().join(", ");
    let more = match unread.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    warn(&format!(
        "the arguments of the tools {named}{more} are not looked at: the tool has no inputSchema, or one that is too large or too deep, or two tools have this name"
    ));
}

/// A finding with each text as it may be shown. JSON's own signs are put around it afterwards.
fn without_secrets(finding: &Finding) -> Finding {
    let mut finding = finding.clone();
    for text in [&mut finding.file, &mut finding.message, &mut finding.mend] {
        let hides = hidden(text).into_owned();
        *text = hides;
    }
    finding
}

fn print(reports: &[Report], findings: usize) -> Result<(), Box<dyn Error>> {
    for report in reports {
        for finding in &report.findings {
            say_lines(hidden(&shown(report, finding)))?;
            say("")?;
        }
    }
    let files = count(reports.iter().map(|report| report.files.len()).sum(), "file");
    let policies = count(reports.iter().map(|report| report.policies).sum(), "policy or check");
    match findings {
        0 => say(format_args!("{GOOD}clean{GOOD:#} {files}, {policies}, no finding")),
        _ => say(format_args!(
            "{BAD}found{BAD:#} {files}, {policies}, {}",
            count(findings, "finding")
        )),
    }
}

fn count(number: usize, what: &str) -> String {
    match (number, what) {
        (1, what) => format!("1 {what}"),
        (number, "policy or check") => format!("{number} policies and checks"),
        (number, what) => format!("{number} {what}s"),
    }
}

/// The finding over the line that it is about.
fn shown(report: &Report, finding: &Finding) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let text = report.files.iter().find(|(name, _)| *name == finding.file).map(|(_, text)| text);
    let (source, start, span) = excerpt(text.map_or("", String::as_str), finding);
    // Of what the renderer is given, no escape and no secret is left: it cuts lines, and the rest of a secret may look like none.
    let snippet = Snippet::source(masked(&source).into_owned())
        .line_start(start)
        .path(escaped(&finding.file))
        .annotation(AnnotationKind::Primary.span(span));
    let group = level
        .primary_title(escaped(&finding.message))
        .id(finding.code.name())
        .element(snippet)
        .element(Level::HELP.message(escaped(&finding.mend)));
    let renderer = Renderer::styled().decor_style(DecorStyle::Ascii);
    let renderer = match out_columns() {
        // It cuts a line of a file around the place that it points at.
        Some(columns) => renderer.term_width(columns),
        None => renderer,
    };
    renderer.render(&[group]).split('\n').enumerate().map(breakable).collect::<Vec<_>>().join("\n")
}

/// Marks where a line of what is rendered may be broken: what was found and its mend are text, the rest are columns.
fn breakable((number, line): (usize, &str)) -> String {
    let is_mend = strip_str(line).to_string().trim_start().starts_with("= help: ");
    match line.split_once(": ").filter(|_| is_mend) {
        _ if number == 0 => own(line),
        Some((before, mend)) => format!("{}: {TEXT}{}", own(before), own(mend)),
        None => format!("{WHOLE}{}", own(line)),
    }
}

/// The line, escaped, its number, and the part of it to point at.
fn excerpt(text: &str, finding: &Finding) -> (String, usize, std::ops::Range<usize>) {
    let at = finding.span.start.min(text.len());
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
    let end =
        text.get(at..).and_then(|after| after.find('\n')).map_or(text.len(), |line| at + line);
    let part = |from: usize, to: usize| printable(text.get(from..to).unwrap_or_default());
    let stop = finding.span.end.clamp(at, end);
    let (before, marked, after) = (part(start, at), part(at, stop), part(stop, end));
    let span = before.len()..before.len() + marked.len().max(1).min(marked.len() + after.len());
    (format!("{before}{marked}{after}"), finding.line, span)
}

/// Text of a file as a terminal may see it.
fn printable(text: &str) -> String {
    escaped(&text.trim_end_matches('\r').replace('\t', " "))
}

/// The facts that the set's cases give to their grants. A file that is none of cases says nothing.
fn grant_facts(set: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let folder = match set.is_dir() {
        true => set.to_owned(),
        false => set.parent().map(Path::to_owned).unwrap_or_default(),
    };
    let [_, (cases, ending)] = parts(&folder);
    let mut paths: Vec<PathBuf> = match fs::read_dir(cases) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(_) => Vec::new(),
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let text = read_file(&folder, &path)?;
        if let Ok(cases) = text.parse::<toml::Table>() {
            facts_of(&toml::Value::Table(cases), &mut found);
        }
    }
    Ok(found)
}

/// Every text in a list that is called `facts`, wherever it stands.
fn facts_of(value: &toml::Value, found: &mut Vec<String>) {
    match value {
        toml::Value::Array(values) => values.iter().for_each(|value| facts_of(value, found)),
        toml::Value::Table(table) => {
            for (name, value) in table {
                match value {
                    toml::Value::Array(values) if name == "facts" => {
                        found.extend(values.iter().filter_map(|v| Some(v.as_str()?.to_owned())));
                    }
                    value => facts_of(value, found),
                }
            }
        }
        _ => {}
    }
}
