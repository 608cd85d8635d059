//! Revoke: may this presentation revoke what it asks for?
//!
//! Over the network, a capability stops others as it calls tools: by a presentation that is bound to the
//! request. What is revoked then, and for how long, is for [`store`](crate::store) to say.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::authorize::{
    AuthorizeError, authorize, first_unbound, refuse_other_call, refuse_uncovered,
};
use crate::call::{Call, CallError};
use crate::capability::{AppendError, Capability};
use crate::chain::{Chain, PresentationKind, RevocationId};
use crate::names::NameError;
use crate::policy::{Location, Policy};
use crate::profile::shape::ShapeError;
use crate::revocation::{Revocation, Revoking};
use crate::verify::{VerifiedCapability, Verifier, VerifyError};

/// The operation of a request to revoke.
pub const REVOKE: &str = "hardtack:revoke";

/// The operation of a request to see what is revoked.
pub const READ: &str = "hardtack:read";

/// What stands for the policy where none is needed: whoever delegated a hop may revoke it.
const DELEGATORS_RULE: &str = "delegator";

/// The most bytes in the name of whoever revokes, as [`Revoking::new`] takes it.
const MAX_BY_BYTES: usize = crate::names::MAX_REASON_BYTES;

/// A request to revoke, as it goes over the wire: a JSON object
/// `{"revocation": {"kind": "id", "id": …}, "reason": …, "proof": …}`.
///
/// It is the arguments of the call to which the presentation is bound.
#[derive(Debug, Clone, PartialEq)]
pub struct RevocationRequest {
    call: Call,
    revocation: Revocation,
    reason: String,
    proof: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    revocation: Revocation,
    reason: String,
    #[serde(default)]
    proof: Option<String>,
}

impl RevocationRequest {
    /// Asks for a revocation, for a reason. `proof` is a token that contains the hop to be revoked, and is sent
    /// sealed; whoever has the scope `hardtack:revoke` needs none.
    ///
    /// # Errors
    ///
    /// [`RequestError`] for a name or reason that is not of its form, and a proof that cannot be sealed.
    pub fn new(
        revocation: Revocation,
        reason: impl Into<String>,
        proof: Option<&Capability>,
    ) -> Result<RevocationRequest, RequestError> {
        let mut members = Map::new();
        let revocation = serde_json::to_value(revocation).map_err(|_| RequestError::Form)?;
        members.insert("revocation".to_owned(), revocation);
        members.insert("reason".to_owned(), Value::String(reason.into()));
        if let Some(proof) = proof {
            let sealed = match proof.is_sealed() {
                true => proof.clone(),
                false => proof.seal()?,
            };
            members.insert("proof".to_owned(), sealed.to_base64().into());
        }
        RevocationRequest::parse(&Value::Object(members).to_string())
    }

    /// Reads the JSON object, as strictly as the arguments of any call.
    pub fn parse(json: &str) -> Result<RevocationRequest, RequestError> {
        let call = Call::new(REVOKE)?.arguments(json)?;
        let members = Value::Object(call.arguments_json().clone());
        let members: Members = serde_json::from_value(members).map_err(|_| RequestError::Form)?;
        let Members { revocation, reason, proof } = members;
        // What could never be recorded is not asked for.
        Revoking::new(revocation.clone(), REVOKE, reason.clone())?;
        Ok(RevocationRequest { call, revocation, reason, proof })
    }

    /// The call to which a presentation of the request is bound.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// What is to be revoked.
    pub fn revocation(&self) -> &Revocation {
        &self.revocation
    }

    /// The JSON object that goes over the wire.
    pub fn to_json(&self) -> String {
        Value::Object(self.call.arguments_json().clone()).to_string()
    }

    /// What to hand to the store, in the name of whoever presented the request.
    pub(crate) fn revoking(&self, verified: &VerifiedCapability) -> Revoking {
        let by = match verified.agent() {
            Some(agent) => format!("{agent} for {}", verified.subject()),
            None => verified.subject().to_owned(),
        };
        // Names are ASCII, so that every length is a boundary.
        let by = by[..by.len().min(MAX_BY_BYTES)].to_owned();
        Revoking { revocation: self.revocation.clone(), by, reason: self.reason.clone() }
    }
}

/// A request that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Another form.
    #[error(
        "a request to revoke is {{\"revocation\": {{\"kind\": \"id\", \"id\": …}}, \"reason\": …}}, with \"proof\": a token that contains the hop, for whoever has not the scope {REVOKE}"
    )]
    Form,
    /// Not exact enough.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A name or reason that is not of its form.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A proof that is damaged.
    #[error("the proof cannot be sealed")]
    Proof(#[from] AppendError),
}

