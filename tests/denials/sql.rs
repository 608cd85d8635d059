//! The denials of a SQL server.

use crate::scene::{Denial, denied};

/// From the prose: "Public tables may be read, a thousand rows at a time; personal ones by who has the clearance.
/// Changing rows is for administrators, a hundred at a time. Migrations run in their windows. Exports are made by the
/// exporter alone. A table is dropped by an administrator, approved, and by a token for that. Nobody drops by text, no
/// contractor exports, and who is suspended does nothing."
const SET: &str = r#"
public("orders"); public("products");
personal("customers"); personal("invoices");
window(2026-11-28T22:00:00Z, 2026-11-29T04:00:00Z); window(2026-12-05T22:00:00Z, 2026-12-06T04:00:00Z); window(2026-11-14T22:00:00Z, 2026-11-15T04:00:00Z);
exporter("KEY(agent.exporter)");
suspended("user:mallory");
quota("reader", 100); quota("analyst", 5000);

readable($table) <- public($table);
readable($table) <- clearance("personal"), personal($table);
approved(true) <- delegated_key($hop, "KEY(agent.approval)", $to);
outside($table) <- arg("table", $table), $table.starts_with("pg_");

allow if tool("query"), granted($op), arg("table", $table), readable($table), arg("limit", $rows), $rows.type() == "integer", $rows >= 1, $rows <= 1000;
allow if tool("update"), granted($op), role("dba"), arg("table", $table), public($table), arg("rows", $rows), $rows <= 100;
allow if tool("migrate"), granted($op), role("dba"), time($now), window($from, $until), $now >= $from, $now < $until;
allow if tool("export"), granted($op), agent_key($key), exporter($key), arg("format", $format), ["csv", "parquet"].contains($format);
allow if tool("drop_table"), granted($op), team("sales"), presented("call");
allow if tool("drop_table"), granted($op), role("dba"), approved(true), presented("call");
allow if tool("backup"), granted($op), role("dba"), time($now), $now < 2026-11-20T00:00:00Z;
allow if tool("report"), granted($op), level($level), quota($level, $most), arg("rows", $rows), $rows.type() == "integer", $rows <= $most;
allow if tool("explain"), granted($op), arg("analyze", $analyze), $analyze.type() == "bool";
allow if tool("vacuum"), granted($op), role("dba"), delegated($hop, "agent.ops", $to);

deny if arg("sql", $sql), $sql.type() == "string", $sql.contains("DROP");
deny if subject($who), suspended($who);
deny if role("contractor"), tool("export");
deny if outside($table);
deny if tool("query"), arg("limit", $rows), $rows.type() == "integer", $rows > 500, presented("session");
"#;

fn of(name: &'static str, tool: &str, arguments: &str) -> Denial {
    denied(name, SET, tool, arguments)
}

