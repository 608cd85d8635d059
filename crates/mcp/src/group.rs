//! Group: how do a process and all that it starts come to one end?
//!
//! By a process group, which Unix has. On other systems no process is started that could leave others behind.

use std::io;

use tokio::process::Command;

/// Whether servers behind commands, and commands that say a credential, can be started on this system: on Unix.
pub const STARTS_PROCESSES: bool = cfg!(unix);

/// Gives what will be started a process group of its own: what a terminal sends to this process's, it does not get.
#[cfg(unix)]
pub(crate) fn of_its_own(command: &mut Command) -> io::Result<()> {
    command.process_group(0);
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn of_its_own(_: &mut Command) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "programs are started on Unix only, where all that they start ends with them",
    ))
}

/// Ends what is left of the group that a process leads, as long as nobody has waited for that one.
#[cfg(unix)]
pub(crate) fn kill(leader: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};

    if let Some(group) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(not(unix))]
pub(crate) fn kill(_: u32) {}

/// Whether the machine has no more of something now, and the program is not why.
#[cfg(unix)]
pub(crate) fn is_for_now(error: &io::Error) -> bool {
    use rustix::io::Errno;

    let number = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM]
        .iter()
        .any(|errno| number == Some(errno.raw_os_error()))
}

#[cfg(not(unix))]
pub(crate) fn is_for_now(_: &io::Error) -> bool {
    false
}
