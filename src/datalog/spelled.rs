//! Spelled: where do the names of arguments go in rules and denials, and how do these read with all names folded?
//!
//! `deny if arg("force", true)` names its argument. Others compare names: through a rule, a variable, a set, a beginning.
//! They are asked a second time, of a call whose names are folded, with what they compare names with folded, too.

use std::collections::{HashMap, HashSet};

use biscuit_auth::datalog::{
    Binary, Expression, Fact, MapKey, Op, Predicate, Rule, SymbolTable, Term, Unary,
};

use crate::function::Function;
use crate::spelling::{MAX_FOLDED_BYTES, fold};

use super::ARGUMENT;

/// The first number that stands for a word which is not one of Biscuit's own.
const FIRST_NUMBER: u64 = 1024;

/// As many words are looked for one by one; more are put into the table at once.
const FEW_WORDS: usize = 16;

/// The places of predicates at which names of arguments can stand, in rules and in queries that refuse. Empty where no
/// name goes further than the argument that a query asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    columns: HashSet<(u64, usize)>,
    /// The predicates that have such a place, or are derived from one that has.
    predicates: HashSet<u64>,
}

impl Names {
    /// Of the queries that refuse, and of the rules from which these read.
    pub(crate) fn of<'a>(
        rules: &'a [Rule],
        refusing: impl Iterator<Item = &'a Rule>,
        symbols: &SymbolTable,
    ) -> Names {
        let Some(argument) = symbols.get(ARGUMENT) else { return Names::default() };
        let refusing: Vec<&Rule> = refusing.collect();
        let rules = reached(rules, &refusing);
        let goes_further = rules.iter().any(|rule| reads_by_name(rule, argument))
            || rules.iter().chain(&refusing).any(|query| compares_names(query, argument));
        if !goes_further {
            return Names::default();
        }
        let mut columns = HashSet::from([(argument, 0)]);
        let queries: Vec<_> =
            rules.iter().chain(&refusing).map(|query| (*query, groups_of(query))).collect();
        loop {
            let before = columns.len();
            for (query, groups) in &queries {
                let names = variables_in(query, groups, &columns);
                let is_name = |term: &Term| matches!(term, Term::Variable(v) if names.contains(v));
                for predicate in query.body.iter().chain([&query.head]) {
                    let places = predicate.terms.iter().enumerate();
                    let found = places.filter(|(_, term)| is_name(term));
                    columns.extend(found.map(|(place, _)| (predicate.name, place)));
                }
            }
            if columns.len() == before {
                break;
            }
        }
        let mut predicates: HashSet<u64> = columns.iter().map(|(name, _)| *name).collect();
        loop {
            let before = predicates.len();
            let derived = rules.iter().filter(|rule| reads_any(rule, &predicates));
            let heads: Vec<u64> = derived.map(|rule| rule.head.name).collect();
            predicates.extend(heads);
            if predicates.len() == before {
                return Names { columns, predicates };
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Whether the query reads a name, or what was derived by one.
    pub(super) fn matter_to(&self, query: &Rule) -> bool {
        reads_any(query, &self.predicates)
    }

    fn matter_at(&self, predicate: u64, place: usize) -> bool {
        self.columns.contains(&(predicate, place))
    }
}

/// The rules from which these queries read, through other rules, too.
fn reached<'a>(rules: &'a [Rule], queries: &[&Rule]) -> Vec<&'a Rule> {
    let asked = |query: &Rule| query.body.iter().map(|one| one.name).collect::<Vec<_>>();
    let mut wanted: HashSet<u64> = queries.iter().flat_map(|query| asked(query)).collect();
    loop {
        let before = wanted.len();
        let read = rules.iter().filter(|rule| wanted.contains(&rule.head.name));
        let more: Vec<u64> = read.flat_map(asked).collect();
        wanted.extend(more);
        if wanted.len() == before {
            return rules.iter().filter(|rule| wanted.contains(&rule.head.name)).collect();
        }
    }
}

fn reads_any(query: &Rule, predicates: &HashSet<u64>) -> bool {
    query.body.iter().any(|predicate| predicates.contains(&predicate.name))
}

/// Whether a rule asks for an argument by its name.
fn reads_by_name(rule: &Rule, argument: u64) -> bool {
    rule.body
        .iter()
        .any(|one| one.name == argument && matches!(one.terms.first(), Some(Term::Str(_))))
}

/// Whether the name of an argument is compared with anything but names of arguments, of which no two fold to one.
fn compares_names(query: &Rule, argument: u64) -> bool {
    let (mut names, mut others) = (HashSet::new(), HashSet::new());
    for predicate in query.body.iter().chain([&query.head]) {
        for (place, term) in predicate.terms.iter().enumerate() {
            let Term::Variable(variable) = term else { continue };
            match (predicate.name, place) == (argument, 0) {
                true => names.insert(*variable),
                false => others.insert(*variable),
            };
        }
    }
    let goes_further = |group: &Group| {
        let is_of_names = !group.variables.is_disjoint(&names);
        is_of_names && !(group.constants.is_empty() && group.variables.is_subset(&names))
    };
    !names.is_disjoint(&others) || groups_of(query).iter().flatten().any(goes_further)
}

