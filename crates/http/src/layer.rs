//! Layer: the guard in front of a service, as tower middleware.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, header};
use http_body_util::{Either, Full};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Describe, Realm, Refused, bearer, now};
use hardtack::call::{Call, CallError};
use hardtack::guard::{Denial, Guard, Permit};
use hardtack::timestamp::Timestamp;
use hardtack::verify::{Rejection, VerifiedCapability};

/// The body of an answer: the service's own, or that of a refusal.
pub type Answered<B> = Either<Full<Bytes>, B>;

type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Middleware that puts a [`Guard`] in front of a service: a [`Layer`] of tower.
///
/// For axum, `Routes` (feature `axum`) is a table from path templates to operations: it judges the parameters that the router
/// decoded. Any other reading, as this one for a service of hyper or tonic, has to agree with the service's:
///
/// ```
/// use hardtack_http::GuardLayer;
/// use hardtack::{Call, CallError, Guard};
///
/// # fn layer(guard: Guard) {
/// // The service has two paths, and compares them as they came: no escape or dot is read by one and not by the other.
/// let layer = GuardLayer::from_fn(guard, |request| match request.uri.path() {
///     "/pages" => Call::new("pages:list"),
///     "/drafts" => Call::new("drafts:list"),
///     _ => Call::new("other"),
/// });
/// # }
/// ```
///
/// **What is judged must be what the service reads.** A path is judged undecoded if `request.uri.path()` is taken as it is: to a handler that
/// decodes it, `/pages/salarie%73` is `salaries`. The same goes for doubled slashes and dots that a router leaves out, for a query or a header that stands
/// twice, and for a body: [`Reading`](crate::Reading) hands the service the bytes that it judged.
///
/// A guard is shared in an `Arc`: two layers may have the same.
#[derive(Clone)]
pub struct GuardLayer<D> {
    guard: Arc<Guard>,
    describe: D,
    clock: Clock,
}

impl<D> GuardLayer<D> {
    /// Makes a layer by which `guard` decides the call that `describe` says each request means. `describe` is a `Routes` (feature
    /// `axum`), a [`Reading`](crate::Reading), another [`Describe`], or a function from the request's head whose parameter has its type:
    /// `|request: &http::request::Parts| …`.
    pub fn new(guard: impl Into<Arc<Guard>>, describe: D) -> GuardLayer<D> {
        GuardLayer { guard: guard.into(), describe, clock: Arc::new(now) }
    }

    /// Takes the time from `clock`, for tests say. By default it is the system's.
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> GuardLayer<D> {
        self.clock = Arc::new(clock);
        self
    }
}

impl<D> GuardLayer<D>
where
    D: Fn(&Parts) -> Result<Call, CallError> + Clone + Send + Sync + 'static,
{
    /// Makes a layer by which `guard` decides the call that `describe` says the head of each request means. A request for which
    /// `describe` returns an error is answered by 400.
    pub fn from_fn(guard: impl Into<Arc<Guard>>, describe: D) -> GuardLayer<D> {
        GuardLayer::new(guard, describe)
    }
}

impl<S, D: Clone> Layer<S> for GuardLayer<D> {
    type Service = Guarded<S, D>;

    fn layer(&self, inner: S) -> Guarded<S, D> {
        Guarded { inner, layer: self.clone() }
    }
}

/// A service behind a [`Guard`], which [`GuardLayer`] makes.
///
/// A request that is let through has `Arc<Permit>` and `Arc<Chain>` among its extensions, and no `Authorization` header. The guard's
/// work, which may wait for the disk, is done on tokio's blocking threads.
#[derive(Clone)]
pub struct Guarded<S, D> {
    inner: S,
    layer: GuardLayer<D>,
}

impl<S, D, B, R> Service<Request<B>> for Guarded<S, D>
where
    S: Service<Request<B>, Response = Response<R>, Future: Send> + Clone + Send + 'static,
    D: Describe<B>,
    B: Send + 'static,
{
    type Response = Response<Answered<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready is used; its copy becomes ready next time.
        let copy = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, copy);
        let layer = self.layer.clone();
        let media = request.headers().get(header::CONTENT_TYPE);
        let is_grpc = media.is_some_and(|media| media.as_bytes().starts_with(b"application/grpc"));
        Box::pin(async move {
            match layer.admit(request).await {
                Ok(request) => Ok(inner.call(request).await?.map(Either::Right)),
                Err(refused) => {
                    let realm = Realm::named(layer.guard.verifier().audience());
                    let response = match is_grpc {
                        true => realm.grpc_response(&refused),
                        false => realm.response(&refused),
                    };
                    Ok(response.map(|body| Either::Left(Full::new(body))))
                }
            }
        })
    }
}

impl<D> GuardLayer<D> {
    async fn admit<B>(&self, request: Request<B>) -> Result<Request<B>, Refused>
    where
        D: Describe<B>,
    {
        let (mut parts, body) = request.into_parts();
        let token: Arc<str> = bearer(&parts)?.into();
        parts.headers.remove(header::AUTHORIZATION);
        let request = Request::from_parts(parts, body);
        // What a stranger sends is not read: neither its query nor its body.
        let admitted = match self.examine(&token).await {
            Ok(verified) => Some(verified),
            // Another bound may be set for what is asked for.
            Err(Turned::Away(rejection)) if rejection.is_stale() => None,
            Err(Turned::Away(rejection)) => return Err(self.turn_away(*rejection, request).await),
            Err(Turned::Unexamined(denial)) => return Err(Refused::of(&denial, "the request")),
        };
        let (call, mut request) = self.describe.describe(request).await?;
        let operation = call.operation().to_string();
        let now = (self.clock)();
        let permit = match admitted {
            Some(verified) => self.guard.check_again_async(&verified, &call, now).await,
            None => self.guard.check_async(&token, &call, now).await,
        };
        let permit: Permit = permit.map_err(|denial| Refused::of(&denial, &operation))?;
        let extensions = request.extensions_mut();
        extensions.insert(Arc::new(permit.chain().clone()));
        extensions.insert(Arc::new(permit));
        Ok(request)
    }

    /// Whether the bearer holds: here, if its signatures are remembered; else on a thread that may take its time.
    async fn examine(&self, token: &Arc<str>) -> Result<VerifiedCapability, Turned> {
        let now = (self.clock)();
        if let Some(recognized) = self.guard.verifier().recognize(token, None, now) {
            return recognized.map_err(Turned::Away);
        }
        let token = Arc::clone(token);
        let examined =
            self.guard.blocking(move |guard| Ok(guard.verifier().examine(&token, None, now)));
        examined.await.map_err(Turned::Unexamined)?.map_err(Turned::Away)
    }

    /// Records that a bearer is refused, with what it asked for.
    async fn turn_away<B>(&self, rejection: Rejection, request: Request<B>) -> Refused
    where
        D: Describe<B>,
    {
        let mut decided = self.guard.weigh_rejection(rejection, (self.clock)());
        if decided.may_tell()
            && let Some(call) = self.describe.asked(request).await
        {
            decided.tell(&call);
        }
        let denial = self.guard.record_refusal_async(decided).await;
        Refused::of(&denial, "the request")
    }
}

/// A bearer that is not let in.
enum Turned {
    /// It does not hold.
    Away(Box<Rejection>),
    /// Whether it does was not found out.
    Unexamined(Denial),
}

impl<D> fmt::Debug for GuardLayer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardLayer").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl<S, D> fmt::Debug for Guarded<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("layer", &self.layer).finish_non_exhaustive()
    }
}
