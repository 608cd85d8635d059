//! A client that starts a command and speaks MCP by lines: with pipes alone, so that every byte is seen.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hardtack_testkit::command::PATIENCE;
use serde_json::{Value, json};

const MODERN: &str = "2026-07-28";

pub(crate) struct Client {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    lines: Option<Receiver<String>>,
    /// Everything that was on standard output, and on standard error.
    said: Arc<Mutex<String>>,
    logged: Arc<Mutex<String>>,
    /// What came while something else was waited for.
    pub(crate) unasked: Vec<Value>,
    last_id: i64,
    pub(crate) is_modern: bool,
}

impl Client {
    /// Starts it; nothing is said yet.
    pub(crate) fn start(mut command: Command) -> Client {
        let mut client = Client::start_unread(&mut command);
        client.read();
        client
    }

    /// Starts it, and reads nothing of what it says.
    pub(crate) fn start_unread(command: &mut Command) -> Client {
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        let logged = Arc::<Mutex<String>>::default();
        let (theirs, heard) = (Arc::clone(&logged), BufReader::new(child.stderr.take().unwrap()));
        std::thread::spawn(move || {
            for line in heard.lines().map_while(Result::ok) {
                *theirs.lock().unwrap() += &format!("{line}\n");
            }
        });
        let (said, unasked) = (Arc::default(), Vec::new());
        Client { child, input, lines: None, said, logged, unasked, last_id: 0, is_modern: false }
    }

    pub(crate) fn read(&mut self) {
        let (sender, lines) = channel();
        let (theirs, mut heard) =
            (Arc::clone(&self.said), BufReader::new(self.child.stdout.take().unwrap()));
        std::thread::spawn(move || {
            loop {
                let mut line = String::new();
                if heard.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                theirs.lock().unwrap().push_str(&line);
                let _ = sender.send(line);
            }
        });
        self.lines = Some(lines);
    }

    /// All that was read from standard output so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn logged(&self) -> String {
        self.logged.lock().unwrap().clone()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.write(format!("{message}\n").as_bytes());
    }

    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    /// The next message, which must be one, in its line.
    pub(crate) fn next_within(&mut self, time: Duration) -> Option<Value> {
        match self.lines.as_ref().unwrap().recv_timeout(time) {
            Ok(line) => {
                let message: Value = serde_json::from_str(&line)
                    .unwrap_or_else(|error| panic!("no message: {line:?}: {error}"));
                assert_eq!(message["jsonrpc"], "2.0", "{line}");
                Some(message)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(Duration::from_millis(200));
                panic!("it has ended: {}", self.logged())
            }
        }
    }

    pub(crate) fn next(&mut self) -> Value {
        self.next_within(PATIENCE).unwrap_or_else(|| panic!("nothing came: {}", self.logged()))
    }

    /// The answer to the request with this id; what else comes is kept.
    pub(crate) fn answer_to(&mut self, id: &Value) -> Value {
        let answers = |message: &Value| message.get("method").is_none() && message["id"] == *id;
        if let Some(at) = self.unasked.iter().position(answers) {
            return self.unasked.remove(at);
        }
        loop {
            let message = self.next();
            if answers(&message) {
                return message;
            }
            self.unasked.push(message);
        }
    }

    /// Sends a request, in the protocol that is spoken, and returns its id.
    pub(crate) fn ask(&mut self, method: &str, mut params: Value) -> Value {
        if self.is_modern {
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            });
            let known = params["_meta"].as_object().cloned().unwrap_or_default();
            params["_meta"] = meta;
            params["_meta"].as_object_mut().unwrap().extend(known);
        }
        self.last_id += 1;
        let id = json!(self.last_id);
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        self.answer_to(&id)
    }

    pub(crate) fn initialize(&mut self) -> Value {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"roots": {}},
            "clientInfo": {"name": "test", "version": "1"},
        });
        let answer = self.request("initialize", params);
        if answer.get("result").is_some() {
            self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        }
        answer
    }

    pub(crate) fn start_call(&mut self, tool: &str, arguments: &Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let id = self.start_call(tool, arguments);
        self.answer_to(&id)
    }

    pub(crate) fn search(&mut self, query: &str) -> String {
        text(&self.call("search", &json!({"query": query})))
    }

    /// Closes its input and waits for its end.
    pub(crate) fn ends(mut self) -> ExitStatus {
        self.close_input();
        self.ended()
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut ended = None;
        hardtack_testkit::command::until("it ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// The most memory that it had, in kilobytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an answer says: of a tool's result or of an error.
pub(crate) fn text(answer: &Value) -> String {
    let said = answer["result"]["content"][0]["text"].as_str();
    said.or(answer["error"]["message"].as_str()).unwrap_or_default().to_owned()
}
