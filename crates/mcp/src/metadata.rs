//! Metadata: where do clients read which authorization servers give out tokens (RFC 9728)?

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use serde_json::json;

use crate::answer;

/// RFC 9728, section 3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What is said of a resource, and where.
#[derive(Debug)]
pub(crate) struct Metadata {
    /// The URL that challenges name.
    pub(crate) url: String,
    /// The resource's own path, after which it is said, too.
    path: Option<String>,
    document: serde_json::Value,
}

impl Metadata {
    /// Nothing, without a server or of what is no URL.
    pub(crate) fn of(resource: &str, servers: &[String]) -> Option<Metadata> {
        let resource = resource.trim_end_matches('/');
        let url = url::Url::parse(resource).ok().filter(|_| !servers.is_empty())?;
        let path = url.path().trim_end_matches('/');
        Some(Metadata {
            url: format!("{}{WELL_KNOWN}{path}", url.origin().ascii_serialization()),
            path: Some(path.to_owned()).filter(|path| !path.is_empty()),
            document: json!({
                "resource": resource,
                "authorization_servers": servers,
                "bearer_methods_supported": ["header"],
            }),
        })
    }

    pub(crate) fn document(&self) -> &serde_json::Value {
        &self.document
    }

    /// Where it is said of one of several servers: after this path of its own, and after that of its resource.
    pub(crate) fn paths(&self, own: &str) -> Vec<String> {
        let mut paths = vec![format!("{WELL_KNOWN}{own}")];
        if let Some(path) = self.path.as_deref().filter(|path| *path != own) {
            paths.push(format!("{WELL_KNOWN}{path}"));
        }
        paths
    }

    pub(crate) fn add_to<S: Clone + Send + Sync + 'static>(self, router: Router<S>) -> Router<S> {
        let document = self.document;
        let answer = move || {
            let document = document.clone();
            async move { answer::respond(StatusCode::OK, &document) }
        };
        let router = router.route(WELL_KNOWN, get(answer.clone()));
        match self.path.filter(|path| is_plain(path)) {
            Some(path) => router.route(&format!("{WELL_KNOWN}{path}"), get(answer)),
            None => router,
        }
    }
}

/// Whether a path means itself to the router, and nothing that the gateway says itself.
pub(crate) fn is_plain(path: &str) -> bool {
    let reserved = ["/healthz", "/readyz", "/metrics"].contains(&path)
        || path.starts_with("/hardtack")
        || path.starts_with("/.well-known");
    let has_pattern = path.split('/').any(|segment| segment.starts_with([':', '*']));
    !reserved && !has_pattern && !path.contains(['{', '}', '%'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_server_or_a_url_nothing_is_said() {
        let servers = ["https://login.example".to_owned()];
        assert!(Metadata::of("https://tools.example/mcp", &servers).is_some());
        assert!(Metadata::of("https://tools.example/mcp", &[]).is_none(), "without a server");
        assert!(Metadata::of("tools.example", &servers).is_none(), "of what is no URL");
    }

    #[test]
    fn it_is_said_at_the_resources_origin_and_before_its_path() {
        let servers = ["https://login.example".to_owned()];
        let of = |resource: &str| {
            let metadata = Metadata::of(resource, &servers).unwrap();
            (metadata.url, metadata.path)
        };
        let at = |rest: &str| format!("https://tools.example:8443{WELL_KNOWN}{rest}");
        assert_eq!(of("https://tools.example:8443/a/mcp/"), (at("/a/mcp"), Some("/a/mcp".into())));
        assert_eq!(of("https://tools.example:8443/"), (at(""), None));
    }

    #[test]
    fn a_path_means_itself_and_nothing_that_the_gateway_says() {
        for path in ["/mcp", "/a/b", "/healthz/x", "/a.b-c_d~e"] {
            assert!(is_plain(path), "{path}");
        }
        for path in [
            "/healthz",
            "/readyz",
            "/metrics",
            "/hardtack",
            "/hardtack/revocations",
            "/.well-known/x",
            "/{a}",
            "/a/}",
            "/:a",
            "/a/*b",
            "/%61",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }

    /// The router would take it for a pattern, and panic at some.
    #[test]
    fn a_path_with_a_pattern_is_said_without_it_only() {
        let servers = ["https://login.example".to_owned()];
        for resource in ["https://tools.example/:a", "https://tools.example/*a/b"] {
            let metadata = Metadata::of(resource, &servers).unwrap();
            let _: Router = metadata.add_to(Router::new());
        }
    }
}
