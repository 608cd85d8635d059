//! Stage: a chain of today, a server behind, a gateway in front of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures_util::stream;
use hardtack::{
    Capability, Delegation, Grant, Guard, Issuer, Policy, Presenting, PrivateKey, RootKeys, Store,
    Timestamp, Verifier,
};
use hardtack_mcp::{Drain, Gateway, Upstream, serve};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const AUDIENCE: &str = "notion.mcp";
pub const REVOCATIONS: &str = "notion.mcp/hardtack";

/// Longer than anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

#[allow(clippy::disallowed_methods, reason = "the gateway reads the clock, and so must its tokens")]
pub fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// Whoever holds a capability.
pub struct Agent {
    pub capability: Capability,
    pub key: PrivateKey,
}

impl Agent {
    pub fn presents(&self) -> String {
        self.presents_for(Presenting::to(AUDIENCE))
    }

    pub fn presents_for(&self, presenting: Presenting) -> String {
        self.capability.present(presenting, &self.key, now()).unwrap().bearer().to_owned()
    }

    pub fn delegates(&self, name: &str, scopes: &[&str]) -> Agent {
        self.delegates_with(name, scopes, |delegation| delegation)
    }

    pub fn delegates_with(
        &self,
        name: &str,
        scopes: &[&str],
        more: impl FnOnce(Delegation) -> Delegation,
    ) -> Agent {
        let (part, key) = Delegation::to(name).reason("find the roadmap page").new_holder();
        let part = more(scopes.iter().fold(part, |part, scope| part.scope(*scope)));
        Agent { capability: self.capability.delegate(part, &self.key, now()).unwrap(), key }
    }
}

/// One request that reached the server behind.
#[derive(Debug, Clone)]
pub struct Seen {
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn message(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// How the server behind answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    Json,
    Events,
}

/// The server behind: answers by the book, and notes all that it is asked.
#[derive(Clone)]
pub struct Behind {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    answers: Answers,
}

impl Behind {
    pub async fn start(answers: Answers) -> Behind {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let behind = Behind { url, seen: Arc::default(), answers };
        let router = Router::new().fallback(answer).with_state(behind.clone());
        start(listener, router, Drain::default());
        behind
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The names of the tools that were called.
    pub fn called(&self) -> Vec<String> {
        let calls = self.seen().into_iter().map(|seen| seen.message());
        let calls = calls.filter(|message| message["method"] == "tools/call");
        calls.map(|message| message["params"]["name"].as_str().unwrap().to_owned()).collect()
    }
}

pub fn start(listener: TcpListener, router: Router, drain: Drain) {
    tokio::spawn(serve(listener, router, std::future::pending(), Duration::ZERO, drain));
}

pub fn tools() -> Value {
    let names = ["search", "delete_page", "pay", "stream", "stall", "break_off"];
    let tool =
        |name: &str| json!({"name": name, "inputSchema": {"type": "object", "maximum": 1.50}});
    names.iter().map(|name| tool(name)).collect()
}

async fn answer(State(behind): State<Behind>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let seen = Seen { headers: parts.headers.clone(), body };
    let message = seen.message();
    behind.seen.lock().unwrap().push(seen);
    match parts.method {
        Method::GET => return events(replayed_list()),
        Method::DELETE => return plain(StatusCode::OK, String::new()),
        _ => {}
    }
    let tool = message["params"]["name"].as_str().unwrap_or_default();
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => {
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "behind", "version": "1"}})
        }
        "tools/list" => {
            json!({"tools": tools(), "nextCursor": "2", "ttlMs": 86_400_000_u64, "cacheScope": "public"})
        }
        "resources/list" => json!({"resources": [
            {"uri": "https://notion.so/a", "name": "a"},
            {"uri": "memo://x", "name": "x"},
        ]}),
        "skills/list" => json!({"skills": [
            {"uri": "https://notion.so/find/SKILL.md", "frontmatter": {"name": "find"}, "resources": []},
            {"uri": "https://notion.so/delete/SKILL.md", "frontmatter": {"name": "delete"}, "resources": []},
            {"uri": "skill://find/SKILL.md", "frontmatter": {"name": "find"}, "resources": []},
            {"frontmatter": {"name": "nameless"}},
        ]}),
        "prompts/list" => {
            json!({"prompts": [{"name": "brief"}, {"name": "secret"}, {"name": "code review"}]})
        }
        "tools/call" if tool == "stall" => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Value::Null
        }
        "tools/call" if tool == "slow" => {
            // Longer than the presentations of whoever calls it live.
            tokio::time::sleep(Duration::from_secs(3)).await;
            json!({"content": [{"type": "text", "text": "did slow"}]})
        }
        "tools/call" if tool == "stream" => return endless(),
        "tools/call" if tool == "break_off" => return broken_off(),
        "tools/call" if message["params"].get("task").is_some() => {
            json!({"task": {"taskId": format!("task-{}", behind.seen().len()), "status": "working"}})
        }
        "tools/call" => json!({"content": [{"type": "text", "text": format!("did {tool}")}]}),
        _ if message.get("id").is_none() || message.get("method").is_none() => {
            return plain(StatusCode::ACCEPTED, String::new());
        }
        method => json!({"method": method}),
    };
    let reply = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
    let mut response = match behind.answers {
        Answers::Json => plain(StatusCode::OK, reply),
        Answers::Events => events(format!(
            ": hello\n\nid: 1\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}}\n\nevent: message\nid: 2\ndata: {reply}\n\n"
        )),
    };
    if message["method"] == "initialize" {
        response.headers_mut().insert("mcp-session-id", "session-1".parse().unwrap());
        response.headers_mut().insert("set-cookie", "a=b".parse().unwrap());
    }
    response
}

