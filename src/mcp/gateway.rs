//! Gateway: an MCP server, for whoever holds a capability for it.
//!
//! It verifies the bearer of every request, decides every call before the server hears of it, and shows each
//! token the part of the server that it may use.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, get};
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::json;
use tower_http::cors::{AllowHeaders, CorsLayer};

use crate::audit::Verdict;
use crate::guard::{Denial, Guard};
use crate::http::{Realm, Refused, bearer, decide, now, settle};
use crate::mcp::answer::{self, INVALID_PARAMS, INVALID_REQUEST, Refusal, RefusalStyle};
use crate::mcp::budget::Payer;
use crate::mcp::desks::Peer;
use crate::mcp::filtering::{Filtering, Shows};
use crate::mcp::flow::{Begun, Rewrite, Watch};
use crate::mcp::headers::{Era, PROTOCOL_VERSION, SESSION_ID};
use crate::mcp::lanes::{Lanes, Place};
use crate::mcp::message::{Content, Id, Message};
use crate::mcp::metadata::{Metadata, is_plain};
use crate::mcp::methods::{self, Calls, Method, Needs, Unjudged};
use crate::mcp::metrics::Metrics;
use crate::mcp::outward::bad_gateway;
use crate::mcp::policy_metrics::{PolicyMetrics, Reloads};
use crate::mcp::relay::{Passage, Relay, Side};
use crate::mcp::revoking::{self, Revoker};
use crate::mcp::serve::Drain;
use crate::mcp::session::{Owner, Sessions};
use crate::mcp::strangers::{Strangers, Threads};
use crate::mcp::tasks::Tasks;
use crate::mcp::upstream::Upstream;
use crate::store::Store;
use crate::verify::VerifiedCapability;

/// Where the server is, if its own URL has no path.
pub const ENDPOINT: &str = "/mcp";

/// A gateway in front of one MCP server, over streamable HTTP, for both protocols that are in use
/// (`initialize` with sessions up to 2025-11-25, and 2026-07-28).
///
/// [`Gateway::router`] is the service; [`serve`](crate::mcp::serve) serves it.
#[derive(Debug)]
pub struct Gateway {
    relay: Relay,
    guard: Arc<Guard>,
    realm: Realm,
    style: RefusalStyle,
    store: Option<Store>,
    revoker: Option<Revoker>,
    metadata: Option<Metadata>,
    policies: PolicyMetrics,
}

impl Gateway {
    /// Lets through to `upstream` what `guard` allows.
    pub fn new(guard: impl Into<Arc<Guard>>, upstream: Upstream) -> Gateway {
        let guard = guard.into();
        Gateway {
            relay: Relay::to(upstream),
            realm: Realm::named(guard.verifier().audience()),
            policies: PolicyMetrics::of(&guard),
            guard,
            style: RefusalStyle::default(),
            store: None,
            revoker: None,
            metadata: None,
        }
    }

    /// Is ready (`/readyz`) while this store can be written.
    pub fn ready_while(mut self, store: Store) -> Gateway {
        self.store = Some(store);
        self
    }

    /// Takes requests to revoke at `/hardtack/revocations`, decided by `guard`, whose audience should be its
    /// own, and writes them to `store`.
    pub fn revocations(mut self, guard: impl Into<Arc<Guard>>, store: Store) -> Gateway {
        self.revoker = Some(Revoker::new(guard.into(), store));
        self
    }

    /// Answers refused requests of valid tokens so.
    pub fn refusals(mut self, style: RefusalStyle) -> Gateway {
        self.style = style;
        self
    }

