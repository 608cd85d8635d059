//! Flow: an answer on its way to the client, for as long as its token holds.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::guard::Guard;
use crate::http::now;
use crate::mcp::metrics::{Metrics, OpenStream};
use crate::mcp::relay::Passage;
use crate::mcp::serve::Drain;
use crate::mcp::sse::{self, Splitter};
use crate::verify::VerifiedCapability;

/// How often a token is looked at while its answer streams. A dead one is cut within a second.
const WATCH_EVERY: Duration = Duration::from_millis(400);

/// Up to how many bytes an answer of known length is handed over without a task of its own: one chunk or two.
const SHORT_BYTES: u64 = 64 * 1024;

/// Says what a message in an answer is to be replaced by. What takes time is done on a thread that may take it, and
/// ends when nobody waits for it any more.
pub(crate) type Rewrite = Arc<dyn Fn(Bytes) -> BoxFuture<'static, Rewritten> + Send + Sync>;

/// What becomes of a message.
pub(crate) enum Rewritten {
    /// It passes as it is.
    Same,
    /// It is replaced.
    By(String),
    /// What it says is not known, so it does not pass.
    Unreadable,
    /// Its token ended meanwhile, so it does not pass.
    GivenUp,
}

/// Looks whether a token still holds.
pub(crate) struct Watch {
    guard: Arc<Guard>,
    verified: VerifiedCapability,
    of: Begun,
    ticks: Interval,
}

/// What a token is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Something that its calls were decided for: a presentation that was bound to the call is used up.
    Call,
    /// Something that any valid token may begin, for as long as it is valid.
    Connection,
}

impl Watch {
    pub(crate) fn over(guard: Arc<Guard>, verified: VerifiedCapability, of: Begun) -> Watch {
        // It was looked at just now.
        let mut ticks = interval_at(Instant::now() + WATCH_EVERY, WATCH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Watch { guard, verified, of, ticks }
    }

    /// Comes back when the token no longer holds, and says why.
    pub(crate) async fn end(&mut self) -> &'static str {
        loop {
            self.ticks.tick().await;
            let verifier = self.guard.verifier();
            let held = match self.of {
                Begun::Call => verifier.verify_under_way(&self.verified, now()),
                Begun::Connection => verifier.verify_again(&self.verified, now()),
            };
            if let Err(error) = held {
                return error.cause();
            }
        }
    }
}

/// An answer's body, as it goes to the client.
pub(crate) struct Flow {
    chunks: std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, reqwest::Error>> + Send>>,
    /// Where messages are replaced.
    events: Option<(Splitter, Rewrite)>,
    is_event_stream: bool,
    /// Whether it comes whole in a moment.
    is_short: bool,
    watch: Option<Watch>,
    drain: Drain,
    /// What whoever waits for the answer is told if it is cut; after a blank line, since half an event may stand
    /// before it.
    farewell: Option<String>,
    /// Whether it waits for what may never come.
    waits: bool,
    metrics: Metrics,
    ended: bool,
    _open: OpenStream,
}

impl Flow {
    pub(crate) fn new(
        response: reqwest::Response,
        is_event_stream: bool,
        passage: Passage,
        drain: Drain,
        metrics: Metrics,
    ) -> Flow {
        let Passage { rewrite, watch, waits, farewell, .. } = passage;
        let rewrite = rewrite.filter(|_| is_event_stream);
        let length = response.content_length();
        Flow {
            is_short: !is_event_stream && length.is_some_and(|length| length <= SHORT_BYTES),
            chunks: Box::pin(response.bytes_stream()),
            events: rewrite.map(|rewrite| (Splitter::default(), rewrite)),
            is_event_stream,
            watch,
            drain,
            farewell,
            waits,
            _open: metrics.open_stream(),
            metrics,
            ended: false,
        }
    }

