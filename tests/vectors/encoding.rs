//! Encoding: bytes that are no token, no token of Biscuit 3.3, or not the one encoding of it; and caps.

use biscuit_auth::builder::Algorithm;
use biscuit_auth::format::schema::{self, term::Content};
use biscuit_auth::{KeyPair, PrivateKey};
use prost::Message;

use crate::case::Case;
use crate::token::*;
use hardtack_testkit::forge::{self, Forge, Proof, pair};

pub fn cases() -> Vec<Case> {
    [texts(), bytes(), blocks(), keys(), versions(), words(), caps()].concat()
}

fn texts() -> Vec<Case> {
    let bearer = seed().bearer();
    let no_token = |title: &str, text: &str| {
        Case::of_text(&format!("no token: {title}"), text).refused("not_a_token", None)
    };
    let unpadded = Case {
        bearer: bearer.trim_end_matches('=').to_owned(),
        ..Case::of("a bearer without padding", &seed())
    };
    vec![
        unpadded.allowed(Some("agent.researcher"), 1),
        no_token("nothing", ""),
        no_token("some word", "garbage!"),
        no_token("too short", "AAAA"),
        no_token("an empty grant", "CgA="),
        no_token("a scheme before it", &format!("Bearer {bearer}")),
        no_token("another alphabet", &bearer.replace('-', "+").replace('_', "/")),
        no_token("padding too much", &format!("{bearer}=")),
        no_token("a line's end", &format!("{bearer}\n")),
        no_token("a space", &format!(" {bearer}")),
        no_token("a half", &bearer[..bearer.len() / 2 / 4 * 4]),
        Case::of_text("too large: as a text", &"A".repeat(22_000)).refused("too_large", None),
        Case::of_text("too large: as bytes", &forge::base64(&vec![0; 16_385]))
            .refused("too_large", None),
    ]
}

fn bytes() -> Vec<Case> {
    let token = seed().sign();
    let bytes = token.encode_to_vec();
    let no_token = |title: &str, parts: &[&[u8]]| {
        Case::of_text(&format!("no token: {title}"), &forge::base64(&parts.concat()))
            .refused("not_a_token", None)
    };
    vec![
        no_token("an unknown field", &[&bytes, &[0x78, 0x01]]),
        no_token("a field twice", &[&[0x08, 0x01, 0x08, 0x02], &bytes]),
        no_token("a long number", &[&[0x08, 0x81, 0x00], &bytes]),
        no_token("the fields in another order", &[&reordered(&token)]),
        no_token("a byte too many", &[&bytes, &[0]]),
        Case::of_token("no token: no proof", &seed().change(|f| f.proof = Proof::None).sign())
            .refused("not_a_token", None),
    ]
}

/// The proof before the blocks.
fn reordered(token: &schema::Biscuit) -> Vec<u8> {
    let without_proof = schema::Biscuit { proof: schema::Proof { content: None }, ..token.clone() };
    let mut bytes = without_proof.encode_to_vec();
    let proof = token.proof.encode_to_vec();
    // An empty proof is the field's number and a length of nothing.
    bytes.truncate(bytes.len() - 2);
    let length = u8::try_from(proof.len()).unwrap();
    [&[0x22, length][..], &proof, &bytes].concat()
}

fn blocks() -> Vec<Case> {
    let wrong = |title: &str, forge: Forge| {
        Case::of(&format!("encoding: {title}"), &forge).refused("encoding", Some(1))
    };
    let add = |bytes: &'static [u8]| seed().change(|f| f.blocks[1].bytes.extend(bytes));
    let one = || schema::Term { content: Some(Content::Integer(1)) };
    let repeats = hop_that_says("check if {1, 2}.contains(1);").edit(1, |block| {
        let check = block.checks.last_mut().unwrap();
        let set = Content::Set(schema::TermSet { set: vec![one(), one()] });
        check.queries[0].expressions[0].ops[0].content =
            Some(schema::op::Content::Value(schema::Term { content: Some(set) }));
    });
    vec![
        wrong("an unknown field in a block", add(&[0x78, 0x01])),
        wrong("a field twice in a block", add(&[0x18, 0x06])),
        wrong("a block that is none", seed().change(|f| f.blocks[1].bytes = vec![0xff; 12])),
        wrong("a check of an unknown kind", seed().edit(1, |block| block.checks[0].kind = Some(9))),
        wrong("Datalog of version 3", seed().edit(1, |block| block.version = Some(3))),
        wrong("Datalog of version 7", seed().edit(1, |block| block.version = Some(7))),
        wrong(
            "a term that is none",
            seed().edit(1, |block| block.facts[0].predicate.terms[0].content = None),
        ),
        wrong(
            "an operation that is none",
            seed().edit(1, |block| block.checks[0].queries[0].expressions[0].ops[0].content = None),
        ),
        wrong("a set with a repeat", repeats),
    ]
}

