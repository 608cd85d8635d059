//! Session: which headers does a message need on its way to the gateway?
//!
//! A client on standard input and output has no headers: its process is its session. Over HTTP the session has an id and a version
//! (up to 2025-11-25), or each message repeats what its body says (since 2026-07-28).

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use serde_json::Value;

use crate::gateway::ENDPOINT;
use crate::headers::{LAST_EVENT_ID, METHOD, NAME, PROTOCOL_VERSION, SESSION_ID};
use hardtack::mcp::{self, Era, Message};

/// The method that opens a session.
pub(super) const INITIALIZE: &str = "initialize";

/// What a message says of the headers that it needs.
#[derive(Debug, Clone)]
pub(super) struct Heading {
    version: Option<String>,
    method: Option<String>,
    name: Option<String>,
}

impl Heading {
    pub(super) fn of(message: &Message) -> Heading {
        let method = message.method();
        let named_by = method.and_then(mcp::Method::find);
        let named_by = named_by.filter(|method| method.demands_name_header());
        let named_by = named_by.and_then(mcp::Method::named_by);
        let name = named_by.and_then(|name| message.params()?.get(name)?.as_str());
        Heading {
            version: message.protocol_version().map(str::to_owned),
            method: method.map(str::to_owned),
            name: name.map(str::to_owned),
        }
    }

    fn opens_session(&self) -> bool {
        self.method.as_deref() == Some(INITIALIZE)
    }
}

/// How a message was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// Of which session, counted from the first.
    pub(super) generation: u64,
    pub(super) in_session: bool,
    pub(super) era: Era,
}

#[derive(Default)]
struct State {
    id: Option<HeaderValue>,
    /// The version that `initialize` agreed on.
    version: Option<String>,
    /// The version that the last message named itself.
    modern: Option<String>,
    /// What the client opened the session with.
    initialize: Option<Bytes>,
    initialized: Option<Bytes>,
    generation: u64,
}

/// The session of a client, over HTTP.
#[derive(Default)]
pub(super) struct Session(Mutex<State>);

impl Session {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message, as it is posted.
    pub(super) fn post(&self, heading: &Heading, line: &Bytes) -> (Request<Body>, Sent) {
        post(&mut self.state(), heading, line)
    }

    /// The same, in the session that `answered` opens and that nobody else uses yet.
    pub(super) fn post_in(
        &self,
        answered: &HeaderMap,
        heading: &Heading,
        line: &Bytes,
    ) -> Request<Body> {
        let version = self.state().version.clone();
        let id = answered.get(SESSION_ID).cloned();
        post(&mut State { id, version, ..State::default() }, heading, line).0
    }
    /// The request for what the server sends unasked, or for the rest of an answer; `None` where there is no such thing.
    pub(super) fn listen(&self, after: Option<&str>) -> Option<(Request<Body>, Sent)> {
        let (mut headers, sent) = self.standing()?;
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(after) = after.filter(|_| sent.in_session) {
            headers.insert(LAST_EVENT_ID, HeaderValue::try_from(after).ok()?);
        }
        Some((request(Method::GET, headers, Body::empty()), sent))
    }

    /// The request that ends the session; `None` if there is none.
    pub(super) fn leave(&self) -> Option<Request<Body>> {
        let (headers, sent) = self.standing()?;
        sent.in_session.then(|| request(Method::DELETE, headers, Body::empty()))
    }

    fn standing(&self) -> Option<(HeaderMap, Sent)> {
        let state = self.state();
        let version = state.version.as_ref()?;
        let mut headers = HeaderMap::new();
        headers.insert(PROTOCOL_VERSION, encoded(version));
        headers.extend(state.id.clone().map(|id| (SESSION_ID, id)));
        let in_session = state.id.is_some();
        Some((headers, Sent { generation: state.generation, in_session, era: Era::Legacy }))
    }

    /// The session that the answer to `initialize` opens.
    pub(super) fn open(&self, initialize: Bytes, answered: &HeaderMap, answer: &str) {
        let Some(version) = version_of(answer) else { return };
        let mut state = self.state();
        let generation = state.generation + 1;
        let (id, initialize) = (answered.get(SESSION_ID).cloned(), Some(initialize));
        *state = State { id, version: Some(version), initialize, generation, ..State::default() };
    }

    /// The client has said that it is ready.
    pub(super) fn ready(&self, initialized: Bytes) {
        self.state().initialized = Some(initialized);
    }

    /// What a session in the place of this one is opened with; `None` if one was, already.
    pub(super) fn opened_with(&self, generation: u64) -> Option<(Bytes, Option<Bytes>)> {
        let state = self.state();
        let is_current = state.generation == generation;
        let initialize = state.initialize.clone().filter(|_| is_current)?;
        Some((initialize, state.initialized.clone()))
    }

    pub(super) fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Whether the answer to another `initialize` agrees on the version that the client knows of.
    pub(super) fn agrees(&self, answer: &str) -> bool {
        version_of(answer).is_some_and(|version| Some(version) == self.state().version)
    }

    /// From now on, everything is sent in the session that `answered` opens, in the place of one that is gone.
    pub(super) fn replace(&self, answered: &HeaderMap) {
        let mut state = self.state();
        state.id = answered.get(SESSION_ID).cloned();
        state.generation += 1;
    }
}

