//! Unfold: a question in Hardtack's own words, with the bodies of the set's rules in the place of their heads (unfolding, by resolution).

use std::collections::HashMap;

use crate::normal::replaced;
use crate::set::Set;
use hardtack::internal::syntax::{Atom, Query, Span, Statement, Term, Value};

/// How often a rule stands in the place of a head, one within the other.
const MAX_STEPS: usize = 6;

/// The most questions that one comes to, and the most predicates in one.
const MAX_QUERIES: usize = 32;
const MAX_ATOMS: usize = 64;

/// All that a question comes to. What comes from a rule has the place of the predicate that it stands for.
pub(super) fn unfold(set: &Set, query: &Query) -> Vec<Query> {
    let mut queries = vec![query.clone()];
    for step in 0..MAX_STEPS {
        let mut next = Vec::new();
        let mut changed = false;
        for query in &queries {
            let at = query.atoms.iter().position(|atom| set.rules(&atom.name).next().is_some());
            let Some(at) = at.filter(|_| query.atoms.len() <= MAX_ATOMS) else {
                next.push(query.clone());
                continue;
            };
            changed = true;
            let Some(atom) = query.atoms.get(at) else { continue };
            let others =
                set.facts(&atom.name).next().is_some() || set.grant.contains_key(&atom.name);
            if others {
                // Its facts, under a name that has no rules.
                let mut kept = query.clone();
                if let Some(atom) = kept.atoms.get_mut(at) {
                    atom.name.push('\'');
                }
                next.push(kept);
            }
            let rules = set.rules(&atom.name);
            next.extend(rules.filter_map(|rule| inlined(query, at, rule, step)).take(MAX_QUERIES));
            if next.len() > MAX_QUERIES {
                return vec![query.clone()];
            }
        }
        queries = next;
        if !changed {
            break;
        }
    }
    queries
}

fn inlined(query: &Query, at: usize, rule: &Statement, step: usize) -> Option<Query> {
    let (head, body) = (rule.head.as_ref()?, rule.queries.first()?);
    let atom = query.atoms.get(at)?;
    if head.terms.len() != atom.terms.len() {
        return None;
    }
    let place = atom.span;
    let renamed = |term: &Term| match term.variable() {
        Some(name) => Term { value: Value::Variable(format!("{name}'{step}.{at}")), span: place },
        None => Term { value: term.value.clone(), span: place },
    };
    let mut stands: HashMap<String, Term> = HashMap::new();
    for (head, asked) in head.terms.iter().map(renamed).zip(&atom.terms) {
        let (head, asked) = (resolved(&head, &stands), resolved(asked, &stands));
        match (head.variable(), asked.variable()) {
            _ if head == asked => {}
            (Some(name), _) => drop(stands.insert(name.to_owned(), asked)),
            (None, Some(name)) => drop(stands.insert(name.to_owned(), head)),
            (None, None) => return None,
        }
    }
    let inner = |term: &Term| resolved(&renamed(term), &stands);
    let outer = |term: &Term| resolved(term, &stands);
    let mut atoms: Vec<Atom> = Vec::new();
    for (index, other) in query.atoms.iter().enumerate() {
        match index == at {
            false => atoms.push(with_terms(other, other.span, other.name_span, &outer)),
            true => {
                atoms.extend(body.atoms.iter().map(|atom| with_terms(atom, place, place, &inner)))
            }
        }
    }
    let kept = query.conditions.iter().map(|condition| replaced(condition, &outer));
    let added = body.conditions.iter().map(|condition| {
        let mut condition = replaced(condition, &inner);
        condition.span = place;
        condition
    });
    let (trusting, scopes) = (query.trusting, query.scopes.clone());
    let conditions = kept.chain(added).collect();
    Some(Query { span: query.span, atoms, conditions, trusting, scopes })
}

fn with_terms(atom: &Atom, span: Span, name_span: Span, with: &dyn Fn(&Term) -> Term) -> Atom {
    let terms = atom.terms.iter().map(|term| Term { span: term.span, ..with(term) }).collect();
    let mut atom = Atom { name: atom.name.clone(), name_span, span, terms };
    if span == name_span {
        atom.terms.iter_mut().for_each(|term| term.span = span);
    }
    atom
}

fn resolved(term: &Term, stands: &HashMap<String, Term>) -> Term {
    let mut found = term;
    for _ in 0..=stands.len() {
        match found.variable().and_then(|name| stands.get(name)) {
            Some(next) => found = next,
            None => break,
        }
    }
    Term { value: found.value.clone(), span: term.span }
}
