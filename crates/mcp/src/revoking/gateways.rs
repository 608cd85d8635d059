//! Gateways: who asks which gateways follow the feed, and where what is revoked is in force? And who changes which are enrolled?

use std::time::Duration;

use bytes::Bytes;
use http::{Method, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::form_urlencoded;

use super::asking::beside;
use super::exchange::{Asking, Unanswered};
use super::wire::{ENROLL, GATEWAYS};
use crate::upstream::{for_errors, plain_http};
use hardtack::call::Call;
use hardtack::cause::Cause;
use hardtack::keys::PublicKey;
use hardtack::names::check_agent;
use hardtack::pending::Pending;

/// The longest that an answer waits until something is in force everywhere. Whoever wants to wait longer asks again.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(10);

/// How many wait at once, and how many of them for one subject.
pub(super) const MAX_WAITS: usize = 16;
pub(super) const MAX_WAITS_EACH: usize = 2;

/// The most bytes of an answer: a thousand gateways of some 500 bytes.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// A place of the feed, as an epoch and the number of its events.
pub type Place = (u64, u64);

/// The gateways that follow the feed which a process publishes.
pub trait Followers: Send + Sync {
    /// Says as a JSON object where what the feed says up to `place` is in force: as soon as it is so everywhere, and after `at_most` in any
    /// case. Without a place, all that is revoked by now is meant.
    ///
    /// # Errors
    ///
    /// Why it cannot be said, in words.
    fn in_force<'a>(
        &'a self,
        place: Option<Place>,
        at_most: Duration,
    ) -> Pending<'a, Result<Value, String>>;

    /// Enrols or retires a gateway, and says which. Waits for the disk.
    ///
    /// # Errors
    ///
    /// Why nothing is changed, in words.
    fn change(&self, change: &GatewayChange) -> Result<Value, String>;
}

/// What is to be changed of the gateways that are enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GatewayChange {
    /// Enrols a gateway.
    Add {
        /// Its name.
        name: String,
        /// The key by which it signs.
        key: PublicKey,
    },
    /// Retires a gateway, whose key is never taken again.
    Retire {
        /// Its name.
        name: String,
    },
}

impl GatewayChange {
    /// Returns the JSON object that goes over the wire, and the call to which a presentation is bound.
    ///
    /// # Errors
    ///
    /// What is wrong with the name.
    pub fn asked(&self) -> Result<(String, Call), String> {
        let json = serde_json::to_string(self).map_err(|error| error.to_string())?;
        let (_, call) = GatewayChange::parse(&json)?;
        Ok((json, call))
    }

    /// Reads it as strictly as the arguments of any call.
    pub(super) fn parse(json: &str) -> Result<(GatewayChange, Call), String> {
        let call = Call::new(ENROLL).and_then(|call| call.arguments(json));
        let call = call.map_err(|error| error.to_string())?;
        let members = Value::Object(call.arguments_json().clone());
        let change: GatewayChange = serde_json::from_value(members).map_err(|_| {
            "write {\"add\": {\"name\": …, \"key\": …}} or {\"retire\": {\"name\": …}}".to_owned()
        })?;
        let (GatewayChange::Add { name, .. } | GatewayChange::Retire { name }) = &change;
        check_agent(name).map_err(|error| error.to_string())?;
        Ok((change, call))
    }
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) place: Option<Place>,
    pub(super) wait: Duration,
}

impl Asked {
    pub(super) fn parse(query: Option<&str>) -> Result<Asked, String> {
        let wrong = || {
            format!(
                "ask with wait= a number of seconds up to {}, and with epoch= and size= both or neither",
                MAX_WAIT.as_secs()
            )
        };
        let (mut epoch, mut size, mut wait) = (None, None, None);
        for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let place = match &*key {
                "epoch" => &mut epoch,
                "size" => &mut size,
                "wait" => &mut wait,
                _ => return Err(wrong()),
            };
            let number: u64 = value.parse().map_err(|_| wrong())?;
            if place.replace(number).is_some() {
                return Err(wrong());
            }
        }
        let wait = Duration::from_secs(wait.unwrap_or(0));
        match (epoch, size) {
            _ if wait > MAX_WAIT => Err(wrong()),
            (Some(epoch), Some(size)) => Ok(Asked { place: Some((epoch, size)), wait }),
            (None, None) => Ok(Asked { place: None, wait }),
            _ => Err(wrong()),
        }
    }
}

/// An error of [`gateways_at`] and [`change_gateways_at`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GatewaysFailed {
    /// The gateway refused, in its own words.
    #[error("the gateway refused ({status}): {description}")]
    Refused {
        /// The HTTP status of its answer.
        status: u16,
        /// The description in its answer.
        description: String,
    },
    /// The gateway did not answer.
    #[error("the gateway does not answer at {0}")]
    NoAnswer(String),
    /// The text is no URL to which anything could be sent. Nothing was sent.
    #[error(
        "{0} is no http:// or https:// URL without user, password and fragment; nothing was sent"
    )]
    Url(String),
    /// The presentation would go over plain HTTP to another machine. Nothing was sent.
    #[error("{}; nothing was sent", plain_http(.host))]
    PlainHttp {
        /// The gateway's host name.
        host: String,
    },
    /// The server has no such path.
    #[error(
        "{0} is not there: the gateway publishes no feed (--feed-listen), so no gateways are enrolled with it, or it is too old"
    )]
    NotThere(String),
    /// The server at this URL answers something else.
    #[error("what answers at {0} is no Hardtack gateway")]
    Foreign(String),
}

