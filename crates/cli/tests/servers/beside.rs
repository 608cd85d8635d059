//! What stands beside the calls of several servers: their metadata, their metrics, the credentials that they are sent.

use std::io::Read;

use hardtack_testkit::command::{Serving, until};
use hardtack_testkit::upstream::echo;

use crate::scene::*;

#[test]
fn each_server_says_where_its_tokens_come_from_before_its_path_and_before_that_of_its_resource() {
    const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
    let scene = Scene::set();
    let url = upstream("any");
    let of = |name: &str, resource: &str| {
        let more = format!(
            "resource = \"{resource}\"\nauthorization-server = \"https://login.example/{name}\""
        );
        server(name, &url, &more)
    };
    let notion = of("notion", "https://tools.example/notion/mcp");
    let github = of("github", "https://git.example/behind/a/proxy/");
    let gateway = scene.start(&[&notion, &github, &server("quiet", &url, "")]);
    let read = |path: &str| ask(&gateway, "GET", &format!("{WELL_KNOWN}{path}"), "", "");
    for (path, resource, name) in [
        ("/notion/mcp", "https://tools.example/notion/mcp", "notion"),
        ("/github/mcp", "https://git.example/behind/a/proxy", "github"),
        ("/behind/a/proxy", "https://git.example/behind/a/proxy", "github"),
    ] {
        let answered = read(path);
        let said: serde_json::Value = serde_json::from_str(&answered.body).unwrap();
        assert_eq!((answered.status, &said["resource"]), (200, &resource.into()), "{path}");
        let server = format!("https://login.example/{name}");
        assert_eq!(said["authorization_servers"], serde_json::json!([server]), "{path}");
    }
    for path in ["", "/", "/quiet/mcp", "/notion", "/notion/mcp/", "/Notion/mcp", "/late/mcp"] {
        assert_eq!(read(path).status, 404, "{path}");
    }
    let posted = ask(&gateway, "POST", &format!("{WELL_KNOWN}/notion/mcp"), "", "");
    assert_eq!(posted.status, 405);
    assert!(posted.head.contains("\nallow: get, head\r\n"), "{}", posted.head);
    for (path, at) in [
        ("/notion/mcp", "https://tools.example/.well-known/oauth-protected-resource/notion/mcp"),
        ("/github/mcp", "https://git.example/.well-known/oauth-protected-resource/behind/a/proxy"),
    ] {
        let challenged = call(&gateway, path, "");
        let parameter = format!("resource_metadata=\"{at}\"");
        assert!(challenged.head.contains(&parameter), "{path}: {}", challenged.head);
    }
    assert!(!call(&gateway, "/quiet/mcp", "").head.contains("resource_metadata"));
    // It is exchanged with its server. Two cannot say theirs at one path.
    let late = of("late", "https://other.example/notion/mcp");
    scene.write("gateway.toml", &scene.file(&[&notion, &late]));
    let why = "the metadata of late and notion would be at one path";
    until(why, || gateway.log().contains(why));
    assert_eq!(read("/behind/a/proxy").status, 200);
    let late = of("late", "https://other.example/late/mcp");
    scene.write("gateway.toml", &scene.file(&[&notion, &late]));
    until("it is there", || read("/late/mcp").status == 200);
    assert_eq!([read("/github/mcp"), read("/behind/a/proxy")].map(|it| it.status), [404, 404]);
    assert!(gateway.ends());
}

