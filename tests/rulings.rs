//! One decision is told in many places: the answer, its record, explanations, candidates, replays and trials say the same.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use hardtack::audit::Keep;
use hardtack::replay::{Replayed, replay};
use hardtack::ruling::Ruling;
use hardtack::*;
use hardtack_testkit::{AUDIENCE, Cast, NOW, minutes};

const POLICIES: [&str; 6] = [
    "allow if granted($op);",
    "allow if tool(\"search\");\ndeny if arg(\"amount\", $a), $a > 100;",
    "check if depth($d), $d < 2;\nallow if tool(\"pay\"), arg(\"amount\", $a), $a.type() == \"integer\";",
    "large($n) <- arg($n, $v), $v.type() == \"integer\", $v > 50;\nallow if granted($op);\ndeny if large($n);",
    "allow if agent(\"agent.researcher\");\nreject if arg(\"to\", \"mallory\");",
    "pair($a, $b) <- arg($a, $v), arg($b, $w);\nallow if granted($op);\ndeny if pair(\"amount\", \"to\");",
];

/// A chain, and a call with it.
struct Case {
    hops: usize,
    scope: &'static str,
    allow: &'static str,
    check: &'static str,
    bound_to_call: bool,
    operation: &'static str,
    arguments: String,
}

fn cases() -> Vec<Case> {
    // More pairs of arguments than rules may derive.
    let many: Vec<String> = (0..40).map(|n| format!("\"a{n}\": 1")).collect();
    let many = format!("{{{}}}", many.join(", "));
    let calls = [
        ("tools:call:search", "{}"),
        ("tools:call:search", r#"{"query": "roadmap", "amount": 100}"#),
        ("tools:call:pay", r#"{"amount": 101, "to": "bob"}"#),
        ("tools:call:pay", r#"{"amount": "many", "to": "mallory"}"#),
        ("tools:call:search", &many),
        ("hardtack:revoke", "{}"),
    ];
    let chains = [
        (0, "", "", ""),
        (1, "tools:*", "", ""),
        (1, "tools:call:search", "", ""),
        (1, "tools:*", "amount <= 100", ""),
        (2, "tools:*", "", r#"check if arg("amount", $a), $a > 1"#),
    ];
    let mut cases = Vec::new();
    for (hops, scope, allow, check) in chains {
        for (operation, arguments) in calls {
            // Nobody can present what is not granted.
            let bound_to_call = cases.len() % 2 == 1 && operation == "tools:call:search";
            let arguments = arguments.to_owned();
            cases.push(Case { hops, scope, allow, check, bound_to_call, operation, arguments });
        }
    }
    cases
}

impl Case {
    fn call(&self) -> Call {
        Call::new(self.operation).unwrap().arguments(&self.arguments).unwrap()
    }

    fn bearer(&self, cast: &Cast) -> String {
        let key = |index: usize| PrivateKey::from_bytes(&[10 + index as u8; 32]);
        let grant = Grant::to("user:alice").scope("tools:*").holder(key(0).public());
        let mut token = cast.issuer().mint(grant, NOW).unwrap();
        for hop in 0..self.hops {
            let part = Delegation::to("agent.researcher").scope(self.scope).reason("find");
            let part = if self.allow.is_empty() { part } else { part.allow(self.allow) };
            let part = if self.check.is_empty() { part } else { part.check(self.check) };
            token = token.delegate(part.holder(key(hop + 1).public()), &key(hop), NOW).unwrap();
        }
        let presenting = Presenting::to(AUDIENCE);
        let presenting = match self.bound_to_call {
            true => presenting.call(self.call()),
            false => presenting,
        };
        let presented = token.present(presenting, &key(self.hops), NOW).unwrap();
        presented.bearer().to_owned()
    }

    /// The same as a trial reads it.
    fn toml(&self, name: usize) -> String {
        let list = |one: &str| match one {
            "" => "[]".to_owned(),
            one => format!("['''{one}''']"),
        };
        let (allow, checks) = (list(self.allow), list(self.check));
        let hop = format!(
            "{{ to = \"agent.researcher\", scopes = {}, allow = {allow}, checks = {checks}, reason = \"find\" }}",
            list(self.scope)
        );
        let hops = vec![hop; self.hops].join(", ");
        let presented = if self.bound_to_call { "call" } else { "session" };
        format!(
            "[[case]]\nname = \"{name}\"\nscopes = [\"tools:*\"]\nhops = [{hops}]\noperation = \"{}\"\n\
             arguments = '''{}'''\npresented = \"{presented}\"\nserver = \"{AUDIENCE}\"\nexpect = \"allow\"\n",
            self.operation, self.arguments
        )
    }
}

fn guard(cast: &Cast, policy: &Policy, candidate: &Policy) -> (Guard, Store) {
    let store = Store::in_memory().unwrap();
    let guard = Guard::new(cast.verifier(), policy.clone(), store.clone().losing_at_most(1000));
    (guard.shadowed_by(candidate.clone()).keep_requests(Keep::Arguments), store)
}

fn said(decided: Result<Permit, Denial>) -> Ruling {
    decided.as_ref().map_or_else(Ruling::from, Ruling::from)
}

/// What an export tells of each decision.
fn records(store: &Store) -> Vec<AuditRecord> {
    store.checkpoint().unwrap();
    let reader = store.reader();
    let lines = reader.records(1).map(|line| line.unwrap().json);
    lines.map(|json| serde_json::from_str(&json).unwrap()).collect()
}

/// What a trial says of each case.
fn tried(text: &str, cases: &[Case]) -> Vec<Ruling> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    fs::write(folder.path().join("p.datalog"), text).unwrap();
    let written: String = cases.iter().enumerate().map(|(name, case)| case.toml(name)).collect();
    fs::write(folder.path().join("cases/c.toml"), written).unwrap();
    let report = trial::run(folder.path(), || Duration::ZERO).unwrap();
    report.cases.into_iter().map(|case| case.found).collect()
}

#[test]
fn whoever_tells_of_a_decision_tells_the_same() {
    let (cast, cases) = (Cast::new(), cases());
    let bearers: Vec<String> = cases.iter().map(|case| case.bearer(&cast)).collect();
    let policies = POLICIES.map(|text| Policy::parse("p.datalog", text).unwrap());
    let mut told: Vec<(Vec<Ruling>, Vec<AuditRecord>)> = Vec::new();
    for (number, policy) in policies.iter().enumerate() {
        let candidate = &policies[(number + 1) % policies.len()];
        let (deciding, store) = guard(&cast, policy, candidate);
        let (explaining, explained_store) = guard(&cast, policy, candidate);
        let trial = tried(POLICIES[number], &cases);
        assert_eq!(trial.len(), cases.len());
        let mut rulings = Vec::new();
        for (number, (case, bearer)) in cases.iter().zip(&bearers).enumerate() {
            let call = case.call();
            let before = deciding.explain(bearer, &call, NOW).ruling;
            let ruling = said(deciding.check(bearer, &call, NOW));
            let (decided, explained) = explaining.check_explained(bearer, &call, NOW);
            assert_eq!(before, ruling, "explained before it is decided");
            assert_eq!((said(decided), explained.ruling), (ruling.clone(), ruling.clone()));
            assert_eq!(trial[number], ruling);
            rulings.push(ruling);
        }
        let records = [&store, &explained_store].map(records);
        for (ruling, (record, explained)) in rulings.iter().zip(records[0].iter().zip(&records[1]))
        {
            for decision in [record, explained].map(|record| record.decision().unwrap()) {
                assert!(!ruling.differs_from(decision), "{decision:?}");
                assert_eq!((decision.hop, &decision.message), (ruling.hop, &ruling.message));
            }
            match replay(record, policy).unwrap() {
                Replayed::Decided(replayed) => assert_eq!(replayed, *ruling),
                Replayed::WithoutPolicies => assert!(record.decision().unwrap().request.is_none()),
                other => panic!("{other:?}"),
            }
        }
        let [records, _] = records;
        assert_eq!(records.len(), rulings.len());
        told.push((rulings, records));
    }
    // What a candidate would have said is what it says where it is in force.
    let mut seen = BTreeSet::new();
    for (number, (rulings, records)) in told.iter().enumerate() {
        let (others, _) = &told[(number + 1) % told.len()];
        for ((ruling, other), record) in rulings.iter().zip(others).zip(records) {
            let decision = record.decision().unwrap();
            seen.insert(ruling.cause.map_or("allow", Cause::as_str));
            if decision.request.is_none() {
                continue;
            }
            let Some(candidate) = &decision.candidate else {
                assert_eq!((other.verdict, other.cause), (ruling.verdict, ruling.cause));
                continue;
            };
            seen.insert("candidate");
            assert_eq!(candidate.verdict, other.verdict);
            assert_eq!(candidate.cause, other.cause.map(Into::into));
            assert_eq!(candidate.message, other.message);
        }
    }
    let all = [
        "allow",
        "candidate",
        "check_failed",
        "exhausted",
        "not_evaluable",
        "not_granted",
        "nothing_allows",
        "policy_check_failed",
        "policy_denied",
    ];
    assert_eq!(seen, BTreeSet::from(all));
}

#[test]
fn what_is_refused_before_policies_are_asked_is_told_alike_too() {
    let cast = Cast::new();
    let (guard, store) = guard(&cast, &Policy::builtin(), &Policy::builtin());
    let search = hardtack_testkit::search();
    let bound = Presenting::to(AUDIENCE).call(search.clone());
    let bound = cast.researchers().present(bound, &cast.researcher, NOW).unwrap();
    let elsewhere =
        cast.researchers().present(Presenting::to("other.mcp"), &cast.researcher, NOW).unwrap();
    let presented = cast.presented();
    let other = Call::tool("search").unwrap().argument_json("query", "\"x\"").unwrap();
    let requests = [
        ("other_call", bound.bearer(), &other, NOW),
        ("wrong_audience", elsewhere.bearer(), &search, NOW),
        ("expired", presented.bearer(), &search, NOW + minutes(60 * 24)),
        ("not_a_token", "none", &search, NOW),
    ];
    for (cause, bearer, call, now) in requests {
        let explained = guard.explain(bearer, call, now).ruling;
        let ruling = said(guard.check(bearer, call, now));
        assert_eq!(ruling.cause.map(Cause::as_str), Some(cause));
        assert_eq!(explained, ruling);
        let last = records(&store).pop().unwrap();
        let decision = last.decision().unwrap();
        assert!(!ruling.differs_from(decision), "{decision:?}");
        assert_eq!((decision.hop, &decision.message), (ruling.hop, &ruling.message));
    }
    // Of a presentation that was used, all but who explains beforehand say so.
    let allowed = guard.check(bound.bearer(), &search, NOW);
    assert_eq!(said(allowed).cause, None);
    let (decided, explained) = guard.check_explained(bound.bearer(), &search, NOW);
    let ruling = said(decided);
    assert_eq!((ruling.cause, &explained.ruling), (Some(Cause::Replayed), &ruling));
    let last = records(&store).pop().unwrap();
    let decision = last.decision().unwrap();
    assert!(!ruling.differs_from(decision), "{decision:?}");
    assert_eq!((decision.hop, &decision.message), (ruling.hop, &ruling.message));
}
