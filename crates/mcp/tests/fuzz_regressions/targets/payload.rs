//! Payload: any bytes as a block, signed by whoever may sign there. What is behind the signatures meets what a
//! holder of keys would send.

use prost::Message;

use super::{Target, judge};
use hardtack_testkit::forge::{Forge, Part, payload, throw_away};
use hardtack_testkit::{AUDIENCE, Cast};

pub const TARGET: Target = Target {
    name: "payload",
    run,
    seeds,
    // The largest token, with room to be larger.
    max_len: 17 * 1024,
};

/// Which block the bytes become.
const PLACES: [fn(Forge, Vec<u8>) -> Forge; 5] = [
    |forge, bytes| put(forge, 0, bytes),
    |forge, bytes| put(forge, 1, bytes),
    |forge, bytes| put(forge, 2, bytes),
    |forge, bytes| between(forge, bytes, false),
    |forge, bytes| between(forge, bytes, true),
];

fn run(data: &[u8]) -> bool {
    let Some((place, bytes)) = data.split_first() else { return false };
    let place = PLACES[usize::from(*place) % PLACES.len()];
    judge::accepts(&place(seed(), bytes.to_vec()).sign().encode_to_vec())
}

fn put(mut forge: Forge, block: usize, bytes: Vec<u8>) -> Forge {
    forge.blocks[block].bytes = bytes;
    forge
}

/// A further block before the presentation: a caveat that anybody could append, or a second hop by the
/// researcher to itself.
fn between(mut forge: Forge, bytes: Vec<u8>, signed: bool) -> Forge {
    let signer = signed.then(|| hardtack_testkit::forge::pair(&Cast::new().researcher));
    forge.blocks.insert(2, Part { bytes, signer, next: throw_away(3), version: Some(1) });
    let expires = hardtack_testkit::NOW + hardtack_testkit::minutes(5);
    forge.write(
        3,
        &format!(r#"hop(3); presentation("session"); audience("{AUDIENCE}"); expires({expires});"#),
    )
}

fn seed() -> Forge {
    use std::sync::OnceLock;
    static SEED: OnceLock<Vec<u8>> = OnceLock::new();
    let cast = Cast::new();
    let bytes = SEED
        .get_or_init(|| hardtack::Capability::parse(cast.presented().bearer()).unwrap().to_bytes());
    Forge::of(bytes, &cast.root, &[&cast.orchestrator, &cast.researcher])
}

fn seeds() -> Vec<Vec<u8>> {
    let own = seed().blocks.into_iter().map(|part| part.bytes).zip(0..);
    let own = own.map(|(bytes, place)| placed(place, &bytes));
    let holder = hex::encode(Cast::new().researcher.public().to_bytes());
    let hop = |number: u8, more: &str| {
        payload(&format!(
            r#"hop({number}); delegate("agent.researcher"); reason("find"); scope("tools:call:search");
               expires(2026-11-23T10:10:00Z); holder(hex:{holder}); {more}"#
        ))
    };
    let checks = [
        r#"check all operation($o), $o.starts_with("tools:") && $o.length() < 40;"#,
        r#"check if tool($t), ["search", "pay"].any($x -> $x == $t) || $t == "other";"#,
        r#"check all arg("amount", $a), $a <= 100; reject if arg("to", $t), $t.type() == "string";"#,
        r#"check if hop($h), $h > 1 trusting authority or time($t), $t < 2026-11-23T10:10:00Z;"#,
        r#"check if verifier($v), {"a": 1, "b": [2, null]}.get("a") == 1, {"x"}.contains("x");"#,
        r#"check all arg("path", $p), $p.extern::hardtack_path("/srv/data");"#,
        r#"check if tool($t), $t.matches("s.*");"#,
        r#"acted("x");"#,
    ];
    let hops = checks.iter().map(|more| placed(1, &hop(1, more)));
    let caveats = [r#"check if true;"#, r#"check if depth($d), $d < 3;"#];
    let caveats = caveats.iter().map(|checks| placed(3, &payload(checks)));
    let second = [placed(4, &hop(2, "")), placed(4, &hop(2, r#"scope("tools:call:pay");"#))];
    own.chain(hops).chain(caveats).chain(second).collect()
}

fn placed(place: u8, bytes: &[u8]) -> Vec<u8> {
    [&[place], bytes].concat()
}
