//! Verifier: what this library answers to a case, from what the file says alone.

use hardtack::revocation::RevocationUnchecked;
use hardtack::*;

use crate::case::{Answer, Lives, Validation};

/// The policy where a case names none: what the chain grants is allowed.
const PLAIN_POLICY: &str = "allow if granted($operation);";

pub fn decide(bearer: &str, validation: &Validation, root: PublicKey) -> Answer {
    let call = match validation.call() {
        Ok(call) => call,
        Err(error) => return of_denial(&Denial::from(error)),
    };
    let guard = guard(validation, root);
    if validation.options.accepted_before {
        guard.check(bearer, &call, validation.now).unwrap();
    }
    if validation.options.revokes {
        let request = validation.arguments.as_deref().unwrap();
        let request = RevocationRequest::parse(request).unwrap();
        return match guard.check_revocation(bearer, &request, validation.now) {
            Ok(_) => of_verified(&guard.verifier().verify(bearer, validation.now).unwrap()),
            Err(denial) => of_denial(&denial),
        };
    }
    answer(&guard, bearer, &call, validation.now)
}

/// What a guard answers that may know this token, and others.
pub fn answer(guard: &Guard, bearer: &str, call: &Call, now: Timestamp) -> Answer {
    match guard.check(bearer, call, now) {
        Ok(permit) => Answer::Ok {
            subject: permit.subject().to_owned(),
            agent: permit.agent().map(str::to_owned),
            depth: permit.chain().depth(),
        },
        Err(denial) => of_denial(&denial),
    }
}

pub fn guard(validation: &Validation, root: PublicKey) -> Guard {
    let options = &validation.options;
    let roots = match &options.root_keys {
        None => RootKeys::of(root),
        Some(keys) => keys.iter().fold(RootKeys::default(), |roots, root| match root.id {
            Some(id) => roots.and_with_id(id, root.key),
            None => roots.and(root.key),
        }),
    };
    let audience = validation.audience.as_str();
    let mut verifier = match &options.revocations {
        Some(list) => Verifier::new(roots, audience, Revocations::copied(list)).unwrap(),
        None => Verifier::new(roots, audience, RevocationUnchecked).unwrap(),
    };
    if options.accept_unbound_hops {
        verifier = verifier.accept_unbound_hops();
    }
    if let Some(schemes) = &options.resource_schemes {
        verifier = verifier.resource_schemes(schemes);
    }
    if let Some(Lives { grant, hop, session, call }) = options.lifetimes {
        let [grant, hop, session, call] =
            [grant, hop, session, call].map(std::time::Duration::from_secs);
        verifier = verifier.lifetimes(Lifetimes { grant, hop, session, call });
    }
    let names = options.directory.iter();
    let names = names.flat_map(|(name, keys)| keys.iter().map(move |key| (name, key)));
    let directory = names.fold(Directory::default(), |all, (name, key)| all.and(name, *key));
    let verifier = verifier.directory(directory);
    let policy = validation.policy.as_deref().unwrap_or(PLAIN_POLICY);
    let policy = Policy::parse("policy.datalog", policy).unwrap();
    // What was used can only be known to a store.
    match options.accepted_before {
        true => Guard::new(verifier, policy, Store::in_memory().unwrap()),
        false => Guard::unrecorded(verifier, policy),
    }
}

fn of_verified(verified: &VerifiedCapability) -> Answer {
    Answer::Ok {
        subject: verified.subject().to_owned(),
        agent: verified.agent().map(str::to_owned),
        depth: verified.chain().depth(),
    }
}

fn of_denial(denial: &Denial) -> Answer {
    let refusal = denial.refusal();
    let status = match (denial, refusal.cause.as_str()) {
        (Denial::Unauthenticated(_), _) => 401,
        (Denial::Forbidden(_), "inexact_call" | "call_too_large") => 400,
        (Denial::Forbidden(_), _) => 403,
        (Denial::Undecided(_), _) => 503,
    };
    Answer::Err { cause: refusal.cause.to_string(), block: refusal.hop, status }
}
