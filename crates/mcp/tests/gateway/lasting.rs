//! What outlives a presentation, a grant or the gateway itself: streams that only listen, sessions and tasks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures_util::{StreamExt, stream};
use hardtack::PrivateKey;
use hardtack_mcp::{CapabilitySource, Gateway, Holder, Upstream};
use http::{Method, Request};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::stage::{
    AUDIENCE, Agent, PATIENCE, Stage, borrowed, call, client, modern, request, start,
};

/// A server on whose streams something is told ten times a second, numbered from the last event that came.
#[derive(Clone, Default)]
struct Ticking {
    /// From which event on each stream was asked for.
    opened: Arc<Mutex<Vec<Option<u64>>>>,
}

impl Ticking {
    async fn start() -> (Ticking, String) {
        let ticking = Ticking::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let router = Router::new().fallback(ticks).with_state(ticking.clone());
        start(listener, router, Default::default());
        (ticking, url)
    }

    fn opened(&self) -> Vec<Option<u64>> {
        self.opened.lock().unwrap().clone()
    }
}

async fn ticks(State(ticking): State<Ticking>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let listens = message["method"] == "subscriptions/listen";
    if parts.method != Method::GET && !listens {
        let result = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "t", "version": "1"}});
        let reply = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
        let response = Response::builder().header("content-type", "application/json");
        return response.header("mcp-session-id", "s").body(Body::from(reply)).unwrap();
    }
    let last = parts.headers.get("last-event-id");
    let last = last.map(|last| last.to_str().unwrap().parse::<u64>().unwrap());
    ticking.opened.lock().unwrap().push(last);
    let acknowledged = json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
        "params": {"notifications": {}, "_meta": {"io.modelcontextprotocol/subscriptionId": 7}}});
    let first = listens.then(|| Ok(Bytes::from(format!("data: {acknowledged}\n\n"))));
    let next = last.map_or(0, |last| last + 1);
    let told = stream::unfold(next, |number| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let told = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"number": number}});
        let event = format!("id: {number}\ndata: {told}\n\n");
        Some((Ok::<_, std::io::Error>(Bytes::from(event)), number + 1))
    });
    let response = Response::builder().header("content-type", "text/event-stream");
    response.body(Body::from_stream(stream::iter(first).chain(told))).unwrap()
}

/// The messages that come within this time, and whether the stream has ended.
async fn heard(response: reqwest::Response, time: Duration) -> (Vec<Value>, bool) {
    assert_eq!(response.status(), 200);
    let (mut text, mut has_ended) = (String::new(), false);
    let mut chunks = response.bytes_stream();
    let end = tokio::time::Instant::now() + time;
    loop {
        match tokio::time::timeout_at(end, chunks.next()).await {
            Err(_) => break,
            Ok(Some(Ok(chunk))) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
            Ok(_) => {
                has_ended = true;
                break;
            }
        }
    }
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    let data = whole.lines().filter_map(|line| line.strip_prefix("data: "));
    (data.map(|data| serde_json::from_str(data).unwrap()).collect(), has_ended)
}

/// An agent's end whose presentations end after four seconds, until a newer capability is in its place.
fn holder(stage: &Stage, folder: &tempfile::TempDir) -> (Holder, std::path::PathBuf, Agent) {
    let key = PrivateKey::generate();
    let scopes = &["tools:call:*"];
    let file = folder.path().join("agent.token");
    let delegated = |ttl| {
        stage.alice.delegates_with("agent.listener", scopes, |hop| {
            hop.ttl(Duration::from_secs(ttl)).holder(key.public())
        })
    };
    std::fs::write(&file, delegated(4).capability.to_base64()).unwrap();
    let own = key.to_text().parse().unwrap();
    let upstream = Upstream::at(&stage.url()).unwrap();
    let source = CapabilitySource::File(file.clone());
    let holder = Holder::new(source, own, AUDIENCE, upstream).unwrap();
    (holder, file, delegated(1800))
}

