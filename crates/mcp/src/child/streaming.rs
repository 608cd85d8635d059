//! Streaming: what a process says of one request, or of none, as a stream of events.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, header};
use serde_json::json;
use tokio::time::{Duration, Instant, timeout_at};

use crate::answer::INTERNAL_ERROR;
use crate::child::mailbox::{Closed, Mailbox, Said};
use crate::child::pipe::{General, Waiting};

/// How often a stream on which nothing comes has a comment, so that nothing on the way takes it for dead.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// What is told of an answer that does not come in time, on a stream that has begun.
const LATE: &str = "the upstream server did not answer in time";

/// Where the messages of a stream come from.
pub(super) enum Source {
    Request(Waiting),
    General(General),
}

impl Source {
    fn mailbox(&self) -> &Mailbox {
        match self {
            Source::Request(waiting) => &waiting.mailbox,
            Source::General(general) => &general.mailbox,
        }
    }

    /// What is told when nothing more comes.
    fn last(&self, closed: Closed) -> Option<String> {
        match self {
            Source::Request(waiting) => Some(error_text(&waiting.id, INTERNAL_ERROR, why(closed))),
            Source::General(_) => None,
        }
    }
}

impl Source {
    /// What is told when nothing came in time; the server hears it, too.
    fn late(self) -> Option<String> {
        let Source::Request(waiting) = self else { return None };
        let told = error_text(&waiting.id, INTERNAL_ERROR, LATE);
        waiting.timed_out();
        Some(told)
    }
}

/// A stream of events, whose first message comes before `until`, if that is given.
pub(super) fn events(
    first: Option<Said>,
    source: Source,
    until: Option<Instant>,
) -> Response<reqwest::Body> {
    let state = Some((first, source, until));
    let chunks = stream::unfold(state, |state| async move {
        let (first, mut source, until) = state?;
        let next = match first {
            Some(said) => Ok(Ok(said)),
            None => {
                let comment = Instant::now() + KEEP_ALIVE;
                let wait = until.map_or(comment, |until| until.min(comment));
                timeout_at(wait, source.mailbox().next()).await
            }
        };
        let is_late = until.is_some_and(|until| until <= Instant::now());
        let (chunk, rest) = match next {
            Err(_) if is_late => (source.late().map(|text| event(&text)), None),
            Err(_) => (Some(Bytes::from_static(b":\n\n")), Some((None, source, until))),
            Ok(Ok(said)) => {
                if let Source::Request(waiting) = &mut source {
                    waiting.was_answered(&said);
                }
                let rest = (!said.is_answer).then_some((None, source, None));
                (Some(event(&said.text)), rest)
            }
            Ok(Err(closed)) => (source.last(closed).map(|text| event(&text)), None),
        };
        Some((Ok::<_, io::Error>(chunk?), rest))
    });
    let mut response = Response::new(reqwest::Body::wrap_stream(chunks));
    let media = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

/// A message has no line breaks.
fn event(text: &str) -> Bytes {
    format!("data: {text}\n\n").into()
}

pub(super) fn why(closed: Closed) -> &'static str {
    match closed {
        Closed::Ended => ENDED,
        Closed::Undelivered => {
            "the answer of the upstream server is larger than one may be, or was not read in time; what was asked for may have been done"
        }
        Closed::Unreadable => {
            "the answer of the upstream server is no message that everybody reads in the same way, and is not passed on; what was asked for may have been done"
        }
        Closed::Cancelled => "the request was cancelled",
    }
}

/// What is told of a process that ended before it answered.
pub(crate) const ENDED: &str =
    "the upstream server's process ended before it answered; what was asked for may have been done";

pub(super) fn error_text(id: &str, code: i64, problem: &str) -> String {
    let error = json!({"code": code, "message": problem});
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}
