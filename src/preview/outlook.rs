//! Outlook: what may become of each of many calls by one token, within a bound of work?
//!
//! Batch evaluation with a work budget. Most of what decides does not depend on which call it is, and is asked once for
//! all of them. What does is paid for as a call pays for it, before it is asked.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use biscuit_auth::datalog::{Check, Rule};
use biscuit_auth::format::convert::token_check_to_proto_check;
use prost::Message;

use crate::authorize::facts::{Asked, BY_ARGUMENTS, BY_CALL};
use crate::authorize::{Prepared, PreparedSets, is_covered, refuse_uncovered, sizes_of};
use crate::call::Call;
use crate::chain::PresentationKind;
use crate::datalog::partial::{No, PartialWorld, Truth, Unknown};
use crate::datalog::{EvaluationError, Mark, VERIFIER, World};
use crate::policy::Policy;
use crate::preview::Preview;
use crate::profile::MAX_COST;
use crate::profile::cost::{self, Sizes};
use crate::profile::shape::ShapedBlock;
use crate::profile::vocabulary::names_by;
use crate::verify::VerifiedCapability;

/// What a call costs besides what is asked about it: its facts are made, and put among the others.
const UNITS_PER_CALL: u64 = 100;

/// How many scopes are held against an operation in one unit.
const SCOPES_PER_UNIT: u64 = 4;

/// How many bytes of a check are gone through in one unit, to see what it can cost.
const RECKONED_PER_UNIT: u64 = 2;

/// The error of calls whose evaluation would take more work than was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch;

/// The previews of many calls by one token, under one set of policies, within a bound of work.
pub struct Outlook<'a> {
    sets: &'a PreparedSets,
    verified: &'a VerifiedCapability,
    policy: &'a Policy,
    /// What calls have in common about a resource that is named, or none; and about any.
    common: [Option<Common>; 2],
    known: HashMap<(String, Option<String>), Preview>,
    /// How much work there may still be.
    left: u64,
}

impl std::fmt::Debug for Outlook<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlook").field("left", &self.left).finish_non_exhaustive()
    }
}

