//! Bound: blocks that say over which token they were signed, and presentations that say for which call.

use hardtack::Call;
use sha2::{Digest, Sha256};

use super::line::{LONGEST, Line, key};
use super::{accepted, refused};
use crate::case::{Case, Sent, Server};
use crate::craft::{append_first_party, parent};
use crate::seed::call_bound;
use hardtack_testkit::forge::{Forge, payload};

pub(super) fn cases() -> Vec<Case> {
    [parents(), calls()].concat()
}

/// A line in which `block` says this of its parent.
fn saying(line: &Line, block: usize, said: &[u8]) -> String {
    let parent = format!("parent(hex:{});", hex::encode(said));
    let forge = match block > LONGEST {
        true => line.presented(LONGEST).write(block, &(Line::presentation(block) + &parent)),
        false => line.presented(LONGEST).write(block, &(line.hop(block) + &parent)),
    };
    forge.bearer()
}

fn parents() -> Vec<Case> {
    let line = Line::new();
    let other = Line { subject: "user:mallory", ..Line::new() };
    let mut cases = Vec::new();
    for block in 1..=LONGEST + 1 {
        let before = line.presented(LONGEST).blocks;
        let before = &before[..block];
        let name = |what: &str| format!("block {block} says that its parent is {what}");
        cases.push(accepted(&name("what it is"), saying(&line, block, &parent(before))));
        let mut turned = parent(before);
        turned[15] ^= 1;
        let lengths: Vec<u8> = before.iter().flat_map(|part| part.bytes.clone()).collect();
        let last = Sha256::digest(&before[block - 1].bytes);
        let backwards: Vec<u8> = parent(before).into_iter().rev().collect();
        for (what, said) in [
            ("the same of another subject", parent(&other.presented(LONGEST).blocks[..block])),
            ("one bit beside", turned),
            ("nothing", [0; 16]),
            ("backwards", backwards.try_into().unwrap()),
            ("the content without lengths and signers", first(&Sha256::digest(lengths))),
            ("the last block alone", first(&last)),
            ("the signature before it", first(&signature(&line, block - 1))),
            ("a block less", parent(&before[..block - 1])),
            ("a block more", parent(&line.presented(LONGEST).blocks[..block + 1])),
        ] {
            if block == 1 && what == "the last block alone" {
                continue; // There it is the only one.
            }
            let bearer = saying(&line, block, &said);
            cases.push(refused(&name(what), bearer, "other_parent", block));
        }
    }
    // A caveat that somebody slipped in before the block that did not know it.
    let known = line.delegated(1);
    let said = format!("parent(hex:{});", hex::encode(parent(&known.blocks)));
    let with_caveat = append_first_party(known, "check if true");
    let slipped = with_caveat.append(&(Line::presentation(3) + &said), Some(&key(1)));
    cases.push(refused(
        "a caveat slipped in before who did not know it",
        slipped.bearer(),
        "other_parent",
        3,
    ));
    let seen = append_first_party(line.delegated(1), "check if true");
    let said = format!("parent(hex:{});", hex::encode(parent(&seen.blocks)));
    let seen = seen.append(&(Line::presentation(3) + &said), Some(&key(1)));
    cases.push(accepted("a caveat before who knew it", seen.bearer()));
    // An unbound hop and a signed one of the same words are two different parents.
    let unsigned = line.delegated(1).change(|forge| forge.blocks[1].signer = None);
    let bearer = saying(&line, 2, &parent(&unsigned.blocks));
    cases.push(refused("a signed parent taken for an unsigned one", bearer, "other_parent", 2));
    cases
}

fn first(bytes: &[u8]) -> [u8; 16] {
    bytes[..16].try_into().unwrap()
}

/// The signature of a block of the line.
fn signature(line: &Line, block: usize) -> Vec<u8> {
    let token = line.presented(LONGEST).sign();
    match block {
        0 => token.authority.signature,
        _ => token.blocks[block - 1].signature.clone(),
    }
}

