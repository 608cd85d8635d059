//! Servers: several MCP servers behind one listener, each at its own path, with its own guard.
//!
//! Nothing of a caller is shared by two of them: tokens, sessions, tasks and lists are one server's. Memory, threads and turns are the
//! process's, of which none takes all.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, Method, Request, StatusCode, header};
use serde_json::json;

use crate::admin::Admin;
use crate::answer::{self, RefusalStyle};
use crate::gateway::{nothing, with_pages};
use crate::gateway_side::Answering;
use crate::headers::AllowedHosts;
use crate::keeping::Keeper;
use crate::metadata::Metadata;
use crate::policy_metrics::Reloads;
use crate::readiness::{Needed, Needs, Readiness, Ready};
use crate::revoking::{self, Followers, Revoker};
use crate::roster::Roster;
use crate::serve::Drain;
use crate::tls::Tls;
use crate::upstream::Upstream;
use hardtack::audit::Lineage;
use hardtack::guard::Guard;
use hardtack::revocation::RevocationLog;
use hardtack::store::Store;
use hardtack_http::Realm;

/// One of several servers, before it is there ([`Roster::exchange`]).
#[derive(Debug)]
pub struct Server {
    pub(crate) guard: Arc<Guard>,
    pub(crate) upstream: Upstream,
    pub(crate) answering: Answering,
    pub(crate) metadata: Option<Metadata>,
}

impl Server {
    /// Makes a server that lets through to `upstream` what `guard` allows. Its audience is the guard's.
    pub fn new(guard: impl Into<Arc<Guard>>, upstream: Upstream) -> Server {
        let guard = guard.into();
        let answering = Answering::of(Realm::named(guard.verifier().audience()));
        Server { guard, upstream, answering, metadata: None }
    }

    /// Sets how refused requests of valid tokens are answered; by default as [`RefusalStyle::Message`].
    pub fn refusals(mut self, style: RefusalStyle) -> Server {
        self.answering.style = style;
        self
    }

    /// Lets the answer to a call flow for this long at most, as [`Gateway::longest_answer`](crate::Gateway::longest_answer).
    pub fn longest_answer(mut self, longest: Duration) -> Server {
        self.answering.longest = longest;
        self
    }

    /// Publishes the protected resource metadata (RFC 9728) at its well-known path before the server's own one, and before the path of
    /// `resource`, the URL of this server. Without any authorization server, there is no such path.
    pub fn authorization_servers(mut self, resource: &str, servers: &[String]) -> Server {
        self.metadata = Metadata::of(resource, servers);
        self.answering.realm.resource_metadata =
            self.metadata.as_ref().map(|metadata| metadata.url.clone());
        self
    }
}

/// A reverse proxy in front of several MCP servers, each at its own path, over streamable HTTP.
///
/// [`Servers::roster`] says which servers there are, from the beginning and while it runs. [`Servers::router`] is the service;
/// [`serve`](crate::serve) serves it.
#[derive(Debug)]
pub struct Servers {
    allowed_hosts: AllowedHosts,
    ready: Option<Ready>,
    needs: Needs,
    revoker: Option<Revoker>,
    readiness: Readiness,
    tls: Option<Tls>,
    roster: Roster,
}

impl Servers {
    /// Makes a service without any server yet, which answers to `hosts` (the `Host` header) besides the loopback ones, and takes
    /// requests from the web pages of `origins` (the `Origin` header).
    pub fn new(
        hosts: impl IntoIterator<Item = String>,
        origins: impl IntoIterator<Item = String>,
    ) -> Servers {
        let hosts = hosts.into_iter().collect();
        let allowed_hosts = AllowedHosts { hosts, origins: origins.into_iter().collect() };
        Servers {
            roster: Roster::new(allowed_hosts.clone()),
            allowed_hosts,
            ready: None,
            needs: Needs::default(),
            revoker: None,
            readiness: Readiness::default(),
            tls: None,
        }
    }

    /// Answers at `/readyz` that the service is ready only while `ready` finds no error, as
    /// [`Gateway::ready_while`](crate::Gateway::ready_while).
    pub fn ready_while<E: ToString>(
        mut self,
        ready: impl Fn() -> Result<(), E> + Send + Sync + 'static,
    ) -> Servers {
        self.ready = Some(Ready::new(ready));
        self
    }

    /// Is ready only while `needed` is, too, besides all that it needed before, and shows in `/readyz` what it warns of and in `/metrics` what it counts.
    pub fn needing(mut self, needed: Arc<dyn Needed>) -> Servers {
        self.needs.add(needed);
        self
    }

