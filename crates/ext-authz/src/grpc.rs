//! gRPC: Envoy's `Authorization/Check`.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tonic::server::{Grpc, UnaryService};
use tonic_prost::ProstCodec;

use crate::asked::{self, Question};
use crate::body::{Bodies, Place, SMALL_BYTES, Unread, Whole};
use crate::decider::{Decider, Verdict};
use crate::messages::{
    Allowed, Answer, BoolValue, CheckRequest, CheckResponse, Denied, Header, HeaderOption,
    HttpRequest, HttpStatus, Status,
};
use crate::service::AnswerBody;
use hardtack_http::{MAX_BEARER_BYTES, Undescribed};

/// The most bytes of a message beside a body: as much as heads and Envoy's other attributes (addresses, certificates) have.
const MORE_BYTES: usize = SMALL_BYTES + MAX_BEARER_BYTES + 64 * 1024;

/// What gRPC writes before a message: whether it is compressed, and its length.
const FRAME_BYTES: usize = 5;

/// Codes of gRPC (google.rpc.Code).
const OK: i32 = 0;
const PERMISSION_DENIED: i32 = 7;
const UNAVAILABLE: i32 = 14;
const UNAUTHENTICATED: i32 = 16;

pub(crate) async fn check<B>(
    decider: Decider,
    sends_body: bool,
    request: Request<B>,
) -> Response<AnswerBody>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>> + Send> + Send + 'static,
{
    let (parts, body) = request.into_parts();
    let bodies = &decider.doors.bodies;
    let Whole { bytes, place } = match bodies.read(body, MORE_BYTES + FRAME_BYTES).await {
        Ok(whole) => whole,
        Err(busy @ Unread::Busy) => {
            return tonic::Status::unavailable(busy.to_string()).into_http();
        }
        Err(Unread::Undescribed(error @ Undescribed::TooLarge(_))) => {
            return tonic::Status::resource_exhausted(error.to_string()).into_http();
        }
        Err(error) => return tonic::Status::deadline_exceeded(error.to_string()).into_http(),
    };
    let codec = ProstCodec::<CheckResponse, CheckRequest>::default();
    let mut grpc = Grpc::new(codec).max_decoding_message_size(bodies.most() + MORE_BYTES);
    let request = Request::from_parts(parts, Full::new(bytes));
    grpc.unary(Check { decider, sends_body, place }, request).await
}

struct Check {
    decider: Decider,
    sends_body: bool,
    place: Place,
}

impl UnaryService<CheckRequest> for Check {
    type Response = CheckResponse;
    type Future =
        Pin<Box<dyn Future<Output = Result<tonic::Response<CheckResponse>, tonic::Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<CheckRequest>) -> Self::Future {
        let (decider, sends_body) = (self.decider.clone(), self.sends_body);
        let place = self.place.clone();
        Box::pin(async move {
            let http = request.into_inner().attributes;
            let http = http.and_then(|attributes| attributes.request?.http);
            let http = http.ok_or_else(|| {
                tonic::Status::invalid_argument("there is no HTTP request to decide about")
            })?;
            let (headers, question) = read(http, sends_body, &decider.doors.bodies, place);
            let verdict = decider.weigh(&headers, question).await;
            Ok(tonic::Response::new(answer(&decider, verdict)))
        })
    }
}

/// The client's headers, and what it asks for. Envoy joins headers that stand twice with a comma, which no value that is read may have.
fn read(
    http: HttpRequest,
    sends_body: bool,
    bodies: &Bodies,
    place: Place,
) -> (HeaderMap, Result<Question, Undescribed>) {
    let headers = match headers(&http) {
        Ok(headers) => headers,
        Err(error) => return (HeaderMap::new(), Err(error)),
    };
    let question = question(http, &headers, sends_body, bodies, place);
    (headers, question)
}

