//! An issuer as a process: a service exchanges a token of its user, and a gateway takes what comes of it.

#![allow(clippy::disallowed_methods, reason = "tokens are made now")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hardtack_testkit::command::{Serving, Shell, get, tool_call, until, upstream};
use hardtack_testkit::upstream::answering;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const CAPABILITY: &str = "urn:dev.hardtack:token-type:capability";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

const POLICIES: &str = r#"
allow if idp("acme");
deny if claim("suspended", true);
offer("tools:call:search", "notion.mcp", 1800, 2) <- claim("groups", "research");
fact("role", $group) <- claim("groups", $group);
"#;

const CASES: &str = r#"
[[case]]
name = "research searches"
claims = { sub = "alice", groups = ["research"] }
scopes = ["tools:call:*"]
audiences = ["notion.mcp"]
expect = "issue"
issued = { scopes = ["tools:call:search"], seconds = 1800 }

[[case]]
name = "nobody else does"
claims = { sub = "alice", suspended = true, groups = ["research"] }
scopes = ["tools:call:*"]
audiences = ["notion.mcp"]
expect = "policy_denied"
"#;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signed(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
    format!("{message}.{}", encoded(key.sign(message.as_bytes())))
}

fn jwk(key: &Ed25519KeyPair) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(key.public_key()) })
}

/// An issuer, its provider, and alice's service with its key.
struct Scene {
    shell: Shell,
    issuer: Serving,
    provider: Ed25519KeyPair,
    holder: Ed25519KeyPair,
    fetches: Arc<AtomicUsize>,
    next: AtomicUsize,
}

fn pair(seed: &str) -> Ed25519KeyPair {
    let mut bytes = [0; 32];
    hex::decode_to_slice(seed, &mut bytes).unwrap();
    Ed25519KeyPair::from_seed_unchecked(&bytes).unwrap()
}

/// A provider's keys, and how often they were fetched.
fn published(key: &Ed25519KeyPair) -> (String, Arc<AtomicUsize>) {
    let mut key = jwk(key);
    key["kid"] = json!("k-1");
    let body = json!({ "keys": [key] }).to_string();
    let fetches = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&fetches);
    let url = answering(move |mut stream, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).ok()
    });
    (url, fetches)
}

impl Scene {
    fn new() -> Scene {
        Scene::after(|_| {})
    }

    /// What is done before the issuer has its store.
    fn after(before: impl FnOnce(&Shell)) -> Scene {
        let shell = Shell::new(env!("CARGO_BIN_EXE_hardtack"));
        shell.write("issuer.pub", shell.ok("keygen --out issuer.key", "").trim());
        shell.ok("keygen --out service.key", "");
        shell.ok("store create issuer.store", "");
        std::fs::create_dir_all(shell.path().join("policies/cases")).unwrap();
        shell.write("policies/acme.issuance.datalog", POLICIES);
        shell.write("policies/cases/acme.toml", CASES);
        let provider = pair(&"07".repeat(32));
        let (keys, fetches) = published(&provider);
        shell.ok("keygen --out feed.key", "");
        let feed = "feed-listen = \"127.0.0.1:0\"\nfeed-signing-key = \"feed.key\"\n";
        shell.write("issuer.toml", &format!("{feed}{}", settings(&keys)));
        shell.ok("serve --config issuer.toml --check", "");
        before(&shell);
        let issuer = Serving::start(shell.command("serve --config issuer.toml"));
        let seed = shell.read("service.key");
        let holder = pair(seed.trim().strip_prefix("ed25519-private/").unwrap());
        Scene { shell, issuer, provider, holder, fetches, next: AtomicUsize::new(1) }
    }

