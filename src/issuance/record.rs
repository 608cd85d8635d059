//! Record: what does the log of an issuer say of a request?

use std::sync::Arc;

use crate::audit::{AuditChain, Decision, Verdict};
use crate::capability::Capability;
use crate::cause::{Class, RecordedCause};
use crate::issuance::{Issuance, Issued, Refused};
use crate::names;
use crate::timestamp::Timestamp;

/// The operation of such a record.
const ISSUE: &str = "hardtack:issue";

/// Returns what is recorded of a request before it is answered: who, by which rules, from which assertion, for which key. `asked` says in
/// words who asked and by what, such as `assertion 1f… of acme, for key ed25519/…`; it holds no token. A chain stands in it if something
/// was issued: its grant can be revoked by that id.
pub fn record(
    set: &Issuance,
    outcome: Result<(&Issued, &Capability), &Refused>,
    asked: &str,
    issuer: &str,
    now: Timestamp,
) -> Decision {
    let asked = names::escaped(&asked);
    let (verdict, cause, message, chain) = match outcome {
        Ok((issued, capability)) => {
            let chain = AuditChain::authentic(capability.chain(), issuer);
            let chain = AuditChain { verified: true, ..chain };
            (Verdict::Allow, None, said(issued, &asked), Some(Arc::new(chain)))
        }
        Err(refused) => {
            let cause = refused.cause();
            let verdict = match cause.class() {
                Class::Undecided => Verdict::Undecided,
                _ => Verdict::Deny,
            };
            let message = format!("{}; {asked}", names::escaped(refused));
            (verdict, Some(RecordedCause::from(cause)), message, None)
        }
    };
    Decision {
        time: now,
        verdict,
        cause,
        hop: None,
        message,
        operation: ISSUE.to_owned(),
        resource: None,
        chain,
        policy: set.digest().to_owned(),
        unrecorded: 0,
        precedes_revocation: false,
        candidate: None,
        request: None,
    }
}

fn said(issued: &Issued, asked: &str) -> String {
    let scopes: Vec<&str> = issued.scopes.iter().map(|scope| scope.as_str()).collect();
    let offered: Vec<String> = issued.offered_at.iter().map(ToString::to_string).collect();
    let servers = match issued.audiences.as_slice() {
        [] => "any server".to_owned(),
        names => names.join(" "),
    };
    format!(
        "issued {} for {servers}, {} s and {} hops; let in by {}, offered at {}; {asked}",
        scopes.join(" "),
        issued.seconds,
        issued.depth,
        issued.allowed_at,
        offered.join(" ")
    )
}
