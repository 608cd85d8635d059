//! Describe: which call does a request mean? For the service to say.

use std::fmt;
use std::future::{Future, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use hardtack::call::{Call, CallError};
use hardtack::cause::Cause;

/// How long a body may take to arrive. It is read after its bearer was verified, and a thousand slow ones
/// must not hold a server's memory for ever.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of a body is read for the record of a bearer that is refused: what comes with a head in one or two packets, as of
/// most calls. A hundred a second are recorded, so that some megabytes are held for it.
pub const MAX_REFUSED_BODY_BYTES: usize = 64 * 1024;

/// And for how long: whoever is refused is not waited for.
pub const REFUSED_BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// Says which operation, resource and arguments a request means, for [`GuardLayer`](crate::GuardLayer). What it says is judged, so it
/// must read a request as the service does.
///
/// `Routes` (feature `axum`) is one for axum's path templates. A function from the request's head is one:
/// `|request: &http::request::Parts| Call::new("pages:read")`, whose parameter needs its type. Where arguments stand in the body,
/// [`Reading`] is one.
///
/// It is asked only about requests whose bearer is valid, so that its work is done for nobody else.
pub trait Describe<B>: Clone + Send + Sync + 'static {
    /// Returns the call that the request means, and the request for the service.
    ///
    /// # Errors
    ///
    /// [`Undescribed`] if the request means no call; it is then refused.
    fn describe(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Result<(Call, Request<B>), Undescribed>> + Send;

    /// Returns the call that a refused request asked for, if that can be said with little work. Its operation and resource stand in the
    /// record of the refusal. `None`, which is the default, has the request recorded as `admission`.
    ///
    /// It is asked only if the bearer's signatures hold and the refusal is recorded, 100 times a second at the most.
    fn asked(&self, request: Request<B>) -> impl Future<Output = Option<Call>> + Send {
        drop(request);
        ready(None)
    }
}

/// An error of [`Describe`]: a request that means no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undescribed {
    /// The request's arguments are not exact enough to be judged.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The body is larger than it may be.
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    /// Reading the body would take more memory than one body may.
    #[error(
        "the body has so many objects and values that reading it takes more than {0} MiB; send it in parts"
    )]
    TooManyValues(usize),
    /// The body did not arrive in time, or not whole.
    #[error("the body did not arrive")]
    Incomplete,
    /// No path template of the service was matched, or one that its table of routes does not have.
    #[error("there is nothing here")]
    NoRoute,
    /// The table of routes has no operation for the request's method.
    #[error("the method is none that can be asked for here")]
    NoOperation,
    /// A parameter of the path, or the body, is no UTF-8 text.
    #[error("the request has bytes that are no UTF-8 text")]
    NoText,
    /// Another problem, in words for whoever sent the request.
    #[error("{0}")]
    Other(String),
}

impl Undescribed {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            Undescribed::Call(error) => error.cause(),
            Undescribed::TooLarge(_) | Undescribed::TooManyValues(_) => Cause::CallTooLarge,
            Undescribed::Incomplete => Cause::BodyIncomplete,
            Undescribed::NoRoute => Cause::NoRoute,
            Undescribed::NoOperation => Cause::NoOperation,
            Undescribed::NoText => Cause::NotText,
            Undescribed::Other(_) => Cause::Undescribed,
        }
    }
}

impl<B, F> Describe<B> for F
where
    F: Fn(&Parts) -> Result<Call, CallError> + Clone + Send + Sync + 'static,
    B: Send,
{
    fn describe(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Result<(Call, Request<B>), Undescribed>> + Send {
        let (parts, body) = request.into_parts();
        let call = self(&parts);
        ready(match call {
            Ok(call) => Ok((call, Request::from_parts(parts, body))),
            Err(error) => Err(error.into()),
        })
    }

    fn asked(&self, request: Request<B>) -> impl Future<Output = Option<Call>> + Send {
        ready(self(&request.into_parts().0).ok())
    }
}

/// Describes a request by its head and its body ([`Describe`]). The body is read up to a number of bytes, and handed to the service as it
/// came.
#[derive(Clone)]
pub struct Reading<F> {
    most: usize,
    describe: F,
}

impl<F> Reading<F> {
    /// Reads at most `most` bytes of the body and has `describe` say which call head and body mean. A request with a larger body is
    /// refused.
    pub fn up_to(most: usize, describe: F) -> Reading<F>
    where
        F: Fn(&Parts, &Bytes) -> Result<Call, CallError> + Clone + Send + Sync + 'static,
    {
        Reading { most, describe }
    }
}

impl<B, F> Describe<B> for Reading<F>
where
    F: Fn(&Parts, &Bytes) -> Result<Call, CallError> + Clone + Send + Sync + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + From<Bytes> + Send,
{
    async fn describe(&self, request: Request<B>) -> Result<(Call, Request<B>), Undescribed> {
        let (parts, body) = request.into_parts();
        let body = read_body(body, self.most, BODY_TIMEOUT).await?;
        let call = (self.describe)(&parts, &body)?;
        Ok((call, Request::from_parts(parts, B::from(body))))
    }

    async fn asked(&self, request: Request<B>) -> Option<Call> {
        let (parts, body) = request.into_parts();
        let most = self.most.min(MAX_REFUSED_BODY_BYTES);
        let body = read_body(body, most, REFUSED_BODY_TIMEOUT).await.ok()?;
        (self.describe)(&parts, &body).ok()
    }
}

/// A whole body of at most `most` bytes, if it arrives within `patience`.
#[doc(hidden)]
pub async fn read_body<B>(body: B, most: usize, patience: Duration) -> Result<Bytes, Undescribed>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let read = Limited::new(body, most).collect();
    match tokio::time::timeout(patience, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Undescribed::TooLarge(most)),
        Ok(Err(_)) | Err(_) => Err(Undescribed::Incomplete),
    }
}

/// The call with the members of a body as arguments beside those that it has.
#[doc(hidden)]
pub fn with_members(call: Call, body: &[u8]) -> Result<Call, Undescribed> {
    let Ok(text) = std::str::from_utf8(body) else { return Err(Undescribed::NoText) };
    // Whoever read the body has bounded it.
    let call = call.at_most(usize::MAX);
    let members = Call::new(call.operation().as_str())?.at_most(usize::MAX).arguments(text)?;
    let members = members.arguments_json().iter();
    Ok(members
        .into_iter()
        .try_fold(call, |call, (name, value)| call.argument(name, value.clone()))?)
}

impl<F> fmt::Debug for Reading<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("most", &self.most).finish_non_exhaustive()
    }
}
