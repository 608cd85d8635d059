//! Upstream: the server behind, and how it is asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::{Client, Response, Url, redirect};
use rustls::{ClientConfig, RootCertStore, crypto};
use rustls_platform_verifier::BuilderVerifierExt;

/// How long a connection may take to be made. The server is near, or it is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may take until its answer begins: what clients wait, too.
pub const DEFAULT_ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// The server behind a gateway or an agent: one URL, over HTTP or HTTPS.
///
/// Follows no redirect, uses no proxy of the environment's, keeps no cookie.
#[derive(Clone)]
pub struct Upstream {
    client: Client,
    url: Url,
    credential: Option<HeaderValue>,
    answer_timeout: Duration,
}

/// A server that cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// No URL.
    #[error("{0} is no http:// or https:// URL without user, password and fragment")]
    Url(String),
    /// A credential that no header can hold.
    #[error("the credential for the server has characters that no header can hold")]
    Credential,
    /// No client could be made.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    Unreachable,
    TimedOut,
}

impl Upstream {
    /// The server at `url`, which is the whole URL of its MCP endpoint.
    ///
    /// # Errors
    ///
    /// [`UpstreamError`] if it is none, or has a user, a password or a fragment.
    pub fn at(url: &str) -> Result<Upstream, UpstreamError> {
        let wrong = || UpstreamError::Url(url.to_owned());
        let parsed = Url::parse(url).map_err(|_| wrong())?;
        let plain = parsed.username().is_empty()
            && parsed.password().is_none()
            && parsed.fragment().is_none()
            && matches!(parsed.scheme(), "http" | "https");
        if !plain {
            return Err(wrong());
        }
        Ok(Upstream {
            client: client(parsed.scheme())?,
            url: parsed,
            credential: None,
            answer_timeout: DEFAULT_ANSWER_TIMEOUT,
        })
    }

    /// Sends the server this `Authorization`, such as `Bearer …`: its own credential, and never a caller's.
    pub fn credential(mut self, authorization: &str) -> Result<Upstream, UpstreamError> {
        let mut value =
            HeaderValue::try_from(authorization).map_err(|_| UpstreamError::Credential)?;
        value.set_sensitive(true);
        self.credential = Some(value);
        Ok(self)
    }

    /// Waits this long for an answer to begin ([`DEFAULT_ANSWER_TIMEOUT`] otherwise).
    pub fn answer_timeout(mut self, timeout: Duration) -> Upstream {
        self.answer_timeout = timeout;
        self
    }

    /// The path of its endpoint.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The URL of its endpoint.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        mut headers: HeaderMap,
        authorization: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Response, NoAnswer> {
        if let Some(authorization) = authorization.or_else(|| self.credential.clone()) {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        let mut request = self.client.request(method, self.url.clone()).headers(headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        match tokio::time::timeout(self.answer_timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let error = error.without_url();
                let causes =
                    std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
                        error.source()
                    });
                let error = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
                let at = self.url.host_str().unwrap_or_default();
                tracing::warn!(error, host = at, "the server behind cannot be reached");
                Err(NoAnswer::Unreachable)
            }
            Err(_) => Err(NoAnswer::TimedOut),
        }
    }
}

/// Trusts the authorities that the operating system trusts.
fn client(scheme: &str) -> Result<Client, UpstreamError> {
    let failed = |error: rustls::Error| UpstreamError::Client(error.into());
    let provider = Arc::new(crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider);
    let tls = tls.with_safe_default_protocol_versions().map_err(failed)?;
    let tls = match scheme {
        "https" => tls.with_platform_verifier().map_err(failed)?,
        // A machine without any authorities can still speak plain HTTP.
        _ => tls.with_root_certificates(RootCertStore::empty()),
    };
    Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .build()
        .map_err(|error| UpstreamError::Client(error.into()))
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}
