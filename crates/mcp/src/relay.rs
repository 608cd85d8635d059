//! Relay: one request in, one request out, streamed both ways: the reverse proxy.
//!
//! What a gateway and an agent have in common: they read a message once, ask their [`Side`] about it, and
//! forward its bytes. The side knows tokens; the relay knows the protocol.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use serde_json::json;
use tracing::{Instrument, Span, field};

use crate::answer::{self, HEADER_MISMATCH, INTERNAL_ERROR, INVALID_REQUEST};
use crate::body::{message, read, unread, with_the_rest_of};
use crate::budget::{Budget, Payer, Share};
use crate::child::{Asking, ENDED, Places, Sender};
use crate::credentials::Person;
use crate::cut::{Cancellation, Cancelling};
use crate::forwarding::Forwarding;
use crate::headers::{self, AllowedHosts, PROTOCOL_VERSION, SESSION_ID};
use crate::metrics::Metrics;
use crate::outward::{bad_gateway, is_unaccepted, session_of, shutting_down};
use crate::reopening;
use crate::serve::Drain;
use crate::session::Owner;
use crate::upstream::{NoAnswer, Upstream};
use crate::watch::{Watch, ended};
use hardtack::mcp::{self, Era, Id, Message};

/// How much of a name, id or URI stands in a log: the longest tool name that MCP allows.
const MAX_SHOWN_CHARACTERS: usize = 128;

/// What differs between the two ends.
pub(crate) trait Side: Send + Sync + 'static {
    /// Whoever sent a request.
    type Caller: Send + Sync;

    /// Whether clients that know nothing of each other ask one server, and may number their requests alike.
    const HAS_SEVERAL_CLIENTS: bool = false;

    /// Who sends this? Asked before the body is read; of whoever is refused, it may look what was asked for.
    fn admit(
        &self,
        request: &Parts,
        body: &mut Body,
    ) -> impl Future<Output = Result<Self::Caller, Response>> + Send;

    /// The secret that must stand nowhere but in `Authorization`.
    fn bearer<'a>(&self, caller: &'a Self::Caller) -> Option<&'a str>;

    /// Who pays for what this visitor sends.
    fn payer(&self, caller: &Self::Caller) -> Payer;

    /// To whom sessions and processes belong that this visitor opens.
    fn owner(&self, caller: &Self::Caller) -> Owner;

    /// For whom the server may be sent a credential of their own.
    fn person<'a>(&self, _: &'a Self::Caller) -> Option<Person<'a>> {
        None
    }

    /// May this message pass?
    fn judge(
        &self,
        caller: &Self::Caller,
        message: &Message,
        era: Era,
    ) -> impl Future<Output = Result<Forwarding, Response>> + Send;

    /// May a stream be opened or a session ended?
    fn judge_without_message(
        &self,
        caller: &Self::Caller,
    ) -> impl Future<Output = Result<Forwarding, Response>> + Send;

    /// What the client is told where the server does not accept the credential of this side. Never the server's own
    /// 401, with which it could send the client to any place for another one.
    fn unaccepted(&self, id: Option<&Id>, is_tool_call: bool) -> Response;

    /// The server's answer, as far as it is for the client.
    fn received(&self, answer: reqwest::Response) -> reqwest::Response {
        answer
    }

    /// The server's session id, of what the client sends; `None` if there is no such session of this visitor.
    fn session_inwards(&self, caller: &Self::Caller, id: &str) -> Option<String>;

    /// The client's session id, of what the server gives out.
    fn session_outwards(&self, caller: &Self::Caller, id: &str) -> String;
}

/// A relay to one server.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    pub(crate) upstream: Upstream,
    pub(crate) allowed_hosts: AllowedHosts,
    pub(crate) metrics: Metrics,
    pub(crate) budget: Budget,
    pub(crate) cancelling: Cancelling,
    /// Ends all streams.
    pub(crate) drain: Drain,
    /// The server's name, where there are several.
    pub(crate) server: Option<Arc<str>>,
}

