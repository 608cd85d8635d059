//! Profile: is this token of the one shape that Hardtack accepts, and is it cheap to evaluate?
//!
//! Asked before any signature is looked at, of bytes that anybody may have made. Everything here is
//! syntax: sizes, counts, types, encodings and an upper bound of the evaluation work. The normative
//! text is `docs/profile.md`.

pub(crate) mod cost;
mod error;
pub(crate) mod life;
pub(crate) mod shape;
mod terms;
pub(crate) mod issuing;
pub(crate) mod vocabulary;

use std::time::Duration;

pub use error::{FactProblem, ShapeError};
pub use life::LifeError;

/// The version of the profile that this library makes and accepts: `hardtack(1)` in the grant.
pub(crate) const PROFILE_VERSION: i64 = 1;

/// The most bytes in a token. A bearer travels in one HTTP header, of which common proxies take 8 KiB. Twice that
/// leaves room for those that take more.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The most blocks in a token: a grant, [`MAX_DEPTH`] hops, a presentation and a caveat.
pub(crate) const MAX_BLOCKS: usize = 16;

/// The most hops that a grant can allow. Chains in practice have two to five.
pub(crate) const MAX_DEPTH: i64 = 13;

/// The most checks in a token: three or four that every block carries, and as many again.
pub(crate) const MAX_CHECKS: usize = 64;

/// The most alternatives (`or`) in a check.
pub(crate) const MAX_QUERIES_PER_CHECK: usize = 4;

/// The most predicates in a query. Joins cost the product of their facts, and two thousand of them
/// overflow the stack of Biscuit's engine.
pub(crate) const MAX_PREDICATES_PER_QUERY: usize = 2;

/// The most operations in all expressions of a query together.
pub(crate) const MAX_OPERATIONS_PER_QUERY: usize = 32;

/// The most additions in a query: `+` joins strings, which can double them each time.
pub(crate) const MAX_ADDITIONS_PER_QUERY: usize = 4;

/// The most levels to which lazy `&&` and `||` may nest. Parameterised closures (`.all`, `.any`) do not nest at all:
/// each level multiplies the work by the size of a collection.
pub(crate) const MAX_LAZY_DEPTH: usize = 4;

/// The most terms in a set, array or map in a token, and in a predicate.
pub(crate) const MAX_COLLECTION: usize = 64;

/// The most levels to which sets, arrays and maps may nest in a token.
pub(crate) const MAX_TERM_DEPTH: usize = 8;

/// The most bytes in a string or byte array of a token.
pub(crate) const MAX_STRING_BYTES: usize = 1024;

/// The most public keys that a block may bring: its holder's.
pub(crate) const MAX_KEYS_PER_BLOCK: usize = 1;

/// The most symbols in a token. Biscuit's symbol table is searched one by one.
pub(crate) const MAX_SYMBOLS: usize = 256;

/// The most bytes that a token's words come to where each is written out as often as it is used, a name or text in a fact
/// or check: four times what a token has. A word of 1,024 bytes is used again with five, and was 2.6 MiB in 2,400 places.
pub(crate) const MAX_WRITTEN_BYTES: usize = 4 * MAX_TOKEN_BYTES;

/// The most facts in a token: scopes and audiences are most of them.
pub(crate) const MAX_FACTS: usize = 256;

/// The upper bound of the work that a decision may take, in units of roughly 40 ns: about 2 ms. A thousand of it go to each
/// block and twenty to each value of the request, so that the longest chain with the largest call leaves little for its
/// checks. The checks of the seed chain (human, orchestrator, researcher, call) need some hundredths of it.
pub(crate) const MAX_COST: u64 = 50_000;

