//! Several servers behind one gateway, driven as a process: who gets which answer, and what a new file changes.

mod beside;
mod restarting;
mod scene;

use std::fs;

use hardtack_testkit::command::{Serving, until};
use hardtack_testkit::repository;

use crate::scene::*;

#[test]
fn each_server_answers_at_its_own_path_to_its_own_tokens_and_knows_no_session_of_another() {
    let scene = Scene::set();
    let (notion, github) = (upstream("notion"), upstream("github"));
    let gateway = scene.start(&[
        &server("notion", &notion, ""),
        &server("github", &github, "refusals = \"challenge\""),
    ]);
    let [of_notion, of_github] =
        ["notion.mcp", "github.mcp"].map(|audience| authorized(&scene.bearer(audience)));
    let answered = call(&gateway, "/notion/mcp", &of_notion);
    assert!(answered.status == 200 && answered.body.contains("by notion"), "{}", answered.body);
    let session = answered.session();
    let answered = call(&gateway, "/github/mcp", &of_github);
    assert!(answered.status == 200 && answered.body.contains("by github"), "{}", answered.body);

    assert_eq!(call(&gateway, "/github/mcp", &of_notion).status, 401);
    assert_eq!(call(&gateway, "/notion/mcp", &of_github).status, 401);
    let within = |headers: &str| format!("{headers}Mcp-Session-Id: {session}\r\n");
    assert_eq!(call(&gateway, "/notion/mcp", &within(&of_notion)).status, 200);
    assert_eq!(call(&gateway, "/github/mcp", &within(&of_github)).status, 404);

    let unknown = call(&gateway, "/", &of_notion);
    assert_eq!((unknown.status, unknown.body.as_str()), (404, r#"{"error":"not_found"}"#));
    for path in [
        "/mcp",
        "/notion",
        "/notion/",
        "/notion/mcp/",
        "/notion/mcp//",
        "//notion/mcp",
        "/notion//mcp",
        "/Notion/mcp",
        "/notion/MCP",
        "/notion/mcp/../mcp",
        "/notion/mcp/../../github/mcp",
        "/x/../notion/mcp",
        "/notion/./mcp",
        "/notion%2fmcp",
        "/notion%2Fmcp",
        "/notion/%6dcp",
        "/notion/mcp%00",
        "/notion/mcp;a",
        "/hardtack",
        "/hardtack/revocations/",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/notion/mcp",
    ] {
        let answered = call(&gateway, path, &of_notion);
        assert_eq!((answered.status, &answered.body), (404, &unknown.body), "{path}");
    }
    // A query is no path.
    assert_eq!(call(&gateway, "/notion/mcp?x=/github/mcp", &of_github).status, 401);

    let counted = metrics(&gateway);
    for line in [
        "hardtack_requests_total{server=\"notion\",method=\"tools/call\",status=\"200\"} 2",
        "hardtack_requests_total{server=\"github\",method=\"tools/call\",status=\"200\"} 1",
        "hardtack_policy_info{server=\"github\",set=\"live\"",
        "hardtack_servers 2",
    ] {
        assert!(counted.contains(line), "{line}: {counted}");
    }
    for name in ["requests", "decisions", "policy", "streams"] {
        let described = format!("# TYPE hardtack_{name} ");
        assert_eq!(counted.matches(&described).count(), 1, "{name}: {counted}");
    }
    assert!(counted.trim_end().ends_with("# EOF"), "{counted}");
    let forbidden = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"pay"}}"#;
    assert_eq!(ask(&gateway, "POST", "/github/mcp", &of_github, forbidden).status, 403);
    until("the log names the server", || gateway.log().contains("hardtack.server=\"github\""));
    assert!(gateway.ends());
}

#[test]
fn one_revocation_stops_an_agent_at_all_servers() {
    let scene = Scene::set();
    let (notion, github) = (upstream("notion"), upstream("github"));
    let gateway = scene.start(&[&server("notion", &notion, ""), &server("github", &github, "")]);
    let [of_notion, of_github] =
        ["notion.mcp", "github.mcp"].map(|audience| authorized(&scene.bearer(audience)));
    assert_eq!(call(&gateway, "/notion/mcp", &of_notion).status, 200);
    assert_eq!(call(&gateway, "/github/mcp", &of_github).status, 200);
    let inspected = scene.ok("inspect --json", &scene.read("alice.token"));
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    let id = inspected["grant"]["revocation_id"].as_str().unwrap();
    let asked = format!(
        "revoke --at {} --audience {REVOCATIONS} --key alice.key --capability alice.token --id {id} --reason lost",
        gateway.url
    );
    scene.ok(&asked, "");
    assert_eq!(call(&gateway, "/notion/mcp", &of_notion).status, 401);
    assert_eq!(call(&gateway, "/github/mcp", &of_github).status, 401);
}

