//! Proofs of a key.

use std::collections::HashSet;

use hardtack::{Cause, PrivateKey};
use hardtack_server::dpop::{MAX_BYTES, ProofError, Proved, verify};
use hardtack_server::jws;
use serde_json::{Value, json};
use url::Url;

use crate::signing::{NOW, Signer, encoded, with};
use ProofError::*;

const AT: u64 = NOW.unix_seconds();

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "dpop+jwt", "jwk": Signer::ed25519(1).jwk() })
}

fn claims() -> Value {
    json!({ "jti": "proof-0001", "htm": "POST", "htu": "https://issuer.example/token", "iat": AT, "nonce": "n-1" })
}

fn check(text: &str) -> Result<Proved, ProofError> {
    let place = Url::parse("https://issuer.example/token").unwrap();
    verify(text, "POST", &place, Some("n-1"), NOW)
}

fn signed(header: &Value, claims: &Value) -> String {
    Signer::ed25519(1).token(&header.to_string(), &claims.to_string())
}

#[test]
fn whoever_has_the_key_proves_it() {
    let proved = check(&signed(&header(), &claims())).unwrap();
    assert_eq!(proved.key, PrivateKey::from_bytes(&[1; 32]).public());
    for (name, member) in [
        ("iat", json!(AT - 60)),
        ("iat", json!(AT + 60)),
        ("htu", json!("https://ISSUER.example:443/token?a=b#c")),
        ("jti", json!("12345678")),
        ("ath", json!("whatever")),
    ] {
        let found = check(&signed(&header(), &with(claims(), name, member.clone())));
        let found = found.unwrap_or_else(|error| panic!("{name} {member}: {error}"));
        assert!(found.remember_until > NOW);
    }
    let newer = with(header(), "alg", json!("Ed25519"));
    check(&signed(&newer, &claims())).unwrap();
}

#[test]
fn a_key_has_the_thumbprint_that_others_compute() {
    // RFC 8037, appendix A.
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let mut bytes = [0; 32];
    hex::decode_to_slice(seed, &mut bytes).unwrap();
    let signer = Signer::of(&bytes);
    let header = with(header(), "jwk", signer.jwk());
    let proved = check(&signer.token(&header.to_string(), &claims().to_string())).unwrap();
    assert_eq!(proved.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn a_proof_is_known_by_its_key_and_its_id() {
    let id = |seed: u8, jti: &str| {
        let header = with(header(), "jwk", Signer::ed25519(seed).jwk());
        let claims = with(claims(), "jti", json!(jti));
        check(&Signer::ed25519(seed).token(&header.to_string(), &claims.to_string())).unwrap().id
    };
    let ids: HashSet<_> = [id(1, "proof-0001"), id(1, "proof-0002"), id(2, "proof-0001")].into();
    assert_eq!(ids.len(), 3);
    assert!(ids.contains(&id(1, "proof-0001")));
}

#[test]
fn a_proof_with_one_thing_changed_is_refused_for_its_own_cause() {
    let jwk = Signer::ed25519(1).jwk();
    let p256 = Signer::p256();
    let head = |name: &str, member: Value| signed(&with(header(), name, member), &claims());
    let claim = |name: &str, member: Value| signed(&header(), &with(claims(), name, member));
    let good = signed(&header(), &claims());
    let message = good.rsplit_once('.').unwrap().0.to_owned();
    let double = claims().to_string().replacen('{', "{\"htm\":\"GET\",", 1);
    let es256 = with(with(header(), "alg", json!("ES256")), "jwk", p256.jwk());
    let mixed = with(header(), "jwk", p256.jwk());
    // The neutral point: any signature could be made for it.
    let small = with(jwk.clone(), "x", json!(encoded([&[1][..], &[0; 31]].concat())));
    let wrong = [
        (head("typ", json!("jwt")), Type),
        (head("typ", json!("DPoP+JWT")), Type),
        (head("typ", Value::Null), Type),
        (head("alg", json!("none")), Algorithm),
        (head("alg", json!("HS256")), Algorithm),
        (head("alg", json!("ES256")), Algorithm),
        (p256.token(&es256.to_string(), &claims().to_string()), Algorithm),
        (p256.token(&mixed.to_string(), &claims().to_string()), Key),
        (head("jwk", Value::Null), Key),
        (head("jwk", json!("x")), Key),
        (head("jwk", small), Key),
        (head("jwk", with(jwk.clone(), "x", json!("AA"))), Key),
        (head("jwk", with(jwk.clone(), "crv", json!("X25519"))), Key),
        (head("jwk", with(jwk.clone(), "use", json!("enc"))), Key),
        (head("jwk", with(jwk, "d", json!(encoded([1; 32])))), PrivateKey),
        (head("jwk", Signer::ed25519(2).jwk()), Signature),
        (head("crit", json!(["b64"])), Unread(jws::Unread::Critical)),
        (format!("{message}.{}", encoded([0; 64])), Signature),
        (format!("{message}."), Signature),
        (message, Unread(jws::Unread::Parts)),
        (format!("{good}="), Unread(jws::Unread::Encoding)),
        (format!("{good}{}", "A".repeat(MAX_BYTES)), TooLarge),
        (Signer::ed25519(1).token("[]", &claims().to_string()), Unread(jws::Unread::Header)),
        (Signer::ed25519(1).token(&header().to_string(), "[]"), Claims),
        (Signer::ed25519(1).token(&header().to_string(), &double), Claims),
        (claim("jti", json!("1234567")), Id),
        (claim("jti", json!("j".repeat(129))), Id),
        (claim("jti", json!(12_345_678)), Id),
        (claim("jti", Value::Null), Id),
        (claim("htm", json!("GET")), Method),
        (claim("htm", json!("post")), Method),
        (claim("htm", Value::Null), Method),
        (claim("htu", json!("http://issuer.example/token")), Place),
        (claim("htu", json!("https://issuer.example/token/")), Place),
        (claim("htu", json!("https://issuer.example.evil.example/token")), Place),
        (claim("htu", json!("https://issuer.example@evil.example/token")), Place),
        (claim("htu", json!("https://a@issuer.example/token")), Place),
        (claim("htu", json!("https://issuer.example:8443/token")), Place),
        (claim("htu", json!("/token")), Place),
        (claim("htu", Value::Null), Place),
        (claim("iat", json!(AT - 61)), Old),
        (claim("iat", json!(AT + 61)), Future),
        (claim("iat", json!(AT.to_string())), Undated),
        (claim("iat", json!(-1)), Undated),
        (claim("iat", Value::Null), Undated),
        (claim("nonce", json!("n-2")), Nonce),
        (claim("nonce", Value::Null), Nonce),
    ];
    let mut causes = HashSet::new();
    for (at, (text, expected)) in wrong.iter().enumerate() {
        let refused = check(text).expect_err(&at.to_string());
        assert_eq!(refused, *expected, "{at}");
        assert_eq!(refused.cause(), Cause::ProofRefused);
        causes.insert(refused);
    }
    assert_eq!(causes.len(), 18, "{causes:?}");
}
