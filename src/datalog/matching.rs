//! Matching: for what does a query's body hold, and what do its expressions say?

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;

use biscuit_auth::datalog::{
    CombineIt, Expression, Fact, MatchedVariables, Origin, Predicate, Rule, TemporarySymbolTable,
    Term, TrustedOrigins,
};

use crate::call::seen::{Kind, StandIn};
use crate::datalog::compiling::{elements, has_pattern, price};
use crate::datalog::evaluating::{evaluate, is_beyond, is_for_us};
use crate::datalog::{EvaluationError, FACT_BUDGET, SERVER, VERIFIER, World};
use crate::function::functions;

/// What the matches of a query's predicates say.
pub(crate) struct Matches {
    /// There are matches.
    pub(crate) any: bool,
    /// Some match makes every expression true.
    pub(crate) some: bool,
    /// There are matches, and each makes every expression true.
    pub(crate) all: bool,
}

/// One way to match a query's predicates.
pub(crate) struct Candidate {
    /// What the variables stand for.
    pub(crate) variables: HashMap<u32, Term>,
    /// Whether each expression is true; `None` where it cannot be evaluated.
    pub(crate) held: Vec<Option<bool>>,
}

impl World {
    /// All ways to match a query's predicates, at most `most` of them, with what becomes of every expression.
    pub(crate) fn candidates(
        &self,
        query: &Rule,
        block: usize,
        most: usize,
    ) -> Result<Vec<Candidate>, EvaluationError> {
        let mut found = Vec::new();
        self.each_binding(query, block, |_, variables| {
            if found.len() < most {
                let held = |expression| self.value_of(expression, variables);
                let held = query.expressions.iter().map(held).collect();
                found.push(Candidate { variables: variables.clone(), held });
            }
        })?;
        Ok(found)
    }

    pub(super) fn value_of(
        &self,
        expression: &Expression,
        variables: &HashMap<u32, Term>,
    ) -> Option<bool> {
        // Whoever is short of it hears that when the next fact is touched.
        let _ = self.pay_for_patterns(expression, variables);
        let mut symbols = TemporarySymbolTable::new(&self.symbols);
        match self.evaluate(expression, variables, &mut symbols) {
            Some(Term::Bool(held)) => Some(held),
            _ => None,
        }
    }

    /// What an expression comes to; `None` if it cannot be evaluated.
    fn evaluate(
        &self,
        expression: &Expression,
        variables: &HashMap<u32, Term>,
        symbols: &mut TemporarySymbolTable<'_>,
    ) -> Option<Term> {
        match !self.represented.is_empty() && is_for_us(&expression.ops, variables) {
            true => evaluate(&expression.ops, variables, symbols).ok(),
            false => expression.evaluate(variables, symbols, functions()).ok(),
        }
    }

    pub(super) fn each_match(
        &self,
        rule: &Rule,
        block: usize,
        mut see: impl FnMut(Origin, &HashMap<u32, Term>),
    ) -> Result<(), EvaluationError> {
        self.each_candidate(rule, block, |origin, variables, holds| {
            if holds {
                see(origin, variables);
            }
        })
    }

    /// Shows every match of a query's predicates, and whether its expressions hold for it.
    pub(crate) fn each_candidate(
        &self,
        rule: &Rule,
        block: usize,
        mut see: impl FnMut(Origin, &HashMap<u32, Term>, bool),
    ) -> Result<(), EvaluationError> {
        let mut failed = false;
        self.each_binding(rule, block, |origin, variables| {
            match self.expressions_hold(rule, variables) {
                Ok(holds) => see(origin, variables, holds),
                Err(_) => failed = true,
            }
        })?;
        if failed { Err(EvaluationError::Failed) } else { Ok(()) }
    }

