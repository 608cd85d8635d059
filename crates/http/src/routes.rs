//! Routes: which operation does a request mean, by the path template that axum matched (its route)?
//!
//! The path is not read a second time: what is judged are the parameters that axum decoded, which are what the handler's
//! `Path` gets. A reading of one's own of the path can differ from the router's in escapes, doubled slashes or dots.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request};
use http_body::Body;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use crate::Describe;
use crate::describe::{BODY_TIMEOUT, Undescribed, read_body, with_members};
use hardtack::call::Call;
use hardtack::cause::Cause;
use hardtack::scope::{Operation, ScopeError};

/// A table from axum's path templates and methods to operations, for [`GuardLayer`](crate::GuardLayer).
///
/// The arguments of a call are the parameters of the path and those of the query, decoded as axum's `Path` and `Query`
/// do, all of them texts; with [`reading_json`](Routes::reading_json) the members of the body's object, too. A request is refused whose
/// template or method is not in the table, that has a parameter twice, or one that is in the path and in the query or body. Parameters
/// are as many and as long as arguments may be (1,000 values, 64 KiB). They are looked at once the bearer is known to hold.
///
/// It goes onto a [`Router`](axum::Router) as a layer, so that the route is known when it is asked. `route_layer` covers the routes that
/// are there and leaves other paths to the router's 404; `layer` covers the fallback, too, which no template stands for, so that it is
/// refused. Around a whole router, and on a service that was nested by `nest_service`, it refuses everything: no template was matched there.
///
/// ```
/// # fn service(guard: hardtack::Guard) -> Result<axum::Router, hardtack_http::RouteError> {
/// use axum::extract::Path;
/// use axum::{Router, routing::get};
/// use hardtack_http::{GuardLayer, Permitted, Routes};
/// use http::Method;
///
/// async fn page(Path(page): Path<String>, permit: Permitted) -> String {
///     format!("{page} for {}", permit.subject())
/// }
///
/// // GET /pages/salaries is the call pages:read of {"page": "salaries"}, and so is /pages/salarie%73.
/// let routes = Routes::new().route(Method::GET, "/pages/{page}", "pages:read")?;
/// # Ok(
/// Router::new().route("/pages/{page}", get(page)).route_layer(GuardLayer::new(guard, routes))
/// # )
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Routes(BTreeMap<String, Vec<(Method, Operation)>>);

impl Routes {
    /// Makes an empty table, by which every request is refused.
    pub fn new() -> Routes {
        Routes::default()
    }

    /// Adds a row: requests of `method` to the template `path` mean `operation`.
    ///
    /// `path` is written as for [`Router::route`](axum::Router::route), whole: with what a nested router is nested under. A `HEAD` request means
    /// what `GET` does, as in axum, unless the table says otherwise.
    ///
    /// # Errors
    ///
    /// [`RouteError`] for a template that does not begin with a slash, for what is no operation, and for a method
    /// and template that are there already.
    pub fn route(
        mut self,
        method: Method,
        path: &str,
        operation: &str,
    ) -> Result<Routes, RouteError> {
        let route = || format!("{method} {path}");
        if !path.starts_with('/') {
            return Err(RouteError::Path(path.to_owned()));
        }
        let operation = operation.parse();
        let operation = operation.map_err(|error| RouteError::Operation(route(), error))?;
        let methods = self.0.entry(path.to_owned()).or_default();
        if methods.iter().any(|(there, _)| *there == method) {
            return Err(RouteError::Repeated(route()));
        }
        methods.push((method, operation));
        Ok(self)
    }

    /// Takes the members of the body, too, as arguments: a JSON object of at most `most` bytes. A request without a body has none. The
    /// body is handed to the handler as it came.
    ///
    /// By default no body is looked at, and what it says is not judged.
    pub fn reading_json(self, most: usize) -> JsonRoutes {
        JsonRoutes { routes: self, most }
    }

    /// The operation that the head of a request means.
    fn operation(&self, parts: &Parts) -> Result<&Operation, Undescribed> {
        let Some(path) = parts.extensions.get::<MatchedPath>() else {
            return Err(Undescribed::NoRoute);
        };
        let Some(methods) = self.0.get(path.as_str()) else { return Err(Undescribed::NoRoute) };
        let operation = |wanted: &Method| {
            methods.iter().find(|(method, _)| method == wanted).map(|(_, operation)| operation)
        };
        let operation = match parts.method {
            Method::HEAD => operation(&Method::HEAD).or_else(|| operation(&Method::GET)),
            _ => operation(&parts.method),
        };
        operation.ok_or(Undescribed::NoOperation)
    }

    fn asked(&self, parts: &Parts) -> Option<Call> {
        Call::new(self.operation(parts).ok()?.as_str()).ok()
    }

    /// The call that the head of a request means. Whatever is one too many is refused before the next is looked at.
    async fn call(&self, parts: &mut Parts) -> Result<Call, Undescribed> {
        let mut call = Call::new(self.operation(parts)?.as_str())?;
        let parameters = RawPathParams::from_request_parts(parts, &()).await;
        for (name, value) in &parameters.map_err(|_| Undescribed::NoText)? {
            call = call.argument(name, value.to_owned())?;
        }
        let query = parts.uri.query().unwrap_or_default();
        if !is_text(query) {
            return Err(Undescribed::NoText);
        }
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            #[cfg(test)]
            tests::READ.with(|read| read.set(read.get() + 1));
            call = call.argument(&name, value.into_owned())?;
        }
        Ok(call)
    }
}

/// Whether a query is UTF-8 when it is decoded. What is not would be read with replacements, and differently by other readers.
fn is_text(query: &str) -> bool {
    // A name or a value that is none of its own could be one only together with what separates it, which is ASCII.
    percent_decode_str(query).decode_utf8().is_ok()
}

