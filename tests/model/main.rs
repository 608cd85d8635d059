//! Model: the engine against an independent model, and what must hold whatever is drawn: nothing widens,
//! what is revoked stays revoked, and nothing depends on who asks beside.
//!
//! Everything drawn has a number, and a failure says which; with the variable that it names, that one alone
//! is drawn again and shown. The variables `HARDTACK_CHAINS`, `HARDTACK_DELEGATIONS` and `HARDTACK_TREES` say how many.

#![allow(unreachable_pub, reason = "a test is no library")]

mod draw;
mod forged;
mod model;
mod narrowing;
mod revoking;
mod rng;
mod said;
mod threads;
mod verdicts;

/// The value of a variable, if it is set.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}
