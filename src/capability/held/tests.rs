mod known;

use std::thread;
use std::time::Duration;

use biscuit_auth::builder::{Check, Convert, Fact, Term, fact, string};
use biscuit_auth::format::schema;
use biscuit_auth::{KeyPair, UnverifiedBiscuit};
use prost::Message;

use super::*;
use crate::capability::{Expect, HolderError};
use crate::cause::Cause;
use crate::delegate::DelegateError;
use crate::profile::shape::ShapedBlock;
use crate::profile::{MAX_BLOCKS, MAX_CHECKS, MAX_DEPTH, MAX_FACTS, MAX_SYMBOLS};
use crate::{Call, Capability, Delegation, Grant, Issuer, Presenting, Timestamp, block};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

/// How many hops the longest of the chains has that are made in every shape.
const HOPS: usize = 3;

fn key(number: usize) -> PrivateKey {
    PrivateKey::from_bytes(&[number as u8 + 1; 32])
}

fn root() -> PrivateKey {
    key(100)
}

fn issuer() -> Issuer {
    Issuer::new(root())
}

fn bytes(held: &Held) -> Vec<u8> {
    held.shaped.biscuit.encode_to_vec()
}

/// A capability, and the key to which it is bound.
#[derive(Clone)]
struct Bound(Capability, Option<PrivateKey>);

impl Bound {
    fn key(&self) -> Option<&PrivateKey> {
        self.1.as_ref()
    }

    fn hop(&self, delegation: Delegation) -> Capability {
        let hop = match self.key() {
            Some(key) => self.0.delegate(delegation, key, NOW),
            None => self.0.delegate_unbound(delegation, NOW),
        };
        hop.unwrap()
    }

    fn present(&self, presenting: Presenting) -> Capability {
        let presented = match self.key() {
            Some(key) => self.0.present(presenting, key, NOW),
            None => self.0.present_unbound(presenting, NOW),
        };
        Capability::parse(presented.unwrap().bearer()).unwrap()
    }
}

fn grants() -> Vec<Bound> {
    let grant = || Grant::to("user:alice").scope("tools:call:*").scope("resources:read");
    let bound = grant().fact("role", ["editor"]).holder(key(0).public());
    let named = grant().audience("notion.mcp").audience("mail.mcp").holder(key(0).public());
    let hinted = issuer().key_id(7);
    vec![
        Bound(issuer().mint(bound, NOW).unwrap(), Some(key(0))),
        Bound(hinted.mint(named, NOW).unwrap(), Some(key(0))),
        Bound(issuer().mint(grant().unbound(), NOW).unwrap(), None),
    ]
}

/// Hops of every kind under a parent: bound and not, to a key that comes back or to a new one, with and without audiences and
/// checks, some of which trust keys.
fn hops(parent: &Bound) -> Vec<Bound> {
    let hop = || Delegation::to("agent.researcher").scope("tools:call:search").reason("find it");
    let trusting = |key: &PrivateKey| format!("check if hop($n) trusting {}", key.public());
    let depth = parent.0.chain().depth();
    let (again, new) = (key(depth % 2), key(10 + depth));
    let bound = hop().holder(again.public()).audience("notion.mcp");
    let fresh = hop().allow("amount <= 100").check(trusting(&new)).holder(new.public());
    let loose = hop().allow("no other arguments").check(trusting(&key(0))).unbound();
    vec![
        Bound(parent.hop(bound), Some(again)),
        Bound(parent.hop(fresh), Some(new)),
        Bound(parent.hop(loose), None),
    ]
}

