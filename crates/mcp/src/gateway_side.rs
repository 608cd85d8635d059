//! GatewaySide: may this bearer's message pass, and what may its answer show?
//!
//! The side of the gateway: it knows tokens, and asks the guard.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use tokio::time::Instant;

use crate::admission::AdmissionControl;
use crate::answer::{
    self, ClosingMessage, INVALID_PARAMS, INVALID_REQUEST, Refusal, RefusalStyle, TASKS_EXTENSION,
};
use crate::budget::Payer;
use crate::common::Common;
use crate::credentials::Person;
use crate::cut::{Cut, Recorded};
use crate::fair_queue::Peer;
use crate::filtering::{Filtering, Rewrite, Shows};
use crate::forwarding::Forwarding;
use crate::keeping::{Keeper, Scope};
use crate::lanes::{Lanes, Place};
use crate::metrics::Metrics;
use crate::outward::bad_gateway;
use crate::relay::Side;
use crate::session::{Owner, Sessions};
use crate::tasks::Tasks;
use crate::watch::{Begun, DEFAULT_LONGEST_ANSWER, Watch};
use hardtack::audit::Verdict;
use hardtack::call::Call;
use hardtack::cause::Cause;
use hardtack::guard::{Denial, Guard, UnrecordedRefusal};
use hardtack::mcp::{Era, Id, Message, MessageError, Method, Needs};
use hardtack::verify::VerifiedCapability;
use hardtack_http::{MAX_REFUSED_BODY_BYTES, REFUSED_BODY_TIMEOUT, Realm, Refused, bearer, now};

/// The method whose answer never ends.
const LISTEN: &str = "subscriptions/listen";

/// What records call a list that a stream repeats, if it is refused.
const STREAM: &str = "stream";

/// And of what is answered to a client's answer.
const ANSWER: &str = "answer";

/// What the gateway knows of tokens.
pub(crate) struct GatewaySide {
    metrics: Metrics,
    guard: Arc<Guard>,
    answering: Answering,
    pub(crate) kept: Kept,
    admission: AdmissionControl,
    /// See [`Common`].
    lanes: Lanes,
    readers: Lanes,
}

/// How the clients of one server are answered.
#[derive(Debug, Clone)]
pub(crate) struct Answering {
    pub(crate) realm: Realm,
    pub(crate) style: RefusalStyle,
    /// How long the answer to a call may flow.
    pub(crate) longest: Duration,
}

impl Answering {
    pub(crate) fn of(realm: Realm) -> Answering {
        let (style, longest) = (RefusalStyle::default(), DEFAULT_LONGEST_ANSWER);
        Answering { realm, style, longest }
    }
}

/// What is known of callers from one request to the next. A server that is changed keeps it; no two servers share it.
#[derive(Clone)]
pub(crate) struct Kept {
    sessions: Arc<Sessions>,
    tasks: Arc<Tasks>,
}

impl Kept {
    /// Nothing yet, and in time this many tasks.
    pub(crate) fn new(tasks: usize) -> Kept {
        Kept { sessions: Arc::new(Sessions::new()), tasks: Arc::new(Tasks::of(tasks)) }
    }

    /// What the store has of this server, or nothing, and in time this many tasks.
    pub(crate) fn of(
        tasks: usize,
        scope: Scope,
        keeper: Option<&Keeper>,
        is_program: bool,
    ) -> Kept {
        let Some(keeper) = keeper else { return Kept::new(tasks) };
        let sessions = Arc::new(keeper.sessions(scope));
        Kept { sessions, tasks: Arc::new(Tasks::behind(is_program, tasks, scope, keeper)) }
    }
}

impl GatewaySide {
    pub(crate) fn new(
        metrics: Metrics,
        guard: Arc<Guard>,
        answering: Answering,
        kept: Kept,
        common: Common,
    ) -> GatewaySide {
        let Common { admission, lanes, readers, .. } = common;
        GatewaySide { metrics, guard, answering, kept, admission, lanes, readers }
    }
}

/// Whoever sent a request: a bearer that holds.
pub(crate) struct Bearer {
    token: Arc<str>,
    verified: Arc<VerifiedCapability>,
    payer: Payer,
}

impl Side for GatewaySide {
    type Caller = Bearer;
    const HAS_SEVERAL_CLIENTS: bool = true;

