//! Settings: what can be written of routes, proxies and headers, and what is wrong with it?

use std::collections::BTreeMap;

use http::HeaderName;
use serde::Deserialize;

use hardtack::cause::Cause;

/// The mapping from requests to calls, as it stands in a configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Mapping {
    /// The names by which clients address the service (`Host`), each with its port if clients send one.
    pub host: Vec<String>,
    /// Whether a `+` in a query is a space. By default a query with one is refused.
    pub plus_is_space: bool,
    /// How many bytes a body may have that is judged, from 1,024 to 8,388,608; 131,072 (128 KiB) by default.
    pub message_limit: Option<u64>,
    /// The routes.
    pub route: Vec<RouteSettings>,
    /// Which headers the service gets with an allowed request, and what they say.
    pub allowed_headers: BTreeMap<String, Told>,
    /// nginx, if it may ask.
    pub nginx: Option<Nginx>,
    /// Traefik's `forwardAuth` and Caddy's `forward_auth`, if they may ask.
    pub forward_auth: Option<ForwardAuth>,
    /// Envoy, if it may ask.
    pub envoy: Option<Envoy>,
    /// Clients of AuthZEN's Access Evaluation API, if they may ask.
    pub authzen: Option<AuthZen>,
}

impl Mapping {
    /// What is allowed for every resource alike, in words, though questions name one: rows of AuthZEN in which `resource.id` is nothing.
    pub fn unjudged(&self) -> Vec<String> {
        let actions = self.authzen.iter().flat_map(|authzen| &authzen.action);
        let unjudged = actions.filter(|action| {
            let in_uri = action.resource.as_ref().is_some_and(|uri| uri.contains("{id}"));
            action.id.is_none() && !in_uri
        });
        let say = |action: &ActionSettings| {
            format!(
                "authzen action {} on {}: resource.id is not judged, so whoever may do it may do it to every resource of this type; write id = \"…\", or {{id}} into resource",
                action.name, action.resource_type
            )
        };
        unjudged.map(say).collect()
    }
}

/// A route: requests of some methods to a path, and the operation that they mean.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RouteSettings {
    /// The method, or several.
    pub method: OneOrMore,
    /// The path, decoded, with parameters: `/pages/{page}`, `/files/{*path}`.
    pub path: String,
    /// The operation.
    pub operation: String,
    /// The resource's URI, with parameters of the path.
    pub resource: Option<String>,
    /// The members that the query may have. Each is an argument.
    #[serde(default)]
    pub query: Vec<String>,
    /// How the body is read; without this, it is not looked at.
    pub body: Option<BodyKind>,
}

impl RouteSettings {
    /// What the route is called in an error.
    pub(crate) fn name(&self) -> String {
        format!("route {} {}", self.method.as_slice().join(","), self.path)
    }
}

/// One text, or a list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
pub enum OneOrMore {
    /// One text.
    One(String),
    /// A list of texts.
    More(Vec<String>),
}

impl OneOrMore {
    /// Returns the texts.
    pub fn as_slice(&self) -> &[String] {
        match self {
            OneOrMore::One(text) => std::slice::from_ref(text),
            OneOrMore::More(texts) => texts,
        }
    }
}

/// How a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyKind {
    /// As a JSON object, whose members are arguments.
    Json,
}

/// What a header of an allowed request tells the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// The subject, whose rights are used.
    Subject,
    /// The agent that acts; `(none)` if the subject acts itself.
    Agent,
    /// The agents of the chain from the first to the one that acts, with commas between them; `(none)` if the subject acts itself.
    Agents,
    /// The id by which the grant can be revoked, in hexadecimal digits.
    Grant,
    /// The id by which the last hop can be revoked; the grant's if there is no hop.
    Hop,
    /// The number of the decision's record; `(none)` if it is not recorded.
    Record,
}

/// How nginx asks (`auth_request`): by which headers it says what the client asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Nginx {
    /// The header with the method.
    pub method_header: String,
    /// The header with the request target.
    pub uri_header: String,
    /// The header with the host.
    pub host_header: String,
}

impl Default for Nginx {
    fn default() -> Nginx {
        Nginx {
            method_header: "X-Original-Method".to_owned(),
            uri_header: "X-Original-URI".to_owned(),
            host_header: "X-Original-Host".to_owned(),
        }
    }
}

/// How Traefik or Caddy asks: by `X-Forwarded-Method`, `X-Forwarded-Uri` and `X-Forwarded-Host`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ForwardAuth {
    /// Whether it sends the body (Traefik's `forwardBody`).
    pub body: bool,
}

/// How Envoy asks (`ext_authz`), over HTTP or gRPC.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Envoy {
    /// Whether it sends the body (`with_request_body`).
    pub body: bool,
}

/// Which evaluations of AuthZEN mean which calls.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AuthZen {
    /// The actions.
    pub action: Vec<ActionSettings>,
}

/// An action of AuthZEN on one type of resource, and the operation that it means.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ActionSettings {
    /// `action.name`.
    pub name: String,
    /// `resource.type`.
    pub resource_type: String,
    /// The operation.
    pub operation: String,
    /// The argument that `resource.id` becomes. Without this, it is none.
    pub id: Option<String>,
    /// The resource's URI, with `{id}` where `resource.id` stands.
    pub resource: Option<String>,
    /// The members of `action.properties` and `resource.properties` that there may be. Each is an argument.
    #[serde(default)]
    pub properties: Vec<String>,
    /// The members of `context` that there may be. Each is an argument.
    #[serde(default)]
    pub context: Vec<String>,
}

/// An error of a mapping: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct MappingError {
    place: String,
    problem: String,
}

impl MappingError {
    pub(crate) fn new(place: &str, problem: impl Into<String>) -> MappingError {
        MappingError { place: place.to_owned(), problem: problem.into() }
    }

    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::MalformedRoute
    }
}

/// The name of a header, or what is wrong with it.
pub(crate) fn header(place: &str, name: &str) -> Result<HeaderName, MappingError> {
    let known = HeaderName::try_from(name);
    known.map_err(|_| MappingError::new(place, format!("{name:?} is no name of a header")))
}
