//! Exchange: one request of the client's, and what it is answered, whatever becomes of it on the way.

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::answer::{INTERNAL_ERROR, METHOD_NOT_FOUND, UNDECIDED};
use crate::body::UNDELIVERED;
use crate::budget::Share;
use crate::headers::SESSION_ID;
use crate::stdio::messages::{Broken, Kind, Messages, kind_of};
use crate::stdio::session::{Heading, INITIALIZE, Sent};
use crate::stdio::{CLIENT, Front, failure, shown};
use hardtack::mcp::{Era, Id};

/// How long the rest of an answer is read behind the message that was waited for, so that its connection can be used again.
const REST: Duration = Duration::from_millis(500);

/// How often in a row the rest of an answer is asked for without any of it.
const MAX_VAIN_RESUMES: u32 = 3;

/// How long to wait before the rest of an answer is asked for, unless the server says how long.
pub(super) const DEFAULT_RETRY: Duration = Duration::from_secs(1);

/// What whoever asked is told if the session cannot be opened again.
const UNRENEWED: &str = "the gateway does not know this session any more (it was restarted, perhaps), and no other could be opened";

/// A request of the client's.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: Id,
    pub(super) method: String,
    is_tool_call: bool,
    /// Whether the client has its answer.
    pub(super) is_answered: AtomicBool,
}

impl Asked {
    pub(super) fn of(id: Id, method: &str) -> Asked {
        let is_answered = AtomicBool::new(false);
        Asked { id, method: method.to_owned(), is_tool_call: method == "tools/call", is_answered }
    }

    pub(super) fn refused(&self, code: i64, problem: &str) -> Value {
        failure(&self.id, self.is_tool_call, code, problem)
    }
}

/// How far an answer came.
enum Outcome {
    Answered,
    /// It is no answer: a text that is no message, or nothing.
    Unanswered(Option<String>),
    Broken(Broken),
}

impl Front {
    /// Sends a request, and answers it in any case.
    pub(super) async fn ask(
        &self,
        asked: &Asked,
        heading: &Heading,
        line: Bytes,
        share: &mut Share,
    ) {
        let mut is_first = true;
        loop {
            let (request, sent) = self.session.post(heading, &line);
            let response = self.call(request).await;
            if !(is_gone(&response, sent) && std::mem::take(&mut is_first)) {
                return self.pass_on(asked, response, (sent, line), share).await;
            }
            // It was not done: the gateway knew nobody whose it could be.
            if let Err(problem) = self.renew(sent.generation).await {
                self.is_answered(asked);
                return self.answer(&asked.refused(UNDECIDED, &problem)).await;
            }
        }
    }

    async fn pass_on(
        &self,
        asked: &Asked,
        response: Response,
        (sent, line): (Sent, Bytes),
        share: &mut Share,
    ) {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut messages = Messages::of(response);
        let initialize = (asked.method == INITIALIZE).then_some((&line, &headers));
        let mut outcome = self.read(asked, status, &mut messages, initialize, share).await;
        let mut vain = 0;
        // An answer that began as events may go on in another stream.
        while matches!(outcome, Outcome::Unanswered(None) | Outcome::Broken(Broken::Off))
            && sent.era == Era::Legacy
            && sent.in_session
            && !self.over.is_cancelled()
            && vain < MAX_VAIN_RESUMES
            && let Some(after) = messages.last_event.clone()
        {
            tokio::select! {
                () = self.over.cancelled() => break,
                () = tokio::time::sleep(messages.retry.unwrap_or(DEFAULT_RETRY)) => {}
            }
            let resumed = self.session.listen(Some(&after));
            let Some((request, now)) = resumed.filter(|(_, now)| now.generation == sent.generation)
            else {
                break;
            };
            let response = self.call(request).await;
            if is_gone(&response, now) {
                break;
            }
            let mut rest = Messages::of(response);
            if !rest.are_events() {
                vain += 1;
                continue;
            }
            outcome = self.read(asked, StatusCode::OK, &mut rest, None, share).await;
            vain = if rest.last_event.is_some() { 0 } else { vain + 1 };
            rest.last_event = rest.last_event.or(Some(after));
            rest.retry = rest.retry.or(messages.retry);
            messages = rest;
        }
        self.conclude(asked, status, outcome).await;
    }

