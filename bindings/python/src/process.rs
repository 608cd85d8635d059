//! Process: does something belong to this process, or to the one of which it is a fork?

use pyo3::prelude::*;

use hardtack::{Cause, Denial};

use crate::error;

const MESSAGE: &str = "this was made before the process forked, where another thread may have held its locks; make it in the process that uses it";

/// The process in which something was made.
///
/// A fork copies locks as they are held by threads that it does not have. So nothing that has locks is used in a fork.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn here() -> Process {
        Process(std::process::id())
    }

    pub(crate) fn is_elsewhere(self) -> bool {
        self.0 != std::process::id()
    }

    /// For what decides.
    pub(crate) fn refuse_fork(self) -> Result<(), Denial> {
        if self.is_elsewhere() { Err(Denial::unfinished(MESSAGE)) } else { Ok(()) }
    }

    /// For what else has locks.
    pub(crate) fn refuse_use(self, py: Python<'_>) -> PyResult<()> {
        match self.is_elsewhere() {
            true => Err(error::of_cause(py, Cause::StoreForked, MESSAGE)),
            false => Ok(()),
        }
    }
}
