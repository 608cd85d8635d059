//! What was decided live and what is decided again from its record are the same, over many calls and policies.

use std::collections::BTreeSet;

use hardtack::audit::Keep;
use hardtack::cause::RecordedCause;
use hardtack::replay::{Replayed, replay};
use hardtack::revocation::RevocationUnchecked;
use hardtack::ruling::Ruling;
use hardtack::*;
use hardtack_testkit::{AUDIENCE, Cast, NOW, minutes};

/// Each reads something else of what policies can see.
const POLICIES: &[&str] = &[
    "allow if granted($op);",
    r#"allow if role("editor"), depth($d), $d < 2; deny if arg("amount", $a), $a > 100;"#,
    r#"allow if agent_key($k), delegated_key($h, $by, $k), delegated($h, "user:alice", $to);
       allow if depth(0), presented("session"); deny if unbound($k);"#,
    r#"check if resource($uri), $uri.starts_with("https://notion.so/") or tool($t);
       allow if verifier("notion.mcp"), issuer($i), subject($s), $s != "user:mallory";"#,
    r#"big($n) <- arg($n, $v), $v.type() == "integer", $v > 50; allow if granted($op);
       deny if big($n), tool("pay");"#,
    r#"allow if trusted($d), issued($i), time($t), $t < $d, $i <= $t;
       allow if tags($tags), $tags.contains("blue"); allow if level($n), $n > 2; allow if key($b), $b == hex:00ff;"#,
    r#"allow if matrix($m), $m.length() == 2; allow if site($s), $s.get("eu") == true; deny if nothing(null);"#,
    r#"allow if call($d), $d.length() == 32, arg($n, $v), $v == $v; deny if arg("query", $q), $q.length() > 5;
       deny if arg("deep", $m), $m.get("a") == [1, 2];"#,
    r#"team("red"); n(1); n(2); pair($a, $b) <- n($a), n($b); allow if team("red"), pair(1, 2), role($r);
       check all arg($n, $v), $v.type() != "null"; deny if time($t), $t > 2026-11-23T10:10:00Z;"#,
    r#"check if operation($op), $op != "tools:call:pay"
         or arg("amount", $a), $a.type() == "integer", $a >= 1, $a <= 500; allow if granted($op);"#,
    r#"check if operation($op), $op != "tools:call:pay" or arg("amount", $a), $a >= 1; allow if granted($op);"#,
    r#"allow if granted($op); allow if arg("limit", $l), $l > 5; deny if arg("deep", $d), depth(1), $d.length() > 9, depth(0);"#,
    r#"allow if true; deny if arg($n, $v), arg($m, $v), $n != $m, depth(2); deny if granted($op), $op == "resources:read";"#,
    r#"allow if granted($op), weekday("Asia/Tokyo", $d), minute_of_day("UTC", $m), $m < 1000, $d != 2;
       old(true) <- grant_age($a), $a > 1; deny if old(true), tool("pay"); deny if weekday("UTC", 1), tool("move");"#,
    "n(0); m($n) <- n($n), $n > -1; allow if m(0), unbound($k) or n(0), agent(\"agent.researcher\");",
];

