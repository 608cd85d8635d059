//! Whose a task is: of whoever started it, in every method, for ever.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::stage::{Agent, Answers, Stage, borrowed, call, modern, request};

const SCOPES: &[&str] = &["tools:call:search", "tasks:*"];

/// Starts a task; returns its id.
async fn start(stage: &Stage, agent: &Agent) -> String {
    let message = request("tools/call", json!({"name": "search", "task": {"ttl": 60_000}}));
    let started = stage.post(&agent.presents(), &message).await.json();
    started["result"]["task"]["taskId"].as_str().unwrap_or_else(|| panic!("{started}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_every_method_a_task_is_its_owners_alone() {
    for answers in [Answers::Json, Answers::Events] {
        let stage = Stage::set_with(answers, |gateway| gateway).await;
        let (mine, theirs) = (stage.agent(SCOPES), stage.agent(SCOPES));
        let id = start(&stage, &mine).await;
        for method in ["tasks/get", "tasks/result", "tasks/update", "tasks/cancel"] {
            let ask = request(method, json!({"taskId": id}));
            let before = stage.behind.seen().len();
            let refused = stage.post(&theirs.presents(), &ask).await;
            assert_eq!(refused.json()["error"]["code"], -32602, "{method} is for anybody");
            assert_eq!(stage.behind.seen().len(), before, "{method} of another's task passes");
            assert_eq!(stage.causes().last().map(String::as_str), Some("strange_task"));
            let answered = stage.post(&mine.presents(), &ask).await;
            assert_eq!(answered.json()["result"]["method"], method, "{method} of its owner");
        }
        // So it is with what is heard of it.
        let listen =
            request("subscriptions/listen", json!({"notifications": {"taskIds": [id.clone()]}}));
        let refused = stage.post(&theirs.presents(), &listen).await;
        assert_eq!(refused.json()["error"]["code"], -32602, "anybody may listen");
        let both = json!({"notifications": {"taskIds": [id, "task-of-nobody"]}});
        let refused = stage.post(&mine.presents(), &request("subscriptions/listen", both)).await;
        assert_eq!(refused.json()["error"]["code"], -32602, "one of two is enough");
        let heard = stage.post(&mine.presents(), &listen).await;
        assert_eq!(heard.json()["result"]["method"], "subscriptions/listen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_of_a_root_a_subject_and_a_key() {
    let stage = Stage::set().await;
    let mine = stage.agent(SCOPES);
    let id = start(&stage, &mine).await;
    let ask = request("tasks/get", json!({"taskId": id}));
    // Whoever is below has the grant in common, and another key.
    let child = mine.delegates("agent.helper", SCOPES);
    for stranger in [&child, &stage.alice] {
        let refused = stage.post(&stranger.presents(), &ask).await;
        assert_eq!(refused.json()["error"]["code"], -32602);
    }
    let renewed = stage.post(&mine.presents(), &ask).await;
    assert_eq!(renewed.json()["result"]["method"], "tasks/get");
}

/// A request of 2026-07-28 from a client that can this.
fn from_client(method: &str, id: &str, can: &Value) -> (Vec<(&'static str, String)>, String) {
    let (mut headers, body) = modern(method, json!({"taskId": id}));
    headers.push(("mcp-name", id.to_owned()));
    let mut body: Value = serde_json::from_str(&body).unwrap();
    body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = can.clone();
    (headers, body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_say_that_it_knows_tasks_is_told_that() {
    let stage = Stage::set().await;
    let agent = stage.agent(SCOPES);
    let id = start(&stage, &stage.agent(SCOPES)).await;
    let before = stage.behind.seen().len();
    let tasks = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        for can in [json!({}), json!({"extensions": {"other/tasks": {}}}), json!({"tasks": {}})] {
            for id in [&*id, "task-of-nobody"] {
                let (headers, body) = from_client(method, id, &can);
                let told = stage.post_with(&agent.presents(), &borrowed(&headers), body).await;
                let error = &told.json()["error"];
                assert_eq!((told.status, &error["code"]), (400, &json!(-32021)), "{told:?}");
                assert_eq!(error["data"]["requiredCapabilities"], tasks, "{method}");
                assert_eq!(stage.causes().last().map(String::as_str), Some("strange_task"));
            }
        }
        let (headers, body) = from_client(method, &id, &tasks);
        let refused = stage.post_with(&agent.presents(), &borrowed(&headers), body).await;
        let code = &refused.json()["error"]["code"];
        assert_eq!((refused.status, code), (200, &json!(-32602)), "{method}");
    }
    assert_eq!(stage.behind.seen().len(), before, "another's task is asked for");
}

/// A server that gives every task this id, in this result.
async fn giving_out(result: Value) -> Stage {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move |request: Request<Body>| async move {
        let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
        let message: Value = serde_json::from_slice(&body).unwrap();
        let result = match message["method"] == "tools/call" {
            true => result,
            false => json!({"method": message["method"]}),
        };
        let reply = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
        let response = axum::response::Response::builder();
        response.header("content-type", "application/json").body(Body::from(reply)).unwrap()
    });
    crate::stage::start(listener, router, Default::default());
    Stage::set_in_front_of(&url, Duration::from_secs(5)).await
}

async fn may_get(stage: &Stage, agent: &Agent, id: &str) -> bool {
    let got = stage.post(&agent.presents(), &request("tasks/get", json!({"taskId": id}))).await;
    got.json()["result"]["method"] == "tasks/get"
}

/// A server that gives an id out twice would hand the first one's task to the second, or the second's to the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_id_is_handed_out_again_to_another_can_be_asked_for_by_neither() {
    let stage = giving_out(json!({"task": {"taskId": "t1", "status": "working"}})).await;
    let (first, second) = (stage.agent(SCOPES), stage.agent(SCOPES));
    let message = request("tools/call", json!({"name": "search", "task": {}}));
    for _ in 0..2 {
        assert_eq!(stage.post(&first.presents(), &message).await.status, 200);
        assert!(may_get(&stage, &first, "t1").await, "its owner lost it");
    }
    for agent in [&second, &first] {
        assert_eq!(stage.post(&agent.presents(), &message).await.status, 200);
        for agent in [&first, &second] {
            assert!(!may_get(&stage, agent, "t1").await, "one reads what may be the other's");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_a_task_is_noted_and_one_that_names_an_id_is_not() {
    let start = || modern("tools/call", json!({"name": "search"}));
    for (result, noted) in [
        (json!({"resultType": "task", "taskId": "t1", "status": "working"}), true),
        (json!({"resultType": "complete", "taskId": "t1", "content": []}), false),
        (json!({"taskId": "t1", "content": []}), false),
    ] {
        let stage = giving_out(result.clone()).await;
        let agent = stage.agent(SCOPES);
        let (headers, body) = start();
        let body = body.replace(
            r#""io.modelcontextprotocol/clientCapabilities":{}"#,
            r#""io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#,
        );
        let called = stage.post_with(&agent.presents(), &borrowed(&headers), body).await;
        assert_eq!(called.status, 200, "{called:?}");
        assert_eq!(may_get(&stage, &agent, "t1").await, noted, "{result}");
    }
    // Whoever did not say that it knows tasks has none.
    let stage = giving_out(json!({"task": {"taskId": "t1", "status": "working"}})).await;
    let agent = stage.agent(SCOPES);
    assert_eq!(stage.post(&agent.presents(), &call("search")).await.status, 200);
    assert!(!may_get(&stage, &agent, "t1").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tasks_id_has_a_bounded_length() {
    for (bytes, noted) in [(256, true), (257, false)] {
        let id = "t".repeat(bytes);
        let stage = giving_out(json!({"task": {"taskId": id, "status": "working"}})).await;
        let agent = stage.agent(SCOPES);
        let message = request("tools/call", json!({"name": "search", "task": {}}));
        assert_eq!(stage.post(&agent.presents(), &message).await.status, 200);
        assert_eq!(may_get(&stage, &agent, &id).await, noted, "{bytes} bytes");
    }
}
