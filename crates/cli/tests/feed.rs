//! Gateways on several machines, each a process with a store of its own, and one feed of what is revoked.

#![allow(clippy::disallowed_methods, reason = "time passes while it is waited")]

use std::fs;
use std::time::{Duration, Instant};

use hardtack_testkit::command::{Serving, Shell, get, text, tool_call, until};

/// What is waited for comes within this, or never. A feed that falls silent is believed for half of it.
const LONG: Duration = Duration::from_secs(60);

/// Alice and bob have grants; two stores, and a key for a feed.
fn scene() -> Shell {
    let shell = Shell::with_alice(env!("CARGO_BIN_EXE_hardtack"), "tools:call:* hardtack:*");
    shell.ok("keygen --out feed.key", "");
    shell.ok("store create two.store", "");
    grant(&shell, "bob");
    shell
}

fn grant(shell: &Shell, name: &str) {
    let mint = format!(
        "mint --key root.key --subject user:{name} --scope tools:call:* --new-holder {name}.key"
    );
    shell.write(&format!("{name}.token"), &shell.ok(&mint, ""));
}

fn line(store: &str, more: &str) -> String {
    format!(
        "gateway --listen 127.0.0.1:0 --upstream http://127.0.0.1:9/mcp --audience notion.mcp --root @root.pub --store {store} {more}"
    )
}

fn publishing(shell: &Shell, more: &str) -> Serving {
    let more = format!("--feed-listen 127.0.0.1:0 --feed-signing-key feed.key {more}");
    let gateway = Serving::start(shell.command(&line("hardtack.store", &more)));
    until("it says where its feed is", || gateway.said().contains("revocations "));
    gateway
}

fn following(shell: &Shell, (url, key): &(String, String)) -> Serving {
    let more = format!("--feed {url} --feed-key {key}");
    Serving::start(shell.command(&line("two.store", &more)))
}

/// Where its feed is, and the feed's key.
fn feed(gateway: &Serving) -> (String, String) {
    let said = gateway.said();
    let after = |word: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(word));
        line.unwrap_or_else(|| panic!("no {word} in {said}")).trim().to_owned()
    };
    (after("feed  "), after("feed key"))
}

fn revoke(shell: &Shell, gateway: &Serving, subject: &str) {
    let at = gateway.base();
    let line = format!(
        "revoke --at {at} --audience notion.mcp/hardtack --key alice.key --capability alice.token --subject user:{subject} --reason left"
    );
    shell.ok(&line, "");
}

/// The status of a tool call.
fn call(shell: &Shell, gateway: &Serving, name: &str) -> u16 {
    let present = format!("present --key {name}.key --audience notion.mcp");
    let bearer = shell.ok(&present, &shell.read(&format!("{name}.token")));
    tool_call(gateway.base(), &bearer).0
}

/// Calls until the answer is this one; returns how long that took.
fn calls_until(shell: &Shell, gateway: &Serving, name: &str, status: u16) -> Duration {
    let began = Instant::now();
    loop {
        let answer = call(shell, gateway, name);
        if answer == status {
            return began.elapsed();
        }
        assert!(began.elapsed() < LONG, "{name}: {answer}, not {status}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn is_ready(gateway: &Serving) -> bool {
    get(gateway.base(), "/readyz").0 == 200
}

/// What a call comes to that is allowed: nobody is behind these gateways.
const ALLOWED: u16 = 502;
const REFUSED: u16 = 401;
const UNDECIDED: u16 = 503;

#[test]
fn what_is_revoked_at_one_gateway_is_refused_at_another_and_a_feed_that_is_not_heard_decides_nothing()
 {
    let shell = scene();
    let first = publishing(&shell, "");
    let feed = feed(&first);
    let second = following(&shell, &feed);
    calls_until(&shell, &second, "bob", ALLOWED);
    assert!(is_ready(&first) && is_ready(&second));
    revoke(&shell, &first, "bob");
    calls_until(&shell, &second, "bob", REFUSED);
    assert_eq!(call(&shell, &second, "alice"), ALLOWED);
    // What is revoked at the second counts there, and not at the first.
    revoke(&shell, &second, "alice");
    assert_eq!(call(&shell, &second, "alice"), REFUSED);
    assert_eq!(call(&shell, &first, "alice"), ALLOWED);
    grant(&shell, "carol");
    assert_eq!(call(&shell, &second, "carol"), ALLOWED);
    first.signal("-KILL");
    let late = calls_until(&shell, &second, "carol", UNDECIDED);
    assert!(late > Duration::from_secs(20), "{late:?}");
    assert!(!is_ready(&second));
    // What is known to be revoked is refused nevertheless.
    assert_eq!(call(&shell, &second, "bob"), REFUSED);
    // Started anew without a feed, it decides nothing from the beginning.
    assert!(second.ends());
    let second = following(&shell, &feed);
    assert_eq!(call(&shell, &second, "carol"), UNDECIDED);
    assert!(!is_ready(&second));
}

/// Puts the files of one store, and nothing else, in the place of another's. What is beside the store is the feed's own.
fn copy(shell: &Shell, from: &str, to: &str) {
    let files = |store: &str| {
        let names = fs::read_dir(shell.path()).unwrap().map(|file| file.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap());
        let of = names.filter(|name| name.starts_with(store) && !name.contains("feed"));
        of.collect::<Vec<_>>()
    };
    files(to).iter().for_each(|name| fs::remove_file(shell.path().join(name)).unwrap());
    for name in files(from) {
        fs::copy(shell.path().join(&name), shell.path().join(name.replace(from, to))).unwrap();
    }
}

#[test]
fn a_store_that_was_put_back_is_published_in_a_new_epoch_only() {
    let shell = scene();
    copy(&shell, "hardtack.store", "yesterday.store");
    let first = publishing(&shell, "");
    let before = feed(&first);
    revoke(&shell, &first, "bob");
    // So that the feed has said it.
    let second = following(&shell, &before);
    calls_until(&shell, &second, "bob", REFUSED);
    assert!(second.ends() && first.ends());
    copy(&shell, "yesterday.store", "hardtack.store");
    let publish = "--feed-listen 127.0.0.1:0 --feed-signing-key feed.key";
    let said = shell.fails(&line("hardtack.store", publish), "");
    assert!(said.contains("lost its end") && said.contains("new epoch"), "{said}");
    let first = publishing(&shell, "--feed-new-epoch 2");
    let after = feed(&first);
    assert_eq!(after.1, before.1);
    // At the gateway that publishes it, too: nobody knows what was revoked before.
    for name in ["bob", "alice"] {
        assert_eq!(call(&shell, &first, name), REFUSED);
    }
    let second = following(&shell, &after);
    for name in ["bob", "alice"] {
        calls_until(&shell, &second, name, REFUSED);
    }
}

#[test]
fn what_is_missing_or_wrong_of_a_feed_is_said_before_anything_starts() {
    let shell = scene();
    shell.write("not.key", "no key");
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
        let output = shell.run(&line("hardtack.store", more), "");
        let problem = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more}: {problem}");
        assert!(problem.replace('\n', " ").contains(said), "{more}: {problem}");
    }
}