    /// Hands on what comes until the answer has, and a little of what stands behind it.
    async fn read(
        &self,
        asked: &Asked,
        status: StatusCode,
        messages: &mut Messages,
        initialize: Option<(&Bytes, &HeaderMap)>,
        share: &mut Share,
    ) -> Outcome {
        loop {
            let text = match messages.next(share).await {
                Ok(Some(text)) => text,
                Ok(None) => return Outcome::Unanswered(None),
                Err(broken) => return Outcome::Broken(broken),
            };
            match kind_of(&text, Some(&asked.id)) {
                Kind::FromServer => self.say(text, share).await,
                Kind::Answer => {
                    if let Some((line, headers)) = initialize {
                        self.session.open(line.clone(), headers, &text);
                    }
                    self.is_answered(asked);
                    self.say(advised(status, text), share).await;
                    break;
                }
                Kind::Nameless => {
                    self.is_answered(asked);
                    self.say(advised(status, named(&text, &asked.id)), share).await;
                    break;
                }
                Kind::NoMessage if !messages.are_events() => {
                    return Outcome::Unanswered(Some(text));
                }
                Kind::Other | Kind::NoMessage => {
                    tracing::warn!("the server sent something that is no answer to what was asked");
                }
            }
        }
        let rest = async {
            while let Ok(Some(text)) = messages.next(share).await {
                if kind_of(&text, None) == Kind::FromServer {
                    self.say(text, share).await;
                }
            }
        };
        let _ = tokio::time::timeout(REST, rest).await;
        Outcome::Answered
    }

    /// Tells whoever asked why there is no answer.
    async fn conclude(&self, asked: &Asked, status: StatusCode, outcome: Outcome) {
        let (code, problem) = match outcome {
            Outcome::Answered => return,
            Outcome::Broken(Broken::Overloaded) => (UNDECIDED, UNDELIVERED.to_owned()),
            Outcome::Broken(Broken::TooLarge) => {
                (INTERNAL_ERROR, "the answer is larger than one may be; ask for less".to_owned())
            }
            Outcome::Broken(Broken::NoText) => {
                (INTERNAL_ERROR, "the answer is no text in UTF-8".to_owned())
            }
            Outcome::Unanswered(said) if !status.is_success() => {
                (code_of(status, &asked.method), turned_away(status, said.as_deref()))
            }
            Outcome::Unanswered(Some(_)) => (
                INTERNAL_ERROR,
                "what came back is no answer of MCP; see whether the URL is that of the gateway's MCP endpoint".to_owned(),
            ),
            Outcome::Unanswered(None) | Outcome::Broken(Broken::Off) if self.over.is_cancelled() => (
                INTERNAL_ERROR,
                "this process is being shut down, so the answer was not waited for; what was asked for may have been done".to_owned(),
            ),
            Outcome::Unanswered(None) | Outcome::Broken(Broken::Off) => (
                INTERNAL_ERROR,
                "the answer broke off; what was asked for may have been done".to_owned(),
            ),
        };
        tracing::warn!(status = status.as_u16(), problem, "a request has no answer");
        self.is_answered(asked);
        self.answer(&asked.refused(code, &problem)).await;
    }

    /// Sends what has no answer.
    pub(super) async fn tell(&self, heading: &Heading, line: &Bytes) {
        for is_first in [true, false] {
            let (request, sent) = self.session.post(heading, line);
            let response = self.call(request).await;
            if is_first && is_gone(&response, sent) && self.renew(sent.generation).await.is_ok() {
                continue;
            }
            let status = response.status();
            if !status.is_success() {
                let status = status.as_u16();
                tracing::warn!(status, "a notification or an answer of the client's did not pass");
            }
            return;
        }
    }

