//! Flow: an answer on its way to the client, for as long as its token holds.
//!
//! A client that does not read holds back the server (backpressure): no more than a few chunks wait for it.

use std::io;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::coop::consume_budget;
use tokio::time::{Duration, Instant, sleep_until};
use tracing::{Instrument, Span};

use crate::answer::{self, ClosingMessage, CutBy, INTERNAL_ERROR, UNDECIDED};
use crate::body::UNDELIVERED;
use crate::budget::{EXCHANGE_BYTES, Share};
use crate::cut::Cut;
use crate::filtering::Rewrite;
use crate::forwarding::Forwarding;
use crate::metrics::{Metrics, OpenStream};
use crate::outward::UNREADABLE;
use crate::review::Reviewed;
use crate::serve::Drain;
use crate::sse::{self, Splitter};
use crate::watch::{Watch, ended};
use hardtack::guard::Denial;
use hardtack::mcp::Id;

/// Up to how many bytes an answer of known length is handed over without a task of its own: one chunk or two.
const SHORT_BYTES: u64 = 64 * 1024;

/// How often a stream of events on which nothing comes has a comment, so that nothing on the way takes it for dead: proxies and
/// clients wait for 30 seconds at the least, and servers over HTTP say something as often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A comment, which no reader takes for an event.
const COMMENT: &[u8] = b":\n\n";

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
    /// What is done if it is cut.
    cut: Option<Cut>,
    drain: Drain,
    /// What whoever waits for the answer is told if it is cut; after a blank line, since half an event may stand
    /// before it.
    closing_message: Option<ClosingMessage>,
    /// Whether it waits for what may never come.
    waits: bool,
    metrics: Metrics,
    ended: bool,
    /// When the client was told something last, and how that ended: a comment stands between events, and not within one.
    told: Instant,
    tail: Tail,
    _open: OpenStream,
}

