//! Holder: an agent runtime's own door, on its own machine.
//!
//! A runtime that can only be given a URL speaks plain MCP to it; it signs what the runtime sends with the
//! agent's key, freshly, so that neither key nor token enters the runtime or the model's context.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::any;
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::json;

use crate::call::Call;
use crate::capability::Capability;
use crate::http::now;
use crate::keys::PrivateKey;
use crate::mcp::answer;
use crate::mcp::headers::Era;
use crate::mcp::message::Message;
use crate::mcp::methods::{self, Needs};
use crate::mcp::relay::{Passage, Relay, Side};
use crate::mcp::serve::Drain;
use crate::mcp::session::Owner;
use crate::mcp::upstream::Upstream;
use crate::present::{PresentError, Presenting};
use crate::timestamp::Timestamp;

/// How long before it expires a presentation is replaced, so that a request under way is not caught by its end.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

/// How long a presentation lives: as long as servers accept. What it begins may go on for half of it at the least.
const SESSION_LIFE: Duration = Duration::from_secs(10 * 60);

/// What an agent holds, and to whom it presents it.
///
/// [`Holder::router`] is the service, which must be served on loopback only: whoever can reach it acts as the
/// agent.
#[derive(Debug)]
pub struct Holder {
    relay: Relay,
    inside: Inside,
}

/// Where a capability comes from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CapabilitySource {
    /// This one, until it expires.
    Fixed(Box<Capability>),
    /// This file, read again for every presentation: whoever delegated puts a newer one in its place.
    File(PathBuf),
}

/// For what a presentation is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Binding {
    /// For what the capability grants, for minutes.
    #[default]
    Session,
    /// Each `tools/call` and other guarded request has one of its own, good for it alone and once.
    Call,
}

/// A capability that cannot be presented.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// The file cannot be read.
    #[error("the capability {path} cannot be read: {problem}")]
    File {
        /// The file.
        path: String,
        /// Why.
        problem: String,
    },
    /// What it holds is no capability.
    #[error(transparent)]
    Shape(#[from] crate::profile::ShapeError),
    /// It cannot be presented to this audience, or not by this key, or no longer.
    #[error(transparent)]
    Present(#[from] PresentError),
}

impl Holder {
    /// Presents what `source` holds to `audience`, which is at `upstream`, with the holder's key.
    ///
    /// # Errors
    ///
    /// [`HoldError`] if that cannot be done now.
    pub fn new(
        source: CapabilitySource,
        key: PrivateKey,
        audience: impl Into<String>,
        upstream: Upstream,
    ) -> Result<Holder, HoldError> {
        let inside = Inside {
            source,
            key,
            audience: audience.into(),
            binding: Binding::default(),
            current: Mutex::new(None),
        };
        inside.session(now())?;
        Ok(Holder { relay: Relay::to(upstream), inside })
    }

    /// How strictly presentations are bound.
    pub fn binding(mut self, binding: Binding) -> Holder {
        self.inside.binding = binding;
        self
    }

    /// Is addressed by these names too (`Host`), besides the loopback ones.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Holder {
        self.relay.doorbell.hosts.extend(hosts);
        self
    }

    /// How it hears that it is to end; for [`serve`](crate::mcp::serve).
    pub fn drain(&self) -> Drain {
        self.relay.drain.clone()
    }

    /// The service: the endpoint at `/mcp` and `/`.
    pub fn router(self) -> Router {
        let state = Arc::new((self.relay, Arc::new(self.inside)));
        Router::new()
            .route("/mcp", any(handle))
            .route("/", any(handle))
            .fallback(|| async {
                answer::respond(StatusCode::NOT_FOUND, &json!({"error": "not_found"}))
            })
            .with_state(state)
    }
}

async fn handle(
    State(state): State<Arc<(Relay, Arc<Inside>)>>,
    mut request: Request<Body>,
) -> Response {
    // A runtime's own idea of a credential is not for the server.
    request.headers_mut().remove(header::AUTHORIZATION);
    let (relay, inside) = &*state;
    relay.handle(inside, request).await
}

struct Inside {
    source: CapabilitySource,
    key: PrivateKey,
    audience: String,
    binding: Binding,
    current: Mutex<Option<Current>>,
}

/// A presentation, and of what.
struct Current {
    value: HeaderValue,
    expires: Timestamp,
    renew: Timestamp,
    version: Option<(std::time::SystemTime, u64)>,
}

impl Inside {
    /// Which capability there is now, as far as that can be told without reading it.
    fn version(&self) -> Option<(std::time::SystemTime, u64)> {
        let CapabilitySource::File(path) = &self.source else { return None };
        let file = std::fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    }

