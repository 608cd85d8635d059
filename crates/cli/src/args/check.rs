//! Check: what decides, and what is to be decided.

use std::path::PathBuf;

use clap::Args;
use hardtack::{PublicKey, Timestamp};

use super::root;
use crate::args::Detail;

/// Decide one call as a tool server would: the bearer on stdin
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack check --root @root.pub --audience notion.mcp \\
      --operation tools:call:search \\
      --arg 'query=\"roadmap\"' \\
      --store hardtack.store < bearer.token
  hardtack check --root @root.pub --audience notion.mcp \\
      --operation tools:call:search \\
      --explain < bearer.token
  hardtack check --root @root.pub --audience notion.mcp \\
      --operation tools:call:search \\
      --explain=full --without-arguments < bearer.token

Exit codes: 0 allowed, 1 denied, 2 undecided or wrong usage.")]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) deciding: Deciding,
    /// What is to be done, such as tools:call:search
    #[arg(long, value_name = "OPERATION")]
    pub(crate) operation: String,
    /// The resource it is about, in normal form
    #[arg(long, value_name = "URI")]
    pub(crate) resource: Option<String>,
    /// An argument of the call, such as 'amount=20' or 'query="roadmap"'; may be repeated
    #[arg(long, value_name = "NAME=JSON")]
    pub(crate) arg: Vec<String>,
    /// Let arguments have integers beyond ±(2^53-1), up to 64 bits, as of a server for which they are let through
    #[arg(long)]
    pub(crate) large_integers: bool,
    /// Explain the decision in three lines: the cause, what is nearest to allowing it, and the least that helps.
    /// --explain=full shows every step as well
    #[arg(
        long,
        value_name = "DETAIL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "short"
    )]
    pub(crate) explain: Option<Detail>,
    /// Leave values of arguments and the resource out of the explanation, for a ticket; with --explain
    #[arg(long, requires = "explain")]
    pub(crate) without_arguments: bool,
    /// Answer as JSON: {"decision", "cause", "hop", "message"}; with --explain also "steps" and "remedies"
    #[arg(long)]
    pub(crate) json: bool,
}

/// List what a token may do, under a set of policies: the bearer on stdin
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack can --root @root.pub --audience notion.mcp \\
      --policies policies/mcp-tools \\
      --tools http://127.0.0.1:3000/mcp < bearer.token
  hardtack can --root @root.pub --audience notion.mcp \\
      --operations operations.txt < bearer.token

A file of operations has one a line, such as:
  tools:call:search
  resources:read https://notion.so/page
Lines that begin with # say nothing.

Exit codes: 0 listed, 1 the token is not valid, 2 wrong usage or failed.")]
pub(crate) struct Can {
    #[command(flatten)]
    pub(crate) deciding: Deciding,
    /// The operations to ask about, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) operations: Option<PathBuf>,
    /// Ask about the tools that this MCP server lists
    #[arg(long, value_name = "URL", conflicts_with = "operations")]
    pub(crate) tools: Option<String>,
    /// A file with the Authorization header's value for that server; with --tools
    #[arg(long, value_name = "FILE", requires = "tools")]
    pub(crate) authorization_file: Option<PathBuf>,
    /// Send it over plain HTTP to this host, where nobody can be on the way who would read it
    #[arg(long, value_name = "HOST", requires = "authorization_file")]
    pub(crate) allow_plain_http: Option<String>,
    /// As JSON: [{"operation", "resource", "preview", "why"}]
    #[arg(long)]
    pub(crate) json: bool,
}

/// What decides.
#[derive(Debug, Args)]
pub(crate) struct Deciding {
    /// A trusted root key, or ID=PUB to trust it for tokens that carry this key id only; PUB is ed25519/…, PEM, or @FILE.
    /// May be repeated, or a list with commas
    #[arg(
        long,
        value_name = "PUB",
        required = true,
        num_args = 1..,
        value_parser = root,
        value_delimiter = ','
    )]
    pub(crate) root: Vec<(Option<u32>, PublicKey)>,
    /// The name of this server
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) audience: String,
    /// The folder of policies; without it, what is granted is allowed
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
    /// The store that `hardtack store create` made: revocations and records
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
    /// Accept hops that are bound to no holder, which anybody who had the token may have appended
    #[arg(long)]
    pub(crate) accept_unbound_hops: bool,
    /// Decide as of this moment (RFC 3339) instead of now
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub(crate) at: Option<Timestamp>,
}
