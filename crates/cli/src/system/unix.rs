//! Unix: users and modes, signals, and what is free on a disk.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, access, statvfs};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Rights;

/// Whether [`rights`] are said.
pub(crate) const SAYS_RIGHTS: bool = true;

/// Returns who may do what with a file.
pub(crate) fn rights(metadata: &Metadata) -> Option<Rights> {
    Some(Rights { mode: metadata.permissions().mode(), owner: metadata.uid() })
}

/// Returns the number of the user who runs this process.
pub(crate) fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Has the file that is made have this mode.
pub(crate) fn with_mode<'b, 'n>(
    making: &'b mut tempfile::Builder<'n, 'n>,
    mode: u32,
) -> &'b mut tempfile::Builder<'n, 'n> {
    making.permissions(Permissions::from_mode(mode))
}

/// Waits until the names in a folder are on disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(crate) fn may_write(path: &Path) -> bool {
    access(path, Access::WRITE_OK).is_ok()
}

pub(crate) fn may_run(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// Returns how many bytes this user may still write to the disk with the folder.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Lets this process open as many files as the system allows it.
pub(crate) fn open_many_files() {
    // Each connection is a file; where the system allows no more, fewer are accepted.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}

/// Waits for a while. `true` as soon as whoever reads the output has gone.
pub(crate) fn leaves_within(output: &impl AsFd, wait: Duration) -> bool {
    let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    let mut polled = [PollFd::new(output, PollFlags::empty())];
    let wait_at_most = Timespec::try_from(wait).ok();
    match poll(&mut polled, wait_at_most.as_ref()) {
        Ok(_) => polled[0].revents().intersects(gone),
        Err(_) => {
            std::thread::sleep(wait);
            false
        }
    }
}

/// What asks this process to end: SIGTERM and SIGINT.
pub(crate) struct Ends(Signal, Signal);

impl Ends {
    pub(crate) fn new() -> io::Result<Ends> {
        Ok(Ends(signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

/// What asks this process to read its files again: SIGHUP, which ends nothing from now on.
pub(crate) struct Hangups(Signal);

impl Hangups {
    pub(crate) fn new() -> io::Result<Hangups> {
        Ok(Hangups(signal(SignalKind::hangup())?))
    }

    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}