/// A request to revoke that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// As for any call.
    #[error(transparent)]
    Unauthorized(#[from] AuthorizeError),
    /// A presentation that could be sent again with another request.
    #[error("a revocation needs a presentation that is bound to it (present --call)")]
    NotCallBound,
    /// Keys, names and subjects name strangers.
    #[error(
        "without the scope {REVOKE}, only ids of hops that one delegated can be revoked, and not {0}"
    )]
    NotAnId(Revocation),
    /// No token that contains the hop.
    #[error("without the scope {REVOKE}, a token that contains the hop must be given as proof")]
    NoProof,
    /// A proof that is no token.
    #[error("the proof is no token of the profile")]
    Unreadable(#[source] ShapeError),
    /// A proof that no trusted root signed, or in which a hop is not signed by its delegator.
    #[error("the proof does not hold")]
    Unauthentic(#[source] VerifyError),
    /// A hop that does not stand in the proof.
    #[error("the proof has no hop with the id {0}")]
    NotInProof(RevocationId),
    /// A hop that somebody else delegated.
    #[error("the proof does not show that the presenting key delegated this hop or one before it")]
    NotDelegator,
}

impl RevokeError {
    /// The stable name of the cause, as records and `--json` have it.
    pub fn cause(&self) -> &'static str {
        match self {
            RevokeError::Unauthorized(error) => error.cause(),
            RevokeError::NotCallBound => "revocation_not_call_bound",
            RevokeError::NotAnId(_) => "revocation_not_an_id",
            RevokeError::NoProof => "revocation_without_proof",
            RevokeError::Unreadable(_) | RevokeError::Unauthentic(_) => "revocation_proof",
            RevokeError::NotInProof(_) => "revocation_not_in_proof",
            RevokeError::NotDelegator => "revocation_by_stranger",
        }
    }
}

/// Whether the request is allowed: by scope and policy, or because the presenter delegated the hop.
pub(crate) fn allow(
    verified: &VerifiedCapability,
    verifier: &Verifier,
    policy: &Policy,
    request: &RevocationRequest,
) -> Result<Location, RevokeError> {
    if verified.presentation().kind != PresentationKind::Call {
        return Err(RevokeError::NotCallBound);
    }
    match refuse_uncovered(verified, request.call()) {
        Ok(()) => Ok(authorize(verified, policy, request.call())?.at),
        Err(AuthorizeError::NotGranted { .. }) => {
            allow_delegator(verified, verifier, request)?;
            Ok(Location { file: DELEGATORS_RULE.to_owned(), line: 1 })
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether it was allowed because the presenter delegated the hop; then policies were not asked.
pub(crate) fn is_delegators_rule(at: &Location) -> bool {
    at.file == DELEGATORS_RULE
}

/// By the holder's rule the token's own checks do not speak, since they bound what was granted, and this
/// was not; what counts is which key signed the presentation.
fn allow_delegator(
    verified: &VerifiedCapability,
    verifier: &Verifier,
    request: &RevocationRequest,
) -> Result<(), RevokeError> {
    refuse_other_call(verified, request.call())?;
    if let Some(block) = first_unbound(verified.chain()) {
        return Err(AuthorizeError::Unbound { block, operation: REVOKE.to_owned() }.into());
    }
    let Revocation::Id { id } = request.revocation() else {
        return Err(RevokeError::NotAnId(request.revocation().clone()));
    };
    let proof = request.proof.as_deref().ok_or(RevokeError::NoProof)?;
    let proof = Capability::parse(proof).map_err(RevokeError::Unreadable)?;
    verifier.verify_delegations(&proof).map_err(RevokeError::Unauthentic)?;
    let presenter = verified.presentation().signer;
    match delegated(proof.chain(), id) {
        None => Err(RevokeError::NotInProof(*id)),
        // Neither a hop of the proof nor the presentation is unsigned, as was seen above.
        Some(delegators) if delegators.contains(&presenter) => Ok(()),
        Some(_) => Err(RevokeError::NotDelegator),
    }
}

/// The keys that signed the hop with this id, and every hop before it.
fn delegated(chain: &Chain, id: &RevocationId) -> Option<Vec<Option<crate::PublicKey>>> {
    let place = chain.hops.iter().position(|hop| hop.revocation_id == *id)?;
    Some(chain.hops[..=place].iter().map(|hop| hop.signer).collect())
}
