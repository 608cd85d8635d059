//! Reopening: a stream that only listens outlives the presentation with which it was opened, unseen by whoever reads it.
//!
//! Before its presentation ends, the same is asked again with a fresh one: up to 2025-11-25 after the last event that came
//! (`Last-Event-ID`), in the place of the old stream, since a session has one; since 2026-07-28 beside the old stream, which ends then.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Response;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};

use crate::answer;
use crate::child::Asking;
use crate::headers::{self, LAST_EVENT_ID, Media, SESSION_ID};
use crate::sse::{self, Splitter};
use crate::upstream::Upstream;
use hardtack::mcp::Era;
use hardtack::timestamp::Timestamp;
use hardtack_http::now;

/// How long before its presentation ends a stream is opened again: longer than that takes, and than clocks differ. Of one that lives
/// shortly, a quarter of what is left.
const MARGIN: Duration = Duration::from_secs(30);

/// How long an upstream may take to open a stream again.
const OPENING: Duration = Duration::from_secs(15);

/// How many milliseconds to wait before each further try. The first ones are for a gateway that has not noticed yet that the old stream is
/// closed, the last ones for one that starts again. Then the stream ends, and its reader decides. They begin anew once a stream has lasted:
/// whoever opens each and breaks it off is waited for as whoever opens none.
const WAITS: [u64; 7] = [100, 300, 1000, 2000, 4000, 8000, 15_000];

/// How long a stream must have lasted to be opened again after its server ended it, or without a wait after it broke off: one that ends
/// each at once has nothing to tell, and its reader decides. A gateway that starts again ends them all.
const LASTED: Duration = Duration::from_secs(5);

/// How long to wait then, as readers do by custom.
const ENDED_WAIT: u64 = 1000;

/// How long the old stream goes on before another try, where it can.
const AGAIN: Duration = Duration::from_secs(1);

/// The longest id of an event that is repeated to a server: as it would be in a header of any server's.
const MAX_EVENT_ID_BYTES: usize = 1024;

/// What a server says first where somebody listens (2026-07-28).
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// A presentation for the same as before, and when it ends.
pub(crate) type Renewed = Option<(HeaderValue, Timestamp)>;

/// How a stream is opened again.
#[derive(Clone)]
pub(crate) struct Reopening {
    pub(crate) renew: Arc<dyn Fn() -> BoxFuture<'static, Renewed> + Send + Sync>,
    /// What is taken out of each answer.
    pub(crate) clean: Arc<dyn Fn(Response) -> Response + Send + Sync>,
    /// When the presentation ends with which it was opened first.
    pub(crate) expires: Timestamp,
}

