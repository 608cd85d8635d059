//! Arguments: which of many policies can match a call with these arguments?
//!
//! An inverted index. Policies that differ by an argument alone, such as a limit for each account, are found by its value, and the
//! others are not asked. A policy is passed over only if, whatever else the call says, it neither matches nor is without an answer.

use std::collections::{HashMap, HashSet};

use biscuit_auth::builder;
use biscuit_auth::datalog::{Binary, Op, Rule, SymbolTable, Term};

use crate::call::Call;
use crate::policy::Location;
use crate::profile::vocabulary::ARGUMENT;

/// Fewer policies are asked sooner than looked up.
const WORTH_AN_INDEX: usize = 4;

/// What allows only calls with a certain value of an argument. It is built once for a set.
#[derive(Debug, Clone, Default)]
pub(crate) struct ByArgument {
    /// The policies by the argument's name and value.
    by_value: HashMap<String, HashMap<builder::Term, Vec<usize>>>,
    /// All of them.
    indexed: HashSet<usize>,
}

impl ByArgument {
    /// Builds the index over `allows`. `words` are those by which they are written.
    pub(super) fn of(allows: &[(Location, Vec<Rule>)], words: &SymbolTable) -> ByArgument {
        let mut index = ByArgument::default();
        if allows.len() < WORTH_AN_INDEX {
            return index;
        }
        let Some(argument) = words.get(ARGUMENT) else { return index };
        for (number, (_, queries)) in allows.iter().enumerate() {
            let needs = queries.iter().map(|query| needed(query, argument, words));
            let Some(needs) = needs.collect::<Option<Vec<_>>>() else { continue };
            index.indexed.insert(number);
            for (name, value) in needs {
                let policies = index.by_value.entry(name).or_default().entry(value).or_default();
                if policies.last() != Some(&number) {
                    policies.push(number);
                }
            }
        }
        index
    }

    /// Whether a policy, by its number, can match this call. Of one that cannot, no query has a match or an error.
    pub(crate) fn matching(&self, call: Option<&Call>) -> impl Fn(usize) -> bool {
        let found = call.filter(|_| !self.indexed.is_empty()).map(|call| {
            let mut found = HashSet::<usize>::new();
            for (name, value) in call.argument_terms() {
                let Some(policies) = self.by_value.get(name) else { continue };
                match value {
                    // It is represented, and whether it is one of these may have no answer.
                    builder::Term::Bytes(_) => found.extend(policies.values().flatten()),
                    value => found.extend(policies.get(value).into_iter().flatten()),
                }
            }
            found
        });
        move |number| match &found {
            Some(found) => found.contains(&number) || !self.indexed.contains(&number),
            None => true,
        }
    }
}

/// The argument and its value without which the query has no match and no error: one that a predicate writes out, or one with which its
/// first expression compares the argument's value. Expressions are asked in their order, and the first that is false ends it.
fn needed(query: &Rule, argument: u64, words: &SymbolTable) -> Option<(String, builder::Term)> {
    let first = query.expressions.first().and_then(|first| match first.ops.as_slice() {
        [
            Op::Value(Term::Variable(variable)),
            Op::Value(value),
            Op::Binary(Binary::HeterogeneousEqual),
        ]
        | [
            Op::Value(value),
            Op::Value(Term::Variable(variable)),
            Op::Binary(Binary::HeterogeneousEqual),
        ] => Some((*variable, value)),
        _ => None,
    });
    query.body.iter().filter(|predicate| predicate.name == argument).find_map(|predicate| {
        let [Term::Str(name), value] = predicate.terms.as_slice() else { return None };
        let value = match (value, first) {
            (Term::Variable(value), Some((compared, written))) if *value == compared => written,
            (value, _) => value,
        };
        Some((words.get_symbol(*name)?.to_owned(), simple(value, words)?))
    })
}

/// A value that equals another only if both are written the same.
fn simple(value: &Term, words: &SymbolTable) -> Option<builder::Term> {
    match value {
        Term::Str(text) => Some(builder::Term::Str(words.get_symbol(*text)?.to_owned())),
        Term::Integer(number) => Some(builder::Term::Integer(*number)),
        Term::Bool(value) => Some(builder::Term::Bool(*value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
