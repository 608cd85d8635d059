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

use crate::system;

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

/// Writes these bytes to standard output, and waits until whoever reads it can have them.
pub(crate) fn out_exactly(bytes: &[u8]) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
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
pub(crate) fn reader_leaves_within(wait: Duration) -> bool {
    system::leaves_within(&io::stdout(), wait)
}

enum Job {
    Lines(Vec<u8>),
    /// Says when all lines before it are written.
    Tell(SyncSender<()>),
}

/// One of the two outputs of a verb that stays up, written by a thread of its own: a pipe that nobody reads keeps that thread
/// and no other.
struct Queue {
    jobs: SyncSender<Job>,
    lost: Arc<AtomicU64>,
}

static OUT: OnceLock<Queue> = OnceLock::new();
static ERR: OnceLock<Queue> = OnceLock::new();

/// From now on, standard error and what is announced on standard output are written by threads of their own. Lines of standard
/// error for which there is no room any more are counted by `lost_lines`, which makes a line of their number; `unwritten` hears
/// why an announcement could not be written.
pub(crate) fn queue(lost_lines: fn(u64) -> String, unwritten: fn(&OutputError)) -> io::Result<()> {
    Queue::start(&ERR, "log", move |lines, lost| {
        write_now(lines);
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            number => write_now(lost_lines(number).as_bytes()),
        }
    })?;
    Queue::start(&OUT, "announcements", move |lines, _| {
        if let Err(error) = out(&String::from_utf8_lossy(lines)) {
            unwritten(&error);
        }
    })
}

impl Queue {
    fn start(
        place: &OnceLock<Queue>,
        name: &str,
        write: impl Fn(&[u8], &AtomicU64) + Send + 'static,
    ) -> io::Result<()> {
        let (jobs, taken) = sync_channel(MAX_WAITING_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            for job in taken {
                match job {
                    Job::Lines(lines) => write(&lines, &counter),
                    // Whoever asked may have gone.
                    Job::Tell(done) => drop(done.try_send(())),
                }
            }
        })?;
        // Whoever asks twice keeps the first one.
        let _ = place.set(Queue { jobs, lost });
        Ok(())
    }

    /// Hands over lines; gives them back if there is nobody to write them.
    fn take(&self, lines: Vec<u8>) -> Option<Vec<u8>> {
        match self.jobs.try_send(Job::Lines(lines)) {
            Err(TrySendError::Disconnected(Job::Lines(lines))) => return Some(lines),
            Err(TrySendError::Full(_)) => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
            _ => {}
        }
        None
    }

    /// Hears when all that was handed over is written, if there is room for the question.
    fn ask(&self) -> Option<Receiver<()>> {
        let (done, told) = sync_channel(1);
        self.jobs.try_send(Job::Tell(done)).ok().map(|()| told)
    }
}

/// Writes a text and the end of its line to standard output, in its turn: whoever does not read it holds up nothing.
pub(crate) fn announce(text: &str) -> Result<(), OutputError> {
    match OUT.get().map(|queue| queue.take(text.as_bytes().to_vec())) {
        Some(None) => Ok(()),
        Some(Some(_)) | None => out(text),
    }
}

/// Writes whole lines to standard error, now or in their turn.
pub(crate) fn write_err(lines: Vec<u8>) {
    let unwritten = match ERR.get() {
        Some(queue) => queue.take(lines),
        None => Some(lines),
    };
    if let Some(lines) = unwritten {
        write_now(&lines);
    }
}

fn write_now(lines: &[u8]) {
    // There is nowhere left to say that it failed.
    let _ = io::stderr().write_all(lines);
}

/// Waits until what was said is written; not for long, since perhaps nobody reads it.
pub(crate) fn finish() {
    // An announcement that cannot be written is told on standard error.
    for queue in [&OUT, &ERR] {
        if let Some(told) = queue.get().and_then(Queue::ask) {
            let _ = told.recv_timeout(LAST_LINES_WAIT);
        }
    }
}
