//! Spelled: where do the names of arguments go in rules and denials, and how do these read with all names folded?
//!
//! `deny if arg("force", true)` names its argument. Others compare names: through a rule, a variable, a set, a beginning.
//! They are asked a second time, of a call whose names are folded. Facts then have what they had, with names folded at each
//! place to which one can come, and behind it whatever else is compared with a name, folded: so values that are compared
//! with values stay as they are. What is written in policies is folded once, when they are loaded.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use biscuit_auth::datalog::{Binary, Fact, Op, Predicate, Rule, SymbolTable, Term, Unary};

use crate::datalog::VERIFIER;
use crate::datalog::following::{Folded, Followed, Unfollowed};
use crate::datalog::words::{Folds, Mode, Words};
use crate::profile::vocabulary::ARGUMENT;
use crate::spelling::{MAX_FOLDED_BYTES, fold};

/// Where names of arguments go in rules and in queries that refuse.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// What the names for which queries ask are folded to.
    asked: Arc<HashMap<u64, String>>,
    /// How names are folded; none where no name goes further than the argument that a query asks for.
    plan: Option<Arc<Plan>>,
    /// Whether checks of the token compare names.
    in_token: bool,
    /// How many bytes that are not ASCII were folded of what a token asks for.
    pub(super) bytes: usize,
}

/// How names are folded.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The places of predicates at which names can stand: these are folded.
    columns: HashSet<(u64, usize)>,
    /// What else is wanted folded, behind a predicate's own terms.
    wanted: BTreeMap<u64, BTreeSet<(usize, Mode)>>,
    /// The predicates that have such a place, or are derived from one that has.
    predicates: HashSet<u64>,
    /// What is derived by rules that cannot be followed.
    unfollowed: HashSet<u64>,
    /// Rules and queries as they read for folded names.
    folded: HashMap<Rule, Result<Rule, Unfollowed>>,
    /// Facts that cannot be folded, by their number.
    collided: Vec<usize>,
    pub(super) known: Arc<Folds>,
    wide: bool,
}

impl Names {
    /// Of a set of policies: its queries that refuse, the rules from which these read, and its facts.
    pub(crate) fn of(
        rules: &[Rule],
        facts: &[Fact],
        refusing: &[&Rule],
        symbols: &mut SymbolTable,
    ) -> Names {
        let (asked, _) = asked(refusing, symbols, usize::MAX);
        let names = Names { asked: Arc::new(asked), ..Names::default() };
        if !go_further(rules, refusing, symbols) {
            return names;
        }
        let mut words = Words::of_policies(std::mem::take(symbols));
        let mut plan = Plan::of(rules, refusing, &mut words);
        for (number, fact) in facts.iter().enumerate() {
            plan.fact(fact, &mut words);
            if words.took_collision() {
                plan.collided.push(number);
            }
        }
        words.flush();
        symbols.clone_from(&words.symbols);
        plan.known = words.into_known();
        Names { plan: Some(Arc::new(plan)), ..names }
    }

    /// The same with what a token refuses, and how often its checks are to be reckoned: for they are asked twice where they
    /// compare names.
    pub(crate) fn with(
        &self,
        rules: &[Rule],
        refusing: &[&Rule],
        of_token: &[&Rule],
        symbols: &mut SymbolTable,
    ) -> (Names, u64) {
        let (own, bytes) = asked(of_token, symbols, MAX_FOLDED_BYTES);
        let mut names = Names { bytes, ..self.clone() };
        if !own.is_empty() {
            Arc::make_mut(&mut names.asked).extend(own);
        }
        if !go_further(rules, of_token, symbols) {
            return (names, 1);
        }
        let known = self.plan.as_ref().map(|plan| Arc::clone(&plan.known)).unwrap_or_default();
        let mut words = Words::of(std::mem::take(symbols), &known, bytes);
        let all: Vec<&Rule> = refusing.iter().chain(of_token).copied().collect();
        let mut plan = Plan::of(rules, &all, &mut words);
        words.flush();
        symbols.clone_from(&words.symbols);
        if words.recorded().is_err() {
            // More of the token's own names than are folded: nothing of this is known.
            plan.folded.values_mut().for_each(|rule| *rule = Err(Unfollowed::Compared));
        }
        names.bytes = words.bytes();
        let times = if plan.wide || !plan.wanted.is_empty() { 3 } else { 2 };
        plan.known = words.into_known();
        (Names { plan: Some(Arc::new(plan)), in_token: true, ..names }, times)
    }

