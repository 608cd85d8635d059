//! Where it is placed: in a cluster, behind other names, among files of other systems.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::sync::{Arc, Mutex};

use crate::scene::{Scene, Serving, ask, call, comes_true, finding, get, server, text, within};

#[test]
fn a_probe_is_answered_whatever_it_calls_the_gateway() {
    let scene = Scene::set();
    let gateway = Serving::start(scene.gateway(&finding(), &["--drain", "1s"]), "revocations");
    let at = gateway.address.as_str();
    for host in ["10.1.2.3:8080", "[fd00::1]:8080", "localhost", at] {
        for target in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(get(at, host, target).0, 200, "{host} {target}");
        }
    }
    assert_eq!(get(at, "gateway.cluster.local", "/healthz").0, 200);
    assert_eq!(get(at, "gateway.cluster.local", "/readyz").0, 200);
    // Under a name of its own choice a page reads no metrics, and calls nothing under any.
    assert_eq!(get(at, "page.example", "/metrics").0, 404);
    let foreign = "Host: 10.1.2.3\r\nOrigin: https://page.example\r\n";
    assert_eq!(ask(at, "GET", "/metrics", foreign, "").0, 404);
    for host in ["10.1.2.3:8080", "page.example"] {
        let head = format!(
            "Host: {host}\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\n",
            scene.read("bearer.token")
        );
        let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search"}}"#;
        assert_eq!(ask(at, "POST", "/mcp", &head, body).0, 403, "{host}");
    }
    assert!(gateway.ends());
}

#[test]
fn how_the_gateway_is_has_a_listener_of_its_own() {
    let scene = Scene::set();
    let flags = scene.gateway(&finding(), &["--admin-listen", "127.0.0.1:0", "--drain", "1s"]);
    let mut environment = scene.gateway(&finding(), &["--drain", "1s"]);
    environment.env("HARDTACK_ADMIN_LISTEN", "127.0.0.1:0");
    scene.write("gateway.toml", "admin-listen = \"127.0.0.1:0\"\n");
    let file = scene.gateway(&finding(), &["--config", "gateway.toml", "--drain", "1s"]);
    for command in [flags, environment, file] {
        let gateway = Serving::start(command, "revocations");
        let line = gateway.said.lines().find(|line| line.contains("/metrics")).unwrap();
        let admin = line.split("http://").nth(1).unwrap().trim_end_matches("/metrics");
        for target in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(get(admin, "10.1.2.3:9090", target).0, 200, "{target}");
        }
        assert_eq!(get(admin, "page.example", "/metrics").0, 404);
        let bearer = scene.read("bearer.token");
        assert_eq!(call(admin, &bearer, "search").0, 404, "nothing else is there");
        assert_eq!(get(admin, "localhost", "/hardtack/revocations").0, 404);
        assert_eq!(get(&gateway.address, "localhost", "/metrics").0, 404);
        assert_eq!(get(&gateway.address, "localhost", "/readyz").0, 200);
        assert!(call(&gateway.address, &bearer, "search").1.contains("found"));
        assert!(gateway.ends());
    }
    let said = scene.fails(
        &[
            "gateway",
            "--admin-listen",
            "everywhere",
            "--upstream",
            "http://a",
            "--audience",
            "a",
            "--root",
            "@root.pub",
            "--store",
            "s",
        ],
        "",
    );
    assert!(said.contains("admin-listen: write a numeric address"), "{said}");
}

