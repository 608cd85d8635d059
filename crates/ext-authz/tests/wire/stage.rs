//! A decider that is served, and how it is asked.

use std::time::Duration;

use hardtack::testing::Scene;
use hardtack_ext_authz::{AUTHZEN, Decider, Listener, Mapping, NGINX, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longer than any answer takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// In the place of a status, if the connection was closed and nothing came.
pub(crate) const LOST: u16 = 0;

pub(crate) struct Served {
    pub(crate) scene: Scene,
    pub(crate) address: String,
    pub(crate) bearer: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let named = |line: &'_ str| line.split_once(": ").is_some_and(|(known, _)| known == name);
        let lines = self.head.split("\r\n").filter(|line| named(line));
        lines.filter_map(|line| Some(line.split_once(": ")?.1)).collect()
    }
}

pub(crate) fn mapping(more: Value) -> Mapping {
    let mut mapping = json!({
        "host": ["pages.example"],
        "allowed-headers": {"X-Subject": "subject", "X-Agent": "agent", "X-Grant": "grant", "X-Record": "record"},
        "nginx": {}, "forward-auth": {}, "envoy": {"body": true},
        "route": [
            {"method": "GET", "path": "/pages/{page}", "operation": "pages:read", "query": ["version"]},
            {"method": "PUT", "path": "/pages/{page}", "operation": "pages:write", "body": "json"},
            {"method": "DELETE", "path": "/pages/{page}", "operation": "pages:delete"},
        ],
        "authzen": {"action": [{
            "name": "read", "resource-type": "page", "operation": "pages:read", "id": "page",
            "resource": "https://pages.example/pages/{id}", "properties": ["lang"], "context": ["purpose"],
        }]},
    });
    for (key, value) in more.as_object().unwrap() {
        mapping[key] = value.clone();
    }
    serde_json::from_value(mapping).unwrap()
}

pub(crate) async fn served() -> Served {
    served_with(json!({})).await
}

pub(crate) async fn served_with(more: Value) -> Served {
    let scene = Scene::new();
    let decider = Decider::with_clock(scene.guard(), &mapping(more), scene.clock()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(serve(Listener::from(listener), decider, std::future::pending(), PATIENCE));
    let bearer = scene.bearer(&["pages:read", "pages:write"]);
    Served { scene, address, bearer }
}

impl Served {
    /// Sends a request as it is written, and reads the answer.
    pub(crate) async fn raw(&self, line: &str, headers: &[&str], body: &str) -> Answer {
        let mut head = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
        for header in headers {
            head += &format!("{header}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        let exchange = async {
            let mut stream = TcpStream::connect(&self.address).await.unwrap();
            // Who refuses what is too long closes while it is sent, and the answer may be lost then.
            let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes()).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8(answer).unwrap()
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await.unwrap();
        let Some((head, body)) = answer.split_once("\r\n\r\n") else {
            return Answer { status: LOST, head: String::new(), body: String::new() };
        };
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// As nginx asks.
    pub(crate) async fn nginx(&self, method: &str, target: &str, more: &[&str]) -> Answer {
        let auth = format!("Authorization: Bearer {}", self.bearer);
        self.nginx_with(&auth, method, target, more).await
    }

    pub(crate) async fn nginx_with(
        &self,
        auth: &str,
        method: &str,
        target: &str,
        more: &[&str],
    ) -> Answer {
        let asked = [
            format!("X-Original-Method: {method}"),
            format!("X-Original-URI: {target}"),
            "X-Original-Host: pages.example".to_owned(),
            "Host: 127.0.0.1".to_owned(),
            auth.to_owned(),
        ];
        let headers: Vec<&str> =
            asked.iter().map(String::as_str).chain(more.iter().copied()).collect();
        self.raw(&format!("GET {NGINX}"), &headers, "").await
    }

    pub(crate) async fn envoy(
        &self,
        method: &str,
        target: &str,
        more: &[&str],
        body: &str,
    ) -> Answer {
        let auth = format!("Authorization: Bearer {}", self.bearer);
        let headers = [&["Host: pages.example", auth.as_str()][..], more].concat();
        self.raw(&format!("{method} /envoy{target}"), &headers, body).await
    }

    pub(crate) async fn authzen(&self, evaluation: Value) -> (u16, Value) {
        self.authzen_text(&evaluation.to_string()).await
    }

    pub(crate) async fn authzen_text(&self, text: &str) -> (u16, Value) {
        let headers = ["Host: 127.0.0.1", "Content-Type: application/json", "X-Request-ID: id-7"];
        let answer = self.raw(&format!("POST {AUTHZEN}"), &headers, text).await;
        assert_eq!(answer.headers("x-request-id"), ["id-7"]);
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    pub(crate) fn evaluation(&self) -> Value {
        json!({
            "subject": {"type": "agent", "id": "agent.test", "properties": {"token": self.bearer}},
            "action": {"name": "read"},
            "resource": {"type": "page", "id": "roadmap"},
        })
    }
}