    /// The rules, queries and facts that do with names what cannot be followed.
    pub(crate) fn refused(&self, rule: &Rule) -> Option<Unfollowed> {
        self.plan.as_ref()?.folded.get(rule)?.as_ref().err().copied()
    }

    /// The same of facts, by their numbers.
    pub(crate) fn refused_facts(&self) -> &[usize] {
        self.plan.as_ref().map(|plan| plan.collided.as_slice()).unwrap_or_default()
    }

    /// Whether a part of a query compares a name of the whole with something, so that it can match folded and not as it is.
    pub(crate) fn matter_within(&self, query: &Rule, part: &Rule) -> bool {
        let Some(plan) = &self.plan else { return false };
        let names = names_in(query, &plan.columns);
        let places = part.body.iter().flat_map(places).filter(|(_, _, name)| names.contains(name));
        places.count() > 1 || part.expressions.iter().any(|one| mentions(&one.ops, &names))
    }

    pub(super) fn plan(&self) -> Option<&Arc<Plan>> {
        self.plan.as_ref()
    }

    /// How names are folded for what a block, or the verifier, asks. Checks of a token that name their argument do not need
    /// it.
    pub(super) fn plan_of(&self, block: usize) -> Option<&Arc<Plan>> {
        self.plan.as_ref().filter(|_| self.in_token || block == VERIFIER)
    }

    /// What a name for which a query asks is folded to, if that is known.
    pub(crate) fn asked(&self, word: u64) -> Option<&str> {
        self.asked.get(&word).map(String::as_str)
    }
}

/// What the names are folded to for which queries ask, and how many bytes of them are not ASCII; nothing where these are more
/// than may be.
fn asked(queries: &[&Rule], symbols: &SymbolTable, most: usize) -> (HashMap<u64, String>, usize) {
    let Some(argument) = symbols.get(ARGUMENT) else { return Default::default() };
    let predicates = queries.iter().flat_map(|query| &query.body);
    let names: HashMap<u64, &str> = predicates
        .filter_map(|predicate| match predicate.terms.first() {
            Some(Term::Str(word)) if predicate.name == argument => {
                Some((*word, symbols.get_symbol(*word)?))
            }
            _ => None,
        })
        .collect();
    let long = names.values().filter(|name| !name.is_ascii()).map(|name| name.len());
    let bytes = long.sum::<usize>();
    if bytes > most {
        return Default::default();
    }
    (names.iter().map(|(word, name)| (*word, fold(name).into_owned())).collect(), bytes)
}

impl Plan {
    fn of(rules: &[Rule], refusing: &[&Rule], words: &mut Words) -> Plan {
        let rules = reached(rules, refusing);
        let all: Vec<&Rule> = rules.iter().chain(refusing).copied().collect();
        let mut plan = Plan::default();
        let argument = words.symbols.get(ARGUMENT);
        plan.columns.extend(argument.map(|argument| (argument, 0)));
        grow(&mut plan.columns, |columns| {
            let heads = rules.iter().flat_map(|rule| {
                let names = names_in(rule, columns);
                places(&rule.head).filter(move |(_, _, name)| names.contains(name))
            });
            heads.map(|(predicate, place, _)| (predicate, place)).collect()
        });
        plan.predicates = plan.columns.iter().map(|(predicate, _)| *predicate).collect();
        grow(&mut plan.predicates, |predicates| derived(&rules, predicates));
        let followed: Vec<_> = all.iter().map(|rule| plan.follow(rule, words)).collect();
        plan.wide = followed.iter().flatten().any(|followed| followed.wide);
        loop {
            let before: usize = plan.wanted.values().map(BTreeSet::len).sum();
            for (rule, followed) in all.iter().zip(&followed) {
                let Ok(followed) = followed else { continue };
                let folded = followed.folded.clone();
                let mut followed = Followed { folded, ..Followed::default() };
                plan.follow_head(rule, &mut followed);
                for (predicate, wanted) in plan.wants(rule, &followed.folded) {
                    plan.wanted.entry(predicate).or_default().insert(wanted);
                }
            }
            if plan.wanted.values().map(BTreeSet::len).sum::<usize>() == before {
                break;
            }
        }
        let unfollowed = rules.iter().zip(&followed).filter(|(_, followed)| followed.is_err());
        plan.unfollowed = unfollowed.map(|(rule, _)| rule.head.name).collect();
        grow(&mut plan.unfollowed, |predicates| derived(&rules, predicates));
        plan.folded = all.iter().map(|rule| ((*rule).clone(), plan.fold(rule, words))).collect();
        plan
    }

