//! Miss: what does a query lack to match, and what of that would be the least to change?
//!
//! The nearest miss, by enumeration: every selection of a query's parts is left out, and the cheapest one is taken with
//! which the rest matches (a minimal relaxation of the query). Of large queries up to two parts are left out at once.

use std::collections::{BTreeSet, HashMap};

use biscuit_auth::builder::{Convert, Expression, Op, Predicate, Rule, Term};
use biscuit_auth::datalog;

use crate::datalog::{Candidate, World};
use crate::explain::nearness::nearness;
use crate::profile::vocabulary::ARGUMENT;

/// The most parts of a query of which every selection is tried. Of larger ones up to two are left out at once.
const MAX_PARTS: usize = 10;

/// The most ways to match what is left of a query that are looked at.
const MAX_CANDIDATES: usize = 100;

/// The facts of one name that are shown beside the one that is lacking.
const MAX_FOUND: usize = 3;

/// How much it takes to change what a predicate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Weight(pub(super) u32);

impl Weight {
    /// What the caller chooses anew with each call.
    pub(super) const CALL: Weight = Weight(1);
    /// How the capability is presented, and when.
    pub(super) const PRESENTATION: Weight = Weight(2);
    /// Through whom it is called: a delegation is for this errand.
    pub(super) const CHAIN: Weight = Weight(3);
    /// What the issuer says of the subject: a right for every errand.
    pub(super) const GRANT: Weight = Weight(4);
    /// Who the subject, the issuer and the server are.
    pub(super) const PARTIES: Weight = Weight(8);
    /// What the policies derive from the rest.
    pub(super) const DERIVED: Weight = Weight(9);
    /// What the policies say themselves: it holds for everybody.
    pub(super) const POLICY: Weight = Weight(50);
    /// What is to be done: a policy about something else is no near miss.
    pub(super) const OPERATION: Weight = Weight(1000);

    /// Whether what is lacking is that the call were another one.
    pub(super) fn is_another_operation(self) -> bool {
        self >= Weight::OPERATION
    }
}

/// What a query lacks.
#[derive(Debug)]
pub(super) struct Miss {
    pub(super) weight: Weight,
    pub(super) lacks: Vec<MissingPart>,
    pub(super) rule: Rule,
    /// How many parts of the query hold.
    held: usize,
}

impl Miss {
    /// The order of nearness: what takes least comes first; of the same, what is one thing, and that of which most holds.
    pub(super) fn order(&self) -> (Weight, usize, std::cmp::Reverse<usize>) {
        (self.weight, self.lacks.len(), std::cmp::Reverse(self.held))
    }
}

/// One part of a query that does not hold.
#[derive(Debug)]
pub(super) enum MissingPart {
    /// There is no such fact.
    Fact {
        /// With what is known of its variables filled in.
        predicate: Predicate,
        /// What it would also have to satisfy.
        conditions: Vec<Expression>,
        /// Facts of this name that there are.
        found: Vec<Predicate>,
        /// What would do as well.
        others: Vec<Predicate>,
    },
    /// The facts are there, and this is not true of them.
    Condition {
        expression: Expression,
        /// What its variables stand for, and which predicates say so.
        values: Vec<(String, Term, Predicate)>,
        /// It has no value at all.
        evaluable: bool,
    },
}

/// A query, asked by one block or by the policies.
pub(super) struct Asker<'a> {
    pub(super) world: &'a World,
    pub(super) block: usize,
    pub(super) decide: &'a dyn Fn(&str) -> Weight,
    /// Whether the values of a predicate may be shown.
    pub(super) shows: &'a dyn Fn(&str) -> bool,
}

