//! Guard: what a tool server asks before each call.

use std::collections::BTreeMap;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{ClassInstance, Object, ToNapiValue};
use napi_derive::napi;
use serde::Deserialize;

use hardtack::preview::{Outlook, Preview};
use hardtack::revocation::{RevocationUnchecked, Union};
use hardtack::{
    Cause, Denial, Directory, Lifetimes, RevocationRequest, RootKeys, Timestamp,
    VerifiedCapability, Verifier,
};

use crate::call::Call;
use crate::error::{OrThrow, denied, unharmed};
use crate::given::{life, moment, shown, unreadable};
use crate::keys::PublicKey;
use crate::later::settle_later;
use crate::policy::Policy;
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

/// A root key for every token, or, with an id, for the tokens that carry it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    id: Option<u32>,
    key: String,
}

/// How a guard is set, as it comes from `lib/guard.ts`. Lives are in seconds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    roots: Vec<Root>,
    #[serde(default)]
    lifetimes: BTreeMap<Life, f64>,
    resource_schemes: Option<Vec<String>>,
    directory: Option<BTreeMap<String, Vec<String>>>,
    max_staleness: Option<f64>,
    #[serde(default)]
    accept_unbound_hops: bool,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum Life {
    Grant,
    Hop,
    Session,
    Call,
}

fn root_keys(given: Vec<Root>) -> napi::Result<RootKeys> {
    given.into_iter().try_fold(RootKeys::default(), |roots, root| {
        let key = root.key.parse().or_throw()?;
        Ok(match root.id {
            None => roots.and(key),
            Some(id) => roots.and_with_id(id, key),
        })
    })
}

fn lives(given: BTreeMap<Life, f64>) -> napi::Result<Lifetimes> {
    let mut lives = Lifetimes::default();
    for (name, longest) in given {
        let longest = life(longest)?;
        match name {
            Life::Grant => lives.grant = longest,
            Life::Hop => lives.hop = longest,
            Life::Session => lives.session = longest,
            Life::Call => lives.call = longest,
        }
    }
    Ok(lives)
}

fn set(mut verifier: Verifier, settings: Settings) -> napi::Result<Verifier> {
    verifier = verifier.lifetimes(lives(settings.lifetimes)?);
    verifier = match settings.resource_schemes {
        Some(schemes) => verifier.resource_schemes(schemes),
        None => verifier.open_resource_schemes(),
    };
    if let Some(names) = settings.directory {
        let mut directory = Directory::default();
        for (name, keys) in names {
            for key in keys {
                directory = directory.and(&name, key.parse().or_throw()?);
            }
        }
        verifier = verifier.directory(directory);
    }
    if let Some(bound) = settings.max_staleness {
        verifier = verifier.max_staleness(life(bound)?);
    }
    match settings.accept_unbound_hops {
        true => Ok(verifier.accept_unbound_hops()),
        false => Ok(verifier),
    }
}

/// The guard of a tool server. It verifies the bearer, decides by the token's checks and the policies, and records the decision.
#[napi]
#[derive(Debug)]
pub struct Guard(Arc<hardtack::Guard>);

impl Guard {
    #[cfg(feature = "measure")]
    pub(crate) fn library(&self) -> &hardtack::Guard {
        &self.0
    }

    /// Begins to decide. What it returns is awaited.
    fn deciding<'env, T, V, D>(
        &self,
        env: &'env Env,
        operation: &str,
        decide: impl FnOnce(Arc<hardtack::Guard>) -> D + Send + 'static,
        made: impl FnOnce(T) -> V + Send + 'static,
    ) -> napi::Result<Object<'env>>
    where
        T: Send + 'static,
        V: ToNapiValue + 'static,
        D: Future<Output = Result<T, Denial>> + Send,
    {
        let (guard, of) = (Arc::clone(&self.0), operation.to_owned());
        let work = async move { decide(guard).await.map_err(|denial| denied(&denial, &of)) };
        settle_later(env, operation, work, made)
    }
}

