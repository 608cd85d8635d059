//! Scene: what is seen of a call, what of it may be shown, and how much it takes to change?

use biscuit_auth::datalog;

use crate::authorize::PreparedSets;
use crate::call::Call;
use crate::datalog::{VERIFIER, World};
use crate::explain::miss::{Asker, Miss, Weight};
use crate::explain::remedies::MAX_RULES_FOLLOWED;
use crate::policy::Policy;
use crate::profile::vocabulary::{ARGUMENT, By, find};
use crate::verify::VerifiedCapability;

/// How much stands in the way of a call: checks and denials one by one, and what the nearest `allow if` lacks.
/// `None` if that cannot be evaluated.
pub(super) fn obstacles(
    sets: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
    names: &OwnNames,
) -> Option<usize> {
    let world = world_of(sets, verified, policy, call)?;
    let prepared = sets.prepare(verified, policy).ok()?;
    // A changed call is presented anew.
    let last = verified.presentation().index;
    let of_call = world.symbols.get("call");
    let binds_call = |block: usize, check: &datalog::Check| {
        let mut asked = check.queries.iter().flat_map(|query| &query.body);
        block == last && asked.all(|predicate| Some(predicate.name) == of_call)
    };
    let checks = prepared.checks.iter().map(|known| (known.0, &known.2));
    let checks = checks.filter(|(block, check)| !binds_call(*block, check));
    let all = checks.chain(policy.checks.iter().map(|(_, check)| (VERIFIER, check)));
    let mut found = all.filter(|(block, check)| world.holds(check, *block) != Ok(true)).count();
    found += policy.denies.iter().filter(|(_, deny)| world.denies(deny) != Ok(false)).count();
    let allows: Vec<_> =
        policy.allows.iter().map(|(_, queries)| (queries, world.matches_any(queries))).collect();
    found += allows.iter().filter(|(_, allowed)| allowed.is_err()).count();
    if allows.iter().any(|(_, allowed)| *allowed == Ok(true)) {
        return Some(found);
    }
    let decide = |name: &str| names.weight(name);
    let asked = Asker { world: &world, block: VERIFIER, decide: &decide, shows: &|_| true };
    let queries = allows.iter().flat_map(|(queries, _)| queries.iter());
    let nearest = queries.filter_map(|query| asked.nearest(query)).min_by_key(Miss::order);
    Some(found + nearest.map_or(1, |miss| miss.lacks.len()))
}

/// All that policies and checks see of a call; `None` if rules derive too much or err, or if the checks could take longer
/// than a decision may.
pub(super) fn world_of(
    sets: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Option<World> {
    let prepared = sets.prepare(verified, policy).ok()?;
    let world = World::of(&prepared, verified, policy, call).ok()?;
    prepared.refuse_costly(verified, &world).ok()?;
    Some(world)
}

/// The predicates that the policies assert themselves.
pub(super) struct OwnNames {
    facts: Vec<String>,
    /// What is derived, and how much it takes at the least.
    heads: Vec<(String, Weight)>,
}

pub(super) fn policy_names(policy: &Policy) -> OwnNames {
    let named = |name: u64| policy.symbols.get_symbol(name).map(str::to_owned);
    let facts = policy.facts.iter().filter_map(|fact| named(fact.predicate.name)).collect();
    let mut names = OwnNames { facts, heads: Vec::new() };
    let heads = policy.rules.iter().filter_map(|rule| named(rule.head.name));
    names.heads = heads.map(|head| (head, Weight::DERIVED)).collect();
    names.heads.dedup();
    // Each turn follows the rules one step further.
    for _ in 0..MAX_RULES_FOLLOWED {
        for rule in &policy.rules {
            let Some(head) = named(rule.head.name) else { continue };
            let asked = rule.body.iter().filter_map(|predicate| named(predicate.name));
            let least = asked.map(|name| names.weight(&name)).min();
            let known = names.heads.iter_mut().filter(|(name, _)| *name == head);
            known.for_each(|(_, weight)| *weight = (*weight).min(least.unwrap_or(*weight)));
        }
    }
    names
}

impl OwnNames {
    pub(super) fn weight(&self, name: &str) -> Weight {
        if let Some(word) = find(name) {
            return match word.by {
                By::Arguments | By::Resource => Weight::CALL,
                By::Presentation | By::Moment | By::Calendar => Weight::PRESENTATION,
                By::Operation | By::Call => Weight::OPERATION,
                By::Hops | By::Unsigned => Weight::CHAIN,
                By::Blocks if name == "issued" => Weight::GRANT,
                By::Verifier | By::Blocks => Weight::PARTIES,
            };
        }
        if self.facts.iter().any(|known| known == name) {
            return Weight::POLICY;
        }
        self.derived(name).unwrap_or(Weight::GRANT)
    }

    fn derived(&self, name: &str) -> Option<Weight> {
        self.heads.iter().find(|(head, _)| head == name).map(|(_, weight)| *weight)
    }

    pub(super) fn is_derived(&self, name: &str) -> bool {
        self.derived(name).is_some()
    }
}

/// A call before the policies, and all that is known of it.
pub(super) struct Scene<'a> {
    pub(super) sets: &'a PreparedSets,
    pub(super) verified: &'a VerifiedCapability,
    pub(super) policy: &'a Policy,
    pub(super) call: &'a Call,
    pub(super) world: &'a World,
    pub(super) names: &'a OwnNames,
    pub(super) decide: &'a dyn Fn(&str) -> Weight,
    /// Whether the values of a predicate may be shown.
    pub(super) shows: &'a dyn Fn(&str) -> bool,
}

impl Scene<'_> {
    pub(super) fn asked(&self, block: usize) -> Asker<'_> {
        Asker { world: self.world, block, decide: self.decide, shows: self.shows }
    }

    /// What there would be to see if one argument were another, or absent. Of a large call this is not tried, since each try would hash
    /// all of it.
    pub(super) fn with_argument(
        &self,
        name: &str,
        value: Option<serde_json::Value>,
    ) -> Option<World> {
        if self.call.is_large() {
            return None;
        }
        let call = self.call.clone().replacing_argument(name, value).ok()?;
        world_of(self.sets, self.verified, self.policy, &call)
    }

    pub(super) fn is_derived(&self, name: &str) -> bool {
        self.names.is_derived(name)
    }
}

/// Whether values of a predicate may be shown where those of the call's arguments may not.
pub(super) fn without_arguments(names: &OwnNames, name: &str) -> bool {
    ![ARGUMENT, "resource"].contains(&name) && !names.is_derived(name)
}
