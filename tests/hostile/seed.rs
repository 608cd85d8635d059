//! The seed: what the cases are made from, and how a block is written for them.

use hardtack::*;

use crate::case::{Case, Server};
use hardtack_testkit::forge::Forge;
use hardtack_testkit::{AUDIENCE, Cast, NOW};

pub fn cases() -> Vec<Case> {
    let bearer = || seed().bearer();
    vec![
        Case::accepted("seed/as it is".to_owned(), bearer()),
        Case::accepted(
            "seed/call-bound".to_owned(),
            call_bound(&Call::tool("search").unwrap()).bearer(),
        )
        .to(Server::Fresh),
        Case::accepted("seed/written anew".to_owned(), with_hop("").bearer()),
        Case::refused("seed/revoked".to_owned(), bearer(), "revoked", Some(1)).to(Server::Revoking),
    ]
}

/// Grant, the researcher's hop, a session presentation: accepted as it is.
pub fn seed() -> Forge {
    let cast = Cast::new();
    let presented = Capability::parse(cast.presented().bearer()).unwrap().to_bytes();
    Forge::of(&presented, &cast.root, &[&cast.orchestrator, &cast.researcher])
}

/// The seed with its hop written anew, in Datalog: what must be there, and `more`.
pub fn with_hop(more: &str) -> Forge {
    seed().write(1, &hop(more))
}

/// What the hop of [`seed`] must hold, and `more`.
pub fn hop(more: &str) -> String {
    let researcher = hex::encode(Cast::new().researcher.public().to_bytes());
    format!(
        r#"hop(1); delegate("agent.researcher"); reason("find"); scope("tools:call:search");
           expires(2026-11-23T10:10:00Z); holder(hex:{researcher}); {more}"#
    )
}

/// The seed with its presentation made call-bound, by our own API but for the nonce, which is fixed.
pub fn call_bound(call: &Call) -> Forge {
    let digest = hex::encode(call.digest());
    seed().write(
        2,
        &format!(
            r#"hop(2); presentation("call"); audience("{AUDIENCE}"); expires({});
               digest(hex:{digest}); nonce(hex:{})"#,
            NOW + std::time::Duration::from_secs(60),
            "07".repeat(16)
        ),
    )
}
