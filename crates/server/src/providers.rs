//! Providers: whose tokens count, and which keys do they have now?
//!
//! The operator chooses the URLs, so any address may be asked. What answers is not trusted with more than its size and time.

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hardtack::Timestamp;
use reqwest::{Certificate, Client, redirect};
use rustls::{ClientConfig, RootCertStore, crypto};
use rustls_platform_verifier::BuilderVerifierExt;
use url::Url;

use crate::jwk::KeySet;
use crate::keeping::{COOLDOWN, Keys, Next};
use crate::settings::{ProviderSettings, server};

/// The most bytes of a document of keys: certificates may stand in it.
const MAX_BYTES: usize = 256 * 1024;

/// How long an answer may take: whoever waits for it holds a place.
const MAX_TIME: Duration = Duration::from_secs(5);

// So there is one fetch at a time.
const _: () = assert!(MAX_TIME.as_secs() < COOLDOWN.as_secs());

/// A provider, and its keys as they are kept.
pub(crate) struct Known {
    pub(crate) settings: ProviderSettings,
    uri: Url,
    client: Client,
    keys: Mutex<Keys>,
}

impl Known {
    pub(crate) fn new(settings: ProviderSettings, plain: bool) -> Result<Known, String> {
        let uri = server("jwks-uri", &settings.jwks_uri, plain)?;
        let client = client(settings.ca_file.as_deref())?;
        Ok(Known { settings, uri, client, keys: Mutex::default() })
    }

    /// The keys that are known now; `lacks` asks for newer ones. `None` if none can be used.
    pub(crate) async fn keys(self: &Arc<Known>, lacks: bool, now: Timestamp) -> Option<KeySet> {
        let next = self.with(|keys| keys.next(lacks, now));
        if next == Next::Fetch {
            // In a task of its own: whoever goes away leaves no fetch behind that nobody ends.
            let known = Arc::clone(self);
            let fetching = tokio::spawn(async move {
                let fetched = tokio::time::timeout(MAX_TIME, known.fetch()).await;
                let fetched =
                    fetched.unwrap_or_else(|_| Err("it takes longer than 5 s".to_owned()));
                match fetched {
                    Ok(set) => known.with(|keys| keys.fetched(set, now)),
                    Err(problem) => {
                        let provider = known.settings.name.as_str();
                        tracing::error!(
                            provider,
                            problem,
                            "the keys of a provider cannot be fetched"
                        );
                    }
                }
            });
            // A fetch that broke off has said so itself, or is tried again after the pause.
            let _ = fetching.await;
            let is_usable = self.with(|keys| keys.next(false, now)) == Next::Use;
            return self.with(|keys| keys.known().filter(|_| is_usable).cloned());
        }
        self.with(|keys| keys.known().filter(|_| next == Next::Use).cloned())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Keys) -> T) -> T {
        act(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let answer = self.client.get(self.uri.clone()).send().await;
        let mut answer = answer.map_err(|error| with_causes(&error.without_url()))?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("it answers {}", answer.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|_| "its answer breaks off")? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_BYTES {
                return Err("its answer is longer than 256 KiB".to_owned());
            }
        }
        KeySet::read(&bytes).ok_or_else(|| "its answer is no set of keys (RFC 7517)".to_owned())
    }
}

/// An error with what led to it: "error sending request" alone helps nobody.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A client that follows no redirection and no proxy of the environment.
fn client(ca: Option<&Path>) -> Result<Client, String> {
    let provider = Arc::new(crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider);
    let tls = tls.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let tls = match ca {
        None => tls.with_platform_verifier().map_err(|error| error.to_string())?,
        Some(path) => {
            let said = |problem: String| format!("ca-file {}: {problem}", path.display());
            let text = hardtack::internal::read_text(path, MAX_BYTES as u64);
            let text = text.map_err(|error| said(error.to_string()))?;
            let authorities = authorities(&text).map_err(said)?;
            tls.with_root_certificates(authorities)
        }
    };
    let client = Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(MAX_TIME)
        .build();
    client.map_err(|error| error.to_string())
}

fn authorities(pem: &str) -> Result<RootCertStore, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    // What reqwest takes for a certificate is one.
    Certificate::from_pem(pem.as_bytes()).map_err(|_| "there is no certificate in it")?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        store.add(certificate).map_err(|error| error.to_string())?;
    }
    if store.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(store) }
}
