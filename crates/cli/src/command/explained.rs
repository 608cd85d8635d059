//! Explained: an explanation, for people.

use std::error::Error;

use hardtack::Explanation;
use hardtack::audit::Verdict;
use hardtack::explain::{Outcome, Stage, Step};

use crate::args::Detail;
use crate::terminal::{BAD, FAINT, GOOD, TEXT, WARN, say, say_json};

pub(crate) fn show(
    explanation: &Explanation,
    detail: Detail,
    json: bool,
) -> Result<(), Box<dyn Error>> {
    show_as(explanation, detail, json, "", &|text| text)
}

/// Shows it with `before` in front of each line, and each text as `written` has it. JSON has all of it.
pub(crate) fn show_as(
    explanation: &Explanation,
    detail: Detail,
    json: bool,
    before: &str,
    written: &dyn Fn(String) -> String,
) -> Result<(), Box<dyn Error>> {
    if json {
        return say_json(written(serde_json::to_string_pretty(explanation)?));
    }
    let lines = match detail {
        Detail::Short => short(explanation),
        Detail::Full => full(explanation),
    };
    for line in lines {
        match line.as_str() {
            "" => say("")?,
            _ => say(format_args!("{before}{}", written(line)))?,
        }
    }
    Ok(())
}

/// The verdict and its cause.
fn verdict(explanation: &Explanation) -> String {
    let (style, word) = match explanation.ruling.verdict {
        Verdict::Allow => (GOOD, "allowed"),
        Verdict::Deny => (BAD, "denied"),
        Verdict::Undecided => (WARN, "undecided"),
    };
    let cause = explanation.ruling.cause.map_or(String::new(), |cause| format!(" ({cause})"));
    let message = explanation.ruling.message.trim_start_matches("allowed ");
    format!("{style}{word}{style:#} {TEXT}{message}{cause}")
}

/// Three lines: the cause, what is nearest, and what helps, of each thing that is needed the least.
fn short(explanation: &Explanation) -> Vec<String> {
    let mut lines = vec![verdict(explanation)];
    if let Some(nearest) = explanation.remedies.first() {
        lines.push(format!("{FAINT}nearest{FAINT:#} {TEXT}{}", nearest.summary));
    }
    let mut helps: Vec<&str> = Vec::new();
    for remedy in &explanation.remedies {
        let Some(change) = remedy.changes.first() else { continue };
        if !helps.contains(&change.text()) {
            helps.push(change.text());
        }
    }
    match helps.as_slice() {
        [] => {}
        [one] => lines.push(format!("{FAINT}helps{FAINT:#}   {TEXT}{one}")),
        all => {
            let all = all.join("; and ");
            lines.push(format!("{FAINT}helps{FAINT:#}   {TEXT}{all}"));
        }
    }
    lines
}

/// Every step, and each change that would help.
fn full(explanation: &Explanation) -> Vec<String> {
    let mut lines = vec![verdict(explanation), String::new()];
    let mut stage = None;
    for step in collapsed(&explanation.steps) {
        let step = &step;
        let heading = if stage == Some(step.stage) { "" } else { name(step.stage) };
        stage = Some(step.stage);
        lines.push(format!("{FAINT}{heading:<11}{FAINT:#}{}", line(step)));
    }
    lines.push(format!("{FAINT}{:<11}{TEXT}{SIGNS}{FAINT:#}", "signs"));
    if explanation.remedies.is_empty() {
        return lines;
    }
    let several = explanation.remedies.len() > 1;
    let heading =
        if several { "what would have it allowed, all of:" } else { "what would have it allowed:" };
    lines.extend([String::new(), heading.to_owned()]);
    for (number, remedy) in explanation.remedies.iter().enumerate() {
        let mark = if several { format!("{}.", number + 1) } else { "-".to_owned() };
        for (index, change) in remedy.changes.iter().enumerate() {
            lines.push(match index {
                0 => format!("  {mark} {TEXT}{}", change.text()),
                _ => format!("     {FAINT}or{FAINT:#} {TEXT}{}", change.text()),
            });
        }
    }
    lines
}

/// What the signs before the steps mean.
const SIGNS: &str = "+ holds, x refuses, . has no say, ? not reached";

/// How the checks begin that every block carries.
const OWN_CHECKS: [&str; 6] = [
    "check all time(",
    "check all operation(",
    "check all verifier(",
    "check all call(",
    "check if hop(",
    "reject if depth(",
];

/// The steps, with the checks that every block carries as one where they hold.
fn collapsed(steps: &[Step]) -> Vec<Step> {
    let mut shown: Vec<Step> = Vec::new();
    for step in steps {
        let own = step.stage == Stage::Checks
            && step.outcome == Outcome::Held
            && OWN_CHECKS.iter().any(|start| step.text.starts_with(start));
        let mut step = step.clone();
        if own {
            step.text =
                "expiry, scope, audience, holder and depth, as its checks have them".to_owned();
        }
        if !own || !shown.contains(&step) {
            shown.push(step);
        }
    }
    shown
}

fn line(step: &Step) -> String {
    let (style, mark) = match step.outcome {
        Outcome::Held => (GOOD, "+"),
        Outcome::Failed => (BAD, "x"),
        Outcome::Silent => (FAINT, "."),
        Outcome::NotReached => (FAINT, "?"),
    };
    let place = match (step.block, &step.policy) {
        (Some(block), _) if step.text.starts_with(&format!("block {block} ")) => String::new(),
        (Some(block), _) => format!("block {block}: "),
        (None, Some(policy)) => format!("{policy}: "),
        (None, None) => String::new(),
    };
    match step.outcome {
        Outcome::Silent | Outcome::NotReached => {
            format!("{FAINT}{mark} {TEXT}{place}{}{FAINT:#}", step.text)
        }
        _ => format!("{style}{mark}{style:#} {TEXT}{FAINT}{place}{FAINT:#}{}", step.text),
    }
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Shape => "shape",
        Stage::Signatures => "signatures",
        Stage::Revocation => "revocation",
        Stage::Walk => "chain",
        Stage::Call => "call",
        Stage::Checks => "checks",
        Stage::Policies => "policies",
        Stage::Record => "record",
    }
}
