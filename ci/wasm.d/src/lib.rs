//! The whole life of a capability, to be compiled for WebAssembly; `ci/wasm` says why. It is not run.

use std::error::Error;

use hardtack::revocation::Revocations;
use hardtack::*;

/// Mints, delegates, presents and decides, at a moment that is given.
pub fn life(now: Timestamp) -> Result<(), Box<dyn Error>> {
    let (alice, agent) = (PrivateKey::generate(), PrivateKey::generate());
    let issuer = Issuer::new(PrivateKey::generate());
    let grant = Grant::to("user:alice").scope("tools:call:*").holder(alice.public());
    let part = Delegation::to("agent.researcher").scope("tools:call:search");
    let part = part.reason("find the roadmap page").holder(agent.public());
    let delegated = issuer.mint(grant, now)?.delegate(part, &alice, now)?;
    let presented = delegated.present(Presenting::to("notion.mcp"), &agent, now)?;
    let revoked = Revocations::copied(&revocation::RevocationList::default());
    let verifier = Verifier::new(RootKeys::of(issuer.public()), "notion.mcp", revoked)?;
    let guard = Guard::unrecorded(verifier, Policy::builtin());
    guard.check(presented.bearer(), &Call::tool("search")?, now)?;
    Ok(())
}