/// What was asked, to be asked again.
pub(crate) struct Asked {
    pub(crate) upstream: Upstream,
    pub(crate) asking: Asking,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, reqwest::Error>> + Send>>;

struct Spliced {
    asked: Asked,
    reopening: Reopening,
    chunks: Option<Chunks>,
    splitter: Splitter,
    last_event: Option<String>,
    opened: Instant,
    /// How many of the [waits](WAITS) there were since a stream lasted.
    waited: usize,
    /// When it is opened again; `None` once there is no longer presentation to be had.
    reopens: Option<Instant>,
    /// Whether a server that is asked again has not said yet that it heard.
    repeats_acknowledgement: bool,
    /// Whether it took the place of one whose presentation ended: then it has lasted as that one did.
    follows: bool,
    /// Whether the answer has come to what was asked (2026-07-28), after which there is nothing more to hear.
    answered: bool,
}

/// What a try came to.
enum Try {
    Opened(Response),
    /// It may be opened later.
    Later,
    Refused,
}

/// The answer, which goes on as the same stream for as long as there are presentations.
pub(crate) fn spliced(answer: Response, asked: Asked, reopening: Reopening) -> Response {
    if !is_stream(&answer) {
        return answer;
    }
    let (mut parts, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let chunks = Response::from(http::Response::new(body)).bytes_stream();
    let reopens = reopens(reopening.expires);
    let spliced = Spliced {
        asked,
        reopening,
        chunks: Some(Box::pin(chunks)),
        splitter: Splitter::default(),
        last_event: None,
        opened: Instant::now(),
        waited: 0,
        reopens,
        repeats_acknowledgement: false,
        follows: false,
        answered: false,
    };
    let events = stream::unfold(spliced, |mut spliced| async move {
        let told = spliced.next().await?;
        Some((told, spliced))
    });
    http::Response::from_parts(parts, reqwest::Body::wrap_stream(events)).into()
}

/// When a stream is opened again whose presentation ends then.
fn reopens(expires: Timestamp) -> Option<Instant> {
    let left = expires.since(now());
    let margin = MARGIN.min(left / 4);
    Instant::now().checked_add(left.saturating_sub(margin))
}

fn is_stream(answer: &Response) -> bool {
    answer.status() == StatusCode::OK && headers::media(answer.headers()) == Media::Events
}

impl Spliced {
    /// Whole events only, so that none that breaks off runs into the first of the next stream.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(batch) = self.splitter.take() {
                let shown = self.noted(batch);
                if !shown.is_empty() {
                    return Some(Ok(shown.into()));
                }
            }
            let chunks = self.chunks.as_mut()?;
            let reopens = self.reopens;
            let due = async {
                match reopens {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let chunk = tokio::select! {
                biased;
                chunk = chunks.next() => chunk,
                () = due => {
                    self.renew().await;
                    continue;
                }
            };
            match chunk {
                Some(Ok(chunk)) => {
                    if self.splitter.push(&chunk).is_err() {
                        self.chunks = None;
                        return Some(Err(io::Error::other("an event is larger than one may be")));
                    }
                }
                None if self.goes_on_after_its_end() => {
                    self.chunks = None;
                    self.waited = 0;
                    if !self.open_anew(ENDED_WAIT).await {
                        return None;
                    }
                }
                None if self.ended_without_an_answer() => {
                    if !self.opens_after_a_break().await {
                        return None;
                    }
                }
                // Who ended it had a reason, and its reader may come again.
                None => {
                    self.chunks = None;
                    let rest = self.splitter.rest();
                    return (!rest.is_empty()).then(|| Ok(rest.into()));
                }
                Some(Err(_)) => {
                    if self.answered || !self.opens_after_a_break().await {
                        self.chunks = None;
                        return Some(Err(io::Error::other("the upstream server broke off")));
                    }
                }
            }
        }
    }

    /// The presentation ends soon.
    async fn renew(&mut self) {
        let renewed = (self.reopening.renew)().await;
        let Some((value, expires)) =
            renewed.filter(|(_, expires)| *expires > self.reopening.expires)
        else {
            // The capability ends as well. A newer one may be put in its place until then.
            let wait = (self.reopening.expires.since(now()) / 2).max(Duration::from_secs(1));
            let is_over = self.reopening.expires <= now();
            self.reopens = (!is_over).then(|| Instant::now() + wait);
            return;
        };
        if self.asked.asking.era == Era::Legacy {
            self.chunks = None;
            // It held as long as it was to.
            self.waited = 0;
            self.follows = self.open_anew(0).await;
            if !self.follows {
                tracing::warn!("a stream that listens cannot be opened again, and ends");
            }
            return;
        }
        match self.ask(value).await {
            Try::Opened(answer) => {
                self.go_on(answer, expires);
                self.follows = true;
            }
            // The old one goes on meanwhile.
            _ => self.reopens = Some(Instant::now() + AGAIN),
        }
    }

    /// Whether a stream of a session that its server ended is opened again.
    fn goes_on_after_its_end(&self) -> bool {
        let in_session = self.asked.headers.contains_key(SESSION_ID);
        in_session && self.asked.asking.era == Era::Legacy && self.has_lasted()
    }

    /// Since 2026-07-28 a server ends a stream by answering what was asked. What ends otherwise broke off.
    fn ended_without_an_answer(&self) -> bool {
        self.asked.asking.era == Era::Modern && !self.answered
    }

    /// Opens it again after it broke off; says whether there is a stream.
    async fn opens_after_a_break(&mut self) -> bool {
        self.chunks = None;
        match self.wait_after_break() {
            Some(wait) => self.open_anew(wait).await,
            None => false,
        }
    }

    fn has_lasted(&self) -> bool {
        self.follows || self.opened.elapsed() >= LASTED
    }

    /// How long to wait after it broke off; `None` if streams have broken off too often before one lasted.
    fn wait_after_break(&mut self) -> Option<u64> {
        if !self.has_lasted() {
            return self.next_wait();
        }
        tracing::info!("a stream broke off, and is opened again");
        self.waited = 0;
        Some(0)
    }

    fn next_wait(&mut self) -> Option<u64> {
        let wait = WAITS.get(self.waited).copied()?;
        self.waited += 1;
        Some(wait)
    }

    /// Opens it where there is no stream any more; says whether there is one.
    async fn open_anew(&mut self, first: u64) -> bool {
        let mut next = Some(first);
        while let Some(wait) = next {
            sleep(Duration::from_millis(wait)).await;
            if let Some((value, expires)) = (self.reopening.renew)().await {
                match self.ask(value).await {
                    Try::Opened(answer) => {
                        self.go_on(answer, expires);
                        return true;
                    }
                    Try::Later => {}
                    Try::Refused => return false,
                }
            }
            next = self.next_wait();
        }
        false
    }

    fn go_on(&mut self, answer: Response, expires: Timestamp) {
        // What has not come whole comes again after the last event, or is lost with its stream.
        self.splitter = Splitter::default();
        self.chunks = Some(Box::pin(answer.bytes_stream()));
        self.reopening.expires = expires;
        self.opened = Instant::now();
        self.follows = false;
        self.reopens = reopens(expires);
        self.repeats_acknowledgement = self.asked.asking.era == Era::Modern;
        tracing::debug!("a stream that listens is opened again");
    }

    async fn ask(&mut self, authorization: HeaderValue) -> Try {
        let Asked { upstream, asking, method, headers, body } = &mut self.asked;
        let mut headers = headers.clone();
        if let Some(last) = &self.last_event
            && asking.era == Era::Legacy
            && let Ok(last) = HeaderValue::try_from(last)
        {
            headers.insert(LAST_EVENT_ID, last);
        }
        let Ok(credentials) = upstream.headers_for(None).await else { return Try::Later };
        headers.extend(credentials);
        let asking = upstream.ask(
            asking.clone(),
            method.clone(),
            headers,
            Some(authorization),
            body.clone(),
        );
        match timeout(OPENING, asking).await {
            Ok(Ok(answer)) if is_stream(&answer) => Try::Opened((self.reopening.clean)(answer)),
            Ok(Ok(answer)) => match answer.status() {
                StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => Try::Later,
                status if status.is_server_error() => Try::Later,
                _ => Try::Refused,
            },
            Ok(Err(_)) | Err(_) => Try::Later,
        }
    }

    /// The events, without what the reader has heard; the last id is noted.
    fn noted(&mut self, batch: Vec<u8>) -> Vec<u8> {
        let mut shown = Vec::with_capacity(batch.len());
        for event in sse::events(&batch) {
            let text = std::str::from_utf8(event).unwrap_or_default();
            if let Some(id) = id_of(text) {
                self.last_event = Some(id.to_owned()).filter(|id| !id.is_empty());
            }
            if self.asked.asking.era == Era::Modern {
                let told = told(text);
                if told.error.as_ref().is_some_and(|error| answer::ends_for_now(&error.data)) {
                    // The gateway starts again, and its stream ends now.
                    continue;
                }
                self.answered |= told.result.is_some() || told.error.is_some();
                if self.repeats_acknowledgement && told.method.as_deref() == Some(ACKNOWLEDGED) {
                    self.repeats_acknowledgement = false;
                    continue;
                }
            }
            shown.extend_from_slice(event);
        }
        shown
    }
}

fn id_of(event: &str) -> Option<&str> {
    let mut ids = event.lines().filter_map(|line| line.strip_prefix("id:"));
    let id = ids.next_back()?;
    let id = id.strip_prefix(' ').unwrap_or(id);
    (id.len() <= MAX_EVENT_ID_BYTES && !id.contains('\0')).then_some(id)
}

/// What an event tells, as far as it matters here.
#[derive(Default, Deserialize)]
struct Told {
    method: Option<String>,
    result: Option<IgnoredAny>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    data: Value,
}

fn told(event: &str) -> Told {
    serde_json::from_str(&sse::data(event)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
