//! Supervisor: how does a server's process end with whoever started it, whatever became of them?
//!
//! A process between the two. It starts the server in a group of its own and hands on what comes in; what goes out goes past it. When its
//! standard input is closed, by a gateway that ends the server or by the end of the gateway itself, it ends the whole group.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::signal::unix::{SignalKind, signal};

use super::process::{CLOSE_GRACE, TERMINATE_GRACE};

/// What a shell says of a program that cannot be started, and adds to the signal that ended one.
const NOT_STARTED: u8 = 127;
const SIGNALLED: i32 = 128;

/// How many bytes are handed on at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// What happened.
enum Event {
    /// The server's process has ended, and is not waited for yet: its number is still its own.
    Ended,
    /// Whoever started this has gone, or closed the pipe.
    Closed,
    /// This was sent a signal that ends processes.
    Signalled,
}

/// Runs a program as a server below a supervisor, which this process is from now on: `words` are the program and its arguments. For the
/// `main` of the program that [`ServerCommand::new`](crate::ServerCommand::new) is given, before it does anything else.
///
/// Standard input must be a pipe. The program runs in a process group of its own, with this environment and folder. It gets what comes on
/// standard input; its standard output and error are this process's own. When standard input is closed, the program's is
/// closed, too; after two seconds its group is sent SIGTERM, and after three more SIGKILL. When the program has ended, what is left of
/// its group is ended in the same way.
///
/// Processes that leave the group (`setsid`) are not ended. Returns the code with which to exit: that of the program, 128 and the number of
/// the signal that ended it, or 127 if it could not be started; standard error says why.
pub fn supervise(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    match supervised(words.into_iter().collect()) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(NOT_STARTED)
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the whole of a process, whose log is its standard error"
)]
fn complain(problem: &str) {
    // Where it cannot be written, nobody reads it.
    let _ = writeln!(io::stderr(), "{problem}");
}

fn supervised(words: Vec<OsString>) -> io::Result<i32> {
    let mut words = words.into_iter();
    let program = words.next().ok_or_else(|| io::Error::other("there is no program to start"))?;
    // Before anything is started: what comes from now on is heard.
    let (tell, events) = mpsc::channel();
    listen_for_signals(tell.clone())?;
    let pipe = io::stdin().as_fd().try_clone_to_owned()?;
    let mut child =
        Command::new(&program).args(words).process_group(0).stdin(Stdio::piped()).spawn().map_err(
            |error| {
                let program = hardtack::names::escaped(&program.to_string_lossy());
                io::Error::other(format!("{program} cannot be started: {error}"))
            },
        )?;
    let group = Pid::from_child(&child);
    let input = child.stdin.take().ok_or_else(|| io::Error::other("the program has no input"))?;
    let_go_of_output();
    hand_on(pipe.try_clone()?, input, tell.clone());
    watch_pipe(pipe, tell.clone());
    thread::spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(group), options) {}
        let _ = tell.send(Event::Ended);
    });
    end_in_time(&events, group);
    let status = child.wait()?;
    use std::os::unix::process::ExitStatusExt;
    Ok(status.code().or(status.signal().map(|signal| SIGNALLED + signal)).unwrap_or(SIGNALLED))
}

/// Waits until the group is to end, and ends it. As long as its leader is not waited for, no other group can have its number.
fn end_in_time(events: &Receiver<Event>, group: Pid) {
    match events.recv() {
        // The leader's end is not that of the others, who are asked to end before they are ended.
        Ok(Event::Ended) => {
            let _ = kill_process_group(group, Signal::TERM);
            wait_for_group(group, TERMINATE_GRACE);
        }
        Ok(Event::Closed) => match ended_within(events, CLOSE_GRACE) {
            true => {
                let _ = kill_process_group(group, Signal::TERM);
                wait_for_group(group, TERMINATE_GRACE);
            }
            false => terminate(events, group),
        },
        Ok(Event::Signalled) | Err(_) => terminate(events, group),
    }
    let _ = kill_process_group(group, Signal::KILL);
}

fn terminate(events: &Receiver<Event>, group: Pid) {
    let _ = kill_process_group(group, Signal::TERM);
    if ended_within(events, TERMINATE_GRACE) {
        wait_for_group(group, CLOSE_GRACE);
    }
}

/// Whether the leader ends within this time. A second signal waits no longer.
fn ended_within(events: &Receiver<Event>, grace: Duration) -> bool {
    loop {
        match events.recv_timeout(grace) {
            Ok(Event::Ended) => return true,
            Ok(Event::Closed) => {}
            Ok(Event::Signalled)
            | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return false;
            }
        }
    }
}

/// Gives what is left of the group some time to end. Whether anybody is left is not known while the leader is not waited for,
/// so that is looked up where the system says it.
fn wait_for_group(group: Pid, grace: Duration) {
    const STEP: Duration = Duration::from_millis(50);
    for _ in 0..grace.as_millis() / STEP.as_millis() {
        if !has_others(group) {
            return;
        }
        thread::sleep(STEP);
    }
}

/// Whether a process of the group but its leader is there; where `/proc` does not say so, none is taken to be there.
fn has_others(group: Pid) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    processes.flatten().any(|process| {
        let number = process.file_name();
        let Some(number) = number.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            return false;
        };
        let leader = group.as_raw_nonzero().get();
        number != leader && group_of(number) == Some(leader)
    })
}

fn group_of(process: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name, which may have any sign in it: the state, the parent, the group.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (state != "Z").then_some(group)
}

/// The server alone holds its standard output from now on, so that whoever reads it sees its end.
fn let_go_of_output() {
    if let Ok(nothing) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nothing);
    }
}

/// Hands on all that comes, and closes the server's input at its end.
fn hand_on(pipe: OwnedFd, mut input: ChildStdin, tell: Sender<Event>) {
    thread::spawn(move || {
        let (mut pipe, mut chunk) = (std::fs::File::from(pipe), vec![0; CHUNK]);
        loop {
            match pipe.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) if input.write_all(&chunk[..read]).is_ok() => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A server that does not read any more ends soon, or is ended when the pipe is closed.
                _ => return,
            }
        }
        drop(input);
        let _ = tell.send(Event::Closed);
    });
}

/// Hears when nobody can write into the pipe any more, even if what was written last is not read by the server.
fn watch_pipe(pipe: OwnedFd, tell: Sender<Event>) {
    thread::spawn(move || {
        loop {
            // No event is asked for: that it is hung up is told unasked.
            let mut watched = [PollFd::new(&pipe, PollFlags::empty())];
            match poll(&mut watched, None) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) if watched[0].revents().is_empty() => {}
                _ => break,
            }
        }
        let _ = tell.send(Event::Closed);
    });
}

fn listen_for_signals(tell: Sender<Event>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let listening = {
        let _inside = runtime.enter();
        [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal)
    };
    let [terminate, interrupt, hangup] = listening;
    let (mut terminate, mut interrupt, mut hangup) = (terminate?, interrupt?, hangup?);
    thread::spawn(move || {
        runtime.block_on(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = hangup.recv() => {}
                }
                if tell.send(Event::Signalled).is_err() {
                    return;
                }
            }
        });
    });
    Ok(())
}
