//! Flow: an answer on its way to the client, for as long as its token holds.
//!
//! A client that does not read holds back the server (backpressure): no more than a few chunks wait for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::coop::consume_budget;
use tracing::{Instrument, Span};

use crate::answer::{self, ClosingMessage, INTERNAL_ERROR, UNDECIDED};
use crate::body::UNDELIVERED;
use crate::budget::{EXCHANGE_BYTES, Share};
use crate::filtering::Rewrite;
use crate::forwarding::Forwarding;
use crate::metrics::{Metrics, OpenStream};
use crate::outward::UNREADABLE;
use crate::review::Reviewed;
use crate::serve::Drain;
use crate::sse::{self, Splitter};
use crate::watch::{Watch, ended};
use hardtack::cause::Cause;
use hardtack::mcp::Id;

/// Up to how many bytes an answer of known length is handed over without a task of its own: one chunk or two.
const SHORT_BYTES: u64 = 64 * 1024;

/// Up to how many bytes of events on their way are covered by what an exchange costs at the least.
const SMALL_BYTES: usize = EXCHANGE_BYTES / 4;

/// What a byte of an answer costs until its message is rewritten: first the buffers of the connection that it comes from and
/// one that grows, then itself, the data, the message and the event anew.
pub(crate) const HELD_PER_BYTE: usize = 4;

/// An answer's body, as it goes to the client.
pub(crate) struct Flow {
    chunks: std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, reqwest::Error>> + Send>>,
    /// Where messages are replaced.
    events: Option<Events>,
    share: Share,
    is_event_stream: bool,
    /// Whether it comes whole in a moment.
    is_short: bool,
    watch: Option<Watch>,
    drain: Drain,
    /// What whoever waits for the answer is told if it is cut; after a blank line, since half an event may stand
    /// before it.
    closing_message: Option<ClosingMessage>,
    /// Whether it waits for what may never come.
    waits: bool,
    metrics: Metrics,
    ended: bool,
    _open: OpenStream,
}

/// Events that are looked at before they pass.
struct Events {
    splitter: Splitter,
    rewrite: Rewrite,
    asked: Option<Id>,
    /// Whether whoever asked was told that the answer cannot be read.
    told: bool,
}

