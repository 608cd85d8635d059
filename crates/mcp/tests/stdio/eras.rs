//! 2026-07-28, which has no sessions: each owner has a process. And the official client and server in both protocols.

use std::time::Duration;

use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::object;
use rmcp::service::{ClientLifecycleMode, ClientServiceExt};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};

use crate::client::{Session, ask, is_alive, soon, stage, stream};
use crate::tests;

tests![
    the_official_client_and_server_work_in_both_protocols,
    an_owner_has_one_process_and_no_other_owner_has_it,
    closing_the_stream_cancels,
    subscriptions_are_told_under_the_clients_own_id,
    an_old_server_is_known_to_be_one,
    errors_have_the_status_of_their_protocol,
    the_protocol_is_the_one_that_was_judged,
    a_question_for_the_protocol_ends_no_call,
];

async fn the_official_client_and_server_work_in_both_protocols() {
    crate::stage::client();
    let modern =
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    for lifecycle in [ClientLifecycleMode::Initialize, modern] {
        let stage = stage("official").await;
        let (_, bearer) = stage.researcher();
        let config =
            StreamableHttpClientTransportConfig::with_uri(stage.url()).auth_header(&bearer);
        let transport = StreamableHttpClientTransport::from_config(config);
        let client = ().serve_with_lifecycle(transport, lifecycle).await.unwrap();
        let tools = client.list_all_tools().await.unwrap();
        let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names, ["search"]);
        let search = || {
            let request = CallToolRequestParams::new("search");
            client.call_tool(request.with_arguments(object!({"query": "x"})))
        };
        let (one, two) = tokio::join!(search(), search());
        let text =
            |result: rmcp::model::CallToolResult| result.content[0].as_text().unwrap().text.clone();
        let (one, two) = (text(one.unwrap()), text(two.unwrap()));
        assert!(one.starts_with("found x") && one == two, "{one} {two}");
        let refused = client.call_tool(CallToolRequestParams::new("delete_page")).await.unwrap();
        assert_eq!(refused.is_error, Some(true));
        client.cancel().await.unwrap();
    }
}

async fn called(stage: &crate::stage::Stage, bearer: &str, tool: &str) -> String {
    let answer = ask(stage, bearer, "tools/call", json!({"name": tool, "arguments": {}})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text()
}

async fn an_owner_has_one_process_and_no_other_owner_has_it() {
    let stage = stage("modern").await;
    let (alice, bob) = (stage.alice.presents(), stage.bob.presents());
    let again = stage.alice.presents();
    let part = stage.agent(&["tools:call:pid"]).presents();
    let pids = tokio::join!(
        called(&stage, &alice, "pid"),
        called(&stage, &again, "pid"),
        called(&stage, &bob, "pid"),
        called(&stage, &part, "pid"),
    );
    assert_eq!(pids.0, pids.1, "one holder of one grant, with two presentations");
    assert!(pids.0 != pids.2 && pids.0 != pids.3 && pids.2 != pids.3, "{pids:?}");
    // A session has another one.
    let session = Session::open(&stage, &alice).await;
    assert_ne!(session.call("pid", json!({})).await, pids.0);
    // Two clients use the same id at once.
    let slow = json!({"name": "echo", "arguments": {"after": 500, "which": "slow"}});
    let quick = json!({"name": "echo", "arguments": {"after": 1, "which": "quick"}});
    let (slow, quick) = tokio::join!(
        ask(&stage, &alice, "tools/call", slow),
        ask(&stage, &again, "tools/call", quick)
    );
    assert!(slow.text().contains("slow") && quick.text().contains("quick"));
    assert_eq!((&slow.json()["id"], &quick.json()["id"]), (&json!(7), &json!(7)));
}

async fn closing_the_stream_cancels() {
    let stage = stage("modern").await;
    let bearer = stage.alice.presents();
    let hanging = ask(&stage, &bearer, "tools/call", json!({"name": "hang", "arguments": {}}));
    assert!(tokio::time::timeout(Duration::from_millis(500), hanging).await.is_err());
    let cancelled = async {
        while called(&stage, &bearer, "cancelled").await != "[1]" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), cancelled).await.expect("it is cancelled");
    // One client cannot cancel what another one asked for.
    let hanging =
        ask(&stage, &bearer, "tools/call", json!({"name": "echo", "arguments": {"after": 800}}));
    let cancelling = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let headers =
            [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "notifications/cancelled")];
        let body = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
        stage.post_with(&bearer, &headers, body.to_string()).await
    };
    let (answer, cancelling) = tokio::join!(hanging, cancelling);
    assert_eq!((answer.status, cancelling.status), (200, 202), "{cancelling:?}");
    assert_eq!(called(&stage, &bearer, "cancelled").await, "[1]");
}

