//! Cut: blocks cut off, left out, exchanged, doubled, and put behind an end that was sealed.

use biscuit_auth::KeyPair;
use biscuit_auth::format::schema::proof::Content;

use super::line::{LONGEST, Line, key};
use super::{accepted, refused, text};
use crate::case::Case;
use crate::craft::{append_first_party, push, seal};
use hardtack_testkit::Cast;
use hardtack_testkit::forge::{Forge, Proof, pair, throw_away};

pub(super) fn cases() -> Vec<Case> {
    [controls(), sealed(), cut_off(), left_out(), exchanged(), doubled()].concat()
}

fn controls() -> Vec<Case> {
    let line = Line::new();
    let lengths = (0..=LONGEST)
        .map(|hops| accepted(&format!("a line of {hops} hops"), line.presented(hops).bearer()));
    let unsealed = line.presented(2).change(|forge| forge.proof = Proof::Secret);
    let twice = append_first_party(line.delegated(1), "check if true");
    let twice =
        append_first_party(twice, "check if true").append(&Line::presentation(4), Some(&key(1)));
    let mut cases: Vec<_> = lengths.collect();
    cases.push(accepted("a presentation with its secret", unsealed.bearer()));
    cases.push(accepted("the same caveat twice", twice.bearer()));
    let beyond = line.presented(LONGEST + 1).bearer();
    cases.push(refused("a hop beyond the grant's depth", beyond, "too_deep", LONGEST + 1));
    cases
}

/// A sealed token has no secret with which to go on: whoever goes on all the same signs with another.
fn sealed() -> Vec<Case> {
    let line = Line::new();
    let mut cases = Vec::new();
    for hops in 0..LONGEST {
        let last = line.presented(hops).sign().blocks.pop().unwrap();
        let wrong: [(&str, KeyPair); 5] = [
            ("the root's key", pair(&Cast::new().root)),
            ("the last holder's key", pair(&key(hops))),
            ("a key of its own", pair(&Cast::new().thief)),
            ("the secret of the end that it makes", throw_away(hops + 1)),
            ("the secret of another stage", throw_away(hops + 2)),
        ];
        for (what, secret) in wrong {
            let mut token = line.delegated(hops).sign();
            push(&mut token, last.clone(), &secret);
            seal(&mut token, &throw_away(hops + 1));
            let what = format!("behind {hops} sealed hops, a presentation with {what}");
            cases.push(refused(&what, text(&token), "signature", hops + 1));
        }
        // The holder signs, but nothing binds that to the token's end.
        let mut token = line.delegated(hops).sign();
        token.blocks.push(last);
        let what =
            format!("behind {hops} sealed hops, a presentation that leaves the seal as it was");
        cases.push(refused(&what, text(&token), "signature", hops + 1));
    }
    // What was presented is sealed: nothing may follow, whoever signs it.
    for (what, signer) in [
        ("its holder", Some(key(2))),
        ("the delegator", Some(key(1))),
        ("the root", Some(Cast::new().root)),
        ("a thief", Some(Cast::new().thief)),
        ("nobody", None),
    ] {
        for (kind, datalog) in [
            ("a presentation", Line::presentation(4)),
            ("a hop", line.hop(4)),
            ("a caveat", "check if true".to_owned()),
        ] {
            let forge = line.presented(2);
            let forge = match &signer {
                Some(key) => forge.append(&datalog, Some(key)),
                None => append_first_party(forge, &datalog),
            };
            let what = format!("behind a presentation, {kind} by {what}");
            cases.push(refused(&what, forge.bearer(), "after_presentation", 4));
        }
    }
    cases
}

/// Whoever held a stage unsealed can go back to it; without the next holder's key that is all.
fn cut_off() -> Vec<Case> {
    let line = Line::new();
    let mut cases = Vec::new();
    for kept in 1..=LONGEST {
        let cut = |proof: &dyn Fn(&mut biscuit_auth::format::schema::Biscuit)| {
            let mut token = line.presented(LONGEST).sign();
            token.blocks.truncate(kept - 1);
            proof(&mut token);
            text(&token)
        };
        let what = format!("cut off behind {kept} blocks");
        cases.push(refused(&format!("{what}, the seal left"), cut(&|_| {}), "signature", kept - 1));
        let sealed = cut(&|token| seal(token, &throw_away(kept - 1)));
        cases.push(refused(
            &format!("{what} and sealed with the secret of then"),
            sealed,
            "not_presented",
            None,
        ));
        let last = cut(&|token| seal(token, &throw_away(LONGEST + 1)));
        cases.push(refused(
            &format!("{what} and sealed with the last secret"),
            last,
            "signature",
            kept - 1,
        ));
        let secret = cut(&|token| {
            let secret = throw_away(kept).private().to_bytes().to_vec();
            token.proof.content = Some(Content::NextSecret(secret));
        });
        cases.push(refused(
            &format!("{what}, with the secret of a block later"),
            secret,
            "signature",
            kept - 1,
        ));
    }
    // Back to a stage, and presented by somebody who is not the holder then.
    for hops in 0..LONGEST {
        let forge = line.delegated(hops).append(&Line::presentation(hops + 1), Some(&key(LONGEST)));
        let what = format!("cut off behind {hops} hops and presented by the leaf");
        cases.push(refused(&what, forge.bearer(), "wrong_signer", hops + 1));
    }
    cases
}

