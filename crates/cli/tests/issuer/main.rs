//! An issuer as a process: a service exchanges a token of its user, and a gateway takes what comes of it.

#![allow(clippy::disallowed_methods, reason = "tokens are made now")]

mod attacks;
mod bounds;
mod exchange;
mod files;
mod giving_back;
mod scene;