impl<B: Send> Describe<B> for Routes {
    async fn describe(&self, request: Request<B>) -> Result<(Call, Request<B>), Undescribed> {
        let (mut parts, body) = request.into_parts();
        let call = self.call(&mut parts).await?;
        Ok((call, Request::from_parts(parts, body)))
    }

    async fn asked(&self, request: Request<B>) -> Option<Call> {
        Routes::asked(self, &request.into_parts().0)
    }
}

/// A table of [`Routes`] that takes the members of a JSON body as arguments, too. Made by [`Routes::reading_json`].
#[derive(Debug, Clone)]
pub struct JsonRoutes {
    routes: Routes,
    most: usize,
}

impl<B> Describe<B> for JsonRoutes
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + From<Bytes> + Send,
{
    async fn describe(&self, request: Request<B>) -> Result<(Call, Request<B>), Undescribed> {
        let (mut parts, body) = request.into_parts();
        let call = self.routes.call(&mut parts).await?;
        let body = read_body(body, self.most, BODY_TIMEOUT).await?;
        let call = match body.is_empty() {
            true => call,
            false => with_members(call, &body)?,
        };
        Ok((call, Request::from_parts(parts, B::from(body))))
    }

    async fn asked(&self, request: Request<B>) -> Option<Call> {
        self.routes.asked(&request.into_parts().0)
    }
}

/// An error of a row that cannot be in a table of [`Routes`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// The template is one that axum would not take.
    #[error(
        "the path template {0:?} does not begin with a slash; write it as for Router::route, such as /pages/{{page}}"
    )]
    Path(String),
    /// The text in the place of the operation is none.
    #[error("the operation of {0}: {1}")]
    Operation(String, #[source] ScopeError),
    /// The method and template are in the table already.
    #[error("{0} stands in the table twice")]
    Repeated(String),
}

impl RouteError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            RouteError::Path(_) | RouteError::Repeated(_) => Cause::MalformedRoute,
            RouteError::Operation(_, error) => error.cause(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;
    use crate::GuardLayer;
    use hardtack::testing::Scene;

    thread_local! {
        /// How many names of queries this thread has read.
        pub(super) static READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    /// How a request with this query is answered, and how many names were read for it.
    async fn asked(scene: &Scene, bearer: Option<&str>, query: &str) -> (u16, usize) {
        let routes = Routes::new().route(Method::GET, "/pages/{page}", "pages:read").unwrap();
        let layer = GuardLayer::new(scene.guard(), routes.reading_json(1024)).clock(scene.clock());
        let router = Router::new().route("/pages/{page}", get(async || ())).route_layer(layer);
        let request = Request::get(format!("/pages/roadmap?{query}"));
        let request = match bearer {
            Some(bearer) => request.header("authorization", format!("Bearer {bearer}")),
            None => request,
        };
        let before = READ.get();
        let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        (answer.status().as_u16(), READ.get() - before)
    }

    fn query(names: usize, name: &str) -> String {
        let names: Vec<String> = (0..names).map(|number| format!("{name}{number}=1")).collect();
        names.join("&")
    }

    #[tokio::test]
    async fn the_query_of_a_stranger_is_not_looked_at() {
        let (scene, other) = (Scene::new(), Scene::new());
        let [good, foreign, expired] =
            [&scene, &other, &scene].map(|scene| scene.bearer(&["pages:*"]));
        let [many, costly] = [query(3000, "a"), query(3000, "%c3%ab")];
        for query in ["page=1&Page=2", &many, &costly] {
            assert_eq!(asked(&scene, None, query).await, (401, 0));
            for bad in ["stranger", &foreign] {
                assert_eq!(asked(&scene, Some(bad), query).await, (401, 0), "{bad}");
            }
            let (status, _) = asked(&scene, Some(&good), query).await;
            assert_eq!(status, 400, "the same query of somebody who may ask");
        }
        scene.advance(std::time::Duration::from_secs(3600));
        assert_eq!(asked(&scene, Some(&expired), &costly).await, (401, 0));
    }

    #[tokio::test]
    async fn a_query_that_is_no_utf_8_is_refused() {
        let scene = Scene::new();
        let bearer = scene.bearer(&["pages:*"]);
        for query in
            ["a=%FF", "a=%C0%AF", "%ED%A0%80=1", "a=%c3&b=%a9", "a=1&b=x%E2%82", "a=%C3+%A9"]
        {
            assert_eq!(asked(&scene, Some(&bearer), query).await, (400, 0), "{query}");
        }
        for query in ["a=%C3%A9", "a=%c3%a9&b=%25", "a=%EF%BF%BD", "a=%&b=%zz&c=%4"] {
            assert_eq!(asked(&scene, Some(&bearer), query).await.0, 200, "{query}");
        }
    }

    #[tokio::test]
    async fn of_a_query_with_too_many_names_no_more_are_read_than_have_room() {
        let scene = Scene::new();
        let bearer = scene.bearer(&["pages:*"]);
        let room = hardtack::internal::MAX_ARGUMENTS;
        let foldable = hardtack::internal::MAX_FOLDED_BYTES / 50;
        for (query, status, most) in [
            (query(500, "a"), 200, 500),
            (query(500, "%c3%ab"), 200, 500),
            (query(8000, "a"), 400, room),
            (query(4000, "%c3%ab"), 400, room),
            (query(250, &"%c3%ab".repeat(25)), 400, 1 + foldable),
        ] {
            let (found, read) = asked(&scene, Some(&bearer), &query).await;
            assert_eq!(found, status, "of {read} names");
            assert!(read <= most, "{read} names were read, and {most} are enough");
        }
    }
}
