//! Holder: an agent runtime's own door, on its own machine: a local proxy that signs.
//!
//! A runtime that can only be given a URL speaks plain MCP to it; it signs what the runtime sends with the
//! agent's key, freshly, so that neither key nor token enters the runtime or the model's context.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::any;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode};
use serde_json::json;

use crate::answer;
use crate::budget::Payer;
use crate::echo::{Sent, TooMany, without_bearers};
use crate::forwarding::Forwarding;
use crate::gateway::with_pages;
use crate::relay::{Relay, Side};
use crate::reopening::{Renewed, Reopening};
use crate::serve::Drain;
use crate::session::Owner;
use crate::source::{CapabilitySource, Held, Source};
use crate::upstream::{Upstream, UpstreamError, plain_http};
use crate::watch::DEFAULT_LONGEST_ANSWER;
use hardtack::call::Call;
use hardtack::cause::Cause;
use hardtack::guard::Denial;
use hardtack::keys::PrivateKey;
use hardtack::mcp::{Era, Id, Message, Needs};
use hardtack::present::{PresentError, Presentation, Presenter};
use hardtack::timestamp::Timestamp;
use hardtack_http::{Refused, now};

/// The agent's end of the line: a capability, and the server to which it is presented.
///
/// [`Holder::router`] is the service. Serve it on loopback only: whoever can reach it acts as the agent.
#[derive(Debug)]
pub struct Holder {
    relay: Relay,
    inside: GatewaySide,
}

/// The choice for what a presentation is good ([`Holder::binding`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Binding {
    /// A presentation is good for what the capability grants, for minutes.
    #[default]
    Session,
    /// Each `tools/call` and other guarded request has a presentation of its own, good for it alone and once. A request that is no call
    /// has one by which no call is allowed.
    Call,
}

/// An error of a [`Holder`]: its capability cannot be presented.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// The capability's file cannot be read.
    #[error("the capability {path} cannot be read: {problem}")]
    File {
        /// The file's path.
        path: String,
        /// The problem, in words.
        problem: String,
    },
    /// The file's text is no capability.
    #[error(transparent)]
    Shape(#[from] hardtack::profile::ShapeError),
    /// The capability cannot be presented to this audience, by this key or at this time.
    #[error(transparent)]
    Present(#[from] PresentError),
    /// The server is another machine, and would be asked over plain HTTP
    /// ([`Upstream::accept_plain_http_to`](crate::Upstream::accept_plain_http_to)).
    #[error("{}", plain_http(.host))]
    PlainHttp {
        /// The server's host name.
        host: String,
    },
    /// So many presentations are still good that answers cannot be searched for one more.
    #[error("too many presentations that were sent are still good; wait until some have expired")]
    TooManyAlive,
}

impl HoldError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            HoldError::File { .. } => Cause::FileUnavailable,
            HoldError::Shape(error) => error.cause(),
            HoldError::Present(error) => error.cause(),
            HoldError::PlainHttp { .. } => Cause::PlainHttp,
            HoldError::TooManyAlive => Cause::Overloaded,
        }
    }
}

impl Holder {
    /// Makes the holder that presents the capability of `source` with `key` to `audience`, the server at `upstream`. Reads the source on
    /// this thread, and tries whether its capability can be presented; nothing is sent.
    ///
    /// # Errors
    ///
    /// [`HoldError`] if it cannot be presented now, or if the bearer would go over plain HTTP to another machine.
    pub fn new(
        source: CapabilitySource,
        key: PrivateKey,
        audience: impl Into<String>,
        upstream: Upstream,
    ) -> Result<Holder, HoldError> {
        match Holder::even_expired(source, key, audience, upstream)? {
            (_, Some(expired)) => Err(expired),
            (holder, None) => Ok(holder),
        }
    }

