//! Answering: how does a server's process answer an HTTP request? As a server over streamable HTTP does, in both protocols.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use tokio::time::{Duration, Instant, timeout_at};

use crate::answer::{INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND};
use crate::child::children::{Asking, Children, NoChild, Sender};
use crate::child::mailbox::Closed;
use crate::child::pipe::{MAX_TEXT_BYTES, Pipe, Unsent, Waiting};
use crate::child::spans::Spans;
use crate::child::streaming::{KEEP_ALIVE, Source, error_text, events, why};
use crate::headers::SESSION_ID;
use crate::upstream::NoAnswer;
use crate::watch::Ended;
use hardtack::mcp::Era;

/// How long a server may take to say whether it speaks 2026-07-28. An old one may never say so.
const DISCOVER_TIMEOUT: Duration = Duration::from_secs(30);

/// Errors that only a server of 2026-07-28 has: headers and body differ, the client lacks a capability, it does not speak the version.
const MODERN_ERRORS: std::ops::RangeInclusive<i64> = -32022..=-32020;

type Answer = Result<Response<reqwest::Body>, NoAnswer>;

/// One request, as it comes.
struct Request<'a> {
    sender: Sender,
    ended: Ended,
    session: Option<&'a str>,
    takes_events: bool,
    /// Whether the answer may begin before it is known what it is.
    may_begin: bool,
    timeout: Duration,
}

impl Children {
    pub(crate) async fn send(
        &self,
        Asking { sender, era, ended, .. }: Asking,
        (method, headers, body): (&Method, &HeaderMap, &Bytes),
        answer_timeout: Duration,
    ) -> Answer {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let accepted = text(header::ACCEPT).unwrap_or("*/*");
        let request = Request {
            sender,
            ended,
            session: text(SESSION_ID),
            takes_events: ["text/event-stream", "text/*", "*/*"]
                .iter()
                .any(|media| accepted.contains(media)),
            may_begin: true,
            timeout: answer_timeout,
        };
        match (method, era) {
            (&Method::POST, _) => {
                // It was read before, and can be read.
                let read = std::str::from_utf8(body).ok().and_then(Spans::read);
                let Some(spans) = read else {
                    return error(
                        StatusCode::BAD_REQUEST,
                        None,
                        INVALID_REQUEST,
                        "this is no message",
                    );
                };
                if spans.asks_progress.is_some_and(|token| !is_token(token)) {
                    let problem = "a progress token is a text or an integer, of 256 bytes of JSON at the most; send another one, or none";
                    return error(StatusCode::BAD_REQUEST, spans.id, INVALID_REQUEST, problem);
                }
                match era {
                    Era::Legacy => self.in_session(&request, &spans).await,
                    Era::Modern => self.alone(&request, &spans).await,
                }
            }
            (&Method::GET, Era::Legacy) => self.stream(&request),
            (&Method::DELETE, Era::Legacy) => self.end(&request),
            _ => not_allowed(),
        }
    }

    /// Up to 2025-11-25: a session has a process.
    async fn in_session(&self, request: &Request<'_>, spans: &Spans<'_>) -> Answer {
        let is_first = spans.method.as_deref() == Some("initialize") && spans.id.is_some();
        if is_first {
            return self.initialize(request, spans).await;
        }
        let pipe = match self.session_of(request) {
            Ok(pipe) => pipe,
            Err(answer) => return answer,
        };
        match (spans.id, spans.is_answer) {
            (Some(_), false) => {
                answered(self.asked(&pipe, request, spans)?, request, Era::Legacy).await
            }
            _ => self.tell(&pipe, spans),
        }
    }