    /// Is addressed by these names too (`Host`), besides the loopback ones.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Gateway {
        self.relay.doorbell.hosts.extend(hosts);
        self
    }

    /// Is used from these pages (`Origin`), such as `https://app.example`. Otherwise from none.
    pub fn origins(mut self, origins: impl IntoIterator<Item = String>) -> Gateway {
        self.relay.doorbell.origins.extend(origins);
        self
    }

    /// Says at the well-known places (RFC 9728) that tokens for `resource`, the URL of this gateway, come from
    /// these authorization servers. Without any, those places are not there.
    pub fn authorization_servers(mut self, resource: &str, servers: &[String]) -> Gateway {
        self.metadata = Metadata::of(resource, servers);
        self.realm.resource_metadata = self.metadata.as_ref().map(|metadata| metadata.url.clone());
        self
    }

    /// Where whoever exchanges the guard's policies counts what came of it.
    pub fn reloads(&self) -> Reloads {
        self.policies.reloads.clone()
    }

    /// How it hears that it is to end; for [`serve`](crate::mcp::serve).
    pub fn drain(&self) -> Drain {
        self.relay.drain.clone()
    }

    /// The service: the endpoint at `/mcp`, at `/` and at the server's own path, and `/healthz`, `/readyz`,
    /// `/metrics`, `/hardtack/revocations` and the metadata.
    pub fn router(self) -> Router {
        let mut endpoints = vec![ENDPOINT.to_owned(), format!("{ENDPOINT}/"), "/".to_owned()];
        let own = self.relay.upstream.path();
        if !endpoints.iter().any(|known| known == own) && is_plain(own) {
            endpoints.push(own.to_owned());
        }
        let origins = self.relay.doorbell.origins.clone();
        let revoker = self.revoker.clone();
        let metrics = self.relay.metrics.clone();
        let state = Arc::new(Entrance {
            relay: self.relay,
            store: self.store,
            policies: self.policies,
            side: Arc::new(Inside {
                metrics,
                guard: self.guard,
                realm: self.realm,
                style: self.style,
                sessions: Sessions::new(),
                tasks: Arc::new(Tasks::new()),
                strangers: Strangers::on(Threads::Shared),
                lanes: Lanes::new(),
                readers: Lanes::new(),
            }),
        });
        let mut router = Router::new();
        for endpoint in endpoints {
            router = router.route(&endpoint, any(handle));
        }
        router = router
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(render));
        if let Some(metadata) = self.metadata {
            router = metadata.add_to(router);
        }
        let mut router = router.fallback(nothing).with_state(Arc::clone(&state));
        if let Some(revoker) = revoker {
            router = router.merge(revoking::router(revoker, state.relay.doorbell.clone()));
        }
        match origins.is_empty() {
            true => router,
            false => router.layer(for_pages(&origins)),
        }
    }
}

