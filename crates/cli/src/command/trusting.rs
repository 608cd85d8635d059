//! Trusting: which roots does a gateway trust, and do their files say something else than before?

use std::fmt::Write as _;
use std::sync::Arc;

use hardtack::{Guard, RootKeys};
use hardtack_mcp::Reload;

use crate::args::{regular_root, split_root};
use crate::secrets::hidden;

/// The roots that were asked for, of which those in files are read again.
pub(crate) struct Trusting {
    asked: Vec<String>,
    /// What was read when roots were taken last, or tried to.
    tried: Option<Read>,
    /// What was read at the last look.
    seen: Option<Read>,
}

/// The roots, or why they are none.
type Read = Result<RootKeys, String>;

impl Trusting {
    /// Trusts what these say, each a root key or a file with one.
    ///
    /// # Errors
    ///
    /// What is wrong with the first that is none.
    pub(crate) fn of(asked: Vec<String>) -> Result<(Trusting, RootKeys), String> {
        let roots = read(&asked)?;
        let read = Some(Ok(roots.clone()));
        Ok((Trusting { asked, tried: read.clone(), seen: read }, roots))
    }

    /// Whether one of them is in a file, and can become another.
    pub(crate) fn has_files(&self) -> bool {
        let parts = self.asked.iter().filter_map(|text| split_root(text).ok());
        parts.into_iter().any(|(_, key)| key.starts_with('@'))
    }

    /// Whether every key is trusted under its key id alone.
    pub(crate) fn needs_key_ids(&self) -> bool {
        self.asked.iter().all(|text| split_root(text).is_ok_and(|(id, _)| id.is_some()))
    }

    /// Takes what is there for changed, whatever was there before.
    pub(crate) fn ask(&mut self) {
        self.tried = None;
    }

    /// Reads the files again. What they say is taken at the second look in a row that finds it, so that no half-written file is
    /// taken; what cannot be read or is no key leaves the roots in force. `None` if there is nothing to be taken.
    pub(crate) fn look(&mut self, guards: &[Arc<Guard>]) -> Option<Reload> {
        let now = Some(read(&self.asked));
        let agrees = self.seen == now;
        self.seen.clone_from(&now);
        if !agrees || self.tried == now {
            return None;
        }
        self.tried.clone_from(&now);
        now.map(|read| take(guards, read))
    }
}

fn read(asked: &[String]) -> Read {
    asked.iter().try_fold(RootKeys::default(), |roots, text| {
        Ok(match regular_root(text)? {
            (Some(id), key) => roots.and_with_id(id, key),
            (None, key) => roots.and(key),
        })
    })
}

/// Puts roots in the place of others, if there are any.
fn take(guards: &[Arc<Guard>], read: Read) -> Reload {
    let new = match read {
        Ok(new) => new,
        Err(error) => {
            let error = hidden(&error);
            tracing::error!(%error, "roots are not taken, those in force stay");
            return Reload::Refused;
        }
    };
    let mut taken = Reload::Unchanged;
    for guard in guards {
        let old = guard.verifier().replace_roots(new.clone());
        if *old == new {
            continue;
        }
        let audience = guard.verifier().audience();
        let (added, withdrawn) = (missing(&new, &old), missing(&old, &new));
        tracing::info!(audience, added, withdrawn, keys = new.len(), "roots are exchanged");
        taken = Reload::Loaded;
    }
    if taken == Reload::Unchanged {
        tracing::info!(keys = new.len(), "roots are as before");
    }
    taken
}

/// The names of those that others have not.
fn missing(roots: &RootKeys, others: &RootKeys) -> String {
    let mut missing = String::new();
    for name in roots.names().filter(|name| !others.names().any(|other| other == *name)) {
        let comma = if missing.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(missing, "{comma}{name}");
    }
    missing
}
