//! Blocks: how many, in which order, and blocks of one kind in the place of another.

use hardtack::PrivateKey;
use prost::Message;

use super::{Kind, accepted, refused, with_caveat};
use crate::case::Case;
use crate::craft::{append_first_party, seed};
use hardtack_testkit::Cast;
use hardtack_testkit::forge::{Forge, base64};

/// What a block of the kind says, as Datalog, with another number of its own.
fn text(kind: Kind, block: usize) -> String {
    let fact = |(name, value): (&str, String)| match name {
        "hop" => format!("hop({block}); "),
        _ => format!("{name}({value}); "),
    };
    kind.facts().into_iter().map(fact).collect()
}

pub(super) fn cases() -> Vec<Case> {
    let cast = Cast::new();
    let (orchestrator, researcher) = (&cast.orchestrator, &cast.researcher);
    let signers: [(&str, Option<&PrivateKey>); 4] = [
        ("nobody", None),
        ("its holder", Some(researcher)),
        ("the delegator", Some(orchestrator)),
        ("the root", Some(&cast.root)),
    ];
    let mut cases = vec![
        accepted("a caveat without checks", &with_caveat("")),
        accepted("a caveat before the hop", &caveat_first()),
        accepted("sixteen blocks", &many(13)),
    ];
    let mut without = seed();
    without.blocks.truncate(1);
    cases.push(Case::refused(
        "shape/a grant alone".to_owned(),
        without.bearer(),
        "not_presented",
        None,
    ));
    without = seed();
    without.blocks.truncate(2);
    cases.push(Case::refused(
        "shape/a grant and a hop alone".to_owned(),
        without.bearer(),
        "not_presented",
        None,
    ));
    let caveat = without.append("check if true", None);
    cases.push(Case::refused(
        "shape/a caveat at the end and no presentation".to_owned(),
        caveat.bearer(),
        "not_presented",
        None,
    ));
    for blocks in [14, 30] {
        let name = format!("{} blocks", blocks + 3);
        cases.push(refused(&name, &many(blocks), "over_limit", 0));
    }
    for (by, signer) in signers {
        for kind in Kind::ALL {
            let what = format!("{} after the presentation, by {by}", kind.name());
            let forge = after(&text(kind, 3), signer);
            cases.push(refused(&what, &forge, "after_presentation", 3));
        }
        for (what, datalog) in [("a caveat", "check if true"), ("an empty block", "")] {
            let what = format!("{what} after the presentation, by {by}");
            cases.push(refused(&what, &after(datalog, signer), "after_presentation", 3));
        }
        if signer.is_some() {
            let forge = with_caveat("check if true")
                .change(|forge| forge.blocks[2].signer = signer.map(hardtack_testkit::forge::pair));
            cases.push(refused(&format!("a caveat signed by {by}"), &forge, "block_kind", 2));
        }
    }
    cases.extend(in_the_place_of_another());
    cases.extend(external_on_the_grant());
    for id in [0, 1, u32::MAX] {
        let forge = seed().change(|forge| forge.root_key_id = Some(id));
        cases.push(accepted(&format!("the root key id {id}, which is a hint"), &forge));
    }
    cases
}

/// The seed with a block behind its presentation.
fn after(datalog: &str, signer: Option<&PrivateKey>) -> Forge {
    match signer {
        Some(_) => seed().append(datalog, signer),
        None => append_first_party(seed(), datalog),
    }
}