fn presentations(parent: &Bound) -> Vec<Capability> {
    let call = Call::tool("search").unwrap().arguments(r#"{"query": "roadmap"}"#).unwrap();
    let to = || Presenting::to("notion.mcp");
    let all = [to(), to().call(call.clone()), to().only([call]), to().only([])];
    all.into_iter().map(|presenting| parent.present(presenting)).collect()
}

/// What a block says, for whoever would write it again.
fn said(block: &ShapedBlock) -> Writer {
    let checks =
        block.checks.iter().map(|check| Check::convert_from(check, &block.symbols).unwrap());
    let facts: Vec<Fact> = block.facts.iter().filter_map(|fact| block.written(fact)).collect();
    Writer::default().custom(&facts).checks(&checks.collect::<Vec<_>>())
}

fn pair(key: &PrivateKey) -> KeyPair {
    KeyPair::from(&key.to_biscuit().unwrap())
}

/// What Biscuit's library makes of the same token, block and keys. `None` where it cannot: it reads a third-party block's
/// keys as if they were the token's, and refuses one that the token has.
fn appended_by_biscuit(
    parent: &Held,
    next: &PrivateKey,
    said: &Writer,
    signer: Option<&PrivateKey>,
) -> Option<UnverifiedBiscuit> {
    let token = UnverifiedBiscuit::from(bytes(parent)).unwrap();
    let Some(signer) = signer else {
        return Some(token.append_with_keypair(&pair(next), said.clone().finish()).unwrap());
    };
    let request = token.third_party_request().unwrap();
    let block = request.create_block(&signer.to_biscuit().unwrap(), said.clone().finish());
    let block = block.unwrap().serialize().unwrap();
    token.append_third_party_with_keypair(&block, pair(next)).ok()
}

/// The same, from the block that the library makes and the payload that it signs.
fn wrapped_from_biscuit(
    parent: &Held,
    next: &PrivateKey,
    said: &Writer,
    signer: &PrivateKey,
) -> schema::Biscuit {
    let token = UnverifiedBiscuit::from(bytes(parent)).unwrap();
    let request = token.third_party_request().unwrap();
    let block = request.create_block(&signer.to_biscuit().unwrap(), said.clone().finish());
    let block = block.unwrap().serialize().unwrap();
    let block = schema::ThirdPartyBlockContents::decode(block.as_slice()).unwrap();
    let next_key = schema::PublicKey { algorithm: 0, key: next.public().to_bytes().to_vec() };
    let previous = parent.last_signature();
    let payload = [
        b"\0BLOCK\0\0VERSION\0\x01\0\0\0\0PAYLOAD\0".as_slice(),
        &block.payload,
        b"\0ALGORITHM\0\0\0\0\0\0NEXTKEY\0",
        &next_key.key,
        b"\0PREVSIG\0",
        previous,
        b"\0EXTERNALSIG\0",
        &block.external_signature.signature,
    ]
    .concat();
    let mut biscuit = parent.shaped.biscuit.clone();
    biscuit.blocks.push(schema::SignedBlock {
        block: block.payload.clone(),
        next_key,
        signature: parent.next().unwrap().sign(&payload).to_vec(),
        external_signature: Some(block.external_signature),
        version: Some(1),
    });
    biscuit.proof = signing::proof_of(next);
    biscuit
}

/// Holds what this token was made of against what Biscuit's library makes, and against what reading its bytes makes.
fn compare(parent: &Bound, child: &Capability, by_library: &mut usize) {
    let (parent, signer) = (&*parent.0.0, parent.key());
    let (last, next) = (child.shaped().blocks.last().unwrap(), key(200));
    let said = said(last);
    let ours = parent.append_before(next.clone(), &said, signer).unwrap();
    let written = |token: &Shaped| token.biscuit.blocks.last().unwrap().block.clone();
    assert_eq!(written(&ours.shaped), written(child.shaped()));
    match (appended_by_biscuit(parent, &next, &said, signer), signer) {
        (Some(theirs), _) => {
            *by_library += 1;
            assert_eq!(bytes(&ours), theirs.to_vec().unwrap());
            let sealed = bytes(&ours.sealed().unwrap());
            assert_eq!(sealed, theirs.seal().unwrap().to_vec().unwrap());
        }
        (None, Some(signer)) => {
            assert_eq!(ours.shaped.biscuit, wrapped_from_biscuit(parent, &next, &said, signer));
        }
        (None, None) => panic!("the library appends any first-party block"),
    }
    same_as_read(&ours);
    same_as_read(&ours.sealed().unwrap());
    same_as_read(&child.0);
}

/// What was made without reading is what reading makes, and holds from the root on.
fn same_as_read(made: &Held) {
    let read = Held::read(&bytes(made)).unwrap();
    assert_eq!(format!("{:?}", made.shaped), format!("{:?}", read.shaped));
    assert_eq!(format!("{:?}", made.chain), format!("{:?}", read.chain));
    assert_eq!(made.read_so_far().digest(), read.read_so_far().digest());
    assert_eq!(read.signatures.get(), None, "nothing is known of bytes");
    assert_eq!(read.verify(&root().public()), Ok(()));
    let secret = |held: &Held| held.next().map(|next| *next.seed());
    assert_eq!(secret(made), secret(&read));
}

#[test]
fn chains_of_every_shape_are_byte_for_byte_what_biscuit_makes_and_what_reading_makes() {
    let (mut made, mut by_library) = (0, 0);
    let mut parents = grants();
    for _ in 0..HOPS {
        let mut children = Vec::new();
        for parent in &parents {
            for child in hops(parent) {
                compare(parent, &child.0, &mut by_library);
                children.push(child);
                made += 1;
            }
            for presented in presentations(parent) {
                compare(parent, &presented, &mut by_library);
                made += 1;
            }
        }
        parents = children;
    }
    println!("{made} blocks, {by_library} of them appended by the library");
    assert!(made > 250 && by_library > made / 2, "{by_library} of {made}");
}

/// A parent with so many hops, each by another agent to another.
fn deep(hops: usize) -> Bound {
    let grant = Grant::to("user:alice").scope("tools:call:*").max_depth(MAX_DEPTH as u8);
    let capability = issuer().mint(grant.holder(key(0).public()), NOW).unwrap();
    (0..hops).fold(Bound(capability, Some(key(0))), |parent, hop| {
        let next = key(hop + 1);
        let delegation = Delegation::to(format!("agent.a{hop}")).scope("tools:call:*").reason("r");
        Bound(parent.hop(delegation.holder(next.public())), Some(next))
    })
}

/// A hop that would be good, for more to be written into.
fn good(parent: &Held) -> Writer {
    let index = parent.shaped.blocks.len() as i64;
    Writer::default()
        .fact("hop", Term::Integer(index))
        .text("delegate", "agent.next")
        .text("scope", "tools:call:search")
        .fact("expires", Term::Date(NOW.unix_seconds() + 60))
        .text("reason", "r")
}

fn scopes(count: usize) -> Vec<Fact> {
    (0..count).map(|number| fact("scope", &[string(&format!("tools:call:t{number}"))])).collect()
}

fn checks(text: &str, count: usize) -> Vec<Check> {
    vec![block::parse_check(text).unwrap(); count]
}

/// What reading the whole token says of the block.
fn read_whole(
    parent: &Held,
    said: &Writer,
    signer: Option<&PrivateKey>,
) -> Result<Held, ShapeError> {
    let content = match signer {
        Some(_) => said.third_party(),
        None => said.first_party(parent.shaped.defined()),
    };
    let (secret, next) = (parent.next().unwrap(), PrivateKey::generate());
    let mut biscuit = parent.shaped.biscuit.clone();
    biscuit.blocks.push(signing::sign_block(
        content,
        parent.last_signature(),
        signer,
        secret,
        &next,
    ));
    biscuit.proof = signing::proof_of(&next);
    Held::read(&biscuit.encode_to_vec())
}

fn is_the_same(parent: &Held, said: &Writer, signer: Option<&PrivateKey>) -> Option<ShapeError> {
    let whole = read_whole(parent, said, signer).err();
    let ours = parent.append(said, signer).err();
    assert_eq!(ours, whole.clone().map(AppendError::Shape));
    whole
}

/// The longer the chain, the less room is left; whatever is refused is refused for the same cause as if all were read.
#[test]
fn what_goes_beyond_a_cap_is_refused_as_if_the_whole_token_were_read() {
    let costly = "check if scope($a), scope($b), $a == $b";
    let long = "w".repeat(1025);
    let words = |count: usize| -> Vec<Check> {
        let names = (0..count).map(|number| format!("\"w{number}\"")).collect::<Vec<_>>();
        let sets =
            names.chunks(60).map(|set| format!("check if [{}].contains(\"\")", set.join(",")));
        sets.map(|text| block::parse_check(&text).unwrap()).collect()
    };
    let used = format!(
        "check if [{}].contains(\"\")",
        vec![format!("\"{}\"", "u".repeat(60)); 60].join(",")
    );
    let large = (0..12).map(|number| {
        block::parse_check(&format!("check if \"{}{number}\" == \"\"", "l".repeat(1000))).unwrap()
    });
    let large = large.collect::<Vec<_>>();
    let mut refused = std::collections::BTreeMap::new();
    for depth in 0..MAX_BLOCKS {
        let parent = deep(depth.min(MAX_DEPTH as usize));
        let held = &*parent.0.0;
        let plain = || good(held);
        let parts = [
            plain(),
            plain().custom(&scopes(MAX_FACTS - 10 * depth)),
            plain().checks(&checks("check if true", MAX_CHECKS - 3 * depth)),
            plain().checks(&checks("check if true", MAX_CHECKS - 5 - 3 * depth)),
            plain().custom(&scopes(20)).checks(&checks(costly, 1 + depth)),
            plain().custom(&scopes(60)).checks(&checks(costly, 2)),
            plain().checks(&large),
            plain().checks(&words(MAX_SYMBOLS - 10 * depth)),
            plain().checks(&checks(&used, 1 + depth)),
            plain().checks(&checks(&used, 14)),
            plain().text("reason", "r"),
            plain().text("delegate", &long),
            plain().fact("parent", Term::Bytes(vec![0; 16])),
            plain().fact("subject", string("user:bob")),
            plain().text("audience", "No Audience"),
            Writer::default().text("delegate", "agent.next"),
            Writer::default(),
            good(&deep(1).0.0),
        ];
        for said in &parts {
            for signer in [parent.key(), None] {
                let error = is_the_same(held, said, signer);
                let cause = error.map_or("allowed", |error| error.cause().as_str());
                *refused.entry(cause).or_insert(0) += 1;
            }
        }
    }
    println!("{refused:?}");
    for cause in [
        "allowed",
        "too_large",
        "over_limit",
        "too_costly",
        "fact",
        "name",
        "other_parent",
        "content",
        "block_kind",
    ] {
        assert!(refused.contains_key(cause), "{cause}");
    }
}

#[test]
fn nothing_follows_a_presentation_and_no_token_has_more_blocks_than_the_cap() {
    let parent = deep(1);
    let presented = parent.present(Presenting::to("notion.mcp"));
    let last = said(presented.shaped().blocks.last().unwrap());
    let open = parent.0.0.append(&last, parent.key()).unwrap();
    for said in [Writer::default(), good(&open), last] {
        for signer in [parent.key(), None] {
            let error = is_the_same(&open, &said, signer).unwrap();
            assert!(
                matches!(
                    error.cause(),
                    Cause::AfterPresentation | Cause::Fact | Cause::OtherParent | Cause::BlockKind
                ),
                "{error}"
            );
        }
    }
    let caveat = Writer::default().checks(&checks("check if true", 1));
    let mut full = deep(0).0.0.append(&caveat, None).unwrap();
    while full.shaped.blocks.len() < MAX_BLOCKS {
        full = full.append(&caveat, None).unwrap();
        same_as_read(&full);
    }
    let error = is_the_same(&full, &caveat, None);
    assert_eq!(error, Some(ShapeError::OverLimit { block: 0, what: "blocks", limit: MAX_BLOCKS }));
}

#[test]
fn a_token_that_fits_open_and_not_sealed_is_not_sealed() {
    let parent = deep(0);
    let held = &*parent.0.0;
    let mut sizes = (0..1024).map(|bytes| {
        let text = |number: usize| format!("check if \"{}{number}\" == \"\"", "f".repeat(1000));
        let full = (0..14).map(|number| block::parse_check(&text(number)).unwrap());
        let rest =
            block::parse_check(&format!("check if \"{}\" == \"\"", "g".repeat(bytes))).unwrap();
        good(held).checks(&full.collect::<Vec<_>>()).checks(&[rest])
    });
    let last = sizes.rfind(|said| held.append(said, parent.key()).is_ok()).unwrap();
    let open = held.append(&last, parent.key()).unwrap();
    let sealed = open.sealed().err();
    let mut whole = open.shaped.biscuit.clone();
    whole.proof = signing::sign_end(&whole, open.next().unwrap());
    assert_eq!(Held::read(&whole.encode_to_vec()).err(), Some(ShapeError::TooLarge));
    assert_eq!(sealed, Some(AppendError::Shape(ShapeError::TooLarge)));
}

#[test]
fn the_seed_chain_needs_a_small_part_of_the_bound() {
    let now = NOW;
    let (grant, alice) = Grant::to("user:alice").scope("*").new_holder();
    let hop = Delegation::to("agent.orchestrator").scope("tools:call:*").reason("prepare");
    let (hop, orchestrator) = hop.new_holder();
    let next = Delegation::to("agent.researcher").scope("tools:call:search").reason("find");
    let (next, researcher) = next.new_holder();
    let capability = issuer().mint(grant, now).unwrap();
    let capability = capability.delegate(hop, &alice, now).unwrap();
    let capability = capability.delegate(next, &orchestrator, now).unwrap();
    let bearer = capability.present(Presenting::to("notion.mcp"), &researcher, now).unwrap();
    let token = Capability::parse(bearer.bearer()).unwrap();
    let sizes = least_sizes(token.shaped(), token.chain());
    let evaluation = cost::evaluation(&token.shaped().blocks, &sizes);
    assert!((MAX_COST / 100..MAX_COST / 25).contains(&evaluation), "{evaluation}");
    let all = cost::bound(&token.shaped().blocks, &sizes);
    assert!(all < MAX_COST / 7, "{all}");
}
