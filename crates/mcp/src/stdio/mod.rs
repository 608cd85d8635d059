//! Stdio: MCP over standard input and output, for clients that start a command: one message a line, in both directions.
//!
//! Behind it is the service of a [`Holder`](crate::Holder), which is asked as over HTTP: what it signs, and what it keeps from the
//! client, is the same. Here messages get their headers ([`session`]), and answers become lines ([`messages`]).

mod exchange;
mod lines;
mod listening;
mod messages;
mod session;
mod skim;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::Request;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use crate::answer::{self, INVALID_REQUEST, UNDECIDED};
use crate::body::{MAX_MESSAGE_BYTES, OVERLOADED};
use crate::budget::{Budget, Payer, Share};
use crate::serve::Drain;
use crate::stdio::exchange::Asked;
use crate::stdio::lines::{Line, Lines};
use crate::stdio::messages::line_of;
use crate::stdio::session::{Heading, INITIALIZE, Session};
use crate::stdio::skim::{Sender, sender_of};
use hardtack::call::ArgumentProblem;
use hardtack::mcp::{Era, Id, Message, MessageError};

/// JSON-RPC 2.0, section 5.1: what is no JSON.
const PARSE_ERROR: i64 = -32700;

/// The most requests under way at once. Each is a connection to the gateway; clients have some, and an agent that starts hundreds of
/// calls at once is told to wait.
const MAX_UNDER_WAY: usize = 128;

/// What is said to a request with the id of another one that has no answer yet.
const SAME_ID: &str =
    "not sent: another request with this id has no answer yet; give each request an id of its own";

/// How long a message is held back for what must arrive before it: `initialize`, or a notification.
const TURN: Duration = Duration::from_secs(30);

/// How long what has to end may still say so, and a session may take to be closed.
const LAST_GRACE: Duration = Duration::from_secs(2);

/// The most bytes of a message that are shown in a log or an error.
const MAX_SHOWN_CHARACTERS: usize = 300;

/// Everything is the one client's.
const CLIENT: Payer = Payer::from_bytes([0; 32]);

/// The two ends of a client: what it writes, as it comes, and the lines that it is to read, each with its end.
///
/// The channels are the bounds of what waits: give both few places. The client has gone when the receiver of `output` is dropped.
#[derive(Debug)]
pub struct StdioClient {
    /// What the client writes, in any chunks; it has ended when the sender is dropped.
    pub input: mpsc::Receiver<io::Result<Bytes>>,
    /// The lines for the client.
    pub output: mpsc::Sender<Bytes>,
}

/// Serves `router`, the service of a [`Holder`](crate::Holder), to one client that speaks MCP by lines, until the client closes its end
/// or `stop` comes. Requests under way then go on for `grace`, and what is left is told that it ends, by `drain`. At the end the
/// session is closed.
///
/// At most 128 requests are under way at once, and 64 MiB are held for them; a line may have 4 MiB. Beyond that a request is answered
/// with an error, and the next one is read.
pub async fn serve_stdio(
    client: StdioClient,
    router: Router,
    stop: impl Future<Output = ()>,
    grace: Duration,
    drain: Drain,
) {
    let StdioClient { input, output } = client;
    let front = Arc::new(Front {
        router,
        output,
        budget: Budget::default(),
        session: Session::default(),
        renewing: tokio::sync::Mutex::default(),
        is_listening: AtomicBool::default(),
        places: Arc::new(Semaphore::new(MAX_UNDER_WAY)),
        under_way: Mutex::default(),
        tasks: TaskTracker::new(),
        closing: CancellationToken::new(),
        over: CancellationToken::new(),
    });
    let _ends_all = front.closing.clone().drop_guard();
    let mut stop = std::pin::pin!(stop);
    let taken = front.take_all(Lines::of(input));
    tokio::select! {
        () = &mut stop => {}
        () = front.output.closed() => {}
        () = taken => {}
    }
    let grace = if front.output.is_closed() { Duration::ZERO } else { grace };
    front.end(grace, &drain).await;
}