    /// Opens a session in the place of one that is gone, as the client opened the first; unless somebody has done so already.
    pub(super) async fn renew(&self, generation: u64) -> Result<(), String> {
        let _turn = self.renewing.lock().await;
        if self.session.generation() != generation {
            return Ok(());
        }
        let (initialize, initialized) =
            self.session.opened_with(generation).ok_or_else(|| UNRENEWED.to_owned())?;
        let unrenewed = |why: &str| format!("{UNRENEWED}: {why}. Start the client again.");
        let message = hardtack::mcp::Message::read(&initialize, None);
        let message = message.map_err(|error| unrenewed(&error.to_string()))?;
        let (request, _) = self.session.post(&Heading::of(&message), &initialize);
        let response = self.call(request).await;
        let (status, headers) = (response.status(), response.headers().clone());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // It says nothing of the session, and another try may open it.
            return Err(format!("{UNRENEWED} now: the gateway is busy. Try again later."));
        }
        let mut share = self.budget.exchange(CLIENT).ok_or_else(|| unrenewed(UNDELIVERED))?;
        let mut messages = Messages::of(response);
        loop {
            match messages.next(&mut share).await {
                Ok(Some(text)) if kind_of(&text, message.id()) == Kind::Answer => {
                    if !self.session.agrees(&text) {
                        return Err(unrenewed(
                            "the server now speaks another version of MCP, or refuses",
                        ));
                    }
                    break;
                }
                Ok(Some(_)) => {}
                _ => return Err(unrenewed(&format!("HTTP {}", status.as_u16()))),
            }
        }
        // Servers answer nothing before they have heard that the client is ready.
        if let Some(line) = initialized
            && let Ok(message) = hardtack::mcp::Message::read(&line, None)
        {
            let request = self.session.post_in(&headers, &Heading::of(&message), &line);
            self.call(request).await;
        }
        self.session.replace(&headers);
        tracing::info!("the session was gone, and another one was opened in its place");
        Ok(())
    }
}

/// Whether the session in which something was sent is gone.
pub(super) fn is_gone(response: &Response, sent: Sent) -> bool {
    sent.in_session
        && response.status() == StatusCode::NOT_FOUND
        && !response.headers().contains_key(SESSION_ID)
}

/// An error that names no request, for the one that has it.
fn named(text: &str, id: &Id) -> String {
    let Ok(mut error) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    error["id"] = id.to_json();
    error.to_string()
}

/// An error with what to do where the gateway, or what is behind it, cannot be reached.
fn advised(status: StatusCode, text: String) -> String {
    if !matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) {
        return text;
    }
    let Ok(mut answer) = serde_json::from_str::<Value>(&text) else { return text };
    let Some(message) = answer.pointer_mut("/error/message") else { return text };
    let said = message.as_str().unwrap_or_default();
    *message = format!("{said}. {SEE_WHETHER_IT_RUNS}").into();
    answer.to_string()
}

const SEE_WHETHER_IT_RUNS: &str = "See whether the gateway and the server behind it run (the log of this process says more), and try again then: this process goes on.";

/// What a server that cannot do something says so with. Clients that look which protocol there is go on with the other one then.
fn code_of(status: StatusCode, method: &str) -> i64 {
    match method == "server/discover" && status.is_client_error() {
        true => METHOD_NOT_FOUND,
        false => INTERNAL_ERROR,
    }
}

