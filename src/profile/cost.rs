//! Cost: an upper bound of the work that evaluating a token's checks can take.
//!
//! Biscuit's engine looks at its limits only between queries, so a query must be known to be cheap
//! before it is started. The bound multiplies what can be multiplied: facts by facts for a join,
//! elements by operations for `.all` and `.any`. One unit is roughly 40 ns.

use std::collections::BTreeMap;

use biscuit_auth::builder;
use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::format::schema::{self, term::Content};

use crate::function::{Function, MAX_JUDGED_BYTES, MAX_OPERAND_BYTES};
use crate::profile::MAX_SYMBOLS;
use crate::profile::shape::ShapedBlock;

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

/// Bytes of a path, URL or address that are read in one unit.
const JUDGED_PER_UNIT: u64 = 4;

/// Steps of matching a pattern in one unit: each character of the text may be held against each of the pattern.
const STEPS_PER_UNIT: u64 = 8;

/// What cloning a map's entry costs more than an array's element.
const UNITS_PER_ENTRY: u64 = 2;

/// How many facts are passed over in one unit: most are dismissed by their name.
const FACTS_PER_UNIT: u64 = 2;

/// How large the facts are that a query can meet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sizes {
    facts: u64,
    words: u64,
    named: BTreeMap<String, Named>,
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
    /// Counts one fact in.
    pub(crate) fn add(&mut self, fact: &builder::Fact) {
        let largest = fact.predicate.terms.iter().map(extent).fold(Extent::default(), Extent::max);
        self.add_many(&fact.predicate.name, 1, largest);
    }

    /// Counts in facts of this name whose terms are single and short.
    pub(crate) fn add_small(&mut self, name: &str, count: u64) {
        self.add_many(name, count, Extent::one(0));
    }

    /// Makes room for this many facts of the name, with as many values and bytes each.
    pub(crate) fn add_room(&mut self, name: &str, count: u64, values: u64, bytes: u64) {
        self.add_many(name, count, Extent { values, bytes });
    }

    fn add_many(&mut self, name: &str, count: u64, largest: Extent) {
        self.facts += count;
        // Each value may be a word of its own.
        self.words = self.words.saturating_add(count.saturating_mul(largest.values + 1));
        let named = self.named.entry(name.to_owned()).or_default();
        named.count += count;
        named.largest = named.largest.max(largest);
    }
}

/// The values at all depths and the bytes of the longest string of a term.
pub(crate) fn values_and_bytes(term: &builder::Term) -> (u64, u64) {
    let Extent { values, bytes } = extent(term);
    (values, bytes)
}

fn extent(term: &builder::Term) -> Extent {
    use builder::{MapKey, Term};
    let all = |extents: &mut dyn Iterator<Item = Extent>| extents.fold(Extent::one(0), Extent::and);
    match term {
        Term::Str(text) => Extent::one(text.len()),
        Term::Bytes(bytes) => Extent::one(bytes.len()),
        Term::Set(set) => all(&mut set.iter().map(extent)),
        Term::Array(array) => all(&mut array.iter().map(extent)),
        Term::Map(map) => all(&mut map.iter().map(|(key, value)| {
            let key = match key {
                MapKey::Str(text) => text.len(),
                _ => 0,
            };
            Extent { values: UNITS_PER_ENTRY, bytes: key as u64 }.and(extent(value))
        })),
        _ => Extent::one(0),
    }
}

/// The bound for all checks of these blocks, over facts of these sizes.
pub(crate) fn bound(blocks: &[ShapedBlock], sizes: &Sizes) -> u64 {
    let queries = blocks.iter().flat_map(|block| {
        let checks = block.content.checks.iter().flat_map(|check| &check.queries);
        checks.map(move |query| Query { symbols: &block.symbols, sizes }.bound(query))
    });
    queries.fold(0, u64::saturating_add)
}

/// What the variables of a query can be bound to.
type Bindings = BTreeMap<u32, Extent>;

/// Something on the stack of an expression.
enum Operand<'a> {
    Value(Extent),
    Closure(&'a schema::OpClosure),
}

struct Query<'a> {
    symbols: &'a SymbolTable,
    sizes: &'a Sizes,
}