fn plain(status: StatusCode, body: String) -> Response {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Body::from(body)).unwrap()
}

fn events(body: String) -> Response {
    Response::builder().header("content-type", "text/event-stream").body(Body::from(body)).unwrap()
}

/// What a stream that is resumed can repeat.
fn replayed_list() -> String {
    let reply = json!({"jsonrpc": "2.0", "id": 9, "result": {"tools": tools()}});
    format!("id: 3\ndata: {reply}\n\n")
}

fn endless() -> Response {
    let tick = stream::unfold(0_u64, |number| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let event = format!(
            "id: {number}\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progress\":{number}}}}}\n\n"
        );
        Some((Ok::<_, std::io::Error>(Bytes::from(event)), number + 1))
    });
    let response = Response::builder().header("content-type", "text/event-stream");
    response.body(Body::from_stream(tick)).unwrap()
}

fn broken_off() -> Response {
    let parts = stream::unfold(true, |first| async move {
        if first {
            return Some((Ok(Bytes::from("{\"jsonrpc\":")), false));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        Some((Err(std::io::Error::other("gone")), false))
    });
    let response = Response::builder().header("content-type", "application/json");
    response.body(Body::from_stream(parts)).unwrap()
}

/// A gateway in front of a server, and the grants of alice and bob.
pub struct Stage {
    pub behind: Behind,
    pub store: Store,
    pub guard: Arc<Guard>,
    pub alice: Agent,
    pub bob: Agent,
    pub address: SocketAddr,
    pub drain: Drain,
}

pub const ALL: &[&str] =
    &["tools:*", "resources:*", "prompts:*", "completion:*", "logging:*", "tasks:*", "skills:*"];

impl Stage {
    pub async fn set() -> Stage {
        Stage::set_with(Answers::Json, |gateway| gateway).await
    }

    pub async fn set_with(answers: Answers, more: impl FnOnce(Gateway) -> Gateway) -> Stage {
        let behind = Behind::start(answers).await;
        Stage::build(behind, ALL, PATIENCE, more).await
    }

    /// With another grant.
    pub async fn set_granting(scopes: &[&str]) -> Stage {
        Stage::build(Behind::start(Answers::Json).await, scopes, PATIENCE, |gateway| gateway).await
    }

    /// In front of another server.
    pub async fn set_in_front_of(url: &str, answer_timeout: Duration) -> Stage {
        let behind = Behind { url: url.to_owned(), seen: Arc::default(), answers: Answers::Json };
        Stage::build(behind, ALL, answer_timeout, |gateway| gateway).await
    }

    /// With a guard that has more to it.
    pub async fn set_guarded(guarded: impl FnOnce(Guard) -> Guard) -> Stage {
        let behind = Behind::start(Answers::Json).await;
        Stage::build_guarded(behind, ALL, PATIENCE, guarded, |gateway| gateway).await
    }

    async fn build(
        behind: Behind,
        scopes: &[&str],
        answer_timeout: Duration,
        more: impl FnOnce(Gateway) -> Gateway,
    ) -> Stage {
        Stage::build_guarded(behind, scopes, answer_timeout, |guard| guard, more).await
    }

    async fn build_guarded(
        behind: Behind,
        scopes: &[&str],
        answer_timeout: Duration,
        guarded: impl FnOnce(Guard) -> Guard,
        more: impl FnOnce(Gateway) -> Gateway,
    ) -> Stage {
        let upstream =
            Upstream::at(&behind.url).unwrap().credential("Bearer the-gateways-own").unwrap();
        let upstream = upstream.answer_timeout(answer_timeout);
        Stage::build_before(upstream, behind, scopes, guarded, more).await
    }

    /// In front of a server that is asked in another way.
    #[allow(dead_code, reason = "the tests beside these, in stdio/, use it")]
    pub async fn set_before(upstream: Upstream) -> Stage {
        let url = upstream.url().to_owned();
        let behind = Behind { url, seen: Arc::default(), answers: Answers::Json };
        Stage::build_before(upstream, behind, ALL, |guard| guard, |gateway| gateway).await
    }

    async fn build_before(
        upstream: Upstream,
        behind: Behind,
        scopes: &[&str],
        guarded: impl FnOnce(Guard) -> Guard,
        more: impl FnOnce(Gateway) -> Gateway,
    ) -> Stage {
        let issuer = Issuer::new(PrivateKey::generate());
        let grant = |subject| {
            let key = PrivateKey::generate();
            let grant = Grant::to(subject).holder(key.public());
            let grant = scopes.iter().fold(grant, |grant, scope| grant.scope(*scope));
            Agent { capability: issuer.mint(grant, now()).unwrap(), key }
        };
        let (alice, bob) = (grant("user:alice"), grant("user:bob"));
        let store = Store::in_memory().unwrap();
        let root = issuer.public();
        let guard = |audience| {
            let verifier =
                Verifier::new(RootKeys::of(root), audience, store.revocations()).unwrap();
            // As `hardtack gateway` has it where no schemes are said.
            let verifier = verifier.open_resource_schemes();
            Guard::new(verifier, Policy::builtin(), store.clone())
        };
        let tools = Arc::new(guarded(guard(AUDIENCE)));
        let gateway = Gateway::new(Arc::clone(&tools), upstream)
            .ready_while({
                let store = store.clone();
                move || store.ready()
            })
            .revocations(guard(REVOCATIONS), Arc::new(store.clone()), Arc::new(store.clone()));
        let gateway = more(gateway);
        let drain = gateway.drain();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        start(listener, gateway.router(), drain.clone());
        Stage { behind, store, guard: tools, alice, bob, address, drain }
    }

    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// An agent of alice's with these scopes.
    pub fn agent(&self, scopes: &[&str]) -> Agent {
        self.alice.delegates("agent.researcher", scopes)
    }

    /// An agent with the rights to search, and its bearer.
    pub fn researcher(&self) -> (Agent, String) {
        let agent = self.agent(&["tools:call:search"]);
        let bearer = agent.presents();
        (agent, bearer)
    }

    pub async fn post(&self, bearer: &str, message: &Value) -> Answer {
        self.post_with(bearer, &[], message.to_string()).await
    }

    pub async fn post_with(
        &self,
        bearer: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let request = client()
            .post(self.url())
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body);
        let request = match bearer {
            "" => request,
            bearer => request.bearer_auth(bearer),
        };
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::of(request.send().await.unwrap()).await
    }

    /// The causes of refusal that were recorded, in order.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        self.store
            .each_record(|record| {
                let cause = record.decision().and_then(|decision| decision.cause.clone());
                let cause = cause.map(|cause| cause.to_string());
                causes.extend(cause);
            })
            .unwrap();
        causes
    }
}