/// The same, served over HTTP.
async fn short_lived(
    stage: &Stage,
    folder: &tempfile::TempDir,
) -> (String, std::path::PathBuf, Agent) {
    let (holder, file, newer) = holder(stage, folder);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let drain = holder.drain();
    start(listener, holder.router(), drain);
    (url, file, newer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_a_session_goes_on_with_fresh_presentations_and_nothing_is_lost_or_told_twice()
{
    let (ticking, url) = Ticking::start().await;
    let stage = Stage::set_in_front_of(&url, PATIENCE).await;
    let folder = tempfile::tempdir().unwrap();
    let (agent, file, newer) = short_lived(&stage, &folder).await;
    let opened = client().post(&agent).header("content-type", "application/json");
    let opened = opened.body(request("initialize", json!({})).to_string()).send().await.unwrap();
    let session = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let listening = client().get(&agent).header("accept", "text/event-stream");
    let response = listening.header("mcp-session-id", session).send().await.unwrap();
    std::fs::write(&file, newer.capability.to_base64()).unwrap();
    let (messages, has_ended) = heard(response, Duration::from_secs(7)).await;
    assert!(!has_ended, "the runtime sees the end of a presentation");
    let numbers = messages.iter().map(|message| message["params"]["number"].as_u64().unwrap());
    let numbers: Vec<u64> = numbers.collect();
    let expected: Vec<u64> = (0..numbers.len() as u64).collect();
    assert_eq!(numbers, expected);
    assert!(numbers.len() > 45, "{numbers:?}");
    let opened = ticking.opened();
    assert!(opened.len() == 2 && opened[0].is_none() && opened[1] > Some(10), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_goes_on_with_fresh_presentations_and_is_acknowledged_once() {
    let (ticking, url) = Ticking::start().await;
    let stage = Stage::set_in_front_of(&url, PATIENCE).await;
    let folder = tempfile::tempdir().unwrap();
    let (agent, file, newer) = short_lived(&stage, &folder).await;
    let notifications = json!({"notifications": {"toolsListChanged": true}});
    let (headers, body) = modern("subscriptions/listen", notifications);
    let listen = client().post(&agent).header("content-type", "application/json");
    let listen = borrowed(&headers)
        .into_iter()
        .fold(listen, |listen, (name, value)| listen.header(name, value));
    let response = listen.body(body).send().await.unwrap();
    std::fs::write(&file, newer.capability.to_base64()).unwrap();
    let (messages, has_ended) = heard(response, Duration::from_secs(7)).await;
    assert!(!has_ended, "the runtime sees the end of a presentation");
    let of = |name: &str| messages.iter().filter(|message| message["method"] == name).count();
    assert_eq!(of("notifications/subscriptions/acknowledged"), 1);
    let changed = of("notifications/tools/list_changed");
    assert!(changed > 45 && changed + 1 == messages.len(), "{messages:?}");
    assert_eq!(ticking.opened(), [None, None], "in this protocol no event has an id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_capability_is_not_renewed_ends_with_it() {
    let (ticking, url) = Ticking::start().await;
    let stage = Stage::set_in_front_of(&url, PATIENCE).await;
    let folder = tempfile::tempdir().unwrap();
    let (agent, ..) = short_lived(&stage, &folder).await;
    let response = client().get(&agent).header("accept", "text/event-stream").send().await.unwrap();
    let (messages, has_ended) = heard(response, Duration::from_secs(7)).await;
    assert!(has_ended && messages.len() < 45, "{}", messages.len());
    assert_eq!(ticking.opened().len(), 1);
}

/// A gateway on a runtime of its own, which can be killed with all of its connections.
fn apart(stage: &Stage, address: std::net::SocketAddr) -> tokio::runtime::Runtime {
    apart_until(stage, address, std::future::pending())
}

/// The same, which stops as after SIGTERM when it is told to.
fn apart_until(
    stage: &Stage,
    address: std::net::SocketAddr,
    told: impl Future<Output = ()> + Send + 'static,
) -> tokio::runtime::Runtime {
    let upstream = Upstream::at(&stage.behind.url).unwrap();
    let gateway = Gateway::new(Arc::clone(&stage.guard), upstream);
    let gateway = gateway.sessions_in(stage.store.clone());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let drain = gateway.drain();
    let router = gateway.router();
    runtime.spawn(async move {
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                // The one before is not gone yet.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        hardtack_mcp::serve(listener, router, told, Duration::ZERO, drain).await
    });
    runtime
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_and_its_session_go_on_after_the_gateway_was_killed_and_started_again() {
    let (ticking, url) = Ticking::start().await;
    let mut stage = Stage::set_in_front_of(&url, PATIENCE).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    stage.address = free.local_addr().unwrap();
    drop(free);
    let first = apart(&stage, stage.address);
    let folder = tempfile::tempdir().unwrap();
    let (agent, file, newer) = short_lived(&stage, &folder).await;
    std::fs::write(&file, newer.capability.to_base64()).unwrap();
    let initialize = async || {
        let opened = client().post(&agent).header("content-type", "application/json");
        let opened =
            opened.body(request("initialize", json!({})).to_string()).send().await.unwrap();
        opened.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned())
    };
    let mut session = initialize().await;
    while session.is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        session = initialize().await;
    }
    let listening = client().get(&agent).header("accept", "text/event-stream");
    let response = listening.header("mcp-session-id", session.unwrap()).send().await.unwrap();
    let address = stage.address;
    let restarting = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        first.shutdown_background();
        apart(&stage, address)
    };
    let ((messages, has_ended), second) =
        tokio::join!(heard(response, Duration::from_secs(7)), restarting);
    second.shutdown_background();
    assert!(!has_ended, "the runtime sees the end of the gateway");
    let numbers = messages.iter().map(|message| message["params"]["number"].as_u64().unwrap());
    let numbers: Vec<u64> = numbers.collect();
    let expected: Vec<u64> = (0..numbers.len() as u64).collect();
    assert_eq!(numbers, expected);
    assert!(numbers.len() > 30 && ticking.opened().len() >= 2, "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_goes_on_after_the_gateway_was_stopped_in_order_and_started_again() {
    let (ticking, url) = Ticking::start().await;
    let mut stage = Stage::set_in_front_of(&url, PATIENCE).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    stage.address = free.local_addr().unwrap();
    drop(free);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let first = apart_until(&stage, stage.address, async move {
        stopped.await.ok();
    });
    let folder = tempfile::tempdir().unwrap();
    let (agent, file, newer) = short_lived(&stage, &folder).await;
    std::fs::write(&file, newer.capability.to_base64()).unwrap();
    let notifications = json!({"notifications": {"toolsListChanged": true}});
    let (headers, body) = modern("subscriptions/listen", notifications);
    let listen = async || {
        let listen = client().post(&agent).header("content-type", "application/json");
        let listen = borrowed(&headers)
            .into_iter()
            .fold(listen, |listen, (name, value)| listen.header(name, value));
        listen.body(body.clone()).send().await.unwrap()
    };
    let mut response = listen().await;
    while response.status() != 200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        response = listen().await;
    }
    let address = stage.address;
    let restarting = async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        stop.send(()).unwrap();
        let second = apart(&stage, address);
        tokio::time::sleep(Duration::from_secs(1)).await;
        first.shutdown_background();
        second
    };
    let ((messages, has_ended), second) =
        tokio::join!(heard(response, Duration::from_secs(12)), restarting);
    second.shutdown_background();
    assert!(!has_ended, "the runtime sees the end of the gateway");
    let of = |name: &str| messages.iter().filter(|message| message["method"] == name).count();
    assert_eq!(of("notifications/subscriptions/acknowledged"), 1);
    assert!(of("notifications/tools/list_changed") > 80, "{}", messages.len());
    assert_eq!(ticking.opened().len(), 2);
}

/// The lines of a client that started the agent's end, and what it is told within this time.
async fn told_by_lines(stage: &Stage, lines: Vec<Value>, time: Duration) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let (holder, file, newer) = holder(stage, &folder);
    let (to, input) = tokio::sync::mpsc::channel(4);
    let (output, mut from) = tokio::sync::mpsc::channel(64);
    let drain = holder.drain();
    let client = hardtack_mcp::StdioClient { input, output };
    let pending = std::future::pending();
    let serving =
        hardtack_mcp::serve_stdio(client, holder.router(), pending, Duration::ZERO, drain);
    let speaking = async {
        for line in lines {
            to.send(Ok(Bytes::from(format!("{line}\n")))).await.unwrap();
        }
        // The first presentation is one that ends soon.
        tokio::time::sleep(Duration::from_secs(1)).await;
        std::fs::write(&file, newer.capability.to_base64()).unwrap();
        let (mut told, end) = (Vec::new(), tokio::time::Instant::now() + time);
        while let Ok(Some(line)) = tokio::time::timeout_at(end, from.recv()).await {
            told.push(serde_json::from_slice(&line).unwrap());
        }
        told
    };
    tokio::select! {
        () = serving => panic!("it ends"),
        told = speaking => told,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_on_standard_input_and_output_hears_one_stream_in_both_protocols() {
    let (ticking, url) = Ticking::start().await;
    let stage = Stage::set_in_front_of(&url, PATIENCE).await;
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let notifications = json!({"notifications": {"toolsListChanged": true}});
    let listen = serde_json::from_str(&modern("subscriptions/listen", notifications).1).unwrap();
    let time = Duration::from_secs(7);
    let (legacy, modern) = tokio::join!(
        told_by_lines(&stage, vec![initialize, initialized], time),
        told_by_lines(&stage, vec![listen], time),
    );
    for (told, first) in [(legacy, "result"), (modern, "method")] {
        assert!(told[0].get(first).is_some(), "{:?}", told[0]);
        assert!(told.len() > 45, "{}", told.len());
        for message in &told[1..] {
            assert_eq!(message["method"], "notifications/tools/list_changed", "{message}");
        }
    }
    assert_eq!(ticking.opened().len(), 4);
}

/// The gateway starts again, with the same store, in front of the same server.
async fn restart(stage: &mut Stage) {
    let upstream = Upstream::at(&stage.behind.url).unwrap();
    let upstream = upstream.credential("Bearer the-gateways-own").unwrap();
    let gateway = Gateway::new(Arc::clone(&stage.guard), upstream);
    let gateway = gateway.sessions_in(stage.store.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    stage.address = listener.local_addr().unwrap();
    let drain = gateway.drain();
    start(listener, gateway.router(), drain);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_tasks_survive_a_restart_and_are_still_nobody_elses() {
    let mut stage = Stage::set().await;
    restart(&mut stage).await;
    let opened = stage.post(&stage.alice.presents(), &request("initialize", json!({}))).await;
    let session = opened.headers["mcp-session-id"].clone();
    let starting = request("tools/call", json!({"name": "search", "task": {"ttl": 60_000}}));
    let started = stage.post(&stage.alice.presents(), &starting).await.json();
    let task = started["result"]["task"]["taskId"].as_str().unwrap().to_owned();
    let get = request("tasks/get", json!({"taskId": task}));
    // It is written beside the answer.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..2 {
        restart(&mut stage).await;
        let headers = [("mcp-session-id", session.as_str())];
        let went_on =
            stage.post_with(&stage.alice.presents(), &headers, call("search").to_string()).await;
        assert_eq!((went_on.status, went_on.text()), (200, "did search".to_owned()));
        let seen = stage.behind.seen().pop().unwrap();
        assert_eq!(seen.headers["mcp-session-id"], "session-1");
        let got = stage.post(&stage.alice.presents(), &get).await;
        assert_eq!(got.json()["result"]["method"], "tasks/get", "{got:?}");
        // Another subject, and another key of the same.
        for stranger in [stage.bob.presents(), stage.agent(&["tools:*", "tasks:*"]).presents()] {
            let gone = stage.post_with(&stranger, &headers, call("search").to_string()).await;
            assert_eq!(gone.status, 404, "{gone:?}");
            let refused = stage.post(&stranger, &get).await;
            assert_eq!(refused.json()["error"]["code"], -32602, "{refused:?}");
        }
    }
    // A gateway that was told of no store knows nothing of them, and neither does one in front of another server.
    let upstream = Upstream::at(&stage.behind.url.replace("/mcp", "/other")).unwrap();
    let gateway = Gateway::new(Arc::clone(&stage.guard), upstream);
    let gateway = gateway.sessions_in(stage.store.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    stage.address = listener.local_addr().unwrap();
    let drain = gateway.drain();
    start(listener, gateway.router(), drain);
    let headers = [("mcp-session-id", session.as_str())];
    let gone = stage.post_with(&stage.alice.presents(), &headers, call("search").to_string()).await;
    assert_eq!(gone.status, 404, "{gone:?}");
    let refused = stage.post(&stage.alice.presents(), &get).await;
    assert_eq!(refused.json()["error"]["code"], -32602, "{refused:?}");
}
