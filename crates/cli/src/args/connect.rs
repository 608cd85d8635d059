//! Connect: which client, and what it is to be connected to.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Print what to paste into a client's settings, so that it uses a capability
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack connect --list
  hardtack connect cursor --key researcher.key \\
      --capability researcher.token --audience notion.mcp \\
      --to https://tools.example/mcp
  hardtack connect vscode --audience notion.mcp \\
      --url http://127.0.0.1:8081/mcp

What is to be pasted is on standard output, with absolute paths; where it belongs is on standard error. The first form \
has the client start an agent over standard input and output. The second names the URL of an agent that listens.")]
pub(crate) struct Connect {
    /// The client
    #[arg(value_name = "CLIENT", required_unless_present = "list", conflicts_with = "list")]
    pub(crate) client: Option<Client>,
    /// List the clients
    #[arg(long)]
    pub(crate) list: bool,
    /// What the client calls the server; the audience, with a hyphen for what is no letter, digit, `_` or `-`, if nothing is said
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The URL of an agent that listens, instead of a command that the client starts
    #[arg(long, value_name = "URL", conflicts_with_all = ["key", "capability", "to", "call_bound"])]
    pub(crate) url: Option<String>,
    /// The private key of the capability's holder
    #[arg(long, value_name = "FILE", required_unless_present_any = ["list", "url"])]
    pub(crate) key: Option<PathBuf>,
    /// The capability, bound to this key
    #[arg(long, value_name = "FILE", required_unless_present_any = ["list", "url"])]
    pub(crate) capability: Option<PathBuf>,
    /// The server to which it is presented
    #[arg(long, value_name = "AUDIENCE", required_unless_present_any = ["list", "name"])]
    pub(crate) audience: Option<String>,
    /// The gateway's MCP endpoint
    #[arg(long, value_name = "URL", required_unless_present_any = ["list", "url"])]
    pub(crate) to: Option<String>,
    /// Bind each call to a presentation of its own (agent --call-bound)
    #[arg(long)]
    pub(crate) call_bound: bool,
}

/// The clients that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    ClaudeCode,
    ClaudeDesktop,
    Cursor,
    Vscode,
    Zed,
    Codex,
    ClaudeAgentSdk,
    OpenaiAgents,
    Langgraph,
    Llamaindex,
    Mastra,
    VercelAi,
    Temporal,
}
