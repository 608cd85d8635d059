//! Gateways on several machines, each a process with a store of its own, and one feed of what is revoked.

#![allow(clippy::disallowed_methods, reason = "time passes while it is waited")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const HARDTACK: &str = env!("CARGO_BIN_EXE_hardtack");

/// What is waited for comes within this, or never.
const LONG: Duration = Duration::from_secs(60);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with the keys and grants of two people, and a key for a feed.
struct Scene(tempfile::TempDir);

impl Scene {
    fn set() -> Scene {
        let scene = Scene(tempfile::tempdir().unwrap());
        let root = scene.ok("keygen --out root.key", "");
        scene.write("root.pub", root.trim());
        scene.ok("keygen --out feed.key", "");
        for name in ["alice", "bob"] {
            let grant = scene.ok(
                &format!("mint --key root.key --subject user:{name} --scope tools:call:* hardtack:* --new-holder {name}.key"),
                "",
            );
            scene.write(&format!("{name}.token"), &grant);
        }
        for store in ["one.store", "two.store"] {
            scene.ok(&format!("store create {store}"), "");
        }
        scene
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder().join(name)).unwrap()
    }

    /// Puts the files of one store, and nothing else, in the place of another's. What is beside the store is the feed's own.
    fn copy(&self, from: &str, to: &str) {
        let files = |store: &str| {
            let names = fs::read_dir(self.folder()).unwrap().map(|file| file.unwrap().file_name());
            let names = names.map(|name| name.into_string().unwrap());
            let of = names.filter(|name| name.starts_with(store) && !name.contains("feed"));
            of.collect::<Vec<_>>()
        };
        files(to).iter().for_each(|name| fs::remove_file(self.folder().join(name)).unwrap());
        for name in files(from) {
            let other = self.folder().join(name.replace(from, to));
            fs::copy(self.folder().join(name), other).unwrap();
        }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(HARDTACK);
        command.args(line.split(' ')).current_dir(self.folder());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, line: &str, input: &str) -> Output {
        let mut child = self.command(line).spawn().unwrap();
        // A command that fails before it reads leaves a closed pipe.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn ok(&self, line: &str, input: &str) -> String {
        let output = self.run(line, input);
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn gateway(&self, store: &str, more: &str) -> Gateway {
        Gateway::start(self, &line(store, more))
    }

    fn publishing(&self, more: &str) -> Gateway {
        let more = format!("--feed-listen 127.0.0.1:0 --feed-signing-key feed.key{more}");
        self.gateway("one.store", &more)
    }

    /// The gateway that follows the feed at this address.
    fn following(&self, address: &str, key: &str) -> Gateway {
        self.gateway("two.store", &format!("--feed {address} --feed-key {key}"))
    }

    /// The status of a tool call.
    fn call(&self, gateway: &Gateway, name: &str) -> u16 {
        let present = format!("present --key {name}.key --audience notion.mcp");
        let bearer = self.ok(&present, &self.read(&format!("{name}.token")));
        let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{}}}"#;
        let address = gateway.base.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            bearer.trim(),
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Calls until the answer is this one.
    fn until(&self, gateway: &Gateway, name: &str, status: u16) -> Duration {
        let began = Instant::now();
        loop {
            let answer = self.call(gateway, name);
            if answer == status {
                return began.elapsed();
            }
            assert!(began.elapsed() < LONG, "{name}: {answer}, not {status}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn line(store: &str, more: &str) -> String {
    format!(
        "gateway --listen 127.0.0.1:0 --upstream http://127.0.0.1:9/mcp --audience notion.mcp --root @root.pub --store {store} --refusals challenge {more}"
    )
}

struct Gateway {
    child: Child,
    base: String,
    /// What it said when it started.
    said: String,
}

impl Gateway {
    fn start(scene: &Scene, line: &str) -> Gateway {
        let mut child = scene.command(line).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("revocations ") {
            if lines.read_line(&mut said).unwrap() == 0 {
                let mut problem = String::new();
                child.stderr.take().unwrap().read_to_string(&mut problem).unwrap();
                panic!("it does not serve: {said} {problem}");
            }
        }
        // What it logs is read, so that it does not wait for a reader.
        let mut log = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        child.stdout = Some(lines.into_inner());
        let at = said.find("http://").unwrap();
        let base = said[at..].lines().next().unwrap().trim().trim_end_matches("/mcp").to_owned();
        Gateway { child, base, said }
    }

    /// Where its feed is, and the feed's key.
    fn feed(&self) -> (String, String) {
        let after = |word: &str| {
            let line = self.said.lines().find_map(|line| line.trim().strip_prefix(word));
            line.unwrap_or_else(|| panic!("no {word} in {}", self.said)).trim().to_owned()
        };
        (after("feed  "), after("feed key"))
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a call comes to that is allowed: nobody is behind these gateways.
const ALLOWED: u16 = 502;
const REFUSED: u16 = 401;
const UNDECIDED: u16 = 503;

#[test]
fn what_is_revoked_at_one_gateway_is_refused_at_another_and_a_feed_that_is_not_heard_decides_nothing()
 {
    let scene = Scene::set();
    let first = scene.publishing("");
    let (feed, key) = first.feed();
    let second = scene.following(&feed, &key);
    scene.until(&second, "bob", ALLOWED);
    let at = &first.base;
    scene.ok(
        &format!("revoke --at {at} --audience notion.mcp/hardtack --key alice.key --capability alice.token --subject user:bob --reason left"),
        "",
    );
    scene.until(&second, "bob", REFUSED);
    assert_eq!(scene.call(&second, "alice"), ALLOWED);
    // What is revoked at the second counts there, and not at the first.
    let at = &second.base;
    scene.ok(
        &format!("revoke --at {at} --audience notion.mcp/hardtack --key alice.key --capability alice.token --subject user:alice --reason left"),
        "",
    );
    assert_eq!(scene.call(&second, "alice"), REFUSED);
    assert_eq!(scene.call(&first, "alice"), ALLOWED);
    let carol =
        "mint --key root.key --subject user:carol --scope tools:call:* --new-holder carol.key";
    scene.write("carol.token", &scene.ok(carol, ""));
    assert_eq!(scene.call(&second, "carol"), ALLOWED);
    first.kill();
    let late = scene.until(&second, "carol", UNDECIDED);
    assert!(late > Duration::from_secs(20), "{late:?}");
    // What is known to be revoked is refused nevertheless.
    assert_eq!(scene.call(&second, "bob"), REFUSED);
    // Started anew without a feed, it decides nothing from the beginning.
    second.kill();
    let second = scene.following(&feed, &key);
    assert_eq!(scene.call(&second, "carol"), UNDECIDED);
}

#[test]
fn a_store_that_was_put_back_is_published_in_a_new_epoch_only() {
    let scene = Scene::set();
    scene.copy("one.store", "yesterday.store");
    let first = scene.publishing("");
    let (_, key) = first.feed();
    let at = &first.base;
    let revoke = format!(
        "revoke --at {at} --audience notion.mcp/hardtack --key alice.key --capability alice.token --subject user:bob --reason left"
    );
    scene.ok(&revoke, "");
    // So that the feed has said it.
    let second = scene.following(&first.feed().0, &key);
    scene.until(&second, "bob", REFUSED);
    second.kill();
    first.kill();
    scene.copy("yesterday.store", "one.store");
    let publish = "--feed-listen 127.0.0.1:0 --feed-signing-key feed.key";
    let output = scene.run(&line("one.store", publish), "");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(said.contains("lost its end") && said.contains("new epoch"), "{said}");
    let first = scene.publishing(" --feed-new-epoch 2");
    assert_eq!(first.feed().1, key);
    // At the gateway that publishes it, too.
    for name in ["bob", "alice"] {
        assert_eq!(scene.call(&first, name), REFUSED);
    }
    let second = scene.following(&first.feed().0, &key);
    // Granted before the epoch: nobody knows whether it was revoked.
    for name in ["bob", "alice"] {
        scene.until(&second, name, REFUSED);
    }
}

#[test]
fn what_is_missing_or_wrong_of_a_feed_is_said_before_anything_starts() {
    let scene = Scene::set();
    scene.write("not.key", "no key");
    for (more, said) in [
        ("--feed http://127.0.0.1:9/feed", "feed-key is missing"),
        ("--feed-key hardtack-feed/1+2+3", "feed is missing"),
        ("--feed http://127.0.0.1:9/feed --feed-key none", "feed-key: a log's key is written"),
        ("--feed feed --feed-key none", "feed: a feed has a URL"),
        ("--feed-listen 127.0.0.1:0", "feed-signing-key is missing"),
        ("--feed-signing-key feed.key", "feed-listen is missing"),
        ("--feed-new-epoch 2", "feed-listen is missing"),
        ("--feed-listen here --feed-signing-key feed.key", "feed-listen: write a numeric address"),
        ("--feed-listen 127.0.0.1:0 --feed-signing-key not.key", "feed-signing-key: not.key is no"),
        ("--feed-listen 127.0.0.1:0 --feed-signing-key root.key", "the private half of a root key"),
    ] {
        let output = scene.run(&line("one.store", more), "");
        let problem = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more}: {problem}");
        assert!(problem.replace('\n', " ").contains(said), "{more}: {problem}");
    }
}