    fn number(&self) -> usize {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// A token of the provider for this issuer, with these members besides.
    fn access_token(&self, kid: &str, more: &Value) -> String {
        let mut claims = json!({
            "iss": "https://idp.example", "aud": "https://issuer.example", "sub": "alice",
            "client_id": "planner", "iat": now() - 5, "exp": now() + 300,
            "jti": format!("j-{}", self.number()), "groups": ["research"],
        });
        let more = more.as_object().unwrap().clone();
        claims.as_object_mut().unwrap().extend(more);
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid });
        signed(&self.provider, &header, &claims)
    }

    fn proof(&self) -> String {
        self.proof_by(&self.holder, "token")
    }

    fn proof_by(&self, key: &Ed25519KeyPair, endpoint: &str) -> String {
        let header = json!({ "alg": "EdDSA", "typ": "dpop+jwt", "jwk": jwk(key) });
        let claims = json!({
            "jti": format!("proof-{:08}", self.number()), "iat": now(),
            "htm": "POST", "htu": format!("https://issuer.example/{endpoint}"),
        });
        signed(key, &header, &claims)
    }

    /// Asks the token endpoint, and returns the status and what it says.
    fn post(&self, parameters: &[(&str, &str)], proofs: &[&str]) -> (u16, Value) {
        self.post_to("token", parameters, proofs)
    }

    fn post_to(
        &self,
        endpoint: &str,
        parameters: &[(&str, &str)],
        proofs: &[&str],
    ) -> (u16, Value) {
        let form = url::form_urlencoded::Serializer::new(String::new());
        let body = parameters.iter().fold(form, |mut form, (name, value)| {
            form.append_pair(name, value);
            form
        });
        let body = body.clone_finish();
        let proofs: String = proofs.iter().map(|proof| format!("DPoP: {proof}\r\n")).collect();
        let head = format!(
            "POST /{endpoint} HTTP/1.1\r\nHost: issuer.example\r\nConnection: close\r\n{proofs}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream =
            TcpStream::connect(self.issuer.base().trim_start_matches("http://")).unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        let status = all.split(' ').nth(1).unwrap().parse().unwrap();
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        assert!(head.to_lowercase().contains("cache-control: no-store"), "{head}");
        let body = if body.is_empty() { "null" } else { body };
        (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {all}")))
    }

    fn exchange(&self, token: &str, proof: &str, more: &[(&str, &str)]) -> (u16, Value) {
        let own = [
            ("grant_type", EXCHANGE),
            ("subject_token_type", ACCESS_TOKEN),
            ("subject_token", token),
            ("audience", "notion.mcp"),
            ("scope", "tools:call:*"),
        ];
        let own = own.into_iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
        let all: Vec<_> =
            own.chain(more.iter().copied()).filter(|(_, value)| !value.is_empty()).collect();
        self.post(&all, &[proof])
    }

    fn fresh(&self, more: &[(&str, &str)]) -> (u16, Value) {
        self.exchange(&self.access_token("k-1", &json!({})), &self.proof(), more)
    }
}

trait Finish {
    fn clone_finish(self) -> String;
}

impl Finish for url::form_urlencoded::Serializer<'_, String> {
    fn clone_finish(mut self) -> String {
        self.finish()
    }
}

fn settings(keys: &str) -> String {
    format!(
        "issuer = \"https://issuer.example\"\nlisten = \"127.0.0.1:0\"\nkey = \"issuer.key\"\nstore = \"issuer.store\"\npolicies = \"policies\"\naccept-plain-http = true\nrequests-a-minute = 200\n[[provider]]\nname = \"acme\"\nissuer = \"https://idp.example\"\njwks-uri = \"{keys}\"\nalgorithms = [\"EdDSA\"]\naccess-token-audience = \"https://issuer.example\"\nclients = [\"planner\"]\n"
    )
}

