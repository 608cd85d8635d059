//! Gateway: an MCP server, for whoever holds a capability for it. A reverse proxy that authorizes.
//!
//! It verifies the bearer of every request, decides every call before the server hears of it, and shows each
//! token the part of the server that it may use.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::any;
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::json;
use tower_http::cors::{AllowHeaders, CorsLayer};

use crate::admin::Admin;
use crate::answer::{self, RefusalStyle};
use crate::common::Common;
use crate::gateway_side::{Answering, GatewaySide, Kept};
use crate::headers::{PROTOCOL_VERSION, SESSION_ID};
use crate::keeping::{Keeper, Scope};
use crate::metadata::{Metadata, is_plain};
use crate::policy_metrics::{PolicyMetrics, Reloads};
use crate::readiness::{Needed, Needs, Readiness, Ready};
use crate::relay::Relay;
use crate::revoking::{self, Followers, Revoker};
use crate::serve::Drain;
use crate::tasks::MAX_TASKS;
use crate::tls::Tls;
use crate::upstream::Upstream;
use hardtack::audit::Lineage;
use hardtack::guard::Guard;
use hardtack::revocation::RevocationLog;
use hardtack::store::Store;
use hardtack_http::Realm;

/// The path of the gateway's endpoint, besides `/` and the server's own path.
pub const ENDPOINT: &str = "/mcp";

/// A reverse proxy in front of one MCP server (the upstream), over streamable HTTP, which lets through what its guard allows. It speaks
/// both protocols that are in use: `initialize` with sessions up to 2025-11-25, and 2026-07-28.
///
/// [`Gateway::router`] is the service; [`serve`](crate::serve) serves it.
#[derive(Debug)]
pub struct Gateway {
    relay: Relay,
    guard: Arc<Guard>,
    answering: Answering,
    ready: Option<Ready>,
    needs: Needs,
    revoker: Option<Revoker>,
    metadata: Option<Metadata>,
    policies: PolicyMetrics,
    readiness: Readiness,
    tls: Option<Tls>,
    has_metrics_elsewhere: bool,
    keeper: Option<Keeper>,
}

impl Gateway {
    /// Makes a gateway that lets through to `upstream` what `guard` allows.
    pub fn new(guard: impl Into<Arc<Guard>>, upstream: Upstream) -> Gateway {
        let guard = guard.into();
        Gateway {
            relay: Relay::to(upstream),
            answering: Answering::of(Realm::named(guard.verifier().audience())),
            policies: PolicyMetrics::of(&guard, None),
            guard,
            ready: None,
            needs: Needs::default(),
            revoker: None,
            metadata: None,
            readiness: Readiness::default(),
            tls: None,
            has_metrics_elsewhere: false,
            keeper: None,
        }
    }

    /// Answers at `/readyz` that the gateway is ready only while `ready` finds no error, such as
    /// [`Store::ready`](hardtack::Store::ready). By default nothing is asked. `ready` is called on a thread of the runtime, and must not
    /// wait.
    pub fn ready_while<E: ToString>(
        mut self,
        ready: impl Fn() -> Result<(), E> + Send + Sync + 'static,
    ) -> Gateway {
        self.ready = Some(Ready::new(ready));
        self
    }

    /// Is ready only while `needed` is, too, besides all that it needed before, and shows in `/readyz` what it warns of and in `/metrics` what it counts.
    pub fn needing(mut self, needed: Arc<dyn Needed>) -> Gateway {
        self.needs.add(needed);
        self
    }

    /// Takes requests to revoke at `/hardtack/revocations`; without this, there is no such path. `guard` decides them, and its audience
    /// should be its own. They are made in `log`. How much a revocation stops is counted of what `seen` remembers.
    ///
    /// A revocation is in force for the tools' side as soon as its verifier hears of it: with a store at once.
    pub fn revocations(
        mut self,
        guard: impl Into<Arc<Guard>>,
        log: Arc<dyn RevocationLog>,
        seen: Arc<dyn Lineage>,
    ) -> Gateway {
        self.revoker = Some(Revoker::new(guard.into(), log, seen));
        self
    }

    /// Shows at `/hardtack/gateways` who follows the feed of this process, and takes requests to enrol and to retire them, with what
    /// [`Gateway::revocations`] has been given, which comes before.
    pub fn followed_by(mut self, followers: Arc<dyn Followers>) -> Gateway {
        if let Some(revoker) = &mut self.revoker {
            revoker.followed_by(followers);
        }
        self
    }

    /// Sets how refused requests of valid tokens are answered; by default as [`RefusalStyle::Message`].
    pub fn refusals(mut self, style: RefusalStyle) -> Gateway {
        self.answering.style = style;
        self
    }

    /// Keeps in `store` what sessions and tasks are known by, so that a gateway that starts again with this store, in front of the same
    /// upstream, goes on with those that the upstream still has. By default they end with the gateway. Starts a thread, which writes.
    pub fn sessions_in(mut self, store: Store) -> Gateway {
        self.keeper = Some(Keeper::of(store));
        self
    }

    /// Lets the answer to a call flow for this long at most; by default [`DEFAULT_LONGEST_ANSWER`](crate::DEFAULT_LONGEST_ANSWER). A
    /// presentation says when calls may begin. An answer ends before with the grant or a hop, or if something in the chain is revoked.
    pub fn longest_answer(mut self, longest: Duration) -> Gateway {
        self.answering.longest = longest;
        self
    }

