//! The command, driven from outside: in a scratch folder, with what it is given on standard input, or as a verb that stays up.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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

/// A verb that stays up, ended with the test, and what it has logged.
pub struct Serving {
    pub child: Child,
    pub url: String,
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
        child.stdout = Some(said.into_inner());
        let log = Arc::<Mutex<String>>::default();
        let (theirs, heard) = (Arc::clone(&log), BufReader::new(child.stderr.take().unwrap()));
        std::thread::spawn(move || {
            for line in heard.lines().map_while(Result::ok) {
                *theirs.lock().unwrap() += &format!("{line}\n");
            }
        });
        Serving { child, url, log }
    }

    /// Its address without the path.
    pub fn base(&self) -> &str {
        self.url.trim_end_matches("/mcp")
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

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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

/// An upstream on a thread, and its address: it answers every request with the same result, until the test ends.
pub fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(stream));
        }
    });
    url
}

fn answer(mut stream: std::net::TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        let body =
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"found"}]}}"#;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}
