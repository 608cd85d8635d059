//! The gateway over TLS, driven as a process: its files, what is wrong with them, and their exchange.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hardtack_testkit::authority::{Authority, Pair};
use hardtack_testkit::command::{PATIENCE, Serving, Shell, until, upstream};
use rcgen::date_time_ymd;

/// A file that only its owner reads, put there whole.
fn put(folder: &Path, name: &str, text: &str) {
    let new = folder.join(format!("{name}.new"));
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&new, folder.join(name)).unwrap();
}

const GATEWAY: [&str; 9] = [
    "gateway",
    "--listen",
    "127.0.0.1:0",
    "--audience",
    "notion.mcp",
    "--root",
    "@root.pub",
    "--store",
    "hardtack.store",
];

const TLS: [&str; 4] = ["--tls-cert", "server.pem", "--tls-key", "server.key"];

/// A root, alice who may search and revoke, and a store.
fn scene() -> Shell {
    Shell::with_alice(env!("CARGO_BIN_EXE_hardtack"), "tools:call:search hardtack:*")
}

fn gateway(scene: &Shell, more: &[&str]) -> Serving {
    let upstream = upstream();
    Serving::start(scene.command(&[&GATEWAY[..], &["--upstream", &upstream], more].concat()))
}

/// What a client that trusts this authority alone hears: the version of HTTP, the status and the body, or nothing.
fn asks(
    authority: &Authority,
    request: impl FnOnce(reqwest::Client) -> reqwest::RequestBuilder,
) -> Option<(reqwest::Version, u16, String)> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let authority = reqwest::Certificate::from_pem(authority.pem.as_bytes()).unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        let client = client.tls_certs_only([authority]).build().unwrap();
        let response = request(client).send().await.ok()?;
        let (version, status) = (response.version(), response.status().as_u16());
        Some((version, status, response.text().await.unwrap()))
    })
}

fn metrics(gateway: &Serving, authority: &Authority) -> String {
    let url = format!("{}/metrics", gateway.base());
    asks(authority, |client| client.get(url)).unwrap().2
}

