//! Given up: what becomes of questions whose clients go away before they are answered, and of those for which there is no place?

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower_service::Service;

use crate::body::{LARGE_AT_ONCE, MEMORY_AT_ONCE, SMALL_AT_ONCE, SMALL_BYTES};
use crate::service::AnswerBody;
use crate::{AUTHZEN, Decider, ENVOY, ENVOY_GRPC, Mapping};
use hardtack::testing::Scene;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// A large body that is being read, counted.
pub(crate) struct Counted;

impl Counted {
    pub(crate) fn new() -> Counted {
        let now = NOW.fetch_add(1, Ordering::SeqCst) + 1;
        MOST.fetch_max(now, Ordering::SeqCst);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        NOW.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) fn decider(scene: &Scene) -> Decider {
    let mapping: Mapping = serde_json::from_value(json!({
        "host": ["pages.example"], "envoy": {"body": true}, "message-limit": 1_000_000,
        "route": [
            {"method": "PUT", "path": "/pages/{page}", "operation": "pages:write", "body": "json"},
            {"method": "PUT", "path": "/drafts/{page}", "operation": "pages:write"},
        ],
        "authzen": {"action": [{
            "name": "read", "resource-type": "page", "operation": "pages:read", "id": "page",
            "properties": ["list"],
        }]},
    }))
    .unwrap();
    Decider::with_clock(scene.guard(), &mapping, scene.clock()).unwrap()
}

/// As Envoy asks.
pub(crate) fn request(bearer: &str, list: &Value) -> Request<Full<Bytes>> {
    let request = Request::put(format!("{ENVOY}/pages/a"))
        .header("Host", "pages.example")
        .header("Authorization", format!("Bearer {bearer}"))
        .header("Content-Type", "application/json");
    request.body(Full::from(json!({"list": list}).to_string())).unwrap()
}

/// As a client of AuthZEN asks.
pub(crate) fn evaluation(bearer: &str, list: &Value) -> Request<Full<Bytes>> {
    let evaluation = json!({
        "subject": {"type": "user", "id": "user:test", "properties": {"token": bearer}},
        "action": {"name": "read", "properties": {"list": list}},
        "resource": {"type": "page", "id": "a"},
    });
    let request = Request::post(AUTHZEN).header("Content-Type", "application/json");
    request.body(Full::from(evaluation.to_string())).unwrap()
}

pub(crate) async fn ask(decider: &Decider, request: Request<Full<Bytes>>) -> Response<AnswerBody> {
    decider.clone().call(request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_questions_that_are_given_up_keep_their_places_until_they_are_read() {
    let scene = Scene::new();
    let (decider, bearer) = (decider(&scene), scene.bearer(&["pages:read", "pages:write"]));
    let list = Value::from(vec![0; SMALL_BYTES]);
    // The bearer is remembered from here on, so that a question is on its way to be judged at once.
    assert_eq!(ask(&decider, request(&bearer, &json!([0]))).await.status(), 200);
    let (stranger, honest) = (evaluation("no token", &list), evaluation(&bearer, &list));
    for (given_up, honest) in
        [(request(&bearer, &list), request(&bearer, &list)), (stranger, honest)]
    {
        MOST.store(0, Ordering::SeqCst);
        for _ in 0..8 * LARGE_AT_ONCE {
            assert!(ask(&decider, given_up.clone()).now_or_never().is_none(), "it is given up");
        }
        assert_eq!(ask(&decider, honest).await.status(), 200);
        let most = MOST.load(Ordering::SeqCst);
        assert!((2..=LARGE_AT_ONCE).contains(&most), "{most} at once");
    }
}

#[tokio::test]
async fn a_question_for_whose_body_there_is_no_place_hears_that_it_may_come_later() {
    let scene = Scene::new();
    let (decider, bearer) = (decider(&scene), scene.bearer(&["pages:read", "pages:write"]));
    let all = u32::try_from(SMALL_AT_ONCE).unwrap();
    let held = decider.doors.bodies.small.try_acquire_many(all).unwrap();
    for asked in [request(&bearer, &json!([0])), evaluation(&bearer, &json!([0]))] {
        let refused = ask(&decider, asked).await;
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["retry-after"], "1");
        let body = refused.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"], "temporarily_unavailable");
        let words = body["error_description"].as_str().unwrap();
        assert!(words.contains("too many bodies are held at once; try again later"), "{words}");
    }
    let check = Request::post(ENVOY_GRPC).header("Content-Type", "application/grpc");
    let check = check.body(Full::from(Bytes::from_static(&[0; 5]))).unwrap();
    assert_eq!(ask(&decider, check).await.headers()["grpc-status"], "14");
    drop(held);
    for asked in [request(&bearer, &json!([0])), evaluation(&bearer, &json!([0]))] {
        assert_eq!(ask(&decider, asked).await.status(), 200);
    }
}

#[tokio::test]
async fn a_body_that_takes_much_memory_needs_room_for_it_where_a_route_reads_it() {
    let scene = Scene::new();
    let (decider, bearer) = (decider(&scene), scene.bearer(&["pages:read", "pages:write"]));
    let many = Value::from(vec![json!({"a": 1}); 1_000]);
    let to_another_route = || {
        let mut request = request(&bearer, &many);
        *request.uri_mut() = format!("{ENVOY}/drafts/a").parse().unwrap();
        request
    };
    let all = u32::try_from(MEMORY_AT_ONCE).unwrap();
    let held = decider.doors.bodies.memory.try_acquire_many(all).unwrap();
    // They wait for some seconds.
    tokio::time::pause();
    for asked in [request(&bearer, &many), evaluation(&bearer, &many)] {
        assert_eq!(ask(&decider, asked).await.status(), 503);
    }
    tokio::time::resume();
    assert_eq!(ask(&decider, to_another_route()).await.status(), 200);
    drop(held);
    for asked in [request(&bearer, &many), evaluation(&bearer, &many), to_another_route()] {
        assert_eq!(ask(&decider, asked).await.status(), 200);
    }
    // For these there would never be room.
    let too_many = Value::from(vec![json!({"a": 1}); 45_000]);
    assert_eq!(ask(&decider, request(&bearer, &too_many)).await.status(), 413);
}
