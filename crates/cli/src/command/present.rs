//! `hardtack present`

use std::process::ExitCode;

use hardtack::{Call, Operation, Presenting};

use crate::args::Present;
use crate::command::read_capability;
use crate::reading;
use crate::terminal::{Done, now, say, warn};

pub(crate) fn run(arguments: &Present) -> Done {
    let key = arguments.key.as_deref().map(reading::key).transpose()?;
    let mut presenting = Presenting::to(&arguments.audience);
    if let Some(call) = &arguments.call {
        presenting = presenting.call(parsed(call)?);
    }
    presenting = arguments.ttl.into_iter().fold(presenting, Presenting::ttl);
    let capability = read_capability()?;
    let presentation = match &key {
        Some(key) => capability.present(presenting, key, now())?,
        None => capability.present_unbound(presenting, now())?,
    };
    if presentation.is_long() {
        warn(&format!(
            "the bearer has {} characters; many proxies cut headers off at about 8000",
            presentation.bearer().len()
        ));
    }
    say(format_args!("{}", presentation.bearer()))?;
    Ok(ExitCode::SUCCESS)
}

/// A call in JSON. An operation alone is not taken for one: its arguments would be none, and not any.
fn parsed(text: &str) -> Result<Call, String> {
    // Whoever is called says which integers it takes.
    Call::parse_with_large_integers(text).map_err(|error| {
        let example = match text.parse::<Operation>() {
            Ok(operation) => operation.to_string(),
            Err(_) if text.trim_start().starts_with('{') => return format!("--call: {error}"),
            Err(_) => "tools:call:search".to_owned(),
        };
        format!(
            "--call takes the whole call as JSON, such as '{{\"operation\": \"{example}\", \"arguments\": {{\"query\": \"roadmap\"}}}}'; a call without arguments is '{{\"operation\": \"{example}\"}}'"
        )
    })
}
