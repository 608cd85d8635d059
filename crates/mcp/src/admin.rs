//! Admin: how is the process, and what went through it? What is answered at `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::json;

use crate::answer;
use crate::gateway::nothing;
use crate::headers::AllowedHosts;
use crate::metrics::END;
use crate::readiness::{Needs, Readiness, Ready};
use crate::serve::Drain;

/// Appends what was counted.
type Render = Arc<dyn Fn(&mut String) + Send + Sync>;

/// Whoever is asked how the process is.
#[derive(Clone)]
pub(crate) struct Admin {
    allowed_hosts: AllowedHosts,
    drain: Drain,
    readiness: Readiness,
    ready: Option<Ready>,
    needs: Needs,
    render: Option<Render>,
}

impl Admin {
    pub(crate) fn new(
        allowed_hosts: AllowedHosts,
        drain: Drain,
        readiness: Readiness,
        ready: Option<Ready>,
    ) -> Admin {
        let needs = Needs::default();
        Admin { allowed_hosts, drain, readiness, ready, needs, render: None }
    }

    /// Asks what is needed besides, too.
    pub(crate) fn needing(self, needs: Needs) -> Admin {
        Admin { needs, ..self }
    }

    /// Has what `render` appends for metrics.
    pub(crate) fn metrics(self, render: impl Fn(&mut String) + Send + Sync + 'static) -> Admin {
        Admin { render: Some(Arc::new(render)), ..self }
    }

    /// The three paths, or the first two.
    pub(crate) fn router(&self, has_metrics: bool) -> Router {
        let mut router =
            Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready));
        if has_metrics {
            router = router.route("/metrics", get(render));
        }
        router.with_state(self.clone())
    }

    /// Whether it is asked under a name of its own or under an address, as probes and scrapers of a cluster do; a page
    /// that has its own name resolve here does neither.
    fn is_addressed(&self, request: Request<Body>) -> bool {
        self.allowed_hosts.admits_address(&request.into_parts().0)
    }
}

/// Whoever asks is told whether it is ready; why it is not, only under a name of its own.
async fn ready(State(admin): State<Admin>, request: Request<Body>) -> Response {
    let is_addressed = admin.is_addressed(request);
    let unready = |why: String| {
        let said = match is_addressed {
            true => json!({"ready": false, "why": why}),
            false => json!({"ready": false}),
        };
        answer::respond(StatusCode::SERVICE_UNAVAILABLE, &said)
    };
    if admin.drain.has_begun() {
        return unready("shutting down".to_owned());
    }
    if let Some(problem) = admin.readiness.problem() {
        return unready(problem);
    }
    let asked = admin.ready.as_ref().map_or(Ok(()), Ready::ask);
    if let Err(problem) = asked.and_then(|()| admin.needs.ready()) {
        return unready(problem);
    }
    let warnings = admin.needs.warnings();
    let said = match is_addressed && !warnings.is_empty() {
        true => json!({"ready": true, "warnings": warnings}),
        false => json!({"ready": true}),
    };
    answer::respond(StatusCode::OK, &said)
}

async fn render(State(admin): State<Admin>, request: Request<Body>) -> Response {
    if !admin.is_addressed(request) {
        return nothing().await;
    }
    let mut rendered = String::new();
    if let Some(render) = &admin.render {
        render(&mut rendered);
    }
    admin.needs.render(&mut rendered);
    rendered += END;
    let mut response = Response::new(Body::from(rendered));
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
