//! Checks: their kinds, alternatives, heads, bodies and origins; rules, contexts and block-wide trust.

use biscuit_auth::format::schema::{self, scope::Content};

use super::{Kind, accepted, content, refused, with_caveat};
use crate::case::Case;
use crate::craft::seed;
use hardtack_testkit::forge::Forge;

/// The hop with one check, changed.
fn check(datalog: &str, change: impl FnOnce(&mut schema::Check)) -> Forge {
    Kind::Hop.and(datalog).edit(1, |block| change(&mut block.checks[0]))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        accepted("a check without a kind", &check("check if true", |check| check.kind = None)),
        accepted(
            "a check whose head has another name",
            &check("check if true", |check| {
                check.queries[0].head.name = 0;
            }),
        ),
        accepted(
            "a check that asks for nothing at all",
            &check("check if true", |check| {
                check.queries[0].expressions.clear();
            }),
        ),
    ];
    for kind in [3, -1, i32::MAX, i32::MIN] {
        let forge = check("check if true", |check| check.kind = Some(kind));
        cases.push(refused(&format!("a check of kind {kind}"), &forge, "encoding", 1));
    }
    for kind in 0..3 {
        let forge = check("check if true", |check| {
            check.queries.clear();
            check.kind = Some(kind);
        });
        cases.push(refused(
            &format!("a check of kind {kind} without alternatives"),
            &forge,
            "content",
            1,
        ));
    }
    let forge = check("check if true", |check| check.queries = vec![check.queries[0].clone(); 5]);
    cases.push(refused("a check with five alternatives", &forge, "over_limit", 1));
    for (what, datalog, cause) in [
        ("that rejects what always is", "reject if true", "check_failed"),
        ("that rejects by its second alternative", "reject if false or true", "check_failed"),
        (
            "that rejects what is asked for",
            "reject if operation(\"tools:call:search\")",
            "check_failed",
        ),
        ("of all of none", "check all resource($resource)", "check_failed"),
        ("of one of none", "check if resource($resource)", "check_failed"),
        ("of all, of which one is not", "check all hop($hop), $hop > 1", "check_failed"),
        (
            "of what only the grant says, trusting the block alone",
            "check if role(\"editor\") trusting previous, authority",
            "over_limit",
        ),
        ("that trusts two origins", "check if true trusting authority, previous", "over_limit"),
        ("with three predicates", "check if time($a), time($b), time($c)", "over_limit"),
        ("of a fact of no such number of terms", "check if time($time, $time)", "check_failed"),
        (
            "of a fact with a term twice that has two",
            "check if delegated($a, $b, $b)",
            "check_failed",
        ),
    ] {
        let forge = Kind::Hop.and(datalog);
        cases.push(refused(&format!("a check {what}"), &forge, cause, 1));
    }
    let checks = "check if true; ".repeat(65);
    cases.push(refused("65 checks", &Kind::Hop.and(&checks), "over_limit", 1));
    let together = Kind::Hop.and(&"check if true; ".repeat(40)).write(
        2,
        &[
            r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:02:00Z);"#,
            &"check if true; ".repeat(40),
        ]
        .concat(),
    );
    cases.push(refused("80 checks in two blocks", &together, "over_limit", 2));
    for kind in Kind::ALL {
        let scopes: String = (0..260).map(|at| format!("role({at}); ")).collect();
        let forge = kind.and(&scopes);
        let what = format!("{} with 260 facts more", kind.name());
        cases.push(refused(&what, &forge, "over_limit", kind.block()));
    }
    cases.extend(origins());
    cases.extend(heads_and_bodies());
    cases.extend(whole_blocks());
    cases
}

