//! Messages: which messages does an answer over HTTP contain, each for a line of its own?

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::response::Response;
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tokio::task::coop::consume_budget;

use crate::budget::Share;
use crate::flow::HELD_PER_BYTE;
use crate::headers::{self, Media};
use crate::one_line::on_one_line;
use crate::reading::id_of;
use crate::sse::{self, MAX_EVENT_BYTES, Splitter};
use hardtack::mcp::Id;

/// The longest id of an event that is sent back; real ones are counters.
const MAX_EVENT_ID_BYTES: usize = 1024;

/// How long a server may have its clients wait before they come again, at the least and at the most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// The texts in an answer, one by one: of events their data, of anything else all of it.
pub(super) struct Messages {
    body: BodyDataStream,
    form: Form,
    found: VecDeque<String>,
    has_ended: bool,
    /// The id of the last event, from which the server can go on.
    pub(super) last_event: Option<String>,
    /// How long the server wants its clients to wait before they come again.
    pub(super) retry: Option<Duration>,
}

enum Form {
    Whole(Vec<u8>),
    Events(Splitter),
}

/// Why there is no more of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The other end broke off.
    Off,
    /// An event, or all of it, is larger than may be held.
    TooLarge,
    /// Too much waits already.
    Overloaded,
    /// It is no text in UTF-8.
    NoText,
}

impl Messages {
    pub(super) fn of(response: Response) -> Messages {
        let (parts, body) = response.into_parts();
        let form = match headers::media(&parts.headers) {
            Media::Events => Form::Events(Splitter::default()),
            _ => Form::Whole(Vec::new()),
        };
        Messages {
            body: Body::into_data_stream(body),
            form,
            found: VecDeque::new(),
            has_ended: false,
            last_event: None,
            retry: None,
        }
    }

    pub(super) fn are_events(&self) -> bool {
        matches!(self.form, Form::Events(_))
    }

    /// The next text; `None` at the end. What is held is paid for by `share`.
    pub(super) async fn next(&mut self, share: &mut Share) -> Result<Option<String>, Broken> {
        loop {
            consume_budget().await;
            if let Some(text) = self.found.pop_front() {
                return Ok(Some(text));
            }
            if self.has_ended {
                return Ok(None);
            }
            match self.body.next().await {
                Some(Ok(chunk)) => self.push(&chunk, share).await?,
                Some(Err(_)) => {
                    self.has_ended = true;
                    return Err(Broken::Off);
                }
                None => {
                    self.has_ended = true;
                    self.end()?;
                }
            }
        }
    }

    async fn push(&mut self, chunk: &[u8], share: &mut Share) -> Result<(), Broken> {
        let (waiting, batch) = match &mut self.form {
            Form::Whole(whole) if whole.len() + chunk.len() > MAX_EVENT_BYTES => {
                return Err(Broken::TooLarge);
            }
            Form::Whole(whole) => (whole.len() + chunk.len(), None),
            Form::Events(splitter) => {
                splitter.push(chunk).map_err(|_| Broken::TooLarge)?;
                (splitter.waiting(), splitter.take())
            }
        };
        if !share.cover_soon(HELD_PER_BYTE * waiting).await {
            return Err(Broken::Overloaded);
        }
        if let Form::Whole(whole) = &mut self.form {
            whole.extend_from_slice(chunk);
        }
        batch.map_or(Ok(()), |batch| self.take_events(&batch))
    }

    fn end(&mut self) -> Result<(), Broken> {
        match &mut self.form {
            Form::Whole(whole) => {
                let whole = std::mem::take(whole);
                let text = String::from_utf8(whole).map_err(|_| Broken::NoText)?;
                let text = text.trim_start_matches('\u{feff}').trim();
                if !text.is_empty() {
                    self.found.push_back(text.to_owned());
                }
                Ok(())
            }
            Form::Events(splitter) => {
                let rest = splitter.rest();
                self.take_events(&rest)
            }
        }
    }

    fn take_events(&mut self, batch: &[u8]) -> Result<(), Broken> {
        for event in sse::events(batch) {
            let event = std::str::from_utf8(event).map_err(|_| Broken::NoText)?;
            if let Some(id) = field(event, "id").filter(|id| id.len() <= MAX_EVENT_ID_BYTES) {
                self.last_event = Some(id.to_owned()).filter(|id| !id.is_empty());
            }
            if let Some(retry) = field(event, "retry").and_then(|retry| retry.parse().ok()) {
                let (least, most) = RETRY;
                self.retry = Some(Duration::from_millis(retry).clamp(least, most));
            }
            let data = sse::data(event);
            if !data.trim().is_empty() {
                self.found.push_back(data);
            }
        }
        Ok(())
    }
}

fn field<'a>(event: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    let value = event.split('\n').filter_map(value).next_back()?;
    Some(value.strip_prefix(' ').unwrap_or(value))
}

/// What a text from the gateway is for whoever waits for the answer to `asked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The answer.
    Answer,
    /// An error that names no request.
    Nameless,
    /// A request or notification of the server's.
    FromServer,
    /// The answer to something else.
    Other,
    /// No message.
    NoMessage,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<IgnoredAny>,
    result: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