    pub(super) fn each_binding(
        &self,
        rule: &Rule,
        block: usize,
        mut see: impl FnMut(Origin, &HashMap<u32, Term>),
    ) -> Result<(), EvaluationError> {
        if !self.represented.is_empty() && self.joins_unseen(rule) {
            return Err(EvaluationError::Failed);
        }
        let trusts = || {
            let default = TrustedOrigins::default();
            // Policies trust nobody by `trusting`, and see what the server states. A rule's fact that rests on that is of its
            // origin, too, so that no block sees it, either.
            let block = if block == VERIFIER { SERVER } else { block };
            TrustedOrigins::from_scopes(&rule.scopes, &default, block, &self.base.signed_by)
        };
        match rule.body.as_slice() {
            // Most queries ask for one fact, for which no combinations need to be made.
            [predicate] => {
                let (trusted, mut variables) = (OnceCell::new(), HashMap::new());
                for (origin, fact) in (Metered { facts: self.all(), touched: &self.touched }) {
                    if fact.predicate.name == predicate.name
                        && trusted.get_or_init(&trusts).contains(origin)
                        && bind(predicate, fact, &mut variables)
                    {
                        see(origin.clone(), &variables);
                    }
                }
            }
            body => {
                let trusted = trusts();
                let visible = self.all().filter(|(origin, _)| trusted.contains(origin));
                let facts = Metered { facts: visible, touched: &self.touched };
                let candidates = CombineIt::new(variables_of(rule), body, facts, &self.symbols);
                candidates.for_each(|(origin, variables)| see(origin, &variables));
            }
        }
        match self.touched.get() > FACT_BUDGET {
            true => Err(EvaluationError::Exhausted),
            false => Ok(()),
        }
    }

    pub(super) fn expressions_hold(
        &self,
        rule: &Rule,
        variables: &HashMap<u32, Term>,
    ) -> Result<bool, EvaluationError> {
        let mut symbols = TemporarySymbolTable::new(&self.symbols);
        for expression in &rule.expressions {
            self.pay_for_patterns(expression, variables)?;
            match self.evaluate(expression, variables, &mut symbols) {
                Some(Term::Bool(true)) => {}
                Some(Term::Bool(false)) => return Ok(false),
                _ => return Err(EvaluationError::Failed),
            }
        }
        Ok(true)
    }
}

impl World {
    /// Whether matching a query would compare a value of which nothing is known, or a represented one with one that is written out and
    /// would be represented in a call.
    fn joins_unseen(&self, rule: &Rule) -> bool {
        let places = || {
            let all = rule.body.iter();
            all.flat_map(|one| one.terms.iter().enumerate().map(move |(at, term)| (one, at, term)))
        };
        let mut joined = Vec::new();
        for (predicate, place, asked) in places() {
            if let Term::Variable(_) = asked
                && places().filter(|(_, _, other)| *other == asked).count() < 2
            {
                continue;
            }
            let facts = self.represented.iter().filter_map(|at| self.facts.get(*at));
            for (_, fact) in facts {
                let kind = fact.predicate.terms.get(place).and_then(how_seen);
                match kind.filter(|_| could_be(predicate, fact, place)) {
                    None => {}
                    Some(Kind::Unseen) => return true,
                    Some(_) if is_beyond(asked, &self.symbols) => return true,
                    Some(_) if joined.contains(&asked) => {}
                    Some(_) => joined.push(asked),
                }
            }
        }
        let mut compared = places()
            .filter(|(_, _, asked)| matches!(asked, Term::Variable(_)) && joined.contains(asked));
        compared.any(|(predicate, place, _)| {
            let mut facts = self.facts().filter(|fact| could_be(predicate, fact, place));
            facts.any(|fact| {
                let found = fact.predicate.terms.get(place);
                found.is_some_and(|found| {
                    self.touched.set(self.touched.get().saturating_add(1 + elements(found)));
                    is_beyond(found, &self.symbols)
                })
            })
        })
    }

