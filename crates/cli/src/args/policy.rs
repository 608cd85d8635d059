//! Policy: what is to be asked of a set of policies.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hardtack::Timestamp;

use crate::args::Detail;

/// Ask what a set of policies would do
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack policy lint policies
  hardtack policy test policies
  hardtack policy eval policies/default \\
      --operation tools:call:search
  hardtack policy replay --policies new \\
      --records records.jsonl")]
pub(crate) struct Policy {
    #[command(subcommand)]
    pub(crate) task: PolicyTask,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyTask {
    Lint(Lint),
    Test(Test),
    Eval(Box<Eval>),
    Replay(Replay),
}

/// Put a set of policies to its cases, and say what no case shows
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack policy test policies/payments
  hardtack policy test policies --junit policies.xml
  hardtack policy test policies --explain

The cases of a set are in its folder cases/; policies/README.md says how they are written.

Exit codes: 0 all as expected, 1 a case got another verdict, cannot be built, or something is not shown, 2 a set or a case \
cannot be read.")]
pub(crate) struct Test {
    /// A folder with *.datalog files, or one whose folders are such sets: then all of them
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// As JSON: {"passes", "sets": [{"set", "passes", "cases", "statements", "faults"}]}
    #[arg(long)]
    pub(crate) json: bool,
    /// Explain each case that got another verdict in three lines: the cause, what is nearest, and the least that helps.
    /// --explain=full shows every step as well
    #[arg(
        long,
        value_name = "DETAIL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "short"
    )]
    pub(crate) explain: Option<Detail>,
    /// Also write JUnit XML, a suite a set
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

/// Decide a call that is written here by a set of policies, and explain it: no token and no key is needed
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack policy eval policies/payments \\
      --operation tools:call:pay --arg amount=250 \\
      --arg 'currency=\"EUR\"' \\
      --arg 'account=\"CH9300762011623852957\"' \\
      --fact 'role(\"clerk\")' --hop agent.payer
  K=94ea46ff21c62812461fe59977cf26bd
  K=${K}60cee62d2da812d715b1bdbec75f132a
  hardtack policy eval policies/payments \\
      --operation tools:call:pay --arg amount=600000 \\
      --arg 'currency=\"EUR\"' \\
      --arg 'account=\"CH9300762011623852957\"' \\
      --fact 'role(\"manager\")' --call-bound \\
      --hop agent.approval --hop agent.payer \\
      --key agent.approval=$K

Both are allowed. In the second, K is the key that the policies name as that of the approval service.

The token is made for this call with keys made from names, as for cases. Nothing is recorded.

Exit codes: 0 allowed, 1 denied, 2 undecided or wrong usage.")]
pub(crate) struct Eval {
    /// A folder with *.datalog files
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// What is to be done, such as tools:call:search
    #[arg(long, value_name = "OPERATION")]
    pub(crate) operation: String,
    /// The resource it is about, in normal form
    #[arg(long, value_name = "URI")]
    pub(crate) resource: Option<String>,
    /// An argument of the call, such as 'amount=20' or 'query="roadmap"'; may be repeated
    #[arg(long, value_name = "NAME=JSON")]
    pub(crate) arg: Vec<String>,
    /// Whose rights are used; without it, user:alice
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: Option<String>,
    /// A scope of the grant; without it, the operation. May be repeated
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Vec<String>,
    /// A fact that the issuer says of the subject, such as 'role("clerk")'; may be repeated
    #[arg(long, value_name = "FACT")]
    pub(crate) fact: Vec<String>,
    /// A constraint of the grant, such as 'amount <= 100'; may be repeated
    #[arg(long, value_name = "CONSTRAINT")]
    pub(crate) allow: Vec<String>,
    /// An agent to which it is delegated; may be repeated, from the first hop to the last
    #[arg(long, value_name = "NAME")]
    pub(crate) hop: Vec<String>,
    /// Whose public key a policy names, as in agent.approval=94ea…; may be repeated
    #[arg(long, value_name = "NAME=KEY")]
    pub(crate) key: Vec<String>,
    /// Present it for this call only
    #[arg(long)]
    pub(crate) call_bound: bool,
    /// The name of the server; without it, server.example
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) audience: Option<String>,
    /// What the server calls the root
    #[arg(long, value_name = "NAME")]
    pub(crate) issuer: Option<String>,
    /// A scheme of resources that the server judges; may be repeated. Without it, https, http and file
    #[arg(long, value_name = "SCHEME")]
    pub(crate) resource_scheme: Vec<String>,
    /// When it is decided (RFC 3339); without it, 2026-11-23T10:00:00Z, a Monday
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub(crate) at: Option<Timestamp>,
    /// How much is explained: `short` is the cause, what is nearest and the least that helps; `full` is every step as well
    #[arg(long, value_name = "DETAIL", default_value = "short", hide_default_value = true)]
    pub(crate) explain: Detail,
    /// Answer as JSON: {"decision", "cause", "hop", "place", "message", "steps", "remedies"}
    #[arg(long)]
    pub(crate) json: bool,
}

/// Find what would not load, does not do what it says, or is risky
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack policy lint policies
  hardtack policy lint policies/mcp-tools --json
  hardtack policy lint policies/mcp-tools \\
      --tools http://127.0.0.1:3000/mcp
  hardtack policy lint policies --open-arguments \\
      --tools notion.mcp=notion.json \\
      --tools git.mcp=git.json

Facts that an issuer says of its subjects are known from the set's cases (cases/*.toml) and from comments such as:
  // fact: team(string, integer)

A file of tools has the result of tools/list, the whole answer, or the array of tools.

Exit codes: 0 nothing or notes alone found, 1 something found, 2 wrong usage or failed.")]
pub(crate) struct Lint {
    /// A set (a folder of *.datalog files, or one such file), or a folder of sets
    #[arg(value_name = "DIR")]
    pub(crate) policies: PathBuf,
    /// As a JSON array of objects
    #[arg(long)]
    pub(crate) json: bool,
    /// The server has a directory of names and keys, so that agents' names are proven
    #[arg(long)]
    pub(crate) directory: bool,
    /// The tools that the server lists, with the schemas of their arguments: a JSON file, or the URL of the MCP server, which is asked.
    /// May be repeated, with the server's name before it if policies ask for it by verifier(…)
    #[arg(long, value_name = "[AUDIENCE=]FILE|URL")]
    pub(crate) tools: Vec<String>,
    /// Also list arguments of allowed tools that no policy looks at, as notes; with --tools
    #[arg(long, requires = "tools")]
    pub(crate) open_arguments: bool,
    /// A file with the Authorization header's value for the server that --tools asks
    #[arg(long, value_name = "FILE", requires = "tools")]
    pub(crate) authorization_file: Option<PathBuf>,
    /// Send it over plain HTTP to this host, where nobody can be on the way who would read it
    #[arg(long, value_name = "HOST", requires = "authorization_file")]
    pub(crate) allow_plain_http: Option<String>,
}

/// Decide again what was decided, and show which decisions would flip
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack policy replay --policies new \\
      --records records.jsonl
  hardtack audit --store hardtack.store --json \\
      --since 2026-11-23 \\
      | hardtack policy replay --policies new --records -

Records that can be decided again are made by a gateway with --keep-requests.

Exit codes: 0 nothing flips, 1 something does, 2 wrong usage, failed, or nothing could be decided again.")]
pub(crate) struct Replay {
    /// The folder of policies to decide by
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: PathBuf,
    /// Records, as `hardtack audit --json` exports them; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) records: PathBuf,
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