    /// Makes the same as [`Holder::new`], also if the capability has expired, which is returned besides: whatever is asked is answered
    /// with an error until a newer capability is in its place. For a holder that its client starts, and would not start again.
    ///
    /// # Errors
    ///
    /// [`HoldError`], as of [`Holder::new`], for everything else.
    pub fn even_expired(
        source: CapabilitySource,
        key: PrivateKey,
        audience: impl Into<String>,
        upstream: Upstream,
    ) -> Result<(Holder, Option<HoldError>), HoldError> {
        if let Err(UpstreamError::PlainHttp { host }) = upstream.check_privacy() {
            return Err(HoldError::PlainHttp { host });
        }
        let (source, audience) = (Source::new(source), audience.into());
        let held = source.read_now()?;
        let capability = held.capability()?;
        let own = capability.to_base64().into();
        let presenter = Presenter::new(capability, key)?;
        // Whether it can be presented; nothing of it is sent.
        let expired = match presenter.session(&audience, now()) {
            Err(PresentError::Life(error)) => Some(PresentError::Life(error).into()),
            tried => tried.map(|_| None)?,
        };
        let inside = GatewaySide {
            source,
            presenter,
            audience,
            binding: Binding::default(),
            found: Mutex::new(Found { held, own }),
            current: Mutex::new(None),
            sent: Arc::default(),
        };
        Ok((Holder { relay: Relay::to(upstream.large_integers()), inside }, expired))
    }

    /// Sets how strictly presentations are bound; by default [`Binding::Session`].
    pub fn binding(mut self, binding: Binding) -> Holder {
        self.inside.binding = binding;
        self
    }

    /// Answers to these names (the `Host` header), too. By default it answers to the loopback ones alone.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Holder {
        self.relay.allowed_hosts.hosts.extend(hosts);
        self
    }

    /// Takes requests from these web pages (the `Origin` header), such as `https://app.example`. By default it takes them from none:
    /// whatever sends as such a page acts as the agent.
    pub fn origins(mut self, origins: impl IntoIterator<Item = String>) -> Holder {
        self.relay.allowed_hosts.origins.extend(origins);
        self
    }

    /// Returns the handle by which the service hears that it is to end; for [`serve`](crate::serve).
    pub fn drain(&self) -> Drain {
        self.relay.drain.clone()
    }

    /// Returns the service, with the endpoint at `/mcp` and `/`.
    pub fn router(self) -> Router {
        let origins = self.relay.allowed_hosts.origins.clone();
        let state = Arc::new((self.relay, Arc::new(self.inside)));
        let router = Router::new()
            .route("/mcp", any(handle))
            .route("/", any(handle))
            .fallback(|| async {
                answer::respond(StatusCode::NOT_FOUND, &json!({"error": "not_found"}))
            })
            .with_state(state);
        with_pages(router, &origins)
    }
}

/// A runtime's own idea of a credential is not for the server: it is none of the headers that pass, and the presentation
/// stands in its place.
async fn handle(
    State(state): State<Arc<(Relay, Arc<GatewaySide>)>>,
    request: Request<Body>,
) -> Response {
    let (relay, inside) = &*state;
    relay.handle(inside, request).await
}

struct GatewaySide {
    source: Source,
    presenter: Presenter,
    audience: String,
    binding: Binding,
    found: Mutex<Found>,
    current: Mutex<Option<Current>>,
    sent: Arc<Sent>,
}

/// The capability that the presenter has, as it was found last.
struct Found {
    held: Held,
    /// Its text, with which each presentation of it begins.
    own: Arc<str>,
}

/// What was sent last, of what is sent more than once.
struct Current {
    presentation: Presentation,
    value: HeaderValue,
}

