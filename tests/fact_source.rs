//! What a server knows of whoever asks, at the moment of a decision: policies see it, the token's checks do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hardtack::audit::{Keep, Verdict};
use hardtack::cause::RecordedCause;
use hardtack::guard::{Fact, FactNameError, FactsUnavailable};
use hardtack::mint::FactTerm;
use hardtack::replay::{Replayed, replay};
use hardtack::*;
use hardtack_testkit::{AUDIENCE, Cast, NOW, search};

/// What a source of facts may state, as `docs/policies.md` and the page of `Guard::facts_from` have it.
const MAX_FACT_NAMES: usize = 16;
const MAX_FACTS: usize = 64;
const MAX_FACT_TERMS: usize = 8;
const MAX_FACT_BYTES: usize = 4096;

/// What only an editor may do.
const EDITORS: &str = r#"allow if granted($op), db_role("editor");"#;

fn policy(text: &str) -> Policy {
    Policy::parse("p.datalog", text).unwrap()
}

/// A guard whose server states these facts, and how often it was asked.
struct Server {
    cast: Cast,
    store: Store,
    guard: Guard,
    asked: Arc<AtomicUsize>,
}

fn server(text: &str, facts: Vec<Fact>) -> Server {
    server_that(text, move || Ok(facts.clone()))
}

fn server_that(
    text: &str,
    says: impl Fn() -> Result<Vec<Fact>, FactsUnavailable> + Send + Sync + 'static,
) -> Server {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let source = move |verified: &VerifiedCapability, _: &Call, now: Timestamp| {
        count.fetch_add(1, Ordering::Relaxed);
        assert_eq!((verified.subject(), now), ("user:alice", NOW));
        says()
    };
    let verifier = Verifier::new(cast.roots(), AUDIENCE, store.revocations()).unwrap();
    let guard = Guard::new(verifier, policy(text), store.clone())
        .keep_requests(Keep::Arguments)
        .facts_from(["db_role", "db_limit", "suspended"], source)
        .unwrap();
    Server { cast, store, guard, asked }
}

fn role(name: &str) -> Fact {
    Fact::new("db_role", [name])
}

impl Server {
    fn check(&self, call: &Call) -> Result<Permit, Denial> {
        self.guard.check(self.cast.presented().bearer(), call, NOW)
    }

    fn cause(&self, call: &Call) -> &'static str {
        self.check(call).map_or_else(|denial| denial.refusal().cause.as_str(), |_| "")
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn records(&self) -> Vec<AuditRecord> {
        let mut records = Vec::new();
        self.store.each_record(|record| records.push(record)).unwrap();
        records
    }
}

#[test]
fn a_policy_sees_what_the_server_knows() {
    let limit = Fact::new("db_limit", [FactTerm::from("eur"), FactTerm::from(200)]);
    for (text, facts, cause) in [
        (EDITORS, vec![role("editor")], ""),
        (EDITORS, vec![role("viewer"), role("editor"), role("editor")], ""),
        (EDITORS, vec![role("viewer")], "nothing_allows"),
        (EDITORS, vec![], "nothing_allows"),
        ("allow if db_limit(\"eur\", $most), $most >= 200;", vec![limit.clone()], ""),
        ("allow if db_limit(\"eur\", $most), $most > 200;", vec![limit], "nothing_allows"),
        (
            "allow if granted($op); deny if suspended(true);",
            vec![Fact::new("suspended", [true])],
            "policy_denied",
        ),
        ("allow if granted($op); deny if suspended(true);", vec![], ""),
        (
            "staff($op) <- granted($op), db_role(\"editor\"); allow if staff($op);",
            vec![role("editor")],
            "",
        ),
        ("check if db_role(\"editor\"); allow if granted($op);", vec![], "policy_check_failed"),
        ("check if db_role(\"editor\"); allow if granted($op);", vec![role("editor")], ""),
    ] {
        let server = server(text, facts);
        assert_eq!(server.cause(&search()), cause, "{text}");
        assert_eq!(server.asked(), 1);
    }
}

/// The facts of one decision are none of the next one's, though token and policies are remembered.
#[test]
fn what_the_server_knows_is_asked_anew_for_each_decision() {
    let asked = AtomicUsize::new(0);
    let server = server_that(EDITORS, move || match asked.fetch_add(1, Ordering::Relaxed) {
        0 | 2 => Ok(vec![]),
        _ => Ok(vec![role("editor")]),
    });
    let bearer = server.cast.presented();
    let check = || server.guard.check(bearer.bearer(), &search(), NOW);
    let found = [check().is_ok(), check().is_ok(), check().is_ok(), check().is_ok()];
    assert_eq!(found, [false, true, false, true]);
    let permit = check().unwrap();
    assert_eq!(permit.subject(), "user:alice");
    // A guard without a source that decides by the same token and policies takes nothing over, nor does it leave anything.
    let verified = server.guard.verifier().verify(bearer.bearer(), NOW).unwrap();
    let plain = Guard::unrecorded(server.cast.verifier(), policy(EDITORS));
    for _ in 0..2 {
        let denial = plain.check_again(&verified, &search(), NOW).unwrap_err();
        assert_eq!(denial.refusal().cause.as_str(), "nothing_allows");
        server.guard.check_again(&verified, &search(), NOW).unwrap();
    }
}

