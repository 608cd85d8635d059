//! Cost: an upper bound of the work that a decision about a token can take.
//!
//! Static cost analysis. Biscuit's engine looks at its limits only between queries, so a query must be known to be
//! cheap before it is started. The bound multiplies what can be multiplied: facts by facts for a join, elements by
//! operations for `.all` and `.any`. One unit is roughly 40 ns; `benches/worst_token` looks for what takes longer than
//! its units say.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use biscuit_auth::builder;
use biscuit_auth::datalog::{self, Binary, Op, SymbolTable, Term, Unary};

use crate::function::{Function, MAX_JUDGED_BYTES, MAX_OPERAND_BYTES};
use crate::profile::MAX_SYMBOLS;
use crate::profile::shape::ShapedBlock;
use crate::profile::vocabulary;

/// Bytes of a string that are compared or searched in one unit.
const BYTES_PER_UNIT: u64 = 64;

/// What a set of bindings costs besides its expressions: maps are built and cloned for each.
const UNITS_PER_MATCH: u64 = 8;

/// What starting a closure costs besides its operations: bindings are cloned, names compared.
const UNITS_PER_CLOSURE: u64 = 8;

/// Words that are passed over in one unit, when a type's name or a joined string is looked up among them.
const WORDS_PER_UNIT: u64 = 4;

/// How often the engine clones all bindings of a query for each match of each of its predicates.
const CLONES_PER_MATCH: u64 = 5;

/// What calling an external function costs besides reading its text: that is copied and handed over.
const UNITS_PER_CALL: u64 = 20;

/// Bytes of a path or address that are read in one unit: each part of a path is folded, and read in several ways.
const JUDGED_PER_UNIT: u64 = 2;

/// Bytes of a URL that are read in one unit: it is parsed, written anew, and its path is read with and without escapes.
const URL_PER_UNIT: u64 = 1;

/// Units that reading a byte of a pattern or its text takes: the text is folded, its letters are left out and cut in several
/// ways, and each is held against the pattern.
const UNITS_PER_PATTERN_BYTE: u64 = 4;

/// Steps of matching a pattern in one unit: each character of the text may be held against each of the pattern.
const STEPS_PER_UNIT: u64 = 8;

/// What cloning a map's entry costs more than an array's element.
const UNITS_PER_ENTRY: u64 = 2;

/// What a set or map costs more than an array: its tree has room for eleven at once, some 400 bytes or 600.
/// Without it, what is on the stack of an expression could come to several MiB.
const UNITS_PER_TREE: u64 = 4;

/// How many facts are passed over in one unit by a query for one fact: most are dismissed by their name.
pub(crate) const FACTS_PER_UNIT: u64 = 2;

/// What reading a block and verifying its signatures takes of the bound, so that no token has the longest chain and the
/// costliest checks.
const UNITS_PER_BLOCK: u64 = 1000;

/// What reading a value of a fact takes of it, so that no call has the most arguments and the costliest checks: each is
/// parsed, hashed in its canonical form, and put among the facts.
const UNITS_PER_VALUE: u64 = 20;

/// How large the facts are that a query can meet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sizes {
    facts: u64,
    values: u64,
    words: u64,
    named: BTreeMap<Cow<'static, str>, Named>,
}

/// The facts of one name.
#[derive(Debug, Clone, Copy, Default)]
struct Named {
    count: u64,
    largest: Extent,
}

/// How large a value can be: what it holds at all depths, and the bytes of its longest string.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    values: u64,
    bytes: u64,
}

impl Extent {
    fn one(bytes: usize) -> Extent {
        Extent { values: 1, bytes: bytes as u64 }
    }

    /// A set or map without its elements.
    fn tree() -> Extent {
        Extent { values: 1 + UNITS_PER_TREE, bytes: 0 }
    }

    /// A map's entry, besides its value.
    fn entry(bytes: usize) -> Extent {
        Extent { values: UNITS_PER_ENTRY, bytes: bytes as u64 }
    }

