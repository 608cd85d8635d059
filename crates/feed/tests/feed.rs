//! A feed over HTTP: real sockets on this machine, a real store, real bearers.

#![allow(clippy::disallowed_methods, reason = "time passes while it is waited")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use hardtack::feed::FeedHead;
use hardtack::*;
use hardtack_feed::{Feed, FeedSource, FollowError, Serving};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const BRIEF: Duration = Duration::from_secs(60);

fn key() -> PrivateKey {
    PrivateKey::from_bytes(&[9; 32])
}

fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

async fn listen(router: Router) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, served)
}

async fn serving(store: &Store, state: &Path, epoch: Option<u64>) -> Serving {
    let (log, state) = (Arc::new(store.clone()), state.to_owned());
    let started = move || Serving::start(log, key(), state, epoch);
    tokio::task::spawn_blocking(started).await.unwrap().unwrap()
}

fn follow(address: SocketAddr, serving: &Serving, position: &Path) -> FeedSource {
    let feed = Feed::follow(&format!("http://{address}/feed"), &serving.key().to_string());
    feed.unwrap().position(position).into_source().unwrap()
}

fn agent(name: &str) -> Revoking {
    let revocation = Revocation::Agent { agent: name.to_owned() };
    Revoking::new(revocation, "tests", "stolen").unwrap()
}

const AUDIENCE: &str = "notion.mcp";

/// A root, and a bearer that agent.researcher presents.
fn presented() -> (RootKeys, String) {
    let (alice, researcher) = (PrivateKey::generate(), PrivateKey::generate());
    let issuer = Issuer::new(PrivateKey::generate());
    let grant = Grant::to("user:alice").scope("tools:call:*").holder(alice.public());
    let hop = Delegation::to("agent.researcher").scope("tools:call:search").reason("find it");
    let granted = issuer.mint(grant, now()).unwrap();
    let delegated = granted.delegate(hop.holder(researcher.public()), &alice, now()).unwrap();
    let presented = delegated.present(Presenting::to(AUDIENCE), &researcher, now()).unwrap();
    (RootKeys::of(issuer.public()), presented.bearer().to_owned())
}

