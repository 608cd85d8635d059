//! Child: a server that is a process and speaks over its standard input and output, asked as one over HTTP is.
//!
//! Requests go `answering` → `children` (which process?) → `pipe` (under which number?) → `process`, which runs below a `supervisor`;
//! answers come back through the `mailbox` of whoever waits.

mod answering;
mod children;
mod command;
mod lines;
mod mailbox;
mod pipe;
mod places;
mod process;
mod spans;
mod streaming;
#[cfg(unix)]
mod supervisor;
#[cfg(not(unix))]
mod unsupervised;

pub use command::{DEFAULT_IDLE, ServerCommand, USUAL_ENVIRONMENT};
#[cfg(unix)]
pub use supervisor::supervise;
#[cfg(not(unix))]
pub use unsupervised::supervise;

pub(crate) use children::{Asking, Children, Sender};
pub(crate) use places::Places;
pub(crate) use streaming::ENDED;