    /// Both together: a collection of the two, or two strings joined.
    fn and(self, other: Extent) -> Extent {
        Extent {
            values: self.values.saturating_add(other.values),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    fn max(self, other: Extent) -> Extent {
        Extent { values: self.values.max(other.values), bytes: self.bytes.max(other.bytes) }
    }

    /// What cloning, comparing or searching it costs.
    fn units(self) -> u64 {
        self.values.saturating_add(self.bytes / BYTES_PER_UNIT)
    }
}

impl Sizes {
    /// Counts in what a block says, each fact as one value.
    pub(crate) fn add_block(&mut self, block: &ShapedBlock) {
        block.facts.iter().for_each(|fact| self.add_stated(fact, &block.symbols));
    }

    fn add_stated(&mut self, fact: &datalog::Fact, words: &SymbolTable) {
        let extents = fact.predicate.terms.iter().map(|term| converted_extent(term, words));
        let largest = extents.fold(Extent::default(), Extent::max);
        self.values = self.values.saturating_add(1);
        self.add_many(words.get_symbol(fact.predicate.name).unwrap_or_default(), 1, largest);
    }

    /// Counts one fact in, and each value in it.
    pub(crate) fn add_converted(&mut self, fact: &datalog::Fact, words: &SymbolTable) {
        let extents = fact.predicate.terms.iter().map(|term| converted_extent(term, words));
        let largest = extents.fold(Extent::default(), Extent::max);
        let values = fact.predicate.terms.iter().map(|term| count(term) - 1);
        self.values = values.fold(self.values.saturating_add(1), u64::saturating_add);
        self.add_many(words.get_symbol(fact.predicate.name).unwrap_or_default(), 1, largest);
    }

    /// Counts in facts of this name whose terms are single and short.
    pub(crate) fn add_small(&mut self, name: &str, count: u64) {
        self.add_many(name, count, Extent::one(0));
    }

    /// Makes room for this many facts of the name, with as many values and bytes each.
    pub(crate) fn add_room(&mut self, name: &str, count: u64, values: u64, bytes: u64) {
        self.values = self.values.saturating_add(count.saturating_mul(values));
        self.add_many(name, count, Extent { values, bytes });
    }

    fn add_many(&mut self, name: &str, count: u64, largest: Extent) {
        self.facts += count;
        // Each value may be a word of its own.
        self.words = self.words.saturating_add(count.saturating_mul(largest.values + 1));
        let named = match self.named.get_mut(name) {
            Some(named) => named,
            None => self.named.entry(owned(name)).or_default(),
        };
        named.count += count;
        named.largest = named.largest.max(largest);
    }
}

/// A name to keep: most are of the profile's own words, which need no copy.
fn owned(name: &str) -> Cow<'static, str> {
    match vocabulary::find(name) {
        Some(word) => Cow::Borrowed(word.name),
        None => Cow::Owned(name.to_owned()),
    }
}

/// The values at all depths and the bytes of the longest string of a term.
pub(crate) fn values_and_bytes(term: &datalog::Term, words: &SymbolTable) -> (u64, u64) {
    let Extent { values, bytes } = converted_extent(term, words);
    (values, bytes)
}

/// The same of a term whose words are written out.
pub(crate) fn values_and_bytes_of(term: &builder::Term) -> (u64, u64) {
    let Extent { values, bytes } = extent(term);
    (values, bytes)
}

fn extent(term: &builder::Term) -> Extent {
    use builder::{MapKey, Term};
    let all = |of: Extent, extents: &mut dyn Iterator<Item = Extent>| extents.fold(of, Extent::and);
    match term {
        Term::Str(text) => Extent::one(text.len()),
        Term::Bytes(bytes) => Extent::one(bytes.len()),
        Term::Set(set) => all(Extent::tree(), &mut set.iter().map(extent)),
        Term::Array(array) => all(Extent::one(0), &mut array.iter().map(extent)),
        Term::Map(map) => all(
            Extent::tree(),
            &mut map.iter().map(|(key, value)| {
                let bytes = match key {
                    MapKey::Str(text) => text.len(),
                    _ => 0,
                };
                Extent::entry(bytes).and(extent(value))
            }),
        ),
        _ => Extent::one(0),
    }
}

/// The values at all depths, whatever they cost to clone.
fn count(term: &datalog::Term) -> u64 {
    use datalog::Term;
    match term {
        Term::Set(set) => set.iter().map(count).fold(1, u64::saturating_add),
        Term::Array(array) => array.iter().map(count).fold(1, u64::saturating_add),
        Term::Map(map) => map.values().map(count).fold(1, u64::saturating_add),
        _ => 1,
    }
}

fn converted_extent(term: &datalog::Term, words: &SymbolTable) -> Extent {
    use datalog::{MapKey, Term};
    let length = |word: &u64| words.get_symbol(*word).map_or(0, str::len);
    let all = |of: Extent, extents: &mut dyn Iterator<Item = Extent>| extents.fold(of, Extent::and);
    match term {
        Term::Str(word) => Extent::one(length(word)),
        Term::Bytes(bytes) => Extent::one(bytes.len()),
        Term::Set(set) => {
            all(Extent::tree(), &mut set.iter().map(|term| converted_extent(term, words)))
        }
        Term::Array(array) => {
            all(Extent::one(0), &mut array.iter().map(|term| converted_extent(term, words)))
        }
        Term::Map(map) => all(
            Extent::tree(),
            &mut map.iter().map(|(key, value)| {
                let bytes = match key {
                    MapKey::Str(word) => length(word),
                    MapKey::Integer(_) => 0,
                };
                Extent::entry(bytes).and(converted_extent(value, words))
            }),
        ),
        _ => Extent::one(0),
    }
}

/// The bound for a decision: for what [`evaluation`] bounds, and for reading blocks and facts.
pub(crate) fn bound(blocks: &[Arc<ShapedBlock>], sizes: &Sizes) -> u64 {
    evaluation(blocks, sizes).saturating_add(reading(blocks, sizes))
}

/// The part of it that is not the checks'.
pub(crate) fn reading(blocks: &[Arc<ShapedBlock>], sizes: &Sizes) -> u64 {
    let blocks_read = UNITS_PER_BLOCK.saturating_mul(blocks.len() as u64);
    let values_read = UNITS_PER_VALUE.saturating_mul(sizes.values);
    blocks_read.saturating_add(values_read)
}

/// The bound for all checks of these blocks, over facts of these sizes.
pub(crate) fn evaluation(blocks: &[Arc<ShapedBlock>], sizes: &Sizes) -> u64 {
    let checks = blocks.iter().flat_map(|block| {
        let checks = block.checks.iter();
        checks.map(move |check| (&**block, check))
    });
    evaluation_of(checks, sizes)
}

/// The same for some of the checks, each with its block.
pub(crate) fn evaluation_of<'a>(
    checks: impl Iterator<Item = (&'a ShapedBlock, &'a datalog::Check)>,
    sizes: &Sizes,
) -> u64 {
    let queries = checks.flat_map(|(block, check)| {
        let query = Query { symbols: &block.symbols, sizes };
        check.queries.iter().map(move |asked| query.bound(asked))
    });
    queries.fold(0, u64::saturating_add)
}

