//! Mint: the Issuer, who signs grants with a root key.

use napi_derive::napi;
use serde::Deserialize;

use hardtack::Grant;

use crate::error::OrThrow;
use crate::given::{life, moment, unreadable};
use crate::keys::{PrivateKey, PublicKey};

/// What a grant says, as it comes from `lib/issuer.ts`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Granted {
    subject: String,
    scopes: Vec<String>,
    holder: Option<String>,
    ttl: Option<f64>,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    facts: Vec<String>,
    max_depth: Option<u8>,
    #[serde(default)]
    unbound: bool,
}

/// The issuer of grants: it holds a root key.
#[napi]
#[derive(Debug)]
pub struct Issuer(hardtack::Issuer);

#[napi]
impl Issuer {
    #[napi(factory)]
    pub fn of(
        key: &PrivateKey,
        key_id: Option<u32>,
        longest_life: Option<f64>,
    ) -> napi::Result<Issuer> {
        let mut issuer = hardtack::Issuer::new(key.0.clone());
        if let Some(id) = key_id {
            issuer = issuer.key_id(id);
        }
        if let Some(longest) = longest_life {
            issuer = issuer.longest_life(life(longest)?);
        }
        Ok(Issuer(issuer))
    }

    #[napi(getter)]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public())
    }

    /// Signs a grant, and returns its text.
    #[napi]
    pub fn mint(&self, granted: String, now: Option<f64>) -> napi::Result<String> {
        let said: Granted = serde_json::from_str(&granted).map_err(|error| unreadable(&error))?;
        let mut grant = Grant::to(said.subject);
        grant = said.scopes.into_iter().fold(grant, Grant::scope);
        grant = said.audiences.into_iter().fold(grant, Grant::audience);
        grant = said.facts.into_iter().fold(grant, Grant::fact_datalog);
        grant = said.allow.into_iter().fold(grant, Grant::allow);
        if let Some(holder) = said.holder {
            grant = grant.holder(holder.parse().or_throw()?);
        }
        if said.unbound {
            grant = grant.unbound();
        }
        if let Some(ttl) = said.ttl {
            grant = grant.ttl(life(ttl)?);
        }
        if let Some(hops) = said.max_depth {
            grant = grant.max_depth(hops);
        }
        let minted = self.0.mint(grant, moment(now)?).or_throw()?;
        Ok(minted.to_base64())
    }
}
