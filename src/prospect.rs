//! Prospect: could this capability do this operation, whatever the arguments will be?
//!
//! For lists of what an agent may use. It evaluates what [`authorize`](mod@crate::authorize) does, with a third
//! answer for whatever rests on arguments, and never says no to what could be allowed with some.

use std::collections::HashSet;

use biscuit_auth::builder::{CheckKind, Convert};
use biscuit_auth::datalog::{Check, Expression, Op, Rule, SymbolTable, Term};

use crate::authorize::{
    ARGUMENT_PREDICATES, AuthorizeError, call_facts, prepare, refuse_uncovered,
};
use crate::call::Call;
use crate::chain::PresentationKind;
use crate::datalog::{EvaluationError, VERIFIER, World};
use crate::policy::Policy;
use crate::verify::VerifiedCapability;

/// What may become of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect {
    /// It is allowed.
    Allowed,
    /// It is allowed with some arguments and refused with others, or which is not known without them.
    DependsOnArguments,
    /// It is refused, whatever the arguments.
    Denied,
}

impl Prospect {
    /// Whether it is worth trying.
    pub fn is_open(self) -> bool {
        self != Prospect::Denied
    }

    fn and(self, other: Prospect) -> Prospect {
        match (self, other) {
            (Prospect::Denied, _) | (_, Prospect::Denied) => Prospect::Denied,
            (Prospect::Allowed, Prospect::Allowed) => Prospect::Allowed,
            _ => Prospect::DependsOnArguments,
        }
    }

    fn or(self, other: Prospect) -> Prospect {
        match (self, other) {
            (Prospect::Allowed, _) | (_, Prospect::Allowed) => Prospect::Allowed,
            (Prospect::Denied, Prospect::Denied) => Prospect::Denied,
            _ => Prospect::DependsOnArguments,
        }
    }

    fn not(self) -> Prospect {
        match self {
            Prospect::Allowed => Prospect::Denied,
            Prospect::DependsOnArguments => Prospect::DependsOnArguments,
            Prospect::Denied => Prospect::Allowed,
        }
    }
}

/// The call's operation and resource count, its arguments do not.
pub(crate) fn prospect(verified: &VerifiedCapability, policy: &Policy, call: &Call) -> Prospect {
    // What cannot be evaluated is refused when it is called, too.
    evaluate(verified, policy, call).unwrap_or(Prospect::Denied)
}

fn evaluate(
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Result<Prospect, AuthorizeError> {
    refuse_uncovered(verified, call)?;
    let prepared = prepare(verified, policy)?;
    let mut world = World::over(&prepared.base);
    for fact in call_facts(verified, call) {
        let fact = fact.convert(&mut world.symbols);
        world.add(VERIFIER, fact);
    }
    // Which resource it will be is an argument, too, where none is named.
    let any_resource = call.resource_uri().is_none() && call.operation().is_about_resources();
    let resource = any_resource.then_some("resource");
    let unknown = ARGUMENT_PREDICATES.into_iter().chain(resource);
    let unknown = Unknown::of(unknown, &policy.rules, &mut world.symbols);
    let known_rules: Vec<Rule> =
        policy.rules.iter().filter(|rule| !unknown.touches(rule)).cloned().collect();
    let unanswered = |_| AuthorizeError::NothingAllows;
    world.derive(&known_rules).map_err(unanswered)?;

    let view = View { world: &world, unknown: &unknown };
    let mut outcome = match verified.presentation().kind {
        PresentationKind::Session => Prospect::Allowed,
        PresentationKind::Call => Prospect::DependsOnArguments,
    };
    for (block, _, check) in &prepared.checks {
        outcome = outcome.and(view.holds(check, *block).map_err(unanswered)?);
    }
    for (_, check) in &policy.checks {
        outcome = outcome.and(view.holds(check, VERIFIER).map_err(unanswered)?);
    }
    for (_, queries) in &policy.denies {
        outcome = outcome.and(view.matches_any(queries).map_err(unanswered)?.not());
    }
    let mut allowed = Prospect::Denied;
    for (_, queries) in &policy.allows {
        allowed = allowed.or(view.matches_any(queries).map_err(unanswered)?);
    }
    Ok(outcome.and(allowed))
}

/// The predicates whose facts depend on arguments, by the numbers of their names.
struct Unknown(HashSet<u64>);

impl Unknown {
    /// Arguments, and all that the policies' rules derive from them.
    fn of<'a>(
        names: impl Iterator<Item = &'a str>,
        rules: &[Rule],
        symbols: &mut SymbolTable,
    ) -> Unknown {
        let mut unknown = Unknown(names.map(|name| symbols.insert(name)).collect());
        loop {
            let tainted = rules.iter().filter(|rule| unknown.touches(rule));
            let heads: Vec<u64> = tainted.map(|rule| rule.head.name).collect();
            let before = unknown.0.len();
            unknown.0.extend(heads);
            if unknown.0.len() == before {
                return unknown;
            }
        }
    }

    fn touches(&self, rule: &Rule) -> bool {
        rule.body.iter().any(|predicate| self.0.contains(&predicate.name))
    }

    /// The query without what depends on arguments: it matches wherever the whole could.
    fn known_part(&self, query: &Rule) -> Rule {
        let mut part = query.clone();
        part.body.retain(|predicate| !self.0.contains(&predicate.name));
        let bound: HashSet<u32> = part
            .body
            .iter()
            .flat_map(|predicate| &predicate.terms)
            .filter_map(|term| match term {
                Term::Variable(name) => Some(*name),
                _ => None,
            })
            .collect();
        part.expressions.retain(|expression| is_bound(expression, &bound));
        part
    }
}

