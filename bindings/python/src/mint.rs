//! Mint: the Issuer, who signs grants with a root key.

use pyo3::prelude::*;

use hardtack::Grant;

use crate::capability::Capability;
use crate::error::OrRaise;
use crate::given::{Texts, life, moment};
use crate::keys::{PrivateKey, PublicKey, SomeKey};

/// The issuer of grants: it holds a root key.
#[pyclass(frozen, module = "hardtack")]
#[derive(Debug)]
pub(crate) struct Issuer(hardtack::Issuer);

#[pymethods]
impl Issuer {
    #[new]
    #[pyo3(signature = (key, *, key_id=None, longest_life=None))]
    fn new(
        py: Python<'_>,
        key: &Bound<'_, PrivateKey>,
        key_id: Option<u32>,
        longest_life: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Issuer> {
        let mut issuer = hardtack::Issuer::new(key.get().0.clone());
        if let Some(id) = key_id {
            issuer = issuer.key_id(id);
        }
        if let Some(longest) = longest_life {
            issuer = issuer.longest_life(life(py, longest)?);
        }
        Ok(Issuer(issuer))
    }

    #[getter]
    fn public(&self) -> PublicKey {
        PublicKey(self.0.public())
    }

    /// Signs a grant for a subject.
    #[pyo3(signature = (*, subject, scopes, holder=None, ttl=None, allow=None, audiences=None, facts=None, max_depth=None, unbound=false, now=None))]
    #[allow(clippy::too_many_arguments, reason = "they are named where they are given")]
    fn mint(
        &self,
        py: Python<'_>,
        subject: String,
        scopes: Texts,
        holder: Option<SomeKey<'_>>,
        ttl: Option<&Bound<'_, PyAny>>,
        allow: Option<Texts>,
        audiences: Option<Texts>,
        facts: Option<Texts>,
        max_depth: Option<u8>,
        unbound: bool,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Capability> {
        let mut grant = Grant::to(subject);
        grant = Texts::all(Some(scopes)).into_iter().fold(grant, Grant::scope);
        grant = Texts::all(audiences).into_iter().fold(grant, Grant::audience);
        grant = Texts::all(facts).into_iter().fold(grant, Grant::fact_datalog);
        grant = Texts::all(allow).into_iter().fold(grant, Grant::allow);
        if let Some(holder) = holder {
            grant = grant.holder(holder.key(py)?);
        }
        if unbound {
            grant = grant.unbound();
        }
        if let Some(ttl) = ttl {
            grant = grant.ttl(life(py, ttl)?);
        }
        if let Some(hops) = max_depth {
            grant = grant.max_depth(hops);
        }
        let now = moment(py, now)?;
        py.detach(|| self.0.mint(grant, now)).or_raise(py).map(Capability::of)
    }

    fn __repr__(&self) -> String {
        format!("<Issuer with root key {}>", self.0.public())
    }
}