/// Until it is so, or it takes too long.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < BRIEF, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_revoked_at_one_machine_is_refused_at_another() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let serving = serving(&store, &folder.path().join("state"), None).await;
    let (address, served) = listen(serving.router()).await;
    let source = follow(address, &serving, &folder.path().join("position"));
    let (roots, bearer) = presented();
    let verifier = Verifier::new(roots, AUDIENCE, source.revocations()).unwrap();
    assert!(source.wait(BRIEF).await);
    verifier.verify(&bearer, now()).unwrap();
    store.revoke(agent("agent.researcher"), now()).unwrap();
    until("it is refused", || {
        verifier.verify(&bearer, now()).is_err_and(|error| error.cause() == Cause::Revoked)
    })
    .await;
    assert_eq!(source.followed().head.map(|head| head.size), Some(1));
    served.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_is_what_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    store.revoke(agent("agent.a"), now()).unwrap();
    let serving = serving(&store, &folder.path().join("state"), None).await;
    let (address, served) = listen(serving.router()).await;
    store.revoke(agent("agent.b"), now()).unwrap();
    let get = |path: &str| {
        let url = format!("http://{address}/feed/{path}");
        async move {
            let answer = reqwest_get(&url).await;
            (answer.0, answer.1, answer.2)
        }
    };
    let head = loop {
        let (status, cache, text) = get("checkpoint").await;
        assert_eq!((status, cache.as_str()), (200, "max-age=1"));
        let head = FeedHead::verify(&text, serving.key()).unwrap();
        if head.size == 1 {
            break head;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(head.epoch, 1);
    let (status, cache, lines) = get("delta/1/1-1").await;
    assert_eq!((status, cache.as_str()), (200, "max-age=31536000, immutable"));
    assert!(lines.starts_with(r#"{"kind":"agent","sequence":2,"agent":"agent.b","#), "{lines}");
    let (status, cache, snapshot) = get("snapshot/1/0").await;
    assert_eq!((status, cache.as_str()), (200, "max-age=1"));
    let begin = r#"{"format":"hardtack-feed-snapshot-1","epoch":1,"size":0,"hashes":[],"forgotten_until":null,"entries":1}"#;
    assert_eq!(snapshot.lines().next(), Some(begin));
    assert!(snapshot.contains("agent.a") && snapshot.ends_with('\n'));
    for path in ["delta/1/1-2", "delta/2/1-1", "delta/1/2", "snapshot/1/1", "delta/1/9-1"] {
        let (status, cache, _) = get(path).await;
        assert_eq!((status, cache.as_str()), (404, "no-store"), "{path}");
    }
    served.abort();
}

/// Status, how long it may be cached, and the text.
async fn reqwest_get(url: &str) -> (u16, String, String) {
    let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(plain());
    let answer = client.build().unwrap().get(url).send().await.unwrap();
    let cache = answer.headers()["cache-control"].to_str().unwrap().to_owned();
    (answer.status().as_u16(), cache, answer.text().await.unwrap())
}

fn plain() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider);
    let tls = tls.with_safe_default_protocol_versions().unwrap();
    tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_followed_goes_on_after_either_side_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let (state, position) = (folder.path().join("state"), folder.path().join("position"));
    let store = Store::in_memory().unwrap();
    let first = serving(&store, &state, None).await;
    let (address, served) = listen(first.router()).await;
    let source = follow(address, &first, &position);
    store.revoke(agent("agent.a"), now()).unwrap();
    let size = |source: &FeedSource| source.followed().head.map(|head| head.size);
    until("the first event", || size(&source) == Some(1)).await;
    // The publisher ends, something is revoked, and it begins anew at the same address.
    served.abort();
    let _ = served.await;
    drop(first);
    store.revoke(agent("agent.b"), now()).unwrap();
    let second = serving(&store, &state, None).await;
    let listener = TcpListener::bind(address).await.unwrap();
    let router = second.router();
    let served = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    until("the second event", || size(&source) == Some(2)).await;
    // The follower ends and begins anew, with what it kept.
    drop(source);
    let source = follow(address, &second, &position);
    assert!(source.wait(BRIEF).await);
    assert_eq!(size(&source), Some(2));
    served.abort();
}

/// What stands between a follower and its feed, and what it does.
#[derive(Clone)]
struct Between {
    to: SocketAddr,
    does: Arc<AtomicU8>,
}

const PASSES: u8 = 0;
const CHANGES: u8 = 1;
const IS_SILENT: u8 = 2;
const ANSWERS_WITHOUT_END: u8 = 3;

async fn between(State(between): State<Between>, request: Request) -> Response {
    let does = between.does.load(Ordering::Relaxed);
    if does == IS_SILENT {
        std::future::pending::<()>().await;
    }
    if does == ANSWERS_WITHOUT_END {
        let piece = futures_util::stream::repeat_with(|| {
            Ok::<_, std::convert::Infallible>("x".repeat(64 << 10))
        });
        return Response::new(Body::from_stream(piece));
    }
    // A stream is not passed on: what follows must do without.
    if request.uri().path().ends_with("/stream") {
        return Response::builder().status(502).body(Body::empty()).unwrap();
    }
    let url = format!("http://{}{}", between.to, request.uri().path());
    let (status, _, mut text) = reqwest_get(&url).await;
    if does == CHANGES && url.contains("/delta/") {
        text = text.replace("agent.", "agent,");
    }
    Response::builder().status(status).body(Body::from(text)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stands_between_can_keep_nothing_back_but_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let serving = serving(&store, &folder.path().join("state"), None).await;
    let (to, served) = listen(serving.router()).await;
    let does = Arc::new(AtomicU8::new(PASSES));
    let router = Router::new().fallback(between);
    let router = router.with_state(Between { to, does: Arc::clone(&does) });
    let (address, proxy) = listen(router).await;
    let source = follow(address, &serving, &folder.path().join("position"));
    assert!(source.wait(BRIEF).await, "{:?}", source.followed());
    let size = || source.followed().head.map(|head| head.size);
    // Changed lines are refused, and a snapshot says the truth.
    does.store(CHANGES, Ordering::Relaxed);
    store.revoke(agent("agent.a"), now()).unwrap();
    until("what was changed is refused", || source.followed().failing.is_some()).await;
    assert_eq!(size(), Some(0));
    does.store(PASSES, Ordering::Relaxed);
    until("it goes on", || size() == Some(1) && source.followed().failing.is_none()).await;
    for wrong in [IS_SILENT, ANSWERS_WITHOUT_END] {
        does.store(wrong, Ordering::Relaxed);
        until("it is failing", || source.followed().failing.is_some()).await;
        does.store(PASSES, Ordering::Relaxed);
        until("it goes on", || source.followed().failing.is_none()).await;
    }
    proxy.abort();
    served.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_followed_is_said_before_anything_is_decided() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let serving = serving(&store, &folder.path().join("state"), None).await;
    let key = serving.key().to_string();
    for url in [
        "plane.example/feed",
        "ftp://plane.example/feed",
        "http://user@plane.example/feed",
        "http://plane.example/feed?key=1",
    ] {
        assert_eq!(Feed::follow(url, &key).unwrap_err(), FollowError::Url, "{url}");
    }
    let refused = Feed::follow("http://127.0.0.1:1/feed", "no key").unwrap_err();
    assert_eq!(refused.cause(), Cause::MalformedKey);
    let position = folder.path().join("position");
    std::fs::write(&position, "no checkpoint").unwrap();
    let feed = Feed::follow("http://127.0.0.1:1/feed", &key).unwrap().position(&position);
    assert_eq!(feed.into_source().unwrap_err(), FollowError::OtherPosition);
    // A feed that nobody serves.
    std::fs::remove_file(&position).unwrap();
    let feed = Feed::follow("http://127.0.0.1:1/feed", &key).unwrap().position(&position);
    let source = feed.into_source().unwrap();
    assert!(!source.wait(Duration::from_millis(300)).await);
    until("it is said", || source.followed().cause == Some(Cause::NoAnswer)).await;
    let (roots, bearer) = presented();
    let verifier = Verifier::new(roots, AUDIENCE, source.revocations()).unwrap();
    let refused = verifier.verify(&bearer, now()).unwrap_err();
    assert!(
        [Cause::RevocationsUnavailable, Cause::RevocationsStale].contains(&refused.cause()),
        "{refused}"
    );
}
