//! HTTP: the issuer's routes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hardtack::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::form::MAX_BYTES;
use crate::issuing::Issuing;
use crate::oauth::{Refusal, metadata};

/// The most requests that are worked on at once: each may hold a form and wait for a provider or the disk.
const MAX_AT_ONCE: usize = 64;

/// How long a form may take to arrive: it is small.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the well-known document stands (RFC 8414, section 3.1): before the path of the issuer's URL.
const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// What tells the moment: only a door reads the clock.
pub type Clock = fn() -> Timestamp;

#[derive(Clone)]
struct Doors {
    issuing: Arc<Issuing>,
    clock: Clock,
    places: Arc<Semaphore>,
}

/// Returns the routes: the endpoints of tokens and of revocation, the metadata, and health.
pub fn router(issuing: Arc<Issuing>, clock: Clock) -> Router {
    let path = issuing.url().path().trim_end_matches('/').to_owned();
    let document = metadata(issuing.url());
    let described = move || {
        let document = document.clone();
        async move { Json(document) }
    };
    let doors = Doors { issuing, clock, places: Arc::new(Semaphore::new(MAX_AT_ONCE)) };
    Router::new()
        .route(&format!("{path}/token"), post(token))
        .route(&format!("{path}/revoke"), post(revoke))
        .route(&format!("{WELL_KNOWN}{path}"), get(described))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(doors)
}

async fn token(State(doors): State<Doors>, request: Request) -> Response {
    let answered = async {
        let asked = Asked::read(&doors, request).await?;
        doors.issuing.token(&asked.body, &asked.proofs(), (doors.clock)()).await
    };
    answer(answered.await.map(|body| Json(body).into_response()))
}

async fn revoke(State(doors): State<Doors>, request: Request) -> Response {
    let answered = async {
        let asked = Asked::read(&doors, request).await?;
        doors.issuing.revoke(&asked.body, &asked.proofs(), (doors.clock)()).await
    };
    answer(answered.await.map(|()| StatusCode::OK.into_response()))
}

fn answer(answered: Result<Response, Refusal>) -> Response {
    let mut response = answered.unwrap_or_else(|refusal| {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, Json(refusal.body())).into_response();
        if let Some(seconds) = refusal.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    });
    // What is in it is nobody else's (RFC 6749, section 5.1).
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A request that was read whole, and its place among those that are worked on.
struct Asked {
    body: Bytes,
    proofs: Vec<String>,
    _place: OwnedSemaphorePermit,
}

impl Asked {
    async fn read(doors: &Doors, request: Request) -> Result<Asked, Refusal> {
        let (head, body) = request.into_parts();
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Refusal::request("send a form: application/x-www-form-urlencoded"));
        }
        let proofs = head.headers.get_all("dpop").iter();
        let proofs = proofs.map(|proof| proof.to_str().map(str::to_owned));
        let proofs = proofs.collect::<Result<Vec<_>, _>>();
        let proofs = proofs.map_err(|_| Refusal::request("the DPoP header is no text"))?;
        let body = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BYTES)).await;
        let body = body
            .map_err(|_| Refusal::request("the form did not arrive in time"))?
            .map_err(|_| Refusal::request(format!("a form has at most {MAX_BYTES} bytes")))?;
        // Whoever sends slowly holds a connection, and no place.
        let place = Arc::clone(&doors.places).try_acquire_owned().map_err(|_| {
            let why = "more is asked for at once than is answered";
            Refusal::later(hardtack::Cause::Overloaded, why, 1)
        })?;
        Ok(Asked { body, proofs, _place: place })
    }

    fn proofs(&self) -> Vec<&str> {
        self.proofs.iter().map(String::as_str).collect()
    }
}