fn keys() -> Vec<Case> {
    let p256 = || {
        let secret = PrivateKey::from_bytes(&[7; 32], Algorithm::Secp256r1).unwrap();
        KeyPair::from(&secret)
    };
    let zero = |title: &str, bytes: [u8; 32]| {
        let mut token = seed().sign();
        token.blocks[0].external_signature.as_mut().unwrap().public_key.key = bytes.to_vec();
        Case::of_token(title, &token).refused("algorithm", Some(1))
    };
    let mut next = seed().sign();
    next.blocks[0].next_key.key = vec![0; 32];
    let mut short = seed().sign();
    short.blocks[0].next_key.key.pop();
    let holder = |bytes: &str| with_hop(crate::honest::bare_hop().swap(&digits(RESEARCHER), bytes));
    let not_canonical = format!("ee{}7f", "ff".repeat(30));
    vec![
        Case::of("algorithm: a root key of P-256", &seed().change(|f| f.root = p256()))
            .refused("signature_version", Some(0)),
        Case::of(
            "algorithm: a throw-away key of P-256",
            &seed().change(|f| f.blocks[1].next = p256()),
        )
        .refused("algorithm", Some(1)),
        Case::of(
            "algorithm: a signer of P-256",
            &seed().change(|f| f.blocks[1].signer = Some(p256())),
        )
        .refused("algorithm", Some(1)),
        Case::of(
            "algorithm: a key of P-256 in a block",
            &seed().edit(1, |block| block.public_keys[0] = p256().public().to_proto()),
        )
        .refused("algorithm", Some(1)),
        zero("algorithm: a signer for whom anybody can sign", [0; 32]),
        zero("algorithm: a signer that is no point", [0xff; 32]),
        Case::of("algorithm: a holder for whom anybody can sign", &holder(&"00".repeat(32)))
            .refused("algorithm", Some(1)),
        Case::of("algorithm: a holder in another encoding of its key", &holder(&not_canonical))
            .refused("algorithm", Some(1)),
        Case::of_token("algorithm: a throw-away key that is too short", &short)
            .refused("algorithm", Some(1)),
        Case::of_token("signature: a throw-away key for which anybody can sign", &next)
            .refused("signature", Some(1)),
    ]
}

fn versions() -> Vec<Case> {
    let wrong = |title: String, forge: Forge, block| {
        Case::of(&title, &forge).refused("signature_version", Some(block))
    };
    let versions = [(None, "none"), (Some(0), "0"), (Some(2), "2")];
    let mut cases = Vec::new();
    for (block, name) in ["grant", "hop", "presentation"].into_iter().enumerate() {
        for (version, word) in versions {
            let forge = seed().change(|f| f.blocks[block].version = version);
            cases.push(wrong(format!("signature version {word} of the {name}"), forge, block));
        }
    }
    let token = |change: &dyn Fn(&mut schema::Biscuit)| {
        let mut token = seed().sign();
        change(&mut token);
        token
    };
    let long = |title: &str, token, block| {
        Case::of_token(title, &token).refused("signature_version", Some(block))
    };
    cases.extend([
        long(
            "a block signature that is too short",
            token(&|t| t.blocks[0].signature.truncate(63)),
            1,
        ),
        long("a block signature that is too long", token(&|t| t.blocks[0].signature.push(0)), 1),
        long(
            "an external signature that is too short",
            token(&|t| t.blocks[0].external_signature.as_mut().unwrap().signature.truncate(63)),
            1,
        ),
        long(
            "a last signature that is too short",
            token(&|t| t.proof.content = Some(schema::proof::Content::FinalSignature(vec![0; 63]))),
            2,
        ),
        long(
            "a last secret that is too short",
            token(&|t| t.proof.content = Some(schema::proof::Content::NextSecret(vec![0; 31]))),
            2,
        ),
    ]);
    cases
}

fn words() -> Vec<Case> {
    let wrong = |title: &str, forge: Forge, block| {
        Case::of(&format!("symbols: {title}"), &forge).refused("symbols", Some(block))
    };
    let grant_words =
        schema::Block::decode(seed().blocks[0].bytes.as_slice()).unwrap().symbols.len() as u64;
    let from_later = token(grant(), [bare("check if x(\"user:bob\")")]).edit(0, |block| {
        block.facts[1].predicate.terms[0].content = Some(Content::String(1024 + grant_words))
    });
    vec![
        wrong(
            "a name that is not defined",
            seed().edit(1, |block| block.facts[0].predicate.name = 9_999),
            1,
        ),
        wrong(
            "a variable that is not defined",
            seed().edit(1, |block| {
                block.checks[0].queries[0].body[0].terms[0].content =
                    Some(Content::Variable(9_999));
            }),
            1,
        ),
        wrong(
            "a word defined twice",
            seed().edit(1, |block| {
                let word = block.symbols[0].clone();
                block.symbols.push(word);
            }),
            1,
        ),
        wrong(
            "a word that is defined for everybody",
            seed().edit(1, |block| block.symbols.push("read".to_owned())),
            1,
        ),
        wrong("a key that is not defined", seed().edit(1, |block| block.public_keys.clear()), 1),
        wrong("a word that only a later block defines", from_later, 0),
        wrong(
            "a word of the grant in a hop",
            seed().edit(1, |block| block.facts[0].predicate.name = 1_024 + 200),
            1,
        ),
    ]
}