    /// Whether the query reads a name, or what was derived by one.
    pub(super) fn matters_to(&self, query: &Rule) -> bool {
        reads_any(query, &self.predicates)
    }

    /// Whether the rule is among those from which queries that refuse read.
    pub(super) fn derives(&self, rule: &Rule) -> bool {
        self.folded.contains_key(rule)
    }

    /// The rule or query for folded names.
    pub(super) fn rule(&self, rule: &Rule, words: &mut Words) -> Result<Rule, Unfollowed> {
        let folded = match self.folded.get(rule) {
            Some(folded) => folded.clone(),
            None => self.fold(rule, words),
        };
        match reads_any(rule, &self.unfollowed) {
            true => folded.and(Err(Unfollowed::Rule)),
            false => folded,
        }
    }

    /// The fact with its names folded, and behind them whatever else is wanted so.
    pub(super) fn fact(&self, fact: &Fact, words: &mut Words) -> Fact {
        let Predicate { name, terms } = &fact.predicate;
        let is_name = |place: usize| self.columns.contains(&(*name, place));
        let own = terms.iter().enumerate().map(|(place, term)| match is_name(place) {
            true => words.term(term, Mode::Whole),
            false => term.clone(),
        });
        let mut folded: Vec<Term> = own.collect();
        let wanted = self.wanted.get(name).into_iter().flatten();
        folded.extend(wanted.map(|(place, mode)| match terms.get(*place) {
            Some(term) => words.term(term, *mode),
            None => Term::Null,
        }));
        Fact { predicate: Predicate { name: *name, terms: folded } }
    }

    fn is_name(&self, predicate: u64, place: usize) -> bool {
        self.columns.contains(&(predicate, place))
    }

    fn follow(&self, rule: &Rule, words: &mut Words) -> Result<Followed, Unfollowed> {
        let followed = Followed::of(rule, &names_in(rule, &self.columns), words);
        // Two keys that are one were seen where they stand.
        words.took_collision();
        followed
    }

    /// What the head of a rule says folded must be there folded.
    fn follow_head(&self, rule: &Rule, followed: &mut Followed) {
        let names = names_in(rule, &self.columns);
        let wanted = self.wanted.get(&rule.head.name).into_iter().flatten();
        let places = (0..rule.head.terms.len())
            .filter(|place| self.is_name(rule.head.name, *place))
            .map(|place| (place, Mode::Whole));
        for (place, mode) in places.chain(wanted.copied()) {
            if let Some(Term::Variable(variable)) = rule.head.terms.get(place)
                && !names.contains(variable)
            {
                followed.variable(*variable, mode);
            }
        }
    }

    /// What a rule wants folded of the predicates that it reads: names at places where others stand, too, and what these
    /// variables are folded to.
    fn wants(&self, rule: &Rule, folded: &Folded) -> Vec<(u64, (usize, Mode))> {
        let names = names_in(rule, &self.columns);
        let values = || {
            let all = rule.body.iter().flat_map(places);
            all.filter(|(predicate, place, _)| !self.is_name(*predicate, *place))
        };
        let joined = values().filter(|(_, _, variable)| names.contains(variable));
        let joined = joined.map(|(predicate, place, _)| (predicate, (place, Mode::Whole)));
        let wanted = folded.keys().filter_map(|(variable, mode)| {
            let (predicate, place, _) = values().find(|(_, _, other)| other == variable)?;
            Some((predicate, (place, *mode)))
        });
        joined.chain(wanted).collect()
    }

