//! Scene: servers behind a gateway that is a process, and whoever asks them, byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::Deref;
use std::time::Duration;

use hardtack_testkit::command::{PATIENCE, Serving, Shell};
use hardtack_testkit::upstream::{answer, answering, head};

pub(crate) const REVOCATIONS: &str = "gateway.example/hardtack";

/// A scratch folder with an agent in it that may search everywhere.
pub(crate) struct Scene(Shell);

impl Deref for Scene {
    type Target = Shell;

    fn deref(&self) -> &Shell {
        &self.0
    }
}

impl Scene {
    pub(crate) fn set() -> Scene {
        let scopes = "tools:call:search hardtack:*";
        Scene(Shell::with_alice(env!("CARGO_BIN_EXE_hardtack"), scopes))
    }

    pub(crate) fn bearer(&self, audience: &str) -> String {
        let words = ["present", "--key", "alice.key", "--audience", audience];
        self.ok(&words, &self.read("alice.token")).trim().to_owned()
    }

    /// What the gateway itself is told, and these servers.
    pub(crate) fn file(&self, servers: &[&str]) -> String {
        let head = format!(
            "listen = \"127.0.0.1:0\"\nroot = \"@root.pub\"\nstore = \"hardtack.store\"\nrevocation-audience = \"{REVOCATIONS}\"\n"
        );
        format!("{head}\n{}", servers.join("\n"))
    }

    pub(crate) fn start(&self, servers: &[&str]) -> Serving {
        self.write("gateway.toml", &self.file(servers));
        Serving::start(self.command("gateway --config gateway.toml"))
    }
}

pub(crate) fn server(name: &str, upstream: &str, more: &str) -> String {
    format!(
        "[[server]]\nname = \"{name}\"\npath = \"/{name}/mcp\"\naudience = \"{name}.mcp\"\nupstream = \"{upstream}\"\n{more}\n"
    )
}

/// An upstream that says its name in each answer, gives out one session, and streams for ever when it is asked by GET.
pub(crate) fn upstream(name: &'static str) -> String {
    answering(move |mut stream, head| {
        if !head.starts_with("GET") {
            return answer(stream, "Mcp-Session-Id: s-1\r\n", &format!("by {name}"));
        }
        let begin =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        stream.write_all(begin.as_bytes()).ok()?;
        loop {
            stream
                .write_all(b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n")
                .ok()?;
            std::thread::sleep(Duration::from_millis(50));
        }
    })
}

/// What is answered to exactly this path.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answered {
    pub(crate) fn session(&self) -> String {
        let line = self.head.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
        line.expect("a session").to_owned()
    }
}

pub(crate) fn send(
    gateway: &Serving,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> TcpStream {
    send_to(gateway.url.trim_start_matches("http://"), method, path, headers, body)
}

pub(crate) fn send_to(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

pub(crate) fn ask(
    gateway: &Serving,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answered {
    answered(send(gateway, method, path, headers, body))
}

pub(crate) fn answered(stream: TcpStream) -> Answered {
    let mut reader = BufReader::new(stream);
    let (head, length) = head(&mut reader).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Answered { status, head: head.to_lowercase(), body: String::from_utf8(body).unwrap() }
}

pub(crate) fn authorized(bearer: &str) -> String {
    format!(
        "Authorization: Bearer {bearer}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
    )
}

pub(crate) fn call(gateway: &Serving, path: &str, headers: &str) -> Answered {
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{}}}"#;
    ask(gateway, "POST", path, headers, body)
}

/// A stream that has begun to tell something.
pub(crate) fn listens(gateway: &Serving, path: &str, bearer: &str) -> BufReader<TcpStream> {
    let mut reader = BufReader::new(send(gateway, "GET", path, &authorized(bearer), ""));
    let (head, _) = head(&mut reader).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(tells(&mut reader));
    reader
}

/// Whether something more comes.
pub(crate) fn tells(reader: &mut BufReader<TcpStream>) -> bool {
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        if line.starts_with("data: ") && line.contains("notifications/message") {
            return true;
        }
        line.clear();
    }
    false
}

/// Whether it comes to its end.
pub(crate) fn ends(mut reader: BufReader<TcpStream>) -> bool {
    reader.read_to_end(&mut Vec::new()).is_ok()
}

pub(crate) fn metrics(gateway: &Serving) -> String {
    ask_chunked(gateway, "/metrics")
}

pub(crate) fn ask_chunked(gateway: &Serving, path: &str) -> String {
    let mut all = String::new();
    send(gateway, "GET", path, "", "").read_to_string(&mut all).unwrap();
    all
}
