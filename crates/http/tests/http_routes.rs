//! A table of routes in front of an axum router: what is judged is what the handlers read.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{Json, Path, Query, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use hardtack::{Grant, Permit, Presentation, Presenting, Store};
use hardtack_http::{Describe, GuardLayer, Permitted, RouteError, Routes};
use hardtack_testkit::{AUDIENCE, Cast, NOW};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

fn table() -> Routes {
    let rows = [
        (Method::GET, "/pages/{page}", "pages:read"),
        (Method::PUT, "/pages/{page}", "pages:write"),
        (Method::GET, "/files/{owner}/{*path}", "files:read"),
        (Method::GET, "/team/{team}/members/{member}", "members:read"),
    ];
    rows.into_iter().fold(Routes::new(), |table, (method, path, operation)| {
        table.route(method, path, operation).unwrap()
    })
}

/// What a handler read, in one object.
async fn echo(
    Path(path): Path<BTreeMap<String, String>>,
    Query(query): Query<BTreeMap<String, String>>,
    body: Option<Json<Value>>,
) -> Json<Value> {
    let mut read = json!(path);
    let members = read.as_object_mut().unwrap();
    members.extend(query.into_iter().map(|(name, value)| (name, json!(value))));
    if let Some(Json(Value::Object(body))) = body {
        members.extend(body);
    }
    Json(read)
}

fn router() -> Router {
    let members = Router::new().route("/members/{member}", get(echo));
    Router::new()
        .route("/pages/{page}", get(echo).put(echo).patch(echo))
        .route("/files/{owner}/{*path}", get(echo))
        .route("/other/{page}", get(echo))
        .nest("/team/{team}", members)
}

/// Sends on what a table says of the request, for the test to compare.
async fn described(routes: impl Describe<Body>, request: Request, next: Next) -> Response {
    match routes.describe(request).await {
        Ok((call, request)) => {
            let said =
                json!({"operation": call.operation().as_str(), "arguments": call.arguments_json()});
            ([("said", said.to_string())], next.run(request).await).into_response()
        }
        Err(error) => (StatusCode::IM_A_TEAPOT, error.to_string()).into_response(),
    }
}

