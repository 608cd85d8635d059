//! Listening: what a server sends unasked, up to 2025-11-25: a stream that is opened beside the requests.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;

use crate::stdio::exchange::{DEFAULT_RETRY, is_gone};
use crate::stdio::messages::{Kind, Messages, kind_of};
use crate::stdio::{CLIENT, Front};

/// The longest wait before a stream that cannot be opened is tried again.
const MAX_WAIT: Duration = Duration::from_secs(30);

impl Front {
    /// Opens the stream of what the server sends unasked, and keeps it open until the session ends.
    pub(super) fn listen(self: &Arc<Self>) {
        // A client that opens another session is listened for in that one from then on.
        if self.is_listening.swap(true, Ordering::AcqRel) {
            return;
        }
        let front = Arc::clone(self);
        let opened = self.session.generation();
        // It is not waited for at the end.
        tokio::spawn(async move {
            tokio::select! {
                () = front.closing.cancelled() => {}
                () = front.hear(opened) => front.is_listening.store(false, Ordering::Release),
            }
        });
    }

    async fn hear(&self, opened: u64) {
        let (mut generation, mut after, mut wait) = (opened, None, DEFAULT_RETRY);
        let mut was_renewed = false;
        while let Some((request, sent)) = self.session.listen(after.as_deref()) {
            if sent.generation != generation {
                // What was heard of another session says nothing of this one.
                generation = sent.generation;
                if after.take().is_some() {
                    continue;
                }
            }
            let response = self.call(request).await;
            if is_gone(&response, sent) {
                // A session that was opened for this a moment ago is there. Opening more would go on for ever.
                if std::mem::replace(&mut was_renewed, true) {
                    tracing::debug!("the server knows no stream, and sends nothing unasked");
                    return;
                }
                if self.renew(sent.generation).await.is_err() {
                    was_renewed = false;
                    tokio::time::sleep(MAX_WAIT).await;
                }
                continue;
            }
            was_renewed = false;
            let status = response.status();
            let mut messages = Messages::of(response);
            if status.is_success() && messages.are_events() {
                wait = DEFAULT_RETRY;
                self.pass_on_unasked(&mut messages).await;
                after = messages.last_event.take().or(after);
                tokio::time::sleep(messages.retry.unwrap_or(DEFAULT_RETRY)).await;
                continue;
            }
            if !may_come_later(status) {
                // Many servers have no such stream.
                tracing::debug!(status = status.as_u16(), "the server sends nothing unasked");
                return;
            }
            tokio::time::sleep(wait).await;
            wait = (2 * wait).min(MAX_WAIT);
        }
    }

    async fn pass_on_unasked(&self, messages: &mut Messages) {
        let Some(mut share) = self.budget.exchange(CLIENT) else { return };
        while let Ok(Some(text)) = messages.next(&mut share).await {
            if kind_of(&text, None) == Kind::FromServer {
                self.say(text, &mut share).await;
            }
        }
    }
}

/// Whether a stream that is not there now may be there later.
fn may_come_later(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use axum::body::Body;
    use axum::response::Response;
    use bytes::Bytes;
    use http::{HeaderValue, Method, header};
    use serde_json::json;
    use tokio::sync::mpsc;

    use super::*;
    use crate::headers::SESSION_ID;
    use crate::serve::Drain;
    use crate::stdio::{StdioClient, serve_stdio};

    #[tokio::test]
    async fn a_server_that_knows_no_stream_is_not_asked_for_sessions_over_and_over() {
        let opened = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&opened);
        let answer = |method: Method, body: String| async move {
            let opens = body.contains("initialize\"");
            let mut response = Response::new(Body::empty());
            if opens {
                counted.fetch_add(1, Ordering::Relaxed);
                let result = json!({"jsonrpc": "2.0", "id": 1, "result": {
                    "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "a", "version": "1"}}});
                *response.body_mut() = Body::from(result.to_string());
                let headers = response.headers_mut();
                headers.insert(SESSION_ID, HeaderValue::from_static("s"));
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            } else if method == Method::GET {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            response
        };
        let router = axum::Router::new().fallback(answer);
        let ((to, input), (output, mut from)) = (mpsc::channel(4), mpsc::channel(4));
        let client = StdioClient { input, output };
        let stop = std::future::pending();
        let served = serve_stdio(client, router, stop, Duration::ZERO, Drain::default());
        let speaking = async move {
            for line in [
                r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}"#,
                r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            ] {
                to.send(Ok(Bytes::from(format!("{line}\n")))).await.unwrap();
            }
            assert!(from.recv().await.is_some());
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        let both = async { tokio::join!(served, speaking) };
        tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
        assert_eq!(
            opened.load(Ordering::Relaxed),
            2,
            "its own, and one to see whether it was gone"
        );
    }
}
