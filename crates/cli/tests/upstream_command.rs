//! `hardtack gateway --upstream-command`: a server that is a program, and how it ends with the gateway.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hardtack_testkit::command::{PATIENCE, Shell, is_alive};
use serde_json::{Value, json};

const AUDIENCE: &str = "files.mcp";

/// A server in a few lines, which knows that its requests are numbered. What it starts outlives its standard input, and hears no
/// SIGTERM.
const SERVER: &str = r#"
sh -c 'trap "" TERM; while :; do sleep 1; done' &
left=$!
number=0
while read -r line; do
    case "$line" in
    *'"notifications/'*) ;;
    *)
        number=$((number + 1))
        text="$$ $left $* ${NAMED-unset} ${SECRET-unset} $PWD"
        echo "{\"jsonrpc\":\"2.0\",\"id\":$number,\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"serverInfo\":{\"name\":\"sh\",\"version\":\"1\"},\"content\":[{\"type\":\"text\",\"text\":\"$text\"}]}}"
        ;;
    esac
done
"#;

/// A folder with a server, a store and a bearer.
fn shell() -> (Shell, String) {
    let shell = Shell::new(env!("CARGO_BIN_EXE_hardtack"));
    shell.write("server.sh", SERVER);
    for key in ["root", "agent"] {
        let public = shell.ok(&["keygen", "--out", &format!("{key}.key")], "");
        shell.write(&format!("{key}.pub"), &public);
    }
    let grant = "mint --key root.key --subject user:alice --scope tools:* --holder @agent.pub";
    let grant = shell.ok(grant, "");
    let bearer = shell.ok(&["present", "--key", "agent.key", "--audience", AUDIENCE], &grant);
    shell.ok("store create s.store", "");
    (shell, bearer.trim().to_owned())
}

struct Gateway {
    process: Child,
    url: String,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const COMMON: [&str; 9] = [
    "gateway",
    "--listen",
    "127.0.0.1:0",
    "--audience",
    AUDIENCE,
    "--root",
    "@root.pub",
    "--store",
    "s.store",
];

impl Gateway {
    fn start(shell: &Shell, more: &[&str], set: impl FnOnce(&mut Command)) -> Gateway {
        let mut words = COMMON.to_vec();
        words.extend(more);
        let mut command = shell.command(&words);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        set(&mut command);
        let mut process = command.spawn().unwrap();
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(process.stdout.take().unwrap()));
        let first = lines.next().unwrap().unwrap();
        let url = first.split_whitespace().last().unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Gateway { process, url }
    }

    /// The words that the server says of itself, in a session of its own.
    fn words(&self, bearer: &str) -> Vec<String> {
        let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
        let (session, _) = self.post(bearer, None, &initialize);
        let call =
            json!({"jsonrpc": "2.0", "id": "x", "method": "tools/call", "params": {"name": "any"}});
        let (_, answer) = self.post(bearer, session.as_deref(), &call);
        assert_eq!(answer["id"], "x", "{answer}");
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        text.split(' ').map(str::to_owned).collect()
    }

    fn post(
        &self,
        bearer: &str,
        session: Option<&str>,
        message: &Value,
    ) -> (Option<String>, Value) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE);
            let request = client.build().unwrap().post(&self.url).bearer_auth(bearer);
            let request = request
                .header("content-type", "application/json")
                .header("accept", "application/json, text/event-stream");
            let request = match session {
                Some(session) => request.header("mcp-session-id", session),
                None => request,
            };
            let response = request.body(message.to_string()).send().await.unwrap();
            let session = response.headers().get("mcp-session-id");
            let session = session.map(|session| session.to_str().unwrap().to_owned());
            (session, response.json().await.unwrap())
        })
    }
}

