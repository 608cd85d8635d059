//! External authorization: decisions for services in any language, which the proxy in front of them asks for.
//!
//! nginx (`auth_request`), Envoy (`ext_authz` over HTTP and gRPC), Traefik (`forwardAuth`), Caddy (`forward_auth`) and clients of
//! OpenID AuthZEN's Access Evaluation API ask in their own ways. Each question becomes a call by one [`Mapping`]; one guard decides
//! it ([`Decider`]), behind the layer that Rust services have in front of them. Requests go `serve` → `service` → `asked`, `grpc` or
//! `authzen` → `decider` → `rules`.

mod asked;
mod authzen;
mod body;
mod decider;
mod first;
#[cfg(test)]
mod given_up;
mod grpc;
mod messages;
mod rules;
mod serve;
mod service;
mod settings;
mod table;
mod target;

pub use decider::Decider;
pub use serve::{Listener, serve};
pub use service::{AUTHZEN, ENVOY, ENVOY_GRPC, FORWARD_AUTH, NGINX};
pub use settings::{
    ActionSettings, AuthZen, BodyKind, Envoy, ForwardAuth, Mapping, MappingError, Nginx, OneOrMore,
    RouteSettings, Told,
};
