//! `hardtack policy replay`

use std::error::Error;
use std::process::ExitCode;

use hardtack::AuditRecord;
use serde::Serialize;

use crate::args::{EXIT_FAILED, policy};
use crate::command::load_policy;
use crate::command::policy::replaying::{Flips, Replay, ReplayReport};
use crate::reading;
use crate::terminal::{BAD, Done, FAINT, GOOD, NAME, TEXT, WARN, say, say_json, warn};

/// What says that something flips.
const EXIT_FLIPS: u8 = 1;

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    policy: &'a str,
    #[serde(flatten)]
    report: &'a ReplayReport,
}

pub(crate) fn run(arguments: &policy::Replay) -> Done {
    let policy = load_policy(&arguments.policies)?;
    let digest = policy.digest().to_owned();
    let mut replay = Replay::by(policy);
    for (index, line) in reading::lines(&arguments.records)?.enumerate() {
        let at = |error: &dyn Error| {
            format!("{}, line {}: {error}", arguments.records.display(), index + 1)
        };
        let line = line.map_err(|error| at(&error))?;
        if line.trim().is_empty() {
            continue;
        }
        let record: AuditRecord = serde_json::from_str(&line).map_err(|error| {
            format!("{}; give what `hardtack audit --json` exports", at(&error))
        })?;
        replay.read(&record).map_err(|error| at(&error))?;
    }
    let report = replay.report();
    match arguments.json {
        true => say_json(serde_json::to_string(&Answer { policy: &digest, report: &report })?)?,
        false => print(&report)?,
    }
    // An export that failed must not look like one in which nothing flips.
    if report.flip + report.stay == 0 {
        warn(
            "no decision could be decided again: give records of decisions that a gateway kept with --keep-requests",
        );
        return Ok(ExitCode::from(EXIT_FAILED));
    }
    Ok(match report.flip {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(EXIT_FLIPS),
    })
}

fn print(report: &ReplayReport) -> Result<(), Box<dyn Error>> {
    report.flips.iter().try_for_each(print_flips)?;
    let (style, word) = if report.flip == 0 { (GOOD, "stay") } else { (WARN, "flip") };
    say(format_args!(
        "{style}{word}{style:#} {TEXT}{} of {} decisions by policies flip, {} stay",
        report.flip,
        report.flip + report.stay + report.not_kept + report.rest_on_arguments,
        report.stay
    ))?;
    if report.rest_on_arguments > 0 {
        say(format_args!(
            "     {} rest on arguments, of which only digests were kept",
            report.rest_on_arguments
        ))?;
    }
    if report.not_kept > 0 {
        say(format_args!("     {} cannot be decided again: no request was kept", report.not_kept))?;
        warn("requests are kept by a gateway with --keep-requests");
    }
    say(format_args!(
        "     {FAINT}{} records of decisions for which no policy was asked, or of no decision{FAINT:#}",
        report.without_policies
    ))
}

fn print_flips(flips: &Flips) -> Result<(), Box<dyn Error>> {
    let place = flips.place.as_ref().map_or(String::new(), |place| format!(" by {place}"));
    let Flips { operation, from, to, count, .. } = flips;
    let style = if to.starts_with("allow") { WARN } else { BAD };
    say(format_args!("{NAME}{operation}{NAME:#} {from} → {style}{to}{style:#}{place}: {count}"))?;
    for example in &flips.examples {
        let agent = example.agent.as_ref().map_or(String::new(), |agent| format!(" → {agent}"));
        say(format_args!(
            "     {:>4} {TEXT}{FAINT}{}{FAINT:#} {}{agent}: {}",
            example.sequence, example.time, example.subject, example.message
        ))?;
    }
    Ok(())
}