#[test]
fn a_token_of_a_user_becomes_a_capability_that_a_gateway_takes_and_the_log_says_why() {
    let scene = Scene::new();
    let shell = &scene.shell;
    let (status, said) = scene.fresh(&[]);
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["issued_token_type"], CAPABILITY);
    assert_eq!(said["token_type"], "N_A");
    assert_eq!(said["scope"], "tools:call:search");
    assert_eq!(said["expires_in"], 1800);
    let capability = said["access_token"].as_str().unwrap();
    let seen = shell.ok("inspect", capability);
    assert!(seen.contains("user:acme/alice") && seen.contains("role(\"research\")"), "{seen}");

    shell.ok("store create gateway.store", "");
    let gateway = format!(
        "gateway --listen 127.0.0.1:0 --upstream {} --audience notion.mcp --root @issuer.pub --store gateway.store",
        upstream()
    );
    let gateway = Serving::start(shell.command(&gateway));
    let bearer = shell.ok("present --key service.key --audience notion.mcp", capability);
    let (status, answer) = tool_call(gateway.base(), &bearer);
    assert_eq!(status, 200, "{answer}");
    // Whoever has the capability and not the key can do nothing with it.
    shell.ok("keygen --out thief.key", "");
    shell.fails("present --key thief.key --audience notion.mcp", capability);

    let (status, document) = get(scene.issuer.base(), "/.well-known/oauth-authorization-server");
    assert_eq!(status, 200);
    assert!(document.contains("\"issuer\":\"https://issuer.example\""), "{document}");
    assert!(document.contains("\"token_endpoint\":\"https://issuer.example/token\""), "{document}");

    let (status, refused) = scene.fresh(&[("scope", "tools:call:pay")]);
    assert_eq!((status, refused["error"].as_str()), (400, Some("invalid_scope")), "{refused}");
    let Scene { shell, issuer, .. } = scene;
    assert!(!issuer.log().contains(capability));
    assert!(issuer.ends());
    let records = shell.ok("audit --store issuer.store --json", "");
    let records: Vec<Value> =
        records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let issued = records.iter().find(|record| record["decision"] == "allow").unwrap();
    assert_eq!(issued["operation"], "hardtack:issue");
    assert_eq!(issued["chain"]["subject"], "user:acme/alice");
    let message = issued["message"].as_str().unwrap();
    for part in
        ["issued tools:call:search", "acme.issuance.datalog:4", "of acme", "for key ed25519/"]
    {
        assert!(message.contains(part), "{message}");
    }
    let grant = issued["chain"]["grant_id"].as_str().unwrap();
    let shown = shell.ok("inspect --json", capability);
    assert!(shown.contains(grant), "{shown}");
    assert!(records.iter().any(|record| record["cause"] == "not_offered"));
    shell.ok("audit verify --store issuer.store", "");
}

#[test]
fn a_wrong_request_gets_nothing_and_says_why() {
    let scene = Scene::new();
    let good = || scene.access_token("k-1", &json!({}));
    let with = |more: Value| scene.access_token("k-1", &more);
    let token = good();
    let proof = scene.proof();
    assert_eq!(scene.exchange(&token, &proof, &[]).0, 200);
    let wrong: Vec<(&str, (u16, Value), &str, &str)> = vec![
        (
            "the proof again",
            scene.exchange(&good(), &proof, &[]),
            "invalid_dpop_proof",
            "proof_refused",
        ),
        (
            "the token again",
            scene.exchange(&token, &scene.proof(), &[]),
            "invalid_request",
            "assertion_refused",
        ),
        (
            "no proof",
            scene.post(
                &[
                    ("grant_type", EXCHANGE),
                    ("subject_token_type", ACCESS_TOKEN),
                    ("subject_token", &good()),
                ],
                &[],
            ),
            "invalid_dpop_proof",
            "proof_refused",
        ),
        (
            "two proofs",
            scene.post(
                &[
                    ("grant_type", EXCHANGE),
                    ("subject_token_type", ACCESS_TOKEN),
                    ("subject_token", &good()),
                ],
                &[&scene.proof(), &scene.proof()],
            ),
            "invalid_dpop_proof",
            "proof_refused",
        ),
        (
            "a grant type",
            scene.fresh(&[("grant_type", "password")]),
            "unsupported_grant_type",
            "malformed_request",
        ),
        (
            "no grant type",
            scene.fresh(&[("grant_type", "")]),
            "invalid_request",
            "malformed_request",
        ),
        (
            "a capability",
            scene.fresh(&[("subject_token_type", CAPABILITY)]),
            "invalid_request",
            "malformed_request",
        ),
        (
            "an id token",
            scene.fresh(&[("subject_token_type", "urn:ietf:params:oauth:token-type:id_token")]),
            "invalid_request",
            "assertion_refused",
        ),
        (
            "a SAML assertion",
            scene.fresh(&[("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")]),
            "invalid_request",
            "malformed_request",
        ),
        ("an actor", scene.fresh(&[("actor_token", "x")]), "invalid_request", "malformed_request"),
        (
            "a bearer",
            scene.fresh(&[("requested_token_type", ACCESS_TOKEN)]),
            "invalid_request",
            "malformed_request",
        ),
        ("no token", scene.fresh(&[("subject_token", "")]), "invalid_request", "malformed_request"),
        ("no text", scene.fresh(&[("subject_token", "x")]), "invalid_request", "assertion_refused"),
        (
            "a scope twice",
            scene.fresh(&[("scope", "a:b"), ("scope", "a:c")]),
            "invalid_request",
            "malformed_request",
        ),
        ("no scope", scene.fresh(&[("scope", "")]), "invalid_scope", "not_offered"),
        (
            "a malformed scope",
            scene.fresh(&[("scope", "tools:*:x")]),
            "invalid_scope",
            "malformed_scope",
        ),
        (
            "another scope",
            scene.fresh(&[("scope", "hardtack:revoke")]),
            "invalid_scope",
            "not_offered",
        ),
        (
            "another server",
            scene.fresh(&[("audience", "files.mcp")]),
            "invalid_target",
            "audience_not_offered",
        ),
        ("any server", scene.fresh(&[("audience", "")]), "invalid_target", "audience_not_offered"),
        (
            "a second server",
            scene.fresh(&[("resource", "https://files.example/mcp")]),
            "invalid_target",
            "audience_not_offered",
        ),
        ("no life", scene.fresh(&[("expires_in", "0")]), "invalid_request", "malformed_life"),
        (
            "a life in words",
            scene.fresh(&[("expires_in", "1h")]),
            "invalid_request",
            "malformed_request",
        ),
        (
            "a suspended account",
            scene.exchange(&with(json!({"suspended": true})), &scene.proof(), &[]),
            "access_denied",
            "policy_denied",
        ),
        (
            "another audience",
            scene.exchange(&with(json!({"aud": "https://api.example"})), &scene.proof(), &[]),
            "invalid_request",
            "assertion_refused",
        ),
        (
            "another client",
            scene.exchange(&with(json!({"client_id": "other"})), &scene.proof(), &[]),
            "invalid_request",
            "assertion_refused",
        ),
        (
            "another provider",
            scene.exchange(&with(json!({"iss": "https://evil.example"})), &scene.proof(), &[]),
            "invalid_request",
            "assertion_refused",
        ),
        (
            "an expired token",
            scene.exchange(&with(json!({"exp": now() - 61})), &scene.proof(), &[]),
            "invalid_request",
            "assertion_refused",
        ),
    ];
    for (what, (status, said), error, cause) in &wrong {
        let found = (*status, said["error"].as_str(), said["hardtack_cause"].as_str());
        assert_eq!(found, (400, Some(*error), Some(*cause)), "{what}: {said}");
        assert!(said.get("access_token").is_none(), "{what}");
        // Which policy refused it is nobody's business there.
        assert!(!said.to_string().contains(".datalog"), "{what}: {said}");
    }
    // Less than was offered is given if less is asked for.
    let (status, said) = scene.fresh(&[("expires_in", "60")]);
    assert_eq!((status, &said["expires_in"]), (200, &json!(60)), "{said}");
}