impl GatewaysFailed {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            GatewaysFailed::Refused { .. } => Cause::RefusedThere,
            GatewaysFailed::NoAnswer(_) => Cause::NoAnswer,
            GatewaysFailed::Url(_) => Cause::MalformedUrl,
            GatewaysFailed::PlainHttp { .. } => Cause::PlainHttp,
            GatewaysFailed::NotThere(_) | GatewaysFailed::Foreign(_) => Cause::NotAGateway,
        }
    }
}

/// Asks the gateway at `url` (with or without [`GATEWAYS`] at its end) who follows its feed, and where what is revoked up to `place` is in
/// force: by now, without a place. The answer waits until it is so everywhere, `wait` at most, of which a gateway takes ten seconds. `bearer` is
/// a presentation for the gateway's audience for revocations, with the scope [`SEE_GATEWAYS`](crate::SEE_GATEWAYS). Over plain HTTP it asks
/// loopback, and `plain_http_to` if that is the gateway's host.
///
/// Returns the answer, a JSON object.
///
/// # Errors
///
/// [`GatewaysFailed`] unless the gateway answers.
pub async fn gateways_at(
    url: &str,
    plain_http_to: Option<&str>,
    bearer: &str,
    place: Option<Place>,
    wait: Duration,
) -> Result<Vec<u8>, GatewaysFailed> {
    let wrong = || GatewaysFailed::Url(for_errors(url));
    let at = beside(url, GATEWAYS).ok_or_else(wrong)?;
    let mut at = url::Url::parse(&at).map_err(|_| wrong())?;
    at.query_pairs_mut().append_pair("wait", &wait.min(MAX_WAIT).as_secs().to_string());
    if let Some((epoch, size)) = place {
        let mut pairs = at.query_pairs_mut();
        pairs.append_pair("epoch", &epoch.to_string()).append_pair("size", &size.to_string());
    }
    let (method, json, body) = (Method::GET, header::ACCEPT, Bytes::new());
    let (url, at_most) = (at.as_str(), MAX_ANSWER_BYTES);
    ask(Asking { method, url, plain_http_to, bearer, json, body, at_most }).await
}

/// Has the gateway at `url` enrol or retire one. `bearer` is a presentation that is bound to the call of [`GatewayChange::asked`], and `json`
/// is its text. The rest is as for [`gateways_at`].
///
/// # Errors
///
/// [`GatewaysFailed`] unless the gateway says that it is done.
pub async fn change_gateways_at(
    url: &str,
    plain_http_to: Option<&str>,
    bearer: &str,
    json: String,
) -> Result<Vec<u8>, GatewaysFailed> {
    let at = beside(url, GATEWAYS).ok_or_else(|| GatewaysFailed::Url(for_errors(url)))?;
    let (method, body) = (Method::POST, Bytes::from(json));
    let (url, json, at_most) = (at.as_str(), header::CONTENT_TYPE, MAX_ANSWER_BYTES);
    ask(Asking { method, url, plain_http_to, bearer, json, body, at_most }).await
}

async fn ask(asking: Asking<'_>) -> Result<Vec<u8>, GatewaysFailed> {
    let there = for_errors(asking.url);
    let body = asking.ask().await.map_err(|unanswered| match unanswered {
        Unanswered::Url => GatewaysFailed::Url(there.clone()),
        Unanswered::PlainHttp(host) => GatewaysFailed::PlainHttp { host },
        Unanswered::NoAnswer => GatewaysFailed::NoAnswer(there.clone()),
        Unanswered::NotThere => GatewaysFailed::NotThere(there.clone()),
        Unanswered::Refused(status, description) => GatewaysFailed::Refused { status, description },
        Unanswered::Foreign => GatewaysFailed::Foreign(there.clone()),
    })?;
    Ok(body.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_in_one_way() {
        let read = |query: &str| Asked::parse(Some(query));
        assert_eq!(Asked::parse(None), Ok(Asked { place: None, wait: Duration::ZERO }));
        let place = Some((2, 40));
        let wait = Duration::from_secs(5);
        assert_eq!(read("epoch=2&size=40&wait=5"), Ok(Asked { place, wait }));
        for wrong in ["wait=11", "wait=-1", "epoch=1", "size=1", "wait=1&wait=1", "other=1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_change_has_one_form() {
        let key = hardtack::PrivateKey::generate().public();
        let add = GatewayChange::Add { name: "gw-1".to_owned(), key };
        let (json, call) = add.asked().unwrap();
        assert_eq!(GatewayChange::parse(&json).unwrap().0, add);
        assert_eq!(call.operation().to_string(), ENROLL);
        for wrong in [
            "{}",
            r#"{"retire":"gw-1"}"#,
            r#"{"retire":{"name":"gw:1"}}"#,
            r#"{"retire":{"name":"gw-1","also":1}}"#,
            r#"{"retire":{"name":"gw-1"},"add":{"name":"gw-2","key":"none"}}"#,
        ] {
            assert!(GatewayChange::parse(wrong).is_err(), "{wrong}");
        }
    }
}