    /// Pays for the patterns that are compiled when an expression is asked.
    fn pay_for_patterns(
        &self,
        expression: &Expression,
        variables: &HashMap<u32, Term>,
    ) -> Result<(), EvaluationError> {
        if !has_pattern(&expression.ops) {
            return Ok(());
        }
        // A closure may be asked for whatever these hold, at any depth and together.
        let times = variables.values().map(elements).fold(0, u64::saturating_add);
        let price = price(&expression.ops, &self.symbols, times);
        self.touched.set(self.touched.get().saturating_add(price));
        match self.touched.get() > FACT_BUDGET {
            true => Err(EvaluationError::Exhausted),
            false => Ok(()),
        }
    }
}

/// Whether the fact is one of the predicate; then what its variables stand for is in `variables`.
pub(super) fn bind(predicate: &Predicate, fact: &Fact, variables: &mut HashMap<u32, Term>) -> bool {
    let found = &fact.predicate.terms;
    variables.clear();
    predicate.terms.len() == found.len()
        && predicate.terms.iter().zip(found).all(|(asked, found)| match (asked, found) {
            // No fact that is accepted has variables.
            (_, Term::Variable(_)) => false,
            (Term::Variable(name), found) => match variables.get(name) {
                Some(bound) => bound == found,
                None => {
                    variables.insert(*name, found.clone());
                    true
                }
            },
            (asked, found) => asked == found,
        })
}

/// Whether the fact could be one of the predicate, by all but what stands in one place.
fn could_be(predicate: &Predicate, fact: &Fact, but: usize) -> bool {
    let found = &fact.predicate;
    predicate.name == found.name
        && predicate.terms.len() == found.terms.len()
        && predicate.terms.iter().zip(&found.terms).enumerate().all(|(place, (asked, found))| {
            let is_open = matches!(asked, Term::Variable(_)) || how_seen(found).is_some();
            place == but || is_open || asked == found
        })
}

/// What kind of value is represented, in a list or map, too; that of which nothing is known comes before others.
fn how_seen(term: &Term) -> Option<Kind> {
    let either = |one: Option<Kind>, other: Option<Kind>| match (one, other) {
        (Some(Kind::Unseen), _) | (_, Some(Kind::Unseen)) => Some(Kind::Unseen),
        (one, other) => one.or(other),
    };
    match term {
        Term::Bytes(bytes) => StandIn::of(bytes).map(|found| found.kind),
        Term::Array(terms) => terms.iter().map(how_seen).fold(None, either),
        Term::Set(terms) => terms.iter().map(how_seen).fold(None, either),
        Term::Map(entries) => entries.values().map(how_seen).fold(None, either),
        _ => None,
    }
}

fn variables_of(rule: &Rule) -> MatchedVariables {
    let terms = rule.body.iter().flat_map(|predicate| &predicate.terms);
    let variables = terms.filter_map(|term| match term {
        Term::Variable(name) => Some(*name),
        _ => None,
    });
    MatchedVariables::new(variables.collect())
}

/// The fact that a rule derives. A variable that its body does not bind derives nothing.
pub(crate) fn head(rule: &Rule, variables: &HashMap<u32, Term>) -> Option<Fact> {
    let terms = rule.head.terms.iter().map(|term| match term {
        Term::Variable(name) => variables.get(name).cloned(),
        term => Some(term.clone()),
    });
    let terms = terms.collect::<Option<Vec<_>>>()?;
    Some(Fact::new(rule.head.name, &terms))
}

/// Counts every fact that a query touches, in each of its loops, and ends them all together when the
/// budget is used up.
#[derive(Clone)]
struct Metered<'a, I> {
    facts: I,
    touched: &'a Cell<u64>,
}

impl<'a, I: Iterator<Item = (&'a Origin, &'a Fact)>> Iterator for Metered<'a, I> {
    type Item = (&'a Origin, &'a Fact);

    fn next(&mut self) -> Option<Self::Item> {
        self.touched.set(self.touched.get() + 1);
        if self.touched.get() > FACT_BUDGET { None } else { self.facts.next() }
    }
}
