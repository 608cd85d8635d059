//! OAuth: a token of the gateway's own, from an authorization server, renewed before it expires (RFC 6749, section 4.4).

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tokio::time::Instant;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::value::checked;
use super::{HeldCredential, NoCredential};
use crate::upstream::{Upstream, UpstreamError};

/// How long a token may take to come: callers wait for the first.
const MAX_TIME: Duration = Duration::from_secs(10);

/// The most that is read of an answer: a token of the largest size, several times.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// How long a token is used whose answer does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(300);

/// And at most: one that is withdrawn is found out within a day.
const MAX_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How long before its end a token is renewed, or a quarter of its life if that is less.
const RENEWED_BEFORE: Duration = Duration::from_secs(60);

/// The longest pause after failures; the first is a second, and each is twice the one before.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// A client of an authorization server, with a token of its own ([`Credentials::renew`](super::Credentials::renew)).
pub struct OAuthClient {
    at: Upstream,
    id: String,
    secret: HeldCredential,
    form: String,
    token: RwLock<Option<Token>>,
    /// Whoever has it asks.
    turn: Arc<Turn<Failures>>,
}

#[derive(Clone)]
struct Token {
    value: HeaderValue,
    renew: Instant,
    expires: Instant,
}

/// Of the last requests, in a row.
#[derive(Default)]
struct Failures {
    number: u32,
    until: Option<Instant>,
}

impl OAuthClient {
    /// Makes a client that asks at `token_endpoint`, with this id and secret, for a token of this scope and for this resource (RFC 8707).
    ///
    /// # Errors
    ///
    /// [`UpstreamError::PlainHttp`] if others on the way could read the secret.
    pub fn new(
        token_endpoint: Upstream,
        id: &str,
        secret: HeldCredential,
        (scope, resource): (Option<&str>, Option<&str>),
    ) -> Result<OAuthClient, UpstreamError> {
        token_endpoint.check_privacy()?;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        for (name, value) in [("scope", scope), ("resource", resource)] {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        Ok(OAuthClient {
            at: token_endpoint.answer_timeout(MAX_TIME),
            id: id.to_owned(),
            secret,
            form: form.finish(),
            token: RwLock::default(),
            turn: Arc::default(),
        })
    }

    /// The token that is good now. One request is under way at a time; while an older token is good, nobody waits for it.
    pub(super) async fn value(self: &Arc<OAuthClient>) -> Result<HeaderValue, NoCredential> {
        let known = self.known();
        match &known {
            Some(token) if Instant::now() < token.renew => return Ok(token.value.clone()),
            Some(token) => match Arc::clone(&self.turn).try_lock_owned() {
                // Whoever had the turn before may have renewed it by now.
                Ok(turn) => {
                    let is_new = |known: Token| Instant::now() < known.renew;
                    if !self.known().is_some_and(is_new) {
                        // The old one is good for a while.
                        let _ = self.renewed(turn).await;
                    }
                }
                Err(_) => return Ok(token.value.clone()),
            },
            None => {
                let turn = Arc::clone(&self.turn).lock_owned().await;
                // Whoever had the turn before may have it by now.
                if self.known().is_none() {
                    self.renewed(turn).await?;
                }
            }
        }
        self.known().map(|token| token.value).ok_or(NoCredential)
    }

    fn known(&self) -> Option<Token> {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner).clone();
        token.filter(|token| Instant::now() < token.expires)
    }

    /// Asks in a task of its own, which has the turn until it is done: a caller that goes away ends no request for the others, and
    /// leaves no pause behind.
    async fn renewed(
        self: &Arc<OAuthClient>,
        mut turn: OwnedMutexGuard<Failures>,
    ) -> Result<(), NoCredential> {
        if turn.until.is_some_and(|until| Instant::now() < until) {
            return Err(NoCredential);
        }
        let client = Arc::clone(self);
        let asking = tokio::spawn(async move {
            let asked = tokio::time::timeout(MAX_TIME, client.ask()).await;
            match asked.unwrap_or_else(|_| Err("it does not answer within 10 s".to_owned())) {
                Ok(token) => {
                    *client.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
                    *turn = Failures::default();
                    Ok(())
                }
                Err(problem) => {
                    turn.pause();
                    tracing::error!(
                        problem,
                        failures = turn.number,
                        "the authorization server gives out no token for the upstream"
                    );
                    Err(NoCredential)
                }
            }
        });
        asking.await.unwrap_or(Err(NoCredential))
    }

    async fn ask(&self) -> Result<Token, String> {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let basic = self.secret.with_text(|secret| {
            STANDARD.encode(format!("{}:{}", encoded(&self.id), encoded(secret)))
        });
        let basic = HeaderValue::try_from(format!("Basic {basic}"));
        let basic = basic.map_err(|_| "the id or the secret is none".to_owned())?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, form), (header::ACCEPT, json)]);
        let body = Bytes::from(self.form.clone());
        let response = self.at.send(Method::POST, headers, Some(basic), body).await;
        let response = response.map_err(|_| "it cannot be reached".to_owned())?;
        let status = response.status();
        let body = Limited::new(reqwest::Body::from(response), MAX_ANSWER_BYTES).collect().await;
        let body =
            body.map_err(|_| "its answer breaks off, or is longer than 64 KiB".to_owned())?;
        if status != StatusCode::OK {
            return Err(refused(status, &body.to_bytes()));
        }
        token(&body.to_bytes())
    }
}

impl Failures {
    fn pause(&mut self) {
        let pause = Duration::from_secs(1 << self.number.min(6)).min(MAX_PAUSE);
        self.number = self.number.saturating_add(1);
        self.until = Some(Instant::now() + pause);
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
}

fn token(body: &[u8]) -> Result<Token, String> {
    // What is wrong with it may show a part of it.
    let granted: Granted =
        serde_json::from_slice(body).map_err(|_| "its answer is no token (RFC 6749)".to_owned())?;
    if !granted.token_type.eq_ignore_ascii_case("bearer") {
        return Err("its token is no bearer token".to_owned());
    }
    if granted.access_token.is_empty() || granted.access_token.contains(' ') {
        return Err("its token is none that a header can hold".to_owned());
    }
    let value = checked(&header::AUTHORIZATION, &format!("Bearer {}", granted.access_token));
    let value = value.map_err(|error| error.to_string())?;
    let life = granted.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs).min(MAX_LIFE);
    let now = Instant::now();
    let renew = now + life.saturating_sub(RENEWED_BEFORE.min(life / 4));
    Ok(Token { value, renew, expires: now + life })
}

/// The answer's status, and its code if that is one.
fn refused(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refused {
        error: String,
    }
    let code = serde_json::from_slice::<Refused>(body).map(|refused| refused.error);
    let is_code = |code: &String| {
        code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    match code.ok().filter(is_code) {
        Some(code) => format!("it answers {}, {code}", status.as_u16()),
        None => format!("it answers {}", status.as_u16()),
    }
}

impl fmt::Debug for OAuthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthClient").field("at", &self.at).finish_non_exhaustive()
    }
}
