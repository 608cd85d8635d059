//! Bearer: a request's target in the first line, its `Authorization` headers in the others, put to the guard
//! in front of a service.

use std::convert::Infallible;
use std::sync::OnceLock;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use hardtack::{Call, Permit};
use hardtack_http::{BearerError, GuardLayer, MAX_BEARER_BYTES, bearer};
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, ServiceExt, service_fn};

use super::{Target, judge, token};
use hardtack_testkit::NOW;

pub const TARGET: Target = Target {
    name: "bearer",
    run,
    seeds,
    // One of the largest bearers, and some more.
    max_len: MAX_BEARER_BYTES + 1024,
};

fn run(data: &[u8]) -> bool {
    let mut lines = data.split(|byte| *byte == b'\n');
    let target = lines.next().and_then(|line| Uri::try_from(line).ok());
    let Some(uri) = target else { return false };
    let values: Option<Vec<HeaderValue>> =
        lines.take(4).map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let Some(values) = values else { return false };
    let mut request = Request::get(uri.clone()).body(Body::empty()).unwrap();
    for value in &values {
        request.headers_mut().append(header::AUTHORIZATION, value.clone());
    }
    let (parts, body) = request.into_parts();
    let found = bearer(&parts);
    let token = found.as_ref().map(|token| token.as_bytes().to_vec()).ok();
    match &found {
        Ok(token) => is_the_one(token, &values, &uri),
        Err(error) => {
            judge::is_said_safely(&error.to_string());
            assert!(!is_plain(&values) || *error == BearerError::InQuery, "{error}: {values:?}");
        }
    }
    let response = served(Request::from_parts(parts, body));
    refuses_quietly(&response, &values);
    let let_in = response.status() == StatusCode::NO_CONTENT;
    assert!(!let_in || token.is_some_and(|token| token == genuine().as_bytes()), "{values:?}");
    let_in
}

/// Read once more, by bytes: one header, of which the token is all that is not the scheme or a blank.
fn is_the_one(token: &str, values: &[HeaderValue], uri: &Uri) {
    let [value] = values else { panic!("{} headers were one", values.len()) };
    let value = value.as_bytes();
    assert!(value[..6].eq_ignore_ascii_case(b"bearer") && value[6] == b' ');
    assert_eq!(value[6..].trim_ascii(), token.as_bytes());
    assert!((1..=MAX_BEARER_BYTES).contains(&token.len()));
    assert!(token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','), "{token:?}");
    let query = uri.query().unwrap_or_default().to_ascii_lowercase();
    for name in ["access_token", "token", "bearer"] {
        let is_named = query.split('&').any(|pair| pair.split('=').next() == Some(name));
        assert!(!is_named, "{name} in {query}");
    }
}

/// What any client sends that has one token.
fn is_plain(values: &[HeaderValue]) -> bool {
    let [value] = values else { return false };
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    value.as_bytes().strip_prefix(b"Bearer ").is_some_and(|token| {
        (1..=MAX_BEARER_BYTES).contains(&token.len()) && token.iter().all(is_base64)
    })
}

fn refuses_quietly<B>(response: &Response<B>, values: &[HeaderValue]) {
    let status = response.status().as_u16();
    assert!([204, 400, 401, 403, 431, 503].contains(&status), "{status}");
    let challenge = response.headers().get(header::WWW_AUTHENTICATE);
    assert!(status != 401 || challenge.is_some(), "401 without a challenge");
    let sent = values.iter().any(|value| contains(value, genuine().as_bytes()));
    let answered = response.headers().values();
    let repeats = answered.into_iter().any(|value| contains(value, genuine().as_bytes()));
    assert!(!(sent && repeats), "the answer repeats the bearer");
}

fn contains(value: &HeaderValue, part: &[u8]) -> bool {
    value.as_bytes().windows(part.len()).any(|window| window == part)
}

/// The guard in front of a service that must see a permit and no bearer.
fn served(request: Request<Body>) -> Response<()> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime =
        RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(1).build().unwrap());
    let inner = service_fn(|request: Request<Body>| async move {
        assert!(request.headers().get(header::AUTHORIZATION).is_none(), "the bearer went through");
        assert!(request.extensions().get::<std::sync::Arc<Permit>>().is_some());
        Ok::<_, Infallible>(
            Response::builder().status(StatusCode::NO_CONTENT).body(Body::empty()).unwrap(),
        )
    });
    let what = |_: &http::request::Parts| Call::tool("search");
    let layer = GuardLayer::new(guard(), what).clock(|| NOW);
    let response = runtime.block_on(layer.layer(inner).oneshot(request)).unwrap();
    response.map(drop)
}

fn guard() -> std::sync::Arc<hardtack::Guard> {
    use hardtack_testkit::{AUDIENCE, Cast};
    static GUARD: OnceLock<std::sync::Arc<hardtack::Guard>> = OnceLock::new();
    let make = || {
        let unchecked = hardtack::revocation::RevocationUnchecked;
        let verifier = hardtack::Verifier::new(Cast::new().roots(), AUDIENCE, unchecked).unwrap();
        hardtack::Guard::unrecorded(verifier, hardtack::Policy::builtin()).into()
    };
    GUARD.get_or_init(make).clone()
}

/// The one bearer that is allowed to search.
fn genuine() -> &'static str {
    static GENUINE: OnceLock<String> = OnceLock::new();
    GENUINE.get_or_init(|| URL_SAFE.encode(&(token::TARGET.seeds)()[0]))
}

fn seeds() -> Vec<Vec<u8>> {
    let good = genuine();
    let short = &good[..40];
    [
        format!("/mcp\nBearer {good}"),
        format!("/mcp?page=2\nbearer  {short} "),
        format!("/mcp\nBearer {short}\nBearer {short}"),
        format!("/mcp?access_token={short}\nBearer {short}"),
        format!("/?a=1&%61ccess_Token={short}\nBearer {short}"),
        format!("/\nBearer {short}, Bearer {short}"),
        format!("/\nBasic {short}"),
        "/\nBearer".to_owned(),
        "/\nBearer ".to_owned(),
        "/\nBearer\ta".to_owned(),
        "http://a.b/c?token\nBEARER =".to_owned(),
        "*".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}
