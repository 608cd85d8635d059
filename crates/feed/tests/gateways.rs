//! Gateways that are enrolled with a feed, over HTTP: what they acknowledge is believed, and what others say in their name is not.

#![allow(clippy::disallowed_methods, reason = "time passes while it is waited")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hardtack::feed::FeedRequest;
use hardtack::*;
use hardtack_feed::{Enrolling, Feed, FeedPlace, FeedSource, Gateways, Readers, Serving};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const BRIEF: Duration = Duration::from_secs(60);

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_bytes(&[seed; 32])
}

fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

struct Scene {
    folder: tempfile::TempDir,
    store: Store,
    kept: Revocations,
    gateways: Gateways,
    serving: Arc<Serving>,
    address: SocketAddr,
    served: JoinHandle<()>,
}

impl Scene {
    async fn new(readers: Readers) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let (store, kept) =
            (Store::in_memory().unwrap(), Store::in_memory().unwrap().revocations());
        let enrolling = Enrolling::at(folder.path().join("gateways"), readers);
        let enrolling = enrolling.reserving([key(9).public()]).keeping_for(Arc::new(kept.clone()));
        let gateways = enrolling.open().unwrap();
        let (log, state) = (Arc::new(store.clone()), folder.path().join("state"));
        let of = gateways.clone();
        let started = move || Serving::start_for(of, log, key(9), state, None);
        let serving = tokio::task::spawn_blocking(started).await.unwrap().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, router) = (listener.local_addr().unwrap(), serving.router());
        let served = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Scene { folder, store, kept, gateways, serving: Arc::new(serving), address, served }
    }

    fn feed(&self) -> Feed {
        let url = format!("http://{}/feed", self.address);
        Feed::follow(&url, &self.serving.key().to_string()).unwrap()
    }

    fn follow(&self, name: &str, seed: u8) -> FeedSource {
        let feed = self.feed().position(self.folder.path().join(name));
        feed.named(name, key(seed)).unwrap().refusing_after(BRIEF / 2).into_source().unwrap()
    }

    fn revoke(&self, agent: &str) {
        let revocation = Revocation::Agent { agent: agent.to_owned() };
        self.store.revoke(Revoking::new(revocation, "tests", "stolen").unwrap(), now()).unwrap();
    }

    /// Acknowledges in this name by this key; returns the status. What was sent can be sent again.
    async fn say(&self, name: &str, seed: u8, body: &str) -> (u16, Sent) {
        let request = FeedRequest {
            method: "POST",
            path: "/feed/acknowledgement",
            body: Some(body.as_bytes()),
        };
        let signed = request.sign(name, &key(seed), self.serving.key(), now());
        let headers = vec![
            ("signature-input", signed.input),
            ("signature", signed.signature),
            ("content-digest", signed.digest.unwrap()),
        ];
        let sent = Sent { headers, body: body.to_owned() };
        (self.send(&sent).await, sent)
    }

    async fn send(&self, sent: &Sent) -> u16 {
        let url = format!("http://{}/feed/acknowledgement", self.address);
        let mut request = client().post(url).body(sent.body.clone());
        for (name, value) in &sent.headers {
            request = request.header(*name, value);
        }
        request.send().await.unwrap().status().as_u16()
    }

    fn shown(&self, name: &str) -> hardtack_feed::GatewayShown {
        let shown = self.gateways.in_force(None).gateways;
        shown.into_iter().find(|shown| shown.name == name).unwrap()
    }
}

#[derive(Clone)]
struct Sent {
    headers: Vec<(&'static str, String)>,
    body: String,
}

fn client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider);
    let tls = tls.with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build().unwrap()
}

