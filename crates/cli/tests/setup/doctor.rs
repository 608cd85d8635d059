//! `hardtack doctor`: everything that it looks at, right and wrong, with what to do; and no secret in what it says.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use hardtack_testkit::command::{Serving, Shell, text};
use hardtack_testkit::small_disk::on_a_small_disk;
use serde_json::Value;

use crate::HARDTACK;

/// The folder that `hardtack init` makes, with an upstream server that answers.
pub(super) struct Scene(Shell);

impl Deref for Scene {
    type Target = Shell;

    fn deref(&self) -> &Shell {
        &self.0
    }
}

impl Scene {
    pub(super) fn set() -> Scene {
        Scene::before(&answering("405 Method Not Allowed", ""))
    }

    fn before(upstream: &str) -> Scene {
        let scene = Scene(Shell::new(HARDTACK));
        scene.ok(&["init", ".", "--upstream", upstream], "");
        scene.change("127.0.0.1:8080", "127.0.0.1:0");
        scene
    }

    /// Another text in the file of settings.
    pub(super) fn change(&self, from: &str, to: &str) {
        let text = self.read("hardtack.toml");
        assert!(text.contains(from), "{from}");
        self.write("hardtack.toml", &text.replace(from, to));
    }

    pub(super) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path().join(name), Permissions::from_mode(mode)).unwrap();
    }

    /// The exit code, and the findings of each state as `check: says; mend`.
    pub(super) fn seen(&self, line: &str) -> (i32, Vec<(String, String)>) {
        seen(&mut self.command(&format!("doctor --json {line}")))
    }

    /// Demands this one finding, and no other thing that is wrong.
    pub(super) fn found(&self, line: &str, check: &str, says: &[&str]) {
        let (code, all) = self.seen(line);
        let found: Vec<&String> =
            all.iter().filter(|(state, _)| state == "found").map(|(_, says)| says).collect();
        assert_eq!((code, found.len()), (1, 1), "{line} {check}: {all:?}");
        assert!(found[0].starts_with(&format!("{check}: ")), "{found:?}");
        for part in says {
            assert!(found[0].contains(part), "{part}: {found:?}");
        }
    }
}

pub(super) fn seen(doctor: &mut Command) -> (i32, Vec<(String, String)>) {
    let output = hardtack_testkit::command::fed(doctor, "");
    let said = text(&output.stdout);
    let all: Value = serde_json::from_str(&said)
        .unwrap_or_else(|error| panic!("{error}: {said} {}", text(&output.stderr)));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let findings = all["findings"].as_array().unwrap().iter().map(|finding| {
        let [check, says, mend] = ["check", "says", "mend"].map(|key| text(finding, key));
        let state = text(finding, "state");
        assert!(state == "good" || !mend.is_empty(), "{check}: {says}: what is to be done?");
        (state, format!("{check}: {says}; {mend}"))
    });
    let findings: Vec<(String, String)> = findings.collect();
    let count = |which: &str| findings.iter().filter(|(state, _)| state == which).count() as u64;
    assert_eq!(all["found"], count("found"));
    assert_eq!(all["unseen"], count("unseen"));
    (output.status.code().unwrap(), findings)
}

