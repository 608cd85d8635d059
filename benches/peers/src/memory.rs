//! How often is memory asked for, and how much is kept? The same in every run, to within the luck of hash tables.

use allocation_counter::measure as counted;
use hardtack::{Issuer, PrivateKey};

use crate::ours::{self, Line};
use crate::scene::{allowed, search};

/// The middle of so many tokens.
const TOKENS: usize = 64;

pub(crate) struct Memory {
    /// Allocations a decision.
    pub(crate) warm: u64,
    pub(crate) cold: u64,
    /// Bytes kept of a token whose chain was new, and of one whose chain was known.
    pub(crate) chain: i64,
    pub(crate) presentation: i64,
}

pub(crate) fn measure() -> Memory {
    let issuer = Issuer::new(PrivateKey::generate());
    let call = search();
    let lines: Vec<Line> = (0..2 * TOKENS).map(|_| Line::of(&issuer, 3)).collect();
    let bearers: Vec<String> = lines.iter().map(Line::bearer).collect();
    let again: Vec<String> = (0..TOKENS).map(|_| lines[0].bearer()).collect();
    let guard = ours::guard(&issuer);
    let check = |bearers: &[String]| {
        counted(|| bearers.iter().for_each(|bearer| allowed(&guard, bearer, &call)))
    };
    // The first ones fill what the guard makes once.
    check(&bearers[..TOKENS]);
    let cold = check(&bearers[TOKENS..]);
    let warm = check(&bearers[TOKENS..]);
    let presentations = check(&again);
    Memory {
        warm: warm.count_total / TOKENS as u64,
        cold: cold.count_total / TOKENS as u64,
        chain: cold.bytes_current / TOKENS as i64,
        presentation: presentations.bytes_current / TOKENS as i64,
    }
}
