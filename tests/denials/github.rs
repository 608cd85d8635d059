//! The denials of a GitHub server.

use crate::scene::{Denial, Near, denied};

/// From the prose: "Anybody's agent reads our repositories. Issues get labels from our list. Developers' agents push to
/// branches of agents. Merging is for maintainers, and only once the review service has sent the agent. Deleting a branch
/// is for the maintainer's own agent, never a protected one. Nobody forces anything, and before Christmas nobody pushes."
const SET: &str = r#"
ours("acme/web"); ours("acme/api");
reading("get_file"); reading("search_code"); reading("list_issues");
protected("main"); protected("release");
review_service("KEY(agent.review)");
frozen(2026-12-20T00:00:00Z, 2027-01-02T00:00:00Z);

allow if tool($tool), reading($tool), granted($op), arg("repo", $repo), ours($repo);
allow if tool("create_issue"), granted($op), arg("repo", $repo), ours($repo), arg("labels", $labels), $labels.type() == "array", $labels.all($label -> ["bug", "docs", "feature", "help", "later", "question", "security", "triage", "wontfix", "blocked"].contains($label));
allow if tool("push"), granted($op), team($team), ["web", "api"].contains($team), arg("repo", $repo), ours($repo), arg("branch", $branch), $branch.type() == "string", $branch.starts_with("agent/");
allow if tool("merge"), granted($op), team("sales"), arg("repo", "acme/marketing");
allow if tool("merge"), granted($op), team("sales");
allow if tool("merge"), granted($op), role("maintainer"), arg("repo", $repo), ours($repo), agent_key($agent), delegated_key($hop, $service, $agent), review_service($service);
allow if tool("delete_branch"), granted($op), role("maintainer"), depth($hops), $hops <= 1, arg("branch", $branch);
allow if tool("close_issue"), granted($op), role("maintainer") or tool("close_issue"), granted($op), arg("reason", "duplicate");
allow if tool("set_topic"), granted($op), arg("topics", $topics), $topics.type() == "array", $topics.length() <= 3;
allow if tool("release"), granted($op), role("releaser"), depth(1), presented("call");

deny if tool("delete_branch"), arg("branch", $branch), protected($branch);
deny if arg("force", true);
deny if tool($tool), ["push", "merge"].contains($tool), time($now), frozen($from, $until), $now >= $from, $now < $until;
deny if agent("agent.intern"), tool("push");
check if operation($op), $op != "tools:call:push" or arg("message", $message), $message.type() == "string", $message.length() >= 10;
"#;

const PUSH: &str = r#"{"repo": "acme/web", "branch": "agent/fix", "message": "mend the header"}"#;

fn of(name: &'static str, tool: &str, arguments: &str) -> Denial {
    denied(name, SET, tool, arguments)
}

