//! Bounds: who gets nothing, has to wait, or costs nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;

use hardtack_testkit::command::until;
use serde_json::json;

use crate::scene::{EXCHANGE, Scene, pair};

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
fn nothing_is_issued_that_a_new_epoch_of_the_feed_refuses() {
    let scene = Scene::with("feed-listen = ", "feed-new-epoch = 2\nfeed-listen = ");
    let (status, said) = scene.fresh(&[]);
    let found = (status, said["error"].as_str(), said["hardtack_cause"].as_str());
    assert_eq!(found, (400, Some("access_denied"), Some("revoked")), "{said}");
    let why = said["error_description"].as_str().unwrap();
    assert!(why.contains("what may have been forgotten"), "{why}");
}

#[test]
fn whoever_asks_too_often_waits_and_others_do_not() {
    let scene = Scene::with("requests-a-minute = 200", "requests-a-minute = 3");
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
fn tokens_of_a_provider_whose_keys_cannot_be_had_are_not_taken_and_the_log_says_why() {
    let scene = Scene::after(|shell| {
        let settings = shell.read("issuer.toml");
        let line = settings.lines().find(|line| line.starts_with("jwks-uri")).unwrap();
        // Port 9 of this machine: nobody is there.
        let dead = settings.replace(line, "jwks-uri = \"http://127.0.0.1:9/keys\"");
        shell.write("issuer.toml", &dead);
    });
    let token = scene.access_token("k-1", &json!({}));
    for _ in 0..2 {
        let (status, said) = scene.exchange(&token, &scene.proof(), &[]);
        assert_eq!((status, said["hardtack_cause"].as_str()), (503, Some("no_answer")), "{said}");
    }
    until("the log says why", || scene.issuer.log().contains("refused (os error 111)"));
    // It was tried once, at the start.
    assert_eq!(scene.issuer.log().matches("cannot be fetched").count(), 1);
}
