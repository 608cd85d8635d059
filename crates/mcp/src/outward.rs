//! Outward: what becomes of a server's answer?

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt;
use http::{HeaderValue, StatusCode, header};
use tokio::task::coop::consume_budget;

use crate::answer::{self, CutBy, INTERNAL_ERROR};
use crate::budget::Share;
use crate::filtering::Rewrite;
use crate::flow::{Flow, HELD_PER_BYTE};
use crate::forwarding::Forwarding;
use crate::headers::{self, Media, SESSION_ID};
use crate::relay::Relay;
use crate::review::Reviewed;
use crate::sse::MAX_EVENT_BYTES;
use crate::watch::{Watch, ended};
use hardtack::guard::Denial;
use hardtack::mcp::Id;

/// How much is paid for ahead of an answer that does not say how long it is.
const COLLECTED_AT_ONCE: usize = 64 * 1024;

/// What whoever asked is told of an answer that readers would take differently.
pub(crate) const UNREADABLE: &str =
    "the answer of the upstream server cannot be read, or readers would take it differently";

impl Relay {
    pub(crate) async fn outwards(
        &self,
        response: reqwest::Response,
        session: Option<String>,
        asked: Option<Id>,
        mut passage: Forwarding,
        share: Share,
    ) -> Result<Response, Response> {
        let (status, id) = (response.status(), asked.as_ref());
        if let Some(problem) = untransmittable(&response, id) {
            self.metrics.upstream_failure();
            tracing::warn!(status = status.as_u16(), problem, "an answer is not handed on");
            return Err(bad_gateway(id, &problem));
        }
        let mut headers = headers::answered(response.headers());
        let session = session.and_then(|session| HeaderValue::try_from(session).ok());
        headers.extend(session.map(|id| (SESSION_ID, id)));
        let media = headers::media(response.headers());
        let body = match passage.rewrite.take_if(|_| media != Media::Events) {
            Some(rewrite) => {
                let (body, media) =
                    self.collected(response, media, rewrite, asked, passage, share).await?;
                media.write(&mut headers);
                body
            }
            None => {
                if passage.rewrite.is_some() {
                    media.write(&mut headers);
                }
                let (drain, metrics) = (self.drain.clone(), self.metrics.clone());
                let is_event_stream = media == Media::Events;
                let exchange = (asked, share);
                Flow::new(response, is_event_stream, passage, exchange, drain, metrics).body()
            }
        };
        let mut answer = Response::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    /// A whole answer, looked at; and what its client is told that it is.
    async fn collected(
        &self,
        response: reqwest::Response,
        media: Media,
        rewrite: Rewrite,
        asked: Option<Id>,
        mut passage: Forwarding,
        mut share: Share,
    ) -> Result<(Body, Media), Response> {
        let (id, must_read) = (asked.as_ref(), passage.must_read);
        let status = response.status();
        let must_answer = must_read && status.is_success() && status != StatusCode::ACCEPTED;
        if must_answer && media != Media::Json {
            return Err(bad_gateway(id, "the upstream server answered neither JSON nor events"));
        }
        let body = self.collect(response, id, &mut passage, &mut share).await?;
        if body.is_empty() && !must_answer {
            let is_awaited = id.is_some() && status.is_success() && status != StatusCode::ACCEPTED;
            return match is_awaited {
                true => Err(bad_gateway(
                    id,
                    "the upstream server took the request and did not answer it",
                )),
                false => Ok((Body::empty(), media)),
            };
        }
        if !share.cover_soon(HELD_PER_BYTE * body.len()).await {
            return Err(answer::undelivered(id));
        }
        let by = Arc::clone(&rewrite.by);
        let looked_at = rewrite.run(body.len(), move || review(body, &*by)).await;
        let Some(shown) = looked_at else {
            let why = || Denial::unfinished("the answer was not looked at to its end");
            let denial = passage.watch.as_ref().map_or_else(why, Watch::why);
            return Err(self.give_up(id, &mut passage, denial));
        };
        let Some(shown) = shown.filter(|shown| !(must_answer && shown.is_empty())) else {
            self.metrics.upstream_failure();
            tracing::warn!("an answer is not handed on, since readers would take it differently");
            return Err(bad_gateway(id, UNREADABLE));
        };
        let media = match shown.trim_start().starts_with(['{', '[']) {
            true => Media::Json,
            false => media,
        };
        Ok((Body::from(share.hold_last(shown)), media))
    }

    /// The call may have been carried out; its answer is not waited for.
    pub(crate) fn give_up(
        &self,
        id: Option<&Id>,
        passage: &mut Forwarding,
        denial: Denial,
    ) -> Response {
        let cause = denial.cause();
        self.metrics.cut();
        tracing::info!(%cause, "an answer is given up, since its token no longer holds");
        if let Some(cut) = passage.cut.take() {
            cut.make(denial);
        }
        match &passage.closing_message {
            Some(closing_message) => {
                answer::respond(StatusCode::OK, &closing_message.to_json(CutBy::Cause(cause)))
            }
            None => answer::error(
                StatusCode::SERVICE_UNAVAILABLE,
                id,
                INTERNAL_ERROR,
                "the token no longer holds, and the answer was not waited for",
            ),
        }
    }

    async fn collect(
        &self,
        response: reqwest::Response,
        id: Option<&Id>,
        passage: &mut Forwarding,
        share: &mut Share,
    ) -> Result<Vec<u8>, Response> {
        // Before anything is read, so that what waits for others holds nothing, and what has begun can end.
        let declared = usize::try_from(response.content_length().unwrap_or_default());
        let mut paid_for = declared.unwrap_or(usize::MAX);
        if paid_for > MAX_EVENT_BYTES {
            return Err(bad_gateway(id, &too_large()));
        }
        if !share.cover_soon(HELD_PER_BYTE * paid_for).await {
            return Err(answer::undelivered(id));
        }
        let mut chunks = response.bytes_stream();
        let mut whole = Vec::with_capacity(paid_for);
        loop {
            // A server that sends a byte at a time must not have a thread for itself.
            consume_budget().await;
            let chunk = tokio::select! {
                biased;
                denial = ended(&mut passage.watch) => {
                    return Err(self.give_up(id, passage, denial));
                }
                () = self.drain.ends(passage.waits) => return Err(shutting_down(id)),
                chunk = chunks.next() => chunk,
            };
            let Some(chunk) = chunk else { break };
            let chunk = chunk.map_err(|error| {
                self.metrics.upstream_failure();
                tracing::warn!(error = %error.without_url(), "the upstream server broke off");
                bad_gateway(id, "the upstream server broke off")
            })?;
            let length = whole.len() + chunk.len();
            if length > MAX_EVENT_BYTES {
                return Err(bad_gateway(id, &too_large()));
            }
            if length > paid_for {
                paid_for = length + COLLECTED_AT_ONCE;
                if !share.cover_soon(HELD_PER_BYTE * paid_for).await {
                    return Err(answer::undelivered(id));
                }
            }
            whole.extend_from_slice(&chunk);
        }
        whole.shrink_to_fit();
        Ok(whole)
    }
}

/// The answer as it is shown; `None` if readers would take it differently.
fn review(body: Vec<u8>, by: &dyn Fn(&str) -> Reviewed) -> Option<String> {
    let mut text = String::from_utf8(body).ok()?;
    // Some readers pass over a byte order mark, others stumble over it.
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    match by(&text) {
        Reviewed::Same => Some(text),
        Reviewed::By(shown) => Some(shown),
        Reviewed::Strange | Reviewed::Unreadable => None,
    }
}

fn too_large() -> String {
    format!("the answer of the upstream server has more than {MAX_EVENT_BYTES} bytes")
}

/// The server's session id, if there is one.
pub(crate) fn session_of(response: &reqwest::Response) -> Option<&str> {
    response.headers().get(SESSION_ID).and_then(|id| id.to_str().ok())
}

/// Whether the server takes no credential, or not the one that it was sent.
pub(crate) fn is_unaccepted(response: &reqwest::Response) -> bool {
    matches!(
        response.status(),
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED
    )
}

/// What of an answer cannot be handed on.
fn untransmittable(response: &reqwest::Response, id: Option<&Id>) -> Option<String> {
    let (status, headers) = (response.status(), response.headers());
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if let Some(name) = headers::repeated(headers) {
        return Some(format!(
            "the upstream server sent the header {name} twice, which readers take differently"
        ));
    }
    let problem = if status.is_informational() {
        // Whoever took it for the answer would speak another protocol from now on.
        "the upstream server switches to another protocol"
    } else if status.is_redirection() {
        // A client that followed it would send its bearer there.
        "the upstream server redirects; the operator must give its final URL"
    } else if encodings.any(|encoding| encoding != "identity") {
        "the upstream server answered in an encoding that was not asked for"
    } else if headers::media(headers) == Media::Unclear {
        "the upstream server sent a Content-Type that readers take differently, or another encoding than UTF-8"
    } else if status == StatusCode::ACCEPTED && id.is_some() {
        // Clients would wait for the answer until they lose patience.
        "the upstream server took the request and did not answer it"
    } else {
        return None;
    };
    Some(problem.to_owned())
}

pub(crate) fn shutting_down(id: Option<&Id>) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    answer::error(status, id, INTERNAL_ERROR, "this server is being shut down")
}

pub(crate) fn bad_gateway(id: Option<&Id>, problem: &str) -> Response {
    answer::error(StatusCode::BAD_GATEWAY, id, INTERNAL_ERROR, problem)
}
