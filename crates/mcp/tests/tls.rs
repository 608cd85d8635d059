//! TLS as it is served: real handshakes over sockets on loopback, by good clients and by bad ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::routing::get;
use hardtack::Timestamp;
use hardtack_mcp::{Drain, Tls, TlsError, TlsPem, TlsText, serve_tls};
use hardtack_testkit::authority::{Authority, Pair};
use http::{HeaderMap, Version};
use rcgen::date_time_ymd;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[allow(clippy::disallowed_methods, reason = "certificates are valid now, whenever that is")]
fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

fn pem(pair: &Pair) -> TlsPem {
    let (certificates, key) = (pair.certificate.clone(), pair.key.clone());
    TlsPem { certificates, key, client_ca: None }
}

/// What a client has.
fn trusting(authority: &Authority, own: Option<&Pair>, protocols: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => config.with_no_client_auth(),
        Some(pair) => {
            let own = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            config.with_client_auth_cert(vec![own], key).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];

fn client(config: ClientConfig, address: SocketAddr) -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    let client = client.tls_backend_preconfigured(config);
    client.resolve("localhost", address).build().unwrap()
}

fn url(address: SocketAddr, path: &str) -> String {
    format!("https://localhost:{}{path}", address.port())
}

/// A service that says by which protocol and name it is asked, and one that says nothing for long.
async fn serving(pem: &TlsPem) -> (Tls, SocketAddr) {
    let (tls, address, _) = serving_until(pem, std::future::pending()).await;
    (tls, address)
}

/// The same until `stop`, and what ends when it has ended.
async fn serving_until(
    pem: &TlsPem,
    stop: impl Future<Output = ()> + Send + 'static,
) -> (Tls, SocketAddr, tokio::task::JoinHandle<std::io::Result<()>>) {
    let said = |version: Version, headers: HeaderMap| async move {
        let host = headers.get("host").map_or("nobody", |host| host.to_str().unwrap());
        format!("{version:?} {}", host.split(':').next().unwrap_or_default())
    };
    let late = || async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        "late"
    };
    let never = || async {
        tokio::time::sleep(Duration::from_secs(600)).await;
        "never"
    };
    let router = Router::new()
        .route("/", get(said))
        .route("/healthz", get(|| async { "ok" }))
        .route("/late", get(late))
        .route("/never", get(never));
    let tls = Tls::of(pem, now()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = serve_tls(listener, tls.clone(), router, stop, PATIENCE / 2, Drain::default());
    (tls, address, tokio::spawn(serving))
}

async fn get_text(client: &reqwest::Client, url: &str) -> reqwest::Result<String> {
    client.get(url).send().await?.error_for_status()?.text().await
}

