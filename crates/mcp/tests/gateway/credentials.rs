//! What the gateway sends of its own: each subject's credential to its calls alone, and TLS by a private authority.

use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use hardtack_mcp::{
    CredentialCommand, Credentials, Drain, Gateway, HeldCredential, OAuthClient, Upstream,
    UpstreamTls,
};
use hardtack_testkit::authority::{Authority, Pair};
use http::{HeaderMap, StatusCode};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::stage::{Agent, Answer, Stage, call, client, start};

/// A gateway with the stage's guard in front of this upstream.
async fn gateway(stage: &Stage, upstream: Upstream) -> String {
    let gateway = Gateway::new(Arc::clone(&stage.guard), upstream);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let drain = gateway.drain();
    start(listener, gateway.router(), drain);
    url
}

async fn asks(url: &str, agent: &Agent) -> Answer {
    let request = client().post(url).header("content-type", "application/json");
    let request = request.header("x-api-key", "the client's own").bearer_auth(agent.presents());
    Answer::of(request.body(call("search").to_string()).send().await.unwrap()).await
}

fn commanded(script: &str) -> Credentials {
    let arguments = ["-c", script].map(OsString::from);
    let command = CredentialCommand::new("/bin/sh", arguments, "github", Duration::from_secs(600));
    let mut credentials = Credentials::default();
    credentials.ask("X-API-Key", command).unwrap();
    credentials
}

#[tokio::test]
async fn each_subject_is_sent_for_by_its_own_credential_and_its_agents_are() {
    let stage = Stage::set().await;
    let credentials = commanded("echo \"key of $HARDTACK_SUBJECT at $HARDTACK_SERVER\"");
    let upstream = Upstream::at(&stage.behind.url).unwrap().credentials(credentials).unwrap();
    let url = gateway(&stage, upstream).await;
    for agent in [&stage.alice, &stage.bob, &stage.agent(&["tools:call:search"]), &stage.bob] {
        assert_eq!(asks(&url, agent).await.status, 200);
    }
    let seen = stage.behind.seen();
    let keys: Vec<&str> =
        seen.iter().map(|seen| seen.headers["x-api-key"].to_str().unwrap()).collect();
    let of = |name| format!("key of user:{name} at github");
    assert_eq!(keys, [of("alice"), of("bob"), of("alice"), of("bob")]);
}

#[tokio::test]
async fn a_call_whose_credential_cannot_be_had_is_not_sent() {
    let stage = Stage::set().await;
    let only_bob = "[ \"$HARDTACK_SUBJECT\" = user:bob ] && echo key";
    let upstream = Upstream::at(&stage.behind.url).unwrap();
    let url = gateway(&stage, upstream.credentials(commanded(only_bob)).unwrap()).await;
    let refused = asks(&url, &stage.alice).await;
    assert_eq!(refused.status, 502);
    assert!(
        refused.body.contains("no credential") && !refused.body.contains("bin/sh"),
        "{refused:?}"
    );
    assert!(stage.behind.seen().is_empty());
    assert_eq!(asks(&url, &stage.bob).await.status, 200);
    assert_eq!(stage.behind.seen().len(), 1);
}

#[tokio::test]
async fn a_credential_goes_over_no_plain_http_to_another_machine() {
    let credentials = || commanded("echo key");
    Upstream::at("http://tools.example/mcp").unwrap().credentials(credentials()).unwrap_err();
    Upstream::at("https://tools.example/mcp").unwrap().credentials(credentials()).unwrap();
}

/// An authorization server that answers what it is told to, and notes what it is asked.
#[derive(Clone)]
struct Tokens {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    answer: Arc<Mutex<(u16, String, Duration)>>,
}

impl Tokens {
    async fn start() -> Tokens {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new((500, String::new(), Duration::ZERO)));
        let tokens = Tokens { url, asked: Arc::default(), answer };
        let own = tokens.clone();
        let router = Router::new().route(
            "/token",
            axum::routing::post(move |headers: HeaderMap, body: String| async move {
                let basic = headers["authorization"].to_str().unwrap();
                own.asked.lock().unwrap().push(format!("{basic} {body}"));
                let (status, body, after) = own.answer.lock().unwrap().clone();
                tokio::time::sleep(after).await;
                (StatusCode::from_u16(status).unwrap(), body)
            }),
        );
        start(listener, router, Drain::default());
        tokens
    }

    fn gives(&self, token: &str, seconds: u64, after: Duration) {
        let answer =
            format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{seconds}}}"#);
        *self.answer.lock().unwrap() = (200, answer, after);
    }

    fn refuses(&self, status: u16, body: &str) {
        *self.answer.lock().unwrap() = (status, body.to_owned(), Duration::ZERO);
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A gateway that is its client.
    async fn gateway(&self, stage: &Stage) -> String {
        let secret = HeldCredential::secret("p:ss\n").unwrap();
        let at = Upstream::at(&self.url).unwrap();
        let wanted = (Some("read write"), Some("https://tools.example/mcp"));
        let mut credentials = Credentials::default();
        credentials.renew(OAuthClient::new(at, "gate way", secret, wanted).unwrap()).unwrap();
        let upstream = Upstream::at(&stage.behind.url).unwrap().credentials(credentials).unwrap();
        gateway(stage, upstream).await
    }
}

