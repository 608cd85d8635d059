//! A full disk, and the command and the gateway on it: agents are stopped by every way in.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use hardtack::{Store, StoreReader};
use hardtack_testkit::command::tool_call;
use hardtack_testkit::small_disk::{fill, on_a_small_disk};
use hardtack_testkit::*;

const HARDTACK: &str = env!("CARGO_BIN_EXE_hardtack");

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Keys and tokens of whoever may revoke, on a disk that is not full.
struct Scene {
    folder: tempfile::TempDir,
    store: PathBuf,
}

impl Scene {
    fn set(store: PathBuf) -> Scene {
        let scene = Scene { folder: tempfile::tempdir().unwrap(), store };
        let root = scene.ok("keygen --out root.key", "");
        scene.write("root.pub", root.trim());
        let grant = scene.ok(
            "mint --key root.key --subject user:alice --scope tools:call:* hardtack:* --new-holder alice.key",
            "",
        );
        scene.write("grant.token", &grant);
        scene.ok("store create STORE", "");
        scene
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// `STORE` and `ROOT` stand for the store's file and the root's key.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(HARDTACK);
        for word in line.split(' ') {
            match word {
                "STORE" => command.arg(&self.store),
                "ROOT" => command.arg(self.read("root.pub")),
                word => command.arg(word),
            };
        }
        command.current_dir(self.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, line: &str, input: &str) -> Output {
        let mut child = self.command(line).spawn().unwrap();
        // A command that fails before it reads leaves a closed pipe.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn ok(&self, line: &str, input: &str) -> String {
        let output = self.run(line, input);
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn gateway(&self) -> Gateway {
        let line = "gateway --listen 127.0.0.1:0 --upstream http://127.0.0.1:9/mcp --audience notion.mcp --root ROOT --store STORE --refusals challenge";
        let mut child = self.command(line).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let Some(at) = line.find("http://") else {
            let mut problem = String::new();
            child.stderr.take().unwrap().read_to_string(&mut problem).unwrap();
            panic!("it does not serve: {line} {problem}");
        };
        let base = line[at..].trim().trim_end_matches("/mcp").to_owned();
        // What it logs is read, so that it does not wait for a reader.
        let mut log = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        child.stdout = Some(said.into_inner());
        Gateway { child, base }
    }

    fn revoke_at(&self, gateway: &Gateway, agent: &str) {
        let base = &gateway.base;
        self.ok(
            &format!("revoke --at {base} --audience notion.mcp/hardtack --key alice.key --capability grant.token --agent {agent} --reason lost"),
            "",
        );
    }

    /// The status of a tool call, as alice.
    fn call(&self, gateway: &Gateway) -> String {
        let bearer =
            self.ok("present --key alice.key --audience notion.mcp", &self.read("grant.token"));
        tool_call(&gateway.base, &bearer).0.to_string()
    }
}

struct Gateway {
    child: Child,
    base: String,
}

impl Gateway {
    fn end(mut self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        self.child.wait().unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fills the disk and the journal until no decision can be recorded any more, also after the store was opened
/// anew; returns how many were. To close a database gives some space back.
fn fill_all(folder: &Path, store: &Path) -> usize {
    let cast = Cast::new();
    let bearer = cast.presented();
    let mut recorded = 0;
    for number in 0..50 {
        fill(&folder.join(format!("filler-{recorded}-{number}")));
        let store = Store::open(store).unwrap();
        let guard = cast.guard(&store);
        let more = (0..100_000)
            .take_while(|_| guard.check(bearer.bearer(), &search(), NOW).is_ok())
            .count();
        if more == 0 {
            return recorded;
        }
        recorded += more;
    }
    panic!("the disk is not full");
}

#[test]
fn on_a_full_disk_agents_are_stopped_by_every_way_in() {
    let Some(folder) = on_a_small_disk("on_a_full_disk_agents_are_stopped_by_every_way_in") else {
        return;
    };
    let path = folder.join("store");
    let scene = Scene::set(path.clone());
    let gateway = scene.gateway();
    scene.revoke_at(&gateway, "agent.first");
    fill(&folder.join("filler"));
    // While it runs.
    scene.revoke_at(&gateway, "agent.running");
    gateway.end("-9");
    let mut recorded = fill_all(&folder, &path);
    assert!(recorded > 100, "the journal holds some: {recorded}");
    // After a crash and a restart, on a disk that is full and a journal that only takes revocations.
    for round in 0..3 {
        recorded += fill_all(&folder, &path);
        let gateway = scene.gateway();
        assert_eq!(scene.call(&gateway), "503", "what cannot be recorded is not decided");
        for number in 0..3 {
            scene.revoke_at(&gateway, &format!("agent.{round}-{number}"));
        }
        assert_eq!(scene.call(&gateway), "503");
        gateway.end(if round == 1 { "-TERM" } else { "-9" });
        scene.ok(&format!("revoke --store STORE --agent agent.own-{round} --reason lost"), "");
    }
    let ids: String = (0..70).map(|number| format!("{number:0128x}\n")).collect();
    scene.ok("revoke --store STORE --ids - --reason lost", &ids);
    let reader = StoreReader::open(&path).unwrap();
    assert_eq!(reader.revocations().unwrap().len(), 84);
    drop(reader);

    for file in fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()) {
        if file.file_name().unwrap().to_string_lossy().starts_with("filler") {
            fs::remove_file(file).unwrap();
        }
    }
    scene.ok("revoke --store STORE --agent agent.last --reason lost", "");
    scene.ok("audit verify --store STORE", "");
    let store = Store::open(&path).unwrap();
    store.ready().unwrap();
    let found = store.reader().verify().unwrap();
    assert_eq!(found.revocations, 85);
    assert!(found.records >= recorded as u64 + 85 + 11, "with the decisions that allowed them");
}

/// What only asks takes nothing of the room that is kept for what stops agents.
#[test]
fn on_a_full_disk_dry_runs_leave_the_room_for_revocations() {
    let Some(folder) = on_a_small_disk("on_a_full_disk_dry_runs_leave_the_room_for_revocations")
    else {
        return;
    };
    let path = folder.join("store");
    let scene = Scene::set(path.clone());
    fill_all(&folder, &path);
    let parts = || {
        let part = |name: &str| fs::read(folder.join(name)).unwrap();
        [part("store"), part("store.journal"), part("store.checkpoint")]
    };
    let before = parts();
    let present = "present --key alice.key --audience notion.mcp";
    let bearer = scene.ok(present, &scene.read("grant.token"));
    for number in 0..3 {
        scene.ok(
            &format!("revoke --store STORE --agent agent.{number} --reason lost --dry-run"),
            "",
        );
        scene.ok("revocations --store STORE", "");
        scene.ok("audit --store STORE", "");
        scene.ok("store check STORE", "");
    }
    assert!(before == parts(), "whoever only looks writes nothing");
    // More than the room would hold, by every way to ask.
    let gateway = scene.gateway();
    let journal = fs::read(folder.join("store.journal")).unwrap();
    let base = gateway.base.clone();
    let ask = |agent: &str| {
        format!(
            "revoke --at {base} --audience notion.mcp/hardtack --key alice.key --capability grant.token --agent {agent} --reason lost --dry-run"
        )
    };
    for number in 0..120 {
        let output = scene.run(&ask(&format!("agent.{number}")), "");
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("503"), "{said}");
    }
    assert!(journal == fs::read(folder.join("store.journal")).unwrap(), "nothing was written");
    scene.revoke_at(&gateway, "agent.stopped");
    gateway.end("-TERM");
    let check = "check --root ROOT --audience notion.mcp --operation hardtack:revoke --store STORE";
    for _ in 0..60 {
        let output = scene.run(check, &bearer);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    }
    for number in 0..20 {
        scene.ok(&format!("revoke --store STORE --agent agent.{number} --reason lost"), "");
    }
    assert_eq!(StoreReader::open(&path).unwrap().revocations().unwrap().len(), 21);
}

/// Two at the same moment: one opens the store, and the other one hears that it is in use.
#[test]
fn of_two_gateways_on_one_store_one_serves() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..8 {
        let path = folder.path().join(format!("store-{round}"));
        let scene = Scene::set(path);
        let line = "gateway --listen 127.0.0.1:0 --upstream http://127.0.0.1:9/mcp --audience notion.mcp --root ROOT --store STORE";
        let mut gateways = [(); 2].map(|()| scene.command(line).spawn().unwrap());
        // The one that serves stays; the other one tries for some seconds and ends.
        let ended = (0..1000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            gateways.iter_mut().position(|gateway| gateway.try_wait().unwrap().is_some())
        });
        let (ended, serving) = match ended {
            Some(0) => (0, 1),
            Some(_) => (1, 0),
            None => panic!("both serve, or neither comes to an end"),
        };
        let mut problem = String::new();
        gateways[ended].stderr.take().unwrap().read_to_string(&mut problem).unwrap();
        assert!(problem.contains("in use"), "{problem}");
        assert_eq!(gateways[ended].wait().unwrap().code(), Some(2));
        assert!(gateways[serving].try_wait().unwrap().is_none(), "it serves");
        gateways[serving].kill().unwrap();
        gateways[serving].wait().unwrap();
        scene.ok("audit verify --store STORE", "");
    }
}

#[test]
fn of_two_commands_that_revoke_at_the_same_moment_both_do() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..8 {
        let scene = Scene::set(folder.path().join(format!("store-{round}")));
        let line = |number| format!("revoke --store STORE --agent agent.{number} --reason lost");
        let both = [1, 2].map(|number| scene.command(&line(number)).spawn().unwrap());
        for one in both {
            let output = one.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        let listed = scene.ok("revocations --store STORE", "");
        assert!(listed.contains("agent.1") && listed.contains("agent.2"), "{listed}");
    }
}
