//! The holder's end, between a runtime that knows no token and a gateway.

use std::net::SocketAddr;
use std::time::Duration;

use hardtack::PrivateKey;
use hardtack_mcp::{Binding, CapabilitySource, Holder, Upstream};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::stage::{
    AUDIENCE, Agent, Answer, Stage, borrowed, call, client, modern, request, start,
};

async fn hold(
    stage: &Stage,
    source: CapabilitySource,
    key: PrivateKey,
    binding: Binding,
) -> SocketAddr {
    hold_for(stage, source, key, binding, &[]).await
}

async fn hold_for(
    stage: &Stage,
    source: CapabilitySource,
    key: PrivateKey,
    binding: Binding,
    pages: &[&str],
) -> SocketAddr {
    let upstream = Upstream::at(&stage.url()).unwrap();
    let holder = Holder::new(source, key, AUDIENCE, upstream).unwrap().binding(binding);
    let holder = holder.origins(pages.iter().map(ToString::to_string));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let drain = holder.drain();
    start(listener, holder.router(), drain);
    address
}

async fn post(address: SocketAddr, headers: &[(&str, &str)], message: &Value) -> Answer {
    let request = client()
        .post(format!("http://{address}/mcp"))
        .header("content-type", "application/json")
        .body(message.to_string());
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Answer::of(request.send().await.unwrap()).await
}

fn fixed(agent: &Agent) -> CapabilitySource {
    CapabilitySource::Fixed(Box::new(agent.capability.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_with_nothing_but_a_url_uses_what_its_agent_may() {
    for binding in [Binding::Session, Binding::Call] {
        let stage = Stage::set().await;
        let (agent, _) = stage.researcher();
        let address = hold(&stage, fixed(&agent), agent.key, binding).await;
        let opened = post(address, &[], &request("initialize", json!({}))).await;
        let session = opened.headers["mcp-session-id"].clone();
        let headers =
            [("mcp-session-id", session.as_str()), ("authorization", "Bearer the-runtimes-own")];
        let listed = post(address, &headers, &request("tools/list", json!({}))).await;
        assert_eq!(listed.json()["result"]["tools"].as_array().unwrap().len(), 1);
        for _ in 0..3 {
            assert_eq!(post(address, &headers, &call("search")).await.text(), "did search");
        }
        let refused = post(address, &headers, &call("delete_page")).await;
        assert!(refused.is_refused_tool() && refused.text().contains("tools:call:delete_page"));
        assert_eq!(post(address, &headers, &call("search")).await.text(), "did search");
        assert_eq!(stage.behind.called(), ["search"; 4]);
        let mut presented = Vec::new();
        stage
            .store
            .each_record(|record| {
                let decision = record.decision().cloned().unwrap();
                presented.push((
                    decision.verdict.to_string(),
                    decision.chain.unwrap().presented.clone().unwrap(),
                ));
            })
            .unwrap();
        let kind = if binding == Binding::Call { "call" } else { "session" };
        let allowed = presented.iter().filter(|(verdict, _)| verdict == "allow");
        assert!(
            allowed.clone().count() == 4 && allowed.clone().all(|(_, presented)| presented == kind)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_capability_is_taken_and_an_expired_one_is_said_to_be() {
    let stage = Stage::set().await;
    let (short, _) = stage.researcher();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("researcher.token");
    let brief = stage.alice.delegates_with("agent.researcher", &["tools:call:search"], |part| {
        part.ttl(Duration::from_secs(3)).holder(short.key.public())
    });
    std::fs::write(&file, brief.capability.to_base64()).unwrap();
    let key = PrivateKey::from_bytes(&[9; 32]);
    let longer = stage.alice.delegates_with("agent.researcher", &["tools:call:search"], |part| {
        part.holder(key.public())
    });
    let first = stage.alice.delegates_with("agent.researcher", &["tools:call:search"], |part| {
        part.ttl(Duration::from_secs(3)).holder(key.public())
    });
    std::fs::write(&file, first.capability.to_base64()).unwrap();
    let address = hold(&stage, CapabilitySource::File(file.clone()), key, Binding::Session).await;
    assert_eq!(post(address, &[], &call("search")).await.text(), "did search");
    tokio::time::sleep(Duration::from_millis(3200)).await;
    let expired = post(address, &[], &call("search")).await;
    assert!(expired.is_refused_tool() && expired.json()["id"] == 7, "{expired:?}");
    assert!(expired.text().contains("cannot be presented"), "{}", expired.body);
    let expired = post(address, &[], &request("tools/list", json!({}))).await;
    assert_eq!((expired.status, &expired.json()["id"]), (503, &json!(7)));
    std::fs::write(&file, longer.capability.to_base64()).unwrap();
    assert_eq!(post(address, &[], &call("search")).await.text(), "did search");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_a_browser_cannot_act_as_the_agent() {
    let stage = Stage::set().await;
    let (agent, _) = stage.researcher();
    let address = hold(&stage, fixed(&agent), agent.key, Binding::Session).await;
    for (header, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        assert_eq!(post(address, &[(header, value)], &call("search")).await.status, 403);
    }
    assert!(stage.behind.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_named_can_act_as_the_agent_and_no_other_one() {
    const PAGE: &str = "https://app.example";
    let stage = Stage::set().await;
    let (agent, _) = stage.researcher();
    let address = hold_for(&stage, fixed(&agent), agent.key, Binding::Session, &[PAGE]).await;
    let called = post(address, &[("origin", PAGE)], &call("search")).await;
    assert_eq!((called.status, &*called.text()), (200, "did search"));
    assert_eq!(called.headers["access-control-allow-origin"], PAGE);
    let own = format!("http://{address}");
    for other in ["https://app.example.evil.example", "http://app.example", "null", &own] {
        let refused = post(address, &[("origin", other)], &call("search")).await;
        assert_eq!(refused.status, 403, "{other}");
        assert_ne!(
            refused.headers.get("access-control-allow-origin").map(|page| &**page),
            Some(other)
        );
    }
    let rebound = [("origin", PAGE), ("host", "evil.example")];
    assert_eq!(post(address, &rebound, &call("search")).await.status, 403);
    assert_eq!(stage.behind.called(), ["search"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_newer_protocol_took_away_is_unknown_through_the_holders_end_too() {
    for binding in [Binding::Session, Binding::Call] {
        let stage = Stage::set().await;
        let (agent, _) = stage.researcher();
        let address = hold(&stage, fixed(&agent), agent.key, binding).await;
        for (method, params) in [
            ("resources/subscribe", json!({"uri": "https://notion.so/a"})),
            ("resources/unsubscribe", json!({})),
            ("tasks/result", json!({"taskId": "t1"})),
        ] {
            let (headers, body) = modern(method, params);
            let message = serde_json::from_str(&body).unwrap();
            let unknown = post(address, &borrowed(&headers), &message).await;
            let code = &unknown.json()["error"]["code"];
            assert_eq!((unknown.status, code), (404, &json!(-32601)), "{method}: {unknown:?}");
        }
        assert!(stage.behind.seen().is_empty());
    }
}
