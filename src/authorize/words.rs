//! Words: which numbers stand for the words of facts and checks?
//!
//! String interning, by a hash index. Biscuit's own conversions go through all known words for each place where one
//! stands. An attacker chooses how many words there are and how many places, so here each word is looked for once.

use std::collections::HashMap;

use biscuit_auth::builder::{self, Convert};
use biscuit_auth::datalog::{
    Binary, Check, Expression, Fact, MapKey, Op, Predicate, Rule, SymbolTable, Term, Unary,
};
use biscuit_auth::error;

/// With fewer places for words than this, going through all words costs less than an index of them.
const FEW_PLACES: usize = 64;

/// The first number that stands for a word which is not one of Biscuit's own; those mean the same in every table.
const FIRST_NUMBER: u64 = 1024;

/// Facts as the engine takes them; their words are added to the table.
pub(super) fn convert(facts: &[builder::Fact], symbols: &mut SymbolTable) -> Vec<Fact> {
    let places = facts.iter().flat_map(|fact| &fact.predicate.terms).map(places);
    if places.sum::<usize>() + facts.len() < FEW_PLACES {
        return facts.iter().map(|fact| fact.convert(symbols)).collect();
    }
    let known = symbols.strings();
    let own = (0..FIRST_NUMBER).map_while(|number| Some((symbols.get_symbol(number)?, number)));
    let own: HashMap<String, u64> = own.map(|(word, number)| (word.to_owned(), number)).collect();
    let mut index = Index { numbers: HashMap::new(), new: Vec::new(), first: FIRST_NUMBER };
    index.numbers.extend(own.iter().map(|(word, number)| (word.as_str(), *number)));
    index.numbers.extend(known.iter().map(String::as_str).zip(FIRST_NUMBER..));
    index.first += known.len() as u64;
    let converted = facts.iter().map(|fact| index.fact(fact)).collect();
    let new = SymbolTable::from(index.new.into_iter().map(str::to_owned).collect());
    match new.and_then(|new| symbols.extend(&new)) {
        Ok(()) => converted,
        // They are new, so that cannot be; and if it were, this is always right.
        Err(_) => facts.iter().map(|fact| fact.convert(symbols)).collect(),
    }
}

/// How many words a term can have.
fn places(term: &builder::Term) -> usize {
    use builder::Term;
    match term {
        Term::Set(set) => set.iter().map(places).sum(),
        Term::Array(array) => array.iter().map(places).sum(),
        Term::Map(map) => map.values().map(|value| 1 + places(value)).sum(),
        _ => 1,
    }
}

/// The numbers of words, and words that have none in the table yet.
struct Index<'a> {
    numbers: HashMap<&'a str, u64>,
    new: Vec<&'a str>,
    first: u64,
}

impl<'a> Index<'a> {
    fn number(&mut self, word: &'a str) -> u64 {
        let next = self.first + self.new.len() as u64;
        let number = *self.numbers.entry(word).or_insert(next);
        if number == next {
            self.new.push(word);
        }
        number
    }

    fn fact(&mut self, fact: &'a builder::Fact) -> Fact {
        let name = self.number(&fact.predicate.name);
        let terms = fact.predicate.terms.iter().map(|term| self.term(term)).collect();
        Fact { predicate: Predicate { name, terms } }
    }