/// Tells browsers that pages of these origins may use it (WHATWG Fetch, "CORS protocol").
fn for_pages(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok());
    CorsLayer::new()
        .allow_origin(origins.collect::<Vec<_>>())
        .allow_methods([http::Method::GET, http::Method::POST, http::Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([SESSION_ID, PROTOCOL_VERSION, header::WWW_AUTHENTICATE])
}

/// What records call a list that a stream repeats, if it is refused.
const STREAM: &str = "stream";

/// And of what is answered to a client's answer.
const ANSWER: &str = "answer";

/// The method whose answer never ends.
const LISTEN: &str = "subscriptions/listen";

struct Entrance {
    relay: Relay,
    store: Option<Store>,
    policies: PolicyMetrics,
    side: Arc<Inside>,
}

impl Entrance {
    /// Whether it is asked under a name of its own; a page that rebinds one learns nothing of it.
    fn is_addressed(&self, request: Request<Body>) -> bool {
        self.relay.doorbell.admits(&request.into_parts().0)
    }
}

async fn handle(State(entrance): State<Arc<Entrance>>, request: Request<Body>) -> Response {
    entrance.relay.handle(&entrance.side, request).await
}

async fn ready(State(entrance): State<Arc<Entrance>>, request: Request<Body>) -> Response {
    if !entrance.is_addressed(request) {
        return nothing().await;
    }
    let unready = |why: String| {
        answer::respond(StatusCode::SERVICE_UNAVAILABLE, &json!({"ready": false, "why": why}))
    };
    if entrance.relay.drain.has_begun() {
        return unready("shutting down".to_owned());
    }
    match entrance.store.as_ref().map(Store::ready) {
        Some(Err(error)) => unready(error.to_string()),
        _ => answer::respond(StatusCode::OK, &json!({"ready": true})),
    }
}

async fn render(State(entrance): State<Arc<Entrance>>, request: Request<Body>) -> Response {
    if !entrance.is_addressed(request) {
        return nothing().await;
    }
    let mut rendered = String::new();
    entrance.policies.render(&mut rendered);
    entrance.relay.metrics.render(&mut rendered);
    let mut response = Response::new(Body::from(rendered));
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

async fn nothing() -> Response {
    answer::respond(StatusCode::NOT_FOUND, &json!({"error": "not_found"}))
}

/// What the gateway knows of tokens.
struct Inside {
    metrics: Metrics,
    guard: Arc<Guard>,
    realm: Realm,
    style: RefusalStyle,
    sessions: Sessions,
    tasks: Arc<Tasks>,
    strangers: Strangers,
    /// For lists, and for answers that may hand out tasks: no call waits for lists.
    lanes: Lanes,
    readers: Lanes,
}

/// Whoever sent a request: a bearer that holds.
pub(crate) struct Bearer {
    token: Arc<str>,
    verified: VerifiedCapability,
    owner: Owner,
}

impl Side for Inside {
    type Visitor = Bearer;

    async fn admit(&self, request: &Parts) -> Result<Bearer, Response> {
        let token = bearer(request).map_err(|error| self.refused(&error.into()))?;
        let peer = Peer::of(&request.extensions);
        let verified = self.strangers.admit(&self.guard, token, peer).await.map_err(|denial| {
            self.count(&denial);
            tracing::debug!(
                hardtack.verdict = %denial.verdict(),
                hardtack.cause = denial.refusal().cause,
                "a bearer is not admitted"
            );
            self.refused(&Refused::of(&denial, "the request"))
        })?;
        let owner = Owner::of(&verified);
        Ok(Bearer { token: token.into(), verified, owner })
    }

    fn bearer<'a>(&self, visitor: &'a Bearer) -> Option<&'a str> {
        Some(&visitor.token)
    }

    fn payer(&self, visitor: &Bearer) -> Payer {
        Payer::of(&visitor.verified)
    }

    async fn judge(
        &self,
        visitor: &Bearer,
        message: &Message,
        era: Era,
    ) -> Result<Passage, Response> {
        let Some(name) = message.method() else {
            let rewrite = Some(self.review_any(visitor, ANSWER));
            return Ok(Passage { rewrite, ..self.passage(visitor, Begun::Connection) });
        };
        let farewell = message.id().map(|id| answer::farewell(id, name == "tools/call"));
        let method =
            methods::find(name).ok_or_else(|| answer::unknown_method(era, message.id(), name))?;
        let is_notification = matches!(message.content, Content::Notification { .. });
        if is_notification != method.name.starts_with("notifications/") {
            let problem = format!("{name} must be sent with an id if and only if it has an answer");
            return Err(answer::bad_request(INVALID_REQUEST, message.id(), &problem));
        }
        let passage = match method.needs {
            Needs::Token => Ok(self.passage(visitor, Begun::Connection)),
            Needs::Listing => {
                let place = self.place_for_list(visitor, message, method).await?;
                let shows = Shows::Lists { private: era == Era::Modern };
                let filtering = self.filtering(visitor, method.name, place);
                let rewrite = filtering.rewrite(message.id().cloned(), shows);
                let passage = self.passage(visitor, Begun::Connection);
                Ok(Passage { rewrite: Some(rewrite), must_read: true, ..passage })
            }
            Needs::Calls(calls) => {
                self.decide(visitor, message, method, calls).await?;
                let shows = if may_start_a_task(message) { Shows::Tasks } else { Shows::NoLists };
                let rewrite = Some(self.review(visitor, method.name, message.id(), shows));
                Ok(Passage { rewrite, ..self.passage(visitor, Begun::Call) })
            }
            Needs::OwnTask(calls) => {
                self.refuse_strange_task(visitor, message, method).await?;
                self.decide(visitor, message, method, calls).await?;
                // Listening is no call that comes to an end.
                let waits = method.name == LISTEN;
                let begun = if waits { Begun::Connection } else { Begun::Call };
                Ok(Passage { waits, ..self.passage(visitor, begun) })
            }
        };
        passage.map(|passage| {
            let others = || self.review(visitor, method.name, message.id(), Shows::NoLists);
            let rewrite = Some(passage.rewrite.unwrap_or_else(others));
            Passage { farewell, rewrite, ..passage }
        })
    }

    /// A stream may repeat the answer to any request of its session.
    async fn judge_without_message(&self, visitor: &Bearer) -> Result<Passage, Response> {
        let rewrite = self.review_any(visitor, STREAM);
        let passage = self.passage(visitor, Begun::Connection);
        Ok(Passage { rewrite: Some(rewrite), waits: true, ..passage })
    }

    /// The caller's token holds; a 401 would have it look for another one.
    fn unaccepted(&self, id: Option<&Id>, _: bool) -> Response {
        bad_gateway(id, "the server behind does not accept this gateway's own credential")
    }

    fn session_inwards(&self, visitor: &Bearer, id: &str) -> Option<String> {
        self.sessions.unbind(id, visitor.owner).map(str::to_owned)
    }

    fn session_outwards(&self, visitor: &Bearer, id: &str) -> String {
        self.sessions.bind(id, visitor.owner)
    }
}

