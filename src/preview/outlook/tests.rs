use super::*;
use crate::delegate::Delegation;
use crate::keys::{PrivateKey, RootKeys};
use crate::mint::{Grant, Issuer};
use crate::present::Presenting;
use crate::preview::preview;
use crate::revocation::RevocationUnchecked;
use crate::timestamp::Timestamp;
use crate::verify::Verifier;

/// A chain of so many hops, the last with these checks.
fn verified(hops: usize, checks: &[&str]) -> VerifiedCapability {
    let now = Timestamp::from_unix_seconds(1_795_428_000);
    let issuer = Issuer::new(PrivateKey::generate());
    let (grant, mut key) =
        Grant::to("user:alice").scope("tools:call:*").scope("resources:read").new_holder();
    let mut token = issuer.mint(grant, now).unwrap();
    for hop in 0..hops {
        let part = Delegation::to("agent.researcher")
            .scope("tools:call:*")
            .scope("resources:read")
            .reason("find");
        let last = hop + 1 == hops;
        let part = checks.iter().filter(|_| last).fold(part, |part, check| part.check(*check));
        let (part, next) = part.new_holder();
        token = token.delegate(part, &key, now).unwrap();
        key = next;
    }
    let bearer = token.present(Presenting::to("notion.mcp"), &key, now).unwrap();
    let roots = RootKeys::of(issuer.public());
    let verifier = Verifier::new(roots, "notion.mcp", RevocationUnchecked).unwrap();
    verifier.verify(bearer.bearer(), now).unwrap()
}

/// What one more call costs, after the first.
fn cost_of_one_more(verified: &VerifiedCapability) -> u64 {
    let policy = Policy::builtin();
    let prepared = PreparedSets::default();
    let mut outlook = Outlook::over(&prepared, verified, &policy, u64::MAX);
    outlook.of(&Call::tool("tool_1").unwrap()).unwrap();
    let before = outlook.left;
    outlook.of(&Call::tool("tool_2").unwrap()).unwrap();
    before - outlook.left
}

#[test]
fn one_more_call_costs_a_small_part_of_a_decision_and_nothing_for_what_does_not_depend_on_it() {
    let [short, long] = [verified(2, &[]), verified(8, &[])].map(|one| cost_of_one_more(&one));
    assert!(short < MAX_COST / 100, "{short}");
    assert!(long < MAX_COST / 30, "{long}");
    let shared =
        [r#"check if time($t), !["a", "b", "c"].any($w -> $w == "d")"#, "check if depth(2)"];
    let with_shared = cost_of_one_more(&verified(2, &shared));
    assert!(with_shared < short + 50, "{with_shared} after {short}");
    let own = [r#"check if operation($o), !["a", "b", "c"].any($w -> $w == $o)"#];
    assert!(cost_of_one_more(&verified(2, &own)) > short + 100);
}

#[test]
fn of_many_calls_each_is_answered_as_it_is_alone() {
    let policies = [
        "allow if granted($op);",
        r#"kind($k) <- tool($t), named($t, $k); named("pay", "money");
           allow if granted($op); deny if kind("money"); check if operation($op);"#,
        r#"allow if tool("search"); allow if resource($r), $r.starts_with("https://a.b/");
           deny if arg("amount", $a), tool("pay"), $a > 5;"#,
        r#"check if time($t), tool($t2) or resource($r); allow if depth(1);"#,
    ];
    let checks = [
        r#"check if operation($o), $o != "tools:call:b" or arg("x", $x), $x > 3"#,
        r#"check all resource($r), $r.starts_with("https://a.b/") or tool($t)"#,
        r#"reject if tool("broken"), arg("x", $x), $x < 1"#,
    ];
    let mut calls: Vec<Call> = ["search", "pay", "b", "broken", "other", "search"]
        .map(|name| Call::tool(name).unwrap())
        .into();
    for uri in ["https://a.b/c", "https://c.d/", "memo://x"] {
        calls.extend(Call::new("resources:read").unwrap().resource(uri));
    }
    calls.push(Call::new("resources:read").unwrap());
    calls.push(Call::new("prompts:get:x").unwrap());
    let mut seen = std::collections::BTreeSet::new();
    for policy in policies.map(|text| Policy::parse("p.datalog", text).unwrap()) {
        for checks in [&[][..], &checks[..1], &checks[1..2], &checks] {
            let verified = verified(1, checks);
            let prepared = PreparedSets::default();
            let mut outlook = Outlook::over(&prepared, &verified, &policy, u64::MAX);
            for call in &calls {
                let together = outlook.of(call).unwrap();
                let alone = preview(&prepared, &verified, &policy, call);
                assert_eq!(together, alone, "{call:?} {checks:?}");
                seen.insert(format!("{alone:?}"));
                let allowed = crate::authorize::authorize(&verified, &policy, call).is_ok();
                assert!(!allowed || alone.is_open(), "{call:?} is allowed {checks:?}");
            }
        }
    }
    assert_eq!(seen.len(), 3, "each answer was given");
}

#[test]
fn there_is_an_end_of_the_work() {
    let verified = verified(2, &[]);
    let policy = Policy::builtin();
    let each = cost_of_one_more(&verified);
    let calls: Vec<Call> = (0..10).map(|n| Call::tool(&format!("tool_{n}")).unwrap()).collect();
    let prepared = PreparedSets::default();
    let mut outlook = Outlook::over(&prepared, &verified, &policy, u64::MAX);
    outlook.of(&calls[0]).unwrap();
    let first = u64::MAX - outlook.left;
    assert!(first > each, "what calls have in common is paid for, too");
    let mut outlook = Outlook::over(&prepared, &verified, &policy, first + 3 * each);
    let answered = calls.iter().take_while(|call| outlook.of(call).is_ok()).count();
    assert_eq!(answered, 4);
}

#[test]
fn checks_dearer_than_a_decision_may_be_are_not_asked_and_not_paid_for() {
    let long = format!("https://a.b/{}", "x".repeat(7000));
    let globs: Vec<String> = (0..12)
        .map(|n| {
            let pattern = format!("**{n}{}", "*a".repeat(100));
            format!(r#"check if resource($r), $r.extern::hardtack_glob("{pattern}")"#)
        })
        .collect();
    let globs: Vec<&str> = globs.iter().map(String::as_str).collect();
    let (dear, policy) = (verified(1, &globs), Policy::builtin());
    let call = Call::new("resources:read").unwrap().resource(&long).unwrap();
    let prepared = PreparedSets::default();
    let mut outlook = Outlook::over(&prepared, &dear, &policy, MAX_COST);
    assert_eq!(outlook.of(&call), Ok(Preview::DependsOnArguments));
    assert!(outlook.left > MAX_COST / 2);
    assert_eq!(Outlook::over(&prepared, &dear, &policy, MAX_COST).afford(&[Some(call)]), Ok(()));
}
