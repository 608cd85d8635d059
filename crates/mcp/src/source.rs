//! Source: where an agent's capability comes from, and how it is read while the agent's end serves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::holder::HoldError;
use hardtack::capability::Capability;
use hardtack::internal::read_text;

/// The most bytes read as a capability: four times what a token may have, so that one that is too large is named as
/// such.
const MAX_CAPABILITY_BYTES: u64 = 64 * 1024;

/// How long reading a file of a few kilobytes may take. Only a mount that hangs takes longer.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// The place from which a [`Holder`](crate::Holder) takes its capability.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CapabilitySource {
    /// One capability, until it expires.
    Fixed(Box<Capability>),
    /// A regular file, read again for every presentation: whoever delegates puts a newer capability in its place.
    File(PathBuf),
}

/// Reads a capability, on a thread of its own and one at a time, so that a mount that hangs holds one thread and no
/// request for long.
pub(crate) struct Source {
    from: Place,
    under_way: Mutex<Option<JoinHandle<Result<Held, HoldError>>>>,
}

/// Where it is read.
enum Place {
    Fixed(Arc<Capability>),
    File(PathBuf),
}

/// A capability as it was found.
#[derive(Debug, Clone)]
pub(crate) enum Held {
    Fixed(Arc<Capability>),
    /// The text of a file, which is not yet known to be a capability.
    Text(Arc<str>),
}

impl Held {
    pub(crate) fn capability(&self) -> Result<Capability, HoldError> {
        match self {
            Held::Fixed(capability) => Ok((**capability).clone()),
            Held::Text(text) => Ok(Capability::parse(text)?),
        }
    }

    /// Whether it is what was found before.
    pub(crate) fn is(&self, before: &Held) -> bool {
        match (self, before) {
            (Held::Text(now), Held::Text(before)) => now == before,
            (Held::Fixed(_), Held::Fixed(_)) => true,
            _ => false,
        }
    }
}

impl Source {
    pub(crate) fn new(from: CapabilitySource) -> Source {
        let from = match from {
            CapabilitySource::Fixed(capability) => Place::Fixed(Arc::from(capability)),
            CapabilitySource::File(path) => Place::File(path),
        };
        Source { from, under_way: Mutex::new(None) }
    }

    /// Reads it on this thread: at the start.
    pub(crate) fn read_now(&self) -> Result<Held, HoldError> {
        match &self.from {
            Place::Fixed(capability) => Ok(Held::Fixed(Arc::clone(capability))),
            Place::File(path) => read(path),
        }
    }

    /// Reads it, or says that it took too long.
    pub(crate) async fn read(&self) -> Result<Held, HoldError> {
        let path = match &self.from {
            Place::Fixed(capability) => return Ok(Held::Fixed(Arc::clone(capability))),
            Place::File(path) => path,
        };
        match tokio::time::timeout(READ_WITHIN, self.read_in_turn(path)).await {
            Ok(read) => read,
            Err(_) => Err(unread(path, &format!("it was not read within {READ_WITHIN:?}"))),
        }
    }

    /// A reading that was given up goes on, and whoever is next waits for the same one.
    async fn read_in_turn(&self, path: &Path) -> Result<Held, HoldError> {
        let mut under_way = self.under_way.lock().await;
        let reading = under_way.get_or_insert_with(|| {
            let path = path.to_owned();
            spawn_blocking(move || read(&path))
        });
        let read = reading.await;
        *under_way = None;
        read.unwrap_or_else(|_| Err(unread(path, "reading it broke off")))
    }
}

fn read(path: &Path) -> Result<Held, HoldError> {
    match read_text(path, MAX_CAPABILITY_BYTES) {
        Ok(text) => Ok(Held::Text(text.trim().into())),
        Err(error) => Err(unread(path, &error.to_string())),
    }
}

fn unread(path: &Path, problem: &str) -> HoldError {
    HoldError::File { path: path.display().to_string(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reading that never comes back, as on a mount that hangs.
    #[tokio::test]
    async fn a_reading_that_hangs_is_given_up_and_holds_one_thread() {
        let source = Source::new(CapabilitySource::File("/nothing".into()));
        *source.under_way.lock().await =
            Some(tokio::spawn(async { std::future::pending::<Result<Held, HoldError>>().await }));
        for _ in 0..2 {
            let error = source.read().await.unwrap_err();
            assert!(error.to_string().contains("not read within 2s"), "{error}");
            assert!(source.under_way.lock().await.is_some());
        }
    }
}
