//! Content: what blocks may not say, what they must, and in which form.

use biscuit_auth::format::schema::{self, term::Content};

use crate::case::{Case, search};
use crate::token::*;
use hardtack_testkit::forge::Forge;

pub fn cases() -> Vec<Case> {
    [content(), not_its_to_assert(), facts(), presentations(), names(), kinds(), expired()].concat()
}

fn content() -> Vec<Case> {
    let refused = |title: &str, forge: Forge| {
        Case::of(&format!("content: {title}"), &forge).refused("content", Some(1))
    };
    let says = |title: &str, datalog: &str| refused(title, hop_that_says(datalog));
    let scope = schema::Scope { content: Some(schema::scope::Content::ScopeType(1)) };
    let mut signed_grant = seed().sign();
    signed_grant.authority.external_signature = signed_grant.blocks[0].external_signature.clone();
    let in_array = hop_that_says("check if time($t), [1].length() > 0;").edit(1, |block| {
        let query = &mut block.checks.last_mut().unwrap().queries[0];
        let variable = query.body[0].terms[0].clone();
        query.expressions[0].ops[0].content = Some(schema::op::Content::Value(schema::Term {
            content: Some(Content::Array(schema::Array { array: vec![variable] })),
        }));
    });
    let date = seed().edit(1, |block| {
        let facts = block.facts.iter_mut();
        let mut dates =
            facts.filter(|fact| matches!(fact.predicate.terms[0].content, Some(Content::Date(_))));
        dates.next().unwrap().predicate.terms[0].content = Some(Content::Date(253_402_300_800));
    });
    vec![
        says("a rule", "granted($op) <- operation($op);"),
        refused("a context", seed().edit(1, |block| block.context = Some("x".to_owned()))),
        refused("a block-wide trusting", seed().edit(1, |block| block.scope.push(scope))),
        says("a regular expression", r#"check if operation($op), $op.matches("a");"#),
        says(
            "an external function without an operand",
            "check if operation($op), $op.extern::f();",
        ),
        says("an external function of nobody", r#"check if operation($op), $op.extern::f("a");"#),
        says(
            "one of the four functions without an operand",
            "check if operation($op), $op.extern::hardtack_path();",
        ),
        says("an error that is hidden", "check if (1 / 0 > 0).try_or(true);"),
        says("a closure within a closure", "check if [[1]].all($x -> $x.all($y -> $y > 0));"),
        says("an addition in a closure", "check if [1].all($x -> $x + 1 > 0);"),
        refused("a variable in an array", in_array),
        refused(
            "a variable in a fact",
            seed().edit(1, |block| {
                block.facts[0].predicate.terms[0].content = Some(Content::Variable(0))
            }),
        ),
        refused("a moment after the year 9999", date),
        refused(
            "a check that asks nothing",
            seed().edit(1, |block| block.checks[0].queries.clear()),
        ),
        Case::of_token("content: a signature on the grant by somebody else", &signed_grant)
            .refused("content", Some(0)),
    ]
}

fn not_its_to_assert() -> Vec<Case> {
    let hop = |fact: &str| {
        Case::of(&format!("a hop that asserts {}", name(fact)), &hop_that_says(fact))
            .refused("content", Some(1))
    };
    let grant = |fact: &str| {
        Case::of(&format!("a grant that asserts {}", name(fact)), &with_grant(grant().plus(fact)))
            .refused("content", Some(0))
    };
    let ambient = [
        "time(2020-01-01T00:00:00Z);",
        r#"operation("tools:call:search");"#,
        r#"granted("x");"#,
        "depth(0);",
        r#"verifier("notion.mcp");"#,
        r#"agent("agent.ceo");"#,
        r#"arg("a", 1);"#,
        r#"presented("call");"#,
        r#"issuer("root");"#,
    ];
    let of_others = [
        r#"subject("user:bob");"#,
        r#"role("admin");"#,
        "hardtack(1);",
        "max_depth(13);",
        "issued(2026-11-23T10:00:00Z);",
    ];
    let of_hops = [
        "hop(1);",
        r#"reason("x");"#,
        r#"delegate("agent.a");"#,
        r#"presentation("session");"#,
        "parent(hex:00);",
    ];
    let hops = ambient.iter().chain(&of_others).map(|fact| hop(fact));
    hops.chain(ambient.iter().chain(&of_hops).map(|fact| grant(fact))).collect()
}

fn name(fact: &str) -> &str {
    fact.split('(').next().unwrap()
}

fn facts() -> Vec<Case> {
    let grant = |title: &str, text: String, cause: &str| {
        Case::of(&format!("a grant {title}"), &with_grant(text)).refused(cause, Some(0))
    };
    let hop = |title: &str, text: String, cause: &str| {
        Case::of(&format!("a hop {title}"), &with_hop(text)).refused(cause, Some(1))
    };
    let profile = |text: &str| crate::token::grant().swap("hardtack(1);", text);
    let depth = |text: &str| crate::token::grant().swap("max_depth(8);", text);
    let plain = crate::token::hop;
    vec![
        grant("of no profile", profile(""), "fact"),
        grant("of another profile", profile("hardtack(2);"), "fact"),
        grant("of a profile that is no number", profile(r#"hardtack("1");"#), "fact"),
        grant("of two profiles", profile("hardtack(1); hardtack(2);"), "fact"),
        grant(
            "without a subject",
            crate::token::grant().without(r#"subject("user:alice");"#),
            "no_subject",
        ),
        grant("of two subjects", crate::token::grant().plus(r#"subject("user:bob");"#), "fact"),
        grant(
            "without a scope",
            crate::token::grant().without(r#"scope("tools:call:*");"#),
            "no_scope",
        ),
        grant(
            "without an expiry",
            crate::token::grant().without("expires(2026-11-23T11:00:00Z);"),
            "no_expiry",
        ),
        grant(
            "without a moment of issue",
            crate::token::grant().without("issued(2026-11-23T10:00:00Z);"),
            "fact",
        ),
        grant("without a depth", depth(""), "fact"),
        grant("that is too deep", depth("max_depth(14);"), "fact"),
        grant("of a negative depth", depth("max_depth(-1);"), "fact"),
        grant(
            "with two holders",
            crate::token::grant().plus(&format!("holder(hex:{});", digits(THIEF))),
            "fact",
        ),
        grant(
            "with the same scope twice",
            crate::token::grant().swap(
                r#"scope("tools:call:*");"#,
                r#"scope("tools:call:*"); scope("tools:call:a"); scope("tools:call:a");"#,
            ),
            "fact",
        ),
        hop("without a scope", plain().without(r#"scope("tools:call:search");"#), "no_scope"),
        hop(
            "without a reason",
            plain().without(r#"reason("find the roadmap page");"#),
            "no_reason",
        ),
        hop("without an expiry", plain().without("expires(2026-11-23T10:15:00Z);"), "no_expiry"),
        hop("without an agent", plain().without(r#"delegate("agent.researcher");"#), "fact"),
        hop("of another number", plain().swap("hop(1)", "hop(2)"), "fact"),
        hop("of two numbers", plain().plus("hop(2);"), "fact"),
        hop("with two reasons", plain().plus(r#"reason("another");"#), "fact"),
        hop("with two agents", plain().plus(r#"delegate("agent.ceo");"#), "fact"),
        hop("with two expiries", plain().plus("expires(2026-11-23T10:20:00Z);"), "fact"),
        hop("with two holders", plain().plus(&format!("holder(hex:{});", digits(THIEF))), "fact"),
        hop(
            "with a holder that is too short",
            crate::honest::bare_hop().swap(&digits(RESEARCHER), "00ff"),
            "fact",
        ),
        hop(
            "with the same scope twice",
            plain().swap(
                r#"scope("tools:call:search");"#,
                r#"scope("tools:call:search"); scope("tools:call:a"); scope("tools:call:a");"#,
            ),
            "fact",
        ),
        hop("with a scope of two terms", plain().plus(r#"scope("tools:call:search", 1);"#), "fact"),
        hop("with a scope that is a number", plain().plus("scope(1);"), "fact"),
        hop(
            "with an expiry that is a text",
            plain().swap("expires(2026-11-23T10:15:00Z)", r#"expires("2026-11-23T10:15:00Z")"#),
            "fact",
        ),
    ]
}

fn presentations() -> Vec<Case> {
    let refused = |title: &str, text: String, cause: &str| {
        Case::of(&format!("a presentation {title}"), &with_last(text)).refused(cause, Some(2))
    };
    let bound = || for_call(2, &search().call().unwrap());
    let nonce = format!("nonce(hex:{});", "07".repeat(16));
    vec![
        refused("of another kind", session(2).swap(r#""session""#, r#""other""#), "fact"),
        refused("of two kinds", session(2).plus(r#"presentation("call");"#), "fact"),
        refused("to nobody", session(2).without(r#"audience("notion.mcp");"#), "fact"),
        refused("to two", session(2).plus(r#"audience("mail.mcp");"#), "fact"),
        refused(
            "without an expiry",
            session(2).without("expires(2026-11-23T10:05:00Z);"),
            "no_expiry",
        ),
        refused("of another number", session(2).swap("hop(2)", "hop(1)"), "fact"),
        refused("with a scope", session(2).plus(r#"scope("*");"#), "content"),
        refused(
            "with a holder",
            session(2).plus(&format!("holder(hex:{});", digits(THIEF))),
            "content",
        ),
        refused("with an agent", session(2).plus(r#"delegate("agent.ceo");"#), "content"),
        refused(
            "for a session with a digest",
            session(2).plus(&format!("digest(hex:{});", "00".repeat(32))),
            "fact",
        ),
        refused("for a session with a nonce", session(2).plus(&nonce), "fact"),
        refused("for a call without a nonce", bound().without(&nonce), "fact"),
        refused(
            "for a call without a digest",
            session(2).swap(r#""session""#, r#""call""#).plus(&nonce),
            "fact",
        ),
        refused("for a call with a short digest", for_digest(2, "00ff"), "fact"),
        refused("for a call with a short nonce", bound().swap(&nonce, "nonce(hex:07);"), "fact"),
        refused("for a call with two nonces", bound().plus(&nonce.replace("07", "08")), "fact"),
    ]
}

fn names() -> Vec<Case> {
    let hop = |title: &str, from: &str, to: &str| {
        Case::of(&format!("a name: {title}"), &with_hop(hop().swap(from, to)))
            .refused("name", Some(1))
    };
    let scope = |title: &str, to: &str| {
        hop(title, r#"scope("tools:call:search")"#, &format!("scope(\"{to}\")"))
    };
    let subject = |title: &str, to: &str| {
        Case::of(&format!("a name: {title}"), &with_grant(grant().swap("user:alice", to)))
            .refused("name", Some(0))
    };
    vec![
        subject("a subject without a colon", "alice"),
        subject("a subject with a space", "user: alice"),
        subject("a subject that is too long", &format!("user:{}", "a".repeat(124))),
        subject("a subject that looks like another", "user:\u{430}lice"),
        hop("an agent like a subject", "agent.researcher", "user:alice"),
        hop("no agent", "agent.researcher", ""),
        hop("an agent that is too long", "agent.researcher", &"a".repeat(129)),
        hop("a reason that turns the text", "find the roadmap page", "find\u{202e}"),
        hop("no reason", "find the roadmap page", ""),
        hop("a blank reason", "find the roadmap page", "  "),
        hop("a reason that is too long", "find the roadmap page", &"a".repeat(257)),
        hop("a reason of two lines", "find the roadmap page", r"find\nit"),
        scope("a star within a segment", "tools:call:se*"),
        scope("a star before the end", "tools:*:search"),
        scope("an empty segment", "tools::search"),
        scope("nine segments", "a:b:c:d:e:f:g:h:i"),
        scope("no scope", ""),
        scope("a long segment", &format!("tools:call:{}", "a".repeat(129))),
        Case::of(
            "a name: an audience with a space",
            &with_hop(crate::token::hop().plus(r#"audience("a b");"#)),
        )
        .refused("name", Some(1)),
        Case::of(
            "a name: no audience of a presentation",
            &with_last(session(2).swap(r#"audience("notion.mcp")"#, r#"audience("")"#)),
        )
        .refused("name", Some(2)),
    ]
}

fn kinds() -> Vec<Case> {
    let after = |title: &str, block| {
        let forge = token(grant(), [by(ORCHESTRATOR, hop()), by(RESEARCHER, session(2)), block]);
        Case::of(&format!("after the presentation: {title}"), &forge)
            .refused("after_presentation", Some(3))
    };
    let other = |title: &str, forge: Forge, block| {
        Case::of(&format!("another parent: {title}"), &forge).refused("other_parent", Some(block))
    };
    let wrong = format!("hex:{}", "00".repeat(16));
    vec![
        Case::of(
            "no kind of block: a caveat that is signed",
            &with_hop("check if true".to_owned()),
        )
        .refused("block_kind", Some(1)),
        Case::of(
            "no kind of block: facts without a number",
            &with_hop(r#"role("admin")"#.to_owned()),
        )
        .refused("block_kind", Some(1)),
        Case::of(
            "no kind of block: a caveat with a fact",
            &token(
                grant(),
                [bare(r#"role("admin"); check if true"#), by(ORCHESTRATOR, session(2))],
            ),
        )
        .refused("block_kind", Some(1)),
        after("a caveat", bare("check if true")),
        after("a hop", by(RESEARCHER, hop_to(3, "agent.ceo", THIEF))),
        after("another presentation", by(RESEARCHER, session(3))),
        other("of a hop", with_hop(hop().swap("PARENT", &wrong)), 1),
        other("of a presentation", with_last(session(2).swap("PARENT", &wrong)), 2),
        other(
            "a hop that stood elsewhere",
            token(
                grant(),
                [
                    bare("check if true"),
                    by(
                        ORCHESTRATOR,
                        hop_to(2, "agent.researcher", RESEARCHER)
                            .swap("PARENT", &format!("hex:{}", parent(&token(grant(), [])))),
                    ),
                    by(RESEARCHER, session(3)),
                ],
            ),
            2,
        ),
        Case::of("a parent that is too short", &with_hop(hop().swap("PARENT", "hex:00")))
            .refused("fact", Some(1)),
        Case::of("two parents", &with_hop(hop().plus(&format!("parent({wrong});"))))
            .refused("fact", Some(1)),
    ]
}

fn expired() -> Vec<Case> {
    vec![
        Case::of("expired: a hop", &with_hop(hop().replace("10:15:00Z", "10:00:00Z")))
            .refused("expired", Some(1)),
        Case::of(
            "expired: a grant, and the hop says otherwise",
            &with_grant(grant().replace("11:00:00Z", "09:59:59Z")),
        )
        .refused("expired", Some(0)),
        Case::of(
            "expired: a presentation",
            &with_last(session(2).replace("10:05:00Z", "09:00:00Z")),
        )
        .refused("expired", Some(2)),
    ]
}
