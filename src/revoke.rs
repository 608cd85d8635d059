//! Revoke: may this presentation revoke what it asks for?
//!
//! Over the network, a capability revokes others in the way that it calls tools: by a presentation that is bound to the
//! request. What is revoked then, and for how long, is for [`store`](crate::store) to say.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::authorize::{
    AuthorizeError, PreparedSets, authorize_with, first_unbound, refuse_other_call,
    refuse_uncovered,
};
use crate::call::{Call, CallError};
use crate::capability::{AppendError, Capability};
use crate::cause::Cause;
use crate::chain::{Chain, IdPrefix, PresentationKind, RevocationId};
use crate::names::{self, NameError};
use crate::policy::{Location, Policy};
use crate::profile::ShapeError;
use crate::revocation::{RequestId, Revocation, Revoking};
use crate::verify::{VerifiedCapability, Verifier, VerifyError};

/// The operation of a request to revoke, which a scope must name to grant it.
pub const REVOKE: &str = "hardtack:revoke";

/// The operation of a request to see what is revoked, which a scope must name to grant it.
pub const READ: &str = "hardtack:read";

/// What stands for the policy where none is needed: whoever delegated a hop may revoke it.
const DELEGATORS_RULE: &str = "delegator";

/// The most bytes in the name of whoever revokes, as [`Revoking::new`] takes it.
const MAX_BY_BYTES: usize = crate::names::MAX_REASON_BYTES;

/// A request to revoke, as it goes over the wire: a JSON object
/// `{"revocation": {"kind": "id", "id": …}, "reason": …, "proof": …, "dry_run": …, "request_id": …}`.
///
/// The object is the arguments of the call to which the presentation is bound, so that nobody on the way can exchange a part of it.
#[derive(Clone, PartialEq)]
pub struct RevocationRequest {
    call: Call,
    asked: Target,
    reason: String,
    proof: Option<String>,
    dry_run: bool,
    id: Option<RequestId>,
}

/// Whether it has a proof, and not which: that is somebody's token. The call has the proof among its arguments.
impl fmt::Debug for RevocationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationRequest")
            .field("asked", &self.asked)
            .field("reason", &self.reason)
            .field("has_proof", &self.proof.is_some())
            .field("dry_run", &self.dry_run)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What is to be revoked.
#[derive(Debug, Clone, PartialEq)]
enum Target {
    Revocation(Revocation),
    /// `{"kind": "id_prefix", "id": …}`: the one block whose id begins so, of those that the store has seen.
    Beginning(IdPrefix),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    revocation: Value,
    reason: String,
    #[serde(default)]
    proof: Option<String>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    request_id: Option<RequestId>,
}

/// The kind of what gives only the beginning of an id. A server that does not know it refuses it.
const ID_PREFIX: &str = "id_prefix";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beginning {
    kind: String,
    id: IdPrefix,
}

impl Target {
    /// Reads what is asked for, whole: what is not known must not be taken for something broader or narrower.
    fn read(value: Value) -> Result<Target, RequestError> {
        if value.get("kind").and_then(Value::as_str) == Some(ID_PREFIX) {
            let beginning = serde_json::from_value(value).map_err(|_| RequestError::Form)?;
            let Beginning { id, .. } = beginning;
            return Ok(Target::Beginning(id));
        }
        let given: Vec<String> =
            value.as_object().map(|given| given.keys().cloned().collect()).unwrap_or_default();
        let revocation: Revocation =
            serde_json::from_value(value).map_err(|_| RequestError::Form)?;
        let read = serde_json::to_value(&revocation).map_err(|_| RequestError::Form)?;
        match given.iter().all(|member| read.get(member).is_some()) {
            true => Ok(Target::Revocation(revocation)),
            false => Err(RequestError::Form),
        }
    }
}

impl RevocationRequest {
    /// Makes a request for `revocation`, with a reason of one line. `proof` is a token that contains the hop to be
    /// revoked, and is sent sealed. A presenter with the scope `hardtack:revoke` needs no proof.
    ///
    /// # Errors
    ///
    /// [`RequestError`] for a name or reason that is not of its form, and for a proof that cannot be sealed.
    pub fn new(
        revocation: Revocation,
        reason: impl Into<String>,
        proof: Option<&Capability>,
    ) -> Result<RevocationRequest, RequestError> {
        let revocation = serde_json::to_value(revocation).map_err(|_| RequestError::Form)?;
        RevocationRequest::of(revocation, reason, proof)
    }

