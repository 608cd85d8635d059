//! Wrong assertions and proofs: each is an accepted one with one thing changed, and each is refused for its own cause.

mod assertions;
mod proofs;
mod signing;
