//! Command: which credential has this subject of its own, at this server? A command knows, and is asked anew in time.
//!
//! What it says is kept for the subject of a root alone. The subject reaches it by its environment: no shell reads it, and no list of
//! processes shows it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::{Mutex as Turn, Semaphore};
use tokio::time::Instant;

use super::value::checked;
use super::{NoCredential, Person};
use crate::budget::Payer;
use crate::child::USUAL_ENVIRONMENT;
use crate::group;

/// How long what a command says is used, by default: a credential that is withdrawn is gone within minutes.
pub const DEFAULT_KEPT: Duration = Duration::from_secs(300);

/// How long a command may take: callers wait for it.
const MAX_TIME: Duration = Duration::from_secs(10);

/// How long a failure is remembered, so that whoever asks again and again starts no process each time.
const FAILED_FOR: Duration = Duration::from_secs(2);

/// How many run at once, of one server: each is a process, and takes memory that is not counted here.
const MAX_RUNNING: usize = 8;

/// Of how many subjects it is kept what was said. Beyond that, one that nobody uses now makes room.
const MAX_KEPT: usize = 4096;

/// The most that is read of what a command says: more than a header may have, so that what is too long is named as such.
const MAX_OUTPUT_BYTES: u64 = 16 * 1024;

/// A command that says the credential of a subject ([`Credentials::ask`](super::Credentials::ask)).
///
/// It is started without a shell. It reads `HARDTACK_SUBJECT` (the verified subject) and `HARDTACK_SERVER` (the server's name) in its
/// environment, besides [`USUAL_ENVIRONMENT`] of this process's and nothing else of it, and prints the value on one line. If it fails, takes longer than ten seconds or prints something else, the call is
/// not sent.
pub struct CredentialCommand {
    program: OsString,
    arguments: Vec<OsString>,
    server: String,
    kept_for: Duration,
    running: Semaphore,
    kept: Mutex<HashMap<Payer, Arc<Turn<Option<Said>>>>>,
}

/// What was said, until it is asked anew.
struct Said {
    value: Result<HeaderValue, NoCredential>,
    until: Instant,
}

impl CredentialCommand {
    /// Makes the command of a program and its arguments, for the server with this name. What it says is used for `kept_for`.
    pub fn new(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = OsString>,
        server: &str,
        kept_for: Duration,
    ) -> CredentialCommand {
        CredentialCommand {
            program: program.into(),
            arguments: arguments.into_iter().collect(),
            server: server.to_owned(),
            kept_for,
            running: Semaphore::new(MAX_RUNNING),
            kept: Mutex::default(),
        }
    }

    /// This person's own, asked once at a time.
    pub(super) async fn value(
        self: &Arc<CredentialCommand>,
        name: &HeaderName,
        person: Person<'_>,
    ) -> Result<HeaderValue, NoCredential> {
        let own = self.of(person.payer)?;
        let mut said = own.lock_owned().await;
        if let Some(said) = said.as_ref().filter(|said| Instant::now() < said.until) {
            return said.value.clone();
        }
        let (command, name) = (Arc::clone(self), name.clone());
        let subject = person.subject.to_owned();
        // In a task of its own: whoever hangs up and asks again waits for the process that runs, and starts no other one.
        let asking = tokio::spawn(async move {
            let value = command.ask(&name, &subject).await;
            let kept_for = if value.is_ok() { command.kept_for } else { FAILED_FOR };
            *said = Some(Said { value: value.clone(), until: Instant::now() + kept_for });
            value
        });
        asking.await.unwrap_or(Err(NoCredential))
    }

    /// Where it is kept for this subject of a root.
    fn of(&self, payer: Payer) -> Result<Arc<Turn<Option<Said>>>, NoCredential> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = kept.get(&payer) {
            return Ok(Arc::clone(own));
        }
        if kept.len() >= MAX_KEPT {
            let idle = kept.iter().find(|(_, own)| Arc::strong_count(own) == 1);
            let Some(idle) = idle.map(|(payer, _)| *payer) else {
                tracing::warn!("too many subjects ask for their credentials at once");
                return Err(NoCredential);
            };
            kept.remove(&idle);
        }
        Ok(Arc::clone(kept.entry(payer).or_default()))
    }

    async fn ask(&self, name: &HeaderName, subject: &str) -> Result<HeaderValue, NoCredential> {
        let asked = async {
            let _turn = self.running.acquire().await.map_err(|_| "it was ended".to_owned())?;
            tokio::time::timeout(MAX_TIME, self.run(subject))
                .await
                .map_err(|_| "it takes longer than 10 s, and was killed".to_owned())?
        };
        // Others may have all turns for long.
        let said = tokio::time::timeout(2 * MAX_TIME, asked).await;
        let said = said.unwrap_or_else(|_| Err("too many others are asked at once".to_owned()));
        let value = said.and_then(|text| checked(name, &text).map_err(|error| error.to_string()));
        value.map_err(|problem| {
            tracing::error!(
                header = %name, server = self.server, problem,
                "the command for a credential failed; the call is not sent"
            );
            NoCredential
        })
    }

    /// One that is given up is ended with all that it started.
    async fn run(&self, subject: &str) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command.env_clear();
        command.envs(
            USUAL_ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        command.args(&self.arguments).env("HARDTACK_SUBJECT", subject);
        command.env("HARDTACK_SERVER", &self.server).kill_on_drop(true);
        // What it says besides could be a secret, and belongs in no log.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        // What it starts ends with it.
        let started = group::of_its_own(&mut command).and_then(|()| command.spawn());
        let mut child = started.map_err(|error| format!("it cannot be started: {error}"))?;
        let group = Group(child.id());
        let output = child.stdout.take().ok_or("it has no output")?;
        let mut said = Vec::new();
        let read = output.take(MAX_OUTPUT_BYTES).read_to_end(&mut said).await;
        read.map_err(|error| format!("its output cannot be read: {error}"))?;
        if said.len() as u64 == MAX_OUTPUT_BYTES {
            return Err("it says more than 16 KiB".to_owned());
        }
        let status = child.wait().await.map_err(|error| error.to_string())?;
        // Its number may be another's from now on.
        group.has_ended();
        match status.success() {
            true => String::from_utf8(said).map_err(|_| "it says what is no text".to_owned()),
            false => Err(format!("it ended with {status}")),
        }
    }
}

