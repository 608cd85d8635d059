//! Refused for what its blocks say.

use crate::*;

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
fn a_fact_is_refused_with_its_name_and_what_is_wrong_with_it() {
    let session = |more: &str| {
        format!(r#"hop(2); presentation("session"); expires(2026-11-23T10:02:00Z); {more}"#)
    };
    let digest = format!(r#"audience("notion.mcp"); digest(hex:{});"#, "00".repeat(32));
    for (forged, words) in [
        (with_hop(SCOPE), "scope is said more than once"),
        (seed().write(1, &hop("scope(1);")), "scope has another arity, type or range"),
        (seed().write(2, &session("")), "audience is missing"),
        (seed().write(2, &session(&digest)), "digest has no place in this block"),
    ] {
        let error = Cast::new().verifier().verify(&forged.bearer(), NOW).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
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
