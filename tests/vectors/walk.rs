//! Walk: signatures that do not hold, links by somebody else, and links that widen.

use biscuit_auth::format::schema;

use crate::case::{Case, search};
use crate::honest::grant_at;
use crate::token::*;
use hardtack_testkit::forge::{Forge, pair, wrapped};

pub fn cases() -> Vec<Case> {
    [signatures(), signers(), widening(), lives()].concat()
}

fn signatures() -> Vec<Case> {
    let wrong = |title: &str, token: schema::Biscuit, block| {
        Case::of_token(&format!("signature: {title}"), &token).refused("signature", Some(block))
    };
    let changed = |change: &dyn Fn(&mut schema::Biscuit)| {
        let mut token = seed().sign();
        change(&mut token);
        token
    };
    let another = seed()
        .change(|f| f.blocks.iter_mut().for_each(|part| part.next = pair(&key(THIEF))))
        .sign();
    let original = seed();
    let nobodys = changed(&|token| {
        let mut hop = token.blocks[0].clone();
        hop.external_signature.as_mut().unwrap().signature = vec![7; 64];
        token.blocks[0] = wrapped(hop, &token.authority.signature, &original.blocks[0].next);
    });
    let mut swapped = token(
        grant(),
        [
            bare("check if true"),
            bare("check if 1 == 1"),
            by(ORCHESTRATOR, session(3).without("parent(PARENT);")),
        ],
    )
    .sign();
    swapped.blocks.swap(0, 1);
    let high = changed(&|token| add_order(&mut token.blocks[0].signature));
    vec![
        wrong("another root", seed().change(|f| f.root = pair(&key(OTHER_ROOT))).sign(), 0),
        wrong("a byte of the grant", changed(&|token| token.authority.signature[0] ^= 1), 0),
        wrong(
            "the grant's signature moved by the order of the group",
            changed(&|token| add_order(&mut token.authority.signature)),
            0,
        ),
        wrong("the hop's signature moved by the order of the group", high, 1),
        wrong(
            "a byte of the hop's block signature",
            changed(&|token| token.blocks[0].signature[63] ^= 1),
            1,
        ),
        wrong(
            "a presentation from another token",
            changed(&|token| token.blocks[1] = another.blocks[1].clone()),
            2,
        ),
        wrong(
            "an external signature from another token",
            changed(&|token| {
                token.blocks[0].external_signature = another.blocks[0].external_signature.clone()
            }),
            1,
        ),
        wrong("an external signature by nobody", nobodys, 1),
        Case::of_token(
            "symbols: an external signature left out",
            &changed(&|token| token.blocks[1].external_signature = None),
        )
        .refused("symbols", Some(2)),
        wrong(
            "another throw-away key",
            changed(&|token| token.blocks[0].next_key = pair(&key(THIEF)).public().to_proto()),
            1,
        ),
        wrong(
            "a last secret of somebody else",
            changed(&|token| {
                token.proof.content = Some(schema::proof::Content::NextSecret(vec![7; 32]))
            }),
            2,
        ),
        wrong(
            "a last signature of nobody",
            changed(&|token| {
                token.proof.content = Some(schema::proof::Content::FinalSignature(vec![7; 64]))
            }),
            2,
        ),
        wrong(
            "a seal from another token",
            changed(&|token| token.proof = another.proof.clone()),
            2,
        ),
        wrong("the presentation cut off", changed(&|token| drop(token.blocks.pop())), 1),
        Case::of_token(
            "another parent: the hop cut out",
            &changed(&|token| drop(token.blocks.remove(0))),
        )
        .refused("other_parent", Some(1)),
        wrong("the blocks in another order", swapped, 1),
    ]
}

/// The same signature with another scalar, which a lax verifier accepts too.
fn add_order(signature: &mut [u8]) {
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(hex::decode(ORDER).unwrap()) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}

