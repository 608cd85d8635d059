//! `hardtack policy eval`

use std::error::Error;
use std::process::ExitCode;

use hardtack::audit::Verdict;
use hardtack::trial::{self, Decided};
use hardtack::{Cause, names};
use serde::de::IgnoredAny;
use toml::{Table, Value};

use crate::args::policy::Eval;
use crate::args::{Detail, EXIT_DENIED, EXIT_FAILED};
use crate::command::policy::test::{explain, unread};
use crate::command::warn_of_left_out;
use crate::terminal::{BAD, Done, TEXT, say, say_json};

/// How messages name what was typed.
const NAME: &str = "the command line";

pub(crate) fn run(arguments: &Eval) -> Done {
    warn_of_left_out(&arguments.folder);
    let case = case(arguments)?.to_string();
    let decided = trial::evaluate(&arguments.folder, NAME, &case);
    let decided = decided.map_err(|error| unread(&arguments.folder, &error))?;
    let case = decided.first().ok_or("nothing was decided")?;
    if case.found.cause == Some(Cause::MalformedCase) {
        return Err(case.found.message.clone().into());
    }
    show(case, arguments.explain, arguments.json)?;
    Ok(match case.found.verdict {
        Verdict::Allow => ExitCode::SUCCESS,
        Verdict::Deny => ExitCode::from(EXIT_DENIED),
        Verdict::Undecided => ExitCode::from(EXIT_FAILED),
    })
}

fn show(case: &Decided, detail: Detail, json: bool) -> Result<(), Box<dyn Error>> {
    if case.explanation.is_some() {
        return explain(case, detail, json, "");
    }
    // No decision came to it: the call is none that could be judged.
    if json {
        return say_json(serde_json::to_string_pretty(&case.found)?);
    }
    let cause = case.found.cause.map_or(String::new(), |cause| format!(" ({cause})"));
    say(format_args!("{BAD}denied{BAD:#} {TEXT}{}{cause}", names::escaped(&case.found.message)))
}

/// What was typed, as a file of cases says it.
fn case(typed: &Eval) -> Result<Table, Box<dyn Error>> {
    let texts = |texts: &[String]| Value::Array(texts.iter().cloned().map(Value::String).collect());
    let mut case = Table::new();
    let mut say = |key: &str, value: Value| drop(case.insert(key.to_owned(), value));
    say("name", Value::String("the call".to_owned()));
    say("operation", Value::String(typed.operation.clone()));
    say("expect", Value::String("allow".to_owned()));
    match typed.scope.as_slice() {
        [] => say("scopes", texts(std::slice::from_ref(&typed.operation))),
        scopes => say("scopes", texts(scopes)),
    }
    for (key, list) in [("facts", &typed.fact), ("allow", &typed.allow), ("hops", &typed.hop)] {
        say(key, texts(list));
    }
    let one = [
        ("subject", typed.subject.clone()),
        ("resource", typed.resource.clone()),
        ("server", typed.audience.clone()),
        ("issuer", typed.issuer.clone()),
        ("at", typed.at.map(|at| at.to_string())),
        ("presented", typed.call_bound.then(|| "call".to_owned())),
        ("arguments", arguments(&typed.arg)?),
    ];
    for (key, text) in one {
        if let Some(text) = text {
            say(key, Value::String(text));
        }
    }
    if !typed.resource_scheme.is_empty() {
        say("resource_schemes", texts(&typed.resource_scheme));
    }
    let mut file = Table::new();
    if !typed.key.is_empty() {
        let keys = typed.key.iter().map(|pair| {
            let (agent, key) =
                pair.split_once('=').ok_or("a key is written AGENT=KEY, 64 hexadecimal digits")?;
            let key = key.strip_prefix("ed25519/").unwrap_or(key);
            Ok((agent.to_owned(), Value::String(key.to_owned())))
        });
        let keys = keys.collect::<Result<Table, Box<dyn Error>>>()?;
        file.insert("keys".to_owned(), Value::Table(keys));
    }
    file.insert("case".to_owned(), Value::Array(vec![Value::Table(case)]));
    Ok(file)
}

/// The arguments as the text of a JSON object. It is put together of what was typed, so that no number is rounded.
fn arguments(typed: &[String]) -> Result<Option<String>, Box<dyn Error>> {
    if typed.is_empty() {
        return Ok(None);
    }
    let members = typed.iter().map(|argument| {
        let (name, json) = argument
            .split_once('=')
            .ok_or("an argument is written NAME=JSON, such as amount=20 or query='\"roadmap\"'")?;
        serde_json::from_str::<IgnoredAny>(json).map_err(|_| {
            let name = names::escaped(&name);
            format!("{name} is no JSON: a text needs quotes that the shell leaves, as in --arg '{name}=\"roadmap\"'")
        })?;
        Ok(format!("{}: {json}", serde_json::to_string(name)?))
    });
    let members = members.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    Ok(Some(format!("{{{}}}", members.join(", "))))
}