impl Relay {
    /// To the only server of a process.
    pub(crate) fn to(upstream: Upstream) -> Relay {
        Relay::counted(upstream, Metrics::of(None), &Places::default())
    }

    /// To a server whose processes are counted there, if it has some.
    pub(crate) fn counted(upstream: Upstream, metrics: Metrics, places: &Places) -> Relay {
        upstream.count_in(&metrics, places);
        Relay {
            upstream,
            allowed_hosts: AllowedHosts::default(),
            metrics,
            budget: Budget::default(),
            cancelling: Cancelling::default(),
            drain: Drain::default(),
            server: None,
        }
    }

    pub(crate) async fn handle<S: Side>(&self, side: &S, request: Request<Body>) -> Response {
        let span = tracing::info_span!(
            "mcp",
            hardtack.server = self.server.as_deref(),
            otel.name = field::Empty,
            otel.kind = "server",
            mcp.method.name = field::Empty,
            mcp.protocol.version = field::Empty,
            mcp.session.id = field::Empty,
            mcp.resource.uri = field::Empty,
            gen_ai.tool.name = field::Empty,
            gen_ai.prompt.name = field::Empty,
            gen_ai.operation.name = field::Empty,
            jsonrpc.request.id = field::Empty,
            network.transport = "tcp",
            network.protocol.name = "http",
            http.request.method = %request.method(),
            http.response.status_code = field::Empty,
            error.type = field::Empty,
        );
        let began = began();
        let mut method = None;
        // With a Content-Length beside it, which is not seen here any more, a proxy may have cut elsewhere: nothing behind
        // it is a request (RFC 9112, section 6.1).
        let is_last = request.headers().contains_key(header::TRANSFER_ENCODING);
        async {
            let exchange = self.exchange(side, request, &mut method);
            let mut response = exchange.await.unwrap_or_else(|refused| refused);
            if is_last {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            let status = response.status().as_u16();
            Span::current().record("http.response.status_code", status);
            if status >= 400 {
                Span::current().record("error.type", status);
            }
            self.metrics.request(method, status, began.elapsed());
            tracing::debug!("answered");
            response
        }
        .instrument(span)
        .await
    }

    async fn exchange<S: Side>(
        &self,
        side: &S,
        request: Request<Body>,
        method: &mut Option<&'static str>,
    ) -> Result<Response, Response> {
        let (parts, mut body) = request.into_parts();
        let (caller, headers) = match self.enter(side, &parts, &mut body).await {
            Ok(entered) => entered,
            Err(refused) => return Err(with_the_rest_of(body, refused)),
        };
        note_session(&parts);
        let Some(mut share) = self.budget.exchange(side.payer(&caller)) else {
            return Err(with_the_rest_of(body, answer::overloaded(None)));
        };
        if parts.method != Method::POST {
            let passage = side.judge_without_message(&caller).await?;
            let era = headers::era(&parts.headers, None);
            let exchange = (None, passage, share);
            return self
                .forward(side, &caller, (parts.method, era), headers, Bytes::new(), exchange)
                .await;
        }
        let body = read(body, &mut share, self.upstream.most_bytes()).await?;
        let large_integers = self.upstream.has_large_integers();
        let message = message(&body, side.bearer(&caller), large_integers).await;
        let message = message.map_err(|error| unread(&body, &error))?;
        *method = message.method().and_then(mcp::Method::find).map(mcp::Method::name);
        note_message(&message);
        let era = headers::check_against(&parts, &message).map_err(|error| {
            match error.is_mismatch() {
                true => answer::bad_request(HEADER_MISMATCH, message.id(), &error.to_string()),
                false => refuse_headers(error),
            }
        })?;
        let passage = side.judge(&caller, &message, era).await?;
        if S::HAS_SEVERAL_CLIENTS && self.may_cancel_anothers(&message, &headers) {
            return Ok(answer::accepted());
        }
        let id = message.id().cloned();
        // What was read of it is not needed any more.
        drop(message);
        if !share.cover(0) {
            return Err(answer::overloaded(id.as_ref()));
        }
        let exchange = (id, passage, share);
        self.forward(side, &caller, (Method::POST, era), headers, body, exchange).await
    }

    /// Whether it cancels a request of which a server over HTTP cannot tell whose it is: without a session, another client's may have the same
    /// id. Since 2026-07-28 there is none, and a stream that is closed says it.
    fn may_cancel_anothers(&self, message: &Message, sent: &HeaderMap) -> bool {
        message.method() == Some("notifications/cancelled")
            && !sent.contains_key(SESSION_ID)
            && !self.upstream.is_program()
    }

    /// What is looked at before the body: who sends it, and the headers for the server.
    async fn enter<S: Side>(
        &self,
        side: &S,
        parts: &Parts,
        body: &mut Body,
    ) -> Result<(S::Caller, HeaderMap), Response> {
        if !self.allowed_hosts.admits(parts) {
            let header = |name| {
                parts
                    .headers
                    .get(name)
                    .map(|value: &HeaderValue| shown(&String::from_utf8_lossy(value.as_bytes())))
            };
            tracing::warn!(
                host = header(header::HOST),
                origin = header(header::ORIGIN),
                "a request is turned away for its Host or Origin; --allow-host and --allow-origin allow them"
            );
            return Err(answer::respond(
                StatusCode::FORBIDDEN,
                &json!({"error": "invalid_request", "error_description": "this server is not addressed by that Host, or not from that Origin; its operator can allow it"}),
            ));
        }
        if !matches!(parts.method, Method::POST | Method::GET | Method::DELETE) {
            let mut response =
                answer::bad_request(INVALID_REQUEST, None, "use POST, GET or DELETE");
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            let allow = HeaderValue::from_static("POST, GET, DELETE");
            response.headers_mut().insert(header::ALLOW, allow);
            return Err(response);
        }
        let caller = side.admit(parts, body).await?;
        headers::check(parts, side.bearer(&caller)).map_err(refuse_headers)?;
        let headers = self.inwards(side, &caller, parts)?;
        Ok((caller, headers))
    }

    /// The headers for the server, with its own session id.
    fn inwards<S: Side>(
        &self,
        side: &S,
        caller: &S::Caller,
        parts: &Parts,
    ) -> Result<HeaderMap, Response> {
        let mut headers = headers::forwarded(&parts.headers);
        if let Some(id) = parts.headers.get(SESSION_ID) {
            let known = id.to_str().ok().and_then(|id| side.session_inwards(caller, id));
            let known = known.and_then(|id| HeaderValue::try_from(id).ok());
            // Clients open a new session then.
            let gone = || {
                answer::error(
                    StatusCode::NOT_FOUND,
                    None,
                    INVALID_REQUEST,
                    "there is no such session",
                )
            };
            headers.insert(SESSION_ID, known.ok_or_else(gone)?);
        }
        Ok(headers)
    }

    #[allow(clippy::too_many_arguments, reason = "all of what makes a request, once")]
    async fn forward<S: Side>(
        &self,
        side: &S,
        caller: &S::Caller,
        (method, era): (Method, Era),
        headers: HeaderMap,
        body: Bytes,
        (asked, mut passage, share): (Option<Id>, Forwarding, Share),
    ) -> Result<Response, Response> {
        let id = asked.as_ref();
        let sender = Sender { owner: side.owner(caller), payer: side.payer(caller) };
        let ended_by = passage.watch.as_ref().map(Watch::ended).unwrap_or_default();
        let asking = Asking { sender, era, ended: ended_by, patience: passage.patience };
        let authorization = passage.authorization.take();
        if let Some(id) = id
            && let Some(cut) = passage.cut.take()
        {
            let is_told = era == Era::Legacy && !self.upstream.is_program();
            let by = (&self.upstream, &self.cancelling, &self.metrics);
            let cancellation =
                is_told.then(|| Cancellation::of(by, &headers, id, side.person(caller))).flatten();
            passage.cut = Some(cut.cancelling(cancellation));
        }
        let reopening = passage.reopening.take().map(|reopening| {
            let (upstream, asking) = (self.upstream.clone(), asking.clone());
            let (method, headers, body) = (method.clone(), headers.clone(), body.clone());
            (reopening::Asked { upstream, asking, method, headers, body }, reopening)
        });
        let sent = async {
            let mut headers = headers;
            headers.extend(self.upstream.headers_for(side.person(caller)).await?);
            self.upstream.ask(asking, method, headers, authorization, body).await
        };
        let response = tokio::select! {
            biased;
            denial = ended(&mut passage.watch) => {
                return Err(self.give_up(id, &mut passage, denial));
            }
            () = self.drain.ends(passage.waits) => {
                return Err(shutting_down(id));
            }
            response = sent => response,
        };
        let response = response.map_err(|no_answer| {
            self.metrics.upstream_failure();
            match no_answer {
                NoAnswer::NoCredential => {
                    bad_gateway(id, "the gateway has no credential for the upstream server now")
                }
                NoAnswer::Unreachable => bad_gateway(id, "the upstream server cannot be reached"),
                NoAnswer::Ended => bad_gateway(id, ENDED),
                NoAnswer::Busy(problem) => answer::busy(id, problem),
                NoAnswer::TimedOut => {
                    tracing::warn!("the upstream server did not answer in time");
                    answer::error(
                        StatusCode::GATEWAY_TIMEOUT,
                        id,
                        INTERNAL_ERROR,
                        "the upstream server did not answer in time",
                    )
                }
            }
        })?;
        if is_unaccepted(&response) {
            self.metrics.upstream_failure();
            let status = response.status().as_u16();
            tracing::warn!(
                status,
                "the server does not accept the presentation or credential that it was sent"
            );
            return Err(side.unaccepted(id, passage.is_tool_call));
        }
        let response = side.received(response);
        let response = match reopening {
            Some((asked, reopening)) => reopening::spliced(response, asked, reopening),
            None => response,
        };
        let session = session_of(&response).map(|id| side.session_outwards(caller, id));
        self.outwards(response, session, asked, passage, share).await
    }
}

fn refuse_headers(error: headers::HeaderError) -> Response {
    let mut response = answer::bad_request(INVALID_REQUEST, None, &error.to_string());
    if matches!(error, headers::HeaderError::ContentType | headers::HeaderError::Encoded(_)) {
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    }
    response
}

fn note_session(parts: &Parts) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    for (field, name) in
        [("mcp.session.id", SESSION_ID), ("mcp.protocol.version", PROTOCOL_VERSION)]
    {
        if let Some(value) = parts.headers.get(name).and_then(|value| value.to_str().ok()) {
            span.record(field, shown(value));
        }
    }
}

