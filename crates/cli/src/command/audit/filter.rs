//! Filter: which records somebody wants to see.

use hardtack::audit::{AuditEvent, Verdict};
use hardtack::store::Sought;
use hardtack::{AuditRecord, Decision, Operation, Revocation, Scope, Timestamp};

/// Conditions on records, all of which must hold. The default filter is empty and passes everything.
///
/// Subject, agent, operation and verdict are asked of decisions. A revocation passes a subject or an agent that it names itself, and no
/// operation and no verdict. Records of collections and restorations pass none of the four.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Passes decisions on the rights of this subject.
    pub(crate) subject: Option<String>,
    /// Passes decisions with an agent of this name anywhere in the chain.
    pub(crate) agent: Option<String>,
    /// Passes decisions on operations that this scope covers: one operation, or a pattern with `*`.
    pub(crate) operation: Option<Scope>,
    /// Passes decisions with this verdict.
    pub(crate) verdict: Option<Verdict>,
    /// Passes records of this moment and later.
    pub(crate) since: Option<Timestamp>,
    /// Passes records from before this moment.
    pub(crate) until: Option<Timestamp>,
}

impl Filter {
    /// The same for the store, which passes over stretches that have nothing. A pattern of operations it does not know.
    pub(crate) fn sought(&self) -> Sought {
        let mut sought = Sought::default();
        sought.subject.clone_from(&self.subject);
        sought.agent.clone_from(&self.agent);
        let operation = self.operation.as_ref().map(Scope::as_str);
        sought.operation = operation.filter(|scope| !scope.contains('*')).map(str::to_owned);
        (sought.verdict, sought.since, sought.until) = (self.verdict, self.since, self.until);
        sought
    }

    /// Returns whether the record meets all conditions.
    pub(crate) fn passes(&self, record: &AuditRecord) -> bool {
        let in_time = self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until);
        in_time
            && match &record.event {
                AuditEvent::Decision(decision) => self.passes_decision(decision),
                AuditEvent::Revocation(notice) => self.passes_revocation(&notice.revocation),
                _ => self.subject.is_none() && self.agent.is_none() && self.asks_for_no_call(),
            }
    }

    fn passes_decision(&self, decision: &Decision) -> bool {
        let chain = decision.chain.as_ref();
        let subject = self
            .subject
            .as_ref()
            .is_none_or(|wanted| chain.is_some_and(|chain| chain.subject == *wanted));
        let agent = self.agent.as_ref().is_none_or(|wanted| {
            chain.is_some_and(|chain| chain.hops.iter().any(|hop| hop.delegate == *wanted))
        });
        let operation = self.operation.as_ref().is_none_or(|scope| {
            decision.operation.parse::<Operation>().is_ok_and(|asked| scope.covers(&asked))
        });
        subject
            && agent
            && operation
            && self.verdict.is_none_or(|wanted| decision.verdict == wanted)
    }

    fn passes_revocation(&self, revocation: &Revocation) -> bool {
        let subject = self.subject.as_ref().is_none_or(
            |wanted| matches!(revocation, Revocation::Subject { subject, .. } if subject == wanted),
        );
        let agent = self.agent.as_ref().is_none_or(
            |wanted| matches!(revocation, Revocation::Agent { agent } | Revocation::AgentUntilNow { agent } if agent == wanted),
        );
        subject && agent && self.asks_for_no_call()
    }

    fn asks_for_no_call(&self) -> bool {
        self.operation.is_none() && self.verdict.is_none()
    }
}

#[cfg(test)]
mod tests {
    use hardtack_testkit::{NOW, minutes};

    use super::*;
    use crate::command::audit::tests::records;

    #[test]
    fn records_are_found_by_what_they_say() {
        let records = records(50);
        let count = |filter: Filter| records.iter().filter(|record| filter.passes(record)).count();
        let filter = Filter::default;
        assert_eq!(count(filter()), 50);
        assert_eq!(count(Filter { subject: Some("user:alice".into()), ..filter() }), 30);
        assert_eq!(count(Filter { subject: Some("user:bob".into()), ..filter() }), 0);
        assert_eq!(count(Filter { agent: Some("agent.researcher".into()), ..filter() }), 30);
        assert_eq!(count(Filter { agent: Some("agent.7".into()), ..filter() }), 1);
        assert_eq!(count(Filter { verdict: Some(Verdict::Deny), ..filter() }), 20);
        let scope = |text: &str| Some(text.parse::<Scope>().unwrap());
        assert_eq!(count(Filter { operation: scope("tools:call:delete"), ..filter() }), 10);
        assert_eq!(count(Filter { operation: scope("tools:call:*"), ..filter() }), 40);
        assert_eq!(
            count(Filter { since: Some(NOW), until: Some(NOW + minutes(1)), ..filter() }),
            50
        );
        assert_eq!(count(Filter { until: Some(NOW), ..filter() }), 0);
    }
}