fn origins() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, scope, cause) in [
        ("an origin that is empty", None, "encoding"),
        ("an origin of kind 2", Some(Content::ScopeType(2)), "encoding"),
        ("an origin of kind -1", Some(Content::ScopeType(-1)), "encoding"),
        ("an origin of the greatest kind", Some(Content::ScopeType(i32::MAX)), "encoding"),
    ] {
        let scope = schema::Scope { content: scope };
        let forge = check("check if true trusting authority", |check| {
            check.queries[0].scope = vec![scope.clone()];
        });
        cases.push(refused(&format!("a check that trusts {what}"), &forge, cause, 1));
        let forge = check("check if false or true trusting authority", |check| {
            check.queries[1].scope = vec![scope.clone()];
        });
        cases.push(refused(&format!("a second alternative that trusts {what}"), &forge, cause, 1));
    }
    let forge = check("check if true trusting authority", |check| {
        let scope = check.queries[0].scope[0].clone();
        check.queries[0].scope.push(scope);
    });
    cases.push(refused("a check that trusts one origin twice", &forge, "over_limit", 1));
    cases.push(accepted(
        "a check that trusts what was before",
        &check("check if role(\"editor\") trusting previous", |_| {}),
    ));
    cases
}

fn heads_and_bodies() -> Vec<Case> {
    let mut cases = Vec::new();
    let variable = |name| schema::Term { content: Some(schema::term::Content::Variable(name)) };
    for (what, cause, change) in [
        (
            "a head with a variable that has no name",
            "symbols",
            (|query, variable| query.head.terms = vec![variable])
                as fn(&mut schema::Rule, schema::Term),
        ),
        ("a head with 65 terms", "over_limit", |query, _| {
            query.head.terms =
                vec![schema::Term { content: Some(schema::term::Content::Integer(1)) }; 65];
        }),
        ("a head with an empty term", "encoding", |query, _| {
            query.head.terms = vec![schema::Term { content: None }];
        }),
        ("a body with 65 terms", "over_limit", |query, _| {
            query.body[0].terms = vec![query.body[0].terms[0].clone(); 65];
        }),
        ("a body with an empty term", "encoding", |query, _| {
            query.body[0].terms[0].content = None;
        }),
        ("a second body with a word that is not defined", "symbols", |query, _| {
            query.body.push(schema::Predicate { name: 4000, terms: Vec::new() });
        }),
    ] {
        let forge = check("check if time($time)", |check| {
            change(&mut check.queries[0], variable(4000));
        });
        cases.push(refused(what, &forge, cause, 1));
        let forge = check("check if false or time($time)", |check| {
            change(&mut check.queries[1], variable(4000));
        });
        cases.push(refused(&format!("{what}, in the second alternative"), &forge, cause, 1));
    }
    cases
}

/// What a block has beside facts and checks, and may not have in a token.
fn whole_blocks() -> Vec<Case> {
    let mut cases = Vec::new();
    let scope = |content| schema::Scope { content };
    let rule = || content("check if operation($operation)").checks.remove(0).queries.remove(0);
    for (what, block) in
        [("the grant", 0), ("the hop", 1), ("a caveat", 2), ("the presentation", 3)]
    {
        let with =
            |change: &dyn Fn(&mut schema::Block)| with_caveat("check if true").edit(block, change);
        for (content, forge) in [
            ("a rule", with(&|block| block.rules.push(rule()))),
            (
                "a rule that derives nothing",
                with(&|block| {
                    block.rules.push(schema::Rule {
                        body: Vec::new(),
                        expressions: Vec::new(),
                        ..rule()
                    });
                }),
            ),
            ("a context", with(&|block| block.context = Some("approved".to_owned()))),
            ("an empty context", with(&|block| block.context = Some(String::new()))),
            (
                "trust in the authority for all of it",
                with(&|block| block.scope.push(scope(Some(Content::ScopeType(0))))),
            ),
            (
                "trust in all before for all of it",
                with(&|block| block.scope.push(scope(Some(Content::ScopeType(1))))),
            ),
            (
                "trust in a key for all of it",
                with(&|block| block.scope.push(scope(Some(Content::PublicKey(0))))),
            ),
            ("an empty trust for all of it", with(&|block| block.scope.push(scope(None)))),
        ] {
            cases.push(refused(&format!("{what} with {content}"), &forge, "content", block));
        }
    }
    let granted =
        seed().write(1, &format!("{} granted($op) <- operation($op);", crate::seed::hop("")));
    cases.push(refused("a hop that derives what is granted", &granted, "content", 1));
    cases
}
