//! What the command reads and what it shows: pipes and devices, links, and names that would write on a terminal.

#![cfg(unix)]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hardtack_testkit::command::upstream;

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

const HARDTACK: &str = env!("CARGO_BIN_EXE_hardtack");

const ALLOW: &str = "allow if granted($op);\n";

/// A name that would clear a screen, ring, forge a line and turn text around.
const HOSTILE: &str = "a\u{1b}[2J\u{1b}]0;x\u{7}\nerror: forged\u{202e}\u{9b}31m\r";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn fifo(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(HARDTACK);
        command.args(arguments).current_dir(self.0.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        ended(self.command(arguments).spawn().unwrap())
    }

    /// What it says, having failed at once.
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
        text(&output)
    }

    /// A researcher's key and capability, and the root's public key.
    fn chain(&self) -> String {
        let sh = |script: &str| {
            let script = script.replace("hardtack", HARDTACK);
            let mut command = Command::new("bash");
            command.args(["-euc", &script]).current_dir(self.0.path());
            let output = ended(
                command
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap(),
            );
            assert!(output.status.success(), "{}", text(&output));
            String::from_utf8(output.stdout).unwrap()
        };
        sh("hardtack keygen --out root.key > root.pub
            hardtack mint --key root.key --subject user:alice --scope 'tools:call:*' --new-holder alice.key > grant.token
            hardtack delegate --key alice.key --to agent.researcher --scope tools:call:search \
                --reason 'find the page' --new-holder researcher.key < grant.token > researcher.token
            hardtack store create s > made
            cat root.pub")
        .trim()
        .to_owned()
    }
}

/// What a process did, which ends in time.
#[allow(clippy::disallowed_methods, reason = "how long it takes, bounded")]
fn ended(mut child: Child) -> Output {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it does not end: {}", text(&child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Nothing in it moves a cursor, hides or turns around text.
fn assert_prints(shown: &str) {
    let wrong = |c: &char| (c.is_control() && *c != '\n') || ['\u{202e}', '\u{200b}'].contains(c);
    assert_eq!(shown.chars().find(wrong), None, "{shown:?}");
    assert!(!shown.lines().any(|line| line.starts_with("error: forged")), "{shown:?}");
}

/// A verb that stays up; ended with the test.
struct Serving {
    child: Child,
    url: String,
    log: std::sync::mpsc::Receiver<String>,
}

impl Serving {
    fn start(mut command: Command) -> Serving {
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (sender, log) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            errors.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        let at =
            line.find("http://").unwrap_or_else(|| panic!("it does not serve: {:?}", log.recv()));
        child.stdout = Some(said.into_inner());
        Serving { url: line[at..].trim().to_owned(), child, log }
    }

    /// The next line of the log with these words.
    fn logs(&self, words: &str) -> String {
        loop {
            let line =
                self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {words} in the log"));
            assert_prints(&line);
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Sends SIGTERM; says whether it ended well, and how fast.
    #[allow(clippy::disallowed_methods, reason = "how long it takes, bounded")]
    fn ends(mut self) -> (bool, Duration) {
        let began = Instant::now();
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.success(), began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        (false, began.elapsed())
    }

    fn posts(&self, method: &str) -> String {
        let host = self.url.trim_start_matches("http://").trim_end_matches("/mcp");
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{"name":"search"}}}}"#
        );
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gateway<'a>(upstream: &'a str, root: &'a str) -> [&'a str; 9] {
    ["gateway", "--upstream", upstream, "--audience", "a", "--root", root, "--store", "s"]
}

const AGENT: [&str; 9] = [
    "agent",
    "--key",
    "researcher.key",
    "--capability",
    "capability",
    "--audience",
    "notion.mcp",
    "--listen",
    "127.0.0.1:0",
];

#[test]
fn an_agents_end_goes_on_and_ends_although_its_capability_becomes_a_pipe() {
    let (folder, upstream) = (Folder::new(), upstream());
    folder.chain();
    fs::copy(folder.at("researcher.token"), folder.at("capability")).unwrap();
    for more in [&[][..], &["--call-bound"]] {
        let agent =
            Serving::start(folder.command(&[&AGENT[..], &["--to", &upstream], more].concat()));
        assert!(agent.posts("tools/call").contains("found"));
        fs::remove_file(folder.at("capability")).unwrap();
        folder.fifo("capability");
        let called = agent.posts("tools/call");
        match more.is_empty() {
            true => assert!(called.contains("found"), "what is there is used to its end: {called}"),
            false => assert!(called.contains("no regular file"), "{called}"),
        }
        fs::remove_file(folder.at("capability")).unwrap();
        fs::copy(folder.at("researcher.token"), folder.at("capability")).unwrap();
        assert!(agent.posts("tools/call").contains("found"));
        fs::remove_file(folder.at("capability")).unwrap();
        folder.fifo("capability");
        agent.posts("tools/call");
        let (well, took) = agent.ends();
        assert!(well && took < Duration::from_secs(15), "{took:?}");
        fs::remove_file(folder.at("capability")).unwrap();
        fs::copy(folder.at("researcher.token"), folder.at("capability")).unwrap();
    }
}

