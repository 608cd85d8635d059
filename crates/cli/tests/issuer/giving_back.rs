//! Giving back: who can revoke which capability, and who hears of it.

use hardtack_testkit::command::{Serving, tool_call, until, upstream};

use crate::scene::{Scene, pair};

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
    // Where clients ask is another place than where it listens.
    assert!(said.contains("for clients  https://issuer.example/token"), "{said}");
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
    // As a file of it has it.
    assert_eq!(revoke(&format!("{}\n", capability.trim()), &proof).0, 200);
    let (status, said) = revoke(another, &proof);
    assert_eq!((status, said["error"].as_str()), (400, Some("invalid_dpop_proof")), "{said}");
    until("the gateway refuses it", || tool_call(gateway.base(), &bearer).1.contains("revoked"));
    // The subject is not revoked: its other grant, and a new one, are good.
    assert_eq!(tool_call(gateway.base(), &present(another)).0, 200);
    let (_, said) = scene.fresh(&[]);
    let new = present(said["access_token"].as_str().unwrap());
    assert_eq!(tool_call(gateway.base(), &new).0, 200);
}