impl Asker<'_> {
    /// The least that the query lacks; `None` if it lacks nothing or that cannot be found out.
    pub(super) fn nearest(&self, query: &datalog::Rule) -> Option<Miss> {
        let rule = Rule::convert_from(query, &self.world.symbols).ok()?;
        let parts = rule.body.len() + rule.expressions.len();
        let mut best: Option<Miss> = None;
        for left_out in selections(parts) {
            let weight = left_out.iter().map(|part| self.weight(&rule, *part).0).sum();
            if best.as_ref().is_some_and(|best| best.weight.0 <= weight) {
                continue;
            }
            if let Some(lacks) = self.without(&rule, &left_out) {
                let held = parts - left_out.len();
                best = Some(Miss { weight: Weight(weight), lacks, rule: rule.clone(), held });
            }
        }
        best
    }

    /// Why the first match of a query that does not make all its expressions true does not.
    pub(super) fn first_failure(&self, query: &datalog::Rule) -> Option<Miss> {
        let rule = Rule::convert_from(query, &self.world.symbols).ok()?;
        let candidates = self.world.candidates(query, self.block, MAX_CANDIDATES).ok()?;
        let failing = candidates
            .into_iter()
            .find(|found| found.held.iter().any(|held| *held != Some(true)))?;
        let index = failing.held.iter().position(|held| *held != Some(true))?;
        let lack = self.condition(&rule, index, &failing);
        let weight = self.weight(&rule, rule.body.len() + index);
        Some(Miss { weight, lacks: vec![lack], held: 0, rule })
    }

    /// What makes a query match: each predicate as it was found, and each expression with what its variables stand
    /// for.
    pub(super) fn match_of(&self, query: &datalog::Rule) -> Option<(Rule, Vec<Predicate>)> {
        let rule = Rule::convert_from(query, &self.world.symbols).ok()?;
        let candidates = self.world.candidates(query, self.block, MAX_CANDIDATES).ok()?;
        let holds = |found: &Candidate| found.held.iter().all(|held| *held == Some(true));
        let found = candidates.into_iter().find(holds)?;
        let bindings = self.shown(&rule, self.bindings(&found));
        let facts = rule.body.iter().map(|predicate| filled(predicate, &bindings)).collect();
        Some((rule, facts))
    }

    /// What the variables of a query that matches stand for, as far as that may be shown.
    pub(super) fn values_of(&self, rule: &Rule) -> HashMap<String, Term> {
        let mut symbols = self.world.symbols.clone();
        let query = rule.convert(&mut symbols);
        let candidates = self.world.candidates(&query, self.block, MAX_CANDIDATES);
        let holds = |found: &Candidate| found.held.iter().all(|held| *held == Some(true));
        let found = candidates.unwrap_or_default().into_iter().find(holds);
        found.map(|found| self.shown(rule, self.bindings(&found))).unwrap_or_default()
    }

    /// What each match of the rest of a query asks of this variable.
    pub(super) fn conditions_on(&self, rule: &Rule, name: &str) -> Vec<Vec<Expression>> {
        let asks = |expression: &&Expression| {
            free_variables(&expression.ops).iter().any(|known| *known == name)
        };
        let (about, rest): (Vec<_>, Vec<_>) = rule.expressions.iter().partition(asks);
        let rest = Rule { expressions: rest.into_iter().cloned().collect(), ..rule.clone() };
        let mut symbols = self.world.symbols.clone();
        let query = rest.convert(&mut symbols);
        let candidates = self.world.candidates(&query, self.block, MAX_CANDIDATES);
        let holds = |found: &Candidate| found.held.iter().all(|held| *held == Some(true));
        let matches = candidates.unwrap_or_default().into_iter().filter(holds);
        let asked = matches.map(|found| {
            let mut bindings = self.bindings(&found);
            bindings.remove(name);
            let value_of = |term: &Term| bindings.get(variable(term)?).cloned();
            about.iter().map(|expression| with_values(expression, &value_of)).collect()
        });
        asked.collect()
    }

    /// What is lacking if these parts are left out and the rest holds.
    fn without(&self, rule: &Rule, left_out: &[usize]) -> Option<Vec<MissingPart>> {
        let body: Vec<&Predicate> = kept(&rule.body, 0, left_out).map(|(_, part)| part).collect();
        let bound: BTreeSet<&String> =
            body.iter().flat_map(|predicate| &predicate.terms).filter_map(variable).collect();
        let is_bound = |expression: &Expression| {
            free_variables(&expression.ops).iter().all(|name| bound.contains(name))
        };
        let (evaluated, waiting): (Vec<_>, Vec<_>) =
            kept(&rule.expressions, rule.body.len(), left_out)
                .map(|(_, expression)| expression)
                .partition(|expression| is_bound(expression));
        let part = Rule {
            body: body.into_iter().cloned().collect(),
            expressions: evaluated.into_iter().cloned().collect(),
            ..rule.clone()
        };
        let mut symbols = self.world.symbols.clone();
        let candidates =
            self.world.candidates(&part.convert(&mut symbols), self.block, MAX_CANDIDATES).ok()?;
        let holds = |found: &&Candidate| found.held.iter().all(|held| *held == Some(true));
        let matches: Vec<&Candidate> = candidates.iter().filter(holds).collect();
        let rest = match matches.as_slice() {
            [] => return None,
            [one] => *one,
            several => {
                let actual = self.actual(rule, left_out);
                let near = |found: &&&Candidate| {
                    let mut bindings = actual.clone();
                    bindings.extend(self.bindings(found));
                    nearness(&rule.expressions, &bindings)
                };
                *several.iter().min_by_key(near)?
            }
        };
        let bindings = self.shown(rule, self.bindings(rest));
        let mut lacks = Vec::new();
        let mut waiting = waiting;
        for index in left_out.iter().filter(|index| **index < rule.body.len()) {
            let predicate = &rule.body[*index];
            let names: BTreeSet<&String> = predicate.terms.iter().filter_map(variable).collect();
            let (mine, others) = waiting.into_iter().partition(|expression: &&Expression| {
                free_variables(&expression.ops).iter().any(|name| names.contains(name))
            });
            waiting = others;
            let predicate_of =
                |found: &Candidate| filled(predicate, &self.shown(rule, self.bindings(found)));
            let mut others: Vec<Predicate> = Vec::new();
            for other in matches.iter().map(|found| predicate_of(found)) {
                if !others.contains(&other) {
                    others.push(other);
                }
            }
            lacks.push(MissingPart::Fact {
                predicate: filled(predicate, &bindings),
                others,
                conditions: mine
                    .into_iter()
                    .map(|expression| {
                        with_values(expression, &|term| {
                            let known = variable(term).filter(|name| !names.contains(name));
                            known.and_then(|name| bindings.get(name)).cloned()
                        })
                    })
                    .collect(),
                found: self.facts_like(predicate),
            });
        }
        for index in left_out.iter().filter_map(|index| index.checked_sub(rule.body.len())) {
            let expression = &rule.expressions[index];
            if is_bound(expression) {
                lacks.push(self.condition(rule, index, rest));
            }
        }
        Some(lacks)
    }

    fn condition(&self, rule: &Rule, index: usize, found: &Candidate) -> MissingPart {
        let expression = rule.expressions[index].clone();
        let bindings = self.bindings(found);
        let values = free_variables(&expression.ops).into_iter().filter_map(|name| {
            let says = |predicate: &&Predicate| {
                predicate.terms.iter().filter_map(variable).any(|variable| variable == name)
            };
            let predicate = rule.body.iter().find(says)?;
            Some((name.clone(), bindings.get(name)?.clone(), filled(predicate, &bindings)))
        });
        let values: Vec<_> = values.collect();
        // What is found is of the whole rule's expressions or of those that were kept: asked again here.
        let mut symbols = self.world.symbols.clone();
        let alone = Rule { expressions: vec![expression.clone()], ..rule.clone() };
        let candidates =
            self.world.candidates(&alone.convert(&mut symbols), self.block, MAX_CANDIDATES);
        let evaluable =
            candidates.is_ok_and(|found| found.iter().all(|found| found.held != [None]));
        MissingPart::Condition { expression, values, evaluable }
    }

    fn bindings(&self, found: &Candidate) -> HashMap<String, Term> {
        let named = found.variables.iter().filter_map(|(name, value)| {
            let name = self.world.symbols.get_symbol(u64::from(*name))?.to_owned();
            Some((name, Term::convert_from(value, &self.world.symbols).ok()?))
        });
        named.collect()
    }

    /// What may be shown of these values.
    fn shown(&self, rule: &Rule, mut bindings: HashMap<String, Term>) -> HashMap<String, Term> {
        for predicate in rule.body.iter().filter(|predicate| !(self.shows)(&predicate.name)) {
            // What an argument is called may be shown.
            let open = if predicate.name == ARGUMENT { 1 } else { 0 };
            for name in predicate.terms.iter().skip(open).filter_map(variable) {
                bindings.remove(name);
            }
        }
        bindings
    }

    /// What the variables of what is left out stand for, where there is one such fact.
    fn actual(&self, rule: &Rule, left_out: &[usize]) -> HashMap<String, Term> {
        let mut bindings = HashMap::new();
        for index in left_out.iter().filter(|index| **index < rule.body.len()) {
            let asked = &rule.body[*index];
            if let [one] = self.found_like(asked).as_slice() {
                let named = asked.terms.iter().zip(&one.terms);
                let named = named.filter_map(|(term, value)| Some((variable(term)?, value)));
                bindings.extend(named.map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        bindings
    }

    fn facts_like(&self, predicate: &Predicate) -> Vec<Predicate> {
        match (self.shows)(&predicate.name) {
            true => self.found_like(predicate),
            false => Vec::new(),
        }
    }

    fn found_like(&self, predicate: &Predicate) -> Vec<Predicate> {
        let facts = self.world.facts().filter_map(|fact| {
            // Most facts are others, and need not be read.
            if self.world.symbols.get_symbol(fact.predicate.name) != Some(predicate.name.as_str()) {
                return None;
            }
            let found = Predicate::convert_from(&fact.predicate, &self.world.symbols).ok()?;
            let first = |predicate: &Predicate| match predicate.terms.first() {
                Some(Term::Variable(_)) | None => None,
                first => first.cloned(),
            };
            // Of arguments, only the one that is asked for.
            let same_argument = predicate.name != "arg"
                || first(predicate).is_none_or(|name| found.terms.first() == Some(&name));
            (found.name == predicate.name && same_argument).then_some(found)
        });
        facts.take(MAX_FOUND).collect()
    }

    /// How much it takes to change a part of the query: for an expression the least of what gives its variables
    /// values.
    fn weight(&self, rule: &Rule, part: usize) -> Weight {
        let Some(expression) = part.checked_sub(rule.body.len()) else {
            return self.weight_of(rule, &rule.body[part]);
        };
        let names = free_variables(&rule.expressions[expression].ops);
        let says = |predicate: &&Predicate| {
            predicate.terms.iter().filter_map(variable).any(|name| names.contains(&name))
        };
        let weights = rule.body.iter().filter(says).map(|predicate| (self.decide)(&predicate.name));
        weights.min().unwrap_or(Weight::OPERATION)
    }
}

impl Asker<'_> {
    /// How much it takes that a fact is there. What the policies say of other operations is about other operations.
    fn weight_of(&self, rule: &Rule, predicate: &Predicate) -> Weight {
        let weight = (self.decide)(&predicate.name);
        let of_operation = |other: &&Predicate| {
            (self.decide)(&other.name) >= Weight::OPERATION
                && other
                    .terms
                    .iter()
                    .any(|term| variable(term).is_some() && predicate.terms.contains(term))
        };
        match weight {
            Weight::POLICY if rule.body.iter().any(|other| of_operation(&other)) => {
                Weight::OPERATION
            }
            weight => weight,
        }
    }
}

/// Which parts to leave out: nothing, then every selection.
fn selections(parts: usize) -> Vec<Vec<usize>> {
    if parts <= MAX_PARTS {
        let chosen = |mask: u32| (0..parts).filter(|part| mask >> part & 1 == 1).collect();
        let mut all: Vec<Vec<usize>> = (1..1_u32 << parts).map(chosen).collect();
        all.sort_by_key(Vec::len);
        return all;
    }
    let single = (0..parts).map(|part| vec![part]);
    let pairs = (0..parts).flat_map(|one| (one + 1..parts).map(move |other| vec![one, other]));
    single.chain(pairs).collect()
}

fn kept<'a, T>(
    parts: &'a [T],
    offset: usize,
    left_out: &'a [usize],
) -> impl Iterator<Item = (usize, &'a T)> {
    parts.iter().enumerate().filter(move |(index, _)| !left_out.contains(&(index + offset)))
}

