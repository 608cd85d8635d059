use std::sync::Mutex;

use axum::Router;
use axum::body::Body;

use super::*;
use crate::budget::Payer;
use crate::child::Sender;
use crate::session::Owner;
use crate::watch::Ended;

/// A server whose streams tell one event, last this long and break off; and when each was opened.
fn breaking_off_after(lasts: Duration) -> (Upstream, Arc<Mutex<Vec<Instant>>>) {
    let opened: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let notes = Arc::clone(&opened);
    let router = Router::new().fallback(move || {
        notes.lock().unwrap().push(Instant::now());
        async move { http::Response::from_parts(parts(), Body::from_stream(event(lasts))) }
    });
    (Upstream::service(router).unwrap(), opened)
}

fn parts() -> http::response::Parts {
    let response = http::Response::builder().header("content-type", "text/event-stream");
    response.body(()).unwrap().into_parts().0
}

fn event(lasts: Duration) -> impl Stream<Item = io::Result<Bytes>> {
    let breaks_off = stream::once(async move {
        sleep(lasts).await;
        Err(io::Error::other("broken off"))
    });
    stream::iter([Ok(Bytes::from_static(b"id: 1\ndata: {}\n\n"))]).chain(breaks_off)
}

fn listening(upstream: Upstream, lasts: Duration) -> Response {
    let body = reqwest::Body::wrap_stream(event(lasts));
    listening_to(upstream, Era::Legacy, body, late())
}

fn late() -> Timestamp {
    Timestamp::parse("2100-01-01T00:00:00Z").unwrap()
}

fn listening_to(upstream: Upstream, era: Era, body: reqwest::Body, expires: Timestamp) -> Response {
    let first = http::Response::from_parts(parts(), body);
    let renewed = (HeaderValue::from_static("Bearer x"), late());
    let renew = move || {
        let renewed = Some(renewed.clone());
        let renewed: BoxFuture<'static, Renewed> = Box::pin(async move { renewed });
        renewed
    };
    let sender = Sender { owner: Owner::from_bytes([1; 32]), payer: Payer::from_bytes([1; 32]) };
    let asking = Asking { sender, era, ended: Ended::default(), patience: None };
    let (headers, body) = (HeaderMap::new(), Bytes::new());
    let asked = Asked { upstream, asking, method: Method::GET, headers, body };
    let clean = Arc::new(|answer| answer);
    spliced(first.into(), asked, Reopening { renew: Arc::new(renew), clean, expires })
}

#[tokio::test(start_paused = true)]
async fn streams_that_break_off_at_once_are_opened_again_after_ever_longer_waits_and_then_none() {
    let (upstream, opened) = breaking_off_after(Duration::ZERO);
    let began = Instant::now();
    let mut heard = listening(upstream, Duration::ZERO).bytes_stream();
    let (mut events, mut errors) = (0, 0);
    while let Some(told) = heard.next().await {
        match told {
            Ok(_) => events += 1,
            Err(_) => errors += 1,
        }
    }
    assert_eq!((events, errors), (1 + WAITS.len(), 1));
    let opened = opened.lock().unwrap();
    let mut due = began;
    assert_eq!(opened.len(), WAITS.len());
    for (opened, wait) in opened.iter().zip(WAITS) {
        due += Duration::from_millis(wait);
        let late = opened.duration_since(due);
        assert!(*opened >= due && late < Duration::from_secs(1), "{wait} ms: {late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_broke_off_after_it_lasted_is_opened_again_at_once_however_often() {
    let (upstream, opened) = breaking_off_after(LASTED);
    let began = Instant::now();
    let mut heard = listening(upstream, LASTED).bytes_stream();
    for _ in 0..3 * WAITS.len() {
        heard.next().await.unwrap().unwrap();
    }
    let opened = opened.lock().unwrap();
    assert_eq!(opened.len(), 3 * WAITS.len() - 1);
    let each = (opened[opened.len() - 1] - began) / opened.len() as u32;
    assert!(each >= LASTED && each < LASTED + Duration::from_millis(90), "{each:?}");
}

#[tokio::test(start_paused = true)]
async fn since_2026_07_28_a_stream_that_ends_is_opened_again_unless_what_was_asked_is_answered() {
    let answers = [
        (r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#, WAITS.len()),
        (
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"shut down","data":{"dev.hardtack/refusal":{"error":"temporarily_unavailable"}}}}"#,
            WAITS.len(),
        ),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, 0),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"over"}}"#, 0),
    ];
    for (last, times) in answers {
        let (upstream, opened) = breaking_off_after(Duration::ZERO);
        let body = format!("data: {last}\n\n");
        let heard = listening_to(upstream, Era::Modern, body.into(), late()).bytes_stream();
        heard.collect::<Vec<_>>().await;
        assert_eq!(opened.lock().unwrap().len(), times, "{last}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_just_after_its_presentation_was_renewed_is_opened_again_at_once()
{
    for era in [Era::Legacy, Era::Modern] {
        let (upstream, opened) = breaking_off_after(Duration::ZERO);
        let body = reqwest::Body::wrap_stream(event(Duration::from_secs(3600)));
        let expires = now() + Duration::from_secs(60);
        let heard = listening_to(upstream, era, body, expires).bytes_stream();
        heard.collect::<Vec<_>>().await;
        let opened = opened.lock().unwrap();
        // By the renewal, at once after that one broke off, and then after each of the waits.
        assert_eq!(opened.len(), 2 + WAITS.len(), "{era:?}");
        let first_wait = opened[1] - opened[0];
        assert!(first_wait < Duration::from_millis(WAITS[0]), "{era:?}: {first_wait:?}");
    }
}
