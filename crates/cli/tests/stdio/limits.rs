//! What a client may send, and how much is held for it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, text};
use crate::scene::Scene;

#[test]
fn what_is_no_message_is_answered_and_the_next_one_is_read() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    let mut client = scene.client(&gateway.url, &[]);
    let deep = "[".repeat(200_000);
    for (line, id, code) in [
        ("garbage".to_owned(), Value::Null, -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":901,\"method\":\"ping\"".to_owned(), json!(901), -32700),
        ("{\"method\":\"ping\",,\"id\":\"x\\u0041\"}".to_owned(), json!("xA"), -32700),
        (deep, Value::Null, -32600),
        ("{}".to_owned(), Value::Null, -32600),
        ("[]".to_owned(), Value::Null, -32600),
        ("null".to_owned(), Value::Null, -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":902}".to_owned(), json!(902), -32600),
        ("{\"jsonrpc\":\"1.0\",\"id\":903,\"method\":\"ping\"}".to_owned(), json!(903), -32600),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":904,\"method\":\"ping\",\"method\":\"ping\"}".to_owned(),
            json!(904),
            -32600,
        ),
        ("[{\"jsonrpc\":\"2.0\",\"id\":905,\"method\":\"ping\"}]".to_owned(), json!(905), -32600),
    ] {
        client.write(format!("{line}\n").as_bytes());
        let shown = &line[..line.len().min(60)];
        let told = client.next();
        assert_eq!(told["id"], id, "{shown}: {told}");
        assert_eq!(told["error"]["code"], code, "{shown}: {told}");
        assert!(text(&told).starts_with("not sent: "), "{shown}: {told}");
    }
    client.write(b"\xff\xfe\x00\n");
    assert_eq!(client.next()["error"]["code"], -32700);
    // An answer that cannot be read is no request of the client's, and must not look like an answer to one.
    client.write(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":1,\"a\":2}}\n");
    assert_eq!(client.search("roadmap"), "found roadmap");
    assert!(client.unasked.is_empty(), "{:?}", client.unasked);
    let told = client.request("no/such", json!({}));
    assert_eq!(told["error"]["code"], -32601, "{told}");
    assert!(client.ends().success());
}

#[test]
#[cfg(target_os = "linux")]
fn a_line_of_a_hundred_megabytes_is_refused_with_its_id_and_not_held() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    let mut client = scene.client(&gateway.url, &[]);
    let before = client.peak();
    client.write(b"{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"name\":\"search\",\"arguments\":{\"query\":\"");
    let part = vec![b'a'; 1024 * 1024];
    (0..100).for_each(|_| client.write(&part));
    client.write(b"\"}},\"id\":\"large\"}\n");
    let told = client.answer_to(&json!("large"));
    assert_eq!(told["result"]["isError"], true);
    assert!(text(&told).contains("more than 4194304 bytes"), "{told}");
    assert_eq!(client.search("roadmap"), "found roadmap");
    let grown = client.peak() - before;
    assert!(grown < 32 * 1024, "{grown} KiB");
    assert_eq!(scene.pages.searched(), 1);
}

/// Two hundred requests are more than may be under way, and their answers more than may be held.
#[test]
#[cfg(target_os = "linux")]
fn a_client_that_does_not_read_is_waited_for_within_bounds() {
    const LARGE: usize = 256 * 1024;
    let scene = Scene::set();
    let gateway = scene.gateway();
    let mut client = Client::start_unread(&mut scene.agent(&gateway.url, &[]));
    client.is_modern = true;
    let asked: Vec<Value> =
        (0..200).map(|_| client.start_call("large", &json!({"bytes": LARGE}))).collect();
    std::thread::sleep(Duration::from_secs(4));
    let held = client.peak();
    assert!(held < 200 * 1024, "{held} KiB");
    client.read();
    let (mut whole, mut later) = (0, 0);
    let mut answered: Vec<i64> = asked
        .iter()
        .map(|_| {
            let answer = client.next();
            match text(&answer).len() {
                LARGE => whole += 1,
                _ => {
                    assert!(text(&answer).contains("too much is held"), "{}", text(&answer));
                    later += 1;
                }
            }
            answer["id"].as_i64().unwrap()
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, (1..=200).collect::<Vec<i64>>(), "each is answered once");
    assert!(whole >= 30, "{whole} whole, {later} later, {held} KiB");
    assert_eq!(client.search("roadmap"), "found roadmap");
    assert!(client.ends().success());
}

#[test]
fn a_second_request_with_an_id_that_is_under_way_is_refused() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    let mut client = scene.client(&gateway.url, &[]);
    let call = json!({"jsonrpc": "2.0", "id": "same", "method": "tools/call", "params": {"name": "search", "arguments": {"query": "a"}}});
    client.write(format!("{call}\n").repeat(100).as_bytes());
    let told: Vec<Value> = (0..100).map(|_| client.next()).collect();
    let refused = told.iter().filter(|told| text(told).contains("another request with this id"));
    let refused = refused.count();
    assert!(refused > 0 && told.iter().all(|told| told["id"] == "same"), "{told:?}");
    assert_eq!(scene.pages.searched(), 100 - refused, "what is refused is not sent");
    // One that has its answer leaves its id to the next one, whatever the protocol says.
    for _ in 0..5 {
        client.write(format!("{call}\n").as_bytes());
        let told = client.next();
        assert!(!text(&told).contains("another request"), "{told}");
    }
    assert!(client.ends().success());
}

#[test]
fn a_client_that_stops_reading_for_good_ends_it() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    let mut client = Client::start_unread(&mut scene.agent(&gateway.url, &[]));
    drop(client.child.stdout.take());
    client.is_modern = true;
    let _ = client.start_call("search", &json!({"query": "roadmap"}));
    assert!(client.ended().code().is_some(), "its input is open, and it ends all the same");
}
