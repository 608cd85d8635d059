//! Setup: what can be typed where a server is made ready: its folder, a look at it, completions and man pages.

use std::path::PathBuf;

use clap::{Arg, Args};
use clap_complete::Shell;

use crate::args::gateway::Settings;

/// What the name of a new server is unless it is told.
pub(crate) const NEW_AUDIENCE: &str = "tools.mcp";

/// Where its MCP server is unless it is told.
pub(crate) const NEW_UPSTREAM: &str = "http://127.0.0.1:9000/mcp";

/// Make a folder with all that a gateway needs: root key, store, settings, policies with cases
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack init tools
  hardtack init tools --audience notion.mcp \\
      --upstream http://127.0.0.1:9000/mcp

In the folder are then:
  hardtack.toml   what `hardtack gateway --config` reads
  policies/       policies, and cases that show what they do
  hardtack.store  revocations and records: three files
  root.key        the root's private key (mode 0600)
  root.pub        its public half
  .gitignore      leaves keys, tokens and the store out

Nothing that is there is changed. Where a run was interrupted, the same command again makes what is missing. Once the root \
key is there, nothing but root.pub is made any more: a new store would have forgotten what was revoked. What is missing then \
is said, with what to do.

Exit codes: 0 all of it is there, 2 something is wrong, or missing and not made, or failed.")]
pub(crate) struct Init {
    /// The folder, which is made if it is not there
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The name of the server, to which tokens are presented; tools.mcp if nothing is said
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) audience: Option<String>,
    /// The MCP server that the gateway stands in front of; http://127.0.0.1:9000/mcp if nothing is said
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<String>,
}

/// Look at all that a gateway needs, and say what is wrong with it and what to do
#[derive(Debug, Args)]
#[command(mut_args(as_for_gateway))]
#[command(after_help = "Examples:
  hardtack doctor --config hardtack.toml
  hardtack doctor --config hardtack.toml \\
      --token bearer.token
  cd /etc/hardtack && sudo -u hardtack \\
      hardtack doctor --json

It looks at the clock, at the files of keys and of settings, at the store, the policies, the server's name, the upstream \
server and the addresses where the gateway listens. It changes nothing, also where a gateway runs meanwhile. The upstream server is sent \
one GET without any credential. Run it as the user and in the folder of the gateway.

Settings come from the file, from the environment (HARDTACK_…), and from every option that a gateway takes.

Exit codes: 0 nothing found, 1 something is wrong, 2 something could not be looked at, or failed.")]
pub(crate) struct Doctor {
    /// The gateway's file of settings; hardtack.toml in this folder if nothing is said and it is there
    #[arg(long, value_name = "FILE", env = "HARDTACK_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// A private key's file to look at, besides those that the settings name and *.key beside them. May be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// A token that is refused: its times and audience are compared. `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// As JSON: {"found", "unseen", "findings": [{"check", "state", "says", "mend"}]}
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// The help of `hardtack gateway` has the options that are its own.
fn as_for_gateway(option: Arg) -> Arg {
    let is_own = ["config", "key", "token", "json"].contains(&option.get_id().as_str());
    if is_own { option } else { option.hide(true) }
}

/// Print what a shell needs to complete verbs and options
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  source <(hardtack completions bash)
  hardtack completions bash \\
      > ~/.local/share/bash-completion/completions/hardtack
  hardtack completions zsh > ~/.zfunc/_hardtack
  hardtack completions fish \\
      > ~/.config/fish/completions/hardtack.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Print the manual page, or write those of all verbs into a folder
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack man | man -l -
  hardtack man --to man1

In the folder are then hardtack.1, hardtack-mint.1 and so on. Pages of the same names are replaced, and nothing else is.")]
pub(crate) struct Man {
    /// The folder, such as /usr/local/share/man/man1, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
}