impl GatewaySide {
    /// Has the presenter present what was found now. Returns its text.
    fn take(&self, held: Held) -> Result<Arc<str>, HoldError> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.is(&found.held) {
            let capability = held.capability()?;
            let own = capability.to_base64().into();
            self.presenter.replace(capability)?;
            *found = Found { held, own };
        }
        Ok(Arc::clone(&found.own))
    }

    /// The header of a presentation that is to be sent: from now on it is looked for in answers.
    fn to_be_sent(
        &self,
        presentation: &Presentation,
        own: &str,
        now: Timestamp,
    ) -> Result<HeaderValue, HoldError> {
        let (bearer, expires) = (presentation.bearer(), presentation.expires());
        let common = own.bytes().zip(bearer.bytes()).take_while(|(own, whole)| own == whole);
        let noted = self.sent.note(bearer, common.count(), expires, now);
        noted.map_err(|TooMany| HoldError::TooManyAlive)?;
        // A bearer is base64, which every header can hold.
        let mut value = HeaderValue::try_from(format!("Bearer {bearer}"))
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        Ok(value)
    }

    /// The presentation for everything that is not bound to a call, and when it ends. Where calls are bound, it is for no call.
    async fn standing(&self, now: Timestamp) -> Result<(HeaderValue, Timestamp), HoldError> {
        let held = self.source.read().await;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let presented = held.and_then(|held| {
            let own = self.take(held)?;
            let presentation = match self.binding {
                Binding::Session => self.presenter.session(&self.audience, now)?,
                Binding::Call => self.presenter.for_no_call(&self.audience, now)?,
            };
            let is_current =
                |known: &&Current| known.presentation.bearer() == presentation.bearer();
            if let Some(known) = current.as_ref().filter(is_current) {
                return Ok((known.value.clone(), known.presentation.expires()));
            }
            let value = self.to_be_sent(&presentation, &own, now)?;
            let expires = presentation.expires();
            *current = Some(Current { presentation, value: value.clone() });
            Ok((value, expires))
        });
        // What cannot be renewed is used to its end.
        presented.or_else(|error| match &*current {
            Some(known) if known.presentation.expires() > now => {
                tracing::warn!(error = %error, "the capability cannot be presented anew");
                Ok((known.value.clone(), known.presentation.expires()))
            }
            _ => Err(error),
        })
    }

    /// The presentation for these calls and no other; for one, good once.
    async fn for_calls(
        &self,
        calls: Vec<Call>,
        now: Timestamp,
    ) -> Result<(HeaderValue, Timestamp), HoldError> {
        let own = self.take(self.source.read().await?)?;
        let presentation = self.presenter.for_calls(&self.audience, calls, now)?;
        let value = self.to_be_sent(&presentation, &own, now)?;
        Ok((value, presentation.expires()))
    }

    /// The presentation for these calls; the standing one for none.
    async fn presented(
        &self,
        calls: Vec<Call>,
        now: Timestamp,
    ) -> Result<(HeaderValue, Timestamp), HoldError> {
        match calls.is_empty() {
            true => self.standing(now).await,
            false => self.for_calls(calls, now).await,
        }
    }

    /// How a stream that was opened by a presentation for these calls, which ends then, is opened again.
    fn reopening(self: &Arc<Self>, calls: Vec<Call>, expires: Timestamp) -> Reopening {
        let (side, sent) = (Arc::clone(self), Arc::clone(&self.sent));
        let renew = move || -> BoxFuture<'static, Renewed> {
            let (side, calls) = (Arc::clone(&side), calls.clone());
            Box::pin(async move {
                let renewed = side.presented(calls, now()).await;
                let warn = |error: &HoldError| {
                    tracing::warn!(%error, "a stream cannot be opened with a fresh presentation");
                };
                renewed.inspect_err(warn).ok()
            })
        };
        let clean = move |answer| without_bearers(answer, &sent);
        Reopening { renew: Arc::new(renew), clean: Arc::new(clean), expires }
    }

    /// The calls that a message means, if they are to be bound; none for what is no call.
    fn calls_of(&self, message: &Message, era: Era) -> Result<Vec<Call>, Response> {
        // What is not known is no call; the server says so.
        let (Binding::Call, Ok(_)) = (self.binding, message.asks(era)) else {
            return Ok(Vec::new());
        };
        message.calls().map_err(|error| {
            let refused = Refused::of(&error.into(), "the request");
            answer::unsent(message.id(), is_tool_call(message), &refused)
        })
    }
}

/// Whether it means calls, whose answers the server bounds.
fn is_call(message: &Message, era: Era) -> bool {
    let method = message.asks(era).ok();
    method.is_some_and(|method| matches!(method.needs(), Needs::Calls | Needs::OwnTasks))
}

