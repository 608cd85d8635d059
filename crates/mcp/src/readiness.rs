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

/// Something that a server stands on besides its store, such as a database, as `/readyz` and `/metrics` ask it. It is asked on a thread of
/// the runtime, and must not wait.
pub trait Needed: Send + Sync {
    /// Returns an error while calls cannot be decided without it: what is wrong, and what to do.
    fn ready(&self) -> Result<(), String>;

    /// Returns what somebody should look at, though all works: `/readyz` answers 200 and lists it. By default nothing.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Appends what is counted of it, in the OpenMetrics text format: whole metrics, whose names nothing else here has.
    fn render(&self, rendered: &mut String);
}

/// All that is needed.
#[derive(Clone, Default)]
pub(crate) struct Needs(Vec<Arc<dyn Needed>>);

impl Needs {
    pub(crate) fn add(&mut self, needed: Arc<dyn Needed>) {
        self.0.push(needed);
    }

    pub(crate) fn ready(&self) -> Result<(), String> {
        self.0.iter().try_for_each(|needed| needed.ready())
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.0.iter().flat_map(|needed| needed.warnings()).collect()
    }

    pub(crate) fn render(&self, rendered: &mut String) {
        self.0.iter().for_each(|needed| needed.render(rendered));
    }
}

impl fmt::Debug for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Needs").field(&self.0.len()).finish()
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
