//! Inside: may this bearer's message pass, and what may its answer show?
//!
//! The side of the gateway: it knows tokens, and asks the guard.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use crate::answer::{
    self, INVALID_PARAMS, INVALID_REQUEST, Refusal, RefusalStyle, TASKS_EXTENSION,
};
use crate::budget::Payer;
use crate::desks::Peer;
use crate::filtering::{Filtering, Shows};
use crate::flow::{Begun, Rewrite, Watch};
use crate::headers::Era;
use crate::lanes::{Lanes, Place};
use crate::message::{Content, Id, Message};
use crate::methods::{self, Calls, Method, Needs, Unjudged};
use crate::metrics::Metrics;
use crate::outward::bad_gateway;
use crate::relay::{Passage, Side};
use crate::session::{Owner, Sessions};
use crate::strangers::{Strangers, Threads};
use crate::tasks::Tasks;
use hardtack::audit::Verdict;
use hardtack::call::Call;
use hardtack::cause::Cause;
use hardtack::guard::{Denial, Guard, WeighedRefusal};
use hardtack::verify::VerifiedCapability;
use hardtack_http::{MAX_REFUSED_BODY_BYTES, REFUSED_BODY_TIMEOUT, Realm, Refused, bearer, now};

/// The method whose answer never ends.
const LISTEN: &str = "subscriptions/listen";

/// What records call a list that a stream repeats, if it is refused.
const STREAM: &str = "stream";

/// And of what is answered to a client's answer.
const ANSWER: &str = "answer";

/// What the gateway knows of tokens.
pub(crate) struct Inside {
    metrics: Metrics,
    guard: Arc<Guard>,
    realm: Realm,
    style: RefusalStyle,
    sessions: Sessions,
    tasks: Arc<Tasks>,
    strangers: Strangers,
    /// For lists, and for answers that may hand out tasks: no call waits for lists.
    lanes: Lanes,
    readers: Lanes,
}

impl Inside {
    pub(crate) fn new(
        metrics: Metrics,
        guard: Arc<Guard>,
        realm: Realm,
        style: RefusalStyle,
    ) -> Inside {
        Inside {
            metrics,
            guard,
            realm,
            style,
            sessions: Sessions::new(),
            tasks: Arc::new(Tasks::new()),
            strangers: Strangers::on(Threads::Shared),
            lanes: Lanes::new(),
            readers: Lanes::new(),
        }
    }
}

/// Whoever sent a request: a bearer that holds.
pub(crate) struct Bearer {
    token: Arc<str>,
    verified: VerifiedCapability,
    owner: Owner,
}

impl Side for Inside {
    type Visitor = Bearer;

    async fn admit(&self, request: &Parts, body: &mut Body) -> Result<Bearer, Response> {
        let token = bearer(request).map_err(|error| self.refused(&error.into()))?;
        let peer = Peer::of(&request.extensions);
        let mut weighed = match self.strangers.admit(&self.guard, token, peer).await {
            Ok(verified) => {
                let owner = Owner::of(&verified);
                return Ok(Bearer { token: token.into(), verified, owner });
            }
            Err(weighed) => weighed,
        };
        if weighed.may_tell() && request.method == http::Method::POST {
            match asked(body, token).await {
                Some(Asked::Call(call)) => weighed.tell(&call),
                Some(Asked::Method(method)) => weighed.tell_method(method),
                None => {}
            }
        }
        Err(self.refused(&self.unadmitted(*weighed).await))
    }

