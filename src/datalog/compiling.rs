//! Compiling: what does it take to compile the regular expressions that an expression asks?
//!
//! Biscuit compiles a pattern each time it is asked, which takes from some ten microseconds to several milliseconds. It is
//! reckoned from the pattern's parts (its high-level intermediate representation) and paid for like facts.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use biscuit_auth::datalog::{Binary, Op, SymbolTable, Term};
use regex_syntax::hir::{Class, Hir, HirKind};

/// What compiling the smallest pattern takes, in facts touched: some hundred microseconds.
const LEAST_PRICE: u64 = 10_000;

/// What each range of letters in a pattern takes besides, as often as it is repeated: some 0.15 microseconds.
const PRICE_PER_RANGE: u64 = 15;

/// What a pattern costs that is no text of the policy, or cannot be read: one of this price alone uses up the budget.
const UNKNOWN_PRICE: u64 = 1_000_000;

/// How many patterns' prices are remembered: more than sets have. Beyond it they are reckoned anew.
const MAX_REMEMBERED: usize = 4096;

static PRICES: LazyLock<Mutex<HashMap<String, u64>>> = LazyLock::new(Mutex::default);

/// Whether an expression asks a regular expression.
pub(super) fn has_pattern(ops: &[Op]) -> bool {
    ops.iter().any(|op| match op {
        Op::Binary(Binary::Regex) => true,
        Op::Closure(_, inner) => has_pattern(inner),
        _ => false,
    })
}

/// What is to be paid for the patterns in an expression whose variables hold this many elements. In a closure, a pattern is asked
/// for each element there may be: of the variables, and of what is written in the expression.
pub(super) fn price(ops: &[Op], symbols: &SymbolTable, held: u64) -> u64 {
    let times = held.saturating_add(written(ops)).max(1);
    price_times(ops, symbols, times)
}

fn price_times(ops: &[Op], symbols: &SymbolTable, times: u64) -> u64 {
    let mut sum = 0_u64;
    let mut before: Option<&Op> = None;
    for op in ops {
        let price = match op {
            Op::Binary(Binary::Regex) => match before {
                Some(Op::Value(Term::Str(pattern))) => {
                    symbols.get_symbol(*pattern).map_or(UNKNOWN_PRICE, price_of)
                }
                _ => UNKNOWN_PRICE,
            },
            Op::Closure(_, inner) => price_times(inner, symbols, times).saturating_mul(times),
            _ => 0,
        };
        sum = sum.saturating_add(price);
        before = Some(op);
    }
    sum
}

/// How many elements the collections have that are written in an expression.
fn written(ops: &[Op]) -> u64 {
    let each = ops.iter().map(|op| match op {
        Op::Value(term) => elements(term),
        Op::Closure(_, inner) => written(inner),
        _ => 0,
    });
    each.fold(0, u64::saturating_add)
}

/// How many elements a term holds, at all depths.
pub(super) fn elements(term: &Term) -> u64 {
    let each = |count: usize, inner: u64| (count as u64).saturating_add(inner);
    match term {
        Term::Set(set) => each(set.len(), set.iter().map(elements).fold(0, u64::saturating_add)),
        Term::Array(array) => {
            each(array.len(), array.iter().map(elements).fold(0, u64::saturating_add))
        }
        Term::Map(map) => each(map.len(), map.values().map(elements).fold(0, u64::saturating_add)),
        _ => 0,
    }
}

fn price_of(pattern: &str) -> u64 {
    let mut prices = PRICES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(price) = prices.get(pattern) {
        return *price;
    }
    let price = reckoned(pattern);
    if prices.len() < MAX_REMEMBERED {
        prices.insert(pattern.to_owned(), price);
    }
    price
}

fn reckoned(pattern: &str) -> u64 {
    match regex_syntax::parse(pattern) {
        Ok(hir) => LEAST_PRICE.saturating_add(ranges(&hir).saturating_mul(PRICE_PER_RANGE)),
        Err(_) => UNKNOWN_PRICE,
    }
}

/// How many ranges of letters the pattern has, each as often as it may be repeated.
fn ranges(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => class.ranges().len() as u64,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            ranges(&repetition.sub).saturating_mul(u64::from(times))
        }
        HirKind::Capture(capture) => ranges(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(ranges).fold(0, u64::saturating_add)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_costs_what_it_is_compiled_to() {
        let cheap = reckoned("^[a-z]+@example\\.com$");
        assert!((LEAST_PRICE..2 * LEAST_PRICE).contains(&cheap), "{cheap}");
        let word = reckoned("\\w");
        assert!(word > LEAST_PRICE + 500 * PRICE_PER_RANGE, "{word}");
        let repeated = reckoned("^\\w{1,30}$");
        assert!(repeated > 25 * (word - LEAST_PRICE), "{repeated}");
        assert_eq!(reckoned("("), UNKNOWN_PRICE);
        // docs/policies.md says how often each can be asked.
        let budget = crate::datalog::FACT_BUDGET;
        let times = ["^[a-z]+$", "\\w", "^\\w{1,30}$"].map(|pattern| budget / reckoned(pattern));
        assert!(times[0] >= 90 && times[1] >= 40 && times[2] == 2, "{times:?}");
        assert!(reckoned("(?i)secret|password|token") < 2 * LEAST_PRICE);
    }
}
