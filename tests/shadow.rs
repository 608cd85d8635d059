//! A candidate set of policies beside the one in force, and policies that are exchanged while calls are decided.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hardtack::audit::{Keep, Verdict};
use hardtack::cause::RecordedCause;
use hardtack::*;
use hardtack_testkit::{AUDIENCE, Cast, NOW, search};

const ALLOW: &str = "allow if granted($op);";

fn policy(text: &str) -> Policy {
    Policy::parse("p.datalog", text).unwrap()
}

/// What was recorded of one search under these policies, with this candidate.
fn recorded(live: &str, candidate: &str) -> (Guard, Decision, bool) {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = Guard::new(cast.verifier(), policy(live), store.clone());
    let guard = guard.shadowed_by(policy(candidate));
    let allowed = guard.check(cast.presented().bearer(), &search(), NOW).is_ok();
    (guard, decisions(&store).remove(0), allowed)
}

fn decisions(store: &Store) -> Vec<Decision> {
    let mut decisions = Vec::new();
    store.each_record(|record| decisions.extend(record.decision().cloned())).unwrap();
    decisions
}

fn too_much_work() -> String {
    let facts: String = (0..60).map(|n| format!("n({n}); ")).collect();
    format!("{facts} allow if n($a), n($b), n($c), n($d), $a + $b + $c + $d == 1000;")
}

#[test]
fn where_a_candidate_decides_otherwise_the_record_says_so_and_the_one_in_force_answers() {
    let nothing = r#"allow if depth(7);"#;
    let denied = "allow if granted($op); deny if depth(1);";
    for (live, candidate, expected) in [
        (ALLOW, denied, (Verdict::Deny, Some("policy_denied"))),
        (denied, ALLOW, (Verdict::Allow, None)),
        (denied, nothing, (Verdict::Deny, Some("nothing_allows"))),
        (
            ALLOW,
            "allow if true; deny if depth($d), $d.length() > 1;",
            (Verdict::Deny, Some("not_evaluable")),
        ),
        (ALLOW, &too_much_work(), (Verdict::Undecided, Some("exhausted"))),
    ] {
        let (guard, decision, allowed) = recorded(live, candidate);
        assert_eq!(allowed, live == ALLOW, "{candidate}");
        assert_eq!(decision.verdict == Verdict::Allow, allowed);
        assert_eq!(decision.policy, policy(live).digest());
        let told = decision.candidate.unwrap();
        assert_eq!(
            (told.verdict, told.cause.as_ref().map(RecordedCause::as_str)),
            expected,
            "{candidate}"
        );
        assert_eq!(told.policy, policy(candidate).digest());
        let counts = guard.shadow_counts();
        assert_eq!(
            (counts.decisions, counts.differences),
            (1, vec![(decision.verdict, expected.0, 1)])
        );
    }
}

#[test]
fn a_candidate_that_agrees_leaves_the_record_as_it_was() {
    let (guard, decision, allowed) = recorded(ALLOW, "allow if depth(1);");
    assert!(allowed && decision.candidate.is_none() && decision.request.is_none());
    let counts = guard.shadow_counts();
    assert_eq!((counts.decisions, counts.differences), (1, Vec::new()));
    let text = serde_json::to_string(&decision).unwrap();
    assert!(!text.contains("candidate") && !text.contains("request"), "{text}");
    // The same cause at another place is no other decision.
    let (_, decision, _) =
        recorded("allow if true; deny if true;", "allow if true;\ndeny if depth(1);");
    assert_eq!(decision.candidate, None);
}

