//! Guard: what a tool server asks before each call.

use std::collections::BTreeMap;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyString;

use hardtack::preview::{Outlook, Preview};
use hardtack::revocation::{RevocationUnchecked, Union};
use hardtack::{
    Cause, Denial, Directory, Lifetimes, RootKeys, Timestamp, VerifiedCapability, Verifier,
};

use crate::call::Call;
use crate::capability::Presentation;
use crate::error::{OrRaise, denied};
use crate::given::{as_python, json, life, moment};
use crate::keys::{PublicKey, SomeKey};
use crate::later::settle_later;
use crate::policy::Policy;
use crate::process::Process;
use crate::revocation::{Revocations, Revoking};
use crate::store::Store;

/// What records call a bearer's admission.
const ADMISSION: &str = "admission";

/// What it is to revoke.
const REVOKE: &str = "hardtack:revoke";

/// The most entries of one list: some ten times what large servers have. Each costs some microseconds.
const MAX_LIST_ENTRIES: usize = 10_000;

/// The most work for one list, in units of roughly 40 ns: a fifth of a second, that of a hundred of the dearest decisions.
const MAX_LIST_COST: u64 = 5_000_000;

/// The guard of a tool server. It verifies the bearer, decides by the token's checks and the policies, and records the decision.
#[pyclass(frozen, module = "hardtack")]
#[derive(Debug)]
pub(crate) struct Guard {
    guard: Arc<hardtack::Guard>,
    made_in: Process,
}

#[cfg(feature = "measure")]
impl Guard {
    pub(crate) fn library(&self) -> &hardtack::Guard {
        &self.guard
    }
}

/// A bearer: its text, or a presentation.
#[derive(FromPyObject)]
pub(crate) enum Bearer<'py> {
    Presented(Bound<'py, Presentation>),
    #[pyo3(transparent)]
    Text(Bound<'py, PyString>),
}

impl Bearer<'_> {
    fn text(&self) -> String {
        match self {
            Bearer::Presented(presentation) => presentation.get().0.bearer().to_owned(),
            // Half a surrogate pair is in no token.
            Bearer::Text(text) => text.to_string_lossy().into_owned(),
        }
    }
}

