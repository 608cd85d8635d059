//! What a client calls, in both protocols.

use hardtack_testkit::command::until;
use serde_json::{Value, json};

use crate::client::text;
use crate::scene::Scene;

#[test]
fn an_allowed_call_passes_a_refused_one_is_told_why_and_the_session_lives() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    for (more, is_modern) in
        [(&[][..], false), (&["--call-bound"], false), (&[], true), (&["--call-bound"], true)]
    {
        let before = scene.pages.searched();
        let mut client = match is_modern {
            false => scene.client(&gateway.url, more),
            true => scene.modern(&gateway.url, more),
        };
        let listed = client.request("tools/list", json!({}));
        let mut names: Vec<&str> = listed["result"]["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["name"].as_str().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["ask", "large", "search", "slow"], "what is not granted is not shown");
        assert_eq!(client.search("roadmap"), "found roadmap");
        let refused = client.call("delete_page", &json!({}));
        assert_eq!(refused["result"]["isError"], true);
        assert_eq!(
            text(&refused).split(". ").next().unwrap(),
            "denied: the token does not grant tools:call:delete_page",
        );
        assert_eq!(client.search("again"), "found again");
        assert_eq!((scene.pages.searched(), scene.pages.deleted()), (before + 2, 0));
        let key = scene.shell.read("researcher.key");
        let capability = scene.shell.read("researcher.token");
        // Each presentation of it begins with it, all but its last bytes.
        let beginning = &capability.trim()[..capability.trim().len() - 200];
        for (place, said) in [("output", client.said()), ("log", client.logged())] {
            assert!(!said.contains(beginning), "a token is on the {place}");
            assert!(!said.contains(key.trim()), "the key is on the {place}");
        }
        assert!(client.ends().success());
    }
}

#[test]
fn progress_and_what_the_server_asks_pass_and_so_do_the_clients_answers() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    let mut client = scene.client(&gateway.url, &[]);
    let params = json!({"name": "slow", "arguments": {"milliseconds": 200}, "_meta": {"progressToken": "p"}});
    let answer = client.request("tools/call", params);
    assert_eq!(text(&answer), "done");
    let told: Vec<&Value> = client
        .unasked
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .collect();
    assert_eq!(
        told.iter().map(|told| told["params"]["progress"].as_f64()).collect::<Vec<_>>(),
        [Some(1.0), Some(2.0)]
    );
    assert!(told.iter().all(|told| told["params"]["progressToken"] == "p"));

    let id = client.start_call("ask", &json!({}));
    let asked = loop {
        let message = client.next();
        if message["method"] == "roots/list" {
            break message;
        }
    };
    let roots = json!({"roots": [{"uri": "file:///a"}, {"uri": "file:///b"}]});
    client.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": roots}));
    assert_eq!(text(&client.answer_to(&id)), "roots: 2");
    assert!(client.ends().success());
}

#[test]
fn a_call_that_is_cancelled_ends_at_the_server_and_is_not_answered() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    for is_modern in [false, true] {
        let mut client = match is_modern {
            false => scene.client(&gateway.url, &[]),
            true => scene.modern(&gateway.url, &[]),
        };
        let (began, cancelled) = (scene.pages.began(), scene.pages.cancelled());
        let id = client.start_call("slow", &json!({"milliseconds": 60_000}));
        until("it begins", || scene.pages.began() == began + 1);
        let params = json!({"requestId": id, "reason": "no more"});
        client.send(
            &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}),
        );
        until("it is cancelled", || scene.pages.cancelled() == cancelled + 1);
        assert_eq!(client.search("after it"), "found after it");
        assert!(client.unasked.iter().all(|message| message["id"] != id), "{:?}", client.unasked);
        assert!(client.ends().success());
    }
}

#[test]
fn calls_at_once_are_each_answered_once() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    let mut client = scene.client(&gateway.url, &[]);
    let asked: Vec<Value> =
        (0..100).map(|n| client.start_call("search", &json!({"query": n.to_string()}))).collect();
    let mut answered: Vec<(Value, String)> = asked
        .iter()
        .map(|_| client.next())
        .map(|answer| (answer["id"].clone(), text(&answer)))
        .collect();
    answered.sort_by_key(|(id, _)| id.as_i64());
    let expected: Vec<(Value, String)> =
        asked.into_iter().enumerate().map(|(n, id)| (id, format!("found {n}"))).collect();
    assert_eq!(answered, expected);
    assert!(client.ends().success());
}
