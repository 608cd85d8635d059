//! Revoking: stopping agents while the gateway runs, which may alone have the log of revocations.

use std::fmt;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::admission::{AdmissionControl, Threads, on_own_thread};
use crate::answer;
use crate::body::with_the_rest_of;
use crate::fair_queue::{FairQueue, Peer};
use crate::gateway::ENDPOINT;
use crate::headers::AllowedHosts;
use crate::session::Owner;
use crate::upstream::{Upstream, UpstreamError, for_errors, plain_http};
use hardtack::audit::{Lineage, SeenChains, Stops};
use hardtack::call::Call;
use hardtack::cause::Cause;
use hardtack::chain::IdPrefix;
use hardtack::guard::{Denial, Guard};
use hardtack::internal::{MAX_ALIKE, MAX_ARGUMENT_BYTES};
use hardtack::pending::wait;
use hardtack::revocation::{Receipt, RequestId, Revocation, RevocationLog, RevocationLogError};
use hardtack::revoke::{READ, REVOKE, RevocationRequest};
use hardtack::verify::VerifiedCapability;
use hardtack_http::{Realm, Refused, Undescribed, bearer, now};

/// The path at which a gateway takes requests to revoke.
pub const REVOCATIONS: &str = "/hardtack/revocations";

/// How long a request may take to arrive.
const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// An error of [`revoke_at`]: the gateway did not say that it has revoked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationFailed {
    /// The gateway refused, in its own words.
    #[error("the gateway refused ({status}): {description}")]
    Refused {
        /// The HTTP status of its answer.
        status: u16,
        /// The description in its answer.
        description: String,
    },
    /// The gateway did not answer. It is not known whether anything is revoked; to ask again does no harm, and under the same id
    /// ([`RevocationRequest::with_id`]) it is one request.
    #[error(
        "the gateway does not answer at {0}; whether it has revoked is not known, so ask again"
    )]
    NoAnswer(String),
    /// The text is no URL to which anything could be sent. Nothing was sent.
    #[error(
        "{0} is no http:// or https:// URL without user, password and fragment; nothing was sent"
    )]
    Url(String),
    /// The presentation would go over plain HTTP to another machine, where an answer can be forged, too. Nothing was sent.
    #[error("{}; nothing was sent", plain_http(.host))]
    PlainHttp {
        /// The gateway's host name.
        host: String,
    },
    /// The server at this URL is no Hardtack gateway: it answers something else.
    #[error("what answers at {0} is no Hardtack gateway")]
    Foreign(String),
}

impl RevocationFailed {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            RevocationFailed::Refused { .. } => Cause::RefusedThere,
            RevocationFailed::NoAnswer(_) => Cause::NoAnswer,
            RevocationFailed::Url(_) => Cause::MalformedUrl,
            RevocationFailed::PlainHttp { .. } => Cause::PlainHttp,
            RevocationFailed::Foreign(_) => Cause::NotAGateway,
        }
    }
}

/// A gateway's answer to a request to revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevocationAnswer {
    /// The receipt, which says under which record the revocation is in force; `None` for a dry run.
    pub receipt: Option<Receipt>,
    /// The revocation, with its whole id; `None` from a gateway that does not say.
    pub revocation: Option<Revocation>,
    /// How much the revocation stops of the chains that the gateway has seen; `None` if it was not counted.
    pub stops: Option<Stops>,
}

/// The answer to a request to revoke, on the wire.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Answer {
    status: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sequence: Option<u64>,
    #[serde(default)]
    revocation: Option<Revocation>,
    #[serde(default)]
    stops: Option<Stops>,
}

/// The most bytes read of an answer that is a few words.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Asks the gateway at `url` (with or without [`REVOCATIONS`] at its end) to revoke. `bearer` is a presentation for the gateway's
/// audience for revocations that is bound to [`RevocationRequest::call`].
///
/// Over plain HTTP it asks loopback alone: whoever is on the way to another machine could keep the request from it, and answer that it is
/// done. [`revoke_over_plain_http_at`] asks another machine all the same.
///
/// # Errors
///
/// [`RevocationFailed`] unless the gateway says that it is revoked.
pub async fn revoke_at(
    url: &str,
    bearer: &str,
    request: &RevocationRequest,
) -> Result<RevocationAnswer, RevocationFailed> {
    ask(url, None, bearer, request).await
}

