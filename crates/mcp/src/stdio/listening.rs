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
                if self.renew(sent.generation).await.is_err() {
                    tokio::time::sleep(MAX_WAIT).await;
                }
                continue;
            }
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
