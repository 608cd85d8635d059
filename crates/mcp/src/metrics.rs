//! Metrics: how much of what went through, in the words that Prometheus reads.
//!
//! Labels are names from fixed lists, so that no client can make new series.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use hardtack::audit::Verdict;
use hardtack::cause::Cause;

/// Upper ends of the buckets, in seconds: decisions take a tenth of a millisecond, tools take seconds.
const BUCKETS: [f64; 12] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0];

/// The label of a method that is not in the table.
const OTHER: &str = "other";

/// Shared by all that count.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Meters>);

struct Meters {
    registry: Registry,
    requests: Family<Request, Counter>,
    decisions: Family<Decision, Counter>,
    seconds: Family<Method, Histogram, fn() -> Histogram>,
    streams: Gauge<i64, AtomicI64>,
    cut: Counter,
    upstream_failures: Counter,
    children: Gauge<i64, AtomicI64>,
    children_started: Counter,
    children_failed: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decision {
    verdict: &'static str,
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

/// An open stream; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenStream(Gauge<i64, AtomicI64>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let mut registry = Registry::with_prefix("hardtack");
        let requests = Family::<Request, Counter>::default();
        let decisions = Family::<Decision, Counter>::default();
        let seconds = Family::<Method, Histogram, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(BUCKETS)
        });
        let streams = Gauge::default();
        let (cut, upstream_failures) = (Counter::default(), Counter::default());
        registry.register("requests", "HTTP requests, by MCP method and status", requests.clone());
        registry.register("decisions", "Decisions, by verdict and cause", decisions.clone());
        registry.register(
            "answer_seconds",
            "Time until an answer begins, by MCP method",
            seconds.clone(),
        );
        registry.register("streams", "Answers that are being streamed now", streams.clone());
        registry.register(
            "streams_cut",
            "Streams that were cut because their token expired or was revoked",
            cut.clone(),
        );
        registry.register(
            "upstream_failures",
            "Requests that the upstream server did not answer",
            upstream_failures.clone(),
        );
        let children = Gauge::default();
        let (children_started, children_failed) = (Counter::default(), Counter::default());
        registry.register(
            "children",
            "Processes of the upstream server that run now",
            children.clone(),
        );
        registry.register(
            "children_started",
            "Processes of the upstream server that were started",
            children_started.clone(),
        );
        registry.register(
            "children_failed",
            "Processes of the upstream server that ended by themselves, or had to be ended",
            children_failed.clone(),
        );
        Metrics(Arc::new(Meters {
            registry,
            requests,
            decisions,
            seconds,
            streams,
            cut,
            upstream_failures,
            children,
            children_started,
            children_failed,
        }))
    }

    pub(crate) fn request(&self, method: Option<&'static str>, status: u16, took: Duration) {
        let method = method.unwrap_or(OTHER);
        self.0.requests.get_or_create(&Request { method, status }).inc();
        self.0.seconds.get_or_create(&Method { method }).observe(took.as_secs_f64());
    }

    pub(crate) fn decision(&self, verdict: Verdict, cause: Option<Cause>) {
        let verdict = match verdict {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
            Verdict::Undecided => "undecided",
        };
        self.0
            .decisions
            .get_or_create(&Decision { verdict, cause: cause.map_or("", Cause::as_str) })
            .inc();
    }

    pub(crate) fn open_stream(&self) -> OpenStream {
        self.0.streams.inc();
        OpenStream(self.0.streams.clone())
    }

    pub(crate) fn cut(&self) {
        self.0.cut.inc();
    }

    pub(crate) fn upstream_failure(&self) {
        self.0.upstream_failures.inc();
    }

    pub(crate) fn child_started(&self) {
        self.0.children.inc();
        self.0.children_started.inc();
    }

    pub(crate) fn child_ended(&self, has_failed: bool) {
        self.0.children.dec();
        if has_failed {
            self.0.children_failed.inc();
        }
    }

    /// In the OpenMetrics text format, to its end.
    pub(crate) fn render(&self, rendered: &mut String) {
        // Writing to a string does not fail.
        let _ = text::encode(rendered, &self.0.registry);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
