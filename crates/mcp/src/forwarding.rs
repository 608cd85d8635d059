//! Forwarding: how does a request pass, what of its answer is replaced, and for how long may that flow?
//!
//! A [`Side`](crate::relay::Side) says it; the relay and the flow of the answer do it.

use http::HeaderValue;

use crate::answer::ClosingMessage;
use crate::filtering::Rewrite;
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
    /// Whether its answer waits for what may never come.
    pub(crate) waits: bool,
    /// Whether a tool's result can say what went wrong.
    pub(crate) is_tool_call: bool,
    /// The message that whoever waits for the answer is told if it is given up.
    pub(crate) closing_message: Option<ClosingMessage>,
}
