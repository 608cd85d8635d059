//! The tower layer, in front of services of axum and tonic.

use std::sync::Arc;

use axum::body::Body;
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use hardtack::audit::{Done, LedgerEntry, LedgerUnavailable, Recorded};
use hardtack::{
    Call, CallError, Chain, Ledger, Permit, Presentation, Presenting, Revocation, Store,
};
use hardtack_http::{GuardLayer, Reading};
use hardtack_testkit::{AUDIENCE, Cast, NOW, revoke};
use http::request::Parts;
use http::{Request, StatusCode};
use tower::ServiceExt;

fn tool(request: &Parts) -> Result<Call, CallError> {
    Call::tool(request.uri.path().trim_start_matches('/'))
}

fn tool_with_arguments(request: &Parts, body: &Bytes) -> Result<Call, CallError> {
    tool(request)?.arguments(&String::from_utf8_lossy(body))
}

async fn whose(
    Extension(permit): Extension<Arc<Permit>>,
    Extension(chain): Extension<Arc<Chain>>,
    request: Request<Body>,
) -> String {
    assert!(!request.headers().contains_key("authorization"), "the service sees the bearer");
    format!("{} {} {}", permit.subject(), permit.agent().unwrap(), chain.depth())
}

fn service(cast: &Cast, store: &Store) -> Router {
    let layer = GuardLayer::new(cast.guard(store), tool).clock(|| NOW);
    Router::new().route("/{tool}", get(whose)).layer(layer)
}

async fn ask(
    service: &Router,
    path: &str,
    headers: &[(&str, String)],
) -> (StatusCode, String, String) {
    let request = headers
        .iter()
        .fold(Request::get(path), |request, (name, value)| request.header(*name, value));
    answer(service, request.body(Body::empty()).unwrap()).await
}

/// Status, challenge and body.
async fn answer(service: &Router, request: Request<Body>) -> (StatusCode, String, String) {
    let response = service.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let challenge = response.headers().get("www-authenticate");
    let challenge = challenge.map_or(String::new(), |value| value.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, challenge, String::from_utf8(body.to_vec()).unwrap())
}