/// A presentation bound to one call is for that and no other.
fn calls() -> Vec<Case> {
    let bound = Call::tool("search")
        .unwrap()
        .resource("https://notion.so/page")
        .and_then(|call| call.arguments(r#"{"query": "roadmap", "limit": 10}"#))
        .unwrap();
    let sent = Sent::search().resource("https://notion.so/page");
    let right = sent.clone().arguments(r#"{"query": "roadmap", "limit": 10}"#);
    let bearer = call_bound(&bound).bearer();
    let mut cases = vec![
        accepted("the call that a presentation is bound to", bearer.clone())
            .calls(right.clone())
            .to(Server::Fresh),
        accepted("the same call, its members in another order", bearer.clone())
            .calls(sent.clone().arguments(r#"{ "limit": 1.0e1, "query": "road\u006dap" }"#))
            .to(Server::Fresh),
    ];
    for (what, call) in [
        ("without arguments", sent.clone()),
        ("with an argument less", sent.clone().arguments(r#"{"query": "roadmap"}"#)),
        (
            "with an argument more",
            sent.clone().arguments(r#"{"query": "roadmap", "limit": 10, "all": true}"#),
        ),
        (
            "with null for an argument more",
            sent.clone().arguments(r#"{"query": "roadmap", "limit": 10, "all": null}"#),
        ),
        ("with another value", sent.clone().arguments(r#"{"query": "roadmaps", "limit": 10}"#)),
        (
            "with a value of another type",
            sent.clone().arguments(r#"{"query": "roadmap", "limit": "10"}"#),
        ),
        (
            "with a value in other letters",
            sent.clone().arguments(r#"{"query": "Roadmap", "limit": 10}"#),
        ),
        (
            "with a name in other letters",
            sent.clone().arguments(r#"{"Query": "roadmap", "limit": 10}"#),
        ),
        (
            "with a space in a value",
            sent.clone().arguments(r#"{"query": "roadmap ", "limit": 10}"#),
        ),
        (
            "with the arguments in another",
            sent.clone().arguments(r#"{"arguments": {"query": "roadmap", "limit": 10}}"#),
        ),
        ("without its resource", Sent::search().arguments(r#"{"query": "roadmap", "limit": 10}"#)),
        (
            "with another resource",
            Sent::search()
                .resource("https://notion.so/pages")
                .arguments(r#"{"query": "roadmap", "limit": 10}"#),
        ),
    ] {
        let case = refused(
            &format!("the call that a presentation is bound to, {what}"),
            bearer.clone(),
            "other_call",
            None,
        );
        cases.push(case.calls(call));
    }
    // A scope is looked at first.
    let other = Sent { operation: "tools:call:fetch".to_owned(), ..right.clone() };
    cases.push(
        refused("another operation than the one bound to", bearer, "not_granted", Some(1))
            .calls(other),
    );
    let wide = Line { scope: "tools:call:*", ..Line::new() };
    let presented = |digest: &[u8]| -> Forge {
        let text = format!(
            r#"hop(2); presentation("call"); audience("notion.mcp"); expires(2026-11-23T10:01:00Z);
               digest(hex:{}); nonce(hex:{});"#,
            hex::encode(digest),
            "07".repeat(16)
        );
        wide.presented(1).change(|forge| forge.blocks[2].bytes = payload(&text))
    };
    let search = Call::tool("search").unwrap();
    for (what, digest) in [
        ("nothing", vec![0; 32]),
        ("the empty text", Sha256::digest("").to_vec()),
        ("the name of the operation", Sha256::digest("tools:call:search").to_vec()),
        (
            "the call with a line end",
            Sha256::digest("{\"operation\":\"tools:call:search\"}\n").to_vec(),
        ),
        (
            "the call with empty arguments written out",
            Sha256::digest(r#"{"arguments":{},"operation":"tools:call:search"}"#).to_vec(),
        ),
        ("the call of another tool", Call::tool("fetch").unwrap().digest().to_vec()),
        ("the call, backwards", search.digest().into_iter().rev().collect()),
        ("the call, one bit beside", [&[search.digest()[0] ^ 1], &search.digest()[1..]].concat()),
    ] {
        let bearer = presented(&digest).bearer();
        cases.push(refused(&format!("a digest of {what}"), bearer, "other_call", None));
    }
    let plain = Sha256::digest(r#"{"operation":"tools:call:search"}"#);
    cases.push(accepted("a digest made by hand", presented(&plain).bearer()).to(Server::Fresh));
    cases
}
