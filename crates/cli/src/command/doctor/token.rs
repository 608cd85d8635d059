//! Token: would a server with these root keys and this store take it?

use hardtack::revocation::Revocations;
use hardtack::{Verifier, VerifyError};

use super::Findings;
use crate::args::gateway::Settings;
use crate::command::look_into;
use crate::command::trusting::Trusting;
use crate::terminal::{now, with_causes};

pub(super) const CHECK: &str = "token";

/// Verifies a bearer whose times and audience are right. Nothing is recorded.
pub(super) fn verify(findings: &mut Findings, bearer: &str, audience: &str, settings: &Settings) {
    let verifier = match verifier(audience, settings) {
        Ok(verifier) => verifier,
        Err(why) => {
            let says = format!("its signature and revocation were not looked at: {why}");
            let mend = "see: hardtack check --root @root.pub --audience AUDIENCE --store STORE --operation OPERATION --explain";
            return findings.note(CHECK, says, mend);
        }
    };
    match verifier.verify(bearer, now()) {
        Ok(_) => {
            findings.good(CHECK, "a trusted root key signed it, and the store has it not revoked")
        }
        Err(error) => {
            let mend = match &error {
                VerifyError::Revoked { .. } => {
                    "ask for a new grant; what is revoked: hardtack revocations --store STORE"
                }
                VerifyError::Signature { block: 0 } | VerifyError::UnknownRoot => {
                    "make one from a grant of a root key that is trusted here, or trust that key, too (root)"
                }
                _ => "make a new one",
            };
            findings.found(CHECK, format!("a server refuses it: {}", with_causes(&error)), mend);
        }
    }
}

/// What a server with these settings verifies by; or why there is none.
fn verifier(audience: &str, settings: &Settings) -> Result<Verifier, String> {
    if settings.root.is_empty() {
        return Err("no root key is named".to_owned());
    }
    let (_, roots) = Trusting::of(settings.root.clone())?;
    let store = settings.store.as_deref().ok_or("no store is named")?;
    let list = look_into(store).and_then(|reader| reader.revocation_list(now()));
    let revoked = Revocations::copied(&list.map_err(|error| with_causes(&error))?);
    Verifier::new(roots, audience, revoked).map_err(|error| error.to_string())
}