impl<'a> Outlook<'a> {
    /// Begins an outlook that may take `most` units of work for all calls together. One decision may take 50,000 at most, roughly
    /// 2 ms.
    pub fn over(
        sets: &'a PreparedSets,
        verified: &'a VerifiedCapability,
        policy: &'a Policy,
        most: u64,
    ) -> Outlook<'a> {
        let (common, known) = ([None, None], HashMap::new());
        Outlook { sets, verified, policy, common, known, left: most }
    }

    /// Returns the units of work that are left.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Checks that the work left suffices for the token's checks of all these calls, before any is evaluated.
    /// Work is spent only on what the calls have in common.
    ///
    /// # Errors
    ///
    /// [`TooMuch`] if it does not.
    pub fn afford(&mut self, calls: &[Option<Call>]) -> Result<(), TooMuch> {
        let (mut all, mut counted) = (0_u64, HashSet::new());
        for call in calls.iter().flatten() {
            let is_new = counted.insert((call.operation().as_str(), call.resource_uri()));
            if !is_new || !is_covered(self.verified.chain(), call.operation()) {
                continue;
            }
            let verified = self.verified;
            let Some(common) = self.common_to(call)? else { continue };
            let cost = match common.is_refused() || !common.rules.is_empty() {
                true => 0,
                false => common.cost_of(verified, call),
            };
            // Checks that cost more than a decision may are not asked.
            let paid = if cost > MAX_COST { 0 } else { cost };
            all = all.saturating_add(UNITS_PER_CALL).saturating_add(paid);
        }
        if all > self.left { Err(TooMuch) } else { Ok(()) }
    }

    /// Returns the preview of `call`. Its operation and resource count, its arguments do not.
    ///
    /// # Errors
    ///
    /// [`TooMuch`] if the work left does not suffice.
    pub fn of(&mut self, call: &Call) -> Result<Preview, TooMuch> {
        let chain = self.verified.chain();
        self.spend(1 + chain.scopes().len() as u64 / SCOPES_PER_UNIT)?;
        if !is_covered(chain, call.operation()) || refuse_uncovered(self.verified, call).is_err() {
            return Ok(Preview::Denied);
        }
        let resource = call.resource_uri().map(str::to_owned);
        let key = (call.operation().to_string(), resource);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let found = self.ask(call)?;
        self.known.insert(key, found);
        Ok(found)
    }

    fn ask(&mut self, call: &Call) -> Result<Preview, TooMuch> {
        let (verified, policy) = (self.verified, self.policy);
        // What calls have in common is paid for first.
        self.common_to(call)?;
        let left = self.left;
        let Some(common) = self.common_to(call)? else { return Ok(Preview::Denied) };
        if common.is_refused() {
            return Ok(Preview::Denied);
        }
        let mut purse = Purse { left };
        let asked = common.ask(verified, policy, call, &mut purse);
        let touched = common.world.return_to(common.mark);
        self.left = purse.left;
        self.spend(touched / cost::FACTS_PER_UNIT)?;
        match asked {
            Ok(found) => Ok(found.into()),
            Err(Unasked::Failed) => Ok(Preview::Denied),
            Err(Unasked::TooMuch) => Err(TooMuch),
        }
    }

    /// `None` if the token cannot be read, which is refused when it is called, too.
    fn common_to(&mut self, call: &Call) -> Result<Option<&mut Common>, TooMuch> {
        // Which resource it will be is an argument, too, where none is named.
        let any_resource = call.resource_uri().is_none() && call.operation().is_about_resources();
        let place = usize::from(any_resource);
        if self.common[place].is_none() {
            let Ok(prepared) = self.sets.prepare(self.verified, self.policy) else {
                return Ok(None);
            };
            let mut purse = Purse { left: self.left };
            let common = Common::of(self.verified, self.policy, prepared, any_resource, &mut purse);
            self.left = purse.left;
            self.common[place] = Some(common?);
        }
        Ok(self.common[place].as_mut())
    }

    fn spend(&mut self, units: u64) -> Result<(), TooMuch> {
        self.left = self.left.checked_sub(units).ok_or(TooMuch)?;
        Ok(())
    }
}

/// The work that may still be done.
struct Purse {
    left: u64,
}

impl Purse {
    fn spend(&mut self, units: u64) -> Result<(), Unasked> {
        self.left = self.left.checked_sub(units).ok_or(Unasked::TooMuch)?;
        Ok(())
    }
}

/// Why something was not answered.
enum Unasked {
    /// It cannot be evaluated.
    Failed,
    TooMuch,
}

impl From<EvaluationError> for Unasked {
    fn from(error: EvaluationError) -> Unasked {
        match error {
            EvaluationError::Failed => Unasked::Failed,
            EvaluationError::Exhausted => Unasked::TooMuch,
        }
    }
}

/// What calls have in common: all that is known before it is said which call it is.
struct Common {
    prepared: Arc<Prepared>,
    /// The facts that all calls have.
    world: World,
    /// Where those of one call begin.
    mark: Mark,
    /// What is not known of any.
    unknown: Unknown,
    /// What comes of all that does not depend on the call; nothing is allowed where that is refused.
    outcome: Truth,
    allowed: Truth,
    /// The others, by their numbers: of the token's checks, and of the policies.
    token_checks: Vec<usize>,
    checks: Vec<usize>,
    denies: Vec<usize>,
    allows: Vec<usize>,
    rules: Vec<Rule>,
    /// How large the facts are that all calls have, with room for one of what is not known.
    sizes: Sizes,
    /// What the token's checks can cost, by how long operation and resource are.
    costs: HashMap<(usize, usize), u64>,
    /// What reckoning it costs.
    reckoning: u64,
}