/// Asks the gateway at `url` to revoke, as [`revoke_at`] does, and over plain HTTP also at `host`, if that is the gateway's. Whoever is
/// on the way there can read, keep and forge what is sent: name only a host that is reached over a private line.
///
/// # Errors
///
/// [`RevocationFailed`] unless the gateway says that it is revoked.
pub async fn revoke_over_plain_http_at(
    url: &str,
    host: &str,
    bearer: &str,
    request: &RevocationRequest,
) -> Result<RevocationAnswer, RevocationFailed> {
    ask(url, Some(host), bearer, request).await
}

async fn ask(
    url: &str,
    plain_http_to: Option<&str>,
    bearer: &str,
    request: &RevocationRequest,
) -> Result<RevocationAnswer, RevocationFailed> {
    let url = place_of_revocations(url).ok_or_else(|| RevocationFailed::Url(for_errors(url)))?;
    let unreachable = || RevocationFailed::NoAnswer(for_errors(&url));
    let foreign = || RevocationFailed::Foreign(for_errors(&url));
    let upstream = Upstream::at(&url).map_err(|_| RevocationFailed::Url(for_errors(&url)))?;
    let upstream = match plain_http_to {
        Some(host) => upstream.accept_plain_http_to(host),
        None => upstream,
    };
    if let Err(UpstreamError::PlainHttp { host }) = upstream.check_privacy() {
        return Err(RevocationFailed::PlainHttp { host });
    }
    let authorization =
        HeaderValue::try_from(format!("Bearer {bearer}")).map_err(|_| unreachable())?;
    let json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
    let body = Bytes::from(request.to_json());
    let response = upstream.send(Method::POST, headers, Some(authorization), body).await;
    let response = response.map_err(|_| unreachable())?;
    let status = response.status();
    let body = Limited::new(reqwest::Body::from(response), MAX_ANSWER_BYTES).collect();
    let body = tokio::time::timeout(BODY_TIMEOUT, body).await.map_err(|_| unreachable())?;
    let body = body.map_err(|_| unreachable())?.to_bytes();
    if status == StatusCode::NOT_FOUND {
        return Err(foreign());
    }
    if status != StatusCode::OK {
        let said: serde_json::Value = serde_json::from_slice(&body).map_err(|_| foreign())?;
        let description = said.get("error_description").and_then(serde_json::Value::as_str);
        let description = hardtack::names::escaped(&description.unwrap_or("no reason given"));
        return Err(RevocationFailed::Refused { status: status.as_u16(), description });
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| foreign())?;
    let Answer { status, sequence, revocation, stops } = answer;
    let receipt = match (status.as_str(), sequence, request.is_dry_run()) {
        (REVOKED, Some(sequence), false) => Some(Receipt::Revoked { sequence }),
        (ALREADY_REVOKED, Some(sequence), false) => Some(Receipt::AlreadyRevoked { sequence }),
        (NOT_REVOKED, None, true) => None,
        _ => return Err(foreign()),
    };
    Ok(RevocationAnswer { receipt, revocation, stops })
}

/// Where a gateway revokes: beside its endpoint, with the same query.
fn place_of_revocations(gateway: &str) -> Option<String> {
    let mut url = url::Url::parse(gateway).ok()?;
    let path = url.path().trim_end_matches('/');
    let base = path.strip_suffix(ENDPOINT).unwrap_or(path);
    let base = base.strip_suffix(REVOCATIONS).unwrap_or(base);
    let path = format!("{base}{REVOCATIONS}");
    url.set_path(&path);
    Some(url.into())
}

const REVOKED: &str = "revoked";
const ALREADY_REVOKED: &str = "already_revoked";

/// The answer to a dry run.
const NOT_REVOKED: &str = "not_revoked";

/// The most seen blocks among which it is counted what a revocation stops: whoever delegated a hop may ask, each
/// count looks at every block, and takes about 1 KiB for each.
const MAX_COUNTED: u64 = 50_000;

