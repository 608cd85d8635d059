//! Wire: what do a gateway and whoever asks it to revoke, or for chains, say to each other?

use std::time::Duration;

use hardtack::audit::{SeenBlock, Stops};
use hardtack::chain::RevocationId;
use hardtack::revocation::{Revocation, RevocationEntry};
use hardtack::timestamp::Timestamp;

/// The path at which a gateway takes requests to revoke.
pub const REVOCATIONS: &str = "/hardtack/revocations";

/// The path at which a gateway shows the chains that were seen.
pub const CHAINS: &str = "/hardtack/chains";

/// The operation of a request for chains, which a scope must name to grant it. It is another one than that of the list of revocations:
/// chains say who works for whom and why, also where nothing is revoked.
pub const SEE_CHAINS: &str = "hardtack:chains";

/// The path at which a gateway shows who follows its feed, and where what is revoked is in force.
pub const GATEWAYS: &str = "/hardtack/gateways";

/// The operation of a request for them, which a scope must name to grant it.
pub const SEE_GATEWAYS: &str = "hardtack:gateways";

/// The operation of a request to enrol or to retire one.
pub const ENROLL: &str = "hardtack:enroll";

/// How long a request's body, or an answer's, may take to arrive: both are a few hundred bytes.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The answer to a request to revoke, on the wire.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Answer {
    pub(super) status: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) sequence: Option<u64>,
    #[serde(default)]
    pub(super) revocation: Option<Revocation>,
    #[serde(default)]
    pub(super) stops: Option<Stops>,
}

/// The revocation is made.
pub(super) const REVOKED: &str = "revoked";

/// It was made before, and is in force.
pub(super) const ALREADY_REVOKED: &str = "already_revoked";

/// The answer to a dry run.
pub(super) const NOT_REVOKED: &str = "not_revoked";

/// A page of the chains that were seen, on the wire.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct ChainsPage {
    pub(super) as_of: Timestamp,
    /// In the order of their ids.
    pub(super) blocks: Vec<ShownBlock>,
    /// How many were left out of this page, since another root key signed their grants.
    #[serde(default)]
    pub(super) others: u64,
    /// How many were seen and are not remembered.
    pub(super) lost: u64,
    /// Behind which id the next page begins; `None` from the empty page after the last.
    pub(super) next: Option<RevocationId>,
}

/// A grant or hop, and the revocation that names it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct ShownBlock {
    #[serde(flatten)]
    pub(super) block: SeenBlock,
    pub(super) revoked: Option<RevocationEntry>,
}