    fn term(&mut self, term: &'a builder::Term) -> Term {
        use builder::Term as Written;
        match term {
            Written::Str(text) => Term::Str(self.number(text)),
            Written::Integer(value) => Term::Integer(*value),
            Written::Date(value) => Term::Date(*value),
            Written::Bytes(bytes) => Term::Bytes(bytes.clone()),
            Written::Bool(value) => Term::Bool(*value),
            Written::Set(set) => Term::Set(set.iter().map(|term| self.term(term)).collect()),
            Written::Array(array) => {
                Term::Array(array.iter().map(|term| self.term(term)).collect())
            }
            Written::Map(map) => {
                let entries = map.iter().map(|(key, value)| {
                    let key = match key {
                        builder::MapKey::Str(text) => MapKey::Str(self.number(text)),
                        builder::MapKey::Integer(key) => MapKey::Integer(*key),
                        builder::MapKey::Parameter(name) => MapKey::Str(self.number(name)),
                    };
                    (key, self.term(value))
                });
                Term::Map(entries.collect())
            }
            // Facts have neither; the engine takes a fact with a variable for no match.
            Written::Variable(name) | Written::Parameter(name) => {
                Term::Variable(u32::try_from(self.number(name)).unwrap_or(u32::MAX))
            }
            Written::Null => Term::Null,
        }
    }
}

/// Translates facts and checks of one table of words into another.
pub(super) struct Translation<'a> {
    pub(super) from: &'a SymbolTable,
    pub(super) to: &'a mut SymbolTable,
    /// What is known already: blocks that share a table share this.
    pub(super) known: &'a mut HashMap<u64, u64>,
}

/// What comes of each, in a list that has no more room than that: much of it is kept.
fn each<T, U>(
    from: &[T],
    mut to: impl FnMut(&T) -> Result<U, error::Format>,
) -> Result<Vec<U>, error::Format> {
    let mut each = Vec::with_capacity(from.len());
    for one in from {
        each.push(to(one)?);
    }
    Ok(each)
}