fn bearer(presentation: &Presentation) -> (&'static str, String) {
    ("authorization", format!("Bearer {}", presentation.bearer()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_request_finds_its_permit_and_no_bearer() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let service = service(&cast, &store);
    // Cold and warm.
    for _ in 0..3 {
        let (status, _, body) = ask(&service, "/search", &[bearer(&cast.presented())]).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "user:alice agent.researcher 1"));
    }
    let presented = cast.presented();
    for _ in 0..2 {
        let (status, ..) = ask(&service, "/search", &[bearer(&presented)]).await;
        assert_eq!(status, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_those_of_rfc_6750() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let service = service(&cast, &store);
    let good = bearer(&cast.presented());
    let elsewhere =
        cast.researchers().present(Presenting::to("mail.mcp"), &cast.researcher, NOW).unwrap();
    for (path, headers, status, challenge) in [
        ("/search", vec![], 401, r#"Bearer realm="notion.mcp""#),
        ("/search", vec![bearer(&elsewhere)], 401, r#"error="invalid_token""#),
        (
            "/search",
            vec![("authorization", "Bearer x".to_owned())],
            401,
            r#"error="invalid_token""#,
        ),
        ("/delete_page", vec![good.clone()], 403, r#"error="insufficient_scope""#),
        ("/delete_page", vec![good.clone()], 403, r#"scope="tools:call:delete_page""#),
        ("/search", vec![good.clone(), good.clone()], 400, r#"error="invalid_request""#),
        ("/search?access_token=x", vec![good.clone()], 400, r#"error="invalid_request""#),
        ("/sea%20rch", vec![good.clone()], 400, r#"error="invalid_request""#),
        (
            "/search",
            vec![("authorization", format!("Bearer {}", "a".repeat(30_000)))],
            431,
            r#"error="invalid_request""#,
        ),
    ] {
        let (found, challenged, body) = ask(&service, path, &headers).await;
        assert_eq!(found, status, "{path} {body}");
        assert!(challenged.contains(challenge), "{challenged}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(body["error"].is_string() && body["error_description"].is_string(), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_refused_though_it_is_remembered() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let service = service(&cast, &store);
    let presented = cast.presented();
    assert_eq!(ask(&service, "/search", &[bearer(&presented)]).await.0, 200);
    revoke(&store, Revocation::Holder { key: cast.researcher.public() });
    assert_eq!(ask(&service, "/search", &[bearer(&presented)]).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_are_read_from_the_body_and_the_service_gets_the_same() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let layer = GuardLayer::new(cast.guard(&store), Reading::up_to(1000, tool_with_arguments));
    let service: Router = Router::new()
        .route("/{tool}", post(|body: String| async move { body }))
        .layer(layer.clock(|| NOW));
    let call = Call::tool("search").unwrap().arguments(r#"{"query": "roadmap"}"#).unwrap();
    let once = cast
        .researchers()
        .present(Presenting::to(AUDIENCE).call(call), &cast.researcher, NOW)
        .unwrap();
    let send = |body: &str| {
        let (name, value) = bearer(&once);
        Request::post("/search").header(name, value).body(Body::from(body.to_owned())).unwrap()
    };
    assert_eq!(answer(&service, send(r#"{"query": "salaries"}"#)).await.0, 403);
    assert_eq!(answer(&service, send(r#"{"query": "a", "query": "roadmap"}"#)).await.0, 400);
    assert_eq!(
        answer(&service, send(&format!("{{\"q\": \"{}\"}}", "a".repeat(2000)))).await.0,
        413
    );
    let (status, _, body) = answer(&service, send(r#"{ "query": "roadmap" }"#)).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{ "query": "roadmap" }"#));
    assert_eq!(answer(&service, send(r#"{"query": "roadmap"}"#)).await.0, 401, "replayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_is_undecided() {
    struct Full;
    impl Ledger for Full {
        fn record(&self, _: LedgerEntry) -> Result<Recorded, LedgerUnavailable> {
            Err(LedgerUnavailable("the disk is full".to_owned()))
        }

        fn record_later(&self, entry: LedgerEntry, done: Done) {
            done(self.record(entry));
        }
    }
    let cast = Cast::new();
    let guard = hardtack::Guard::new(cast.verifier(), hardtack::Policy::builtin(), Full);
    let service: Router = Router::new()
        .route("/{tool}", get(whose))
        .layer(GuardLayer::new(guard, tool).clock(|| NOW));
    let presented = cast.presented();
    for _ in 0..2 {
        let (status, _, body) = ask(&service, "/search", &[bearer(&presented)]).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!body.contains("disk"), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tonic_service_is_guarded_and_its_clients_hear_grpc_codes() {
    use tonic::Code;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let rpc = |request: &Parts| match request.uri.path() {
        "/grpc.health.v1.Health/Check" => Call::tool("search"),
        _ => Call::tool("other"),
    };
    let layer = GuardLayer::new(cast.guard(&store), rpc).clock(|| NOW);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let serving = tonic::transport::Server::builder().layer(layer).add_service(health);
    let serving = tokio::spawn(serving.serve_with_incoming(incoming));
    let channel = tonic::transport::Channel::from_shared(url).unwrap().connect().await.unwrap();
    let client = HealthClient::new(channel);
    let presented = cast.presented();
    let request = |token: Option<&str>| {
        let mut request = tonic::Request::new(HealthCheckRequest { service: String::new() });
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        request
    };
    let allowed = client.clone().check(request(Some(presented.bearer()))).await.unwrap();
    assert_eq!(allowed.into_inner().status, 1);
    let refused = client.clone().check(request(None)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = client.clone().watch(request(Some(presented.bearer()))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_read_after_its_bearer_holds_and_up_to_its_bound() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let reading = Reading::up_to(1000, |request: &Parts, _: &Bytes| tool(request));
    let layer = GuardLayer::new(cast.guard(&store), reading).clock(|| NOW);
    let service: Router = Router::new().route("/{tool}", post(|| async {})).layer(layer);
    let presented = cast.presented();
    let send = |token: &str, body: Body| {
        let request = Request::post("/search").header("authorization", format!("Bearer {token}"));
        answer(&service, request.body(body).unwrap())
    };
    let bytes = |count: usize| Body::from("a".repeat(count));
    assert_eq!(send(presented.bearer(), bytes(1000)).await.0, 200);
    let (status, _, why) = send(presented.bearer(), bytes(1001)).await;
    assert_eq!((status.as_u16(), why.contains("more than 1000 bytes")), (413, true), "{why}");
    assert_eq!(send("stranger", bytes(1001)).await.0, 401, "the body of a stranger is read");
    let broken = || {
        let parts = [Ok(Bytes::from("a")), Err(std::io::Error::other("gone"))];
        Body::from_stream(futures_util::stream::iter(parts))
    };
    assert_eq!(send(presented.bearer(), broken()).await.0, 408, "a body that breaks off");
}

/// What helps is said, and nothing of what the policies say.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_helps_and_nothing_of_the_policies() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let policy = r#"
        allow if tool("search"), granted($op), arg("limit", $most), $most <= 4242;
        deny if arg("limit", $most), $most > 4141;
        deny if arg("secret_switch", true);
        deny if arg("query", "curfew"), arg("unheard_of", $x);
        deny if tool("vault"), subject("user:alice");
    "#;
    let verifier = hardtack::Verifier::new(cast.roots(), AUDIENCE, store.revocations()).unwrap();
    let policy = hardtack::Policy::parse("quiet.datalog", policy).unwrap();
    let guard = hardtack::Guard::new(verifier, policy, store.clone());
    let layer = GuardLayer::new(guard, Reading::up_to(70_000, tool_with_arguments)).clock(|| NOW);
    let service = Router::new().route("/{tool}", post(whose)).layer(layer);
    let grant = cast.grant_of(&["tools:call:*"]);
    let grant = cast.issuer().mint(grant, NOW).unwrap();
    let part = hardtack::Delegation::to("agent.researcher")
        .scope("tools:call:search")
        .scope("tools:call:vault")
        .reason("find it")
        .allow("query? != \"forbidden by alice\"")
        .holder(cast.researcher.public());
    let token = grant.delegate(part, &cast.orchestrator, NOW).unwrap();
    let presented = token.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
    let many: Vec<String> = (0..1001).map(|n| format!("\"a{n}\": 1")).collect();
    let large = format!("{{{}}}", many.join(","));
    let larger = format!(r#"{{"query": "{}"}}"#, "x".repeat(71_000));
    for (tool, body, status, error, cause, helps, arguments) in [
        (
            "search",
            r#"{"limit": 4142}"#,
            403,
            "access_denied",
            "policy_denied",
            "another_call",
            r#"["limit"]"#,
        ),
        (
            "search",
            r#"{"limit": 1, "Secret_switch": true}"#,
            403,
            "access_denied",
            "policy_denied",
            "another_call",
            r#"["Secret_switch"]"#,
        ),
        (
            "search",
            r#"{"query": "x"}"#,
            403,
            "access_denied",
            "nothing_allows",
            "another_call",
            "[]",
        ),
        ("vault", r#"{"query": "x"}"#, 403, "access_denied", "policy_denied", "server", "[]"),
        (
            "search",
            r#"{"query": "forbidden by alice"}"#,
            403,
            "access_denied",
            "check_failed",
            "another_call",
            r#"["query"]"#,
        ),
        ("delete_page", "{}", 403, "insufficient_scope", "not_granted", "delegator", "[]"),
        (
            "search",
            r#"{"limit": 9007199254740993}"#,
            400,
            "invalid_request",
            "inexact_call",
            "another_call",
            "[]",
        ),
        ("search", large.as_str(), 400, "invalid_request", "call_too_large", "another_call", "[]"),
        ("search", larger.as_str(), 413, "invalid_request", "call_too_large", "another_call", "[]"),
    ] {
        let request =
            Request::post(format!("/{tool}")).header("authorization", bearer(&presented).1);
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (found, challenge, answered) = answer(&service, request).await;
        let read: serde_json::Value = serde_json::from_str(&answered).unwrap();
        assert_eq!((found.as_u16(), &read["error"]), (status, &error.into()), "{answered}");
        let told = (&read["cause"], &read["helps"], &read["retry"]);
        assert_eq!(told, (&cause.into(), &helps.into(), &false.into()), "{answered}");
        assert_eq!(read["arguments"].to_string(), arguments, "{answered}");
        assert_eq!(read["scope"].is_string(), error == "insufficient_scope", "{answered}");
        assert_eq!(challenge.contains("insufficient_scope"), error == "insufficient_scope");
        for unsaid in ["4141", "4242", "unheard_of", "curfew", "quiet", "user:alice"] {
            assert!(!answered.contains(unsaid) && !challenge.contains(unsaid), "{answered}");
        }
    }
}

/// Of what was decided so far: the cause, the operation, the resource, and whether it is known who asked.
fn recorded(store: &Store) -> Vec<(Option<String>, String, Option<String>, bool)> {
    let mut found = Vec::new();
    let note = |record: hardtack::AuditRecord| {
        found.extend(record.decision().map(|decision| {
            let (cause, known) =
                (decision.cause.as_ref().map(ToString::to_string), decision.chain.is_some());
            (cause, decision.operation.clone(), decision.resource.clone(), known)
        }));
    };
    store.each_record(note).unwrap();
    found
}

/// A search of the log by operation or agent finds what a revoked agent asked for.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_refused_bearer_asked_for_is_recorded_and_what_a_stranger_asks_for_is_not() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let described = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&described);
    let head = move |request: &Parts| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tool(request)?.resource("https://notion.so/roadmap")
    };
    let guard = Arc::new(cast.guard(&store));
    let layer = GuardLayer::from_fn(Arc::clone(&guard), head).clock(|| NOW);
    let reading = Reading::up_to(1000, tool_with_arguments);
    let reading = GuardLayer::new(Arc::clone(&guard), reading).clock(|| NOW);
    let by_head = Router::new().route("/{tool}", get(whose)).layer(layer);
    let by_body = Router::new().route("/{tool}", post(whose)).layer(reading);
    let presented = cast.presented();
    let mut forged = presented.bearer().as_bytes().to_vec();
    forged[100] ^= 1;
    let forged = String::from_utf8(forged).unwrap();
    let send = |token: &str, body: Body| {
        let request = Request::post("/search").header("authorization", format!("Bearer {token}"));
        answer(&by_body, request.body(body).unwrap())
    };
    for bad in ["stranger", &forged] {
        let headers = [("authorization", format!("Bearer {bad}"))];
        assert_eq!(ask(&by_head, "/search", &headers).await.0, 401);
        assert_eq!(send(bad, Body::from("{}")).await.0, 401);
    }
    assert_eq!(described.load(std::sync::atomic::Ordering::Relaxed), 0, "strangers have it work");
    let strangers = recorded(&store);
    assert_eq!(strangers.len(), 4);
    assert!(strangers.iter().all(|(_, operation, resource, known)| {
        (operation.as_str(), resource, *known) == ("admission", &None, false)
    }));

    revoke(&store, Revocation::Agent { agent: "agent.researcher".to_owned() });
    assert_eq!(ask(&by_head, "/search", &[bearer(&presented)]).await.0, 401);
    assert_eq!(ask(&by_head, "/sea%20rch", &[bearer(&presented)]).await.0, 401, "no tool");
    assert_eq!(send(presented.bearer(), Body::from("{}")).await.0, 401);
    assert_eq!(send(presented.bearer(), Body::from("x".repeat(2000))).await.0, 401);
    let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    assert_eq!(send(presented.bearer(), never).await.0, 401, "a body that does not come");
    let revoked = |operation: &str, resource: Option<&str>| {
        (Some("revoked".to_owned()), operation.to_owned(), resource.map(str::to_owned), true)
    };
    assert_eq!(
        recorded(&store)[4..],
        [
            revoked("tools:call:search", Some("https://notion.so/roadmap")),
            revoked("admission", None),
            revoked("tools:call:search", None),
            revoked("admission", None),
            revoked("admission", None),
        ]
    );
    let mut passed = 0;
    store
        .each_record(|record| {
            let Some(decision) = record.decision() else { return };
            let hops = decision.chain.iter().flat_map(|chain| &chain.hops);
            let by_researcher = hops.filter(|hop| hop.delegate == "agent.researcher").count() > 0;
            let tools = decision.operation.starts_with("tools:call:");
            passed += usize::from(by_researcher && tools);
        })
        .unwrap();
    assert_eq!(passed, 2);
}

/// A bound of its own for an operation counts although it is not known yet when the bearer is verified.
#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_may_rest_on_older_knowledge_is_not_refused_before_it_is_known() {
    use std::time::Duration;

    use hardtack::PublicKey;
    use hardtack::revocation::{Knowledge, RevocationSource, RevocationsUnavailable, Revoked};

    /// Of an hour ago but a minute.
    struct Old;
    impl RevocationSource for Old {
        fn revoked(
            &self,
            _: &Chain,
            _: &PublicKey,
        ) -> Result<Option<Revoked>, RevocationsUnavailable> {
            Ok(None)
        }

        fn knowledge(&self) -> Knowledge {
            Knowledge::AsOf(hardtack::Timestamp::from_unix_seconds(NOW.unix_seconds() - 3540))
        }
    }
    let cast = Cast::new();
    let verifier = hardtack::Verifier::new(cast.roots(), AUDIENCE, Old).unwrap();
    let verifier =
        verifier.max_staleness_of("tools:call:search".parse().unwrap(), Duration::from_secs(3600));
    let guard = hardtack::Guard::unrecorded(verifier, hardtack::Policy::builtin());
    let service = Router::new()
        .route("/{tool}", get(whose))
        .layer(GuardLayer::from_fn(guard, tool).clock(|| NOW));
    let presented = cast.presented();
    for _ in 0..2 {
        assert_eq!(ask(&service, "/search", &[bearer(&presented)]).await.0, 200);
        assert_eq!(ask(&service, "/read", &[bearer(&presented)]).await.0, 503);
    }
}

/// What the server knows counts, and that it knows something is its own affair.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_of_facts_is_asked_for_each_request_and_its_errors_stay_inside() {
    use hardtack::guard::Fact;
    use hardtack::{Timestamp, VerifiedCapability};
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let policy = r#"allow if granted($op), db_role("editor");"#;
    let policy = hardtack::Policy::parse("p.datalog", policy).unwrap();
    let guard = hardtack::Guard::new(cast.verifier(), policy, store.clone());
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let source = move |_: &VerifiedCapability, _: &Call, _: Timestamp| {
        // A source may wait.
        std::thread::sleep(std::time::Duration::from_millis(5));
        match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 3 {
            0 => Ok(vec![Fact::new("db_role", ["editor"])]),
            1 => Ok(vec![Fact::new("db_role", ["viewer"])]),
            _ => Err("the database at db.internal is down".into()),
        }
    };
    let guard = guard.facts_from(["db_role"], source).unwrap();
    let layer = GuardLayer::new(guard, tool).clock(|| NOW);
    let service = Router::new().route("/{tool}", get(whose)).layer(layer);
    let presented = cast.presented();
    for _ in 0..2 {
        assert_eq!(ask(&service, "/search", &[bearer(&presented)]).await.0, 200);
        assert_eq!(ask(&service, "/search", &[bearer(&presented)]).await.0, 403);
        let (status, challenge, body) = ask(&service, "/search", &[bearer(&presented)]).await;
        assert_eq!(status, 503);
        for unsaid in ["fact", "source", "db", "role"] {
            assert!(!body.contains(unsaid) && !challenge.contains(unsaid), "{unsaid}: {body}");
        }
    }
}
