//! Explanations: they name what refused and what would help; and what they say would help does.

use std::time::Duration;

use hardtack::explain::{Change, Explanation, Outcome};
use hardtack::*;
use hardtack_testkit::*;

/// A call and how it came about, in a form in which changes can be applied.
#[derive(Clone)]
struct Scene {
    policy: String,
    trusted: bool,
    facts: Vec<String>,
    scopes: Vec<String>,
    audiences: Vec<String>,
    allow: Vec<String>,
    hops: Vec<HopOf>,
    audience: String,
    presented: Option<&'static str>,
    operation: String,
    resource: Option<String>,
    arguments: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Default)]
struct HopOf {
    scopes: Vec<String>,
    allow: Vec<String>,
    checks: Vec<String>,
    audiences: Vec<String>,
    /// How long before the decision it was made; it lives ten minutes.
    age: Duration,
    unbound: bool,
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn hop(scopes: &[&str], allow: &[&str]) -> HopOf {
    HopOf { scopes: texts(scopes), allow: texts(allow), ..HopOf::default() }
}

fn key(index: usize) -> PrivateKey {
    PrivateKey::from_bytes(&[50 + u8::try_from(index).unwrap(); 32])
}

impl Scene {
    fn new(policy: &str, operation: &str, arguments: &str) -> Scene {
        Scene {
            policy: policy.to_owned(),
            trusted: true,
            facts: Vec::new(),
            scopes: texts(&["tools:call:*", "resources:read"]),
            audiences: Vec::new(),
            allow: Vec::new(),
            hops: vec![hop(&["tools:call:*", "resources:read"], &[])],
            audience: AUDIENCE.to_owned(),
            presented: None,
            operation: operation.to_owned(),
            resource: None,
            arguments: serde_json::from_str(arguments).unwrap(),
        }
    }

    fn call(&self) -> Call {
        let arguments = serde_json::to_string(&self.arguments).unwrap();
        let call = Call::new(&self.operation).unwrap().arguments(&arguments).unwrap();
        match &self.resource {
            Some(uri) => call.resource(uri).unwrap(),
            None => call,
        }
    }

    fn explain(&self) -> Explanation {
        let root = PrivateKey::from_bytes(&[if self.trusted { 1 } else { 2 }; 32]);
        let roots = RootKeys::of(PrivateKey::from_bytes(&[1; 32]).public());
        let verifier = Verifier::new(roots, AUDIENCE, revocation::RevocationUnchecked).unwrap();
        let policy = Policy::parse("p.datalog", &self.policy).unwrap();
        let guard = Guard::unrecorded(verifier, policy);
        let early = Timestamp::from_unix_seconds(NOW.unix_seconds() - 3000);
        let mut grant = Grant::to("user:alice").holder(key(0).public());
        grant = self.scopes.iter().fold(grant, |grant, scope| grant.scope(scope));
        grant = self.audiences.iter().fold(grant, |grant, audience| grant.audience(audience));
        grant = self.facts.iter().fold(grant, |grant, fact| grant.fact_datalog(fact));
        grant = self.allow.iter().fold(grant, Grant::allow);
        let mut capability = Issuer::new(root).mint(grant, early).unwrap();
        let mut holder = Some(0);
        for (index, of) in self.hops.iter().enumerate() {
            let mut next = Delegation::to(format!("agent.{}", index + 1))
                .reason("a scene")
                .ttl(Duration::from_secs(600));
            next = if of.unbound { next.unbound() } else { next.holder(key(index + 1).public()) };
            next = of.scopes.iter().fold(next, |next, scope| next.scope(scope));
            next = of.audiences.iter().fold(next, |next, audience| next.audience(audience));
            next = of.allow.iter().fold(next, Delegation::allow);
            next = of.checks.iter().fold(next, |next, check| next.check(check));
            let made = Timestamp::from_unix_seconds(NOW.unix_seconds() - of.age.as_secs());
            capability = match holder {
                Some(holder) => capability.delegate(next, &key(holder), made).unwrap(),
                None => capability.delegate_unbound(next, made).unwrap(),
            };
            holder = (!of.unbound).then_some(index + 1);
        }
        let presenting = Presenting::to(&self.audience).ttl(Duration::from_secs(60));
        let presenting = match self.presented {
            Some("call") => presenting.call(self.call()),
            _ => presenting,
        };
        // Where something has expired, it was presented before.
        let oldest = self.hops.iter().map(|hop| hop.age).max().unwrap_or_default();
        let made = match oldest.as_secs() >= 600 {
            true => Timestamp::from_unix_seconds(NOW.unix_seconds() - oldest.as_secs() + 1),
            false => NOW,
        };
        let presented = match holder {
            Some(holder) => capability.present(presenting, &key(holder), made).unwrap(),
            None => capability.present_unbound(presenting, made).unwrap(),
        };
        guard.explain(presented.bearer(), &self.call(), NOW)
    }