const FACTS: &[&[&str]] = &[
    &[],
    &[r#"role("editor")"#, "level(3)"],
    &[r#"role("reader")"#, "trusted(2026-11-24T00:00:00Z)", "key(hex:00ff)", "level(-1)"],
    &[r#"tags({"blue", "red"})"#, "matrix([1, [true, null]])", "nothing(null)", "flag(false, 1)"],
    &[r#"site({"eu": true, "n": {"x"}})"#, r#"site({1: "one"})"#, r#"role("a\"b")"#],
];

fn calls() -> Vec<Call> {
    let tool =
        |name: &str, arguments: &str| Call::tool(name).unwrap().arguments(arguments).unwrap();
    let read = |uri: &str| Call::new("resources:read").unwrap().resource(uri).unwrap();
    vec![
        tool("search", "{}"),
        tool("search", r#"{"query": "roadmap", "limit": 10}"#),
        tool("search", r#"{"query": "plan", "ratio": 1.5, "tiny": 1e-7, "none": null}"#),
        tool("search", r#"{"amount": "many", "deep": 7}"#),
        tool("pay", r#"{"amount": 100}"#),
        tool("pay", r#"{"amount": 1e3, "to": "bob \u0001"}"#),
        tool("pay", r#"{"amount": "9"}"#),
        tool("pay", r#"{"amount": -0.0, "list": [1, "a", null, {"b": false}]}"#),
        tool("move", r#"{"deep": {"a": [1, 2]}, "query": ""}"#)
            .resource("https://a.example/")
            .unwrap(),
        read("https://notion.so/page?q=%20"),
        read("file:///srv/data"),
    ]
}

/// A chain with this many hops; `bound` up to and without this hop.
fn chain(
    cast: &Cast,
    facts: &[&str],
    hops: usize,
    bound: usize,
) -> (Capability, Option<PrivateKey>) {
    let key = |index: usize| PrivateKey::from_bytes(&[10 + index as u8; 32]);
    let grant = Grant::to("user:alice").scope("tools:*").scope("resources:*");
    let grant = facts.iter().fold(grant, |grant, fact| grant.fact_datalog(*fact));
    let grant = if bound == 0 { grant.unbound() } else { grant.holder(key(0).public()) };
    let mut token = cast.issuer().mint(grant, NOW).unwrap();
    for hop in 0..hops {
        let name = if hop == 0 { "agent.researcher".to_owned() } else { format!("agent.{hop}") };
        let part = Delegation::to(name).scope("tools:*").scope("resources:*").reason("work");
        let next = hop + 1;
        let part = if next < bound { part.holder(key(next).public()) } else { part.unbound() };
        token = match hop < bound {
            true => token.delegate(part, &key(hop), NOW).unwrap(),
            false => token.delegate_unbound(part, NOW).unwrap(),
        };
    }
    (token, (hops < bound).then(|| key(hops)))
}

fn present(token: &Capability, key: Option<&PrivateKey>, presenting: Presenting) -> String {
    let presented = match key {
        Some(key) => token.present(presenting, key, NOW),
        None => token.present_unbound(presenting, NOW),
    };
    presented.unwrap().bearer().to_owned()
}

fn guard(cast: &Cast, policy: &Policy, kept: Keep) -> (Guard, Store) {
    let store = Store::in_memory().unwrap();
    let verifier =
        Verifier::new(cast.roots().named("main"), AUDIENCE, RevocationUnchecked).unwrap();
    let ledger = store.clone().losing_at_most(1000);
    let guard = Guard::new(verifier.accept_unbound_hops(), policy.clone(), ledger);
    (guard.keep_requests(kept), store)
}

/// The records as an export has them.
fn exported(store: &Store) -> Vec<AuditRecord> {
    store.checkpoint().unwrap();
    let reader = store.reader();
    let lines = reader.records(1).map(|line| line.unwrap().json);
    lines.map(|json| serde_json::from_str(&json).unwrap()).collect()
}

fn told(replayed: Replayed) -> Ruling {
    match replayed {
        Replayed::Decided(redecided) => redecided,
        other => panic!("{other:?}"),
    }
}

/// Every chain with every call, once in a session and once bound to the call.
fn bearers(cast: &Cast) -> Vec<(String, Call, Timestamp)> {
    let mut bearers = Vec::new();
    let shapes = [(0, 1), (1, 2), (2, 3), (1, 1), (2, 2), (2, 0)];
    let chains = FACTS.iter().flat_map(|facts| shapes.map(|shape| (facts, shape))).enumerate();
    // Every facts and every shape, and two of three pairs of them.
    for (number, (facts, (hops, bound))) in
        chains.filter(|(number, _)| (number + number / 6) % 3 != 2)
    {
        let (token, key) = chain(cast, facts, hops, bound);
        for (index, call) in calls().into_iter().enumerate() {
            let presenting = Presenting::to(AUDIENCE);
            let (presenting, later) = match (number + index) % 2 {
                0 => (presenting.call(call.clone()), NOW),
                _ => (presenting, NOW + minutes(1)),
            };
            bearers.push((present(&token, key.as_ref(), presenting), call, later));
        }
    }
    bearers
}

#[test]
fn a_record_is_decided_again_as_the_call_was() {
    let cast = Cast::new();
    let policies: Vec<Policy> =
        POLICIES.iter().map(|text| Policy::parse("p.datalog", text).unwrap()).collect();
    let bearers = bearers(&cast);
    assert!(bearers.len() >= 200);
    let mut seen = BTreeSet::new();
    // What each policy said live, call by call.
    let decided: Vec<(Vec<AuditRecord>, Vec<AuditRecord>)> = policies
        .iter()
        .map(|policy| {
            [Keep::Arguments, Keep::Digests].map(|kept| {
                let (guard, store) = guard(&cast, policy, kept);
                for (bearer, call, time) in &bearers {
                    let _ = guard.check(bearer, call, *time);
                }
                exported(&store)
            })
        })
        .map(|[whole, digests]| (whole, digests))
        .collect();
    for (own, (whole, digests)) in decided.iter().enumerate() {
        for (index, (record, digest)) in whole.iter().zip(digests).enumerate() {
            // By its own policies, and now and then by others in turn.
            let other = if index % 3 == 0 { (own + index / 3) % policies.len() } else { own };
            for other in BTreeSet::from([own, other]) {
                let policy = &policies[other];
                let live = decided[other].0[index].decision().unwrap();
                let again = told(replay(record, policy).unwrap());
                let place = format!("{own} by {other}, call {index}: {live:?} and {again:?}");
                assert!(!again.differs_from(live) && again.message == live.message, "{place}");
                // Without arguments, what is said is the same, and often nothing is.
                match replay(digest, policy).unwrap() {
                    Replayed::RestsOnArguments => drop(seen.insert("rests on arguments")),
                    Replayed::Decided(known) => {
                        let same = known.cause.is_none() || !known.differs_from(live);
                        assert!(same, "{place}: {known:?}");
                        assert_eq!(known.verdict, live.verdict, "{place}: {known:?}");
                        seen.insert("known without arguments");
                    }
                    other => panic!("{place}: {other:?}"),
                }
                seen.insert(match live.cause.as_ref().map(RecordedCause::as_str) {
                    None => "allow",
                    Some("policy_denied") => "policy_denied",
                    Some("policy_check_failed") => "policy_check_failed",
                    Some("nothing_allows") => "nothing_allows",
                    Some("not_evaluable") => "not_evaluable",
                    Some(cause) => panic!("{cause}"),
                });
            }
        }
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
}

#[test]
fn large_arguments_and_requests_to_revoke_are_kept_as_digests() {
    let cast = Cast::new();
    let (guard, store) = guard(&cast, &Policy::builtin(), Keep::Arguments);
    let (token, key) = chain(&cast, &[], 0, 1);
    let bearer = present(&token, key.as_ref(), Presenting::to(AUDIENCE));
    let long = format!(r#"{{"text": "{}"}}"#, "x".repeat(16 * 1024));
    guard.check(&bearer, &Call::tool("t").unwrap().arguments(&long).unwrap(), NOW).unwrap();
    let grant = Grant::to("user:admin").scope("hardtack:*").holder(cast.orchestrator.public());
    let grant = cast.issuer().mint(grant, NOW).unwrap();
    let revocation = Revocation::Agent { agent: "agent.x".to_owned() };
    let request = RevocationRequest::new(revocation, "lost", None).unwrap();
    let asks = Presenting::to(AUDIENCE).call(request.call().clone());
    let asks = grant.present(asks, &cast.orchestrator, NOW).unwrap();
    guard.check_revocation(asks.bearer(), &request, NOW).unwrap();
    let records = exported(&store);
    assert_eq!(records.len(), 2);
    for record in records {
        let text = serde_json::to_string(&record).unwrap();
        assert!(text.contains(r#""digest":""#) && !text.contains(r#""arguments""#), "{text}");
    }
}

#[test]
fn a_record_that_no_guard_wrote_is_an_error() {
    let cast = Cast::new();
    let (guard, store) = guard(&cast, &Policy::builtin(), Keep::Arguments);
    let (token, key) = chain(&cast, &[r#"role("editor")"#], 1, 2);
    let bearer = present(&token, key.as_ref(), Presenting::to(AUDIENCE));
    guard.check(&bearer, &hardtack_testkit::search(), NOW).unwrap();
    let good = serde_json::to_string(&exported(&store)[0]).unwrap();
    for (what, by) in [
        (r#""name":"role""#, r#""name":"granted""#),
        (r#"["editor"]"#, r#"[{"date":"never"}]"#),
        (r#""arguments":{}"#, r#""digest":"00""#),
        (r#""operation":"tools:call:search""#, r#""operation":"tools call""#),
    ] {
        assert!(good.contains(what), "{what} in {good}");
        let record: AuditRecord = serde_json::from_str(&good.replace(what, by)).unwrap();
        assert!(replay(&record, &Policy::builtin()).is_err(), "{by}");
    }
}
