//! `hardtack check`

use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;

use hardtack::audit::Verdict;
use hardtack::revocation::RevocationUnchecked;
use hardtack::{Call, Denial, Guard, Policy, RootKeys, StoreError, Verifier};

use crate::args::{Check, EXIT_DENIED, EXIT_FAILED};
use crate::command::open_or_create;
use crate::terminal::{self, BAD, Done, GOOD, WARN, now, read_token, say, warn};

/// The cause when the store cannot be opened.
const STORE_UNAVAILABLE: &str = "store_unavailable";

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    decision: Verdict,
    cause: Option<&'a str>,
    hop: Option<usize>,
    message: &'a str,
}

pub(crate) fn run(arguments: &Check) -> Done {
    let call = call(arguments)?;
    let guard = match guard(arguments) {
        // Whether anything is revoked cannot be known, which is an answer and no wrong usage.
        Err(error) if error.is::<StoreError>() && arguments.json => {
            let message = &terminal::with_causes(&*error);
            let (decision, cause) = (Verdict::Undecided, Some(STORE_UNAVAILABLE));
            answer(arguments, &Answer { decision, cause, hop: None, message })?;
            return Ok(ExitCode::from(EXIT_FAILED));
        }
        guard => guard?,
    };
    let bearer = read_token()?;
    let now = arguments.at.unwrap_or_else(now);
    match guard.check(&bearer, &call, now) {
        Ok(permit) => {
            let whom = permit.agent().map_or(String::new(), |agent| format!(" through {agent}"));
            let message = format!(
                "{} for {}{whom}, by {}",
                call.operation(),
                permit.subject(),
                permit.allowed_by()
            );
            answer(
                arguments,
                &Answer { decision: Verdict::Allow, cause: None, hop: None, message: &message },
            )?;
            Ok(ExitCode::SUCCESS)
        }
        Err(denial) => {
            let refusal = denial.refusal();
            let decision = denial.verdict();
            let cause = Some(refusal.cause);
            answer(
                arguments,
                &Answer { decision, cause, hop: refusal.hop, message: &refusal.message },
            )?;
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
    if let Some(uri) = &arguments.resource {
        call = call.resource(uri)?;
    }
    for argument in &arguments.arg {
        let (name, json) = argument
            .split_once('=')
            .ok_or("an argument is written NAME=JSON, such as amount=20 or query='\"roadmap\"'")?;
        call = call.argument(name, json)?;
    }
    Ok(call)
}

fn guard(arguments: &Check) -> Result<Guard, Box<dyn Error>> {
    let roots = arguments.root.iter().fold(RootKeys::default(), |roots, (id, key)| match id {
        Some(id) => roots.and_with_id(*id, *key),
        None => roots.and(*key),
    });
    let policy = match &arguments.policies {
        Some(folder) => Policy::load(folder)?,
        None => Policy::builtin(),
    };
    let audience = &arguments.audience;
    let Some(path) = &arguments.store else {
        warn("without --store, neither revocation nor replay is checked and no record is kept");
        let verifier = Verifier::new(roots, audience, RevocationUnchecked)?;
        return Ok(Guard::unrecorded(set_up(verifier, arguments), policy));
    };
    let mut store = open_or_create(path)?;
    if arguments.at.is_some() {
        store = store.for_supposed_times();
    }
    let verifier = Verifier::new(roots, audience, store.revocations())?;
    Ok(Guard::new(set_up(verifier, arguments), policy, store))
}

fn set_up(mut verifier: Verifier, arguments: &Check) -> Verifier {
    // Whoever types a resource here means its scheme to be judged.
    if let Some((scheme, _)) = arguments.resource.as_ref().and_then(|uri| uri.split_once(':')) {
        verifier = verifier.resource_schemes([scheme]);
    }
    match arguments.accept_unbound_hops {
        true => verifier.accept_unbound_hops(),
        false => verifier,
    }
}

fn answer(arguments: &Check, answer: &Answer<'_>) -> Result<(), Box<dyn Error>> {
    if arguments.json {
        say(format_args!("{}", serde_json::to_string(answer)?))?;
        return Ok(());
    }
    let (style, word) = match answer.decision {
        Verdict::Allow => (GOOD, "allowed"),
        Verdict::Deny => (BAD, "denied"),
        Verdict::Undecided => (WARN, "undecided"),
    };
    let cause = answer.cause.map_or(String::new(), |cause| format!(" ({cause})"));
    say(format_args!("{style}{word}{style:#} {}{cause}", answer.message))?;
    Ok(())
}
