//! TLS: with which certificate does a server answer, and whose clients does it take?

use std::fmt;
use std::io;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, InconsistentKeys, InvalidMessage, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::policy_metrics::{Reload, Reloads};
use hardtack::Timestamp;
use hardtack::cause::Cause;

/// The protocols by which clients can go on (ALPN), the preferred first. A client that names none speaks HTTP/1.1.
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];

/// The name of HTTP/2 in ALPN.
const HTTP_2: &[u8] = b"h2";

/// How long a handshake may take: a few round trips, on any line.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The TLS of a server: its certificate with the private key; and the authorities of its clients' certificates, if clients need one.
/// [`Tls::replace`] exchanges all of it while the server runs. TLS 1.3 alone is spoken, and no data is taken before a handshake
/// has ended (0-RTT), so nothing can be replayed. Clones share everything.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    config: RwLock<Arc<ServerConfig>>,
    registry: Registry,
    reloads: Reloads,
    failures: Family<Failure, Counter>,
    expires: Gauge<i64, AtomicI64>,
}

/// The texts of which a [`Tls`] is made, in PEM. Debug shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsPem {
    /// The server's certificate, and behind it those between it and one that clients trust.
    pub certificates: String,
    /// The private key of the first.
    pub key: String,
    /// The certificates of which one must have signed a client's; `None` if clients need none.
    pub client_ca: Option<String>,
}

/// An error of [`Tls`]: the texts are not what a server needs. It never holds a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no certificate in the text.
    #[error(
        "there is no certificate in it; write it as PEM (BEGIN CERTIFICATE), the server's own first"
    )]
    NoCertificate,
    /// A certificate cannot be read.
    #[error("a certificate in it cannot be read; make it anew, as X.509 version 3")]
    MalformedCertificate,
    /// A certificate has expired.
    #[error(
        "a certificate in it expired at {0}; put a new one in its place, and look at the clock"
    )]
    Expired(Timestamp),
    /// A certificate is not valid yet.
    #[error("a certificate in it is not valid before {0}; wait until then, and look at the clock")]
    NotYetValid(Timestamp),
    /// There is no private key in the text.
    #[error(
        "there is no private key in it; write it as PEM (BEGIN PRIVATE KEY), without a password"
    )]
    NoKey,
    /// The key is of a kind that TLS does not use.
    #[error("the key is of a kind that is not used here; make one for ECDSA, ed25519 or RSA")]
    UnknownKey,
    /// The key is not that of the certificate.
    #[error("the key does not fit the certificate: it is another one's")]
    OtherKey,
    /// There is no usable certificate of an authority in the text.
    #[error(
        "there is no certificate of an authority in it that can be trusted; write it as PEM (BEGIN CERTIFICATE)"
    )]
    NoClientCa,
}

impl TlsError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::MalformedKey
    }

    /// Returns which of the three texts is wrong.
    pub fn text(&self) -> TlsText {
        match self {
            TlsError::NoKey | TlsError::UnknownKey | TlsError::OtherKey => TlsText::Key,
            TlsError::NoClientCa => TlsText::ClientCa,
            _ => TlsText::Certificates,
        }
    }
}

/// A text of a [`TlsPem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsText {
    /// [`TlsPem::certificates`]
    Certificates,
    /// [`TlsPem::key`]
    Key,
    /// [`TlsPem::client_ca`]
    ClientCa,
}

/// Why a handshake did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    why: &'static str,
}

impl Tls {
    /// Makes the TLS of a server.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if a text is not what it should be, the key does not fit the certificate, or a certificate is not valid `now`.
    pub fn of(pem: &TlsPem, now: Timestamp) -> Result<Tls, TlsError> {
        let (config, expires) = config(pem, now)?;
        let (reloads, failures, gauge) = (Reloads::default(), Family::default(), Gauge::default());
        gauge.set(expires);
        let mut registry = Registry::with_prefix("hardtack");
        reloads.register(
            &mut registry,
            "tls_reloads",
            "Certificates read anew, by what came of it",
        );
        let help = "TLS handshakes that did not end well, by why";
        registry.register("tls_handshake_failures", help, Family::clone(&failures));
        let help = "When the server's certificate expires, or one behind it, since 1970";
        let unit = Unit::Seconds;
        registry.register_with_unit("tls_certificate_expires", help, unit, Gauge::clone(&gauge));
        let config = RwLock::new(Arc::new(config));
        Ok(Tls(Arc::new(Shared { config, registry, reloads, failures, expires: gauge })))
    }