#[napi]
impl Guard {
    /// `settings` are JSON. Without a store nothing is recorded, nothing is revoked but by `revocations`, and a presentation for one call
    /// is accepted as often as it comes.
    #[napi(factory)]
    pub fn of(
        audience: String,
        settings: String,
        store: Option<ClassInstance<'_, Store>>,
        policies: Option<ClassInstance<'_, Policy>>,
        revocations: Option<ClassInstance<'_, Revocations>>,
    ) -> napi::Result<Guard> {
        let mut settings: Settings =
            serde_json::from_str(&settings).map_err(|error| unreadable(&error))?;
        let roots = root_keys(std::mem::take(&mut settings.roots))?;
        let own = store.as_ref().map(|store| store.0.revocations());
        let copied = revocations.map(|copy| copy.0.clone());
        let made = match (own, copied) {
            (None, None) => Verifier::new(roots, audience, RevocationUnchecked),
            (Some(one), None) | (None, Some(one)) => Verifier::new(roots, audience, one),
            (Some(own), Some(copy)) => Verifier::new(roots, audience, Union::of(own).and(copy)),
        };
        let verifier = set(made.or_throw()?, settings)?;
        let policy = match policies {
            Some(policy) => Arc::clone(&policy.0),
            None => Arc::new(hardtack::Policy::builtin()),
        };
        let guard = match store {
            Some(store) => hardtack::Guard::new(verifier, policy, (*store.0).clone()),
            None => hardtack::Guard::unrecorded(verifier, policy),
        };
        Ok(Guard(Arc::new(guard)))
    }

    #[napi(getter)]
    pub fn audience(&self) -> &str {
        self.0.verifier().audience()
    }

    /// Judges resources of one more scheme from now on, since the server's own lists name it.
    #[napi]
    pub fn name_resource_scheme(&self, scheme: String) -> bool {
        self.0.verifier().name_resource_scheme(&scheme)
    }

    /// Decides on this thread, which waits for the record.
    #[napi]
    pub fn check_sync(
        &self,
        bearer: String,
        call: &Call,
        now: Option<f64>,
    ) -> napi::Result<Permit> {
        let now = moment(now)?;
        unharmed(|| {
            let decided = self.0.check(&bearer, &call.0, now);
            decided.map(Permit).map_err(|denial| denied(&denial, call.0.operation().as_str()))
        })
    }

    #[napi]
    pub fn check<'env>(
        &self,
        env: &'env Env,
        bearer: String,
        call: ClassInstance<'env, Call>,
        now: Option<f64>,
    ) -> napi::Result<Object<'env>> {
        let (call, now) = (call.0.clone(), moment(now)?);
        let operation = call.operation().as_str().to_owned();
        let decide = move |guard: Arc<hardtack::Guard>| async move {
            guard.check_async(&bearer, &call, now).await
        };
        self.deciding(env, &operation, decide, Permit)
    }

    /// Explains how `check` would decide, as JSON. Nothing is recorded or used up.
    #[napi]
    pub fn explain<'env>(
        &self,
        env: &'env Env,
        bearer: String,
        call: ClassInstance<'env, Call>,
        now: Option<f64>,
    ) -> napi::Result<Object<'env>> {
        let (call, now) = (call.0.clone(), moment(now)?);
        let operation = call.operation().as_str().to_owned();
        let decide = move |guard: Arc<hardtack::Guard>| async move {
            let explain = move |guard: &hardtack::Guard| {
                let told = serde_json::to_string(&guard.explain(&bearer, &call, now));
                told.map_err(|_| Denial::unfinished("the explanation cannot be written"))
            };
            guard.blocking(explain).await
        };
        self.deciding(env, &operation, decide, |told| told)
    }

    #[napi]
    pub fn admit_sync(&self, bearer: String, now: Option<f64>) -> napi::Result<Admitted> {
        let now = moment(now)?;
        unharmed(|| {
            let admitted = self.0.admit(&bearer, now);
            admitted.map(Admitted).map_err(|denial| denied(&denial, ADMISSION))
        })
    }

    /// Verifies a bearer for what any valid one may do, such as to ask for a list. No policy is asked.
    #[napi]
    pub fn admit<'env>(
        &self,
        env: &'env Env,
        bearer: String,
        now: Option<f64>,
    ) -> napi::Result<Object<'env>> {
        let now = moment(now)?;
        let decide =
            move |guard: Arc<hardtack::Guard>| async move { guard.admit_async(&bearer, now).await };
        self.deciding(env, ADMISSION, decide, Admitted)
    }

    #[napi]
    pub fn preview_sync(
        &self,
        bearer: String,
        calls: Vec<ClassInstance<'_, Call>>,
        now: Option<f64>,
    ) -> napi::Result<Vec<&'static str>> {
        let (calls, now) = (calls_of(&calls), moment(now)?);
        unharmed(|| {
            let seen = previews(&self.0, &bearer, &calls, now);
            seen.map_err(|denial| denied(&denial, ADMISSION))
        })
    }

    /// What may come of these calls, whatever their arguments.
    #[napi]
    pub fn preview<'env>(
        &self,
        env: &'env Env,
        bearer: String,
        calls: Vec<ClassInstance<'env, Call>>,
        now: Option<f64>,
    ) -> napi::Result<Object<'env>> {
        let (calls, now) = (calls_of(&calls), moment(now)?);
        let decide = move |guard: Arc<hardtack::Guard>| async move {
            guard.blocking(move |guard| previews(guard, &bearer, &calls, now)).await
        };
        self.deciding(env, ADMISSION, decide, |seen| seen)
    }

    /// Decides whether the bearer may revoke what a request asks for, its JSON.
    #[napi]
    pub fn check_revocation<'env>(
        &self,
        env: &'env Env,
        bearer: String,
        request: String,
        now: Option<f64>,
    ) -> napi::Result<Object<'env>> {
        let request = unharmed(|| RevocationRequest::parse(&request).or_throw())?;
        let now = moment(now)?;
        let decide = move |guard: Arc<hardtack::Guard>| async move {
            guard.check_revocation_async(&bearer, &request, now).await
        };
        self.deciding(env, REVOKE, decide, Revoking)
    }

    /// Puts another set of policies in force. A decision that has begun ends by the set with which it began.
    #[napi]
    pub fn replace_policies(&self, policies: &Policy) {
        drop(self.0.replace_policy(Arc::clone(&policies.0)));
    }

    /// Trusts other root keys from now on: settings with `roots` alone.
    #[napi]
    pub fn replace_roots(&self, settings: String) -> napi::Result<()> {
        let settings: Settings =
            serde_json::from_str(&settings).map_err(|error| unreadable(&error))?;
        drop(self.0.verifier().replace_roots(root_keys(settings.roots)?));
        Ok(())
    }
}

