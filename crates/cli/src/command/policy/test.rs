//! `hardtack policy test`

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use hardtack::Cause;
use hardtack::policy::{self, PolicyError};
use hardtack::trial::{self, Decided, Fault, Report, Statement, StatementKind, TrialError};
use hardtack_lint::{Finding, Options, Severity, lint_folder};
use serde_json::{Value, json};

use crate::args::policy::Test;
use crate::args::{Detail, EXIT_DENIED};
use crate::command::policy::junit;
use crate::command::{explained, warn_of_left_out};
use crate::terminal::{BAD, BOLD, Done, FAINT, GOOD, TEXT, WARN, now, say, say_json, with_causes};

pub(crate) fn run(arguments: &Test) -> Done {
    let start = stopwatch();
    let mut reports = Vec::new();
    for set in policy::sets(&arguments.folder)? {
        warn_of_left_out(&set);
        let report = match arguments.explain {
            Some(_) => trial::run_explained(&set, || start.elapsed()),
            None => trial::run(&set, || start.elapsed()),
        };
        reports.push(report.map_err(|error| unread(&set, &error))?);
    }
    if let Some(path) = &arguments.junit {
        junit::write(path, &reports)?;
    }
    let passes = reports.iter().all(Report::passes);
    match arguments.json {
        true => {
            let sets = reports.iter().map(as_json).collect::<Vec<_>>();
            say_json(json!({ "passes": passes, "sets": sets }))?;
        }
        false => reports.iter().try_for_each(|report| show(report, arguments.explain))?,
    }
    Ok(if passes { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DENIED) })
}

/// How long it takes, and not what time it is.
#[allow(clippy::disallowed_methods, reason = "a door has the clock")]
fn stopwatch() -> Instant {
    Instant::now()
}

/// Why a set cannot be tried. Of a statement that is refused, also what the linter says of it.
pub(super) fn unread(set: &Path, error: &TrialError) -> String {
    let said = format!("{}: {}", set.display(), with_causes(error));
    let TrialError::Policy(PolicyError::Source(source)) = error else { return said };
    let linted = lint_folder(set, &Options { now: Some(now()), ..Options::default() });
    let of_it = |finding: &&Finding| {
        finding.line == source.at.line
            && finding.severity == Severity::Error
            && Path::new(&finding.file).file_name() == Path::new(&source.at.file).file_name()
    };
    let findings = linted.map(|report| report.findings).unwrap_or_default();
    match findings.iter().find(of_it) {
        Some(Finding { message, mend, .. }) if source.problem == *message => {
            format!("{said}; {mend}")
        }
        Some(Finding { message, mend, .. }) => format!("{said}: {message}; {mend}"),
        None => said,
    }
}

/// An explanation without the keys of the trial, which stand for real ones.
pub(super) fn explain(
    case: &Decided,
    detail: Detail,
    json: bool,
    before: &str,
) -> Result<(), Box<dyn Error>> {
    let Some(explanation) = &case.explanation else { return Ok(()) };
    explained::show_as(explanation, detail, json, before, &|text| with_real_keys(case, text))
}

fn with_real_keys(case: &Decided, text: String) -> String {
    case.stand_ins.iter().fold(text, |text, (own, real)| text.replace(own, real))
}

fn show(report: &Report, detail: Option<Detail>) -> Result<(), Box<dyn Error>> {
    for case in report.unexpected() {
        say(format_args!("{BAD}failed{BAD:#} {TEXT}{BOLD}{}{BOLD:#}", case.name))?;
        say(format_args!("  {}", case.difference()))?;
        say(format_args!("  {}", case.found.message))?;
        let files = case.policies.join(", ");
        say(format_args!("  {FAINT}{}, by {}{FAINT:#}", place(report, case), files))?;
        if let Some(detail) = detail {
            explain(case, detail, false, "    ")?;
        }
    }
    for fault in &report.faults {
        say(format_args!("{BAD}not shown{BAD:#} {TEXT}{fault}"))?;
        if let Some(statement) = policy_of(report, fault) {
            say(format_args!("  {FAINT}{}{FAINT:#}", statement.text))?;
        }
    }
    for statement in silent(report) {
        let what = format!("no case uses the {} at {}", statement.kind.as_str(), statement.at);
        say(format_args!("{WARN}note{WARN:#} {TEXT}{what}"))?;
        say(format_args!("  {FAINT}{}{FAINT:#}", statement.text))?;
    }
    summarise(report)
}

fn summarise(report: &Report) -> Result<(), Box<dyn Error>> {
    let (style, word) = match report.passes() {
        true => (GOOD, "passed"),
        false => (BAD, "failed"),
    };
    let cases = report.cases.len();
    let expected = cases - report.unexpected().count();
    let policies = report.statements.iter().filter(|statement| statement.kind.is_policy());
    let decided = policies.clone().filter(|statement| statement.decided).count();
    let took = report.cases.iter().map(|case| case.took).sum::<std::time::Duration>();
    say(format_args!(
        "{style}{word}{style:#} {TEXT}{}: {cases} cases, {expected} as expected, {decided} of {} policies decided something, {} ms",
        report.folder.display(),
        policies.count(),
        took.as_millis(),
    ))
}

/// The policy of which a fault speaks.
fn policy_of<'r>(report: &'r Report, fault: &Fault) -> Option<&'r Statement> {
    let Fault::NeverDecided { kind, at } = fault else { return None };
    report
        .statements
        .iter()
        .find(|policy| !policy.decided && (policy.kind, &policy.at) == (*kind, at))
}

/// Rules and facts that did nothing, which is no fault.
fn silent(report: &Report) -> impl Iterator<Item = &Statement> {
    let inner = |kind: StatementKind| !kind.is_policy();
    report.statements.iter().filter(move |statement| inner(statement.kind) && !statement.decided)
}

fn place(report: &Report, case: &Decided) -> String {
    report.folder.join(case.at.to_string()).display().to_string()
}

fn as_json(report: &Report) -> Value {
    let verdict = |refused_for: Option<Cause>| refused_for.map_or("allow", Cause::as_str);
    let explained = |case: &Decided| {
        let text = serde_json::to_string(case.explanation.as_ref()?).ok()?;
        serde_json::from_str::<Value>(&with_real_keys(case, text)).ok()
    };
    let case = |case: &Decided| {
        let mut said = json!({
            "name": case.name,
            "at": case.at.to_string(),
            "policies": case.policies,
            "as_expected": case.is_as_expected(),
            "expected": { "verdict": verdict(case.expected), "at": case.expected_at },
            "found": { "verdict": verdict(case.found.cause), "at": case.found.place, "message": case.found.message },
            "micros": u64::try_from(case.took.as_micros()).unwrap_or(u64::MAX),
        });
        if let Some(explanation) = explained(case) {
            said["explanation"] = explanation;
        }
        said
    };
    let statement = |statement: &Statement| {
        json!({
            "kind": statement.kind.as_str(),
            "at": statement.at.to_string(),
            "text": statement.text,
            "decided": statement.decided,
        })
    };
    json!({
        "set": report.folder,
        "passes": report.passes(),
        "cases": report.cases.iter().map(case).collect::<Vec<_>>(),
        "statements": report.statements.iter().map(statement).collect::<Vec<_>>(),
        "faults": report.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