    async fn admit(&self, request: &Parts, body: &mut Body) -> Result<Bearer, Response> {
        let token = bearer(request).map_err(|error| self.refused(&error.into()))?;
        let peer = Peer::of(&request.extensions);
        let mut decided = match self.admission.admit(&self.guard, token, peer).await {
            Ok(verified) => {
                let payer = Payer::of(&verified);
                let verified = Arc::new(verified);
                return Ok(Bearer { token: token.into(), verified, payer });
            }
            Err(decided) => decided,
        };
        if decided.may_tell() && request.method == http::Method::POST {
            match asked(body, token).await {
                Some(Asked::Call(call)) => decided.tell(&call),
                Some(Asked::Method(method)) => decided.tell_method(method),
                None => {}
            }
        }
        Err(self.refused(&self.unadmitted(*decided).await))
    }

    fn bearer<'a>(&self, caller: &'a Bearer) -> Option<&'a str> {
        Some(&caller.token)
    }

    fn payer(&self, caller: &Bearer) -> Payer {
        caller.payer
    }

    fn owner(&self, caller: &Bearer) -> Owner {
        Owner::of(&caller.verified)
    }

    fn person<'a>(&self, caller: &'a Bearer) -> Option<Person<'a>> {
        Some(Person { payer: caller.payer, subject: caller.verified.subject() })
    }

    async fn judge(
        &self,
        caller: &Bearer,
        message: &Message,
        era: Era,
    ) -> Result<Forwarding, Response> {
        let Some(name) = message.method() else {
            self.hold(caller).await?;
            let rewrite = Some(self.review_any(caller, ANSWER));
            return Ok(Forwarding { rewrite, ..self.passage(caller, Begun::Connection) });
        };
        let closing_message = message
            .id()
            .map(|id| ClosingMessage { id: id.clone(), is_tool_call: name == "tools/call" });
        let method = message.asks(era).map_err(|error| match error {
            MessageError::Method(_) => answer::unknown_method(era, message.id(), &error),
            _ => answer::bad_request(INVALID_REQUEST, message.id(), &error.to_string()),
        })?;
        let passage = match method.needs() {
            Needs::Token => {
                self.hold(caller).await?;
                Ok(self.passage(caller, Begun::Connection))
            }
            Needs::Listing => {
                let place = self.place_for_list(caller, message, method).await?;
                let shows = Shows::Lists { private: era == Era::Modern };
                let filtering = self.filtering(caller, method.name(), Begun::Connection, place);
                let rewrite = filtering.rewrite(message.id().cloned(), shows);
                let passage = self.passage(caller, Begun::Connection);
                Ok(Forwarding { rewrite: Some(rewrite), must_read: true, ..passage })
            }
            Needs::Calls => {
                let cut = self.decide(caller, message, method).await?;
                let shows = if may_start_a_task(message) { Shows::Tasks } else { Shows::NoLists };
                let rewrite = Some(self.review(caller, method.name(), message.id(), shows));
                Ok(Forwarding { rewrite, cut, ..self.passage(caller, Begun::Call) })
            }
            Needs::OwnTasks => {
                self.refuse_strange_task(caller, message, method, era).await?;
                let cut = self.decide(caller, message, method).await?;
                // Listening is no call that comes to an end.
                let waits = method.name() == LISTEN;
                let begun = if waits { Begun::Connection } else { Begun::Call };
                let cut = cut.filter(|_| !waits);
                Ok(Forwarding { waits, cut, ..self.passage(caller, begun) })
            }
        };
        passage.map(|passage| {
            let others = || self.review(caller, method.name(), message.id(), Shows::NoLists);
            let rewrite = Some(passage.rewrite.unwrap_or_else(others));
            Forwarding { closing_message, rewrite, ..passage }
        })
    }

    /// A stream may repeat the answer to any request of its session.
    async fn judge_without_message(&self, caller: &Bearer) -> Result<Forwarding, Response> {
        let rewrite = self.review_any(caller, STREAM);
        let passage = self.passage(caller, Begun::Connection);
        Ok(Forwarding { rewrite: Some(rewrite), waits: true, ..passage })
    }

    /// The caller's token holds; a 401 would have it look for another one.
    fn unaccepted(&self, id: Option<&Id>, _: bool) -> Response {
        bad_gateway(id, "the upstream server does not accept this gateway's own credential")
    }

    fn session_inwards(&self, caller: &Bearer, id: &str) -> Option<String> {
        self.kept.sessions.unbind(id, Owner::of(&caller.verified)).map(str::to_owned)
    }

    fn session_outwards(&self, caller: &Bearer, id: &str) -> String {
        self.kept.sessions.bind(id, Owner::of(&caller.verified))
    }
}

impl GatewaySide {
    fn refused(&self, refused: &Refused) -> Response {
        answer::unauthenticated(refused, &self.answering.realm)
    }

    fn count(&self, denial: &Denial) {
        self.metrics.decision(denial.verdict(), Some(denial.cause()));
    }

