//! Tally: how many arguments does a call have, how large are they, and are their names told apart? It is kept incrementally, so
//! that one more argument costs no second look at the others.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::call::json::member_length;
use crate::call::seen::MAX_SEEN_TEXT_BYTES;
use crate::call::{
    ArgumentProblem, CallError, MAX_ARGUMENT_DEPTH, MAX_ARGUMENT_VALUES, MAX_ARGUMENTS,
    MAX_NAME_BYTES,
};
use crate::spelling::{MAX_FOLDED_BYTES, fold, is_plain};

/// What the arguments come to, once some were added one by one: each is looked at when it is added, and not again with each that
/// follows. A copy counts anew.
#[derive(Debug, Default)]
pub(super) struct Counted(Option<Box<Tally>>);

impl Counted {
    /// Adds one to these, if it is such as can be judged with them.
    pub(super) fn add(
        &mut self,
        arguments: &Map<String, Value>,
        name: &str,
        value: &Value,
        most: usize,
    ) -> Result<(), CallError> {
        let mut tally = match self.0.take() {
            Some(tally) => tally,
            None => Box::new(Tally::of(arguments, most)?),
        };
        tally.add(name, value, most)?;
        self.0 = Some(tally);
        Ok(())
    }
}

impl Clone for Counted {
    fn clone(&self) -> Counted {
        Counted::default()
    }
}

/// How many arguments there are, how large they are, and what their names are folded to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    folded: HashSet<String>,
    /// The bytes of names, and of those that are not ASCII.
    named: usize,
    foldable: usize,
    values: usize,
    bytes: usize,
}

impl Tally {
    /// Of arguments that have at most `most` bytes.
    pub(super) fn of(arguments: &Map<String, Value>, most: usize) -> Result<Tally, CallError> {
        let mut tally = Tally::default();
        arguments.iter().try_for_each(|(name, value)| tally.add(name, value, most))?;
        Ok(tally)
    }

    /// Few enough to be judged, and each argument with a name of its own for every reader: to those that do not look at
    /// capitals, as many libraries for JSON do, `Amount` beside `amount` would be the one that counts. What was read as one
    /// text is known to be so at all depths; arguments that were added one by one are not. What is too much is refused before
    /// the name is folded.
    fn add(&mut self, name: &str, value: &Value, most: usize) -> Result<(), CallError> {
        if !is_plain(name) {
            return Err(CallError::Arguments(ArgumentProblem::Name));
        }
        count(value, 1, &mut self.values)?;
        self.bytes += member_length(name, value);
        self.named += name.len();
        self.foldable += if name.is_ascii() { 0 } else { name.len() };
        // Two braces, and a comma behind each but the last.
        let too_large = self.bytes >= most
            || self.folded.len() >= MAX_ARGUMENTS
            || self.named > MAX_NAME_BYTES
            || name.len() > MAX_SEEN_TEXT_BYTES
            || self.foldable > MAX_FOLDED_BYTES;
        if too_large {
            return Err(CallError::Arguments(ArgumentProblem::TooLarge));
        }
        match self.folded.insert(fold(name).into_owned()) {
            true => Ok(()),
            false => Err(CallError::Arguments(ArgumentProblem::Alike)),
        }
    }
}

fn count(value: &Value, depth: usize, values: &mut usize) -> Result<(), CallError> {
    *values += 1;
    if depth > MAX_ARGUMENT_DEPTH || *values > MAX_ARGUMENT_VALUES {
        return Err(CallError::Arguments(ArgumentProblem::TooLarge));
    }
    match value {
        Value::Array(elements) => {
            elements.iter().try_for_each(|value| count(value, depth + 1, values))
        }
        Value::Object(members) => {
            members.values().try_for_each(|value| count(value, depth + 1, values))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Call;
    use crate::spelling::FOLDED;

    #[test]
    fn each_name_is_folded_once_however_many_are_added() {
        let before = FOLDED.get();
        let add = |call: Call, number: usize| {
            let name = format!("Z\u{f6}e{number}");
            call.argument(&name, 1).unwrap()
        };
        let call = (0..600).fold(Call::tool("t").unwrap(), add);
        assert_eq!((call.arguments_json().len(), FOLDED.get() - before), (600, 600));
        // A copy counts anew, once.
        let copy = call.clone().argument("a", 1).unwrap().argument("b", 1).unwrap();
        assert_eq!((copy.arguments_json().len(), FOLDED.get() - before), (602, 1202));
        let alike = copy.argument("zo\u{eb}", 1).unwrap().argument("ZO\u{eb}", 2);
        assert_eq!(alike, Err(CallError::Arguments(ArgumentProblem::Alike)));
    }

    #[test]
    fn what_is_too_much_together_is_refused_though_each_is_little() {
        let many = |name: &dyn Fn(usize) -> String, value: &str| {
            let mut call = Call::tool("t")?;
            for number in 0.. {
                let before = FOLDED.get();
                let text = value.to_owned();
                call = call.argument(&name(number), text).inspect_err(|_| {
                    assert_eq!(FOLDED.get(), before, "it is folded before it is refused");
                })?;
                assert!(number < 2000, "as many as one likes");
            }
            Ok::<Call, CallError>(call)
        };
        let too_large = Err(CallError::Arguments(ArgumentProblem::TooLarge));
        assert_eq!(many(&|number| format!("a{number}"), ""), too_large);
        assert_eq!(many(&|number| format!("a{number}"), &"x".repeat(1000)), too_large);
        assert_eq!(many(&|number| format!("{}{number}", "\u{eb}".repeat(64)), ""), too_large);
    }
}
