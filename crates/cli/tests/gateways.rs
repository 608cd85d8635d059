//! Gateways that are enrolled with a feed: each a process, one killed, one held still; whoever revokes learns where it is in force.

#![allow(clippy::disallowed_methods, reason = "time passes while it is waited")]

use std::time::{Duration, Instant};

use hardtack_testkit::command::{Serving, Shell, get, text, until};

const LONG: Duration = Duration::from_secs(60);

/// Alice may do everything, an operator reads and enrols, a reader only revokes; keys for the feed and for gateways.
fn scene() -> Shell {
    let shell = Shell::with_alice(env!("CARGO_BIN_EXE_hardtack"), "tools:call:* hardtack:*");
    for name in ["feed", "one", "two", "three"] {
        let key = shell.ok(&format!("keygen --out {name}.key"), "");
        shell.write(&format!("{name}.pub"), key.trim());
    }
    let mint =
        "mint --key root.key --subject user:bob --scope hardtack:revoke --new-holder bob.key";
    shell.write("bob.token", &shell.ok(mint, ""));
    shell
}

fn line(store: &str, more: &str) -> String {
    format!(
        "gateway --listen 127.0.0.1:0 --upstream http://127.0.0.1:9/mcp --audience notion.mcp --root @root.pub --store {store} {more}"
    )
}

fn publishing(shell: &Shell, more: &str) -> (Serving, String, String) {
    let more = format!("--feed-listen 127.0.0.1:0 --feed-signing-key feed.key {more}");
    let gateway = Serving::start(shell.command(&line("hardtack.store", &more)));
    until("it says where its feed is", || gateway.said().contains("revocations "));
    let said = gateway.said();
    let after = |word: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(word));
        line.unwrap().trim().to_owned()
    };
    let (url, key) = (after("feed  "), after("feed key"));
    (gateway, url, key)
}

fn following(shell: &Shell, url: &str, key: &str, name: &str) -> Serving {
    let store = format!("{name}.store");
    if !shell.path().join(&store).exists() {
        shell.ok(&format!("store create {store}"), "");
    }
    let more =
        format!("--feed {url} --feed-key {key} --gateway-name gw-{name} --gateway-key {name}.key");
    Serving::start(shell.command(&line(&store, &more)))
}

fn asked(gateway: &Serving, who: &str) -> String {
    let at = gateway.base();
    format!(
        "--at {at} --audience notion.mcp/hardtack --holder-key {who}.key --capability {who}.token"
    )
}

/// Revokes a subject and waits; returns the code, what was said, and what was complained of.
fn revoke(
    shell: &Shell,
    gateway: &Serving,
    who: &str,
    subject: &str,
    wait: &str,
) -> (i32, String, String) {
    let at = gateway.base();
    let line = format!(
        "revoke --at {at} --audience notion.mcp/hardtack --key {who}.key --capability {who}.token --subject user:{subject} --reason left --wait {wait}"
    );
    let output = shell.run(&line, "");
    let said = text(&output.stdout).replace('\n', " ");
    (output.status.code().unwrap(), said, text(&output.stderr).replace('\n', " "))
}