pub(super) fn variable(term: &Term) -> Option<&String> {
    match term {
        Term::Variable(name) => Some(name),
        _ => None,
    }
}

/// The variables of an expression, without the parameters of its closures.
pub(super) fn free_variables(ops: &[Op]) -> Vec<&String> {
    let mut found: Vec<&String> = Vec::new();
    for op in ops {
        match op {
            Op::Value(Term::Variable(name)) if !found.contains(&name) => found.push(name),
            Op::Closure(parameters, inner) => {
                let inner = free_variables(inner);
                found.extend(inner.into_iter().filter(|name| !parameters.contains(name)));
            }
            _ => {}
        }
    }
    found
}

/// The expression with some of its variables replaced.
pub(super) fn with_values(
    expression: &Expression,
    value_of: &dyn Fn(&Term) -> Option<Term>,
) -> Expression {
    fn all(ops: &[Op], value_of: &dyn Fn(&Term) -> Option<Term>) -> Vec<Op> {
        ops.iter()
            .map(|op| match op {
                Op::Value(term) => Op::Value(value_of(term).unwrap_or_else(|| term.clone())),
                Op::Closure(parameters, inner) => {
                    // A parameter hides what is called the same outside.
                    let inside = |term: &Term| match variable(term) {
                        Some(name) if parameters.contains(name) => None,
                        _ => value_of(term),
                    };
                    Op::Closure(parameters.clone(), all(inner, &inside))
                }
                op => op.clone(),
            })
            .collect()
    }
    Expression { ops: all(&expression.ops, value_of) }
}

fn filled(predicate: &Predicate, bindings: &HashMap<String, Term>) -> Predicate {
    let terms = predicate.terms.iter().map(|term| match variable(term) {
        Some(name) => bindings.get(name).cloned().unwrap_or_else(|| term.clone()),
        None => term.clone(),
    });
    Predicate { name: predicate.name.clone(), terms: terms.collect() }
}