fn is_tool_call(message: &Message) -> bool {
    message.method() == Some("tools/call")
}

impl Side for Arc<GatewaySide> {
    type Caller = ();

    async fn admit(&self, _: &Parts, _: &mut Body) -> Result<(), Response> {
        Ok(())
    }

    fn bearer<'a>(&self, (): &'a ()) -> Option<&'a str> {
        None
    }

    fn payer(&self, (): &()) -> Payer {
        Payer::from_bytes([0; 32])
    }

    /// Whoever reaches it acts as the one agent.
    fn owner(&self, (): &()) -> Owner {
        Owner::from_bytes([0; 32])
    }

    async fn judge(&self, (): &(), message: &Message, era: Era) -> Result<Forwarding, Response> {
        let calls = self.calls_of(message, era)?;
        let listens = message.method() == Some("subscriptions/listen");
        let again = listens.then(|| calls.clone());
        match self.presented(calls, now()).await {
            Ok((value, expires)) => Ok(Forwarding {
                authorization: Some(value),
                is_tool_call: is_tool_call(message),
                patience: is_call(message, era).then_some(DEFAULT_LONGEST_ANSWER),
                reopening: again.map(|calls| self.reopening(calls, expires)),
                waits: listens,
                ..Forwarding::default()
            }),
            // It would be refused.
            Err(HoldError::Present(PresentError::NotGranted { operation, .. })) => {
                Err(uncovered(message, &operation))
            }
            Err(error) => Err(unpresentable(&error, Some(message))),
        }
    }

    async fn judge_without_message(&self, (): &()) -> Result<Forwarding, Response> {
        let presented = self.standing(now()).await;
        let (value, expires) = presented.map_err(|error| unpresentable(&error, None))?;
        let reopening = Some(self.reopening(Vec::new(), expires));
        let authorization = Some(value);
        Ok(Forwarding { authorization, reopening, waits: true, ..Forwarding::default() })
    }

    /// The runtime has no credential, and there is none that it could get anywhere.
    fn unaccepted(&self, id: Option<&Id>, is_tool_call: bool) -> Response {
        const TEXT: &str = "the server does not accept the agent's capability: it may be revoked, or `--audience` may name another server. Trying again will not help; whoever delegated to this agent can delegate anew.";
        answer::unforwarded(id, is_tool_call, TEXT)
    }

    /// Without the bearers that the server was sent.
    fn received(&self, answer: reqwest::Response) -> reqwest::Response {
        without_bearers(answer, &self.sent)
    }

    fn session_inwards(&self, (): &(), id: &str) -> Option<String> {
        Some(id.to_owned())
    }

    fn session_outwards(&self, (): &(), id: &str) -> String {
        id.to_owned()
    }
}

/// What the capability does not cover, said as the gateway would.
fn uncovered(message: &Message, operation: &str) -> Response {
    let refused = Refused::of(&Denial::not_granted(operation), operation);
    answer::unsent(message.id(), is_tool_call(message), &refused)
}

/// Nothing can be asked for any more: whoever delegated must delegate anew. No 401, since there is nothing that
/// the runtime could authenticate with.
fn unpresentable(error: &HoldError, message: Option<&Message>) -> Response {
    tracing::warn!(error = %error, "the capability cannot be presented");
    let text = format!(
        "the agent's capability cannot be presented: {error}. Whoever delegated to this agent must delegate anew."
    );
    answer::unforwarded(message.and_then(Message::id), message.is_some_and(is_tool_call), &text)
}

impl fmt::Debug for GatewaySide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside").field("audience", &self.audience).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use crate::headers::forwarded;

    use super::*;

    #[test]
    fn no_credential_of_the_runtimes_passes() {
        let names = ["authorization", "proxy-authorization", "cookie", "x-api-key", "forwarded"];
        let headers: HeaderMap = names
            .map(|name| (http::HeaderName::from_static(name), HeaderValue::from_static("a")))
            .into_iter()
            .collect();
        assert_eq!(headers.len(), 5);
        assert!(forwarded(&headers).is_empty());
    }
}
