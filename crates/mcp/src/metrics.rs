//! Metrics: how much of what went through, in the words that Prometheus reads.
//!
//! Labels are names from fixed lists, so that no client can make new series.

use std::borrow::Cow;
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

use crate::left_out::{LeftOut, Omissions};
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
    cancellations: Family<Outcome, Counter>,
    upstream_failures: Counter,
    children: Gauge<i64, AtomicI64>,
    children_started: Counter,
    children_failed: Counter,
    omissions: Omissions,
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
struct Outcome {
    outcome: &'static str,
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
    /// Of the only server, or of one of several, by its name.
    pub(crate) fn of(server: Option<&str>) -> Metrics {
        let mut registry = registry(server);
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
            "Answers that were cut because their token ended or the longest time of an answer",
            cut.clone(),
        );
        let cancellations = Family::<Outcome, Counter>::default();
        registry.register(
            "cancellations",
            "Cancellations of cut calls that an upstream server over HTTP was sent, by outcome",
            cancellations.clone(),
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
        let omissions = Omissions::of(&mut registry);
        Metrics(Arc::new(Meters {
            registry,
            requests,
            decisions,
            seconds,
            streams,
            cut,
            cancellations,
            upstream_failures,
            children,
            children_started,
            children_failed,
            omissions,
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

    /// Counts what was left out of lists.
    pub(crate) fn left_out(&self, left_out: LeftOut) {
        self.0.omissions.note(left_out);
    }

    pub(crate) fn open_stream(&self) -> OpenStream {
        self.0.streams.inc();
        OpenStream(self.0.streams.clone())
    }

    pub(crate) fn cut(&self) {
        self.0.cut.inc();
    }

    /// A server was told of a cut call, and heard it or did not.
    pub(crate) fn cancellation(&self, is_heard: bool) {
        let outcome = if is_heard { "heard" } else { "not_heard" };
        self.0.cancellations.get_or_create(&Outcome { outcome }).inc();
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

    /// In the OpenMetrics text format, to be followed by others.
    pub(crate) fn render(&self, rendered: &mut String) {
        // Writing to a string does not fail.
        let _ = text::encode_registry(rendered, &self.0.registry);
    }
}

/// The end of a text in the OpenMetrics format.
pub(crate) const END: &str = "# EOF\n";

/// A registry whose series say of which server they are, where there are several.
pub(crate) fn registry(server: Option<&str>) -> Registry {
    let labels = server.map(|name| (Cow::Borrowed("server"), Cow::Owned(name.to_owned())));
    Registry::with_prefix_and_labels("hardtack", labels.into_iter())
}

/// What several registries have rendered, as one: of each metric, its series stand together behind one description, as the
/// format demands.
pub(crate) fn merged<'a>(rendered: impl IntoIterator<Item = &'a str>) -> String {
    let mut families: Vec<(&str, String, String)> = Vec::new();
    for text in rendered {
        let mut current = 0;
        for line in text.lines() {
            let described = line.strip_prefix("# HELP ").map(|rest| rest.split(' ').next());
            if let Some(name) = described.flatten() {
                current =
                    families.iter().position(|(known, ..)| *known == name).unwrap_or_else(|| {
                        families.push((name, String::new(), String::new()));
                        families.len() - 1
                    });
            }
            let Some((_, description, series)) = families.get_mut(current) else { continue };
            match line.starts_with('#') {
                true if series.is_empty() => *description += &format!("{line}\n"),
                true => {}
                false => *series += &format!("{line}\n"),
            }
        }
    }
    families.into_iter().map(|(_, description, series)| description + &series).collect()
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_several_servers_stand_behind_one_description() {
        let rendered = ["notion", "github"].map(|name| {
            let metrics = Metrics::of(Some(name));
            metrics.request(Some("ping"), 200, Duration::from_millis(1));
            metrics.decision(Verdict::Allow, None);
            let mut rendered = String::new();
            metrics.render(&mut rendered);
            rendered
        });
        let merged = merged(rendered.iter().map(String::as_str));
        for line in [
            "hardtack_requests_total{server=\"notion\",method=\"ping\",status=\"200\"} 1",
            "hardtack_requests_total{server=\"github\",method=\"ping\",status=\"200\"} 1",
            "hardtack_streams{server=\"github\"} 0",
        ] {
            assert!(merged.lines().any(|other| other == line), "{line}: {merged}");
        }
        let described = |what: &str| merged.lines().filter(|line| line.starts_with(what)).count();
        assert_eq!(described("# HELP hardtack_requests "), 1);
        assert_eq!(described("# TYPE hardtack_requests "), 1);
        let of = |line: &str| line.starts_with("hardtack_requests_total");
        let first = merged.lines().position(of).unwrap();
        assert_eq!(merged.lines().skip(first).take_while(|line| of(line)).count(), 2);
    }

    #[test]
    fn what_one_registry_renders_stays_as_it_is() {
        let metrics = Metrics::of(None);
        metrics.request(None, 503, Duration::from_secs(1));
        let mut rendered = String::new();
        metrics.render(&mut rendered);
        assert!(rendered.contains("hardtack_streams 0"), "{rendered}");
        assert_eq!(merged([rendered.as_str()]), rendered);
    }
}