#[test]
fn a_new_file_adds_changes_and_takes_away_servers_and_the_streams_of_the_others_go_on() {
    let scene = Scene::set();
    let urls = [upstream("notion"), upstream("github"), upstream("slack")];
    let notion = server("notion", &urls[0], "");
    let github = server("github", &urls[1], "");
    let gateway = scene.start(&[&notion, &github]);
    let [of_notion, of_github, of_slack] =
        ["notion.mcp", "github.mcp", "slack.mcp"].map(|audience| scene.bearer(audience));
    let mut stays = listens(&gateway, "/notion/mcp", &of_notion);
    let goes = listens(&gateway, "/github/mcp", &of_github);
    let session = call(&gateway, "/notion/mcp", &authorized(&of_notion)).session();
    assert_eq!(call(&gateway, "/slack/mcp", &authorized(&of_slack)).status, 404);

    // Nothing is taken of a file with a fault in it.
    let slack = server("slack", &urls[2], "");
    let faults = [
        // The first is as before, and the other one would be put in its place.
        (
            "a name",
            notion.replace("notion.mcp", "other.mcp").replace("/notion/", "/other/"),
            "two servers have the name notion",
        ),
        ("a fault", format!("{slack}nonsense = 1\n"), "there is no setting nonsense"),
        ("a policy", server("slack", &urls[2], "policies = \"nowhere\""), "server slack: policies"),
        (
            "an audience",
            slack.replace("slack.mcp", "notion.mcp"),
            "notion and slack have the audience",
        ),
    ];
    for (what, fault, said) in &faults {
        scene.write("gateway.toml", &scene.file(&[&notion, fault]));
        until(what, || gateway.log().contains(said));
        assert_eq!(call(&gateway, "/github/mcp", &authorized(&of_github)).status, 200);
        assert_eq!(call(&gateway, "/slack/mcp", &authorized(&of_slack)).status, 404);
    }
    let moved = scene.file(&[&notion, &slack]).replace("127.0.0.1:0", "127.0.0.1:1");
    scene.write("gateway.toml", &moved);
    until("it is said", || gateway.log().contains("listen cannot change while the gateway runs"));
    // It is counted after it is said; a file that is read while it is written is one more.
    let refused = || {
        let counted = metrics(&gateway);
        let mut lines = counted.lines();
        let count = lines.find_map(|line| {
            line.strip_prefix("hardtack_settings_reloads_total{result=\"refused\"} ")
        });
        count.map_or(0, |count| count.parse::<u32>().unwrap())
    };
    until("it is counted", || refused() >= 5);

    scene.write("gateway.toml", &scene.file(&[&notion, &slack]));
    gateway.signal("-HUP");
    until("one is there", || call(&gateway, "/slack/mcp", &authorized(&of_slack)).status == 200);
    assert_eq!(call(&gateway, "/github/mcp", &authorized(&of_github)).status, 404);
    assert!(ends(goes));
    assert!((0..20).all(|_| tells(&mut stays)));
    let loaded = "hardtack_settings_reloads_total{result=\"loaded\"} 1";
    until("it is counted", || metrics(&gateway).contains(loaded));
    let counted = metrics(&gateway);
    assert!(counted.contains("hardtack_servers 2"), "{counted}");
    assert!(!counted.contains("server=\"github\""), "{counted}");

    // One that is changed keeps its sessions, and loses its streams.
    let changed = server("notion", &urls[0], "refusals = \"challenge\"");
    let other = listens(&gateway, "/slack/mcp", &of_slack);
    scene.write("gateway.toml", &scene.file(&[&changed, &slack]));
    assert!(ends(stays));
    let within = format!("{}Mcp-Session-Id: {session}\r\n", authorized(&of_notion));
    assert_eq!(call(&gateway, "/notion/mcp", &within).status, 200);
    let forbidden = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"pay"}}"#;
    assert_eq!(ask(&gateway, "POST", "/notion/mcp", &within, forbidden).status, 403);
    let mut other = other;
    assert!((0..20).all(|_| tells(&mut other)));
    // Another upstream has other sessions.
    scene.write("gateway.toml", &scene.file(&[&server("notion", &urls[1], ""), &slack]));
    until("it is another", || call(&gateway, "/notion/mcp", &within).status == 404);
}