#[test]
fn a_condition_of_a_delegator_means_the_same_whatever_the_server_knows() {
    let rules =
        "staff($who) <- db_role($who); anybody(\"x\") <- granted($op); allow if granted($op);";
    for (check, allowed) in [
        // Nothing that the server states satisfies a check ...
        (r#"check if db_role("editor")"#, false),
        (r#"check if db_role($role)"#, false),
        // ... nor what the policies derive from it, though what they derive from the call does;
        (r#"check if staff("editor")"#, false),
        (r#"check if anybody("x")"#, true),
        // and it fails none.
        (r#"reject if db_role($role)"#, true),
        (r#"check if operation($op) or db_role($role)"#, true),
    ] {
        let server = server(rules, vec![role("editor")]);
        let part = server.cast.to_researcher().check(check);
        let token = server.cast.grant().delegate(part, &server.cast.orchestrator, NOW).unwrap();
        let presented =
            token.present(Presenting::to(AUDIENCE), &server.cast.researcher, NOW).unwrap();
        let decided = server.guard.check(presented.bearer(), &search(), NOW);
        let cause = decided.map_or_else(|denial| denial.refusal().cause.as_str(), |_| "");
        assert_eq!(cause, if allowed { "" } else { "check_failed" }, "{check}");
    }
}

#[test]
fn an_argument_that_is_called_like_a_fact_is_an_argument() {
    let server = server(EDITORS, vec![]);
    for arguments in [
        r#"{"db_role": "editor"}"#,
        r#"{"db_role": ["editor"], "query": "db_role(\"editor\")"}"#,
        r#"{"query": "x\"); db_role(\"editor\");"}"#,
    ] {
        let call = search().arguments(arguments).unwrap();
        assert_eq!(server.cause(&call), "nothing_allows", "{arguments}");
    }
}

#[test]
fn a_source_that_does_not_answer_leaves_the_call_undecided_and_recorded() {
    let secret = format!("no answer from db\n{}", "x".repeat(500));
    let errs = server_that(EDITORS, move || Err(secret.clone().into()));
    let breaks_off = server_that(EDITORS, || panic!("a bug of the server's"));
    for (server, words) in [(errs, "no answer from db\\u{a}xxx"), (breaks_off, "broke off")] {
        let denial = server.check(&search()).unwrap_err();
        assert!(matches!(denial, Denial::Undecided(_)), "{denial:?}");
        assert_eq!(denial.refusal().cause.as_str(), "facts_unavailable");
        let records = server.records();
        let decision = records[0].decision().unwrap();
        assert_eq!(decision.verdict, Verdict::Undecided);
        assert_eq!(decision.cause.as_ref().map(RecordedCause::as_str), Some("facts_unavailable"));
        assert!(decision.message.contains(words), "{}", decision.message);
        assert!(decision.message.len() < 400, "{}", decision.message);
        assert_eq!(decision.operation, "tools:call:search");
        assert_eq!(decision.chain.as_ref().unwrap().hops[0].delegate, "agent.researcher");
        assert_eq!(replay(&records[0], &policy(EDITORS)), Ok(Replayed::WithoutPolicies));
        let (decided, explanation) =
            server.guard.check_explained(server.cast.presented().bearer(), &search(), NOW);
        assert_eq!(decided.unwrap_err().refusal().cause.as_str(), "facts_unavailable");
        assert_eq!(
            (explanation.ruling.verdict, explanation.ruling.cause.map(Cause::as_str)),
            (Verdict::Undecided, Some("facts_unavailable"))
        );
    }
}

#[test]
fn a_source_has_names_that_nothing_else_has() {
    let source = |_: &VerifiedCapability, _: &Call, _: Timestamp| Ok(Vec::new());
    let guard = || Guard::unrecorded(Cast::new().verifier(), Policy::builtin());
    for name in
        ["subject", "scope", "operation", "tool", "arg", "granted", "time", "issuer", "unbound"]
    {
        let refused = guard().facts_from(["db_role", name], source).unwrap_err();
        assert_eq!(refused, FactNameError::Reserved(name.to_owned()));
    }
    for name in ["", "1role", "a role", "role(\"x\")", "r\u{f6}le"] {
        let refused = guard().facts_from([name], source).unwrap_err();
        assert_eq!(refused, FactNameError::Name(name.to_owned()));
    }
    let names = |count: usize| (0..count).map(|number| format!("n{number}"));
    guard().facts_from(names(MAX_FACT_NAMES), source).unwrap();
    let refused = guard().facts_from(names(MAX_FACT_NAMES + 1), source).unwrap_err();
    assert_eq!(refused, FactNameError::TooMany);
}

#[test]
fn what_a_source_may_not_state_leaves_the_call_undecided() {
    let allow = "allow if granted($op);";
    let text = |bytes: usize| Fact::new("db_role", ["x".repeat(bytes)]);
    let many = |count: usize| (0..count).map(|number| Fact::new("db_role", [number as i64]));
    let room = MAX_FACT_BYTES - "db_role".len();
    for (facts, words) in [
        (vec![Fact::new("operation", ["hardtack:revoke"])], "operation is none of the names"),
        (vec![role("editor"), Fact::new("subject", ["user:root"])], "subject is none of the names"),
        (vec![Fact::new("other", ["x"])], "other is none of the names"),
        (vec![Fact::new::<&str>("db_role", [])], "not one fact"),
        (vec![Fact::new("db_role", vec!["x"; MAX_FACT_TERMS + 1])], "terms"),
        (many(MAX_FACTS + 1).collect(), "facts, and at most"),
        (vec![text(room + 1)], "bytes of names and texts"),
        (vec![text(room - 100), text(94)], "bytes of names and texts"),
    ] {
        let server = server(allow, facts);
        let denial = server.check(&search()).unwrap_err();
        assert!(matches!(denial, Denial::Undecided(_)), "{denial:?}");
        assert_eq!(denial.refusal().cause.as_str(), "facts_unusable");
        assert!(denial.refusal().message.contains(words), "{words}: {denial}");
        assert_eq!(server.records().len(), 1);
    }
    for facts in [
        vec![Fact::new("db_role", vec!["x"; MAX_FACT_TERMS])],
        many(MAX_FACTS).collect(),
        vec![text(room)],
        vec![text(room - 100), text(93)],
    ] {
        assert_eq!(server(allow, facts).cause(&search()), "");
    }
}

#[test]
fn what_the_server_states_is_paid_for() {
    let many = || (0..MAX_FACTS as i64).map(|number| Fact::new("db_role", [number])).collect();
    let join =
        "allow if db_role($a), db_role($b), db_role($c), db_role($d), $a + $b + $c + $d < 0;";
    assert_eq!(server(join, vec![role("editor")]).cause(&search()), "not_evaluable");
    assert_eq!(server(join, many()).cause(&search()), "exhausted");
    // The bound of a token's checks counts it, though they do not see it.
    let check = r#"reject if db_role($a), db_role($b), $a == $b, $a != $b, $a == $b, $a != $b"#;
    for (facts, cause) in [(vec![role("editor")], ""), (many(), "too_costly")] {
        let server = server("allow if granted($op);", facts);
        let part = (0..4).fold(server.cast.to_researcher(), |part, _| part.check(check));
        let token = server.cast.grant().delegate(part, &server.cast.orchestrator, NOW).unwrap();
        let presented =
            token.present(Presenting::to(AUDIENCE), &server.cast.researcher, NOW).unwrap();
        let decided = server.guard.check(presented.bearer(), &search(), NOW);
        assert_eq!(decided.map_or_else(|denial| denial.refusal().cause.as_str(), |_| ""), cause);
    }
}

#[test]
fn records_keep_what_was_stated_and_replay_decides_by_it() {
    let new = policy(r#"allow if granted($op), db_role("owner");"#);
    for kept in [Keep::Arguments, Keep::Digests] {
        for (name, allowed) in [("editor", true), ("viewer", false)] {
            let server = server(EDITORS, vec![role(name)]);
            let guard = server.guard.keep_requests(kept);
            let decided = guard.check(server.cast.presented().bearer(), &search(), NOW);
            assert_eq!(decided.is_ok(), allowed);
            let mut records = Vec::new();
            server.store.each_record(|record| records.push(record)).unwrap();
            let decision = records[0].decision().unwrap();
            let request = decision.request.as_ref().unwrap();
            assert_eq!(request.stated.len(), 1);
            assert_eq!(request.stated[0].name, "db_role");
            assert_eq!(request.stated[0].terms[0], name);
            let decide = |policy: &Policy| match replay(&records[0], policy).unwrap() {
                Replayed::Decided(redecided) => redecided,
                other => panic!("{other:?}"),
            };
            assert!(!decide(&policy(EDITORS)).differs_from(decision), "{name}");
            assert_eq!(decide(&new).cause.map(Cause::as_str), Some("nothing_allows"));
            // What is written is what is read.
            let written = serde_json::to_string(&records[0]).unwrap();
            let read: AuditRecord = serde_json::from_str(&written).unwrap();
            assert_eq!(read, records[0]);
            // A record that states a word of Hardtack's own was written by nobody here.
            let forged = written.replace("\"db_role\"", "\"granted\"");
            let forged: AuditRecord = serde_json::from_str(&forged).unwrap();
            assert!(replay(&forged, &new).is_err());
        }
    }
}

#[test]
fn candidate_and_explanation_rest_on_the_same_answer() {
    let asked = AtomicUsize::new(0);
    // Another answer each time: what is asked twice would differ.
    let server = server_that(EDITORS, move || {
        let editor = asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        Ok(vec![role(if editor { "editor" } else { "viewer" })])
    });
    let guard = server.guard.shadowed_by(policy(&format!("{EDITORS} deny if depth(7);")));
    let bearer = server.cast.presented();
    for number in 0..4 {
        let (decided, explanation) = guard.check_explained(bearer.bearer(), &search(), NOW);
        let expected = if number % 2 == 0 { Verdict::Allow } else { Verdict::Deny };
        assert_eq!(decided.is_ok(), expected == Verdict::Allow);
        assert_eq!(explanation.ruling.verdict, expected);
        assert_eq!(server.asked.load(Ordering::Relaxed), number + 1);
    }
    let counts = guard.shadow_counts();
    assert_eq!((counts.decisions, counts.differences.len()), (4, 0));
    assert_eq!(guard.explain(bearer.bearer(), &search(), NOW).ruling.verdict, Verdict::Allow);
}

#[test]
fn who_may_not_ask_has_no_one_asked() {
    let server = server(EDITORS, vec![role("editor")]);
    let pay = Call::tool("pay").unwrap();
    assert_eq!(server.cause(&pay), "not_granted");
    let denial = server.guard.check("stranger", &search(), NOW).unwrap_err();
    assert!(matches!(denial, Denial::Unauthenticated(_)));
    let other = Presenting::to(AUDIENCE).call(search());
    let other = server.cast.researchers().present(other, &server.cast.researcher, NOW).unwrap();
    let another = search().argument("a", 1).unwrap();
    let denial = server.guard.check(other.bearer(), &another, NOW).unwrap_err();
    assert_eq!((denial.refusal().cause.as_str(), server.asked()), ("other_call", 0));
}

/// What is not known yet keeps nothing out of a list.
#[test]
fn a_list_takes_it_for_unknown() {
    let server = server(&format!("{EDITORS} deny if suspended(true), tool(\"search\");"), vec![]);
    let presented = server.cast.presented();
    let verified = server.guard.verifier().verify(presented.bearer(), NOW).unwrap();
    let preview = |guard: &Guard| guard.preview(&verified, &search());
    assert_eq!(preview(&server.guard), Preview::DependsOnArguments);
    let plain = Guard::unrecorded(server.cast.verifier(), policy(EDITORS));
    assert_eq!(preview(&plain), Preview::Denied);
    let never = policy("allow if granted($op), depth(7), db_role($role);");
    server.guard.replace_policy(never);
    assert_eq!(preview(&server.guard), Preview::Denied);
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_request_to_revoke_is_decided_by_it_too() {
    let rule = r#"allow if operation("hardtack:revoke"), db_role("admin");"#;
    for (facts, cause) in [
        (Ok(vec![role("admin")]), ""),
        (Ok(vec![]), "nothing_allows"),
        (Err("down"), "facts_unavailable"),
    ] {
        let server = server_that(rule, move || Ok(facts.clone()?));
        let request = RevocationRequest::new(
            Revocation::Agent { agent: "agent.researcher".to_owned() },
            "lost",
            None,
        )
        .unwrap();
        let grant = server.cast.grant_of(&["hardtack:revoke"]);
        let granted = server.cast.issuer().mint(grant, NOW).unwrap();
        let presenting = Presenting::to(AUDIENCE).call(request.call().clone());
        let presented = granted.present(presenting, &server.cast.orchestrator, NOW).unwrap();
        let decided = server.guard.check_revocation(presented.bearer(), &request, NOW);
        assert_eq!(decided.map_or_else(|denial| denial.refusal().cause.as_str(), |_| ""), cause);
        let records = server.records();
        assert_eq!(
            records[0]
                .decision()
                .unwrap()
                .cause
                .as_ref()
                .map(RecordedCause::as_str)
                .unwrap_or_default(),
            cause
        );
    }
}
