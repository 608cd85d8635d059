use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::cause::Cause;
use crate::keys::PrivateKey;
use crate::mint::Issuer;
use crate::scope::{Operation, Scope};
use crate::timestamp::Timestamp;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

fn set(text: &str) -> Issuance {
    Issuance::parse("p.issuance.datalog", text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn request(claims: serde_json::Value) -> Request {
    Request::of("user:acme/alice", "acme", Way::Exchange, claims.as_object().unwrap())
}

fn refused(set: &Issuance, request: &Request) -> Cause {
    decide(set, request, NOW).unwrap_err().cause()
}

fn problem(text: &str) -> String {
    Issuance::parse("p.issuance.datalog", text).unwrap_err().to_string()
}

#[test]
fn what_is_issued_is_minted_as_it_is() {
    let set = set(r#"
        allow if idp("acme");
        offer("tools:call:*", "notion.mcp", 600, 2) <- claim("groups", "editors");
        fact("limit", "eur", $limit) <- claim("limit", $limit);
    "#);
    let request = request(json!({ "groups": ["editors"], "limit": 200 }));
    let request = request.scope("tools:call:search").audience("notion.mcp");
    let issued = decide(&set, &request, NOW).unwrap();
    assert!(issued.asks_consent);
    assert_eq!(issued.offered_at[0].to_string(), "p.issuance.datalog:3");
    let holder = PrivateKey::generate().public();
    let issuer = Issuer::new(PrivateKey::generate());
    let capability = issuer.mint(issued.grant().holder(holder), NOW).unwrap();
    let grant = &capability.chain().grant;
    assert_eq!(grant.subject, "user:acme/alice");
    assert_eq!(grant.scopes, vec!["tools:call:search".parse::<Scope>().unwrap()]);
    assert_eq!(grant.audiences, ["notion.mcp"]);
    assert_eq!(grant.max_depth, 2);
    assert_eq!(grant.expires, Timestamp::from_unix_seconds(1_795_428_600));
    assert_eq!(issued.facts().collect::<Vec<_>>(), [r#"limit("eur", 200)"#]);
}

#[test]
fn a_grant_for_two_servers_has_what_is_offered_for_both() {
    let set = set(r#"
        allow if idp("acme");
        offer("tools:call:*", "a.mcp", 3600, 8);
        offer("tools:call:search", "b.mcp", 60, 1);
        offer("resources:read", "b.mcp", 60, 1);
    "#);
    let both = request(json!({})).scope("tools:call:*").scope("resources:read");
    let both = both.audience("a.mcp").audience("b.mcp");
    let issued = decide(&set, &both, NOW).unwrap();
    assert_eq!(issued.scopes, vec!["tools:call:search".parse::<Scope>().unwrap()]);
    assert_eq!((issued.seconds, issued.depth), (60, 1));
    let none = request(json!({})).scope("resources:read").audience("a.mcp");
    assert_eq!(refused(&set, &none), Cause::NotOffered);
    // Without a server, it would be good for any.
    let any = request(json!({})).scope("tools:call:search");
    assert_eq!(refused(&set, &any), Cause::AudienceNotOffered);
}

#[test]
fn the_life_of_one_offer_is_not_joined_with_the_hops_of_another() {
    let set = set(r#"
        allow if idp("acme");
        offer("tools:call:pay", "a.mcp", 3600, 0);
        offer("tools:call:pay", "a.mcp", 60, 8);
    "#);
    let request = request(json!({})).scope("tools:call:pay").audience("a.mcp");
    let issued = decide(&set, &request, NOW).unwrap();
    assert_eq!((issued.seconds, issued.depth), (3600, 0));
}

#[test]
fn a_set_that_offers_what_nobody_can_have_issues_nothing() {
    for said in [
        r#"offer($s, "a.mcp", 60, 1) <- claim("scopes", $s);"#,
        r#"offer("tools:call:x", $s, 60, 1) <- claim("scopes", $s);"#,
        r#"offer("tools:call:x", "a.mcp", $n, 1) <- claim("number", $n);"#,
        r#"offer("tools:call:x", "a.mcp", 60, $n) <- claim("number", $n);"#,
        r#"offer("tools:call:x", "a.mcp", $s, 1) <- claim("scopes", $s);"#,
        r#"fact($s, 1) <- claim("reserved", $s);"#,
        r#"consent($s) <- claim("scopes", $s);"#,
        r#"fresh($n) <- claim("number", $n);"#,
    ] {
        let text =
            format!("allow if idp(\"acme\"); offer(\"tools:call:x\", \"a.mcp\", 60, 1);\n{said}");
        let claims = json!({ "scopes": "no scope", "number": -1, "reserved": "scope" });
        let request = request(claims).scope("tools:call:x").audience("a.mcp");
        let error = decide(&set(&text), &request, NOW).unwrap_err();
        assert_eq!(error.cause(), Cause::OfferUnusable, "{said}: {error}");
        assert_eq!(error.place().as_deref(), Some("p.issuance.datalog:2"), "{said}");
    }
}

#[test]
fn what_can_be_seen_to_be_no_offer_is_not_loaded() {
    let allow = "allow if idp(\"acme\");\n";
    for (said, expected) in [
        (r#"offer("tools:call:*", "a.mcp", 60);"#, "offer(scope, audience, seconds, depth)"),
        (r#"offer("tools call", "a.mcp", 60, 1);"#, "tools call"),
        (r#"offer("tools:call:*", "a mcp", 60, 1);"#, "audience"),
        (r#"offer("tools:call:*", "a.mcp", 0, 1);"#, "at least one second"),
        (r#"offer("tools:call:*", "a.mcp", 60, 14);"#, "0 to 13 hops"),
        (r#"offer("tools:call:*", "a.mcp", "60", 1);"#, "offer is written"),
        (r#"fact("scope", "x");"#, "no fact called `scope`"),
        (r#"fact("role");"#, "fact(name, value, …)"),
        (r#"consent("maybe");"#, "\"asked\" or \"given\""),
        (r#"claim("groups", "editors");"#, "`claim` is reserved"),
        (r#"granted("x");"#, "`granted` is reserved"),
        (r#"deny if tool("pay");"#, "`tool` is a word for calls"),
        (r#"deny if arg("a", 1);"#, "`arg` is a word for calls"),
        (r#"deny if scope("a");"#, "`scope` is a word for calls"),
    ] {
        let problem = problem(&format!("{allow}{said}"));
        assert!(problem.contains(expected), "{said}: {problem}");
        assert!(problem.starts_with("p.issuance.datalog:2:"), "{said}: {problem}");
    }
    assert!(problem(allow).contains("no `offer`"));
    assert!(problem(r#"offer("a:b", "a.mcp", 60, 1);"#).contains("no `allow if`"));
}

#[test]
fn a_set_of_one_kind_is_not_loaded_as_the_other() {
    let calls = "allow if granted($op);";
    let error = Issuance::parse("p.datalog", calls).unwrap_err();
    assert!(matches!(error, PolicyError::OfCalls { .. }), "{error}");
    let issuing = "allow if idp(\"acme\"); offer(\"a:b\", \"a.mcp\", 60, 1);";
    let error = Policy::parse("p.issuance.datalog", issuing).unwrap_err();
    assert!(matches!(error, PolicyError::OfIssuer { .. }), "{error}");
    let error = Policy::parse_set([("p.datalog", calls), ("q.issuance.datalog", issuing)]);
    assert!(matches!(error.unwrap_err(), PolicyError::OfIssuer { .. }));
    // The words of the one kind are no words of the other.
    Policy::parse("p.datalog", "claim(\"a\"); allow if granted($op), claim(\"a\");").unwrap();
}

#[test]
fn more_than_policies_see_is_refused_and_not_left_out() {
    let set = set(r#"allow if idp("acme"); offer("a:b", "*", 60, 1); deny if claim("g", "x");"#);
    let many = |count: usize| {
        let mut groups: Vec<String> = (1..count).map(|number| number.to_string()).collect();
        groups.push("x".to_owned());
        request(json!({ "g": groups })).scope("a:b")
    };
    assert_eq!(refused(&set, &many(1000)), Cause::PolicyDenied);
    assert_eq!(refused(&set, &many(1001)), Cause::TooMany);
    let wanted = (0..33).fold(request(json!({})), |request, at| request.scope(&format!("a:b{at}")));
    assert_eq!(refused(&set, &wanted), Cause::TooMany);
    let wanted = (0..9)
        .fold(request(json!({})).scope("a:b"), |request, at| request.audience(&format!("a{at}")));
    assert_eq!(refused(&set, &wanted), Cause::TooMany);
}

#[test]
fn what_is_malformed_is_not_issued() {
    let set = set(r#"allow if idp("acme"); offer("a:b", "*", 60, 1);"#);
    let request = || request(json!({}));
    assert_eq!(refused(&set, &request().scope("a b")), Cause::MalformedScope);
    assert_eq!(refused(&set, &request().scope("a:b").audience("a b")), Cause::MalformedName);
    assert_eq!(refused(&set, &request().scope("a:b").seconds(0)), Cause::MalformedLife);
    let nobody = Request::of("alice", "acme", Way::Login, &serde_json::Map::new());
    assert_eq!(refused(&set, &nobody.scope("a:b")), Cause::MalformedName);
}

#[test]
fn who_must_sign_in_anew_gets_nothing_until_they_have() {
    let set = set(r#"
        allow if idp("acme");
        offer("a:b", "*", 60, 1);
        step_up("mfa");
        fresh(60);
    "#);
    let asked = |acr: &str, ago: i64| {
        let moment = NOW.unix_seconds().checked_add_signed(-ago).unwrap();
        let request = request(json!({ "acr": acr })).scope("a:b");
        request.signed_in(Timestamp::from_unix_seconds(moment))
    };
    decide(&set, &asked("mfa", 60), NOW).unwrap();
    for request in [asked("mfa", 61), asked("pwd", 1), asked("mfa", -1)] {
        assert_eq!(refused(&set, &request), Cause::StepUpNeeded);
    }
    let list = request(json!({ "acr": ["mfa"] })).scope("a:b").signed_in(NOW);
    assert_eq!(refused(&set, &list), Cause::StepUpNeeded);
}

#[test]
fn nothing_is_issued_without_a_consent_that_a_set_asks_for() {
    let set = set(r#"
        allow if idp("acme");
        offer("tools:call:*", "*", 600, 0);
        consent("given");
        consent("asked") <- wanted_audience("payments.mcp");
    "#);
    let asked = |way| {
        let claims = serde_json::Map::new();
        let request = Request::of("user:acme/alice", "acme", way, &claims);
        request.scope("tools:call:pay").audience("payments.mcp")
    };
    assert_eq!(refused(&set, &asked(Way::Exchange)), Cause::ConsentNeeded);
    assert!(decide(&set, &asked(Way::Code), NOW).unwrap().asks_consent);
    let elsewhere = request(json!({})).scope("tools:call:pay").audience("notion.mcp");
    assert!(!decide(&set, &elsewhere, NOW).unwrap().asks_consent);
}

fn scopes() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "*",
        "hardtack:*",
        "hardtack:revoke",
        "tools:*",
        "tools:call:*",
        "tools:call:a",
        "tools:call:b",
        "resources:read",
        "resources:*",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn what_is_issued_lies_within_what_was_wanted_and_within_offers_for_each_server(
        wanted in prop::collection::vec(scopes(), 1..4),
        servers in prop::collection::vec(prop::sample::select(vec!["a", "b"]), 0..3),
        offers in prop::collection::vec((scopes(), prop::sample::select(vec!["a", "b", "*"]), 1_u64..4, 0_u8..4), 1..5),
        seconds in 1_u64..5,
        hops in 0_u8..5,
    ) {
        let said = offers.iter().map(|(scope, at, seconds, hops)| {
            format!("offer(\"{scope}\", \"{at}\", {seconds}, {hops});\n")
        });
        let set = set(&format!("allow if idp(\"acme\");\n{}", said.collect::<String>()));
        let asked = request(json!({})).seconds(seconds).depth(hops);
        let asked = wanted.iter().fold(asked, |asked, scope| asked.scope(scope));
        let asked = servers.iter().fold(asked, |asked, name| asked.audience(name));
        let issued = decide(&set, &asked, NOW);
        let parsed = |text: &String| text.parse::<Scope>().unwrap();
        let at: Vec<Option<&str>> = match servers.as_slice() {
            [] => vec![None],
            names => names.iter().map(|name| Some(*name)).collect(),
        };
        // An operation is issued exactly if it is wanted and offered everywhere.
        for operation in ["tools:call:a", "tools:call:c", "resources:read", "resources:x", "hardtack:revoke", "hardtack:x", "logging:set"] {
            let operation: Operation = operation.parse().unwrap();
            let is_wanted = wanted.iter().any(|scope| parsed(scope).covers(&operation));
            let is_offered = at.iter().all(|server| offers.iter().any(|(scope, name, _, _)| {
                (*name == "*" || Some(*name) == *server) && parsed(scope).covers(&operation)
            }));
            let is_issued = issued.as_ref().is_ok_and(|issued| {
                issued.scopes.iter().any(|scope| scope.covers(&operation))
            });
            prop_assert_eq!(is_issued, is_wanted && is_offered, "{} {:?}", operation.as_str(), &issued);
        }
        if let Ok(issued) = &issued {
            prop_assert!(issued.seconds <= seconds && issued.depth <= hops);
            for (scope, server) in issued.scopes.iter().flat_map(|scope| at.iter().map(move |at| (scope, at))) {
                let within = offers.iter().any(|(offered, name, seconds, hops)| {
                    (*name == "*" || Some(*name) == *server)
                        && parsed(offered).covers_scope(scope)
                        && issued.seconds <= *seconds
                        && issued.depth <= *hops
                });
                prop_assert!(within, "{:?}", issued);
            }
        }
    }
}