    /// Makes a request for the revocation of the one block whose id begins with `id`, of those that the server has
    /// seen, with a reason of one line. It needs the scope `hardtack:revoke`: anybody else who may revoke a hop has a
    /// token with its whole id.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the reason is not of its form.
    pub fn beginning(
        id: IdPrefix,
        reason: impl Into<String>,
    ) -> Result<RevocationRequest, RequestError> {
        let beginning = Beginning { kind: ID_PREFIX.to_owned(), id };
        let beginning = serde_json::to_value(beginning).map_err(|_| RequestError::Form)?;
        RevocationRequest::of(beginning, reason, None)
    }

    /// Gives the request an id, so that a server knows it when it is made again: an answer that was lost is answered once more, and
    /// nothing is revoked twice. Make the id with [`RequestId::random`], and a new presentation for each time. Servers know a request
    /// by its id and by who presents it, for a day. By default a request has none,
    /// and is another one each time.
    ///
    /// ```
    /// use hardtack::revocation::RequestId;
    /// use hardtack::{Revocation, RevocationRequest};
    ///
    /// let stolen = Revocation::AgentUntilNow { agent: "agent.helper".to_owned() };
    /// let request = RevocationRequest::new(stolen, "laptop stolen", None)?;
    /// let request = request.with_id(RequestId::random())?;
    /// assert_eq!(RevocationRequest::parse(&request.to_json())?.id(), request.id());
    /// # Ok::<(), hardtack::revoke::RequestError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RequestError::Form`] for a dry run, which changes nothing.
    pub fn with_id(self, id: RequestId) -> Result<RevocationRequest, RequestError> {
        let mut members = self.call.arguments_json().clone();
        members.insert("request_id".to_owned(), Value::String(id.to_string()));
        RevocationRequest::parse(&Value::Object(members).to_string())
    }

    /// Makes the request ask only what it would stop. It needs the same right as the revocation, and nothing is
    /// revoked; an id that the request has is taken away.
    ///
    /// # Errors
    ///
    /// [`RequestError`], which does not happen for a request that was made or read.
    pub fn dry_run(self) -> Result<RevocationRequest, RequestError> {
        let mut members = self.call.arguments_json().clone();
        members.insert("dry_run".to_owned(), Value::Bool(true));
        members.remove("request_id");
        RevocationRequest::parse(&Value::Object(members).to_string())
    }

    fn of(
        revocation: Value,
        reason: impl Into<String>,
        proof: Option<&Capability>,
    ) -> Result<RevocationRequest, RequestError> {
        let mut members = Map::new();
        members.insert("revocation".to_owned(), revocation);
        members.insert("reason".to_owned(), Value::String(reason.into()));
        if let Some(proof) = proof {
            let sealed = match proof.is_sealed() {
                true => proof.clone(),
                false => proof.sealed()?,
            };
            members.insert("proof".to_owned(), sealed.to_base64().into());
        }
        RevocationRequest::parse(&Value::Object(members).to_string())
    }

    /// Reads a request from the JSON object that went over the wire, as strictly as the arguments of any call.
    ///
    /// # Errors
    ///
    /// [`RequestError`] for what two readers could read differently, and for what is no request.
    pub fn parse(json: &str) -> Result<RevocationRequest, RequestError> {
        let call = Call::new(REVOKE)?.arguments(json)?;
        let members = Value::Object(call.arguments_json().clone());
        let members: Members = serde_json::from_value(members).map_err(|_| RequestError::Form)?;
        let Members { revocation, reason, proof, dry_run, request_id: id } = members;
        // One that changes nothing is not to be known again; whoever takes it for the revocation is told.
        if dry_run && id.is_some() {
            return Err(RequestError::Form);
        }
        let asked = Target::read(revocation)?;
        // What could never be recorded is not asked for.
        if let Target::Revocation(revocation) = &asked {
            revocation.check()?;
        }
        names::check_reason(&reason)?;
        Ok(RevocationRequest { call, asked, reason, proof, dry_run, id })
    }

    /// Returns the call to which a presentation of the request is bound
    /// ([`Capability::present_to_revoke`]).
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Returns what is to be revoked; `None` if only the beginning of an id is given.
    pub fn revocation(&self) -> Option<&Revocation> {
        match &self.asked {
            Target::Revocation(revocation) => Some(revocation),
            Target::Beginning(_) => None,
        }
    }

    /// Returns the id by which the request is known when it is made again ([`RevocationRequest::with_id`]); `None` if it has none.
    pub fn id(&self) -> Option<RequestId> {
        self.id
    }

