//! Error: how does an error of the library become an exception of the package?
//!
//! The exceptions are written in Python (`hardtack._errors`), where they have types and can be copied between processes.

use std::error::Error;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule};

use hardtack::guard::Refused;
use hardtack::ruling::Ruling;
use hardtack::{Cause, Denial, VerifyError};

/// An error that has a cause, and may have been seen at a block.
pub(crate) trait Caused: Error {
    fn cause_of(&self) -> Cause;

    fn block(&self) -> Option<usize> {
        None
    }
}

macro_rules! caused {
    ($($error:ty),* $(,)?) => {
        $(impl Caused for $error {
            fn cause_of(&self) -> Cause {
                self.cause()
            }
        })*
    };
}

caused!(
    hardtack::CallError,
    hardtack::DelegateError,
    hardtack::MintError,
    hardtack::PolicyError,
    hardtack::PresentError,
    hardtack::StoreError,
    hardtack::capability::AcceptError,
    hardtack::chain::RevocationIdError,
    hardtack::keys::KeyError,
    hardtack::mcp::MessageError,
    hardtack::names::NameError,
    hardtack::revocation::NotACopy,
    hardtack::revoke::RequestError,
    hardtack::timestamp::TimestampError,
);

impl Caused for hardtack::profile::ShapeError {
    fn cause_of(&self) -> Cause {
        self.cause()
    }

    fn block(&self) -> Option<usize> {
        Ruling::from(&VerifyError::from(self.clone())).hop
    }
}

/// Raises an error of the library as `hardtack.Error`.
pub(crate) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T, E: Caused> OrRaise<T> for Result<T, E> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raised(py, error.cause_of(), &whole(&error), error.block()))
    }
}

/// An error that only this package has, by a cause that it shares with the library.
pub(crate) fn of_cause(py: Python<'_>, cause: Cause, message: &str) -> PyErr {
    raised(py, cause, message, None)
}

/// An error with all that it rests on, each said once.
fn whole(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut inner = error.source();
    while let Some(error) = inner {
        let more = error.to_string();
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        inner = error.source();
    }
    said
}

fn raised(py: Python<'_>, cause: Cause, message: &str, block: Option<usize>) -> PyErr {
    let made = || {
        let given = PyDict::new(py);
        given.set_item("cause", cause.as_str())?;
        given.set_item("block", block)?;
        given.set_item("status", cause.status())?;
        exception(py, "Error", message, &given)
    };
    made().unwrap_or_else(|error| error)
}

/// Raises a refusal, as the kind of `hardtack.Denied` that says how to answer it.
pub(crate) fn denied(py: Python<'_>, denial: &Denial, operation: &str) -> PyErr {
    let kind = match denial {
        Denial::Unauthenticated(_) => "Unauthenticated",
        Denial::Forbidden(_) => "Forbidden",
        Denial::Undecided(_) => "Unavailable",
    };
    let made = || {
        let refusal = denial.refusal();
        let given = PyDict::new(py);
        given.set_item("cause", refusal.cause.as_str())?;
        given.set_item("block", refusal.hop)?;
        given.set_item("place", refusal.place.as_deref())?;
        given.set_item("refused", refused(py, &Refused::of(denial, operation))?)?;
        exception(py, kind, &refusal.message, &given)
    };
    made().unwrap_or_else(|error| error)
}

fn refused<'py>(py: Python<'py>, refused: &Refused) -> PyResult<Bound<'py, PyAny>> {
    let given = PyDict::new(py);
    given.set_item("status", refused.status)?;
    given.set_item("error", refused.error)?;
    given.set_item("description", &refused.description)?;
    given.set_item("scope", refused.scope.as_deref())?;
    given.set_item("cause", refused.cause.map(Cause::as_str))?;
    given.set_item("retry", refused.retry())?;
    given.set_item("retry_after", refused.retry_after.map(|wait| wait.as_secs()))?;
    given.set_item("helps", refused.helps.map(|helps| helps.as_str()))?;
    given.set_item("arguments", pyo3::types::PyTuple::new(py, &refused.arguments)?)?;
    errors(py)?.getattr("Refused")?.call((), Some(&given))
}

fn exception(
    py: Python<'_>,
    kind: &str,
    message: &str,
    given: &Bound<'_, PyDict>,
) -> PyResult<PyErr> {
    let made = errors(py)?.getattr(kind)?.call((message,), Some(given))?;
    Ok(PyErr::from_value(made))
}

fn errors(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static ERRORS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module =
        ERRORS.get_or_try_init(py, || Ok::<_, PyErr>(py.import("hardtack._errors")?.unbind()));
    Ok(module?.bind(py))
}

/// The names that a refusal's error can have.
const NAMES: [&str; 5] = [
    "invalid_token",
    "insufficient_scope",
    "invalid_request",
    "access_denied",
    "temporarily_unavailable",
];

/// The header `WWW-Authenticate` of a refusal; `None` where no other token would help.
#[pyfunction]
pub(crate) fn challenge(
    status: u16,
    error: Option<&str>,
    description: &str,
    scope: Option<String>,
    realm: &str,
    resource_metadata: Option<&str>,
) -> Option<String> {
    let error = error.and_then(|error| NAMES.into_iter().find(|name| *name == error));
    let mut refused = Refused::by_door(status, error, description);
    refused.scope = scope;
    refused.challenge(realm, resource_metadata)
}
