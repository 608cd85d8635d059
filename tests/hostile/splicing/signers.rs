//! Signers: blocks signed by every key but the one that should have.

use hardtack::PrivateKey;

use super::line::{LONGEST, Line, key, other_throw_away};
use super::{accepted, refused, text};
use crate::case::{Case, Server};
use crate::craft::{append_first_party, seal};
use hardtack_testkit::Cast;
use hardtack_testkit::forge::{Forge, pair, throw_away};

pub(super) fn cases() -> Vec<Case> {
    [wrong_signers(), taken_over(), next_keys(), names()].concat()
}

/// Each block of the longest line by each wrong key. All else is as it should be.
fn wrong_signers() -> Vec<Case> {
    let line = Line::new();
    let cast = Cast::new();
    let mut cases = Vec::new();
    for block in 1..=LONGEST + 1 {
        let mut keys: Vec<(&str, PrivateKey)> = vec![
            ("the root", PrivateKey::from_bytes(&[1; 32])),
            ("a thief", PrivateKey::from_bytes(&[4; 32])),
            ("the throw-away secret before it", secret(block - 1)),
            ("the throw-away secret behind it", secret(block)),
        ];
        if block > 1 {
            keys.push(("the holder before the last", key(block - 2)));
        }
        if block > 2 {
            keys.push(("the first holder", key(0)));
        }
        if block <= LONGEST {
            keys.push(("the holder that it names", key(block)));
        }
        for (by, signer) in keys {
            let forge = line.presented(LONGEST);
            let forge = forge.change(|forge| forge.blocks[block].signer = Some(pair(&signer)));
            let what = format!("block {block} signed by {by}");
            cases.push(refused(&what, forge.bearer(), "wrong_signer", block));
        }
        let nobody = Line { unsigned: vec![block], ..Line::new() };
        let forge = nobody.presented(LONGEST);
        let what = format!("block {block} signed by nobody");
        cases.push(refused(&what, forge.bearer(), "wrong_signer", block));
        let what = format!("block {block} signed by nobody, where unbound hops are accepted");
        let forge = nobody.presented(LONGEST);
        let case = refused(&what, forge.bearer(), "wrong_signer", block);
        // The word of the server is part of the case, and the rest is the same.
        cases.push(case.to(Server::Unbound));
    }
    let named = line.presented(1);
    let mut token = named.sign();
    let external = token.blocks[0].external_signature.as_mut().unwrap();
    external.public_key.key = cast.thief.public().to_bytes().to_vec();
    cases.push(refused(
        "a thief's key beside the holder's signature",
        text(&token),
        "signature",
        1,
    ));
    cases
}

/// The seed of a throw-away key, as a private key.
fn secret(block: usize) -> PrivateKey {
    let bytes = throw_away(block).private().to_bytes();
    PrivateKey::from_bytes(bytes.as_slice().try_into().unwrap())
}

/// Whoever is not the holder delegates to themselves, and goes on in good order; or heals what is wrong above.
fn taken_over() -> Vec<Case> {
    let thief = Some([4; 32]);
    let mut cases = Vec::new();
    for block in 1..=LONGEST {
        // The thief signs a hop to themselves and presents it.
        let line = Line { holders: vec![(block, thief)], ..Line::new() };
        let forge = line.presented(block);
        let taken = forge.change(|forge| {
            forge.blocks[block].signer = Some(pair(&Cast::new().thief));
        });
        let what = format!("a thief delegates hop {block} to itself");
        cases.push(refused(&what, taken.bearer(), "wrong_signer", block));
        if block < LONGEST {
            // The thief hands back to the one that should have had it.
            let healed = line.presented(block + 1).change(|forge| {
                forge.blocks[block].signer = Some(pair(&Cast::new().thief));
            });
            let what = format!(
                "a thief delegates hop {block} to itself, and back to who should have had it"
            );
            cases.push(refused(&what, healed.bearer(), "wrong_signer", block));
            let caveat = append_first_party(line.delegated(block), "check if true");
            let caveat = caveat.change(|forge| {
                forge.blocks[block].signer = Some(pair(&Cast::new().thief));
            });
            let caveat = caveat.append(&Line::presentation(block + 2), Some(&Cast::new().thief));
            let what = format!("a caveat behind the thief's hop {block}");
            cases.push(refused(&what, caveat.bearer(), "wrong_signer", block));
        }
    }
    cases
}

/// A throw-away key exchanged for the attacker's own, who goes on with it.
fn next_keys() -> Vec<Case> {
    let line = Line::new();
    let mut cases = Vec::new();
    for block in 0..=LONGEST + 1 {
        let mut token = line
            .presented(LONGEST)
            .change(|forge: &mut Forge| forge.blocks[block].next = other_throw_away(block))
            .sign();
        // What signed the block signed the key that was there.
        let honest = line.presented(LONGEST).sign();
        let signature = match block {
            0 => honest.authority.signature,
            _ => honest.blocks[block - 1].signature.clone(),
        };
        match block {
            0 => token.authority.signature = signature,
            _ => token.blocks[block - 1].signature = signature,
        }
        if block == LONGEST + 1 {
            seal(&mut token, &other_throw_away(block));
        }
        let what = format!("another next key in block {block}, with which the rest is signed");
        cases.push(refused(&what, text(&token), "signature", block));
    }
    cases
}

/// Agents under names and keys that the directory knows otherwise.
fn names() -> Vec<Case> {
    let (orchestrator, researcher) = (Some([2; 32]), Some([3; 32]));
    let mut cases = Vec::new();
    let listed = Line {
        names: vec![(1, "agent.orchestrator"), (2, "agent.researcher")],
        holders: vec![(1, orchestrator), (2, researcher)],
        ..Line::new()
    };
    let bearer = |line: &Line, hops: usize| line.presented(hops).bearer();
    cases.push(
        accepted("names as the directory has them", bearer(&listed, 2)).to(Server::Directory),
    );
    let unlisted = bearer(&Line::new(), 2);
    cases.push(accepted("names that the directory has not", unlisted).to(Server::Directory));
    for block in 1..=LONGEST {
        for (what, name, holder) in [
            ("a listed name with another key", "agent.researcher", Some([9; 32])),
            ("a listed name with the key of another", "agent.researcher", orchestrator),
            ("a listed key under the name of another", "agent.orchestrator", researcher),
            ("a listed key under a name that is not listed", "agent.other", researcher),
            ("a listed key under its name in capitals", "AGENT.RESEARCHER", researcher),
            ("a listed key under its name and a dot", "agent.researcher.", researcher),
        ] {
            let line =
                Line { names: vec![(block, name)], holders: vec![(block, holder)], ..Line::new() };
            let what = format!("{what}, in hop {block}");
            let case = refused(&what, bearer(&line, block), "name_mismatch", block);
            cases.push(case.to(Server::Directory));
        }
        let open = Line { names: vec![(block, "agent.researcher")], ..Line::open_at(block) };
        let what = format!("a listed name without a key, in hop {block}");
        let case = refused(&what, bearer(&open, block), "name_mismatch", block);
        cases.push(case.to(Server::Directory));
    }
    cases
}