    async fn initialize(&self, request: &Request<'_>, spans: &Spans<'_>) -> Answer {
        let id = spans.id.unwrap_or("null");
        if request.session.is_some() {
            let problem = "a session is opened once; send initialize without Mcp-Session-Id";
            return error(StatusCode::BAD_REQUEST, Some(id), INVALID_REQUEST, problem);
        }
        let opened = self.open(request.sender).await;
        let (session, pipe) = opened.map_err(|no_child| self.no_child(no_child))?;
        // Whoever gives up leaves no process behind, and neither does who is refused.
        let unopened = pipe.end.clone().drop_guard();
        let waiting = self.asked(&pipe, request, spans)?.opening(unopened);
        let mut response = answered(waiting, request, Era::Legacy).await?;
        if response.extensions().get::<IsError>().is_none() {
            let session = HeaderValue::try_from(session).map_err(|_| NoAnswer::Unreachable)?;
            response.headers_mut().insert(SESSION_ID, session);
        }
        Ok(response)
    }

    /// Since 2026-07-28: each request stands alone, and its owner has a process.
    async fn alone(&self, request: &Request<'_>, spans: &Spans<'_>) -> Answer {
        let (Some(id), Some(method), false) = (spans.id, spans.method.as_deref(), spans.is_answer)
        else {
            return self.told(request, spans).await;
        };
        // Of these the process would take one for the opening of a session, which belongs to one client.
        if matches!(method, "initialize" | "ping") {
            return error(
                StatusCode::NOT_FOUND,
                Some(id),
                METHOD_NOT_FOUND,
                "2026-07-28 has no such method",
            );
        }
        let pipe = self.own(request.sender).await.map_err(|no_child| self.no_child(no_child))?;
        let waiting = self.asked(&pipe, request, spans)?;
        match method {
            "server/discover" => discovered(&pipe, waiting, request, id).await,
            _ => answered(waiting, request, Era::Modern).await,
        }
    }

    /// A notification since 2026-07-28. Others than this one belong to a session, or to a request of another client that has the same id:
    /// a request is cancelled by closing its stream, and no server asks anything by itself.
    async fn told(&self, request: &Request<'_>, spans: &Spans<'_>) -> Answer {
        if spans.method.as_deref() != Some("notifications/elicitation/response") {
            return accepted();
        }
        let pipe = self.own(request.sender).await.map_err(|no_child| self.no_child(no_child))?;
        self.tell(&pipe, spans)
    }

    /// Sends a request, which then waits for as long as its token holds.
    fn asked(
        &self,
        pipe: &Arc<Pipe>,
        request: &Request<'_>,
        spans: &Spans<'_>,
    ) -> Result<Waiting, NoAnswer> {
        let waiting = pipe.ask(spans, request.takes_events);
        let mut waiting = waiting.map_err(|unsent| self.unsent(unsent))?;
        waiting.ended.clone_from(&request.ended);
        Ok(waiting)
    }

    fn tell(&self, pipe: &Arc<Pipe>, spans: &Spans<'_>) -> Answer {
        pipe.tell(spans).map_err(|unsent| self.unsent(unsent))?;
        accepted()
    }

    fn stream(&self, request: &Request<'_>) -> Answer {
        if request.session.is_none() {
            return not_allowed();
        }
        let pipe = match self.session_of(request) {
            Ok(pipe) => pipe,
            Err(answer) => return answer,
        };
        match pipe.listen() {
            Some(mut general) => {
                general.ended.clone_from(&request.ended);
                Ok(events(None, Source::General(general), None))
            }
            None => {
                let problem = "this session has a stream already";
                error(StatusCode::CONFLICT, None, INVALID_REQUEST, problem)
            }
        }
    }

    fn end(&self, request: &Request<'_>) -> Answer {
        match self.session_of(request) {
            Ok(pipe) => {
                pipe.end.cancel();
                Ok(empty(StatusCode::OK))
            }
            Err(answer) => answer,
        }
    }

    #[allow(clippy::result_large_err, reason = "a refusal is a response, and is made once")]
    fn session_of(&self, request: &Request<'_>) -> Result<Arc<Pipe>, Answer> {
        let Some(id) = request.session else {
            let problem = "there is no session; open one with initialize";
            return Err(error(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, problem));
        };
        self.session(id, request.sender).ok_or_else(|| {
            error(StatusCode::NOT_FOUND, None, INVALID_REQUEST, "there is no such session")
        })
    }

