//! Upstream: the server behind the reverse proxy, and how it is asked.

use std::fmt;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::{Client, Response, Url, redirect};
use tower_service::Service;

use crate::body::{MAX_MESSAGE_BYTES, MOST_MESSAGE_BYTES};
use crate::child::{Asking, Children, Places, ServerCommand};
use crate::credentials::{Credentials, Person, UpstreamTls};
use crate::gateway::ENDPOINT;
use crate::metrics::Metrics;
use hardtack::cause::Cause;

/// How long a connection may take to be made. The server is near, or it is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What stands for the URL of a service of this process.
const OWN_URL: &str = "http://localhost/mcp";

/// How many connections are kept for later: each keeps its buffers.
const MAX_IDLE: usize = 64;

/// The time that a server may take until its answer begins, by default: five minutes, which clients wait, too. The answer to a call may
/// take as long as it may flow ([`DEFAULT_LONGEST_ANSWER`](crate::DEFAULT_LONGEST_ANSWER)).
pub const DEFAULT_ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// The server behind a gateway or an agent's end (the upstream): one URL, over HTTP or HTTPS, or a program that speaks over its standard
/// input and output.
///
/// Over HTTP it follows no redirect, uses no proxy of the environment's and keeps no cookie.
#[derive(Clone)]
pub struct Upstream {
    client: Client,
    url: Url,
    /// The processes of a program, which are asked in the URL's place.
    children: Option<Children>,
    /// A service of this process, which is asked in the URL's place.
    service: Option<Router>,
    credential: Option<HeaderValue>,
    /// What else it is sent.
    credentials: Credentials,
    answer_timeout: Option<Duration>,
    /// How many bytes a message may have that is sent to it.
    message_limit: usize,
    /// Whether it reads integers beyond ±(2^53−1) exactly.
    large_integers: bool,
    /// The host to which credentials may go over plain HTTP, although others may be on the way.
    plain_http_to: Option<String>,
}

/// An error of an [`Upstream`]: the server cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The text is no URL of a server.
    #[error("{0} is no http:// or https:// URL without user, password and fragment")]
    Url(String),
    /// The credential has characters that no header can hold.
    #[error("the credential for the server has characters that no header can hold")]
    Credential,
    /// The credential would go over plain HTTP to another machine, where others on the way could read it.
    #[error("{}", plain_http(.host))]
    PlainHttp {
        /// The server's host name.
        host: String,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl UpstreamError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            UpstreamError::Url(_) => Cause::MalformedUrl,
            UpstreamError::Credential => Cause::MalformedCredential,
            UpstreamError::PlainHttp { .. } => Cause::PlainHttp,
            UpstreamError::Client(_) => Cause::ClientUnavailable,
        }
    }
}

/// What answers at an upstream's URL ([`Upstream::probe`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// The status of its answer.
    pub status: u16,
    /// The moment that its clock says (`Date`), if it says one.
    pub date: Option<SystemTime>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    Unreachable,
    TimedOut,
    /// The process that was asked ended.
    Ended,
    /// There is no place for it now; why.
    Busy(&'static str),
    /// Nothing was sent.
    NoCredential,
}

impl Upstream {
    /// Names the server at `url`, which is the whole URL of its MCP endpoint. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`UpstreamError`] if it is no `http://` or `https://` URL, or has a user, a password or a fragment.
    pub fn at(url: &str) -> Result<Upstream, UpstreamError> {
        Upstream::at_with(url, UpstreamTls::default())
    }

