//! Revoking through the gateway, and who may.

use hardtack::store::Stops;
use hardtack::{Presenting, Revocation, RevocationRequest, Revoking};
use hardtack_mcp::{RevocationAnswer, RevocationFailed, revoke_at};
use serde_json::json;

use crate::stage::{Agent, Answer, REVOCATIONS, Stage, call, client, now};

pub fn id_of_last_hop(agent: &Agent) -> Revocation {
    let id = agent.capability.chain().hops.last().unwrap().revocation_id;
    Revocation::Id { id }
}

/// Asks to revoke, as this agent; returns the HTTP status.
pub async fn ask(stage: &Stage, agent: &Agent, request: &RevocationRequest) -> u16 {
    let bearer = agent.capability.present_to_revoke(REVOCATIONS, request, &agent.key, now());
    let bearer = bearer.unwrap().bearer().to_owned();
    match revoke_at(&format!("http://{}", stage.address), &bearer, request).await {
        Ok(_) => 200,
        Err(RevocationFailed::Refused { status, .. }) => status,
        Err(error) => panic!("{error}"),
    }
}

pub fn request(revocation: Revocation, proof: Option<&Agent>) -> RevocationRequest {
    let proof = proof.map(|agent| &agent.capability);
    RevocationRequest::new(revocation, "laptop stolen", proof).unwrap()
}

