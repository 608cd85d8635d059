//! Tls: which authority vouches for the server behind, and by which certificate does the gateway name itself to it?

use std::fmt;
use std::sync::Arc;

use hardtack::cause::Cause;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, crypto};
use rustls_platform_verifier::BuilderVerifierExt;

/// The TLS of an [`Upstream`](crate::Upstream): by default the authorities that the operating system trusts, and no certificate of
/// its own.
#[derive(Default)]
pub struct UpstreamTls {
    authorities: Option<RootCertStore>,
    own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// An error of [`UpstreamTls`]: a text is no certificate or key. It never holds the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamTlsError {
    /// There is no certificate of an authority in the text.
    #[error(
        "there is no certificate of an authority in it that can be trusted; write it as PEM (BEGIN CERTIFICATE)"
    )]
    Authority,
    /// There is no certificate in the text.
    #[error(
        "there is no certificate in it; write it as PEM (BEGIN CERTIFICATE), the gateway's own first"
    )]
    Certificate,
    /// There is no private key in the text.
    #[error(
        "there is no private key in it; write it as PEM (BEGIN PRIVATE KEY), without a password"
    )]
    Key,
    /// The key is not that of the certificate, or of a kind that is not known.
    #[error("the key is not the certificate's, or of a kind that TLS does not use")]
    OtherKey,
}

impl UpstreamTlsError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::MalformedCredential
    }
}

impl UpstreamTls {
    /// Trusts the authorities in this PEM text, and no others.
    ///
    /// # Errors
    ///
    /// [`UpstreamTlsError`] if there is none, or one is malformed.
    pub fn trusting_only(mut self, pem: &str) -> Result<UpstreamTls, UpstreamTlsError> {
        let mut authorities = RootCertStore::empty();
        for certificate in certificates(pem).ok_or(UpstreamTlsError::Authority)? {
            authorities.add(certificate).map_err(|_| UpstreamTlsError::Authority)?;
        }
        self.authorities = Some(authorities);
        Ok(self)
    }

    /// Names the gateway to the server by this certificate, with what leads to its authority, and its private key, each as PEM.
    ///
    /// # Errors
    ///
    /// [`UpstreamTlsError`] if one of them is malformed, or they do not belong together.
    pub fn presenting(
        mut self,
        certificate: &str,
        key: &str,
    ) -> Result<UpstreamTls, UpstreamTlsError> {
        let chain = certificates(certificate).ok_or(UpstreamTlsError::Certificate)?;
        let key =
            PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| UpstreamTlsError::Key)?;
        // A key of another certificate is found now, and not at the first call.
        let provider = crypto::ring::default_provider();
        rustls::sign::CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider)
            .map_err(|_| UpstreamTlsError::OtherKey)?;
        self.own = Some((chain, key));
        Ok(self)
    }

    /// The configuration for a server of this scheme.
    pub(crate) fn configured(self, scheme: &str) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider);
        let tls = tls.with_safe_default_protocol_versions()?;
        let tls: ConfigBuilder<ClientConfig, WantsClientCert> = match (self.authorities, scheme) {
            (Some(authorities), _) => tls.with_root_certificates(authorities),
            (None, "https") => tls.with_platform_verifier()?,
            // A machine without any authorities can still speak plain HTTP.
            (None, _) => tls.with_root_certificates(RootCertStore::empty()),
        };
        match self.own {
            Some((chain, key)) => tls.with_client_auth_cert(chain, key),
            None => Ok(tls.with_no_client_auth()),
        }
    }
}

/// Those in a PEM text, if there are any.
fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes());
    let all: Vec<CertificateDer<'static>> = all.collect::<Result<_, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls")
            .field("authorities", &self.authorities.as_ref().map(RootCertStore::len))
            .field("has_own", &self.own.is_some())
            .finish()
    }
}
