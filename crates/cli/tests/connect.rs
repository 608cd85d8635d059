//! What `hardtack connect` prints, read by the parsers of its forms, and started as it stands there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hardtack_testkit::command::{Shell, fed, text};
use serde_json::{Value, json};

/// What a path can hold, and quoting must leave as it is.
const AWKWARD: &str = "it's a \"folder\" \\ $HOME `x` é";

const TO: &str = "http://127.0.0.1:9/mcp";

struct Scene {
    shell: Shell,
    folder: PathBuf,
}

impl Scene {
    fn set() -> Scene {
        let shell = Shell::new(env!("CARGO_BIN_EXE_hardtack"));
        let folder = shell.path().join(AWKWARD);
        fs::create_dir(&folder).unwrap();
        let scene = Scene { shell, folder };
        scene.ok(&["keygen", "--out", "root.key"]);
        let grant =
            ["mint", "--key", "root.key", "--subject", "user:alice", "--scope", "tools:call:*"];
        let token = scene.ok(&[grant.as_slice(), &["--new-holder", "own.key"]].concat());
        fs::write(scene.folder.join("own.token"), token).unwrap();
        scene
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.shell.command(words);
        command.current_dir(&self.folder);
        command
    }

    fn ok(&self, words: &[&str]) -> String {
        let output = fed(&mut self.command(words), "");
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What is printed for a client that starts the command.
    fn connect(&self, client: &str) -> String {
        let words = ["connect", client, "--key", "own.key", "--capability", "own.token"];
        self.ok(&[words.as_slice(), &["--audience", "notion.mcp", "--to", TO]].concat())
    }

    /// What the command that was printed answers, started from elsewhere.
    fn started(&self, command: &str, words: &[String]) -> Value {
        let mut command = Command::new(command);
        command.args(words).current_dir("/").stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = fed(&mut command, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn works(&self, entry: &Value) {
        let words: Vec<String> = serde_json::from_value(entry["args"].clone()).unwrap();
        let own = |name: &str| self.folder.join(name).to_str().unwrap().to_owned();
        assert_eq!(words[..5], ["agent", "--stdio", "--key", &own("own.key"), "--capability"]);
        assert_eq!(
            words[5..],
            [own("own.token"), "--audience=notion.mcp".into(), format!("--to={TO}")]
        );
        let command = entry["command"].as_str().unwrap();
        assert!(Path::new(command).is_absolute());
        let answer = self.started(command, &words);
        // It has read key and capability, and asked the gateway, which is not there.
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(answer["id"] == 1 && said.contains("cannot be reached"), "{answer}");
    }
}

#[test]
fn what_is_pasted_as_json_and_toml_starts_the_agent_whatever_its_paths_are() {
    let scene = Scene::set();
    for (client, member) in [
        ("claude-desktop", "mcpServers"),
        ("cursor", "mcpServers"),
        ("vscode", "servers"),
        ("zed", "context_servers"),
    ] {
        let pasted: Value = serde_json::from_str(&scene.connect(client)).unwrap();
        assert_eq!(pasted.as_object().unwrap().len(), 1);
        scene.works(&pasted[member]["notion-mcp"]);
    }
    let vscode: Value = serde_json::from_str(&scene.connect("vscode")).unwrap();
    assert_eq!(vscode["servers"]["notion-mcp"]["type"], "stdio");
    let codex: Value = toml::from_str(&scene.connect("codex")).unwrap();
    scene.works(&codex["mcp_servers"]["notion-mcp"]);
}

#[test]
fn what_is_typed_into_a_shell_starts_the_agent_whatever_its_paths_are() {
    let scene = Scene::set();
    let typed = scene.connect("claude-code");
    // In the place of Claude Code: each word that it is given, with a line break behind it.
    let script = format!("claude() {{ printf '%s\\n' \"$@\"; }}\n{typed}");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = text(&output.stdout);
    let words: Vec<String> = said.lines().map(str::to_owned).collect();
    assert_eq!(words[..4], ["mcp", "add", "notion-mcp", "--"]);
    scene.works(&json!({"command": words[4], "args": words[5..]}));
}

#[test]
fn a_url_is_pasted_in_the_place_of_a_command() {
    let scene = Scene::set();
    let url = "http://127.0.0.1:8081/mcp";
    let connect = |client: &str| {
        scene.ok(&["connect", client, "--name", "notion", "--url", "http://127.0.0.1:8081"])
    };
    let read = |client: &str| serde_json::from_str::<Value>(&connect(client)).unwrap();
    assert_eq!(read("cursor"), json!({"mcpServers": {"notion": {"url": url}}}));
    assert_eq!(read("vscode"), json!({"servers": {"notion": {"type": "http", "url": url}}}));
    assert_eq!(read("zed"), json!({"context_servers": {"notion": {"url": url}}}));
    let codex: Value = toml::from_str(&connect("codex")).unwrap();
    assert_eq!(codex, json!({"mcp_servers": {"notion": {"url": url}}}));
    assert_eq!(
        connect("claude-code").trim(),
        format!("claude mcp add --transport http notion {url}")
    );
    let listed = scene.ok(&["connect", "--list"]);
    let clients: Vec<&str> = listed.lines().filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(clients.len(), 13, "{listed}");
    for client in &clients[6..] {
        let snippet = connect(client);
        assert!(snippet.starts_with(&format!("# export HARDTACK_URL={url}\n")), "{snippet}");
        assert!(snippet.contains("HARDTACK_"), "{snippet}");
    }
}

#[test]
fn what_cannot_be_connected_is_an_error_that_says_why() {
    let scene = Scene::set();
    for (words, problem) in [
        (
            &["connect", "claude-desktop", "--name", "a", "--url", "http://a.example/mcp"][..],
            "takes commands alone",
        ),
        (&["connect", "cursor", "--name", "a b", "--url", "http://a.example/mcp"], "--name"),
        (
            &["connect", "claude-code", "--name=--scope", "--url", "http://a.example/mcp"],
            "begins with -",
        ),
        (&["connect", "cursor", "--name", "a", "--url", "ftp://a.example"], "http://"),
        (&["connect", "cursor", "--name", "a"], "--key"),
        (&["connect", "emacs"], "emacs"),
        (&["connect"], "CLIENT"),
        (
            &[
                "connect",
                "cursor",
                "--audience",
                "a",
                "--key",
                "none.key",
                "--capability",
                "own.token",
                "--to",
                TO,
            ],
            "none.key is no file",
        ),
        (
            &[
                "connect",
                "mastra",
                "--audience",
                "a",
                "--key",
                "own.key",
                "--capability",
                "own.token",
                "--to",
                TO,
            ],
            "hardtack agent",
        ),
    ] {
        let output = fed(&mut scene.command(words), "");
        let said = (output.status.code(), text(&output.stdout));
        assert_eq!(said, (Some(2), String::new()), "{words:?}");
        assert!(text(&output.stderr).contains(problem), "{words:?}: {}", text(&output.stderr));
    }
    // Whatever is typed is looked at before anything is printed.
    let key = fs::read_to_string(scene.folder.join("own.key")).unwrap();
    for option in ["--audience", "--name", "--key", "--to", "--url"] {
        let typed = [key.trim(), &format!("http://a.example/{}", key.trim())].map(str::to_owned);
        for value in typed {
            let output = fed(&mut scene.command(&["connect", "cursor", option, &value]), "");
            let told = text(&output.stderr);
            assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
            assert!(told.contains(&format!("{option}: this looks like a private key")), "{told}");
            assert!(!told.contains(key.trim()), "{option}");
        }
    }
}