impl Translation<'_> {
    pub(super) fn check(&mut self, check: &Check) -> Result<Check, error::Format> {
        let queries = each(&check.queries, |query| self.rule(query))?;
        Ok(Check { queries, kind: check.kind.clone() })
    }

    pub(super) fn fact(&mut self, fact: &Fact) -> Result<Fact, error::Format> {
        Ok(Fact { predicate: self.predicate(&fact.predicate)? })
    }

    fn rule(&mut self, rule: &Rule) -> Result<Rule, error::Format> {
        let body = each(&rule.body, |predicate| self.predicate(predicate))?;
        let expressions =
            each(&rule.expressions, |one| Ok(Expression { ops: self.ops(&one.ops)? }))?;
        let scopes = each(&rule.scopes, |scope| {
            Ok(builder::Scope::convert_from(scope, self.from)?.convert(self.to))
        })?;
        Ok(Rule { head: self.predicate(&rule.head)?, body, expressions, scopes })
    }

    fn predicate(&mut self, predicate: &Predicate) -> Result<Predicate, error::Format> {
        let terms = each(&predicate.terms, |term| self.term(term))?;
        Ok(Predicate { name: self.word(predicate.name)?, terms })
    }

    fn ops(&mut self, ops: &[Op]) -> Result<Vec<Op>, error::Format> {
        each(ops, |op| {
            Ok(match op {
                Op::Value(term) => Op::Value(self.term(term)?),
                Op::Unary(Unary::Ffi(name)) => Op::Unary(Unary::Ffi(self.word(*name)?)),
                Op::Unary(unary) => Op::Unary(unary.clone()),
                Op::Binary(Binary::Ffi(name)) => Op::Binary(Binary::Ffi(self.word(*name)?)),
                Op::Binary(binary) => Op::Binary(binary.clone()),
                Op::Closure(parameters, ops) => {
                    Op::Closure(each(parameters, |name| self.variable(*name))?, self.ops(ops)?)
                }
            })
        })
    }

    fn term(&mut self, term: &Term) -> Result<Term, error::Format> {
        Ok(match term {
            Term::Variable(name) => Term::Variable(self.variable(*name)?),
            Term::Str(word) => Term::Str(self.word(*word)?),
            Term::Set(set) => {
                Term::Set(set.iter().map(|term| self.term(term)).collect::<Result<_, _>>()?)
            }
            Term::Array(array) => Term::Array(each(array, |term| self.term(term))?),
            Term::Map(map) => {
                let entries = map.iter().map(|(key, value)| {
                    let key = match key {
                        MapKey::Str(word) => MapKey::Str(self.word(*word)?),
                        MapKey::Integer(key) => MapKey::Integer(*key),
                    };
                    Ok((key, self.term(value)?))
                });
                Term::Map(entries.collect::<Result<_, _>>()?)
            }
            term => term.clone(),
        })
    }

    fn variable(&mut self, name: u32) -> Result<u32, error::Format> {
        let number = self.word(u64::from(name))?;
        u32::try_from(number).map_err(|_| error::Format::UnknownSymbol(number))
    }

    fn word(&mut self, word: u64) -> Result<u64, error::Format> {
        let unknown = error::Format::UnknownSymbol(word);
        if word < FIRST_NUMBER {
            return self.from.get_symbol(word).map(|_| word).ok_or(unknown);
        }
        if let Some(number) = self.known.get(&word) {
            return Ok(*number);
        }
        let text = self.from.get_symbol(word).ok_or(unknown)?;
        let number = self.to.insert(text);
        self.known.insert(word, number);
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use biscuit_auth::builder::{Term, fact, int, string};

    use super::*;

    #[test]
    fn many_facts_get_the_numbers_that_biscuit_gives_them() {
        let map = |at: i64| {
            let entries = (0..3).map(|other| {
                (builder::MapKey::Str(format!("k{}", at + other)), string(&format!("v{at}")))
            });
            Term::Map(entries.collect())
        };
        let facts: Vec<_> = (0..100)
            .map(|at| fact("arg", &[string(&format!("a{at}")), map(at), int(at), string("read")]))
            .collect();
        let mut own = SymbolTable::new();
        own.insert("arg");
        own.insert("k7");
        let mut theirs = own.clone();
        let expected: Vec<Fact> = facts.iter().map(|fact| fact.convert(&mut theirs)).collect();
        assert_eq!(convert(&facts, &mut own), expected);
        assert_eq!(own, theirs);
    }

    #[test]
    fn places_are_counted_at_all_depths_and_each_new_word_once() {
        let term = |text: &str| {
            let fact = builder::Fact::try_from(format!("fact({text})").as_str()).unwrap();
            fact.predicate.terms[0].clone()
        };
        for (text, expected) in
            [("\"a\"", 1), ("{1, 2}", 2), ("[1, [2, 3]]", 3), ("{\"a\": 1, \"b\": [1, 2]}", 5)]
        {
            assert_eq!(places(&term(text)), expected, "{text}");
        }
        let numbers = HashMap::from([("known", FIRST_NUMBER)]);
        let mut index = Index { numbers, new: Vec::new(), first: FIRST_NUMBER + 1 };
        let found = ["known", "new", "known", "newer", "new"].map(|word| index.number(word));
        assert_eq!(found.map(|number| number - FIRST_NUMBER), [0, 1, 0, 2, 1]);
        assert_eq!(index.new, ["new", "newer"]);
    }

    #[test]
    fn a_check_is_translated_as_biscuit_translates_it() {
        let text = r#"check if arg($name, $value), {"a", "b"}.any($x -> $x == $value && "a" + "b" != "c"),
            $value.extern::hardtack_glob("a*"), {"k": [1, "a"]}.length() == 1 trusting previous or time($time)"#;
        let check: builder::Check = text.try_into().unwrap();
        let mut from = SymbolTable::new();
        from.insert("other");
        let check = check.convert(&mut from);
        let mut to = SymbolTable::new();
        to.insert("b");
        let mut theirs = to.clone();
        let expected: builder::Check = builder::Check::convert_from(&check, &from).unwrap();
        let expected = expected.convert(&mut theirs);
        let mut known = HashMap::new();
        let translated = Translation { from: &from, to: &mut to, known: &mut known }.check(&check);
        // The numbers may differ, and the words may not.
        let read = |check: &Check, symbols| builder::Check::convert_from(check, symbols).unwrap();
        assert_eq!(read(&translated.unwrap(), &to), read(&expected, &theirs));
    }
}
