//! Roots that are exchanged under a gateway, and what whoever has a token of one tries then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use hardtack::{Call, Presenting, PrivateKey, Revocation, Revoking, RootKeys};
use serde_json::json;

use crate::stage::{AUDIENCE, Stage, call, client, now, request};

/// As often as a token is looked at while an answer streams, and what a busy machine takes besides.
const CUT_WITHIN: Duration = Duration::from_millis(400 + 600);

/// Withdraws the root of all that stands on the stage; returns it.
fn withdraw(stage: &Stage) -> Arc<RootKeys> {
    stage.guard.verifier().replace_roots(RootKeys::of(PrivateKey::generate().public()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_of_a_root_that_is_withdrawn_is_refused_at_once_and_good_when_it_is_back() {
    let stage = Stage::set().await;
    let (_, bearer) = stage.researcher();
    let list = request("tools/list", json!({}));
    for _ in 0..2 {
        assert_eq!(stage.post(&bearer, &call("search")).await.text(), "did search");
        assert_eq!(stage.post(&bearer, &list).await.status, 200);
    }
    let before = withdraw(&stage);
    // First new to it, then from the memory of what was refused.
    for message in [call("search"), list.clone(), request("ping", json!({})), call("search")] {
        let refused = stage.post(&bearer, &message).await;
        assert_eq!(refused.status, 401, "{refused:?}");
    }
    stage.guard.verifier().replace_roots(before);
    assert_eq!(stage.post(&bearer, &call("search")).await.text(), "did search");
    assert_eq!(stage.causes(), ["signature"; 4]);
    assert_eq!(stage.behind.called(), ["search"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_calls_that_wait_end_when_their_root_is_withdrawn() {
    let stage = Arc::new(Stage::set().await);
    let agent = stage.agent(&["tools:call:*"]);
    let bound = |tool: &str| {
        let call = Call::tool(tool).unwrap().arguments(r#"{"query": "roadmap"}"#).unwrap();
        agent.presents_for(Presenting::to(AUDIENCE).call(call))
    };
    let open = [
        (agent.presents(), "stream"),
        (agent.presents(), "stall"),
        (bound("stream"), "stream"),
        (bound("stall"), "stall"),
    ];
    let reading = open.map(|(bearer, tool)| {
        let stage = Arc::clone(&stage);
        tokio::spawn(async move {
            let answer = stage.post(&bearer, &call(tool)).await;
            (answer.text(), ended())
        })
    });
    tokio::time::sleep(Duration::from_millis(700)).await;
    let began = ended();
    withdraw(&stage);
    for read in join_all(reading).await {
        let (told, at) = read.unwrap();
        assert!(told.contains("may have been done"), "{told}");
        assert!(at - began < CUT_WITHIN, "{:?}", at - began);
    }
}

#[allow(clippy::disallowed_methods, reason = "what is tested is how long it takes")]
fn ended() -> Instant {
    Instant::now()
}

/// Headers first, and what is asked only after the token has ended.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_slowly_is_refused_when_its_token_ends_meanwhile() {
    let stage = Stage::set().await;
    let answer_to_server = json!({"jsonrpc": "2.0", "id": 1, "result": {"action": "accept"}});
    let messages = [
        call("search"),
        answer_to_server,
        request("tools/list", json!({})),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        request("ping", json!({})),
    ];
    for by_root in [true, false] {
        let (agent, bearer) = stage.researcher();
        let slow = messages.iter().map(|message| {
            let text = message.to_string();
            let (first, rest) = text.split_at(10);
            let parts = [first.to_owned(), rest.to_owned()];
            let body =
                futures_util::stream::iter(parts).enumerate().then(|(at, part)| async move {
                    tokio::time::sleep(Duration::from_millis(1500 * at as u64)).await;
                    Ok::<_, std::io::Error>(part)
                });
            let request = client().post(stage.url()).bearer_auth(&bearer);
            let request = request.header("content-type", "application/json");
            request.body(reqwest::Body::wrap_stream(body)).send()
        });
        let exchanging = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            match by_root {
                true => Some(withdraw(&stage)),
                false => {
                    let id = agent.capability.chain().hops[0].revocation_id;
                    let lost = Revoking::new(Revocation::Id { id }, "tests", "lost").unwrap();
                    stage.store.revoke(lost, now()).unwrap();
                    None
                }
            }
        };
        let (answers, before) = tokio::join!(join_all(slow), exchanging);
        let reached = stage.behind.seen();
        let told: Vec<String> = join_all(answers.into_iter().map(|answer| async {
            let answer = answer.unwrap();
            format!("{} {}", answer.status(), answer.text().await.unwrap())
        }))
        .await;
        assert_eq!(stage.behind.called(), Vec::<String>::new(), "{told:?}");
        // A list is asked for, and what comes is not shown.
        let lists = reached.iter().filter(|seen| seen.message()["method"] == "tools/list");
        assert_eq!(lists.count(), reached.len(), "{reached:?}");
        assert!(told.iter().all(|told| !told.contains("inputSchema")), "{told:?}");
        before.into_iter().for_each(|before| drop(stage.guard.verifier().replace_roots(before)));
    }
}

/// Whoever has a token of the root that goes keeps on trying, over many connections.
#[tokio::test(flavor = "multi_thread")]
async fn no_call_that_is_sent_after_its_root_was_withdrawn_reaches_the_server() {
    let stage = Arc::new(Stage::set().await);
    let bearer = stage.researcher().1;
    for _ in 0..20 {
        let asking = (0..8).map(|_| {
            let (stage, bearer) = (Arc::clone(&stage), bearer.clone());
            tokio::spawn(async move {
                for _ in 0..4 {
                    stage.post(&bearer, &call("search")).await;
                }
            })
        });
        let asking: Vec<_> = asking.collect();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let before = withdraw(&stage);
        let refused = stage.post(&bearer, &call("delete_page")).await;
        assert_eq!(refused.status, 401, "{refused:?}");
        join_all(asking).await;
        assert_eq!(stage.post(&bearer, &call("search")).await.status, 401);
        stage.guard.verifier().replace_roots(before);
        assert_eq!(stage.post(&bearer, &call("search")).await.text(), "did search");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_name_the_roots_in_force() {
    let stage = Stage::set().await;
    let metrics = || async {
        let url = format!("http://{}/metrics", stage.address);
        client().get(url).send().await.unwrap().text().await.unwrap()
    };
    let line = |roots: &RootKeys| {
        format!(r#"hardtack_root_info{{name="{}"}} 1"#, roots.names().next().unwrap())
    };
    let old = stage.guard.verifier().roots();
    assert!(metrics().await.contains(&line(&old)));
    withdraw(&stage);
    let (metrics, new) = (metrics().await, stage.guard.verifier().roots());
    assert!(metrics.contains(&line(&new)) && !metrics.contains(&line(&old)), "{metrics}");
}
