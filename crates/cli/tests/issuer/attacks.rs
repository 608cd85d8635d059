//! Attacks: what whoever holds a token of a user, or stole one, tries for more than it gives.

use std::io::Write;
use std::net::TcpStream;

use ring::digest::{SHA256, digest};
use ring::signature::KeyPair;
use serde_json::{Value, json};

use crate::scene::{Scene, encoded, now, pair};

/// The thumbprint of a key, by which a token is bound to it (RFC 7638).
fn thumbprint(scene: &Scene) -> String {
    let x = encoded(scene.holder.public_key());
    encoded(digest(&SHA256, format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes()))
}

fn found(answer: &(u16, Value)) -> (u16, Option<&str>) {
    (answer.0, answer.1["hardtack_cause"].as_str())
}

#[test]
fn a_stolen_token_that_is_bound_to_a_key_is_good_for_that_key_alone() {
    let scene = Scene::new();
    let bound = json!({ "cnf": { "jkt": thumbprint(&scene) } });
    let token = scene.access_token("k-1", &bound);
    let thief = pair(&"09".repeat(32));
    let stolen = scene.exchange(&token, &scene.proof_by(&thief, "token"), &[]);
    assert_eq!(found(&stolen), (400, Some("assertion_refused")), "{}", stolen.1);
    // It was not used up by the thief.
    assert_eq!(scene.exchange(&token, &scene.proof(), &[]).0, 200);
    // What a certificate is needed for is good for nobody here.
    let tls =
        scene.access_token("k-1", &json!({ "cnf": { "x5t#S256": "bwcK0esc3ACC3DB2Y5_lES" } }));
    assert_eq!(found(&scene.exchange(&tls, &scene.proof(), &[])), (400, Some("assertion_refused")));
}

#[test]
fn of_many_who_bring_one_token_at_once_one_gets_something() {
    let scene = Scene::new();
    let token = scene.access_token("k-1", &json!({}));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (1..=8)
            .map(|number: u8| {
                let (scene, token) = (&scene, &token);
                scope.spawn(move || {
                    let key = pair(&hex::encode([number; 32]));
                    scene.exchange(token, &scene.proof_by(&key, "token"), &[]).0
                })
            })
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 400].contains(status)), "{statuses:?}");
}

#[test]
fn what_was_used_once_stays_used_when_the_issuer_was_killed() {
    let scene = Scene::new();
    let (token, proof) = (scene.access_token("k-1", &json!({})), scene.proof());
    let (status, said) = scene.exchange(&token, &proof, &[]);
    assert_eq!(status, 200, "{said}");
    let given = scene.proof_by(&scene.holder, "revoke");
    let capability = said["access_token"].as_str().unwrap();
    assert_eq!(scene.post_to("revoke", &[("token", capability)], &[&given]).0, 200);
    let scene = scene.killed();
    let again = scene.exchange(&token, &scene.proof(), &[]);
    assert_eq!(found(&again), (400, Some("assertion_refused")), "{}", again.1);
    let again = scene.exchange(&scene.access_token("k-1", &json!({})), &proof, &[]);
    assert_eq!(found(&again), (400, Some("proof_refused")), "{}", again.1);
    let again = scene.post_to("revoke", &[("token", capability)], &[&given]);
    assert_eq!(found(&again), (400, Some("proof_refused")), "{}", again.1);
    assert_eq!(scene.fresh(&[]).0, 200);
}

#[test]
fn a_proof_is_good_at_one_endpoint_of_the_issuer() {
    let scene = Scene::new();
    let token = scene.access_token("k-1", &json!({}));
    for place in ["revoke", "", "token/", "token/../revoke", "%74oken", "TOKEN"] {
        let answer = scene.exchange(&token, &scene.proof_by(&scene.holder, place), &[]);
        assert_eq!(found(&answer), (400, Some("proof_refused")), "{place}: {}", answer.1);
    }
    assert_eq!(scene.exchange(&token, &scene.proof(), &[]).0, 200);
}

