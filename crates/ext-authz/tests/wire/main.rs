//! Each protocol as it is on the wire: what is asked, byte by byte or message by message, and what is answered.

mod grpc;
mod large;
mod stage;

use std::time::Duration;

use hardtack::revocation::{Revocation, Revoking};
use hardtack::testing::Scene;
use hardtack::{Delegation, Grant, Presenting, PrivateKey};
use hardtack_ext_authz::{Decider, FORWARD_AUTH, Listener, Mapping, NGINX, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::stage::{LOST, PATIENCE, Served, mapping, served, served_with};

#[tokio::test]
async fn nginx_hears_200_401_or_403_and_what_the_service_is_told() {
    let served = served().await;
    let allowed = served.nginx("GET", "/pages/roadmap?version=2", &[]).await;
    assert_eq!((allowed.status, allowed.body.as_str()), (200, ""));
    assert_eq!(allowed.headers("x-subject"), ["user:test"]);
    assert_eq!(allowed.headers("x-agent"), ["agent.test"]);
    assert_eq!(allowed.headers("x-grant")[0].len(), 128);
    assert_eq!(allowed.headers("x-record").len(), 1);
    let refused = served.nginx("DELETE", "/pages/roadmap", &[]).await;
    assert_eq!(refused.status, 403);
    assert!(refused.headers("www-authenticate")[0].contains(r#"scope="pages:delete""#));
    for (method, target) in [
        ("GET", "/nowhere"),
        ("POST", "/pages/roadmap"),
        ("PUT", "/pages/roadmap"),
        ("GET", "/pages/salarie%73"),
        ("GET", "http://pages.example/pages/roadmap"),
        ("GET", "/pages/a?version=1&version=2"),
    ] {
        assert_eq!(served.nginx(method, target, &[]).await.status, 403, "{method} {target}");
    }
    for auth in ["X-Nothing: 1", "Authorization: Bearer x", "Authorization: Basic eDp5"] {
        let stranger = served.nginx_with(auth, "GET", "/pages/roadmap", &[]).await;
        assert_eq!(stranger.status, 401, "{auth}");
        assert!(stranger.headers("www-authenticate")[0].starts_with("Bearer realm="), "{auth}");
    }
}

#[tokio::test]
async fn a_refusal_is_none_of_grpc_whatever_the_client_says_that_it_sends() {
    let served = served().await;
    // A status of gRPC is HTTP 200, which proxies take for yes.
    let media = ["Content-Type: application/grpc", "TE: trailers"];
    assert_eq!(served.nginx("DELETE", "/pages/roadmap", &media).await.status, 403);
    let stranger = served.nginx_with("X-Nothing: 1", "GET", "/pages/roadmap", &media).await;
    assert_eq!(stranger.status, 401);
    assert_eq!(served.envoy("DELETE", "/pages/roadmap", &media, "").await.status, 403);
}

#[tokio::test]
async fn a_header_that_stands_twice_or_is_missing_is_refused() {
    let served = served().await;
    let auth = format!("Authorization: Bearer {}", served.bearer);
    for more in [
        "X-Original-URI: /pages/roadmap",
        "X-Original-Method: GET",
        "X-Original-Host: pages.example",
        "Authorization: Bearer x",
        auth.as_str(),
        "X-HTTP-Method-Override: DELETE",
        "X-Method-Override: DELETE",
        "X-HTTP-Method: DELETE",
        "X-Original-URL: /pages/salaries",
        "X-Rewrite-URL: /pages/salaries",
    ] {
        let answer = served.nginx("GET", "/pages/roadmap", &[more]).await;
        assert_eq!(answer.status, 403, "{more}");
    }
    let all = [
        "X-Original-Method: GET",
        "X-Original-URI: /pages/a",
        "X-Original-Host: pages.example",
        auth.as_str(),
    ];
    assert_eq!(served.raw(&format!("GET {NGINX}"), &all, "").await.status, 200);
    for missing in 0..3 {
        let headers: Vec<&str> = all
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != missing)
            .map(|(_, header)| *header)
            .collect();
        let answer = served.raw(&format!("GET {NGINX}"), &headers, "").await;
        assert_eq!(answer.status, 403, "without {}", all[missing]);
    }
    let other = [
        "X-Original-Method: GET",
        "X-Original-URI: /pages/a",
        "X-Original-Host: other.example",
        auth.as_str(),
    ];
    assert_eq!(served.raw(&format!("GET {NGINX}"), &other, "").await.status, 403);
}

#[tokio::test]
async fn traefik_and_caddy_are_answered_with_the_status_that_the_client_gets() {
    let served = served().await;
    let auth = format!("Authorization: Bearer {}", served.bearer);
    let ask = async |method: &str, target: &str, host: &str| {
        let headers = [
            format!("X-Forwarded-Method: {method}"),
            format!("X-Forwarded-Uri: {target}"),
            format!("X-Forwarded-Host: {host}"),
        ];
        let headers: Vec<&str> =
            headers.iter().map(String::as_str).chain([auth.as_str(), "Host: 127.0.0.1"]).collect();
        served.raw(&format!("GET {FORWARD_AUTH}"), &headers, "").await
    };
    for (method, target, host, status) in [
        ("GET", "/pages/roadmap", "pages.example", 200),
        ("GET", "/pages/roadmap", "PAGES.example", 200),
        ("HEAD", "/pages/roadmap", "pages.example", 200),
        ("DELETE", "/pages/roadmap", "pages.example", 403),
        ("GET", "/nowhere", "pages.example", 404),
        ("POST", "/pages/roadmap", "pages.example", 405),
        ("PUT", "/pages/roadmap", "pages.example", 400),
        ("GET", "/pages/../x", "pages.example", 400),
        ("GET", "/pages/roadmap", "other.example", 400),
        ("GET", "/pages/roadmap", "pages.example, other.example", 400),
    ] {
        assert_eq!(ask(method, target, host).await.status, status, "{method} {host} {target}");
    }
}

#[tokio::test]
async fn envoy_asks_over_http_with_the_clients_method_path_and_body() {
    let served = served().await;
    let json = "Content-Type: application/json";
    let allowed = served.envoy("GET", "/pages/a%20b", &[], "").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.headers("x-envoy-auth-headers-to-remove"), ["authorization"]);
    let whole = [json, "X-Envoy-Auth-Partial-Body: false"];
    assert_eq!(served.envoy("PUT", "/pages/a", &whole, r#"{"title": "T"}"#).await.status, 200);
    let partial = [json, "X-Envoy-Auth-Partial-Body: true"];
    let refused: [(&[&str], &str); 10] = [
        (&partial[..], r#"{"title": "T"}"#),
        (&[json, "Content-Encoding: gzip"], r#"{"title": "T"}"#),
        (&["Content-Type: text/plain"], r#"{"title": "T"}"#),
        (&[json, "Content-Type: text/plain"], r#"{"title": "T"}"#),
        (&["Content-Type: application/json, text/plain"], r#"{"title": "T"}"#),
        (&[], r#"{"title": "T"}"#),
        (&[json], ""),
        (&[json], r#"{"page": "b"}"#),
        (&[json], r#"{"t": 1, "t": 2}"#),
        (&[json], "[1]"),
    ];
    for (headers, body) in refused {
        let answer = served.envoy("PUT", "/pages/a", headers, body).await;
        assert_eq!(answer.status, 400, "{headers:?} {body}");
    }
    let long = format!(r#"{{"title": "{}"}}"#, "x".repeat(200_000));
    let status = served.envoy("PUT", "/pages/a", &[json], &long).await.status;
    assert!(matches!(status, 413 | LOST), "{status}");
    assert_eq!(served.envoy("GET", "/pages/%2E%2E/x", &[], "").await.status, 400);
    // Envoy may have written it for bytes that are no UTF-8.
    assert_eq!(served.envoy("GET", "/pages/a!!", &[], "").await.status, 400);
    assert_eq!(served.envoy("GET", "/pages/a%21", &[], "").await.status, 200);
    assert_eq!(served.envoy("DELETE", "/pages/a", &[], "").await.status, 403);
    let other = ["Host: other.example", "Authorization: Bearer x"];
    assert_eq!(served.raw("GET /envoy/pages/a", &other, "").await.status, 401);
}

#[tokio::test]
async fn who_is_not_named_is_not_answered() {
    let scene = Scene::new();
    let only = mapping(json!({"nginx": null, "envoy": null, "forward-auth": null, "route": []}));
    let decider = Decider::with_clock(scene.guard(), &only, scene.clock()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(serve(Listener::from(listener), decider, std::future::pending(), PATIENCE));
    let bearer = scene.bearer(&["pages:*"]);
    let served = Served { scene, address, bearer };
    assert_eq!(served.nginx("GET", "/pages/a", &[]).await.status, 404);
    assert_eq!(served.envoy("GET", "/pages/a", &[], "").await.status, 404);
    assert_eq!(served.raw(&format!("GET {FORWARD_AUTH}"), &["Host: a"], "").await.status, 404);
    assert_eq!(
        served
            .raw("POST /envoy.service.auth.v3.Authorization/Check", &["Host: a"], "")
            .await
            .status,
        404
    );
    assert_eq!(served.authzen(served.evaluation()).await.1["decision"], true);
}

#[tokio::test]
async fn an_evaluation_is_answered_by_a_decision_and_why() {
    let served = served().await;
    let (status, allowed) = served.authzen(served.evaluation()).await;
    assert_eq!((status, &allowed["decision"]), (200, &json!(true)));
    assert_eq!(allowed["context"]["agent"], "agent.test");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut evaluation = served.evaluation();
        change(&mut evaluation);
        evaluation
    };
    let mut user = served.evaluation();
    user["subject"]["type"] = json!("user");
    user["subject"]["id"] = json!("user:test");
    user["resource"]["properties"] = json!({"lang": "de"});
    user["context"] = json!({"purpose": "review"});
    assert_eq!(served.authzen(user).await.1["decision"], true);

    let stranger = with(&|evaluation| evaluation["subject"]["properties"]["token"] = json!("x"));
    let (status, stranger) = served.authzen(stranger).await;
    assert_eq!((status, &stranger["decision"]), (200, &json!(false)));
    assert_eq!(stranger["context"]["status"], 401);
    assert!(stranger["context"]["challenge"].as_str().unwrap().starts_with("Bearer realm="));
    type Change<'a> = &'a dyn Fn(&mut Value);
    let changes: [(Change<'_>, &str); 9] = [
        (&|e: &mut Value| e["action"]["name"] = json!("write"), "another action"),
        (&|e: &mut Value| e["resource"]["type"] = json!("user"), "another type"),
        (&|e: &mut Value| e["subject"]["id"] = json!("agent.other"), "another agent"),
        (&|e: &mut Value| e["subject"]["type"] = json!("service"), "another kind of subject"),
        (&|e: &mut Value| e["resource"]["id"] = json!(".."), "dots"),
        (&|e: &mut Value| e["resource"]["id"] = json!(7), "a number"),
        (&|e: &mut Value| e["resource"]["properties"] = json!({"other": 1}), "a property"),
        (&|e: &mut Value| e["context"] = json!({"time": "now"}), "a context"),
        (
            &|e: &mut Value| e["action"]["properties"] = json!({"page": "b"}),
            "a property of the action",
        ),
    ];
    for (change, why) in changes {
        let (status, answer) = served.authzen(with(change)).await;
        assert_eq!((status, &answer["decision"]), (200, &json!(false)), "{why}: {answer}");
    }
    let text = served.evaluation().to_string();
    for malformed in [
        "{}".to_owned(),
        "x".to_owned(),
        text.replacen('{', r#"{"action": {"name": "read"}, "#, 1),
        text.replacen('{', r#"{"evaluations": [], "#, 1),
    ] {
        assert_eq!(served.authzen_text(&malformed).await.0, 400, "{malformed}");
    }
}

#[tokio::test]
async fn decisions_are_recorded_and_revocations_hold_for_all_of_them() {
    let served = served().await;
    let before = served.nginx("GET", "/pages/a", &[]).await;
    let number: u64 = before.headers("x-record")[0].parse().unwrap();
    let after = served.envoy("GET", "/pages/a", &[], "").await;
    assert_eq!(after.headers("x-record"), [(number + 1).to_string()]);
    let subject = Revocation::Subject { subject: "user:test".to_owned(), root: None };
    let revoking = Revoking::new(subject, "tests", "lost").unwrap();
    served.scene.store().revoke(revoking, served.scene.now()).unwrap();
    assert_eq!(served.nginx("GET", "/pages/a", &[]).await.status, 401);
    assert_eq!(served.envoy("GET", "/pages/a", &[], "").await.status, 401);
    assert_eq!(served.authzen(served.evaluation()).await.1["context"]["cause"], "revoked");
}

#[tokio::test]
async fn what_has_expired_is_refused_to_all_of_them() {
    let served = served().await;
    assert_eq!(served.nginx("GET", "/pages/a", &[]).await.status, 200);
    served.scene.advance(Duration::from_secs(3600));
    assert_eq!(served.nginx("GET", "/pages/a", &[]).await.status, 401);
    assert_eq!(served.envoy("GET", "/pages/a", &[], "").await.status, 401);
    assert_eq!(served.authzen(served.evaluation()).await.1["context"]["cause"], "expired");
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_for_whom_its_mode_says_and_one_that_is_left_is_replaced() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decide.sock");
    // Left behind by a process that ended.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let scene = Scene::new();
    let decider = Decider::with_clock(scene.guard(), &mapping(json!({})), scene.clock()).unwrap();
    let listener = Listener::unix(&path, 0o600).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let in_use = Listener::unix(&path, 0o600).unwrap_err();
    assert_eq!(in_use.kind(), std::io::ErrorKind::AddrInUse, "one that listens stays");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let serving = tokio::spawn(serve(listener, decider, stopped, PATIENCE));
    let bearer = scene.bearer(&["pages:read"]);
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let asked = format!(
        "GET {NGINX} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Original-Method: GET\r\nX-Original-URI: /pages/a\r\nX-Original-Host: pages.example\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    );
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap();
    assert!(!path.exists(), "its file is removed at the end");
    std::fs::write(&path, "no socket").unwrap();
    assert!(Listener::unix(&path, 0o600).is_err(), "what is no socket stays");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "no socket");
}

#[tokio::test]
async fn who_sends_a_part_of_a_head_holds_up_nobody_else() {
    let served = served().await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        stream.write_all(b"GET /nginx HTTP/1.1\r\nHost:").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(served.nginx("GET", "/pages/a", &[]).await.status, 200);
    let long = format!("X-Long: {}", "x".repeat(80_000));
    let status = served.nginx("GET", "/pages/a", &[&long]).await.status;
    assert!(matches!(status, 431 | LOST), "{status}");
}

#[test]
fn a_mapping_that_cannot_be_as_it_is_is_refused_with_its_place() {
    let scene = Scene::new();
    for (more, place) in [
        (json!({"host": []}), "host"),
        (json!({"host": ["https://pages.example"]}), "host"),
        (json!({"route": []}), "route"),
        (json!({"envoy": {}}), "body"),
        (json!({"allowed-headers": {"Authorization": "subject"}}), "allowed-headers"),
        (json!({"allowed-headers": {"a b": "subject"}}), "allowed-headers"),
        (json!({"nginx": {"uri-header": "X-Original-Method"}}), "nginx"),
        (json!({"nginx": {"uri-header": "X-Original-URL"}}), "nginx"),
        (json!({"nginx": {"uri-header": "X_Rewrite-URL"}}), "nginx"),
        (json!({"nginx": {"method-header": "X-HTTP-Method-Override"}}), "nginx"),
        (json!({"authzen": {}}), "authzen"),
    ] {
        let error = Decider::new(scene.guard(), &mapping(more.clone())).unwrap_err().to_string();
        assert!(error.starts_with(place), "{more}: {error}");
    }
    let nobody = serde_json::from_value::<Mapping>(json!({})).unwrap();
    assert!(
        Decider::new(scene.guard(), &nobody).unwrap_err().to_string().contains("nobody may ask")
    );
}

#[tokio::test]
async fn headers_that_mean_something_else_to_the_service_are_refused_by_every_door() {
    let served = served().await;
    let auth = format!("Authorization: Bearer {}", served.bearer);
    let forwarded = async |more: &str| {
        let headers = [
            "X-Forwarded-Method: GET",
            "X-Forwarded-Uri: /pages/a",
            "X-Forwarded-Host: pages.example",
            "Host: 127.0.0.1",
            auth.as_str(),
            more,
        ];
        served.raw(&format!("GET {FORWARD_AUTH}"), &headers, "").await.status
    };
    for more in [
        "Connection: close, X-Subject",
        "Connection: x_agent",
        "Connection: X-Other",
        "Connection: Authorization",
        "X_Subject: user:root",
        "X_HTTP_Method_Override: DELETE",
        "X-HTTP_Method-Override: DELETE",
        "X-HTTP-Path-Override: /pages/salaries",
        "X-Original-Path: /pages/salaries",
        "X-Rewrite-Path: /pages/salaries",
        "X-Forwarded-Prefix: /admin",
        "X-Forwarded-Path: /pages/salaries",
        "Forwarded: host=other.example",
    ] {
        assert_eq!(served.nginx("GET", "/pages/a", &[more]).await.status, 403, "{more}");
        assert_eq!(forwarded(more).await, 400, "{more}");
        assert_eq!(served.envoy("GET", "/pages/a", &[more], "").await.status, 400, "{more}");
    }
    for more in ["Connection: keep-alive, Upgrade", "X-Subject: user:root", "X_Other: 1"] {
        assert_eq!(served.nginx("GET", "/pages/a", &[more]).await.status, 200, "{more}");
        assert_eq!(forwarded(more).await, 200, "{more}");
    }
}

#[tokio::test]
async fn the_header_of_the_agent_has_a_value_that_no_agent_has_if_the_subject_acts_itself() {
    let mut served = served().await;
    let key = PrivateKey::generate();
    let grant = Grant::to("user:test").scope("pages:read").holder(key.public());
    let granted = served.scene.issuer().mint(grant, served.scene.now()).unwrap();
    let presenting = Presenting::to(Scene::AUDIENCE);
    let presented = granted.present(presenting, &key, served.scene.now()).unwrap();
    served.bearer = presented.bearer().to_owned();
    for answer in
        [served.nginx("GET", "/pages/a", &[]).await, served.envoy("GET", "/pages/a", &[], "").await]
    {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers("x-agent"), ["(none)"]);
        assert_eq!(answer.headers("x-subject"), ["user:test"]);
    }
    let hop = Delegation::to("(none)").scope("pages:read").reason("x").holder(key.public());
    assert!(granted.delegate(hop, &key, served.scene.now()).is_err(), "no agent's name");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_begin_is_closed() {
    let served = served().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for first in [&preface[..0], b"P", &preface[..23], b"GET / HTT"] {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        stream.write_all(first).await.unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        let end = tokio::time::timeout(Duration::from_secs(80), end).await;
        assert!(end.is_ok(), "{first:?}");
    }
}

#[test]
fn an_action_that_judges_no_resource_id_is_named() {
    let with = |more: Value| {
        let mut action =
            json!({"name": "read", "resource-type": "page", "operation": "pages:read"});
        for (key, value) in more.as_object().unwrap() {
            action[key] = value.clone();
        }
        mapping(json!({"authzen": {"action": [action]}})).unjudged()
    };
    assert_eq!(with(json!({"id": "page"})), [""; 0]);
    assert_eq!(with(json!({"resource": "https://pages.example/{id}"})), [""; 0]);
    for more in [json!({}), json!({"resource": "https://pages.example/pages"})] {
        let named = with(more);
        assert!(named.len() == 1 && named[0].contains("read on page"), "{named:?}");
    }
}

#[tokio::test]
async fn bodies_are_judged_up_to_the_limit_that_is_set_and_no_further() {
    let json = ["Content-Type: application/json"];
    let body = |bytes: usize| format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes - 11));
    let evaluation = |bytes: usize, bearer: &str| {
        json!({
            "subject": {"type": "user", "id": "user:test", "properties": {"token": bearer}},
            "action": {"name": "read", "properties": {"lang": "x".repeat(bytes)}},
            "resource": {"type": "page", "id": "a"},
        })
    };
    for (limit, more) in [
        (128 * 1024, json!({})),
        (2_000, json!({"message-limit": 2_000})),
        (6_000_000, json!({"message-limit": 6_000_000})),
    ] {
        let served = served_with(more).await;
        let ask = async |bytes| served.envoy("PUT", "/pages/a", &json, &body(bytes)).await;
        assert_eq!(ask(limit).await.status, 200, "{limit}");
        let refused = ask(limit + 1).await;
        assert_eq!(refused.status, 413, "{limit}: {}", refused.body);
        assert!(refused.body.contains(&format!("more than {limit} bytes")), "{}", refused.body);
        // What is large is judged as what is small: a member that stands twice is refused.
        let twice = format!(r#"{{"text":1,"text":"{}"}}"#, "x".repeat(limit - 30));
        assert_eq!(served.envoy("PUT", "/pages/a", &json, &twice).await.status, 400);
        if limit < 10_000 {
            continue;
        }
        let (status, answer) = served.authzen(evaluation(limit - 10_000, &served.bearer)).await;
        assert_eq!((status, &answer["decision"]), (200, &json!(true)), "{limit}: {answer}");
        let (status, answer) = served.authzen(evaluation(limit, &served.bearer)).await;
        assert_eq!(status, 413, "{limit}: {answer}");
    }
}
