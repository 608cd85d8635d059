//! Cost: can the evaluation of a question grow beyond what a decision may take, with what an agent chooses?
//!
//! Bounds on the number of facts of each word are handed on from rule to rule until they no longer change (a fixpoint of a cardinality
//! analysis), or a bound of rounds is reached.

use std::collections::{BTreeMap, HashSet};

use biscuit_parser::builder::Binary;

use crate::normal::shown;
use crate::set::Set;
use crate::words::{self, Column, Word};
use crate::{Code, Findings};
use hardtack::internal::syntax::{Atom, Expr, Kind, Node, Query, Term};
use hardtack::internal::{FACT_BUDGET, MAX_DERIVED_FACTS};

/// How many facts a grant may well carry, of all names and of one.
const GRANT_FACTS: u64 = 64;
const GRANT_FACTS_OF_A_NAME: u64 = 16;

/// How often bounds are handed on from rule to rule.
const MAX_ROUNDS: usize = 10;

pub(super) fn check(set: &Set, findings: &mut Findings) {
    let derived = derived(set);
    let own: u64 = set.own.values().map(|own| own.facts.len() as u64).sum();
    let rules: u64 = derived.values().fold(0, |all, count| all.saturating_add(*count));
    let rules = rules.min(MAX_DERIVED_FACTS as u64);
    // Arguments are among Hardtack's.
    let asserted: u64 = words::readable().map(Word::most).sum();
    let all = asserted + GRANT_FACTS + own + rules;
    for (statement, query) in set.queries() {
        let (touched, worst) = touched(set, query, &derived, all);
        let head = statement.head.as_ref();
        let grows = head.is_some_and(|head| {
            derived.get(head.name.as_str()).is_some_and(|count| *count > MAX_DERIVED_FACTS as u64)
                && matches(set, query, &derived) > MAX_DERIVED_FACTS as u64
        });
        if touched > FACT_BUDGET || grows {
            let span = worst.map_or(query.span, |atom| atom.name_span);
            let message = match touched > FACT_BUDGET {
                true => format!(
                    "at its largest, with all arguments that a call may have, this looks at {touched} facts, more than the {FACT_BUDGET} of a decision, and the call is refused"
                ),
                false => format!(
                    "at its largest, with all arguments that a call may have, this rule derives more than {MAX_DERIVED_FACTS} facts, and the call is refused"
                ),
            };
            let mend =
                "name the argument, as in arg(\"path\", $path), and put first what matches once";
            findings.add(Code::Costly, statement.file, span, message, mend);
        }
        for condition in &query.conditions {
            nested(condition, &mut Vec::new(), 0, statement.file, findings);
        }
    }
}

/// The most facts that rules can derive of each name.
fn derived(set: &Set) -> BTreeMap<&str, u64> {
    let bounded = bounded(set);
    let values = values(set);
    let mut found: BTreeMap<&str, u64> = BTreeMap::new();
    for _ in 0..MAX_ROUNDS {
        let mut new: BTreeMap<&str, u64> = BTreeMap::new();
        for (statement, query) in set.queries() {
            let Some(head) = &statement.head else { continue };
            let within = values.checked_pow(variables_of(head)).unwrap_or(u64::MAX);
            let count = match bounded.contains(head.name.as_str()) {
                true => matches(set, query, &found).min(within),
                false => matches(set, query, &found),
            };
            let constant = head.terms.iter().all(|term| term.variable().is_none());
            let entry: &mut u64 = new.entry(&head.name).or_default();
            *entry =
                entry.saturating_add(if constant { 1 } else { count }).min(u64::from(u32::MAX));
        }
        if new == found {
            break;
        }
        found = new;
    }
    found
}

/// The words whose values all stand in the set, or are there once for a call.
fn bounded(set: &Set) -> HashSet<&str> {
    let own = set.own.keys().map(String::as_str);
    let mut found: HashSet<&str> = own.filter(|name| !set.grant.contains_key(*name)).collect();
    for _ in 0..MAX_ROUNDS {
        let before = found.len();
        for (statement, query) in set.queries() {
            let Some(head) = &statement.head else { continue };
            let stays = query.atoms.iter().all(|atom| match words::find(&atom.name) {
                Some(word) => word.most() == 1,
                None => found.contains(atom.name.as_str()),
            });
            if !stays {
                found.remove(head.name.as_str());
            }
        }
        if found.len() == before {
            return found;
        }
    }
    HashSet::new()
}