#[test]
fn a_gateway_over_tls_decides_calls_of_http2_clients_and_is_asked_to_revoke() {
    let (scene, authority) = (scene(), Authority::new());
    let Pair { certificate, key } = authority.pair();
    put(scene.path(), "server.pem", &certificate);
    put(scene.path(), "server.key", &key);
    put(scene.path(), "authority.pem", &authority.pem);
    let more =
        ["--resource", "https://localhost/mcp", "--authorization-server", "https://login.example"];
    let gateway = gateway(&scene, &[&TLS[..], &more].concat());
    assert!(gateway.url.starts_with("https://127.0.0.1:"), "{}", gateway.url);
    let token = scene.read("alice.token");
    let call = |tool: &str| {
        let bearer =
            scene.ok(&["present", "--key", "alice.key", "--audience", "notion.mcp"], &token);
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
        );
        let request = |client: reqwest::Client| {
            let request = client.post(&gateway.url).header("content-type", "application/json");
            request.body(body).bearer_auth(bearer.trim())
        };
        asks(&authority, request).unwrap()
    };
    let (version, status, said) = call("search");
    assert_eq!((version, status), (reqwest::Version::HTTP_2, 200), "{said}");
    assert!(call("delete_page").2.contains("tools:call:delete_page"), "it was not granted");
    let (_, status, _) = asks(&authority, |client| client.post(&gateway.url)).unwrap();
    assert_eq!(status, 401, "without a bearer");
    let metadata = format!("{}/.well-known/oauth-protected-resource", gateway.base());
    let (_, _, said) = asks(&authority, |client| client.get(metadata)).unwrap();
    assert!(said.contains(r#""resource":"https://localhost/mcp""#), "{said}");
    // The command's own client trusts what the system says.
    let mut revoke = scene.command(&[
        "revoke",
        "--at",
        gateway.base(),
        "--key",
        "alice.key",
        "--capability",
        "alice.token",
        "--audience",
        "notion.mcp/hardtack",
        "--subject",
        "user:alice",
        "--reason",
        "a test",
    ]);
    revoke.env("SSL_CERT_FILE", scene.path().join("authority.pem"));
    let revoked = hardtack_testkit::command::fed(&mut revoke, &token);
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    assert!(gateway.ends());
}

#[test]
fn a_new_certificate_is_taken_while_it_runs_and_a_wrong_one_is_not() {
    let (scene, old, new) = (scene(), Authority::new(), Authority::new());
    let Pair { certificate, key } = old.pair();
    put(scene.path(), "server.pem", &certificate);
    put(scene.path(), "server.key", &key);
    let gateway = gateway(&scene, &TLS);
    let said = metrics(&gateway, &old);
    assert!(said.contains("hardtack_tls_certificate_expires_seconds"), "{said}");
    let Pair { certificate, key } = new.pair();
    put(scene.path(), "server.key", &key);
    put(scene.path(), "server.pem", &certificate);
    until("the certificate is exchanged", || {
        gateway.log().contains("the certificate is exchanged")
    });
    assert!(asks(&old, |client| client.get(gateway.base())).is_none(), "the old one is shown");
    let said = metrics(&gateway, &new);
    assert!(said.contains("hardtack_tls_reloads_total{result=\"loaded\"} 1"), "{said}");
    for (name, wrong, why) in [
        ("server.key", new.pair().key, "the key does not fit the certificate"),
        ("server.key", String::new(), "there is no private key in it"),
        (
            "server.pem",
            new.pair_with(|it| it.not_after = date_time_ymd(2020, 1, 1)).certificate,
            "expired at",
        ),
    ] {
        put(scene.path(), name, &wrong);
        until(why, || gateway.log().contains(why));
        let right = if name == "server.key" { &key } else { &certificate };
        assert!(!gateway.log().contains("PRIVATE KEY-----\n"), "a key is in the log");
        assert!(asks(&new, |client| client.get(gateway.base())).is_some(), "the other one stays");
        put(scene.path(), name, right);
    }
    let said = metrics(&gateway, &new);
    let refused = said.lines().find(|line| line.contains("tls_reloads_total{result=\"refused\"}"));
    let refused = refused.and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok());
    assert!(refused.is_some_and(|refused| refused >= 3), "{said}");
    gateway.signal("-HUP");
    until("it is as before", || gateway.log().contains("the certificate is as before"));
    assert!(gateway.ends());
}

#[test]
fn a_gateway_does_not_begin_with_a_wrong_pair_and_warns_of_a_key_that_others_can_read() {
    let (scene, authority) = (scene(), Authority::new());
    let Pair { certificate, key } = authority.pair();
    put(scene.path(), "server.pem", &certificate);
    put(scene.path(), "server.key", &key);
    put(scene.path(), "authority.pem", &authority.pem);
    put(scene.path(), "other.key", &authority.pair().key);
    put(scene.path(), "empty", "");
    let expired = authority.pair_with(|it| it.not_after = date_time_ymd(2020, 1, 1));
    put(scene.path(), "expired.pem", &expired.certificate);
    put(scene.path(), "expired.key", &expired.key);
    let early = authority.pair_with(|it| it.not_before = date_time_ymd(3000, 1, 1));
    put(scene.path(), "early.pem", &early.certificate);
    put(scene.path(), "early.key", &early.key);
    let fails = |more: &str| {
        let more: Vec<&str> = more.split(' ').collect();
        scene.fails(&[&GATEWAY[..], &["--upstream", "http://127.0.0.1:1"], &more].concat(), "")
    };
    for (more, why) in [
        ("--tls-cert server.pem", "tls-key: say the certificate's private key, too"),
        ("--tls-key server.key", "tls-cert: say the certificate of this key, too"),
        ("--tls-client-ca authority.pem", "give tls-cert and tls-key, too"),
        ("--tls-cert no.pem --tls-key server.key", "tls-cert: no.pem"),
        ("--tls-cert server.pem --tls-key other.key", "tls-key: other.key: the key does not fit"),
        ("--tls-cert server.pem --tls-key empty", "tls-key: empty: there is no private key in it"),
        ("--tls-cert empty --tls-key server.key", "tls-cert: empty: there is no certificate in it"),
        (
            "--tls-cert expired.pem --tls-key expired.key",
            "tls-cert: expired.pem: a certificate in it expired at 2020-01-01",
        ),
        ("--tls-cert early.pem --tls-key early.key", "is not valid before 3000-01-01"),
        (
            "--tls-cert server.pem --tls-key server.key --tls-client-ca empty",
            "tls-client-ca: empty: there is no certificate of an authority",
        ),
        (
            "--tls-cert server.pem --tls-key server.key --resource http://localhost/mcp --authorization-server https://login.example",
            "resource: this server speaks TLS",
        ),
    ] {
        let said = fails(more).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(why), "{more}: {said}");
    }
    fs::set_permissions(scene.path().join("server.key"), fs::Permissions::from_mode(0o644))
        .unwrap();
    let gateway = gateway(&scene, &TLS);
    until("it warns", || gateway.log().replace("\n", " ").contains("can be read by others"));
    assert!(gateway.ends());
}

