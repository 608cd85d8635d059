//! Store: revocations, records and accepted presentations in one file.

use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{ClassInstance, Object, ToNapiValue};
use napi_derive::napi;

use hardtack::{Cause, StoreError};

use crate::error::{OrThrow, of_cause};
use crate::given::{moment, shown};
use crate::later::do_later;
use crate::revocation::{Revocation, Revoking};
use crate::shared;

/// Revocations, the log of decisions and the presentations that were used, in one file. One process has it open at a time.
#[napi]
#[derive(Debug)]
pub struct Store(pub(crate) Arc<hardtack::Store>);

fn opened(
    env: &Env,
    open: impl FnOnce() -> Result<hardtack::Store, StoreError> + Send + 'static,
) -> napi::Result<Object<'_>> {
    do_later(env, move || open().or_throw(), |store| Store(Arc::new(store)))
}

impl Store {
    /// Does something with the store where it may wait for the disk.
    fn later<'env, T: ToNapiValue + Send + 'static>(
        &self,
        env: &'env Env,
        work: impl FnOnce(&hardtack::Store) -> napi::Result<T> + Send + 'static,
    ) -> napi::Result<Object<'env>> {
        let store = Arc::clone(&self.0);
        do_later(env, move || work(&store), |done| done)
    }

    fn revoke_later<'env>(
        &self,
        env: &'env Env,
        revoking: hardtack::Revoking,
        now: Option<f64>,
    ) -> napi::Result<Object<'env>> {
        let now = moment(now)?;
        self.later(env, move |store| Ok(store.revoke(revoking, now).or_throw()?.sequence() as f64))
    }
}

#[napi]
impl Store {
    /// Makes a new store. One that exists is left as it is.
    #[napi]
    pub fn create<'env>(env: &'env Env, path: String) -> napi::Result<Object<'env>> {
        opened(env, || hardtack::Store::create(path))
    }

    #[napi]
    pub fn open<'env>(env: &'env Env, path: String) -> napi::Result<Object<'env>> {
        opened(env, || hardtack::Store::open(path))
    }

    #[napi]
    pub fn open_or_create<'env>(env: &'env Env, path: String) -> napi::Result<Object<'env>> {
        opened(env, || hardtack::Store::open_or_create(path))
    }

    /// A store that is gone with the process, for tests.
    #[napi(factory)]
    pub fn in_memory() -> napi::Result<Store> {
        Ok(Store(Arc::new(hardtack::Store::in_memory().or_throw()?)))
    }

    /// The store of another worker of this process, by the number that `share` returned there.
    #[napi(factory)]
    pub fn shared(number: u32) -> napi::Result<Store> {
        let gone = || {
            let message = "no store of this number is open in this process; share the store in the worker that opened it, and keep it there";
            of_cause(Cause::StoreNotThere, message)
        };
        shared::find(number).map(Store).ok_or_else(gone)
    }

    #[napi]
    pub fn share(&self) -> u32 {
        shared::share(&self.0)
    }

    #[napi]
    pub fn revoke<'env>(
        &self,
        env: &'env Env,
        revocation: ClassInstance<'env, Revocation>,
        by: String,
        reason: String,
        now: Option<f64>,
    ) -> napi::Result<Object<'env>> {
        let revoking = hardtack::Revoking::new(revocation.0.clone(), by, reason).or_throw()?;
        self.revoke_later(env, revoking, now)
    }

    /// Does what a guard decided.
    #[napi]
    pub fn revoke_decided<'env>(
        &self,
        env: &'env Env,
        revoking: ClassInstance<'env, Revoking>,
        now: Option<f64>,
    ) -> napi::Result<Object<'env>> {
        self.revoke_later(env, revoking.0.clone(), now)
    }

    /// What is revoked now, as JSON.
    #[napi]
    pub fn revocations<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.later(env, |store| shown(&store.list_revocations().or_throw()?))
    }

    /// The list for servers that decide on a copy, as JSON.
    #[napi]
    pub fn revocation_list<'env>(
        &self,
        env: &'env Env,
        now: Option<f64>,
    ) -> napi::Result<Object<'env>> {
        let now = moment(now)?;
        self.later(env, move |store| shown(&store.reader().revocation_list(now).or_throw()?))
    }

    /// The records from a number on, at most so many, as JSON.
    #[napi]
    pub fn records<'env>(
        &self,
        env: &'env Env,
        start: f64,
        limit: u32,
    ) -> napi::Result<Object<'env>> {
        self.later(env, move |store| {
            let reader = store.reader();
            let lines = reader.records(start as u64).take(limit as usize);
            let read = lines.map(|line| Ok(line?.record()?));
            shown(&read.collect::<Result<Vec<_>, StoreError>>().or_throw()?)
        })
    }

    /// Checks the whole log: that no record was changed, moved or removed.
    #[napi]
    pub fn verify<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.later(env, |store| store.reader().verify().or_throw().map(drop))
    }

    /// Rejects unless it can record and revoke now.
    #[napi]
    pub fn ready<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.later(env, |store| store.ready().or_throw())
    }

    /// Writes what is left and closes it. Decisions with it are refused from then on.
    #[napi]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.later(env, |store| store.close().or_throw())
    }

    #[napi(getter)]
    pub fn path(&self) -> Option<String> {
        self.0.path().map(|path| path.display().to_string())
    }
}
