//! Assertions of an identity provider.

use std::collections::HashSet;

use hardtack::{Cause, Timestamp};
use hardtack_server::assertion::{
    Assertion, AssertionError, Brought, Kind, MAX_BYTES, Provider, verify,
};
use hardtack_server::jwk::KeySet;
use hardtack_server::jws::{self, Algorithm};
use serde_json::{Value, json};

use crate::signing::{NOW, Signer, encoded, with};
use AssertionError::*;

const AT: u64 = NOW.unix_seconds();

/// The thumbprint of the key that is proved: that of RFC 8037, appendix A.3.
const THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

const BROUGHT: Brought<'_> = Brought { nonce: Some("n-1"), thumbprint: THUMBPRINT };

/// A provider with its keys, of which some are for other things.
struct Scene {
    signer: Signer,
    p256: Signer,
    provider: Provider,
    keys: KeySet,
}

impl Scene {
    fn new(kind: Kind) -> Scene {
        let (signer, p256) = (Signer::ed25519(1), Signer::p256());
        let published = json!({ "keys": [
            with(signer.jwk(), "kid", json!("a")),
            with(p256.jwk(), "kid", json!("p")),
            with(with(Signer::ed25519(2).jwk(), "kid", json!("enc")), "use", json!("enc")),
            with(with(Signer::ed25519(3).jwk(), "kid", json!("d")), "d", json!("AA")),
            with(with(p256.jwk(), "kid", json!("es384")), "alg", json!("ES384")),
        ] });
        let audience = match kind {
            Kind::IdToken => "hardtack",
            _ => "https://issuer.example",
        };
        let provider = Provider {
            issuer: "https://idp.example".to_owned(),
            audience: audience.to_owned(),
            clients: vec!["planner".to_owned()],
            algorithms: vec![Algorithm::EdDsa, Algorithm::Es256],
        };
        let keys = KeySet::read(published.to_string().as_bytes()).unwrap();
        Scene { signer, p256, provider, keys }
    }

    fn verify(&self, kind: Kind, text: &str) -> Result<Assertion, AssertionError> {
        verify(text, kind, &self.provider, &self.keys, BROUGHT, NOW)
    }
}

fn header(kind: Kind) -> Value {
    match kind {
        Kind::IdToken => json!({ "alg": "EdDSA", "kid": "a" }),
        _ => json!({ "alg": "EdDSA", "kid": "a", "typ": "at+jwt" }),
    }
}

fn claims(kind: Kind) -> Value {
    let claims = json!({
        "iss": "https://idp.example", "aud": "hardtack", "sub": "alice", "nonce": "n-1",
        "iat": AT - 10, "exp": AT + 290, "auth_time": AT - 30, "groups": ["editors"],
    });
    match kind {
        Kind::IdToken => claims,
        _ => {
            let claims = with(claims, "aud", json!("https://issuer.example"));
            with(with(claims, "client_id", json!("planner")), "jti", json!("j-1"))
        }
    }
}

#[test]
fn what_a_provider_signs_for_this_issuer_is_accepted() {
    for kind in [Kind::IdToken, Kind::AccessToken] {
        let scene = Scene::new(kind);
        let text = scene.signer.token(&header(kind).to_string(), &claims(kind).to_string());
        let found = scene.verify(kind, &text).unwrap();
        assert_eq!(found.sub, "alice");
        assert_eq!(found.signed_in, Some(Timestamp::from_unix_seconds(AT - 30)));
        assert_eq!(found.client.as_deref(), (kind == Kind::AccessToken).then_some("planner"));
        assert_eq!(found.claims["groups"][0], "editors");
        // At the edges of what is accepted.
        for (name, member) in [
            ("exp", json!(AT - 59)),
            ("iat", json!(AT + 60)),
            ("iat", json!(AT - 86_399)),
            ("nbf", json!(AT + 60)),
            ("exp", json!(AT as f64 + 0.5)),
            ("sub", json!("s".repeat(255))),
            ("auth_time", Value::Null),
            ("auth_time", json!(AT + 60)),
            ("cnf", json!({ "jkt": THUMBPRINT })),
        ] {
            let claims = with(claims(kind), name, member.clone());
            let text = scene.signer.token(&header(kind).to_string(), &claims.to_string());
            let found = scene
                .verify(kind, &text)
                .unwrap_or_else(|error| panic!("{name} {member}: {error}"));
            assert!(found.signed_in.is_none_or(|moment| moment <= NOW));
        }
        // What is used once is remembered no longer than it would be taken.
        for (exp, until) in [(AT + 290, AT + 290), (AT + 10 * 365 * 86_400, AT - 10 + 86_400)] {
            let claims = with(claims(kind), "exp", json!(exp)).to_string();
            let found = scene.verify(kind, &scene.signer.token(&header(kind).to_string(), &claims));
            assert_eq!(found.unwrap().expires.unix_seconds(), until);
        }
        let one = with(claims(kind), "aud", json!([scene.provider.audience]));
        scene
            .verify(kind, &scene.signer.token(&header(kind).to_string(), &one.to_string()))
            .unwrap();
        let es256 = json!({ "alg": "ES256", "kid": "p" });
        let es256 = with(es256, "typ", header(kind)["typ"].clone());
        scene
            .verify(kind, &scene.p256.token(&es256.to_string(), &claims(kind).to_string()))
            .unwrap();
    }
}