    fn fold(&self, rule: &Rule, words: &mut Words) -> Result<Rule, Unfollowed> {
        let mut followed = self.follow(rule, words)?;
        self.follow_head(rule, &mut followed);
        let wants = self.wants(rule, &followed.folded);
        let has = |(predicate, wanted): &(u64, (usize, Mode))| {
            self.wanted.get(predicate).is_some_and(|all| all.contains(wanted))
        };
        if !wants.iter().all(has) {
            return Err(Unfollowed::Compared);
        }
        let names = names_in(rule, &self.columns);
        let mut others = Others { next: u32::MAX / 2, bound: HashSet::new() };
        let body = rule.body.iter().map(|predicate| {
            self.predicate(predicate, &names, &followed.folded, &mut others, words)
        });
        let body = body.collect();
        Ok(Rule {
            body,
            head: self.head(&rule.head, &names, &followed.folded, words),
            expressions: followed.expressions,
            scopes: rule.scopes.clone(),
        })
    }

    fn predicate(
        &self,
        predicate: &Predicate,
        names: &HashSet<u32>,
        folded: &Folded,
        others: &mut Others,
        words: &mut Words,
    ) -> Predicate {
        let Predicate { name, terms } = predicate;
        let own = terms.iter().enumerate().map(|(place, term)| {
            match (self.is_name(*name, place), term) {
                // A name stands here as it is written, and behind as it is folded.
                (false, Term::Variable(variable)) if names.contains(variable) => others.any(),
                (false, term) | (true, term @ Term::Variable(_)) => term.clone(),
                (true, term) => words.term(term, Mode::Whole),
            }
        });
        let mut all: Vec<Term> = own.collect();
        for (place, mode) in self.wanted.get(name).into_iter().flatten() {
            all.push(match terms.get(*place) {
                None => Term::Null,
                Some(Term::Variable(variable)) if names.contains(variable) => match mode {
                    Mode::Whole => Term::Variable(*variable),
                    _ => others.any(),
                },
                Some(Term::Variable(variable)) => match folded.get(&(*variable, *mode)) {
                    Some(folded) if others.bound.insert(*folded) => Term::Variable(*folded),
                    _ => others.any(),
                },
                Some(_) => others.any(),
            });
        }
        Predicate { name: *name, terms: all }
    }

    fn head(
        &self,
        head: &Predicate,
        names: &HashSet<u32>,
        folded: &Folded,
        words: &mut Words,
    ) -> Predicate {
        let mut form = |term: &Term, mode: Mode| match term {
            Term::Variable(variable) if names.contains(variable) => term.clone(),
            Term::Variable(variable) => {
                Term::Variable(folded.get(&(*variable, mode)).copied().unwrap_or(*variable))
            }
            term => words.term(term, mode),
        };
        let Predicate { name, terms } = head;
        let own = terms.iter().enumerate().map(|(place, term)| match self.is_name(*name, place) {
            true => form(term, Mode::Whole),
            false => term.clone(),
        });
        let mut all: Vec<Term> = own.collect();
        let wanted = self.wanted.get(name).into_iter().flatten();
        all.extend(wanted.map(|(place, mode)| match terms.get(*place) {
            Some(term) => form(term, *mode),
            None => Term::Null,
        }));
        Predicate { name: *name, terms: all }
    }
}

/// Variables for what a rule does not ask for.
struct Others {
    next: u32,
    /// What is bound already: once is enough.
    bound: HashSet<u32>,
}

impl Others {
    fn any(&mut self) -> Term {
        self.next += 1;
        Term::Variable(self.next)
    }
}

/// Adds what follows from what is there until nothing more does.
fn grow<T: Eq + std::hash::Hash>(all: &mut HashSet<T>, more: impl Fn(&HashSet<T>) -> Vec<T>) {
    loop {
        let before = all.len();
        let found = more(all);
        all.extend(found);
        if all.len() == before {
            return;
        }
    }
}

