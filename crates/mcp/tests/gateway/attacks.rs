//! What somebody does who holds a token and hates the server, or holds none.

use std::time::Duration;

use hardtack::{Call, Presenting};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{AUDIENCE, Answer, PATIENCE, Stage, borrowed, call, client, modern, request};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_that_holds_the_server_hears_nothing() {
    let stage = Stage::set().await;
    let (agent, good) = stage.researcher();
    let elsewhere = stage.agent(&["tools:call:search"]).presents_for(Presenting::to("mail.mcp"));
    let unpresented = agent.capability.to_base64();
    let mut tampered = good.clone().into_bytes();
    tampered[100] ^= 1;
    let tampered = String::from_utf8(tampered).unwrap();
    for bearer in ["", "garbage", &elsewhere, &unpresented, &tampered] {
        for method in [http::Method::POST, http::Method::GET, http::Method::DELETE] {
            let mut request = client()
                .request(method, stage.url())
                .header("content-type", "application/json")
                .body(call("search").to_string());
            if !bearer.is_empty() {
                request = request.bearer_auth(bearer);
            }
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(answer.status, 401, "{bearer}");
            let challenge = &answer.headers["www-authenticate"];
            assert_eq!(challenge.contains("error=\"invalid_token\""), !bearer.is_empty());
            assert!(!challenge.contains("resource_metadata"), "{challenge}");
        }
    }
    assert!(stage.behind.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callers_token_never_reaches_the_server() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    stage
        .post_with(&bearer, &[("cookie", "a=b"), ("x-api-key", "k")], call("search").to_string())
        .await;
    let seen = stage.behind.seen();
    assert_eq!(seen[0].headers["authorization"], "Bearer the-gateways-own");
    for name in ["cookie", "x-api-key"] {
        assert!(!seen[0].headers.contains_key(name));
    }
    // In another header, in the query, and in the body, however it is written.
    for header in ["mcp-param-token", "baggage", "user-agent", "x-token"] {
        let refused =
            stage.post_with(&bearer, &[(header, &bearer)], call("search").to_string()).await;
        assert_eq!(refused.status, 400, "{header}");
    }
    let in_query = format!("{}?access_token={bearer}", stage.url());
    let refused = client().post(in_query).bearer_auth(&bearer).body("{}").send().await.unwrap();
    assert_eq!(refused.status(), 400);
    let only_in_query = format!("{}?access_token={bearer}", stage.url());
    assert_eq!(client().post(only_in_query).body("{}").send().await.unwrap().status(), 400);
    let escaped = format!("\\u{:04x}{}", bearer.as_bytes()[0], &bearer[1..]);
    for body in [
        request("tools/call", json!({"name": "search", "_meta": {"token": bearer}})).to_string(),
        request("tools/call", json!({"name": "search", "arguments": {"q": ["x", {"y": format!("Bearer {bearer}!")}]}})).to_string(),
        request("tools/call", json!({"name": "search", "arguments": {bearer.clone(): 1}})).to_string(),
        request("ping", json!({"_meta": {"token": "ESCAPED"}})).to_string().replace("ESCAPED", &escaped),
        json!({"jsonrpc": "2.0", "id": 1, "result": {"text": bearer}}).to_string(),
    ] {
        assert_eq!(stage.post_with(&bearer, &[], body.clone()).await.status, 400, "{body}");
    }
    assert_eq!(stage.behind.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_sends_what_cannot_be_read_is_told_so_and_its_session_goes_on() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    for arguments in [r#"{"query":123456789012345678}"#, r#"{"query":"\ud83d"}"#] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{{"name":"search","arguments":{arguments}}}}}"#
        );
        let told = stage.post_with(&bearer, &[], body).await;
        assert!(told.is_refused_tool() && told.json()["id"] == "x", "{told:?}");
    }
    assert!(stage.behind.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_members_hold_nobody_up() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let prefix = "k".repeat(150);
    let params: serde_json::Map<String, serde_json::Value> =
        (0..13_000).map(|number| (format!("{prefix}{number}"), json!(1))).collect();
    let many = request("ping", params.into());
    let search = call("search");
    let (all, one) = tokio::join!(
        futures_util::future::join_all((0..4).map(|_| stage.post(&bearer, &many))),
        tokio::time::timeout(Duration::from_secs(5), stage.post(&bearer, &search))
    );
    assert_eq!(one.unwrap().text(), "did search");
    assert!(all.iter().all(|answer| answer.status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_cannot_judge_is_recorded_as_refused() {
    let stage = Stage::set().await;
    let bearer = stage.agent(&["tools:*", "resources:*", "tasks:*"]).presents();
    for (method, params) in [
        ("tools/call", json!({"name": "sea rch"})),
        ("resources/read", json!({"uri": "https://a.b/../c"})),
        ("subscriptions/listen", json!({"notifications": {"everything": true}})),
        ("subscriptions/listen", json!({"notifications": {"taskIds": ["somebody-elses"]}})),
        ("tasks/get", json!({"taskId": "somebody-elses"})),
    ] {
        stage.post(&bearer, &request(method, params)).await;
    }
    let causes = ["inexact_call", "inexact_call", "inexact_call", "strange_task", "strange_task"];
    assert_eq!(stage.causes(), causes);
    assert!(stage.behind.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_authorization_headers_are_refused() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let twice = client()
        .post(stage.url())
        .header("authorization", format!("Bearer {bearer}"))
        .header("authorization", format!("Bearer {bearer}"))
        .body(call("search").to_string());
    assert_eq!(twice.send().await.unwrap().status(), 400);
    assert!(stage.behind.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_say_something_else_than_the_body_are_refused() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let (good, body) = modern("tools/call", json!({"name": "delete_page"}));
    for (index, value) in [(0, "2025-11-25"), (1, "tools/list"), (2, "search")] {
        let mut headers = good.clone();
        headers[index].1 = value.to_owned();
        let refused = stage.post_with(&bearer, &borrowed(&headers), body.clone()).await;
        assert_eq!(refused.status, 400, "{value}");
        assert_eq!(refused.json()["error"]["code"], -32020, "{value}");
        assert_eq!(refused.json()["id"], 7);
    }
    let missing = stage.post_with(&bearer, &borrowed(&good[..2]), body).await;
    assert_eq!(missing.json()["error"]["code"], -32020);
    assert!(stage.behind.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_message_cannot_be_smuggled() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let (search, delete) = (call("search").to_string(), call("delete_page").to_string());
    for body in [
        format!("[{search},{delete}]"),
        format!("{search}{delete}"),
        format!("{search}\n{delete}"),
        format!("\u{feff}{search}"),
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","name":"delete_page"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","Name":"delete_page"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search"},"Params":{"name":"delete_page"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{"a":1,"a":2}}}"#.to_owned(),
        String::new(),
        "null".to_owned(),
    ] {
        let refused = stage.post_with(&bearer, &[], body.clone()).await;
        assert_eq!(refused.status, 400, "{body}");
    }
    for headers in [
        [("content-encoding", "gzip")],
        [("content-type", "text/plain")],
        [("content-type", "application/json; charset=utf-7")],
    ] {
        let mut request = client().post(stage.url()).bearer_auth(&bearer).body(search.clone());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        assert_eq!(request.send().await.unwrap().status(), 415, "{headers:?}");
    }
    assert!(stage.behind.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_for_whoever_opened_it() {
    let stage = Stage::set().await;
    let (agent, mine) = stage.researcher();
    let opened = stage.post(&mine, &request("initialize", json!({}))).await;
    let session = opened.headers["mcp-session-id"].clone();
    assert!(!opened.headers.contains_key("set-cookie"));
    let with = |session: &str| [("mcp-session-id", session.to_owned())];
    // A presentation that is renewed is the same agent's.
    for bearer in [&mine, &agent.presents()] {
        let headers = with(&session);
        let answer = stage.post_with(bearer, &borrowed(&headers), call("search").to_string()).await;
        assert_eq!(answer.text(), "did search");
    }
    let seen = stage.behind.seen().last().unwrap().clone();
    assert_eq!(seen.headers["mcp-session-id"], "session-1");

    let before = stage.behind.seen().len();
    let sibling = stage.agent(&["tools:call:search"]).presents();
    let child = agent.delegates("agent.helper", &["tools:call:search"]).presents();
    let other = Stage::set().await;
    let stranger = other.researcher().1;
    for (bearer, session, status) in [
        (&sibling, session.as_str(), 404),
        (&child, &session, 404),
        (&mine, "session-1", 404),
        (&mine, "session-1.00", 404),
        (&stranger, &session, 401),
    ] {
        for method in [http::Method::POST, http::Method::GET, http::Method::DELETE] {
            let request = client()
                .request(method, stage.url())
                .bearer_auth(bearer)
                .header("mcp-session-id", session)
                .header("content-type", "application/json")
                .body(call("search").to_string());
            assert_eq!(request.send().await.unwrap().status(), status, "{session}");
        }
    }
    assert_eq!(stage.behind.seen().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_bound_presentation_is_good_once_however_many_try_at_once() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:*"]);
    let bound = Call::tool("search").unwrap().arguments(r#"{"query": "roadmap"}"#).unwrap();
    let bearer = agent.presents_for(Presenting::to(AUDIENCE).call(bound));
    // Another call, or the same with other arguments, burns nothing.
    let other =
        request("tools/call", json!({"name": "search", "arguments": {"query": "salaries"}}));
    for other in [other, call("delete_page")] {
        assert!(stage.post(&bearer, &other).await.is_refused_tool());
    }
    let search = call("search");
    let tries = (0..50).map(|_| stage.post(&bearer, &search));
    let answers = futures_util::future::join_all(tries).await;
    let allowed = answers.iter().filter(|answer| answer.status == 200);
    assert_eq!(allowed.count(), 1);
    assert!(answers.iter().all(|answer| [200, 401].contains(&answer.status)));
    assert_eq!(stage.behind.called(), ["search"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_rebinds_a_name_is_turned_away() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    for (header, value) in [
        ("host", "evil.example"),
        ("host", "127.0.0.1.evil.example"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        for path in ["/mcp", "/", "/hardtack/revocations"] {
            let request = client()
                .post(format!("http://{}{path}", stage.address))
                .bearer_auth(&bearer)
                .header(header, value)
                .header("content-type", "application/json")
                .body(call("search").to_string());
            assert_eq!(request.send().await.unwrap().status(), 403, "{header}: {value} at {path}");
        }
    }
    assert!(stage.behind.seen().is_empty());
    let opened = Stage::set_with(crate::stage::Answers::Json, |gateway| {
        gateway.hosts(["tools.example".to_owned()]).origins(["https://app.example".to_owned()])
    })
    .await;
    let (_, bearer) = opened.researcher();
    let headers = [("host", "tools.example"), ("origin", "https://app.example")];
    let answer = opened.post_with(&bearer, &headers, call("search").to_string()).await;
    assert_eq!(answer.text(), "did search");
}

/// Writes to a socket and reads what comes until it is closed, or for a while.
async fn raw(stage: &Stage, text: &[u8]) -> String {
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    // The gateway may have answered and closed before all is written.
    let _ = stream.write_all(text).await;
    let mut read = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut read)).await;
    String::from_utf8_lossy(&read).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_megabyte_of_headers_is_refused() {
    let stage = Stage::set().await;
    let large = "a".repeat(1024 * 1024);
    for header in ["Authorization: Bearer ", "X-Large: "] {
        let answer = raw(
            &stage,
            format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{header}{large}\r\n\r\n").as_bytes(),
        )
        .await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let many = "x: y\r\n".repeat(1000);
    let answer =
        raw(&stage, format!("GET /mcp HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = "a".repeat(30_000);
    let answer = raw(
        &stage,
        format!("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {long}\r\n\r\n")
            .as_bytes(),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(stage.behind.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_two_servers_would_cut_differently_are_refused() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\nContent-Type: application/json\r\n"
    );
    let body = call("search").to_string();
    let (length, longer) = (body.len(), body.len() + 1);
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    // The same bytes are answered if they are framed in one way only.
    for framing in [
        format!("Content-Length: {length}\r\n\r\n{body}"),
        format!("Transfer-Encoding: chunked\r\n\r\n{chunked}"),
    ] {
        let answer = raw(&stage, format!("{head}{framing}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("did search"), "{answer}");
    }
    assert_eq!(stage.behind.called().len(), 2);
    for framing in [
        format!("Content-Length: {length}\r\nContent-Length: {longer}\r\n\r\n{body} "),
        format!("Content-Length: {length}, {longer}\r\n\r\n{body} "),
        format!("Content-Length: +{length}\r\n\r\n{body}"),
        format!("Transfer-Encoding: identity\r\n\r\n{chunked}"),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n{chunked}"),
        format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n{chunked}"),
        format!("Transfer-Encoding : chunked\r\n\r\n{chunked}"),
        format!("Transfer-Encoding: chunked\r\n\r\n{}", chunked.replacen("\r\n", "x\r\n", 1)),
    ] {
        let answer = raw(&stage, format!("{head}{framing}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{framing}: {answer}");
    }
    assert_eq!(stage.behind.called().len(), 2);
    // Of two framings at once one holds, and nothing behind it is taken for a request (RFC 9112, section 6.1).
    let open = head.replace("Connection: close\r\n", "");
    let second = format!("{head}Content-Length: {length}\r\n\r\n{body}");
    for lengths in [
        format!("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}{second}"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{chunked}{second}"),
    ] {
        let answer = raw(&stage, format!("{open}{lengths}").as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(stage.behind.called().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_holds_nobody_else_up_and_no_body_is_read_of_a_stranger() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let head = |bearer: &str| {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
        )
    };
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.write_all(head(&bearer).as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let answer =
        tokio::time::timeout(PATIENCE, stage.post(&bearer, &call("search"))).await.unwrap();
    assert_eq!(answer.text(), "did search");
    // A stranger is answered before its body has come.
    assert!(raw(&stage, head("stranger").as_bytes()).await.starts_with("HTTP/1.1 401"));
    assert_eq!(stage.behind.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_refused() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let large = request("ping", json!({"_meta": {"x": "a".repeat(5 * 1024 * 1024)}}));
    assert_eq!(stage.post(&bearer, &large).await.status, 413);
    let many: serde_json::Map<_, _> = (0..1001).map(|n| (format!("a{n}"), json!(1))).collect();
    let many = request("tools/call", json!({"name": "search", "arguments": many}));
    let refused = stage.post(&bearer, &many).await;
    assert!(refused.is_refused_tool() && refused.text().contains("larger"), "{refused:?}");
    assert!(refused.text().contains("in the same way"), "{refused:?}");
    assert!(stage.behind.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_endpoint_leads_to_the_server() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/register",
        "/mcp/../x",
        "/mcp/x",
        "/%6dcp",
    ] {
        let request = client().post(format!("http://{}{path}", stage.address)).bearer_auth(&bearer);
        let answer =
            Answer::of(request.body(call("search").to_string()).send().await.unwrap()).await;
        assert_eq!(answer.status, 404, "{path}");
        answer.json();
    }
    assert!(stage.behind.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_does_not_wait_for_the_body_says_that_the_connection_ends() {
    let stage = Stage::set().await;
    let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    let waiting = raw(&stage, head.as_bytes()).await.to_lowercase();
    assert!(
        waiting.starts_with("http/1.1 401") && waiting.contains("connection: close"),
        "{waiting}"
    );
    // What has come with it is passed over, and the connection goes on.
    let twice = raw(&stage, format!("{head}{{}}{head}{{}}").as_bytes()).await;
    assert_eq!(twice.matches("HTTP/1.1 401").count(), 2, "{twice}");
}
