//! Scene: a scratch folder with a chain and a store, the real command in it, and servers on loopback.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longer than anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const HARDTACK: &str = env!("CARGO_BIN_EXE_hardtack");

/// `root.key`, `root.pub`, `alice.key`, `grant.token`, `agent.key`, `agent.token` and `bearer.token` for `notion.mcp`, which
/// may call `search`.
pub(crate) struct Scene(tempfile::TempDir);

impl Scene {
    pub(crate) fn set() -> Scene {
        let scene = Scene(tempfile::tempdir().unwrap());
        let root = scene.ok(&["keygen", "--out", "root.key"], "");
        scene.write("root.pub", &root);
        let grant = scene.ok(
            &[
                "mint",
                "--key",
                "root.key",
                "--subject",
                "user:alice",
                "--scope",
                "tools:call:*",
                "hardtack:*",
                "--new-holder",
                "alice.key",
            ],
            "",
        );
        scene.write("grant.token", &grant);
        let agent = scene.ok(
            &[
                "delegate",
                "--key",
                "alice.key",
                "--to",
                "agent.a",
                "--scope",
                "tools:call:search",
                "--reason",
                "errands",
                "--new-holder",
                "agent.key",
            ],
            &grant,
        );
        scene.write("agent.token", &agent);
        let present = ["present", "--key", "agent.key", "--audience", "notion.mcp"];
        let bearer = scene.ok(&present, &agent);
        scene.write("bearer.token", &bearer);
        scene.ok(&["store", "create", "hardtack.store"], "");
        scene
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap().trim().to_owned()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(HARDTACK);
        command.args(arguments).current_dir(self.path()).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Output {
        feed(self.command(arguments), input)
    }

    pub(crate) fn ok(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What it says when it fails with code 2.
    pub(crate) fn fails(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {} {said}", text(&output.stdout));
        said
    }

    /// The arguments of a gateway on a free port, which must have a `root.pub`.
    pub(crate) fn gateway(&self, upstream: &str, more: &[&str]) -> Command {
        let root = self.read("root.pub");
        let usual = [
            "gateway",
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            upstream,
            "--audience",
            "notion.mcp",
            "--root",
            &root,
            "--store",
            "hardtack.store",
        ];
        self.command(&[&usual, more].concat())
    }
}

pub(crate) fn feed(mut command: Command, input: &str) -> Output {
    let mut child = command.spawn().unwrap();
    // A command that fails before it reads leaves a closed pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A device that is always full.
pub(crate) fn full() -> Stdio {
    fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// Waits for a process, and ends it if that takes too long.
#[allow(clippy::disallowed_methods, reason = "how long it takes, bounded")]
pub(crate) fn ended(child: &mut Child) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// Whether something holds within the time that anything may take.
#[allow(clippy::disallowed_methods, reason = "how long it takes, bounded")]
pub(crate) fn comes_true(mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

/// What a command says that may stay up: then it is ended after a moment.
pub(crate) fn within(mut command: Command) -> Output {
    let mut child = command.spawn().unwrap();
    for _ in 0..100 {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    child.wait_with_output().unwrap()
}

/// A verb that stays up, ended with the test.
pub(crate) struct Serving {
    pub(crate) child: Child,
    /// Where it says that it is, without a path: `127.0.0.1:8080`.
    pub(crate) address: String,
    /// All lines up to the last that it announces.
    pub(crate) said: String,
}

impl Serving {
    /// Reads what it announces up to the line that contains `last`.
    pub(crate) fn start(mut command: Command, last: &str) -> Serving {
        let mut child = command.spawn().unwrap();
        let (mut said, mut lines) = (String::new(), BufReader::new(child.stdout.take().unwrap()));
        while !said.lines().any(|line| line.contains(last)) {
            if lines.read_line(&mut said).unwrap() == 0 {
                let mut problem = String::new();
                if let Some(mut stderr) = child.stderr.take() {
                    stderr.read_to_string(&mut problem).unwrap();
                }
                panic!("it does not serve: {said} {problem}");
            }
        }
        child.stdout = Some(lines.into_inner());
        let (_, rest) = said.split_once("http://").unwrap();
        let address = rest.split('/').next().unwrap().to_owned();
        Serving { child, address, said }
    }

    /// Sends SIGTERM and waits; returns whether it ended well.
    pub(crate) fn ends(mut self) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        ended(&mut self.child).is_some_and(|status| status.success())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and body of one request, written by hand.
pub(crate) fn ask(
    address: &str,
    method: &str,
    target: &str,
    head: &str,
    body: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\n{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

pub(crate) fn get(address: &str, host: &str, target: &str) -> (u16, String) {
    ask(address, "GET", target, &format!("Host: {host}\r\n"), "")
}

/// A tool call with a bearer.
pub(crate) fn call(address: &str, bearer: &str, tool: &str) -> (u16, String) {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
    );
    let head = format!(
        "Host: {address}\r\nContent-Type: application/json\r\nAuthorization: Bearer {bearer}\r\n"
    );
    ask(address, "POST", "/mcp", &head, &body)
}

/// What a server behind is asked: the request line, the headers, the body.
pub(crate) struct Asked {
    pub(crate) target: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A server behind, on a thread until the test ends, which answers what `answer` says.
pub(crate) fn server(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), answer) = (stream, Arc::clone(&answer)) else { return };
            std::thread::spawn(move || serve_one(stream, &*answer));
        }
    });
    address
}

fn serve_one(mut stream: TcpStream, answer: &dyn Fn(&Asked) -> String) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let answered = answer(&Asked { target, head, body: text(&body) });
        let status = if answered.is_empty() { "202 Accepted" } else { "200 OK" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answered.len()
        );
        if stream.write_all(format!("{head}{answered}").as_bytes()).is_err() {
            return;
        }
    }
}

/// A server behind that finds something for every call.
pub(crate) fn finding() -> String {
    let found = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"found"}]}}"#;
    format!("http://{}/mcp", server(move |_| found.to_owned()))
}
