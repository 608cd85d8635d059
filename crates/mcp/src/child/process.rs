//! Process: how does one server's process run, from its start to its end?

use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::coop::consume_budget;
use tokio::time::{Duration, Instant, timeout};

use crate::child::command::ServerCommand;
use crate::child::lines::{Line, Lines, MAX_LOGGED_BYTES, Throttle, shown};
use crate::child::pipe::{Input, Pipe};
use crate::group;
use crate::sse::MAX_EVENT_BYTES;
use hardtack::mcp::Era;

/// How long a server may take to end by itself when its standard input is closed, as MCP has it; and when it was sent SIGTERM.
/// A gateway that is stopped has ten seconds by default.
pub(super) const CLOSE_GRACE: Duration = Duration::from_secs(2);
pub(super) const TERMINATE_GRACE: Duration = Duration::from_secs(3);

/// How long a process may take to read a message: one that does not for so long does not read at all.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is looked whether a process is idle, at the least.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long what a process wrote before its end may take to be read.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long a supervisor may take to end what it supervises: both of its times, and some for a machine that is busy.
const END_TIMEOUT: Duration =
    CLOSE_GRACE.saturating_add(TERMINATE_GRACE).saturating_add(Duration::from_secs(5));

/// How a process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was ended: its session was, or it was idle.
    Asked,
    /// It ended by itself, or did what no server may do, after so long.
    Unasked(Duration),
}

/// Starts a server's process below a supervisor. `ended` is called when it is gone, with all of its group.
pub(crate) fn start(
    command: &ServerCommand,
    era: Era,
    ended: impl FnOnce(End) + Send + 'static,
) -> std::io::Result<Arc<Pipe>> {
    let (supervisor, arguments) = &command.supervisor;
    let mut starting = Command::new(supervisor);
    starting
        .args(arguments)
        .arg(&command.program)
        .args(&command.arguments)
        .env_clear()
        .envs(&command.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // What a terminal sends to the gateway, the gateway handles.
    group::of_its_own(&mut starting)?;
    if let Some(folder) = &command.folder {
        starting.current_dir(folder);
    }
    let mut child = starting.spawn()?;
    let (pipe, input) = Pipe::new(Arc::clone(&command.name), era);
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(std::io::Error::other("a pipe is missing"));
    };
    tracing::info!(server = %command.name, pid = child.id(), "a server's process is started");
    tokio::spawn(write(Arc::clone(&pipe), stdin, input));
    let reading = tokio::spawn(read(Arc::clone(&pipe), stdout));
    let logging = tokio::spawn(log(Arc::clone(&pipe), stderr));
    let idle = command.idle;
    let keeping = Arc::clone(&pipe);
    tokio::spawn(async move {
        let began = Instant::now();
        let was_asked = keep(&keeping, &mut child, idle).await;
        for task in [reading, logging] {
            let stop = task.abort_handle();
            if timeout(LAST_WORDS, task).await.is_err() {
                stop.abort();
            }
        }
        // Whoever hears of it and asks anew finds it known.
        ended(match was_asked {
            true => End::Asked,
            false => End::Unasked(began.elapsed()),
        });
        keeping.ended();
    });
    Ok(pipe)
}

/// Comes back when the process is gone; says whether it was asked to end.
async fn keep(pipe: &Pipe, child: &mut Child, idle: Duration) -> bool {
    let every = LOOK_EVERY.min(idle);
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.map(|status| status.to_string()).unwrap_or_default();
                tracing::warn!(server = %pipe.name, status, "a server's process ended by itself");
                return false;
            }
            () = pipe.end.cancelled() => break,
            () = tokio::time::sleep(every) => {
                if pipe.idle_at(Instant::now()).is_some_and(|unused| unused >= idle) {
                    tracing::info!(server = %pipe.name, "a server's process is ended, since it is idle");
                    pipe.end.cancel();
                }
            }
        }
    }
    // Its input is closed now, so that its supervisor ends it.
    let status = timeout(END_TIMEOUT, child.wait()).await;
    if status.is_err() {
        tracing::error!(server = %pipe.name, "a supervisor does not end, and is killed");
        let _ = child.kill().await;
    }
    let status = status.ok().and_then(Result::ok).map(|status| status.to_string());
    tracing::info!(server = %pipe.name, status, "a server's process has ended");
    pipe.was_asked_to_end()
}

/// Writes what comes, a line at a time, and closes the pipe when the process is to end.
async fn write(pipe: Arc<Pipe>, mut stdin: ChildStdin, mut input: mpsc::Receiver<Input>) {
    loop {
        let (line, held) = tokio::select! {
            biased;
            () = pipe.end.cancelled() => return,
            next = input.recv() => match next {
                Some(next) => next,
                None => return,
            },
        };
        let written = tokio::select! {
            () = pipe.end.cancelled() => return,
            written = timeout(WRITE_TIMEOUT, stdin.write_all(line.as_bytes())) => written,
        };
        drop(held);
        let problem = match written {
            Ok(Ok(())) => continue,
            Ok(Err(_)) => "a server's process reads no more, and is ended",
            Err(_) => "a server's process does not read what it is sent, and is ended",
        };
        tracing::warn!(server = %pipe.name, "{problem}");
        return pipe.break_off();
    }
}

/// Reads messages until the process has closed its output.
async fn read(pipe: Arc<Pipe>, stdout: ChildStdout) {
    let (mut lines, mut throttle) = (Lines::of(stdout, MAX_EVENT_BYTES), Throttle::new());
    loop {
        // A server that writes without end must not have a thread for itself.
        consume_budget().await;
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) | Err(_) => return pipe.break_off(),
        };
        let (line, is_long) = match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => continue,
            Line::Whole(line) => (line, false),
            Line::TooLong(line) => (line, true),
        };
        let text = std::str::from_utf8(&line).ok().filter(|_| !is_long);
        if let Some(text) = text
            && pipe.said(text).await
        {
            continue;
        }
        if is_long {
            pipe.too_long();
        }
        if let Some(left_out) = throttle.admit() {
            let problem = match is_long {
                true => "a message is dropped, since it is larger than one may be",
                false => "what is no JSON-RPC message is dropped",
            };
            tracing::warn!(server = %pipe.name, left_out, line = shown(&line), "{problem}");
        }
    }
}

/// Hands on to the log what the process writes to standard error.
async fn log(pipe: Arc<Pipe>, stderr: ChildStderr) {
    log_lines(&pipe.name, stderr).await;
}

async fn log_lines(server: &str, stderr: impl AsyncRead + Unpin) {
    let (mut lines, mut throttle) = (Lines::of(stderr, MAX_LOGGED_BYTES), Throttle::new());
    while let Ok(Some(Line::Whole(line) | Line::TooLong(line))) = lines.next().await {
        consume_budget().await;
        if let Some(left_out) = throttle.admit() {
            tracing::info!(server, left_out, line = shown(&line), "standard error");
        }
    }
}