/// What the variables of a query can be bound to.
type Bindings = BTreeMap<u32, Extent>;

/// Something on the stack of an expression.
enum Operand<'a> {
    Value(Extent),
    Closure(&'a [u32], &'a [Op]),
}

struct Query<'a> {
    symbols: &'a SymbolTable,
    sizes: &'a Sizes,
}

impl Query<'_> {
    fn bound(&self, query: &datalog::Rule) -> u64 {
        // A join asks of each fact, each time, where it comes from.
        let scan = match query.body.len() {
            0 | 1 => 1 + self.sizes.facts / FACTS_PER_UNIT,
            _ => 1 + self.sizes.facts,
        };
        let (mut matches, mut work) = (1_u64, 0_u64);
        let mut bindings = Bindings::new();
        for predicate in &query.body {
            let name = self.symbols.get_symbol(predicate.name);
            let named =
                name.and_then(|name| self.sizes.named.get(name)).copied().unwrap_or_default();
            let mut compared = 0_u64;
            for term in &predicate.terms {
                match term {
                    Term::Variable(variable) => {
                        bindings.insert(*variable, named.largest);
                    }
                    // What is written out is held against each fact, which takes no longer than the smaller has.
                    _ => {
                        let values = self.term(term, &bindings).values.min(named.largest.values);
                        compared = compared.saturating_add(values.saturating_sub(1));
                    }
                }
            }
            let scan = scan.saturating_add(named.count.saturating_mul(compared));
            work = work.saturating_add(matches.saturating_mul(scan));
            matches = matches.saturating_mul(named.count);
            let clones = total(&bindings).saturating_mul(CLONES_PER_MATCH);
            work = work.saturating_add(matches.saturating_mul(clones));
        }
        let start = UNITS_PER_MATCH.saturating_add(total(&bindings));
        let expressions = query.expressions.iter();
        let each = expressions.map(|expression| self.operations(&expression.ops, &bindings).0);
        work.saturating_add(matches.saturating_mul(each.fold(start, u64::saturating_add)))
    }

    /// The work of an expression, and how large its result can be.
    fn operations(&self, ops: &[Op], bindings: &Bindings) -> (u64, Extent) {
        let mut stack = Vec::new();
        let mut work = 0_u64;
        for op in ops {
            work = work.saturating_add(1);
            match op {
                Op::Value(term) => {
                    let extent = self.term(term, bindings);
                    work = work.saturating_add(extent.units());
                    stack.push(Operand::Value(extent));
                }
                Op::Closure(params, ops) => {
                    work = work.saturating_add(self.copy(ops));
                    stack.push(Operand::Closure(params, ops));
                }
                Op::Binary(binary) => {
                    let (right, left) = (stack.pop(), stack.pop());
                    if let (Some(Operand::Value(text)), Some(Operand::Value(operand))) =
                        (&left, &right)
                        && let Binary::Ffi(name) = binary
                    {
                        work = work.saturating_add(self.call(*name, *text, *operand));
                    }
                    let (more, result) = self.binary(binary, left, right, bindings);
                    work = work.saturating_add(more);
                    stack.push(Operand::Value(result));
                }
                // A unary operation looks at its operand once, and leaves something no larger.
                Op::Unary(unary) => {
                    if let Some(Operand::Value(extent)) = stack.last() {
                        work = work.saturating_add(extent.units());
                    }
                    if *unary == Unary::TypeOf {
                        work = work.saturating_add(self.lookup());
                    }
                }
            }
        }
        match stack.pop() {
            Some(Operand::Value(extent)) => (work, extent),
            _ => (work, Extent::default()),
        }
    }

    /// Copying what a closure does: the engine does so when it meets one, before each time that it is done, and each
    /// time with all that is written out in it, whether that is reached or not.
    fn copy(&self, ops: &[Op]) -> u64 {
        let nothing = Bindings::new();
        let copies = ops.iter().map(|op| match op {
            Op::Value(term) => self.term(term, &nothing).units(),
            Op::Closure(_, ops) => self.copy(ops),
            _ => 0,
        });
        copies.fold(ops.len() as u64, u64::saturating_add)
    }

    /// Looking a word up among all words, one by one.
    fn lookup(&self) -> u64 {
        1 + (self.sizes.words + MAX_SYMBOLS as u64) / WORDS_PER_UNIT
    }

    /// Calling an external function. What is longer than it judges is dismissed at once.
    fn call(&self, name: u64, text: Extent, operand: Extent) -> u64 {
        let text = text.bytes.min(MAX_JUDGED_BYTES as u64);
        let operand = operand.bytes.min(MAX_OPERAND_BYTES as u64);
        let function = self.symbols.get_symbol(name).and_then(Function::named);
        let steps = match function {
            Some(Function::Glob) => text.saturating_mul(operand) / STEPS_PER_UNIT,
            _ => 0,
        };
        let bytes = text.saturating_add(operand);
        let read = match function {
            Some(Function::Url) => bytes / URL_PER_UNIT,
            Some(Function::Glob) => bytes.saturating_mul(UNITS_PER_PATTERN_BYTE),
            _ => bytes / JUDGED_PER_UNIT,
        };
        UNITS_PER_CALL.saturating_add(read).saturating_add(steps)
    }

    /// What an addition leaves behind is looked up among all words.
    fn joined(&self, kind: &Binary) -> u64 {
        match kind {
            Binary::Add => self.lookup(),
            _ => 0,
        }
    }

    fn binary(
        &self,
        kind: &Binary,
        left: Option<Operand<'_>>,
        right: Option<Operand<'_>>,
        bindings: &Bindings,
    ) -> (u64, Extent) {
        match (left, right) {
            (Some(Operand::Value(left)), Some(Operand::Value(right))) => {
                let both = left.and(right);
                (both.units().saturating_add(self.joined(kind)), both)
            }
            (Some(Operand::Value(over)), Some(Operand::Closure(params, ops)))
            | (Some(Operand::Closure(params, ops)), Some(Operand::Value(over))) => {
                self.closure(params, ops, over, bindings)
            }
            // Biscuit's engine ends the evaluation here.
            _ => (0, Extent::default()),
        }
    }

    fn closure(
        &self,
        params: &[u32],
        ops: &[Op],
        over: Extent,
        bindings: &Bindings,
    ) -> (u64, Extent) {
        let start = UNITS_PER_CLOSURE.saturating_add(total(bindings));
        let copy = self.copy(ops);
        if params.is_empty() {
            let (body, result) = self.operations(ops, bindings);
            return (start.saturating_add(copy).saturating_add(body), result.max(over));
        }
        // The elements together are no larger than their collection, so each turn of the loop pays for
        // one value, and all of them together once more for the whole.
        let mut inner = bindings.clone();
        inner.extend(params.iter().map(|name| (*name, Extent { values: 1, ..over })));
        let (body, _) = self.operations(ops, &inner);
        let turn = body.saturating_add(UNITS_PER_CLOSURE).saturating_add(copy);
        let turns = over.values.saturating_mul(turn);
        let elements = over.values.saturating_mul(ops.len() as u64);
        (start.saturating_add(turns).saturating_add(elements), Extent::one(0))
    }

    fn term(&self, term: &Term, bindings: &Bindings) -> Extent {
        let each = |term: &Term| self.term(term, bindings);
        match term {
            Term::Variable(name) => bindings.get(name).copied().unwrap_or_default(),
            Term::Str(word) => Extent::one(self.symbols.get_symbol(*word).map_or(0, str::len)),
            Term::Bytes(bytes) => Extent::one(bytes.len()),
            Term::Set(set) => set.iter().map(each).fold(Extent::tree(), Extent::and),
            Term::Array(array) => array.iter().map(each).fold(Extent::one(0), Extent::and),
            Term::Map(map) => map
                .values()
                .map(|value| Extent::entry(0).and(each(value)))
                .fold(Extent::tree(), Extent::and),
            _ => Extent::one(0),
        }
    }
}

/// What cloning all bindings costs.
fn total(bindings: &Bindings) -> u64 {
    bindings.values().fold(0, |sum, extent| sum.saturating_add(extent.values))
}

#[cfg(test)]
mod tests;