    /// Takes other texts from the next handshake on, and counts the attempt. Connections that are open stay, also those of clients
    /// whose authority is no longer trusted. No session from before is resumed, and none at all where clients need a certificate.
    ///
    /// # Errors
    ///
    /// [`TlsError`], as of [`Tls::of`]. Then everything stays as it was.
    pub fn replace(&self, pem: &TlsPem, now: Timestamp) -> Result<(), TlsError> {
        let made = config(pem, now);
        self.0.reloads.count(if made.is_ok() { Reload::Loaded } else { Reload::Refused });
        let (config, expires) = made?;
        self.0.expires.set(expires);
        *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(())
    }

    /// Counts an attempt to exchange the texts that [`Tls::replace`] did not hear of, such as of files that cannot be read.
    pub fn count(&self, attempt: Reload) {
        self.0.reloads.count(attempt);
    }

    /// In the OpenMetrics text format, to be followed by others.
    pub(crate) fn render(&self, rendered: &mut String) {
        // Writing to a string does not fail.
        let _ = text::encode_registry(rendered, &self.0.registry);
    }

    /// A handshake, which may take `patience` at the most, and less where that is much.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        patience: Duration,
    ) -> Option<TlsStream<S>> {
        let config = Arc::clone(&self.0.config.read().unwrap_or_else(PoisonError::into_inner));
        let handshake = TlsAcceptor::from(config).accept(stream);
        match tokio::time::timeout(patience.min(HANDSHAKE_TIMEOUT), handshake).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                self.failed(why(&error));
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                self.failed("timeout");
                None
            }
        }
    }

    /// Counts a handshake that did not end well.
    pub(crate) fn failed(&self, why: &'static str) {
        self.0.failures.get_or_create(&Failure { why }).inc();
    }
}

/// Whether a client goes on in HTTP/2.
pub(crate) fn speaks_http2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP_2)
}

fn why(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::NoCertificatesPresented) => "no_client_certificate",
        Some(rustls::Error::InvalidCertificate(_)) => "client_certificate",
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => "not_tls",
        Some(_) => "protocol",
        None => "connection",
    }
}

/// What a server needs, and when the first of its certificates expires, in seconds since 1970.
fn config(pem: &TlsPem, now: Timestamp) -> Result<(ServerConfig, i64), TlsError> {
    let chain = certificates(&pem.certificates)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let mut expires = i64::MAX;
    for certificate in &chain {
        let until = valid_until(certificate, now)?.since(epoch()).as_secs();
        expires = expires.min(i64::try_from(until).unwrap_or(i64::MAX));
    }
    // What is wrong with a key is not said: it could be a part of it.
    let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).map_err(|_| TlsError::NoKey)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider).map_err(|e| match e {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::OtherKey,
        _ => TlsError::UnknownKey,
    })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| TlsError::UnknownKey)?;
    let builder = match &pem.client_ca {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(authorities).map_err(|_| TlsError::NoClientCa)? {
                roots.add(authority).map_err(|_| TlsError::NoClientCa)?;
            }
            // There is none of no authority.
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|_| TlsError::NoClientCa)?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|_| TlsError::UnknownKey)?;
    if pem.client_ca.is_some() {
        // A session that is resumed shows no certificate, which may have expired since.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok((config, expires))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    read.map_err(|_| TlsError::MalformedCertificate)
}

/// Until when a certificate that is valid now is.
fn valid_until(certificate: &CertificateDer<'_>, now: Timestamp) -> Result<Timestamp, TlsError> {
    let parsed =
        ParsedCertificate::try_from(certificate).map_err(|_| TlsError::MalformedCertificate)?;
    // Its time is what is looked at first. That no authority is known is not asked here: clients know theirs.
    let at = |time: Duration| {
        let (none, time) = (RootCertStore::empty(), UnixTime::since_unix_epoch(time));
        let verified = verify_server_cert_signed_by_trust_anchor(&parsed, &none, &[], time, &[]);
        match verified {
            Err(rustls::Error::InvalidCertificate(problem)) => problem,
            _ => CertificateError::UnknownIssuer,
        }
    };
    let said = |time: UnixTime| epoch() + Duration::from_secs(time.as_secs());
    match at(now.since(epoch())) {
        CertificateError::ExpiredContext { not_after, .. } => {
            return Err(TlsError::Expired(said(not_after)));
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            return Err(TlsError::NotYetValid(said(not_before)));
        }
        CertificateError::BadEncoding => return Err(TlsError::MalformedCertificate),
        _ => {}
    }
    match at(Duration::MAX) {
        CertificateError::ExpiredContext { not_after, .. } => Ok(said(not_after)),
        _ => Err(TlsError::MalformedCertificate),
    }
}

/// 1970, when the time of certificates begins.
fn epoch() -> Timestamp {
    Timestamp::from(SystemTime::UNIX_EPOCH)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsPem").finish_non_exhaustive()
    }
}