    fn bearer<'a>(&self, visitor: &'a Bearer) -> Option<&'a str> {
        Some(&visitor.token)
    }

    fn payer(&self, visitor: &Bearer) -> Payer {
        Payer::of(&visitor.verified)
    }

    async fn judge(
        &self,
        visitor: &Bearer,
        message: &Message,
        era: Era,
    ) -> Result<Passage, Response> {
        let Some(name) = message.method() else {
            self.hold(visitor).await?;
            let rewrite = Some(self.review_any(visitor, ANSWER));
            return Ok(Passage { rewrite, ..self.passage(visitor, Begun::Connection) });
        };
        let farewell = message.id().map(|id| answer::farewell(id, name == "tools/call"));
        let method = methods::find_of(era, name)
            .ok_or_else(|| answer::unknown_method(era, message.id(), name))?;
        let is_notification = matches!(message.content, Content::Notification { .. });
        if is_notification != method.name.starts_with("notifications/") {
            let problem = format!("{name} must be sent with an id if and only if it has an answer");
            return Err(answer::bad_request(INVALID_REQUEST, message.id(), &problem));
        }
        let passage = match method.needs {
            Needs::Token => {
                self.hold(visitor).await?;
                Ok(self.passage(visitor, Begun::Connection))
            }
            Needs::Listing => {
                let place = self.place_for_list(visitor, message, method).await?;
                let shows = Shows::Lists { private: era == Era::Modern };
                let filtering = self.filtering(visitor, method.name, Begun::Connection, place);
                let rewrite = filtering.rewrite(message.id().cloned(), shows);
                let passage = self.passage(visitor, Begun::Connection);
                Ok(Passage { rewrite: Some(rewrite), must_read: true, ..passage })
            }
            Needs::Calls(calls) => {
                self.decide(visitor, message, method, calls).await?;
                let shows = if may_start_a_task(message) { Shows::Tasks } else { Shows::NoLists };
                let rewrite = Some(self.review(visitor, method.name, message.id(), shows));
                Ok(Passage { rewrite, ..self.passage(visitor, Begun::Call) })
            }
            Needs::OwnTask(calls) => {
                self.refuse_strange_task(visitor, message, method, era).await?;
                self.decide(visitor, message, method, calls).await?;
                // Listening is no call that comes to an end.
                let waits = method.name == LISTEN;
                let begun = if waits { Begun::Connection } else { Begun::Call };
                Ok(Passage { waits, ..self.passage(visitor, begun) })
            }
        };
        passage.map(|passage| {
            let others = || self.review(visitor, method.name, message.id(), Shows::NoLists);
            let rewrite = Some(passage.rewrite.unwrap_or_else(others));
            Passage { farewell, rewrite, ..passage }
        })
    }

    /// A stream may repeat the answer to any request of its session.
    async fn judge_without_message(&self, visitor: &Bearer) -> Result<Passage, Response> {
        let rewrite = self.review_any(visitor, STREAM);
        let passage = self.passage(visitor, Begun::Connection);
        Ok(Passage { rewrite: Some(rewrite), waits: true, ..passage })
    }

    /// The caller's token holds; a 401 would have it look for another one.
    fn unaccepted(&self, id: Option<&Id>, _: bool) -> Response {
        bad_gateway(id, "the server behind does not accept this gateway's own credential")
    }

    fn session_inwards(&self, visitor: &Bearer, id: &str) -> Option<String> {
        self.sessions.unbind(id, visitor.owner).map(str::to_owned)
    }

    fn session_outwards(&self, visitor: &Bearer, id: &str) -> String {
        self.sessions.bind(id, visitor.owner)
    }
}

impl Inside {
    fn refused(&self, refused: &Refused) -> Response {
        answer::unauthenticated(refused, &self.realm)
    }

    fn count(&self, denial: &Denial) {
        self.metrics.decision(denial.verdict(), Some(denial.cause()));
    }

    /// Refuses a bearer that was admitted and does not hold any more: a client may take its time between its headers and its
    /// message. Where something is decided or listed, it is looked at there.
    async fn hold(&self, visitor: &Bearer) -> Result<(), Response> {
        match self.guard.weigh_admission_again(&visitor.verified, now()) {
            Ok(_) => Ok(()),
            Err(weighed) => Err(self.refused(&self.unadmitted(*weighed).await)),
        }
    }

    /// Records that a bearer is not admitted, and says what it is told.
    async fn unadmitted(&self, weighed: WeighedRefusal) -> Refused {
        let denial = self.guard.settle_refusal_async(weighed).await;
        self.count(&denial);
        tracing::debug!(
            hardtack.verdict = %denial.verdict(),
            hardtack.cause = %denial.refusal().cause,
            "a bearer is not admitted"
        );
        Refused::of(&denial, "the request")
    }

    /// How whatever is allowed passes: for as long as its token holds.
    fn passage(&self, visitor: &Bearer, begun: Begun) -> Passage {
        let watch = Watch::over(Arc::clone(&self.guard), visitor.verified.clone(), begun);
        Passage { watch: Some(watch), ..Passage::default() }
    }