#[test]
fn roots_and_policies_are_exchanged_for_servers_that_were_added_later_too() {
    let scene = Scene::set();
    let urls = [upstream("notion"), upstream("github")];
    let notion = server("notion", &urls[0], "");
    fs::create_dir(scene.path().join("set")).unwrap();
    scene.write("set/a.datalog", "allow if granted($op);");
    let gateway = scene.start(&[&notion]);
    let github = server("github", &urls[1], "policies = \"set\"");
    scene.write("gateway.toml", &scene.file(&[&notion, &github]));
    let of_github = authorized(&scene.bearer("github.mcp"));
    until("it is there", || call(&gateway, "/github/mcp", &of_github).status == 200);
    let is_refused = || call(&gateway, "/github/mcp", &of_github).body.contains("isError");
    assert!(!is_refused());
    scene.write("set/b.datalog", "deny if operation(\"tools:call:search\");");
    until("the policies are exchanged", is_refused);
    assert!(gateway.log().contains("hardtack.server=\"github\""), "{}", gateway.log());
    let other = scene.ok("keygen --out other.key", "");
    scene.write("root.pub", other.trim());
    until("the root is withdrawn", || call(&gateway, "/github/mcp", &of_github).status == 401);
    // And one that comes after that trusts what is trusted now.
    let late = server("late", &urls[1], "");
    scene.write("gateway.toml", &scene.file(&[&notion, &github, &late]));
    let of_late = authorized(&scene.bearer("late.mcp"));
    until("it is there", || call(&gateway, "/late/mcp", &of_late).status != 404);
    assert_eq!(call(&gateway, "/late/mcp", &of_late).status, 401);
}

#[test]
fn what_servers_cannot_be_together_is_said_at_the_start() {
    let scene = Scene::set();
    let at = "http://127.0.0.1:9/mcp";
    let (notion, github) = (server("notion", at, ""), server("github", at, ""));
    for (what, servers, said) in [
        (
            "names",
            [notion.clone(), github.replace("\"github\"", "\"notion\"")],
            "two servers have the name notion",
        ),
        (
            "paths",
            [notion.clone(), github.replace("/github/mcp", "/Notion/MCP")],
            "paths of github and notion",
        ),
        (
            "within",
            [notion.clone(), github.replace("/github/mcp", "/notion")],
            "lies within the other",
        ),
        (
            "audiences",
            [notion.clone(), github.replace("github.mcp", "notion.mcp")],
            "audience notion.mcp",
        ),
        (
            "revocations",
            [notion.clone(), github.replace("github.mcp", REVOCATIONS)],
            "revocation-audience",
        ),
        (
            "reserved",
            [notion.clone(), github.replace("/github/mcp", "/Hardtack/x")],
            "line 13: server: \"/Hardtack/x\" lies within",
        ),
        (
            "a dot",
            [notion.clone(), github.replace("/github/mcp", "/a/../b")],
            "no path of a server",
        ),
        (
            "a name",
            [notion.clone(), github.replace("\"github\"", "\"Git Hub\"")],
            "no name of a server",
        ),
        ("no name", [notion.clone(), github.replace("name = \"github\"\n", "")], "name"),
        (
            "unknown",
            [notion.clone(), format!("{github}listen = \"127.0.0.1:1\"\n")],
            "there is no setting listen",
        ),
        (
            "no upstream",
            [notion.clone(), github.replace("upstream = ", "#")],
            "server github: upstream is missing",
        ),
        (
            "resources",
            [&notion, &github].map(|server| {
                format!("{server}resource = \"https://tools.example/mcp\"\nauthorization-server = \"https://login.example\"\n")
            }),
            "the metadata of github and notion would be at one path",
        ),
        ("one bracket", [String::new(), github.replace("[[server]]", "[server]")], "two brackets"),
        (
            "a secret",
            [notion.clone(), format!("{github}upstream-timeout = \"ed25519-private/00\"\n")],
            "private key",
        ),
    ] {
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        scene.write("gateway.toml", &scene.file(&servers));
        let error = scene.fails("gateway --config gateway.toml", "");
        assert!(error.contains(said), "{what}: {error}");
    }
    scene.write("gateway.toml", &scene.file(&[&notion]));
    let both = scene.fails("gateway --config gateway.toml --audience a", "");
    assert!(both.contains("audience: it is said of a single server"), "{both}");
    let none = scene.file(&[&notion]).replace("revocation-audience", "#");
    scene.write("gateway.toml", &none);
    let none = scene.fails("gateway --config gateway.toml", "");
    assert!(none.contains("revocation-audience: it is missing"), "{none}");
}

#[test]
fn the_example_of_the_documentation_runs() {
    let page = fs::read_to_string(repository("docs/servers.md")).unwrap();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let scene = Scene::set();
    let policies = repository("policies/mcp-tools").canonicalize().unwrap();
    let example = example
        .replace("127.0.0.1:8080\"\n", "127.0.0.1:0\"\n")
        .replace("http://127.0.0.1:9000/mcp", &upstream("notion"))
        .replace("http://127.0.0.1:9001/mcp", &upstream("github"))
        .replace("policies/mcp-tools", policies.to_str().unwrap());
    scene.write("gateway.toml", &example);
    let gateway = Serving::start(scene.command("gateway --config gateway.toml"));
    let answered = call(&gateway, "/github/mcp", &authorized(&scene.bearer("github.mcp")));
    assert!(answered.body.contains("by github"), "{}", answered.body);
    // The policies of the set want to know more of the caller.
    assert_eq!(call(&gateway, "/notion/mcp", &authorized(&scene.bearer("notion.mcp"))).status, 200);
    assert!(gateway.ends());
}