/// A handshake of a client that then says what it likes.
async fn raw(authority: &Authority, address: SocketAddr, protocol: &[u8]) -> TlsStream<TcpStream> {
    let config = trusting(authority, None, &[protocol]);
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_both_protocols_are_answered_under_the_name_they_ask_for() {
    let authority = Authority::new();
    let (_, address) = serving(&pem(&authority.pair())).await;
    let cases: [(&[&[u8]], &str); 4] = [
        (BOTH, "HTTP/2.0 localhost"),
        (&[b"h2"], "HTTP/2.0 localhost"),
        (&[b"http/1.1"], "HTTP/1.1 localhost"),
        (&[], "HTTP/1.1 localhost"),
    ];
    for (protocols, expected) in cases {
        let client = client(trusting(&authority, None, protocols), address);
        assert_eq!(get_text(&client, &url(address, "/")).await.unwrap(), expected);
    }
    let unknown = client(trusting(&authority, None, &[b"spdy/3"]), address);
    assert!(get_text(&unknown, &url(address, "/")).await.is_err(), "no protocol is shared");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_trusts_another_authority_does_not_go_on() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (_, address) = serving(&pem(&authority.pair())).await;
    let client = client(trusting(&other, None, BOTH), address);
    assert!(get_text(&client, &url(address, "/")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_for_new_connections_and_a_wrong_one_changes_nothing() {
    let (old, new) = (Authority::new(), Authority::new());
    let (tls, address) = serving(&pem(&old.pair())).await;
    let before = client(trusting(&old, None, BOTH), address);
    get_text(&before, &url(address, "/")).await.unwrap();
    let open = {
        let (before, late) = (before.clone(), url(address, "/late"));
        tokio::spawn(async move { get_text(&before, &late).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let pair = new.pair();
    tls.replace(&pem(&pair), now()).unwrap();
    assert_eq!(open.await.unwrap().unwrap(), "late", "what was under way goes on");
    assert!(get_text(&before, &url(address, "/")).await.is_ok(), "an open connection goes on");
    let newcomer = client(trusting(&new, None, BOTH), address);
    assert!(get_text(&newcomer, &url(address, "/")).await.is_ok());
    let late = client(trusting(&old, None, BOTH), address);
    assert!(get_text(&late, &url(address, "/")).await.is_err(), "the old one is still shown");
    let wrong = TlsPem { key: new.pair().key, ..pem(&pair) };
    assert_eq!(tls.replace(&wrong, now()), Err(TlsError::OtherKey));
    let again = client(trusting(&new, None, BOTH), address);
    assert!(get_text(&again, &url(address, "/")).await.is_ok(), "the one in force stays");
}

#[test]
fn what_does_not_fit_or_is_not_valid_is_refused_and_says_which() {
    let authority = Authority::new();
    let pair = authority.pair();
    let refused = |pem: TlsPem| Tls::of(&pem, now()).unwrap_err();
    let with_certificate = |text: &str| TlsPem { certificates: text.to_owned(), ..pem(&pair) };
    let with_key = |text: &str| TlsPem { key: text.to_owned(), ..pem(&pair) };
    assert!(Tls::of(&pem(&pair), now()).is_ok());
    for text in ["", "no certificate", pair.key.as_str()] {
        assert_eq!(refused(with_certificate(text)), TlsError::NoCertificate, "{text}");
    }
    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    assert_eq!(refused(with_certificate(broken)), TlsError::MalformedCertificate);
    for text in ["", "no key", pair.certificate.as_str()] {
        assert_eq!(refused(with_key(text)), TlsError::NoKey, "{text}");
    }
    assert_eq!(refused(with_key(&authority.pair().key)), TlsError::OtherKey);
    let nonsense = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
    assert_eq!(refused(with_key(nonsense)), TlsError::UnknownKey);
    let expired = authority.pair_with(|params| params.not_after = date_time_ymd(2020, 2, 3));
    let error = refused(pem(&expired));
    assert_eq!(error, TlsError::Expired(Timestamp::parse("2020-02-03T00:00:00Z").unwrap()));
    assert_eq!(error.text(), TlsText::Certificates);
    let early = authority.pair_with(|params| params.not_before = date_time_ymd(3000, 1, 1));
    assert!(matches!(refused(pem(&early)), TlsError::NotYetValid(_)));
    // One that leads to the authority counts as well.
    let chain = format!("{}{}", pair.certificate, expired.certificate);
    assert!(matches!(refused(with_certificate(&chain)), TlsError::Expired(_)));
    for text in ["", "no certificate", broken] {
        let with_ca = TlsPem { client_ca: Some(text.to_owned()), ..pem(&pair) };
        let error = refused(with_ca);
        assert_eq!(error, TlsError::NoClientCa, "{text}");
        assert_eq!(error.text(), TlsText::ClientCa);
    }
    let shown = format!("{:?} {:?}", pem(&pair), Tls::of(&pem(&pair), now()).unwrap());
    assert!(!shown.contains("BEGIN"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_clients_need_a_certificate_others_are_refused_at_the_handshake() {
    let (authority, clients, foreign) = (Authority::new(), Authority::new(), Authority::new());
    let pem = TlsPem { client_ca: Some(clients.pem.clone()), ..pem(&authority.pair()) };
    let (tls, address) = serving(&pem).await;
    let asks = |own: Option<Pair>| {
        let client = client(trusting(&authority, own.as_ref(), BOTH), address);
        async move { get_text(&client, &url(address, "/healthz")).await }
    };
    assert!(asks(Some(clients.pair())).await.is_ok());
    assert!(asks(None).await.is_err(), "without a certificate");
    assert!(asks(Some(foreign.pair())).await.is_err(), "by another authority");
    assert!(asks(Some(authority.pair())).await.is_err(), "by the server's authority");
    let expired = clients.pair_with(|params| params.not_after = date_time_ymd(2020, 1, 1));
    assert!(asks(Some(expired)).await.is_err(), "an expired one");
    tls.replace(&TlsPem { client_ca: Some(foreign.pem.clone()), ..pem }, now()).unwrap();
    assert!(asks(Some(foreign.pair())).await.is_ok(), "the authority is exchanged as well");
    assert!(asks(Some(clients.pair())).await.is_err(), "the old authority is trusted still");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_clients_need_a_certificate_each_connection_shows_it_and_no_session_is_resumed() {
    let (authority, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let pem = TlsPem { client_ca: Some(clients.pem.clone()), ..pem(&authority.pair()) };
    let (tls, address) = serving(&pem).await;
    let config = Arc::new(trusting(&authority, Some(&clients.pair()), &[b"http/1.1"]));
    let asks = || async {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::clone(&config)).connect(name, stream).await?;
        let request = b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let kind = stream.get_ref().1.handshake_kind();
        std::io::Result::Ok((answer.starts_with("HTTP/1.1 200"), kind))
    };
    assert_eq!(asks().await.unwrap(), (true, Some(rustls::HandshakeKind::Full)));
    assert_eq!(asks().await.unwrap(), (true, Some(rustls::HandshakeKind::Full)));
    tls.replace(&TlsPem { client_ca: Some(others.pem), ..pem }, now()).unwrap();
    assert!(asks().await.is_err(), "its authority is not trusted any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_handshakes_that_send_nothing_keep_nobody_out_and_end() {
    let _ = rlimit::increase_nofile_limit(16 * 1024);
    let authority = Authority::new();
    let (_, address) = serving(&pem(&authority.pair())).await;
    let mut silent = Vec::new();
    for number in 0..1000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if number % 2 == 0 {
            // A record that begins and does not end.
            stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        }
        silent.push(stream);
    }
    for protocols in [BOTH, &[b"http/1.1"]] {
        let honest = client(trusting(&authority, None, protocols), address);
        for path in ["/", "/healthz"] {
            let url = url(address, path);
            let asked = get_text(&honest, &url);
            let answered = tokio::time::timeout(Duration::from_secs(5), asked).await;
            assert!(answered.expect("it waits").is_ok());
        }
    }
    for mut stream in silent {
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest);
        let _ = tokio::time::timeout(PATIENCE, read).await.expect("a silent handshake ends");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_requests_go_on_and_waits_for_no_idle_client_or_handshake() {
    let authority = Authority::new();
    let (tell, stop) = tokio::sync::oneshot::channel::<()>();
    let stop = async move { drop(stop.await) };
    let (_, address, ended) = serving_until(&pem(&authority.pair()), stop).await;
    let client = client(trusting(&authority, None, &[b"h2"]), address);
    let _silent = TcpStream::connect(address).await.unwrap();
    let _idle = raw(&authority, address, b"h2").await;
    let late = tokio::spawn({
        let url = url(address, "/late");
        async move { get_text(&client, &url).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    tell.send(()).unwrap();
    assert_eq!(late.await.unwrap().unwrap(), "late");
    let ended = tokio::time::timeout(PATIENCE / 2 - Duration::from_secs(1), ended).await;
    ended.expect("it waits for nobody else").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_not_answered_where_tls_is_served() {
    let authority = Authority::new();
    let (_, address) = serving(&pem(&authority.pair())).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("it is closed");
    let said = String::from_utf8_lossy(&answer);
    assert!(!said.contains("HTTP/1.1") && !said.contains("ok"), "{said}");
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A request whose answer never comes: GET /never (HPACK, without an index).
fn asks_never(stream: u32) -> Vec<u8> {
    let mut head = vec![0x82, 0x87, 0x04, 6];
    head.extend(b"/never");
    head.extend([0x01, 9]);
    head.extend(b"localhost");
    frame(HEADERS, 0x05, stream, &head)
}

/// The frames that come until the connection ends or `enough` of them: each its kind and what it says.
async fn frames(
    stream: &mut TlsStream<TcpStream>,
    enough: impl Fn(&[(u8, Vec<u8>)]) -> bool,
) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while !enough(&frames) {
        let mut head = [0; 9];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut head)).await;
        if read.expect("something comes").is_err() {
            break;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).await.is_err() {
            break;
        }
        frames.push((head[3], payload));
    }
    frames
}

/// The code of a frame that ends a connection.
fn farewell(frames: &[(u8, Vec<u8>)]) -> Option<u32> {
    let (_, said) = frames.iter().find(|(kind, _)| *kind == GOAWAY)?;
    Some(u32::from_be_bytes(said[4..8].try_into().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_streams_without_end_is_cut_and_keeps_nobody_out() {
    let authority = Authority::new();
    let (_, address) = serving(&pem(&authority.pair())).await;
    let mut stream = raw(&authority, address, b"h2").await;
    let mut said = PREFACE.to_vec();
    said.extend(frame(SETTINGS, 0, 0, &[]));
    // A hundred wait for their answers, and ten are one too many.
    said.extend((0..110).flat_map(|number| asks_never(2 * number + 1)));
    stream.write_all(&said).await.unwrap();
    let resets =
        |seen: &[(u8, Vec<u8>)]| seen.iter().filter(|(kind, _)| *kind == RST_STREAM).count();
    let seen = frames(&mut stream, |seen| resets(seen) == 10).await;
    assert_eq!(resets(&seen), 10, "a hundred streams are served");
    let honest = client(trusting(&authority, None, BOTH), address);
    assert!(get_text(&honest, &url(address, "/healthz")).await.is_ok());
    let more: Vec<u8> = (110..2000).flat_map(|number| asks_never(2 * number + 1)).collect();
    let _ = stream.write_all(&more).await;
    let seen = frames(&mut stream, |seen| farewell(seen).is_some()).await;
    assert_eq!(farewell(&seen), Some(ENHANCE_YOUR_CALM));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_streams_and_resets_them_is_cut() {
    let authority = Authority::new();
    let (_, address) = serving(&pem(&authority.pair())).await;
    let mut stream = raw(&authority, address, b"h2").await;
    let mut said = PREFACE.to_vec();
    said.extend(frame(SETTINGS, 0, 0, &[]));
    said.extend((0..2000).flat_map(|number| {
        let id = 2 * number + 1;
        [asks_never(id), frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())].concat()
    }));
    let _ = stream.write_all(&said).await;
    let seen = frames(&mut stream, |seen| farewell(seen).is_some()).await;
    assert_eq!(farewell(&seen), Some(ENHANCE_YOUR_CALM));
}