#[test]
fn rsa_is_read_as_openssl_writes_it() {
    let keys = KeySet::read(include_bytes!("rsa.jwks.json")).unwrap();
    let mut provider = Scene::new(Kind::IdToken).provider;
    for (text, algorithm) in [
        (include_str!("rs256.jwt"), Algorithm::Rs256),
        (include_str!("ps256.jwt"), Algorithm::Ps256),
    ] {
        let check = |provider: &Provider, text: &str| {
            let brought = Brought { nonce: None, ..BROUGHT };
            verify(text, Kind::IdToken, provider, &keys, brought, NOW).map(|found| found.sub)
        };
        let text = text.trim();
        assert_eq!(check(&provider, text), Err(Algorithm), "it is not accepted of this provider");
        provider.algorithms = vec![algorithm];
        assert_eq!(check(&provider, text).as_deref(), Ok("alice"));
        let (message, signature) = text.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        let changed = format!("{message}.{other}{}", &signature[1..]);
        assert_eq!(check(&provider, &changed), Err(Signature));
        provider.algorithms = vec![Algorithm::EdDsa, Algorithm::Es256];
    }
}

/// What is changed.
enum Change {
    Header(&'static str, Value),
    Claim(&'static str, Value),
    /// The whole token, of the accepted one.
    Text(fn(&str) -> String),
    /// Signed by this key.
    Key(u8),
    /// Header and claims as texts, signed by the provider.
    Written(fn(String, String) -> (String, String)),
}

use Change::{Claim, Header as Head, Key, Text, Written};

/// What is refused of tokens of either kind.
fn either() -> Vec<(Change, AssertionError)> {
    vec![
        (Head("alg", json!("none")), Algorithm),
        (Head("alg", json!("None")), Algorithm),
        (Head("alg", json!("HS256")), Algorithm),
        (Head("alg", json!("RS256")), Algorithm),
        (Head("alg", json!("eddsa")), Algorithm),
        (Head("alg", json!(["EdDSA"])), Algorithm),
        (Head("alg", Value::Null), Algorithm),
        (Head("alg", json!("ES256")), KeyOfOtherAlgorithm),
        (Head("kid", json!("b")), KeyUnknown),
        (Head("kid", json!("enc")), KeyUnknown),
        (Head("kid", json!("d")), KeyUnknown),
        (Head("kid", json!("../a")), KeyUnknown),
        (Head("kid", json!(1)), KeyUnknown),
        (Head("kid", json!("p")), KeyOfOtherAlgorithm),
        (Head("jwk", Signer::ed25519(9).jwk()), OwnKey),
        (Head("jku", json!("https://evil.example/keys")), OwnKey),
        (Head("x5u", json!("https://evil.example/cert")), OwnKey),
        (Head("x5c", json!(["AA"])), OwnKey),
        (Head("crit", json!(["exp"])), Unread(jws::Unread::Critical)),
        (Head("crit", json!([])), Unread(jws::Unread::Critical)),
        (Head("typ", json!("dpop+jwt")), Type),
        (Head("typ", json!("oauth-id-jag+jwt")), Type),
        (Head("typ", json!("logout+jwt")), Type),
        (Head("typ", json!(1)), Type),
        (Head("cty", json!("JWT")), Type),
        (Key(9), Signature),
        (Text(|text| format!("{}B", &text[..text.len() - 1])), Unread(jws::Unread::Encoding)),
        (Text(|text| text[..text.rfind('.').unwrap() + 1].to_owned()), Signature),
        (Text(|text| text[..text.rfind('.').unwrap()].to_owned()), Unread(jws::Unread::Parts)),
        (Text(|text| format!("{text}.{text}")), Unread(jws::Unread::Parts)),
        (Text(|text| format!("{text}=")), Unread(jws::Unread::Encoding)),
        (Text(|text| format!(" {text}")), Unread(jws::Unread::Encoding)),
        (Text(|text| text.replacen('.', "+.", 1)), Unread(jws::Unread::Encoding)),
        (Text(|_| String::new()), Unread(jws::Unread::Parts)),
        (Text(|text| format!("{}{text}", "A".repeat(MAX_BYTES))), TooLarge),
        (Text(|text| text.replacen(text.split('.').nth(1).unwrap(), &encoded("{}"), 1)), Signature),
        (
            Written(|header, claims| (header.replacen('{', "{\"alg\":\"none\",", 1), claims)),
            Unread(jws::Unread::Header),
        ),
        (Written(|_, claims| ("[]".to_owned(), claims)), Unread(jws::Unread::Header)),
        (Written(|header, claims| (header, claims.replacen('{', "{\"sub\":\"root\",", 1))), Claims),
        (
            Written(|header, claims| {
                (header, claims.replacen('{', "{\"a\":{\"b\":1,\"b\":2},", 1))
            }),
            Claims,
        ),
        (Written(|header, claims| (header, format!("[{claims}]"))), Claims),
        (Claim("iss", json!("https://idp.example/")), Issuer),
        (Claim("iss", json!("https://IDP.example")), Issuer),
        (Claim("iss", json!(["https://idp.example"])), ClaimType("iss")),
        (Claim("iss", Value::Null), Missing("iss")),
        (Claim("aud", json!("another")), Audience),
        (Claim("aud", json!([])), Audience),
        (Claim("aud", json!({})), ClaimType("aud")),
        (Claim("aud", json!([1])), ClaimType("aud")),
        (Claim("aud", Value::Null), Missing("aud")),
        (Claim("sub", json!("")), Subject),
        (Claim("sub", json!("s".repeat(256))), Subject),
        (Claim("sub", json!(["alice"])), ClaimType("sub")),
        (Claim("sub", json!(7)), ClaimType("sub")),
        (Claim("sub", Value::Null), Missing("sub")),
        (Claim("exp", json!(AT - 60)), Expired),
        (Claim("exp", json!("1795429000")), ClaimType("exp")),
        (Claim("exp", json!(-1)), ClaimType("exp")),
        (Claim("exp", json!(1e300)), ClaimType("exp")),
        (Claim("exp", json!(true)), ClaimType("exp")),
        (Claim("exp", Value::Null), Missing("exp")),
        (Claim("nbf", json!(AT + 61)), NotYet),
        (Claim("nbf", json!("0")), ClaimType("nbf")),
        (Claim("iat", json!(AT + 61)), MadeLater),
        (Claim("iat", json!(AT - 86_400)), TooOld),
        (Claim("iat", json!([AT])), ClaimType("iat")),
        (Claim("iat", Value::Null), Missing("iat")),
        (Claim("auth_time", json!("1795428000")), ClaimType("auth_time")),
        (Claim("auth_time", json!(AT + 61)), SignedInLater),
        (Claim("nonce", json!("n-2")), Nonce),
        (Claim("nonce", Value::Null), Nonce),
        (Claim("nonce", json!(1)), ClaimType("nonce")),
        (Claim("jti", json!("")), Id),
        (Claim("jti", json!("j".repeat(257))), Id),
        (Claim("jti", json!(1)), ClaimType("jti")),
        // Who stole a token that is bound to a key cannot have it bound to another one.
        (Claim("cnf", json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" })), Bound),
        (Claim("cnf", json!({ "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" })), Bound),
        (Claim("cnf", json!({ "jkt": THUMBPRINT, "x5t#S256": "bwcK0esc3ACC" })), Bound),
        (Claim("cnf", json!({ "jkt": [THUMBPRINT] })), Bound),
        (Claim("cnf", json!({})), Bound),
        (Claim("cnf", json!(THUMBPRINT)), ClaimType("cnf")),
        (
            Claim("events", json!({ "http://schemas.openid.net/event/backchannel-logout": {} })),
            Type,
        ),
    ]
}

fn of_id_tokens() -> Vec<(Change, AssertionError)> {
    vec![
        (Head("typ", json!("at+jwt")), Type),
        (Claim("aud", json!(["hardtack", "another"])), OtherAudiences),
        (Claim("azp", json!("another")), AuthorizedParty),
        (Claim("azp", json!(["hardtack"])), ClaimType("azp")),
        // Access tokens whose header does not say that they are.
        (Claim("scope", json!("openid")), Type),
        (Claim("scp", json!(["read"])), Type),
        (Claim("typ", json!("Bearer")), Type),
        (Claim("token_use", json!("access")), Type),
    ]
}

fn of_access_tokens() -> Vec<(Change, AssertionError)> {
    vec![
        (Head("typ", json!("JWT")), Type),
        (Head("typ", Value::Null), Type),
        (Claim("aud", json!(["https://issuer.example", "https://api.example"])), OtherAudiences),
        (Claim("client_id", json!("another")), Client),
        (Claim("client_id", json!(1)), ClaimType("client_id")),
        (Claim("client_id", Value::Null), Missing("client_id")),
        // A client that got a token for itself, and may have chosen the name of a user.
        (Claim("sub", json!("planner")), NoUser),
        (Claim("jti", Value::Null), Missing("jti")),
    ]
}

fn changed(scene: &Scene, kind: Kind, change: &Change) -> String {
    let (header, claims) = (header(kind), claims(kind));
    let sign =
        |header: Value, claims: Value| scene.signer.token(&header.to_string(), &claims.to_string());
    match change {
        Head(name, member) => sign(with(header, name, member.clone()), claims),
        Claim(name, member) => sign(header, with(claims, name, member.clone())),
        Text(change) => change(&sign(header, claims)),
        Key(seed) => Signer::ed25519(*seed).token(&header.to_string(), &claims.to_string()),
        Written(change) => {
            let (header, claims) = change(header.to_string(), claims.to_string());
            scene.signer.token(&header, &claims)
        }
    }
}

#[test]
fn an_assertion_with_one_thing_changed_is_refused_for_its_own_cause() {
    let mut causes = HashSet::new();
    let mut count = 0;
    for (kind, own) in [(Kind::IdToken, of_id_tokens()), (Kind::AccessToken, of_access_tokens())] {
        let scene = Scene::new(kind);
        for (at, (change, expected)) in either().into_iter().chain(own).enumerate() {
            let text = changed(&scene, kind, &change);
            let refused = scene.verify(kind, &text).expect_err(&format!("{kind:?} {at}"));
            assert_eq!(refused, expected, "{kind:?} {at}");
            assert_eq!(refused.cause(), Cause::AssertionRefused);
            // What is said of it tells nothing of what it is.
            assert!(!refused.to_string().contains("alice"));
            causes.insert(refused);
            count += 1;
        }
    }
    assert!(count >= 120, "{count}");
    assert!(causes.len() >= 30, "{}", causes.len());
}

#[test]
fn a_token_without_kid_is_of_the_only_key_that_it_can_be_of() {
    let scene = Scene::new(Kind::IdToken);
    let text = changed(&scene, Kind::IdToken, &Head("kid", Value::Null));
    scene.verify(Kind::IdToken, &text).unwrap();
    let two = json!({ "keys": [scene.signer.jwk(), Signer::ed25519(9).jwk()] });
    let two = KeySet::read(two.to_string().as_bytes()).unwrap();
    let found = verify(&text, Kind::IdToken, &scene.provider, &two, BROUGHT, NOW);
    assert_eq!(found.unwrap_err(), KeyUnnamed);
    let none = verify(&text, Kind::IdToken, &scene.provider, &KeySet::default(), BROUGHT, NOW);
    assert!(none.unwrap_err().may_be_new_key());
}

#[test]
fn a_set_of_keys_that_is_ambiguous_or_endless_is_none() {
    let key = |kid: &str| with(Signer::ed25519(1).jwk(), "kid", json!(kid));
    let read = |keys: Vec<Value>| KeySet::read(json!({ "keys": keys }).to_string().as_bytes());
    assert!(read(vec![key("a"), key("b")]).is_some());
    assert!(read(vec![key("a"), with(Signer::ed25519(2).jwk(), "kid", json!("a"))]).is_none());
    assert!(read((0..101).map(|at| key(&at.to_string())).collect()).is_none());
    assert!(KeySet::read(b"{\"keys\":[],\"keys\":[]}").is_none());
    assert!(KeySet::read(b"{\"keys\":{}}").is_none());
    assert!(KeySet::read(b"<html>").is_none());
}

#[test]
fn two_assertions_are_not_known_by_one_id() {
    let kind = Kind::AccessToken;
    let scene = Scene::new(kind);
    let id = |change: &Change| scene.verify(kind, &changed(&scene, kind, change)).unwrap().id;
    let first = id(&Claim("jti", json!("j-1")));
    assert_eq!(first, id(&Claim("groups", json!([]))), "the same jti is the same assertion");
    assert_ne!(first, id(&Claim("jti", json!("j-2"))));
    // By ECDSA, who has one signature can make another: what was signed is the same.
    let kind = Kind::IdToken;
    let scene = Scene::new(kind);
    let header = json!({ "alg": "ES256", "kid": "p" }).to_string();
    let sign = || scene.p256.token(&header, &claims(kind).to_string());
    let (one, other) = (sign(), sign());
    assert_ne!(one, other);
    let id = |text: &str| scene.verify(kind, text).unwrap().id;
    assert_eq!(id(&one), id(&other));
}