    /// Decides every call that a message means. What is decided is what is forwarded: the message is not
    /// read again.
    async fn decide(
        &self,
        visitor: &Bearer,
        message: &Message,
        method: &Method,
        calls: Calls,
    ) -> Result<(), Response> {
        let Some(params) = message.params() else { return Ok(()) };
        let calls = match calls(params) {
            Ok(calls) => calls,
            Err(error) => return Err(self.refuse_unjudged(visitor, message, method, &error).await),
        };
        for call in calls {
            let operation = call.operation().to_string();
            let decided = self.guard.check_again_async(&visitor.verified, &call, now());
            if let Err(denial) = decided.await {
                return Err(self.refuse(message, method, &denial, &operation));
            }
            self.metrics.decision(Verdict::Allow, None);
        }
        Ok(())
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
            realm: &self.realm,
            style: self.style,
            id: message.id(),
            is_tool_call: method.name == "tools/call",
        }
        .response()
    }

    /// What cannot be judged is not allowed; a tool that cannot be named in a scope is a tool all the same.
    async fn refuse_unjudged(
        &self,
        visitor: &Bearer,
        message: &Message,
        method: &Method,
        error: &Unjudged,
    ) -> Response {
        let denial = self.record(visitor, method, error.into()).await;
        match (error, &denial) {
            (Unjudged::Parameters, Denial::Forbidden(_)) => {
                answer::error(StatusCode::OK, message.id(), INVALID_PARAMS, &error.to_string())
            }
            _ => self.refuse(message, method, &denial, method.name),
        }
    }

    /// Every task that a message names is the caller's own.
    async fn refuse_strange_task(
        &self,
        visitor: &Bearer,
        message: &Message,
        method: &Method,
        era: Era,
    ) -> Result<(), Response> {
        let ids = message.params().map_or(Ok(Vec::new()), methods::task_ids);
        let own = |id: &&str| self.tasks.is_of(id, &visitor.verified);
        if ids.is_ok_and(|ids| ids.iter().all(own)) {
            return Ok(());
        }
        let is_about_one = method.name != LISTEN;
        match self.record(visitor, method, Denial::strange_task()).await {
            // Whoever does not say that it knows tasks is told that, whosever the task is.
            Denial::Forbidden(_)
                if era == Era::Modern && is_about_one && !declares_tasks(message) =>
            {
                Err(answer::undeclared_tasks(message.id()))
            }
            Denial::Forbidden(refusal) => {
                Err(answer::error(StatusCode::OK, message.id(), INVALID_PARAMS, &refusal.message))
            }
            denial => Err(self.refuse(message, method, &denial, method.name)),
        }
    }

    /// Records a refusal of the gateway's own; one that cannot be recorded becomes undecided.
    async fn record(&self, visitor: &Bearer, method: &Method, denial: Denial) -> Denial {
        let weighed = self.guard.weigh_refusal(&visitor.verified, method.name, denial, now());
        self.guard.settle_refusal_async(weighed).await
    }

    /// A place for one list; refused, as undecided, if too many are under way.
    async fn place_for_list(
        &self,
        visitor: &Bearer,
        message: &Message,
        method: &Method,
    ) -> Result<Place, Response> {
        if let Some(place) = self.lanes.place_for_list(Payer::of(&visitor.verified)) {
            return Ok(place);
        }
        let message_to_client = "too many lists are asked for at once; try again later".to_owned();
        let denial = Denial::undecided_list(Cause::ListBusy, message_to_client);
        let denial = self.record(visitor, method, denial).await;
        Err(self.refuse(message, method, &denial, method.name))
    }

    /// How the answer to what asks for no list is looked at.
    fn review(
        &self,
        visitor: &Bearer,
        what: &'static str,
        asked: Option<&Id>,
        shows: Shows,
    ) -> Rewrite {
        let Some(asked) = asked else { return self.review_any(visitor, what) };
        let place = self.readers.place_for_stream(Payer::of(&visitor.verified));
        // A presentation that was bound to the call is used up by now.
        self.filtering(visitor, what, Begun::Call, place).rewrite(Some(asked.clone()), shows)
    }

    /// How an answer is looked at that was not asked for by a message: it can be the answer to any.
    fn review_any(&self, visitor: &Bearer, what: &'static str) -> Rewrite {
        let place = self.lanes.place_for_stream(Payer::of(&visitor.verified));
        let filtering = self.filtering(visitor, what, Begun::Connection, place);
        filtering.rewrite(None, Shows::Lists { private: false })
    }

    fn filtering(
        &self,
        visitor: &Bearer,
        what: &'static str,
        begun: Begun,
        place: Place,
    ) -> Filtering {
        let (guard, tasks) = (Arc::clone(&self.guard), Arc::clone(&self.tasks));
        let (verified, metrics) = (visitor.verified.clone(), self.metrics.clone());
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
    let message = Message::read(read.to_bytes(), Some(token)).ok()?;
    let method = methods::find(message.method()?)?;
    let (Needs::Calls(calls) | Needs::OwnTask(calls)) = method.needs else {
        return matches!(method.needs, Needs::Listing).then_some(Asked::Method(method.name));
    };
    match calls(message.params()?) {
        Ok(calls) => calls.into_iter().next().map(|call| Asked::Call(Box::new(call))),
        Err(_) => Some(Asked::Method(method.name)),
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

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside").field("guard", &self.guard).finish_non_exhaustive()
    }
}
