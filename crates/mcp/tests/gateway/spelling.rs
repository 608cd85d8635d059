//! Spelling: members whose names some reader takes for others, and members that a bound presentation does not speak of.

use hardtack::{Call, Presenting};
use serde_json::{Value, json};

use crate::stage::{AUDIENCE, Stage, call, modern, request};

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_some_reader_takes_for_another_never_reaches_the_server() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let params = |params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
    };
    let mut bodies = Vec::new();
    for sign in [
        "\\u0000", "\\u0000x", "\\t", "\\u001a", "\\u00ad", "\\u200b", "\\u2028", "\\ufe0f",
        "\\ufeff",
    ] {
        bodies.extend([
            params(&format!(r#"{{"name":"search","name{sign}":"delete_page"}}"#)),
            params(&format!(r#"{{"name{sign}":"delete_page","name":"search"}}"#)),
            params(&format!(r#"{{"name":"search","arguments":{{"a":5,"a{sign}":6}}}}"#)),
            params(&format!(r#"{{"name":"search","arguments":{{"a":[{{"b{sign}":6}}]}}}}"#)),
            params(&format!(r#"{{"name":"search","arguments{sign}":{{}}}}"#)),
            params(&format!(r#"{{"name":"search","_meta":{{"x":{{"y{sign}":6}}}}}}"#)),
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","method{sign}":"tools/call"}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content{sign}":1}}}}"#),
        ]);
    }
    for (one, other) in [
        ("name", "NAME"),
        ("name", "name "),
        ("name", "\u{ff4e}ame"),
        ("arguments", "argument\u{17f}"),
        ("task\u{49}d", "task\u{131}d"),
    ] {
        bodies.extend([
            params(&format!(r#"{{"name":"search","{one}":"a","{other}":"b"}}"#)),
            params(&format!(r#"{{"name":"search","x":[{{"{one}":"a","{other}":"b"}}]}}"#)),
        ]);
    }
    for body in bodies {
        let answer = stage.post_with(&bearer, &[], body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    assert!(stage.behind.seen().is_empty());
    // Values are for the tool.
    let body = params(r#"{"name":"search","arguments":{"query":"a\u0000b\u200b\r"}}"#);
    assert_eq!(stage.post_with(&bearer, &[], body.clone()).await.text(), "did search");
    assert_eq!(stage.behind.seen()[0].body, body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_delegator_forbids_is_forbidden_in_every_spelling() {
    let stage = Stage::set().await;
    let agent = stage.alice.delegates_with("agent.researcher", &["tools:call:search"], |hop| {
        hop.allow("force absent").allow("limit? <= 5")
    });
    let bearer = agent.presents();
    let search =
        |arguments: Value| request("tools/call", json!({"name": "search", "arguments": arguments}));
    for arguments in [
        json!({"force": true}),
        json!({"Force": true}),
        json!({"FORCE": null}),
        json!({"\u{ff46}orce": true}),
        json!({"force ": true}),
        json!({"Limit": 6}),
        json!({"L\u{130}M\u{131}T": 6}),
    ] {
        let answer = stage.post(&bearer, &search(arguments.clone())).await;
        assert!(answer.is_refused_tool(), "{arguments}");
    }
    assert_eq!(stage.post(&bearer, &search(json!({"limit": 5}))).await.text(), "did search");
    assert_eq!(stage.behind.called(), ["search"]);
}

/// What a call says besides its name and arguments.
fn with(more: Value) -> Value {
    let mut message = call("search");
    let params = message["params"].as_object_mut().unwrap();
    params.extend(more.as_object().unwrap().clone());
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_presentation_is_for_the_whole_request() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:search", "resources:*", "completion:complete"]);
    let bound = || Call::tool("search").unwrap().arguments(r#"{"query": "roadmap"}"#).unwrap();
    let state = r#"{"inputResponses":{"ok":{"action":"decline"}},"requestState":"mine"}"#;
    for (bound, others) in [
        (
            bound(),
            vec![
                with(json!({"requestState": "stolen"})),
                with(json!({"inputResponses": {"ok": {"action": "accept"}}})),
                with(json!({"task": {"ttl": 60_000}})),
                with(json!({"context": {"arguments": {}}})),
                with(json!({"_meta": {"com.example/as": "admin"}})),
                with(json!({"_meta": {"io.modelcontextprotocol/related-task": {"taskId": "x"}}})),
                with(json!({"_meta": null})),
            ],
        ),
        (
            bound().params(state).unwrap(),
            vec![
                call("search"),
                with(json!({"requestState": "mine"})),
                with(
                    json!({"requestState": "stolen", "inputResponses": {"ok": {"action": "decline"}}}),
                ),
                with(
                    json!({"requestState": "mine", "inputResponses": {"ok": {"action": "accept"}}}),
                ),
            ],
        ),
    ] {
        let bearer = agent.presents_for(Presenting::to(AUDIENCE).call(bound));
        for other in others {
            assert!(stage.post(&bearer, &other).await.is_refused_tool(), "{other}");
        }
        assert!(stage.behind.called().is_empty());
    }
    // The same, of what is no tool.
    let read = Call::new("resources:read").unwrap().resource("https://a.example/").unwrap();
    let bearer = agent.presents_for(Presenting::to(AUDIENCE).call(read));
    let other = json!({"uri": "https://a.example/", "requestState": "stolen"});
    let refused = stage.post(&bearer, &request("resources/read", other)).await;
    assert_eq!(refused.json()["error"]["code"], 403);
    assert!(stage.behind.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_presentation_serves_the_request_for_which_it_was_made() {
    let stage = Stage::set().await;
    let agent = stage.agent(&["tools:call:search"]);
    let bound = || Call::tool("search").unwrap().arguments(r#"{"query": "roadmap"}"#).unwrap();
    let presents = |call| agent.presents_for(Presenting::to(AUDIENCE).call(call));
    // What libraries add of themselves, in both eras, is nobody's to foresee.
    let carried = json!({"progressToken": 7, "traceparent": "00-0-0-00", "baggage": "a=b"});
    let message = with(json!({"_meta": carried}));
    assert_eq!(stage.post(&presents(bound()), &message).await.text(), "did search");
    let (headers, body) = modern("tools/call", call("search")["params"].clone());
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(stage.post_with(&presents(bound()), &headers, body).await.text(), "did search");
    let state =
        json!({"requestState": "mine", "_meta": {"progressToken": 1, "com.example/as": "me"}});
    let said = r#"{"_meta":{"com.example/as":"me"},"requestState":"mine"}"#;
    let bearer = presents(bound().params(said).unwrap());
    assert_eq!(stage.post(&bearer, &with(state)).await.text(), "did search");
}