/// A server that answers every request so; its URL.
fn answering(status: &'static str, header: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..read]).to_ascii_lowercase();
            assert!(!request.contains("authorization"), "{request}");
            let answer = format!(
                "HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn a_new_folder_has_nothing_wrong() {
    let scene = Scene::set();
    let (code, all) = scene.seen("");
    assert_eq!(code, 0, "{all:?}");
    let checks = ["settings", "clock", "keys", "store", "root", "audience", "policies", "upstream"];
    for check in checks.iter().chain(&["listen"]) {
        assert!(
            all.iter().any(|(state, says)| state == "good" && says.starts_with(check)),
            "{check}: {all:?}"
        );
    }
    // It is where the folder was made; on another machine, it would not be.
    let note = |(state, says): &(String, String)| {
        state == "note" && says.contains("root.key is the private half")
    };
    assert!(all.iter().any(note), "{all:?}");
    let said = scene.ok("doctor", "");
    assert!(said.contains("nothing was found to be wrong"), "{said}");
}

#[test]
fn it_changes_nothing() {
    let scene = Scene::set();
    let digest = |scene: &Scene| {
        let names = ["hardtack.store", "hardtack.store.journal", "hardtack.store.checkpoint"];
        names.map(|name| fs::read(scene.path().join(name)).unwrap())
    };
    let before = digest(&scene);
    scene.ok("doctor", "");
    assert!(digest(&scene) == before);
}

#[test]
fn a_gateway_that_runs_is_fine_and_said_so() {
    let scene = Scene::set();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    scene.change("127.0.0.1:0", &free.to_string());
    let gateway = Serving::start(scene.command("gateway --config hardtack.toml"));
    let (code, all) = scene.seen("");
    assert_eq!(code, 0, "{all:?}");
    let has = |part: &str| all.iter().any(|(_, says)| says.contains(part));
    assert!(has("a gateway or another process has it open, which is fine"), "{all:?}");
    let is_taken = |(state, says): &(String, String)| {
        state == "note" && says.contains("by the gateway that runs, or by another process")
    };
    assert!(all.iter().any(is_taken), "{all:?}");
    assert!(gateway.ends());
    // Another process at that address is no gateway with this store.
    let other = TcpListener::bind(free).unwrap();
    scene.found("", "listen", &["is taken by another process", "choose another port"]);
    drop(other);
}

#[test]
fn a_store_that_is_missing_damaged_exposed_or_none_is_found() {
    let scene = Scene::set();
    scene.mode("hardtack.store.journal", 0o644);
    scene.found("", "store", &["hardtack.store.journal can be read", "chmod 600"]);
    scene.mode("hardtack.store.journal", 0o600);
    scene.change("\"hardtack.store\"", "\"nowhere.store\"");
    scene.found(
        "",
        "store",
        &["there is no store at nowhere.store", "hardtack store create nowhere.store"],
    );
    scene.change("\"nowhere.store\"", "\"hardtack.toml\"");
    scene.found(
        "",
        "store",
        &["is not a Hardtack store that this version can read", "hardtack --version"],
    );
    scene.change("\"hardtack.toml\"", "\"hardtack.store\"");
    fs::remove_file(scene.path().join("hardtack.store.journal")).unwrap();
    scene.found("", "store", &["journal is missing", "docs/recovery.md"]);
}

#[test]
fn a_full_disk_is_found() {
    let Some(folder) = on_a_small_disk("doctor::a_full_disk_is_found") else { return };
    let scene = Scene::set();
    let store = folder.join("small.store");
    scene.ok(&["store", "create", store.to_str().unwrap()], "");
    scene.change("\"hardtack.store\"", &format!("{:?}", store.to_str().unwrap()));
    scene.found("", "store", &["MiB free", "free some space"]);
}

#[test]
fn policies_that_do_not_load_or_are_risky_are_found() {
    let scene = Scene::set();
    let policies = scene.read("policies/tools.datalog");
    scene.write("policies/tools.datalog", &format!("{policies}\nallow if operation($op"));
    scene.found("", "policies", &["tools.datalog", "hardtack policy lint policies"]);
    scene.write("policies/tools.datalog", &policies.replace("\"drop_database\"", "\"other\""));
    scene.found("", "policies", &["a tool that nobody may call", "hardtack policy test policies"]);
    scene.write("policies/tools.datalog", &format!("{policies}\nunused(1);\n"));
    scene.found("", "policies", &["tools.datalog:", "unused"]);
}

#[test]
fn an_upstream_that_does_not_answer_as_it_should_is_found() {
    let scene = Scene::before("http://127.0.0.1:9/mcp");
    scene.found(
        "",
        "upstream",
        &["http://127.0.0.1:9/mcp does not answer", "start the MCP server"],
    );
    for (status, mend) in [
        ("404 Not Found", "write the whole URL"),
        ("302 Found", "does not follow"),
        ("502 Bad Gateway", "own log"),
    ] {
        Scene::before(&answering(status, "")).found("", "upstream", &[&status[..3], mend]);
    }
    let (code, all) = Scene::before(&answering("401 Unauthorized", "")).seen("");
    assert_eq!(code, 0, "{all:?}");
    let scene = Scene::set();
    let text = scene.read("hardtack.toml");
    let without: String = text
        .lines()
        .filter(|line| !line.starts_with("upstream"))
        .map(|line| format!("{line}\n"))
        .collect();
    scene.write("hardtack.toml", &without);
    scene.found("", "upstream", &["no server is named"]);
    scene
        .write("hardtack.toml", &format!("upstream-command = \"no-such-program-here\"\n{without}"));
    scene.found(
        "",
        "upstream-command",
        &["there is no program no-such-program-here", "install it"],
    );
}

#[test]
fn a_clock_that_differs_is_found() {
    let past = "Date: Sun, 01 Nov 2020 10:00:00 GMT\r\n";
    let scene = Scene::before(&answering("405 No", past));
    scene.found("", "clock", &["ahead of http://127.0.0.1", "NTP"]);
    let future = "Date: Sun, 01 Nov 2099 10:00:00 GMT\r\n";
    let scene = Scene::before(&answering("405 No", future));
    scene.found("", "clock", &["behind http://127.0.0.1", "NTP"]);
}

#[test]
fn settings_that_are_missing_or_wrong_are_found_with_what_to_write() {
    let scene = Scene::set();
    let text = scene.read("hardtack.toml");
    let without = |key: &str| {
        let lines = text.lines().filter(|line| !line.starts_with(key));
        scene.write("hardtack.toml", &lines.map(|line| format!("{line}\n")).collect::<String>());
    };
    without("audience");
    scene.found("", "audience", &["has no name", "audience = \"notion.mcp\""]);
    without("root");
    scene.found("", "root", &["no root key is trusted", "@root.pub"]);
    without("store");
    scene.found("", "store", &["no store is named", "hardtack store create"]);
    without("listen");
    scene.write(
        "hardtack.toml",
        &format!("listen = \"localhost\"\n{}", scene.read("hardtack.toml")),
    );
    scene.found("", "listen", &["\"localhost\" is no address with a port"]);
    without("listen");
    scene.write(
        "hardtack.toml",
        &format!("listen = \"192.0.2.1:0\"\n{}", scene.read("hardtack.toml")),
    );
    scene.found("", "listen", &["this machine has no address 192.0.2.1"]);
    scene.write("hardtack.toml", &format!("drain = \"soon\"\n{text}"));
    scene.found("", "settings", &["drain"]);
    scene.write("hardtack.toml", "adience = \"a\"\n");
    scene.found("", "settings", &["there is no setting adience"]);
    scene.write("hardtack.toml", &text.replace("@root.pub", "@nowhere.pub"));
    scene.found("", "root", &["nowhere.pub"]);
}

#[test]
fn a_token_is_compared_with_the_clock_and_with_the_servers_name() {
    let scene = Scene::set();
    let mint = "mint --key root.key --subject user:a --scope tools:call:* --new-holder a.key";
    let grant = scene.ok(mint, "");
    scene.write("a.token", &grant);
    scene.found("--token a.token", "token", &["no bearer", "hardtack present"]);
    let other = scene.ok("present --key a.key --audience other.mcp", &grant);
    scene.write("other.token", &other);
    scene.found("--token other.token", "token", &["it is for other.mcp, and not for tools.mcp"]);
    scene.write("own.token", &scene.ok("present --key a.key --audience tools.mcp", &grant));
    let (code, all) = scene.seen("--token own.token");
    let is_verified = |(state, says): &(String, String)| {
        state == "good" && says.contains("a trusted root key signed it")
    };
    assert!(code == 0 && all.iter().any(is_verified), "{all:?}");
    // Without settings, nobody knows by which root key.
    let (_, all) = seen(
        scene
            .command("doctor --json --token ../own.token")
            .current_dir(scene.path().join("policies")),
    );
    let is_open = |(state, says): &(String, String)| {
        state == "note" && says.contains("its signature and revocation were not looked at")
    };
    assert!(all.iter().any(is_open), "{all:?}");
    // Another root key made it.
    scene.ok("keygen --out other", "");
    let stranger = "mint --key other --subject user:a --scope tools:call:* --new-holder s.key";
    let strange = scene.ok(stranger, "");
    let strange = scene.ok("present --key s.key --audience tools.mcp", &strange);
    scene.write("strange.token", &strange);
    scene.found(
        "--token strange.token",
        "token",
        &["a server refuses it", "no trusted root key made"],
    );
    let brief = scene.ok("present --key a.key --audience tools.mcp --ttl 1s", &grant);
    scene.write("brief.token", &brief);
    std::thread::sleep(std::time::Duration::from_secs(2));
    scene.found("--token brief.token", "token", &["it expired at", "make a new one"]);
    scene.ok("revoke --store hardtack.store --subject user:a --reason lost", "");
    scene.found(
        "--token own.token",
        "token",
        &["a server refuses it", "is revoked", "a new grant"],
    );
    let (code, all) = scene.seen("--token nowhere");
    assert_eq!(code, 2, "{all:?}");
}

#[test]
fn what_cannot_be_looked_at_ends_with_code_2() {
    let shell = Shell::new(HARDTACK);
    assert!(shell.fails("doctor", "").contains("name the gateway's settings"));
    assert!(shell.fails("doctor --config nowhere.toml", "").contains("no such file"));
    // Another user may read the settings, and neither the store nor the keys.
    let scene = Scene::set();
    scene.mode(".", 0o755);
    let setpriv = |words: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).args(words);
        command.current_dir(scene.path());
        command
    };
    let reachable = setpriv(&[HARDTACK, "--version"]).output();
    if !reachable.is_ok_and(|output| output.status.success()) {
        return;
    }
    let output = setpriv(&[HARDTACK, "doctor", "--json"]).output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("run this as the user who runs the gateway"), "{said}");
    let said = text(&setpriv(&[HARDTACK, "doctor"]).output().unwrap().stdout);
    assert!(!said.contains("nothing was found to be wrong\n"), "{said}");
}

