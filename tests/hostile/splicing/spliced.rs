//! Spliced: parts of one token in another, wherever the two are different.

use biscuit_auth::KeyPair;
use biscuit_auth::format::schema::{Biscuit, SignedBlock};
use hardtack::PrivateKey;

use super::line::Line;
use super::{accepted, refused, text};
use crate::case::Case;
use crate::craft::{push, seal};
use hardtack_testkit::Cast;
use hardtack_testkit::forge::{Forge, pair, throw_away};

/// How many hops both tokens have.
const HOPS: usize = 3;

/// What a signed block is made of.
type Part = fn(&mut SignedBlock, &SignedBlock);
const PARTS: [(&str, Part); 7] = [
    ("the content", |into, from| into.block = from.block.clone()),
    ("the next key", |into, from| into.next_key = from.next_key.clone()),
    ("the signature", |into, from| into.signature = from.signature.clone()),
    ("the holder's signature", |into, from| {
        into.external_signature = from.external_signature.clone();
    }),
    ("the content and the holder's signature", |into, from| {
        into.block = from.block.clone();
        into.external_signature = from.external_signature.clone();
    }),
    ("the next key and the signature", |into, from| {
        into.next_key = from.next_key.clone();
        into.signature = from.signature.clone();
    }),
    ("the whole block", |into, from| *into = from.clone()),
];

/// Other tokens with the same holders: whose hops one may wish to have in the first.
fn others() -> [(&'static str, Forge); 4] {
    let with = |number: u8, line: Line| {
        let until = format!("2026-11-23T10:0{number}:00Z");
        let presentation = Line::presentation(HOPS + 1).replace("2026-11-23T10:05:00Z", &until);
        line.append(line.delegated(HOPS), &presentation).change(|forge| {
            for (at, part) in forge.blocks.iter_mut().enumerate() {
                part.next = own_throw_away(number, at);
            }
        })
    };
    let line = Line::new();
    let root = with(4, Line { reason: "delete all", ..line.clone() });
    [
        ("a token of the same grant", with(1, Line { reason: "delete", ..line.clone() })),
        (
            "a token of another subject",
            with(2, Line { subject: "user:bob", reason: "delete it", ..line.clone() }),
        ),
        ("a token of a wider grant", with(3, Line { scope: "tools:call:*", ..line })),
        ("a token of another root", root.change(|forge| forge.root = pair(&Cast::new().thief))),
    ]
}

/// The throw-away keys of the token of this number.
fn own_throw_away(number: u8, block: usize) -> KeyPair {
    pair(&PrivateKey::from_bytes(&[0x80 | number << 4 | u8::try_from(block).unwrap(); 32]))
}

pub(super) fn cases() -> Vec<Case> {
    let line = Line::new();
    let mut cases = Vec::new();
    for (number, (other, forge)) in (1..).zip(others()) {
        if !other.ends_with("root") {
            cases.push(accepted(other, forge.bearer()));
        }
        let from = forge.sign();
        for block in 1..=HOPS + 1 {
            for (part, splice) in PARTS {
                let mut token = line.presented(HOPS).sign();
                splice(&mut token.blocks[block - 1], &from.blocks[block - 1]);
                let what = format!("{part} of block {block} from {other}");
                cases.push(refused(&what, text(&token), "signature", block));
            }
            let wrapped = rewrapped(&line, &from, block, number);
            let what = format!("block {block} from {other}, wrapped anew");
            cases.push(refused(&what, wrapped, "signature", block));
        }
        let mut token = line.presented(HOPS).sign();
        token.authority = from.authority.clone();
        let at = if other.ends_with("root") { 0 } else { 1 };
        cases.push(refused(&format!("the grant from {other}"), text(&token), "signature", at));
        let mut token = line.presented(HOPS).sign();
        token.proof = from.proof.clone();
        cases.push(refused(&format!("the seal from {other}"), text(&token), "signature", HOPS + 1));
        let mut token = line.presented(HOPS).sign();
        token.authority.signature = from.authority.signature.clone();
        cases.push(refused(
            &format!("the grant's signature from {other}"),
            text(&token),
            "signature",
            0,
        ));
    }
    cases.extend(roots());
    cases
}

/// A block of another token behind this one's, by somebody with the throw-away secret of then, and the rest of that
/// other token too.
fn rewrapped(line: &Line, from: &Biscuit, block: usize, number: u8) -> String {
    let mut token = line.delegated(block - 1).sign();
    let mut secret = throw_away(block - 1);
    for (at, signed) in from.blocks.iter().enumerate().skip(block - 1) {
        push(&mut token, signed.clone(), &secret);
        secret = own_throw_away(number, at + 1);
    }
    seal(&mut token, &secret);
    text(&token)
}

/// Grants that no trusted root signed.
fn roots() -> Vec<Case> {
    let cast = Cast::new();
    let line = Line::new();
    let keys = [
        ("a thief", pair(&cast.thief)),
        ("its holder", pair(&super::line::key(0))),
        ("the leaf", pair(&super::line::key(HOPS))),
        ("the throw-away key that it names", throw_away(0)),
    ];
    let cases = keys.into_iter().map(|(by, key)| {
        let forge = line.presented(HOPS).change(|forge| forge.root = key);
        refused(&format!("a grant signed by {by}"), forge.bearer(), "signature", 0)
    });
    let mut cases: Vec<_> = cases.collect();
    let hint = line.presented(1).change(|forge| {
        forge.root = pair(&cast.thief);
        forge.root_key_id = Some(1);
    });
    cases.push(refused("a grant of another root with a key id", hint.bearer(), "signature", 0));
    cases
}
