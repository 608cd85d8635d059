//! Decider: one guard's decision about what is asked, whoever asks.

use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Either, Full};
use tower_layer::Layer;
use tower_service::Service;

use crate::asked::{self, Names};
use crate::body::Bodies;
use crate::rules::{Meaning, Meanings, Rules};
use crate::settings::{Mapping, MappingError, Told, header as header_name};
use hardtack::guard::{Guard, Helps, Permit};
use hardtack::timestamp::Timestamp;
use hardtack_http::{GuardLayer, Guarded, Realm, Refused};

/// How long a decision may take. A decision that is quick takes milliseconds; one that waits longer than this waits for a disk that hangs.
const DECISION_TIMEOUT: Duration = Duration::from_secs(10);

const LATE: &str = "it was not decided in time; try again later";

/// The value of a header that has nothing to tell, such as of the agent if the subject acts itself. No agent can have this name.
const NOBODY: &str = "(none)";

/// Headers that mean something to every server, and cannot be given another meaning.
const NOT_TOLD_BY: [&str; 14] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What decides questions of proxies: a [`Guard`] and a [`Mapping`] from requests to calls. A service of tower; [`serve`](crate::serve)
/// serves it. Clones share everything.
#[derive(Clone)]
pub struct Decider {
    guarded: Guarded<Permits, Meanings>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) realm: Arc<Realm>,
    pub(crate) doors: Arc<Doors>,
}

/// Which proxies may ask, and what allowed requests are given.
pub(crate) struct Doors {
    pub(crate) nginx: Option<Names>,
    pub(crate) forward_auth: Option<bool>,
    pub(crate) envoy: Option<bool>,
    pub(crate) authzen: bool,
    pub(crate) reads_bodies: bool,
    pub(crate) bodies: Bodies,
    told: Vec<(HeaderName, Told)>,
}

/// A decision.
pub(crate) enum Verdict {
    Allowed(Arc<Permit>),
    /// Status, headers and JSON body of the refusal, as the layer answers it.
    Refused(Response<Bytes>),
}

impl Decider {
    /// Makes a decider that asks `guard` about what `mapping` says that questions mean.
    ///
    /// # Errors
    ///
    /// [`MappingError`] with the first thing in the mapping that cannot be as it is.
    pub fn new(guard: impl Into<Arc<Guard>>, mapping: &Mapping) -> Result<Decider, MappingError> {
        Decider::with_clock(guard, mapping, hardtack_http::now)
    }

