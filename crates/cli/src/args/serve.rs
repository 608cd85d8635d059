//! Serve: what can be typed for the issuer.

use std::path::PathBuf;

use clap::Args;

/// Issue capabilities to those whom an identity provider vouches for
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack serve --example-config > issuer.toml
  hardtack serve --config issuer.toml --check
  hardtack serve --config issuer.toml

It is an OAuth authorization server, and no identity provider. A service exchanges a token of its user (RFC 8693) for a \
capability of a key that it proves (DPoP, RFC 9449). Gateways trust it by --root with its public key. It speaks plain \
HTTP: a proxy on the same machine has the certificate. While it runs, no other process can write to its store.")]
pub(crate) struct Serve {
    /// The TOML file with its name, its key, its store, its policies and its identity providers
    #[arg(
        long,
        value_name = "FILE",
        env = "HARDTACK_SERVE_CONFIG",
        required_unless_present = "example_config"
    )]
    pub(crate) config: Option<PathBuf>,
    /// Read the file, keys and policies, say what is wrong, and open nothing: neither the store nor the state of its feed
    #[arg(long)]
    pub(crate) check: bool,
    /// Print a file with every key explained
    #[arg(long, exclusive = true)]
    pub(crate) example_config: bool,
}
