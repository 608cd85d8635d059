//! Capability: a token in its holder's hands, and the presentation that is made of it.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use hardtack::capability::Expect;
use hardtack::profile::ShapeError;
use hardtack::{Delegation, Presenting};

use crate::call::Call;
use crate::error::OrRaise;
use crate::given::{Texts, as_python, datetime, life, moment};
use crate::keys::{PrivateKey, PublicKey, SomeKey};
use crate::process::Process;

/// A token in its holder's hands, which can be delegated or presented. Nothing that it says is verified.
#[pyclass(frozen, module = "hardtack")]
#[derive(Debug)]
pub(crate) struct Capability {
    held: hardtack::Capability,
    made_in: Process,
}

impl Capability {
    pub(crate) fn of(held: hardtack::Capability) -> Capability {
        Capability { held, made_in: Process::here() }
    }

    /// The capability, to be delegated or presented. In a fork it is read anew: what it remembers of its signatures may be locked for
    /// ever.
    pub(crate) fn usable(&self) -> Result<hardtack::Capability, ShapeError> {
        match self.made_in.is_elsewhere() {
            true => hardtack::Capability::from_bytes(&self.held.to_bytes()),
            false => Ok(self.held.clone()),
        }
    }
}

#[pymethods]
impl Capability {
    /// Reads a token's text. Checks its shape and cost, and verifies no signature.
    #[staticmethod]
    fn parse(py: Python<'_>, text: &str) -> PyResult<Capability> {
        py.detach(|| hardtack::Capability::parse(text)).or_raise(py).map(Capability::of)
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, raw: &[u8]) -> PyResult<Capability> {
        py.detach(|| hardtack::Capability::from_bytes(raw)).or_raise(py).map(Capability::of)
    }

    /// Reads a token that somebody hands over, and checks that it comes from where it should.
    #[staticmethod]
    #[pyo3(signature = (text, *, delegator=None, root=None, subject=None))]
    fn accept(
        py: Python<'_>,
        text: &str,
        delegator: Option<SomeKey<'_>>,
        root: Option<SomeKey<'_>>,
        subject: Option<&str>,
    ) -> PyResult<Capability> {
        let expected = match (delegator, root, subject) {
            (Some(delegator), None, None) => Expect::Delegator { key: delegator.key(py)? },
            (None, Some(root), Some(subject)) => Expect::Root { key: root.key(py)?, subject },
            _ => {
                return Err(PyValueError::new_err(
                    "say from whom it should be: delegator=…, or root=… and subject=…",
                ));
            }
        };
        py.detach(|| hardtack::Capability::accept(text, expected)).or_raise(py).map(Capability::of)
    }

    /// The token's text: a secret.
    fn to_base64(&self) -> String {
        self.held.to_base64()
    }