    fn no_child(&self, no_child: NoChild) -> NoAnswer {
        let problem = match no_child {
            NoChild::Unstartable => return NoAnswer::Unreachable,
            NoChild::Full => {
                "too many processes of servers run for this subject, or for all; end a session or try again later"
            }
            NoChild::Often => {
                "this subject started too many of the servers' processes in a short time; keep a session, or try again in a second"
            }
            NoChild::Exhausted => {
                "the gateway has no files or processes left to start the server's process; try again later"
            }
            NoChild::Backoff => {
                "the server's process ended by itself again and again; try again later"
            }
        };
        tracing::warn!(server = self.name(), problem, "a server's process is not started");
        NoAnswer::Busy(problem)
    }

    fn unsent(&self, unsent: Unsent) -> NoAnswer {
        match unsent {
            Unsent::Ended => NoAnswer::Ended,
            Unsent::Full => {
                let problem = "too much waits for the server's process; try again later";
                tracing::warn!(server = self.name(), problem, "a message is not sent");
                NoAnswer::Busy(problem)
            }
        }
    }
}

/// Whether this is a token of progress: a text or an integer, and no longer than one may be. What is null asks for none.
fn is_token(token: &str) -> bool {
    if token.len() > MAX_TEXT_BYTES {
        return false;
    }
    let digits = token.strip_prefix('-').unwrap_or(token);
    let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    token.starts_with('"') || is_integer
}

/// Whether a server speaks 2026-07-28. Clients that speak both protocols fall back to the older one where the method is not known; what
/// an old server answers instead differs.
async fn discovered(pipe: &Pipe, waiting: Waiting, request: &Request<'_>, id: &str) -> Answer {
    let timeout = request.timeout.min(DISCOVER_TIMEOUT);
    let request = Request { timeout, may_begin: false, ended: request.ended.clone(), ..*request };
    let answer = answered(waiting, &request, Era::Modern).await;
    match answer {
        Ok(response) => match response.extensions().get::<IsError>() {
            Some(IsError(code)) if !MODERN_ERRORS.contains(code) => {}
            _ => return Ok(response),
        },
        Err(NoAnswer::TimedOut | NoAnswer::Ended) => {}
        Err(no_answer) => return Err(no_answer),
    }
    // It is of no use in this protocol; a session has a process of its own. Unless others of its owner are asking it.
    pipe.end_if_unused();
    let problem = "the server does not speak 2026-07-28; open a session with initialize";
    error(StatusCode::NOT_FOUND, Some(id), METHOD_NOT_FOUND, problem)
}

/// Marks an answer that is an error, with its code.
#[derive(Clone, Copy)]
struct IsError(i64);

/// The answer to a request: JSON if it is the first that comes, or else a stream of events, which also begins when nothing has come for
/// a while.
async fn answered(mut waiting: Waiting, request: &Request<'_>, era: Era) -> Answer {
    let until = Instant::now() + request.timeout;
    let begins = request.may_begin && request.takes_events && waiting.may_begin();
    let quiet = if begins { until.min(Instant::now() + KEEP_ALIVE) } else { until };
    loop {
        let said = match timeout_at(quiet, waiting.mailbox.next()).await {
            Err(_) if quiet < until => {
                return Ok(events(None, Source::Request(waiting), Some(until)));
            }
            Ok(Ok(said)) => said,
            Ok(Err(closed)) => return unanswered(closed, &waiting.id),
            Err(_) => {
                waiting.timed_out();
                return Err(NoAnswer::TimedOut);
            }
        };
        if !said.is_answer {
            if request.takes_events {
                return Ok(events(Some(said), Source::Request(waiting), None));
            }
            continue;
        }
        waiting.was_answered(&said);
        let status = status(said.error_code, era);
        let mut response = json_response(status, said.text.into());
        if let Some(code) = said.error_code {
            response.extensions_mut().insert(IsError(code));
        }
        return Ok(response);
    }
}

