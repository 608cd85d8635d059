//! Readiness: what a gateway needs in the background besides its store.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The background work of a server that has ended. While any has, `/readyz` answers 503 and says which. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<Cow<'static, str>, String>>>);

impl Readiness {
    /// Says that the work `what` has ended, and why.
    pub fn lost(&self, what: impl Into<Cow<'static, str>>, why: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(what.into(), why.into());
    }

    /// Says that the work `what` goes on again, or is not needed any more.
    pub fn restored(&self, what: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }

    /// Returns the work that has ended, with the reason; of several the first in the order of names. `None` if none has.
    pub fn problem(&self) -> Option<String> {
        let lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lost.first_key_value().map(|(what, why)| format!("{what} {why}"))
    }
}

/// What is asked whether everything can be written.
#[derive(Clone)]
pub(crate) struct Ready(Arc<dyn Fn() -> Result<(), String> + Send + Sync>);

impl Ready {
    pub(crate) fn new<E: ToString>(
        ready: impl Fn() -> Result<(), E> + Send + Sync + 'static,
    ) -> Ready {
        Ready(Arc::new(move || ready().map_err(|error| error.to_string())))
    }

    pub(crate) fn ask(&self) -> Result<(), String> {
        (self.0)()
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready")
    }
}