    /// Makes a decider that takes the time from `clock`, for tests say.
    ///
    /// # Errors
    ///
    /// [`MappingError`], as of [`Decider::new`].
    pub fn with_clock(
        guard: impl Into<Arc<Guard>>,
        mapping: &Mapping,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<Decider, MappingError> {
        let guard = guard.into();
        let realm = Realm::named(guard.verifier().audience());
        let doors = Doors::of(mapping)?;
        let rules = Arc::new(Rules::of(mapping)?);
        let layer = GuardLayer::new(guard, Meanings(Arc::clone(&rules))).clock(clock);
        Ok(Decider {
            guarded: layer.layer(Permits),
            rules,
            realm: Arc::new(realm),
            doors: Arc::new(doors),
        })
    }

    /// Decides what is asked with these values of `Authorization`. `target` is the client's, in which no token may stand.
    pub(crate) async fn decide(
        &self,
        authorizations: Vec<HeaderValue>,
        target: Option<String>,
        meaning: Meaning,
    ) -> Verdict {
        // Of the client's request nothing else comes before the layer: by its Content-Type, say, a refusal would be of another form.
        let mut request = Request::new(Full::default());
        let uri = target.and_then(|target| target.parse::<Uri>().ok());
        *request.uri_mut() = uri.unwrap_or_default();
        for value in authorizations {
            request.headers_mut().append(header::AUTHORIZATION, value);
        }
        request.extensions_mut().insert(Arc::new(meaning));
        let decided = self.guarded.clone().call(request);
        let Ok(Ok(decided)) = tokio::time::timeout(DECISION_TIMEOUT, decided).await else {
            return Verdict::Refused(self.unavailable(LATE));
        };
        let (parts, answered) = decided.into_parts();
        match answered {
            Either::Right(permit) => Verdict::Allowed(permit),
            Either::Left(body) => {
                let body = body.collect().await.map_or(Bytes::new(), |body| body.to_bytes());
                Verdict::Refused(Response::from_parts(parts, body))
            }
        }
    }

    /// The answer to what was not decided, and may be later.
    pub(crate) fn unavailable(&self, problem: &str) -> Response<Bytes> {
        let mut refused = Refused::by_door(503, Some("temporarily_unavailable"), problem);
        refused.helps = Some(Helps::Later);
        self.realm.response(&refused)
    }
}

impl Doors {
    fn of(mapping: &Mapping) -> Result<Doors, MappingError> {
        let nginx = mapping.nginx.as_ref().map(|nginx| {
            Ok(Names {
                method: header_name("nginx", &nginx.method_header)?,
                uri: header_name("nginx", &nginx.uri_header)?,
                host: header_name("nginx", &nginx.host_header)?,
            })
        });
        let nginx: Option<Names> = nginx.transpose()?;
        if let Some(Names { method, uri, host }) = &nginx
            && (method == uri || uri == host || host == method)
        {
            return Err(MappingError::new("nginx", "two headers have one name"));
        }
        let names = nginx.iter().flat_map(|names| [&names.method, &names.uri, &names.host]);
        if let Some(name) = names.into_iter().find(|name| asked::is_override(name)) {
            let problem = format!(
                "frameworks take method or path from {name}, so a client must not send it; choose another name, such as X-Original-URI"
            );
            return Err(MappingError::new("nginx", problem));
        }
        let told = |(name, told): (&String, &Told)| {
            let header = header_name("allowed-headers", name)?;
            match NOT_TOLD_BY.contains(&header.as_str()) {
                true => Err(MappingError::new(
                    "allowed-headers",
                    format!(
                        "{name} means something else to servers; choose a name such as X-Hardtack-Subject"
                    ),
                )),
                false => Ok((header, *told)),
            }
        };
        let told = mapping.allowed_headers.iter().map(told).collect::<Result<Vec<_>, _>>()?;
        let doors = Doors {
            nginx,
            forward_auth: mapping.forward_auth.as_ref().map(|forward| forward.body),
            envoy: mapping.envoy.as_ref().map(|envoy| envoy.body),
            authzen: mapping.authzen.is_some(),
            bodies: Bodies::of(mapping.message_limit)?,
            reads_bodies: mapping.route.iter().any(|route| route.body.is_some()),
            told,
        };
        match doors.nginx.is_none()
            && doors.forward_auth.is_none()
            && doors.envoy.is_none()
            && !doors.authzen
        {
            true => Err(MappingError::new(
                "proxies",
                "nobody may ask: write [nginx], [envoy], [forward-auth] or [authzen]",
            )),
            false => Ok(doors),
        }
    }

    /// The names of the headers by which the service is told.
    pub(crate) fn told_by(&self) -> impl Iterator<Item = &HeaderName> + Clone {
        self.told.iter().map(|(name, _)| name)
    }

    /// The headers of an allowed request: every one that is configured, each with a value, so that what a client sent under its name is
    /// overwritten, and so that one that is missing was taken out on the way.
    pub(crate) fn told(&self, permit: &Permit) -> Vec<(HeaderName, HeaderValue)> {
        let header = |(name, told): &(HeaderName, Told)| {
            let value = told.of(permit);
            let value = if value.is_empty() { NOBODY.to_owned() } else { value };
            // Names are printable ASCII.
            let value = HeaderValue::try_from(value);
            (name.clone(), value.unwrap_or(HeaderValue::from_static(NOBODY)))
        };
        self.told.iter().map(header).collect()
    }
}

impl Told {
    pub(crate) fn of(self, permit: &Permit) -> String {
        let chain = permit.chain();
        match self {
            Told::Subject => permit.subject().to_owned(),
            Told::Agent => permit.agent().unwrap_or_default().to_owned(),
            Told::Agents => {
                chain.hops.iter().map(|hop| hop.delegate.as_str()).collect::<Vec<_>>().join(",")
            }
            Told::Grant => chain.grant.revocation_id.to_string(),
            Told::Hop => {
                let hop = chain.hops.last().map(|hop| hop.revocation_id);
                hop.unwrap_or(chain.grant.revocation_id).to_string()
            }
            Told::Record => permit.sequence().map_or(String::new(), |number| number.to_string()),
        }
    }
}

impl fmt::Debug for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decider").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// What stands behind the layer: it hands out the permit.
#[derive(Clone)]
struct Permits;

impl Service<Request<Full<Bytes>>> for Permits {
    type Response = Response<Arc<Permit>>;
    type Error = NoPermit;
    type Future = Ready<Result<Response<Arc<Permit>>, NoPermit>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoPermit>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let permit = request.extensions().get::<Arc<Permit>>().cloned();
        ready(permit.map(Response::new).ok_or(NoPermit))
    }
}

/// A request that came without a permit, which the layer lets none do.
struct NoPermit;
