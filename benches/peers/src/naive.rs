//! Biscuit alone: the same token, read, verified and evaluated anew each time. It checks no shape, revocation, replay or narrowing of scopes.

use std::time::Duration;

use biscuit_auth::builder::AuthorizerBuilder;
use biscuit_auth::datalog::RunLimits;
use biscuit_auth::{Biscuit, PublicKey};

/// What a server would write by hand: the facts that the token's checks ask for, and one policy.
const CODE: &str = r#"
    time(2026-11-23T10:00:00Z);
    operation("tools:call:search");
    verifier("notion.mcp");
    depth(3);
    allow if operation($op);
"#;

pub(crate) fn check(bearer: &str, root: PublicKey) -> bool {
    let token = Biscuit::from_base64(bearer, root).expect("a token");
    // A second, where a millisecond is Biscuit's bound: a machine that is shared would now and then refuse.
    let limits = RunLimits { max_time: Duration::from_secs(1), ..RunLimits::default() };
    let builder = AuthorizerBuilder::new().set_limits(limits).code(CODE).expect("code");
    builder.build(&token).expect("an authorizer").authorize().is_ok()
}
