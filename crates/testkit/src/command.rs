//! The command, driven from outside: in a scratch folder, with what it is given on standard input, or as a verb that stays up.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use crate::upstream::upstream;

/// Longer than anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A scratch folder in which the command runs.
pub struct Shell {
    hardtack: &'static str,
    folder: tempfile::TempDir,
}

impl Shell {
    /// Takes the path of the command, which only a test of its own package knows: `env!("CARGO_BIN_EXE_hardtack")`.
    pub fn new(hardtack: &'static str) -> Shell {
        Shell { hardtack, folder: tempfile::tempdir().unwrap() }
    }

    /// With a root (`root.key`, `root.pub`), alice who has these scopes of it (`alice.key`, `alice.token`), and `hardtack.store`.
    pub fn with_alice(hardtack: &'static str, scopes: &str) -> Shell {
        let shell = Shell::new(hardtack);
        let root = shell.ok("keygen --out root.key", "");
        shell.write("root.pub", root.trim());
        let mint = format!(
            "mint --key root.key --subject user:alice --scope {scopes} --new-holder alice.key"
        );
        shell.write("alice.token", &shell.ok(&mint, ""));
        shell.ok("store create hardtack.store", "");
        shell
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// The command with these words, in the folder, with pipes.
    pub fn command(&self, words: impl Words) -> Command {
        let mut command = Command::new(self.hardtack);
        command.args(words.words()).current_dir(self.path()).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, words: impl Words, input: &str) -> Output {
        fed(&mut self.command(words), input)
    }

    /// Demands success, and returns what was printed.
    pub fn ok(&self, words: impl Words, input: &str) -> String {
        let words = words.words();
        let output = self.run(words.clone(), input);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Demands code 2 and nothing on standard output, and returns the error.
    pub fn fails(&self, words: impl Words, input: &str) -> String {
        let words = words.words();
        let output = self.run(words.clone(), input);
        let said = (output.status.code(), text(&output.stdout));
        assert_eq!(said, (Some(2), String::new()), "{words:?}: {}", text(&output.stderr));
        text(&output.stderr)
    }
}

/// The words of a command: one by one, or a line, split at spaces but within `'…'`.
pub trait Words {
    fn words(self) -> Vec<String>;
}

impl Words for &str {
    fn words(self) -> Vec<String> {
        let quoted = self.split('\'').enumerate();
        let words = quoted.flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        words.collect()
    }
}

impl Words for &String {
    fn words(self) -> Vec<String> {
        self.as_str().words()
    }
}

impl Words for &[&str] {
    fn words(self) -> Vec<String> {
        self.iter().map(|word| (*word).to_owned()).collect()
    }
}

impl<const N: usize> Words for &[&str; N] {
    fn words(self) -> Vec<String> {
        self.as_slice().words()
    }
}

impl Words for &Vec<&str> {
    fn words(self) -> Vec<String> {
        self.as_slice().words()
    }
}

impl Words for Vec<String> {
    fn words(self) -> Vec<String> {
        self
    }
}

/// Runs a command to its end with this on its standard input.
pub fn fed(command: &mut Command, input: &str) -> Output {
    let mut child = command.spawn().unwrap();
    // A command that fails before it reads leaves a closed pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A verb that stays up, ended with the test, and what it has said and logged.
pub struct Serving {
    pub child: Child,
    pub url: String,
    said: Arc<Mutex<String>>,
    log: Arc<Mutex<String>>,
}

impl Serving {
    /// Starts it, and waits for the line that says where it serves.
    pub fn start(mut command: Command) -> Serving {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let Some(at) = line.find("http://").or_else(|| line.find("https://")) else {
            let mut problem = String::new();
            child.stderr.take().unwrap().read_to_string(&mut problem).unwrap();
            panic!("it does not serve: {line} {problem}");
        };
        let url = line[at..].trim().to_owned();
        let log = heard(BufReader::new(child.stderr.take().unwrap()));
        Serving { child, url, said: heard(said), log }
    }

    /// Its address without the path.
    pub fn base(&self) -> &str {
        self.url.trim_end_matches("/mcp")
    }

    /// What it has said on standard output after the line that says where it serves.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Sends SIGTERM and waits; what it holds is free then. Whether it ended well, and in time.
    pub fn ends(mut self) -> bool {
        self.signal("-TERM");
        let mut ended = None;
        let in_time = holds(|| {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        in_time && ended.is_some_and(|status| status.success())
    }
}

/// What comes there, line by line, until it ends.
fn heard(from: impl BufRead + Send + 'static) -> Arc<Mutex<String>> {
    let all = Arc::<Mutex<String>>::default();
    let ours = Arc::clone(&all);
    std::thread::spawn(move || {
        for line in from.lines().map_while(Result::ok) {
            *ours.lock().unwrap() += &format!("{line}\n");
        }
    });
    all
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks a gateway to call the tool `search` for this bearer; returns the status and the whole answer.
pub fn tool_call(base: &str, bearer: &str) -> (u16, String) {
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{}}}"#;
    exchange(
        base,
        &format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
            bearer.trim(),
            body.len()
        ),
    )
}

/// Asks for a path by GET; returns the status and the whole answer.
pub fn get(base: &str, path: &str) -> (u16, String) {
    exchange(base, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

fn exchange(base: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    (all.split(' ').nth(1).unwrap().parse().unwrap(), all)
}

/// Whether there is a process of this number that is no corpse.
pub fn is_alive(process: &str) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return false };
    !stat.rsplit_once(')').unwrap().1.trim_start().starts_with(['Z', 'X'])
}

/// Waits until it is so, and panics if it does not become so in time.
pub fn until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(holds(is_so), "not in time: {what}");
}

#[allow(clippy::disallowed_methods, reason = "how long it takes, bounded")]
fn holds(mut is_so: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}