impl Flow {
    pub(crate) fn new(
        response: reqwest::Response,
        is_event_stream: bool,
        passage: Forwarding,
        (asked, share): (Option<Id>, Share),
        drain: Drain,
        metrics: Metrics,
    ) -> Flow {
        let Forwarding { rewrite, watch, waits, closing_message, .. } = passage;
        let rewrite = rewrite.filter(|_| is_event_stream);
        let length = response.content_length();
        Flow {
            is_short: !is_event_stream && length.is_some_and(|length| length <= SHORT_BYTES),
            chunks: Box::pin(response.bytes_stream()),
            events: rewrite.map(|rewrite| Events {
                splitter: Splitter::default(),
                rewrite,
                asked,
                told: false,
            }),
            share,
            is_event_stream,
            watch,
            drain,
            closing_message,
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
        let closing_message = self.closing_message.clone();
        let pump = self.pump(sender, Arc::clone(&cut));
        // What is logged of it is of this request, and of this server.
        tokio::spawn(pump.instrument(Span::current()));
        let state = (receiver, cut, closing_message);
        Body::from_stream(stream::unfold(
            state,
            move |(mut receiver, cut, mut closing_message)| async move {
                let item = receiver.recv().await;
                let item = match cut.load(Ordering::Acquire) {
                    // What was not read before the cut is not read after it.
                    true if is_event_stream => {
                        closing_message.take().map(|closing_message| Ok(closing_message.to_event()))
                    }
                    true => Some(Err(io::Error::other("cut"))),
                    false => item,
                };
                item.map(|item| (item, (receiver, cut, closing_message)))
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

    fn note_cut(&self, cause: Cause) {
        self.metrics.cut();
        tracing::info!(%cause, "a stream is cut, since its token no longer holds");
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            // A server that sends a byte at a time must not have a thread for itself.
            consume_budget().await;
            if let Some(batch) = self.events.as_mut().and_then(|events| events.splitter.take()) {
                match self.reviewed(batch).await {
                    Ok(shown) if shown.is_empty() => continue,
                    Ok(shown) => return Some(Ok(shown)),
                    Err(ended) => return self.end(&ended),
                }
            }
            if self.ended {
                return None;
            }
            let chunk = tokio::select! {
                biased;
                () = self.drain.ends(self.waits) => return self.cut("shutdown"),
                cause = ended(&mut self.watch) => {
                    self.note_cut(cause);
                    return self.cut(cause.as_str());
                }
                chunk = self.chunks.next() => chunk,
            };
            match (chunk, &mut self.events) {
                (None, None) => return None,
                (None, Some(events)) => {
                    self.ended = true;
                    // Some readers take what has no blank line at its end for an event.
                    let rest = events.splitter.rest();
                    return match self.reviewed(rest).await {
                        Ok(shown) if shown.is_empty() => None,
                        Ok(shown) => Some(Ok(shown)),
                        Err(ended) => self.end(&ended),
                    };
                }
                (Some(Err(error)), _) => {
                    self.ended = true;
                    tracing::warn!(error = %error.without_url(), "the upstream server broke off");
                    return Some(Err(io::Error::other("the upstream server broke off")));
                }
                (Some(Ok(chunk)), None) => return Some(Ok(chunk)),
                (Some(Ok(chunk)), Some(events)) => {
                    if events.splitter.push(&chunk).is_err() {
                        self.ended = true;
                        return Some(Err(io::Error::other("an event is larger than one may be")));
                    }
                    let waiting = HELD_PER_BYTE * events.splitter.waiting();
                    if !self.share.cover_soon(waiting).await {
                        return self.overloaded();
                    }
                }
            }
        }
    }

    /// Whole events, as they are shown.
    async fn reviewed(&mut self, batch: Vec<u8>) -> Result<Bytes, Ended> {
        let Some(events) = &mut self.events else { return Ok(batch.into()) };
        let waiting = HELD_PER_BYTE * events.splitter.waiting();
        if !self.share.cover_soon(waiting + HELD_PER_BYTE * batch.len()).await {
            return Err(Ended::Overloaded);
        }
        let (rewrite, by) = (events.rewrite.clone(), Arc::clone(&events.rewrite.by));
        let looked_at = rewrite.run(batch.len(), move || review(batch, &*by)).await;
        let Some((mut shown, unread)) = looked_at else { return Err(Ended::Token) };
        if unread && !std::mem::replace(&mut events.told, true) {
            tracing::warn!(
                "an event of the upstream server is not handed on, since readers would take it differently"
            );
            shown.extend(event(events.asked.as_ref(), INTERNAL_ERROR, UNREADABLE));
        }
        let shown = match shown.len() {
            0..=SMALL_BYTES => shown.into(),
            _ => self.share.hold(shown),
        };
        // What the exchange costs at the least may be part of what is held now.
        match self.share.cover_soon(waiting).await {
            true => Ok(shown),
            false => Err(Ended::Overloaded),
        }
    }

    fn end(&mut self, ended: &Ended) -> Option<io::Result<Bytes>> {
        match ended {
            Ended::Overloaded => self.overloaded(),
            Ended::Token => self.cut("the token no longer holds"),
        }
    }

    fn overloaded(&mut self) -> Option<io::Result<Bytes>> {
        let asked = self.events.take().and_then(|events| events.asked);
        self.ended = true;
        self.chunks = Box::pin(stream::empty());
        tracing::warn!("a stream is ended, since too much is held for its subject or for all");
        match event(asked.as_ref(), UNDECIDED, UNDELIVERED) {
            told if told.is_empty() => Some(Err(io::Error::other(UNDELIVERED))),
            told => Some(Ok(told.into())),
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
                let closing_message = self.closing_message.take();
                closing_message.map(|closing_message| Ok(closing_message.to_event()))
            }
            false => Some(Err(io::Error::other(format!("cut: {cause}")))),
        }
    }
}

/// Why a stream ends before the server's does.
enum Ended {
    /// More is held than may be.
    Overloaded,
    /// The token no longer holds.
    Token,
}

/// The events that are shown, and whether there was one that cannot be read.
fn review(batch: Vec<u8>, by: &dyn Fn(&str) -> Reviewed) -> (Vec<u8>, bool) {
    let (mut shown, mut copied, mut end, mut unread) = (Vec::new(), 0, 0, false);
    for event in sse::events(&batch) {
        let start = end;
        end += event.len();
        let text = std::str::from_utf8(event);
        let reviewed = text.map(sse::data).map(|data| match data.as_str() {
            "" => Reviewed::Same,
            data => on_one_line(by(data), data),
        });
        let reviewed = reviewed.unwrap_or(Reviewed::Unreadable);
        if reviewed == Reviewed::Same {
            continue;
        }
        shown.extend_from_slice(&batch[copied..start]);
        copied = end;
        match reviewed {
            Reviewed::By(data) => sse::with_data(text.unwrap_or_default(), &data, &mut shown),
            _ => unread |= reviewed == Reviewed::Unreadable,
        }
    }
    if copied == 0 {
        return (batch, false);
    }
    shown.extend_from_slice(&batch[copied..]);
    (shown, unread)
}

/// The message in one line, since some readers take each line of data by itself. Between the parts of a JSON text a blank is as good
/// as a line break, and within them there is none.
fn on_one_line(reviewed: Reviewed, data: &str) -> Reviewed {
    match reviewed {
        Reviewed::Same if data.contains('\n') && data.contains('{') => {
            Reviewed::By(data.replace('\n', " "))
        }
        Reviewed::By(shown) => Reviewed::By(shown.replace('\n', " ")),
        reviewed => reviewed,
    }
}

/// An event that tells whoever asked why there is no answer; empty if nobody did.
fn event(asked: Option<&Id>, code: i64, problem: &str) -> Vec<u8> {
    let told = |asked| format!("data: {}\n\n", answer::error_body(Some(asked), code, problem));
    asked.map(told).unwrap_or_default().into_bytes()
}
