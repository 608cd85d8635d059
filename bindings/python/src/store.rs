//! Store: revocations, records and accepted presentations in one file.

use std::path::PathBuf;

use pyo3::prelude::*;

use hardtack::StoreError;

use crate::error::OrRaise;
use crate::given::{as_python, moment};
use crate::revocation::{Revocation, Revoking, shown};

/// Revocations, the log of decisions and the presentations that were used, in one file. One process has it open at a time.
///
/// It is closed by `close`, at the end of `with`, or when it and the guards that use it are gone.
#[pyclass(frozen, module = "hardtack")]
#[derive(Debug)]
pub(crate) struct Store(pub(crate) hardtack::Store);

/// What is to be revoked.
#[derive(FromPyObject)]
pub(crate) enum What<'py> {
    Decided(Bound<'py, Revoking>),
    Named(Bound<'py, Revocation>),
}

/// Opens without the interpreter, since it waits for the disk.
fn opened(
    py: Python<'_>,
    open: impl FnOnce() -> Result<hardtack::Store, StoreError> + Send,
) -> PyResult<Store> {
    py.detach(open).or_raise(py).map(Store)
}

#[pymethods]
impl Store {
    /// Makes a new store. One that exists is left as it is.
    #[staticmethod]
    fn create(py: Python<'_>, path: PathBuf) -> PyResult<Store> {
        opened(py, || hardtack::Store::create(path))
    }

    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Store> {
        opened(py, || hardtack::Store::open(path))
    }

    #[staticmethod]
    fn open_or_create(py: Python<'_>, path: PathBuf) -> PyResult<Store> {
        opened(py, || hardtack::Store::open_or_create(path))
    }

    /// A store that is gone with the process, for tests.
    #[staticmethod]
    fn in_memory(py: Python<'_>) -> PyResult<Store> {
        opened(py, hardtack::Store::in_memory)
    }

    /// Revokes. When this returns, it is on disk and in force; the number is that of its record.
    #[pyo3(signature = (what, *, by=None, reason=None, now=None))]
    fn revoke(
        &self,
        py: Python<'_>,
        what: What<'_>,
        by: Option<String>,
        reason: Option<String>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let revoking = match (what, by, reason) {
            (What::Decided(revoking), None, None) => revoking.get().0.clone(),
            (What::Named(revocation), Some(by), Some(reason)) => {
                let revocation = revocation.get().0.clone();
                hardtack::Revoking::new(revocation, by, reason).or_raise(py)?
            }
            _ => {
                return Err(pyo3::exceptions::PyTypeError::new_err(
                    "a Revocation needs by and reason; a Revoking has both",
                ));
            }
        };
        let now = moment(py, now)?;
        let receipt = py.detach(|| self.0.revoke(revoking, now)).or_raise(py)?;
        Ok(receipt.sequence())
    }

    /// What is revoked now, each as a dict.
    fn revocations<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let listed = py.detach(|| self.0.list_revocations());
        shown(py, listed)
    }

    /// The list for servers that decide on a copy (`Revocations.copied`).
    #[pyo3(signature = (*, now=None))]
    fn revocation_list<'py>(
        &self,
        py: Python<'py>,
        now: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let now = moment(py, now)?;
        let listed = py.detach(|| self.0.reader().revocation_list(now));
        shown(py, listed)
    }

    /// The records from a number on, at most so many, each as a dict.
    #[pyo3(signature = (*, start=1, limit=1000))]
    fn records<'py>(
        &self,
        py: Python<'py>,
        start: u64,
        limit: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let read = py.detach(|| {
            let reader = self.0.reader();
            let lines = reader.records(start).take(limit);
            lines.map(|line| Ok(line?.record()?)).collect::<Result<Vec<_>, StoreError>>()
        });
        as_python(py, &read.or_raise(py)?)
    }

    /// Checks the whole log: that no record was changed, moved or removed. Raises if one was.
    fn verify(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.reader().verify()).or_raise(py).map(drop)
    }

    /// Raises unless it can record and revoke now.
    fn ready(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.ready()).or_raise(py)
    }

    /// Writes what is left and closes it. Decisions with it are refused from then on.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.close()).or_raise(py)
    }

    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.0.path().map(PathBuf::from)
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _exception: &Bound<'_, pyo3::types::PyTuple>,
    ) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        match self.0.path() {
            Some(path) => format!("<Store at {}>", path.display()),
            None => "<Store in memory>".to_owned(),
        }
    }
}