/// What stands between the lines of a client and a service.
struct Front {
    router: Router,
    output: mpsc::Sender<Bytes>,
    budget: Budget,
    session: Session,
    /// One at a time opens a session in the place of another.
    renewing: tokio::sync::Mutex<()>,
    /// Whether what the server sends unasked is listened for.
    is_listening: AtomicBool,
    /// For requests until all of their answers has been read.
    places: Arc<Semaphore>,
    /// The requests of the client that have no answer yet, by their ids as JSON.
    under_way: Mutex<HashMap<String, UnderWay>>,
    tasks: TaskTracker,
    /// Ends what waits for what may never come.
    closing: CancellationToken,
    /// Whatever is under way must end.
    over: CancellationToken,
}

#[derive(Clone)]
struct UnderWay {
    cancelled: CancellationToken,
    era: Era,
    /// Whether it waits for what may never come.
    waits: bool,
}

/// A message that must have arrived before the next one is sent.
type Turn = tokio::task::JoinHandle<()>;

#[derive(Deserialize)]
struct Cancelled {
    params: CancelledParams,
}

#[derive(Deserialize)]
struct CancelledParams {
    #[serde(rename = "requestId")]
    request_id: Value,
}

impl Front {
    async fn take_all(self: &Arc<Self>, mut lines: Lines) {
        let mut turn: Option<Turn> = None;
        while let Some(line) = lines.next().await {
            if let Some(turn) = turn.take() {
                let _ = tokio::time::timeout(TURN, turn).await;
            }
            turn = self.take(line).await;
        }
    }

    async fn take(self: &Arc<Self>, line: Line) -> Option<Turn> {
        let line = match line {
            Line::Whole(line) => Bytes::from(line),
            Line::TooLong(sender) => {
                let problem = format!("the message has more than {MAX_MESSAGE_BYTES} bytes");
                self.refuse(&sender, INVALID_REQUEST, &problem).await;
                return None;
            }
        };
        // The server says which integers it takes.
        let message = match Message::read_with_large_integers(&line, None) {
            Ok(message) => message,
            Err(error) => {
                self.refuse_unread(&line, &error).await;
                return None;
            }
        };
        let heading = Heading::of(&message);
        match (message.id(), message.method()) {
            (Some(id), Some(method)) => {
                let asked = Asked::of(id.clone(), method);
                self.request(asked, heading, line).await
            }
            (None, Some(method)) => self.notification(method, heading, line),
            _ => {
                self.response(heading, line);
                None
            }
        }
    }