    fn capability(&self) -> Result<Capability, HoldError> {
        match &self.source {
            CapabilitySource::Fixed(capability) => Ok((**capability).clone()),
            CapabilitySource::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| HoldError::File {
                    path: path.display().to_string(),
                    problem: error.to_string(),
                })?;
                Ok(Capability::parse(text.trim())?)
            }
        }
    }

    fn present(
        &self,
        presenting: Presenting,
        now: Timestamp,
    ) -> Result<(HeaderValue, Timestamp), HoldError> {
        let presentation = self.capability()?.present(presenting, &self.key, now)?;
        // A bearer is base64, which every header can hold.
        let mut value = HeaderValue::try_from(format!("Bearer {}", presentation.bearer()))
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        Ok((value, presentation.expires()))
    }

    /// The presentation for everything that is not bound to a call.
    fn session(&self, now: Timestamp) -> Result<HeaderValue, HoldError> {
        let mut current = self.current.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let version = self.version();
        if let Some(known) = &*current
            && known.renew > now
            && known.version == version
        {
            return Ok(known.value.clone());
        }
        let presenting = Presenting::to(&self.audience).ttl(SESSION_LIFE);
        let presented = match self.present(presenting, now) {
            // A capability that ends sooner is presented to its end.
            Err(HoldError::Present(PresentError::Life(_))) => {
                self.present(Presenting::to(&self.audience), now)
            }
            presented => presented,
        };
        match presented {
            Ok((value, expires)) => {
                let life = expires.since(now);
                let renew = now + life.saturating_sub(RENEW_BEFORE).max(life / 2);
                *current = Some(Current { value: value.clone(), expires, renew, version });
                Ok(value)
            }
            // What cannot be renewed is used to its end.
            Err(error) => match &*current {
                Some(known) if known.expires > now => {
                    tracing::warn!(error = %error, "the capability cannot be presented anew");
                    Ok(known.value.clone())
                }
                _ => Err(error),
            },
        }
    }

    fn for_call(&self, call: Call, now: Timestamp) -> Result<HeaderValue, HoldError> {
        let presenting = Presenting::to(&self.audience).call(call);
        Ok(self.present(presenting, now)?.0)
    }

    /// The one call that a message means, if it is to be bound.
    fn call_of(&self, message: &Message) -> Result<Option<Call>, Response> {
        let method = message.method().and_then(methods::find);
        let (Binding::Call, Some(method), Some(params)) = (self.binding, method, message.params())
        else {
            return Ok(None);
        };
        let (Needs::Calls(calls) | Needs::OwnTask(calls)) = method.needs else { return Ok(None) };
        let calls = calls(params).map_err(|error| {
            let is_tool_call = method.name == "tools/call";
            answer::uncovered(message.id(), is_tool_call, &format!("denied: {error}."))
        })?;
        // More than one call cannot be bound to one presentation.
        let mut calls = calls.into_iter();
        Ok(calls.next().filter(|_| calls.next().is_none()))
    }
}

impl Side for Inside {
    type Visitor = ();

    const SHOWS_UNAUTHORIZED: bool = true;

    async fn admit(&self, _: &Parts) -> Result<(), Response> {
        Ok(())
    }

    fn bearer<'a>(&self, (): &'a ()) -> Option<&'a str> {
        None
    }

    fn payer(&self, (): &()) -> Owner {
        Owner::from_bytes([0; 32])
    }

    async fn judge(&self, (): &(), message: &Message, _: Era) -> Result<Passage, Response> {
        let presented = match self.call_of(message)? {
            Some(call) => match self.for_call(call, now()) {
                // It would be refused; a presentation that is not bound would be given away for that.
                Err(HoldError::Present(PresentError::NotGranted { operation, .. })) => {
                    return Err(uncovered(message, &operation));
                }
                presented => presented,
            },
            None => self.session(now()),
        };
        passage(presented, message)
    }

    async fn judge_without_message(&self, (): &()) -> Result<Passage, Response> {
        let presented = self.session(now()).map_err(|error| unpresentable(&error, None))?;
        Ok(Passage { authorization: Some(presented), waits: true, ..Passage::default() })
    }

    fn session_inwards(&self, (): &(), id: &str) -> Option<String> {
        Some(id.to_owned())
    }

    fn session_outwards(&self, (): &(), id: &str) -> String {
        id.to_owned()
    }
}

fn passage(
    presented: Result<HeaderValue, HoldError>,
    message: &Message,
) -> Result<Passage, Response> {
    match presented {
        Ok(value) => Ok(Passage { authorization: Some(value), ..Passage::default() }),
        Err(error) => Err(unpresentable(&error, Some(message))),
    }
}

/// What the capability does not cover, said as the gateway would.
fn uncovered(message: &Message, operation: &str) -> Response {
    let text = format!(
        "denied: the capability does not grant {operation}. Trying again will not help; whoever delegated to this agent can change that."
    );
    let is_tool_call = message.method() == Some("tools/call");
    answer::uncovered(message.id(), is_tool_call, &text)
}

/// Nothing can be asked for any more: whoever delegated must delegate anew. No 401, since there is nothing that
/// the runtime could authenticate with.
fn unpresentable(error: &HoldError, message: Option<&Message>) -> Response {
    tracing::warn!(error = %error, "the capability cannot be presented");
    let text = format!(
        "the agent's capability cannot be presented: {error}. Whoever delegated to this agent must delegate anew."
    );
    let is_tool_call = message.and_then(Message::method) == Some("tools/call");
    answer::unforwarded(message.and_then(Message::id), is_tool_call, &text)
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside").field("audience", &self.audience).finish_non_exhaustive()
    }
}
