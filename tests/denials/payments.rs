//! The denials of a server that pays: the set of `policies/payments`.

use crate::scene::{Denial, denied};

const KEY: &str = "94ea46ff21c62812461fe59977cf26bd60cee62d2da812d715b1bdbec75f132a";

const ACCOUNT: &str = "CH9300762011623852957";

fn of(name: &'static str, tool: &str, arguments: &str) -> Denial {
    let read = |file: &str| std::fs::read_to_string(format!("policies/payments/{file}")).unwrap();
    let set = read("payments.datalog") + &read("closing.datalog");
    denied(name, &set.replace(KEY, "KEY(agent.approval)"), tool, arguments)
}

fn pay(name: &'static str, amount: &str) -> Denial {
    let arguments = format!(r#"{{"amount": {amount}, "currency": "EUR", "account": "{ACCOUNT}"}}"#);
    of(name, "pay", &arguments).facts(&[r#"role("clerk")"#])
}

pub(crate) fn denials() -> Vec<Denial> {
    vec![
        pay("more than a clerk's ceiling", "60000")
            .hop("agent.a", &[])
            .call_bound()
            .policy("allow if tool(\"pay\")", &["argument amount", "present call"])
            .says(&["amount is 60000, not amount <= 50000"]),
        pay("a payment by nobody in particular", "15000")
            .facts(&[])
            .hop("agent.a", &[])
            .policy("allow if tool(\"pay\")", &[r#"fact role("clerk")"#]),
        pay("a large payment by nobody in particular", "60000")
            .facts(&[])
            .hop("agent.a", &[])
            .call_bound()
            .policy("allow if tool(\"pay\")", &[r#"fact role("manager")"#]),
        pay("a payment as text", "\"15000\"")
            .hop("agent.a", &[])
            .cause("policy_check_failed", None)
            .policy(
                "check if operation($op), ![\"tools:call:pay\", \"tools:call:refund\"]",
                &["argument amount"],
            ),
        pay("a larger payment in a session", "30000")
            .hop("agent.a", &[])
            .hop("agent.b", &[])
            .cause("policy_check_failed", None)
            .policy(
                "check if operation($op), ![\"tools:call:pay\", \"tools:call:refund\"]",
                &["argument amount"],
            ),
        pay("nothing", "0").hop("agent.a", &[]).cause("policy_check_failed", None).policy(
            "check if operation($op), ![\"tools:call:pay\", \"tools:call:refund\"]",
            &["argument amount"],
        ),
        pay("the largest payments that nobody approved", "600000")
            .facts(&[r#"role("manager")"#])
            .hop("agent.a", &[])
            .call_bound()
            .cause("policy_check_failed", None)
            .policy(
                "check if operation($op), $op != \"tools:call:pay\"",
                &["argument amount", "present call"],
            ),
        pay("a payment three hops away", "15000")
            .hop("agent.a", &[])
            .hop("agent.b", &[])
            .hop("agent.c", &[])
            .cause("policy_denied", None)
            .policy(
                "deny if tool($name), [\"pay\", \"refund\"].contains($name), depth",
                &["caller agent.b"],
            ),
        pay("a payment when it is closed", "15000")
            .hop("agent.a", &[])
            .at("2026-12-24T12:00:00Z")
            .cause("policy_denied", None)
            .policy(
                "deny if tool($name), [\"pay\", \"refund\"].contains($name),",
                &["wait 2027-01-04T06:00:00Z"],
            )
            .says(&["closed until 2027-01-04T06:00:00Z"]),
        of(
            "a currency that we have not",
            "pay",
            &format!(r#"{{"amount": 15000, "currency": "GBP", "account": "{ACCOUNT}"}}"#),
        )
        .facts(&[r#"role("clerk")"#])
        .hop("agent.a", &[])
        .cause("policy_check_failed", None)
        .policy(
            "check if operation($op), ![\"tools:call:pay\", \"tools:call:refund\"]",
            &["argument currency"],
        )
        .says(&["currency in [\"EUR\", \"USD\", \"CHF\"]"]),
        of("no account", "pay", r#"{"amount": 15000, "currency": "EUR"}"#)
            .facts(&[r#"role("clerk")"#])
            .hop("agent.a", &[])
            .cause("policy_check_failed", None)
            .policy("check if operation($op), $op != \"tools:call:pay\"", &["argument account"])
            .for_people(),
        of(
            "an argument that nobody judges",
            "pay",
            &format!(
                r#"{{"amount": 15000, "currency": "EUR", "account": "{ACCOUNT}", "to": "x"}}"#
            ),
        )
        .facts(&[r#"role("clerk")"#])
        .hop("agent.a", &[])
        .cause("policy_denied", None)
        .policy("deny if arg($name, $value)", &["without to"]),
        of("a refund by a clerk", "refund", r#"{"amount": 1500, "currency": "EUR"}"#)
            .facts(&[r#"role("clerk")"#])
            .hop("agent.a", &[])
            .policy("allow if tool(\"refund\")", &[r#"fact role("manager")"#]),
        of(
            "a refund by a manager's agent's agent",
            "refund",
            r#"{"amount": 1500, "currency": "EUR"}"#,
        )
        .facts(&[r#"role("manager")"#])
        .hop("agent.a", &[])
        .hop("agent.b", &[])
        .policy("allow if tool(\"refund\")", &["caller agent.a"]),
        of("a look at payments by a stranger", "list_payments", "{}")
            .hop("agent.a", &[])
            .policy("allow if tool(\"list_payments\")", &[r#"fact role("clerk")"#]),
        of("another tool", "close_account", "{}")
            .facts(&[r#"role("manager")"#])
            .hop("agent.a", &[])
            .near(crate::scene::Near::Nothing, &["policy for this call"]),
        pay("an amount that the first hop bounds", "15000")
            .hop("agent.a", &["amount <= 10000"])
            .hop("agent.b", &[])
            .cause("check_failed", Some(1))
            .at_hop(1, "amount <= 10000", &["argument amount"])
            .says(&["amount is 15000", "for example amount=10000"]),
        pay("a currency that the second hop bounds", "15000")
            .hop("agent.a", &["amount <= 20000"])
            .hop("agent.b", &["currency in [CHF, USD]"])
            .cause("check_failed", Some(2))
            .at_hop(2, "currency in [\"CHF\", \"USD\"]", &["argument currency"]),
        pay("an account that the grant bounds", "15000")
            .grant(&["tools:call:*"], &["account starts with DE"])
            .hop("agent.a", &[])
            .cause("check_failed", Some(0))
            .at_hop(0, "account starts with \"DE\"", &["argument account"])
            .for_people(),
        pay("a hop that has expired", "15000")
            .hop("agent.a", &[])
            .age(700)
            .cause("expired", Some(1))
            .at_hop(1, "expired", &["renew 1"]),
        pay("a presentation to another server", "15000")
            .hop("agent.a", &[])
            .presented_to("mail.example")
            .cause("wrong_audience", None)
            .near(crate::scene::Near::Nothing, &["present here"]),
        pay("a check in Datalog about the role", "15000")
            .hop("agent.a", &[])
            .check(r#"check if role("manager")"#)
            .cause("check_failed", Some(1))
            .at_hop(1, "role(\"manager\")", &["check 1"]),
        pay("a check in Datalog about the time", "15000")
            .hop("agent.a", &[])
            .check("check if time($now), $now >= 2026-11-23T10:05:00Z")
            .cause("check_failed", Some(1))
            .at_hop(1, "closed until 2026-11-23T10:05:00Z", &["wait 2026-11-23T10:05:00Z"]),
        pay("what two hops bound differently, and the ceiling", "90000")
            .hop("agent.a", &["amount <= 40000"])
            .hop("agent.b", &["currency == EUR", "amount <= 30000"])
            .call_bound()
            .cause("check_failed", Some(1))
            .at_hop(1, "amount <= 40000", &["argument amount", "present call"]),
    ]
}
