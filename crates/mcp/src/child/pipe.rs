//! Pipe: which of a server's messages is for whom, where many requests share one pipe?
//!
//! Ids, tokens of progress and subscriptions are numbers of the pipe's own on the server's side, and the clients' on theirs. What
//! belongs to no request that waits is dropped.

mod waiting;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::answer::INTERNAL_ERROR;
use crate::child::mailbox::{Closed, Mailbox, Said};
use crate::child::spans::{self, Spans, canonical, is_same};
use crate::sse::MAX_EVENT_BYTES;
use crate::watch::Ended;
use hardtack::mcp::Era;

pub(crate) use waiting::{General, Waiting};

/// The most requests of one process that wait for an answer. The clients of one session have some ten under way.
const MAX_PENDING: usize = 256;

/// The most requests of a server's that wait for its client's answer, and the most messages that wait for a stream on which
/// they can be told.
const MAX_ASKED: usize = 256;
const MAX_WAITING: usize = 64;

/// The longest id of a server's request, and the longest token of progress, as they are written. Both are kept where nobody pays for them,
/// and the token stands in all that is told under it: so they are as short as clients' ids. Real ones are counters.
pub(crate) const MAX_TEXT_BYTES: usize = 256;

/// The most tasks whose progress is told after the answer.
const MAX_TASKS: usize = 128;

/// How many bytes of messages wait for a process to read them, and how many that it wrote wait for clients: two of the
/// largest.
const MAX_INPUT_BYTES: usize = 2 * crate::body::MOST_MESSAGE_BYTES;
const MAX_OUTPUT_BYTES: usize = 2 * MAX_EVENT_BYTES;

/// What a message costs at the least while it waits.
const LEAST_BYTES: usize = 1024;

/// How many messages wait for a process at the most.
const MAX_INPUT_MESSAGES: usize = MAX_INPUT_BYTES / LEAST_BYTES;

/// How long a process waits until its clients have taken what it wrote. Then those who did not are let go.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(10);

/// How long a server may still answer what was cancelled.
const CANCELLED_GRACE: Duration = Duration::from_secs(5);

/// What is to be written to a process, and what of its bound it takes.
pub(crate) type Input = (String, OwnedSemaphorePermit);

/// Why a message is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The process has ended.
    Ended,
    /// Too much waits for it.
    Full,
}

/// One process, as clients see it.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) name: Arc<str>,
    era: Era,
    input: mpsc::Sender<Input>,
    input_bytes: Arc<Semaphore>,
    output_bytes: Arc<Semaphore>,
    kept: Mutex<Kept>,
    /// Says that the process is to end, or has ended.
    pub(crate) end: CancellationToken,
    /// Whether it did what no server may do.
    broke_off: AtomicBool,
}

#[derive(Debug)]
struct Kept {
    last_number: u64,
    pending: BTreeMap<u64, Pending>,
    /// The stream for what belongs to no request.
    general: Option<Mailbox>,
    waiting: VecDeque<Said>,
    /// The ids of the server's own requests that wait for an answer, each in one form.
    asked: HashSet<String>,
    /// Tasks that go on: their numbers, and their clients' tokens.
    tasks: VecDeque<(u64, String)>,
    used: Instant,
    has_ended: bool,
}

#[derive(Debug)]
struct Pending {
    /// The client's id, and its token of progress, as they were written.
    id: String,
    token: Option<String>,
    /// Whether it may be told more than its answer.
    takes_events: bool,
    is_listening: bool,
    is_task: bool,
    mailbox: Mailbox,
}

impl Pipe {
    pub(crate) fn new(name: Arc<str>, era: Era) -> (Arc<Pipe>, mpsc::Receiver<Input>) {
        let (input, received) = mpsc::channel(MAX_INPUT_MESSAGES);
        let kept = Kept {
            last_number: 0,
            pending: BTreeMap::new(),
            general: None,
            waiting: VecDeque::new(),
            asked: HashSet::new(),
            tasks: VecDeque::new(),
            used: Instant::now(),
            has_ended: false,
        };
        let pipe = Pipe {
            name,
            era,
            input,
            input_bytes: Arc::new(Semaphore::new(MAX_INPUT_BYTES)),
            output_bytes: Arc::new(Semaphore::new(MAX_OUTPUT_BYTES)),
            kept: Mutex::new(kept),
            end: CancellationToken::new(),
            broke_off: AtomicBool::new(false),
        };
        (Arc::new(pipe), received)
    }

