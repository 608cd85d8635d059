//! Large questions of clients that stop or go away: others are answered all the same.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::stage::{PATIENCE, Served, served_with};
use hardtack_ext_authz::AUTHZEN;

/// How many large bodies are held at once.
const PLACES: usize = 8;

/// Sends the head of a large evaluation, and so many bytes of it.
async fn begun(served: &Served, bytes: usize) -> TcpStream {
    let mut stream = TcpStream::connect(&served.address).await.unwrap();
    let head = format!(
        "POST {AUTHZEN} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    );
    let body = format!(r#"{{"context":{{"purpose":[{}0]}}}}"#, "0,".repeat(150_000));
    let sent = head.clone() + &body + &" ".repeat(1_000_000 - body.len());
    stream.write_all(&sent.as_bytes()[..head.len() + bytes]).await.unwrap();
    stream
}

/// Asks, and again for so long if there is no place.
async fn is_answered(served: &Served, patience: Duration) {
    let mut evaluation = served.evaluation();
    evaluation["action"]["properties"] = json!({"lang": "x".repeat(900_000)});
    let asked = tokio::time::Instant::now();
    loop {
        let (status, answer) = served.authzen(evaluation.clone()).await;
        if status == 503 && asked.elapsed() < patience {
            // So many others wait for a place: the answer says to try again.
            assert_eq!(answer["retry"], true, "{answer}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        assert_eq!((status, &answer["decision"]), (200, &json!(true)), "{answer}");
        return;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_in_large_questions_or_goes_away_after_them_keeps_nobody_out() {
    let served = served_with(json!({"message-limit": 1_000_000})).await;
    let mut stopped = Vec::new();
    for _ in 0..PLACES {
        stopped.push(begun(&served, 500_000).await);
    }
    // Within the time for which one waits: the body of who stopped has more time to arrive, were it not ended.
    is_answered(&served, Duration::ZERO).await;
    drop(stopped);
    for _ in 0..8 * PLACES {
        drop(begun(&served, 1_000_000).await);
    }
    is_answered(&served, PATIENCE).await;
}
