//! What is recorded of bearers that are refused.

use hardtack::{AuditRecord, Presenting, Revocation, Revoking};
use serde_json::json;

use crate::stage::{AUDIENCE, Stage, borrowed, call, client, modern, now, request};

/// The cause and operation of each decision, and the agent, if it is known.
fn recorded(stage: &Stage) -> Vec<(String, String, Option<String>)> {
    let mut found = Vec::new();
    let note = |record: AuditRecord| {
        found.extend(record.decision().map(|decision| {
            let hops = decision.chain.as_ref().and_then(|chain| chain.hops.last());
            let agent = hops.map(|hop| hop.delegate.clone());
            let cause = decision.cause.as_ref().map(ToString::to_string).unwrap_or_default();
            (cause, decision.operation.clone(), agent)
        }));
    };
    stage.store.each_record(note).unwrap();
    found
}

/// A search of the log by operation finds what a revoked agent asked for.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_revoked_agent_asked_for_is_recorded() {
    let stage = Stage::set().await;
    let (agent, bearer) = stage.researcher();
    let id = agent.capability.chain().hops[0].revocation_id;
    let revoking = Revoking::new(Revocation::Id { id }, "tests", "lost").unwrap();
    stage.store.revoke(revoking, now()).unwrap();
    let (headers, body) = modern("tools/call", json!({"name": "pay"}));
    let mut asked = vec!["tools:call:pay"];
    assert_eq!(stage.post_with(&bearer, &borrowed(&headers), body).await.status, 401);
    let long = "x".repeat(70_000);
    for (message, operation) in [
        (call("search"), "tools:call:search"),
        (request("resources/read", json!({"uri": "https://notion.so/a"})), "resources:read"),
        (request("tasks/cancel", json!({"taskId": "1"})), "tasks:cancel"),
        // Such a tool has no operation.
        (call("sea rch"), "tools/call"),
        (request("tools/list", json!({})), "tools/list"),
        // Nothing that could be granted.
        (request("initialize", json!({})), "admission"),
        (request("unheard/of", json!({})), "admission"),
        (json!([call("search")]), "admission"),
        (request("tools/call", json!({"name": "search", "arguments": {"q": bearer}})), "admission"),
        // More than is read for it.
        (request("tools/call", json!({"name": "search", "arguments": {"q": long}})), "admission"),
    ] {
        assert_eq!(stage.post(&bearer, &message).await.status, 401, "{operation}");
        asked.push(operation);
    }
    for method in [http::Method::GET, http::Method::DELETE] {
        let sent = client().request(method, stage.url()).bearer_auth(&bearer).send().await.unwrap();
        assert_eq!(sent.status(), 401);
        asked.push("admission");
    }
    let agent = || Some("agent.researcher".to_owned());
    let expected: Vec<_> =
        asked.iter().map(|asked| ("revoked".to_owned(), (*asked).to_owned(), agent())).collect();
    assert_eq!(recorded(&stage), expected);
    assert!(stage.behind.seen().is_empty());
}

/// Who has no signature of a root that is trusted writes nothing of his own into records.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stranger_asks_for_is_not_recorded() {
    let (stage, other) = (Stage::set().await, Stage::set().await);
    let (_, foreign) = other.researcher();
    for bearer in ["stranger", &foreign] {
        assert_eq!(stage.post(bearer, &call("search")).await.status, 401);
    }
    for (_, operation, agent) in recorded(&stage) {
        assert_eq!((operation.as_str(), agent), ("admission", None));
    }
    assert_eq!(recorded(&stage).len(), 2);
}

/// The side that takes revocations knows what is asked for before it reads anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_revoke_of_a_bearer_that_is_refused_is_recorded_as_one() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:search"]);
    let bearer = agent.presents_for(Presenting::to(AUDIENCE));
    let place = format!("http://{}/hardtack/revocations", stage.address);
    let posted = client().post(&place).bearer_auth(&bearer).body("{}").send().await.unwrap();
    let listed = client().get(&place).bearer_auth(&bearer).send().await.unwrap();
    assert_eq!((posted.status().as_u16(), listed.status().as_u16()), (401, 401));
    let agent = || Some("agent.researcher".to_owned());
    let record = |operation: &str| ("wrong_audience".to_owned(), operation.to_owned(), agent());
    assert_eq!(recorded(&stage), [record("hardtack:revoke"), record("hardtack:read")]);
}
