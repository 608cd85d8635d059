//! Token: bytes that claim to be a token. Only those that the holders of the keys signed are let in.

use std::sync::OnceLock;

use hardtack::{Call, Capability, Delegation, Presenting};
use prost::Message;

use super::{Target, judge};
use hardtack_testkit::forge::{Forge, Proof, payload};
use hardtack_testkit::{AUDIENCE, Cast, NOW, minutes};

pub const TARGET: Target = Target {
    name: "token",
    run,
    seeds,
    // Half as much again as a token may have, so that the bound is tried from both sides.
    max_len: 24 * 1024,
};

fn run(data: &[u8]) -> bool {
    if let Ok(capability) = Capability::from_bytes(data) {
        assert_eq!(capability.to_bytes(), data, "a second encoding was taken");
        let again = Capability::parse(&capability.to_base64()).unwrap();
        let ids = |capability: &Capability| capability.chain().signatures().collect::<Vec<_>>();
        assert_eq!(ids(&again), ids(&capability));
        assert!(!format!("{capability:?}").contains(&capability.to_base64()));
    }
    // As text, too: what comes in a header is not always base64.
    if let Ok(text) = std::str::from_utf8(data)
        && let Err(error) = Capability::parse(text)
    {
        judge::is_said_safely(&error.to_string());
    }
    let accepted = judge::accepts(data);
    if accepted {
        assert!(signed().iter().any(|seed| seed == data), "a token was let in that nobody signed");
        assert!(judge::is_refused_at(data, NOW + minutes(60)), "it never expires");
    }
    accepted
}

/// All that the holders of the keys ever signed here.
fn signed() -> &'static [Vec<u8>] {
    static SIGNED: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SIGNED.get_or_init(seeds)
}

fn seeds() -> Vec<Vec<u8>> {
    let cast = Cast::new();
    let bytes = |bearer: &str| Capability::parse(bearer).unwrap().to_bytes();
    // What the library makes has random keys inside; the forge's keys are the same in every run.
    let steady = |bearer: &str| {
        let signers = [&cast.orchestrator, &cast.researcher, &cast.thief];
        Forge::of(&bytes(bearer), &cast.root, &signers)
    };
    let search = Call::tool("search").unwrap();
    let call = Presenting::to(AUDIENCE).call(search);
    let by_call = cast.researchers().present(call, &cast.researcher, NOW).unwrap();
    let by_grant = cast.grant().present(Presenting::to(AUDIENCE), &cast.orchestrator, NOW).unwrap();
    let deep = Delegation::to("agent.reader").scope("tools:call:search").reason("read it");
    let deep = deep.audience(AUDIENCE).allow("query = roadmap").holder(cast.thief.public());
    let deep = cast.researchers().delegate(deep, &cast.researcher, NOW).unwrap();
    let deep = deep.present(Presenting::to(AUDIENCE), &cast.thief, NOW).unwrap();
    let mut by_call = steady(by_call.bearer());
    fix_nonce(&mut by_call);
    let forges = [
        steady(cast.presented().bearer()),
        by_call,
        steady(by_grant.bearer()),
        steady(deep.bearer()),
        steady(cast.presented().bearer()).change(|forge| forge.proof = Proof::Secret),
        steady(cast.presented().bearer()).change(|forge| {
            // A capability: nobody presents it.
            forge.blocks.truncate(2);
            forge.proof = Proof::Secret;
        }),
        steady(cast.presented().bearer()).write(1, "check if true"),
        steady(cast.presented().bearer()).change(|forge| {
            forge.blocks[1].bytes = payload(r#"hop(1); scope("*")"#);
        }),
    ];
    forges.iter().map(|forge| forge.sign().encode_to_vec()).collect()
}

fn fix_nonce(forge: &mut Forge) {
    use biscuit_auth::format::schema::{Block, term::Content};
    let part = forge.blocks.last_mut().unwrap();
    let mut content = Block::decode(part.bytes.as_slice()).unwrap();
    for fact in &mut content.facts {
        if let Some(Content::Bytes(bytes)) = &mut fact.predicate.terms[0].content
            && bytes.len() == 16
        {
            bytes.fill(7);
        }
    }
    part.bytes = content.encode_to_vec();
}
