//! Snippets: what to paste into each agent runtime. `docs/runtimes.md` has the whole programs.

use std::fmt::Write;

use crate::terminal::{BOLD, FAINT, WHOLE};

/// A runtime, and the lines that connect it, with URL and token from the environment.
const SNIPPETS: [(&str, &str); 9] = [
    (
        "Claude Code",
        r#"claude mcp add --transport http pages "$HARDTACK_URL" \
  --header "Authorization: Bearer $HARDTACK_TOKEN""#,
    ),
    (
        "Claude Agent SDK (Python)",
        r#"ClaudeAgentOptions(mcp_servers={"pages": {
    "type": "http", "url": os.environ["HARDTACK_URL"],
    "headers": {"Authorization": f"Bearer {os.environ['HARDTACK_TOKEN']}"}}})"#,
    ),
    (
        "OpenAI Agents SDK",
        r#"MCPServerStreamableHttp(params={"url": os.environ["HARDTACK_URL"],
    "headers": {"Authorization": f"Bearer {os.environ['HARDTACK_TOKEN']}"}})"#,
    ),
    (
        "LangChain, LangGraph",
        r#"MultiServerMCPClient({"pages": {
    "transport": "streamable_http", "url": os.environ["HARDTACK_URL"],
    "headers": {"Authorization": f"Bearer {os.environ['HARDTACK_TOKEN']}"}}})"#,
    ),
    (
        "LlamaIndex",
        r#"McpToolSpec(client=BasicMCPClient(os.environ["HARDTACK_URL"],
    headers={"Authorization": f"Bearer {os.environ['HARDTACK_TOKEN']}"}))"#,
    ),
    (
        "Mastra",
        r#"new MCPClient({ servers: { pages: { url: new URL(process.env.HARDTACK_URL),
    requestInit: { headers: {
        Authorization: `Bearer ${process.env.HARDTACK_TOKEN}` } } } } })"#,
    ),
    (
        "Vercel AI SDK",
        r#"await createMCPClient({ transport: {
    type: "http", url: process.env.HARDTACK_URL,
    headers: { Authorization: `Bearer ${process.env.HARDTACK_TOKEN}` } } })"#,
    ),
    (
        "Temporal (Python), in the activity: no history keeps the token",
        r#"httpx.AsyncClient(
    headers={"Authorization": f"Bearer {os.environ['HARDTACK_TOKEN']}"})"#,
    ),
    (
        "Any loop",
        r#"curl -s "$HARDTACK_URL" -H "Authorization: Bearer $HARDTACK_TOKEN" \
  -H 'Content-Type: application/json' \
  -H 'Accept: application/json, text/event-stream' \
  -H 'MCP-Protocol-Version: 2026-07-28' \
  -H 'Mcp-Method: tools/call' -H 'Mcp-Name: search' \
  -d '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
    "name": "search", "arguments": {"query": "roadmap"}, "_meta": {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientCapabilities": {},
      "io.modelcontextprotocol/clientInfo":
        {"name": "curl", "version": "1"}}}}'"#,
    ),
];

/// The snippet of a runtime, by the word for it.
pub(crate) fn of(word: &str) -> Option<&'static str> {
    let title = match word {
        "claude-agent-sdk" => "Claude Agent SDK",
        "openai-agents" => "OpenAI Agents SDK",
        "langgraph" => "LangChain",
        "llamaindex" => "LlamaIndex",
        "mastra" => "Mastra",
        "vercel-ai" => "Vercel AI SDK",
        "temporal" => "Temporal",
        _ => return None,
    };
    SNIPPETS.iter().find(|(runtime, _)| runtime.starts_with(title)).map(|(_, snippet)| *snippet)
}

/// All of them, for a gateway at `url`, with this token, which is shown once; `agent` is the URL that needs
/// none.
pub(crate) fn all(url: &str, token: &str, agent: &str) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "\n{BOLD}With a URL and a token{BOLD:#}, good for ten minutes:\n\nexport HARDTACK_URL={url}\n{WHOLE}export HARDTACK_TOKEN={token}"
    );
    let _ = writeln!(
        text,
        "\n{BOLD}With a URL alone{BOLD:#}, for an hour: the agent's end signs what comes here, so leave the header out:\n\nexport HARDTACK_URL={agent}"
    );
    for (runtime, snippet) in SNIPPETS {
        let _ = writeln!(text, "\n{WHOLE}{FAINT}# {runtime}{FAINT:#}");
        for line in snippet.lines() {
            let _ = writeln!(text, "{WHOLE}{line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As wide as the lines of examples may be.
    const WIDEST: usize = 78;

    #[test]
    fn what_is_pasted_is_not_broken_by_a_terminal_of_usual_width() {
        for line in SNIPPETS.iter().flat_map(|(_, snippet)| snippet.lines()) {
            assert!(line.chars().count() <= WIDEST, "{line}");
        }
    }
}