/// Each cap at its bound, and one above.
fn caps() -> Vec<Case> {
    let list = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let arrays = |depth: usize| {
        format!("check if {}1{}.length() > 0;", "[".repeat(depth), "]".repeat(depth))
    };
    let lazy = |levels: usize| {
        format!("check if {}true{};", "1 > 0 && (".repeat(levels), ")".repeat(levels))
    };
    let product = |count: usize| vec!["1"; count].join(" * ");
    // The seed has 9 checks and 20 facts.
    let pairs: [(&str, String, String); 12] = [
        ("checks", "check if true; ".repeat(55), "check if true; ".repeat(62)),
        ("alternatives", any_of(4), any_of(5)),
        (
            "predicates",
            "check if time($a), operation($b);".to_owned(),
            "check if time($a), operation($b), verifier($c);".to_owned(),
        ),
        (
            "operations",
            format!("check if ({}) == 1;", product(15)),
            format!("check if {} == 1;", product(16)),
        ),
        (
            "additions",
            "check if 1 + 1 + 1 + 1 + 1 > 0;".to_owned(),
            "check if 1 + 1 + 1 + 1 + 1 + 1 > 0;".to_owned(),
        ),
        (
            "members of a set",
            format!("check if {{{}}}.contains(1);", list(64)),
            format!("check if {{{}}}.contains(1);", list(65)),
        ),
        (
            "members of an array",
            format!("check if [{}].contains(1);", list(64)),
            format!("check if [{}].contains(1);", list(65)),
        ),
        (
            "bytes in a text",
            format!(r#"check if "{}" != "a";"#, "x".repeat(1_024)),
            format!(r#"check if "{}" != "a";"#, "x".repeat(1_025)),
        ),
        (
            "bytes in bytes",
            format!("check if hex:{} != hex:00;", "00".repeat(1_024)),
            format!("check if hex:{} != hex:00;", "00".repeat(1_025)),
        ),
        ("levels of lazy operations", lazy(4), lazy(5)),
        ("levels of terms", arrays(8), arrays(9)),
        (
            "origins of a query",
            "check if hop($n) trusting previous;".to_owned(),
            "check if hop($n) trusting authority, previous;".to_owned(),
        ),
    ];
    let pairs = pairs.into_iter().flat_map(|(what, most, more)| {
        [most_allowed(what, &hop_that_says(&most)), too_many(what, &hop_that_says(&more), 1)]
    });
    let with_caveats = |caveats: usize| {
        let blocks = std::iter::once(by(ORCHESTRATOR, hop()));
        let blocks = blocks.chain((0..caveats).map(|_| bare("check if true")));
        token(grant(), blocks.chain([by(RESEARCHER, session(caveats + 2))]))
    };
    let with_levels = |count: usize| {
        let levels: String = (0..count).map(|n| format!("level({n}); ")).collect();
        with_grant(grant().plus(&levels))
    };
    let words = (0..257).map(|n| format!("w{n}"));
    let another = format!("check if hop($n) trusting {};", pair(&key(THIEF)).public());
    let costly =
        format!("check if [{}].all($x -> $x > 0 && $x < 100 && $x != 7 && $x != 8); ", list(20));
    let others = [
        most_allowed("blocks", &with_caveats(13)),
        too_many("blocks", &with_caveats(14), 0),
        most_allowed("facts", &with_levels(236)),
        too_many("facts", &with_levels(237), 2),
        too_many("words", &seed().edit(1, |block| block.symbols.extend(words)), 1),
        too_many("keys", &hop_that_says(&another), 1),
        Case::of("checks that could cost too much", &hop_that_says(&costly.repeat(50)))
            .refused("too_costly", None),
    ];
    pairs.chain(others).collect()
}

fn any_of(alternatives: usize) -> String {
    format!("check if {};", vec!["true"; alternatives].join(" or "))
}

fn most_allowed(what: &str, forge: &Forge) -> Case {
    Case::of(&format!("as many as allowed: {what}"), forge).allowed(Some("agent.researcher"), 1)
}

fn too_many(what: &str, forge: &Forge, block: usize) -> Case {
    Case::of(&format!("too many: {what}"), forge).refused("over_limit", Some(block))
}
