//! Datalog: does a query hold over these facts?
//!
//! The matching is Biscuit's; the loop around it is not. Biscuit stops at the first match in hash
//! order, so that a query which errs for one fact and holds for another answers at random, and looks
//! at its limits only between queries. Here all matches are looked at, an error anywhere is an error,
//! and every fact that is touched is paid for from a budget.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use biscuit_auth::builder::CheckKind;
use biscuit_auth::datalog::{
    Check, CombineIt, Fact, MatchedVariables, Origin, Rule, SymbolTable, TemporarySymbolTable,
    Term, TrustedOrigins,
};

/// How many facts may be touched in one decision: some ten milliseconds.
const FACT_BUDGET: u64 = 1_000_000;

/// How many facts a policy's rules may derive.
const MAX_DERIVED_FACTS: usize = 1000;

/// How often a policy's rules are applied to what they derived.
const MAX_ITERATIONS: usize = 100;

/// The block number under which Biscuit files what the verifier and its policies say.
pub(crate) const VERIFIER: usize = usize::MAX;

/// A query that has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EvaluationError {
    /// An expression that cannot be evaluated for some match: a type, an overflow.
    Failed,
    /// The budget is used up.
    Exhausted,
}

/// Facts with where they come from, and the numbers that stand for their words and keys.
#[derive(Debug, Default)]
pub(crate) struct World {
    facts: Vec<(Origin, Fact)>,
    known: HashSet<(Origin, Fact)>,
    pub(crate) symbols: SymbolTable,
    /// Which blocks each key signed: the numbers of keys are those of `symbols`.
    pub(crate) signed_by: HashMap<usize, Vec<usize>>,
    touched: Cell<u64>,
}

/// What the matches of a query's predicates say.
struct Matches {
    /// Some match makes every expression true.
    some: bool,
    /// There are matches, and each makes every expression true.
    all: bool,
}

impl World {
    /// An empty world whose first words are these.
    pub(crate) fn new(symbols: SymbolTable) -> World {
        World { symbols, ..World::default() }
    }

    pub(crate) fn add(&mut self, block: usize, fact: Fact) {
        self.insert(origin_of(block), fact);
    }

    /// All facts, wherever they come from.
    pub(crate) fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.facts.iter().map(|(_, fact)| fact)
    }

    fn insert(&mut self, origin: Origin, fact: Fact) -> bool {
        let entry = (origin, fact);
        if self.known.contains(&entry) {
            return false;
        }
        self.known.insert(entry.clone());
        self.facts.push(entry);
        true
    }

    /// Applies rules of the verifier's policies until they derive nothing new.
    pub(crate) fn derive(&mut self, rules: &[Rule]) -> Result<(), EvaluationError> {
        let limit = self.facts.len() + MAX_DERIVED_FACTS;
        for _ in 0..MAX_ITERATIONS {
            let mut derived = Vec::new();
            for rule in rules {
                self.each_match(rule, VERIFIER, |mut origin, variables| {
                    origin.insert(VERIFIER);
                    derived.extend(head(rule, variables).map(|fact| (origin, fact)));
                })?;
                if derived.len() > MAX_DERIVED_FACTS {
                    return Err(EvaluationError::Exhausted);
                }
            }
            let grown = derived.into_iter().map(|(origin, fact)| self.insert(origin, fact));
            if grown.filter(|new| *new).count() == 0 {
                return Ok(());
            }
            if self.facts.len() > limit {
                return Err(EvaluationError::Exhausted);
            }
        }
        Err(EvaluationError::Exhausted)
    }

    /// Whether a check made by `block` holds. Every alternative is looked at.
    ///
    /// `reject if A or B` rejects if either matches. Biscuit's own engine takes it to hold as soon as
    /// one of them does not match, which nobody who writes it means; here it is the stricter reading.
    pub(crate) fn holds(&self, check: &Check, block: usize) -> Result<bool, EvaluationError> {
        let (mut some, mut all) = (false, false);
        for query in &check.queries {
            let matches = self.matches(query, block)?;
            some |= matches.some;
            all |= matches.all;
        }
        Ok(match check.kind {
            CheckKind::One => some,
            CheckKind::All => all,
            CheckKind::Reject => !some,
        })
    }

    /// Whether a query of the verifier's policies has a match.
    pub(crate) fn matches_any(&self, queries: &[Rule]) -> Result<bool, EvaluationError> {
        let mut found = false;
        for query in queries {
            found |= self.matches(query, VERIFIER)?.some;
        }
        Ok(found)
    }

    fn matches(&self, query: &Rule, block: usize) -> Result<Matches, EvaluationError> {
        let (mut count, mut held) = (0_usize, 0_usize);
        self.each_candidate(query, block, |_, _, holds| {
            count += 1;
            held += usize::from(holds);
        })?;
        Ok(Matches { some: held > 0, all: count > 0 && held == count })
    }

    fn each_match(
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

    fn each_candidate(
        &self,
        rule: &Rule,
        block: usize,
        mut see: impl FnMut(Origin, &HashMap<u32, Term>, bool),
    ) -> Result<(), EvaluationError> {
        let trusted = TrustedOrigins::from_scopes(
            &rule.scopes,
            &TrustedOrigins::default(),
            block,
            &self.signed_by,
        );
        let visible = self.facts.iter().filter(|(origin, _)| trusted.contains(origin));
        let facts =
            Metered { facts: visible.map(|(origin, fact)| (origin, fact)), touched: &self.touched };
        let candidates = CombineIt::new(variables_of(rule), &rule.body, facts, &self.symbols);
        let mut failed = false;
        for (origin, variables) in candidates {
            match self.expressions_hold(rule, &variables) {
                Ok(holds) => see(origin, &variables, holds),
                Err(EvaluationError::Failed) => failed = true,
                Err(error) => return Err(error),
            }
        }
        match (self.touched.get() > FACT_BUDGET, failed) {
            (true, _) => Err(EvaluationError::Exhausted),
            (false, true) => Err(EvaluationError::Failed),
            (false, false) => Ok(()),
        }
    }

    fn expressions_hold(
        &self,
        rule: &Rule,
        variables: &HashMap<u32, Term>,
    ) -> Result<bool, EvaluationError> {
        let mut symbols = TemporarySymbolTable::new(&self.symbols);
        let functions = HashMap::new();
        for expression in &rule.expressions {
            match expression.evaluate(variables, &mut symbols, &functions) {
                Ok(Term::Bool(true)) => {}
                Ok(Term::Bool(false)) => return Ok(false),
                Ok(_) | Err(_) => return Err(EvaluationError::Failed),
            }
        }
        Ok(true)
    }
}

pub(crate) fn origin_of(block: usize) -> Origin {
    [block].into_iter().collect()
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
fn head(rule: &Rule, variables: &HashMap<u32, Term>) -> Option<Fact> {
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
