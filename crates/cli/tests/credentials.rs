//! Credentials for an upstream, driven as a process: files that change, commands, and what is refused at the start.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hardtack_testkit::command::{Serving, Shell, tool_call, until};
use hardtack_testkit::upstream::echo;

/// A scratch folder with an agent in it that may search.
fn scene() -> Shell {
    Shell::with_alice(env!("CARGO_BIN_EXE_hardtack"), "tools:call:search")
}

fn gateway<'a>(upstream: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let all = [
        "gateway",
        "--listen",
        "127.0.0.1:0",
        "--audience",
        "notion.mcp",
        "--root",
        "@root.pub",
        "--store",
        "hardtack.store",
        "--upstream",
        upstream,
    ];
    [all.as_slice(), more].concat()
}

/// Status and text of a call.
fn calls(scene: &Shell, gateway: &Serving) -> (u16, String) {
    let bearer =
        scene.ok("present --key alice.key --audience notion.mcp", &scene.read("alice.token"));
    tool_call(gateway.base(), &bearer)
}

#[test]
fn a_header_in_a_file_is_rotated_and_a_wrong_one_is_not_taken() {
    let (scene, upstream) = (scene(), echo());
    scene.write("api.key", "first\n");
    scene.write("authorization", "Bearer one");
    let more = [
        "--upstream-header",
        "X-API-Key=@api.key",
        "--upstream-header",
        "X-Tenant=env:NOTION_TENANT",
        "--upstream-authorization-file",
        "authorization",
    ];
    let mut command = scene.command(&gateway(&upstream, &more));
    command.env("NOTION_TENANT", "acme, inc");
    let gateway = Serving::start(command);
    let sent = |what: &str| calls(&scene, &gateway).1.contains(what);
    for what in ["x-api-key: first", "x-tenant: acme, inc", "authorization: Bearer one"] {
        assert!(sent(what), "{what}: {:?}", calls(&scene, &gateway));
    }
    scene.write("api.key", "secret\nX-Other: injected\n");
    until("it is said", || gateway.log().contains("has a line break within it"));
    assert!(sent("x-api-key: first"));
    scene.write("api.key", "second\n");
    scene.write("authorization", "Bearer two");
    until("it is exchanged", || sent("x-api-key: second") && sent("authorization: Bearer two"));
    fs::remove_file(scene.path().join("api.key")).unwrap();
    until("it is said", || gateway.log().matches("a credential is not taken").count() == 2);
    assert!(sent("x-api-key: second"));
    for secret in ["first", "second", "secret", "injected", "Bearer"] {
        assert!(!gateway.log().contains(secret), "{secret}: {}", gateway.log());
    }
    assert!(gateway.ends());
}

#[test]
fn a_command_is_started_without_a_shell_and_knows_whose_call_it_is() {
    let (scene, upstream) = (scene(), echo());
    let script = "#!/bin/sh\necho \"$1 for $HARDTACK_SUBJECT at $HARDTACK_SERVER, ${HARDTACK_STORE:-none} ${GITHUB_TOKEN-unset} ${PATH:+path} $#\"\n";
    scene.write("token", script);
    let path = scene.path().join("token");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let header = format!("X-Token=command:{} $(id);x", path.display());
    let more = ["--upstream-header", &header];
    let mut command = scene.command(&gateway(&upstream, &more));
    command.env("HARDTACK_STORE", "hardtack.store").env("GITHUB_TOKEN", "the gateway's own");
    let gateway = Serving::start(command);
    let (status, said) = calls(&scene, &gateway);
    assert_eq!(status, 200);
    assert!(
        said.contains("x-token: $(id);x for user:alice at notion.mcp, none unset path 1"),
        "{said}"
    );
}

#[test]
fn what_can_be_no_credential_is_refused_at_the_start_and_not_repeated() {
    let scene = scene();
    scene.write("two", "Bearer a\nAuthorization: Bearer hidden");
    scene.write("twice", "Authorization: Bearer hidden");
    scene.write("marked", "Bearer a\u{feff}hidden");
    scene.write("empty", "\n");
    scene.write("good", "Bearer hidden");
    for (more, said) in [
        (vec!["--upstream-header", "X-API-Key=hidden"], "NAME=@FILE"),
        (vec!["--upstream-header", "Authorization=@two"], "line break"),
        (vec!["--upstream-header", "Authorization=@twice"], "name of a header"),
        (vec!["--upstream-header", "Authorization=@marked"], "byte order mark"),
        (vec!["--upstream-header", "X-API-Key=@empty"], "is empty"),
        (vec!["--upstream-header", "Host=@good"], "can hold no credential"),
        (vec!["--upstream-header", "Mcp-Session-Id=@good"], "can hold no credential"),
        (vec!["--upstream-header", "Transfer-Encoding=@good"], "can hold no credential"),
        (vec!["--upstream-header", "X Y=@good"], "no name of a header"),
        (vec!["--upstream-header", "X-API-Key=@nowhere"], "nowhere"),
        (vec!["--upstream-header", "X-API-Key=env:hidden"], "environment variable"),
        (vec!["--upstream-header", "X-API-Key=command: "], "without a program"),
        (vec!["--upstream-header", "A=@good", "--upstream-header", "a=@good"], "is given twice"),
        (vec!["--upstream-ca", "good"], "no certificate"),
        (vec!["--upstream-cert", "good"], "upstream-key"),
        (vec!["--upstream-key", "good"], "upstream-cert"),
    ] {
        let error = scene.fails(&gateway("http://127.0.0.1:9/mcp", &more), "");
        assert!(error.contains(said) && !error.contains("hidden"), "{more:?}: {error}");
    }
    let far = gateway("http://tools.example/mcp", &["--upstream-header", "A=@good"]);
    let error = scene.fails(&far, "");
    assert!(error.contains("upstream-header") && error.contains("--allow-plain-http"), "{error}");
    let oauth = |client_secret: &str, url: &str| {
        scene.write(
            "gateway.toml",
            &format!("upstream-oauth = {{ token-url = \"{url}\", client-id = \"a\", client-secret = \"{client_secret}\" }}\n"),
        );
        let more = ["--config", "gateway.toml"];
        scene.fails(&gateway("http://127.0.0.1:9/mcp", &more), "")
    };
    let typed = oauth("hidden", "https://login.example/token");
    assert!(typed.contains("upstream-oauth") && !typed.contains("hidden"), "{typed}");
    assert!(oauth("@good", "http://login.example/token").contains("--allow-plain-http"));
    assert!(oauth("@empty", "https://login.example/token").contains("client-secret is empty"));
}
