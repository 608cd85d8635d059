//! Output that cannot be written: full disks, pipes whose reader has gone, and pipes that nobody reads.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::scene::{
    PATIENCE, Scene, Serving, call, comes_true, ended, feed, finding, full, get, server, text,
};

/// Where a log goes that nobody gets to see.
#[derive(Debug, Clone, Copy)]
enum Log {
    FullDisk,
    ReaderGone,
    ReaderAsleep,
}

#[test]
fn a_gateway_whose_log_cannot_be_written_answers_and_takes_new_policies() {
    for log in [Log::FullDisk, Log::ReaderGone, Log::ReaderAsleep] {
        let scene = Scene::set();
        fs::create_dir(scene.path().join("set")).unwrap();
        scene.write("set/p.datalog", "allow if granted($op);");
        let mut command = scene.gateway(&finding(), &["--policies", "set", "--drain", "1s"]);
        if matches!(log, Log::FullDisk) {
            command.stderr(full());
        }
        // Enough of it for the buffers of any pipe.
        command.env("RUST_LOG", "trace");
        let mut gateway = Serving::start(command, "revocations");
        let asleep = gateway.child.stderr.take();
        let asleep = asleep.filter(|_| matches!(log, Log::ReaderAsleep));
        let bearer = scene.read("bearer.token");
        for _ in 0..150 {
            let (status, answer) = call(&gateway.address, &bearer, "delete");
            assert!(status == 200 && answer.contains("tools:call:delete"), "{log:?}: {answer}");
        }
        assert_eq!(get(&gateway.address, "localhost", "/readyz").0, 200, "{log:?}");
        assert!(call(&gateway.address, &bearer, "search").1.contains("found"), "{log:?}");
        // A set that is refused is logged, and the one after it is taken all the same.
        scene.write("set/p.datalog", "no policy;");
        let metric = |line: &str| get(&gateway.address, "localhost", "/metrics").1.contains(line);
        let refused = r#"hardtack_policy_reloads_total{result="refused"} 1"#;
        assert!(comes_true(|| metric(refused)), "{log:?}");
        scene.write(
            "set/p.datalog",
            "deny if operation(\"tools:call:search\");\nallow if granted($op);",
        );
        assert!(comes_true(|| !call(&gateway.address, &bearer, "search").1.contains("found")));
        assert_eq!(get(&gateway.address, "localhost", "/readyz").0, 200, "{log:?}");
        assert!(gateway.ends(), "{log:?}");
        drop(asleep);
    }
}

#[test]
fn what_was_lost_of_the_log_is_counted_in_it() {
    let scene = Scene::set();
    let mut command = scene.gateway(&finding(), &["--log-format", "json", "--drain", "1s"]);
    command.env("RUST_LOG", "trace");
    let mut gateway = Serving::start(command, "revocations");
    let log = gateway.child.stderr.take().unwrap();
    let bearer = scene.read("bearer.token");
    for _ in 0..600 {
        call(&gateway.address, &bearer, "delete");
    }
    let reader = std::thread::spawn(move || {
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        lines.find_map(|line| {
            let line: Value = serde_json::from_str(&line).ok()?;
            line["lost"].as_u64()
        })
    });
    // Its lines have their turn once there is room again.
    assert!(comes_true(|| {
        call(&gateway.address, &bearer, "delete");
        reader.is_finished()
    }));
    assert!(reader.join().unwrap().is_some_and(|lost| lost > 0));
    assert!(gateway.ends());
}

#[test]
fn a_gateway_serves_although_nobody_can_read_where() {
    let scene = Scene::set();
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let root = scene.read("root.pub");
    let mut command = scene.command(&[
        "gateway",
        "--listen",
        &port,
        "--upstream",
        &finding(),
        "--audience",
        "notion.mcp",
        "--root",
        &root,
        "--store",
        "hardtack.store",
        "--drain",
        "1s",
    ]);
    let mut child = command.stdout(full()).stderr(full()).spawn().unwrap();
    let serves = comes_true(|| std::net::TcpStream::connect(&port).is_ok());
    let ready = serves && get(&port, "localhost", "/readyz").0 == 200;
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    let status = ended(&mut child);
    assert!(ready && status.is_some_and(|status| status.success()), "{status:?}");
}

