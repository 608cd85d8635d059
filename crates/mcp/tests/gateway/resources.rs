//! Which resources may be read: of schemes that the server's own lists name, under their one spelling.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hardtack_mcp::Drain;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::stage::{PATIENCE, Stage, client, request, start};

/// A stage in front of a server that answers each method with what `results` says.
async fn before(results: fn(&str) -> Value) -> Stage {
    let answer = async move |request: Request<Body>| {
        let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
        let message: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let result = results(message["method"].as_str().unwrap_or_default());
        let reply = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
        Response::builder()
            .header("content-type", "application/json")
            .body(Body::from(reply))
            .unwrap()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    start(listener, Router::new().fallback(answer), Drain::default());
    Stage::set_in_front_of(&url, PATIENCE).await
}

fn results(method: &str) -> Value {
    match method {
        "resources/list" => json!({"resources": [
            {"uri": "demo://resource/a", "name": "a"},
            {"uri": "demo://resource/../b", "name": "b"},
            {"uri": "memo://Notes/1", "name": "1"},
            {"uri": "https://notion.so/a", "name": "page"},
            {"name": "nothing"},
        ]}),
        "resources/templates/list" => json!({"resourceTemplates": [
            {"uriTemplate": "ui://widget/{id}", "name": "widget"},
            {"uriTemplate": "ui://Widget/{id}", "name": "capitals"},
            {"uriTemplate": "note://user@host/{id}", "name": "user"},
            {"uriTemplate": "{+any}", "name": "any"},
        ]}),
        "tools/call" => json!({"content": [], "resources": [{"uri": "evil://x", "name": "x"}]}),
        "tools/list" => json!({"tools": [], "resources": [{"uri": "evil://x", "name": "x"}]}),
        method => json!({"method": method}),
    }
}

/// What somebody sees and does who may read whatever can be read.
struct Reader {
    stage: Stage,
    bearer: String,
}

impl Reader {
    async fn before(results: fn(&str) -> Value) -> Reader {
        let stage = before(results).await;
        let bearer = stage.agent(&["resources:*", "tools:*"]).presents();
        Reader { stage, bearer }
    }

    async fn ask(&self, method: &str, params: Value) -> Value {
        self.stage.post(&self.bearer, &request(method, params)).await.json()
    }

    async fn listed(&self, method: &str, list: &str, member: &str) -> Vec<String> {
        let answer = self.ask(method, json!({})).await;
        let entries = answer["result"][list].as_array().unwrap_or_else(|| panic!("{answer}"));
        entries.iter().map(|entry| entry[member].as_str().unwrap().to_owned()).collect()
    }

    /// `None` if it is read, else why not.
    async fn refused(&self, uri: &str) -> Option<String> {
        let answer = self.ask("resources/read", json!({"uri": uri})).await;
        match answer["result"]["method"] == "resources/read" {
            true => None,
            false => Some(answer["error"]["message"].as_str().unwrap_or("?").to_owned()),
        }
    }

    async fn metrics(&self) -> String {
        let metrics = format!("http://{}/metrics", self.stage.address);
        client().get(metrics).send().await.unwrap().text().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheme_is_judged_when_the_servers_own_list_has_named_it() {
    let reader = Reader::before(results).await;
    let refused = reader.refused("demo://resource/a").await.unwrap();
    for part in ["scheme demo", "ask for resources/list", "--resource-scheme demo"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(reader.stage.causes(), ["resource_scheme"]);
    let shown = reader.listed("resources/list", "resources", "uri").await;
    assert_eq!(shown, ["demo://resource/a", "https://notion.so/a"]);
    assert_eq!(reader.refused("demo://resource/a").await, None);
    assert_eq!(reader.refused("demo://another").await, None);
    // No entry with one spelling named it.
    assert!(reader.refused("memo://notes/1").await.unwrap().contains("scheme memo"));
    assert!(reader.refused("ui://widget/1").await.unwrap().contains("scheme ui"));
    let shown = reader.listed("resources/templates/list", "resourceTemplates", "name").await;
    assert_eq!(shown, ["widget", "any"]);
    assert_eq!(reader.refused("ui://widget/1").await, None);
    assert!(reader.refused("note://host/1").await.unwrap().contains("scheme note"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_judged_for_whoever_may_read_and_for_sessions_that_began_before() {
    let reader = Reader::before(results).await;
    let (_, searcher) = reader.stage.researcher();
    // Somebody who may read nothing is shown nothing, and the server has said it all the same.
    let listed = reader.stage.post(&searcher, &request("resources/list", json!({}))).await.json();
    assert_eq!(listed["result"]["resources"], json!([]));
    assert_eq!(reader.refused("demo://resource/a").await, None);
    let read = request("resources/read", json!({"uri": "demo://resource/a"}));
    let refused = reader.stage.post(&searcher, &read).await.json();
    assert!(refused["error"]["message"].as_str().unwrap().contains("does not grant"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_spelling_of_a_resource_is_refused_and_says_why() {
    let reader = Reader::before(results).await;
    reader.listed("resources/list", "resources", "uri").await;
    for (uri, why) in [
        ("demo://resource/%61", "escape of a character"),
        ("demo://resource/a/", "slash at the end"),
        ("demo://resource//a", "empty part"),
        ("demo://resource/a#x", "fragment"),
        ("demo://resource/a?", "nothing behind"),
        ("demo://Resource/a", "capitals"),
        ("demo://x@resource/a", "user"),
        ("demo://resource:1/a", "port"),
        ("demo://resource/x\\a", "in an escape"),
        ("demo://resource/x%2Fa", "escape of a character"),
        ("demo:/resource/a", "one slash"),
        ("DEMO://resource/a", "normal form"),
        ("demo://resource/x/../a", "normal form"),
        ("demo://resource/x/%2e%2e/a", "normal form"),
        ("demo://resource/a\t", "normal form"),
    ] {
        let refused = reader.refused(uri).await.unwrap_or_else(|| panic!("{uri} is read"));
        assert!(refused.contains(why), "{uri}: {refused}");
    }
    assert!(reader.stage.causes().iter().all(|cause| cause == "inexact_call"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_says_and_what_another_list_has_names_no_scheme() {
    let reader = Reader::before(results).await;
    reader.ask("tools/call", json!({"name": "search", "arguments": {}})).await;
    let shown = reader.listed("tools/list", "resources", "uri").await;
    assert!(shown.is_empty(), "{shown:?}");
    assert!(reader.refused("evil://x").await.unwrap().contains("scheme evil"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_names_schemes_without_end_fills_no_memory_and_drives_none_out() {
    let reader = Reader::before(|method| match method {
        "resources/list" => {
            let entries = (0..5000).map(|n| json!({"uri": format!("s{n}://x"), "name": "x"}));
            json!({"resources": entries.collect::<Vec<_>>()})
        }
        "resources/templates/list" => {
            json!({"resourceTemplates": [{"uriTemplate": "late://{id}", "name": "x"}]})
        }
        method => json!({"method": method}),
    })
    .await;
    for _ in 0..2 {
        let shown = reader.listed("resources/list", "resources", "uri").await;
        assert_eq!((shown.len(), &*shown[0], &*shown[31]), (32, "s0://x", "s31://x"));
    }
    let shown = reader.listed("resources/templates/list", "resourceTemplates", "name").await;
    assert!(shown.is_empty());
    assert_eq!(reader.refused("s0://y").await, None);
    assert!(reader.refused("s32://x").await.is_some());
    let metrics = reader.metrics().await;
    let counted = "hardtack_list_entries_left_out_total{list=\"resources\",why=\"scheme\"} 9936";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lists_leave_out_is_counted_by_list_and_by_why() {
    let reader = Reader::before(results).await;
    reader.listed("resources/list", "resources", "uri").await;
    reader.listed("resources/templates/list", "resourceTemplates", "name").await;
    let (_, searcher) = reader.stage.researcher();
    reader.stage.post(&searcher, &request("resources/list", json!({}))).await;
    let metrics = reader.metrics().await;
    for (list, why, count) in [
        ("resources", "form", 4),
        ("resources", "unreadable", 2),
        ("resources", "not_allowed", 2),
        ("resourceTemplates", "form", 2),
    ] {
        let line = format!(
            "hardtack_list_entries_left_out_total{{list=\"{list}\",why=\"{why}\"}} {count}"
        );
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}