/// A kind of block where the profile has another: signed as what stands there should be.
fn in_the_place_of_another() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, place, cause) in [
        (Kind::Hop, 0, "content"),
        (Kind::Session, 0, "content"),
        (Kind::Call, 0, "content"),
        (Kind::Grant, 1, "block_kind"),
        (Kind::Grant, 2, "block_kind"),
    ] {
        let forge = seed().write(place, &text(kind, place));
        let what = format!("{} in the place of block {place}", kind.name());
        cases.push(refused(&what, &forge, cause, place));
    }
    for (kind, place) in [(Kind::Session, 1), (Kind::Call, 1)] {
        let forge = seed().write(place, &text(kind, place));
        let what = format!("{} in the place of block {place}", kind.name());
        cases.push(refused(&what, &forge, "after_presentation", 2));
    }
    // A hop for a presentation: nothing is presented.
    let forge = seed().write(2, &text(Kind::Hop, 2));
    cases.push(Case::refused(
        "shape/a hop in the place of the presentation".to_owned(),
        forge.bearer(),
        "not_presented",
        None,
    ));
    let both =
        format!("{} {}", text(Kind::Hop, 1), r#"presentation("session"); audience("notion.mcp");"#);
    cases.push(refused("a hop and a presentation in one", &seed().write(1, &both), "content", 1));
    for (block, empty) in [(0, "encoding"), (1, "encoding"), (2, "encoding")] {
        let forge = seed().change(|forge| forge.blocks[block].bytes.clear());
        cases.push(refused(&format!("block {block} of no bytes"), &forge, empty, block));
    }
    for (block, cause) in [(0, "fact"), (1, "block_kind"), (2, "block_kind")] {
        let forge = seed().write(block, "");
        cases.push(refused(&format!("block {block} without content"), &forge, cause, block));
        let forge = seed().write(block, "check if true");
        cases.push(refused(&format!("block {block} with a check alone"), &forge, cause, block));
    }
    cases.push(refused(
        "a caveat of no bytes",
        &with_caveat("").change(|forge| forge.blocks[2].bytes.clear()),
        "encoding",
        2,
    ));
    for (what, facts) in [
        ("a role", "role(\"admin\");"),
        ("a scope", "scope(\"*\");"),
        ("a fact and a check", "role(\"admin\"); check if true;"),
    ] {
        for (by, key) in [("its holder", &Cast::new().researcher), ("the root", &Cast::new().root)]
        {
            let forge = with_caveat("")
                .write(2, facts)
                .change(|forge| forge.blocks[2].signer = Some(hardtack_testkit::forge::pair(key)));
            cases.push(refused(
                &format!("{what} alone in a block by {by}"),
                &forge,
                "block_kind",
                2,
            ));
        }
    }
    cases
}

/// The grant is signed by the root key alone; another signature on it would say nothing.
fn external_on_the_grant() -> Vec<Case> {
    let cast = Cast::new();
    let keys =
        [("the root", &cast.root), ("its holder", &cast.orchestrator), ("a thief", &cast.thief)];
    let cases = keys.map(|(by, key)| {
        let forge = seed()
            .change(|forge| forge.blocks[0].signer = Some(hardtack_testkit::forge::pair(key)));
        refused(&format!("a grant that {by} signed too"), &forge, "content", 0)
    });
    let mut cases = cases.to_vec();
    let mut token = seed().sign();
    token.authority.external_signature = token.blocks[0].external_signature.clone();
    let bearer = base64(&token.encode_to_vec());
    cases.push(Case::refused(
        "shape/the hop's signature on the grant".to_owned(),
        bearer,
        "content",
        Some(0),
    ));
    cases
}

fn caveat_first() -> Forge {
    let cast = Cast::new();
    let mut forge = seed();
    forge.blocks.truncate(1);
    forge
        .append("check if true", None)
        .append(&text(Kind::Hop, 2), Some(&cast.orchestrator))
        .append(&text(Kind::Session, 3), Some(&cast.researcher))
}

/// So many caveats between the hop and the presentation.
fn many(caveats: usize) -> Forge {
    let mut forge = seed();
    forge.blocks.truncate(2);
    let forge = (0..caveats).fold(forge, |forge, _| forge.append("check if true", None));
    forge.append(&text(Kind::Session, caveats + 2), Some(&Cast::new().researcher))
}
