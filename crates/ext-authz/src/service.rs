//! Service: who asks at which path, and how is each answered?

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use crate::asked::{self, Names, Question};
use crate::authzen;
use crate::body::{Place, Unread, Whole};
use crate::decider::{Decider, Verdict};
use crate::grpc;
use crate::rules::Meaning;
use hardtack_http::{Refused, Undescribed};

/// The path at which nginx asks.
pub const NGINX: &str = "/nginx";

/// The path at which Traefik and Caddy ask.
pub const FORWARD_AUTH: &str = "/forward-auth";

/// What Envoy puts before the client's path (`path_prefix`) when it asks over HTTP.
pub const ENVOY: &str = "/envoy";

/// The path at which Envoy asks over gRPC.
pub const ENVOY_GRPC: &str = "/envoy.service.auth.v3.Authorization/Check";

/// The path of AuthZEN's Access Evaluation API.
pub const AUTHZEN: &str = "/access/v1/evaluation";

/// The body of an answer.
pub(crate) type AnswerBody = tonic::body::Body;

/// What Envoy takes out of a request that is allowed, if it asks over HTTP.
const HEADERS_TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

impl<B> Service<Request<B>> for Decider
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>> + Send>
        + Send
        + Unpin
        + 'static,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let decider = self.clone();
        Box::pin(async move { Ok(decider.answer(request).await) })
    }
}

impl Decider {
    async fn answer<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>> + Send>
            + Send
            + Unpin
            + 'static,
    {
        let doors = &self.doors;
        let path = request.uri().path();
        let under_envoy = path.strip_prefix(ENVOY).is_some_and(|rest| rest.starts_with('/'));
        match (path, &doors.nginx, doors.forward_auth, doors.envoy) {
            (NGINX, Some(names), _, _) => full(self.nginx(names, request).await),
            (FORWARD_AUTH, _, Some(body), _) => full(self.forward_auth(body, request).await),
            (ENVOY_GRPC, _, _, Some(body)) => grpc::check(self.clone(), body, request).await,
            (AUTHZEN, ..) if doors.authzen => match *request.method() {
                Method::POST => full(authzen::evaluate(self, request).await),
                _ => full(nothing(StatusCode::METHOD_NOT_ALLOWED)),
            },
            (_, _, _, Some(body)) if under_envoy => full(self.envoy(body, request).await),
            _ => full(nothing(StatusCode::NOT_FOUND)),
        }
    }

    /// nginx takes 2xx for yes, 401 and 403 for no, and everything else for a failure, to which it answers 500
    /// (ngx_http_auth_request_module).
    async fn nginx<B>(&self, names: &Names, request: Request<B>) -> Response<Bytes> {
        let (parts, _) = request.into_parts();
        let question = names.question(&parts.headers, Err(asked::not_sent()), Place::default());
        let verdict = self.weigh(&parts.headers, question).await;
        let mut response = self.http(verdict, false);
        let status = response.status();
        if status.is_client_error() && status != StatusCode::UNAUTHORIZED {
            *response.status_mut() = StatusCode::FORBIDDEN;
        }
        response
    }

    /// Traefik and Caddy hand the client whatever is not 2xx.
    async fn forward_auth<B>(&self, sends_body: bool, request: Request<B>) -> Response<Bytes>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>> + Send> + Send + Unpin,
    {
        let (parts, body) = request.into_parts();
        let (body, place) = match self.body(sends_body, &parts.headers, body).await {
            Ok(body) => body,
            Err(busy) => return busy,
        };
        let question = Names::forwarded().question(&parts.headers, body, place);
        let verdict = self.weigh(&parts.headers, question).await;
        self.http(verdict, false)
    }