#[test]
fn what_its_holder_gives_back_is_refused_by_gateways_that_follow() {
    let scene = Scene::new();
    let shell = &scene.shell;
    let (_, said) = scene.fresh(&[]);
    let capability = said["access_token"].as_str().unwrap();
    let (_, said) = scene.fresh(&[]);
    let another = said["access_token"].as_str().unwrap();
    until("it says where its feed is", || scene.issuer.said().contains("feed key"));
    let said = scene.issuer.said();
    let after = |word: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(word)).unwrap();
        line.trim().to_owned()
    };
    let (feed, key) = (after("feed  "), after("feed key"));
    shell.ok("store create gateway.store", "");
    let gateway = format!(
        "gateway --listen 127.0.0.1:0 --upstream {} --audience notion.mcp --root @issuer.pub --store gateway.store --feed {feed} --feed-key {key}",
        upstream()
    );
    let gateway = Serving::start(shell.command(&gateway));
    let present =
        |capability| shell.ok("present --key service.key --audience notion.mcp", capability);
    let bearer = present(capability);
    until("the gateway follows", || tool_call(gateway.base(), &bearer).0 == 200);

    let revoke = |token: &str, proof: &str| scene.post_to("revoke", &[("token", token)], &[proof]);
    let thief = pair(&"09".repeat(32));
    for (what, (status, said), cause) in [
        ("no proof", scene.post_to("revoke", &[("token", capability)], &[]), "proof_refused"),
        ("a proof for another place", revoke(capability, &scene.proof()), "proof_refused"),
        (
            "another's key",
            revoke(capability, &scene.proof_by(&thief, "revoke")),
            "malformed_request",
        ),
        (
            "no token",
            scene.post_to("revoke", &[], &[&scene.proof_by(&scene.holder, "revoke")]),
            "malformed_request",
        ),
    ] {
        assert_eq!((status, said["hardtack_cause"].as_str()), (400, Some(cause)), "{what}: {said}");
    }
    // What is none of this issuer's is answered as if it had been revoked, and nothing is.
    shell.ok("keygen --out other.key", "");
    let foreign =
        "mint --key other.key --subject user:acme/alice --scope a:b --holder @service.pub";
    shell.write("service.pub", shell.ok("pubkey service.key", "").trim());
    let foreign = shell.ok(foreign, "");
    for token in ["x", foreign.trim()] {
        assert_eq!(revoke(token, &scene.proof_by(&scene.holder, "revoke")).0, 200);
    }
    assert_eq!(tool_call(gateway.base(), &bearer).0, 200);

    let proof = scene.proof_by(&scene.holder, "revoke");
    assert_eq!(revoke(capability, &proof).0, 200);
    let (status, said) = revoke(another, &proof);
    assert_eq!((status, said["error"].as_str()), (400, Some("invalid_dpop_proof")), "{said}");
    until("the gateway refuses it", || tool_call(gateway.base(), &bearer).1.contains("revoked"));
    // The subject is not revoked: its other grant, and a new one, are good.
    assert_eq!(tool_call(gateway.base(), &present(another)).0, 200);
    let (_, said) = scene.fresh(&[]);
    let new = present(said["access_token"].as_str().unwrap());
    assert_eq!(tool_call(gateway.base(), &new).0, 200);
}