fn authorizations(stage: &Stage) -> Vec<String> {
    let seen = stage.behind.seen();
    seen.iter().map(|seen| seen.headers["authorization"].to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_renewed_before_it_expires() {
    let (stage, tokens) = (Stage::set().await, Tokens::start().await);
    let url = tokens.gateway(&stage).await;
    tokens.gives("one", 4, Duration::from_millis(200));
    let first =
        tokio::join!(asks(&url, &stage.alice), asks(&url, &stage.bob), asks(&url, &stage.bob));
    assert_eq!((first.0.status, first.1.status, first.2.status), (200, 200, 200));
    let asked = "Basic Z2F0ZSt3YXk6cCUzQXNz grant_type=client_credentials&scope=read+write&resource=https%3A%2F%2Ftools.example%2Fmcp";
    assert_eq!(tokens.asked(), [asked]);
    tokens.gives("two", 600, Duration::ZERO);
    // A quarter before its end: it is renewed while the old one is good.
    tokio::time::sleep(Duration::from_millis(3200)).await;
    assert_eq!(asks(&url, &stage.alice).await.status, 200);
    assert_eq!(asks(&url, &stage.alice).await.status, 200);
    assert_eq!(tokens.asked().len(), 2);
    assert_eq!(
        authorizations(&stage),
        ["Bearer one", "Bearer one", "Bearer one", "Bearer two", "Bearer two"]
    );
}

#[tokio::test]
async fn without_a_token_no_call_is_sent_and_who_refused_is_not_asked_again_at_once() {
    let (stage, tokens) = (Stage::set().await, Tokens::start().await);
    let url = tokens.gateway(&stage).await;
    let large = format!(r#"{{"access_token":"{}","token_type":"Bearer"}}"#, "a".repeat(100_000));
    for (status, body) in [
        (401, r#"{"error":"invalid_client"}"#),
        (200, "no JSON"),
        (200, r#"{"access_token":"a","token_type":"mac"}"#),
        (200, r#"{"access_token":"a\r\nX: y","token_type":"Bearer"}"#),
        (200, large.as_str()),
        (302, ""),
    ] {
        let url = tokens.gateway(&stage).await;
        tokens.refuses(status, body);
        let before = tokens.asked().len();
        for _ in 0..3 {
            assert_eq!(asks(&url, &stage.alice).await.status, 502, "{status} {body}");
        }
        assert_eq!(tokens.asked().len(), before + 1);
    }
    assert!(stage.behind.seen().is_empty());
    tokens.gives("late", 600, Duration::ZERO);
    assert_eq!(asks(&url, &stage.alice).await.status, 200);
    assert_eq!(authorizations(&stage), ["Bearer late"]);
    let far = Upstream::at("http://login.example/token").unwrap();
    OAuthClient::new(far, "a", HeldCredential::secret("b").unwrap(), (None, None)).unwrap_err();
}

#[tokio::test]
async fn callers_that_hang_up_keep_nobody_from_a_token() {
    let (stage, tokens) = (Stage::set().await, Tokens::start().await);
    let url = tokens.gateway(&stage).await;
    tokens.gives("shared", 600, Duration::from_millis(700));
    for _ in 0..10 {
        let asked = tokio::time::timeout(Duration::from_millis(30), asks(&url, &stage.alice)).await;
        assert!(asked.is_err(), "the token is not there yet");
    }
    // Within the time of the one request that is under way.
    let asked = tokio::time::timeout(Duration::from_secs(2), asks(&url, &stage.bob)).await;
    assert_eq!(asked.unwrap().status, 200);
    assert_eq!(tokens.asked().len(), 1);
    assert_eq!(authorizations(&stage).last().unwrap(), "Bearer shared");
}

/// What trusts this authority alone.
fn store(authority: &Authority) -> RootCertStore {
    let mut store = RootCertStore::empty();
    let own = rustls::pki_types::CertificateDer::from_pem_slice(authority.pem.as_bytes());
    store.add(own.unwrap()).unwrap();
    store
}

/// An upstream over TLS that demands a certificate of this authority, and answers each connection once.
async fn behind_tls(authority: &Authority) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(store(authority));
    let clients = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let Pair { certificate, key } = authority.pair();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![
                rustls::pki_types::CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap(),
            ],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/mcp", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut read = vec![0; 64 * 1024];
                if stream.read(&mut read).await.is_err() {
                    return;
                }
                let body = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#;
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    url
}

#[tokio::test]
async fn a_server_of_a_private_authority_is_reached_by_it_and_with_a_certificate_of_ones_own_alone()
{
    let stage = Stage::set().await;
    let (authority, other) = (Authority::new(), Authority::new());
    let url = behind_tls(&authority).await;
    let Pair { certificate, key } = authority.pair();
    let Pair { certificate: strange, key: strange_key } = other.pair();
    let trusting = |pem: &str| UpstreamTls::default().trusting_only(pem).unwrap();
    let with = |tls: UpstreamTls| Upstream::at_with(&url, tls).unwrap();
    for (what, upstream, status) in [
        ("both", with(trusting(&authority.pem).presenting(&certificate, &key).unwrap()), 200),
        ("the system's authorities", Upstream::at(&url).unwrap(), 502),
        (
            "another authority",
            with(trusting(&other.pem).presenting(&certificate, &key).unwrap()),
            502,
        ),
        ("no certificate", with(trusting(&authority.pem)), 502),
        (
            "a stranger's",
            with(trusting(&authority.pem).presenting(&strange, &strange_key).unwrap()),
            502,
        ),
    ] {
        let gateway = gateway(&stage, upstream).await;
        assert_eq!(asks(&gateway, &stage.alice).await.status, status, "{what}");
    }
    let tls = || UpstreamTls::default();
    assert!(tls().presenting(&certificate, &strange_key).is_err(), "another's key");
    assert!(tls().presenting(&key, &key).is_err() && tls().presenting(&certificate, "").is_err());
    assert!(tls().trusting_only("").is_err() && tls().trusting_only(&key).is_err());
    let shown = format!("{:?}", tls().presenting(&certificate, &key).unwrap());
    assert!(!shown.contains("PRIVATE") && shown.contains("has_own: true"), "{shown}");
}