#[test]
fn a_host_is_named_whole_and_no_setting_is_empty() {
    let scene = Scene::set();
    let fails = |name: &str, value: &str| {
        let mut command = scene.gateway("http://127.0.0.1:9/mcp", &[]);
        command.env(name, value);
        let output = within(command);
        assert_eq!(output.status.code(), Some(2), "{name}={value}");
        text(&output.stderr)
    };
    for pattern in ["*", "*.example", "tools.example,*"] {
        let said = fails("HARDTACK_ALLOW_HOST", pattern);
        assert!(said.contains("allow-host") && said.contains("DNS rebinding"), "{said}");
    }
    for no_host in ["http://a.example", "a b", "a/b", "u@a", "a,,b"] {
        assert!(fails("HARDTACK_ALLOW_HOST", no_host).contains("allow-host"), "{no_host}");
    }
    for name in [
        "ALLOW_HOST",
        "ALLOW_ORIGIN",
        "RESOURCE_SCHEME",
        "AUTHORIZATION_SERVER",
        "ALLOW_PLAIN_HTTP",
        "POLICIES",
        "SHADOW",
        "RESOURCE",
        "ADMIN_LISTEN",
        "DRAIN",
        "UPSTREAM_AUTHORIZATION_FILE",
        "UPSTREAM_AUTHORIZATION_ENV",
        "REVOCATION_AUDIENCE",
        "KEEP_REQUESTS",
        "CONFIG",
    ] {
        fails(&format!("HARDTACK_{name}"), "");
    }
    let agent = [
        "agent",
        "--key",
        "agent.key",
        "--capability",
        "agent.token",
        "--audience",
        "notion.mcp",
        "--to",
        "http://127.0.0.1:9",
    ];
    let with = |option, value| scene.fails(&[&agent[..], &[option, value]].concat(), "");
    assert!(with("--allow-host", "*").contains("DNS rebinding"));
    for no_origin in ["*", "app.example", "https://app.example/", "null"] {
        assert!(with("--allow-origin", no_origin).contains("is no origin"), "{no_origin}");
    }
    // A list is one wherever it stands, with spaces or without.
    scene.write("gateway.toml", "allow-host = \"one.example, two.example\"\n");
    let file = scene.gateway(&finding(), &["--config", "gateway.toml", "--drain", "1s"]);
    let mut environment = scene.gateway(&finding(), &["--drain", "1s"]);
    environment.env("HARDTACK_ALLOW_HOST", "one.example, two.example");
    let flag = ["--allow-host", "one.example,two.example", "--drain", "1s"];
    for command in [file, environment, scene.gateway(&finding(), &flag)] {
        let gateway = Serving::start(command, "revocations");
        for (host, status) in
            [("one.example", 200), ("two.example:80", 200), ("three.example", 404)]
        {
            assert_eq!(get(&gateway.address, host, "/metrics").0, status, "{host}");
        }
        assert!(gateway.ends());
    }
}

#[test]
fn a_key_is_read_from_a_mounted_secret() {
    let scene = Scene::set();
    let key = scene.path().join("root.key");
    let mode = |mode: u32| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o440);
    let said = scene.fails(&["pubkey", "root.key"], "");
    assert!(said.contains("chmod 600") && said.contains("--accept-exposed-key"), "{said}");
    let public = scene.read("root.pub");
    assert_eq!(scene.ok(&["pubkey", "root.key", "--accept-exposed-key"], "").trim(), public);
    mode(0o444);
    assert_eq!(scene.ok(&["--accept-exposed-key", "pubkey", "root.key"], "").trim(), public);
    let mut environment = scene.command(&["pubkey", "root.key"]);
    environment.env("HARDTACK_ACCEPT_EXPOSED_KEY", "true");
    assert_eq!(text(&environment.output().unwrap().stdout).trim(), public);
    // Only root can give a file away.
    if chown(&key, Some(4321), None).is_ok() {
        mode(0o440);
        assert_eq!(scene.ok(&["pubkey", "root.key"], "").trim(), public);
        mode(0o444);
        scene.fails(&["pubkey", "root.key"], "");
        mode(0o460);
        scene.fails(&["pubkey", "root.key"], "");
    }
}

#[test]
fn a_public_key_is_given_as_text_as_pem_or_as_a_file() {
    let scene = Scene::set();
    let pem = scene.ok(&["pubkey", "--pem", "root.key"], "");
    scene.write("pub.pem", &pem);
    scene.write("marked.pub", &format!("\u{feff}{}\r\n", scene.read("root.pub")));
    let (text, pem, bearer) = (scene.read("root.pub"), pem.trim(), scene.read("bearer.token"));
    for root in [text.as_str(), pem, "@root.pub", "@pub.pem", "@marked.pub"] {
        let check = ["--audience", "notion.mcp", "--operation", "tools:call:search"];
        scene.ok(&[&["check", "--root", root], &check[..]].concat(), &bearer);
        scene.ok(&[&["check", &format!("--root={root}")], &check[..]].concat(), &bearer);
        let mint = ["mint", "--key", "root.key", "--subject", "user:a", "--scope", "a:b"];
        let said = scene.fails(&[&mint, &["--holder", root][..]].concat(), "");
        assert!(said.contains("holder may not be the root key itself"), "{said}");
        let revoke = ["revoke", "--store", "hardtack.store", "--reason", "lost"];
        let by_root = ["--subject", "user:zoe", "--root", root];
        scene.ok(&[&revoke, &by_root[..]].concat(), "");
        let mut gateway = scene.command(&[
            "gateway",
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            "http://127.0.0.1:9",
            "--audience",
            "notion.mcp",
            "--store",
            "hardtack.store",
            "--drain",
            "1s",
            "--root",
            root,
        ]);
        gateway.env("RUST_LOG", "off");
        assert!(Serving::start(gateway, "revocations").ends(), "{root}");
    }
    for (root, problem) in [
        ("@missing", "missing"),
        ("@root.key", "private key where a public key belongs"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "no PEM of an ed25519 key"),
        ("--audience", "a value is required"),
    ] {
        let said = scene
            .fails(&["check", "--root", root, "--audience", "a", "--operation", "a:b"], &bearer);
        assert!(said.contains(problem), "{root}: {said}");
    }
}