/// A root key for every token, or one for the tokens that carry an id.
#[derive(FromPyObject)]
pub(crate) enum Root<'py> {
    Of(SomeKey<'py>),
    #[pyo3(transparent)]
    WithId((u32, SomeKey<'py>)),
}

fn root_keys(py: Python<'_>, given: Vec<Root<'_>>) -> PyResult<RootKeys> {
    given.into_iter().try_fold(RootKeys::default(), |roots, root| {
        Ok(match root {
            Root::Of(key) => roots.and(key.key(py)?),
            Root::WithId((id, key)) => roots.and_with_id(id, key.key(py)?),
        })
    })
}

fn lives(py: Python<'_>, given: BTreeMap<String, Bound<'_, PyAny>>) -> PyResult<Lifetimes> {
    let mut lives = Lifetimes::default();
    for (name, longest) in given {
        let longest = life(py, &longest)?;
        match name.as_str() {
            "grant" => lives.grant = longest,
            "hop" => lives.hop = longest,
            "session" => lives.session = longest,
            "call" => lives.call = longest,
            _ => {
                return Err(pyo3::exceptions::PyValueError::new_err(
                    "lifetimes are of grant, hop, session and call",
                ));
            }
        }
    }
    Ok(lives)
}

impl Guard {
    /// Decides without the interpreter, and in no fork.
    fn decided<T: Send>(
        &self,
        py: Python<'_>,
        decide: impl FnOnce(&hardtack::Guard) -> Result<T, Denial> + Send,
    ) -> Result<T, Denial> {
        py.detach(|| {
            self.made_in.refuse_fork()?;
            decide(&self.guard)
        })
    }

    /// Begins to decide, and in no fork. What it returns is awaited.
    fn deciding<'py, T: Send + 'static, D>(
        &self,
        py: Python<'py>,
        operation: String,
        decide: impl FnOnce(Arc<hardtack::Guard>) -> D + Send + 'static,
        shown: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> PyResult<Bound<'py, PyAny>>
    where
        D: Future<Output = Result<T, Denial>> + Send,
    {
        let (guard, made_in) = (Arc::clone(&self.guard), self.made_in);
        let work = async move {
            made_in.refuse_fork()?;
            decide(guard).await
        };
        settle_later(py, operation, work, shown)
    }
}

#[pymethods]
impl Guard {
    /// `roots` are the root keys that are trusted, `audience` is the name of this server. Without a store nothing is recorded, nothing is
    /// revoked but by `revocations`, and a presentation for one call is accepted as often as it comes.
    #[new]
    #[pyo3(signature = (roots, audience, store=None, policies=None, *, revocations=None, lifetimes=None, resource_schemes=None, directory=None, max_staleness=None, accept_unbound_hops=false))]
    #[allow(clippy::too_many_arguments, reason = "they are named where they are given")]
    fn new(
        py: Python<'_>,
        roots: Vec<Root<'_>>,
        audience: String,
        store: Option<&Bound<'_, Store>>,
        policies: Option<&Bound<'_, Policy>>,
        revocations: Option<&Bound<'_, Revocations>>,
        lifetimes: Option<BTreeMap<String, Bound<'_, PyAny>>>,
        resource_schemes: Option<Vec<String>>,
        directory: Option<BTreeMap<String, Vec<SomeKey<'_>>>>,
        max_staleness: Option<&Bound<'_, PyAny>>,
        accept_unbound_hops: bool,
    ) -> PyResult<Guard> {
        let roots = root_keys(py, roots)?;
        let own = store.map(|store| store.get().0.revocations());
        let copied = revocations.map(|copy| copy.get().0.clone());
        let made = match (own, copied) {
            (None, None) => Verifier::new(roots, audience, RevocationUnchecked),
            (Some(one), None) | (None, Some(one)) => Verifier::new(roots, audience, one),
            (Some(own), Some(copy)) => Verifier::new(roots, audience, Union::of(own).and(copy)),
        };
        let mut verifier = made.or_raise(py)?;
        if let Some(lifetimes) = lifetimes {
            verifier = verifier.lifetimes(lives(py, lifetimes)?);
        }
        verifier = match resource_schemes {
            Some(schemes) => verifier.resource_schemes(schemes),
            None => verifier.open_resource_schemes(),
        };
        if let Some(names) = directory {
            let mut directory = Directory::default();
            for (name, keys) in names {
                for key in keys {
                    directory = directory.and(&name, key.key(py)?);
                }
            }
            verifier = verifier.directory(directory);
        }
        if let Some(bound) = max_staleness {
            verifier = verifier.max_staleness(life(py, bound)?);
        }
        if accept_unbound_hops {
            verifier = verifier.accept_unbound_hops();
        }
        let policy = match policies {
            Some(policy) => Arc::clone(&policy.get().0),
            None => Arc::new(hardtack::Policy::builtin()),
        };
        let guard = match store {
            Some(store) => hardtack::Guard::new(verifier, policy, store.get().0.clone()),
            None => hardtack::Guard::unrecorded(verifier, policy),
        };
        Ok(Guard { guard: Arc::new(guard), made_in: Process::here() })
    }

    /// The name of this server.
    #[getter]
    fn audience(&self) -> &str {
        self.guard.verifier().audience()
    }

    /// Judges resources of one more scheme from now on, since the server's own lists name it. Returns whether it is judged: it is not if
    /// `resource_schemes` said which are, if it is no scheme, or if 32 others were named before.
    fn name_resource_scheme(&self, scheme: &str) -> bool {
        self.guard.verifier().name_resource_scheme(scheme)
    }

    /// Decides whether the bearer may do the call. Returns a permit when the decision is recorded, or raises `Denied`.
    #[pyo3(signature = (bearer, call, *, now=None))]
    fn check(
        &self,
        py: Python<'_>,
        bearer: Bearer<'_>,
        call: &Bound<'_, Call>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Permit> {
        let (bearer, call, now) = (bearer.text(), &call.get().0, moment(py, now)?);
        let decided = self.decided(py, |guard| guard.check(&bearer, call, now));
        decided.map(Permit).map_err(|denial| denied(py, &denial, call.operation().as_str()))
    }

    /// Decides as `check` does, for a coroutine. The decision is begun at once.
    #[pyo3(signature = (bearer, call, *, now=None))]
    fn check_async<'py>(
        &self,
        py: Python<'py>,
        bearer: Bearer<'_>,
        call: &Bound<'_, Call>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (bearer, call, now) = (bearer.text(), call.get().0.clone(), moment(py, now)?);
        let operation = call.operation().to_string();
        let decide = move |guard: Arc<hardtack::Guard>| async move {
            guard.check_async(&bearer, &call, now).await
        };
        let shown = |py: Python<'_>, permit| Ok(Py::new(py, Permit(permit))?.into_any());
        self.deciding(py, operation, decide, shown)
    }

    /// Explains how `check` would decide, as a dict. Nothing is recorded or used up. It names policies: it is not for the caller.
    #[pyo3(signature = (bearer, call, *, now=None))]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        bearer: Bearer<'_>,
        call: &Bound<'_, Call>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.made_in.refuse_use(py)?;
        let (bearer, call, now) = (bearer.text(), &call.get().0, moment(py, now)?);
        as_python(py, &py.detach(|| self.guard.explain(&bearer, call, now)))
    }

    /// Verifies a bearer for what any valid one may do, such as to ask for a list. No policy is asked.
    #[pyo3(signature = (bearer, *, now=None))]
    fn admit(
        &self,
        py: Python<'_>,
        bearer: Bearer<'_>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Admitted> {
        let (bearer, now) = (bearer.text(), moment(py, now)?);
        let admitted = self.decided(py, |guard| guard.admit(&bearer, now));
        admitted.map(Admitted).map_err(|denial| denied(py, &denial, ADMISSION))
    }

    /// Verifies as `admit` does, for a coroutine.
    #[pyo3(signature = (bearer, *, now=None))]
    fn admit_async<'py>(
        &self,
        py: Python<'py>,
        bearer: Bearer<'_>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (bearer, now) = (bearer.text(), moment(py, now)?);
        let decide =
            move |guard: Arc<hardtack::Guard>| async move { guard.admit_async(&bearer, now).await };
        let shown = |py: Python<'_>, admitted| Ok(Py::new(py, Admitted(admitted))?.into_any());
        self.deciding(py, ADMISSION.to_owned(), decide, shown)
    }

    /// What may come of these calls, whatever their arguments: `allowed`, `depends_on_arguments` or `denied`. For lists of what the
    /// bearer may use; each call is to be checked all the same.
    #[pyo3(signature = (bearer, calls, *, now=None))]
    fn preview(
        &self,
        py: Python<'_>,
        bearer: Bearer<'_>,
        calls: Vec<Bound<'_, Call>>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<&'static str>> {
        let (bearer, calls, now) = (bearer.text(), calls_of(&calls), moment(py, now)?);
        let seen = self.decided(py, |guard| previews(guard, &bearer, &calls, now));
        seen.map_err(|denial| denied(py, &denial, ADMISSION))
    }

    /// Previews as `preview` does, for a coroutine.
    #[pyo3(signature = (bearer, calls, *, now=None))]
    fn preview_async<'py>(
        &self,
        py: Python<'py>,
        bearer: Bearer<'_>,
        calls: Vec<Bound<'_, Call>>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (bearer, calls, now) = (bearer.text(), calls_of(&calls), moment(py, now)?);
        let decide = move |guard: Arc<hardtack::Guard>| async move {
            guard.blocking(move |guard| previews(guard, &bearer, &calls, now)).await
        };
        let shown = |py: Python<'_>, seen: Vec<&'static str>| Ok(seen.into_pyobject(py)?.unbind());
        self.deciding(py, ADMISSION.to_owned(), decide, shown)
    }

    /// Decides whether the bearer may revoke what a request asks for: the JSON of the request, or a dict. Hand what it returns to
    /// `Store.revoke`.
    #[pyo3(signature = (bearer, request, *, now=None))]
    fn check_revocation(
        &self,
        py: Python<'_>,
        bearer: Bearer<'_>,
        request: &Bound<'_, PyAny>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Revoking> {
        let request = hardtack::RevocationRequest::parse(&json(py, request)?).or_raise(py)?;
        let (bearer, now) = (bearer.text(), moment(py, now)?);
        let decided = self.decided(py, |guard| guard.check_revocation(&bearer, &request, now));
        decided.map(Revoking).map_err(|denial| denied(py, &denial, REVOKE))
    }

    /// Puts another set of policies in force. A decision that has begun ends by the set with which it began.
    fn replace_policies(&self, py: Python<'_>, policies: &Bound<'_, Policy>) -> PyResult<()> {
        self.made_in.refuse_use(py)?;
        let policy = Arc::clone(&policies.get().0);
        py.detach(|| drop(self.guard.replace_policy(policy)));
        Ok(())
    }

    /// Trusts other root keys from now on.
    fn replace_roots(&self, py: Python<'_>, roots: Vec<Root<'_>>) -> PyResult<()> {
        self.made_in.refuse_use(py)?;
        let roots = root_keys(py, roots)?;
        py.detach(|| drop(self.guard.verifier().replace_roots(roots)));
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!("<Guard of {}>", self.guard.verifier().audience())
    }
}

