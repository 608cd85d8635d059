//! Fetching: one answer of a feed, bounded in time and bytes.

use std::sync::Arc;
use std::time::Duration;

use hardtack::feed::FeedRequest;
use hardtack::log::LogKey;
use hardtack::{Cause, PrivateKey};
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use rustls::{ClientConfig, RootCertStore, crypto};
use rustls_platform_verifier::BuilderVerifierExt;
use url::Url;

use crate::door::{ACKNOWLEDGEMENT, DIGEST, INPUT, SIGNATURE};
use crate::now;

const JSON: &str = "application/json";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Nothing comes for so long: the other side is gone, though the connection is open. A stream has a checkpoint every five seconds.
pub(crate) const SILENCE: Duration = Duration::from_secs(12);

/// A whole answer takes no longer. A snapshot of three million revocations has 500 MB.
const WHOLE: Duration = Duration::from_secs(300);

/// The most bytes of a checkpoint.
pub(crate) const MOST_CHECKPOINT_BYTES: u64 = 16 << 10;

/// The most bytes of lines: a publisher has no more at hand.
pub(crate) const MOST_LINES_BYTES: u64 = 17 << 20;

/// An error of fetching something of a feed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The feed cannot be reached, or broke off.
    #[error("the feed does not answer: {0}")]
    NoAnswer(String),
    /// The feed answers otherwise than with 200.
    #[error("the feed answers {status} for {path}")]
    Status {
        /// The status of the answer.
        status: u16,
        /// What was asked for.
        path: String,
    },
    /// The feed answers gateways alone that are enrolled with it.
    #[error("{}", not_enrolled(*signs))]
    NotEnrolled {
        /// Whether the request was signed.
        signs: bool,
    },
    /// The answer is longer than it may be, or is no text.
    #[error("the feed's answer for {path} is longer than {most} bytes, or is no text")]
    Form {
        /// What was asked for.
        path: String,
        /// The most bytes that are taken.
        most: u64,
    },
}

impl FetchError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            FetchError::NotEnrolled { .. } => Cause::RefusedThere,
            FetchError::NoAnswer(_) | FetchError::Status { .. } | FetchError::Form { .. } => {
                Cause::NoAnswer
            }
        }
    }
}

fn not_enrolled(signs: bool) -> &'static str {
    match signs {
        true => {
            "the feed refuses this gateway (401): its name and key are not enrolled there, or were retired, or a clock is wrong by more than a minute"
        }
        false => {
            "the feed answers enrolled gateways alone (401): enrol this one there (hardtack gateways add NAME --key PUB), and give it its name and key"
        }
    }
}

/// A client of the feed at one URL.
#[derive(Debug, Clone)]
pub(crate) struct Fetching {
    client: Client,
    base: Url,
    signer: Option<Arc<Signer>>,
}

/// In whose name a feed is asked.
#[derive(Debug)]
pub(crate) struct Signer {
    pub(crate) name: String,
    pub(crate) key: PrivateKey,
    pub(crate) feed: LogKey,
}

impl Fetching {
    pub(crate) fn new(client: Client, base: Url, signer: Option<Signer>) -> Fetching {
        Fetching { client, base, signer: signer.map(Arc::new) }
    }

    /// Tells the publisher what was taken.
    pub(crate) async fn acknowledge(&self, body: Vec<u8>) -> Result<(), FetchError> {
        let url = self.url(ACKNOWLEDGEMENT);
        // A publisher has some hundred connections, of which each follower holds one with its stream.
        let request = self.client.post(url.clone()).header(http::header::CONNECTION, "close");
        let request = request.header(http::header::CONTENT_TYPE, JSON);
        let request = self.signed(request, "POST", &url, Some(&body)).body(body);
        self.answered(request, ACKNOWLEDGEMENT).await.map(drop)
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    fn signed(
        &self,
        request: RequestBuilder,
        method: &str,
        url: &Url,
        body: Option<&[u8]>,
    ) -> RequestBuilder {
        let Some(signer) = &self.signer else { return request };
        let asked = FeedRequest { method, path: url.path(), body };
        let headers = asked.sign(&signer.name, &signer.key, &signer.feed, now());
        let request = request.header(INPUT, headers.input).header(SIGNATURE, headers.signature);
        match headers.digest {
            Some(digest) => request.header(DIGEST, digest),
            None => request,
        }
    }

    async fn answered(&self, request: RequestBuilder, path: &str) -> Result<Response, FetchError> {
        let answer = tokio::time::timeout(SILENCE, request.send()).await;
        let answer = answer.map_err(|_| silent())?.map_err(no_answer)?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            StatusCode::UNAUTHORIZED => {
                Err(FetchError::NotEnrolled { signs: self.signer.is_some() })
            }
            status => Err(FetchError::Status { status: status.as_u16(), path: path.to_owned() }),
        }
    }

    /// The whole answer for `path`.
    pub(crate) async fn text(&self, path: &str, most: u64) -> Result<String, FetchError> {
        let whole = async {
            let mut answer = self.begin(path, "*/*").await?;
            let form = || FetchError::Form { path: path.to_owned(), most };
            let mut bytes = Vec::new();
            while let Some(piece) = next(&mut answer).await? {
                bytes.extend_from_slice(&piece);
                if bytes.len() as u64 > most {
                    return Err(form());
                }
            }
            String::from_utf8(bytes).map_err(|_| form())
        };
        let late = |_| FetchError::NoAnswer(format!("{path} took longer than {WHOLE:?}"));
        tokio::time::timeout(WHOLE, whole).await.map_err(late)?
    }

    /// The stream of checkpoints, whose pieces [`next`] takes.
    pub(crate) async fn stream(&self) -> Result<Response, FetchError> {
        self.begin("stream", "text/event-stream").await
    }

    async fn begin(&self, path: &str, accept: &str) -> Result<Response, FetchError> {
        let url = self.url(path);
        let request = self.client.get(url.clone()).header(http::header::ACCEPT, accept);
        self.answered(self.signed(request, "GET", &url, None), path).await
    }
}

/// The next piece of an answer; `None` at its end.
pub(crate) async fn next(answer: &mut Response) -> Result<Option<bytes::Bytes>, FetchError> {
    let piece = tokio::time::timeout(SILENCE, answer.chunk()).await;
    piece.map_err(|_| silent())?.map_err(no_answer)
}

fn silent() -> FetchError {
    FetchError::NoAnswer(format!("nothing came for {SILENCE:?}"))
}

/// The whole story: what a client of HTTP says at first is that it failed.
fn no_answer(error: reqwest::Error) -> FetchError {
    let error = error.without_url();
    let mut said = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        said = format!("{said}: {cause}");
        next = cause.source();
    }
    FetchError::NoAnswer(said)
}

/// A client that trusts the authorities of this machine, follows no redirection and no proxy of the environment.
pub(crate) fn client(scheme: &str) -> Result<Client, String> {
    let provider = Arc::new(crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider);
    let tls = tls.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let tls = match scheme {
        "https" => tls.with_platform_verifier().map_err(|error| error.to_string())?,
        // A machine without any authorities can still speak plain HTTP.
        _ => tls.with_root_certificates(RootCertStore::empty()),
    };
    let client = Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .build();
    client.map_err(|error| error.to_string())
}
