//! Both protocols, and what a refusal looks like in each.

use hardtack_mcp::RefusalStyle;
use serde_json::json;

use crate::stage::{Answers, Stage, borrowed, call, modern, request};

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_call_passes_and_a_refused_one_never_reaches_the_server() {
    for answers in [Answers::Json, Answers::Events] {
        let stage = Stage::set_with(answers, |gateway| gateway).await;
        let (_, bearer) = stage.researcher();
        assert_eq!(stage.post(&bearer, &call("search")).await.text(), "did search");
        let refused = stage.post(&bearer, &call("delete_page")).await;
        assert!(refused.is_refused_tool(), "{refused:?}");
        assert_eq!(refused.json()["id"], 7);
        assert!(refused.text().contains("tools:call:delete_page"), "{}", refused.text());
        assert!(refused.text().contains("will not help"), "{}", refused.text());
        assert_eq!(stage.post(&bearer, &call("search")).await.text(), "did search");
        assert_eq!(stage.behind.called(), ["search", "search"]);
        assert_eq!(stage.causes(), ["not_granted"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_protocol_passes_with_its_headers() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let (headers, body) = modern("tools/call", json!({"name": "search"}));
    let answer = stage.post_with(&bearer, &borrowed(&headers), body.clone()).await;
    assert_eq!(answer.text(), "did search");
    let seen = &stage.behind.seen()[0];
    assert_eq!(seen.body, body, "forwarded byte for byte");
    assert_eq!(seen.headers["mcp-name"], "search");
    let (headers, body) = modern("tools/call", json!({"name": "delete_page"}));
    let refused = stage.post_with(&bearer, &borrowed(&headers), body).await;
    assert!(refused.is_refused_tool());
    assert_eq!(refused.json()["result"]["resultType"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_option_a_refusal_is_a_challenge() {
    let stage =
        Stage::set_with(Answers::Json, |gateway| gateway.refusals(RefusalStyle::Challenge)).await;
    let (_, bearer) = stage.researcher();
    let refused = stage.post(&bearer, &call("delete_page")).await;
    assert_eq!(refused.status, 403);
    let challenge = &refused.headers["www-authenticate"];
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
    assert!(challenge.contains("scope=\"tools:call:delete_page\""), "{challenge}");
    assert_eq!(refused.json()["id"], 7);
    assert_eq!(refused.json()["error"]["code"], 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_is_judged_or_unknown() {
    let stage = Stage::set().await;
    let (_, narrow) = stage.researcher();
    let wide = stage.agent(&["resources:*", "prompts:*", "completion:*", "logging:*"]).presents();
    let uri = json!({"uri": "https://notion.so/a"});
    for (method, params) in [
        ("resources/read", uri.clone()),
        ("resources/subscribe", uri.clone()),
        ("resources/unsubscribe", uri.clone()),
        ("prompts/get", json!({"name": "brief"})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "brief"}, "argument": {"name": "a", "value": "b"}}),
        ),
        ("logging/setLevel", json!({"level": "debug"})),
        (
            "subscriptions/listen",
            json!({"notifications": {"resourceSubscriptions": ["https://notion.so/a"]}}),
        ),
    ] {
        let refused = stage.post(&narrow, &request(method, params.clone())).await;
        assert_eq!((refused.status, &refused.json()["id"]), (200, &json!(7)), "{method}");
        assert_eq!(refused.json()["error"]["code"], 403, "{method}");
        let allowed = stage.post(&wide, &request(method, params)).await;
        assert_eq!(allowed.json()["result"]["method"], method, "{allowed:?}");
    }
    for method in ["ping", "initialize", "server/discover"] {
        let allowed = stage.post(&narrow, &request(method, json!({}))).await;
        assert!(allowed.json().get("result").is_some(), "{method}");
    }
    let before = stage.behind.seen().len();
    for method in
        ["sampling/createMessage", "roots/list", "tools/delete", "Tools/call", "tools/call "]
    {
        let unknown = stage.post(&wide, &request(method, json!({}))).await;
        assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (200, &json!(-32601)));
        let (mut headers, body) = modern(method, json!({}));
        headers[1].1 = method.trim_end().to_owned();
        let unknown = stage.post_with(&wide, &borrowed(&headers), body).await;
        let expected = if method.ends_with(' ') { 400 } else { 404 };
        assert_eq!(unknown.status, expected, "{unknown:?}");
    }
    assert_eq!(stage.behind.seen().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_newer_protocol_took_away_is_unknown_in_it_whoever_asks() {
    let stage = Stage::set().await;
    let (_, narrow) = stage.researcher();
    let wide = stage.agent(&["resources:*", "logging:*", "tasks:*"]).presents();
    let uri = json!({"uri": "https://notion.so/a"});
    for (method, params) in [
        ("resources/subscribe", uri.clone()),
        ("resources/unsubscribe", uri),
        ("resources/subscribe", json!({})),
        ("logging/setLevel", json!({"level": "debug"})),
        ("tasks/list", json!({})),
        ("tasks/result", json!({"taskId": "t1"})),
    ] {
        for bearer in [&narrow, &wide] {
            let (headers, body) = modern(method, params.clone());
            let unknown = stage.post_with(bearer, &borrowed(&headers), body).await;
            assert_eq!(unknown.status, 404, "{method}: {unknown:?}");
            assert_eq!(unknown.json()["error"]["code"], -32601, "{method}");
            assert_eq!(unknown.json()["id"], 7, "{method}");
        }
    }
    assert!(stage.behind.seen().is_empty(), "it is not asked of the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_no_client_must_send_as_a_header_is_looked_at_where_it_stands() {
    let stage = Stage::set().await;
    let bearer = stage.agent(&["resources:*", "skills:*"]).presents();
    for method in ["resources/directory/read", "skills/get"] {
        let (mut headers, body) = modern(method, json!({"uri": "https://notion.so/a"}));
        let with = stage.post_with(&bearer, &borrowed(&headers), body.clone()).await;
        assert_eq!(with.json()["result"]["method"], method, "{with:?}");
        headers[2].1 = "https://notion.so/b".to_owned();
        let lies = stage.post_with(&bearer, &borrowed(&headers), body.clone()).await;
        assert_eq!((lies.status, &lies.json()["error"]["code"]), (400, &json!(-32020)), "{method}");
        headers.truncate(2);
        let without = stage.post_with(&bearer, &borrowed(&headers), body).await;
        assert_eq!(without.json()["result"]["method"], method, "{without:?}");
    }
    assert_eq!(stage.behind.seen().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_and_answers_of_the_client_pass() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    for message in [
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 3, "result": {"action": "accept", "content": {}}}),
        json!({"jsonrpc": "2.0", "id": "x", "error": {"code": -1, "message": "no"}}),
    ] {
        let answer = stage.post(&bearer, &message).await;
        assert_eq!((answer.status, answer.body.as_str()), (202, ""));
    }
    assert_eq!(stage.behind.seen().len(), 3);
    // A call without an id would be done without anybody hearing of it.
    for message in [
        json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "search"}}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "notifications/initialized"}),
    ] {
        assert_eq!(stage.post(&bearer, &message).await.status, 400);
    }
    assert_eq!(stage.behind.seen().len(), 3);
}
