//! What a client's process lives through, and how it ends.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Client, text};
use crate::scene::Scene;
use hardtack_testkit::command::until;

#[test]
fn a_capability_that_expires_is_told_and_a_newer_one_is_taken() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    scene.delegate("3s");
    let mut client = scene.client(&gateway.url, &[]);
    assert_eq!(client.search("roadmap"), "found roadmap");
    std::thread::sleep(Duration::from_millis(3500));
    let told = client.call("search", &json!({"query": "a"}));
    assert_eq!(told["result"]["isError"], true, "{told}");
    assert!(text(&told).contains("Whoever delegated to this agent must delegate anew"), "{told}");
    let told = client.request("tools/list", json!({}));
    assert!(text(&told).contains("must delegate anew"), "{told}");

    // One that is started meanwhile lives, too.
    let mut late = Client::start(scene.agent(&gateway.url, &[]));
    let told = late.initialize();
    assert!(text(&told).contains("must delegate anew"), "{told}");
    until("it is logged", || late.logged().contains("until a newer capability is in"));

    scene.delegate("15m");
    assert_eq!(client.search("roadmap"), "found roadmap");
    assert!(late.initialize().get("result").is_some());
    assert_eq!(late.search("roadmap"), "found roadmap");
    assert!(client.ends().success() && late.ends().success());
}

#[test]
fn a_capability_that_is_none_or_anothers_is_an_error_at_once() {
    let scene = Scene::set();
    scene.shell.write("other.token", "garbage");
    let mut words = vec!["agent", "--stdio", "--key", "researcher.key", "--audience", "notion.mcp"];
    words.extend(["--to", "http://127.0.0.1:9/mcp", "--capability"]);
    for (file, problem) in
        [("nothing.token", "nothing.token"), ("other.token", "token"), ("grant.token", "key")]
    {
        let error = scene.shell.fails(&[words.as_slice(), &[file]].concat(), "");
        assert!(error.contains(problem), "{file}: {error}");
    }
}

#[test]
fn a_gateway_that_is_restarted_is_asked_again_in_a_session_of_its_own() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    let (url, address) = (gateway.url.clone(), gateway.base().replace("http://", ""));
    let mut client = scene.client(&url, &[]);
    let mut modern = scene.modern(&url, &[]);
    for client in [&mut client, &mut modern] {
        assert_eq!(client.search("roadmap"), "found roadmap");
    }
    assert!(gateway.ends());
    for client in [&mut client, &mut modern] {
        let told = client.call("search", &json!({"query": "roadmap"}));
        assert!(text(&told).contains("cannot be reached. See whether the gateway"), "{told}");
    }
    let gateway = scene.gateway_at(&address);
    assert_eq!(gateway.url, url);
    for client in [&mut client, &mut modern] {
        assert_eq!(client.search("roadmap"), "found roadmap");
    }
    // At once, by several.
    assert!(gateway.ends());
    let gateway = scene.gateway_at(&address);
    let asked: Vec<_> =
        (0..20).map(|_| client.start_call("search", &json!({"query": "all"}))).collect();
    for id in asked {
        assert_eq!(text(&client.answer_to(&id)), "found all");
    }
    assert!(client.ends().success() && modern.ends().success());
    drop(gateway);
}

#[test]
fn a_refusal_of_the_gateway_itself_is_answered_and_the_process_lives() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    let mut words = vec!["agent", "--stdio", "--key", "researcher.key", "--audience", "other.mcp"];
    words.extend(["--capability", "researcher.token", "--to", &gateway.url]);
    let mut client = Client::start(scene.shell.command(&words));
    for _ in 0..2 {
        let told = client.initialize();
        let said = text(&told);
        assert!(said.contains("does not accept the agent's capability"), "{told}");
        assert!(said.contains("`--audience` may name another server"), "{told}");
    }
    // There is a server, and it is none of MCP.
    let url = gateway.url.replace("/mcp", "/healthz");
    let mut client = Client::start(scene.agent(&url, &[]));
    let told = client.initialize();
    assert!(text(&told).contains("the URL of --to"), "{told}");
    assert!(client.ends().success());
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long it takes, bounded")]
fn a_call_under_way_is_answered_after_the_input_is_closed_within_a_bound() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    let mut client = scene.client(&gateway.url, &[]);
    let id = client.start_call("slow", &json!({"milliseconds": 600}));
    until("it begins", || scene.pages.began() == 1);
    client.close_input();
    assert_eq!(text(&client.answer_to(&id)), "done");
    assert!(client.ended().success());

    for (calls, ends_by) in [(2, "input"), (3, "signal")] {
        let mut client = scene.client(&gateway.url, &["--drain", "1s"]);
        let id = client.start_call("slow", &json!({"milliseconds": 60_000}));
        until("it begins", || scene.pages.began() == calls);
        let began = Instant::now();
        match ends_by {
            "input" => client.close_input(),
            _ => {
                let pid = client.child.id().to_string();
                let killed = std::process::Command::new("kill").args(["-TERM", &pid]).status();
                assert!(killed.unwrap().success());
            }
        }
        let told = client.answer_to(&id);
        assert!(text(&told).contains("shut down"), "{told}");
        assert!(client.ended().success());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[test]
fn lines_that_are_piped_at_once_are_answered_in_a_session() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    let mut command = scene.agent(&gateway.url, &[]);
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}});
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let call = json!({"jsonrpc": "2.0", "id": "b", "method": "tools/call", "params": {"name": "search", "arguments": {"query": "roadmap"}}});
    // Without an end of its last line.
    let input = format!("{initialize}\n{initialized}\r\n\n{call}");
    let output = hardtack_testkit::command::fed(&mut command, &input);
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        answers.iter().map(|answer| answer["id"].clone()).collect::<Vec<_>>(),
        [json!(1), json!("b")]
    );
    assert_eq!(text(&answers[1]), "found roadmap");
}
