//! How much memory a gateway takes when one human's agents want too much, seen from outside: the process is asked, not its
//! own accounts.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use hardtack::{Delegation, Grant, Issuer, Presenting, PrivateKey, Store, Timestamp};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many connections are open at once, each of an agent with a key of its own.
const CONNECTIONS: usize = 260;

/// What docs/limits.md says that is held for one subject, and what the allocator, threads and buffers of connections come to
/// besides.
const HELD_FOR_ONE: usize = 64 * 1024 * 1024;
const MARGIN: usize = 64 * 1024 * 1024;

/// A list of this size, which is an honest one of a thousand tools.
const LIST_BYTES: usize = 3_900_000;

/// A gateway in front of a server, ended with the test.
struct Serving {
    child: Child,
    address: String,
    bearers: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Serving {
    #[allow(
        clippy::disallowed_methods,
        reason = "the gateway reads the clock, and so must its tokens"
    )]
    fn start() -> Serving {
        let now = Timestamp::from(SystemTime::now());
        let (issuer, alice) = (Issuer::new(PrivateKey::generate()), PrivateKey::generate());
        let grant = Grant::to("user:alice").holder(alice.public()).scope("tools:call:*");
        let grant = issuer.mint(grant, now).unwrap();
        let bearers = (0..CONNECTIONS).map(|number| {
            let (part, key) = Delegation::to(format!("agent.{number}"))
                .reason("find the roadmap page")
                .scope("tools:call:*")
                .new_holder();
            let delegated = grant.delegate(part, &alice, now).unwrap();
            delegated.present(Presenting::to("a.mcp"), &key, now).unwrap().bearer().to_owned()
        });
        let bearers = bearers.collect();
        let folder = tempfile::tempdir().unwrap();
        drop(Store::create(folder.path().join("hardtack.store")).unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_hardtack"));
        let root = issuer.public().to_string();
        command.args([
            "gateway",
            "--listen",
            "127.0.0.1:0",
            "--audience",
            "a.mcp",
            "--root",
            &root,
        ]);
        command.args(["--store", "hardtack.store", "--upstream", &server_behind()]);
        command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at = line.find("http://").expect("it does not serve") + "http://".len();
        let address = line[at..].trim().trim_end_matches("/mcp").to_owned();
        Serving { child, address, bearers, _folder: folder }
    }

    /// The most memory that it had since it began, and what it has now.
    fn memory(&self) -> (usize, usize) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let of = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
            kilobytes * 1024
        };
        (of("VmHWM:"), of("VmRSS:"))
    }

    /// Sends a request on a connection of its own, and does not read.
    fn ask(&self, bearer: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // It may have refused before all is written.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        stream
    }

    /// The same for each agent, all at once.
    fn ask_all(&self, body: &str) -> Vec<TcpStream> {
        std::thread::scope(|scope| {
            let asking =
                self.bearers.iter().map(|bearer| scope.spawn(move || self.ask(bearer, body)));
            let asking: Vec<_> = asking.collect();
            asking.into_iter().map(|asking| asking.join().unwrap()).collect()
        })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(mut stream: TcpStream) -> String {
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read);
    String::from_utf8_lossy(&read).into_owned()
}

/// Answers lists with a large one, calls with a word, and never a ping.
fn server_behind() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let description = "x".repeat(LIST_BYTES / 10);
    let tools = (0..10).map(|n| format!(r#"{{"name":"t{n}","description":"{description}"}}"#));
    let list = format!(r#"{{"tools":[{}]}}"#, tools.collect::<Vec<_>>().join(","));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let list = list.clone();
            std::thread::spawn(move || answer(stream, &list));
        }
    });
    url
}

fn answer(mut stream: TcpStream, list: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut length = 0;
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
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let body = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let result = match () {
            () if body.contains("tools/list") => list,
            () if body.contains("tools/call") => r#"{"content":[{"type":"text","text":"found"}]}"#,
            () => continue,
        };
        let body = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{result}}}"#);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn message(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","id":7,"params":{params}}}"#)
}

#[test]
fn one_humans_agents_hold_no_more_than_one_may_however_many_keys_they_have() {
    let gateway = Serving::start();
    let list = message("tools/list", "{}");
    let call = message("tools/call", r#"{"name":"t1"}"#);
    assert!(read(gateway.ask(&gateway.bearers[0], &list)).len() > LIST_BYTES);
    let before = gateway.memory().1;

    // Lists that nobody reads.
    let unread = gateway.ask_all(&list);
    std::thread::sleep(Duration::from_secs(12));
    let with_lists = gateway.memory().0;
    let answers: Vec<String> = unread.into_iter().map(read).collect();
    assert!(answers.iter().any(|answer| answer.len() > LIST_BYTES), "nobody was answered");
    for answer in answers {
        let whole = answer.starts_with("HTTP/1.1 200") && answer.len() > LIST_BYTES;
        let told = answer.starts_with("HTTP/1.1 503") && answer.contains("too much is held");
        // No more lists of a subject than 256 are under way.
        let told = told || answer.contains("list_busy");
        assert!(whole || told, "{}", &answer[..answer.len().min(300)]);
    }

    // Messages as large as they may be, for a server that does not answer.
    let large = message("ping", &format!(r#"{{"_meta":{{"x":"{}"}}}}"#, "x".repeat(4_000_000)));
    let stalled = gateway.ask_all(&large);
    std::thread::sleep(Duration::from_secs(1));
    let with_messages = gateway.memory().0;
    drop(stalled);
    std::thread::sleep(Duration::from_secs(1));

    for held in [with_lists, with_messages] {
        let held = held.saturating_sub(before);
        assert!(held < HELD_FOR_ONE + MARGIN, "{} MiB are held", held >> 20);
        println!("{} MiB more at the most", held >> 20);
    }
    // Nothing of it stays, and the subject is served again.
    assert!(read(gateway.ask(&gateway.bearers[1], &list)).len() > LIST_BYTES);
    assert!(read(gateway.ask(&gateway.bearers[2], &call)).contains("found"));
}