    /// Answers to these names (the `Host` header), too. By default it answers to the loopback ones alone.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Gateway {
        self.relay.allowed_hosts.hosts.extend(hosts);
        self
    }

    /// Takes requests from these web pages (the `Origin` header), such as `https://app.example`. By default it takes them from none.
    pub fn origins(mut self, origins: impl IntoIterator<Item = String>) -> Gateway {
        self.relay.allowed_hosts.origins.extend(origins);
        self
    }

    /// Publishes the protected resource metadata (RFC 9728) at its well-known paths: tokens for `resource`, the URL of this gateway, come
    /// from these authorization servers. Without any server, there are no such paths.
    pub fn authorization_servers(mut self, resource: &str, servers: &[String]) -> Gateway {
        self.metadata = Metadata::of(resource, servers);
        self.answering.realm.resource_metadata =
            self.metadata.as_ref().map(|metadata| metadata.url.clone());
        self
    }

    /// Shows in `/metrics` what is counted of the TLS by which it is served ([`serve_tls`](crate::serve_tls)).
    pub fn tls(mut self, tls: &Tls) -> Gateway {
        self.tls = Some(tls.clone());
        self
    }

    /// Returns the counter of attempts to exchange the guard's policies. Whoever makes one counts it there.
    pub fn reloads(&self) -> Reloads {
        self.policies.reloads.clone()
    }

    /// Returns the counter of attempts to exchange the roots of its guards. Whoever makes one counts it there.
    pub fn root_reloads(&self) -> Reloads {
        self.policies.root_reloads.clone()
    }

    /// Returns the handle by which background work says that it has ended (`/readyz`).
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Returns the handle by which the service hears that it is to end; for [`serve`](crate::serve).
    pub fn drain(&self) -> Drain {
        self.relay.drain.clone()
    }

    /// Returns two services. The first is that of [`Gateway::router`] without `/metrics`. The second has `/healthz`, `/readyz` and
    /// `/metrics` alone, for a listener that only whoever runs the gateway can reach; serve it by [`serve_admin`](crate::serve_admin).
    pub fn routers(mut self) -> (Router, Router) {
        self.has_metrics_elsewhere = true;
        self.build()
    }

    /// Returns the service: the endpoint at `/mcp`, at `/` and at the server's own path, and `/healthz`, `/readyz`, `/metrics`,
    /// `/hardtack/revocations` and the metadata.
    pub fn router(self) -> Router {
        self.build().0
    }

    fn build(self) -> (Router, Router) {
        let mut endpoints = vec![ENDPOINT.to_owned(), format!("{ENDPOINT}/"), "/".to_owned()];
        let own = self.relay.upstream.path();
        if !endpoints.iter().any(|known| known == own) && is_plain(own) {
            endpoints.push(own.to_owned());
        }
        let origins = self.relay.allowed_hosts.origins.clone();
        let hosts = self.relay.allowed_hosts.clone();
        let metrics = self.relay.metrics.clone();
        let (policies, requests, tls) = (self.policies, metrics.clone(), self.tls);
        let admin = Admin::new(hosts.clone(), self.relay.drain.clone(), self.readiness, self.ready);
        let admin = admin.needing(self.needs).metrics(move |rendered| {
            policies.render(rendered);
            if let Some(tls) = &tls {
                tls.render(rendered);
            }
            requests.render(rendered);
        });
        let common = Common::new();
        let relay = Relay { budget: common.budget.clone(), ..self.relay };
        let scope = Scope::of(self.guard.verifier().audience(), relay.upstream.url());
        let is_program = relay.upstream.is_program();
        let kept = Kept::of(MAX_TASKS, scope, self.keeper.as_ref(), is_program);
        let answering = self.answering;
        let side = Arc::new(GatewaySide::new(metrics, self.guard, answering, kept, common));
        let state = Arc::new(EndpointState { relay, side });
        let mut router = Router::new();
        for endpoint in endpoints {
            router = router.route(&endpoint, any(handle));
        }
        if let Some(metadata) = self.metadata {
            router = metadata.add_to(router);
        }
        let router = router.fallback(nothing).with_state(state);
        let mut router = router.merge(admin.router(!self.has_metrics_elsewhere));
        if let Some(revoker) = self.revoker {
            router = router.merge(revoking::router(revoker, hosts));
        }
        (with_pages(router, &origins), admin.router(true).fallback(nothing))
    }
}

/// Tells browsers that pages of these origins may use it (WHATWG Fetch, "CORS protocol"); nothing, if there are none.
pub(crate) fn with_pages(router: Router, origins: &[String]) -> Router {
    if origins.is_empty() {
        return router;
    }
    let origins = origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok());
    let pages = CorsLayer::new()
        .allow_origin(origins.collect::<Vec<_>>())
        .allow_methods([http::Method::GET, http::Method::POST, http::Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([SESSION_ID, PROTOCOL_VERSION, header::WWW_AUTHENTICATE]);
    router.layer(pages)
}

struct EndpointState {
    relay: Relay,
    side: Arc<GatewaySide>,
}

async fn handle(State(state): State<Arc<EndpointState>>, request: Request<Body>) -> Response {
    state.relay.handle(&*state.side, request).await
}

pub(crate) async fn nothing() -> Response {
    answer::respond(StatusCode::NOT_FOUND, &json!({"error": "not_found"}))
}
