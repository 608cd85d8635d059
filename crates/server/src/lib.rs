//! Hardtack's issuer: an OAuth authorization server that issues capabilities. It is no identity provider: people sign in elsewhere, and
//! what a provider vouches for becomes a grant by a set of policies ([`hardtack::issuance`]).
//!
//! | module | asks |
//! |---|---|
//! | [`http`] | which routes are there? |
//! | [`issuing`] | what becomes of one request to the token endpoint? |
//! | [`settings`] | what does the issuer's file say? |
//! | [`form`] | which parameters does a request have? |
//! | [`assertion`] | is this token of an identity provider valid here, and what does it say? |
//! | [`dpop`] | does whoever asks have the private half of this key? |
//! | [`jws`] | who signed this text? |
//! | [`jwk`] | which keys does a provider publish? |
//! | [`keeping`] | when are a provider's keys fetched anew? |
//! | [`minting`] | who signs grants? |
//! | [`oauth`] | how are refusals said to clients? |
//! | [`rates`] | does somebody ask more often than they may? |
//!
//! None of these reads a clock: the moment is an argument. Only the fetching of providers' keys has a network, which the operator chose.

pub mod assertion;
pub mod dpop;
pub mod form;
pub mod http;
pub mod issuing;
pub mod json;
pub mod jwk;
pub mod jws;
pub mod keeping;
pub mod minting;
pub mod oauth;
mod providers;
pub mod rates;
mod revoking;
pub mod settings;
