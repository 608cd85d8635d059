//! Envoy over gRPC: its messages, with the numbers of its API, written for the test.

use std::collections::HashMap;
use std::time::Duration;

use prost_14::Message;

use crate::stage::{Served, served};

#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::prost_14")]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::prost_14")]
struct AttributeContext {
    #[prost(message, optional, tag = "1")]
    source: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    request: Option<AttributeRequest>,
    #[prost(map = "string, string", tag = "10")]
    context_extensions: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::prost_14")]
struct Peer {
    #[prost(string, tag = "4")]
    principal: String,
}

#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::prost_14")]
struct AttributeRequest {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::prost_14")]
struct HttpRequest {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    method: String,
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
    #[prost(string, tag = "4")]
    path: String,
    #[prost(string, tag = "5")]
    host: String,
    #[prost(string, tag = "6")]
    scheme: String,
    #[prost(int64, tag = "9")]
    size: i64,
    #[prost(string, tag = "10")]
    protocol: String,
    #[prost(string, tag = "11")]
    body: String,
    #[prost(bytes = "vec", tag = "12")]
    raw_body: Vec<u8>,
    #[prost(message, optional, tag = "13")]
    header_map: Option<HeaderMap>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::prost_14")]
struct HeaderMap {
    #[prost(message, repeated, tag = "1")]
    headers: Vec<HeaderValue>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::prost_14")]
struct HeaderValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(bytes = "vec", tag = "3")]
    raw_value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::prost_14")]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<RpcStatus>,
    #[prost(message, optional, tag = "2")]
    denied: Option<DeniedHttpResponse>,
    #[prost(message, optional, tag = "3")]
    ok: Option<OkHttpResponse>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::prost_14")]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::prost_14")]
struct DeniedHttpResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<RpcStatus>,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
    #[prost(string, tag = "3")]
    body: String,
}

#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::prost_14")]
struct OkHttpResponse {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
    #[prost(string, repeated, tag = "5")]
    headers_to_remove: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::prost_14")]
struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    header: Option<HeaderValue>,
    #[prost(message, optional, tag = "2")]
    append: Option<BoolValue>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "::prost_14")]
struct BoolValue {
    #[prost(bool, tag = "1")]
    value: bool,
}

async fn check(served: &Served, http: Option<HttpRequest>) -> Result<CheckResponse, tonic::Status> {
    let address = format!("http://{}", served.address);
    let channel = tonic::transport::Channel::from_shared(address).unwrap();
    let mut client = tonic::client::Grpc::new(channel.connect().await.unwrap());
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<CheckRequest, CheckResponse>::default();
    let path = "/envoy.service.auth.v3.Authorization/Check".parse().unwrap();
    let source = Some(Peer { principal: "spiffe://a/b".to_owned() });
    let attributes = AttributeContext {
        source,
        request: Some(AttributeRequest { http }),
        context_extensions: HashMap::from([("a".to_owned(), "b".to_owned())]),
    };
    let request = tonic::Request::new(CheckRequest { attributes: Some(attributes) });
    Ok(client.unary(request, path, codec).await?.into_inner())
}

impl Served {
    fn http(&self, method: &str, path: &str, more: &[(&str, &str)]) -> HttpRequest {
        let bearer = format!("Bearer {}", self.bearer);
        let own = [(":authority", "pages.example"), (":path", path), ("authorization", &bearer)];
        let headers =
            own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        HttpRequest {
            id: "1".to_owned(),
            method: method.to_owned(),
            headers: headers.collect(),
            path: path.to_owned(),
            host: "pages.example".to_owned(),
            scheme: "https".to_owned(),
            size: -1,
            protocol: "HTTP/2".to_owned(),
            ..HttpRequest::default()
        }
    }
}

/// The code of the answer, and the HTTP status of a refusal.
fn codes(response: &CheckResponse) -> (i32, Option<i32>) {
    let denied = response.denied.as_ref().and_then(|denied| Some(denied.status.as_ref()?.code));
    (response.status.as_ref().unwrap().code, denied)
}

