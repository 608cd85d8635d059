//! Partial: what does a query say while some of its facts are not known? (Partial evaluation, in Kleene's three-valued logic.)
//!
//! Predicates that rest on unknown facts are found by taint propagation through the rules, to a fixpoint. What else a query asks is
//! asked at once. What comes out is yes, no or unknown. Whoever may guess, such as a list, takes unknown for "perhaps"; whoever must be
//! right, such as a decision, asks again when all is known.

use std::collections::HashSet;

use biscuit_auth::builder::CheckKind;
use biscuit_auth::datalog::{Check, Expression, Op, Rule, SymbolTable, Term};

use crate::datalog::{EvaluationError, Names, VERIFIER, World};

/// A truth value, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    Yes,
    Unknown,
    No,
}

impl Truth {
    pub(crate) fn is_possible(self) -> bool {
        self != Truth::No
    }

    pub(crate) fn and(self, other: Truth) -> Truth {
        match (self, other) {
            (Truth::No, _) | (_, Truth::No) => Truth::No,
            (Truth::Yes, Truth::Yes) => Truth::Yes,
            _ => Truth::Unknown,
        }
    }

    pub(crate) fn or(self, other: Truth) -> Truth {
        self.not().and(other.not()).not()
    }

    pub(crate) fn not(self) -> Truth {
        match self {
            Truth::Yes => Truth::No,
            Truth::Unknown => Truth::Unknown,
            Truth::No => Truth::Yes,
        }
    }

    /// What could be and is not certain, or cannot be.
    fn unknown_if(could_be: bool) -> Truth {
        if could_be { Truth::Unknown } else { Truth::No }
    }
}

impl From<bool> for Truth {
    fn from(is: bool) -> Truth {
        if is { Truth::Yes } else { Truth::No }
    }
}

/// The predicates whose facts are not known, by the numbers of their names.
pub(crate) struct Unknown(HashSet<u64>);

impl Unknown {
    /// These names, and all that the policies' rules derive from them.
    pub(crate) fn of<'a>(
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

    pub(crate) fn touches(&self, rule: &Rule) -> bool {
        rule.body.iter().any(|predicate| self.0.contains(&predicate.name))
    }

    /// Whether the name with this number is one of them.
    pub(crate) fn is(&self, name: u64) -> bool {
        self.0.contains(&name)
    }

    /// The names, by their numbers.
    pub(crate) fn names(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }

    /// How many of its predicates are not known.
    pub(crate) fn count(&self, query: &Rule) -> usize {
        query.body.iter().filter(|predicate| self.0.contains(&predicate.name)).count()
    }

    /// The query without what is not known: it matches wherever the whole could.
    pub(crate) fn known_part(&self, query: &Rule) -> Rule {
        let (mut part, bound) = self.known_body(query);
        part.expressions.retain(|expression| is_bound(expression, &bound));
        part
    }

    /// The query up to the first expression that rests on what is not known. What it does not match, the whole does not match either,
    /// and is not without an answer: expressions are asked in their order, and the first that is false ends it.
    fn known_beginning(&self, query: &Rule) -> Rule {
        let (mut part, bound) = self.known_body(query);
        let known =
            part.expressions.iter().take_while(|expression| is_bound(expression, &bound)).count();
        part.expressions.truncate(known);
        part
    }

    fn known_body(&self, query: &Rule) -> (Rule, HashSet<u32>) {
        let mut part = query.clone();
        part.body.retain(|predicate| !self.0.contains(&predicate.name));
        let terms = part.body.iter().flat_map(|predicate| &predicate.terms);
        let variables = terms.filter_map(|term| match term {
            Term::Variable(name) => Some(*name),
            _ => None,
        });
        let bound = variables.collect();
        (part, bound)
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

/// What a "no" to a query promises that rests on what is not known.
#[derive(Clone, Copy)]
pub(crate) enum No<'a> {
    /// It has no match, whatever the unknown. That it may have no answer is not looked at.
    NoMatch,
    /// It has neither a match nor a failure, however the call spells the names of arguments: it need not be asked at all.
    NothingAtAll(&'a Names),
}

/// A world of which some facts are not known. Asked as [`World`] is, it answers in three values.
pub(crate) struct PartialWorld<'a> {
    pub(crate) world: &'a World,
    pub(crate) unknown: &'a Unknown,
    pub(crate) no: No<'a>,
}

/// What is known of the matches of a query: that there are some, and that all hold.
#[derive(Clone, Copy)]
pub(crate) struct PartialMatches {
    pub(crate) some: Truth,
    pub(crate) all: Truth,
}

impl PartialMatches {
    const UNKNOWN: PartialMatches = PartialMatches { some: Truth::Unknown, all: Truth::Unknown };
}

impl PartialWorld<'_> {
    /// Whether a check made by `block` holds.
    pub(crate) fn holds(&self, check: &Check, block: usize) -> Result<Truth, EvaluationError> {
        let found = self.any(&check.queries, block, |known| match check.kind {
            CheckKind::One | CheckKind::Reject => known.some,
            CheckKind::All => known.all,
        })?;
        Ok(if check.kind == CheckKind::Reject { found.not() } else { found })
    }