/// A pipe that is full, and its reader, who does not read.
fn asleep() -> (std::io::PipeReader, Stdio) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    // It waits for ever once the pipe is full, and ends with its reader.
    let filling = std::thread::spawn(move || while filler.write_all(&[b'.'; 4096]).is_ok() {});
    std::thread::sleep(Duration::from_millis(300));
    assert!(!filling.is_finished(), "the pipe is full");
    (reader, writer.into())
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long it takes, bounded")]
fn whoever_does_not_read_holds_up_neither_serving_nor_ending() {
    let scene = Scene::set();
    let root = scene.read("root.pub");
    let upstream = finding();
    let free = || {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    for silent in ["stdout", "stderr", "both"] {
        let (behind, before) = (free(), free());
        // A note is said before it serves, and a root key that is trusted for its id alone is worth one.
        let only = format!("1={root}");
        let gateway = [
            &["gateway", "--listen", &behind, "--upstream", &upstream, "--audience", "notion.mcp"]
                [..],
            &["--root", &only, "--store", "hardtack.store", "--drain", "1s"],
        ]
        .concat();
        let to = format!("http://{behind}/mcp");
        let agent = [
            &["agent", "--listen", &before, "--to", &to, "--audience", "notion.mcp"][..],
            &["--key", "agent.key", "--capability", "agent.token", "--drain", "1s"],
        ]
        .concat();
        for (arguments, address) in [(gateway, &behind), (agent, &before)] {
            let mut command = scene.command(&arguments);
            command.env("RUST_LOG", "trace").stdout(Stdio::null()).stderr(Stdio::null());
            let mut readers = Vec::new();
            if silent != "stderr" {
                let (reader, writer) = asleep();
                command.stdout(writer);
                readers.push(reader);
            }
            if silent != "stdout" {
                let (reader, writer) = asleep();
                command.stderr(writer);
                readers.push(reader);
            }
            let mut child = command.spawn().unwrap();
            let serves = comes_true(|| std::net::TcpStream::connect(address).is_ok());
            let began = std::time::Instant::now();
            let pid = child.id().to_string();
            std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
            let status = ended(&mut child);
            let took = began.elapsed();
            assert!(serves, "{arguments:?}, {silent}");
            assert!(status.is_some_and(|status| status.success()), "{silent}: {status:?}");
            // Its drain, and the waits for the last lines.
            assert!(took < Duration::from_secs(8), "{silent}: {took:?}");
            drop(readers);
        }
    }
    // What is wrong from the beginning ends it, too.
    let (reader, writer) = asleep();
    let mut command = scene.command(&["gateway", "--listen", "nowhere"]);
    let mut child = command.stderr(writer).spawn().unwrap();
    assert_eq!(ended(&mut child).and_then(|status| status.code()), Some(2));
    drop(reader);
}

#[test]
fn an_answer_is_the_same_when_its_notes_cannot_be_written() {
    let scene = Scene::set();
    let (root, bearer) = (scene.read("root.pub"), scene.read("bearer.token"));
    let check = |tool: &str, notes: Stdio| {
        let operation = format!("tools:call:{tool}");
        let check =
            ["check", "--root", &root, "--audience", "notion.mcp", "--operation", &operation];
        let mut command = scene.command(&check);
        command.stderr(notes);
        let output = feed(command, &bearer);
        (output.status.code(), text(&output.stdout))
    };
    let revoke = |agent: &str, notes: Stdio| {
        let revoke = ["revoke", "--store", "hardtack.store", "--agent", agent, "--reason", "lost"];
        let mut command = scene.command(&revoke);
        command.stderr(notes);
        feed(command, "").status.code()
    };
    for notes in [full as fn() -> Stdio, gone] {
        let (code, said) = check("search", notes());
        assert!(code == Some(0) && said.contains("allowed"), "{code:?} {said}");
        let (code, said) = check("delete", notes());
        assert!(code == Some(1) && said.contains("denied"), "{code:?} {said}");
    }
    // The first one makes the store, and says so.
    assert_eq!(revoke("agent.a", full()), Some(0));
    assert_eq!(revoke("agent.b", gone()), Some(0));
    let revoked = scene.ok(&["revocations", "--store", "hardtack.store"], "");
    assert!(revoked.contains("agent.a") && revoked.contains("agent.b"), "{revoked}");
    let mut wrong = scene.command(&["inspect"]);
    wrong.stderr(full());
    assert_eq!(feed(wrong, "no token").status.code(), Some(2));
    let mut typo = scene.command(&["inspekt"]);
    typo.stderr(full());
    assert_eq!(feed(typo, "").status.code(), Some(2));
}

/// A pipe whose reader has gone.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn an_answer_that_nobody_reads_is_in_the_exit_code() {
    let scene = Scene::set();
    let (root, bearer) = (scene.read("root.pub"), scene.read("bearer.token"));
    for (tool, code) in [("search", 0), ("delete", 1)] {
        let operation = format!("tools:call:{tool}");
        for more in [&["--json"][..], &[], &["--explain"]] {
            let check =
                ["check", "--root", &root, "--audience", "notion.mcp", "--operation", &operation];
            let mut command = scene.command(&[&check, more].concat());
            command.stdout(gone());
            assert_eq!(feed(command, &bearer).status.code(), Some(code), "{tool} {more:?}");
        }
    }
}