fn question(
    http: HttpRequest,
    headers: &HeaderMap,
    sends_body: bool,
    bodies: &Bodies,
    place: Place,
) -> Result<Question, Undescribed> {
    match raw_path(&http)? {
        Some(path) if path == http.path.as_bytes() => {}
        Some(_) => return Err(Undescribed::NoText),
        None => asked::refuse_replaced(&http.path)?,
    }
    let HttpRequest { method, path, host, body, raw_body, .. } = http;
    let body = match body.is_empty() {
        _ if !sends_body => Err(asked::not_sent()),
        // What is no UTF-8 in this field was replaced by Envoy, and is forwarded as it came.
        false => Err(Undescribed::Other(
            "the body comes as a text that Envoy may have changed; set pack_as_bytes: true in its with_request_body".to_owned(),
        )),
        true => bodies
            .refuse_larger(raw_body.len())
            .and_then(|()| asked::json(headers, Bytes::from(raw_body))),
    };
    Ok(Question { method, target: path, host, body, place })
}

/// The bytes of the target as the client sent it, if Envoy is set to tell them (`encode_raw_headers`).
fn raw_path(http: &HttpRequest) -> Result<Option<&[u8]>, Undescribed> {
    let list = http.header_map.as_ref().map_or(&[] as &[Header], |list| &list.headers);
    let mut paths = list.iter().filter(|header| header.key == ":path");
    let path = paths.next().map(|header| header.raw_value.as_slice());
    match paths.next() {
        None => Ok(path.filter(|path| !path.is_empty())),
        Some(_) => Err(Undescribed::Other("the request target stands there twice".to_owned())),
    }
}

fn headers(http: &HttpRequest) -> Result<HeaderMap, Undescribed> {
    let list = http.header_map.as_ref().map_or(&[] as &[Header], |list| &list.headers);
    if !list.is_empty() && !http.headers.is_empty() {
        return Err(Undescribed::Other("the headers stand there in two forms".to_owned()));
    }
    let joined = http.headers.iter().map(|(name, value)| (name, value.as_bytes()));
    let listed = list.iter().map(|header| {
        let value = match header.raw_value.is_empty() {
            true => header.value.as_bytes(),
            false => &header.raw_value,
        };
        (&header.key, value)
    });
    let mut headers = HeaderMap::new();
    // Pseudo-headers of HTTP/2 stand among them, and have fields of their own.
    for (name, value) in joined.chain(listed).filter(|(name, _)| !name.starts_with(':')) {
        let name = HeaderName::try_from(name).map_err(|_| Undescribed::NoText)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| Undescribed::NoText)?;
        let added = headers.try_append(name, value);
        added.map_err(|_| Undescribed::Other("there are too many headers".to_owned()))?;
    }
    Ok(headers)
}

fn answer(decider: &Decider, verdict: Verdict) -> CheckResponse {
    let (code, answer) = match verdict {
        Verdict::Allowed(permit) => {
            let told = decider.doors.told(&permit);
            let headers = told.iter().map(|(name, value)| overwriting(name, value)).collect();
            let headers_to_remove = vec!["authorization".to_owned()];
            (OK, Answer::Allowed(Allowed { headers, headers_to_remove }))
        }
        Verdict::Refused(response) => {
            let (parts, body) = response.into_parts();
            let headers =
                parts.headers.iter().map(|(name, value)| overwriting(name, value)).collect();
            let code = match parts.status {
                StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
                StatusCode::SERVICE_UNAVAILABLE => UNAVAILABLE,
                _ => PERMISSION_DENIED,
            };
            let status = Some(HttpStatus { code: i32::from(parts.status.as_u16()) });
            let body = String::from_utf8_lossy(&body).into_owned();
            (code, Answer::Denied(Denied { status, headers, body }))
        }
    };
    CheckResponse { status: Some(Status { code, message: String::new() }), answer: Some(answer) }
}

fn overwriting(name: &HeaderName, value: &HeaderValue) -> HeaderOption {
    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
    HeaderOption {
        header: Some(Header { key: name.as_str().to_owned(), value, raw_value: Vec::new() }),
        append: Some(BoolValue { value: false }),
        keep_empty_value: true,
    }
}
