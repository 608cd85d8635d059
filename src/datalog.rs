//! Datalog: does a query hold over these facts?
//!
//! The matching is Biscuit's; the loop around it is not. Biscuit stops at the first match in hash
//! order, so that a query which errs for one fact and holds for another answers at random, and looks
//! at its limits only between queries. Here all matches of a query are looked at, an error for one is an error,
//! and every fact that is touched is paid for from a budget.

mod compiling;
mod evaluating;
pub(crate) mod following;
mod matching;
pub(crate) mod partial;
mod pattern;
mod spelled;
mod twin;
pub(crate) mod weight;
mod words;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use biscuit_auth::builder::CheckKind;
use biscuit_auth::datalog::{Check, Fact, Origin, Predicate, Rule, SymbolTable, Term};

use crate::call::seen::has_stand_in;
pub(crate) use crate::datalog::matching::head;
use crate::datalog::twin::{FoldedBase, Twin};
use crate::profile::MAX_BLOCKS;
use crate::profile::vocabulary::ARGUMENT;
use crate::spelling::{MAX_FOLDED_BYTES, fold};

pub(crate) use crate::datalog::following::Unfollowed;
pub(crate) use crate::datalog::matching::{Candidate, Matches};
pub(crate) use crate::datalog::spelled::Names;

/// How many facts may be touched in one decision: some ten milliseconds.
pub const FACT_BUDGET: u64 = 1_000_000;

/// How many facts a policy's rules may derive.
pub const MAX_DERIVED_FACTS: usize = 1000;

/// How often a policy's rules are applied to what they derived.
const MAX_ITERATIONS: usize = 100;

/// What an origin takes: a set of block numbers, which is a tree of one node.
const BYTES_PER_ORIGIN: usize = 200;

/// What a fact takes in a list or set of folded ones, beside its terms.
const BYTES_PER_FOLDED_FACT: usize = 250;

/// What it takes to know which blocks a key signed.
const BYTES_PER_SIGNER: usize = 100;

/// How many keys a token's blocks can have: each has a signer, and brings one.
const MOST_KEYS: usize = 2 * MAX_BLOCKS;

/// The block number under which Biscuit files what the verifier and its policies say.
pub(crate) const VERIFIER: usize = usize::MAX;

/// The number under which is filed what the server states of its own. Policies see it; no block does, whatever it trusts.
pub(crate) const SERVER: usize = usize::MAX - 1;

/// A query that has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EvaluationError {
    /// An expression that cannot be evaluated for some match: a type, an overflow.
    Failed,
    /// The budget is used up.
    Exhausted,
}

/// What many decisions have in common: facts with where they come from, and the numbers that stand for their
/// words and keys.
#[derive(Debug, Default)]
pub(crate) struct Base {
    /// What the policies state, for all tokens.
    stated: Arc<Stated>,
    /// What the first blocks of a token say, for all tokens that begin with them.
    beginning: Arc<Filed>,
    facts: Filed,
    symbols: SymbolTable,
    /// Which blocks each key signed: the numbers of keys are those of `symbols`.
    signed_by: HashMap<usize, Vec<usize>>,
    /// Where the names of arguments go in what refuses.
    names: Names,
    /// The same facts with these names folded, if that is asked.
    folded: Option<Result<Arc<FoldedBase>, EvaluationError>>,
    /// How often the checks of a token are to be reckoned.
    times: u64,
}

/// The facts that a set of policies states. A set can have very many, and they are the same for every token.
#[derive(Debug, Default)]
pub(crate) struct Stated {
    facts: Vec<(Origin, Fact)>,
    known: HashSet<(Origin, Fact)>,
}

impl Stated {
    pub(crate) fn of(facts: &[Fact]) -> Stated {
        let mut stated = Stated::default();
        for fact in facts {
            let entry = (origin_of(VERIFIER), fact.clone());
            if stated.known.insert(entry.clone()) {
                stated.facts.push(entry);
            }
        }
        stated
    }
}

/// Facts, each under the block that it is from. No block says one twice.
#[derive(Debug, Default)]
pub(crate) struct Filed {
    /// One for each block of which there are facts.
    origins: Vec<Origin>,
    /// Each with the place of its origin among those.
    facts: Vec<(usize, Fact)>,
}

impl Filed {
    fn all(&self) -> impl Iterator<Item = (&Origin, &Fact)> + Clone {
        self.facts.iter().filter_map(|(at, fact)| Some((self.origins.get(*at)?, fact)))
    }

    /// What they take in memory.
    pub(crate) fn bytes(&self) -> usize {
        let facts = self.facts.iter().map(|(_, fact)| weight::predicate(&fact.predicate));
        BYTES_PER_ORIGIN * self.origins.len()
            + weight::list::<(usize, Fact)>(self.facts.capacity())
            + facts.sum::<usize>()
    }

