//! `hardtack decide`, with the configuration of its page, asked as proxies ask.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use hardtack_testkit::command::{PATIENCE, Serving, Shell, until};

fn scene() -> Shell {
    let scene = Shell::new(env!("CARGO_BIN_EXE_hardtack"));
    for name in ["root", "alice", "agent"] {
        scene.ok(&format!("keygen --out {name}.key"), "");
        scene.write(&format!("{name}.pub"), &scene.ok(&format!("pubkey {name}.key"), ""));
    }
    let grant = scene.ok("mint --key root.key --subject user:alice --scope pages:* --scope hardtack:revoke --holder @alice.pub", "");
    scene.write("grant.token", &grant);
    let part = scene.ok("delegate --key alice.key --to agent.researcher --scope pages:read --reason why --holder @agent.pub", &grant);
    scene.write("agent.token", &part);
    scene.ok("store create decide.store", "");
    scene
}

fn bearer(scene: &Shell) -> String {
    let token = scene.read("agent.token");
    scene.ok("present --key agent.key --audience pages.example", &token).trim().to_owned()
}

/// The configuration of docs/proxies.md.
fn page() -> String {
    let page = include_str!("../../../docs/proxies.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// It, on ports of this test; and the admin's address.
fn placed(scene: &Shell) -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let file = page().replace("127.0.0.1:8090", "127.0.0.1:0").replace("127.0.0.1:8091", &free);
    scene.write("decide.toml", &file);
    free
}

fn start(scene: &Shell) -> Serving {
    Serving::start(scene.command("decide --config decide.toml"))
}

/// The status of an answer, as of nginx's question about this request.
fn asked(serving: &Serving, method: &str, target: &str, bearer: &str) -> u16 {
    let address = serving.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET /nginx HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Original-Method: {method}\r\nX-Original-URI: {target}\r\nX-Original-Host: pages.example\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_configuration_of_the_page_is_read_and_decides() {
    let scene = scene();
    scene.write("decide.toml", &page());
    assert_eq!(scene.ok("decide --config decide.toml --check", ""), "decide.toml can be used\n");
    placed(&scene);
    let serving = start(&scene);
    let bearer = bearer(&scene);
    for (method, target, status) in [
        ("GET", "/pages/roadmap?version=2", 200),
        ("DELETE", "/pages/roadmap", 403),
        ("GET", "/pages/%2E%2E/roadmap", 403),
        ("GET", "/nowhere", 403),
    ] {
        assert_eq!(asked(&serving, method, target, &bearer), status, "{method} {target}");
    }
    assert_eq!(asked(&serving, "GET", "/pages/roadmap", "x"), 401);
    assert!(serving.ends());
    let records = scene.ok("audit --store decide.store", "");
    assert!(records.contains("pages:read") && records.contains("pages:delete"), "{records}");
    assert!(!records.contains(&bearer), "no token in a record");
}

#[test]
fn who_is_revoked_while_it_runs_is_refused_at_once_and_after_a_restart() {
    let scene = scene();
    let admin = placed(&scene);
    let (serving, bearer) = (start(&scene), bearer(&scene));
    assert_eq!(asked(&serving, "GET", "/pages/a", &bearer), 200);
    scene.ok(
        &format!("revoke --at http://{admin} --audience pages.example/hardtack --key alice.key --capability grant.token --agent agent.researcher --reason lost"),
        "",
    );
    assert_eq!(asked(&serving, "GET", "/pages/a", &bearer), 401);
    assert!(serving.ends());
    let serving = start(&scene);
    assert_eq!(asked(&serving, "GET", "/pages/a", &bearer), 401);
}

#[test]
fn another_root_in_the_file_is_trusted_from_then_on() {
    let scene = scene();
    placed(&scene);
    let (serving, bearer) = (start(&scene), bearer(&scene));
    assert_eq!(asked(&serving, "GET", "/pages/a", &bearer), 200);
    let (own, other) = (scene.read("root.pub"), scene.read("alice.pub"));
    scene.write("root.pub", &other);
    until("the old root is trusted no more", || asked(&serving, "GET", "/pages/a", &bearer) == 401);
    scene.write("root.pub", &own);
    until("it is trusted again", || asked(&serving, "GET", "/pages/a", &bearer) == 200);
}

#[test]
fn what_is_wrong_in_a_file_is_said_with_its_place() {
    let scene = scene();
    for (from, to, why) in [
        ("audience = \"pages.example\"", "audience = \"a b\"", "audience"),
        ("audience = \"pages.example\"", "audiense = \"a\"", "audiense"),
        ("root = [\"@root.pub\"]", "", "root is missing"),
        ("root = [\"@root.pub\"]", "root = [\"@nowhere.pub\"]", "nowhere.pub"),
        ("store = \"decide.store\"", "", "store is missing"),
        ("listen = \"127.0.0.1:8090\"", "listen = \"8090\"", "listen"),
        ("listen = \"127.0.0.1:8090\"", "listen = \"unix:here\"", "listen"),
        ("host = [\"pages.example\"]", "", "host"),
        ("body = true", "", "body"),
        ("path = \"/pages/{page}\"", "path = \"pages/{page}\"", "route GET pages/{page}"),
        ("operation = \"pages:read\"", "operation = \"pages:*\"", "route GET /pages/{page}"),
        ("X-Hardtack-Agent = \"agent\"", "Authorization = \"agent\"", "allowed-headers"),
    ] {
        let file = page();
        assert!(file.contains(from), "{from}");
        scene.write("decide.toml", &file.replacen(from, to, 1));
        let error = scene.fails("decide --config decide.toml --check", "");
        assert!(error.contains(why), "{to}: {error}");
    }
}