/// A block taken out of the middle, with what follows as it was, wrapped anew, or signed anew by who signed it.
fn left_out() -> Vec<Case> {
    let line = Line::new();
    let mut cases = Vec::new();
    for out in 1..LONGEST {
        let mut token = line.presented(LONGEST).sign();
        token.blocks.remove(out - 1);
        let what = format!("hop {out} left out");
        cases.push(refused(&what, text(&token), "fact", out));
        let mut forge = line.delegated(out - 1);
        // What follows is signed for its new place, by the keys that signed it in its old one.
        for block in out..LONGEST {
            forge = forge.append(&line.hop(block), Some(&key(block)));
        }
        let forge = forge.append(&Line::presentation(LONGEST), Some(&key(LONGEST)));
        let what = format!("hop {out} left out, the later ones signed for their new places");
        cases.push(refused(&what, forge.bearer(), "wrong_signer", out));
    }
    let caveat = append_first_party(line.delegated(1), "check if false");
    let caveat = caveat.append(&Line::presentation(3), Some(&key(1)));
    let mut token = caveat.sign();
    token.blocks.remove(1);
    cases.push(refused("a caveat left out", text(&token), "fact", 2));
    cases.push(refused("a caveat that forbids, left in", caveat.bearer(), "check_failed", 2));
    let mut token = caveat.sign();
    token.blocks[1].block =
        append_first_party(line.delegated(1), "check if true").blocks[2].bytes.clone();
    cases.push(refused("a caveat exchanged for another", text(&token), "signature", 2));
    cases
}

fn exchanged() -> Vec<Case> {
    let line = Line::new();
    let mut cases = Vec::new();
    for at in 1..LONGEST {
        let mut token = line.presented(LONGEST).sign();
        token.blocks.swap(at - 1, at);
        let what = format!("hops {at} and {} exchanged", at + 1);
        cases.push(refused(&what, text(&token), "fact", at));
        let forge = line.presented(LONGEST).change(|forge| {
            forge.blocks.swap(at, at + 1);
            for block in [at, at + 1] {
                forge.blocks[block].bytes = hardtack_testkit::forge::payload(&line.hop(block));
            }
        });
        let what = format!("hops {at} and {} exchanged, signed for their new places", at + 1);
        cases.push(refused(&what, forge.bearer(), "wrong_signer", at));
    }
    let mut token = line.presented(LONGEST).sign();
    token.blocks[..LONGEST].reverse();
    cases.push(refused("all hops backwards", text(&token), "fact", 1));
    let mut token = line.presented(1).sign();
    token.blocks.reverse();
    cases.push(refused("the presentation before the hop", text(&token), "fact", 1));
    let mut token = line.presented(1).sign();
    std::mem::swap(&mut token.authority, &mut token.blocks[0]);
    cases.push(refused("the grant behind the hop", text(&token), "content", 0));
    cases
}

fn doubled() -> Vec<Case> {
    let line = Line::new();
    let mut cases = Vec::new();
    for at in 1..LONGEST {
        let mut token = line.presented(LONGEST - 1).sign();
        let hop = token.blocks[at - 1].clone();
        token.blocks.insert(at, hop);
        cases.push(refused(&format!("hop {at} twice"), text(&token), "fact", at + 1));
        if at == LONGEST - 1 {
            continue; // The same as a hop by the holder before the last.
        }
        let again = line.delegated(at).append(&line.hop(at + 1), Some(&key(at - 1)));
        let again: Forge = again.append(&Line::presentation(at + 2), Some(&key(at + 1)));
        let what = format!("hop {at} twice, signed for its second place");
        cases.push(refused(&what, again.bearer(), "wrong_signer", at + 1));
    }
    let mut token = line.presented(1).sign();
    token.blocks.insert(0, token.authority.clone());
    // Its words are defined already.
    cases.push(refused("the grant twice", text(&token), "symbols", 1));
    cases
}