    /// Refuses a bearer that was admitted and does not hold any more: a client may take its time between its headers and its
    /// message. Where something is decided or listed, it is looked at there.
    async fn hold(&self, caller: &Bearer) -> Result<(), Response> {
        match self.guard.weigh_admission_again(&caller.verified, now()) {
            Ok(_) => Ok(()),
            Err(decided) => Err(self.refused(&self.unadmitted(*decided).await)),
        }
    }

    /// Records that a bearer is not admitted, and says what it is told.
    async fn unadmitted(&self, decided: UnrecordedRefusal) -> Refused {
        let denial = self.guard.record_refusal_async(decided).await;
        self.count(&denial);
        tracing::debug!(
            hardtack.verdict = %denial.verdict(),
            hardtack.cause = %denial.refusal().cause,
            "a bearer is not admitted"
        );
        Refused::of(&denial, "the request")
    }

    /// How whatever is allowed passes: for as long as its token holds.
    fn passage(&self, caller: &Bearer, begun: Begun) -> Forwarding {
        let verified = Arc::clone(&caller.verified);
        let watch = Watch::over(Arc::clone(&self.guard), verified, begun);
        let longest = self.answering.longest;
        let (watch, patience) = match begun {
            Begun::Call => (watch.at_most(longest), Some(longest)),
            Begun::Connection => (watch, None),
        };
        Forwarding { watch: Some(watch), patience, ..Forwarding::default() }
    }

    /// Decides every call that a message means. What is decided is what is forwarded: the message is not
    /// read again.
    async fn decide(
        &self,
        caller: &Bearer,
        message: &Message,
        method: &'static Method,
    ) -> Result<Option<Cut>, Response> {
        let mut cut = None;
        let calls = match message.calls() {
            Ok(calls) => calls,
            Err(error) => return Err(self.refuse_unjudged(caller, message, method, error).await),
        };
        for call in calls {
            let operation = call.operation().to_string();
            let decided = self.guard.check_again_async(&caller.verified, &call, now());
            let permit = match decided.await {
                Ok(permit) => permit,
                Err(denial) => return Err(self.refuse(message, method, &denial, &operation)),
            };
            self.metrics.decision(Verdict::Allow, None);
            // Of several calls the first, as with those that are refused.
            cut.get_or_insert_with(|| {
                Cut::of(Recorded {
                    guard: Arc::clone(&self.guard),
                    verified: Arc::clone(&caller.verified),
                    operation,
                    resource: call.resource_uri().map(str::to_owned),
                    sequence: permit.sequence(),
                    began: Instant::now(),
                })
            });
        }
        Ok(cut)
    }

    fn refuse(
        &self,
        message: &Message,
        method: &Method,
        denial: &Denial,
        operation: &str,
    ) -> Response {
        let cause = denial.refusal().cause;
        self.count(denial);
        tracing::info!(
            hardtack.verdict = %denial.verdict(),
            hardtack.cause = %cause,
            hardtack.operation = operation,
            "refused"
        );
        Refusal {
            denial,
            operation,
            realm: &self.answering.realm,
            style: self.answering.style,
            id: message.id(),
            is_tool_call: method.name() == "tools/call",
        }
        .response()
    }

    /// What cannot be judged is not allowed; a tool that cannot be named in a scope is a tool all the same.
    async fn refuse_unjudged(
        &self,
        caller: &Bearer,
        message: &Message,
        method: &Method,
        error: MessageError,
    ) -> Response {
        let denial = self.record(caller, method, error.clone().into()).await;
        match (&error, &denial) {
            (MessageError::Parameters, Denial::Forbidden(_)) => {
                answer::error(StatusCode::OK, message.id(), INVALID_PARAMS, &error.to_string())
            }
            _ => self.refuse(message, method, &denial, method.name()),
        }
    }

    /// Every task that a message names is the caller's own.
    async fn refuse_strange_task(
        &self,
        caller: &Bearer,
        message: &Message,
        method: &Method,
        era: Era,
    ) -> Result<(), Response> {
        let own = |id: &&str| self.kept.tasks.is_of(id, &caller.verified);
        if message.task_ids().is_ok_and(|ids| ids.iter().all(own)) {
            return Ok(());
        }
        let is_about_one = method.name() != LISTEN;
        match self.record(caller, method, Denial::strange_task()).await {
            // Whoever does not say that it knows tasks is told that, whosever the task is.
            Denial::Forbidden(_)
                if era == Era::Modern && is_about_one && !declares_tasks(message) =>
            {
                Err(answer::undeclared_tasks(message.id()))
            }
            Denial::Forbidden(refusal) => {
                Err(answer::error(StatusCode::OK, message.id(), INVALID_PARAMS, &refusal.message))
            }
            denial => Err(self.refuse(message, method, &denial, method.name())),
        }
    }