/// alice → orchestrator → researcher → helper
fn chain(stage: &Stage) -> (Agent, Agent, Agent) {
    let orchestrator = stage.alice.delegates("agent.orchestrator", &["tools:call:*"]);
    let researcher = orchestrator.delegates("agent.researcher", &["tools:call:search"]);
    let helper = researcher.delegates("agent.helper", &["tools:call:search"]);
    (orchestrator, researcher, helper)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegator_stops_whom_it_delegated_to_and_everybody_below() {
    let stage = Stage::set().await;
    let (orchestrator, researcher, helper) = chain(&stage);
    assert_eq!(stage.post(&helper.presents(), &call("search")).await.text(), "did search");
    let asked = request(id_of_last_hop(&helper), Some(&helper));
    // The one above may as well.
    assert_eq!(ask(&stage, &orchestrator, &asked).await, 200);
    assert_eq!(ask(&stage, &researcher, &asked).await, 200, "already revoked is revoked");
    assert_eq!(stage.post(&helper.presents(), &call("search")).await.status, 401);
    assert_eq!(stage.post(&researcher.presents(), &call("search")).await.text(), "did search");
    let entries = stage.store.list_revocations().unwrap();
    assert_eq!(entries[0].notice.by, "agent.orchestrator for user:alice");
    assert_eq!(entries[0].notice.reason, "laptop stolen");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_stops_whom_it_did_not_delegate_to() {
    let stage = Stage::set().await;
    let (orchestrator, researcher, helper) = chain(&stage);
    let sibling = stage.alice.delegates("agent.sibling", &["tools:call:*"]);
    let other = Stage::set().await;
    let (foreign, _, foreign_helper) = chain(&other);
    for (who, asked, why) in [
        (&researcher, request(id_of_last_hop(&researcher), Some(&researcher)), "its own hop"),
        (&helper, request(id_of_last_hop(&orchestrator), Some(&helper)), "a hop above"),
        (&sibling, request(id_of_last_hop(&helper), Some(&helper)), "a stranger's hop"),
        (&researcher, request(id_of_last_hop(&helper), None), "no proof"),
        (&researcher, request(id_of_last_hop(&helper), Some(&researcher)), "not in the proof"),
        (
            &orchestrator,
            request(id_of_last_hop(&foreign_helper), Some(&foreign_helper)),
            "another root",
        ),
        (
            &orchestrator,
            request(Revocation::Holder { key: helper.key.public() }, Some(&helper)),
            "by key",
        ),
        (
            &orchestrator,
            request(Revocation::Agent { agent: "agent.helper".to_owned() }, Some(&helper)),
            "by name",
        ),
        (
            &orchestrator,
            request(
                Revocation::Subject { subject: "user:alice".to_owned(), root: None },
                Some(&helper),
            ),
            "by subject",
        ),
        (
            &orchestrator,
            request(
                Revocation::Id { id: helper.capability.chain().grant.revocation_id },
                Some(&helper),
            ),
            "the grant",
        ),
    ] {
        assert_eq!(ask(&stage, who, &asked).await, 403, "{why}");
    }
    let strangers = request(id_of_last_hop(&helper), Some(&helper));
    assert_eq!(ask(&stage, &foreign, &strangers).await, 401);
    assert!(stage.store.list_revocations().unwrap().is_empty());
    assert_eq!(stage.post(&helper.presents(), &call("search")).await.text(), "did search");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_bound_to_what_it_revokes_and_good_once() {
    let stage = Stage::set().await;
    let (_, researcher, helper) = chain(&stage);
    let asked = request(id_of_last_hop(&helper), Some(&helper));
    let url = format!("http://{}/hardtack/revocations", stage.address);
    let send = |bearer: String, body: String| {
        let request = client().post(url.clone()).bearer_auth(bearer).body(body).send();
        async { request.await.unwrap().status().as_u16() }
    };
    let key = &researcher.key;
    let bound = researcher.capability.present_to_revoke(REVOCATIONS, &asked, key, now()).unwrap();
    let bound = bound.bearer().to_owned();
    // For the tools, for a session, for another request, in another audience.
    assert_eq!(send(researcher.presents(), asked.to_json()).await, 401);
    let session = researcher.presents_for(Presenting::to(REVOCATIONS));
    assert_eq!(send(session, asked.to_json()).await, 403);
    let other = request(id_of_last_hop(&helper), Some(&helper)).to_json().replace("stolen", "lost");
    assert_eq!(send(bound.clone(), other).await, 403);
    assert_eq!(send(bound.clone(), "{}".to_owned()).await, 400);
    assert_eq!(stage.post(&bound, &call("search")).await.status, 401);
    assert!(stage.store.list_revocations().unwrap().is_empty());
    assert_eq!(send(bound.clone(), asked.to_json()).await, 200);
    assert_eq!(send(bound, asked.to_json()).await, 401, "a second time");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_scope_anything_can_be_revoked_and_read() {
    let stage = Stage::set_granting(&["hardtack:revoke", "hardtack:read", "tools:*"]).await;
    let operator = stage.alice.delegates("agent.operator", &["hardtack:revoke", "hardtack:read"]);
    let (_, _, helper) = chain(&stage);
    let by_name = request(Revocation::Agent { agent: "agent.helper".to_owned() }, None);
    assert_eq!(ask(&stage, &operator, &by_name).await, 200);
    assert_eq!(stage.post(&helper.presents(), &call("search")).await.status, 401);
    let url = format!("http://{}/hardtack/revocations", stage.address);
    let list = client().get(&url).bearer_auth(operator.presents_for(Presenting::to(REVOCATIONS)));
    let list = Answer::of(list.send().await.unwrap()).await;
    assert_eq!(list.json()["revocations"][0]["agent"], json!("agent.helper"));
    let (orchestrator, ..) = chain(&stage);
    let unscoped =
        client().get(&url).bearer_auth(orchestrator.presents_for(Presenting::to(REVOCATIONS)));
    assert_eq!(unscoped.send().await.unwrap().status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_read_in_pages_and_whole() {
    let stage = Stage::set_granting(&["hardtack:revoke", "hardtack:read", "tools:*"]).await;
    let operator = stage.alice.delegates("agent.operator", &["hardtack:read"]);
    let revoking = |number: u32| {
        let revocation = Revocation::Agent { agent: format!("agent.{number}") };
        hardtack::Revoking::new(revocation, "tests", "lost").unwrap()
    };
    // More than a page.
    stage.store.revoke_all((0..2500).map(revoking).collect(), now()).unwrap();
    stage.store.revoke_all((2500..2520).map(revoking).collect(), now()).unwrap();
    let get = async |query: &str| {
        let url = format!("http://{}/hardtack/revocations{query}", stage.address);
        let bearer = operator.presents_for(Presenting::to(REVOCATIONS));
        Answer::of(client().get(&url).bearer_auth(bearer).send().await.unwrap()).await
    };
    let agents = |answer: &Answer| -> Vec<String> {
        let listed = answer.json();
        let listed = listed["revocations"].as_array().unwrap().iter();
        listed.map(|entry| entry["agent"].as_str().unwrap().to_owned()).collect()
    };
    let expected: Vec<String> = (0..2520).map(|number| format!("agent.{number}")).collect();
    let whole = get("").await;
    assert_eq!(agents(&whole), expected);
    assert!(whole.json()["as_of"].is_string() && whole.json().get("forgotten_until").is_some());
    let (mut paged, mut after) = (Vec::new(), 0);
    loop {
        let page = get(&format!("?after={after}&at_most=999")).await;
        paged.extend(agents(&page));
        match page.json()["next"].as_u64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(paged, expected);
    assert_eq!(agents(&get("?after=0").await).len(), 1000);
    for wrong in ["?after=x", "?at_most=0", "?at_most=100000"] {
        assert_eq!(get(wrong).await.status, 400, "{wrong}");
    }
}

/// Asks, as this agent, what a revocation would stop; or revokes.
async fn answered(
    stage: &Stage,
    agent: &Agent,
    request: &RevocationRequest,
) -> Result<RevocationAnswer, (u16, String)> {
    let bearer = agent.capability.present_to_revoke(REVOCATIONS, request, &agent.key, now());
    let bearer = bearer.unwrap().bearer().to_owned();
    match revoke_at(&format!("http://{}", stage.address), &bearer, request).await {
        Ok(answer) => Ok(answer),
        Err(RevocationFailed::Refused { status, description }) => Err((status, description)),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_answers_whoever_may_revoke_that_and_nobody_else() {
    let stage = Stage::set_granting(&["hardtack:revoke", "tools:*"]).await;
    let operator = stage.alice.delegates("agent.operator", &["hardtack:revoke"]);
    let (orchestrator, researcher, helper) = chain(&stage);
    assert_eq!(stage.post(&helper.presents(), &call("search")).await.text(), "did search");
    let dry = |revocation: Revocation, proof: Option<&Agent>| {
        request(revocation, proof).dry_run().unwrap()
    };
    let hop = || id_of_last_hop(&researcher);
    let until_now = |agent: &str| Revocation::AgentUntilNow { agent: agent.to_owned() };
    let told = |answer: RevocationAnswer| (answer.receipt, answer.stops);
    let stops = |blocks, live| Some(Stops { blocks, live });
    // Whoever delegated the hop, and whoever may revoke anything.
    let answer = answered(&stage, &orchestrator, &dry(hop(), Some(&helper))).await.unwrap();
    assert_eq!(told(answer), (None, stops(2, 2)));
    for (revocation, expected) in [
        (until_now("agent.helper"), stops(1, 1)),
        (until_now("agnet.helper"), stops(0, 0)),
        (Revocation::Agent { agent: "agent.orchestrator".to_owned() }, stops(3, 3)),
        (Revocation::Holder { key: helper.key.public() }, stops(1, 1)),
    ] {
        let answer = answered(&stage, &operator, &dry(revocation.clone(), None)).await.unwrap();
        assert_eq!(told(answer), (None, expected), "{revocation}");
    }
    // Nobody learns of a stranger's chain, or that there is none.
    for (who, asked) in [
        (&helper, dry(hop(), Some(&helper))),
        (&orchestrator, dry(hop(), None)),
        (&orchestrator, dry(until_now("agent.helper"), Some(&helper))),
        (&orchestrator, dry(until_now("agnet.helper"), None)),
    ] {
        let (status, said) = answered(&stage, who, &asked).await.unwrap_err();
        assert_eq!(status, 403, "{said}");
    }
    assert!(stage.store.list_revocations().unwrap().is_empty(), "nothing was revoked");
    assert_eq!(stage.post(&helper.presents(), &call("search")).await.text(), "did search");
    // A presentation that asked is not good for revoking.
    let asked = dry(until_now("agent.helper"), None);
    let bearer = operator.capability.present_to_revoke(REVOCATIONS, &asked, &operator.key, now());
    let bearer = bearer.unwrap().bearer().to_owned();
    let url = format!("http://{}/hardtack/revocations", stage.address);
    let really = request(until_now("agent.helper"), None).to_json();
    let sent = client().post(&url).bearer_auth(&bearer).body(really).send().await.unwrap();
    assert_eq!(sent.status(), 403);
    // What it stops is said when it is done, too, and once.
    let really = request(until_now("agent.helper"), None);
    let answer = answered(&stage, &operator, &really).await.unwrap();
    assert_eq!((answer.receipt.is_some(), answer.stops), (true, stops(1, 1)));
    let again = answered(&stage, &operator, &dry(hop(), None)).await.unwrap();
    assert_eq!(told(again), (None, stops(2, 1)), "the helper is stopped already");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_beginning_of_an_id_that_the_gateway_has_seen_is_enough_with_the_scope() {
    let stage = Stage::set_granting(&["hardtack:revoke", "tools:*"]).await;
    let operator = stage.alice.delegates("agent.operator", &["hardtack:revoke"]);
    let (orchestrator, _, helper) = chain(&stage);
    let Revocation::Id { id } = id_of_last_hop(&helper) else { panic!("an id") };
    let beginning = |digits: &str| {
        RevocationRequest::beginning(digits.parse().unwrap(), "laptop stolen").unwrap()
    };
    let begins = beginning(&id.to_string()[..16]);
    let (status, said) = answered(&stage, &operator, &begins).await.unwrap_err();
    assert_eq!(status, 403);
    assert!(said.contains("give the whole id"), "not seen yet: {said}");
    assert_eq!(stage.post(&helper.presents(), &call("search")).await.text(), "did search");
    // Whoever may not revoke it learns nothing, seen or not.
    let mut all = Vec::new();
    for asked in [&begins, &beginning("00112233445566778899")] {
        all.push(answered(&stage, &orchestrator, asked).await.unwrap_err());
    }
    assert_eq!(all[0], all[1]);
    assert!(!all[0].1.contains(&id.to_string()[..16]), "{}", all[0].1);
    let answer = answered(&stage, &operator, &begins).await.unwrap();
    assert_eq!(answer.revocation, Some(Revocation::Id { id }));
    assert_eq!(stage.post(&helper.presents(), &call("search")).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_logs_in_again_too_early_hears_how_long_to_wait() {
    let stage = Stage::set().await;
    let (_, _, helper) = chain(&stage);
    let subject = Revocation::Subject { subject: "user:alice".to_owned(), root: None };
    let revoking = Revoking::new(subject, "tests", "lost").unwrap();
    stage.store.revoke(revoking, now()).unwrap();
    let url = format!("http://{}/mcp", stage.address);
    let sent = client().post(&url).bearer_auth(helper.presents()).body(call("search").to_string());
    let answer = sent.header("content-type", "application/json").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["retry_after"], json!(wait));
    let said = body["error_description"].as_str().unwrap();
    assert!(said.contains(&format!("within the next {wait} seconds")), "{said}");
}