    fn contains(&self, origin: &Origin, fact: &Fact) -> bool {
        let Some(at) = self.origins.iter().position(|known| known == origin) else { return false };
        self.facts.iter().any(|(known_at, known)| *known_at == at && known == fact)
    }
}

/// Such facts, and more of one decision's own.
#[derive(Debug, Default)]
pub(crate) struct World {
    base: Arc<Base>,
    facts: Vec<(Origin, Fact)>,
    known: HashSet<(Origin, Fact)>,
    pub(crate) symbols: SymbolTable,
    /// The arguments of the call: what their names are folded to, and the numbers that stand for them.
    arguments: HashMap<String, u64>,
    /// The places of its own facts in which a value is represented, since it is too large to be seen.
    represented: Vec<usize>,
    touched: Cell<u64>,
    /// How many bytes of names that are not ASCII were folded: a token chooses them.
    folded: Cell<usize>,
    /// The rules that were applied, if names go through some.
    rules: Vec<Rule>,
    /// The same with all names folded, once a denial needs it.
    twin: RefCell<Option<Box<Twin>>>,
}

impl Base {
    /// What policies state, by these words.
    pub(crate) fn over(stated: &Arc<Stated>, symbols: SymbolTable) -> Base {
        Base { stated: Arc::clone(stated), symbols, ..Base::default() }
    }

    /// What policies state, and on top of it what is known of the first blocks of a token, by these words.
    pub(crate) fn after(
        stated: &Arc<Stated>,
        beginning: &Arc<Filed>,
        signed_by: HashMap<usize, Vec<usize>>,
        symbols: SymbolTable,
    ) -> Base {
        let beginning = Arc::clone(beginning);
        Base { beginning, signed_by, ..Base::over(stated, symbols) }
    }

    /// Makes room for so many more facts, and no others.
    pub(crate) fn reserve(&mut self, facts: usize) {
        self.facts.facts.reserve_exact(facts);
    }

    /// Adds all that one block says.
    pub(crate) fn add(&mut self, block: usize, facts: Vec<Fact>) {
        let at = self.facts.origins.len();
        self.facts.origins.push(origin_of(block));
        let mut met = HashSet::with_capacity_and_hasher(facts.len(), ahash::RandomState::default());
        let is_new: Vec<bool> = facts.iter().map(|fact| met.insert(fact)).collect();
        let new = facts.into_iter().zip(is_new).filter_map(|(fact, is_new)| is_new.then_some(fact));
        // What policies state is the verifier's.
        let stated = &self.stated;
        let is_stated = |fact: &Fact| {
            block == VERIFIER
                && !stated.known.is_empty()
                && stated.known.contains(&(origin_of(block), fact.clone()))
        };
        self.facts.facts.extend(new.filter(|fact| !is_stated(fact)).map(|fact| (at, fact)));
    }

    /// The facts of its own, for other bases that begin with them, and which blocks each key signed.
    pub(crate) fn into_beginning(self) -> (Filed, HashMap<usize, Vec<usize>>, SymbolTable) {
        (self.facts, self.signed_by, self.symbols)
    }

    pub(crate) fn symbols(&mut self) -> &mut SymbolTable {
        &mut self.symbols
    }

    pub(crate) fn words(&self) -> &SymbolTable {
        &self.symbols
    }

    /// Says that the key of this number signed a block.
    pub(crate) fn signed(&mut self, key: usize, block: usize) {
        self.signed_by.entry(key).or_default().push(block);
    }

    fn all(&self) -> impl Iterator<Item = (&Origin, &Fact)> + Clone {
        let stated = self.stated.facts.iter().map(|(origin, fact)| (origin, fact));
        stated.chain(self.beginning.all()).chain(self.facts.all())
    }

    fn contains(&self, entry: &(Origin, Fact)) -> bool {
        let (origin, fact) = entry;
        self.stated.known.contains(entry)
            || self.beginning.contains(origin, fact)
            || self.facts.contains(origin, fact)
    }

    pub(crate) fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.all().map(|(_, fact)| fact)
    }

    /// Whether names are folded in a way of its own.
    pub(crate) fn is_folded(&self) -> bool {
        self.folded.is_some()
    }

    /// What it takes in memory beside what policies state. What beginnings share is counted for each: others may go sooner.
    pub(crate) fn bytes(&self) -> usize {
        let folded = self.folded.as_ref().map_or(0, |_| {
            // In a list and in a set, each with its origin, and the words once more.
            let each = self
                .all()
                .map(|(_, fact)| 2 * (BYTES_PER_FOLDED_FACT + weight::predicate(&fact.predicate)));
            each.sum::<usize>() + weight::words(&self.symbols, MOST_KEYS)
        });
        size_of::<Base>()
            + self.beginning.bytes()
            + self.facts.bytes()
            + weight::words(&self.symbols, MOST_KEYS)
            + BYTES_PER_SIGNER * self.signed_by.len()
            + folded
    }
}