impl Common {
    fn of(
        verified: &VerifiedCapability,
        policy: &Policy,
        prepared: Arc<Prepared>,
        any_resource: bool,
        purse: &mut Purse,
    ) -> Result<Common, TooMuch> {
        let mut world = World::before_calls(&prepared, verified, policy);
        let resource = any_resource.then_some("resource");
        let stated = verified.stated().names().iter().map(String::as_str);
        let names = names_by(&BY_ARGUMENTS).chain(resource).chain(stated);
        let unknown = Unknown::of(names, &policy.rules, &mut world.symbols);
        let own = names_by(&BY_CALL).filter(|name| Some(*name) != resource);
        let own = Unknown::of(own, &policy.rules, &mut world.symbols);
        let known = policy.rules.iter().filter(|rule| !unknown.touches(rule)).cloned();
        let (rules, shared): (Vec<Rule>, Vec<Rule>) = known.partition(|rule| own.touches(rule));
        let derived = world.derive(&shared);

        let depends = |queries: &[Rule]| queries.iter().any(|query| own.touches(query));
        let checks = prepared.checks.iter().map(|known| depends(&known.2.queries));
        let token_checks = numbers(checks);
        let mut common = Common {
            outcome: match verified.presentation().kind {
                PresentationKind::Session => Truth::Yes,
                PresentationKind::Call => Truth::Unknown,
            },
            allowed: Truth::No,
            checks: numbers(policy.checks.iter().map(|(_, check)| depends(&check.queries))),
            denies: numbers(policy.denies.iter().map(|(_, queries)| depends(queries))),
            allows: numbers(policy.allows.iter().map(|(_, queries)| depends(queries))),
            sizes: sizes_of(world.facts(), &world.symbols),
            costs: HashMap::new(),
            reckoning: 0,
            mark: world.mark(),
            token_checks,
            rules,
            unknown,
            world,
            prepared,
        };
        common.sizes = common.with_room(common.sizes.clone());
        let reckoned = written(verified, &common.prepared, &common.token_checks);
        let bytes =
            reckoned.map(|(_, check)| token_check_to_proto_check(check).encoded_len() as u64);
        common.reckoning = bytes.sum::<u64>() / RECKONED_PER_UNIT;
        let asked = derived.map_err(Unasked::from);
        let asked = asked.and_then(|()| common.ask_what_all_share(verified, policy, purse));
        let touched = common.world.return_to(common.mark);
        let paid = purse.spend(touched / cost::FACTS_PER_UNIT);
        match asked.and(paid) {
            Ok(()) => {}
            Err(Unasked::Failed) => common.outcome = Truth::No,
            Err(Unasked::TooMuch) => return Err(TooMuch),
        }
        Ok(common)
    }

    fn ask_what_all_share(
        &mut self,
        verified: &VerifiedCapability,
        policy: &Policy,
        purse: &mut Purse,
    ) -> Result<(), Unasked> {
        let others = |own: &[usize], count: usize| -> Vec<usize> {
            (0..count).filter(|number| own.binary_search(number).is_err()).collect()
        };
        let token_checks = others(&self.token_checks, self.prepared.checks.len());
        let cost = written(verified, &self.prepared, &token_checks);
        let cost = cost::evaluation_of(cost, &self.sizes);
        let (checks, denies, allows) = (
            others(&self.checks, policy.checks.len()),
            others(&self.denies, policy.denies.len()),
            others(&self.allows, policy.allows.len()),
        );
        self.outcome = self
            .outcome
            .and(self.hold(&token_checks, cost, purse)?)
            .and(self.judged(policy, &checks, &denies)?);
        self.allowed = self.allowing(policy, &allows)?;
        Ok(())
    }

    /// Whether it is refused, whichever call it is.
    fn is_refused(&self) -> bool {
        let could_be_allowed = self.allowed.is_possible() || !self.allows.is_empty();
        !(self.outcome.is_possible() && could_be_allowed)
    }

    fn ask(
        &mut self,
        verified: &VerifiedCapability,
        policy: &Policy,
        call: &Call,
        purse: &mut Purse,
    ) -> Result<Truth, Unasked> {
        purse.spend(UNITS_PER_CALL)?;
        self.world.assert_all(&Asked::of(verified, call).call_facts());
        let cost = match self.rules.is_empty() {
            true => self.cost_of(verified, call),
            false => {
                self.world.derive(&self.rules)?;
                // What policies derive of a call is among what its checks see.
                purse.spend(self.reckoning)?;
                let sizes = self.with_room(sizes_of(self.world.facts(), &self.world.symbols));
                cost::evaluation_of(written(verified, &self.prepared, &self.token_checks), &sizes)
            }
        };
        let outcome = self.outcome.and(self.judged(policy, &self.checks, &self.denies)?);
        let allowed = self.allowed.or(self.allowing(policy, &self.allows)?);
        let decided = outcome.and(allowed);
        if !decided.is_possible() {
            return Ok(decided);
        }
        Ok(decided.and(self.hold(&self.token_checks, cost, purse)?))
    }