    /// Envoy takes 200 for yes, and hands the client whatever else comes.
    async fn envoy<B>(&self, sends_body: bool, request: Request<B>) -> Response<Bytes>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>> + Send> + Send + Unpin,
    {
        let (parts, body) = request.into_parts();
        let (body, place) = match self.body(sends_body, &parts.headers, body).await {
            Ok(body) => body,
            Err(busy) => return busy,
        };
        let question = || {
            let host = match parts.uri.authority() {
                Some(authority) => authority.as_str(),
                None => asked::one(&parts.headers, &header::HOST)?,
            };
            let asked = parts.uri.path_and_query().map_or("", |target| target.as_str());
            let target = asked.strip_prefix(ENVOY).unwrap_or_default();
            asked::refuse_replaced(target)?;
            Ok(Question {
                method: parts.method.as_str().to_owned(),
                target: target.to_owned(),
                host: host.to_owned(),
                body,
                place,
            })
        };
        let verdict = self.weigh(&parts.headers, question()).await;
        self.http(verdict, true)
    }

    /// The body, if the proxy is set to send it and a route may read it; and its place, to be kept until it is judged. Or the answer, if there is
    /// no place for it.
    async fn body<B>(
        &self,
        sends_body: bool,
        headers: &http::HeaderMap,
        body: B,
    ) -> Result<(Result<Bytes, Undescribed>, Place), Response<Bytes>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>> + Send>,
    {
        if !sends_body || !self.doors.reads_bodies {
            return Ok((Err(asked::not_sent()), Place::default()));
        }
        match self.doors.bodies.read(body, 0).await {
            Ok(Whole { bytes, place }) => Ok((asked::json(headers, bytes), place)),
            Err(Unread::Undescribed(error)) => Ok((Err(error), Place::default())),
            Err(busy @ Unread::Busy) => Err(self.unavailable(&busy.to_string())),
        }
    }

    pub(crate) async fn weigh(
        &self,
        headers: &http::HeaderMap,
        question: Result<Question, Undescribed>,
    ) -> Verdict {
        let question = asked::refuse_misleading(headers, self.doors.told_by()).and(question);
        let question = match self.place_to_read(question).await {
            Err(busy) => return Verdict::Refused(self.unavailable(&busy.to_string())),
            Ok(question) => question,
        };
        if let Err(error) = &question {
            tracing::debug!(%error, "a question is none");
        }
        let target = question.as_ref().ok().map(|question| question.target.clone());
        self.decide(asked::authorizations(headers), target, Meaning::Request(question)).await
    }

    /// The question with what reading its body needs, if a route reads it; an error if there is no room now.
    async fn place_to_read(
        &self,
        question: Result<Question, Undescribed>,
    ) -> Result<Result<Question, Undescribed>, Unread> {
        let Ok(mut question) = question else { return Ok(question) };
        if let Ok(body) = &question.body
            && self.rules.reads_body(&question)
        {
            let place = std::mem::take(&mut question.place);
            match self.doors.bodies.to_read(body, place).await {
                Ok(place) => question.place = place,
                Err(Unread::Undescribed(error)) => question.body = Err(error),
                Err(busy @ Unread::Busy) => return Err(busy),
            }
        }
        Ok(Ok(question))
    }

    fn http(&self, verdict: Verdict, is_envoy: bool) -> Response<Bytes> {
        let permit = match verdict {
            Verdict::Allowed(permit) => permit,
            Verdict::Refused(response) => return response,
        };
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.doors.told(&permit));
        if is_envoy {
            headers.insert(HEADERS_TO_REMOVE, HeaderValue::from_static("authorization"));
        }
        response
    }

    /// A refusal of a question that is none.
    pub(crate) fn refuse(&self, error: Undescribed) -> Response<Bytes> {
        self.realm.response(&Refused::from(error))
    }
}

/// Nobody may ask here, or not so.
fn nothing(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"{\"error\":\"not_found\"}"));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn full(response: Response<Bytes>) -> Response<AnswerBody> {
    response.map(|body| AnswerBody::new(Full::new(body)))
}