pub(super) fn kind_of(text: &str, asked: Option<&Id>) -> Kind {
    let Ok(envelope) = serde_json::from_str::<Envelope>(text) else { return Kind::NoMessage };
    if !text.trim_start().starts_with('{') || envelope.jsonrpc.map(RawValue::get) != Some("\"2.0\"")
    {
        return Kind::NoMessage;
    }
    let Envelope { id, method, result, error, .. } = envelope;
    let id = id.and_then(|id| id_of(id.get()));
    match (method, id, asked) {
        (Some(_), ..) if result.is_none() && error.is_none() => Kind::FromServer,
        (Some(_), ..) => Kind::NoMessage,
        (None, None, _) if error.is_some() => Kind::Nameless,
        (None, Some(id), Some(asked)) if id == asked.to_json() => Kind::Answer,
        (None, ..) => Kind::Other,
    }
}

/// A message in one line, with its end.
pub(super) fn line_of(text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 1);
    on_one_line(text, &mut line);
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};
    use serde_json::json;

    use serde_json::Value;

    use super::*;
    use crate::budget::{Budget, Payer};

    async fn read(media: &'static str, body: &str) -> (Vec<String>, Messages) {
        let mut response = Response::new(Body::from(body.to_owned()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        let mut share = Budget::default().exchange(Payer::from_bytes([0; 32])).unwrap();
        let (mut messages, mut found) = (Messages::of(response), Vec::new());
        while let Some(text) = messages.next(&mut share).await.unwrap() {
            found.push(text);
        }
        (found, messages)
    }

    #[tokio::test]
    async fn events_and_json_are_the_same_messages() {
        let body =
            "id: 1\nretry: 5\ndata:\n\n: alive\n\nid: 2\ndata: {\"a\":\ndata: 1}\n\ndata: {}";
        let (found, messages) = read("text/event-stream", body).await;
        assert_eq!(found, ["{\"a\":\n1}", "{}"]);
        assert_eq!(messages.last_event.as_deref(), Some("2"));
        assert_eq!(messages.retry, Some(RETRY.0));
        let (found, _) = read("application/json", "\u{feff}{\"a\":\n1}\n").await;
        assert_eq!(found, ["{\"a\":\n1}"]);
        assert_eq!(read("application/json", "").await.0, [""; 0]);
    }

    #[tokio::test]
    async fn what_is_too_large_or_no_text_is_not_handed_on() {
        let mut share = Budget::default().exchange(Payer::from_bytes([0; 32])).unwrap();
        let large = Response::new(Body::from(vec![b' '; MAX_EVENT_BYTES + 1]));
        assert_eq!(Messages::of(large).next(&mut share).await, Err(Broken::TooLarge));
        let other = Response::new(Body::from(vec![b'"', 0xff, b'"']));
        assert_eq!(Messages::of(other).next(&mut share).await, Err(Broken::NoText));
    }

    #[test]
    fn only_what_answers_a_request_is_its_answer() {
        let asked = mcp_id();
        for (message, kind) in [
            (json!({"jsonrpc": "2.0", "id": 7, "result": {}}), Kind::Answer),
            (json!({"jsonrpc": "2.0", "id": 7, "error": {"code": 1}}), Kind::Answer),
            (json!({"jsonrpc": "2.0", "id": "7", "result": {}}), Kind::Other),
            (json!({"jsonrpc": "2.0", "id": 8, "result": {}}), Kind::Other),
            (json!({"jsonrpc": "2.0", "id": null, "error": {"code": 1}}), Kind::Nameless),
            (json!({"jsonrpc": "2.0", "error": {"code": 1}}), Kind::Nameless),
            (json!({"jsonrpc": "2.0", "id": 7, "method": "roots/list"}), Kind::FromServer),
            (json!({"jsonrpc": "2.0", "method": "notifications/message"}), Kind::FromServer),
            (json!({"jsonrpc": "2.0", "id": 7, "method": "a", "result": {}}), Kind::NoMessage),
            (json!({"id": 7, "result": {}}), Kind::NoMessage),
            (json!(["2.0", 7]), Kind::NoMessage),
            (json!({"error": "not_found"}), Kind::NoMessage),
        ] {
            assert_eq!(kind_of(&message.to_string(), Some(&asked)), kind, "{message}");
        }
        assert_eq!(kind_of("<html>", Some(&asked)), Kind::NoMessage);
        let twice = r#"{"jsonrpc":"2.0","id":8,"id":7,"result":{}}"#;
        assert_eq!(kind_of(twice, Some(&asked)), Kind::NoMessage);
    }

    fn mcp_id() -> Id {
        let message = br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
        hardtack::mcp::Message::read(message, None).unwrap().id().unwrap().clone()
    }

    #[test]
    fn a_message_is_one_line_for_every_reader_and_means_the_same() {
        let message = json!({"a": "é\u{2028}\u{2029}\u{85}\n", "b": [1]});
        let pretty = serde_json::to_string_pretty(&message).unwrap().replace('\n', "\r\n");
        let line = line_of(&pretty);
        let line = line.strip_suffix('\n').unwrap();
        assert!(!line.contains(['\n', '\r', '\u{2028}', '\u{2029}', '\u{85}']), "{line:?}");
        assert_eq!(serde_json::from_str::<Value>(line).unwrap(), message);
    }
}
