//! Message: an MCP message with a genuine bearer, put to the gateway. Nothing is forwarded that the token does
//! not grant, whatever way it is written.
//!
//! A head of `name: value` lines may come first, up to an empty line. The server behind has an address to
//! which nothing can be sent, so that `502` means: the gateway would have forwarded it.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use hardtack::revocation::RevocationUnchecked;
use hardtack::{
    Grant, Guard, Issuer, Policy, Presenting, PrivateKey, RootKeys, Timestamp, Verifier,
};
use hardtack_mcp::{Gateway, Upstream};
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use super::Target;
use hardtack_testkit::AUDIENCE;

pub const TARGET: Target = Target {
    name: "message",
    run,
    seeds,
    // Longer messages are more of the same: the bounds on values and levels are reached within it.
    max_len: 32 * 1024,
};

/// A presentation is made anew before it expires. It lives five minutes.
const RENEWED_AFTER: Duration = Duration::from_secs(120);

/// What a token needs no right for, but a token.
const FREE: [&str; 13] = [
    "initialize",
    "server/discover",
    "ping",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/elicitation/response",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "tasks/list",
];

fn run(data: &[u8]) -> bool {
    let (head, body) = split(data);
    let (router, bearer) = gateway();
    let mut request = Request::post("/mcp").body(Body::from(body.to_vec())).unwrap();
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in head {
        headers.append(name, value);
    }
    let value = HeaderValue::try_from(format!("Bearer {bearer}")).unwrap();
    headers.insert(header::AUTHORIZATION, value);
    let (status, answer) = runtime().block_on(async {
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        (status, to_bytes(response.into_body(), 1024 * 1024).await.unwrap())
    });
    let answer = String::from_utf8(answer.to_vec()).expect("an answer that is no text");
    assert!(!answer.contains(&bearer), "the answer repeats the bearer");
    if !answer.is_empty() {
        serde_json::from_str::<Value>(&answer).expect("an answer that is no JSON");
    }
    let forwarded = status == StatusCode::BAD_GATEWAY;
    match forwarded {
        true => is_granted(body, &bearer),
        false => {
            let status = status.as_u16();
            assert!([200, 400, 401, 403, 404, 413, 415, 503].contains(&status), "{status}");
            // Nothing was called; some clients read results only, and are told so in one.
            let refuses =
                ["\"isError\":true", "\"error\":"].iter().any(|word| answer.contains(word));
            assert!(status != 200 || refuses, "answered without asking: {answer}");
        }
    }
    forwarded
}

/// What is forwarded, read once more and in one way only.
fn is_granted(body: &[u8], bearer: &str) {
    let Strict(message) = serde_json::from_slice(body).expect("two readers may differ on it");
    assert_eq!(message["jsonrpc"], "2.0");
    assert!(!message.to_string().contains(bearer.trim_end_matches('=')), "the bearer is forwarded");
    let Some(method) = message.get("method") else {
        let answers = message.get("result").or(message.get("error"));
        assert!(answers.is_some() && message.get("id").is_some());
        return;
    };
    let method = method.as_str().expect("a method that is no text");
    let params = &message["params"];
    match method {
        "tools/call" => assert_eq!(params["name"], "search", "{message}"),
        "prompts/get" => assert_eq!(params["name"], "brief", "{message}"),
        "resources/read" => {
            let uri = params["uri"].as_str().unwrap();
            assert!(uri.starts_with("https://") || uri.starts_with("http://"), "{uri}");
        }
        "subscriptions/listen" => {
            let of = |name: &str| params["notifications"].get(name).cloned();
            for name in ["resourceSubscriptions", "taskIds"] {
                assert!(of(name).is_none_or(|listed| listed == json!([])), "{message}");
            }
        }
        other => assert!(FREE.contains(&other), "{other} was forwarded"),
    }
}

