//! Hardtack's issuer: an OAuth authorization server that issues capabilities. It is no identity provider: people sign in elsewhere, and
//! what a provider vouches for becomes a grant by a set of policies ([`hardtack::issuance`]).
//!
//! | module | asks |
//! |---|---|
//! | [`assertion`] | is this token of an identity provider valid here, and what does it say? |
//! | [`dpop`] | does whoever asks have the private half of this key? |
//! | [`jwk`] | which keys does a provider publish? |
//! | [`keeping`] | when are a provider's keys fetched anew? |
//! | [`jws`] | who signed this text? |
//!
//! None of these reads a clock or a network: the moment is an argument, and fetching is asked for.

pub mod assertion;
pub mod dpop;
pub mod json;
pub mod jwk;
pub mod jws;
pub mod keeping;