/// Who may revoke, and where it is written.
#[derive(Clone)]
pub(crate) struct Revoker {
    guard: Arc<Guard>,
    log: Arc<dyn RevocationLog>,
    seen: Arc<dyn Lineage>,
    realm: Realm,
}

impl fmt::Debug for Revoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revoker").field("realm", &self.realm).finish_non_exhaustive()
    }
}

impl Revoker {
    pub(crate) fn new(
        guard: Arc<Guard>,
        log: Arc<dyn RevocationLog>,
        seen: Arc<dyn Lineage>,
    ) -> Revoker {
        let realm = Realm::named(guard.verifier().audience());
        Revoker { guard, log, seen, realm }
    }

    fn refuse(&self, denial: &Denial, operation: &str) -> Response {
        answer::unauthenticated(&Refused::of(denial, operation), &self.realm)
    }
}

/// How many requests of bearers that hold are decided and written at once: as many share one write to the disk.
const MAX_UNDER_WAY: usize = 8;

/// How many of them wait. More than connections there are do not.
const MAX_WAITING: usize = 512;

/// Places and threads are its own: nothing that is asked of the tools' side can have taken them.
struct EndpointState {
    revoker: Revoker,
    allowed_hosts: AllowedHosts,
    admission: AdmissionControl,
    /// Of those who hold.
    fair_queue: FairQueue,
    /// One at a time counts what a revocation stops.
    counting: Mutex<()>,
}

/// Returns the service that takes requests to revoke at `/hardtack/revocations`, for a program that is no gateway; serve it by
/// [`serve_admin`](crate::serve_admin). `guard` decides them, and its audience should be its own. They are made in `log`. How much a
/// revocation stops is counted of what `seen` remembers. It answers to `hosts` and to the loopback names.
pub fn revocations(
    guard: impl Into<Arc<Guard>>,
    log: Arc<dyn RevocationLog>,
    seen: Arc<dyn Lineage>,
    hosts: impl IntoIterator<Item = String>,
) -> Router {
    let allowed = AllowedHosts { hosts: hosts.into_iter().collect(), ..AllowedHosts::default() };
    router(Revoker::new(guard.into(), log, seen), allowed)
}

pub(crate) fn router(revoker: Revoker, allowed_hosts: AllowedHosts) -> Router {
    let admission = AdmissionControl::on(Threads::Own);
    let fair_queue = FairQueue::new(MAX_UNDER_WAY, MAX_WAITING);
    let counting = Mutex::default();
    let state = Arc::new(EndpointState { revoker, allowed_hosts, admission, fair_queue, counting });
    Router::new().route(REVOCATIONS, get(list).post(revoke)).with_state(state)
}

async fn list(State(state): State<Arc<EndpointState>>, request: Request<Body>) -> Response {
    state.list(request).await.unwrap_or_else(|refused| refused)
}

async fn revoke(State(state): State<Arc<EndpointState>>, request: Request<Body>) -> Response {
    EndpointState::revoke(&state, request).await.unwrap_or_else(|refused| refused)
}

/// A request with one bearer.
struct Presented {
    token: Arc<str>,
    peer: Peer,
    body: Body,
}

impl EndpointState {
    async fn list(&self, request: Request<Body>) -> Result<Response, Response> {
        let Presented { token, peer, body } = self.presented(request)?;
        let call = Call::new(READ).map_err(|error| self.revoker.refuse(&error.into(), READ))?;
        let (verified, _) = self.admit(&token, peer, body, READ).await?;
        let log = Arc::clone(&self.revoker.log);
        let list = self.at_a_desk(peer, move |guard| {
            guard.check_again(&verified, &call, now())?;
            // On a thread of its own, which may wait.
            let now = wait(log.list(now())).map_err(|error| Denial::unreadable_store(&error.to_string()))?;
            Ok(json!({"as_of": now.as_of, "forgotten_until": now.forgotten_until, "revocations": now.revocations}))
        });
        let list = list.await.map_err(|denial| self.revoker.refuse(&denial, READ))?;
        Ok(answer::respond(StatusCode::OK, &list))
    }