#[test]
fn a_query_stays_a_query() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let behind = server(move |request| {
        seen.lock().unwrap().push(request.target.clone());
        r#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#.to_owned()
    });
    let scene = Scene::set();
    let bearer = scene.read("bearer.token");
    for (url, target) in [
        (format!("http://{behind}?tenant=acme"), "/mcp?tenant=acme"),
        (format!("http://{behind}/?tenant=acme"), "/?tenant=acme"),
        (format!("http://{behind}"), "/mcp"),
        (format!("http://{behind}/x?a=b/"), "/x?a=b/"),
    ] {
        let gateway = Serving::start(scene.gateway(&url, &["--drain", "1s"]), "revocations");
        call(&gateway.address, &bearer, "search");
        assert_eq!(asked.lock().unwrap().pop().as_deref(), Some(target));
        assert!(gateway.ends());
        let agent = scene.command(&[
            "agent",
            "--key",
            "agent.key",
            "--capability",
            "agent.token",
            "--audience",
            "notion.mcp",
            "--to",
            &url,
            "--listen",
            "127.0.0.1:0",
            "--drain",
            "1s",
        ]);
        let agent = Serving::start(agent, "presents to");
        call(&agent.address, "none", "search");
        assert_eq!(asked.lock().unwrap().pop().as_deref(), Some(target));
        assert!(agent.ends());
    }
    let at = format!("http://{behind}/mcp?tenant=acme");
    let revoke = [
        "revoke",
        "--at",
        &at,
        "--audience",
        "notion.mcp",
        "--key",
        "agent.key",
        "--capability",
        "agent.token",
        "--agent",
        "agent.a",
        "--reason",
        "lost",
    ];
    scene.fails(&revoke, "");
    let target = asked.lock().unwrap().pop();
    assert_eq!(target.as_deref(), Some("/hardtack/revocations?tenant=acme"));
}

#[test]
fn a_hidden_file_is_no_policy_and_is_said_to_be_left_out() {
    let scene = Scene::set();
    fs::create_dir(scene.path().join("set")).unwrap();
    scene.write("set/p.datalog", "allow if granted($op);");
    fs::write(scene.path().join("set/._p.datalog"), b"\0\x05\x16\x07\xff").unwrap();
    scene.write("set/.old.datalog", "deny if true;");
    let check = [
        "check",
        "--root",
        "@root.pub",
        "--audience",
        "notion.mcp",
        "--operation",
        "tools:call:search",
        "--policies",
        "set",
    ];
    let output = scene.run(&check, &scene.read("bearer.token"));
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("left out"), "{said}");
    assert!(said.contains(".old.datalog") || said.contains("._p.datalog"), "{said}");
    let output = scene.run(&["policy", "lint", "set"], "");
    assert!(text(&output.stderr).contains("left out"), "{}", text(&output.stderr));
    let gateway = scene.gateway(&finding(), &["--policies", "set", "--drain", "1s"]);
    let gateway = Serving::start(gateway, "revocations");
    assert!(call(&gateway.address, &scene.read("bearer.token"), "search").1.contains("found"));
    scene.write("set/p.datalog", "deny if true;\nallow if granted($op);");
    let bearer = scene.read("bearer.token");
    assert!(comes_true(|| !call(&gateway.address, &bearer, "search").1.contains("found")));
    assert!(gateway.ends());
}