fn calls_of(calls: &[ClassInstance<'_, Call>]) -> Vec<hardtack::Call> {
    calls.iter().map(|call| call.0.clone()).collect()
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
#[napi]
#[derive(Debug)]
pub struct Permit(hardtack::Permit);

#[napi]
impl Permit {
    #[napi(getter)]
    pub fn subject(&self) -> &str {
        self.0.subject()
    }

    #[napi(getter)]
    pub fn agent(&self) -> Option<&str> {
        self.0.agent()
    }

    #[napi(getter)]
    pub fn depth(&self) -> u32 {
        u32::try_from(self.0.chain().depth()).unwrap_or(u32::MAX)
    }

    /// The whole chain, verified, as JSON.
    #[napi]
    pub fn chain(&self) -> napi::Result<String> {
        shown(self.0.chain())
    }

    #[napi(getter)]
    pub fn allowed_by(&self) -> String {
        self.0.allowed_by().to_string()
    }

    #[napi(getter)]
    pub fn sequence(&self) -> Option<f64> {
        self.0.sequence().map(|sequence| sequence as f64)
    }
}

/// A bearer that is valid here. It is no permission for any call.
#[napi]
#[derive(Debug)]
pub struct Admitted(VerifiedCapability);

#[napi]
impl Admitted {
    #[napi(getter)]
    pub fn subject(&self) -> &str {
        self.0.subject()
    }

    #[napi(getter)]
    pub fn agent(&self) -> Option<&str> {
        self.0.agent()
    }

    #[napi(getter)]
    pub fn scopes(&self) -> Vec<String> {
        self.0.chain().scopes().iter().map(|scope| scope.as_str().to_owned()).collect()
    }

    #[napi(getter)]
    pub fn expires_at(&self) -> f64 {
        self.0.presentation().expires.unix_seconds() as f64
    }

    #[napi(getter)]
    pub fn root(&self) -> PublicKey {
        PublicKey(self.0.root())
    }

    /// The whole chain, verified, as JSON.
    #[napi]
    pub fn chain(&self) -> napi::Result<String> {
        shown(self.0.chain())
    }
}