#[allow(clippy::disallowed_methods, reason = "how long an end takes")]
fn ends(processes: &[String], within: Duration) {
    let began = Instant::now();
    while let Some(alive) = processes.iter().find(|process| is_alive(process)) {
        assert!(began.elapsed() < within, "{alive} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn all_processes_of_a_server_end_with_a_gateway_that_is_killed() {
    let (shell, bearer) = shell();
    for signal in ["KILL", "TERM"] {
        let mut gateway =
            Gateway::start(&shell, &["--upstream-command", "sh server.sh 'one word'"], |_| {});
        let (one, two) = (gateway.words(&bearer), gateway.words(&bearer));
        let processes = [&one[0], &one[1], &two[0], &two[1]].map(String::clone);
        assert!(one[0] != two[0] && processes.iter().all(|process| is_alive(process)));
        assert_eq!(
            (one[2].as_str(), one[3].as_str()),
            ("one", "word"),
            "a shell's quotes are read"
        );
        let id = gateway.process.id().to_string();
        assert!(
            Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success()
        );
        gateway.process.wait().unwrap();
        ends(&processes, Duration::from_secs(15));
    }
}

#[test]
fn the_server_has_what_is_named_of_the_environment_and_nothing_else() {
    let (shell, bearer) = shell();
    std::fs::create_dir(shell.path().join("folder")).unwrap();
    shell.write("named", "from-a-file\n");
    let server = format!("sh {}", shell.path().join("server.sh").display());
    let more = [
        "--upstream-command",
        &server,
        "--upstream-env",
        "NAMED=@named",
        "--upstream-folder",
        "folder",
    ];
    let gateway = Gateway::start(&shell, &more, |command| {
        command.env("SECRET", "of-the-gateway");
    });
    let words = gateway.words(&bearer);
    assert_eq!(words[3..5], ["from-a-file", "unset"], "{words:?}");
    assert!(words[5].ends_with("/folder"), "{words:?}");
    drop(gateway);
    shell.write(
        "gateway.toml",
        "upstream-command = [\"sh\", \"server.sh\", \"two words\"]\nupstream-env = [\"SECRET\"]\n",
    );
    let gateway = Gateway::start(&shell, &["--config", "gateway.toml"], |command| {
        command.env("SECRET", "of-the-gateway");
    });
    let words = gateway.words(&bearer);
    assert_eq!(words[2..6], ["two", "words", "unset", "of-the-gateway"], "{words:?}");
}

#[test]
fn what_is_wrong_with_a_program_is_said() {
    let (shell, _) = shell();
    let program = ["--upstream-command", "sh server.sh"];
    for (more, expected) in [
        (vec!["--upstream-command", "sh 'server.sh"], "a quote has no end"),
        (vec!["--upstream-command", "sh server.sh #1"], "begins with #"),
        (vec!["--upstream-command", "''"], "it names no program"),
        (
            vec!["--upstream-env", "HOME", "--upstream", "http://127.0.0.1:1/"],
            "it is for a program",
        ),
        (
            [&program[..], &["--upstream", "http://127.0.0.1:1/"]].concat(),
            "give either it or upstream",
        ),
        ([&program[..], &["--upstream-env", "A=secret-value"]].concat(), "NAME=@FILE"),
        (
            [&program[..], &["--upstream-env", "NOT_SET_AT_ALL"]].concat(),
            "NOT_SET_AT_ALL is not set",
        ),
        ([&program[..], &["--upstream-env", "1A"]].concat(), "begins with no digit"),
        ([&program[..], &["--upstream-env", "A=@missing"]].concat(), "missing"),
        ([&program[..], &["--upstream-folder", "missing"]].concat(), "is no folder"),
        ([&program[..], &["--upstream-idle", "0s"]].concat(), "idle for a moment"),
        ([&program[..], &["--upstream-authorization-env", "A_B"]].concat(), "takes no headers"),
        (vec![], "upstream is missing"),
    ] {
        let words = [&COMMON[..], &more].concat();
        let said = shell.fails(&words, "");
        assert!(said.replace('\n', " ").contains(expected), "{more:?}: {said}");
        assert!(!said.contains("secret-value"), "{said}");
    }
}