#[test]
fn a_byte_order_mark_is_no_part_of_what_it_stands_before() {
    let scene = Scene::set();
    let mark = |name: &str, marked: &str| {
        let text = scene.read(name);
        scene.write(marked, &format!("\u{feff}{text}\r\n"));
    };
    mark("root.key", "marked.key");
    mark("agent.token", "marked.token");
    let key = scene.path().join("marked.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(scene.ok(&["pubkey", "marked.key"], "").trim(), scene.read("root.pub"));
    let token = fs::read_to_string(scene.path().join("marked.token")).unwrap();
    let present = ["present", "--key", "agent.key", "--audience", "notion.mcp"];
    scene.ok(&present, &token);
    // A credential is sent without it.
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let behind = server(move |request| {
        seen.lock().unwrap().push(request.head.clone());
        r#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#.to_owned()
    });
    scene.write("credential", "\u{feff}Bearer abc\r\n");
    let url = format!("http://{behind}/mcp");
    let more = ["--upstream-authorization-file", "credential", "--drain", "1s"];
    let gateway = Serving::start(scene.gateway(&url, &more), "revocations");
    call(&gateway.address, &scene.read("bearer.token"), "search");
    let head = heads.lock().unwrap().pop().unwrap().to_lowercase();
    assert!(head.contains("authorization: bearer abc\r\n"), "{head:?}");
    assert!(gateway.ends());
    let agent = scene.command(&[
        "agent",
        "--key",
        "agent.key",
        "--capability",
        "marked.token",
        "--audience",
        "notion.mcp",
        "--to",
        &url,
        "--listen",
        "127.0.0.1:0",
        "--drain",
        "1s",
    ]);
    let agent = Serving::start(agent, "presents to");
    let (status, said) = call(&agent.address, "none", "search");
    assert!(status == 200 && !said.contains("cannot be presented"), "{said}");
    assert!(agent.ends());
    // What PowerShell writes is named.
    let wide: Vec<u8> = "\u{feff}ed25519/".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(scene.path().join("wide.pub"), wide).unwrap();
    let check = ["check", "--root", "@wide.pub", "--audience", "a", "--operation", "a:b"];
    assert!(scene.fails(&check, "").contains("UTF-16"));
}

#[test]
fn a_linked_store_is_said_to_be_one() {
    let scene = Scene::set();
    let revoke = ["revoke", "--store", "hardtack.store", "--agent", "agent.a", "--reason", "lost"];
    scene.ok(&revoke, "");
    symlink("hardtack.store", scene.path().join("link.store")).unwrap();
    for arguments in [&["store", "check", "link.store"][..], &["audit", "--store", "link.store"]] {
        let said = scene.fails(arguments, "");
        assert!(said.contains("link.store is a link to hardtack.store"), "{said}");
        assert!(!said.contains("recover"), "{said}");
    }
}

#[test]
fn a_token_without_a_key_id_is_said_to_have_none() {
    let scene = Scene::set();
    let root = format!("2={}", scene.read("root.pub"));
    let check =
        ["check", "--root", &root, "--audience", "notion.mcp", "--operation", "tools:call:search"];
    let output = scene.run(&check, &scene.read("bearer.token"));
    let said = text(&output.stdout);
    assert!(output.status.code() == Some(1) && said.contains("mint --key-id"), "{said}");
    let mut gateway = scene.command(&[
        "gateway",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "http://127.0.0.1:9",
        "--audience",
        "notion.mcp",
        "--store",
        "hardtack.store",
        "--root",
        &root,
    ]);
    gateway.env("RUST_LOG", "off");
    let mut gateway = Serving::start(gateway, "revocations");
    let mut said = gateway.child.stderr.take().unwrap();
    drop(gateway);
    let mut notes = String::new();
    std::io::Read::read_to_string(&mut said, &mut notes).unwrap();
    assert!(notes.contains("mint --key-id"), "{notes}");
}

#[test]
fn a_token_is_shown_from_a_file_and_records_are_listed_since_a_while() {
    let scene = Scene::set();
    let shown = scene.ok(&["inspect", "--json", "grant.token"], "");
    assert_eq!(shown, scene.ok(&["inspect", "--json"], &scene.read("grant.token")));
    let said = scene.fails(&["inspect", "root.key"], "");
    assert!(said.contains("root.key: "), "{said}");
    let check = [
        "check",
        "--root",
        "@root.pub",
        "--audience",
        "notion.mcp",
        "--operation",
        "tools:call:search",
        "--store",
        "hardtack.store",
    ];
    scene.ok(&check, &scene.read("bearer.token"));
    let listed = |option: &str, moment: &str| {
        !scene.ok(&["audit", "--store", "hardtack.store", option, moment], "").is_empty()
    };
    for past in ["1h", "2days", "2026-01-01", "2026-01-01T00:00:00Z"] {
        assert!(listed("--since", past) && !listed("--until", past), "{past}");
    }
    assert!(!listed("--since", "9000-01-01") && listed("--until", "9000-01-01"));
    let said = scene.fails(&["audit", "--store", "hardtack.store", "--since", "yesterday"], "");
    assert!(said.contains("2026-11-23") && said.contains("1h"), "{said}");
}
