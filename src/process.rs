//! Process: which process something belongs to. What a fork copies has memory and files, and no threads.

use std::process::id;

/// The process that made something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn here() -> Process {
        Process(id())
    }

    /// Whether this is a copy that a fork made in another process.
    pub(crate) fn is_elsewhere(self) -> bool {
        self.0 != id()
    }

    pub(crate) fn number(self) -> u32 {
        self.0
    }
}