#[test]
fn following_the_log_ends_with_whoever_reads_it() {
    let scene = Scene::set();
    let (root, bearer) = (scene.read("root.pub"), scene.read("bearer.token"));
    let check = [
        "check",
        "--root",
        &root,
        "--audience",
        "notion.mcp",
        "--operation",
        "tools:call:search",
        "--store",
        "hardtack.store",
    ];
    scene.ok(&check, &bearer);
    for more in [&[][..], &["--json"], &["--ocsf"], &["--verdict", "deny"]] {
        let follow = ["audit", "--store", "hardtack.store", "--follow", "--last", "9"];
        let follow = [&follow, more].concat();
        let mut child = scene.command(&follow).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        if !more.contains(&"deny") {
            stdout.read_line(&mut String::new()).unwrap();
            // Until it waits for more.
            std::thread::sleep(Duration::from_millis(300));
        }
        drop(stdout);
        let status = ended(&mut child);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let code = status.and_then(|status| status.code());
        assert_eq!((code, said.as_str()), (Some(141), ""), "{more:?}");
    }
    // What is listed and not followed ends so, too.
    let mut list = scene.command(&["audit", "--store", "hardtack.store"]);
    list.stdout(gone());
    let output = feed(list, "");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(141), String::new()));
}

/// A server that lists one tool on each page, and `next` after the page of a cursor.
fn listing(next: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> String {
    let address = server(move |asked| {
        let Ok(message) = serde_json::from_str::<Value>(&asked.body) else { return String::new() };
        let result = match message["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "pages", "version": "1"}
            }),
            Some("tools/list") => {
                let cursor = message["params"]["cursor"].as_str().unwrap_or_default();
                let tool = json!({"name": "search", "inputSchema": {"type": "object"}});
                let mut page = json!({"tools": [tool], "ttlMs": 60_000});
                if let Some(next) = next(cursor) {
                    page["nextCursor"] = next.into();
                }
                page
            }
            _ => return String::new(),
        };
        json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string()
    });
    format!("http://{address}/mcp")
}

