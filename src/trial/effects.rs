//! Effects: what each statement of the policies did for one call, and not only the first that refused it.

use std::collections::HashMap;

use biscuit_auth::builder::CheckKind;
use biscuit_auth::datalog::{Fact, Rule, Term};

use crate::authorize::stock::Stock;
use crate::authorize::{PreparedSets, refuse_other_call, refuse_uncovered};
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

/// Whether each statement did something: an `allow` allowed, a `deny` denied, a check refused, a rule derived, a
/// fact was part of what matched. `None` if the call never came before the policies, or cannot be evaluated.
pub(crate) fn effects(
    sets: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Option<Vec<bool>> {
    let world = world(sets, verified, policy, call)?;
    let stock = Stock::of(&world);
    let may = |queries: &[Rule]| stock.may_match(queries, None);
    let matches = |(_, queries): &(Location, Vec<Rule>)| {
        may(queries) && world.matches_any(queries) == Ok(true)
    };
    let mut effects: Vec<bool> = policy.allows.iter().map(matches).collect();
    effects.extend(policy.denies.iter().map(|(_, queries)| {
        let may = may(queries) || world.compares_names(queries, VERIFIER);
        may && world.denies(queries) == Ok(true)
    }));
    effects
        .extend(policy.checks.iter().map(|(_, check)| world.holds(check, VERIFIER) == Ok(false)));
    effects.extend(
        policy
            .rules
            .iter()
            .map(std::slice::from_ref)
            .map(|rule| may(rule) && world.matches_any(rule) == Ok(true)),
    );
    // Last, for all of it is paid from one budget.
    effects.extend(Used::of(&world, &stock, policy).0);
    Some(effects)
}

/// All facts of the decision, if the token's own checks hold and it is for the policies to decide.
fn world(
    sets: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Option<World> {
    refuse_uncovered(verified, call).ok()?;
    refuse_other_call(verified, call).ok()?;
    let prepared = sets.prepare(verified, policy).ok()?;
    let world = World::of(&prepared, verified, policy, call).ok()?;
    prepared.refuse_costly(verified, &world).ok()?;
    let mut checks = prepared.checks.iter();
    checks.all(|known| world.holds(&known.2, known.0) == Ok(true)).then_some(world)
}

/// Which of the policies' facts were part of a match.
struct Used(Vec<bool>);

impl Used {
    fn of(world: &World, stock: &Stock<'_>, policy: &Policy) -> Used {
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
