//! Clients of both protocols, as bare as can be: what they send is what a test says.

use std::time::Duration;

use futures_util::StreamExt;
use hardtack_mcp::{ServerCommand, Upstream};
pub use hardtack_testkit::command::is_alive;
use serde_json::{Value, json};

use crate::stage::{Answer, PATIENCE, Stage, borrowed, client, modern};

/// The server of this kind, below a supervisor.
pub fn command(kind: &str) -> ServerCommand {
    let own = std::env::current_exe().unwrap();
    let supervisor = (own.clone(), vec!["supervise".into()]);
    ServerCommand::new(own, ["server", kind], supervisor)
}

pub fn upstream(command: ServerCommand) -> Upstream {
    Upstream::command(command).unwrap().answer_timeout(PATIENCE)
}

pub async fn stage(kind: &str) -> Stage {
    Stage::set_before(upstream(command(kind))).await
}

pub fn call(id: Value, tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

/// A session, as up to 2025-11-25.
pub struct Session<'a> {
    pub stage: &'a Stage,
    pub bearer: String,
    pub id: String,
}

impl<'a> Session<'a> {
    pub async fn open(stage: &'a Stage, bearer: &str) -> Session<'a> {
        let answer = Session::try_open(stage, bearer).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let session = Session {
            stage,
            bearer: bearer.to_owned(),
            id: answer.headers["mcp-session-id"].clone(),
        };
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let answer = session.post(&initialized).await;
        assert_eq!((answer.status, answer.body.as_str()), (202, ""));
        session
    }

    pub async fn try_open(stage: &Stage, bearer: &str) -> Answer {
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
        stage.post(bearer, &message).await
    }

    pub async fn post(&self, message: &Value) -> Answer {
        self.post_text(message.to_string()).await
    }

    pub async fn post_text(&self, body: String) -> Answer {
        self.stage.post_with(&self.bearer, &[("mcp-session-id", &self.id)], body).await
    }

    /// The text of a tool's result.
    pub async fn call(&self, tool: &str, arguments: Value) -> String {
        let answer = self.post(&call(json!(1), tool, arguments)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text()
    }

    /// A request of this method without a message.
    pub async fn send(&self, method: reqwest::Method) -> reqwest::Response {
        let request = client().request(method, self.stage.url()).bearer_auth(&self.bearer);
        let request = request.header("accept", "text/event-stream");
        request.header("mcp-session-id", &self.id).send().await.unwrap()
    }

    /// A request whose answer streams.
    pub async fn stream(&self, message: &Value) -> Events {
        let request = client().post(self.stage.url()).bearer_auth(&self.bearer);
        let request = request
            .header("mcp-session-id", &self.id)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        Events::of(request.body(message.to_string()).send().await.unwrap())
    }
}

/// A request of 2026-07-28.
pub async fn ask(stage: &Stage, bearer: &str, method: &str, params: Value) -> Answer {
    let (headers, body) = modern(method, params);
    stage.post_with(bearer, &borrowed(&headers), body).await
}

/// And one whose answer streams.
pub async fn stream(stage: &Stage, bearer: &str, method: &str, params: Value) -> Events {
    let (headers, body) = modern(method, params);
    let request = client()
        .post(stage.url())
        .bearer_auth(bearer)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    let headers = headers.iter();
    let request = headers.fold(request, |request, (name, value)| request.header(*name, value));
    Events::of(request.body(body).send().await.unwrap())
}

/// An answer that streams, message by message.
pub struct Events {
    chunks: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: String,
}

impl Events {
    pub fn of(response: reqwest::Response) -> Events {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { chunks: response.bytes_stream().boxed(), buffer: String::new() }
    }

    /// The next message; `None` at the end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                let message = data.map(|data| serde_json::from_str(data).unwrap());
                self.buffer = rest.to_owned();
                match message {
                    Some(message) => return Some(message),
                    None => continue,
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.chunks.next()).await.unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }
}

/// Waits until it holds.
pub async fn soon(what: &str, within: Duration, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, waiting).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