#[test]
fn what_is_refused_before_policies_are_asked_reaches_no_candidate() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = Guard::new(cast.verifier(), policy(ALLOW), store.clone());
    let guard = guard.shadowed_by(policy("allow if depth(7);")).keep_requests(Keep::Arguments);
    let checked = cast.to_researcher().check(r#"check all arg("n", $n), $n < 3"#);
    let checked = cast.grant().delegate(checked, &cast.orchestrator, NOW).unwrap();
    let checked = checked.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
    let arguments = |json| search().arguments(json).unwrap();
    guard.check("nonsense", &search(), NOW).unwrap_err();
    guard.check(cast.presented().bearer(), &Call::tool("pay").unwrap(), NOW).unwrap_err();
    guard.check(checked.bearer(), &arguments(r#"{"n": 9}"#), NOW).unwrap_err();
    guard.check(checked.bearer(), &arguments(r#"{"n": "a"}"#), NOW).unwrap_err();
    for decision in decisions(&store) {
        assert!(decision.candidate.is_none() && decision.request.is_none(), "{decision:?}");
    }
    assert_eq!(guard.shadow_counts().decisions, 0);
}

#[test]
fn facts_of_a_candidate_that_a_tokens_check_reads_count() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard =
        Guard::new(cast.verifier(), policy("allow if true; season(\"open\");"), store.clone());
    let guard = guard.shadowed_by(policy("allow if true;"));
    let checked = cast.to_researcher().check(r#"check if season("open")"#);
    let checked = cast.grant().delegate(checked, &cast.orchestrator, NOW).unwrap();
    let checked = checked.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
    guard.check(checked.bearer(), &search(), NOW).unwrap();
    let told = decisions(&store).remove(0).candidate.unwrap();
    assert_eq!(told.cause.as_ref().map(RecordedCause::as_str), Some("check_failed"));
}

#[test]
fn a_replayed_presentation_is_refused_whatever_a_candidate_says() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = Guard::new(cast.verifier(), policy(ALLOW), store.clone());
    let guard = guard.shadowed_by(policy("allow if depth(7);")).keep_requests(Keep::Digests);
    let once = Presenting::to(AUDIENCE).call(search());
    let once = cast.researchers().present(once, &cast.researcher, NOW).unwrap();
    guard.check(once.bearer(), &search(), NOW).unwrap();
    guard.check(once.bearer(), &search(), NOW).unwrap_err();
    let decisions = decisions(&store);
    assert!(decisions[0].candidate.is_some() && decisions[0].request.is_some());
    assert_eq!(decisions[1].cause.as_ref().map(RecordedCause::as_str), Some("replayed"));
    assert!(decisions[1].candidate.is_none() && decisions[1].request.is_none());
}

#[test]
fn records_of_before_read_and_are_written_as_they_were() {
    let old = r#"{"sequence":1,"time":"2026-11-23T10:00:00Z","previous":"0000000000000000000000000000000000000000000000000000000000000000","event":"decision","decision":"deny","cause":"not_granted","hop":null,"message":"no","operation":"tools:call:pay","resource":null,"chain":null,"policy":"aa"}"#;
    let record: AuditRecord = serde_json::from_str(old).unwrap();
    let decision = record.decision().unwrap();
    assert!(decision.candidate.is_none() && decision.request.is_none());
    assert_eq!(serde_json::to_string(&record).unwrap(), old);
}

#[test]
fn policies_are_exchanged_between_decisions_and_never_within_one() {
    const THREADS: usize = 8;
    const CALLS: usize = 150;
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let ledger = store.clone().losing_at_most(10_000);
    let guard = Arc::new(Guard::new(cast.verifier(), policy(ALLOW), ledger));
    let sets: Vec<Arc<Policy>> = [
        ALLOW,
        "allow if granted($op); deny if depth(1);",
        "allow if depth(7);",
        "seen(1); allow if granted($op); check if seen(2);",
    ]
    .map(|text| Arc::new(policy(text)))
    .into();
    let causes = [None, Some("policy_denied"), Some("nothing_allows"), Some("policy_check_failed")];
    let (verified, done) =
        (cast.verifier().verify(cast.presented().bearer(), NOW).unwrap(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let deciding: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..CALLS {
                        let _ = guard.check_again(&verified, &search(), NOW);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for turn in (0..).take_while(|_| !done.load(Ordering::Relaxed)) {
                guard.replace_policy(Arc::clone(&sets[turn % 4]));
                guard.replace_candidate(Some(Arc::clone(&sets[(turn + 1) % 4])));
                std::thread::yield_now();
            }
        });
        deciding.into_iter().for_each(|thread| thread.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    let cause_of = |digest: &str| {
        let place = sets.iter().position(|set| set.digest() == digest).unwrap();
        causes[place]
    };
    store.checkpoint().unwrap();
    let decisions = decisions(&store);
    assert_eq!(decisions.len(), THREADS * CALLS);
    let mut different = 0;
    for decision in &decisions {
        assert_eq!(
            decision.cause.as_ref().map(RecordedCause::as_str),
            cause_of(&decision.policy),
            "{decision:?}"
        );
        if let Some(candidate) = &decision.candidate {
            different += 1;
            assert_eq!(
                candidate.cause.as_ref().map(RecordedCause::as_str),
                cause_of(&candidate.policy),
                "{decision:?}"
            );
        }
    }
    assert!(different > 0);
    let counts = guard.shadow_counts().differences;
    assert_eq!(counts.iter().map(|(_, _, count)| count).sum::<u64>(), different);
}

#[test]
fn lists_follow_new_policies_at_once() {
    let cast = Cast::new();
    let guard = Guard::unrecorded(cast.verifier(), policy(ALLOW));
    let verified = cast.verifier().verify(cast.presented().bearer(), NOW).unwrap();
    assert_eq!(guard.preview(&verified, &search()), Preview::Allowed);
    let before = guard.replace_policy(policy("allow if depth(7);"));
    assert_eq!(before.digest(), policy(ALLOW).digest());
    assert_eq!(guard.preview(&verified, &search()), Preview::Denied);
    assert_eq!(guard.policy().digest(), policy("allow if depth(7);").digest());
}

#[test]
fn many_large_requests_at_once_are_all_recorded() {
    const THREADS: usize = 8;
    const CALLS: usize = 20;
    let (cast, folder) = (Cast::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("store");
    let store = Store::create(&path).unwrap();
    let guard = cast.guard(&store).keep_requests(Keep::Arguments);
    let long = "x".repeat(16 * 1024 - 100);
    let call = search().arguments(&format!(r#"{{"text": "{long}"}}"#)).unwrap();
    let bearer = cast.presented();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..CALLS {
                    guard.check(bearer.bearer(), &call, NOW).unwrap();
                }
            });
        }
    });
    drop((guard, store));
    let store = StoreReader::open(&path).unwrap();
    assert_eq!(store.verify().unwrap().records, (THREADS * CALLS) as u64);
    assert!(store.records(1).all(|line| line.unwrap().json.contains(&long)));
}

/// What the delegator's rule allows, and what is refused before policies are asked, is no policy's decision.
#[test]
fn of_revocations_only_those_that_policies_decide_are_put_to_a_candidate() {
    let cast = Cast::new();
    let admin = Grant::to("user:admin").scope("hardtack:revoke").holder(cast.orchestrator.public());
    let admin = cast.issuer().mint(admin, NOW).unwrap();
    let below = cast.researchers();
    let hop = || Revocation::Id { id: below.chain().hops[0].revocation_id };
    let proven = RevocationRequest::new(hop(), "lost", Some(&below)).unwrap();
    let bare = RevocationRequest::new(hop(), "lost", None).unwrap();
    let nothing = r#"allow if tool("other");"#;
    for (presented, bound_to, request, live, allowed, asked) in [
        (&cast.grant(), &proven, &proven, ALLOW, true, 0),
        (&cast.grant(), &bare, &bare, ALLOW, false, 0),
        (&admin, &bare, &bare, ALLOW, true, 1),
        (&admin, &bare, &bare, nothing, false, 1),
        (&admin, &proven, &bare, ALLOW, false, 0),
    ] {
        let store = Store::in_memory().unwrap();
        let guard = Guard::new(cast.verifier(), policy(live), store.clone());
        let guard = guard.shadowed_by(policy("allow if depth(7);"));
        let bearer = presented.present_to_revoke(AUDIENCE, bound_to, &cast.orchestrator, NOW);
        let decided = guard.check_revocation(bearer.unwrap().bearer(), request, NOW);
        assert_eq!(decided.is_ok(), allowed, "{decided:?}");
        assert_eq!(guard.shadow_counts().decisions, asked, "{decided:?}");
    }
}

#[test]
fn a_guard_says_by_which_policies_it_decides_and_which_it_tries() {
    let (live, candidate) = (policy(ALLOW), policy("allow if depth(1);"));
    let digests = [live.digest().to_owned(), candidate.digest().to_owned()];
    let guard = Guard::unrecorded(Cast::new().verifier(), live).shadowed_by(candidate);
    assert_eq!(guard.candidate().unwrap().digest(), digests[1]);
    let told = format!("{guard:?}");
    assert!(digests.iter().all(|digest| told.contains(digest)), "{told}");
    assert!(told.contains("recorded: false"), "{told}");
    assert_eq!(guard.replace_candidate(None).unwrap().digest(), digests[1]);
    assert!(guard.candidate().is_none());
}
