//! Policy: a set of policies in Datalog.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;

use crate::error::OrRaise;

/// A set of policies: what a server allows.
#[pyclass(frozen, module = "hardtack")]
#[derive(Debug)]
pub(crate) struct Policy(pub(crate) Arc<hardtack::Policy>);

#[pymethods]
impl Policy {
    /// What the chain grants is allowed, and nothing else.
    #[staticmethod]
    fn builtin() -> Policy {
        Policy(Arc::new(hardtack::Policy::builtin()))
    }

    /// Reads every `*.datalog` file of a folder as one set.
    #[staticmethod]
    fn load(py: Python<'_>, folder: PathBuf) -> PyResult<Policy> {
        let loaded = py.detach(|| hardtack::Policy::load(folder)).or_raise(py)?;
        Ok(Policy(Arc::new(loaded)))
    }

    /// Reads one text as a set; `name` stands in records for the file.
    #[staticmethod]
    #[pyo3(signature = (text, name="policy.datalog"))]
    fn parse(py: Python<'_>, text: &str, name: &str) -> PyResult<Policy> {
        let parsed = py.detach(|| hardtack::Policy::parse(name, text)).or_raise(py)?;
        Ok(Policy(Arc::new(parsed)))
    }

    /// Reads several texts as one set, each by the name of its file.
    #[staticmethod]
    fn parse_set(
        py: Python<'_>,
        files: std::collections::BTreeMap<String, String>,
    ) -> PyResult<Policy> {
        let parsed = py.detach(|| hardtack::Policy::parse_set(files)).or_raise(py)?;
        Ok(Policy(Arc::new(parsed)))
    }

    /// What identifies the set in records.
    #[getter]
    fn digest(&self) -> &str {
        self.0.digest()
    }

    fn __repr__(&self) -> String {
        format!("<Policy {}>", self.0.digest())
    }
}