/// The last bytes that were told.
#[derive(Debug, Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn take(&mut self, told: &[u8]) {
        self.0.extend_from_slice(&told[told.len().saturating_sub(4)..]);
        self.0.drain(..self.0.len().saturating_sub(4));
    }

    fn is_between_events(&self) -> bool {
        let ends = |end: &[u8]| self.0.ends_with(end);
        self.0.is_empty() || ends(b"\n\n") || ends(b"\r\n\r\n")
    }
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
        let Forwarding { rewrite, watch, cut, waits, closing_message, .. } = passage;
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
            cut,
            drain,
            closing_message,
            waits,
            _open: metrics.open_stream(),
            metrics,
            ended: false,
            told: Instant::now(),
            tail: Tail::default(),
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
        let (cut, is_event_stream) = (Arc::new(OnceLock::new()), self.is_event_stream);
        let closing_message = self.closing_message.clone();
        let pump = self.pump(sender, Arc::clone(&cut));
        // What is logged of it is of this request, and of this server.
        tokio::spawn(pump.instrument(Span::current()));
        let state = (receiver, cut, closing_message);
        Body::from_stream(stream::unfold(
            state,
            move |(mut receiver, cut, mut closing_message)| async move {
                let item = receiver.recv().await;
                let item = match cut.get() {
                    // What was not read before the cut is not read after it.
                    Some(cut) if is_event_stream => {
                        let closing_message: Option<ClosingMessage> = closing_message.take();
                        closing_message.map(|message| Ok(message.to_event(*cut)))
                    }
                    Some(_) => Some(Err(io::Error::other("cut"))),
                    None => item,
                };
                item.map(|item| (item, (receiver, cut, closing_message)))
            },
        ))
    }

    async fn pump(mut self, sender: mpsc::Sender<io::Result<Bytes>>, cut: Arc<OnceLock<CutBy>>) {
        loop {
            let item = tokio::select! {
                biased;
                () = sender.closed() => return,
                item = self.next() => item,
            };
            let Some(item) = item else { return };
            tokio::select! {
                biased;
                () = self.drain.ends(self.waits) => {
                    let _ = cut.set(CutBy::Shutdown);
                    return;
                }
                denial = ended(&mut self.watch) => {
                    let _ = cut.set(self.note_cut(denial));
                    return;
                }
                sent = sender.send(item) => {
                    if sent.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn note_cut(&mut self, denial: Denial) -> CutBy {
        let cause = denial.cause();
        self.metrics.cut();
        tracing::info!(%cause, "a stream is cut, since its token no longer holds");
        if let Some(cut) = self.cut.take() {
            cut.make(denial);
        }
        CutBy::Cause(cause)
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let told = self.step().await;
        if let Some(Ok(told)) = &told {
            self.told = Instant::now();
            self.tail.take(told);
        }
        told
    }

    async fn step(&mut self) -> Option<io::Result<Bytes>> {
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
                () = self.drain.ends(self.waits) => return self.cut(CutBy::Shutdown),
                denial = ended(&mut self.watch) => {
                    let cut = self.note_cut(denial);
                    return self.cut(cut);
                }
                chunk = self.chunks.next() => chunk,
                () = sleep_until(self.told + KEEP_ALIVE), if self.is_kept_alive() => {
                    return Some(Ok(Bytes::from_static(COMMENT)));
                }
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

    fn is_kept_alive(&self) -> bool {
        self.is_event_stream && self.tail.is_between_events()
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
            Ended::Token => {
                let denial = self.watch.as_ref().map(Watch::why);
                let cut = denial.map_or(CutBy::Shutdown, |denial| self.note_cut(denial));
                self.cut(cut)
            }
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
    fn cut(&mut self, cut: CutBy) -> Option<io::Result<Bytes>> {
        self.ended = true;
        self.events = None;
        self.chunks = Box::pin(stream::empty());
        match self.is_event_stream {
            true => {
                let closing_message = self.closing_message.take();
                closing_message.map(|closing_message| Ok(closing_message.to_event(cut)))
            }
            false => Some(Err(io::Error::other("cut"))),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream from an upstream, as the client is told it.
    fn flow(
        chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        rewrite: Option<Rewrite>,
    ) -> Body {
        let response = http::Response::new(reqwest::Body::wrap_stream(chunks));
        let metrics = Metrics::of(None);
        let share = crate::budget::Budget::default();
        let share = share.exchange(crate::budget::Payer::from_bytes([0; 32])).unwrap();
        let passage = Forwarding { rewrite, ..Forwarding::default() };
        Flow::new(response.into(), true, passage, (None, share), Drain::default(), metrics).body()
    }

    /// What is told until `until`, and then nothing more.
    async fn told(body: Body, until: Duration) -> String {
        let mut chunks = body.into_data_stream();
        let (mut told, end) = (Vec::new(), Instant::now() + until);
        while let Ok(Some(Ok(chunk))) = tokio::time::timeout_at(end, chunks.next()).await {
            told.extend_from_slice(&chunk);
        }
        String::from_utf8(told).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_on_which_nothing_comes_has_a_comment_now_and_then_and_never_within_an_event()
    {
        let silent = || stream::pending::<io::Result<Bytes>>();
        let minute = Duration::from_secs(62);
        assert_eq!(told(flow(silent(), None), minute).await, ":\n\n".repeat(4));
        let first = |text: &'static str| {
            stream::iter([Ok(Bytes::from_static(text.as_bytes()))]).chain(silent())
        };
        let whole = told(flow(first("data: 1\n\n"), None), minute).await;
        assert_eq!(whole, format!("data: 1\n\n{}", ":\n\n".repeat(4)));
        for half in ["data: 1\n", "data: 1", "\n", "data: 1\r\n", "data: 1\r\n\r"] {
            assert_eq!(told(flow(first(half), None), minute).await, half);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_hears_something_needs_no_comment() {
        let ticks = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            Some((Ok(Bytes::from_static(b"data: 1\n\n")), ()))
        });
        let told = told(flow(ticks, None), Duration::from_secs(65)).await;
        assert_eq!(told, "data: 1\n\n".repeat(6));
    }
}
