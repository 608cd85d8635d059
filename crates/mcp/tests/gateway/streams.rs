//! Answers that take their time, and servers that do not behave.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hardtack::{Call, Presenting, Revocation, Revoking};
use serde_json::json;
use tokio::net::TcpListener;

use crate::stage::{AUDIENCE, Answers, Stage, call, client, now, request};

/// Reads a stream to its end; returns how many chunks came and how long it took.
#[allow(clippy::disallowed_methods, reason = "what is tested is how long it takes")]
async fn read_to_end(response: reqwest::Response) -> (usize, Duration) {
    let began = Instant::now();
    let mut chunks = response.bytes_stream();
    let mut count = 0;
    while let Some(Ok(_)) = chunks.next().await {
        count += 1;
    }
    (count, began.elapsed())
}

async fn open(stage: &Stage, bearer: &str, tool: &str) -> reqwest::Response {
    let request = client().post(stage.url()).bearer_auth(bearer);
    let request = request.header("content-type", "application/json");
    request.body(call(tool).to_string()).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_cut_within_a_second_when_its_token_is_revoked() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:stream"]);
    let response = open(&stage, &agent.presents(), "stream").await;
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let reading = tokio::spawn(read_to_end(response));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let id = agent.capability.chain().hops[0].revocation_id;
    let revoking = Revoking::new(Revocation::Id { id }, "tests", "lost").unwrap();
    stage.store.revoke(revoking, now()).unwrap();
    let (count, took) = reading.await.unwrap();
    assert!(count > 3, "it streamed before: {count}");
    assert!(took < Duration::from_millis(500 + 1500), "{took:?}");
    assert_eq!(stage.post(&agent.presents(), &call("stream")).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:stream"]);
    let bearer = agent.presents_for(Presenting::to(AUDIENCE).ttl(Duration::from_secs(2)));
    let (count, took) = read_to_end(open(&stage, &bearer, "stream").await).await;
    assert!(count > 3 && took < Duration::from_secs(4), "{count} {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_for_its_answer_is_given_up_with_its_token() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:stall"]);
    let bearer = agent.presents_for(Presenting::to(AUDIENCE).ttl(Duration::from_secs(2)));
    let given_up = stage.post(&bearer, &call("stall")).await;
    assert!(given_up.is_refused_tool() && given_up.json()["id"] == 7, "{given_up:?}");
    assert!(given_up.text().contains("may have been done"), "{given_up:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_in_a_stream_that_is_cut_is_told_so() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:stream"]);
    let bearer = agent.presents_for(Presenting::to(AUDIENCE).ttl(Duration::from_secs(2)));
    let told = stage.post(&bearer, &call("stream")).await;
    assert_eq!(told.json()["id"], 7);
    assert!(told.is_refused_tool() && told.text().contains("may have been done"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_cut_although_its_client_does_not_read() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:stream"]);
    let response = open(&stage, &agent.presents(), "stream").await;
    let id = agent.capability.chain().hops[0].revocation_id;
    let revoking = Revoking::new(Revocation::Id { id }, "tests", "lost").unwrap();
    stage.store.revoke(revoking, now()).unwrap();
    let cut = async {
        loop {
            let metrics = client().get(format!("http://{}/metrics", stage.address)).send().await;
            if metrics.unwrap().text().await.unwrap().contains("hardtack_streams 0\n") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), cut).await.expect("the stream goes on");
    drop(response);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_bound_presentation_may_end_while_its_call_goes_on() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:stream"]);
    let bound = Call::tool("stream").unwrap().arguments(r#"{"query": "roadmap"}"#).unwrap();
    let presenting = Presenting::to(AUDIENCE).call(bound).ttl(Duration::from_secs(1));
    let response = open(&stage, &agent.presents_for(presenting), "stream").await;
    let reading = tokio::time::timeout(Duration::from_secs(3), read_to_end(response));
    assert!(reading.await.is_err(), "it was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_no_call_ends_with_a_call_bound_presentation() {
    let quiet = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", quiet.local_addr().unwrap());
    let router = axum::Router::new().fallback(|| async {
        let events = futures_util::stream::pending::<Result<axum::body::Bytes, std::io::Error>>();
        let response =
            axum::response::Response::builder().header("content-type", "text/event-stream");
        response.body(axum::body::Body::from_stream(events)).unwrap()
    });
    crate::stage::start(quiet, router, Default::default());
    let stage = Stage::set_in_front_of(&url, Duration::from_secs(5)).await;
    let agent = stage.agent(&["tools:call:search"]);
    let bound = Presenting::to(AUDIENCE).call(Call::tool("search").unwrap());
    for request in [
        client().get(stage.url()),
        client().post(stage.url()).header("content-type", "application/json").body(
            request("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))
                .to_string(),
        ),
    ] {
        let bearer = agent.presents_for(bound.clone().ttl(Duration::from_secs(2)));
        let response = request.bearer_auth(&bearer).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let reading = tokio::time::timeout(Duration::from_secs(5), read_to_end(response));
        assert!(reading.await.is_ok(), "it outlives its presentation");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_takes_its_request_with_it() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:stream"]);
    let response = open(&stage, &agent.presents(), "stream").await;
    drop(response);
    let gone = async {
        loop {
            let metrics = client().get(format!("http://{}/metrics", stage.address)).send().await;
            if metrics.unwrap().text().await.unwrap().contains("hardtack_streams 0\n") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the stream goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached_or_breaks_off_is_said_so() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:break_off"]);
    // What does not come whole must not look whole.
    let broken = stage.post(&agent.presents(), &call("break_off")).await;
    assert_eq!((broken.status, &broken.json()["id"]), (502, &json!(7)));

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", closed.local_addr().unwrap());
    drop(closed);
    let stage = Stage::set_in_front_of(&url, Duration::from_secs(5)).await;
    let (_, bearer) = stage.researcher();
    let unreachable = stage.post(&bearer, &call("search")).await;
    assert_eq!((unreachable.status, &unreachable.json()["id"]), (502, &json!(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stalls_is_waited_for_so_long() {
    let real = Stage::set().await;
    let stage = Stage::set_in_front_of(&real.behind.url, Duration::from_secs(1)).await;
    let agent = stage.agent(&["tools:call:stall"]);
    let stalled = stage.post(&agent.presents(), &call("stall")).await;
    assert_eq!((stalled.status, &stalled.json()["id"]), (504, &json!(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_answers_is_not_taken_for_the_gateways_own() {
    for (status, header, expected) in [
        (302, ("location", "https://evil.example/"), 502),
        (401, ("www-authenticate", "Bearer"), 502),
        (404, ("x", "y"), 404),
        (405, ("allow", "POST"), 405),
        (500, ("x", "y"), 500),
        (200, ("content-encoding", "gzip"), 502),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(move || async move {
            let response =
                axum::response::Response::builder().status(status).header(header.0, header.1);
            response.body(axum::body::Body::from("{\"x\":1}")).unwrap()
        });
        crate::stage::start(listener, router, Default::default());
        let stage = Stage::set_in_front_of(&url, Duration::from_secs(5)).await;
        let (_, bearer) = stage.researcher();
        let answer = stage.post(&bearer, &call("search")).await;
        assert_eq!(answer.status, expected, "{answer:?}");
        for hidden in ["location", "www-authenticate", "content-encoding"] {
            assert!(!answer.headers.contains_key(hidden), "{hidden}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_sessions_at_once_do_not_mix() {
    let stage = Stage::set_with(Answers::Events, |gateway| gateway).await;
    let stage = std::sync::Arc::new(stage);
    let sessions = (0..100).map(|number| {
        let stage = std::sync::Arc::clone(&stage);
        async move {
            let agent = stage.alice.delegates(&format!("agent.{number}"), &["tools:call:search"]);
            let bearer = agent.presents();
            let opened = stage.post(&bearer, &request("initialize", json!({}))).await;
            let session = opened.headers["mcp-session-id"].clone();
            for turn in 0..5 {
                let id = format!("{number}-{turn}");
                let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "search"}});
                let headers = [("mcp-session-id", session.as_str())];
                let answer = stage.post_with(&bearer, &headers, message.to_string()).await;
                assert_eq!(answer.json()["id"], id);
                assert_eq!(answer.text(), "did search");
            }
        }
    });
    futures_util::future::join_all(sessions).await;
    assert_eq!(stage.behind.called().len(), 500);
}