    /// Whether a query of the verifier's policies has a match.
    pub(crate) fn matches_any(&self, queries: &[Rule]) -> Result<Truth, EvaluationError> {
        self.any(queries, VERIFIER, |known| known.some)
    }

    /// As [`World::holds`] has it: one alternative that holds suffices, and one that cannot be evaluated counts where no other could
    /// hold.
    fn any(
        &self,
        queries: &[Rule],
        block: usize,
        holds: impl Fn(PartialMatches) -> Truth,
    ) -> Result<Truth, EvaluationError> {
        let (mut found, mut failed) = (Truth::No, false);
        for query in queries {
            match self.matches(query, block) {
                Ok(known) => found = found.or(holds(known)),
                Err(EvaluationError::Failed) => failed = true,
                Err(error) => return Err(error),
            }
            if found == Truth::Yes {
                break;
            }
        }
        match (found, failed) {
            (Truth::No, true) => Err(EvaluationError::Failed),
            (found, _) => Ok(found),
        }
    }

    /// What is known of the matches of a query.
    pub(crate) fn matches(
        &self,
        query: &Rule,
        block: usize,
    ) -> Result<PartialMatches, EvaluationError> {
        if !self.unknown.touches(query) {
            let matches = self.world.matches(query, block)?;
            return Ok(PartialMatches { some: matches.some.into(), all: matches.all.into() });
        }
        let part = match self.no {
            No::NoMatch => self.unknown.known_part(query),
            No::NothingAtAll(_) => self.unknown.known_beginning(query),
        };
        if part.body.is_empty() {
            return Ok(PartialMatches::UNKNOWN);
        }
        if let No::NothingAtAll(names) = self.no
            && names.matter_within(query, &part)
        {
            return Ok(PartialMatches::UNKNOWN);
        }
        match self.world.matches(&part, block) {
            Ok(matches) => {
                let some = Truth::unknown_if(matches.some);
                let all = match self.no {
                    No::NoMatch => Truth::unknown_if(matches.any),
                    No::NothingAtAll(_) => some,
                };
                Ok(PartialMatches { some, all })
            }
            // With other matches, the whole may be evaluable.
            Err(EvaluationError::Failed) => Ok(PartialMatches::UNKNOWN),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{self, No, Unknown, Yes};

    /// Each unknown stands for both: what it comes to is what all of these come to, if they agree.
    #[test]
    fn unknown_is_what_could_be_either() {
        let of = |truth: Truth| match truth {
            Yes => vec![true],
            No => vec![false],
            Unknown => vec![true, false],
        };
        let joined = |values: Vec<bool>| match (values.contains(&true), values.contains(&false)) {
            (true, false) => Yes,
            (false, true) => No,
            _ => Unknown,
        };
        for a in [Yes, Unknown, No] {
            assert_eq!(a.not(), joined(of(a).into_iter().map(|a| !a).collect()));
            assert_eq!(a.is_possible(), of(a).contains(&true));
            for b in [Yes, Unknown, No] {
                let pairs =
                    || of(a).into_iter().flat_map(|a| of(b).into_iter().map(move |b| (a, b)));
                assert_eq!(a.and(b), joined(pairs().map(|(a, b)| a && b).collect()));
                assert_eq!(a.or(b), joined(pairs().map(|(a, b)| a || b).collect()));
            }
        }
    }
}
