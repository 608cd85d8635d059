//! Credentials: which headers is a server told to be sent, and from which files are they read again?

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use hardtack_mcp::{
    CredentialCommand, CredentialError, Credentials, DEFAULT_KEPT, HeldCredential, OAuthClient,
    Upstream, UpstreamTls,
};

use super::{time, wrong};
use crate::args::server::{OAuthSettings, ServerSettings};
use crate::command::program;
use crate::command::reloading::Look;
use crate::reading::{self, BYTE_ORDER_MARK, MAX_CREDENTIAL_BYTES};

const HEADER: &str = "upstream-header";
const FILE: &str = "upstream-authorization-file";
const ENVIRONMENT: &str = "upstream-authorization-env";
const OAUTH: &str = "upstream-oauth";
const AUTHORIZATION: &str = "authorization";

/// What a server is sent, and the files that are read again.
pub(super) struct Sent {
    pub(super) credentials: Credentials,
    pub(super) files: CredentialFiles,
}

/// Files that hold the values of headers, each looked at now and then.
#[derive(Default)]
pub(super) struct CredentialFiles {
    /// The server's name, where there are several.
    pub(super) server: Option<String>,
    files: Vec<Watched>,
}

struct Watched {
    path: PathBuf,
    held: HeldCredential,
    /// What was read when it was taken last, or tried to.
    tried: Option<Result<String, String>>,
    /// What was read at the last look.
    seen: Option<Result<String, String>>,
}

/// What a server with this name is sent. Nothing secret is typed: process lists show what is.
pub(super) fn sent(settings: &ServerSettings, server: &str) -> Result<Sent, Box<dyn Error>> {
    let mut sent = Sent { credentials: Credentials::default(), files: CredentialFiles::default() };
    match (&settings.upstream_authorization_file, &settings.upstream_authorization_env) {
        (Some(_), Some(_)) => {
            return Err(wrong(FILE, "give either the file or the environment variable"));
        }
        (Some(path), None) => sent.file(FILE, AUTHORIZATION, path)?,
        (None, Some(name)) => sent.variable(ENVIRONMENT, AUTHORIZATION, name)?,
        (None, None) => {}
    }
    let kept_for = time("upstream-header-kept", settings.upstream_header_kept.as_deref())?;
    let kept_for = kept_for.unwrap_or(DEFAULT_KEPT);
    for header in &settings.upstream_header {
        // What follows the sign may be a secret that was typed all the same.
        let form = || {
            wrong(
                HEADER,
                "write NAME=@FILE, NAME=env:VARIABLE or NAME='command:PROGRAM ARGUMENTS'; a value itself is a secret, and is not typed",
            )
        };
        let (name, from) = header.split_once('=').ok_or_else(form)?;
        let name = name.trim();
        if let Some(path) = from.strip_prefix('@') {
            sent.file(HEADER, name, Path::new(path))?;
        } else if let Some(variable) = from.strip_prefix("env:") {
            sent.variable(HEADER, name, variable)?;
        } else if let Some(command) = from.strip_prefix("command:") {
            let mut words = command.split_whitespace().map(OsString::from);
            let program = words
                .next()
                .ok_or_else(|| wrong(HEADER, format!("{name} has a command without a program")))?;
            program::refuse_unstartable(HEADER)?;
            let command = CredentialCommand::new(program, words, server, kept_for);
            sent.credentials.ask(name, command).map_err(|error| wrong(HEADER, error))?;
        } else {
            return Err(form());
        }
    }
    if let Some(oauth) = &settings.upstream_oauth {
        sent.oauth(oauth, settings)?;
    }
    Ok(sent)
}

impl Sent {
    /// The gateway's own token, by which it asks an authorization server.
    fn oauth(
        &mut self,
        oauth: &OAuthSettings,
        settings: &ServerSettings,
    ) -> Result<(), Box<dyn Error>> {
        let form = || {
            wrong(
                OAUTH,
                "write client-secret = \"@FILE\" or \"env:VARIABLE\"; the secret itself does not belong there",
            )
        };
        let secret = if let Some(path) = oauth.client_secret.strip_prefix('@') {
            self.held(OAUTH, Path::new(path), HeldCredential::secret)?
        } else {
            let variable = oauth.client_secret.strip_prefix("env:").ok_or_else(form)?;
            variable_of(OAUTH, variable, HeldCredential::secret)?
        };
        // Its authority and the gateway's certificate are those of the upstream.
        let at = Upstream::at_with(&oauth.token_url, tls(settings)?);
        let mut at = at.map_err(|error| wrong(OAUTH, error))?;
        if let Some(host) = &settings.allow_plain_http {
            at = at.accept_plain_http_to(host);
        }
        let wanted = (oauth.scope.as_deref(), oauth.resource.as_deref());
        let client = OAuthClient::new(at, &oauth.client_id, secret, wanted);
        let client = client.map_err(|error| wrong(OAUTH, error))?;
        self.credentials.renew(client).map_err(|error| wrong(OAUTH, error))
    }

