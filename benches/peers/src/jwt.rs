//! JSON Web Tokens, signed with Ed25519: one alone, and a chain in which each names the key of the next and the last one is a proof.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rand_core::OsRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ours::AUDIENCE;

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    aud: String,
    exp: u64,
    scope: String,
    /// The key of whoever may pass it on or present it, as in RFC 7800.
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<String>,
    /// The digest of the token before, so that none can be pasted under another.
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
}

pub(crate) struct Jwt {
    root: DecodingKey,
    validation: Validation,
    pub(crate) single: String,
    pub(crate) chain: Vec<String>,
}

impl Jwt {
    /// A grant, three hops and a proof: five signatures.
    pub(crate) fn new() -> Jwt {
        let keys: Vec<SigningKey> = (0..5).map(|_| SigningKey::generate(&mut OsRng)).collect();
        let mut chain: Vec<String> = Vec::new();
        for (number, key) in keys.iter().enumerate() {
            let agents =
                ["user:alice", "agent.orchestrator", "agent.researcher", "agent.helper", "proof"];
            let claims = Claims {
                sub: agents[number].to_owned(),
                aud: AUDIENCE.to_owned(),
                exp: 4_000_000_000,
                scope: if number < 2 { "tools:call:*" } else { "tools:call:search" }.to_owned(),
                cnf: keys.get(number + 1).map(x),
                ath: chain.last().map(|token| digest(token)),
            };
            chain.push(signed(&claims, key));
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        let root = DecodingKey::from_ed_components(&x(&keys[0])).expect("a key");
        Jwt { root, validation, single: chain[0].clone(), chain }
    }

    /// One token: signature, expiry, audience, scope.
    pub(crate) fn check_single(&self, token: &str) -> bool {
        let claims = decode::<Claims>(token, &self.root, &self.validation).expect("a token").claims;
        covers(&claims.scope, "tools:call:search")
    }

    /// The chain: each by the key that the one before names, over that one, and with no wider scope.
    pub(crate) fn check_chain(&self, chain: &[String]) -> bool {
        let mut key = self.root.clone();
        let mut scope = "*".to_owned();
        let mut before: Option<&String> = None;
        for (number, token) in chain.iter().enumerate() {
            let claims = decode::<Claims>(token, &key, &self.validation).expect("a token").claims;
            if claims.ath != before.map(|token| digest(token)) || !covers(&scope, &claims.scope) {
                return false;
            }
            if let Some(next) = &claims.cnf {
                key = DecodingKey::from_ed_components(next).expect("a key");
            } else if number + 1 < chain.len() {
                return false;
            }
            scope = claims.scope;
            before = Some(token);
        }
        covers(&scope, "tools:call:search")
    }
}

fn covers(scope: &str, asked: &str) -> bool {
    match scope.strip_suffix('*') {
        Some(beginning) => asked.starts_with(beginning),
        None => scope == asked,
    }
}

fn x(key: &SigningKey) -> String {
    URL_SAFE_NO_PAD.encode(key.verifying_key().to_bytes())
}

fn digest(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

fn signed(claims: &Claims, key: &SigningKey) -> String {
    let key = EncodingKey::from_ed_der(key.to_pkcs8_der().expect("a key").as_bytes());
    encode(&Header::new(Algorithm::EdDSA), claims, &key).expect("a token")
}