    /// The body. What streams is pumped by a task of its own, so that its token is watched and the server let go
    /// while a client does not read.
    pub(crate) fn body(self) -> Body {
        if self.is_short {
            return Body::from_stream(stream::unfold(self, |mut flow| async move {
                flow.next().await.map(|item| (item, flow))
            }));
        }
        let (sender, receiver) = mpsc::channel(1);
        let (cut, is_event_stream) = (Arc::new(AtomicBool::new(false)), self.is_event_stream);
        let farewell = self.farewell.clone();
        tokio::spawn(self.pump(sender, Arc::clone(&cut)));
        let state = (receiver, cut, farewell);
        Body::from_stream(stream::unfold(
            state,
            move |(mut receiver, cut, mut farewell)| async move {
                let item = receiver.recv().await;
                let item = match cut.load(Ordering::Acquire) {
                    // What was not read before the cut is not read after it.
                    true if is_event_stream => farewell
                        .take()
                        .map(|farewell| Ok(Bytes::from(format!("\n\ndata: {farewell}\n\n")))),
                    true => Some(Err(io::Error::other("cut"))),
                    false => item,
                };
                item.map(|item| (item, (receiver, cut, farewell)))
            },
        ))
    }

    async fn pump(mut self, sender: mpsc::Sender<io::Result<Bytes>>, cut: Arc<AtomicBool>) {
        loop {
            let item = tokio::select! {
                biased;
                () = sender.closed() => return,
                item = self.next() => item,
            };
            let Some(item) = item else { return };
            tokio::select! {
                biased;
                () = self.drain.ends(self.waits) => return cut.store(true, Ordering::Release),
                cause = ended(&mut self.watch) => {
                    self.note_cut(cause);
                    return cut.store(true, Ordering::Release);
                }
                sent = sender.send(item) => {
                    if sent.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn note_cut(&self, cause: &str) {
        self.metrics.cut();
        tracing::info!(cause, "a stream is cut, since its token no longer holds");
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some((splitter, rewrite)) = &mut self.events
                && let Some(event) = splitter.next()
            {
                return Some(Ok(rewritten(event, rewrite).await));
            }
            if self.ended {
                return None;
            }
            let chunk = tokio::select! {
                biased;
                () = self.drain.ends(self.waits) => return self.cut("shutdown"),
                cause = ended(&mut self.watch) => {
                    self.note_cut(cause);
                    return self.cut(cause);
                }
                chunk = self.chunks.next() => chunk,
            };
            match (chunk, &mut self.events) {
                (None, None) => return None,
                (None, Some((splitter, _))) => {
                    self.ended = true;
                    let rest = splitter.rest();
                    if let Some((_, rewrite)) = self.events.as_ref().filter(|_| !rest.is_empty()) {
                        // Some readers take what has no blank line at its end for an event.
                        return Some(Ok(rewritten(rest, rewrite).await));
                    }
                }
                (Some(Err(error)), _) => {
                    self.ended = true;
                    tracing::warn!(error = %error.without_url(), "the server behind broke off");
                    return Some(Err(io::Error::other("the server behind broke off")));
                }
                (Some(Ok(chunk)), None) => return Some(Ok(chunk)),
                (Some(Ok(chunk)), Some((splitter, _))) => {
                    if splitter.push(&chunk).is_err() {
                        self.ended = true;
                        return Some(Err(io::Error::other("an event is larger than one may be")));
                    }
                }
            }
        }
    }

    /// A stream of events can end anywhere, and its client asks for the rest. Anything else must not look
    /// whole.
    fn cut(&mut self, cause: &str) -> Option<io::Result<Bytes>> {
        self.ended = true;
        self.events = None;
        self.chunks = Box::pin(stream::empty());
        match self.is_event_stream {
            true => {
                let farewell = self.farewell.take();
                farewell.map(|farewell| Ok(Bytes::from(format!("\n\ndata: {farewell}\n\n"))))
            }
            false => Some(Err(io::Error::other(format!("cut: {cause}")))),
        }
    }
}

async fn rewritten(event: Bytes, rewrite: &Rewrite) -> Bytes {
    let Some(data) = sse::data(&event) else { return Bytes::new() };
    // What has no result, however it is spelt, has nothing to be replaced.
    if !data.contains("result") && !data.contains('\\') {
        return event;
    }
    match rewrite(Bytes::from(data)).await {
        Rewritten::Same => event,
        Rewritten::By(data) => sse::with_data(&event, &data),
        Rewritten::Unreadable | Rewritten::GivenUp => Bytes::new(),
    }
}

/// Comes back when what is watched ends; never, if nothing is.
pub(crate) async fn ended(watch: &mut Option<Watch>) -> &'static str {
    match watch {
        Some(watch) => watch.end().await,
        None => std::future::pending().await,
    }
}
