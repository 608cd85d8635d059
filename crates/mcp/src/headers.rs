//! Headers: do they agree with the body, and which of them pass?
//!
//! Only what the protocol knows is forwarded, in either direction. Whatever else a client or a server sends
//! (cookies, credentials, forwarding headers) ends here.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use hardtack::mcp::{Era, Message, Method};

pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(crate) const NAME: HeaderName = HeaderName::from_static("mcp-name");
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Arguments that a tool's schema asks to be repeated as headers; which, only the server knows, and it must
/// compare them itself (2026-07-28, transports, "Custom headers").
const PARAMETER_PREFIX: &str = "mcp-param-";

/// What is forwarded to the server, besides [`PARAMETER_PREFIX`] and the session.
const FORWARDED: [HeaderName; 10] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::USER_AGENT,
    PROTOCOL_VERSION,
    METHOD,
    NAME,
    LAST_EVENT_ID,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

/// What is forwarded to the client, besides the session.
const ANSWERED: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::ALLOW, header::RETRY_AFTER, PROTOCOL_VERSION];

/// Of these, two readers would take different ones.
static ONCE: [HeaderName; 11] = [
    header::HOST,
    header::ORIGIN,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    SESSION_ID,
    PROTOCOL_VERSION,
    METHOD,
    NAME,
    LAST_EVENT_ID,
];

/// As many characters of a header and a member that differ are repeated at most.
const MAX_SHOWN: usize = 128;

/// Headers that are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("the header {0} stands twice")]
    Repeated(HeaderName),
    #[error("the body is encoded as {0}; send it as it is")]
    Encoded(String),
    #[error("the body must be application/json, in UTF-8")]
    ContentType,
    #[error("the header {0} carries the bearer token, which belongs into Authorization alone")]
    CarriesBearer(HeaderName),
    #[error("the header {header} says {found:?} and the body says {expected:?}")]
    Mismatch { header: HeaderName, found: String, expected: String },
    #[error("the header {0} is missing")]
    Missing(HeaderName),
}

impl HeaderError {
    /// What 2026-07-28 calls `HeaderMismatch`.
    pub(crate) fn is_mismatch(&self) -> bool {
        matches!(self, HeaderError::Mismatch { .. } | HeaderError::Missing(_))
    }
}

/// What holds for every request.
pub(crate) fn check(request: &Parts, bearer: Option<&str>) -> Result<(), HeaderError> {
    let headers = &request.headers;
    if let Some(name) = repeated(headers) {
        return Err(HeaderError::Repeated(name.clone()));
    }
    let parameters = headers.keys().filter(|name| name.as_str().starts_with(PARAMETER_PREFIX));
    if let Some(name) =
        parameters.into_iter().find(|name| headers.get_all(*name).iter().count() > 1)
    {
        return Err(HeaderError::Repeated(name.clone()));
    }
    // What is resumed is a session's: of another one it could be anybody's.
    if headers.contains_key(LAST_EVENT_ID) && !headers.contains_key(SESSION_ID) {
        return Err(HeaderError::Missing(SESSION_ID));
    }
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
        return Err(HeaderError::Encoded(encoding));
    }
    // Padding may be left out.
    let bearer = bearer.map(|bearer| bearer.trim_end_matches('='));
    let carries = |value: &HeaderValue| {
        // What is decoded is shorter than what it is decoded of.
        bearer.filter(|bearer| bearer.len() <= value.len()).is_some_and(|bearer| {
            // A bearer is ASCII, so that what is no text hides none.
            let plain = String::from_utf8_lossy(value.as_bytes());
            !bearer.is_empty() && (plain.contains(bearer) || decoded(value).contains(bearer))
        })
    };
    let passing = headers.iter().filter(|(name, _)| *name != header::AUTHORIZATION);
    match passing.into_iter().find(|(_, value)| carries(value)) {
        Some((name, _)) => Err(HeaderError::CarriesBearer(name.clone())),
        None => Ok(()),
    }
}

/// A header that stands twice, of those of which two readers would take different ones.
pub(crate) fn repeated(headers: &HeaderMap) -> Option<&'static HeaderName> {
    ONCE.iter().find(|name| headers.get_all(*name).iter().count() > 1)
}

/// What holds for a request with a message.
pub(crate) fn check_against(request: &Parts, message: &Message) -> Result<Era, HeaderError> {
    let headers = &request.headers;
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !media.is_some_and(is_json) {
        return Err(HeaderError::ContentType);
    }
    let in_body = message.protocol_version();
    let era = era(headers, in_body);
    if let Some(expected) = in_body {
        agree(headers, &PROTOCOL_VERSION, expected, era)?;
    }
    if let Some(expected) = message.method() {
        agree(headers, &METHOD, expected, era)?;
    }
    let method = message.method().and_then(Method::find);
    let demanded = method.is_some_and(Method::demands_name_header);
    let named_by = method.and_then(Method::named_by);
    let name = named_by.and_then(|name| message.params()?.get(name)?.as_str());
    match name {
        Some(expected) if demanded || headers.contains_key(&NAME) => {
            agree(headers, &NAME, expected, era)?;
        }
        None if headers.contains_key(&NAME) => agree(headers, &NAME, "", era)?,
        _ => {}
    }
    Ok(era)
}

