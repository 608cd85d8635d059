//! Policies that are exchanged under a gateway, and a candidate beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use hardtack::audit::Verdict;
use hardtack::{Cause, Decision, Policy};
use serde_json::json;

use crate::stage::{Stage, call, client, request};

const ALLOW: &str = "allow if granted($op);";
const NOTHING_DELETED: &str = r#"allow if granted($op); deny if tool("delete_page");"#;

fn policy(text: &str) -> Arc<Policy> {
    Arc::new(Policy::parse("p.datalog", text).unwrap())
}

fn decisions(stage: &Stage) -> Vec<Decision> {
    let mut decisions = Vec::new();
    stage.store.each_record(|record| decisions.extend(record.decision().cloned())).unwrap();
    decisions
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_calls_follow_new_policies_at_once() {
    let stage = Stage::set().await;
    let bearer = stage.agent(&["tools:*"]).presents();
    let listed = || async {
        let list = stage.post(&bearer, &request("tools/list", json!({}))).await.json();
        list["result"]["tools"].to_string().contains("delete_page")
    };
    assert!(listed().await);
    assert!(!stage.post(&bearer, &call("delete_page")).await.is_refused_tool());
    stage.guard.replace_policy(policy(NOTHING_DELETED));
    assert!(!listed().await);
    assert!(stage.post(&bearer, &call("delete_page")).await.is_refused_tool());
    assert!(!stage.post(&bearer, &call("search")).await.is_refused_tool());
    let told: Vec<_> =
        decisions(&stage).into_iter().map(|decision| (decision.policy, decision.cause)).collect();
    let (old, new) = (Policy::builtin().digest().to_owned(), policy(NOTHING_DELETED));
    let new = new.digest().to_owned();
    let denied = Some(Cause::PolicyDenied.into());
    assert_eq!(told, [(old, None), (new.clone(), denied), (new, None)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_candidate_would_do_is_recorded_and_counted_and_not_done() {
    let stage = Stage::set().await;
    let bearer = stage.agent(&["tools:*"]).presents();
    stage.guard.replace_candidate(Some(policy(NOTHING_DELETED)));
    // Once on a thread that may wait, then on one that may not.
    for _ in 0..3 {
        assert!(!stage.post(&bearer, &call("delete_page")).await.is_refused_tool());
        assert!(!stage.post(&bearer, &call("search")).await.is_refused_tool());
    }
    let list = stage.post(&bearer, &request("tools/list", json!({}))).await.json();
    assert!(list["result"]["tools"].to_string().contains("delete_page"));
    for (index, decision) in decisions(&stage).iter().enumerate() {
        assert_eq!(decision.verdict, Verdict::Allow);
        assert_eq!(decision.candidate.is_some(), index % 2 == 0, "{decision:?}");
    }
    let url = format!("http://{}/metrics", stage.address);
    let metrics = client().get(url).send().await.unwrap().text().await.unwrap();
    for line in [
        "hardtack_shadow_decisions_total 6",
        r#"hardtack_shadow_differences_total{live="allow",candidate="deny"} 3"#,
        &format!(r#"hardtack_policy_info{{set="live",digest="{}"}} 1"#, Policy::builtin().digest()),
        &format!(
            r#"hardtack_policy_info{{set="candidate",digest="{}"}} 1"#,
            policy(NOTHING_DELETED).digest()
        ),
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_names_the_policies_that_gave_its_verdict() {
    let stage = Stage::set().await;
    let bearer = stage.agent(&["tools:*"]).presents();
    let sets = [policy(ALLOW), policy(NOTHING_DELETED)];
    stage.guard.replace_policy(Arc::clone(&sets[0]));
    let done = Arc::new(AtomicBool::new(false));
    let exchanging = {
        let (guard, done, sets) = (Arc::clone(&stage.guard), Arc::clone(&done), sets.clone());
        std::thread::spawn(move || {
            for turn in (0..).take_while(|_| !done.load(Ordering::Relaxed)) {
                guard.replace_policy(Arc::clone(&sets[turn % 2]));
                std::thread::sleep(std::time::Duration::from_micros(300));
            }
        })
    };
    let asking = (0..8).map(|_| async {
        for _ in 0..40 {
            stage.post(&bearer, &call("delete_page")).await;
        }
    });
    join_all(asking).await;
    done.store(true, Ordering::Relaxed);
    exchanging.join().unwrap();
    let decisions = decisions(&stage);
    assert_eq!(decisions.len(), 320);
    for decision in decisions {
        let allows = decision.policy == sets[0].digest();
        assert!(allows || decision.policy == sets[1].digest());
        assert_eq!(decision.verdict == Verdict::Allow, allows, "{decision:?}");
    }
}

/// What a server knows of its own is not known to a list, and decides the call.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_knows_decides_calls_and_keeps_nothing_out_of_lists() {
    use hardtack::guard::Fact;
    use hardtack::{Call, Timestamp, VerifiedCapability};
    let source = |_: &VerifiedCapability, call: &Call, _: Timestamp| {
        let may = call.operation().as_str() == "tools:call:search";
        Ok(if may { vec![Fact::new("db_role", ["reader"])] } else { vec![] })
    };
    let stage = Stage::set_guarded(|guard| guard.facts_from(["db_role"], source).unwrap()).await;
    let text = r#"allow if granted($op), db_role("reader"); deny if tool("stall");"#;
    stage.guard.replace_policy(hardtack::Policy::parse("p.datalog", text).unwrap());
    let bearer = stage.agent(&["tools:call:*"]).presents();
    let listed = stage.post(&bearer, &request("tools/list", json!({}))).await.json();
    let names = listed["result"]["tools"].as_array().unwrap().iter();
    let names: Vec<&str> = names.map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["search", "delete_page", "pay", "stream", "break_off"]);
    assert_eq!(stage.post(&bearer, &call("search")).await.text(), "did search");
    assert!(stage.post(&bearer, &call("pay")).await.is_refused_tool());
    assert_eq!(stage.causes(), ["nothing_allows"]);
}
