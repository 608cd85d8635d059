//! One test per cause of refusal. Tokens that our own API cannot make are made with the plain Biscuit
//! library or signed anew by the forge, as somebody would who holds a token and some of the keys.

mod common;

use std::time::Duration;

use biscuit_auth::KeyPair;
use biscuit_auth::format::schema::{self, term::Content};
use common::forge::{self, Forge, Proof};
use common::*;
use hardtack::audit::{Ledger, LedgerUnavailable, Once, Settlement};
use hardtack::revocation::{
    Knowledge, RevocationSource, RevocationUnchecked, RevocationsUnavailable, Revoked,
};
use hardtack::*;
use prost::Message;

/// The presented chain of the seed, in the forge: grant, hop, presentation.
fn seed() -> Forge {
    let cast = Cast::new();
    let presented = Capability::parse(cast.presented().bearer()).unwrap().to_bytes();
    Forge::of(&presented, &cast.root, &[&cast.orchestrator, &cast.researcher])
}

/// The cause and block for which the verifier refuses.
fn cause(bearer: &str) -> (&'static str, Option<usize>) {
    cause_by(&Cast::new().verifier(), bearer)
}

fn cause_by(verifier: &Verifier, bearer: &str) -> (&'static str, Option<usize>) {
    let error = verifier.verify(bearer, NOW).expect_err("accepted");
    (error.cause(), error.block())
}

fn hop(more: &str) -> String {
    let researcher = hex::encode(Cast::new().researcher.public().to_bytes());
    format!(
        r#"hop(1); delegate("agent.researcher"); reason("find"); expires(2026-11-23T10:10:00Z); holder(hex:{researcher}); {more}"#
    )
}

const SCOPE: &str = r#"scope("tools:call:search");"#;

fn with_hop(more: &str) -> Forge {
    seed().write(1, &hop(&format!("{SCOPE} {more}")))
}

#[test]
fn what_the_forge_does_not_change_is_accepted() {
    Cast::new().verifier().verify(&seed().bearer(), NOW).unwrap();
    Cast::new().verifier().verify(&with_hop("").bearer(), NOW).unwrap();
    Cast::new()
        .verifier()
        .verify(&with_hop("").change(|f| f.proof = Proof::Secret).bearer(), NOW)
        .unwrap();
}

// ---- text and encoding ------------------------------------------------------------------------

#[test]
fn what_is_no_token() {
    for text in ["", "garbage!", "AAAA", "CgA=", "Bearer x"] {
        assert_eq!(cause(text), ("not_a_token", None), "{text:?}");
    }
    assert_eq!(cause(&seed().change(|f| f.proof = Proof::None).bearer()), ("not_a_token", None));
}

#[test]
fn text_with_spare_bits_or_another_alphabet() {
    let bearer = seed().bearer();
    let without_padding = bearer.trim_end_matches('=');
    Cast::new().verifier().verify(without_padding, NOW).unwrap();
    assert_eq!(cause(&bearer.replace('-', "+").replace('_', "/")).0, "not_a_token");
    assert_eq!(cause(&format!("{bearer}=")).0, "not_a_token");
    assert_eq!(cause(&format!("{bearer}\n")).0, "not_a_token");
}

#[test]
fn unknown_fields_fields_said_twice_and_long_numbers() {
    let token = seed().sign();
    let bytes = token.encode_to_vec();
    let unknown_field = [&bytes[..], &[0x78, 0x01]].concat();
    let said_twice = [
        &schema::Biscuit { root_key_id: Some(1), ..token.clone() }.encode_to_vec()[..2],
        &[0x08, 0x02],
        &bytes[..],
    ]
    .concat();
    let long_number = [&[0x08, 0x81, 0x00], &bytes[..]].concat();
    for bytes in [unknown_field, said_twice, long_number] {
        assert_eq!(cause(&forge::base64(&bytes)), ("not_a_token", None));
    }
}

#[test]
fn a_block_that_is_encoded_in_another_way() {
    let unknown_field = seed().change(|f| f.blocks[1].bytes.extend([0x78, 0x01]));
    assert_eq!(cause(&unknown_field.bearer()), ("encoding", Some(1)));
    let merged = seed().change(|f| f.blocks[1].bytes.extend([0x18, 0x06]));
    assert_eq!(cause(&merged.bearer()), ("encoding", Some(1)));
    let garbage = seed().change(|f| f.blocks[1].bytes = vec![0xff; 12]);
    assert_eq!(cause(&garbage.bearer()), ("encoding", Some(1)));
    let kind = seed().edit(1, |block| block.checks[0].kind = Some(9));
    assert_eq!(cause(&kind.bearer()), ("encoding", Some(1)));
    let version = seed().edit(1, |block| block.version = Some(3));
    assert_eq!(cause(&version.bearer()), ("encoding", Some(1)));
}

#[test]
fn too_many_bytes() {
    assert_eq!(cause(&"A".repeat(22_000)), ("too_large", None));
    assert_eq!(cause(&forge::base64(&vec![0; 16_385])), ("too_large", None));
}

#[test]
fn too_many_blocks() {
    let chain = (3..17).fold(seed(), |forge, _| forge.append("check if true", None));
    assert_eq!(cause(&chain.bearer()).0, "over_limit");
}

