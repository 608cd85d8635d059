//! Asked: what does a proxy's HTTP request ask about the client's?

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::body::Place;
use hardtack_http::Undescribed;

/// Headers by which frameworks take another method or path than the request's own. What is judged would not be what is done.
const OVERRIDES: [&str; 11] = [
    "forwarded",
    "x-forwarded-path",
    "x-forwarded-prefix",
    "x-http-method",
    "x-http-method-override",
    "x-http-path-override",
    "x-method-override",
    "x-original-path",
    "x-original-url",
    "x-rewrite-path",
    "x-rewrite-url",
];

/// What `Connection` may name. A proxy takes out every header that it names, also one that was set after the decision.
const CONNECTION: [&str; 8] = [
    "close",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Envoy says by it whether a body that it sends is cut off.
pub(crate) const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";

/// A client's request, as a proxy tells of it.
pub(crate) struct Question {
    pub(crate) method: String,
    /// The request target as the client sent it.
    pub(crate) target: String,
    pub(crate) host: String,
    /// The body, if it is a JSON text and here; else why not.
    pub(crate) body: Result<Bytes, Undescribed>,
    /// The place of the body.
    pub(crate) place: Place,
}

/// The headers by which a proxy tells of the client's request.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) method: HeaderName,
    pub(crate) uri: HeaderName,
    pub(crate) host: HeaderName,
}

impl Names {
    /// Those of Traefik and Caddy.
    pub(crate) fn forwarded() -> Names {
        Names {
            method: HeaderName::from_static("x-forwarded-method"),
            uri: HeaderName::from_static("x-forwarded-uri"),
            host: HeaderName::from_static("x-forwarded-host"),
        }
    }

    /// The client's request by these headers, each of which stands exactly once.
    pub(crate) fn question(
        &self,
        headers: &HeaderMap,
        body: Result<Bytes, Undescribed>,
        place: Place,
    ) -> Result<Question, Undescribed> {
        Ok(Question {
            method: one(headers, &self.method)?.to_owned(),
            target: one(headers, &self.uri)?.to_owned(),
            host: one(headers, &self.host)?.to_owned(),
            body,
            place,
        })
    }
}

/// The value of a header that stands exactly once.
pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Undescribed> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Err(Undescribed::Other(format!(
            "the proxy does not send the header {name}; set it in the proxy's configuration"
        )));
    };
    if values.next().is_some() {
        return Err(Undescribed::Other(format!("the header {name} stands twice")));
    }
    value.to_str().map_err(|_| Undescribed::NoText)
}

/// Whether frameworks take method or path from a header of this name.
pub(crate) fn is_override(name: &HeaderName) -> bool {
    OVERRIDES.contains(&spelled(name).as_str())
}

/// A header's name as servers read it that know no `-` (CGI, WSGI).
fn spelled(name: &HeaderName) -> String {
    name.as_str().replace('_', "-")
}

/// Refuses a request whose headers mean something else to the service than to who decides: that ask for another method or path than is
/// judged, that have proxies take headers out, or that are another spelling of one in `told`, the headers that the service is told by.
pub(crate) fn refuse_misleading<'a>(
    headers: &HeaderMap,
    told: impl Iterator<Item = &'a HeaderName> + Clone,
) -> Result<(), Undescribed> {
    for name in headers.keys() {
        if is_override(name) {
            return Err(Undescribed::Other(format!(
                "the header {name} asks for another method or path than the request's own; leave it out"
            )));
        }
        if told.clone().any(|told| told != name && spelled(told) == spelled(name)) {
            return Err(Undescribed::Other(format!(
                "some servers take the header {name} for one by which the service is told who acts; leave it out"
            )));
        }
    }
    for value in headers.get_all(header::CONNECTION) {
        let named = value.to_str().map_err(|_| Undescribed::NoText)?.split(',').map(str::trim);
        let is_known = |name: &str| {
            name.is_empty() || CONNECTION.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        if !named.clone().all(is_known) {
            return Err(Undescribed::Other(
                "the header Connection names a header, which proxies would take out; leave it out"
                    .to_owned(),
            ));
        }
    }
    Ok(())
}

/// Refuses a text of Envoy's in which a `!` stands. Envoy writes one for each byte that is no UTF-8, and forwards the bytes themselves, so
/// that another target would be judged than is asked for.
pub(crate) fn refuse_replaced(target: &str) -> Result<(), Undescribed> {
    match target.contains('!') {
        true => Err(Undescribed::Other(
            "the request target has a !, which Envoy writes for bytes that are no UTF-8 as well; write %21, or, over gRPC, set encode_raw_headers: true in Envoy's filter".to_owned(),
        )),
        false => Ok(()),
    }
}

/// A body that a proxy sent, if it is whole and JSON by its headers.
pub(crate) fn json(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Undescribed> {
    let refuse = |problem: &str| Err(Undescribed::Other(problem.to_owned()));
    if headers.get_all(PARTIAL_BODY).iter().any(|value| value != "false") {
        return refuse("the proxy sent a part of the body only");
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return refuse("the body is compressed; send it as it is");
    }
    let media = one(headers, &header::CONTENT_TYPE);
    let media = media.map_err(|_| {
        Undescribed::Other(
            "the request, or what the proxy tells of it, has not one Content-Type".to_owned(),
        )
    })?;
    if !is_json(media) {
        return refuse("the body is no application/json");
    }
    if body.is_empty() {
        return refuse("there is no body, or the proxy does not send it");
    }
    Ok(body)
}

/// Whether a media type is JSON, in UTF-8 if it says so.
fn is_json(media: &str) -> bool {
    let (kind, parameter) = media.split_once(';').unwrap_or((media, ""));
    let parameter = parameter.trim().to_ascii_lowercase();
    kind.trim().eq_ignore_ascii_case("application/json")
        && matches!(parameter.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
}

/// Why there is no body where the proxy is not set to send it.
pub(crate) fn not_sent() -> Undescribed {
    Undescribed::Other("this route reads the body, which the proxy does not send".to_owned())
}

/// The values of `Authorization`.
pub(crate) fn authorizations(headers: &HeaderMap) -> Vec<HeaderValue> {
    headers.get_all(header::AUTHORIZATION).iter().cloned().collect()
}
