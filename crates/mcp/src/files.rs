//! Files: how many may this process have open, and how many of them are kept for processes of servers?

/// How many files are left for others: the store's, what asks how the server is, and some that are open for a moment.
pub(crate) const FOR_OTHERS: u64 = 128;

/// The most processes of servers at once. A server in Node.js takes some 80 MB, so that this many fit into a machine of 8 GB.
pub(crate) const MAX_CHILDREN: usize = 64;

/// How many one process takes: three pipes, and what says that it has ended.
pub(crate) const FILES_OF_CHILD: u64 = 4;

const MAX_FILES_OF_CHILDREN: u64 = MAX_CHILDREN as u64 * FILES_OF_CHILD;

/// How many files this process may open.
#[cfg(unix)]
pub(crate) fn limit() -> u64 {
    rlimit::Resource::NOFILE.get().map_or(1024, |(files, _)| files)
}

/// How many files this process may open. Where the system states no limit, the gateway's own places are what bounds them.
#[cfg(not(unix))]
pub(crate) fn limit() -> u64 {
    64 * 1024
}

/// How many of so many files are kept for processes: a third of those that others leave, or as many as all of them take.
pub(crate) fn of_children(files: u64) -> u64 {
    (files.saturating_sub(FOR_OTHERS) / 3).min(MAX_FILES_OF_CHILDREN)
}