    /// Names the server at `url` as [`Upstream::at`] does, with another TLS than by default.
    ///
    /// # Errors
    ///
    /// [`UpstreamError`] as for [`Upstream::at`].
    pub fn at_with(url: &str, tls: UpstreamTls) -> Result<Upstream, UpstreamError> {
        let wrong = || UpstreamError::Url(for_errors(url));
        let parsed = Url::parse(url).map_err(|_| wrong())?;
        let plain = parsed.username().is_empty()
            && parsed.password().is_none()
            && parsed.fragment().is_none()
            && matches!(parsed.scheme(), "http" | "https");
        if !plain {
            return Err(wrong());
        }
        Ok(Upstream {
            client: client(parsed.scheme(), tls)?,
            url: parsed,
            children: None,
            service: None,
            credential: None,
            credentials: Credentials::default(),
            answer_timeout: None,
            message_limit: MAX_MESSAGE_BYTES,
            large_integers: false,
            plain_http_to: None,
        })
    }

    /// Names a program that is the server, over its standard input and output. Nothing is started until somebody asks.
    ///
    /// Up to 2025-11-25 each session has a process of its own; since 2026-07-28 each root, subject and holder together have one. At most 64
    /// processes run in a gateway, and 16 of one subject, whichever servers they are of. A subject starts 32 at once, and then one a
    /// second. A process that is idle ends ([`ServerCommand::idle`]); so does one that does not
    /// read for 30 seconds. One that ends by itself is started again when somebody asks, later each time.
    ///
    /// # Errors
    ///
    /// [`UpstreamError`] if the program has no name, or the HTTP client, which is not used, could not be made.
    ///
    /// ```
    /// use hardtack_mcp::{ServerCommand, Upstream};
    ///
    /// let supervisor = (std::env::current_exe()?, vec!["supervise-server".into()]);
    /// let server = ServerCommand::new("npx", ["-y", "@modelcontextprotocol/server-everything"], supervisor);
    /// let upstream = Upstream::command(server.env("LOG_LEVEL", "debug"))?;
    /// assert_eq!(upstream.url(), "stdio:npx");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn command(command: ServerCommand) -> Result<Upstream, UpstreamError> {
        let written = format!("stdio:{}", command.name());
        let url = Url::parse(&written).map_err(|_| UpstreamError::Url(written))?;
        let children = Some(Children::of(command));
        Ok(Upstream { url, children, ..Upstream::at(OWN_URL)? })
    }

    /// Names a service of this process, such as that of a [`Gateway`](crate::Gateway): nobody else can ask it, and nothing of what is
    /// sent leaves the process.
    ///
    /// # Errors
    ///
    /// [`UpstreamError::Client`] if the HTTP client, which is not used, could not be made.
    pub fn service(router: Router) -> Result<Upstream, UpstreamError> {
        Ok(Upstream { service: Some(router), ..Upstream::at(OWN_URL)? })
    }

    /// Sends credentials over plain HTTP to `host`, too, if that is the server's. For lines on which nobody can read and use them. By
    /// default they go over HTTPS, or to loopback (`localhost`, 127.0.0.0/8, `::1`).
    pub fn accept_plain_http_to(mut self, host: impl Into<String>) -> Upstream {
        self.plain_http_to = Some(host.into());
        self
    }

    /// Checks that a credential may be sent to the server: over HTTPS, to loopback, or to the host of [`Upstream::accept_plain_http_to`].
    ///
    /// # Errors
    ///
    /// [`UpstreamError::PlainHttp`] if others on the way could read it.
    pub fn check_privacy(&self) -> Result<(), UpstreamError> {
        if self.children.is_some() {
            return Ok(());
        }
        let host = self.url.host_str().unwrap_or_default();
        let is_private = self.url.scheme() == "https"
            || is_loopback(&self.url)
            || self.plain_http_to.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(host));
        match is_private {
            true => Ok(()),
            false => Err(UpstreamError::PlainHttp { host: host.to_owned() }),
        }
    }

    /// Sends the server this `Authorization` header, such as `Bearer …`: the gateway's own credential, and never a caller's. By default
    /// it gets none.
    ///
    /// # Errors
    ///
    /// [`UpstreamError::Credential`] if no header can hold it, [`UpstreamError::PlainHttp`] if others on the way could
    /// read it ([`Upstream::accept_plain_http_to`]).
    pub fn credential(mut self, authorization: &str) -> Result<Upstream, UpstreamError> {
        self.check_privacy()?;
        let value = HeaderValue::try_from(authorization).map_err(|_| UpstreamError::Credential)?;
        self.credential = Some(hidden(value));
        Ok(self)
    }

    /// Sends the server these headers, too. By default it gets none.
    ///
    /// # Errors
    ///
    /// [`UpstreamError::PlainHttp`] if there are any and others on the way could read them ([`Upstream::accept_plain_http_to`]).
    pub fn credentials(mut self, credentials: Credentials) -> Result<Upstream, UpstreamError> {
        if !credentials.is_empty() {
            self.check_privacy()?;
        }
        self.credentials = credentials;
        Ok(self)
    }

    /// The headers of [`Upstream::credentials`] for a request of this person's.
    pub(crate) async fn headers_for(
        &self,
        person: Option<Person<'_>>,
    ) -> Result<HeaderMap, NoAnswer> {
        self.credentials.headers(person).await.map_err(|_| NoAnswer::NoCredential)
    }

    /// Waits this long for an answer to begin. By default it waits [`DEFAULT_ANSWER_TIMEOUT`], and for that to a call as long as it may
    /// flow.
    pub fn answer_timeout(mut self, timeout: Duration) -> Upstream {
        self.answer_timeout = Some(timeout);
        self
    }

    /// Sets how many bytes a message may have that is sent to the server, in place of 4 MiB. More than 8 MiB counts as 8 MiB.
    pub fn message_limit(mut self, bytes: usize) -> Upstream {
        self.message_limit = bytes.min(MOST_MESSAGE_BYTES);
        self
    }

    /// Lets arguments have integers beyond ±(2^53−1), from −2^63 to 2^63−1 and written in digits alone, for a server that needs them and
    /// reads them exactly ([`Call::large_integers`](hardtack::Call::large_integers)). By default they are refused, since many readers round
    /// them: another value could be acted on than the one that was judged.
    pub fn large_integers(mut self) -> Upstream {
        self.large_integers = true;
        self
    }

    pub(crate) fn has_large_integers(&self) -> bool {
        self.large_integers
    }

    pub(crate) fn most_bytes(&self) -> usize {
        self.message_limit
    }

    /// Returns the path of the server's endpoint; of a program, that of a gateway's.
    pub fn path(&self) -> &str {
        match self.children {
            Some(_) => ENDPOINT,
            None => self.url.path(),
        }
    }

    /// Counts the processes of a program there; to be called once.
    pub(crate) fn count_in(&self, metrics: &Metrics, places: &Places) {
        if let Some(children) = &self.children {
            children.count_in(metrics, places);
        }
    }

    /// Returns the URL of the server's endpoint; of a program, `stdio:` and its name.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Asks whether anything answers at the server's URL, and returns what it says of itself. This is a `GET` without any credential, and
    /// the answer's body is not read. `None` for a program or a service of this process, which have no URL.
    ///
    /// # Errors
    ///
    /// Says why nothing answered within `patience`.
    pub async fn probe(&self, patience: Duration) -> Result<Option<Probe>, String> {
        if self.children.is_some() || self.service.is_some() {
            return Ok(None);
        }
        let request = self.client.get(self.url.clone());
        let asking = request.header(header::ACCEPT, "text/event-stream").send();
        let answer = tokio::time::timeout(patience, asking).await;
        let answer = answer.map_err(|_| format!("no answer within {} s", patience.as_secs()))?;
        let answer = answer.map_err(|error| reasons(&error.without_url()))?;
        let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        Ok(Some(Probe { status: answer.status().as_u16(), date }))
    }

    /// Asks the server for a sender, whose own the sessions are that it opens.
    pub(crate) async fn ask(
        &self,
        asking: Asking,
        method: Method,
        headers: HeaderMap,
        authorization: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Response, NoAnswer> {
        let usual = asking.patience.unwrap_or(DEFAULT_ANSWER_TIMEOUT);
        let patience = self.answer_timeout.unwrap_or(usual);
        if let Some(router) = &self.service {
            let asking = ask_service(router.clone(), method, headers, authorization, body);
            let answer = tokio::time::timeout(patience, asking).await;
            return answer.map_err(|_| NoAnswer::TimedOut);
        }
        let Some(children) = &self.children else {
            return self.send_within(patience, method, headers, authorization, body).await;
        };
        // A process is asked by whoever started it, and takes no credential.
        let request = (&method, &headers, &body);
        children.send(asking, request, patience).await.map(Response::from)
    }

    /// Tells a server over HTTP, or a service of this process, something that has no answer.
    pub(crate) async fn tell(&self, headers: HeaderMap, body: Bytes) -> Result<Response, NoAnswer> {
        match &self.service {
            Some(router) => {
                Ok(ask_service(router.clone(), Method::POST, headers, None, body).await)
            }
            None => self.send(Method::POST, headers, None, body).await,
        }
    }

    /// Whether its processes are told what is cancelled where their answers are read.
    pub(crate) fn is_program(&self) -> bool {
        self.children.is_some()
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        authorization: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Response, NoAnswer> {
        let patience = self.answer_timeout.unwrap_or(DEFAULT_ANSWER_TIMEOUT);
        self.send_within(patience, method, headers, authorization, body).await
    }

    async fn send_within(
        &self,
        patience: Duration,
        method: Method,
        mut headers: HeaderMap,
        authorization: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Response, NoAnswer> {
        if let Some(authorization) = authorization.or_else(|| self.credential.clone()) {
            headers.insert(header::AUTHORIZATION, hidden(authorization));
        }
        let mut request = self.client.request(method, self.url.clone()).headers(headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        match tokio::time::timeout(patience, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let error = reasons(&error.without_url());
                let at = self.url.host_str().unwrap_or_default();
                tracing::warn!(error, host = at, "the upstream server cannot be reached");
                Err(NoAnswer::Unreachable)
            }
            Err(_) => Err(NoAnswer::TimedOut),
        }
    }
}

/// An error and what led to it.
fn reasons(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn ask_service(
    mut router: Router,
    method: Method,
    mut headers: HeaderMap,
    authorization: Option<HeaderValue>,
    body: Bytes,
) -> Response {
    headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    headers.extend(authorization.map(|value| (header::AUTHORIZATION, hidden(value))));
    let mut request = http::Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = http::Uri::from_static(ENDPOINT);
    *request.headers_mut() = headers;
    let answer = match router.call(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let (parts, body) = answer.into_parts();
    let body = reqwest::Body::wrap_stream(body.into_data_stream());
    http::Response::from_parts(parts, body).into()
}

/// A header's value that nobody shows: neither a log nor an index of headers that were sent before (HPACK).
fn hidden(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// A URL without what may be a secret: whom it names before the host, its query and its fragment. What stands before the
/// last `@` may all be a password, with any sign in it.
pub(crate) fn for_errors(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (before, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => (format!("{scheme}://…@"), rest),
        None => (url[..url.len() - rest.len()].to_owned(), rest),
    };
    let plain = rest.split(['?', '#']).next().unwrap_or_default();
    let cut = if plain.len() < rest.len() { "…" } else { "" };
    format!("{before}{plain}{cut}")
}

/// What to do about a server that credentials would reach in the clear.
pub(crate) fn plain_http(host: &str) -> String {
    format!(
        "http://{host} is plain HTTP to another machine: whoever is on the way can read the credential and use it; use https://, or allow this host by name (--allow-plain-http {host})"
    )
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn client(scheme: &str, tls: UpstreamTls) -> Result<Client, UpstreamError> {
    let tls = tls.configured(scheme).map_err(|error| UpstreamError::Client(error.into()))?;
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .pool_max_idle_per_host(MAX_IDLE)
        .build()
        .map_err(|error| UpstreamError::Client(error.into()))
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("url", &for_errors(self.url.as_str()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
