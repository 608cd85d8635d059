//! Splicing: what is put together of tokens that somebody holds, some of them unsealed, and of some of the keys.
//!
//! Each block here is of the profile's shape, and most bear good signatures: what is wrong is where they stand, over
//! what they were signed, or by whom.

mod bound;
mod cut;
mod line;
mod revoked;
mod signers;
mod spliced;
mod unbound;

use biscuit_auth::format::schema;
use prost::Message;

use crate::case::Case;
use hardtack_testkit::forge::base64;

pub(crate) fn cases() -> Vec<Case> {
    [
        cut::cases(),
        spliced::cases(),
        signers::cases(),
        unbound::cases(),
        revoked::cases(),
        bound::cases(),
    ]
    .concat()
}

fn refused(
    what: &str,
    bearer: String,
    cause: &'static str,
    block: impl Into<Option<usize>>,
) -> Case {
    Case::refused(format!("splicing/{what}"), bearer, cause, block.into())
}

fn accepted(what: &str, bearer: String) -> Case {
    Case::accepted(format!("splicing/{what}"), bearer)
}

fn text(token: &schema::Biscuit) -> String {
    base64(&token.encode_to_vec())
}