/// The processes of a command, which are killed unless it has ended.
struct Group(Option<u32>);

impl Group {
    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            group::kill(leader);
        }
    }
}

impl fmt::Debug for CredentialCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialCommand")
            .field("program", &self.program)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const NAME: HeaderName = HeaderName::from_static("x-api-key");

    fn command(script: &str, kept_for: Duration) -> Arc<CredentialCommand> {
        let arguments = ["-c", script].map(OsString::from);
        Arc::new(CredentialCommand::new("/bin/sh", arguments, "github", kept_for))
    }

    fn person(root: u8, subject: &str) -> Person<'_> {
        Person { payer: Payer::from_bytes([root; 32]), subject }
    }

    #[tokio::test]
    async fn each_subject_has_its_own_and_it_is_asked_once_in_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "echo run >> {}/runs; echo \"$HARDTACK_SERVER of $HARDTACK_SUBJECT\"",
            folder.path().display()
        );
        let runs = || std::fs::read_to_string(folder.path().join("runs")).unwrap().lines().count();
        let asks = command(&script, Duration::from_secs(600));
        let (alice, bob) = (person(1, "user:alice; rm $HOME"), person(2, "user:bob"));
        let name = NAME;
        let said = tokio::join!(
            asks.value(&name, alice),
            asks.value(&name, alice),
            asks.value(&name, bob)
        );
        assert_eq!(said.0.unwrap(), "github of user:alice; rm $HOME");
        assert_eq!(said.1.unwrap(), "github of user:alice; rm $HOME");
        assert_eq!(said.2.unwrap(), "github of user:bob");
        assert_eq!(runs(), 2);
        // The same name under another root is somebody else.
        asks.value(&NAME, person(3, "user:bob")).await.unwrap();
        assert_eq!(runs(), 3);
        let forgets = command(&script, Duration::ZERO);
        forgets.value(&NAME, alice).await.unwrap();
        forgets.value(&NAME, alice).await.unwrap();
        assert_eq!(runs(), 5);
    }

    #[tokio::test]
    async fn what_fails_says_too_much_or_something_else_is_no_credential() {
        for script in [
            "echo secret; exit 1",
            "true",
            "echo a; echo b",
            "head -c 100000 /dev/zero",
            "yes",
            "printf 'a\\000b'",
        ] {
            let said = command(script, DEFAULT_KEPT).value(&NAME, person(1, "user:alice")).await;
            assert_eq!(said, Err(NoCredential), "{script}");
        }
        let nowhere = CredentialCommand::new("/nowhere", [], "github", DEFAULT_KEPT);
        let nowhere = Arc::new(nowhere);
        assert_eq!(nowhere.value(&NAME, person(1, "user:alice")).await, Err(NoCredential));
    }

    #[tokio::test]
    async fn callers_that_hang_up_start_no_process_each() {
        let folder = tempfile::tempdir().unwrap();
        for (end, said) in [("echo key", Ok("key")), ("exit 1", Err(NoCredential))] {
            let runs = folder.path().join(end.replace(' ', ""));
            let asks =
                command(&format!("echo run >> {}; sleep 1; {end}", runs.display()), DEFAULT_KEPT);
            for _ in 0..20 {
                let (asks, alice, name) = (&asks, person(1, "user:alice"), NAME);
                let asked = asks.value(&name, alice);
                let asked = tokio::time::timeout(Duration::from_millis(20), asked).await;
                assert!(asked.is_err(), "it takes a second");
            }
            let value = asks.value(&NAME, person(1, "user:alice")).await;
            let value = value.as_ref().map(|value| value.to_str().unwrap()).map_err(|none| *none);
            assert_eq!(value, said);
            assert_eq!(std::fs::read_to_string(runs).unwrap().lines().count(), 1, "{end}");
        }
    }

    #[tokio::test]
    async fn what_takes_too_long_is_given_up() {
        let slow = command("exec sleep 600", DEFAULT_KEPT);
        tokio::time::pause();
        assert_eq!(slow.value(&NAME, person(1, "user:alice")).await, Err(NoCredential));
    }

    #[tokio::test]
    async fn what_is_given_up_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("started");
        let script = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", at.display());
        let slow = command(&script, DEFAULT_KEPT);
        let started = async {
            while !at.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let name = NAME;
        tokio::select! {
            said = slow.value(&name, person(1, "user:alice")) => panic!("{said:?}"),
            () = started => {}
        }
        tokio::time::pause();
        assert_eq!(slow.value(&name, person(1, "user:alice")).await, Err(NoCredential));
        let started: i32 = std::fs::read_to_string(&at).unwrap().trim().parse().unwrap();
        let state = move || std::fs::read_to_string(format!("/proc/{started}/stat"));
        let started = rustix::process::Pid::from_raw(started).unwrap();
        // It is gone, or waits to be reaped by whoever does that for orphans.
        for _ in 0..200 {
            let is_dead = state().is_ok_and(|state| state.contains(") Z "));
            if rustix::process::test_kill_process(started).is_err() || is_dead {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{started:?} goes on");
    }
}