#[test]
fn nobody_gets_more_than_is_offered_however_they_ask() {
    let scene = Scene::new();
    let many = ["a:b"; 33].join(" ");
    for scope in [
        "*",
        "tools:*",
        "tools:call:search tools:call:search",
        "tools:call:search hardtack:revoke tools:call:delete *",
    ] {
        let (status, said) = scene.fresh(&[("scope", scope)]);
        assert_eq!((status, &said["scope"]), (200, &json!("tools:call:search")), "{scope}: {said}");
    }
    for (name, value, cause) in [
        ("scope", "hardtack:*", "not_offered"),
        ("scope", "tools:call:searchx", "not_offered"),
        ("scope", "tools:call:search\thardtack:revoke", "malformed_scope"),
        ("scope", "tools:call:search\u{a0}", "malformed_scope"),
        ("scope", many.as_str(), "too_many"),
        ("audience", "*", "audience_not_offered"),
        ("audience", "NOTION.mcp", "audience_not_offered"),
        ("audience", "notion.mcp files.mcp", "malformed_name"),
        ("expires_in", "-1", "malformed_request"),
        ("expires_in", "99999999999999999999999", "malformed_request"),
    ] {
        let answer = scene.fresh(&[(name, value)]);
        assert_eq!(found(&answer), (400, Some(cause)), "{name} {value}: {}", answer.1);
    }
    // Neither a long wish nor a token that lives long makes the life longer.
    for more in [json!({}), json!({ "exp": now() + 360 * 86_400 })] {
        let token = scene.access_token("k-1", &more);
        let wish = [("expires_in", "18446744073709551615")];
        let (status, said) = scene.exchange(&token, &scene.proof(), &wish);
        assert_eq!((status, &said["expires_in"]), (200, &json!(1800)), "{said}");
    }
}

#[test]
fn whoever_sends_slowly_keeps_nobody_out() {
    let scene = Scene::new();
    let address = scene.issuer.base().trim_start_matches("http://");
    let head = "POST /token HTTP/1.1\r\nHost: issuer.example\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\ngrant_type=";
    let slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(scene.fresh(&[]).0, 200);
    drop(slow);
}

#[test]
fn agents_that_give_back_keep_neither_holder_nor_subject_from_anything() {
    let scene = Scene::with("requests-a-minute = 200", "requests-a-minute = 3");
    let shell = &scene.shell;
    let (_, said) = scene.fresh(&[]);
    let capability = said["access_token"].as_str().unwrap();
    let agent = pair(&"0d".repeat(32));
    let key = format!("ed25519/{}", hex::encode(agent.public_key()));
    let delegate = format!(
        "delegate --key service.key --to agent.researcher --scope tools:call:search --reason look --holder {key}"
    );
    let passed_on = shell.ok(&delegate, capability);
    let give = |token: &str, key| {
        scene.post_to("revoke", &[("token", token.trim())], &[&scene.proof_by(key, "revoke")])
    };
    // A minute may end in between.
    let statuses: Vec<u16> = (0..8).map(|_| give(&passed_on, &agent).0).collect();
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    // The agent's hop ends the agent's part alone; and its key is named by no block of the grant.
    assert_eq!(found(&give(capability, &agent)), (400, Some("malformed_request")));
    assert_eq!(scene.fresh(&[]).0, 200);
    assert_eq!(give(capability, &scene.holder).0, 200);
    assert_eq!(give(&passed_on, &scene.holder).0, 200);
    let Scene { shell, issuer, .. } = scene;
    assert!(issuer.ends());
    // What was revoked is written once, by the name of whoever did it.
    let list = shell.ok("revocations --store issuer.store", "");
    assert_eq!(list.matches("its holder gave it back").count(), 2, "{list}");
    assert_eq!(list.matches(&format!("holder {key}")).count(), 1, "{list}");
}