#[test]
fn whoever_is_revoked_gets_nothing_that_would_be_refused_at_once() {
    let scene = Scene::after(|shell| {
        let revoke = "revoke --store issuer.store --subject user:acme/alice --reason left";
        shell.ok(revoke, "");
        let revoke = "revoke --store issuer.store --holder @service.pub --reason lost";
        shell.write("service.pub", shell.ok("pubkey service.key", "").trim());
        shell.ok(revoke, "");
    });
    let token = scene.access_token("k-1", &json!({}));
    for (token, expected) in [
        (token, "by its subject"),
        (scene.access_token("k-1", &json!({ "sub": "bob" })), "by its holder's key"),
    ] {
        let (status, said) = scene.exchange(&token, &scene.proof(), &[]);
        let found = (status, said["error"].as_str(), said["hardtack_cause"].as_str());
        assert_eq!(found, (400, Some("access_denied"), Some("revoked")), "{said}");
        assert!(said["error_description"].as_str().unwrap().contains(expected), "{said}");
        // It was not used up.
        let (_, said) = scene.exchange(&token, &scene.proof(), &[]);
        assert_eq!(said["hardtack_cause"], "revoked", "{said}");
    }
}

#[test]
fn whoever_asks_too_often_waits_and_others_do_not() {
    let scene = Scene::after(|shell| {
        let settings = shell.read("issuer.toml");
        let few = settings.replace("requests-a-minute = 200", "requests-a-minute = 3");
        assert_ne!(few, settings);
        shell.write("issuer.toml", &few);
    });
    // A minute may end in between, so that it begins anew once.
    let statuses: Vec<u16> = (0..8).map(|_| scene.fresh(&[]).0).collect();
    let answered = statuses.iter().filter(|status| **status == 200).count();
    assert!((3..=6).contains(&answered) && statuses.contains(&429), "{statuses:?}");
    // Strangers count for nobody: their tokens are refused before.
    let stranger = scene.access_token("k-2", &json!({}));
    let (status, said) = scene.exchange(&stranger, &scene.proof(), &[]);
    assert_eq!((status, said["hardtack_cause"].as_str()), (400, Some("assertion_refused")));
    let other = pair(&"0b".repeat(32));
    let token = scene.access_token("k-1", &json!({ "sub": "bob" }));
    assert_eq!(scene.exchange(&token, &scene.proof_by(&other, "token"), &[]).0, 200);
}

