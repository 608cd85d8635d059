//! Revocation: what is revoked, who asks for it, and copies of what another server revoked.

use napi_derive::napi;

use crate::error::OrThrow;
use crate::given::{moment, unreadable};

/// What is revoked: a block, a subject, a holder's key or an agent's name.
#[napi]
#[derive(Debug)]
pub struct Revocation(pub(crate) hardtack::Revocation);

fn checked(revocation: hardtack::Revocation) -> napi::Result<Revocation> {
    revocation.check().or_throw()?;
    Ok(Revocation(revocation))
}

#[napi]
impl Revocation {
    /// One block, and all that stands on it.
    #[napi(factory)]
    pub fn id(id: String) -> napi::Result<Revocation> {
        checked(hardtack::Revocation::Id { id: id.parse().or_throw()? })
    }

    /// Every grant for a subject that was issued up to now, and a minute more; of one root's, if one is given.
    #[napi(factory)]
    pub fn subject(subject: String, root: Option<String>) -> napi::Result<Revocation> {
        let root = root.map(|root| root.parse().or_throw()).transpose()?;
        checked(hardtack::Revocation::Subject { subject, root })
    }

    /// A holder's key, for good.
    #[napi(factory)]
    pub fn holder(key: String) -> napi::Result<Revocation> {
        checked(hardtack::Revocation::Holder { key: key.parse().or_throw()? })
    }

    /// An agent's name, for good.
    #[napi(factory)]
    pub fn agent(agent: String) -> napi::Result<Revocation> {
        checked(hardtack::Revocation::Agent { agent })
    }

    /// All that an agent of this name holds by now.
    #[napi(factory)]
    pub fn agent_until_now(agent: String) -> napi::Result<Revocation> {
        checked(hardtack::Revocation::AgentUntilNow { agent })
    }

    #[napi(js_name = "toString")]
    #[allow(clippy::inherent_to_string, reason = "it is JavaScript's")]
    pub fn to_string(&self) -> String {
        self.0.to_string()
    }

    #[napi]
    pub fn equals(&self, other: &Revocation) -> bool {
        self.0 == other.0
    }
}

/// A revocation that a bearer may ask for, as a guard decided: what is handed to the store.
#[napi]
#[derive(Debug)]
pub struct Revoking(pub(crate) hardtack::Revoking);

#[napi]
impl Revoking {
    #[napi(getter)]
    pub fn revocation(&self) -> Revocation {
        Revocation(self.0.revocation().clone())
    }

    #[napi(getter)]
    pub fn by(&self) -> &str {
        self.0.by()
    }

    #[napi(getter)]
    pub fn reason(&self) -> &str {
        self.0.reason()
    }
}

/// A copy of another server's revocations, which is renewed from a list.
#[napi]
#[derive(Debug)]
pub struct Revocations(pub(crate) hardtack::Revocations);

#[napi]
impl Revocations {
    #[napi(factory)]
    pub fn copied(list: String) -> napi::Result<Revocations> {
        let list = serde_json::from_str(&list).map_err(|error| unreadable(&error))?;
        Ok(Revocations(hardtack::Revocations::copied(&list)))
    }

    /// Adds what a newer list knows, and forgets what may be forgotten.
    #[napi]
    pub fn renew(&self, list: String, now: Option<f64>) -> napi::Result<()> {
        let list = serde_json::from_str(&list).map_err(|error| unreadable(&error))?;
        self.0.renew(&list, moment(now)?).or_throw()
    }
}
