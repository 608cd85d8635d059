//! Filter: which records somebody wants to see.

use crate::audit::{AuditEvent, AuditRecord, Decision, Verdict};
use crate::scope::{Operation, Scope};
use crate::timestamp::Timestamp;

/// Conditions on records, all of which must hold. The default filter is empty and passes everything.
///
/// Subject, agent, operation and verdict are asked of decisions. A revocation passes a subject or an agent that it names itself, and no
/// operation and no verdict. Records of collections and restorations pass none of the four.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Passes decisions on the rights of this subject.
    pub subject: Option<String>,
    /// Passes decisions with an agent of this name anywhere in the chain.
    pub agent: Option<String>,
    /// Passes decisions on operations that this scope covers: one operation, or a pattern with `*`.
    pub operation: Option<Scope>,
    /// Passes decisions with this verdict.
    pub verdict: Option<Verdict>,
    /// Passes records of this moment and later.
    pub since: Option<Timestamp>,
    /// Passes records from before this moment.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Returns whether the record meets all conditions.
    pub fn passes(&self, record: &AuditRecord) -> bool {
        let in_time = self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until);
        in_time
            && match &record.event {
                AuditEvent::Decision(decision) => self.passes_decision(decision),
                AuditEvent::Revocation(notice) => self.passes_revocation(&notice.revocation),
                AuditEvent::Collection(_) | AuditEvent::Restoration(_) => {
                    self.subject.is_none() && self.agent.is_none() && self.asks_for_no_call()
                }
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

    fn passes_revocation(&self, revocation: &crate::revocation::Revocation) -> bool {
        use crate::revocation::Revocation;
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
