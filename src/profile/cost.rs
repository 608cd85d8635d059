//! Cost: an upper bound of the work that evaluating a token's checks can take.
//!
//! Biscuit's engine looks at its limits only between queries, so a query must be known to be cheap
//! before it is started. The bound multiplies what can be multiplied: facts by facts for a join,
//! elements by operations for `.all` and `.any`. One unit is roughly 40 ns.

use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::format::schema;

use crate::profile::MAX_COLLECTION;
use crate::profile::shape::ShapedBlock;

/// Bytes of a string that are compared or searched in one unit.
const BYTES_PER_UNIT: u64 = 64;

/// What a set of bindings costs besides its expressions: maps are built and cloned for each.
const UNITS_PER_MATCH: u64 = 8;

/// What starting a closure costs besides its operations: bindings are cloned, names compared.
const UNITS_PER_CLOSURE: u64 = 8;

/// How many facts are passed over in one unit: most are dismissed by their name.
const FACTS_PER_UNIT: u64 = 2;

/// How large the facts are that a query can meet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sizes {
    /// All facts together.
    pub(crate) facts: u64,
    /// Facts by predicate name.
    pub(crate) named: std::collections::BTreeMap<String, u64>,
    /// The values in the largest array or map, at all depths.
    pub(crate) collection: u64,
    /// The bytes of the longest string.
    pub(crate) string: u64,
}

impl Sizes {
    /// Counts one fact in.
    pub(crate) fn add(&mut self, fact: &biscuit_auth::builder::Fact) {
        self.facts += 1;
        *self.named.entry(fact.predicate.name.clone()).or_default() += 1;
        for term in &fact.predicate.terms {
            let (values, string) = extent(term);
            self.collection = self.collection.max(values);
            self.string = self.string.max(string);
        }
    }
}

/// How many values a term holds, and how long its longest string is.
fn extent(term: &biscuit_auth::builder::Term) -> (u64, u64) {
    use biscuit_auth::builder::{MapKey, Term};
    let merge = |(values, string): (u64, u64), (more, other): (u64, u64)| {
        (values + more, string.max(other))
    };
    match term {
        Term::Str(text) => (1, text.len() as u64),
        Term::Bytes(bytes) => (1, bytes.len() as u64),
        Term::Set(set) => set.iter().map(extent).fold((1, 0), merge),
        Term::Array(array) => array.iter().map(extent).fold((1, 0), merge),
        Term::Map(map) => map.iter().fold((1, 0), |sum, (key, value)| {
            let key = match key {
                MapKey::Str(text) => text.len() as u64,
                _ => 0,
            };
            merge(merge(sum, (1, key)), extent(value))
        }),
        _ => (1, 0),
    }
}

/// The bound for all checks of these blocks, over facts of these sizes.
pub(crate) fn bound(blocks: &[ShapedBlock], sizes: &Sizes) -> u64 {
    let queries = blocks.iter().flat_map(|block| {
        let checks = block.content.checks.iter().flat_map(|check| &check.queries);
        checks.map(move |query| query_bound(query, &block.symbols, sizes))
    });
    queries.fold(0, u64::saturating_add)
}

fn query_bound(query: &schema::Rule, symbols: &SymbolTable, sizes: &Sizes) -> u64 {
    let scan = 1 + sizes.facts / FACTS_PER_UNIT;
    let (mut matches, mut work) = (1_u64, 0_u64);
    for predicate in &query.body {
        let named = symbols.get_symbol(predicate.name).and_then(|name| sizes.named.get(name));
        work = work.saturating_add(matches.saturating_mul(scan));
        matches = matches.saturating_mul(named.copied().unwrap_or(0));
    }
    let expressions =
        query.expressions.iter().map(|expression| operations_bound(&expression.ops, sizes));
    let each = expressions.fold(UNITS_PER_MATCH, u64::saturating_add);
    work.saturating_add(matches.saturating_mul(each))
}

fn operations_bound(ops: &[schema::Op], sizes: &Sizes) -> u64 {
    use schema::op::Content;
    let bounds = ops.iter().map(|op| match &op.content {
        Some(Content::Value(term)) => term_bound(term, sizes),
        Some(Content::Closure(closure)) => closure_bound(closure, sizes),
        // Comparing, searching or joining looks at both sides once.
        Some(Content::Binary(_)) => 1 + largest_collection(sizes) + sizes.string / BYTES_PER_UNIT,
        Some(Content::Unary(_)) | None => 1,
    });
    bounds.fold(0, u64::saturating_add)
}

fn closure_bound(closure: &schema::OpClosure, sizes: &Sizes) -> u64 {
    let values = largest_collection(sizes);
    let start = UNITS_PER_CLOSURE + values;
    if closure.params.is_empty() {
        return start.saturating_add(operations_bound(&closure.ops, sizes));
    }
    // The elements together are no larger than their collection, so each turn of the loop pays for
    // its share and not for the whole.
    let names: Vec<_> =
        closure.params.iter().map(|name| Some(schema::term::Content::Variable(*name))).collect();
    let body = closure.ops.iter().map(|op| match &op.content {
        Some(schema::op::Content::Value(term)) if names.contains(&term.content) => 1,
        Some(schema::op::Content::Binary(_)) => 2 + sizes.string / BYTES_PER_UNIT,
        _ => operations_bound(std::slice::from_ref(op), sizes),
    });
    let body = body.fold(UNITS_PER_CLOSURE, u64::saturating_add);
    start
        .saturating_add(values.saturating_mul(body))
        .saturating_add(values.saturating_mul(closure.ops.len() as u64))
}

fn term_bound(term: &schema::Term, sizes: &Sizes) -> u64 {
    use schema::term::Content;
    let sum = |terms: &[schema::Term]| {
        terms.iter().map(|term| term_bound(term, sizes)).fold(1, u64::saturating_add)
    };
    match &term.content {
        Some(Content::Variable(_)) => 1 + sizes.collection,
        Some(Content::Set(set)) => sum(&set.set),
        Some(Content::Array(array)) => sum(&array.array),
        Some(Content::Map(map)) => map
            .entries
            .iter()
            .map(|entry| term_bound(&entry.value, sizes))
            .fold(1, u64::saturating_add),
        Some(Content::Bytes(bytes)) => 1 + bytes.len() as u64 / BYTES_PER_UNIT,
        _ => 1,
    }
}

/// A collection is the request's, or a literal of the token.
fn largest_collection(sizes: &Sizes) -> u64 {
    sizes.collection.max(MAX_COLLECTION as u64)
}
