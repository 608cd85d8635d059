//! Exchange: what a token of a user becomes, and what is refused.

use hardtack_testkit::command::{Serving, get, tool_call, upstream};
use serde_json::{Value, json};

use crate::scene::{ACCESS_TOKEN, CAPABILITY, EXCHANGE, Scene, now};

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
