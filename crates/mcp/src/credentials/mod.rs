//! Credentials: what does the gateway say of itself, or of whoever calls, to the server behind it?
//!
//! Headers, each of which has its value from somewhere else. A call for which one cannot be had is not sent.

mod command;
mod oauth;
mod tls;
mod value;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use http::{HeaderMap, HeaderName, HeaderValue, header};

pub use self::command::{CredentialCommand, DEFAULT_KEPT};
pub use self::oauth::OAuthClient;
pub use self::tls::{UpstreamTls, UpstreamTlsError};
pub use self::value::CredentialError;
use crate::budget::Payer;

/// The headers that a server is sent besides those of the protocol ([`Upstream::credentials`](crate::Upstream::credentials)).
#[derive(Debug, Clone, Default)]
pub struct Credentials(Vec<Header>);

#[derive(Debug, Clone)]
struct Header {
    name: HeaderName,
    from: Source,
}

#[derive(Debug, Clone)]
enum Source {
    /// The same for all who call.
    Held(HeldCredential),
    /// Each subject's own.
    Command(Arc<CredentialCommand>),
    /// The gateway's own, from an authorization server.
    OAuth(Arc<OAuthClient>),
}

/// A header's value that is the same for all who call, and that can be exchanged. Clones share it.
#[derive(Clone)]
pub struct HeldCredential {
    name: HeaderName,
    value: Arc<RwLock<HeaderValue>>,
}

/// Whose request it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Person<'a> {
    /// The subject of a root.
    pub(crate) payer: Payer,
    pub(crate) subject: &'a str,
}

/// A credential cannot be had now. Why stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoCredential;

impl Credentials {
    /// Adds a header with this value, and returns the handle by which it is exchanged.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] if the name is none that a credential can have, stands there already, or the value is not one header's.
    pub fn hold(&mut self, name: &str, value: &str) -> Result<HeldCredential, CredentialError> {
        let name = self.named(name)?;
        let value = Arc::new(RwLock::new(value::checked(&name, value)?));
        let held = HeldCredential { name: name.clone(), value };
        self.0.push(Header { name, from: Source::Held(held.clone()) });
        Ok(held)
    }

    /// Adds a header whose value a command says, to each subject its own.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] if the name is none that a credential can have, or stands there already.
    pub fn ask(&mut self, name: &str, command: CredentialCommand) -> Result<(), CredentialError> {
        let name = self.named(name)?;
        self.0.push(Header { name, from: Source::Command(Arc::new(command)) });
        Ok(())
    }

    /// Adds an `Authorization` with a token that this client is given.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] if there is an `Authorization` already.
    pub fn renew(&mut self, client: OAuthClient) -> Result<(), CredentialError> {
        let name = self.named(header::AUTHORIZATION.as_str())?;
        self.0.push(Header { name, from: Source::OAuth(Arc::new(client)) });
        Ok(())
    }

    fn named(&self, name: &str) -> Result<HeaderName, CredentialError> {
        let name = value::name(name)?;
        match self.0.iter().any(|header| header.name == name) {
            true => Err(CredentialError::Repeated(name.to_string())),
            false => Ok(name),
        }
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those for a request of this person's, or of nobody in particular.
    pub(crate) async fn headers(
        &self,
        person: Option<Person<'_>>,
    ) -> Result<HeaderMap, NoCredential> {
        let mut headers = HeaderMap::new();
        for Header { name, from } in &self.0 {
            let value = match (from, person) {
                (Source::Held(held), _) => held.now(),
                (Source::Command(command), Some(person)) => command.value(name, person).await?,
                (Source::OAuth(client), _) => client.value().await?,
                (Source::Command(_), None) => return Err(NoCredential),
            };
            headers.insert(name.clone(), value);
        }
        Ok(headers)
    }
}

/// What errors call a secret that stands in no header of its own.
const SECRET: HeaderName = HeaderName::from_static("client-secret");

impl HeldCredential {
    /// Holds a client's secret, for [`OAuthClient::new`].
    ///
    /// # Errors
    ///
    /// [`CredentialError`] if it is not one line of printable ASCII.
    pub fn secret(text: &str) -> Result<HeldCredential, CredentialError> {
        let value = Arc::new(RwLock::new(value::checked(&SECRET, text)?));
        Ok(HeldCredential { name: SECRET, value })
    }

    /// Does it with the text.
    fn with_text<T>(&self, work: impl FnOnce(&str) -> T) -> T {
        work(self.now().to_str().unwrap_or_default())
    }

    /// Sends this value from now on. Returns whether it is another than before.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] if it is not one header's value; the value stays as it was.
    pub fn replace(&self, value: &str) -> Result<bool, CredentialError> {
        let value = value::checked(&self.name, value)?;
        let mut held = self.value.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = *held != value;
        *held = value;
        Ok(is_other)
    }

    /// Returns the header's name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    fn now(&self) -> HeaderValue {
        self.value.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for HeldCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HeldCredential").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_value_that_is_exchanged_is_sent_from_then_on_and_a_wrong_one_is_not() {
        let mut credentials = Credentials::default();
        let held = credentials.hold("X-API-Key", "one\n").unwrap();
        let sent = |credentials: &Credentials| {
            let credentials = credentials.clone();
            async move { credentials.headers(None).await.unwrap()["x-api-key"].clone() }
        };
        assert_eq!(sent(&credentials).await, "one");
        assert!(sent(&credentials).await.is_sensitive());
        assert!(held.replace("two").unwrap() && !held.replace("two").unwrap());
        held.replace("three\nfour").unwrap_err();
        assert_eq!(sent(&credentials).await, "two");
        assert!(!format!("{credentials:?} {held:?}").contains("two"));
        let twice = credentials.hold("x-api-KEY", "a").unwrap_err();
        assert!(matches!(twice, CredentialError::Repeated(_)));
    }
}