fn body(number: u64, size: u64, life: u64) -> String {
    let run = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let issued = now().unix_seconds();
    format!(
        r#"{{"epoch":1,"size":{size},"issued":{issued},"run":"{run}","number":{number},"longest_life":{life},"stale_after":30}}"#
    )
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < BRIEF, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_is_said_to_be_in_force_once_each_gateway_has_taken_it() {
    let scene = Scene::new(Readers::Enrolled).await;
    assert!(scene.serving.in_force(None, BRIEF / 60).await.unwrap().unwrap().gateways.is_empty());
    scene.gateways.add("gw-1", key(1).public()).unwrap();
    scene.gateways.add("gw-2", key(2).public()).unwrap();
    let first = scene.follow("gw-1", 1);
    assert!(first.wait(BRIEF).await);
    scene.revoke("agent.a");
    let shown = scene.serving.in_force(None, BRIEF / 12).await.unwrap().unwrap();
    assert_eq!((shown.in_force, shown.of), (1, 2), "{shown:?}");
    assert_eq!(shown.place, Some(FeedPlace { epoch: 1, size: 1 }));
    assert!(!shown.is_everywhere());
    let _second = scene.follow("gw-2", 2);
    let shown = scene.serving.in_force(shown.place, BRIEF).await.unwrap().unwrap();
    assert!(shown.is_everywhere() && shown.in_force == 2, "{shown:?}");
    // What is not published yet is in force nowhere.
    let beyond = FeedPlace { epoch: 1, size: 2 };
    assert_eq!(scene.gateways.in_force(Some(beyond)).in_force, 0);
    scene.served.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_speaks_for_another_and_what_is_sent_again_or_by_a_retired_key_counts_nothing() {
    let scene = Scene::new(Readers::Enrolled).await;
    scene.gateways.add("gw-1", key(1).public()).unwrap();
    scene.gateways.add("gw-2", key(2).public()).unwrap();
    scene.revoke("agent.a");
    until("it is published", || scene.serving.head().size == 1).await;
    for (name, seed) in [("gw-1", 2), ("gw-3", 3), ("gw-1", 9), ("gw-2", 1)] {
        assert_eq!(scene.say(name, seed, &body(1, 1, 86_400)).await.0, 401, "{name} {seed}");
    }
    assert_eq!(scene.shown("gw-1").heard, None);
    for (wrong, status) in [
        ("{}", 400),
        ("no JSON", 400),
        (&*body(1, 2, 86_400), 409),
        (&*body(1, 1, 1).replace("\"epoch\":1", "\"epoch\":2"), 409),
        (&*body(1, 1, 1).replace("\"number\"", "\"also\":1,\"number\""), 400),
        (&*format!("{}{}", body(1, 1, 1), " ".repeat(5000)), 400),
    ] {
        assert_eq!(scene.say("gw-1", 1, wrong).await.0, status, "{wrong}");
    }
    let (status, sent) = scene.say("gw-1", 1, &body(1, 1, 86_400)).await;
    assert_eq!((status, scene.shown("gw-1").in_force_since.is_some()), (200, true));
    assert_eq!(scene.send(&sent).await, 409, "sent again");
    let mut changed = sent.clone();
    changed.body = body(2, 1, 86_400);
    assert_eq!(scene.send(&changed).await, 401, "another body");
    assert!(scene.shown("gw-2").in_force_since.is_none());
    // The key of the feed, and one that is enrolled.
    assert!(scene.gateways.add("gw-3", key(9).public()).is_err());
    assert!(scene.gateways.add("gw-3", key(1).public()).is_err());
    scene.gateways.retire("gw-1").unwrap();
    assert_eq!(scene.say("gw-1", 1, &body(2, 1, 86_400)).await.0, 401);
    assert_eq!(scene.gateways.in_force(None).of, 1);
    assert!(scene.gateways.add("gw-1", key(1).public()).is_err());
    // What it said is not said in the name of the next one.
    scene.gateways.add("gw-1", key(4).public()).unwrap();
    assert_eq!(scene.shown("gw-1").heard, None);
    scene.served.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_longer_life_is_kept_for_and_a_shorter_one_changes_nothing() {
    let scene = Scene::new(Readers::Enrolled).await;
    scene.gateways.add("gw-1", key(1).public()).unwrap();
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    for (number, said, kept) in [(1, 3600, 0), (2, 172_800, 2), (3, 3600, 2), (4, u64::MAX, 366)] {
        assert_eq!(scene.say("gw-1", 1, &body(number, 0, said)).await.0, 200);
        assert_eq!(scene.kept.longest_life(), days(kept), "{said}");
    }
    // Also after the publisher was started anew.
    let after = Store::in_memory().unwrap().revocations();
    let file = scene.folder.path().join("gateways");
    let enrolling = Enrolling::at(file, Readers::Enrolled).keeping_for(Arc::new(after.clone()));
    enrolling.open().unwrap();
    assert_eq!(after.longest_life(), days(366));
    scene.served.abort();
}

/// The status of a checkpoint that is asked for without a signature.
async fn read(scene: &Scene) -> u16 {
    let url = format!("http://{}/feed/checkpoint", scene.address);
    client().get(url).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_is_closed_once_a_gateway_is_enrolled_and_ends_the_streams_of_those_who_are_not() {
    let scene = Scene::new(Readers::AnyoneUntilEnrolled).await;
    assert_eq!(read(&scene).await, 200);
    let stranger = scene.feed().into_source().unwrap();
    assert!(stranger.wait(BRIEF).await);
    scene.gateways.add("gw-1", key(1).public()).unwrap();
    assert_eq!(read(&scene).await, 401);
    scene.revoke("agent.a");
    let why = || stranger.followed().failing.unwrap_or_default();
    until("its stream ends", || why().contains("answers enrolled gateways alone")).await;
    assert_eq!(stranger.followed().head.map(|head| head.size), Some(0));
    let gateway = scene.follow("gw-1", 1);
    assert!(gateway.wait(BRIEF).await);
    scene.gateways.retire("gw-1").unwrap();
    assert_eq!(read(&scene).await, 401, "closed though nobody is left");
    scene.revoke("agent.b");
    let why = || gateway.followed().failing.unwrap_or_default();
    until("its stream ends", || why().contains("or were retired")).await;
    // A file that is gone opens nothing.
    std::fs::remove_file(scene.folder.path().join("gateways")).unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(read(&scene).await, 401);
    scene.served.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_enrolled_or_retired_counts_within_seconds() {
    let scene = Scene::new(Readers::Enrolled).await;
    let other = hardtack_feed::Registry::at(scene.folder.path().join("gateways"));
    other.add("gw-1", key(1).public(), now()).unwrap();
    until("it is known", || scene.gateways.enrolled().len() == 1).await;
    let source = scene.follow("gw-1", 1);
    assert!(source.wait(BRIEF).await);
    let heard = || scene.gateways.in_force(None).in_force == 1;
    until("it has acknowledged", heard).await;
    other.retire("gw-1", now()).unwrap();
    until("it is gone", || scene.gateways.enrolled().is_empty()).await;
    scene.served.abort();
}
