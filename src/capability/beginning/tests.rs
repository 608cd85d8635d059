//! To read on from a beginning must come to what reading all of it comes to.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::call::Call;
use crate::delegate::Delegation;
use crate::keys::PrivateKey;
use crate::mint::{Grant, Issuer};
use crate::present::Presenting;
use crate::timestamp::Timestamp;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

/// Tokens of one grant, of every kind of block: bound and unbound hops, caveats, presentations, sealed and not.
fn tokens() -> Vec<Capability> {
    let issuer = Issuer::new(PrivateKey::generate());
    let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
    let grant = issuer.mint(grant.audience("notion.mcp"), NOW).unwrap();
    let hop = |to: &str| Delegation::to(to).scope("tools:call:*").reason("try it");
    let (one, agent) = hop("agent.a").new_holder();
    let one = grant.delegate(one, &alice, NOW).unwrap();
    let (two, sub) = hop("agent.b").check("check if arg(\"n\", $n), $n < 5").new_holder();
    let two = one.delegate(two, &agent, NOW).unwrap();
    // A key that comes back.
    let back = one.delegate(hop("agent.c").holder(alice.public()), &agent, NOW).unwrap();
    let call = Call::tool("search").unwrap().arguments(r#"{"n": 1}"#).unwrap();
    let presented = |of: &Capability, key: &PrivateKey, presenting: Presenting| {
        Capability::parse(of.present(presenting, key, NOW).unwrap().bearer()).unwrap()
    };
    let unbound = issuer.mint(Grant::to("user:bob").scope("*").unbound(), NOW).unwrap();
    let unbound_hop = unbound.delegate_unbound(hop("agent.d").unbound(), NOW).unwrap();
    vec![
        presented(&one, &agent, Presenting::to("notion.mcp")),
        presented(&two, &sub, Presenting::to("notion.mcp")),
        presented(&two, &sub, Presenting::to("notion.mcp").call(call)),
        presented(&back, &alice, Presenting::to("notion.mcp")),
        two.sealed().unwrap(),
        grant,
        one,
        two,
        back,
        unbound,
        unbound_hop,
    ]
}

fn read(result: Result<Capability, ShapeError>) -> Result<(String, Vec<u8>, [u8; 16]), ShapeError> {
    result.map(|token| {
        let chain = serde_json::to_string(token.chain()).unwrap();
        (chain, token.to_bytes(), token.parent_digest())
    })
}

/// How many bytes the first blocks have.
fn length(token: &Capability, blocks: usize) -> usize {
    let mut biscuit = token.shaped().biscuit.clone();
    biscuit.blocks.truncate(blocks - 1);
    biscuit.proof.content = None;
    // An empty proof is a tag and a length.
    prost::Message::encoded_len(&biscuit) - 2
}

#[test]
fn each_token_that_begins_alike_is_what_reading_all_of_it_says() {
    let tokens = tokens();
    let (mut followed, mut shared) = (0, 0);
    for (at, token) in tokens.iter().enumerate() {
        let bytes = token.to_bytes();
        for beginning in token.beginnings(0) {
            let end = length(token, beginning.blocks());
            for (other_at, other) in tokens.iter().enumerate() {
                let other = other.to_bytes();
                if other.get(..end) != bytes.get(..end) {
                    continue;
                }
                let following = read(Capability::following(&beginning, &other));
                assert_eq!(following, read(Capability::from_bytes(&other)));
                followed += 1;
                shared += usize::from(other_at != at);
            }
        }
    }
    assert!(followed >= 20 && shared >= 10, "{followed} {shared}");
}

/// Whatever follows known blocks is refused for the cause that reading all of it gives.
#[test]
fn what_follows_is_refused_for_the_same_cause() {
    let tokens = tokens();
    let mut runner = TestRunner::new(Config { cases: 1500, ..Config::default() });
    let refused = std::cell::Cell::new(0);
    let case =
        (0..tokens.len(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..6_u8);
    let checked = runner.run(&(case, any::<u8>()), |((token, beginning, place, change), byte)| {
        let token = &tokens[token];
        let beginnings: Vec<Beginning> = token.beginnings(0).collect();
        prop_assume!(!beginnings.is_empty());
        let beginning = &beginnings[beginning.index(beginnings.len())];
        let end = length(token, beginning.blocks());
        let mut bytes = token.to_bytes();
        let at = end + place.index(bytes.len() - end);
        match change {
            0 => bytes[at] = byte,
            1 => bytes[at] ^= 1 << (byte % 8),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, byte),
            4 => drop(bytes.remove(at)),
            _ => bytes.extend_from_within(end..at),
        }
        let all = read(Capability::from_bytes(&bytes));
        refused.set(refused.get() + usize::from(all.is_err()));
        prop_assert_eq!(read(Capability::following(beginning, &bytes)), all);
        Ok(())
    });
    checked.unwrap();
    assert!(refused.get() > 500, "{}", refused.get());
}