pub(crate) fn denials() -> Vec<Denial> {
    vec![
        of("more rows than may be read at once", "query", r#"{"table": "orders", "limit": 5000}"#)
            .hop("agent.a", &[])
            .call_bound()
            .policy("allow if tool(\"query\")", &["argument limit", "present call"]),
        of("a limit as text", "query", r#"{"table": "orders", "limit": "50"}"#)
            .hop("agent.a", &[])
            .policy("allow if tool(\"query\")", &["argument limit"])
            .says(&[
                "limit is the text \"50\", and a whole number is asked",
                "for example limit=50",
            ]),
        of("a limit with a fraction", "query", r#"{"table": "orders", "limit": 1.5}"#)
            .hop("agent.a", &[])
            .policy("allow if tool(\"query\")", &["argument limit"])
            .says(&["and a whole number is asked"]),
        of("a limit below one", "query", r#"{"table": "orders", "limit": 0}"#)
            .hop("agent.a", &[])
            .policy("allow if tool(\"query\")", &["argument limit"])
            .says(&["limit is 0"]),
        of("no limit", "query", r#"{"table": "orders"}"#)
            .hop("agent.a", &[])
            .policy("allow if tool(\"query\")", &["argument limit"])
            .says(&["there is no argument \"limit\""]),
        of("a personal table without clearance", "query", r#"{"table": "customers", "limit": 5}"#)
            .hop("agent.a", &[])
            .policy("allow if tool(\"query\")", &["argument table"]),
        of("many rows in a session", "query", r#"{"table": "orders", "limit": 800}"#)
            .hop("agent.a", &[])
            .cause("policy_denied", None)
            .policy("deny if tool(\"query\")", &["argument limit"])
            .says(&["limit <= 500"]),
        of("a system table", "query", r#"{"table": "pg_user", "limit": 5}"#)
            .hop("agent.a", &[])
            .cause("policy_denied", None)
            .policy("deny if outside", &["argument table"]),
        of(
            "rows as text, where nobody asks the type",
            "update",
            r#"{"table": "orders", "rows": "7"}"#,
        )
        .facts(&[r#"role("dba")"#])
        .hop("agent.a", &[])
        .cause("not_evaluable", None)
        .policy("allow if tool(\"update\")", &["argument rows"])
        .says(&["rows is the text \"7\", and a whole number is asked"]),
        of("an update by who is no administrator", "update", r#"{"table": "orders", "rows": 7}"#)
            .facts(&[r#"role("reader")"#])
            .hop("agent.a", &[])
            .policy("allow if tool(\"update\")", &[r#"fact role("dba")"#]),
        of(
            "an update of more, by who is none either",
            "update",
            r#"{"table": "orders", "rows": 700}"#,
        )
        .hop("agent.a", &[])
        .policy("allow if tool(\"update\")", &[r#"fact role("dba")"#, "argument rows"]),
        of("a migration on a Monday", "migrate", "{}")
            .facts(&[r#"role("dba")"#])
            .hop("agent.a", &[])
            .policy("allow if tool(\"migrate\")", &["wait 2026-11-28T22:00:00Z"])
            .says(&["closed until 2026-11-28T22:00:00Z"]),
        of("a migration between two windows", "migrate", "{}")
            .facts(&[r#"role("dba")"#])
            .hop("agent.a", &[])
            .at("2026-11-29T04:00:00Z")
            .policy("allow if tool(\"migrate\")", &["wait 2026-12-05T22:00:00Z"]),
        of("a migration after the last window", "migrate", "{}")
            .facts(&[r#"role("dba")"#])
            .hop("agent.a", &[])
            .at("2027-01-01T00:00:00Z")
            .policy("allow if tool(\"migrate\")", &["policy"])
            .for_people(),
        of("an export by another agent", "export", r#"{"format": "csv"}"#)
            .hop("agent.a", &[])
            .policy("allow if tool(\"export\")", &["to agent.exporter"]),
        of("an export by the subject itself", "export", r#"{"format": "csv"}"#)
            .policy("allow if tool(\"export\")", &["to agent.exporter"]),
        of("an export in a form that we have not", "export", r#"{"format": "xlsx"}"#)
            .hop("agent.exporter", &[])
            .policy("allow if tool(\"export\")", &["argument format"]),
        of("an export by a contractor", "export", r#"{"format": "csv"}"#)
            .facts(&[r#"role("contractor")"#])
            .hop("agent.exporter", &[])
            .cause("policy_denied", None)
            .policy("deny if role(\"contractor\")", &[r#"no fact role("contractor")"#]),
        of("a table that nobody approved to drop", "drop_table", r#"{"table": "tmp"}"#)
            .facts(&[r#"role("dba")"#])
            .hop("agent.a", &[])
            .call_bound()
            .policy(
                "allow if tool(\"drop_table\"), granted($op), role",
                &["by way of agent.approval"],
            ),
        of("the same in a session", "drop_table", r#"{"table": "tmp"}"#)
            .facts(&[r#"role("dba")"#])
            .hop("agent.a", &[])
            .hop("agent.b", &[])
            .policy(
                "allow if tool(\"drop_table\"), granted($op), role",
                &["by way of agent.approval", "present call"],
            ),
        of(
            "a table that is dropped by text",
            "query",
            r#"{"table": "orders", "limit": 5, "sql": "DROP TABLE orders"}"#,
        )
        .hop("agent.a", &[])
        .cause("policy_denied", None)
        .policy("deny if arg(\"sql\"", &["argument sql"])
        .for_people(),
        of("who is suspended", "query", r#"{"table": "orders", "limit": 5}"#)
            .subject("user:mallory")
            .hop("agent.a", &[])
            .cause("policy_denied", None)
            .policy("deny if subject($who)", &["policy without"]),
        of("a backup after the time for it", "backup", "{}")
            .facts(&[r#"role("dba")"#])
            .hop("agent.a", &[])
            .policy("allow if tool(\"backup\")", &["policy"])
            .says(&["over"])
            .for_people(),
        of("a report of more than a reader may have", "report", r#"{"rows": 101}"#)
            .facts(&[r#"level("reader")"#])
            .hop("agent.a", &[])
            .policy("allow if tool(\"report\")", &["argument rows"])
            .says(&["rows <= 100"]),
        of("a report of more than either level may have", "report", r#"{"rows": 6000}"#)
            .facts(&[r#"level("reader")"#, r#"level("analyst")"#])
            .hop("agent.a", &[])
            .policy("allow if tool(\"report\")", &["argument rows"])
            .says(&["rows <= 5000"]),
        of("a report by somebody without a level", "report", r#"{"rows": 50}"#)
            .hop("agent.a", &[])
            .policy("allow if tool(\"report\")", &[r#"fact level("reader")"#]),
        of("a large report by somebody without a level", "report", r#"{"rows": 2000}"#)
            .hop("agent.a", &[])
            .policy("allow if tool(\"report\")", &[r#"fact level("analyst")"#]),
        of("true as text", "explain", r#"{"analyze": "true"}"#)
            .hop("agent.a", &[])
            .policy("allow if tool(\"explain\")", &["argument analyze"])
            .says(&["analyze is the text \"true\", and true or false is asked"]),
        of("what comes not by way of operations", "vacuum", "{}")
            .facts(&[r#"role("dba")"#])
            .hop("agent.a", &[])
            .policy("allow if tool(\"vacuum\")", &["to agent.ops"]),
        of("a limit of the third hop", "query", r#"{"table": "orders", "limit": 50}"#)
            .hop("agent.a", &["limit <= 500"])
            .hop("agent.b", &[])
            .hop("agent.c", &["limit <= 10"])
            .hop("agent.d", &[])
            .cause("check_failed", Some(3))
            .at_hop(3, "limit <= 10", &["argument limit"])
            .says(&["limit is 50"]),
        of("two hops that leave a little together", "query", r#"{"table": "orders", "limit": 50}"#)
            .hop("agent.a", &["limit between 20 and 40"])
            .hop("agent.b", &["limit <= 30"])
            .cause("check_failed", Some(1))
            .at_hop(1, "limit between 20 and 40", &["argument limit"]),
        of("two hops that leave nothing together", "query", r#"{"table": "orders", "limit": 25}"#)
            .hop("agent.a", &["limit <= 20"])
            .hop("agent.b", &["limit >= 30"])
            .cause("check_failed", Some(1))
            .at_hop(1, "limit <= 20", &["check 1", "check 2"]),
        of("a table of the grant's list", "query", r#"{"table": "orders", "limit": 5}"#)
            .grant(&["tools:call:*"], &["table in [products]"])
            .hop("agent.a", &[])
            .cause("check_failed", Some(0))
            .at_hop(0, "table in [\"products\"]", &["argument table"]),
    ]
}
