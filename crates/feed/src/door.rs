//! Door: which requests to a feed are answered, and what is taken of gateways that acknowledge?

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::post;
use hardtack::feed::FeedRequest;
use hardtack::log::LogKey;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::gateways::{Gateways, Refused, Signed};
use crate::serving::{NEVER, TEXT, answer};
use crate::standing::NotTaken;

/// Where a gateway acknowledges.
pub(crate) const ACKNOWLEDGEMENT: &str = "acknowledgement";

pub(crate) const INPUT: HeaderName = HeaderName::from_static("signature-input");
pub(crate) const SIGNATURE: HeaderName = HeaderName::from_static("signature");
pub(crate) const DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// The most bytes of an acknowledgement, which has some 200.
const MOST_BYTES: usize = 4 << 10;

/// An acknowledgement arrives within so long.
const ARRIVES: Duration = Duration::from_secs(5);

/// Acknowledgements that are read and verified at once. Whoever finds no place comes again with its next one.
const AT_ONCE: usize = 32;

#[derive(Clone)]
struct Door {
    gateways: Gateways,
    feed: LogKey,
    places: Arc<Semaphore>,
}

/// The routes, for whoever may read them, and the one by which gateways acknowledge.
pub(crate) fn before(routes: Router, gateways: &Gateways, feed: &LogKey) -> Router {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let door = Door { gateways: gateways.clone(), feed: feed.clone(), places };
    let routes = routes.layer(middleware::from_fn_with_state(door.clone(), admit));
    let acknowledging = Router::new()
        .route(&format!("/feed/{ACKNOWLEDGEMENT}"), post(acknowledge))
        .with_state(door);
    routes.merge(acknowledging)
}

async fn admit(State(door): State<Door>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let admitted = signed(&parts).map_err(Refused::Unsigned).and_then(|signed| {
        let asked =
            FeedRequest { method: parts.method.as_str(), path: parts.uri.path(), body: None };
        door.gateways.admit(signed.as_ref(), &asked, &door.feed)
    });
    let is_closed = door.gateways.is_closed();
    match admitted {
        Ok(reader) => {
            let mut request = Request::from_parts(parts, body);
            request.extensions_mut().insert(reader);
            let mut answer = next.run(request).await;
            if is_closed {
                only_for_its_reader(&mut answer);
            }
            answer
        }
        Err(refused) => door.refuse(refused),
    }
}

/// A cache that others ask must not hand on what only readers who are enrolled may have.
fn only_for_its_reader(answer: &mut Response) {
    let cache = answer.headers().get(header::CACHE_CONTROL);
    let is_kept = cache.is_some_and(|cache| cache != NEVER);
    if let (true, Some(cache)) = (is_kept, cache.and_then(|cache| cache.to_str().ok()))
        && let Ok(private) = HeaderValue::try_from(format!("private, {cache}"))
    {
        answer.headers_mut().insert(header::CACHE_CONTROL, private);
    }
}

async fn acknowledge(State(door): State<Door>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(_place) = door.places.try_acquire() else {
        let busy = "too many acknowledgements come at once; the next one says as much\n";
        return answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, NEVER, Body::from(busy));
    };
    let Ok(Ok(body)) = tokio::time::timeout(ARRIVES, to_bytes(body, MOST_BYTES)).await else {
        let said = "an acknowledgement has 4096 bytes at most, and arrives within 5 seconds\n";
        return answer(StatusCode::BAD_REQUEST, TEXT, NEVER, Body::from(said));
    };
    let within = door.clone();
    // It may have to be written to disk that a gateway accepts longer lives.
    let taken = spawn_blocking(move || {
        let signed = signed(&parts).map_err(Refused::Unsigned)?;
        let (method, path) = (parts.method.as_str(), parts.uri.path());
        let asked = FeedRequest { method, path, body: Some(&body) };
        within.gateways.acknowledge(signed.as_ref(), &asked, &within.feed)
    });
    match taken.await {
        Ok(Ok(())) => answer(StatusCode::OK, TEXT, NEVER, Body::from("ok\n")),
        Ok(Err(refused)) => door.refuse(refused),
        Err(_) => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, NEVER, Body::empty()),
    }
}

/// The headers of a signature; `None` if there are none.
fn signed(parts: &Parts) -> Result<Option<Signed<'_>>, hardtack::feed::RequestUnsigned> {
    let form = hardtack::feed::RequestUnsigned::Form;
    let one = |name: HeaderName| {
        let mut values = parts.headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().map_err(|_| form)).transpose()?;
        if values.next().is_some() { Err(form) } else { Ok(value) }
    };
    let digest = one(DIGEST)?;
    match (one(INPUT)?, one(SIGNATURE)?) {
        (Some(input), Some(signature)) => Ok(Some(Signed { input, signature, digest })),
        (None, None) => Ok(None),
        _ => Err(form),
    }
}

impl Door {
    fn refuse(&self, refused: Refused) -> Response {
        let status = match refused {
            Refused::Unsigned(_) | Refused::Unknown => StatusCode::UNAUTHORIZED,
            Refused::NotTaken(NotTaken::Form) => StatusCode::BAD_REQUEST,
            Refused::NotTaken(NotTaken::Late | NotTaken::Ahead) => StatusCode::CONFLICT,
            Refused::NotTaken(NotTaken::TooMany) => StatusCode::TOO_MANY_REQUESTS,
        };
        let said = match status {
            StatusCode::UNAUTHORIZED => format!(
                "{refused}; only gateways that are enrolled may ask here, and sign each request (docs/feed.md)\n"
            ),
            _ => format!("{refused}\n"),
        };
        let mut answer = answer(status, TEXT, NEVER, Body::from(said));
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9421, section 5.
            let wanted = format!(
                "feed=(\"@method\" \"@path\");created;keyid;alg=\"ed25519\";tag=\"{}\"",
                self.feed.name()
            );
            if let Ok(wanted) = HeaderValue::try_from(wanted) {
                answer.headers_mut().insert("accept-signature", wanted);
            }
            let scheme = HeaderValue::from_static("Signature");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        answer
    }
}