fn calls_of(calls: &[Bound<'_, Call>]) -> Vec<hardtack::Call> {
    calls.iter().map(|call| call.get().0.clone()).collect()
}

fn previews(
    guard: &hardtack::Guard,
    bearer: &str,
    calls: &[hardtack::Call],
    now: Timestamp,
) -> Result<Vec<&'static str>, Denial> {
    let verified = guard.foreseeing(guard.admit(bearer, now)?);
    if calls.len() > MAX_LIST_ENTRIES {
        let message = format!("the list has more than {MAX_LIST_ENTRIES} entries");
        return Err(Denial::undecided_list(Cause::ListTooLong, message));
    }
    let (prepared, policy) = (guard.prepared(&verified), guard.policy());
    let mut outlook = Outlook::over(&prepared, &verified, &policy, MAX_LIST_COST);
    let seen = calls.iter().map(|call| match outlook.of(call) {
        Ok(Preview::Allowed) => Ok("allowed"),
        Ok(Preview::DependsOnArguments) => Ok("depends_on_arguments"),
        Ok(Preview::Denied) => Ok("denied"),
        Err(_) => {
            let message =
                "to say what of this list the token may use takes more work than a list may";
            Err(Denial::undecided_list(Cause::ListTooCostly, message.to_owned()))
        }
    });
    seen.collect()
}

