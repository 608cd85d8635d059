//! Weight: how many bytes of memory do facts, checks and words take? (For what is kept of tokens, within a bound of bytes.)
//!
//! Whoever may delegate chooses what its blocks say, and a set of one number takes sixty times its bytes in the token. What is kept is
//! therefore counted value by value: never less than it takes, with what an allocator adds.

use biscuit_auth::datalog::{Check, Fact, MapKey, Op, Predicate, Rule, SymbolTable, Term};

/// What an allocation takes beside what is asked for: its header, and what it is rounded up to.
pub(crate) const BYTES_PER_ALLOCATION: usize = 16;

/// A node of a tree has room for so many members, and all but the first have at least so many.
const NODE: usize = 11;
const LEAST_IN_NODE: usize = 5;

/// What a node has beside its members: links, and those to the nodes below, of one in five.
const BYTES_BESIDE_MEMBERS: usize = 64;

/// A list with room for `room` values of this size.
pub(crate) fn list<T>(room: usize) -> usize {
    if room == 0 { 0 } else { BYTES_PER_ALLOCATION + room * size_of::<T>() }
}

/// What facts take, with their list.
pub(crate) fn facts(facts: &[Fact]) -> usize {
    list::<Fact>(facts.len()) + facts.iter().map(|fact| predicate(&fact.predicate)).sum::<usize>()
}

/// What a predicate takes beside itself.
pub(crate) fn predicate(predicate: &Predicate) -> usize {
    list::<Term>(predicate.terms.capacity()) + predicate.terms.iter().map(term).sum::<usize>()
}

/// What checks take, with their list.
pub(crate) fn checks(checks: &[Check]) -> usize {
    list::<Check>(checks.len()) + checks.iter().map(check).sum::<usize>()
}

/// What a check takes beside itself.
pub(crate) fn check(check: &Check) -> usize {
    list::<Rule>(check.queries.capacity()) + check.queries.iter().map(rule).sum::<usize>()
}

fn rule(rule: &Rule) -> usize {
    let body = rule.body.iter().map(predicate).sum::<usize>();
    let expressions = rule.expressions.iter().map(|one| ops(&one.ops)).sum::<usize>();
    let lists = list::<Predicate>(rule.body.capacity())
        + list::<Vec<Op>>(rule.expressions.capacity())
        + list::<[u64; 2]>(rule.scopes.capacity());
    predicate(&rule.head) + body + expressions + lists
}

#[allow(clippy::ptr_arg, reason = "what counts is the room that it has")]
fn ops(ops: &Vec<Op>) -> usize {
    let inside = ops.iter().map(|op| match op {
        Op::Value(value) => term(value),
        Op::Closure(parameters, inner) => list::<u32>(parameters.capacity()) + self::ops(inner),
        Op::Unary(_) | Op::Binary(_) => 0,
    });
    list::<Op>(ops.capacity()) + inside.sum::<usize>()
}

/// What a term takes beside itself.
fn term(value: &Term) -> usize {
    match value {
        Term::Bytes(bytes) => list::<u8>(bytes.capacity()),
        Term::Set(set) => tree::<Term>(set.len()) + set.iter().map(term).sum::<usize>(),
        Term::Array(array) => {
            list::<Term>(array.capacity()) + array.iter().map(term).sum::<usize>()
        }
        Term::Map(map) => tree::<(MapKey, Term)>(map.len()) + map.values().map(term).sum::<usize>(),
        _ => 0,
    }
}

fn tree<T>(members: usize) -> usize {
    let nodes = members.div_ceil(LEAST_IN_NODE);
    nodes * (BYTES_PER_ALLOCATION + BYTES_BESIDE_MEMBERS + NODE * size_of::<T>())
}

/// What a table of words takes, with so many keys. Its lists grow by doubling, and have room for four.
pub(crate) fn words(words: &SymbolTable, keys: usize) -> usize {
    let count = words.current_offset();
    // The first number that stands for a word which is not one of Biscuit's own.
    let own = (1024..).take(count).filter_map(|number| words.get_symbol(number));
    let doubled = |count: usize| if count == 0 { 0 } else { (2 * count).max(4) };
    list::<String>(doubled(count))
        + list::<biscuit_auth::PublicKey>(doubled(keys))
        + own.map(|word| BYTES_PER_ALLOCATION + word.len()).sum::<usize>()
}

#[cfg(test)]
mod tests;