#[test]
fn what_is_no_form_is_refused() {
    let scene = Scene::new();
    let address = scene.issuer.base().trim_start_matches("http://").to_owned();
    let ask = |head: &str, body: &str| {
        let length = body.len();
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = format!(
            "{head}\r\nHost: issuer.example\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A server that has seen enough may close before all is sent.
        let _ = stream.write_all(body.as_bytes());
        let mut all = String::new();
        let _ = stream.read_to_string(&mut all);
        all.split(' ').nth(1).map(str::to_owned).unwrap_or_default()
    };
    let form = "Content-Type: application/x-www-form-urlencoded";
    let good = format!("grant_type={EXCHANGE}");
    for (head, body, expected) in [
        (
            "POST /token HTTP/1.1\r\nContent-Type: application/json".to_owned(),
            "{}".to_owned(),
            "400",
        ),
        ("POST /token HTTP/1.1".to_owned(), good.clone(), "400"),
        (format!("POST /token HTTP/1.1\r\n{form}"), "a=%ff".to_owned(), "400"),
        (format!("POST /token HTTP/1.1\r\n{form}"), "a=b&".repeat(20_000), "400"),
        (
            format!("POST /token HTTP/1.1\r\n{form}"),
            (0..70).map(|at| format!("p{at}=1&")).collect(),
            "400",
        ),
        (format!("GET /token?{good} HTTP/1.1"), String::new(), "405"),
        (format!("POST /tokens HTTP/1.1\r\n{form}"), good.clone(), "404"),
        ("GET /healthz HTTP/1.1".to_owned(), String::new(), "200"),
    ] {
        assert_eq!(ask(&head, &body), expected, "{head} {}", &body[..body.len().min(40)]);
    }
    assert_eq!(scene.fresh(&[]).0, 200);
}

#[test]
fn made_up_key_ids_do_not_make_the_issuer_fetch_for_each() {
    let scene = Scene::new();
    let before = scene.fetches.load(Ordering::SeqCst);
    assert_eq!(before, 1);
    for number in 0..20 {
        let token = scene.access_token(&format!("made-up-{number}"), &json!({}));
        let (status, said) = scene.exchange(&token, &scene.proof(), &[]);
        assert_eq!(
            (status, said["hardtack_cause"].as_str()),
            (400, Some("assertion_refused")),
            "{said}"
        );
    }
    assert_eq!(scene.fetches.load(Ordering::SeqCst), 1, "the fetch at the start was just now");
    assert_eq!(scene.fresh(&[]).0, 200);
}

#[test]
fn a_file_that_cannot_be_used_says_so_before_anything_is_opened() {
    let scene = Scene::new();
    let shell = &scene.shell;
    let good = settings("http://127.0.0.1:9/keys");
    for (from, to, expected) in [
        ("https://issuer.example", "http://issuer.example", "plain HTTP"),
        ("https://issuer.example", "https://issuer.example/", "without `/` at its end"),
        ("accept-plain-http = true", "accept-plain-http = false", "plain HTTP"),
        ("http://127.0.0.1:9/keys", "http://127.0.0.1.evil.example/keys", "plain HTTP"),
        ("\"EdDSA\"", "\"HS256\"", "no algorithm HS256"),
        ("\"EdDSA\"", "", "algorithms names none"),
        ("name = \"acme\"", "name = \"a/b\"", "letters, digits"),
        ("access-token-audience = \"https://issuer.example\"\n", "", "no token of it is taken"),
        ("policies = \"policies\"", "policies = \"none\"", "policies"),
        ("key = \"issuer.key\"", "key = \"none.key\"", "key"),
        ("listen = \"127.0.0.1:0\"", "listen = \"localhost\"", "numeric address"),
        ("clients", "cleints", "cleints"),
    ] {
        assert!(good.contains(from), "{from}");
        shell.write("wrong.toml", &good.replace(from, to));
        let said = shell.fails("serve --config wrong.toml --check", "");
        assert!(said.contains(expected), "{to}: {said}");
    }
    // A case that gets something else keeps the issuer from starting.
    shell.write("policies/cases/acme.toml", &CASES.replace("seconds = 1800", "seconds = 1801"));
    shell.write("right.toml", &good);
    let said = shell.fails("serve --config right.toml --check", "");
    assert!(said.contains("expected seconds 1801, found 1800"), "{said}");
}

#[test]
fn the_example_is_a_file_that_can_be_used() {
    let shell = Shell::new(env!("CARGO_BIN_EXE_hardtack"));
    let example = shell.ok("serve --example-config", "");
    shell.write("issuer.toml", &example);
    shell.ok("keygen --out issuer.key", "");
    std::fs::create_dir_all(shell.path().join("policies/cases")).unwrap();
    shell.write("policies/acme.issuance.datalog", POLICIES);
    shell.write("policies/cases/acme.toml", CASES);
    shell.ok("serve --config issuer.toml --check", "");
}
