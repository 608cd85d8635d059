//! Scene: an issuer, its provider and a service, and tokens of whatever members.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hardtack_testkit::command::{Serving, Shell};
use hardtack_testkit::upstream::answering;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const CAPABILITY: &str = "urn:dev.hardtack:token-type:capability";
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

pub(crate) const POLICIES: &str = r#"
allow if idp("acme");
deny if claim("suspended", true);
offer("tools:call:search", "notion.mcp", 1800, 2) <- claim("groups", "research");
fact("role", $group) <- claim("groups", $group);
"#;

pub(crate) const CASES: &str = r#"
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

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signed(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
    format!("{message}.{}", encoded(key.sign(message.as_bytes())))
}

pub(crate) fn jwk(key: &Ed25519KeyPair) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(key.public_key()) })
}

/// An issuer, its provider, and alice's service with its key.
pub(crate) struct Scene {
    pub(crate) shell: Shell,
    pub(crate) issuer: Serving,
    pub(crate) provider: Ed25519KeyPair,
    pub(crate) holder: Ed25519KeyPair,
    pub(crate) fetches: Arc<AtomicUsize>,
    pub(crate) next: AtomicUsize,
}

pub(crate) fn pair(seed: &str) -> Ed25519KeyPair {
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
    pub(crate) fn new() -> Scene {
        Scene::after(|_| {})
    }

    /// What is done before the issuer has its store.
    pub(crate) fn after(before: impl FnOnce(&Shell)) -> Scene {
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

    /// With another line in the issuer's file.
    pub(crate) fn with(from: &str, to: &str) -> Scene {
        Scene::after(|shell| {
            let settings = shell.read("issuer.toml");
            assert!(settings.contains(from));
            shell.write("issuer.toml", &settings.replace(from, to));
        })
    }

    /// The same with an issuer that was killed and started again.
    pub(crate) fn killed(mut self) -> Scene {
        self.issuer.signal("-KILL");
        self.issuer.child.wait().unwrap();
        self.issuer = Serving::start(self.shell.command("serve --config issuer.toml"));
        self
    }

    fn number(&self) -> usize {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// A token of the provider for this issuer, with these members besides.
    pub(crate) fn access_token(&self, kid: &str, more: &Value) -> String {
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

    pub(crate) fn proof(&self) -> String {
        self.proof_by(&self.holder, "token")
    }

    pub(crate) fn proof_by(&self, key: &Ed25519KeyPair, endpoint: &str) -> String {
        let header = json!({ "alg": "EdDSA", "typ": "dpop+jwt", "jwk": jwk(key) });
        let claims = json!({
            "jti": format!("proof-{:08}", self.number()), "iat": now(),
            "htm": "POST", "htu": format!("https://issuer.example/{endpoint}"),
        });
        signed(key, &header, &claims)
    }

    /// Asks the token endpoint, and returns the status and what it says.
    pub(crate) fn post(&self, parameters: &[(&str, &str)], proofs: &[&str]) -> (u16, Value) {
        self.post_to("token", parameters, proofs)
    }

    pub(crate) fn post_to(
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

    pub(crate) fn exchange(&self, token: &str, proof: &str, more: &[(&str, &str)]) -> (u16, Value) {
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

    pub(crate) fn fresh(&self, more: &[(&str, &str)]) -> (u16, Value) {
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

pub(crate) fn settings(keys: &str) -> String {
    format!(
        "issuer = \"https://issuer.example\"\nlisten = \"127.0.0.1:0\"\nkey = \"issuer.key\"\nstore = \"issuer.store\"\npolicies = \"policies\"\naccept-plain-http = true\nrequests-a-minute = 200\n[[provider]]\nname = \"acme\"\nissuer = \"https://idp.example\"\njwks-uri = \"{keys}\"\nalgorithms = [\"EdDSA\"]\naccess-token-audience = \"https://issuer.example\"\nclients = [\"planner\"]\n"
    )
}
