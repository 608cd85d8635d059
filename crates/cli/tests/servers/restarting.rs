//! Restarting: what of a client goes on when the gateway, a process, ends and starts again on the same store?

use std::collections::HashSet;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use hardtack_testkit::command::{Serving, Shell};
use hardtack_testkit::upstream::answering;
use serde_json::{Value, json};

use crate::scene::{Answered, ask, authorized, server};

const SCOPES: &str = "tools:call:search tasks:get";

/// A server that gives out sessions, and in each a task; and the sessions that it has.
fn upstream() -> (String, Arc<Mutex<HashSet<String>>>) {
    let sessions = Arc::<Mutex<HashSet<String>>>::default();
    let ours = Arc::clone(&sessions);
    let url = answering(move |mut stream, head| {
        let asked = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("mcp-session-id").then(|| value.trim().to_owned())
        });
        let mut known = ours.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, session) = match asked {
            None => ("200 OK", format!("session-{}", known.len() + 1)),
            Some(session) if known.contains(&session) => ("200 OK", session),
            Some(session) => ("404 Not Found", session),
        };
        if status == "200 OK" {
            known.insert(session.clone());
        }
        let result = json!({"content": [{"type": "text", "text": session}],
            "task": {"taskId": format!("task-of-{session}"), "status": "working"}});
        let body = json!({"jsonrpc": "2.0", "id": 7, "result": result}).to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nMcp-Session-Id: {session}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).ok()
    });
    (url, sessions)
}

/// Somebody with a grant, and a key to present it.
struct Client<'a> {
    shell: &'a Shell,
    grant: String,
    key: &'static str,
}

impl Client<'_> {
    /// The same subject and key under a grant that is minted now.
    fn renewed(&self) -> Client<'_> {
        let public = self.shell.ok(&format!("pubkey {}", self.key), "");
        let mint = format!(
            "mint --key root.key --subject user:alice --scope {SCOPES} --holder {}",
            public.trim()
        );
        Client { shell: self.shell, grant: self.shell.ok(&mint, ""), key: self.key }
    }

    fn asks(
        &self,
        gateway: &Serving,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Answered {
        let words = ["present", "--key", self.key, "--audience", "notion.mcp"];
        let bearer = self.shell.ok(&words, &self.grant);
        let mut headers = authorized(bearer.trim());
        if let Some(session) = session {
            headers += &format!("Mcp-Session-Id: {session}\r\n");
        }
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        ask(gateway, "POST", "/notion/mcp", &headers, &body.to_string())
    }

    /// Calls in this session, and says in which one the server did it.
    fn calls(&self, gateway: &Serving, session: &str) -> (u16, String) {
        let params = json!({"name": "search", "arguments": {}});
        let answered = self.asks(gateway, Some(session), "tools/call", params);
        let body: Value = serde_json::from_str(&answered.body).unwrap_or_default();
        let text = body["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        (answered.status, text)
    }

    /// Whether it gets this task.
    fn gets(&self, gateway: &Serving, session: Option<&str>, task: &str) -> bool {
        let answered = self.asks(gateway, session, "tasks/get", json!({"taskId": task}));
        let body: Value = serde_json::from_str(&answered.body).unwrap();
        assert!(body.get("result").is_some() || body["error"]["code"] == -32602, "{body}");
        body.get("result").is_some()
    }
}

#[test]
fn sessions_and_tasks_go_on_when_the_process_ends_and_starts_again_also_under_a_renewed_grant() {
    let shell = Shell::with_alice(env!("CARGO_BIN_EXE_hardtack"), SCOPES);
    let mint =
        format!("mint --key root.key --subject user:bob --scope {SCOPES} --new-holder bob.key");
    let bob = Client { shell: &shell, grant: shell.ok(&mint, ""), key: "bob.key" };
    let alice = Client { shell: &shell, grant: shell.read("alice.token"), key: "alice.key" };
    let (url, _sessions) = upstream();
    let file = format!(
        "listen = \"127.0.0.1:0\"\nroot = \"@root.pub\"\nstore = \"hardtack.store\"\nrevocation-audience = \"gateway.example/hardtack\"\n{}",
        server("notion", &url, "")
    );
    shell.write("gateway.toml", &file);
    let start = || Serving::start(shell.command("gateway --config gateway.toml"));

    let gateway = start();
    let opened = alice.asks(&gateway, None, "initialize", json!({"protocolVersion": "2025-11-25"}));
    assert_eq!(opened.status, 200, "{}", opened.body);
    let session = opened.session();
    let starting = json!({"name": "search", "arguments": {}, "task": {"ttl": 60_000}});
    let started = alice.asks(&gateway, Some(&session), "tools/call", starting);
    assert!(started.body.contains("task-of-session-1"), "{}", started.body);
    let task = "task-of-session-1";
    assert!(alice.gets(&gateway, Some(&session), task));
    assert!(!bob.gets(&gateway, None, task));
    // It is written beside the answer; a gateway that ends well writes it by then.
    assert!(gateway.ends(), "it does not end well");

    let renewed = alice.renewed();
    assert_ne!(renewed.grant, alice.grant);
    for round in 1..=2 {
        let gateway = start();
        for client in [&alice, &renewed] {
            let went_on = client.calls(&gateway, &session);
            assert_eq!(went_on, (200, "session-1".to_owned()), "start {round}");
            assert!(client.gets(&gateway, Some(&session), task), "start {round}");
        }
        assert_eq!(bob.calls(&gateway, &session).0, 404, "another's session");
        assert!(!bob.gets(&gateway, None, task), "another's task");
        assert_eq!(alice.calls(&gateway, "session-1").0, 404, "the server's own name of it");
        assert!(gateway.ends(), "it does not end well");
    }
    // A gateway on another store knows nothing of them.
    shell.ok("store create other.store", "");
    shell.write("gateway.toml", &file.replace("hardtack.store", "other.store"));
    let gateway = start();
    assert_eq!(alice.calls(&gateway, &session).0, 404);
    assert!(gateway.ends());
}
