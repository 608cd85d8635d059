//! Cut: an answer ends before the server's does. What is recorded of it, and who tells the server?
//!
//! Since 2026-07-28 over HTTP, a stream that is closed says so, and a process is told where its answers are read. Up to 2025-11-25, a server
//! over HTTP hears nothing of a closed stream: it is told in the session of the request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::Instrument;

use crate::budget::Payer;
use crate::credentials::Person;
use crate::headers::{PROTOCOL_VERSION, SESSION_ID};
use crate::metrics::Metrics;
use crate::upstream::Upstream;
use hardtack::call::Call;
use hardtack::guard::{Denial, Guard};
use hardtack::mcp::Id;
use hardtack::verify::VerifiedCapability;
use hardtack_http::now;

/// How long a server may take to hear that a request is cancelled: it says nothing but that it has heard.
const CANCELLATION_TIMEOUT: Duration = Duration::from_secs(10);

/// How many cancellations are sent at once, and how many wait for that. The revocation of a subject can end a thousand calls at once,
/// and they must not take all connections to the server. The rest is not sent, and counted.
const MAX_SENT_AT_ONCE: usize = 32;
const MAX_CANCELLATIONS: usize = 2048;

/// What is done when an answer is cut.
pub(crate) struct Cut {
    recorded: Option<Recorded>,
    cancellation: Option<Cancellation>,
}

/// A call whose answer flows, as its decision was recorded.
pub(crate) struct Recorded {
    pub(crate) guard: Arc<Guard>,
    pub(crate) verified: Arc<VerifiedCapability>,
    pub(crate) operation: String,
    pub(crate) resource: Option<String>,
    /// The number of the decision's record.
    pub(crate) sequence: Option<u64>,
    pub(crate) began: Instant,
}

/// A request that a server over HTTP is told of.
pub(crate) struct Cancellation {
    upstream: Upstream,
    cancelling: Cancelling,
    metrics: Metrics,
    headers: HeaderMap,
    id: Id,
    person: Option<(Payer, String)>,
}

/// The cancellations that are sent to one server.
#[derive(Debug, Clone)]
pub(crate) struct Cancelling {
    all: Arc<Semaphore>,
    at_once: Arc<Semaphore>,
}

impl Default for Cancelling {
    fn default() -> Cancelling {
        let [all, at_once] =
            [MAX_CANCELLATIONS, MAX_SENT_AT_ONCE].map(|most| Arc::new(Semaphore::new(most)));
        Cancelling { all, at_once }
    }
}

impl Cut {
    pub(crate) fn of(recorded: Recorded) -> Cut {
        Cut { recorded: Some(recorded), cancellation: None }
    }

    /// Tells the server, too.
    pub(crate) fn cancelling(self, cancellation: Option<Cancellation>) -> Cut {
        Cut { cancellation, ..self }
    }

    /// The answer is cut for this reason.
    pub(crate) fn make(self, denial: Denial) {
        let Cut { recorded, cancellation } = self;
        if let Some(cancellation) = cancellation {
            cancellation.begin(denial.cause().as_str());
        }
        if let Some(recorded) = recorded {
            tokio::spawn(recorded.record(denial).in_current_span());
        }
    }
}

impl Recorded {
    /// A record of its own, which names that of the decision: what was allowed stays as it was.
    async fn record(self, denial: Denial) {
        let Recorded { guard, verified, operation, resource, sequence, began } = self;
        let seconds = began.elapsed().as_secs();
        let which = sequence.map_or(String::new(), |number| format!(" of record {number}"));
        let told = |message: &mut String| {
            *message =
                format!("the answer{which} was cut {seconds} s after it was allowed: {message}");
        };
        let mut denial = denial;
        match &mut denial {
            Denial::Unauthenticated(refusal)
            | Denial::Forbidden(refusal)
            | Denial::Undecided(refusal) => told(&mut refusal.message),
        }
        let mut decided = guard.weigh_refusal(&verified, &operation, denial, now());
        let call = Call::new(&operation).ok().and_then(|call| match &resource {
            Some(uri) => call.resource(uri).ok(),
            None => Some(call),
        });
        if let Some(call) = call {
            decided.tell(&call);
        }
        let recorded = guard.record_refusal_async(decided).await;
        if recorded.cause() == hardtack::cause::Cause::LedgerUnavailable {
            tracing::error!(error = %recorded, "a cut answer cannot be recorded");
        }
    }
}

impl Cancellation {
    /// How the server is told that a request with these headers is cancelled. `None` where closing its stream says so, or where there is
    /// no session: without one, another client's request may have the same id.
    pub(crate) fn of(
        (upstream, cancelling, metrics): (&Upstream, &Cancelling, &Metrics),
        sent: &HeaderMap,
        id: &Id,
        person: Option<Person<'_>>,
    ) -> Option<Cancellation> {
        let session = sent.get(SESSION_ID)?.clone();
        let mut headers = HeaderMap::new();
        headers.insert(SESSION_ID, session);
        let version = sent.get(PROTOCOL_VERSION).cloned();
        headers.extend(version.map(|version| (PROTOCOL_VERSION, version)));
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let accept = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(header::ACCEPT, accept);
        Some(Cancellation {
            upstream: upstream.clone(),
            cancelling: cancelling.clone(),
            metrics: metrics.clone(),
            headers,
            id: id.clone(),
            person: person.map(|person| (person.payer, person.subject.to_owned())),
        })
    }

    fn begin(self, cause: &'static str) {
        let Ok(place) = Arc::clone(&self.cancelling.all).try_acquire_owned() else {
            self.metrics.cancellation(false);
            return tracing::warn!("a cancellation is not sent to the server, since too many are");
        };
        let sending = async move {
            let _place = place;
            let Ok(_turn) = self.cancelling.at_once.acquire().await else { return };
            let sent = tokio::time::timeout(CANCELLATION_TIMEOUT, self.send(cause)).await;
            let is_heard = matches!(sent, Ok(true));
            self.metrics.cancellation(is_heard);
            if !is_heard {
                tracing::warn!("the server did not hear that a request of its is cancelled");
            }
        };
        tokio::spawn(sending.in_current_span());
    }

    async fn send(&self, cause: &'static str) -> bool {
        let person = self.person.as_ref();
        let person = person.map(|(payer, subject)| Person { payer: *payer, subject });
        let Ok(credentials) = self.upstream.headers_for(person).await else { return false };
        let mut headers = self.headers.clone();
        headers.extend(credentials);
        let cancelled = json!({
            "jsonrpc": "2.0",
            "method": "notifications/cancelled",
            "params": {"requestId": self.id.to_json(), "reason": reason(cause)},
        });
        let answer = self.upstream.tell(headers, Bytes::from(cancelled.to_string())).await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

/// What a server is told of why.
pub(crate) fn reason(cause: &str) -> String {
    format!("it is not waited for any more: {cause}")
}
