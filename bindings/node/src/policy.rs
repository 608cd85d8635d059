//! Policy: a set of policies in Datalog.

use std::collections::HashMap;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;

use crate::error::{OrThrow, unharmed};
use crate::later::do_later;

/// A set of policies: what a server allows.
#[napi]
#[derive(Debug)]
pub struct Policy(pub(crate) Arc<hardtack::Policy>);

#[napi]
impl Policy {
    /// What the chain grants is allowed, and nothing else.
    #[napi(factory)]
    pub fn builtin() -> Policy {
        Policy(Arc::new(hardtack::Policy::builtin()))
    }

    /// Reads every `*.datalog` file of a folder as one set.
    #[napi]
    pub fn load<'env>(env: &'env Env, folder: String) -> napi::Result<Object<'env>> {
        let load = move || hardtack::Policy::load(folder).or_throw();
        do_later(env, load, |loaded| Policy(Arc::new(loaded)))
    }

    /// Reads one text as a set; `name` stands in records for the file.
    #[napi(factory)]
    pub fn parse(name: String, text: String) -> napi::Result<Policy> {
        let parsed = unharmed(|| hardtack::Policy::parse(&name, &text).or_throw())?;
        Ok(Policy(Arc::new(parsed)))
    }

    /// Reads several texts as one set, each by the name of its file.
    #[napi(factory)]
    pub fn parse_set(files: HashMap<String, String>) -> napi::Result<Policy> {
        let parsed = unharmed(|| hardtack::Policy::parse_set(files).or_throw())?;
        Ok(Policy(Arc::new(parsed)))
    }

    /// What identifies the set in records.
    #[napi(getter)]
    pub fn digest(&self) -> &str {
        self.0.digest()
    }
}