    /// Does what a change says.
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Argument { argument, example, .. } => {
                let example = example.clone().expect("an example");
                self.arguments.insert(argument.clone(), example);
            }
            Change::NoArgument { argument, .. } => drop(self.arguments.remove(argument)),
            Change::Scope { block, scope, .. } => match block {
                0 => self.scopes.push(scope.clone()),
                block => self.hops[block - 1].scopes.push(scope.clone()),
            },
            Change::Check { block, check, instead, .. } => {
                let (allow, checks) = match block {
                    0 => (&mut self.allow, None),
                    block => {
                        let hop = &mut self.hops[block - 1];
                        (&mut hop.allow, Some(&mut hop.checks))
                    }
                };
                let before = allow.len();
                allow.retain(|known| {
                    known.parse::<Constraint>().map(|known| known.to_string()).as_ref() != Ok(check)
                });
                if allow.len() == before {
                    checks.expect("a hop").retain(|known| known != check);
                }
                allow.extend(instead.clone());
            }
            Change::Renew { block, text, .. } => match block {
                0 if text.contains("--audience") => self.audiences.push(AUDIENCE.to_owned()),
                block if text.contains("--audience") => {
                    self.hops[block - 1].audiences.push(AUDIENCE.to_owned());
                }
                block if text.contains("--holder") => self.hops[block - 1].unbound = false,
                block if *block > self.hops.len() => {}
                block => self.hops[block - 1..].iter_mut().for_each(|hop| hop.age = Duration::ZERO),
            },
            Change::Fact { fact, stated: true, .. } => self.facts.push(fact.clone()),
            Change::Fact { fact, stated: false, .. } => self.facts.retain(|known| known != fact),
            Change::Present { audience, kind, .. } => {
                if let Some(audience) = audience {
                    self.audience.clone_from(audience);
                }
                if kind.is_some() {
                    self.presented = *kind;
                }
            }
            Change::Policy { add: Some(add), .. } => self.policy.push_str(add),
            Change::Token { .. } => self.trusted = true,
            Change::Resource { .. } | Change::Otherwise { .. } => {
                panic!("{change:?} is for people")
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The call is refused for this cause at this block; the first change of every remedy, applied, has it allowed.
fn mends(scene: &Scene, cause: &str, hop: Option<usize>) -> Explanation {
    let explanation = scene.explain();
    assert_eq!(
        explanation.ruling.cause.map(Cause::as_str),
        Some(cause),
        "{}",
        explanation.ruling.message
    );
    assert_eq!(explanation.ruling.hop, hop, "{cause}: {}", explanation.ruling.message);
    assert!(explanation.steps.iter().any(|step| step.outcome == Outcome::Failed));
    assert!(!explanation.remedies.is_empty(), "{cause} has no remedy");
    let mut mended = scene.clone();
    for remedy in &explanation.remedies {
        mended.apply(remedy.changes.first().expect("a change"));
    }
    let after = mended.explain();
    assert_eq!(after.ruling.cause, None, "{:#?}\n{}", explanation.remedies, after.ruling.message);
    assert!(after.remedies.is_empty());
    explanation
}

const GRANTED: &str = "allow if operation($op), granted($op);";

fn first(explanation: &Explanation) -> &Change {
    &explanation.remedies[0].changes[0]
}

#[test]
fn a_scope_that_is_lacking_is_asked_of_each_that_lacks_it() {
    let mut scene = Scene::new(GRANTED, "tools:call:delete_page", "{}");
    scene.hops = vec![hop(&["tools:call:*"], &[]), hop(&["tools:call:search"], &[])];
    let explanation = mends(&scene, "not_granted", Some(2));
    assert_eq!(explanation.remedies.len(), 1);
    assert!(
        first(&explanation).text().contains("have agent.1 make the delegation to agent.2 anew")
    );
    scene.hops.push(hop(&["tools:call:search"], &[]));
    assert_eq!(mends(&scene, "not_granted", Some(2)).remedies.len(), 2);
    scene.scopes = texts(&["tools:call:search"]);
    scene.hops.iter_mut().for_each(|hop| hop.scopes = texts(&["tools:call:search"]));
    let explanation = mends(&scene, "not_granted", Some(0));
    assert_eq!(explanation.remedies.len(), 4);
    assert!(first(&explanation).text().contains("the issuer"));
}

#[test]
fn a_constraint_that_fails_is_told_with_the_value_and_who_demands_it() {
    let mut scene = Scene::new(GRANTED, "tools:call:pay", r#"{"amount": 250}"#);
    scene.hops = vec![
        hop(&["tools:call:*"], &["amount <= 500"]),
        hop(&["tools:call:*"], &["amount <= 100"]),
    ];
    let explanation = mends(&scene, "check_failed", Some(2));
    let failed = explanation.steps.iter().find(|step| step.outcome == Outcome::Failed).unwrap();
    assert_eq!(
        failed.text,
        "agent.1 demands in the delegation to agent.2: amount <= 100; amount is 250"
    );
    // The other way: the delegator leaves as much more room as it takes.
    let mut mended = scene.clone();
    mended.apply(&explanation.remedies[0].changes[1]);
    assert_eq!(mended.hops[1].allow, ["amount <= 250"]);
    assert_eq!(mended.explain().ruling.cause, None);
    // Two demands at once get one answer.
    scene.hops[1].allow = texts(&["amount between 10 and 20", "currency in [EUR, USD]"]);
    scene.hops[0].allow = texts(&["amount <= 15"]);
    mends(&scene, "check_failed", Some(1));
}

#[test]
fn every_kind_of_constraint_has_a_remedy_that_holds() {
    for (constraint, arguments) in [
        ("a == EUR", r#"{"a": "GBP"}"#),
        ("a == EUR", "{}"),
        ("a in [x, y]", r#"{"a": "z"}"#),
        ("a not in [x, y]", r#"{"a": "x"}"#),
        ("a between 5 and 9", r#"{"a": 3}"#),
        ("a between 5 and 9", r#"{"a": "7"}"#),
        ("a <= 9", r#"{"a": [1]}"#),
        ("a starts with x-", r#"{"a": "y"}"#),
        ("a ends with .pdf", r#"{"a": "y"}"#),
        ("a contains needle", r#"{"a": "y"}"#),
        ("a length <= 3", r#"{"a": "abcdef"}"#),
        ("a items <= 2", r#"{"a": [1, 2, 3]}"#),
        ("a includes x", r#"{"a": ["y"]}"#),
        ("a within /srv/data", r#"{"a": "/etc/passwd"}"#),
        ("a url https://*.example.com", r#"{"a": "https://evil.com/"}"#),
        ("a url https://*", r#"{"a": "https://10.0.0.1/"}"#),
        ("a network 10.0.0.0/8", r#"{"a": "11.0.0.1"}"#),
        ("a like \"report-*.pdf\"", r#"{"a": "x.pdf"}"#),
        ("each a in [x, y]", r#"{"a": ["x", "z"]}"#),
        ("a required", "{}"),
        ("a? <= 5", r#"{"a": 6}"#),
        ("a absent", r#"{"a": 6}"#),
        ("only b", r#"{"a": 6}"#),
        ("no arguments", r#"{"a": 6}"#),
        ("a <= 5 or b == true", r#"{"a": 6}"#),
    ] {
        let mut scene = Scene::new(GRANTED, "tools:call:any", arguments);
        scene.hops[0].allow = texts(&[constraint]);
        let explanation = mends(&scene, "check_failed", Some(1));
        // Where a wider constraint is proposed, it lets the call through; else it is to be left out.
        let mut mended = scene.clone();
        mended.apply(explanation.remedies[0].changes.last().unwrap());
        assert_eq!(mended.explain().ruling.cause, None, "{constraint} {arguments}");
    }
    // What cannot be judged names the hop, too.
    let mut scene = Scene::new(GRANTED, "tools:call:any", r#"{"a": "../etc"}"#);
    scene.hops[0].allow = texts(&["a within /srv/data"]);
    mends(&scene, "not_evaluable", Some(1));
}

#[test]
fn what_cannot_be_judged_says_which_part_is_the_matter() {
    for (constraint, value, expected) in [
        ("a within /srv/data", "../etc", "a path is absolute"),
        ("a within /srv/data", "/srv/data/a:b.txt", "`a:b.txt` begins with a drive"),
        ("a within /srv/data", "/srv/data/x\\u200b/y", "U+200B"),
        ("a within /srv/data", "/srv/data/50%of", "percent sign"),
        ("a? within /srv/data", "/srv/data/;x/y", "`;x` is no name"),
        ("a url https://api.example.com/v1", "https://API.example.com/v1", "normal form"),
        ("a like \"*.exe\" or a == x", "b.exe.", "some readers find the pattern"),
    ] {
        let mut scene = Scene::new(GRANTED, "tools:call:any", &format!(r#"{{"a": "{value}"}}"#));
        scene.hops[0].allow = texts(&[constraint]);
        let explanation = mends(&scene, "not_evaluable", Some(1));
        let told = &explanation.remedies[0].obstacle;
        assert!(told.contains(expected), "{constraint} {value}: {told}");
        assert!(!told.contains('\u{200b}'), "{told}");
    }
    let policy =
        r#"allow if tool("any"), granted($op), arg("a", $a), $a.extern::hardtack_path("/srv");"#;
    let scene = Scene::new(policy, "tools:call:any", r#"{"a": "/srv/;x/y"}"#);
    let explanation = mends(&scene, "not_evaluable", None);
    let told = &explanation.remedies[0].obstacle;
    assert!(told.contains("`;x` is no name"), "{told}");
}

#[test]
fn a_check_in_datalog_is_explained_like_a_policy() {
    let mut scene = Scene::new(GRANTED, "tools:call:pay", r#"{"amount": 250}"#);
    scene.hops[0].checks = texts(&[r#"check all arg("amount", $a), $a <= 100"#]);
    let explanation = mends(&scene, "check_failed", Some(1));
    assert!(first(&explanation).text().contains("amount <= 100, for example amount=100"));
    scene.hops[0].checks = texts(&[r#"check if role("editor")"#]);
    scene.arguments.clear();
    mends(&scene, "check_failed", Some(1));
}

#[test]
fn what_the_nearest_policy_lacks_is_named() {
    let policy = r#"
        destructive("delete_page");
        allow if tool("search"), granted($op);
        allow if tool($t), destructive($t), granted($op), role("editor");
    "#;
    let scene = Scene::new(policy, "tools:call:delete_page", "{}");
    let explanation = mends(&scene, "nothing_allows", None);
    assert!(
        matches!(first(&explanation), Change::Fact { fact, stated: true, .. } if fact == r#"role("editor")"#)
    );
    let mut reader = scene.clone();
    reader.facts = texts(&[r#"role("reader")"#]);
    let explanation = mends(&reader, "nothing_allows", None);
    let told = &explanation.remedies[0].obstacle;
    assert!(told.contains("p.datalog:4") && told.contains(r#"there is role("reader")"#), "{told}");
    // No policy is about it: the line that would be is given.
    let scene = Scene::new(r#"allow if tool("search"), granted($op);"#, "tools:call:export", "{}");
    let explanation = mends(&scene, "nothing_allows", None);
    assert!(
        matches!(first(&explanation), Change::Policy { add: Some(add), .. } if add.contains("export"))
    );
    // A value differs, and a fact comes through a rule.
    let policy = r#"
        ceiling("clerk", 50); ceiling("manager", 1000);
        may_pay($most) <- role($role), ceiling($role, $most);
        allow if tool("pay"), granted($op), may_pay($most), arg("amount", $a), $a <= $most;
    "#;
    let mut scene = Scene::new(policy, "tools:call:pay", r#"{"amount": 60}"#);
    scene.facts = texts(&[r#"role("clerk")"#]);
    let explanation = scene.explain();
    let told = &explanation.remedies[0].obstacle;
    assert!(told.contains("amount is 60"), "{told}");
    assert!(first(&explanation).text().contains("<="), "{:?}", first(&explanation));
}

#[test]
fn what_makes_a_policy_deny_is_named() {
    let policy = r#"
        allow if operation($op), granted($op);
        deny if arg("force", true);
        deny if role("suspended");
        check if operation($op), $op != "tools:call:pay" or presented("call");
        check if operation($op), $op != "tools:call:pay" or arg("amount", $a), $a.type() == "integer", $a <= 50;
    "#;
    let mut scene = Scene::new(policy, "tools:call:delete", r#"{"force": true}"#);
    let explanation = mends(&scene, "policy_denied", None);
    assert!(
        matches!(first(&explanation), Change::NoArgument { argument, .. } if argument == "force")
    );
    scene.arguments.clear();
    scene.facts = texts(&[r#"role("suspended")"#]);
    mends(&scene, "policy_denied", None);
    let scene = Scene::new(policy, "tools:call:pay", r#"{"amount": 60}"#);
    let explanation = mends(&scene, "policy_check_failed", None);
    assert_eq!(explanation.remedies.len(), 2, "{:#?}", explanation.remedies);
    let scene = Scene::new(policy, "tools:call:pay", r#"{"amount": "60"}"#);
    mends(&scene, "policy_check_failed", None);
    // A value that a policy cannot be asked about.
    let scene = Scene::new(
        r#"allow if tool("pay"), arg("amount", $a), $a <= 50, granted($op);"#,
        "tools:call:pay",
        r#"{"amount": "60"}"#,
    );
    mends(&scene, "not_evaluable", None);
}

#[test]
fn an_argument_that_nobody_knows_is_to_be_left_out() {
    let policy = r#"
        allow if operation($op), granted($op);
        deny if arg($name, $value), !["to", "body"].contains($name);
    "#;
    let scene = Scene::new(policy, "tools:call:send", r#"{"to": "me", "Cc": "eve"}"#);
    let explanation = mends(&scene, "policy_denied", None);
    assert!(matches!(first(&explanation), Change::NoArgument { argument, .. } if argument == "Cc"));
}

#[test]
fn a_policy_that_names_the_tool_is_nearer_than_a_list_of_tools() {
    let policy = r#"
        reading("search");
        direct(1) <- depth(1);
        allow if tool($t), reading($t), granted($op);
        allow if tool("delete"), granted($op), direct(1);
    "#;
    let mut scene = Scene::new(policy, "tools:call:delete", "{}");
    scene.hops.push(hop(&["tools:call:*"], &[]));
    let explanation = scene.explain();
    assert!(explanation.remedies[0].obstacle.contains("p.datalog:5"), "{explanation:#?}");
    // A policy that cannot be evaluated is not passed over for a new one that allows everything.
    let policy = r#"allow if tool("read"), granted($op), arg("path", $p), $p.extern::hardtack_path("/srv");"#;
    let scene = Scene::new(policy, "tools:call:read", r#"{"path": "../x"}"#);
    let explanation = mends(&scene, "not_evaluable", None);
    assert_eq!(explanation.remedies.len(), 1);
}

#[test]
fn a_fact_that_is_to_be_stated_is_written_out() {
    let policy = r#"allow if tool("pay"), granted($op), limit($m), arg("amount", $a), $a <= $m;"#;
    let scene = Scene::new(policy, "tools:call:pay", r#"{"amount": 60}"#);
    let explanation = mends(&scene, "nothing_allows", None);
    assert!(
        matches!(first(&explanation), Change::Fact { fact, .. } if fact == "limit(60)"),
        "{explanation:#?}"
    );
}

#[test]
fn where_no_value_satisfies_all_no_example_is_given() {
    let mut scene = Scene::new(GRANTED, "tools:call:pay", r#"{"amount": 15}"#);
    scene.hops =
        vec![hop(&["tools:call:*"], &["amount <= 10"]), hop(&["tools:call:*"], &["amount >= 20"])];
    let explanation = mends(&scene, "check_failed", Some(1));
    assert!(matches!(first(&explanation), Change::Check { .. }), "{explanation:#?}");
    // Texts are put together where they can be.
    scene.hops = vec![
        hop(&["tools:call:*"], &["t starts with \"Re: \""]),
        hop(&["tools:call:*"], &["t contains offer", "t length <= 10"]),
    ];
    mends(&scene, "check_failed", Some(1));
}

/// Whoever makes a token must not keep busy whoever has it explained.
#[test]
fn many_demands_and_many_policies_are_explained_in_bounded_time() {
    let allows = (0..200).map(|n| {
        format!("allow if tool(\"pay\"), granted($op), arg(\"path\", \"/srv/a{n}\"), arg(\"b{n}\", $x), $x <= {n};\n")
    });
    let mut scene = Scene::new(&allows.collect::<String>(), "tools:call:pay", "{}");
    let demands = (0..13).map(|n| format!("a{n} in [x{n}, y{n}]"));
    let mut hops = vec![hop(&["tools:call:*"], &[]); 4];
    let demands: Vec<String> = demands.collect();
    for (hop, demands) in hops.iter_mut().zip(demands.chunks(4)) {
        hop.allow = demands.to_vec();
    }
    scene.hops = hops;
    let explanation = scene.explain();
    assert_eq!(explanation.ruling.cause.map(Cause::as_str), Some("check_failed"));
    assert!(explanation.remedies.len() >= 13, "{}", explanation.remedies.len());
}

#[test]
fn a_changed_call_needs_a_presentation_of_its_own() {
    let mut scene = Scene::new(GRANTED, "tools:call:pay", r#"{"amount": 600}"#);
    scene.presented = Some("call");
    scene.hops[0].allow = texts(&["amount <= 500"]);
    let explanation = mends(&scene, "check_failed", Some(1));
    assert!(matches!(explanation.remedies.last().unwrap().changes[0], Change::Present { .. }));
    // Any alternative would do.
    let policy = r#"
        allow if operation($op), granted($op);
        check if operation($op), $op != "tools:call:pay" or presented("call") or arg("amount", $a), $a <= 200;
    "#;
    let scene = Scene::new(policy, "tools:call:pay", r#"{"amount": 600}"#);
    let explanation = mends(&scene, "policy_check_failed", None);
    let changes = &explanation.remedies[0].changes;
    assert!(matches!(changes[0], Change::Argument { .. }), "{changes:#?}");
    assert!(changes.iter().any(|change| matches!(change, Change::Present { .. })), "{changes:#?}");
}

#[test]
fn how_deep_a_chain_may_be_is_told() {
    let policy = r#"
        allow if operation($op), granted($op);
        deny if tool("delete"), depth($hops), $hops > 1;
    "#;
    let mut scene = Scene::new(policy, "tools:call:delete", "{}");
    scene.hops.push(hop(&["tools:call:*"], &[]));
    let explanation = scene.explain();
    assert_eq!(explanation.ruling.cause.map(Cause::as_str), Some("policy_denied"));
    let Change::Caller { depth, caller, .. } = first(&explanation) else {
        panic!("{explanation:#?}")
    };
    assert_eq!((*depth, caller.as_str()), (1, "agent.1"));
    scene.hops.truncate(*depth);
    assert_eq!(scene.explain().ruling.cause, None);
}

#[test]
fn tokens_that_do_not_hold_say_who_makes_what_anew() {
    let mut scene = Scene::new(GRANTED, "tools:call:search", "{}");
    scene.hops = vec![hop(&["tools:call:*"], &[]), hop(&["tools:call:search"], &[])];
    scene.hops[1].age = Duration::from_secs(700);
    scene.hops[0].age = Duration::from_secs(700);
    let explanation = mends(&scene, "expired", Some(1));
    // What stands on it is made anew with it.
    assert_eq!(explanation.remedies.len(), 1, "{:#?}", explanation.remedies);
    assert!(
        first(&explanation).text().contains("have user:alice make the delegation to agent.1 anew")
    );

    let mut scene = Scene::new(GRANTED, "tools:call:search", "{}");
    scene.audience = "other.mcp".to_owned();
    mends(&scene, "wrong_audience", None);
    scene.audiences = texts(&["other.mcp"]);
    scene.hops[0].audiences = texts(&["other.mcp"]);
    mends(&scene, "wrong_audience", None);

    let mut scene = Scene::new(GRANTED, "tools:call:search", "{}");
    scene.trusted = false;
    mends(&scene, "signature", Some(0));

    let mut scene = Scene::new(GRANTED, "tools:call:search", "{}");
    scene.hops.push(hop(&["tools:call:*"], &[]));
    scene.hops[0].unbound = true;
    mends(&scene, "unbound", Some(2));
}

#[test]
fn a_presentation_for_another_call_and_a_used_one_are_told() {
    let cast = Cast::new();
    let capability = cast.researchers();
    let other = search().arguments(r#"{"query": "x"}"#).unwrap();
    let bearer = capability
        .present(Presenting::to(AUDIENCE).call(other.clone()), &cast.researcher, NOW)
        .unwrap();
    let store = Store::in_memory().unwrap();
    let guard = cast.guard(&store);
    let explanation = guard.explain(bearer.bearer(), &search(), NOW);
    assert_eq!(explanation.ruling.cause.map(Cause::as_str), Some("other_call"));
    assert!(matches!(first(&explanation), Change::Present { kind: Some("call"), .. }));
    // Explaining uses nothing up.
    let (permit, explanation) = guard.check_explained(bearer.bearer(), &other, NOW);
    assert!(permit.is_ok());
    assert_eq!(explanation.ruling.cause, None);
    let (denial, explanation) = guard.check_explained(bearer.bearer(), &other, NOW);
    assert_eq!(denial.unwrap_err().refusal().cause.as_str(), "replayed");
    assert_eq!(
        (explanation.ruling.cause.map(Cause::as_str), explanation.ruling.hop),
        (Some("replayed"), Some(2))
    );
    assert!(!explanation.remedies.is_empty());
    // What is revoked.
    let id = capability.chain().hops[0].revocation_id;
    revoke(&store, Revocation::Id { id });
    let explanation = guard.explain(bearer.bearer(), &other, NOW);
    assert_eq!(
        (explanation.ruling.cause.map(Cause::as_str), explanation.ruling.hop),
        (Some("revoked"), Some(1))
    );
}

#[test]
fn nothing_that_an_agent_wrote_ends_its_quotes_or_the_line() {
    let mut scene = Scene::new(GRANTED, "tools:call:pay", "{}");
    scene.hops[0].allow = texts(&["to == \"x\""]);
    let hostile = "\u{1b}[31m\u{202e}\" is fine\nallowed";
    scene.arguments.insert("to".to_owned(), hostile.into());
    scene.arguments.insert("n\" is fine'; x".to_owned(), hostile.into());
    // Nor what somebody may paste into a shell.
    let mut shell = scene.clone();
    shell.arguments.insert("to".to_owned(), "x'; rm -rf ~; '".into());
    let explanation = shell.explain();
    let pasted = explanation.remedies[0].changes.last().unwrap().text().to_owned();
    assert!(pasted.contains(r#"--allow 'to in ["x", "x'\''; rm -rf ~; '\''"]'"#), "{pasted}");
    for _ in 0..2 {
        let explanation = scene.explain();
        let text =
            format!("{:?}", explanation.steps) + &serde_json::to_string(&explanation).unwrap();
        for c in ['\u{1b}', '\u{202e}', '\n'] {
            assert!(!text.contains(c), "{text}");
        }
        scene.hops[0].allow = texts(&["only to"]);
    }
}

/// What is explained is what was decided, whatever the call.
#[test]
fn an_explanation_and_the_decision_agree() {
    let policies = ["default", "files", "http-apis", "mcp-tools", "payments"];
    let tools = ["search", "pay", "write_file", "fetch"];
    let arguments = [
        "{}",
        r#"{"amount": 100, "currency": "EUR"}"#,
        r#"{"path": "/srv/documents/a.md", "content": "x"}"#,
        r#"{"path": "../x", "bytes": "many"}"#,
        r#"{"url": "https://api.example.com/x"}"#,
        r#"{"url": ["x"], "amount": null, "path": {}}"#,
    ];
    let cast = Cast::new();
    let bearer = cast.grant().present(Presenting::to(AUDIENCE), &cast.orchestrator, NOW).unwrap();
    for set in policies {
        let policy = Policy::load(format!("policies/{set}")).unwrap();
        let guard = Guard::unrecorded(cast.verifier(), policy);
        for tool in tools {
            for arguments in arguments {
                let call = Call::tool(tool).unwrap().arguments(arguments).unwrap();
                let explanation = guard.explain(bearer.bearer(), &call, NOW);
                let decided = guard.check(bearer.bearer(), &call, NOW);
                let cause = decided.err().map(|denial| denial.refusal().cause.as_str());
                assert_eq!(
                    explanation.ruling.cause.map(Cause::as_str),
                    cause,
                    "{set} {tool} {arguments}"
                );
                let failed = explanation.steps.iter().any(|step| step.outcome == Outcome::Failed);
                assert_eq!(failed, cause.is_some(), "{set} {tool} {arguments}: {explanation:#?}");
                assert_eq!(explanation.remedies.is_empty(), cause.is_none());
            }
        }
    }
}

/// What is answered, recorded and explained of one call says the same, and decides by the policies of one moment.
#[test]
fn decision_record_and_explanation_name_the_same_block_and_moment() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let call = Call::tool("delete_page").unwrap();
    let denial = guard.check(cast.presented().bearer(), &call, NOW).unwrap_err();
    let (explained, explanation) = guard.check_explained(cast.presented().bearer(), &call, NOW);
    assert_eq!(denial.refusal().hop, Some(1));
    assert_eq!(explained.unwrap_err().refusal().hop, explanation.ruling.hop);
    assert_eq!(explanation.ruling.hop, Some(1));
    let mut decisions = 0;
    let see = |record: audit::AuditRecord| {
        let decision = record.decision().unwrap();
        assert_eq!((decision.hop, decision.time, record.time), (Some(1), NOW, NOW));
        decisions += 1;
    };
    store.each_record(see).unwrap();
    assert_eq!(decisions, 2);
}