/// The longest time by which a grant's `issued` may lie in the future, since the clocks of two machines differ.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The longest lives of blocks, counted from now. The default is what a verifier accepts
/// ([`Verifier::lifetimes`](crate::Verifier::lifetimes)) and a signer gives unless told otherwise.
///
/// ```
/// use hardtack::Lifetimes;
/// use std::time::Duration;
///
/// let shift = Lifetimes { hop: Duration::from_secs(8 * 3600), ..Lifetimes::default() };
/// assert_eq!(shift.grant, Duration::from_secs(24 * 3600));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// The longest life of a grant. By default 24 hours, a working day with its night.
    pub grant: Duration,
    /// The longest life of a hop. By default one hour, the longest task that an agent should do on one delegation.
    pub hop: Duration,
    /// The longest life of a session presentation. By default ten minutes: so long a stolen bearer can be used at most.
    pub session: Duration,
    /// The longest life of a presentation that is bound to one call. By default two minutes, enough for the way of one
    /// call.
    pub call: Duration,
}

impl Default for Lifetimes {
    fn default() -> Lifetimes {
        Lifetimes {
            grant: Duration::from_secs(24 * 3600),
            hop: Duration::from_secs(3600),
            session: Duration::from_secs(600),
            call: Duration::from_secs(120),
        }
    }
}

/// What is given where no life is asked for; never longer than the parent lives.
pub(crate) const DEFAULT_LIVES: Lifetimes = Lifetimes {
    grant: Duration::from_secs(3600),
    hop: Duration::from_secs(900),
    session: Duration::from_secs(300),
    call: Duration::from_secs(60),
};

/// The depth that a grant allows where none is asked for.
pub(crate) const DEFAULT_DEPTH: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audit, call, guard, names, scope};

    /// The page is normative, and the constants are private.
    #[test]
    fn the_caps_are_those_of_the_page() {
        let page = include_str!("../../docs/profile.md");
        let (_, page) = page.split_once("\n## Caps\n").unwrap();
        let (page, _) = page.split_once("\n## ").unwrap();
        let rows = page.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once(" | "));
        let said: Vec<Vec<u64>> = rows
            .map(|(_, most)| most.replace(',', ""))
            .filter(|most| most.starts_with(|first: char| first.is_ascii_digit()))
            .map(|most| {
                let numbers = most.split(|c: char| !c.is_ascii_digit());
                numbers.filter_map(|number| number.parse().ok()).collect()
            })
            .collect();
        let of_a_token = [
            MAX_TOKEN_BYTES,
            MAX_BLOCKS,
            MAX_DEPTH as usize,
            MAX_CHECKS,
            MAX_FACTS,
            MAX_SYMBOLS,
            MAX_WRITTEN_BYTES,
            MAX_STRING_BYTES,
            MAX_COLLECTION,
            MAX_TERM_DEPTH,
            MAX_KEYS_PER_BLOCK,
            MAX_QUERIES_PER_CHECK,
            MAX_PREDICATES_PER_QUERY,
            MAX_OPERATIONS_PER_QUERY,
            MAX_ADDITIONS_PER_QUERY,
            MAX_LAZY_DEPTH,
            MAX_COST as usize,
        ];
        let mut expected: Vec<Vec<usize>> = of_a_token.into_iter().map(|most| vec![most]).collect();
        expected.extend([
            vec![call::MAX_RESOURCE_BYTES],
            vec![names::MAX_NAME_BYTES],
            vec![names::MAX_AUDIENCE_BYTES],
            vec![names::MAX_REASON_BYTES],
            vec![scope::MAX_SCOPE_SEGMENTS, scope::MAX_SEGMENT_BYTES],
            vec![guard::MAX_FACT_NAMES],
            vec![guard::MAX_FACTS, guard::MAX_FACT_TERMS, guard::MAX_FACT_BYTES],
            vec![audit::MAX_KEPT_ARGUMENT_BYTES],
        ]);
        let expected: Vec<Vec<u64>> = expected
            .into_iter()
            .map(|row| row.into_iter().map(|most| most as u64).collect())
            .collect();
        assert_eq!(said, expected);
    }
}
