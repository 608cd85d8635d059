//! The records of a replay, decided again one after the other and counted: what stays, and what flips into what?

use std::collections::BTreeMap;

use hardtack::audit::Verdict;
use hardtack::cause::RecordedCause;
use hardtack::replay::{ReplayError, Replayed, replay};
use hardtack::ruling::Ruling;
use hardtack::{AuditRecord, Cause, Decision, Policy, Timestamp};
use serde::Serialize;

/// The most examples that a report has of each group of decisions.
const EXAMPLES: usize = 3;

/// The result of deciding many records again ([`Replay::report`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ReplayReport {
    /// The number of records that were read, whatever they tell.
    pub(crate) records: u64,
    /// The number of these in which policies had no part.
    pub(crate) without_policies: u64,
    /// The number of decisions that stay as they are.
    pub(crate) stay: u64,
    /// The number of decisions with another verdict or cause.
    pub(crate) flip: u64,
    /// The number of decisions of which nothing can be said, since their records keep no request.
    pub(crate) not_kept: u64,
    /// The number of decisions of which nothing can be said, since they rest on arguments that were not kept.
    pub(crate) rest_on_arguments: u64,
    /// The decisions with another verdict or cause, in groups of the same kind; the largest group comes first.
    pub(crate) flips: Vec<Flips>,
}

/// A group of decisions that become another verdict or cause in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Flips {
    /// The operation of these calls.
    pub(crate) operation: String,
    /// The recorded verdict, and its cause if there is one: `deny (nothing_allows)`.
    pub(crate) from: String,
    /// The verdict under the other policies, in the same form.
    pub(crate) to: String,
    /// The place in the other policies where it was decided, as file and line.
    pub(crate) place: Option<String>,
    /// The number of decisions in the group.
    pub(crate) count: u64,
    /// The first decisions of the group, [`EXAMPLES`] at most.
    pub(crate) examples: Vec<Example>,
}

/// A decision that becomes another verdict or cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Example {
    /// The number of its record.
    pub(crate) sequence: u64,
    /// The moment at which it was decided.
    pub(crate) time: Timestamp,
    /// The subject, whose rights were used.
    pub(crate) subject: String,
    /// The agent that acted; `None` if the subject acted itself.
    pub(crate) agent: Option<String>,
    /// The message of the decision under the other policies.
    pub(crate) message: String,
}

/// Decides records again by other policies, one after the other, and counts what becomes of them.
#[derive(Debug)]
pub(crate) struct Replay {
    policy: Policy,
    report: ReplayReport,
    groups: BTreeMap<(String, String, String, Option<String>), Flips>,
}

impl Replay {
    /// Begins a replay by `policy`, with nothing read yet.
    pub(crate) fn by(policy: Policy) -> Replay {
        Replay { policy, report: ReplayReport::default(), groups: BTreeMap::new() }
    }

    /// Decides one record again and counts the result.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] for a record that no guard can have written; it is not counted.
    pub(crate) fn read(&mut self, record: &AuditRecord) -> Result<(), ReplayError> {
        let replayed = replay(record, &self.policy)?;
        self.report.records += 1;
        match (replayed, record.decision()) {
            (Replayed::NotKept, _) => self.report.not_kept += 1,
            (Replayed::RestsOnArguments, _) => self.report.rest_on_arguments += 1,
            (Replayed::Decided(ruling), Some(decision)) => match ruling.differs_from(decision) {
                true => self.flip(record, decision, ruling),
                false => self.report.stay += 1,
            },
            (Replayed::WithoutPolicies | Replayed::Decided(_), _) => {
                self.report.without_policies += 1;
            }
        }
        Ok(())
    }

    /// Ends the replay and returns what became of the records.
    pub(crate) fn report(self) -> ReplayReport {
        let mut flips: Vec<Flips> = self.groups.into_values().collect();
        flips.sort_by_key(|flips| std::cmp::Reverse(flips.count));
        ReplayReport { flips, ..self.report }
    }