impl Inside {
    fn refused(&self, refused: &Refused) -> Response {
        answer::unauthenticated(refused, &self.realm)
    }

    fn count(&self, denial: &Denial) {
        self.metrics.decision(denial.verdict(), denial.refusal().cause);
    }

    /// How whatever is allowed passes: for as long as its token holds.
    fn passage(&self, visitor: &Bearer, begun: Begun) -> Passage {
        let watch = Watch::over(Arc::clone(&self.guard), visitor.verified.clone(), begun);
        Passage { watch: Some(watch), ..Passage::default() }
    }

    /// Decides every call that a message means. What is decided is what is forwarded: the message is not
    /// read again.
    async fn decide(
        &self,
        visitor: &Bearer,
        message: &Message,
        method: &Method,
        calls: Calls,
    ) -> Result<(), Response> {
        let Some(params) = message.params() else { return Ok(()) };
        let calls = match calls(params) {
            Ok(calls) => calls,
            Err(error) => return Err(self.refuse_unjudged(visitor, message, method, &error).await),
        };
        for call in calls {
            let operation = call.operation().to_string();
            if let Err(denial) = decide(&self.guard, &visitor.verified, call, now()).await {
                return Err(self.refuse(message, method, &denial, &operation));
            }
            self.metrics.decision(Verdict::Allow, "");
        }
        Ok(())
    }

    fn refuse(
        &self,
        message: &Message,
        method: &Method,
        denial: &Denial,
        operation: &str,
    ) -> Response {
        let cause = denial.refusal().cause;
        self.count(denial);
        tracing::info!(
            hardtack.verdict = %denial.verdict(),
            hardtack.cause = cause,
            hardtack.operation = operation,
            "refused"
        );
        Refusal {
            denial,
            operation,
            realm: &self.realm,
            style: self.style,
            id: message.id(),
            is_tool_call: method.name == "tools/call",
        }
        .response()
    }