#[test]
fn several_servers_are_behind_one_certificate() {
    let (scene, authority) = (scene(), Authority::new());
    let Pair { certificate, key } = authority.pair();
    put(scene.path(), "server.pem", &certificate);
    put(scene.path(), "server.key", &key);
    let upstream = upstream();
    let server = |name: &str| {
        format!(
            "[[server]]\nname = \"{name}\"\npath = \"/{name}\"\naudience = \"{name}.mcp\"\nupstream = \"{upstream}\"\n"
        )
    };
    let all = "listen = \"127.0.0.1:0\"\nroot = \"@root.pub\"\nstore = \"hardtack.store\"\nrevocation-audience = \"gateway/hardtack\"\ntls-cert = \"server.pem\"\ntls-key = \"server.key\"\n";
    scene.write("gateway.toml", &format!("{all}{}{}", server("one"), server("other")));
    let gateway = Serving::start(scene.command(&["gateway", "--config", "gateway.toml"]));
    assert!(gateway.url.starts_with("https://127.0.0.1:"), "{}", gateway.url);
    let base = gateway.url.split_whitespace().next().unwrap().trim_end_matches('/').to_owned();
    for path in ["/one", "/other"] {
        let url = format!("{base}{path}");
        assert_eq!(asks(&authority, |client| client.post(url)).unwrap().1, 401, "{path}");
    }
    let url = format!("{base}/metrics");
    let said = asks(&authority, |client| client.get(url)).unwrap().2;
    assert!(said.contains("hardtack_tls_certificate_expires_seconds"), "{said}");
    // What is refused at the start is refused of a server that is added later, too.
    let plain = "resource = \"http://tools.example/late\"\nauthorization-server = \"https://login.example\"\n";
    let one_and_late = format!("{all}{}{}{plain}", server("one"), server("late"));
    let why = "server late: resource: this server speaks TLS";
    scene.write("gateway.toml", &one_and_late);
    until(why, || gateway.log().contains(why));
    let late = || {
        let url = format!("{base}/late");
        asks(&authority, |client| client.post(url)).unwrap().1
    };
    assert_eq!(late(), 404);
    // Another certificate is taken by its content, and another file at a restart alone.
    put(scene.path(), "other.pem", &certificate);
    scene.write("gateway.toml", &one_and_late.replace("server.pem", "other.pem"));
    until("the key is named", || gateway.log().contains("tls-cert cannot change while"));
    scene.write("gateway.toml", &one_and_late.replace("http://tools", "https://tools"));
    until("it is added", || late() == 401);
    assert!(gateway.ends());
    scene.write("gateway.toml", &one_and_late);
    let said = scene.fails(&["gateway", "--config", "gateway.toml"], "");
    assert!(said.contains(why), "{said}");
}