    fn flip(&mut self, record: &AuditRecord, decision: &Decision, ruling: Ruling) {
        self.report.flip += 1;
        let from = summary(decision.verdict, decision.cause.as_ref().map(RecordedCause::as_str));
        let to = summary(ruling.verdict, ruling.cause.map(Cause::as_str));
        let operation = decision.operation.clone();
        let key = (operation.clone(), from.clone(), to.clone(), ruling.place.clone());
        let flips = self.groups.entry(key).or_insert_with(|| Flips {
            operation,
            from,
            to,
            place: ruling.place,
            count: 0,
            examples: Vec::new(),
        });
        flips.count += 1;
        if flips.examples.len() < EXAMPLES {
            let chain = decision.chain.as_ref();
            let agent = chain.and_then(|chain| chain.hops.last());
            flips.examples.push(Example {
                sequence: record.sequence,
                time: record.time,
                subject: chain.map(|chain| chain.subject.clone()).unwrap_or_default(),
                agent: agent.map(|hop| hop.delegate.clone()),
                message: ruling.message,
            });
        }
    }
}

fn summary(verdict: Verdict, cause: Option<&str>) -> String {
    cause.map_or(verdict.to_string(), |cause| format!("{verdict} ({cause})"))
}

#[cfg(test)]
mod tests {
    use hardtack::audit::Keep;
    use hardtack::{Call, Delegation, Grant, Presenting, Revocation, Store};
    use hardtack_testkit::{AUDIENCE, Cast, NOW, revoke, search};

    use super::*;

    fn records(store: &Store) -> Vec<AuditRecord> {
        store.reader().records(1).map(|line| line.unwrap().record().unwrap()).collect()
    }

    #[test]
    fn what_policies_had_no_part_in_and_what_was_not_kept_is_counted_as_such() {
        let cast = Cast::new();
        let store = Store::in_memory().unwrap();
        let guard = cast.guard(&store);
        let bearer = cast.presented();
        guard.check(bearer.bearer(), &search(), NOW).unwrap();
        guard.check(bearer.bearer(), &Call::tool("pay").unwrap(), NOW).unwrap_err();
        guard.check("nonsense", &search(), NOW).unwrap_err();
        revoke(&store, Revocation::Agent { agent: "agent.other".to_owned() });
        let mut replaying = Replay::by(Policy::builtin());
        records(&store).iter().for_each(|record| replaying.read(record).unwrap());
        let report = replaying.report();
        assert_eq!((report.records, report.without_policies, report.not_kept), (4, 3, 1));
        assert_eq!((report.stay, report.flip, report.rest_on_arguments), (0, 0, 0));
    }

    #[test]
    fn flips_are_grouped_with_three_examples() {
        let cast = Cast::new();
        let store = Store::in_memory().unwrap();
        let guard = cast.guard(&store).keep_requests(Keep::Arguments);
        let grant =
            Grant::to("user:alice").scope("tools:call:*").holder(cast.orchestrator.public());
        let grant = cast.issuer().mint(grant, NOW).unwrap();
        let part = Delegation::to("agent.researcher").scope("tools:call:*").reason("find");
        let part = part.holder(cast.researcher.public());
        let token = grant.delegate(part, &cast.orchestrator, NOW).unwrap();
        let presented = token.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
        let bearer = presented.bearer();
        for amount in [10, 50, 200, 300, 400, 500] {
            let arguments = format!(r#"{{"amount": {amount}}}"#);
            let call = Call::tool("pay").unwrap().arguments(&arguments).unwrap();
            guard.check(bearer, &call, NOW).unwrap();
        }
        let new = "allow if granted($op);\ndeny if arg(\"amount\", $a), $a > 100;";
        let mut replaying = Replay::by(Policy::parse("new.datalog", new).unwrap());
        records(&store).iter().for_each(|record| replaying.read(record).unwrap());
        let report = replaying.report();
        assert_eq!((report.stay, report.flip), (2, 4));
        let [flips] = report.flips.as_slice() else { panic!("{report:?}") };
        assert_eq!((flips.from.as_str(), flips.to.as_str()), ("allow", "deny (policy_denied)"));
        assert_eq!((flips.place.as_deref(), flips.count), (Some("new.datalog:2"), 4));
        let told: Vec<_> = flips.examples.iter().map(|example| example.sequence).collect();
        assert_eq!(told, [3, 4, 5]);
        assert_eq!(flips.examples[0].agent.as_deref(), Some("agent.researcher"));
    }
}