/// A header that repeats what the body says; the newer protocol demands it.
fn agree(
    headers: &HeaderMap,
    name: &HeaderName,
    expected: &str,
    era: Era,
) -> Result<(), HeaderError> {
    match (text(headers, name), era) {
        (Some(found), _) if found == expected => Ok(()),
        (Some(found), _) => {
            // The body's may have megabytes.
            let shown = |text: &str| text.chars().take(MAX_SHOWN).collect();
            let (found, expected) = (shown(&found), shown(expected));
            Err(HeaderError::Mismatch { header: name.clone(), found, expected })
        }
        (None, Era::Modern) => Err(HeaderError::Missing(name.clone())),
        (None, Era::Legacy) => Ok(()),
    }
}

/// A header's text; `=?base64?…?=` stands for what no header can hold.
/// The protocol of a request, of the version in its body and in its header as it is read everywhere.
pub(crate) fn era(headers: &HeaderMap, in_body: Option<&str>) -> Era {
    let in_header = text(headers, &PROTOCOL_VERSION);
    in_body.or(in_header.as_deref()).map_or(Era::Legacy, Era::of_version)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(decoded)
}

fn decoded(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    let encoded = text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    let decoded = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or(text)
}

fn is_json(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") && is_utf8(media)
}

/// Whether no parameter says that it is in another encoding.
fn is_utf8(media: &str) -> bool {
    media.split(';').skip(1).all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            matches!(value.trim().trim_matches('"').to_ascii_lowercase().as_str(), "utf-8" | "utf8")
        }
        _ => true,
    })
}

/// What the server is sent.
pub(crate) fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let passes =
        |name: &HeaderName| FORWARDED.contains(name) || name.as_str().starts_with(PARAMETER_PREFIX);
    headers
        .iter()
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What the client is answered: nothing that anybody but it may keep.
pub(crate) fn answered(headers: &HeaderMap) -> HeaderMap {
    let mut answered: HeaderMap = headers
        .iter()
        .filter(|(name, _)| ANSWERED.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    answered.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    if media(headers) == Media::Events {
        answered.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    answered
}

/// What an answer says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    Events,
    /// Something else, or nothing.
    Other,
    /// Readers take it for different things.
    Unclear,
}

/// Some clients look for a part of the name, or for its beginning; none decodes another encoding than UTF-8 alike.
pub(crate) fn media(headers: &HeaderMap) -> Media {
    let Some(media) = headers.get(header::CONTENT_TYPE) else { return Media::Other };
    let Ok(media) = media.to_str() else { return Media::Unclear };
    let essence = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let looks_like = |part| media.to_ascii_lowercase().contains(part);
    match essence.as_str() {
        _ if !is_utf8(media) => Media::Unclear,
        "application/json" if !looks_like("event-stream") => Media::Json,
        "text/event-stream" if !looks_like("json") => Media::Events,
        _ if looks_like("event-stream") || looks_like("application/json") => Media::Unclear,
        _ => Media::Other,
    }
}

impl Media {
    /// Says it in the one way that all readers take alike.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let media = match self {
            Media::Json => "application/json",
            Media::Events => "text/event-stream",
            Media::Other | Media::Unclear if headers.contains_key(header::CONTENT_TYPE) => {
                "text/plain; charset=utf-8"
            }
            Media::Other | Media::Unclear => return,
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    }
}

/// Under which names a server may be addressed, and from which pages.
///
/// A page in a browser can have a name of its own resolve to 127.0.0.1 and then send requests there. They
/// carry that name as `Host`, and the page as `Origin`.
#[derive(Debug, Clone, Default)]
pub(crate) struct AllowedHosts {
    pub(crate) hosts: Vec<String>,
    pub(crate) origins: Vec<String>,
}

impl AllowedHosts {
    /// Whether a request comes under one of these names, or a loopback one, and from one of these pages or
    /// none.
    pub(crate) fn admits(&self, request: &Parts) -> bool {
        self.knows_host(request) && self.knows_origin(&request.headers)
    }

    /// Whether a request comes under such a name, or under an address, and from one of these pages or none. A page that
    /// has a name of its own resolve here asks under that name, and never under an address.
    pub(crate) fn admits_address(&self, request: &Parts) -> bool {
        let is_address = |host: &str| {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            bare.parse::<IpAddr>().is_ok()
        };
        let named = named_host(request).and_then(|host| host.parse::<Uri>().ok());
        let is_address = named.is_some_and(|named| named.host().is_some_and(is_address));
        (is_address || self.knows_host(request)) && self.knows_origin(&request.headers)
    }

    fn knows_host(&self, request: &Parts) -> bool {
        let host = named_host(request);
        let Some(authority) = host.and_then(|host| host.parse::<Uri>().ok()) else { return false };
        let Some(name) = authority.host() else { return false };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let loopback = bare.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let listed =
            |listed: &String| listed.eq_ignore_ascii_case(name) || Some(listed.as_str()) == host;
        loopback || self.hosts.iter().any(listed)
    }

    fn knows_origin(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else {
            // A page that loads something as a picture or a script sends no Origin, but this.
            let site = headers.get(SEC_FETCH_SITE);
            return site.is_none_or(|site| site == "none" || site == "same-origin");
        };
        origin.to_str().is_ok_and(|origin| {
            self.origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin))
        })
    }
}

/// The one host that a request names.
fn named_host(request: &Parts) -> Option<&str> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|value| value.to_str().ok());
    // Whoever names the server in the request line, too, names the same one.
    let named = request.uri.authority().map(|authority| authority.as_str());
    if hosts.next().is_some() || named.is_some_and(|named| Some(named) != host) {
        return None;
    }
    host.filter(|host| !host.contains('@'))
}

#[cfg(test)]
mod tests;