    async fn revoke(self: &Arc<Self>, request: Request<Body>) -> Result<Response, Response> {
        let Presented { token, peer, body } = self.presented(request)?;
        // A request that no valid token stands behind is not read.
        let (verified, body) = self.admit(&token, peer, body, REVOKE).await?;
        let asked = self.read(body).await?;
        let (state, owner) = (Arc::clone(self), Owner::of(&verified));
        let answer =
            self.at_a_desk(peer, move |guard| state.do_revoke(guard, &token, owner, &asked));
        let answer = answer.await.map_err(|denial| {
            tracing::warn!(hardtack.cause = %denial.refusal().cause, "a revocation is refused");
            self.revoker.refuse(&denial, REVOKE)
        })?;
        match answer.sequence {
            Some(sequence) => tracing::info!(sequence, "revoked"),
            None => tracing::info!("said what a revocation would stop"),
        }
        Ok(answer::respond(StatusCode::OK, &json!(answer)))
    }

    fn do_revoke(
        &self,
        guard: &Guard,
        token: &str,
        owner: Owner,
        asked: &RevocationRequest,
    ) -> Result<Answer, Denial> {
        let Revoker { log, seen, .. } = &self.revoker;
        // What cannot be looked up was not seen.
        let seen = |beginning: &IdPrefix| seen.beginning(beginning, MAX_ALIKE).unwrap_or_default();
        let revoking = guard.check_revocation_among(token, asked, seen, now())?;
        let revocation = revoking.revocation().clone();
        let receipt = match asked.is_dry_run() {
            true => None,
            // The presentation is used up, so that nobody asks again with it. Without an id each is a request of its own.
            false => {
                let request = asked.id().map_or_else(RequestId::random, |id| known_as(id, owner));
                let receipts = wait(log.append(vec![revoking], request, now()));
                let receipts = receipts.map_err(|error| unmade(&error, asked))?;
                let none = || unwritten("the log of revocations has given no receipt");
                Some(receipts.into_iter().next().ok_or_else(none)?)
            }
        };
        let stops = self.count(&revocation, receipt);
        let status = match receipt {
            None => NOT_REVOKED,
            Some(Receipt::Revoked { .. }) => REVOKED,
            Some(Receipt::AlreadyRevoked { .. }) => ALREADY_REVOKED,
        };
        let sequence = receipt.map(Receipt::sequence);
        Ok(Answer { status: status.to_owned(), sequence, revocation: Some(revocation), stops })
    }

    /// How much it stops. It is in force by now, whatever comes of the count.
    fn count(&self, revocation: &Revocation, receipt: Option<Receipt>) -> Option<Stops> {
        let _alone = self.counting.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let seen = self.revoker.seen.seen(MAX_COUNTED);
        let seen =
            seen.inspect_err(|error| tracing::warn!(%error, "not counted")).ok().flatten()?;
        let listed = wait(self.revoker.log.list(now()));
        let listed = listed.inspect_err(|error| tracing::warn!(%error, "not counted")).ok()?;
        let chains = SeenChains::before(seen, listed.revocations, receipt.as_slice());
        Some(chains.stops(std::slice::from_ref(revocation), now()))
    }

