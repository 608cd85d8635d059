//! Rests: does a refusal rest on the arguments or the resource of the call, so that another call may pass?
//!
//! For whoever is refused, and so no more than this is found: of a policy, which arguments of this call it names; of a
//! delegator's condition, which the token says openly, all that it names.

use biscuit_auth::datalog::{Rule, SymbolTable, Term};

use crate::authorize::facts::{ARGUMENT, ARGUMENT_PREDICATES, Asked};
use crate::authorize::unknown::Unknown;
use crate::authorize::{AuthorizeError, prepare};
use crate::call::Call;
use crate::policy::Policy;
use crate::spelling::fold;
use crate::verify::VerifiedCapability;

/// The arguments on which the refusal of a call rests; `None` if it rests on nothing that another call could have otherwise.
pub(crate) fn rests_on(
    error: &AuthorizeError,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Option<Vec<String>> {
    let prepared = prepare(verified, policy).ok()?;
    let mut symbols = prepared.base.words().clone();
    let of_call = ARGUMENT_PREDICATES.into_iter().chain(["resource"]);
    let of_call = Unknown::of(of_call, &policy.rules, &mut symbols);
    let reads_call = |queries: &[Rule]| queries.iter().any(|query| of_call.touches(query));
    let queries: Vec<&[Rule]> = match error {
        AuthorizeError::CheckFailed { block, check } => {
            let found = prepared.checks.iter().find(|(of, at, _)| (of, at) == (block, check));
            let queries = found.map(|(_, _, check)| check.queries.as_slice())?;
            return reads_call(queries).then(|| names(&[queries], &symbols));
        }
        AuthorizeError::Denied { at } => {
            let denies = policy.denies.iter().filter(|(other, _)| other == at);
            denies.map(|(_, queries)| queries.as_slice()).collect()
        }
        AuthorizeError::PolicyCheckFailed { at } => {
            let checks = policy.checks.iter().filter(|(other, _)| other == at);
            checks.map(|(_, check)| check.queries.as_slice()).collect()
        }
        AuthorizeError::NothingAllows => {
            let relevant = prepared.relevant(policy, &Asked::of(verified, call));
            let mut allows = relevant.allows.iter().map(|(index, _)| &policy.allows[*index].1);
            return allows.any(|queries| reads_call(queries)).then(Vec::new);
        }
        _ => return None,
    };
    if !queries.iter().any(|queries| reads_call(queries)) {
        return None;
    }
    let named = names(&queries, &symbols);
    let is_named = |name: &str| named.iter().any(|other| fold(other) == fold(name));
    Some(
        call.argument_terms()
            .map(|(name, _)| name.to_owned())
            .filter(|name| is_named(name))
            .collect(),
    )
}

/// The names of arguments that stand in queries.
fn names(queries: &[&[Rule]], symbols: &SymbolTable) -> Vec<String> {
    let predicates = queries.iter().copied().flatten().flat_map(|query| &query.body);
    let names = predicates.filter_map(|one| match one.terms.first() {
        Some(Term::Str(name)) if symbols.get_symbol(one.name) == Some(ARGUMENT) => {
            symbols.get_symbol(*name).map(str::to_owned)
        }
        _ => None,
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}