#[test]
fn listing_tools_ends_whatever_the_server_says_follows() {
    let scene = Scene::set();
    let (root, bearer) = (scene.read("root.pub"), scene.read("bearer.token"));
    let can = |url: &str| {
        let mut command =
            scene.command(&["can", "--root", &root, "--audience", "notion.mcp", "--tools", url]);
        command.stdin(fs::File::open(scene.path().join("bearer.token")).unwrap());
        let mut child = command.spawn().unwrap();
        let status = ended(&mut child).expect("it ends");
        let output = child.wait_with_output().unwrap();
        (status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert!(!bearer.is_empty());
    for next in [None, Some(String::new())] {
        let (code, listed, said) = can(&listing(move |_| next.clone()));
        assert!(code == Some(0) && listed.contains("tools:call:search"), "{listed} {said}");
    }
    let (code, _, said) = can(&listing(|_| Some("same".to_owned())));
    assert!(code == Some(2) && said.contains("again and again"), "{said}");
    let (code, _, said) = can(&listing(|cursor| Some(format!("{cursor}a"))));
    assert!(code == Some(2) && (said.contains("pages") || said.contains("within")), "{said}");
    let two = |cursor: &str| (cursor.is_empty()).then(|| "2".to_owned());
    let (code, listed, said) = can(&listing(two));
    assert!(code == Some(0) && listed.matches("tools:call:search").count() == 2, "{said}");
    assert!(PATIENCE > Duration::from_secs(20));
}

#[test]
fn a_key_whose_public_half_was_not_written_is_not_lost() {
    let scene = Scene::set();
    let public = scene.read("root.pub");
    assert_eq!(scene.ok(&["pubkey", "root.key"], "").trim(), public);
    let pem = scene.ok(&["pubkey", "--pem", "root.key"], "");
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----") && pem.ends_with("-----\n"), "{pem}");
    let said = scene.fails(&["keygen", "--out", "root.key"], "");
    assert!(said.contains("hardtack pubkey root.key"), "{said}");
    for stdout in [full as fn() -> Stdio, gone] {
        for pem in [&[][..], &["--pem"]] {
            let _ = fs::remove_file(scene.path().join("new.key"));
            let mut keygen = scene.command(&[&["keygen", "--out", "new.key"], pem].concat());
            keygen.stdout(stdout());
            let output = feed(keygen, "");
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains("hardtack pubkey new.key"), "{said}");
            assert!(scene.ok(&["pubkey", "new.key"], "").starts_with("ed25519/"));
        }
    }
}

#[test]
fn what_is_done_is_said_when_the_answer_cannot_be_written() {
    let scene = Scene::set();
    let fails = |arguments: &[&str], input: &str| {
        let mut command = scene.command(arguments);
        command.stdout(full());
        let output = feed(command, input);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        text(&output.stderr)
    };
    let grant = scene.read("grant.token");
    let said = fails(
        &[
            "mint",
            "--key",
            "root.key",
            "--subject",
            "user:a",
            "--scope",
            "a:b",
            "--new-holder",
            "m.key",
        ],
        "",
    );
    assert!(said.contains("--holder \"$(hardtack pubkey m.key)\""), "{said}");
    let said = fails(
        &[
            "delegate",
            "--key",
            "alice.key",
            "--to",
            "agent.b",
            "--scope",
            "tools:call:search",
            "--reason",
            "errands",
            "--new-holder",
            "d.key",
        ],
        &grant,
    );
    assert!(said.contains("--holder \"$(hardtack pubkey d.key)\""), "{said}");
    for key in ["m.key", "d.key"] {
        assert!(scene.ok(&["pubkey", key], "").starts_with("ed25519/"));
    }
    let said = fails(&["store", "create", "a.store"], "");
    assert!(said.contains("a.store is made"), "{said}");
    let revoke = ["revoke", "--store", "a.store", "--agent", "agent.a", "--reason", "lost"];
    let said = fails(&revoke, "");
    assert!(said.contains("it is revoked"), "{said}");
    assert!(scene.ok(&["revocations", "--store", "a.store"], "").contains("agent.a"));
    let said = fails(&["store", "backup", "a.store", "--to", "b.store"], "");
    assert!(said.contains("the copy is whole, in b.store"), "{said}");
    scene.ok(
        &["store", "restore", "b.store", "--to", "c.store", "--checkpoint", "a.store.checkpoint"],
        "",
    );
    let restore =
        ["store", "restore", "b.store", "--to", "d.store", "--checkpoint", "a.store.checkpoint"];
    let said = fails(&restore, "");
    assert!(said.contains("d.store is made"), "{said}");
    scene.ok(&["store", "check", "d.store"], "");
}

/// A server of two pages, one tool on each, which wants an Authorization.
#[test]
fn policies_are_linted_with_the_tools_of_all_pages_of_a_server_that_is_asked() {
    let scene = Scene::set();
    let address = server(|asked| {
        let Ok(message) = serde_json::from_str::<Value>(&asked.body) else { return String::new() };
        assert!(asked.head.to_lowercase().contains("authorization: bearer of-the-server"));
        let result = match message["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "pages", "version": "1"}
            }),
            Some("tools/list") if message["params"]["cursor"] == "2" => {
                let amount = json!({"properties": {"amount": {"type": "integer"}}});
                json!({"tools": [{"name": "pay", "inputSchema": amount}]})
            }
            Some("tools/list") => {
                let tool = json!({"name": "search", "inputSchema": {"type": "object"}});
                json!({"tools": [tool], "nextCursor": "2"})
            }
            _ => return String::new(),
        };
        json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string()
    });
    let url = format!("http://{address}/mcp");
    let policy = "allow if tool(\"search\"), granted($op);\nallow if tool(\"pay\"), granted($op), arg(\"amount\", \"5\");\ndeny if tool(\"pey\");\n";
    fs::write(scene.path().join("linted.datalog"), policy).unwrap();
    fs::write(scene.path().join("authorization"), "Bearer of-the-server\n").unwrap();
    let lint = ["policy", "lint", "linted.datalog", "--json", "--tools", &url];
    let with = [&lint[..], &["--authorization-file", "authorization"]].concat();
    let mut child = scene.command(&with).spawn().unwrap();
    let status = ended(&mut child).expect("it ends");
    let output = child.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(1), "{}", text(&output.stderr));
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let codes: Vec<&str> = found.iter().map(|finding| finding["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["argument-type", "unknown-tool"], "{found:?}");
    assert_eq!(found[1]["mend"], "write \"pay\"");
}
