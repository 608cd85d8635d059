//! OCSF: records as events of the Open Cybersecurity Schema Framework, version 1.6.0.
//!
//! Decisions are API Activity (class 6003) with the security-control profile, which says what was
//! allowed and what denied; everything else is Entity Management (class 3004): a revocation or a
//! restored store is something that was managed. What the schema has no place for stands in
//! `unmapped`, under the record's own names.

use hardtack::audit::{AuditEvent, Verdict};
use hardtack::{AuditRecord, Decision};
use serde_json::{Value, json};

const OCSF_VERSION: &str = "1.6.0";

/// OCSF counts a class's events from its number times a hundred.
const fn type_uid(class: u32, activity: u32) -> u32 {
    class * 100 + activity
}

/// Returns a record as one event of OCSF 1.6.0, as a JSON object: a decision as API Activity (class 6003), any other record as Entity
/// Management (class 3004). What the schema has no place for stands in `unmapped`.
pub(crate) fn ocsf(record: &AuditRecord) -> Value {
    let mut event = match &record.event {
        AuditEvent::Decision(decision) => decision_event(decision),
        AuditEvent::Revocation(notice) => managed(
            ("Disable", 9),
            "revocation",
            &notice.revocation.to_string(),
            &notice.by,
            Some(&notice.reason),
        ),
        AuditEvent::Collection(_) => {
            managed(("Delete", 4), "revocations", "revocations that expired", "hardtack", None)
        }
        AuditEvent::Restoration(_) => {
            managed(("Update", 3), "store", "the store was restored", "hardtack", None)
        }
        _ => managed(("Other", 99), "store", "something that has no name here", "hardtack", None),
    };
    let unmapped = serde_json::to_value(&record.event).unwrap_or_default();
    let members = [
        ("time", json!(record.time.unix_seconds() * 1000)),
        (
            "metadata",
            json!({
                "version": OCSF_VERSION,
                "product": {
                    "name": "Hardtack",
                    "vendor_name": "Hardtack",
                    "version": env!("CARGO_PKG_VERSION"),
                },
                "profiles": ["security_control"],
                "sequence": record.sequence,
            }),
        ),
        ("unmapped", unmapped),
    ];
    if let Value::Object(event) = &mut event {
        event.extend(members.map(|(name, value)| (name.to_owned(), value)));
    }
    event
}

fn decision_event(decision: &Decision) -> Value {
    // What is known of an operation is its name; whether it reads or writes is the tool's business.
    let (class, activity) = (6003, 99);
    let (action, disposition, status, severity) = match decision.verdict {
        Verdict::Allow => ((1, "Allowed"), (1, "Allowed"), (1, "Success"), (1, "Informational")),
        Verdict::Deny => ((2, "Denied"), (2, "Blocked"), (2, "Failure"), (3, "Medium")),
        Verdict::Undecided => ((2, "Denied"), (99, "Undecided"), (2, "Failure"), (2, "Low")),
    };
    let chain = decision.chain.as_ref();
    let subject = chain.map_or("unknown", |chain| &chain.subject);
    let agent = chain.and_then(|chain| chain.hops.last()).map(|hop| hop.delegate.as_str());
    let service = chain.and_then(|chain| chain.audience.as_deref()).unwrap_or("unknown");
    let mut event = json!({
        "class_uid": class, "class_name": "API Activity",
        "category_uid": 6, "category_name": "Application Activity",
        "activity_id": activity, "activity_name": "Call",
        "type_uid": type_uid(class, activity), "type_name": "API Activity: Call",
        "severity_id": severity.0, "severity": severity.1,
        "action_id": action.0, "action": action.1,
        "disposition_id": disposition.0, "disposition": disposition.1,
        "status_id": status.0, "status": status.1,
        "status_code": decision.cause,
        "message": decision.message,
        "actor": { "user": { "uid": subject, "name": subject }, "app_name": agent },
        "api": { "operation": decision.operation, "service": { "name": service } },
        // The schema demands one. Who sent the request is the door's to know; here it is the agent.
        "src_endpoint": { "name": agent.unwrap_or(subject) },
        "policy": { "uid": decision.policy },
    });
    if let (Value::Object(event), Some(uri)) = (&mut event, &decision.resource) {
        event.insert("resources".to_owned(), json!([{ "uid": uri }]));
    }
    drop_nulls(&mut event);
    event
}

fn managed(
    (activity, id): (&str, u32),
    kind: &str,
    what: &str,
    who: &str,
    comment: Option<&str>,
) -> Value {
    let class = 3004;
    let mut event = json!({
        "class_uid": class, "class_name": "Entity Management",
        "category_uid": 3, "category_name": "Identity & Access Management",
        "activity_id": id, "activity_name": activity,
        "type_uid": type_uid(class, id), "type_name": format!("Entity Management: {activity}"),
        "severity_id": 2, "severity": "Low",
        "action_id": 1, "action": "Allowed",
        "status_id": 1, "status": "Success",
        "actor": { "user": { "name": who } },
        "entity": { "type": kind, "name": what },
        "comment": comment,
    });
    drop_nulls(&mut event);
    event
}

/// OCSF leaves out what is not known.
fn drop_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| !member.is_null());
        members.values_mut().for_each(drop_nulls);
    }
}

#[cfg(test)]
mod tests {
    use hardtack_testkit::NOW;

    use super::*;
    use crate::command::audit::tests::records;

    #[test]
    fn records_are_events_of_the_open_cybersecurity_schema() {
        for record in records(5) {
            let event = ocsf(&record);
            let number =
                |name: &str| event[name].as_u64().unwrap_or_else(|| panic!("{name}: {event}"));
            assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
            assert_eq!(number("category_uid"), number("class_uid") / 1000);
            assert_eq!(number("time"), NOW.unix_seconds() * 1000);
            assert!((1..=6).contains(&number("severity_id")));
            assert_eq!(event["metadata"]["version"], "1.6.0");
            assert!(event["actor"].is_object());
            let demanded = if number("class_uid") == 6003 {
                ["api", "src_endpoint"]
            } else {
                ["entity", "actor"]
            };
            assert!(demanded.iter().all(|name| event[name].is_object()), "{event}");
        }
    }
}
