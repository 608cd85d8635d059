//! System: what does the command ask of the system that each answers in its own way?
//!
//! `unix` is for Linux and macOS, `elsewhere` for Windows, where some of it cannot be asked.

#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use elsewhere::*;
#[cfg(unix)]
pub(crate) use unix::*;

/// Who may do what with a file, as Unix has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) mode: u32,
    /// The number of the user whose it is.
    pub(crate) owner: u32,
}

/// The superuser, who can do everything.
pub(crate) const ROOT: u32 = 0;