#[test]
fn verbs_that_stay_up_take_regular_files_alone() {
    let (folder, upstream) = (Folder::new(), upstream());
    let root = folder.chain();
    folder.fifo("capability");
    let agent = |more: &[&str]| folder.fails(&[&AGENT[..], &["--to", &upstream], more].concat());
    assert!(agent(&[]).contains("no regular file"));
    fs::remove_file(folder.at("capability")).unwrap();
    symlink("/dev/zero", folder.at("capability")).unwrap();
    assert!(agent(&[]).contains("no regular file"));
    fs::remove_file(folder.at("capability")).unwrap();
    fs::copy(folder.at("researcher.token"), folder.at("capability")).unwrap();
    fs::remove_file(folder.at("researcher.key")).unwrap();
    folder.fifo("researcher.key");
    assert!(agent(&[]).contains("no regular file"));
    folder.fifo("pipe");
    for device in ["pipe", "/dev/zero", "."] {
        let gateway = gateway(&upstream, &root);
        for option in ["--config", "--upstream-authorization-file"] {
            let said = folder.fails(&[&gateway[..], &[option, device]].concat());
            assert!(said.contains("no regular file"), "{option} {device}: {said}");
        }
    }
    folder.write("large", vec![b'#'; 257 * 1024]);
    assert!(folder.fails(&["gateway", "--config", "large"]).contains("larger than"));
}

#[test]
fn plain_http_to_another_machine_is_allowed_by_name() {
    let folder = Folder::new();
    let root = folder.chain();
    fs::copy(folder.at("researcher.token"), folder.at("capability")).unwrap();
    folder.write("credential", "Bearer secret");
    // Where an address is refused at once, nothing is sent either.
    let to = "http://gateway.invalid/mcp";
    let agent = [&AGENT[..], &["--to", to]].concat();
    assert!(folder.fails(&agent).contains("--allow-plain-http gateway.invalid"));
    let agent = Serving::start(
        folder.command(&[&agent[..], &["--allow-plain-http", "gateway.invalid"]].concat()),
    );
    assert!(agent.posts("ping").contains("cannot be reached"));
    let gateway = [
        "gateway",
        "--upstream",
        to,
        "--audience",
        "a",
        "--root",
        &root,
        "--store",
        "s",
        "--listen",
        "127.0.0.1:0",
    ];
    let with = [&gateway[..], &["--upstream-authorization-file", "credential"]].concat();
    assert!(folder.fails(&with).contains("--allow-plain-http gateway.invalid"));
    drop(Serving::start(folder.command(&gateway)));
    drop(Serving::start(
        folder.command(&[&with[..], &["--allow-plain-http", "gateway.invalid"]].concat()),
    ));
    let id = "00".repeat(64);
    let revoke = [
        "revoke",
        "--at",
        "http://gateway.invalid",
        "--audience",
        "a/hardtack",
        "--key",
        "alice.key",
        "--capability",
        "grant.token",
        "--id",
        &id,
        "--reason",
        "lost",
    ];
    let said = folder.fails(&revoke);
    assert!(
        said.contains("--allow-plain-http gateway.invalid") && said.contains("nothing was sent"),
        "{said}"
    );
    let said = folder.fails(&[&revoke[..], &["--allow-plain-http", "gateway.invalid"]].concat());
    assert!(said.contains("does not answer"), "{said}");
    let can = [
        "can",
        "--root",
        &root,
        "--audience",
        "a",
        "--tools",
        to,
        "--authorization-file",
        "credential",
    ];
    assert!(folder.fails(&can).contains("--allow-plain-http gateway.invalid"));
}

