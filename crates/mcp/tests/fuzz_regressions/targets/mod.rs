//! Targets: what is done with hostile bytes, and what must hold of it, whoever makes the bytes.
//!
//! One function a target, used by the fuzzers (`fuzz/`) and by the ordinary tests alike, so that neither can
//! be right without the other.

#![allow(unreachable_pub, reason = "one crate's modules are another's, as in tests/common")]

pub mod bearer;
pub mod block;
mod invariants;
mod judge;
pub mod message;
pub mod payload;
pub mod policy;
pub mod scope;
pub mod store;
pub mod token;

/// One door, and what is put through it.
pub struct Target {
    pub name: &'static str,
    /// Puts bytes through the door and panics if something does not hold. Says whether they were let in.
    pub run: fn(&[u8]) -> bool,
    /// What to begin with: at least one that is let in and one that is not.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// The most bytes of an input.
    pub max_len: usize,
}

pub const TARGETS: [Target; 8] = [
    token::TARGET,
    payload::TARGET,
    block::TARGET,
    scope::TARGET,
    bearer::TARGET,
    policy::TARGET,
    message::TARGET,
    store::TARGET,
];
