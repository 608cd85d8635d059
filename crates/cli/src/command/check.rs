//! `hardtack check`

use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;

use hardtack::audit::Verdict;
use hardtack::call::{ArgumentProblem, CallError};
use hardtack::ruling::Ruling;
use hardtack::{Call, Cause, Denial, StoreError};

use crate::args::{Check, EXIT_DENIED, EXIT_FAILED};
use crate::command::deciding::guard;
use crate::command::explained;
use crate::secrets::hidden;
use crate::terminal::{
    self, BAD, Done, GOOD, TEXT, WARN, even_unread, now, read_token, say, say_json,
};

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    decision: Verdict,
    cause: Option<Cause>,
    hop: Option<usize>,
    place: Option<&'a str>,
    message: &'a str,
    /// In how many seconds a new grant would not be refused for the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl<'a> Answer<'a> {
    fn of(ruling: &'a Ruling, retry_after: Option<u64>) -> Answer<'a> {
        Answer {
            decision: ruling.verdict,
            cause: ruling.cause,
            hop: ruling.hop,
            place: ruling.place.as_deref(),
            message: &ruling.message,
            retry_after,
        }
    }
}

pub(crate) fn run(arguments: &Check) -> Done {
    let call = call(arguments)?;
    let guard = match guard(&arguments.deciding, arguments.resource.as_deref()) {
        // Whether anything is revoked cannot be known, which is an answer and no wrong usage.
        Err(error) if error.is::<StoreError>() && arguments.json => {
            let message = &terminal::with_causes(&*error);
            let (decision, cause) = (Verdict::Undecided, Some(Cause::StoreUnavailable));
            let nowhere =
                Answer { decision, cause, hop: None, place: None, message, retry_after: None };
            answer(arguments, &nowhere)?;
            return Ok(ExitCode::from(EXIT_FAILED));
        }
        guard => guard?,
    };
    let bearer = read_token()?;
    let now = arguments.deciding.at.unwrap_or_else(now);
    if let Some(detail) = arguments.explain {
        let guard = match arguments.without_arguments {
            true => guard.explain_without_arguments(),
            false => guard,
        };
        let (outcome, explanation) = guard.check_explained(&bearer, &call, now);
        even_unread(explained::show(&explanation, detail, arguments.json))?;
        return Ok(outcome
            .err()
            .map_or(ExitCode::SUCCESS, |denial| ExitCode::from(exit_code(&denial))));
    }
    match guard.check(&bearer, &call, now) {
        Ok(permit) => {
            let mut ruling = Ruling::from(&permit);
            if !arguments.json {
                let whom =
                    permit.agent().map_or(String::new(), |agent| format!(" through {agent}"));
                let (what, subject, by) = (call.operation(), permit.subject(), permit.allowed_by());
                ruling.message = format!("{what} for {subject}{whom}, by {by}");
            }
            answer(arguments, &Answer::of(&ruling, None))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(denial) => {
            let retry_after = denial.refusal().retry_after.map(|wait| wait.as_secs());
            answer(arguments, &Answer::of(&Ruling::from(&denial), retry_after))?;
            Ok(ExitCode::from(exit_code(&denial)))
        }
    }
}

fn exit_code(denial: &Denial) -> u8 {
    match denial {
        Denial::Unauthenticated(_) | Denial::Forbidden(_) => EXIT_DENIED,
        Denial::Undecided(_) => EXIT_FAILED,
    }
}

fn call(arguments: &Check) -> Result<Call, Box<dyn Error>> {
    let mut call = Call::new(&arguments.operation)?;
    if arguments.large_integers {
        call = call.large_integers();
    }
    if let Some(uri) = &arguments.resource {
        call = call.resource(uri)?;
    }
    for argument in &arguments.arg {
        let (name, json) = argument
            .split_once('=')
            .ok_or("an argument is written NAME=JSON, such as amount=20 or query='\"roadmap\"'")?;
        call = call.argument_json(name, json).map_err(|error| match error {
            CallError::Arguments(ArgumentProblem::NotJson) => format!(
                "{name} is no JSON: a text needs quotes that the shell leaves, as in --arg '{name}=\"roadmap\"'"
            ),
            error => error.to_string(),
        })?;
    }
    Ok(call)
}

/// The exit code says it, too, also to whoever reads no more.
fn answer(arguments: &Check, answer: &Answer<'_>) -> Result<(), Box<dyn Error>> {
    // It may quote what was typed.
    let answer = &Answer { message: &hidden(answer.message), ..*answer };
    if arguments.json {
        return even_unread(say_json(serde_json::to_string(answer)?));
    }
    let (style, word) = match answer.decision {
        Verdict::Allow => (GOOD, "allowed"),
        Verdict::Deny => (BAD, "denied"),
        Verdict::Undecided => (WARN, "undecided"),
    };
    let cause = answer.cause.map_or(String::new(), |cause| format!(" ({cause})"));
    even_unread(say(format_args!("{style}{word}{style:#} {TEXT}{}{cause}", answer.message)))
}