    /// Sends a request under a number of its own.
    pub(crate) fn ask(
        self: &Arc<Pipe>,
        spans: &Spans<'_>,
        takes_events: bool,
    ) -> Result<Waiting, Unsent> {
        let id = spans.id.unwrap_or("null").to_owned();
        let mailbox = Mailbox::default();
        let number = {
            let mut kept = self.kept();
            if kept.has_ended || self.end.is_cancelled() {
                return Err(Unsent::Ended);
            }
            if kept.pending.len() >= MAX_PENDING {
                return Err(Unsent::Full);
            }
            kept.used = Instant::now();
            kept.last_number += 1;
            let pending = Pending {
                id: id.clone(),
                token: spans.asks_progress.map(str::to_owned),
                takes_events,
                is_listening: spans.method.as_deref() == Some("subscriptions/listen"),
                is_task: spans.is_task,
                mailbox: mailbox.clone(),
            };
            let number = kept.last_number;
            kept.pending.insert(number, pending);
            number
        };
        let pipe = Arc::clone(self);
        let waiting = Waiting { pipe, number, id, mailbox, ended: Ended::default(), opens: None };
        let own = number.to_string();
        let written = spans.with(&[(spans.id, &own), (spans.asks_progress, &own)]);
        match self.write(written) {
            Ok(()) => Ok(waiting),
            Err(unsent) => {
                // The server has not heard of it.
                self.kept().pending.remove(&number);
                Err(unsent)
            }
        }
    }

