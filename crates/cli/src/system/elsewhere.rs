//! Elsewhere: what is answered where the system is no Unix. What cannot be asked there is said so, and refuses nothing by itself.

use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::Rights;

/// Whether [`rights`] are said.
pub(crate) const SAYS_RIGHTS: bool = false;

/// Who may do what is in access control lists, which are not read: that is left to whoever keeps the files.
pub(crate) fn rights(_: &Metadata) -> Option<Rights> {
    None
}

/// Users have no numbers here, and nothing that [`rights`] returns is compared with it.
pub(crate) fn own_user() -> u32 {
    super::ROOT
}

/// Files have no modes here: a new one has the rights of its folder.
pub(crate) fn with_mode<'b, 'n>(
    making: &'b mut tempfile::Builder<'n, 'n>,
    _mode: u32,
) -> &'b mut tempfile::Builder<'n, 'n> {
    making
}

/// A folder cannot be opened to be synced: its file system writes names in order.
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

pub(crate) fn may_write(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.permissions().readonly())
}

pub(crate) fn may_run(path: &Path) -> bool {
    path.is_file()
}

/// # Errors
///
/// Always: it is not asked here.
pub(crate) fn free_bytes(_: &Path) -> io::Result<u64> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "it is not asked on this system"))
}

/// There is no such limit.
pub(crate) fn open_many_files() {}

/// Waits for a while. That the reader has gone is found when something is written.
pub(crate) fn leaves_within<T>(_: &T, wait: Duration) -> bool {
    std::thread::sleep(wait);
    false
}

/// What asks this process to end: Ctrl-C.
pub(crate) struct Ends(());

impl Ends {
    pub(crate) fn new() -> io::Result<Ends> {
        Ok(Ends(()))
    }

    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Nothing asks this process to read its files again; they are looked at by themselves.
pub(crate) struct Hangups(());

impl Hangups {
    pub(crate) fn new() -> io::Result<Hangups> {
        Ok(Hangups(()))
    }

    pub(crate) async fn next(&mut self) {
        std::future::pending().await
    }
}