/// What to do about an HTTP status that came without a message.
fn turned_away(status: StatusCode, said: Option<&str>) -> String {
    let told = said.and_then(|said| serde_json::from_str::<Value>(said).ok());
    let member = |name: &str| told.as_ref()?.get(name)?.as_str().map(shown);
    let why = member("error_description").or_else(|| member("error"));
    let why = why.map_or(String::new(), |why| format!(": {why}"));
    let advice = match status.as_u16() {
        403 => {
            "The gateway refused the request itself; whoever runs it can say why, and whoever delegated to this agent can change what it may do."
        }
        404 | 405 => "See whether the URL of --to is that of the gateway's MCP endpoint.",
        413 => "Ask for less at once.",
        429 | 503 => "Try again later.",
        400..=499 => "Trying again in the same way will not help.",
        _ => SEE_WHETHER_IT_RUNS,
    };
    format!("the gateway answers HTTP {}{why}. {advice}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_turned_away_without_a_message_is_told_what_to_do() {
        let told = turned_away(
            StatusCode::FORBIDDEN,
            Some(r#"{"error":"a","error_description":"not from\u001b here"}"#),
        );
        assert!(told.starts_with("the gateway answers HTTP 403: not from\\u{1b} here. "), "{told}");
        assert!(turned_away(StatusCode::NOT_FOUND, Some("<html>")).contains("--to"));
        assert!(
            turned_away(StatusCode::INTERNAL_SERVER_ERROR, None)
                .contains("See whether the gateway")
        );
        assert_eq!(code_of(StatusCode::BAD_REQUEST, "server/discover"), METHOD_NOT_FOUND);
        assert_eq!(code_of(StatusCode::BAD_REQUEST, "tools/list"), INTERNAL_ERROR);
    }

    #[test]
    fn an_error_gets_the_id_that_it_lacks_and_advice_where_that_can_help() {
        let error = json!({"jsonrpc": "2.0", "id": null, "error": {"code": 1, "message": "away"}});
        let id = hardtack::mcp::Message::sender_of(br#"{"id":"a","method":"ping"}"#).unwrap().0;
        let told = advised(StatusCode::BAD_GATEWAY, named(&error.to_string(), &id));
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["id"], "a");
        assert!(told["error"]["message"].as_str().unwrap().starts_with("away. See whether"));
        assert_eq!(advised(StatusCode::OK, error.to_string()), error.to_string());
    }

    #[tokio::test]
    async fn a_gateway_that_is_busy_is_to_be_asked_later_and_speaks_no_other_version() {
        use std::sync::atomic::Ordering;

        use tokio::sync::mpsc;

        static FIRST: AtomicBool = AtomicBool::new(true);
        let answer = |headers: HeaderMap, body: String| async move {
            let result = json!({"jsonrpc": "2.0", "id": 1, "result": {
                "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "a", "version": "1"}}});
            let busy =
                json!({"jsonrpc": "2.0", "id": 1, "error": {"code": 503, "message": "full"}});
            // Its session is gone at once, and no other one can be opened.
            let is_first = body.contains("first") && FIRST.swap(false, Ordering::Relaxed);
            let (status, session, body) = match (headers.contains_key(SESSION_ID), is_first) {
                (true, _) => (StatusCode::NOT_FOUND, "", String::new()),
                (false, true) => (StatusCode::OK, "s", result.to_string()),
                (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "", busy.to_string()),
            };
            let mut response = axum::response::Response::new(axum::body::Body::from(body));
            *response.status_mut() = status;
            let media = http::HeaderValue::from_static("application/json");
            response.headers_mut().insert(http::header::CONTENT_TYPE, media);
            if !session.is_empty() {
                let session = http::HeaderValue::from_static("s");
                response.headers_mut().insert(SESSION_ID, session);
            }
            response
        };
        let router = axum::Router::new().fallback(answer);
        let ((to, input), (output, mut from)) = (mpsc::channel(4), mpsc::channel(4));
        let client = crate::stdio::StdioClient { input, output };
        let drain = crate::serve::Drain::default();
        let served = crate::stdio::serve_stdio(
            client,
            router,
            std::future::pending(),
            Duration::ZERO,
            drain,
        );
        let asking = async move {
            for line in [
                r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"first","version":"1"}}}"#,
                r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#,
            ] {
                to.send(Ok(Bytes::from(format!("{line}\n")))).await.unwrap();
            }
            let opened: Value = serde_json::from_slice(&from.recv().await.unwrap()).unwrap();
            assert!(opened["result"].is_object(), "{opened}");
            let told: Value = serde_json::from_slice(&from.recv().await.unwrap()).unwrap();
            let said = told["error"]["message"].as_str().unwrap();
            assert!(said.contains("Try again later") && !said.contains("version"), "{told}");
        };
        let both = async { tokio::join!(served, asking) };
        tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    }
}
