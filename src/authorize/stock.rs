//! Stock: can a query match at all, by the names and the constants that it asks for?
//!
//! Of thousands of policies, each about a tool of its own, nearly all ask for a fact that is not there. That is found by looking up what
//! they ask for, instead of going through all facts for each.

use std::collections::HashSet;

use biscuit_auth::datalog::{Rule, Term};

use crate::datalog::World;
use crate::datalog::partial::Unknown;
use crate::profile::vocabulary::ARGUMENT;

/// The names of the facts of a world, and what stands where in them. Whoever adds facts to the world makes it anew.
pub(crate) struct Stock<'a> {
    names: HashSet<u64, ahash::RandomState>,
    terms: HashSet<(u64, usize, &'a Term), ahash::RandomState>,
    /// The number of the name by which arguments are asked for, whose spelling a call may choose.
    argument: Option<u64>,
}

impl<'a> Stock<'a> {
    pub(crate) fn of(world: &'a World) -> Stock<'a> {
        let argument = world.symbols.get(ARGUMENT);
        let mut stock = Stock { names: HashSet::default(), terms: HashSet::default(), argument };
        for fact in world.facts() {
            let name = fact.predicate.name;
            stock.names.insert(name);
            let terms = fact.predicate.terms.iter().enumerate();
            stock.terms.extend(terms.map(|(place, term)| (name, place, term)));
        }
        stock
    }

    /// Whether some query may have a match, as far as these facts tell. What is unknown may be anything.
    pub(crate) fn may_match(&self, queries: &[Rule], unknown: Option<&Unknown>) -> bool {
        queries.iter().any(|query| {
            query.body.iter().all(|asked| {
                let name = asked.name;
                if unknown.is_some_and(|unknown| unknown.is(name)) {
                    return true;
                }
                let is_there = |(place, term): (usize, &Term)| match term {
                    Term::Variable(_) => true,
                    term => self.terms.contains(&(name, place, term)),
                };
                self.names.contains(&name)
                    && (Some(name) == self.argument || asked.terms.iter().enumerate().all(is_there))
            })
        })
    }
}