/// Whether an expression rests on these variables alone. The parameters of its closures count as others,
/// which only takes more expressions out.
fn is_bound(expression: &Expression, variables: &HashSet<u32>) -> bool {
    fn all_bound(ops: &[Op], variables: &HashSet<u32>) -> bool {
        ops.iter().all(|op| match op {
            Op::Value(Term::Variable(name)) => variables.contains(name),
            Op::Closure(_, ops) => all_bound(ops, variables),
            _ => true,
        })
    }
    all_bound(&expression.ops, variables)
}

/// The world, as far as it is known.
struct View<'a> {
    world: &'a World,
    unknown: &'a Unknown,
}

/// What is known of the matches of a query: that there are some, and that all hold.
struct Known {
    some: Prospect,
    all: Prospect,
}

impl View<'_> {
    fn holds(&self, check: &Check, block: usize) -> Result<Prospect, EvaluationError> {
        let (mut some, mut all) = (Prospect::Denied, Prospect::Denied);
        for query in &check.queries {
            let known = self.matches(query, block)?;
            some = some.or(known.some);
            all = all.or(known.all);
        }
        Ok(match check.kind {
            CheckKind::One => some,
            CheckKind::All => all,
            CheckKind::Reject => some.not(),
        })
    }

    fn matches_any(&self, queries: &[Rule]) -> Result<Prospect, EvaluationError> {
        queries.iter().try_fold(Prospect::Denied, |found, query| {
            Ok(found.or(self.matches(query, VERIFIER)?.some))
        })
    }

    fn matches(&self, query: &Rule, block: usize) -> Result<Known, EvaluationError> {
        let certain = |holds: bool| if holds { Prospect::Allowed } else { Prospect::Denied };
        if !self.unknown.touches(query) {
            let matches = self.world.matches(query, block)?;
            return Ok(Known { some: certain(matches.some), all: certain(matches.all) });
        }
        let part = self.unknown.known_part(query);
        let possible = |could: bool| match could {
            true => Prospect::DependsOnArguments,
            false => Prospect::Denied,
        };
        if part.body.is_empty() {
            let open = Prospect::DependsOnArguments;
            return Ok(Known { some: open, all: open });
        }
        match self.world.matches(&part, block) {
            Ok(matches) => Ok(Known { some: possible(matches.some), all: possible(matches.any) }),
            // With other matches, the whole may be evaluable.
            Err(EvaluationError::Failed) => {
                let open = Prospect::DependsOnArguments;
                Ok(Known { some: open, all: open })
            }
            Err(error) => Err(error),
        }
    }
}
