//! Unsupervised: what is said where no server can be started?

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// What a shell says of a program that cannot be started.
const NOT_STARTED: u8 = 127;

/// Would run a program as a server below a supervisor, which needs the process groups of Unix. Here it starts nothing, says so on standard
/// error, and returns 127.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the whole of a process, whose log is its standard error"
)]
pub fn supervise(_words: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Where it cannot be written, nobody reads it.
    let _ = writeln!(io::stderr(), "servers are started on Unix only");
    ExitCode::from(NOT_STARTED)
}
