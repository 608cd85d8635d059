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
pub(crate) mod vocabulary;

use std::time::Duration;

pub use error::{FactProblem, ShapeError};
pub use life::LifeError;

/// The version of the profile that this library makes and accepts: `hardtack(1)` in the grant.
pub const PROFILE_VERSION: i64 = 1;

/// The most bytes in a token. A bearer travels in one HTTP header, of which common proxies take 8 KiB. Twice that
/// leaves room for those that take more.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The most blocks in a token: a grant, [`MAX_DEPTH`] hops, a presentation and a caveat.
pub const MAX_BLOCKS: usize = 16;

/// The most hops that a grant can allow. Chains in practice have two to five.
pub const MAX_DEPTH: i64 = 13;

/// The most checks in a token: three or four that every block carries, and as many again.
pub const MAX_CHECKS: usize = 64;

/// The most alternatives (`or`) in a check.
pub const MAX_QUERIES_PER_CHECK: usize = 4;

/// The most predicates in a query. Joins cost the product of their facts, and two thousand of them
/// overflow the stack of Biscuit's engine.
pub const MAX_PREDICATES_PER_QUERY: usize = 2;

/// The most operations in all expressions of a query together.
pub const MAX_OPERATIONS_PER_QUERY: usize = 32;

/// The most additions in a query: `+` joins strings, which can double them each time.
pub const MAX_ADDITIONS_PER_QUERY: usize = 4;

/// The most levels to which lazy `&&` and `||` may nest. Parameterised closures (`.all`, `.any`) do not nest at all:
/// each level multiplies the work by the size of a collection.
pub const MAX_LAZY_DEPTH: usize = 4;

/// The most terms in a set, array or map in a token, and in a predicate.
pub const MAX_COLLECTION: usize = 64;

/// The most levels to which sets, arrays and maps may nest in a token.
pub const MAX_TERM_DEPTH: usize = 8;

/// The most bytes in a string or byte array of a token.
pub const MAX_STRING_BYTES: usize = 1024;

/// The most public keys that a block may bring: its holder's.
pub const MAX_KEYS_PER_BLOCK: usize = 1;

/// The most symbols in a token. Biscuit's symbol table is searched one by one.
pub const MAX_SYMBOLS: usize = 256;

/// The most bytes that a token's words come to where each is written out as often as it is used, a name or text in a fact
/// or check: four times what a token has. A word of 1,024 bytes is used again with five, and was 2.6 MiB in 2,400 places.
pub const MAX_WRITTEN_BYTES: usize = 4 * MAX_TOKEN_BYTES;

/// The most facts in a token: scopes and audiences are most of them.
pub const MAX_FACTS: usize = 256;

/// The upper bound of the work that a decision may take, in units of roughly 40 ns: about 2 ms. A thousand of it go to each
/// block and twenty to each value of the request, so that the longest chain with the largest call leaves little for its
/// checks. The checks of the seed chain (human, orchestrator, researcher, call) need some hundredths of it.
pub const MAX_COST: u64 = 50_000;

/// The longest time by which a grant's `issued` may lie in the future, since the clocks of two machines differ.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);

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