    /// Takes requests to revoke at `/hardtack/revocations`, for all servers, as [`Gateway::revocations`](crate::Gateway::revocations).
    /// The audience of `guard` can be no server's.
    pub fn revocations(
        mut self,
        guard: impl Into<Arc<Guard>>,
        log: Arc<dyn RevocationLog>,
        seen: Arc<dyn Lineage>,
    ) -> Servers {
        let guard = guard.into();
        self.roster.reserve(guard.verifier().audience());
        self.revoker = Some(Revoker::new(guard, log, seen));
        self
    }

    /// Shows at `/hardtack/gateways` who follows the feed of this process, and takes requests to enrol and to retire them, with what
    /// [`Servers::revocations`] has been given, which comes before.
    pub fn followed_by(mut self, followers: Arc<dyn Followers>) -> Servers {
        if let Some(revoker) = &mut self.revoker {
            revoker.followed_by(followers);
        }
        self
    }

    /// Keeps in `store` what sessions and tasks are known by, as [`Gateway::sessions_in`](crate::Gateway::sessions_in), of servers that are put
    /// there from now on.
    pub fn sessions_in(self, store: Store) -> Servers {
        self.roster.keep_in(Keeper::of(store));
        self
    }

    /// Shows in `/metrics` what is counted of the TLS by which it is served, as [`Gateway::tls`](crate::Gateway::tls).
    pub fn tls(mut self, tls: &Tls) -> Servers {
        self.tls = Some(tls.clone());
        self
    }

    /// Returns the handle by which servers are added, changed and removed. Clones share it.
    pub fn roster(&self) -> Roster {
        self.roster.clone()
    }

    /// Returns the counter of attempts to exchange the roots of its guards. Whoever makes one counts it there.
    pub fn root_reloads(&self) -> Reloads {
        self.roster.metrics().root_reloads.clone()
    }

    /// Returns the counter of attempts to exchange servers. Whoever makes one counts it there.
    pub fn settings_reloads(&self) -> Reloads {
        self.roster.metrics().settings_reloads.clone()
    }

    /// Returns the handle by which background work says that it has ended (`/readyz`).
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Returns the handle by which the service hears that it is to end; for [`serve`](crate::serve).
    pub fn drain(&self) -> Drain {
        self.roster.drain()
    }

    /// Returns two services, as [`Gateway::routers`](crate::Gateway::routers).
    pub fn routers(self) -> (Router, Router) {
        self.build(false)
    }

    /// Returns the service: each server at its own path, and `/healthz`, `/readyz`, `/metrics`, `/hardtack/revocations` and the
    /// metadata. Whatever else is asked for is not found, and says nothing of which servers there are.
    pub fn router(self) -> Router {
        self.build(true).0
    }

    fn build(self, has_metrics: bool) -> (Router, Router) {
        let Servers { allowed_hosts, ready, needs, revoker, readiness, tls, roster } = self;
        let origins = allowed_hosts.origins.clone();
        let admin = Admin::new(allowed_hosts.clone(), roster.drain(), readiness, ready);
        let counted = roster.clone();
        let admin = admin.needing(needs).metrics(move |rendered| {
            if let Some(tls) = &tls {
                tls.render(rendered);
            }
            counted.render(rendered);
        });
        let mut router = Router::new().fallback(dispatch).with_state(roster);
        router = router.merge(admin.router(has_metrics));
        if let Some(revoker) = revoker {
            router = router.merge(revoking::router(revoker, allowed_hosts));
        }
        (with_pages(router, &origins), admin.router(true).fallback(nothing))
    }
}

/// The path is taken as it was sent: what is encoded, or has another segment, case or slash, is another path.
async fn dispatch(State(roster): State<Roster>, request: Request<Body>) -> Response {
    let now = roster.now();
    let path = request.uri().path();
    if let Some(server) = now.at(path) {
        // Others of this moment may be taken away before it is answered, and end then.
        drop(now);
        return server.relay.handle(&*server.side, request).await;
    }
    match now.metadata_at(path) {
        Some(metadata) if matches!(*request.method(), Method::GET | Method::HEAD) => {
            answer::respond(StatusCode::OK, metadata.document())
        }
        Some(_) => {
            let refused = json!({"error": "not_allowed"});
            let mut response = answer::respond(StatusCode::METHOD_NOT_ALLOWED, &refused);
            // RFC 9110, section 15.5.6
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            response
        }
        None => nothing().await,
    }
}
