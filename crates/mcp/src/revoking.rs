//! Revoking: stopping agents while the gateway runs, which may alone have the log of revocations.

mod asking;
mod chains;
mod exchange;
mod gateways;
mod listing;
mod looking;
mod places;
mod wire;

use std::fmt;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::admission::{AdmissionControl, Threads, on_own_thread};
use crate::answer;
use crate::body::with_the_rest_of;
use crate::budget::Payer;
use crate::fair_queue::{FairQueue, Peer};
use crate::gateway::nothing;
use crate::headers::AllowedHosts;
use crate::session::Owner;
use hardtack::audit::{Lineage, SeenChains, Stops};
use hardtack::call::Call;
use hardtack::chain::{IdPrefix, PresentationKind};
use hardtack::guard::{Denial, Guard};
use hardtack::internal::MAX_ALIKE;
use hardtack::pending::wait;
use hardtack::revocation::{Receipt, RequestId, Revocation, RevocationLog, RevocationLogError};
use hardtack::revoke::{READ, REVOKE, RevocationRequest};
use hardtack::verify::VerifiedCapability;
use hardtack_http::{Realm, Refused, Undescribed, bearer, now};

pub use self::asking::{RevocationAnswer, RevocationFailed, revoke_at, revoke_over_plain_http_at};
pub use self::gateways::{Followers, GatewayChange, GatewaysFailed, Place as FeedPlaceAsked};
pub use self::gateways::{change_gateways_at, gateways_at};
use self::listing::{Asked, Reader};
pub use self::looking::{ChainsFailed, ShownChains, chains_at, chains_over_plain_http_at};
use self::places::Places;
use self::wire::{ALREADY_REVOKED, Answer, BODY_TIMEOUT, NOT_REVOKED, REVOKED};
pub use self::wire::{CHAINS, ENROLL, GATEWAYS, REVOCATIONS, SEE_CHAINS, SEE_GATEWAYS};

/// The most bytes of a request to revoke: a few tokens and some hundred names.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// The most seen blocks among which it is counted what a revocation stops: whoever delegated a hop may ask, each
/// count looks at every block, and takes about 1 KiB for each.
const MAX_COUNTED: u64 = 50_000;

/// Who may revoke, and where it is written.
#[derive(Clone)]
pub(crate) struct Revoker {
    guard: Arc<Guard>,
    log: Arc<dyn RevocationLog>,
    seen: Arc<dyn Lineage>,
    /// Who follows the feed of this process, if it publishes one.
    followers: Option<Arc<dyn Followers>>,
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
        Revoker { guard, log, seen, followers: None, realm }
    }

    pub(crate) fn followed_by(&mut self, followers: Arc<dyn Followers>) {
        self.followers = Some(followers);
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
    /// Of whole lists.
    lists: Places,
    /// Of pages of chains.
    pages: Places,
    /// Of those who ask where something is in force, and wait until it is.
    waits: Places,
}

/// Returns the service that takes requests to revoke at `/hardtack/revocations` and shows chains at `/hardtack/chains`, for a program that is no gateway; serve it by
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
    let (counting, lists) = (Mutex::default(), Places::default());
    let pages = Places::of(chains::MAX_PAGES_EACH, chains::MAX_PAGES);
    let waits = Places::of(gateways::MAX_WAITS_EACH, gateways::MAX_WAITS);
    let has_followers = revoker.followers.is_some();
    let state = EndpointState {
        revoker,
        allowed_hosts,
        admission,
        fair_queue,
        counting,
        lists,
        pages,
        waits,
    };
    let state = Arc::new(state);
    let router = Router::new().route(REVOCATIONS, get(list).post(revoke));
    let router = router.route(CHAINS, get(show));
    let router = match has_followers {
        true => router.route(GATEWAYS, get(in_force).post(change)),
        false => router,
    };
    router.with_state(state)
}

async fn in_force(State(state): State<Arc<EndpointState>>, request: Request<Body>) -> Response {
    EndpointState::in_force(&state, request).await.unwrap_or_else(|refused| refused)
}

async fn change(State(state): State<Arc<EndpointState>>, request: Request<Body>) -> Response {
    EndpointState::change(&state, request).await.unwrap_or_else(|refused| refused)
}

async fn list(State(state): State<Arc<EndpointState>>, request: Request<Body>) -> Response {
    state.list(request).await.unwrap_or_else(|refused| refused)
}