/// The variables of a predicate and where they stand.
fn places(predicate: &Predicate) -> impl Iterator<Item = (u64, usize, u32)> {
    predicate.terms.iter().enumerate().filter_map(|(place, term)| match term {
        Term::Variable(variable) => Some((predicate.name, place, *variable)),
        _ => None,
    })
}

/// The variables of a query that can stand for names.
fn names_in(query: &Rule, columns: &HashSet<(u64, usize)>) -> HashSet<u32> {
    let all = query.body.iter().flat_map(places);
    let names = all.filter(|(predicate, place, _)| columns.contains(&(*predicate, *place)));
    names.map(|(_, _, variable)| variable).collect()
}

fn derived(rules: &[&Rule], predicates: &HashSet<u64>) -> Vec<u64> {
    let rules = rules.iter().filter(|rule| reads_any(rule, predicates));
    rules.map(|rule| rule.head.name).collect()
}

fn reads_any(query: &Rule, predicates: &HashSet<u64>) -> bool {
    query.body.iter().any(|predicate| predicates.contains(&predicate.name))
}

/// The rules from which these queries read, through other rules, too.
fn reached<'a>(rules: &'a [Rule], queries: &[&Rule]) -> Vec<&'a Rule> {
    let asked = |query: &Rule| query.body.iter().map(|one| one.name).collect::<Vec<_>>();
    let mut wanted: HashSet<u64> = queries.iter().flat_map(|query| asked(query)).collect();
    grow(&mut wanted, |wanted| {
        rules.iter().filter(|rule| wanted.contains(&rule.head.name)).flat_map(asked).collect()
    });
    rules.iter().filter(|rule| wanted.contains(&rule.head.name)).collect()
}

/// Whether names go further than the argument that a query asks for.
fn go_further(rules: &[Rule], refusing: &[&Rule], symbols: &SymbolTable) -> bool {
    let Some(argument) = symbols.get(ARGUMENT) else { return false };
    let rules = reached(rules, refusing);
    rules.iter().any(|rule| reads_by_name(rule, argument))
        || rules.iter().chain(refusing).any(|query| compares_names(query, argument))
}

/// Whether a rule asks for an argument by its name.
fn reads_by_name(rule: &Rule, argument: u64) -> bool {
    let is_named = |one: &Predicate| matches!(one.terms.first(), Some(Term::Str(_)));
    rule.body.iter().any(|one| one.name == argument && is_named(one))
}

/// Whether the name of an argument is compared with anything but names of arguments, of which no two fold to one.
fn compares_names(query: &Rule, argument: u64) -> bool {
    let names = names_in(query, &HashSet::from([(argument, 0)]));
    let all = query.body.iter().chain([&query.head]).flat_map(places);
    let mut others = all.filter(|(predicate, place, _)| (*predicate, *place) != (argument, 0));
    others.any(|(_, _, variable)| names.contains(&variable))
        || query.expressions.iter().any(|expression| goes_further(&expression.ops, &names))
}

/// Whether an expression does more with names than to ask whether two are the same.
fn goes_further(ops: &[Op], names: &HashSet<u32>) -> bool {
    let is_name = |op: &Op| matches!(op, Op::Value(Term::Variable(name)) if names.contains(name));
    let compares = |op: &Op| {
        matches!(
            op,
            Op::Binary(
                Binary::Equal
                    | Binary::NotEqual
                    | Binary::HeterogeneousEqual
                    | Binary::HeterogeneousNotEqual
            )
        )
    };
    let bare = |op: &&Op| !matches!(op, Op::Unary(Unary::Parens | Unary::Negate));
    let bare: Vec<&Op> = ops.iter().filter(bare).collect();
    match bare.as_slice() {
        [one, other, operator] if is_name(one) && is_name(other) => !compares(operator),
        all => all.iter().any(|op| match op {
            Op::Closure(_, inner) => mentions(inner, names),
            op => is_name(op),
        }),
    }
}

fn mentions(ops: &[Op], names: &HashSet<u32>) -> bool {
    ops.iter().any(|op| match op {
        Op::Value(Term::Variable(name)) => names.contains(name),
        Op::Closure(_, inner) => mentions(inner, names),
        _ => false,
    })
}