impl Query<'_> {
    fn bound(&self, query: &schema::Rule) -> u64 {
        let scan = 1 + self.sizes.facts / FACTS_PER_UNIT;
        let (mut matches, mut work) = (1_u64, 0_u64);
        let mut bindings = Bindings::new();
        for predicate in &query.body {
            let name = self.symbols.get_symbol(predicate.name);
            let named =
                name.and_then(|name| self.sizes.named.get(name)).copied().unwrap_or_default();
            for term in &predicate.terms {
                if let Some(Content::Variable(variable)) = term.content {
                    bindings.insert(variable, named.largest);
                }
            }
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
    fn operations(&self, ops: &[schema::Op], bindings: &Bindings) -> (u64, Extent) {
        use schema::op::Content;
        let mut stack = Vec::new();
        let mut work = 0_u64;
        for op in ops {
            work = work.saturating_add(1);
            match &op.content {
                Some(Content::Value(term)) => {
                    let extent = self.term(term, bindings);
                    work = work.saturating_add(extent.units());
                    stack.push(Operand::Value(extent));
                }
                Some(Content::Closure(closure)) => {
                    work = work.saturating_add(closure.ops.len() as u64);
                    stack.push(Operand::Closure(closure));
                }
                Some(Content::Binary(binary)) => {
                    let (right, left) = (stack.pop(), stack.pop());
                    if let (Some(Operand::Value(text)), Some(Operand::Value(operand))) =
                        (&left, &right)
                        && let Some(name) = binary.ffi_name
                    {
                        work = work.saturating_add(self.call(name, *text, *operand));
                    }
                    let (more, result) = self.binary(binary.kind, left, right, bindings);
                    work = work.saturating_add(more);
                    stack.push(Operand::Value(result));
                }
                // A unary operation looks at its operand once, and leaves something no larger.
                Some(Content::Unary(unary)) => {
                    if let Some(Operand::Value(extent)) = stack.last() {
                        work = work.saturating_add(extent.units());
                    }
                    if unary.kind == schema::op_unary::Kind::TypeOf as i32 {
                        work = work.saturating_add(self.lookup());
                    }
                }
                None => {}
            }
        }
        match stack.pop() {
            Some(Operand::Value(extent)) => (work, extent),
            _ => (work, Extent::default()),
        }
    }

    /// Looking a word up among all words, one by one.
    fn lookup(&self) -> u64 {
        1 + (self.sizes.words + MAX_SYMBOLS as u64) / WORDS_PER_UNIT
    }

    /// Calling an external function. What is longer than it judges is dismissed at once.
    fn call(&self, name: u64, text: Extent, operand: Extent) -> u64 {
        let text = text.bytes.min(MAX_JUDGED_BYTES as u64);
        let operand = operand.bytes.min(MAX_OPERAND_BYTES as u64);
        let steps = match self.symbols.get_symbol(name).and_then(Function::named) {
            Some(Function::Glob) => text.saturating_mul(operand) / STEPS_PER_UNIT,
            _ => 0,
        };
        let read = text.saturating_add(operand) / JUDGED_PER_UNIT;
        UNITS_PER_CALL.saturating_add(read).saturating_add(steps)
    }

    /// What an addition leaves behind is looked up among all words.
    fn joined(&self, kind: i32) -> u64 {
        match kind == schema::op_binary::Kind::Add as i32 {
            true => self.lookup(),
            false => 0,
        }
    }

    fn binary(
        &self,
        kind: i32,
        left: Option<Operand<'_>>,
        right: Option<Operand<'_>>,
        bindings: &Bindings,
    ) -> (u64, Extent) {
        match (left, right) {
            (Some(Operand::Value(left)), Some(Operand::Value(right))) => {
                let both = left.and(right);
                (both.units().saturating_add(self.joined(kind)), both)
            }
            (Some(Operand::Value(over)), Some(Operand::Closure(closure)))
            | (Some(Operand::Closure(closure)), Some(Operand::Value(over))) => {
                self.closure(closure, over, bindings)
            }
            // Biscuit's engine ends the evaluation here.
            _ => (0, Extent::default()),
        }
    }

    fn closure(
        &self,
        closure: &schema::OpClosure,
        over: Extent,
        bindings: &Bindings,
    ) -> (u64, Extent) {
        let start = UNITS_PER_CLOSURE.saturating_add(total(bindings));
        if closure.params.is_empty() {
            let (body, result) = self.operations(&closure.ops, bindings);
            return (start.saturating_add(body), result.max(over));
        }
        // The elements together are no larger than their collection, so each turn of the loop pays for
        // one value, and all of them together once more for the whole.
        let mut inner = bindings.clone();
        inner.extend(closure.params.iter().map(|name| (*name, Extent { values: 1, ..over })));
        let (body, _) = self.operations(&closure.ops, &inner);
        let turn = body.saturating_add(UNITS_PER_CLOSURE).saturating_add(closure.ops.len() as u64);
        let turns = over.values.saturating_mul(turn);
        let elements = over.values.saturating_mul(closure.ops.len() as u64);
        (start.saturating_add(turns).saturating_add(elements), Extent::one(0))
    }

    fn term(&self, term: &schema::Term, bindings: &Bindings) -> Extent {
        let all = |terms: &[schema::Term]| {
            terms.iter().map(|term| self.term(term, bindings)).fold(Extent::one(0), Extent::and)
        };
        match &term.content {
            Some(Content::Variable(name)) => bindings.get(name).copied().unwrap_or_default(),
            Some(Content::String(word)) => {
                Extent::one(self.symbols.get_symbol(*word).map_or(0, str::len))
            }
            Some(Content::Bytes(bytes)) => Extent::one(bytes.len()),
            Some(Content::Set(set)) => all(&set.set),
            Some(Content::Array(array)) => all(&array.array),
            Some(Content::Map(map)) => map
                .entries
                .iter()
                .map(|entry| self.term(&entry.value, bindings).and(Extent::one(0)))
                .fold(Extent::one(0), Extent::and),
            _ => Extent::one(0),
        }
    }
}

/// What cloning all bindings costs.
fn total(bindings: &Bindings) -> u64 {
    bindings.values().fold(0, |sum, extent| sum.saturating_add(extent.values))
}