/// JSON of which no object has two members that some reader takes for one.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Strict;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E: Error>(self) -> Result<Strict, E> {
                Ok(Strict(Value::Null))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Strict, A::Error> {
                let mut read = Vec::new();
                while let Some(Strict(element)) = elements.next_element()? {
                    read.push(element);
                }
                Ok(Strict(read.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
                let (mut read, mut seen) = (Map::new(), HashSet::new());
                while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
                    if !seen.insert(name.to_lowercase()) {
                        return Err(A::Error::custom("a member twice"));
                    }
                    read.insert(name, value);
                }
                Ok(Strict(read.into()))
            }
        }
        deserializer.deserialize_any(Reading)
    }
}

fn split(data: &[u8]) -> (Vec<(HeaderName, HeaderValue)>, &[u8]) {
    let none = (Vec::new(), data);
    let Some(end) = data.windows(2).position(|pair| pair == b"\n\n") else { return none };
    let lines = data[..end].split(|byte| *byte == b'\n').map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        Some((name, value))
    });
    match lines.take(100).collect() {
        Some(head) => (head, &data[end + 2..]),
        None => none,
    }
}

/// The gateway and a bearer for it that has some minutes to live.
fn gateway() -> (Router, String) {
    static GATEWAY: Mutex<Option<(Timestamp, Router, String)>> = Mutex::new(None);
    let now = now();
    let mut kept = GATEWAY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some((made, router, bearer)) = &*kept
        && now.since(*made) < RENEWED_AFTER
    {
        return (router.clone(), bearer.clone());
    }
    let (root, key) = (PrivateKey::from_bytes(&[1; 32]), PrivateKey::from_bytes(&[2; 32]));
    let verifier = Verifier::new(RootKeys::of(root.public()), AUDIENCE, RevocationUnchecked);
    let guard = Guard::unrecorded(verifier.unwrap(), Policy::builtin());
    let upstream = Upstream::at("http://127.0.0.1:0/mcp").unwrap();
    let _entered = runtime().enter();
    let router = Gateway::new(guard, upstream).router();
    let grant = Grant::to("user:alice").scope("tools:call:search").scope("prompts:get:brief");
    let grant = grant.scope("resources:read").holder(key.public());
    let capability = Issuer::new(root).mint(grant, now).unwrap();
    let presented = capability.present(Presenting::to(AUDIENCE), &key, now).unwrap();
    let bearer = presented.bearer().to_owned();
    *kept = Some((now, router.clone(), bearer.clone()));
    (router, bearer)
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
}

#[allow(clippy::disallowed_methods, reason = "the gateway reads the clock, and so must its tokens")]
fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

fn seeds() -> Vec<Vec<u8>> {
    let message = |method: &str, params: Value| {
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
    };
    let modern = |method: &str, name: &str, mut params: Value| {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let head = format!("mcp-protocol-version: 2026-07-28\nmcp-method: {method}\n{name}\n");
        head + &message(method, params)
    };
    let search = json!({"name": "search", "arguments": {"query": "roadmap", "n": [1, 2.5, null]}});
    let texts = [
        message("tools/call", search.clone()),
        message("tools/call", json!({"name": "pay", "arguments": {}})),
        modern("tools/call", "mcp-name: search\n", search.clone()),
        modern("tools/call", "mcp-name: =?base64?c2VhcmNo?=\n", search),
        message("prompts/get", json!({"name": "brief"})),
        message("resources/read", json!({"uri": "https://a.b/c"})),
        message("resources/read", json!({"uri": "https://a.b/../c"})),
        message("initialize", json!({"protocolVersion": "2025-11-25", "capabilities": {}})),
        message("tools/list", json!({"cursor": "x"})),
        message("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})),
        message("tasks/get", json!({"taskId": "t1"})),
        message("completion/complete", json!({"ref": {"type": "ref/prompt", "name": "brief"}, "argument": {"name": "a", "value": "b"}})),
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":"a","result":{"action":"accept"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","na\u006de":"search"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","Name":"search"}}"#.to_owned(),
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#.to_owned(),
        format!("{}1{}", "[".repeat(200), "]".repeat(200)),
        "mcp-session-id: a.b\n\n{}".to_owned(),
    ];
    texts.map(String::into_bytes).to_vec()
}