/// What a log can hold of a text that a client chose: its beginning, and nothing that does not print.
fn shown(text: &str) -> String {
    let end = text.char_indices().nth(MAX_SHOWN_CHARACTERS);
    let beginning = end.map_or(text, |(end, _)| &text[..end]);
    hardtack::names::escaped(&beginning)
}

/// OpenTelemetry's semantic conventions for MCP. Only methods of the table give names to spans.
fn note_message(message: &Message) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    let Some(method) = message.method().and_then(mcp::Method::find) else { return };
    span.record("mcp.method.name", method.name());
    if let Some(id) = message.id() {
        span.record("jsonrpc.request.id", shown(&id.to_json().to_string()));
    }
    let Some(params) = message.params() else { return };
    let text = |name: &str| params.get(name).and_then(serde_json::Value::as_str);
    match method.name() {
        "tools/call" => {
            span.record("gen_ai.operation.name", "execute_tool");
            span.record("gen_ai.tool.name", shown(text("name").unwrap_or_default()));
        }
        "prompts/get" => {
            span.record("gen_ai.prompt.name", shown(text("name").unwrap_or_default()));
        }
        _ => {}
    }
    if let Some(uri) = text("uri") {
        span.record("mcp.resource.uri", shown(uri));
    }
    let name = text("name")
        .map_or(method.name().to_owned(), |name| format!("{} {}", method.name(), shown(name)));
    span.record("otel.name", name);
}

#[allow(clippy::disallowed_methods, reason = "a door measures how long it takes")]
fn began() -> Instant {
    Instant::now()
}