    /// Returns true if the request asks only what it would stop ([`RevocationRequest::dry_run`]).
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Writes the request as the JSON object that goes over the wire.
    pub fn to_json(&self) -> String {
        Value::Object(self.call.arguments_json().clone()).to_string()
    }

    /// What to hand to the store, in the name of whoever presented the request.
    pub(crate) fn revoking(
        &self,
        revocation: Revocation,
        verified: &VerifiedCapability,
    ) -> Revoking {
        let by = match verified.agent() {
            Some(agent) => format!("{agent} for {}", verified.subject()),
            None => verified.subject().to_owned(),
        };
        // Names are ASCII, so that every length is a boundary.
        let by = by[..by.len().min(MAX_BY_BYTES)].to_owned();
        Revoking { revocation, by, reason: self.reason.clone() }
    }
}

/// The error of a text or of parts that make no request to revoke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The JSON is not of the form of a request.
    #[error(
        "a request to revoke is {{\"revocation\": {{\"kind\": \"id\", \"id\": …}}, \"reason\": …}}, with \"proof\": a token that contains the hop, for whoever has not the scope {REVOKE}, and \"dry_run\": true to revoke nothing, or \"request_id\": 32 hexadecimal digits to be known when it is made again; kinds and members that are not known here are refused"
    )]
    Form,
    /// The JSON is not exact enough to be judged.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A name or the reason is not of its form.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The proof cannot be sealed.
    #[error("the proof cannot be sealed")]
    Proof(#[from] AppendError),
}

impl RequestError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self {
            RequestError::Form => Cause::MalformedRequest,
            RequestError::Call(error) => error.cause(),
            RequestError::Name(error) => error.cause(),
            RequestError::Proof(error) => error.cause(),
        }
    }
}

