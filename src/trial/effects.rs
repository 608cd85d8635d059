//! Effects: what each statement of the policies did for one call, and not only the first that refused it.

use std::collections::HashMap;

use biscuit_auth::builder::CheckKind;
use biscuit_auth::datalog::{Fact, Rule, Term};

use crate::authorize::alone::alone;
use crate::authorize::stock::Stock;
use crate::authorize::{Allowed, AuthorizeError, PreparedSets};
use crate::call::Call;
use crate::datalog::{VERIFIER, World};
use crate::policy::{Location, Policy};
use crate::trial::report::StatementKind;
use crate::verify::VerifiedCapability;

/// The statements of a set, in the order in which [`effects`] speaks of them.
pub(crate) fn statements(policy: &Policy) -> impl Iterator<Item = (StatementKind, &Location)> {
    let allows = policy.allows.iter().map(|(at, _)| (StatementKind::Allow, at));
    let denies = policy.denies.iter().map(|(at, _)| (StatementKind::Deny, at));
    let checks = policy.checks.iter().map(|(at, _)| (StatementKind::Check, at));
    let rules = policy.places.rules.iter().map(|at| (StatementKind::Rule, at));
    let facts = policy.places.facts.iter().map(|at| (StatementKind::Fact, at));
    allows.chain(denies).chain(checks).chain(rules).chain(facts)
}

/// The numbers of the statements that did something: the `allow`, `deny` or check [alone](crate::authorize::alone) for which the call has
/// its cause, the rules that derived, and the facts that were part of what matched. `None` if the call never came before the policies,
/// or their rules cannot be evaluated.
pub(crate) fn effects(
    sets: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
    decided: &Result<Allowed, AuthorizeError>,
) -> Option<Vec<usize>> {
    if decided.as_ref().is_err_and(|error| !error.rests_on_policies()) {
        return None;
    }
    let prepared = sets.prepare(verified, policy).ok()?;
    let world = World::of(&prepared, verified, policy, call).ok()?;
    let before = match decided {
        Ok(_) => 0,
        Err(AuthorizeError::Denied { .. }) => policy.allows.len(),
        Err(_) => policy.allows.len() + policy.denies.len(),
    };
    let alone = alone(&prepared, &world, verified, policy, call, decided);
    let mut did: Vec<usize> = alone.into_iter().map(|number| before + number).collect();
    if !policy.adds_facts() {
        return Some(did);
    }
    let stock = Stock::of(&world);
    let before = policy.allows.len() + policy.denies.len() + policy.checks.len();
    let derives = |rule: &Rule| {
        let rule = std::slice::from_ref(rule);
        stock.may_match(rule, None) && world.matches_any(rule) == Ok(true)
    };
    let rules = policy.rules.iter().enumerate().filter(|(_, rule)| derives(rule));
    did.extend(rules.map(|(number, _)| before + number));
    let before = before + policy.rules.len();
    // Last, for all of it is paid from one budget.
    let used = Used::of(&world, &stock, policy).0.into_iter().enumerate();
    did.extend(used.filter_map(|(number, used)| used.then_some(before + number)));
    Some(did)
}

/// Which of the policies' facts were part of a match.
pub(super) struct Used(pub(super) Vec<bool>);

impl Used {
    pub(super) fn of(world: &World, stock: &Stock<'_>, policy: &Policy) -> Used {
        let mut used = Used(vec![false; policy.facts.len()]);
        let mut places: HashMap<&Fact, Vec<usize>> = HashMap::new();
        for (index, fact) in policy.facts.iter().enumerate() {
            places.entry(fact).or_default().push(index);
        }
        if places.is_empty() {
            return used;
        }
        let policies = policy.allows.iter().chain(&policy.denies).flat_map(|(_, queries)| queries);
        let policies = policy.rules.iter().chain(policies);
        for query in policies.filter(|query| stock.may_match(std::slice::from_ref(*query), None)) {
            used.look(world, query, &places, CheckKind::One);
        }
        for (_, check) in &policy.checks {
            for query in &check.queries {
                used.look(world, query, &places, check.kind.clone());
            }
        }
        used
    }

    fn look(
        &mut self,
        world: &World,
        query: &Rule,
        places: &HashMap<&Fact, Vec<usize>>,
        kind: CheckKind,
    ) {
        // What cannot be evaluated is refused by the decision itself; here it only says nothing.
        let _ = world.each_candidate(query, VERIFIER, |_, variables, holds| {
            // A `check all` is decided by what does not hold, too.
            if !holds && !matches!(kind, CheckKind::All) {
                return;
            }
            for predicate in &query.body {
                let terms = predicate.terms.iter().map(|term| match term {
                    Term::Variable(name) => {
                        variables.get(name).cloned().unwrap_or_else(|| term.clone())
                    }
                    term => term.clone(),
                });
                let fact = Fact::new(predicate.name, &terms.collect::<Vec<_>>());
                for index in places.get(&fact).into_iter().flatten() {
                    if let Some(used) = self.0.get_mut(*index) {
                        *used = true;
                    }
                }
            }
        });
    }
}