fn signers() -> Vec<Case> {
    let refused = |title: &str, forge: Forge, cause: &str, block| {
        Case::of(title, &forge).refused(cause, Some(block))
    };
    let directory = |name: &str, seed: u8| {
        search().told(|o| drop(o.directory.insert(name.to_owned(), vec![key(seed).public()])))
    };
    vec![
        refused(
            "a hop that a thief signed",
            token(grant(), [by(THIEF, hop()), by(RESEARCHER, session(2))]),
            "wrong_signer",
            1,
        ),
        refused(
            "a presentation that a thief signed",
            token(grant(), [by(ORCHESTRATOR, hop()), by(THIEF, session(2))]),
            "wrong_signer",
            2,
        ),
        refused(
            "a presentation that the delegator signed",
            token(grant(), [by(ORCHESTRATOR, hop()), by(ORCHESTRATOR, session(2))]),
            "wrong_signer",
            2,
        ),
        refused(
            "a hop that nobody signed",
            token(grant(), [bare(hop()), by(RESEARCHER, session(2))]),
            "wrong_signer",
            1,
        ),
        refused(
            "a presentation that nobody signed",
            token(grant(), [by(ORCHESTRATOR, hop()), bare(session(2))]),
            "wrong_signer",
            2,
        ),
        refused(
            "a hop that the root signed",
            token(grant(), [by(ROOT, hop()), by(RESEARCHER, session(2))]),
            "wrong_signer",
            1,
        ),
        Case::of(
            "a signature that says nothing",
            &token(unbound_grant(), [by(THIEF, hop()), by(RESEARCHER, session(2))]),
        )
        .with("", search().refused("foreign_signer", Some(1)))
        .with(
            "unbound hops tolerated",
            search().told(|o| o.accept_unbound_hops = true).refused("foreign_signer", Some(1)),
        ),
        refused(
            "a presentation that a thief signs of an unbound grant",
            token(unbound_grant(), [by(THIEF, session(1))]),
            "foreign_signer",
            1,
        ),
        refused(
            "a root key as holder of the grant",
            token(grant_to(ROOT), [by(ROOT, session(1))]),
            "root_as_holder",
            0,
        ),
        refused(
            "a root key as holder of a hop",
            token(
                grant(),
                [by(ORCHESTRATOR, hop_to(1, "agent.researcher", ROOT)), by(ROOT, session(2))],
            ),
            "root_as_holder",
            1,
        ),
        Case::of("names that a directory knows", &seed())
            .ok("this name and key", directory("agent.researcher", RESEARCHER))
            .ok("others only", directory("agent.other", THIEF))
            .with(
                "the name with another key",
                directory("agent.researcher", THIEF).refused("name_mismatch", Some(1)),
            )
            .with(
                "the key with another name",
                directory("agent.other", RESEARCHER).refused("name_mismatch", Some(1)),
            ),
        Case::of("a grant that was never presented", &token(grant(), []))
            .refused("not_presented", None),
        Case::of("a hop that was never presented", &token(grant(), [by(ORCHESTRATOR, hop())]))
            .refused("not_presented", None),
        Case::of("an unbound grant that was never presented", &token(unbound_grant(), []))
            .with("", search().refused("not_presented", None))
            .with(
                "unbound hops tolerated",
                search().told(|o| o.accept_unbound_hops = true).refused("not_presented", None),
            ),
        Case::of(
            "presented to another server",
            &with_last(session(2).replace("notion.mcp", "mail.mcp")),
        )
        .with("", search().refused("wrong_audience", None))
        .ok("there", search().to("mail.mcp")),
        Case::of(
            "presented to a server of almost the same name",
            &with_last(session(2).replace("notion.mcp", "Notion.mcp")),
        )
        .refused("wrong_audience", None),
    ]
}