    /// The token's bytes: a secret.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.held.to_bytes())
    }

    /// What the token says, as a dict: `grant`, `hops`, `caveats`, `presentation`, what holds at the end, and what each block demands
    /// besides. Nothing of it is verified.
    fn inspect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let chain = self.held.chain();
        let shown = as_python(py, chain)?;
        shown.set_item("holder", chain.holder().map(|key| key.to_string()))?;
        shown.set_item("scopes", as_python(py, &chain.scopes())?)?;
        shown.set_item("audiences", chain.audiences().to_vec())?;
        shown.set_item("expires", chain.expires().to_string())?;
        shown.set_item("bearer_name", chain.bearer_name())?;
        shown.set_item("depth", chain.depth())?;
        shown.set_item("root_key_id", self.held.root_key_id())?;
        shown.set_item("demands", self.held.demands())?;
        Ok(shown)
    }

    #[getter]
    fn expires<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        datetime(py, self.held.chain().expires())
    }

    #[getter]
    fn holder(&self) -> Option<PublicKey> {
        self.held.chain().holder().map(PublicKey)
    }

    /// The number of the first block after the grant whose signature is not valid.
    fn first_damaged_block(&self, py: Python<'_>) -> PyResult<Option<usize>> {
        let held = self.usable().or_raise(py)?;
        Ok(py.detach(|| held.first_damaged_block()))
    }

    /// Passes on a part, offline. `key` is the holder's; `None` for a token that names no holder.
    #[pyo3(signature = (key, *, to, scopes, reason, holder=None, allow=None, ttl=None, audiences=None, checks=None, longest_life=None, unbound=false, now=None))]
    #[allow(clippy::too_many_arguments, reason = "they are named where they are given")]
    fn delegate(
        &self,
        py: Python<'_>,
        key: Option<&Bound<'_, PrivateKey>>,
        to: String,
        scopes: Texts,
        reason: String,
        holder: Option<SomeKey<'_>>,
        allow: Option<Texts>,
        ttl: Option<&Bound<'_, PyAny>>,
        audiences: Option<Texts>,
        checks: Option<Texts>,
        longest_life: Option<&Bound<'_, PyAny>>,
        unbound: bool,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Capability> {
        let mut part = Delegation::to(to).reason(reason);
        part = Texts::all(Some(scopes)).into_iter().fold(part, Delegation::scope);
        part = Texts::all(audiences).into_iter().fold(part, Delegation::audience);
        part = Texts::all(allow).into_iter().fold(part, Delegation::allow);
        part = Texts::all(checks).into_iter().fold(part, Delegation::check);
        if let Some(holder) = holder {
            part = part.holder(holder.key(py)?);
        }
        if unbound {
            part = part.unbound();
        }
        if let Some(ttl) = ttl {
            part = part.ttl(life(py, ttl)?);
        }
        if let Some(longest) = longest_life {
            part = part.longest_life(life(py, longest)?);
        }
        let (key, now) = (key.map(|key| &key.get().0), moment(py, now)?);
        let held = self.usable().or_raise(py)?;
        let delegated = py.detach(|| match key {
            Some(key) => held.delegate(part, key, now),
            None => held.delegate_unbound(part, now),
        });
        delegated.or_raise(py).map(Capability::of)
    }

    /// Makes the bearer for one server, for minutes; with `call`, for this call alone, once.
    #[pyo3(signature = (key, audience, call=None, *, only=None, even_uncovered=false, ttl=None, now=None))]
    #[allow(clippy::too_many_arguments, reason = "they are named where they are given")]
    fn present(
        &self,
        py: Python<'_>,
        key: Option<&Bound<'_, PrivateKey>>,
        audience: String,
        call: Option<&Bound<'_, Call>>,
        only: Option<Vec<Bound<'_, Call>>>,
        even_uncovered: bool,
        ttl: Option<&Bound<'_, PyAny>>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Presentation> {
        let mut presenting = Presenting::to(audience);
        if call.is_some() && only.is_some() {
            return Err(PyValueError::new_err("give either call or only"));
        }
        if let Some(call) = call {
            presenting = presenting.call(call.get().0.clone());
        }
        if let Some(calls) = only {
            presenting = presenting.only(calls.iter().map(|call| call.get().0.clone()));
        }
        if even_uncovered {
            presenting = presenting.even_uncovered();
        }
        if let Some(ttl) = ttl {
            presenting = presenting.ttl(life(py, ttl)?);
        }
        let (key, now) = (key.map(|key| &key.get().0), moment(py, now)?);
        let held = self.usable().or_raise(py)?;
        let presented = py.detach(|| match key {
            Some(key) => held.present(presenting, key, now),
            None => held.present_unbound(presenting, now),
        });
        presented.or_raise(py).map(Presentation)
    }

    fn __repr__(&self) -> String {
        let chain = self.held.chain();
        let scopes: Vec<&str> = chain.scopes().iter().map(|scope| scope.as_str()).collect();
        format!(
            "<Capability of {} for {}, until {}>",
            chain.bearer_name(),
            scopes.join(" "),
            chain.expires()
        )
    }
}

/// A presentation: what goes over the wire, to one server.
#[pyclass(frozen, module = "hardtack")]
#[derive(Debug)]
pub(crate) struct Presentation(pub(crate) hardtack::Presentation);

#[pymethods]
impl Presentation {
    /// The bearer token: a secret while it is valid.
    #[getter]
    fn bearer(&self) -> &str {
        self.0.bearer()
    }

    #[getter]
    fn expires<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        datetime(py, self.0.expires())
    }

    /// Whether it is longer than some servers take a header.
    #[getter]
    fn is_long(&self) -> bool {
        self.0.is_long()
    }

    #[getter]
    fn revocation_id(&self) -> Option<String> {
        self.0.revocation_id().map(|id| id.to_string())
    }

    fn __repr__(&self) -> String {
        format!("<Presentation until {}>", self.0.expires())
    }
}