async fn subscriptions_are_told_under_the_clients_own_id() {
    let stage = stage("modern").await;
    let bearer = stage.alice.presents();
    called(&stage, &bearer, "pid").await;
    let filter = json!({"notifications": {"toolsListChanged": true}});
    let mut events = stream(&stage, &bearer, "subscriptions/listen", filter).await;
    let own =
        |event: &Value| event["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].clone();
    let acknowledged = events.next().await.unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(own(&acknowledged), 7);
    called(&stage, &bearer, "change").await;
    let changed = events.next().await.unwrap();
    assert_eq!(
        (changed["method"].as_str(), own(&changed)),
        (Some("notifications/tools/list_changed"), json!(7))
    );
    drop(events);
    let cancelled = async {
        while called(&stage, &bearer, "cancelled").await != "[2]" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), cancelled).await.expect("it is cancelled");
}

async fn an_old_server_is_known_to_be_one() {
    let stage = stage("book").await;
    let bearer = stage.alice.presents();
    let answer = ask(&stage, &bearer, "server/discover", json!({})).await;
    assert_eq!(answer.status, 404, "{answer:?}");
    assert_eq!(
        (&answer.json()["error"]["code"], &answer.json()["id"]),
        (&json!(-32601), &json!(7))
    );
    let session = Session::open(&stage, &bearer).await;
    let pid = session.call("pid", json!({})).await;
    soon("the session's process runs", Duration::from_secs(1), || is_alive(&pid)).await;
}

async fn errors_have_the_status_of_their_protocol() {
    let stage = stage("modern").await;
    let bearer = stage.alice.presents();
    let answer = ask(&stage, &bearer, "server/discover", json!({})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = ask(&stage, &bearer, "prompts/list", json!({})).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!(-32601)));
    let session = Session::open(&stage, &bearer).await;
    let list = json!({"jsonrpc": "2.0", "id": 4, "method": "prompts/list"});
    assert_eq!(session.post(&list).await.status, 200);
    for method in ["initialize", "ping"] {
        assert_eq!(ask(&stage, &bearer, method, json!({})).await.status, 404, "{method}");
    }
    let request = crate::stage::client().delete(stage.url()).bearer_auth(&bearer);
    let request = request.header("mcp-protocol-version", "2026-07-28");
    assert_eq!(request.send().await.unwrap().status(), 405);
}

async fn the_protocol_is_the_one_that_was_judged() {
    let stage = stage("modern").await;
    let bearer = stage.alice.presents();
    let (mut headers, body) =
        crate::stage::modern("tools/call", json!({"name": "pid", "arguments": {}}));
    let version = headers.iter_mut().find(|(name, _)| *name == "mcp-protocol-version").unwrap();
    // 2026-07-28
    version.1 = "=?base64?MjAyNi0wNy0yOA==?=".to_owned();
    let answer = stage.post_with(&bearer, &crate::stage::borrowed(&headers), body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text(), called(&stage, &bearer, "pid").await, "the owner's process");
}

async fn a_question_for_the_protocol_ends_no_call() {
    let stage = stage("book").await;
    let bearer = stage.alice.presents();
    let slow = json!({"name": "echo", "arguments": {"after": 1500}});
    let asking = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        ask(&stage, &bearer, "server/discover", json!({})).await.status
    };
    let (called, asked) = tokio::join!(ask(&stage, &bearer, "tools/call", slow), asking);
    assert_eq!((called.status, asked), (200, 404), "{called:?}");
}