fn widening() -> Vec<Case> {
    let scope = |title: &str, scope: &str| {
        let hop = hop().swap(r#"scope("tools:call:search")"#, scope);
        Case::of(&format!("a wider scope: {title}"), &with_hop(hop)).refused("scope_wider", Some(1))
    };
    let deep = |depth: u8| grant().swap("max_depth(8)", &format!("max_depth({depth})"));
    let mail = || session(2).replace("notion.mcp", "mail.mcp");
    vec![
        scope("everything", r#"scope("*")"#),
        scope("what is not there", r#"scope("resources:read")"#),
        scope(
            "one that is there and one that is not",
            r#"scope("tools:call:search"); scope("resources:read")"#,
        ),
        scope("the parent without its last segment", r#"scope("tools:*")"#),
        scope("what governs Hardtack", r#"scope("hardtack:revoke")"#),
        Case::of(
            "a wider scope: of the second hop",
            &token(
                grant(),
                [
                    by(ORCHESTRATOR, hop()),
                    by(
                        RESEARCHER,
                        hop_to(2, "agent.helper", HELPER)
                            .swap(r#"scope("tools:call:search")"#, r#"scope("tools:call:fetch")"#),
                    ),
                    by(HELPER, session(3)),
                ],
            ),
        )
        .refused("scope_wider", Some(2)),
        Case::of(
            "a wider audience: of a hop",
            &token(
                grant_at(&["notion.mcp"]),
                [by(ORCHESTRATOR, hop().plus(r#"audience("mail.mcp");"#)), by(RESEARCHER, mail())],
            ),
        )
        .refused("audience_wider", Some(1)),
        Case::of(
            "a wider audience: of a presentation",
            &token(grant_at(&["notion.mcp"]), [by(ORCHESTRATOR, hop()), by(RESEARCHER, mail())]),
        )
        .with("", search().refused("audience_wider", Some(2)))
        .with("there", search().to("mail.mcp").refused("audience_wider", Some(2))),
        Case::of(
            "a wider audience: than the hop's",
            &token(
                grant_at(&["notion.mcp", "mail.mcp"]),
                [
                    by(ORCHESTRATOR, hop().plus(r#"audience("notion.mcp");"#)),
                    by(RESEARCHER, mail()),
                ],
            ),
        )
        .refused("audience_wider", Some(2)),
        Case::of("a later expiry: of a hop", &with_hop(hop().replace("10:15:00Z", "11:00:01Z")))
            .refused("expiry_wider", Some(1)),
        Case::of(
            "a later expiry: of a presentation",
            &with_last(session(2).replace("10:05:00Z", "10:15:01Z")),
        )
        .refused("expiry_wider", Some(2)),
        Case::of(
            "a later expiry: of the second hop",
            &token(
                grant(),
                [
                    by(ORCHESTRATOR, hop()),
                    by(
                        RESEARCHER,
                        hop_to(2, "agent.helper", HELPER).replace("10:15:00Z", "10:15:01Z"),
                    ),
                    by(HELPER, session(3)),
                ],
            ),
        )
        .refused("expiry_wider", Some(2)),
        Case::of("too deep: no hop", &with_grant(deep(0))).refused("too_deep", Some(1)),
        Case::of(
            "too deep: one hop",
            &token(
                deep(1),
                [
                    by(ORCHESTRATOR, hop()),
                    by(RESEARCHER, hop_to(2, "agent.helper", HELPER)),
                    by(HELPER, session(3)),
                ],
            ),
        )
        .refused("too_deep", Some(2)),
    ]
}

fn lives() -> Vec<Case> {
    let refused = |title: &str, forge: Forge, cause: &str, block| {
        Case::of(title, &forge).refused(cause, Some(block))
    };
    let day = |end: &str| grant().replace("2026-11-23T11:00:00Z", end);
    let long = token(
        day("2026-11-24T10:00:00Z"),
        [by(ORCHESTRATOR, hop().replace("10:15:00Z", "11:00:01Z")), by(RESEARCHER, session(2))],
    );
    let bound = for_call(2, &search().call().unwrap());
    let issued =
        |moment: &str| grant().swap("issued(2026-11-23T10:00:00Z)", &format!("issued({moment})"));
    vec![
        Case::of("too long: a grant", &with_grant(day("2026-11-24T10:00:01Z")))
            .with("", search().refused("too_long_lived", Some(0)))
            .ok("a second later", search().at(1)),
        refused("too long: a hop", long, "too_long_lived", 1),
        refused(
            "too long: a session",
            with_last(session(2).replace("10:05:00Z", "10:10:01Z")),
            "too_long_lived",
            2,
        ),
        refused(
            "too long: a call",
            with_last(bound.replace("10:01:00Z", "10:02:01Z")),
            "too_long_lived",
            2,
        ),
        Case::of(
            "as long as accepted: a session",
            &with_last(session(2).replace("10:05:00Z", "10:10:00Z")),
        )
        .allowed(Some("agent.researcher"), 1),
        Case::of(
            "as long as accepted: a call",
            &with_last(for_call(2, &search().call().unwrap()).replace("10:01:00Z", "10:02:00Z")),
        )
        .allowed(Some("agent.researcher"), 1),
        Case::of("a grant from the future", &with_grant(issued("2026-11-23T10:01:01Z")))
            .with("", search().refused("not_yet_issued", Some(0)))
            .ok("a second later", search().at(1)),
        refused(
            "a grant that expires when it is issued",
            with_grant(issued("2026-11-23T10:00:50Z").replace("11:00:00Z", "10:00:50Z")),
            "issued_after_expiry",
            0,
        ),
        refused(
            "a grant that expires before it is issued",
            with_grant(issued("2026-11-23T10:00:50Z").replace("11:00:00Z", "10:00:40Z")),
            "issued_after_expiry",
            0,
        ),
    ]
}
