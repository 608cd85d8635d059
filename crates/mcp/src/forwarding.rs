//! Forwarding: how does a request pass, what of its answer is replaced, and for how long may that flow?
//!
//! A [`Side`](crate::relay::Side) says it; the relay and the flow of the answer do it.

use std::time::Duration;

use http::HeaderValue;

use crate::answer::ClosingMessage;
use crate::cut::Cut;
use crate::filtering::Rewrite;
use crate::reopening::Reopening;
use crate::watch::Watch;

/// How a request passes.
#[derive(Default)]
pub(crate) struct Forwarding {
    /// With which credential, if not the server's own.
    pub(crate) authorization: Option<HeaderValue>,
    /// What of its answer is replaced.
    pub(crate) rewrite: Option<Rewrite>,
    /// Whether an answer that is neither JSON nor events, or nothing, is refused.
    pub(crate) must_read: bool,
    /// For how long its answer may flow.
    pub(crate) watch: Option<Watch>,
    /// How its answer, a stream that only listens, is opened again.
    pub(crate) reopening: Option<Reopening>,
    /// What is done if its answer is cut.
    pub(crate) cut: Option<Cut>,
    /// How long its answer may take to begin, where nobody said so of the server.
    pub(crate) patience: Option<Duration>,
    /// Whether its answer waits for what may never come.
    pub(crate) waits: bool,
    /// Whether a tool's result can say what went wrong.
    pub(crate) is_tool_call: bool,
    /// The message that whoever waits for the answer is told if it is given up.
    pub(crate) closing_message: Option<ClosingMessage>,
}
