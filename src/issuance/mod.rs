//! Issuance: what does an issuer give to whom, by a set of policies?
//!
//! A set says what is offered for which claims ([`Issuance`]). A [`Request`] says who asks, as an assertion proved it, and what is wanted.
//! [`decide`] gives what was wanted within what is offered, or says why nothing is given. It reads no clock and no network, and signs
//! nothing: [`Issued::grant`] is what an [`Issuer`](crate::Issuer) then mints.
//!
//! `policies/issuance/README.md` explains the words.

mod decide;
mod narrow;
mod record;
mod request;
mod said;
mod subject;

use std::path::Path;

use crate::policy::{self, Policy, PolicyError};
use crate::profile::issuing;

#[cfg(feature = "trial")]
pub(crate) use decide::world;
pub use decide::{Issued, Refused, decide};
pub use record::record;
pub use request::{KeyHeld, Request, Way};
pub use subject::{SubjectError, subject};

/// A set of policies that says what an issuer offers: a folder of files whose names end in `.issuance.datalog`.
///
/// ```
/// use hardtack::Timestamp;
/// use hardtack::issuance::{Issuance, Request, Way, decide};
///
/// let set = Issuance::parse("people.issuance.datalog", r#"
///     allow if idp("acme");
///     offer("tools:call:search", "notion.mcp", 3600, 4) <- claim("groups", "research");
/// "#)?;
/// let claims = serde_json::json!({ "sub": "alice", "groups": ["research"] });
/// let request = Request::of("user:acme/alice", "acme", Way::Exchange, claims.as_object().unwrap());
/// let request = request.scope("tools:call:*").audience("notion.mcp");
/// let issued = decide(&set, &request, Timestamp::from_unix_seconds(1_795_428_000))?;
/// assert_eq!(issued.scopes[0].as_str(), "tools:call:search");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Issuance {
    pub(crate) policy: Policy,
}

impl Issuance {
    /// Reads the set in `folder`. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] if the folder cannot be read, has another kind of policies, or with file and line for a statement that is refused.
    pub fn load(folder: impl AsRef<Path>) -> Result<Issuance, PolicyError> {
        Issuance::from_files(&policy::read_folder(folder.as_ref())?)
    }

    /// Reads one text as a set. `name` ends in `.issuance.datalog`. Waits for no disk.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], as of [`Issuance::load`].
    pub fn parse(name: &str, text: &str) -> Result<Issuance, PolicyError> {
        Issuance::from_files(&[(name.to_owned(), text.to_owned())])
    }

    pub(crate) fn from_files(files: &[(String, String)]) -> Result<Issuance, PolicyError> {
        if let Some((name, _)) = files.iter().find(|(name, _)| !issuing::is_file(name)) {
            return Err(PolicyError::OfCalls { name: name.clone() });
        }
        let policy = Policy::assemble(files)?;
        if policy.allows.is_empty() {
            return Err(PolicyError::AllowsNothing);
        }
        match said::is_said(&policy, said::OFFER) {
            true => Ok(Issuance { policy }),
            false => Err(PolicyError::OffersNothing),
        }
    }

    /// Returns the digest that identifies this set in records, as [`Policy::digest`] has it.
    pub fn digest(&self) -> &str {
        self.policy.digest()
    }
}

#[cfg(test)]
mod tests;