#[test]
fn settings_of_another_folder_are_not_looked_at_from_this_one() {
    let shell = Shell::new(HARDTACK);
    shell.ok("init t1", "");
    let (code, all) = seen(&mut shell.command("doctor --json --config t1/hardtack.toml"));
    let found: Vec<_> = all.iter().filter(|(state, _)| state == "found").collect();
    assert_eq!((code, found.len()), (1, 1), "{all:?}");
    let says = &found[0].1;
    assert!(
        says.starts_with("settings: ")
            && says.ends_with("; go to the folder of the settings: cd t1"),
        "{says}"
    );
    assert!(!says.contains("store create"), "{says}");
}

#[test]
fn the_key_and_the_port_of_a_feed_are_looked_at() {
    let scene = Scene::set();
    scene.ok("keygen --out feed.signing", "");
    let feed = "feed-listen = \"127.0.0.1:0\"\nfeed-signing-key = \"feed.signing\"\nlisten =";
    scene.change("listen =", feed);
    let (code, all) = scene.seen("");
    assert_eq!(code, 0, "{all:?}");
    assert!(all.iter().any(|(_, says)| says.starts_with("feed-listen: 127.0.0.1:0 is free")));
    scene.mode("feed.signing", 0o644);
    scene.found("", "keys", &["feed.signing can be read or changed by others"]);
    scene.mode("feed.signing", 0o600);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    scene.change("feed-listen = \"127.0.0.1:0\"", &format!("feed-listen = {address:?}"));
    scene.found("", "feed-listen", &[&address, "is taken by another process"]);
}

