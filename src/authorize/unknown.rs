//! Unknown: which parts of a query do not depend on what is not known yet?
//!
//! The first step of partial evaluation: predicates that rest on unknown facts are found by taint propagation through
//! the rules, to a fixpoint. The rest of a query can be asked at once.

use std::collections::HashSet;

use biscuit_auth::datalog::{Expression, Op, Rule, SymbolTable, Term};

/// The predicates whose facts depend on arguments, by the numbers of their names.
pub(crate) struct Unknown(HashSet<u64>);

impl Unknown {
    /// Arguments, and all that the policies' rules derive from them.
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

    /// The names, by their numbers.
    pub(crate) fn names(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }

    /// The query without what depends on arguments: it matches wherever the whole could.
    pub(crate) fn known_part(&self, query: &Rule) -> Rule {
        let (mut part, bound) = self.known_body(query);
        part.expressions.retain(|expression| is_bound(expression, &bound));
        part
    }

    /// The query up to the first expression that depends on arguments. What it does not match, the whole does not
    /// match either, and is not without an answer: expressions are asked in their order, and the first that is
    /// false ends it.
    pub(crate) fn known_beginning(&self, query: &Rule) -> Rule {
        let (mut part, bound) = self.known_body(query);
        let known =
            part.expressions.iter().take_while(|expression| is_bound(expression, &bound)).count();
        part.expressions.truncate(known);
        part
    }

    /// How many of its predicates depend on arguments.
    pub(crate) fn count(&self, query: &Rule) -> usize {
        query.body.iter().filter(|predicate| self.0.contains(&predicate.name)).count()
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