#[test]
fn metrics_of_several_servers_have_a_listener_of_their_own() {
    let scene = Scene::set();
    let (notion, github) = (upstream("notion"), upstream("github"));
    let servers = [server("notion", &notion, ""), server("github", &github, "")];
    let servers = servers.each_ref().map(String::as_str);
    let file = format!("admin-listen = \"127.0.0.1:0\"\n{}", scene.file(&servers));
    scene.write("gateway.toml", &file);
    let gateway = Serving::start(scene.command("gateway --config gateway.toml"));
    until("both addresses are said", || gateway.said().contains("/hardtack/revocations"));
    let said = gateway.said();
    let admin = said.lines().find(|line| line.contains("/metrics")).unwrap();
    let admin = admin.split("http://").nth(1).unwrap().trim_end_matches("/metrics");
    let of_notion = authorized(&scene.bearer("notion.mcp"));
    assert_eq!(call(&gateway, "/notion/mcp", &of_notion).status, 200);

    let ask_admin = |path: &str| {
        let mut all = String::new();
        send_to(admin, "GET", path, "", "").read_to_string(&mut all).unwrap();
        all
    };
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert!(ask_admin(path).starts_with("HTTP/1.1 200"), "{path}");
    }
    let counted = ask_admin("/metrics");
    for line in [
        "hardtack_requests_total{server=\"notion\",method=\"tools/call\",status=\"200\"} 1",
        "hardtack_policy_info{server=\"github\",set=\"live\"",
        "hardtack_servers 2",
    ] {
        assert!(counted.contains(line), "{line}: {counted}");
    }
    for path in ["/notion/mcp", "/github/mcp", "/hardtack/revocations", "/"] {
        assert_eq!(answered(send_to(admin, "POST", path, &of_notion, "{}")).status, 404, "{path}");
    }
    let elsewhere = ask(&gateway, "GET", "/metrics", "", "");
    assert_eq!((elsewhere.status, elsewhere.body.as_str()), (404, r#"{"error":"not_found"}"#));
    assert_eq!(ask(&gateway, "GET", "/readyz", "", "").status, 200);
    let moved = file.replace("admin-listen = \"127.0.0.1:0\"", "");
    scene.write("gateway.toml", &moved);
    until("it is said", || gateway.log().contains("admin-listen cannot change while"));
    assert!(gateway.ends());
}

#[test]
fn a_credential_of_one_of_several_is_rotated_for_it_alone_until_it_is_taken_away() {
    let scene = Scene::set();
    let url = echo();
    scene.write("notion.key", "first of notion");
    scene.write("github.key", "first of github");
    let of = |name: &str, more: &str| {
        server(name, &url, &format!("upstream-header = [\"X-API-Key=@{name}.key\"]\n{more}"))
    };
    let (notion, github) = (of("notion", ""), of("github", ""));
    let gateway = scene.start(&[&notion, &github]);
    let [of_notion, of_github] =
        ["notion", "github"].map(|name| authorized(&scene.bearer(&format!("{name}.mcp"))));
    let sent = |name: &str, value: &str| {
        let headers = if name == "notion" { &of_notion } else { &of_github };
        let answered = call(&gateway, &format!("/{name}/mcp"), headers);
        answered.body.contains(&format!("x-api-key: {value}"))
    };
    assert!(sent("notion", "first of notion") && sent("github", "first of github"));
    scene.write("notion.key", "second of notion");
    until("it is exchanged", || sent("notion", "second of notion"));
    assert!(sent("github", "first of github"));
    scene.write("github.key", "a\nb");
    until("it is said", || gateway.log().contains("has a line break within it"));
    assert!(sent("github", "first of github"));
    let log = gateway.log();
    for (said, name) in
        [("a credential is exchanged", "notion"), ("a credential is not taken", "github")]
    {
        let line = log.lines().find(|line| line.contains(said)).unwrap();
        assert!(line.contains(&format!("hardtack.server=\"{name}\"")), "{line}");
    }
    for secret in ["first of", "second of"] {
        assert!(!log.contains(secret), "{log}");
    }
    // One that is changed reads its file now, and looks at it from then on; one that is gone does not.
    scene.write("github.key", "second of github");
    until("it is exchanged", || sent("github", "second of github"));
    let changed = of("notion", "refusals = \"challenge\"");
    scene.write("gateway.toml", &scene.file(&[&changed]));
    until("one is gone", || call(&gateway, "/github/mcp", &of_github).status == 404);
    scene.write("github.key", "a\nb");
    scene.write("notion.key", "third of notion");
    until("it is exchanged", || sent("notion", "third of notion"));
    gateway.signal("-HUP");
    until("all is read again", || gateway.log().contains("a credential is as before"));
    assert_eq!(gateway.log().matches("a credential is not taken").count(), 1, "{}", gateway.log());
    assert!(gateway.ends());
}