/// How many values stand in the set's facts, with those that a call has once.
fn values(set: &Set) -> u64 {
    let facts = set.statements.iter().filter(|statement| statement.kind == Kind::Fact);
    let terms = facts.filter_map(|fact| fact.head.as_ref()).flat_map(|head| &head.terms);
    let values: HashSet<String> = terms.map(shown).collect();
    let once = words::readable().filter(|word| word.most() == 1).count();
    (values.len() + once) as u64
}

fn variables_of(head: &Atom) -> u32 {
    let names: HashSet<&str> = head.terms.iter().filter_map(Term::variable).collect();
    u32::try_from(names.len()).unwrap_or(u32::MAX)
}

/// How many facts of a predicate fit, when these variables have values.
fn fits(set: &Set, atom: &Atom, bound: &HashSet<&str>, derived: &BTreeMap<&str, u64>) -> u64 {
    let is_bound = |term: &Term| term.variable().is_none_or(|name| bound.contains(name));
    if atom.terms.iter().all(is_bound) {
        return 1;
    }
    if let Some(word) = words::find(&atom.name) {
        let keyed =
            matches!(word.columns.first(), Some(Column::ArgumentName | Column::Hop | Column::Zone));
        let once = keyed && atom.terms.first().is_some_and(is_bound);
        return if once { 1 } else { word.most() };
    }
    let own = set.own.get(&atom.name).map_or(0, |own| own.facts.len() as u64);
    let granted = if set.grant.contains_key(&atom.name) { GRANT_FACTS_OF_A_NAME } else { 0 };
    own.saturating_add(granted)
        .saturating_add(derived.get(atom.name.as_str()).copied().unwrap_or_default())
        .max(1)
}

fn matches(set: &Set, query: &Query, derived: &BTreeMap<&str, u64>) -> u64 {
    let mut bound = HashSet::new();
    let mut count: u64 = 1;
    for atom in &query.atoms {
        count = count.saturating_mul(fits(set, atom, &bound, derived));
        bound.extend(atom.terms.iter().filter_map(|term| term.variable()));
    }
    count
}

/// Each predicate looks at all facts, once for every match of those before it.
fn touched<'q>(
    set: &Set,
    query: &'q Query,
    derived: &BTreeMap<&str, u64>,
    all: u64,
) -> (u64, Option<&'q Atom>) {
    let mut bound = HashSet::new();
    let (mut count, mut sum): (u64, u64) = (1, 0);
    let mut worst = None;
    for atom in &query.atoms {
        sum = sum.saturating_add(count.saturating_mul(all));
        if sum > FACT_BUDGET && worst.is_none() {
            worst = Some(atom);
        }
        count = count.saturating_mul(fits(set, atom, &bound, derived));
        bound.extend(atom.terms.iter().filter_map(|term| term.variable()));
    }
    (sum, worst)
}

/// `.any()` within `.any()`, both over what an agent chooses. What lies within an element is counted with it.
fn nested<'q>(
    expr: &'q Expr,
    within: &mut Vec<&'q str>,
    depth: usize,
    file: usize,
    findings: &mut Findings,
) {
    match &expr.node {
        Node::Term(_) => {}
        Node::Unary(_, inner) => nested(inner, within, depth, file, findings),
        Node::Closure(name, inner) => {
            within.push(name);
            nested(inner, within, depth, file, findings);
            within.pop();
        }
        Node::Binary(Binary::All | Binary::Any, left, right) => {
            let chosen = left.constant().is_none();
            let part = left.variables().iter().any(|name| within.contains(name));
            if chosen && !part && depth > 0 {
                let message = "for each element of what an agent chooses, this looks at all of what it chooses: a thousand times a thousand";
                let mend = "compare with a list that is written out, or with one element";
                findings.add(Code::Costly, file, expr.op, message, mend);
            }
            nested(left, within, depth, file, findings);
            nested(right, within, depth + usize::from(chosen), file, findings);
        }
        Node::Binary(_, left, right) => {
            nested(left, within, depth, file, findings);
            nested(right, within, depth, file, findings);
        }
    }
}
