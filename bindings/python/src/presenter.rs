//! Presenter: presentations that are kept and made anew in time.

use pyo3::prelude::*;

use crate::call::Call;
use crate::capability::{Capability, Presentation};
use crate::error::OrRaise;
use crate::given::moment;
use crate::keys::PrivateKey;
use crate::process::Process;

/// Presents one capability again and again. A session's presentation is kept and made anew; one for a call is made each time.
#[pyclass(frozen, module = "hardtack")]
#[derive(Debug)]
pub(crate) struct Presenter {
    presenter: hardtack::present::Presenter,
    made_in: Process,
}

#[pymethods]
impl Presenter {
    /// With `even_uncovered`, calls that the capability does not cover are presented all the same, for the server to refuse them.
    #[new]
    #[pyo3(signature = (capability, key, *, even_uncovered=false))]
    fn new(
        py: Python<'_>,
        capability: &Bound<'_, Capability>,
        key: &Bound<'_, PrivateKey>,
        even_uncovered: bool,
    ) -> PyResult<Presenter> {
        let (capability, key) = (capability.get().usable().or_raise(py)?, key.get().0.clone());
        let made = py.detach(|| hardtack::present::Presenter::new(capability, key));
        let presenter = made.or_raise(py)?;
        let presenter = if even_uncovered { presenter.even_uncovered() } else { presenter };
        Ok(Presenter { presenter, made_in: Process::here() })
    }

    /// The presentation for all that the capability grants.
    #[pyo3(signature = (audience, *, now=None))]
    fn session(
        &self,
        py: Python<'_>,
        audience: &str,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Presentation> {
        self.made_in.refuse_use(py)?;
        let now = moment(py, now)?;
        py.detach(|| self.presenter.session(audience, now)).or_raise(py).map(Presentation)
    }

    /// The presentation for what is no call, such as a list.
    #[pyo3(signature = (audience, *, now=None))]
    fn for_no_call(
        &self,
        py: Python<'_>,
        audience: &str,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Presentation> {
        self.made_in.refuse_use(py)?;
        let now = moment(py, now)?;
        py.detach(|| self.presenter.for_no_call(audience, now)).or_raise(py).map(Presentation)
    }

    /// A presentation for these calls alone: for one call once, for several as often as they are made.
    #[pyo3(signature = (audience, calls, *, now=None))]
    fn for_calls(
        &self,
        py: Python<'_>,
        audience: &str,
        calls: Vec<Bound<'_, Call>>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Presentation> {
        self.made_in.refuse_use(py)?;
        let now = moment(py, now)?;
        let calls: Vec<_> = calls.iter().map(|call| call.get().0.clone()).collect();
        py.detach(|| self.presenter.for_calls(audience, calls, now)).or_raise(py).map(Presentation)
    }

    /// Presents another capability of the same key from now on, such as one that was renewed.
    fn replace(&self, py: Python<'_>, capability: &Bound<'_, Capability>) -> PyResult<()> {
        self.made_in.refuse_use(py)?;
        let capability = capability.get().usable().or_raise(py)?;
        py.detach(|| self.presenter.replace(capability)).or_raise(py)
    }

    fn __repr__(&self) -> &'static str {
        "<Presenter>"
    }
}