pub(crate) fn denials() -> Vec<Denial> {
    vec![
        of("a repository of others", "get_file", r#"{"repo": "evil/web"}"#)
            .hop("agent.a", &[])
            .policy("allow if tool($tool), reading", &["argument repo"]),
        of("a repository that is not said", "search_code", "{}")
            .hop("agent.a", &[])
            .policy("allow if tool($tool), reading", &["argument repo"])
            .says(&["there is no argument \"repo\""]),
        of("a label that we have not", "create_issue", r#"{"repo": "acme/web", "labels": ["bug", "urgent"]}"#)
            .hop("agent.a", &[])
            .policy("allow if tool(\"create_issue\")", &["argument labels"])
            .says(&[]),
        of("a label as text", "create_issue", r#"{"repo": "acme/web", "labels": "bug"}"#)
            .hop("agent.a", &[])
            .policy("allow if tool(\"create_issue\")", &["argument labels"])
            .says(&["labels is the text \"bug\", and a list is asked"]),
        of("a branch of people", "push", r#"{"repo": "acme/web", "branch": "main", "message": "mend the header"}"#)
            .facts(&[r#"team("web")"#])
            .hop("agent.a", &[])
            .policy("allow if tool(\"push\")", &["argument branch"]),
        of("a push by somebody of another team", "push", PUSH)
            .facts(&[r#"team("design")"#])
            .hop("agent.a", &[])
            .hop("agent.b", &[])
            .policy("allow if tool(\"push\")", &[r#"fact team("web")"#]),
        of("a push without a message", "push", r#"{"repo": "acme/web", "branch": "agent/fix"}"#)
            .facts(&[r#"team("web")"#])
            .hop("agent.a", &[])
            .cause("policy_check_failed", None)
            .policy("check if operation($op), $op != \"tools:call:push\"", &["argument message"]),
        of("a message that is too short", "push", r#"{"repo": "acme/web", "branch": "agent/fix", "message": "x"}"#)
            .facts(&[r#"team("web")"#])
            .hop("agent.a", &[])
            .cause("policy_check_failed", None)
            .policy("check if operation($op), $op != \"tools:call:push\"", &["argument message"]),
        of("a push in the freeze", "push", PUSH)
            .facts(&[r#"team("web")"#])
            .hop("agent.a", &[])
            .at("2026-12-24T10:00:00Z")
            .cause("policy_denied", None)
            .policy("deny if tool($tool), [\"push\"", &["wait 2027-01-02T00:00:00Z"])
            .says(&["closed until 2027-01-02T00:00:00Z"]),
        of("a push by force", "push", r#"{"repo": "acme/web", "branch": "agent/fix", "message": "mend the header", "force": true}"#)
            .facts(&[r#"team("web")"#])
            .hop("agent.a", &[])
            .cause("policy_denied", None)
            .policy("deny if arg(\"force\"", &["without force"]),
        of("a push by the intern", "push", PUSH)
            .facts(&[r#"team("web")"#])
            .hop("agent.a", &[])
            .hop("agent.intern", &[])
            .cause("policy_denied", None)
            .policy("deny if agent(\"agent.intern\")", &["renew 2"]),
        of("a merge that nobody reviewed", "merge", r#"{"repo": "acme/web"}"#)
            .facts(&[r#"role("maintainer")"#])
            .hop("agent.a", &[])
            .policy("allow if tool(\"merge\"), granted($op), role", &["by way of agent.review"]),
        of("the same, three hops away", "merge", r#"{"repo": "acme/api"}"#)
            .facts(&[r#"role("maintainer")"#])
            .hop("agent.a", &[])
            .hop("agent.b", &[])
            .hop("agent.c", &[])
            .policy("allow if tool(\"merge\"), granted($op), role", &["by way of agent.review"]),
        of("a merge by the reviewer itself", "merge", r#"{"repo": "acme/api"}"#)
            .facts(&[r#"role("maintainer")"#])
            .hop("agent.review", &[])
            .policy("allow if tool(\"merge\"), granted($op), role", &["by way of agent.review"]),
        of("a branch by an agent's agent", "delete_branch", r#"{"branch": "agent/fix"}"#)
            .facts(&[r#"role("maintainer")"#])
            .hop("agent.a", &[])
            .hop("agent.b", &[])
            .policy("allow if tool(\"delete_branch\")", &["caller agent.a"]),
        of("a branch, four hops away", "delete_branch", r#"{"branch": "agent/fix"}"#)
            .facts(&[r#"role("maintainer")"#])
            .hop("agent.a", &[])
            .hop("agent.b", &[])
            .hop("agent.c", &[])
            .hop("agent.d", &[])
            .policy("allow if tool(\"delete_branch\")", &["caller agent.a"]),
        of("a protected branch", "delete_branch", r#"{"branch": "main"}"#)
            .facts(&[r#"role("maintainer")"#])
            .hop("agent.a", &[])
            .cause("policy_denied", None)
            .policy("deny if tool(\"delete_branch\")", &["argument branch"])
            .says(&["branch not in [\"main\", \"release\"]"]),
        of("an issue that is no duplicate", "close_issue", r#"{"reason": "done"}"#)
            .hop("agent.a", &[])
            .policy("allow if tool(\"close_issue\")", &["argument reason"]),
        of("too many topics", "set_topic", r#"{"topics": ["a", "b", "c", "d"]}"#)
            .hop("agent.a", &[])
            .policy("allow if tool(\"set_topic\")", &["argument topics"]),
        of("a tool that no policy is about", "create_repo", r#"{"name": "x"}"#)
            .hop("agent.a", &[])
            .near(Near::Nothing, &["policy for this call"])
            .says(&["for this call alone: allow if tool(\"create_repo\"), granted($op), subject(\"user:alice\"), arg(\"name\", \"x\");"]),
        of("what the second hop does not grant", "push", PUSH)
            .facts(&[r#"team("web")"#])
            .hop("agent.a", &[])
            .hop_of("agent.b", &["tools:call:get_file"], &[])
            .cause("not_granted", Some(2))
            .at_hop(2, "does not cover tools:call:push", &["scope 2"]),
        of("what the first hop does not grant, so none below", "push", PUSH)
            .facts(&[r#"team("web")"#])
            .hop_of("agent.a", &["tools:call:get_file"], &[])
            .hop("agent.b", &[])
            .cause("not_granted", Some(1))
            .at_hop(1, "does not cover tools:call:push", &["scope 1", "scope 2"]),
        of("a repository that the second hop excludes", "push", PUSH)
            .facts(&[r#"team("web")"#])
            .hop("agent.a", &[])
            .hop("agent.b", &["repo == \"acme/api\""])
            .hop("agent.c", &[])
            .cause("check_failed", Some(2))
            .at_hop(2, "repo == \"acme/api\"", &["argument repo"]),
        of("a release in a session, by the agent's agent", "release", r#"{"tag": "v1"}"#)
            .facts(&[r#"role("releaser")"#])
            .hop("agent.a", &[])
            .hop("agent.b", &[])
            .policy("allow if tool(\"release\")", &["caller agent.a", "present call"]),
        of("a tool's name alone", "push", PUSH)
            .operation("push")
            .facts(&[r#"team("web")"#])
            .hop("agent.a", &[])
            .cause("not_granted", Some(0))
            .near(Near::Nothing, &["operation tools:call:push"])
            .for_people(),
    ]
}
