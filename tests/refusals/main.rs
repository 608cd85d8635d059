//! One test per cause of refusal. Tokens that our own API cannot make are made with the plain Biscuit
//! library or signed anew by the forge, as somebody would who holds a token and some of the keys.

mod calls;
mod content;
mod cost;
mod encoding;
mod places;
mod revoked;
mod revoking;
mod signatures;
mod signing;
mod walk;

use std::time::Duration;

use biscuit_auth::KeyPair;
use biscuit_auth::format::schema::{self, term::Content};
use hardtack::audit::{Done, Ledger, LedgerEntry, LedgerUnavailable, Recorded};
use hardtack::revocation::{
    Knowledge, RevocationSource, RevocationUnchecked, RevocationsUnavailable, Revoked,
};
use hardtack::*;
use hardtack_testkit::forge::{self, Forge, Proof};
use hardtack_testkit::*;
use prost::Message;

/// The presented chain of the seed, in the forge: grant, hop, presentation.
fn seed() -> Forge {
    let cast = Cast::new();
    let presented = Capability::parse(cast.presented().bearer()).unwrap().to_bytes();
    Forge::of(&presented, &cast.root, &[&cast.orchestrator, &cast.researcher])
}

/// The cause and block for which the verifier refuses.
fn cause(bearer: &str) -> (&'static str, Option<usize>) {
    cause_by(&Cast::new().verifier(), bearer)
}

fn cause_by(verifier: &Verifier, bearer: &str) -> (&'static str, Option<usize>) {
    let error = verifier.verify(bearer, NOW).expect_err("accepted");
    (error.cause().as_str(), error.block())
}

fn authorized(bearer: &str, policy: &str, call: &Call) -> Result<(), &'static str> {
    let verified = Cast::new().verifier().verify(bearer, NOW).unwrap();
    let policy = Policy::parse("test.datalog", policy).unwrap();
    authorize(&verified, &policy, call).map(|_| ()).map_err(|error| error.cause().as_str())
}

fn hop(more: &str) -> String {
    let researcher = hex::encode(Cast::new().researcher.public().to_bytes());
    format!(
        r#"hop(1); delegate("agent.researcher"); reason("find"); expires(2026-11-23T10:10:00Z); holder(hex:{researcher}); {more}"#
    )
}

const SCOPE: &str = r#"scope("tools:call:search");"#;

fn with_hop(more: &str) -> Forge {
    seed().write(1, &hop(&format!("{SCOPE} {more}")))
}

#[test]
fn what_the_forge_does_not_change_is_accepted() {
    Cast::new().verifier().verify(&seed().bearer(), NOW).unwrap();
    Cast::new().verifier().verify(&with_hop("").bearer(), NOW).unwrap();
    Cast::new()
        .verifier()
        .verify(&with_hop("").change(|f| f.proof = Proof::Secret).bearer(), NOW)
        .unwrap();
}