#[tokio::test]
async fn envoy_asks_over_grpc() {
    let served = served().await;
    let allowed = check(&served, Some(served.http("GET", "/pages/a%20b", &[]))).await.unwrap();
    assert_eq!(codes(&allowed), (0, None));
    let allowed = allowed.ok.unwrap();
    assert_eq!(allowed.headers_to_remove, ["authorization"]);
    let told: Vec<(String, String)> = allowed
        .headers
        .iter()
        .map(|option| {
            // Not appended to what the client sent under this name.
            assert_eq!(option.append, Some(BoolValue { value: false }));
            let header = option.header.clone().unwrap();
            (header.key, header.value)
        })
        .collect();
    assert!(told.contains(&("x-subject".to_owned(), "user:test".to_owned())), "{told:?}");
    assert_eq!(told.len(), 4);

    let json = ("content-type", "application/json");
    let with_body = |more: &[(&str, &str)], body: &str| HttpRequest {
        raw_body: body.into(),
        ..served.http("PUT", "/pages/a", more)
    };
    let good = r#"{"title": "T"}"#;
    let packed = with_body(&[json], good);
    let listed = HttpRequest {
        headers: HashMap::new(),
        header_map: Some(HeaderMap {
            headers: vec![HeaderValue {
                key: "authorization".to_owned(),
                raw_value: format!("Bearer {}", served.bearer).into(),
                ..HeaderValue::default()
            }],
        }),
        ..served.http("GET", "/pages/a", &[])
    };
    for request in [packed.clone(), listed.clone()] {
        assert_eq!(codes(&check(&served, Some(request)).await.unwrap()), (0, None));
    }
    let mut twice = listed.clone();
    let headers = &mut twice.header_map.as_mut().unwrap().headers;
    headers.push(headers[0].clone());
    let comma = format!("Bearer {},Bearer {}", served.bearer, served.bearer);
    for (request, expected) in [
        (served.http("DELETE", "/pages/a", &[]), (7, Some(403))),
        (served.http("GET", "/nowhere", &[]), (7, Some(404))),
        (served.http("POST", "/pages/a", &[]), (7, Some(405))),
        (served.http("GET", "/pages/../a", &[]), (7, Some(400))),
        (served.http("GET", "/pages/a?access_token=x", &[]), (7, Some(400))),
        (served.http("GET", "/pages/a", &[("authorization", "Bearer x")]), (16, Some(401))),
        (served.http("GET", "/pages/a", &[("authorization", &comma)]), (7, Some(400))),
        (served.http("GET", "/pages/a", &[("x-http-method-override", "DELETE")]), (7, Some(400))),
        (served.http("GET", "/pages/a", &[("connection", "close, x-agent")]), (7, Some(400))),
        (served.http("GET", "/pages/a", &[("x_agent", "agent.root")]), (7, Some(400))),
        (
            served.http("DELETE", "/pages/a", &[("content-type", "application/grpc")]),
            (7, Some(403)),
        ),
        (
            HttpRequest { host: "other.example".to_owned(), ..served.http("GET", "/pages/a", &[]) },
            (7, Some(400)),
        ),
        (twice, (7, Some(400))),
        (HttpRequest { headers: served.http("GET", "/", &[]).headers, ..listed }, (16, Some(401))),
        (with_body(&[json], ""), (7, Some(400))),
        (with_body(&[], good), (7, Some(400))),
        (with_body(&[json, ("x-envoy-auth-partial-body", "true")], good), (7, Some(400))),
        (with_body(&[("content-type", "application/json,text/plain")], good), (7, Some(400))),
        (HttpRequest { body: good.to_owned(), ..packed.clone() }, (7, Some(400))),
    ] {
        let response = check(&served, Some(request.clone())).await.unwrap();
        assert_eq!(codes(&response), expected, "{} {}", request.method, request.path);
        let denied = response.denied.unwrap();
        assert!(denied.body.starts_with("{\"") && response.ok.is_none(), "{}", denied.body);
    }
    let none = check(&served, None).await.unwrap_err();
    assert_eq!(none.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn what_envoy_may_have_changed_is_refused_and_what_it_tells_raw_is_judged() {
    let served = served().await;
    let json = ("content-type", "application/json");
    let good = r#"{"title": "T"}"#;
    let text = HttpRequest { body: good.to_owned(), ..served.http("PUT", "/pages/a", &[json]) };
    let refused = check(&served, Some(text)).await.unwrap();
    assert_eq!(codes(&refused), (7, Some(400)));
    let said = refused.denied.unwrap().body;
    assert!(said.contains("pack_as_bytes: true"), "{said}");

    let refused = check(&served, Some(served.http("GET", "/pages/a!!", &[]))).await.unwrap();
    assert_eq!(codes(&refused), (7, Some(400)));
    let said = refused.denied.unwrap().body;
    assert!(said.contains("%21") && said.contains("encode_raw_headers"), "{said}");
    let escaped = served.http("GET", "/pages/a%21", &[]);
    assert_eq!(codes(&check(&served, Some(escaped)).await.unwrap()), (0, None));

    let raw = |path: &str, paths: &[&[u8]]| {
        let bearer = format!("Bearer {}", served.bearer);
        let paths = paths.iter().map(|path| (":path", path.to_vec()));
        let header = |(key, raw_value): (&str, Vec<u8>)| HeaderValue {
            key: key.to_owned(),
            raw_value,
            ..HeaderValue::default()
        };
        let headers = paths.chain([("authorization", bearer.into_bytes())]).map(header).collect();
        HttpRequest {
            headers: HashMap::new(),
            header_map: Some(HeaderMap { headers }),
            ..served.http("GET", path, &[])
        }
    };
    for (path, paths, expected) in [
        ("/pages/a!!", &[b"/pages/a!!".as_slice()] as &[&[u8]], (0, None)),
        ("/pages/a", &[b"/pages/a"], (0, None)),
        ("/pages/a!!", &[b"/pages/a\xc0\xaf"], (7, Some(400))),
        ("/pages/a!!", &[b""], (7, Some(400))),
        ("/pages/a!!", &[], (7, Some(400))),
        ("/pages/a", &[b"/pages/b"], (7, Some(400))),
        ("/pages/a", &[b"/pages/a", b"/pages/b"], (7, Some(400))),
    ] {
        let response = check(&served, Some(raw(path, paths))).await.unwrap();
        assert_eq!(codes(&response), expected, "{path} {paths:?}");
    }
}

/// A body that never comes.
struct Never;

impl http_body::Body for Never {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, std::convert::Infallible>>>
    {
        std::task::Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_over_grpc_has_ten_seconds_to_arrive() {
    use tower_service::Service;

    let scene = hardtack::testing::Scene::new();
    let mapping = crate::stage::mapping(serde_json::json!({}));
    let mut decider =
        hardtack_ext_authz::Decider::with_clock(scene.guard(), &mapping, scene.clock()).unwrap();
    let request = http::Request::post("/envoy.service.auth.v3.Authorization/Check")
        .header("content-type", "application/grpc")
        .body(Never)
        .unwrap();
    let began = tokio::time::Instant::now();
    let answer = tokio::time::timeout(Duration::from_secs(60), decider.call(request)).await;
    let answer = answer.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 10);
    // DEADLINE_EXCEEDED, which Envoy takes for no answer.
    assert_eq!(answer.headers()["grpc-status"], "4");
}
