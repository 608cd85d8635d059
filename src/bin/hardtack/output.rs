//! Output: the one place that writes to standard output and standard error.
//!
//! Standard output is what a verb is asked for: that it cannot be written is an error. Standard error is for notes and
//! the log: that it cannot be written is nobody's affair. Neither a full disk nor a pipe that nobody reads makes a verb
//! panic, answer otherwise or end with another code.

#![allow(clippy::disallowed_methods, reason = "this is the place that writes")]

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What shells say of a process whose reader went away: 128 and the number of SIGPIPE.
pub(crate) const EXIT_READER_GONE: u8 = 141;

/// The most lines that wait for standard error: some seconds of a busy gateway, and a few hundred KiB.
const MAX_WAITING_LINES: usize = 1024;

/// How long the end of a process waits for its last lines, if nobody reads them.
const LAST_LINES_WAIT: Duration = Duration::from_secs(1);

/// Standard output cannot be written.
#[derive(Debug)]
pub(crate) enum OutputError {
    /// Whoever read it has gone: enough was read.
    ReaderGone,
    /// Something else, such as a full disk.
    Failed(io::Error),
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutputError::ReaderGone => {
                f.write_str("standard output cannot be written: whoever read it has gone")
            }
            OutputError::Failed(error) => {
                write!(f, "standard output cannot be written: {error}")
            }
        }
    }
}

impl Error for OutputError {}

/// Writes a text and the end of its line to standard output.
pub(crate) fn out(text: &str) -> Result<(), OutputError> {
    match writeln!(anstream::stdout(), "{text}") {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(OutputError::ReaderGone),
        Err(error) => Err(OutputError::Failed(error)),
    }
}

/// Writes a text and the end of its line to standard error, if that can be written.
pub(crate) fn err(text: &str) {
    let mut line = Vec::new();
    let choice = anstream::AutoStream::choice(&io::stderr());
    // Writing to memory does not fail.
    let _ = writeln!(anstream::AutoStream::new(&mut line as &mut dyn Write, choice), "{text}");
    write_err(line);
}

pub(crate) fn out_is_terminal() -> bool {
    io::stdout().is_terminal()
}

pub(crate) fn err_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// How many columns standard output shows, if it is a terminal that says so.
pub(crate) fn out_columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into())
}

/// The same of standard error.
pub(crate) fn err_columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| width.0.into())
}

/// How many columns there are for help, and for what is wrong with what was typed.
pub(crate) fn help_columns() -> Option<usize> {
    out_columns().or_else(err_columns)
}

/// Waits for a while. `true` as soon as whoever read standard output has gone.
#[cfg(unix)]
pub(crate) fn reader_leaves_within(wait: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    let stdout = io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    let wait_at_most = Timespec::try_from(wait).ok();
    match poll(&mut polled, wait_at_most.as_ref()) {
        Ok(_) => polled[0].revents().intersects(gone),
        Err(_) => {
            std::thread::sleep(wait);
            false
        }
    }
}

#[cfg(not(unix))]
pub(crate) fn reader_leaves_within(wait: Duration) -> bool {
    std::thread::sleep(wait);
    false
}

enum Job {
    Line(Vec<u8>),
    /// Says when all lines before it are written.
    Tell(SyncSender<()>),
}

/// Standard error of a verb that stays up, written by a thread of its own: a pipe that nobody reads keeps that thread
/// and no other.
struct Queue {
    jobs: SyncSender<Job>,
    lost: Arc<AtomicU64>,
}

static QUEUE: OnceLock<Queue> = OnceLock::new();

/// From now on, standard error is written by a thread of its own. Lines for which there is no room any more are counted
/// by `lost_lines`, which makes a line of their number.
pub(crate) fn queue_err(lost_lines: fn(u64) -> String) -> io::Result<()> {
    let (jobs, taken) = sync_channel(MAX_WAITING_LINES);
    let lost = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&lost);
    let thread = std::thread::Builder::new().name("log".to_owned());
    thread.spawn(move || write_queued(&taken, &counter, lost_lines))?;
    // Whoever asks twice keeps the first one.
    let _ = QUEUE.set(Queue { jobs, lost });
    Ok(())
}

fn write_queued(jobs: &Receiver<Job>, lost: &AtomicU64, lost_lines: fn(u64) -> String) {
    for job in jobs {
        match job {
            Job::Line(line) => write_now(&line),
            // Whoever asked may have gone.
            Job::Tell(done) => drop(done.try_send(())),
        }
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            number => write_now(lost_lines(number).as_bytes()),
        }
    }
}

/// Writes whole lines to standard error, now or in their turn.
pub(crate) fn write_err(lines: Vec<u8>) {
    let Some(queue) = QUEUE.get() else { return write_now(&lines) };
    match queue.jobs.try_send(Job::Line(lines)) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => drop(queue.lost.fetch_add(1, Ordering::Relaxed)),
        Err(TrySendError::Disconnected(Job::Line(lines))) => write_now(&lines),
        Err(TrySendError::Disconnected(_)) => {}
    }
}

fn write_now(lines: &[u8]) {
    // There is nowhere left to say that it failed.
    let _ = io::stderr().write_all(lines);
}

/// Waits until what was said is written; not for long, since perhaps nobody reads it.
pub(crate) fn finish() {
    let Some(queue) = QUEUE.get() else { return };
    let (done, told) = sync_channel(1);
    if queue.jobs.try_send(Job::Tell(done)).is_ok() {
        let _ = told.recv_timeout(LAST_LINES_WAIT);
    }
}