/// The status that goes with an error. Up to 2025-11-25 each goes with 200.
fn status(error_code: Option<i64>, era: Era) -> StatusCode {
    match (error_code, era) {
        (Some(METHOD_NOT_FOUND), Era::Modern) => StatusCode::NOT_FOUND,
        (Some(code), Era::Modern) if MODERN_ERRORS.contains(&code) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

fn unanswered(closed: Closed, id: &str) -> Answer {
    match closed {
        Closed::Ended => Err(NoAnswer::Ended),
        Closed::Undelivered | Closed::Unreadable | Closed::Cancelled => {
            error(StatusCode::BAD_GATEWAY, Some(id), INTERNAL_ERROR, why(closed))
        }
    }
}

fn error(status: StatusCode, id: Option<&str>, code: i64, problem: &str) -> Answer {
    Ok(json_response(status, error_text(id.unwrap_or("null"), code, problem).into()))
}

fn json_response(status: StatusCode, body: Bytes) -> Response<reqwest::Body> {
    let mut response = Response::new(reqwest::Body::from(body));
    *response.status_mut() = status;
    let media = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

fn empty(status: StatusCode) -> Response<reqwest::Body> {
    let mut response = Response::new(reqwest::Body::from(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn accepted() -> Answer {
    Ok(empty(StatusCode::ACCEPTED))
}

fn not_allowed() -> Answer {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::time::Instant;

    use super::*;
    use crate::budget::Payer;
    use crate::session::Owner;

    /// Whether so much has passed since then, on a clock that is set.
    fn passed(since: Instant, time: Duration) -> bool {
        (time..time + Duration::from_secs(1)).contains(&since.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_on_which_nothing_comes_has_a_comment() {
        let (pipe, _input) = Pipe::new("server".into(), Era::Legacy);
        let general = pipe.listen().unwrap();
        let mut body = events(None, Source::General(general), None).into_body();
        for _ in 0..2 {
            let began = Instant::now();
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), ":\n\n");
            assert!(passed(began, KEEP_ALIVE));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_long_begins_as_a_stream_and_ends_in_time() {
        for (method, begins) in [("tools/call", true), ("initialize", false)] {
            let (pipe, _input) = Pipe::new("server".into(), Era::Legacy);
            let asked = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}"}}"#);
            let mut waiting = pipe.ask(&Spans::read(&asked).unwrap(), true).unwrap();
            if !begins {
                waiting = waiting.opening(pipe.end.clone().drop_guard());
            }
            let sender =
                Sender { owner: Owner::from_bytes([0; 32]), payer: Payer::from_bytes([0; 32]) };
            let (ended, timeout) = (Ended::default(), Duration::from_secs(60));
            let (session, takes_events, may_begin) = (None, true, true);
            let request = Request { sender, ended, session, takes_events, may_begin, timeout };
            let began = Instant::now();
            let answer = answered(waiting, &request, Era::Legacy).await;
            if !begins {
                assert!(matches!(answer, Err(NoAnswer::TimedOut)) && passed(began, timeout));
                continue;
            }
            assert!(passed(began, KEEP_ALIVE));
            let body = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
            let body = std::str::from_utf8(&body).unwrap();
            assert!(passed(began, timeout), "{:?}", began.elapsed());
            assert!(body.starts_with(":\n\ndata: ") && body.contains("did not answer in time"));
            assert_eq!(pipe.idle_at(Instant::now()), Some(Duration::ZERO), "it is waited for");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_say_which_protocol_it_speaks_speaks_the_older_one() {
        let (pipe, _input) = Pipe::new("server".into(), Era::Modern);
        let asked = r#"{"jsonrpc":"2.0","id":7,"method":"server/discover"}"#;
        let waiting = pipe.ask(&Spans::read(asked).unwrap(), true).unwrap();
        let sender =
            Sender { owner: Owner::from_bytes([0; 32]), payer: Payer::from_bytes([0; 32]) };
        let (ended, timeout) = (Ended::default(), Duration::from_secs(300));
        let request =
            Request { sender, ended, session: None, takes_events: true, may_begin: true, timeout };
        let began = Instant::now();
        let answer = discovered(&pipe, waiting, &request, "7").await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert!(passed(began, DISCOVER_TIMEOUT) && pipe.has_ended());
    }
}
