//! Policy metrics: which policies and roots are in force, what came of a candidate beside them (shadow mode), and of new ones.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::metrics::registry;
use hardtack::audit::Verdict;
use hardtack::guard::Guard;

/// The result of an attempt to exchange policies, roots, certificates or servers ([`Reloads::count`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// The new ones decide, are the candidate, are trusted, or are there, from now on.
    Loaded,
    /// The new ones are the same as before.
    Unchanged,
    /// The new ones cannot be loaded, are policies that do not pass their cases, or are no servers that can be. The others stay.
    Refused,
}

/// A counter of attempts to exchange policies, roots or servers, which `/metrics` shows. The gateway makes no attempts itself.
#[derive(Debug, Clone, Default)]
pub struct Reloads(Family<Attempt, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    result: &'static str,
}

impl Reloads {
    /// Counts one attempt by its result.
    pub fn count(&self, result: Reload) {
        let result = match result {
            Reload::Loaded => "loaded",
            Reload::Unchanged => "unchanged",
            Reload::Refused => "refused",
        };
        self.0.get_or_create(&Attempt { result }).inc();
    }

    pub(crate) fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.0.clone());
    }
}

#[derive(Clone)]
pub(crate) struct PolicyMetrics {
    registry: Arc<Registry>,
    pub(crate) reloads: Reloads,
    /// Of the only server; of several, the roots are the same.
    pub(crate) root_reloads: Reloads,
}

impl PolicyMetrics {
    /// Of the only server, or of one of several, by its name.
    pub(crate) fn of(guard: &Arc<Guard>, server: Option<&str>) -> PolicyMetrics {
        let mut registry = registry(server);
        let reloads = Reloads::default();
        let attempts = reloads.0.clone();
        registry.register("policy_reloads", "Policies loaded anew, by what came of it", attempts);
        let root_reloads = Reloads::default();
        if server.is_none() {
            register_root_reloads(&mut registry, &root_reloads);
        }
        registry.register_collector(Box::new(InForce(Arc::clone(guard))));
        PolicyMetrics { registry: Arc::new(registry), reloads, root_reloads }
    }

    /// In the OpenMetrics text format, to be followed by others.
    pub(crate) fn render(&self, rendered: &mut String) {
        // Writing to a string does not fail.
        let _ = text::encode_registry(rendered, &self.registry);
    }
}

impl fmt::Debug for PolicyMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PolicyMetrics")
    }
}

/// What is counted of a process with several servers, besides what is counted of each.
pub(crate) struct ProcessMetrics {
    registry: Registry,
    pub(crate) root_reloads: Reloads,
    pub(crate) settings_reloads: Reloads,
    pub(crate) servers: Gauge<i64, AtomicI64>,
}

impl ProcessMetrics {
    pub(crate) fn new() -> ProcessMetrics {
        let mut registry = registry(None);
        let (root_reloads, settings_reloads) = (Reloads::default(), Reloads::default());
        let servers = Gauge::default();
        register_root_reloads(&mut registry, &root_reloads);
        let attempts = settings_reloads.0.clone();
        let help = "The file of settings read anew, by what came of it";
        registry.register("settings_reloads", help, attempts);
        registry.register("servers", "Servers that are there now", servers.clone());
        ProcessMetrics { registry, root_reloads, settings_reloads, servers }
    }

    /// In the OpenMetrics text format, to be followed by others.
    pub(crate) fn render(&self, rendered: &mut String) {
        // Writing to a string does not fail.
        let _ = text::encode_registry(rendered, &self.registry);
    }
}

impl fmt::Debug for ProcessMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProcessMetrics")
    }
}

fn register_root_reloads(registry: &mut Registry, reloads: &Reloads) {
    let attempts = reloads.0.clone();
    registry.register("root_reloads", "Roots read anew, by what came of it", attempts);
}

/// What a guard says of itself when it is asked.
#[derive(Debug)]
struct InForce(Arc<Guard>);

impl Collector for InForce {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let candidate = self.0.candidate();
        let sets = [("live", Some(self.0.policy())), ("candidate", candidate)];
        let help = "The policies that decide, and those that are tried beside them";
        let mut info = encoder.encode_descriptor("policy", help, None, MetricType::Info)?;
        for (set, policy) in sets.iter().filter_map(|(set, policy)| Some((set, policy.as_ref()?))) {
            info.encode_info(&[("set", *set), ("digest", policy.digest())])?;
        }
        let help = "The root keys that are trusted, by their names in records";
        let mut info = encoder.encode_descriptor("root", help, None, MetricType::Info)?;
        let roots = self.0.verifier().roots();
        // A key that is trusted under two key ids is there once.
        for name in roots.names().collect::<BTreeSet<_>>() {
            info.encode_info(&[("name", name)])?;
        }
        let counts = self.0.shadow_counts();
        let help = "Decisions that a candidate made, too";
        let metric =
            encoder.encode_descriptor("shadow_decisions", help, None, MetricType::Counter)?;
        ConstCounter::new(counts.decisions).encode(metric)?;
        let help = "Of these, those that it made otherwise, by the verdict in force and its own";
        let mut metric =
            encoder.encode_descriptor("shadow_differences", help, None, MetricType::Counter)?;
        for (live, candidate, count) in counts.differences {
            let labels = [("live", name_of(live)), ("candidate", name_of(candidate))];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn name_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
        Verdict::Undecided => "undecided",
    }
}
