//! Where a bound lies: what is just within passes, what is just beyond is refused, and says why.

use std::time::Duration;

use hardtack::Presenting;
use hardtack_http::MAX_BEARER_BYTES;
use hardtack_mcp::{MAX_MESSAGE_BYTES, Upstream};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{Answer, PATIENCE, REVOCATIONS, Stage, call, client, request};

/// Writes a request and reads the beginning of its answer.
async fn status_of(stage: &Stage, text: &str) -> String {
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let _ = stream.write_all(text.as_bytes()).await;
    let mut read = vec![0; 12];
    let reading = stream.read_exact(&mut read);
    tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap();
    String::from_utf8(read).unwrap()
}

/// A ping of just so many bytes.
fn ping(bytes: usize) -> String {
    let empty = request("ping", json!({"_meta": {"x": ""}})).to_string();
    let text = "a".repeat(bytes - empty.len());
    request("ping", json!({"_meta": {"x": text}})).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_four_megabytes_and_not_a_byte_more() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let passes = stage.post_with(&bearer, &[], ping(MAX_MESSAGE_BYTES)).await;
    assert_eq!(passes.status, 200);
    let refused = stage.post_with(&bearer, &[], ping(MAX_MESSAGE_BYTES + 1)).await;
    assert_eq!(refused.status, 413, "a message of one byte more passes");
    let why = format!("the message has more than {MAX_MESSAGE_BYTES} bytes");
    assert_eq!(refused.json()["error"]["message"], why);
    assert_eq!(stage.behind.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_large_a_message_may_be_is_settable_for_each_server() {
    let behind = Stage::set().await;
    for (limit, passes) in [(100_000, false), (6_000_000, true)] {
        let upstream = Upstream::at(&behind.behind.url).unwrap().message_limit(limit);
        let stage = Stage::set_before(upstream).await;
        let (_, bearer) = stage.researcher();
        assert_eq!(stage.post_with(&bearer, &[], ping(limit)).await.status, 200);
        assert_eq!(stage.post_with(&bearer, &[], ping(limit + 1)).await.status, 413);
        let large = request(
            "tools/call",
            json!({"name": "search", "arguments": {"query": "a".repeat(5_000_000)}}),
        );
        let answer = stage.post(&bearer, &large).await;
        assert_eq!(answer.status == 200 && !answer.is_refused_tool(), passes, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_hundred_kilobytes_and_of_thousands_of_values_pass() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let entity = json!({"name": "x", "entityType": "y", "observations": ["a", "b", "c", "d", "e"]});
    for arguments in [
        json!({"query": "a".repeat(100_000)}),
        json!({"query": "a".repeat(3_000_000)}),
        json!({"entities": vec![entity; 1200]}),
    ] {
        let message = request("tools/call", json!({"name": "search", "arguments": arguments}));
        let answer = stage.post(&bearer, &message).await;
        assert!(answer.status == 200 && !answer.is_refused_tool(), "{answer:?}");
        assert_eq!(stage.behind.seen().last().unwrap().message(), message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn integers_of_64_bits_pass_to_the_server_for_which_they_are_let_through() {
    let behind = Stage::set().await;
    let called = |integer: &str| {
        let message = json!({"name": "search", "arguments": {"query": "x", "limit": "LIMIT"}});
        request("tools/call", message).to_string().replace("\"LIMIT\"", integer)
    };
    for takes in [false, true] {
        let upstream = Upstream::at(&behind.behind.url).unwrap();
        let upstream = if takes { upstream.large_integers() } else { upstream };
        let stage = Stage::set_before(upstream).await;
        let (_, bearer) = stage.researcher();
        for (integer, is_exact) in [
            ("9007199254740991", true),
            ("9007199254740993", takes),
            ("-9223372036854775808", takes),
            ("9223372036854775808", false),
            ("9007199254740993.0", false),
            ("1e300", false),
        ] {
            let before = behind.behind.seen().len();
            let answer = stage.post_with(&bearer, &[], called(integer)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(!answer.is_refused_tool(), is_exact, "{takes}, {integer}: {answer:?}");
            let seen = behind.behind.seen();
            assert_eq!(seen.len() - before, usize::from(is_exact), "{takes}, {integer}");
            if is_exact {
                let sent = seen.last().unwrap().message();
                assert_eq!(sent["params"]["arguments"]["limit"].to_string(), integer);
            } else {
                assert!(answer.body.contains("not called: "), "{answer:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_so_many_headers_and_bytes() {
    let stage = Stage::set().await;
    let head =
        |headers: String| format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let many = |count: usize| head("X: y\r\n".repeat(count));
    assert_eq!(status_of(&stage, &many(99)).await, "HTTP/1.1 200", "a hundred headers");
    assert_eq!(status_of(&stage, &many(100)).await, "HTTP/1.1 431", "a hundred and one headers");
    let long = |bytes: usize| head(format!("X: {}\r\n", "a".repeat(bytes)));
    let most = MAX_BEARER_BYTES + 16 * 1024;
    assert_eq!(status_of(&stage, &long(most - 200)).await, "HTTP/1.1 200", "a long head");
    // What is read at once may be somewhat more.
    assert_eq!(status_of(&stage, &long(2 * most)).await, "HTTP/1.1 431", "a head too long");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_that_wait_are_bounded_for_each_subject_whatever_its_keys() {
    let stage = Stage::set().await;
    let sibling = stage.alice.delegates("agent.sibling", &["tools:call:search"]);
    let (bearer, siblings) = (stage.alice.presents(), sibling.presents());
    let large = |tool: &str| {
        let pad = "a".repeat(3 * 1024 * 1024);
        request("tools/call", json!({"name": tool, "_meta": {"x": pad}})).to_string()
    };
    // Those of three megabytes are held until the server answers, which it does not.
    let mut waiting = Vec::new();
    let refused = loop {
        assert!(waiting.len() <= 64 / 3, "more than 64 MiB are held");
        let sent = client()
            .post(stage.url())
            .bearer_auth(&bearer)
            .header("content-type", "application/json")
            .body(large("stall"));
        let mut sent = tokio::spawn(async move { sent.send().await });
        let arrived = async {
            while stage.behind.seen().len() <= waiting.len() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            answer = &mut sent => break Answer::of(answer.unwrap().unwrap()).await,
            () = arrived => waiting.push(sent),
            () = tokio::time::sleep(PATIENCE) => panic!("neither forwarded nor refused"),
        }
    };
    // While it is judged, one costs four times its bytes.
    assert!(waiting.len() >= 64 / 3 - 4, "only {} are held", waiting.len());
    assert_eq!(refused.status, 503, "{refused:?}");
    let why = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(why.contains("too much is held"), "{why}");
    assert_eq!(stage.post_with(&siblings, &[], large("search")).await.status, 503, "another key");
    let others = stage.bob.presents();
    assert_eq!(stage.post_with(&others, &[], large("search")).await.text(), "did search");
    for sent in waiting {
        sent.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_would_take_more_memory_than_a_subject_has_is_refused_for_good() {
    let stage = Stage::set().await;
    let bearer = stage.alice.presents();
    // Each object takes a node of a tree, however small it is.
    let call = |value: String| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"search","arguments":{{"x":{value}}}}}}}"#
        )
    };
    let objects = |count: usize| call(format!("[{}]", vec![r#"{"":1}"#; count].join(",")));
    let refused = stage.post_with(&bearer, &[], objects(45_000)).await;
    assert_eq!(refused.status, 413, "{refused:?}");
    assert!(refused.body.contains("more than the 64 MiB"), "{refused:?}");
    let nested = format!("{}1{}", r#"{"":"#.repeat(90), "}".repeat(90));
    let refused =
        stage.post_with(&bearer, &[], call(format!("[{}]", vec![nested; 600].join(",")))).await;
    assert_eq!(refused.status, 413, "{refused:?}");
    assert_eq!(stage.behind.seen().len(), 0);
    assert_eq!(stage.post_with(&bearer, &[], objects(30_000)).await.text(), "did search");
    // The same as a text is as long as its bytes.
    let text = serde_json::to_string(&objects(150_000)).unwrap();
    assert_eq!(stage.post_with(&bearer, &[], call(text)).await.text(), "did search");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_short_however_long_the_text_is_that_it_refuses() {
    let stage = Stage::set_granting(&["*"]).await;
    let bearer = stage.alice.presents();
    // Each of these characters could be written as seven.
    let long = "\u{7f}".repeat(1024 * 1024);
    let message = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
    };
    let named = |name: &str| message("tools/call", &format!(r#"{{"name":"{name}"}}"#));
    let meta =
        format!(r#"{{"name":"a","_meta":{{"io.modelcontextprotocol/protocolVersion":"{long}"}}}}"#);
    let bodies = [
        message(&long, "{}"),
        named(&long),
        message("prompts/get", &format!(r#"{{"name":"{long}"}}"#)),
        message("resources/read", &format!(r#"{{"uri":"{long}"}}"#)),
        message(
            "resources/read",
            &format!(r#"{{"uri":"https://a.example/{}"}}"#, "%7f".repeat(1 << 20)),
        ),
        message("logging/setLevel", &format!(r#"{{"level":"{long}"}}"#)),
        message("tasks/get", &format!(r#"{{"taskId":"{long}"}}"#)),
        message("tools/call", &meta),
        message("initialize", &format!(r#"{{"protocolVersion":"{long}"}}"#)),
        message(
            "completion/complete",
            &format!(r#"{{"ref":{{"type":"{long}"}},"argument":{{}}}}"#),
        ),
        format!(r#"{{"jsonrpc":"2.0","method":"ping","{}id":1}}"#, " ".repeat(1 << 20)),
        format!(r#"{{"jsonrpc":"{long}","id":1,"method":"ping"}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":"{long}","method":"ping"}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","{long}":1}}"#),
    ];
    for body in bodies {
        for headers in [
            &[("Mcp-Method", "x")][..],
            &[("Mcp-Name", "x")],
            &[("MCP-Protocol-Version", "2025-06-18")],
            &[
                ("MCP-Protocol-Version", "2026-07-28"),
                ("Mcp-Method", "tools/call"),
                ("Mcp-Name", "x"),
            ],
            &[("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "ping")],
            &[],
        ] {
            let answer = stage.post_with(&bearer, headers, body.clone()).await;
            let beginning: String = answer.body.chars().take(300).collect();
            assert!(
                answer.body.len() < 4096,
                "{headers:?}: {} bytes: {beginning}",
                answer.body.len()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_listens_to_so_many_and_has_an_id_of_bounded_length() {
    let stage = Stage::set_granting(&["resources:*"]).await;
    let bearer = stage.alice.presents();
    let listen = |count: usize| {
        let uris: Vec<String> = (0..count).map(|n| format!("https://notion.so/{n}")).collect();
        request("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": uris}}))
    };
    let answer = stage.post(&bearer, &listen(32)).await;
    assert_eq!(answer.json()["result"]["method"], "subscriptions/listen", "{answer:?}");
    let refused = stage.post(&bearer, &listen(33)).await;
    assert_eq!(refused.json()["error"]["code"], -32602, "33 subscriptions pass: {refused:?}");
    let ping = |bytes: usize| json!({"jsonrpc": "2.0", "id": "a".repeat(bytes), "method": "ping"});
    assert_eq!(stage.post(&bearer, &ping(256)).await.status, 200);
    let refused = stage.post(&bearer, &ping(257)).await;
    assert_eq!(refused.status, 400, "an id of 257 bytes passes");
    assert!(refused.body.contains("too long"), "{refused:?}");
    assert_eq!(stage.behind.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_revoke_has_a_body_of_bounded_length() {
    let stage = Stage::set_granting(&["hardtack:revoke"]).await;
    let session = stage.alice.presents_for(Presenting::to(REVOCATIONS));
    let send = |bytes: usize| {
        let sent = client()
            .post(format!("http://{}/hardtack/revocations", stage.address))
            .bearer_auth(&session)
            .body("a".repeat(bytes));
        async { Answer::of(sent.send().await.unwrap()).await }
    };
    let most = 64 * 1024_usize;
    assert_eq!(send(most).await.status, 400, "it is read, and is none");
    let refused = send(most + 1).await;
    assert_eq!(refused.status, 413, "one byte more is read as well");
    assert!(refused.body.contains(&format!("more than {most} bytes")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_told_under_its_own_name_and_readiness_under_any() {
    let stage = Stage::set().await;
    let get = |path: &'static str, host: &'static str| {
        let sent = client().get(format!("http://{}{path}", stage.address)).header("host", host);
        async { Answer::of(sent.send().await.unwrap()).await }
    };
    for path in ["/readyz", "/metrics"] {
        assert_eq!(get(path, "localhost").await.status, 200, "{path}");
    }
    let rebound = get("/metrics", "evil.example").await;
    assert_eq!(rebound.status, 404, "told to a page that rebinds a name");
    assert_eq!(rebound.json(), json!({"error": "not_found"}));
    let rebound = get("/readyz", "evil.example").await;
    assert_eq!((rebound.status, rebound.json()), (200, json!({"ready": true})));
}

/// A gateway in front of a server that answers everything so.
async fn in_front_of(status: u16, media: &'static str, answer: String) -> Stage {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move || async move {
        let response = axum::response::Response::builder().status(status);
        let response = response.header("content-type", media);
        response.body(axum::body::Body::from(answer)).unwrap()
    });
    crate::stage::start(listener, router, Default::default());
    Stage::set_in_front_of(&url, Duration::from_secs(10)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_only_taken_is_said_to_be_unanswered() {
    let stage = in_front_of(202, "application/json", String::new()).await;
    let (_, bearer) = stage.researcher();
    for message in [call("search"), request("ping", json!({})), request("tools/list", json!({}))] {
        let refused = stage.post(&bearer, &message).await;
        assert_eq!((refused.status, &refused.json()["id"]), (502, &json!(7)), "{message}");
        assert!(refused.body.contains("did not answer it"), "a client waits for ever: {refused:?}");
    }
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(stage.post(&bearer, &note).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_neither_json_nor_events_is_not_handed_on() {
    let list = json!({"jsonrpc": "2.0", "id": 7, "result": {"tools": []}}).to_string();
    for media in ["text/plain", "text/html", "application/x-ndjson", ""] {
        let stage = in_front_of(200, media, list.clone()).await;
        let (_, bearer) = stage.researcher();
        let refused = stage.post(&bearer, &request("tools/list", json!({}))).await;
        assert_eq!(refused.status, 502, "{media}: {refused:?}");
        assert!(refused.body.contains("neither JSON nor events"), "{media}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_eight_megabytes_and_no_more() {
    let most = 8 * 1024 * 1024;
    let list = |bytes: usize| {
        let empty =
            json!({"jsonrpc": "2.0", "id": 7, "result": {"tools": [], "x": ""}}).to_string();
        let text = "a".repeat(bytes - empty.len());
        json!({"jsonrpc": "2.0", "id": 7, "result": {"tools": [], "x": text}}).to_string()
    };
    for (bytes, status) in [(most, 200), (most + 1, 502)] {
        let stage = in_front_of(200, "application/json", list(bytes)).await;
        let (_, bearer) = stage.researcher();
        let listed = stage.post(&bearer, &request("tools/list", json!({}))).await;
        assert_eq!(listed.status, status, "a list of {bytes} bytes");
        assert_eq!(listed.body.contains("more than 8388608 bytes"), status == 502);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_proxy_is_no_place_for_a_callers_credential() {
    for status in [401, 407] {
        let stage = in_front_of(status, "application/json", "{}".to_owned()).await;
        let (_, bearer) = stage.researcher();
        let refused = stage.post(&bearer, &call("search")).await;
        assert_eq!(refused.status, 502, "{status} has the caller look for another token");
        assert!(refused.body.contains("own credential"), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_verbs_of_http_are_refused_and_the_known_ones_named() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    for verb in [http::Method::PUT, http::Method::PATCH, http::Method::TRACE] {
        let sent = client().request(verb.clone(), stage.url()).bearer_auth(&bearer).send().await;
        let refused = Answer::of(sent.unwrap()).await;
        assert_eq!(refused.status, 405, "{verb}");
        assert_eq!(refused.headers["allow"], "POST, GET, DELETE");
    }
    assert!(stage.behind.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_have_an_id_and_notifications_have_none() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    for message in [
        json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "search"}}),
        json!({"jsonrpc": "2.0", "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "notifications/initialized"}),
    ] {
        let refused = stage.post(&bearer, &message).await;
        assert_eq!(refused.status, 400, "{message} passes");
        assert!(refused.body.contains("if and only if"), "{refused:?}");
    }
    assert!(stage.behind.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_slip_of_a_models_is_answered_as_a_tool_would() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let twice = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","name":"search"}}"#;
    let refused = stage.post_with(&bearer, &[], twice).await;
    assert_eq!((refused.status, &refused.json()["id"]), (400, &json!(7)));
    let slip = r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":12345678901234567890}}"#;
    assert_eq!(stage.post_with(&bearer, &[], slip).await.status, 400, "a ping is no tool");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_own_path_is_an_endpoint_unless_the_gateway_says_something_there() {
    let real = Stage::set().await;
    let base = real.behind.url.trim_end_matches("/mcp");
    for (path, is_endpoint) in [("/tools/x", true), ("/metrics", false), ("/hardtack/x", false)] {
        let stage = Stage::set_in_front_of(&format!("{base}{path}"), PATIENCE).await;
        let (_, bearer) = stage.researcher();
        let sent = client().post(format!("http://{}{path}", stage.address)).bearer_auth(&bearer);
        let sent = sent.header("content-type", "application/json").body(call("search").to_string());
        assert_eq!(sent.send().await.unwrap().status() == 200, is_endpoint, "{path}");
        let metrics = client().get(format!("http://{}/metrics", stage.address)).send().await;
        assert_eq!(metrics.unwrap().status(), 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let elsewhere = Stage::set().await;
    let to = elsewhere.behind.url.clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move || async move {
        let response = axum::response::Response::builder().status(307).header("location", to);
        response.body(axum::body::Body::empty()).unwrap()
    });
    crate::stage::start(listener, router, Default::default());
    let stage = Stage::set_in_front_of(&url, PATIENCE).await;
    let (_, bearer) = stage.researcher();
    let refused = stage.post(&bearer, &call("search")).await;
    assert!(elsewhere.behind.seen().is_empty(), "the call and its credential go elsewhere");
    assert_eq!(refused.status, 502);
    assert!(refused.body.contains("redirects"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_nothing_is_no_list() {
    let stage = in_front_of(200, "application/json", String::new()).await;
    let (_, bearer) = stage.researcher();
    let refused = stage.post(&bearer, &request("tools/list", json!({}))).await;
    assert_eq!((refused.status, &refused.json()["id"]), (502, &json!(7)), "{refused:?}");
}