    /// Whether these checks of the token hold.
    fn hold(&self, checks: &[usize], cost: u64, purse: &mut Purse) -> Result<Truth, Unasked> {
        // With few arguments, a call may do with less.
        if cost > MAX_COST {
            return Ok(Truth::Unknown);
        }
        purse.spend(cost)?;
        let mut outcome = Truth::Yes;
        for number in checks {
            let (block, _, check) = &*self.prepared.checks[*number];
            outcome = outcome.and(self.partial().holds(check, *block)?);
        }
        Ok(outcome)
    }

    /// Whether these checks of the policies hold, and none of these denials matches.
    fn judged(
        &self,
        policy: &Policy,
        checks: &[usize],
        denies: &[usize],
    ) -> Result<Truth, Unasked> {
        let mut outcome = Truth::Yes;
        for number in checks {
            outcome = outcome.and(self.partial().holds(&policy.checks[*number].1, VERIFIER)?);
        }
        for number in denies {
            outcome = outcome.and(self.partial().matches_any(&policy.denies[*number].1)?.not());
        }
        Ok(outcome)
    }

    /// Whether one of these allows it.
    fn allowing(&self, policy: &Policy, allows: &[usize]) -> Result<Truth, Unasked> {
        let mut allowed = Truth::No;
        for number in allows {
            allowed = allowed.or(self.partial().matches_any(&policy.allows[*number].1)?);
        }
        Ok(allowed)
    }

    fn partial(&self) -> PartialWorld<'_> {
        PartialWorld { world: &self.world, unknown: &self.unknown, no: No::NoMatch }
    }

    /// What the token's checks that depend on the call can cost, reckoned for the next power of two of how long
    /// operation and resource are, so that few are reckoned for many calls.
    fn cost_of(&mut self, verified: &VerifiedCapability, call: &Call) -> u64 {
        let resource = call.resource_uri().unwrap_or_default().len();
        let operation = call.operation().as_str().len();
        let class = (operation.next_power_of_two(), resource.next_power_of_two());
        if let Some(known) = self.costs.get(&class) {
            return *known;
        }
        let mut sizes = self.sizes.clone();
        for name in names_by(&BY_CALL) {
            let bytes = if name == "resource" { class.1 } else { class.0 };
            sizes.add_room(name, 1, 1, bytes as u64);
        }
        let checks = written(verified, &self.prepared, &self.token_checks);
        let cost = cost::evaluation_of(checks, &sizes);
        self.costs.insert(class, cost);
        cost
    }

    /// With one fact of each name of which none is known: what is demanded beside it is asked all the same.
    fn with_room(&self, mut sizes: Sizes) -> Sizes {
        for number in self.unknown.names() {
            sizes.add_room(self.world.symbols.get_symbol(number).unwrap_or_default(), 1, 1, 0);
        }
        sizes
    }
}

/// The numbers of those that do.
fn numbers(which: impl Iterator<Item = bool>) -> Vec<usize> {
    which.enumerate().filter_map(|(number, does)| does.then_some(number)).collect()
}

/// Checks of the token, by their numbers, as their blocks have them.
fn written<'a>(
    verified: &'a VerifiedCapability,
    prepared: &'a Prepared,
    checks: &'a [usize],
) -> impl Iterator<Item = (&'a ShapedBlock, &'a Check)> {
    let blocks = &verified.capability().shaped().blocks;
    checks.iter().filter_map(move |number| {
        let (block, check, _) = &*prepared.checks[*number];
        let block: &ShapedBlock = &blocks[*block];
        Some((block, block.checks.get(check.checked_sub(1)?)?))
    })
}

#[cfg(test)]
mod tests;