fn post(state: &mut State, heading: &Heading, line: &Bytes) -> (Request<Body>, Sent) {
    if let Some(version) = &heading.version {
        state.modern = Some(version.clone());
    }
    let mut headers = HeaderMap::new();
    let opens = heading.opens_session();
    let agreed = state.version.as_ref().filter(|_| !opens);
    let version = heading.version.as_ref().or(agreed);
    let version = version.or(state.modern.as_ref().filter(|_| !opens));
    let era = version.map_or(Era::Legacy, |version| Era::of_version(version));
    headers.extend(version.map(|version| (PROTOCOL_VERSION, encoded(version))));
    let in_session = era == Era::Legacy && !opens && state.id.is_some();
    if era == Era::Modern {
        headers.extend(heading.method.as_deref().map(|method| (METHOD, encoded(method))));
        headers.extend(heading.name.as_deref().map(|name| (NAME, encoded(name))));
    }
    if in_session {
        headers.extend(state.id.clone().map(|id| (SESSION_ID, id)));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let accept = "application/json, text/event-stream";
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    let sent = Sent { generation: state.generation, in_session, era };
    (request(Method::POST, headers, Body::from(line.clone())), sent)
}

fn version_of(answer: &str) -> Option<String> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    Some(answer.get("result")?.get("protocolVersion")?.as_str()?.to_owned())
}

fn request(method: Method, mut headers: HeaderMap, body: Body) -> Request<Body> {
    headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = http::Uri::from_static(ENDPOINT);
    *request.headers_mut() = headers;
    request
}

/// A header's value for a text; `=?base64?…?=` for what no header can hold as it is (2026-07-28, transports).
fn encoded(text: &str) -> HeaderValue {
    let is_plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        && text.trim() == text
        && !text.starts_with("=?base64?");
    let value = match is_plain {
        true => text.to_owned(),
        false => format!("=?base64?{}?=", STANDARD.encode(text)),
    };
    HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use serde_json::json;

    use super::*;
    use crate::headers::{check, check_against};

    fn posted(session: &Session, message: &Value) -> (HeaderMap, Sent) {
        let line = Bytes::from(message.to_string());
        let message = Message::read(&line, None).unwrap();
        let (request, sent) = session.post(&Heading::of(&message), &line);
        let (parts, _) = request.into_parts();
        check(&parts, None).unwrap();
        assert_eq!(check_against(&parts, &message).unwrap(), sent.era);
        (parts.headers, sent)
    }

    fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
        headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_session_is_named_once_it_is_open_and_a_new_one_takes_its_place() {
        let session = Session::default();
        let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}});
        let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
        let answer = json!({"result": {"protocolVersion": "2025-06-18"}}).to_string();
        for _ in 0..2 {
            let (headers, _) = posted(&session, &initialize);
            assert!(!headers.contains_key(SESSION_ID) && !headers.contains_key(PROTOCOL_VERSION));
            let mut answered = HeaderMap::new();
            answered.insert(SESSION_ID, HeaderValue::from_static("first"));
            session.open(Bytes::from(initialize.to_string()), &answered, &answer);
            let (headers, sent) = posted(&session, &ping);
            assert_eq!(header(&headers, &SESSION_ID).as_deref(), Some("first"));
            assert_eq!(header(&headers, &PROTOCOL_VERSION).as_deref(), Some("2025-06-18"));
            assert!(sent.in_session && !headers.contains_key(METHOD));
        }
        let generation = session.generation();
        assert!(session.opened_with(generation).is_some());
        let other = json!({"result": {"protocolVersion": "2025-11-25"}}).to_string();
        assert!(!session.agrees(&other), "the client knows no such version");
        let mut answered = HeaderMap::new();
        answered.insert(SESSION_ID, HeaderValue::from_static("second"));
        assert!(session.agrees(&answer));
        let line = Bytes::from(ping.to_string());
        let heading = Heading::of(&Message::read(&line, None).unwrap());
        let first = session.post_in(&answered, &heading, &line);
        assert_eq!(first.headers()[SESSION_ID], "second");
        assert_eq!(first.headers()[PROTOCOL_VERSION], "2025-06-18");
        assert_eq!(posted(&session, &ping).0[SESSION_ID], "first", "it is not used yet");
        session.replace(&answered);
        assert!(session.opened_with(generation).is_none(), "it was replaced");
        let (headers, _) = posted(&session, &ping);
        assert_eq!(header(&headers, &SESSION_ID).as_deref(), Some("second"));
        assert_eq!(session.leave().unwrap().headers()[SESSION_ID], "second");
    }

    #[test]
    fn a_message_that_names_its_version_has_the_headers_that_repeat_it() {
        let session = Session::default();
        let version = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
        for (name, written) in [
            ("search", "search"),
            ("söarch", "=?base64?c8O2YXJjaA==?="),
            (" a", "=?base64?IGE=?="),
            ("=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
        ] {
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "_meta": version}});
            let (headers, sent) = posted(&session, &call);
            assert_eq!(header(&headers, &METHOD).as_deref(), Some("tools/call"));
            assert_eq!(header(&headers, &NAME).as_deref(), Some(written));
            assert!(!sent.in_session && sent.era == Era::Modern);
        }
        let told = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}});
        let (headers, _) = posted(&session, &told);
        assert_eq!(header(&headers, &METHOD).as_deref(), Some("notifications/progress"));
        assert!(session.listen(None).is_none() && session.leave().is_none(), "there is no session");
    }
}
