//! `hardtack policy test`

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use hardtack::Cause;
use hardtack::policy;
use hardtack::trial::{self, Decided, Fault, Report, Statement, StatementKind};
use serde_json::{Value, json};

use crate::args::EXIT_DENIED;
use crate::args::policy::Test;
use crate::command::policy::junit;
use crate::command::warn_of_left_out;
use crate::terminal::{BAD, BOLD, Done, FAINT, GOOD, TEXT, WARN, say, say_json, with_causes};

pub(crate) fn run(arguments: &Test) -> Done {
    let start = stopwatch();
    let mut reports = Vec::new();
    for set in policy::sets(&arguments.folder)? {
        warn_of_left_out(&set);
        let report = trial::run(&set, || start.elapsed());
        reports
            .push(report.map_err(|error| format!("{}: {}", set.display(), with_causes(&error)))?);
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
        false => reports.iter().try_for_each(show)?,
    }
    Ok(if passes { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DENIED) })
}

/// How long it takes, and not what time it is.
#[allow(clippy::disallowed_methods, reason = "a door has the clock")]
fn stopwatch() -> Instant {
    Instant::now()
}

fn show(report: &Report) -> Result<(), Box<dyn Error>> {
    for case in report.unexpected() {
        say(format_args!("{BAD}failed{BAD:#} {TEXT}{BOLD}{}{BOLD:#}", case.name))?;
        say(format_args!("  {}", case.difference()))?;
        say(format_args!("  {}", case.found.message))?;
        let files = case.policies.join(", ");
        say(format_args!("  {FAINT}{}, by {}{FAINT:#}", place(report, case), files))?;
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
    let case = |case: &Decided| {
        json!({
            "name": case.name,
            "at": case.at.to_string(),
            "policies": case.policies,
            "as_expected": case.is_as_expected(),
            "expected": { "verdict": verdict(case.expected), "at": case.expected_at },
            "found": { "verdict": verdict(case.found.cause), "at": case.found.place, "message": case.found.message },
            "micros": u64::try_from(case.took.as_micros()).unwrap_or(u64::MAX),
        })
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