fn request(method: &str, uri: &str, body: &str) -> Request {
    let request = Request::builder().method(method).uri(uri);
    let request = match body {
        "" => request,
        _ => request.header("content-type", "application/json"),
    };
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn text(response: Response) -> String {
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn what_is_judged_is_what_the_handler_reads() {
    let table = table().reading_json(1024);
    let router =
        router().route_layer(from_fn(move |request, next| described(table.clone(), request, next)));
    let mut compared = 0;
    for (method, uri, body, operation) in [
        ("GET", "/pages/roadmap", "", "pages:read"),
        ("HEAD", "/pages/roadmap", "", "pages:read"),
        ("GET", "/pages/salarie%73", "", "pages:read"),
        ("GET", "/pages/%2573alaries", "", "pages:read"),
        ("GET", "/pages/..%2fsalaries", "", "pages:read"),
        ("GET", "/pages/a+b;c=d", "", "pages:read"),
        ("GET", "/pages/%C3%BC%00%20", "", "pages:read"),
        ("GET", "/pages/a%3Fpage=b", "", "pages:read"),
        ("GET", "/pages/roadmap?draft=a+b%20c%2Bd&x&y==", "", "pages:read"),
        ("GET", "/pages/roadmap?a=%c3%bf&%62=1;c=2", "", "pages:read"),
        (
            "PUT",
            "/pages/roadmap",
            r#"{"title": "T", "n": 7, "deep": {"a": [null, true, 1.5]}}"#,
            "pages:write",
        ),
        ("PUT", "/pages/roadmap?as=bob", r#"{"t\u0069tle": "T"}"#, "pages:write"),
        ("GET", "/files/alice/a/b%2fc//d/../e", "", "files:read"),
        ("GET", "/team/a%62/members/%63", "", "members:read"),
    ] {
        let response = router.clone().oneshot(request(method, uri, body)).await.unwrap();
        assert_eq!(response.status(), 200, "{method} {uri} {}", text(response).await);
        let said: Value = serde_json::from_slice(response.headers()["said"].as_bytes()).unwrap();
        assert_eq!(said["operation"], operation, "{method} {uri}");
        if method != "HEAD" {
            let read: Value = serde_json::from_str(&text(response).await).unwrap();
            assert_eq!(said["arguments"], read, "{method} {uri}");
            compared += 1;
        }
    }
    assert_eq!(compared, 13);
}

#[tokio::test]
async fn what_two_readers_could_read_differently_is_refused() {
    let table = table().reading_json(64);
    let router =
        router().route_layer(from_fn(move |request, next| described(table.clone(), request, next)));
    let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(64));
    for (method, uri, body, words) in [
        ("GET", "/pages/roadmap?page=salaries", "", "a member twice"),
        ("GET", "/pages/roadmap?Page=salaries", "", "differ in capitals"),
        ("GET", "/pages/roadmap?a=1&a=2", "", "a member twice"),
        ("GET", "/pages/roadmap?a=1&%61=2", "", "a member twice"),
        ("GET", "/pages/roadmap?a%00=1", "", "does not print"),
        ("PUT", "/pages/roadmap", r#"{"page": "salaries"}"#, "a member twice"),
        ("PUT", "/pages/roadmap", r#"{"a": 1, "a": 2}"#, "a member twice"),
        ("PUT", "/pages/roadmap?a=1", r#"{"a": 2}"#, "a member twice"),
        ("PUT", "/pages/roadmap", r#"["a"]"#, "no JSON object"),
        ("PUT", "/pages/roadmap", "title=T", "are no JSON"),
        ("PUT", "/pages/roadmap", &long, "more than 64 bytes"),
        ("GET", "/pages/%ff", "", "no UTF-8"),
        ("GET", "/files/a/b%ff", "", "no UTF-8"),
        ("PATCH", "/pages/roadmap", "", "none that can be asked for"),
        ("GET", "/other/roadmap", "", "nothing here"),
    ] {
        let response = router.clone().oneshot(request(method, uri, body)).await.unwrap();
        assert_eq!(response.status(), StatusCode::IM_A_TEAPOT, "{method} {uri} {body}");
        let said = text(response).await;
        assert!(said.contains(words), "{method} {uri} {body}: {said}");
    }
}

/// Of alice to her assistant, who reads pages but the one about salaries.
fn presented(cast: &Cast) -> Presentation {
    let grant = Grant::to("user:alice").scope("*");
    let (hop, assistant) = hardtack::Delegation::to("agent.assistant")
        .scope("pages:*")
        .check(r#"check all arg("page", $page), $page != "salaries""#)
        .reason("tidy up")
        .new_holder();
    let (grant, alice) = grant.new_holder();
    let granted = cast.issuer().mint(grant, NOW).unwrap();
    let part = granted.delegate(hop, &alice, NOW).unwrap();
    part.present(Presenting::to(AUDIENCE), &assistant, NOW).unwrap()
}

async fn ask(service: &Router, bearer: &str, method: &str, uri: &str) -> (u16, String) {
    let mut request = request(method, uri, "");
    let value = format!("Bearer {bearer}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    let response = service.clone().oneshot(request).await.unwrap();
    (response.status().as_u16(), text(response).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoded_path_does_not_get_around_a_hop() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let service = router().route_layer(GuardLayer::new(cast.guard(&store), table()).clock(|| NOW));
    let presented = presented(&cast);
    for (method, uri, status) in [
        ("GET", "/pages/roadmap", 200),
        ("GET", "/pages/roadmap?draft=1", 200),
        ("GET", "/pages/salaries", 403),
        ("GET", "/pages/salarie%73", 403),
        ("GET", "/pages/%73alaries", 403),
        ("HEAD", "/pages/salarie%73", 403),
        ("GET", "/pages/%73%61%6c%61%72%69%65%73?draft=1", 403),
        ("GET", "/pages/roadmap?page=salaries", 400),
        ("GET", "/pages/salaries?page=roadmap", 400),
        ("PATCH", "/pages/roadmap", 405),
        ("GET", "/other/roadmap", 404),
        ("GET", "/pages/roadmap/", 404),
        ("GET", "//pages/salaries", 404),
        ("GET", "/team/a/members/b", 403),
    ] {
        let (found, said) = ask(&service, presented.bearer(), method, uri).await;
        assert_eq!(found, status, "{method} {uri}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_template_was_matched_everything_is_refused() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let layer = || GuardLayer::new(cast.guard(&store), table()).clock(|| NOW);
    let presented = presented(&cast);
    let outside = Router::new()
        .fallback_service(tower::ServiceBuilder::new().layer(layer()).service(router()));
    let nested = Router::new()
        .nest_service("/pages", tower::ServiceBuilder::new().layer(layer()).service(router()));
    let fallback = router().fallback(get(|| async { "fallback" })).layer(layer());
    for (service, uri) in
        [(outside, "/pages/roadmap"), (nested, "/pages/pages/roadmap"), (fallback, "/elsewhere")]
    {
        let (status, said) = ask(&service, presented.bearer(), "GET", uri).await;
        assert_eq!(status, 404, "{uri}: {said}");
        assert!(said.contains("there is nothing here"), "{uri}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_takes_its_permit_and_hears_where_no_guard_stands() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let whose = |permit: Permitted, Extension(shared): Extension<std::sync::Arc<Permit>>| async move {
        assert_eq!(permit.sequence(), shared.sequence());
        format!("{} {}", permit.subject(), permit.agent().unwrap())
    };
    let open = Router::new().route(
        "/pages/{page}",
        get(|permit: Permitted| async move { permit.subject().to_owned() }),
    );
    let routes = Router::new().route("/pages/{page}", get(whose));
    let guarded = routes.route_layer(GuardLayer::new(cast.guard(&store), table()).clock(|| NOW));
    let presented = presented(&cast);
    let allowed = ask(&guarded, presented.bearer(), "GET", "/pages/a").await;
    assert_eq!(allowed, (200, "user:alice agent.assistant".to_owned()));
    let (status, said) = ask(&open, presented.bearer(), "GET", "/pages/a").await;
    assert_eq!(status, 500);
    assert!(said.contains("GuardLayer"), "{said}");
}

/// Nothing of a request is read for whoever may not ask.
#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_that_does_not_hold_is_refused_before_the_query_and_recorded_with_its_operation() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = std::sync::Arc::new(cast.guard(&store));
    let layer = |table| GuardLayer::new(guard.clone(), table).clock(|| NOW);
    let by_head = router().route_layer(layer(table()));
    let by_body = router()
        .route_layer(GuardLayer::new(guard.clone(), table().reading_json(64)).clock(|| NOW));
    let presented = presented(&cast);
    let twice = "/pages/roadmap?page=a&Page=b";
    assert_eq!(ask(&by_head, presented.bearer(), "GET", twice).await.0, 400);
    let grant = cast.grant_of(&["*"]);
    let stranger = Cast { root: hardtack::PrivateKey::generate(), ..Cast::new() };
    let foreign = hardtack::Issuer::new(stranger.root).mint(grant, NOW).unwrap();
    let foreign = foreign.present(Presenting::to(AUDIENCE), &cast.orchestrator, NOW).unwrap();
    for service in [&by_head, &by_body] {
        for bad in ["stranger", foreign.bearer()] {
            assert_eq!(ask(service, bad, "GET", twice).await.0, 401);
            assert_eq!(ask(service, bad, "GET", "/other/roadmap").await.0, 401);
        }
        let without = service.clone().oneshot(request("GET", twice, "")).await.unwrap();
        assert_eq!(without.status(), 401);
    }
    hardtack_testkit::revoke(
        &store,
        hardtack::Revocation::Agent { agent: "agent.assistant".to_owned() },
    );
    for service in [&by_head, &by_body] {
        for (method, uri) in [("GET", twice), ("PUT", twice), ("GET", "/other/roadmap")] {
            assert_eq!(
                ask(service, presented.bearer(), method, uri).await.0,
                401,
                "{method} {uri}"
            );
        }
    }
    let mut operations = Vec::new();
    let note = |record: hardtack::AuditRecord| {
        let decision = record.decision().map(|decision| decision.operation.clone());
        operations.extend(decision);
    };
    store.each_record(note).unwrap();
    assert_eq!(operations[..8], ["admission"; 8]);
    assert_eq!(operations[8..], ["pages:read", "pages:write", "admission"].repeat(2));
}

#[test]
fn a_row_that_cannot_be_is_refused_when_the_table_is_made() {
    let row = |path, operation| Routes::new().route(Method::GET, path, operation).map(drop);
    assert_eq!(row("pages", "pages:read"), Err(RouteError::Path("pages".to_owned())));
    let named = row("/pages", "pages read").unwrap_err().to_string();
    assert!(named.starts_with("the operation of GET /pages: "), "{named}");
    let twice = table().route(Method::GET, "/pages/{page}", "pages:other").map(drop);
    assert_eq!(twice, Err(RouteError::Repeated("GET /pages/{page}".to_owned())));
}