#[test]
fn too_many_checks_alternatives_predicates_operations_and_additions() {
    let too_many = |datalog: &str| {
        assert_eq!(cause(&with_hop(datalog).bearer()), ("over_limit", Some(1)), "{datalog}")
    };
    too_many(&"check if true; ".repeat(65));
    too_many("check if true or true or true or true or true");
    too_many("check if time($a), time($b), time($c)");
    too_many(&format!("check if {}", vec!["true"; 33].join(" &&! ")));
    too_many("check if 1 + 1 + 1 + 1 + 1 + 1 > 0");
    too_many(&format!(
        "check if {{{}}}.contains(1)",
        (0..65).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
    ));
    too_many(&format!(r#"check if "{}" == "a""#, "x".repeat(1025)));
    too_many("check if 1 > 0 && (1 > 0 && (1 > 0 && (1 > 0 && (1 > 0 && true))))");
    too_many("check if [[[[[[[[[[1]]]]]]]]]].length() > 0");
}

#[test]
fn too_many_words_facts_and_keys() {
    let words: String = (0..257).map(|n| format!("check if x(\"word{n}\"); ")).take(60).collect();
    let many = with_hop(&words)
        .append(&words, None)
        .edit(3, |block| block.symbols.extend((0..200).map(|n| format!("w{n}"))));
    assert_eq!(cause(&many.bearer()).0, "over_limit");
    let scopes: String = (0..257).map(|_| "scope(\"tools:call:search\"); ".to_owned()).collect();
    assert_eq!(cause(&with_hop(&scopes).bearer()).0, "over_limit");
    let key = |seed| PrivateKey::from_bytes(&[seed; 32]).public();
    let keys =
        format!("check if hop($n) trusting {}; check if hop($n) trusting {}", key(7), key(8));
    assert_eq!(cause(&with_hop(&keys).bearer()), ("over_limit", Some(1)));
}

#[test]
fn checks_that_could_cost_too_much() {
    let join = "check if delegated($a, $b, $c), arg($x, $y), $a > 0; ".repeat(8);
    Cast::new().verifier().verify(&with_hop(&join).bearer(), NOW).unwrap();
    let costly = (0..50).fold(String::new(), |all, _| {
        all + "check if [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20].all($x -> $x > 0 && $x < 100 && $x != 7 && $x != 8); "
    });
    assert_eq!(cause(&with_hop(&costly).bearer()), ("too_costly", None));
}

// ---- keys and signatures ----------------------------------------------------------------------

#[test]
fn p256_anywhere() {
    let grant = seed().change(|f| f.root = forge::p256());
    assert_eq!(cause(&grant.bearer()).0, "signature_version");
    let next_key = seed().change(|f| f.blocks[1].next = forge::p256());
    assert_eq!(cause(&next_key.bearer()), ("algorithm", Some(1)));
    let signer = seed().change(|f| f.blocks[1].signer = Some(forge::p256()));
    assert_eq!(cause(&signer.bearer()), ("algorithm", Some(1)));
    let table = seed().edit(1, |block| block.public_keys[0] = forge::p256().public().to_proto());
    assert_eq!(cause(&table.bearer()), ("algorithm", Some(1)));
}

#[test]
fn keys_that_are_none_or_for_which_anybody_can_sign() {
    for bytes in [[0_u8; 32], [0xff; 32]] {
        let mut token = seed().sign();
        token.blocks[0].next_key.key = bytes.to_vec();
        assert_eq!(cause(&forge::base64(&token.encode_to_vec())), ("signature", Some(1)));
        let mut token = seed().sign();
        token.blocks[0].external_signature.as_mut().unwrap().public_key.key = bytes.to_vec();
        assert_eq!(cause(&forge::base64(&token.encode_to_vec())), ("algorithm", Some(1)));
    }
    let holder = seed().write(1, &format!(r#"hop(1); delegate("a"); reason("b"); expires(2026-11-23T10:10:00Z); {SCOPE} holder(hex:{});"#, "00".repeat(32)));
    assert_eq!(cause(&holder.bearer()), ("algorithm", Some(1)));
}

#[test]
fn signature_version_0_anywhere() {
    for block in 0..3 {
        for version in [None, Some(0), Some(2)] {
            let forged = seed().change(|f| f.blocks[block].version = version);
            assert_eq!(cause(&forged.bearer()), ("signature_version", Some(block)));
        }
    }
    let mut short = seed().sign();
    short.blocks[0].signature.pop();
    assert_eq!(cause(&forge::base64(&short.encode_to_vec())), ("signature_version", Some(1)));
}

#[test]
fn another_root() {
    let forged = seed().change(|f| f.root = KeyPair::new());
    assert_eq!(cause(&forged.bearer()), ("signature", Some(0)));
}

#[test]
fn a_root_key_id_that_nobody_knows() {
    let cast = Cast::new();
    let roots = RootKeys::default().and_with_id(1, cast.root.public());
    let verifier = Verifier::new(roots, AUDIENCE, RevocationUnchecked).unwrap();
    assert_eq!(cause_by(&verifier, &seed().bearer()), ("unknown_root", None));
    assert_eq!(
        cause_by(&verifier, &seed().change(|f| f.root_key_id = Some(2)).bearer()),
        ("unknown_root", None)
    );
    verifier.verify(&seed().change(|f| f.root_key_id = Some(1)).bearer(), NOW).unwrap();
}

#[test]
fn a_change_of_any_byte_of_a_signed_block() {
    let token = seed().sign();
    let mut refused = 0;
    for block in 0..3 {
        let length = if block == 0 {
            token.authority.block.len()
        } else {
            token.blocks[block - 1].block.len()
        };
        for at in 0..length {
            let mut changed = token.clone();
            let signed =
                if block == 0 { &mut changed.authority } else { &mut changed.blocks[block - 1] };
            signed.block[at] ^= 1;
            Cast::new()
                .verifier()
                .verify(&forge::base64(&changed.encode_to_vec()), NOW)
                .unwrap_err();
            refused += 1;
        }
    }
    assert!(refused > 300);
}

#[test]
fn blocks_spliced_from_another_token() {
    let another =
        seed().change(|f| f.blocks.iter_mut().for_each(|part| part.next = KeyPair::new()));
    let (mut one, two) = (seed().sign(), another.sign());
    one.blocks[1] = two.blocks[1].clone();
    assert_eq!(cause(&forge::base64(&one.encode_to_vec())), ("signature", Some(2)));
    let mut external = seed().sign();
    external.blocks[0].external_signature = two.blocks[0].external_signature.clone();
    assert_eq!(cause(&forge::base64(&external.encode_to_vec())), ("signature", Some(1)));
}

#[test]
fn a_proof_that_is_not_the_last_blocks() {
    let mut token = seed().sign();
    token.proof.content = Some(schema::proof::Content::NextSecret(vec![7; 32]));
    assert_eq!(cause(&forge::base64(&token.encode_to_vec())), ("signature", Some(2)));
    token.proof.content = Some(schema::proof::Content::FinalSignature(vec![7; 64]));
    assert_eq!(cause(&forge::base64(&token.encode_to_vec())), ("signature", Some(2)));
}

#[test]
fn a_signature_on_the_grant_by_somebody_else() {
    let mut token = seed().sign();
    token.authority.external_signature = token.blocks[0].external_signature.clone();
    assert_eq!(cause(&forge::base64(&token.encode_to_vec())), ("content", Some(0)));
}

// ---- what blocks may say ----------------------------------------------------------------------

#[test]
fn rules_contexts_and_block_wide_trust() {
    let rule = with_hop(r#"granted($op) <- operation($op)"#);
    assert_eq!(cause(&rule.bearer()), ("content", Some(1)));
    let context = seed().edit(1, |block| block.context = Some("x".into()));
    assert_eq!(cause(&context.bearer()), ("content", Some(1)));
    let scope = schema::Scope { content: Some(schema::scope::Content::ScopeType(1)) };
    let trusting = seed().edit(1, |block| block.scope.push(scope));
    assert_eq!(cause(&trusting.bearer()), ("content", Some(1)));
}

#[test]
fn operations_that_hide_errors_cost_too_much_or_call_out() {
    for datalog in [
        r#"check if operation($op), $op.matches("a")"#,
        r#"check if operation($op), $op.extern::f()"#,
        r#"check if operation($op), $op.extern::f("a")"#,
        "check if (1 / 0 > 0).try_or(true)",
        "check if [[1]].all($x -> $x.all($y -> $y > 0))",
        "check if [1].all($x -> $x + 1 > 0)",
    ] {
        assert_eq!(cause(&with_hop(datalog).bearer()), ("content", Some(1)), "{datalog}");
    }
}

#[test]
fn facts_that_are_not_the_blocks_to_assert() {
    for fact in [
        "time(2020-01-01T00:00:00Z)",
        r#"granted("x")"#,
        "depth(0)",
        r#"subject("user:bob")"#,
        r#"presentation("call")"#,
        r#"role("admin")"#,
    ] {
        let forged = with_hop(&format!("{fact};"));
        assert!(["content", "fact"].contains(&cause(&forged.bearer()).0), "{fact}");
    }
    let cast = Cast::new();
    for fact in ["hop(1)", "granted(\"x\")", "reason(\"x\")"] {
        let grant = format!(
            r#"hardtack(1); subject("user:alice"); scope("*"); issued(2026-11-23T10:00:00Z); expires(2026-11-23T11:00:00Z); max_depth(8); holder(hex:{}); {fact};"#,
            hex::encode(cast.orchestrator.public().to_bytes())
        );
        assert_eq!(cause(&seed().write(0, &grant).bearer()), ("content", Some(0)), "{fact}");
    }
}

#[test]
fn facts_of_another_number_arity_or_type() {
    let presentation = |facts: &str| seed().write(2, facts);
    for (forged, expected) in [
        (with_hop("hop(1);"), "fact"),
        (with_hop(r#"reason("find");"#), "fact"),
        (with_hop(r#"reason("another");"#), "fact"),
        (with_hop(SCOPE), "fact"),
        (seed().write(1, &hop(r#"scope("tools:call:search", 1);"#)), "fact"),
        (seed().write(1, &hop("scope(1);")), "fact"),
        (seed().write(1, &hop("")), "no_scope"),
        (
            seed().write(
                1,
                &format!(r#"hop(1); delegate("a"); {SCOPE} expires(2026-11-23T10:10:00Z);"#),
            ),
            "no_reason",
        ),
        (seed().write(1, &format!(r#"hop(1); delegate("a"); {SCOPE} reason("b");"#)), "no_expiry"),
        (
            seed().write(
                1,
                &format!(
                    r#"hop(2); delegate("a"); {SCOPE} reason("b"); expires(2026-11-23T10:10:00Z);"#
                ),
            ),
            "fact",
        ),
        (
            presentation(
                r#"hop(2); presentation("other"); audience("notion.mcp"); expires(2026-11-23T10:02:00Z);"#,
            ),
            "fact",
        ),
        (
            presentation(r#"hop(2); presentation("session"); expires(2026-11-23T10:02:00Z);"#),
            "fact",
        ),
        (
            presentation(
                r#"hop(2); presentation("session"); audience("notion.mcp"); audience("mail.mcp"); expires(2026-11-23T10:02:00Z);"#,
            ),
            "fact",
        ),
        (
            presentation(
                r#"hop(2); presentation("call"); audience("notion.mcp"); expires(2026-11-23T10:02:00Z);"#,
            ),
            "fact",
        ),
        (
            presentation(&format!(
                r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:02:00Z); digest(hex:{});"#,
                "00".repeat(32)
            )),
            "fact",
        ),
    ] {
        assert_eq!(cause(&forged.bearer()).0, expected);
    }
}

#[test]
fn a_grant_without_its_subject_or_of_another_profile() {
    let grant = |facts: &str| {
        cause(&seed().write(0, &format!(r#"scope("*"); issued(2026-11-23T10:00:00Z); expires(2026-11-23T11:00:00Z); {facts}"#)).bearer())
    };
    assert_eq!(grant("hardtack(1); max_depth(8);"), ("no_subject", Some(0)));
    assert_eq!(grant(r#"subject("user:alice"); max_depth(8);"#), ("fact", Some(0)));
    assert_eq!(grant(r#"hardtack(2); subject("user:alice"); max_depth(8);"#), ("fact", Some(0)));
    assert_eq!(grant(r#"hardtack(1); subject("user:alice"); max_depth(14);"#), ("fact", Some(0)));
    assert_eq!(grant(r#"hardtack(1); subject("user:alice"); max_depth(-1);"#), ("fact", Some(0)));
    assert_eq!(grant(r#"hardtack(1); subject("alice"); max_depth(8);"#), ("name", Some(0)));
}

#[test]
fn names_scopes_and_reasons_that_are_not_of_their_form() {
    let with = |delegate: &str, scope: &str, reason: &str| {
        let datalog = format!(
            r#"hop(1); delegate("{delegate}"); scope("{scope}"); reason("{reason}"); expires(2026-11-23T10:10:00Z);"#
        );
        cause(&seed().write(1, &datalog).bearer())
    };
    assert_eq!(with("user:alice", "tools:call:search", "find"), ("name", Some(1)));
    assert_eq!(with("agent.a", "tools:call:se*", "find"), ("name", Some(1)));
    assert_eq!(with("agent.a", "tools:call:search", "find\u{202e}"), ("name", Some(1)));
    assert_eq!(with("agent.a", "tools:call:search", ""), ("name", Some(1)));
}

#[test]
fn words_that_are_not_defined_or_are_defined_twice() {
    let undefined = seed().edit(1, |block| block.facts[0].predicate.name = 9999);
    assert_eq!(cause(&undefined.bearer()), ("symbols", Some(1)));
    let variable = seed().edit(1, |block| {
        block.checks[0].queries[0].body[0].terms[0].content = Some(Content::Variable(9999))
    });
    assert_eq!(cause(&variable.bearer()), ("symbols", Some(1)));
    let twice = seed().edit(1, |block| {
        let word = block.symbols[0].clone();
        block.symbols.push(word);
    });
    assert_eq!(cause(&twice.bearer()), ("symbols", Some(1)));
    let default = seed().edit(1, |block| block.symbols.push("read".into()));
    assert_eq!(cause(&default.bearer()), ("symbols", Some(1)));
    let key = seed().edit(1, |block| block.public_keys.clear());
    assert_eq!(cause(&key.bearer()), ("symbols", Some(1)));
}

#[test]
fn a_word_that_only_a_later_block_defines() {
    let grant_words =
        schema::Block::decode(seed().blocks[0].bytes.as_slice()).unwrap().symbols.len() as u64;
    let forged = seed()
        .edit(0, |block| {
            block.facts[1].predicate.terms[0].content = Some(Content::String(1024 + grant_words))
        })
        .append("check if x(\"user:bob\")", None);
    assert_eq!(cause(&forged.bearer()), ("symbols", Some(0)));
}

#[test]
fn variables_in_facts_dates_beyond_9999_and_sets_with_repeats() {
    let variable = seed()
        .edit(1, |block| block.facts[0].predicate.terms[0].content = Some(Content::Variable(0)));
    assert_eq!(cause(&variable.bearer()), ("content", Some(1)));
    let date = seed().edit(1, |block| {
        let expires = block
            .facts
            .iter_mut()
            .find(|fact| matches!(fact.predicate.terms[0].content, Some(Content::Date(_))));
        expires.unwrap().predicate.terms[0].content = Some(Content::Date(253_402_300_800));
    });
    assert_eq!(cause(&date.bearer()), ("content", Some(1)));
    let one = || schema::Term { content: Some(Content::Integer(1)) };
    let nested = with_hop("check if {1, 2}.contains(1)").edit(1, |block| {
        let op = &mut block.checks[0].queries[0].expressions[0].ops[0];
        let set = schema::Term {
            content: Some(Content::Set(schema::TermSet { set: vec![one(), one()] })),
        };
        op.content = Some(schema::op::Content::Value(set));
    });
    assert_eq!(cause(&nested.bearer()), ("encoding", Some(1)));
}

#[test]
fn blocks_that_are_of_no_kind() {
    let signed_caveat = seed().write(1, "check if true");
    assert_eq!(cause(&signed_caveat.bearer()), ("block_kind", Some(1)));
    let facts_without_hop = seed().write(1, r#"role("admin")"#);
    assert_eq!(cause(&facts_without_hop.bearer()), ("block_kind", Some(1)));
}

#[test]
fn anything_after_the_presentation() {
    let cast = Cast::new();
    let caveat = seed().append("check if true", None);
    assert_eq!(cause(&caveat.bearer()), ("after_presentation", Some(3)));
    let renamed = format!(
        r#"hop(3); delegate("agent.ceo"); {SCOPE} reason("x"); expires(2026-11-23T10:01:00Z);"#
    );
    let hop = seed().append(&renamed, Some(&cast.researcher));
    assert_eq!(cause(&hop.bearer()), ("after_presentation", Some(3)));
    let again = r#"hop(3); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:01:00Z);"#;
    assert_eq!(
        cause(&seed().append(again, Some(&cast.researcher)).bearer()),
        ("after_presentation", Some(3))
    );
}

// ---- the walk ---------------------------------------------------------------------------------

#[test]
fn expired() {
    let error = Cast::new().verifier().verify(&seed().bearer(), NOW + minutes(5)).unwrap_err();
    assert_eq!((error.cause(), error.block()), ("expired", Some(2)));
    let (cast, just_before) = (Cast::new(), NOW + minutes(5) - Duration::from_secs(1));
    cast.verifier().verify(&seed().bearer(), just_before).unwrap();
}

#[test]
fn signed_by_a_thief_or_by_nobody() {
    let cast = Cast::new();
    let thief = || Some(forge::pair(&cast.thief));
    assert_eq!(
        cause(&seed().change(|f| f.blocks[1].signer = thief()).bearer()),
        ("wrong_signer", Some(1))
    );
    assert_eq!(
        cause(&seed().change(|f| f.blocks[2].signer = thief()).bearer()),
        ("wrong_signer", Some(2))
    );
    // A first-party block reads by the shared table of words, so the forge writes it as such.
    let unsigned = cast.researchers();
    let token = biscuit_auth::UnverifiedBiscuit::from(unsigned.to_bytes()).unwrap();
    let block = biscuit_auth::builder::BlockBuilder::new();
    let block = block.code(r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:02:00Z);"#).unwrap();
    let bearer = token.append(block).unwrap().to_base64().unwrap();
    assert_eq!(cause(&bearer), ("wrong_signer", Some(2)));
}

#[test]
fn a_chain_that_is_bound_to_nobody() {
    let cast = Cast::new();
    let unbound = cast
        .issuer()
        .mint(Grant::to("user:alice").scope("*").scope("hardtack:revoke").unbound(), NOW)
        .unwrap();
    let bearer = unbound.present_unbound(Presenting::to(AUDIENCE), NOW).unwrap();
    assert_eq!(cause(bearer.bearer()), ("unbound", Some(1)));
    let delegated = unbound.delegate_unbound(cast.to_researcher(), NOW).unwrap();
    let second = delegated.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
    assert_eq!(cause(second.bearer()), ("unbound", Some(1)));
    let tolerant = cast.verifier().accept_unbound_hops();
    let verified = tolerant.verify(second.bearer(), NOW).unwrap();
    authorize(&verified, &Policy::builtin(), &search()).unwrap();
    let verified = tolerant.verify(bearer.bearer(), NOW).unwrap();
    let governing = Call::new("hardtack:revoke").unwrap();
    assert_eq!(
        authorize(&verified, &Policy::builtin(), &governing).unwrap_err().cause(),
        "unbound"
    );
}

#[test]
fn a_signature_that_says_nothing() {
    let cast = Cast::new();
    let unbound = cast.issuer().mint(Grant::to("user:alice").scope("*").unbound(), NOW).unwrap();
    let forged = Forge::of(&unbound.to_bytes(), &cast.root, &[])
        .append(&hop(SCOPE), Some(&cast.thief))
        .append(r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:02:00Z);"#, Some(&cast.researcher));
    let verifier = cast.verifier().accept_unbound_hops();
    assert_eq!(cause_by(&verifier, &forged.bearer()), ("foreign_signer", Some(1)));
}

#[test]
fn hops_that_widen() {
    assert_eq!(cause(&seed().write(1, &hop(r#"scope("*");"#)).bearer()), ("scope_wider", Some(1)));
    assert_eq!(cause(&with_hop(r#"scope("resources:read");"#).bearer()), ("scope_wider", Some(1)));
    let late = hop(SCOPE).replace("10:10:00Z", "11:00:01Z");
    assert_eq!(cause(&seed().write(1, &late).bearer()), ("expiry_wider", Some(1)));
    let late = r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:15:01Z);"#;
    assert_eq!(cause(&seed().write(2, late).bearer()), ("expiry_wider", Some(2)));

    let cast = Cast::new();
    let grant = cast
        .issuer()
        .mint(cast.grant_of(&["tools:call:*"]).audience(AUDIENCE).max_depth(1), NOW)
        .unwrap();
    let forge = || Forge::of(&grant.to_bytes(), &cast.root, &[]);
    let audience = forge()
        .append(&hop(&format!(r#"{SCOPE} audience("mail.mcp");"#)), Some(&cast.orchestrator));
    let presented =
        r#"hop(2); presentation("session"); audience("mail.mcp"); expires(2026-11-23T10:02:00Z);"#;
    assert_eq!(
        cause(&audience.append(presented, Some(&cast.researcher)).bearer()),
        ("audience_wider", Some(1))
    );
    let inherited = forge()
        .append(&hop(SCOPE), Some(&cast.orchestrator))
        .append(presented, Some(&cast.researcher));
    assert_eq!(cause(&inherited.bearer()), ("audience_wider", Some(2)));
    let second = hop(SCOPE).replace("hop(1)", "hop(2)");
    let deep = forge()
        .append(&hop(SCOPE), Some(&cast.orchestrator))
        .append(&second, Some(&cast.researcher));
    assert_eq!(cause(&deep.bearer()), ("too_deep", Some(2)));
}

#[test]
fn lives_longer_than_minutes() {
    let life = |from: &str, to: &str, block: usize, datalog: &str| {
        cause(&seed().write(block, &datalog.replace(from, to)).bearer())
    };
    let cast = Cast::new();
    let holder = hex::encode(cast.orchestrator.public().to_bytes());
    let grant = format!(
        r#"hardtack(1); subject("user:alice"); scope("*"); issued(2026-11-23T10:00:00Z); expires(2026-11-24T10:00:00Z); max_depth(8); holder(hex:{holder});"#
    );
    assert_eq!(life("24T10:00:00Z", "24T10:00:01Z", 0, &grant), ("too_long_lived", Some(0)));
    let longest = seed().write(0, &grant).write(1, &hop(SCOPE).replace("10:10:00Z", "11:00:01Z"));
    assert_eq!(cause(&longest.bearer()), ("too_long_lived", Some(1)));
    let session = r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:10:01Z);"#;
    assert_eq!(life("", "", 2, session), ("too_long_lived", Some(2)));
    let call = format!(
        r#"hop(2); presentation("call"); audience("notion.mcp"); expires(2026-11-23T10:02:01Z); digest(hex:{}); nonce(hex:{});"#,
        "00".repeat(32),
        "00".repeat(16)
    );
    assert_eq!(life("", "", 2, &call), ("too_long_lived", Some(2)));
    let patient = Lifetimes { session: minutes(60), ..Lifetimes::default() };
    cast.verifier().lifetimes(patient).verify(&seed().write(2, session).bearer(), NOW).unwrap();
}

#[test]
fn a_grant_from_the_future() {
    let verify = |seconds| {
        Cast::new().verifier().verify(&seed().bearer(), NOW - Duration::from_secs(seconds))
    };
    verify(60).unwrap();
    let error = verify(61).unwrap_err();
    assert_eq!((error.cause(), error.block()), ("not_yet_issued", Some(0)));
}

#[test]
fn a_grant_that_expires_before_it_was_issued() {
    let holder = hex::encode(Cast::new().orchestrator.public().to_bytes());
    let grant = format!(
        r#"hardtack(1); subject("user:alice"); scope("*"); issued(2026-11-23T10:00:50Z); expires(2026-11-23T10:00:50Z); max_depth(8); holder(hex:{holder});"#
    );
    let forged = seed().write(0, &grant);
    assert_eq!(cause(&forged.bearer()), ("issued_after_expiry", Some(0)));
}

#[test]
fn a_root_key_as_holder() {
    let cast = Cast::new();
    assert!(matches!(
        cast.issuer().mint(Grant::to("user:alice").scope("*").holder(cast.root.public()), NOW),
        Err(MintError::HolderIsRoot)
    ));
    let delegation = cast.to_researcher().holder(cast.root.public());
    let capability = cast.grant().delegate(delegation, &cast.orchestrator, NOW).unwrap();
    let bearer = capability.present(Presenting::to(AUDIENCE), &cast.root, NOW).unwrap();
    assert_eq!(cause(bearer.bearer()), ("root_as_holder", Some(1)));
}

#[test]
fn a_name_that_the_directory_knows_otherwise() {
    let cast = Cast::new();
    let bearer = seed().bearer();
    let by = |directory| {
        cast.verifier()
            .directory(directory)
            .verify(&bearer, NOW)
            .map(|_| ())
            .map_err(|error| (error.cause(), error.block()))
    };
    let mismatch = Err(("name_mismatch", Some(1)));
    assert_eq!(by(Directory::default().and("agent.researcher", cast.researcher.public())), Ok(()));
    assert_eq!(by(Directory::default().and("agent.other", cast.thief.public())), Ok(()));
    assert_eq!(by(Directory::default().and("agent.researcher", cast.thief.public())), mismatch);
    assert_eq!(by(Directory::default().and("agent.other", cast.researcher.public())), mismatch);
}

#[test]
fn not_presented_or_presented_to_another() {
    let cast = Cast::new();
    assert_eq!(cause(&cast.researchers().to_base64()), ("not_presented", None));
    let elsewhere =
        cast.researchers().present(Presenting::to("mail.mcp"), &cast.researcher, NOW).unwrap();
    assert_eq!(cause(elsewhere.bearer()), ("wrong_audience", None));
}

// ---- revocation, replay and the record --------------------------------------------------------

/// Somebody who once held the token of the hop's parent wraps a copy of the signed hop anew.
fn wrapped_anew(token: &schema::Biscuit, parent: &Forge) -> Forge {
    let signers = [&Cast::new().orchestrator, &Cast::new().researcher].map(forge::pair);
    let mut signers = signers.into_iter();
    Forge {
        root: forge::pair(&Cast::new().root),
        root_key_id: token.root_key_id,
        blocks: std::iter::once(&token.authority)
            .chain(&token.blocks)
            .enumerate()
            .map(|(index, block)| forge::Part {
                bytes: block.block.clone(),
                signer: (index > 0).then(|| signers.next().unwrap()),
                next: if index == 0 { copy(&parent.blocks[0].next) } else { KeyPair::new() },
                version: Some(1),
            })
            .collect(),
        proof: Proof::Secret,
    }
}

fn copy(key: &KeyPair) -> KeyPair {
    KeyPair::from(&key.private())
}

#[test]
fn a_revoked_hop_cannot_be_healed_by_wrapping_it_anew() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let original = seed();
    let token = original.sign();
    let healed = wrapped_anew(&token, &original);
    let chain = |bearer: &str| Capability::parse(bearer).unwrap().chain().clone();
    let (before, after) = (chain(&forge::base64(&token.encode_to_vec())), chain(&healed.bearer()));
    let signatures = |chain: &Chain| {
        chain.signatures().filter(|(block, _)| *block == 1).map(|(_, id)| id).collect::<Vec<_>>()
    };
    assert_ne!(signatures(&before)[1], signatures(&after)[1], "the block signature is another");
    assert_eq!(signatures(&before)[0], signatures(&after)[0], "the id is the same");
    let id = before.hops[0].revocation_id;
    revoke(&store, Revocation::Id { id });
    assert_eq!(refusal(&cast.guard(&store), &healed.bearer(), &search()), ("revoked", Some(1)));
}

#[test]
fn a_list_made_for_other_biscuit_verifiers_works() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let bearer = cast.presented();
    let theirs = biscuit_auth::UnverifiedBiscuit::from_base64(bearer.bearer())
        .unwrap()
        .revocation_identifiers();
    let id = RevocationId::from_bytes(theirs[1].as_slice().try_into().unwrap());
    revoke(&store, Revocation::Id { id });
    assert_eq!(refusal(&cast.guard(&store), bearer.bearer(), &search()), ("revoked", Some(1)));
}

#[test]
fn a_call_bound_presentation_wrapped_anew_is_the_same_one() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let presenting = Presenting::to(AUDIENCE).call(search());
    let bearer = cast.researchers().present(presenting, &cast.researcher, NOW).unwrap();
    let bytes = Capability::parse(bearer.bearer()).unwrap().to_bytes();
    let taken = Forge::of(&bytes, &cast.root, &[&cast.orchestrator, &cast.researcher]);
    let first = taken.sign();
    guard.check(&forge::base64(&first.encode_to_vec()), &search(), NOW).unwrap();
    // Only the last block is wrapped anew: its external signature stays valid.
    let again = Forge {
        blocks: taken.blocks,
        ..Forge::of(&bytes, &cast.root, &[&cast.orchestrator, &cast.researcher])
    };
    let again = again.change(|f| f.blocks[2].next = KeyPair::new());
    let second = again.sign();
    assert_ne!(first.blocks[1].signature, second.blocks[1].signature);
    assert_eq!(
        refusal(&guard, &forge::base64(&second.encode_to_vec()), &search()),
        ("replayed", Some(2))
    );
    let unsealed = again.change(|f| f.proof = Proof::Secret);
    assert_eq!(refusal(&guard, &unsealed.bearer(), &search()), ("replayed", Some(2)));
}

#[test]
fn a_refused_call_burns_nothing_and_what_was_forgotten_stays_refused() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let once = |at| {
        let presenting = Presenting::to(AUDIENCE).call(search());
        let grant = cast.issuer().mint(cast.grant_of(&["tools:call:*"]), at).unwrap();
        grant.present(presenting, &cast.orchestrator, at).unwrap()
    };
    let bearer = once(NOW);
    assert_eq!(refusal(&guard, bearer.bearer(), &Call::tool("fetch").unwrap()).0, "other_call");
    guard.check(bearer.bearer(), &search(), NOW).unwrap();
    // The clock jumps a day ahead, old presentations are forgotten, and it jumps back.
    let tomorrow = NOW + Duration::from_secs(24 * 3600);
    guard.check(once(tomorrow).bearer(), &search(), tomorrow).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(refusal(&guard, bearer.bearer(), &search()), ("replayed", Some(1)));
}

struct Silent;

impl RevocationSource for Silent {
    fn revoked(&self, _: &Chain, _: &PublicKey) -> Result<Option<Revoked>, RevocationsUnavailable> {
        Err(RevocationsUnavailable("no answer".to_owned()))
    }

    fn knowledge(&self) -> Knowledge {
        Knowledge::Live
    }
}

impl Ledger for Silent {
    fn settle(
        &self,
        _: Decision,
        _: Option<Once>,
        _: Option<&VerifiedCapability>,
    ) -> Result<Settlement, LedgerUnavailable> {
        Err(LedgerUnavailable("no answer".to_owned()))
    }
}

#[test]
fn a_source_or_ledger_that_does_not_answer_leaves_it_undecided() {
    let cast = Cast::new();
    let bearer = cast.presented();
    let verifier = Verifier::new(cast.roots(), AUDIENCE, Silent).unwrap();
    let guard = Guard::new(verifier, Policy::builtin(), Store::in_memory().unwrap());
    let denial = guard.check(bearer.bearer(), &search(), NOW).unwrap_err();
    assert!(
        matches!(&denial, Denial::Undecided(refusal) if refusal.cause == "revocations_unavailable")
    );
    let guard = Guard::new(cast.verifier(), Policy::builtin(), Silent);
    let denial = guard.check(bearer.bearer(), &search(), NOW).unwrap_err();
    assert!(matches!(&denial, Denial::Undecided(refusal) if refusal.cause == "ledger_unavailable"));
    let denial = guard.check("garbage!", &search(), NOW).unwrap_err();
    assert!(
        matches!(denial, Denial::Undecided(_)),
        "a refusal that cannot be recorded is undecided too"
    );
}

// ---- the call ---------------------------------------------------------------------------------

fn authorized(bearer: &str, policy: &str, call: &Call) -> Result<(), &'static str> {
    let verified = Cast::new().verifier().verify(bearer, NOW).unwrap();
    let policy = Policy::parse("test.datalog", policy).unwrap();
    authorize(&verified, &policy, call).map(|_| ()).map_err(|error| error.cause())
}

#[test]
fn a_resource_of_a_scheme_that_is_not_judged() {
    let read = |uri| Call::tool("search").unwrap().resource(uri).unwrap();
    let policy = "allow if granted($op);";
    assert_eq!(authorized(&seed().bearer(), policy, &read("https://notion.so/page")), Ok(()));
    assert_eq!(
        authorized(&seed().bearer(), policy, &read("notion://page/1")),
        Err("resource_scheme")
    );
}

#[test]
fn arguments_that_make_a_check_too_costly() {
    let forged =
        with_hop(&r#"check all arg("ids", $ids), $ids.all($x -> $x > 0 && $x < 1000);"#.repeat(2));
    let call = |ids: usize| {
        let ids = (0..ids).map(|n| (n + 1).to_string()).collect::<Vec<_>>().join(",");
        search().arguments(&format!("{{\"ids\": [{ids}]}}")).unwrap()
    };
    let policy = "allow if granted($op);";
    assert_eq!(authorized(&forged.bearer(), policy, &call(20)), Ok(()));
    assert_eq!(authorized(&forged.bearer(), policy, &call(900)), Err("too_costly"));
}

#[test]
fn no_policy_allows_one_denies_or_a_check_fails() {
    let bearer = seed().bearer();
    for (policy, expected) in [
        ("allow if granted($op);", Ok(())),
        (r#"allow if tool("fetch");"#, Err("nothing_allows")),
        ("allow if granted($op); deny if depth(1);", Err("policy_denied")),
        ("deny if depth(1); allow if granted($op);", Err("policy_denied")),
        ("allow if granted($op); check if depth(2);", Err("policy_check_failed")),
        (r#"allow if granted($op), role("editor");"#, Ok(())),
        (
            r#"allow if granted($op), agent("agent.researcher"), subject("user:alice"), presented("session");"#,
            Ok(()),
        ),
        (r#"allow if delegated(1, "user:alice", "agent.researcher");"#, Ok(())),
        (r#"reading("search"); can($t) <- tool($t), reading($t); allow if can("search");"#, Ok(())),
        (r#"n($y) <- depth($x), $y == $x; allow if true;"#, Err("")),
    ] {
        match Policy::parse("test.datalog", policy) {
            Ok(_) => assert_eq!(authorized(&bearer, policy, &search()), expected, "{policy}"),
            Err(_) => assert_eq!(expected, Err(""), "{policy}"),
        }
    }
}

#[test]
fn a_check_of_the_token_that_does_not_hold() {
    let forged = with_hop(r#"check if verifier("mail.mcp");"#);
    assert_eq!(authorized(&forged.bearer(), "allow if true;", &search()), Err("check_failed"));
    let rejected = with_hop(r#"reject if operation("tools:call:search");"#);
    assert_eq!(authorized(&rejected.bearer(), "allow if true;", &search()), Err("check_failed"));
    let either =
        with_hop(r#"reject if operation("tools:call:search") or operation("tools:call:fetch");"#);
    assert_eq!(authorized(&either.bearer(), "allow if true;", &search()), Err("check_failed"));
}

#[test]
fn what_cannot_be_evaluated_for_some_match_refuses_every_time() {
    let call = search().arguments(r#"{"a": 1, "b": "text", "c": 2}"#).unwrap();
    let bearer = with_hop("check if arg($name, $value), $value > 0;").bearer();
    let in_policy = seed().bearer();
    for _ in 0..100 {
        assert_eq!(authorized(&bearer, "allow if true;", &call), Err("not_evaluable"));
        assert_eq!(
            authorized(&in_policy, "allow if arg($name, $value), $value > 0;", &call),
            Err("not_evaluable")
        );
        assert_eq!(
            authorized(&in_policy, "allow if true; deny if arg($name, $value), $value > 9;", &call),
            Err("not_evaluable")
        );
    }
    let overflow = with_hop("check if 9223372036854775807 + 1 > 0;").bearer();
    assert_eq!(authorized(&overflow, "allow if true;", &search()), Err("not_evaluable"));
}

#[test]
fn a_policy_that_takes_too_much_work_is_undecided() {
    let facts: String = (0..60).map(|n| format!("n({n}); ")).collect();
    let policy = format!("{facts} allow if n($a), n($b), n($c), n($d), $a + $b + $c + $d == 1000;");
    assert_eq!(authorized(&seed().bearer(), &policy, &search()), Err("exhausted"));
    let endless = "n(0); n($y) <- n($x), m($y); m(1); p($a, $b) <- q($a, $b); ";
    let growing: String = (0..40).map(|n| format!("q({n}, {n}); ")).collect();
    let cross = format!("{endless}{growing} r($a, $b) <- q($a, $x), q($y, $b); allow if true;");
    assert_eq!(authorized(&seed().bearer(), &cross, &search()), Err("exhausted"));
}

// ---- signing for another token -----------------------------------------------------------------

/// Moves the last block of one token, as it was signed, behind the blocks of another.
fn transplanted(from: &Capability, onto: &Capability) -> Result<Capability, String> {
    let decode = |token: &Capability| schema::Biscuit::decode(token.to_bytes().as_slice()).unwrap();
    let (from, mut moved) = (decode(from), decode(onto));
    let Some(schema::proof::Content::NextSecret(secret)) = &moved.proof.content else {
        unreachable!()
    };
    let secret = PrivateKey::from_bytes(secret.as_slice().try_into().unwrap());
    let block = from.blocks.last().unwrap().clone();
    let previous = moved.blocks.last().unwrap_or(&moved.authority).signature.clone();
    let signed = forge::wrapped(block, &previous, &forge::pair(&secret));
    moved.blocks.push(signed);
    moved.proof = from.proof;
    Capability::from_bytes(&moved.encode_to_vec()).map_err(|error| error.cause().to_owned())
}

/// A thief shows the orchestrator a grant of the thief's own, with the signature of a stolen one pasted in.
#[test]
fn a_holder_cannot_be_lured_into_signing_for_a_stolen_grant() {
    let cast = Cast::new();
    let stolen = cast.grant();
    let evil = Issuer::new(PrivateKey::from_bytes(&[66; 32]));
    let grant = Grant::to("user:mallory").scope("tools:call:*").holder(cast.orchestrator.public());
    let lure = evil.mint(grant, NOW).unwrap();
    let mut pasted = schema::Biscuit::decode(lure.to_bytes().as_slice()).unwrap();
    let theirs = schema::Biscuit::decode(stolen.to_bytes().as_slice()).unwrap();
    pasted.authority.signature = theirs.authority.signature;
    let lure = Capability::from_bytes(&pasted.encode_to_vec()).unwrap();
    let delegation = cast.to_researcher().holder(cast.thief.public());
    let signed = lure.delegate(delegation, &cast.orchestrator, NOW).unwrap();
    assert_eq!(transplanted(&signed, &stolen).unwrap_err(), "other_parent");
    // What was signed over the stolen grant itself stands there.
    transplanted(&cast.researchers(), &stolen).unwrap();
}

#[test]
fn nobody_signs_or_accepts_over_a_signature_that_does_not_hold() {
    use hardtack::capability::{AcceptError, Expect, HolderError};
    let cast = Cast::new();
    let mut token = schema::Biscuit::decode(cast.researchers().to_bytes().as_slice()).unwrap();
    let other = schema::Biscuit::decode(cast.researchers().to_bytes().as_slice()).unwrap();
    token.blocks[0].signature = other.blocks[0].signature.clone();
    let pasted = Capability::from_bytes(&token.encode_to_vec()).unwrap();
    let signed = pasted.present(Presenting::to(AUDIENCE), &cast.researcher, NOW);
    assert_eq!(signed.unwrap_err(), PresentError::Holder(HolderError::Signature { block: 1 }));
    let expected = Expect::Delegator { key: cast.orchestrator.public() };
    assert_eq!(
        Capability::accept(&pasted.to_base64(), expected).unwrap_err(),
        AcceptError::Delegator
    );
}

/// The block signature holds, and only the signature by which the delegator is known does not.
#[test]
fn an_external_signature_by_nobody() {
    let forged = seed();
    let mut token = forged.sign();
    let mut hop = token.blocks[0].clone();
    hop.external_signature.as_mut().unwrap().signature = vec![7; 64];
    token.blocks[0] = forge::wrapped(hop, &token.authority.signature, &forged.blocks[0].next);
    assert_eq!(cause(&forge::base64(&token.encode_to_vec())), ("signature", Some(1)));
}

#[test]
fn the_checks_of_a_caveat_bind_too() {
    let cast = Cast::new();
    let caveat = |check: &str| {
        let block = biscuit_auth::builder::BlockBuilder::new().code(check).unwrap();
        let token = biscuit_auth::UnverifiedBiscuit::from(cast.researchers().to_bytes()).unwrap();
        let token =
            Capability::from_bytes(&token.append(block).unwrap().to_vec().unwrap()).unwrap();
        token.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap()
    };
    let judged =
        |bearer: &Presentation| authorized(bearer.bearer(), "allow if granted($op);", &search());
    assert_eq!(judged(&caveat("check if true")), Ok(()));
    assert_eq!(judged(&caveat("check if false")), Err("check_failed"));
    // And a caveat can be revoked, like a presentation by either of its signatures.
    let bearer = caveat("check if true");
    let ids = Capability::parse(bearer.bearer()).unwrap();
    for (block, id) in ids.chain().signatures() {
        let store = Store::in_memory().unwrap();
        revoke(&store, Revocation::Id { id });
        assert_eq!(
            refusal(&cast.guard(&store), bearer.bearer(), &search()),
            ("revoked", Some(block))
        );
    }
    let mut blocks: Vec<usize> = ids.chain().signatures().map(|(block, _)| block).collect();
    blocks.sort_unstable();
    assert_eq!(blocks, [0, 1, 1, 2, 3, 3]);
}

#[test]
fn a_root_key_as_holder_of_the_grant() {
    let cast = Cast::new();
    let grant = format!(
        r#"hardtack(1); subject("user:alice"); scope("*"); issued(2026-11-23T10:00:00Z); expires(2026-11-23T11:00:00Z); max_depth(8); holder(hex:{});"#,
        hex::encode(cast.root.public().to_bytes())
    );
    assert_eq!(cause(&seed().write(0, &grant).bearer()), ("root_as_holder", Some(0)));
}

#[test]
fn an_unbound_hop_below_a_signed_presentation_governs_nothing() {
    let cast = Cast::new();
    let unbound = cast
        .issuer()
        .mint(Grant::to("user:alice").scope("hardtack:revoke").unbound(), NOW)
        .unwrap();
    let delegation = Delegation::to("agent.a")
        .scope("hardtack:revoke")
        .reason("x")
        .holder(cast.researcher.public());
    let capability = unbound.delegate_unbound(delegation, NOW).unwrap();
    let bearer = capability.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
    let verified = cast.verifier().accept_unbound_hops().verify(bearer.bearer(), NOW).unwrap();
    let revoke = Call::new("hardtack:revoke").unwrap();
    assert_eq!(authorize(&verified, &Policy::builtin(), &revoke).unwrap_err().cause(), "unbound");
    let policy = Policy::parse("p", "allow if granted($op); deny if unbound(1);").unwrap();
    let other = Call::new("hardtack:revoke").unwrap();
    assert!(authorize(&verified, &policy, &other).is_err());
}

#[test]
fn a_presentation_says_what_it_may_and_no_more() {
    let start =
        r#"presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:02:00Z);"#;
    let with = |facts: &str| cause(&seed().write(2, &format!("{start} {facts}")).bearer());
    assert_eq!(with(r#"hop(2); scope("*");"#), ("content", Some(2)));
    assert_eq!(with("hop(1);"), ("fact", Some(2)));
    assert_eq!(with(&format!("hop(2); nonce(hex:{});", "00".repeat(16))), ("fact", Some(2)));
    let call = format!(
        r#"hop(2); presentation("call"); audience("notion.mcp"); expires(2026-11-23T10:01:00Z); digest(hex:{});"#,
        "00".repeat(32)
    );
    assert_eq!(cause(&seed().write(2, &call).bearer()), ("fact", Some(2)));
    let blank =
        r#"hop(2); presentation("session"); audience("a b"); expires(2026-11-23T10:02:00Z);"#;
    assert_eq!(cause(&seed().write(2, blank).bearer()), ("name", Some(2)));
    assert_eq!(cause(&with_hop(r#"audience("a b");"#).bearer()), ("name", Some(1)));
    let two = format!("holder(hex:{});", hex::encode(Cast::new().thief.public().to_bytes()));
    assert_eq!(cause(&with_hop(&two).bearer()), ("fact", Some(1)));
}

#[test]
fn facts_that_a_policys_rules_derive_count_for_the_cost() {
    let numbers = (0..40).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let token =
        with_hop(&format!("check if has($a), has($b), [{numbers}].all($x -> $x >= 0 && $x < 99);"));
    let arguments = (0..100).map(|n| format!("\"a{n}\": {n}")).collect::<Vec<_>>().join(",");
    let call = search().arguments(&format!("{{{arguments}}}")).unwrap();
    let policy = "has($n) <- arg($n, $v); allow if granted($op);";
    assert_eq!(authorized(&token.bearer(), policy, &call), Err("too_costly"));
}

#[test]
fn joins_over_large_arguments_and_named_types_count_for_the_cost() {
    let policy = "allow if granted($op);";
    let join = with_hop(&"check if arg($a, $b), arg($c, $d); ".repeat(20));
    let maps = vec![r#"{"a":1}"#; 470].join(",");
    let call = search().arguments(&format!(r#"{{"a":[{maps}],"z":1}}"#)).unwrap();
    assert_eq!(authorized(&join.bearer(), policy, &call), Err("too_costly"));
    let types =
        with_hop(&format!("check if arg($n, $v), $v{} == \"string\";", ".type()".repeat(15)));
    let many = (0..900).map(|n| format!("\"n{n}\": \"v{n}\"")).collect::<Vec<_>>().join(",");
    let call = search().arguments(&format!("{{{many}}}")).unwrap();
    assert_eq!(authorized(&types.bearer(), policy, &call), Err("too_costly"));
}

/// The arguments cost nothing where no check reads them.
#[test]
fn large_arguments_are_no_reason_to_refuse() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let bearer = cast.presented();
    let values = (0..990).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    for arguments in
        [format!("{{\"a\": [{values}]}}"), format!("{{\"a\": \"{}\"}}", "x".repeat(60_000))]
    {
        guard.check(bearer.bearer(), &search().arguments(&arguments).unwrap(), NOW).unwrap();
    }
}