/// The permission for one call, which a guard allowed and recorded. Only a guard makes one.
#[pyclass(frozen, module = "hardtack")]
#[derive(Debug)]
pub(crate) struct Permit(hardtack::Permit);

#[pymethods]
impl Permit {
    /// Whose rights are used.
    #[getter]
    fn subject(&self) -> &str {
        self.0.subject()
    }

    /// The agent that acts; `None` if the subject acts itself.
    #[getter]
    fn agent(&self) -> Option<&str> {
        self.0.agent()
    }

    /// How many hops the chain has.
    #[getter]
    fn depth(&self) -> usize {
        self.0.chain().depth()
    }

    /// The whole chain, verified, as a dict.
    fn chain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        as_python(py, self.0.chain())
    }

    /// The policy that allowed the call, as file and line.
    #[getter]
    fn allowed_by(&self) -> String {
        self.0.allowed_by().to_string()
    }

    /// The number of the decision's record; `None` without a store.
    #[getter]
    fn sequence(&self) -> Option<u64> {
        self.0.sequence()
    }

    fn __repr__(&self) -> String {
        format!("<Permit for {} of {}>", self.0.agent().unwrap_or("the subject"), self.0.subject())
    }
}

/// A bearer that is valid here. It is no permission for any call.
#[pyclass(frozen, module = "hardtack")]
#[derive(Debug)]
pub(crate) struct Admitted(VerifiedCapability);

#[pymethods]
impl Admitted {
    /// Whose rights are used.
    #[getter]
    fn subject(&self) -> &str {
        self.0.subject()
    }

    /// The agent that acts; `None` if the subject acts itself.
    #[getter]
    fn agent(&self) -> Option<&str> {
        self.0.agent()
    }

    /// The scopes at the chain's end.
    #[getter]
    fn scopes(&self) -> Vec<String> {
        self.0.chain().scopes().iter().map(|scope| scope.as_str().to_owned()).collect()
    }

    /// The moment when the presentation is no longer valid, in seconds since 1970.
    #[getter]
    fn expires_at(&self) -> u64 {
        self.0.presentation().expires.unix_seconds()
    }

    /// The root key that signed the grant.
    #[getter]
    fn root(&self) -> PublicKey {
        PublicKey(self.0.root())
    }

    /// The whole chain, verified, as a dict.
    fn chain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        as_python(py, self.0.chain())
    }
}
