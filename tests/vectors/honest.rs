//! Honest: tokens that hold, what may be done with them and what not.

use crate::case::{Case, Lives, RootKey, call, search};
use crate::token::*;
use hardtack_testkit::forge::{Forge, Proof};

const RESEARCHER_NAME: Option<&str> = Some("agent.researcher");

pub fn cases() -> Vec<Case> {
    [sessions(), chains(), unbound(), bound_to_calls(), arguments()].concat()
}

fn sessions() -> Vec<Case> {
    vec![
        the_seed("grant, hop, session presentation", &seed()),
        the_seed("grant, hop, session presentation, not sealed", &seed().change(|f| f.proof = Proof::Secret)),
        Case::of("the subject's holder presents the grant", &presented(grant()))
            .with("", search().allowed(None, 0))
            .with("another tool", call("tools:call:fetch").allowed(None, 0))
            .with("no tool", call("resources:read").refused("not_granted", Some(0)))
            .with("the wildcard covers what follows only", call("tools:call").refused("not_granted", Some(0))),
        Case::of("a grant of everything", &presented(grant_of(r#"scope("*")"#)))
            .with("", search().allowed(None, 0))
            .with("a resource", call("resources:read").allowed(None, 0))
            .with("what governs Hardtack", call("hardtack:read").refused("not_granted", Some(0))),
        Case::of("a grant that governs Hardtack", &presented(grant_of(r#"scope("hardtack:*")"#)))
            .with("", call("hardtack:read").allowed(None, 0))
            .with("a tool", search().refused("not_granted", Some(0))),
        Case::of("several scopes", &presented(grant_of(r#"scope("tools:call:search"); scope("resources:read"); scope("prompts:get:*")"#)))
            .with("the first", search().allowed(None, 0))
            .with("the second", call("resources:read").allowed(None, 0))
            .with("the third", call("prompts:get:summary").allowed(None, 0))
            .with("none", call("tools:call:searches").refused("not_granted", Some(0)))
            .with("in capitals", call("tools:call:Search").refused("not_granted", Some(0))),
        Case::of("audiences of the grant", &with_grant(grant_at(&["mail.mcp", "notion.mcp"])))
            .ok("", search())
            .with("another of the grant's", search().to("mail.mcp").refused("wrong_audience", None)),
        Case::of("a hop that narrows the audience", &token(grant_at(&["mail.mcp", "notion.mcp"]),
            [by(ORCHESTRATOR, hop().plus(r#"audience("notion.mcp");"#)), by(RESEARCHER, session(2))]))
            .ok("", search()),
        Case::of("a root key with an id", &seed().change(|f| f.root_key_id = Some(7)))
            .ok("trusted without an id", search())
            .ok("trusted under this id", search().told(|o| o.root_keys = Some(vec![root(Some(7), ROOT)])))
            .ok("another without an id beside it", search().told(|o| o.root_keys = Some(vec![root(None, OTHER_ROOT), root(Some(7), ROOT)])))
            .with("trusted under another id", search().told(|o| o.root_keys = Some(vec![root(Some(8), ROOT)])).refused("unknown_root", None))
            .with("the id of another key", search().told(|o| o.root_keys = Some(vec![root(Some(7), OTHER_ROOT)])).refused("signature", Some(0)))
            .with("another root", search().told(|o| o.root_keys = Some(vec![root(None, OTHER_ROOT)])).refused("signature", Some(0))),
        Case::of("a root key without an id", &seed())
            .ok("one of two roots", search().told(|o| o.root_keys = Some(vec![root(None, OTHER_ROOT), root(None, ROOT)])))
            .with("trusted under an id only", search().told(|o| o.root_keys = Some(vec![root(Some(1), ROOT)])).refused("unknown_root", None)),
        Case::of("facts about the subject", &with_grant(grant().plus(r#"role("auditor"); team("a", 7); level(3); since(2020-01-01T00:00:00Z); tags({"x", "y"}); on(true); seal(hex:00ff);"#)))
            .ok("a text", search().policy(r#"allow if role("auditor");"#))
            .ok("two terms", search().policy(r#"allow if team("a", $n), $n > 6;"#))
            .with("a role it has not", search().policy(r#"allow if role("admin");"#).refused("nothing_allows", None)),
        Case::of("facts about the subject of every type", &with_grant(grant().plus(r#"any:thing([1, "a"], {"k": {1, 2}}, null);"#))).allowed(RESEARCHER_NAME, 1),
        Case::of("lives that only a patient server accepts", &with_last(session(2).swap("10:05:00Z", "10:15:00Z")))
            .with("", search().refused("too_long_lived", Some(2)))
            .ok("patient", search().told(|o| o.lifetimes = Some(Lives { grant: 86_400, hop: 3_600, session: 900, call: 120 })))
            .ok("later", search().at(300)),
        names_of_every_form(),
    ]
}

fn the_seed(title: &str, forge: &Forge) -> Case {
    Case::of(title, forge)
        .ok("", search())
        .ok("with arguments", search().arguments(r#"{"query": "roadmap", "limit": 10}"#))
        .ok("the last second", search().at(299))
        .with("expired", search().at(300).refused("expired", Some(2)))
        .with("expired long ago", search().at(3_600).refused("expired", Some(0)))
        .ok("a minute before it was issued", search().at(-60))
        .with("more than a minute before", search().at(-61).refused("not_yet_issued", Some(0)))
        .with("another server", search().to("mail.mcp").refused("wrong_audience", None))
        .with("another tool", call("tools:call:fetch").refused("not_granted", Some(1)))
        .with("no tool", call("resources:read").refused("not_granted", Some(0)))
        .with("what governs Hardtack", call("hardtack:revoke").refused("not_granted", Some(0)))
        .ok("a resource", search().resource("https://notion.so/page"))
        .with("a resource of another scheme", search().resource("notion://page/1").refused("resource_scheme", None))
        .ok("a scheme that is listed", search().resource("notion://page/1").told(|o| o.resource_schemes = Some(vec!["notion".to_owned()])))
        .with("a scheme that is not listed", search().resource("https://notion.so/page").told(|o| o.resource_schemes = Some(vec!["notion".to_owned()])).refused("resource_scheme", None))
        .with("a resource in another form", search().resource("https://NOTION.so/page").refused("inexact_call", None))
        .with("a resource with dots", search().resource("https://notion.so/a/../page").refused("inexact_call", None))
        .with("an operation with a star", call("tools:call:*").refused("inexact_call", None))
        .with("an operation with a space", call("tools:call:a b").refused("inexact_call", None))
        .with("a policy that allows another tool", search().policy(r#"allow if tool("fetch");"#).refused("nothing_allows", None))
        .with("a policy that denies", search().policy("allow if true; deny if depth(1);").refused("policy_denied", None))
        .with("a policy check", search().policy("allow if true; check if depth(2);").refused("policy_check_failed", None))
        .with("a policy that cannot be evaluated", search().arguments(r#"{"a": "text"}"#).policy(r#"allow if true; deny if arg("a", $a), $a > 1;"#).refused("not_evaluable", None))
        .ok("all that policies see", search().arguments(r#"{"n": 1}"#).policy(&format!(
            r#"allow if subject("user:alice"), agent("agent.researcher"), agent_key("{researcher}"), depth(1), role("editor"),
               delegated(1, "user:alice", "agent.researcher"), delegated_key(1, "{orchestrator}", "{researcher}"),
               presented("session"), verifier("notion.mcp"), operation("tools:call:search"), tool("search"),
               granted("tools:call:search"), arg("n", 1), issued(2026-11-23T10:00:00Z), time(2026-11-23T10:00:00Z);"#,
            researcher = digits(RESEARCHER), orchestrator = digits(ORCHESTRATOR))))
}

fn names_of_every_form() -> Case {
    let name = "Agent_7.a@host/x-y";
    let hop = hop()
        .swap("agent.researcher", name)
        .swap("find the roadmap page", "caf\u{e9}, \u{65e5}\u{672c}");
    Case::of("names with every sign that they may have", &with_hop(hop)).allowed(Some(name), 1)
}

fn chains() -> Vec<Case> {
    let mut cases: Vec<Case> = [2, 3, 5, 8].map(|hops| chain(hops, &grant())).to_vec();
    let deepest = grant().swap("max_depth(8)", "max_depth(13)").swap("$depth > 8", "$depth > 13");
    cases.push(chain(13, &deepest));
    let alternating = token(
        grant(),
        [
            by(ORCHESTRATOR, hop()),
            by(RESEARCHER, hop_to(2, "agent.orchestrator", ORCHESTRATOR)),
            by(ORCHESTRATOR, hop_to(3, "agent.researcher", RESEARCHER)),
            by(RESEARCHER, session(4)),
        ],
    );
    cases.extend([
        Case::of("two agents that delegate to each other", &alternating).allowed(RESEARCHER_NAME, 3),
        Case::of("a hop that says only what it must", &with_hop(bare_hop())).allowed(RESEARCHER_NAME, 1),
        Case::of("a presentation that says only what it must", &with_last(
            r#"hop(2); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:05:00Z)"#.to_owned())).allowed(RESEARCHER_NAME, 1),
        Case::of("a hop that lives as long as its parent", &with_hop(hop().swap("10:15:00Z", "11:00:00Z"))).allowed(RESEARCHER_NAME, 1),
        Case::of("a grant of one hop", &with_grant(grant().swap("max_depth(8)", "max_depth(1)").swap("$depth > 8", "$depth > 1"))).allowed(RESEARCHER_NAME, 1),
        Case::of("a grant of no hop", &presented(grant().swap("max_depth(8)", "max_depth(0)").swap("$depth > 8", "$depth > 0"))).allowed(None, 0),
        Case::of("a caveat before the hop", &token(grant(), [
            bare(r#"check if operation("tools:call:search")"#),
            by(ORCHESTRATOR, hop_to(2, "agent.researcher", RESEARCHER)),
            by(RESEARCHER, session(3)),
        ])).allowed(RESEARCHER_NAME, 1),
        Case::of("a caveat before the presentation", &with_caveat(r#"check all arg("limit", $limit), $limit <= 10"#))
            .ok("", search().arguments(r#"{"limit": 10}"#))
            .with("too much", search().arguments(r#"{"limit": 11}"#).refused("check_failed", Some(2)))
            .with("without", search().refused("check_failed", Some(2)))
            .with("a text", search().arguments(r#"{"limit": "10"}"#).refused("not_evaluable", Some(2))),
        Case::of("two caveats", &token(grant(), [
            by(ORCHESTRATOR, hop()),
            bare("check if true"),
            bare("check if arg(\"safe\", true)"),
            by(RESEARCHER, session(4)),
        ]))
        .ok("", search().arguments(r#"{"safe": true}"#))
        .with("the second fails", search().refused("check_failed", Some(3))),
        Case::of("a caveat that never holds", &with_caveat("check if false")).refused("check_failed", Some(2)),
    ]);
    cases
}

/// So many hops, each to another agent.
fn chain(hops: usize, grant: &str) -> Case {
    let holder = |hop: usize| match hop {
        0 => ORCHESTRATOR,
        hop => 0x20 + u8::try_from(hop).unwrap(),
    };
    let name = |hop: usize| format!("agent.of-hop-{hop}");
    let blocks = (1..=hops).map(|hop| by(holder(hop - 1), hop_to(hop, &name(hop), holder(hop))));
    let last = by(holder(hops), session(hops + 1));
    let forge = token(grant.to_owned(), blocks.chain([last]));
    Case::of(&format!("a chain of {hops} hops"), &forge).allowed(Some(&name(hops)), hops)
}

fn unbound() -> Vec<Case> {
    let grants = |scope: &str| {
        unbound_grant()
            .swap(r#"scope("tools:call:*");"#, scope)
            .without(r#"check all operation($operation), $operation.starts_with("tools:call:");"#)
    };
    let everything = || grants(r#"scope("*"); scope("hardtack:*");"#);
    let case = |title: &str, forge: &Forge, block: usize, agent: Option<&str>, depth: usize| {
        Case::of(title, forge).with("", search().refused("unbound", Some(block))).with(
            "tolerated",
            search().told(|o| o.accept_unbound_hops = true).allowed(agent, depth),
        )
    };
    vec![
        case(
            "an unbound grant, presented by nobody",
            &token(everything(), [bare(session(1))]),
            1,
            None,
            0,
        )
        .with(
            "what governs Hardtack",
            call("hardtack:read")
                .told(|o| o.accept_unbound_hops = true)
                .forbidden("unbound", Some(1)),
        )
        .with(
            "policies see it",
            search()
                .told(|o| o.accept_unbound_hops = true)
                .policy("allow if true; deny if unbound($block);")
                .refused("policy_denied", None),
        ),
        case(
            "an unbound grant, delegated by nobody to a holder",
            &token(unbound_grant(), [bare(hop()), by(RESEARCHER, session(2))]),
            1,
            RESEARCHER_NAME,
            1,
        ),
        case(
            "an unbound hop of a bound grant",
            &token(
                grant(),
                [by(ORCHESTRATOR, unbound_hop(1, "agent.researcher")), bare(session(2))],
            ),
            2,
            RESEARCHER_NAME,
            1,
        ),
        case(
            "unbound from the grant to the presentation",
            &token(
                unbound_grant(),
                [
                    bare(unbound_hop(1, "agent.a")),
                    bare(unbound_hop(2, "agent.researcher")),
                    bare(session(3)),
                ],
            ),
            1,
            RESEARCHER_NAME,
            2,
        ),
    ]
}

fn bound_to_calls() -> Vec<Case> {
    let asked = search().arguments(r#"{"query": "roadmap", "limit": 10}"#);
    let here = search().resource("https://notion.so/page");
    let plain = for_call(2, &search().call().unwrap());
    vec![
        Case::of("a presentation for one call", &with_last(plain.clone()))
            .ok("", search())
            .ok("empty arguments are none", search().arguments("{}"))
            .ok("the last second", search().at(59))
            .with("expired", search().at(60).refused("expired", Some(2)))
            .with(
                "a second time",
                search().told(|o| o.accepted_before = true).refused("replayed", Some(2)),
            )
            .with("with an argument", search().arguments(r#"{"a": 1}"#).refused("other_call", None))
            .with(
                "of a resource",
                search().resource("https://notion.so/page").refused("other_call", None),
            )
            .with("another tool", call("tools:call:fetch").refused("not_granted", Some(1)))
            .ok("policies see it", search().policy(r#"allow if presented("call");"#)),
        Case::of(
            "a presentation for one call, not sealed",
            &with_last(plain).change(|f| f.proof = Proof::Secret),
        )
        .ok("", search())
        .with(
            "a second time",
            search().told(|o| o.accepted_before = true).refused("replayed", Some(2)),
        ),
        Case::of(
            "a presentation for one call with arguments",
            &with_last(for_call(2, &asked.call().unwrap())),
        )
        .ok("", asked.clone())
        .ok("in another order", search().arguments(r#"{"limit":10,"query":"roadmap"}"#))
        .ok(
            "the number in another form",
            search().arguments(r#"{"query": "roadmap", "limit": 1e1}"#),
        )
        .ok(
            "the text in another form",
            search().arguments(r#"{"query": "\u0072oadmap", "limit": 10}"#),
        )
        .with(
            "another number",
            search().arguments(r#"{"query": "roadmap", "limit": 11}"#).refused("other_call", None),
        )
        .with(
            "another type",
            search()
                .arguments(r#"{"query": "roadmap", "limit": "10"}"#)
                .refused("other_call", None),
        )
        .with(
            "without one",
            search().arguments(r#"{"query": "roadmap"}"#).refused("other_call", None),
        )
        .with(
            "one more",
            search()
                .arguments(r#"{"query": "roadmap", "limit": 10, "all": true}"#)
                .refused("other_call", None),
        )
        .with("without any", search().refused("other_call", None)),
        Case::of(
            "a presentation for one call of a resource",
            &with_last(for_call(2, &here.call().unwrap())),
        )
        .ok("", here)
        .with("another", search().resource("https://notion.so/page2").refused("other_call", None))
        .with("none", search().refused("other_call", None)),
        Case::of(
            "a presentation for a call that the chain does not cover",
            &with_last(for_call(2, &call("tools:call:fetch").call().unwrap())),
        )
        .with("", call("tools:call:fetch").refused("not_granted", Some(1)))
        .with("another call", search().refused("other_call", None)),
        Case::of(
            "a digest whose check says another",
            &with_last(
                for_call(2, &search().call().unwrap())
                    .swap("$call == hex:", "$call == hex:00; check if true || true == hex:"),
            ),
        )
        .refused("check_failed", Some(2)),
        Case::of(
            "the subject's holder presents for one call",
            &token(
                grant(),
                [by(ORCHESTRATOR, for_call(1, &call("tools:call:fetch").call().unwrap()))],
            ),
        )
        .with("", call("tools:call:fetch").allowed(None, 0))
        .with("another", search().refused("other_call", None)),
    ]
}

/// Calls as they are hashed, each with the presentation that is bound to it.
fn arguments() -> Vec<Case> {
    let exact = [
        (
            "numbers",
            r#"{"a": 1, "b": -0, "c": 1.5, "d": 1.25e-30, "e": 1E-7, "f": 9007199254740991, "g": -9007199254740991, "h": 333333333.33333329}"#,
        ),
        (
            "texts",
            r#"{"a": "", "b": "\u20ac$\u000f\nA'B\"\\\\\"/", "c": "\ud83d\ude00", "d": "\u0000"}"#,
        ),
        (
            "members in the order of UTF-16",
            r#"{"\u20ac": 1, "A": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "~": 6, "\u00f6": 7}"#,
        ),
        ("nested values", r#"{"a": [1, [2, {"b": null}], true], "c": {"z": 1, "a": {}}, "e": []}"#),
    ];
    let inexact = [
        ("a member twice", r#"{"a": 1, "a": 1}"#),
        ("a member twice, below", r#"{"x": {"a": 1, "a": 2}}"#),
        ("names that differ in capitals", r#"{"path": 1, "Path": 2}"#),
        ("names that compatibility makes one", r#"{"amount": 1, "\uff41mount": 2}"#),
        ("names with spaces around", r#"{"amount": 1, "amount ": 2}"#),
        ("a name that some readers cut off", r#"{"amount": 5, "amount\u0000": 1}"#),
        ("a name that some readers cut off, below", r#"{"x": [{"a\u0000": 1}]}"#),
        ("a name with a line break", r#"{"\r": 1}"#),
        ("a name with a character that is not seen", r#"{"a\u200b": 1}"#),
        ("an integer too large", r#"{"a": 9007199254740992}"#),
        ("an integer too large, written as none", r#"{"a": 1e16}"#),
        ("a lone surrogate", r#"{"a": "\ud800"}"#),
        ("no object", r#"[1]"#),
        ("something after it", r#"{} {}"#),
        ("a comma too many", r#"{"a": 1,}"#),
    ];
    let exact = exact.map(|(title, json)| {
        let asked = search().arguments(json);
        let bound = with_last(for_call(2, &asked.call().unwrap()));
        Case::of(&format!("a presentation for one call: {title}"), &bound)
            .ok("", asked)
            .with("without arguments", search().refused("other_call", None))
    });
    let large = |last: char| {
        let (text, list) = ("x".repeat(5_000), vec!["1"; 1_200].join(","));
        let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
        format!("{{\"text\": \"{text}{last}\", \"list\": [{list}], \"deep\": {deep}}}")
    };
    let asked = search().arguments(&large('x'));
    let bound = with_last(for_call(2, &asked.call().unwrap()));
    let bound = Case::of("a presentation for one call: large arguments", &bound)
        .ok("", asked)
        .with("another byte", search().arguments(&large('y')).refused("other_call", None));
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(100), "]".repeat(100));
    let many = (0..1_001).map(|n| format!("\"a{n}\": 1")).collect::<Vec<_>>().join(", ");
    let many = format!("{{{many}}}");
    let case = Case::of("calls that are not exact", &seed())
        .with("too deep", search().arguments(&deep).refused("call_too_large", None))
        .with("too many arguments", search().arguments(&many).refused("call_too_large", None));
    let case = inexact.into_iter().fold(case, |case, (title, json)| {
        case.with(title, search().arguments(json).refused("inexact_call", None))
    });
    exact.into_iter().chain([bound, case, further_parameters(), spellings()]).collect()
}

/// Of schemes that are no web's, a URI is the only spelling of its resource; and an operation is that of its prompt.
fn spellings() -> Case {
    let one = [
        "memo://insights",
        "memo:///1",
        "memo://",
        "memo:a",
        "data://config",
        "memo://notes/A/README.md",
        "memo://notes/a%20b/caf%C3%A9",
        "memo://notes/%22%3C%3E%5B%5D%5E%60%7B%7C%7D",
        "memo://a-b.c_d~e/-._~!$&'()*+,=:@",
        "memo://notes/a?q=b&r=/?c",
        "wss://docs.example:8443/",
    ];
    let other = [
        "Memo://notes/a",
        "memo://Notes/a",
        "memo://notes/%61",
        "memo://notes/a%7bb",
        "memo://notes/a%2Fb",
        "memo://notes/a%2Cb",
        "memo://notes/%2561",
        "memo://notes/a%00",
        "memo://notes/a%",
        "memo://notes/a\\b",
        "memo://notes/a|b",
        "memo://notes/{id}",
        "memo://notes/a[0]",
        "memo://notes/cafe%CC%81",
        "memo://notes/%EF%BC%8F",
        "memo://notes/a%E2%80%8B",
        "memo://notes/a%C0%AF",
        "memo://notes/a\tb",
        "memo://notes/caf\u{e9}",
        "memo://notes/a/../b",
        "memo://notes/%2E%2E/b",
        "memo:a/../b",
        "memo://../a",
        "memo://notes/a.",
        "memo://notes/a;v=1",
        "memo://notes/a%20",
        "memo://notes/a/",
        "memo://notes//a",
        "memo://notes/",
        "memo:///",
        "memo:/a",
        "memo://alice@notes/a",
        "memo://notes:443/a",
        "memo://notes:/a",
        "memo://[::1]/a",
        "memo://notes./a",
        "memo://b%C3%BCcher/a",
        "memo://notes/a#b",
        "memo://notes/a?",
        "memo://notes/a?q=b+c",
        "data:text/html,hello",
        "wss://alice@docs.example/a",
        "wss://docs.example./a",
        "wss://[::1]/a",
        "wss://docs.example/a#b",
    ];
    let asked = |uri: &str| {
        let judged = ["memo", "data", "wss"].map(str::to_owned).to_vec();
        search().resource(uri).told(|o| o.resource_schemes = Some(judged))
    };
    let case = Case::of("resources and their spellings", &seed()).with(
        "a prompt's name with an escape",
        call("prompts:get:code%20review").refused("not_granted", Some(0)),
    );
    let operations = [
        "prompts:get:%61",
        "prompts:get:a%2fb",
        "prompts:get:a%",
        "prompts:get:a%3Ab",
        "prompts:get:%20a",
        "tools:call:a%20b",
    ];
    let case = operations.into_iter().fold(case, |case, operation| {
        case.with(operation, call(operation).refused("inexact_call", None))
    });
    let case = one.into_iter().fold(case, |case, uri| case.ok(uri, asked(uri)));
    other.into_iter().fold(case, |case, uri| {
        case.with(
            &format!("another spelling: {}", uri.escape_debug()),
            asked(uri).refused("inexact_call", None),
        )
    })
}

/// What a request says besides its arguments is part of the call.
fn further_parameters() -> Case {
    let asked = || search().arguments(r#"{"query": "roadmap"}"#);
    let said = || asked().params(r#"{"requestState": "s1", "task": {"ttl": 60000}}"#);
    let bound = with_last(for_call(2, &said().call().unwrap()));
    Case::of("a presentation for one call: further parameters", &bound)
        .ok("", said())
        .ok("in another order", asked().params(r#"{"task": {"ttl": 60000}, "requestState": "s1"}"#))
        .with("without them", asked().refused("other_call", None))
        .with(
            "with another state",
            asked()
                .params(r#"{"requestState": "s2", "task": {"ttl": 60000}}"#)
                .refused("other_call", None),
        )
        .with(
            "with one more",
            asked()
                .params(r#"{"requestState": "s1", "task": {"ttl": 60000}, "x": 1}"#)
                .refused("other_call", None),
        )
}

fn presented(grant: String) -> Forge {
    token(grant, [by(ORCHESTRATOR, session(1))])
}

/// A grant with other scopes, and without the check that says the same.
fn grant_of(scopes: &str) -> String {
    grant()
        .swap(r#"scope("tools:call:*")"#, scopes)
        .without(r#"check all operation($operation), $operation.starts_with("tools:call:");"#)
}

pub fn grant_at(audiences: &[&str]) -> String {
    let facts: String = audiences.iter().map(|name| format!("audience(\"{name}\"); ")).collect();
    grant().plus(&facts).plus(&format!(
        "check all verifier($verifier), {{\"{}\"}}.contains($verifier);",
        audiences.join("\", \"")
    ))
}

/// A hop of facts alone, without its parent.
pub fn bare_hop() -> String {
    format!(
        r#"hop(1); delegate("agent.researcher"); scope("tools:call:search"); reason("find");
           expires(2026-11-23T10:15:00Z); holder(hex:{});"#,
        digits(RESEARCHER)
    )
}

fn with_caveat(check: &str) -> Forge {
    token(grant(), [by(ORCHESTRATOR, hop()), bare(check), by(RESEARCHER, session(3))])
}

fn root(id: Option<u32>, seed: u8) -> RootKey {
    RootKey { id, key: key(seed).public() }
}