    fn file(&mut self, key: &str, name: &str, path: &Path) -> Result<(), Box<dyn Error>> {
        let mut credentials = std::mem::take(&mut self.credentials);
        let held = self.held(key, path, |text| credentials.hold(name, text)).map(drop);
        self.credentials = credentials;
        held
    }

    /// What a file holds, from now on.
    fn held(
        &mut self,
        key: &str,
        path: &Path,
        hold: impl FnOnce(&str) -> Result<HeldCredential, CredentialError>,
    ) -> Result<HeldCredential, Box<dyn Error>> {
        let text = read(path).map_err(|error| wrong(key, error))?;
        let held = hold(&text);
        let held = held.map_err(|error| wrong(key, format!("{}: {error}", path.display())))?;
        let own = held.clone();
        let read = Some(Ok(text));
        let (path, tried) = (path.to_owned(), read.clone());
        self.files.files.push(Watched { path, held, tried, seen: read });
        Ok(own)
    }

    fn variable(&mut self, key: &str, name: &str, variable: &str) -> Result<(), Box<dyn Error>> {
        variable_of(key, variable, |text| self.credentials.hold(name, text)).map(drop)
    }
}

fn variable_of(
    key: &str,
    variable: &str,
    hold: impl FnOnce(&str) -> Result<HeldCredential, CredentialError>,
) -> Result<HeldCredential, Box<dyn Error>> {
    // Whoever gives the credential itself in the place of a name gives what looks like none.
    let is_name = variable.contains('_')
        && variable.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let shown = if is_name { variable } else { "what it names" };
    let problem = format!(
        "{shown} is not set to a text; give the name of the environment variable, and not the credential itself"
    );
    let value = std::env::var(variable).map_err(|_| wrong(key, problem))?;
    hold(&value).map_err(|error| wrong(key, format!("{shown}: {error}")))
}

/// The text of a file, without what some systems begin a text with.
fn read(path: &Path) -> Result<String, String> {
    let text = reading::regular(path, MAX_CREDENTIAL_BYTES).map_err(|error| error.to_string())?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map_or(text.clone(), str::to_owned))
}

impl CredentialFiles {
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

impl Look for CredentialFiles {
    const FOR: &'static str = "credentials";

    fn look(&mut self, asked: bool) {
        let server = self.server.as_ref();
        let span = server.map(|name| tracing::info_span!("credentials", hardtack.server = name));
        let _of_server = span.map(tracing::Span::entered);
        for watched in &mut self.files {
            watched.look(asked);
        }
    }
}

impl Watched {
    /// What the file says is taken at the second look in a row that finds it, so that no half-written one is sent.
    fn look(&mut self, asked: bool) {
        if asked {
            self.tried = None;
        }
        let now = Some(read(&self.path));
        let agrees = self.seen == now;
        self.seen.clone_from(&now);
        if !agrees || self.tried == now {
            return;
        }
        self.tried.clone_from(&now);
        let Some(read) = now else { return };
        let taken =
            read.and_then(|text| self.held.replace(&text).map_err(|error| error.to_string()));
        let (file, header) = (self.path.display(), self.held.name());
        match taken {
            Ok(true) => tracing::info!(%file, header, "a credential is exchanged"),
            Ok(false) => tracing::info!(%file, header, "a credential is as before"),
            Err(error) => {
                tracing::error!(%file, header, error, "a credential is not taken, the one in force stays");
            }
        }
    }
}

/// The TLS to a server: its authority, and the gateway's own certificate.
pub(super) fn tls(settings: &ServerSettings) -> Result<UpstreamTls, Box<dyn Error>> {
    let read = |key: &str, path: &Path| {
        reading::regular(path, MAX_CREDENTIAL_BYTES).map_err(|error| wrong(key, error))
    };
    let mut tls = UpstreamTls::default();
    if let Some(path) = &settings.upstream_ca {
        let pem = read("upstream-ca", path)?;
        tls = tls
            .trusting_only(&pem)
            .map_err(|error| wrong("upstream-ca", format!("{}: {error}", path.display())))?;
    }
    match (&settings.upstream_cert, &settings.upstream_key) {
        (None, None) => Ok(tls),
        (Some(certificate), Some(key)) => {
            let (pem, key) = (read("upstream-cert", certificate)?, read("upstream-key", key)?);
            let presenting = tls.presenting(&pem, &key);
            presenting.map_err(|error| wrong("upstream-cert", error))
        }
        (Some(_), None) => Err(wrong("upstream-key", "say the certificate's private key, too")),
        (None, Some(_)) => Err(wrong("upstream-cert", "say the certificate of this key, too")),
    }
}
