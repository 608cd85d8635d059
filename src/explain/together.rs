//! Together: what is demanded of one argument in several places, as one demand.

use crate::constraint::{Constraint, Demand, Form, Range, Subject};
use crate::explain::remedies::argument_text;
use crate::explain::{Change, Remedy};

/// Joins the remedies that are first of all another value of the same argument: whoever calls changes it once.
pub(super) fn together(remedies: Vec<Remedy>) -> Vec<Remedy> {
    let mut joined: Vec<Remedy> = Vec::new();
    for remedy in remedies {
        let of = |known: &&mut Remedy| {
            argument_of(known).is_some_and(|known| argument_of(&remedy) == Some(known))
        };
        let Some(known) = joined.iter_mut().find(of) else {
            joined.push(remedy);
            continue;
        };
        let [Some(first), Some(second)] = [known.changes.first(), remedy.changes.first()] else {
            continue;
        };
        let (Change::Argument { argument, must, example, .. }, Change::Argument { must: more, .. }) =
            (first, second)
        else {
            continue;
        };
        let must = both(argument, must, more);
        let text = argument_text(argument, &must, example.as_ref());
        let change =
            Change::Argument { argument: argument.clone(), must, example: example.clone(), text };
        // What would do instead in one place is not enough for the other.
        known.changes = vec![change];
        if known.obstacle != remedy.obstacle {
            known.obstacle = format!("{}; {}", known.obstacle, remedy.obstacle);
        }
    }
    for change in joined.iter_mut().flat_map(|remedy| &mut remedy.changes) {
        if let Change::Argument { argument, must, example, text } = change {
            *must = both(argument, must, "");
            *text = argument_text(argument, must, example.as_ref());
        }
    }
    joined
}

fn argument_of(remedy: &Remedy) -> Option<&str> {
    match remedy.changes.first() {
        Some(Change::Argument { argument, .. }) => Some(argument),
        _ => None,
    }
}

/// Two demands as one: the numbers that both leave, and whatever else they say.
fn both(argument: &str, first: &str, second: &str) -> String {
    let mut range = Range { least: None, most: None };
    let mut rest: Vec<&str> = Vec::new();
    for demand in [first, second] {
        let parts = match range_of(argument, demand) {
            Some(_) => vec![demand],
            None => demand.split(" and ").collect(),
        };
        // What does not fall into such parts is left as it is.
        let plain = parts.iter().all(|part| part.matches(['"', '(', ')']).count() % 2 == 0);
        for part in if plain { parts } else { vec![demand] } {
            match range_of(argument, part) {
                Some(more) => {
                    range.least = range.least.max(more.least);
                    range.most = match (range.most, more.most) {
                        (Some(known), Some(more)) => Some(known.min(more)),
                        (known, more) => known.or(more),
                    };
                }
                None if part.is_empty() || rest.contains(&part) => {}
                None => rest.push(part),
            }
        }
    }
    let numbers = (range.least.is_some() || range.most.is_some()).then(|| {
        let of = Subject::Argument(argument.to_owned());
        let demand = Demand::Number(range);
        Constraint(Form::Demanded { of, optional: false, demand }).to_string()
    });
    let parts: Vec<&str> = numbers.as_deref().into_iter().chain(rest).collect();
    parts.join(" and ")
}

/// The numbers that a demand of this argument leaves, if it is one of numbers.
fn range_of(argument: &str, demand: &str) -> Option<Range> {
    match demand.parse::<Constraint>().ok()?.0 {
        Form::Demanded {
            of: Subject::Argument(name),
            optional: false,
            demand: Demand::Number(range),
        } => (name == argument).then_some(range),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demands_of_numbers_are_one_range_and_others_stand_beside_it() {
        for (first, second, expected) in [
            ("amount >= 1 and amount <= 1000", "", "amount between 1 and 1000"),
            ("amount between 1 and 1000", "amount <= 20", "amount between 1 and 20"),
            ("amount <= 20", "amount <= 50", "amount <= 20"),
            ("amount <= 20", "amount != 7", "amount <= 20 and amount != 7"),
            ("amount == \"a and b\"", "amount <= 5", "amount <= 5 and amount == \"a and b\""),
            ("other <= 5", "amount <= 5", "amount <= 5 and other <= 5"),
            ("amount? <= 5", "", "amount? <= 5"),
        ] {
            assert_eq!(both("amount", first, second), expected);
        }
    }
}