#[test]
fn a_wrong_value_is_said_once_with_its_setting() {
    let scene = Scene::set();
    scene.change("upstream = \"http:", "upstream = \"ftp:");
    let (_, all) = scene.seen("");
    let upstream =
        |says: &str| says.starts_with("upstream: ") && !says.contains("upstream: upstream");
    let found: Vec<_> = all.iter().filter(|(state, _)| state == "found").collect();
    assert!(found.len() == 1 && upstream(&found[0].1), "{all:?}");
    scene.change("upstream = \"ftp:", "upstream = \"http:");
    let (_, all) = scene.seen("--key root.pub");
    let is_named = |(state, says): &(String, String)| {
        state == "note" && says.starts_with("keys: root.pub is a public key")
    };
    assert!(all.iter().any(is_named), "{all:?}");
}

#[test]
fn several_servers_are_each_looked_at() {
    let scene = Scene::set();
    let url = answering("405 No", "");
    let settings = format!(
        "root = [\"@root.pub\"]\nstore = \"hardtack.store\"\nlisten = \"127.0.0.1:0\"\nrevocation-audience = \"gateway/hardtack\"
[[server]]\nname = \"one\"\npath = \"/one\"\naudience = \"one.mcp\"\nupstream = {url:?}\npolicies = \"policies\"
[[server]]\nname = \"two\"\npath = \"/two\"\naudience = \"two.mcp\"\nupstream = \"http://127.0.0.1:9/mcp\"\n"
    );
    scene.write("hardtack.toml", &settings);
    scene.found("", "upstream", &["server two: http://127.0.0.1:9/mcp does not answer"]);
    let (_, all) = scene.seen("");
    assert!(
        all.iter().any(|(_, says)| says.contains("server one: tokens are presented to one.mcp"))
    );
}

#[test]
fn nothing_that_it_says_is_a_secret() {
    let scene = Scene::set();
    let secret = scene.read("root.key").trim().to_owned();
    let seed = secret.rsplit('/').next().unwrap().to_owned();
    scene.write("credential", "Bearer hunter2hunter2hunter2");
    for (from, to) in [
        ("audience = \"tools.mcp\"", format!("audience = {secret:?}")),
        ("listen =", "upstream-authorization-file = \"credential\"\nlisten =".to_owned()),
        ("\"@root.pub\"", format!("{secret:?}")),
        ("store = \"hardtack.store\"", format!("store = {secret:?}")),
        ("store = \"hardtack.store\"", "store = \"root.key\"".to_owned()),
        ("policies = \"policies\"", format!("policies = {secret:?}")),
        ("upstream = \"http://", "upstream = \"http://user:hunter2@".to_owned()),
    ] {
        let settings = scene.read("hardtack.toml");
        scene.change(from, &to);
        for line in ["doctor", "doctor --json"] {
            let output = scene.run(line, "");
            let said = text(&output.stdout) + &text(&output.stderr);
            assert_ne!(output.status.code(), Some(0), "{from}: {said}");
            assert!(!said.contains(&seed) && !said.contains("hunter2"), "{from}: {said}");
        }
        scene.write("hardtack.toml", &settings);
    }
    assert!(Path::new(&scene.path().join("root.key")).exists());
}
