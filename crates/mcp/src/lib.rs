//! MCP: a gateway in front of a tool server (a reverse proxy that authorizes), and an agent's own end of the line (a proxy that signs).
//!
//! Both are one relay that reads each message once; what they do with it differs. Requests go `serve` → `gateway` or `holder` → `relay` →
//! `upstream`, answers come back through `flow`.

#![allow(clippy::result_large_err, reason = "a refusal is a response, and is made once")]

mod admin;
mod answer;
mod body;
mod budget;
mod child;
mod common;
mod credentials;
mod cut;
mod fair_queue;
mod echo;
mod files;
mod filtering;
mod flow;
mod forwarding;
mod gateway;
mod headers;
mod holder;
mod http2;
mod gateway_side;
mod group;
mod keeping;
mod lanes;
mod left_out;
mod listing;
mod metadata;
mod metrics;
mod one_line;
mod outward;
mod place;
mod policy_metrics;
mod readiness;
mod reading;
mod relay;
mod reopening;
mod reserve;
mod review;
mod revoking;
mod roster;
mod serve;
mod servers;
mod session;
mod source;
mod sse;
mod stdio;
mod admission;
mod taking;
mod tasks;
mod template;
mod tls;
mod upstream;
mod watch;

pub use answer::RefusalStyle;
pub use body::{MAX_MESSAGE_BYTES, MOST_MESSAGE_BYTES};
pub use child::{DEFAULT_IDLE, ServerCommand, USUAL_ENVIRONMENT, supervise};
pub use credentials::{
    CredentialCommand, CredentialError, Credentials, DEFAULT_KEPT, HeldCredential, OAuthClient,
    UpstreamTls, UpstreamTlsError,
};
pub use gateway::{ENDPOINT, Gateway};
pub use group::STARTS_PROCESSES;
pub use holder::{Binding, HoldError, Holder};
pub use place::{Place, PlaceError};
pub use policy_metrics::{Reload, Reloads};
pub use readiness::{Needed, Readiness};
pub use revoking::{
    CHAINS, ChainsFailed, ENROLL, FeedPlaceAsked, Followers, GATEWAYS, GatewayChange,
    GatewaysFailed, REVOCATIONS, RevocationAnswer, RevocationFailed, SEE_CHAINS, SEE_GATEWAYS,
    ShownChains, chains_at, chains_over_plain_http_at, change_gateways_at, gateways_at,
    revocations, revoke_at, revoke_over_plain_http_at,
};
pub use roster::{MAX_SERVERS, Roster, RosterError};
pub use serve::{Drain, serve, serve_admin, serve_beside, serve_tls};
pub use servers::{Server, Servers};
pub use source::CapabilitySource;
pub use stdio::{StdioClient, serve_stdio};
pub use tls::{Tls, TlsError, TlsPem, TlsText};
pub use upstream::{DEFAULT_ANSWER_TIMEOUT, Probe, Upstream, UpstreamError};
pub use watch::DEFAULT_LONGEST_ANSWER;