/// What an expression compares with each other: variables, and which of its constants, counted from its beginning.
#[derive(Debug, Clone, Default)]
struct Group {
    variables: HashSet<u32>,
    constants: HashSet<usize>,
}

impl Group {
    fn and(mut self, other: Group) -> Group {
        self.variables.extend(other.variables);
        self.constants.extend(other.constants);
        self
    }
}

/// The groups of each expression of a query.
fn groups_of(query: &Rule) -> Vec<Vec<Group>> {
    let groups = query.expressions.iter().map(|expression| {
        let (mut groups, mut constants) = (Vec::new(), 0);
        read_ops(&expression.ops, &mut constants, &mut groups);
        groups
    });
    groups.collect()
}

/// Follows an expression without its values. What `&&` and `||` join is not compared with each other.
fn read_ops(ops: &[Op], constants: &mut usize, groups: &mut Vec<Group>) -> Group {
    let mut stack: Vec<Group> = Vec::new();
    for op in ops {
        let found = match op {
            Op::Value(Term::Variable(name)) => {
                Group { variables: HashSet::from([*name]), ..Group::default() }
            }
            Op::Value(_) => {
                *constants += 1;
                Group { constants: HashSet::from([*constants]), ..Group::default() }
            }
            Op::Unary(Unary::Negate | Unary::Length | Unary::TypeOf) => {
                stack.pop();
                Group::default()
            }
            Op::Unary(_) => stack.pop().unwrap_or_default(),
            Op::Closure(parameters, inner) => {
                let found = read_ops(inner, constants, groups);
                let parameters = parameters.iter().copied().collect();
                found.and(Group { variables: parameters, ..Group::default() })
            }
            Op::Binary(operator) => {
                let right = stack.pop().unwrap_or_default();
                let left = stack.pop().unwrap_or_default();
                match operator {
                    Binary::And | Binary::Or | Binary::LazyAnd | Binary::LazyOr => Group::default(),
                    _ => {
                        let both = left.and(right);
                        groups.push(both.clone());
                        both
                    }
                }
            }
        };
        stack.push(found);
    }
    stack.pop().unwrap_or_default()
}

/// The variables of a query that can stand for names.
fn variables_in(
    query: &Rule,
    groups: &[Vec<Group>],
    columns: &HashSet<(u64, usize)>,
) -> HashSet<u32> {
    let mut names = HashSet::new();
    for predicate in query.body.iter().chain([&query.head]) {
        for (place, term) in predicate.terms.iter().enumerate() {
            if let Term::Variable(name) = term
                && columns.contains(&(predicate.name, place))
            {
                names.insert(*name);
            }
        }
    }
    loop {
        let before = names.len();
        for group in groups.iter().flatten() {
            if !group.variables.is_disjoint(&names) {
                names.extend(&group.variables);
            }
        }
        if names.len() == before {
            return names;
        }
    }
}

/// The words of a world whose names are folded, and what was folded so far.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) symbols: SymbolTable,
    /// The numbers of all words but Biscuit's own: the table looks for a word by going through all of them.
    index: HashMap<String, u64>,
    /// What is not in the table yet.
    new: Vec<String>,
    /// What each word is folded to, as far as that was asked.
    folds: HashMap<u64, u64>,
    /// How many bytes of words that are not ASCII were folded: a token chooses them.
    bytes: usize,
}

impl Words {
    pub(super) fn of(symbols: SymbolTable, bytes: usize) -> Words {
        let index = symbols.strings().into_iter().zip(FIRST_NUMBER..).collect();
        Words { symbols, index, new: Vec::new(), folds: HashMap::new(), bytes }
    }

    /// How many bytes that are not ASCII were folded, if no more than may be.
    pub(super) fn bytes(&self) -> Option<usize> {
        (self.bytes <= MAX_FOLDED_BYTES).then_some(self.bytes)
    }

    /// Puts new words into the table; says whether there were some.
    pub(super) fn flush(&mut self) -> bool {
        let new = std::mem::take(&mut self.new);
        // They are new, and each stands there once.
        let at_once = new.len() > FEW_WORDS
            && SymbolTable::from(new.clone())
                .is_ok_and(|table| self.symbols.extend(&table).is_ok());
        if !at_once {
            for word in &new {
                self.symbols.insert(word);
            }
        }
        !new.is_empty()
    }

