//! Revoked: what was revoked, in every place and in every wrapping.

use biscuit_auth::format::schema::proof::Content;

use super::line::{LONGEST, Line, other_throw_away};
use super::{accepted, refused, text};
use crate::case::{Case, Server};
use crate::craft::{append_first_party, seed};
use hardtack_testkit::Cast;
use hardtack_testkit::forge::{Forge, pair, throw_away};

pub(super) fn cases() -> Vec<Case> {
    let cases = [rewrapped(), holders_and_agents(), first_of_several()].concat();
    cases.into_iter().map(|case| case.to(Server::Revoking)).collect()
}

/// The hop of the seed chain is revoked by its id, which is the delegator's signature: whoever held the grant
/// unsealed can wrap it anew, and the researcher can present it anew.
fn rewrapped() -> Vec<Case> {
    let mut cases = Vec::new();
    let with_next =
        |next: biscuit_auth::KeyPair| seed().change(|forge| forge.blocks[1].next = next);
    for (what, next) in [
        ("another throw-away key", other_throw_away(1)),
        ("the throw-away key of the grant", throw_away(0)),
        ("the holder's key for a throw-away key", pair(&Cast::new().researcher)),
        ("the thief's key for a throw-away key", pair(&Cast::new().thief)),
        ("the root's key for a throw-away key", pair(&Cast::new().root)),
    ] {
        let forge = with_next(next);
        let what = format!("the revoked hop wrapped with {what}");
        cases.push(refused(&what, forge.bearer(), "revoked", 1));
    }
    let unsealed = seed().change(|forge| forge.proof = hardtack_testkit::forge::Proof::Secret);
    cases.push(refused(
        "the revoked hop with the secret at the end",
        unsealed.bearer(),
        "revoked",
        1,
    ));
    let hinted = seed().change(|forge| forge.root_key_id = Some(5));
    cases.push(refused("the revoked hop under a root key id", hinted.bearer(), "revoked", 1));
    let caveat = with_caveat(seed());
    cases.push(refused("the revoked hop with a caveat behind it", caveat.bearer(), "revoked", 1));
    let mut further = seed();
    further.blocks.truncate(2);
    let line = Line { holders: vec![(1, Some([3; 32]))], ..Line::new() };
    let forge = line.append(further, &line.hop(2));
    let forge = line.append(forge, &Line::presentation(3));
    cases.push(refused("the revoked hop, delegated further", forge.bearer(), "revoked", 1));
    let mut healed = seed();
    healed.blocks.truncate(2);
    let forge = healed.append(&line.hop(2), Some(&Cast::new().orchestrator));
    let forge = forge.append(&Line::presentation(3), Some(&super::line::key(2)));
    cases.push(refused("the revoked hop, healed by its delegator", forge.bearer(), "revoked", 1));
    let mut unpresented = seed();
    unpresented.blocks.truncate(2);
    cases.push(refused("the revoked hop that nobody presents", unpresented.bearer(), "revoked", 1));
    // Signed anew, it is another hop: that is what revoking the key is for.
    let again = seed().edit(1, |content| content.symbols.push("again".to_owned()));
    cases.push(accepted("the hop signed again by its delegator", again.bearer()));
    // Damaged on the way around the list, it is not signed.
    let mut token = seed().sign();
    let external = token.blocks[0].external_signature.as_mut().unwrap();
    external.signature[0] ^= 1;
    cases.push(refused("the revoked hop with its id changed", text(&token), "signature", 1));
    let mut token = seed().sign();
    token.proof.content = Some(Content::NextSecret(vec![9; 32]));
    cases.push(refused("the revoked hop with a wrong secret", text(&token), "signature", 2));
    cases
}

fn with_caveat(mut forge: Forge) -> Forge {
    forge.blocks.truncate(2);
    append_first_party(forge, "check if true")
        .append(&Line::presentation(3), Some(&Cast::new().researcher))
}

fn holders_and_agents() -> Vec<Case> {
    let thief = Some([4; 32]);
    let mut cases =
        vec![accepted("a line of nobody that is revoked", Line::new().presented(LONGEST).bearer())];
    for block in 0..=LONGEST {
        let held = Line { holders: vec![(block, thief)], ..Line::new() };
        let what = format!("a revoked key holds block {block}");
        cases.push(refused(&what, held.presented(block).bearer(), "revoked", block));
        if block < LONGEST {
            let what = format!("{what}, and delegated further");
            cases.push(refused(&what, held.presented(LONGEST).bearer(), "revoked", block));
        }
        if block > 0 {
            let named = Line { names: vec![(block, "agent.revoked")], ..Line::new() };
            let what = format!("a revoked agent in hop {block}");
            cases.push(refused(&what, named.presented(LONGEST).bearer(), "revoked", block));
            let open = Line { names: vec![(block, "agent.revoked")], ..Line::open_at(block) };
            let what = format!("a revoked agent without a key in hop {block}");
            cases.push(refused(&what, open.presented(block).bearer(), "revoked", block));
        }
        let subject = Line { subject: "user:revoked", ..Line::new() };
        let what = format!("a revoked subject over {block} hops");
        cases.push(refused(&what, subject.presented(block).bearer(), "revoked", 0));
    }
    let other = Line { subject: "user:revoked2", ..Line::new() };
    cases.push(accepted(
        "a subject whose name begins as a revoked one's",
        other.presented(1).bearer(),
    ));
    let other = Line { names: vec![(1, "agent.Revoked")], ..Line::new() };
    cases.push(accepted(
        "an agent in other letters than the revoked one",
        other.presented(1).bearer(),
    ));
    cases
}

/// Revocation is looked at before the walk, which would refuse these too.
fn first_of_several() -> Vec<Case> {
    let mut cases = Vec::new();
    let thief = Some([4; 32]);
    let wider = Line { scope: "resources:read", names: vec![(1, "agent.revoked")], ..Line::new() };
    let narrow = Line::new().delegated(0).append(&wider.hop(1), Some(&super::line::key(0)));
    let narrow = narrow.append(&Line::presentation(2), Some(&super::line::key(1)));
    cases.push(refused("a revoked agent with a wider scope", narrow.bearer(), "revoked", 1));
    let held = Line { holders: vec![(1, thief)], ..Line::new() };
    let stolen =
        held.presented(1).change(|forge| forge.blocks[1].signer = Some(pair(&Cast::new().thief)));
    cases.push(refused("a revoked key that delegates to itself", stolen.bearer(), "revoked", 1));
    let open = Line { holders: vec![(0, None), (1, thief)], unsigned: vec![1], ..Line::new() };
    cases.push(refused(
        "a revoked key behind an unbound hop",
        open.presented(1).bearer(),
        "revoked",
        1,
    ));
    let unpresented = Line { subject: "user:revoked", ..Line::new() }.delegated(3);
    cases.push(refused(
        "a revoked subject that nobody presents",
        unpresented.bearer(),
        "revoked",
        0,
    ));
    let forged = Line { subject: "user:revoked", ..Line::new() }.presented(1);
    let forged = forged.change(|forge| forge.root = pair(&Cast::new().thief));
    cases.push(refused("a revoked subject by another root", forged.bearer(), "signature", 0));
    cases
}
