//! Revocation: what is revoked, who asks for it, and copies of what another server revoked.

use pyo3::prelude::*;

use crate::error::{Caused, OrRaise};
use crate::given::{as_python, from_python, moment};
use crate::keys::SomeKey;

/// What is revoked: a block, a subject, a holder's key or an agent's name.
#[pyclass(frozen, eq, module = "hardtack")]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Revocation(pub(crate) hardtack::Revocation);

impl Revocation {
    fn of(py: Python<'_>, revocation: hardtack::Revocation) -> PyResult<Revocation> {
        revocation.check().or_raise(py)?;
        Ok(Revocation(revocation))
    }
}

#[pymethods]
impl Revocation {
    /// One block, and all that stands on it.
    #[staticmethod]
    fn id(py: Python<'_>, id: &str) -> PyResult<Revocation> {
        Revocation::of(py, hardtack::Revocation::Id { id: id.parse().or_raise(py)? })
    }

    /// Every grant for a subject that was issued up to now, and a minute more; of one root's, if one is given.
    #[staticmethod]
    #[pyo3(signature = (subject, root=None))]
    fn subject(py: Python<'_>, subject: String, root: Option<SomeKey<'_>>) -> PyResult<Revocation> {
        let root = root.map(|root| root.key(py)).transpose()?;
        Revocation::of(py, hardtack::Revocation::Subject { subject, root })
    }

    /// A holder's key, for good.
    #[staticmethod]
    fn holder(py: Python<'_>, key: SomeKey<'_>) -> PyResult<Revocation> {
        Revocation::of(py, hardtack::Revocation::Holder { key: key.key(py)? })
    }

    /// An agent's name, for good.
    #[staticmethod]
    fn agent(py: Python<'_>, agent: String) -> PyResult<Revocation> {
        Revocation::of(py, hardtack::Revocation::Agent { agent })
    }

    /// All that an agent of this name holds by now.
    #[staticmethod]
    fn agent_until_now(py: Python<'_>, agent: String) -> PyResult<Revocation> {
        Revocation::of(py, hardtack::Revocation::AgentUntilNow { agent })
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Revocation of {}>", self.0)
    }
}

/// A revocation that a bearer may ask for, as a guard decided: what is handed to the store.
#[pyclass(frozen, module = "hardtack")]
#[derive(Debug)]
pub(crate) struct Revoking(pub(crate) hardtack::Revoking);

#[pymethods]
impl Revoking {
    #[getter]
    fn revocation(&self) -> Revocation {
        Revocation(self.0.revocation().clone())
    }

    #[getter]
    fn by(&self) -> &str {
        self.0.by()
    }

    #[getter]
    fn reason(&self) -> &str {
        self.0.reason()
    }
}

/// A copy of another server's revocations. It is renewed from a list; while it is older than half a minute, nothing is allowed by it.
#[pyclass(frozen, module = "hardtack")]
#[derive(Debug)]
pub(crate) struct Revocations(pub(crate) hardtack::Revocations);

#[pymethods]
impl Revocations {
    /// Makes a copy from a list, a dict or its JSON: `as_of`, `forgotten_until`, `revocations`.
    #[staticmethod]
    fn copied(list: &Bound<'_, PyAny>) -> PyResult<Revocations> {
        Ok(Revocations(hardtack::Revocations::copied(&from_python(list)?)))
    }

    /// Adds what a newer list knows, and forgets what may be forgotten.
    #[pyo3(signature = (list, *, now=None))]
    fn renew(
        &self,
        py: Python<'_>,
        list: &Bound<'_, PyAny>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (list, now) = (from_python(list)?, moment(py, now)?);
        py.detach(|| self.0.renew(&list, now)).or_raise(py)
    }
}

/// A list of what is in force, as dicts.
pub(crate) fn shown<'py, E: Caused>(
    py: Python<'py>,
    listed: Result<impl serde::Serialize, E>,
) -> PyResult<Bound<'py, PyAny>> {
    as_python(py, &listed.or_raise(py)?)
}