/// A client without any state.
pub fn client() -> reqwest::Client {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE).build().unwrap()
}

/// What the gateway answered, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Answer {
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        Answer { status, headers, body: response.text().await.unwrap() }
    }

    /// The JSON body, or the last event's data.
    pub fn json(&self) -> Value {
        let last = self.body.lines().rfind(|line| line.starts_with("data: "));
        let text = last.map_or(self.body.as_str(), |line| &line["data: ".len()..]);
        serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The text of a tool's result.
    pub fn text(&self) -> String {
        self.json()["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned()
    }

    pub fn is_refused_tool(&self) -> bool {
        self.status == 200 && self.json()["result"]["isError"] == true
    }
}

pub fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

pub fn call(tool: &str) -> Value {
    request("tools/call", json!({"name": tool, "arguments": {"query": "roadmap"}}))
}

/// The same, as 2026-07-28 has it: the headers that go with it, and the body.
pub fn modern(method: &str, mut params: Value) -> (Vec<(&'static str, String)>, String) {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut headers =
        vec![("mcp-protocol-version", "2026-07-28".to_owned()), ("mcp-method", method.to_owned())];
    if let Some(name) = params.get("name").or(params.get("uri")).and_then(Value::as_str) {
        headers.push(("mcp-name", name.to_owned()));
    }
    (headers, request(method, params).to_string())
}

pub fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
