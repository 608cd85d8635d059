//! Foresee: what do policies say of a call, some of whose facts are not known, if anything certain?
//!
//! This is for records that keep no arguments ([`partial`](crate::datalog::partial) evaluation, exact where [`preview`](super) may guess). Where a
//! preview says "perhaps" too often, a list has an entry too many; here, what is said must be what would be decided.

use std::collections::HashSet;

use biscuit_auth::datalog::{Binary, Expression, Op, Rule, SymbolIndex, SymbolTable, Term, Unary};

use crate::authorize::{Allowed, AuthorizeError, RULES, unanswered};
use crate::datalog::partial::{No, PartialWorld, Truth, Unknown};
use crate::datalog::{VERIFIER, World};
use crate::policy::{Location, Policy};

/// What policies say of a call some of whose facts are not known.
pub(crate) enum Foreseen {
    /// This, whatever the rest.
    Decided(Result<Allowed, AuthorizeError>),
    /// It is refused; for which cause depends on the rest.
    Refused,
    /// That depends on the rest.
    Open,
}

/// The verdict of the policies alone, as [`decide`](crate::authorize) gives it, in a world without the facts of
/// the predicates `missing`.
pub(crate) fn foresee(mut world: World, policy: &Policy, missing: &str) -> Foreseen {
    let unknown = Unknown::of(std::iter::once(missing), &policy.rules, &mut world.symbols);
    let (open_rules, known_rules): (Vec<Rule>, Vec<Rule>) =
        policy.rules.iter().cloned().partition(|rule| unknown.touches(rule));
    // A rule that cannot be evaluated refuses, and so does a query, with some match of what is not known.
    let mut open = !open_rules.is_empty();
    let refused = |open: bool, error: AuthorizeError| match open {
        true => Foreseen::Refused,
        false => Foreseen::Decided(Err(error)),
    };
    if let Err(error) = world.derive(&known_rules) {
        return refused(open, unanswered(error, RULES, None));
    }
    let partial = PartialWorld { world: &world, unknown: &unknown, no: No::NoMatch };
    let unanswered = |error, at: &Location| unanswered(error, &at.to_string(), None);
    for (at, check) in &policy.checks {
        open |= partial.any_could_fail(&check.queries);
        match partial.holds(check, VERIFIER) {
            Ok(Truth::Yes) => {}
            Ok(Truth::Unknown) => open = true,
            Ok(Truth::No) => {
                return refused(open, AuthorizeError::PolicyCheckFailed { at: at.clone() });
            }
            Err(error) => return refused(open, unanswered(error, at)),
        }
    }
    let (mut denied, mut allowed, mut could_allow) = (None, None, false);
    let denies = policy.denies.iter().map(|policy| (policy, true));
    let allows = policy.allows.iter().map(|policy| (policy, false));
    for ((at, queries), denies) in denies.chain(allows) {
        open |= partial.any_could_fail(queries);
        let found = partial.matches_any(queries);
        could_allow |= !denies && found.is_ok_and(Truth::is_possible);
        match found {
            Ok(Truth::Yes) if denies => drop(denied.get_or_insert(at)),
            Ok(Truth::Yes) => drop(allowed.get_or_insert(at)),
            Ok(Truth::Unknown) => open = true,
            Ok(Truth::No) => {}
            Err(error) => return refused(open, unanswered(error, at)),
        }
    }
    match (denied, allowed, open) {
        (Some(at), _, open) => refused(open, AuthorizeError::Denied { at: at.clone() }),
        (None, _, true) if could_allow => Foreseen::Open,
        (None, _, true) => Foreseen::Refused,
        (None, Some(at), false) => Foreseen::Decided(Ok(Allowed { at: at.clone() })),
        (None, None, false) => Foreseen::Decided(Err(AuthorizeError::NothingAllows)),
    }
}

impl PartialWorld<'_> {
    /// Whether some query could meet a match for which it has no answer.
    fn any_could_fail(&self, queries: &[Rule]) -> bool {
        queries.iter().any(|query| self.could_fail(query))
    }

    fn could_fail(&self, query: &Rule) -> bool {
        match self.unknown.count(query) {
            0 => return false,
            1 => {}
            // A join of many arguments with each other can take too much work.
            _ => return true,
        }
        // What is known must match, whatever is demanded of it: that may be looked at later.
        let reaches = self.matches(query, VERIFIER).map_or(true, |known| known.all.is_possible());
        let known = &self.unknown.known_part(query).expressions;
        let mut integers = HashSet::new();
        let mut others = query.expressions.iter().filter(|expression| !known.contains(expression));
        reaches && others.any(|other| !has_an_answer(other, &mut integers, &self.world.symbols))
    }
}

/// Whether an expression has an answer for any value of its variables, those in `integers` being integers. Few
/// are known to; one that says a variable is an integer adds it to them.
fn has_an_answer(
    expression: &Expression,
    integers: &mut HashSet<u32>,
    symbols: &SymbolTable,
) -> bool {
    match expression.ops.as_slice() {
        [Op::Value(value), Op::Unary(Unary::TypeOf), Op::Value(name), Op::Binary(comparison)]
            if is_equality(comparison) =>
        {
            if let (Term::Variable(variable), Term::Str(name), Binary::HeterogeneousEqual) =
                (value, name, comparison)
                && is_integer(*name, symbols)
            {
                integers.insert(*variable);
            }
            true
        }
        [Op::Value(_), Op::Value(_), Op::Binary(comparison)] if is_equality(comparison) => true,
        [
            Op::Value(Term::Variable(variable)),
            Op::Value(Term::Integer(_)),
            Op::Binary(comparison),
        ] => {
            let orders = matches!(
                comparison,
                Binary::LessThan
                    | Binary::GreaterThan
                    | Binary::LessOrEqual
                    | Binary::GreaterOrEqual
            );
            orders && integers.contains(variable)
        }
        _ => false,
    }
}

/// Those that compare values of any two types.
fn is_equality(comparison: &Binary) -> bool {
    matches!(comparison, Binary::HeterogeneousEqual | Binary::HeterogeneousNotEqual)
}

fn is_integer(name: SymbolIndex, symbols: &SymbolTable) -> bool {
    symbols.get_symbol(name) == Some("integer")
}