/// How far a world had come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    facts: usize,
    words: usize,
    rules: usize,
}

impl World {
    /// A world with these facts.
    pub(crate) fn over(base: &Arc<Base>) -> World {
        World { base: Arc::clone(base), symbols: base.symbols.clone(), ..World::default() }
    }

    /// Adds what stands there once: the verifier's own facts of a call, whose names nobody else may use.
    pub(crate) fn assert(&mut self, fact: Fact) {
        if let (Some(ARGUMENT), [Term::Str(name), ..]) =
            (self.symbols.get_symbol(fact.predicate.name), fact.predicate.terms.as_slice())
            && let Some(written) = self.symbols.get_symbol(*name)
        {
            self.arguments.insert(fold(written).into_owned(), *name);
        }
        self.push((origin_of(VERIFIER), fact));
        self.twin.take();
    }

    /// Adds what the server states of its own, for policies to see.
    pub(crate) fn state(&mut self, fact: Fact) {
        self.facts.push((origin_of(SERVER), fact));
        self.twin.take();
    }

    /// How often a token's checks are to be reckoned: those that compare names are asked twice.
    pub(crate) fn times(&self) -> u64 {
        self.base.times.max(1)
    }

    /// Where begins what is asserted and derived from now on.
    pub(crate) fn mark(&self) -> Mark {
        let words = self.symbols.current_offset();
        Mark { facts: self.facts.len(), words, rules: self.rules.len() }
    }

    /// Forgets what was asserted and derived since, so that another call can be asked about; returns how many facts
    /// were touched.
    pub(crate) fn return_to(&mut self, mark: Mark) -> u64 {
        for entry in self.facts.drain(mark.facts..) {
            self.known.remove(&entry);
        }
        self.represented.retain(|at| *at < mark.facts);
        self.symbols.split_at(mark.words);
        self.rules.truncate(mark.rules);
        self.folded.set(0);
        self.twin.take();
        self.touched.take()
    }

    /// Those beside the base.
    pub(crate) fn own_facts(&self) -> impl Iterator<Item = &Fact> {
        self.facts.iter().map(|(_, fact)| fact)
    }