    /// Sends a notification or an answer of the client's, if it concerns this server.
    pub(crate) fn tell(self: &Arc<Pipe>, spans: &Spans<'_>) -> Result<(), Unsent> {
        self.kept().used = Instant::now();
        if let Some(cancelled) = spans.cancels {
            // What is no id cancels nothing.
            let Some(cancelled) = canonical(cancelled) else { return Ok(()) };
            let number = {
                let kept = self.kept();
                let mut same =
                    kept.pending.iter().filter(|(_, pending)| is_same(&pending.id, &cancelled));
                match (same.next(), same.next()) {
                    (Some((number, _)), None) => *number,
                    // Of two with one id, nobody knows which is meant.
                    _ => return Ok(()),
                }
            };
            self.write(spans.with(&[(spans.cancels, &number.to_string())]))?;
            let pipe = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(CANCELLED_GRACE).await;
                pipe.close(number, Closed::Cancelled);
            });
            return Ok(());
        }
        let Some(id) = spans.id.filter(|_| spans.is_answer) else {
            return self.write(spans.with(&[]));
        };
        if !self.kept().answers(id) {
            tracing::debug!(server = %self.name, "an answer to nothing that was asked is dropped");
            return Ok(());
        }
        self.write(spans.with(&[])).inspect_err(|_| {
            // The client is told to send it again, and is awaited still.
            self.kept().asked.extend(canonical(id));
        })
    }

    /// A stream for what belongs to no request; `None` if there is one.
    pub(crate) fn listen(self: &Arc<Pipe>) -> Option<General> {
        let mut kept = self.kept();
        if kept.general.is_some() {
            return None;
        }
        let mailbox = Mailbox::default();
        kept.waiting.drain(..).for_each(|said| mailbox.post(said));
        if kept.has_ended {
            mailbox.close(Closed::Ended);
        }
        kept.used = Instant::now();
        kept.general = Some(mailbox.clone());
        Some(General { pipe: Arc::clone(self), mailbox, ended: Ended::default() })
    }

    /// For how long nobody has used it at this moment; `None` while somebody does.
    pub(crate) fn idle_at(&self, now: Instant) -> Option<Duration> {
        let kept = self.kept();
        let is_idle = kept.pending.is_empty() && kept.general.is_none();
        is_idle.then(|| now.saturating_duration_since(kept.used))
    }

    /// Ends the process if nobody uses it; says whether it did.
    pub(crate) fn end_if_unused(&self) -> bool {
        let kept = self.kept();
        let is_unused = kept.pending.is_empty() && kept.general.is_none();
        let ends = is_unused && !self.end.is_cancelled();
        if ends {
            self.end.cancel();
        }
        ends
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.kept().has_ended || self.end.is_cancelled()
    }

    /// Ends a process with which nobody can speak any more.
    pub(crate) fn break_off(&self) {
        if !self.end.is_cancelled() {
            self.broke_off.store(true, Ordering::Release);
        }
        self.end.cancel();
    }

    /// Whether it was ended for another reason than that it broke off.
    pub(crate) fn was_asked_to_end(&self) -> bool {
        !self.broke_off.load(Ordering::Acquire)
    }

    /// Nothing more comes of the process: whoever waits is told so.
    pub(crate) fn ended(&self) {
        self.end.cancel();
        let mut kept = self.kept();
        kept.has_ended = true;
        kept.waiting.clear();
        for pending in std::mem::take(&mut kept.pending).into_values() {
            pending.mailbox.close(Closed::Ended);
        }
        if let Some(general) = &kept.general {
            general.close(Closed::Ended);
        }
    }

    /// Hands on what the process wrote. Comes back when there is room for more.
    /// `false` if it is no message.
    pub(crate) async fn said(&self, line: &str) -> bool {
        self.said_within(line, DELIVERY_PATIENCE).await
    }

    async fn said_within(&self, line: &str, patience: Duration) -> bool {
        let Some(spans) = Spans::read(line) else {
            // Whoever waits for it need not wait until the time is up.
            if let Some(number) = spans::answered(line) {
                self.close(number, Closed::Unreadable);
            }
            return false;
        };
        let bytes = u32::try_from(line.len().max(LEAST_BYTES)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.output_bytes).acquire_many_owned(bytes);
        let held = match tokio::time::timeout(patience, room).await {
            Ok(Ok(held)) => held,
            _ => {
                self.let_go();
                let room = Arc::clone(&self.output_bytes).try_acquire_many_owned(bytes);
                let Ok(held) = room else {
                    self.undeliverable(&spans);
                    return true;
                };
                held
            }
        };
        self.route(&spans, held);
        true
    }

    /// Ends all streams on which something waits: their clients do not take it.
    fn let_go(&self) {
        let mut kept = self.kept();
        let before = kept.pending.len();
        kept.pending.retain(|_, Pending { mailbox, .. }| {
            let is_slow = mailbox.has_waiting();
            if is_slow {
                mailbox.close(Closed::Undelivered);
            }
            !is_slow
        });
        let requests = before - kept.pending.len();
        tracing::warn!(server = %self.name, requests, "streams are ended whose clients do not read");
        if let Some(general) = kept.general.take_if(|general| general.has_waiting()) {
            general.close(Closed::Undelivered);
        }
        for said in std::mem::take(&mut kept.waiting) {
            // What is not told is not answered.
            if let Some(id) = Spans::read(&said.text).and_then(|spans| spans.id) {
                kept.answers(id);
            }
        }
    }

    fn undeliverable(&self, spans: &Spans<'_>) {
        let number = spans.id.filter(|_| spans.is_answer).and_then(|id| id.parse().ok());
        if let Some(number) = number {
            self.close(number, Closed::Undelivered);
        }
    }

    /// A line was too long to be read. Nobody knows to whom it belonged, so whoever waits for an answer is told that none comes.
    pub(crate) fn too_long(&self) {
        self.kept().pending.retain(|_, Pending { is_listening, mailbox, .. }| {
            if !*is_listening {
                mailbox.close(Closed::Undelivered);
            }
            *is_listening
        });
    }

    fn close(&self, number: u64, why: Closed) {
        if let Some(pending) = self.kept().pending.remove(&number) {
            pending.mailbox.close(why);
        }
    }

    fn route(&self, spans: &Spans<'_>, held: OwnedSemaphorePermit) {
        if spans.is_answer {
            return self.answer(spans, held);
        }
        let said = |text| Said { text, is_answer: false, error_code: None, _held: held };
        if let Some(token) = spans.tells_progress {
            let mut kept = self.kept();
            let number = token.parse::<u64>().ok();
            let pending = number.and_then(|number| kept.pending.get(&number));
            if let Some(Pending { token: Some(own), mailbox, takes_events: true, .. }) = pending {
                return mailbox.post(said(spans.with(&[(spans.tells_progress, own)])));
            }
            let task = kept.tasks.iter().find(|(task, _)| Some(*task) == number);
            if let Some((_, own)) = task {
                let told = said(spans.with(&[(spans.tells_progress, own)]));
                return kept.tell_anybody(told, None);
            }
            return;
        }
        if let Some(subscription) = spans.subscription.or(self.ends_listening(spans)) {
            let kept = self.kept();
            let number = subscription.parse::<u64>().ok();
            let pending = number.and_then(|number| kept.pending.get(&number));
            let Some(pending) = pending else { return };
            let own = &*pending.id;
            let parts = [(spans.subscription, own), (spans.cancels, own)];
            return pending.mailbox.post(said(spans.with(&parts)));
        }
        match (spans.id, self.era) {
            // Since 2026-07-28 a server asks nothing by itself.
            (Some(id), Era::Modern) => self.refuse(id, "this client is asked nothing"),
            (Some(id), Era::Legacy) if id.len() > MAX_TEXT_BYTES => {
                self.refuse(id, "the id has more than 256 bytes; send a shorter one");
            }
            (Some(id), Era::Legacy) => {
                let mut kept = self.kept();
                let has_room = kept.asked.len() < MAX_ASKED && kept.waiting.len() < MAX_WAITING;
                if !has_room {
                    drop(kept);
                    return self.refuse(id, "too many requests wait for the client's answer");
                }
                kept.asked.extend(canonical(id));
                kept.tell_anybody(said(spans.with(&[])), Some(&self.name));
            }
            (None, _) => {
                let mut kept = self.kept();
                // Clients do not answer what a server has cancelled.
                if let Some(cancelled) = spans.cancels {
                    kept.answers(cancelled);
                }
                kept.tell_anybody(said(spans.with(&[])), None);
            }
        }
    }

    /// What a server since 2026-07-28 cancels is a request to listen.
    fn ends_listening<'a>(&self, spans: &Spans<'a>) -> Option<&'a str> {
        spans.cancels.filter(|_| self.era == Era::Modern)
    }

    fn answer(&self, spans: &Spans<'_>, held: OwnedSemaphorePermit) {
        let number = spans.id.and_then(|id| id.parse::<u64>().ok());
        let mut kept = self.kept();
        let Some(pending) = number.and_then(|number| kept.pending.remove(&number)) else {
            return tracing::debug!(server = %self.name, "an answer that nobody waits for is dropped");
        };
        kept.used = Instant::now();
        if let (true, Some(number), Some(token)) = (pending.is_task, number, &pending.token) {
            if kept.tasks.len() == MAX_TASKS {
                kept.tasks.pop_front();
            }
            kept.tasks.push_back((number, token.clone()));
        }
        drop(kept);
        let parts = [(spans.id, &*pending.id), (spans.subscription, &*pending.id)];
        let text = spans.with(&parts);
        let error_code = spans.error_code;
        pending.mailbox.post(Said { text, is_answer: true, error_code, _held: held });
    }

    /// Answers a request of the server's that is not handed on.
    fn refuse(&self, id: &str, why: &str) {
        let error = json!({"code": INTERNAL_ERROR, "message": why});
        // Where it cannot be written, the server does not read.
        let _ = self.write(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#));
    }

    /// Tells the server that a request is not waited for any more.
    pub(crate) fn cancel(&self, number: u64, reason: &str) {
        let cancelled = json!({
            "jsonrpc": "2.0",
            "method": "notifications/cancelled",
            "params": {"requestId": number, "reason": reason},
        });
        let _ = self.write(cancelled.to_string());
    }

    fn write(&self, mut line: String) -> Result<(), Unsent> {
        line.push('\n');
        let bytes = u32::try_from(line.len().max(LEAST_BYTES)).unwrap_or(u32::MAX);
        let held = Arc::clone(&self.input_bytes).try_acquire_many_owned(bytes);
        let held = held.map_err(|_| Unsent::Full)?;
        self.input.try_send((line, held)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unsent::Full,
            mpsc::error::TrySendError::Closed(_) => Unsent::Ended,
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Kept {
    /// Whether this is the id of a request of the server's, which has its answer with that.
    fn answers(&mut self, id: &str) -> bool {
        canonical(id).is_some_and(|id| self.asked.remove(&id))
    }

    /// Tells what belongs to no request: beside the newest that takes it, as servers over HTTP do, or on the stream for it. If there
    /// is neither, it waits.
    fn tell_anybody(&mut self, said: Said, server: Option<&str>) {
        let newest = self.pending.values().rev();
        let newest =
            newest.into_iter().find(|pending| pending.takes_events && !pending.is_listening);
        match (newest, &self.general) {
            (Some(pending), _) => pending.mailbox.post(said),
            (None, Some(general)) => general.post(said),
            (None, None) if self.waiting.len() < MAX_WAITING => self.waiting.push_back(said),
            (None, None) => {
                tracing::debug!(server, "a message is dropped, since no client listens");
            }
        }
    }
}

#[cfg(test)]
mod tests;
