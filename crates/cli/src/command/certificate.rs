//! Certificate: which files hold the certificate of a server and its key, and do they say something else than before?

use std::error::Error;
use std::path::{Path, PathBuf};

use hardtack_mcp::{Reload, Tls, TlsError, TlsPem, TlsText};
use sha2::{Digest, Sha256};

use crate::command::reloading::Look;
use crate::reading::{self, BYTE_ORDER_MARK};
use crate::terminal::{now, warn};

/// The most bytes of certificates in one file: some hundred authorities.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

const CERT: &str = "tls-cert";
const KEY: &str = "tls-key";
const CLIENT_CA: &str = "tls-client-ca";

/// The TLS of a server, whose files are looked at now and then.
pub(crate) struct Certificate {
    files: Files,
    tls: Tls,
    /// What is in force.
    in_force: Summary,
    /// What was read when it was taken last, or tried to.
    tried: Option<Read>,
    /// What was read at the last look.
    seen: Option<Read>,
}

struct Files {
    certificates: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// What was read, of which no key is kept; or why nothing was.
type Read = Result<Summary, String>;

/// A digest of the texts.
type Summary = [u8; 32];

impl Certificate {
    /// Reads the files; `None` if none is named.
    ///
    /// # Errors
    ///
    /// Says which file is missing or wrong.
    pub(crate) fn of(
        certificates: Option<&Path>,
        key: Option<&Path>,
        client_ca: Option<&Path>,
    ) -> Result<Option<Certificate>, Box<dyn Error>> {
        let (certificates, key) = match (certificates, key) {
            (Some(certificates), Some(key)) => (certificates.to_owned(), key.to_owned()),
            (Some(_), None) => {
                return Err(format!("{KEY}: say the certificate's private key, too").into());
            }
            (None, Some(_)) => {
                return Err(format!("{CERT}: say the certificate of this key, too").into());
            }
            (None, None) if client_ca.is_some() => {
                let problem = "clients have certificates over TLS alone";
                return Err(format!("{CLIENT_CA}: {problem}; give {CERT} and {KEY}, too").into());
            }
            (None, None) => return Ok(None),
        };
        let files = Files { certificates, key, client_ca: client_ca.map(Path::to_owned) };
        let pem = files.read()?;
        let tls = Tls::of(&pem, now()).map_err(|error| files.said(&error))?;
        if let Some(problem) = files.exposure() {
            warn(&problem);
        }
        let in_force = summary(&pem);
        let read = Some(Ok(in_force));
        Ok(Some(Certificate { files, tls, in_force, tried: read.clone(), seen: read }))
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Puts what is there in the place of what is in force, if it can be.
    fn take(&mut self, read: Result<TlsPem, String>) {
        let file = self.files.certificates.display();
        let pem = match read {
            Ok(pem) => pem,
            Err(error) => {
                self.tls.count(Reload::Refused);
                tracing::error!(error, "a certificate is not taken, the one in force stays");
                return;
            }
        };
        let new = summary(&pem);
        if new == self.in_force {
            self.tls.count(Reload::Unchanged);
            tracing::info!(%file, "the certificate is as before");
            return;
        }
        match self.tls.replace(&pem, now()) {
            Ok(()) => {
                self.in_force = new;
                tracing::info!(%file, "the certificate is exchanged");
                if let Some(problem) = self.files.exposure() {
                    tracing::warn!("{problem}");
                }
            }
            Err(error) => {
                let error = self.files.said(&error);
                tracing::error!(error, "a certificate is not taken, the one in force stays");
            }
        }
    }
}

impl Look for Certificate {
    const FOR: &'static str = "certificates";

    /// What the files say is taken at the second look in a row that finds it, so that no half-written pair is.
    fn look(&mut self, asked: bool) {
        if asked {
            self.tried = None;
        }
        let read = self.files.read();
        let now = Some(read.as_ref().map(summary).map_err(String::clone));
        let agrees = self.seen == now;
        self.seen.clone_from(&now);
        if !agrees || self.tried == now {
            return;
        }
        self.tried = now;
        self.take(read);
    }
}

impl Files {
    fn read(&self) -> Result<TlsPem, String> {
        let client_ca = self.client_ca.as_deref().map(|path| text(CLIENT_CA, path)).transpose()?;
        let certificates = text(CERT, &self.certificates)?;
        Ok(TlsPem { certificates, key: text(KEY, &self.key)?, client_ca })
    }

    /// What is wrong, and in which file.
    fn said(&self, error: &TlsError) -> String {
        let (key, path) = match error.text() {
            TlsText::Certificates => (CERT, &self.certificates),
            TlsText::Key => (KEY, &self.key),
            TlsText::ClientCa => (CLIENT_CA, self.client_ca.as_ref().unwrap_or(&self.certificates)),
        };
        format!("{key}: {}: {error}", path.display())
    }

    /// What to say of a private key that others can read.
    fn exposure(&self) -> Option<String> {
        let mode = reading::exposed_mode(&self.key.metadata().ok()?)?;
        let path = self.key.display();
        Some(format!(
            "{KEY}: {path} can be read by others (mode {mode:03o}); run: chmod 600 {path}"
        ))
    }
}

fn text(key: &str, path: &Path) -> Result<String, String> {
    let text = reading::regular(path, MAX_PEM_BYTES).map_err(|error| format!("{key}: {error}"))?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map_or(text.clone(), str::to_owned))
}

fn summary(pem: &TlsPem) -> Summary {
    let mut digest = Sha256::new();
    let client_ca = pem.client_ca.as_deref().unwrap_or_default();
    for text in [&pem.certificates, &pem.key, client_ca] {
        digest.update(text.len().to_be_bytes());
        digest.update(text);
    }
    digest.finalize().into()
}