    fn fold(&mut self, word: u64) -> u64 {
        if let Some(folded) = self.folds.get(&word) {
            return *folded;
        }
        let Some(written) = self.symbols.get_symbol(word) else { return word };
        if !written.is_ascii() {
            self.bytes = self.bytes.saturating_add(written.len());
            // The decision is refused for this, and no more is folded.
            if self.bytes > MAX_FOLDED_BYTES {
                return word;
            }
        }
        let text = fold(written);
        let folded = if *text == *written { word } else { self.number(text.into_owned()) };
        self.folds.insert(word, folded);
        folded
    }

    fn number(&mut self, text: String) -> u64 {
        if let Some(number) = self.index.get(&text) {
            return *number;
        }
        // One of Biscuit's own, which stand before all others.
        if let Some(number) = (0..FIRST_NUMBER)
            .map_while(|n| Some((n, self.symbols.get_symbol(n)?)))
            .find(|(_, own)| *own == text)
        {
            return number.0;
        }
        let number = FIRST_NUMBER + self.index.len() as u64;
        self.index.insert(text.clone(), number);
        self.new.push(text);
        number
    }
}

/// Folds names, wherever they stand.
pub(super) struct Folding<'a> {
    pub(super) names: &'a Names,
    pub(super) words: &'a mut Words,
}

impl Folding<'_> {
    pub(super) fn fact(&mut self, fact: &Fact) -> Fact {
        Fact { predicate: self.predicate(&fact.predicate) }
    }

    pub(super) fn rule(&mut self, rule: &Rule) -> Rule {
        let groups = groups_of(rule);
        let names = variables_in(rule, &groups, &self.names.columns);
        let expressions = rule.expressions.iter().zip(&groups).map(|(expression, groups)| {
            let of_names = groups.iter().filter(|group| !group.variables.is_disjoint(&names));
            let folded = of_names.flat_map(|group| group.constants.iter().copied()).collect();
            Expression { ops: self.ops(&expression.ops, &folded, &mut 0) }
        });
        Rule {
            expressions: expressions.collect(),
            head: self.predicate(&rule.head),
            body: rule.body.iter().map(|predicate| self.predicate(predicate)).collect(),
            scopes: rule.scopes.clone(),
        }
    }

    fn predicate(&mut self, predicate: &Predicate) -> Predicate {
        let terms = predicate.terms.iter().enumerate();
        let terms = terms.map(|(place, term)| match self.names.matter_at(predicate.name, place) {
            true => self.term(term),
            false => term.clone(),
        });
        Predicate { name: predicate.name, terms: terms.collect() }
    }

    /// The constants of these numbers folded.
    fn ops(&mut self, ops: &[Op], folded: &HashSet<usize>, constants: &mut usize) -> Vec<Op> {
        let mut found = Vec::with_capacity(ops.len());
        for (at, op) in ops.iter().enumerate() {
            found.push(match op {
                Op::Value(Term::Variable(_)) => op.clone(),
                Op::Value(term) => {
                    *constants += 1;
                    match folded.contains(constants) {
                        true => Op::Value(self.operand(term, ops.get(at + 1))),
                        false => op.clone(),
                    }
                }
                Op::Closure(parameters, inner) => {
                    Op::Closure(parameters.clone(), self.ops(inner, folded, constants))
                }
                op => op.clone(),
            });
        }
        found
    }

    /// A constant, by what is done with it: a regular expression has letters that are no text, and of the functions only
    /// a glob is a pattern of names.
    fn operand(&mut self, term: &Term, next: Option<&Op>) -> Term {
        match (term, next) {
            (Term::Str(pattern), Some(Op::Binary(Binary::Regex))) => {
                match self
                    .words
                    .symbols
                    .get_symbol(*pattern)
                    .map(|written| format!("(?i){written}"))
                {
                    Some(pattern) => Term::Str(self.words.number(pattern)),
                    None => term.clone(),
                }
            }
            (_, Some(Op::Binary(Binary::Ffi(name))))
                if self.words.symbols.get_symbol(*name) != Some(Function::Glob.name()) =>
            {
                term.clone()
            }
            _ => self.term(term),
        }
    }

    fn term(&mut self, term: &Term) -> Term {
        match term {
            Term::Str(word) => Term::Str(self.words.fold(*word)),
            Term::Set(set) => Term::Set(set.iter().map(|term| self.term(term)).collect()),
            Term::Array(array) => Term::Array(array.iter().map(|term| self.term(term)).collect()),
            Term::Map(map) => {
                let entries = map.iter().map(|(key, value)| {
                    let key = match key {
                        MapKey::Str(word) => MapKey::Str(self.words.fold(*word)),
                        MapKey::Integer(key) => MapKey::Integer(*key),
                    };
                    (key, self.term(value))
                });
                Term::Map(entries.collect())
            }
            term => term.clone(),
        }
    }
}
