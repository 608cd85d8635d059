//! What is cut while its client does not read: the client fills all that is between, and nothing more is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hardtack::{Revocation, Revoking};

use crate::stage::{PATIENCE, Stage, client, now};

/// A gateway in front of a server that never stops sending, and how many chunks it sent.
async fn flooded() -> (Stage, Arc<AtomicU64>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let router = axum::Router::new().fallback(move || async move {
        let chunk = Bytes::from(format!(": {}\n\n", "a".repeat(64 * 1024)));
        let chunks = futures_util::stream::unfold(counter, move |counter| {
            counter.fetch_add(1, Ordering::Relaxed);
            let chunk = chunk.clone();
            async move { Some((Ok::<_, std::io::Error>(chunk), counter)) }
        });
        let response = axum::response::Response::builder();
        response
            .header("content-type", "text/event-stream")
            .body(Body::from_stream(chunks))
            .unwrap()
    });
    crate::stage::start(listener, router, Default::default());
    (Stage::set_in_front_of(&url, PATIENCE).await, sent)
}

/// Waits until nothing more is taken from the server.
async fn stands_still(sent: &AtomicU64) {
    let still = async {
        let mut before = 0;
        loop {
            // Long enough for a machine that has other things to do.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = sent.load(Ordering::Relaxed);
            if now > 0 && now == before {
                return;
            }
            before = now;
        }
    };
    tokio::time::timeout(PATIENCE, still).await.expect("the client seems to read");
}

async fn ends(stage: &Stage, why: &str) {
    let ended = async {
        loop {
            let metrics = client().get(format!("http://{}/metrics", stage.address)).send().await;
            if metrics.unwrap().text().await.unwrap().contains("hardtack_streams 0\n") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap_or_else(|_| panic!("{why}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_is_cut_with_its_token() {
    let (stage, sent) = flooded().await;
    let (agent, bearer) = stage.researcher();
    let unread = client().get(stage.url()).bearer_auth(&bearer).send().await.unwrap();
    stands_still(&sent).await;
    let id = agent.capability.chain().hops[0].revocation_id;
    let revoking = Revoking::new(Revocation::Id { id }, "tests", "lost").unwrap();
    stage.store.revoke(revoking, now()).unwrap();
    ends(&stage, "the token is revoked, and the stream that nobody reads is held").await;
    drop(unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_ends_with_the_gateway() {
    let (stage, sent) = flooded().await;
    let (_, bearer) = stage.researcher();
    let unread = client().get(stage.url()).bearer_auth(&bearer).send().await.unwrap();
    stands_still(&sent).await;
    stage.drain.begin();
    ends(&stage, "the gateway ends, and the stream that nobody reads is held").await;
    drop(unread);
}
