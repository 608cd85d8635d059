//! Rests: does a refusal rest on the arguments or the resource of the call, so that another call may pass?
//!
//! This is told to whoever is refused, so no more than this is found: of a policy, which arguments of this call it
//! names; of a delegator's condition, which the token says openly, all arguments that it names.

use std::collections::HashSet;

use biscuit_auth::datalog::{Rule, SymbolTable, Term};

use crate::authorize::facts::{Asked, BY_ARGUMENTS};
use crate::authorize::{AuthorizeError, PreparedSets};
use crate::call::Call;
use crate::datalog::partial::Unknown;
use crate::policy::Policy;
use crate::profile::vocabulary::{ARGUMENT, By, names_by};
use crate::spelling::{MAX_FOLDED_BYTES, fold};
use crate::verify::VerifiedCapability;

/// The arguments on which the refusal of a call rests; `None` if it rests on nothing that another call could have otherwise.
pub(crate) fn rests_on(
    error: &AuthorizeError,
    prepared: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Option<Vec<String>> {
    let prepared = prepared.prepare(verified, policy).ok()?;
    let mut symbols = prepared.base.words().clone();
    let of_call = names_by(&BY_ARGUMENTS).chain(names_by(&[By::Resource]));
    let of_call = Unknown::of(of_call, &policy.rules, &mut symbols);
    let reads_call = |queries: &[Rule]| queries.iter().any(|query| of_call.touches(query));
    let queries: Vec<&[Rule]> = match error {
        AuthorizeError::CheckFailed { block, check } => {
            let mut checks = prepared.checks.iter();
            let found = checks.find(|known| (&known.0, &known.1) == (block, check))?;
            let queries = found.2.queries.as_slice();
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
    let named = folded_names(&queries, &symbols, policy);
    let arguments = call.argument_terms().map(|(name, _)| name);
    Some(arguments.filter(|name| named.contains(&*fold(name))).map(str::to_owned).collect())
}

/// What the names of arguments that stand in queries are folded to. Those that refuse were folded when the policies were
/// loaded; of the others no more are than in a decision, and who is refused is told of fewer.
fn folded_names(queries: &[&[Rule]], symbols: &SymbolTable, policy: &Policy) -> HashSet<String> {
    let mut left = MAX_FOLDED_BYTES;
    let mut folded = HashSet::new();
    for (word, name) in numbered_names(queries, symbols) {
        let cost = if name.is_ascii() { 0 } else { name.len() };
        match policy.names.asked(word) {
            Some(known) => drop(folded.insert(known.to_owned())),
            None if cost <= left => {
                left -= cost;
                folded.insert(fold(name).into_owned());
            }
            None => {}
        }
    }
    folded
}

/// The names of arguments that stand in queries.
fn names(queries: &[&[Rule]], symbols: &SymbolTable) -> Vec<String> {
    let mut names: Vec<String> =
        numbered_names(queries, symbols).map(|(_, name)| name.to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

/// The same with the numbers of these words.
fn numbered_names<'a>(
    queries: &'a [&[Rule]],
    symbols: &'a SymbolTable,
) -> impl Iterator<Item = (u64, &'a str)> {
    let predicates = queries.iter().copied().flatten().flat_map(|query| &query.body);
    predicates.filter_map(|one| match one.terms.first() {
        Some(Term::Str(name)) if symbols.get_symbol(one.name) == Some(ARGUMENT) => {
            Some((*name, symbols.get_symbol(*name)?))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{PrivateKey, RootKeys};
    use crate::mint::{Grant, Issuer};
    use crate::policy::Location;
    use crate::present::Presenting;
    use crate::revocation::RevocationUnchecked;
    use crate::spelling::FOLDED;
    use crate::timestamp::Timestamp;
    use crate::verify::Verifier;

    fn verified() -> VerifiedCapability {
        let now = Timestamp::from_unix_seconds(1_795_428_000);
        let issuer = Issuer::new(PrivateKey::generate());
        let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
        let token = issuer.mint(grant, now).unwrap();
        let bearer = token.present(Presenting::to("notion.mcp"), &alice, now).unwrap();
        let roots = RootKeys::of(issuer.public());
        let verifier = Verifier::new(roots, "notion.mcp", RevocationUnchecked).unwrap();
        verifier.verify(bearer.bearer(), now).unwrap()
    }

    /// Each name of the call is folded once, and of those in the policies none that was when they were loaded, and else no
    /// more than a decision folds.
    #[test]
    fn what_names_are_folded_to_is_found_once_and_within_the_bound() {
        let verified = verified();
        let arguments: Vec<String> = (0..400).map(|n| format!("\"A{n}\": 1")).collect();
        let arguments = format!("{{{}}}", arguments.join(","));
        let call = Call::tool("search").unwrap().arguments(&arguments).unwrap();
        let long = "\u{fdfa}".repeat(20);
        let at = Location { file: "p".to_owned(), line: 2 };
        let rests = |statement: &str, error: AuthorizeError| {
            let named = (300..700).map(|n| match n < 400 {
                true => statement.replace("NAME", &format!("a{n}")),
                false => statement.replace("NAME", &format!("{long}{n}")),
            });
            let text = format!("allow if true;\n{}", named.collect::<String>());
            let policy = Policy::parse("p", &text).unwrap();
            let prepared = PreparedSets::default();
            prepared.prepare(&verified, &policy).unwrap();
            let before = FOLDED.get();
            let rests = rests_on(&error, &prepared, &verified, &policy, &call).unwrap();
            assert_eq!(rests.len(), 100, "{statement}");
            FOLDED.get() - before
        };
        let denied = AuthorizeError::Denied { at: at.clone() };
        assert_eq!(rests("deny if arg(\"NAME\", 1); ", denied), 400);
        let failed = AuthorizeError::PolicyCheckFailed { at };
        let folded = rests("check if arg(\"NAME\", 2); ", failed);
        let most = MAX_FOLDED_BYTES / (20 * 3);
        assert!((500..=500 + most).contains(&folded), "{folded}");
    }
}