    /// Records a refusal of the gateway's own; one that cannot be recorded becomes undecided.
    async fn record(&self, caller: &Bearer, method: &Method, denial: Denial) -> Denial {
        let decided = self.guard.weigh_refusal(&caller.verified, method.name(), denial, now());
        self.guard.record_refusal_async(decided).await
    }

    /// A place for one list; refused, as undecided, if too many are under way.
    async fn place_for_list(
        &self,
        caller: &Bearer,
        message: &Message,
        method: &Method,
    ) -> Result<Place, Response> {
        if let Some(place) = self.lanes.place_for_list(caller.payer) {
            return Ok(place);
        }
        let message_to_client = "too many lists are asked for at once; try again later".to_owned();
        let denial = Denial::undecided_list(Cause::ListBusy, message_to_client);
        let denial = self.record(caller, method, denial).await;
        Err(self.refuse(message, method, &denial, method.name()))
    }

    /// How the answer to what asks for no list is looked at.
    fn review(
        &self,
        caller: &Bearer,
        what: &'static str,
        asked: Option<&Id>,
        shows: Shows,
    ) -> Rewrite {
        let Some(asked) = asked else { return self.review_any(caller, what) };
        let place = self.readers.place_for_stream(caller.payer);
        // A presentation that was bound to the call is used up by now.
        self.filtering(caller, what, Begun::Call, place).rewrite(Some(asked.clone()), shows)
    }

    /// How an answer is looked at that was not asked for by a message: it can be the answer to any.
    fn review_any(&self, caller: &Bearer, what: &'static str) -> Rewrite {
        let place = self.lanes.place_for_stream(caller.payer);
        let filtering = self.filtering(caller, what, Begun::Connection, place);
        filtering.rewrite(None, Shows::Lists { private: false })
    }

    fn filtering(
        &self,
        caller: &Bearer,
        what: &'static str,
        begun: Begun,
        place: Place,
    ) -> Filtering {
        let (guard, tasks) = (Arc::clone(&self.guard), Arc::clone(&self.kept.tasks));
        let (verified, metrics) = (Arc::clone(&caller.verified), self.metrics.clone());
        Filtering::new(guard, tasks, metrics, verified, what, begun, place)
    }
}

/// What a bearer that is refused asked for.
enum Asked {
    /// Of several calls the first, as with those that are decided.
    Call(Box<Call>),
    /// A list, or what means no call that could be judged.
    Method(&'static str),
}

/// What a message asks for, for the record of a bearer that is refused. `None` of what asks for nothing, and of what has not come
/// by now.
async fn asked(body: &mut Body, token: &str) -> Option<Asked> {
    let read = Limited::new(body, MAX_REFUSED_BODY_BYTES).collect();
    let read = tokio::time::timeout(REFUSED_BODY_TIMEOUT, read).await.ok()?.ok()?;
    let message = Message::read_with_large_integers(&read.to_bytes(), Some(token)).ok()?;
    let method = message.method().and_then(Method::find)?;
    match (method.needs(), message.params()) {
        (Needs::Listing, _) => Some(Asked::Method(method.name())),
        (Needs::Calls | Needs::OwnTasks, Some(_)) => match message.calls() {
            Ok(calls) => calls.into_iter().next().map(|call| Asked::Call(Box::new(call))),
            Err(_) => Some(Asked::Method(method.name())),
        },
        _ => None,
    }
}

/// Whether the answer may hand out a task: only then is it read. 2025-11-25 asks for one in `task`; since
/// 2026-07-28 the client says that it knows what tasks are.
fn may_start_a_task(message: &Message) -> bool {
    let Some(params) = message.params() else { return false };
    params.contains_key("task")
        || capabilities(message).is_some_and(|known| known.to_string().contains("tasks"))
}

/// Whether the client says that it knows the extension for tasks (SEP-2663).
fn declares_tasks(message: &Message) -> bool {
    let extensions = capabilities(message).and_then(|known| known.get("extensions"));
    extensions.is_some_and(|known| known.get(TASKS_EXTENSION).is_some())
}

/// What the client can, as 2026-07-28 has it in each request.
fn capabilities(message: &Message) -> Option<&Value> {
    message.params()?.get("_meta")?.get("io.modelcontextprotocol/clientCapabilities")
}

impl fmt::Debug for GatewaySide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside").field("guard", &self.guard).finish_non_exhaustive()
    }
}