    /// Decides and does it in its turn, on a thread that nothing else uses.
    async fn at_a_desk<T: Send + 'static>(
        &self,
        peer: Peer,
        work: impl FnOnce(&Guard) -> Result<T, Denial> + Send + 'static,
    ) -> Result<T, Denial> {
        let Some(desk) = self.fair_queue.next(peer).await else {
            return Err(Denial::overloaded("too many revocations are asked for at once"));
        };
        let guard = Arc::clone(&self.revoker.guard);
        let done = on_own_thread(move || {
            let _desk = desk;
            work(&guard)
        });
        done.await.unwrap_or_else(|| Err(Denial::unfinished("it was not brought to an end")))
    }

    async fn admit(
        &self,
        token: &str,
        peer: Peer,
        body: Body,
        operation: &str,
    ) -> Result<(VerifiedCapability, Body), Response> {
        let mut decided = match self.admission.admit(&self.revoker.guard, token, peer).await {
            Ok(verified) => return Ok((verified, body)),
            Err(decided) => decided,
        };
        if let Ok(call) = Call::new(operation) {
            decided.tell(&call);
        }
        let denial = self.revoker.guard.record_refusal_async(*decided).await;
        Err(with_the_rest_of(body, self.revoker.refuse(&denial, operation)))
    }

    fn presented(&self, request: Request<Body>) -> Result<Presented, Response> {
        let (parts, body) = request.into_parts();
        if !self.allowed_hosts.admits(&parts) {
            let refused = json!({"error": "invalid_request", "error_description": "this server is not addressed by that Host, or not from that Origin"});
            let refused = answer::respond(StatusCode::FORBIDDEN, &refused);
            return Err(with_the_rest_of(body, refused));
        }
        match bearer(&parts) {
            Ok(token) => {
                Ok(Presented { token: token.into(), peer: Peer::of(&parts.extensions), body })
            }
            Err(error) => {
                let refused = answer::unauthenticated(&error.into(), &self.revoker.realm);
                Err(with_the_rest_of(body, refused))
            }
        }
    }

    async fn read(&self, body: Body) -> Result<RevocationRequest, Response> {
        let refuse =
            |problem: Undescribed| answer::unauthenticated(&problem.into(), &self.revoker.realm);
        let read = Limited::new(body, MAX_ARGUMENT_BYTES).collect();
        let body = match tokio::time::timeout(BODY_TIMEOUT, read).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return Err(refuse(Undescribed::TooLarge(MAX_ARGUMENT_BYTES))),
            Err(_) => return Err(refuse(Undescribed::Incomplete)),
        };
        let asked = std::str::from_utf8(&body)
            .map_err(|_| refuse(Undescribed::Other("the body is no UTF-8".to_owned())))?;
        RevocationRequest::parse(asked)
            .map_err(|error| refuse(Undescribed::Other(error.to_string())))
    }
}

/// The id under which the log knows a request: whoever else sends the same id makes another request, which neither learns of this one
/// nor is taken for it.
fn known_as(id: RequestId, owner: Owner) -> RequestId {
    let mut digest = Sha256::new();
    digest.update(b"hardtack: a request to revoke, and who makes it");
    digest.update(owner.as_bytes());
    digest.update(id.as_bytes());
    let digest: [u8; 32] = digest.finalize().into();
    let mut known = [0; 16];
    known.copy_from_slice(&digest[..16]);
    RequestId::from_bytes(known)
}

/// A request that the log does not do.
fn unmade(error: &RevocationLogError, asked: &RevocationRequest) -> Denial {
    match (error, asked.id()) {
        (RevocationLogError::OtherRequest(_), Some(id)) => Denial::other_request(format!(
            "the request {id} was made already, for something else, and this one is not revoked; ask for it under a new id"
        )),
        _ => unwritten(error),
    }
}

/// A revocation that could not be written.
fn unwritten(error: impl ToString) -> Denial {
    hardtack::audit::LedgerUnavailable(error.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_by_its_id_and_by_who_makes_it() {
        let id = |byte| RequestId::from_bytes([byte; 16]);
        let owner = |byte| Owner::from_bytes([byte; 32]);
        let known = known_as(id(1), owner(1));
        assert_eq!(known, known_as(id(1), owner(1)));
        for other in [known_as(id(2), owner(1)), known_as(id(1), owner(2)), id(1)] {
            assert_ne!(other, known);
        }
    }

    #[test]
    fn a_gateway_revokes_beside_its_endpoint_and_with_the_same_query() {
        for (gateway, place) in [
            ("http://a", "http://a/hardtack/revocations"),
            ("http://a/", "http://a/hardtack/revocations"),
            ("http://a/mcp", "http://a/hardtack/revocations"),
            ("http://a/x/mcp/", "http://a/x/hardtack/revocations"),
            ("http://a?tenant=acme", "http://a/hardtack/revocations?tenant=acme"),
            ("http://a/mcp?tenant=a/mcp", "http://a/hardtack/revocations?tenant=a/mcp"),
            ("http://a/hardtack/revocations", "http://a/hardtack/revocations"),
        ] {
            assert_eq!(place_of_revocations(gateway).as_deref(), Some(place));
        }
        assert_eq!(place_of_revocations("a.example"), None);
    }
}