async fn show(State(state): State<Arc<EndpointState>>, request: Request<Body>) -> Response {
    EndpointState::show(&state, request).await.unwrap_or_else(|refused| refused)
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
        let asked = Asked::parse(request.uri().query());
        let Presented { token, peer, body } = self.presented(request)?;
        let call = Call::new(READ).map_err(|error| self.revoker.refuse(&error.into(), READ))?;
        let (verified, _) = self.admit(&token, peer, body, READ).await?;
        let asked = asked.map_err(|problem| self.refuse(Undescribed::Other(problem)))?;
        let (verified, places) = (Arc::new(verified), self.lists.clone());
        let (after, at_most, is_page) = (asked.first(), asked.at_most(), asked.is_page());
        let (log, reader) = (Arc::clone(&self.revoker.log), Arc::clone(&verified));
        let page = self.at_a_desk(peer, move |guard| {
            guard.check_again(&reader, &call, now())?;
            // Whoever may not read takes no place, and whoever reads page by page needs none.
            let full =
                || Denial::overloaded("too many whole lists of revocations are read at once");
            let place = match is_page {
                true => None,
                false => Some(places.take(Payer::of(&reader)).ok_or_else(full)?),
            };
            // On a thread of its own, which may wait.
            let page = wait(log.list_after(now(), after, at_most));
            let page = page.map_err(|error| Denial::unreadable_store(&error.to_string()))?;
            Ok((page, place))
        });
        let (page, place) = page.await.map_err(|denial| self.revoker.refuse(&denial, READ))?;
        Ok(match place {
            None => asked.page(&page),
            Some(place) => {
                let (guard, log) = (&self.revoker.guard, Arc::clone(&self.revoker.log));
                listing::whole(page, log, Reader::of(Arc::clone(guard), verified, place))
            }
        })
    }

    /// A page of the chains that were seen. Nothing of the store is held while the page is sent.
    async fn show(self: &Arc<Self>, request: Request<Body>) -> Result<Response, Response> {
        let asked = chains::Asked::parse(request.uri().query());
        let Presented { token, peer, body } = self.presented(request)?;
        let refuse = |denial: &Denial| self.revoker.refuse(denial, SEE_CHAINS);
        let call = Call::new(SEE_CHAINS).map_err(|error| refuse(&error.into()))?;
        let (verified, _) = self.admit(&token, peer, body, SEE_CHAINS).await?;
        let asked = asked.map_err(|problem| self.refuse(Undescribed::Other(problem)))?;
        let state = Arc::clone(self);
        let page = self.at_a_desk(peer, move |guard| {
            guard.check_again(&verified, &call, now())?;
            let full = || Denial::overloaded("too many ask for chains at once; ask again");
            let _place = state.pages.take(Payer::of(&verified)).ok_or_else(full)?;
            asked.page(&*state.revoker.seen, &*state.revoker.log, verified.root(), now())
        });
        let page = page.await.map_err(|denial| refuse(&denial))?;
        Ok(chains::answer(&page))
    }

    /// Where it is in force, or whoever follows the feed. Whoever waits holds a place, and no thread.
    async fn in_force(self: &Arc<Self>, request: Request<Body>) -> Result<Response, Response> {
        let asked = gateways::Asked::parse(request.uri().query());
        let Presented { token, peer, body } = self.presented(request)?;
        let refuse = |denial: &Denial| self.revoker.refuse(denial, SEE_GATEWAYS);
        let call = Call::new(SEE_GATEWAYS).map_err(|error| refuse(&error.into()))?;
        let (verified, _) = self.admit(&token, peer, body, SEE_GATEWAYS).await?;
        let asked = asked.map_err(|problem| self.refuse(Undescribed::Other(problem)))?;
        let waits = self.waits.clone();
        let place = self.at_a_desk(peer, move |guard| {
            guard.check_again(&verified, &call, now())?;
            let full = || Denial::overloaded("too many wait for gateways at once; ask again");
            waits.take(Payer::of(&verified)).ok_or_else(full)
        });
        let _place = place.await.map_err(|denial| refuse(&denial))?;
        let Some(followers) = &self.revoker.followers else { return Err(nothing().await) };
        let shown = followers.in_force(asked.place, asked.wait).await;
        let unread = |problem: String| refuse(&Denial::unreadable_store(&problem));
        Ok(answer::respond(StatusCode::OK, &shown.map_err(unread)?))
    }

    /// Enrols or retires a gateway.
    async fn change(self: &Arc<Self>, request: Request<Body>) -> Result<Response, Response> {
        let Presented { token, peer, body } = self.presented(request)?;
        let refuse = |denial: &Denial| self.revoker.refuse(denial, ENROLL);
        let (verified, body) = self.admit(&token, peer, body, ENROLL).await?;
        let text = self.text(body).await?;
        let asked = GatewayChange::parse(&text);
        let (change, call) = asked.map_err(|problem| self.refuse(Undescribed::Other(problem)))?;
        if verified.presentation().kind != PresentationKind::Call {
            let problem = "this needs a presentation that is bound to the request (present --call)"
                .to_owned();
            return Err(self.refuse(Undescribed::Other(problem)));
        }
        let state = Arc::clone(self);
        let changed = self.at_a_desk(peer, move |guard| {
            guard.check_again(&verified, &call, now())?;
            Ok(state.revoker.followers.as_ref().map(|followers| followers.change(&change)))
        });
        match changed.await.map_err(|denial| refuse(&denial))? {
            Some(Ok(done)) => Ok(answer::respond(StatusCode::OK, &done)),
            Some(Err(problem)) => {
                let refused = json!({"error": "invalid_request", "error_description": problem});
                Err(answer::respond(StatusCode::CONFLICT, &refused))
            }
            None => Err(nothing().await),
        }
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

    fn refuse(&self, problem: Undescribed) -> Response {
        answer::unauthenticated(&problem.into(), &self.revoker.realm)
    }

    async fn read(&self, body: Body) -> Result<RevocationRequest, Response> {
        let asked = self.text(body).await?;
        RevocationRequest::parse(&asked)
            .map_err(|error| self.refuse(Undescribed::Other(error.to_string())))
    }

    /// The body, whole.
    async fn text(&self, body: Body) -> Result<String, Response> {
        let refuse = |problem: Undescribed| self.refuse(problem);
        let read = Limited::new(body, MAX_REQUEST_BYTES).collect();
        let body = match tokio::time::timeout(BODY_TIMEOUT, read).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return Err(refuse(Undescribed::TooLarge(MAX_REQUEST_BYTES))),
            Err(_) => return Err(refuse(Undescribed::Incomplete)),
        };
        String::from_utf8(body.to_vec())
            .map_err(|_| refuse(Undescribed::Other("the body is no UTF-8".to_owned())))
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
        (RevocationLogError::Elsewhere(_), _) => Denial::revocation_elsewhere(
            "nothing is revoked, since this gateway makes no revocations; whoever runs it can say which one does",
        ),
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
}
