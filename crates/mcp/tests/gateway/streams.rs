//! Answers that take their time, and servers that do not behave.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hardtack::audit::Verdict;
use hardtack::mcp::Era;
use hardtack::{Call, Presenting, Revocation, Revoking};
use serde_json::json;
use tokio::net::TcpListener;

use crate::stage::{
    AUDIENCE, Agent, Answer, Answers, Stage, borrowed, call, client, modern, now, request,
};

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
async fn a_stream_ends_with_its_hop() {
    let stage = Stage::set().await;
    let agent = short_lived(&stage, "stream");
    let (count, took) = read_to_end(open(&stage, &agent.presents(), "stream").await).await;
    assert!(count > 3 && took < Duration::from_secs(4), "{count} {took:?}");
}

/// An agent whose hop is over in two seconds.
fn short_lived(stage: &Stage, tool: &str) -> Agent {
    let scope = format!("tools:call:{tool}");
    stage.alice.delegates_with("agent.brief", &[&scope], |hop| hop.ttl(Duration::from_secs(2)))
}

/// The same tool in both protocols; returns the answer.
async fn called(stage: &Stage, bearer: &str, tool: &str, era: Era) -> Answer {
    if era == Era::Legacy {
        return stage.post(bearer, &call(tool)).await;
    }
    let (headers, body) = modern("tools/call", json!({"name": tool}));
    stage.post_with(bearer, &borrowed(&headers), body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_call_outlives_the_presentation_and_no_call_begins_with_it() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:slow"]);
    for era in [Era::Legacy, Era::Modern] {
        let bearer = agent.presents_for(Presenting::to(AUDIENCE).ttl(Duration::from_secs(2)));
        let answered = called(&stage, &bearer, "slow", era).await;
        assert_eq!((answered.status, answered.text()), (200, "did slow".to_owned()), "{era:?}");
        let begun_later = called(&stage, &bearer, "slow", era).await;
        assert_eq!(begun_later.status, 401, "{era:?}: {begun_later:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_its_presentation_and_ends_when_that_is_revoked() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:stream"]);
    let presenting = Presenting::to(AUDIENCE).ttl(Duration::from_secs(2));
    let presented = agent.capability.present(presenting, &agent.key, now()).unwrap();
    let response = open(&stage, presented.bearer(), "stream").await;
    let mut reading = tokio::spawn(read_to_end(response));
    let early = tokio::time::timeout(Duration::from_secs(4), &mut reading).await;
    assert!(early.is_err(), "it is cut with its presentation");
    let read = hardtack::Capability::parse(presented.bearer()).unwrap();
    let id = read.chain().presentation.as_ref().unwrap().revocation_id;
    let revoking = Revoking::new(Revocation::Id { id }, "tests", "stolen").unwrap();
    stage.store.revoke(revoking, now()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(2), reading).await;
    assert!(ended.is_ok(), "it outlives the revocation of its presentation");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_flows_and_is_waited_for_no_longer_than_the_server_lets_it() {
    let longest = Duration::from_secs(2);
    let stage = Stage::set_with(Answers::Json, |gateway| gateway.longest_answer(longest)).await;
    let agent = stage.agent(&["tools:call:*"]);
    for (tool, era) in [("stream", Era::Legacy), ("stall", Era::Legacy), ("stall", Era::Modern)] {
        let told = called(&stage, &agent.presents(), tool, era).await;
        assert!(told.is_refused_tool() && told.json()["id"] == 7, "{tool} {era:?}: {told:?}");
        assert!(told.text().starts_with("the answer went on for longer"), "{told:?}");
        let told = &told.json()["result"]["_meta"]["dev.hardtack/refusal"];
        assert_eq!(told["helps"], "server", "{told}");
    }
}

/// Revokes the agent's own hop.
fn revoke(stage: &Stage, agent: &Agent) {
    let id = agent.capability.chain().hops[0].revocation_id;
    stage
        .store
        .revoke(Revoking::new(Revocation::Id { id }, "tests", "lost").unwrap(), now())
        .unwrap();
}

/// What the server behind was told of cancelled requests, in which sessions.
fn cancelled(stage: &Stage) -> Vec<(String, serde_json::Value)> {
    let told = stage
        .behind
        .seen()
        .into_iter()
        .filter(|seen| seen.message()["method"] == "notifications/cancelled");
    told.map(|seen| {
        let session = seen.headers.get("mcp-session-id");
        let session = session.map_or("", |session| session.to_str().unwrap());
        (session.to_owned(), seen.message()["params"]["requestId"].clone())
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_a_session_is_told_of_a_call_that_is_cut_and_the_record_says_so() {
    let stage = Stage::set().await;
    for (tool, cut_by) in [("stall", "revoked"), ("stream", "revoked"), ("stall", "expired")] {
        let agent = match cut_by {
            "expired" => short_lived(&stage, tool),
            _ => stage.agent(&["tools:call:*"]),
        };
        let bearer = agent.presents();
        let opened = stage.post(&bearer, &request("initialize", json!({}))).await;
        let session = opened.headers["mcp-session-id"].clone();
        let before = cancelled(&stage).len();
        let headers = [("mcp-session-id", session.as_str())];
        let calling = stage.post_with(&bearer, &headers, call(tool).to_string());
        let revoking = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if cut_by == "revoked" {
                revoke(&stage, &agent);
            }
        };
        let (told, ()) = tokio::join!(calling, revoking);
        assert!(told.is_refused_tool(), "{told:?}");
        let heard = async {
            while cancelled(&stage).len() == before {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), heard).await.expect("nothing is cancelled");
        // Once, in the server's own session, with the client's own id.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let all = cancelled(&stage);
        assert_eq!((all.len(), &all[before]), (before + 1, &("session-1".to_owned(), json!(7))));
        let operation = format!("tools:call:{tool}");
        let message = recorded_cut(&stage, cut_by, &operation).await;
        assert!(message.starts_with("the answer of record "), "{message}");
        let number = message.split(' ').nth(4).unwrap().parse::<u64>().unwrap();
        let decided = stage.store.reader().records(number).next().unwrap().unwrap();
        let decided = decided.record().unwrap();
        let decision = decided.decision().unwrap();
        assert_eq!((decision.verdict, &decision.operation), (Verdict::Allow, &operation));
    }
    let metrics = client().get(format!("http://{}/metrics", stage.address)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("hardtack_cancellations_total{outcome=\"heard\"} 3"), "{metrics}");
}

/// What the last record says of a call of this operation that was cut for this cause.
async fn recorded_cut(stage: &Stage, cause: &str, operation: &str) -> String {
    for _ in 0..100 {
        let mut found = None;
        let note = |record: hardtack::AuditRecord| {
            let decision = record.decision().filter(|decision| {
                decision.cause.as_ref().is_some_and(|known| known.as_str() == cause)
                    && decision.operation == operation
            });
            let message = decision.map(|decision| decision.message.clone());
            found = message.filter(|told| told.starts_with("the answer of")).or(found.take());
        };
        stage.store.each_record(note).unwrap();
        match found {
            Some(found) => return found,
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("no record says that it was cut")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cancels_in_its_own_session_and_without_one_nothing_of_it_is_forwarded() {
    let stage = Stage::set().await;
    let bearer = stage.alice.presents();
    let opened = stage.post(&bearer, &request("initialize", json!({}))).await;
    let session = opened.headers["mcp-session-id"].clone();
    let mut cancel = request("notifications/cancelled", json!({"requestId": 7}));
    cancel.as_object_mut().unwrap().remove("id");
    let cancel = cancel.to_string();
    let modern =
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "notifications/cancelled")];
    for headers in [&[][..], &[("mcp-protocol-version", "2025-11-25")], &modern] {
        let told = stage.post_with(&bearer, headers, cancel.clone()).await;
        assert_eq!((told.status, cancelled(&stage).len()), (202, 0), "{headers:?}: {told:?}");
    }
    let headers = [("mcp-session-id", session.as_str())];
    let told = stage.post_with(&bearer, &headers, cancel.clone()).await;
    assert_eq!((told.status, cancelled(&stage)), (202, vec![("session-1".to_owned(), json!(7))]));
    // Whoever holds nothing is not told that it was heard.
    assert_eq!(stage.post_with("unknown", &[], cancel).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_the_stream_is_closed_and_nothing_else_is_told() {
    // Each answer of this server says so when it is dropped.
    let (closed, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move |request: http::Request<axum::body::Body>| {
        let closed = closed.clone();
        async move {
            let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let _ = closed.send(format!("asked {body}"));
            let guard = Says(closed);
            let first = axum::body::Bytes::from_static(b":\n\n");
            let events =
                futures_util::stream::unfold((guard, Some(first)), |(guard, first)| async {
                    match first {
                        Some(first) => Some((Ok::<_, std::io::Error>(first), (guard, None))),
                        None => std::future::pending().await,
                    }
                });
            let response = http::Response::builder().header("content-type", "text/event-stream");
            response.body(axum::body::Body::from_stream(events)).unwrap()
        }
    });
    struct Says(tokio::sync::mpsc::UnboundedSender<String>);
    impl Drop for Says {
        fn drop(&mut self) {
            let _ = self.0.send("closed".to_owned());
        }
    }
    crate::stage::start(listener, router, Default::default());
    let stage = Stage::set_in_front_of(&url, Duration::from_secs(20)).await;
    for era in [Era::Modern, Era::Legacy] {
        let agent = stage.agent(&["tools:call:*"]);
        let bearer = agent.presents();
        let revoking = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            revoke(&stage, &agent);
        };
        let (told, ()) = tokio::join!(called(&stage, &bearer, "search", era), revoking);
        assert!(told.is_refused_tool(), "{told:?}");
        let mut all = Vec::new();
        while all.last().is_none_or(|last| last != "closed") {
            let next = tokio::time::timeout(Duration::from_secs(5), heard.recv()).await;
            all.push(next.expect("its stream is not closed").unwrap());
        }
        assert_eq!(all.len(), 2, "{era:?}: {all:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_listens_ends_with_its_presentation() {
    let stage = Stage::set_in_front_of(&quiet_server().await, Duration::from_secs(5)).await;
    let agent = stage.agent(&["tools:call:search"]);
    let (headers, body) =
        modern("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}));
    let listen = client().post(stage.url()).header("content-type", "application/json");
    let listen = headers.iter().fold(listen, |listen, (name, value)| listen.header(*name, value));
    for request in [client().get(stage.url()), listen.body(body)] {
        let presenting = Presenting::to(AUDIENCE).ttl(Duration::from_secs(2));
        let response = request.bearer_auth(agent.presents_for(presenting)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let reading = tokio::time::timeout(Duration::from_secs(5), read_to_end(response));
        assert!(reading.await.is_ok(), "it outlives its presentation");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_for_its_answer_is_given_up_with_its_token() {
    let stage = Stage::set().await;
    let agent = short_lived(&stage, "stall");
    let given_up = stage.post(&agent.presents(), &call("stall")).await;
    assert!(given_up.is_refused_tool() && given_up.json()["id"] == 7, "{given_up:?}");
    assert!(given_up.text().contains("may have been done"), "{given_up:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_in_a_stream_that_is_cut_is_told_so() {
    let stage = Stage::set().await;
    let agent = short_lived(&stage, "stream");
    let told = stage.post(&agent.presents(), &call("stream")).await;
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

/// A server that begins each answer and says nothing; its URL.
async fn quiet_server() -> String {
    let quiet = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", quiet.local_addr().unwrap());
    let router = axum::Router::new().fallback(|| async {
        let events = futures_util::stream::pending::<Result<axum::body::Bytes, std::io::Error>>();
        let response =
            axum::response::Response::builder().header("content-type", "text/event-stream");
        response.body(axum::body::Body::from_stream(events)).unwrap()
    });
    crate::stage::start(quiet, router, Default::default());
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_no_call_ends_with_a_call_bound_presentation() {
    let stage = Stage::set_in_front_of(&quiet_server().await, Duration::from_secs(5)).await;
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