    /// All facts, wherever they come from.
    pub(crate) fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.all().map(|(_, fact)| fact)
    }

    fn all(&self) -> impl Iterator<Item = (&Origin, &Fact)> + Clone {
        self.base.all().chain(self.facts.iter().map(|(origin, fact)| (origin, fact)))
    }

    fn insert(&mut self, origin: Origin, fact: Fact) -> bool {
        let entry = (origin, fact);
        if self.base.contains(&entry) || self.known.contains(&entry) {
            return false;
        }
        self.known.insert(entry.clone());
        self.push(entry);
        true
    }

    fn push(&mut self, entry: (Origin, Fact)) {
        if entry.1.predicate.terms.iter().any(has_stand_in) {
            self.represented.push(self.facts.len());
        }
        self.facts.push(entry);
    }

    /// Applies rules of the verifier's policies until they derive nothing new.
    pub(crate) fn derive(&mut self, rules: &[Rule]) -> Result<(), EvaluationError> {
        if rules.is_empty() {
            return Ok(());
        }
        if self.base.names.plan().is_some() {
            self.rules.extend_from_slice(rules);
            self.twin.take();
        }
        let limit = self.facts.len() + MAX_DERIVED_FACTS;
        for _ in 0..MAX_ITERATIONS {
            let mut derived = Vec::new();
            for rule in rules {
                self.each_match(rule, VERIFIER, |mut origin, variables| {
                    origin.insert(VERIFIER);
                    derived.extend(head(rule, variables).map(|fact| (origin, fact)));
                })?;
                if derived.len() > MAX_DERIVED_FACTS {
                    return Err(EvaluationError::Exhausted);
                }
            }
            let grown = derived.into_iter().map(|(origin, fact)| self.insert(origin, fact));
            if grown.filter(|new| *new).count() == 0 {
                return Ok(());
            }
            if self.facts.len() > limit {
                return Err(EvaluationError::Exhausted);
            }
        }
        Err(EvaluationError::Exhausted)
    }

    /// Whether a check made by `block` holds. One alternative that holds suffices, whatever the others come to; where
    /// none does, one that cannot be evaluated leaves the whole without an answer.
    ///
    /// What is rejected of an argument is rejected however the call spells its name, as [`World::denies`] has it, and `check
    /// all` must hold however names are spelled: it says what none may be.
    ///
    /// `reject if A or B` rejects if either matches. Biscuit's own engine takes it to hold as soon as
    /// one of them does not match, which nobody who writes it means; here it is the stricter reading.
    pub(crate) fn holds(&self, check: &Check, block: usize) -> Result<bool, EvaluationError> {
        if check.kind == CheckKind::Reject {
            let queries = self.as_spelled(&check.queries)?;
            let rejected = self.any(&queries, block, |found| found.some)?;
            let folded = || self.any_folded(&check.queries, block, |found| found.some);
            return Ok(!rejected && folded()? != Some(true));
        }
        if check.kind == CheckKind::All {
            let folded = || self.any_folded(&check.queries, block, |found| found.all);
            let all = self.any(&check.queries, block, |found| found.all)?;
            return Ok(all && folded()? != Some(false));
        }
        self.any(&check.queries, block, |matches| matches.some)
    }

    /// Whether a query of a `deny if` has a match. An argument that it names is found however the call spells the name, for
    /// the tool may take `Force` or `ＦＯＲＣＥ` for `force`. What allows asks for the name letter by letter.
    pub(crate) fn denies(&self, queries: &[Rule]) -> Result<bool, EvaluationError> {
        let found = self.any(&self.as_spelled(queries)?, VERIFIER, |matches| matches.some)?;
        let folded = || self.any_folded(queries, VERIFIER, |matches| matches.some);
        Ok(found || folded()? == Some(true))
    }

    /// The queries with the names of arguments as the call spells them. No two arguments of a call have names that fold to
    /// one, so that each name stands for one argument at the most.
    fn as_spelled<'a>(&self, queries: &'a [Rule]) -> Result<Cow<'a, [Rule]>, EvaluationError> {
        let mut queries = Cow::Borrowed(queries);
        if self.arguments.is_empty() {
            return Ok(queries);
        }
        for query in 0..queries.len() {
            for at in 0..queries[query].body.len() {
                if let Some(name) = self.spelled(&queries[query].body[at])? {
                    queries.to_mut()[query].body[at].terms[0] = name;
                }
            }
        }
        Ok(queries)
    }

    /// How the call spells the name of the argument that is asked for, if it does so in another way.
    fn spelled(&self, predicate: &Predicate) -> Result<Option<Term>, EvaluationError> {
        let (Some(ARGUMENT), [Term::Str(asked), ..]) =
            (self.symbols.get_symbol(predicate.name), predicate.terms.as_slice())
        else {
            return Ok(None);
        };
        let found = match self.base.names.asked(*asked) {
            Some(folded) => self.arguments.get(folded),
            None => {
                let Some(written) = self.symbols.get_symbol(*asked) else { return Ok(None) };
                if !written.is_ascii() {
                    self.folded.set(self.folded.get().saturating_add(written.len()));
                }
                if self.folded.get() > MAX_FOLDED_BYTES {
                    return Err(EvaluationError::Exhausted);
                }
                self.arguments.get(&*fold(written))
            }
        };
        Ok(found.filter(|found| *found != asked).map(|found| Term::Str(*found)))
    }

    /// Whether a query of the verifier's policies has a match, by the names that it has.
    pub(crate) fn matches_any(&self, queries: &[Rule]) -> Result<bool, EvaluationError> {
        self.any(queries, VERIFIER, |matches| matches.some)
    }

    /// Whether a query of this block is asked of folded names as well, for some call.
    pub(crate) fn compares_names(&self, queries: &[Rule], block: usize) -> bool {
        let plan = self.base.names.plan_of(block);
        plan.is_some_and(|plan| queries.iter().any(|query| plan.matters_to(query)))
    }

    fn any(
        &self,
        queries: &[Rule],
        block: usize,
        holds: impl Fn(&Matches) -> bool,
    ) -> Result<bool, EvaluationError> {
        let mut failed = false;
        for query in queries {
            match self.matches(query, block) {
                Ok(matches) if holds(&matches) => return Ok(true),
                Ok(_) => {}
                Err(EvaluationError::Failed) => failed = true,
                Err(error) => return Err(error),
            }
        }
        if failed { Err(EvaluationError::Failed) } else { Ok(false) }
    }

    pub(crate) fn matches(&self, query: &Rule, block: usize) -> Result<Matches, EvaluationError> {
        let (mut count, mut held) = (0_usize, 0_usize);
        self.each_candidate(query, block, |_, _, holds| {
            count += 1;
            held += usize::from(holds);
        })?;
        Ok(Matches { any: count > 0, some: held > 0, all: count > 0 && held == count })
    }
}

fn origin_of(block: usize) -> Origin {
    [block].into_iter().collect()
}