#[test]
fn keys_and_lists_come_through_pipes_to_verbs_that_end() {
    let folder = Folder::new();
    folder.chain();
    let script = format!(
        "{HARDTACK} present --key <(cat researcher.key) --audience a < researcher.token
         {HARDTACK} revoke --store s --reason lost --ids <(printf '%0128d\\n' 1 2)
         {HARDTACK} present --key <(head -c 20000 /dev/zero) --audience a < researcher.token"
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(folder.0.path()).stdin(Stdio::null());
    let shown = text(&ended(bash.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()));
    assert!(shown.contains("revoked: 2 ids"), "{shown}");
    assert!(shown.lines().next().unwrap().len() > 1000, "{shown}");
    assert!(shown.contains("larger than 16384 bytes"), "{shown}");
}

#[test]
fn reloading_goes_on_whatever_lies_among_policies() {
    let (folder, upstream) = (Folder::new(), upstream());
    let root = folder.chain();
    folder.write("set/a.datalog", ALLOW);
    let more = ["--listen", "127.0.0.1:0", "--policies", "set"];
    let gateway = gateway(&upstream, &root);
    let gateway = Serving::start(folder.command(&[&gateway[..], &more].concat()));
    folder.fifo("set/b.datalog");
    assert!(gateway.logs("policies are not taken").contains("no regular file"));
    fs::remove_file(folder.at("set/b.datalog")).unwrap();
    gateway.logs("policies are as before");
    symlink("/dev/zero", folder.at("set/b.datalog")).unwrap();
    assert!(gateway.logs("policies are not taken").contains("link out of"));
    fs::remove_file(folder.at("set/b.datalog")).unwrap();
    gateway.logs("policies are as before");
    folder.fifo("set/cases/b.toml");
    assert!(gateway.logs("policies are not taken").contains("no regular file"));
    fs::remove_file(folder.at("set/cases/b.toml")).unwrap();
    gateway.logs("policies are as before");
    folder.write(Path::new("set").join(format!("{HOSTILE}.datalog")), "deny if");
    gateway.logs("policies are not taken");
    fs::remove_file(folder.at("set").join(format!("{HOSTILE}.datalog"))).unwrap();
    gateway.logs("policies are as before");
    folder.write("set/c.datalog", "deny if depth(9);\n");
    gateway.logs("policies are exchanged");
    let (well, took) = gateway.ends();
    assert!(well && took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn a_link_out_of_a_set_is_said_and_what_it_leads_to_is_not() {
    let folder = Folder::new();
    let secret = folder.write("elsewhere/secret", "ed25519-private/0123\n");
    folder.write("set/a.datalog", ALLOW);
    for (inner, leads_to) in [
        ("b.datalog", secret.clone()),
        ("b.datalog", "../elsewhere/secret".into()),
        ("cases/b.toml", secret),
    ] {
        let path = folder.at("set").join(inner);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(leads_to, &path).unwrap();
        for verb in [["policy", "lint", "set"], ["policy", "test", "set"]] {
            let said = folder.fails(&verb);
            assert!(
                said.contains("link out of the set") && !said.contains("0123"),
                "{verb:?}: {said}"
            );
        }
        fs::remove_file(path).unwrap();
    }
    folder.write("outside/a.datalog", "allow if secret();\n");
    symlink("../outside", folder.at("set/inner")).unwrap();
    fs::create_dir(folder.at("sets")).unwrap();
    symlink("../outside", folder.at("sets/inner")).unwrap();
    for verb in [["policy", "lint", "sets"], ["policy", "test", "sets"]] {
        let said = folder.fails(&verb);
        assert!(said.contains("link out of the set") && !said.contains("secret()"), "{said}");
    }
}

#[test]
fn names_of_files_write_on_no_terminal() {
    let folder = Folder::new();
    let root = folder.chain();
    let broken = OsStr::from_bytes(b"\xff\x1b[2J\xfe.datalog");
    folder.write(Path::new("set").join(format!("{HOSTILE}.datalog")), "allow if true;\n");
    folder.write(Path::new("set").join(broken), "deny if;\n");
    folder.write(
        Path::new("set").join("cases").join(format!("{HOSTILE}.toml")),
        "case = \"\u{1b}[2J\"\n",
    );
    let hostile = Path::new(HOSTILE);
    folder.write(hostile.join("a.datalog"), "deny if depth(3);\n");
    folder.write(
        "config\u{1b}[2J.toml",
        "upstream = \"\u{1b}]0;x\u{7}\"\n\u{1b}[2Jkey\u{202e} = 1\n",
    );
    for arguments in [
        &["policy", "lint", "set"][..],
        &["policy", "test", "set"],
        &["policy", "lint", HOSTILE],
        &["policy", "test", HOSTILE],
        &["policy", "replay", "--policies", HOSTILE, "--records", "/dev/null"],
        &["policy", "lint", &format!("{HOSTILE}nothing")],
        &["policy", "test", "set", HOSTILE],
        &["audit", "--store", HOSTILE],
        &["store", "check", HOSTILE],
        &["revocations", "--store", &format!("{HOSTILE}nothing")],
        &["gateway", "--config", "config\u{1b}[2J.toml"],
        &["mint", "--key", HOSTILE, "--subject", "user:a", "--scope", "a:b"],
        &["check", "--root", &root, "--audience", "a", "--operation", HOSTILE],
        &["agent", "--key", HOSTILE, "--capability", HOSTILE, "--audience", "a", "--to", HOSTILE],
        &[
            "agent",
            "--key",
            "researcher.key",
            "--capability",
            HOSTILE,
            "--audience",
            "a",
            "--to",
            HOSTILE,
        ],
        &[HOSTILE],
    ] {
        let output = folder.run(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(!text(&output).is_empty());
        assert_prints(&text(&output));
    }
    let made = folder.run(&[
        "check",
        "--root",
        &root,
        "--audience",
        "a",
        "--operation",
        "a:b",
        "--store",
        &format!("{HOSTILE}s"),
    ]);
    assert_prints(&text(&made));
    let lint = folder.run(&["policy", "lint", "set", "--json"]);
    assert!(text(&lint).contains("error"), "{}", text(&lint));
    assert_prints(&text(&lint));
}