/// The error of a request to revoke that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The request is not allowed as a call, by the token or by policies.
    #[error(transparent)]
    Unauthorized(#[from] AuthorizeError),
    /// The presentation is not bound to the request, and could be sent again with another one.
    #[error("a revocation needs a presentation that is bound to it (present --call)")]
    NotCallBound,
    /// Keys, names and subjects may name strangers, and need the scope `hardtack:revoke`.
    #[error(
        "without the scope {REVOKE}, only ids of hops that one delegated can be revoked, and not {0}"
    )]
    NotAnId(Revocation),
    /// A part of an id would have to be looked up among what strangers have done, and needs the scope
    /// `hardtack:revoke`.
    #[error("without the scope {REVOKE}, an id must be given whole")]
    PartOfAnId,
    /// The server has seen no block with an id that begins so.
    #[error(
        "no grant or hop that this server has seen has an id that begins with {0}; give the whole id, which revokes what was not seen, too"
    )]
    UnknownBeginning(IdPrefix),
    /// The server has seen several blocks with ids that begin so.
    #[error(
        "the ids of {count} or more blocks that this server has seen begin with {beginning}; give more digits"
    )]
    AmbiguousBeginning {
        /// The digits with which the ids begin.
        beginning: IdPrefix,
        /// The number that was found before the search ended.
        count: usize,
    },
    /// No token that contains the hop is given as proof.
    #[error("without the scope {REVOKE}, a token that contains the hop must be given as proof")]
    NoProof,
    /// The proof is no token of the profile.
    #[error("the proof is no token of the profile")]
    Unreadable(#[source] ShapeError),
    /// The proof is signed by no trusted root, or a hop in it is not signed by its delegator.
    #[error("the proof is not valid")]
    Unauthentic(#[source] VerifyError),
    /// The proof does not contain the hop.
    #[error("the proof has no hop with the id {0}")]
    NotInProof(RevocationId),
    /// Somebody else delegated the hop.
    #[error("the proof does not show that the presenting key delegated this hop or one before it")]
    NotDelegator,
}

impl RevokeError {
    /// Returns the [`Cause`] of this error: its stable name, as records and `--json` have it.
    pub fn cause(&self) -> Cause {
        match self {
            RevokeError::Unauthorized(error) => error.cause(),
            RevokeError::NotCallBound => Cause::RevocationNotCallBound,
            RevokeError::NotAnId(_) | RevokeError::PartOfAnId => Cause::RevocationNotAnId,
            RevokeError::UnknownBeginning(_) => Cause::RevocationIdUnknown,
            RevokeError::AmbiguousBeginning { .. } => Cause::RevocationIdAmbiguous,
            RevokeError::NoProof => Cause::RevocationWithoutProof,
            RevokeError::Unreadable(_) | RevokeError::Unauthentic(_) => Cause::RevocationProof,
            RevokeError::NotInProof(_) => Cause::RevocationNotInProof,
            RevokeError::NotDelegator => Cause::RevocationByStranger,
        }
    }
}

/// What may be revoked, and by what rule: by scope and policy, or because the presenter delegated the hop. Only for whoever
/// has the scope, `seen` finds the ids that begin in some way: nobody else learns what a store has seen.
pub(crate) fn allow(
    prepared: &PreparedSets,
    verified: &VerifiedCapability,
    verifier: &Verifier,
    policy: &Policy,
    request: &RevocationRequest,
    seen: impl FnOnce(&IdPrefix) -> Vec<RevocationId>,
) -> Result<(Location, Revocation), RevokeError> {
    if verified.presentation().kind != PresentationKind::Call {
        return Err(RevokeError::NotCallBound);
    }
    match refuse_uncovered(verified, request.call()) {
        Ok(()) => {
            let at = authorize_with(prepared, verified, policy, request.call())?.at;
            Ok((at, find(&request.asked, seen)?))
        }
        Err(AuthorizeError::NotGranted { .. }) => {
            let revocation = allow_delegator(verified, verifier, request)?;
            Ok((Location { file: DELEGATORS_RULE.to_owned(), line: 1 }, revocation))
        }
        Err(error) => Err(error.into()),
    }
}

fn find(
    asked: &Target,
    seen: impl FnOnce(&IdPrefix) -> Vec<RevocationId>,
) -> Result<Revocation, RevokeError> {
    let beginning = match asked {
        Target::Revocation(revocation) => return Ok(revocation.clone()),
        Target::Beginning(beginning) => beginning.clone(),
    };
    match seen(&beginning).as_slice() {
        [] => Err(RevokeError::UnknownBeginning(beginning)),
        [id] => Ok(Revocation::Id { id: *id }),
        ids => Err(RevokeError::AmbiguousBeginning { beginning, count: ids.len() }),
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
) -> Result<Revocation, RevokeError> {
    refuse_other_call(verified, request.call())?;
    if let Some(block) = first_unbound(verified.chain()) {
        return Err(AuthorizeError::Unbound { block, operation: REVOKE.to_owned() }.into());
    }
    let id = match &request.asked {
        Target::Revocation(Revocation::Id { id }) => id,
        Target::Revocation(other) => return Err(RevokeError::NotAnId(other.clone())),
        Target::Beginning(_) => return Err(RevokeError::PartOfAnId),
    };
    let proof = request.proof.as_deref().ok_or(RevokeError::NoProof)?;
    let proof = Capability::parse(proof).map_err(RevokeError::Unreadable)?;
    verifier.verify_delegations(&proof).map_err(RevokeError::Unauthentic)?;
    let presenter = verified.presentation().signer;
    match delegated(proof.chain(), id) {
        None => Err(RevokeError::NotInProof(*id)),
        // Neither a hop of the proof nor the presentation is unsigned, as was seen above.
        Some(delegators) if delegators.contains(&presenter) => Ok(Revocation::Id { id: *id }),
        Some(_) => Err(RevokeError::NotDelegator),
    }
}

/// The keys that signed the hop with this id, and every hop before it.
fn delegated(chain: &Chain, id: &RevocationId) -> Option<Vec<Option<crate::keys::PublicKey>>> {
    let place = chain.hops.iter().position(|hop| hop.revocation_id == *id)?;
    Some(chain.hops[..=place].iter().map(|hop| hop.signer).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::Timestamp;
    use crate::{Grant, Issuer, PrivateKey};

    #[test]
    fn a_request_shows_no_proof() {
        let now = Timestamp::from_unix_seconds(1_795_428_000);
        let (grant, _) = Grant::to("user:alice").scope("tools:call:*").new_holder();
        let proof = Issuer::new(PrivateKey::generate()).mint(grant, now).unwrap();
        let agent = Revocation::AgentUntilNow { agent: "agent.helper".to_owned() };
        let request = RevocationRequest::new(agent, "lost", Some(&proof)).unwrap();
        let sent = request.proof.clone().unwrap();
        let shown = format!("{request:?}");
        assert!(!shown.contains(&sent[..40]), "{shown}");
        assert!(shown.contains("agent.helper") && shown.contains("has_proof: true"), "{shown}");
    }
}