    /// What cannot be judged is not allowed; a tool that cannot be named in a scope is a tool all the same.
    async fn refuse_unjudged(
        &self,
        visitor: &Bearer,
        message: &Message,
        method: &Method,
        error: &Unjudged,
    ) -> Response {
        let denial = self.record(visitor, method, Denial::inexact(error.to_string())).await;
        match (error, &denial) {
            (Unjudged::Parameters, Denial::Forbidden(_)) => {
                answer::error(StatusCode::OK, message.id(), INVALID_PARAMS, &error.to_string())
            }
            _ => self.refuse(message, method, &denial, method.name),
        }
    }

    /// Every task that a message names is the caller's own.
    async fn refuse_strange_task(
        &self,
        visitor: &Bearer,
        message: &Message,
        method: &Method,
    ) -> Result<(), Response> {
        let ids = message.params().map_or(Ok(Vec::new()), methods::task_ids);
        let own = |id: &&str| self.tasks.is_of(id, &visitor.verified);
        if ids.is_ok_and(|ids| ids.iter().all(own)) {
            return Ok(());
        }
        match self.record(visitor, method, Denial::strange_task()).await {
            Denial::Forbidden(refusal) => {
                Err(answer::error(StatusCode::OK, message.id(), INVALID_PARAMS, &refusal.message))
            }
            denial => Err(self.refuse(message, method, &denial, method.name)),
        }
    }

    /// Records a refusal of the gateway's own; one that cannot be recorded becomes undecided.
    async fn record(&self, visitor: &Bearer, method: &Method, denial: Denial) -> Denial {
        let weighed =
            self.guard.weigh_refusal(&visitor.verified, method.name, denial.clone(), now());
        settle(&self.guard, weighed).await.err().unwrap_or(denial)
    }

    /// A place for one list; refused, as undecided, if too many are under way.
    async fn place_for_list(
        &self,
        visitor: &Bearer,
        message: &Message,
        method: &Method,
    ) -> Result<Place, Response> {
        if let Some(place) = self.lanes.place_for_list(Payer::of(&visitor.verified)) {
            return Ok(place);
        }
        let message_to_client = "too many lists are asked for at once; try again later".to_owned();
        let denial = Denial::undecided_list("list_busy", message_to_client);
        let denial = self.record(visitor, method, denial).await;
        Err(self.refuse(message, method, &denial, method.name))
    }

    /// How the answer to what asks for no list is looked at.
    fn review(
        &self,
        visitor: &Bearer,
        what: &'static str,
        asked: Option<&Id>,
        shows: Shows,
    ) -> Rewrite {
        let Some(asked) = asked else { return self.review_any(visitor, what) };
        let place = self.readers.place_for_stream(Payer::of(&visitor.verified));
        self.filtering(visitor, what, place).rewrite(Some(asked.clone()), shows)
    }

    /// The same of what was not asked for by a message: it can be the answer to any.
    fn review_any(&self, visitor: &Bearer, what: &'static str) -> Rewrite {
        let place = self.lanes.place_for_stream(Payer::of(&visitor.verified));
        self.filtering(visitor, what, place).rewrite(None, Shows::Lists { private: false })
    }

    fn filtering(&self, visitor: &Bearer, what: &'static str, place: Place) -> Filtering {
        let (guard, tasks) = (Arc::clone(&self.guard), Arc::clone(&self.tasks));
        let (verified, metrics) = (visitor.verified.clone(), self.metrics.clone());
        Filtering::new(guard, tasks, metrics, verified, what, place)
    }
}

/// Whether the answer may hand out a task: only then is it read. 2025-11-25 asks for one in `task`; since
/// 2026-07-28 the client says that it knows what tasks are.
fn may_start_a_task(message: &Message) -> bool {
    let Some(params) = message.params() else { return false };
    let capabilities =
        params.get("_meta").and_then(|meta| meta.get("io.modelcontextprotocol/clientCapabilities"));
    params.contains_key("task")
        || capabilities.is_some_and(|known| known.to_string().contains("tasks"))
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside").field("guard", &self.guard).finish_non_exhaustive()
    }
}