#[test]
fn whoever_revokes_learns_at_which_gateways_it_is_in_force_and_which_are_silent() {
    let shell = scene();
    for name in ["one", "two"] {
        let add = format!("gateways add gw-{name} --key @{name}.pub --store hardtack.store");
        assert!(shell.ok(&add, "").contains("enrolled"));
    }
    let (publisher, url, key) = publishing(&shell, "");
    // At the running one, with the scope.
    let add = format!("gateways add gw-three --key @three.pub {}", asked(&publisher, "alice"));
    shell.ok(&add, "");
    let refused = shell.run(&add.replace("alice", "bob"), "");
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("does not cover hardtack:enroll"));
    let gateways: Vec<Serving> =
        ["one", "two", "three"].iter().map(|name| following(&shell, &url, &key, name)).collect();
    for gateway in &gateways {
        until("it follows", || get(gateway.base(), "/readyz").0 == 200);
    }
    let (code, said, _) = revoke(&shell, &publisher, "alice", "carol", "20s");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("in force at 3 of 3 gateways"), "{said}");
    assert!(said.contains("gw-two: in force since 20"), "{said}");
    // One is killed, and one held still.
    gateways[1].signal("-KILL");
    gateways[2].signal("-STOP");
    let began = Instant::now();
    let (code, said, _) = revoke(&shell, &publisher, "alice", "dave", "3s");
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("in force at 1 of 3 gateways"), "{said}");
    assert!(said.contains("gw-two") && said.contains("gw-three"), "{said}");
    assert!(!said.contains("refuses every call"), "nothing is certain yet: {said}");
    // Both are named, and counted.
    let list = format!("gateways list {}", asked(&publisher, "alice"));
    until("they are silent", || {
        let said = shell.ok(&list, "");
        said.contains("silent: gw-two since 20") && said.contains("silent: gw-three since 20")
    });
    let metrics = get(publisher.base(), "/metrics").1;
    for metric in [
        "hardtack_feed_gateways 3",
        "hardtack_feed_gateways_in_force 1",
        "hardtack_feed_gateways_silent 2",
        "hardtack_feed_gateway_silent{gateway=\"gw-two\"} 1",
        "hardtack_feed_gateway_silent{gateway=\"gw-one\"} 0",
    ] {
        assert!(metrics.contains(metric), "{metric}: {metrics}");
    }
    assert!(get(publisher.base(), "/readyz").1.contains("the gateway gw-two is silent since"));
    let followed = get(gateways[0].base(), "/metrics").1;
    assert!(followed.contains("hardtack_feed_followed_position 2"), "{followed}");
    // What was held still goes on, and catches up.
    gateways[2].signal("-CONT");
    until("it is in force there", || shell.ok(&list, "").contains("gw-three: in force since"));
    // Whoever may revoke, and not see gateways, is told that it is revoked.
    let (code, said, warned) = revoke(&shell, &publisher, "bob", "erin", "1s");
    assert_eq!(code, 3);
    assert!(
        said.contains("revoked: ") && warned.contains("it is revoked; where"),
        "{said} {warned}"
    );
    assert!(warned.contains("hardtack:gateways"), "{warned}");
    // One that is retired is neither heard nor named.
    for name in ["two", "three"] {
        shell.ok(&format!("gateways retire gw-{name} --store hardtack.store"), "");
    }
    until("they are gone", || !shell.ok(&list, "").contains("gw-three"));
    let (code, said, _) = revoke(&shell, &publisher, "alice", "frank", "20s");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("in force at 1 of 1 gateways"), "{said}");
    let began = Instant::now();
    while get(gateways[2].base(), "/readyz").0 == 200 {
        assert!(began.elapsed() < LONG, "a retired gateway hears nothing, and refuses");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn a_feed_is_read_by_whoever_is_enrolled_and_by_nobody_else() {
    let shell = scene();
    let (publisher, url, key) = publishing(&shell, "--feed-readers enrolled");
    let feed = url.trim_end_matches("/feed");
    for path in ["checkpoint", "stream", "snapshot/1/0", "delta/1/1-1"] {
        let (status, said) = get(feed, &format!("/feed/{path}"));
        assert_eq!(status, 401, "{path}: {said}");
        assert!(said.contains("only gateways that are enrolled may ask"), "{said}");
        assert!(said.to_lowercase().contains("accept-signature: feed=(\"@method\" \"@path\")"));
    }
    // Under another's name, and before it is enrolled.
    shell.ok("gateways add gw-one --key @one.pub --store hardtack.store", "");
    shell.ok("store create two.store", "");
    let more = format!("--feed {url} --feed-key {key} --gateway-name gw-one --gateway-key two.key");
    let forged = Serving::start(shell.command(&line("two.store", &more)));
    let first = following(&shell, &url, &key, "one");
    until("it follows", || get(first.base(), "/readyz").0 == 200);
    until("it says why not", || forged.log().contains("not enrolled there"));
    let list = format!("gateways list --json {}", asked(&publisher, "alice"));
    until("it has acknowledged", || !shell.ok(&list, "").contains("\"heard\": null"));
}

#[test]
fn what_is_wrong_of_gateways_is_said_and_changes_nothing() {
    let shell = scene();
    shell.ok("gateways add gw-one --key @one.pub --store hardtack.store", "");
    let before = shell.read("hardtack.store.feed-gateways");
    for (line, said) in [
        ("gateways add gw-one --key @two.pub --store hardtack.store", "retire it first"),
        ("gateways add gw-two --key @one.pub --store hardtack.store", "each gateway has a key"),
        ("gateways add gw:two --key @two.pub --store hardtack.store", "same form as an agent"),
        ("gateways retire gw-two --store hardtack.store", "no gateway is enrolled under"),
        ("gateways add gw-two --key @two.pub --store none.store", "there is no store"),
        ("gateways list", "--store"),
        ("revoke --store hardtack.store --subject user:a --reason x --wait 5s", "--at"),
        (
            "revoke --at http://127.0.0.1:9 --audience a --key alice.key --capability alice.token --subject user:a --reason x --wait 11m",
            "wait 1s to 10m",
        ),
    ] {
        let problem = shell.fails(line, "").replace('\n', " ");
        assert!(problem.contains(said), "{line}: {problem}");
    }
    assert_eq!(shell.read("hardtack.store.feed-gateways"), before);
    for (more, said) in [
        ("--gateway-name gw-one", "feed is missing"),
        ("--feed http://127.0.0.1:9/feed --feed-key K --gateway-name gw-one", "feed-key"),
        ("--feed-readers anyone", "feed-listen is missing"),
    ] {
        let problem = shell.fails(&line("hardtack.store", more), "").replace('\n', " ");
        assert!(problem.contains(said), "{more}: {problem}");
    }
}