    async fn request(
        self: &Arc<Self>,
        asked: Asked,
        heading: Heading,
        line: Bytes,
    ) -> Option<Turn> {
        let share = self.budget.exchange(CLIENT);
        let key = asked.id.to_json().to_string();
        if self.lock().contains_key(&key) {
            // Nobody could say which of the two an answer or a cancellation is for.
            self.answer(&asked.refused(INVALID_REQUEST, SAME_ID)).await;
            return None;
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let share = share.filter(|_| place.is_some());
        let Some(mut share) = share.and_then(|mut share| share.cover(line.len()).then_some(share))
        else {
            self.answer(&asked.refused(UNDECIDED, OVERLOADED)).await;
            return None;
        };
        let opens_session = asked.method == INITIALIZE;
        let (_, sent) = self.session.post(&heading, &line);
        let cancelled = CancellationToken::new();
        let waits = asked.method == "subscriptions/listen";
        let under_way = UnderWay { cancelled: cancelled.clone(), era: sent.era, waits };
        self.lock().insert(key, under_way);
        let front = Arc::clone(self);
        let task = self.tasks.spawn(async move {
            tokio::select! {
                biased;
                // Whoever cancels waits for no answer.
                () = cancelled.cancelled() => {}
                () = front.ask(&asked, &heading, line, &mut share) => {}
            }
            front.is_answered(&asked);
            drop(place);
        });
        opens_session.then_some(task)
    }

    fn notification(self: &Arc<Self>, method: &str, heading: Heading, line: Bytes) -> Option<Turn> {
        let cancelled = (method == "notifications/cancelled").then(|| self.to_cancel(&line));
        let cancelled = cancelled.flatten();
        if let Some(UnderWay { era: Era::Modern, cancelled, .. }) = &cancelled {
            // Over HTTP, closing the stream of the answer is what says so (2026-07-28, transports).
            cancelled.cancel();
            return None;
        }
        let is_ready = method == "notifications/initialized";
        let front = Arc::clone(self);
        Some(self.tasks.spawn(async move {
            front.tell(&heading, &line).await;
            if let Some(under_way) = cancelled {
                under_way.cancelled.cancel();
            }
            if is_ready {
                front.session.ready(line);
                front.listen();
            }
        }))
    }

    /// From now on its id can be another request's.
    fn is_answered(&self, asked: &Asked) {
        if !asked.is_answered.swap(true, Ordering::Relaxed) {
            self.lock().remove(&asked.id.to_json().to_string());
        }
    }

    fn to_cancel(&self, line: &[u8]) -> Option<UnderWay> {
        let cancelled: Cancelled = serde_json::from_slice(line).ok()?;
        self.lock().get(&cancelled.params.request_id.to_string()).cloned()
    }

    /// The client's answer to a request of the server's.
    fn response(self: &Arc<Self>, heading: Heading, line: Bytes) {
        // Without it a call that waits for it would not end, so there is room for them besides requests.
        if self.tasks.len() >= 2 * MAX_UNDER_WAY {
            tracing::warn!("an answer of the client's is lost, since too much is under way");
            return;
        }
        let front = Arc::clone(self);
        self.tasks.spawn(async move { front.tell(&heading, &line).await });
    }

    /// Asks the service.
    async fn call(&self, request: Request<Body>) -> Response {
        let mut router = self.router.clone();
        match router.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn refuse_unread(&self, line: &[u8], error: &MessageError) {
        if matches!(error, MessageError::Batch)
            && let Ok(batch) = serde_json::from_slice::<Vec<&RawValue>>(line)
            && !batch.is_empty()
        {
            for message in batch {
                let sender = sender_of(message.get().as_bytes());
                self.refuse(&sender, INVALID_REQUEST, &error.to_string()).await;
            }
            return;
        }
        let code = match error {
            MessageError::Json(ArgumentProblem::NotJson) => PARSE_ERROR,
            _ => INVALID_REQUEST,
        };
        self.refuse(&sender_of(line), code, &error.to_string()).await;
    }

    /// Tells whoever sent what cannot be read why nothing comes of it.
    async fn refuse(&self, sender: &Sender, code: i64, problem: &str) {
        if sender.is_answer {
            tracing::warn!(
                problem,
                "an answer of the client's cannot be read, and is not passed on"
            );
            return;
        }
        let problem = format!("not sent: {problem}.");
        let told = match (&sender.id, sender.is_tool_call) {
            (Some(id), true) => answer::tool_error(id, &problem, &Value::Null),
            (id, _) => answer::error_body(id.as_ref(), code, &problem),
        };
        self.answer(&told).await;
    }

    /// Tells the client something small of our own.
    async fn answer(&self, told: &Value) {
        // Whoever has gone hears nothing.
        let _ = self.output.send(line_of(&told.to_string()).into()).await;
    }

    /// Hands a message to the client; it is paid for until it has been taken.
    async fn say(&self, text: String, share: &mut Share) {
        let _ = self.output.send(share.hold(line_of(&text))).await;
    }

    async fn end(self: &Arc<Self>, grace: Duration, drain: &Drain) {
        self.closing.cancel();
        let waiting = |under_way: &&UnderWay| under_way.waits;
        self.lock().values().filter(waiting).for_each(|waiting| waiting.cancelled.cancel());
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            self.over.cancel();
            drain.end();
            if tokio::time::timeout(LAST_GRACE, self.tasks.wait()).await.is_err() {
                self.lock().values().for_each(|under_way| under_way.cancelled.cancel());
            }
        }
        if let Some(leave) = self.session.leave() {
            // Servers that keep sessions forget this one by themselves, too.
            let _ = tokio::time::timeout(LAST_GRACE, self.call(leave)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, UnderWay>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What may be shown of a text that somebody else wrote.
fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(MAX_SHOWN_CHARACTERS).collect();
    hardtack::names::escaped(&beginning)
}

/// A JSON-RPC error, or for a tool call a result that is an error, which all runtimes show to the model.
fn failure(id: &Id, is_tool_call: bool, code: i64, problem: &str) -> Value {
    match is_tool_call {
        true => answer::tool_error(id, problem, &json!({})),
        false => answer::error_body(Some(id), code, problem),
    }
}
