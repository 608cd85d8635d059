//! A server over standard input and output, which does by its tools whatever a test needs, good and bad.

#![allow(clippy::disallowed_methods, reason = "a server writes to its standard output and error")]
#![allow(clippy::zombie_processes, reason = "whose supervisor ends what it leaves behind")]

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, ServiceExt, schemars, tool, tool_router};
use serde_json::{Value, json};

pub fn run(kind: Option<String>) -> ExitCode {
    match kind.as_deref() {
        Some("official") => official(),
        Some("mute") => thread::sleep(Duration::from_secs(600)),
        Some("broken") => return ExitCode::from(9),
        kind => book(kind == Some("modern")),
    }
    ExitCode::SUCCESS
}

/// The official SDK's.
#[derive(Clone)]
struct Official;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Query {
    query: String,
}

#[tool_router(server_handler = false)]
impl Official {
    #[tool(description = "Search")]
    fn search(&self, Parameters(Query { query }): Parameters<Query>) -> String {
        format!("found {query} in {}", std::process::id())
    }

    #[tool(description = "Delete")]
    fn delete_page(&self) -> String {
        "gone".to_owned()
    }
}

#[rmcp::tool_handler]
impl ServerHandler for Official {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

fn official() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Official.serve(rmcp::transport::stdio()).await.unwrap();
        let _ = server.waiting().await;
    });
}

/// What is known of requests: which were cancelled, and who waits for an answer of the client's.
#[derive(Default)]
struct Known {
    cancelled: Vec<Value>,
    asked: HashMap<String, Sender<Value>>,
    /// The request that listens.
    listening: Option<Value>,
}

#[derive(Clone)]
struct Book {
    known: Arc<Mutex<Known>>,
    is_modern: bool,
}

fn book(is_modern: bool) {
    let book = Book { known: Arc::default(), is_modern };
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            eprintln!("no JSON: {line}");
            continue;
        };
        let name = message["params"]["name"].as_str().unwrap_or_default().to_owned();
        if name == "deaf" {
            say(&result(&message["id"], "I hear nothing more"));
            thread::sleep(Duration::from_secs(600));
        }
        let book = book.clone();
        // Each in its own time, so that they overtake each other.
        thread::spawn(move || book.take(&line, &message, &name));
    }
}

impl Book {
    fn take(&self, line: &str, message: &Value, name: &str) {
        let id = &message["id"];
        match message["method"].as_str() {
            Some("initialize") => say(&json!({"jsonrpc": "2.0", "id": id, "result": {
                "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "book", "version": "1"}}})),
            Some("server/discover") if self.is_modern => {
                say(&json!({"jsonrpc": "2.0", "id": id, "result": {
                "supportedVersions": ["2026-07-28"], "capabilities": {}, "serverInfo": {"name": "book", "version": "1"}}}))
            }
            Some("tools/list") => say(&json!({"jsonrpc": "2.0", "id": id, "result": {"tools": [
                {"name": "echo", "inputSchema": {"type": "object"}}, {"name": "crash", "inputSchema": {"type": "object"}}]}})),
            Some("tools/call") => self.call(line, message, name),
            Some("subscriptions/listen") => {
                self.known.lock().unwrap().listening = Some(id.clone());
                let meta = json!({"io.modelcontextprotocol/subscriptionId": id});
                say(
                    &json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                    "params": {"notifications": {}, "_meta": meta}}),
                );
            }
            Some("notifications/cancelled") => {
                self.known.lock().unwrap().cancelled.push(message["params"]["requestId"].clone());
            }
            Some(_) if !id.is_null() => say(&json!({"jsonrpc": "2.0", "id": id,
                "error": {"code": -32601, "message": "Method not found"}})),
            Some(_) => {}
            None => {
                let waits = self.known.lock().unwrap().asked.remove(&id.to_string());
                if let Some(waits) = waits {
                    let _ = waits.send(message.clone());
                }
            }
        }
    }

    fn call(&self, line: &str, message: &Value, name: &str) {
        let (id, arguments) = (&message["id"], &message["params"]["arguments"]);
        let token = &message["params"]["_meta"]["progressToken"];
        let number = |name: &str| arguments[name].as_u64().unwrap_or_default();
        let text = match name {
            "echo" => {
                thread::sleep(Duration::from_millis(number("after")));
                line.to_owned()
            }
            "pid" => std::process::id().to_string(),
            "progress" => {
                for progress in 1..=3 {
                    say(&json!({"jsonrpc": "2.0", "method": "notifications/progress",
                        "params": {"progressToken": token, "progress": progress, "total": 3}}));
                }
                "progressed".to_owned()
            }
            "ask" => {
                let (sender, answer) = channel();
                let own = json!(format!("s{}", std::process::id()));
                self.known.lock().unwrap().asked.insert(own.to_string(), sender);
                say(
                    &json!({"jsonrpc": "2.0", "id": own, "method": arguments["method"], "params": {}}),
                );
                answer
                    .recv_timeout(Duration::from_secs(10))
                    .map_or("nobody answered".to_owned(), |answer| answer["result"].to_string())
            }
            "hang" => return,
            "cancelled" => json!(self.known.lock().unwrap().cancelled).to_string(),
            "log" => {
                say(
                    &json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "logged"}}),
                );
                "logged".to_owned()
            }
            "change" => {
                let listening = self.known.lock().unwrap().listening.clone();
                let meta = json!({"io.modelcontextprotocol/subscriptionId": listening});
                say(
                    &json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": meta}}),
                );
                "changed".to_owned()
            }
            "crash" => std::process::exit(3),
            "garbage" => {
                write(b"Hello, I am a banner\n\xff\xfe\n{\"jsonrpc\":\"2.0\"}\n[1,2]\n\n{\"a\":\n");
                write(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"result\":{}}\n");
                "tidy".to_owned()
            }
            "strays" => {
                for stray in [json!(77777), json!("1"), json!(-1), Value::Null, json!(1.0)] {
                    say(
                        &json!({"jsonrpc": "2.0", "id": stray, "result": {"content": [{"type": "text", "text": "stray"}]}}),
                    );
                }
                "own".to_owned()
            }
            "noise" => {
                let line = [b'n'; 300];
                for _ in 0..200_000 {
                    let mut stderr = std::io::stderr().lock();
                    let _ = stderr.write_all(&line);
                    let _ = stderr.write_all(b"\x1b[31m\n");
                }
                "quiet".to_owned()
            }
            "long" => {
                let chunk = vec![b'l'; 1024 * 1024];
                let mut out = std::io::stdout().lock();
                for _ in 0..100 {
                    let _ = out.write_all(&chunk);
                }
                let _ = out.write_all(b"\n");
                return;
            }
            "big" => "b".repeat(usize::try_from(number("bytes")).unwrap()),
            "environment" => {
                let all: HashMap<String, String> = std::env::vars().collect();
                let folder = std::env::current_dir().unwrap();
                json!({"all": all, "folder": folder}).to_string()
            }
            // One that hears no SIGTERM.
            "stubborn" => {
                let mut child = Command::new("sh");
                child
                    .args(["-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped());
                let mut child = child.spawn().unwrap();
                let mut ready = [0];
                std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
                child.id().to_string()
            }
            _ => format!("there is no {name}"),
        };
        say(&result(id, &text));
    }
}

fn result(id: &Value, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}]}})
}

fn say(message: &Value) {
    write(format!("{message}\n").as_bytes());
}

fn write(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes);
    let _ = out.flush();
}
