//! Settings: what does the issuer's file say, and can it be so?

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use crate::assertion::Provider;
use crate::jws::Algorithm;

/// A file with every key explained, which is one that can be used.
pub const EXAMPLE: &str = include_str!("example.toml");

/// The life of a grant at the most, and how much one subject or key may ask, unless the file says otherwise.
const DEFAULT_LONGEST: u64 = 24 * 3600;
const DEFAULT_REQUESTS: u32 = 30;

/// The longest life that can be written, a year: what is revoked is kept for as long, and longer is a mistake of units.
const MAX_LONGEST: u64 = 366 * 24 * 3600;

/// What the file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs, reason = "the example explains each key")]
#[non_exhaustive]
pub struct Settings {
    pub issuer: String,
    pub listen: String,
    pub key: PathBuf,
    pub store: PathBuf,
    pub policies: PathBuf,
    pub longest_life: Option<u64>,
    pub requests_a_minute: Option<u32>,
    pub feed_listen: Option<String>,
    pub feed_signing_key: Option<PathBuf>,
    pub feed_state: Option<PathBuf>,
    pub feed_new_epoch: Option<u64>,
    pub feed_gateways: Option<PathBuf>,
    #[serde(default)]
    pub accept_plain_http: bool,
    #[serde(default)]
    pub provider: Vec<ProviderSettings>,
}

/// What the file says of a provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs, reason = "the example explains each key")]
#[non_exhaustive]
pub struct ProviderSettings {
    pub name: String,
    pub issuer: String,
    pub jwks_uri: String,
    pub ca_file: Option<PathBuf>,
    pub algorithms: Option<Vec<String>>,
    pub id_token_audience: Option<String>,
    pub access_token_audience: Option<String>,
    #[serde(default)]
    pub clients: Vec<String>,
    #[serde(default)]
    pub reusable: bool,
}

impl Settings {
    /// Returns the issuer's URL.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn url(&self) -> Result<Url, String> {
        let url = server("issuer", &self.issuer, self.accept_plain_http)?;
        // Clients compare it letter for letter (RFC 8414, section 3.3).
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        if !url.path().bytes().all(is_plain) || url.path().contains("//") {
            return Err("issuer: its path has letters, digits and -._~ between single `/`".into());
        }
        let written = self.issuer.trim_end_matches('/');
        match url.as_str().trim_end_matches('/') == written && !self.issuer.ends_with('/') {
            true => Ok(url),
            false => Err(format!(
                "issuer: write it without `/` at its end and in its one spelling: {}",
                url.as_str().trim_end_matches('/')
            )),
        }
    }

    pub(crate) fn longest_seconds(&self) -> u64 {
        self.longest_life.unwrap_or(DEFAULT_LONGEST)
    }

    pub(crate) fn requests(&self) -> u32 {
        self.requests_a_minute.unwrap_or(DEFAULT_REQUESTS)
    }

    /// Looks at what can be seen to be wrong without reading another file.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.url()?;
        if !(1..=MAX_LONGEST).contains(&self.longest_seconds()) {
            return Err(format!("longest-life is 1 to {MAX_LONGEST} seconds"));
        }
        if self.requests() == 0 {
            return Err("requests-a-minute is at least 1".to_owned());
        }
        if self.provider.is_empty() {
            return Err(
                "no [[provider]] is named, so nobody could ever prove who they are".to_owned()
            );
        }
        for (number, provider) in self.provider.iter().enumerate() {
            let before = self.provider.iter().take(number);
            if before
                .clone()
                .any(|other| other.name == provider.name || other.issuer == provider.issuer)
            {
                return Err(format!("provider {}: another has its name or issuer", provider.name));
            }
            provider.check(self.accept_plain_http)?;
        }
        Ok(())
    }
}

impl ProviderSettings {
    fn check(&self, plain: bool) -> Result<(), String> {
        let wrong = |problem: String| format!("provider {}: {problem}", self.name);
        hardtack::issuance::subject("user", &self.name, "x")
            .map_err(|error| wrong(error.to_string()))?;
        server("jwks-uri", &self.jwks_uri, plain).map_err(wrong)?;
        self.algorithms().map_err(wrong)?;
        match self.id_token_audience.is_none() && self.access_token_audience.is_none() {
            true => Err(wrong(
                "write id-token-audience or access-token-audience, or no token of it is taken"
                    .to_owned(),
            )),
            false => Ok(()),
        }
    }

    fn algorithms(&self) -> Result<Vec<Algorithm>, String> {
        let Some(names) = &self.algorithms else { return Ok(vec![Algorithm::Rs256]) };
        let read = names.iter().map(|name| {
            Algorithm::named(name).ok_or_else(|| {
                format!(
                    "there is no algorithm {name}; there are RS256, PS256, ES256, ES384 and EdDSA"
                )
            })
        });
        let read: Vec<Algorithm> = read.collect::<Result<_, _>>()?;
        if read.is_empty() { Err("algorithms names none".to_owned()) } else { Ok(read) }
    }

    /// The provider, for tokens with this audience.
    pub(crate) fn of(&self, audience: &str) -> Provider {
        Provider {
            issuer: self.issuer.clone(),
            audience: audience.to_owned(),
            clients: self.clients.clone(),
            algorithms: self.algorithms().unwrap_or_default(),
        }
    }
}

/// The URL of a server, over https or on this machine itself.
pub(crate) fn server(key: &str, text: &str, plain: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{key}: {text} is no URL ({error})"))?;
    let is_local = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        _ => false,
    };
    let is_bare = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    match url.scheme() {
        _ if !is_bare => Err(format!("{key}: a URL here has no query, fragment or user")),
        "https" => Ok(url),
        "http" if plain && is_local => Ok(url),
        "http" => Err(format!(
            "{key}: {text} is plain HTTP, in which everybody on the way reads and writes; write https, or accept-plain-http = true for an address of this machine itself, such as 127.0.0.1"
        )),
        _ => Err(format!("{key}: {text} is no https URL")),
    }
}
